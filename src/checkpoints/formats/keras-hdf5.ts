/**
 * HDF5 files of Keras 1, 2 and 3: a whole model (keras/src/legacy/saving/legacy_h5_format.py), its weights alone, and `.weights.h5`, which
 * is a tree of objects (see keras.ts). HDF5 of others opens too, as tensors by their paths.
 *
 * The weights of a model within a model lie in one group: first all trainable ones of its layers, then the others, so a frozen layer changes
 * their order (keras#6607, #10777). They are told apart by their names, never by their order; what no name tells stays the inner model's.
 *
 * `running_std` of Keras 1 is the running variance, in spite of its name (keras#3484), from 1.0.7 on. Before, with Theano, it was the square root of
 * variance + epsilon, to which epsilon was added once more (keras#2138). Files of weights alone do not say which; whole models began with 1.0.7.
 */

import type { Format } from "../checkpoint.js";
import type { AttributeValue } from "../encodings/hdf5/attributes.js";
import { type Hdf5Object, isHdf5, openHdf5 } from "../encodings/hdf5/file.js";
import { isObject } from "../encodings/json.js";
import { CheckpointError } from "../errors.js";
import type { Tensor } from "../tensors.js";
import {
  Contents,
  frameworkOf,
  type Layer,
  leavesOf,
  modelOf,
  parsedJson,
  takeSaved,
  variablesOf,
} from "./keras.js";

const NAME = "Keras (HDF5)";

type Weight = readonly [name: string, tensor: Tensor];

export const kerasHdf5: Format = {
  name: NAME,

  matches: (head) => isHdf5(head),

  async read(files) {
    const root = await openHdf5(NAME, files.bytes);
    const fail = (problem: string, remedy?: string) =>
      new CheckpointError(files.name, NAME, problem, { remedy });
    const weights = root.members.get("model_weights") ?? root;
    const text = (name: string) => textOf(root.attributes.get(name)) ?? textOf(weights.attributes.get(name));
    const json = (name: string) => {
      const value = text(name);
      return value === undefined ? undefined : parsedJson(value, name, fail);
    };
    const saved = json("model_config");
    const topology = saved && named(saved, listOf(weights, "layer_names") ?? []);
    const isSaved = ["vars", "layers", "_layer_checkpoint_dependencies"].some((name) =>
      root.members.has(name),
    );
    const isLegacy = topology !== undefined || weights !== root || listOf(root, "layer_names") !== undefined;
    const model = topology && modelOf(topology, fail);
    const contents = new Contents(root, fail);
    if (isLegacy) takeGroups(contents, weights, model);
    else if (isSaved) takeSaved(contents, root, model);
    // Keras 3 names each object that it saves, Keras 2 does not
    const isNamed = root.members.get("vars")?.attributes.has("name");
    const version = text("keras_version");
    return contents.checkpoint({
      format: isLegacy || isSaved ? NAME : "HDF5",
      framework: isLegacy || version !== undefined ? frameworkOf(version) : isNamed ? "keras3" : undefined,
      version,
      file: files.name,
      byteLength: files.bytes.byteLength,
      metadata: {
        backend: text("backend") ?? backendOf(contents, version),
        training: json("training_config"),
      },
      architecture: topology && { topology, version },
    });
  },
};

/** Keras 1 does not say what computed; TensorFlow numbers its variables' outputs, and Theano does not. */
function backendOf({ tensors }: Contents, version: string | undefined): string | undefined {
  if (!version?.startsWith("1.")) return undefined;
  return [...tensors.keys()].some((name) => name.endsWith(":0")) ? "tensorflow" : "theano";
}

/**
 * Keras 1 does not name a Sequential in a Sequential: its name is that of its group. (Of merged models at the head the groups are their layers'.)
 */
function named(
  sequential: Readonly<Record<string, unknown>>,
  groups: readonly string[],
): Readonly<Record<string, unknown>> {
  const { config: layers } = sequential;
  if (!Array.isArray(layers)) return sequential;
  const config = layers.map((layer: unknown, i) => {
    if (!isObject(layer) || !Array.isArray(layer.config)) return layer;
    return { ...layer, name: layer.name ?? groups[groups.length - layers.length + i] };
  });
  return { ...sequential, config };
}

const textOf = (value: AttributeValue) => (typeof value === "string" ? value : undefined);

/** A list of texts, which Keras cuts into `name0`, `name1`, ... where it is long. */
function listOf({ attributes }: Hdf5Object, name: string): string[] | undefined {
  const texts = (value: AttributeValue) =>
    (Array.isArray(value) ? value : [value]).filter((one): one is string => typeof one === "string");
  if (attributes.has(name)) return texts(attributes.get(name));
  const parts: string[] = [];
  let number = 0;
  for (; attributes.has(`${name}${number}`); number++)
    parts.push(...texts(attributes.get(`${name}${number}`)));
  return number === 0 ? undefined : parts;
}

/** Of a layer's group, in the order that it lists; all that there is where it lists none. */
function weightsIn(contents: Contents, group: Hdf5Object | undefined): Weight[] {
  if (group === undefined || contents.once([["", group]]).length === 0) return [];
  const names = listOf(group, "weight_names");
  const found = names?.map((name) => [name, at(group, name)] as const) ?? datasetsIn(contents, group, "");
  return found.flatMap(([name, object]) => {
    const tensor = contents.take(object);
    return tensor === undefined ? [] : [[name, tensor] as const];
  });
}

const at = (group: Hdf5Object, path: string): Hdf5Object | undefined =>
  path.split("/").reduce<Hdf5Object | undefined>((found, name) => found?.members.get(name), group);

function datasetsIn(contents: Contents, group: Hdf5Object, path: string): (readonly [string, Hdf5Object])[] {
  return contents.once([...group.members]).flatMap(([name, member]) => {
    const full = path === "" ? name : `${path}/${name}`;
    return member.dataset === undefined ? datasetsIn(contents, member, full) : [[full, member] as const];
  });
}

/** A group for each layer of the model, by its name. */
function takeGroups(contents: Contents, weights: Hdf5Object, model: Layer | undefined): void {
  const groupOf = (name: string) => weights.members.get(name) ?? at(weights, name);
  const take = (layer: Layer): void => {
    const group = groupOf(layer.name);
    const found = weightsIn(contents, group);
    if (layer.layers === undefined) takeLayer(contents, layer, found);
    // Keras 1 saves layers of a model in a Sequential as this one's own
    else if (group === undefined) for (const inner of layer.layers) take(inner);
    else takeInner(contents, layer, found);
  };
  for (const layer of model?.layers ?? []) take(layer);
  // those of a model whose layers are not known, and of its own
  for (const name of listOf(weights, "layer_names") ?? [])
    takeBatchNormalizations(contents, name, weightsIn(contents, groupOf(name)));
  const own = weightsIn(contents, groupOf("top_level_model_weights"));
  if (model !== undefined && own.length > 0) takeLayer(contents, model, own);
}

/** In Keras 1's files of weights alone these are told by their names: "bn_running_std". */
function takeBatchNormalizations(contents: Contents, group: string, found: readonly Weight[]): void {
  const layers = new Map<string, [string, Tensor][]>();
  for (const [name, tensor] of found) {
    const [, layer, local] = /^(.+)_(gamma|beta|running_mean|running_std)(?::0)?$/.exec(name) ?? [];
    if (layer === undefined) continue;
    const own = layers.get(layer);
    if (own) own.push([local, tensor]);
    else layers.set(layer, [[local, tensor]]);
  }
  for (const [layer, own] of layers) {
    if (!own.some(([local]) => local === "running_std")) continue;
    const path = layer === group ? layer : `${group}/${layer}`;
    contents.module({ path, type: "BatchNormalization", config: {} }, own);
  }
}

function takeLayer(contents: Contents, layer: Layer, found: readonly Weight[]): void {
  const paths = found.map(([name]) => name.replace(/:\d+$/, "").split("/"));
  const shared = commonLength(paths);
  const names = paths.map(
    (path) => localName(path, layer.name) ?? nameInside(path, layer) ?? path.slice(shared).join("/"),
  );
  const local = new Set(names).size === names.length ? names : found.map(([name]) => name);
  const tensors = found.map(([, tensor], i) => [local[i], tensor] as const);
  const order = variablesOf(layer);
  if (order !== undefined && tensors.every(([name]) => order.includes(name))) {
    tensors.sort(([a], [b]) => order.indexOf(a) - order.indexOf(b));
  }
  contents.module(layer, tensors);
}

const unnumbered = (name: string) => name.replace(/_\d+$/, "");

/** What follows the layer's name; Keras 1 has "name_W", and early Keras 2 numbers it once more: "name_1/kernel". */
function localName(path: readonly string[], layer: string): string | undefined {
  const last = path.length - 1;
  let end = path.indexOf(layer);
  if (end < 0) end = path.findIndex((part) => unnumbered(part) === layer);
  if (end >= 0 && end < last) return path.slice(end + 1).join("/");
  return path[last].startsWith(`${layer}_`) ? path[last].slice(layer.length + 1) : undefined;
}

/** Keras 1 names what is in a wrapper after the layer inside: "forward_lstm_1_W" is "forward_layer/W", and "dense_1_W" in a TimeDistributed "W". */
function nameInside(path: readonly string[], { type, config }: Layer): string | undefined {
  const inner =
    isObject(config.layer) && isObject(config.layer.config) ? config.layer.config.name : undefined;
  if (typeof inner !== "string" || path.length > 1) return undefined;
  if (type !== "Bidirectional") return localName(path, inner);
  for (const direction of ["forward", "backward"]) {
    const local = localName(path, `${direction}_${inner}`);
    if (local !== undefined) return `${direction}_layer/${local}`;
  }
  return undefined;
}

/** With how many parts all begin; those of a layer that was renamed after it was built are of its former name. */
function commonLength(paths: readonly (readonly string[])[]): number {
  const [first = []] = paths;
  let length = 0;
  while (paths.every((path) => length < path.length - 1 && path[length] === first[length])) {
    if (++length >= first.length) break;
  }
  return length;
}

/** Parts of a variable's name in Keras 1, after the layer's: "name_running_mean". */
const MOST_CUTS = 4;

/** The weights of a model within the model, to its layers. */
function takeInner(contents: Contents, inner: Layer, found: readonly Weight[]): void {
  const leaves = leavesOf(inner);
  // layers by their names, with and without those of the models that hold them; none where several have one
  const byName = new Map<string, Layer | undefined>();
  for (const leaf of leaves) {
    const parts = leaf.path.split("/");
    for (let from = 0; from < parts.length; from++) {
      const name = parts.slice(from).join("/");
      byName.set(name, byName.has(name) ? undefined : leaf);
    }
  }
  const ownerOf = (parts: readonly string[]): Layer | undefined => {
    for (const named of [(part: string) => part, unnumbered]) {
      for (let end = 1; end < parts.length; end++) {
        const path = [...parts.slice(0, end - 1), named(parts[end - 1])];
        for (let from = 0; from < end; from++) {
          const leaf = byName.get(path.slice(from).join("/"));
          if (leaf !== undefined) return leaf;
        }
      }
    }
    // of Keras 1: "name_W"
    let name = parts[parts.length - 1];
    for (let cuts = 0; cuts < MOST_CUTS && name.includes("_"); cuts++) {
      name = name.slice(0, name.lastIndexOf("_"));
      const leaf = byName.get(name);
      if (leaf !== undefined) return leaf;
    }
    return undefined;
  };
  const owned = new Map<Layer, Weight[]>([...leaves, inner].map((layer) => [layer, []]));
  for (const weight of found) {
    const owner = ownerOf(weight[0].replace(/:\d+$/, "").split("/")) ?? inner;
    owned.get(owner)?.push(weight);
  }
  for (const [layer, weights] of owned) {
    if (layer !== inner || weights.length > 0) takeLayer(contents, layer, weights);
  }
}
