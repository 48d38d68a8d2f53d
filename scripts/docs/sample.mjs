/** A small array for each normalization of the catalog, with the options that it needs there, and random weights. */

import { startOf } from "../../dist/formula/normalization.js";
import { apply } from "../../dist/index.js";

/** Batch, positions, channels: the first of these that a normalization takes. */
const X = [
  [3, 4, 6],
  [3, 2, 2, 6],
  [3, 6],
];
/** Of a condition beside x: one vector for each example, or an array like x. */
const CONDITIONS = [(x) => [x[0], 5], (x) => [x[0], x.at(-1)], (x) => [...x.slice(0, -1), 5], (x) => x];
/** Options where the defaults are for larger arrays. */
const OPTIONS = [{}, { groups: 2 }, { groups: 3 }, { units: 5 }, { heads: 2 }];

/** Numbers from −1 to 1 that depend on the seed alone. */
export function noise(length, seed) {
  let state = seed * 7919 + 17;
  return Float64Array.from({ length }, () => {
    state = (state * 1103515245 + 12345) % 2147483648;
    return (2 * state) / 2147483648 - 1;
  });
}

export const sizeOf = (shape) => shape.reduce((a, b) => a * b, 1);

/**
 * The first shapes and options with which a factory gives a result.
 * @returns {{ norm: import("../../dist/index.js").Normalization, options: object, inputs: object[], weights: object }}
 */
export function sampleOf(ek, factory) {
  const { name, takes } = factory.about;
  let reason;
  for (const options of OPTIONS) {
    for (const x of X) {
      const lists = takes === "condition" ? CONDITIONS.map((shape) => [x, shape(x)]) : [[x]];
      for (const shapes of lists) {
        try {
          const norm = factory(options);
          const inputs = shapes.map((shape, i) => ({ shape, data: noise(sizeOf(shape), 3 + i) }));
          const weights = weightsOf(norm, shapes);
          apply(ek, norm, inputs, weights);
          return { norm, options, inputs, weights };
        } catch (error) {
          reason ??= error;
        }
      }
    }
  }
  throw new Error(`${name}: no small array that it takes; add one to scripts/docs/sample.mjs`, {
    cause: reason,
  });
}

/** Away from where they start, which may hide what they do: a gamma of 0 lets nothing through. */
function weightsOf(norm, shapes) {
  return Object.fromEntries(
    Object.entries(norm.weights(...shapes)).map(([name, weight], i) => {
      const { shape, trained } = weight;
      const random = noise(sizeOf(shape), 41 + i);
      const start = startOf(weight);
      return [
        name,
        random.map((value, at) => (trained ? start[at] + 0.4 * value + 0.1 : Math.abs(value) + 0.5)),
      ];
    }),
  );
}
