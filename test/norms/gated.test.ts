/** Norms with further inputs, beyond their rows: identities, and errors in full. */
import { describe, expect, it } from "vitest";
import {
  apply,
  batchNorm,
  gatedRMSNorm,
  instanceNorm,
  open,
  type PlainArray,
  rmsNorm,
  seeDNorm,
  spatiallyAdaptiveNorm,
  weightDemodulation,
  weightNorm,
} from "../../src/index.js";
import { sizeOf } from "../../src/shape.js";
import { expectClose, normal } from "../support/numerics.js";

const ek = await open({ backend: "reference" });
const wasm = await open({ backend: "wasm", threads: 1 });
const array = (shape: number[], seed = 1) => ({ shape, data: normal(sizeOf(shape), seed, 0.3) });
const filled = (shape: number[], value: number) => ({
  shape,
  data: new Float32Array(sizeOf(shape)).fill(value),
});
const close = (name: string, actual: PlainArray, expected: PlainArray, tolerance = 1e-9) =>
  expectClose(name, Float64Array.from(actual.data), Float64Array.from(expected.data), () => tolerance);

describe("identities", () => {
  const x = array([2, 3, 6]);

  it("a gate that is one number: none before the norm, a factor after it", () => {
    const z = filled([2, 3, 6], 2);
    const plain = apply(ek, rmsNorm({ epsilon: 0 }), x).y;
    close("before", apply(ek, gatedRMSNorm({ epsilon: 0 }), [x, z]).y, plain);
    const silu = 2 / (1 + Math.exp(-2));
    const after = { shape: x.shape, data: Float64Array.from(plain.data, (value) => silu * value) };
    close("after", apply(ek, gatedRMSNorm({ epsilon: 0, gate: "after" }), [x, z]).y, after);
  });

  it("SeeDNorm starts as RMS normalization, and tells lengths apart once it has a kernel", () => {
    close("y", apply(ek, seeDNorm(), x).y, apply(ek, rmsNorm({ epsilon: 1e-6 }), x).y);
    const longer = { shape: x.shape, data: x.data.map((value) => 10 * value) };
    const ys = [x, longer].map((given) => apply(ek, seeDNorm(), given, { kernel: normal(6, 5) }).y.data);
    expect(Math.max(...Array.from(ys[0], (value, i) => Math.abs(value - ys[1][i])))).toBeGreaterThan(0.1);
  });

  it("maps of 0 leave batch and instance normalization", () => {
    const maps = [filled([2, 3, 6], 0), filled([2, 3, 6], 0)] as const;
    const bare = { scale: false, center: false };
    close("batch", apply(ek, spatiallyAdaptiveNorm(), [x, ...maps]).y, apply(ek, batchNorm(bare), x).y);
    const instance = spatiallyAdaptiveNorm({ statistics: "instance" });
    close("instance", apply(ek, instance, [x, ...maps]).y, apply(ek, instanceNorm(bare), x).y);
  });

  it("a style of ones is weight normalization with a length of 1, and the factor is that of the layer's output", () => {
    const [w, style] = [array([3, 4]), array([2, 3], 2)];
    const { y } = apply(ek, weightDemodulation(), [w, filled([1, 3], 1)]);
    close("y", y, apply(ek, weightNorm({ epsilon: 1e-8 }), w).y);
    const { y: own, more } = apply(ek, weightDemodulation(), [w, style]);
    for (let i = 0; i < own.data.length; i++) {
      const [b, o] = [Math.floor(i / 12), i % 4];
      const scaled = w.data[i % 12] * style.data[b * 3 + Math.floor((i % 12) / 4)];
      expect(own.data[i]).toBeCloseTo(scaled * more[0].data[b * 4 + o], 12);
    }
  });

  it.each([1e25, 1e-25])("weights and styles of %s: y stays within float32", (scale) => {
    const [w, style] = [array([3, 4]), array([2, 3], 2)];
    const sized = ({ shape, data }: typeof w, by: number) => ({
      shape,
      data: data.map((value) => value * by),
    });
    const demodulated = (by: number, other: number) =>
      apply(wasm, weightDemodulation({ epsilon: 0 }), [sized(w, by), sized(style, other)]).y;
    close("y", demodulated(scale, 1), demodulated(1, 1), 1e-5);
    close("y", demodulated(1, scale), demodulated(1, 1), 1e-5);
  });
});

describe("errors", () => {
  const x = array([2, 3, 6]);
  const cases: [string, () => unknown, Error][] = [
    [
      "no gate",
      () => apply(ek, gatedRMSNorm(), x),
      new TypeError("gatedRMSNorm: expected two inputs, x and its gate z, got x alone; give [x, z]"),
    ],
    [
      "a gate of another shape",
      () => apply(ek, gatedRMSNorm(), [x, array([2, 6])]),
      new RangeError(
        "gatedRMSNorm: z must have the shape of x, [2, 3, 6], got [2, 6]; both are projections of one input",
      ),
    ],
    [
      "groups that do not divide",
      () => apply(ek, gatedRMSNorm({ groups: 4 }), [x, x]),
      new RangeError(
        "gatedRMSNorm: groups must divide the 6 features of axis -1, got 4; it is the number of groups, not the size of one",
      ),
    ],
    [
      "an unknown place of the gate",
      () => gatedRMSNorm({ gate: "inside" as never }),
      new RangeError('gatedRMSNorm: gate must be "before" or "after", got "inside"'),
    ],
    [
      "an unknown activation",
      () => gatedRMSNorm({ activation: "relu" as never }),
      new RangeError('gatedRMSNorm: activation must be "silu" or "sigmoid", got "relu"'),
    ],
    [
      "one map",
      () => apply(ek, spatiallyAdaptiveNorm(), [x, x]),
      new TypeError(
        "spatiallyAdaptiveNorm: expected three inputs, x, gamma and beta, got 2; compute a map of each from the condition",
      ),
    ],
    [
      "a map of other positions",
      () => apply(ek, spatiallyAdaptiveNorm(), [x, x, array([2, 1, 6])]),
      new RangeError(
        "spatiallyAdaptiveNorm: beta must have the shape of x, [2, 3, 6], got [2, 1, 6]; resize the condition to the positions " +
          "of x, and give the last convolution as many filters as x has channels",
      ),
    ],
    [
      "unknown statistics",
      () => spatiallyAdaptiveNorm({ statistics: "layer" as never }),
      new RangeError('spatiallyAdaptiveNorm: statistics must be "batch", "instance" or "group", got "layer"'),
    ],
    [
      "instances of one position",
      () =>
        apply(
          ek,
          spatiallyAdaptiveNorm({ statistics: "instance" }),
          [1, 2, 3].map(() => array([2, 1, 3])) as never,
        ),
      new RangeError(
        "spatiallyAdaptiveNorm: shape [2, 1, 3] has one value per statistic, whose variance is 0, so that y would be beta " +
          'whatever x is; use statistics: "batch" for a single position',
      ),
    ],
    [
      "no style",
      () => apply(ek, weightDemodulation(), x),
      new TypeError(
        "weightDemodulation: expected two inputs, the weight and a style, got one; give [weight, style]",
      ),
    ],
    [
      "a style of other inputs",
      () => apply(ek, weightDemodulation(), [x, array([2, 6])]),
      new RangeError(
        "weightDemodulation: style must have a factor for each example and each of the 3 inputs on axis 1, [batch, 3], got [2, 6]",
      ),
    ],
    [
      "inputs on the outputs' axis",
      () => apply(ek, weightDemodulation({ inputAxis: 2 }), [x, array([2, 6])]),
      new RangeError(
        "weightDemodulation: inputAxis must name another axis than that of the outputs, -1, got 2",
      ),
    ],
  ];
  it.each(cases)("%s", (_, run, error) => expect(run).toThrow(error));
});
