/** What operators mean, against onnxruntime, the ONNX project's cases, and networks' outputs in the frameworks that they come from. */
import { describe, expect, it } from "vitest";
import { evaluated } from "../../../src/checkpoints/graphs/evaluate.js";
import type { NewNode } from "../../../src/checkpoints/graphs/graph.js";
import { openModel } from "../../../src/onnx/model.js";
import { sizeOf } from "../../../src/shape.js";
import { type NewNodeOf, newConstant, onnxBytes, run } from "../../support/onnx-models.js";

type Shape = readonly number[];
/** Of an operand: a shape of random reals, "+" with it: above 0; integers that are known; or "_", left out. */
type Operand =
  | Shape
  | { readonly positive: Shape }
  | { readonly int32: Shape }
  | { readonly known: readonly number[] | number }
  | "_"
  | number;
/** [operator, opsets, operands, attributes, number of outputs, domain] */
type Case = readonly [
  string,
  readonly number[],
  readonly Operand[],
  NewNode["attributes"]?,
  number?,
  string?,
];

const known = (...values: number[]) => ({ known: values });
const scalar = (value: number) => ({ known: value });
const positive = (...shape: number[]) => ({ positive: shape });
const integer = (value: number | number[]) => ({ integer: value });
const float = (value: number | number[]) => ({ float: value });
const MICROSOFT = "com.microsoft";

/** Opsets at which forms changed. */
const ALL = [7, 13, 18, 21];

const cases: readonly Case[] = [
  ...["Add", "Sub", "Mul"].flatMap((operator): Case[] => [
    [operator, ALL, [[2, 3, 4], [4]]],
    [
      operator,
      ALL,
      [
        [3, 1],
        [2, 1, 4],
      ],
    ],
    [operator, ALL, [[], [2]]],
  ]),
  ["Div", ALL, [[2, 3], positive(2, 1)]],
  ["Max", [8, 13], [[2, 3], [3], [2, 1]]],
  ["Min", [8, 13], [[2, 3], [3], [2, 1]]],
  ["Sum", [8, 13], [[2, 3], [3], []]],
  ["Mean", [8, 13], [[2, 3], [3], [2, 1]]],
  ["Pow", ALL, [[2, 3], 2]],
  ["Pow", ALL, [positive(2, 3), 0.5]],
  ["Pow", ALL, [positive(2, 3), -1.5]],
  ...["Neg", "Abs", "Exp", "Erf", "Tanh", "Sigmoid", "Sign", "Softsign", "Relu", "Identity"].map(
    (operator): Case => [operator, [9, 18], [[2, 3, 4]]],
  ),
  ["Sqrt", ALL, [positive(2, 3)]],
  ["Reciprocal", ALL, [positive(2, 3)]],
  ["LeakyRelu", ALL, [[2, 3]], { alpha: float(0.2) }],
  ["PRelu", [9, 16], [[2, 3], [3]]],
  ["Elu", [7], [[2, 3]], { alpha: float(0.7) }],
  ["Selu", [7], [[2, 3]]],
  ["Celu", [12], [[2, 3]], { alpha: float(1.5) }],
  ["HardSigmoid", [7], [[2, 9]]],
  ["HardSigmoid", [7], [[2, 9]], { alpha: float(0.4), beta: float(0.3) }],
  ["HardSwish", [14], [[2, 9]]],
  ["Gelu", [20], [[2, 9]]],
  ["Gelu", [20], [[2, 9]], { approximate: "tanh" }],
  ["Clip", [7], [[2, 9]], { min: float(-0.5), max: float(0.25) }],
  ["Clip", [7], [[2, 9]]],
  ["Clip", [13], [[2, 9], -0.5, 0.25]],
  ["Clip", [13], [[2, 9], "_", 0.25]],
  ["Clip", [13], [[2, 9], 0]],
  ["Softmax", [7, 11], [[2, 3, 4]]],
  ["Softmax", [7, 11], [[2, 3, 4]], { axis: integer(-1) }],
  ["Softmax", [7, 11], [[2, 3, 4]], { axis: integer(0) }],
  ["Softmax", [13], [[2, 3, 4]]],
  ["Softmax", [13], [[2, 3, 4]], { axis: integer(1) }],
  ["Dropout", [7, 13], [[2, 3]]],
  ["DequantizeLinear", [13, 21], [{ int32: [5, -7, 100] }, 0.25]],
  ["DequantizeLinear", [13], [{ int32: [5, -7, 100] }, [3]], { axis: integer(0) }],
  ...["ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceL1", "ReduceL2", "ReduceSumSquare"].flatMap(
    (operator): Case[] => {
      const attribute = operator === "ReduceSum" ? [11] : [11, 13];
      const input = operator === "ReduceSum" ? [13, 18] : [18, 21];
      return [
        [operator, attribute, [[2, 3, 4]], { axes: integer([-1]) }],
        [operator, attribute, [[2, 3, 4]], { axes: integer([0, 2]), keepdims: integer(0) }],
        [operator, attribute, [[2, 3, 4]]],
        [operator, input, [[2, 3, 4], known(-1)]],
        [operator, input, [[2, 3, 4], known(2, 0)], { keepdims: integer(0) }],
        [operator, input, [[2, 3, 4]]],
        [operator, input, [[2, 3, 4]], { keepdims: integer(0) }],
      ];
    },
  ),
  ["ReduceMean", [18], [[2, 3]], { noop_with_empty_axes: integer(1) }],
  ["ReduceSum", [13], [[2, 3]], { noop_with_empty_axes: integer(1) }],
  ["GlobalAveragePool", ALL, [[2, 3, 4, 5]]],
  ["GlobalMaxPool", ALL, [[2, 3, 4, 5]]],
  ["Reshape", ALL, [[2, 3, 4], known(0, -1, 2)]],
  ["Reshape", ALL, [[2, 3, 4], known(-1)]],
  ["Reshape", [14], [[2, 3, 4], known(4, 6)], { allowzero: integer(1) }],
  ["Flatten", ALL, [[2, 3, 4]]],
  ["Flatten", ALL, [[2, 3, 4]], { axis: integer(0) }],
  ["Flatten", [13], [[2, 3, 4]], { axis: integer(-1) }],
  ["Squeeze", [11], [[1, 3, 1]], { axes: integer([-1]) }],
  ["Squeeze", [11, 13], [[1, 3, 1]]],
  ["Squeeze", [13], [[1, 3, 1], known(0)]],
  ["Unsqueeze", [11], [[2, 3]], { axes: integer([0, -1]) }],
  ["Unsqueeze", [13], [[2, 3], known(-1, 1)]],
  ["Transpose", ALL, [[2, 3, 4]]],
  ["Transpose", ALL, [[2, 3, 4]], { perm: integer([1, 2, 0]) }],
  ["Expand", [8, 13], [[3, 1], known(2, 1, 4)]],
  ["Expand", [8, 13], [[3, 4], known(1)]],
  ["Tile", [7, 13], [[2, 3], known(2, 3)]],
  ["Slice", [9], [[4, 5]], { starts: integer([1, -3]), ends: integer([3, 100]) }],
  ["Slice", [9], [[4, 5]], { starts: integer([1]), ends: integer([-1]), axes: integer([1]) }],
  ["Slice", [13], [[4, 5], known(1), known(2 ** 31 - 1), known(-1)]],
  ["Slice", [13], [[4, 5], known(0, 1), known(4, 5), known(0, 1), known(3, 2)]],
  ["Slice", [13], [[4, 7], known(-1), known(-(2 ** 31)), known(1), known(-2)]],
  ["Slice", [13], [[4, 7], known(1, 2), known(1, 4)]],
  [
    "Concat",
    ALL,
    [
      [2, 3],
      [2, 1],
      [2, 2],
    ],
    { axis: integer(1) },
  ],
  [
    "Concat",
    [13],
    [
      [2, 3],
      [1, 3],
    ],
    { axis: integer(-2) },
  ],
  ["Split", [11], [[2, 6]], { axis: integer(1) }, 3],
  ["Split", [11], [[2, 6]], { axis: integer(-1), split: integer([1, 5]) }, 2],
  ["Split", [13], [[2, 6], known(2, 4)], { axis: integer(1) }, 2],
  ["Split", [18], [[2, 7]], { axis: integer(1), num_outputs: integer(3) }, 3],
  ["Gather", ALL, [[4, 3], scalar(1)]],
  ["Gather", [13], [[4, 3], { known: [2, 0, 2, -1] }], { axis: integer(0) }],
  ["Gather", [13], [[2, 3, 4], scalar(-1)], { axis: integer(1) }],
  ["DepthToSpace", [13], [[2, 8, 3, 2]], { blocksize: integer(2) }],
  ["DepthToSpace", [13], [[2, 8, 3, 2]], { blocksize: integer(2), mode: "CRD" }],
  ["SpaceToDepth", [13], [[2, 3, 4, 6]], { blocksize: integer(2) }],
  [
    "MatMul",
    ALL,
    [
      [2, 3, 4],
      [4, 5],
    ],
  ],
  [
    "MatMul",
    ALL,
    [
      [2, 1, 3, 4],
      [5, 4, 2],
    ],
  ],
  ["MatMul", ALL, [[4], [4, 5]]],
  ["MatMul", ALL, [[2, 3, 4], [4]]],
  [
    "MatMul",
    [13],
    [
      [3, 4],
      [2, 4, 5],
    ],
  ],
  ["Gemm", ALL, [[2, 3], [3, 4], [4]]],
  [
    "Gemm",
    [13],
    [
      [3, 2],
      [4, 3],
      [2, 1],
    ],
    {
      ...{ alpha: float(0.5), beta: float(2), transA: integer(1), transB: integer(1) },
    },
  ],
  [
    "Gemm",
    [13],
    [
      [2, 3],
      [3, 4],
    ],
  ],
  ["BatchNormalization", [7, 9, 14, 15], [[2, 3, 4, 5], [3], [3], [3], positive(3)]],
  ["BatchNormalization", [15], [[4, 3], [3], [3], [3], positive(3)], { epsilon: float(0.01) }],
  [
    "BatchNormalization",
    [15],
    [[2, 3, 4], [3], [3], [3], positive(3)],
    { training_mode: integer(1), momentum: float(0.8) },
    3,
  ],
  ["InstanceNormalization", ALL, [[2, 3, 4, 5], [3], [3]], { epsilon: float(0.01) }],
  ["InstanceNormalization", ALL, [[2, 3, 4], [3], [3]]],
  ["GroupNormalization", [18], [[2, 6, 4], [2], [2]], { num_groups: integer(2) }],
  ["GroupNormalization", [21], [[2, 6, 2, 3], [6], [6]], { num_groups: integer(3), epsilon: float(0.01) }],
  ["LayerNormalization", [17, 21], [[2, 3, 4], [4], [4]], {}, 3],
  [
    "LayerNormalization",
    [17],
    [
      [2, 3, 4],
      [3, 4],
    ],
    { axis: integer(1), epsilon: float(0.1) },
    3,
  ],
  ["LayerNormalization", [17], [[2, 3, 4], [1]], { axis: integer(-1) }],
  ["LpNormalization", ALL, [[2, 3, 4]], { axis: integer(1) }],
  ["LpNormalization", ALL, [[2, 3, 4]], { p: integer(1) }],
  ["MeanVarianceNormalization", [13], [[2, 3, 4, 5]]],
  ["MeanVarianceNormalization", [13], [[2, 3, 4]], { axes: integer([1, 2]) }],
  ["Where", [9, 16], [[2, 3], [2, 3], [3]]],
  ["SimplifiedLayerNormalization", [17], [[2, 3, 4], [4]], { axis: integer(-1), epsilon: float(0.01) }, 2],
  [
    "SkipLayerNormalization",
    [17],
    [[2, 3, 4], [2, 3, 4], [4], [4], [4]],
    { epsilon: float(0.01) },
    1,
    MICROSOFT,
  ],
  ["SkipLayerNormalization", [17], [[2, 3, 4], [2, 3, 4], [4]], {}, 4, MICROSOFT],
  [
    "SkipSimplifiedLayerNormalization",
    [17],
    [[2, 3, 4], [2, 3, 4], [4], [4]],
    { epsilon: float(0.01) },
    1,
    MICROSOFT,
  ],
  ["Gelu", [17], [[2, 9]], {}, 1, MICROSOFT],
  ["QuickGelu", [17], [[2, 9]], { alpha: float(1.5) }, 1, MICROSOFT],
  ["BiasGelu", [17], [[2, 9], [9]], {}, 1, MICROSOFT],
  ["FastGelu", [17], [[2, 9], [9]], {}, 1, MICROSOFT],
  ["FastGelu", [17], [[2, 9]], {}, 1, MICROSOFT],
  [
    "FusedMatMul",
    [17],
    [
      [2, 4, 3],
      [4, 5],
    ],
    { transA: integer(1), alpha: float(0.5) },
    1,
    MICROSOFT,
  ],
];

/** Uniform within −2 … 2, the same each time. */
function randoms(size: number, seed: number): Float32Array {
  let state = seed * 2654435761 + 1;
  return Float32Array.from({ length: size }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state / 2 ** 32) * 4 - 2;
  });
}

describe("as in onnxruntime", () => {
  const opsets = [...new Set(cases.flatMap(([, versions]) => versions))].sort((a, b) => a - b);

  it.each(opsets)("opset %i", async (opset) => {
    const nodes: NewNodeOf[] = [];
    const constants: ReturnType<typeof newConstant>[] = [];
    const inputs: [string, Shape, string?][] = [];
    const feeds: Record<string, { shape: Shape; data: Float32Array }> = {};
    const outputs: [string][] = [];
    cases.forEach(([operator, versions, operands, attributes = {}, count = 1, domain = ""], i) => {
      if (!versions.includes(opset)) return;
      const reads = operands.map((operand, place) => {
        const name = `${operator}_${i}_${place}`;
        if (operand === "_") return "_";
        if (typeof operand === "number") {
          constants.push(newConstant(name, operand));
        } else if ("int32" in operand) {
          constants.push(newConstant(name, operand.int32, undefined, "int32"));
        } else if ("known" in operand) {
          const { known: values } = operand;
          constants.push(newConstant(name, values, undefined, "int64"));
        } else {
          const shape = "positive" in operand ? operand.positive : operand;
          const data = randoms(sizeOf(shape), 100 * i + place + 1);
          feeds[name] = { shape, data: "positive" in operand ? data.map((x) => Math.abs(x) + 0.1) : data };
          inputs.push([name, shape]);
        }
        return name;
      });
      const gives = Array.from({ length: count }, (_, place) => `y_${i}_${place}`);
      if (operator === "Where") {
        nodes.push(["Cast", reads[0], `bool_${i}`, { to: integer(9) }]);
        reads[0] = `bool_${i}`;
      }
      // means that it does not give are left out
      if (operator === "SkipLayerNormalization" && count === 4) [gives[1], gives[2]] = ["_", "_"];
      nodes.push([operator, reads.join(" "), gives.join(" "), attributes, domain]);
      outputs.push(...gives.filter((name) => name !== "_").map((name): [string] => [name]));
    });
    const bytes = onnxBytes({ opset, nodes, constants, inputs, outputs });
    const expected = await run(bytes, feeds);
    const { graph } = await openModel(bytes);
    const given = new Map(
      Object.entries(feeds).map(([name, { shape, data }]) => [
        name,
        { shape, data: Float64Array.from(data) },
      ]),
    );
    const values = await evaluated(
      graph,
      outputs.map(([name]) => name),
      { given },
    );
    const wrong = outputs.flatMap(([name]) => {
      const [ours, theirs] = [values.get(name)?.data, expected[name]];
      if (ours?.length !== theirs.length) return [`${name}: ${ours?.length} of ${theirs.length} values`];
      const worst = Math.max(0, ...theirs.map((x, j) => Math.abs(x - ours[j]) / (1 + Math.abs(x))));
      return worst < 3e-6 ? [] : [`${name}: ${worst}`];
    });
    const about = wrong.map((text) => `${JSON.stringify(cases[Number(text.split("_")[1])])} ${text}`);
    expect(about).toEqual([]);
  });
});
