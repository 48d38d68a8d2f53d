/** Batch normalization by stored statistics, folded into what stands before or after it, and run in onnxruntime beside what it was. */
import { describe, expect, it } from "vitest";
import type { Found, Parameter } from "../../src/checkpoints/graphs/found.js";
import type { NewConstant, NewNode } from "../../src/checkpoints/graphs/graph.js";
import { mendsOf } from "../../src/onnx/mends.js";
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
} from "../support/onnx-models.js";

type Type = "float32" | "float16";
const EPSILON = 1e-3;

const wave = (length: number, phase: number, middle = 0, spread = 0.5) =>
  Float64Array.from({ length }, (_, i) => middle + spread * Math.sin(i * i * 0.7 + i + phase));

/** Statistics, gamma and beta, as a trained network has them. */
function statisticsOf(channels: number, dtype: Type) {
  return {
    gamma: roundedTo(dtype, wave(channels, 1, 1)),
    beta: roundedTo(dtype, wave(channels, 2)),
    mean: roundedTo(dtype, wave(channels, 3)),
    variance: roundedTo(dtype, wave(channels, 4, 0.9)),
  };
}

/** The layer beside the normalization. */
interface Case {
  readonly operator: string;
  readonly x: readonly number[];
  readonly weight: readonly number[];
  readonly bias?: readonly number[];
  readonly attributes?: NewNode["attributes"];
  /** Channels of the normalization, and their axis in what it reads. */
  readonly channels: number;
  readonly axis?: number;
  readonly dtype?: Type;
  /** A sum after a MatMul. */
  readonly sum?: number;
  /** What else reads what lies between, or the weight. */
  readonly also?: NewNodeOf;
  readonly offsets?: false;
  /** Lengths of what the normalization reads, where they are not those of x. */
  readonly rank?: number;
}

function modelOf(one: Case, isBefore: boolean): ModelOf {
  const { operator, x, weight, bias, attributes = {}, channels, axis = 1, dtype = "float32", sum } = one;
  const constants: NewConstant[] = [
    newConstant("weight", roundedTo(dtype, wave(sizeOf(weight), 5)), weight, dtype),
  ];
  if (bias) constants.push(newConstant("bias", roundedTo(dtype, wave(sizeOf(bias), 6)), bias, dtype));
  const stored = statisticsOf(channels, dtype);
  if (one.offsets === false) for (const name of ["mean", "beta"] as const) stored[name].fill(0);
  for (const [name, values] of Object.entries(stored)) {
    constants.push(newConstant(name, values, undefined, dtype));
  }
  if (sum !== undefined) constants.push(newConstant("shift", roundedTo(dtype, wave(sum, 7)), [sum], dtype));
  const norm = (from: string, to: string): NewNodeOf[] => {
    const node: NewNodeOf = [
      "BatchNormalization",
      `${from} gamma beta mean variance`,
      to,
      { epsilon: { float: EPSILON } },
    ];
    if (axis === 1) return [node];
    // written out: channels are last
    return [
      ["Sub", `${from} mean`, "d"],
      ["Add", "variance epsilon", "sum"],
      ["Sqrt", "sum", "root"],
      ["Div", "d root", "xHat"],
      ["Mul", "xHat gamma", "scaled"],
      ["Add", "scaled beta", to],
    ];
  };
  if (axis !== 1) constants.push(newConstant("epsilon", EPSILON, [], dtype));
  const layer = (from: string, to: string): NewNodeOf[] => {
    const inputs = `${from} weight${bias ? " bias" : ""}`;
    if (sum === undefined) return [[operator, inputs, to, attributes]];
    return [
      [operator, inputs, "product", attributes],
      ["Add", "shift product", to],
    ];
  };
  const nodes = isBefore ? [...layer("x", "t"), ...norm("t", "y")] : [...norm("x", "t"), ...layer("t", "y")];
  return {
    opset: 17,
    nodes: [...nodes, ...(one.also ? [one.also] : [])],
    constants,
    inputs: [["x", x, dtype]],
    outputs: [["y", undefined, dtype], ...(one.also ? [["also", undefined, dtype] as const] : [])],
  };
}

async function mendedOf(one: Case, isBefore: boolean) {
  const { channels, axis = 1, dtype = "float32", x } = one;
  const written = modelOf(one, isBefore);
  const bytes = onnxBytes(written);
  const model = await openModel(bytes);
  const { graph } = model;
  const named = new Map((written.constants ?? []).map((constant) => [constant.name, constant]));
  const parameter = (name: string): Parameter => ({
    name,
    axes: [axis],
    shape: [channels],
    values: Float64Array.from(named.get(name)?.values ?? []),
  });
  const isLayer = ({ outputs }: { outputs: readonly string[] }) =>
    outputs.some((output) => output === "product" || output === "also" || output === (isBefore ? "t" : "y"));
  const found: Found = {
    norm: "batchNorm",
    graph,
    x: isBefore ? "t" : "x",
    y: isBefore ? "y" : "t",
    nodes: graph.nodes.filter((node) => !isLayer(node)),
    isOperator: axis === 1,
    shape: isBefore ? new Array(one.rank ?? x.length).fill(Number.NaN) : x,
    dtype,
    axes: x.map((_, i) => i).filter((i) => i !== axis),
    channels: axis,
    epsilon: EPSILON,
    epsilonAt: "inside",
    gamma: parameter("gamma"),
    beta: parameter("beta"),
    mean: parameter("mean"),
    variance: parameter("variance"),
    cancels: false,
  };
  const mends = await mendsOf(model, { norms: [found], activations: [] });
  return { mends, before: bytes, after: await mendedBytes(model, mends) };
}

const conv = { operator: "Conv", x: [2, 4, 7, 6], weight: [6, 4, 3, 2], bias: [6], channels: 6 } as const;
const deconv = { operator: "ConvTranspose", x: [2, 4, 5, 3], weight: [4, 3, 3, 2], channels: 3 } as const;
const gemm = { operator: "Gemm", x: [5, 4], weight: [4, 6], bias: [6], channels: 6 } as const;
const matMul = { operator: "MatMul", x: [2, 5, 4], weight: [4, 6], channels: 6, axis: 2 } as const;

const factors = { alpha: { float: 0.75 }, beta: { float: -0.5 } };
const pads = { pads: { integer: [1, 1, 0, 2] } };
const groups = { group: { integer: 2 } };

const before: readonly [string, Case][] = [
  ["Conv", conv],
  ["Conv without bias, with padding", { ...conv, bias: undefined, attributes: pads }],
  ["Conv in groups", { ...conv, weight: [6, 2, 3, 2], attributes: groups }],
  ["Conv of one axis", { ...conv, x: [2, 4, 9], weight: [6, 4, 3] }],
  ["ConvTranspose", deconv],
  ["ConvTranspose in groups", { ...deconv, channels: 6, bias: [6], attributes: { ...groups, ...pads } }],
  ["Gemm", gemm],
  [
    "Gemm with transB, alpha and beta",
    { ...gemm, weight: [6, 4], attributes: { transB: { integer: 1 }, ...factors } },
  ],
  ["Gemm with alpha, without C", { ...gemm, bias: undefined, attributes: { alpha: { float: 3 } } }],
  ["Gemm with one bias for all", { ...gemm, bias: [1, 1] }],
  ["MatMul", matMul],
  ["MatMul and Add", { ...matMul, sum: 6 }],
];

const after: readonly [string, Case][] = [
  ["Conv", { ...conv, channels: 4 }],
  ["Conv without bias", { ...conv, bias: undefined, channels: 4, attributes: { auto_pad: "VALID" } }],
  [
    "Conv in groups, strided",
    {
      ...conv,
      weight: [6, 2, 3, 2],
      channels: 4,
      attributes: { ...groups, strides: { integer: [2, 1] } },
    },
  ],
  ["Conv with padding, where offsets are 0", { ...conv, channels: 4, attributes: pads, offsets: false }],
  ["ConvTranspose, where offsets are 0", { ...deconv, channels: 4, bias: [3], offsets: false }],
  ["Gemm", { ...gemm, channels: 4 }],
  [
    "Gemm with transB, alpha and beta",
    {
      ...gemm,
      weight: [6, 4],
      channels: 4,
      attributes: { transB: { integer: 1 }, ...factors },
    },
  ],
  ["MatMul", { ...matMul, channels: 4 }],
  ["MatMul and Add", { ...matMul, channels: 4, sum: 6 }],
];

const sides = [
  ...before.map(([name, one]) => [`${name}, then it`, one, true] as const),
  ...after.map(([name, one]) => [`it, then ${name}`, one, false] as const),
];

describe("batch normalization is folded", () => {
  it.each(sides)("%s", async (_, one, isBefore) => {
    const made = await mendedOf(one, isBefore);
    expect(made.mends).toHaveLength(1);
    const operators = made.mends[0].nodes.map(({ operator }) => operator);
    expect(operators).toEqual(one.operator === "MatMul" ? ["MatMul", "Add"] : [one.operator]);
    const feeds = { x: { shape: one.x, data: wave(sizeOf(one.x), 0, 0.2, 2) } };
    const [{ y: expected }, { y }] = [await run(made.before, feeds), await run(made.after, feeds)];
    expect(differenceOf(y, expected)).toBeLessThan(3e-6);
  });

  it.each(sides.filter(([, one]) => one.operator !== "ConvTranspose"))(
    "%s, in float16",
    async (_, one, isBefore) => {
      const made = await mendedOf({ ...one, dtype: "float16" }, isBefore);
      expect(made.mends[0].constants.map(({ dtype }) => dtype)).toEqual(["float16", "float16"]);
      const feeds = { x: { shape: one.x, data: wave(sizeOf(one.x), 0, 0.2, 2) } };
      const [{ y: expected }, { y }] = [await run(made.before, feeds), await run(made.after, feeds)];
      expect(differenceOf(y, expected)).toBeLessThan(4e-3);
    },
  );
});

describe("batch normalization stays", () => {
  const kept: readonly [string, Case, boolean][] = [
    ["before a convolution that pads with zeros", { ...conv, channels: 4, attributes: pads }, false],
    [
      "before one that pads by itself",
      { ...conv, channels: 4, attributes: { auto_pad: "SAME_UPPER" } },
      false,
    ],
    ["before a transposed convolution", { ...deconv, channels: 4 }, false],
    [
      "before a transposed product",
      { ...gemm, x: [4, 4], channels: 4, attributes: { transA: { integer: 1 } } },
      false,
    ],
    ["where something else reads what is between", { ...conv, also: ["Relu", "t", "also"] }, true],
    ["where something else reads the weight", { ...conv, also: ["Relu", "weight", "also"] }, true],
    ["where something else reads y", { ...conv, channels: 4, also: ["Relu", "t", "also"] }, false],
    ["along another axis than that of outputs", { ...gemm, x: [6, 4], axis: 0 }, true],
  ];
  it.each(kept)("%s", async (_, one, isBefore) => {
    expect((await mendedOf(one, isBefore)).mends).toEqual([]);
  });

  it("where factors leave float16", async () => {
    const one: Case = { ...conv, dtype: "float16" };
    const written = modelOf(one, true);
    const model = await openModel(onnxBytes(written));
    const all = (value: number): Parameter => ({
      axes: [1],
      shape: [6],
      values: new Float64Array(6).fill(value),
    });
    const found = {
      norm: "batchNorm",
      graph: model.graph,
      x: "t",
      y: "y",
      nodes: model.graph.nodes.slice(1),
      isOperator: true,
      shape: [2, 6, 5, 5],
      dtype: "float16",
      axes: [0, 2, 3],
      channels: 1,
      epsilon: 0,
      epsilonAt: "inside",
      gamma: all(1),
      mean: all(0),
      variance: all(1e-11),
      cancels: false,
    } as const;
    expect(await mendsOf(model, { norms: [found], activations: [] })).toEqual([]);
    const fitting = { ...found, variance: all(1e-3) };
    expect(await mendsOf(model, { norms: [fitting], activations: [] })).toHaveLength(1);
  });
});

function differenceOf(y: ArrayLike<number>, expected: ArrayLike<number>): number {
  const most = Math.max(...Array.from(expected, Math.abs));
  return Math.max(...Array.from(expected, (value, i) => Math.abs(y[i] - value))) / most;
}
