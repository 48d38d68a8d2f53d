/** Normalizations that are the fused operation alone, with gamma and beta. */
import type { Defaults } from "../options.js";
import { type About, type Factory, type Normalization, normalization, trained } from "./normalization.js";
import type { FusedNorm } from "./plan.js";

/** Which of gamma and beta a norm learns. */
export interface AffineOptions {
  /** Whether it has a factor, gamma, initialized to 1. Default true. */
  scale?: boolean;
  /** Whether it has an offset, beta, initialized to 0. Default true. */
  center?: boolean;
}

export const affineDefaults = { scale: true, center: true } as const;

/** The factory of a norm that is the fused operation itself, with gamma and beta. */
/* @__NO_SIDE_EFFECTS__ */
export function fusedNorm<S extends Required<AffineOptions>>(
  about: About,
  defaults: Defaults<NoInfer<S>>,
  describe: (options: S) => Omit<FusedNorm, "name">,
): Factory<Partial<S>, FusedNorm & Normalization> {
  return normalization(about, defaults, (options: S) => {
    const norm: FusedNorm = { name: about.name, ...describe(options) };
    return {
      ...norm,
      handles: { mask: true, residual: true },
      weights: (shape: readonly number[]) => affineWeights(norm.plan(shape).parameterShape, options),
      apply(ops, [x], { gamma, beta }, { mask, residual }) {
        const { y, sum } = ops.normalize(norm, x, { gamma, beta, mask, residual });
        return { y, sum };
      },
    } satisfies FusedNorm & Omit<Normalization, "name">;
  });
}

/** gamma and beta of this shape, as enabled. */
export function affineWeights(shape: readonly number[], { scale, center }: Required<AffineOptions>) {
  return { ...(scale && { gamma: trained(shape, 1) }), ...(center && { beta: trained(shape, 0) }) };
}
