/** Normalizations of state dicts, where names of tensors are all there is. */
import { describe, expect, it } from "vitest";
import { normalizationsOf } from "../../../src/checkpoints/index.js";
import { checkpointOf, type Given } from "../support/made.js";

const mapped = (tensors: Record<string, Given>, others = {}) =>
  normalizationsOf(checkpointOf(tensors, others));
const one = async (tensors: Record<string, Given>, others = {}) => {
  const all = await mapped(tensors, others);
  expect(all.length).toBe(1);
  return all[0];
};

const gamma = [2, 3];
const beta = [0.5, -1];
const mean = [10, 20];
const variance = [4, 9];
const conv: Given = { shape: [2, 1, 3, 3] };
const batchNorm = { weight: gamma, bias: beta, running_mean: mean, running_var: variance };
const under = (prefix: string, tensors: Record<string, Given>) =>
  Object.fromEntries(Object.entries(tensors).map(([name, given]) => [`${prefix}${name}`, given]));

describe("PyTorch", () => {
  it("a batch normalization, all of its conversions in lines", async () => {
    const norm = await one({
      ...under("bn1.", batchNorm),
      "bn1.num_batches_tracked": [7],
      "conv.weight": conv,
    });
    expect(norm).toMatchObject({ name: "bn1", kind: "batchNorm", framework: "pytorch", type: undefined });
    expect(norm.options).toEqual({
      axis: 1,
      epsilon: 1e-5,
      momentum: 0.9,
      runningVariance: "unbiased",
      scale: true,
      center: true,
    });
    expect(norm.weights).toEqual({ gamma: Float32Array.from(gamma), beta: Float32Array.from(beta) });
    expect(norm.statistics).toEqual({
      runningMean: Float32Array.from(mean),
      runningVariance: Float32Array.from(variance),
    });
    expect(norm.conversions).toEqual([
      "running variance unbiased, count unknown: kept as it is (convertRunningVariance if the count is known)",
      "epsilon not in the file: PyTorch's default 1e-5 assumed",
      "momentum not in the file: PyTorch's default 0.1 of the new value assumed → keeps 0.9 of the old",
    ]);
  });

  it("pytorch#8430: without num_batches_tracked, as before 0.4.1", async () => {
    expect((await one(under("bn1.", batchNorm))).kind).toBe("batchNorm");
  });

  it("without gamma and beta (affine=False)", async () => {
    const { options, weights } = await one({ "bn.running_mean": mean, "bn.running_var": variance });
    expect(options).toMatchObject({ scale: false, center: false });
    expect(weights).toEqual({});
  });

  it.each(["module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."])(
    "%s is a wrapper's prefix",
    async (prefix) => {
      const names = (await mapped(under(`${prefix}features.0.`, batchNorm))).map(({ name }) => name);
      expect(names).toEqual(["features.0"]);
    },
  );

  it("torch.compile of a part leaves its prefix within a name", async () => {
    expect((await one(under("encoder._orig_mod.bn.", batchNorm))).name).toBe("encoder.bn");
  });

  it.each<[string, Record<string, Given>, string, RegExp | undefined]>([
    ["ln_1", { weight: gamma, bias: beta }, "layerNorm", undefined],
    ["encoder.layer_norm", { weight: gamma, bias: beta }, "layerNorm", undefined],
    [
      "blocks.0.norm1",
      { weight: gamma, bias: beta },
      "layerNorm",
      /its name does not tell: .*group and instance normalization store the same/,
    ],
    ["down.group_norm", { weight: gamma, bias: beta }, "groupNorm", /number of groups not in the file/],
    ["down.gn1", { weight: gamma, bias: beta }, "groupNorm", /number of groups/],
    ["style.instance_norm", { weight: gamma, bias: beta }, "instanceNorm", undefined],
    [
      "model.layers.0.input_layernorm",
      { weight: gamma },
      "rmsNorm",
      /layer normalization without bias stores the same/,
    ],
    ["q_norm", { weight: gamma }, "rmsNorm", /layer normalization without bias/],
    ["3", { weight: gamma, bias: beta }, "layerNorm", /group and instance normalization store the same/],
    ["bn", { weight: gamma, bias: beta }, "batchNorm", /the batch's own in evaluation too/],
    ["norms_1.0", { weight: gamma, bias: beta }, "layerNorm", /its name does not tell/],
    ["blocks.0.att.ln_x", { weight: gamma, bias: beta }, "groupNorm", /number of groups/],
    ["downs.0.block1.norm", { g: { shape: [1, 2, 1, 1] } }, "rmsNorm", /layer normalization without bias/],
    ["mlp.grn", { weight: gamma, bias: beta }, "globalResponseNorm", /the usual 1e-6 assumed/],
    ["norm1", { weight: gamma, bias: beta, tau: gamma }, "filterResponseNorm", undefined],
    ["down_blocks.0.resnets.1.norm2", { weight: gamma, bias: beta }, "groupNorm", /number of groups/],
    ["input_blocks.4.0.in_layers.0", { weight: gamma, bias: beta }, "groupNorm", /number of groups/],
    ["stages.0.blocks.0.layer_scale1", { scale: gamma }, "layerScale", undefined],
  ])("%s", async (name, tensors, kind, line) => {
    const norm = await one(under(`${name}.`, tensors));
    expect(norm.kind).toBe(kind);
    if (line) expect(norm.conversions.join("\n")).toMatch(line);
    expect(norm.options).not.toHaveProperty("groups");
  });

  it.each<[string, Record<string, Given>]>([
    ["a dense layer", { "fc.weight": { shape: [2, 3] }, "fc.bias": beta }],
    ["a convolution", { "conv.weight": conv, "conv.bias": beta }],
    ["PReLU's slopes", { "act.weight": gamma }],
    ["a bias alone", { "norm.bias": beta }],
    ["an embedding", { "embedding.weight": { shape: [5, 2] } }],
    [
      "RWKV's time mixing",
      { "att.time_mix_g": { shape: [1, 1, 2] }, "att.time_mix_v": { shape: [1, 1, 2] } },
    ],
    ["a length of one number for all", { "final_norm.g": [2] }],
    ["a factor and a term of an activation", { "act.scale": [2], "act.bias": [3] }],
    [
      "EvoNorm, by the weight that it has more",
      { "norm1.weight": gamma, "norm1.bias": beta, "norm1.v": gamma },
    ],
  ])("%s is none", async (_, tensors) => {
    expect(await mapped(tensors)).toEqual([]);
  });

  it.each<[string, number[], unknown]>([
    ["blocks.0.gamma_1", [2], -1],
    ["layer_scale1.lambda1", [2], -1],
    ["features.1.0.layer_scale", [2, 1, 1], -3],
  ])("%s is a layer scale, whose axis is that of its length", async (name, shape, axis) => {
    expect(await one({ [name]: { shape } })).toMatchObject({ name, kind: "layerScale", options: { axis } });
  });

  it("gamma and beta of a file of PyTorch, as of its first BERT, have PyTorch's defaults", async () => {
    const tensors = under("embeddings.LayerNorm.", { gamma, beta });
    expect(await one(tensors, { framework: "pytorch" })).toMatchObject({
      kind: "layerNorm",
      framework: "pytorch",
      options: { epsilon: 1e-5 },
      weights: { gamma: Float32Array.from(gamma) },
    });
  });

  it("a layer scale and a layer normalization of images, whose gamma is broadcast", async () => {
    const channels = { shape: [2, 1, 1] };
    const [scale, norm] = await mapped({
      "block.ls1.gamma": channels,
      "norm1.weight": channels,
      "norm1.bias": channels,
    });
    expect(scale).toMatchObject({ kind: "layerScale", options: { axis: -3 } });
    expect(norm).toMatchObject({ kind: "layerNorm", options: { axis: -3 } });
  });

  it("weight normalization, old hooks and new parametrizations (pytorch#102999)", async () => {
    const old = await one({
      "fc.weight_g": { shape: [2, 1] },
      "fc.weight_v": { shape: [2, 3] },
      "fc.bias": beta,
    });
    const now = await one({
      "fc.parametrizations.weight.original0": { shape: [2, 1] },
      "fc.parametrizations.weight.original1": { shape: [2, 3] },
      "fc.bias": beta,
    });
    for (const norm of [old, now]) {
      expect(norm).toMatchObject({ name: "fc", kind: "weightNorm", options: { axis: 0, epsilon: 0 } });
      expect(norm.weights).toEqual({ g: Float32Array.of(0.5, 0.5) });
      expect(norm.tensors.v.shape).toEqual([2, 3]);
    }
  });

  it.each<[string, number[], unknown]>([
    ["dim 0", [4, 1, 1, 1], 0],
    ["dim 1, as of a transposed convolution", [1, 3, 1, 1], 1],
    ["dim None", [], null],
  ])("weight normalization's axis: %s", async (_, shape, axis) => {
    const { options } = await one({ "up.weight_g": { shape }, "up.weight_v": { shape: [4, 3, 2, 2] } });
    expect(options.axis).toBe(axis);
  });

  it("weight normalization of a recurrent layer's weights, each by its own name", async () => {
    const all = await mapped({
      "rnn.weight_hh_l0_g": { shape: [4, 1] },
      "rnn.weight_hh_l0_v": { shape: [4, 2] },
      "rnn.parametrizations.weight_ih_l0.original0": { shape: [4, 1] },
      "rnn.parametrizations.weight_ih_l0.original1": { shape: [4, 2] },
    });
    expect(all.map(({ name }) => name).sort()).toEqual(["rnn.weight_hh_l0", "rnn.weight_ih_l0"]);
  });

  it("spectral normalization, old hooks and new parametrizations", async () => {
    const old = await one({
      "fc.weight_orig": { shape: [2, 3] },
      "fc.weight_u": [1, 0],
      "fc.weight_v": [1, 0, 0],
      "fc.bias": beta,
    });
    const now = await one({
      "fc.parametrizations.weight.original": { shape: [2, 3] },
      "fc.parametrizations.weight.0._u": [1, 0],
      "fc.parametrizations.weight.0._v": [1, 0, 0],
    });
    for (const norm of [old, now]) {
      expect(norm).toMatchObject({ name: "fc", kind: "spectralNorm", options: { axis: 0 }, weights: {} });
      expect(norm.statistics).toEqual({ u: Float32Array.of(1, 0), v: Float32Array.of(1, 0, 0) });
    }
  });

  it("a weight of a type that is not read is said, and keeps no other from being read", async () => {
    const norm = await one({ "ln.weight": { shape: [2], dtype: "float8_e4m3fn" }, "ln.bias": beta });
    expect(norm.weights).toEqual({ beta: Float32Array.from(beta) });
    expect(norm.conversions).toContain("gamma is of type float8_e4m3fn, whose values are not read");
  });

  it("epsilon and Gemma's 1 + gamma by the config.json beside the weights", async () => {
    const tensors = under("model.norm.", { weight: gamma });
    const config = { model_type: "gemma2", rms_norm_eps: 1e-6 };
    const gemma = await one(tensors, { metadata: { config } });
    expect(gemma).toMatchObject({ kind: "rmsNorm", options: { epsilon: 1e-6, offset: 1 } });
    expect(gemma.conversions.join("\n")).toMatch(/gamma is stored minus 1 \(model_type gemma2\): offset 1/);
    const llama = await one(tensors, { metadata: { config: { ...config, model_type: "llama" } } });
    expect(llama.options).not.toHaveProperty("offset");
    expect(llama.conversions.join("\n")).not.toMatch(/Gemma/);
    const unknown = await one(tensors);
    expect(unknown.conversions.join("\n")).toMatch(
      /whether gamma is stored minus 1, as Gemma's is, is not in the file/,
    );
  });

  type Settings = Record<string, unknown>;
  it.each<[string, Settings, string, Record<string, Given>, string, object]>([
    [
      "the part in which it stands",
      { model_type: "llava", text_config: { rms_norm_eps: 1e-4 }, vision_config: { layer_norm_eps: 1e-3 } },
      "model.vision_tower.vision_model.layer_norm1",
      { weight: gamma, bias: beta },
      "layerNorm",
      { epsilon: 1e-3 },
    ],
    [
      "its model's type",
      { model_type: "paligemma", text_config: { model_type: "gemma", rms_norm_eps: 1e-4 } },
      "model.language_model.layers.0.input_layernorm",
      { weight: gamma },
      "rmsNorm",
      { epsilon: 1e-4, offset: 1 },
    ],
    [
      "Gemma 3n stores gamma as it is",
      { model_type: "gemma3n_text", rms_norm_eps: 1e-6 },
      "norm",
      { weight: gamma },
      "rmsNorm",
      { epsilon: 1e-6 },
    ],
    [
      "layer normalization without bias",
      { model_type: "modernbert", norm_eps: 1e-5 },
      "final_norm",
      { weight: gamma },
      "layerNorm",
      { epsilon: 1e-5, center: false },
    ],
    [
      "an epsilon that stands in the model's code",
      { model_type: "distilbert" },
      "embeddings.LayerNorm",
      { weight: gamma, bias: beta },
      "layerNorm",
      { epsilon: 1e-12 },
    ],
    [
      "groups of diffusers",
      { norm_num_groups: 2, norm_eps: 1e-5 },
      "up_blocks.0.resnets.0.norm1",
      { weight: gamma, bias: beta },
      "groupNorm",
      { groups: 2 },
    ],
    [
      "wav2vec 2.0's one group per channel",
      { model_type: "wav2vec2", feat_extract_norm: "group", layer_norm_eps: 1e-3 },
      "feature_extractor.conv_layers.0.layer_norm",
      { weight: gamma, bias: beta },
      "instanceNorm",
      { axis: 1, epsilon: 1e-5, scale: true },
    ],
  ])("by config.json: %s", async (_, config, name, tensors, kind, options) => {
    const norm = await one(under(`${name}.`, tensors), { metadata: { config } });
    expect(norm).toMatchObject({ kind, options });
    expect(norm.conversions.join("\n")).not.toMatch(/stores the same/);
    expect(Object.hasOwn(norm.options, "offset")).toBe(Object.hasOwn(options, "offset"));
  });

  it("Nemotron's gamma is stored minus 1, which layer normalization has no option for", async () => {
    const config = { model_type: "nemotron", norm_eps: 1e-5 };
    const norm = await one(under("model.norm.", { weight: gamma, bias: beta }), { metadata: { config } });
    expect(norm.weights.gamma).toEqual(Float32Array.of(3, 4));
    expect(norm.conversions).toContain("gamma is stored minus 1 (model_type nemotron): read with 1 added");
  });

  it("MobileBERT's NoNorm normalizes nothing", async () => {
    const config = { model_type: "mobilebert", normalization_type: "no_norm" };
    const tensors = under("embeddings.LayerNorm.", { weight: gamma, bias: beta });
    expect(await mapped(tensors, { metadata: { config } })).toEqual([]);
  });
});

describe("others' names", () => {
  it.each<[string, string, Record<string, Given>, string]>([
    [
      "Gluon's save_parameters",
      "features.1",
      {
        "features.1.gamma": gamma,
        "features.1.beta": beta,
        "features.1.running_mean": mean,
        "features.1.running_var": variance,
      },
      "gluon",
    ],
    [
      "Gluon's prefixes",
      "net0_batchnorm0",
      {
        net0_batchnorm0_gamma: gamma,
        net0_batchnorm0_beta: beta,
        net0_batchnorm0_running_mean: mean,
        net0_batchnorm0_running_var: variance,
      },
      "gluon",
    ],
    [
      "MXNet's",
      "bn0",
      { bn0_gamma: gamma, bn0_beta: beta, bn0_moving_mean: mean, bn0_moving_var: variance },
      "mxnet",
    ],
    [
      "TensorFlow's",
      "net/bn",
      {
        "net/bn/gamma": gamma,
        "net/bn/beta": beta,
        "net/bn/moving_mean": mean,
        "net/bn/moving_variance": variance,
      },
      "keras2",
    ],
    [
      "Keras's",
      "bn",
      { "bn/gamma:0": gamma, "bn/beta:0": beta, "bn/moving_mean:0": mean, "bn/moving_variance:0": variance },
      "keras2",
    ],
    [
      "Flax's",
      "params.BatchNorm_0",
      {
        "params.BatchNorm_0.scale": gamma,
        "params.BatchNorm_0.bias": beta,
        "params.BatchNorm_0.mean": mean,
        "params.BatchNorm_0.var": variance,
      },
      "flax",
    ],
  ])("%s", async (_, name, tensors, framework) => {
    const norm = await one(tensors);
    expect(norm).toMatchObject({ name, kind: "batchNorm", framework });
    const { gamma: read } = norm.weights;
    if (framework === "mxnet") {
      expect(read).toBeUndefined();
      expect(norm.options.scale).toBe(false);
      expect(norm.conversions).toContain(
        "gamma stored but fixed: read as 1 (fix_gamma not in the file: MXNet's default True assumed)",
      );
    } else expect(read).toEqual(Float32Array.from(gamma));
    expect(norm.statistics.runningVariance).toEqual(Float32Array.from(variance));
  });

  it("BERT's LayerNorm/gamma; a layer scale of a vision transformer", async () => {
    expect((await one({ "bert/LayerNorm/gamma": gamma, "bert/LayerNorm/beta": beta })).kind).toBe(
      "layerNorm",
    );
    expect((await one({ "blocks.0.ls1.gamma": gamma })).kind).toBe("layerScale");
  });

  it("names of a prototype are names", async () => {
    const norm = await one({ "__proto__.running_mean": mean, "__proto__.running_var": variance });
    expect(norm.name).toBe("__proto__");
    expect(({} as Record<string, unknown>).running_mean).toBeUndefined();
  });
});
