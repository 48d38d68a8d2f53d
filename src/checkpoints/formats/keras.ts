/**
 * What Keras's files share: a model's layers from its JSON (keras/src/saving/serialization_lib.py, and `to_json` of Keras 1 and 2), the names of
 * variables that a file only numbers, and the tree of objects that Keras 3 and the `.keras` of Keras 2 save (keras/src/saving/saving_lib.py).
 */

import type { Framework } from "../../frameworks/conventions.js";
import type { Checkpoint, Module } from "../checkpoint.js";
import type { Hdf5Object } from "../encodings/hdf5.js";
import { shortened, type Tensor } from "../tensors.js";

/** A layer, or a model with layers of its own. */
export interface Layer {
  /** Names from the model down to it, with "/" between them; "" of the model itself. */
  readonly path: string;
  readonly name: string;
  /** Without the package of Keras's own; of others as it is: "Addons>GroupNormalization". */
  readonly type: string;
  readonly config: Readonly<Record<string, unknown>>;
  /** Its class as archives number it: "conv2d", of which the second is "conv2d_1". */
  readonly key: string;
  /** Of a model. */
  readonly layers?: readonly Layer[];
}

/** Models within models. */
const DEEPEST = 32;

type Fail = (problem: string, remedy?: string) => Error;

type Json = Readonly<Record<string, unknown>>;

export const isRecord = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** JSON as Python writes it: NaN and Infinity may stand in it, which become null and 1e999. */
export function parsedJson(text: string, what: string, fail: Fail): Json {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    try {
      value = JSON.parse(withoutPythonNumbers(text));
    } catch (error) {
      throw fail(`expected ${what} as JSON (${(error as Error).message.slice(0, 100)})`);
    }
  }
  if (isRecord(value)) return value;
  throw fail(`expected ${what} as a JSON object, got ${shortened(text)}`);
}

function withoutPythonNumbers(text: string): string {
  const parts: string[] = [];
  let from = 0;
  let inText = false;
  for (let at = 0; at < text.length; at++) {
    if (text[at] === "\\") at++;
    else if (text[at] === '"') inText = !inText;
    else if (!inText && (text.startsWith("NaN", at) || text.startsWith("Infinity", at))) {
      parts.push(text.slice(from, at), text[at] === "N" ? "null" : "1e999");
      from = at + (text[at] === "N" ? 3 : 8);
      at = from - 1;
    }
  }
  return parts.join("") + text.slice(from);
}

/** Whose conventions hold: Keras 1 and 2 have the same, and so has a file that names no version: Keras 1 wrote none at first. */
export function frameworkOf(version: string | undefined): Framework {
  return version !== undefined && Number.parseInt(version, 10) >= 3 ? "keras3" : "keras2";
}

/** The layers of a model; undefined where it is a class of its own, which its file tells nothing about. */
export function modelOf(topology: Json, fail: Fail): Layer | undefined {
  const model = layerOf(topology, undefined, 0, fail);
  return model?.layers === undefined ? undefined : model;
}

function layerOf(serialized: Json, parent: string | undefined, depth: number, fail: Fail): Layer | undefined {
  const { class_name: given, config, registered_name: registered } = serialized;
  if (typeof given !== "string") return undefined;
  if (depth > DEEPEST) throw fail(`expected at most ${DEEPEST} models in one another`);
  const className = given.replace(/^.*>/, "");
  const full = typeof registered === "string" && registered.includes(">") ? registered : given;
  const options = isRecord(config) ? config : {};
  const named = [options.name, serialized.name].find((one) => typeof one === "string") as string | undefined;
  const name = named ?? className;
  const path = parent === undefined ? "" : parent === "" ? name : `${parent}/${name}`;
  // a Sequential of Keras 1 and early 2 has its layers alone for a configuration
  const inside = Array.isArray(config) ? config : options.layers;
  const isModel = Array.isArray(inside) && inside.every((one) => isRecord(one) && "class_name" in one);
  const layers = isModel
    ? inside.map((one) => layerOf(one, path, depth + 1, fail)).filter((one) => one !== undefined)
    : undefined;
  // operations of Keras 3 stand among the layers, and are none: archives do not number them
  const isOperation =
    typeof serialized.module === "string" && /^keras(\.src)?\.ops\b/.test(serialized.module);
  const key = isOperation ? "" : snakeCase(className);
  return { path, name, type: full.replace(/^keras[\w.]*>/, ""), config: options, key, layers };
}

/** As keras.src.utils.naming.to_snake_case; Keras 2 writes "private" before an underscore. */
function snakeCase(name: string): string {
  return name
    .replace(/\W+/g, "")
    .replace(/(.)([A-Z][a-z]+)/g, "$1_$2")
    .replace(/([a-z])([A-Z])/g, "$1_$2")
    .toLowerCase();
}

/** All layers that are no models, in the model's order. */
export function leavesOf({ layers = [] }: Layer): Layer[] {
  return layers.flatMap((layer) => (layer.layers === undefined ? [layer] : leavesOf(layer)));
}

const AFFINE = ({ scale, center }: Json) => [
  ...(scale === false ? [] : ["gamma"]),
  ...(center === false ? [] : ["beta"]),
];

/** Names of the variables of normalizations by their configuration, in the order in which they are made. */
const VARIABLES = new Map<string, (config: Json) => readonly string[]>([
  [
    "BatchNormalization",
    (config) => [
      ...AFFINE(config),
      "moving_mean",
      "moving_variance",
      ...(config.renorm === true ? ["moving_stddev", "renorm_mean", "renorm_stddev"] : []),
    ],
  ],
  ["LayerNormalization", (config) => (config.rms_scaling === true ? ["gamma"] : AFFINE(config))],
  ["GroupNormalization", AFFINE],
  ["InstanceNormalization", AFFINE],
  ["RMSNormalization", () => ["scale"]],
  [
    "FilterResponseNormalization",
    ({ learned_epsilon }) => ["gamma", "beta", ...(learned_epsilon === true ? ["learned_epsilon"] : [])],
  ],
  ["Normalization", () => ["mean", "variance", "count"]],
  ["SpectralNormalization", () => ["kernel", "vector_u"]],
  ["UnitNormalization", () => []],
]);
VARIABLES.set("SyncBatchNormalization", VARIABLES.get("BatchNormalization") as () => string[]);

const NORMALIZATIONS = new Map([...VARIABLES.keys()].map((type) => [snakeCase(type), type]));

/** Names of a normalization's variables; undefined where the class is another, or the file has another number of them. */
export function variablesOf(type: string, config: Json, count?: number): readonly string[] | undefined {
  const names = VARIABLES.get(type.replace(/^.*>/, ""))?.(config);
  return count === undefined || names?.length === count ? names : undefined;
}

/** Children of wrappers in the order of their weights; others after them, by name. */
const CHILDREN = ["forward_layer", "backward_layer", "layer", "cell", "cells"].concat(
  ["query", "key", "value", "output"].map((name) => `_${name}_dense`),
);

/** "dense_10" after "dense_9". */
const byNumber = new Intl.Collator("en", { numeric: true }).compare;

function childrenOf(contents: Contents, { members }: Hdf5Object): [string, Hdf5Object][] {
  const rank = (name: string) => (CHILDREN.includes(name) ? CHILDREN.indexOf(name) : CHILDREN.length);
  const children = [...members].filter(([name]) => name !== "vars");
  return contents.once(children).sort(([a], [b]) => rank(a) - rank(b) || byNumber(a, b));
}

/** What is no weight of the model: the first part of its path. */
const OTHERS = /^_?(optimizer|metrics|loss|compile|train)/;

/** Everything in a file: first what modules own, in their order, then the rest in the file's. */
export class Contents {
  readonly tensors = new Map<string, Tensor>();
  readonly others = new Map<string, Tensor>();
  readonly modules: Module[] = [];
  /** Datasets by their place; an object that links lead to twice has the first path. */
  private readonly paths = new Map<Hdf5Object, string>();
  private readonly taken = new Set<Hdf5Object>();
  private readonly entered = new Set<Hdf5Object>();

  constructor(root: Hdf5Object) {
    this.walk(root, "");
  }

  private walk(object: Hdf5Object, path: string): void {
    if (this.paths.has(object)) return;
    this.paths.set(object, path);
    for (const [name, member] of [...object.members].sort(([a], [b]) => byNumber(a, b))) {
      this.walk(member, path === "" ? name : `${path}/${name}`);
    }
  }

  /** Members that nothing has entered yet: links may lead to one from many places. */
  once(members: readonly [string, Hdf5Object][]): [string, Hdf5Object][] {
    return members.filter(([, member]) => !this.entered.has(member) && this.entered.add(member));
  }

  /** The tensor of a dataset, which belongs to one module alone; undefined where it has been taken. */
  take(object: Hdf5Object | undefined, others = false): Tensor | undefined {
    if (object?.dataset === undefined || this.taken.has(object)) return undefined;
    this.taken.add(object);
    const path = this.paths.get(object) as string;
    // bytes of bfloat16 lie as opaque ones, and Keras says so beside them
    const dtype = object.attributes.get("dtype") === "bfloat16" ? "bfloat16" : undefined;
    const tensor = object.dataset.tensor(path, dtype);
    (others ? this.others : this.tensors).set(path, tensor);
    return tensor;
  }

  module(
    layer: Pick<Layer, "path" | "type" | "config">,
    tensors: readonly (readonly [string, Tensor])[],
  ): void {
    const { path, type, config } = layer;
    this.modules.push({ name: path, type, config, tensors: Object.fromEntries(tensors) });
  }

  /** With all that no module has. */
  checkpoint(known: Omit<Checkpoint, "tensors" | "others" | "modules">): Checkpoint {
    for (const [object, path] of this.paths) this.take(object, OTHERS.test(path));
    const { tensors, others, modules } = this;
    return { ...known, tensors, others, modules };
  }
}

/**
 * Takes the variables of a tree of saved objects: those of a layer lie in `vars` under their numbers, its children beside. A model's layers
 * are numbered by class in its order, whatever their names are.
 */
export function takeSaved(contents: Contents, root: Hdf5Object, model: Layer | undefined): void {
  if (model === undefined) takeObjects(contents, root, "");
  else takeModel(contents, root, model);
}

function takeModel(contents: Contents, object: Hdf5Object, model: Layer): void {
  const saved = object.members.get("layers") ?? object.members.get("_layer_checkpoint_dependencies");
  const groups = groupsByClass(contents.once([...(saved?.members ?? [])]));
  const layers = model.layers ?? [];
  const counts = new Map<string, number>();
  for (const layer of layers) {
    const number = counts.get(layer.key) ?? 0;
    counts.set(layer.key, number + 1);
    // without gaps a group's number is the layer's; with gaps (Keras 2.13, and where layers without variables are left out) its rank is
    const found = groups.get(layer.key) ?? [];
    const group = (found.find(([index]) => index === number) ?? found[number])?.[1];
    if (layer.layers !== undefined) takeModel(contents, group ?? NOTHING, layer);
    else
      contents.module(
        layer,
        group === undefined ? [] : variablesIn(contents, group, layer.type, layer.config),
      );
  }
  const own = ownVariables(contents, object);
  if (own.length > 0)
    contents.module(
      model,
      own.map((tensor, i) => [String(i), tensor]),
    );
}

const NOTHING: Hdf5Object = { attributes: new Map(), members: new Map() };

/** The numbered groups of each class, in the order of their numbers. */
function groupsByClass(saved: readonly [string, Hdf5Object][]): Map<string, [number, Hdf5Object][]> {
  const groups = new Map<string, [number, Hdf5Object][]>();
  for (const [name, group] of saved) {
    // a class may end in a number itself, so both readings are kept: "dense_1" is the second Dense, or the first Dense_1
    const numbered = /^(.*)_(\d+)$/.exec(name);
    for (const [key, number] of numbered
      ? ([
          [name, 0],
          [numbered[1], Number(numbered[2])],
        ] as const)
      : ([[name, 0]] as const)) {
      const others = groups.get(key) ?? [];
      others.push([number, group]);
      groups.set(key, others);
    }
  }
  for (const found of groups.values()) found.sort(([a], [b]) => a - b);
  return groups;
}

function ownVariables(contents: Contents, object: Hdf5Object): Tensor[] {
  const vars = object.members.get("vars");
  const variables =
    vars === undefined ? [] : contents.once([["vars", vars]]).flatMap(([, { members }]) => [...members]);
  return variables
    .sort(([a], [b]) => byNumber(a, b))
    .map(([, variable]) => contents.take(variable))
    .filter((tensor) => tensor !== undefined);
}

/** Those of a layer and of what it wraps: "0", "gamma", "forward_layer/cell/0". */
function variablesIn(contents: Contents, object: Hdf5Object, type: string, config: Json): [string, Tensor][] {
  const own = ownVariables(contents, object);
  const names =
    variablesOf(type, config, own.length) ??
    (type === "SpectralNormalization" && own.length === 1 ? ["vector_u"] : undefined);
  const mine = own.map((tensor, i): [string, Tensor] => [names?.[i] ?? String(i), tensor]);
  const inner: [string, Tensor][] = [];
  for (const [name, child] of childrenOf(contents, object)) {
    const wrapped = isRecord(config[name]) ? config[name] : {};
    const innerType = typeof wrapped.class_name === "string" ? wrapped.class_name : "";
    const found = variablesIn(contents, child, innerType, isRecord(wrapped.config) ? wrapped.config : {});
    for (const [key, tensor] of found) inner.push([`${name}/${key}`, tensor]);
  }
  if (type !== "SpectralNormalization") return [...mine, ...inner];
  // the wrapper lists the kernel of its layer once more
  const known = new Map([
    ["layer/0", "layer/kernel"],
    ["layer/1", "layer/bias"],
  ]);
  const renamed = inner.map(([key, tensor]): [string, Tensor] => [known.get(key) ?? key, tensor]);
  return [...renamed, ...mine.filter(([key]) => key !== "kernel" || renamed.length === 0)];
}

/**
 * Objects of a file that does not say what its layers are: each that has variables is a module, under the path of attributes that leads
 * to it. The class is told by the number that the file gives it ("batch_normalization_1") or by the layer's name.
 */
function takeObjects(contents: Contents, object: Hdf5Object, path: string): void {
  const own = OTHERS.test(path) ? [] : ownVariables(contents, object);
  if (own.length > 0) {
    const key = path.slice(path.lastIndexOf("/") + 1);
    const given = object.members.get("vars")?.attributes.get("name");
    const named = [key, given].map((one) =>
      typeof one === "string" ? NORMALIZATIONS.get(one.replace(/_\d+$/, "")) : undefined,
    );
    const type = named.find((one) => one !== undefined) ?? key.replace(/_\d+$/, "");
    const names = variablesOf(type, {}, own.length);
    contents.module(
      { path, type, config: {} },
      own.map((tensor, i) => [names?.[i] ?? String(i), tensor]),
    );
  }
  for (const [name, child] of childrenOf(contents, object))
    takeObjects(contents, child, path === "" ? name : `${path}/${name}`);
}
