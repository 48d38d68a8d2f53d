/** Shapes: the lengths of a row-major array's axes. */

/** The most axes that an array may have. numpy stops at 64, PyTorch at 64, TensorFlow.js at 6. */
export const MOST_AXES = 32;

/** The most values that an array may have: as many float32 as fit into the 4 GiB that WebAssembly addresses. */
export const MOST_VALUES = 2 ** 30;

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

/**
 * The shape of two arrays together, as numpy has it.
 * @throws RangeError for shapes that do not broadcast
 */
export function broadcastShape(a: readonly number[], b: readonly number[]): readonly number[] {
  if (sameShape(a, b)) return a;
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, axis) => {
    const [p, q] = [a[axis - rank + a.length] ?? 1, b[axis - rank + b.length] ?? 1];
    if (p === q || q === 1) return p;
    if (p === 1) return q;
    throw new RangeError(`shapes [${a.join(", ")}] and [${b.join(", ")}] do not broadcast`);
  });
}

/**
 * Checks a shape before anything is allocated by it: at most 32 axes, lengths that are non-negative integers, and at most 2³⁰ values
 * (an empty array counts as though its lengths of 0 were 1).
 * @throws TypeError for what is not a list, RangeError for lengths out of these bounds
 */
export function checkLengths(
  caller: string,
  name: string,
  shape: unknown,
): asserts shape is readonly number[] {
  if (!Array.isArray(shape)) {
    throw new TypeError(
      `${caller}: ${name} must be a list of lengths such as [2, 3], got ${described(shape)}`,
    );
  }
  if (shape.length > MOST_AXES) {
    throw new RangeError(`${caller}: ${name} must have at most ${MOST_AXES} axes, got ${shape.length}`);
  }
  let size = 1;
  // by for...of, which visits the holes of a sparse list
  for (const length of shape) {
    if (!Number.isInteger(length) || length < 0) {
      throw new RangeError(`${caller}: ${name} must have non-negative integer lengths, got ${listed(shape)}`);
    }
    size *= Math.max(1, length);
  }
  if (size > MOST_VALUES) {
    throw new RangeError(
      `${caller}: ${name} must hold at most ${MOST_VALUES} values (4 GiB of float32), got ${listed(shape)}`,
    );
  }
}

/** An axis counted from the end where it is negative, as a number from 0. @throws where the array has no such axis */
export function resolveAxis(caller: string, axis: number, rank: number): number {
  const expected = `${caller}: axis must be an integer from ${-rank} to ${rank - 1} for an array of ${rank} axes`;
  if (typeof axis !== "number") throw new TypeError(`${expected}, got ${described(axis)}`);
  const resolved = axis < 0 ? axis + rank : axis;
  if (!Number.isInteger(axis) || resolved < 0 || resolved >= rank) {
    throw new RangeError(`${expected}, got ${axis}`);
  }
  return resolved;
}

/**
 * Axes counted from 0, in rising order, each once.
 * @throws TypeError for what is neither a number nor a list of numbers, RangeError for an axis that the array does not have, or twice
 */
export function resolveAxes(caller: string, axes: number | readonly number[], rank: number): number[] {
  if (typeof axes !== "number" && !Array.isArray(axes)) {
    throw new TypeError(`${caller}: axis must be a number, or a list of numbers, got ${described(axes)}`);
  }
  const named = [axes].flat() as number[];
  // holes too
  const resolved = Array.from(named, (axis) => resolveAxis(caller, axis, rank)).sort((a, b) => a - b);
  if (resolved.some((axis, i) => axis === resolved[i - 1])) {
    throw new RangeError(`${caller}: axis must name each axis once, got ${listed(named)}`);
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

/** @throws TypeError for values without a shape: x needs one, as does what is added to it. */
export function checkHasShape(norm: string, name: string, shape: unknown): void {
  if (Array.isArray(shape)) return;
  throw new TypeError(
    `${norm}: ${name} must be an array with a shape, such as { shape: [2, 3], data }, got ${typeof shape} for its shape`,
  );
}

/** Whether these are numbers one after the other: a list, or a typed array. */
export function isNumbers(values: unknown): values is ArrayLike<number> {
  if (Array.isArray(values)) return true;
  return (
    ArrayBuffer.isView(values) &&
    !(values instanceof DataView || values instanceof BigInt64Array || values instanceof BigUint64Array)
  );
}

/** @throws TypeError for what is neither a typed array nor a list of numbers */
export function checkNumbers(
  caller: string,
  name: string,
  values: unknown,
): asserts values is ArrayLike<number> {
  if (!isNumbers(values)) {
    throw new TypeError(
      `${caller}: ${name} must be a typed array or a list of numbers, got ${described(values)}`,
    );
  }
  if (!Array.isArray(values)) return;
  for (let i = 0; i < values.length; i++) {
    if (typeof values[i] === "number") continue;
    throw new TypeError(`${caller}: ${name} must hold numbers, got ${described(values[i])} at index ${i}`);
  }
}

/** A value in an error message: short, whatever it is. */
export function described(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}…` : value);
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value === "symbol") return "a symbol";
  if (typeof value === "function") return `the function ${value.name}`;
  if (Array.isArray(value)) return listed(value);
  if (typeof value !== "object" || value === null) return String(value);
  const { constructor: made } = value;
  if (typeof made !== "function" || made === Object) return "an object";
  return `${/^[AEIOU]/.test(made.name) ? "an" : "a"} ${made.name}`;
}

/** A list in an error message, its first entries. */
function listed(values: readonly unknown[]): string {
  const first = Array.from(values.slice(0, MOST_AXES), (value) =>
    typeof value === "number" ? String(value) : Array.isArray(value) ? "a list" : described(value),
  );
  return `[${first.join(", ")}${values.length > MOST_AXES ? ", …" : ""}]`;
}
