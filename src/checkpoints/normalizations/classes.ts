/**
 * What a layer's class or an operator of a framework is here, and its options: by the defaults of the conventions table, over which
 * stand the options that the file has.
 */
import { conventions, type Framework } from "../../frameworks/conventions.js";
import { ours } from "../../frameworks/names.js";
import { type Catalog, catalog } from "../../norms/catalog.js";
import { MOST_AXES } from "../../shape.js";
import type { Module } from "../checkpoint.js";
import type { Tensor } from "../tensors.js";

export type Kind = keyof Catalog;

/** A normalization before its values are read. */
export interface Draft {
  readonly name: string;
  readonly kind: Kind;
  readonly options: Record<string, unknown>;
  /** By our names. */
  readonly tensors: Record<string, Tensor>;
  readonly type?: string;
  readonly framework: Framework;
  /** What lines call the framework. */
  readonly title: string;
  readonly conversions: string[];
  /** Options that the file has, by our names. */
  readonly said: readonly string[];
  /** Statistics that stand among the options, by our names. */
  readonly given?: Readonly<Record<string, readonly number[]>>;
}

/** An option's value as ours; what it says of itself goes to `told`. */
type Translate = (value: unknown, told: Told) => Record<string, unknown>;

interface Told {
  readonly module: Module;
  readonly kind: Kind;
  say(line: string): void;
}

interface Language {
  readonly title: string;
  /** By class or operator; the first that fits. Null for a normalization that the catalog does not have. */
  readonly classes: readonly (readonly [RegExp, Kind | null, Record<string, unknown>?])[];
  readonly options: Readonly<Record<string, Translate>>;
  /** What an option makes of a kind. */
  readonly variant?: (kind: Kind, config: Readonly<Record<string, unknown>>) => Kind;
  /** What else a class does, by its name. */
  readonly beside?: readonly (readonly [RegExp, string])[];
  /** Our names of weights that it calls otherwise than `src/frameworks/names.ts` says. */
  readonly weights?: Readonly<Record<string, string>>;
}

const same =
  (name: string): Translate =>
  (value) => ({ [name]: value });
const ignored: Translate = () => ({});

/** `0.9` for `1 - 0.1`. */
const complement = (value: number) => Number((1 - value).toPrecision(12));

/** PyTorch's momentum is the weight of the new value, and None the plain mean over all batches. */
const newWeight: Translate = (value, { say }) => {
  if (value === null) {
    say("momentum None: the plain mean over all batches (average: cumulative)");
    return { average: "cumulative" };
  }
  const keeps = complement(value as number);
  say(`momentum ${value} of the new value → keeps ${keeps} of the old`);
  return { momentum: keeps };
};

/** Statistics of the batch in evaluation too. */
export const BATCH = { batchMean: "batch", batchVariance: "batch" };

const affine: Translate = (value) => ({ scale: value === true, center: value === true });

/** A class by the normalization in its name, of whatever library: FusedLayerNorm, LlamaRMSNorm, GroupNorm32, BatchNormAct2d. */
const named = (norm: string) => new RegExp(`${norm}(\\d|\\dd|Fp32|FP32|Act|NoBias|WithoutBias|Gated)*$`);

const pytorch: Language = {
  title: "PyTorch",
  classes: [
    // a learned factor and term alone; other formulas; gamma and beta that a network computes
    [
      /^(NoNorm|EvoNorm\w*|SimpleNorm\w*|ScaleNorm|GraphNorm|HeteroLayerNorm|(Ada|Adaptive|Conditional)[A-Z][a-z]+Norm\w*)$/,
      null,
    ],
    [named("BatchNorm(alization)?"), "batchNorm"],
    [named("InstanceNorm"), "instanceNorm"],
    [/GroupNorm1(NoBias|Act)*$/, "groupNorm", { groups: 1 }],
    [named("GroupNorm"), "groupNorm"],
    [/^(LocalResponseNorm|CrossMapLRN2d)$/, "localResponseNorm", { axis: 1 }],
    [/^(\w*GRN|GlobalResponseNorm)$/, "globalResponseNorm"],
    [/^FilterResponseNorm(Tlu|Act)?2d$/, "filterResponseNorm", { axis: 1 }],
    [/^Qwen3NextRMSNormGated$/, "gatedRMSNorm", { gate: "after" }],
    [/RMSNormGated$/, "gatedRMSNorm"],
    [/(Gemma[23]?|Qwen3Next)RMSNorm$/, "rmsNorm", { offset: 1 }],
    // transformers calls T5's layer normalization, which subtracts no mean, as T5 does
    [
      /^(M?T5|LongT5|UMT5|Udop|Pop2Piano|Pix2Struct|SwitchTransformers|Kosmos2_5|ImageGPT)LayerNorm$/,
      "rmsNorm",
    ],
    [/^Llama4TextL2Norm$/, "rmsNorm"],
    [/R[Mm][Ss]Norm2d(Fp32|Act)*$|R[Mm][Ss]NormAct2d$/, "rmsNorm", { axis: 1 }],
    [named("R[Mm][Ss]_?Norm"), "rmsNorm"],
    [/LayerNorm1P$/, "layerNorm", { offset: 1 }],
    [/LayerNorm2d(Fp32|NoBias)*$|LayerNormAct2d$|^(SqueezeBert|VitDet)LayerNorm$/, "layerNorm", { axis: 1 }],
    [named("LayerNorm"), "layerNorm"],
    [/^(StdConv2d(Same)?|WeightStandardizedConv2d)$/, "weightStandardization", { axis: 0 }],
    [/^LayerScale2d$/, "layerScale", { axis: 1 }],
    [/^LayerScale/, "layerScale"],
  ],
  options: {
    eps: (value, { say }) => {
      if (value !== null) return { epsilon: value };
      const { epsilon } = conventions.pytorch.rmsNorm;
      say(`eps None: float32's own, ${epsilon.toPrecision(4)}`);
      return { epsilon };
    },
    variance_epsilon: same("epsilon"),
    momentum: newWeight,
    affine,
    elementwise_affine: affine,
    track_running_stats: (value, { kind, say }) => {
      if (kind === "instanceNorm") return { trackRunningStatistics: value === true };
      if (value !== false) return {};
      say("track_running_stats is off: the batch's own statistics in evaluation too");
      return { sources: BATCH };
    },
    num_groups: same("groups"),
    group_size: (value, { kind, module, say }) => {
      const features = module.tensors.weight?.shape.at(-1);
      if (kind === "gatedRMSNorm") {
        const groups = Number(features) / Number(value);
        return Number.isInteger(groups) && groups > 0 ? { groups } : {};
      }
      if (kind === "rmsNorm" && value !== features)
        say(
          `each ${value} of ${features} features are normalized on their own, for which there is no option`,
        );
      return {};
    },
    n_groups: same("groups"),
    norm_before_gate: (value) => ({ gate: value === true ? "after" : "before" }),
    // of one axis it is the class's own
    normalized_shape: (value) =>
      Array.isArray(value) && value.length > 1 ? { axis: trailing(value.length) } : {},
    data_format: (value) => (value === "channels_first" ? { axis: 1 } : {}),
    channel_dim: same("axis"),
    size: same("size"),
    alpha: same("alpha"),
    beta: same("beta"),
    k: same("k"),
    // of PyTorch Geometric
    mode: (value, { say }) => {
      if (value === "graph") say("mode graph: over all nodes and features of a graph at once");
      return {};
    },
    unit_offset: (value) => (Number(value) === 1 ? { offset: 1 } : {}),
  },
  beside: [
    [/Act(\dd)?$/, "an activation follows within it, which is not in its formula"],
    [/^CrossMapLRN2d$/, "its windows keep channels that they have passed, which those of the formula do not"],
  ],
  // of classes that are not PyTorch's own
  weights: { g: "gamma", gamma: "gamma", scale: "gamma", b: "beta", beta: "beta" },
};

const single = (axis: unknown): unknown => (Array.isArray(axis) && axis.length === 1 ? axis[0] : axis);

const keras: Language = {
  title: "Keras",
  classes: [
    [/^(Sync)?BatchNormalization(V1|V2)?$/, "batchNorm"],
    [/^LayerNormalization$/, "layerNorm"],
    [/^GroupNormalization$/, "groupNorm"],
    [/^InstanceNormalization$/, "instanceNorm"],
    [/^(RMSNormalization|RMSNorm)$/, "rmsNorm"],
    [/^UnitNormalization$/, "unitNorm"],
    [/^FilterResponseNormalization$/, "filterResponseNorm", { thresholded: false }],
    [/^SpectralNormalization$/, "spectralNorm"],
    [/^WeightNormalization$/, "weightNorm"],
    // of features, by the training data's own mean and variance
    [/^Normalization$/, "batchNorm", { epsilon: 0 }],
  ],
  options: {
    axis: (value, { kind }) => {
      if (kind === "filterResponseNorm" && Array.isArray(value)) return {};
      const axis = single(value);
      // Keras saves it shifted by the axis that it adds for virtual batches
      return { axis: kind === "ghostBatchNorm" && typeof axis === "number" && axis > 0 ? axis - 1 : axis };
    },
    epsilon: same("epsilon"),
    momentum: same("momentum"),
    scale: (value) => ({ scale: value === true }),
    center: (value) => ({ center: value === true }),
    groups: (value, { kind }) => (kind === "groupNorm" ? { groups: value } : {}),
    power_iterations: (value, { say }) => {
      say("the kernel is stored divided by its sigma: in evaluation it is used as it is");
      return { iterations: value };
    },
    rms_scaling: (value, { say }) => {
      if (value === true) {
        say(
          "rms_scaling divides by the standard deviation and keeps the mean, which no normalization of the catalog does: " +
            "use layers.layerNormalization({ rmsScaling: true }) of evenkeel/tfjs",
        );
      }
      return {};
    },
    renorm_momentum: same("renormMomentum"),
    renorm_clipping: (value) => {
      const { rmax, rmin, dmax } = Object(value);
      return { rMax: rmax, rMin: rmin, dMax: dmax };
    },
    virtual_batch_size: (value) => ({ batchSize: value, moves: "once" }),
    // of Keras 1
    mode: (value, { say }) => {
      if (value !== 2) return {};
      say("mode 2: the batch's own statistics in evaluation too");
      return { sources: BATCH };
    },
  },
  variant: (kind, { renorm, virtual_batch_size, groups }) => {
    if (kind === "batchNorm" && renorm === true) return "batchRenorm";
    if (kind === "batchNorm" && typeof virtual_batch_size === "number") return "ghostBatchNorm";
    // one group per channel
    return kind === "groupNorm" && groups === -1 ? "instanceNorm" : kind;
  },
  weights: {
    running_std: "runningVariance",
    scale: "gamma",
    offset: "beta",
    mean: "runningMean",
    variance: "runningVariance",
  },
};

/** TensorFlow's operators: those of graphs, whose layers' names are lost. */
const tensorflow: Language = {
  title: "TensorFlow",
  classes: [
    [/^FusedBatchNorm(V2|V3)?$/, "batchNorm", { epsilon: 1e-4 }],
    [/^tf\.nn\.batch_normalization$/, "batchNorm"],
  ],
  options: {
    epsilon: same("epsilon"),
    variance_epsilon: same("epsilon"),
    data_format: (value) => ({ axis: value === "NCHW" ? 1 : -1 }),
    exponential_avg_factor: (value, { say }) => {
      if (typeof value !== "number" || value === 1) return {};
      say(`exponential_avg_factor ${value} of the new value → keeps ${complement(value)} of the old`);
      return { momentum: complement(value) };
    },
    is_training: (value, { say }) => {
      if (value === true) say("is_training is on in the graph: it normalizes by the batch's own statistics");
      return {};
    },
  },
  weights: { scale: "gamma", offset: "beta", mean: "runningMean", variance: "runningVariance" },
};

/** The value of an attribute of MXNet, which is a text. */
const parsed = (value: unknown): unknown => {
  if (value === "True" || value === "true" || value === "1") return value !== "1" ? true : 1;
  if (value === "False" || value === "false") return false;
  return typeof value === "string" && value.trim() !== "" && Number.isFinite(Number(value))
    ? Number(value)
    : value;
};

/** A float32 that a file has as a double, by the fewest digits that give it: 0.001, not 0.0010000000474974513. */
function shortest(value: number): number {
  if (Math.fround(value) !== value) return value;
  for (let digits = 1; digits < 9; digits++) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === value) return short;
  }
  return value;
}
const asFlag = (value: unknown) => [true, 1].includes(parsed(value) as boolean | number);

const mxnet: Language = {
  title: "MXNet",
  classes: [
    [
      /^(BatchNorm|BatchNorm_v1|_?contrib_?SyncBatchNorm|SyncBatchNorm|CuDNNBatchNorm|_contrib_BatchNormWithReLU)$/,
      "batchNorm",
    ],
    [/^LayerNorm$/, "layerNorm"],
    [/^GroupNorm$/, "groupNorm"],
    [/^InstanceNorm$/, "instanceNorm"],
    [/^L2Normalization$/, "unitNorm", { axis: 1, epsilon: 1e-10 }],
    [/^LRN$/, "localResponseNorm", { axis: 1, k: 2 }],
  ],
  options: {
    eps: (value) => ({ epsilon: parsed(value) }),
    momentum: (value) => ({ momentum: parsed(value) }),
    axis: (value) => ({ axis: parsed(value) }),
    num_groups: (value) => ({ groups: parsed(value) }),
    fix_gamma: (value) => ({ scale: !asFlag(value) }),
    use_global_stats: ignored,
    // of L2Normalization: over the channels, or over all of an example
    mode: (value, { say }) => {
      if (value === "channel") return {};
      say(
        `mode ${value}: the length is over ${value === "spatial" ? "the positions of each channel" : "a whole example"}; set axis to those axes`,
      );
      return {};
    },
    alpha: (value) => ({ alpha: parsed(value) }),
    beta: (value) => ({ beta: parsed(value) }),
    knorm: (value) => ({ k: parsed(value) }),
    nsize: (value) => ({ size: parsed(value) }),
  },
};

const onnx: Language = {
  title: "ONNX",
  classes: [
    [/^BatchNormalization$/, "batchNorm"],
    [/^LayerNormalization$/, "layerNorm"],
    [/^InstanceNormalization$/, "instanceNorm"],
    [/GroupNormalization$/, "groupNorm"],
    [/^com\.microsoft\.GroupNorm$/, "groupNorm", { axis: -1 }],
    [/^com\.microsoft\.SkipLayerNormalization$/, "layerNorm", { epsilon: 1e-12 }],
    [/^com\.microsoft\.SkipSimplifiedLayerNormalization$/, "rmsNorm", { epsilon: 1e-12 }],
    [/(^|\.)(RMSNormalization|SimplifiedLayerNormalization)$/, "rmsNorm"],
    [/^LpNormalization$/, "unitNorm", { epsilon: 0, guard: "length" }],
    [/^LRN$/, "localResponseNorm", { axis: 1 }],
    [/^MeanVarianceNormalization$/, "batchNorm", { epsilon: 1e-9, sources: BATCH }],
  ],
  options: {
    epsilon: same("epsilon"),
    momentum: same("momentum"),
    axes: (value, { kind, say }) => {
      // what an opset before has as an attribute; of MeanVarianceNormalization, whose default is that of batch normalization
      if (kind === "batchNorm" && String(value) !== "0,2,3")
        say(`axes ${value} are reduced: set axis to the others`);
      return {};
    },
    axis: (value, { kind, module }) => {
      if (kind !== "layerNorm" && kind !== "rmsNorm") return { axis: value };
      // over every axis from this one on: as many as gamma has, where the rank of x is not known
      const axes =
        (value as number) < 0
          ? -(value as number)
          : (module.tensors.Scale ?? module.tensors.scale)?.shape.length;
      return { axis: axes ? trailing(axes) : value };
    },
    num_groups: same("groups"),
    groups: same("groups"),
    p: same("order"),
    size: same("size"),
    alpha: same("alpha"),
    beta: same("beta"),
    bias: (value, { kind }) => (kind === "localResponseNorm" ? { k: value } : {}),
    training_mode: (value, { say }) => {
      if (value === 1) say("training_mode is on in the file: it normalizes by the batch's own statistics");
      return {};
    },
  },
  weights: {
    gamma: "gamma",
    beta: "beta",
    bias: "beta",
    mean: "runningMean",
    var: "runningVariance",
    scale: "gamma",
  },
};

const languages: Readonly<Record<Framework, Language>> = {
  pytorch,
  fastai: { ...pytorch, title: "fastai" },
  keras2: keras,
  keras3: keras,
  tensorflowjs: { ...keras, title: "TensorFlow.js" },
  gluon: { ...mxnet, title: "Gluon" },
  mxnet,
  flax: { ...keras, title: "Flax" },
  onnx,
};

/** The last axes, so many of them. */
export function trailing(count: number): number | number[] {
  return count === 1 ? -1 : Array.from({ length: count }, (_, i) => i - count);
}

/** The axis of a tensor's length, counted from the end, where all others have length 1: along these it is broadcast. */
export function axisOf(shape: readonly number[]): number | undefined {
  const long = shape.flatMap((length, axis) => (length !== 1 ? [axis - shape.length] : []));
  return long.length === 1 ? long[0] : undefined;
}

/** The language of a module: that of its framework, or of TensorFlow's operators. */
function languageOf({ type }: Module, framework: Framework): Language {
  return tensorflow.classes.some(([pattern]) => pattern.test(type)) ? tensorflow : languages[framework];
}

/** Wrappers that apply a layer to each step: of Keras, and of the lab. */
const WRAPPERS = ["TimeDistributed", "EachStep"];

/** A layer within a wrapper that applies it, as the layer. */
function unwrapped(module: Module): Module {
  const { layer } = module.config as { layer?: { class_name?: unknown; config?: unknown } };
  if (!WRAPPERS.includes(module.type) || typeof layer?.class_name !== "string") return module;
  return { ...module, type: layer.class_name, config: Object(layer.config) };
}

/**
 * What a module is here; undefined where it is no normalization, or of a class that is not known, and null for a normalization that the
 * catalog does not have.
 */
export function draftOf(layer: Module, framework: Framework): Draft | null | undefined {
  const module = unwrapped(layer);
  const language = languageOf(module, framework);
  const type = module.type.replace(/^.*>/, "");
  const [, found, own] = language.classes.find(([pattern]) => pattern.test(type)) ?? [];
  if (found === undefined || found === null) return found;
  // of Keras 1: over the features of a sample, by its deviation, to which epsilon is added twice
  if (type === "BatchNormalization" && module.config.mode === 1) return null;
  const kind = language.variant?.(found, module.config) ?? found;
  const conversions: string[] = [];
  if (kind !== found)
    conversions.push(`${type} with these options is ${catalog[kind].about.title.toLowerCase()}`);
  const options: Record<string, unknown> = { ...defaultsOf(kind, framework), ...own };
  const given = type === "Normalization" ? standardizing(module, conversions) : undefined;
  if (type === "Normalization" && given === undefined) return undefined;
  // operators have defaults, layers without their configuration none that are known
  if (kind === "groupNorm" && framework !== "mxnet" && own?.groups === undefined) delete options.groups;
  const configured = optionsIn(module, kind, framework, conversions);
  Object.assign(options, configured);
  if (options.offset === 1) conversions.push(storedMinusOne(kind, type));
  for (const [end, line] of language.beside ?? []) if (end.test(type)) conversions.push(line);
  const tensors = Object.fromEntries(
    Object.entries(module.tensors).map(([name, tensor]) => [
      ourName(language, framework, name, kind),
      tensor,
    ]),
  );
  // what is broadcast along positions is of channels before them
  const broadcast = tensors.gamma && tensors.gamma.shape.length > 1 ? axisOf(tensors.gamma.shape) : undefined;
  if (framework === "pytorch" && broadcast !== undefined && configured.axis === undefined)
    options.axis = broadcast;
  const { title } = language;
  return {
    name: module.name,
    kind,
    options,
    tensors,
    type: layer.type,
    framework,
    title,
    conversions,
    said: Object.keys(configured),
    given,
  };
}

/** Options that a module's configuration says, in our words; what they say of themselves goes to `lines`. */
export function optionsIn(
  module: Module,
  kind: Kind,
  framework: Framework,
  lines: string[],
): Record<string, unknown> {
  const { options } = languageOf(module, framework);
  const told: Told = { module, kind, say: (line) => lines.push(line) };
  return Object.assign(
    {},
    ...Object.entries(module.config)
      .filter(([name, value]) => value !== undefined && Object.hasOwn(options, name))
      .map(([name, value]) => options[name](typeof value === "number" ? shortest(value) : value, told)),
  );
}

/** Of a gamma to which its layer adds 1: that it is the option's, or is added where the values are read. */
export function storedMinusOne(kind: Kind, by: string): string {
  return `gamma is stored minus 1 (${by}): ${Object.hasOwn(catalog[kind].defaults, "offset") ? "offset 1" : "read with 1 added"}`;
}

/** Keras's Normalization as batch normalization in evaluation: the statistics that stand in its options; undefined where it is none. */
function standardizing({ config }: Module, conversions: string[]): Draft["given"] {
  // without an axis one mean and one variance are for all values, which is no channel's
  if (config.axis === null || config.invert === true) return undefined;
  conversions.push(
    "Normalization of features by the training data's mean and variance: batch normalization in evaluation",
  );
  const numbers = (value: unknown) =>
    [value].flat(MOST_AXES).filter((one): one is number => typeof one === "number");
  const [runningMean, runningVariance] = [numbers(config.mean), numbers(config.variance)];
  return runningMean.length > 0 && runningVariance.length > 0 ? { runningMean, runningVariance } : {};
}

/** By the last part of a weight's path, within wrappers. */
function ourName(language: Language, framework: Framework, name: string, kind: Kind): string {
  const local = name.slice(name.lastIndexOf("/") + 1);
  // of a convolution, whose weights are its own
  if (kind === "weightStandardization") return local;
  const own = language.weights ?? {};
  return Object.hasOwn(own, local) ? own[local] : ours(framework, local, kind);
}

/** The framework's defaults for a kind; none where it does not have it. */
export function defaultsOf(kind: Kind, framework: Framework): Readonly<Record<string, unknown>> {
  return (conventions[framework] as Record<string, Readonly<Record<string, unknown>>>)[kind] ?? {};
}

/** What a framework is called in a line. */
export const titleOf = (framework: Framework): string => languages[framework].title;
