/**
 * A view cuts an array's axes into those kept and those reduced. Adjacent axes of one kind collapse, so that
 * four sizes over a row-major array hold every normalization in use:
 *
 *     x[((a·r1 + b)·k2 + c)·r2 + d]        a < k1, b < r1, c < k2, d < r2
 *     statistic index = a·k2 + c           one value per kept position
 */
export interface View {
  readonly k1: number;
  readonly r1: number;
  readonly k2: number;
  readonly r2: number;
}

/** Number of elements of an array of this shape; 1 for a scalar. */
export function sizeOf(shape: readonly number[]): number {
  let size = 1;
  for (const length of shape) size *= length;
  return size;
}

/** The same lengths in the same order. */
export function sameShape(a: readonly number[], b: readonly number[]): boolean {
  if (a.length !== b.length) return false;
  for (let axis = 0; axis < a.length; axis++) if (a[axis] !== b[axis]) return false;
  return true;
}

/** Number of values that remain after the reduction. */
export function keptSize(view: View): number {
  return view.k1 * view.k2;
}

/** Number of elements behind each value that remains. */
export function reducedSize(view: View): number {
  return view.r1 * view.r2;
}

/**
 * The view of a row-major array that keeps the named axes and reduces the others, or undefined where the axes
 * alternate more often than kept-reduced-kept-reduced (see `arrange`).
 *
 * One array has one view: axes of length 1 count for nothing; without an inner kept axis (k2 = 1) all that is
 * reduced is in r2, and without an outer reduced one (r1 = 1) all that is kept is in k1, or in k2 where nothing
 * is reduced.
 */
export function viewOf(shape: readonly number[], kept: readonly number[]): View | undefined {
  const sizes = [1, 1, 1, 1];
  let slot = 0;
  for (let axis = 0; axis < shape.length; axis++) {
    const length = shape[axis];
    if (length === 1) continue;
    const parity = kept.includes(axis) ? 0 : 1;
    if (slot % 2 !== parity) slot++;
    if (slot > 3) return undefined;
    sizes[slot] *= length;
  }
  const [k1, r1, k2, r2] = sizes;
  if (r1 === 1 && r2 === 1) return { k1: 1, r1: 1, k2: k1 * k2, r2: 1 };
  if (k2 === 1) return { k1, r1: 1, k2: 1, r2: r1 * r2 };
  return { k1, r1, k2, r2 };
}

/** The statistic that element `index` of the row-major array belongs to. */
export function statisticIndex(view: View, index: number): number {
  const block = Math.floor(index / view.r2);
  return Math.floor(block / (view.k2 * view.r1)) * view.k2 + (block % view.k2);
}

/** An axis counted from the end where it is negative, as a number from 0. */
export function resolveAxis(caller: string, axis: number, rank: number): number {
  const resolved = axis < 0 ? axis + rank : axis;
  if (!Number.isInteger(axis) || resolved < 0 || resolved >= rank) {
    throw new RangeError(
      `${caller}: axis must be a whole number from ${-rank} to ${rank - 1} for an array of ${rank} axes, got ${axis}`,
    );
  }
  return resolved;
}

/** Whether values of this shape can stand for those of the expected one: the same, but for lengths of 1, or flat. */
export function fitsShape(shape: readonly number[], expected: readonly number[]): boolean {
  if (sameShape(shape, expected)) return true;
  const long = (lengths: readonly number[]) => lengths.filter((length) => length !== 1);
  const flat = shape.length === 1 && shape[0] === sizeOf(expected);
  return flat || long(shape).join() === long(expected).join();
}

/** Plain values alone have no shape, and x needs one, as does what is added to it. */
export function checkHasShape(norm: string, name: string, shape: unknown): void {
  if (Array.isArray(shape)) return;
  throw new TypeError(
    `${norm}: ${name} must be an array with a shape, such as { shape: [2, 3], data }, got ${typeof shape} for its shape`,
  );
}
