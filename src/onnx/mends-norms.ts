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
import type { Mend } from "../checkpoints/graphs/graph.js";
import { sizeOf } from "../shape.js";
import { counted, Draft, type FloatType, isExact, type Place } from "./draft.js";
import type { Wiring } from "./wiring.js";

/** Longer constants of ones are not put into a file. */
const MOST_ONES = 2 ** 20;

/** What a mend of a normalization works with. */
interface Task {
  readonly found: Found;
  readonly draft: Draft;
  readonly wiring: Wiring;
  readonly types: Types;
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

/** A value, and the operator that it is given by. */
type Written = { readonly value: string; readonly title: (count: number) => string } | undefined;

/** Whether statistics overflow, underflow or cancel where those of float32 that are taken from the mean do not. */
export function isIll({ cancels, statisticsType }: Pick<Found, "cancels" | "statisticsType">): boolean {
  return cancels || isNarrow(statisticsType);
}

export function isNarrow(dtype: string | undefined): boolean {
  return dtype === "float16" || dtype === "bfloat16";
}

/** The mend of a normalization of this kind; undefined where it is well as it is, or nothing does the same. */
export function normMend(found: Found, place: Place): Mend | undefined {
  const write = WAYS[found.norm];
  const types = typesOf(found, place.wiring);
  if (write === undefined || types === undefined || (found.isOperator && !isIll(found))) return undefined;
  if (found.axes.length === 0 || found.axes.some((axis) => axis >= found.shape.length)) return undefined;
  const draft = new Draft(place, found.y);
  const written = write({ found, draft, wiring: place.wiring, types, shape: found.shape });
  if (written === undefined) return undefined;
  draft.gives(written.value, found.y);
  return draft.mend(written.title, found.nodes);
}

const WAYS: Readonly<Record<string, ((task: Task) => Written) | undefined>> = {
  layerNorm: (task) => layer(task) ?? safe(task, true),
  rmsNorm: (task) => rms(task) ?? safe(task, false),
  groupNorm: (task) => group(task) ?? safe(task, true),
  instanceNorm: (task) => instance(task) ?? safe(task, true),
};

/** LayerNormalization (17). */
function layer(task: Task): Written {
  const { found, draft } = task;
  if (draft.place.version < 17) return undefined;
  const value = overLast(task, "LayerNormalization", found.gamma, found.beta);
  return value === undefined ? undefined : { value, title: inPlaceOf("LayerNormalization", draft) };
}

/** RMSNormalization (23), or onnxruntime's. */
function rms(task: Task): Written {
  const { found, draft, types } = task;
  const operator = draft.place.isForOnnxRuntime ? "SimplifiedLayerNormalization" : "RMSNormalization";
  if (!draft.place.isForOnnxRuntime && draft.place.version < 23) return undefined;
  const normalized = overLast(task, operator, found.gamma, undefined);
  if (normalized === undefined) return undefined;
  const value = found.beta ? affine(task, normalized, types.y, undefined, found.beta) : normalized;
  return value === undefined ? undefined : { value, title: inPlaceOf(operator, draft) };
}

/** An operator that normalizes over the last axes, with other axes brought there. */
function overLast(task: Task, operator: string, gamma?: Parameter, beta?: Parameter): string | undefined {
  const { found, draft, types, shape } = task;
  const { axes } = found;
  const kept = shape.map((_, axis) => axis).filter((axis) => !axes.includes(axis));
  const order = [...kept, ...axes];
  const lengths = axes.map((axis, i) => {
    const open = (gamma?.shape.length === axes.length ? gamma : beta)?.shape[i];
    return Number.isNaN(shape[axis]) && open !== 1 ? (open ?? Number.NaN) : shape[axis];
  });
  if (lengths.some(Number.isNaN) || (!gamma && sizeOf(lengths) > MOST_ONES)) return undefined;
  const scale = gamma
    ? parameter(task, "gamma", gamma, lengths)
    : draft.filled("ones", lengths, types.inner, 1);
  const bias = beta && parameter(task, "beta", beta, lengths);
  if (scale === undefined || (beta && bias === undefined)) return undefined;
  const x = draft.transposed(draft.cast(found.x, types.x, types.inner), order);
  const normalized = draft.node(operator, bias === undefined ? [x, scale] : [x, scale, bias], {
    axis: { integer: -axes.length },
    epsilon: { float: found.epsilon },
    ...(types.inner !== "float32" && { stash_type: { integer: 1 } }),
  });
  const back = order.map((_, axis) => order.indexOf(axis));
  return draft.cast(draft.transposed(normalized, back), types.inner, types.y);
}

/** GroupNormalization (21): except for onnxruntime, which computes it as E[x²] − E[x]². */
function group(task: Task): Written {
  const { found, draft, types, shape } = task;
  const { channels = 1, groups } = found;
  const length = channelsOf(found);
  if (groups === undefined || length === undefined || found.axes.length !== shape.length - 1)
    return undefined;
  if (draft.place.isForOnnxRuntime || draft.place.version < 21) {
    return isNarrow(found.statisticsType) && !found.cancels ? groupAsInstances(task, groups) : undefined;
  }
  const scale = perChannel(task, "gamma", length, 1);
  const bias = perChannel(task, "beta", length, 0);
  if (scale === undefined || bias === undefined) return undefined;
  const normalized = channelsFirst(task, channels, types.inner, (x) =>
    draft.node("GroupNormalization", [x, scale, bias], {
      num_groups: { integer: groups },
      epsilon: { float: found.epsilon },
      ...(types.inner !== "float32" && { stash_type: { integer: 1 } }),
    }),
  );
  return { value: normalized, title: inPlaceOf("GroupNormalization", draft) };
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
  const scaled = affine(task, back, "float32", found.gamma, found.beta);
  if (scaled === undefined) return undefined;
  const value = draft.cast(scaled, "float32", types.y);
  return { value, title: (count) => `group normalization in float32 in place of ${counted(count)}` };
}

/** InstanceNormalization, which every operator set has, in float32: it does not say what its statistics are in. */
function instance(task: Task): Written {
  const { found, draft, types, shape } = task;
  const { channels = 1, axes } = found;
  const spatial = shape.map((_, axis) => axis).filter((axis) => axis !== 0 && axis !== channels);
  if (spatial.length === 0 || channels === 0 || !spatial.every((axis, i) => axes[i] === axis))
    return undefined;
  if (axes.length !== spatial.length) return undefined;
  if (draft.place.isForOnnxRuntime && draft.place.version >= 17) {
    const plain: Task = { ...task, types: { ...types, y: types.inner } };
    const normalized = overLast(plain, "LayerNormalization");
    const scaled = normalized && affine(task, normalized, types.inner, found.gamma, found.beta);
    if (scaled !== undefined) {
      return {
        value: draft.cast(scaled, types.inner, types.y),
        title: inPlaceOf("LayerNormalization over positions", draft),
      };
    }
  }
  const length = channelsOf(found);
  if (length === undefined) return undefined;
  const floats: Task = { ...task, types: { ...types, inner: "float32" } };
  const scale = perChannel(floats, "gamma", length, 1);
  const bias = perChannel(floats, "beta", length, 0);
  if (scale === undefined || bias === undefined) return undefined;
  const value = channelsFirst(task, channels, "float32", (x) =>
    draft.node("InstanceNormalization", [x, scale, bias], { epsilon: { float: found.epsilon } }),
  );
  return { value, title: inPlaceOf("InstanceNormalization", draft) };
}

/** The smaller operators, in float32 and from the mean, where what is there goes wrong. */
function safe(task: Task, centred: boolean): Written {
  const { found, draft, types, shape } = task;
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
  const quotient = draft.node("Div", [d, draft.node("Sqrt", [draft.node("Add", [variance, epsilon])])]);
  const xHat = isGroup ? draft.node("Reshape", [quotient, lengthsOf(draft, found.x, shape)]) : quotient;
  const scaled = affine(task, xHat, "float32", found.gamma, found.beta);
  if (scaled === undefined) return undefined;
  return {
    value: draft.cast(scaled, "float32", types.y),
    title: (count) =>
      `statistics in float32${found.cancels ? ", from the mean," : ""} in place of ${counted(count)}`,
  };
}

/** xHat·gamma + beta by operators of their own; undefined where they do not follow the axes that they should. */
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
    const shape = alongAxes(task, given);
    if (shape === undefined) return undefined;
    const existing = existingConstant(task, given, shape, dtype);
    const name = existing ?? draftConstant(task, what, given, shape, dtype);
    value = task.draft.node(operator, [value, name]);
  }
  return value;
}

/** A parameter's shape as it broadcasts to x. */
function alongAxes({ found, shape }: Task, { shape: own }: Parameter): number[] | undefined {
  const isPerChannel = found.norm === "groupNorm" || found.norm === "instanceNorm";
  const axes = isPerChannel ? [found.channels ?? 1] : found.axes;
  const isTrailing = !isPerChannel && axes[0] === shape.length - axes.length;
  // those of trailing axes broadcast as they are
  if (isTrailing) return own.length <= shape.length ? [...own] : undefined;
  if (own.length !== axes.length) return undefined;
  const first = Math.min(...axes);
  return shape.slice(first).map((_, i) => (axes.includes(first + i) ? own[axes.indexOf(first + i)] : 1));
}

/** A parameter with exactly these lengths, to which its own broadcast. */
function parameter(
  task: Task,
  what: string,
  given: Parameter,
  lengths: readonly number[],
): string | undefined {
  const { inner } = task.types;
  const existing = existingConstant(task, given, lengths, inner);
  if (existing !== undefined) return existing;
  const values = broadcast(given, lengths);
  return values && task.draft.constant(what, { shape: lengths, dtype: inner, values });
}

/** gamma or beta [channels] of the operators that want both. */
function perChannel(
  task: Task,
  what: "gamma" | "beta",
  channels: number,
  without: number,
): string | undefined {
  const given = task.found[what];
  return given
    ? parameter(task, what, given, [channels])
    : task.draft.filled(what, [channels], task.types.inner, without);
}

/** The constant that a parameter is, where it can be read as it stands. */
function existingConstant(
  { wiring }: Task,
  { name }: Parameter,
  shape: readonly number[],
  dtype: FloatType,
): string | undefined {
  const constant = name === undefined ? undefined : wiring.constant(name);
  const fits =
    constant?.dtype === dtype &&
    constant.shape.length === shape.length &&
    constant.shape.every((length, axis) => length === shape[axis]);
  return fits ? name : undefined;
}

function draftConstant(
  { draft }: Task,
  what: string,
  { values }: Parameter,
  shape: readonly number[],
  dtype: FloatType,
): string {
  return draft.constant(what, { shape, dtype, values });
}

/** Values of these lengths, from those of trailing ones of them. */
function broadcast({ shape, values }: Parameter, lengths: readonly number[]): Float64Array | undefined {
  const skipped = lengths.length - shape.length;
  const fits = skipped >= 0 && shape.every((length, i) => length === 1 || length === lengths[skipped + i]);
  if (!fits) return undefined;
  const result = new Float64Array(sizeOf(lengths));
  for (let i = 0; i < result.length; i++) {
    let rest = i;
    let from = 0;
    let stride = 1;
    for (let axis = lengths.length - 1; axis >= skipped; axis--) {
      const own = shape[axis - skipped];
      if (own !== 1) from += (rest % lengths[axis]) * stride;
      stride *= own;
      rest = Math.floor(rest / lengths[axis]);
    }
    result[i] = values[from];
  }
  return result;
}

/** What an operator of [batch, channels, ...] gives of x, whose channels are elsewhere. */
function channelsFirst(
  { found, draft, types, shape }: Task,
  channels: number,
  inner: FloatType,
  operator: (x: string) => string,
): string {
  const others = shape.map((_, axis) => axis).filter((axis) => axis !== 0 && axis !== channels);
  const order = [0, channels, ...others];
  const x = draft.transposed(draft.cast(found.x, types.x, inner), order);
  const back = order.map((_, axis) => order.indexOf(axis));
  return draft.cast(draft.transposed(operator(x), back), inner, types.y);
}

function channelsOf({ channels = 1, shape, gamma, beta }: Found): number | undefined {
  const length = [shape[channels], gamma?.values.length, beta?.values.length].find(
    (one) => one !== undefined && !Number.isNaN(one),
  );
  return length;
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

function inPlaceOf(operator: string, { place }: Draft): (count: number) => string {
  return (count) => `${operator} (opset ${place.version}) in place of ${counted(count)}`;
}

/** Undefined where a type is not known, or is float64, which the operators' statistics are too narrow for. */
function typesOf(found: Found, wiring: Wiring): Types | undefined {
  const x = found.dtype ?? wiring.info(found.x).dtype;
  if (!isComputed(x)) return undefined;
  const y = typeAfter(found, wiring, x);
  if (!isComputed(y)) return undefined;
  const given = [found.gamma, found.beta].flatMap((parameter) => parameter ?? []);
  const fits = x === "float32" || given.every(({ values }) => isExact(values, x));
  return { x, y, inner: fits ? x : "float32" };
}

function isComputed(dtype: string | undefined): dtype is FloatType {
  return dtype === "float32" || dtype === "float16" || dtype === "bfloat16";
}

/** The type of y, from that of x and the casts between. */
function typeAfter(found: Found, wiring: Wiring, x: FloatType): string | undefined {
  const types = new Map<string, string | undefined>([[found.x, x]]);
  const typeOf = (name: string) => types.get(name) ?? wiring.info(name).dtype;
  for (const { operator, inputs, outputs, attributes } of found.nodes) {
    const to = attributes.get("to")?.value;
    const dtype =
      operator === "Cast"
        ? typeof to === "string"
          ? to
          : undefined
        : operator === "CastLike"
          ? typeOf(inputs[1])
          : inputs.map((name) => types.get(name)).find((type) => type !== undefined);
    for (const output of outputs) types.set(output, dtype);
  }
  return typeOf(found.y);
}
