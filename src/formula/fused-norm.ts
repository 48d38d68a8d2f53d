/** Normalizations that are the fused operation alone, with gamma and beta. */
import { type About, type Factory, type Normalization, normalization, trained } from "./normalization.js";
import type { Norm } from "./plan.js";

/** Which parameters a layer of the norm learns. */
export interface AffineOptions {
  /** A factor per parameter, gamma, at first 1. */
  scale?: boolean;
  /** An offset per parameter, beta, at first 0. */
  center?: boolean;
}

/** A norm that is the operation itself, with gamma and beta. */
/* @__NO_SIDE_EFFECTS__ */
export function coreNorm<O>(
  about: About,
  describe: (options: O) => Omit<Norm, "name">,
  defaults: Required<AffineOptions> = { scale: true, center: true },
): Factory<O & AffineOptions, Norm & Normalization> {
  return normalization(about, (options: O & AffineOptions) => {
    const norm: Norm = { name: about.name, ...describe(options) };
    const affine = { ...defaults, ...options };
    return {
      ...norm,
      handles: { mask: true, residual: true },
      weights: (shape: readonly number[]) => affineWeights(norm.plan(shape).parameterShape, affine),
      apply(ops, [x], { gamma, beta }, { mask, residual }) {
        const { y, sum } = ops.normalize(norm, x, { gamma, beta, mask, residual });
        return { y, sum };
      },
    } satisfies Norm & Omit<Normalization, "name">;
  });
}

/** gamma and beta of this shape, those that are wanted. */
export function affineWeights(shape: readonly number[], { scale = true, center = true }: AffineOptions) {
  return { ...(scale && { gamma: trained(shape, 1) }), ...(center && { beta: trained(shape, 0) }) };
}
