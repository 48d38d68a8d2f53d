/**
 * Graphs of TensorFlow operations (GraphDef and the functions of its library), as far as batch normalizations can be found in them: fused
 * operations, and `tf.nn.batch_normalization` written out as Rsqrt, Mul and Add. What their inputs are is followed through calls of functions
 * to variables and constants.
 */
import type { Module } from "../checkpoint.js";
import { type Field, floatIn, textIn } from "../encodings/protobuf.js";
import type { Bytes } from "../source.js";
import { numbersOf, type Tensor } from "../tensors.js";
import { type Message, messageIn, tensorIn } from "./tensorflow.js";

/** An operation of a graph. */
interface Operation {
  readonly name: string;
  readonly op: string;
  readonly inputs: readonly string[];
  /** Each as key and value, unread. */
  readonly attributes: readonly Field[];
}

interface Graph {
  readonly operations: ReadonlyMap<string, Operation>;
  /** A function's arguments, by name the place of each. */
  readonly parameters: ReadonlyMap<string, number>;
}

interface Graphs {
  readonly main: Graph;
  /** By name. */
  readonly functions: ReadonlyMap<string, Graph>;
}

/** A GraphDef and the functions of its library. */
export async function graphsIn(format: string, graphDef: Bytes): Promise<Graphs> {
  const { all } = await messageIn(format, graphDef);
  const functions = new Map<string, Graph>();
  for (const library of all(2)) {
    for (const { bytes } of (await messageIn(format, library.bytes)).all(1)) {
      const definition = await messageIn(format, bytes);
      const signature = definition.one(1);
      if (signature === undefined) continue;
      const { text, all: inSignature } = await messageIn(format, signature.bytes);
      const parameters = new Map<string, number>();
      for (const parameter of inSignature(2)) {
        parameters.set(await (await messageIn(format, parameter.bytes)).text(1), parameters.size);
      }
      functions.set(await text(1), { operations: await operationsIn(format, definition.all(3)), parameters });
    }
  }
  return { main: { operations: await operationsIn(format, all(1)), parameters: new Map() }, functions };
}

async function operationsIn(format: string, nodes: readonly Field[]): Promise<Map<string, Operation>> {
  const operations = new Map<string, Operation>();
  for (const { bytes } of nodes) {
    const { text, all } = await messageIn(format, bytes);
    const inputs: string[] = [];
    for (const input of all(3)) inputs.push(await textIn(input));
    const name = await text(1);
    operations.set(name, { name, op: await text(2), inputs, attributes: all(5) });
  }
  return operations;
}

/** An attribute's AttrValue. */
async function attributeOf(format: string, operation: Operation, name: string): Promise<Message | undefined> {
  for (const { bytes } of operation.attributes) {
    const { text, one } = await messageIn(format, bytes);
    if ((await text(1)) !== name) continue;
    const value = one(2);
    return value && messageIn(format, value.bytes);
  }
  return undefined;
}

/** The value of a constant. */
export async function constantIn(
  format: string,
  operation: Operation,
  whole: number,
): Promise<Tensor | undefined> {
  const proto = (await attributeOf(format, operation, "value"))?.one(8);
  return proto && tensorIn(format, operation.name, proto.bytes, whole);
}

/** What an input of an operation is, where the graph says. */
interface Found {
  readonly tensor: Tensor;
  /** A variable, or a constant with a variable's name: a layer is known again by it. */
  readonly isVariable: boolean;
}

type Arguments = readonly (Found | undefined)[];

/** Their first input comes out as it is, or in another shape or type. */
const PASSING = new Set([
  ...["Identity", "ReadVariableOp", "Cast", "Reshape", "Squeeze", "ExpandDims", "StopGradient", "Snapshot"],
  ...["Enter", "RefEnter", "Switch", "RefSwitch", "IdentityN"],
]);
const VARIABLES = new Set(["VarHandleOp", "VariableV2", "Variable"]);
const FUSED = new Set(["FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3", "_FusedBatchNormEx"]);
/** Attributes that name functions, and how many inputs come before the functions' own. */
const CALLS = new Map<string, readonly [before: number, ...attributes: string[]]>([
  ["PartitionedCall", [0, "f"]],
  ["StatefulPartitionedCall", [0, "f"]],
  ["If", [1, "then_branch", "else_branch"]],
  ["StatelessIf", [1, "then_branch", "else_branch"]],
  ["While", [0, "body"]],
  ["StatelessWhile", [0, "body"]],
]);
/** Operations in a row through which an input is followed; a damaged graph may go round. */
const MOST_STEPS = 64;
/** Times that functions are gone through, each with what the time before told: as deep as calls lie in each other. */
const MOST_ROUNDS = 16;
/** Layers with a variable in common, such as ones for a scale, by which each is known again. */
const MOST_SHARING = 64;

/** A batch normalization as one operation, or several together, calculate it. */
interface Occurrence {
  readonly operation: string;
  readonly type: string;
  readonly config: Readonly<Record<string, unknown>>;
  readonly found: ReadonlyMap<string, Found>;
}

/**
 * The batch normalizations that graphs calculate, each once, though functions repeat them for training, evaluation and every signature.
 * @param whole bytes of the file, which bound what its constants can be
 * @param variable the variable of a name, where names stand for variables
 * @param captured by name of a function: the variables that are its last arguments
 */
export async function normalizationsIn(
  format: string,
  { main, functions }: Graphs,
  whole: number,
  variable: (name: string) => Tensor | undefined,
  captured: ReadonlyMap<string, readonly (Tensor | undefined)[]> = new Map(),
): Promise<Module[]> {
  const constants = new Map<Operation, Found | undefined>();

  const follow = async (graph: Graph, given: Arguments, input = ""): Promise<Found | undefined> => {
    let name = input;
    for (let step = 0; step < MOST_STEPS; step++) {
      name = name.split(":", 1)[0];
      const operation = graph.operations.get(name);
      if (operation === undefined) return given[graph.parameters.get(name) ?? -1];
      if (PASSING.has(operation.op)) name = operation.inputs[0] ?? "";
      else if (VARIABLES.has(operation.op)) {
        const shared = await (await attributeOf(format, operation, "shared_name"))?.text(2);
        const tensor = variable(shared || name);
        return tensor && { tensor, isVariable: true };
      } else if (operation.op === "Const") {
        const named = graph === main ? variable(name) : undefined;
        if (named) return { tensor: named, isVariable: true };
        if (!constants.has(operation)) {
          const tensor = await constantIn(format, operation, whole);
          constants.set(operation, tensor && { tensor, isVariable: false });
        }
        return constants.get(operation);
      } else return undefined;
    }
    return undefined;
  };

  const givenTo = new Map<string, (Found | undefined)[]>();
  /** Whether a function learned what an argument is. */
  const give = (name: string, values: Arguments): boolean => {
    const known =
      givenTo.get(name) ??
      new Array<Found | undefined>(functions.get(name)?.parameters.size ?? 0).fill(undefined);
    let learned = false;
    for (let i = 0; i < Math.min(known.length, values.length); i++) {
      if (known[i] !== undefined || values[i] === undefined) continue;
      known[i] = values[i];
      learned = true;
    }
    givenTo.set(name, known);
    return learned;
  };
  for (const [name, tensors] of captured) {
    const count = functions.get(name)?.parameters.size ?? 0;
    const found = tensors.map((tensor) => tensor && { tensor, isVariable: true });
    give(name, [...new Array<undefined>(Math.max(0, count - tensors.length)).fill(undefined), ...found]);
  }
  const graphs = new Map([["", main] as const, ...functions]);
  // a function is gone through again when it learned of an argument
  let waiting = new Set(graphs.keys());
  for (let round = 0; round < MOST_ROUNDS && waiting.size > 0; round++) {
    const learned = new Set<string>();
    for (const name of waiting) {
      const graph = graphs.get(name) as Graph;
      for (const operation of graph.operations.values()) {
        const [before, ...attributes] = CALLS.get(operation.op) ?? [0];
        if (attributes.length === 0) continue;
        const values: (Found | undefined)[] = [];
        for (const input of operation.inputs.slice(before)) {
          values.push(await follow(graph, givenTo.get(name) ?? [], input));
        }
        for (const attribute of attributes) {
          const called = await functionNamed(format, operation, attribute);
          if (functions.has(called) && give(called, values)) learned.add(called);
        }
      }
    }
    waiting = learned;
  }

  const layers: Layer[] = [];
  const layersOf = new Map<Tensor, Layer[]>();
  const add = (occurrence: Occurrence): void => {
    const variables = new Map([...occurrence.found].filter(([, { isVariable }]) => isVariable));
    const known = [...variables.values()].flatMap(({ tensor }) => layersOf.get(tensor) ?? []);
    let layer = known.find((one) => agree(one.variables, variables));
    if (layer === undefined) {
      layer = { variables: new Map(), occurrences: [] };
      layers.push(layer);
    }
    layer.occurrences.push(occurrence);
    for (const [role, found] of variables) {
      layer.variables.set(role, found);
      const its = layersOf.get(found.tensor) ?? [];
      if (its.length < MOST_SHARING && !its.includes(layer)) its.push(layer);
      layersOf.set(found.tensor, its);
    }
  };
  for (const [name, graph] of graphs) {
    const at = (input: string | undefined) => follow(graph, givenTo.get(name) ?? [], input);
    for (const operation of graph.operations.values()) {
      if (!FUSED.has(operation.op)) continue;
      const found = new Map<string, Found>();
      for (const [i, role] of ROLES.entries()) {
        const value = await at(operation.inputs[i + 1]);
        // statistics of the batch come into training as empty constants
        if (value && !value.tensor.shape.includes(0)) found.set(role, value);
      }
      const config = await fusedConfig(format, operation);
      // Keras's layer normalization uses the operation too, without variables of its own
      if (found.has("mean") || (config.is_training !== false && found.has("offset"))) {
        add({ operation: operation.name, type: operation.op, config, found });
      }
    }
    for (const occurrence of await writtenOut(graph, at)) add(occurrence);
  }
  return layers.map(moduleOf);
}

const ROLES = ["scale", "offset", "mean", "variance"] as const;

async function functionNamed(format: string, operation: Operation, attribute: string): Promise<string> {
  const called = (await attributeOf(format, operation, attribute))?.one(10);
  return called === undefined ? "" : (await messageIn(format, called.bytes)).text(1);
}

/** Attributes under their names, as far as the file has them. */
async function fusedConfig(format: string, operation: Operation): Promise<Record<string, unknown>> {
  const config: Record<string, unknown> = {};
  for (const name of ["epsilon", "exponential_avg_factor"]) {
    const value = (await attributeOf(format, operation, name))?.one(4);
    if (value) config[name] = floatIn(value);
  }
  const training = (await attributeOf(format, operation, "is_training"))?.one(5);
  if (training) config.is_training = training.bits !== 0n;
  const dataFormat = (await attributeOf(format, operation, "data_format"))?.one(2);
  if (dataFormat) config.data_format = await textIn(dataFormat);
  return config;
}

/**
 * `tf.nn.batch_normalization`: with inv = rsqrt(variance + epsilon) · scale it is x · inv + (offset − mean · inv). Only those whose variance
 * is a variable or a constant: others are of layers that normalize by what they calculate.
 */
async function writtenOut(
  { operations }: Graph,
  at: (input: string | undefined) => Promise<Found | undefined>,
): Promise<Occurrence[]> {
  const occurrences: Occurrence[] = [];
  const users = new Map<string, Operation[]>();
  for (const operation of operations.values()) {
    for (const input of operation.inputs) {
      const name = input.split(":", 1)[0];
      const its = users.get(name);
      if (its) its.push(operation);
      else users.set(name, [operation]);
    }
  }
  /** What a product takes besides `name`. */
  const factor = (product: Operation, name: string) =>
    at(product.inputs.find((input) => input.split(":", 1)[0] !== name));
  for (const root of operations.values()) {
    if (root.op !== "Rsqrt") continue;
    const sum = operations.get((root.inputs[0] ?? "").split(":", 1)[0]);
    if (sum === undefined || !["Add", "AddV2"].includes(sum.op)) continue;
    const [variance, epsilon] = [await at(sum.inputs[0]), await at(sum.inputs[1])];
    if (variance === undefined || epsilon === undefined || epsilon.tensor.shape.length > 0) continue;
    const found = new Map<string, Found>([["variance", variance]]);
    let products = (users.get(root.name) ?? []).filter(({ op }) => op === "Mul");
    let inverse = root.name;
    // without a scale the root itself is multiplied, by x and by the mean
    const scale = products.length === 1 ? await factor(products[0], inverse) : undefined;
    if (scale) {
      found.set("scale", scale);
      inverse = products[0].name;
      products = (users.get(inverse) ?? []).filter(({ op }) => op === "Mul");
    }
    for (const product of products) {
      const mean = await factor(product, inverse);
      if (mean === undefined) continue;
      found.set("mean", mean);
      const difference = (users.get(product.name) ?? []).find(({ op }) => op === "Sub");
      const offset = await at(difference?.inputs[0]);
      if (offset) found.set("offset", offset);
    }
    if (!found.has("mean")) continue;
    const [value] = await numbersOf(epsilon.tensor);
    occurrences.push({
      operation: root.name,
      type: "tf.nn.batch_normalization",
      config: { variance_epsilon: value },
      found: new Map(ROLES.flatMap((role) => (found.has(role) ? [[role, found.get(role) as Found]] : []))),
    });
  }
  return occurrences;
}

type Variables = ReadonlyMap<string, Found>;

/** A batch normalization, and where it is calculated. */
interface Layer {
  readonly variables: Map<string, Found>;
  readonly occurrences: Occurrence[];
}

/** Whether no variable differs of which both know. */
function agree(a: Variables, b: Variables): boolean {
  return [...b].every(([role, { tensor }]) => (a.get(role)?.tensor ?? tensor) === tensor);
}

/** That of evaluation tells a layer's options. Its name is the folder of its variables, else of the operation. */
function moduleOf({ variables, occurrences }: Layer): Module {
  const evaluation = occurrences.find(({ config }) => config.is_training !== true) ?? occurrences[0];
  const { operation, type } = evaluation;
  // how much of a batch the running statistics take counts in training alone
  const training = occurrences.find(({ config }) => config.is_training === true)?.config;
  const factor = training?.exponential_avg_factor;
  const config =
    factor === undefined ? evaluation.config : { ...evaluation.config, exponential_avg_factor: factor };
  const tensors = ROLES.flatMap((role) => {
    const found = variables.get(role) ?? evaluation.found.get(role);
    return found ? [[role, found.tensor] as const] : [];
  });
  const folders = new Set([...variables.values()].map(({ tensor }) => tensor.name.replace(/\/?[^/]*$/, "")));
  const [folder] = folders;
  const scoped = folders.size === 1 && folder !== "";
  // of net/bn/FusedBatchNormV3 and net/bn/batchnorm/Rsqrt the layer's own part
  const name = scoped ? folder : operation.replace(/\/(batchnorm\/)?[^/]*$/, "");
  return { name, type, config, tensors: Object.fromEntries(tensors) };
}
