/**
 * Formulas (src/formula/ops.ts) without a framework: operations on plain arrays that remember how they were made, so that
 * gradients can be carried back through them. The one operation goes to the backend's kernels; the others are loops in
 * the precision of the backend, with sums in float64.
 */
import type { NarrowType, NormalizeOperands, NormalizeResult, Operand, Ops } from "../formula/ops.js";
import type { FusedNorm } from "../formula/plan.js";
import type { Values } from "../kernels/contract.js";
import { sameShape, sizeOf } from "../shape.js";
import { BackendArray, type PlainArray } from "./array.js";
import type { Evenkeel } from "./evenkeel.js";

/** An array in a formula, and how a gradient of it is handed on to what it was made from. */
export interface Node {
  readonly array: PlainArray;
  /** Of the loss; there once something was handed back. */
  gradient?: PlainArray;
  /** Hands the gradient on; absent for inputs and constants. */
  back?(gradient: PlainArray): void;
  /** Whether a gradient that comes here goes anywhere. */
  readonly wanted: boolean;
}

/** An operation of two arrays of one size, and what it hands back to each: loops of their own, which engines compile well. */
interface Pairwise {
  value(p: Values, q: Values, y: Values): void;
  /** Absent: no gradient. */
  ofA?(gradient: Values, p: Values, q: Values, back: Values): void;
  ofB?(gradient: Values, p: Values, q: Values, back: Values): void;
}

const same = (gradient: Values, _p: Values, _q: Values, back: Values) => back.set(gradient);
const pairwise = {
  add: {
    value(p, q, y) {
      for (let i = 0; i < y.length; i++) y[i] = p[i] + q[i];
    },
    ofA: same,
    ofB: same,
  },
  sub: {
    value(p, q, y) {
      for (let i = 0; i < y.length; i++) y[i] = p[i] - q[i];
    },
    ofA: same,
    ofB(gradient, _p, _q, back) {
      for (let i = 0; i < back.length; i++) back[i] = -gradient[i];
    },
  },
  mul: {
    value(p, q, y) {
      for (let i = 0; i < y.length; i++) y[i] = p[i] * q[i];
    },
    ofA(gradient, _p, q, back) {
      for (let i = 0; i < back.length; i++) back[i] = gradient[i] * q[i];
    },
    ofB(gradient, p, _q, back) {
      for (let i = 0; i < back.length; i++) back[i] = gradient[i] * p[i];
    },
  },
  div: {
    value(p, q, y) {
      for (let i = 0; i < y.length; i++) y[i] = p[i] / q[i];
    },
    ofA(gradient, _p, q, back) {
      for (let i = 0; i < back.length; i++) back[i] = gradient[i] / q[i];
    },
    ofB(gradient, p, q, back) {
      // in two divisions, whose parts stay in range where q² does not
      for (let i = 0; i < back.length; i++) back[i] = -((gradient[i] / q[i]) * (p[i] / q[i]));
    },
  },
  max: {
    value(p, q, y) {
      for (let i = 0; i < y.length; i++) y[i] = Math.max(p[i], q[i]);
    },
    ofA(gradient, p, q, back) {
      for (let i = 0; i < back.length; i++) back[i] = p[i] >= q[i] ? gradient[i] : 0;
    },
    ofB(gradient, p, q, back) {
      for (let i = 0; i < back.length; i++) back[i] = p[i] >= q[i] ? 0 : gradient[i];
    },
  },
  min: {
    value(p, q, y) {
      for (let i = 0; i < y.length; i++) y[i] = Math.min(p[i], q[i]);
    },
    ofA(gradient, p, q, back) {
      for (let i = 0; i < back.length; i++) back[i] = p[i] <= q[i] ? gradient[i] : 0;
    },
    ofB(gradient, p, q, back) {
      for (let i = 0; i < back.length; i++) back[i] = p[i] <= q[i] ? 0 : gradient[i];
    },
  },
  greater: {
    value(p, q, y) {
      for (let i = 0; i < y.length; i++) y[i] = p[i] > q[i] ? 1 : 0;
    },
  },
} satisfies Record<string, Pairwise>;

export class Tape implements Ops<Node> {
  private readonly nodes: Node[] = [];
  /** Arrays of the backend that calls made on the way. */
  private readonly made: BackendArray[] = [];
  private readonly precision: Float32ArrayConstructor | Float64ArrayConstructor;

  constructor(private readonly ek: Evenkeel) {
    this.precision = ek.backend === "reference" ? Float64Array : Float32Array;
  }

  /** What a gradient is wanted of. */
  input(array: PlainArray): Node {
    return { array, wanted: true };
  }

  /** What none is wanted of. */
  fixed(array: PlainArray): Node {
    return { array, wanted: false };
  }

  constant(values: ArrayLike<number>, shape: readonly number[]): Node {
    return { array: { shape, data: this.precision.from(values) }, wanted: false };
  }

  /** Carries gradients from these results back to the inputs, whose `gradient` holds them afterwards. */
  backward(results: readonly (readonly [Node, PlainArray | undefined])[]): void {
    for (const [node, gradient] of results) if (gradient) this.handTo(node, gradient);
    for (const node of [...this.nodes].reverse()) {
      if (node.gradient && node.back) node.back(node.gradient);
    }
  }

  /** Releases what was made on the way, except for what is given out. */
  release(...except: readonly (PlainArray | undefined)[]): void {
    for (const array of this.made) if (!except.includes(array)) array.dispose();
    this.made.length = 0;
    this.nodes.length = 0;
  }

  shape(x: Node): readonly number[] {
    return x.array.shape;
  }

  add(a: Operand<Node>, b: Operand<Node>): Node {
    return this.pairs(a, b, pairwise.add);
  }

  sub(a: Operand<Node>, b: Operand<Node>): Node {
    return this.pairs(a, b, pairwise.sub);
  }

  mul(a: Operand<Node>, b: Operand<Node>): Node {
    return this.pairs(a, b, pairwise.mul);
  }

  div(a: Operand<Node>, b: Operand<Node>): Node {
    return this.pairs(a, b, pairwise.div);
  }

  max(a: Operand<Node>, b: Operand<Node>): Node {
    return this.pairs(a, b, pairwise.max);
  }

  min(a: Operand<Node>, b: Operand<Node>): Node {
    return this.pairs(a, b, pairwise.min);
  }

  greater(a: Operand<Node>, b: Operand<Node>): Node {
    return this.stop(this.pairs(a, b, pairwise.greater));
  }

  where(condition: Node, a: Operand<Node>, b: Operand<Node>): Node {
    const [yes, no] = [this.node(a), this.node(b)];
    const shape = broadcast(broadcast(condition.array.shape, yes.array.shape), no.array.shape);
    const [ofCondition, ofYes, ofNo] = [condition, yes, no].map(({ array }) => places(array.shape, shape));
    const holds = condition.array.data;
    const taken = Uint8Array.from({ length: sizeOf(shape) }, (_, i) =>
      holds[ofCondition ? ofCondition[i] : i] === 0 ? 0 : 1,
    );
    const [ifSo, ifNot] = [yes.array.data, no.array.data];
    const data = this.values(taken.length, (i) =>
      taken[i] ? ifSo[ofYes ? ofYes[i] : i] : ifNot[ofNo ? ofNo[i] : i],
    );
    return this.from({ shape, data }, [yes, no], ({ data: gradient }) => {
      this.gather(yes, ofYes, taken.length, (i) => (taken[i] ? gradient[i] : 0));
      this.gather(no, ofNo, taken.length, (i) => (taken[i] ? 0 : gradient[i]));
    });
  }

  abs(x: Node): Node {
    return this.each(x, Math.abs, Math.sign);
  }

  exp(x: Node): Node {
    return this.each(x, Math.exp, (_, y) => y);
  }

  sqrt(x: Node): Node {
    return this.each(x, Math.sqrt, (_, y) => 0.5 / y);
  }

  tanh(x: Node): Node {
    return this.each(x, Math.tanh, (_, y) => 1 - y * y);
  }

  sigmoid(x: Node): Node {
    return this.each(
      x,
      (p) => 1 / (1 + Math.exp(-p)),
      (_, y) => y * (1 - y),
    );
  }

  erf(x: Node): Node {
    return this.each(x, erf, (p) => (2 / Math.sqrt(Math.PI)) * Math.exp(-p * p));
  }

  pow(x: Node, exponent: number): Node {
    return this.each(
      x,
      (p) => p ** exponent,
      (p) => exponent * p ** (exponent - 1),
    );
  }

  rounded(x: Node, type: NarrowType): Node {
    const round = type === "float16" ? rounding(11, -14, 65504) : rounding(8, -126, 2 ** 127 * (2 - 2 ** -7));
    return this.each(x, round, () => 1);
  }

  sum(x: Node, axes: readonly number[]): Node {
    const shape = x.array.shape.map((length, axis) => (axes.includes(axis) ? 1 : length));
    const to = places(shape, x.array.shape);
    const sums = new Float64Array(sizeOf(shape));
    const { data } = x.array;
    for (let i = 0; i < data.length; i++) sums[to ? to[i] : i] += data[i];
    return this.from({ shape, data: this.precision.from(sums) }, [x], ({ data: gradient }) =>
      this.give(x, (i) => gradient[to ? to[i] : i]),
    );
  }

  largest(x: Node, axes: readonly number[]): Node {
    const shape = x.array.shape.map((length, axis) => (axes.includes(axis) ? 1 : length));
    const to = places(shape, x.array.shape);
    const { data } = x.array;
    const most = new this.precision(sizeOf(shape)).fill(Number.NEGATIVE_INFINITY);
    for (let i = 0; i < data.length; i++) {
      const at = to ? to[i] : i;
      // a NaN is passed on
      if (!(data[i] <= most[at])) most[at] = data[i];
    }
    return this.fixed({ shape, data: most });
  }

  matMul(a: Node, b: Node): Node {
    const leading = a.array.shape.slice(0, -2);
    const [m, k] = a.array.shape.slice(-2);
    const n = b.array.shape[leading.length + 1];
    const count = sizeOf(leading);
    const [left, right] = [a, b].map(({ array }) => Float64Array.from(array.data));
    const data = products(count, { data: left, m, k }, { data: right, m: k, k: n });
    return this.from(
      { shape: [...leading, m, n], data: this.precision.from(data) },
      [a, b],
      ({ data: gradient }) => {
        const slope = { data: Float64Array.from(gradient), m, k: n };
        if (a.wanted) {
          const ofLeft = products(count, slope, transposed(count, { data: right, m: k, k: n }));
          this.give(a, (i) => ofLeft[i]);
        }
        if (b.wanted) {
          const ofRight = products(count, transposed(count, { data: left, m, k }), slope);
          this.give(b, (i) => ofRight[i]);
        }
      },
    );
  }

  reshape(x: Node, shape: readonly number[]): Node {
    return this.from({ shape, data: x.array.data.slice() }, [x], ({ data }) => this.give(x, (i) => data[i]));
  }

  transpose(x: Node, order: readonly number[]): Node {
    const { shape, data } = x.array;
    const moved = order.map((axis) => shape[axis]);
    const strides = shape.map((_, axis) => sizeOf(shape.slice(axis + 1)));
    const source = walk(
      moved,
      order.map((axis) => strides[axis]),
    );
    return this.from(
      { shape: moved, data: this.values(data.length, (i) => data[source[i]]) },
      [x],
      ({ data: gradient }) => {
        const back = new Float64Array(gradient.length);
        for (let i = 0; i < back.length; i++) back[source[i]] = gradient[i];
        this.give(x, (i) => back[i]);
      },
    );
  }

  slice(x: Node, axis: number, from: number, to: number): Node {
    const shape = x.array.shape.map((length, one) => (one === axis ? to - from : length));
    const inner = sizeOf(shape.slice(axis + 1));
    const [part, whole] = [(to - from) * inner, x.array.shape[axis] * inner];
    /** Where element i of the part lies in x. */
    const source = (i: number) => Math.floor(i / part) * whole + from * inner + (i % part);
    const { data } = x.array;
    return this.from(
      { shape, data: this.values(sizeOf(shape), (i) => data[source(i)]) },
      [x],
      ({ data: gradient }) => {
        const back = new Float64Array(sizeOf(x.array.shape));
        for (let i = 0; i < gradient.length; i++) back[source(i)] = gradient[i];
        this.give(x, (i) => back[i]);
      },
    );
  }

  concat(parts: readonly Node[], axis: number): Node {
    const lengths = parts.map(({ array }) => array.shape[axis]);
    const length = lengths.reduce((a, b) => a + b, 0);
    const shape = parts[0].array.shape.map((all, one) => (one === axis ? length : all));
    const inner = sizeOf(shape.slice(axis + 1));
    /** Where element i of a part lies in the whole. */
    const target = (part: number) => {
      const before = lengths.slice(0, part).reduce((a, b) => a + b, 0) * inner;
      const row = lengths[part] * inner;
      return (i: number) => Math.floor(i / row) * length * inner + before + (i % row);
    };
    const data = new this.precision(sizeOf(shape));
    parts.forEach(({ array }, part) => {
      const to = target(part);
      const values = array.data;
      for (let i = 0; i < values.length; i++) data[to(i)] = values[i];
    });
    return this.from({ shape, data }, parts, ({ data: gradient }) => {
      parts.forEach((node, part) => {
        const to = target(part);
        this.give(node, (i) => gradient[to(i)]);
      });
    });
  }

  stop(x: Node): Node {
    return this.fixed(x.array);
  }

  intercept(
    x: Node,
    saved: readonly Node[],
    through: (gradient: Node, saved: readonly Node[]) => Node,
  ): Node {
    const constants = saved.map((node) => this.stop(node));
    return this.from(x.array, [x], (gradient) =>
      this.handTo(x, through(this.fixed(gradient), constants).array),
    );
  }

  normalize(norm: FusedNorm, x: Node, operands: NormalizeOperands<Node> = {}): NormalizeResult<Node> {
    const { gamma, beta, residual } = operands;
    const arrays = Object.entries(operands).map(([name, node]) => [name, node?.array]);
    const { y, sum, mean, variance, saved } = this.ek.forward<PlainArray>(
      norm,
      x.array,
      Object.fromEntries(arrays),
    );
    for (const array of [y, sum, mean, variance]) this.keep(array);
    // the sum's gradient goes with y's, in one pass
    let dSum: PlainArray | undefined;
    const normalized = this.from(
      y,
      [x, gamma, beta, residual].filter((node) => node !== undefined),
      (dy) => {
        const { dx, dGamma, dBeta } = this.ek.backward(saved, dy, dSum);
        for (const array of [dx, dGamma, dBeta]) this.keep(array);
        this.handTo(x, dx);
        if (residual) this.handTo(residual, dx);
        if (gamma && dGamma) this.handTo(gamma, dGamma);
        if (beta && dBeta) this.handTo(beta, dBeta);
      },
    );
    const summed =
      sum &&
      this.from(sum, [normalized], (gradient) => {
        dSum = gradient;
        // y's turn comes next, even where nothing came back to y itself
        if (!normalized.gradient) this.give(normalized, () => 0);
      });
    const constant = (array: PlainArray | undefined) => array && this.fixed(array);
    return { y: normalized, sum: summed, mean: constant(mean), variance: constant(variance) };
  }

  private keep(array: PlainArray | undefined): void {
    if (array instanceof BackendArray) this.made.push(array);
  }

  private node(operand: Operand<Node>): Node {
    return typeof operand === "number" ? this.constant([operand], []) : operand;
  }

  private values(length: number, value: (index: number) => number): Values {
    const values = new this.precision(length);
    for (let i = 0; i < length; i++) values[i] = value(i);
    return values;
  }

  /** A node made from others. */
  private from(array: PlainArray, parents: readonly Node[], back: (gradient: PlainArray) => void): Node {
    const node = { array, back, wanted: parents.some(({ wanted }) => wanted) };
    if (node.wanted) this.nodes.push(node);
    return node;
  }

  private each(x: Node, value: (x: number) => number, slope: (x: number, y: number) => number): Node {
    const { shape, data } = x.array;
    const y = this.values(data.length, (i) => value(data[i]));
    return this.from({ shape, data: y }, [x], ({ data: gradient }) => {
      const from = x.array.data;
      this.give(x, (i) => gradient[i] * slope(from[i], y[i]));
    });
  }

  private pairs(a: Operand<Node>, b: Operand<Node>, { value, ofA, ofB }: Pairwise): Node {
    const [left, right] = [this.node(a), this.node(b)];
    const shape = broadcast(left.array.shape, right.array.shape);
    const data = new this.precision(sizeOf(shape));
    const both = () => [left, right].map(({ array }) => this.spread(array, shape));
    const [p, q] = both();
    value(p, q, data);
    return this.from({ shape, data }, [left, right], ({ data: gradient }) => {
      const [p, q] = both();
      for (const [node, slope] of [[left, ofA] as const, [right, ofB] as const]) {
        if (!node.wanted || !slope) continue;
        const back = new this.precision(data.length);
        slope(gradient, p, q, back);
        this.collect(node, shape, back);
      }
    });
  }

  /** An array's values at each place of a larger shape. */
  private spread({ shape, data }: PlainArray, larger: readonly number[]): Values {
    if (sameShape(shape, larger)) return data;
    const all = new this.precision(sizeOf(larger));
    if (data.length === 1) return all.fill(data[0]);
    if (isTrailing(shape, larger)) {
      for (let i = 0; i < all.length; i += data.length) all.set(data, i);
      return all;
    }
    const from = places(shape, larger) as Int32Array;
    for (let i = 0; i < all.length; i++) all[i] = data[from[i]];
    return all;
  }

  /** Sums what reached an operand that was broadcast, and hands it on. */
  private collect(node: Node, larger: readonly number[], values: Values): void {
    const { shape } = node.array;
    if (sameShape(shape, larger)) {
      this.handTo(node, { shape, data: values });
      return;
    }
    const sums = new Float64Array(sizeOf(shape));
    if (sums.length === 1) {
      let sum = 0;
      for (let i = 0; i < values.length; i++) sum += values[i];
      sums[0] = sum;
    } else if (isTrailing(shape, larger)) {
      for (let i = 0; i < values.length; i += sums.length) {
        for (let j = 0; j < sums.length; j++) sums[j] += values[i + j];
      }
    } else {
      const to = places(shape, larger) as Int32Array;
      for (let i = 0; i < values.length; i++) sums[to[i]] += values[i];
    }
    this.handTo(node, { shape, data: this.precision.from(sums) });
  }

  /** Sums what reached an operand that was broadcast. */
  private gather(
    node: Node,
    to: Int32Array | undefined,
    length: number,
    value: (index: number) => number,
  ): void {
    if (!node.wanted) return;
    if (!to) {
      this.give(node, value);
      return;
    }
    const sums = new Float64Array(sizeOf(node.array.shape));
    for (let i = 0; i < length; i++) sums[to[i]] += value(i);
    this.give(node, (i) => sums[i]);
  }

  private give(node: Node, value: (index: number) => number): void {
    if (!node.wanted) return;
    const { shape } = node.array;
    this.handTo(node, { shape, data: this.values(sizeOf(shape), value) });
  }

  /** The first gradient that comes is kept as it is, later ones are added. */
  private handTo(node: Node, gradient: PlainArray): void {
    if (!node.wanted) return;
    if (!node.gradient) {
      node.gradient = gradient;
      return;
    }
    const [before, more] = [node.gradient.data, gradient.data];
    node.gradient = { shape: node.array.shape, data: this.values(more.length, (i) => before[i] + more[i]) };
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

/** For each element of the larger shape, the one of the smaller that it takes; undefined where they are the same. */
function places(smaller: readonly number[], larger: readonly number[]): Int32Array | undefined {
  if (sameShape(smaller, larger)) return undefined;
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

function transposed(count: number, { data, m, k }: Matrices): Matrices {
  const result = new Float64Array(data.length);
  for (let one = 0; one < count * m * k; one += m * k) {
    for (let i = 0; i < m; i++) for (let j = 0; j < k; j++) result[one + j * m + i] = data[one + i * k + j];
  }
  return { data: result, m: k, k: m };
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
