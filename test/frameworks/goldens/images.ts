/** Images by given statistics, with a Standardizer: its table has a row for each pixel and a column for each channel. */
import { Standardizer } from "../../../src/index.js";

interface Values {
  readonly shape: readonly number[];
  readonly data: ArrayLike<number>;
}

/** Images [batch, channels, ...] as such a table. */
export function pixels({ shape, data }: Values) {
  const [, channels] = shape;
  const table = new Float64Array(data.length);
  places(shape).forEach((to, from) => {
    table[to] = data[from];
  });
  return { shape: [table.length / channels, channels], data: table };
}

/** The images of this shape that a table stands for. */
export function imagesOf({ data }: Values, shape: readonly number[]): Float64Array {
  return Float64Array.from(places(shape), (from) => data[from]);
}

/** Where each value of an image lies in the table. */
function places([batch, channels, ...rest]: readonly number[]): number[] {
  const each = rest.reduce((a, b) => a * b, 1);
  return Array.from({ length: batch * channels * each }, (_, i) => {
    const [image, within] = [Math.floor(i / (channels * each)), i % (channels * each)];
    return (image * each + (within % each)) * channels + Math.floor(within / each);
  });
}

/** A standardizer that was told its statistics. */
export function standardizerOf(mean: readonly number[], deviation: readonly number[]): Standardizer {
  return Standardizer.fromMoments(mean.map((value, j) => ({ count: 1, mean: value, m2: deviation[j] ** 2 })));
}
