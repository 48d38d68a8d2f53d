/**
 * Spectral normalization: a weight is divided by its largest singular value, so that its layer is 1-Lipschitz.
 *
 *     y = W / |sigma| (· gamma)        sigma = uᵀ·M·v        M [outputs, rest] the weight as a matrix
 *
 *     training, `iterations` times:   v = Mᵀ·u / ‖Mᵀ·u‖     u = M·v / ‖M·v‖        both stored, without gradient
 *     evaluation:                     the stored u and v; `warmUp` iterations if v was never stored
 *
 * Miyato, Kataoka, Koyama & Yoshida 2018, arXiv 1802.05957; with a learned gamma, one for the weight, σReparam (Zhai et al. 2023,
 * arXiv 2303.06296), which keeps attention from collapsing. Epsilon is the lower bound of every divisor: a norm, or |sigma|.
 */
import { checkEpsilon } from "../formula/checks.js";
import { onceOf, orthogonal } from "../formula/initializers.js";
import { buffer, type Normalization, normalization, trained, type Weight } from "../formula/normalization.js";
import type { Ops } from "../formula/ops.js";
import { lengthOf } from "../formula/terms.js";
import { outputAxes, type WeightAxisOptions } from "../formula/weights.js";
import type { Settled } from "../options.js";
import { sizeOf } from "../shape.js";

/** Options of `spectralNorm`. */
export interface SpectralNormOptions extends WeightAxisOptions {
  /** Power iterations per training call, at most 10,000. Default 1. */
  iterations?: number;
  /**
   * Power iterations in evaluation before any training step, while no v is stored. Default 15, as in PyTorch's initialization, or
   * `iterations` if that is more; at most 10,000. With 0, v comes from u alone, and sigma is too small.
   */
  warmUp?: number;
  /** Lower bound of divisors. Default 1e-12 (PyTorch). */
  epsilon?: number;
  /** Whether it learns the largest singular value, gamma, initialized to 1 (σReparam). Default false: it is 1. */
  scale?: boolean;
}

/**
 * x is the weight, of any shape; y has its shape. Weights: gamma [1] if `scale` is set. State: u [outputs] and v [rest], as in
 * PyTorch; v is initialized to 0 and then computed from u.
 * @throws RangeError for options out of range; when called, for axes that the weight does not have
 */
export const spectralNorm = normalization(
  {
    name: "spectralNorm",
    title: "Spectral normalization",
    summary: "divides weights by their largest singular value; for discriminators and Lipschitz bounds",
    paper: "Miyato et al. 2018, arXiv 1802.05957",
    takes: "weight",
  },
  { axis: -1, iterations: 1, warmUp: 15, epsilon: 1e-12, scale: false },
  ({ axis, iterations, warmUp, epsilon, scale }: Settled<SpectralNormOptions>) => {
    checkEpsilon("spectralNorm", epsilon);
    if (!Number.isInteger(iterations) || iterations < 1 || iterations > MOST_ITERATIONS) {
      throw new RangeError(
        `spectralNorm: iterations must be an integer from 1 to ${MOST_ITERATIONS}, got ${iterations}`,
      );
    }
    if (!Number.isInteger(warmUp) || warmUp < 0 || warmUp > MOST_ITERATIONS) {
      throw new RangeError(
        `spectralNorm: warmUp must be an integer from 0 to ${MOST_ITERATIONS}, got ${warmUp}`,
      );
    }
    const coldSteps = warmUp === 0 ? 0 : Math.max(warmUp, iterations);
    /** The weight as a matrix: axes with those of the outputs first, and its size. */
    const matrixOf = (shape: readonly number[]) => {
      const outputs = outputAxes("spectralNorm", shape, axis);
      const order = [...outputs, ...[...shape.keys()].filter((one) => !outputs.includes(one))];
      const rows = sizeOf(outputs.map((one) => shape[one]));
      return { order, rows, columns: sizeOf(shape) / rows };
    };
    return {
      weights(shape): Record<string, Weight> {
        const { rows, columns } = matrixOf(shape);
        return {
          ...(scale && { gamma: trained([1], 1) }),
          u: buffer(
            [rows],
            onceOf(() => orthogonal(1, rows, 1)),
          ),
          v: buffer([columns], 0),
        };
      },
      apply(ops, [x], { u, v, gamma }, { training }) {
        const { order, rows, columns } = matrixOf(ops.shape(x));
        const matrix = ops.reshape(ops.transpose(x, order), [rows, columns]);
        const fixed = ops.stop(matrix);
        const transposed = ops.transpose(fixed, [1, 0]);
        const iterated = (vectors: Vectors<typeof x>, steps: number) => {
          let { left, right } = vectors;
          for (let i = 0; i < steps; i++) {
            right = unit(ops, ops.matMul(transposed, left), right, epsilon);
            left = unit(ops, ops.matMul(fixed, right), left, epsilon);
          }
          return { left, right };
        };
        const stored = { left: ops.reshape(u, [rows, 1]), right: ops.reshape(v, [columns, 1]) };
        let { left, right } = stored;
        if (training) ({ left, right } = iterated(stored, iterations));
        else {
          const found = iterated(stored, coldSteps);
          // only if no v is stored
          const first = unit(ops, ops.matMul(transposed, found.left), right, epsilon);
          const known = lengthOf(ops, right, [0, 1]);
          left = ops.where(known, left, found.left);
          right = ops.where(known, right, first);
        }
        const sigma = ops.sum(ops.mul(left, ops.matMul(matrix, right)), [0, 1]);
        const divisor = ops.max(ops.abs(sigma), Math.max(epsilon, LEAST));
        const whole = (value: typeof x) =>
          ops.reshape(
            value,
            order.map(() => 1),
          );
        const unscaled = ops.div(x, whole(divisor));
        const y = gamma === undefined ? unscaled : ops.mul(unscaled, whole(gamma));
        if (!training) return { y };
        return { y, state: { u: ops.reshape(left, [rows]), v: ops.reshape(right, [columns]) } };
      },
    } satisfies Omit<Normalization, "name">;
  },
);

/** u and v as columns. */
interface Vectors<T> {
  readonly left: T;
  readonly right: T;
}

/** The vector at length 1; the old one if it is 0, as for a weight of 0: the iteration cannot leave 0. */
function unit<T>(ops: Ops<T>, vector: T, old: T, epsilon: number): T {
  const { direction, length } = directed(ops, vector, epsilon);
  return ops.add(direction, ops.mul(old, ops.sub(1, length)));
}

/** A vector divided by its length (at least epsilon), and the length of the result: 0 for a vector of 0, else 1. */
function directed<T>(ops: Ops<T>, vector: T, epsilon: number) {
  const length = lengthOf(ops, vector, [0, 1]);
  const divisor = ops.max(length, Math.max(epsilon, LEAST));
  return { direction: ops.div(vector, divisor), length: ops.div(length, divisor) };
}

/** Far beyond what a power iteration needs: a call ends. */
const MOST_ITERATIONS = 10_000;

/** Above 0 in float32, if epsilon is not. */
const LEAST = 1e-30;
