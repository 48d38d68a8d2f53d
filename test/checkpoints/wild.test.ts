/**
 * Files that others made (../shared/models, MANIFEST.tsv): every one opens and gives its tensors, its normalizations are those that the manifest
 * names, and models that are there in two formats agree.
 */
import { describe, expect } from "vitest";
import { normalizationsOf, numbersOf, open, type Tensor } from "../../src/checkpoints/index.js";
import { itWithModel, modelFile } from "./support/shared-models.js";

interface Expected {
  format: RegExp;
  /** Kinds of its normalizations, each with how many; none by default. */
  norms?: Record<string, number>;
  framework?: string;
  /** Tensors of the model. */
  tensors?: number;
  /** What one of its lines on conversions says. */
  line?: RegExp;
}

const BATCH = { batchNorm: 1 };

const files: Record<string, Expected> = {
  "pytorch/facenet-pnet.pt": { format: /PyTorch/, tensors: 13 },
  "pytorch/facenet-rnet.pt": { format: /PyTorch/, tensors: 16 },
  "pytorch/burn-mnist.pt": {
    format: /PyTorch/,
    norms: { batchNorm: 2 },
    framework: "pytorch",
    line: /unbiased/,
  },
  "safetensors/burn-mnist.safetensors": {
    format: /safetensors/,
    norms: { batchNorm: 2 },
    framework: "pytorch",
  },
  "safetensors/burn-multi_layer.safetensors": { format: /safetensors/, norms: BATCH },
  "pytorch/burn-batch_norm2d.pt": { format: /PyTorch/, norms: BATCH },
  "pytorch/burn-group_norm.pt": {
    format: /PyTorch/,
    norms: { layerNorm: 1 },
    line: /group and instance normalization store the same/,
  },
  "pytorch/burn-layer_norm.pt": { format: /PyTorch/, norms: { layerNorm: 1 } },
  "pytorch/burn-complex_nested.pt": { format: /PyTorch/, norms: { batchNorm: 3 } },
  "pytorch/burn-simple_legacy.pt": { format: /PyTorch/ },
  "pytorch/burn-legacy_shared_storage.pt": { format: /PyTorch/ },
  "pytorch/burn-bfloat16.pt": { format: /PyTorch/ },
  "pytorch/burn-scalar.pt": { format: /PyTorch/ },
  "pytorch/burn-checkpoint.pt": { format: /PyTorch/ },
  "pytorch/burn-mixed_types.pt": { format: /PyTorch/ },
  "pytorch/executorch-KeywordSpotting-model.pth": { format: /PyTorch/, norms: { batchNorm: 9 } },
  "keras-h5/fer-emotion_model.hdf5": { format: /HDF5/, norms: { batchNorm: 14 }, framework: "keras2" },
  "keras-h5/dl4j-batch_to_conv2d_theano_1.h5": { format: /HDF5/, norms: BATCH, framework: "keras2" },
  "keras-h5/dl4j-batch_to_conv2d_tensorflow_2.h5": { format: /HDF5/, norms: BATCH, framework: "keras2" },
  "keras3/arnav-best_model.keras": { format: /[Kk]eras/, norms: { batchNorm: 3 }, framework: "keras3" },
  "keras3/keras-pre_pr22362_nested_container.keras": { format: /[Kk]eras/, framework: "keras3" },
  "tf/basic_pitch_savedmodel/saved_model.pb": { format: /SavedModel/, norms: { batchNorm: 3 } },
  "tf/serving_half_plus_two_tf2/saved_model.pb": { format: /SavedModel/ },
  "tf/serving_half_plus_two_tf2/variables/variables.index": { format: /TensorFlow/ },
  "onnx/basic_pitch-nmp.onnx": { format: /ONNX/, framework: "onnx" },
  "onnx/silero_vad_half.onnx": { format: /ONNX/, framework: "onnx" },
  "mxnet/apache-legacy_ndarray.v0": { format: /MXNet/ },
  "tfjs/nsfwjs_mobilenet_v2/model.json": {
    format: /TensorFlow\.js/,
    norms: { batchNorm: 52 },
    framework: "tensorflowjs",
    tensors: 266,
  },
  "tfjs/upscaler_default/model.json": { format: /TensorFlow\.js/ },
  "npz/candle-test.npz": { format: /npz/ },
};

describe("opens, gives every tensor, names its normalizations", () => {
  for (const [file, { format, norms = {}, framework, tensors, line }] of Object.entries(files)) {
    itWithModel(file)(file, async () => {
      const checkpoint = await open(modelFile(file));
      expect(checkpoint.format).toMatch(format);
      if (framework) expect(checkpoint.framework).toBe(framework);
      if (tensors) expect(checkpoint.tensors.size).toBe(tensors);
      for (const tensor of checkpoint.tensors.values()) {
        if (tensor.dtype === "string" || tensor.dtype === "resource") continue;
        const values = await tensor.read();
        expect(values.length, tensor.name).toBe(
          tensor.shape.reduce((product, length) => product * length, 1),
        );
      }
      const found = await normalizationsOf(checkpoint);
      const kinds: Record<string, number> = {};
      for (const { kind } of found) kinds[kind] = (kinds[kind] ?? 0) + 1;
      expect(kinds).toEqual(norms);
      if (line) expect(found.flatMap(({ conversions }) => conversions).join("\n")).toMatch(line);
      for (const { name, weights, statistics } of found) {
        const all = Object.values({ ...weights, ...statistics });
        expect(all.length, name).toBeGreaterThan(0);
        for (const values of all) expect([...values].every(Number.isFinite), name).toBe(true);
      }
    });
  }
});

describe("one model in two formats", () => {
  // the manifest calls them one model: they are one network, the second of them trained for longer
  itWithModel("pytorch/burn-mnist.pt")(
    "burn-mnist: PyTorch and safetensors have the same layers",
    async () => {
      const [a, b] = await Promise.all(
        ["pytorch/burn-mnist.pt", "safetensors/burn-mnist.safetensors"].map((file) => open(modelFile(file))),
      );
      const shapes = ({ tensors }: typeof a) =>
        Object.fromEntries([...tensors].map(([name, { shape }]) => [name, shape]));
      expect(shapes(a)).toEqual(shapes(b));
      const [mapped, others] = await Promise.all([a, b].map(normalizationsOf));
      const words = (all: typeof mapped) =>
        Object.fromEntries(
          all.map(({ name, kind, options, conversions }) => [name, { kind, options, conversions }]),
        );
      expect(words(mapped)).toEqual(words(others));
    },
  );

  itWithModel("onnx/basic_pitch-nmp.onnx")(
    "basic_pitch: SavedModel and ONNX have the same kernels",
    async () => {
      const [saved, onnx] = await Promise.all(
        ["tf/basic_pitch_savedmodel/saved_model.pb", "onnx/basic_pitch-nmp.onnx"].map((file) =>
          open(modelFile(file)),
        ),
      );
      // folded in ONNX: the kernels that no batch normalization follows are the same
      const print = async (tensor: Tensor) => {
        const values = await numbersOf(tensor);
        return `${values.length} ${Array.from(values, Math.abs)
          .reduce((sum, value) => sum + value, 0)
          .toPrecision(4)}`;
      };
      const kernels = (all: ReadonlyMap<string, Tensor>) =>
        [...all.values()].filter(({ dtype, shape }) => dtype === "float32" && shape.length >= 4);
      const prints = new Set(await Promise.all(kernels(onnx.tensors).map(print)));
      const same = (await Promise.all(kernels(saved.tensors).map(print))).filter((one) =>
        prints.has(one),
      ).length;
      expect(same).toBeGreaterThan(1);
    },
  );
});
