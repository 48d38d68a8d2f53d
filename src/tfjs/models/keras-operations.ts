/**
 * Operations between the layers of a Keras model, read from its file. Keras 2 lists them as TFOpLambda and SlicingOpLambda, by the name of
 * TensorFlow's function and its arguments; Keras 3 as classes of `keras.ops`, with options in their configuration and the rest in their
 * call. (Its .h5 files leave out the module of a class: there an operation is what has no `trainable`.)
 */
import { camelCase } from "../../frameworks/names.js";
import { described } from "../../shape.js";
import { type Constant, isOperation, type Slice } from "../layers/keras-operations.js";
import type { Config } from "../types.js";
import { isSaved, own, type Reading, type Saved } from "./keras-options.js";

/** An output of a layer's call. */
export interface Reference {
  readonly layer: string;
  readonly call: number;
  readonly output: number;
}

/** Names of one operation, by ours. */
const ALIASES: Readonly<Record<string, string>> = {
  absolute: "abs",
  addN: "add",
  addV2: "add",
  amax: "max",
  amin: "min",
  biasAdd: "add",
  clipByValue: "clip",
  concat: "concatenate",
  div: "divide",
  floorDiv: "floorDivide",
  floordiv: "floorDivide",
  floormod: "mod",
  gather: "take",
  getitem: "getItem",
  mul: "multiply",
  neg: "negative",
  pow: "power",
  realdiv: "divide",
  reduceAll: "all",
  reduceAny: "any",
  reduceLogsumexp: "logsumexp",
  reduceMax: "max",
  reduceMean: "mean",
  reduceMin: "min",
  reduceProd: "prod",
  reduceStd: "std",
  reduceSum: "sum",
  reduceVariance: "var",
  reverse: "flip",
  slicingOpLambda: "getItem",
  stopGradient: "identity",
  sub: "subtract",
  swish: "silu",
  trueDivide: "divide",
  truediv: "divide",
};

/** Arguments by name that are operands, in their order. */
const OPERANDS = ["condition", "x", "x1", "y", "x2", "a", "b", "input", "value", "bias", "indices"];

/** Options that are understood with these values alone. */
const ONLY: Readonly<Record<string, readonly unknown[]>> = {
  antialias: [false],
  batch_dims: [0],
  conjugate: [false],
  crop_to_aspect_ratio: [false],
  data_format: [null, "channels_last", "NHWC"],
  exclusive: [false],
  initial: [null],
  interpolation: ["bilinear", "nearest"],
  method: ["bilinear", "nearest"],
  mode: ["constant", "CONSTANT"],
  off_value: [null, 0],
  on_value: [null, 1],
  order: [2],
  pad_to_aspect_ratio: [false],
  preserve_aspect_ratio: [false],
  reverse: [false],
  sparse: [false],
};

/** Names that say nothing here. */
const UNUSED = ["name", "module", "trainable", "function", "fill_mode", "fill_value"];

type Operand = Constant | { readonly from: Reference };

/** The operation that a layer of the file is; undefined for a layer. */
export function operationOf(
  saved: Saved,
  fail: Reading["fail"],
): { className: string; config: Config; calls: Reference[][] } | undefined {
  const className = String(own(saved, "class_name"));
  const config = own(saved, "config") as Saved;
  const isLambda = className === "TFOpLambda" || className === "SlicingOpLambda";
  const isOperator = /\.ops\./.test(String(own(saved, "module") ?? ""));
  const first = (name: string) => name.charAt(0).toLowerCase() + name.slice(1);
  const called = isLambda ? String(own(config, "function") ?? "") : className;
  const plain = isLambda ? camelCase(called.split(".").pop() as string) : first(className);
  const operation = Object.hasOwn(ALIASES, plain) ? ALIASES[plain] : plain;
  if (!isLambda && !isOperator && (own(config, "trainable") !== undefined || !isOperation(operation)))
    return undefined;
  const nodes = own(saved, "inbound_nodes");
  // a class of the file without calls: in a sequential model, which has layers alone
  if (!isLambda && !isOperator && (!Array.isArray(nodes) || nodes.length === 0)) return undefined;
  const refuse = (problem: string) =>
    fail(
      `it is the operation ${called}, ${problem}`,
      "make it a layer of your own in TensorFlow.js, build the model with it, and load its weights with loadInto(model, checkpoint)",
    );
  if (!isOperation(operation)) throw refuse("which is no layer, and which layersModelFrom does not have");
  if (!Array.isArray(nodes) || nodes.length !== 1) throw refuse("expected to be called once");
  const { positional, named } = argumentsOf(nodes[0]);
  const operands: Operand[] = [];
  const options: Record<string, unknown> = {};
  const add = (name: string, value: unknown) => {
    if (UNUSED.includes(name)) return;
    const allowed = Object.hasOwn(ONLY, name) ? ONLY[name] : undefined;
    if (allowed && !allowed.includes(value))
      throw refuse(`whose ${name} ${described(value)} is not supported`);
    if (isComputed(value)) throw refuse(`whose ${name} is computed by the model, which is not supported`);
    // (keepdims, keep_dims)
    options[name === "keep_dims" ? "keepdims" : camelCase(name)] = plainValue(value);
  };
  const [subject, ...others] = positional;
  if (operation === "getItem") {
    operands.push(...operandsIn(subject, refuse));
    const index = others.length > 0 ? others[0] : (named.get("slice_spec") ?? named.get("key"));
    if (isComputed(index)) throw refuse("whose index is computed by the model, which is not supported");
    options.slices = (Array.isArray(index) ? index : [index]).map((one) => sliceOf(one, refuse));
  } else {
    for (const one of positional) operands.push(...operandsIn(one, refuse));
    for (const name of OPERANDS) if (named.has(name)) operands.push(...operandsIn(named.get(name), refuse));
    for (const [name, value] of [...Object.entries(config), ...named]) {
      if (!OPERANDS.includes(name)) add(name, value);
    }
  }
  const inputs = operands.flatMap((one) => (isInput(one) ? [one.from] : []));
  if (inputs.length === 0) throw refuse("expected an input among its arguments");
  return {
    className: "KerasOperation",
    config: {
      name: String(own(saved, "name") ?? own(config, "name")),
      operation,
      operands: operands.map((one) => (isInput(one) ? null : one)),
      options,
    } as Config,
    calls: [inputs],
  };
}

const isInput = (operand: Operand): operand is { readonly from: Reference } =>
  typeof operand === "object" && "from" in operand;

/** Of a call, in either version's form. */
function argumentsOf(node: unknown): { positional: unknown[]; named: Map<string, unknown> } {
  if (isSaved(node)) {
    const [args, kwargs] = [own(node, "args"), own(node, "kwargs")];
    return {
      positional: Array.isArray(args) ? args : [],
      named: new Map(isSaved(kwargs) ? Object.entries(kwargs) : []),
    };
  }
  const list = Array.isArray(node) ? node : [];
  const entries = typeof list[0] === "string" ? [list] : list;
  const [first] = entries;
  const kwargs = Array.isArray(first) ? first[3] : undefined;
  return { positional: entries, named: new Map(isSaved(kwargs) ? Object.entries(kwargs) : []) };
}

/** The output of a layer that a value stands for. */
function referenceOf(value: unknown): Reference | undefined {
  const history = isSaved(value)
    ? value.class_name === "__keras_tensor__" && isSaved(value.config) && own(value.config, "keras_history")
    : value;
  if (!Array.isArray(history)) return undefined;
  const [layer, call, output] = history as unknown[];
  if (typeof layer !== "string" || layer === "_CONSTANT_VALUE") return undefined;
  if (!Number.isInteger(call) || !Number.isInteger(output)) return undefined;
  return { layer, call: call as number, output: output as number };
}

function isComputed(value: unknown, depth = 0): boolean {
  if (referenceOf(value)) return true;
  return depth < 4 && Array.isArray(value) && value.some((one) => isComputed(one, depth + 1));
}

function operandsIn(value: unknown, refuse: (problem: string) => Error): Operand[] {
  const from = referenceOf(value);
  if (from) return [{ from }];
  if (Array.isArray(value) && isComputed(value)) return value.flatMap((one) => operandsIn(one, refuse));
  const constant = plainValue(Array.isArray(value) && value[0] === "_CONSTANT_VALUE" ? value[2] : value);
  if (!isConstant(constant)) throw refuse(`whose argument ${described(constant)} is not supported`);
  return [constant];
}

function isConstant(value: unknown, depth = 0): value is Constant {
  if (typeof value === "number" || typeof value === "boolean") return true;
  return depth < 8 && Array.isArray(value) && value.every((one) => isConstant(one, depth + 1));
}

/** Without NumPy's and Python's wrapping. */
function plainValue(value: unknown): unknown {
  if (!isSaved(value)) return value;
  if (value.class_name === "__numpy__" || value.class_name === "__tensor__") {
    return isSaved(value.config) ? own(value.config, "value") : undefined;
  }
  return value.type === "ndarray" && "value" in value ? value.value : value;
}

function sliceOf(value: unknown, refuse: (problem: string) => Error): Slice {
  if (value === null || Number.isInteger(value)) return value as number | null;
  if (value === "..." || (isSaved(value) && value.class_name === "__ellipsis__")) return "ellipsis";
  const range = isSaved(value) && value.class_name === "__slice__" ? value.config : value;
  const isEnd = (end: unknown) => end === null || end === undefined || Number.isInteger(end);
  if (!isSaved(range) || ![range.start, range.stop, range.step].every(isEnd) || range.step === 0) {
    throw refuse(`whose index ${described(value)} is not supported`);
  }
  const { start, stop, step } = range as { start?: number; stop?: number; step?: number };
  return { start, stop, step };
}
