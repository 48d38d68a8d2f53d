import { describe, expect, it } from "vitest";
import type { Found, Parameter } from "../../src/checkpoints/graphs/found.js";
import { type Ill, illsOf } from "../../src/onnx/ills.js";
import { type Measure, measure } from "../../src/onnx/measure.js";
import { constantOf, graphOf, type NodeOf } from "../support/graphs.js";

const model = { opsets: new Map([["", 17]]) };

/** A normalization that nodes of an opset write out, without much of what they say. */
function foundOf(
  more: Partial<Found> = {},
  nodes: readonly NodeOf[] = [["LayerNormalization", "x", "y"]],
  opset = 17,
): Found {
  const graph = graphOf({
    nodes,
    opset,
    constants: [constantOf("epsilon", 0, [], "float16")],
    inputs: [["x", [2, 4]]],
  });
  return {
    norm: "layerNorm",
    graph,
    x: "x",
    y: "y",
    nodes: graph.nodes,
    isOperator: nodes.length === 1,
    shape: [Number.NaN, 4],
    dtype: "float32",
    axes: [1],
    epsilon: 1e-5,
    epsilonAt: "inside",
    statisticsType: "float32",
    cancels: false,
    ...more,
  };
}

const writtenOut: readonly NodeOf[] = [
  ["ReduceMean", "x", "mean"],
  ["Sub", "x mean", "d"],
  ["Mul", "d d", "square"],
  ["ReduceMean", "square", "variance"],
  ["Add", "variance epsilon", "sum"],
  ["Sqrt", "sum", "root"],
  ["Div", "d root", "y"],
];

const parameter = (values: readonly number[]): Parameter => ({
  axes: [1],
  shape: [values.length],
  values: Float64Array.from(values),
});

function told(norm: Found, x?: readonly number[]): string[] {
  const met = new Map<Found, Measure>();
  if (x) met.set(norm, measure(norm, { shape: [x.length / 4, 4], data: x }));
  return illsOf(model, { norms: [norm] }, met).map(texts);
}

const texts = ({ kind, severity, message, mendedBy }: Ill) =>
  `${severity}: ${kind}: ${message}${mendedBy ? ` (${mendedBy})` : ""}`;

describe("statistics in float16", () => {
  const half = foundOf({ statisticsType: "float16", dtype: "float16", epsilon: 1e-3 }, writtenOut, 13);
  it("may overflow", () => {
    expect(told(half)).toEqual([
      "wrong numbers: float16 statistics: its statistics are taken in float16: differences from the mean beyond 256 overflow when they are squared (float32 statistics)",
    ]);
  });
  it("overflow at what they meet", () => {
    expect(told(half, [-300, 300, 0, 0, 1, 2, 3, 4])[0]).toBe(
      "wrong numbers: float16 statistics: its statistics are taken in float16: squares of values up to 300 reach 90000, and it ends at 65504 (float32 statistics)",
    );
    expect(told(half, [-200, 200, 0, 0, 1, 2, 3, 4])[0]).toBe(
      "wrong numbers: float16 statistics: its statistics are taken in float16: 4 squares of values up to 200 add up to 80000, and it ends at 65504 (float32 statistics)",
    );
    expect(told(half, [-2, 2, 0, 0, 1, 2, 3, 4])[0]).toMatch(
      /^odd: float16 statistics: .* add up to 8; it ends at 65504/,
    );
  });
  it("of an operator are the runtime's choice", () => {
    const operator = foundOf({ norm: "instanceNorm", statisticsType: "float16", axes: [] }, [
      ["InstanceNormalization", "x", "y"],
    ]);
    expect(told(operator, [-300, 300, 0, 0])[0]).toMatch(
      /^odd: float16 statistics: its statistics may be taken in float16/,
    );
  });
  it("lose an epsilon", () => {
    const of = (epsilon: number) =>
      told({ ...half, epsilon }, [1, 2, 3, 4]).filter((text) => text.includes("epsilon lost"));
    expect(of(1e-3)).toEqual([]);
    expect(of(1e-5)).toEqual([
      "odd: epsilon lost in float16: its epsilon of 1e-5 is subnormal in float16: 8 of 11 bits are left, and none where subnormals are taken for 0 (float32 statistics)",
    ]);
    expect(of(1e-12)).toEqual([
      "wrong numbers: epsilon lost in float16: its epsilon of 1e-12 is 0 in float16, so that a constant input gives NaN (float32 statistics)",
    ]);
    expect(of(0)).toEqual([
      "wrong numbers: epsilon lost in float16: what is added to its variance is 0 in float16, so that a constant input gives NaN (float32 statistics)",
    ]);
    expect(told({ ...half, epsilon: 1e-12, statisticsType: "float32" })).toEqual([]);
  });
});

describe("E[x²] − E[x]²", () => {
  const norm = foundOf({ cancels: true }, writtenOut, 13);
  it("may cancel", () => {
    expect(told(norm)).toEqual([
      "wrong numbers: E[x²] − E[x]²: its variance is E[x²] − E[x]², which float32 loses where a mean is 130 standard deviations from 0 (float32 statistics)",
    ]);
  });
  it("cancels at what it meets", () => {
    expect(told(norm, [40000, 40001, 40002, 40003])).toEqual([
      "wrong numbers: E[x²] − E[x]²: its variance is E[x²] − E[x]², and a mean is 35800 standard deviations from 0: float32 leaves nothing of it (float32 statistics)",
    ]);
    expect(told(norm, [400, 401, 402, 403])[0]).toMatch(
      /359 standard deviations from 0: float32 leaves an error of 0.769 %/,
    );
    expect(told(norm, [-1, 0, 1, 2])[0]).toMatch(/^odd: E\[x²\] − E\[x\]²/);
  });
});

it("values below epsilon", () => {
  expect(told(foundOf(), [1, 1, 1, 1.001, 1, 2, 3, 4])).toEqual([
    "odd: variance below epsilon: its variance is at most epsilon, 1e-5, in 1 of 2 statistics: epsilon decides what it gives there",
  ]);
});

describe("values of parameters and statistics", () => {
  const batch = (more: Partial<Found>) =>
    foundOf({ norm: "batchNorm", channels: 1, axes: [0], ...more }, [["BatchNormalization", "x", "y"]]);
  const [mean, variance] = [parameter([0.1, 0, 0, 0]), parameter([1, 1, 1, 2])];
  it("dead and not finite", () => {
    expect(told(foundOf({ gamma: parameter([1, 0, 1, 0]) }))).toEqual([
      "odd: gamma dead: gamma near 0 in 2 of 4: dead channels",
    ]);
    expect(told(foundOf({ gamma: parameter([0, 0, 0, 0]) }))[0]).toMatch(/^wrong numbers: gamma dead/);
    expect(told(foundOf({ beta: parameter([1, Number.NaN, 1, 0]) }))).toEqual([
      "wrong numbers: not finite: beta not finite in 1 of 4",
    ]);
  });
  it("statistics", () => {
    expect(told(batch({ mean, variance }))).toEqual([]);
    expect(told(batch({ mean: parameter([0, 0, 0, 0]), variance: parameter([1, 1, 1, 1]) }))).toEqual([
      "wrong numbers: statistics never set: running statistics never updated: every mean is 0, every variance 1",
    ]);
    expect(told(batch({ mean, variance: parameter([1, -0.1, 1, 1]) }))[0]).toMatch(
      /^wrong numbers: negative variance stored/,
    );
    expect(told(batch({ mean, variance: parameter([1, 5e-6, 1, 1]) }))[0]).toMatch(
      /^odd: variance below epsilon/,
    );
  });
  it("nothing", () => {
    const epsilon = 2 ** -10;
    const nothing = {
      mean: parameter([0, 0, 0, 0]),
      variance: parameter(new Array(4).fill(1 - epsilon)),
      epsilon,
    };
    expect(told(batch(nothing))).toEqual([
      "slow: does nothing: its factors are 1 and its offsets 0: it gives what it gets (folding)",
    ]);
  });
  it("training", () => {
    const training =
      "wrong numbers: training mode: it normalizes by the batch that it runs on: what is given for one input depends on the others (evaluation)";
    const of = (node: NodeOf, opset: number) =>
      told(foundOf({ norm: "batchNorm", channels: 1, axes: [0] }, [node], opset));
    expect(of(["BatchNormalization", "x", "y", { training_mode: 1 }], 15)).toEqual([training]);
    expect(of(["BatchNormalization", "x", "y m v s t"], 9)).toEqual([training]);
    expect(of(["BatchNormalization", "x", "y", { training_mode: 0 }], 15)).toEqual([]);
    expect(of(["BatchNormalization", "x", "y _ _"], 9)).toEqual([]);
  });
});

describe("what need not be there", () => {
  it("is written out though there is an operator", () => {
    expect(told(foundOf({}, writtenOut, 17))).toEqual([
      "slow: written out although the opset has it: it is written out in 7 nodes, and opset 17 has LayerNormalization (operator)",
    ]);
    expect(told(foundOf({}, writtenOut, 16))).toEqual([]);
    expect(told(foundOf({ norm: "rmsNorm" }, writtenOut, 22))).toEqual([]);
    expect(told(foundOf({ norm: "rmsNorm" }, writtenOut, 23))).toHaveLength(1);
    expect(told(foundOf())).toEqual([]);
  });
  it("is computed anew", () => {
    expect(told(foundOf({ norm: "weightNorm", x: "epsilon", shape: [2, 4] }, writtenOut))).toEqual([
      "slow: constant computed in each run: a weight of [2, 4] is normalized in each run by 7 nodes, and is always the same (constant)",
    ]);
  });
});

it("what makes numbers wrong is first", () => {
  const ills = told(foundOf({ cancels: true, gamma: parameter([1, 0, 1, Number.NaN]) }, writtenOut));
  expect(ills.map((text) => text.split(":")[0])).toEqual(["wrong numbers", "wrong numbers", "slow", "odd"]);
});
