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
    const here = partsOf((part) => local[part].dataSync() as Float32Array);
    const all = partsOf(() => new Float32Array(size));
    rules.reduced(now, rules.listOf(here), (list) => rules.writeParts(list, all));
    const operation = tf.customGrad(() => ({
      // one tensor of all parts, since an operation gives one
      value: tf.stack(PARTS.map((part) => tf.tensor(all[part], shape))),
      gradFunc(gradient: tf.Tensor) {
        refuseSecond();
        const [rest, variance] = [1, 2].map((part) => tf.slice(gradient, part, 1).dataSync() as Float32Array);
        const into = { rest: new Float32Array(size), variance: new Float32Array(size) };
        const sums = rules.gradientList(rest, variance, all.unit);
        rules.reduced(now, sums, (list) => rules.writeGradients(list, here, all, into));
        return [tf.tensor(into.rest, shape), tf.tensor(into.variance, shape)];
      },
    }));
    const parts = tf.unstack(operation(local.rest, local.variance));
    return partsOf((part) => parts[PARTS.indexOf(part)]);
  };
}

/** @throws Error where a gradient is to be differentiated again */
export function refuseSecond(): void {
  if (!isDifferentiatedAgain()) return;
  throw new Error(
    "evenkeel: statistics that are merged with those of other places have no second derivatives; take them without reduce",
  );
}

function partsOf<T>(make: (part: (typeof PARTS)[number]) => T): PartedMoments<T> {
  return Object.fromEntries(PARTS.map((part) => [part, make(part)])) as unknown as PartedMoments<T>;
}
