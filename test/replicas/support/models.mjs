/** Small models and data for replicas: the same in every thread for the same seed. */
import * as tf from "@tensorflow/tfjs-core";
import * as tfl from "@tensorflow/tfjs-layers";
import { layers } from "evenkeel/tfjs";

/** Numbers from −1 to 1 (mulberry32). @param {number} seed */
export function random(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let bits = Math.imul(state ^ (state >>> 15), state | 1);
    bits ^= bits + Math.imul(bits ^ (bits >>> 7), bits | 61);
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 31 - 1;
  };
}

const CLASSES = 3;
/** @type {Record<string, number[]>} */
const SHAPES = { mlp: [6], conv: [6, 6, 2], sequence: [5, 4] };

/** Every normalization that is tried. @type {Record<string, () => tfl.layers.Layer>} */
const norms = {
  batch: () => layers.batchNormalization({ momentum: 0.5 }),
  unbiased: () => layers.batchNormalization({ momentum: 0.5, runningVariance: "unbiased" }),
  epoch: () => layers.batchNormalization({ average: "epoch", runningVariance: "unbiased" }),
  "built-in": () => tfl.layers.batchNormalization({ momentum: 0.5 }),
  renorm: () => layers.batchRenormalization({ momentum: 0.5 }),
  masked: () => layers.batchNormalization({ momentum: 0.5, useMask: true }),
  "mean only": () => layers.meanOnlyBatchNormalization({ momentum: 0.5 }),
  "batch layer": () => layers.batchLayerNormalization(),
  evo: () => layers.evoNormB0({ momentum: 0.5 }),
  iter: () => layers.iterNormalization({ momentum: 0.5 }),
  switchable: () => layers.switchableNormalization({ momentum: 0.5 }),
  act: () => layers.actNormalization(),
  layer: () => layers.layerNormalization(),
  online: () => layers.onlineNormalization(),
  dropout: () => tfl.layers.dropout({ rate: 0.3 }),
};

/** @param {string} kind @param {string} norm @param {number} seed */
export function modelOf(kind, norm, seed) {
  let at = 10 * seed;
  const kernelInitializer = () => tfl.initializers.glorotUniform({ seed: at++ });
  const model = tfl.sequential();
  const inputShape = SHAPES[kind];
  if (kind === "conv") {
    for (const shape of [{ inputShape }, {}]) {
      model.add(
        tfl.layers.conv2d({ ...shape, filters: 4, kernelSize: 3, kernelInitializer: kernelInitializer() }),
      );
      model.add(norms[norm]());
      model.add(tfl.layers.reLU());
    }
    model.add(tfl.layers.flatten());
  } else if (kind === "sequence") {
    model.add(tfl.layers.masking({ inputShape }));
    model.add(norms[norm]());
    const seeds = { kernelInitializer: kernelInitializer(), recurrentInitializer: kernelInitializer() };
    model.add(tfl.layers.simpleRNN({ units: 5, ...seeds }));
  } else {
    for (const shape of [{ inputShape }, {}]) {
      // a bias before a batch norm has a gradient of rounding alone, which Adam makes steps of full size of
      const options = { useBias: false, kernelInitializer: kernelInitializer() };
      model.add(tfl.layers.dense({ ...shape, units: 8, ...options }));
      model.add(norms[norm]());
      model.add(tfl.layers.activation({ activation: "tanh" }));
    }
  }
  model.add(
    tfl.layers.dense({ units: CLASSES, activation: "softmax", kernelInitializer: kernelInitializer() }),
  );
  return model;
}

/** x far from 0, and of a larger spread in later examples: replicas that see some of them measure other statistics. */
/** @param {string} kind @param {number} examples @param {number} step */
export function dataOf(kind, examples, step) {
  const next = random(1000 + step);
  const shape = SHAPES[kind];
  const size = shape.reduce((a, b) => a * b);
  const labels = Array.from({ length: examples }, (_, i) => i % CLASSES);
  const values = labels.flatMap((label, i) => {
    const one = Array.from({ length: size }, () => 3 + label + (1 + i / 2) * next());
    // sequences of unequal lengths, padded by 0
    if (kind === "sequence") one.fill(0, shape[1] * (1 + (i % shape[0])));
    return one;
  });
  const x = tf.tensor(values, [examples, ...shape]);
  return [x, tf.tidy(() => tf.cast(tf.oneHot(tf.tensor1d(labels, "int32"), CLASSES), "float32"))];
}
