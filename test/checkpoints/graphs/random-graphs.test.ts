/** Graphs of any operators on anything: nothing throws, and what is said of shapes is what is computed. */
import { expect, it } from "vitest";
import { evaluated } from "../../../src/checkpoints/graphs/evaluate.js";
import { microsoft, onnx } from "../../../src/checkpoints/graphs/operators-onnx.js";
import { tensorflow } from "../../../src/checkpoints/graphs/operators-tensorflow.js";
import { settle } from "../../../src/checkpoints/graphs/shapes.js";
import { sizeOf } from "../../../src/shape.js";
import { constantOf, graphOf, integersOf, type NodeOf } from "../../support/graphs.js";

const OPERATORS = [
  ...Object.keys({ ...onnx, ...microsoft, ...tensorflow }),
  ..."Conv ConvTranspose MaxPool Resize Upsample Pad TopK OneHot Einsum LSTM GRU Range ConstantOfShape NonZero ArgMax".split(
    " ",
  ),
  ..."GatherElements GatherND GridSample RoiAlign Attention MultiHeadAttention ReduceProd Mod Equal Floor Not Round".split(
    " ",
  ),
  ..."Conv2D DepthwiseConv2dNative AvgPool ResizeBilinear MirrorPad SpaceToBatchND BatchToSpaceND Prod FloorDiv".split(
    " ",
  ),
];
const SETTINGS = (
  "axes keepdims noop_with_empty_axes epsilon axis training_mode starts ends num_outputs blocksize mode start end allowzero perm " +
  "num_groups p groups data_format is_training batch_dims squeeze_dims num_split num strides dilations auto_pad pads ceil_mode group " +
  "output_shape kernel_shape k equation hidden_size scales value keep_dims begin_mask end_mask ellipsis_mask new_axis_mask " +
  "shrink_axis_mask transA transB adj_x transpose_b ksize padding block_size num_heads to DstT split"
).split(" ");
const TEXTS = [
  "SAME",
  "VALID",
  "SAME_UPPER",
  "NHWC",
  "NCHW",
  "float32",
  "int64",
  "bool",
  "ij,jk->ik",
  "...i,i->...",
  "CRD",
];

it.each(Array.from({ length: 8 }, (_, seed) => seed))("seed %i", async (seed) => {
  let state = seed + 1;
  const random = (below: number) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  const pick = <T>(all: readonly T[]) => all[random(all.length)];
  const some = <T>(most: number, make: (i: number) => T) =>
    Array.from({ length: random(most) }, (_, i) => make(i));
  const setting = () =>
    pick<() => number | string | number[]>([
      () => random(5) - 2,
      () => some(5, () => random(5) - 1),
      () => pick(TEXTS),
      () => pick([2 ** 40, Number.NaN, -1e9, 0.5]),
    ])();

  for (let round = 0; round < 25; round++) {
    const constants = [
      ...Array.from({ length: 6 }, (_, i) => {
        const shape = some(6, () => random(5));
        const values = Float32Array.from({ length: sizeOf(shape) }, () => pick([0, 1, -1, 0.5, 3, 1e30]));
        return constantOf(`c${i}`, values, shape);
      }),
      ...Array.from({ length: 4 }, (_, i) =>
        integersOf(
          `i${i}`,
          some(5, () => random(6) - 2),
        ),
      ),
      integersOf("scalar", random(6) - 2),
      integersOf("great", 2 ** 40),
      integersOf("greats", [2 ** 30, 2 ** 30]),
    ];
    const names = [...constants.map(({ name }) => name), "x", "y", "z", "_"];
    const nodes = Array.from({ length: 12 }, (_, i): NodeOf => {
      const reads = some(6, () => pick(names)).join(" ");
      const gives = Array.from({ length: 1 + random(3) }, (_, k) => `v${i}_${k}`);
      names.push(...gives);
      const attributes = Object.fromEntries(some(4, () => [pick(SETTINGS), setting()]));
      return [pick(OPERATORS), reads, gives.join(" "), attributes, pick(["", "", "", "com.microsoft"])];
    });
    const graph = graphOf({
      dialect: pick(["onnx", "tensorflow"]),
      opset: pick([6, 7, 9, 11, 13, 17, 18, 21, 23]),
      nodes,
      constants,
      inputs: [
        ["x", ["n", 3, "", 4]],
        ["y", undefined],
        ["z", ["n"], "int64"],
      ],
    });
    const settled = await settle(graph, 0);
    const all = graph.nodes.flatMap(({ outputs }) => outputs);
    for (const [name, { shape, data }] of await evaluated(graph, all, { most: 2 ** 18 })) {
      const about = nodes.find(([, , gives]) => gives.split(" ").includes(name));
      expect([about, data.length]).toEqual([about, sizeOf(shape)]);
      const said = settled
        .shape(name)
        ?.map((length, axis) => (settled.isOpen(length) ? shape[axis] : length));
      expect([about, said ?? shape]).toEqual([about, shape]);
      expect([about, settled.known(name)?.data ?? data]).toEqual([about, data]);
    }
  }
});
