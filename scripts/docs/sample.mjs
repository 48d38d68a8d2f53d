/**
 * A small array for each normalization of the catalog, with the options that it needs there, and random weights.
 *
 * @typedef {import("../../dist/index.js").Normalization} Normalization
 * @typedef {import("../../dist/index.js").Evenkeel} Evenkeel
 * @typedef {{ readonly about: import("../../dist/index.js").About, (options?: any): Normalization }} Factory any of the catalog
 * @typedef {{ shape: readonly number[], data: Float64Array<ArrayBuffer> }} Wide
 * @typedef {{ groups?: number, units?: number, heads?: number }} Options
 * @typedef {object} Sample
 * @property {Normalization} norm
 * @property {Options} options
 * @property {[Wide, ...Wide[]]} inputs x, and a condition where it takes one
 * @property {Record<string, Float64Array>} weights
 */
import { initialValues } from "../../dist/formula/normalization.js";
import { apply } from "../../dist/index.js";

/** @type {number[][]} Batch, positions, channels: the first of these that a normalization takes. */
const X = [
  [3, 4, 6],
  [3, 2, 2, 6],
  [3, 6],
];
/** @type {((x: number[]) => number[][])[]} Beside x: one vector for each example, or one or two arrays like x. */
const CONDITIONS = [
  (x) => [[x[0], 5]],
  (x) => [[x[0], x[x.length - 1]]],
  (x) => [[...x.slice(0, -1), 5]],
  (x) => [x],
  (x) => [x, x],
];
/** @type {((x: number[]) => number[][])[]} Beside a weight: nothing, or a style of its inputs for each of two examples. */
const BESIDE_WEIGHTS = [() => [], (x) => [[2, x[x.length - 2]]]];
/** @type {Partial<Record<import("../../dist/index.js").About["takes"], ((x: number[]) => number[][])[]>>} */
const BESIDE = { condition: CONDITIONS, weight: BESIDE_WEIGHTS };
/** @type {Options[]} Options, where the defaults are for larger arrays. */
const OPTIONS = [{}, { groups: 2 }, { groups: 3 }, { units: 5 }, { heads: 2 }];

/** Numbers from −1 to 1 that depend on the seed alone. @param {number} length @param {number} seed */
export function noise(length, seed) {
  let state = seed * 7919 + 17;
  return Float64Array.from({ length }, () => {
    state = (state * 1103515245 + 12345) % 2147483648;
    return (2 * state) / 2147483648 - 1;
  });
}

/** @param {readonly number[]} shape */
export const sizeOf = (shape) => shape.reduce((a, b) => a * b, 1);

/**
 * The first shapes and options with which a factory gives a result.
 * @param {Evenkeel} ek @param {Factory} factory @returns {Sample}
 */
export function sampleOf(ek, factory) {
  const { name, takes } = factory.about;
  let reason;
  for (const options of OPTIONS) {
    for (const x of X) {
      const others = (BESIDE[takes] ?? [() => []]).map((shapes) => shapes(x));
      for (const conditions of others) {
        try {
          const norm = factory(options);
          const wide = (/** @type {number[]} */ shape, /** @type {number} */ i) => ({
            shape,
            data: noise(sizeOf(shape), 3 + i),
          });
          /** @type {[Wide, ...Wide[]]} */
          const inputs = [wide(x, 0), ...conditions.map((shape, i) => wide(shape, 1 + i))];
          const weights = weightsOf(norm, [x, ...conditions]);
          apply(ek, norm, inputs, weights);
          return { norm, options, inputs, weights };
        } catch (error) {
          reason ??= error;
        }
      }
    }
  }
  throw new Error(`${name}: takes none of the small arrays; add one to scripts/docs/sample.mjs`, {
    cause: reason,
  });
}

/**
 * Away from their initial values, which may hide what they do: a gamma of 0 lets nothing through.
 * @param {Normalization} norm @param {(readonly number[])[]} shapes of the inputs @returns {Record<string, Float64Array<ArrayBuffer>>}
 */
export function weightsOf(norm, shapes) {
  return Object.fromEntries(
    Object.entries(norm.weights(...shapes)).map(([name, weight], i) => {
      const { shape, trained } = weight;
      const random = noise(sizeOf(shape), 41 + i);
      const start = initialValues(weight);
      return [
        name,
        random.map((value, at) => (trained ? start[at] + 0.4 * value + 0.1 : Math.abs(value) + 0.5)),
      ];
    }),
  );
}
