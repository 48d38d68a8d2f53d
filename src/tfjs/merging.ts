/** Moments of several places in TensorFlow.js: a reduction as a differentiable function of tensors. */
import * as tf from "@tensorflow/tfjs-core";
import { type Merge, PARTS, type PartedMoments } from "../formula/ops.js";
import { atOnce, type Reduce } from "../moments.js";
import { isDifferentiatedAgain } from "./elementary.js";

/** Its gradient calls the reduction again; there is no second one. Values are read, which waits for the device. */
export function merging(reduce: Reduce): Merge<tf.Tensor> {
  const now = atOnce(reduce);
  return (local, rules) => {
    const { shape, size } = local.rest;
    const partsIn = (values: Float32Array) => partsOf((i) => values.subarray(i * size, (i + 1) * size));
    // all parts in one tensor, which is read once, and since an operation gives one
    const read = (stacked: tf.Tensor) => partsIn(stacked.dataSync() as Float32Array);
    const here = read(tf.stack(PARTS.map((part) => local[part])));
    const values = new Float32Array(PARTS.length * size);
    const all = partsIn(values);
    rules.reduced(now, rules.listOf(here), (list) => rules.writeParts(list, all));
    const operation = tf.customGrad(() => ({
      value: tf.tensor(values, [PARTS.length, ...shape]),
      gradFunc(gradient: tf.Tensor) {
        refuseSecond();
        const { rest, variance } = read(gradient);
        const into = { rest: new Float32Array(size), variance: new Float32Array(size) };
        const sums = rules.gradientList(rest, variance, all.unit);
        rules.reduced(now, sums, (list) => rules.writeGradients(list, here, all, into));
        return [tf.tensor(into.rest, shape), tf.tensor(into.variance, shape)];
      },
    }));
    const parts = tf.unstack(operation(local.rest, local.variance));
    return partsOf((i) => parts[i]);
  };
}

/** @throws Error where a gradient is to be differentiated again */
export function refuseSecond(): void {
  if (!isDifferentiatedAgain()) return;
  throw new Error(
    "evenkeel: statistics that are merged with those of other places have no second derivatives; take them without reduce",
  );
}

function partsOf<T>(make: (i: number) => T): PartedMoments<T> {
  return Object.fromEntries(PARTS.map((part, i) => [part, make(i)])) as unknown as PartedMoments<T>;
}
