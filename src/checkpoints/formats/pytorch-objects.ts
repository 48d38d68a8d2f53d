/**
 * What the objects of a pickle are to PyTorch and fastai: modules, state dicts, optimizers, options. An object is read as data, of whatever
 * class: a module by its `_modules`, `_parameters` and `_buffers` (torch/nn/modules/module.py), a Learner of fastai by its `model`.
 *
 * Of a dict with one model among other things (`state_dict`, `model`, ...) the names are those within the model; the optimizer's
 * tensors, and those of moving averages, are the checkpoint's `others`. Modules are walked under each of their paths, as `state_dict()`
 * does; of all else each object once, under its first path.
 */
import type { Checkpoint, Module } from "../checkpoint.js";
import {
  entriesOf,
  isBytes,
  kindOf,
  PickleGlobal,
  PickleRecord,
  type PickleValue,
} from "../encodings/pickle.js";
import { CheckpointError } from "../errors.js";
import type { Tensor } from "../tensors.js";
import { numberIn } from "./pickled-numpy.js";
import type { Contents } from "./pytorch-containers.js";
import { isTensor, tensorIn } from "./pytorch-tensors.js";
import { isScripted } from "./torchscript.js";

/** Keys under which a checkpoint has its model. */
const MODEL =
  /^(model|net|network|module|weights|params|state_dict|(model|net|network)_(state|state_dict|weights))$/i;
const OPTIMIZER = /^(opt|optim)(s|_|$)|optimi[sz]er/i;
const LOSS = /(^|_)(loss|criterion|metric)/i;
const AVERAGE = /(^|_)(ema|swa)(_|$)|shadow|moving_?average/i;

/** Values that tell a state dict. */
const MOST_LOOKED = 32;
/** Characters of all names, and values of all options together: modules that stand in many places count in each. */
const MOST_NAMED = 2 ** 25;
/** A tensor counts as so many. */
const TENSOR = 64;
/** What metadata holds at the most, and how deep; what is beyond is left out. */
const MOST_DESCRIBED = 100_000;
const MOST_DEPTH = 8;

/** The model in a pickle, and what is beside it. */
export async function found(
  contents: Contents,
): Promise<Pick<Checkpoint, "tensors" | "others" | "modules" | "metadata">> {
  const tensors = new Map<string, Tensor>();
  const others = new Map<string, Tensor>();
  const walk = new Walk(contents);
  // what is beside the model, whose modules are none of it
  const beside = new Walk(contents);
  const { value } = contents;
  const result = { tensors, others, modules: walk.modules };
  if (contents.constants)
    await new Walk(contents.constants).all(contents.constants.value, "CONSTANTS", others);
  if (value instanceof PickleRecord && /^fastai\b/.test(value.module)) {
    const model = value.attributes.get("model");
    if (isModule(model)) {
      await walk.module(model, "", tensors);
      return { ...result, metadata: walk.config(value) };
    }
  }
  const entries = Array.isArray(value) ? new Map(numbered(value)) : entriesOf(value);
  if (entries === undefined || isModule(value) || isTensor(value)) {
    await walk.all(value, isTensor(value) ? "tensor" : "", tensors);
    return { ...result, metadata: {} };
  }
  const models = [...entries]
    .filter(([, one]) => isModel(one))
    .map(([key, one]) => [keyText(key), one] as const);
  const main = models.filter(([name]) => MODEL.test(name));
  const model = main.length === 1 ? main[0][1] : undefined;
  const averaged = models.some(([name]) => !AVERAGE.test(name));
  const described: [string, unknown][] = [];
  const state = model ?? value;
  // versions of a state dict's modules, by their paths
  const versions = state instanceof PickleRecord ? state.attributes.get("_metadata") : undefined;
  if (versions !== undefined) described.push(["_metadata", await walk.plain(versions)]);
  for (const [key, one] of entries) {
    const name = keyText(key);
    if (one === model) {
      await walk.all(one, "", tensors);
      continue;
    }
    const nested = !isTensor(one);
    const aside =
      (nested && (OPTIMIZER.test(name) || entriesOf(one)?.has("param_groups"))) ||
      (nested && averaged && AVERAGE.test(name)) ||
      (model !== undefined && (!isModel(one) || LOSS.test(name)));
    if (aside) await beside.all(one, name, others);
    else await walk.all(one, name, tensors);
    const plain = isTensor(one) || isModule(one) ? undefined : await walk.plain(one);
    if (plain !== undefined) described.push([name, plain]);
  }
  return { ...result, metadata: Object.fromEntries(described) };
}

/** A module, or a state dict: among its first values is a tensor. */
function isModel(value: PickleValue): boolean {
  if (isModule(value)) return true;
  let looked = 0;
  for (const one of entriesOf(value)?.values() ?? []) {
    if (isTensor(one)) return true;
    if (++looked === MOST_LOOKED) break;
  }
  return false;
}

/** A pickled `torch.nn.Module`, or a module of TorchScript. */
function isModule(value: PickleValue | undefined): value is PickleRecord {
  if (!(value instanceof PickleRecord)) return false;
  if (isScripted(value)) return true;
  const { attributes } = value;
  return (
    entriesOf(attributes.get("_modules")) !== undefined &&
    entriesOf(attributes.get("_parameters")) !== undefined
  );
}

/** A walk through a pickle: without recursion, and bounded where references are shared. */
class Walk {
  readonly modules: Module[] = [];
  private readonly seen = new Set<PickleValue>();
  private named = 0;
  private described = 0;

  constructor(private readonly contents: Contents) {}

  private spend(count: number): void {
    this.named += count;
    if (this.named <= MOST_NAMED) return;
    const { file, format } = this.contents;
    throw new CheckpointError(
      file,
      format,
      `expected names and options of at most ${MOST_NAMED} characters in all, got more`,
    );
  }

  private tensor(record: PickleRecord, name: string): Promise<Tensor> {
    this.spend(name.length + TENSOR);
    return tensorIn(this.contents, record, name);
  }

  /** All tensors and modules that a value holds, in its order. */
  async all(root: PickleValue, path: string, into: Map<string, Tensor>): Promise<void> {
    const waiting: [PickleValue, string][] = [[root, path]];
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      const [value, name] = next;
      if (isTensor(value)) into.set(name, await this.tensor(value, name));
      else if (isModule(value)) await this.module(value, name, into);
      else if (typeof value === "object" && value !== null && !this.seen.has(value)) {
        this.seen.add(value);
        const parts = [...partsOf(value)];
        for (let i = parts.length - 1; i >= 0; i--) {
          const [key, part] = parts[i];
          if (typeof part === "object") waiting.push([part, joined(name, key)]);
        }
      }
    }
  }

  /** A module and those within it, parents first. */
  async module(root: PickleRecord, path: string, into: Map<string, Tensor>): Promise<void> {
    const within = new Set<PickleRecord>();
    const waiting: [PickleRecord, string, "enter" | "leave"][] = [[root, path, "enter"]];
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      const [module, name, step] = next;
      if (step === "leave") {
        within.delete(module);
        continue;
      }
      // a module that is within itself
      if (within.has(module)) continue;
      within.add(module);
      waiting.push([module, name, "leave"]);
      this.spend(name.length + TENSOR);
      const { attributes } = module;
      const parts = isScripted(module)
        ? [...attributes]
        : ["_parameters", "_buffers", "_modules"].flatMap((kind) => [
            ...(entriesOf(attributes.get(kind)) ?? []),
          ]);
      this.spend(parts.length + attributes.size);
      const tensors: [string, Tensor][] = [];
      const children: [PickleRecord, string, "enter"][] = [];
      for (const [key, value] of parts) {
        const local = keyText(key);
        if (isModule(value)) children.push([value, joined(name, local), "enter"]);
        else if (isTensor(value)) {
          const tensor = await this.tensor(value, joined(name, local));
          into.set(tensor.name, tensor);
          tensors.push([local, tensor]);
        }
      }
      // a network of one layer is called by its class
      if (name !== "" || tensors.length > 0) {
        const config = { ...(await this.contents.declared?.(module)), ...this.config(module) };
        this.modules.push({
          name: name || module.name,
          type: module.name,
          config,
          tensors: Object.fromEntries(tensors),
        });
      }
      for (let i = children.length - 1; i >= 0; i--) waiting.push(children[i]);
    }
  }

  /** Plain attributes: numbers, booleans, strings, null, and lists of these. */
  config(record: PickleRecord): Record<string, unknown> {
    const plain: [string, unknown][] = [];
    for (const [key, value] of record.attributes) {
      if (typeof key !== "string" || key.startsWith("_")) continue;
      if (isScalar(value)) plain.push([key, scalar(value)]);
      else if (Array.isArray(value)) {
        this.spend(value.length);
        if (value.every(isScalar)) plain.push([key, value.map(scalar)]);
      }
    }
    return Object.fromEntries(plain);
  }

  /** What of a value can be said in JSON; undefined for the rest. */
  async plain(value: PickleValue, depth = 0): Promise<unknown> {
    this.described++;
    if (this.described > MOST_DESCRIBED || depth > MOST_DEPTH) return undefined;
    if (isScalar(value)) return scalar(value);
    if (value instanceof PickleGlobal) return value.path;
    if (isBytes(value)) return undefined;
    if (value instanceof PickleRecord) {
      const record: PickleRecord = value;
      if (isTensor(value) || isModule(value)) return undefined;
      const said = (await numberIn(record)) ?? textOf(record);
      // texts of several parts are copies
      if (typeof said === "string") this.described += said.length >> 4;
      if (said !== undefined) return said;
    }
    const parts: [string, unknown][] = [];
    let count = 0;
    for (const [key, part] of partsOf(value)) {
      if (this.described > MOST_DESCRIBED) break;
      count++;
      const plain = await this.plain(part, depth + 1);
      if (plain !== undefined) parts.push([key, plain]);
    }
    if (count > 0 && parts.length === 0) return undefined;
    const listed = Array.isArray(value) || value instanceof Set;
    return listed ? parts.map(([, plain]) => plain) : Object.fromEntries(parts);
  }
}

function joined(path: string, key: string): string {
  return path === "" ? key : `${path}.${key}`;
}

/** A key of a dict in a path. */
function keyText(key: PickleValue): string {
  if (typeof key === "string") return key;
  if (key instanceof PickleGlobal) return key.path;
  if (Array.isArray(key)) return key.slice(0, 8).filter(isScalar).map(String).join(",");
  return isScalar(key) ? String(key) : kindOf(key);
}

function* numbered(list: Iterable<PickleValue>): Iterable<[string, PickleValue]> {
  let i = 0;
  for (const one of list) yield [String(i++), one];
}

/** What a container or an object holds: by its keys, attributes or indices. */
function* partsOf(value: PickleValue): Iterable<[string, PickleValue]> {
  if (Array.isArray(value) || value instanceof Set) yield* numbered(value);
  else if (value instanceof Map) for (const [key, one] of value) yield [keyText(key), one];
  else if (value instanceof PickleRecord) {
    yield* partsOf(value.attributes);
    if (value.entries) yield* partsOf(value.entries);
    // what the class of a dict was called with is in its entries
    else yield* numbered(value.args);
    if (value.items) yield* numbered(value.items);
  }
}

/** Paths and devices, and objects of which no more is known than the call that made them, as text. */
function textOf(record: PickleRecord): string | undefined {
  const { args, module, name, path, attributes, entries, items } = record;
  const texts = args
    .slice(0, 32)
    .filter(isScalar)
    .map((one) => String(one).slice(0, 256));
  if (module.startsWith("pathlib")) {
    const separator = name.includes("Windows") ? "\\" : "/";
    return texts.reduce(
      (path, part) => (path === "" || path.endsWith(separator) ? path : path + separator) + part,
      "",
    );
  }
  if (path === "torch.device") return texts.join(":");
  const bare = attributes.size === 0 && entries === undefined && items === undefined;
  return bare ? `${path}(${texts.join(", ")})` : undefined;
}

type Scalar = null | boolean | number | bigint | string;

function isScalar(value: PickleValue): value is Scalar {
  return value === null || typeof value !== "object";
}

const scalar = (value: Scalar) => (typeof value === "bigint" ? Number(value) : value);
