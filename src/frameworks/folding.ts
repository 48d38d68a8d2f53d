/**
 * Folding: in evaluation batch normalization is a factor and an offset per channel, which can be absorbed into the weights of the
 * preceding dense layer or convolution.
 *
 *     factor = gamma / √(runningVariance + epsilon)
 *     kernel' = kernel · factor        bias' = (bias − runningMean) · factor + beta
 *
 * The mean that layer normalization subtracts can be taken from the layers before it likewise (`foldCentering`).
 */
import { checkEpsilon } from "../formula/checks.js";
import { checkOptions, optionNames, parameterNames } from "../options.js";
import { checkLengths, checkNumbers, described, resolveAxis, sizeOf } from "../shape.js";

type Numbers = ArrayLike<number>;

/** The folded layer's weights. */
export interface Folded {
  /** float32, of the kernel's shape. */
  readonly kernel: Float32Array;
  /** float32 [channels]. */
  readonly bias: Float32Array;
}

/** Options of `foldBatchNorm`. */
export interface FoldOptions {
  /** The layer's kernel, of any rank. */
  kernel: { readonly shape: readonly number[]; readonly data: Numbers };
  /** [channels]; absent: 0. */
  bias?: Numbers;
  /** The kernel's axis of output channels: −1 (default; TensorFlow, Keras), 0 in PyTorch. */
  axis?: number;
  /** Of the batch normalization, [channels] each; gamma defaults to 1 and beta to 0. */
  statistics: { runningMean: Numbers; runningVariance: Numbers; gamma?: Numbers; beta?: Numbers };
  /** Of the batch normalization. Default 1e-5. */
  epsilon?: number;
}

/**
 * Kernel and bias of the single layer equivalent, in evaluation, to a dense layer or convolution followed by batch normalization.
 * Computed in float64.
 * @throws TypeError without runningMean or runningVariance, or for what is not numbers; RangeError for lengths that do not match the kernel's channels
 */
export function foldBatchNorm(options: FoldOptions): Folded {
  checkOptions("foldBatchNorm", options, ["kernel", "bias", "axis", "statistics", "epsilon"], optionNames);
  checkOptions(
    "foldBatchNorm: statistics",
    options.statistics,
    ["runningMean", "runningVariance", "gamma", "beta"],
    {
      ...parameterNames,
      running_mean: '"runningMean"',
      moving_mean: '"runningMean"',
      running_var: '"runningVariance"',
      moving_variance: '"runningVariance"',
    },
  );
  const { kernel, bias, axis = -1, statistics, epsilon = 1e-5 } = options;
  checkEpsilon("foldBatchNorm", epsilon);
  const { runningMean, runningVariance, gamma, beta } = statistics;
  for (const [name, values] of Object.entries({ runningMean, runningVariance })) {
    if (values !== undefined) continue;
    throw new TypeError(
      `foldBatchNorm: statistics must have ${name}, as in a batch normalization's stateDict()`,
    );
  }
  const perChannel = { bias, runningMean, runningVariance, gamma, beta };
  const channel = checkLayer("foldBatchNorm", kernel, axis, perChannel);
  const channels = kernel.shape[channel];
  // everything fits by now, so that what is allocated is as long as what was given
  const affine = affineOf(channels, { mean: runningMean, variance: runningVariance, gamma, beta, epsilon });
  return scaledOutputs(kernel, channel, bias, affine);
}

/**
 * The kernel's axis of output channels, from 0.
 * @throws TypeError for what is no kernel or no numbers; RangeError for lengths that do not match
 */
function checkLayer(
  caller: string,
  kernel: Kernel,
  axis: number,
  perChannel: Readonly<Record<string, Numbers | undefined>>,
): number {
  if (typeof kernel !== "object" || kernel === null) {
    throw new TypeError(`${caller}: kernel must be { shape, data }, got ${described(kernel)}`);
  }
  const { shape, data } = kernel;
  checkLengths(caller, "kernel.shape", shape);
  checkNumbers(caller, "kernel.data", data);
  const channel = resolveAxis(caller, axis, shape.length);
  if (data.length !== sizeOf(shape)) {
    throw new RangeError(
      `${caller}: a kernel of shape [${shape.join(", ")}] must have ${sizeOf(shape)} values, got ${data.length}`,
    );
  }
  for (const [name, values] of Object.entries(perChannel)) {
    if (values === undefined) continue;
    checkNumbers(caller, name, values);
    if (values.length === shape[channel]) continue;
    throw new RangeError(
      `${caller}: ${name} must have ${shape[channel]} values, one per channel of the kernel's axis ${axis}, got ${values.length}`,
    );
  }
  return channel;
}

/** Options of `foldCentering`. */
export interface CenteringOptions {
  /** The layer's kernel, of any rank, or a table of embeddings. */
  kernel: { readonly shape: readonly number[]; readonly data: Numbers };
  /** [features]; absent: 0. */
  bias?: Numbers;
  /** The kernel's axis of output features: −1 (default; TensorFlow, Keras, and tables of embeddings), 0 in PyTorch. */
  axis?: number;
}

/**
 * Kernel and bias whose outputs have mean 0 over the features: those of a dense layer or a table of embeddings, each less its mean over
 * them. Layer normalization of what such layers give, or of sums of it, is RMS normalization with the same gamma, beta and epsilon:
 * where this is done to every layer that adds to the residual stream of a pre-normalized transformer, its layer normalizations become
 * RMS normalizations (Pre-RMSNorm: Jiang, Gu, Zhu & Pan 2023, arXiv 2305.14858). Computed in float64.
 *
 *     kernel' = kernel − mean(kernel)        bias' = bias − mean(bias)        over the output features
 *
 * @throws TypeError for what is not numbers; RangeError for lengths that do not match the kernel's features
 */
export function foldCentering(options: CenteringOptions): Folded {
  checkOptions("foldCentering", options, ["kernel", "bias", "axis"], optionNames);
  const { kernel, bias, axis = -1 } = options;
  const channel = checkLayer("foldCentering", kernel, axis, { bias });
  const { shape, data } = kernel;
  const channels = shape[channel];
  const inner = sizeOf(shape.slice(channel + 1));
  const means = new Float64Array(channels === 0 ? 0 : data.length / channels);
  const meanOf = (i: number) => Math.floor(i / (inner * channels)) * inner + (i % inner);
  for (let i = 0; i < data.length; i++) means[meanOf(i)] += data[i] / channels;
  const mean = Array.from(bias ?? [], (value) => value / channels).reduce((a, b) => a + b, 0);
  return {
    kernel: Float32Array.from(data, (value, i) => value - means[meanOf(i)]),
    bias: Float32Array.from({ length: channels }, (_, c) => (bias?.[c] ?? 0) - mean),
  };
}

/** What a normalization by given statistics is per channel: factor · x + offset. float64 [channels]. */
export interface Affine {
  readonly factors: Float64Array;
  readonly offsets: Float64Array;
}

/** Statistics and parameters [channels] each; gamma defaults to 1 and beta to 0. */
export interface GivenStatistics {
  readonly mean: Numbers;
  readonly variance: Numbers;
  readonly gamma?: Numbers;
  readonly beta?: Numbers;
  readonly epsilon: number;
}

export function affineOf(
  channels: number,
  { mean, variance, gamma, beta, epsilon }: GivenStatistics,
): Affine {
  const [factors, offsets] = [new Float64Array(channels), new Float64Array(channels)];
  for (let c = 0; c < channels; c++) {
    factors[c] = (gamma?.[c] ?? 1) / Math.sqrt(variance[c] + epsilon);
    offsets[c] = (beta?.[c] ?? 0) - mean[c] * factors[c];
  }
  return { factors, offsets };
}

interface Kernel {
  readonly shape: readonly number[];
  readonly data: Numbers;
}

/** The layer followed by the normalization. `axis` is the kernel's of output channels. */
export function scaledOutputs(
  { shape, data }: Kernel,
  axis: number,
  bias: Numbers | undefined,
  { factors, offsets }: Affine,
): Folded {
  const channels = shape[axis];
  const inner = sizeOf(shape.slice(axis + 1));
  // loops: mapped, the millions of a network's weights take several times as long
  const kernel = new Float32Array(data.length);
  for (let i = 0; i < data.length; i++) kernel[i] = data[i] * factors[Math.floor(i / inner) % channels];
  const folded = new Float32Array(channels);
  for (let c = 0; c < channels; c++) folded[c] = (bias?.[c] ?? 0) * factors[c] + offsets[c];
  return { kernel, bias: folded };
}

/**
 * The normalization followed by the layer, whose kernel [..., inputs, columns] meets every input at every position of its output: no
 * padding. With as many outputs as columns, or inputs times columns where each input has outputs of its own (depthwise).
 */
export function scaledInputs(
  { shape, data }: Kernel,
  outputs: number,
  bias: Numbers | undefined,
  { factors, offsets }: Affine,
): Folded {
  const columns = shape[shape.length - 1];
  const inputs = shape[shape.length - 2];
  const kernel = new Float32Array(data.length);
  const sums = Float64Array.from({ length: outputs }, (_, o) => bias?.[o] ?? 0);
  for (let i = 0; i < data.length; i++) {
    const input = Math.floor(i / columns) % inputs;
    kernel[i] = data[i] * factors[input];
    sums[i % outputs] += data[i] * offsets[input];
  }
  return { kernel, bias: Float32Array.from(sums) };
}
