/**
 * Normalizations by the names of tensors alone, as in state dicts, where no classes stand: what a weight is called, what it is beside, and how
 * its layer is called. What names cannot tell is said.
 */
import type { Framework } from "../../frameworks/conventions.js";
import { theirs } from "../../frameworks/names.js";
import { sameShape } from "../../shape.js";
import type { Module } from "../checkpoint.js";
import type { Tensor } from "../tensors.js";
import { axisOf, BATCH, type Draft, defaultsOf, type Kind, optionsIn, titleOf, trailing } from "./classes.js";
import { configured, partFor } from "./configuration.js";

/** Running statistics by their names, and whose names they are. */
const STATISTICS: readonly (readonly [
  mean: string,
  variance: string,
  gamma: string,
  beta: string,
  Framework,
])[] = [
  ["running_mean", "running_var", "weight", "bias", "pytorch"],
  ["running_mean", "running_var", "gamma", "beta", "gluon"],
  ["moving_mean", "moving_variance", "gamma", "beta", "keras2"],
  ["moving_mean", "moving_var", "gamma", "beta", "mxnet"],
  ["mean", "var", "scale", "bias", "flax"],
];

/** Learned parameters likewise, without statistics. */
const PARAMETERS: readonly (readonly [gamma: string, beta: string, Framework])[] = [
  ["weight", "bias", "pytorch"],
  ["gamma", "beta", "keras2"],
  ["scale", "bias", "flax"],
  ["g", "b", "pytorch"],
];

const LOCAL = new Set([...STATISTICS.flat(), ...PARAMETERS.flat(), "num_batches_tracked", "tau"]);
/** A layer scale that is no layer of its own but a weight of a block. */
const SCALES = /^((gamma|lambda)_?\d+|layer_?scale(_parameter)?_?\d*)$/;
/** MXNet joins a layer and its weight by an underscore. */
const JOINED = /^(.*)_(gamma|beta|moving_mean|moving_var|running_mean|running_var)$/;
/** torch.nn.utils.parametrizations: what is made of which weight. */
const PARAMETRIZED = /^(?:(.*)\.)?parametrizations\.([^.]+)\.(original[01]?|\d+\._[uv])$/;
/** torch.nn.utils before them. */
const HOOKED = /^(?:(.*)\.)?([^.]+)_(g|v|u|orig)$/;

/** What a layer's name says of it; the first that fits. */
const HINTS: readonly (readonly [RegExp, Kind])[] = [
  [/(layer|res)_?scale|(^|[._/])ls\d*$/i, "layerScale"],
  [/response_?norm|(^|[._/])grn\d*$/i, "globalResponseNorm"],
  [/group_?norm|(^|[._/])gn\d*([._/]|$)/i, "groupNorm"],
  // of diffusion models: diffusers', and those of CompVis and OpenAI
  [/(^|\.)(resnets\.\d+\.norm\d|attentions\.\d+\.norm|conv_norm_out|(in|out)_layers\.0)$/, "groupNorm"],
  // RWKV's, of a group for each head
  [/(^|\.)att(ention)?\.ln_x$/, "groupNorm"],
  [/instance_?norm|(^|[._/])in\d*$/i, "instanceNorm"],
  // not the end of "norms"
  [/(^|[^o])rms/i, "rmsNorm"],
  [/batch_?norm|(^|[._/])bn\d*([._/]|$)/i, "batchNorm"],
  [/layer_?norm|(^|[._/])ln(_|\d|[._/]|$)/i, "layerNorm"],
];
/** A name that says that it is one, but not which. */
const SOME_NORM = /norm/i;

/** What stores tensors of the same names and shapes. */
const SAME_LAYER = "group and instance normalization store the same";
const SAME_RMS = "layer normalization without bias stores the same";
const SAME_BATCH = "instance normalization with running statistics stores the same";

/** A name without what wrappers (DataParallel, torch.compile) put before it and within it. */
export function withoutWrappers(name: string): string {
  const parts = name.split(".").filter((part) => part !== "_orig_mod");
  return (parts[0] === "module" && parts.length > 1 ? parts.slice(1) : parts).join(".");
}

/** @param settings of a configuration beside the weights, such as Hugging Face's config.json */
export function draftsByName(
  tensors: Iterable<Tensor>,
  framework: Framework | undefined,
  modules: readonly Module[],
  settings: Readonly<Record<string, unknown>>,
): Draft[] {
  const layers = new Map<string, Map<string, Tensor>>();
  const scales: Draft[] = [];
  /** Layers with weights that no normalization has. */
  const more = new Set<string>();
  const weights = new Map<string, Map<string, Tensor>>();
  const into = (groups: typeof layers, name: string, local: string, tensor: Tensor) => {
    const group = groups.get(name) ?? new Map<string, Tensor>();
    groups.set(name, group.set(local, tensor));
  };
  for (const tensor of tensors) {
    const name = withoutWrappers(tensor.name.replace(/:0$/, ""));
    const parametrized = PARAMETRIZED.exec(name);
    const hooked = HOOKED.exec(name);
    if (parametrized) {
      const [, layer = "", weight, part] = parametrized;
      into(weights, `${layer}\n${weight}`, part.replace(/^\d+\._/, ""), tensor);
      continue;
    }
    if (hooked) {
      const [, layer = "", weight, part] = hooked;
      into(weights, `${layer}\n${weight}`, part, tensor);
    }
    const end = Math.max(name.lastIndexOf("."), name.lastIndexOf("/"));
    const local = name.slice(end + 1);
    const joined = JOINED.exec(name);
    if (LOCAL.has(local)) into(layers, name.slice(0, Math.max(0, end)), local, tensor);
    else if (joined) into(layers, joined[1], joined[2], tensor);
    else if (SCALES.test(local) && axisOf(tensor.shape) !== undefined)
      scales.push(scaleDraft(name, tensor, axisOf(tensor.shape) as number, framework));
    else more.add(name.slice(0, Math.max(0, end)));
  }
  const owners = new Map(modules.flatMap((one) => Object.values(one.tensors).map((tensor) => [tensor, one])));
  const ownerOf = (group: ReadonlyMap<string, Tensor>) => owners.get([...group.values()][0]);
  return [
    ...[...layers].flatMap(
      ([name, group]) =>
        layerDraft(name, group, framework, ownerOf(group), partFor(name, settings), more.has(name)) ?? [],
    ),
    ...scales,
    ...[...weights].flatMap(([key, group]) => weightDraft(key, group, framework) ?? []),
  ];
}

function scaleDraft(name: string, gamma: Tensor, axis: number, framework: Framework = "pytorch"): Draft {
  return {
    name,
    kind: "layerScale",
    framework,
    title: titleOf(framework),
    options: { axis },
    tensors: { gamma },
    conversions: [],
    said: [],
  };
}

function layerDraft(
  name: string,
  group: ReadonlyMap<string, Tensor>,
  framework: Framework | undefined,
  module: Module | undefined,
  settings: Readonly<Record<string, unknown>>,
  hasMore: boolean,
): Draft | undefined {
  const hintIn = (text = "") => HINTS.find(([pattern]) => pattern.test(text))?.[1];
  const hint = group.has("tau") ? "filterResponseNorm" : (hintIn(module?.type) ?? hintIn(name));
  const common = { name: name || (module?.name ?? name), type: module?.type };
  /** By what the layer's class says, where it is known, else by what stands beside the weights. */
  const settled = (seems: Kind, own: Framework, options: object, conversions: string[]) => {
    // of groups a default would be a guess
    const { groups: _, ...defaults } = defaultsOf(seems, own);
    const {
      kind,
      options: said,
      lines,
    } = module === undefined
      ? configured(settings, name, seems)
      : { kind: seems, options: optionsIn(module, seems, own, conversions), lines: [] };
    if (kind === undefined) return undefined;
    return {
      ...common,
      kind,
      framework: own,
      title: titleOf(own),
      options: { ...(kind === seems ? defaults : defaultsOf(kind, own)), ...options, ...said },
      // a model's type tells what names do not
      conversions: kind === seems ? [...conversions, ...lines] : [...lines],
      said: Object.keys(said),
    };
  };
  const statistics = STATISTICS.find(
    ([mean, variance, gamma, beta]) =>
      group.has(mean) &&
      group.has(variance) &&
      (mean !== "mean" || group.has(gamma) || group.has(beta)) &&
      (gamma !== "weight" || !(group.has("gamma") || group.has("beta"))),
  );
  if (statistics !== undefined) {
    const [mean, variance, gamma, beta, theirOwn] = statistics;
    // the file's framework where it calls a weight so; else the one that does
    const isTheirs = framework !== undefined && theirs(framework, "runningVariance") === variance;
    const own = isTheirs ? framework : theirOwn;
    const kind = hint === "instanceNorm" ? hint : "batchNorm";
    const draft = settled(
      kind,
      own,
      kind === "instanceNorm" ? { trackRunningStatistics: true } : {},
      hint === kind ? [] : [`its name does not tell: read as batch normalization; ${SAME_BATCH}`],
    );
    const tensors = present({
      gamma: group.get(gamma),
      beta: group.get(beta),
      runningMean: group.get(mean),
      runningVariance: group.get(variance),
      runningCount: group.get("num_batches_tracked"),
    });
    return draft && { ...draft, tensors };
  }
  const isNorm = hint !== undefined || SOME_NORM.test(module?.type ?? "") || SOME_NORM.test(name);
  const found = PARAMETERS.find(
    ([gamma, beta]) =>
      (group.has(gamma) && (gamma !== "g" || isNorm)) || (beta === "beta" && isNorm && group.has(beta)),
  );
  if (found === undefined || (hint === undefined && hasMore)) return undefined;
  const [gammaName, betaName, theirOwn] = found;
  const [gamma, beta] = [group.get(gammaName), group.get(betaName)];
  const shaped = (gamma ?? beta)?.shape ?? [];
  // kernels have more axes, and biases of other lengths
  const isPair = gamma !== undefined && beta !== undefined && sameShape(gamma.shape, beta.shape);
  const alone = gamma === undefined || beta === undefined;
  const isLayerScale = beta === undefined && (hint === "layerScale" || (gammaName === "gamma" && !isNorm));
  if (hint === "layerScale" && !isLayerScale) return undefined;
  const fits = shaped.length === 1 ? isPair || alone : isPair || (isNorm && gammaName !== "weight");
  if (shaped.length === 0 || !fits) return undefined;
  // one factor and one term for all, as of activations
  if (shaped.every((length) => length === 1)) return undefined;
  if (!isNorm && !isLayerScale && (alone || module !== undefined)) return undefined;
  const own = framework ?? theirOwn;
  const conversions: string[] = [];
  let kind: Kind = hint ?? "layerNorm";
  if (isLayerScale) {
    kind = "layerScale";
    if (hint !== kind) conversions.push("a gamma alone: read as layer scale");
  } else if (
    kind === "layerNorm" &&
    gamma !== undefined &&
    beta === undefined &&
    hintIn(module?.type) !== kind
  ) {
    kind = "rmsNorm";
    if (settings.rms_norm_eps === undefined)
      conversions.push(`a weight without a bias: read as RMS normalization; ${SAME_RMS}`);
  } else if (hint === undefined) {
    conversions.push(`its name does not tell: read as layer normalization; ${SAME_LAYER}`);
  }
  if (kind === "batchNorm") {
    conversions.push("no running statistics in the file: the batch's own in evaluation too");
  }
  const draft = settled(
    kind,
    own,
    {
      ...(shaped.length > 1 &&
        kind !== "globalResponseNorm" && { axis: axisOf(shaped) ?? trailing(shaped.length) }),
      ...(kind === "filterResponseNorm" && { axis: 1 }),
      ...(kind === "batchNorm" && { sources: BATCH }),
    },
    conversions,
  );
  return draft && { ...draft, tensors: present({ gamma, beta, tau: group.get("tau") }) };
}

/** Whether a tensor may be another's length: of shape [1, ..., outputs, ..., 1]. Two that are only called so have others. */
function isLengthOf(g: readonly number[], v: readonly number[]): boolean {
  if (g.length === 0) return true;
  return g.length === v.length && !sameShape(g, v) && g.every((length, i) => length === 1 || length === v[i]);
}

/** Weight and spectral normalization: a weight's parts, by which it is made. */
function weightDraft(
  key: string,
  group: ReadonlyMap<string, Tensor>,
  framework: Framework | undefined,
): Draft | undefined {
  const [layer, weight] = key.split("\n");
  const name = weight === "weight" ? layer : [layer, weight].filter((part) => part !== "").join(".");
  const own = framework ?? "pytorch";
  const common = { name, framework: own, title: titleOf(own), conversions: [], said: ["epsilon"] };
  const g = group.get("g") ?? group.get("original0");
  const direction = group.has("original1") ? group.get("original1") : group.get("v");
  if (g !== undefined && direction !== undefined && isLengthOf(g.shape, direction.shape)) {
    // of no axes where the whole weight has one length
    const long = g.shape.findIndex((length) => length !== 1);
    const axis = long >= 0 ? long : g.shape.length === 0 ? null : 0;
    return { ...common, kind: "weightNorm", options: { axis, epsilon: 0 }, tensors: { g, v: direction } };
  }
  const whole = group.get("orig") ?? group.get("original");
  const u = group.get("u");
  if (whole === undefined || u === undefined) return undefined;
  const axis = Math.max(0, whole.shape.indexOf(u.shape[0]));
  return {
    ...common,
    kind: "spectralNorm",
    options: { axis, epsilon: 1e-12 },
    tensors: present({ weight: whole, u, v: group.get("v") }),
  };
}

function present(tensors: Readonly<Record<string, Tensor | undefined>>): Record<string, Tensor> {
  return Object.fromEntries(
    Object.entries(tensors).filter((entry): entry is [string, Tensor] => entry[1] !== undefined),
  );
}
