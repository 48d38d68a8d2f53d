/** How large gradients are: vanishing and exploding ones are what is looked for. */

/** The Euclidean norm of all values, in float64, where no square of a float32 underflows or overflows. */
export function normOf(...arrays: readonly ArrayLike<number>[]): number {
  let squares = 0;
  for (const array of arrays) for (let i = 0; i < array.length; i++) squares += array[i] * array[i];
  return Math.sqrt(squares);
}
