/** Options of every normalization: what is not known, null or of another type is an error, and what others call it is translated. */
import { describe, expect, it, vi } from "vitest";
import {
  apply,
  batchNorm,
  batchRenorm,
  catalog,
  foldBatchNorm,
  groupNorm,
  instanceNorm,
  layerNorm,
  open,
  residualBlock,
  rmsNorm,
  Standardizer,
  statistics,
  weightNormGain,
} from "../../src/index.js";

const x = { shape: [2, 4], data: new Float32Array(8) };
const ek = await open({ backend: "reference" });
type Options = Record<string, unknown>;

describe.each(Object.values(catalog))("$about.name", (factory) => {
  const { name } = factory.about;
  const make = (options: unknown) => (factory as (options: unknown) => unknown)(options);
  // what has no default must be given
  const needed: Options = "units" in factory.defaults ? { units: 4 } : {};

  // divisive normalization's windows are checked against the shape
  const weightsOf = (norm: unknown) => (norm as { weights(shape: number[]): object }).weights([2, 4, 4, 8]);

  it("has options that nobody changes for others", () => {
    expect(Object.isFrozen(factory.defaults)).toBe(true);
    expect(Object.isFrozen(factory.about)).toBe(true);
  });

  it("refuses an option that it does not have", () => {
    const known = Object.keys(factory.defaults).join(", ");
    expect(() => make({ ...needed, nonsense: 1 })).toThrow(
      new TypeError(`${name}: no option is called "nonsense"; there are ${known}`),
    );
  });

  it("refuses null, and a string for a number or a boolean", () => {
    for (const [option, usual] of Object.entries(factory.defaults)) {
      if (option === "axis") continue;
      expect(() => make({ ...needed, [option]: null }), option).toThrow(
        new TypeError(
          `${name}: ${option} must be a ${usual === undefined ? "number" : typeof usual}, got null; leave it out for its default`,
        ),
      );
      for (const wrong of [
        true,
        1n,
        () => 1,
        Symbol("a"),
        Object.create(null),
        ...(usual === undefined ? [] : [[], [1]]),
      ]) {
        if (typeof wrong === typeof usual) continue;
        expect(() => make({ ...needed, [option]: wrong }), `${option} ${typeof wrong}`).toThrow(
          `${name}: ${option} must be a ${usual === undefined ? "number" : typeof usual}, got `,
        );
      }
      if (typeof usual === "number" || usual === undefined) {
        const message = new RegExp(`^${name}: .*\\b${option}\\b.* must be`);
        expect(() => weightsOf(make({ ...needed, [option]: Number.NaN })), option).toThrow(message);
      }
      if (typeof usual !== "number" && typeof usual !== "boolean") continue;
      expect(() => make({ ...needed, [option]: "1" }), option).toThrow(
        new TypeError(`${name}: ${option} must be a ${typeof usual}, got "1"; leave it out for its default`),
      );
    }
  });

  it("refuses options that are no object, and takes undefined for a default", () => {
    for (const options of [null, 3, "layer", [1]]) {
      expect(() => make(options)).toThrow(`${name}: options must be an object, got `);
    }
    const open = Object.keys(factory.defaults).map((option) => [option, undefined]);
    expect(() => make({ ...Object.fromEntries(open), ...needed })).not.toThrow();
  });
});

it.each([
  [
    () => layerNorm({ eps: 1e-5 } as Options),
    'layerNorm: no option is called "eps"; it is called "epsilon" here',
  ],
  [
    () => layerNorm({ epsilom: 1e-5 } as Options),
    'layerNorm: no option is called "epsilom"; did you mean "epsilon"? There are axis, epsilon, scale, center',
  ],
  [
    () => groupNorm({ numGroups: 2 } as Options),
    'groupNorm: no option is called "numGroups"; it is called "groups" here',
  ],
  [
    () => batchNorm({ affine: false } as Options),
    'batchNorm: no option is called "affine"; it is called "scale" and "center" (gamma and beta) here',
  ],
  [
    () => instanceNorm({ track_running_stats: true } as Options),
    'instanceNorm: no option is called "track_running_stats"; it is called "trackRunningStatistics" here',
  ],
  [
    () => ek.forward(layerNorm(), x, { weight: new Float32Array(4) } as Options),
    'forward: no option is called "weight"; it is called "gamma" here',
  ],
  [
    () => apply(ek, layerNorm(), x, {}, { trainig: true } as Options),
    'apply: no option is called "trainig"; did you mean "training"? There are training, mask, residual, warn, reduce',
  ],
  [
    () => statistics(ek, layerNorm(), x, { maks: undefined } as Options),
    'statistics: no option is called "maks"; did you mean "mask"? There are mask',
  ],
  [
    () => residualBlock(layerNorm(), { place: "pre" } as Options),
    'residualBlock: no option is called "place"; there are placement, norm, after, alpha, gain',
  ],
  [
    () => new Standardizer({ withMean: true } as Options),
    'Standardizer: no option is called "withMean"; there are forgetting, variance, columns',
  ],
  [
    () => weightNormGain(x, { eps: 1 } as Options),
    'weightNormGain: no option is called "eps"; it is called "epsilon" here',
  ],
  [
    () =>
      foldBatchNorm({
        kernel: x,
        statistics: { running_mean: [0], running_var: [1] },
      } as unknown as Parameters<typeof foldBatchNorm>[0]),
    'foldBatchNorm: statistics: no option is called "running_mean"; it is called "runningMean" here',
  ],
])("%s", (call, message) => {
  expect(call).toThrow(new TypeError(message));
});

it("asks about a momentum that is most likely PyTorch's, once", () => {
  const warn = vi.spyOn(console, "warn").mockImplementation(() => {});
  try {
    for (let i = 0; i < 2; i++) batchNorm({ momentum: 0.11 });
    batchRenorm({ renormMomentum: 0.01 });
    for (const momentum of [0, 0.5, 0.9, 1]) batchNorm({ momentum });
    expect(warn.mock.calls).toEqual([
      [
        "batchNorm: momentum 0.11 is the weight of the old value here, so that the running statistics are little more than the " +
          "last batch's; did you mean 0.89, which PyTorch calls 0.11?",
      ],
      [
        "batchRenorm: renormMomentum 0.01 is the weight of the old value here, so that the running statistics are little more than " +
          "the last batch's; did you mean 0.99, which PyTorch calls 0.01?",
      ],
    ]);
  } finally {
    warn.mockRestore();
  }
});

it("says what is missing where arrays are", () => {
  const nothing = undefined as unknown as typeof x;
  const forward = (options: Options) => () => ek.forward(layerNorm(), x, options);
  expect(() => ek.forward(layerNorm(), nothing)).toThrow(TypeError);
  expect(() => apply(ek, layerNorm(), nothing)).toThrow(TypeError);
  expect(forward({ gamma: null })).toThrow(
    new TypeError(
      "layerNorm: gamma must be a Float32Array, an array of the backend or { shape, data }, got null",
    ),
  );
  expect(forward({ gamma: { shape: [4] } })).toThrow(
    new RangeError("layerNorm: gamma of shape [4] must have 4 values, got no data"),
  );
  expect(() => apply(ek, rmsNorm(), { shape: [2, 4] } as typeof x)).toThrow(
    new RangeError("rmsNorm: x of shape [2, 4] must have 8 values, got no data"),
  );
});
