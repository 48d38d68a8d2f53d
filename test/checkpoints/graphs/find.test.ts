/** What the finder takes for one normalization, where it begins and ends, and what it takes for none. */
import { describe, expect, it } from "vitest";
import { find } from "../../../src/checkpoints/graphs/find.js";
import type { Callable, Graph } from "../../../src/checkpoints/graphs/graph.js";
import { constantOf, type GraphOf, graphOf, integersOf, type NodeOf } from "../../support/graphs.js";

const wave = (length: number, middle = 0) => Array.from({ length }, (_, i) => middle + Math.sin(i + 1));
const constants = [
  constantOf("two", 2),
  constantOf("one", 1),
  constantOf("minus", -1),
  constantOf("epsilon", 1e-5),
  constantOf("eight", 8),
  constantOf("gamma", wave(8, 2)),
  constantOf("beta", wave(8)),
];

/** x less its mean over its root mean square, over one axis. */
function layer(x: string, y: string, axes: readonly number[] = [-1]): NodeOf[] {
  const of = (value: string) => `${y}/${value}`;
  return [
    ["ReduceMean", x, of("mean"), { axes }],
    ["Sub", `${x} ${of("mean")}`, of("d")],
    ["Mul", `${of("d")} ${of("d")}`, of("square")],
    ["ReduceMean", of("square"), of("variance"), { axes }],
    ["Add", `${of("variance")} epsilon`, of("sum")],
    ["Sqrt", of("sum"), of("root")],
    ["Div", `${of("d")} ${of("root")}`, y],
  ];
}

function rms(x: string, y: string): NodeOf[] {
  return layer(x, y)
    .slice(2)
    .map(([operator, inputs, ...rest]) => [operator, inputs.replaceAll(`${y}/d`, x), ...rest]);
}

async function foundIn(all: Omit<GraphOf, "constants"> & Partial<GraphOf>) {
  const graph = graphOf({ opset: 13, ...all, constants: [...constants, ...(all.constants ?? [])] });
  const { norms } = await find(graph);
  return norms.map(({ norm, x, y, axes }) => `${norm} ${x} ${y} ${axes}`);
}

describe("one normalization after another", () => {
  const inputs = [["x", [2, 3, 8], "float16"]] as const;

  it("has the casts that lead to it", async () => {
    const nodes: NodeOf[] = [
      ["Cast", "x", "wide", { to: "float32" }],
      ...layer("wide", "first"),
      ["Cast", "first", "half", { to: "float16" }],
      ["Cast", "half", "again", { to: "float32" }],
      ...layer("again", "second", [-2]),
      ["Cast", "second", "y", { to: "float16" }],
    ];
    expect(await foundIn({ nodes, inputs, outputs: ["y"] })).toEqual([
      "layerNorm x half 2",
      "instanceNorm half y 1",
    ]);
  });

  it("does not have what the one before is multiplied by", async () => {
    const nodes: NodeOf[] = [
      ...rms("x", "first"),
      ["Identity", "first", "same"],
      ["Mul", "same minus", "turned"],
      ...layer("turned", "y"),
    ];
    expect(await foundIn({ nodes, inputs: [["x", [2, 3, 8]]], outputs: ["y"] })).toEqual([
      "rmsNorm x turned 2",
      "layerNorm turned y 2",
    ]);
  });

  it("leaves an operator for batches what it is", async () => {
    const nodes: NodeOf[] = [
      ...layer("x", "first", [1]),
      ["BatchNormalization", "first gamma beta beta gamma", "y"],
    ];
    expect(await foundIn({ nodes, inputs: [["x", ["n", 8, "t"]]], outputs: ["y"] })).toEqual([
      "instanceNorm x first 1",
      "batchNorm first y 0,2",
    ]);
  });
});

describe("what others read", () => {
  it("of groups' rows ends the normalization there", async () => {
    const nodes: NodeOf[] = [
      ["Reshape", "x rows", "r"],
      ...layer("r", "h"),
      ["Reshape", "h back", "whole"],
      ["Add", "whole shift", "y"],
    ];
    const reshapes = [
      integersOf("rows", [0, 2, -1]),
      integersOf("back", [0, 4, -1]),
      constantOf("shift", wave(4), [4, 1]),
    ];
    const inputs = [["x", [2, 4, 6]]] as const;
    const graph = { nodes, inputs, constants: reshapes };
    expect(await foundIn({ ...graph, outputs: ["y"] })).toEqual(["groupNorm x y 1,2"]);
    const read = { ...graph, nodes: [...nodes, ["Neg", "h", "z"] as NodeOf], outputs: ["y", "z"] };
    expect(await foundIn(read)).toEqual(["layerNorm r h 2"]);
  });

  it("of a cast ends it before", async () => {
    const nodes: NodeOf[] = [
      ["Cast", "x", "wide", { to: "float32" }],
      ...layer("wide", "h"),
      ["Cast", "h", "half", { to: "float16" }],
      ["Cast", "half", "again", { to: "float32" }],
      ["Neg", "again", "y"],
      ["Mul", "again gamma", "z"],
    ];
    const graph = { nodes, inputs: [["x", [2, 8], "float16"]] as const, outputs: ["y", "z"] };
    expect(await foundIn(graph)).toEqual(["layerNorm x half 1"]);
  });
});

it("stored statistics are found behind their root", async () => {
  const nodes: NodeOf[] = [
    ["Add", "variance epsilon", "sum"],
    ["Sqrt", "sum", "root"],
    ["Div", "scale root", "factor"],
    ["Mul", "x factor", "scaled"],
    ["Mul", "mean factor", "moved"],
    ["Sub", "shift moved", "offset"],
    ["Add", "scaled offset", "y"],
  ];
  const stored = ["variance", "scale", "mean", "shift"].map((name) =>
    constantOf(name, wave(4, 2), [4, 1, 1]),
  );
  const graph = { nodes, inputs: [["x", ["n", 4, 5, 5]]] as const, outputs: ["y"], constants: stored };
  expect(await foundIn(graph)).toEqual(["batchNorm x y 0,2,3"]);
});

describe("a distance from another mean than its own", () => {
  const means: Record<string, NodeOf[]> = {
    "a weighted one": [
      ["Mul", "x gamma", "w"],
      ["ReduceSum", "w axis", "m"],
    ],
    "another value's": [
      ["ReduceSum", "other axis", "s"],
      ["Div", "s eight", "m"],
    ],
    "one over another axis": [["ReduceMean", "x", "m", { axes: [1] }]],
  };

  it.each(Object.entries(means))("is not normalized: %s", async (_, mean) => {
    const nodes: NodeOf[] = [...mean, ["Sub", "x m", "d"], ...rms("d", "y")];
    const inputs = [
      ["x", [2, 3, 8]],
      ["other", [2, 3, 8]],
    ] as const;
    expect(await foundIn({ nodes, inputs, outputs: ["y"], constants: [integersOf("axis", [2])] })).toEqual(
      [],
    );
  });

  it("is not what a normalized value is", async () => {
    const nodes = [...layer("x", "h"), ...rms("h", "y")];
    expect(await foundIn({ nodes, inputs: [["x", [2, 3, 8]]], outputs: ["y"] })).toEqual([
      "layerNorm x h 2",
      "rmsNorm h y 2",
    ]);
  });
});

it("lengths that are open may be several, and epsilon one of float16", async () => {
  const nodes = layer("x", "y", [2, 3]);
  const half = constants.map((one) => (one.name === "epsilon" ? constantOf("epsilon", 0.00001001358) : one));
  const graph = graphOf({
    opset: 13,
    nodes,
    constants: half,
    inputs: [["x", [2, 4, "h", "w"]]],
    outputs: ["y"],
  });
  expect((await find(graph)).norms.map(({ norm }) => norm)).toEqual(["instanceNorm"]);
});

it("a factor of one number stands for all lengths", async () => {
  const nodes: NodeOf[] = [...layer("x", "h", [2]), ["Neg", "h", "y"]];
  const graph = graphOf({ opset: 13, nodes, constants, inputs: [["x", [2, 4, "n"]]], outputs: ["y"] });
  const [{ gamma }] = (await find(graph)).norms;
  expect(gamma).toEqual({ axes: [], shape: [], values: Float64Array.of(-1) });
});

it("what a function normalizes is known by its calls, though it is asked for at once", async () => {
  const functions = new Map<string, Callable>();
  const body = graphOf({
    opset: 13,
    nodes: layer("a", "b"),
    constants,
    inputs: [["a"]],
    outputs: ["b"],
    functions,
  });
  const called: Graph = { ...body, inputs: [{ name: "a" }] };
  functions.set("own:Norm:", { graph: called, inputs: ["a"], outputs: ["b"], defaults: new Map() });
  const graph = graphOf({
    opset: 13,
    nodes: [["Norm", "x", "y", {}, "own"]],
    inputs: [["x", [2, 8]]],
    outputs: ["y"],
    functions,
  });
  const [, { norms }] = await Promise.all([find(graph), find(called)]);
  expect(norms.map(({ norm }) => norm)).toEqual(["layerNorm"]);
});

it("a root of an inverse is the inverse of a root", async () => {
  const nodes: NodeOf[] = [
    ["Mul", "x x", "square"],
    ["ReduceMean", "square", "m", { axes: [-1] }],
    ["Reciprocal", "m", "inverse"],
    ["Sqrt", "inverse", "r"],
    ["Mul", "x r", "h"],
    ["Mul", "h gamma", "y"],
  ];
  expect(await foundIn({ nodes, inputs: [["x", [2, 8]]], outputs: ["y"] })).toEqual(["rmsNorm x y 1"]);
});
