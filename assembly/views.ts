/** How a block of the statistics view is walked, and which parameter belongs to an element. */

/** Segments shorter than this are walked as columns. */
const SHORT_SEGMENT = 64;
/** Widest row that is walked as columns for the sake of short segments; its coefficients stay in cache. */
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
export function parameterIndex(index: i32, pr1: i32, pk2: i32, pr2: i32): i32 {
  const block = index / pr2;
  return (block / (pk2 * pr1)) * pk2 + (block % pk2);
}

/** Whether every row of every block [rows, columns] meets the same parameters, column by column. */
// @ts-ignore: decorator
@inline
export function repeatsByRow(rows: i32, columns: i32, pr1: i32, pk2: i32, pr2: i32): bool {
  const period = pk2 * pr2;
  return rows == 1 || (columns % period == 0 && (pr1 * period) % (rows * columns) == 0);
}

// @ts-ignore: decorator
@inline
export function inverseRoot(variance: f32, epsilon: f64): f64 {
  return 1.0 / Math.sqrt(<f64>variance + epsilon);
}
