/**
 * Which normalization a polynomial in x is. What it says of itself (over which axes, which epsilon, what gamma and beta) says which of the
 * catalog it can be; it is that one if that one's formula, run on x, gives the same polynomial.
 */
import { type FusedNorm, planOf } from "../../formula/plan.js";
import { groupNorm } from "../../norms/group.js";
import { instanceNorm } from "../../norms/instance.js";
import { layerNorm } from "../../norms/layer.js";
import { rmsNorm } from "../../norms/rms.js";
import { unitNorm } from "../../norms/unit.js";
import { sizeOf } from "../../shape.js";
import {
  type Algebra,
  type Atom,
  type Expression,
  isSame,
  numberIn,
  type Product,
  type Sum,
  sumOf,
} from "./algebra.js";
import type { FoundNorm } from "./found.js";

/** A normalization of x. */
export interface Recognized {
  readonly norm: FoundNorm;
  /** Reduced axes of x, rising. */
  readonly axes: readonly number[];
  readonly channels?: number;
  readonly groups?: number;
  readonly epsilon: number;
  /** 1 and 0 where there are none. */
  readonly gamma: Sum;
  readonly beta: Sum;
  /** The axes of x that gamma and beta have values for. */
  readonly parameterAxes: readonly number[];
}

/** What is written of x, as it is read off a polynomial. */
interface Reading {
  /** The segments that squares are averaged over. */
  readonly over: ReadonlySet<number>;
  readonly centered: boolean;
  readonly epsilon: number;
  /** Whether epsilon is a bound of the length rather than a term in the root. */
  readonly isBound: boolean;
  readonly gamma: Sum;
  readonly beta: Sum;
}

/** Larger ones are no epsilon: they change what is normalized. */
const MOST_EPSILON = 0.1;

/**
 * @param among normalizations that it may be by what else is known: of a weight, or written with an operator for instances
 * @throws Unknown where a formula goes beyond what is followed
 */
export function recognize(
  algebra: Algebra,
  y: Expression,
  among: { readonly ofWeight: boolean; readonly byInstance: boolean },
): Recognized | undefined {
  const reading = read(algebra, y.sum);
  if (reading === undefined) return undefined;
  return candidates(algebra, reading, among).find(
    ({ formula }) => formula !== undefined && isSame(algebra.formula(formula), y),
  )?.recognized;
}

/** x·gamma/d − mean·gamma/d + beta, with d = √(variance + epsilon): d, gamma and beta. */
function read(algebra: Algebra, sum: Sum): Reading | undefined {
  const products = [...sum.values()];
  const beta = sumOf(products.filter((product) => !algebra.isOfX(product)));
  let divisor: number | undefined;
  const gamma: Product[] = [];
  for (const { factor, powers } of products) {
    const ofX = powers.filter(([atom]) => algebra.isOfX({ factor: 1, powers: [[atom, 1]] }));
    if (!ofX.some(([atom, exponent]) => atom === 0 && exponent === 1)) continue;
    const [other, more] = ofX.filter(([atom]) => atom !== 0);
    if (other === undefined || more !== undefined || other[1] !== -1) return undefined;
    if (divisor !== undefined && divisor !== other[0]) return undefined;
    divisor = other[0];
    gamma.push({ factor, powers: powers.filter((one) => !ofX.includes(one)) });
  }
  if (divisor === undefined) return undefined;
  const length = lengthIn(algebra, algebra.atomAt(divisor));
  return length && { ...length, gamma: sumOf(gamma), beta };
}

/** What x is divided by: the root of a variance or mean square with its epsilon, or the larger of the root and a bound. */
function lengthIn(
  algebra: Algebra,
  atom: Atom,
): Pick<Reading, "over" | "centered" | "epsilon" | "isBound"> | undefined {
  if (atom.kind === "call" && atom.name === "max") {
    const bound = atom.of.map(numberIn).find((one) => one !== undefined);
    const [root] = atom.of.filter((one) => numberIn(one) === undefined);
    const [product, second] = root?.values() ?? [];
    if (bound === undefined || product === undefined || second !== undefined) return undefined;
    const [power, more] = product.powers;
    if (power === undefined || more !== undefined || power[1] !== 1) return undefined;
    const inner = lengthIn(algebra, algebra.atomAt(power[0]));
    return inner?.epsilon === 0 && !inner.isBound
      ? { ...inner, epsilon: inFloat(bound), isBound: true }
      : undefined;
  }
  if (atom.kind !== "root") return undefined;
  let over: readonly number[] | undefined;
  let centered = false;
  let epsilon = 0;
  for (const { factor, powers } of atom.of.values()) {
    const [power, more] = powers;
    if (power === undefined) epsilon = factor;
    else {
      const inner = algebra.atomAt(power[0]);
      if (more !== undefined || inner.kind !== "mean") return undefined;
      const [[base, exponent], another] = inner.of.powers;
      if (base !== 0 || another !== undefined) return undefined;
      if (exponent === 2 && power[1] === 1) over = inner.over;
      else centered = true;
    }
  }
  if (over === undefined || !(epsilon >= 0 && epsilon < MOST_EPSILON)) return undefined;
  return { over: new Set(over), centered, epsilon: inFloat(epsilon), isBound: false };
}

/** A number that a file has in float32, as it was meant. */
export function inFloat(value: number): number {
  const short = Number(value.toPrecision(6));
  return Math.abs(short - value) <= 2e-7 * Math.abs(value) ? short : value;
}

interface Candidate {
  readonly recognized: Recognized;
  /** Absent where a norm of this kind does not fit x. */
  readonly formula?: () => Expression;
}

/** What it may be, the likeliest first. */
function candidates(
  algebra: Algebra,
  reading: Reading,
  { ofWeight, byInstance }: { ofWeight: boolean; byInstance: boolean },
): Candidate[] {
  const { x } = algebra;
  const { over, centered, epsilon, gamma, beta } = reading;
  const rank = x.shape.length;
  const all = [...x.shape.keys()];
  const within = (axis: number) => x.axes[axis].filter((segment) => over.has(segment)).length;
  const axes = all.filter((axis) => within(axis) > 0);
  const cut = axes.filter((axis) => within(axis) < x.axes[axis].length);
  const along = new Set([...algebra.support(gamma), ...algebra.support(beta)]);
  const follows = (some: readonly number[]) =>
    [...along].every((segment) => some.some((axis) => x.axes[axis].includes(segment)));
  const found: Candidate[] = [];
  const settled = { axes, epsilon, gamma, beta };

  const fused = (
    how: Omit<Recognized, keyof typeof settled>,
    make: () => FusedNorm,
    affine: { gamma: Sum; beta: Sum } = { gamma, beta },
  ) => {
    if (!follows(how.parameterAxes)) return;
    const parameters = (sum: Sum): Expression => {
      const shape = how.parameterAxes.map((axis) => x.shape[axis]);
      return { shape, axes: how.parameterAxes.map((axis) => x.axes[axis]), sum };
    };
    found.push({
      recognized: { ...settled, ...how },
      formula: () => {
        const operands = { gamma: parameters(affine.gamma), beta: parameters(affine.beta) };
        return algebra.normalize(make(), x, operands).y;
      },
    });
  };
  const trying = (make: () => void) => {
    try {
      make();
    } catch (error) {
      // a norm that these axes do not fit
      if (!(error instanceof RangeError || error instanceof TypeError)) throw error;
    }
  };

  if (!centered) {
    const count = sizeOf(axes.map((axis) => x.shape[axis]));
    if (cut.length > 0) return [];
    if (ofWeight) trying(() => found.push(weight(algebra, settled, count)));
    trying(() => found.push(...units(algebra, reading, axes, count)));
    const least = 1 / Math.sqrt(count);
    // x over its length, times what follows, is not over its root mean square: the factor tells
    const isUnit =
      [...gamma.values()].some(({ factor, powers }) => powers.length > 0 && near(factor, least)) && count > 1;
    if (!reading.isBound && !isUnit && axes.length > 0) {
      const numbers = numberIn(gamma);
      if (numbers === undefined || near(numbers, 1)) {
        fused({ norm: "rmsNorm", parameterAxes: axes }, () => rmsNorm({ axis: axes, epsilon }) as FusedNorm);
      }
    }
    return found;
  }
  if (reading.isBound || axes.length === 0) return [];
  if (cut.length === 1) {
    const [channels] = cut;
    const groups = sizeOf(kept(algebra, x.axes[channels], over));
    const others = all.filter((axis) => axis !== 0 && axis !== channels && x.axes[axis].length > 0);
    const isFirst =
      x.axes[channels].findIndex((segment) => over.has(segment)) ===
      kept(algebra, x.axes[channels], over).length;
    if (channels === 0 || !isFirst || others.some((axis) => !axes.includes(axis))) return [];
    fused({ norm: "groupNorm", channels, groups, parameterAxes: [channels] }, () =>
      groupNorm({ groups, axis: channels, epsilon }),
    );
    return found;
  }
  if (cut.length > 1) return [];
  if (ofWeight) {
    const outputs = all.filter((axis) => !axes.includes(axis));
    fused({ norm: "weightStandardization", parameterAxes: outputs }, () => ({
      name: "weightStandardization",
      epsilon,
      centered,
      plan: (shape) => planOf(shape, shape, outputs, outputs),
    }));
    return found;
  }
  const free = all.filter((axis) => axis > 0 && !axes.includes(axis) && x.axes[axis].length > 0);
  const layer = () =>
    fused({ norm: "layerNorm", parameterAxes: axes }, () => layerNorm({ axis: axes, epsilon }));
  const perChannel = [1, rank - 1].filter((axis) => axis > 0);
  const instance = () => {
    for (const channels of perChannel) {
      const isRest = free.every((axis) => axis === channels) && !axes.includes(channels) && rank > 2;
      if (isRest && !axes.includes(0)) {
        fused({ norm: "instanceNorm", channels, parameterAxes: [channels] }, () =>
          instanceNorm({ axis: channels, epsilon }),
        );
      }
      if (free.length === 0 && axes.includes(channels) && !axes.includes(0) && rank > 1) {
        fused({ norm: "groupNorm", channels, groups: 1, parameterAxes: [channels] }, () =>
          groupNorm({ groups: 1, axis: channels, epsilon }),
        );
      }
    }
  };
  const spans = axes.every((axis) => x.axes[axis].every((segment) => along.has(segment)));
  // without gamma and beta: all of an image's places are an instance, and what lies between batch and channels
  const isSpatial =
    free.length <= 1 && (rank > 3 ? perChannel.some((axis) => free.includes(axis)) : free.includes(2));
  if (spans || !(along.size > 0 || byInstance || isSpatial)) {
    layer();
    instance();
  } else {
    instance();
    layer();
  }
  return found;
}

function near(a: number, b: number): boolean {
  return Math.abs(a - b) <= 1e-6 * Math.abs(b);
}

/** Lengths of those that are not reduced. */
function kept(algebra: Algebra, segments: readonly number[], over: ReadonlySet<number>): number[] {
  return segments.filter((one) => !over.has(one)).map((one) => algebra.lengthOf(one));
}

/** x over its length, without factors. */
function units(
  algebra: Algebra,
  { isBound, epsilon, gamma, beta }: Reading,
  axes: readonly number[],
  count: number,
): Candidate[] {
  const factor = numberIn(gamma);
  if (beta.size > 0 || factor === undefined || axes.length === 0) return [];
  const recognized: Recognized = {
    norm: "unitNorm",
    axes,
    epsilon: isBound ? epsilon : inFloat(epsilon * count),
    gamma: sumOf([{ factor: 1, powers: [] }]),
    beta,
    parameterAxes: [],
  };
  const guards = isBound ? (["length", "square"] as const) : (["root"] as const);
  return guards.map((guard) => {
    const bound = guard === "square" ? inFloat(epsilon ** 2) : recognized.epsilon;
    return {
      recognized: { ...recognized, epsilon: bound },
      formula: () =>
        unitNorm({ axis: axes, epsilon: bound, guard }).apply(algebra, [algebra.x], {}, { training: false })
          .y,
    };
  });
}

/** A weight over its length, times a length of its own. */
function weight(
  algebra: Algebra,
  { axes, epsilon, gamma, beta }: Pick<Recognized, "axes" | "epsilon" | "gamma" | "beta">,
  count: number,
): Candidate {
  const { x } = algebra;
  const parameterAxes = [...x.shape.keys()].filter((axis) => !axes.includes(axis));
  const gain = sumOf(
    [...gamma.values()].map(({ factor, powers }) => ({ factor: factor * Math.sqrt(count), powers })),
  );
  const recognized: Recognized = {
    norm: "weightNorm",
    axes,
    epsilon: inFloat(epsilon * count),
    gamma: gain,
    beta,
    parameterAxes,
  };
  if (beta.size > 0) return { recognized };
  const unit = () =>
    unitNorm({ axis: axes, epsilon: recognized.epsilon }).apply(algebra, [x], {}, { training: false }).y;
  return {
    recognized,
    formula: () => algebra.mul(unit(), { shape: x.shape, axes: x.axes, sum: gain }),
  };
}
