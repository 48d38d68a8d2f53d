/** Arrays of float16 and bfloat16 without a framework, against the float64 reference on the same values. */
import { describe, expect, it } from "vitest";
import {
  apply,
  type BackendArray,
  batchNorm,
  batchRenorm,
  dynamicTanh,
  type Evenkeel,
  type FusedNorm,
  groupNorm,
  instanceNorm,
  layerNorm,
  open,
  rmsNorm,
  type StorageType,
} from "../../src/index.js";
import { sizeOf } from "../../src/shape.js";
import { expectClose, hardInputs, largest, normal, tolerance } from "../support/numerics.js";

type Half = Exclude<StorageType, "float32">;
const types: Half[] = ["float16", "bfloat16"];
const ek = await open();
const reference = await open({ backend: "reference" });

/** Half the distance between neighbours of the type where the value lies; a little more, for values beside a middle. */
function rounding(type: Half, value: number): number {
  const [bits, least] = type === "float16" ? [11, -14] : [8, -126];
  const exponent = Math.max(least, Math.floor(Math.log2(Math.abs(value))));
  return 2 ** (exponent - bits) * 1.001;
}

function expectRounded(
  name: string,
  type: Half,
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  allowed: number,
): void {
  const scale = largest(Array.from(expected).filter(Number.isFinite)) || 1;
  const most = type === "float16" ? 65504 : Number.POSITIVE_INFINITY;
  expectClose(
    name,
    Float64Array.from(actual),
    Array.from(expected, (value) => (Math.abs(value) >= 65520 && most < 65520 ? value * Infinity : value)),
    (i) => rounding(type, expected[i]) + allowed * scale,
  );
}

const shapes: [FusedNorm, number[][]][] = [
  [
    layerNorm({ epsilon: 0 }),
    [
      [5, 3],
      [9, 32],
      [7, 769],
      [3, 4099],
      [2, 5001],
      [25, 1031],
    ],
  ],
  [
    layerNorm({ axis: [1, 2], epsilon: 0 }),
    [
      [2, 5, 7],
      [1, 70, 61],
    ],
  ],
  [
    rmsNorm({ epsilon: 0 }),
    [
      [4, 17],
      [3, 768],
      [2, 5003],
    ],
  ],
  [
    batchNorm({ axis: -1, epsilon: 0 }),
    [
      [5, 3],
      [500, 56],
      [68, 500],
      [601, 7],
    ],
  ],
  [
    batchNorm({ axis: 1, epsilon: 0 }),
    [
      [3, 5, 49],
      [2, 3, 4201],
      [2, 40, 64],
      [6, 3, 5, 5],
    ],
  ],
  [
    groupNorm({ groups: 2, axis: -1, epsilon: 0 }),
    [
      [2, 150, 16],
      [2, 9, 130],
    ],
  ],
  [
    groupNorm({ groups: 2, axis: 1, epsilon: 0 }),
    [
      [3, 6, 49],
      [2, 4, 2101],
    ],
  ],
  [
    instanceNorm({ axis: -1, epsilon: 0 }),
    [
      [2, 830, 5],
      [2, 49, 8],
    ],
  ],
  [
    instanceNorm({ axis: 1, epsilon: 0 }),
    [
      [3, 5, 49],
      [1, 2, 5000],
    ],
  ],
];
const inputs = ["unit normal", "mean at one and a half standard deviations", "one huge value", "constant"];
/** Exact in bfloat16, with a mean of 40 standard deviations. */
const far = (length: number, seed: number) =>
  normal(length, seed).map((value) => 128 + Math.round(2 * value));
/** A standard deviation whose square float32 does not hold. */
const tiny = (length: number, seed: number) => normal(length, seed, 1e-24, 1e-24);

async function take(array?: BackendArray): Promise<Float64Array> {
  return Float64Array.from(array ? await array.read() : []);
}

async function both(
  type: Half,
  norm: FusedNorm,
  shape: number[],
  values: Float32Array,
  residual: Float32Array | undefined,
  given: boolean,
) {
  const plan = norm.plan(shape);
  const parameters = sizeOf(plan.parameterShape);
  const statistics = sizeOf(plan.statisticsShape);
  const [gamma, beta] = [normal(parameters, 5, 1), normal(parameters, 6)];
  const stored = given
    ? {
        mean: norm.centered ? normal(statistics, 7) : undefined,
        variance: normal(statistics, 8).map((v) => v * v + 0.1),
      }
    : {};
  const size = sizeOf(shape);
  const own = [values, residual, normal(size, 9), normal(size, 10)].map(
    (of) => of && ek.array(shape, of, { type }),
  );
  const [x, other, dy, dSum] = own;
  const exact = await Promise.all(
    own.map(async (array) => array && reference.array(shape, await array.read())),
  );
  const result = ek.forward(norm, x as BackendArray, { gamma, beta, residual: other, ...stored });
  const ofReference = reference.forward(norm, exact[0] as BackendArray, {
    gamma,
    beta,
    residual: exact[1],
    ...stored,
  });
  if (result.sum && ofReference.sum) {
    // from here on, what was stored
    expectRounded("sum", type, await take(result.sum), await take(ofReference.sum), 1e-7);
    ofReference.sum.data.set(await take(result.sum));
    const again = reference.forward(norm, ofReference.sum, { gamma, beta, ...stored });
    Object.assign(ofReference, {
      y: again.y,
      mean: again.mean,
      variance: again.variance,
      saved: again.saved,
    });
  }
  const back = ek.backward(result.saved, dy as BackendArray, dSum);
  const ofBack = reference.backward(ofReference.saved, exact[2] as BackendArray, exact[3]);
  return { result, ofReference, back, ofBack };
}

describe.each(types)("%s", (type) => {
  it.each(shapes.map(([norm, all]) => [norm.name, norm, all] as const))(
    "%s: forward and backward within a rounding of the type",
    async (_, norm, all) => {
      for (const shape of all) {
        const size = sizeOf(shape);
        for (const [name, make] of [
          ...inputs.map((name) => [name, hardInputs[name]] as const),
          ["far", far] as const,
          ...(type === "bfloat16" ? [["tiny", tiny] as const] : []),
        ]) {
          // the types differ in their conversions alone
          if (size > 2000 && name !== (type === "float16" ? "unit normal" : "far")) continue;
          for (const [residual, given] of [
            [undefined, false],
            [normal(size, 3), false],
            [undefined, true],
          ] as const) {
            if ((size > 2000 || name !== "unit normal") && (residual || given)) continue;
            const label = `${norm.name} [${shape}] ${name}${residual ? " residual" : ""}${given ? " given" : ""}`;
            const { result, ofReference, back, ofBack } = await both(
              type,
              norm,
              shape,
              make(size, 1).map((value) => Math.min(value, 3e4)),
              residual,
              given,
            );
            expect([result.y.type, back.dx.type, result.sum?.type ?? type]).toEqual([type, type, type]);
            expectRounded(
              `${label}: y`,
              type,
              await take(result.y),
              await take(ofReference.y),
              tolerance.forward,
            );
            for (const of of ["mean", "variance"] as const) {
              if (!ofReference[of]) continue;
              expect(result[of]?.type).toBe("float32");
              const expected = await take(ofReference[of]);
              const scale = largest(expected) || 1;
              expectClose(
                `${label}: ${of}`,
                await take(result[of]),
                expected,
                () => 1e-37 + tolerance.forward * scale,
              );
            }
            expectRounded(
              `${label}: dx`,
              type,
              await take(back.dx),
              await take(ofBack.dx),
              tolerance.backward,
            );
            for (const of of ["dGamma", "dBeta"] as const) {
              expect(back[of]?.type).toBe("float32");
              const expected = await take(ofBack[of]);
              const scale = largest(expected) || 1;
              expectClose(
                `${label}: ${of}`,
                await take(back[of]),
                expected,
                () => 2 * tolerance.backward * scale,
              );
            }
          }
        }
      }
    },
  );

  it.each([1, 2])("masked and with alternating axes, on %i threads", async (threads) => {
    using each = await open({ threads });
    for (const [norm, shape, masked] of [
      [layerNorm(), [4, 6, 33], [4, 6]],
      [batchNorm({ axis: -1 }), [4, 600, 8], [4, 600]],
      [layerNorm({ axis: [0, 2] }), [3, 5, 70], undefined],
    ] as [FusedNorm, number[], number[] | undefined][]) {
      const size = sizeOf(shape);
      const mask = masked && {
        shape: masked,
        data: Float32Array.from({ length: sizeOf(masked) }, (_, i) => +(i % 3 > 0)),
      };
      const own = [1, 2, 3].map((seed) => each.array(shape, normal(size, seed), { type }));
      const exact = await Promise.all(own.map(async (array) => reference.array(shape, await array.read())));
      const gamma = normal(sizeOf(norm.plan(shape).parameterShape), 4);
      const result = each.forward(norm, own[0], { gamma, residual: own[1], mask });
      const sum = reference.array(shape, await (result.sum as BackendArray).read());
      const expected = reference.forward(norm, sum, { gamma, mask });
      expectRounded("y", type, await take(result.y), await take(expected.y), tolerance.forward);
      const back = each.backward(result.saved, own[2]);
      const ofBack = reference.backward(expected.saved, exact[2]);
      expectRounded("dx", type, await take(back.dx), await take(ofBack.dx), tolerance.backward);
    }
  });

  it("NaN and infinity stay where they are", async () => {
    const values = normal(3 * 40, 1);
    values[45] = Number.NaN;
    values[90] = Number.POSITIVE_INFINITY;
    const { y } = ek.forward(layerNorm(), ek.array([3, 40], values, { type }));
    const rows = [0, 1, 2].map(async (row) => (await y.read()).subarray(row * 40, (row + 1) * 40));
    const [first, second, third] = await Promise.all(rows);
    expect(first.every(Number.isFinite)).toBe(true);
    expect(second.every(Number.isNaN)).toBe(true);
    expect(third.some(Number.isNaN)).toBe(true);
  });
});

it("values are rounded once: a tie of float32 that is none of float64", async () => {
  const value = 1 + 2 ** -11 + 2 ** -40;
  for (const backend of [ek, reference]) {
    expect(Array.from(await backend.array([1], [value], { type: "float16" }).read())).toEqual([1 + 2 ** -10]);
    expect(
      Array.from(await backend.array([1], [1 + 2 ** -8 + 2 ** -40], { type: "bfloat16" }).read()),
    ).toEqual([1 + 2 ** -7]);
    const overflowing = await backend.array([3], [65519, 65520, -1e6], { type: "float16" }).read();
    expect(Array.from(overflowing)).toEqual([65504, Infinity, -Infinity]);
  }
});

it("takes half the bytes, is shown as others are, and counts its elements", async () => {
  for (const backend of [ek, reference]) {
    const before = backend.memory();
    using x = backend.array([2, 2], [1, -2.5, 0.1, Number.NaN], { type: "bfloat16" });
    expect(x.type).toBe("bfloat16");
    expect(backend.memory()).toEqual({ arrays: before.arrays + 1, elements: before.elements + 4 });
    expect(String(x)).toBe("[2, 2] [[1, -2.5],\n [0.100098, NaN]]");
    const { shape, data, type } = JSON.parse(JSON.stringify(x));
    expect([shape, data, type]).toEqual([[2, 2], [1, -2.5, 0.10009765625, null], "bfloat16"]);
    expect(() => x.data).toThrow(
      new TypeError(
        "data: a bfloat16 array of shape [2, 2] has no float32 values in memory; await read() gives a copy of them, and " +
          'cast(array, "float32") an array',
      ),
    );
    using wide = backend.cast(x, "float32");
    expect(Array.from(wide.data)).toEqual([1, -2.5, 0.10009765625, Number.NaN]);
    using other = backend.cast(x, "float16");
    using same = backend.cast(other, "float16");
    expect(Array.from(await same.read())).toEqual([1, -2.5, 0.10009765625, Number.NaN]);
    using plain = backend.cast({ shape: [1], data: Float32Array.of(0.3) }, "float16");
    expect(Array.from(await plain.read())).toEqual([0.300048828125]);
    expect(backend.memory().arrays).toBe(before.arrays + 5);
  }
  const kernels = ek.array([1]).kernels as { heap?: { memory: WebAssembly.Memory } };
  const bytes = () => kernels.heap?.memory.buffer.byteLength as number;
  const before = bytes();
  using large = ek.array([before / 2], undefined, { type: "float16" });
  expect(bytes() - before).toBeLessThan(large.size * 3);
});

it("float32 gradients are taken as they are, and dx has the type of x", async () => {
  const shape = [5, 40];
  const x = ek.array(shape, normal(200, 1), { type: "float16" });
  const dy = ek.array(shape, normal(200, 2));
  const gamma = normal(40, 3);
  const { saved } = ek.forward(layerNorm(), x, { gamma });
  const { dx, dGamma } = ek.backward(saved, dy);
  expect([dx.type, dGamma?.type]).toEqual(["float16", "float32"]);
  const wide = ek.forward(layerNorm(), ek.cast(x, "float32"), { gamma });
  const narrow = ek.cast(ek.backward(wide.saved, dy).dx, "float16");
  expect(await dx.read()).toEqual(await narrow.read());
  // and of float32 by gradients of a narrower type
  const back = ek.backward(wide.saved, ek.cast(dy, "bfloat16"));
  expect(back.dx.type).toBe("float32");
  const { arrays } = ek.memory();
  for (const array of Object.values(ek.backward(saved, dy))) array?.dispose();
  expect(ek.memory().arrays).toBe(arrays);
});

it("formulas compute in float32, and give what they were given", async () => {
  const before = ek.memory().arrays;
  const shape = [4, 6, 16];
  for (const norm of [layerNorm(), dynamicTanh(), batchRenorm({ axis: -1 })]) {
    for (const type of types) {
      using x = ek.array(shape, normal(384, 1), { type });
      using residual = ek.array(shape, normal(384, 2), { type });
      using dy = ek.array(shape, normal(384, 3), { type });
      const wide = [x, residual, dy].map((array) => ek.cast(array, "float32"));
      const [narrow, exact] = [[x, residual, dy], wide].map(([x, residual, dy]) => {
        const applied = apply(ek, norm, x, {}, { residual });
        const { y, sum } = applied;
        const gradients = applied.backward(dy);
        return {
          y,
          sum: sum as BackendArray,
          dx: gradients.dx,
          weights: gradients.weights as Record<string, BackendArray>,
        };
      });
      for (const of of ["y", "sum", "dx"] as const) {
        expect([of, narrow[of].type]).toEqual([of, type]);
        using rounded = ek.cast(exact[of], type);
        expect(await narrow[of].read()).toEqual(await rounded.read());
      }
      for (const [name, gradient] of Object.entries(narrow.weights)) {
        expect(gradient.type).toBe("float32");
        expect(gradient.data).toEqual(exact.weights[name].data);
      }
      for (const { y, sum, dx, weights } of [narrow, exact]) {
        for (const array of [y, sum, dx, ...Object.values(weights)]) array.dispose();
      }
      for (const array of wide) array.dispose();
    }
  }
  expect(ek.memory().arrays).toBe(before);
});

describe("says what does not fit", () => {
  const shape = [2, 4];
  const of = (type: StorageType) => ek.array(shape, normal(8, 1), { type });
  const x = of("bfloat16");
  const { saved } = ek.forward(layerNorm(), x);
  it.each<[string, (each: Evenkeel) => unknown, Error]>([
    [
      "a type that there is not",
      (each) => each.array([1], [1], { type: "float64" as "float32" }),
      new RangeError('array: type must be "float32", "float16" or "bfloat16", got "float64"'),
    ],
    [
      "no type",
      (each) => each.cast(x, undefined as never),
      new RangeError('cast: type must be "float32", "float16" or "bfloat16", got undefined'),
    ],
    [
      "other words",
      (each) => each.array([1], [1], { dtype: "float16" } as object),
      new TypeError('array: no option is called "dtype"; it is called type here'),
    ],
    [
      "a residual of another type",
      (each) => each.forward(layerNorm(), x, { residual: of("float32") }),
      new TypeError(
        'layerNorm: residual must be bfloat16, as x is, got float32; cast it by ek.cast(residual, "bfloat16")',
      ),
    ],
    [
      "a gamma that is not float32",
      (each) => each.forward(layerNorm(), x, { gamma: each.array([4], [1, 1, 1, 1], { type: "bfloat16" }) }),
      new TypeError(
        'layerNorm: gamma must be float32, whatever x is, got bfloat16; cast it by ek.cast(gamma, "float32")',
      ),
    ],
    [
      "float16 gradients of bfloat16",
      (each) => each.backward(saved, of("float16")),
      new TypeError(
        'layerNorm: dy must be bfloat16, as x is, got float16; cast it by ek.cast(dy, "bfloat16")',
      ),
    ],
    [
      "two types of gradients",
      (each) => each.backward(each.forward(layerNorm(), of("float32")).saved, of("float16"), of("bfloat16")),
      new TypeError(
        'layerNorm: dSum must be float16, as dy is, got bfloat16; cast it by ek.cast(dSum, "float16")',
      ),
    ],
    [
      "a disposed array",
      (each) => {
        const array = of("float16");
        array.dispose();
        each.cast(array, "float32");
      },
      new Error("cast: array: this array of shape [2, 4] was disposed; keep it until its last use"),
    ],
  ])("%s", (_, call, error) => {
    expect(() => call(ek)).toThrow(error);
  });
});
