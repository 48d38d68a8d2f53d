/** What meanings of operators are written with: a node's operands and settings, and moves of values composed from `Ops`. */
import type { ElementaryOps, Operand, Ops } from "../../formula/ops.js";
import { planOf } from "../../formula/plan.js";
import { mean, square } from "../../formula/terms.js";
import { broadcastShape, MOST_AXES, resolveAxes, resolveAxis, sameShape, sizeOf } from "../../shape.js";
import type { Attribute, Node } from "./graph.js";

/** A node, with what it reads. */
export interface Call<T> {
  readonly ops: Ops<T>;
  readonly node: Node;
  /** Undefined where an optional one is left out, and where nothing is known of it. */
  readonly inputs: readonly (T | undefined)[];
  /** The values of an input, row-major, where they are known before the network runs: axes, shapes, exponents. */
  known(input: number): readonly number[] | undefined;
  /** The type of an input, where it is known; integers divide otherwise than reals do. */
  dtype?(input: number): string | undefined;
  /** The values of a setting that is a constant, where they are known. */
  setting?(name: string): ArrayLike<number> | undefined;
  /** x as another type; undefined where that has no meaning to the host. Absent: reals stay as they are, and nothing becomes an integer. */
  cast?(x: T, to: string): T | undefined;
  /** x broadcast to a shape. Absent: by adding zeros. */
  expand?(x: T, shape: readonly number[]): T;
}

/** What an operator gives, each output. @throws UNKNOWN, RangeError where it has no meaning */
export type Meaning = <T>(operands: Operands<T>) => readonly T[];

/** Thrown where a node has no meaning: it is no error, and carries nothing. */
export const UNKNOWN = Symbol("unknown");

/** Values that are gathered one by one, at most. */
const MOST_PICKED = 256;

/** Parts that an axis is split into evenly, at most. */
const MOST_PARTS = 4096;

/** Zeros that are made to broadcast by, at most. */
const MOST_ZEROS = 2 ** 24;

/** Whether a type is of reals; those of 8 bits and fewer are codes of other values. */
export function isReal(dtype: string): boolean {
  return /^(float(16|32|64)|bfloat16)$/.test(dtype);
}

/** What there is for a node's operator, in tables for those whose operators they are. */
export function ofDialect<V>(
  { domain, operator, opset }: Node,
  tables: Readonly<Record<"onnx" | "microsoft" | "tensorflow", Readonly<Record<string, V>>>>,
): V | undefined {
  let table: Readonly<Record<string, V>> | undefined;
  if (domain === "") table = opset === 0 ? tables.tensorflow : tables.onnx;
  else if (domain === "com.microsoft") table = tables.microsoft;
  return table && Object.hasOwn(table, operator) ? table[operator] : undefined;
}

/** What `run` gives; undefined where it ends by `UNKNOWN`, or shapes do not fit. */
export function unlessUnknown<V>(run: () => V): V | undefined {
  try {
    return run();
  } catch (error) {
    if (error === UNKNOWN || error instanceof RangeError) return undefined;
    throw error;
  }
}

/** A node's operands and settings. What is not known ends a meaning, by `UNKNOWN`. */
export class Operands<T> {
  readonly ops: Ops<T>;
  readonly node: Node;
  /** How many are given, those left out at the end not among them. */
  readonly count: number;

  constructor(private readonly call: Call<T>) {
    this.ops = call.ops;
    this.node = call.node;
    let { length } = call.node.inputs;
    while (length > 0 && call.node.inputs[length - 1] === "") length--;
    this.count = length;
  }

  has(input: number): boolean {
    return (this.node.inputs[input] ?? "") !== "";
  }

  /** One that must be there. */
  at(input: number): T {
    return this.call.inputs[input] ?? unknown();
  }

  /** One that may be left out. */
  optional(input: number): T | undefined {
    return this.has(input) ? this.at(input) : undefined;
  }

  /** Those that are given, at least one. */
  all(): T[] {
    if (this.count === 0) unknown();
    return Array.from({ length: this.count }, (_, input) => this.at(input));
  }

  shape(input = 0): readonly number[] {
    return this.ops.shape(this.at(input));
  }

  /** Numbers that must be known before the network runs. */
  known(input: number): readonly number[] {
    return this.call.known(input) ?? unknown();
  }

  /** The same, undefined where they are not. */
  knownOr(input: number): readonly number[] | undefined {
    return this.call.known(input);
  }

  /** The same of one that may be left out. */
  knownIfGiven(input: number): readonly number[] | undefined {
    return this.has(input) ? this.known(input) : undefined;
  }

  /** The one value of an input, where it is known. */
  scalar(input: number): number | undefined {
    const values = this.call.known(input);
    return values?.length === 1 ? values[0] : undefined;
  }

  dtype(input: number): string | undefined {
    return this.call.dtype?.(input);
  }

  /** Ends the meaning where these operands are integers, which are rounded where reals are not. */
  reals(...inputs: readonly number[]): void {
    for (const input of inputs) {
      const dtype = this.dtype(input);
      if (dtype !== undefined && !isReal(dtype)) unknown();
    }
  }

  cast(x: T, to: string): T {
    if (this.call.cast) return this.call.cast(x, to) ?? unknown();
    return isReal(to) ? x : unknown();
  }

  /** x broadcast to a shape that it broadcasts to. */
  expanded(x: T, shape: readonly number[]): T {
    const { ops, call } = this;
    if (sameShape(ops.shape(x), shape)) return x;
    if (!isShape(shape)) unknown();
    if (!sameShape(broadcastShape(ops.shape(x), shape), shape)) unknown();
    if (call.expand) return call.expand(x, shape);
    const size = sizeOf(shape);
    if (size > MOST_ZEROS) unknown();
    return ops.add(x, ops.constant(new Float32Array(size), shape));
  }

  attribute(name: string): Attribute["value"] {
    const found = this.node.attributes.get(name);
    // in a function, the call says it
    return found?.reference ? unknown() : found?.value;
  }

  hasAttribute(name: string): boolean {
    return this.node.attributes.has(name);
  }

  number(name: string, absent: number): number {
    const value = this.attribute(name) ?? absent;
    return typeof value === "number" ? value : unknown();
  }

  text(name: string, absent: string): string {
    const value = this.attribute(name) ?? absent;
    return typeof value === "string" ? value : unknown();
  }

  flag(name: string, absent: boolean): boolean {
    const value = this.attribute(name) ?? Number(absent);
    // boolean attributes of TensorFlow may come as texts
    return value === "true" || (value !== "false" && Number(value) !== 0);
  }

  list(name: string): readonly number[] | undefined {
    const value = this.attribute(name);
    if (value === undefined) return undefined;
    if (typeof value === "number") return [value];
    if (typeof value === "string") return unknown();
    return (value as readonly unknown[]).every((one) => typeof one === "number")
      ? (value as readonly number[])
      : unknown();
  }

  /** The one value of a setting that is a constant. */
  constant(name: string, absent: number): number {
    if (!this.hasAttribute(name)) return absent;
    const values = this.call.setting?.(name);
    return values?.length === 1 ? values[0] : unknown();
  }

  /** An axis of an operand, counted from 0. @throws RangeError where it has none such */
  axis(axis: number, rank = this.shape().length): number {
    return resolveAxis(this.node.operator, axis, rank);
  }

  axes(axes: readonly number[], rank = this.shape().length): number[] {
    return resolveAxes(this.node.operator, axes, rank);
  }
}

/** Ends a meaning. */
export function unknown(): never {
  throw UNKNOWN;
}

/** Whether these are lengths of an array's axes. */
export function isShape(lengths: readonly number[]): boolean {
  return lengths.length <= MOST_AXES && lengths.every((length) => Number.isInteger(length) && length >= 0);
}

/** Axes of this rank from one on. */
export function axesFrom(first: number, rank: number): number[] {
  return Array.from({ length: rank - first }, (_, i) => first + i);
}

/** Without these axes, which have a length of 1. */
export function squeezed<T>(ops: ElementaryOps<T>, x: T, axes: readonly number[]): T {
  const shape = ops.shape(x);
  if (axes.some((axis) => shape[axis] !== 1)) unknown();
  return ops.reshape(
    x,
    shape.filter((_, axis) => !axes.includes(axis)),
  );
}

/** With axes of length 1 put in, which are these of the result, counted from 0. */
export function unsqueezed<T>(ops: ElementaryOps<T>, x: T, axes: readonly number[]): T {
  const rest = [...ops.shape(x)];
  if (axes.length > MOST_AXES) unknown();
  for (const axis of axes) rest.splice(axis, 0, 1);
  return ops.reshape(x, rest);
}

/** A shape as Reshape has it: 0 is the length that x has there (if `copies`), −1 what is left. */
export function reshaped<T>(ops: ElementaryOps<T>, x: T, wanted: readonly number[], copies: boolean): T {
  const old = ops.shape(x);
  const shape = wanted.map((length, axis) => (length === 0 && copies ? (old[axis] ?? unknown()) : length));
  const open = shape.indexOf(-1);
  const total = sizeOf(old);
  if (open >= 0) {
    const rest = sizeOf(shape.filter((_, axis) => axis !== open));
    shape[open] = rest === 0 ? 0 : total / rest;
  }
  if (shape.some((length) => !Number.isInteger(length) || length < 0) || sizeOf(shape) !== total) unknown();
  return ops.reshape(x, shape);
}

/** `count` places along an axis, `step` apart, from one on. */
export function strided<T>(
  ops: ElementaryOps<T>,
  x: T,
  axis: number,
  from: number,
  count: number,
  step: number,
): T {
  const shape = ops.shape(x);
  if (step === 1 || count <= 1) {
    return from === 0 && count === shape[axis] ? x : ops.slice(x, axis, from, from + Math.max(count, 0));
  }
  if (step < 0) return picked(ops, x, axis, places(from, count, step));
  // whole steps as rows of which the first column is taken, and what may lack the rest of its row
  const rows = ops.slice(x, axis, from, from + (count - 1) * step);
  const split = [...shape.slice(0, axis), count - 1, step, ...shape.slice(axis + 1)];
  const first = ops.slice(ops.reshape(rows, split), axis + 1, 0, 1);
  const last = from + (count - 1) * step;
  return ops.concat([squeezed(ops, first, [axis + 1]), ops.slice(x, axis, last, last + 1)], axis);
}

function places(from: number, count: number, step: number): number[] {
  if (count > MOST_PICKED) unknown();
  return Array.from({ length: count }, (_, i) => from + i * step);
}

/** These places along an axis, runs of neighbours at once. */
export function picked<T>(ops: ElementaryOps<T>, x: T, axis: number, wanted: readonly number[]): T {
  const length = ops.shape(x)[axis];
  if (wanted.length > MOST_PICKED || wanted.length === 0) unknown();
  const parts: T[] = [];
  let from = 0;
  for (let i = 1; i <= wanted.length; i++) {
    if (i < wanted.length && wanted[i] === wanted[i - 1] + 1) continue;
    const first = wanted[from];
    if (!Number.isInteger(first) || first < 0 || !(wanted[i - 1] < length)) unknown();
    parts.push(i - from === length ? x : ops.slice(x, axis, first, first + i - from));
    from = i;
  }
  return parts.length === 1 ? parts[0] : ops.concat(parts, axis);
}

/** x repeated along its axes. */
export function tiled<T>(operands: Operands<T>, x: T, repeats: readonly number[]): T {
  const { ops } = operands;
  if (repeats.length !== ops.shape(x).length) unknown();
  return repeats.reduce((values, count, axis) => {
    if (count === 1) return values;
    const shape = ops.shape(values);
    const apart = [...shape.slice(0, axis), 1, ...shape.slice(axis)];
    const wide = apart.with(axis, count);
    const repeated = operands.expanded(ops.reshape(values, apart), wide);
    return ops.reshape(repeated, shape.with(axis, shape[axis] * count));
  }, x);
}

/** From a place up to another along an axis, counted from the end where they are negative; undefined: all that way. */
export function cut<T>(
  { ops }: Operands<T>,
  x: T,
  axis: number,
  start: number | undefined,
  end: number | undefined,
  step: number,
): T {
  const length = ops.shape(x)[axis];
  if (!Number.isInteger(step) || step === 0) unknown();
  const [least, most] = step > 0 ? [0, length] : [-1, length - 1];
  const placed = (place: number) => Math.min(Math.max(place < 0 ? place + length : place, least), most);
  const from = start === undefined ? (step > 0 ? 0 : most) : Math.max(placed(start), 0);
  const to = end === undefined ? (step > 0 ? most : least) : placed(end);
  return strided(ops, x, axis, from, Math.max(0, Math.ceil((to - from) / step)), step);
}

/** Consecutive parts of one length along an axis, the last of what is left. */
export function splitEvenly<T>(ops: ElementaryOps<T>, x: T, axis: number, count: number): T[] {
  const length = ops.shape(x)[axis];
  if (!(Number.isInteger(count) && count >= 1 && count <= MOST_PARTS)) unknown();
  const each = Math.ceil(length / count);
  const last = length - each * (count - 1);
  return last < 0 ? unknown() : split(ops, x, axis, [...Array<number>(count - 1).fill(each), last]);
}

/** Consecutive parts of these lengths along an axis. */
export function split<T>(ops: ElementaryOps<T>, x: T, axis: number, lengths: readonly number[]): T[] {
  if (lengths.reduce((a, b) => a + b, 0) !== ops.shape(x)[axis]) unknown();
  let from = 0;
  return lengths.map((length) => {
    const part = strided(ops, x, axis, from, length, 1);
    from += length;
    return part;
  });
}

/** a·b as numpy has it: vectors become matrices, leading axes broadcast. */
export function product<T>(operands: Operands<T>, left: T, right: T): T {
  const { ops } = operands;
  const [p, q] = [ops.shape(left), ops.shape(right)];
  if (p.length === 0 || q.length === 0) unknown();
  const a = p.length === 1 ? ops.reshape(left, [1, p[0]]) : left;
  const b = q.length === 1 ? ops.reshape(right, [q[0], 1]) : right;
  const [rows, columns] = [ops.shape(a), ops.shape(b)];
  const inner = rows[rows.length - 1];
  if (inner !== columns[columns.length - 2]) unknown();
  const width = columns[columns.length - 1];
  const lead = broadcastShape(rows.slice(0, -2), columns.slice(0, -2));
  const height = rows[rows.length - 2];
  const multiplied =
    columns.length === 2
      ? ops.matMul(ops.reshape(a, [sizeOf(rows.slice(0, -1)), inner]), b)
      : ops.matMul(
          operands.expanded(a, [...lead, height, inner]),
          operands.expanded(b, [...lead, inner, width]),
        );
  return ops.reshape(multiplied, [
    ...lead,
    ...(p.length === 1 ? [] : [height]),
    ...(q.length === 1 ? [] : [width]),
  ]);
}

/** With its last two axes exchanged. */
export function turned<T>(ops: ElementaryOps<T>, x: T): T {
  const order = [...ops.shape(x).keys()];
  const { length } = order;
  return ops.transpose(x, [...order.slice(0, -2), length - 1, length - 2]);
}

/** exp(x) over its sum along an axis. */
export function softmax<T>(ops: ElementaryOps<T>, x: T, axis: number): T {
  if (ops.softmax && axis === ops.shape(x).length - 1) return ops.softmax(x);
  const powers = ops.exp(ops.sub(x, ops.largest(x, [axis])));
  return ops.div(powers, ops.sum(powers, [axis]));
}

/** How values are brought together over some axes, which remain with length 1. */
export const reductions = {
  sum: (ops, x, axes) => ops.sum(x, axes),
  mean: (ops, x, axes) => mean(ops, x, axes),
  max: (ops, x, axes) => ops.largest(x, axes),
  min: (ops, x, axes) => negative(ops, ops.largest(negative(ops, x), axes)),
  sumOfSquares: (ops, x, axes) => ops.sum(square(ops, x), axes),
  l1: (ops, x, axes) => ops.sum(ops.abs(x), axes),
  l2: (ops, x, axes) => ops.sqrt(ops.sum(square(ops, x), axes)),
} satisfies Record<string, <T>(ops: ElementaryOps<T>, x: T, axes: readonly number[]) => T>;

export type Reduction = keyof typeof reductions;

/** A reduction over axes that remain with length 1, or do not. */
export function reduced<T>(
  ops: ElementaryOps<T>,
  reduction: Reduction,
  x: T,
  axes: readonly number[],
  keeps: boolean,
): T {
  const values =
    axes.length === 0 && /^(sum|mean|max|min)$/.test(reduction) ? x : reductions[reduction](ops, x, axes);
  return keeps ? values : squeezed(ops, values, axes);
}

export function negative<T>(ops: ElementaryOps<T>, x: T): T {
  return ops.mul(x, -1);
}

/** x·Φ(x), or its approximation by tanh. */
export function gelu<T>(ops: ElementaryOps<T>, x: T, approximated: boolean): T {
  const inner = approximated
    ? ops.tanh(ops.mul(ops.add(x, ops.mul(ops.pow(x, 3), 0.044715)), Math.sqrt(2 / Math.PI)))
    : ops.erf(ops.mul(x, Math.SQRT1_2));
  return ops.mul(ops.mul(x, 0.5), ops.add(inner, 1));
}

/** x·sigmoid(factor·x). */
export function swish<T>(ops: ElementaryOps<T>, x: T, factor: Operand<T>): T {
  return ops.mul(x, ops.sigmoid(factor === 1 ? x : ops.mul(x, factor)));
}

/** Between 0 and `most`. */
export function clamped<T>(ops: ElementaryOps<T>, x: T, most: number): T {
  return ops.min(ops.max(x, 0), most);
}

/** x less its mean where `centered`, over its root mean square; with statistics of the kept axes' lengths. */
export function standardized<T>(
  ops: Ops<T>,
  x: T,
  how: {
    readonly epsilon: number;
    readonly centered: boolean;
    /** Axes of `viewed` that are not reduced. */
    readonly kept: readonly number[];
    /** The shape of x, perhaps with axes split or joined. */
    readonly viewed?: readonly number[];
    /** Statistics to use instead of those of x, of the kept axes' lengths. */
    readonly mean?: T;
    readonly variance?: T;
  },
): { y: T; mean?: T; variance?: T } {
  const { epsilon, centered, kept, viewed, mean, variance } = how;
  if (!(epsilon >= 0)) unknown();
  const norm = {
    name: "normalization",
    epsilon,
    centered,
    plan: (shape: readonly number[]) => planOf(shape, viewed ?? shape, kept, []),
  };
  return ops.normalize(norm, x, { mean, variance });
}

/** y·gamma + beta. */
export function scaled<T>(ops: ElementaryOps<T>, y: T, gamma?: T, beta?: T): T {
  const product = gamma === undefined ? y : ops.mul(y, gamma);
  return beta === undefined ? product : ops.add(product, beta);
}

/** A value for each channel, to broadcast to an array of this rank. */
export function perChannel<T>(ops: ElementaryOps<T>, values: T, axis: number, rank: number): T {
  const shape = ops.shape(values);
  if (shape.length !== 1) unknown();
  return ops.reshape(values, [shape[0], ...Array<number>(rank - 1 - axis).fill(1)]);
}

/** Of one operand. */
export function unary(value: <T>(ops: ElementaryOps<T>, x: T, operands: Operands<T>) => T): Meaning {
  return (operands) => [value(operands.ops, operands.at(0), operands)];
}

/** Of two operands. */
export function binary(value: <T>(ops: ElementaryOps<T>, a: T, b: T, operands: Operands<T>) => T): Meaning {
  return (operands) => [value(operands.ops, operands.at(0), operands.at(1), operands)];
}

/** Of any number of operands, from the left. */
export function folded(merge: <T>(ops: ElementaryOps<T>, a: T, b: T) => T): Meaning {
  return (operands) => [operands.all().reduce((a, b) => merge(operands.ops, a, b))];
}

/** gamma·x above 0, below it gamma·alpha·(exp(slope·x) − 1). */
export function elu<T>(ops: ElementaryOps<T>, x: T, alpha: number, gamma = 1, slope = 1): T {
  const below = ops.mul(ops.sub(ops.exp(ops.mul(ops.min(x, 0), slope)), 1), alpha);
  const both = ops.add(ops.max(x, 0), below);
  return gamma === 1 ? both : ops.mul(both, gamma);
}

/** x to a power that is known. */
export const power: Meaning = (operands) => {
  const { ops } = operands;
  const exponent = operands.scalar(1) ?? unknown();
  const values = ops.pow(operands.at(0), exponent);
  const shape = operands.shape();
  const missing = operands.shape(1).length - shape.length;
  return [missing > 0 ? ops.reshape(values, [...Array<number>(missing).fill(1), ...shape]) : values];
};
