import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import type { Checkpoint } from "../../../src/checkpoints/checkpoint.js";
import { graphModelIn } from "../../../src/checkpoints/formats/tfjs-graph.js";
import { filesIn, fuzz } from "../support/fuzz.js";

const folder = fileURLToPath(new URL("../../fixtures/checkpoints/tensorflowjs/graph/", import.meta.url));
const files = ["model.json", ...readdirSync(folder).filter((name) => name !== "model.json")];
const fixture = Object.fromEntries(files.map((name) => [name, new Uint8Array(readFileSync(folder + name))]));

const given = (topology: unknown, rest: object = {}, weights: Record<string, Uint8Array> = {}) =>
  graphModelIn(
    filesIn({
      "model.json": new TextEncoder().encode(JSON.stringify({ modelTopology: topology, ...rest })),
      ...weights,
    }),
  );
const text = (value: string) => Buffer.from(value).toString("base64");

describe("a graph model", () => {
  it("of the converter: its nodes, weights as constants, inputs and outputs of its signature", async () => {
    const { graph, producer, external, byteLength, graphs } = await graphModelIn(filesIn(fixture));
    expect(producer).toBe("TensorFlow.js Converter v4.22.0, 2.15.1");
    expect(external).toEqual(["group1-shard1of1.bin"]);
    expect(byteLength).toBe(Object.values(fixture).reduce((sum, { length }) => sum + length, 0));
    expect(graphs).toEqual([graph]);
    expect(graph.dialect).toBe("tensorflow");
    expect(graph.inputs).toEqual([{ name: "x", dtype: "float32" }]);
    expect(graph.outputs).toEqual([{ name: "Identity" }]);
    const norm = graph.nodes.find(({ operator }) => operator === "FusedBatchNormV3");
    expect(norm).toMatchObject({ name: "network/norm/FusedBatchNormV3", domain: "", opset: 0 });
    expect(norm?.inputs.slice(0, 2)).toEqual(["network/conv/Conv2D", "network/norm/gamma/read"]);
    expect(norm?.attributes.get("epsilon")?.value).toBe(Math.fround(0.001));
    expect(norm?.attributes.get("is_training")?.value).toBe(0);
    expect(norm?.attributes.get("data_format")?.value).toBe("NHWC");
    expect(norm?.attributes.get("T")?.value).toBe("float32");
    expect(await graph.constants.get("axes")?.read()).toEqual(Int32Array.of(1, 2));
    expect(graph.constants.get("network/norm/gamma")?.shape).toEqual([4]);
  });

  it("has attributes in every form of protocol buffers' JSON", async () => {
    const { graph } = await given({
      node: [
        {
          name: "n",
          op: "Op",
          attr: {
            s: { s: text("SAME") },
            listed: { s: [78, 72] },
            i: { i: "-12" },
            number: { i: 7 },
            f: { f: 1e-3 },
            nan: { f: "NaN" },
            b: { b: true },
            type: { type: "DT_HALF" },
            numbered: { type: 3 },
            shape: { shape: { dim: [{ size: "-1" }, { size: 224 }, {}] } },
            unknown: { shape: { unknownRank: true } },
            ints: { list: { i: ["1", "2", 3] } },
            floats: { list: { f: [0.1, "Infinity"] } },
            texts: { list: { s: [text("a"), text("β")] } },
            types: { list: { type: ["DT_FLOAT", "DT_INT32", "DT_RESOURCE"] } },
            empty: { list: {} },
            allKinds: {
              list: { s: [], i: ["1", "2"], f: [], b: [], type: [], shape: [], tensor: [], func: [] },
            },
            noneOfAll: { list: { s: [], i: [], f: [], b: [], type: [], shape: [], tensor: [], func: [] } },
            func: { func: { name: "branch" } },
            placeholder: { placeholder: "T" },
            odd: 3,
          },
        },
      ],
    });
    const values = Object.fromEntries(
      Array.from(graph.nodes[0].attributes, ([key, { value }]) => [key, value]),
    );
    expect(values).toEqual({
      s: "SAME",
      listed: "NH",
      i: -12,
      number: 7,
      f: Math.fround(1e-3),
      nan: Number.NaN,
      b: 1,
      type: "float16",
      numbered: "int32",
      shape: [-1, 224, 0],
      unknown: undefined,
      ints: [1, 2, 3],
      floats: [Math.fround(0.1), Number.POSITIVE_INFINITY],
      texts: ["a", "β"],
      types: ["float32", "int32", "resource"],
      empty: [],
      allKinds: [1, 2],
      noneOfAll: [],
      func: "branch",
      placeholder: undefined,
      odd: undefined,
    });
    expect(graph.nodes[0].attributes.get("placeholder")?.reference).toBe("T");
  });

  it("has nodes after what they read, outputs as they are read, no control inputs", async () => {
    const { graph } = await given({
      node: [
        { name: "sum", op: "AddV2", input: ["split:2", "split:0", "^later"] },
        { name: "split", op: "Split", input: ["axis", "x"] },
        { name: "later", op: "NoOp" },
        { name: "axis", op: "Const", attr: { _output_shapes: { list: { shape: [{ dim: [] }] } } } },
        {
          name: "x",
          op: "Placeholder",
          attr: { shape: { shape: { dim: [{ size: "-1" }, { size: "6" }] } } },
        },
      ],
    });
    expect(graph.nodes.map(({ name }) => name)).toEqual(["axis", "x", "split", "sum", "later"]);
    expect(graph.nodes[2].outputs).toEqual(["split", "split:1", "split:2"]);
    expect(graph.nodes[3].inputs).toEqual(["split:2", "split"]);
    expect(graph.inputs).toEqual([{ name: "x", shape: ["batch", 6] }]);
    expect(graph.outputs).toEqual([{ name: "sum" }]);
    expect(graph.values.get("axis")).toEqual({ name: "axis", shape: [] });
  });

  it("loops of the old control flow are cut where they close", async () => {
    const { graph } = await given({
      node: [
        { name: "enter", op: "Enter", input: [] },
        { name: "merge", op: "Merge", input: ["enter", "next"] },
        { name: "next", op: "NextIteration", input: ["merge"] },
      ],
    });
    expect(graph.nodes.map(({ name }) => name)).toEqual(["enter", "next", "merge"]);
  });

  it("has functions, whose outputs are counted within one that has a name", async () => {
    const { graph, graphs } = await given({
      node: [{ name: "call", op: "StatelessIf", attr: { then_branch: { func: { name: "f" } } } }],
      library: {
        function: [
          {
            signature: {
              name: "f",
              inputArg: [{ name: "a", type: "DT_FLOAT" }],
              outputArg: [{ name: "first" }, { name: "second" }],
            },
            nodeDef: [
              { name: "norm", op: "FusedBatchNormV3", input: ["a"] },
              { name: "relu", op: "Relu", input: ["norm:batch_variance:0"] },
            ],
            ret: { first: "relu:activations:0", second: "norm:y:0" },
          },
          3,
          {},
        ],
      },
    });
    const called = graph.functions.get(":f:");
    expect(called?.inputs).toEqual(["a"]);
    expect(called?.outputs).toEqual(["relu", "norm"]);
    expect(called?.graph.inputs).toEqual([{ name: "a", dtype: "float32" }]);
    expect(called?.graph.nodes[1].inputs).toEqual(["norm:2"]);
    expect(graphs.map(({ path }) => path)).toEqual(["", "f"]);
  });

  it.each([
    [{ node: [null] }, "expected a name and an operator of each node"],
    [
      {
        node: [
          { name: "a", op: "A" },
          { name: "a", op: "B" },
        ],
      },
      'expected each node once, got "a" twice',
    ],
    [
      { node: [{ name: "a", op: "A", input: ["a:1048577"] }] },
      "expected at most 1048576 outputs of all nodes",
    ],
    [{ class_name: "Sequential" }, "convert a model of layers to a graph model"],
  ])("%j is refused", async (topology, problem) => {
    await expect(given(topology)).rejects.toThrow(problem);
  });
});

fuzz("TensorFlow.js graphs", [fixture], async (files) => {
  const { graph } = await graphModelIn(files);
  return { tensors: graph.constants, others: new Map() } as unknown as Checkpoint;
});
