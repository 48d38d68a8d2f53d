/** Tails of the normal and of Student's t distribution, far out too. */

/** P(|Z| ≥ z) of a standard normal Z, within 1.2e-7 of its size (Press et al. 1992, "Numerical Recipes", erfcc). */
export function twoTails(z: number): number {
  const x = Math.abs(z) / Math.SQRT2;
  const t = 1 / (1 + x / 2);
  const series = COEFFICIENTS.reduceRight((sum, coefficient) => coefficient + t * sum, 0);
  return t * Math.exp(-x * x + series);
}

const COEFFICIENTS = [
  -1.26551223, 1.00002368, 0.37409196, 0.09678418, -0.18628806, 0.27886807, -1.13520398, 1.48851587,
  -0.82215223, 0.17087277,
];

/**
 * The normal deviate as unlikely as this t of so many degrees of freedom (Wallace 1959, "Bounds on normal approximations to
 * Student's and the chi-square distributions").
 */
export const deviateOf = (t: number, freedom: number): number =>
  ((8 * freedom + 1) / (8 * freedom + 3)) * Math.sqrt(freedom * Math.log1p((t * t) / freedom));
