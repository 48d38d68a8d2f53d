import { expect, it } from "vitest";
import type { Mend } from "../../src/checkpoints/graphs/graph.js";
import { openModel } from "../../src/onnx/model.js";
import { Names, unusedFile } from "../../src/onnx/names.js";
import { newConstant, onnxBytes } from "../support/onnx-models.js";

it("no name is that of a value, of a node, of what mends put in, or was given before", async () => {
  const { graphs, graph } = await openModel(
    onnxBytes({
      opset: 17,
      nodes: [["Mul", "x c", "y"]],
      constants: [newConstant("c", 2)],
      inputs: [["x", [1]]],
      outputs: [["y"]],
    }),
  );
  const [node] = graph.nodes;
  const mend: Mend = {
    title: "",
    graph,
    replaces: [node],
    at: node,
    nodes: [{ name: "put", operator: "Add", domain: "", inputs: ["x", "k"], outputs: ["y"], attributes: {} }],
    constants: [newConstant("k", 1)],
    opsets: {},
    outputs: ["y"],
  };
  const names = new Names(graphs, [mend]);
  expect(["x", "y", "c", "Mul_0", "put", "k", "new", "new", "new"].map((name) => names.fresh(name))).toEqual([
    ...["x_2", "y_2", "c_2", "Mul_0_2", "put_2", "k_2", "new", "new_2", "new_3"],
  ]);
  expect(new Names(graphs).fresh("k")).toBe("k");
});

it("a new file is none that the model reads, however that one is called", () => {
  const nameOf = (count: number) => `m.${count}.data`;
  expect(unusedFile([], nameOf)).toBe("m.0.data");
  expect(unusedFile(["./m.0.data", "M.1.DATA", "sub\\m.2.data", "other"], nameOf)).toBe("m.3.data");
});
