/** What is drawn by a seed: the same in every run and on every machine. */
import { xoroshiro128plus } from "pure-rand/generator/xoroshiro128plus";

/** Neighbouring seeds would start the generator alike, and their first draws with it (the last step of MurmurHash3). */
export const generatorOf = (seed: number): ReturnType<typeof xoroshiro128plus> =>
  xoroshiro128plus(scattered(seed));

function scattered(seed: number): number {
  let bits = Math.imul(seed ^ (seed >>> 16), 0x85ebca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
  return (bits ^ (bits >>> 16)) | 0;
}
