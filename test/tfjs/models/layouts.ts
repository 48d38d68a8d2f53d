/** Models of layers whose weights PyTorch lays out otherwise: those of ../../fixtures/architectures/make_layouts.py. */
import * as tfl from "@tensorflow/tfjs-layers";
import { gru, layers, spectralNormalization, weightNormalization } from "../../../src/tfjs/index.js";

const epsilon = 1e-5;
/** Orthogonal initial values need TensorFlow.js's chained operations. */
const recurrentInitializer = "glorotNormal";

export function images(): tfl.Sequential {
  const model = tfl.sequential();
  model.add(tfl.layers.conv2d({ name: "conv", inputShape: [6, 6, 2], filters: 4, kernelSize: 3 }));
  model.add(layers.batchNormalization({ name: "batch", epsilon }));
  model.add(tfl.layers.depthwiseConv2d({ name: "depthwise", kernelSize: 2, depthMultiplier: 2 }));
  model.add(tfl.layers.prelu({ name: "prelu", sharedAxes: [1, 2] }));
  model.add(layers.groupNormalization({ name: "group", groups: 2, epsilon }));
  model.add(tfl.layers.separableConv2d({ name: "separable", filters: 5, kernelSize: 2 }));
  model.add(tfl.layers.conv2dTranspose({ name: "transposed", filters: 3, kernelSize: 2, strides: 2 }));
  model.add(layers.layerNormalization({ name: "layer", axis: [1, 2, 3], epsilon }));
  model.add(weightNormalization(tfl.layers.conv2d({ filters: 3, kernelSize: 2 }), { name: "weighted" }));
  model.add(spectralNormalization(tfl.layers.conv2d({ filters: 3, kernelSize: 2 }), { name: "spectral" }));
  model.add(tfl.layers.flatten());
  model.add(layers.batchNormalization({ name: "features", epsilon }));
  model.add(tfl.layers.dense({ name: "linear", units: 6 }));
  model.add(layers.layerNormalization({ name: "last", epsilon }));
  model.add(layers.rmsNormalization({ name: "rms", epsilon }));
  return model;
}

export function sequences(): tfl.Sequential {
  const model = tfl.sequential();
  model.add(tfl.layers.embedding({ name: "embedding", inputDim: 7, outputDim: 4, inputLength: 5 }));
  const lstm = tfl.layers.lstm({
    units: 3,
    returnSequences: true,
    recurrentActivation: "sigmoid",
    recurrentInitializer,
  }) as tfl.RNN;
  model.add(tfl.layers.bidirectional({ name: "both", layer: lstm, mergeMode: "concat" }));
  model.add(gru({ name: "gru0", units: 4, returnSequences: true, recurrentInitializer }));
  model.add(gru({ name: "gru1", units: 4, returnSequences: true, recurrentInitializer }));
  model.add(tfl.layers.simpleRNN({ name: "rnn", units: 3, returnSequences: true, recurrentInitializer }));
  model.add(tfl.layers.conv1d({ name: "conv", filters: 2, kernelSize: 3 }));
  return model;
}
