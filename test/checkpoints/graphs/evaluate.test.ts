/** Values in float64 of constants and of what is given, against those that frameworks gave. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { evaluated } from "../../../src/checkpoints/graphs/evaluate.js";
import type { Attribute, Graph, Node } from "../../../src/checkpoints/graphs/graph.js";
import { microsoft, onnx } from "../../../src/checkpoints/graphs/operators-onnx.js";
import type { Values64 } from "../../../src/formula/eager.js";
import { openModel } from "../../../src/onnx/model.js";
import { constantOf, graphOf, integersOf } from "../../support/graphs.js";
import { exportsOf, packs } from "../../support/onnx-exports.js";

const numbers = (values: ArrayLike<number>, shape: readonly number[] = [values.length]): Values64 => ({
  shape,
  data: Float64Array.from(values),
});

/** The largest distance, relative above 1; NaN where lengths differ. */
function distance(ours: Values64 | undefined, theirs: ArrayLike<number>): number {
  if (ours?.data.length !== theirs.length) return Number.NaN;
  return ours.data.reduce(
    (most, x, i) => Math.max(most, Math.abs(x - theirs[i]) / (1 + Math.abs(theirs[i]))),
    0,
  );
}

interface NodeCase {
  name: string;
  op: string;
  attrs: Record<string, number | number[]>;
  inputNames: string[];
  outputNames: string[];
  inputs: { shape: number[]; data: number[] }[];
  outputs: { shape: number[]; data: number[] }[];
}

const nodeCases: NodeCase[] = JSON.parse(
  readFileSync(fileURLToPath(new URL("../../fixtures/onnx-node-cases.json", import.meta.url)), "utf8"),
);

it.each(nodeCases)(
  "the ONNX project's $name",
  async ({ op, attrs, inputNames, outputNames, inputs, outputs }) => {
    const graph = graphOf({ opset: 23, nodes: [[op, inputNames.join(" "), outputNames.join(" "), attrs]] });
    const given = new Map(inputs.map(({ shape, data }, i) => [inputNames[i], numbers(data, shape)]));
    const values = await evaluated(graph, outputNames, { given });
    outputs.forEach(({ shape, data }, i) => {
      const value = values.get(outputNames[i]);
      expect(value?.shape).toEqual(shape);
      expect(distance(value, data)).toBeLessThan(2e-6);
    });
  },
);

const MEANT = new Set(
  Object.keys({ ...onnx, ...microsoft }).concat(
    "Constant ConstantOfShape Equal ReduceProd Range Floor Log Cos Sin".split(" "),
  ),
);

describe("networks of exporters", async () => {
  const all = (await Promise.all(packs.map((pack) => exportsOf(pack)))).flat();
  const whole = await Promise.all(
    all
      .filter(({ entry, weights }) => weights === undefined && entry.dtype === "float32")
      .filter((_, i) => i % 8 === 5)
      .map(async (exported) => ({
        ...exported,
        graph: (await openModel(exported.model, { name: `${exported.name}.onnx` })).graph,
      })),
  );
  const understood = whole.filter(({ graph }) => graph.nodes.every(({ operator }) => MEANT.has(operator)));

  it("there are many", () => expect(understood.length).toBeGreaterThan(25));

  it.each(understood)("$pack: $name", async ({ graph, inputs, outputs }) => {
    const given = new Map(
      inputs.map(({ shape, data }, i) => [graph.inputs[i].name, numbers(data as ArrayLike<number>, shape)]),
    );
    const names = graph.outputs.map(({ name }) => name);
    const values = await evaluated(graph, names, { given });
    names.forEach((name, i) => {
      expect(distance(values.get(name), outputs[i].data as ArrayLike<number>)).toBeLessThan(2e-5);
    });
  });
});

const weight = numbers([3, 4, 0, 2, 0, 0], [2, 3]);
const normed: Graph = graphOf({
  opset: 13,
  inputs: [["x", ["n", 3]]],
  constants: [
    constantOf("v", weight.data, [2, 3], "float64"),
    constantOf("g", [10, 1], [2, 1]),
    constantOf("minus", -1),
  ],
  nodes: [
    ["ReduceL2", "v", "length", { axes: [1] }],
    ["Mul", "v g", "scaled"],
    ["Div", "scaled length", "weight"],
    ["Transpose", "weight", "turned", { perm: [1, 0] }],
    ["MatMul", "x turned", "y"],
    ["Mul", "y minus", "z"],
    ["Mystery", "y", "odd"],
  ],
});

it("weight normalization is of constants alone", async () => {
  const values = await evaluated(normed, ["weight", "turned", "y", "v"]);
  expect([...values.keys()]).toEqual(["weight", "turned", "v"]);
  expect(Array.from(values.get("weight")?.data ?? [])).toEqual([6, 8, 0, 1, 0, 0]);
  expect(values.get("turned")?.shape).toEqual([3, 2]);
});

it("what is given stands before what a graph would compute, and for inputs", async () => {
  const x = numbers([1, 1, 1], [1, 3]);
  expect((await evaluated(normed, ["z"], { given: new Map([["x", x]]) })).get("z")?.data).toEqual(
    Float64Array.of(-14, -1),
  );
  const y = numbers([5]);
  expect((await evaluated(normed, ["z", "odd"], { given: new Map([["y", y]]) })).get("z")?.data).toEqual(
    Float64Array.of(-5),
  );
});

it("holds no more than it may, whatever a graph asks for", async () => {
  expect((await evaluated(normed, ["weight"], { most: 10 })).size).toBe(0);
  const graph = graphOf({
    constants: [constantOf("one", 1), integersOf("great", [2 ** 20, 2 ** 20])],
    nodes: [
      ["Expand", "one great", "wide"],
      ["Exp", "wide", "y"],
    ],
  });
  expect((await evaluated(graph, ["y"])).size).toBe(0);
});

it("is exact where float32 is not: E[x²] − E[x]² about 40000", async () => {
  const graph = graphOf({
    opset: 18,
    inputs: [["x", [4], "float16"]],
    constants: [integersOf("axes", [-1]), constantOf("two", 2), constantOf("epsilon", 1e-5, [], "float64")],
    nodes: [
      ["Cast", "x", "half", { to: "float16" }],
      ["ReduceMean", "half axes", "mean"],
      ["Pow", "half two", "squares"],
      ["ReduceMean", "squares axes", "power"],
      ["Mul", "mean mean", "mean2"],
      ["Sub", "power mean2", "variance"],
      ["Add", "variance epsilon", "above"],
      ["Sqrt", "above", "deviation"],
      ["Sub", "half mean", "centred"],
      ["Div", "centred deviation", "y"],
    ],
  });
  const x = numbers([40000, 40001, 40002, 40003]);
  const y = (await evaluated(graph, ["y"], { given: new Map([["x", x]]) })).get("y");
  const deviation = Math.sqrt(1.25 + 1e-5);
  expect(
    distance(
      y,
      [-1.5, -0.5, 0.5, 1.5].map((far) => far / deviation),
    ),
  ).toBeLessThan(1e-9);
});

it("integers divide as integers, towards 0, and comparisons give 0 and 1", async () => {
  const graph = graphOf({
    constants: [integersOf("a", [7, -7, 9]), integersOf("b", 2), constantOf("half", [2.5, -2.5, 0])],
    nodes: [
      ["Div", "a b", "quotient"],
      ["Mod", "a b", "rest"],
      ["Cast", "half", "whole", { to: "int64" }],
      ["Cast", "half", "truth", { to: "bool" }],
      ["GreaterOrEqual", "a b", "more"],
      ["Not", "more", "less"],
      ["Where", "less a b", "chosen"],
      ["Round", "half", "even"],
    ],
  });
  const names = ["quotient", "rest", "whole", "truth", "more", "chosen", "even"];
  const values = await evaluated(graph, names);
  expect(names.map((name) => Array.from(values.get(name)?.data ?? [], (x) => x + 0))).toEqual([
    [3, -3, 4],
    [1, 1, 1],
    [2, -2, 0],
    [1, 1, 0],
    [1, 0, 1],
    [2, -7, 2],
    [2, -2, 0],
  ]);
});

it("calls functions with the settings of the call, and reads the graph around", async () => {
  const body = graphOf({ path: "f", nodes: [["Selu", "a", "b"]] });
  const reference: Attribute = { graphs: [], reference: "slope" };
  const [node] = body.nodes;
  const nodes: Node[] = [{ ...node, operator: "LeakyRelu", attributes: new Map([["alpha", reference]]) }];
  const around = graphOf({
    constants: [constantOf("x", [-2, 4])],
    nodes: [["Leaky", "x", "y", { slope: 0.5 }, "mine"]],
    functions: new Map([
      ["mine:Leaky:", { graph: { ...body, nodes }, inputs: ["a"], outputs: ["b"], defaults: new Map() }],
    ]),
  });
  const branch = graphOf({ path: "branch", nodes: [["Neg", "y", "z"]], around, functions: around.functions });
  expect((await evaluated(branch, ["z"])).get("z")?.data).toEqual(Float64Array.of(1, -4));
});

it("TensorFlow's slices step back from an axis that goes", async () => {
  const graph = graphOf({
    dialect: "tensorflow",
    constants: [
      constantOf(
        "x",
        Float32Array.from({ length: 24 }, (_, i) => i),
        [4, 6],
      ),
      integersOf("begin", [1, 5], "int32"),
      integersOf("end", [2, 0], "int32"),
      integersOf("steps", [1, -2], "int32"),
    ],
    nodes: [["StridedSlice", "x begin end steps", "y", { shrink_axis_mask: 1 }]],
  });
  // as TensorFlow 2.20 has it; TensorFlow.js 4.22 takes the first ones
  expect((await evaluated(graph, ["y"])).get("y")).toEqual(numbers([11, 9, 7]));
});

it("a constant that is damaged is missing", async () => {
  const graph = graphOf({
    constants: [{ ...constantOf("x", [1, 2]), read: async () => new Float32Array(1) }],
    nodes: [["Neg", "x", "y"]],
  });
  expect((await evaluated(graph, ["x", "y"])).size).toBe(0);
});
