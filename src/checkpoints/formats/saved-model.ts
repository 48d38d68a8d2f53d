/**
 * TensorFlow's SavedModel: a program in saved_model.pb (saved_model.proto), its variables in a checkpoint beside, and what Keras 2 says of
 * layers in keras_metadata.pb (TensorFlow 2.5 to 2.15) or in the program's objects (2.2 to 2.4). https://www.tensorflow.org/guide/saved_model
 * Where there is no such description, the batch normalizations are found in the graph. No function of it is run.
 */
import type { Architecture, Checkpoint, Format, Module } from "../checkpoint.js";
import { isObject, type JSONObject } from "../encodings/json.js";
import { integerIn, integersIn, textIn } from "../encodings/protobuf.js";
import { CheckpointError } from "../errors.js";
import type { Bytes, Files } from "../source.js";
import type { Tensor } from "../tensors.js";
import { MOST_LEVELS, messageIn, objectsIn, type ProgramObject } from "./tensorflow.js";
import { type Bundle, frameworkOf, keyOf, readBundle } from "./tensorflow-bundle.js";
import { graphsIn, normalizationsIn } from "./tensorflow-graph.js";

const NAME = "TensorFlow SavedModel";
const PREFIX = "variables/variables";

export const savedModel: Format = {
  name: NAME,
  matches: (head, files) => isSavedModel(head, files.bytes.byteLength),
  read,
};

/** How a field of a graph begins, its description (1) to its objects (7): they come in any order. */
const SUBMESSAGES = [1, 2, 3, 4, 5, 6, 7].map((field) => field * 8 + 2);

/** Schema version 1, then a graph: ONNX begins alike, with a version from 3 on, and a text. */
function isSavedModel(head: Uint8Array, byteLength: number): boolean {
  if (head[0] !== 0x08 || head[1] !== 1 || head[2] !== 0x12) return false;
  let length = 0;
  let at = 3;
  for (let scale = 1; scale < 2 ** 35; scale *= 128) {
    length += (head[at] & 0x7f) * scale;
    if (head[at++] < 0x80) break;
  }
  return SUBMESSAGES.includes(head[at]) && at + length <= byteLength;
}

async function read(files: Files): Promise<Checkpoint> {
  const { bytes, name: file } = files;
  const fail = (problem: string, remedy?: string) => new CheckpointError(file, NAME, problem, { remedy });
  const model = await messageIn(NAME, bytes);
  const graphs = await Promise.all(model.all(2).map((graph) => messageIn(NAME, graph.bytes)));
  if (graphs.length === 0) throw fail("expected a graph, there is none");
  const described = await Promise.all(
    graphs.map(async (graph) => {
      const info = graph.one(1);
      const message = info && (await messageIn(NAME, info.bytes));
      const tags = await Promise.all((message?.all(4) ?? []).map(textIn));
      return { graph, tags, version: await message?.text(5) };
    }),
  );
  // that for use, where training has one of its own
  const { graph, tags, version } = described.find((one) => one.tags.includes("serve")) ?? described[0];
  const signatures: string[] = [];
  for (const signature of graph.all(5))
    signatures.push(await (await messageIn(NAME, signature.bytes)).text(1));

  const objectGraph = graph.one(7);
  const objects = objectGraph ? await objectsIn(NAME, objectGraph.bytes) : [];
  const index = await files.beside(`${PREFIX}.index`);
  const hasVariables =
    objects.some(({ message }) => message.one(7)) || (objects.length === 0 && graph.one(3));
  if (index === undefined && hasVariables) {
    throw fail(
      "expected its variables in variables/variables.index beside it, there is no such file",
      "open the model's folder, or give all of its files",
    );
  }
  const bundle = index && (await readBundle(NAME, index, (shard) => files.beside(PREFIX + shard)));
  const variables = bundle ? await variablesOf(objects, bundle) : [];
  const metadata = await files.beside("keras_metadata.pb");
  const layers = metadata ? await metadataIn(metadata) : await metadataOf(objects);
  const common = {
    format: NAME,
    version: version || undefined,
    file,
    byteLength: bytes.byteLength + (bundle?.byteLength ?? 0) + (metadata?.byteLength ?? 0),
    metadata: { tags, signatures },
    tensors: bundle?.tensors ?? new Map<string, Tensor>(),
    others: bundle?.others ?? new Map<string, Tensor>(),
  };
  if (layers.size > 0) {
    const modules = kerasModules(objects, layers, variables);
    return { ...common, framework: "keras2", modules, architecture: architectureOf(layers.get(0)) };
  }
  const functions = objectGraph ? await capturesIn(objectGraph.bytes, variables) : new Map();
  const program = graph.one(2);
  const modules = program
    ? await normalizationsIn(
        NAME,
        await graphsIn(NAME, program.bytes),
        bytes.byteLength,
        (name) => (objects.length === 0 ? bundle?.tensors.get(name) : undefined),
        functions,
      )
    : [];
  // a library has its functions in any order
  const order = new Map([...common.tensors.values()].map((tensor, place) => [tensor, place]));
  const placeOf = ({ tensors }: Module) =>
    Math.min(...Object.values(tensors).map((tensor) => order.get(tensor) ?? order.size));
  modules.sort((a, b) => placeOf(a) - placeOf(b));
  const framework = (bundle && frameworkOf(bundle)) ?? (modules.length > 0 ? "keras2" : undefined);
  return { ...common, framework, modules };
}

/**
 * The variable that each object is, by number. The checkpoint numbers objects otherwise: they are the same that names lead to from the root
 * of both.
 */
async function variablesOf(
  objects: readonly ProgramObject[],
  bundle: Bundle,
): Promise<(Tensor | undefined)[]> {
  const variables: (Tensor | undefined)[] = [];
  if (objects.length === 0 || bundle.objects.length === 0) return variables;
  const pairs: [number, number][] = [[0, 0]];
  const [seen, seenStored] = [new Set([0]), new Set([0])];
  for (const [id, stored] of pairs) {
    const key = await keyOf(NAME, bundle.objects[stored]);
    if (key !== undefined) variables[id] = bundle.entries.get(key);
    const children = new Map(bundle.objects[stored].children.map((child) => [child.name, child.id]));
    for (const child of objects[id].children) {
      const other = children.get(child.name);
      if (other === undefined || seen.has(child.id) || seenStored.has(other)) continue;
      if (objects[child.id] === undefined || bundle.objects[other] === undefined) continue;
      seen.add(child.id);
      seenStored.add(other);
      pairs.push([child.id, other]);
    }
  }
  return variables;
}

/** By name of a function: the variables that it captured. */
async function capturesIn(
  objectGraph: Bytes,
  variables: readonly (Tensor | undefined)[],
): Promise<Map<string, (Tensor | undefined)[]>> {
  const captures = new Map<string, (Tensor | undefined)[]>();
  for (const { bytes } of (await messageIn(NAME, objectGraph)).all(2)) {
    const entry = await messageIn(NAME, bytes);
    const value = entry.one(2);
    const bound = value ? await integersIn((await messageIn(NAME, value.bytes)).all(2)) : [];
    captures.set(
      await entry.text(1),
      bound.map((id) => variables[id]),
    );
  }
  return captures;
}

/** What Keras says of each layer, by the number of its object: class_name, name, config and more. */
async function metadataIn(file: Bytes): Promise<Map<number, JSONObject>> {
  const layers = new Map<number, JSONObject>();
  for (const { bytes } of (await messageIn(NAME, file)).all(1)) {
    const node = await messageIn(NAME, bytes);
    const id = node.one(2);
    addLayer(layers, id === undefined ? 0 : integerIn(id), await node.text(4), await node.text(5));
  }
  return layers;
}

async function metadataOf(objects: readonly ProgramObject[]): Promise<Map<number, JSONObject>> {
  const layers = new Map<number, JSONObject>();
  for (const [id, { message }] of objects.entries()) {
    const user = message.one(4);
    if (user === undefined) continue;
    const { text } = await messageIn(NAME, user.bytes);
    addLayer(layers, id, await text(1), await text(3));
  }
  return layers;
}

/** Layers and models; metrics and the like are passed over, and so is what is no JSON. */
function addLayer(layers: Map<number, JSONObject>, id: number, identifier: string, json: string): void {
  if (!/^_tf_keras_/.test(identifier) || identifier === "_tf_keras_metric" || json === "") return;
  let metadata: unknown;
  try {
    metadata = JSON.parse(json, plain);
  } catch {
    return;
  }
  if (isObject(metadata)) layers.set(id, metadata);
}

/** Keras marks tuples and shapes in its JSON; they are lists elsewhere. */
function plain(_key: string, value: unknown): unknown {
  const { class_name: type, items } = Object(value) as { class_name?: unknown; items?: unknown };
  return (type === "__tuple__" || type === "TensorShape") && Array.isArray(items) ? items : value;
}

/** Each layer once, under the names of the models and layers that hold it, in their order; 64 levels of them. */
function kerasModules(
  objects: readonly ProgramObject[],
  layers: ReadonlyMap<number, JSONObject>,
  variables: readonly (Tensor | undefined)[],
): Module[] {
  /** Layers directly in each, found breadth first: a layer belongs where the shortest way leads. */
  const held = new Map<number, number[]>();
  const seen = new Set([0]);
  const queue: { id: number; holder: number }[] = [{ id: 0, holder: 0 }];
  for (const { id, holder } of queue) {
    const isLayer = id !== 0 && layers.has(id);
    if (isLayer) {
      const inner = held.get(holder);
      if (inner) inner.push(id);
      else held.set(holder, [id]);
    }
    for (const child of objects[id]?.children ?? []) {
      if (seen.has(child.id) || objects[child.id] === undefined || child.name === "keras_api") continue;
      seen.add(child.id);
      queue.push({ id: child.id, holder: isLayer ? id : holder });
    }
  }
  const modules: Module[] = [];
  const rootIsLayer = (objects[0]?.children ?? []).some(({ id }) => variables[id] !== undefined);
  const waiting = rootIsLayer
    ? [{ id: 0, path: "", level: 0 }]
    : (held.get(0) ?? []).map((id) => ({ id, path: "", level: 0 })).reverse();
  for (let next = waiting.pop(); next; next = waiting.pop()) {
    const { id, path, level } = next;
    const { class_name: type, name, config, build_input_shape: shape } = layers.get(id) ?? {};
    const own = path + (typeof name === "string" ? name : id);
    // some layers have a variable under two names
    const tensors = new Map<Tensor, string>();
    for (const child of objects[id].children) {
      const tensor = variables[child.id];
      if (tensor && !tensors.has(tensor)) tensors.set(tensor, child.name);
    }
    modules.push({
      name: own,
      type: typeof type === "string" ? type : "",
      config: {
        ...(isObject(config) ? config : {}),
        ...(shape === undefined || shape === null ? {} : { build_input_shape: shape }),
      },
      tensors: Object.fromEntries([...tensors].map(([tensor, local]) => [local, tensor])),
    });
    if (level === MOST_LEVELS) continue;
    for (const inner of [...(held.get(id) ?? [])].reverse()) {
      waiting.push({ id: inner, path: `${own}/`, level: level + 1 });
    }
  }
  return modules;
}

/** Of a model that is made of its layers; one of a class of its own cannot be built again. */
function architectureOf(root: JSONObject | undefined): Architecture | undefined {
  const { class_name, config, keras_version: version } = root ?? {};
  if (typeof class_name !== "string" || !Array.isArray(Object(config).layers)) return undefined;
  return { topology: { class_name, config }, version: typeof version === "string" ? version : undefined };
}
