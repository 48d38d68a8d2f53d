/**
 * Batch normalization by stored statistics is a factor and an offset for each channel, which the weights of the convolution or product
 * before it can take over, or those of the one after it.
 */
import type { Found } from "../checkpoints/graphs/found.js";
import type { Constant, Float, Integer, Mend, Node } from "../checkpoints/graphs/graph.js";
import { float64Of } from "../checkpoints/graphs/known.js";
import { type Affine, affineOf, type Folded, scaledInputs, scaledOutputs } from "../frameworks/folding.js";
import { sizeOf } from "../shape.js";
import { counted, Draft, isCast, type Place } from "./draft.js";
import type { Wiring } from "./wiring.js";

/** Values of folded weights that are held in memory at most, over all mends of a model. */
export interface Budget {
  values: number;
}

/**
 * Whether it is a BatchNormalization that normalizes by the batch that it runs on: by an attribute (14), or by outputs that only training
 * has. What others are made with is none of its own.
 */
export function isTraining({ nodes: [node, ...others] }: Pick<Found, "nodes">): boolean {
  if (node.operator !== "BatchNormalization" || node.domain !== "" || others.length > 0) return false;
  return node.opset < 14
    ? node.outputs.slice(1).some((output) => output !== "")
    : numberOf(node, "training_mode", 0) !== 0;
}

/** By stored statistics, where they were set: what a network gives then is another, and what it was trained to give. */
export async function evaluationMend(found: Found, place: Place): Promise<Mend | undefined> {
  const node = found.nodes.find(({ operator }) => operator === "BatchNormalization");
  if (node === undefined || !isTraining(found)) return undefined;
  const [mean, variance] = [node.inputs[3], node.inputs[4]].map((name) => place.wiring.constant(name));
  const [means, variances] = [mean && (await float64Of(mean)), variance && (await float64Of(variance))];
  if (!means || !variances || isUnset(means, variances)) return undefined;
  const draft = new Draft(place, found.y);
  const epsilon = { epsilon: { float: numberOf(node, "epsilon", 1e-5) } };
  draft.gives(draft.node("BatchNormalization", node.inputs, epsilon), node.outputs[0]);
  return draft.mend(() => "BatchNormalization by its stored statistics, not by the batch's", [node]);
}

/** As they are before any training. */
function isUnset(mean: Float64Array, variance: Float64Array): boolean {
  return mean.every((value) => value === 0) && variance.every((value) => value === 1);
}

/** Where a normalization's factors and offsets can go. */
interface Layer {
  readonly node: Node;
  /** A sum with a constant after a MatMul: its bias. */
  readonly sum?: Node;
  readonly weight: Constant;
  readonly bias?: Constant;
}

/** The largest of float16. */
const MOST_HALF = 65504;

/** A mean that is missing. */
const ZERO = { values: Float64Array.of(0) };

/** What it is for each channel; undefined where statistics are not stored. */
export function affineIn({
  mean,
  variance,
  gamma,
  beta,
  epsilon,
  epsilonAt,
  norm,
}: Found): Affine | undefined {
  if (norm !== "batchNorm" || epsilonAt !== "inside" || !variance?.values) return undefined;
  const given = [mean ?? ZERO, variance, gamma, beta].map((one) => one?.values);
  const channels = Math.max(...given.map((values) => values?.length ?? 0));
  // one value stands for all; others are computed as the network runs
  const each = given.map((values) =>
    values?.length === 1 ? new Float64Array(channels).fill(values[0]) : values,
  );
  if ([mean, gamma, beta].some((one) => one && !one.values)) return undefined;
  if (each.some((values) => values && values.length !== channels)) return undefined;
  const [means, variances, gammas, betas] = each;
  if (!means || !variances) return undefined;
  return affineOf(channels, { mean: means, variance: variances, gamma: gammas, beta: betas, epsilon });
}

/** Whether y is x, as float32 has it. */
export function isIdentity({ factors, offsets }: Affine): boolean {
  return (
    factors.length > 0 &&
    factors.every((factor) => Math.fround(factor) === 1) &&
    offsets.every((offset) => Math.fround(offset) === 0)
  );
}

/** The mend of a batch normalization by stored statistics; undefined where nothing can take it over. */
export async function batchMend(found: Found, place: Place, budget: Budget): Promise<Mend | undefined> {
  const affine = affineIn(found);
  // a folded layer gives its own type
  if (affine === undefined || found.nodes.some(isCast) || found.order) return undefined;
  if (isIdentity(affine)) return removed(found, place);
  // NaN and infinities stay where they can be seen
  if (![...affine.factors, ...affine.offsets].every(Number.isFinite)) return undefined;
  return (await intoBefore(found, affine, place, budget)) ?? (await intoAfter(found, affine, place, budget));
}

function removed(found: Found, place: Place): Mend | undefined {
  if (found.dtype !== "float32") return undefined;
  const draft = new Draft(place, found.y);
  draft.gives(found.x, found.y);
  return draft.mend(() => "a batch normalization that does nothing is gone", found.nodes);
}

async function intoBefore(
  found: Found,
  affine: Affine,
  place: Place,
  budget: Budget,
): Promise<Mend | undefined> {
  const { wiring } = place;
  const last = wiring.producer(found.x);
  if (last === undefined || !isReadOnlyBy(wiring, found.x, found.nodes)) return undefined;
  const layer = layerOf(wiring, last);
  if (layer === undefined || !takesOutputs(layer, found, affine)) return undefined;
  return folded(layer, place, budget, {
    y: found.y,
    title: `batch normalization folded into the ${spelled(layer.node)} before it`,
    nodes: [layer.node, ...(layer.sum ? [layer.sum] : []), ...found.nodes],
    fold: (weight, bias) => outputsOf(layer, weight, bias, affine),
  });
}

async function intoAfter(
  found: Found,
  affine: Affine,
  place: Place,
  budget: Budget,
): Promise<Mend | undefined> {
  const { wiring } = place;
  const [next, ...others] = wiring.readers(found.y);
  if (next === undefined || others.length > 0 || wiring.isOutput(found.y)) return undefined;
  const layer = layerOf(wiring, next, true);
  if (layer === undefined || layer.node.inputs[0] !== found.y || !takesInputs(layer, found, affine))
    return undefined;
  return folded(layer, place, budget, {
    x: found.x,
    y: (layer.sum ?? layer.node).outputs[0],
    title: `batch normalization folded into the ${spelled(layer.node)} after it`,
    nodes: [...found.nodes, layer.node, ...(layer.sum ? [layer.sum] : [])],
    fold: (weight, bias) => inputsOf(layer, weight, bias, affine),
  });
}

/** How a layer is written anew. */
interface Folding {
  /** What it reads in place of its own input. */
  readonly x?: string;
  readonly y: string;
  readonly title: string;
  readonly nodes: readonly Node[];
  fold(weight: Float64Array, bias: Float64Array | undefined): Folded | undefined;
}

async function folded(
  { node, weight, bias }: Layer,
  place: Place,
  budget: Budget,
  { x = node.inputs[0], y, title, nodes, fold }: Folding,
): Promise<Mend | undefined> {
  const { dtype, shape } = weight;
  if (dtype !== "float32" && dtype !== "float16") return undefined;
  if (sizeOf(shape) > budget.values) return undefined;
  const attributes = attributesOf(node);
  const [values, added] = [await float64Of(weight), bias && (await float64Of(bias))];
  if (attributes === undefined || values === undefined || (bias && added === undefined)) return undefined;
  const { alpha = 1, beta = 1 } = node.operator === "Gemm" ? factorsOf(node) : {};
  const made = fold(
    alpha === 1 ? values : values.map((value) => alpha * value),
    beta === 1 ? added : added?.map((value) => beta * value),
  );
  if (made === undefined || !fits(made.kernel, dtype) || !fits(made.bias, dtype)) return undefined;
  const draft = new Draft(place, y);
  const kernel = draft.constant("weight", { shape, dtype, values: made.kernel });
  const offset = draft.constant("bias", { shape: [made.bias.length], dtype, values: made.bias });
  const value =
    node.operator === "MatMul"
      ? draft.node("Add", [draft.node("MatMul", [x, kernel]), offset])
      : draft.node(node.operator, [x, kernel, offset], attributes);
  draft.gives(value, y);
  const mend = draft.mend((count) => `${title}, ${counted(count - 1)} less`, nodes);
  if (mend) budget.values -= made.kernel.length;
  return mend;
}

function fits(values: Float32Array, dtype: "float32" | "float16"): boolean {
  const most = dtype === "float16" ? MOST_HALF : Number.MAX_VALUE;
  return values.every((value) => Math.abs(value) <= most);
}

/** A convolution or product with constant weights that nothing else reads. */
function layerOf(wiring: Wiring, last: Node, isFirst = false): Layer | undefined {
  if (last.domain !== "") return undefined;
  if (last.operator === "Add" && !isFirst) {
    const { constant, other } = constantIn(wiring, last) ?? {};
    const node = other === undefined ? undefined : wiring.producer(other);
    if (node?.operator !== "MatMul" || node.domain !== "" || !isReadOnlyBy(wiring, other ?? "", [last]))
      return undefined;
    const layer = layerOf(wiring, node);
    return layer && constant && isPerColumn(constant, layer)
      ? { ...layer, sum: last, bias: constant }
      : undefined;
  }
  const node = last;
  if (!["Conv", "ConvTranspose", "Gemm", "MatMul"].includes(node.operator)) return undefined;
  const [, weightName = "", biasName = ""] = node.inputs;
  const weight = wiring.constant(weightName);
  const bias = biasName === "" ? undefined : wiring.constant(biasName);
  if (weight === undefined || weight.shape.length < 2 || (biasName !== "" && bias === undefined))
    return undefined;
  if (node.operator === "MatMul" && weight.shape.length !== 2) return undefined;
  if (wiring.readers(weightName).size !== 1 || wiring.isOutput(weightName)) return undefined;
  if (bias && bias.dtype !== weight.dtype) return undefined;
  const layer = { node, weight, bias };
  if (bias && !isPerColumn(bias, layer)) return undefined;
  if (node.operator !== "MatMul" || !isFirst) return layer;
  const [sum, ...others] = wiring.readers(node.outputs[0]);
  if (sum?.operator !== "Add" || sum.domain !== "" || others.length > 0 || wiring.isOutput(node.outputs[0]))
    return layer;
  const { constant } = constantIn(wiring, sum) ?? {};
  const isBias = constant?.dtype === weight.dtype && isPerColumn(constant, layer);
  return isBias ? { ...layer, sum, bias: constant } : layer;
}

/** Whether a bias has one value for each output, or one for all. */
function isPerColumn(bias: Constant, layer: Layer): boolean {
  const size = sizeOf(bias.shape);
  return (size === 1 || size === bias.shape.at(-1)) && (size === 1 || size === outputsIn(layer));
}

function constantIn(wiring: Wiring, { inputs }: Node): { constant: Constant; other: string } | undefined {
  for (const [i, name] of inputs.entries()) {
    const constant = wiring.constant(name);
    if (constant) return { constant, other: inputs[1 - i] };
  }
  return undefined;
}

function isReadOnlyBy(wiring: Wiring, name: string, nodes: readonly Node[]): boolean {
  return !wiring.isOutput(name) && [...wiring.readers(name)].every((reader) => nodes.includes(reader));
}

const numberOf = (node: Node, name: string, otherwise: number): number =>
  (node.attributes.get(name)?.value as number | undefined) ?? otherwise;

const factorsOf = (node: Node) => ({ alpha: numberOf(node, "alpha", 1), beta: numberOf(node, "beta", 1) });

function outputsIn({ node, weight: { shape } }: Layer): number {
  switch (node.operator) {
    case "Conv":
      return shape[0];
    case "ConvTranspose":
      return shape[1] * numberOf(node, "group", 1);
    case "Gemm":
      return shape[numberOf(node, "transB", 0) ? 0 : 1];
    default:
      return shape[1];
  }
}

function inputsIn({ node, weight: { shape } }: Layer): number {
  switch (node.operator) {
    case "Conv":
      return shape[1] * numberOf(node, "group", 1);
    case "Gemm":
      return shape[numberOf(node, "transB", 0) ? 1 : 0];
    default:
      return shape[0];
  }
}

/** The axis of channels is that of the layer's outputs, and there are as many. */
function takesOutputs(layer: Layer, { channels, shape }: Found, { factors }: Affine): boolean {
  const axis = layer.node.operator === "MatMul" ? shape.length - 1 : 1;
  return channels === axis && factors.length === outputsIn(layer);
}

/** Whether the layer meets every input at every position: zeros that it pads with would have to be other values, unless offsets are 0. */
function takesInputs(layer: Layer, { channels, shape }: Found, { factors, offsets }: Affine): boolean {
  const { node } = layer;
  const axis = node.operator === "MatMul" ? shape.length - 1 : 1;
  if (channels !== axis || factors.length !== inputsIn(layer)) return false;
  if (node.operator === "Gemm") return numberOf(node, "transA", 0) === 0;
  if (node.operator === "MatMul" || offsets.every((offset) => offset === 0)) return true;
  const pads = (node.attributes.get("pads")?.value ?? []) as readonly number[];
  const auto = node.attributes.get("auto_pad")?.value ?? "NOTSET";
  return (
    node.operator === "Conv" && pads.every((pad) => pad === 0) && (auto === "NOTSET" || auto === "VALID")
  );
}

/** The layer followed by the normalization. */
function outputsOf(
  layer: Layer,
  data: Float64Array,
  bias: Float64Array | undefined,
  affine: Affine,
): Folded | undefined {
  const { node, weight } = layer;
  const { shape } = weight;
  const each = bias && perOutput(bias, outputsIn(layer));
  if (node.operator === "Conv") return scaledOutputs({ shape, data }, 0, each, affine);
  if (node.operator !== "ConvTranspose") {
    const axis = node.operator === "Gemm" && numberOf(node, "transB", 0) ? 0 : 1;
    return scaledOutputs({ shape, data }, axis, each, affine);
  }
  return byGroups(layer, data, (values, own, group, count) =>
    scaledOutputs({ shape: own, data: values }, 1, part(each, group, count), {
      factors: part(affine.factors, group, count),
      offsets: part(affine.offsets, group, count),
    }),
  );
}

/** The normalization followed by the layer. */
function inputsOf(
  layer: Layer,
  data: Float64Array,
  bias: Float64Array | undefined,
  affine: Affine,
): Folded | undefined {
  const { node, weight } = layer;
  const { shape } = weight;
  const outputs = outputsIn(layer);
  const each = bias && perOutput(bias, outputs);
  if (node.operator === "ConvTranspose") {
    // no offsets, or it would not be here: inputs are scaled
    const { kernel } = scaledOutputs({ shape, data }, 0, undefined, affine);
    return { kernel, bias: Float32Array.from({ length: outputs }, (_, i) => each?.[i] ?? 0) };
  }
  if (node.operator === "Conv") {
    return byGroups(layer, data, (values, own, group, count) => {
      // [outputs, inputs, positions] and [positions, inputs, outputs]
      const lengths = [own[0], own[1], sizeOf(own.slice(2))];
      const turned = { shape: [...lengths].reverse(), data: reversed(values, lengths) };
      const { kernel, bias: sums } = scaledInputs(turned, own[0], part(each, group, count), {
        factors: part(affine.factors, group, count),
        offsets: part(affine.offsets, group, count),
      });
      return { kernel: Float32Array.from(reversed(kernel, turned.shape)), bias: sums };
    });
  }
  if (node.operator === "Gemm" && numberOf(node, "transB", 0)) {
    const turned = { shape: [shape[1], shape[0]], data: reversed(data, shape) };
    const { kernel, bias: sums } = scaledInputs(turned, outputs, each, affine);
    return { kernel: Float32Array.from(reversed(kernel, turned.shape)), bias: sums };
  }
  return scaledInputs({ shape, data }, outputs, each, affine);
}

/** Folds each group's part of a convolution's weights, which lie one after the other along the first axis. */
function byGroups(
  { node, weight }: Layer,
  data: Float64Array,
  fold: (values: Float64Array, shape: readonly number[], group: number, groups: number) => Folded,
): Folded | undefined {
  const groups = numberOf(node, "group", 1);
  if (!(groups >= 1) || weight.shape[0] % groups !== 0) return undefined;
  const shape = [weight.shape[0] / groups, ...weight.shape.slice(1)];
  const parts = Array.from({ length: groups }, (_, group) =>
    fold(part(data, group, groups), shape, group, groups),
  );
  return { kernel: joined(parts.map(({ kernel }) => kernel)), bias: joined(parts.map(({ bias }) => bias)) };
}

/** One of equally long parts. */
function part<T extends Float64Array | undefined>(values: T, index: number, count: number): T {
  const length = (values?.length ?? 0) / count;
  return values?.subarray(index * length, (index + 1) * length) as T;
}

function joined(parts: readonly Float32Array[]): Float32Array {
  const result = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const one of parts) {
    result.set(one, at);
    at += one.length;
  }
  return result;
}

/** Two or three axes in the other order. */
function reversed(values: ArrayLike<number>, lengths: readonly number[]): Float64Array {
  const [a, b, c = 1] = lengths;
  const result = new Float64Array(values.length);
  let from = 0;
  for (let i = 0; i < a; i++)
    for (let j = 0; j < b; j++) for (let k = 0; k < c; k++) result[(k * b + j) * a + i] = values[from++];
  return result;
}

const perOutput = (bias: Float64Array, outputs: number): Float64Array =>
  bias.length === outputs ? bias : new Float64Array(outputs).fill(bias[0]);

/** A layer's attributes as they are written; undefined where one is not known. Those of Gemm that are folded into its weights are left out. */
function attributesOf(node: Node): Record<string, Integer | string> | undefined {
  const result: Record<string, Integer | Float | string> = {};
  for (const [name, { value, reference, graphs, constant }] of node.attributes) {
    const isOther = reference !== "" || graphs.length > 0 || constant !== undefined;
    if (name === "alpha" || name === "beta") continue;
    if (isOther || !ATTRIBUTES.includes(name)) return undefined;
    if (typeof value === "string") result[name] = value;
    else if (value !== undefined) result[name] = { integer: value as number | readonly number[] };
  }
  return result as Record<string, Integer | string>;
}

/** Integers, lists of them, and one text. */
const ATTRIBUTES =
  "auto_pad,dilations,group,kernel_shape,pads,strides,output_padding,output_shape,transA,transB".split(",");

const spelled = ({ operator, name }: Node): string => (name === "" ? operator : `${operator} "${name}"`);
