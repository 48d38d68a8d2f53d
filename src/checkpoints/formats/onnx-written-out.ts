/**
 * Normalizations that ONNX files write out in smaller operators, where the operator set or the exporter has none of their own:
 *
 *     group normalization, PyTorch, opset < 21   Reshape, InstanceNormalization by ones and zeros, Reshape, Mul, Add
 *     layer normalization, opset < 17            d = x − ReduceMean(x);  d / Sqrt(ReduceMean(d²) + epsilon), Mul, Add
 *     RMS normalization, opset < 23              x / Sqrt(ReduceMean(x²) + epsilon), Mul
 *     layer normalization, tf2onnx               Reshape, BatchNormalization by the mean of its own values, Reshape, Mul, Add
 *
 * Each is given as the operator that it stands for. What does not fit in whole is left as it stands.
 */
import { sizeOf } from "../../shape.js";
import { CheckpointError } from "../errors.js";
import { numbersOf, type Tensor } from "../tensors.js";

/** A node, as far as it matters here. */
export interface Step {
  readonly type: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: ReadonlyMap<string, { readonly value?: unknown }>;
}

/** The operator that nodes stand for. */
export interface Written {
  readonly type: string;
  readonly config: Readonly<Record<string, unknown>>;
  readonly tensors: Readonly<Record<string, Tensor>>;
  /** The first operator set that has it with this meaning. */
  readonly opset: number;
}

/** Operators that give what they get. */
export const PASSING = ["Identity", "Cast", "CastLike"];
/** So many of them in a row are followed. */
const MOST_PASSING = 8;

/** The nodes that a normalization is recognized by, each in the middle of its pattern. */
export const ANCHORS = ["InstanceNormalization", "BatchNormalization", "Sqrt"];

/**
 * A function that tells what an anchor's surroundings stand for; undefined where they are none of the patterns.
 * @param nodes of one graph
 * @param constant a weight by the name that the graph has for it
 */
export function recognizer(
  nodes: readonly Step[],
  constant: (name: string) => Tensor | undefined,
): (anchor: Step) => Promise<Written | undefined> {
  const producers = new Map<string, Step>();
  const consumers = new Map<string, Step[]>();
  for (const node of nodes) {
    for (const output of node.outputs) producers.set(output, node);
    for (const input of node.inputs) {
      const known = consumers.get(input);
      if (known) known.push(node);
      else consumers.set(input, [node]);
    }
  }
  const isPassing = (node: Step | undefined): node is Step =>
    node !== undefined && PASSING.includes(node.type);

  /** The name of a value before it was cast. */
  const origin = (name: string): string => {
    let node = producers.get(name);
    for (let i = 0; i < MOST_PASSING && isPassing(node); i++) {
      name = node.inputs[0] ?? "";
      node = producers.get(name);
    }
    return name;
  };
  const producerOf = (name: string | undefined, type: string): Step | undefined => {
    const node = name === undefined ? undefined : producers.get(origin(name));
    return node?.type === type ? node : undefined;
  };
  /** The only node that takes a node's output. */
  const consumerOf = ({ outputs }: Step): Step | undefined => {
    let all = consumers.get(outputs[0] ?? "") ?? [];
    for (let i = 0; i < MOST_PASSING && all.length === 1 && isPassing(all[0]); i++) {
      all = consumers.get(all[0].outputs[0] ?? "") ?? [];
    }
    return all.length === 1 ? all[0] : undefined;
  };
  /** The only constant among the inputs of a node of two, and the name of the other. */
  const constantIn = (node: Step | undefined, type: string): [Tensor, string] | undefined => {
    if (node?.type !== type || node.inputs.length !== 2) return undefined;
    const [a, b] = node.inputs;
    const [first, second] = [constant(a), constant(b)];
    if (first && !second) return [first, b];
    return second && !first ? [second, a] : undefined;
  };
  /** The gamma and beta after a node: a product, then a sum with a constant that has axes. */
  const affineAfter = (node: Step): { scale?: Tensor; bias?: Tensor } => {
    const product = consumerOf(node);
    const [scale] = constantIn(product, "Mul") ?? [];
    if (product === undefined || !scale?.shape.length) return {};
    const [bias] = constantIn(consumerOf(product), "Add") ?? [];
    return bias?.shape.length ? { scale, bias } : { scale };
  };
  const scalar = async (tensor: Tensor | undefined): Promise<number | undefined> => {
    const values = tensor?.shape.every((length) => length === 1) ? await valuesOf(tensor) : [];
    return values[0];
  };
  const isFilledWith = async (tensor: Tensor | undefined, value: number): Promise<boolean> => {
    const values = tensor ? await valuesOf(tensor) : [];
    return values.length > 0 && values.every((one) => one === value);
  };

  const asGroup = async (anchor: Step): Promise<Written | undefined> => {
    const [x, ones, zeros] = anchor.inputs;
    const after = consumerOf(anchor);
    if (!producerOf(x, "Reshape") || after?.type !== "Reshape") return undefined;
    const [scale, bias] = [constant(ones ?? ""), constant(zeros ?? "")];
    if (!(await isFilledWith(scale, 1)) || !(await isFilledWith(bias, 0))) return undefined;
    const config = { ...plain(anchor), num_groups: scale?.shape[0] };
    return { type: "GroupNormalization", config, tensors: defined(affineAfter(after)), opset: 21 };
  };

  const asLayerOfKeras = async (anchor: Step): Promise<Written | undefined> => {
    const [x = "", , , mean] = anchor.inputs;
    const after = consumerOf(anchor);
    if (!producerOf(x, "Reshape") || after?.type !== "Reshape") return undefined;
    const own = producerOf(producerOf(mean, "Squeeze")?.inputs[0] ?? mean, "ReduceMean");
    if (own === undefined || origin(own.inputs[0] ?? "") !== origin(x)) return undefined;
    const { scale, bias } = affineAfter(after);
    if (scale === undefined) return undefined;
    const config = { ...plain(anchor), axis: -scale.shape.length };
    return { type: "LayerNormalization", config, tensors: defined({ Scale: scale, B: bias }), opset: 17 };
  };

  const asQuotient = async (root: Step): Promise<Written | undefined> => {
    const [given, sum] = constantIn(producerOf(root.inputs[0], "Add"), "Add") ?? [];
    const mean = producerOf(sum, "ReduceMean");
    const epsilon = await scalar(given);
    if (mean === undefined || epsilon === undefined) return undefined;
    const power = producerOf(mean.inputs[0], "Pow");
    const square = power ?? producerOf(mean.inputs[0], "Mul");
    if (square === undefined) return undefined;
    const [base, other] = square.inputs.map(origin);
    if (power ? (await scalar(constant(power.inputs[1] ?? ""))) !== 2 : base !== other) return undefined;
    const quotient = quotientBy(root, base);
    const axes = await axesOf(mean);
    if (quotient === undefined || axes.length === 0 || mean.attributes.get("keepdims")?.value === 0)
      return undefined;
    const difference = producerOf(base, "Sub");
    const center = producerOf(difference?.inputs[1], "ReduceMean");
    const isCentered =
      center !== undefined && origin(center.inputs[0] ?? "") === origin(difference?.inputs[0] ?? "");
    const { scale, bias } = affineAfter(quotient);
    const isTrailing = [...axes].sort((a, b) => a - b).every((axis, i) => axis === i - axes.length);
    // counted from the front where they are as many as gamma has, they are the last ones too
    if (!isTrailing && scale?.shape.length !== axes.length) return undefined;
    const config = { axis: -axes.length, epsilon };
    return isCentered
      ? { type: "LayerNormalization", config, tensors: defined({ Scale: scale, B: bias }), opset: 17 }
      : { type: "RMSNormalization", config, tensors: defined({ scale }), opset: 23 };
  };
  /** The node that divides by the root: base / root, or base times 1 / root. */
  const quotientBy = (root: Step, base: string): Step | undefined => {
    const next = consumerOf(root);
    if (next?.type === "Div" && origin(next.inputs[0] ?? "") === base) return next;
    const isInverse = next?.type === "Reciprocal" || (next?.type === "Div" && constant(next.inputs[0] ?? ""));
    const product = next && isInverse ? consumerOf(next) : undefined;
    return product?.type === "Mul" && product.inputs.some((name) => origin(name) === base)
      ? product
      : undefined;
  };
  /** Axes are an attribute in older operator sets, and the second input in newer ones. */
  const axesOf = async ({ attributes, inputs }: Step): Promise<readonly number[]> => {
    const value = attributes.get("axes")?.value;
    if (Array.isArray(value)) return value as number[];
    const tensor = constant(inputs[1] ?? "");
    return tensor ? [...(await valuesOf(tensor))] : [];
  };

  return async (anchor) => {
    if (anchor.type === "InstanceNormalization") return asGroup(anchor);
    return anchor.type === "Sqrt" ? asQuotient(anchor) : asLayerOfKeras(anchor);
  };
}

/** Longer constants are in none of the patterns: axes, and ones and zeros for each group. */
const MOST_VALUES = 1024;

/** None of what is long, or cannot be read: the file opens all the same. */
async function valuesOf(tensor: Tensor): Promise<Float32Array | Float64Array> {
  if (sizeOf(tensor.shape) > MOST_VALUES) return new Float32Array();
  try {
    return await numbersOf(tensor);
  } catch (error) {
    if (error instanceof CheckpointError) return new Float32Array();
    throw error;
  }
}

function plain({ attributes }: Step): Record<string, unknown> {
  return Object.fromEntries([...attributes].map(([name, { value }]) => [name, value]));
}

function defined(tensors: Readonly<Record<string, Tensor | undefined>>): Record<string, Tensor> {
  return Object.fromEntries(
    Object.entries(tensors).filter((entry): entry is [string, Tensor] => entry[1] !== undefined),
  );
}
