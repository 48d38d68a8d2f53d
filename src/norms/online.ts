/**
 * Online normalization: each example is normalized by the statistics of those before it, so that batches of one suffice.
 *
 *     y_t = xHat_t · gamma + beta                xHat_t = (x_t − µ_(t−1)) / √(σ²_(t−1) + epsilon)
 *     σ²_t = αf·σ²_(t−1) + (1 − αf)·variance_t + αf·(1 − αf)·(mean_t − µ_(t−1))²
 *     µ_t  = αf·µ_(t−1) + (1 − αf)·mean_t        mean_t, variance_t of example t over its positions, biased
 *     z_t  = y_t / √(mean(y_t²) + epsilon)       layer scaling: over the whole example
 *
 * No gradient flows through the statistics. A control process compensates for that, with state of its own (u: `controlMean`,
 * v: `controlProjection`) that is updated in the backward pass; g is the gradient of xHat:
 *
 *     h_t  = g_t − (1 − αb)·v_(t−1)·xHat_t                    v_t = v_(t−1) + mean(h_t·xHat_t)
 *     dx_t = h_t / √(σ²_(t−1) + epsilon) − (1 − αb)·u_(t−1)   u_t = u_(t−1) + mean(dx_t)
 *
 * Chiley et al. 2019, arXiv 1905.05894. Axes: the channel axis is kept; examples are processed in order, positions reduced.
 * Where mean(xHat²) is above 1/(1 − αb) the paper's v would diverge; here 1 − αb is then replaced by 1/mean(xHat²).
 */
import { type ChannelOptions, channelAxis, channelPlan } from "../formula/channels.js";
import { checkEpsilon } from "../formula/checks.js";
import { type AffineOptions, affineDefaults, affineWeights } from "../formula/fused-norm.js";
import { type ApplyOptions, buffer, type Normalization, normalization } from "../formula/normalization.js";
import type { Operand, Ops } from "../formula/ops.js";
import { type FusedNorm, memoizeLast, planOf } from "../formula/plan.js";
import { affine, axesExcept, broadcastMask, moments, square } from "../formula/terms.js";
import type { Settled } from "../options.js";
import { sizeOf } from "../shape.js";

/** Options of `onlineNorm`. */
export interface OnlineNormOptions extends ChannelOptions, AffineOptions {
  /** αf, the weight of the old running statistics at each example. Default 0.999. */
  alphaForward?: number;
  /** αb, the same for the control process. Default 0.99. */
  alphaBackward?: number;
  /** What bounds y: layer scaling (default), clamping to ±5, or nothing. */
  guard?: "layerScaling" | "clamp" | "none";
  /**
   * Whether the control process runs in the backward pass. Default true. It needs a host that stores backward state: layers
   * without a framework and in TensorFlow.js do, jax-js does not.
   */
  control?: boolean;
}

const CLAMP = 5;

/**
 * x [batch, ..., channels], y of its shape. Weights: gamma and beta [channels]; running statistics and control (state).
 * @throws RangeError for options out of range; when called, for the batch axis as `axis`; Error where training needs control that
 * the host does not support
 */
export const onlineNorm = normalization(
  {
    name: "onlineNorm",
    title: "Online normalization",
    summary: "normalizes each example by the statistics of those before it; for batches of one",
    paper: "Chiley et al. 2019, arXiv 1905.05894",
    takes: "features",
  },
  {
    axis: -1,
    epsilon: 1e-5,
    alphaForward: 0.999,
    alphaBackward: 0.99,
    guard: "layerScaling",
    control: true,
    ...affineDefaults,
  },
  ({
    axis,
    epsilon,
    alphaForward,
    alphaBackward,
    guard,
    control,
    ...options
  }: Settled<OnlineNormOptions>) => {
    checkEpsilon("onlineNorm", epsilon);
    for (const [name, value] of Object.entries({ alphaForward, alphaBackward })) {
      if (value >= 0 && value <= 1) continue;
      throw new RangeError(
        `onlineNorm: ${name} must be from 0 to 1 (the weight of the old value), got ${value}`,
      );
    }
    if (guard !== "layerScaling" && guard !== "clamp" && guard !== "none") {
      throw new RangeError(`onlineNorm: guard must be "layerScaling", "clamp" or "none", got "${guard}"`);
    }
    const core = { name: "onlineNorm", epsilon, centered: true };
    const evaluating: FusedNorm = { ...core, plan: channelPlan("onlineNorm", axis) };
    /** With statistics per example. */
    const each: FusedNorm = {
      ...core,
      plan: memoizeLast((shape) => {
        const channel = channelAxis("onlineNorm", shape, axis);
        return planOf(shape, shape, [0, channel], [channel]);
      }),
    };
    const scaling: FusedNorm = {
      ...core,
      centered: false,
      plan: memoizeLast((shape) => planOf(shape, shape, [0], [])),
    };
    return {
      handles: { mask: true, merge: false },
      weights(shape: readonly number[]) {
        const channels = [shape[channelAxis("onlineNorm", shape, axis)]];
        return {
          ...affineWeights(channels, options),
          runningMean: buffer(channels, 0),
          runningVariance: buffer(channels, 1),
          ...(control && { controlMean: buffer(channels, 0), controlProjection: buffer(channels, 0) }),
        };
      },
      apply<T>(
        ops: Ops<T>,
        [x]: readonly T[],
        {
          gamma,
          beta,
          runningMean,
          runningVariance,
          controlMean,
          controlProjection,
        }: Readonly<Record<string, T>>,
        { training, mask, moveState }: ApplyOptions<T>,
      ) {
        const guarded = (y: T) => {
          if (guard === "clamp") return ops.max(ops.min(y, CLAMP), -CLAMP);
          return guard === "none" ? y : ops.normalize(scaling, y, { mask }).y;
        };
        if (!training) {
          const given = { gamma, beta, mean: runningMean, variance: runningVariance, mask };
          return { y: guarded(ops.normalize(evaluating, x, given).y) };
        }
        if (control && !(ops.intercept && moveState)) {
          throw new Error(
            "onlineNorm: its control process needs state in the backward pass, which this host does not store; use a layer, pass " +
              "moveState, or set control: false",
          );
        }
        const shape = ops.shape(x);
        const examplesUnder = (given: T | undefined) =>
          new Examples(ops, shape, channelAxis("onlineNorm", shape, axis), given);
        const examples = examplesUnder(mask);
        // a host keeps for the backward pass what is saved, and nothing else
        const kept = mask === undefined ? [] : [mask];
        const measured = examples.moments(ops.stop(x));
        const means = examples.recurrence(
          runningMean,
          alphaForward,
          ops.mul(measured.mean, 1 - alphaForward),
        );
        const jumps = square(ops, ops.sub(measured.mean, means.before));
        const variances = examples.recurrence(
          runningVariance,
          alphaForward,
          ops.mul(ops.add(measured.variance, ops.mul(jumps, alphaForward)), 1 - alphaForward),
        );
        const given = { mean: means.before, variance: variances.before, mask };
        let xHat: T;
        if (control && ops.intercept && moveState) {
          const held = ops.intercept(x, [controlMean, ...kept], (dx, [u, under]) => {
            const examples = examplesUnder(under);
            const { before, last } = examples.recurrence(u, alphaBackward, examples.mean(dx));
            moveState({ controlMean: last });
            return examples.masked(ops.sub(dx, ops.mul(examples.broadcast(before), 1 - alphaBackward)));
          });
          const plain = ops.normalize(each, held, given).y;
          xHat = ops.intercept(plain, [plain, controlProjection, ...kept], (g, [out, v, under]) => {
            const examples = examplesUnder(under);
            const power = examples.mean(square(ops, out));
            const part = ops.div(1 - alphaBackward, ops.max(ops.mul(power, 1 - alphaBackward), 1));
            const keeps = ops.sub(1, ops.mul(part, power));
            const { before, last } = examples.recurrence(v, keeps, examples.mean(ops.mul(g, out)));
            moveState({ controlProjection: last });
            return ops.sub(g, ops.mul(out, examples.broadcast(ops.mul(part, before))));
          });
        } else {
          xHat = ops.normalize(each, x, given).y;
        }
        const y = guarded(examples.masked(affine(ops, xHat, each.plan(shape).parameters, gamma, beta)));
        return { y, state: { runningMean: means.last, runningVariance: variances.last } };
      },
    } satisfies Omit<Normalization, "name">;
  },
);

/** A batch, example by example: arrays of [examples, channels]. */
class Examples<T> {
  private readonly size: readonly [number, number];
  private readonly fullMask?: T;
  /** Unmasked positions per example and channel. */
  private readonly unmasked?: T;

  constructor(
    private readonly ops: Ops<T>,
    private readonly shape: readonly number[],
    private readonly channel: number,
    mask: T | undefined,
  ) {
    this.size = [shape[0], shape[channel]];
    if (mask === undefined) return;
    this.fullMask = broadcastMask(ops, mask, shape);
    this.unmasked = this.flat(ops.sum(this.withPositions(this.fullMask), this.axes()));
  }

  /** Mean and biased variance over the positions. */
  moments(x: T) {
    const { ops, fullMask, size } = this;
    const [examples, channels] = size;
    if (fullMask === undefined && sizeOf(this.shape) === examples * channels) {
      // one value each, which is its own mean
      return { mean: this.flat(x), variance: ops.constant(new Float32Array(examples * channels), size) };
    }
    const { mean, variance } = moments(
      ops,
      this.withPositions(x),
      this.axes(),
      fullMask && this.withPositions(fullMask),
    );
    return { mean: this.flat(mean), variance: this.flat(variance) };
  }

  mean(values: T): T {
    const { ops, unmasked, shape, size } = this;
    const sums = this.flat(ops.sum(this.withPositions(this.masked(values)), this.axes()));
    const positions = shape.reduce((a, b) => a * b, 1) / (size[0] * size[1]);
    return ops.div(sums, unmasked === undefined ? positions : ops.max(unmasked, 1));
  }

  /** s_t = keeps_t·s_(t−1) + adds_t: s before each example, and after the last. Masked examples leave s unchanged. */
  recurrence(start: T, keeps: Operand<T>, adds: T): { before: T; last: T } {
    const { ops, unmasked } = this;
    const [examples, channels] = this.size;
    const [factor, more] =
      unmasked === undefined ? [keeps, adds] : [ops.where(unmasked, keeps, 1), ops.where(unmasked, adds, 0)];
    if (ops.recurrence) {
      const factors = typeof factor === "number" ? ops.constant([factor], [1, 1]) : factor;
      return ops.recurrence(ops.reshape(start, [channels]), factors, more);
    }
    const row = (values: T, i: number) => (examples === 1 ? values : ops.slice(values, 0, i, i + 1));
    let current = ops.reshape(start, [1, channels]);
    const before: T[] = [];
    for (let i = 0; i < examples; i++) {
      before.push(current);
      const decayed = ops.mul(current, typeof factor === "number" ? factor : row(factor, i));
      current = ops.add(decayed, row(more, i));
    }
    return {
      before: examples === 1 ? before[0] : ops.concat(before, 0),
      last: ops.reshape(current, [channels]),
    };
  }

  /** Broadcast over the positions. */
  broadcast(values: T): T {
    const lengths = this.shape.map((length, axis) => (axis === 0 || axis === this.channel ? length : 1));
    return this.ops.reshape(values, lengths);
  }

  masked(values: T): T {
    return this.fullMask === undefined ? values : this.ops.where(this.fullMask, values, 0);
  }

  /** With a trailing axis of length 1, so that there is one to reduce where x has no positions. */
  private withPositions(values: T): T {
    return this.ops.reshape(values, [...this.shape, 1]);
  }

  private axes(): number[] {
    return axesExcept(this.shape.length + 1, 0, this.channel);
  }

  private flat(values: T): T {
    return this.ops.reshape(values, this.size);
  }
}
