/**
 * What a network draws while it trains (dropout, noise) follows from its trial's seed, as everything else does: TensorFlow.js
 * draws by Math.random where it is given no seed.
 */
import { uniformFloat64 } from "pure-rand/distribution/uniformFloat64";
import { generatorOf } from "../data/random.js";

/** With Math.random as it follows from the seed, until `run` is done: one at a time in a thread. */
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
