/** Draws of a seed. */
import { uniformFloat64 } from "pure-rand/distribution/uniformFloat64";
import { generatorOf } from "../../../src/data/random.js";

export function drawsOf(seed: number): { uniform(): number; normal(): number } {
  const generator = generatorOf(seed);
  const uniform = () => uniformFloat64(generator);
  return {
    uniform,
    normal: () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform()),
  };
}
