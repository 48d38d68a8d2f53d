import type { View } from "../../view.js";
/** What the operation and its gradient are told, and which tensors their lists of inputs hold. */
/** What both kernels are told. `added`, `scale`, `offset`, `given` and `masked` say which of the optional inputs are there. */
export interface Attributes {
  readonly statistics: View;
  readonly parameters: View;
  readonly statisticsShape: readonly number[];
  readonly parameterShape: readonly number[];
  readonly epsilon: number;
  readonly centered: boolean;
  readonly added: boolean;
  readonly scale: boolean;
  readonly offset: boolean;
  readonly given: boolean;
  readonly masked: boolean;
  /** Kept: one value of the mask per kept position. */
  readonly masks: View;
}

/** The list's optional members by name: x, then residual, gamma, beta, mean, variance and mask where they are. */
export function named<T>(list: readonly T[], { added, scale, offset, centered, given, masked }: Attributes) {
  const rest = [...list];
  const take = (present: boolean) => (present ? rest.shift() : undefined);
  return {
    x: rest.shift() as T,
    residual: take(added),
    gamma: take(scale),
    beta: take(offset),
    mean: take(centered && given),
    variance: take(given),
    mask: take(masked),
    /** What follows the inputs: saved outputs. */
    rest,
  };
}

/** The gradient's list by name. */
export function gradientInputs<T>(list: readonly T[], { added, scale, centered, masked }: Attributes) {
  const rest = [...list];
  const take = (present: boolean) => (present ? rest.shift() : undefined);
  return {
    dy: rest.shift() as T,
    dSum: take(added),
    x: rest.shift() as T,
    gamma: take(scale),
    mean: take(centered),
    variance: rest.shift() as T,
    mask: take(masked),
  };
}
