/** Shapes, types and known values, against those that onnxruntime has. */
import * as ort from "onnxruntime-node";
import { describe, expect, it } from "vitest";
import { bytesField, message, textField } from "../../../src/checkpoints/encodings/protobuf.js";
import type { Graph } from "../../../src/checkpoints/graphs/graph.js";
import { settle } from "../../../src/checkpoints/graphs/shapes.js";
import { openModel } from "../../../src/onnx/model.js";
import { sizeOf } from "../../../src/shape.js";
import { constantOf, graphOf, integersOf, type NodeOf } from "../../support/graphs.js";
import { exportsOf, packs } from "../../support/onnx-exports.js";
import { halfTensor, type ModelOf, newConstant, onnxBytes } from "../../support/onnx-models.js";

type Lengths = readonly number[];

/** What onnxruntime has of each of these values, for inputs of these shapes. */
async function inRuntime(bytes: Uint8Array, names: readonly string[], shapes: ReadonlyMap<string, Lengths>) {
  // messages of a field that is there once are merged: outputs are added at the end
  const more = message(names.map((name) => bytesField(12, message([textField(1, name)]))));
  const session = await ort.InferenceSession.create(
    new Uint8Array([...bytes, ...message([bytesField(7, more)])]),
    { logSeverityLevel: 4, intraOpNumThreads: 1, graphOptimizationLevel: "disabled" },
  );
  try {
    const feeds = Object.fromEntries(
      session.inputMetadata.map((about) => {
        const shape = shapes.get(about.name) ?? [];
        const type = about.isTensor ? about.type : "float32";
        const size = sizeOf(shape);
        if (type === "int64") return [about.name, new ort.Tensor(type, new BigInt64Array(size), shape)];
        if (type === "bool") return [about.name, new ort.Tensor(type, new Uint8Array(size), shape)];
        if (type === "float16") return [about.name, halfTensor(new Uint16Array(size), shape)];
        return [about.name, new ort.Tensor("float32", new Float32Array(size).fill(0.5), shape)];
      }),
    );
    const given = await session.run(feeds);
    return new Map(Object.entries(given).map(([name, { dims, type, data }]) => [name, { dims, type, data }]));
  } finally {
    await session.release();
  }
}

const valuesOf = (graph: Graph) =>
  graph.nodes.flatMap(({ outputs }) => outputs.filter((name) => name !== ""));

/** The graph with inputs of these lengths. */
function fixed(graph: Graph, shapes: ReadonlyMap<string, Lengths>): Graph {
  return {
    ...graph,
    inputs: graph.inputs.map((info) => ({ ...info, shape: shapes.get(info.name) ?? info.shape })),
  };
}

/** What differs between what is said of a graph and what runs; and operators of which nothing is said. */
async function differences(graph: Graph, bytes: Uint8Array, shapes: ReadonlyMap<string, Lengths>) {
  const names = valuesOf(graph);
  const runs = await inRuntime(bytes, names, shapes);
  const settled = await settle(fixed(graph, shapes), 0);
  const [wrong, unknown]: [string[], string[]] = [[], []];
  for (const node of graph.nodes) {
    for (const name of node.outputs) {
      const real = runs.get(name);
      if (real === undefined) continue;
      const shape = settled.shape(name);
      if (shape === undefined) unknown.push(node.operator);
      else if (!shape.every((length, axis) => length === real.dims[axis] || settled.isOpen(length))) {
        wrong.push(`${node.operator} ${name}: [${shape}], not [${real.dims}]`);
      } else if (shape.length !== real.dims.length)
        wrong.push(`${node.operator} ${name}: rank ${shape.length}`);
      if (settled.dtype(name) === undefined) unknown.push(`type of ${node.operator}`);
      else if (settled.dtype(name) !== real.type) {
        wrong.push(`${node.operator} ${name}: ${settled.dtype(name)}, not ${real.type}`);
      }
      const known = settled.known(name)?.data;
      if (!known || real.type === "float16") continue;
      const far = Array.from(real.data as ArrayLike<number>, Number).filter(
        (x, i) => !(Math.abs(x - known[i]) <= 1e-5 * (1 + Math.abs(x))),
      );
      if (far.length > 0)
        wrong.push(`${node.operator} ${name}: ${known.slice(0, 8)}, not ${real.data.slice(0, 8)}`);
    }
  }
  return { wrong, unknown };
}

/** Networks of exporters, each once, of all packs in turn. */
const networks = (
  await Promise.all(packs.filter((pack) => !pack.startsWith("tfjs")).map((pack) => exportsOf(pack)))
).flatMap((all) => {
  const seen = new Set<string>();
  return all.filter(({ entry }) => entry.runs !== false && !seen.has(entry.case) && seen.add(entry.case));
});

it("there are many networks", () => expect(networks.length).toBeGreaterThan(150));

// each twelfth, since each is a session of its own
it.each(networks.filter((_, i) => i % 12 === 3))("$pack: $name", async ({ name, entry, model, inputs }) => {
  const { graph } = await openModel(model, { name: `${name}.onnx` });
  const first = new Map(inputs.map((one, i) => [graph.inputs[i].name, one.shape]));
  expect(await differences(graph, model, first)).toEqual({ wrong: [], unknown: [] });
  if (!entry.dynamic) return;
  const second = new Map([...first].map(([input, shape]) => [input, shape.with(0, shape[0] + 3)]));
  expect(await differences(graph, model, second)).toEqual({ wrong: [], unknown: [] });
  // what is not open is what both have
  const [a, b] = [await settle(fixed(graph, first), 0), await settle(fixed(graph, second), 0)];
  const [open, other] = [await settle(graph, 0), await settle(graph, 1)];
  for (const value of valuesOf(graph)) {
    const [p, q, r, s] = [a, b, open, other].map((settled) => settled.shape(value));
    expect([value, r?.map((length) => (open.isOpen(length) ? "open" : length))]).toEqual([
      value,
      p?.map((length, axis) => (length === q?.[axis] ? length : "open")),
    ]);
    expect(s?.map((length) => (other.isOpen(length) ? "open" : length))).toEqual(
      r?.map((length) => (open.isOpen(length) ? "open" : length)),
    );
  }
});

/** [operator, opsets, inputs, attributes, number of outputs, domain]: inputs are shapes of reals, or integers that are known. */
type Case = readonly [
  string,
  readonly number[],
  readonly (Lengths | { readonly known: number | Lengths } | { readonly floats: Lengths } | "_")[],
  ModelOf["nodes"][number][3]?,
  number?,
  string?,
];

const known = (...values: number[]) => ({ known: values });
const scalar = (value: number) => ({ known: value });
const floats = (...values: number[]) => ({ floats: values });
const integer = (value: number | number[]) => ({ integer: value });
const image = [2, 4, 11, 9];

const cases: readonly Case[] = [
  ["Conv", [11, 22], [image, [6, 4, 3, 3]]],
  [
    "Conv",
    [11],
    [image, [6, 2, 3, 2], [6]],
    { group: integer(2), strides: integer([2, 3]), pads: integer([1, 0, 2, 1]) },
  ],
  ["Conv", [11], [image, [6, 4, 3, 3]], { dilations: integer([2, 1]), auto_pad: "VALID" }],
  ["Conv", [11], [image, [6, 4, 3, 3]], { strides: integer([2, 2]), auto_pad: "SAME_UPPER" }],
  [
    "Conv",
    [11],
    [
      [2, 4, 9],
      [6, 4, 3],
    ],
    { strides: integer([2]) },
  ],
  ["ConvTranspose", [11], [image, [4, 3, 3, 2]], { strides: integer([2, 3]), pads: integer([1, 0, 0, 1]) }],
  [
    "ConvTranspose",
    [11],
    [image, [4, 3, 3, 3]],
    { strides: integer([2, 2]), output_padding: integer([1, 0]), group: integer(2) },
  ],
  [
    "ConvTranspose",
    [11],
    [image, [4, 3, 3, 3]],
    { strides: integer([2, 2]), output_shape: integer([22, 18]) },
  ],
  ["MaxPool", [8, 12], [image], { kernel_shape: integer([3, 2]), strides: integer([2, 2]) }, 2],
  [
    "MaxPool",
    [12],
    [image],
    { kernel_shape: integer([2, 2]), strides: integer([2, 2]), ceil_mode: integer(1) },
  ],
  [
    "MaxPool",
    [12],
    [image],
    { kernel_shape: integer([3, 3]), dilations: integer([2, 2]), pads: integer([1, 1, 1, 1]) },
  ],
  [
    "AveragePool",
    [11, 19],
    [image],
    {
      kernel_shape: integer([3, 3]),
      strides: integer([2, 2]),
      pads: integer([1, 1, 1, 1]),
      ceil_mode: integer(1),
    },
  ],
  [
    "AveragePool",
    [11],
    [image],
    { kernel_shape: integer([3, 3]), auto_pad: "SAME_LOWER", strides: integer([2, 2]) },
  ],
  ["LpPool", [11], [image], { kernel_shape: integer([2, 2]) }],
  ["GlobalLpPool", [11], [image]],
  ["ReduceProd", [13], [[2, 3, 4]], { axes: integer([1]), keepdims: integer(0) }],
  ["ReduceProd", [18], [[2, 3, 4], known(-1)]],
  ["ReduceLogSumExp", [18], [[2, 3, 4]], { keepdims: integer(0) }],
  ["ReduceLogSum", [13], [[2, 3, 4]], { axes: integer([0, 2]) }],
  ["ArgMax", [13], [[2, 3, 4]], { axis: integer(-1) }],
  ["ArgMin", [13], [[2, 3, 4]], { axis: integer(1), keepdims: integer(0) }],
  ["Resize", [11, 18], [image, floats(), floats(1, 1, 2, 1.5)]],
  ["Resize", [11], [image, floats(), floats(), known(2, 4, 7, 30)]],
  ["Resize", [18], [image, "_", "_", known(2, 4, 7, 30)]],
  ["Resize", [18], [image, "_", floats(0.5, 3)], { axes: integer([2, 3]) }],
  ["Upsample", [9], [image, floats(1, 1, 2, 3)]],
  ["Pad", [9], [[2, 3]], { pads: integer([1, 0, 2, 1]) }],
  ["Pad", [13], [[2, 3], known(1, 0, 2, 1)]],
  ["Pad", [18], [[2, 3], known(1, 2), "_", known(-1)]],
  ["TopK", [9], [[2, 7]], { k: integer(3) }, 2],
  ["TopK", [11], [[7, 2], known(3)], { axis: integer(0) }, 2],
  [
    "Einsum",
    [12],
    [
      [2, 3, 4, 5],
      [2, 3, 6, 5],
    ],
    { equation: "bhid, bhjd -> bhij" },
  ],
  [
    "Einsum",
    [12],
    [
      [2, 3, 4],
      [4, 5],
    ],
    { equation: "...k,kn->...n" },
  ],
  [
    "Einsum",
    [12],
    [
      [3, 4],
      [4, 2],
    ],
    { equation: "ij,jk" },
  ],
  [
    "LSTM",
    [14],
    [
      [5, 2, 3],
      [1, 16, 3],
      [1, 16, 4],
    ],
    { hidden_size: integer(4) },
    3,
  ],
  [
    "GRU",
    [14],
    [
      [5, 2, 3],
      [2, 12, 3],
      [2, 12, 4],
    ],
    { hidden_size: integer(4), direction: "bidirectional" },
    2,
  ],
  [
    "RNN",
    [14],
    [
      [5, 2, 3],
      [1, 4, 3],
      [1, 4, 4],
    ],
    { hidden_size: integer(4) },
    2,
  ],
  ["CumSum", [14], [[2, 3], scalar(1)]],
  ["Trilu", [14], [[3, 3]]],
  ["LogSoftmax", [13], [[2, 3]]],
  ["Softplus", [7], [[2, 3]]],
  ["Mish", [18], [[2, 3]]],
  ["LRN", [13], [image], { size: integer(3) }],
  ["QuantizeLinear", [13], [[2, 3], floats(0.1)]],
  ["DynamicQuantizeLinear", [11], [[2, 3]], {}, 3],
  ["GridSample", [16], [image, [2, 5, 6, 2]]],
  ["NonZero", [13], [[2, 3]]],
  ["Range", [11], [scalar(2), scalar(13), scalar(3)]],
  ["ConstantOfShape", [9], [known(2, 3)]],
  ["Pow", [13], [[2, 1], [3]]],
  ["Mod", [13], [known(7, -7), known(3, 5)]],
  ["Div", [13], [known(7, -7), known(2)]],
  ["Floor", [13], [[2, 3]]],
  ["Slice", [13], [[9, 5], known(0, 1), known(9, 5), known(0, 1), known(2, 3)]],
  ["RandomNormal", [7], [], { shape: integer([2, 3]) }],
  ["EyeLike", [9], [[3, 4]]],
  ["EyeLike", [9], [[3, 4]], { dtype: integer(7) }],
  ["RandomNormalLike", [13], [[3, 4]], { dtype: integer(11) }],
  ["IsNaN", [13], [[2, 3]]],
  ["OneHot", [11], [known(0, 2), scalar(4), known(0, 1)], { axis: integer(0) }],
  ["ReduceMax", [13], [known(3, 9)], { keepdims: integer(0) }],
  [
    "MultiHeadAttention",
    [17],
    [
      [2, 5, 8],
      [2, 6, 8],
      [2, 6, 8],
    ],
    { num_heads: integer(2) },
    1,
    "com.microsoft",
  ],
  ["Attention", [17], [[2, 5, 8], [8, 24], [24]], { num_heads: integer(2) }, 1, "com.microsoft"],
];

describe("each operator, as in onnxruntime", () => {
  const opsets = [...new Set(cases.flatMap(([, versions]) => versions))].sort((a, b) => a - b);

  it.each(opsets)("opset %i", async (opset) => {
    const nodes: [string, string, string, Case[3], string][] = [];
    const constants: ReturnType<typeof newConstant>[] = [];
    const shapes = new Map<string, Lengths>();
    cases.forEach(([operator, versions, operands, attributes = {}, count = 1, domain = ""], i) => {
      if (!versions.includes(opset)) return;
      const reads = operands.map((operand, place) => {
        const name = `${operator}_${i}_${place}`;
        if (operand === "_") return "_";
        if ("known" in operand) constants.push(newConstant(name, operand.known, undefined, "int64"));
        else if ("floats" in operand) constants.push(newConstant(name, operand.floats));
        else shapes.set(name, operand);
        return name;
      });
      const gives = Array.from({ length: count }, (_, place) => `y_${i}_${place}`);
      nodes.push([operator, reads.join(" "), gives.join(" "), attributes, domain]);
    });
    const bytes = onnxBytes({ opset, nodes, constants, inputs: [...shapes], outputs: [] });
    const { graph } = await openModel(bytes);
    expect(await differences(graph, bytes, shapes)).toEqual({ wrong: [], unknown: [] });
  });
});

describe("lengths that are open", () => {
  const settledBoth = (graph: Graph) => Promise.all([settle(graph, 0), settle(graph, 1)]);

  it("have the same stand-in where they have the same name, and one of their own without", async () => {
    const graph = graphOf({
      inputs: [
        ["a", ["batch", "", 8]],
        ["b", ["batch", "", 8]],
        ["c", [1, "", 8]],
      ],
      nodes: [
        ["Add", "a c", "either"],
        ["MatMul", "a w", "product"],
        ["Add", "a one", "shifted"],
      ],
      constants: [constantOf("w", new Float32Array(24), [8, 3]), constantOf("one", 1)],
    });
    for (const settled of await settledBoth(graph)) {
      const [a, b, product] = ["a", "b", "product"].map((name) => settled.shape(name) as Lengths);
      expect([a[0] === b[0], a[1] === b[1], a[2]]).toEqual([true, false, 8]);
      expect(a.map(settled.isOpen)).toEqual([true, true, false]);
      expect(product).toEqual([a[0], a[1], 3]);
      expect(settled.shape("shifted")).toEqual(a);
      const [, c, either] = ["b", "c", "either"].map((name) => settled.shape(name) as Lengths);
      expect([either[0], [a[1], c[1]].includes(either[1]), either[2]]).toEqual([a[0], false, 8]);
      expect([settled.dtype("product"), settled.known("one")?.data]).toEqual(["float32", Float64Array.of(1)]);
    }
    const [first, second] = await settledBoth(graph);
    expect(first.shape("a")?.map((length, axis) => length === second.shape("a")?.[axis])).toEqual([
      false,
      false,
      true,
    ]);
    expect(first.shape("a")?.map((length) => length % 64)).toEqual([0, 0, 8]);
  });

  it("go through shapes that are computed", async () => {
    const graph = graphOf({
      inputs: [["x", ["batch", "steps", 12]]],
      constants: [
        integersOf("zero", 0),
        integersOf("one", [1]),
        integersOf("two", [2]),
        integersOf("heads", [4, 3]),
        integersOf("axis", [0]),
      ],
      nodes: [
        ["Shape", "x", "all"],
        ["Gather", "all zero", "batch"],
        ["Unsqueeze", "batch axis", "row"],
        ["Slice", "all one two", "steps"],
        ["Div", "steps two", "half"],
        ["Mul", "half two", "whole"],
        ["Cast", "half", "real", { to: "float32" }],
        ["Reciprocal", "real", "share"],
        ["Concat", "row whole heads", "shape", { axis: 0 }],
        ["Reshape", "x shape", "apart"],
        ["ConstantOfShape", "shape", "zeros"],
        ["Add", "apart zeros", "y"],
        ["Conv", "image kernel", "windows", { strides: [2, 2] }],
      ],
    });
    for (const settled of await settledBoth(graph)) {
      const [batch, steps] = settled.shape("x") as Lengths;
      expect(settled.shape("y")).toEqual([batch, steps, 4, 3]);
      expect(Array.from(settled.known("shape")?.data ?? [])).toEqual([batch, steps, 4, 3]);
      expect(Array.from(settled.known("share")?.data ?? []).map(settled.isOpen)).toEqual([true]);
      expect(Array.from(settled.known("shape")?.data ?? []).map(settled.isOpen)).toEqual([
        true,
        true,
        false,
        false,
      ]);
      expect(settled.uniform("zeros")).toBe(0);
      expect(settled.known("zeros")).toBeUndefined();
      expect(settled.shape("windows")).toBeUndefined();
    }
  });

  it("are what a Reshape asks for, also of what is not known, or is of another size with stand-ins", async () => {
    // as PaddleOCR reads text: of images of one height alone, which the file leaves open
    const graph = graphOf({
      inputs: [["x", ["batch", 120, "height", "width"]]],
      constants: [
        integersOf("zero", [0]),
        integersOf("rows", [1]),
        integersOf("three", [3]),
        integersOf("four", [4]),
        integersOf("channels", [120]),
        integersOf("fixed", [2, 6]),
        integersOf("rest", [1, -1, 6]),
        integersOf("copied", [0, 6]),
      ],
      nodes: [
        ["Shape", "x", "all"],
        ["Slice", "all three four", "width"],
        ["Concat", "zero rows width channels", "shape", { axis: 0 }],
        ["Transpose", "x", "last", { perm: [0, 2, 3, 1] }],
        ["Reshape", "last shape", "row"],
        ["Mystery", "x", "odd", {}, "of.somebody"],
        ["Reshape", "odd fixed", "known"],
        ["Reshape", "odd rest", "partly"],
        ["Reshape", "odd copied", "copies"],
      ],
    });
    for (const settled of await settledBoth(graph)) {
      const [batch, , , width] = settled.shape("x") as Lengths;
      expect(settled.shape("row")).toEqual([batch, 1, width, 120]);
      expect(settled.shape("known")).toEqual([2, 6]);
      expect(settled.shape("partly")?.map(settled.isOpen)).toEqual([false, true, false]);
      expect(settled.shape("copies")).toBeUndefined();
    }
  });

  it("are open where two meet that fit for some lengths alone, and the rest is known", async () => {
    const graph = graphOf({
      inputs: [
        ["x", ["batch", 8, "height", "width"]],
        ["row", ["batch", 4, 1, "width"]],
        ["other", ["images", 8, 1, 5]],
      ],
      nodes: [
        ["Concat", "x row", "joined", { axis: 1 }],
        ["Add", "x other", "sum"],
        ["Concat", "x other", "tall", { axis: -2 }],
      ],
    });
    for (const settled of await settledBoth(graph)) {
      const [batch, , height, width] = settled.shape("x") as Lengths;
      const joined = settled.shape("joined") as Lengths;
      expect([joined[0], joined[1], joined[3]]).toEqual([batch, 12, width]);
      expect(settled.isOpen(joined[2])).toBe(true);
      expect(joined[2]).not.toBe(height);
      const sum = settled.shape("sum") as Lengths;
      expect([sum[1], sum[2]]).toEqual([8, height]);
      expect(sum.map(settled.isOpen)).toEqual([true, false, true, true]);
      expect(settled.shape("tall")?.map(settled.isOpen)).toEqual([true, false, true, true]);
    }
    // as BERT cuts a table of 512 positions to its sequence, and masks
    const bert = graphOf({
      inputs: [
        ["words", ["batch", "sequence", 384]],
        ["mask", ["batch", 1, 1, "sequence"]],
        ["scores", ["batch", 12, 512, 512]],
        ["square", ["batch", 12, "sequence", "sequence"]],
        ["triangle", [1, 1, 512, 512], "bool"],
        ["values", ["batch", 12, "sequence", 32]],
      ],
      constants: [
        integersOf("table", Array(512).fill(0)),
        constantOf("lowest", -1e38),
        constantOf("embedding", new Float32Array(2 * 384), [2, 384]),
        integersOf("zero", [0]),
        integersOf("one", [1]),
        integersOf("two", [2]),
      ],
      nodes: [
        ["Shape", "words", "all"],
        ["Slice", "all zero two", "shape"],
        ["Slice", "all one two", "length"],
        ["Slice", "table zero length", "row"],
        ["Unsqueeze", "row zero", "rows"],
        ["Expand", "rows shape", "types"],
        ["Gather", "embedding types", "typed"],
        ["Add", "words typed", "y"],
        ["Add", "scores mask", "masked"],
        ["MatMul", "masked values", "attended"],
        // as GPT-2 cuts its triangle of 512 by 512
        ["Where", "triangle square lowest", "causal"],
        ["Max", "lowest triangle square", "larger"],
      ],
    });
    for (const settled of await settledBoth(bert)) {
      const [batch, sequence] = settled.shape("words") as Lengths;
      expect(settled.shape("types")).toEqual([batch, sequence]);
      expect(settled.shape("y")).toEqual([batch, sequence, 384]);
      expect(settled.shape("attended")).toEqual([batch, 12, 512, 32]);
      for (const name of ["causal", "larger"]) {
        const shape = settled.shape(name) as Lengths;
        expect(shape.slice(0, 2)).toEqual([batch, 12]);
        expect(shape.map(settled.isOpen)).toEqual([true, false, true, true]);
      }
    }
    const tensorflow = graphOf({
      dialect: "tensorflow",
      inputs: [
        ["x", ["batch", "height", 8]],
        ["y", ["batch", 1, 4]],
        ["z", ["images", 1, 8]],
      ],
      constants: [integersOf("last", -1, "int32")],
      nodes: [
        ["ConcatV2", "x y last", "joined"],
        ["AddV2", "x z", "sum"],
      ],
    });
    for (const settled of await settledBoth(tensorflow)) {
      expect(settled.shape("joined")?.map(settled.isOpen)).toEqual([true, true, false]);
      expect(settled.shape("joined")?.[2]).toBe(12);
      expect(settled.shape("sum")?.map(settled.isOpen)).toEqual([true, true, false]);
    }
  });

  it("are known from the file where an operator is not, and never guessed", async () => {
    const graph = graphOf({
      inputs: [["x", [2, 3]]],
      nodes: [
        ["Mystery", "x", "said", {}, "of.somebody"],
        ["Mystery", "x", "unsaid", {}, "of.somebody"],
        ["constructor", "x", "odd"],
        ["__proto__", "x", "odder"],
        ["Relu", "said", "y"],
        ["Relu", "unsaid", "z"],
      ],
      values: [["said", [2, "n"], "float16"]],
    });
    const settled = await settle(graph, 0);
    expect([settled.shape("y")?.[0], settled.isOpen(settled.shape("y")?.[1] as number)]).toEqual([2, true]);
    expect(settled.dtype("y")).toBe("float16");
    expect(["unsaid", "z", "odd", "odder"].map(settled.shape)).toEqual(Array(4).fill(undefined));
  });
});

describe("graphs within", () => {
  it("an If has what both branches give", async () => {
    const branch = (path: string, nodes: NodeOf[]) => graphOf({ path, nodes, outputs: ["same", path] });
    const yes = branch("a", [
      ["Relu", "x", "same"],
      ["Concat", "x x", "a", { axis: 1 }],
    ]);
    const no = branch("b", [
      ["Abs", "x", "same"],
      ["Concat", "x x x", "b", { axis: 1 }],
    ]);
    const settledOf = (holds: number) => {
      const constants = holds < 0 ? [] : [constantOf("which", holds, [], "bool")];
      const graph = graphOf({
        inputs: [["x", [2, 3]], ...(holds < 0 ? [["which", [], "bool"] as const] : [])],
        nodes: [["If", "which", "p q", { then_branch: yes, else_branch: no }]],
        constants,
      });
      return settle(graph, 0);
    };
    const either = await settledOf(-1);
    expect(either.shape("p")).toEqual([2, 3]);
    expect(either.shape("q")?.map(either.isOpen)).toEqual([false, true]);
    expect((await settledOf(1)).shape("q")).toEqual([2, 6]);
    expect((await settledOf(0)).shape("q")).toEqual([2, 9]);
  });

  it("a loop's shapes are open where its body changes them", async () => {
    const body = graphOf({
      path: "body",
      inputs: [
        ["i", [], "int64"],
        ["go", [], "bool"],
        ["kept", undefined],
        ["grown", undefined],
      ],
      nodes: [
        ["Relu", "kept", "kept2"],
        ["Concat", "grown kept", "grown2", { axis: 0 }],
        ["Abs", "kept2", "row"],
        ["Identity", "go", "go2"],
      ],
      outputs: ["go2", "kept2", "grown2", "row"],
    });
    const graph = graphOf({
      inputs: [
        ["x", [1, 3]],
        ["steps", [], "int64"],
      ],
      nodes: [["Loop", "steps _ x x", "a b rows", { body }]],
    });
    const settled = await settle(graph, 0);
    expect(settled.shape("a")).toEqual([1, 3]);
    expect(settled.shape("b")?.map(settled.isOpen)).toEqual([true, false]);
    expect(settled.shape("rows")?.slice(1)).toEqual([1, 3]);
  });

  it("a function is what its body gives, with the settings of the call", async () => {
    const inner = graphOf({ path: "mean", nodes: [["ReduceMean", "a", "b", { keepdims: 0 }]] });
    const [node] = inner.nodes;
    const attributes = new Map([...node.attributes, ["axes", { graphs: [], reference: "over" }] as const]);
    const graph = graphOf({
      inputs: [["x", [2, 3, 4]]],
      nodes: [
        ["Mean1", "x", "last", { over: [2] }, "mine"],
        ["Mean1", "x", "first", {}, "mine"],
      ],
      functions: new Map([
        [
          "mine:Mean1:",
          {
            graph: { ...inner, nodes: [{ ...node, attributes }] },
            inputs: ["a"],
            outputs: ["b"],
            defaults: new Map([["over", { value: [0], graphs: [], reference: "" }]]),
          },
        ],
      ]),
    });
    const settled = await settle(graph, 0);
    expect([settled.shape("last"), settled.shape("first")]).toEqual([
      [2, 3],
      [3, 4],
    ]);
    // of its own values, what all calls have
    const within = await settle(graph.functions.get("mine:Mean1:")?.graph as Graph, 0);
    expect([within.shape("a"), within.dtype("b"), within.shape("b")]).toEqual([
      [2, 3, 4],
      "float32",
      undefined,
    ]);
  });
});

it("a branch's values are known by the graph around it", async () => {
  const [exported] = (await exportsOf("converted")).filter(({ name }) => name.startsWith("layer-in-if"));
  const { graphs } = await openModel(exported.model);
  const branches = graphs.filter(({ around }) => around !== undefined);
  expect(branches.length).toBe(2);
  for (const branch of branches) {
    const settled = await settle(branch, 0);
    expect(valuesOf(branch).filter((name) => settled.shape(name) === undefined)).toEqual([]);
    expect(valuesOf(branch).filter((name) => settled.dtype(name) === undefined)).toEqual([]);
  }
});

describe("hostile graphs", () => {
  it("values of a great size are never made", async () => {
    const graph = graphOf({
      constants: [
        integersOf("great", [2 ** 20, 2 ** 20]),
        integersOf("limit", 2 ** 40),
        integersOf("zero", 0),
        integersOf("step", 1),
        constantOf("one", 1),
        constantOf("column", new Float32Array(4096), [4096, 1]),
        constantOf("row", new Float32Array(4096), [1, 4096]),
      ],
      nodes: [
        ["ConstantOfShape", "great", "zeros"],
        ["Exp", "zeros", "ones"],
        ["Range", "zero limit step", "range"],
        ["Expand", "one great", "wide"],
        ["Add", "column row", "both"],
        ["Tile", "row great", "tiles"],
        ["Add", "both both", "sum"],
      ],
    });
    const settled = await settle(graph, 0);
    expect(settled.shape("ones")).toEqual([2 ** 20, 2 ** 20]);
    expect(["zeros", "ones", "wide"].map(settled.uniform)).toEqual([0, 1, 1]);
    expect(settled.shape("range")).toEqual([2 ** 40]);
    expect(settled.shape("tiles")).toEqual([2 ** 20, 2 ** 32]);
    expect(["zeros", "range", "wide", "both", "tiles", "sum"].map(settled.known)).toEqual(
      Array(6).fill(undefined),
    );
  });

  it("parts and axes without number are none", async () => {
    const many = Array.from({ length: 3000 }, () => 1);
    const graph = graphOf({
      opset: 18,
      inputs: [
        ["x", [2 ** 30]],
        ["row", [2]],
      ],
      constants: [integersOf("many", many)],
      nodes: [
        ["Split", "x", "part rest", { num_outputs: 2 ** 29 }],
        ["Reshape", "row many", "deep"],
        ["Expand", "row many", "deeper"],
        ["ConstantOfShape", "many", "deepest"],
        ["Slice", "row row row", "none"],
      ],
    });
    const settled = await settle(graph, 0);
    expect(["part", "deep", "deeper", "deepest"].map(settled.shape)).toEqual(Array(4).fill(undefined));
  });

  it("functions that call one another twice each end", async () => {
    const functions = new Map();
    for (let i = 0; i < 40; i++) {
      const calls = graphOf({
        path: `f${i}`,
        nodes: [
          [`F${i + 1}`, "a", "b", {}, "mine"],
          [`F${i + 1}`, "b", "c", {}, "mine"],
        ],
        functions,
      });
      functions.set(`mine:F${i}:`, { graph: calls, inputs: ["a"], outputs: ["c"], defaults: new Map() });
    }
    const graph = graphOf({ inputs: [["x", [2]]], nodes: [["F0", "x", "y", {}, "mine"]], functions });
    expect((await settle(graph, 0)).shape("y")).toBeUndefined();
  });

  it("a long graph is settled", async () => {
    const count = 5_000;
    const nodes = Array.from(
      { length: count },
      (_, i): NodeOf => [i % 2 ? "Add" : "Relu", i % 2 ? `v${i} x` : `v${i}`, `v${i + 1}`],
    );
    const graph = graphOf({
      inputs: [
        ["x", ["n", 3]],
        ["v0", ["n", 3]],
      ],
      nodes,
    });
    const settled = await settle(graph, 0);
    expect(settled.shape(`v${count}`)).toEqual(settled.shape("x"));
  });
});
