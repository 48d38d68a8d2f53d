/** A mend by itself: what it replaces and what it puts there, run beside each other. */
import { expect, it } from "vitest";
import { find } from "../../src/onnx/find.js";
import { mendsOf } from "../../src/onnx/mends.js";
import { openModel } from "../../src/onnx/model.js";
import { partOf } from "../../src/onnx/part.js";
import { type ModelOf, newConstant, onnxBytes, run } from "../support/onnx-models.js";

const network: ModelOf = {
  opset: 17,
  nodes: [
    ["Relu", "before", "x"],
    ["ReduceMean", "x", "mean", { axes: { integer: [-1] } }],
    ["Sub", "x mean", "d"],
    ["Mul", "d d", "square"],
    ["ReduceMean", "square", "variance", { axes: { integer: [-1] } }],
    ["Add", "variance epsilon", "sum"],
    ["Sqrt", "sum", "root"],
    ["Div", "d root", "xHat"],
    ["Mul", "xHat gamma", "y"],
  ],
  constants: [newConstant("epsilon", 1e-5), newConstant("gamma", [1, 2, 3, -1])],
  inputs: [["before", ["rows", 4]]],
  outputs: [["y", ["rows", 4]]],
};

it.each([
  ["in order", network.nodes],
  ["in another order", network.nodes.toReversed()],
])("is two models, of a file with its nodes %s", async (_, nodes) => {
  const model = await openModel(onnxBytes({ ...network, nodes }));
  const [mend] = await mendsOf(model, await find(model));
  const part = await partOf(model, mend);
  expect(part?.inputs).toEqual([{ name: "x", dtype: "float32", shape: [expect.any(String), 4] }]);
  const feeds = { x: { shape: [2, 4], data: Float32Array.of(0, 1, 2, 5, 3, 0, 0, 1) } };
  const [before, after] = [
    await run(part?.before as Uint8Array, feeds),
    await run(part?.after as Uint8Array, feeds),
  ];
  for (const [i, value] of before.y.entries()) expect(after.y[i]).toBeCloseTo(value, 5);
  expect(before.y.some((value) => Math.abs(value) > 1)).toBe(true);
});
