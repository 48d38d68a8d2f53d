/** Keras 2 and TensorFlow's functions. */
import {
  batchNorm,
  conventions,
  ghostBatchNorm,
  layerNorm,
  localResponseNorm,
  type Normalization,
  rmsNorm,
  statisticsOf,
  unitNorm,
} from "../../../src/index.js";
import { around, part, state } from "./around.js";
import { type Case, type Framework, given, type Mapping, read } from "./golden.js";
import {
  affine,
  byGiven,
  constraints,
  dot,
  group,
  layer,
  moving,
  renormalized,
  spectral,
  standardized,
  unit,
} from "./keras.js";

/** Images in float32 take the fused kernel, whose moving variance is the unbiased one. */
function fused({ arguments: { fused, renorm }, dtype, steps }: Case): boolean {
  const rank = steps[0].inputs[0].shape.length;
  return dtype === "float32" && (rank === 4 || rank === 5) && fused !== false && !renorm;
}

/** Where it is not fused, the weight of the new value is a float32, in float64 too. */
const roundedMomentum = (momentum: Case["arguments"]["momentum"]) => 1 - Math.fround(1 - (momentum ?? 0.99));

const batch: Mapping = (c) => {
  const { axis, momentum, epsilon, center, scale, trainable, renorm, virtual_batch_size } = c.arguments;
  if (renorm) return renormalized(conventions.keras2.batchRenorm)(c);
  if (virtual_batch_size) return ghosts(c);
  const options = given(conventions.keras2.batchNorm, {
    momentum: fused(c) ? (momentum ?? undefined) : roundedMomentum(momentum),
    epsilon,
    center,
    scale,
    ...(fused(c) && { runningVariance: "unbiased" as const }),
  });
  if (Array.isArray(axis)) return overAxes(c, axis, options);
  return {
    norm: batchNorm(given(options, { axis: axis as number | undefined })),
    weights: { ...affine, ...moving },
    ...(trainable === false && { training: false }),
  };
};

/** A mean and variance for each pair of places on axes 1 and 3 of four: as channels of one axis. */
function overAxes(c: Case, axes: readonly number[], options: Parameters<typeof batchNorm>[0]) {
  const [batch, height, width, depth] = c.steps[0].inputs[0].shape;
  if (axes.join() !== "1,3") throw new Error(`axes [${axes.join()}]`);
  const normalize = part(batchNorm(options), { ...affine, ...moving });
  const channels = height * depth;
  return around(
    c,
    (ops, [x], weights, called) => {
      const joined = ops.reshape(ops.transpose(x, [0, 2, 1, 3]), [batch, width, channels]);
      const { y, state } = normalize(ops, [joined], weights, called);
      return { y: ops.transpose(ops.reshape(y, [batch, width, height, depth]), [0, 2, 1, 3]), state };
    },
    { ...state(["moving_mean"], channels), ...state(["moving_variance"], channels, 1) },
  );
}

/** Examples 0, 2, ... are the first ghost batch and 1, 3, ... the second; both move the statistics at once, by their mean. */
function ghosts(c: Case): ReturnType<Mapping> {
  const { momentum, virtual_batch_size } = c.arguments;
  const size = virtual_batch_size as number;
  const norm = ghostBatchNorm(
    given(conventions.keras2.ghostBatchNorm, {
      momentum: roundedMomentum(momentum),
      batchSize: size,
      moves: "once" as const,
    }),
  );
  const normalize = part(norm, { ...affine, ...moving });
  const [examples, ...rest] = c.steps[0].inputs[0].shape;
  const later = rest.map((_, i) => i + 2);
  return {
    ...around(
      c,
      (ops, [x], weights, options) => {
        const swapped = (array: typeof x, lengths: number[]) =>
          ops.reshape(ops.transpose(ops.reshape(array, [...lengths, ...rest]), [1, 0, ...later]), [
            examples,
            ...rest,
          ]);
        const { y, state } = normalize(ops, [swapped(x, [size, examples / size])], weights, options);
        return { y: swapped(y, [examples / size, size]), state };
      },
      { ...state(["moving_mean"], 3), ...state(["moving_variance"], 3, 1) },
    ),
  };
}

const localResponse: Mapping = ({ arguments: { depth_radius = 5, bias = 1, alpha = 1, beta = 0.5 } }) => ({
  norm: localResponseNorm({
    size: 2 * (depth_radius as number) + 1,
    k: bias as number,
    alpha,
    beta,
    alphaPer: "value",
  }),
});

/** Gives the length too. */
const lengthAndDirection: Mapping = (c) => {
  const { ord, axis } = c.arguments;
  const axes = (axis ?? [0, 1]) as number | number[];
  const direction = unitNorm({ axis: axes, order: (ord ?? 2) as number, epsilon: 0, guard: "length" });
  const squares = part(statisticsOf(rmsNorm({ axis: axes })), {});
  const [, norm] = c.steps[0].outputs;
  const count = c.steps[0].inputs[0].data.length / norm.data.length;
  return {
    ...around(c, (ops, [x], _, options) => {
      const length =
        typeof ord === "number"
          ? ops.pow(ops.sum(ops.pow(ops.abs(x), ord), [axes].flat()), 1 / ord)
          : ops.sqrt(ops.mul(squares(ops, [x], {}, options).y, count));
      return { y: direction.apply(ops, [x], {}, options).y, more: [ops.reshape(length, norm.shape)] };
    }),
    ...(ord !== undefined && { lacks: "the direction is unitNorm's, the length is nobody's" }),
  };
};

/** The deviation is 1/√values at least, which an almost constant image comes to. */
const image: Mapping = (c) => {
  const [{ shape, data }] = c.steps[0].inputs;
  const norm = layerNorm({ axis: shape.map((_, i) => i), epsilon: 0, scale: false, center: false });
  if (c.name === "noise") return { norm };
  const measure = part(statisticsOf(norm), {});
  return {
    ...around(c, (ops, [x], _, options) => {
      const { y: mean, more = [] } = measure(ops, [x], {}, options);
      return { y: ops.div(ops.sub(x, mean), ops.sqrt(ops.max(more[0], 1 / data.length))) };
    }),
    single: [1e-5, "a mean of 5 rounded to float32, beside a deviation of 0.02"],
  };
};

/** Gives the statistics beside y: as a batch norm that forgets the old ones. */
const withStatistics: Mapping = ({
  arguments: { epsilon, is_training = true, exponential_avg_factor = 1 },
  of,
  weights,
}) => ({
  norm: batchNorm({
    epsilon,
    momentum: 1 - (exponential_avg_factor as number),
    runningVariance: of.endsWith("fused_batch_norm") ? "unbiased" : "biased",
  }),
  training: is_training as boolean,
  weights: {
    gamma: "scale" in (weights ?? {}) ? "scale" : "gamma",
    beta: "offset" in (weights ?? {}) ? "offset" : "beta",
    runningMean: "mean",
    runningVariance: "variance",
  },
  outputs: ({ y }, { runningMean, runningVariance }) => [y, { data: runningMean }, { data: runningVariance }],
});

const tensorflowSquare = (axis: number): Normalization => unitNorm({ axis, guard: "square" });

export const keras2: Framework = {
  file: read("keras2"),
  mappings: {
    "layers.BatchNormalization": batch,
    "layers.experimental.SyncBatchNormalization": batch,
    "tf.compat.v1.layers.BatchNormalization": batch,
    "tf.compat.v1.keras.layers.BatchNormalization": batch,
    "layers.LayerNormalization": layer(conventions.keras2.layerNorm),
    "layers.GroupNormalization": group(conventions.keras2.groupNorm),
    "layers.UnitNormalization": unit("square"),
    "layers.SpectralNormalization": spectral("vector_u"),
    "layers.Normalization": standardized,
    "layers.Dot(normalize)": dot(tensorflowSquare),
    "tf.nn.l2_normalize": unit("square"),
    "backend.l2_normalize": unit("square"),
    "tf.linalg.normalize": lengthAndDirection,
    "utils.normalize": unit("length"),
    "tf.nn.local_response_normalization": localResponse,
    "tf.image.per_image_standardization": image,
    "tf.nn.batch_normalization": byGiven({
      mean: "mean",
      variance: "variance",
      scale: "scale",
      offset: "offset",
    }),
    "tf.nn.batch_norm_with_global_normalization": byGiven({
      mean: "mean",
      variance: "variance",
      scale: "gamma",
      offset: "beta",
    }),
    "backend.batch_normalization": byGiven({ mean: "mean", variance: "var", scale: "gamma", offset: "beta" }),
    "backend.normalize_batch_in_training": withStatistics,
    "tf.compat.v1.nn.fused_batch_norm": withStatistics,
    ...constraints,
  },
  missing: {},
};
