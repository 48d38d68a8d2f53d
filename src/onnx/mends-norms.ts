/**
 * Normalizations that are written out, by the operator that does the same; and, where the operator set has none and what is written out
 * goes wrong, by statistics in float32 that are taken from the mean:
 *
 *     d = x − mean(x)        y = d / √(mean(d²) + epsilon) · gamma + beta
 *
 * What onnxruntime's operators do was measured in onnxruntime 1.30: layer and RMS normalization are accurate in float32 and
 * float16; InstanceNormalization computes x·factor + offset, and loses what a mean far from zero takes; GroupNormalization is
 * E[x²] − E[x]². So the latter two are not used for it where the former can do the same.
 */

import type { Found, Parameter } from "../checkpoints/graphs/found.js";
import type { Mend, NewNode } from "../checkpoints/graphs/graph.js";
import { type Settled, settle } from "../checkpoints/graphs/shapes.js";
import { sameShape, sizeOf } from "../shape.js";
import { counted, Draft, type FloatType, isExact, type Place } from "./draft.js";
import type { Wiring } from "./wiring.js";

/** ONNX's operators, and the first versions that have them. */
export const OPERATORS = {
  layerNorm: ["LayerNormalization", 17],
  rmsNorm: ["RMSNormalization", 23],
  groupNorm: ["GroupNormalization", 21],
  instanceNorm: ["InstanceNormalization", 1],
} as const;

/** Longer constants of ones are not put into a file: 256 KB. */
const MOST_ONES = 2 ** 16;

/** What a mend of a normalization works with. */
export interface Task {
  readonly found: Found;
  readonly draft: Draft;
  readonly wiring: Wiring;
  readonly types: Types;
  /** With either stand-in for open lengths. */
  readonly settled: readonly Settled[];
  /** Every length of x that is known; else NaN. */
  readonly shape: readonly number[];
}

/** Of a normalization: what comes in and goes out, and what it is best computed in. */
interface Types {
  readonly x: FloatType;
  readonly y: FloatType;
  /** The operator's: x's own where gamma and beta are exact in it, else float32. */
  readonly inner: FloatType;
}

/** y with the axes of x, its type, and what stands for what. */
type Written =
  | { readonly value: string; readonly dtype: FloatType; readonly title: (count: number) => string }
  | undefined;

function written(value: string | undefined, dtype: FloatType, title: (count: number) => string): Written {
  return value === undefined ? undefined : { value, dtype, title };
}

/** Whether statistics overflow, underflow or cancel where those of float32 that are taken from the mean do not. */
export function isIll({ cancels, statisticsType }: Pick<Found, "cancels" | "statisticsType">): boolean {
  return cancels || isNarrow(statisticsType);
}

export function isNarrow(dtype: string | undefined): boolean {
  return dtype === "float16" || dtype === "bfloat16";
}

/** The mend of a normalization of this kind; undefined where it is well as it is, or nothing does the same. */
export async function normMend(found: Found, place: Place): Promise<Mend | undefined> {
  const { wiring } = place;
  const settled = [await settle(found.graph, 0), await settle(found.graph, 1)];
  const types = typesOf(found, settled[0]);
  // onnxruntime's operators take their statistics in float32 by themselves
  const isWell = place.isForOnnxRuntime ? !isGroupOperator(found) : !isIll(found);
  if (types === undefined || (found.isOperator && isWell)) return undefined;
  if (found.axes.length === 0 || found.axes.some((axis) => axis >= found.shape.length)) return undefined;
  for (const way of WAYS[found.norm] ?? []) {
    const draft = new Draft(place, found.y);
    const made = way({ found, draft, wiring, types, shape: found.shape, settled });
    if (made === undefined) continue;
    const ordered = found.order ? draft.transposed(made.value, found.order) : made.value;
    draft.gives(draft.cast(ordered, made.dtype, types.y), found.y);
    return draft.mend(made.title, found.nodes);
  }
  return undefined;
}

/** The better ones first. */
const WAYS: Readonly<Record<string, readonly ((task: Task) => Written)[]>> = {
  layerNorm: [layer, safe],
  rmsNorm: [rms, safe],
  groupNorm: [group, safe],
  instanceNorm: [instance, safe],
};

function layer(task: Task): Written {
  const { found, draft, types } = task;
  const [operator, since] = OPERATORS.layerNorm;
  // onnxruntime has it in every version
  if ((!draft.place.isForOnnxRuntime && draft.place.version < since) || found.epsilonAt !== "inside")
    return undefined;
  const value = overLast(task, operator, found.gamma, found.beta);
  return written(value, types.inner, inPlaceOf(task, operator));
}

/** By ONNX's operator, or by the one that onnxruntime has in every version, which is faster. */
function rms(task: Task): Written {
  const { found, draft, types } = task;
  const { isForOnnxRuntime, version } = draft.place;
  const [own, since] = OPERATORS.rmsNorm;
  if ((!isForOnnxRuntime && version < since) || found.epsilonAt !== "inside") return undefined;
  const operator = isForOnnxRuntime ? "SimplifiedLayerNormalization" : own;
  const normalized = overLast(task, operator, found.gamma);
  const value = normalized && affine(task, normalized, types.inner, undefined, found.beta);
  return written(value, types.inner, inPlaceOf(task, operator));
}

/** An operator that normalizes over the last axes, with other axes brought there; gamma and beta that it cannot take follow. */
function overLast(task: Task, operator: string, gamma?: Parameter, beta?: Parameter): string | undefined {
  const { found, draft, types, shape } = task;
  const { axes } = found;
  const order = [...shape.map((_, axis) => axis).filter((axis) => !axes.includes(axis)), ...axes];
  const lengths = axes.map((axis) => lengthOf(task, axis));
  if (lengths.some(Number.isNaN)) return undefined;
  const own = gamma && parameter(task, "gamma", gamma, axes, lengths);
  if (own === undefined && sizeOf(lengths) > MOST_ONES) return undefined;
  const scale = own ?? draft.filled("ones", lengths, types.inner, 1);
  const isScaled = (gamma === undefined) === (own === undefined);
  const bias = beta && isScaled ? parameter(task, "beta", beta, axes, lengths) : undefined;
  const x = draft.transposed(draft.cast(found.x, types.x, types.inner), order);
  const normalized = draft.node(operator, bias === undefined ? [x, scale] : [x, scale, bias], {
    axis: { integer: -axes.length },
    epsilon: { float: found.epsilon },
    ...(types.inner !== "float32" && { stash_type: { integer: 1 } }),
  });
  const back = draft.transposed(normalized, inverseOf(order));
  return affine(task, back, types.inner, isScaled ? undefined : gamma, bias === undefined ? beta : undefined);
}

/** gamma and beta of an operator that normalizes over the last axis alone; undefined where it cannot take them. */
export function overLastAxis(task: Omit<Task, "settled">): readonly string[] | undefined {
  const { found, shape } = task;
  const { axes, gamma, beta } = found;
  if (axes.length !== 1 || axes[0] !== shape.length - 1) return undefined;
  const lengths = [lengthOf(task, axes[0])];
  if (Number.isNaN(lengths[0])) return undefined;
  const scale = gamma
    ? parameter(task, "gamma", gamma, axes, lengths)
    : task.draft.filled("ones", lengths, task.types.inner, 1);
  const bias = beta && parameter(task, "beta", beta, axes, lengths);
  if (scale === undefined || (beta && bias === undefined)) return undefined;
  return bias === undefined ? [scale] : [scale, bias];
}

/** A length of x, from gamma or beta where the file leaves it open. */
function lengthOf({ found, shape }: Pick<Task, "found" | "shape">, axis: number): number {
  const given = [found.gamma, found.beta].map((one) => one?.shape[one.axes.indexOf(axis)] ?? Number.NaN);
  return [shape[axis], ...given].find((length) => !Number.isNaN(length)) ?? Number.NaN;
}

function inverseOf(order: readonly number[]): number[] {
  return order.map((_, axis) => order.indexOf(axis));
}

/** Which onnxruntime computes as E[x²] − E[x]², in several operators. */
export function isGroupOperator({ isOperator, nodes: [node] }: Found): boolean {
  return isOperator && node.operator === OPERATORS.groupNorm[0] && node.domain === "";
}

/** Instance normalization of a reshape, as PyTorch writes group normalization: one operator does it, and does it well. */
export function isOfInstances({ norm, nodes }: Pick<Found, "norm" | "nodes">): boolean {
  return norm === "groupNorm" && nodes.some(({ operator }) => operator === OPERATORS.instanceNorm[0]);
}

/** By ONNX's operator, but for onnxruntime. */
function group(task: Task): Written {
  const { found, draft, types, shape } = task;
  const { channels = 1, groups } = found;
  if (groups === undefined || found.axes.length !== shape.length - 1) return undefined;
  if (found.epsilonAt !== "inside") return undefined;
  if (isOfInstances(found) && !isIll(found)) return undefined;
  const [operator, since] = OPERATORS.groupNorm;
  if (draft.place.isForOnnxRuntime || draft.place.version < since) {
    const isNeeded = isGroupOperator(found) || (isNarrow(found.statisticsType) && !found.cancels);
    return isNeeded ? groupAsInstances(task, groups) : undefined;
  }
  const value = ofChannels(task, operator, types.inner, channels, {
    num_groups: { integer: groups },
    ...(types.inner !== "float32" && { stash_type: { integer: 1 } }),
  });
  return written(value, types.inner, inPlaceOf(task, operator));
}

/** Group normalization as that of instances of one channel for each group. */
function groupAsInstances(task: Task, groups: number): Written {
  const { found, draft, types, shape } = task;
  const { channels = 1 } = found;
  if (channels !== 1) return undefined;
  const x = draft.cast(found.x, types.x, "float32");
  const rows = draft.node("Reshape", [x, draft.integers("groups", [0, groups, -1])]);
  const normalized = draft.node(
    "InstanceNormalization",
    [rows, draft.filled("ones", [groups], "float32", 1), draft.filled("zeros", [groups], "float32", 0)],
    { epsilon: { float: found.epsilon } },
  );
  const back = draft.node("Reshape", [normalized, lengthsOf(draft, found.x, shape)]);
  const value = affine(task, back, "float32", found.gamma, found.beta);
  const how = ` of groups${isNarrow(types.x) ? " in float32" : ""}`;
  return written(value, "float32", inPlaceOf(task, OPERATORS.instanceNorm[0], how));
}

/** InstanceNormalization, which every operator set has, in float32: it does not say what its statistics are in. */
function instance(task: Task): Written {
  const { found, draft, types, shape } = task;
  const { channels = 1, axes } = found;
  const spatial = shape.map((_, axis) => axis).filter((axis) => axis !== 0 && axis !== channels);
  if (spatial.length === 0 || channels === 0 || !spatial.every((axis, i) => axes[i] === axis))
    return undefined;
  if (axes.length !== spatial.length) return undefined;
  if (found.epsilonAt !== "inside") return undefined;
  if (draft.place.isForOnnxRuntime) {
    const normalized = overLast(task, "LayerNormalization");
    const value = normalized && affine(task, normalized, types.inner, found.gamma, found.beta);
    if (value) return written(value, types.inner, inPlaceOf(task, "LayerNormalization", " over positions"));
  }
  const [operator] = OPERATORS.instanceNorm;
  const value = ofChannels(task, operator, "float32", channels, {});
  return written(value, "float32", inPlaceOf(task, operator, isNarrow(types.x) ? " in float32" : ""));
}

/** An operator of [batch, channels, ...], with gamma and beta of channels; those that it cannot take follow. */
function ofChannels(
  given: Task,
  operator: string,
  inner: FloatType,
  channels: number,
  attributes: NewNode["attributes"],
): string | undefined {
  const { found, draft, types, shape } = given;
  const task: Task = { ...given, types: { ...types, inner } };
  const length = lengthOf(task, channels);
  if (Number.isNaN(length)) return undefined;
  const isInside = [found.gamma, found.beta].every((one) => one === undefined || one.values !== undefined);
  const stored = (what: "gamma" | "beta", without: number) => {
    const own = isInside ? found[what] : undefined;
    return own
      ? parameter(task, what, own, [channels], [length])
      : draft.filled(without === 1 ? "ones" : "zeros", [length], inner, without);
  };
  const [scale, bias] = [stored("gamma", 1), stored("beta", 0)];
  if (scale === undefined || bias === undefined) return undefined;
  const others = shape.map((_, axis) => axis).filter((axis) => axis !== 0 && axis !== channels);
  const order = [0, channels, ...others];
  const x = draft.transposed(draft.cast(found.x, types.x, inner), order);
  const normalized = draft.node(operator, [x, scale, bias], {
    epsilon: { float: found.epsilon },
    ...attributes,
  });
  const back = draft.transposed(normalized, inverseOf(order));
  return isInside ? back : affine(task, back, inner, found.gamma, found.beta);
}

/** The smaller operators, in float32 and from the mean, where what is there goes wrong. */
function safe(task: Task): Written {
  const { found, draft, types, shape } = task;
  const centred = found.norm !== "rmsNorm";
  if (!isIll(found)) return undefined;
  const { groups, channels = 1 } = found;
  const isGroup = found.norm === "groupNorm";
  if (isGroup && (groups === undefined || channels !== 1)) return undefined;
  const wide = draft.cast(found.x, types.x, "float32");
  const x = isGroup ? draft.node("Reshape", [wide, draft.integers("groups", [0, groups ?? 1, -1])]) : wide;
  const axes = isGroup ? [2] : found.axes;
  // twice: the mean of values far from zero is rounded
  let d = x;
  for (let i = 0; centred && i < (found.cancels ? 2 : 1); i++)
    d = draft.node("Sub", [d, draft.mean(d, axes)]);
  const variance = draft.mean(draft.node("Mul", [d, d]), axes);
  const epsilon = draft.constant("epsilon", { shape: [], dtype: "float32", values: [found.epsilon] });
  const inside = found.epsilonAt === "inside" ? draft.node("Add", [variance, epsilon]) : variance;
  const root = draft.node("Sqrt", [inside]);
  const outside = { inside: undefined, outside: "Add", bound: "Max" }[found.epsilonAt];
  const quotient = draft.node("Div", [d, outside ? draft.node(outside, [root, epsilon]) : root]);
  const xHat = isGroup ? draft.node("Reshape", [quotient, lengthsOf(draft, found.x, shape)]) : quotient;
  const value = affine(task, xHat, "float32", found.gamma, found.beta);
  const title = (count: number) =>
    `statistics in float32${found.cancels ? ", from the mean," : ""} in place of ${counted(count)}`;
  return written(value, "float32", title);
}

/** xHat·gamma + beta by operators of their own; undefined where the type of one is not known. */
function affine(
  task: Task,
  xHat: string,
  dtype: FloatType,
  gamma: Parameter | undefined,
  beta: Parameter | undefined,
): string | undefined {
  let value = xHat;
  for (const [operator, what, given] of [
    ["Mul", "gamma", gamma],
    ["Add", "beta", beta],
  ] as const) {
    if (given === undefined) continue;
    const operand = along(task, what, given, dtype);
    if (operand === undefined) return undefined;
    value = task.draft.node(operator, [value, operand]);
  }
  return value;
}

/** A parameter as it broadcasts to x. */
function along(task: Task, what: string, given: Parameter, dtype: FloatType): string | undefined {
  const { draft, shape } = task;
  const { axes, shape: lengths, values, name } = given;
  if (values === undefined) {
    const own = name && broadcasts(task, name, axes) ? task.settled[0].dtype(name) : undefined;
    return own && name && draft.cast(name, own, dtype);
  }
  // row-major in the order of x's axes
  if (axes.some((axis, i) => i > 0 && axis < axes[i - 1])) return undefined;
  const first = Math.min(shape.length, ...axes);
  const broadcasting = shape.slice(first).map((_, i) => {
    const at = axes.indexOf(first + i);
    return at < 0 ? 1 : lengths[at];
  });
  // one for each group, as in opset 18, is none for each channel
  const fits = (length: number, i: number) =>
    Number.isNaN(shape[first + i]) || [1, shape[first + i]].includes(length);
  if (!broadcasting.every(fits) || sizeOf(broadcasting) !== values.length) return undefined;
  return (
    existingConstant(task, given, broadcasting, dtype) ??
    draft.constant(what, { shape: broadcasting, dtype, values })
  );
}

/** Whether a value broadcasts to x, along these axes. */
function broadcasts({ found, settled }: Task, name: string, axes: readonly number[]): boolean {
  return settled.every((one) => {
    const [own, x] = [one.shape(name), one.shape(found.x)];
    if (own === undefined || x === undefined || own.length > x.length) return false;
    const first = x.length - own.length;
    return own.every((length, i) => length === 1 || (length === x[first + i] && axes.includes(first + i)));
  });
}

/** A parameter with exactly these lengths of these axes, to which its own broadcast; undefined where it has others, or is computed. */
function parameter(
  task: Omit<Task, "settled">,
  what: string,
  given: Parameter,
  axes: readonly number[],
  lengths: readonly number[],
): string | undefined {
  const { inner } = task.types;
  const existing = sameShape(given.axes, axes) ? existingConstant(task, given, lengths, inner) : undefined;
  if (existing !== undefined) return existing;
  const values = broadcast(given, axes, lengths);
  return values && task.draft.constant(what, { shape: lengths, dtype: inner, values });
}

/** The constant that a parameter is, where it can be read as it stands. */
function existingConstant(
  { wiring }: Pick<Task, "wiring">,
  { name }: Parameter,
  shape: readonly number[],
  dtype: FloatType,
): string | undefined {
  const constant = name === undefined ? undefined : wiring.constant(name);
  return constant?.dtype === dtype && sameShape(constant.shape, shape) ? name : undefined;
}

/** Values of these lengths. */
function broadcast(
  { axes: own, shape, values }: Parameter,
  axes: readonly number[],
  lengths: readonly number[],
): Float64Array | undefined {
  const places = own.map((axis) => axes.indexOf(axis));
  const fits = places.every((place, i) => place >= 0 && shape[i] === lengths[place]);
  if (!fits || values === undefined || sizeOf(lengths) > Math.max(MOST_ONES, values.length)) return undefined;
  const strides = lengths.map(() => 0);
  let stride = 1;
  for (let i = own.length - 1; i >= 0; i--) {
    strides[places[i]] = stride;
    stride *= shape[i];
  }
  return Float64Array.from({ length: sizeOf(lengths) }, (_, i) => {
    let [rest, from] = [i, 0];
    for (let axis = lengths.length - 1; axis >= 0; axis--) {
      from += (rest % lengths[axis]) * strides[axis];
      rest = Math.floor(rest / lengths[axis]);
    }
    return values[from];
  });
}

/** Lengths for a reshape from [batch, groups, rest] back to x. */
function lengthsOf(draft: Draft, x: string, shape: readonly number[]): string {
  const open = shape.flatMap((length, axis) => (axis > 0 && Number.isNaN(length) ? [axis] : []));
  if (open.length > 1) return draft.node("Shape", [x]);
  return draft.integers(
    "lengths",
    shape.map((length, axis) => (axis === 0 ? 0 : Number.isNaN(length) ? -1 : length)),
  );
}

function inPlaceOf({ draft }: Task, operator: string, how = ""): (count: number) => string {
  const { version } = draft.place;
  const isOwn = Object.values(OPERATORS).some(([name, since]) => name === operator && since <= version);
  const whose = isOwn ? `opset ${version}` : "onnxruntime's";
  return (count) => `${operator}${how} (${whose}) in place of ${counted(count)}`;
}

/** Undefined where a type is not known, or is float64, which the operators' statistics are too narrow for. */
export function typesOf(found: Found, settled: Settled): Types | undefined {
  const [x, y] = [found.dtype ?? settled.dtype(found.x), settled.dtype(found.y)];
  if (!isComputed(x) || !isComputed(y)) return undefined;
  const given = [found.gamma, found.beta].flatMap((parameter) => parameter ?? []);
  const fits = x === "float32" || given.every(({ values }) => values === undefined || isExact(values, x));
  return { x, y, inner: fits ? x : "float32" };
}

function isComputed(dtype: string | undefined): dtype is FloatType {
  return dtype === "float32" || dtype === "float16" || dtype === "bfloat16";
}
