/**
 * Gated RMS normalization: RMS normalization of a branch that a second input gates.
 *
 *     gate before   y = rms(x · a(z)) · gamma        Mamba-2
 *     gate after    y = rms(x) · gamma · a(z)        Qwen3-Next
 *
 *     rms(x) = x / √(mean(x²) + epsilon)             a: SiLU, or sigmoid
 *
 * Dao & Gu 2024 (Mamba-2), arXiv 2405.21060; the gate after the norm as in Gated DeltaNet (Yang et al. 2024, arXiv 2412.06464). Axes: the
 * feature axis is reduced, in groups of equal size (one by default); gamma is per feature. Epsilon is inside the root.
 */
import { channelAxis } from "../formula/channels.js";
import { checkEpsilon } from "../formula/checks.js";
import { type Normalization, normalization, trained, type Weight } from "../formula/normalization.js";
import { type FusedNorm, memoizeLast, planOf } from "../formula/plan.js";
import { axesExcept, broadcastMask } from "../formula/terms.js";
import type { Settled } from "../options.js";
import { sameShape } from "../shape.js";

const NAME = "gatedRMSNorm";

/** Options of `gatedRMSNorm`. */
export interface GatedRMSNormOptions {
  /** The axis of the features. Default −1. */
  axis?: number;
  /** Default 1e-5 (Mamba-2; Qwen3-Next has 1e-6). */
  epsilon?: number;
  /** Whether x is gated `before` it is normalized (default, Mamba-2) or `after` (Qwen3-Next). */
  gate?: "before" | "after";
  /** Activation of the gate. Default `silu`. */
  activation?: "silu" | "sigmoid";
  /** Groups of features with a mean square each; must divide them. Default 1 (Mamba-2's group_size is features / groups). */
  groups?: number;
  /** Whether it has a factor, gamma, initialized to 1. Default true. */
  scale?: boolean;
}

/** Options of the models' norms, with the epsilon of their configurations. */
export const gatedRMSPresets = {
  mamba2: { epsilon: 1e-5, gate: "before" },
  qwen3Next: { epsilon: 1e-6, gate: "after" },
} as const satisfies Record<string, GatedRMSNormOptions>;

/**
 * Inputs [x, z], both [batch, ..., features]; y has their shape. Weights: gamma [features], where `scale` is set.
 * @throws RangeError for options out of range; when called, for a z of another shape, or groups that do not divide the features
 */
export const gatedRMSNorm = normalization(
  {
    name: NAME,
    title: "Gated RMS normalization",
    summary:
      "RMS normalization of a branch gated by a second input; for state-space models and linear attention",
    paper: "Dao & Gu 2024, arXiv 2405.21060",
    takes: "condition",
  },
  { axis: -1, epsilon: 1e-5, gate: "before", activation: "silu", groups: 1, scale: true },
  ({ axis, epsilon, gate, activation, groups, scale }: Settled<GatedRMSNormOptions>) => {
    checkEpsilon(NAME, epsilon);
    if (gate !== "before" && gate !== "after") {
      throw new RangeError(`${NAME}: gate must be "before" or "after", got "${gate}"`);
    }
    if (activation !== "silu" && activation !== "sigmoid") {
      throw new RangeError(`${NAME}: activation must be "silu" or "sigmoid", got "${activation}"`);
    }
    if (!Number.isInteger(groups) || groups < 1) {
      throw new RangeError(`${NAME}: groups must be an integer of at least 1, got ${groups}`);
    }
    const norm: FusedNorm = {
      name: NAME,
      epsilon,
      centered: false,
      plan: memoizeLast((shape) => {
        const channel = channelAxis(NAME, shape, axis);
        const features = shape[channel];
        if (features % groups !== 0) {
          throw new RangeError(
            `${NAME}: groups must divide the ${features} features of axis ${axis}, got ${groups}; ` +
              "it is the number of groups, not the size of one",
          );
        }
        const grouped = [...shape.slice(0, channel), groups, features / groups, ...shape.slice(channel + 1)];
        const kept = axesExcept(grouped.length, channel + 1);
        return { ...planOf(shape, grouped, kept, [channel, channel + 1]), parameterShape: [features] };
      }),
    };
    const checkGate = (shape: readonly number[], z: readonly number[] | undefined) => {
      if (z === undefined) {
        throw new TypeError(`${NAME}: expected two inputs, x and its gate z, got x alone; give [x, z]`);
      }
      if (sameShape(shape, z)) return;
      throw new RangeError(
        `${NAME}: z must have the shape of x, [${shape.join(", ")}], got [${z.join(", ")}]; both are projections of one input`,
      );
    };
    return {
      weights(...[shape, z]: (readonly number[])[]): Record<string, Weight> {
        checkGate(shape, z);
        const { parameterShape } = norm.plan(shape);
        return scale ? { gamma: trained(parameterShape, 1) } : {};
      },
      apply(ops, [x, z], { gamma }, { mask }) {
        const shape = ops.shape(x);
        checkGate(shape, ops.shape(z));
        // what is masked may be NaN in z too
        const counting = mask === undefined ? z : ops.where(broadcastMask(ops, mask, shape), z, 0);
        const squashed = ops.sigmoid(counting);
        const gated = activation === "silu" ? ops.mul(counting, squashed) : squashed;
        if (gate === "before") return { y: ops.normalize(norm, ops.mul(x, gated), { gamma, mask }).y };
        return { y: ops.mul(ops.normalize(norm, x, { gamma, mask }).y, gated) };
      },
    } satisfies Omit<Normalization, "name">;
  },
);
