/**
 * Conditional batch normalization: batch normalization whose gamma and beta depend on each example's condition.
 *
 *     training:     y = (x − mean) / √(variance + epsilon) · gamma(c) + beta(c)        variance biased
 *     evaluation:   the same with running statistics (formula/running.ts) instead of the batch's
 *
 *     of a class c             gamma(c) = gamma[c]                       beta(c) = beta[c]
 *     of a feature vector c    gamma(c) = gamma + c · gammaKernel        beta(c) = beta + c · betaKernel
 *
 * de Vries et al. 2017, arXiv 1707.00683; classes as in Dumoulin, Shlens & Kudlur 2017, arXiv 1610.07629 (for instance
 * normalization). Axes: the channel axis is kept, every other one is reduced; gamma and beta are per example and channel.
 */
import {
  type ChannelOptions,
  channelAxis,
  channelPlan,
  examplePlan,
  hasSingleValue,
  valuesPerChannel,
} from "../formula/channels.js";
import { checkEpsilon } from "../formula/checks.js";
import { checkBatch, conditionFeatures, modulation, modulationWeights } from "../formula/conditioning.js";
import { standardizing } from "../formula/merging.js";
import { type Normalization, normalization, trained } from "../formula/normalization.js";
import type { Ops } from "../formula/ops.js";
import type { FusedNorm } from "../formula/plan.js";
import {
  checkRunning,
  type RunningOptions,
  runningDefaults,
  runningWeights,
  track,
} from "../formula/running.js";
import type { Settled } from "../options.js";

const NAME = "conditionalBatchNorm";

/** Options of `conditionalBatchNorm`. */
export interface ConditionalBatchNormOptions extends ChannelOptions, RunningOptions {
  /** Number of classes, if the condition is a class. Default: none, the condition is a feature vector. */
  classes?: number;
}

/**
 * Inputs [x, condition]: x [batch, ..., channels]. With `classes`, condition is [batch] or [batch, 1], each example's class
 * index from 0, or [batch, classes], class weights (one-hot or mixed); gamma and beta are [classes, channels]. For an index out
 * of range gamma and beta are 0. Without `classes`, condition is [batch, features]; gamma and beta are [channels], gammaKernel
 * and betaKernel [features, channels], initialized to 0.
 * @throws RangeError for options out of range; when called, for a condition that does not fit
 */
export const conditionalBatchNorm = normalization(
  {
    name: NAME,
    title: "Conditional batch normalization",
    summary: "batch normalization with gamma and beta from each example's class or condition",
    paper: "de Vries et al. 2017, arXiv 1707.00683",
    takes: "condition",
  },
  { axis: -1, epsilon: 1e-5, classes: undefined, ...runningDefaults },
  ({ axis, epsilon, classes, ...options }: Settled<ConditionalBatchNormOptions, "classes">) => {
    checkEpsilon(NAME, epsilon);
    if (classes !== undefined && (!Number.isInteger(classes) || classes < 1)) {
      throw new RangeError(`${NAME}: classes must be an integer of at least 1, got ${classes}`);
    }
    const running = checkRunning(NAME, options);
    const norm: FusedNorm = {
      name: NAME,
      epsilon,
      centered: true,
      plan: examplePlan(NAME, axis, (_, channel) => [channel]),
    };
    const byChannel: FusedNorm = { ...norm, plan: channelPlan(NAME, axis) };
    return {
      handles: { mask: true, residual: true, merge: true },
      weights(...[shape, condition]: (readonly number[])[]) {
        const channels = shape[channelAxis(NAME, shape, axis)];
        if (classes !== undefined) checkClasses(condition, classes);
        else if (condition?.length === 1) {
          throw new RangeError(
            `${NAME}: condition of shape [${condition[0]}] holds class indices, but the option classes was not given; set it to their number`,
          );
        }
        return {
          ...(classes === undefined
            ? modulationWeights(conditionFeatures(NAME, condition), channels)
            : { gamma: trained([classes, channels], 1), beta: trained([classes, channels], 0) }),
          ...runningWeights([channels], running),
        };
      },
      apply(ops, [x, condition], weights, { training, mask, residual, warn, merge }) {
        const shape = ops.shape(x);
        checkBatch(NAME, "condition", shape, ops.shape(condition));
        const { gamma, beta } =
          classes === undefined
            ? modulation(ops, condition, weights)
            : rowsOf(ops, condition, classes, weights);
        if (!training) {
          const { runningMean: mean, runningVariance: variance } = weights;
          const { y, sum } = ops.normalize(norm, x, { gamma, beta, mean, variance, mask, residual });
          return { y, sum };
        }
        const call = { gamma, beta, mask, residual, standardize: standardizing(merge) };
        const { y, sum, mean, variance, count: merged } = ops.normalize(norm, x, call);
        if (mean === undefined || variance === undefined)
          throw new Error(`${NAME}: the host measured nothing`);
        if (!merged && hasSingleValue(NAME, byChannel, shape, warn)) return { y, sum };
        const count = merged ?? valuesPerChannel(ops, byChannel, shape, mask, axis);
        return { y, sum, state: track(ops, weights, { mean, variance, count }, running) };
      },
    } satisfies Omit<Normalization, "name">;
  },
);

function checkClasses(condition: readonly number[] | undefined, classes: number): void {
  if (condition === undefined) conditionFeatures(NAME, condition);
  else if (condition.length === 1) return;
  else if (condition.length === 2 && [1, classes].includes(condition[1])) return;
  else {
    throw new RangeError(
      `${NAME}: condition must be each example's class, [batch], or weights of the ${classes} classes, ` +
        `[batch, ${classes}], got shape [${condition.join(", ")}]`,
    );
  }
}

/** The gamma and beta of each example's class. */
function rowsOf<T>(
  ops: Ops<T>,
  condition: T,
  classes: number,
  weights: Readonly<Record<string, T>>,
): { gamma: T; beta: T } {
  const [batch, width = 1] = ops.shape(condition);
  let classWeights = condition;
  if (width === 1) {
    const indices = ops.constant(
      new Float32Array(classes).map((_, i) => i),
      [1, classes],
    );
    classWeights = ops.greater(0.5, ops.abs(ops.sub(ops.reshape(condition, [batch, 1]), indices)));
  }
  const row = (table: T) => {
    const channels = ops.shape(table).reduce((a, b) => a * b, 1) / classes;
    return ops.matMul(classWeights, ops.reshape(table, [classes, channels]));
  };
  return { gamma: row(weights.gamma), beta: row(weights.beta) };
}
