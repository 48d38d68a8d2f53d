/**
 * Iterative normalization: the channels of a group are whitened, so that their covariance over the batch is (nearly) the identity,
 * by Newton–Schulz iterations towards its inverse square root.
 *
 *     Σ = covariance + epsilon · I                       of a group's channels, biased; S = Σ / trace(Σ)
 *     P₀ = I        P = 1.5 · P − 0.5 · P³ · S           `iterations` times
 *     W = P / √trace(Σ)        y = W · (x − mean) · gamma + beta
 *     evaluation: the same with running means of `mean` and of W
 *
 * Huang, Zhou, Zhu, Liu & Shao 2019, arXiv 1904.03441. Axes: the channel axis is kept, every other one is reduced; gamma and beta per
 * channel. Epsilon is inside the root, on the diagonal. With groups of one channel it is batch normalization. Few iterations whiten the
 * directions of much variance, and leave those of little smaller than 1: that is what steadies it in small batches.
 */
import { channelAxis, channelPlan, hasSingleValue } from "../formula/channels.js";
import { checkEpsilon } from "../formula/checks.js";
import { type AffineOptions, affineDefaults, affineWeights } from "../formula/fused-norm.js";
import { mergedMoments, mergedSums } from "../formula/merging.js";
import { buffer, type Normalization, normalization } from "../formula/normalization.js";
import type { Merge, Ops } from "../formula/ops.js";
import type { FusedNorm } from "../formula/plan.js";
import { checkMomentum, movingAverage, runningDefaults } from "../formula/running.js";
import { measuring, scaledMoments } from "../formula/scaled-moments.js";
import { affine, broadcastMask, square } from "../formula/terms.js";
import type { Settled } from "../options.js";
import { checkGroups, legalGroups, planGroups } from "./group.js";

const NAME = "iterNorm";

/** Options of `iterNorm`. */
export interface IterNormOptions extends AffineOptions {
  /** The axis of the channels: −1 (default) where they come last, 1 where they come first. */
  axis?: number;
  /** Added to the variances, on the covariance's diagonal. Default 1e-5. */
  epsilon?: number;
  /** Number of groups whitened each for itself; must divide the channels. Default: the fewest of at most 64 channels each. */
  groups?: number;
  /** Newton–Schulz iterations, at most 100. Default 5, as in the paper. */
  iterations?: number;
  /** Weight of the old running mean and matrix. Default 0.9. */
  momentum?: number;
}

/**
 * x [batch, ..., channels], y of its shape. Weights: gamma and beta [channels]; runningMean [channels] and runningWhitening
 * [groups, channels/groups, channels/groups] (state).
 * @throws RangeError for options out of range; when called, if the groups do not divide the channels
 */
export const iterNorm = normalization(
  {
    name: NAME,
    title: "Iterative normalization",
    summary:
      "whitens groups of channels over the batch by a few matrix products (IterNorm); a stronger batch norm",
    paper: "Huang et al. 2019, arXiv 1904.03441",
    takes: "features",
  },
  {
    axis: -1,
    epsilon: 1e-5,
    groups: undefined,
    iterations: 5,
    momentum: runningDefaults.momentum,
    ...affineDefaults,
  },
  ({ axis, epsilon, groups, iterations, momentum, ...options }: Settled<IterNormOptions, "groups">) => {
    checkEpsilon(NAME, epsilon);
    checkMomentum(NAME, "momentum", momentum);
    if (groups !== undefined) checkGroups(NAME, groups);
    if (!Number.isInteger(iterations) || iterations < 1 || iterations > MOST_ITERATIONS) {
      throw new RangeError(
        `${NAME}: iterations must be an integer from 1 to ${MOST_ITERATIONS}, got ${iterations}`,
      );
    }
    /** Whose channels' values are counted. */
    const norm: FusedNorm = { name: NAME, epsilon, centered: true, plan: channelPlan(NAME, axis) };
    const sizes = (shape: readonly number[]) => {
      const channel = channelAxis(NAME, shape, axis);
      const channels = shape[channel];
      if (groups !== undefined) planGroups(NAME, shape, groups, axis);
      const count = groups ?? legalGroups(channels).find((few) => channels / few <= USUAL_SIZE) ?? channels;
      return { channel, channels, groups: count, size: channels / count };
    };
    return {
      handles: { mask: true, merge: true },
      weights(shape) {
        const { channels, groups, size } = sizes(shape);
        return {
          ...affineWeights([channels], options),
          runningMean: buffer([channels], 0),
          runningWhitening: buffer([groups, size, size], () => identities(groups, size)),
        };
      },
      apply(ops, [x], { gamma, beta, runningMean, runningWhitening }, { training, mask, warn, merge }) {
        const shape = ops.shape(x);
        const { channel, channels, groups, size } = sizes(shape);
        const values = shape.reduce((a, b) => a * b, 1) / channels;
        const last = shape.length - 1;
        const others = [...shape.keys()].filter((one) => one !== channel);
        const rowsOf = (array: typeof x) =>
          ops.reshape(channel === last ? array : ops.transpose(array, [...others, channel]), [
            values,
            groups,
            size,
          ]);
        /** [values, groups, size] as [groups, values, size]. */
        const grouped = (array: typeof x) =>
          groups === 1 ? ops.reshape(array, [1, values, size]) : ops.transpose(array, [1, 0, 2]);
        const whole = mask === undefined ? undefined : broadcastMask(ops, mask, shape);
        const fullMask = whole && rowsOf(whole);
        const masked = (array: typeof x) => (fullMask === undefined ? array : ops.where(fullMask, array, 0));
        const rows = masked(rowsOf(x));
        /** y of distances from the mean. */
        const whitened = (distance: typeof x, whitening: typeof x) => {
          const product = ops.matMul(grouped(distance), ops.transpose(whitening, [0, 2, 1]));
          const lengths = [...others.map((one) => shape[one]), channels];
          const xHat = ops.reshape(groups === 1 ? product : ops.transpose(product, [1, 0, 2]), lengths);
          const order = [...shape.keys()].map((one) => (one === channel ? last : others.indexOf(one)));
          const inPlace = channel === last ? xHat : ops.transpose(xHat, order);
          const y = affine(ops, inPlace, norm.plan(shape).parameters, gamma, beta);
          return whole === undefined ? y : ops.where(whole, y, 0);
        };
        if (!training) {
          const distance = masked(ops.sub(rows, ops.reshape(runningMean, [1, groups, size])));
          return { y: whitened(distance, runningWhitening) };
        }
        const over = measuring(ops, ops.shape(rows), [0], fullMask, [0, 2]);
        const all = merge && groupMoments(ops, rows, epsilon, merge, fullMask);
        const { near, rest, unit, distance } = all ?? scaledMoments(ops, rows, over, epsilon);
        const each = grouped(distance);
        const sums = ops.matMul(ops.transpose(each, [0, 2, 1]), each);
        let covariance = ops.div(sums, values);
        const counts = all?.count ?? (fullMask && ops.sum(fullMask, [0]));
        if (counts !== undefined) {
          // of two channels with different values unmasked, the geometric mean of their counts
          const root = ops.sqrt(ops.max(counts, 1));
          covariance = ops.div(
            ops.div(merge ? mergedSums(ops, sums, merge) : sums, ops.reshape(root, [groups, size, 1])),
            ops.reshape(root, [groups, 1, size]),
          );
        }
        const units = ops.reshape(unit, [groups, 1, 1]);
        const guard = square(ops, ops.div(Math.sqrt(epsilon), units));
        const whitening = inverseRoot(ops, covariance, guard, size, iterations);
        const y = whitened(distance, whitening);
        if (!all && hasSingleValue(NAME, norm, shape, warn)) return { y };
        const moved = (old: typeof x, value: typeof x) =>
          movingAverage(ops, old, ops.stop(value), 1 - momentum);
        const mean = ops.reshape(ops.add(near, ops.mul(rest, unit)), [channels]);
        const next = {
          runningMean: moved(runningMean, mean),
          runningWhitening: moved(runningWhitening, ops.div(whitening, units)),
        };
        if (counts === undefined) return { y, state: next };
        // groups with a channel of fewer than two values stay as they were
        const few = ops.greater(1.5, ops.reshape(counts, [1, groups, size]));
        const ofGroup = ops.reshape(ops.largest(few, [2]), [groups, 1, 1]);
        const ofChannel = ops.reshape(ops.add(ops.mul(few, 0), ops.largest(few, [2])), [channels]);
        return {
          y,
          state: {
            runningMean: ops.where(ofChannel, runningMean, next.runningMean),
            runningWhitening: ops.where(ofGroup, runningWhitening, next.runningWhitening),
          },
        };
      },
    } satisfies Omit<Normalization, "name">;
  },
);

/** As `scaledMoments`, of all places, in one unit for each group, [1, groups, 1]; of values [values, groups, size]. */
function groupMoments<T>(ops: Ops<T>, rows: T, epsilon: number, merge: Merge<T>, fullMask: T | undefined) {
  const { near, rest, unit, count, distance } = mergedMoments(ops, rows, [0], merge, fullMask);
  const ofGroup = ops.max(ops.largest(unit, [2]), Math.sqrt(epsilon));
  const ratio = ops.div(unit, ofGroup);
  return { near, rest: ops.mul(rest, ratio), unit: ofGroup, count, distance: ops.mul(distance, ratio) };
}

/** Nearly (Σ + guard · I)^(−1/2) of each group's covariance, [groups, size, size]; `guard` is one number for each. */
function inverseRoot<T>(ops: Ops<T>, covariance: T, guard: T, size: number, iterations: number): T {
  const identity = ops.constant(identities(1, size), [1, size, size]);
  const guarded = ops.add(covariance, ops.mul(guard, identity));
  const measured = ops.sum(ops.mul(guarded, identity), [1, 2]);
  // where all is equal and epsilon is 0
  const trace = ops.where(measured, measured, 1);
  const scaled = ops.div(guarded, trace);
  // S·P beside P, which is the same without rounding: P³·S alone drifts off where there are small eigenvalues (Higham 2008, 6.3)
  let product = scaled;
  let root = identity;
  for (let i = 0; i < iterations; i++) {
    const near = i === 0 ? scaled : ops.matMul(root, product);
    const step = ops.sub(ops.mul(identity, 1.5), ops.mul(near, 0.5));
    root = i === 0 ? step : ops.matMul(step, root);
    if (i < iterations - 1) product = ops.matMul(product, step);
  }
  return ops.div(root, ops.sqrt(trace));
}

function identities(groups: number, size: number): Float32Array {
  const values = new Float32Array(groups * size * size);
  for (let i = 0; i < groups * size; i++) values[i * size + (i % size)] = 1;
  return values;
}

/** Channels of a group, as the paper has them for images. */
const USUAL_SIZE = 64;

/** Far beyond what whitening needs: a call ends. */
const MOST_ITERATIONS = 100;
