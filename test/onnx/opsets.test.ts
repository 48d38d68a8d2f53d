/** Models of older operators, raised: the same numbers in onnxruntime. */
import { InferenceSession, Tensor } from "onnxruntime-node";
import { describe, expect, it } from "vitest";
import type { Mend } from "../../src/checkpoints/graphs/graph.js";
import { type Model, openModel } from "../../src/onnx/model.js";
import { canRaise, changedMeaning, raising } from "../../src/onnx/opsets.js";
import { written } from "../../src/onnx/write.js";
import { itWithModel, modelFile } from "../checkpoints/support/shared-models.js";
import { normal } from "../support/numerics.js";
import { type ModelOf, newConstant, onnxBytes, run } from "../support/onnx-models.js";
import { bytesIn } from "./support.js";

const i = (...integer: number[]) => ({ integer });
const i1 = (integer: number) => ({ integer });
const f = (...float: number[]) => ({ float });
const f1 = (float: number) => ({ float });
const int64 = (name: string, values: number[]) => newConstant(name, values, undefined, "int64");

/** A mend that changes nothing but the operator set. */
const raise = (model: Model, to: number): Mend => ({
  title: "nothing",
  graph: model.graph,
  replaces: [],
  nodes: [],
  at: model.graph.nodes[0],
  constants: [],
  opsets: { "": to },
  outputs: [],
});

type Case = Pick<ModelOf, "nodes" | "constants"> & {
  x?: number[];
  outputs?: ModelOf["outputs"];
  dtype?: string;
};

/** [what, from, to, the nodes from x to y and what more there is] */
const cases: [string, number, number, Case][] = [
  ["ReduceMean", 11, 18, { nodes: [["ReduceMean", "x", "y", { axes: i(1, -1), keepdims: i1(0) }]] }],
  ["ReduceMean over all", 11, 18, { nodes: [["ReduceMean", "x", "y"]] }],
  ["ReduceL2", 13, 23, { nodes: [["ReduceL2", "x", "y", { axes: i(2) }]] }],
  ["ReduceSum", 11, 17, { nodes: [["ReduceSum", "x", "y", { axes: i(0, 2) }]] }],
  [
    "Unsqueeze and Squeeze",
    12,
    17,
    {
      nodes: [
        ["Unsqueeze", "x", "h", { axes: i(0, 4) }],
        ["Squeeze", "h", "y", { axes: i(0) }],
      ],
    },
  ],
  ["Softmax over all axes from 1 on", 11, 17, { nodes: [["Softmax", "x", "y"]] }],
  ["Softmax from 2 on", 12, 13, { nodes: [["Softmax", "x", "y", { axis: i1(2) }]] }],
  ["LogSoftmax from 1 on", 9, 17, { nodes: [["LogSoftmax", "x", "y", { axis: i1(1) }]] }],
  ["Hardmax from 1 on", 11, 13, { nodes: [["Hardmax", "x", "y"]] }],
  [
    "Split by lengths",
    11,
    18,
    { nodes: [["Split", "x", "y z", { axis: i1(2), split: i(1, 3) }]], outputs: [["y"], ["z"]] },
  ],
  [
    "Split into equal parts",
    13,
    18,
    { nodes: [["Split", "x", "y z", { axis: i1(2) }]], outputs: [["y"], ["z"]] },
  ],
  ["Clip", 7, 17, { nodes: [["Clip", "x", "y", { min: f1(-0.3), max: f1(0.5) }]] }],
  ["Clip from below", 10, 11, { nodes: [["Clip", "x", "y", { min: f1(0.1) }]] }],
  [
    "Clip of a type that is not said",
    9,
    15,
    {
      nodes: [
        ["Neg", "x", "h"],
        ["Clip", "h", "y", { max: f1(0.1) }],
      ],
    },
  ],
  ["Clip of float16", 10, 13, { nodes: [["Clip", "x", "y", { max: f1(0.25) }]], dtype: "float16" }],
  ["Pad by a value", 10, 18, { nodes: [["Pad", "x", "y", { pads: i(0, 0, 1, 0, 1, 0), value: f1(2.5) }]] }],
  [
    "Pad by reflection",
    9,
    13,
    { nodes: [["Pad", "x", "y", { pads: i(0, 0, 1, 0, 0, 2), mode: "reflect" }]] },
  ],
  ["Slice", 9, 17, { nodes: [["Slice", "x", "y", { starts: i(1, -2), ends: i(9, -1), axes: i(1, 2) }]] }],
  ["Slice of the first axes", 7, 10, { nodes: [["Slice", "x", "y", { starts: i(1), ends: i(2) }]] }],
  ["TopK", 9, 17, { nodes: [["TopK", "x", "y where", { axis: i1(2), k: i1(2) }]] }],
  ["Dropout", 7, 17, { nodes: [["Dropout", "x", "y", { ratio: f1(0.4) }]] }],
  [
    "Upsample by an attribute",
    7,
    9,
    { nodes: [["Upsample", "x", "y", { scales: f(1, 1, 2, 3) }]], x: [1, 2, 3, 4] },
  ],
  [
    "Upsample by an attribute, since",
    8,
    11,
    { nodes: [["Upsample", "x", "y", { scales: f(1, 1, 2, 2.5) }]], x: [1, 2, 3, 4] },
  ],
  [
    "Upsample, linear",
    9,
    17,
    {
      nodes: [["Upsample", "x scales", "y", { mode: "linear" }]],
      constants: [newConstant("scales", [1, 1, 2, 3])],
      x: [1, 2, 3, 4],
    },
  ],
  [
    "Upsample by an input",
    9,
    10,
    {
      nodes: [["Upsample", "x scales", "y"]],
      constants: [newConstant("scales", [1, 1, 2, 2])],
      x: [1, 2, 3, 4],
    },
  ],
  [
    "Resize of 10, linear",
    10,
    18,
    {
      nodes: [["Resize", "x scales", "y", { mode: "linear" }]],
      constants: [newConstant("scales", [1, 1, 1.5, 0.5])],
      x: [1, 2, 4, 4],
    },
  ],
  [
    "Scatter",
    9,
    17,
    {
      nodes: [["Scatter", "x at updates", "y", { axis: i1(1) }]],
      constants: [newConstant("at", [2, 0], [1, 2, 1], "int64"), newConstant("updates", [5, 6], [1, 2, 1])],
    },
  ],
  [
    "RoiAlign",
    10,
    16,
    {
      nodes: [
        [
          "RoiAlign",
          "x rois batch",
          "y",
          { output_height: i1(2), output_width: i1(2), spatial_scale: f1(0.5) },
        ],
      ],
      constants: [newConstant("rois", [0.3, 0.2, 6.1, 5.7], [1, 4]), int64("batch", [0])],
      x: [1, 2, 4, 4],
    },
  ],
  [
    "GridSample",
    16,
    20,
    {
      nodes: [["GridSample", "x grid", "y", { mode: "bicubic", align_corners: i1(1) }]],
      constants: [newConstant("grid", [-0.4, 0.1, 0.9, -0.7], [1, 1, 2, 2])],
      x: [1, 2, 4, 4],
    },
  ],
  ["DFT", 17, 20, { nodes: [["DFT", "x _", "y", { axis: i1(1) }]], x: [1, 6, 1] }],
  [
    "GroupNormalization, per group",
    18,
    21,
    {
      nodes: [["GroupNormalization", "x s b", "y", { num_groups: i1(2), epsilon: f1(0.25) }]],
      constants: [newConstant("s", [1, -3]), newConstant("b", [0.5, 2])],
      x: [2, 4, 3],
    },
  ],
  [
    "BatchNormalization of 7",
    7,
    17,
    {
      nodes: [["BatchNormalization", "x g b m v", "y", { epsilon: f1(0.125) }]],
      constants: ["g", "b", "m", "v"].map((name, k) =>
        newConstant(
          name,
          [1, 0.5, 2].map((one) => one + k),
        ),
      ),
    },
  ],
];

const bytesOf = ({ nodes, constants, x = [2, 3, 4], outputs = [["y"]], dtype }: Case, opset: number) =>
  onnxBytes({
    opset,
    nodes,
    constants,
    inputs: [["x", x, dtype]],
    outputs: outputs.map(([name, shape, type = dtype]) => [name, shape, type]),
  });

describe("a raised model gives the same", () => {
  it.each(cases)("%s, %d to %d", async (_, from, to, one) => {
    const { x = [2, 3, 4] } = one;
    const before = bytesOf(one, from);
    const model = await openModel(before);
    expect(canRaise(model, to)).toEqual({ possible: true });
    const after = await bytesIn((await written(model, { mends: [raise(model, to)] })).files[0]);
    expect((await openModel(after)).opsets.get("")).toBe(to);
    const feeds = {
      x: {
        shape: x,
        data: normal(
          x.reduce((a, b) => a * b, 1),
          5,
        ),
      },
    };
    const [expected, found] = [await run(before, feeds), await run(after, feeds)];
    expect(Object.keys(found)).toEqual(Object.keys(expected));
    for (const [name, values] of Object.entries(expected)) {
      expect(values.length).toBeGreaterThan(0);
      for (const [at, value] of values.entries()) expect(found[name][at]).toBeCloseTo(value, 5);
    }
  });
});

describe("what would mean something else, and has no other form", () => {
  it.each<[string, number, number, Case, string]>([
    [
      "a mask that is read",
      7,
      12,
      { nodes: [["Dropout", "x", "y mask"]], outputs: [["y"], ["mask"]] },
      "Dropout of 7: its mask is of another type",
    ],
    [
      "BatchNormalization that trains",
      9,
      14,
      { nodes: [["BatchNormalization", "x g b m v", "y mean var"]] },
      "BatchNormalization of 9: it says whether it trains, and gives other statistics",
    ],
    [
      "pooling up to the end",
      10,
      22,
      { nodes: [["MaxPool", "x", "y", { kernel_shape: i(2), ceil_mode: i1(1) }]] },
      "MaxPool of 10: windows that begin in the padding after the end are left out",
    ],
    [
      "Resize to the nearest",
      10,
      11,
      { nodes: [["Resize", "x s", "y"]] },
      "Resize of 10: coordinates are computed in another way",
    ],
    [
      "Resize as TensorFlow had it",
      11,
      13,
      { nodes: [["Resize", "x _ s", "y", { coordinate_transformation_mode: "tf_half_pixel_for_nn" }]] },
      "Resize of 11: it has no tf_half_pixel_for_nn",
    ],
    [
      "Clip of an unknown type",
      9,
      13,
      {
        nodes: [
          ["Neg", "x", "h"],
          ["Clip", "h", "y", { max: f1(1) }],
        ],
      },
      "Clip of 9: its bounds are inputs",
    ],
    [
      "versions of the beginning",
      6,
      13,
      { nodes: [["Add", "x x", "y"]] },
      "Add of 6: versions before 7 are of another form",
    ],
    [
      "versions to come",
      22,
      24,
      { nodes: [["Neg", "x", "y"]] },
      "Neg of 22: versions after 23 are not known",
    ],
  ])("%s", async (_, from, to, one, why) => {
    const model = await openModel(bytesOf(one, from));
    expect(canRaise(model, to)).toEqual({ possible: false, why: [why] });
    await expect(written(model, { mends: [raise(model, to)] })).rejects.toThrow(
      `in operator set ${to}, which mends need, `,
    );
  });

  it("of a node that a mend replaces does not count", async () => {
    const model = await openModel(bytesOf({ nodes: [["MaxPool", "x", "y", { ceil_mode: i1(1) }]] }, 12));
    const [pool] = model.graph.nodes;
    const nodes = [{ name: "n", operator: "Neg", domain: "", inputs: ["x"], outputs: ["y"], attributes: {} }];
    const mend = { ...raise(model, 22), replaces: [pool], at: pool, nodes, outputs: ["y"] };
    const after = await bytesIn((await written(model, { mends: [mend] })).files[0]);
    expect((await openModel(after)).graph.nodes.map(({ operator }) => operator)).toEqual(["Neg"]);
  });
});

it("nothing changes downwards, in other domains, and of operators that stayed", async () => {
  const model = await openModel(
    onnxBytes({
      opset: 13,
      nodes: [
        ["Add", "x x", "h"],
        ["ReduceMean", "h", "i", { axes: i(0) }],
        ["Gelu", "i", "y", {}, "com.microsoft"],
      ],
      inputs: [["x", [2]]],
      outputs: [["y"]],
    }),
  );
  const [add, mean, gelu] = model.graph.nodes;
  expect([changedMeaning(add, 23), changedMeaning(gelu, 23)]).toEqual([undefined, undefined]);
  expect([changedMeaning(mean, 13), changedMeaning(mean, 17), changedMeaning(mean, 18)]).toEqual([
    undefined,
    undefined,
    "its axes are an input",
  ]);
  expect(raising(model, 17)).toEqual([]);
  expect(raising(model, 18).map(({ title, replaces }) => [title, replaces])).toEqual([
    ["ReduceMean as operator set 18 has it", [mean]],
  ]);
});

describe("the wild", () => {
  for (const name of ["basic_pitch-nmp.onnx", "silero_vad_half.onnx"]) {
    itWithModel(`onnx/${name}`)(`${name} is raised, with all that is in its branches`, async () => {
      const model = await openModel(modelFile(`onnx/${name}`));
      const { files } = await written(model, { mends: [raise(model, 21)] });
      const bytes = await bytesIn(files[0]);
      const raised = await openModel(bytes);
      for (const graph of raised.graphs) {
        for (const { domain, opset } of graph.nodes) if (domain === "") expect(opset).toBe(21);
      }
      const [before, after] = await Promise.all(
        [await bytesIn((await written(model)).files[0]), bytes].map((one) =>
          InferenceSession.create(one, { logSeverityLevel: 4, intraOpNumThreads: 1 }),
        ),
      );
      const feeds = Object.fromEntries(
        before.inputMetadata.flatMap((input) => {
          if (!input.isTensor) return [];
          const shape = input.shape.map((length) => (typeof length === "number" && length > 0 ? length : 1));
          if (name.startsWith("silero") && input.name === "input") shape[1] = 512;
          const size = shape.reduce((a, b) => a * b, 1);
          const given =
            input.type === "int64"
              ? new Tensor("int64", BigInt64Array.of(16000n), [])
              : new Tensor("float32", Float32Array.from(normal(size, 3)), shape);
          return [[input.name, given]];
        }),
      );
      const [expected, found] = [await before.run(feeds), await after.run(feeds)];
      for (const [key, { data }] of Object.entries(expected)) {
        const values = found[key].data as Float32Array;
        const differences = (data as Float32Array).map((value, i) => Math.abs(value - values[i]));
        expect(differences.reduce((a, b) => Math.max(a, b))).toBeLessThan(1e-4);
      }
    });
  }
});
