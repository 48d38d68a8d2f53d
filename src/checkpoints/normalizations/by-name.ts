/**
 * Normalizations by the names of tensors alone, as in state dicts, where no classes stand: what a weight is called, what it is beside, and how
 * its layer is called. What names cannot tell is said.
 */
import type { Framework } from "../../frameworks/conventions.js";
import { theirs } from "../../frameworks/names.js";
import { sameShape } from "../../shape.js";
import type { Module } from "../checkpoint.js";
import type { Tensor } from "../tensors.js";
import { BATCH, type Draft, defaultsOf, type Kind, titleOf, trailing } from "./classes.js";

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
];

const LOCAL = new Set([...STATISTICS.flat(), ...PARAMETERS.flat(), "num_batches_tracked"]);
/** MXNet joins a layer and its weight by an underscore. */
const JOINED = /^(.*)_(gamma|beta|moving_mean|moving_var|running_mean|running_var)$/;
/** torch.nn.utils.parametrizations: what is made of which weight. */
const PARAMETRIZED = /^(?:(.*)\.)?parametrizations\.([^.]+)\.(original[01]?|\d+\._[uv])$/;
/** torch.nn.utils before them. */
const HOOKED = /^(?:(.*)\.)?([^.]+)_(g|v|u|orig)$/;

/** What a layer's name says of it; the first that fits. */
const HINTS: readonly (readonly [RegExp, Kind])[] = [
  [/group_?norm|(^|[._/])gn\d*([._/]|$)/i, "groupNorm"],
  [/instance_?norm|(^|[._/])in\d*$/i, "instanceNorm"],
  [/rms/i, "rmsNorm"],
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
  }
  const types = new Map(modules.map((module) => [withoutWrappers(module.name), module]));
  return [
    ...[...layers].flatMap(
      ([name, group]) => layerDraft(name, group, framework, types.get(name), settings) ?? [],
    ),
    ...[...weights].flatMap(([key, group]) => weightDraft(key, group, framework) ?? []),
  ];
}

function layerDraft(
  name: string,
  group: ReadonlyMap<string, Tensor>,
  framework: Framework | undefined,
  module: Module | undefined,
  settings: Readonly<Record<string, unknown>>,
): Draft | undefined {
  const hint = HINTS.find(([pattern]) => pattern.test(module?.type ?? "") || pattern.test(name))?.[1];
  const common = { name, type: module?.type, said: [] as string[] };
  const statistics = STATISTICS.find(
    ([mean, variance, gamma, beta]) =>
      group.has(mean) &&
      group.has(variance) &&
      (mean !== "mean" || group.has(gamma) || group.has(beta)) &&
      (gamma !== "weight" || !(group.has("gamma") || group.has("beta"))),
  );
  if (statistics !== undefined) {
    const [mean, variance, gamma, beta, theirOwn] = statistics;
    const own = ownFramework(framework, "runningVariance", variance, theirOwn);
    const kind = hint === "instanceNorm" ? hint : "batchNorm";
    const counted = group.get("num_batches_tracked");
    return {
      ...common,
      kind,
      framework: own,
      title: titleOf(own),
      options: { ...defaultsOf(kind, own), ...(kind === "instanceNorm" && { trackRunningStatistics: true }) },
      tensors: present({
        gamma: group.get(gamma),
        beta: group.get(beta),
        runningMean: group.get(mean),
        runningVariance: group.get(variance),
        runningCount: counted,
      }),
      conversions:
        hint === kind ? [] : [`its name does not tell: read as batch normalization; ${SAME_BATCH}`],
    };
  }
  const isNorm = hint !== undefined || SOME_NORM.test(module?.type ?? "") || SOME_NORM.test(name);
  const found = PARAMETERS.find(
    ([gamma, beta]) => group.has(gamma) || (beta === "beta" && isNorm && group.has(beta)),
  );
  if (found === undefined) return undefined;
  const [gammaName, betaName, theirOwn] = found;
  const [gamma, beta] = [group.get(gammaName), group.get(betaName)];
  const shaped = (gamma ?? beta)?.shape ?? [];
  // kernels have more axes, and biases of other lengths
  const isPair = gamma !== undefined && beta !== undefined && sameShape(gamma.shape, beta.shape);
  const isVector = shaped.length === 1 && (isPair || gamma === undefined || beta === undefined);
  const isLayerScale = gammaName === "gamma" && beta === undefined && !isNorm;
  if (!isVector && !(shaped.length > 0 && (isPair || (isNorm && gammaName !== "weight")))) return undefined;
  if (!isNorm && !isLayerScale && (beta === undefined || gamma === undefined)) return undefined;
  const own = ownFramework(framework, "gamma", gammaName, theirOwn);
  const conversions: string[] = [];
  let kind: Kind = hint ?? "layerNorm";
  if (isLayerScale) {
    kind = "layerScale";
    conversions.push("a gamma alone: read as layer scale");
  } else if (kind === "layerNorm" && gamma !== undefined && beta === undefined) {
    kind = "rmsNorm";
    conversions.push(`a weight without a bias: read as RMS normalization; ${SAME_RMS}`);
  } else if (hint === undefined) {
    conversions.push(`its name does not tell: read as layer normalization; ${SAME_LAYER}`);
  }
  if (kind === "batchNorm") {
    conversions.push("no running statistics in the file: the batch's own in evaluation too");
  }
  // of groups a default would be a guess
  const { groups: _, ...defaults } = defaultsOf(kind, own);
  const options: Record<string, unknown> = {
    ...defaults,
    ...(kind === "batchNorm" && { sources: BATCH }),
    ...(shaped.length > 1 && { axis: trailing(shaped.length) }),
  };
  const said = fromSettings(kind, settings, options, conversions);
  return {
    ...common,
    kind,
    framework: own,
    title: titleOf(own),
    options,
    tensors: present({ gamma, beta }),
    conversions,
    said,
  };
}

/** Epsilon and offset by a configuration beside the weights. */
function fromSettings(
  kind: Kind,
  settings: Readonly<Record<string, unknown>>,
  options: Record<string, unknown>,
  conversions: string[],
): string[] {
  if (kind !== "layerNorm" && kind !== "rmsNorm") return [];
  const names = [
    "rms_norm_eps",
    "layer_norm_eps",
    "layer_norm_epsilon",
    "layernorm_epsilon",
    "norm_eps",
    "norm_epsilon",
  ];
  const name = names.find((one) => typeof settings[one] === "number");
  const type = String(settings.model_type ?? "");
  if (/gemma/.test(type) && kind === "rmsNorm") {
    options.offset = 1;
    conversions.push(`gamma is stored minus 1 (model_type ${type}): offset 1`);
  } else if (kind === "rmsNorm" && type === "") {
    conversions.push(
      "whether gamma is stored minus 1, as Gemma's is, is not in the file: read as it is; offset: 1 if so",
    );
  }
  if (name === undefined) return [];
  options.epsilon = settings[name];
  conversions.push(`epsilon ${settings[name]} by ${name} of config.json`);
  return ["epsilon"];
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
  if (g !== undefined && direction !== undefined) {
    // of shape [1, ..., outputs, ..., 1]; of no axes where the whole weight has one length
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

/** The file's framework where it calls a weight so; else the one that does. */
function ownFramework(
  framework: Framework | undefined,
  weight: string,
  name: string,
  theirOwn: Framework,
): Framework {
  return framework !== undefined && theirs(framework, weight) === name ? framework : theirOwn;
}

function present(tensors: Readonly<Record<string, Tensor | undefined>>): Record<string, Tensor> {
  return Object.fromEntries(
    Object.entries(tensors).filter((entry): entry is [string, Tensor] => entry[1] !== undefined),
  );
}
