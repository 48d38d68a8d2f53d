/**
 * Formulas at once, in plain float64 loops without gradients: what a network computes, were it exact, and what hosts and programs
 * are held to.
 */
import { erf, narrow } from "../kernels/host-loops.js";
import { broadcastShape, sizeOf } from "../shape.js";
import { composedNormalize } from "./composed.js";
import type { NarrowType, Operand, Ops } from "./ops.js";

/** A row-major array. */
export interface Values64 {
  readonly shape: readonly number[];
  readonly data: Float64Array;
}

/** The host whose arrays are float64. Those that it gives may share memory with those that it was given. */
export class Eager implements Ops<Values64> {
  constant = (values: ArrayLike<number>, shape: readonly number[]): Values64 => ({
    shape,
    data: new Float64Array(values),
  });
  shape = (x: Values64) => x.shape;
  add = binary((a, b) => a + b);
  sub = binary((a, b) => a - b);
  mul = binary((a, b) => a * b);
  div = binary((a, b) => a / b);
  max = binary(Math.max);
  min = binary(Math.min);
  greater = binary((a, b) => (a > b ? 1 : 0));
  abs = unary(Math.abs);
  exp = unary(Math.exp);
  sqrt = unary(Math.sqrt);
  tanh = unary(Math.tanh);
  sigmoid = unary((x) => 1 / (1 + Math.exp(-x)));
  erf = unary(erf);
  pow = (x: Values64, exponent: number) => unary((value) => value ** exponent)(x);
  rounded = (x: Values64, type: NarrowType) => unary(narrow[type])(x);

  where(condition: Values64, a: Operand<Values64>, b: Operand<Values64>): Values64 {
    const all = [condition, given(a), given(b)];
    const shape = all.map((one) => one.shape).reduce(broadcastShape);
    const data = new Float64Array(sizeOf(shape));
    const [holds, yes, no] = all.map((one) => one.data);
    const strides = all.map((one) => broadcastStrides(one.shape, shape));
    eachRow(shape, strides, (at, [p, q, r], length, [step, left, right]) => {
      for (let i = 0; i < length; i++) {
        data[at + i] = holds[p + i * step] === 0 ? no[r + i * right] : yes[q + i * left];
      }
    });
    return { shape, data };
  }

  sum = (x: Values64, axes: readonly number[]) => reduced(x, axes, 0, (a, b) => a + b);
  largest = (x: Values64, axes: readonly number[]) => reduced(x, axes, Number.NEGATIVE_INFINITY, Math.max);

  sorted({ shape, data }: Values64): Values64 {
    const sorted = data.slice();
    const length = shape[shape.length - 1];
    for (let from = 0; from < data.length; from += length) sorted.subarray(from, from + length).sort();
    return { shape, data: sorted };
  }

  matMul(a: Values64, b: Values64): Values64 {
    const [m, k] = a.shape.slice(-2);
    const [n] = b.shape.slice(-1);
    const shape = [...a.shape.slice(0, -1), n];
    const data = new Float64Array(sizeOf(shape));
    const rows = m === 0 || n === 0 ? 0 : data.length / n;
    for (let row = 0; row < rows; row++) {
      const matrix = Math.floor(row / m) * k * n;
      for (let j = 0; j < k; j++) {
        const factor = a.data[row * k + j];
        const [from, to] = [matrix + j * n, row * n];
        for (let column = 0; column < n; column++) data[to + column] += factor * b.data[from + column];
      }
    }
    return { shape, data };
  }

  reshape = ({ data }: Values64, shape: readonly number[]): Values64 => ({ shape, data });

  transpose = (x: Values64, order: readonly number[]): Values64 => {
    const strides = stridesOf(x.shape);
    return gathered(
      x,
      order.map((axis) => x.shape[axis]),
      order.map((axis) => strides[axis]),
      0,
    );
  };

  slice = (x: Values64, axis: number, from: number, to: number): Values64 => {
    const strides = stridesOf(x.shape);
    const shape = x.shape.map((length, one) => (one === axis ? to - from : length));
    return gathered(x, shape, strides, from * strides[axis]);
  };

  concat(parts: readonly Values64[], axis: number): Values64 {
    const length = parts.reduce((total, { shape }) => total + shape[axis], 0);
    const shape = parts[0].shape.map((all, one) => (one === axis ? length : all));
    const data = new Float64Array(sizeOf(shape));
    const strides = stridesOf(shape);
    let from = 0;
    for (const part of parts) {
      const offset = from * strides[axis];
      eachRow(part.shape, [strides], (at, [to], count, [step]) => {
        for (let i = 0; i < count; i++) data[offset + to + i * step] = part.data[at + i];
      });
      from += part.shape[axis];
    }
    return { shape, data };
  }

  stop(x: Values64): Values64 {
    return x;
  }

  normalize: Ops<Values64>["normalize"] = (norm, x, operands) => composedNormalize(this, norm, x, operands);
}

const given = (operand: Operand<Values64>): Values64 =>
  typeof operand === "number" ? { shape: [], data: Float64Array.of(operand) } : operand;

function unary(value: (x: number) => number) {
  return ({ shape, data }: Values64): Values64 => {
    const values = new Float64Array(data.length);
    for (let i = 0; i < values.length; i++) values[i] = value(data[i]);
    return { shape, data: values };
  };
}

function binary(value: (a: number, b: number) => number) {
  return (a: Operand<Values64>, b: Operand<Values64>): Values64 => {
    const [p, q] = [given(a), given(b)];
    const shape = broadcastShape(p.shape, q.shape);
    const data = new Float64Array(sizeOf(shape));
    const [left, right] = [p.data, q.data];
    const strides = [p, q].map((one) => broadcastStrides(one.shape, shape));
    eachRow(shape, strides, (at, [l, r], length, [one, other]) => {
      for (let i = 0; i < length; i++) data[at + i] = value(left[l + i * one], right[r + i * other]);
    });
    return { shape, data };
  };
}

function reduced(
  x: Values64,
  axes: readonly number[],
  start: number,
  merge: (a: number, b: number) => number,
): Values64 {
  const shape = x.shape.map((length, axis) => (axes.includes(axis) ? 1 : length));
  const data = new Float64Array(sizeOf(shape)).fill(start);
  eachRow(x.shape, [broadcastStrides(shape, x.shape)], (at, [to], length, [step]) => {
    for (let i = 0; i < length; i++) data[to + i * step] = merge(data[to + i * step], x.data[at + i]);
  });
  return { shape, data };
}

function gathered(
  x: Values64,
  shape: readonly number[],
  strides: readonly number[],
  offset: number,
): Values64 {
  const data = new Float64Array(sizeOf(shape));
  eachRow(shape, [strides], (at, [from], length, [step]) => {
    for (let i = 0; i < length; i++) data[at + i] = x.data[offset + from + i * step];
  });
  return { shape, data };
}

const stridesOf = (shape: readonly number[]) => shape.map((_, axis) => sizeOf(shape.slice(axis + 1)));

/** Those by which an array is read as though it had this shape, which it broadcasts to. */
function broadcastStrides(own: readonly number[], shape: readonly number[]): readonly number[] {
  const strides = stridesOf(own);
  const missing = shape.length - own.length;
  return shape.map((_, axis) => (axis < missing || own[axis - missing] === 1 ? 0 : strides[axis - missing]));
}

/**
 * Visits the rows of an array in order: where each begins, `at` in the array itself and `from` in others of these strides, which go
 * on by `steps`. Axes that lie one behind the other in all of them are one.
 */
function eachRow(
  shape: readonly number[],
  strides: readonly (readonly number[])[],
  visit: (at: number, from: readonly number[], length: number, steps: readonly number[]) => void,
): void {
  const lengths: number[] = [];
  const joined: number[][] = strides.map(() => []);
  shape.forEach((length, axis) => {
    if (length === 1) return;
    const last = lengths.length - 1;
    if (last >= 0 && strides.every((all, i) => joined[i][last] === all[axis] * length)) {
      lengths[last] *= length;
      strides.forEach((all, i) => {
        joined[i][last] = all[axis];
      });
    } else {
      lengths.push(length);
      strides.forEach((all, i) => {
        joined[i].push(all[axis]);
      });
    }
  });
  const total = sizeOf(lengths);
  const length = lengths.pop() ?? 1;
  const steps = joined.map((all) => all.pop() ?? 0);
  const position = new Array<number>(lengths.length).fill(0);
  const from = strides.map(() => 0);
  for (let at = 0; at < total; at += length) {
    visit(at, from, length, steps);
    for (let axis = lengths.length - 1; axis >= 0; axis--) {
      const wraps = ++position[axis] === lengths[axis];
      for (let i = 0; i < from.length; i++) from[i] += joined[i][axis] * (wraps ? 1 - lengths[axis] : 1);
      if (!wraps) break;
      position[axis] = 0;
    }
  }
}
