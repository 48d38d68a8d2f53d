/**
 * Dynamic tanh and its relatives: a learned squashing function of each value instead of statistics.
 *
 *     dynamicTanh   y = tanh(alpha · x) · gamma + beta                        Zhu et al. 2025, arXiv 2503.10622
 *     dynamicErf    y = erf(alpha · x + shift) · gamma + beta                 Chen et al. 2025, arXiv 2512.10938
 *     dynamicISRU   y = √features · x / √(width + x²) · gamma + beta          Stollenwerk 2025, arXiv 2503.21708
 *
 * alpha, shift and width are learned scalars. Axes: none is reduced; gamma and beta are per feature (`axis`).
 */
import { checkFinite } from "../formula/checks.js";
import { planFeatures } from "../formula/features.js";
import { type AffineOptions, affineDefaults, affineWeights } from "../formula/fused-norm.js";
import { type About, type Normalization, normalization, trained } from "../formula/normalization.js";
import type { Ops } from "../formula/ops.js";
import { affine, square, withSlope } from "../formula/terms.js";
import type { Settled } from "../options.js";
import { keptSize } from "../view.js";

/** Options of `dynamicErf`, `dynamicISRU` and `dynamicTanh`. */
export interface DynamicOptions extends AffineOptions {
  /** The axis, or axes, of the features; negative ones count from the end. Default −1. */
  axis?: number | readonly number[];
}

/** Options of `dynamicTanh` and `dynamicErf`. */
export interface DynamicTanhOptions extends DynamicOptions {
  /** Initial value of alpha. Default 0.5; both papers use other values in the attention of large language models. */
  alpha?: number;
}

/** Options of `dynamicISRU`. */
export interface DynamicISRUOptions extends DynamicOptions {
  /** Initial value of width. Default: the number of features, for a slope of 1 at 0. Clamped to at least 1e-6. */
  width?: number;
}

/** A squashing function of x with learned scalars, given by their initial values, then gamma and beta. */
function squashing(
  { name }: About,
  { axis, ...options }: Settled<DynamicOptions>,
  numbers: (features: number) => Record<string, number>,
  squash: <T>(ops: Ops<T>, x: T, numbers: Readonly<Record<string, T>>) => T,
  scaleOf: (features: number) => number = () => 1,
): Omit<Normalization, "name"> {
  return {
    weights(shape) {
      const { parameterShape, parameters } = planFeatures(name, shape, axis);
      const scalars = Object.entries(numbers(keptSize(parameters)));
      return {
        ...Object.fromEntries(scalars.map(([number, initial]) => [number, trained([1], initial)])),
        ...affineWeights(parameterShape, options),
      };
    },
    apply(ops, [x], { gamma, beta, ...weights }) {
      const { parameters } = planFeatures(name, ops.shape(x), axis);
      const y = squash(ops, x, weights);
      const scale = scaleOf(keptSize(parameters));
      if (gamma === undefined) return { y: affine(ops, ops.mul(y, scale), parameters, undefined, beta) };
      return { y: affine(ops, y, parameters, ops.mul(gamma, scale), beta) };
    },
  };
}

const tanh: About = {
  name: "dynamicTanh",
  title: "Dynamic tanh",
  summary: "a learned tanh instead of layer normalization (DyT); no statistics",
  paper: "Zhu et al. 2025, arXiv 2503.10622",
  takes: "features",
};

/**
 * x [..., features], y of its shape. Weights: alpha [1], gamma and beta [features].
 * @throws RangeError, when called, for axes that x does not have
 */
export const dynamicTanh = normalization(
  tanh,
  { alpha: 0.5, axis: -1, ...affineDefaults },
  ({ alpha, ...options }: Settled<DynamicTanhOptions>) => {
    checkFinite("dynamicTanh", "alpha", alpha);
    return squashing(
      tanh,
      options,
      () => ({ alpha }),
      (ops, x, { alpha: factor }) => ops.tanh(ops.mul(x, factor)),
    );
  },
);

const erf: About = {
  name: "dynamicErf",
  title: "Dynamic erf",
  summary: "a learned, shifted error function instead of layer normalization (Derf); no statistics",
  paper: "Chen et al. 2025, arXiv 2512.10938",
  takes: "features",
};

/**
 * x [..., features], y of its shape. Weights: alpha [1], shift [1] (initialized to 0), gamma and beta [features].
 * @throws RangeError, when called, for axes that x does not have
 */
export const dynamicErf = normalization(
  erf,
  { alpha: 0.5, axis: -1, ...affineDefaults },
  ({ alpha, ...options }: Settled<DynamicTanhOptions>) => {
    checkFinite("dynamicErf", "alpha", alpha);
    return squashing(
      erf,
      options,
      () => ({ alpha, shift: 0 }),
      (ops, x, { alpha: factor, shift }) => ops.erf(ops.add(ops.mul(x, factor), shift)),
    );
  },
);

const isru: About = {
  name: "dynamicISRU",
  title: "Dynamic inverse square root unit",
  summary: "RMS normalization with a learned number instead of the other features' squares; no statistics",
  paper: "Stollenwerk 2025, arXiv 2503.21708",
  takes: "features",
};

/**
 * x [..., features], y of its shape. Weights: width [1], gamma and beta [features].
 * @throws RangeError for a width that is not above 0; when called, for axes that x does not have
 */
export const dynamicISRU = normalization(
  isru,
  { width: undefined, axis: -1, ...affineDefaults },
  ({ width, ...options }: Settled<DynamicISRUOptions, "width">) => {
    if (
      width !== undefined &&
      !(typeof width === "number" && width > 0 && width < Number.POSITIVE_INFINITY)
    ) {
      throw new RangeError(`dynamicISRU: width must be a number above 0, got ${width}`);
    }
    return squashing(
      isru,
      options,
      (features) => ({ width: width ?? features }),
      (ops, x, { width: learned }) => {
        const z = ops.mul(x, ops.div(1, ops.sqrt(ops.max(learned, 1e-6))));
        // farther out it is ±1, and squares leave float32's range
        const near = ops.min(ops.max(z, -1e18), 1e18);
        const inverse = ops.div(1, ops.sqrt(ops.add(square(ops, near), 1)));
        return withSlope(ops, ops.mul(near, inverse), z, ops.mul(square(ops, inverse), inverse));
      },
      Math.sqrt,
    );
  },
);
