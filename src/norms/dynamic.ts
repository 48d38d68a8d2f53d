/**
 * Dynamic tanh and its relatives: a learned squashing of each value in the place of statistics.
 *
 *     dynamicTanh   y = tanh(alpha · x) · gamma + beta                        Zhu et al. 2025, arXiv 2503.10622
 *     dynamicErf    y = erf(alpha · x + shift) · gamma + beta                 Chen et al. 2025, arXiv 2512.10938
 *     dynamicISRU   y = √features · x / √(width + x²) · gamma + beta          Stollenwerk 2025, arXiv 2503.21708
 *
 * alpha, shift and width are one learned number each. Axes: none is reduced; gamma and beta are per feature (`axis`).
 */
import { planFeatures } from "../formula/features.js";
import { type AffineOptions, affineDefaults, affineWeights } from "../formula/fused-norm.js";
import { type About, type Normalization, normalization, trained } from "../formula/normalization.js";
import type { Ops } from "../formula/ops.js";
import { affine, square } from "../formula/terms.js";
import type { Settled } from "../options.js";
import { keptSize } from "../view.js";

export interface DynamicOptions extends AffineOptions {
  /** The axis, or axes, of the features; negative ones count from the end. Default −1. */
  axis?: number | readonly number[];
}

export interface DynamicTanhOptions extends DynamicOptions {
  /** What alpha starts with. Default 0.5; both papers take other values in the attention of large language models. */
  alpha?: number;
}

export interface DynamicISRUOptions extends DynamicOptions {
  /** What width starts with. Default: as many as features, where the slope at 0 is 1. It counts as 1e-6 at least. */
  width?: number;
}

/** Numbers that start so, the squashing of x by them, and gamma and beta. */
function squashing(
  { name }: About,
  { axis, ...options }: Settled<DynamicOptions>,
  numbers: (features: number) => Record<string, number>,
  squash: <T>(ops: Ops<T>, x: T, numbers: Readonly<Record<string, T>>, features: number) => T,
): Omit<Normalization, "name"> {
  return {
    weights(shape) {
      const { parameterShape, parameters } = planFeatures(name, shape, axis);
      const started = Object.entries(numbers(keptSize(parameters)));
      return {
        ...Object.fromEntries(started.map(([number, initial]) => [number, trained([1], initial)])),
        ...affineWeights(parameterShape, options),
      };
    },
    apply(ops, [x], { gamma, beta, ...weights }) {
      const { parameters } = planFeatures(name, ops.shape(x), axis);
      const y = squash(ops, x, weights, keptSize(parameters));
      return { y: affine(ops, y, parameters, gamma, beta) };
    },
  };
}

const tanh: About = {
  name: "dynamicTanh",
  title: "Dynamic tanh",
  summary: "a learned tanh in the place of layer normalization; no statistics at all",
  paper: "Zhu et al. 2025, arXiv 2503.10622",
  takes: "features",
};

/** Throws RangeError for axes that the array does not have. */
export const dynamicTanh = normalization(
  tanh,
  { alpha: 0.5, axis: -1, ...affineDefaults },
  ({ alpha, ...options }: Settled<DynamicTanhOptions>) =>
    squashing(
      tanh,
      options,
      () => ({ alpha }),
      (ops, x, { alpha: factor }) => ops.tanh(ops.mul(x, factor)),
    ),
);

const erf: About = {
  name: "dynamicErf",
  title: "Dynamic erf",
  summary: "a learned, shifted error function in the place of layer normalization (Derf)",
  paper: "Chen et al. 2025, arXiv 2512.10938",
  takes: "features",
};

/** Throws RangeError for axes that the array does not have. */
export const dynamicErf = normalization(
  erf,
  { alpha: 0.5, axis: -1, ...affineDefaults },
  ({ alpha, ...options }: Settled<DynamicTanhOptions>) =>
    squashing(
      erf,
      options,
      () => ({ alpha, shift: 0 }),
      (ops, x, { alpha: factor, shift }) => ops.erf(ops.add(ops.mul(x, factor), shift)),
    ),
);

const isru: About = {
  name: "dynamicISRU",
  title: "Dynamic inverse square root unit",
  summary: "RMS normalization with a learned number in the place of the other features' squares",
  paper: "Stollenwerk 2025, arXiv 2503.21708",
  takes: "features",
};

/** Throws RangeError for axes that the array does not have, and a width that is not above 0. */
export const dynamicISRU = normalization(
  isru,
  { width: undefined, axis: -1, ...affineDefaults },
  ({ width, ...options }: Settled<DynamicISRUOptions, "width">) => {
    if (width !== undefined && !(width > 0)) {
      throw new RangeError(`dynamicISRU: width must be a number above 0, got ${width}`);
    }
    return squashing(
      isru,
      options,
      (features) => ({ width: width ?? features }),
      (ops, x, { width: learned }, features) =>
        ops.mul(inverseSquareRoot(ops, x, ops.sqrt(ops.max(learned, 1e-6))), Math.sqrt(features)),
    );
  },
);

/** x/√(root² + x²), by the smaller of x/root and root/x: neither a square nor a slope leaves float32's range. */
function inverseSquareRoot<T>(ops: Ops<T>, x: T, root: T): T {
  const size = ops.abs(x);
  const far = ops.greater(size, root);
  const sign = ops.sub(ops.mul(ops.greater(x, 0), 2), 1);
  const beyond = ops.div(root, ops.where(far, size, root));
  const within = ops.div(ops.where(far, 0, x), root);
  const part = (ratio: T) => ops.sqrt(ops.add(square(ops, ratio), 1));
  return ops.where(far, ops.div(sign, part(beyond)), ops.div(within, part(within)));
}
