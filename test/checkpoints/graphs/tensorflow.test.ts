/** What TensorFlow's operators mean, and shapes, against TensorFlow.js. */
import "@tensorflow/tfjs-backend-cpu";
import { loadGraphModel } from "@tensorflow/tfjs-converter";
import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import { evaluated } from "../../../src/checkpoints/graphs/evaluate.js";
import type { Graph } from "../../../src/checkpoints/graphs/graph.js";
import { settle } from "../../../src/checkpoints/graphs/shapes.js";
import type { Values64 } from "../../../src/formula/eager.js";
import { openModel } from "../../../src/onnx/model.js";
import { sizeOf } from "../../../src/shape.js";
import { exportsOf, packs } from "../../support/onnx-exports.js";

type Lengths = readonly number[];

beforeAll(async () => {
  await tf.setBackend("cpu");
});

interface Input {
  readonly name: string;
  readonly shape: Lengths;
  readonly data: ArrayLike<number>;
}

/** All values of a graph model as TensorFlow.js computes them. */
async function inRuntime(
  json: Uint8Array,
  weights: Uint8Array,
  names: readonly string[],
  inputs: readonly Input[],
) {
  const { modelTopology, weightsManifest, signature } = JSON.parse(new TextDecoder().decode(json));
  const model = await loadGraphModel({
    load: async () => ({
      modelTopology,
      signature,
      weightSpecs: weightsManifest.flatMap((group: { weights: object[] }) => group.weights),
      weightData: weights.slice().buffer as ArrayBuffer,
    }),
  });
  const feeds = Object.fromEntries(
    inputs.map(({ name, shape, data }) => [name, tf.tensor(Float32Array.from(data), [...shape])]),
  );
  const given = model.execute(feeds, [...names]) as tf.Tensor | tf.Tensor[];
  const values = await Promise.all(
    [given].flat().map(async (one, i) => ({
      name: names[i],
      shape: one.shape,
      dtype: one.dtype,
      data: await one.data(),
    })),
  );
  model.dispose();
  return new Map(values.map((one) => [one.name, one]));
}

/** Operators that have no meaning. */
const UNKNOWN =
  /^(_Fused|Fused(Conv|Depthwise|Mat)|Conv|Depthwise|MaxPool|AvgPool|Resize|MirrorPad|Pad|LRN|Einsum|ArgM|OneHot|SpaceTo|BatchTo|DepthTo)/;

async function differences(graph: Graph, json: Uint8Array, weights: Uint8Array, inputs: readonly Input[]) {
  const computed = graph.nodes.filter(({ operator }) => operator !== "Placeholder" && operator !== "Const");
  const names = computed.flatMap(({ outputs }) => outputs);
  const runs = await inRuntime(json, weights, names, inputs);
  const shapes = new Map(inputs.map(({ name, shape }) => [name, shape]));
  const settled = await settle(
    { ...graph, inputs: graph.inputs.map((info) => ({ ...info, shape: shapes.get(info.name) })) },
    0,
  );
  const given = new Map<string, Values64>();
  for (const { name, shape, data } of inputs) given.set(name, { shape, data: Float64Array.from(data) });
  for (const { operator, outputs } of computed) {
    if (!UNKNOWN.test(operator)) continue;
    for (const name of outputs) {
      const { shape, data } = runs.get(name) ?? {};
      if (shape && data) given.set(name, { shape, data: Float64Array.from(data) });
    }
  }
  const values = await evaluated(graph, names, { given });
  return computed.flatMap(({ operator, outputs }) =>
    outputs.flatMap((name) => {
      const real = runs.get(name);
      if (real === undefined) return [`${operator} is not computed`];
      const ours = values.get(name);
      const far = Array.from(
        real.data,
        (x, i) => Math.abs(x - (ours?.data[i] ?? Number.NaN)) / (1 + Math.abs(x)),
      );
      const type = settled.dtype(name);
      return [
        ...(settled.shape(name)?.join() === real.shape.join()
          ? []
          : [`${operator}: [${settled.shape(name)}], not [${real.shape}]`]),
        ...(type === real.dtype ? [] : [`${operator} is ${type}, not ${real.dtype}`]),
        ...(far.every((x) => x < 2e-5)
          ? []
          : [`${operator}: ${ours?.data.slice(0, 6)}, not ${real.data.slice(0, 6)}`]),
      ];
    }),
  );
}

describe("graph models of exporters", async () => {
  const all = (
    await Promise.all(packs.filter((pack) => pack.startsWith("tfjs")).map((pack) => exportsOf(pack)))
  ).flat();

  it.each(all.filter(({ entry }, i) => entry.runs !== false && i % 6 === 1))(
    "$pack: $name",
    async ({ entry, model, weights, inputs }) => {
      const { graph } = await openModel(
        new Map([
          [entry.file, model],
          ["group1-shard1of1.bin", weights as Uint8Array],
        ]),
      );
      const feeds = inputs.map(({ shape, data }, i) => ({
        name: graph.inputs[i].name,
        shape,
        data: data as ArrayLike<number>,
      }));
      expect(await differences(graph, model, weights as Uint8Array, feeds)).toEqual([]);
    },
  );
});

type Operand = Lengths | { readonly known: number | Lengths } | { readonly number: number };
/** [operator, operands, attributes]: operands are shapes of reals, or known integers. */
type Case = readonly [string, readonly Operand[], Readonly<Record<string, object>>?];

const known = (...values: number[]) => ({ known: values });
const scalar = (value: number) => ({ known: value });
const i = (value: number) => ({ i: String(value) });
const s = (text: string) => ({ s: btoa(text) });
const list = (...values: number[]) => ({ list: { i: values.map(String) } });
const b = (value: boolean) => ({ b: value });
const kept = { keep_dims: b(true) };
const image = [2, 8, 6, 4];

const cases: readonly Case[] = [
  ["Add", [[2, 3], [3]]],
  ["AddV2", [[2, 1], [3]]],
  [
    "AddN",
    [
      [2, 3],
      [2, 3],
      [2, 3],
    ],
  ],
  ["Sub", [[2, 3], [3]]],
  [
    "Mul",
    [
      [2, 3],
      [2, 1],
    ],
  ],
  ["RealDiv", [[2, 3], { number: 3 }]],
  ["Maximum", [[2, 3], [3]]],
  ["Minimum", [[2, 3], [3]]],
  ["SquaredDifference", [[2, 3], [3]]],
  ["Pow", [[2, 3], { number: 2 }]],
  ["BiasAdd", [image, [4]]],
  ...[
    "Neg",
    "Abs",
    "Square",
    "Exp",
    "Erf",
    "Tanh",
    "Sigmoid",
    "Relu",
    "Relu6",
    "Elu",
    "Selu",
    "Softmax",
    "Sign",
  ].map((operator): Case => [operator, [[2, 3]]]),
  ["LeakyRelu", [[2, 3]], { alpha: { f: 0.3 } }],
  ["Prelu", [[2, 3], [3]]],
  ["ClipByValue", [[2, 3], { number: -0.5 }, { number: 0.25 }]],
  ["Mean", [image, known(1, -2)], kept],
  ["Mean", [image, scalar(-1)]],
  ["Sum", [image, known(0, 3)]],
  ["Max", [image, known(2)], kept],
  ["Min", [image, known(2)], kept],
  ["Reshape", [[2, 6], known(-1, 4)]],
  ["ExpandDims", [[2, 6], scalar(-1)]],
  ["Squeeze", [[1, 6, 1]], { squeeze_dims: list(2) }],
  ["Squeeze", [[1, 6, 1]]],
  ["Transpose", [[2, 3, 4], known(2, 0, 1)]],
  ["Tile", [[2, 3], known(2, 3)]],
  ["BroadcastTo", [[3, 1], known(2, 3, 4)]],
  ["Fill", [known(2, 3), { number: 0.5 }]],
  ["ConcatV2", [[2, 3], [2, 1], scalar(-1)], { N: i(2) }],
  ["SplitV", [[2, 6], known(2, 4), scalar(1)], { num_split: i(2) }],
  ["Split", [scalar(1), [2, 6]], { num_split: i(3) }],
  ["Slice", [[4, 5], known(1, 0), known(2, -1)]],
  ["StridedSlice", [[4, 6], known(0, 1), known(4, 6), known(2, 2)]],
  ["StridedSlice", [[4, 6], known(1, 1), known(2, 6), known(1, 1)], { shrink_axis_mask: i(1) }],
  ["StridedSlice", [[4, 6], known(0, 5), known(4, 0), known(1, -2)]],
  [
    "StridedSlice",
    [[4, 3, 6], known(0, 0, 2), known(0, 0, 0), known(1, 1, 1)],
    { ellipsis_mask: i(1), end_mask: i(6) },
  ],
  [
    "StridedSlice",
    [[4, 6], known(0, 0, 1), known(0, 0, 3), known(1, 1, 1)],
    { new_axis_mask: i(1), begin_mask: i(2), end_mask: i(2) },
  ],
  ["GatherV2", [[4, 6], known(2, 0, 2), scalar(1)]],
  ["GatherV2", [[4, 6], scalar(3), scalar(0)]],
  [
    "Pack",
    [
      [2, 3],
      [2, 3],
    ],
    { axis: i(1), N: i(2) },
  ],
  ["Unpack", [[2, 3]], { axis: i(-1), num: i(3) }],
  [
    "MatMul",
    [
      [3, 2],
      [3, 4],
    ],
    { transpose_a: b(true) },
  ],
  [
    "BatchMatMulV2",
    [
      [2, 5, 3],
      [2, 4, 3],
    ],
    { adj_y: b(true) },
  ],
  ["FusedBatchNormV3", [image, [4], [4], [4], [4]], { is_training: b(false), epsilon: { f: 4 } }],
  ["ZerosLike", [[2, 3]]],
  ["OnesLike", [[2, 3]]],
  ["Shape", [[2, 3]]],
  ["Rank", [[2, 3]]],
  ["Size", [[2, 3]]],
  ["Cast", [[2, 3]], { DstT: { type: "DT_INT32" } }],
  ["FloorDiv", [known(7, -7), known(2)], { T: { type: "DT_INT32" } }],
  ["Range", [scalar(2), scalar(9), scalar(3)], { Tidx: { type: "DT_INT32" } }],
  ["Floor", [[2, 3]]],
  ["Softplus", [[2, 3]]],
  ["Prod", [[2, 3], known(1)]],
  ["Greater", [[2, 3], [3]]],
  [
    "Conv2D",
    [image, [3, 2, 4, 5]],
    { strides: list(1, 2, 1, 1), padding: s("SAME"), dilations: list(1, 1, 1, 1) },
  ],
  [
    "Conv2D",
    [image, [3, 2, 4, 5]],
    { strides: list(1, 2, 1, 1), padding: s("VALID"), dilations: list(1, 1, 1, 1) },
  ],
  [
    "DepthwiseConv2dNative",
    [image, [3, 3, 4, 2]],
    { strides: list(1, 1, 1, 1), padding: s("VALID"), dilations: list(1, 1, 1, 1) },
  ],
  [
    "Conv2DBackpropInput",
    [known(2, 16, 12, 5), [3, 3, 5, 4], image],
    { strides: list(1, 2, 2, 1), padding: s("SAME") },
  ],
  ["MaxPool", [image], { ksize: list(1, 2, 2, 1), strides: list(1, 2, 2, 1), padding: s("VALID") }],
  ["AvgPool", [image], { ksize: list(1, 3, 3, 1), strides: list(1, 2, 2, 1), padding: s("SAME") }],
  ["ResizeBilinear", [image, known(5, 7)]],
  ["ResizeNearestNeighbor", [image, known(16, 12)]],
  ["MirrorPad", [image, { known: [0, 0, 1, 2, 1, 0, 0, 0] }], { mode: s("REFLECT") }],
  ["PadV2", [[2, 3], { known: [1, 0, 0, 2] }, { number: 7 }]],
  ["DepthToSpace", [image], { block_size: i(2), data_format: s("NHWC") }],
  ["SpaceToBatchND", [[2, 8, 6, 1], known(2, 2), { known: [0, 0, 2, 0] }]],
  ["BatchToSpaceND", [[8, 4, 4, 1], known(2, 2), { known: [0, 0, 2, 0] }]],
  ["ArgMax", [[2, 3], scalar(1)], { output_type: { type: "DT_INT32" } }],
  ["OneHot", [known(0, 2), scalar(4), { number: 1 }, { number: 0 }], { axis: i(-1) }],
  [
    "Einsum",
    [
      [2, 3, 4],
      [2, 5, 4],
    ],
    { equation: s("bij,bkj->bik"), N: i(2) },
  ],
];

it("each operator", async () => {
  const nodes: object[] = [];
  const weights: { name: string; shape: Lengths; dtype: string; values: Float32Array | Int32Array }[] = [];
  const constant = (name: string, values: number | Lengths, dtype: "int32" | "float32") => {
    const flat = [values].flat();
    // rows of pairs, of paddings
    const shape =
      typeof values === "number" ? [] : /Pad|ND_\d+_2/.test(name) ? [flat.length / 2, 2] : [flat.length];
    weights.push({
      name,
      shape,
      dtype,
      values: dtype === "int32" ? Int32Array.from(flat) : Float32Array.from(flat),
    });
    nodes.push({ name, op: "Const", attr: { dtype: { type: dtype === "int32" ? "DT_INT32" : "DT_FLOAT" } } });
  };
  const inputs: Input[] = [];
  cases.forEach(([op, operands, attr = {}], place) => {
    const input = operands.map((operand, at) => {
      const name = `${op}_${place}_${at}`;
      if ("known" in operand) constant(name, operand.known, "int32");
      else if ("number" in operand) constant(name, operand.number, "float32");
      else {
        const data = Float32Array.from(
          { length: sizeOf(operand) },
          (_, k) => Math.sin(37 * k + place + at) * 2,
        );
        inputs.push({ name, shape: operand, data });
        const dim = operand.map((length) => ({ size: String(length) }));
        nodes.push({
          name,
          op: "Placeholder",
          attr: { dtype: { type: "DT_FLOAT" }, shape: { shape: { dim } } },
        });
      }
      return name;
    });
    nodes.push({ name: `y_${place}`, op, input, attr: { T: { type: "DT_FLOAT" }, ...attr } });
  });
  const bytes = new Uint8Array(weights.flatMap(({ values }) => [...new Uint8Array(values.buffer)]));
  const json = new TextEncoder().encode(
    JSON.stringify({
      format: "graph-model",
      modelTopology: { node: nodes, versions: { producer: 1087, minConsumer: 12 } },
      weightsManifest: [
        {
          paths: ["weights.bin"],
          weights: weights.map(({ name, shape, dtype }) => ({ name, shape, dtype })),
        },
      ],
    }),
  );
  const { graph } = await openModel(
    new Map([
      ["model.json", json],
      ["weights.bin", bytes],
    ]),
  );
  expect(await differences(graph, json, bytes, inputs)).toEqual([]);
});
