/** Masks: which positions of an array count, and which are padding. */
import { checkHasShape, checkLengths, described, sizeOf } from "./shape.js";

/** Marks the positions of an array that count: those where its value is not 0 (or false). */
export interface Mask {
  /** The shape of x, except that axes along which the mask is constant have length 1, or are left out at the end. */
  readonly shape: readonly number[];
  /** As many values as the shape says, row-major. */
  readonly data: ArrayLike<number | boolean>;
}

/**
 * The mask [batch, longest] of sequences that were padded at their end, from their lengths:
 * `maskOfLengths([1, 3], 3)` is 1 0 0, 1 1 1.
 * @param lengths one for each sequence, integers from 0 to `longest`
 * @param longest the length that the sequences were padded to
 * @throws TypeError where lengths are not a list, RangeError where one is not an integer from 0 to `longest`, or the mask would hold
 * more than 2³⁰ values
 */
export function maskOfLengths(
  lengths: ArrayLike<number>,
  longest: number,
): { shape: [number, number]; data: Uint8Array } {
  if (typeof lengths !== "object" || typeof lengths?.length !== "number") {
    throw new TypeError(
      `maskOfLengths: lengths must be an array of one length per sequence, got ${described(lengths)}; put a single one in brackets`,
    );
  }
  if (typeof longest !== "number") {
    throw new TypeError(
      `maskOfLengths: longest must be a number, got ${described(longest)}; it is the length that sequences were padded to`,
    );
  }
  if (!Number.isInteger(longest) || longest < 0) {
    throw new RangeError(
      `maskOfLengths: longest must be an integer from 0 on, got ${longest}; it is the length that sequences were padded to`,
    );
  }
  checkLengths("maskOfLengths", "mask [lengths.length, longest]", [lengths.length, longest]);
  for (let i = 0; i < lengths.length; i++) {
    const length = lengths[i];
    if (!Number.isInteger(length) || length < 0 || length > longest) {
      throw new RangeError(
        `maskOfLengths: lengths must be integers from 0 to longest, ${longest}, got ${described(length)} at ${i}; ` +
          "cut the sequence, or pad the batch to its length",
      );
    }
  }
  const data = new Uint8Array(lengths.length * longest);
  for (let i = 0; i < lengths.length; i++) data.fill(1, i * longest, i * longest + lengths[i]);
  return { shape: [lengths.length, longest], data };
}

/** Broadcasts a mask to the array `whole`, row-major: along axes of length 1, and those left out at the end, it is repeated. */
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
  checkLengths(norm, "mask", mask);
  if (mask.length > shape.length || mask.some((length, axis) => length !== 1 && length !== shape[axis])) {
    throw new RangeError(
      `${norm}: mask must have the shape of x, [${shape.join(", ")}], with axes of length 1 or left out at the end, ` +
        `got [${mask.join(", ")}]; give length 1 to each axis that it does not tell apart`,
    );
  }
}

/**
 * A mask's values as ones and zeros.
 * @param x the shape that the mask belongs to
 * @throws TypeError for what is not a mask, RangeError where its shape is not x's, its values are not as many as it says, or one is NaN
 */
export function maskValues(norm: string, mask: Mask, x: readonly number[]): Float32Array {
  if (typeof mask !== "object" || mask === null) {
    throw new TypeError(
      `${norm}: mask must be { shape, data }, such as maskOfLengths() gives, got ${described(mask)}; leave it out for none`,
    );
  }
  const { shape, data } = mask;
  checkMaskShape(norm, x, shape);
  if (data?.length !== sizeOf(shape)) {
    throw new RangeError(
      `${norm}: mask of shape [${shape.join(", ")}] must have ${sizeOf(shape)} values, got ${data?.length ?? "no data"}`,
    );
  }
  const values = new Float32Array(data.length);
  for (let i = 0; i < values.length; i++) {
    const value = data[i];
    if (typeof value !== "number" && typeof value !== "boolean") {
      throw new TypeError(`${norm}: mask must hold numbers or booleans, got ${typeof value}`);
    }
    if (Number.isNaN(value)) {
      throw new RangeError(
        `${norm}: mask must be 0 or another number at each position, got NaN at index ${i}`,
      );
    }
    values[i] = value ? 1 : 0;
  }
  return values;
}
