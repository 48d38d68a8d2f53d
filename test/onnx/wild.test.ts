/**
 * Networks that others made: files beside the repository, in which nothing is found that is not there; and, written down small, what hid
 * normalizations in networks that packages carry.
 */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { find as findIn } from "../../src/checkpoints/graphs/find.js";
import { find } from "../../src/onnx/find.js";
import { mendsOf } from "../../src/onnx/mends.js";
import { openModel } from "../../src/onnx/model.js";
import { written } from "../../src/onnx/write.js";
import { itWithModel, modelFile } from "../checkpoints/support/shared-models.js";
import { constantOf, graphOf, integersOf } from "../support/graphs.js";
import { bytesIn } from "./support.js";

describe("files of others", () => {
  // their batch normalizations were folded before; what is left are short-time Fourier transforms, and a mean over time
  const files = { "onnx/basic_pitch-nmp.onnx": 1, "onnx/silero_vad_half.onnx": 25 };

  for (const [file, graphs] of Object.entries(files)) {
    itWithModel(file)(`${file}: nothing is found, and all stays as it is`, async () => {
      const model = await openModel(modelFile(file));
      expect(model.graphs.length).toBe(graphs);
      const found = await find(model);
      expect(found).toEqual({ norms: [], activations: [] });
      for (const opset of [undefined, 17, 23]) {
        expect(await mendsOf(model, found, { target: "onnxruntime", opset })).toEqual([]);
      }
      const { files } = await written(model, { mends: [] });
      expect(Buffer.compare(await bytesIn(files[0]), readFileSync(modelFile(file)))).toBe(0);
    });
  }

  itWithModel("tfjs/nsfwjs_mobilenet_v2/model.json")("layers models are no graph models", async () => {
    const opened = openModel(modelFile("tfjs/nsfwjs_mobilenet_v2/model.json"));
    await expect(opened).rejects.toThrow(/graph model/);
  });
});

/** Each with how many nodes it has; where it is, over what, and its epsilon. */
async function normsIn(graph: ReturnType<typeof graphOf>) {
  const { norms } = await findIn(graph);
  return norms.map(({ norm, x, y, axes, epsilon, nodes, cancels }) => {
    return { norm, x, y, axes: [...axes], epsilon, nodes: nodes.length, cancels };
  });
}

const vector = (name: string, length: number, shape = [length]) =>
  constantOf(
    name,
    Float32Array.from({ length }, (_, i) => 1 + i / 8),
    shape,
  );

describe("what hid normalizations", () => {
  it("a table of 512 positions that is cut to an open sequence: Hugging Face's BERT", async () => {
    const graph = graphOf({
      opset: 13,
      inputs: [["words", ["batch", "sequence"], "int64"]],
      constants: [
        integersOf("kinds", Array(512).fill(0)),
        integersOf("zero", [0]),
        integersOf("one", [1]),
        integersOf("two", [2]),
        vector("vocabulary", 30 * 6, [30, 6]),
        vector("types", 2 * 6, [2, 6]),
        vector("gamma", 6),
        vector("beta", 6),
        constantOf("square", 2),
        constantOf("epsilon", 1e-12),
      ],
      nodes: [
        ["Shape", "words", "shape"],
        ["Slice", "shape one two zero", "length"],
        ["Slice", "kinds zero length zero", "cut"],
        ["Unsqueeze", "cut zero", "row"],
        ["Expand", "row shape", "kind"],
        ["Gather", "vocabulary words", "embedded"],
        ["Gather", "types kind", "typed"],
        ["Add", "embedded typed", "x"],
        ["ReduceMean", "x", "mean", { axes: [-1] }],
        ["Sub", "x mean", "centered"],
        ["Pow", "centered square", "squares"],
        ["ReduceMean", "squares", "variance", { axes: [-1] }],
        ["Add", "variance epsilon", "shifted"],
        ["Sqrt", "shifted", "deviation"],
        ["Div", "centered deviation", "xHat"],
        ["Mul", "xHat gamma", "scaled"],
        ["Add", "scaled beta", "y"],
      ],
      outputs: ["y"],
    });
    const epsilon = 1e-12;
    expect(await normsIn(graph)).toEqual([
      { norm: "layerNorm", x: "x", y: "y", axes: [2], epsilon, nodes: 9, cancels: false },
    ]);
  });

  it("means that are broadcast by hand, over an axis in the middle: Flax through tf2onnx, as Magika has it", async () => {
    const graph = graphOf({
      opset: 15,
      inputs: [["x", ["batch", 8, 4]]],
      constants: [
        integersOf("middle", [1]),
        integersOf("zero", [0]),
        integersOf("one", [1]),
        integersOf("rest", [1, 4]),
        integersOf("batchAxis", [0]),
        constantOf("share", 1 / 8),
        constantOf("none", 0),
        constantOf("epsilon", 1e-6),
        vector("gamma", 8, [1, 8, 1]),
        vector("beta", 8, [1, 8, 1]),
      ],
      nodes: [
        ["Shape", "x", "all"],
        ["Slice", "all zero one", "batch"],
        ["Concat", "batch rest", "kept", { axis: 0 }],
        ["ReduceSum", "x middle", "sum", { keepdims: 0 }],
        ["Mul", "x x", "squares"],
        ["ReduceSum", "squares middle", "sumOfSquares", { keepdims: 0 }],
        ["Mul", "sumOfSquares share", "meanOfSquares"],
        ["Mul", "sum share", "mean"],
        ["Mul", "mean mean", "squareOfMean"],
        ["Sub", "meanOfSquares squareOfMean", "difference"],
        ["Max", "none difference", "variance"],
        ["Reshape", "variance kept", "flatVariance"],
        ["Expand", "flatVariance kept", "wideVariance"],
        ["Add", "wideVariance epsilon", "shifted"],
        ["Sqrt", "shifted", "deviation"],
        ["Reciprocal", "deviation", "rstd"],
        ["Mul", "rstd gamma", "scale"],
        ["Reshape", "mean kept", "flatMean"],
        ["Expand", "flatMean kept", "wideMean"],
        ["Sub", "x wideMean", "centered"],
        ["Mul", "centered scale", "scaled"],
        ["Add", "scaled beta", "y"],
      ],
      outputs: ["y"],
    });
    const epsilon = 1e-6;
    expect(await normsIn(graph)).toEqual([
      { norm: "layerNorm", x: "x", y: "y", axes: [1], epsilon, nodes: 19, cancels: true },
    ]);
  });

  it("a height that must be 1 and is left open, and copies in between: PaddleOCR's recognition of text", async () => {
    const graph = graphOf({
      opset: 12,
      inputs: [["image", ["batch", 3, "height", "width"]]],
      constants: [
        vector("kernel", 4 * 3 * 9, [4, 3, 3, 3]),
        integersOf("zero", [0]),
        integersOf("one", [1]),
        integersOf("three", [3]),
        integersOf("end", [4]),
        integersOf("channels", [4]),
        vector("gamma", 4),
        vector("beta", 4),
        constantOf("square", 2),
        constantOf("epsilon", 1e-5),
      ],
      nodes: [
        ["Conv", "image kernel", "features", { strides: [32, 4], pads: [1, 1, 1, 1] }],
        ["Shape", "features", "all"],
        ["Slice", "all three end", "steps"],
        ["Transpose", "features", "turned", { perm: [0, 2, 3, 1] }],
        ["Concat", "zero one steps channels", "shape", { axis: 0 }],
        ["Reshape", "turned shape", "row"],
        ["Squeeze", "row", "sequence", { axes: [1] }],
        ["Identity", "sequence", "copied"],
        ["Identity", "copied", "cast"],
        ["ReduceMean", "cast", "mean", { axes: [-1] }],
        ["Sub", "cast mean", "centered"],
        ["Pow", "centered square", "squares"],
        ["ReduceMean", "squares", "variance", { axes: [-1] }],
        ["Add", "variance epsilon", "shifted"],
        ["Sqrt", "shifted", "deviation"],
        ["Div", "centered deviation", "xHat"],
        ["Mul", "xHat gamma", "scaled"],
        ["Add", "scaled beta", "y"],
      ],
      outputs: ["y"],
    });
    const [only, ...others] = await normsIn(graph);
    expect(others).toEqual([]);
    expect(only).toMatchObject({ norm: "layerNorm", y: "y", axes: [2], epsilon: 1e-5 });
  });

  it("styles that come from an input of their own, of one batch: TensorFlow.js's style transfer", async () => {
    const graph = graphOf({
      dialect: "tensorflow",
      inputs: [
        ["x", ["batch", "", "", 4]],
        ["style", ["batch", 1, 1, 4]],
      ],
      constants: [
        integersOf("places", [1, 2], "int32"),
        constantOf("epsilon", 1e-5),
        constantOf("double", 2),
      ],
      nodes: [
        ["Mul", "style double", "gamma"],
        ["Mean", "x places", "mean", { keep_dims: 1 }],
        ["SquaredDifference", "x mean", "squares"],
        ["Mean", "squares places", "variance", { keep_dims: 1 }],
        ["Add", "variance epsilon", "shifted"],
        ["Rsqrt", "shifted", "rstd"],
        ["Mul", "rstd gamma", "scale"],
        ["Mul", "x scale", "scaled"],
        ["Mul", "mean scale", "moved"],
        ["Sub", "style moved", "shift"],
        ["Add", "scaled shift", "y"],
      ],
      outputs: ["y"],
    });
    const epsilon = 1e-5;
    expect(await normsIn(graph)).toEqual([
      { norm: "instanceNorm", x: "x", y: "y", axes: [1, 2], epsilon, nodes: 10, cancels: false },
    ]);
  });
});
