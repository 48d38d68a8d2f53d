/** Normalizations by the class, or the operator, that a file has with its options: into ours, each conversion in a line. */
import { describe, expect, it } from "vitest";
import { normalizationsOf } from "../../../src/checkpoints/index.js";
import type { Framework } from "../../../src/frameworks/conventions.js";
import { catalog } from "../../../src/norms/catalog.js";
import { checkpointOf, type MadeModule } from "../support/made.js";

const two = [2, 3];
const statistics = { running_mean: two, running_var: two };

const one = async (framework: Framework | undefined, module: MadeModule) => {
  const [norm, ...others] = await normalizationsOf(checkpointOf({}, { framework }, { layer: module }));
  expect(others).toEqual([]);
  return norm;
};

type Row = [
  title: string,
  framework: Framework,
  module: MadeModule,
  kind: string,
  options: object,
  lines: RegExp[],
];

const rows: Row[] = [
  [
    "PyTorch's batch normalization, its momentum turned round (pytorch2keras#70)",
    "pytorch",
    {
      type: "BatchNorm2d",
      config: { eps: 1e-3, momentum: 0.01, affine: true, track_running_stats: true },
      tensors: { weight: two, bias: two, ...statistics },
    },
    "batchNorm",
    { axis: 1, epsilon: 1e-3, momentum: 0.99, runningVariance: "unbiased", scale: true, center: true },
    [/^momentum 0.01 of the new value → keeps 0.99 of the old$/, /^running variance unbiased, count unknown/],
  ],
  [
    "momentum=None",
    "pytorch",
    {
      type: "SyncBatchNorm",
      config: { eps: 1e-5, momentum: null },
      tensors: { ...statistics, num_batches_tracked: [7] },
    },
    "batchNorm",
    { average: "cumulative", scale: false, center: false },
    [/^momentum None: the plain mean over all batches/],
  ],
  [
    "without running statistics",
    "pytorch",
    {
      type: "BatchNorm1d",
      config: { eps: 1e-5, momentum: 0.1, track_running_stats: false },
      tensors: { weight: two, bias: two },
    },
    "batchNorm",
    { sources: { batchMean: "batch", batchVariance: "batch" } },
    [/^track_running_stats is off: the batch's own statistics in evaluation too$/],
  ],
  [
    "torchvision's frozen one",
    "pytorch",
    { type: "FrozenBatchNorm2d", config: { eps: 1e-5 }, tensors: { weight: two, bias: two, ...statistics } },
    "batchNorm",
    { epsilon: 1e-5 },
    [],
  ],
  [
    "layer normalization over two axes",
    "pytorch",
    {
      type: "LayerNorm",
      config: { eps: 1e-6, normalized_shape: [2, 3], elementwise_affine: true },
      tensors: { weight: { shape: [2, 3] } },
    },
    "layerNorm",
    { axis: [-2, -1], epsilon: 1e-6, scale: true, center: false },
    [],
  ],
  [
    "group normalization",
    "pytorch",
    {
      type: "GroupNorm",
      config: { eps: 1e-5, num_groups: 1, num_channels: 2 },
      tensors: { weight: two, bias: two },
    },
    "groupNorm",
    { axis: 1, groups: 1, parameters: "channel" },
    [],
  ],
  [
    "instance normalization with running statistics",
    "pytorch",
    {
      type: "InstanceNorm2d",
      config: { eps: 1e-5, momentum: 0.1, affine: true, track_running_stats: true },
      tensors: { weight: two, bias: two, ...statistics },
    },
    "instanceNorm",
    { axis: 1, trackRunningStatistics: true, momentum: 0.9, scale: true },
    [/^momentum 0.1 of the new value/],
  ],
  [
    "and plain",
    "pytorch",
    {
      type: "InstanceNorm2d",
      config: { eps: 1e-5, momentum: 0.1, affine: false, track_running_stats: false },
    },
    "instanceNorm",
    { trackRunningStatistics: false, scale: false, center: false },
    [],
  ],
  [
    "RMS normalization, eps None: the type's own",
    "pytorch",
    { type: "RMSNorm", config: { eps: null, normalized_shape: [2] }, tensors: { weight: two } },
    "rmsNorm",
    { epsilon: 2 ** -23, axis: -1 },
    [/^eps None: float32's own, 1\.19\d*e-7$/],
  ],
  [
    "Llama's",
    "pytorch",
    { type: "LlamaRMSNorm", config: { variance_epsilon: 1e-6 }, tensors: { weight: two } },
    "rmsNorm",
    { epsilon: 1e-6 },
    [],
  ],
  [
    "torchvision's over channels, whose normalized_shape is theirs",
    "pytorch",
    {
      type: "LayerNorm2d",
      config: { normalized_shape: [2], eps: 1e-6 },
      tensors: { weight: two, bias: two },
    },
    "layerNorm",
    { axis: 1, epsilon: 1e-6 },
    [],
  ],
  [
    "ConvNeXt's, by its data_format",
    "pytorch",
    {
      type: "ConvNextLayerNorm",
      config: { eps: 1e-6, data_format: "channels_first", normalized_shape: [2] },
      tensors: { weight: two, bias: two },
    },
    "layerNorm",
    { axis: 1, epsilon: 1e-6 },
    [],
  ],
  [
    "Nemotron's",
    "pytorch",
    { type: "NemotronLayerNorm1P", config: { eps: 1e-5 }, tensors: { weight: two, bias: two } },
    "layerNorm",
    { epsilon: 1e-5 },
    [/^gamma is stored minus 1 \(NemotronLayerNorm1P\): read with 1 added$/],
  ],
  [
    "T5's by transformers' names of it",
    "pytorch",
    { type: "Pop2PianoLayerNorm", config: { variance_epsilon: 1e-6 }, tensors: { weight: two } },
    "rmsNorm",
    { epsilon: 1e-6 },
    [],
  ],
  [
    "Mamba's, with its gate",
    "pytorch",
    { type: "MambaRMSNormGated", config: { variance_epsilon: 1e-5 }, tensors: { weight: two } },
    "gatedRMSNorm",
    { epsilon: 1e-5 },
    [],
  ],
  [
    "Zamba 2's, over groups of features",
    "pytorch",
    {
      type: "Zamba2RMSNormGated",
      config: { variance_epsilon: 1e-5, group_size: 1 },
      tensors: { weight: two },
    },
    "gatedRMSNorm",
    { epsilon: 1e-5, groups: 2 },
    [],
  ],
  [
    "Falcon H1's, in either order",
    "pytorch",
    {
      type: "FalconH1RMSNormGated",
      config: { variance_epsilon: 1e-5, n_groups: 2, norm_before_gate: true },
      tensors: { weight: two },
    },
    "gatedRMSNorm",
    { epsilon: 1e-5, groups: 2, gate: "after" },
    [],
  ],
  [
    "Qwen3-Next's, with its gate after it",
    "pytorch",
    { type: "Qwen3NextRMSNormGated", config: { variance_epsilon: 1e-6 }, tensors: { weight: two } },
    "gatedRMSNorm",
    { epsilon: 1e-6, gate: "after" },
    [],
  ],
  [
    "a frozen one whose class is called by its model",
    "pytorch",
    { type: "ConditionalDetrFrozenBatchNorm2d", tensors: { weight: two, bias: two, ...statistics } },
    "batchNorm",
    { epsilon: 1e-5 },
    [],
  ],
  [
    "one of images that calls its gamma g",
    "pytorch",
    { type: "RMSNorm", tensors: { g: { shape: [1, 2, 1, 1] } } },
    "rmsNorm",
    { axis: -3, scale: true },
    [/^epsilon not in the file/],
  ],
  [
    "x-transformers', whose gamma is stored minus 1 by its unit_offset",
    "pytorch",
    { type: "LayerNorm", config: { unit_offset: true }, tensors: { gamma: two } },
    "layerNorm",
    { scale: true, center: false },
    [/^gamma is stored minus 1 \(LayerNorm\): read with 1 added$/],
  ],
  [
    "BiT's convolutions, whose weights are standardized",
    "pytorch",
    { type: "StdConv2d", config: { eps: 1e-8 }, tensors: { weight: { shape: [2, 3, 1, 1] }, bias: two } },
    "weightStandardization",
    { axis: 0, epsilon: 1e-8 },
    [],
  ],
  [
    "apex's",
    "pytorch",
    {
      type: "MixedFusedRMSNorm",
      config: { normalized_shape: [2], eps: 1e-5, elementwise_affine: true },
      tensors: { weight: two },
    },
    "rmsNorm",
    { axis: -1, epsilon: 1e-5 },
    [],
  ],
  [
    "timm's of one group, with its activation",
    "pytorch",
    { type: "GroupNorm1Act", config: { eps: 1e-5 }, tensors: { weight: two, bias: two } },
    "groupNorm",
    { groups: 1, epsilon: 1e-5 },
    [/^an activation follows within it/],
  ],
  [
    "timm's RMS normalization over channels",
    "pytorch",
    { type: "RmsNorm2d", config: { eps: 1e-6 }, tensors: { weight: two } },
    "rmsNorm",
    { axis: 1, epsilon: 1e-6 },
    [],
  ],
  [
    "timm's filter response normalization",
    "pytorch",
    {
      type: "FilterResponseNormTlu2d",
      config: { eps: 1e-5 },
      tensors: { weight: two, bias: two, tau: two },
    },
    "filterResponseNorm",
    { axis: 1, epsilon: 1e-5, thresholded: true },
    [],
  ],
  [
    "timm's global response normalization",
    "pytorch",
    {
      type: "GlobalResponseNorm",
      config: { eps: 1e-6, channel_dim: 1 },
      tensors: { weight: two, bias: two },
    },
    "globalResponseNorm",
    { axis: 1, epsilon: 1e-6 },
    [],
  ],
  [
    "one of a class that no table has, by the class's name",
    "pytorch",
    { type: "SomeNorm", config: { eps: 1e-3 }, tensors: { weight: two, bias: two } },
    "layerNorm",
    { epsilon: 1e-3 },
    [/^its name does not tell/],
  ],
  [
    "Gemma's",
    "pytorch",
    { type: "Gemma2RMSNorm", config: { eps: 1e-6 }, tensors: { weight: two } },
    "rmsNorm",
    { epsilon: 1e-6, offset: 1 },
    [/^gamma is stored minus 1 \(Gemma2RMSNorm\): offset 1$/],
  ],
  [
    "T5's",
    "pytorch",
    { type: "T5LayerNorm", config: { variance_epsilon: 1e-6 }, tensors: { weight: two } },
    "rmsNorm",
    { epsilon: 1e-6 },
    [],
  ],
  [
    "channels-first layer normalization",
    "pytorch",
    { type: "LayerNorm2d", config: { eps: 1e-6 }, tensors: { weight: two, bias: two } },
    "layerNorm",
    { axis: 1 },
    [],
  ],
  [
    "local response normalization",
    "pytorch",
    { type: "LocalResponseNorm", config: { size: 3, alpha: 0.1, beta: 0.5, k: 2 } },
    "localResponseNorm",
    { axis: 1, size: 3, alpha: 0.1, beta: 0.5, k: 2 },
    [],
  ],
  [
    "Keras's batch normalization",
    "keras3",
    {
      type: "BatchNormalization",
      config: { axis: [3], momentum: 0.9, epsilon: 1e-2, center: false, scale: true },
      tensors: { gamma: two, moving_mean: two, moving_variance: two },
    },
    "batchNorm",
    { axis: 3, momentum: 0.9, epsilon: 1e-2, scale: true, center: false, runningVariance: "biased" },
    [],
  ],
  [
    "within the wrapper of the lab",
    "tensorflowjs",
    {
      type: "EachStep",
      config: { layer: { class_name: "LayerNormalization", config: { axis: -1, epsilon: 0.5 } } },
      tensors: { gamma: two, beta: two },
    },
    "layerNorm",
    { axis: -1, epsilon: 0.5 },
    [],
  ],
  [
    "within TimeDistributed",
    "keras2",
    {
      type: "TimeDistributed",
      config: {
        layer: { class_name: "BatchNormalization", config: { axis: [2], epsilon: 0.5, momentum: 0.5 } },
      },
      tensors: { "bn/gamma": two, "bn/beta": two, "bn/moving_mean": two, "bn/moving_variance": two },
    },
    "batchNorm",
    { axis: 2, epsilon: 0.5 },
    [],
  ],
  [
    "Keras 1's running_std is a variance (keras#2772)",
    "keras2",
    {
      type: "BatchNormalization",
      config: { axis: 1, epsilon: 1e-5, momentum: 0.9 },
      tensors: { gamma: two, beta: two, running_mean: two, running_std: two },
    },
    "batchNorm",
    { axis: 1 },
    [],
  ],
  [
    "mode 2 of Keras 1 (feature-wise, in evaluation too)",
    "keras2",
    {
      type: "BatchNormalization",
      config: { axis: 1, epsilon: 1e-5, momentum: 0.9, mode: 2 },
      tensors: { gamma: two, beta: two, running_mean: two, running_std: two },
    },
    "batchNorm",
    { sources: { batchMean: "batch", batchVariance: "batch" } },
    [/^mode 2: the batch's own statistics in evaluation too$/],
  ],
  [
    "Keras's groups of −1",
    "keras3",
    {
      type: "GroupNormalization",
      config: { groups: -1, axis: -1, epsilon: 1e-3 },
      tensors: { gamma: two, beta: two },
    },
    "instanceNorm",
    { axis: -1, epsilon: 1e-3 },
    [/^GroupNormalization with these options is instance normalization$/],
  ],
  [
    "Addons' class",
    "keras2",
    {
      type: "Addons>GroupNormalization",
      config: { groups: 2, axis: -1, epsilon: 1e-3 },
      tensors: { gamma: [1, 2, 3, 4], beta: [1, 2, 3, 4] },
    },
    "groupNorm",
    { groups: 2, parameters: "channel" },
    [],
  ],
  [
    "Keras 3's RMS normalization",
    "keras3",
    { type: "RMSNormalization", config: { axis: -1, epsilon: 1e-6 }, tensors: { scale: two } },
    "rmsNorm",
    { epsilon: 1e-6, scale: true },
    [],
  ],
  [
    "rms_scaling",
    "keras3",
    {
      type: "LayerNormalization",
      config: { axis: -1, epsilon: 1e-3, rms_scaling: true },
      tensors: { gamma: two },
    },
    "layerNorm",
    {},
    [/^rms_scaling divides by the standard deviation/],
  ],
  [
    "Keras's Normalization, adapted",
    "keras3",
    {
      type: "Normalization",
      config: { axis: [-1], mean: null, variance: null },
      tensors: { mean: two, variance: two, count: [7] },
    },
    "batchNorm",
    { axis: -1, epsilon: 0, scale: false, center: false },
    [/^Normalization of features/],
  ],
  [
    "and with statistics among its options",
    "keras2",
    { type: "Normalization", config: { axis: [-1], mean: [[1, 2]], variance: [[3, 4]] } },
    "batchNorm",
    { axis: -1, epsilon: 0, scale: false },
    [],
  ],
  [
    "Keras 2's renorm",
    "keras2",
    {
      type: "BatchNormalization",
      config: {
        axis: [3],
        epsilon: 1e-3,
        momentum: 0.9,
        renorm: true,
        renorm_clipping: { rmax: 2, dmax: 1 },
        renorm_momentum: 0.8,
      },
      tensors: {
        gamma: two,
        moving_mean: two,
        moving_variance: two,
        moving_stddev: two,
        renorm_mean: two,
        renorm_stddev: two,
      },
    },
    "batchRenorm",
    { axis: 3, momentum: 0.9, rMax: 2, dMax: 1, renormMomentum: 0.8 },
    [/^BatchNormalization with these options is batch renormalization$/],
  ],
  [
    "Keras 2's virtual batches",
    "keras2",
    {
      type: "BatchNormalization",
      config: { axis: [4], epsilon: 1e-3, momentum: 0.9, virtual_batch_size: 8 },
      tensors: { gamma: two, beta: two, moving_mean: two, moving_variance: two },
    },
    "ghostBatchNorm",
    { axis: 3, batchSize: 8, moves: "once" },
    [/ghost batch normalization$/],
  ],
  [
    "unit normalization",
    "keras3",
    { type: "UnitNormalization", config: { axis: -1 } },
    "unitNorm",
    { axis: -1, guard: "length" },
    [],
  ],
  [
    "TensorFlow's operator",
    "keras2",
    {
      type: "FusedBatchNormV3",
      config: { epsilon: 1e-3, data_format: "NCHW", is_training: false },
      tensors: { scale: two, offset: two, mean: two, variance: two },
    },
    "batchNorm",
    { axis: 1, epsilon: 1e-3, scale: true },
    [],
  ],
  [
    "without its default attributes",
    "keras2",
    { type: "FusedBatchNorm", config: {}, tensors: { scale: two, offset: two, mean: two, variance: two } },
    "batchNorm",
    { axis: -1, epsilon: 1e-4 },
    [/^epsilon not in the file: TensorFlow's default 1e-4 assumed$/],
  ],
  [
    "MXNet's operator without attributes: fix_gamma (mxnet#9624)",
    "mxnet",
    { type: "BatchNorm", config: {}, tensors: { gamma: two, beta: two, moving_mean: two, moving_var: two } },
    "batchNorm",
    { axis: 1, epsilon: 1e-3, momentum: 0.9, scale: false },
    [/^gamma stored but fixed: read as 1 \(fix_gamma not in the file: MXNet's default True assumed\)$/],
  ],
  [
    "and with them",
    "mxnet",
    {
      type: "BatchNorm",
      config: { eps: "1e-05", momentum: "0.8", fix_gamma: "False", axis: "3" },
      tensors: { gamma: two, beta: two, moving_mean: two, moving_var: two },
    },
    "batchNorm",
    { axis: 3, epsilon: 1e-5, momentum: 0.8, scale: true },
    [],
  ],
  [
    "fix_gamma said",
    "mxnet",
    {
      type: "BatchNorm",
      config: { fix_gamma: "1" },
      tensors: { gamma: two, beta: two, moving_mean: two, moving_var: two },
    },
    "batchNorm",
    { scale: false, center: true },
    [/^gamma stored but fixed: read as 1 \(fix_gamma\)$/],
  ],
  [
    "L2Normalization",
    "mxnet",
    { type: "L2Normalization", config: { mode: "channel" } },
    "unitNorm",
    { axis: 1, epsilon: 1e-10 },
    [],
  ],
  [
    "MXNet's LRN",
    "mxnet",
    { type: "LRN", config: { nsize: "3", alpha: "0.1" } },
    "localResponseNorm",
    { size: 3, alpha: 0.1, k: 2 },
    [],
  ],
  [
    "ONNX's batch normalization",
    "onnx",
    {
      type: "BatchNormalization",
      opset: 15,
      config: { epsilon: 1e-3 },
      tensors: { scale: two, B: two, input_mean: two, input_var: two },
    },
    "batchNorm",
    { axis: 1, epsilon: 1e-3, momentum: 0.9 },
    [/^momentum not in the file: ONNX's default 0.9 assumed$/],
  ],
  [
    "ONNX's layer normalization from an axis on",
    "onnx",
    {
      type: "LayerNormalization",
      config: { axis: -2, epsilon: 1e-5 },
      tensors: { Scale: { shape: [2, 3] }, B: { shape: [2, 3] } },
    },
    "layerNorm",
    { axis: [-2, -1] },
    [],
  ],
  [
    "counted from the first axis",
    "onnx",
    { type: "LayerNormalization", config: { axis: 2, epsilon: 1e-5 }, tensors: { Scale: two, B: two } },
    "layerNorm",
    { axis: -1 },
    [],
  ],
  [
    "ONNX's groups per group (opset 18)",
    "onnx",
    {
      type: "GroupNormalization",
      opset: 18,
      config: { num_groups: 2, epsilon: 1e-5 },
      tensors: { scale: two, bias: two },
    },
    "groupNorm",
    { groups: 2, parameters: "group" },
    [/^gamma and beta per group$/],
  ],
  [
    "and per channel (21)",
    "onnx",
    {
      type: "GroupNormalization",
      opset: 21,
      config: { num_groups: 2, epsilon: 1e-5 },
      tensors: { scale: [1, 2, 3, 4], bias: [1, 2, 3, 4] },
    },
    "groupNorm",
    { groups: 2, parameters: "channel" },
    [],
  ],
  [
    "ONNX's instance normalization",
    "onnx",
    { type: "InstanceNormalization", config: {}, tensors: { scale: two, B: two } },
    "instanceNorm",
    { axis: 1, epsilon: 1e-5, trackRunningStatistics: false },
    [/^epsilon not in the file/],
  ],
  [
    "ONNX's RMS normalization",
    "onnx",
    { type: "RMSNormalization", opset: 23, config: { axis: -1 }, tensors: { scale: two } },
    "rmsNorm",
    { axis: -1, epsilon: 1e-5 },
    [],
  ],
  [
    "onnxruntime's",
    "onnx",
    { type: "com.microsoft.SkipLayerNormalization", config: {}, tensors: { gamma: two, beta: two } },
    "layerNorm",
    { epsilon: 1e-12, axis: -1 },
    [/^epsilon not in the file: ONNX's default 1e-12 assumed$/],
  ],
  [
    "ONNX's LpNormalization",
    "onnx",
    { type: "LpNormalization", config: { p: 1, axis: -1 } },
    "unitNorm",
    { order: 1, axis: -1, guard: "length" },
    [],
  ],
];

describe("classes and operators", () => {
  it.each(rows)("%s (%s)", async (_, framework, module, kind, options, lines) => {
    const norm = await one(framework, module);
    expect(norm).toMatchObject({ name: "layer", kind, options, type: module.type, framework });
    for (const line of lines) expect(norm.conversions).toContainEqual(expect.stringMatching(line));
    // the factory takes these options, and has these weights
    const normalization = (catalog[norm.kind] as (options: object) => { name: string })(norm.options);
    expect(normalization.name).toBe(norm.kind);
  });

  it.each(["Linear", "Conv2d", "Dropout", "NormalizedThing", "Normalize"])("%s is none", async (type) => {
    expect(await normalizationsOf(checkpointOf({}, { framework: "pytorch" }, { layer: { type } }))).toEqual(
      [],
    );
  });

  it.each<[string, MadeModule]>([
    [
      "a normalization that the catalog does not have",
      { type: "EvoNorm2dS0", tensors: { weight: two, bias: two } },
    ],
    ["one whose gamma a network computes", { type: "ConditionalBatchNorm2d", tensors: { ...statistics } }],
    ["MobileBERT's, which normalizes nothing", { type: "NoNorm", tensors: { weight: two, bias: two } }],
    ["a dict of parameters", { type: "ParameterDict", tensors: { weight: two, bias: two } }],
    ["an activation's factor and term", { type: "StarReLU", tensors: { scale: [1], bias: [0] } }],
  ])("%s is none", async (_, module) => {
    expect(await normalizationsOf(checkpointOf({}, { framework: "pytorch" }, { layer: module }))).toEqual([]);
  });

  it("a block that is called by the normalization in it is not one more", async () => {
    const all = await normalizationsOf(
      checkpointOf(
        {},
        { framework: "pytorch" },
        {
          "layer.output": { type: "ConvDropoutLayerNorm" },
          "layer.output.layernorm": {
            type: "LayerNorm",
            config: { eps: 1e-6 },
            tensors: { weight: two, bias: two },
          },
        },
      ),
    );
    expect(all.map(({ name }) => name)).toEqual(["layer.output.layernorm"]);
  });

  it("mode 1 of Keras 1, with epsilon twice, is none", async () => {
    const module: MadeModule = { type: "BatchNormalization", config: { mode: 1 }, tensors: { gamma: two } };
    expect(await normalizationsOf(checkpointOf({}, { framework: "keras2" }, { layer: module }))).toEqual([]);
  });

  it("keras#2772: running_std is the variance, with a doubt where Keras 1 does not note its version", async () => {
    const module: MadeModule = {
      type: "BatchNormalization",
      config: { axis: 1, epsilon: 0.25, momentum: 0.9 },
      tensors: { running_mean: two, running_std: [0.5, 3] },
    };
    const read = async (version?: string) => {
      const [norm] = await normalizationsOf(
        checkpointOf({}, { framework: "keras2", version }, { layer: module }),
      );
      return norm;
    };
    const later = await read("1.2.2");
    expect([...later.statistics.runningVariance]).toEqual([0.5, 3]);
    expect(later.conversions).toContain("running_std holds the variance in Keras 1.2.2: taken as that");
    const unsaid = await read();
    expect([...unsaid.statistics.runningVariance]).toEqual([0.5, 3]);
    expect(unsaid.conversions).toContain(
      "running_std taken as the variance, which it is from Keras 1.0.7 on: before, with Theano, a deviation, which the file does not tell",
    );
  });

  it("a class that is not known, by its name and its weights, with its own epsilon", async () => {
    const norm = await one("pytorch", {
      type: "MyFancyRMSNorm2",
      config: { eps: 1e-3 },
      tensors: { weight: two },
    });
    expect(norm).toMatchObject({ kind: "rmsNorm", type: "MyFancyRMSNorm2", options: { epsilon: 1e-3 } });
    expect(norm.conversions).toEqual([]);
  });

  it("in the file's order, those without weights between", async () => {
    const all = await normalizationsOf(
      checkpointOf(
        {},
        { framework: "pytorch" },
        {
          a: { type: "BatchNorm2d", config: {}, tensors: { ...statistics } },
          b: { type: "LocalResponseNorm", config: { size: 3 } },
          c: { type: "LayerNorm", config: {}, tensors: { weight: two, bias: two } },
        },
      ),
    );
    expect(all.map(({ name }) => name)).toEqual(["a", "b", "c"]);
  });
});
