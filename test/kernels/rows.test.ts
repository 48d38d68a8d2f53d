/** Rows so narrow that they are taken by fours, and summed about the mean of their first values. */
import { expect, it } from "vitest";
import { layerNorm, open } from "../../src/index.js";
import { normal } from "../support/numerics.js";

const ek = await open({ threads: 1 });
const ROWS = 9;

it.each([3, 7, 8, 31, 32, 67, 128, 255])(
  "a row of %i whose first values are unlike the others",
  async (n) => {
    for (const [first, spread] of [
      [1000, 1],
      [-30, 1e-3],
      [0, 1e-12],
    ]) {
      // every other row is plain: four neighbours do not all need a second sum
      const x = normal(ROWS * n, 1).map((value, i) =>
        (Math.floor(i / n) & 1) === 1 && i % n < 8 ? first + value : 5 + value * spread,
      );
      const values = Float32Array.from(x);
      const y = await ek.forward(layerNorm({ epsilon: 1e-5 }), ek.array([ROWS, n], values), {}).y.read();
      for (let row = 0; row < ROWS; row++) {
        const own = Array.from(values.subarray(row * n, row * n + n));
        const mean = own.reduce((sum, value) => sum + value, 0) / n;
        const variance = own.reduce((sum, value) => sum + (value - mean) ** 2, 0) / n;
        for (let i = 0; i < n; i++) {
          const expected = (own[i] - mean) / Math.sqrt(variance + 1e-5);
          expect(Math.abs(y[row * n + i] - expected)).toBeLessThan(4e-7 * (1 + Math.abs(expected)));
        }
      }
    }
  },
);
