/** Random formulas over all operations of `Ops`, and their derivatives along a direction in float64. */
import { composedNormalize } from "../../src/formula/composed.js";
import { Eager, type Values64 } from "../../src/formula/eager.js";
import type { Normalization } from "../../src/formula/normalization.js";
import type { NarrowType, NormalizeResult, Operand, Ops } from "../../src/formula/ops.js";
import { type FusedNorm, planOf } from "../../src/formula/plan.js";
import { windowSum } from "../../src/formula/terms.js";
import { broadcastShape, sizeOf } from "../../src/shape.js";
import { random } from "./numerics.js";

/** Values64, and how they change along a direction. */
export interface Moving {
  readonly at: Values64;
  readonly by: Values64;
}

const eager = new Eager();

/** Formulas with their derivative along a direction, by the rule of each operation: what gradients are held to. */
export class Along implements Ops<Moving> {
  shape = ({ at }: Moving) => at.shape;
  constant = (values: ArrayLike<number>, shape: readonly number[]) => still(eager.constant(values, shape));
  stop = ({ at }: Moving) => still(at);
  add = (a: Operand<Moving>, b: Operand<Moving>) => linear(a, b, eager.add);
  sub = (a: Operand<Moving>, b: Operand<Moving>) => linear(a, b, eager.sub);

  mul(a: Operand<Moving>, b: Operand<Moving>): Moving {
    const [p, q] = [moving(a), moving(b)];
    return {
      at: eager.mul(p.at, q.at),
      by: eager.add(eager.mul(p.by, q.at), eager.mul(p.at, q.by)),
    };
  }

  div(a: Operand<Moving>, b: Operand<Moving>): Moving {
    const [p, q] = [moving(a), moving(b)];
    const at = eager.div(p.at, q.at);
    return { at, by: eager.div(eager.sub(p.by, eager.mul(at, q.by)), q.at) };
  }

  max = (a: Operand<Moving>, b: Operand<Moving>) =>
    this.choice(eager.greater(moving(b).at, moving(a).at), b, a);
  min = (a: Operand<Moving>, b: Operand<Moving>) =>
    this.choice(eager.greater(moving(a).at, moving(b).at), b, a);
  greater = (a: Operand<Moving>, b: Operand<Moving>) => still(eager.greater(moving(a).at, moving(b).at));
  where = ({ at }: Moving, a: Operand<Moving>, b: Operand<Moving>) => this.choice(at, a, b);

  abs = sloped(Math.abs, Math.sign);
  exp = sloped(Math.exp, Math.exp);
  sqrt = sloped(Math.sqrt, (x) => 0.5 / Math.sqrt(x));
  tanh = sloped(Math.tanh, (x) => 1 - Math.tanh(x) ** 2);
  sigmoid = sloped(
    (x) => 1 / (1 + Math.exp(-x)),
    (x) => 1 / (1 + Math.exp(-x)) / (1 + Math.exp(x)),
  );
  erf = ({ at, by }: Moving): Moving => ({
    at: eager.erf(at),
    by: eager.mul(
      by,
      mapped(at, (x) => (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x)),
    ),
  });
  pow = (x: Moving, exponent: number) =>
    sloped(
      (value) => value ** exponent,
      (value) => (exponent === 0 ? 0 : exponent * value ** (exponent - 1)),
    )(x);
  rounded = ({ at, by }: Moving, type: NarrowType): Moving => ({ at: eager.rounded(at, type), by });
  sum = (x: Moving, axes: readonly number[]) => both(x, (values) => eager.sum(values, axes));
  largest = ({ at }: Moving, axes: readonly number[]) => still(eager.largest(at, axes));
  sorted = ({ at }: Moving) => still(eager.sorted(at));

  matMul(a: Moving, b: Moving): Moving {
    const by = eager.add(eager.matMul(a.by, b.at), eager.matMul(a.at, b.by));
    return { at: eager.matMul(a.at, b.at), by };
  }

  recurrence(start: Moving, factors: Moving, terms: Moving): { before: Moving; last: Moving } {
    const { before, last } = recurrence(start.at, factors.at, terms.at);
    return { before: still(before), last: still(last) };
  }

  reshape = (x: Moving, shape: readonly number[]) => both(x, (values) => eager.reshape(values, shape));
  transpose = (x: Moving, order: readonly number[]) => both(x, (values) => eager.transpose(values, order));
  slice = (x: Moving, axis: number, from: number, to: number) =>
    both(x, (values) => eager.slice(values, axis, from, to));

  concat(parts: readonly Moving[], axis: number): Moving {
    const joined = (name: "at" | "by") =>
      eager.concat(
        parts.map((part) => part[name]),
        axis,
      );
    return { at: joined("at"), by: joined("by") };
  }

  /** For `through` that multiplies by what was saved first. */
  intercept({ at, by }: Moving, [factor]: readonly Moving[]): Moving {
    return { at, by: eager.mul(by, factor.at) };
  }

  normalize: Ops<Moving>["normalize"] = (norm, x, operands) => composedNormalize(this, norm, x, operands);

  private choice(condition: Values64, a: Operand<Moving>, b: Operand<Moving>): Moving {
    const [p, q] = [moving(a), moving(b)];
    const at = eager.where(condition, p.at, q.at);
    return { at, by: eager.where(condition, p.by, q.by) };
  }
}

/** The values alone, with every operation that a host may leave out. */
export class Plain extends Eager {
  recurrence = recurrence;
  intercept = (x: Values64) => x;
}

const zeros = (shape: readonly number[]): Values64 => ({ shape, data: new Float64Array(sizeOf(shape)) });
const still = (at: Values64): Moving => ({ at, by: zeros(at.shape) });
const moving = (operand: Operand<Moving>): Moving =>
  typeof operand === "number" ? still({ shape: [], data: Float64Array.of(operand) }) : operand;
const mapped = ({ shape, data }: Values64, value: (x: number) => number): Values64 => ({
  shape,
  data: data.map((one) => value(one)),
});
const both = ({ at, by }: Moving, change: (values: Values64) => Values64): Moving => ({
  at: change(at),
  by: change(by),
});

function linear(a: Operand<Moving>, b: Operand<Moving>, operation: Eager["add"]): Moving {
  const [p, q] = [moving(a), moving(b)];
  return { at: operation(p.at, q.at), by: operation(p.by, q.by) };
}

function sloped(value: (x: number) => number, slope: (x: number) => number) {
  return ({ at, by }: Moving): Moving => ({ at: mapped(at, value), by: eager.mul(by, mapped(at, slope)) });
}

function recurrence(
  start: Values64,
  factors: Values64,
  terms: Values64,
): { before: Values64; last: Values64 } {
  const [steps, width] = terms.shape;
  const factor = eager.add(factors, zeros(terms.shape)).data;
  const state = start.data.slice();
  const before = new Float64Array(steps * width);
  for (let i = 0; i < before.length; i++) {
    before[i] = state[i % width];
    state[i % width] = factor[i] * state[i % width] + terms.data[i];
  }
  return { before: { shape: terms.shape, data: before }, last: { shape: [width], data: state } };
}

/** A step of a formula, from arrays made before it. */
interface Step {
  readonly of: readonly number[];
  make<T>(ops: Ops<T>, operands: readonly T[]): T;
}

export interface Formula {
  readonly norm: Normalization;
  readonly inputs: readonly (readonly number[])[];
  readonly mask?: readonly number[];
  readonly residual?: readonly number[];
  /** How many results there are beside y. */
  readonly more: number;
  /** For messages. */
  toString(): string;
}

/**
 * `exact`: of integers, by operations that float32 has exactly, so that every backend gives the same. Else all operations; `smooth` leaves
 * out those whose small errors become large.
 */
export type Kind = "exact" | "smooth" | "all";

/** A formula of so many steps, the same for the same seed. */
export function randomFormula(seed: number, kind: Kind, steps: number, most = 300): Formula {
  const next = random(seed);
  const below = (count: number) => Math.floor(next() * count);
  const pick = <T>(list: readonly T[]): T => list[below(list.length)];
  const chance = (probability: number) => next() < probability;

  const lengths = [1, 2, 3, 4, 5, 7, 8, 9];
  const shapeUpTo = (size: number) => {
    const shape: number[] = [];
    for (let rank = 1 + below(5); shape.length < rank; ) {
      const length = chance(0.15) ? pick([13, 16, 17, 31, 33]) : pick(lengths);
      shape.push(sizeOf(shape) * length <= size ? length : 1);
    }
    return shape;
  };
  const inputs = Array.from({ length: 1 + below(3) }, () => shapeUpTo(most));
  const maskShape = chance(0.3) ? inputs[0].map((length) => (chance(0.4) ? 1 : length)) : undefined;
  const residual = chance(0.3) ? inputs[0] : undefined;
  const handles = { mask: chance(0.5), residual: chance(0.3) };
  const specified = Object.fromEntries(
    Array.from({ length: below(4) }, (_, i) => [
      `weight${i}`,
      { shape: shapeUpTo(40), initial: 1, trained: chance(0.6) },
    ]),
  );
  const names = Object.keys(specified);

  const made: Step[] = [];
  const written: string[] = [];
  const pool: Values64[] = [...inputs, ...names.map((name) => specified[name].shape)].map((shape, i) =>
    valuesOf(shape, kind, seed + i),
  );
  if (handles.mask && maskShape) pool.push(valuesOf(maskShape, "exact", seed + 90));
  if (handles.residual && residual) pool.push(valuesOf(residual, kind, seed + 91));
  const given = pool.length;
  const ops = new Plain();
  const limit = kind === "exact" ? 2 ** 12 : 1e3;
  const add = (name: string, of: readonly number[], make: Step["make"]): number | undefined => {
    const values = make<Values64>(
      ops,
      of.map((i) => pool[i]),
    );
    if (sizeOf(values.shape) > 4 * most || values.data.some((value) => !(Math.abs(value) < limit)))
      return undefined;
    made.push({ of, make });
    written.push(`${pool.length}: ${name}(${of.join()}) [${values.shape.join()}]`);
    return pool.push(values) - 1;
  };
  /** Recent arrays more often, so that chains are long. */
  const any = () => (chance(0.5) ? pool.length - 1 - below(Math.min(4, pool.length)) : below(pool.length));
  const shapeOf = (i: number) => pool[i].shape;
  const broadcasts = (i: number, j: number) => {
    try {
      return sizeOf(broadcastShape(shapeOf(i), shapeOf(j))) <= 4 * most;
    } catch {
      return false;
    }
  };
  /** An array that broadcasts with this one. */
  const beside = (i: number): number => {
    for (let tries = 0; tries < 6; tries++) {
      const j = any();
      if (broadcasts(i, j)) return j;
    }
    const axes = [...shapeOf(i).keys()].filter(() => chance(0.5));
    if (chance(0.3)) return add("sum", [i], (o, [x]) => o.mul(o.sum(x, axes), 1)) ?? i;
    if (axes.length === 0) return i;
    return (
      add("slice1", [i], (o, [x]) =>
        axes.reduce((y, axis) => (o.shape(y)[axis] > 0 ? o.slice(y, axis, 0, 1) : y), x),
      ) ?? i
    );
  };
  const factorsOf = (size: number) => {
    const shape: number[] = [];
    let rest = size;
    for (const factor of [2, 3, 2, 5, 7, 2, 3, 11]) {
      if (rest % factor === 0 && chance(0.6)) {
        shape.push(factor);
        rest /= factor;
      }
    }
    shape.splice(below(shape.length + 1), 0, rest);
    if (chance(0.2)) shape.splice(below(shape.length + 1), 0, 1);
    return shape;
  };
  /** An array of this shape, made of one. */
  const fitted = <T>(o: Ops<T>, x: T, shape: readonly number[], positive = false): T => {
    const all = o.sum(x, [...o.shape(x).keys()]);
    const ramp = Float64Array.from({ length: sizeOf(shape) }, (_, i) => (i % 3) - 1);
    const y = o.add(o.constant(ramp, shape), o.tanh(o.mul(o.reshape(all, []), 0.01)));
    return positive ? o.add(o.abs(y), 0.5) : y;
  };

  const exact: Record<string, () => void> = {
    add: () => void two("add"),
    sub: () => void two("sub"),
    mul: () => void two("mul"),
    max: () => void two("max"),
    min: () => void two("min"),
    number() {
      const value = below(5) - 2;
      const name = pick(["add", "sub", "mul", "max", "min", "greater"] as const);
      if (chance(0.5)) add(`${name} ${value}`, [any()], (o, [x]) => o[name](x, value));
      else add(`${value} ${name}`, [any()], (o, [x]) => o[name](value, x));
    },
    greater: () => void two("greater"),
    where() {
      const condition = two("greater");
      if (condition === undefined) return;
      const [a, b] = [beside(condition), beside(condition)];
      if (!broadcasts(a, b)) return;
      const kind = below(3);
      if (kind === 0) add("where 0", [condition, a], (o, [c, x]) => o.where(c, x, 0));
      if (kind === 1) add("where 1", [a, b], (o, [x, y]) => o.where(x, 1, y));
      if (kind === 2) add("where", [condition, a, b], (o, [c, x, y]) => o.where(c, x, y));
    },
    abs: () => void add("abs", [any()], (o, [x]) => o.abs(x)),
    sum() {
      const i = any();
      const axes = [...shapeOf(i).keys()].filter(() => chance(0.5));
      add(`sum ${axes}`, [i], (o, [x]) => o.sum(x, axes));
    },
    largest() {
      const i = any();
      const axes = [...shapeOf(i).keys()].filter((axis) => chance(0.5) && shapeOf(i)[axis] > 0);
      if (sizeOf(shapeOf(i)) > 0) add(`largest ${axes}`, [i], (o, [x]) => o.largest(x, axes));
    },
    sorted() {
      const i = any();
      if (shapeOf(i).length > 0) add("sorted", [i], (o, [x]) => o.sorted(x));
    },
    reshape() {
      const i = any();
      const size = sizeOf(shapeOf(i));
      if (size === 0) return;
      const shape = size === 1 && chance(0.3) ? [] : factorsOf(size);
      add(`reshape ${shape}`, [i], (o, [x]) => o.reshape(x, shape));
    },
    transpose() {
      const i = any();
      const order = [...shapeOf(i).keys()];
      for (let at = order.length - 1; at > 0; at--) {
        const other = below(at + 1);
        [order[at], order[other]] = [order[other], order[at]];
      }
      add(`transpose ${order}`, [i], (o, [x]) => o.transpose(x, order));
    },
    slice() {
      const i = any();
      if (shapeOf(i).length === 0) return;
      const axis = below(shapeOf(i).length);
      const length = shapeOf(i)[axis];
      const from = below(length + 1);
      const to = from + (chance(0.1) ? 0 : below(length - from + 1));
      if (to === from && !chance(0.1)) return;
      add(`slice ${axis} ${from} ${to}`, [i], (o, [x]) => o.slice(x, axis, from, to));
    },
    concat() {
      const i = any();
      if (shapeOf(i).length === 0) return;
      const axis = below(shapeOf(i).length);
      const alike = pool.flatMap(({ shape }, j) =>
        shape.length === shapeOf(i).length &&
        shape.every((length, a) => a === axis || length === shapeOf(i)[a])
          ? [j]
          : [],
      );
      const parts = [i, ...Array.from({ length: 1 + below(2) }, () => pick(alike))];
      add(`concat ${axis}`, parts, (o, list) => o.concat(list, axis));
    },
    broadcast() {
      const i = any();
      const shape = [
        ...(chance(0.3) ? [pick([2, 3])] : []),
        ...shapeOf(i).map((length) => (length === 1 ? pick([1, 2, 5]) : length)),
      ];
      add(`broadcast ${shape}`, [i], (o, [x]) =>
        o.add(x, o.constant(new Float32Array(sizeOf(shape)), shape)),
      );
    },
    constant() {
      const shape = shapeUpTo(20);
      const uniform = chance(0.4);
      const values = Float64Array.from({ length: sizeOf(shape) }, (_, i) =>
        uniform ? 2 : ((i * 7) % 5) - 2,
      );
      add(`constant ${shape} ${uniform}`, [], (o) => o.constant(values, shape));
    },
    stop: () => void add("stop", [any()], (o, [x]) => o.stop(x)),
    intercept() {
      const i = any();
      const j = beside(i);
      if (sizeOf(shapeOf(i)) !== sizeOf(broadcastShape(shapeOf(i), shapeOf(j)))) return;
      if (shapeOf(j).length > shapeOf(i).length) return;
      add(
        "intercept",
        [i, j],
        (o, [x, s]) => o.intercept?.(x, [s], (gradient, [factor]) => o.mul(gradient, factor)) as typeof x,
      );
    },
    matMul() {
      const [i, j] = [any(), any()];
      const [p, q] = [i, j].map((at) => sizeOf(shapeOf(at)));
      const k = pick([1, 2, 3, 4, 6]);
      if (p % k !== 0 || q % k !== 0 || p === 0 || q === 0) return;
      const count = p % (2 * k) === 0 && q % (2 * k) === 0 && chance(0.5) ? [2] : [];
      const [m, n] = [p, q].map((size) => size / k / sizeOf(count));
      if (m * n > 2 * most) return;
      add(`matMul ${k}`, [i, j], (o, [a, b]) => {
        const right = o.transpose(o.reshape(b, [...count, n, k]), count.length ? [0, 2, 1] : [1, 0]);
        return o.matMul(o.reshape(a, [...count, m, k]), right);
      });
    },
    windowSum() {
      const i = any();
      if (sizeOf(shapeOf(i)) === 0 || shapeOf(i).length === 0) return;
      const axis = below(shapeOf(i).length);
      const [before, after] = [below(4), below(4)];
      add(`window ${axis} ${before} ${after}`, [i], (o, [x]) => windowSum(o, x, axis, before, after));
    },
    recurrence() {
      const i = any();
      const size = sizeOf(shapeOf(i));
      if (size === 0) return;
      const width = pick([1, 2, 3, 4, 5].filter((length) => size % length === 0));
      const last = chance(0.3);
      add("recurrence", [i], (o, [x]) => {
        const terms = o.reshape(x, [size / width, width]);
        const start = o.reshape(o.slice(terms, 0, 0, 1), [width]);
        const factors = o.sub(o.greater(terms, 0), 1);
        const { before, last: end } = (o.recurrence as NonNullable<typeof o.recurrence>)(
          start,
          factors,
          terms,
        );
        return last ? o.add(before, end) : before;
      });
    },
  };
  const smooth: Record<string, () => void> = {
    squashed() {
      const name = pick(["tanh", "sigmoid", "erf"] as const);
      add(name, [any()], (o, [x]) => o[name](x));
    },
    exp: () => void add("exp", [any()], (o, [x]) => o.exp(o.tanh(x))),
    sqrt: () => void add("sqrt", [any()], (o, [x]) => o.sqrt(o.add(o.mul(x, x), 0.5))),
    div() {
      const i = any();
      const j = beside(i);
      if (broadcasts(i, j)) add("div", [i, j], (o, [x, y]) => o.div(x, o.add(o.abs(y), 0.5)));
    },
    pow() {
      const exponent = pick([-2, -1, -0.5, 0, 0.25, 0.5, 1, 1.5, 2, 3, 2.3]);
      add(`pow ${exponent}`, [any()], (o, [x]) => o.pow(o.add(o.abs(x), 0.5), exponent));
    },
    normalize() {
      const i = any();
      const shape = shapeOf(i);
      if (shape.length === 0 || sizeOf(shape) === 0) return;
      const axes = [...shape.keys()];
      const norm: FusedNorm = {
        name: "random",
        epsilon: pick([1e-5, 0.1]),
        centered: chance(0.6),
        plan: (lengths) => planOf(lengths, lengths, kept, parameters),
      };
      const kept = axes.filter(() => chance(0.5));
      const parameters = axes.filter(() => chance(0.5));
      const [j, other] = [
        any(),
        pool.findIndex((values, at) => at !== i && sameLengths(values.shape, shape)),
      ];
      const plan = norm.plan(shape);
      if (!plan.statistics || !plan.parameters) return;
      const has = Object.fromEntries(
        ["gamma", "beta", "given", "mask", "residual"].map((name) => [name, chance(0.4)]),
      );
      const output = pick(["y", "y", "y", "sum", "mean", "variance"] as const);
      const masked = shape.map((length) => (chance(0.5) ? 1 : length));
      add(
        `normalize ${Object.keys(has).filter((name) => has[name])} ${output} kept ${kept} parameters ${parameters}`,
        [i, j, Math.max(other, 0)],
        <T>(o: Ops<T>, [x, y, z]: readonly T[]) => {
          const operands = {
            ...(has.gamma && { gamma: fitted(o, y, plan.parameterShape) }),
            ...(has.beta && { beta: fitted(o, y, plan.parameterShape) }),
            ...(has.given && {
              ...(norm.centered && { mean: o.stop(fitted(o, y, plan.statisticsShape)) }),
              variance: o.stop(fitted(o, y, plan.statisticsShape, true)),
            }),
            ...(has.mask && {
              mask: o.constant(
                Float64Array.from({ length: sizeOf(masked) }, (_, at) => (at % 4 === 1 ? 0 : 1)),
                masked,
              ),
            }),
            ...(has.residual && other >= 0 && { residual: z }),
          };
          const result: NormalizeResult<T> = o.normalize(norm, x, operands);
          return result[output] ?? result.y;
        },
      );
    },
  };
  const rough: Record<string, () => void> = {
    rounded() {
      const type = pick(["float16", "bfloat16"] as const);
      add(type, [any()], (o, [x]) => o.rounded(x, type));
    },
  };
  const unsteady = ["greater", "where", "sorted", "recurrence", "max", "min", "number", "abs"];
  const all = { ...exact, ...(kind !== "exact" && smooth), ...(kind === "all" && rough) };
  const kinds = Object.keys(all).filter((name) => kind !== "smooth" || !unsteady.includes(name));
  const two = (name: "add" | "sub" | "mul" | "max" | "min" | "greater") => {
    const i = any();
    const j = beside(i);
    return broadcasts(i, j) ? add(name, [i, j], (o, [x, y]) => o[name](x, y)) : undefined;
  };
  for (let step = 0; step < steps; step++) all[pick(kinds)]();

  const full = () => {
    for (let tries = 0; tries < 20; tries++) {
      const i = chance(0.7) ? Math.max(0, pool.length - 1 - below(5)) : below(pool.length);
      if (sizeOf(shapeOf(i)) > 0) return i;
    }
    return 0;
  };
  // y of a masked formula is masked, as x is
  const inShapeOfX = () => {
    const same = pool.flatMap(({ shape }, i) => (sameLengths(shape, inputs[0]) ? [i] : []));
    return chance(0.6) ? (same.at(-1) as number) : pick(same);
  };
  const runMasks = maskShape !== undefined && !handles.mask;
  const y = runMasks ? inShapeOfX() : full();
  const more = Array.from({ length: below(4) }, () => (chance(0.15) ? y : full()));
  const stateful = names.filter((name) => !specified[name].trained && chance(0.8));
  const states = stateful.map(() => full());
  const movesBack = names.filter((name) => !specified[name].trained && !stateful.includes(name));
  const sum = handles.residual && residual !== undefined;
  const norm: Normalization = {
    name: `formula ${seed}`,
    handles,
    weights: () => specified,
    apply<T>(
      o: Ops<T>,
      given: readonly T[],
      weights: Readonly<Record<string, T>>,
      {
        mask,
        residual: other,
        moveState,
      }: { mask?: T; residual?: T; moveState?(state: Readonly<Record<string, T>>): void },
    ) {
      const values = [...given, ...names.map((name) => weights[name])];
      if (handles.mask && mask !== undefined) values.push(mask);
      if (handles.residual && other !== undefined) values.push(other);
      for (const { of, make } of made)
        values.push(
          make(
            o,
            of.map((i) => values[i]),
          ),
        );
      let first = values[y];
      if (moveState && movesBack.length > 0 && o.intercept) {
        // the gradient goes on as it is
        first = o.intercept(first, [o.constant([1], []), ...values.slice(-2)], (gradient, [, a, b]) => {
          const [name, second] = movesBack;
          moveState({
            [name]: o.add(o.sum(gradient, [...o.shape(gradient).keys()]), 1),
            ...(second && { [second]: b ?? a }),
          });
          return gradient;
        });
      }
      return {
        y: first,
        ...(more.length > 0 && { more: more.map((i) => values[i]) }),
        ...(stateful.length > 0 && {
          state: Object.fromEntries(stateful.map((name, i) => [name, values[states[i]]])),
        }),
        ...(sum && { sum: o.add(given[0], other as T) }),
      };
    },
  };
  return {
    norm,
    inputs,
    mask: maskShape,
    residual,
    more: more.length,
    toString: () =>
      [
        `seed ${seed} ${kind} inputs ${inputs.map((s) => `[${s}]`)} weights ${names.map((n) => `${n} [${specified[n].shape}]${specified[n].trained ? "" : " state"}`)}`,
        `mask ${maskShape ?? "none"} residual ${residual ?? "none"} handles ${JSON.stringify(handles)} given ${given}`,
        ...written,
        `y ${y} more ${more} state ${stateful.map((n, i) => `${n}=${states[i]}`)}`,
      ].join("\n"),
  };
}

const sameLengths = (a: readonly number[], b: readonly number[]) =>
  a.length === b.length && a.every((length, i) => length === b[i]);

/** Integers from −3 to 3, or numbers about 0. */
export function valuesOf(shape: readonly number[], kind: Kind, seed: number): Values64 {
  const next = random(seed * 7919 + 13);
  const value = kind === "exact" ? () => Math.floor(next() * 7) - 3 : () => Math.fround(2 * next() - 0.8);
  return { shape, data: Float64Array.from({ length: sizeOf(shape) }, value) };
}
