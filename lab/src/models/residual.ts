/**
 * Blocks of two layers with kernels that add to what they were given (He et al. 2016, arXiv 1512.03385), each of one width.
 *
 *     pre   x + kernel(activate(norm(kernel(activate(norm(x))))))     arXiv 1603.05027: the way past is clear
 *     post  activate(norm(x + kernel(activate(norm(kernel(x))))))
 */
import type { Arrangement } from "../norms.js";
import type { Builder, KernelArgs, Layer, Tensor } from "./model.js";

export const residualArrangements = ["pre", "post"] as const satisfies readonly Arrangement[];

/** From [batch, ..., channels] to [batch, ..., width]: a layer that gives them their width, and `depth` blocks, with `between` after each. */
export function residualBlocks(
  { keras, depth, arrangement, weighted, norm, normalized, activate, block }: Builder,
  inputs: Tensor,
  make: (args: KernelArgs) => Layer,
  between: (x: Tensor, index: number) => Tensor = (x) => x,
): Tensor {
  const isPre = arrangement === "pre";
  const done = (x: Tensor) => activate(norm(x));
  const sum = (x: Tensor, branch: Tensor) => keras.add().apply([x, branch]) as Tensor;
  let x = weighted(inputs, make);
  if (!isPre) x = done(x);
  for (let index = 0; index < depth; index++) {
    const branch = weighted(activate(normalized(isPre ? done(x) : x, make)), make);
    x = between(block(isPre ? sum(x, branch) : done(sum(x, branch))), index);
  }
  return isPre ? done(x) : x;
}
