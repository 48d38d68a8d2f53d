/** The networks of ../../fixtures/checkpoints/pytorch and safetensors, and of fastai. */
import * as tf from "@tensorflow/tfjs-core";
import * as tfl from "@tensorflow/tfjs-layers";
import { layers, spectralNormalization, weightNormalization } from "../../../src/tfjs/index.js";
import { inSequence, type Network } from "./network.js";

const { conv2d, conv3d, dense, flatten, reLU, zeroPadding2d, globalAveragePooling2d } = tfl.layers;
const {
  batchNormalization,
  groupNormalization,
  instanceNormalization,
  layerNormalization,
  localResponseNormalization,
  rmsNormalization,
} = layers;
/** PyTorch's default. */
const epsilon = 1e-5;

/** torch.nn.CrossMapLRN2d(3, alpha=0.25) as it is: from its third channel on, sums keep the first channel, which has left the window. */
class CrossMap extends tfl.layers.Layer {
  static readonly className = "CrossMap";

  override call(inputs: tf.Tensor | tf.Tensor[]): tf.Tensor {
    return tf.tidy(() => {
      const [x] = [inputs].flat();
      const square = tf.square(x);
      const [first] = tf.split(square, [1, (x.shape[3] as number) - 1], 3);
      const [before, after] = [tf.zerosLike(first), tf.slice(square, [0, 0, 0, 0], [-1, -1, -1, 3])];
      const next = tf.concat([tf.slice(square, [0, 0, 0, 1], [-1, -1, -1, 3]), before], 3);
      const stays = tf.concat([before, before, first, first], 3);
      const sum = tf.addN([square, tf.concat([before, after], 3), next, stays]);
      return tf.div(x, tf.pow(tf.add(1, tf.mul(sum, 0.25 / 3)), 0.75));
    });
  }
}

export const pytorch: Readonly<Record<string, Network>> = {
  images: {
    channelsFirst: true,
    build: () =>
      inSequence(
        [6, 6, 1],
        conv2d({ name: "conv1", filters: 4, kernelSize: 3 }),
        batchNormalization({ name: "batch", epsilon: 1e-3 }),
        reLU(),
        conv2d({ name: "conv2", filters: 6, kernelSize: 3 }),
        groupNormalization({ name: "group", groups: 2, epsilon }),
        reLU(),
        conv2d({ name: "conv3", filters: 6, kernelSize: 3, padding: "same" }),
        instanceNormalization({ name: "instance", epsilon, trackRunningStatistics: true }),
        reLU(),
        globalAveragePooling2d({}),
        dense({ name: "linear1", units: 5 }),
        layerNormalization({ name: "layer", epsilon: 1e-4 }),
        dense({ name: "linear2", units: 3 }),
      ),
  },
  features: {
    build: () =>
      inSequence(
        [4],
        dense({ name: "linear1", units: 6 }),
        batchNormalization({ name: "batch", epsilon }),
        reLU(),
        dense({ name: "linear2", units: 6 }),
        rmsNormalization({ name: "rms", epsilon: 2 ** -23 }),
        weightNormalization(dense({ units: 5 }), { name: "weighted" }),
        spectralNormalization(dense({ units: 5 }), { name: "spectral" }),
        dense({ name: "linear3", units: 4 }),
        layerNormalization({ name: "layer", epsilon, center: false }),
      ),
  },
  /** Weight and spectral normalization multiplied out, into plain layers. */
  older: {
    build: () =>
      inSequence(
        [4],
        dense({ name: "linear1", units: 6 }),
        batchNormalization({ name: "batch", epsilon }),
        dense({ name: "weighted", units: 5 }),
        dense({ name: "spectral", units: 5 }),
        reLU(),
        rmsNormalization({ name: "rms", epsilon: 1e-4 }),
        dense({ name: "linear2", units: 3 }),
      ),
  },
  rest: {
    channelsFirst: true,
    build: () =>
      inSequence(
        [6, 6, 1],
        conv2d({ name: "conv", filters: 4, kernelSize: 3 }),
        batchNormalization({ name: "sync", epsilon }),
        instanceNormalization({ epsilon, scale: false, center: false }),
        localResponseNormalization({ size: 3, alpha: 0.5, beta: 0.7, k: 1.5 }),
        new CrossMap({}),
        layerNormalization({ name: "layer", axis: [1, 2], epsilon }),
        layerNormalization({ axis: 2, epsilon, scale: false, center: false }),
        flatten(),
        dense({ name: "linear", units: 3 }),
      ),
  },
  volumes: {
    channelsFirst: true,
    build: () =>
      inSequence(
        [3, 3, 3, 1],
        conv3d({ name: "conv", filters: 4, kernelSize: 2 }),
        batchNormalization({ name: "batch", epsilon: 2e-5 }),
        reLU(),
        tfl.layers.averagePooling3d({ poolSize: 2 }),
        flatten(),
        dense({ name: "linear", units: 3 }),
      ),
  },
};

export const safetensors: Readonly<Record<string, Network>> = {
  /** Two linear layers with one weight, stored once (transformers#38870): a map says so. */
  network: {
    channelsFirst: true,
    build() {
      const x = tfl.input({ shape: [6, 6, 2] });
      const through = (y: tfl.SymbolicTensor, ...all: { apply(y: tfl.SymbolicTensor): unknown }[]) =>
        all.reduce((z, layer) => layer.apply(z) as tfl.SymbolicTensor, y);
      const pooled = through(
        x,
        conv2d({ name: "conv", filters: 4, kernelSize: 3 }),
        batchNormalization({ name: "norm", epsilon }),
        reLU(),
        groupNormalization({ name: "group", groups: 2, epsilon: 1e-3 }),
        globalAveragePooling2d({}),
      );
      const inner = through(
        pooled,
        dense({ name: "inner", units: 5, useBias: false }),
        layerNormalization({ name: "layer", epsilon }),
        rmsNormalization({ name: "rms", epsilon: 1e-6 }),
      );
      const outer = through(pooled, dense({ name: "outer", units: 5, useBias: false }));
      return tfl.model({
        inputs: x,
        outputs: tfl.layers.multiply().apply([inner, outer]) as tfl.SymbolicTensor,
      });
    },
    options: () => ({ map: { outer: "inner" } }),
  },
};

export const fastai: Readonly<Record<string, Network>> = {
  version1: {
    build: () =>
      inSequence(
        [2],
        batchNormalization({ name: "0", epsilon }),
        dense({ name: "1", units: 3, activation: "relu" }),
        batchNormalization({ name: "3", epsilon }),
        dense({ name: "5", units: 1 }),
      ),
  },
  network: {
    channelsFirst: true,
    build: () =>
      inSequence(
        [6, 6, 1],
        zeroPadding2d({}),
        conv2d({ name: "0.0", filters: 4, kernelSize: 3, strides: 2, useBias: false }),
        batchNormalization({ name: "0.1", epsilon }),
        reLU(),
        conv2d({ name: "1.0", filters: 5, kernelSize: 3, padding: "same", useBias: false }),
        batchNormalization({ name: "1.1", epsilon }),
        reLU(),
        conv2d({ name: "2.0", filters: 4, kernelSize: 3, padding: "same", useBias: false }),
        instanceNormalization({ name: "2.1", epsilon }),
        reLU(),
        weightNormalization(conv2d({ filters: 4, kernelSize: 3, padding: "same" }), { name: "3.0" }),
        reLU(),
        spectralNormalization(conv2d({ filters: 4, kernelSize: 3, padding: "same" }), { name: "4.0" }),
        reLU(),
        batchNormalization({ name: "5", epsilon }),
        instanceNormalization({ epsilon, scale: false, center: false }),
        reLU(),
        globalAveragePooling2d({}),
        batchNormalization({ name: "10.0", epsilon }),
        dense({ name: "10.1", units: 3, useBias: false }),
      ),
  },
};
