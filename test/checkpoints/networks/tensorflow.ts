/** The networks of ../../fixtures/checkpoints/tensorflow whose files have weights alone, and of Keras's files of weights. */
import * as tf from "@tensorflow/tfjs-core";
import * as tfl from "@tensorflow/tfjs-layers";
import { open } from "../../../src/checkpoints/index.js";
import { layers, layersModelFrom } from "../../../src/tfjs/index.js";
import { inSequence, type Network } from "./network.js";

const { conv2d, dense, flatten, globalAveragePooling2d, reLU } = tfl.layers;
const { batchNormalization, groupNormalization, layerNormalization } = layers;

const keras: Network = {
  build: () =>
    inSequence(
      [6, 6, 1],
      conv2d({ name: "conv", filters: 4, kernelSize: 2, activation: "relu" }),
      batchNormalization({ name: "bn" }),
      tfl.sequential({
        name: "inner",
        layers: [
          conv2d({ name: "inner_conv", filters: 4, kernelSize: 2, inputShape: [5, 5, 4] }),
          batchNormalization({ name: "inner_bn", epsilon: 0.02, scale: false }),
        ],
      }),
      layerNormalization({ name: "ln", epsilon: 0.01 }),
      groupNormalization({ name: "gn", groups: 2 }),
      globalAveragePooling2d({}),
      dense({ name: "dense", units: 1 }),
    ),
};

/** Freezing leaves a network's variables as constants under the names of the operations that read them. */
const frozen = {
  "conv/kernel": "net/conv/Conv2D/ReadVariableOp/resource",
  "conv/bias": "net/conv/BiasAdd/ReadVariableOp/resource",
  bn: "net/bn",
  "inner/inner_conv/kernel": "net/inner/inner_conv/Conv2D/ReadVariableOp/resource",
  "inner/inner_conv/bias": "net/inner/inner_conv/BiasAdd/ReadVariableOp/resource",
  "inner/inner_bn": "net/inner/inner_bn",
  "ln/gamma": "net/ln/mul/ReadVariableOp/resource",
  "ln/beta": "net/ln/add/ReadVariableOp/resource",
  "gn/gamma": "net/gn/Reshape_2/ReadVariableOp/resource",
  "gn/beta": "net/gn/Reshape_3/ReadVariableOp/resource",
  "dense/kernel": "net/dense/MatMul/ReadVariableOp/resource",
  "dense/bias": "net/dense/BiasAdd/ReadVariableOp/resource",
};

export const tensorflow: Readonly<Record<string, Network>> = {
  keras2: { ...keras, options: (format) => (/frozen/.test(format) ? { map: frozen } : {}) },
  keras3: keras,
  graph: {
    build: () =>
      inSequence(
        [6, 6, 1],
        conv2d({ name: "conv", filters: 4, kernelSize: 2, padding: "same", useBias: false }),
        batchNormalization({ name: "bn", epsilon: 0.005 }),
        reLU(),
        flatten(),
        dense({ name: "dense", units: 1, useBias: false }),
      ),
  },
  plain: {
    build: () =>
      inSequence(
        [6, 6, 1],
        conv2d({ name: "conv", filters: 4, kernelSize: 1, useBias: false }),
        batchNormalization({ name: "first", epsilon: 0.003 }),
        batchNormalization({ name: "second", epsilon: 0.004 }),
      ),
    options: () => ({ map: { "conv/kernel": "kernel", first: "first", second: "blocks/0" } }),
  },
};

/** A model of Keras with other weights than the file's. */
export function kerasWithoutWeights(file: string): Network {
  return {
    async build() {
      const model = await layersModelFrom(await open(file));
      for (const weight of model.weights) weight.write(tf.zeros(weight.shape as number[]));
      return model;
    },
  };
}
