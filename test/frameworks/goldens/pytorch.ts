/** PyTorch. Momentum is the weight of the new value; running variances are unbiased; channels come first. */
import { buffer } from "../../../src/formula/normalization.js";
import {
  batchNorm,
  boundedNorm,
  conventions,
  type FoldOptions,
  foldBatchNorm,
  groupNorm,
  instanceNorm,
  layerNorm,
  localResponseNorm,
  type Normalization,
  rmsNorm,
  spectralNorm,
  unitNorm,
  weightNorm,
} from "../../../src/index.js";
import { around, layerOf, part, type relu } from "./around.js";
import {
  type Case,
  type Framework,
  float64,
  type GoldenArray,
  given,
  type Mapped,
  type Mapping,
  read,
  same,
} from "./golden.js";

export const affine = { gamma: "weight", beta: "bias" };
export const running = { runningMean: "running_mean", runningVariance: "running_var" };
export const uncounted = {
  num_batches_tracked: "what counts the batches is there for the cumulative average alone",
};

/** What batch and instance norm share. `momentum: null` is the cumulative average. */
export const tracking = ({ momentum = 0.1 }: Case["arguments"]) => ({
  ...(momentum === null ? { average: "cumulative" as const } : { momentum: 1 - momentum }),
});

export const parameters = ({ affine = true, bias = true }: Case["arguments"]) => ({
  scale: affine !== false,
  center: affine !== false && bias !== false,
});

export const batch: Mapping = ({ arguments: a }) => ({
  norm: batchNorm(given(conventions.pytorch.batchNorm, { epsilon: a.eps, ...tracking(a), ...parameters(a) })),
  weights: { ...affine, ...running },
  without: uncounted,
  // without running statistics every batch is its own
  ...(a.track_running_stats === false && { training: true }),
});

/** The lazy ones have parameters and running statistics where nothing else is said, unlike the others. */
export const instance: Mapping = ({ of, arguments: said, steps }) => {
  const a: Case["arguments"] = of.includes("Lazy")
    ? { affine: true, track_running_stats: true, ...said }
    : said;
  const norm = instanceNorm(
    given(conventions.pytorch.instanceNorm, {
      epsilon: a.eps,
      ...tracking(a),
      ...("affine" in a && parameters(a)),
      trackRunningStatistics: a.track_running_stats as boolean | undefined,
    }),
  );
  return {
    norm: withBatch(steps[0].inputs[0].shape.length === 2, norm),
    weights: { ...affine, ...(a.track_running_stats === true && running) },
    without: uncounted,
  };
};

/** x without a batch axis. */
function withBatch(lacking: boolean, norm: Normalization): Normalization {
  if (!lacking) return norm;
  return {
    ...norm,
    weights: (shape) => norm.weights([1, ...shape]),
    apply(ops, [x], weights, options) {
      const shape = ops.shape(x);
      const { y } = norm.apply(ops, [ops.reshape(x, [1, ...shape])], weights, options);
      return { y: ops.reshape(y, shape) };
    },
  };
}

const trailing = (lengths: unknown) => (lengths as number[]).map((_, i, { length }) => i - length);

const layer: Mapping = ({ arguments: { normalized_shape, eps }, weights = {} }) => ({
  norm: layerNorm(
    given(conventions.pytorch.layerNorm, {
      axis: trailing(normalized_shape),
      epsilon: eps,
      scale: "weight" in weights,
      center: "bias" in weights,
    }),
  ),
  weights: affine,
});

const rms: Mapping = ({ arguments: { normalized_shape, eps }, weights = {} }) => ({
  // None is the type's own epsilon; the case is of float32
  norm: rmsNorm(
    given(conventions.pytorch.rmsNorm, {
      axis: trailing(normalized_shape),
      epsilon: eps,
      scale: "weight" in weights,
    }),
  ),
  weights: affine,
});

const group: Mapping = ({ arguments: { num_groups, eps, ...a } }) => ({
  norm: groupNorm({
    ...given(conventions.pytorch.groupNorm, { epsilon: eps }),
    groups: num_groups as number,
    ...parameters(a),
  }),
  weights: affine,
});

const localResponse: Mapping = ({ arguments: { size, alpha, beta, k } }) => ({
  norm: localResponseNorm({ axis: 1, size, alpha, beta, k: k as number | undefined }),
});

/** Names of g and v, and of the weight that they make, or of what a spectral norm keeps. */
const names = {
  "nn.utils.weight_norm": { g: "weight_g", v: "weight_v" },
  "nn.utils.parametrizations.weight_norm": {
    g: "parametrizations.weight.original0",
    v: "parametrizations.weight.original1",
  },
  "nn.utils.spectral_norm": { weight: "weight_orig", u: "weight_u", v: "weight_v" },
  "nn.utils.parametrizations.spectral_norm": {
    weight: "parametrizations.weight.original",
    u: "parametrizations.weight.0._u",
    v: "parametrizations.weight.0._v",
  },
};

const weight: Mapping = (c) => {
  const { module, dim } = c.arguments;
  const { g, v } = names[c.of as "nn.utils.weight_norm"];
  // −1 is what PyTorch takes None for
  const normalize = part(weightNorm({ axis: dim === -1 ? null : dim, epsilon: 0 }), { g });
  return {
    ...around(c, (ops, [x], weights, options) => {
      const { y: kernel } = normalize(ops, [weights[v]], weights, options);
      return { y: layerOf(module)(ops, x, kernel, weights.bias), more: [kernel] };
    }),
    outputs: ({ y }) => [y],
    after: { weight: ({ more }) => more[0].data },
  };
};

export const spectral =
  (
    own: { weight: string; u: string; v: string; bias: string; after: string },
    axisOf: (c: Case) => number | number[],
    activation: typeof relu = (_, y) => y,
  ): Mapping =>
  (c) => {
    const { n_power_iterations, eps } = c.arguments;
    const iterations = n_power_iterations as number | undefined;
    const normalize = part(spectralNorm({ axis: axisOf(c), iterations, epsilon: eps }), {
      u: own.u,
      v: own.v,
    });
    const length = (name: string) => buffer(c.weights?.[name].shape ?? [], 0);
    return {
      ...around(
        c,
        (ops, [x], weights, options) => {
          const { y: kernel, state } = normalize(ops, [weights[own.weight]], weights, options);
          const y = layerOf(c.arguments.module ?? "nn.Conv2d")(ops, x, kernel, weights[own.bias]);
          return { y: activation(ops, y), more: [kernel], state };
        },
        { [own.u]: length(own.u), [own.v]: length(own.v) },
      ),
      outputs: ({ y }) => [y],
      after: { [own.after]: ({ more }) => more[0].data },
      within: [2e-8, "u and v are given with 9 digits"],
    };
  };

const rest = { bias: "bias", after: "weight" };
const outputsAxis = ({ arguments: { module, dim } }: Case) =>
  dim ?? (String(module).startsWith("nn.ConvTranspose") ? 1 : 0);

/** Finds u from v first, where the other one finds v from u: as of the matrix that lies on its side. */
const parametrized: Mapping = (c) => {
  const { weight, u, v } = names["nn.utils.parametrizations.spectral_norm"];
  const rank = c.weights?.[weight].shape.length ?? 0;
  const others = [...Array(rank).keys()].filter((axis) => axis !== outputsAxis(c));
  return spectral({ weight, u: v, v: u, ...rest }, () => others)(c);
};

const unit: Mapping = ({ arguments: { p = 2, dim = 1, eps = 1e-12 } }) => ({
  norm: unitNorm({
    axis: dim as number,
    order: p === "inf" ? Number.POSITIVE_INFINITY : (p as number),
    epsilon: eps,
    guard: "length",
  }),
});

/** A layer's kernel and bias that do what its batch norm did; ours are float32. */
const fused = (of: FoldOptions, kernel: GoldenArray, bias: GoldenArray) => {
  const folded = foldBatchNorm({ axis: 0, ...of });
  same("kernel", folded.kernel, kernel, { singly: true });
  same("bias", folded.bias, bias, { singly: true });
};

const fusedWeights: Mapping = (c) => () => {
  const [{ inputs, outputs }] = c.steps;
  const [kernel, bias, runningMean, runningVariance, gamma, beta] = inputs.map(float64);
  const statistics = {
    runningMean: runningMean.data,
    runningVariance: runningVariance.data,
    gamma: gamma.data,
    beta: beta.data,
  };
  const epsilon = c.arguments.bn_eps as number;
  fused({ kernel, bias: bias.data, statistics, epsilon }, outputs[0], outputs[1]);
};

/** The layer that is folded gives what the batch norm of the layer gives. */
const fusedLayer =
  (prefix: string): Mapping =>
  (c) => {
    const names = {
      gamma: "bn.weight",
      beta: "bn.bias",
      runningMean: "bn.running_mean",
      runningVariance: "bn.running_var",
    };
    const normalize = part(batchNorm(conventions.pytorch.batchNorm), names);
    const own = (name: string) => float64(c.weights?.[name] ?? { shape: [], data: [] });
    const [{ after = {} }] = c.steps;
    return {
      ...around(c, (ops, [x], weights, options) => {
        const { [`${prefix}.weight`]: kernel, [`${prefix}.bias`]: bias } = weights;
        return normalize(ops, [layerOf(c.arguments.module)(ops, x, kernel, bias)], weights, options);
      }),
      without: { weight: "compared by itself", bias: "likewise" },
      also() {
        const statistics = {
          gamma: own(names.gamma).data,
          beta: own(names.beta).data,
          runningMean: own(names.runningMean).data,
          runningVariance: own(names.runningVariance).data,
        };
        const of = { kernel: own(`${prefix}.weight`), bias: own(`${prefix}.bias`).data };
        fused({ ...of, statistics }, after.weight, after.bias);
      },
    };
  };

const renorm: Mapping = ({ arguments: { p, dim, maxnorm } }) => ({
  norm: boundedNorm({ axis: dim as number, order: p as 1 | 2, most: maxnorm as number }),
});

/** The rows that are looked up are bounded, and stay so. */
const embedding: Mapping = (c) => {
  const { num_embeddings, max_norm, norm_type = 2, mode } = c.arguments;
  const bounded = boundedNorm({ axis: 0, order: norm_type as 1 | 2, most: max_norm as number });
  const [{ inputs, outputs }] = c.steps;
  const rows = inputs[0].data;
  const count = num_embeddings as number;
  const used = Float64Array.from({ length: count }, (_, row) => (rows.includes(row) ? 1 : 0));
  return {
    ...around(c, (ops, _, { weight }, options) => {
      const { y: all } = bounded.apply(ops, [weight], {}, options);
      const after = ops.where(ops.constant(used, [count, 1]), all, weight);
      const each = rows.map((row) => ops.slice(after, 0, row, row + 1));
      const looked = ops.reshape(ops.concat(each, 0), [...inputs[0].shape, ops.shape(weight)[1]]);
      const y = mode === "sum" ? ops.reshape(ops.sum(looked, [1]), outputs[0].shape) : looked;
      return { y, more: [after] };
    }),
    outputs: ({ y }) => [y],
    after: { weight: ({ more }) => more[0].data },
  };
};

const functional =
  (mapping: Mapping): Mapping =>
  (c) => ({
    ...(mapping(c) as Mapped),
    weights: { ...affine, ...("running_mean" in (c.weights ?? {}) && running) },
  });

export const pytorch: Framework = {
  file: read("pytorch"),
  mappings: {
    "nn.BatchNorm1d": batch,
    "nn.BatchNorm2d": batch,
    "nn.BatchNorm3d": batch,
    "nn.SyncBatchNorm": batch,
    "nn.LazyBatchNorm1d": batch,
    "nn.LazyBatchNorm2d": batch,
    "nn.LazyBatchNorm3d": batch,
    "nn.functional.batch_norm": functional(batch),
    "nn.LayerNorm": layer,
    "nn.functional.layer_norm": layer,
    "nn.RMSNorm": rms,
    "nn.functional.rms_norm": rms,
    "nn.GroupNorm": group,
    "nn.functional.group_norm": group,
    "nn.InstanceNorm1d": instance,
    "nn.InstanceNorm2d": instance,
    "nn.InstanceNorm3d": instance,
    "nn.LazyInstanceNorm1d": instance,
    "nn.LazyInstanceNorm2d": instance,
    "nn.LazyInstanceNorm3d": instance,
    "nn.functional.instance_norm": (c) =>
      functional(instance)({ ...c, arguments: { ...c.arguments, affine: true, track_running_stats: true } }),
    "nn.LocalResponseNorm": localResponse,
    "nn.CrossMapLRN2d": localResponse,
    "nn.functional.local_response_norm": localResponse,
    "nn.functional.normalize": unit,
    "nn.utils.weight_norm": weight,
    "nn.utils.parametrizations.weight_norm": weight,
    "nn.utils.spectral_norm": spectral({ ...names["nn.utils.spectral_norm"], ...rest }, outputsAxis),
    "nn.utils.parametrizations.spectral_norm": parametrized,
    "torch.renorm": renorm,
    "nn.Embedding(max_norm)": embedding,
    "nn.EmbeddingBag(max_norm)": embedding,
    "nn.utils.fuse_conv_bn_weights": fusedWeights,
    "nn.utils.fuse_linear_bn_weights": fusedWeights,
    "nn.utils.fuse_conv_bn_eval": fusedLayer("conv"),
    "nn.utils.fuse_linear_bn_eval": fusedLayer("linear"),
  },
  missing: {
    "nn.CrossMapLRN2d: strong":
      "PyTorch's first channel never leaves the window (an index off by one); nn.LocalResponseNorm is right",
  },
};
