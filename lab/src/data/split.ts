/**
 * Which rows are for training and which are held out: drawn at random within each class, from one fixed seed, so that
 * every call, run and machine draws the same.
 */
import { uniformInt } from "pure-rand/distribution/uniformInt";
import { xoroshiro128plus } from "pure-rand/generator/xoroshiro128plus";
import { UsageError } from "../errors.js";

/** How the examples of a dataset are divided; plain data, so that whoever trains can draw the parts of a seed. */
export interface Parts {
  /** [examples]: the class of each, by which random parts are stratified; all 0 where there are none. */
  strata: Int32Array;
  /** [examples]: numbers of groups; those of one group stay together. */
  groups?: Int32Array;
  /** [examples]: when each was, in any unit: the latest are held out, those before them validate, for every seed alike. */
  time?: Float64Array;
  /** Examples that the data themselves hold out. */
  heldOut?: Int32Array;
}

/** The examples of one seed: rows of the dataset, in a random but fixed order. */
export interface Split {
  train: Int32Array;
  validation: Int32Array;
  heldOut: Int32Array;
}

const SEED = 20;

/** Throws UsageError for a limit that leaves a class without a row to train on and one to hold out. */
export function checkLimit(limit: number, classes: number): void {
  if (Number.isInteger(limit) && limit >= 2 * classes) return;
  throw new UsageError(
    `--limit: expected an integer number of rows, at least ${2 * classes}${classes > 1 ? ` (2 of each of the ${classes} classes)` : ""}, got ${limit}`,
  );
}

/** The numbers 0 to count − 1 in a random order, the same for the same seed. */
export function shuffledRows(count: number, seed = SEED): number[] {
  const rows = Array.from({ length: count }, (_, index) => index);
  const random = xoroshiro128plus(seed);
  for (let last = count - 1; last > 0; last--) {
    const other = uniformInt(random, 0, last);
    [rows[last], rows[other]] = [rows[other], rows[last]];
  }
  return rows;
}

/**
 * Divides `rows`, in their order, into `count` taken ones and the rest: each class (`classOf[row]`, 0 to classes − 1)
 * gives its share of the count, rounded, and at least `least`. The count and each class must be large enough for that.
 */
export function drawRows(
  rows: readonly number[],
  classOf: ArrayLike<number>,
  classes: number,
  count: number,
  least: number,
): { taken: number[]; rest: number[] } {
  const sizes = new Array<number>(classes).fill(0);
  for (const row of rows) sizes[classOf[row]]++;
  const quota = apportion(sizes, count, least);
  const taken: number[] = [];
  const rest: number[] = [];
  for (const row of rows) {
    if (quota[classOf[row]]-- > 0) taken.push(row);
    else rest.push(row);
  }
  return { taken, rest };
}

/** `count` divided in proportion to `sizes`: shares rounded down first, the remainder to those furthest below their due. */
function apportion(sizes: readonly number[], count: number, least: number): number[] {
  const total = sizes.reduce((sum, size) => sum + size, 0);
  const due = sizes.map((size) => (count * size) / total);
  const shares = due.map((share) => Math.max(least, Math.floor(share)));
  const lacking = (index: number) => due[index] - shares[index];
  const classes = sizes.map((_, index) => index);
  let left = count - shares.reduce((sum, share) => sum + share, 0);
  for (; left > 0; left--) {
    const open = classes.filter((index) => shares[index] < sizes[index]);
    shares[open.reduce((best, index) => (lacking(index) > lacking(best) ? index : best))]++;
  }
  for (; left < 0; left++) {
    const open = classes.filter((index) => shares[index] > least);
    shares[open.reduce((best, index) => (lacking(index) < lacking(best) ? index : best))]--;
  }
  return shares;
}
