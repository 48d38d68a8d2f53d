/** The two views of the current call: how a block of statistics is walked, and which parameter belongs to an element. */

// The statistics view, followed by the parameter view; set by `setViews`, constant during a call.
export let k1: i32 = 0;
export let r1: i32 = 0;
export let k2: i32 = 0;
export let r2: i32 = 0;
export let pk1: i32 = 0;
export let pr1: i32 = 0;
export let pk2: i32 = 0;
export let pr2: i32 = 0;

// The mask's view; its k1 follows from the rest. With r1 = 1, kept positions follow each other through the whole array.
export let mr1: i32 = 0;
export let mk2: i32 = 0;
export let mr2: i32 = 0;

export function setMaskView(b: i32, c: i32, d: i32): void {
  mr1 = b;
  mk2 = b == 1 ? i32.MAX_VALUE : c;
  mr2 = d;
}

export function setViews(a: i32, b: i32, c: i32, d: i32, pa: i32, pb: i32, pc: i32, pd: i32): void {
  // with no reduced axes between them, the two groups of kept axes are one
  const joined = b == 1 && d > 1;
  k1 = joined ? a * c : a;
  r1 = b;
  k2 = joined ? 1 : c;
  r2 = d;
  pk1 = pa;
  pr1 = pb;
  pk2 = pc;
  pr2 = pd;
}

/** Segments shorter than this are walked as columns. */
const SHORT_SEGMENT = 64;
/** Widest row that is walked as columns because of short segments; its coefficients stay in cache. */
const WIDEST_ROW = 4096;

/**
 * A block [r1, k2, r2] is walked as r1 rows of k2·r2 columns, with statistics per column that are folded by r2,
 * where the segments of r2 are too short for a loop of their own; else segment by segment.
 */
// @ts-ignore: decorator
@inline
export function asColumns(k2: i32, r2: i32): bool {
  return r2 == 1 || (k2 > 1 && r2 < SHORT_SEGMENT && k2 * r2 <= WIDEST_ROW);
}

/** The parameter of element `index`. */
// @ts-ignore: decorator
@inline
export function parameterIndex(index: i32): i32 {
  const block = index / pr2;
  return (block / (pk2 * pr1)) * pk2 + (block % pk2);
}

/** How many elements from `index` on, of at most `most`, have one parameter (pr2 > 1) or one each, in a row. */
// @ts-ignore: decorator
@inline
export function runLength(index: i32, most: i32): i32 {
  return min(most, pr2 > 1 ? pr2 - (index % pr2) : pk2 - (index % pk2));
}

/** Whether every row of every block has the same parameters, column by column. */
// @ts-ignore: decorator
@inline
export function repeatsByRow(): bool {
  const columns = k2 * r2;
  const period = pk2 * pr2;
  return r1 == 1 || (columns % period == 0 && (pr1 * period) % (r1 * columns) == 0);
}
