/** Masks: which positions of an array count, and which are padding. */
import { checkHasShape, sizeOf } from "./shape.js";

/** Values of 0 (or false) leave out, all others count. */
export interface Mask {
  /** That of x; axes that the mask does not tell apart have length 1, or are left out at the end. */
  readonly shape: readonly number[];
  readonly data: ArrayLike<number | boolean>;
}

/**
 * The mask [batch, longest] of sequences that were padded at their end, from their lengths:
 * `maskOfLengths([1, 3], 3)` is 1 0 0, 1 1 1.
 * @throws RangeError for a length that is no whole number from 0 to `longest`
 */
export function maskOfLengths(
  lengths: ArrayLike<number>,
  longest: number,
): { shape: [number, number]; data: Uint8Array } {
  if (typeof lengths !== "object" || typeof lengths?.length !== "number") {
    throw new TypeError(
      `maskOfLengths: lengths must be an array of one length per sequence, got ${lengths}; put a single one in brackets`,
    );
  }
  if (!Number.isInteger(longest) || longest < 0) {
    throw new RangeError(
      `maskOfLengths: longest must be a whole number from 0 on, got ${longest}; it is the length that sequences were padded to`,
    );
  }
  const data = new Uint8Array(lengths.length * longest);
  for (let i = 0; i < lengths.length; i++) {
    const length = lengths[i];
    if (!Number.isInteger(length) || length < 0 || length > longest) {
      throw new RangeError(
        `maskOfLengths: lengths must be whole numbers from 0 to longest, ${longest}, got ${length} at ${i}; ` +
          "cut the sequence, or pad the batch to its length",
      );
    }
    data.fill(1, i * longest, i * longest + length);
  }
  return { shape: [lengths.length, longest], data };
}

/** Copies a mask to each element of an array that it belongs to: row-major, axes of length 1 and absent ones repeated. */
export function fillMask(
  mask: Mask,
  whole: { readonly data: Float32Array | Float64Array; readonly shape: readonly number[] },
): void {
  const { data, shape } = whole;
  const values = mask.data as ArrayLike<number>;
  for (let i = 0; i < data.length; i++) {
    let at = 0;
    let rest = i;
    let stride = 1;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      const length = mask.shape[axis] ?? 1;
      if (length !== 1) at += (rest % length) * stride;
      stride *= length;
      rest = Math.floor(rest / shape[axis]);
    }
    data[i] = values[at];
  }
}

/** @throws TypeError for what has no shape, RangeError for one that is not x's with axes of length 1, or left out at the end. */
export function checkMaskShape(norm: string, shape: readonly number[], mask: readonly number[]): void {
  checkHasShape(norm, "mask", mask);
  if (mask.length > shape.length || mask.some((length, axis) => length !== 1 && length !== shape[axis])) {
    throw new RangeError(
      `${norm}: mask must have the shape of x, [${shape.join(", ")}], with axes of length 1 or left out at the end, ` +
        `got [${mask.join(", ")}]; give length 1 to each axis that it does not tell apart`,
    );
  }
}

/** Ones and zeros of a mask's values, which may be booleans. @throws where they are not as many as its shape says */
export function countsOf(norm: string, { shape, data }: Mask): Float32Array {
  checkHasShape(norm, "mask", shape);
  if (data?.length !== sizeOf(shape)) {
    throw new RangeError(
      `${norm}: mask of shape [${shape.join(", ")}] must have ${sizeOf(shape)} values, got ${data?.length}`,
    );
  }
  return Float32Array.from(data as ArrayLike<number>, (value) => {
    if (typeof value === "number" || typeof value === "boolean") return value ? 1 : 0;
    throw new TypeError(`${norm}: mask must hold numbers or booleans, got ${typeof value}`);
  });
}
