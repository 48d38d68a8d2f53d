/**
 * What Keras's files share: a model's layers from its JSON (keras/src/saving/serialization_lib.py, and `to_json` of Keras 1 and 2), the names of
 * variables that a file only numbers, and the tree of objects that Keras 3 and the `.keras` of Keras 2 save (keras/src/saving/saving_lib.py).
 */

import type { Framework } from "../../frameworks/conventions.js";
import type { Checkpoint, Module } from "../checkpoint.js";
import type { Hdf5Object } from "../encodings/hdf5/file.js";
import { isObject, type JSONObject, parseJSON } from "../encodings/json.js";
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

/** A configuration, as its text. */
export function parsedJson(text: string, what: string, fail: Fail): JSONObject {
  let value: unknown;
  try {
    value = parseJSON(text);
  } catch (error) {
    throw fail(`expected ${what} as JSON (${(error as Error).message.slice(0, 100)})`);
  }
  if (isObject(value)) return value;
  throw fail(`expected ${what} as a JSON object, got ${shortened(text)}`);
}

/** Whose conventions hold: Keras 1 and 2 have the same, and so has a file that names no version: Keras 1 wrote none at first. */
export function frameworkOf(version: string | undefined): Framework {
  return version !== undefined && Number.parseInt(version, 10) >= 3 ? "keras3" : "keras2";
}

/** The layers of a model; undefined where it is a class of its own, which its file tells nothing about. */
export function modelOf(topology: JSONObject, fail: Fail): Layer | undefined {
  const model = layerOf(topology, undefined, 0, fail);
  return model?.layers === undefined ? undefined : model;
}

function layerOf(
  serialized: JSONObject,
  parent: string | undefined,
  depth: number,
  fail: Fail,
): Layer | undefined {
  const { class_name: given, config, registered_name: registered } = serialized;
  if (typeof given !== "string") return undefined;
  if (depth > DEEPEST) throw fail(`expected at most ${DEEPEST} models in one another`);
  const className = given.replace(/^.*>/, "");
  const full = typeof registered === "string" && registered.includes(">") ? registered : given;
  const options = isObject(config) ? config : {};
  const name = [options.name, serialized.name, className].find((one) => typeof one === "string") as string;
  const path = parent === undefined ? "" : parent === "" ? name : `${parent}/${name}`;
  // a Sequential of Keras 1 and early 2 has its layers alone for a configuration
  const inside = Array.isArray(config) ? config : options.layers;
  const isModel = Array.isArray(inside) && inside.every((one) => isObject(one) && "class_name" in one);
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

const AFFINE = ({ scale, center }: JSONObject) => [
  ...(scale === false ? [] : ["gamma"]),
  ...(center === false ? [] : ["beta"]),
];

type Variables = (config: JSONObject) => readonly string[];

const batch: Variables = (config) => [
  ...AFFINE(config),
  "moving_mean",
  "moving_variance",
  ...(config.renorm === true ? ["moving_stddev", "renorm_mean", "renorm_stddev"] : []),
];

/** Names of the variables of normalizations by their configuration, in the order in which they are made. */
const VARIABLES = new Map<string, Variables>([
  ["BatchNormalization", batch],
  ["SyncBatchNormalization", batch],
  ["LayerNormalization", (config) => (config.rms_scaling === true ? ["gamma"] : AFFINE(config))],
  ["GroupNormalization", AFFINE],
  ["InstanceNormalization", AFFINE],
  ["RMSNormalization", () => ["scale"]],
  [
    "FilterResponseNormalization",
    ({ learned_epsilon }) => ["gamma", "beta", ...(learned_epsilon === true ? ["learned_epsilon"] : [])],
  ],
  ["Normalization", () => ["mean", "variance", "count"]],
  ["UnitNormalization", () => []],
]);

/** Those of what normalizes another layer's kernel. Some versions list that kernel with theirs, some with the layer's, some twice. */
const AROUND = new Map<string, { own: readonly string[]; order: readonly string[] }>([
  [
    "SpectralNormalization",
    { own: ["kernel", "vector_u"], order: ["layer/kernel", "layer/bias", "vector_u"] },
  ],
  [
    "Addons>SpectralNormalization",
    { own: ["kernel", "sn_u"], order: ["layer/kernel", "layer/bias", "sn_u"] },
  ],
  [
    "Addons>WeightNormalization",
    {
      own: ["g", "kernel", "initialized"],
      order: ["g", "kernel", "layer/kernel", "layer/bias", "initialized"],
    },
  ],
]);

const NORMALIZATIONS = new Map(
  [...VARIABLES.keys(), "SpectralNormalization"].map((type) => [snakeCase(type), type]),
);

/** Names of a normalization's own variables; undefined where the class is another. */
export function variablesOf({ type, config }: Pick<Layer, "type" | "config">): readonly string[] | undefined {
  return VARIABLES.get(type.replace(/^Addons>/, ""))?.(config);
}

/** What a number of variables is called: their names where they are known, or their numbers. */
function named(
  tensors: readonly Tensor[],
  layer: Pick<Layer, "type" | "config"> | undefined,
): [string, Tensor][] {
  let names = layer && (variablesOf(layer) ?? AROUND.get(layer.type)?.own);
  if (names?.length === tensors.length + 1) names = names.filter((name) => name !== "kernel");
  return tensors.map((tensor, i) => [names?.length === tensors.length ? names[i] : String(i), tensor]);
}

/** Children of wrappers in the order of their weights; others after them, by name. */
const CHILDREN =
  "forward_layer backward_layer layer cell query_dense key_dense value_dense output_dense".split(" ");

/** "dense_10" after "dense_9". */
const byNumber = new Intl.Collator("en", { numeric: true }).compare;

function childrenOf(contents: Contents, { members }: Hdf5Object): [string, Hdf5Object][] {
  const rank = (name: string) => {
    const place = CHILDREN.indexOf(name.replace(/^_/, ""));
    return place < 0 ? CHILDREN.length : place;
  };
  const children = [...members].filter(([name]) => name !== "vars");
  return contents.once(children).sort(([a], [b]) => rank(a) - rank(b) || byNumber(a, b));
}

/** What is no weight of the model: the first part of its path. */
const OTHERS = /^_?(optimizer|optimizer_weights|((compiled?_)?(metrics|loss))|loss_tracker)(\/|$)/;

/** Everything in a file: first what modules own, in their order, then the rest in the file's. */
export class Contents {
  readonly tensors = new Map<string, Tensor>();
  readonly others = new Map<string, Tensor>();
  readonly modules: Module[] = [];
  /** Datasets by their place; an object that links lead to twice has the first path. */
  private readonly paths = new Map<Hdf5Object, string>();
  private readonly taken = new Set<Hdf5Object>();
  private readonly entered = new Set<Hdf5Object>();

  constructor(
    root: Hdf5Object,
    readonly fail: Fail,
  ) {
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

  /** A variable that the file has a second time is no weight more. */
  copy({ name }: Tensor): void {
    this.others.set(name, this.tensors.get(name) as Tensor);
    this.tensors.delete(name);
  }

  /** Of a configuration's value: the layer that it is, if it is one. */
  layersIn(value: unknown): Layer[] {
    const layer = isObject(value) ? layerOf(value, "", 0, this.fail) : undefined;
    return layer === undefined ? [] : [layer];
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
  for (const { layer, group } of groupsOf(contents, saved, model.layers ?? [])) {
    if (layer.layers !== undefined) takeModel(contents, group, layer);
    else contents.module(layer, variablesIn(contents, group, layer));
  }
  const own = ownVariables(contents, object);
  if (own.length > 0) contents.module(model, named(own, undefined));
}

const NOTHING: Hdf5Object = { attributes: new Map(), members: new Map() };

/** For each of several layers the group of its variables, and that group's name. */
function groupsOf(
  contents: Contents,
  saved: Hdf5Object | undefined,
  layers: readonly Layer[],
): { layer: Layer; name: string; group: Hdf5Object }[] {
  const groups = groupsByClass(contents.once([...(saved?.members ?? [])]));
  const ofClass = new Map<string, number>();
  for (const { key } of layers) ofClass.set(key, (ofClass.get(key) ?? 0) + 1);
  const numbers = new Map<string, number>();
  return layers.map((layer) => {
    const { key } = layer;
    const number = numbers.get(key) ?? 0;
    numbers.set(key, number + 1);
    const found = groups.get(key) ?? [];
    // Keras 2.13 counts a layer with weights twice, so ranks count; where layers are left out, numbers do
    const all = found.length >= (ofClass.get(key) ?? 0);
    const numbered = all ? found[number] : found.find((one) => one.number === number);
    return { layer, name: numbered?.name ?? "", group: numbered?.group ?? NOTHING };
  });
}

interface Numbered {
  readonly number: number;
  readonly name: string;
  readonly group: Hdf5Object;
}

/** The numbered groups of each class, in the order of their numbers. */
function groupsByClass(saved: readonly [string, Hdf5Object][]): Map<string, Numbered[]> {
  const groups = new Map<string, Numbered[]>();
  const add = (key: string, numbered: Numbered) => {
    const others = groups.get(key);
    if (others) others.push(numbered);
    else groups.set(key, [numbered]);
  };
  for (const [name, group] of saved) {
    // a class may end in a number itself: "dense_1" is the second Dense, or the first Dense_1
    add(name, { number: 0, name, group });
    const [, key, number] = /^(.*)_(\d+)$/.exec(name) ?? [];
    if (key !== undefined) add(key, { number: Number(number), name, group });
  }
  for (const found of groups.values()) found.sort((a, b) => a.number - b.number);
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
function variablesIn(contents: Contents, object: Hdf5Object, layer: Layer | undefined): [string, Tensor][] {
  const mine = named(ownVariables(contents, object), layer);
  const inner: [string, Tensor][] = [];
  const add = (path: string, group: Hdf5Object, wrapped: Layer | undefined) => {
    for (const [key, tensor] of variablesIn(contents, group, wrapped)) inner.push([`${path}/${key}`, tensor]);
  };
  for (const [name, child] of childrenOf(contents, object)) {
    const wrapped = layer?.config[name];
    if (Array.isArray(wrapped)) {
      // cells in a cell, layers of a model that is wrapped
      const layers = wrapped.flatMap((one) => contents.layersIn(one));
      for (const found of groupsOf(contents, child, layers))
        add(`${name}/${found.name}`, found.group, found.layer);
    } else add(name, child, contents.layersIn(wrapped)[0]);
  }
  const around = layer && AROUND.get(layer.type);
  if (around === undefined) return [...mine, ...inner];
  const ofLayer =
    inner.length === 1 && layer?.type.endsWith("WeightNormalization") ? ["bias"] : ["kernel", "bias"];
  const all = [...mine, ...inner].map(([key, tensor]): [string, Tensor] => {
    const name = /^layer\/\d$/.test(key) ? ofLayer[Number(key.slice(6))] : undefined;
    return [name === undefined ? key : `layer/${name}`, tensor];
  });
  const twice = all.some(([key]) => key === "layer/kernel") && all.find(([key]) => key === "kernel");
  if (twice) contents.copy(twice[1]);
  return all
    .filter((one) => one !== twice)
    .sort(([a], [b]) => around.order.indexOf(a) - around.order.indexOf(b));
}

/**
 * Objects of a file that does not say what its layers are: each that has variables is a module, under the path of attributes that leads
 * to it. The class is told by the number that the file gives it ("batch_normalization_1") or by the layer's name, which Keras 3 writes too.
 */
function takeObjects(contents: Contents, object: Hdf5Object, path: string): void {
  const own = OTHERS.test(path) ? [] : ownVariables(contents, object);
  if (own.length > 0) {
    const key = path.slice(path.lastIndexOf("/") + 1);
    const given = object.members.get("vars")?.attributes.get("name");
    const known = [key, given].map((one) =>
      typeof one === "string" ? NORMALIZATIONS.get(one.replace(/_\d+$/, "")) : undefined,
    );
    const type = known.find((one) => one !== undefined) ?? key.replace(/_\d+$/, "");
    const layer = { path, type, config: typeof given === "string" ? { name: given } : {} };
    contents.module(layer, named(own, layer));
  }
  for (const [name, child] of childrenOf(contents, object))
    takeObjects(contents, child, path === "" ? name : `${path}/${name}`);
}
