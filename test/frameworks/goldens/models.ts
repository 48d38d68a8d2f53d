/** Modules of models (transformers, diffusers, asteroid), and formulas of papers that no package has, written in PyTorch. */
import {
  cumulativeLayerNorm,
  deepNorm,
  gatedRMSNorm,
  groupNorm,
  groupPresets,
  layerNorm,
  type Normalization,
  normalizedAttention,
  type Ops,
  residualBlock,
  rmsNorm,
  rmsPresets,
  seeDNorm,
  spatiallyAdaptiveNorm,
  weightDemodulation,
} from "../../../src/index.js";
import { around, convolutionFirst, linear, type Named } from "./around.js";
import { type Framework, type Mapping, read } from "./golden.js";

const gamma = { gamma: "weight" };
const affine = { gamma: "gamma", beta: "beta" };

const gated: Mapping = ({ of, arguments: a }) => {
  const { eps, group_size, n_groups, norm_before_gate } = a as Record<string, number | undefined>;
  return {
    norm: gatedRMSNorm({
      epsilon: eps,
      gate: norm_before_gate || of.includes("Qwen3Next") ? "after" : "before",
      groups: n_groups ?? (group_size === undefined ? 1 : 6 / group_size),
    }),
    weights: gamma,
  };
};

/** Weights whose names start with so much, renamed. */
function renamed<T>(weights: Named<T>, start: string, name: (rest: string) => string): Record<string, T> {
  const own = Object.entries(weights).filter(([key]) => key.startsWith(start));
  return Object.fromEntries(own.map(([key, values]) => [name(key.slice(start.length)), values]));
}

/** Attention and a gated feed-forward part, each with a norm on its output; PyTorch's kernels. */
const block: Mapping = (c) => {
  const { num_attention_heads: heads, rms_norm_eps: epsilon } = c.arguments as Record<string, number>;
  const attention = normalizedAttention({ heads, kind: "rms", over: "width", epsilon, bias: false });
  const ours = { query: "q_proj", key: "k_proj", value: "v_proj", output: "o_proj" };
  const attend: Normalization = {
    name: "attend",
    weights: () => ({}),
    apply(ops, inputs, w, options) {
      const kernels = Object.entries(ours).map(([name, theirs]) => [
        `${name}Kernel`,
        ops.transpose(w[`${theirs}.weight`], [1, 0]),
      ]);
      const gammas = { queryGamma: w["q_norm.weight"], keyGamma: w["k_norm.weight"] };
      return attention.apply(ops, inputs, { ...Object.fromEntries(kernels), ...gammas }, options);
    },
  };
  const feedForward: Normalization = {
    name: "feedForward",
    weights: () => ({}),
    apply(ops, [x], w) {
      const shape = ops.shape(x);
      const rows = ops.reshape(x, [shape[0] * shape[1], shape[2]]);
      const gate = linear(ops, rows, w["gate_proj.weight"]);
      const active = ops.mul(ops.mul(gate, ops.sigmoid(gate)), linear(ops, rows, w["up_proj.weight"]));
      return { y: ops.reshape(linear(ops, active, w["down_proj.weight"]), shape) };
    },
  };
  const placed = (branch: Normalization, start: string, norm: string) => {
    const reordered = residualBlock(branch, { placement: "reordered", norm: rmsNorm({ epsilon }) });
    return <T>(ops: Ops<T>, x: T, weights: Named<T>): T => {
      const held = renamed(weights, start, (rest) => `branch/${rest}`);
      return reordered.apply(ops, [x], { ...held, "norm/gamma": weights[norm] }, { training: true }).y;
    };
  };
  const first = placed(attend, "self_attn.", "post_attention_layernorm.weight");
  const second = placed(feedForward, "mlp.", "post_feedforward_layernorm.weight");
  return around(c, (ops, [x], weights) => ({ y: second(ops, first(ops, x, weights), weights) }));
};

/** Group norm, whose gamma and beta pass through the maps, which are convolutions of a smaller condition. */
const spatial: Mapping = (c) => {
  const { num_groups: groups, eps: epsilon } = c.arguments as Record<string, number>;
  const norm = spatiallyAdaptiveNorm({ statistics: "group", groups, epsilon, offset: 0, axis: 1 });
  return around(c, (ops, [x, condition], w, options) => {
    const [, channels, height, width] = ops.shape(x);
    const resized = ops.mul(
      condition,
      ops.constant(new Float64Array(height * width).fill(1), [1, 1, height, width]),
    );
    const map = (name: string) => convolutionFirst(ops, resized, w[`${name}.weight`], w[`${name}.bias`]);
    const perChannel = (name: string) => ops.reshape(w[name], [1, channels, 1, 1]);
    const factor = map("conv_y");
    const gamma = ops.mul(factor, perChannel("norm_layer.weight"));
    const beta = ops.add(ops.mul(factor, perChannel("norm_layer.bias")), map("conv_b"));
    return { y: norm.apply(ops, [x, gamma, beta], {}, options).y };
  });
};

/** A linear branch, of which the block is the layer. */
const deep: Mapping = (c) => {
  const linearBranch: Normalization = {
    name: "linear",
    weights: ([, , features]) => ({ kernel: { shape: [features, features], initial: 0, trained: true } }),
    apply(ops, [x], { kernel }) {
      const shape = ops.shape(x);
      return { y: ops.reshape(ops.matMul(ops.reshape(x, [shape[0] * shape[1], shape[2]]), kernel), shape) };
    },
  };
  const { decoder } = deepNorm({ decoder: c.arguments.decoder_layers as number });
  return {
    norm: residualBlock(linearBranch, { ...decoder, norm: layerNorm() }),
    weights: { "branch/kernel": "kernel", "norm/gamma": "weight", "norm/beta": "bias" },
  };
};

export const models: Framework = {
  file: read("models"),
  mappings: {
    "transformers.MambaRMSNormGated": gated,
    "transformers.Zamba2RMSNormGated": gated,
    "transformers.FalconH1RMSNormGated": gated,
    "transformers.Qwen3NextRMSNormGated": gated,
    "transformers.Qwen3NextRMSNorm": () => ({ norm: rmsNorm(rmsPresets.qwen3Next), weights: gamma }),
    "transformers.Olmo2RMSNorm": () => ({ norm: rmsNorm(rmsPresets.olmo2), weights: gamma }),
    "transformers.Olmo2DecoderLayer": block,
    "diffusers.SpatialNorm": spatial,
    "asteroid.CumLN": () => ({ norm: cumulativeLayerNorm({ axis: 1 }), weights: affine }),
    "asteroid.GlobLN": () => ({ norm: groupNorm({ ...groupPresets.global, axis: 1 }), weights: affine }),
    "paper: SPADE": ({ arguments: { statistics } }) => ({
      norm: spatiallyAdaptiveNorm({ statistics: statistics as "batch" | "instance", axis: 1 }),
    }),
    "paper: modulated_conv2d": () => ({ norm: weightDemodulation({ axis: 0 }) }),
    "paper: SeeDNorm": () => ({
      norm: seeDNorm(),
      weights: { alpha: "alpha", kernel: "beta", gamma: "gamma" },
    }),
    "paper: DeepNorm": deep,
    "paper: PixelNorm": () => ({ norm: rmsNorm({ ...rmsPresets.pixel, axis: 1 }) }),
  },
  missing: {},
};
