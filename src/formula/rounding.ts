/** float32 values rounded to a narrower type by float32 operations alone, for hosts that cannot hold it. */
import type { ElementaryOps, NarrowType } from "./ops.js";

/**
 * To 11 (float16) or 8 (bfloat16) significant bits: the high part of Dekker's splitting (1971), which rounds to nearest.
 * float16 is infinite from 65520 on, and has steps of 2^-24 below 2^-14.
 */
export function narrowed<T>(ops: ElementaryOps<T>, x: T, type: NarrowType): T {
  const dropped = type === "float16" ? 13 : 16;
  const size = ops.abs(x);
  // so that the product does not overflow
  const scale = ops.where(ops.greater(size, 2 ** 100), 2 ** -24, 1);
  const scaled = ops.mul(x, scale);
  const spread = ops.mul(scaled, 2 ** dropped + 1);
  const high = ops.div(ops.sub(spread, ops.sub(spread, scaled)), scale);
  if (type === "bfloat16") return high;
  // adding and taking away 1.5 · 2^23 quanta leaves whole ones
  const small = 1.5 * 2 ** -1;
  const subnormal = ops.sub(ops.add(x, small), small);
  const inRange = ops.where(ops.greater(2 ** -14, size), subnormal, high);
  const infinite = ops.mul(x, Number.POSITIVE_INFINITY);
  return ops.where(ops.greater(ops.abs(high), 65504), infinite, inRange);
}
