/** The networks of ../../fixtures/checkpoints/mxnet: matched by order, since Gluon's files have numbers or names of their own. */
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
  unitNormalization,
} = layers;

export const mxnet: Readonly<Record<string, Network>> = {
  gluon: {
    channelsFirst: true,
    build: () =>
      inSequence(
        [6, 6, 1],
        conv2d({ filters: 4, kernelSize: 3, padding: "same" }),
        batchNormalization({ epsilon: 1e-5 }),
        reLU(),
        // its gamma is stored, and fixed to 1
        batchNormalization({ epsilon: 1e-3, scale: false }),
        conv2d({ filters: 6, kernelSize: 3, padding: "same" }),
        batchNormalization({ epsilon: 2e-5 }),
        groupNormalization({ groups: 2, epsilon: 1e-4 }),
        instanceNormalization({ epsilon: 1e-3 }),
        instanceNormalization({ epsilon: 1e-5 }),
        layerNormalization({ epsilon: 1e-5 }),
        globalAveragePooling2d({}),
        layerNormalization({ epsilon: 1e-3 }),
        dense({ units: 3 }),
      ),
  },
  module: {
    channelsFirst: true,
    build: () =>
      inSequence(
        [6, 6, 1],
        conv2d({ name: "conv0", filters: 4, kernelSize: 3, padding: "same" }),
        batchNormalization({ name: "bn_default", epsilon: 1e-3 }),
        reLU(),
        batchNormalization({ name: "bn_learned", epsilon: 2e-5 }),
        localResponseNormalization({ size: 3, alpha: 0.1, k: 2 }),
        conv2d({ name: "conv1", filters: 6, kernelSize: 3, padding: "same", useBias: false }),
        batchNormalization({ name: "bn_global", epsilon: 1e-3 }),
        instanceNormalization({ name: "inorm", epsilon: 1e-3 }),
        groupNormalization({ name: "gnorm", groups: 3, epsilon: 1e-5 }),
        layerNormalization({ name: "lnorm", epsilon: 1e-4 }),
        unitNormalization(),
        globalAveragePooling2d({}),
        dense({ name: "fc", units: 3 }),
      ),
  },
};
