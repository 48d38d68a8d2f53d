import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { describe, expect, it } from "vitest";
import { modelIn } from "../../../src/checkpoints/formats/onnx-graph.js";
import { callKey } from "../../../src/checkpoints/graphs/graph.js";
import { ofDialect } from "../../../src/checkpoints/graphs/operators.js";
import { bytesOf } from "../../../src/checkpoints/source.js";
import { filesIn } from "../support/fuzz.js";
import { field, float, message, varint } from "../support/protobuf.js";

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

const folder = fileURLToPath(new URL("../../fixtures/checkpoints/onnx/", import.meta.url));
const fixture = (...names: string[]) =>
  modelIn(
    filesIn(Object.fromEntries(names.map((name) => [name, new Uint8Array(readFileSync(folder + name))]))),
  );
const given = (...fields: Uint8Array[]) => modelIn(filesIn({ "a.onnx": message(field(1, 8), ...fields) }));

const graphField = (...fields: Uint8Array[]) => field(7, message(...fields));
const opset = (version: number, domain = "") => field(8, message(field(1, domain), field(2, version)));
const attribute = (name: string, ...fields: Uint8Array[]) => field(5, message(field(1, name), ...fields));
const node = (operator: string, inputs: string[], outputs: string[], ...fields: Uint8Array[]) =>
  field(
    1,
    message(
      ...inputs.map((input) => field(1, input)),
      ...outputs.map((output) => field(2, output)),
      field(4, operator),
      ...fields,
    ),
  );
const value = (name: string, type: number, ...lengths: Uint8Array[]) => {
  const shape = message(...lengths.map((length) => field(1, length)));
  return message(field(1, name), field(2, field(1, message(field(1, type), field(2, shape)))));
};

describe("a model's graph", () => {
  it("has nodes in order, and what is said of values", async () => {
    const { graph, opsets, graphs } = await given(
      opset(17),
      opset(1, "com.microsoft"),
      graphField(
        node("Cast", ["x"], ["h"], attribute("to", field(3, 10), field(20, 2))),
        node("Clip", ["h", "", "w"], ["y"], field(3, "clip"), attribute("dtype", field(3, 1), field(20, 2))),
        node("Fused", ["y"], ["z"], field(7, "com.microsoft"), attribute("to", field(3, 1), field(20, 2))),
        node("Other", ["z"], ["o"], field(7, "elsewhere")),
        field(5, message(field(2, 1), field(8, "w"), field(9, new Uint8Array(4)))),
        field(11, value("x", 1, field(2, "batch"), field(1, 3), message(), field(1, -1))),
        field(11, message(field(1, "unsaid"))),
        field(12, value("y", 10)),
        field(13, value("h", 99, field(1, 0))),
      ),
    );
    expect(graphs).toEqual([graph]);
    expect([...opsets]).toEqual([
      ["", 17],
      ["com.microsoft", 1],
    ]);
    expect(
      graph.nodes.map(({ name, operator, domain, opset, inputs, outputs }) => [
        name,
        domain,
        operator,
        opset,
        inputs,
        outputs,
      ]),
    ).toEqual([
      ["", "", "Cast", 17, ["x"], ["h"]],
      ["clip", "", "Clip", 17, ["h", "", "w"], ["y"]],
      ["", "com.microsoft", "Fused", 1, ["y"], ["z"]],
      ["", "elsewhere", "Other", 0, ["z"], ["o"]],
    ]);
    // a type in Cast alone
    expect(
      graph.nodes
        .slice(0, 3)
        .map(({ attributes }) => Array.from(attributes, ([key, { value }]) => [key, value])),
    ).toEqual([[["to", "float16"]], [["dtype", 1]], [["to", 1]]]);
    expect(graph.inputs).toEqual([
      { name: "x", dtype: "float32", shape: ["batch", 3, "", ""] },
      { name: "unsaid" },
    ]);
    expect(graph.outputs).toEqual([{ name: "y", dtype: "float16", shape: [] }]);
    expect(graph.values.get("h")).toEqual({ name: "h", dtype: "type 99", shape: [0] });
    expect([...graph.constants.keys()]).toEqual(["w"]);
  });

  it.each([
    [3, ["x"], ["w"]],
    [4, ["x", "w"], []],
  ])("in version %i of the format, of an initializer that is an input", async (ir, inputs, constants) => {
    const { graph } = await given(
      field(1, ir),
      opset(17),
      graphField(
        field(5, message(field(1, 1), field(2, 1), field(8, "w"), field(9, new Uint8Array(4)))),
        field(11, value("x", 1)),
        field(11, value("w", 1)),
      ),
    );
    expect(graph.inputs.map(({ name }) => name)).toEqual(inputs);
    expect([...graph.constants.keys()]).toEqual(constants);
    expect(graph.initializers.map(({ name }) => name)).toEqual(["w"]);
  });

  it("is of the first operators where it says nothing of them", async () => {
    const { graph } = await given(
      graphField(node("Div", ["x"], ["y"]), node("Div", ["y"], ["z"], field(7, "other"))),
    );
    expect(graph.nodes.map(({ opset }) => opset)).toEqual([1, 0]);
    expect(
      graph.nodes.map((one) => ofDialect(one, { onnx: { Div: 1 }, microsoft: {}, tensorflow: { Div: 2 } })),
    ).toEqual([1, undefined]);
  });

  it("has constants of Constant nodes under the names of their outputs, in every form", async () => {
    const { graph } = await fixture("constants.onnx");
    const found: Record<string, unknown> = {};
    for (const [name, constant] of graph.constants) {
      expect(constant.name).toBe(name);
      found[name] = constant.dtype.startsWith("sparse") ? constant.shape : [...(await constant.read())];
    }
    expect(found).toMatchObject({
      float: [0.25],
      floats: [1, 0.5],
      int: [-3n],
      ints: [2n ** 40n, -1n],
      sparse: [2, 3],
    });
    expect(graph.nodes.filter(({ operator }) => operator === "Constant").length).toBeGreaterThan(5);
  });

  it("has each kind of attribute, of 64-bit numbers the nearest, and an absent one of its type", async () => {
    const { graph } = await given(
      graphField(
        node(
          "Op",
          [],
          ["y"],
          attribute("f", float(2, 0.1), field(20, 1)),
          attribute("zero", field(20, 1)),
          attribute("i", field(3, -(2n ** 63n)), field(20, 2)),
          attribute("s", field(4, "NHWC"), field(20, 3)),
          attribute("floats", float(7, 1), float(7, 2), field(20, 6)),
          attribute("ints", field(8, message(varint(1), varint(-1))), field(20, 7)),
          attribute("strings", field(9, "a"), field(9, "b"), field(20, 8)),
          attribute("t", field(5, message(field(1, 2), field(2, 6), field(5, 7), field(5, 8))), field(20, 4)),
          attribute("reference", field(21, "outer"), field(20, 1)),
        ),
      ),
    );
    const [{ attributes }] = graph.nodes;
    expect(Array.from(attributes, ([name, { value }]) => [name, value])).toEqual([
      ["f", Math.fround(0.1)],
      ["zero", 0],
      ["i", -(2 ** 63)],
      ["s", "NHWC"],
      ["floats", [1, 2]],
      ["ints", [1, -1]],
      ["strings", ["a", "b"]],
      ["t", undefined],
      ["reference", undefined],
    ]);
    expect(await attributes.get("t")?.constant?.read()).toEqual(Int32Array.of(7, 8));
    expect(attributes.get("i")?.constant).toBeUndefined();
    expect(attributes.get("reference")).toEqual({ graphs: [], reference: "outer" });
  });
});

describe("graphs in graphs", () => {
  it("nodes come after what they read, and what graphs in them read, in whichever order the file has them", async () => {
    const inner = message(node("Neg", ["late"], ["z"]), field(12, field(1, "z")));
    const { graph } = await given(
      graphField(
        node("If", ["x"], ["y"], attribute("then_branch", field(6, inner), field(20, 5))),
        node("Abs", ["later"], ["late"]),
        node("Exp", ["x"], ["later"]),
        node("Sqrt", ["x"], ["own"]),
      ),
    );
    expect(graph.nodes.map(({ operator, place }) => [operator, place])).toEqual([
      ["Exp", 2],
      ["Abs", 1],
      ["If", 0],
      ["Sqrt", 3],
    ]);
  });

  it("know the one around them, and where they are", async () => {
    const { graph, graphs } = await fixture("nested.onnx");
    const first = graph.nodes.find(({ operator }) => operator === "If");
    const branches = [...(first?.attributes ?? [])].map(
      ([
        name,
        {
          graphs: [inner],
        },
      ]) => [name, inner] as const,
    );
    expect(branches.map(([name]) => name).sort()).toEqual(["else_branch", "then_branch"]);
    for (const [name, inner] of branches) {
      expect(inner.around).toBe(graph);
      expect(inner.path).toBe(`${first?.name || first?.outputs[0]}/${name}`);
      expect([...inner.constants.keys()].sort()).toEqual(["bias", "scale"]);
      expect(graphs).toContain(inner);
      expect(inner.functions).toBe(graph.functions);
    }
    expect(graphs[0]).toBe(graph);
  });

  it("functions are known by what calls them; their nodes speak their own operator sets", async () => {
    const { graph, graphs } = await fixture("nested.onnx");
    const call = graph.nodes.find((one) => graph.functions.has(callKey(one)));
    const called = call && graph.functions.get(callKey(call));
    expect(called?.graph.nodes.map(({ operator, opset }) => [operator, opset])).toContainEqual([
      "LayerNormalization",
      17,
    ]);
    expect(called?.inputs.length).toBe(call?.inputs.length);
    expect(called?.graph.inputs.map(({ name }) => name)).toEqual(called?.inputs);
    expect([...(called?.graph.constants.keys() ?? [])]).toEqual(["own"]);
    expect(called?.graph.around).toBeUndefined();
    expect(graphs.at(-1)).toBe(called?.graph);
  });
});

describe("large models", () => {
  /** A model of so many tensors, whose values are never there: all that is asked for of them is counted. */
  function sparse(count: number, length: number) {
    const head = message(field(1, length / 4), field(2, 1), field(8, "w"), varint(9 * 8 + 2), varint(length));
    const tensor = message(varint(5 * 8 + 2), varint(head.length + length), head);
    const each = tensor.length + length;
    const front = message(field(1, 8), varint(7 * 8 + 2), varint(count * each));
    let read = 0;
    const source = {
      byteLength: front.length + count * each,
      slice(start: number, end: number) {
        read += end - start;
        const bytes = new Uint8Array(end - start);
        const put = (at: number, part: Uint8Array) => {
          for (let i = Math.max(0, start - at); i < part.length && at + i < end; i++) {
            bytes[at + i - start] = part[i];
          }
        };
        put(0, front);
        const first = Math.max(0, Math.floor((start - front.length) / each));
        for (let i = first; i < count && front.length + i * each < end; i++)
          put(front.length + i * each, tensor);
        return bytes.buffer;
      },
    };
    return {
      files: { ...filesIn({ a: new Uint8Array() }), bytes: bytesOf("a.onnx", source) },
      read: () => read,
    };
  }

  it("of 1.9 GB are read by their heads", async () => {
    const { files, read } = sparse(30, 2 ** 26);
    expect(files.bytes.byteLength).toBeGreaterThan(1.9e9);
    const { graph } = await modelIn(files);
    expect(graph.initializers.length).toBe(30);
    expect(read()).toBeLessThan(8e6);
  });

  it("of many tensors keep none of their values in memory", async () => {
    const { files } = sparse(600, 60_000);
    collect();
    const before = process.memoryUsage().arrayBuffers;
    const { graph } = await modelIn(files);
    // buffers are freed some time after they are collected
    await expect
      .poll(() => {
        collect();
        return process.memoryUsage().arrayBuffers - before;
      })
      .toBeLessThan(5e6);
    expect(graph.initializers.length).toBe(600);
  });
});
