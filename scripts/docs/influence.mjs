/**
 * What depends on what, found by running: each element is changed in turn, and what changes with it depends on it. And sets of
 * elements in words.
 */

import { listed } from "@evenkeel/report/format";
import { sizeOf } from "./sample.mjs";

/**
 * @typedef {import("../../dist/index.js").About} About
 * @typedef {readonly number[]} Shape
 * @typedef {Set<number>} Elements indices into an array
 */

/** Changes large enough to show where a maximum or a threshold decides. */
const CHANGES = [0.7, -0.9, 40, -40];

/**
 * For each element of what `run` gives, which elements of `values` change it; element by element, so that a page may do something
 * else in between.
 * @param {() => Float64Array} run @param {Float64Array} values as `run` reads them
 * @returns {Generator<void, Elements[], void>}
 */
export function* influencing(run, values) {
  const before = run();
  const found = Array.from(before, () => /** @type {Elements} */ (new Set()));
  for (let j = 0; j < values.length; j++) {
    const value = values[j];
    for (const change of CHANGES) {
      values[j] = value + change;
      run().forEach((y, e) => {
        if (!(Math.abs(y - before[e]) <= 1e-12 * Math.max(1, Math.abs(before[e])))) found[e].add(j);
      });
    }
    values[j] = value;
    yield;
  }
  return found;
}

/** The same at once. @param {() => Float64Array} run @param {Float64Array} values */
export function influences(run, values) {
  const steps = influencing(run, values);
  for (;;) {
    const { done, value } = steps.next();
    if (done) return value;
  }
}

/** The index of each element along each axis. @param {Shape} shape */
export function positionsOf(shape) {
  return Array.from({ length: sizeOf(shape) }, (_, i) => {
    /** @type {number[]} */
    const position = [];
    let rest = i;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      position[axis] = rest % shape[axis];
      rest = Math.floor(rest / shape[axis]);
    }
    return position;
  });
}

/** "batch", "positions", "channels": the usual names of the axes of x, or of a layer's weight. @param {Shape} shape @param {About["takes"]} [takes] */
export function axisNames(shape, takes) {
  if (takes === "weight") return ["taps", "inputs", "outputs"].slice(3 - shape.length);
  if (takes === "sequence" && shape.length === 3) return ["batch", "steps", "features"];
  if (shape.length === 2) return ["batch", "features"];
  const between = shape
    .slice(1, -1)
    .map((_, i, all) => (all.length === 1 ? "positions" : ["rows", "columns"][i]));
  return ["batch", ...between, "channels"];
}

/** One of an axis. @type {Record<string, string>} */
export const ONE = {
  batch: "example",
  positions: "position",
  rows: "row",
  columns: "column",
  channels: "channel",
  features: "feature",
  inputs: "input",
  taps: "tap",
  steps: "step",
  outputs: "output",
};

/**
 * A set of elements in words; `element` is the one that they influence, if it is in the same array.
 * @param {Elements} set @param {Shape} shape @param {string[]} names @param {number} [element]
 */
export function described(set, shape, names, element) {
  const positions = positionsOf(shape);
  const members = [...set].map((i) => positions[i]);
  const along = shape.map((_, axis) => new Set(members.map((position) => position[axis])));
  if (set.size <= 1) return "the element alone";
  const parts = along.flatMap((seen, axis) => {
    if (seen.size === 1) return [];
    return seen.size === shape[axis]
      ? [names[axis]]
      : [`${seen.size} of ${shape[axis]} ${names[axis] === "batch" ? "examples" : names[axis]}`];
  });
  const whole = along.reduce((product, seen) => product * seen.size, 1) === set.size;
  const fixed = along.flatMap((seen, axis) => {
    const [only] = seen;
    return seen.size === 1 && (element === undefined || only === positions[element][axis])
      ? [ONE[names[axis]]]
      : [];
  });
  if (fixed.length + parts.length === shape.length && whole) {
    return `${listed(parts)}${fixed.length > 0 ? ` of one ${listed(fixed)}` : ""}`;
  }
  return `${set.size} elements, along ${listed(parts)}`;
}
