/** A file's tensors by what they belong to, as its modules say, else by their names; and a layer's weights among them. */
import type { Checkpoint, Module } from "../../checkpoints/checkpoint.js";
import type { Tensor } from "../../checkpoints/tensors.js";
import { theirs } from "../../frameworks/names.js";

/** What has tensors in a file. */
export interface NamedTensors {
  readonly name: string;
  readonly type?: string;
  readonly config?: Module["config"];
  /** By the file's names of weights. */
  readonly tensors: Readonly<Record<string, Tensor>>;
}

/** MXNet joins a layer and its weight by an underscore, Gluon's recurrent layers with the number of theirs. */
const JOINED =
  /^(.*?)_((?:[lr]\d+_[ih]2h_)?(?:weight|bias)|gamma|beta|alpha|moving_mean|moving_var|running_mean|running_var)$/;
/** torch.nn.utils.parametrizations keep a weight's parts inside it. */
const PARAMETRIZED = /^(?:(.*)\.)?(parametrizations\..+)$/;

/** In the file's order. A recurrent module of several layers is one for each: lstm.l0, lstm.l1. */
export function modulesWithTensors({ modules, tensors, framework }: Checkpoint): NamedTensors[] {
  const found = new Map<string, { type?: string; config?: Module["config"]; tensors: Map<string, Tensor> }>();
  const add = (name: string, local: string, tensor: Tensor, { type, config }: Partial<Module> = {}) => {
    const group = found.get(name) ?? { type, config, tensors: new Map<string, Tensor>() };
    found.set(name, group);
    group.tensors.set(local, tensor);
  };
  const claimed = new Set<string>();
  for (const module of modules) {
    for (const [local, tensor] of Object.entries(module.tensors)) {
      const [name, role] =
        parted(`${module.name}.${local}`) ?? inSteps(module, local) ?? withinLayer(module.name, local);
      add(name, role, tensor, name === module.name ? module : {});
      claimed.add(tensor.name);
    }
  }
  for (const tensor of tensors.values()) {
    const { name } = tensor;
    // what no operator of ONNX has for a weight is a shape, an axis or the like
    if (claimed.has(name) || framework === "onnx") continue;
    const plain = name.replace(/:0$/, "");
    const parted_ = parted(plain);
    const end = Math.max(plain.lastIndexOf("."), plain.lastIndexOf("/"));
    const joined = end < 0 ? JOINED.exec(plain) : null;
    if (parted_) add(...parted_, tensor);
    else if (joined) add(joined[1], joined[2], tensor);
    else add(plain.slice(0, Math.max(0, end)), plain.slice(end + 1), tensor);
  }
  return [...found].flatMap(([name, { type, config, tensors: own }]) => {
    const whole = { name, type, config, tensors: Object.fromEntries(own) };
    const layers = new Set([...own.keys()].map(recurrentLayer));
    if (layers.has(undefined) || layers.size < 2) return [whole];
    return [...layers].map((layer) => ({
      ...whole,
      name: `${name}.l${layer}`,
      tensors: Object.fromEntries([...own].filter(([local]) => recurrentLayer(local) === layer)),
    }));
  });
}

function parted(name: string): [layer: string, rest: string] | undefined {
  const found = PARAMETRIZED.exec(name);
  return found ? [found[1] ?? "", found[2]] : undefined;
}

/** What is in a model that is in each step of a sequence: layer/layers/dense/0, or dense/kernel. */
function inSteps({ name, type, tensors }: Module, local: string): [layer: string, rest: string] | undefined {
  if (type !== "TimeDistributed") return undefined;
  const placed = (path: string) => /^(?:layer\/layers\/)?((?!layer\/).+)\/([^/]+)$/.exec(path);
  const layers = new Set(Object.keys(tensors).map((one) => placed(one)?.[1]));
  const [, layer, role] = placed(local) ?? [];
  return layer === undefined || layers.size < 2 || layers.has(undefined)
    ? undefined
    : [`${name}/${layer}`, role];
}

/** Keras 3's .weights.h5 have what is inside a layer (a cell, a wrapped layer) beside it: layers/gru/cell. */
function withinLayer(name: string, local: string): [layer: string, rest: string] {
  const [, layer, inside] = /^(.*layers\/[^/]+)\/(?!.*layers\/)(.+)$/.exec(name) ?? [];
  return layer === undefined ? [name, local] : [layer, `${inside}/${local}`];
}

/** The layer that a recurrent weight belongs to; undefined for another weight. */
function recurrentLayer(local: string): string | undefined {
  return /^(?:weight|bias)_[ih]h_l(\d+)|^[lr](\d+)_[ih]2h_/.exec(local)?.slice(1).find(Boolean);
}

/** What the tensors of an ONNX operator are named after: exporters keep PyTorch's names of them, not of modules. */
export function namedAfter({ tensors }: NamedTensors): string | undefined {
  const names = Object.values(tensors).map(({ name }) => name.slice(0, Math.max(0, name.lastIndexOf("."))));
  return names.every((name) => name === names[0]) && names[0] ? names[0] : undefined;
}

/** A name by which layers and modules find each other: separators alike, without wrappers' prefixes. */
export function keyOf(name: string): string {
  const parts = name.split(/[./]/).filter((part) => part !== "_orig_mod" && part !== "");
  while (parts.length > 1 && (parts[0] === "module" || parts[0] === "model")) parts.shift();
  return parts.join(".");
}

/** Names of a weight in files, by role; of ONNX's operators those of their inputs. */
const NAMES: Readonly<Record<string, readonly string[]>> = {
  kernel: ["kernel", "weight", "W", "weights", "w"],
  bias: ["bias", "biases", "b"],
  recurrent_kernel: ["recurrent_kernel", "U"],
  embeddings: ["embeddings", "embedding", "weight", "W"],
  depthwise_kernel: ["depthwise_kernel", "depthwise_weights", "kernel", "weight", "W"],
  pointwise_kernel: ["pointwise_kernel", "pointwise_weights"],
  alpha: ["alpha", "alphas", "weight", "slope", "gamma"],
  gamma: ["gamma", "weight", "scale", "Scale"],
  beta: ["beta", "bias", "offset", "B"],
  runningMean: ["moving_mean", "running_mean", "mean"],
  runningVariance: ["moving_variance", "running_var", "variance", "var"],
  u: ["vector_u", "sn_u", "u"],
  v: ["vector_v", "v"],
};

/** A module's tensor for a layer's weight. */
export function tensorOf(role: string, { type, tensors }: NamedTensors): Tensor | undefined {
  const named = (name: string) => (Object.hasOwn(tensors, name) ? tensors[name] : undefined);
  if (type === "Gemm" || type === "MatMul") return named({ kernel: "B", bias: "C" }[role] ?? "");
  const isConvolution = type !== undefined && /^Conv(Transpose)?$/.test(type);
  if (isConvolution && role === "bias" && named("B")) return named("B");
  const names = [role, ...(Object.hasOwn(NAMES, role) ? NAMES[role] : [theirs("keras", role)])];
  for (const name of names) if (named(name)) return named(name);
  // Keras 3 calls a weight so that its layer has not named
  const [only, ...others] = Object.keys(tensors);
  return others.length === 0 && /^variable(_\d+)?$/.test(only ?? "") ? tensors[only] : undefined;
}

/** A name as TensorFlow.js takes it: Keras 3 has any characters in its own. */
export function safeName(name: string): string {
  return name.replace(/[^-A-Za-z0-9._/]/g, "_").replace(/^(?![A-Za-z0-9])/, "layer");
}
