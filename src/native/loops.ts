/** Arithmetic by plain loops over memory that is the host's own, in the backend's precision, with sums in float64. */
import type { Values } from "../kernels/contract.js";
import { sameShape, sizeOf } from "../shape.js";
import type { Arithmetic, Binary, Unary } from "./arithmetic.js";
import { BackendArray, type PlainArray } from "./array.js";

/** Elementwise functions, and their slopes by x, y and the parameter. */
const unary: Record<
  Unary,
  {
    value(x: number, parameter: number): number;
    slope(x: number, y: number, parameter: number): number;
  }
> = {
  abs: { value: Math.abs, slope: Math.sign },
  exp: { value: Math.exp, slope: (_, y) => y },
  sqrt: { value: Math.sqrt, slope: (_, y) => 0.5 / y },
  tanh: { value: Math.tanh, slope: (_, y) => 1 - y * y },
  sigmoid: { value: (x) => 1 / (1 + Math.exp(-x)), slope: (_, y) => y * (1 - y) },
  erf: { value: erf, slope: (x) => (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) },
  pow: {
    value: (x, exponent) => x ** exponent,
    slope: (x, _, exponent) => exponent * x ** (exponent - 1),
  },
  // the gradient of a rounding passes as it is
  float16: { value: rounding(11, -14, 65504), slope: () => 1 },
  bfloat16: { value: rounding(8, -126, 2 ** 127 * (2 - 2 ** -7)), slope: () => 1 },
};

/** Two arrays of one size, and the gradients of each: loops of their own, which engines compile well. */
interface Pairwise {
  value(p: Values, q: Values, y: Values): void;
  a(gradient: Values, p: Values, q: Values, back: Values): void;
  b(gradient: Values, p: Values, q: Values, back: Values): void;
}

const same = (gradient: Values, _p: Values, _q: Values, back: Values) => back.set(gradient);
const pairwise: Record<Exclude<Binary, "greater">, Pairwise> & { greater: Pick<Pairwise, "value"> } = {
  add: {
    value(p, q, y) {
      for (let i = 0; i < y.length; i++) y[i] = p[i] + q[i];
    },
    a: same,
    b: same,
  },
  sub: {
    value(p, q, y) {
      for (let i = 0; i < y.length; i++) y[i] = p[i] - q[i];
    },
    a: same,
    b(gradient, _p, _q, back) {
      for (let i = 0; i < back.length; i++) back[i] = -gradient[i];
    },
  },
  mul: {
    value(p, q, y) {
      for (let i = 0; i < y.length; i++) y[i] = p[i] * q[i];
    },
    a(gradient, _p, q, back) {
      for (let i = 0; i < back.length; i++) back[i] = gradient[i] * q[i];
    },
    b(gradient, p, _q, back) {
      for (let i = 0; i < back.length; i++) back[i] = gradient[i] * p[i];
    },
  },
  div: {
    value(p, q, y) {
      for (let i = 0; i < y.length; i++) y[i] = p[i] / q[i];
    },
    a(gradient, _p, q, back) {
      for (let i = 0; i < back.length; i++) back[i] = gradient[i] / q[i];
    },
    b(gradient, p, q, back) {
      // in two divisions, whose parts stay in range where q² does not
      for (let i = 0; i < back.length; i++) back[i] = -((gradient[i] / q[i]) * (p[i] / q[i]));
    },
  },
  max: {
    value(p, q, y) {
      for (let i = 0; i < y.length; i++) y[i] = Math.max(p[i], q[i]);
    },
    a(gradient, p, q, back) {
      for (let i = 0; i < back.length; i++) back[i] = p[i] >= q[i] ? gradient[i] : 0;
    },
    b(gradient, p, q, back) {
      for (let i = 0; i < back.length; i++) back[i] = p[i] >= q[i] ? 0 : gradient[i];
    },
  },
  min: {
    value(p, q, y) {
      for (let i = 0; i < y.length; i++) y[i] = Math.min(p[i], q[i]);
    },
    a(gradient, p, q, back) {
      for (let i = 0; i < back.length; i++) back[i] = p[i] <= q[i] ? gradient[i] : 0;
    },
    b(gradient, p, q, back) {
      for (let i = 0; i < back.length; i++) back[i] = p[i] <= q[i] ? 0 : gradient[i];
    },
  },
  greater: {
    value(p, q, y) {
      for (let i = 0; i < y.length; i++) y[i] = p[i] > q[i] ? 1 : 0;
    },
  },
};

export class Loops implements Arithmetic {
  constructor(private readonly precision: Float32ArrayConstructor | Float64ArrayConstructor) {}

  constant(values: ArrayLike<number>, shape: readonly number[]): PlainArray {
    return { shape, data: this.precision.from(values) };
  }

  zeros(shape: readonly number[]): PlainArray {
    return { shape, data: new this.precision(sizeOf(shape)) };
  }

  unary(name: Unary, { shape, data }: PlainArray, parameter = 0): PlainArray {
    const { value } = unary[name];
    const y = new this.precision(data.length);
    for (let i = 0; i < y.length; i++) y[i] = value(data[i], parameter);
    return { shape, data: y };
  }

  unaryGradient(name: Unary, gradient: PlainArray, x: PlainArray, y: PlainArray, parameter = 0): PlainArray {
    const { slope } = unary[name];
    const [upstream, from, to] = [gradient.data, x.data, y.data];
    const back = new this.precision(from.length);
    for (let i = 0; i < back.length; i++) back[i] = upstream[i] * slope(from[i], to[i], parameter);
    return { shape: x.shape, data: back };
  }

  binary(name: Binary, a: PlainArray, b: PlainArray): PlainArray {
    const y = this.zeros(broadcast(a.shape, b.shape));
    const [p, q] = [a, b].map((one) => this.broadcastTo(one, y.shape).data);
    pairwise[name].value(p, q, y.data);
    return y;
  }

  binaryGradient(
    name: Exclude<Binary, "greater">,
    of: "a" | "b",
    gradient: PlainArray,
    a: PlainArray,
    b: PlainArray,
  ): PlainArray {
    const back = this.zeros(gradient.shape);
    const [p, q] = [a, b].map((one) => this.broadcastTo(one, back.shape).data);
    pairwise[name][of](gradient.data, p, q, back.data);
    return this.sumTo(back, (of === "a" ? a : b).shape);
  }

  where(condition: PlainArray, a: PlainArray, b: PlainArray): PlainArray {
    const y = this.zeros(broadcast(broadcast(condition.shape, a.shape), b.shape));
    const [holds, yes, no] = [condition, a, b].map((one) => this.broadcastTo(one, y.shape).data);
    const { data } = y;
    for (let i = 0; i < data.length; i++) data[i] = holds[i] === 0 ? no[i] : yes[i];
    return y;
  }

  sum(x: PlainArray, axes: readonly number[]): PlainArray {
    return this.sumTo(x, without(x.shape, axes));
  }

  largest(x: PlainArray, axes: readonly number[]): PlainArray {
    const shape = without(x.shape, axes);
    const to = places(shape, x.shape);
    const { data } = x;
    const most = new this.precision(sizeOf(shape)).fill(Number.NEGATIVE_INFINITY);
    for (let i = 0; i < data.length; i++) {
      // a NaN is passed on
      if (!(data[i] <= most[to[i]])) most[to[i]] = data[i];
    }
    return { shape, data: most };
  }

  sorted({ shape, data }: PlainArray): PlainArray {
    const y = this.precision.from(data);
    const length = shape[shape.length - 1];
    for (let from = 0; from < y.length; from += length) y.subarray(from, from + length).sort();
    return { shape, data: y };
  }

  sumTo(x: PlainArray, shape: readonly number[]): PlainArray {
    if (sameShape(x.shape, shape)) return x;
    const values = x.data;
    const sums = new Float64Array(sizeOf(shape));
    if (sums.length === 1) {
      let sum = 0;
      for (let i = 0; i < values.length; i++) sum += values[i];
      sums[0] = sum;
    } else if (isTrailing(shape, x.shape)) {
      for (let i = 0; i < values.length; i += sums.length) {
        for (let j = 0; j < sums.length; j++) sums[j] += values[i + j];
      }
    } else {
      const to = places(shape, x.shape);
      for (let i = 0; i < values.length; i++) sums[to[i]] += values[i];
    }
    return { shape, data: this.precision.from(sums) };
  }

  broadcastTo(x: PlainArray, shape: readonly number[]): PlainArray {
    if (sameShape(x.shape, shape)) return x;
    const { data } = x;
    const all = new this.precision(sizeOf(shape));
    if (data.length === 1) all.fill(data[0]);
    else if (isTrailing(x.shape, shape)) {
      for (let i = 0; i < all.length; i += data.length) all.set(data, i);
    } else {
      const from = places(x.shape, shape);
      for (let i = 0; i < all.length; i++) all[i] = data[from[i]];
    }
    return { shape, data: all };
  }

  matMul(a: PlainArray, b: PlainArray, transposeA = false, transposeB = false): PlainArray {
    const leading = a.shape.slice(0, -2);
    const count = sizeOf(leading);
    const [left, right] = [matrices(a, count, transposeA), matrices(b, count, transposeB)];
    const data = products(count, left, right);
    return { shape: [...leading, left.m, right.k], data: this.precision.from(data) };
  }

  reshape(x: PlainArray, shape: readonly number[]): PlainArray {
    // the backend's memory may move
    return { shape, data: x instanceof BackendArray ? x.data.slice() : x.data };
  }

  transpose({ shape, data }: PlainArray, order: readonly number[]): PlainArray {
    const ordered = order.map((axis) => shape[axis]);
    const strides = shape.map((_, axis) => sizeOf(shape.slice(axis + 1)));
    const source = walk(
      ordered,
      order.map((axis) => strides[axis]),
    );
    const y = new this.precision(data.length);
    for (let i = 0; i < y.length; i++) y[i] = data[source[i]];
    return { shape: ordered, data: y };
  }

  slice(x: PlainArray, axis: number, from: number, to: number): PlainArray {
    const y = this.zeros(x.shape.map((length, one) => (one === axis ? to - from : length)));
    copyRows(y, x, axis, from, false);
    return y;
  }

  pad(x: PlainArray, axis: number, before: number, after: number): PlainArray {
    const y = this.zeros(x.shape.map((length, one) => (one === axis ? before + length + after : length)));
    copyRows(x, y, axis, before, true);
    return y;
  }

  concat(parts: readonly PlainArray[], axis: number): PlainArray {
    const length = parts.reduce((total, { shape }) => total + shape[axis], 0);
    const y = this.zeros(parts[0].shape.map((all, one) => (one === axis ? length : all)));
    let from = 0;
    for (const part of parts) {
      copyRows(part, y, axis, from, true);
      from += part.shape[axis];
    }
    return y;
  }
}

/** Axes that are reduced stay with length 1. */
function without(shape: readonly number[], axes: readonly number[]): number[] {
  return shape.map((length, axis) => (axes.includes(axis) ? 1 : length));
}

/** Copies a part, which is the whole from `from` on along an axis, into the whole, or out of it. */
function copyRows(part: PlainArray, whole: PlainArray, axis: number, from: number, into: boolean): void {
  const inner = sizeOf(part.shape.slice(axis + 1));
  const [row, wholeRow] = [part.shape[axis] * inner, whole.shape[axis] * inner];
  const [ofPart, ofWhole] = [part.data, whole.data];
  if (row === 0) return;
  for (let at = 0, there = from * inner; at < ofPart.length; at += row, there += wholeRow) {
    if (into) ofWhole.set(ofPart.subarray(at, at + row), there);
    else ofPart.set(ofWhole.subarray(there, there + row), at);
  }
}

/** The shape of two arrays together, as numpy has it. */
function broadcast(a: readonly number[], b: readonly number[]): readonly number[] {
  if (sameShape(a, b)) return a;
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, axis) => {
    const [p, q] = [a[axis - rank + a.length] ?? 1, b[axis - rank + b.length] ?? 1];
    if (p === q || q === 1) return p;
    if (p === 1) return q;
    throw new RangeError(`shapes [${a.join(", ")}] and [${b.join(", ")}] do not broadcast`);
  });
}

/** Whether the smaller shape is the last axes of the larger one, which it repeats. */
function isTrailing(smaller: readonly number[], larger: readonly number[]): boolean {
  let first = 0;
  while (smaller[first] === 1) first++;
  const axes = smaller.slice(first);
  return sameShape(axes, larger.slice(larger.length - axes.length));
}

/** For each element of the larger shape, the one of the smaller that it takes. */
function places(smaller: readonly number[], larger: readonly number[]): Int32Array {
  const missing = larger.length - smaller.length;
  const strides = larger.map((_, axis) =>
    axis < missing || smaller[axis - missing] === 1 ? 0 : sizeOf(smaller.slice(axis - missing + 1)),
  );
  return walk(larger, strides);
}

/** The places that one comes to in walking a shape with these strides. */
function walk(shape: readonly number[], strides: readonly number[]): Int32Array {
  const visited = new Int32Array(sizeOf(shape));
  const position = new Array<number>(shape.length).fill(0);
  let place = 0;
  for (let i = 0; i < visited.length; i++) {
    visited[i] = place;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      place += strides[axis];
      if (++position[axis] < shape[axis]) break;
      place -= strides[axis] * shape[axis];
      position[axis] = 0;
    }
  }
  return visited;
}

/** Matrices [m, k], one after the other. */
interface Matrices {
  readonly data: Float64Array;
  readonly m: number;
  readonly k: number;
}

/** So many products [m, k] by [k, n]. Row by row, so that memory is read in its order. */
function products(
  count: number,
  { data: left, m, k }: Matrices,
  { data: right, k: n }: Matrices,
): Float64Array {
  const result = new Float64Array(count * m * n);
  for (let one = 0; one < count; one++) {
    for (let i = 0; i < m; i++) {
      const row = (one * m + i) * n;
      for (let at = 0; at < k; at++) {
        const factor = left[(one * m + i) * k + at];
        const other = (one * k + at) * n;
        for (let j = 0; j < n; j++) result[row + j] += factor * right[other + j];
      }
    }
  }
  return result;
}

/** An array's last two axes as matrices [m, k], turned where they are stored transposed. */
function matrices({ shape, data }: PlainArray, count: number, transposed: boolean): Matrices {
  const [rows, columns] = shape.slice(-2);
  if (!transposed) return { data: Float64Array.from(data), m: rows, k: columns };
  const result = new Float64Array(data.length);
  for (let one = 0; one < count; one++) {
    const start = one * rows * columns;
    for (let i = 0; i < rows; i++) {
      for (let j = 0; j < columns; j++) result[start + j * rows + i] = data[start + i * columns + j];
    }
  }
  return { data: result, m: columns, k: rows };
}

/** To so many significant bits, ties to even; subnormal below 2^least, infinite above the largest. */
function rounding(bits: number, least: number, most: number): (x: number) => number {
  return (x) => {
    if (x === 0 || !Number.isFinite(x)) return x;
    const quantum = 2 ** (Math.max(Math.floor(Math.log2(Math.abs(x))), least) - bits + 1);
    const steps = x / quantum;
    const below = Math.floor(steps);
    const rest = steps - below;
    const rounded = (rest > 0.5 || (rest === 0.5 && below % 2 !== 0) ? below + 1 : below) * quantum;
    return Math.abs(rounded) > most ? Math.sign(x) * Number.POSITIVE_INFINITY : rounded;
  };
}

/** The error function, to the precision of float64: its series, and further out its continued fraction. */
export function erf(x: number): number {
  const distance = Math.abs(x);
  if (distance > 6) return Math.sign(x);
  if (distance < 2.5) {
    let term = x;
    let sum = x;
    for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(sum); n++) {
      term *= (-x * x) / n;
      const next = term / (2 * n + 1);
      if (sum + next === sum) break;
      sum += next;
    }
    return (2 / Math.sqrt(Math.PI)) * sum;
  }
  let fraction = 0;
  for (let n = 60; n > 0; n--) fraction = n / 2 / (distance + fraction);
  return Math.sign(x) * (1 - Math.exp(-x * x) / (Math.sqrt(Math.PI) * (distance + fraction)));
}
