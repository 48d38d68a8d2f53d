/** Normalizations by stored statistics, folded into the layers beside them: the same outputs, and what stays says why. */
import * as tf from "@tensorflow/tfjs-core";
import * as tfl from "@tensorflow/tfjs-layers";
import { beforeAll, describe, expect, it } from "vitest";
import { open } from "../../../src/checkpoints/index.js";
import {
  foldStatistics,
  install,
  layers,
  layersModelFrom,
  weightNormalization,
} from "../../../src/tfjs/index.js";
import { kerasConvolutionClasses } from "../../../src/tfjs/layers/keras-convolutions.js";
import { maskAsKeras } from "../../../src/tfjs/layers/masks.js";
import { itWithModel, modelFile } from "../../checkpoints/support/shared-models.js";
import { expectClose, largest, normal, random as seeded } from "../../support/numerics.js";
import { artifacts } from "../../support/tfjs-artifacts.js";
import { backends, use } from "../../support/tfjs-backends.js";

type Layer = tfl.layers.Layer;
type Symbolic = tfl.SymbolicTensor;
const built = tfl.layers;
const ours = layers as unknown as Record<string, (args?: object) => Layer>;
const batch = (args: object = {}) => built.batchNormalization({ name: "norm", ...args } as object);
const conv = (args: object = {}) =>
  built.conv2d({ filters: 6, kernelSize: 3, name: "conv", ...args } as never);
const dense = (args: object = {}) => built.dense({ units: 5, name: "dense", ...args } as never);

/** Weights unlike those of a start: a gamma of 0, a variance of 0 and one of 1e-7 among them. */
function randomize(model: tfl.LayersModel, seed = 40): void {
  tf.tidy(() => {
    for (const [i, variable] of model.weights.entries()) {
      const shape = variable.shape as number[];
      const values = normal(tf.util.sizeFromShape(shape), seed + i, 0.1, 0.7);
      const isVariance = variable.name.includes("variance");
      if (isVariance || /deviation|stddev/.test(variable.name)) {
        values.forEach((value, c) => {
          values[c] = c === 1 && isVariance ? 0 : c === 2 && isVariance ? 1e-7 : value * value + 0.2;
        });
      }
      if (/gamma/.test(variable.name) && values.length > 3) values[3] = 0;
      (variable.read() as tf.Variable).assign(tf.tensor(values, shape, variable.read().dtype));
    }
  });
}

const outputs = (model: tfl.LayersModel, xs: tf.Tensor[]) =>
  [model.predict(xs.length === 1 ? xs[0] : xs)]
    .flat()
    .map((y) => (y as tf.Tensor).dataSync() as Float32Array);

function inputsOf(model: tfl.LayersModel): tf.Tensor[] {
  return model.inputs.map(({ shape }, i) => {
    const lengths = shape.map((length) => length ?? 3);
    return tf.tensor(normal(tf.util.sizeFromShape(lengths), 7 + i), lengths);
  });
}

/** Folds, and compares what both models give. */
function folded(model: tfl.LayersModel) {
  randomize(model);
  const xs = inputsOf(model);
  const before = outputs(model, xs);
  const result = foldStatistics(model);
  const after = outputs(result.model, xs);
  expect(result.model.outputNames).toEqual(model.outputNames);
  for (const [i, expected] of before.entries()) {
    const size = 1 + largest(expected);
    expectClose(`output ${i}`, after[i], expected, () => 1e-5 * size);
  }
  // the original is what it was, and shares nothing
  expect(outputs(model, xs)).toEqual(before);
  tf.tidy(() => {
    for (const variable of model.weights)
      (variable.read() as tf.Variable).assign(tf.zerosLike(variable.read()));
  });
  expect(outputs(result.model, xs)).toEqual(after);
  return result;
}

const chain = (...made: Layer[]) => tfl.sequential({ layers: made });
const image = (...shape: number[]) => built.inputLayer({ inputShape: shape, name: "image" });
const ownConvolution = (name: string, args: object): Layer => {
  const cls = kerasConvolutionClasses.find(({ className }) => className === name) as new (
    args: object,
  ) => Layer;
  return new cls({ name: "conv", ...args });
};

/** Keras's Normalization, which has no factory here. */
function standardization(args: object): Layer {
  const [cls] = tf.serialization.SerializationMap.getMap().classNameMap.Normalization;
  return new (cls as unknown as new (args: object) => Layer)(args);
}

describe.each(backends)("%s", (backend) => {
  beforeAll(async () => {
    await use(backend);
    await install();
  });

  const before: [string, shape: number[], () => Layer[]][] = [
    ["a dense layer", [7], () => [dense(), batch()]],
    [
      "a dense layer of sequences, without a bias",
      [4, 7],
      () => [dense({ useBias: false }), batch({ epsilon: 0.1 })],
    ],
    [
      "conv1d",
      [9, 3],
      () => [built.conv1d({ filters: 4, kernelSize: 3, padding: "same", name: "conv" }), batch()],
    ],
    [
      "conv2d without a bias",
      [7, 7, 3],
      () => [conv({ useBias: false, padding: "same", strides: 2 }), batch()],
    ],
    ["conv2d, no scale", [7, 7, 3], () => [conv(), batch({ scale: false })]],
    ["conv2d, no center", [7, 7, 3], () => [conv(), batch({ center: false })]],
    [
      "conv2d, neither",
      [7, 7, 3],
      () => [conv({ useBias: false }), batch({ center: false, scale: false, epsilon: 1e-5 })],
    ],
    [
      "conv2d, channels first, axis 1",
      [3, 7, 7],
      () => [conv({ dataFormat: "channelsFirst" }), batch({ axis: 1 })],
    ],
    [
      "depthwise",
      [7, 7, 3],
      () => [built.depthwiseConv2d({ kernelSize: 3, depthMultiplier: 2, name: "conv" }), batch()],
    ],
    [
      "separable",
      [7, 7, 3],
      () => [
        built.separableConv2d({
          filters: 4,
          kernelSize: 3,
          depthMultiplier: 2,
          useBias: false,
          name: "conv",
        }),
        batch(),
      ],
    ],
    [
      "transposed",
      [5, 5, 3],
      () => [
        built.conv2dTranspose({ filters: 4, kernelSize: 3, strides: 2, padding: "same", name: "conv" }),
        batch(),
      ],
    ],
    [
      "one of Keras's, in groups",
      [7, 7, 4],
      () => [ownConvolution("GroupedConv2D", { filters: 6, kernelSize: 3, groups: 2 }), batch()],
    ],
    [
      "one of Keras's, transposed",
      [7, 4],
      () => [ownConvolution("TransposedConv1D", { filters: 5, kernelSize: 3, strides: 2 }), batch()],
    ],
    [
      "one of Keras's, by depth",
      [9, 4],
      () => [
        ownConvolution("DepthwiseConv1D", { kernelSize: 3, depthMultiplier: 2, useBias: false }),
        batch(),
      ],
    ],
    [
      "then an activation",
      [7, 7, 3],
      () => [conv(), batch(), built.reLU({ maxValue: 6 }), built.flatten(), dense({ name: "last" })],
    ],
    [
      "through dropout",
      [7],
      () => [dense(), built.dropout({ rate: 0.5 }), batch(), built.activation({ activation: "tanh" })],
    ],
    [
      "ours",
      [7, 7, 3],
      () => [conv(), ours.batchNormalization({ name: "norm", runningVariance: "unbiased" })],
    ],
    [
      "ours, which ends with an activation",
      [7, 7, 3],
      () => [conv(), ours.batchNormalization({ name: "norm", activation: "silu" }), built.flatten()],
    ],
    [
      "ours, which ends with a leaky one",
      [7, 7, 3],
      () => [conv(), ours.batchNormalization({ name: "norm", activation: "leakyRelu", negativeSlope: 0.4 })],
    ],
    ["ghost batch", [7], () => [dense(), ours.ghostBatchNormalization({ name: "norm", batchSize: 2 })]],
    ["batch renorm", [7], () => [dense(), ours.batchRenormalization({ name: "norm" })]],
    [
      "instance norm with running statistics",
      [7, 7, 3],
      () => [conv(), ours.instanceNormalization({ name: "norm", trackRunningStatistics: true })],
    ],
  ];
  it.each(before)("into the layer before: %s", (_, shape, make) => {
    const { model, folded: done, kept } = folded(chain(image(...shape), ...make()));
    expect(kept).toEqual([]);
    expect(done.map(({ layer }) => layer)).toEqual(["norm"]);
    expect(["conv", "dense"]).toContain(done[0].into);
    expect(model.layers.filter((layer) => /Normalization/.test(layer.getClassName()))).toEqual([]);
  });

  const after: [string, shape: number[], () => Layer[]][] = [
    ["a dense layer with an activation", [7], () => [batch(), dense({ activation: "tanh" })]],
    [
      "a dense layer without a bias, through dropout",
      [4, 7],
      () => [batch(), built.dropout({ rate: 0.1 }), dense({ useBias: false })],
    ],
    ["conv2d", [7, 7, 3], () => [batch(), conv({ activation: "relu", dilationRate: 2 })]],
    ["conv2d, channels first", [3, 7, 7], () => [batch({ axis: 1 }), conv({ dataFormat: "channelsFirst" })]],
    ["conv3d", [4, 4, 4, 2], () => [batch(), built.conv3d({ filters: 3, kernelSize: 2, name: "conv" })]],
    [
      "depthwise",
      [7, 7, 3],
      () => [
        batch(),
        built.depthwiseConv2d({ kernelSize: 3, depthMultiplier: 2, useBias: false, name: "conv" }),
      ],
    ],
    [
      "separable",
      [7, 7, 3],
      () => [batch(), built.separableConv2d({ filters: 4, kernelSize: 3, depthMultiplier: 2, name: "conv" })],
    ],
    ["Keras's Normalization", [7], () => [standardization({ name: "norm", axis: -1 }), dense()]],
    [
      "Keras's Normalization of one mean",
      [7],
      () => [standardization({ name: "norm", axis: -1, mean: 2, variance: 0.5 }), dense()],
    ],
    ["an activation before", [7], () => [dense({ name: "first", activation: "relu" }), batch(), dense()]],
  ];
  it.each(after)("into the layer after: %s", (_, shape, make) => {
    const { folded: done, kept } = folded(chain(image(...shape), ...make()));
    expect(kept).toEqual([]);
    expect(done).toEqual([{ layer: "norm", into: done[0].into }]);
    expect(["conv", "dense"]).toContain(done[0].into);
  });

  it.each(["same", "valid"] as const)(
    "without an offset, %s padding and transposed convolutions take one from before them",
    (padding) => {
      for (const make of [
        () => conv({ padding }),
        () => built.conv2dTranspose({ filters: 4, kernelSize: 3, strides: 2, padding, name: "conv" }),
      ]) {
        const model = chain(image(7, 7, 3), batch({ center: false }), make());
        randomize(model);
        const mean = model.getLayer("norm").weights.find(({ name }) => name.includes("moving_mean"));
        tf.tidy(() => {
          mean?.write(tf.zeros([3]));
        });
        const [x] = inputsOf(model);
        const [expected] = outputs(model, [x]);
        const { model: faster, folded: done } = foldStatistics(model);
        expect(done).toEqual([{ layer: "norm", into: "conv" }]);
        expectClose("y", outputs(faster, [x])[0], expected, () => 1e-5 * (1 + largest(expected)));
      }
    },
  );

  it("networks of branches, nested models and several outputs, what is folded making way for the next", () => {
    const x = tfl.input({ shape: [8, 8, 3], name: "x" });
    const apply = (layer: Layer, ...from: Symbolic[]) =>
      layer.apply(from.length === 1 ? from[0] : from) as Symbolic;
    const inner = tfl.sequential({
      name: "inner",
      layers: [
        built.conv2d({ inputShape: [8, 8, 6], filters: 6, kernelSize: 1, name: "inConv" }),
        batch({ name: "inNorm" }),
      ],
    });
    const first = apply(
      batch({ name: "a" }),
      apply(batch({ name: "b" }), apply(conv({ padding: "same" }), x)),
    );
    const relu = apply(built.reLU({}), first);
    const nested = apply(inner, relu);
    const sum = apply(
      built.add(),
      nested,
      apply(batch({ name: "c" }), apply(conv({ name: "side", kernelSize: 1 }), relu)),
    );
    const read = apply(conv({ name: "read", kernelSize: 1 }), sum);
    const head = apply(batch({ name: "head" }), apply(dense(), apply(built.globalAveragePooling2d({}), sum)));
    const model = tfl.model({ inputs: x, outputs: [head, apply(batch({ name: "d" }), read), read] });
    const { folded: done, kept, model: made } = folded(model);
    expect(done).toEqual([
      { layer: "inNorm", into: "inConv" },
      { layer: "b", into: "conv" },
      { layer: "a", into: "conv" },
      { layer: "c", into: "side" },
      { layer: "head", into: "dense" },
    ]);
    expect(kept).toEqual([
      { layer: "d", reason: "read before it is called or read elsewhere too; it is an output of the model" },
    ]);
    expect(made.getLayer("head").getClassName()).toBe("Activation");
  });

  it("networks at random", () => {
    const random = seeded(11);
    const pick = <T>(...choices: T[]): T => choices[Math.floor(random() * choices.length)];
    const norms = () =>
      pick(
        () =>
          built.batchNormalization({
            epsilon: pick(1e-3, 1e-5, 0.5),
            scale: pick(true, false),
            center: pick(true, false),
          }),
        () => ours.batchNormalization({ activation: pick(undefined, "relu", "gelu") }),
        () => ours.ghostBatchNormalization({ batchSize: 2 }),
      )();
    const convolutions = () => {
      const shared = {
        kernelSize: pick(1, 2),
        padding: pick("same", "valid"),
        useBias: pick(true, false),
        activation: pick("linear", "linear", "relu"),
      };
      return pick<() => Layer>(
        () => built.conv2d({ filters: pick(2, 5), ...shared } as never),
        () => built.depthwiseConv2d({ depthMultiplier: pick(1, 2), ...shared } as never),
        () => built.separableConv2d({ filters: 3, ...shared } as never),
        () => built.conv2dTranspose({ filters: 4, ...shared } as never),
      )();
    };
    const others = () =>
      pick<() => Layer>(
        () => built.reLU({}),
        () => built.dropout({ rate: 0.3 }),
        () => built.leakyReLU({}),
        () => built.activation({ activation: "linear" }),
      )();
    let count = 0;
    for (let network = 0; network < 16; network++) {
      const x = tfl.input({ shape: [7, 7, 3] });
      const read: Symbolic[] = [x];
      let y = x;
      for (let depth = 0; depth < 6; depth++) {
        y = pick(norms, norms, convolutions, convolutions, others)().apply(y) as Symbolic;
        // something else reads it, too
        if (random() < 0.15) read.push(y);
      }
      const heads = [...read.slice(1), y].map((one) => built.globalMaxPooling2d({}).apply(one) as Symbolic);
      const joined = heads.length > 1 ? (built.concatenate().apply(heads) as Symbolic) : heads[0];
      const last = built.dense({ units: 3 }).apply(norms().apply(joined)) as Symbolic;
      const model = tfl.model({ inputs: x, outputs: random() < 0.3 ? [last, y] : last });
      const { folded: done, kept, model: made } = folded(model);
      count += done.length;
      const left = (one: tfl.LayersModel) =>
        one.layers.filter((layer) => /Normalization/.test(layer.getClassName())).length;
      expect(left(made)).toBe(kept.length);
      expect(left(model)).toBe(kept.length + done.length);
    }
    expect(count).toBeGreaterThan(20);
  });

  it.each<[string, reason: string, () => tfl.LayersModel]>([
    [
      "an activation in the layer",
      "conv before it has an activation, relu; it is an output of the model",
      () => chain(image(5, 5, 2), conv({ activation: "relu" }), batch()),
    ],
    [
      "zeros around",
      "image before it is no convolution and no dense layer; conv after it pads with zeros, where its offset is not",
      () => chain(image(5, 5, 2), batch(), conv({ padding: "same" })),
    ],
    [
      "borders",
      "image before it is no convolution and no dense layer; conv after it adds up fewer elements at its borders",
      () =>
        chain(image(5, 5, 2), batch(), built.conv2dTranspose({ filters: 2, kernelSize: 3, name: "conv" })),
    ],
    [
      "between activations",
      "relu before it is no convolution and no dense layer; tanh after it is no convolution and no dense layer",
      () =>
        chain(
          image(5),
          built.reLU({ name: "relu" }),
          batch(),
          built.activation({ activation: "tanh", name: "tanh" }),
        ),
    ],
    [
      "an axis that is not the channels'",
      "conv before it has its channels in axis 3, not 1; it is an output of the model",
      () => chain(image(6, 6, 2), conv(), ours.batchNormalization({ axis: 1, name: "norm" })),
    ],
    [
      "a wrapper of weights",
      "wrapped before it is no convolution and no dense layer, but around one: call withoutWeightNormalization first; it is an output of the model",
      () =>
        chain(
          image(6),
          weightNormalization(built.dense({ units: 3 }), { name: "wrapped" }) as unknown as Layer,
          batch(),
        ),
    ],
    [
      "statistics of the batch",
      "it normalizes by statistics of the batch in evaluation (its sources)",
      () =>
        chain(image(6), dense(), ours.batchNormalization({ name: "norm", sources: { batchMean: "batch" } })),
    ],
    [
      "masks",
      "it is 0 at masked positions",
      () =>
        chain(
          built.masking({ inputShape: [4, 3] }),
          dense(),
          ours.batchNormalization({ name: "norm", useMask: true }),
        ),
    ],
    [
      "inside a wrapper",
      "it is inside another layer",
      () => chain(image(4, 3), built.timeDistributed({ layer: batch() })),
    ],
    [
      "a layer for two inputs",
      "dense before it is called or read elsewhere too; several layers read it",
      () => {
        const [a, b] = [tfl.input({ shape: [4] }), tfl.input({ shape: [4] })];
        const [shared, norm] = [dense(), batch()];
        const [c, d] = [a, b].map((x) => shared.apply(x) as Symbolic);
        const y = norm.apply(c) as Symbolic;
        return tfl.model({
          inputs: [a, b],
          outputs: built.concatenate().apply([y, built.add().apply([y, d]) as Symbolic]) as Symbolic,
        });
      },
    ],
    [
      "a normalization of two inputs",
      "it is called several times; several layers read it",
      () => {
        const [a, b] = [tfl.input({ shape: [4] }), tfl.input({ shape: [4] })];
        const norm = batch();
        const [c, d] = [a, b].map((x) => norm.apply(x) as Symbolic);
        return tfl.model({ inputs: [a, b], outputs: built.concatenate().apply([c, d]) as Symbolic });
      },
    ],
    [
      "a model in two models",
      "it is in several models",
      () => {
        const inner = chain(built.dense({ units: 4, inputShape: [4] }), batch());
        const x = tfl.input({ shape: [4] });
        const outer = tfl.model({ inputs: x, outputs: inner.apply(x) as Symbolic });
        return tfl.model({
          inputs: x,
          outputs: built.add().apply([outer.apply(x), inner.apply(x)] as Symbolic[]) as Symbolic,
        });
      },
    ],
  ])("stays: %s", (_, reason, build) => {
    const { folded: done, kept } = folded(build());
    expect(done).toEqual([]);
    expect(kept).toEqual([
      {
        layer: "norm",
        reason,
      },
    ]);
  });

  it("recurrent layers keep to the masks that Keras gives them", () => {
    const lstm = built.lstm({ units: 3, recurrentInitializer: "glorotNormal" });
    const model = chain(
      built.masking({ inputShape: [6, 3] }),
      built.conv1d({ filters: 4, kernelSize: 1, name: "conv" }),
      batch(),
      lstm,
    );
    randomize(model);
    const x = tf.tidy(() => tf.mul(inputsOf(model)[0], tf.tensor3d([1, 1, 0, 1, 0, 0], [1, 6, 1])));
    const [otherwise] = outputs(model, [x]);
    // no mask comes through a convolution
    maskAsKeras(lstm, 3);
    const [expected] = outputs(model, [x]);
    expect(expected).not.toEqual(otherwise);
    expectClose("y", outputs(foldStatistics(model).model, [x])[0], expected, () => 1e-5);
  });

  it("what would not be finite stays", () => {
    for (const variance of [-1, Number.NaN]) {
      const model = chain(image(3), dense(), batch());
      tf.tidy(() => {
        model.getLayer("norm").weights[3].write(tf.fill([5], variance));
      });
      const { folded: done, kept } = foldStatistics(model);
      expect(done).toEqual([]);
      expect(kept[0].reason).toBe("its statistics or parameters are not finite, or its variance is negative");
    }
  });

  it("chosen layers, saved and loaded, with no tensor left", async () => {
    const model = chain(
      image(7, 7, 3),
      conv(),
      batch(),
      conv({ name: "next", useBias: false }),
      batch({ name: "other" }),
    );
    randomize(model);
    const [x] = inputsOf(model);
    const tensors = tf.memory().numTensors;
    const { model: part, folded: done } = foldStatistics(model, { layers: ({ name }) => name === "other" });
    expect(tf.memory().numTensors - tensors).toBe(part.weights.length);
    expect(done).toEqual([{ layer: "other", into: "next" }]);
    const loaded = await tfl.loadLayersModel(tf.io.fromMemory(await artifacts(part)));
    expect(outputs(loaded, [x])).toEqual(outputs(part, [x]));
    expect(() => foldStatistics(model, { layer: 1 } as never)).toThrow(
      'foldStatistics: no option is called "layer"',
    );
    expect(() => foldStatistics(tfl.sequential())).toThrow(
      new RangeError(
        "foldStatistics: the model must be built, so that it has weights; give its first layer an inputShape",
      ),
    );
    expect(() => foldStatistics(x as never)).toThrow("foldStatistics: model must be a LayersModel, got");
  });
});

itWithModel("tfjs/nsfwjs_mobilenet_v2/model.json")("nsfwjs's MobileNetV2: all 52", async () => {
  await use("wasm");
  const model = await layersModelFrom(await open(modelFile("tfjs/nsfwjs_mobilenet_v2")));
  const x = tf.tensor(normal(224 * 224 * 3, 3, 0.5, 0.3), [1, 224, 224, 3]);
  const { model: faster, folded: done, kept } = foldStatistics(model);
  expect([done.length, kept, model.layers.length - faster.layers.length]).toEqual([52, [], 52]);
  expectClose("y", outputs(faster, [x])[0], outputs(model, [x])[0], () => 1e-5);
});
