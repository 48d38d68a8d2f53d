/** Keras-like layers: options, weights, saving and loading, the built-in layers, moving statistics. */
import * as tf from "@tensorflow/tfjs-core";
import * as tfl from "@tensorflow/tfjs-layers";
import { beforeAll, describe, expect, it, vi } from "vitest";
import {
  install,
  layers,
  residual,
  spectralNormalization,
  weightNormalization,
} from "../../../src/tfjs/index.js";
import { expectClose, normal } from "../../support/numerics.js";
import { artifacts } from "../../support/tfjs-artifacts.js";
import { backends, use } from "../../support/tfjs-backends.js";

const image = (seed: number) => tf.tensor(normal(2 * 4 * 4 * 8, seed), [2, 4, 4, 8]);
const values = (tensor: tf.Tensor | tf.Tensor[]) => (tensor as tf.Tensor).dataSync() as Float32Array;
const same = (actual: Float32Array, expected: ArrayLike<number>, tolerance = 1e-5) =>
  expectClose("output", actual, expected, (i) => tolerance * (1 + Math.abs(expected[i])));

/** Before any `install`: what TensorFlow.js itself computes. */
async function builtInOutputs(): Promise<Float32Array[]> {
  await use("cpu");
  const x = image(1);
  return [tfl.layers.layerNormalization({}), tfl.layers.batchNormalization({})].map((layer) => {
    layer.build(x.shape);
    layer.setWeights(
      layer.getWeights().map((weight, i) =>
        tf.tensor(
          normal(weight.size, 20 + i).map((v) => v * v + 0.5),
          weight.shape,
        ),
      ),
    );
    return values(layer.apply(x) as tf.Tensor);
  });
}
const shipped = await builtInOutputs();

const makers = {
  layerNormalization: () =>
    layers.layerNormalization({
      axis: [1, -1],
      epsilon: 0.01,
      gammaRegularizer: "l2",
      betaConstraint: "nonNeg",
    }),
  rmsNormalization: () => layers.rmsNormalization({ epsilon: 0.02 }),
  batchNormalization: () =>
    layers.batchNormalization({
      momentum: 0.5,
      gammaInitializer: tfl.initializers.glorotNormal({ seed: 7 }),
      scale: true,
    }),
  groupNormalization: () =>
    layers.groupNormalization({ groups: 4, betaInitializer: tfl.initializers.constant({ value: 2 }) }),
  instanceNormalization: () =>
    layers.instanceNormalization({
      center: false,
      gammaConstraint: tfl.constraints.maxNorm({ maxValue: 30 }),
    }),
};

describe.each(backends)("%s", (backend) => {
  beforeAll(async () => {
    await use(backend);
    await install();
  });

  it.each(Object.entries(makers))("%s survives save and load with the same output", async (_, make) => {
    const model = tfl.sequential({
      layers: [tfl.layers.inputLayer({ inputShape: [4, 4, 8] }), make() as unknown as tfl.layers.Layer],
    });
    model.setWeights(
      model.getWeights().map((weight, i) =>
        tf.tensor(
          normal(weight.size, 30 + i).map((v) => v * v + 0.5),
          weight.shape,
        ),
      ),
    );
    const before = values(model.predict(image(3)));
    const loaded = await tfl.loadLayersModel(tf.io.fromMemory(await artifacts(model)));
    const [original, copy] = [model, loaded].map((one) => one.layers[one.layers.length - 1]);
    expect(copy.constructor).toBe(original.constructor);
    expect(copy.getConfig()).toEqual(original.getConfig());
    expect([...values(loaded.predict(image(3)))]).toEqual([...before]);
  });

  it.each([
    ["relu", undefined, (y: tf.Tensor) => tf.relu(y)],
    ["leakyRelu", undefined, (y: tf.Tensor) => tf.leakyRelu(y, 0.2)],
    ["leakyRelu", 0.3, (y: tf.Tensor) => tf.leakyRelu(y, 0.3)],
    ["silu", undefined, (y: tf.Tensor) => tf.mul(y, tf.sigmoid(y))],
    ["gelu", undefined, (y: tf.Tensor) => tf.mul(y, tf.mul(0.5, tf.add(1, tf.erf(tf.div(y, Math.SQRT2)))))],
    ["tanh", undefined, (y: tf.Tensor) => tf.tanh(y)],
    ["sigmoid", undefined, (y: tf.Tensor) => tf.sigmoid(y)],
  ] as const)(
    "ends with an activation, in training too, saved and loaded: %s %s",
    async (activation, negativeSlope, applied) => {
      for (const make of [
        layers.layerNormalization,
        layers.batchNormalization,
        layers.groupNormalization,
        layers.dynamicTanh,
      ] as ((args: object) => tfl.layers.Layer)[]) {
        const own = make === layers.groupNormalization ? { groups: 2 } : {};
        const model = (args: object) =>
          tfl.sequential({
            layers: [tfl.layers.inputLayer({ inputShape: [4, 4, 8] }), make({ ...own, ...args })],
          });
        const [without, ends] = [model({}), model({ activation, negativeSlope })];
        for (const one of [without, ends]) {
          one.setWeights(
            one.getWeights().map((weight, i) =>
              tf.tensor(
                normal(weight.size, 30 + i).map((v) => v * v + 0.5),
                weight.shape,
              ),
            ),
          );
        }
        const loaded = await tfl.loadLayersModel(tf.io.fromMemory(await artifacts(ends)));
        expect(loaded.layers.at(-1)?.getConfig()).toEqual(ends.layers.at(-1)?.getConfig());
        const dy = tf.tensor(normal(256, 8), [2, 4, 4, 8]);
        const of = (call: (x: tf.Tensor) => tf.Tensor) => {
          const { value, grads } = tf.valueAndGrads(
            (x: tf.Tensor) => tf.sum(tf.mul(call(x), dy)) as tf.Scalar,
          )([image(3)]);
          return [...values(value), ...values(grads[0])];
        };
        for (const training of [false, true]) {
          const expected = of((x) => applied([without.call(x, { training })].flat()[0]));
          for (const one of [ends, loaded]) {
            same(Float32Array.from(of((x) => [one.call(x, { training })].flat()[0])), expected);
          }
        }
      }
    },
  );

  it("has the defaults of Keras", () => {
    const config = (layer: { getConfig(): tf.serialization.ConfigDict }) => layer.getConfig();
    const affine = { center: true, scale: true, betaRegularizer: null, gammaConstraint: null };
    expect(config(layers.layerNormalization())).toMatchObject({ axis: -1, epsilon: 1e-3, ...affine });
    expect(config(layers.rmsNormalization())).toMatchObject({ axis: -1, epsilon: 1e-6 });
    expect(config(layers.batchNormalization())).toMatchObject({
      axis: -1,
      epsilon: 1e-3,
      momentum: 0.99,
      ...affine,
    });
    expect(config(layers.groupNormalization())).toMatchObject({
      axis: -1,
      epsilon: 1e-3,
      groups: 32,
      ...affine,
    });
    expect(config(layers.instanceNormalization())).toMatchObject({ axis: -1, epsilon: 1e-3, ...affine });
    expect(config(layers.batchNormalization()).betaInitializer).toEqual({ className: "Zeros", config: {} });
  });

  it("loads models that Keras and TensorFlow Addons saved", async () => {
    const layer = (className: string, config: object) => ({
      class_name: className,
      config: { trainable: true, ...config },
    });
    const zeros = { class_name: "Zeros", config: {} };
    const modelTopology = {
      class_name: "Sequential",
      config: {
        name: "saved",
        layers: [
          layer("GroupNormalization", {
            name: "group",
            groups: 2,
            axis: -1,
            epsilon: 0.001,
            beta_initializer: zeros,
            batch_input_shape: [null, 4, 4, 8],
            dtype: "float32",
          }),
          layer("Addons>InstanceNormalization", {
            name: "instance",
            groups: 8,
            axis: -1,
            epsilon: 0.001,
            center: true,
            scale: false,
          }),
          layer("RMSNormalization", { name: "rms", axis: -1, epsilon: 1e-6 }),
        ],
      },
    };
    const model = await tfl.loadLayersModel(tf.io.fromMemory({ modelTopology }), { strict: false });
    expect(model.layers.map((one) => one.getClassName())).toEqual([
      "GroupNormalization",
      "InstanceNormalization",
      "RMSNormalization",
    ]);
    expect(model.layers.map((one) => one.weights.map((weight) => weight.originalName))).toEqual([
      ["group/gamma", "group/beta"],
      ["instance/beta"],
      ["rms/scale"],
    ]);
    const y = values(model.predict(image(4)));
    expect(y.reduce((sum, v) => sum + v * v, 0) / y.length).toBeCloseTo(1, 2);
  });

  it("the built-in layers give what they gave before, by the fused operation", () => {
    const x = image(1);
    const outputs = [tfl.layers.layerNormalization({}), tfl.layers.batchNormalization({})].map((layer) => {
      layer.build(x.shape);
      layer.setWeights(
        layer.getWeights().map((weight, i) =>
          tf.tensor(
            normal(weight.size, 20 + i).map((v) => v * v + 0.5),
            weight.shape,
          ),
        ),
      );
      const { result, kernelNames } = profiled(() => layer.apply(x) as tf.Tensor);
      expect(kernelNames.filter((name) => name.startsWith("Evenkeel"))).toHaveLength(1);
      return values(result);
    });
    for (const [i, output] of outputs.entries()) same(output, shipped[i]);
  });

  it("batch normalization without scale trains, built-in too (tfjs issue 2868)", () => {
    for (const layer of [
      tfl.layers.batchNormalization({ scale: false }),
      layers.batchNormalization({ scale: false }),
    ]) {
      layer.build([null, 3]);
      const x = tf.tensor2d([
        [1, 2, 3],
        [5, 4, 3.5],
      ]);
      const dx = tf.grad((input) => tf.sum(tf.square(layer.call(input, { training: true }) as tf.Tensor)))(x);
      expect(dx.dataSync().every(Number.isFinite)).toBe(true);
    }
  });

  it("batch normalization moves its statistics as Keras does, and normalizes by them in evaluation", () => {
    const layer = layers.batchNormalization({ momentum: 0.75, axis: 1 });
    layer.build([null, 2, 3]);
    const x = tf.tensor3d([1, 2, 3, 10, 10, 10, 5, 6, 7, 30, 30, 30], [2, 2, 3]);
    layer.call(x, { training: true });
    layer.call(x, { training: true });
    const [, , mean, variance] = layer.getWeights().map(values);
    // keep 0.75 of the old value, twice: 1 − 0.75² = 0.4375 of the batch's mean (4, 20) and biased variance (14/3, 100)
    same(mean, [0.4375 * 4, 0.4375 * 20]);
    same(variance, [0.5625 + 0.4375 * (14 / 3), 0.5625 + 43.75]);
    const y = values(layer.call(x, {}));
    same(
      y,
      [...x.dataSync()].map((v, i) => {
        const c = Math.floor(i / 3) % 2;
        return (v - mean[c]) / Math.sqrt(variance[c] + 1e-3);
      }),
    );
  });

  it("a batch that is not finite, or has one value per channel, leaves the moving statistics alone", () => {
    const layer = layers.batchNormalization();
    layer.build([null, 2]);
    const moving = () =>
      layer
        .getWeights()
        .slice(2)
        .flatMap((weight) => [...values(weight)]);
    layer.call(
      tf.tensor2d([
        [1, 2],
        [Number.NaN, 4],
      ]),
      { training: true },
    );
    layer.call(
      tf.tensor2d([
        [1, 2],
        [3, Number.POSITIVE_INFINITY],
      ]),
      { training: true },
    );
    expect(moving()).toEqual([0, 0, 1, 1]);
    const warn = vi.spyOn(console, "warn").mockImplementation(() => {});
    expect([...values(layer.call(tf.tensor2d([[1, 2]]), { training: true }))]).toEqual([0, 0]);
    expect(moving()).toEqual([0, 0, 1, 1]);
    if (backend === "cpu") expect(warn.mock.calls[0][0]).toContain("one value per channel");
    warn.mockRestore();
  });

  it("regularizers and constraints of gamma and beta take part in training", async () => {
    const model = tfl.sequential();
    model.add(tfl.layers.inputLayer({ inputShape: [3] }));
    model.add(
      layers.layerNormalization({
        gammaRegularizer: tfl.regularizers.l2({ l2: 0.5 }),
        betaConstraint: "nonNeg",
      }) as unknown as tfl.layers.Layer,
    );
    model.compile({ optimizer: "sgd", loss: "meanSquaredError" });
    const x = tf.tensor2d([
      [1, 2, 4],
      [3, 1, 2],
    ]);
    const y = tf.fill([2, 3], -5);
    const unregularized = tf.losses.meanSquaredError(y, model.predict(x) as tf.Tensor).dataSync()[0];
    const { history } = await model.fit(x, y, { epochs: 3, verbose: 0 });
    expect(history.loss[0]).toBeCloseTo(unregularized + 0.5 * 3, 4);
    model.predict(x);
    expect(Math.min(...values(model.getWeights()[1]))).toBe(0);
  });

  it("models whose batch normalization has its axis in a list, as Keras saves it, load and run, built-in too", async () => {
    const before = {
      class_name: "BatchNormalization",
      config: {
        name: "batch",
        axis: [3],
        epsilon: 0.001,
        batch_input_shape: [null, 4, 4, 8],
        dtype: "float32",
      },
    };
    const modelTopology = { class_name: "Sequential", config: { name: "saved", layers: [before] } };
    const model = await tfl.loadLayersModel(tf.io.fromMemory({ modelTopology }), { strict: false });
    const expected = values(model.predict(image(4)));
    const builtIn = tfl.layers.batchNormalization({ axis: [3] as unknown as number });
    same(values(builtIn.apply(image(4)) as tf.Tensor), expected);
    expect(() => layers.groupNormalization({ axis: [1, 2] })).toThrow(
      new TypeError("GroupNormalization: axis must be a single axis, that of the channels, got [1, 2]"),
    );
  });

  it("layer normalization over axes in any order trains, with Keras's shape of weights", () => {
    const ours = layers.layerNormalization({ axis: [2, 1] });
    for (const layer of [ours, tfl.layers.layerNormalization({ axis: [2, 1] })]) {
      layer.build([null, 3, 5]);
      expect(layer.weights[0].shape).toEqual([5, 3]);
      const x = tf.tensor(normal(30, 3), [2, 3, 5]);
      const { grads } = tf.variableGrads(() => tf.sum(tf.square(layer.apply(x) as tf.Tensor)) as tf.Scalar);
      for (const gradient of Object.values(grads)) expect(gradient.shape).toEqual([5, 3]);
    }
  });

  it("installing again changes no layer's name", async () => {
    const number = () => Number(/\d+$/.exec(tfl.layers.batchNormalization({}).name)?.[0]);
    const first = number();
    await install();
    await install();
    expect(number()).toBe(first + 1);
  });

  it("takes one input, of the width that it was built for", () => {
    const layer = layers.layerNormalization();
    layer.build([null, 4]);
    expect(() => layer.apply([tf.ones([2, 4]), tf.ones([2, 4])])).toThrow("expects 1 input");
    expect(() => layer.apply(tf.ones([2, 3]))).toThrow("is incompatible with layer");
    expect(() =>
      layers.layerNormalization().build([
        [null, 4],
        [null, 4],
      ]),
    ).toThrow(
      new TypeError(
        "layerNorm: a normalization layer takes one input, got 2; join them first, or give each a layer",
      ),
    );
    expect(() => layers.batchNormalization({ momentum: 5 })).toThrow(
      new RangeError("batchNorm: momentum must be from 0 to 1 (the weight of the old value), got 5"),
    );
  });

  it("says at build what does not fit", () => {
    const build = (layer: tfl.layers.Layer, shape: (number | null)[]) => () => layer.build(shape);
    expect(build(layers.groupNormalization({ groups: 5 }), [null, 4, 4, 8])).toThrow(
      "groupNorm: groups must divide the 8 channels of axis -1, got 5; 1, 2, 4, 8 would",
    );
    expect(build(layers.batchNormalization(), [null, null])).toThrow(
      "BatchNormalization: the lengths of its weights' axes must be known, got input shape [null, null]; name another axis, or give the model's input a shape",
    );
    expect(build(layers.layerNormalization({ axis: 4 }), [null, 3])).toThrow(
      "layerNorm: axis must be an integer from -2 to 1 for an array of 2 axes, got 4",
    );
    expect(() => layers.layerNormalization({ betaInitializer: "zeroes" })).toThrow(
      `LayerNormalization: betaInitializer must name one of TensorFlow.js's initializers, got "zeroes"`,
    );
  });
});

describe("options", () => {
  const make = (layer: keyof typeof layers, args: object) => () =>
    (layers[layer] as (args: object) => unknown)(args);

  it.each<[string, () => unknown, Error]>([
    [
      "one that is misspelled",
      make("layerNormalization", { epsilom: 1e-3 }),
      new TypeError('LayerNormalization: no option is called "epsilom"; did you mean "epsilon"?'),
    ],
    [
      "one of another framework",
      make("layerNormalization", { eps: 1e-3 }),
      new TypeError('LayerNormalization: no option is called "eps"; it is called "epsilon" here'),
    ],
    [
      "one of the layer itself",
      make("batchNormalization", { trainabel: false }),
      new TypeError('BatchNormalization: no option is called "trainabel"; did you mean "trainable"?'),
    ],
    [
      "one that another normalization has",
      make("layerNormalization", { momentum: 0.9 }),
      new TypeError('LayerNormalization: no option is called "momentum"; there are '),
    ],
    [
      "useMask misspelled",
      make("groupNormalization", { usemask: true }),
      new TypeError('GroupNormalization: no option is called "usemask"; did you mean "useMask"?'),
    ],
    [
      "no options at all, but a number",
      () => layers.groupNormalization(4 as never),
      new TypeError("GroupNormalization: options must be an object, got 4"),
    ],
    [
      "a loss of activities",
      make("layerNormalization", { activityRegularizer: { className: "L2", config: { l2: 0.1 } } }),
      new RangeError(
        "LayerNormalization: activityRegularizer must be left out, TensorFlow.js has none; add its loss to the model's",
      ),
    ],
    [
      "a type that has no name",
      make("layerNormalization", { dtype: { className: "DTypePolicy", config: {} } }),
      new TypeError('LayerNormalization: dtype must be the name of a type, such as "float32", got object'),
    ],
    [
      "an initializer by a name that every object has",
      make("layerNormalization", { gammaInitializer: "constructor" }),
      new RangeError(
        'LayerNormalization: gammaInitializer must name one of TensorFlow.js\'s initializers, got "constructor"; there are ',
      ),
    ],
    [
      "an initializer of such a class",
      make("layerNormalization", { gammaInitializer: { className: "__proto__", config: {} } }),
      new RangeError(
        'LayerNormalization: gammaInitializer names the class "__proto__", which is not registered; register it with tf.serialization.registerClass',
      ),
    ],
    [
      "a layer for an initializer",
      make("layerNormalization", { gammaInitializer: { className: "Dense", config: { units: 1 } } }),
      new RangeError(
        'LayerNormalization: gammaInitializer must be one of TensorFlow.js\'s initializers, got an object of class "Dense"',
      ),
    ],
    [
      "a number for a constraint",
      make("layerNormalization", { gammaConstraint: 3 }),
      new TypeError(
        'LayerNormalization: gammaConstraint must be a name, such as "maxNorm", or one of tf.constraints, got number',
      ),
    ],
    [
      "two axes of channels",
      make("groupNormalization", { axis: [1, 2] }),
      new TypeError("GroupNormalization: axis must be a single axis, that of the channels, got [1, 2]"),
    ],
    [
      "a mask that is neither wanted nor not",
      make("rmsNormalization", { useMask: "yes" }),
      new TypeError("RMSNormalization: useMask must be true or false, got yes"),
    ],
    [
      "frozen by halves",
      make("batchNormalization", { frozen: 0 }),
      new TypeError("BatchNormalization: frozen must be true or false, got 0"),
    ],
    [
      "a wrapper's, misspelled",
      () => spectralNormalization(tfl.layers.dense({ units: 1 }), { iterations: 3 } as never),
      new TypeError(
        'SpectralNormalization: no option is called "iterations"; did you mean "powerIterations"?',
      ),
    ],
    [
      "that of another wrapper",
      () => weightNormalization(tfl.layers.dense({ units: 1 }), { scaled: true } as never),
      new TypeError('WeightNormalization: no option is called "scaled"; there are '),
    ],
    [
      "a residual block's",
      () => residual(tfl.layers.dense({ units: 1 }), { dropOut: 0.1 } as never),
      new TypeError('ResidualBlock: no option is called "dropOut"; did you mean "dropout"?'),
    ],
  ])("%s", (_, run, error) => {
    expect(run).toThrow(error.constructor as new () => Error);
    expect(run).toThrow(error.message);
  });

  it("are changed by name too", () => {
    const layer = layers.batchNormalization({});
    expect(layer.configure({ useMask: true, momentum: 0.5 }).getConfig()).toMatchObject({
      useMask: true,
      momentum: 0.5,
    });
    expect(layer.configure({ useMask: false }).getConfig()).not.toHaveProperty("useMask");
    expect(() => layer.configure({ momentun: 0.5 })).toThrow(
      'BatchNormalization: no option is called "momentun"; did you mean "momentum"?',
    );
    expect(() => layer.configure({ name: "other" })).toThrow(
      'BatchNormalization: no option is called "name"',
    );
    expect(() => layer.configure({ useMask: null as never })).toThrow(
      "BatchNormalization: useMask must be true or false, got null",
    );
  });

  it("an activation is checked, changed and removed by name; layers with one of their own keep it", () => {
    const known = "must be one of relu, leakyRelu, gelu, silu, tanh, sigmoid";
    expect(() => layers.layerNormalization({ activation: "swish" as never })).toThrow(
      new RangeError(`LayerNormalization: activation ${known}, got "swish"; did you mean "silu"?`),
    );
    expect(() => layers.rmsNormalization({ activation: "rellu" as never })).toThrow(
      new RangeError(`RMSNormalization: activation ${known}, got "rellu"; did you mean "relu"?`),
    );
    expect(() => layers.rmsNormalization({ activation: "relu", negativeSlope: 0.1 })).toThrow(
      new TypeError(
        'RMSNormalization: negativeSlope is for the activation "leakyRelu", got it with "relu"; leave it out',
      ),
    );
    const layer = layers.layerNormalization({ activation: "leakyRelu" });
    expect(layer.getConfig()).toMatchObject({ activation: "leakyRelu" });
    const x = tf.tensor2d([[-1, 1]]);
    const last = () => (layer.apply(x) as tf.Tensor).dataSync()[0];
    expect(last()).toBeCloseTo(-0.2, 3);
    layer.configure({ negativeSlope: 0.5 });
    expect(last()).toBeCloseTo(-0.5, 3);
    expect(() => layer.configure({ activation: "tanh" })).toThrow("negativeSlope is for");
    expect(layer.getConfig()).toMatchObject({ activation: "leakyRelu", negativeSlope: 0.5 });
    layer.configure({ activation: undefined, negativeSlope: undefined });
    expect(last()).toBeCloseTo(-1, 3);
    expect(layer.getConfig()).not.toHaveProperty("activation");
    expect(layers.adaptiveLayerNormalization({ activation: "none" }).getConfig().activation).toBe("none");
    expect(() => layers.layerNormLSTM({ units: 2, activation: "relu" } as never)).toThrow(
      'LayerNormLSTM: no option is called "activation"',
    );
  });

  it("of weights that every object has are refused, and change no other object", () => {
    for (const name of ["__proto__", "constructor", "toString"]) {
      const config = JSON.parse(`{ "${name}Initializer": "zeros", "${name}Constraint": "nonNeg" }`);
      const layer = layers.layerNormalization(config);
      expect(({} as { initializer?: unknown }).initializer).toBeUndefined();
      expect((Object as { initializer?: unknown }).initializer).toBeUndefined();
      expect(() => layer.build([null, 3])).toThrow(
        new RangeError(`LayerNormalization: no weight is called ${name}; there are gamma, beta`),
      );
    }
  });

  it("those that Keras saves and that change nothing are taken", () => {
    const layer = layers.batchNormalization({
      synchronized: true,
      fused: false,
      renorm: false,
      renormClipping: null,
      virtualBatchSize: null,
      dtype: { module: "keras", className: "DTypePolicy", config: { name: "mixed_float16" } },
      autocast: true,
    } as never);
    expect(layer.normalization.name).toBe("batchNorm");
    layer.build([null, 3]);
    expect(layer.weights.map(({ dtype }) => dtype)).toEqual(["float32", "float32", "float32", "float32"]);
  });
});

/** The result of a function, and the names of the kernels that it ran. */
function profiled(run: () => tf.Tensor): { result: tf.Tensor; kernelNames: string[] } {
  const names: string[] = [];
  const engine = tf.engine();
  const original = engine.runKernel;
  engine.runKernel = function (
    this: ReturnType<typeof tf.engine>,
    name: string,
    ...rest: [tf.NamedTensorMap, tf.NamedAttrMap?]
  ) {
    names.push(name);
    return original.call(this, name, ...rest);
  } as typeof engine.runKernel;
  try {
    return { result: run(), kernelNames: names };
  } finally {
    engine.runKernel = original;
  }
}

it("ghost batches have the layer's batchSize, which is none of its input's, in a saved model too", async () => {
  await use("cpu");
  const model = tfl.sequential();
  model.add(
    layers.ghostBatchNormalization({ batchSize: 3, inputShape: [2] } as never) as unknown as tfl.layers.Layer,
  );
  expect(model.inputs[0].shape).toEqual([null, 2]);
  const x = tf.tensor(normal(12, 5, 4), [6, 2]);
  const one = layers.batchNormalization({ epsilon: 1e-5 });
  const parts = [0, 3].map((from) => one.apply(tf.slice(x, from, 3), { training: true }) as tf.Tensor);
  const expected = values(tf.concat(parts));
  const [layer] = model.layers;
  same(values(layer.apply(x, { training: true }) as tf.Tensor), expected);
  const again = await tfl.models.modelFromJSON(model.toJSON(null, false) as never);
  same(values(again.layers[0].apply(x, { training: true }) as tf.Tensor), expected);
  expect((again.layers[0].getConfig() as { batchSize?: number }).batchSize).toBe(3);
});
