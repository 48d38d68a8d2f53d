/** MXNet: Gluon's layers, and the operators, whose defaults are others. Momentum is the weight of the old value; channels come first. */
import { buffer } from "../../../src/formula/normalization.js";
import {
  type BatchNormOptions,
  batchNorm,
  conventions,
  groupNorm,
  instanceNorm,
  layerNorm,
  localResponseNorm,
  type Normalization,
  type Ops,
  statisticsOf,
  unitNorm,
  withActivation,
} from "../../../src/index.js";
import { around, part } from "./around.js";
import { type Case, type Framework, given, type Mapped, type Mapping, read } from "./golden.js";

const affine = { gamma: "gamma", beta: "beta" };

/** Of a case, over defaults. Operators hold numbers in float32, whatever the arrays are of, but for batch norm's epsilon. */
function optionsOf<D extends { readonly epsilon: number; readonly momentum?: number }>(
  defaults: D,
  { axis, momentum, epsilon, eps, scale, center }: Case["arguments"],
) {
  const said = epsilon ?? eps ?? defaults.epsilon;
  const options = given(defaults, {
    axis: axis as number | undefined,
    epsilon: defaults.momentum === undefined ? Math.fround(said) : said,
    scale,
    center,
  });
  const weight = momentum ?? defaults.momentum;
  return { ...options, ...(weight !== undefined && { momentum: Math.fround(weight) }) };
}

/** A batch norm's; `named` are its statistics. */
function batched(
  c: Case,
  options: BatchNormOptions,
  [mean, variance]: readonly string[],
  fixed: boolean,
): Mapped {
  const { use_global_stats, output_mean_var } = c.arguments;
  const norm = batchNorm({ ...options, ...(fixed ? { scale: false } : {}) });
  const names = {
    ...(!fixed && { gamma: "gamma" }),
    beta: "beta",
    runningMean: mean,
    runningVariance: variance,
  };
  const more = {
    ...(use_global_stats === true && { training: false }),
    ...(fixed && {
      without: { gamma: "fix_gamma: it is taken for 1, and 1 is written over it" },
      after: { gamma: () => c.weights?.gamma.data.map(() => 1) ?? [] },
    }),
  };
  if (!output_mean_var) return { norm, weights: names, ...more };
  const normalize = part(norm, names);
  const measure = part(statisticsOf(norm), {});
  const length = c.weights?.[mean].shape ?? [];
  return {
    ...around(
      c,
      (ops, [x], weights, called) => {
        const { y, state } = normalize(ops, [x], weights, called);
        const measured = measure(ops, [x], {}, called);
        const used = called.training
          ? [measured.y, ...(measured.more ?? [])]
          : [weights[mean], weights[variance]];
        return { y, state, more: [used[0], inverse(ops, used[1], options.epsilon ?? 0)] };
      },
      { [mean]: buffer(length, 0), [variance]: buffer(length, 1) },
    ),
    ...more,
  };
}

const inverse = <T>(ops: Ops<T>, variance: T, epsilon: number): T =>
  ops.div(1, ops.sqrt(ops.add(variance, epsilon)));

const RUNNING = ["running_mean", "running_var"];
const MOVING = ["moving_mean", "moving_var"];

const gluonBatch: Mapping = (c) =>
  batched(c, optionsOf(conventions.gluon.batchNorm, c.arguments), RUNNING, false);

const operatorBatch: Mapping = (c) => {
  const { scale, ...defaults } = conventions.mxnet.batchNorm;
  const options = optionsOf(defaults, c.arguments);
  return batched(c, options, MOVING, c.arguments.fix_gamma !== false);
};

/** Whatever is negative becomes 0, behind it. */
const rectified =
  (mapping: Mapping): Mapping =>
  (c) => {
    const mapped = mapping(c) as Mapped;
    return { ...mapped, norm: withActivation(mapped.norm, "relu") };
  };

const layer: Mapping = (c) => {
  const options = optionsOf(conventions.gluon.layerNorm, c.arguments);
  const norm = layerNorm(options);
  return c.arguments.output_mean_var
    ? withStatistics(c, norm, norm, affine, options.epsilon)
    : { norm, weights: affine };
};

/** Beside y the mean and the deviation. */
function withStatistics(
  c: Case,
  norm: Normalization,
  of: Parameters<typeof statisticsOf>[0],
  names: Readonly<Record<string, string>>,
  epsilon: number,
): Mapped {
  const normalize = part(norm, names);
  const measure = part(statisticsOf(of), {});
  return around(c, (ops, [x], weights, options) => {
    const { y: mean, more = [] } = measure(ops, [x], {}, options);
    return {
      y: normalize(ops, [x], weights, options).y,
      more: [mean, ops.sqrt(ops.add(more[0], epsilon))],
    };
  });
}

const group: Mapping = (c) => {
  const { num_groups = 1, output_mean_var } = c.arguments;
  const options = { ...optionsOf(conventions.gluon.groupNorm, c.arguments), groups: num_groups as number };
  const norm = groupNorm(options);
  return output_mean_var ? withStatistics(c, norm, norm, affine, options.epsilon) : { norm, weights: affine };
};

const instance =
  (defaults: { axis: number; epsilon: number; scale?: boolean }): Mapping =>
  (c) => ({ norm: instanceNorm(optionsOf(defaults, c.arguments)), weights: affine });

const unit: Mapping = ({ arguments: { mode, eps = 1e-10 }, steps }) => {
  const all = steps[0].inputs[0].shape.map((_, axis) => axis);
  const axis = { instance: all.slice(1), channel: 1, spatial: all.slice(2) }[mode as "instance"];
  return { norm: unitNorm({ axis, epsilon: eps }) };
};

const localResponse: Mapping = ({ arguments: { nsize, alpha, beta, knorm = 2 } }) => ({
  norm: localResponseNorm({ axis: 1, size: nsize as number, alpha, beta, k: knorm as number }),
});

/** By statistics that are given: batch norm in evaluation. An image has no batch axis. */
const normalizeImage: Mapping = (c) => {
  const { mean = [], std = [] } = c.arguments;
  const axis = c.name === "channels first" ? 0 : -1;
  const norm = batchNorm({ axis, epsilon: 0, scale: false, center: false });
  return around(c, (ops, inputs) => {
    const array = (values: readonly number[]) => ops.constant(values, [values.length]);
    const known = {
      runningMean: array(mean),
      runningVariance: array(std.map((deviation) => deviation ** 2)),
    };
    return norm.apply(ops, inputs, known, { training: false });
  });
};

export const mxnet: Framework = {
  file: read("mxnet"),
  mappings: {
    "gluon.nn.BatchNorm": gluonBatch,
    "gluon.nn.BatchNormReLU": rectified(gluonBatch),
    "gluon.contrib.nn.SyncBatchNorm": gluonBatch,
    "nd.BatchNorm": operatorBatch,
    "nd.BatchNorm_v1": operatorBatch,
    "nd.contrib.BatchNormWithReLU": rectified(operatorBatch),
    "nd.contrib.SyncBatchNorm": operatorBatch,
    "npx.batch_norm": operatorBatch,
    "gluon.nn.LayerNorm": layer,
    "nd.LayerNorm": layer,
    "npx.layer_norm": layer,
    "gluon.nn.GroupNorm": group,
    "nd.GroupNorm": group,
    "gluon.nn.InstanceNorm": instance(conventions.gluon.instanceNorm),
    "nd.InstanceNorm": instance(conventions.mxnet.instanceNorm),
    "nd.L2Normalization": unit,
    "nd.LRN": localResponse,
    "nd.image.normalize": normalizeImage,
    "gluon.data.vision.transforms.Normalize": normalizeImage,
    "image.color_normalize": normalizeImage,
    "image.ColorNormalizeAug": normalizeImage,
  },
  missing: {},
};
