/** Written-out normalizations, mended and run in onnxruntime beside what they were, and beside float64. */
import { describe, expect, it } from "vitest";
import type { Found, Parameter } from "../../src/checkpoints/graphs/found.js";
import type { Mend } from "../../src/checkpoints/graphs/graph.js";
import { type MendOptions, mendsOf } from "../../src/onnx/mends.js";
import { openModel } from "../../src/onnx/model.js";
import { sizeOf } from "../../src/shape.js";
import {
  type ModelOf,
  mendedBytes,
  type NewNodeOf,
  newConstant,
  onnxBytes,
  roundedTo,
  run,
  runEach,
} from "../support/onnx-models.js";

type Type = "float32" | "float16";

/** A normalization that is written out, how it is found, and what it is in float64. */
interface Case {
  readonly norm: "layerNorm" | "rmsNorm" | "groupNorm" | "instanceNorm";
  readonly shape: readonly number[];
  readonly axes: readonly number[];
  readonly groups?: number;
  readonly channels?: number;
  readonly dtype: Type;
  readonly opset: number;
  /** gamma's and beta's lengths; none where missing. */
  readonly parameters?: readonly number[];
  readonly cancels?: boolean;
  readonly isOpen?: boolean;
  readonly epsilonAt?: Found["epsilonAt"];
  /** y has the axes of x in this order. */
  readonly order?: readonly number[];
}

const EPSILON = 1e-3;

const gammaOf = (length: number, dtype: Type) =>
  roundedTo(
    dtype,
    Float64Array.from({ length }, (_, i) => 0.5 + ((i * 7) % 11) / 10),
  );
const betaOf = (length: number, dtype: Type) =>
  roundedTo(
    dtype,
    Float64Array.from({ length }, (_, i) => ((i * 5) % 7) / 10 - 0.3),
  );

const isChanneled = ({ norm }: Case) => norm === "groupNorm" || norm === "instanceNorm";

function modelOf(one: Case): ModelOf {
  const { norm, shape, axes, groups = 1, dtype, opset, parameters, cancels = false } = one;
  const isGroup = norm === "groupNorm";
  const over = isGroup ? [2] : axes;
  const nodes: NewNodeOf[] = [];
  const constants = [newConstant("epsilon", EPSILON, [], dtype)];
  if (opset >= 18) constants.push(newConstant("axes", over, undefined, "int64"));
  const mean = (x: string, y: string): NewNodeOf =>
    opset < 18 ? ["ReduceMean", x, y, { axes: { integer: over } }] : ["ReduceMean", `${x} axes`, y];
  let x = "x";
  if (isGroup) {
    constants.push(newConstant("split", [0, groups, -1], undefined, "int64"));
    constants.push(newConstant("joined", [0, ...shape.slice(1)], undefined, "int64"));
    nodes.push(["Reshape", "x split", "rows"]);
    x = "rows";
  }
  let d = x;
  if (norm !== "rmsNorm") {
    nodes.push(mean(x, "mean"), ["Sub", `${x} mean`, "d"]);
    d = "d";
  }
  if (cancels) {
    nodes.push(["Mul", `${x} ${x}`, "square"], mean("square", "meanSquare"));
    nodes.push(["Mul", "mean mean", "squaredMean"], ["Sub", "meanSquare squaredMean", "variance"]);
  } else {
    nodes.push(["Mul", `${d} ${d}`, "square"], mean("square", "variance"));
  }
  nodes.push(["Add", "variance epsilon", "sum"], ["Sqrt", "sum", "root"], ["Div", `${d} root`, "quotient"]);
  let last = "quotient";
  if (isGroup) {
    nodes.push(["Reshape", "quotient joined", "back"]);
    last = "back";
  }
  if (parameters) {
    const along = alongOf(one, parameters);
    constants.push(newConstant("gamma", gammaOf(sizeOf(parameters), dtype), along, dtype));
    constants.push(newConstant("beta", betaOf(sizeOf(parameters), dtype), along, dtype));
    nodes.push(["Mul", `${last} gamma`, "scaled"], ["Add", "scaled beta", "shifted"]);
    last = "shifted";
  }
  nodes.push(
    one.order ? ["Transpose", last, "y", { perm: { integer: one.order } }] : ["Identity", last, "y"],
  );
  const given = one.isOpen ? shape.map((length, axis) => (axis === 0 ? "batch" : length)) : shape;
  const gives = one.order?.map((axis) => given[axis]) ?? given;
  return { opset, nodes, constants, inputs: [["x", given, dtype]], outputs: [["y", gives, dtype]] };
}

/** The parameters' shape as it broadcasts to x. */
function alongOf(one: Case, parameters: readonly number[]): number[] {
  const axes = isChanneled(one) ? [one.channels ?? 1] : one.axes;
  const first = axes[0];
  return one.shape
    .slice(first)
    .map((_, i) => (axes.includes(first + i) ? parameters[axes.indexOf(first + i)] : 1));
}

async function foundIn(one: Case, bytes: Uint8Array) {
  const model = await openModel(bytes);
  const { graph } = model;
  const parameter = (name: string, values: Float32Array, lengths: readonly number[]): Parameter => ({
    name,
    axes: isChanneled(one) ? [one.channels ?? 1] : one.axes,
    shape: lengths,
    values: Float64Array.from(values),
  });
  const { norm, axes, dtype, parameters, cancels = false } = one;
  const found: Found = {
    norm,
    graph,
    x: "x",
    y: "y",
    nodes: graph.nodes,
    isOperator: false,
    shape: one.isOpen ? [Number.NaN, ...one.shape.slice(1)] : one.shape,
    dtype,
    axes,
    ...(isChanneled(one) && { channels: one.channels ?? 1, groups: one.groups }),
    epsilon: EPSILON,
    epsilonAt: one.epsilonAt ?? "inside",
    order: one.order,
    ...(parameters && {
      gamma: parameter("gamma", gammaOf(sizeOf(parameters), dtype), parameters),
      beta: parameter("beta", betaOf(sizeOf(parameters), dtype), parameters),
    }),
    statisticsType: dtype,
    cancels,
  };
  return { model, found };
}

/** y in float64: statistics by two passes. */
function expectedOf(one: Case, x: ArrayLike<number>): Float64Array {
  const { shape, axes, groups, channels = 1, norm, dtype, parameters } = one;
  const indexOf = (i: number) => {
    const index = shape.map(() => 0);
    for (let axis = shape.length - 1, rest = i; axis >= 0; axis--) {
      index[axis] = rest % shape[axis];
      rest = Math.floor(rest / shape[axis]);
    }
    return index;
  };
  const keyOf = (i: number) =>
    indexOf(i)
      .map((at, axis) => {
        if (groups !== undefined && axis === channels) return Math.floor(at / (shape[axis] / groups));
        return axes.includes(axis) ? 0 : at;
      })
      .join();
  const rows = new Map<string, number[]>();
  for (let i = 0; i < x.length; i++) rows.set(keyOf(i), [...(rows.get(keyOf(i)) ?? []), x[i]]);
  const statistics = new Map(
    [...rows].map(([key, values]) => {
      const mean = norm === "rmsNorm" ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length;
      const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
      const root = {
        inside: Math.sqrt(variance + EPSILON),
        outside: Math.sqrt(variance) + EPSILON,
        bound: Math.max(Math.sqrt(variance), EPSILON),
      }[one.epsilonAt ?? "inside"];
      return [key, { mean, rstd: 1 / root }];
    }),
  );
  const size = sizeOf(parameters ?? []);
  const [gamma, beta] = [gammaOf(size, dtype), betaOf(size, dtype)];
  const y = Float64Array.from(x, (value, i) => {
    const { mean = 0, rstd = 0 } = statistics.get(keyOf(i)) ?? {};
    if (!parameters) return (value - mean) * rstd;
    const index = indexOf(i);
    const along = isChanneled(one) ? [channels] : axes;
    const at = along.reduce((all, axis, j) => all * parameters[j] + index[axis], 0);
    return (value - mean) * rstd * gamma[at] + beta[at];
  });
  const { order } = one;
  if (order === undefined) return y;
  const lengths = order.map((axis) => shape[axis]);
  return y.map((_, to) => {
    let [from, rest] = [0, to];
    for (let i = order.length - 1; i >= 0; i--) {
      from += (rest % lengths[i]) * sizeOf(shape.slice(order[i] + 1));
      rest = Math.floor(rest / lengths[i]);
    }
    return y[from];
  });
}

const inputOf = ({ shape, dtype }: Case, mean = 0.3, spread = 1.5) =>
  roundedTo(
    dtype,
    Float64Array.from({ length: sizeOf(shape) }, (_, i) => mean + spread * Math.sin(i * i + i / 3)),
  );

/** Values whose squares are beyond float16: onnxruntime computes them in float32 on a CPU, others do not. */
function overflowing(one: Case): Float32Array {
  const data = inputOf(one, 0, 800);
  expect(
    roundedTo(
      "float16",
      data.map((value) => value * value),
    ).includes(Number.POSITIVE_INFINITY),
  ).toBe(true);
  return data;
}

/** The largest difference, in units of the largest expected value. */
function errorOf(y: ArrayLike<number>, expected: ArrayLike<number>): number {
  let [error, most] = [0, 0];
  for (let i = 0; i < expected.length; i++) {
    const difference = Math.abs(y[i] - expected[i]);
    error = difference <= error ? error : difference;
    most = Math.max(most, Math.abs(expected[i]));
  }
  return most === 0 ? error : error / most;
}

async function mendedOf(one: Case, options: MendOptions = {}) {
  const written = modelOf(one);
  const bytes = onnxBytes(written);
  const { model, found } = await foundIn(one, bytes);
  const mends = await mendsOf(model, { norms: [found], activations: [] }, options);
  return { mends, before: bytes, after: await mendedBytes(model, mends) };
}

const operatorsOf = (mends: readonly Mend[]) =>
  mends.flatMap(({ nodes }) => nodes.map(({ operator }) => operator)).join(" ");

const layer = {
  norm: "layerNorm",
  shape: [2, 5, 24],
  axes: [2],
  parameters: [24],
  dtype: "float32",
  opset: 17,
} as const;
const rms = { ...layer, norm: "rmsNorm", opset: 23 } as const;
const image = { shape: [2, 6, 4, 5], parameters: [6], dtype: "float32", opset: 17 } as const;
const instance = { ...image, norm: "instanceNorm", axes: [2, 3] } as const;
const group = { ...image, norm: "groupNorm", axes: [1, 2, 3], groups: 3, opset: 21 } as const;

const rows: readonly [string, Case, MendOptions, string][] = [
  ["layer", layer, {}, "LayerNormalization"],
  ["layer, opset 18", { ...layer, opset: 18 }, {}, "LayerNormalization"],
  [
    "layer below 17 for onnxruntime",
    { ...layer, opset: 13 },
    { target: "onnxruntime" },
    "LayerNormalization",
  ],
  ["layer over two axes", { ...layer, axes: [1, 2], parameters: [5, 24] }, {}, "LayerNormalization"],
  ["layer without gamma", { ...layer, parameters: undefined }, {}, "LayerNormalization"],
  ["layer, open batch", { ...layer, isOpen: true }, {}, "LayerNormalization"],
  [
    "layer over channels",
    { ...image, norm: "layerNorm", axes: [1] },
    {},
    "Transpose LayerNormalization Transpose",
  ],
  [
    "layer over channels, without gamma",
    { ...image, norm: "layerNorm", axes: [1], parameters: undefined },
    {},
    "Transpose LayerNormalization Transpose",
  ],
  ["RMS", rms, {}, "RMSNormalization Add"],
  ["RMS without gamma", { ...rms, parameters: undefined }, {}, "RMSNormalization"],
  [
    "RMS for onnxruntime",
    { ...rms, opset: 13 },
    { target: "onnxruntime" },
    "SimplifiedLayerNormalization Add",
  ],
  ["instance", instance, {}, "InstanceNormalization"],
  ["instance, opset 13", { ...instance, opset: 13 }, {}, "InstanceNormalization"],
  ["instance without gamma", { ...instance, parameters: undefined }, {}, "InstanceNormalization"],
  [
    "instance, channels last",
    { ...instance, shape: [2, 4, 5, 6], axes: [1, 2], channels: 3 },
    {},
    "Transpose InstanceNormalization Transpose",
  ],
  ["instance for onnxruntime", instance, { target: "onnxruntime" }, "LayerNormalization Mul Add"],
  [
    "instance, opset 11, for onnxruntime",
    { ...instance, opset: 11 },
    { target: "onnxruntime" },
    "LayerNormalization Mul Add",
  ],
  [
    "layer over channels, which it leaves last",
    { ...image, norm: "layerNorm", axes: [1], order: [0, 2, 3, 1] },
    {},
    "Transpose LayerNormalization",
  ],
  ["RMS, with its axes turned", { ...rms, order: [2, 0, 1] }, {}, "RMSNormalization Add Transpose"],
  ["group", group, {}, "GroupNormalization"],
  ["group without gamma", { ...group, parameters: undefined }, {}, "GroupNormalization"],
];

describe("a normalization that is written out", () => {
  it.each(rows)("%s: one operator gives what it gave", async (_, one, options, operators) => {
    const { mends, before, after } = await mendedOf(one, options);
    expect(operatorsOf(mends)).toBe(operators);
    const feeds = { x: { shape: one.shape, data: inputOf(one) } };
    const [{ y: unmended }, { y }] = [await run(before, feeds), await run(after, feeds)];
    expect(errorOf(y, unmended)).toBeLessThan(1e-5);
    expect(errorOf(y, expectedOf(one, feeds.x.data))).toBeLessThan(2e-6);
  });

  it.each(rows.map(([name, one, options]) => [name, { ...one, dtype: "float16" } as Case, options] as const))(
    "%s in float16: statistics are those of float32",
    async (_, one, options) => {
      const { mends, after } = await mendedOf(one, options);
      expect(mends).toHaveLength(1);
      const feeds = { x: { shape: one.shape, data: overflowing(one) } };
      expect(errorOf((await run(after, feeds)).y, expectedOf(one, feeds.x.data))).toBeLessThan(1e-3);
    },
  );
});

describe("hard inputs", () => {
  const hard: readonly [string, (i: number) => number][] = [
    ["far from zero", (i) => 1e4 + Math.sin(i * i)],
    ["one huge value", (i) => (i === 37 ? 3e4 : Math.sin(i * i))],
    ["a tiny spread", (i) => 0.5 + 1e-4 * Math.sin(i * i)],
    ["constant", () => 7],
    ["zeros", () => 0],
  ];
  // InstanceNormalization and GroupNormalization are not as accurate in onnxruntime, which is why mends for it leave them out
  const accurate = rows.filter(([, , , operators]) => !/InstanceN|GroupN/.test(operators));
  it.each(accurate)("%s: no less accurate than what was written out", async (_, one, options) => {
    const { before, after } = await mendedOf(one, options);
    const feeds = hard.map(([, value]) => {
      const data = Float64Array.from({ length: sizeOf(one.shape) }, (_, i) => value(i));
      return { x: { shape: one.shape, data: roundedTo("float32", data) } };
    });
    const [unmended, mended] = [await runEach(before, feeds), await runEach(after, feeds)];
    for (const [i, { x }] of feeds.entries()) {
      const expected = expectedOf(one, x.data);
      // both round the mean once, as it happens
      const most = Math.max(1e-5, 4 * errorOf(unmended[i].y, expected));
      expect(errorOf(mended[i].y, expected), hard[i][0]).toBeLessThan(most);
    }
  });
});

describe("what goes wrong where the operator set has no operator for it", () => {
  const ill: readonly [string, Case, MendOptions][] = [
    ["layer in float16", { ...layer, opset: 13, dtype: "float16" }, {}],
    [
      "layer in float16 over channels",
      { ...image, norm: "layerNorm", axes: [1], opset: 13, dtype: "float16" },
      {},
    ],
    ["RMS in float16", { ...rms, opset: 13, dtype: "float16" }, {}],
    ["group in float16", { ...group, opset: 13, dtype: "float16" }, {}],
    ["group in float16 without gamma", { ...group, opset: 13, dtype: "float16", parameters: undefined }, {}],
    ["epsilon added to the root, in float16", { ...layer, epsilonAt: "outside", dtype: "float16" }, {}],
    ["a root that epsilon bounds, in float16", { ...rms, epsilonAt: "bound", dtype: "float16" }, {}],
    ["group in float16 for onnxruntime", { ...group, dtype: "float16" }, { target: "onnxruntime" }],
  ];
  it.each(ill)("%s: float32 statistics", async (_, one, options) => {
    const { mends, after } = await mendedOf(one, options);
    expect(mends).toHaveLength(1);
    expect(mends[0].title).toContain("float32");
    const feeds = { x: { shape: one.shape, data: overflowing(one) } };
    expect(errorOf((await run(after, feeds)).y, expectedOf(one, feeds.x.data))).toBeLessThan(1e-3);
    // where the runtime has kernels of float16, it computes in it; onnxruntime's on a CPU has none of these
    const narrow = mends[0].nodes.filter(
      ({ operator }) => !["Cast", "Reshape", "Transpose"].includes(operator),
    );
    const made = new Map(mends[0].constants.map((constant) => [constant.name, constant.dtype]));
    const parameters = narrow.flatMap(({ inputs }) => inputs.flatMap((name) => made.get(name) ?? []));
    expect(parameters.filter((dtype) => dtype !== "float32" && dtype !== "int64")).toEqual([]);
    expect(narrow.flatMap(({ inputs }) => inputs)).not.toContain("x");
  });

  const cancelling: readonly [string, Case, MendOptions][] = [
    ["layer", { ...layer, opset: 13, cancels: true }, {}],
    ["layer, opset 17", { ...layer, cancels: true }, {}],
    ["layer over channels", { ...image, norm: "layerNorm", axes: [1], opset: 13, cancels: true }, {}],
    ["group", { ...group, opset: 13, cancels: true }, {}],
    ["group for onnxruntime", { ...group, cancels: true }, { target: "onnxruntime" }],
    ["instance for onnxruntime", { ...instance, cancels: true }, { target: "onnxruntime" }],
  ];
  it.each(cancelling)("%s by E[x²] − E[x]²: from the mean", async (_, one, options) => {
    const { before, after } = await mendedOf(one, options);
    // onnxruntime#28463
    const data = Float32Array.from(inputOf(one), (_, i) => 40000 + ((i * 7 + Math.floor(i / 20) * 3) % 4));
    const feeds = { x: { shape: one.shape, data } };
    const expected = expectedOf(one, data);
    expect(errorOf((await run(after, feeds)).y, expected)).toBeLessThan(1e-5);
    expect(errorOf((await run(before, feeds)).y, expected)).not.toBeLessThan(0.1);
  });
});

describe("what stays as it is", () => {
  const kept: readonly [string, Case, MendOptions][] = [
    ["layer below 17", { ...layer, opset: 16 }, {}],
    ["RMS below 23", { ...rms, opset: 22 }, {}],
    ["group below 21", { ...group, opset: 20 }, {}],
    ["epsilon added to the root", { ...layer, epsilonAt: "outside" }, {}],
    ["a root that epsilon bounds", { ...group, epsilonAt: "bound" }, {}],
    ["instance with epsilon added to the root", { ...instance, epsilonAt: "outside" }, {}],
    ["group for onnxruntime, whose operator is less accurate", group, { target: "onnxruntime" }],
  ];
  it.each(kept)("%s", async (_, one, options) => {
    const { mends } = await mendedOf(one, options);
    expect(mends).toEqual([]);
  });
});
