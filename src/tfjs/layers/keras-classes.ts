/**
 * Classes that Keras, TensorFlow Addons and keras_contrib save: their defaults (src/frameworks/conventions.ts), options and formulas,
 * where they differ from the norm files'.
 *
 * They ignore masks, as TensorFlow.js's own layers do, so that a model gives the same numbers with `install()` and without. (Keras 3's
 * BatchNormalization excludes masked positions from its training statistics; here `useMask: true` does.)
 */
import { affineWeights } from "../../formula/fused-norm.js";
import type { ApplyOptions, ApplyResult, Normalization, Weight } from "../../formula/normalization.js";
import { buffer } from "../../formula/normalization.js";
import type { Ops } from "../../formula/ops.js";
import { broadcastMask, moments } from "../../formula/terms.js";
import { conventions } from "../../frameworks/conventions.js";
import { batchNorm } from "../../norms/batch.js";
import { batchRenorm } from "../../norms/batch-renorm.js";
import type { Catalog } from "../../norms/catalog.js";
import { filterResponseNorm } from "../../norms/filter-response.js";
import { ghostBatchNorm } from "../../norms/ghost-batch.js";
import { groupNorm } from "../../norms/group.js";
import { instanceNorm } from "../../norms/instance.js";
import { layerNorm } from "../../norms/layer.js";
import { thresholdedLinearUnit } from "../../norms/thresholded-linear.js";
import { unitNorm } from "../../norms/unit.js";
import { resolveAxis, sizeOf } from "../../shape.js";
import type { Config } from "../types.js";
import type { LayerSpec } from "./layer-spec.js";

/** How a class of the catalog differs from its norm file. */
type KerasClass = Partial<LayerSpec>;

const AFFINE = { gamma: "ones", beta: "zeros" };
const affine = { center: true, scale: true };
const { keras3 } = conventions;
// biased is the default here too, and Keras saves no such option
const { runningVariance: _, ...kerasBatchNorm } = keras3.batchNorm;

/** Defaults of Keras's recurrent layers. */
const recurrent = { returnSequences: false };

/** Classes that Keras, Addons and keras_contrib save under these names, and our recurrent ones, which have Keras's defaults. */
export const kerasClasses: { readonly [K in keyof Catalog]?: KerasClass } = {
  layerNorm: {
    defaults: { ...keras3.layerNorm, ...affine },
    initializers: AFFINE,
    useMask: false,
    options: ["rmsScaling"],
    make: ({ rmsScaling, ...options }) => (rmsScaling ? varianceScaled(options) : layerNorm(options)),
  },
  rmsNorm: {
    className: "RMSNormalization",
    defaults: keras3.rmsNorm,
    initializers: { gamma: "ones" },
    useMask: false,
  },
  batchNorm: {
    defaults: { ...kerasBatchNorm, ...affine },
    initializers: { ...AFFINE, movingMean: "zeros", movingVariance: "ones" },
    useMask: false,
    options: ["synchronized", "fused", "renorm", "renormClipping", "renormMomentum", "virtualBatchSize"],
    axisOf: batchAxis,
    make: kerasBatch,
  },
  groupNorm: {
    defaults: { ...keras3.groupNorm, ...affine },
    initializers: AFFINE,
    useMask: false,
    // −1 means one group per channel in Keras
    make: ({ axis, ...options }) =>
      options.groups === -1
        ? instances({ axis, ...options })
        : groupNorm({ ...options, axis: single("GroupNormalization", axis) }),
  },
  instanceNorm: {
    defaults: { ...keras3.instanceNorm, ...affine },
    initializers: AFFINE,
    useMask: false,
    options: ["groups"],
    make: (options) => (options.axis === null ? wholeExample(options) : instances(options)),
  },
  // Keras has no other options, and saves none
  unitNorm: {
    defaults: { axis: keras3.unitNorm.axis },
    useMask: false,
    make: (options) => unitNorm({ ...keras3.unitNorm, ...options }),
  },
  filterResponseNorm: {
    useMask: false,
    axisOf: responseAxis,
    make: (options) =>
      filterResponseNorm({
        ...options,
        axis: responseAxis(options),
        ...(namesPositions(options.axis) && { thresholded: false }),
      }),
  },
  layerNormLSTM: { defaults: recurrent },
  layerNormGRU: { defaults: recurrent },
  layerNormRNN: { defaults: recurrent },
  recurrentBatchNorm: { defaults: recurrent },
};

/** Classes of saved models that are not in the catalog. */
export const otherClasses: readonly LayerSpec[] = [
  {
    className: "Normalization",
    about: { name: "normalization", takes: "features" },
    options: ["axis", "mean", "variance", "invert"],
    defaults: { axis: -1, mean: null, variance: null, invert: false },
    initializers: {},
    useMask: false,
    make: standardization,
  },
  {
    className: "TrailingScaleRMSNormalization",
    about: { name: "rmsNorm", takes: "features" },
    options: ["axis", "epsilon"],
    defaults: keras3.rmsNorm,
    initializers: { gamma: "ones" },
    useMask: false,
    make: trailingScale,
  },
  {
    className: "TLU",
    about: { name: "thresholdedLinearUnit", takes: "features" },
    options: ["affine"],
    defaults: { affine: false },
    initializers: { tau: "zeros" },
    useMask: false,
    make: ({ affine }) =>
      ofShape("thresholdedLinearUnit", (shape) =>
        // Addons has one threshold per element of an example
        thresholdedLinearUnit({ axis: [...shape.keys()].slice(1), affine: affine as boolean }),
      ),
  },
  {
    className: "PoincareNormalize",
    about: { name: "poincareNormalize", takes: "features" },
    options: ["axis", "epsilon"],
    defaults: { axis: 1, epsilon: 1e-5 },
    initializers: {},
    useMask: false,
    make: poincare,
  },
];

/** A single axis, which Keras may save as a list of one. */
export function single(layer: string, axis: unknown): number {
  if (!Array.isArray(axis)) return axis as number;
  if (axis.length === 1) return axis[0];
  throw new TypeError(`${layer}: axis must be a single axis, that of the channels, got [${axis.join(", ")}]`);
}

/** In Addons' FilterResponseNormalization `axis` lists the spatial axes, always 1 and 2, and there is no threshold. */
function namesPositions(axis: unknown): boolean {
  return Array.isArray(axis) && axis.length > 1;
}

function responseAxis({ axis = -1 }: Config): number {
  return namesPositions(axis) ? -1 : single("FilterResponseNormalization", axis);
}

/** With virtual batches Keras saves the axis, in a list as always, shifted by the axis that it adds for them. */
function batchAxis({ axis, virtualBatchSize }: Config): number | number[] {
  if (!virtualBatchSize || !Array.isArray(axis)) return axis as number | number[];
  return (axis as number[]).map((one) => (one > 0 ? one - 1 : one));
}

/** Keras 2 has Batch Renormalization and Ghost Batch Normalization as options of BatchNormalization. */
function kerasBatch({
  synchronized,
  fused,
  renorm,
  renormClipping,
  renormMomentum,
  virtualBatchSize,
  ...options
}: Config): Normalization {
  if (renorm) {
    const { rmax, rmin, dmax } = (renormClipping ?? {}) as Record<string, number | undefined>;
    return batchRenorm({
      ...options,
      axis: single("BatchNormalization", options.axis),
      renormMomentum: (renormMomentum ?? 0.99) as number,
      rMax: rmax ?? Number.POSITIVE_INFINITY,
      rMin: rmin ?? 0,
      dMax: dmax ?? Number.POSITIVE_INFINITY,
    });
  }
  if (virtualBatchSize) {
    const ghost = ghostBatchNorm({
      ...options,
      axis: single("BatchNormalization", batchAxis({ ...options, virtualBatchSize })),
      batchSize: virtualBatchSize as number,
      moves: "once",
    });
    return interleaved(ghost, virtualBatchSize as number);
  }
  return batchNorm(options);
}

/** In training, splits the batch as Keras does: each of n virtual batches of `size` takes every n-th example. */
function interleaved(normalization: Normalization, size: number): Normalization {
  return {
    ...normalization,
    apply<T>(
      ops: Ops<T>,
      [x]: readonly T[],
      weights: Readonly<Record<string, T>>,
      options: ApplyOptions<T>,
    ): ApplyResult<T> {
      const [examples] = ops.shape(x);
      if (!options.training || examples <= size || examples % size !== 0) {
        return normalization.apply(ops, [x], weights, options);
      }
      const interleave = (values: T, rows: number): T => {
        const shape = ops.shape(values);
        const [, ...others] = shape;
        const order = [1, 0, ...others.map((_, axis) => axis + 2)];
        const cut = ops.reshape(values, [rows, examples / rows, ...others]);
        return ops.reshape(ops.transpose(cut, order), shape);
      };
      const { mask } = options;
      const masked = mask !== undefined && ops.shape(mask)[0] === examples;
      const { y, ...others } = normalization.apply(ops, [interleave(x, size)], weights, {
        ...options,
        mask: masked ? interleave(mask, size) : mask,
      });
      return { ...others, y: interleave(y, examples / size) };
    },
  };
}

/** One group per channel. Addons saves their number. */
function instances({ groups, axis, ...options }: Config): Normalization {
  return instanceNorm({ ...options, axis: single("InstanceNormalization", axis) });
}

/**
 * Keras 3's `rms_scaling`, which divides x by its standard deviation without subtracting the mean, and has no
 * beta. Keras deprecates it as incorrect, in favor of RMSNormalization.
 */
function varianceScaled({ axis, epsilon }: Config): Normalization {
  const { plan } = layerNorm({ axis: axis as number | number[] });
  return {
    name: "layerNorm",
    handles: { mask: true },
    weights: (shape) => affineWeights(plan(shape).parameterShape, { scale: true, center: false }),
    apply(ops, [x], { gamma }, { mask }) {
      const shape = ops.shape(x);
      const axes = resolved("layerNorm", axis, shape.length);
      const { variance } = moments(ops, x, axes, mask);
      const scaled = ops.div(x, ops.sqrt(ops.add(variance, epsilon as number)));
      const y = ops.mul(scaled, ops.reshape(gamma, lengthsAt(shape, axes)));
      return { y: mask === undefined ? y : ops.where(broadcastMask(ops, mask, shape), y, 0) };
    },
  };
}

/**
 * Keras 3's RMSNormalization over axes that are not the last: its scale, of the lengths of those axes, multiplies the last ones nevertheless.
 * Models that were trained so are evaluated so.
 */
function trailingScale({ axis, epsilon }: Config): Normalization {
  const lengths = (shape: readonly number[]) =>
    (axis as number[]).map((one) => shape[resolveAxis("rmsNorm", one, shape.length)]);
  return {
    name: "rmsNorm",
    weights: (shape) => affineWeights(lengths(shape), { scale: true, center: false }),
    apply(ops, [x], { gamma }) {
      const shape = ops.shape(x);
      const axes = resolved("rmsNorm", axis, shape.length);
      const count = sizeOf(axes.map((one) => shape[one]));
      const square = ops.div(ops.sum(ops.mul(x, x), axes), count);
      const y = ops.div(x, ops.sqrt(ops.add(square, epsilon as number)));
      return { y: ops.mul(y, ops.reshape(gamma, lengths(shape))) };
    },
  };
}

/**
 * keras_contrib's InstanceNormalization with `axis: null`: over a whole example, with one gamma and one beta.
 * Epsilon is added to the standard deviation.
 */
function wholeExample({ epsilon, scale, center }: Config): Normalization {
  return {
    name: "instanceNorm",
    handles: { mask: true },
    weights: () => affineWeights([1], { scale: scale as boolean, center: center as boolean }),
    apply(ops, [x], { gamma, beta }, { mask }) {
      const shape = ops.shape(x);
      const { mean, variance } = moments(ops, x, [...shape.keys()].slice(1), mask);
      // the root's slope is infinite at 0
      const deviation = ops.add(ops.sqrt(ops.max(variance, LEAST)), epsilon as number);
      let y = ops.div(ops.sub(x, mean), deviation);
      if (gamma !== undefined) y = ops.mul(y, gamma);
      if (beta !== undefined) y = ops.add(y, beta);
      return { y: mask === undefined ? y : ops.where(broadcastMask(ops, mask, shape), y, 0) };
    },
  };
}

/**
 * Keras's Normalization of features by given means and variances, or by those of the training data, which
 * `adapt` measured.
 */
function standardization({ axis, mean, variance, invert }: Config): Normalization {
  if ((mean === null) !== (variance === null)) {
    throw new TypeError("Normalization: mean and variance must be given together, or neither of them");
  }
  const given = { mean: numbersIn("mean", mean), variance: numbersIn("variance", variance) };
  return {
    name: "normalization",
    weights(shape): Record<string, Weight> {
      const lengths = resolved("normalization", axis, shape.length).map((one) => shape[one]);
      for (const [name, values] of Object.entries(given)) {
        if (!values || [1, sizeOf(lengths)].includes(values.length)) continue;
        throw new RangeError(
          `Normalization: ${name} must have one value, or one for each of the ${sizeOf(lengths)} features, got ${values.length}`,
        );
      }
      if (given.mean) return {};
      return {
        mean: buffer(lengths, 0, true),
        variance: buffer(lengths, 1, true),
        count: buffer([], 0, true),
      };
    },
    apply<T>(ops: Ops<T>, [x]: readonly T[], weights: Readonly<Record<string, T>>) {
      const shape = ops.shape(x);
      const lengths = lengthsAt(shape, resolved("normalization", axis, shape.length));
      const statistic = (name: "mean" | "variance"): T => {
        const values = given[name];
        if (!values) return ops.reshape(weights[name], lengths);
        return ops.constant(values, values.length === 1 ? lengths.map(() => 1) : lengths);
      };
      const center = statistic("mean");
      const deviation = ops.max(ops.sqrt(statistic("variance")), KERAS_EPSILON);
      const y = invert ? ops.add(center, ops.mul(x, deviation)) : ops.div(ops.sub(x, center), deviation);
      return { y };
    },
  };
}

/** Flattens a number or nested lists of them; undefined for null. */
function numbersIn(name: string, given: unknown): number[] | undefined {
  if (given === null) return undefined;
  if (Array.isArray(given)) return given.flatMap((one) => numbersIn(name, one) ?? []);
  if (typeof given === "number") return [given];
  throw new TypeError(`Normalization: ${name} must be a number, or a list of them, got ${typeof given}`);
}

/** Projection into the Poincaré ball: vectors longer than 1 − epsilon are scaled to that length. */
function poincare({ axis, epsilon }: Config): Normalization {
  return {
    name: "poincareNormalize",
    weights: () => ({}),
    apply(ops, [x]) {
      const rank = ops.shape(x).length;
      const axes = axis === null ? [...Array(rank).keys()] : resolved("poincareNormalize", axis, rank);
      const length = ops.sqrt(ops.max(ops.sum(ops.mul(x, x), axes), LEAST));
      return { y: ops.mul(x, ops.min(ops.div(1 - (epsilon as number), length), 1)) };
    },
  };
}

/** Keeps the gradient of a root finite at 0; its own root is far below epsilon. */
const LEAST = 1e-30;
/** Keras's `keras.backend.epsilon()`. */
export const KERAS_EPSILON = 1e-7;

/** A normalization whose options depend on the shape of x. */
function ofShape(name: string, make: (shape: readonly number[]) => Normalization): Normalization {
  return {
    name,
    weights: (shape) => make(shape).weights(shape),
    apply: (ops, inputs, weights, options) => make(ops.shape(inputs[0])).apply(ops, inputs, weights, options),
  };
}

/** Axes in ascending order, none negative. */
function resolved(norm: string, axis: unknown, rank: number): number[] {
  const named = [axis ?? []].flat() as number[];
  return named.map((one) => resolveAxis(norm, one, rank)).sort((a, b) => a - b);
}

/** The shape with length 1 on all other axes, for broadcasting. */
function lengthsAt(shape: readonly number[], axes: readonly number[]): number[] {
  return shape.map((length, axis) => (axes.includes(axis) ? length : 1));
}
