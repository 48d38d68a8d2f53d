/** Formulas at once, in plain float64 loops without gradients: what hosts and programs are held to. */
import { composedNormalize } from "../../src/formula/composed.js";
import type { NarrowType, Operand, Ops } from "../../src/formula/ops.js";
import { erf, rounding } from "../../src/kernels/host-loops.js";
import { broadcastShape, sameShape, sizeOf } from "../../src/shape.js";

export interface Values {
  readonly shape: readonly number[];
  readonly data: Float64Array;
}

export class Eager implements Ops<Values> {
  constant = (values: ArrayLike<number>, shape: readonly number[]): Values => ({
    shape,
    data: Float64Array.from(values),
  });
  shape = (x: Values) => x.shape;
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
  pow = (x: Values, exponent: number) => unary((value) => value ** exponent)(x);
  rounded = (x: Values, type: NarrowType) =>
    unary(type === "float16" ? rounding(11, -14, 65504) : rounding(8, -126, 2 ** 127 * (2 - 2 ** -7)))(x);

  where(condition: Values, a: Operand<Values>, b: Operand<Values>): Values {
    const [p, q] = [given(a), given(b)];
    const shape = [condition.shape, p.shape, q.shape].reduce(broadcastShape);
    const [holds, yes, no] = [condition, p, q].map((one) => broadcast(one, shape));
    return { shape, data: holds.map((value, i) => (value === 0 ? no[i] : yes[i])) };
  }

  sum = (x: Values, axes: readonly number[]) => reduced(x, axes, 0, (a, b) => a + b);
  largest = (x: Values, axes: readonly number[]) => reduced(x, axes, Number.NEGATIVE_INFINITY, Math.max);

  sorted({ shape, data }: Values): Values {
    const sorted = data.slice();
    const length = shape[shape.length - 1];
    for (let from = 0; from < data.length; from += length) sorted.subarray(from, from + length).sort();
    return { shape, data: sorted };
  }

  matMul(a: Values, b: Values): Values {
    const [m, k] = a.shape.slice(-2);
    const [n] = b.shape.slice(-1);
    const shape = [...a.shape.slice(0, -1), n];
    const data = new Float64Array(sizeOf(shape));
    for (let i = 0; i < data.length; i++) {
      const [row, column] = [Math.floor(i / n), i % n];
      const matrix = Math.floor(row / m) * k * n;
      for (let j = 0; j < k; j++) data[i] += a.data[row * k + j] * b.data[matrix + j * n + column];
    }
    return { shape, data };
  }

  reshape = ({ data }: Values, shape: readonly number[]): Values => ({ shape, data });

  transpose = (x: Values, order: readonly number[]): Values => {
    const strides = stridesOf(x.shape);
    return gathered(
      x,
      order.map((axis) => x.shape[axis]),
      order.map((axis) => strides[axis]),
      0,
    );
  };

  slice = (x: Values, axis: number, from: number, to: number): Values => {
    const strides = stridesOf(x.shape);
    const shape = x.shape.map((length, one) => (one === axis ? to - from : length));
    return gathered(x, shape, strides, from * strides[axis]);
  };

  concat(parts: readonly Values[], axis: number): Values {
    const length = parts.reduce((total, { shape }) => total + shape[axis], 0);
    const shape = parts[0].shape.map((all, one) => (one === axis ? length : all));
    const data = new Float64Array(sizeOf(shape));
    const strides = stridesOf(shape);
    let from = 0;
    for (const part of parts) {
      const places = walk(part.shape, strides, from * strides[axis]);
      part.data.forEach((value, i) => {
        data[places[i]] = value;
      });
      from += part.shape[axis];
    }
    return { shape, data };
  }

  stop(x: Values): Values {
    return x;
  }

  normalize: Ops<Values>["normalize"] = (norm, x, operands) => composedNormalize(this, norm, x, operands);
}

/** The same for central differences: constants keep the values that they had in the first run. */
export class Frozen extends Eager {
  private readonly first: Values[] = [];
  private next = 0;

  replay(): this {
    this.next = 0;
    return this;
  }

  override stop(x: Values): Values {
    const { next } = this;
    this.next++;
    this.first[next] ??= { shape: x.shape, data: x.data.slice() };
    return this.first[next];
  }
}

const given = (operand: Operand<Values>): Values =>
  typeof operand === "number" ? { shape: [], data: Float64Array.of(operand) } : operand;

function unary(value: (x: number) => number) {
  return ({ shape, data }: Values): Values => ({ shape, data: data.map((one) => value(one)) });
}

function binary(value: (a: number, b: number) => number) {
  return (a: Operand<Values>, b: Operand<Values>): Values => {
    const [p, q] = [given(a), given(b)];
    const shape = broadcastShape(p.shape, q.shape);
    const [left, right] = [p, q].map((one) => broadcast(one, shape));
    return { shape, data: left.map((one, i) => value(one, right[i])) };
  };
}

function reduced(
  x: Values,
  axes: readonly number[],
  start: number,
  merge: (a: number, b: number) => number,
): Values {
  const shape = x.shape.map((length, axis) => (axes.includes(axis) ? 1 : length));
  const strides = stridesOf(shape).map((stride, axis) => (shape[axis] === 1 ? 0 : stride));
  const data = new Float64Array(sizeOf(shape)).fill(start);
  const places = walk(x.shape, strides, 0);
  x.data.forEach((value, i) => {
    data[places[i]] = merge(data[places[i]], value);
  });
  return { shape, data };
}

function broadcast(x: Values, shape: readonly number[]): Float64Array {
  if (sameShape(x.shape, shape)) return x.data;
  const missing = shape.length - x.shape.length;
  const own = stridesOf(x.shape);
  const strides = shape.map((_, axis) =>
    axis < missing || x.shape[axis - missing] === 1 ? 0 : own[axis - missing],
  );
  return gathered(x, shape, strides, 0).data;
}

function gathered(x: Values, shape: readonly number[], strides: readonly number[], offset: number): Values {
  return { shape, data: Float64Array.from(walk(shape, strides, offset), (place) => x.data[place]) };
}

const stridesOf = (shape: readonly number[]) => shape.map((_, axis) => sizeOf(shape.slice(axis + 1)));

/** The places that one comes to in walking a shape. */
function walk(shape: readonly number[], strides: readonly number[], offset: number): Int32Array {
  const places = new Int32Array(sizeOf(shape));
  const position = new Array<number>(shape.length).fill(0);
  let place = offset;
  for (let i = 0; i < places.length; i++) {
    places[i] = place;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      place += strides[axis];
      if (++position[axis] < shape[axis]) break;
      place -= strides[axis] * shape[axis];
      position[axis] = 0;
    }
  }
  return places;
}
