/** The networks of ../../fixtures/checkpoints/onnx, but for those of which the graph itself is the point (If, functions). */
import * as tf from "@tensorflow/tfjs-core";
import * as tfl from "@tensorflow/tfjs-layers";
import { layers } from "../../../src/tfjs/index.js";
import { inSequence, type Network } from "./network.js";

const { conv2d, dense, globalAveragePooling2d, reLU } = tfl.layers;
const {
  batchNormalization,
  groupNormalization,
  instanceNormalization,
  layerNormalization,
  localResponseNormalization,
  rmsNormalization,
  unitNormalization,
} = layers;
const image = [3, 3, 4];

export const onnx: Readonly<Record<string, Network>> = {
  torch: {
    channelsFirst: true,
    build: () =>
      inSequence(
        [6, 6, 1],
        conv2d({ name: "conv0", filters: 4, kernelSize: 3, padding: "same" }),
        reLU(),
        batchNormalization({ name: "batch0", epsilon: 1e-3 }),
        groupNormalization({ name: "group0", groups: 2, epsilon: 1e-4 }),
        conv2d({ name: "conv1", filters: 6, kernelSize: 3, padding: "same" }),
        reLU(),
        instanceNormalization({ name: "instance0", epsilon: 1e-5 }),
        layerNormalization({ name: "layer0", epsilon: 2e-5 }),
        tfl.layers.maxPooling2d({ poolSize: [1, 1], strides: [2, 1] }),
        globalAveragePooling2d({}),
        rmsNormalization({ name: "rms0", epsilon: 1e-6 }),
        dense({ name: "dense0", units: 3 }),
      ),
  },
  keras: {
    build: () =>
      inSequence(
        [6, 6, 1],
        conv2d({ name: "conv0", filters: 4, kernelSize: 3, padding: "same", activation: "relu" }),
        batchNormalization({ name: "batch0", epsilon: 2e-3 }),
        conv2d({ name: "conv1", filters: 6, kernelSize: 3, padding: "same", activation: "relu" }),
        batchNormalization({ name: "batch1", epsilon: 1e-3, scale: false }),
        layerNormalization({ name: "layer0", epsilon: 1e-3 }),
        globalAveragePooling2d({}),
        dense({ name: "dense0", units: 3 }),
      ),
    // the graph adds the bias on its own
    options: () => ({
      map: {
        conv0: "sequential/conv0/BiasAdd",
        batch0: "sequential/batch0/FusedBatchNormV3",
        conv1: "sequential/conv1/BiasAdd",
        batch1: "sequential/batch1/FusedBatchNormV3",
        layer0: "sequential/layer0/FusedBatchNormV3",
        dense0: "sequential/dense0/MatMul",
        "dense0/bias": "sequential/dense0/BiasAdd/ReadVariableOp:0",
      },
    }),
  },
  "group-18": {
    channelsFirst: true,
    build: () => inSequence(image, groupNormalization({ name: "group", groups: 2, epsilon: 1e-3 })),
  },
  "group-21": {
    channelsFirst: true,
    build: () => inSequence(image, groupNormalization({ name: "group", groups: 2, epsilon: 1e-3 })),
  },
  "batch-7": {
    channelsFirst: true,
    build: () =>
      inSequence(
        image,
        batchNormalization({ name: "first", epsilon: 1e-5 }),
        batchNormalization({ name: "second", epsilon: 1e-2 }),
      ),
  },
  "norms-23": {
    channelsFirst: true,
    build: () =>
      inSequence(
        image,
        batchNormalization({ name: "batch", epsilon: 1e-2 }),
        instanceNormalization({ name: "instance", epsilon: 1e-3 }),
        layerNormalization({ name: "layer", axis: [1, 2], epsilon: 1e-5 }),
        rmsNormalization({ name: "rms", axis: 2, epsilon: 1e-4 }),
        localResponseNormalization({ size: 3, alpha: 0.1 }),
        unitNormalization(),
      ),
    // MeanVarianceNormalization, by the batch's own statistics
    after(y) {
      const { mean, variance } = tf.moments(y, [0, 1, 2]);
      return tf.div(tf.sub(y, mean), tf.add(tf.sqrt(variance), 1e-9));
    },
  },
  external: {
    channelsFirst: true,
    build: () =>
      inSequence(
        image,
        batchNormalization({ name: "batch", epsilon: 1e-5 }),
        conv2d({ name: "conv", filters: 2, kernelSize: 1 }),
      ),
  },
};
