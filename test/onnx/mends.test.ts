/** Mends of whole models: what is found in a file, mended, written, and run in onnxruntime beside what it was. */
import { describe, expect, it } from "vitest";
import { bytesField, integerField, message, textField } from "../../src/checkpoints/encodings/protobuf.js";
import type { Mend } from "../../src/checkpoints/graphs/graph.js";
import { find } from "../../src/onnx/find.js";
import { illsOf } from "../../src/onnx/ills.js";
import { measure } from "../../src/onnx/measure.js";
import { type MendOptions, mendsOf } from "../../src/onnx/mends.js";
import { constantNodeMessage, nodeMessage, opsetMessage } from "../../src/onnx/messages.js";
import { openModel } from "../../src/onnx/model.js";
import { exportsOf } from "../support/onnx-exports.js";
import {
  type ModelOf,
  mendedBytes,
  type NewNodeOf,
  newConstant,
  onnxBytes,
  run,
} from "../support/onnx-models.js";

const wave = (length: number, phase = 0, middle = 0) =>
  Float32Array.from({ length }, (_, i) => middle + Math.sin(i * i * 0.3 + i + phase));

async function opened(written: ModelOf) {
  const bytes = onnxBytes(written);
  const model = await openModel(bytes);
  return { bytes, model, found: await find(model) };
}

async function mendsIn(written: ModelOf, options: MendOptions = {}) {
  const { bytes, model, found } = await opened(written);
  const mends = await mendsOf(model, found, options);
  return { bytes, model, found, mends };
}

const operatorsOf = (mends: readonly Mend[]) =>
  mends.flatMap(({ nodes }) => nodes.map(({ operator }) => operator));

/** Outputs of a model and of the mended one, in units of the largest value. */
async function differenceOf(before: Uint8Array, after: Uint8Array, feeds: Parameters<typeof run>[1]) {
  const [expected, given] = [await run(before, feeds), await run(after, feeds)];
  expect(Object.keys(given)).toEqual(Object.keys(expected));
  return Math.max(
    ...Object.entries(expected).map(([name, values]) => {
      const most = Math.max(...values.map(Math.abs));
      return Math.max(...values.map((value, i) => Math.abs(value - given[name][i]))) / most;
    }),
  );
}

/** Layer normalization over the last axis of length 8, by PyTorch's exporter below opset 17. */
function layerOf(x: string, y: string, name: string): NewNodeOf[] {
  const of = (value: string) => `${name}/${value}`;
  return [
    ["ReduceMean", x, of("mean"), { axes: { integer: [-1] } }],
    ["Sub", `${x} ${of("mean")}`, of("d")],
    ["Pow", `${of("d")} two`, of("square")],
    ["ReduceMean", of("square"), of("variance"), { axes: { integer: [-1] } }],
    ["Add", `${of("variance")} epsilon`, of("sum")],
    ["Sqrt", of("sum"), of("root")],
    ["Div", `${of("d")} ${of("root")}`, of("xHat")],
    ["Mul", `${of("xHat")} gamma`, of("scaled")],
    ["Add", `${of("scaled")} beta`, y],
  ];
}

const constants = [
  newConstant("two", 2),
  newConstant("epsilon", 1e-5),
  newConstant("gamma", wave(8, 1, 1.5)),
  newConstant("beta", wave(8, 2)),
];

/** A sum that is normalized, and goes past the normalization. */
const block: ModelOf = {
  opset: 13,
  nodes: [
    ["Add", "a b", "sum"],
    ...layerOf("sum", "normalized", "norm"),
    ["Relu", "normalized", "active"],
    ["Add", "sum active", "y"],
  ],
  constants,
  inputs: [
    ["a", [2, 3, 8]],
    ["b", [2, 3, 8]],
  ],
  outputs: [["y", [2, 3, 8]]],
};
const blockFeeds = {
  a: { shape: [2, 3, 8], data: wave(48) },
  b: { shape: [2, 3, 8], data: wave(48, 3) },
};

const skipping: MendOptions = {
  target: "onnxruntime",
  runtimeOperators: new Set(["SkipLayerNormalization", "SkipSimplifiedLayerNormalization"]),
};

describe("a sum that is normalized", () => {
  it("is one operator of onnxruntime's, which gives the sum too", async () => {
    const { bytes, model, mends } = await mendsIn(block, skipping);
    expect(mends.map(({ title }) => title)).toEqual(["SkipLayerNormalization in place of 10 nodes"]);
    expect(mends[0].nodes[0].outputs).toEqual(["normalized", "", "", "sum"]);
    expect(mends[0].opsets).toEqual({ "com.microsoft": 1 });
    expect(await differenceOf(bytes, await mendedBytes(model, mends), blockFeeds)).toBeLessThan(1e-6);
  });

  it("is a sum and a normalization for others, and on a CPU, where the operator is slower", async () => {
    expect((await mendsIn(block)).mends).toEqual([]);
    const higher = { ...block, opset: 17 };
    for (const options of [{}, { target: "onnxruntime" }] as const) {
      const { bytes, model, mends } = await mendsIn(higher, options);
      expect(mends.map(({ title }) => title)).toEqual(["LayerNormalization (opset 17) in place of 9 nodes"]);
      expect(await differenceOf(bytes, await mendedBytes(model, mends), blockFeeds)).toBeLessThan(1e-6);
    }
  });

  it("stays a sum where one of its terms is spread", async () => {
    const spread: ModelOf = {
      ...block,
      opset: 17,
      inputs: [
        ["a", [2, 3, 8]],
        ["b", [3, 8]],
      ],
    };
    const { mends } = await mendsIn(spread, skipping);
    expect(operatorsOf(mends)).toEqual(["LayerNormalization"]);
    const open: ModelOf = {
      ...block,
      opset: 17,
      inputs: [
        ["a", ["n", 3, 8]],
        ["b", ["m", 3, 8]],
      ],
    };
    expect(operatorsOf((await mendsIn(open, skipping)).mends)).not.toContain("SkipLayerNormalization");
    const same: ModelOf = {
      ...open,
      inputs: [
        ["a", ["n", 3, 8]],
        ["b", ["n", 3, 8]],
      ],
    };
    expect(operatorsOf((await mendsIn(same, skipping)).mends)).toEqual(["SkipLayerNormalization"]);
  });
});

describe("operator sets", () => {
  it("are raised where all nodes can follow", async () => {
    const { bytes, model, mends } = await mendsIn(block, { opset: 17 });
    expect(mends.map(({ title, opsets }) => [title, opsets])).toEqual([
      ["LayerNormalization (opset 17) in place of 9 nodes", { "": 17 }],
    ]);
    const mended = await mendedBytes(model, mends);
    expect((await openModel(mended)).opsets.get("")).toBe(17);
    expect(await differenceOf(bytes, mended, blockFeeds)).toBeLessThan(1e-6);
  });

  it("are raised with nodes of another form that stay", async () => {
    const nodes: NewNodeOf[] = [
      ...block.nodes.slice(0, -1),
      ["ReduceMax", "active", "most", { axes: { integer: [1] } }],
    ];
    const reduced: ModelOf = { ...block, nodes: [...nodes, ["Add", "sum most", "y"]] };
    const { bytes, model, mends } = await mendsIn(reduced, { opset: 20 });
    expect(operatorsOf(mends)).toEqual(["LayerNormalization"]);
    expect(await differenceOf(bytes, await mendedBytes(model, mends), blockFeeds)).toBeLessThan(1e-6);
  });

  it("stay where a node cannot follow", async () => {
    const nodes: NewNodeOf[] = [...block.nodes, ["Upsample", "y scales", "z"]];
    const old: ModelOf = {
      ...block,
      opset: 9,
      nodes,
      constants: [...constants, newConstant("scales", [1, 1, 1])],
      outputs: [["z", [2, 3, 8]]],
    };
    expect((await mendsIn(old, { opset: 24 })).mends).toEqual([]);
  });
});

describe("what others read", () => {
  it("stays where it is within the normalization", async () => {
    const shared: ModelOf = {
      ...block,
      opset: 17,
      nodes: [...block.nodes, ["Mul", "norm/d norm/root", "other"]],
      outputs: [...block.outputs, ["other", [2, 3, 8]]],
    };
    const { bytes, model, mends } = await mendsIn(shared);
    expect(mends[0].replaces.map(({ outputs }) => outputs[0])).toEqual([
      "norm/xHat",
      "norm/scaled",
      "normalized",
    ]);
    expect(await differenceOf(bytes, await mendedBytes(model, mends), blockFeeds)).toBeLessThan(1e-6);
  });

  it("is given before it is read", async () => {
    // the sum is read between the sum and the end of the normalization
    const nodes: NewNodeOf[] = [
      ["Add", "a b", "sum"],
      ["Relu", "sum", "early"],
      ...layerOf("sum", "normalized", "norm"),
      ["Add", "early normalized", "y"],
    ];
    const early: ModelOf = { ...block, nodes };
    const { bytes, model, mends } = await mendsIn(early, skipping);
    expect(operatorsOf(mends)).toEqual(["SkipLayerNormalization"]);
    expect(await differenceOf(bytes, await mendedBytes(model, mends), blockFeeds)).toBeLessThan(1e-6);
  });
});

describe("activations", () => {
  const of = (nodes: NewNodeOf[], opset = 17): ModelOf => ({
    opset,
    nodes: [["Add", "x bias", "t"], ...nodes],
    constants: [
      newConstant("bias", wave(8, 4)),
      newConstant("root2", Math.SQRT2),
      newConstant("one", 1),
      newConstant("half", 0.5),
      newConstant("three", 3),
      newConstant("cubic", 0.044715),
      newConstant("slope", Math.sqrt(2 / Math.PI)),
    ],
    inputs: [["x", [3, 8]]],
    outputs: [["y", [3, 8]]],
  });
  const gelu = [
    ["Div", "t root2", "u"],
    ["Erf", "u", "e"],
    ["Add", "e one", "f"],
    ["Mul", "t f", "g"],
    ["Mul", "g half", "y"],
  ] as NewNodeOf[];
  const tanh = [
    ["Pow", "t three", "cube"],
    ["Mul", "cube cubic", "c"],
    ["Add", "t c", "s"],
    ["Mul", "s slope", "u"],
    ["Tanh", "u", "e"],
    ["Add", "e one", "f"],
    ["Mul", "t half", "g"],
    ["Mul", "g f", "y"],
  ] as NewNodeOf[];
  const silu = [
    ["Sigmoid", "t", "s"],
    ["Mul", "t s", "y"],
  ] as NewNodeOf[];
  const target = "onnxruntime";
  const also = (nodes: NewNodeOf[]): NewNodeOf[] => [...nodes, ["Relu", "t", "z"]];
  it.each([
    ["GELU for onnxruntime", of(gelu), { target }, "BiasGelu"],
    ["its approximation for onnxruntime", of(tanh), { target }, "FastGelu"],
    ["SiLU for onnxruntime", of(silu), { target }, "QuickGelu"],
    ["GELU of a sum that others read", { ...of(also(gelu)), outputs: [["y"], ["z"]] }, { target }, "Gelu"],
    ["GELU", of(gelu, 20), {}, "Gelu"],
    ["its approximation", of(tanh, 20), {}, "Gelu"],
    ["GELU, the set raised", of(gelu), { opset: 20 }, "Gelu"],
  ] as [string, ModelOf, MendOptions, string][])("%s", async (_, written, options, operator) => {
    const { bytes, model, mends } = await mendsIn(written, options);
    expect(operatorsOf(mends)).toEqual([operator]);
    const feeds = { x: { shape: [3, 8], data: wave(24).map((value) => 4 * value) } };
    expect(await differenceOf(bytes, await mendedBytes(model, mends), feeds)).toBeLessThan(1e-6);
  });
  it("stay where there is no operator", async () => {
    expect((await mendsIn(of(gelu))).mends).toEqual([]);
    expect((await mendsIn(of(silu, 20))).mends).toEqual([]);
  });
});

describe("weights that are normalized in each run", () => {
  const weighted: ModelOf = {
    opset: 13,
    nodes: [
      ["ReduceL2", "v", "length", { axes: { integer: [1] }, keepdims: { integer: 1 } }],
      ["Div", "v length", "direction"],
      ["Mul", "direction g", "weight"],
      ["Gemm", "x weight", "y", { transB: { integer: 1 } }],
    ],
    constants: [newConstant("v", wave(40, 1), [5, 8]), newConstant("g", wave(5, 2, 2), [5, 1])],
    inputs: [["x", [3, 8]]],
    outputs: [["y", [3, 5]]],
  };
  const feeds = { x: { shape: [3, 8], data: wave(24) } };
  it("are constants", async () => {
    const { bytes, model, mends, found } = await mendsIn(weighted);
    expect(mends.map(({ title }) => title)).toEqual([
      "weight normalization made a constant in place of 3 nodes",
    ]);
    const mended = await mendedBytes(model, mends);
    expect((await openModel(mended)).graph.nodes.map(({ operator }) => operator)).toEqual(["Gemm"]);
    expect((await openModel(mended)).graph.constants.has("v")).toBe(false);
    expect(await differenceOf(bytes, mended, feeds)).toBeLessThan(1e-6);
    expect(illsOf(model, found).map(({ kind }) => kind)).toEqual(["constant computed in each run"]);
  });
  it("are given by a node where they are an output", async () => {
    const given: ModelOf = {
      ...weighted,
      outputs: [
        ["y", [3, 5]],
        ["weight", [5, 8]],
      ],
    };
    const { bytes, model, mends } = await mendsIn(given);
    expect(operatorsOf(mends)).toEqual(["Identity"]);
    expect(await differenceOf(bytes, await mendedBytes(model, mends), feeds)).toBeLessThan(1e-6);
  });
});

describe("batch normalization", () => {
  const stored = (
    mean: ArrayLike<number>,
    variance: ArrayLike<number>,
    attributes = {},
    outputs = "y",
  ): ModelOf => ({
    opset: 15,
    nodes: [
      [
        "BatchNormalization",
        "x gamma beta mean variance",
        outputs,
        { epsilon: { float: 2 ** -10 }, ...attributes },
      ],
    ],
    constants: [
      newConstant("gamma", new Float32Array(4).fill(1)),
      newConstant("beta", new Float32Array(4)),
      newConstant("mean", mean),
      newConstant("variance", variance),
    ],
    inputs: [["x", [3, 4, 2]]],
    outputs: [["y", [3, 4, 2]]],
  });
  const feeds = { x: { shape: [3, 4, 2], data: wave(24) } };
  const zeros = new Float32Array(4);

  it("that does nothing is gone", async () => {
    const nothing = stored(zeros, new Float32Array(4).fill(1 - 2 ** -10));
    const { bytes, model, mends } = await mendsIn(nothing);
    expect(mends.map(({ title }) => title)).toEqual(["a batch normalization that does nothing is gone"]);
    expect(await differenceOf(bytes, await mendedBytes(model, mends), feeds)).toBe(0);
    expect((await mendsIn(stored(zeros, new Float32Array(4).fill(1)))).mends).toEqual([]);
  });

  it("in training mode is that of evaluation where it is asked for, and its statistics were set", async () => {
    const training = { training_mode: { integer: 1 } };
    const written = stored(wave(4, 1), wave(4, 2, 2), training, "y m v");
    expect((await mendsIn(written)).mends).toEqual([]);
    const { bytes, model, mends, found } = await mendsIn(written, { evaluation: true });
    expect(illsOf(model, found).map(({ kind }) => kind)).toContain("training mode");
    const expected = onnxBytes(stored(wave(4, 1), wave(4, 2, 2)));
    const mended = await mendedBytes(model, mends);
    expect(await differenceOf(expected, mended, feeds)).toBeLessThan(1e-6);
    expect(await run(bytes, feeds)).not.toEqual(await run(mended, feeds));
    const unset = stored(zeros, new Float32Array(4).fill(1), training, "y m v");
    expect((await mendsIn(unset, { evaluation: true })).mends).toEqual([]);
  });
});

describe("gamma and beta that are computed as the network runs", () => {
  const style: ModelOf = {
    opset: 17,
    nodes: [
      ["Exp", "s", "gamma"],
      ["ReduceMean", "x", "mean", { axes: { integer: [2, 3] } }],
      ["Sub", "x mean", "d"],
      ["Mul", "d d", "square"],
      ["ReduceMean", "square", "variance", { axes: { integer: [2, 3] } }],
      ["Add", "variance epsilon", "sum"],
      ["Sqrt", "sum", "root"],
      ["Div", "gamma root", "factor"],
      ["Mul", "d factor", "scaled"],
      ["Add", "scaled s", "y"],
    ],
    constants: [newConstant("epsilon", 1e-5)],
    inputs: [
      ["x", ["n", 3, 4, 5]],
      ["s", ["n", 3, 1, 1]],
    ],
    outputs: [["y", ["n", 3, 4, 5]]],
  };
  const feeds = {
    x: { shape: [2, 3, 4, 5], data: wave(120) },
    s: { shape: [2, 3, 1, 1], data: wave(6, 2) },
  };
  it.each([
    [{}, "Exp InstanceNormalization Mul Add"],
    [{ target: "onnxruntime" }, "Exp LayerNormalization Mul Add"],
  ] as [MendOptions, string][])("%o: follow the operator", async (options, operators) => {
    const { bytes, model, mends } = await mendsIn(style, options);
    const mended = await mendedBytes(model, mends);
    expect((await openModel(mended)).graph.nodes.map(({ operator }) => operator).join(" ")).toBe(operators);
    expect(await differenceOf(bytes, mended, feeds)).toBeLessThan(2e-6);
  });
});

describe("GroupNormalization", () => {
  const grouped = (opset: number, each: number): ModelOf => ({
    opset,
    nodes: [
      ["GroupNormalization", "x gamma beta", "y", { num_groups: { integer: 2 }, epsilon: { float: 1e-3 } }],
    ],
    constants: [newConstant("gamma", wave(each, 1, 2)), newConstant("beta", wave(each, 2))],
    inputs: [["x", ["n", 6, 4, "w"]]],
    outputs: [["y", ["n", 6, 4, "w"]]],
  });
  const shape = [2, 6, 4, 5];
  it("is E[x²] − E[x]² in onnxruntime, and instance normalization of groups is not", async () => {
    const target = "onnxruntime";
    const { bytes, model, mends, found } = await mendsIn(grouped(21, 6), { target });
    expect(illsOf(model, found)).toEqual([]);
    const met = measure(found.norms[0], { shape, data: wave(240).map((value) => 40000 + value) });
    expect(
      illsOf(model, found, new Map([[found.norms[0], met]]), { target }).map(({ message }) => message),
    ).toEqual([
      expect.stringMatching(
        /^the variance of onnxruntime's GroupNormalization is E\[x²\] − E\[x\]², and a mean is \d+ standard/,
      ),
    ]);
    expect(mends.map(({ title }) => title)).toEqual([
      "InstanceNormalization of groups (opset 21) in place of 1 node",
    ]);
    const mended = await mendedBytes(model, mends);
    expect(await differenceOf(bytes, mended, { x: { shape, data: wave(240) } })).toBeLessThan(2e-6);
    // as near to zero as that is, y of both is right
    const data = wave(240).map((value) => Math.round(4 * value));
    const [near] = [await run(bytes, { x: { shape, data } })];
    const far = { x: { shape, data: data.map((value) => 40000 + value) } };
    const off = (y: Float32Array) => Math.max(...y.map((value, i) => Math.abs(value - near.y[i])));
    expect(off((await run(mended, far)).y)).toBeLessThan(0.02);
    expect(off((await run(bytes, far)).y)).not.toBeLessThan(1);
  });
  it("stays for others, and with a gamma for each group", async () => {
    expect((await mendsIn(grouped(21, 6))).mends).toEqual([]);
    const { bytes, model, mends } = await mendsIn(grouped(18, 2), { target: "onnxruntime" });
    const mended = await mendedBytes(model, mends);
    expect(await differenceOf(bytes, mended, { x: { shape, data: wave(240) } })).toBeLessThan(2e-6);
  });
});

it("mends are independent of each other", async () => {
  const nodes: NewNodeOf[] = [
    ["Conv", "x weight", "t", { pads: { integer: [1, 1] } }],
    ["BatchNormalization", "t scale shift mean variance", "u"],
    ...layerOf("u", "v", "first"),
    ["Sigmoid", "v", "s"],
    ["Mul", "v s", "w"],
    ["Add", "u w", "sum"],
    ...layerOf("sum", "y", "second"),
  ];
  const written: ModelOf = {
    opset: 17,
    nodes,
    constants: [
      ...constants,
      newConstant("weight", wave(36, 1), [4, 3, 3]),
      ...["scale", "shift", "mean", "variance"].map((name, i) => newConstant(name, wave(4, i, 2))),
    ],
    inputs: [["x", [2, 3, 8]]],
    outputs: [["y", [2, 4, 8]]],
  };
  const { bytes, model, mends } = await mendsIn(written, { target: "onnxruntime" });
  expect(mends).toHaveLength(4);
  const replaced = mends.flatMap(({ replaces }) => replaces);
  expect(new Set(replaced).size).toBe(replaced.length);
  const feeds = { x: { shape: [2, 3, 8], data: wave(48) } };
  const subsets = [...mends.map((mend) => [mend]), mends.slice(1), mends, [...mends].reverse()];
  for (const some of subsets) {
    expect(await differenceOf(bytes, await mendedBytes(model, some), feeds)).toBeLessThan(2e-6);
  }
});

describe("functions", () => {
  /** NodeProto; of an attribute the call says what it is, which calls it "own". */
  const nodeOf = ([operator, inputs, output, attributes = {}]: NewNodeOf, reference = "") =>
    message([
      nodeMessage({
        name: output,
        operator,
        domain: "",
        inputs: inputs === "" ? [] : inputs.split(" "),
        outputs: [output],
        attributes,
      }),
      ...(reference === ""
        ? []
        : [bytesField(5, message([textField(1, reference), textField(21, "own"), integerField(20, 1)]))]),
    ]);

  /** A network that calls a function of x, gamma and beta, with its attribute `own`. */
  function calling(
    opset: number,
    body: readonly Uint8Array[],
    shape: readonly number[],
    own = 1,
  ): Uint8Array {
    const called = message([
      textField(1, "Own"),
      ...["x", "gamma", "beta"].map((name) => textField(4, name)),
      textField(5, "y"),
      textField(6, "own"),
      ...body.map((one) => bytesField(7, one)),
      bytesField(9, opsetMessage("", opset)),
      textField(10, "own"),
    ]);
    const network = onnxBytes({
      opset,
      nodes: [["Own", "x gamma beta", "y", { own: { float: own } }, "own"]],
      constants: constants.slice(2),
      inputs: [["x", shape]],
      outputs: [["y", shape]],
    });
    return message([network, bytesField(25, called)]);
  }

  const [two, epsilon] = constants.slice(0, 2).map((one) => constantNodeMessage("test", one));
  const layer = layerOf("x", "y", "norm").map((node) => nodeOf(node));

  it.each([
    [13, []],
    [17, ["LayerNormalization"]],
  ])("of opset %i have onnxruntime's operators where they are ONNX's too", async (opset, operators) => {
    const bytes = calling(opset, [two, epsilon, ...layer], [2, 3, 8]);
    const model = await openModel(bytes);
    const found = await find(model);
    expect(found.norms.map(({ norm }) => norm)).toEqual(["layerNorm"]);
    const mends = await mendsOf(model, found, { target: "onnxruntime" });
    expect(operatorsOf(mends)).toEqual(operators);
    const feeds = { x: { shape: [2, 3, 8], data: wave(48) } };
    expect(await differenceOf(bytes, await mendedBytes(model, mends), feeds)).toBeLessThan(1e-6);
  });

  it.each([
    ["written out", [two, nodeOf(["Constant", "", "epsilon"], "value_float"), ...layer]],
    [
      "an operator",
      [
        constantNodeMessage("test", newConstant("weight", wave(64), [8, 8, 1])),
        nodeOf(["Conv", "x weight", "h"]),
        nodeOf(["BatchNormalization", "h gamma beta beta gamma", "y"], "epsilon"),
      ],
    ],
  ])("whose calls say what epsilon is stay as they are: %s", async (_, body) => {
    const bytes = calling(17, body, [2, 8, 8], 0.3);
    const model = await openModel(bytes);
    const found = await find(model);
    expect(found.norms).toEqual([]);
    // it is a network that runs
    expect((await run(bytes, { x: { shape: [2, 8, 8], data: wave(128) } })).y.length).toBe(128);
  });
});

it("the same constants are read again, others are new", async () => {
  const { mends } = await mendsIn({ ...block, opset: 17 });
  expect(mends[0].nodes[0].inputs).toEqual(["sum", "gamma", "beta"]);
  expect(mends[0].constants).toEqual([]);
});

it("names are new ones", async () => {
  const { mends } = await mendsIn({ ...block, opset: 17 });
  const [{ name }] = mends[0].nodes;
  const named: ModelOf = {
    ...block,
    opset: 17,
    nodes: [...block.nodes, ["Relu", "y", name]],
    outputs: [["y"], [name]],
  };
  const again = await mendsIn(named);
  expect(again.mends[0].nodes[0].name).not.toBe(name);
  expect(
    await differenceOf(again.bytes, await mendedBytes(again.model, again.mends), blockFeeds),
  ).toBeLessThan(1e-6);
});

it("options are checked", async () => {
  const { model, found } = await opened(block);
  await expect(mendsOf(model, found, { target: "tensorrt" as "onnxruntime" })).rejects.toThrow(
    new RangeError('mendsOf: target must be "onnxruntime" or left out, got "tensorrt"'),
  );
  await expect(mendsOf(model, found, { opset: 0 })).rejects.toThrow(
    new RangeError("mendsOf: opset must be a version such as 17, got 0"),
  );
});

it("group normalization as PyTorch writes it stays: its operator cancels in onnxruntime", async () => {
  const models = (await exportsOf("pytorch-group")).filter(({ name }) => /^group-[34]d-script21$/.test(name));
  expect(models).toHaveLength(2);
  for (const { model: bytes } of models) {
    const model = await openModel(bytes);
    const found = await find(model);
    expect(found.norms.map(({ norm, isOperator }) => [norm, isOperator])).toEqual([["groupNorm", false]]);
    expect(await mendsOf(model, found)).toEqual([]);
    expect(await mendsOf(model, found, { opset: 23 })).toEqual([]);
    expect(await illsOf(model, found)).toEqual([]);
  }
});
