/** Cumulative layer normalization. */
import { cumulativeLayerNorm } from "../../../src/index.js";
import { average, positions, type Row, scaled } from "./row.js";

/** Every step from all values up to it, counted again each time. */
const cumulative =
  (time: number, channel: number, epsilon = 1e-8): Row["expected"] =>
  ([x], weights, { mask }) => {
    const all = positions(x.shape);
    const xHat = x.data.map((value, i) => {
      const heard = all.flatMap(([b, ...rest], j) =>
        b === all[i][0] && [b, ...rest][time] <= all[i][time] && mask?.[j] !== 0 ? [x.data[j]] : [],
      );
      const mean = average(heard);
      return (value - mean) / Math.sqrt(average(heard.map((one) => (one - mean) ** 2)) + epsilon);
    });
    return { y: scaled(x.shape, xHat, (position) => position[channel], weights, mask) };
  };

export const cumulativeRows: Row[] = [
  { norm: cumulativeLayerNorm(), shapes: [[2, 7, 3]], expected: cumulative(1, 2) },
  {
    name: "channels first",
    norm: cumulativeLayerNorm({ axis: 1, epsilon: 0.1 }),
    shapes: [[2, 3, 5]],
    mask: [2, 1, 5],
    expected: cumulative(2, 1, 0.1),
  },
  {
    name: "of spectra, without gamma",
    norm: cumulativeLayerNorm({ scale: false, epsilon: 0.01 }),
    shapes: [[2, 4, 3, 2]],
    expected: cumulative(1, 3, 0.01),
  },
  {
    name: "along another axis, without beta",
    norm: cumulativeLayerNorm({ timeAxis: 2, center: false, epsilon: 0.01 }),
    shapes: [[2, 3, 4, 2]],
    expected: cumulative(2, 3, 0.01),
  },
];
