/** Rounds float32 values to a narrower type with float32 operations alone, for hosts without that type. */
import type { ElementaryOps, NarrowType } from "./ops.js";

/**
 * Rounds to 11 (float16) or 8 (bfloat16) significant bits: the high part of Dekker's splitting (1971), which rounds to nearest.
 * float16 overflows to infinity at 65520, and has steps of 2^-24 below 2^-14.
 */
export function roundedTo<T>(ops: ElementaryOps<T>, x: T, type: NarrowType): T {
  const dropped = type === "float16" ? 13 : 16;
  const size = ops.abs(x);
  // keeps the product from overflowing
  const scale = ops.where(ops.greater(size, 2 ** 100), 2 ** -24, 1);
  const scaled = ops.mul(x, scale);
  const product = ops.mul(scaled, 2 ** dropped + 1);
  const high = ops.div(ops.sub(product, ops.sub(product, scaled)), scale);
  if (type === "bfloat16") return high;
  // adding and subtracting 1.5 · 2^23 quanta rounds to whole quanta
  const small = 1.5 * 2 ** -1;
  const subnormal = ops.sub(ops.add(x, small), small);
  const inRange = ops.where(ops.greater(2 ** -14, size), subnormal, high);
  const infinite = ops.mul(x, Number.POSITIVE_INFINITY);
  return ops.where(ops.greater(ops.abs(high), 65504), infinite, inRange);
}
