/** Keras 3, and what Keras 2 and TensorFlow Addons do in the same way. Momentum is the weight of the old value; channels come last. */
import { buffer } from "../../../src/formula/normalization.js";
import {
  type Applied,
  batchNorm,
  batchRenorm,
  boundedNorm,
  conventions,
  groupNorm,
  instanceNorm,
  layerNorm,
  type Normalization,
  type PlainArray,
  rmsNorm,
  Standardizer,
  spectralNorm,
  statisticsOf,
  unitNorm,
} from "../../../src/index.js";
import { around, asTable, layerOf, part } from "./around.js";
import { type Case, type Framework, given, type Mapping, read, same } from "./golden.js";

export const affine = { gamma: "gamma", beta: "beta" };
export const moving = { runningMean: "moving_mean", runningVariance: "moving_variance" };

const batch: Mapping = (c) => {
  const { axis, momentum, epsilon, center, scale, trainable, renorm } = c.arguments;
  if (renorm) return renormalized(conventions.keras3.batchRenorm)(c);
  const said = { axis: axis as number | undefined, momentum: momentum ?? undefined, epsilon, center, scale };
  return {
    norm: batchNorm(given(conventions.keras3.batchNorm, said)),
    weights: { ...affine, ...moving },
    // frozen, it evaluates
    ...(trainable === false && { training: false }),
    ...(c.steps[0].mask && {
      within: [1e-7, "Keras adds 1e-7 to the number of values under a mask"] as const,
    }),
  };
};

/** Kept there: the deviation and the variance that follows from it. */
export const renormalized =
  (defaults: (typeof conventions)["keras3"]["batchRenorm"]): Mapping =>
  ({ arguments: a }) => {
    const { renorm_clipping, renorm_momentum = 0.99, momentum } = a;
    const { rmin, rmax, dmax } = (renorm_clipping ?? {}) as Record<string, number | undefined>;
    return {
      norm: batchRenorm(
        given(defaults, {
          momentum: momentum ?? undefined,
          renormMomentum: renorm_momentum as number,
          rMin: rmin,
          rMax: rmax,
          dMax: dmax,
        }),
      ),
      weights: {
        ...affine,
        runningMean: "moving_mean",
        runningDeviation: "moving_stddev",
        renormMean: "renorm_mean",
        renormDeviation: "renorm_stddev",
      },
      // it follows from the deviation
      after: { moving_variance: (_, held) => held.runningDeviation.map((d) => d * d - 1e-3) },
    };
  };

const axesOf = (axis: Case["arguments"]["axis"]) => (axis ?? undefined) as number | number[] | undefined;

export const layer =
  (defaults: { axis: number; epsilon: number }): Mapping =>
  (c) => {
    const { axis, epsilon, rms_scaling } = c.arguments;
    const { gamma, beta } = c.weights ?? {};
    const options = given(defaults, { axis: axesOf(axis), epsilon, scale: !!gamma, center: !!beta });
    return rms_scaling ? varianceScaled(c, options) : { norm: layerNorm(options), weights: affine };
  };

/** `rms_scaling`: x by the root of its variance, but not centred. */
function varianceScaled(c: Case, { axis, epsilon }: { axis: number | readonly number[]; epsilon: number }) {
  const measured = part(statisticsOf(layerNorm({ axis })), {});
  return around(c, (ops, [x], { gamma }, options) => {
    const { more = [] } = measured(ops, [x], {}, options);
    const rows = ops.reshape(more[0], [ops.shape(x)[0], ...ops.shape(gamma).map(() => 1)]);
    return { y: ops.mul(ops.div(x, ops.sqrt(ops.add(rows, epsilon))), gamma) };
  });
}

const rms =
  (defaults: { axis: number; epsilon: number }): Mapping =>
  ({ arguments: { axis, epsilon }, weights }) => ({
    norm: rmsNorm(given(defaults, { axis: axesOf(axis), epsilon, scale: !!weights })),
    weights: { gamma: "scale" },
  });

export const group =
  (defaults: (typeof conventions)["keras3"]["groupNorm"]): Mapping =>
  ({ arguments: { groups, axis, ...a } }) => {
    const said = { axis: axis as number | undefined, epsilon: a.epsilon, center: a.center, scale: a.scale };
    return {
      norm:
        groups === -1
          ? instanceNorm(given(conventions.keras3.instanceNorm, said))
          : groupNorm({ ...given(defaults, said), groups }),
      weights: affine,
    };
  };

export const unit =
  (guard: "square" | "length"): Mapping =>
  ({ arguments: a }) => ({
    norm: unitNorm({
      axis: axesOf(a.axis),
      order: a.order,
      epsilon: a.epsilon,
      guard,
    }),
  });

/** Overwrites the kernel, in training, and has the gradient of what it wrote. */
export const spectral =
  (u: string): Mapping =>
  (c) => {
    const { layer: written, power_iterations } = c.arguments;
    const length = (c.weights?.kernel.data.length ?? 0) / (c.weights?.[u].data.length ?? 1);
    const iterations = power_iterations as number | undefined;
    const normalize = part(spectralNorm({ axis: -1, iterations }), { u });
    return {
      ...around(
        c,
        (ops, [x], weights, options) => {
          const { kernel, bias } = weights;
          if (!options.training) return { y: layerOf(written)(ops, x, kernel, bias), more: [kernel] };
          const { y, state } = normalize(ops, [kernel], weights, options);
          const overwritten = ops.add(kernel, ops.stop(ops.sub(y, kernel)));
          return { y: layerOf(written)(ops, x, overwritten, bias), more: [overwritten], state };
        },
        { [u]: buffer(c.weights?.[u].shape ?? [], 0), v: buffer([length], 0) },
      ),
      outputs: ({ y }: Applied<PlainArray>) => [y],
      after: { kernel: ({ more }) => more[0].data },
      within: [2e-8, "the vector that it starts with is given with 9 digits"],
    };
  };

/** A table of what has statistics of its own. */
const table = ({ data }: { readonly data: readonly number[] }, columns: number) => ({
  shape: [data.length / columns, columns],
  data: Float64Array.from(data),
});

/**
 * Standardization of data that was seen: what is measured, and done, by a Standardizer; and done, with gradients, by batch norm
 * in evaluation. A deviation of 0 is 1e-7 there (a Standardizer scales what is constant by 1).
 */
export const standardized: Mapping = (c) => {
  const { invert, mean, variance } = c.arguments;
  const columns = mean?.length ?? c.weights?.mean.data.length ?? 1;
  const norm = batchNorm({ epsilon: 0, scale: !!invert, center: !!invert });
  const seen = c.adapt && new Standardizer().fit(table(c.adapt, columns));
  const [step] = c.steps;
  return {
    ...around(
      c,
      (ops, [x], _, options) => {
        const known = {
          mean: ops.constant(seen?.mean ?? mean ?? [], [columns]),
          variance: ops.constant(seen?.variance ?? variance ?? [], [columns]),
        };
        const runningVariance = ops.max(known.variance, 1e-14);
        const y = asTable(ops, x, columns, (rows) => {
          if (!invert)
            return norm.apply(ops, [rows], { runningMean: known.mean, runningVariance }, options).y;
          const ones = ops.add(ops.mul(runningVariance, 0), 1);
          const own = { gamma: ops.sqrt(runningVariance), beta: known.mean };
          return norm.apply(
            ops,
            [rows],
            { ...own, runningMean: ops.sub(ones, 1), runningVariance: ones },
            options,
          ).y;
        });
        return { y };
      },
      c.weights && { mean: buffer(c.weights.mean.shape, 0), variance: buffer(c.weights.variance.shape, 1) },
    ),
    without: { count: "of values; a Standardizer has it by feature" },
    also() {
      if (!seen || !c.weights) return;
      same("mean", seen.mean, c.weights.mean);
      same("variance", seen.variance, c.weights.variance);
      const x = table(step.inputs[0], columns);
      same("y", (invert ? seen.inverse(x) : seen.transform(x)).data, step.outputs[0]);
    },
  };
};

/** Both inputs to unit length, and their dot products. */
export const dot =
  (norm: (axis: number) => Normalization): Mapping =>
  (c) => {
    const axes = c.arguments.axes as number[];
    return around(c, (ops, inputs, _, options) => {
      const [x, y] = inputs.map((input, i) => norm(axes[i]).apply(ops, [input], {}, options).y);
      return { y: ops.matMul(ops.transpose(x, [0, 2, 1]), ops.transpose(y, [0, 2, 1])) };
    });
  };

const UNSLOPED = "gamma and beta have gradients, and x, but not statistics that are given";

/** By given statistics; names are theirs. */
export const byGiven =
  (names: { mean: string; variance: string; scale: string; offset: string }): Mapping =>
  ({ arguments: { axis = -1, epsilon, variance_epsilon, scale_after_normalization }, steps }) => ({
    norm: batchNorm({
      axis: axis as number,
      epsilon: (epsilon ?? variance_epsilon) as number,
      scale: scale_after_normalization !== false,
    }),
    weights: {
      ...(scale_after_normalization !== false && { gamma: names.scale }),
      beta: names.offset,
      runningMean: names.mean,
      runningVariance: names.variance,
    },
    training: false,
    without: {
      ...(steps[0].gradients && { [names.mean]: UNSLOPED, [names.variance]: UNSLOPED }),
      ...(scale_after_normalization === false && { [names.scale]: "it is not used" }),
    },
    ...(steps[0].gradients && { lacks: `gradients of given statistics: ${UNSLOPED}` }),
  });

/** Their axes are those that a norm is taken over, ours those that tell vectors apart. */
const bounded =
  (bounds: (a: Case["arguments"]) => { least?: number; most?: number; rate?: number }): Mapping =>
  (c) => {
    const { axis = 0 } = c.arguments;
    const over = [axis].flat();
    const apart = c.steps[0].inputs[0].shape.map((_, i) => i).filter((i) => !over.includes(i));
    return {
      norm: boundedNorm({ axis: apart, ...bounds(c.arguments) }),
      within: [2e-7, "Keras makes vectors within the bounds shorter too, by 1e-7"],
    };
  };

const orUndefined = (value: unknown) => value as number | undefined;

export const constraints: Record<string, Mapping> = {
  "constraints.MaxNorm": bounded(({ max_value = 2 }) => ({ most: orUndefined(max_value) })),
  "constraints.MinMaxNorm": bounded(({ min_value = 0, max_value = 1, rate }) => ({
    least: orUndefined(min_value),
    most: orUndefined(max_value),
    rate: orUndefined(rate),
  })),
  "constraints.UnitNorm": bounded(() => ({ least: 1, most: 1 })),
};

export const keras: Framework = {
  file: read("keras"),
  mappings: {
    "layers.BatchNormalization": batch,
    "layers.LayerNormalization": layer(conventions.keras3.layerNorm),
    // functions have another epsilon than layers
    "ops.layer_normalization": layer({ axis: -1, epsilon: 1e-7 }),
    "layers.RMSNormalization": rms(conventions.keras3.rmsNorm),
    "ops.rms_normalization": rms({ axis: -1, epsilon: 1e-7 }),
    "layers.GroupNormalization": group(conventions.keras3.groupNorm),
    "layers.UnitNormalization": unit("length"),
    "ops.normalize": unit("length"),
    "utils.normalize": unit("length"),
    "layers.SpectralNormalization": spectral("vector_u"),
    "layers.Normalization": standardized,
    "layers.Dot(normalize)": dot((axis) => unitNorm({ axis, guard: "length" })),
    "ops.batch_normalization": byGiven({
      mean: "mean",
      variance: "variance",
      scale: "scale",
      offset: "offset",
    }),
    ...constraints,
  },
  missing: {},
};
