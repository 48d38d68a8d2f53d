/**
 * Spectral normalization: a weight with the largest singular value 1, so that its layer stretches no input.
 *
 *     y = W / |sigma|        sigma = uᵀ·M·v        M [outputs, rest] the weight as a matrix
 *
 *     training, `iterations` times:   v = Mᵀ·u / ‖Mᵀ·u‖     u = M·v / ‖M·v‖        both stored, constants to the gradient
 *     evaluation:                     u and v as stored; found by `warmUp` iterations where none are
 *
 * Miyato, Kataoka, Koyama & Yoshida 2018, arXiv 1802.05957. Epsilon is the least that is divided by: a norm, or |sigma|.
 */
import { checkEpsilon } from "../formula/checks.js";
import { onceOf, orthogonal } from "../formula/initializers.js";
import { kept, type Normalization, normalization } from "../formula/normalization.js";
import type { Ops } from "../formula/ops.js";
import { lengthOf } from "../formula/terms.js";
import { outputAxes, type WeightAxisOptions } from "../formula/weights.js";
import type { Settled } from "../options.js";
import { sizeOf } from "../shape.js";

export interface SpectralNormOptions extends WeightAxisOptions {
  /** Steps of the power iteration in each call in training, at most 10,000. Default 1. */
  iterations?: number;
  /**
   * Steps in evaluation where no v is stored yet, before any training step. Default 15, as PyTorch takes when it starts, or `iterations`
   * where those are more; at most 10,000. 0: u alone serves, whose sigma is too small.
   */
  warmUp?: number;
  /** Default 1e-12 (PyTorch). */
  epsilon?: number;
}

/**
 * x is the weight. It keeps u [outputs] and v [rest], as PyTorch does; a v of 0, as at the start, is found from u. Throws
 * RangeError for options out of range, and for axes that the weight does not have.
 */
export const spectralNorm = normalization(
  {
    name: "spectralNorm",
    title: "Spectral normalization",
    summary:
      "weights whose largest singular value is 1; for discriminators, and wherever slopes must be bounded",
    paper: "Miyato et al. 2018, arXiv 1802.05957",
    takes: "weight",
  },
  { axis: -1, iterations: 1, warmUp: 15, epsilon: 1e-12 },
  ({ axis, iterations, warmUp, epsilon }: Settled<SpectralNormOptions>) => {
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
    /** Axes with those of the outputs in front, and the lengths of the matrix. */
    const seen = (shape: readonly number[]) => {
      const outputs = outputAxes("spectralNorm", shape, axis);
      const order = [...outputs, ...[...shape.keys()].filter((one) => !outputs.includes(one))];
      const rows = sizeOf(outputs.map((one) => shape[one]));
      return { order, rows, columns: sizeOf(shape) / rows };
    };
    return {
      weights(shape) {
        const { rows, columns } = seen(shape);
        return {
          u: kept(
            [rows],
            onceOf(() => orthogonal(1, rows, 1)),
          ),
          v: kept([columns], 0),
        };
      },
      apply(ops, [x], { u, v }, { training }) {
        const { order, rows, columns } = seen(ops.shape(x));
        const matrix = ops.reshape(ops.transpose(x, order), [rows, columns]);
        const fixed = ops.stop(matrix);
        const turned = ops.transpose(fixed, [1, 0]);
        const iterated = (vectors: Vectors<typeof x>, steps: number) => {
          let { left, right } = vectors;
          for (let i = 0; i < steps; i++) {
            right = unit(ops, ops.matMul(turned, left), right, epsilon);
            left = unit(ops, ops.matMul(fixed, right), left, epsilon);
          }
          return { left, right };
        };
        const stored = { left: ops.reshape(u, [rows, 1]), right: ops.reshape(v, [columns, 1]) };
        let { left, right } = stored;
        if (training) ({ left, right } = iterated(stored, iterations));
        else {
          const found = iterated(stored, coldSteps);
          // where no v is stored
          const first = unit(ops, ops.matMul(turned, found.left), right, epsilon);
          const known = lengthOf(ops, right, [0, 1]);
          left = ops.where(known, left, found.left);
          right = ops.where(known, right, first);
        }
        const sigma = ops.sum(ops.mul(left, ops.matMul(matrix, right)), [0, 1]);
        const divisor = ops.max(ops.abs(sigma), Math.max(epsilon, LEAST));
        const y = ops.div(
          x,
          ops.reshape(
            divisor,
            order.map(() => 1),
          ),
        );
        if (!training) return { y };
        return { y, state: { u: ops.reshape(left, [rows]), v: ops.reshape(right, [columns]) } };
      },
    } satisfies Omit<Normalization, "name">;
  },
);

/** Columns: u and v. */
interface Vectors<T> {
  readonly left: T;
  readonly right: T;
}

/** A vector of length 1; the old one where there is no direction, as of a weight that is 0: from 0 no iteration comes back. */
function unit<T>(ops: Ops<T>, vector: T, old: T, epsilon: number): T {
  const { direction, share } = directed(ops, vector, epsilon);
  return ops.add(direction, ops.mul(old, ops.sub(1, share)));
}

/** A vector divided by its length, or by epsilon, and how much of length 1 that leaves: 0 of a vector that is 0, else 1. */
function directed<T>(ops: Ops<T>, vector: T, epsilon: number) {
  const length = lengthOf(ops, vector, [0, 1]);
  const divisor = ops.max(length, Math.max(epsilon, LEAST));
  return { direction: ops.div(vector, divisor), share: ops.div(length, divisor) };
}

/** Far beyond what a power iteration needs: a call ends. */
const MOST_ITERATIONS = 10_000;

/** Above 0 in float32, for an epsilon that is not. */
const LEAST = 1e-30;
