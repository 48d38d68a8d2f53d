/** Flax, Linen and NNX. Momentum is the weight of the old value; channels come last. */
import { buffer } from "../../../src/formula/normalization.js";
import {
  batchNorm,
  conventions,
  groupNorm,
  instanceNorm,
  layerNorm,
  layerScale,
  type Normalization,
  rmsNorm,
  spectralNorm,
  weightNorm,
} from "../../../src/index.js";
import { normalizedAttention } from "../../../src/norms/attention.js";
import { around, layerOf, part } from "./around.js";
import { type Case, type Framework, given, type Mapping, ofTwo, read } from "./golden.js";

const affine = { gamma: "scale", beta: "bias" };

const parameters = ({ use_scale, use_bias }: Case["arguments"]) => ({
  scale: use_scale !== false,
  center: use_bias !== false,
});

const batch: Mapping = ({ of, arguments: a }) => ({
  norm: batchNorm(
    given(conventions.flax.batchNorm, {
      axis: a.axis as number | undefined,
      momentum: a.momentum ?? undefined,
      epsilon: a.epsilon,
      ...parameters(a),
    }),
  ),
  weights: { ...affine, runningMean: "mean", runningVariance: "var" },
  within: of.startsWith("nnx")
    ? [1.2e-7, "running statistics are float32 there"]
    : [2e-8, "running statistics begin as float32 there"],
});

const layer: Mapping = ({ arguments: a, steps }) => {
  const { epsilon, reduction_axes, feature_axes } = a;
  const axis = reduction_axes as number[] | undefined;
  const options = given(conventions.flax.layerNorm, { epsilon, ...parameters(a) });
  // parameters of the channels alone: the one group of group normalization
  const whole = axis !== undefined && feature_axes === -1;
  return {
    norm: whole ? groupNorm({ ...options, axis: -1, groups: 1 }) : layerNorm(given(options, { axis })),
    weights: affine,
    ...(steps[0].mask && { single: ofTwo }),
  };
};

const rms: Mapping = (c) => {
  const { epsilon, reduction_axes, feature_axes, use_scale } = c.arguments;
  const axis = reduction_axes as number[] | undefined;
  const options = given(conventions.flax.rmsNorm, { epsilon, axis });
  if (axis === undefined || feature_axes !== -1) {
    return { norm: rmsNorm({ ...options, scale: use_scale !== false }), weights: affine };
  }
  const normalize = part(rmsNorm({ ...options, scale: false }), {});
  const scale = part(layerScale(), { gamma: "scale" });
  return around(c, (ops, [x], weights, called) => {
    const { y } = normalize(ops, [x], weights, called);
    return scale(ops, [y], weights, called);
  });
};

const group: Mapping = (c) => {
  const { num_groups, group_size, epsilon, reduction_axes, ...a } = c.arguments;
  const channels = c.steps[0].inputs[0].shape.slice(-1)[0];
  const groups = (num_groups ?? channels / (group_size as number)) as number;
  const norm = groupNorm({ ...given(conventions.flax.groupNorm, { epsilon }), groups, ...parameters(a) });
  return {
    norm: reduction_axes ? byPlace(norm) : norm,
    weights: affine,
    ...(reduction_axes ? { single: ofTwo } : {}),
  };
};

/** Each place by itself, as though it were an example. */
const byPlace = (norm: Normalization): Normalization => ({
  name: norm.name,
  weights: (shape) => norm.weights(shape.slice(-2)),
  apply(ops, [x], weights, options) {
    const shape = ops.shape(x);
    const rows = shape.slice(0, -1).reduce((a, b) => a * b, 1);
    const { y } = norm.apply(ops, [ops.reshape(x, [rows, ...shape.slice(-1)])], weights, options);
    return { y: ops.reshape(y, shape) };
  },
});

const instance: Mapping = ({ arguments: { epsilon, feature_axes, ...a } }) => ({
  norm: instanceNorm(
    given(conventions.flax.instanceNorm, {
      epsilon,
      axis: feature_axes as number | undefined,
      ...parameters(a),
    }),
  ),
  weights: affine,
});

const KERNEL = "layer_instance/kernel";
const BIAS = "layer_instance/bias";

const weight: Mapping = (c) => {
  const { layer_instance, feature_axes = -1, use_scale, variable_filter } = c.arguments;
  const nnx = c.of.startsWith("nnx");
  const scaleOf = (name: string) => (nnx ? `scales/${name.split("/")[1]}` : `${name}/scale`);
  const axis = feature_axes as number | null;
  const normalize = weightNorm({ axis });
  return {
    ...around(c, (ops, [x], weights, options) => {
      const normalized = (name: string) => {
        const own = part(normalize, { g: scaleOf(name) });
        const [array] = [weights[name]];
        if (use_scale !== false) return own(ops, [array], weights, options).y;
        const { g } = normalize.weights(ops.shape(array));
        const ones = ops.constant(new Float64Array(g.shape.reduce((a, b) => a * b, 1)).fill(1), g.shape);
        return own(ops, [array], { [scaleOf(name)]: ones }, options).y;
      };
      const kernel = normalized(KERNEL);
      const bias = variable_filter === null ? normalized(BIAS) : weights[BIAS];
      return { y: layerOf(layer_instance)(ops, x, kernel, bias), more: [kernel] };
    }),
    outputs: ({ y }) => [y],
    ...(nnx && { after: { [KERNEL]: ({ more }) => more[0].data } }),
  };
};

const spectral: Mapping = (c) => {
  const { layer_instance, n_steps } = c.arguments;
  const nnx = c.of.startsWith("nnx");
  const [u, sigma] = ["u", "sigma"].map((name) => (nnx ? `batch_stats/kernel/${name}` : `${KERNEL}/${name}`));
  const normalize = part(spectralNorm({ axis: -1, iterations: n_steps as number | undefined }), { u });
  const length = (c.weights?.[KERNEL].data.length ?? 0) / (c.weights?.[u].data.length ?? 1);
  return {
    ...around(
      c,
      (ops, [x], weights, options) => {
        const whole = weights[KERNEL];
        // it iterates in evaluation too, and forgets it
        const { y: kernel, state } = normalize(ops, [whole], weights, { ...options, training: true });
        const all = ops.shape(whole).map((_, axis) => axis);
        const ratio = ops.div(ops.sum(ops.mul(whole, whole), all), ops.sum(ops.mul(whole, kernel), all));
        return {
          y: layerOf(layer_instance)(ops, x, kernel, weights[BIAS]),
          more: [kernel],
          ...(options.training && { state: { ...state, [sigma]: ops.reshape(ops.stop(ratio), []) } }),
        };
      },
      { [u]: buffer(c.weights?.[u].shape ?? [], 0), [sigma]: buffer([], 1), v: buffer([length], 0) },
    ),
    outputs: ({ y }) => [y],
    ...(nnx && { after: { [KERNEL]: ({ more }) => more[0].data } }),
    within: [2e-8, "the vector that it starts with is given with 9 digits"],
  };
};

const attention: Mapping = ({ of, arguments: { num_heads } }) => ({
  // heads have two features
  single: [2e-3, ofTwo[1]],
  ...(of.startsWith("nnx") && {
    within: [1e-6, "jax.nn.dot_product_attention's softmax is float32"] as const,
  }),
  norm: normalizedAttention({ heads: num_heads as number }),
  weights: {
    queryKernel: "query/kernel",
    queryBias: "query/bias",
    queryGamma: "query_ln/scale",
    keyKernel: "key/kernel",
    keyBias: "key/bias",
    keyGamma: "key_ln/scale",
    valueKernel: "value/kernel",
    valueBias: "value/bias",
    outputKernel: "out/kernel",
    outputBias: "out/bias",
  },
});

/** jax.nn.standardize. */
const standardize: Mapping = (c) => {
  const { axis, epsilon = 1e-5 } = c.arguments;
  const norm = layerNorm({ axis: (axis ?? -1) as number | number[], epsilon, scale: false, center: false });
  if (!c.weights) return { norm };
  const state = Object.fromEntries(
    Object.entries(c.weights).map(([name, { shape }]) => [name, buffer(shape, 0)]),
  );
  return around(
    c,
    (ops, [x], { mean, variance }) => ({ y: ops.normalize(norm, x, { mean, variance }).y }),
    state,
  );
};

export const flax: Framework = {
  file: read("flax"),
  mappings: {
    "linen.BatchNorm": batch,
    "nnx.BatchNorm": batch,
    "linen.LayerNorm": layer,
    "nnx.LayerNorm": layer,
    "linen.RMSNorm": rms,
    "nnx.RMSNorm": rms,
    "linen.GroupNorm": group,
    "nnx.GroupNorm": group,
    "linen.InstanceNorm": instance,
    "nnx.InstanceNorm": instance,
    "linen.WeightNorm": weight,
    "nnx.WeightNorm": weight,
    "linen.SpectralNorm": spectral,
    "nnx.SpectralNorm": spectral,
    "linen.MultiHeadAttention(normalize_qk)": attention,
    "linen.MultiHeadDotProductAttention(normalize_qk)": attention,
    "linen.SelfAttention(normalize_qk)": attention,
    "nnx.MultiHeadAttention(normalize_qk)": attention,
    "linen.standardize": standardize,
  },
  missing: {},
};
