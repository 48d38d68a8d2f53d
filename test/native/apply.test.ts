/** Applying a normalization in each host: what is refused, what is released, and what goes where. */
import { defaultDevice, grad, numpy as np, init as startJax } from "@jax-js/jax";
import * as tf from "@tensorflow/tfjs-core";
import * as tfl from "@tensorflow/tfjs-layers";
import { beforeAll, describe, expect, it } from "vitest";
import {
  adaptiveLayerNorm,
  apply,
  BatchNorm,
  dynamicTanh,
  type Input,
  instanceNorm,
  Layer,
  LayerNorm,
  layerNorm,
  type Mask,
  type Normalization,
  normalizedAttention,
  onlineNorm,
  open,
  type PlainArray,
  residualBlock,
  rmsNorm,
  withActivation,
  withDropout,
} from "../../src/index.js";
import * as jax from "../../src/jax/index.js";
import { sizeOf } from "../../src/shape.js";
import { install, layers } from "../../src/tfjs/index.js";
import { apply as applyTf } from "../../src/tfjs/layers/apply.js";
import { expectClose, normal } from "../support/numerics.js";
import { backends, use } from "../support/tfjs-backends.js";

const ek = await open({ backend: "wasm", threads: 1 });
const array = (shape: number[], seed = 1): PlainArray => ({ shape, data: normal(sizeOf(shape), seed, 0.5) });
const held = (shape: number[], seed = 1) => ek.array(shape, normal(sizeOf(shape), seed, 0.5));

beforeAll(async () => {
  await startJax("wasm");
  defaultDevice("wasm");
});

describe("without a framework", () => {
  it("takes a mask of booleans as one of numbers", () => {
    const x = array([2, 3]);
    for (const norm of [dynamicTanh(), layerNorm()]) {
      const [numbers, booleans] = [
        [1, 0],
        [true, false],
      ].map((data) => apply(ek, norm, x, {}, { mask: { shape: [2], data } as Mask }).y.data);
      expect([...booleans]).toEqual([...numbers]);
      expect([...booleans.slice(3)]).toEqual([0, 0, 0]);
    }
  });

  it("adds the gradient that came by another way, with a residual and without one", () => {
    const [x, dy, dSum] = [array([2, 3]), array([2, 3], 2), array([2, 3], 3)];
    for (const residual of [undefined, array([2, 3], 4)]) {
      for (const norm of [layerNorm(), dynamicTanh()]) {
        const gradient = (more?: { dSum: PlainArray }) =>
          apply(ek, norm, x, {}, { residual }).backward(dy, more).dx;
        const expected = gradient().data.map((value, i) => value + dSum.data[i]);
        expectClose("dx", gradient({ dSum }).data, expected, () => 1e-6);
      }
    }
    const layer = new LayerNorm(ek, 3);
    layer.forward(x);
    const alone = layer.backward(dy);
    layer.forward(x);
    expectClose(
      "dx",
      layer.backward(dy, dSum).data,
      alone.data.map((value, i) => value + dSum.data[i]),
      () => 1e-6,
    );
    layer.dispose();
  });

  it("goes back once, and takes another dy where one was refused", () => {
    const [x, dy] = [array([2, 3]), array([2, 3], 2)];
    for (const norm of [layerNorm(), dynamicTanh()]) {
      const applied = apply(ek, norm, x);
      expect(() => applied.backward(array([2, 2]))).toThrow(
        new RangeError(`${norm.name}: dy must have shape [2, 3], got [2, 2]`),
      );
      const { dx } = applied.backward(dy);
      expect([...dx.data]).toEqual([...apply(ek, norm, x).backward(dy).dx.data]);
      const again = new Error(
        `${norm.name}: backward was called already, or after release; call apply again for another one`,
      );
      expect(() => applied.backward(dy)).toThrow(again);
      const released = apply(ek, norm, x);
      released.release();
      expect(() => released.backward(dy)).toThrow(again);
    }
  });

  it("rounds after the residual, and knows no padding then either", () => {
    const [x, residual] = [array([2, 3]), array([2, 3], 2)];
    const mask = { shape: [2], data: [1, 0] };
    const norm = rmsNorm({ type: "bfloat16" });
    const clean = apply(ek, norm, x, {}, { mask, residual });
    const spoiled = [x, residual].map(({ shape, data }) => ({
      shape,
      data: data.map((value, i) => (i < 3 ? value : Number.NaN)),
    }));
    const other = apply(ek, norm, spoiled[0], {}, { mask, residual: spoiled[1] });
    expect([...other.y.data]).toEqual([...clean.y.data]);
    expect(clean.sum?.data[4]).toBe(Math.fround(x.data[4] + residual.data[4]));
    const dy = array([2, 3], 3);
    const [a, b] = [clean, other].map((one) => one.backward(dy, { dSum: dy }));
    expect([...b.weights.gamma.data]).toEqual([...a.weights.gamma.data]);
    expectClose("dx of padding", a.dx.data.slice(3), dy.data.slice(3), () => 1e-12);
  });

  it("state that moves in the backward pass moves inside a block too", () => {
    const layer = new Layer(ek, residualBlock(onlineNorm()), [4, 4, 3]);
    const before = layer.stateDict();
    layer.forward(array([4, 4, 3]));
    layer.backward(array([4, 4, 3], 2));
    const after = layer.stateDict();
    const name = "branch/controlMean";
    expect(Object.keys(before)).toContain(name);
    expect([...after[name]]).not.toEqual([...before[name]]);
    layer.dispose();
  });

  it("a kernel alone is not taken for more than it is", () => {
    for (const norm of [
      withActivation(layerNorm(), "relu"),
      rmsNorm({ offset: 1 }),
      rmsNorm({ type: "float16" }),
    ]) {
      expect(() => ek.forward(norm as ReturnType<typeof layerNorm>, array([2, 3]))).toThrow(
        "forward: norm must be the operation alone",
      );
    }
  });

  it("an activation leaves padding at 0", () => {
    const norm = withActivation(layerNorm(), "sigmoid");
    const { y } = apply(ek, norm, array([2, 3]), {}, { mask: { shape: [2], data: [0, 1] } });
    expect([...y.data.slice(0, 3)]).toEqual([0, 0, 0]);
  });

  it("holds nothing after an error, and gives gradients of a condition", () => {
    const before = ek.memory().arrays;
    const batch = new BatchNorm(ek, 3);
    const one = held([1, 3]);
    expect(() => batch.forward(one)).toThrow("one value per channel");
    expect(() => apply(ek, withDropout(layerNorm(), 0.5), one)).toThrow("needs noise");
    batch.dispose();
    one.dispose();
    expect(ek.memory().arrays).toBe(before);

    const shapes = [
      [2, 4],
      [2, 3],
    ];
    const layer = new Layer(ek, adaptiveLayerNorm(), ...shapes);
    layer.weights.kernel.data.set(normal(layer.weights.kernel.size, 9));
    const [x, condition] = shapes.map((shape) => held(shape));
    const { y } = layer.call([x, condition]);
    layer.backward(y).dispose();
    expect(layer.inputGradients.map((gradient) => gradient?.length)).toEqual([6]);
    expect(layer.inputGradients[0]?.some((value) => value !== 0)).toBe(true);
    layer.dispose();
    for (const each of [x, condition, y]) each.dispose();
    expect(ek.memory().arrays).toBe(before);
  });

  it("keeps a weight of the backend whose memory grows before the way back", () => {
    const [x, gamma] = [held([2, 3]), ek.array([3, 1], [1, 2, 3])];
    const applied = apply(ek, layerNorm({ center: false }), x, { gamma });
    const large = ek.array([1 << 24]);
    const { dx, weights } = applied.backward(applied.y);
    for (const each of [x, gamma, applied.y, large, dx, weights.gamma]) (each as typeof x).dispose?.();
  });
});

const wrong: [
  string,
  Normalization,
  number[],
  { weights?: Record<string, number[]>; mask?: number[]; residual?: number[] },
  string,
][] = [
  [
    "a residual of another shape",
    dynamicTanh(),
    [2, 3],
    { residual: [4, 2, 3] },
    "dynamicTanh: residual must have the shape of x, [2, 3], got [4, 2, 3]",
  ],
  [
    "a residual that would broadcast",
    dynamicTanh(),
    [2, 3],
    { residual: [3] },
    "dynamicTanh: residual must have the shape of x, [2, 3], got [3]",
  ],
  [
    "a mask that would broadcast",
    dynamicTanh(),
    [1, 3],
    { mask: [5] },
    "dynamicTanh: mask must have the shape of x, [1, 3], with axes of length 1 or left out at the end, got [5]; give length 1 to each axis that it does not tell apart",
  ],
  [
    "a weight the other way round",
    normalizedAttention({ heads: 2, size: 4 }),
    [1, 3, 4],
    { weights: { queryKernel: [8, 4] } },
    "normalizedAttention: queryKernel must have shape [4, 8], got [8, 4]",
  ],
  [
    "a weight that there is not",
    layerNorm(),
    [2, 3],
    { weights: { gama: [3] } },
    "layerNorm: no weights are called gama; there are gamma, beta",
  ],
];

describe.each(wrong)("%s", (_, norm, shape, { weights = {}, mask, residual }, message) => {
  it("without a framework", () => {
    const given = Object.fromEntries(Object.entries(weights).map(([name, shape]) => [name, array(shape)]));
    expect(() =>
      apply(ek, norm, array(shape), given, {
        mask: mask && { shape: mask, data: new Uint8Array(sizeOf(mask)).fill(1) },
        residual: residual && array(residual),
      }),
    ).toThrow(new RangeError(message));
  });

  it("in TensorFlow.js", async () => {
    await use("cpu");
    tf.tidy(() => {
      const given = Object.fromEntries(
        Object.entries(weights).map(([name, shape]) => [name, tf.ones(shape)]),
      );
      const options = { mask: mask && tf.ones(mask), residual: residual && tf.ones(residual) };
      expect(() => applyTf(norm, tf.ones(shape), given, options)).toThrow(new RangeError(message));
    });
  });

  it("in jax-js", () => {
    const given = Object.fromEntries(Object.entries(weights).map(([name, shape]) => [name, np.ones(shape)]));
    const options = { mask: mask && np.ones(mask), residual: residual && np.ones(residual) };
    expect(() => jax.apply(norm, np.ones(shape), given, options)).toThrow(new RangeError(message));
  });
});

describe("what is no normalization, or no array", () => {
  const factory = layerNorm as unknown as Normalization;
  const text = (caller: string, argument = "norm") =>
    `${caller}: ${argument} must be a normalization, such as layerNorm(), got the function factory; call the function that makes it`;
  it.each<[string, () => unknown, string]>([
    ["a factory, without a framework", () => apply(ek, factory, array([2, 3])), text("apply")],
    ["a factory in a layer", () => new Layer(ek, factory, [2, 3]), text("Layer")],
    ["a factory in jax-js", () => jax.apply(factory, np.ones([2, 3])), text("apply")],
    ["a factory in TensorFlow.js", () => applyTf(factory, tf.ones([2, 3])), text("apply")],
    ["a factory in a block", () => residualBlock(factory), text("residualBlock", "branch")],
    [
      "no x",
      () => apply(ek, layerNorm(), undefined as unknown as PlainArray),
      "layerNorm: x must be an array with a shape, such as { shape: [2, 3], data }, got undefined for its shape",
    ],
    [
      "a list of numbers as a weight",
      () => apply(ek, layerNorm(), array([2, 3]), { gamma: [1, 2, 3] as unknown as Input }),
      "layerNorm: gamma must be a Float32Array, an array of the backend or { shape, data }, got [1, 2, 3]",
    ],
    [
      "a mask without a shape",
      () => apply(ek, dynamicTanh(), array([2, 3]), {}, { mask: new Uint8Array(2) as unknown as Mask }),
      "dynamicTanh: mask must be an array with a shape, such as { shape: [2, 3], data }, got undefined for its shape",
    ],
    [
      "a mask of words",
      () =>
        apply(
          ek,
          dynamicTanh(),
          array([2, 3]),
          {},
          { mask: { shape: [2], data: ["1", "0"] } as unknown as Mask },
        ),
      "dynamicTanh: mask must hold numbers or booleans, got string",
    ],
    [
      "no state",
      () => new LayerNorm(ek, 3).loadStateDict(undefined as unknown as Record<string, Float32Array>),
      "layerNorm: loadStateDict expected what stateDict() gives, arrays by name, got undefined",
    ],
  ])("%s", (_, run, message) => expect(run).toThrow(new TypeError(message)));

  it("too few values", () => {
    expect(() => apply(ek, dynamicTanh(), { shape: [2, 3], data: new Float32Array(5) })).toThrow(
      new RangeError("dynamicTanh: x of shape [2, 3] must have 6 values, got 5"),
    );
    expect(() => apply(ek, dynamicTanh(), array([2, 3]), {}, { mask: { shape: [2], data: [1] } })).toThrow(
      new RangeError("dynamicTanh: mask of shape [2] must have 2 values, got 1"),
    );
  });
});

describe("jax-js", () => {
  it("gives arguments back where it throws, under grad too", () => {
    const norm = normalizedAttention({ heads: 2 });
    const x = np.ones([1, 3, 4]);
    const before = x.refCount;
    // a mask of the wrong length is found out in the middle
    expect(() => jax.apply(instanceNorm(), x.ref, {}, { mask: np.ones([7]) })).toThrow(
      "mask must have the shape",
    );
    expect(x.refCount).toBe(before);
    const slope = grad((values: jax.JaxArray) => jax.apply(norm, values).y.sum() as never)(x.ref as never);
    expect((slope as unknown as jax.JaxArray).shape).toEqual([1, 3, 4]);
    expect(x.refCount).toBe(before);
  });
});

describe.each(backends)("TensorFlow.js on %s", (backend) => {
  beforeAll(async () => {
    await use(backend);
    await install();
  });

  it("outside a tidy leaves what it gives, and nothing else", () => {
    const x = tf.ones([2, 3]);
    const before = tf.memory().numTensors;
    const { y } = applyTf(dynamicTanh(), x);
    expect(tf.memory().numTensors).toBe(before + 1);
    y.dispose();
    x.dispose();
  });

  it("a mask that was lost on the way is not followed, one that comes through is", () => {
    const tokens = tf.tensor2d([
      [1, 2, 0],
      [3, 0, 0],
    ]);
    const embedding = () =>
      tfl.layers.embedding({
        inputDim: 5,
        outputDim: 4,
        inputLength: 3,
        maskZero: true,
        embeddingsInitializer: tfl.initializers.randomNormal({ seed: 3, stddev: 1 }),
      });
    const lost = tfl.sequential({
      layers: [
        embedding(),
        tfl.layers.globalAveragePooling1d({}),
        layers.layerNormalization({ name: "norm", useMask: true }),
      ],
    });
    expect([...(lost.predict(tokens) as tf.Tensor).dataSync()].every((value) => value !== 0)).toBe(true);
    const last = tfl.sequential({
      layers: [
        embedding(),
        tfl.layers.lstm({ units: 3, recurrentInitializer: "glorotNormal" }),
        layers.layerNormalization({ useMask: true }),
      ],
    });
    expect([...(last.predict(tokens) as tf.Tensor).dataSync()].every((value) => value !== 0)).toBe(true);
    const through = tfl.sequential({ layers: [embedding(), layers.layerNormalization({ useMask: true })] });
    const y = (through.predict(tokens) as tf.Tensor).dataSync();
    const zeros = Array.from({ length: 6 }, (_, step) =>
      y.slice(4 * step, 4 * step + 4).every((value) => value === 0),
    );
    expect(zeros).toEqual([false, false, true, false, true, true]);
  });

  it("a mask comes through sums of masked inputs, however many, and not to a layer that is shared", () => {
    const tokens = tf.tensor2d([
      [1, 2, 0],
      [3, 0, 0],
    ]);
    const input = tfl.input({ shape: [3] });
    const embedded = tfl.layers
      .embedding({ inputDim: 5, outputDim: 4, maskZero: true, embeddingsInitializer: "glorotNormal" })
      .apply(input) as tfl.SymbolicTensor;
    let x = embedded;
    for (let block = 0; block < 30; block++) {
      const branch = tfl.layers.dense({ units: 4 }).apply(x) as tfl.SymbolicTensor;
      x = tfl.layers.add().apply([x, branch]) as tfl.SymbolicTensor;
    }
    const y = layers.layerNormalization({ useMask: true }).apply(x) as tfl.SymbolicTensor;
    const model = tfl.model({ inputs: input, outputs: y });
    const data = (model.predict(tokens) as tf.Tensor).dataSync();
    const zeros = Array.from({ length: 6 }, (_, step) =>
      data.slice(4 * step, 4 * step + 4).every((v) => v === 0),
    );
    expect(zeros).toEqual([false, false, true, false, true, true]);

    const [a, b] = [tfl.input({ shape: [3, 4] }), tfl.input({ shape: [3, 4] })];
    const shared = layers.layerNormalization({ useMask: true });
    const masked = tfl.layers.masking({}).apply(a);
    const both = [masked, b].map((one) => shared.apply(one as tfl.SymbolicTensor) as tfl.SymbolicTensor);
    const two = tfl.model({ inputs: [a, b], outputs: both });
    const [, other] = two.predict([tf.zeros([2, 3, 4]), tf.randomNormal([2, 3, 4])]) as tf.Tensor[];
    expect([...other.dataSync()].every((value) => value !== 0)).toBe(true);
  });

  it("recurrent layers start apart, and say what they cannot do", () => {
    const [a, b] = [1, 2].map(() => layers.layerNormLSTM({ units: 3 }));
    for (const layer of [a, b]) layer.build([null, 5, 4]);
    expect([...a.variables.kernel.read().dataSync()]).not.toEqual([...b.variables.kernel.read().dataSync()]);
    expect(a.computeOutputShape([null, 5, 4])).toEqual([null, 3]);
    expect(() =>
      tfl.layers.bidirectional({ layer: layers.layerNormLSTM({ units: 3 }) as never, mergeMode: "concat" }),
    ).toThrow("LayerNormLSTM: goBackwards must be left out");
  });

  it("a threshold for each channel takes few operations on the way back", () => {
    const layer = layers.thresholdedLinearUnit();
    const x = tf.randomNormal([4, 8, 8, 3]);
    layer.apply(x);
    const engine = tf.engine();
    const { runKernel } = engine;
    let count = 0;
    engine.runKernel = function (this: typeof engine, ...call: Parameters<typeof runKernel>) {
      count++;
      return runKernel.apply(this, call);
    } as typeof runKernel;
    try {
      tf.tidy(() => {
        tf.variableGrads(() => tf.sum(layer.apply(x) as tf.Tensor));
      });
    } finally {
      engine.runKernel = runKernel;
    }
    expect(count).toBeLessThan(60);
  });

  it("the built-in layers give what TensorFlow.js gives behind a mask, and take none from null", () => {
    const x = tf.tensor(normal(12, 1), [2, 2, 3]);
    for (const layer of [tfl.layers.layerNormalization({}), tfl.layers.batchNormalization({})]) {
      const plain = (layer.apply(x) as tf.Tensor).dataSync();
      const masked = layer.apply(x, {
        mask: tf.tensor2d(
          [
            [1, 0],
            [1, 1],
          ],
          [2, 2],
          "bool",
        ),
      } as never) as tf.Tensor;
      expect([...masked.dataSync()]).toEqual([...plain]);
      const slope = tf.grad((values) => layer.apply(values, { mask: null } as never) as tf.Tensor)(x);
      expect(slope.shape).toEqual([2, 2, 3]);
    }
    const own = layers.layerNormalization();
    expect(tf.grad((values) => own.apply(values, { mask: null } as never) as tf.Tensor)(x).shape).toEqual([
      2, 2, 3,
    ]);
  });

  it("attention takes a context", () => {
    const [x, context] = [tfl.input({ shape: [3, 4] }), tfl.input({ shape: [5, 6] })];
    const y = layers.normalizedAttention({ heads: 2 }).apply([x, context]) as tfl.SymbolicTensor;
    const model = tfl.model({ inputs: [x, context], outputs: y });
    expect((model.predict([tf.ones([2, 3, 4]), tf.ones([2, 5, 6])]) as tf.Tensor).shape).toEqual([2, 3, 4]);
  });

  it("a misspelt option of a weight is told", () => {
    const layer = layers.layerNormalization({ gamaInitializer: "ones" });
    expect(() => layer.build([null, 3])).toThrow(
      new RangeError("LayerNormalization: no weight is called gama; there are gamma, beta"),
    );
  });
});
