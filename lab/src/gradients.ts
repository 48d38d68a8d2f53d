/** How large gradients are: vanishing and exploding ones are what is looked for. */
import type { Tensor } from "@tensorflow/tfjs-core";

/** The Euclidean norm of all values, in float64, where no square of a float32 underflows or overflows. */
export function normOf(...tensors: readonly Tensor[]): number {
  let squares = 0;
  for (const tensor of tensors) for (const value of tensor.dataSync()) squares += value * value;
  return Math.sqrt(squares);
}
