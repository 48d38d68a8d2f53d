/** The host that knows shapes only, and of values that are all equal, which. */
import type { Operand, Ops } from "../../formula/ops.js";
import { erf } from "../../kernels/host-loops.js";
import { broadcastShape, sameShape, sizeOf } from "../../shape.js";

/** What is known of a value before the network runs. */
export interface Sketch {
  readonly shape: readonly number[];
  /** All values, row-major, where they are known and few. */
  readonly data?: Float64Array;
  /** The one that all of them are. */
  readonly fill?: number;
}

/** Values that are kept of one sketch, at most. */
export const MOST_KNOWN = 4096;

/** The value that all are, where it is known. */
export function fillOf({ data, fill }: Sketch): number | undefined {
  return fill ?? (data?.length === 1 ? data[0] : undefined);
}

/** Of a shape, with all values equal. */
export function filled(shape: readonly number[], fill: number | undefined): Sketch {
  // NaN may be of a formula alone, where an operator guards against it
  if (fill === undefined || Number.isNaN(fill)) return { shape };
  const size = sizeOf(shape);
  return size <= MOST_KNOWN ? { shape, fill, data: new Float64Array(size).fill(fill) } : { shape, fill };
}

function unary(value: (x: number) => number) {
  return (x: Sketch): Sketch => {
    const fill = fillOf(x);
    return filled(x.shape, fill === undefined ? undefined : value(fill));
  };
}

function binary(value: (a: number, b: number) => number) {
  return (a: Operand<Sketch>, b: Operand<Sketch>): Sketch => {
    const [p, q] = [given(a), given(b)];
    const [left, right] = [fillOf(p), fillOf(q)];
    const shape = broadcastShape(p.shape, q.shape);
    return filled(shape, left === undefined || right === undefined ? undefined : value(left, right));
  };
}

function given(operand: Operand<Sketch>): Sketch {
  return typeof operand === "number" ? { shape: [], fill: operand } : operand;
}

function reduced(value: (one: number, count: number) => number) {
  return (x: Sketch, axes: readonly number[]): Sketch => {
    const fill = fillOf(x);
    const count = sizeOf(axes.map((axis) => x.shape[axis]));
    const shape = x.shape.map((length, axis) => (axes.includes(axis) ? 1 : length));
    return filled(shape, fill === undefined ? undefined : value(fill, count));
  };
}

/** All that gives shapes that do not fit throws RangeError. */
export class Sketches implements Ops<Sketch> {
  shape = (x: Sketch) => x.shape;
  constant(values: ArrayLike<number>, shape: readonly number[]): Sketch {
    if (values.length > MOST_KNOWN) return { shape };
    return { shape, data: Float64Array.from(values) };
  }
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
  pow = (x: Sketch, exponent: number) => unary((value) => value ** exponent)(x);
  rounded = (x: Sketch): Sketch => ({ shape: x.shape });

  where(condition: Sketch, a: Operand<Sketch>, b: Operand<Sketch>): Sketch {
    const [p, q] = [given(a), given(b)];
    const shape = [condition.shape, p.shape, q.shape].reduce(broadcastShape);
    const holds = fillOf(condition);
    if (holds !== undefined) return filled(shape, fillOf(holds === 0 ? q : p));
    return fillOf(p) === fillOf(q) ? filled(shape, fillOf(p)) : { shape };
  }

  sum = reduced((one, count) => one * count);
  largest = reduced((one) => one);
  sorted = (x: Sketch): Sketch => ({ shape: x.shape });

  matMul(a: Sketch, b: Sketch): Sketch {
    const rank = a.shape.length;
    if (!sameShape(a.shape.slice(0, -2), b.shape.slice(0, -2)) || a.shape[rank - 1] !== b.shape[rank - 2]) {
      throw new RangeError(`[${a.shape}] by [${b.shape}]`);
    }
    return { shape: [...a.shape.slice(0, -1), b.shape[rank - 1]] };
  }

  reshape(x: Sketch, shape: readonly number[]): Sketch {
    if (sizeOf(x.shape) !== sizeOf(shape)) throw new RangeError(`[${x.shape}] as [${shape}]`);
    return { ...x, shape };
  }

  transpose(x: Sketch, order: readonly number[]): Sketch {
    const shape = order.map((axis) => x.shape[axis]);
    return filled(shape, fillOf(x));
  }

  slice(x: Sketch, axis: number, from: number, to: number): Sketch {
    if (!(from >= 0 && from <= to && to <= x.shape[axis])) {
      throw new RangeError(`${from} to ${to} of ${x.shape[axis]}`);
    }
    return filled(x.shape.with(axis, to - from), fillOf(x));
  }

  concat(parts: readonly Sketch[], axis: number): Sketch {
    const [first] = parts;
    const length = parts.reduce((total, { shape }) => total + shape[axis], 0);
    const shape = first.shape.with(axis, length);
    for (const part of parts) {
      if (sameShape(part.shape.with(axis, length), shape)) continue;
      throw new RangeError(`[${part.shape}] beside [${first.shape}]`);
    }
    const fill = fillOf(first);
    return filled(shape, parts.every((part) => fillOf(part) === fill) ? fill : undefined);
  }

  softmax = (x: Sketch): Sketch => ({ shape: x.shape });
  stop = (x: Sketch) => x;

  normalize: Ops<Sketch>["normalize"] = (norm, x, operands = {}) => {
    const plan = norm.plan(x.shape);
    const { mean, variance } = operands;
    for (const statistic of [mean, variance]) {
      if (statistic === undefined || sameShape(statistic.shape, plan.statisticsShape)) continue;
      throw new RangeError(`statistics of [${statistic.shape}] for [${plan.statisticsShape}]`);
    }
    const y = { shape: x.shape };
    if (variance !== undefined) return { y };
    const measured = { shape: plan.statisticsShape };
    return norm.centered ? { y, mean: measured, variance: measured } : { y, variance: measured };
  };

  expand = (x: Sketch, shape: readonly number[]): Sketch => filled(shape, fillOf(x));
}
