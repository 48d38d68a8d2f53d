/** By what a task predicts, what its networks say of other data. */
import * as tf from "@tensorflow/tfjs-core";
import type { LayersModel } from "@tensorflow/tfjs-layers";
import { sizeOf } from "../data/form.js";
import { standardized } from "../data/standardize.js";
// their classes are known to whoever loads a network
import "../models/layers/registry.js";
import { UsageError } from "../errors.js";
import { tasks } from "../tasks/registry.js";
import type { Task } from "../tasks/task.js";
import { predictItems } from "./items.js";
import type { Given, Kept, Predict, PredictionOptions, Predictions, Run } from "./prediction.js";
import { predictSeries } from "./series.js";
import { predictTarget } from "./target.js";
import { predictText } from "./text.js";

const predicting: Record<Task["from"], Predict> = {
  target: predictTarget,
  series: predictSeries,
  interactions: predictItems,
  text: predictText,
};

/** What a network says of data. Throws UsageError for data that are not such as those of its training. */
export async function predict(
  model: LayersModel,
  kept: Kept,
  given: Given,
  options: PredictionOptions = {},
): Promise<Predictions> {
  const { from } = tasks[kept.task];
  for (const [option, own] of [
    ["top", "interactions"],
    ["characters", "text"],
  ] as const) {
    if (options[option] === undefined || from === own) continue;
    throw new UsageError(`--${option}: has no place in ${kept.task}, which the network learnt; leave it out`);
  }
  return predicting[from](kept, runOf(model, kept), given, options);
}

/** Inputs and outputs that are held at a time, and examples. */
const BATCH = { values: 2e6, examples: 1024 };

const runOf =
  (model: LayersModel, { form, inputs }: Kept): Run =>
  (x, examples, each) => {
    const [size, width] = [form.input.shape, form.outputs].map(sizeOf);
    const batch = Math.max(1, Math.min(BATCH.examples, Math.floor(BATCH.values / (size + width))));
    for (let at = 0; at < examples; at += batch) {
      const some = Math.min(batch, examples - at);
      const outputs = tf.tidy(() => {
        const values = standardized(x, at * size, some * size, inputs);
        const given = model.apply(tf.tensor(values, [some, ...form.input.shape]), { training: false });
        return (given as tf.Tensor).dataSync() as Float32Array;
      });
      for (let i = 0; i < some; i++) each(outputs.subarray(i * width, (i + 1) * width), at + i);
    }
  };
