/** Every row of every normalization as an ONNX model, whichever way it is written. */
import { describe, expect, it } from "vitest";
import { layerNormGRU, layerNormLSTM, layerNormRNN } from "../../src/index.js";
import { type ToOnnxOptions, toOnnx } from "../../src/onnx/to-onnx.js";
import { named } from "../norms/rows/prepared.js";
import { compared, difference, exact, executed, inputsOf, weightsOf } from "./made.js";

const isFirst = (name: string, i: number) => named.findIndex(({ row }) => row.norm.name === name) === i;

const FURTHER: readonly [ToOnnxOptions, number][] = [
  [{ opset: 20 }, 1e-5],
  [{ opset: 23 }, 1e-5],
  [{ type: "float16" }, 1e-3],
];

describe("every row", () => {
  it.each(named.map((one, i) => ({ ...one, i })))("$name", async ({ row, i }) => {
    expect(await compared(row)).toBeLessThan(1e-5);
    const [operator, formula] = (["operator", "formula"] as const).map((written) =>
      toOnnx(row.norm, row.shapes, weightsOf(row), { written }),
    );
    // most norms are not an operator's
    if (Buffer.compare(operator, formula) !== 0) {
      expect(await compared(row, { written: "formula" })).toBeLessThan(1e-5);
    }
    if (!isFirst(row.norm.name, i)) return;
    for (const [options, tolerance] of FURTHER) {
      expect(await compared(row, options), JSON.stringify(options)).toBeLessThan(tolerance);
    }
  });
});

it.each([layerNormLSTM, layerNormGRU, layerNormRNN])(
  "sequences of any length, in a small file %#",
  async (norm) => {
    const recurrent = norm({ units: 8, returnSequences: false });
    const weights = weightsOf({ norm: recurrent, shapes: [[2, 3, 4]] });
    const bytes = toOnnx(recurrent, ["batch", "time", 4], weights);
    expect(bytes.length).toBeLessThan(2e4);
    for (const steps of [1, 30]) {
      const inputs = inputsOf({ shapes: [[2, steps, 4]] });
      expect(difference(await executed(bytes, inputs), exact(recurrent, inputs, weights))).toBeLessThan(1e-4);
    }
  },
);
