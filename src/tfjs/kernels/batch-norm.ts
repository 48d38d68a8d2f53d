/**
 * Runs `FusedBatchNorm` (of `tf.batchNorm` and the graph operations FusedBatchNorm, …V2 and …V3) on the
 * normalization kernels. A graph saved in training mode has empty statistics (TensorFlow's convention for
 * "measure them"): y is then normalized by the statistics of x.
 */
import * as tf from "@tensorflow/tfjs-core";
import { fusedKernels } from "./fused.js";
import type { Host, Inputs, Shipped } from "./host.js";
import { addressOf, outputOn } from "./wasm-backend.js";

/**
 * y from x [..., channels] and mean, variance, offset and scale (the last two optional) of one length: the
 * channels, or the last few axes combined. Different lengths, and types other than float32, are left to the
 * shipped kernel.
 */
export function fusedBatchNorm(
  host: Host,
  { x, mean, variance, offset, scale }: Inputs,
  { varianceEpsilon }: tf.FusedBatchNormAttrs,
  shipped: Shipped,
): tf.TensorInfo {
  const { backend } = host;
  const kernels = fusedKernels(backend);
  const size = tf.util.sizeFromShape(x.shape);
  const isTraining = [mean, variance].every(({ shape }) => tf.util.sizeFromShape(shape) === 0);
  const tensors = [x, mean, variance, offset, scale].filter(
    (tensor) => tensor !== undefined && tensor !== null,
  );
  const lengths = new Set(tensors.slice(isTraining ? 3 : 1).map(({ shape }) => tf.util.sizeFromShape(shape)));
  const length = isTraining ? x.shape[x.shape.length - 1] : [...lengths][0];
  if (!kernels || size === 0 || tensors.some(({ dtype }) => dtype !== "float32")) return shipped();
  if ([...lengths].some((other) => other !== length) || size % length !== 0) return shipped();

  const y = outputOn(backend, x.shape);
  const measured = isTraining ? [outputOn(backend, [length]), outputOn(backend, [length])] : [];
  const [meanAt, varianceAt] = (isTraining ? measured : [mean, variance]).map((t) => addressOf(backend, t));
  const view = { k1: 1, r1: size / length, k2: length, r2: 1 };
  kernels.forward({
    x: addressOf(backend, x),
    y: addressOf(backend, y),
    mean: meanAt,
    variance: varianceAt,
    given: !isTraining,
    epsilon: varianceEpsilon,
    statistics: view,
    parameters: view,
    gamma: scale ? addressOf(backend, scale) : undefined,
    beta: offset ? addressOf(backend, offset) : undefined,
  });
  for (const { dataId } of measured) backend.disposeData(dataId);
  return y;
}
