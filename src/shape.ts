/** Shapes: the lengths of a row-major array's axes. */

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
