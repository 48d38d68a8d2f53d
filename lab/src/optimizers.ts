/** The optimizers of the command line, made and disposed of with all that they keep. */
import * as tf from "@tensorflow/tfjs-core";
import type { OptimizerName } from "./settings.js";

export function optimizerOf(name: OptimizerName, learningRate: number): tf.Optimizer {
  switch (name) {
    case "sgd":
      return tf.train.sgd(learningRate);
    case "momentum":
      return tf.train.momentum(learningRate, 0.9);
    case "adam":
      return tf.train.adam(learningRate);
  }
}

export function disposeOptimizer(optimizer: tf.Optimizer): void {
  optimizer.dispose();
  // momentum leaves what it has from plain gradient descent
  for (const left of Object.values(optimizer)) if (left instanceof tf.Tensor) left.dispose();
}
