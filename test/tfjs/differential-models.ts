/** Models of TensorFlow.js's own layers, its normalizations among them, as users build them; and what is seen of one. */
import * as tf from "@tensorflow/tfjs-core";
import * as tfl from "@tensorflow/tfjs-layers";
import { normal } from "../support/numerics.js";

type Symbolic = tfl.SymbolicTensor;

export interface Case {
  build(): tfl.LayersModel;
  inputs(): tf.Tensor[];
  /** What a call in training is told. Default true. */
  training?: unknown;
}

const floats =
  (...shape: number[]) =>
  () => [tf.tensor(normal(tf.util.sizeFromShape(shape), 5, 0.5, 2), shape)];
const integers =
  (...shape: number[]) =>
  () => [tf.tensor(Int32Array.from(normal(tf.util.sizeFromShape(shape), 6, 1, 3)), shape, "int32")];
/** Sequences padded with zeros: of tokens, and of features. */
const tokens = () => [
  tf.tensor2d(
    [
      [1, 2, 3, 0, 0],
      [4, 5, 0, 0, 0],
      [3, 1, 2, 4, 5],
    ],
    [3, 5],
    "int32",
  ),
];
const padded = (features: number) => () =>
  tf.tidy(() => {
    const [x] = floats(3, 5, features)();
    const counts = tf.tensor3d([1, 1, 1, 0, 0, 1, 1, 0, 0, 0, 1, 1, 1, 1, 1], [3, 5, 1]);
    return [tf.mul(x, counts)];
  });

const { layers } = tfl;
/** TensorFlow.js's usual recurrent initializer needs the methods of tensors, which only the whole package adds. */
const units = { units: 3, recurrentInitializer: "glorotNormal" as const };
const layerNorm = (args: object = {}) => layers.layerNormalization(args);
const batchNorm = (args: object = {}) => layers.batchNormalization(args);
const embedding = () => layers.embedding({ inputDim: 6, outputDim: 4, inputLength: 5, maskZero: true });
const masking = (features = 4) => layers.masking({ maskValue: 0, inputShape: [5, features] });
const input = (...shape: (number | null)[]) => layers.inputLayer({ inputShape: shape });
const chain =
  (...made: (() => tfl.layers.Layer)[]) =>
  () =>
    tfl.sequential({ layers: made.map((make) => make()) });

export const cases: Record<string, Case> = {
  "layer normalization": { build: chain(() => input(4), layerNorm), inputs: floats(3, 4) },
  "layer normalization of images": {
    build: chain(() => input(3, 2, 4), layerNorm),
    inputs: floats(2, 3, 2, 4),
  },
  "layer normalization, axis 1": {
    build: chain(
      () => input(3, 4),
      () => layerNorm({ axis: 1 }),
    ),
    inputs: floats(2, 3, 4),
  },
  "layer normalization, axes 1 and 2": {
    build: chain(
      () => input(3, 4),
      () => layerNorm({ axis: [1, 2] }),
    ),
    inputs: floats(2, 3, 4),
  },
  "layer normalization, axes 2 and 1": {
    build: chain(
      () => input(3, 4),
      () => layerNorm({ axis: [2, 1] }),
    ),
    inputs: floats(2, 3, 4),
  },
  "layer normalization, axes 1 and 3": {
    build: chain(
      () => input(3, 2, 4),
      () => layerNorm({ axis: [1, 3], epsilon: 0.1 }),
    ),
    inputs: floats(2, 3, 2, 4),
  },
  "layer normalization without gamma and beta": {
    build: chain(
      () => input(4),
      () => layerNorm({ scale: false, center: false }),
    ),
    inputs: floats(3, 4),
  },
  "layer normalization with regularizers": {
    build: chain(
      () => input(4),
      () => layerNorm({ gammaRegularizer: tfl.regularizers.l2({ l2: 0.1 }), betaRegularizer: "l1l2" }),
    ),
    inputs: floats(3, 4),
  },
  "batch normalization": {
    build: chain(
      () => input(4),
      () => batchNorm({ momentum: 0.6, epsilon: 0.1 }),
    ),
    inputs: floats(5, 4),
  },
  "batch normalization, defaults": { build: chain(() => input(4), batchNorm), inputs: floats(5, 4) },
  "batch normalization of images": {
    build: chain(() => input(3, 2, 4), batchNorm),
    inputs: floats(2, 3, 2, 4),
  },
  "batch normalization, axis 1": {
    build: chain(
      () => input(3, 2, 4),
      () => batchNorm({ axis: 1 }),
    ),
    inputs: floats(2, 3, 2, 4),
  },
  "batch normalization, axis 2 of sequences": {
    build: chain(
      () => input(5, 4),
      () => batchNorm({ axis: 2 }),
    ),
    inputs: floats(3, 5, 4),
  },
  "batch normalization, axis 2 of images": {
    build: chain(
      () => input(3, 2, 4),
      () => batchNorm({ axis: 2 }),
    ),
    inputs: floats(2, 3, 2, 4),
  },
  "batch normalization of rank 5": {
    build: chain(() => input(2, 3, 2, 4), batchNorm),
    inputs: floats(2, 2, 3, 2, 4),
  },
  "batch normalization without gamma": {
    build: chain(
      () => input(4),
      () => batchNorm({ scale: false }),
    ),
    inputs: floats(5, 4),
  },
  "batch normalization without beta": {
    build: chain(
      () => input(4),
      () => batchNorm({ center: false }),
    ),
    inputs: floats(5, 4),
  },
  "batch normalization, training 1": {
    build: chain(() => input(4), batchNorm),
    inputs: floats(5, 4),
    training: 1,
  },
  "batch normalization, training null": {
    build: chain(() => input(4), batchNorm),
    inputs: floats(5, 4),
    training: null,
  },
  "batch normalization called in training when the model was made": {
    build() {
      const x = tfl.input({ shape: [4] });
      return tfl.model({ inputs: x, outputs: batchNorm().apply(x, { training: 1 }) as Symbolic });
    },
    inputs: floats(5, 4),
  },
  "batch normalization that is not trainable": {
    build: chain(
      () => input(4),
      () => layers.dense({ units: 4 }),
      () => batchNorm({ trainable: false }),
    ),
    inputs: floats(5, 4),
  },
  "layer normalization that is not trainable": {
    build: chain(
      () => input(4),
      () => layers.dense({ units: 4 }),
      () => layerNorm({ trainable: false }),
    ),
    inputs: floats(5, 4),
  },
  "layer normalization behind masking": { build: chain(masking, layerNorm), inputs: padded(4) },
  "batch normalization behind masking": { build: chain(masking, batchNorm), inputs: padded(4) },
  "both behind masking, then a recurrent layer": {
    build: chain(masking, layerNorm, batchNorm, () => layers.simpleRNN({ ...units })),
    inputs: padded(4),
  },
  "an embedding, layer normalization, flattened": {
    build: chain(
      embedding,
      layerNorm,
      () => layers.flatten(),
      () => layers.dense({ units: 2 }),
    ),
    inputs: tokens,
  },
  "an embedding, batch normalization, pooled": {
    build: chain(embedding, batchNorm, () => layers.globalAveragePooling1d({})),
    inputs: tokens,
  },
  "an embedding, layer normalization, convolved": {
    build: chain(embedding, layerNorm, () => layers.conv1d({ filters: 3, kernelSize: 2 })),
    inputs: tokens,
  },
  "an embedding, pooled, layer normalization": {
    build: chain(embedding, () => layers.globalAveragePooling1d({}), layerNorm),
    inputs: tokens,
  },
  "an embedding, layer normalization, added to itself": {
    build() {
      const x = tfl.input({ shape: [5] });
      const embedded = embedding().apply(x) as Symbolic;
      const normalized = layerNorm().apply(embedded) as Symbolic;
      const sum = layers.add().apply([embedded, normalized]) as Symbolic;
      return tfl.model({ inputs: x, outputs: batchNorm().apply(sum) as Symbolic });
    },
    inputs: tokens,
  },
  "an embedding, layer normalization, an LSTM": {
    build: chain(embedding, layerNorm, () => layers.lstm({ ...units })),
    inputs: tokens,
  },
  "an embedding, a GRU of sequences, batch normalization": {
    build: chain(embedding, () => layers.gru({ ...units, returnSequences: true }), batchNorm),
    inputs: tokens,
  },
  "a bidirectional LSTM, layer normalization": {
    build: chain(
      () => layers.embedding({ inputDim: 6, outputDim: 4, inputLength: 5 }),
      () =>
        layers.bidirectional({
          layer: layers.lstm({ ...units, returnSequences: true }) as tfl.RNN,
          mergeMode: "concat",
        }),
      layerNorm,
    ),
    inputs: tokens,
  },
  "layer normalization of each step": {
    build: chain(
      () => input(5, 4),
      () => layers.timeDistributed({ layer: layerNorm() }),
    ),
    inputs: floats(3, 5, 4),
  },
  "layer normalization of each step behind masking": {
    build: chain(masking, () => layers.timeDistributed({ layer: layerNorm() })),
    inputs: padded(4),
  },
  "layer normalization of each of as many steps as features": {
    build: chain(
      () => masking(5),
      () => layers.timeDistributed({ layer: layerNorm() }),
      () => layers.dense({ units: 2 }),
    ),
    inputs: padded(5),
  },
  "batch normalization of each step behind an embedding": {
    build: chain(embedding, () => layers.timeDistributed({ layer: batchNorm() })),
    inputs: tokens,
  },
  "a model of each step": {
    build: chain(masking, () =>
      layers.timeDistributed({
        layer: tfl.sequential({ layers: [layers.dense({ units: 3, inputShape: [4] }), layerNorm()] }),
      }),
    ),
    inputs: padded(4),
  },
  "one layer for two inputs": {
    build() {
      const [a, b] = [tfl.input({ shape: [4] }), tfl.input({ shape: [4] })];
      const shared = layerNorm();
      const both = [a, b].map((one) => shared.apply(one) as Symbolic);
      return tfl.model({ inputs: [a, b], outputs: layers.concatenate().apply(both) as Symbolic });
    },
    inputs: () => [
      ...floats(3, 4)(),
      ...padded(4)().map((x) => tf.reshape(tf.slice(x, [0, 0, 0], [3, 1, 4]), [3, 4])),
    ],
  },
  "one batch normalization for a masked and a plain input": {
    build() {
      const [a, b] = [tfl.input({ shape: [5, 4] }), tfl.input({ shape: [5, 4] })];
      const masked = layers.masking({ maskValue: 0 }).apply(a) as Symbolic;
      const shared = batchNorm();
      const outputs = [masked, b].map((one) => shared.apply(one) as Symbolic);
      return tfl.model({ inputs: [a, b], outputs });
    },
    inputs: () => [...padded(4)(), ...floats(3, 5, 4)()],
  },
  "two inputs, concatenated": {
    build() {
      const [a, b] = [tfl.input({ shape: [2] }), tfl.input({ shape: [3] })];
      const joined = layers.concatenate().apply([a, b]) as Symbolic;
      return tfl.model({ inputs: [a, b], outputs: layerNorm().apply(joined) as Symbolic });
    },
    inputs: () => [...floats(3, 2)(), ...floats(3, 3)()],
  },
  "a model in a model": {
    build() {
      const inner = tfl.sequential({ layers: [layers.dense({ units: 4, inputShape: [3] }), batchNorm()] });
      return tfl.sequential({ layers: [inner, layerNorm(), layers.dense({ units: 2 })] });
    },
    inputs: floats(5, 3),
  },
  "a convolutional network": {
    build: chain(
      () => layers.conv2d({ filters: 3, kernelSize: 2, inputShape: [4, 4, 2] }),
      batchNorm,
      () => layers.reLU(),
      () => layers.depthwiseConv2d({ kernelSize: 2 }),
      batchNorm,
      () => layers.globalAveragePooling2d({}),
      layerNorm,
    ),
    inputs: floats(3, 4, 4, 2),
  },
  "batch normalization, a ReLU": {
    build: chain(
      () => layers.conv2d({ filters: 3, kernelSize: 2, inputShape: [4, 4, 2] }),
      batchNorm,
      () => layers.reLU(),
    ),
    inputs: floats(3, 4, 4, 2),
  },
  "batch normalization of constants, a ReLU, both up to a limit": {
    build: chain(
      () => input(3, 4),
      () => batchNorm({ scale: true }),
      () => layers.reLU({ maxValue: 0.5 }),
      layerNorm,
      () => layers.activation({ activation: "relu6" }),
    ),
    inputs: () => [tf.ones([2, 3, 4])],
  },
  "layer normalization, a leaky ReLU, and each other activation": {
    build: chain(
      () => input(5),
      layerNorm,
      () => layers.leakyReLU({ alpha: 0.4 }),
      layerNorm,
      () => layers.leakyReLU(),
      ...(["relu", "relu6", "tanh", "sigmoid", "swish", "gelu", "softmax"] as const).flatMap((activation) => [
        layerNorm,
        () => layers.activation({ activation: activation as "relu" }),
      ]),
    ),
    inputs: floats(3, 5),
  },
  "normalizations that others read too, and activations": {
    build() {
      const x = tfl.input({ shape: [4] });
      const [a, b, c] = [layerNorm(), batchNorm(), layerNorm()];
      const normalized = a.apply(x) as Symbolic;
      const active = layers.reLU().apply(normalized) as Symbolic;
      const given = b.apply(layers.add().apply([normalized, active])) as Symbolic;
      const sigmoid = layers.activation({ activation: "sigmoid" });
      const twice = [given, c.apply(given) as Symbolic].map((one) => sigmoid.apply(one) as Symbolic);
      return tfl.model({ inputs: x, outputs: [given, layers.add().apply(twice) as Symbolic] });
    },
    inputs: floats(5, 4),
  },
  "normalizations and activations, in a model and of each step, behind masking": {
    build() {
      const inner = tfl.sequential({
        layers: [layers.dense({ units: 4, inputShape: [4] }), layerNorm(), layers.reLU()],
      });
      return tfl.sequential({
        layers: [
          masking(),
          layerNorm(),
          layers.activation({ activation: "sigmoid" }),
          layers.timeDistributed({ layer: inner }),
          batchNorm(),
          layers.activation({ activation: "tanh" }),
        ],
      });
    },
    inputs: padded(4),
  },
  "integers, batch normalization": {
    build: chain(() => layers.inputLayer({ inputShape: [4], dtype: "int32" }), batchNorm),
    inputs: integers(5, 4),
  },
  "integers, layer normalization": {
    build: chain(() => layers.inputLayer({ inputShape: [4], dtype: "int32" }), layerNorm),
    inputs: integers(5, 4),
  },
  "unknown lengths, layer normalization": {
    build: chain(() => input(null, 4), layerNorm),
    inputs: floats(2, 3, 4),
  },
  "unknown sizes of images, batch normalization": {
    build: chain(() => input(null, null, 4), batchNorm),
    inputs: floats(2, 3, 2, 4),
  },
  "no examples, layer normalization": { build: chain(() => input(7, 4), layerNorm), inputs: floats(0, 7, 4) },
  "no examples, batch normalization": { build: chain(() => input(7, 4), batchNorm), inputs: floats(0, 7, 4) },
  "no examples, a dense network": {
    build: chain(
      () => layers.dense({ units: 3, inputShape: [4] }),
      batchNorm,
      layerNorm,
      () => layers.dense({ units: 2 }),
    ),
    inputs: floats(0, 4),
  },
  "no steps, layer normalization": { build: chain(() => input(null, 4), layerNorm), inputs: floats(2, 0, 4) },
  "one image, batch normalization": {
    build: chain(() => input(3, 2, 4), batchNorm),
    inputs: floats(1, 3, 2, 4),
  },
  "one row, layer normalization": { build: chain(() => input(4), layerNorm), inputs: floats(1, 4) },
  "one row, batch normalization": { build: chain(() => input(4), batchNorm), inputs: floats(1, 4) },
  "one feature, layer normalization": { build: chain(() => input(1), layerNorm), inputs: floats(3, 1) },
};

/** By what it is: an output, a gradient, a variable; or the error that came instead. */
export type Observed = Record<string, { shape: number[]; values: Float32Array } | string>;

/** Weights that are not those of the start, the same for models of the same structure. */
export function setWeights(model: tfl.LayersModel): void {
  tf.tidy(() => {
    model.setWeights(
      model.getWeights().map((weight, i) => {
        const values = normal(weight.size, 40 + i, 0.3);
        return tf.tensor(
          values.map((value) => value ** 2 + 0.3),
          weight.shape,
        );
      }),
    );
  });
}

/** Gives a model the weights of another by their names, which must be of one each; and these values to those that it alone has. */
export function weightsByName(
  from: tfl.LayersModel,
  to: tfl.LayersModel,
  others: Readonly<Record<string, number>> = {},
): void {
  const values = new Map(from.weights.map((one) => [own(one), one.read()]));
  tf.tidy(() => {
    for (const one of to.weights) {
      const value = others[own(one)];
      one.write(values.get(own(one)) ?? tf.fill(one.shape as number[], value));
    }
  });
}

/** What a model gives in evaluation and in training, its gradients in both, and its weights after training. */
export function observe(model: tfl.LayersModel, { inputs, training = true }: Case): Observed {
  const seen: Observed = {};
  const note = (name: string, run: () => Record<string, tf.Tensor>) => {
    tf.tidy(() => {
      try {
        for (const [part, tensor] of Object.entries(run())) {
          seen[`${name}${part}`] = { shape: tensor.shape, values: Float32Array.from(tensor.dataSync()) };
        }
      } catch (error) {
        seen[name] = String(error);
      }
    });
  };
  const call = (x: tf.Tensor[], options: object) =>
    [model.call(x.length === 1 ? x[0] : x, options as never)].flat() as tf.Tensor[];
  for (const [mode, options] of [
    ["evaluation", { training: false }],
    ["training", { training }],
  ] as const) {
    note(`${mode}: output`, () => Object.fromEntries(call(inputs(), options).entries()));
    if (mode === "training") {
      note("after training: ", () =>
        Object.fromEntries(model.weights.map((one, i) => [`${i} ${own(one)}`, tf.clone(one.read())])),
      );
    }
    const loss = (x: tf.Tensor[]) => {
      const sums = call(x, options).map((y) => {
        const dy = tf.tensor(normal(y.size, 9), y.shape);
        return tf.sum(tf.mul(y, dy));
      });
      return tf.addN(sums) as tf.Scalar;
    };
    const learned = model.trainableWeights.map((one) => one.read() as tf.Variable);
    if (learned.length > 0) {
      note(`${mode}: gradient of `, () => {
        const x = inputs();
        const { grads } = tf.variableGrads(() => loss(x), learned);
        return Object.fromEntries(
          model.trainableWeights.map((one, i) => [`${i} ${own(one)}`, grads[learned[i].name]]),
        );
      });
    }
    if (inputs().every(({ dtype }) => dtype === "float32")) {
      note(`${mode}: gradient of input `, () => {
        const x = inputs();
        return Object.fromEntries(
          tf
            .grads((...each: tf.Tensor[]) => loss(each))(x)
            .entries(),
        );
      });
    }
  }
  return seen;
}

/** Without the layer's name, which has another number in each model. */
function own({ originalName }: { originalName: string }): string {
  return originalName.split("/").pop() as string;
}
