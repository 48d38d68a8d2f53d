/** Attributes of the normalization kernel and its gradient, and the order of their inputs. */
import type { View } from "../../view.js";

/** Attributes of both kernels. `added`, `scale`, `offset`, `given` and `masked` say which optional inputs are present. */
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
  /** View of the mask: one value per kept position. */
  readonly masks: View;
}

/** Names the inputs of the kernel: x, then residual, gamma, beta, mean, variance and mask where present. */
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
    /** Saved outputs, which follow the inputs. */
    rest,
  };
}

/** Names the inputs of the gradient's kernel. */
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
