/**
 * `Ops` on terms: runs a formula once for given shapes and keeps what it does, as a graph. Gradients are terms too, made by the
 * operations' own rules; nothing is computed here.
 */
import { composedNormalize } from "../formula/composed.js";
import type { NarrowType, NormalizeOperands, NormalizeResult, Operand, Ops } from "../formula/ops.js";
import type { FusedNorm } from "../formula/plan.js";
import { broadcastShape, sameShape, sizeOf } from "../shape.js";
import { normalizeTerms } from "./normalize.js";
import {
  type Call,
  type Called,
  type Contribution,
  denseStrides,
  type Elementwise,
  elementsOf,
  isWhole,
  type Output,
  operandsOf,
  type Reduction,
  type Source,
  type Term,
} from "./term.js";

type Back = (gradient: Term) => readonly Contribution[];
/** Likewise, with the operands and the result. */
type ElementwiseBack = (gradient: Term, of: readonly Term[], y: Term) => readonly Contribution[];
type Distribute<T> = T extends unknown ? Omit<T, "id"> : never;

export class Trace implements Ops<Term> {
  private ids = 0;
  private lastMerge?: Term;
  /** Terms by what they are made of: the same operation is done once. */
  private readonly known = new Map<string, Term>();

  /** An array that comes with each run. */
  input(shape: readonly number[], wanted: boolean): Source {
    return this.make({ kind: "input", shape, wanted }) as Source;
  }

  constant(values: ArrayLike<number>, shape: readonly number[]): Term {
    const [first] = Array.from(values.length > 0 ? [values[0]] : [0]);
    let same = true;
    for (let i = 1; same && i < values.length; i++) same = values[i] === first;
    if (same) return this.uniform(first, shape);
    return this.make({ kind: "constant", values, shape, wanted: false });
  }

  uniform(value: number, shape: readonly number[] = []): Term {
    return this.make({ kind: "uniform", value, shape, wanted: false });
  }

  shape(x: Term): readonly number[] {
    return x.shape;
  }

  add(a: Operand<Term>, b: Operand<Term>): Term {
    const [p, q] = [this.term(a), this.term(b)];
    const [first, second] = [p, q].map(negatedOf);
    if (second) return this.sub(p, second);
    if (first) return this.sub(q, first);
    return this.elementwise("add", [p, q], (gradient, [p, q]) => [
      [p, gradient],
      [q, gradient],
    ]);
  }

  sub(a: Operand<Term>, b: Operand<Term>): Term {
    return this.elementwise("sub", [this.term(a), this.term(b)], (gradient, [p, q]) => [
      [p, gradient],
      // of the sums where it is summed
      ...(q.wanted ? [[q, this.mul(this.sumTo(gradient, q.shape), -1)] as const] : []),
    ]);
  }

  mul(a: Operand<Term>, b: Operand<Term>): Term {
    const [p, q] = [this.term(a), this.term(b)];
    // signs go outward, where they end in a difference
    const [first, second] = [p, q].map(negatedOf);
    const shape = broadcastShape(p.shape, q.shape);
    if (numberOf(q) === -1) {
      if (first) return this.broadcastTo(first, shape);
    } else if (first) return this.mul(this.mul(first, q), -1);
    else if (second) return this.mul(this.mul(p, second), -1);
    const [factor, by] = p.kind === "elementwise" && p.operation === "mul" ? p.of : [];
    const numbers = [by && numberOf(by), numberOf(q)];
    if (factor && numbers[0] !== undefined && numbers[1] !== undefined) {
      return this.broadcastTo(this.mul(factor, numbers[0] * numbers[1]), shape);
    }
    return this.elementwise("mul", [p, q], (gradient, [p, q]) => {
      if (p === q) return [[p, this.mul(this.mul(gradient, 2), p)]];
      return [
        ...(p.wanted ? [[p, this.mul(gradient, q)] as const] : []),
        ...(q.wanted ? [[q, this.mul(gradient, p)] as const] : []),
      ];
    });
  }

  div(a: Operand<Term>, b: Operand<Term>): Term {
    const [p, q] = [this.term(a), this.term(b)];
    const negated = negatedOf(p);
    if (negated) return this.mul(this.div(negated, q), -1);
    return this.elementwise("div", [p, q], (gradient, [p, q], ratio) => {
      // in two divisions, whose parts stay in range where q² does not
      const part = this.div(gradient, q);
      const other = () => this.mul(this.sumTo(this.mul(part, ratio), q.shape), -1);
      return [[p, part], ...(q.wanted ? [[q, other()] as const] : [])];
    });
  }

  max(a: Operand<Term>, b: Operand<Term>): Term {
    return this.elementwise("max", [this.term(a), this.term(b)], (gradient, [p, q]) =>
      this.chosen(gradient, this.atLeast(p, q), p, q),
    );
  }

  min(a: Operand<Term>, b: Operand<Term>): Term {
    return this.elementwise("min", [this.term(a), this.term(b)], (gradient, [p, q]) =>
      this.chosen(gradient, this.atLeast(q, p), p, q),
    );
  }

  greater(a: Operand<Term>, b: Operand<Term>): Term {
    return this.elementwise("greater", [this.term(a), this.term(b)]);
  }

  where(condition: Term, a: Operand<Term>, b: Operand<Term>): Term {
    return this.elementwise("where", [condition, this.term(a), this.term(b)], (gradient, [holds, p, q]) =>
      this.chosen(gradient, holds, p, q),
    );
  }

  abs(x: Term): Term {
    return this.elementwise("abs", [x], (gradient, [x]) => {
      const sign = this.sub(this.greater(x, 0), this.greater(0, x));
      return [[x, this.mul(gradient, sign)]];
    });
  }

  exp(x: Term): Term {
    return this.elementwise("exp", [x], (gradient, [x], y) => [[x, this.mul(gradient, y)]]);
  }

  sqrt(x: Term): Term {
    return this.elementwise("sqrt", [x], (gradient, [x], y) => [[x, this.mul(this.div(gradient, y), 0.5)]]);
  }

  tanh(x: Term): Term {
    return this.elementwise("tanh", [x], (gradient, [x], y) => [
      [x, this.mul(gradient, this.sub(1, this.mul(y, y)))],
    ]);
  }

  sigmoid(x: Term): Term {
    return this.elementwise("sigmoid", [x], (gradient, [x], y) => [
      [x, this.mul(gradient, this.mul(y, this.sub(1, y)))],
    ]);
  }

  erf(x: Term): Term {
    return this.elementwise("erf", [x], (gradient, [x]) => {
      const slope = this.mul(this.exp(this.mul(this.mul(x, x), -1)), 2 / Math.sqrt(Math.PI));
      return [[x, this.mul(gradient, slope)]];
    });
  }

  pow(x: Term, exponent: number): Term {
    if (exponent === 0) return this.uniform(1, x.shape);
    const back: ElementwiseBack = (gradient, [x], y) => {
      // y/x is xᵉ⁻¹ except at 0, where only that of a negative power is the same: infinite
      const lower = exponent < 0 ? this.div(y, x) : this.pow(x, exponent - 1);
      return [[x, this.mul(gradient, this.mul(lower, exponent))]];
    };
    return this.elementwise("power", [x], back, exponent);
  }

  rounded(x: Term, type: NarrowType): Term {
    return this.elementwise(type, [x], (gradient, [x]) => [[x, gradient]]);
  }

  sum(x: Term, axes: readonly number[]): Term {
    return this.reduction("sum", x, axes, (gradient) => [[x, this.broadcastTo(gradient, x.shape)]]);
  }

  largest(x: Term, axes: readonly number[]): Term {
    return this.reduction("largest", x, axes);
  }

  sorted(x: Term): Term {
    const [length] = x.shape.slice(-1);
    const rows = sizeOf(x.shape) / length;
    const call: Call = {
      of: [x],
      outputs: [x.shape],
      run: (kernels, [from], [to]) => kernels.sort(from, to, rows, length),
    };
    return this.outputs(call)[0];
  }

  matMul(a: Term, b: Term): Term {
    const leading = a.shape.slice(0, -2);
    const [m, k] = a.shape.slice(-2);
    const n = b.shape[b.shape.length - 1];
    const count = sizeOf(leading);
    const turned = (x: Term) => {
      const axes = [...x.shape.keys()];
      return this.transpose(x, [...axes.slice(0, -2), axes[axes.length - 1], axes[axes.length - 2]]);
    };
    const call: Call = {
      of: [a, b],
      outputs: [[...leading, m, n]],
      run: (kernels, [p, q], [y]) => kernels.matMul({ a: p, b: q, y, count, m, k, n }),
      back: ([gradient]) => [
        ...(a.wanted ? [[a, this.matMul(gradient as Term, turned(b))] as const] : []),
        ...(b.wanted ? [[b, this.matMul(turned(a), gradient as Term)] as const] : []),
      ],
    };
    return this.outputs(call)[0];
  }

  recurrence(start: Term, factors: Term, terms: Term): { before: Term; last: Term } {
    const [steps, width] = terms.shape;
    const call: Call = {
      of: [start, this.broadcastTo(factors, terms.shape), terms],
      outputs: [[steps, width], [width]],
      run: (kernels, [from, factor, term], [before, last]) =>
        kernels.recurrence({ start: from, factors: factor, terms: term, before, last, steps, width }),
    };
    const [before, last] = this.outputs(call);
    return { before, last };
  }

  reshape(x: Term, shape: readonly number[]): Term {
    if (sameShape(x.shape, shape)) return x;
    const whole = isWhole(x) ? x : this.copy(x);
    return this.viewed(whole, shape, denseStrides(shape), 0, (gradient) => [
      [x, this.reshape(gradient, x.shape)],
    ]);
  }

  transpose(x: Term, order: readonly number[]): Term {
    const { strides, offset } = elementsOf(x);
    const back = order.map((_, axis) => order.indexOf(axis));
    const ordered = (values: readonly number[]) => order.map((axis) => values[axis]);
    return this.viewed(x, ordered(x.shape), ordered(strides), offset, (gradient) => [
      [x, this.transpose(gradient, back)],
    ]);
  }

  slice(x: Term, axis: number, from: number, to: number): Term {
    const { strides, offset } = elementsOf(x);
    const withLength = (length: number) => x.shape.map((all, one) => (one === axis ? length : all));
    return this.viewed(x, withLength(to - from), strides, offset + from * strides[axis], (gradient) => {
      const zeros = (length: number) => (length === 0 ? [] : [this.uniform(0, withLength(length))]);
      return [[x, this.concat([...zeros(from), gradient, ...zeros(x.shape[axis] - to)], axis)]];
    });
  }

  concat(parts: readonly Term[], axis: number): Term {
    if (parts.length === 1) return parts[0];
    const length = parts.reduce((total, { shape }) => total + shape[axis], 0);
    const shape = parts[0].shape.map((all, one) => (one === axis ? length : all));
    const wanted = parts.some((part) => part.wanted);
    const back: Back = (gradient) => {
      let to = 0;
      return parts.map((part) => {
        to += part.shape[axis];
        return [part, this.slice(gradient, axis, to - part.shape[axis], to)] as const;
      });
    };
    return this.make({ kind: "joined", of: parts, axis, shape, wanted, ...(wanted && { back }) });
  }

  /**
   * Each place with `before` places before and `after` after it along an axis, zeros beyond the ends, added: shifted readings of the
   * array with its zeros.
   */
  windowSum(x: Term, axis: number, before: number, after: number): Term {
    const length = x.shape[axis];
    const withLength = (count: number) => x.shape.map((all, one) => (one === axis ? count : all));
    const zeros = (count: number) => (count === 0 ? [] : [this.uniform(0, withLength(count))]);
    const fixed = this.stop(x);
    const padded = this.concat([...zeros(before), fixed, ...zeros(after)], axis);
    const places = before + after + 1;
    const shifted = Array.from({ length: places }, (_, from) =>
      this.slice(padded, axis, from, from + length),
    );
    const total = shifted.reduce((a, b) => this.add(a, b));
    return this.through(total, x, (gradient) => this.windowSum(gradient, axis, after, before));
  }

  stop(x: Term): Term {
    if (!x.wanted) return x;
    const { source, strides, offset } = elementsOf(x);
    return this.make({ kind: "viewed", of: x, source, shape: x.shape, strides, offset, wanted: false });
  }

  withSlope(y: Term, x: Term, slope: Term): Term {
    return this.through(y, x, (gradient) => this.mul(gradient, slope));
  }

  intercept(
    x: Term,
    saved: readonly Term[],
    through: (gradient: Term, saved: readonly Term[]) => Term,
  ): Term {
    const constants = saved.map((term) => this.stop(term));
    return this.through(x, x, (gradient) => through(this.stop(gradient), constants));
  }

  normalize(norm: FusedNorm, x: Term, operands: NormalizeOperands<Term> = {}): NormalizeResult<Term> {
    const { r1, r2 } = norm.plan(x.shape).statistics;
    // what is given for each element is arithmetic
    const compose = operands.variance !== undefined ? r1 * r2 === 1 : operands.standardize !== undefined;
    return (compose ? composedNormalize<Term> : normalizeTerms)(this, norm, x, operands);
  }

  /** Whether a reduction is called. */
  get hasMerged(): boolean {
    return this.lastMerge !== undefined;
  }

  /**
   * Outputs of a call that merges. Places agree on the order of these calls, whatever the sizes of their parts let a schedule do: each
   * one needs what the one before it gave.
   */
  mergeOutputs(call: Call): Term[] {
    const before = this.lastMerge && this.stop(this.lastMerge);
    const outputs = this.outputs({ ...call, of: [...call.of, ...(before ? [before] : [])], merges: true });
    [this.lastMerge] = outputs;
    return outputs;
  }

  /** Outputs of a call, as terms. */
  outputs(given: Call): Term[] {
    const gives: Output[] = [];
    const call: Called = {
      ...given,
      of: given.of.map((term) => (isWhole(term) ? term : this.copy(term))),
      gives,
    };
    const wanted = call.back !== undefined && call.of.some((term) => term.wanted);
    for (const [index, shape] of call.outputs.entries()) {
      gives.push(this.make({ kind: "output", call, index, shape, wanted }) as Output);
    }
    return gives;
  }

  /** The same values in an array of their own, a new one each time. */
  copy(x: Term): Source {
    const { shape, wanted } = x;
    const back: Back = (gradient) => [[x, gradient]];
    const copied = { operation: "copy", of: [x], shape, wanted, ...(wanted && { back }) } as const;
    return this.make({ kind: "elementwise", ...copied }) as Source;
  }

  broadcastTo(x: Term, shape: readonly number[]): Term {
    if (sameShape(x.shape, shape)) return x;
    const { strides, offset } = elementsOf(x);
    const missing = shape.length - x.shape.length;
    const repeated = shape.map((_, axis) =>
      axis < missing || x.shape[axis - missing] === 1 ? 0 : strides[axis - missing],
    );
    // sums over the copies come with every gradient that is handed on
    return this.viewed(x, shape, repeated, offset, (gradient) => [[x, gradient]]);
  }

  /**
   * Gradients of the loss by terms: from those of results. Terms that no gradient reaches are absent.
   * @param results pairs of a result and the gradient of the loss by it
   */
  gradients(results: readonly Contribution[]): Map<Term, Term> {
    // what the forward pass merged was there before
    const forward = this.lastMerge;
    this.lastMerge = undefined;
    const gradients = new Map<Term, Term>();
    const give = ([term, gradient]: Contribution) => {
      if (!term.wanted) return;
      const own = this.sumTo(gradient, term.shape);
      const before = gradients.get(term);
      gradients.set(term, before === undefined ? own : this.add(before, own));
    };
    results.forEach(give);
    const done = new Set<Call>();
    for (const term of wantedBefore(results.map(([result]) => result))) {
      if (term.kind === "output") {
        const { call } = term;
        if (done.has(call)) continue;
        done.add(call);
        // what uses any output of a call was made after all of them, and has had its turn
        const given = call.gives.map((output) => gradients.get(output));
        if (given.some((gradient) => gradient !== undefined)) call.back?.(given).forEach(give);
        continue;
      }
      const gradient = gradients.get(term);
      if (gradient !== undefined) term.back?.(gradient).forEach(give);
    }
    this.lastMerge = forward;
    return gradients;
  }

  private make(term: Distribute<Term>): Term {
    return { ...term, id: this.ids++ } as Term;
  }

  private once(key: string, make: () => Term): Term {
    let term = this.known.get(key);
    if (term === undefined) {
      term = make();
      this.known.set(key, term);
    }
    return term;
  }

  private term(operand: Operand<Term>): Term {
    if (typeof operand !== "number") return operand;
    return this.once(`number ${Object.is(operand, -0) ? "-0" : operand}`, () => this.uniform(operand));
  }

  private atLeast(a: Term, b: Term): Term {
    return this.elementwise("atLeast", [a, b]);
  }

  /** The gradients of what is chosen of two. */
  private chosen(gradient: Term, condition: Term, a: Term, b: Term): Contribution[] {
    return [
      ...(a.wanted ? [[a, this.where(condition, gradient, 0)] as const] : []),
      ...(b.wanted ? [[b, this.where(condition, 0, gradient)] as const] : []),
    ];
  }

  /**
   * What is repeated is made once. `back` gets the operands that the operation is done to; absent: no gradient flows through it.
   */
  private elementwise(
    operation: Elementwise["operation"],
    operands: readonly Term[],
    back?: ElementwiseBack,
    parameter?: number,
  ): Term {
    const shape = operands.map((term) => term.shape).reduce(broadcastShape);
    const of = operands.map(unrepeated);
    const [a, b] = of.map(numberOf);
    const ofNumbers = OF_NUMBERS[operation];
    if (a !== undefined && b !== undefined && ofNumbers) {
      return this.broadcastTo(this.term(ofNumbers(a, b)), shape);
    }
    const neutral = NEUTRAL[operation];
    if (b !== undefined && Object.is(b, neutral)) return this.broadcastTo(of[0], shape);
    if (a !== undefined && Object.is(a, neutral) && (operation === "add" || operation === "mul")) {
      return this.broadcastTo(of[1], shape);
    }
    const key = `${operation} ${parameter ?? ""} ${of.map(({ id }) => id).join()}`;
    const term: Term = this.once(key, () => {
      const wanted = back !== undefined && of.some((term) => term.wanted);
      return this.make({
        kind: "elementwise",
        ...{ operation, of, wanted, shape: of.map(({ shape }) => shape).reduce(broadcastShape) },
        ...(parameter !== undefined && { parameter }),
        ...(wanted && back && { back: (gradient) => back(gradient, of, term) }),
      });
    });
    return this.broadcastTo(term, shape);
  }

  private reduction(reduced: Reduction["reduced"], of: Term, axes: readonly number[], back?: Back): Term {
    const shape = of.shape.map((length, axis) => (axes.includes(axis) ? 1 : length));
    if (sameShape(shape, of.shape)) return reduced === "sum" ? of : this.stop(of);
    const repeated = numberOf(unrepeated(of));
    if (repeated !== undefined) {
      return this.uniform(
        reduced === "sum" ? (repeated * sizeOf(of.shape)) / sizeOf(shape) : repeated,
        shape,
      );
    }
    const negated = reduced === "sum" ? negatedOf(of) : undefined;
    if (negated) return this.mul(back ? this.sum(negated, axes) : this.reduction("sum", negated, axes), -1);
    return this.once(`${reduced} ${axes.join()} ${of.id}`, () => {
      const wanted = back !== undefined && of.wanted;
      return this.make({ kind: "reduction", reduced, of, shape, wanted, ...(wanted && { back }) });
    });
  }

  private viewed(
    of: Term,
    shape: readonly number[],
    strides: readonly number[],
    offset: number,
    back: Back,
  ): Term {
    return this.once(`view ${of.id} ${shape.join()} ${strides.join()} ${offset}`, () => {
      const { source } = elementsOf(of);
      const { wanted } = of;
      return this.make({
        kind: "viewed",
        ...{ of, source, shape, strides, offset, wanted },
        ...(wanted && { back }),
      });
    });
  }

  /** The values of y with a gradient that goes to x, as `change` makes it. */
  private through(y: Term, x: Term, change: (gradient: Term) => Term): Term {
    const { wanted } = x;
    if (!wanted) return y;
    const { source, strides, offset } = elementsOf(y);
    const back: Back = (gradient) => [[x, change(gradient)]];
    return this.make({ kind: "viewed", of: x, source, shape: y.shape, strides, offset, wanted, back });
  }

  /** Undoes a broadcast by sums. */
  private sumTo(x: Term, shape: readonly number[]): Term {
    if (sameShape(x.shape, shape)) return x;
    const missing = x.shape.length - shape.length;
    const axes = [...x.shape.keys()].filter(
      (axis) => axis < missing || (shape[axis - missing] === 1 && x.shape[axis] !== 1),
    );
    return this.reshape(axes.length > 0 ? this.reduction("sum", x, axes) : x, shape);
  }
}

/** What a term repeats along axes, if it does: what is done to each copy is done once. */
function unrepeated(term: Term): Term {
  if (term.kind !== "viewed" || term.of.wanted !== term.wanted) return term;
  const { of, shape, strides } = term;
  const from = elementsOf(of);
  const missing = shape.length - of.shape.length;
  if (from.source !== term.source || from.offset !== term.offset || missing < 0) return term;
  const repeats = shape.every((length, axis) => {
    const own = axis < missing ? 1 : of.shape[axis - missing];
    if (own === 1 && length !== 1) return strides[axis] === 0;
    return own === length && (own === 1 || strides[axis] === from.strides[axis - missing]);
  });
  return repeats && !sameShape(of.shape, shape) ? unrepeated(of) : term;
}

/** An operation of numbers, where there is nothing else. */
const OF_NUMBERS: Partial<Record<Elementwise["operation"], (a: number, b: number) => number>> = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  div: (a, b) => a / b,
};

/** Numbers that an operation does nothing with, as the second operand; also as the first one of a sum or a product. */
const NEUTRAL: Partial<Record<Elementwise["operation"], number>> = { add: -0, sub: 0, mul: 1, div: 1 };

/** What was multiplied by −1. */
function negatedOf(term: Term): Term | undefined {
  if (term.kind !== "elementwise" || term.operation !== "mul") return undefined;
  const [of, by] = term.of;
  return numberOf(by) === -1 && sameShape(of.shape, term.shape) ? of : undefined;
}

const numberOf = (term: Term) => (term.kind === "uniform" ? term.value : undefined);

/** Terms that gradients of these reach, the last one made first. */
function wantedBefore(results: readonly Term[]): Term[] {
  const found = new Set<Term>();
  const open = [...results];
  for (let term = open.pop(); term !== undefined; term = open.pop()) {
    if (!term.wanted || found.has(term)) continue;
    found.add(term);
    open.push(...operandsOf(term));
  }
  return [...found].sort((a, b) => b.id - a.id);
}
