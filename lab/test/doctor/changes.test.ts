/** Mends as changes: what is computed of them here, without a runtime. */
import { find, mendsOf, openModel } from "evenkeel/onnx";
import { expect, it } from "vitest";
import { newConstant, onnxBytes, roundedTo } from "../../../test/support/onnx-models.js";
import { changesOf } from "../../src/doctor/changes.js";

const over = { axes: { integer: [-1] }, keepdims: { integer: 1 } };

/** RMS normalization written out over 32 values. */
const rms = (dtype: "float32" | "float16") =>
  onnxBytes({
    opset: 17,
    nodes: [
      ["Pow", "x two", "squares"],
      ["ReduceMean", "squares", "power", over],
      ["Add", "power epsilon", "guarded"],
      ["Sqrt", "guarded", "root"],
      ["Div", "x root", "y"],
    ],
    constants: [newConstant("two", 2, [], dtype), newConstant("epsilon", 1e-5, [], dtype)],
    inputs: [["x", [2, 32], dtype]],
    outputs: [["y", [2, 32], dtype]],
  });

/** How near the mend is on values up to 300, whose squares float16 does not hold. */
async function narrowly(dtype: "float32" | "float16") {
  const model = await openModel(rms(dtype));
  const [change] = changesOf(model, await mendsOf(model, await find(model), { opset: 23 }));
  const values = roundedTo(
    dtype,
    Float64Array.from({ length: 64 }, (_, i) => 300 * Math.sin(3 * i + 1)),
  );
  return change.narrowly?.(new Map([["x", { dtype, shape: [2, 32], values }]]));
}

it("in float16 squares that overflow are gone with the mend, where every value is rounded to its type", async () => {
  const distances = await narrowly("float16");
  expect(distances?.before).toBeGreaterThan(0.5);
  expect(distances?.after).toBeLessThan(1e-3);
});

it("says nothing of float32, in which runtimes compute anyway", async () => {
  expect(await narrowly("float32")).toBeUndefined();
});
