/** Values that one sets at once: ordinary ones, and those on which careless arithmetic breaks. */
import { noise } from "../../../scripts/docs/sample.mjs";
import type { Named } from "./experiment.ts";

export type Change = ArrayLike<number> & Iterable<number>;
type Preset = (array: Named, element: number) => Change;

const rounded = (values: Float64Array) => values.map((value) => Math.round(value * 100) / 100);

/** Another draw each time, of numbers whose spread is about 1. */
const random: Preset = ({ data }) =>
  rounded(noise(data.length, Math.floor(Math.random() * 1e6)).map((value) => value * 1.7));

const spread = (array: Named, about: number, scale: number) =>
  noise(array.data.length, 3).map((value) => about + Math.round(value * 100) * (scale / 100));

const rowOf = ({ shape }: Named, element: number) => {
  const length = shape[shape.length - 1] ?? 1;
  return [Math.floor(element / length) * length, length] as const;
};

/** `element` is the one that was pointed at last. */
export const X_PRESETS: Readonly<Record<string, Preset>> = {
  Random: random,
  "Mean of 10⁴": (array) => spread(array, 1e4, 1),
  "One huge value": ({ data }, element) => data.with(element, 1e6),
  "A constant row": (array, element) => {
    const [start, length] = rowOf(array, element);
    return array.data.slice().fill(array.data[start], start, start + length);
  },
  "Tiny spread": (array) => spread(array, 1, 1e-3),
};

export const DY_PRESETS: Readonly<Record<string, Preset>> = {
  Random: random,
  "One-hot": ({ data }, element) =>
    data
      .slice()
      .fill(0)
      .fill(1, element, element + 1),
  Ones: ({ data }) => data.slice().fill(1),
};
