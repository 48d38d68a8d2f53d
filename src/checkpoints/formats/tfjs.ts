/**
 * TensorFlow.js: `model.json` with a network's topology and a manifest of its weights, or the manifest alone, as versions before 1.0
 * and face-api.js have it, and the files beside it that the weights lie in.
 * https://github.com/tensorflow/tfjs/blob/master/tfjs-core/src/io/types.ts (ModelJSON, WeightsManifestConfig)
 *
 * Layers-models have Keras's JSON, graph-models a GraphDef; either may be alone, without weights, or the weights without a topology. A
 * group of weights lies one after another in its files joined. Quantized weights give the values that TensorFlow.js makes of them.
 *
 * Refused: paths out of the folder, URLs; when they are read, texts, and weights in a file that is not there.
 */
import type { Checkpoint, Format, Module } from "../checkpoint.js";
import { isObject, type JSONObject, jsonIn } from "../encodings/json.js";
import { viewOf } from "../encodings/zip.js";
import { CheckpointError } from "../errors.js";
import type { Bytes, Files } from "../source.js";
import { dtypes, madeTensor, shortened, storedTensor, type Tensor, type Values } from "../tensors.js";
import { leavesOf, modelOf } from "./keras.js";

export const FORMAT = "TensorFlow.js";
const MOST_JSON = 2 ** 28;

export type Fail = (problem: string, remedy?: string) => CheckpointError;

export const tfjs: Format = {
  name: FORMAT,
  matches(head) {
    const text = new TextDecoder().decode(head);
    return (
      (/^\s*\{/.test(text) &&
        /"(modelTopology|weightsManifest)"\s*:|"format"\s*:\s*"(layers|graph)-model"/.test(text)) ||
      /^\s*\[\s*\{\s*"(paths|weights)"\s*:\s*\[/.test(text)
    );
  },
  async read(files) {
    const { document, fail } = await documentIn(files);
    const { modelTopology, weightsManifest, ...rest } = document;
    if (!modelTopology && !weightsManifest) throw fail('expected "modelTopology" or "weightsManifest"');
    const weights = await weightsOf(files, weightsManifest ?? [], fail);
    const known = {
      framework: "tensorflowjs" as const,
      file: files.name,
      byteLength: files.bytes.byteLength + weights.byteLength,
      metadata: Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== null)),
      tensors: weights.tensors,
      others: weights.others,
    };
    if (modelTopology === undefined || modelTopology === null) {
      return { ...known, format: `${FORMAT} weights`, modules: [] };
    }
    if (!isObject(modelTopology)) throw fail('expected "modelTopology" that is an object of JSON');
    if (Array.isArray(modelTopology.node)) {
      const modules = graphsIn(modelTopology).flatMap((nodes) => graphModules(nodes, weights.tensors));
      return { ...known, format: `${FORMAT} graph-model`, modules };
    }
    const { generatedBy } = rest;
    const version = /^TensorFlow\.js tfjs-layers v(\S+)$/.exec(String(generatedBy))?.[1];
    return {
      ...known,
      version,
      format: `${FORMAT} layers-model`,
      ...layersOf(modelTopology, weights.tensors, fail),
    };
  },
};

/** The JSON of a model, and what its faults are told by. */
export async function documentIn(files: Files): Promise<{ document: JSONObject; fail: Fail }> {
  const document = await jsonIn(FORMAT, files.bytes, "a model", { most: MOST_JSON, list: "weightsManifest" });
  const fail: Fail = (problem, remedy) => new CheckpointError(files.name, FORMAT, problem, { remedy });
  return { document, fail };
}

/** What the manifest lists: "float32" weights, the optimizer's apart. */
interface Weights {
  readonly tensors: ReadonlyMap<string, Tensor>;
  readonly others: ReadonlyMap<string, Tensor>;
  /** Of the files that they lie in. */
  readonly byteLength: number;
}

export async function weightsOf(files: Files, manifest: unknown, fail: Fail): Promise<Weights> {
  const tensors = new Map<string, Tensor>();
  const others = new Map<string, Tensor>();
  let byteLength = 0;
  if (!Array.isArray(manifest)) throw fail('expected "weightsManifest" that is a list of groups');
  for (const group of manifest) {
    const { paths, weights } = isObject(group) ? group : {};
    if (
      !Array.isArray(paths) ||
      !Array.isArray(weights) ||
      !paths.every((path) => typeof path === "string")
    ) {
      throw fail("expected paths and weights in each group of the weights manifest");
    }
    const shards = await shardsOf(files, paths as string[], fail);
    byteLength += shards.bytes.byteLength;
    let at = 0;
    for (const listed of weights) {
      const weight = weightIn(listed, fail);
      if (tensors.has(weight.name) || others.has(weight.name)) {
        throw fail(`expected each weight once, got "${shortened(weight.name)}" twice`);
      }
      const [tensor, next] = await tensorAt(shards, at, weight, fail);
      (weight.group === "optimizer" ? others : tensors).set(weight.name, tensor);
      at = next;
    }
  }
  return { tensors, others, byteLength };
}

/** A group's files as one, up to the first that is not there. */
interface Shards {
  readonly bytes: Bytes;
  readonly missing?: string;
}

async function shardsOf(files: Files, paths: readonly string[], fail: Fail): Promise<Shards> {
  const found: Bytes[] = [];
  let missing: string | undefined;
  // a file named over and over would hold more than its bytes
  const once = new Set(paths.map((path) => path.replace(/(^|\/)(\.\/)+/g, "$1")));
  if (once.size < paths.length) throw fail("expected each file of a group of weights once");
  for (const path of paths) {
    // each path is checked, though the files from a missing one on are of no use
    const bytes = await files.beside(path);
    if (bytes === undefined) missing ??= path;
    else if (missing === undefined) found.push(bytes);
  }
  return { bytes: joined(files.name, found), missing };
}

/** Files one after another. What lies within one of them is that one's part. */
function joined(file: string, parts: readonly Bytes[]): Bytes {
  if (parts.length === 1) return parts[0];
  const byteLength = parts.reduce((sum, part) => sum + part.byteLength, 0);
  const ranged = (from: number, to: number): Bytes => ({
    file,
    byteLength: to - from,
    async read(start = 0, end = to - from) {
      if (!(start >= 0 && start <= end && end <= to - from && from + end <= byteLength)) {
        throw new CheckpointError(file, FORMAT, `expected ${end - start} bytes of its weights, they end`);
      }
      const result = new Uint8Array(end - start);
      let before = 0;
      for (const part of parts) {
        const first = Math.max(0, from + start - before);
        const last = Math.min(part.byteLength, from + end - before);
        if (first < last) result.set(await part.read(first, last), before + first - from - start);
        before += part.byteLength;
      }
      return result;
    },
    part: (start, end) => within(from + start, from + end),
  });
  const within = (from: number, to: number): Bytes => {
    let before = 0;
    for (const part of parts) {
      if (from >= before && to <= before + part.byteLength) return part.part(from - before, to - before);
      before += part.byteLength;
    }
    return ranged(from, to);
  };
  return ranged(0, byteLength);
}

type Quantized = "uint8" | "uint16" | "float16";

interface Weight {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: string;
  readonly group?: unknown;
  readonly quantization?: { readonly dtype: Quantized; readonly scale: number; readonly min: number };
}

function weightIn(listed: unknown, fail: Fail): Weight {
  const { name, shape, dtype, group, quantization } = isObject(listed) ? listed : {};
  if (typeof name !== "string") throw fail("expected a name of each weight");
  const called = `weight "${shortened(name)}"`;
  if (!Array.isArray(shape) || !shape.every((length) => Number.isSafeInteger(length) && length >= 0)) {
    throw fail(
      `${called}: expected a shape of non-negative lengths, got ${JSON.stringify(shape)?.slice(0, 80)}`,
    );
  }
  if (typeof dtype !== "string" || !(dtype === "string" || Object.hasOwn(dtypes, dtype))) {
    throw fail(`${called}: expected a dtype such as float32, got ${JSON.stringify(dtype)?.slice(0, 80)}`);
  }
  const weight = { name, shape: shape as number[], dtype, group };
  if (quantization === undefined || quantization === null) return weight;
  const { dtype: stored, scale, min } = isObject(quantization) ? quantization : {};
  const halves = stored === "float16" && dtype === "float32";
  const affine =
    (stored === "uint8" || stored === "uint16") &&
    (dtype === "float32" || dtype === "int32") &&
    typeof scale === "number" &&
    typeof min === "number";
  if (!halves && !affine) {
    throw fail(
      `${called}: expected ${dtype} quantized to float16, or with scale and min to uint8 or uint16, got ` +
        `${JSON.stringify(quantization).slice(0, 80)}`,
    );
  }
  const used = affine ? { scale: scale as number, min: min as number } : { scale: 1, min: 0 };
  return { ...weight, quantization: { dtype: stored as Quantized, ...used } };
}

/** A weight at a byte of its group, and the byte after it. */
async function tensorAt(shards: Shards, at: number, weight: Weight, fail: Fail): Promise<[Tensor, number]> {
  const { name, shape, dtype, quantization } = weight;
  const { bytes, missing } = shards;
  const size = shape.reduce((product, length) => product * length, 1);
  const byteLength =
    dtype === "string"
      ? await lengthOfTexts(bytes, at, size)
      : size * dtypes[quantization?.dtype ?? dtype].bytes;
  if (missing !== undefined && !(at + byteLength <= bytes.byteLength)) {
    const read = async () => {
      throw fail(
        `weight "${shortened(name)}": expected the file "${shortened(missing)}" beside it, there is none`,
        "fetch it into the same folder, or give it in the list of files",
      );
    };
    const absent = {
      name,
      shape,
      dtype,
      at: { file: missing, byteLength: 0 },
      quantized: quantization?.dtype,
      read,
    };
    return [madeTensor(absent), at + byteLength];
  }
  const end = Math.min(at + byteLength, bytes.byteLength);
  const stored = storedTensor(FORMAT, {
    name,
    shape,
    dtype: quantization?.dtype ?? dtype,
    bytes: bytes.part(Math.min(at, end), end),
  });
  if (quantization === undefined) return [stored, at + byteLength];
  const read = async () => dequantized(await stored.read(), dtype, quantization);
  return [
    madeTensor({ name, shape, dtype, at: stored.at, quantized: quantization.dtype, read }),
    at + byteLength,
  ];
}

/** Lengths of texts are read from so many bytes at a time. */
const WINDOW = 2 ** 16;

/** Texts stand one after another, each after its length. */
async function lengthOfTexts(bytes: Bytes, start: number, count: number): Promise<number> {
  let at = start;
  let window: Uint8Array = new Uint8Array();
  let windowAt = start;
  for (let i = 0; i < count; i++) {
    if (!(at + 4 <= bytes.byteLength)) return Number.POSITIVE_INFINITY;
    if (at + 4 > windowAt + window.length) {
      window = await bytes.read(at, Math.min(at + WINDOW, bytes.byteLength));
      windowAt = at;
    }
    at += 4 + viewOf(window).getUint32(at - windowAt, true);
  }
  return at - start;
}

/** As tfjs-core's decodeWeight: in double precision, then rounded to the type. */
function dequantized(
  stored: Values,
  dtype: string,
  { dtype: quantized, scale, min }: NonNullable<Weight["quantization"]>,
): Values {
  if (quantized === "float16") return stored;
  const numbers = stored as Uint8Array | Uint16Array;
  return dtype === "int32"
    ? Int32Array.from(numbers, (value) => Math.round(value * scale + min))
    : Float32Array.from(numbers, (value) => value * scale + min);
}

/** Names of layers within one another in a weight's name. */
const MOST_PARTS = 16;

function layersOf(
  topology: JSONObject,
  tensors: ReadonlyMap<string, Tensor>,
  fail: Fail,
): Pick<Checkpoint, "modules" | "architecture"> {
  const { model_config, keras_version, ...bare } = topology;
  const { class_name, config } = isObject(model_config) ? model_config : bare;
  const network = { class_name, config };
  const version = typeof keras_version === "string" && /^\d/.test(keras_version) ? keras_version : undefined;
  const model = modelOf(network, fail);
  const leaves = model === undefined ? [] : leavesOf(model);
  // TensorFlow.js names weights by their layer alone, Keras by the models around it too
  const own = new Map<string, [string, Tensor][]>();
  for (const { name, path } of leaves) {
    const list: [string, Tensor][] = own.get(name) ?? [];
    own.set(path, list);
    if (!own.has(name)) own.set(name, list);
  }
  const place = (names: ReadonlyMap<string, [string, Tensor][]>, named: (part: string) => string) => {
    for (const [name, tensor] of unplaced) {
      const parts = name.split("/").map(named);
      const [list, key] = parts.length > MOST_PARTS ? [] : (placed(parts, names) ?? []);
      if (key === undefined) continue;
      list?.push([key, tensor]);
      unplaced.delete(name);
    }
  };
  const unplaced = new Map(tensors);
  place(own, (part) => part);
  // a session of Keras that loads a model twice numbers its weights anew, and not its layers (tfjs#755)
  const weightless = new Map([...own].filter(([, list]) => list.length === 0));
  place(weightless, (part) => part.replace(/_\d+$/, ""));
  const modules = leaves.map(({ path, type, config }): Module => {
    return { name: path, type, config, tensors: Object.fromEntries(own.get(path) ?? []) };
  });
  return { modules, architecture: { topology: network, version } };
}

/** The layer whose name or path a weight's name contains, the outermost and longest, and what is left of the name. */
function placed<T>(parts: readonly string[], layers: ReadonlyMap<string, T>): [T, string] | undefined {
  for (let from = 0; from < parts.length - 1; from++) {
    for (let to = parts.length - 1; to > from; to--) {
      const layer = layers.get(parts.slice(from, to).join("/"));
      if (layer !== undefined) return [layer, parts.slice(to).join("/")];
    }
  }
  return undefined;
}

const BATCH_NORMALIZATION = /^(FusedBatchNorm(V[23])?|_FusedBatchNormEx)$/;
/** Inputs after the first. */
const ROLES = ["scale", "offset", "mean", "variance"];
/** Nodes in a row that only hand on what they get. */
const MOST_STEPS = 64;

/** The nodes of a graph, and of each function that control flow calls. */
function graphsIn({ node, library }: JSONObject): (readonly unknown[])[] {
  const functions = isObject(library) && Array.isArray(library.function) ? library.function : [];
  return [node, ...functions.map((one) => (isObject(one) ? one.nodeDef : []))].filter(Array.isArray);
}

/** The batch normalizations of a graph; the converter folds the others into the convolutions before them. */
function graphModules(nodes: readonly unknown[], tensors: ReadonlyMap<string, Tensor>): Module[] {
  const byName = new Map<string, JSONObject>();
  for (const node of nodes) if (isObject(node) && typeof node.name === "string") byName.set(node.name, node);
  const inputsOf = ({ input }: JSONObject) =>
    Array.isArray(input) ? input.map((name) => String(name).replace(/:\d+$/, "")) : [];
  const weightOf = (input = ""): Tensor | undefined => {
    let name = input;
    for (let step = 0; step < MOST_STEPS; step++) {
      const tensor = tensors.get(name);
      if (tensor !== undefined) return tensor;
      const node = byName.get(name);
      if (node?.op !== "Identity") return undefined;
      [name = ""] = inputsOf(node);
    }
    return undefined;
  };
  return [...byName].flatMap(([name, node]): Module[] => {
    const { op, attr } = node;
    if (typeof op !== "string" || !BATCH_NORMALIZATION.test(op)) return [];
    const inputs = inputsOf(node);
    const own = ROLES.flatMap((role, i) => {
      const tensor = weightOf(inputs[i + 1]);
      return tensor === undefined ? [] : [[role, tensor] as const];
    });
    return [
      {
        // of net/norm/FusedBatchNormV3 the layer's own part
        name: name.replace(/\/[^/]*$/, ""),
        type: op,
        config: isObject(attr) ? attributesOf(attr) : {},
        tensors: Object.fromEntries(own),
      },
    ];
  });
}

/** Attributes of a node as their values: numbers, flags, and the layout, a text in base64. */
function attributesOf(attr: JSONObject): JSONObject {
  const values: [string, unknown][] = [];
  for (const name of ["epsilon", "exponential_avg_factor", "is_training", "data_format"]) {
    const given = Object.hasOwn(attr, name) ? attr[name] : undefined;
    const { f, b, s } = isObject(given) ? given : {};
    if (typeof f === "number") values.push([name, Math.fround(f)]);
    else if (typeof b === "boolean") values.push([name, b]);
    else if (s === "TkNIVw==") values.push([name, "NCHW"]);
    else if (s === "TkhXQw==") values.push([name, "NHWC"]);
  }
  return Object.fromEntries(values);
}
