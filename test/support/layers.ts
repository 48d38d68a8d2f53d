/** Every normalization with small options, and the shapes of its inputs for so many features. */
import type { Normalization } from "../../src/index.js";
import { catalog } from "../../src/norms/catalog.js";

export interface Kind {
  readonly name: string;
  readonly defaults: Readonly<Record<string, unknown>>;
  make(options?: Readonly<Record<string, unknown>>): Normalization;
  shapes(features: number): number[][];
}

/** Further inputs of a normalization that takes a condition: a vector for each example, or arrays like x. */
export function conditionsOf<S>(name: string, likeX: S, vector: S): S[] {
  if (name === "spatiallyAdaptiveNorm") return [likeX, likeX];
  return [name === "adaptiveInstanceNorm" || name === "gatedRMSNorm" ? likeX : vector];
}

/** Options that must be given, or whose default asks for large inputs. */
const small: Readonly<Record<string, unknown>> = { units: 4, groups: 2, heads: 2, batchSize: 2 };

export const kinds: readonly Kind[] = Object.values(catalog).map((factory) => {
  const { name, takes } = factory.about;
  const defaults = factory.defaults as Readonly<Record<string, unknown>>;
  const needed = Object.fromEntries(Object.entries(small).filter(([option]) => option in defaults));
  return {
    name,
    defaults,
    make: (options) => (factory as (options: object) => Normalization)({ ...needed, ...options }),
    shapes(features) {
      const image = [4, 6, 6, features];
      if (name.endsWith("Cell")) return [[4, features], ...Array(name.includes("LSTM") ? 2 : 1).fill([4, 4])];
      if (name === "momentShortcut") return [image, [4, 6, 6, 1], [4, 6, 6, 1]];
      if (name === "reversibleInstanceDenorm") {
        return [
          [4, 6, features],
          [4, 1, features],
          [4, 1, features],
        ];
      }
      if (name === "weightDemodulation") return [image, [2, 6]];
      if (takes === "condition") return [image, ...conditionsOf(name, image, [4, 5])];
      return takes === "sequence" || takes === "forecast" ? [[4, 6, features]] : [image];
    },
  };
});
