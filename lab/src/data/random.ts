/** What is drawn by a seed: the same in every run and on every machine. */
import { uniformFloat64 } from "pure-rand/distribution/uniformFloat64";
import { xoroshiro128plus } from "pure-rand/generator/xoroshiro128plus";

/** Neighbouring seeds would start the generator alike, and their first draws with it (the last step of MurmurHash3). */
export const generatorOf = (seed: number): ReturnType<typeof xoroshiro128plus> =>
  xoroshiro128plus(scattered(seed));

function scattered(seed: number): number {
  let bits = Math.imul(seed ^ (seed >>> 16), 0x85ebca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
  return (bits ^ (bits >>> 16)) | 0;
}

/**
 * With Math.random as it follows from the seed, until `run` is done: one at a time in a thread. TensorFlow.js draws by it what a network
 * draws while it trains (dropout, noise), where it is given no seed.
 */
export async function withSeededRandom<T>(seed: number, run: () => Promise<T>): Promise<T> {
  const { random } = Math;
  const generator = generatorOf(seed);
  Math.random = () => uniformFloat64(generator);
  try {
    return await run();
  } finally {
    Math.random = random;
  }
}
