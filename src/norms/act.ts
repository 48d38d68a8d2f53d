/**
 * Activation normalization of flows (Glow): a learned affine map of each channel, which the first training batch initializes so that
 * its output has mean 0 and deviation 1. It does not depend on the batch from then on, and is inverted exactly.
 *
 *     y = (x − initialMean) / initialDeviation · exp(logScale) + beta        initialDeviation = √variance + epsilon
 *     log |det dy/dx| = Σ (logScale − log initialDeviation)                  over channels and positions
 *
 * Kingma & Dhariwal 2018, arXiv 1807.03039. Axes: the channel axis is kept, every other one is reduced. The variance of the first batch is
 * biased, as in the authors' code, or unbiased; epsilon is outside the root. No gradient flows through what the first batch gave.
 * The authors write it into logScale and beta themselves; here it is state beside them, so that a gradient step trains the same function.
 */
import { channelAxis, channelPlan, valuesPerChannel } from "../formula/channels.js";
import { checkEpsilon } from "../formula/checks.js";
import { mergedMoments } from "../formula/merging.js";
import { buffer, type Normalization, normalization, trained } from "../formula/normalization.js";
import type { Operand, Ops } from "../formula/ops.js";
import type { FusedNorm } from "../formula/plan.js";
import { unbiasedOf } from "../formula/running.js";
import { measuring, scaledMoments } from "../formula/scaled-moments.js";
import { averaging, axesExcept, broadcastAlong, broadcastMask, square } from "../formula/terms.js";
import type { Settled } from "../options.js";
import { sizeOf } from "../shape.js";

/** Options of `actNormInverse`: those of the norm that it undoes. */
export interface ActNormInverseOptions {
  /** The axis of the channels: −1 (default) where they come last, 1 where they come first. */
  axis?: number;
  /** Whether the logarithm of the determinant, [batch], is given beside the result, as `more[0]`. Default false. */
  logDeterminant?: boolean;
}

/** Options of `actNorm`. */
export interface ActNormOptions extends ActNormInverseOptions {
  /** Added to the first batch's deviation, outside the root. Default 1e-6, as in the authors' code. */
  epsilon?: number;
  /** Estimator of the first batch's variance: biased (default), or unbiased, as in flows written in PyTorch. */
  variance?: "biased" | "unbiased";
}

const NAME = "actNorm";
const INVERSE = "actNormInverse";

/**
 * x [batch, ..., channels], y of its shape. Weights: logScale and beta [channels], both initialized to 0; initialMean, initialDeviation
 * and initialized [channels] (state, which the first training batch with two values of a channel or more sets, once).
 * A channel that does not vary in that batch keeps the deviation 1.
 * @throws RangeError for options out of range; when called, for an axis that x does not have
 */
export const actNorm = normalization(
  {
    name: NAME,
    title: "Activation normalization",
    summary:
      "a learned affine map per channel, initialized by the first batch and invertible (ActNorm); for flows",
    paper: "Kingma & Dhariwal 2018, arXiv 1807.03039",
    takes: "features",
  },
  { axis: -1, epsilon: 1e-6, variance: "biased", logDeterminant: false },
  ({ axis, epsilon, variance, logDeterminant }: Settled<ActNormOptions>) => {
    checkEpsilon(NAME, epsilon);
    if (variance !== "biased" && variance !== "unbiased") {
      throw new RangeError(`${NAME}: variance must be "biased" or "unbiased", got "${variance}"`);
    }
    /** Whose channels' values are counted. */
    const norm: FusedNorm = { name: NAME, epsilon, centered: true, plan: channelPlan(NAME, axis) };
    return {
      handles: { mask: true, merge: true },
      weights: (shape: readonly number[]) => weightsOf(NAME, shape, axis),
      ...(logDeterminant && { outputs: (shape: readonly number[]) => [shape, [shape[0]]] }),
      apply(ops, [x], { logScale, beta, ...state }, { training, mask, warn, merge }) {
        const shape = ops.shape(x);
        const channel = channelAxis(NAME, shape, axis);
        const axes = axesExcept(shape.length, channel);
        const perChannel = (values: typeof x) => broadcastAlong(ops, values, shape.length, channel);
        const fullMask = mask === undefined ? undefined : broadcastMask(ops, mask, shape);
        const over = measuring(ops, shape, axes, fullMask);
        const { masked } = over;
        let { initialMean: near, initialDeviation: deviation } = state;
        let rest: Operand<typeof x> = 0;
        let after: Record<string, typeof x> | undefined;
        const all = training && merge ? mergedMoments(ops, ops.stop(x), axes, merge, fullMask) : undefined;
        const count = all
          ? ops.reshape(all.count, ops.shape(near))
          : valuesPerChannel(ops, norm, shape, mask, axis);
        if (training && count === 1) {
          warn?.(
            `${NAME}: a training batch of shape [${shape.join(", ")}] has one value per channel, which has no deviation, and did not ` +
              "initialize it; begin with a larger batch",
          );
        } else if (training) {
          const first = all ?? scaledMoments(ops, ops.stop(x), over, 0);
          const flat = (values: typeof x) => ops.reshape(values, ops.shape(near));
          const least = ops.mul(square(ops, ops.div(first.near, first.unit)), LEAST);
          const varies = flat(ops.greater(first.variance, least));
          const [unit, biased] = [flat(first.unit), flat(first.variance)];
          const spread = variance === "unbiased" ? unbiasedOf(ops, biased, count) : biased;
          const measured = ops.add(ops.mul(ops.sqrt(ops.where(varies, spread, 1)), unit), epsilon);
          const enough: Operand<typeof x> = typeof count === "number" ? 1 : ops.greater(count, 1.5);
          const begins = ops.where(state.initialized, 0, enough);
          const remainder = ops.mul(flat(first.rest), unit);
          near = ops.where(begins, flat(first.near), near);
          rest = perChannel(ops.where(begins, remainder, 0));
          deviation = ops.where(begins, ops.where(varies, measured, 1), deviation);
          after = {
            initialMean: ops.where(begins, ops.add(near, remainder), near),
            initialDeviation: deviation,
            initialized: ops.where(begins, 1, state.initialized),
          };
        }
        const distance = ops.sub(ops.sub(masked(x), perChannel(near)), rest);
        const factor = ops.div(ops.exp(logScale), deviation);
        const y = masked(ops.add(ops.mul(distance, perChannel(factor)), perChannel(beta)));
        return {
          y,
          ...(logDeterminant && {
            more: [logDeterminantOf(ops, shape, perChannel(logFactor(ops, logScale, deviation)), fullMask)],
          }),
          ...(after && { state: after }),
        };
      },
    } satisfies Omit<Normalization, "name">;
  },
);

/**
 * Inverts `actNorm` with the same weights: x = (z − beta) · exp(−logScale) · initialDeviation + initialMean. z has the shape of x; `more`
 * is the logarithm of its own determinant, that of `actNorm` with the other sign.
 * @throws RangeError, when called, for an axis that z does not have
 */
export const actNormInverse = normalization(
  {
    name: INVERSE,
    title: "Inverse of activation normalization",
    summary: "restores what actNorm was given",
    paper: "Kingma & Dhariwal 2018, arXiv 1807.03039",
    takes: "features",
  },
  { axis: -1, logDeterminant: false },
  ({ axis, logDeterminant }: Settled<ActNormInverseOptions>) =>
    ({
      handles: { mask: true },
      weights: (shape: readonly number[]) => weightsOf(INVERSE, shape, axis),
      ...(logDeterminant && { outputs: (shape: readonly number[]) => [shape, [shape[0]]] }),
      apply(ops, [z], { logScale, beta, initialMean, initialDeviation }, { mask }) {
        const shape = ops.shape(z);
        const channel = channelAxis(INVERSE, shape, axis);
        const perChannel = (values: typeof z) => broadcastAlong(ops, values, shape.length, channel);
        const fullMask = mask === undefined ? undefined : broadcastMask(ops, mask, shape);
        const { masked } = averaging(ops, shape, axesExcept(shape.length, channel), fullMask);
        const factor = ops.div(initialDeviation, ops.exp(logScale));
        const distance = ops.mul(ops.sub(masked(z), perChannel(beta)), perChannel(factor));
        const y = masked(ops.add(distance, perChannel(initialMean)));
        if (!logDeterminant) return { y };
        const factors = ops.mul(perChannel(logFactor(ops, logScale, initialDeviation)), -1);
        return { y, more: [logDeterminantOf(ops, shape, factors, fullMask)] };
      },
    }) satisfies Omit<Normalization, "name">,
);

function weightsOf(norm: string, shape: readonly number[], axis: number) {
  const channels = [shape[channelAxis(norm, shape, axis)]];
  return {
    logScale: trained(channels, 0),
    beta: trained(channels, 0),
    initialMean: buffer(channels, 0),
    initialDeviation: buffer(channels, 1),
    initialized: buffer(channels, 0),
  };
}

/** The variance of a channel that does not vary but for rounding, over the square of its mean. */
const LEAST = 1e-13;

/** The logarithm of exp(logScale) / deviation. */
function logFactor<T>(ops: Ops<T>, logScale: T, deviation: T): T {
  return ops.sub(logScale, logarithm(ops, deviation));
}

/** The sum over each example of factors per channel, for each of its unmasked values. [batch] */
function logDeterminantOf<T>(ops: Ops<T>, shape: readonly number[], factors: T, fullMask?: T): T {
  const within = axesExcept(shape.length, 0);
  const [batch] = shape;
  if (fullMask !== undefined) return ops.reshape(ops.sum(ops.where(fullMask, factors, 0), within), [batch]);
  const sum = ops.reshape(ops.sum(factors, within), [1]);
  const positions = sizeOf(shape) / (batch * sizeOf(ops.shape(factors)));
  return ops.mul(ops.constant(new Float32Array(batch).fill(positions), [batch]), sum);
}

/**
 * The natural logarithm of positive numbers, which hosts need not have: of a root near 1 by Halley's iteration for exp(l) = x, and once
 * more of x itself, which takes out what the roots' rounding is multiplied to. No gradient.
 */
function logarithm<T>(ops: Ops<T>, x: T): T {
  const fixed = ops.stop(x);
  let root = fixed;
  for (let i = 0; i < ROOTS; i++) root = ops.sqrt(root);
  const ofRoot = improved(ops, root, improved(ops, root, ops.mul(root, 0)));
  return improved(ops, fixed, ops.mul(ofRoot, 2 ** ROOTS));
}

/** A step of Halley's iteration: an error of e becomes about e³/12. */
function improved<T>(ops: Ops<T>, x: T, guess: T): T {
  const half = ops.exp(ops.mul(guess, -0.5));
  const ratio = ops.mul(ops.mul(x, half), half);
  return ops.add(guess, ops.mul(ops.div(ops.sub(ratio, 1), ops.add(ratio, 1)), 2));
}

/** Bring any float32 within a factor of 2 of 1. */
const ROOTS = 7;
