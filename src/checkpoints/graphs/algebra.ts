/**
 * A graph's values as polynomials in one of them, x: what normalizations are known by, however a file writes them.
 *
 * `Algebra` is a host of `Ops`. Its values are sums of products of atoms: x itself, means of products over some axes, roots of sums, values
 * of the graph that are taken as they come, and calls of functions. Sums and products are carried out, a mean is taken of each product
 * (what does not vary along its axes stands before it), so that equal formulas become equal polynomials: E[(x − E[x])²] and
 * E[x²] − E[x]² are one, (x − mean)·(rstd·gamma) + beta and x·rstd·gamma + (beta − mean·rstd·gamma) are one.
 *
 * Axes are cut into **segments**, numbered as they lie in memory: reshaping groups them anew, transposing changes their order, reducing takes
 * some away. A reshape that cuts within a segment of x gives the cut (`Cut`), with which x is laid out anew.
 */
import { composedNormalize } from "../../formula/composed.js";
import type { NarrowType, NormalizeOperands, NormalizeResult, Operand, Ops } from "../../formula/ops.js";
import type { FusedNorm } from "../../formula/plan.js";
import { sizeOf } from "../../shape.js";

/** A value: what it is, and the segments that its axes are made of. */
export interface Expression {
  readonly shape: readonly number[];
  /** Of each axis the segments, outer first; none where the value is the same all along it. */
  readonly axes: readonly (readonly number[])[];
  readonly sum: Sum;
}

/** Products by their keys, each once. */
export type Sum = ReadonlyMap<string, Product>;

export interface Product {
  readonly factor: number;
  /** Atoms with their exponents, by rising number of the atom. */
  readonly powers: readonly (readonly [atom: number, exponent: number])[];
}

/** What products are made of. */
export type Atom =
  | { readonly kind: "x" }
  /** A value of the graph, with the segments that each of its axes follows. */
  | { readonly kind: "given"; readonly name: string; readonly axes: readonly (readonly number[])[] }
  /** Of a product with the factor 1, over segments. */
  | { readonly kind: "mean"; readonly of: Product; readonly over: readonly number[] }
  /** √ of a sum. */
  | { readonly kind: "root"; readonly of: Sum }
  /** The largest over segments. */
  | { readonly kind: "largest"; readonly of: Sum; readonly over: readonly number[] }
  /** A function of values, place by place. */
  | { readonly kind: "call"; readonly name: string; readonly of: readonly Sum[] };

/** Of what has no place here, or becomes too long: the value is not followed further. */
export class Unknown extends Error {}

/** x must be laid out with this segment cut into these lengths. */
export class Cut extends Error {
  constructor(
    readonly segment: number,
    readonly lengths: readonly number[],
  ) {
    super("a segment is cut");
  }
}

/** Longer sums are not followed: a normalization has fewer than ten products. */
const MOST_PRODUCTS = 48;
const MOST_EXPONENT = 6;
/** Factors are the same up to this: what 1/n is off by in float32, and far less than n/(n − 1) of any n that matters. */
const SAME = 4e-7;
/** Lower bounds that only keep a division from 0 (formula/terms.ts), far below any epsilon. */
const GUARD = 1e-29;

const NUMBER = "";

export class Algebra implements Ops<Expression> {
  private readonly atoms: Atom[] = [{ kind: "x" }];
  private readonly numbers = new Map<string, number>([["x", 0]]);
  private readonly supports: ReadonlySet<number>[] = [];
  /** Length of each segment; x's come first. */
  private readonly lengths: number[];
  readonly x: Expression;

  /**
   * @param layout the lengths of the segments that each axis of x is made of
   */
  constructor(layout: readonly (readonly number[])[]) {
    this.lengths = [];
    const axes = layout.map((segments) =>
      segments.filter((length) => length !== 1).map((length) => this.lengths.push(length) - 1),
    );
    this.segments = this.lengths.length;
    this.supports.push(new Set(this.lengths.keys()));
    this.x = { shape: layout.map(sizeOf), axes, sum: sumOf([{ factor: 1, powers: [[0, 1]] }]) };
  }

  /** Segments of x: those from 0 on. */
  readonly segments: number;
  /** Whether conditions choose what they do for ordinary values, as in the formulas of our own norms. */
  private trusting = false;

  /** What a formula of our own is: where it guards against 0, it is what it is of other values. */
  formula<T>(run: () => T): T {
    const before = this.trusting;
    this.trusting = true;
    try {
      return run();
    } finally {
      this.trusting = before;
    }
  }

  /** A value of the graph that is taken as it comes. */
  given(name: string, shape: readonly number[]): Expression {
    const axes = shape.map((length) => (length === 1 ? [] : [this.lengths.push(length) - 1]));
    return { shape, axes, sum: this.atom({ kind: "given", name, axes }) };
  }

  lengthOf(segment: number): number {
    return this.lengths[segment];
  }

  atomAt(number: number): Atom {
    return this.atoms[number];
  }

  /** Whether a product has x in it, in any form. */
  isOfX({ powers }: Product): boolean {
    return powers.some(([atom]) => this.holdsX(this.atoms[atom]));
  }

  private holdsX(atom: Atom): boolean {
    const inSum = (sum: Sum) => [...sum.values()].some((product) => this.isOfX(product));
    switch (atom.kind) {
      case "x":
        return true;
      case "given":
        return false;
      case "mean":
        return this.isOfX(atom.of);
      case "call":
        return atom.of.some(inSum);
      default:
        return inSum(atom.of);
    }
  }

  /** The segments that a sum varies along. */
  support(sum: Sum): ReadonlySet<number> {
    return new Set(
      [...sum.values()].flatMap(({ powers }) => powers.flatMap(([atom]) => [...this.along(atom)])),
    );
  }

  private along(atom: number): ReadonlySet<number> {
    this.supports[atom] ??= this.alongOf(this.atoms[atom]);
    return this.supports[atom];
  }

  private alongOf(atom: Atom): ReadonlySet<number> {
    switch (atom.kind) {
      case "given":
        return new Set(atom.axes.flat());
      case "mean":
        return without(this.support(sumOf([atom.of])), atom.over);
      case "largest":
        return without(this.support(atom.of), atom.over);
      case "root":
        return this.support(atom.of);
      case "call":
        return new Set(atom.of.flatMap((sum) => [...this.support(sum)]));
      default:
        return new Set(this.lengths.keys());
    }
  }

  /** A sum that is this atom. */
  private atom(atom: Atom, exponent = 1): Sum {
    return sumOf([{ factor: 1, powers: [[this.numberOf(atom), exponent]] }]);
  }

  private numberOf(atom: Atom): number {
    const key = keyOfAtom(atom);
    const known = this.numbers.get(key);
    if (known !== undefined) return known;
    const number = this.atoms.push(atom) - 1;
    this.numbers.set(key, number);
    return number;
  }

  // arithmetic of sums

  private plus(a: Sum, b: Sum, sign = 1): Sum {
    const all = new Map(a);
    for (const [key, { factor, powers }] of b) {
      const old = all.get(key)?.factor ?? 0;
      const next = old + sign * factor;
      if (Math.abs(next) <= SAME * Math.max(Math.abs(old), Math.abs(factor))) all.delete(key);
      else all.set(key, { factor: next, powers });
    }
    return checked(all);
  }

  private times(a: Sum, b: Sum): Sum {
    if (a.size * b.size > MOST_PRODUCTS ** 2) throw new Unknown();
    let all: Sum = new Map();
    for (const p of a.values()) {
      for (const q of b.values()) {
        const exponents = new Map(p.powers);
        for (const [atom, exponent] of q.powers) exponents.set(atom, (exponents.get(atom) ?? 0) + exponent);
        all = this.plus(all, this.product(p.factor * q.factor, exponents));
      }
    }
    return all;
  }

  /** A product, in which the squares of roots are what the roots are of. */
  private product(factor: number, exponents: ReadonlyMap<number, number>): Sum {
    const powers: [number, number][] = [];
    let rest: Sum | undefined;
    for (const [number, exponent] of exponents) {
      const atom = this.atoms[number];
      let left = exponent;
      const isAbs = atom.kind === "call" && atom.name === "abs";
      if ((atom.kind === "root" && exponent >= 2) || (isAbs && exponent >= 2)) {
        left = exponent % 2;
        const squared = atom.kind === "root" ? atom.of : this.times(atom.of[0], atom.of[0]);
        for (let i = 0; i < (exponent - left) / 2; i++)
          rest = rest === undefined ? squared : this.times(rest, squared);
      }
      if (Math.abs(left) > MOST_EXPONENT) throw new Unknown();
      if (left !== 0) powers.push([number, left]);
    }
    const one = sumOf([{ factor, powers }]);
    return rest === undefined ? one : this.times(one, rest);
  }

  /** 1 over a sum. */
  private inverse(sum: Sum): Sum {
    if (sum.size === 0) throw new Unknown();
    if (sum.size > 1) return this.power(this.rooted(sum), -2);
    return this.power(sum, -1);
  }

  /** A single product to a whole power. */
  private power(sum: Sum, exponent: number): Sum {
    const [product] = sum.values();
    if (sum.size !== 1) throw new Unknown();
    return this.product(
      product.factor ** exponent,
      new Map(product.powers.map(([atom, one]) => [atom, one * exponent])),
    );
  }

  /** √ of a sum: what is common to all of it, and positive, stands before the root, as does a factor. */
  private rooted(sum: Sum): Sum {
    if (sum.size === 0) return sum;
    const products = [...sum.values()];
    const [first] = products;
    if (products.length === 1 && first.powers.length === 0) {
      if (!(first.factor > 0)) throw new Unknown();
      return numberSum(Math.sqrt(first.factor));
    }
    const common = new Map<number, number>();
    for (const [atom, exponent] of first.powers) {
      if (exponent % 2 !== 0 || !this.isPositive(atom)) continue;
      const all = products.map(({ powers }) => powers.find(([one]) => one === atom)?.[1] ?? 0);
      if (all.every((one) => one === exponent)) common.set(atom, exponent);
    }
    const bare = sumOf(
      products.map(({ factor, powers }) => ({
        factor,
        powers: powers.filter(([atom]) => !common.has(atom)),
      })),
    );
    const leading = [...bare]
      .sort(([a], [b]) => (a < b ? 1 : -1))
      .find(([, { factor }]) => factor > 0)?.[1].factor;
    if (leading === undefined) throw new Unknown();
    const inner = this.times(bare, numberSum(1 / leading));
    const before = sumOf([
      {
        factor: Math.sqrt(leading),
        powers: [...common].map(([atom, exponent]) => [atom, exponent / 2] as const),
      },
    ]);
    return this.times(before, this.rootOf(inner));
  }

  /** √1 is 1, √ of an inverse that of a root, and √ of a maximum the maximum of roots. */
  private rootOf(sum: Sum): Sum {
    if (this.isInverse(sum)) return this.inverse(this.rootOf(this.inverse(sum)));
    const [{ powers }] = sum.values();
    if (sum.size > 1 || powers.length > 1) return this.atom({ kind: "root", of: sum });
    if (powers.length === 0) return sum;
    const [[number, exponent]] = powers;
    const atom = this.atoms[number];
    if (atom.kind !== "call" || atom.name !== "max" || exponent !== 1)
      return this.atom({ kind: "root", of: sum });
    return this.called("max", atom.of.map((one) => this.rooted(one)).sort(byKey));
  }

  /** Whether a sum is 1 over a product. */
  private isInverse(sum: Sum): boolean {
    const [product, more] = sum.values();
    return (
      more === undefined &&
      product !== undefined &&
      product.powers.length > 0 &&
      product.powers.every(([, exponent]) => exponent < 0)
    );
  }

  private isPositive(number: number): boolean {
    const atom = this.atoms[number];
    if (atom.kind === "root") return true;
    if (atom.kind === "call")
      return ["abs", "exp", "sigmoid"].includes(atom.name) || this.isPositiveMaximum(atom);
    if (atom.kind === "mean") return this.isPositiveSum(sumOf([atom.of]));
    return atom.kind === "largest" && this.isPositiveSum(atom.of);
  }

  /** Whether a sum is a multiple of E[p²] − E[p]². */
  private isVariance(sum: Sum): boolean {
    if (sum.size !== 2) return false;
    const [a, b] = sum.values();
    const [squares, mean] = a.factor > 0 ? [a, b] : [b, a];
    if (!(near(squares.factor, -mean.factor) && squares.powers.length === 1 && mean.powers.length === 1))
      return false;
    const [[one, first], [other, second]] = [squares.powers[0], mean.powers[0]];
    const [ofSquares, ofMean] = [this.atoms[one], this.atoms[other]];
    if (first !== 1 || second !== 2 || ofSquares.kind !== "mean" || ofMean.kind !== "mean") return false;
    const doubled = ofMean.of.powers.map(([atom, exponent]) => [atom, 2 * exponent] as const);
    return (
      keyOfPowers(doubled) === keyOfPowers(ofSquares.of.powers) &&
      String(ofSquares.over) === String(ofMean.over)
    );
  }

  private isPositiveMaximum({ name, of }: { name: string; of: readonly Sum[] }): boolean {
    return name === "max" && of.some((sum) => this.isPositiveSum(sum));
  }

  private isPositiveSum(sum: Sum): boolean {
    return [...sum.values()].every(
      ({ factor, powers }) =>
        factor > 0 && powers.every(([atom, exponent]) => exponent % 2 === 0 || this.isPositive(atom)),
    );
  }

  private mean(sum: Sum, segments: readonly number[]): Sum {
    let all: Sum = new Map();
    for (const { factor, powers } of sum.values()) {
      const [within, before]: [number, number][][] = [[], []];
      for (const [atom, exponent] of powers) {
        const varies = segments.some((segment) => this.along(atom).has(segment));
        (varies ? within : before).push([atom, exponent]);
      }
      const outside = sumOf([{ factor, powers: before }]);
      all = this.plus(
        all,
        within.length === 0 ? outside : this.times(outside, this.meanOf(within, segments)),
      );
    }
    return all;
  }

  private meanOf(powers: readonly (readonly [number, number])[], segments: readonly number[]): Sum {
    const [[only, exponent]] = powers;
    const atom = this.atoms[only];
    const [of, before] =
      powers.length === 1 && exponent === 1 && atom.kind === "mean"
        ? [atom.of, atom.over]
        : [{ factor: 1, powers: sortedPowers(powers) }, []];
    const varying = this.support(sumOf([of]));
    const over = [...new Set([...before, ...segments])]
      .filter((one) => varying.has(one))
      .sort((a, b) => a - b);
    return this.atom({ kind: "mean", of, over });
  }

  // Ops

  shape = (x: Expression) => x.shape;

  constant(values: ArrayLike<number>, shape: readonly number[]): Expression {
    const [first = 0] = Array.from({ length: Math.min(1, values.length) }, (_, i) => values[i]);
    for (let i = 1; i < values.length; i++) if (values[i] !== first) throw new Unknown();
    if (!Number.isFinite(first)) throw new Unknown();
    return { shape, axes: shape.map(() => []), sum: numberSum(first) };
  }

  private operand(value: Operand<Expression>): Expression {
    return typeof value === "number" ? this.constant([value], []) : value;
  }

  /** Both with the same segments along the axes that both vary along. */
  private together(
    a: Operand<Expression>,
    b: Operand<Expression>,
    combine: (p: Sum, q: Sum) => Sum,
  ): Expression {
    let [p, q] = [this.operand(a), this.operand(b)];
    const rank = Math.max(p.shape.length, q.shape.length);
    const at = <V>(list: readonly V[], axis: number): V | undefined => list[axis - rank + list.length];
    for (let axis = 0; axis < rank; axis++) {
      const [one, other] = [at(p.axes, axis) ?? [], at(q.axes, axis) ?? []];
      if (one.length === 0 || other.length === 0 || String(one) === String(other)) continue;
      if (other.length === 1 && this.isFree(other[0])) q = this.bound(q, other[0], one);
      else if (one.length === 1 && this.isFree(one[0])) p = this.bound(p, one[0], other);
      else throw new Unknown();
    }
    const shape: number[] = [];
    const axes: (readonly number[])[] = [];
    for (let axis = 0; axis < rank; axis++) {
      const [m, n] = [at(p.shape, axis) ?? 1, at(q.shape, axis) ?? 1];
      if (m !== n && m !== 1 && n !== 1) throw new Unknown();
      shape.push(m === 1 ? n : m);
      const segments = at(p.axes, axis) ?? [];
      axes.push(segments.length > 0 ? segments : (at(q.axes, axis) ?? []));
    }
    return { shape, axes, sum: combine(p.sum, q.sum) };
  }

  private isFree(segment: number): boolean {
    return segment >= this.segments;
  }

  /** A value of the graph whose axis turns out to follow other segments. */
  private bound(value: Expression, free: number, segments: readonly number[]): Expression {
    if (sizeOf(segments.map((one) => this.lengths[one])) !== this.lengths[free]) throw new Unknown();
    const put = (list: readonly number[]) => list.flatMap((one) => (one === free ? segments : [one]));
    const inSum = (sum: Sum): Sum =>
      this.support(sum).has(free) || this.mentions(sum, free)
        ? [...sum.values()].map(inProduct).reduce((all, one) => this.plus(all, one), new Map() as Sum)
        : sum;
    const inProduct = ({ factor, powers }: Product): Sum =>
      powers.reduce<Sum>((all, [atom, exponent]) => {
        const moved = inAtom(this.atoms[atom]);
        return this.times(all, exponent === 1 ? moved : this.power(moved, exponent));
      }, numberSum(factor));
    const inAtom = (atom: Atom): Sum => {
      switch (atom.kind) {
        case "given":
          return this.atom({ ...atom, axes: atom.axes.map(put) });
        case "mean":
          return this.mean(inProduct(atom.of), put(atom.over));
        case "largest":
          return this.atom({ ...atom, of: inSum(atom.of), over: put(atom.over) });
        case "root":
          return this.rooted(inSum(atom.of));
        case "call":
          return this.atom({ ...atom, of: atom.of.map(inSum) });
        default:
          return this.atom(atom);
      }
    };
    return { shape: value.shape, axes: value.axes.map(put), sum: inSum(value.sum) };
  }

  /** Whether a segment stands anywhere in a sum, reduced ones too. */
  private mentions(sum: Sum, segment: number): boolean {
    return [...sum.values()].some(({ powers }) =>
      powers.some(([number]) => {
        const atom = this.atoms[number];
        switch (atom.kind) {
          case "x":
            return false;
          case "given":
            return atom.axes.some((axis) => axis.includes(segment));
          case "mean":
            return atom.over.includes(segment) || this.mentions(sumOf([atom.of]), segment);
          case "call":
            return atom.of.some((one) => this.mentions(one, segment));
          case "largest":
            return atom.over.includes(segment) || this.mentions(atom.of, segment);
          default:
            return this.mentions(atom.of, segment);
        }
      }),
    );
  }

  private map(x: Expression, change: (sum: Sum) => Sum): Expression {
    return { ...x, sum: change(x.sum) };
  }

  add = (a: Operand<Expression>, b: Operand<Expression>) => this.together(a, b, (p, q) => this.plus(p, q));
  sub = (a: Operand<Expression>, b: Operand<Expression>) =>
    this.together(a, b, (p, q) => this.plus(p, q, -1));
  mul = (a: Operand<Expression>, b: Operand<Expression>) => this.together(a, b, (p, q) => this.times(p, q));
  div = (a: Operand<Expression>, b: Operand<Expression>) =>
    this.together(a, b, (p, q) => this.times(p, this.inverse(q)));

  max(a: Operand<Expression>, b: Operand<Expression>): Expression {
    return this.together(a, b, (p, q) => {
      const guards = (sum: Sum) => sum.size === 0 || (numberIn(sum) ?? 1) <= GUARD;
      if (this.trusting && guards(q)) return p;
      if (this.trusting && guards(p)) return q;
      // a variance that cancellation could make negative is kept from it
      const isAbove = (sum: Sum) => this.isVariance(sum) || this.isPositiveSum(sum);
      if (q.size === 0 && isAbove(p)) return p;
      if (p.size === 0 && isAbove(q)) return q;
      return this.called("max", [p, q].sort(byKey));
    });
  }

  min = (a: Operand<Expression>, b: Operand<Expression>) =>
    this.together(a, b, (p, q) => {
      // the smaller of inverses is the inverse of the larger
      if (
        [p, q].every((sum) => numberIn(sum) !== undefined || this.isInverse(sum)) &&
        this.isPositiveSum(p) &&
        this.isPositiveSum(q)
      ) {
        return this.inverse(this.called("max", [p, q].map((sum) => this.inverse(sum)).sort(byKey)));
      }
      return this.called("min", [p, q].sort(byKey));
    });
  greater = (a: Operand<Expression>, b: Operand<Expression>) =>
    this.together(a, b, (p, q) => this.called("greater", [p, q]));

  where(condition: Expression, a: Operand<Expression>, b: Operand<Expression>): Expression {
    const holds = numberIn(condition.sum);
    if (holds === undefined && !this.trusting) throw new Unknown();
    return this.operand(holds === 0 ? b : a);
  }

  private called(name: string, of: readonly Sum[]): Sum {
    return this.atom({ kind: "call", name, of });
  }

  private calling = (name: string) => (x: Expression) => this.map(x, (sum) => this.called(name, [sum]));
  exp = this.calling("exp");
  tanh = this.calling("tanh");
  sigmoid = this.calling("sigmoid");
  erf = this.calling("erf");

  abs = (x: Expression) => this.map(x, (sum) => (this.isPositiveSum(sum) ? sum : this.called("abs", [sum])));
  sqrt = (x: Expression) => this.map(x, (sum) => this.rooted(sum));

  pow(x: Expression, exponent: number): Expression {
    const twice = exponent * 2;
    if (!Number.isInteger(twice) || Math.abs(exponent) > MOST_EXPONENT) throw new Unknown();
    return this.map(x, (sum) => {
      const base = twice % 2 === 0 ? sum : this.rooted(sum);
      const times = twice % 2 === 0 ? exponent : twice;
      let result = numberSum(1);
      for (let i = 0; i < Math.abs(times); i++) result = this.times(result, base);
      return times < 0 ? this.inverse(result) : result;
    });
  }

  rounded = (x: Expression, type: NarrowType) => this.calling(type)(x);

  sum = (x: Expression, axes: readonly number[]) =>
    this.reduced(x, axes, (sum, segments, count) => this.times(this.mean(sum, segments), numberSum(count)));
  largest = (x: Expression, axes: readonly number[]) =>
    this.reduced(x, axes, (of, segments) => {
      const varying = this.support(of);
      const over = segments.filter((one) => varying.has(one)).sort((a, b) => a - b);
      return over.length === 0 ? of : this.atom({ kind: "largest", of, over });
    });

  private reduced(
    { shape, axes, sum }: Expression,
    which: readonly number[],
    reduce: (sum: Sum, segments: readonly number[], count: number) => Sum,
  ): Expression {
    const count = sizeOf(which.map((axis) => shape[axis]));
    return {
      shape: shape.map((length, axis) => (which.includes(axis) ? 1 : length)),
      axes: axes.map((segments, axis) => (which.includes(axis) ? [] : segments)),
      sum: reduce(
        sum,
        which.flatMap((axis) => axes[axis]),
        count,
      ),
    };
  }

  transpose = ({ shape, axes, sum }: Expression, order: readonly number[]): Expression => ({
    shape: order.map((axis) => shape[axis]),
    axes: order.map((axis) => axes[axis]),
    sum,
  });

  reshape(x: Expression, shape: readonly number[]): Expression {
    if (sizeOf(shape) !== sizeOf(x.shape)) throw new Unknown();
    // an axis along which nothing varies has a segment as well, of which nothing knows
    const rest = x.axes.flatMap((segments, axis) =>
      segments.length === 0 && x.shape[axis] !== 1 ? [this.lengths.push(x.shape[axis]) - 1] : segments,
    );
    const axes = shape.map((length) => {
      const taken: number[] = [];
      for (let left = length; left > 1; ) {
        const [segment] = rest;
        if (segment === undefined) throw new Unknown();
        const all = this.lengths[segment];
        if (left % all === 0) {
          taken.push(segment);
          rest.shift();
          left /= all;
        } else if (all % left === 0 && !this.isFree(segment)) throw new Cut(segment, [left, all / left]);
        else throw new Unknown();
      }
      return taken;
    });
    return { shape, axes, sum: x.sum };
  }

  stop = (x: Expression) => x;

  /** x along more places, at which it is the same. */
  expand({ shape, axes, sum }: Expression, wanted: readonly number[]): Expression {
    const before = wanted.length - shape.length;
    return { shape: wanted, axes: wanted.map((_, axis) => axes[axis - before] ?? []), sum };
  }

  matMul(): Expression {
    throw new Unknown();
  }
  slice(x: Expression, axis: number, from: number, to: number): Expression {
    if (from === 0 && to === x.shape[axis]) return x;
    throw new Unknown();
  }
  concat(parts: readonly Expression[]): Expression {
    if (parts.length === 1) return parts[0];
    throw new Unknown();
  }
  sorted(): Expression {
    throw new Unknown();
  }

  normalize(
    norm: FusedNorm,
    x: Expression,
    operands?: NormalizeOperands<Expression>,
  ): NormalizeResult<Expression> {
    return this.formula(() => composedNormalize<Expression>(this, norm, x, operands));
  }
}

/** Whether two are the same value, place by place. */
export function isSame(a: Expression, b: Expression): boolean {
  return String(a.axes.map(String)) === String(b.axes.map(String)) && isSameSum(a.sum, b.sum);
}

export function isSameSum(a: Sum, b: Sum): boolean {
  return (
    a.size === b.size &&
    [...a].every(([key, { factor }]) => {
      const other = b.get(key)?.factor;
      return other !== undefined && near(other, factor);
    })
  );
}

/** The number that a sum is, if it is one. */
export function numberIn(sum: Sum): number | undefined {
  if (sum.size === 0) return 0;
  return sum.size === 1 ? sum.get(NUMBER)?.factor : undefined;
}

function numberSum(value: number): Sum {
  return value === 0 ? new Map() : sumOf([{ factor: value, powers: [] }]);
}

export function sumOf(products: readonly Product[]): Sum {
  return new Map(
    products.map(({ factor, powers }) => {
      const sorted = sortedPowers(powers);
      return [keyOfPowers(sorted), { factor, powers: sorted }];
    }),
  );
}

/** Whether two factors count as the same. */
export function near(a: number, b: number): boolean {
  return Math.abs(a - b) <= SAME * Math.max(Math.abs(a), Math.abs(b));
}

function checked(sum: Sum): Sum {
  if (sum.size > MOST_PRODUCTS) throw new Unknown();
  for (const { factor } of sum.values()) if (!Number.isFinite(factor)) throw new Unknown();
  return sum;
}

function sortedPowers(powers: Product["powers"]): Product["powers"] {
  return powers.filter(([, exponent]) => exponent !== 0).sort(([a], [b]) => a - b);
}

function keyOfPowers(powers: Product["powers"]): string {
  return powers.map(([atom, exponent]) => (exponent === 1 ? `${atom}` : `${atom}^${exponent}`)).join("*");
}

/** Products in the order of their keys, with factors rounded to what counts as the same. */
function keyOfSum(sum: Sum): string {
  return [...sum]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, { factor }]) => `${Number(factor.toPrecision(6))}*${key}`)
    .join("+");
}

function byKey(a: Sum, b: Sum): number {
  return keyOfSum(a) < keyOfSum(b) ? -1 : 1;
}

function keyOfAtom(atom: Atom): string {
  switch (atom.kind) {
    case "x":
      return "x";
    case "given":
      return `given ${JSON.stringify([atom.name, atom.axes])}`;
    case "mean":
      return `mean(${keyOfPowers(atom.of.powers)})/${atom.over}`;
    case "root":
      return `root(${keyOfSum(atom.of)})`;
    case "largest":
      return `largest(${keyOfSum(atom.of)})/${atom.over}`;
    case "call":
      return `${atom.name}(${atom.of.map(keyOfSum)})`;
  }
}

function without(all: ReadonlySet<number>, some: readonly number[]): ReadonlySet<number> {
  return new Set([...all].filter((one) => !some.includes(one)));
}
