import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { describe, expect, it } from "vitest";
import { fieldsOf } from "../../src/checkpoints/encodings/protobuf.js";
import { concatenated } from "../../src/checkpoints/encodings/zip.js";
import { CheckpointError } from "../../src/checkpoints/errors.js";
import type { StoredGraph, StoredNode } from "../../src/checkpoints/formats/onnx-graph.js";
import type {
  Constant,
  Graph,
  Mend,
  NewConstant,
  NewNode,
  Node,
} from "../../src/checkpoints/graphs/graph.js";
import { bytesInMemory } from "../../src/checkpoints/source.js";
import { type Model, openModel } from "../../src/onnx/model.js";
import { bytesOfParts, written } from "../../src/onnx/write.js";
import { mutated, random } from "../checkpoints/support/fuzz.js";
import { field, float, message, varint } from "../checkpoints/support/protobuf.js";
import { type ModelOf, newConstant, onnxBytes, run } from "../support/onnx-models.js";
import { bytesIn } from "./support.js";

const folder = fileURLToPath(new URL("../fixtures/checkpoints/onnx/", import.meta.url));
const fixtures = readdirSync(folder).filter((name) => name.endsWith(".onnx"));
const contents = (name: string) => new Uint8Array(readFileSync(join(folder, name)));

const node = (
  operator: string,
  inputs: string,
  output: string,
  attributes: NewNode["attributes"] = {},
): NewNode => ({
  name: output,
  operator,
  domain: "",
  inputs: inputs === "" ? [] : inputs.split(" "),
  outputs: [output],
  attributes,
});

/** A mend of nodes by the names of their first outputs; it stands at the last of them. */
function mend(graph: Graph, replaced: string, nodes: readonly NewNode[], rest: Partial<Mend> = {}): Mend {
  const replaces = replaced.split(" ").map((output) => {
    const found = graph.nodes.find(({ outputs }) => outputs[0] === output);
    if (found === undefined) throw new Error(`no node gives ${output}`);
    return found;
  });
  const outputs = nodes.flatMap((one) => one.outputs);
  return {
    title: `mend of ${replaced}`,
    graph,
    replaces,
    nodes,
    at: replaces[replaces.length - 1],
    constants: [],
    opsets: {},
    outputs,
    ...rest,
  };
}

async function mendedBy(model: Model, mends: readonly Mend[], changes: Parameters<typeof written>[1] = {}) {
  const { files, dropped } = await written(model, { mends, ...changes });
  const bytes = await bytesIn(files[0]);
  return { bytes, files, dropped, model: await openModel(bytes, { name: "mended.onnx" }) };
}

/** Names of the inputs that a model's file lists, constants that a caller may replace among them. */
async function inputsIn(bytes: Uint8Array): Promise<string[]> {
  const within = async (stored: Uint8Array, number: number) => {
    const fields = await fieldsOf("ONNX", bytesInMemory("a.onnx", stored, 0));
    return Promise.all(fields.filter((one) => one.number === number).map((one) => one.bytes.read()));
  };
  const [graph] = await within(bytes, 7);
  const names = (await within(graph, 11)).map(async (value) => (await within(value, 1))[0]);
  return (await Promise.all(names)).map((name) => new TextDecoder().decode(name));
}

const outline = ({ nodes }: Graph) =>
  nodes.map(({ operator, outputs }) => `${operator} ${outputs.join(" ")}`);

/** y = (x − mean(x)) · w + b, and z = the square of the difference. */
const network: ModelOf = {
  opset: 17,
  nodes: [
    ["Constant", "", "scale", { value_float: { float: 2 } }],
    ["Shape", "x", "unread"],
    ["ReduceMean", "x", "mean", { axes: { integer: [-1] } }],
    ["Sub", "x mean", "d"],
    ["Mul", "d scale", "scaled"],
    ["Mul", "scaled w", "product"],
    ["Add", "product b", "y"],
    ["Mul", "d d", "z"],
  ],
  constants: [newConstant("w", [1, 2, 3]), newConstant("b", [4, 5, 6]), newConstant("never", [7])],
  inputs: [["x", ["batch", 3]]],
  outputs: [["y"], ["z"]],
};
const x = { shape: [2, 3], data: [1, 2, 6, -1, 0, 4] };

/** Where nodes stand in the file, in the order in which they can be computed. */
const placesIn = ({ graph }: Model) => graph.nodes.map((one) => (one as StoredNode).place);

describe("without changes", () => {
  it.each(fixtures)("%s is the same bytes", async (name) => {
    const { files, dropped } = await written(await openModel(join(folder, name)));
    expect(files.map((file) => file.name)).toEqual([name]);
    expect(Buffer.compare(await bytesIn(files[0]), contents(name))).toBe(0);
    expect(dropped).toEqual({ nodes: 0, constants: 0 });
  });
});

it("a file is called as the model was, without its folder", async () => {
  for (const name of ["a.onnx", "/b/a.onnx", "C:\\b/c\\a.onnx"]) {
    const { files } = await written(await openModel(onnxBytes(network), { name }));
    expect(files[0].name).toBe("a.onnx");
  }
});

describe("mends", () => {
  it("put nodes in place of others, and leave out what those alone read", async () => {
    const before = onnxBytes(network);
    const model = await openModel(before);
    const own = mend(
      model.graph,
      "scaled product y",
      [node("Mul", "d factor", "h"), node("Add", "h b", "y")],
      {
        constants: [newConstant("factor", [2, 4, 6])],
      },
    );
    const { bytes, dropped, model: mended } = await mendedBy(model, [own]);
    // the Constant goes with what read it, and w; what nothing read before stays
    expect(outline(mended.graph)).toEqual([
      "Shape unread",
      "ReduceMean mean",
      "Sub d",
      "Mul h",
      "Add y",
      "Mul z",
    ]);
    expect([...mended.graph.constants.keys()]).toEqual(["b", "never", "factor"]);
    expect(dropped).toEqual({ nodes: 4, constants: 1 });
    expect(await run(bytes, { x })).toEqual(await run(before, { x }));
  });

  it("leave a node that others go on reading", async () => {
    const before = onnxBytes(network);
    const model = await openModel(before);
    const own = mend(model.graph, "mean d scaled", [node("Identity", "x", "scaled")]);
    const { dropped, model: mended } = await mendedBy(model, [own]);
    expect(outline(mended.graph)).toEqual([
      "Shape unread",
      "ReduceMean mean",
      "Sub d",
      "Identity scaled",
      "Mul product",
      "Add y",
      "Mul z",
    ]);
    expect(dropped).toEqual({ nodes: 2, constants: 0 });
  });

  it("give a value as a constant: what computed it goes", async () => {
    const model = await openModel(
      onnxBytes({
        ...network,
        nodes: [
          ["Mul", "w b", "v"],
          ["Add", "v never", "u"],
          ["Add", "x u", "y"],
        ],
        outputs: [["y"]],
      }),
    );
    const own = mend(model.graph, "v u", [], { constants: [newConstant("u", [11, 17, 25])], outputs: ["u"] });
    const { bytes, model: mended, dropped } = await mendedBy(model, [own]);
    expect(outline(mended.graph)).toEqual(["Add y"]);
    expect(dropped).toEqual({ nodes: 2, constants: 3 });
    expect(await run(bytes, { x: { shape: [1, 3], data: [1, 1, 1] } })).toEqual({
      y: Float32Array.of(12, 18, 26),
    });
  });

  it("give one of two outputs: the other keeps its node", async () => {
    const model = await openModel(
      onnxBytes({
        opset: 17,
        nodes: [
          ["Split", "x", "a c", { axis: { integer: 1 } }],
          ["Neg", "a", "y"],
          ["Neg", "c", "z"],
        ],
        inputs: [["x", [1, 2]]],
        outputs: [["y"], ["z"]],
      }),
    );
    const own = mend(model.graph, "a", [node("ReduceSum", "x", "a")]);
    const { bytes, model: mended } = await mendedBy(model, [own]);
    expect(outline(mended.graph)).toEqual(["Split a/before c", "ReduceSum a", "Neg y", "Neg z"]);
    const feeds = { x: { shape: [1, 2], data: [3, 4] } };
    expect(await run(bytes, feeds)).toEqual({ y: Float32Array.of(-7), z: Float32Array.of(-4) });
  });

  it("in one mend's nodes may read what another gives", async () => {
    const model = await openModel(onnxBytes(network));
    const first = mend(model.graph, "d", [node("Sub", "x mean", "d"), node("Neg", "d", "e")]);
    const second = mend(model.graph, "z", [node("Mul", "e e", "z")]);
    const { bytes } = await mendedBy(model, [second, first]);
    expect(await run(bytes, { x })).toEqual(await run(onnxBytes(network), { x }));
  });

  it("stand after what they read and before what reads them, wherever they were put", async () => {
    const before = onnxBytes(network);
    const model = await openModel(before);
    // at the last node, while d is read before it; and at the first, while it reads the mean
    const late = mend(model.graph, "d z", [node("Sub", "x mean", "d"), node("Mul", "d d", "z")]);
    const found = await mendedBy(model, [late]);
    const operators = outline(found.model.graph);
    expect(operators.indexOf("Sub d")).toBeLessThan(operators.indexOf("Mul scaled"));
    expect(placesIn(found.model)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    expect(await run(found.bytes, { x })).toEqual(await run(before, { x }));
    const scale = model.graph.nodes[0];
    const early = { ...mend(model.graph, "product", [node("Mul", "scaled w", "product")]), at: scale };
    const again = await mendedBy(model, [early]);
    expect(placesIn(again.model)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    expect(await run(again.bytes, { x })).toEqual(await run(before, { x }));
  });

  it.each([
    [3, ["x"], ["x", "b"]],
    // since version 4 a caller may replace them
    [4, ["x", "w", "b"], ["x", "w", "b"]],
  ])("of constants that are inputs, in version %i of the format", async (ir, inputs, left) => {
    const bytes = onnxBytes({ ...network, inputs: [...network.inputs, ["w", [3]], ["b", [3]]] });
    bytes[1] = ir;
    const model = await openModel(bytes);
    expect(model.irVersion).toBe(ir);
    expect(model.graph.inputs.map(({ name }) => name)).toEqual(inputs);
    const own = mend(model.graph, "product", [node("Identity", "scaled", "product")]);
    expect(await inputsIn((await mendedBy(model, [own])).bytes)).toEqual(left);
  });

  it.each<[string, (model: Model, other: Model) => readonly Mend[]]>([
    ["its graph is none of the model's", (_, other) => [mend(other.graph, "y", [])]],
    [
      'it replaces "Sub_3", which is not in its graph',
      (model, other) => [{ ...mend(other.graph, "d", []), graph: model.graph }],
    ],
    [
      "it stands at a node that is not in its graph",
      (model, other) => [{ ...mend(model.graph, "y", []), at: other.graph.nodes[0] }],
    ],
    [
      '"mend of product y" replaces the node "Add_6" too',
      ({ graph }) => [mend(graph, "product y", []), mend(graph, "y", [])],
    ],
    ['there is no value "nowhere"', ({ graph }) => [mend(graph, "y", [node("Neg", "nowhere", "y")])]],
    ['"y" is given twice', ({ graph }) => [mend(graph, "y", [node("Neg", "x", "y"), node("Abs", "x", "y")])]],
    [
      'another node gives "d"',
      ({ graph }) => [mend(graph, "y", [node("Neg", "x", "y"), node("Neg", "x", "d")])],
    ],
    [
      'there is a value "w" already',
      ({ graph }) => [mend(graph, "y", [node("Neg", "x", "y")], { constants: [newConstant("w", [1])] })],
    ],
  ])("that do not fit are refused: %s", async (problem, mends) => {
    const [model, other] = [await openModel(onnxBytes(network)), await openModel(onnxBytes(network))];
    await expect(written(model, { mends: mends(model, other) })).rejects.toThrow(
      new RegExp(`^written: "mend of [a-z ]+" does not fit the model: ${problem.replace(/[()]/g, "\\$&")}$`),
    );
  });
});

describe("what is not understood", () => {
  /** A field of a number that no version has, its varints longer than they need to be. */
  const unknown = (text: string) =>
    concatenated([
      Uint8Array.of(0xca, 0xbe, 0x80, 0x80, 0),
      Uint8Array.of(0x80 | text.length, 0x80, 0),
      new TextEncoder().encode(text),
    ]);
  const padded = (number: number, bytes: Uint8Array) =>
    concatenated([
      varint(number * 8 + 2),
      Uint8Array.of(0x80 | (bytes.length % 128), 0x80 | (bytes.length >> 7), 0),
      bytes,
    ]);
  const value = (name: string) =>
    message(field(1, name), field(2, field(1, message(field(1, 1)))), unknown(`value ${name}`));
  const step = (operator: string, inputs: string[], output: string, ...more: Uint8Array[]) =>
    message(
      unknown(`node ${output}`),
      ...inputs.map((one) => padded(1, new TextEncoder().encode(one))),
      field(2, output),
      field(4, operator),
      field(6, `doc of ${output}`),
      field(9, message(field(1, "namespace"), field(2, output))),
      ...more,
    );
  const tensor = (name: string) =>
    message(field(1, 1), field(2, 1), field(8, name), float(4, 1.5), unknown(`tensor ${name}`));
  const gone = [
    field(
      1,
      step(
        "Neg",
        ["x"],
        "h",
        field(5, message(field(1, "odd"), unknown("attribute"), field(3, 1), field(20, 2))),
      ),
    ),
    field(5, tensor("only")),
    field(13, value("h")),
    field(1, step("Mul", ["h", "only"], "i")),
  ];
  const graph = message(
    field(12, value("y")),
    unknown("graph"),
    gone[0],
    field(2, "name"),
    padded(5, tensor("w")),
    gone[1],
    field(13, value("w")),
    gone[2],
    gone[3],
    padded(1, step("Add", ["i", "w"], "y")),
    field(11, value("x")),
    field(14, message(field(1, "y"), field(2, message(field(1, "SCALE_TENSOR"), field(2, "quantized"))))),
    field(5, tensor("quantized")),
    field(10, "doc"),
  );
  const bytes = message(
    unknown("before"),
    field(14, message(field(1, "author"), field(2, "nobody"), unknown("metadata"))),
    padded(8, message(field(2, 13), unknown("opset"))),
    field(1, 8),
    padded(7, graph),
    field(20, message(field(2, field(1, step("Neg", ["trained"], "t"))), unknown("training"))),
    unknown("after"),
  );

  // by its name, since no version begins so
  const opened = (all = bytes) => openModel(all, { name: "a.onnx" });

  it("stays byte for byte, in its place", async () => {
    const model = await opened();
    const own = mend(model.graph, "h i", [node("Abs", "x", "i")]);
    const { bytes: found } = await mendedBy(model, [own]);
    const cut = (all: Uint8Array, parts: readonly Uint8Array[]) => {
      let text = Buffer.from(all).toString("latin1");
      for (const part of parts) {
        const piece = Buffer.from(part).toString("latin1");
        expect(text.split(piece).length, piece).toBe(2);
        text = text.replace(piece, () => "");
      }
      return text;
    };
    const added = field(1, message(field(1, "x"), field(2, "i"), field(3, "i"), field(4, "Abs")));
    // the graph's length is another, all else is the same
    const [before, since] = [cut(bytes, gone), cut(found, [added])];
    const at = before.indexOf("\x3a", before.indexOf("opset"));
    const length = varint(graph.length - concatenated(gone).length + added.length);
    expect(since).toBe(
      `${before.slice(0, at + 1)}${Buffer.from(length).toString("latin1")}${before.slice(at + 1 + 3)}`,
    );
  });

  it("in an import of operators that is raised", async () => {
    const model = await opened();
    const { bytes: found, model: raised } = await mendedBy(model, [
      mend(model.graph, "h i", [node("Abs", "x", "i")], { opsets: { "": 21, "com.microsoft": 1 } }),
    ]);
    expect([...raised.opsets]).toEqual([
      ["", 21],
      ["com.microsoft", 1],
    ]);
    expect(raised.irVersion).toBe(10);
    expect(Buffer.from(found).includes(Buffer.from(concatenated([unknown("opset"), field(2, 21)])))).toBe(
      true,
    );
  });

  it("what training reads stays", async () => {
    const training = field(20, message(field(2, message(field(1, step("Neg", ["only"], "t"))))));
    const model = await opened(concatenated([bytes, training]));
    const { model: mended } = await mendedBy(model, [mend(model.graph, "h i", [node("Abs", "x", "i")])]);
    expect([...mended.graph.constants.keys()]).toEqual(["w", "only", "quantized"]);
  });
});

describe("graphs in graphs", () => {
  const nested = async () => openModel(join(folder, "nested.onnx"));
  const described = JSON.parse(readFileSync(join(folder, "nested.json"), "utf8"));
  const feeds = { x: { shape: described.input.shape, data: described.input.values } };

  it("of both branches of an If, and of a function, are mended where they are", async () => {
    const model = await nested();
    const doubled = (graph: Graph, output: string): Mend => {
      const [last] = graph.nodes.filter(({ outputs }) => outputs[0] === output);
      const copied = { ...last, name: "copied", outputs: ["copied"], attributes: {} };
      return {
        ...mend(graph, output, [
          { ...copied, attributes: attributesOf(last) },
          node("Mul", "copied two", output),
        ]),
        constants: [newConstant("two", 2)],
      };
    };
    const inner = model.graphs.filter((graph) => graph.path !== "");
    expect(inner.length).toBe(3);
    const mends = inner.map((graph) => {
      const norm = graph.nodes.find(({ operator }) => operator.endsWith("Normalization"));
      return doubled(graph, norm?.outputs[0] ?? "");
    });
    const { bytes, model: mended } = await mendedBy(model, mends);
    expect(mended.graphs.map(({ path }) => path)).toEqual(model.graphs.map(({ path }) => path));
    for (const [i, graph] of mended.graphs.entries()) {
      const before = outline(model.graphs[i]);
      expect(outline(graph).length).toBe(
        before.length + (graph.path === "" ? 0 : graph.path.includes("branch") ? 1 : 2),
      );
    }
    // the norms' outputs are doubled, so the next norms see the same but for epsilon
    const [was, is] = [await run(contents("nested.onnx"), feeds), await run(bytes, feeds)];
    expect(is.y.length).toBe(was.y.length);
    expect(is.y.some((value, i) => Math.abs(value - was.y[i]) > 0.1)).toBe(true);
  });

  it("a function has operators of its own, and is raised with the model or by its own mends", async () => {
    const model = await nested();
    const called = model.graphs[model.graphs.length - 1] as StoredGraph;
    const imports = (one: Model) => [
      one.opsets.get(""),
      (one.graphs[one.graphs.length - 1] as StoredGraph).opsets.get(""),
    ];
    expect(imports(model)).toEqual([18, 17]);
    const nothing = (graph: Graph, to: number, domain = ""): Mend => ({
      ...mend(graph, graph.nodes[0].outputs[0], []),
      replaces: [],
      opsets: { [domain]: to },
    });
    const imported = async (...mends: Mend[]) => imports((await mendedBy(model, mends)).model);
    expect(await imported(nothing(model.graph, 18))).toEqual([18, 17]);
    expect(await imported(nothing(model.graph, 21))).toEqual([21, 21]);
    expect(await imported(nothing(called, 18))).toEqual([18, 18]);
    const { model: with1 } = await mendedBy(model, [nothing(called, 1, "com.microsoft")]);
    expect(with1.opsets.get("com.microsoft")).toBe(1);
    expect((with1.graphs[with1.graphs.length - 1] as StoredGraph).opsets.get("com.microsoft")).toBe(1);
    const { bytes } = await mendedBy(model, [nothing(model.graph, 23)]);
    expect(await run(bytes, feeds)).toEqual(await run(contents("nested.onnx"), feeds));
  });

  it("read values around them: what a branch no more reads goes there", async () => {
    const branch = (name: string, ...nodes: Uint8Array[]) =>
      field(
        5,
        message(
          field(1, name),
          field(6, message(...nodes, field(2, name), field(12, field(1, `${name}_y`)))),
          field(20, 5),
        ),
      );
    const plain = (operator: string, inputs: string[], output: string, ...more: Uint8Array[]) =>
      field(1, message(...inputs.map((one) => field(1, one)), field(2, output), field(4, operator), ...more));
    const typed = (name: string, type: number) =>
      message(field(1, name), field(2, field(1, message(field(1, type), field(2, field(1, field(1, 1)))))));
    const bytes = message(
      field(1, 8),
      field(
        7,
        message(
          plain("Greater", ["x", "zero"], "condition"),
          plain("Exp", ["x"], "around"),
          plain("Neg", ["x"], "alone"),
          plain(
            "If",
            ["condition"],
            "y",
            branch(
              "then_branch",
              plain("Add", ["around", "alone"], "h"),
              plain("Mul", ["h", "w"], "then_branch_y"),
            ),
            branch("else_branch", plain("Neg", ["around"], "else_branch_y")),
          ),
          field(2, "graph"),
          field(5, message(field(1, 1), field(2, 1), float(4, 3), field(8, "w"))),
          field(5, message(field(1, 1), field(2, 1), float(4, 0), field(8, "zero"))),
          field(11, typed("x", 1)),
          field(12, typed("y", 1)),
        ),
      ),
      field(8, field(2, 13)),
    );
    const model = await openModel(bytes);
    const inner = model.graphs.find(({ path }) => path.endsWith("then_branch")) as Graph;
    const own = mend(inner, "h then_branch_y", [node("Abs", "around", "then_branch_y")]);
    const { bytes: found, model: mended, dropped } = await mendedBy(model, [own]);
    expect(dropped).toEqual({ nodes: 3, constants: 1 });
    expect(outline(mended.graph)).toEqual(["Greater condition", "Exp around", "If y"]);
    const at = (value: number) => run(found, { x: { shape: [1], data: [value] } });
    expect((await at(1)).y[0]).toBeCloseTo(Math.E, 5);
    expect((await at(-1)).y[0]).toBeCloseTo(-1 / Math.E, 6);
    // an If that goes takes with it what its branches alone read
    const whole = await mendedBy(model, [mend(model.graph, "y", [node("Sqrt", "x", "y")])]);
    expect(outline(whole.model.graph)).toEqual(["Sqrt y"]);
    expect(whole.model.graph.constants.size).toBe(0);
  });
});

describe("constants", () => {
  const typed = async (constant: NewConstant) => {
    const model = await openModel(onnxBytes(network));
    const own = mend(model.graph, "y", [node("Identity", "product", "y")], { constants: [constant] });
    const { model: mended } = await mendedBy(model, [own]);
    return mended.graph.constants.get(constant.name) as Constant;
  };

  it.each<[NewConstant["dtype"], number[], number[]]>([
    // ties to even, subnormals, overflow
    [
      "float16",
      [1 + 2 ** -11, 1 + 3 * 2 ** -11, 2 ** -25, 65520, -0, Number.NaN],
      [1, 1 + 2 ** -9, 0, Infinity, -0, Number.NaN],
    ],
    ["bfloat16", [1 + 2 ** -8, 1 + 3 * 2 ** -8, -3.5], [1, 1 + 2 ** -6, -3.5]],
    ["float32", [0.1, 2 ** 128], [Math.fround(0.1), Infinity]],
    ["float64", [0.1], [0.1]],
    ["int64", [-1, 2 ** 53], [-1, 2 ** 53]],
    ["int32", [-(2 ** 31)], [-(2 ** 31)]],
  ])("of %s are rounded to the nearest", async (dtype, values, expected) => {
    const found = await typed({ name: "new", shape: [values.length], dtype, values });
    expect(found).toMatchObject({ dtype, shape: [values.length] });
    expect(Array.from((await found.read()) as ArrayLike<number | bigint>, Number)).toEqual(expected);
  });

  it("that are large lie in a file beside the model, at pages", async () => {
    const model = await openModel(new Map([["net.onnx", onnxBytes(network)]]));
    const own = mend(
      model.graph,
      "product y",
      [node("Mul", "scaled first", "h"), node("Add", "h second", "y")],
      {
        constants: [
          newConstant("first", [1, 2, 3]),
          newConstant("second", [4, 5, 6]),
          newConstant("small", [1]),
        ],
      },
    );
    const { files } = await written(model, { mends: [own], name: "out.onnx", externalFrom: 12 });
    expect(files.map(({ name, byteLength }) => [name, byteLength])).toEqual([
      ["out.onnx", files[0].byteLength],
      ["out.data", 4096 + 12],
    ]);
    const all = new Map<string, Uint8Array>();
    for (const file of files) all.set(file.name, await bytesIn(file));
    const mended = await openModel(all);
    expect(mended.external).toEqual(["out.data"]);
    expect(await mended.graph.constants.get("second")?.read()).toEqual(Float32Array.of(4, 5, 6));
    expect(await mended.graph.constants.get("small")?.read()).toEqual(Float32Array.of(1));
    const externalData = [{ path: "out.data", data: all.get("out.data") as Uint8Array }];
    const session = await InferenceSession.create(all.get("out.onnx") as Uint8Array, {
      externalData,
      logSeverityLevel: 4,
    });
    const { y } = await session.run({ x: new Tensor("float32", Float32Array.from(x.data), x.shape) });
    expect({ y: y.data }).toMatchObject({ y: (await run(onnxBytes(network), { x })).y });
  });

  it("of a model that reads a file of that name already lie in another", async () => {
    const model = await openModel(join(folder, "external.onnx"));
    const [{ outputs }] = model.graph.nodes;
    const own = mend(
      model.graph,
      outputs[0],
      [node("Add", `${model.graph.inputs[0].name} more`, outputs[0])],
      { constants: [newConstant("more", [1])] },
    );
    const { files } = await written(model, { mends: [own], externalFrom: 1 });
    expect(files.map(({ name }) => name)).toEqual(["external.onnx", "external.1.data"]);
  });

  it("are nodes in a version that has no initializers but inputs", async () => {
    const old = onnxBytes({
      ...network,
      inputs: [...network.inputs, ["w", [3]], ["b", [3]], ["never", [1]]],
      opset: 8,
      nodes: network.nodes
        .slice(2)
        .filter(([operator]) => operator !== "Mul")
        .concat([["Mul", "d w", "product"]]),
      outputs: [["y"]],
    });
    // of the file format's version 3
    const bytes = old.slice();
    bytes[1] = 3;
    const model = await openModel(bytes);
    const own = mend(model.graph, "y", [node("Add", "product fresh", "y")], {
      constants: [newConstant("fresh", [1, 1, 1])],
    });
    const kept = await mendedBy(model, [own]);
    expect([kept.model.irVersion, outline(kept.model.graph)[0]]).toEqual([3, "Constant fresh"]);
    // and where the version is raised, constants stay what no caller replaces
    const raised = await mendedBy(model, [{ ...own, opsets: { "": 17 } }]);
    expect(raised.model.irVersion).toBe(8);
    expect(await inputsIn(raised.bytes)).toEqual(["x"]);
    expect(await inputsIn(kept.bytes)).toEqual(["x", "w", "never"]);
  });
});

describe("values that are observed", () => {
  it("are outputs after the model's own, of a type that is not said too, and keep their nodes", async () => {
    const model = await openModel(onnxBytes(network));
    const own = mend(model.graph, "mean d scaled", [node("Identity", "x", "scaled")]);
    const { bytes } = await mendedBy(model, [own], { observe: ["mean", "scaled", "y", "x"] });
    const found = await run(bytes, { x });
    expect(Object.keys(found)).toEqual(["y", "z", "mean", "scaled", "x"]);
    expect(found.mean).toEqual(Float32Array.of(3, 1));
    expect(found.scaled).toEqual(Float32Array.from(x.data));
  });

  it("of no graph are refused", async () => {
    await expect(written(await openModel(onnxBytes(network)), { observe: ["nowhere"] })).rejects.toThrow(
      'written: observe must name values of the model\'s own graph, got "nowhere", which is none',
    );
  });
});

it("a model of 2 GB is mended by ranges of it", async () => {
  const size = 2 ** 31 - 2 ** 13;
  const tensor = message(field(1, size / 4), field(2, 1), field(8, "large"), varint(9 * 8 + 2), varint(size));
  const small = message(field(1, 1), field(2, 1), field(8, "small"), float(4, 1));
  const own = message(
    field(1, message(field(1, "x"), field(1, "small"), field(2, "h"), field(4, "Mul"))),
    field(1, message(field(1, "h"), field(1, "large"), field(2, "y"), field(4, "Add"))),
    field(11, field(1, "x")),
    field(12, field(1, "y")),
    field(5, small),
    varint(5 * 8 + 2),
    varint(tensor.length + size),
    tensor,
  );
  const head = message(
    field(1, 8),
    field(8, field(2, 17)),
    varint(7 * 8 + 2),
    varint(own.length + size),
    own,
  );
  let most = 0;
  let asked = 0;
  const source = {
    byteLength: head.length + size,
    slice(start: number, end: number) {
      const bytes = new Uint8Array(end - start);
      bytes.set(head.subarray(start, end));
      most = Math.max(most, bytes.length);
      asked += bytes.length;
      return bytes.buffer;
    },
  };
  const model = await openModel(source, { name: "large.onnx" });
  const change = mend(model.graph, "h", [node("Mul", "x other", "h")], {
    constants: [newConstant("other", new Float32Array(1024).fill(2))],
  });
  const { files } = await written(model, { mends: [change] });
  // what is new would not fit within 2 GiB
  expect(files.map(({ name }) => name)).toEqual(["large.onnx", "large.data"]);
  expect(files[0].byteLength).toBeGreaterThan(size);
  expect(asked).toBeLessThan(2 ** 20);
  let first = true;
  for await (const bytes of bytesOfParts(files[0].parts)) {
    expect(bytes.length).toBeLessThanOrEqual(2 ** 22);
    if (most > 2 ** 21 && !first) break;
    first = false;
  }
  expect(most).toBe(2 ** 22);
});

it("what openModel did not give is refused, and changes that are none", async () => {
  const model = await openModel(onnxBytes(network));
  await expect(written(model, { mends: {} as never })).rejects.toThrow(
    /^written: mends must be a list, got /,
  );
  await expect(written(model, { observe: "y" as never })).rejects.toThrow(
    /^written: observe must be a list, got /,
  );
  await expect(written(model, { externalFrom: Number.NaN })).rejects.toThrow(
    "written: externalFrom must be a number of bytes, got NaN",
  );
  await expect(written(model, { name: 1 as never })).rejects.toThrow(
    new TypeError("written: name must be a text, got 1"),
  );
  await expect(written(model, { mend: [] } as never)).rejects.toThrow("written: ");
  await expect(written({} as Model)).rejects.toThrow(
    new TypeError("written: expected a model that openModel gave, as it gave it"),
  );
});

/** Attributes of a node as new ones have them. */
function attributesOf({ attributes }: Node): NewNode["attributes"] {
  // of those that a call says there is no value here
  const said = [...attributes].filter(([, { value }]) => value !== undefined);
  const entries = said.map(([name, { value }]) => [
    name,
    name === "epsilon" ? { float: value } : typeof value === "string" ? value : { integer: value },
  ]);
  return Object.fromEntries(entries);
}

it("random graphs with random mends give the same numbers, in order, without what nothing reads", async () => {
  const next = random(21);
  const pick = <T>(of: readonly T[]): T => of[Math.floor(next() * of.length)];
  for (let round = 0; round < 40; round++) {
    const constants = ["c0", "c1", "c2"].map((name) => newConstant(name, [next(), next(), next()]));
    const values = ["x", ...constants.map(({ name }) => name)];
    const nodes: [string, string, string][] = [];
    for (let i = 0; i < 14; i++) {
      const operator = pick(["Add", "Mul", "Sub", "Neg", "Identity"]);
      const inputs = [pick(values.slice(-6)), pick(values)].slice(
        0,
        ["Neg", "Identity"].includes(operator) ? 1 : 2,
      );
      nodes.push([operator, inputs.join(" "), `v${i}`]);
      values.push(`v${i}`);
    }
    const outputs = [...new Set([pick(values.slice(9)), "v13"])].map((name): [string] => [name]);
    const bytes = onnxBytes({ opset: 17, nodes, constants, inputs: [["x", [3]]], outputs });
    const model = await openModel(bytes);
    // copies of some nodes, which give the value of one of them anew
    const free = new Set(model.graph.nodes);
    const mends: Mend[] = [];
    for (let k = 0; k < 3; k++) {
      const replaces = [...free].filter(() => next() < 0.25);
      if (replaces.length === 0) continue;
      for (const one of replaces) free.delete(one);
      const y = pick(replaces);
      const copied = (name: string) =>
        replaces.some((one) => one.outputs[0] === name) ? `${name}/${k}` : name;
      const copies = replaces.map(({ operator, inputs, outputs: [name] }) =>
        node(operator, inputs.map(copied).join(" "), copied(name)),
      );
      const last = node("Identity", copied(y.outputs[0]), y.outputs[0]);
      const title = `mend ${k}`;
      mends.push({
        title,
        graph: model.graph,
        replaces,
        at: pick(replaces),
        nodes: [...copies, last],
        constants: [],
        opsets: {},
        outputs: y.outputs,
      });
    }
    const { bytes: found, model: mended } = await mendedBy(model, mends);
    const feeds = { x: { shape: [3], data: [0.5, -2, 3] } };
    expect(await run(found, feeds)).toEqual(await run(bytes, feeds));
    expect(placesIn(mended)).toEqual(mended.graph.nodes.map((_, i) => i));
    const names = mended.graph.nodes.flatMap((one) => one.outputs);
    expect(new Set(names).size).toBe(names.length);
    // of what the model had, nothing is left that was read and is no more
    const read = (graph: Graph) =>
      new Set([...graph.nodes.flatMap((one) => one.inputs), ...graph.outputs.map(({ name }) => name)]);
    const unread = model.graph.nodes
      .flatMap((one) => one.outputs)
      .filter((name) => names.includes(name) && read(model.graph).has(name) && !read(mended.graph).has(name));
    expect(unread.filter((name) => !mends.some((one) => one.outputs.includes(name)))).toEqual([]);
  }
});

describe("damaged files", () => {
  it("are written or refused, and what is written opens", { timeout: 60_000 }, async () => {
    const next = random(99);
    const names = fixtures.filter((name) => contents(name).length < 4000);
    const count = Number(process.env.FUZZ ?? 800);
    let wrote = 0;
    for (let i = 0; i < count; i++) {
      const name = names[i % names.length];
      const bytes = mutated(contents(name), next);
      try {
        const model = await openModel(new Map([["a.onnx", bytes]]));
        const mends = model.graphs.flatMap((graph) => {
          const [first] = graph.nodes;
          const output = first?.outputs.find((one) => one !== "");
          if (first === undefined || output === undefined) return [];
          const input = graph.inputs[0]?.name ?? "";
          const nodes = [node("Identity", input, output)];
          return [
            { ...mend(graph, first.outputs[0], nodes), replaces: [first], at: first, opsets: { "": 21 } },
          ];
        });
        const { files } = await written(model, { mends });
        wrote++;
        await openModel(await bytesIn(files[0]));
      } catch (error) {
        if (
          !(
            error instanceof CheckpointError ||
            error instanceof RangeError ||
            /no node gives/.test(String(error))
          )
        ) {
          throw new Error(`mutation ${i} of ${name}`, { cause: error });
        }
        if (error instanceof RangeError && !error.message.startsWith("written: ")) throw error;
      }
    }
    expect(wrote).toBeGreaterThan(count / 20);
  });
});
