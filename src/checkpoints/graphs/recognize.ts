/**
 * Which normalization a polynomial in x is. What it says of itself (over which axes, which epsilon, what gamma and beta) says which of the
 * catalog it can be; it is that one if that one's formula, run on x, gives the same polynomial.
 */
import { type FusedNorm, planOf } from "../../formula/plan.js";
import { sizeOf } from "../../shape.js";
import {
  type Algebra,
  type Expression,
  isSame,
  near,
  numberIn,
  type Product,
  type Sum,
  sumOf,
} from "./algebra.js";
import type { Found, FoundNorm } from "./found.js";

/** A normalization of x. */
export interface Recognized {
  readonly norm: FoundNorm;
  /** Reduced axes of x, rising. */
  readonly axes: readonly number[];
  readonly channels?: number;
  readonly groups?: number;
  readonly epsilon: number;
  readonly epsilonAt: Found["epsilonAt"];
  /** 1 and 0 where there are none. */
  readonly gamma: Sum;
  readonly beta: Sum;
  /** Of batch normalization by statistics that are given. */
  readonly mean?: Sum;
  readonly variance?: Sum;
  /** The axes of x that gamma and beta have values for. */
  readonly parameterAxes: readonly number[];
}

/** What is written of x, as it is read off a polynomial. */
interface Reading {
  /** The segments that squares are averaged over. */
  readonly over: ReadonlySet<number>;
  readonly centered: boolean;
  readonly epsilon: number;
  readonly epsilonAt: Found["epsilonAt"];
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
  if (reading === undefined) return recognizeBatch(algebra, y);
  return candidates(algebra, reading, among).find(
    ({ formula }) => formula !== undefined && isSame(algebra.formula(formula), y),
  )?.recognized;
}

/** x·gamma/d − mean·gamma/d + beta, with d = √(variance + epsilon): d, gamma and beta. */
function read(algebra: Algebra, sum: Sum): Reading | undefined {
  const products = [...sum.values()];
  const beta = sumOf(products.filter((product) => !algebra.isOfX(product)));
  let divisor: readonly [number, number] | undefined;
  const gamma: Product[] = [];
  for (const { factor, powers } of products) {
    const ofX = powers.filter(([atom]) => algebra.isOfX({ factor: 1, powers: [[atom, 1]] }));
    if (!ofX.some(([atom, exponent]) => atom === 0 && exponent === 1)) continue;
    const [other, more] = ofX.filter(([atom]) => atom !== 0);
    if (other === undefined || more !== undefined) return undefined;
    if (divisor !== undefined && String(divisor) !== String(other)) return undefined;
    divisor = other;
    gamma.push({ factor, powers: powers.filter((one) => !ofX.includes(one)) });
  }
  if (divisor === undefined) return undefined;
  const length = lengthIn(algebra, divisor);
  return length && { ...length, gamma: sumOf(gamma), beta };
}

/** Batch normalization in evaluation: x·gamma·r − mean·gamma·r + beta, r = 1/√(variance + epsilon), all of it given per channel. */
function recognizeBatch(algebra: Algebra, y: Expression): Recognized | undefined {
  const { x } = algebra;
  const [first, ...others] = [...y.sum.values()].filter((product) => algebra.isOfX(product));
  if (first === undefined || others.length > 0) return undefined;
  const rootOf = ({ powers }: Product) =>
    powers.find(([number, exponent]) => exponent === -1 && algebra.atomAt(number).kind === "root");
  const [root] = rootOf(first) ?? [];
  const atom = root === undefined ? undefined : algebra.atomAt(root);
  if (atom?.kind !== "root" || !first.powers.some(([number, exponent]) => number === 0 && exponent === 1))
    return undefined;
  const epsilon = atom.of.get("")?.factor;
  const variance = sumOf([...atom.of.values()].filter(({ powers }) => powers.length > 0));
  if (epsilon === undefined || !(epsilon > 0 && epsilon < MOST_EPSILON)) return undefined;
  const without = ({ factor, powers }: Product, taken: readonly number[]): Product => ({
    factor,
    powers: powers.filter(([number]) => !taken.includes(number)),
  });
  const factor = without(first, [0, root as number]);
  const gamma = sumOf([factor]);
  const rest = [...y.sum.values()].filter((product) => product !== first);
  const byRoot = rest.filter((product) =>
    product.powers.some(([number, exponent]) => number === root && exponent === -1),
  );
  const mean = sumOf(
    byRoot.map((product) => {
      const powers = new Map(without(product, [root as number]).powers);
      for (const [number, exponent] of factor.powers)
        powers.set(number, (powers.get(number) ?? 0) - exponent);
      return { factor: -product.factor / factor.factor, powers: [...powers] };
    }),
  );
  const beta = sumOf(rest.filter((product) => !byRoot.includes(product)));
  const along = [variance, mean, gamma, beta].flatMap((sum) => [...algebra.support(sum)]);
  const channels = x.axes.findIndex((segments) => along.some((segment) => segments.includes(segment)));
  if (channels < 1 || along.some((segment) => !x.axes[channels].includes(segment))) return undefined;
  const perChannel = (sum: Sum): Expression => ({
    shape: [x.shape[channels]],
    axes: [x.axes[channels]],
    sum,
  });
  const norm = standardizing(epsilon, true, { kept: [channels], parameters: [channels] });
  const operands = {
    gamma: perChannel(gamma),
    beta: perChannel(beta),
    mean: perChannel(mean),
    variance: perChannel(variance),
  };
  if (!isSame(algebra.normalize(norm, x, operands).y, y)) return undefined;
  const axes = [...x.shape.keys()].filter((axis) => axis !== channels);
  const found = {
    axes,
    channels,
    epsilon: inFloat(epsilon),
    epsilonAt: "inside",
    gamma,
    beta,
    mean,
    variance,
    parameterAxes: [channels],
  } as const;
  return { norm: "batchNorm", ...found };
}

/** What x is divided by: the root of a variance or mean square with its epsilon in it, added to it, or as a bound of it. */
function lengthIn(
  algebra: Algebra,
  [number, exponent]: readonly [number, number],
): Pick<Reading, "over" | "centered" | "epsilon" | "epsilonAt"> | undefined {
  const atom = algebra.atomAt(number);
  const bare = (sum: Sum, epsilon: number | undefined, epsilonAt: Found["epsilonAt"]) => {
    const [product, second] = [...sum.values()].filter(({ powers }) => powers.length > 0);
    const [power, more] = product?.powers ?? [];
    if (power === undefined || more !== undefined || second !== undefined || power[1] !== 1) return undefined;
    const inner = lengthIn(algebra, [power[0], -1]);
    if (epsilon === undefined || inner?.epsilon !== 0 || !isEpsilon(epsilon)) return undefined;
    return { ...inner, epsilon: inFloat(epsilon), epsilonAt };
  };
  if (atom.kind === "call" && atom.name === "max" && exponent === -1) {
    const root = atom.of.find((one) => numberIn(one) === undefined);
    return (
      root &&
      bare(
        root,
        atom.of.map(numberIn).find((one) => one !== undefined),
        "bound",
      )
    );
  }
  if (atom.kind !== "root") return undefined;
  // 1 over a sum is the square of 1 over its root
  if (exponent === -2) return bare(atom.of, atom.of.get("")?.factor, "outside");
  if (exponent !== -1) return undefined;
  let over: readonly number[] | undefined;
  let centered = false;
  let epsilon = 0;
  for (const { factor, powers } of atom.of.values()) {
    const [power, more] = powers;
    if (power === undefined) epsilon = factor;
    else {
      const inner = algebra.atomAt(power[0]);
      if (more !== undefined || inner.kind !== "mean") return undefined;
      const [[base, degree], another] = inner.of.powers;
      if (base !== 0 || another !== undefined) return undefined;
      if (degree === 2 && power[1] === 1) over = inner.over;
      else centered = true;
    }
  }
  if (over === undefined || !isEpsilon(epsilon)) return undefined;
  return { over: new Set(over), centered, epsilon: inFloat(epsilon), epsilonAt: "inside" };
}

function isEpsilon(value: number): boolean {
  return value >= 0 && value < MOST_EPSILON;
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
  const { over, centered, epsilon, epsilonAt, gamma, beta } = reading;
  const rank = x.shape.length;
  const all = [...x.shape.keys()];
  const within = (axis: number) => x.axes[axis].filter((segment) => over.has(segment)).length;
  const axes = all.filter((axis) => within(axis) > 0);
  const cut = axes.filter((axis) => within(axis) < x.axes[axis].length);
  const along = new Set([...algebra.support(gamma), ...algebra.support(beta)]);
  const follows = (some: readonly number[]) =>
    [...along].every((segment) => some.some((axis) => x.axes[axis].includes(segment)));
  // a factor that the root brings with it, as n/(n − 1) does, is none of a gamma's
  const isPlain = [...gamma.values()].some(({ factor }) => near(Math.abs(factor), 1));
  const found: Candidate[] = [];
  const settled = { axes, epsilon, epsilonAt, gamma, beta };

  /** The operation over views of x that keep some axes: of x itself, or of x with its channels cut into groups. */
  const fused = (how: Omit<Recognized, keyof typeof settled>, views: Omit<Views, "parameters">) => {
    const { parameterAxes } = how;
    if (!follows(parameterAxes)) return;
    const parameters = (sum: Sum): Expression => {
      const shape = parameterAxes.map((axis) => x.shape[axis]);
      return { shape, axes: parameterAxes.map((axis) => x.axes[axis]), sum };
    };
    found.push({
      recognized: { ...settled, ...how },
      formula: () => {
        if (epsilonAt === "outside") return outside(algebra, reading);
        const norm = standardizing(epsilon, centered, { parameters: parameterAxes, ...views });
        return algebra.normalize(norm, x, { gamma: parameters(gamma), beta: parameters(beta) }).y;
      },
    });
  };
  const others = all.filter((axis) => !axes.includes(axis));

  if (!centered) {
    const count = sizeOf(axes.map((axis) => x.shape[axis]));
    if (cut.length > 0) return [];
    if (ofWeight) found.push(weight(algebra, settled, count));
    found.push(...units(algebra, reading, axes, count));
    if (epsilonAt !== "bound" && isPlain && axes.length > 0) {
      fused({ norm: "rmsNorm", parameterAxes: axes }, { kept: others });
    }
    return found;
  }
  if (epsilonAt === "bound" || axes.length === 0 || !isPlain) return [];
  const grouped = (channels: number, groups: number) => {
    const viewed = x.shape.toSpliced(channels, 1, groups, x.shape[channels] / groups);
    fused(
      { norm: "groupNorm", channels, groups, parameterAxes: [channels] },
      { viewed, kept: [0, channels], keptParameters: [channels, channels + 1] },
    );
  };
  if (cut.length === 1) {
    const [channels] = cut;
    const groups = sizeOf(kept(algebra, x.axes[channels], over));
    const rest = all.filter((axis) => axis !== 0 && axis !== channels && x.axes[axis].length > 0);
    const isFirst =
      x.axes[channels].findIndex((segment) => over.has(segment)) ===
      kept(algebra, x.axes[channels], over).length;
    if (channels === 0 || !isFirst || rest.some((axis) => !axes.includes(axis))) return [];
    grouped(channels, groups);
    return found;
  }
  if (cut.length > 1) return [];
  if (ofWeight) {
    fused({ norm: "weightStandardization", parameterAxes: others }, { kept: others });
    return found;
  }
  const free = all.filter((axis) => axis > 0 && !axes.includes(axis) && x.axes[axis].length > 0);
  const layer = () => fused({ norm: "layerNorm", parameterAxes: axes }, { kept: others });
  const perChannel = [1, rank - 1].filter((axis) => axis > 0);
  const instance = () => {
    for (const channels of perChannel) {
      const isRest = free.every((axis) => axis === channels) && !axes.includes(channels) && rank > 2;
      if (isRest && !axes.includes(0)) {
        const how = { norm: "instanceNorm", channels } as const;
        fused({ ...how, parameterAxes: [channels] }, { kept: [0, channels] });
        // gamma and beta of each example, as adaptive instance normalization has them
        fused({ ...how, parameterAxes: [0, channels] }, { kept: [0, channels] });
      }
      if (free.length === 0 && axes.includes(channels) && !axes.includes(0) && rank > 1) grouped(channels, 1);
    }
  };
  const spans = along.size > 0 && axes.every((axis) => x.axes[axis].some((segment) => along.has(segment)));
  // without gamma and beta: all of an image's places are an instance, and what lies between batch and channels
  const isSpatial =
    free.length <= 1 && (rank > 3 ? perChannel.some((axis) => free.includes(axis)) : free.includes(2));
  const isInstance = along.size > 0 ? !spans : byInstance || isSpatial;
  if (!isInstance) {
    layer();
    instance();
  } else {
    instance();
    layer();
  }
  return found;
}

/** What a normalization keeps, as axes of x or of another view of it. */
interface Views {
  /** Lengths of the view; absent: those of x. */
  readonly viewed?: readonly number[];
  /** Axes that mean and variance have values for. */
  readonly kept: readonly number[];
  /** Axes that gamma and beta have values for. */
  readonly parameters: readonly number[];
  /** The same of the view, where it is another one. */
  readonly keptParameters?: readonly number[];
}

/** The operation that a normalization is. Lengths are stand-ins, which may be more than arrays have: no norm of the catalog checks them. */
function standardizing(epsilon: number, centered: boolean, views: Views): FusedNorm {
  const { kept: statistics, parameters, keptParameters = parameters } = views;
  return {
    name: "find",
    epsilon,
    centered,
    plan: (shape) => ({
      ...planOf(shape, views.viewed ?? shape, statistics, keptParameters),
      parameterShape: parameters.map((axis) => shape[axis]),
    }),
  };
}

/** x over its root mean square and epsilon, which none of the catalog has there. */
function outside(algebra: Algebra, { over, centered, epsilon, gamma, beta }: Reading): Expression {
  const { x } = algebra;
  const axes = [...x.shape.keys()].filter((axis) => x.axes[axis].some((segment) => over.has(segment)));
  const average = (values: Expression) =>
    algebra.mul(algebra.sum(values, axes), 1 / sizeOf(axes.map((axis) => x.shape[axis])));
  const distance = centered ? algebra.sub(x, average(x)) : x;
  const xHat = algebra.div(
    distance,
    algebra.add(algebra.sqrt(average(algebra.mul(distance, distance))), epsilon),
  );
  return algebra.add(algebra.mul(xHat, { ...x, sum: gamma }), { ...x, sum: beta });
}

/** Lengths of those that are not reduced. */
function kept(algebra: Algebra, segments: readonly number[], over: ReadonlySet<number>): number[] {
  return segments.filter((one) => !over.has(one)).map((one) => algebra.lengthOf(one));
}

/** x over its length, without factors. */
function units(algebra: Algebra, reading: Reading, axes: readonly number[], count: number): Candidate[] {
  const { epsilonAt, epsilon, gamma, beta } = reading;
  if (beta.size > 0 || numberIn(gamma) === undefined || axes.length === 0) return [];
  const recognized: Recognized = {
    norm: "unitNorm",
    axes,
    epsilon: inFloat(
      epsilon * (epsilonAt === "inside" ? count : epsilonAt === "outside" ? Math.sqrt(count) : 1),
    ),
    epsilonAt,
    gamma: sumOf([{ factor: 1, powers: [] }]),
    beta,
    parameterAxes: [],
  };
  return [{ recognized, formula: () => unit(algebra, axes, recognized) }];
}

/** x over its length: √(Σx² + epsilon), √Σx² + epsilon, or the larger of √Σx² and epsilon. */
function unit(
  algebra: Algebra,
  axes: readonly number[],
  { epsilon, epsilonAt }: Pick<Recognized, "epsilon" | "epsilonAt">,
): Expression {
  const { x } = algebra;
  const squares = algebra.sum(algebra.mul(x, x), axes);
  if (epsilonAt === "inside") return algebra.div(x, algebra.sqrt(algebra.add(squares, epsilon)));
  const length = algebra.sqrt(squares);
  return algebra.div(x, epsilonAt === "bound" ? algebra.max(length, epsilon) : algebra.add(length, epsilon));
}

/** A weight over its length, times a length of its own. */
function weight(
  algebra: Algebra,
  {
    axes,
    epsilon,
    epsilonAt,
    gamma,
    beta,
  }: Pick<Recognized, "axes" | "epsilon" | "epsilonAt" | "gamma" | "beta">,
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
    epsilonAt,
    gamma: gain,
    beta,
    parameterAxes,
  };
  if (beta.size > 0) return { recognized };
  return {
    recognized,
    formula: () => algebra.mul(unit(algebra, axes, recognized), { ...x, sum: gain }),
  };
}
