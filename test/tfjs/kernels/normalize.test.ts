/** The TensorFlow.js operation, fused (wasm) and composed (cpu), forward and gradient, against the float64 reference. */
import * as tf from "@tensorflow/tfjs-core";
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import {
  batchNorm,
  type FusedNorm,
  groupNorm,
  instanceNorm,
  layerNorm,
  open,
  type PlainArray,
  rmsNorm,
} from "../../../src/index.js";
import { sizeOf } from "../../../src/shape.js";
import { install, type Normalized, normalize } from "../../../src/tfjs/index.js";
import { fusedKernels } from "../../../src/tfjs/kernels/fused.js";
import { expectClose, largest, normal, random } from "../../support/numerics.js";
import { backends, leakless, use } from "../../support/tfjs-backends.js";

const reference = await open({ backend: "reference" });

const cases: { norm: FusedNorm; shape: number[] }[] = [
  { norm: layerNorm(), shape: [7, 33] },
  { norm: layerNorm(), shape: [2, 3, 16] },
  { norm: layerNorm({ axis: [1, 3] }), shape: [2, 3, 4, 5] },
  { norm: layerNorm({ axis: [0, 1] }), shape: [3, 5] },
  { norm: rmsNorm(), shape: [4, 19] },
  { norm: rmsNorm({ axis: [0, 2] }), shape: [3, 4, 5] },
  { norm: batchNorm(), shape: [9, 6] },
  { norm: batchNorm(), shape: [2, 5, 5, 6] },
  { norm: batchNorm({ axis: 1 }), shape: [2, 6, 5, 5] },
  { norm: groupNorm({ groups: 3 }), shape: [2, 4, 4, 6] },
  { norm: groupNorm({ groups: 3, axis: 1 }), shape: [2, 6, 4, 4] },
  { norm: instanceNorm(), shape: [2, 4, 4, 3] },
  { norm: instanceNorm({ axis: 1 }), shape: [2, 3, 4, 4] },
];
const settings = cases.flatMap((one) =>
  (["gamma and beta", "gamma", "beta", "neither"] as const).flatMap((affine) =>
    [false, true].map((given) => ({ ...one, affine, given, name: `${one.norm.name} [${one.shape}]` })),
  ),
);

const maskCases: { norm: FusedNorm; shape: number[]; mask: number[] }[] = [
  { norm: layerNorm(), shape: [3, 4, 5], mask: [3, 4] },
  { norm: layerNorm({ axis: [1, 2] }), shape: [3, 4, 5], mask: [3, 4] },
  // the plan moves the axes
  { norm: layerNorm({ axis: [1, 3] }), shape: [2, 3, 4, 5], mask: [2, 3, 1, 5] },
  // no view of four numbers keeps these axes
  { norm: layerNorm({ axis: [2, 3, 4] }), shape: [2, 3, 4, 2, 3], mask: [2, 1, 4, 1, 3] },
  { norm: rmsNorm(), shape: [3, 4, 5], mask: [3, 4, 5] },
  { norm: batchNorm(), shape: [3, 4, 6], mask: [3, 4] },
  { norm: batchNorm({ axis: 1 }), shape: [3, 6, 4], mask: [3, 1, 4] },
  { norm: groupNorm({ groups: 3 }), shape: [3, 4, 6], mask: [3, 4] },
  { norm: groupNorm({ groups: 3, axis: 1 }), shape: [3, 6, 4], mask: [3, 1, 4] },
  { norm: instanceNorm(), shape: [3, 4, 2], mask: [3, 4] },
  { norm: instanceNorm({ axis: 1 }), shape: [3, 2, 4], mask: [3, 1, 4] },
];
const maskSettings = maskCases.flatMap((one) =>
  (["float32", "bool"] as const).flatMap((dtype) =>
    [false, true].map((given) => ({ ...one, dtype, given, name: `${one.norm.name} [${one.shape}]` })),
  ),
);

describe.each(backends)("%s", (backend) => {
  beforeAll(async () => {
    await use(backend);
    await install();
    expect(fusedKernels(tf.backend()) !== null).toBe(backend === "wasm");
  });

  it.each(
    [
      { norm: layerNorm(), shape: [3, 4, 5] },
      { norm: layerNorm({ axis: [1, 3] }), shape: [2, 3, 2, 4] },
      { norm: rmsNorm(), shape: [7, 9] },
      { norm: batchNorm({ axis: 1 }), shape: [3, 2, 5] },
    ].flatMap(({ norm, shape }) =>
      [false, true].flatMap((given) =>
        ["y and the sum", "y alone", "the sum alone"].map((used) => ({
          ...{ norm, shape, given, used },
          name: `${norm.name} [${shape}]`,
        })),
      ),
    ),
  )("residual of $name, statistics given: $given, the loss of $used", ({ norm, shape, given, used }) => {
    const plan = norm.plan(shape);
    const of = (seed: number, length = sizeOf(shape)) => Float64Array.from(normal(length, seed, 0.5, 2));
    const like = (data: Float64Array) => ({ shape, data });
    const [x, residual, gamma] = [of(1), of(2), of(3, sizeOf(plan.parameterShape))];
    const dy = used === "the sum alone" ? new Float64Array(x.length) : of(4);
    const dSum = used === "y alone" ? new Float64Array(x.length) : of(5);
    const variance = given ? of(6, sizeOf(plan.statisticsShape)).map((v) => v * v + 0.1) : undefined;
    const mean = given && norm.centered ? of(7, sizeOf(plan.statisticsShape)) : undefined;
    const expected = reference.forward<PlainArray>(norm, like(x), {
      ...{ gamma, mean, variance },
      residual: like(residual),
    });
    const gradient = reference.backward(expected.saved, like(dy), like(dSum));
    leakless(norm.name, () =>
      tf.tidy(() => {
        const tensor = (values: Float64Array, to: readonly number[] = shape) =>
          tf.tensor(Float32Array.from(values), [...to]);
        const given = {
          mean: mean && tensor(mean, plan.statisticsShape),
          variance: variance && tensor(variance, plan.statisticsShape),
        };
        const run = (list: tf.Tensor[]) =>
          normalize(norm, list[0], { residual: list[1], gamma: list[2], ...given }) as Required<Normalized>;
        const loss = (...list: tf.Tensor[]) => {
          const { y, sum } = run(list);
          const of = (result: tf.Tensor, upstream: Float64Array) => tf.sum(tf.mul(result, tensor(upstream)));
          if (used === "y alone") return of(y, dy) as tf.Scalar;
          if (used === "the sum alone") return of(sum, dSum) as tf.Scalar;
          return tf.add(of(y, dy), of(sum, dSum)) as tf.Scalar;
        };
        const inputs = [tensor(x), tensor(residual), tensor(gamma, plan.parameterShape)];
        const close = (name: string, actual: tf.Tensor, { data }: PlainArray) =>
          expectClose(name, actual.dataSync() as Float32Array, data, () => 2e-5 * Math.max(1, largest(data)));
        const { y, sum } = run(inputs);
        close("y", y, expected.y);
        close("sum", sum, expected.sum as PlainArray);
        const [dx, dResidual, dGamma] = tf.grads(loss)(inputs);
        close("dx", dx, gradient.dx);
        close("dResidual", dResidual, gradient.dx);
        close("dGamma", dGamma, gradient.dGamma as PlainArray);
      }),
    );
  });

  it.each(settings)("$name, $affine, statistics given: $given", ({ norm, shape, affine, given }) => {
    const plan = norm.plan(shape);
    const x = normal(sizeOf(shape), 1, 0.5, 2);
    const dy = normal(sizeOf(shape), 2);
    const gamma = affine.includes("gamma") ? normal(sizeOf(plan.parameterShape), 3, 1, 0.5) : undefined;
    const beta = affine.includes("beta") ? normal(sizeOf(plan.parameterShape), 4) : undefined;
    const variance = given ? normal(sizeOf(plan.statisticsShape), 5).map((v) => v * v + 0.1) : undefined;
    const mean = given && norm.centered ? normal(sizeOf(plan.statisticsShape), 6) : undefined;

    const wide = (values?: Float32Array) => values && Float64Array.from(values);
    const parameters = { gamma: wide(gamma), beta: wide(beta), mean: wide(mean), variance: wide(variance) };
    const plain: PlainArray = { shape, data: Float64Array.from(x) };
    const expected = reference.forward(norm, plain, parameters);
    const gradient = reference.backward(expected.saved, { shape, data: Float64Array.from(dy) });

    leakless(norm.name, () =>
      tf.tidy(() => {
        const tensor = (values: Float32Array | undefined, of: readonly number[]) =>
          values && tf.tensor(values, [...of]);
        const constants = {
          mean: tensor(mean, plan.statisticsShape),
          variance: tensor(variance, plan.statisticsShape),
        };
        const inputs = [
          tf.tensor(x, shape),
          tensor(gamma, plan.parameterShape),
          tensor(beta, plan.parameterShape),
        ];
        const present = inputs.filter((input) => input !== undefined);
        const apply = (list: tf.Tensor[]) => {
          const [first, ...rest] = list;
          return normalize(norm, first, {
            gamma: gamma && rest.shift(),
            beta: beta && rest.shift(),
            ...constants,
          });
        };
        const result = apply(present);
        const close = (
          name: string,
          actual: tf.Tensor | undefined,
          wanted: PlainArray | undefined,
          tolerance: number,
        ) => {
          if (wanted === undefined) expect(actual, name).toBeUndefined();
          else
            expectClose(
              name,
              actual?.dataSync() as Float32Array,
              wanted.data,
              (i) => tolerance * (1 + Math.abs(wanted.data[i])),
            );
        };
        expect(result.y.shape).toEqual(shape);
        close("y", result.y, expected.y, 2e-6);
        close("mean", result.mean, expected.mean, 1e-6);
        close("variance", result.variance, expected.variance, 1e-5);
        const upstream = tf.tensor(dy, shape);
        const gradients = tf.grads((...list: tf.Tensor[]) => apply(list).y)(present, upstream);
        expect(gradients[0].shape).toEqual(shape);
        close("dx", gradients.shift(), gradient.dx, 2e-5);
        if (gamma) close("dGamma", gradients.shift(), gradient.dGamma, 2e-5);
        if (beta) close("dBeta", gradients.shift(), gradient.dBeta, 2e-5);
      }),
    );
  });

  it("has a gradient of its gradient", () => {
    const shape = [3, 5];
    const composed = (x: tf.Tensor) => {
      const centered = tf.sub(x, tf.mean(x, 1, true));
      return tf.div(centered, tf.sqrt(tf.add(tf.mean(tf.square(centered), 1, true), 1e-5)));
    };
    const penalty = (f: (x: tf.Tensor) => tf.Tensor) =>
      tf.grad((x) => tf.sum(tf.square(tf.grad((inner) => tf.sum(tf.mul(f(inner), weights)))(x))));
    const weights = tf.tensor(normal(15, 9), shape);
    const x = tf.tensor(normal(15, 8), shape);
    const expected = penalty(composed)(x).dataSync();
    const actual = penalty((input) => normalize(layerNorm(), input).y)(x).dataSync();
    expectClose(
      "second gradient",
      actual as Float32Array,
      expected,
      (i) => 1e-4 * (1 + Math.abs(expected[i])),
    );
  });

  it.each(maskSettings)(
    "$name, mask [$mask] of $dtype, statistics given: $given",
    ({ norm, shape, mask, dtype, given }) => {
      const plan = norm.plan(shape);
      const next = random(10);
      // the first statistics count nothing in some cases
      const counts = Uint8Array.from({ length: sizeOf(mask) }, (_, i) =>
        i < mask[1] || next() < 0.4 ? 0 : 1,
      );
      const whole = tf.tidy(() =>
        tf
          .mul(
            tf.ones(shape),
            tf.reshape(
              tf.tensor(counts, mask, "float32"),
              [...mask, ...shape.map(() => 1)].slice(0, shape.length),
            ),
          )
          .dataSync(),
      );
      const padded = (values: Float32Array) => values.map((value, i) => (whole[i] ? value : Number.NaN));
      const x = padded(normal(sizeOf(shape), 1, 0.5, 2));
      const dy = padded(normal(sizeOf(shape), 2));
      const gamma = normal(sizeOf(plan.parameterShape), 3, 1, 0.5);
      const beta = normal(sizeOf(plan.parameterShape), 4);
      const variance = given ? normal(sizeOf(plan.statisticsShape), 5).map((v) => v * v + 0.1) : undefined;
      const mean = given && norm.centered ? normal(sizeOf(plan.statisticsShape), 6) : undefined;
      const wide = (values?: Float32Array) => values && Float64Array.from(values);
      const expected = reference.forward<PlainArray>(
        norm,
        { shape, data: Float64Array.from(x) },
        {
          gamma: wide(gamma),
          beta: wide(beta),
          mean: wide(mean),
          variance: wide(variance),
          mask: { shape: mask, data: counts },
        },
      );
      const gradient = reference.backward(expected.saved, { shape, data: Float64Array.from(dy) });

      leakless(norm.name, () =>
        tf.tidy(() => {
          const constants = {
            mean: mean && tf.tensor(mean, [...plan.statisticsShape]),
            variance: variance && tf.tensor(variance, [...plan.statisticsShape]),
            mask: tf.tensor(counts, mask, dtype),
          };
          const inputs = [
            tf.tensor(x, shape),
            tf.tensor(gamma, [...plan.parameterShape]),
            tf.tensor(beta, [...plan.parameterShape]),
          ];
          const result = normalize(norm, inputs[0], { gamma: inputs[1], beta: inputs[2], ...constants });
          const close = (name: string, actual: tf.Tensor | undefined, wanted: PlainArray | undefined) => {
            if (wanted === undefined) return expect(actual, name).toBeUndefined();
            const values = actual?.dataSync() as Float32Array;
            // what it takes from the spread of a few elements
            expectClose(name, values, wanted.data, (i) => 1e-4 * (1 + Math.abs(wanted.data[i])));
          };
          close("y", result.y, expected.y);
          close("mean", result.mean, expected.mean);
          close("variance", result.variance, expected.variance);
          const gradients = tf.grads((x, gamma, beta) => normalize(norm, x, { gamma, beta, ...constants }).y)(
            inputs,
            tf.tensor(dy, shape),
          );
          close("dx", gradients[0], gradient.dx);
          close("dGamma", gradients[1], gradient.dGamma);
          close("dBeta", gradients[2], gradient.dBeta);
        }),
      );
    },
  );

  it("has a gradient of its gradient with a mask", () => {
    const shape = [3, 5];
    const counts = tf.tensor([1, 1, 0, 1, 1, 0, 1, 1, 1, 1, 0, 0, 0, 0, 0], shape);
    const n = tf.maximum(tf.sum(counts, 1, true), 1);
    const average = (values: tf.Tensor) => tf.div(tf.sum(tf.mul(values, counts), 1, true), n);
    const composed = (x: tf.Tensor) => {
      const centered = tf.mul(tf.sub(x, average(x)), counts);
      return tf.div(centered, tf.sqrt(tf.add(average(tf.square(centered)), 1e-5)));
    };
    const penalty = (f: (x: tf.Tensor) => tf.Tensor) =>
      tf.grad((x) => tf.sum(tf.square(tf.grad((inner) => tf.sum(tf.mul(f(inner), weights)))(x))));
    const weights = tf.tensor(normal(15, 9), shape);
    const values = normal(15, 8);
    const x = tf.tensor(values, shape);
    const stray = tf.tensor(
      values.map((value, i) => (counts.dataSync()[i] ? value : Number.NaN)),
      shape,
    );
    const expected = penalty(composed)(x).dataSync();
    const actual = penalty((input) => normalize(layerNorm(), input, { mask: counts }).y)(stray).dataSync();
    expectClose(
      "second gradient",
      actual as Float32Array,
      expected,
      (i) => 1e-4 * (1 + Math.abs(expected[i])),
    );
  });

  it("a mask that is made of x is a constant to the gradient", () => {
    const x = tf.tensor2d([
      [1, 3, 0],
      [2, 5, 9],
    ]);
    const f = (x: tf.Tensor) => normalize(layerNorm(), x, { mask: tf.notEqual(x, 0) }).y;
    const g = (x: tf.Tensor) => normalize(layerNorm(), x, { mask: tf.cast(tf.clone(x), "bool") }).y;
    const dy = tf.tensor2d([
      [1, 2, 3],
      [3, 1, 7],
    ]);
    const constant = tf.notEqual(x, 0);
    const expected = tf
      .grad((x) => normalize(layerNorm(), x, { mask: constant }).y)(x, dy)
      .dataSync();
    expect(tf.grad(f)(x, dy).dataSync()).toEqual(expected);
    expect(tf.grad(g)(x, dy).dataSync()).toEqual(expected);
  });

  it("takes int32 tensors as float32", () => {
    const y = normalize(layerNorm(), tf.tensor2d([[1, 2, 3]], [1, 3], "int32")).y;
    expect(y.dtype).toBe("float32");
    expect(y.dataSync()[2]).toBeCloseTo(1.2247, 3);
  });

  it("takes parameters of other types and with axes of length 1, and gives gradients in their shapes", () => {
    const x = tf.tensor2d([[1, 2, 4]]);
    const expected = normalize(layerNorm(), x, { gamma: tf.tensor1d([1, 2, 3]) }).y.dataSync();
    for (const gamma of [tf.tensor1d([1, 2, 3], "int32"), tf.tensor2d([[1, 2, 3]])]) {
      expect([...normalize(layerNorm(), x, { gamma }).y.dataSync()]).toEqual([...expected]);
    }
    const dGamma = tf.grad((gamma) => tf.sum(normalize(layerNorm(), x, { gamma }).y))(
      tf.tensor2d([[1, 2, 3]]),
    );
    expect(dGamma.shape).toEqual([1, 3]);
  });

  it("says what does not fit", () => {
    const x = tf.zeros([2, 4]);
    expect(() => normalize(layerNorm(), x, { gamma: tf.ones([3]) })).toThrow(
      "layerNorm: gamma must have shape [4], got [3]",
    );
    expect(() => normalize(groupNorm({ groups: 3 }), x)).toThrow(
      "groupNorm: groups must divide the 4 channels of axis -1, got 3; 1, 2, 4 would",
    );
    expect(() => normalize(batchNorm(), x, { variance: tf.ones([4]) })).toThrow(TypeError);
    expect(() => normalize(batchNorm(), x, { mean: tf.ones([4]) })).toThrow(
      new TypeError("batchNorm: mean and variance must be given together, or neither of them"),
    );
    expect(() =>
      normalize(layerNorm({ axis: [1, 2] }), tf.zeros([2, 3, 4]), { gamma: tf.ones([4, 3]) }),
    ).toThrow("layerNorm: gamma must have shape [3, 4], got [4, 3]");
    expect(() => normalize(layerNorm(), x, { mask: tf.ones([3]) })).toThrow(
      new RangeError(
        "layerNorm: mask must have the shape of x, [2, 4], with axes of length 1 or left out at the end, got [3]; " +
          "give length 1 to each axis that it does not tell apart",
      ),
    );
  });
});

describe("install", () => {
  const { compile } = WebAssembly;
  afterEach(() => {
    WebAssembly.compile = compile;
  });

  it("says why the operation is not fused, and needs no WebAssembly for other backends", async () => {
    await use("cpu");
    expect(await install()).toEqual({
      backend: "cpu",
      fused: false,
      trainingKernels: [],
      reason: "the cpu backend has no fused kernels; the wasm backend does",
    });
    WebAssembly.compile = async () => Promise.reject(new WebAssembly.CompileError());
    expect(await install()).toMatchObject({
      fused: false,
      reason: expect.stringContaining("does not allow WebAssembly to be compiled"),
    });
    expect(normalize(layerNorm(), tf.tensor2d([[1, 3]])).y.dataSync()[0]).toBeCloseTo(-1, 3);
  });
});

it("a tensor that has no room raises, and spoils nothing", async () => {
  await use("wasm");
  await install();
  const witness = tf.ones([4]);
  const backend = tf.backend() as unknown as { wasm: { _malloc(bytes: number): number } };
  const malloc = backend.wasm._malloc;
  backend.wasm._malloc = () => 0;
  try {
    expect(() => normalize(layerNorm(), tf.engine().keep(witness))).toThrow(
      new RangeError(
        "evenkeel: TensorFlow.js's wasm memory has no room for 16 bytes more; dispose of tensors",
      ),
    );
  } finally {
    backend.wasm._malloc = malloc;
  }
  expect([...witness.dataSync()]).toEqual([1, 1, 1, 1]);
});
