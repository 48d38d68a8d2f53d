/** Masks: which positions of an array count, and which are padding. */

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
export function spreadMask(
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
