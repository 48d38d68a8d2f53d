import { describe, expect, it } from "vitest";
import { normalizationsOf, open } from "../../src/checkpoints/index.js";
import { initialValues } from "../../src/formula/normalization.js";
import {
  batchNorm,
  cumulativeLayerNorm,
  ghostBatchNorm,
  groupNorm,
  instanceNorm,
  Layer,
  layerNorm,
  layerNormLSTM,
  type Normalization,
  open as openBackend,
  rmsNorm,
  unitNorm,
} from "../../src/index.js";
import { catalog } from "../../src/norms/catalog.js";
import { openModel } from "../../src/onnx/model.js";
import { type OpenLength, type ToOnnxOptions, toOnnx } from "../../src/onnx/to-onnx.js";
import { sizeOf } from "../../src/shape.js";
import { rows } from "../norms/rows/index.js";
import { normal } from "../support/numerics.js";
import { roundedTo } from "../support/onnx-models.js";
import { compared, difference, exact, executed, inputsOf, weightsOf } from "./made.js";

/** The batch left open, where there is one. */
const openBatch = (shapes: readonly (readonly number[])[]) =>
  shapes.map(([, ...lengths]) => ["batch", ...lengths]);

const operatorsIn = async (bytes: Uint8Array) =>
  (await openModel(bytes)).graph.nodes.map(({ operator }) => operator);

describe("every normalization of the catalog, in ONNX Runtime", () => {
  it.each(Object.values(catalog).map(({ about }) => about))("$name", async ({ name, takes }) => {
    const row = rows.find(({ norm }) => norm.name === name);
    if (row === undefined) throw new Error(`no row of ${name}`);
    expect(await compared(row, {}, takes === "weight" ? row.shapes : openBatch(row.shapes))).toBeLessThan(
      1e-5,
    );
  });
});

describe("ONNX's own operator, and back", () => {
  const OPERATORS: [string, Normalization, readonly OpenLength[], Record<number, readonly string[]>][] = [
    ["layerNorm", layerNorm({ epsilon: 1e-3 }), ["batch", 4, 8], { 17: ["LayerNormalization"] }],
    ["layerNorm", layerNorm(), ["batch", 8], { 17: ["LayerNormalization"] }],
    [
      "layerNorm",
      layerNorm({ axis: [1, 2], center: false }),
      ["batch", 4, 8],
      { 17: ["LayerNormalization"] },
    ],
    [
      "rmsNorm",
      rmsNorm(),
      ["batch", "time", 8],
      { 17: ["Pow", "ReduceMean", "Add", "Sqrt", "Div", "Mul"], 23: ["RMSNormalization"] },
    ],
    [
      "groupNorm",
      groupNorm({ groups: 2, axis: 1 }),
      ["batch", 4, 6],
      {
        17: ["Reshape", "InstanceNormalization", "Reshape", "Mul", "Add", "Reshape"],
      },
    ],
    [
      "instanceNorm",
      instanceNorm({ axis: 1 }),
      ["batch", 4, "height", "width"],
      { 17: ["InstanceNormalization"] },
    ],
    [
      "instanceNorm",
      instanceNorm(),
      ["batch", 6, 4],
      { 17: ["Transpose", "InstanceNormalization", "Transpose"] },
    ],
    ["batchNorm", batchNorm({ axis: 1, epsilon: 1e-3 }), ["batch", 4, 6], { 17: ["BatchNormalization"] }],
    ["batchNorm", batchNorm({ scale: false }), ["batch", 4], { 17: ["BatchNormalization"] }],
    ["unitNorm", unitNorm({ epsilon: 0 }), ["batch", 8], { 17: ["LpNormalization"] }],
  ];
  it.each(OPERATORS)("%s %#", async (kind, norm, shape, operators) => {
    const fixed = shape.map((length, axis) => (typeof length === "number" ? length : 2 + axis));
    const weights = weightsOf({ norm, shapes: [fixed] });
    for (const opset of [17, 21, 23]) {
      const bytes = toOnnx(norm, shape, weights, { opset });
      const since = Object.keys(operators)
        .map(Number)
        .filter((first) => first <= opset);
      expect(await operatorsIn(bytes)).toEqual(operators[Math.max(...since)]);
      const inputs = inputsOf({ shapes: [fixed] });
      expect(difference(await executed(bytes, inputs), exact(norm, inputs, weights))).toBeLessThan(1e-5);
      const found = await normalizationsOf(await open(bytes));
      expect(found.map((one) => one.kind)).toEqual([kind]);
      const { epsilon } = norm as unknown as { epsilon?: number };
      expect(found[0].options.epsilon).toBeCloseTo(epsilon ?? 0, 9);
      const arrays = { ...found[0].weights, ...found[0].statistics };
      for (const [name, values] of Object.entries(weights)) {
        expect(Array.from(arrays[name]).map(Math.fround)).toEqual(Array.from(values));
      }
    }
  });
});

it("GroupNormalization only where it is asked for, and there is one", async () => {
  const norm = groupNorm({ groups: 2, axis: 1 });
  const inputs = inputsOf({ shapes: [[2, 6, 8]] });
  const weights = weightsOf({ norm, shapes: [[2, 6, 8]] });
  const made = (options: ToOnnxOptions) => toOnnx(norm, ["batch", 6, 8], weights, options);
  const bytes = made({ opset: 21, groupNormalization: true });
  expect(await operatorsIn(bytes)).toEqual(["GroupNormalization"]);
  expect(difference(await executed(bytes, inputs), exact(norm, inputs, weights))).toBeLessThan(1e-5);
  const [found] = await normalizationsOf(await open(bytes));
  expect([found.kind, found.options.groups, found.options.axis]).toEqual(["groupNorm", 2, 1]);
  for (const other of [made({ opset: 20, groupNormalization: true }), made({ opset: 21 })]) {
    expect(await operatorsIn(other)).toContain("InstanceNormalization");
  }
});

describe("lengths", () => {
  const cases: [string, Normalization, readonly OpenLength[], readonly (readonly number[])[]][] = [
    [
      "batch",
      groupNorm({ groups: 2 }),
      ["batch", 3, 4],
      [
        [1, 3, 4],
        [5, 3, 4],
      ],
    ],
    [
      "all but the channels",
      batchNorm({ axis: 1 }),
      [-1, 3, undefined, ""],
      [
        [1, 3, 1, 2],
        [4, 3, 5, 6],
      ],
    ],
    [
      "of the batch in evaluation by its own mean",
      batchNorm({ sources: { batchMean: "batch" } }),
      ["n", 4],
      [
        [3, 4],
        [9, 4],
      ],
    ],
    [
      "time of a recurrent layer",
      layerNormLSTM({ units: 3 }),
      ["batch", "time", 2],
      [
        [1, 1, 2],
        [3, 40, 2],
      ],
    ],
    [
      "positions, fewer than a window is wide",
      catalog.divisiveNorm({ window: 5, edges: "zero" }),
      ["batch", "height", 3],
      [
        [1, 1, 3],
        [2, 9, 3],
      ],
    ],
    [
      "of a batch in parts",
      ghostBatchNorm({ batchSize: 4 }),
      ["batch", 6],
      [
        [3, 6],
        [11, 6],
      ],
    ],
  ];
  it.each(cases)("open: %s", async (_, norm, shape, sizes) => {
    const weights = weightsOf({ norm, shapes: [sizes[0]] });
    const bytes = toOnnx(norm, shape, weights);
    for (const size of sizes) {
      const inputs = inputsOf({ shapes: [size] });
      expect(difference(await executed(bytes, inputs), exact(norm, inputs, weights))).toBeLessThan(1e-5);
    }
  });

  it("that the formula needs, or weights have, are to be numbers", () => {
    const needed = (axis: number, name: string, norm: string) =>
      `toOnnx: axis ${axis} of x must have a number for its length, on which weights or the formula of ${norm} depend, ` +
      `got "${name}", which is open; make a model for each length`;
    expect(() => toOnnx(cumulativeLayerNorm(), ["batch", "time", 4])).toThrow(
      needed(1, "time", "cumulativeLayerNorm"),
    );
    expect(() => toOnnx(layerNorm(), ["batch", "features"])).toThrow(needed(1, "features", "layerNorm"));
    expect(() => toOnnx(catalog.weightNorm({ axis: 0 }), [undefined, 4])).toThrow(
      needed(0, "batch", "weightNorm"),
    );
    expect(() => toOnnx(catalog.normalizedAttention({ heads: 2 }), ["batch", "length", "width"])).toThrow(
      /normalizedAttention|toOnnx/,
    );
  });
});

it("float16 in and out, statistics in float32", async () => {
  const shape = [3, 4, 16];
  const norms = [layerNorm(), rmsNorm(), groupNorm({ groups: 2, axis: 1 }), instanceNorm({ axis: 1 })];
  const data = Float64Array.from(
    roundedTo(
      "float16",
      Array.from(normal(sizeOf(shape), 3), (value, i) => (i % 7 === 0 ? 6e4 : 300 + 2e3 * value)),
    ),
  );
  for (const norm of norms) {
    const weights = weightsOf({ norm, shapes: [shape] });
    const bytes = toOnnx(norm, shape, weights, { type: "float16" });
    const expected = exact(norm, [{ shape, data }], weights);
    expect(difference(await executed(bytes, [{ shape, data }]), expected)).toBeLessThan(1e-3);
  }
});

describe("hard inputs", () => {
  const shape = [4, 8, 16];
  const values = normal(sizeOf(shape), 5);
  // what ONNX Runtime's operators differ by, and the formula; what is beyond an operator is not asked of it
  const hard: [string, (value: number, i: number) => number, number, number][] = [
    ["mean 10⁴", (value) => 1e4 + value, 2e-3, 1e-6],
    ["spread 10⁻⁶", (value) => 1e-6 * value, 1e-6, 1e-6],
    ["spread 10⁻⁴ about 1", (value) => 1 + 1e-4 * value, 2e-4, 1e-6],
    ["one huge value", (value, i) => (i % 64 === 5 ? 3e4 : value), 1e-6, 1e-6],
    ["constant", () => 3, 1e-4, 1e-6],
    ["deviation 10²⁰", (value) => 1e20 * value, Number.POSITIVE_INFINITY, 1e-6],
  ];
  const norms = [layerNorm(), rmsNorm(), groupNorm({ groups: 2, axis: 1 }), instanceNorm(), batchNorm()];
  it.each(hard)("%s", async (_, of, byOperator, byFormula) => {
    const x = { shape, data: Float64Array.from(values, of).map(Math.fround) };
    for (const norm of norms) {
      const weights = weightsOf({ norm, shapes: [shape] });
      const expected = exact(norm, [x], weights);
      for (const [written, tolerance] of [
        ["operator", byOperator],
        ["formula", byFormula],
      ] as const) {
        if (tolerance === Number.POSITIVE_INFINITY) continue;
        const bytes = toOnnx(norm, shape, weights, { written });
        expect(difference(await executed(bytes, [x]), expected), `${norm.name} ${written}`).toBeLessThan(
          tolerance,
        );
      }
    }
  });
});

it("a layer's norm and weights are taken as they are; what is left out is as it is initialized", async () => {
  const ek = await openBackend({ backend: "reference" });
  const norm = rmsNorm({ offset: 1 });
  const layer = new Layer(ek, norm, [2, 4]);
  const inputs = inputsOf({ shapes: [[2, 4]] });
  const expected = exact(norm, inputs, { gamma: initialValues(norm.weights([2, 4]).gamma) });
  for (const weights of [layer.weights, {}, { gamma: undefined }]) {
    expect(difference(await executed(toOnnx(layer.norm, [2, 4], weights), inputs), expected)).toBeLessThan(
      1e-6,
    );
  }
});

it("says what it is and what made it; constants are written once", async () => {
  const norm = layerNormLSTM({ units: 3 });
  for (const [opset, ir] of [
    [17, 8],
    [19, 9],
    [21, 10],
    [23, 11],
  ]) {
    const model = await openModel(toOnnx(norm, ["batch", "time", 2], {}, { opset }));
    expect([model.irVersion, model.opsets.get(""), model.producer]).toEqual([ir, opset, "evenkeel"]);
    const { graph } = model;
    expect(graph.inputs.map(({ name, shape, dtype }) => [name, shape, dtype])).toEqual([
      ["x", ["batch", "time", 2], "float32"],
    ]);
    expect(graph.outputs.map(({ name, shape }) => [name, shape])).toEqual([["y", ["batch", "time", 3]]]);
    expect([...graph.constants.keys()]).toEqual(
      expect.arrayContaining(["kernel", "recurrentKernel", "cellGamma"]),
    );
    const constants = await Promise.all(
      [...graph.constants.values()].map(async (one) => `${one.dtype} ${one.shape} ${await one.read()}`),
    );
    const unnamed = constants.filter((_, i) => /^(number|integers)/.test([...graph.constants.keys()][i]));
    expect(new Set(unnamed).size).toBe(unnamed.length);
  }
  const bytes = toOnnx(layerNorm(), [2, 3]);
  expect(new TextDecoder().decode(bytes)).toContain(
    "Layer normalization. Ba, Kiros & Hinton 2016, arXiv 1607.06450",
  );
});

describe("what does not fit is refused", () => {
  const errors: [unknown[], string][] = [
    [
      [layerNorm, [2, 3]],
      "toOnnx: norm must be a normalization, such as layerNorm(), got the function factory; call the function that makes it",
    ],
    [["layerNorm", [2, 3]], 'toOnnx: norm must be a normalization, such as layerNorm(), got "layerNorm"'],
    [
      [layerNorm(), 3],
      'toOnnx: shape must be a list of lengths such as ["batch", 768], or a list of such lists, got 3',
    ],
    [[layerNorm(), [[2, 3], 4]], "toOnnx: shape must be a list of lengths for each input, got 4 for input1"],
    [[layerNorm(), [2.5, 3]], "toOnnx: shape must have non-negative integer lengths, got [2.5, 3]"],
    [
      [layerNorm(), [2, 0]],
      "toOnnx: shape must have lengths of at least 1, got [2, 0] for x; an empty array has nothing to normalize",
    ],
    [
      [layerNorm(), [2, 3], [1]],
      "toOnnx: weights must be an object, arrays by name, got [1]; leave it out for initial values",
    ],
    [
      [layerNorm(), [2, 3], { gamma: "1" }],
      'toOnnx: weights.gamma must be a typed array or a list of numbers, got "1"',
    ],
    [[layerNorm(), [2, 3], { gamma: [1, 2] }], "layerNorm: gamma must have shape [3], got [2]"],
    [
      [layerNorm(), [2, 3], { gamma: { shape: [3], data: [1] } }],
      "toOnnx: weights.gamma of shape [3] must have 3 values, got 1",
    ],
    [
      [layerNorm(), [2, 3], { weight: [1, 2, 3] }],
      "layerNorm: no weights are called weight; there are gamma, beta",
    ],
    [
      [layerNorm(), [2, 3], {}, { opsets: 17 }],
      'toOnnx: no option is called "opsets"; did you mean "opset"? There are opset, type, written, groupNormalization',
    ],
    [
      [layerNorm(), [2, 3], {}, { opset: "17" }],
      'toOnnx: opset must be a number, got "17"; leave it out for 17',
    ],
    [
      [layerNorm(), [2, 3], {}, { opset: 16 }],
      "toOnnx: opset must be an integer from 17 to 23, got 16; runtimes read older ones than their own",
    ],
    [
      [layerNorm(), [2, 3], {}, { opset: 24 }],
      "toOnnx: opset must be an integer from 17 to 23, got 24; runtimes read older ones than their own",
    ],
    [
      [layerNorm(), [2, 3], {}, { type: "bfloat16" }],
      'toOnnx: type must be "float32" or "float16", got "bfloat16"',
    ],
    [
      [layerNorm(), [2, 3], {}, { written: "out" }],
      'toOnnx: written must be "operator" or "formula", got "out"',
    ],
    [
      [layerNorm(), [2, 3], {}, { groupNormalization: 1 }],
      "toOnnx: groupNormalization must be true or false, got 1; leave it out for false",
    ],
    [
      [layerNorm(), [1, 2 ** 29]],
      "toOnnx: weights must take less than 2 GiB, the most that an ONNX file holds, got 4294967296 bytes of float32 for layerNorm",
    ],
    [
      [
        catalog.gatedRMSNorm(),
        [
          [-1, -1, 4],
          [-1, -1, 4],
        ],
      ],
      '(toOnnx: open lengths are stood for, by 7 for "batch", 11 for "x_1", 13 for "z_1"; those that must be equal must have one name)',
    ],
    [[catalog.adaptiveInstanceNorm(), ["a", 4, 2]], "adaptiveInstanceNorm"],
  ];
  it.each(errors)("%#", (given, text) => {
    const call = toOnnx as (...given: unknown[]) => Uint8Array;
    expect(() => call(...given)).toThrow(text);
  });
});
