/** Moments that are written over: the numbers of `merge` of the library without an object for each, of which there would be millions. */
import type { Moments } from "evenkeel";

export type GrowingMoments = { -readonly [name in keyof Moments]: number };

export const startMoments = (): GrowingMoments => ({ count: 0, mean: 0, m2: 0 });

/** One more value. */
export function include(moments: GrowingMoments, value: number): void {
  const before = moments.count;
  const count = before + 1;
  const distance = value - moments.mean;
  moments.count = count;
  moments.mean += distance / count;
  moments.m2 += distance * (distance * (before / count));
}

/** Writes what two are together into a third, which may be one of them. */
export function mergeInto(into: GrowingMoments, a: Moments, b: Moments): void {
  const [heavy, light] = a.count < b.count ? [b, a] : [a, b];
  const count = heavy.count + light.count;
  const share = count === 0 ? 0 : light.count / count;
  const distance = light.mean - heavy.mean;
  const m2 = heavy.m2 + light.m2 + distance * (distance * (share * heavy.count));
  into.mean = heavy.mean + distance * share;
  into.m2 = m2;
  into.count = count;
}
