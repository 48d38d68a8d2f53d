/**
 * Normalizations and activations in a graph, whichever way they are written. From each value that something is measured of, the graph is
 * followed forward as polynomials in that value (algebra.ts); where one of them is what a normalization of the catalog is (recognize.ts),
 * that normalization is found. Nothing is told by a name, and what is only similar is not equal.
 *
 * Lengths that the file leaves open are stand-ins: found is what is found with two different ones.
 */

import { sizeOf } from "../../shape.js";
import { activationsIn } from "./activations.js";
import {
  type Algebra,
  type Expression,
  near,
  numberIn,
  type Product,
  type Sum,
  sumOf,
  Unknown,
} from "./algebra.js";
import { Follower, type Following } from "./follow.js";
import type { Found, FoundActivation, FoundNorm, Parameter } from "./found.js";
import type { Graph, Node } from "./graph.js";
import { OWN, ownNormalization } from "./own.js";
import { isPlain, parameterOf } from "./parameters.js";
import { type Recognized, recognize } from "./recognize.js";
import { type Settled, settle } from "./shapes.js";
import { LAYOUT, PASSING, Surroundings } from "./surroundings.js";

/** What is found in one graph; graphs within its nodes are graphs of their own. */
export async function find(graph: Graph): Promise<{ norms: Found[]; activations: FoundActivation[] }> {
  const stands = [await settle(graph, 0), await settle(graph, 1)] as const;
  const [one, other] = [new Search(graph, stands[0]), new Search(graph, stands[1])];
  const matches = one.norms();
  // of lengths that are said there is nothing to be seen twice
  const open = new Set(matches.filter((match) => !isClosed(match, stands)));
  const again = new Map(other.norms([...open].map(({ x }) => x)).map((match) => [match.y, match]));
  const norms: Found[] = [];
  for (const match of matches) {
    const same = open.has(match) ? again.get(match.y) : match;
    const found = same !== undefined && isSameMatch(match, same) ? await one.found(match) : undefined;
    if (found) norms.push(found);
  }
  const explained = new Set(norms.flatMap(({ nodes }) => nodes));
  for (const node of graph.nodes) {
    // in a function the call may say what epsilon is
    const isWhole = [...node.attributes.values()].every(({ reference }) => reference === "");
    if (OWN.has(node.operator) && isWhole && !explained.has(node))
      norms.push(await ownNormalization(node, one.surroundings));
  }
  const activations = activationsIn(one.surroundings, one.follower);
  const starts = activations.map(({ x }) => x);
  const same = new Set(activationsIn(other.surroundings, other.follower, starts).map(({ y }) => y));
  return { norms, activations: activations.filter(({ y }) => same.has(y)) };
}

/** A normalization as it was recognized, and where. */
interface Match {
  readonly x: string;
  readonly y: string;
  readonly nodes: readonly Node[];
  readonly recognized: Recognized;
  readonly algebra: Algebra;
  /** Whether gamma and beta are constants. */
  readonly isFixed: boolean;
  readonly isOperator: boolean;
  /** Whether x is multiplied by a number, and nothing else is done with it. */
  readonly isMultiple: boolean;
  /** The order of x's axes in y. */
  readonly order: readonly number[];
  readonly cancels: boolean;
  readonly statisticsType?: string;
  readonly squared?: string;
}

const NONE: Sum = new Map();

/** Whether no length of what it reads and gives is open. */
function isClosed({ nodes }: Match, stands: readonly Settled[]): boolean {
  const told = (name: string) =>
    stands.map((stand) => `${stand.shape(name)}/${stand.known(name)?.data ?? stand.uniform(name)}`);
  return nodes.every(({ inputs, outputs }) =>
    [...inputs, ...outputs].every((name) => {
      const [first, second] = name === "" ? ["", ""] : told(name);
      return first === second;
    }),
  );
}

function isSameMatch(a: Match, b: Match): boolean {
  const plain = ({ x, nodes, recognized, isOperator }: Match) => {
    const { norm, axes, channels, groups, parameterAxes } = recognized;
    return JSON.stringify([x, nodes.length, isOperator, norm, axes, channels, groups, parameterAxes]);
  };
  // sums of other lengths are rounded otherwise
  return plain(a) === plain(b) && near(a.recognized.epsilon, b.recognized.epsilon);
}

const OF_INSTANCES = "InstanceNormalization";
/** Operators that measure. What they measure of may be x, or made of it by a few of `LEADING`. */
const MEASURING = new Set(
  (
    "ReduceMean ReduceSum ReduceSumSquare ReduceL2 GlobalAveragePool LayerNormalization RMSNormalization GroupNormalization " +
    "InstanceNormalization BatchNormalization LpNormalization MeanVarianceNormalization SimplifiedLayerNormalization GroupNorm " +
    "Mean Sum FusedBatchNorm FusedBatchNormV2 FusedBatchNormV3"
  ).split(" "),
);

/** Operators between x and what is measured. */
const LEADING = new Set([
  ...PASSING,
  ..."Reshape Transpose Squeeze Unsqueeze ExpandDims Flatten Pow Square Mul Abs SquaredDifference Sub".split(
    " ",
  ),
]);
const MOST_LEADING = 6;
/** Nodes from x to y, one after the other. */
const MOST_DEPTH = 40;

class Search {
  readonly surroundings: Surroundings;
  readonly follower: Follower;

  constructor(graph: Graph, settled: Settled) {
    this.surroundings = new Surroundings(graph, settled);
    this.follower = new Follower(this.surroundings);
  }

  /** @param starts values that may be normalized; absent: all that something is measured of */
  norms(starts: Iterable<string> = this.starts()): Match[] {
    return this.chosen([...new Set(starts)].flatMap((x) => this.from(x)));
  }

  private starts(): Set<string> {
    const starts = new Set<string>();
    for (const node of this.surroundings.graph.nodes) {
      if (!MEASURING.has(node.operator)) continue;
      for (const start of this.before(node.inputs[0])) if (this.isDivisible(start)) starts.add(start);
    }
    // roots of constants: of weights that are normalized, and of stored statistics
    for (const { operator, inputs } of this.surroundings.graph.nodes) {
      const isFixed = inputs.every((input) => this.surroundings.isFixed(input));
      const isDivided = /^(Real)?Div$/.test(operator) && isFixed;
      const isByRoot = !isFixed && inputs.some((input) => this.surroundings.roots.has(input));
      const from = isDivided
        ? inputs[0]
        : isByRoot
          ? inputs.find((input) => !this.surroundings.isFixed(input))
          : undefined;
      if (from !== undefined) for (const start of this.before(from)) starts.add(start);
    }
    return starts;
  }

  /** Whether anything but a mean is taken of a value: squares are not what is normalized. */
  private isDivisible(value: string): boolean {
    const readers = this.surroundings.readers.get(value) ?? [];
    return readers.some(({ operator }) => !MEASURING.has(operator) || OWN.has(operator));
  }

  /** A value, and those that it may be made of without being measured. */
  private before(value: string): string[] {
    const found = [value];
    let isCast = false;
    for (let i = 0; i < MOST_LEADING; i++) {
      const producer = this.surroundings.producers.get(found[i]);
      if (producer === undefined || !LEADING.has(producer.operator)) break;
      // the cast before that is of what comes before
      if (isCast && isCastNode(producer)) break;
      isCast ||= isCastNode(producer);
      const isOne = (input: string) => this.surroundings.settled.uniform(input) !== undefined;
      found.push(producer.inputs.find((input) => !isOne(input)) ?? producer.inputs[0]);
    }
    return found;
  }

  /** All that one value becomes, in polynomials of it. */
  private from(x: string): Match[] {
    const use = (algebra: Algebra, values: ReadonlyMap<string, Expression>) =>
      this.matches(x, algebra, values);
    const mayBe: Following["mayBe"] = (algebra, value, node, values) =>
      this.isOnTheWay(algebra, value) && !this.isMeasuredAgain(algebra, node, values);
    return this.follower.followed(x, use, { depth: MOST_DEPTH, mayBe }) ?? [];
  }

  /**
   * Whether a normalization of x may have such a value on its way. To x nothing is added that changes; what is divided by a length of x is
   * so in all of its products, no mean is taken of it any more, and nothing else is in it that changes along all axes, as a residual does.
   */
  private isOnTheWay(algebra: Algebra, { sum, shape, axes }: Expression): boolean {
    const [products, others]: Product[][] = [[], []];
    for (const product of sum.values()) (algebra.isOfX(product) ? products : others).push(product);
    const areSteps = products.every(({ powers }) => powers.every(([atom]) => isStep(algebra, atom)));
    // the mean of a distance from the mean is 0
    if (products.length === 0) return numberIn(sum) !== undefined;
    if (!areSteps) return false;
    const divisors = products.map((product) => divisorsIn(algebra, product));
    const [first] = divisors;
    if (first.length > 1 || divisors.some((one) => String(one) !== String(first))) return false;
    if (first.length === 0) return this.surroundings.isConstant(sumOf(others), algebra);
    const changing = [...sum.values()].flatMap(({ powers }) =>
      powers.filter(([number]) => {
        const atom = algebra.atomAt(number);
        return atom.kind === "given" && !this.surroundings.isFixed(atom.name);
      }),
    );
    if (changing.length === 0 || sizeOf(shape) !== sizeOf(algebra.x.shape)) return true;
    const along = algebra.support(sumOf(changing.map((power) => ({ factor: 1, powers: [power] }))));
    return !axes.every((segments) => segments.every((one) => along.has(one)));
  }

  /** Whether a mean is taken of what is divided by a length of x. */
  private isMeasuredAgain(
    algebra: Algebra,
    { operator, inputs }: Node,
    values: ReadonlyMap<string, Expression>,
  ): boolean {
    if (!MEASURING.has(operator)) return false;
    const products = inputs.flatMap((input) => [...(values.get(input)?.sum.values() ?? [])]);
    return products.some((product) => divisorsIn(algebra, product).length > 0);
  }

  /** Those of the values that are a normalization of x, the longest of each chain. */
  private matches(x: string, algebra: Algebra, values: ReadonlyMap<string, Expression>): Match[] {
    const ofWeight = this.surroundings.settled.constant(x) !== undefined;
    const found: Match[] = [];
    for (const [y, value] of values) {
      const order = y === x ? undefined : orderOf(value, algebra.x);
      if (order === undefined) continue;
      const nodes = this.surroundings.between(x, y, values);
      const byInstance = nodes.some(({ operator }) => operator === OF_INSTANCES);
      const back = order.map((_, axis) => order.indexOf(axis));
      const recognized =
        this.recognizing(algebra, algebra.transpose(value, back), { ofWeight, byInstance }) ??
        (ofWeight ? this.spectral(x, value, algebra) : undefined);
      if (recognized === undefined || (recognized.norm === "rmsNorm" && this.isDifference(x))) continue;
      const { gamma, beta, mean = NONE, variance = NONE } = recognized;
      const isFixed = [gamma, beta, mean, variance].every((sum) =>
        this.surroundings.isConstant(sum, algebra),
      );
      if (!isFixed && !(isPlain(gamma, algebra) && isPlain(beta, algebra) && mean === NONE)) continue;
      found.push({
        ...{ x, y, nodes, recognized, algebra, isFixed, order },
        isOperator: nodes.length === 1 && OWN.has(nodes[0].operator),
        isMultiple: this.isMultiplied(x, nodes),
        ...this.statistics(x, nodes, values, algebra),
      });
    }
    return this.ends(found);
  }

  /** Whether y is of x's type before it is cast: another normalization may begin with that. */
  private isOnlyCast({ x, y }: Match): boolean {
    const node = this.surroundings.producers.get(y);
    return (
      node !== undefined &&
      isCastNode(node) &&
      this.surroundings.settled.dtype(node.inputs[0]) === this.surroundings.settled.dtype(x)
    );
  }

  /** Whether all that these nodes do with x is to multiply it by a number. */
  private isMultiplied(x: string, nodes: readonly Node[]): boolean {
    return nodes.every(({ operator, inputs, outputs }) => {
      const isNumber = (input: string) =>
        input !== x && this.surroundings.settled.uniform(input) !== undefined;
      if (!inputs.includes(x) || operator === "Neg") return true;
      if (PASSING.has(operator) || LAYOUT.has(operator))
        return outputs.every((one) => this.isMultiplied(one, nodes));
      return /^(Mul|(Real)?Div)$/.test(operator) && inputs.some(isNumber);
    });
  }

  /** A weight over a number that is computed of it: its largest singular value, as far as power iteration found it. */
  private spectral(x: string, { sum, axes }: Expression, algebra: Algebra): Recognized | undefined {
    const [product, more] = sum.values();
    const divisor = product?.powers.find(([atom]) => atom !== 0);
    if (more !== undefined || product.factor !== 1 || product.powers.length !== 2 || divisor?.[1] !== -1)
      return undefined;
    const atom = algebra.atomAt(divisor[0]);
    if (
      product.powers[0][1] !== 1 ||
      atom.kind !== "given" ||
      atom.axes.flat().length > 0 ||
      !this.isMadeOf(atom.name, x)
    ) {
      return undefined;
    }
    const all = [...axes.keys()];
    const one = sumOf([{ factor: 1, powers: [] }]);
    return {
      norm: "spectralNorm",
      axes: all,
      epsilon: 0,
      epsilonAt: "inside",
      gamma: one,
      beta: NONE,
      parameterAxes: [],
    };
  }

  /** Whether a value that is the same in every run is computed of another, by a product of matrices. */
  private isMadeOf(name: string, of: string): boolean {
    const open = [name];
    const seen = new Set<string>();
    let byProduct = false;
    for (let next = open.pop(); next !== undefined; next = open.pop()) {
      if (seen.has(next) || !this.surroundings.isFixed(next)) continue;
      seen.add(next);
      const node = this.surroundings.producers.get(next);
      byProduct ||= node !== undefined && /^(MatMul|Gemm|BatchMatMul(V2)?|Einsum)$/.test(node.operator);
      open.push(...(node?.inputs ?? []));
    }
    return byProduct && seen.has(of);
  }

  /**
   * Whether x is a value less one that several of its places share, which stands for their mean: its root mean square is then a deviation,
   * from another mean than its own.
   */
  private isDifference(x: string): boolean {
    let name = x;
    for (let i = 0; i < MOST_LEADING; i++) {
      const node = this.surroundings.producers.get(name);
      if (node === undefined) return false;
      const [first = "", second = ""] = node.inputs;
      if (node.operator === "Sub") {
        const [whole, part] = [name, second].map((one) => this.surroundings.settled.shape(one));
        const isShared = whole !== undefined && part !== undefined && sizeOf(part) < sizeOf(whole);
        return isShared && !this.surroundings.isFixed(second);
      }
      const isSame =
        PASSING.has(node.operator) || LAYOUT.has(node.operator) || this.isMultiplied(first, [node]);
      if (!isSame && !this.isMultiplied(second, [node])) return false;
      name = isSame ? first : second;
    }
    return false;
  }

  private recognizing(
    algebra: Algebra,
    value: Expression,
    among: Parameters<typeof recognize>[2],
  ): Recognized | undefined {
    try {
      return recognize(algebra, value, among);
    } catch (error) {
      if (error instanceof Unknown) return undefined;
      throw error;
    }
  }

  /** A normalization goes on to its gamma and beta where nothing else reads what lies before them. */
  private ends(matches: readonly Match[]): Match[] {
    const inner = (a: Match, b: Match) =>
      a !== b && b.nodes.includes(this.surroundings.producers.get(a.y) as Node);
    const isWhole = (match: Match) =>
      !matches.some((other) => inner(other, match) && this.isOnlyMoved(other, match)) &&
      matches.every((other) => !inner(other, match) || this.isReadOnlyBy(other.y, match));
    const whole = matches.filter(
      (match) =>
        !matches.some((own) => own.isOperator && inner(own, match) && isWrapped(own, match)) &&
        isWhole(match) &&
        (match.isFixed || !matches.some((other) => other.isFixed && inner(other, match))),
    );
    const last = whole.filter((match) => !this.isOnlyCast(match));
    return last.filter((match) => !last.some((other) => inner(match, other)));
  }

  /** Whether none but a match reads what is within it, cast or as it is. */
  private isReadOnlyBy(value: string, match: Match): boolean {
    const readers = this.surroundings.readers.get(value) ?? [];
    const isWithin = (reader: Node): boolean =>
      // lengths say nothing of values
      reader.operator === "Shape" ||
      (match.nodes.includes(reader) &&
        (!PASSING.has(reader.operator) ||
          reader.outputs.every((one) => one === match.y || this.isReadOnlyBy(one, match))));
    return !this.surroundings.leaving.has(value) && readers.every(isWithin);
  }

  /** Whether one find is another whose outcome is moved. */
  private isOnlyMoved(other: Match, match: Match): boolean {
    return match.nodes.every((node) => other.nodes.includes(node) || LAYOUT.has(node.operator));
  }

  /** Of what was found from several values, that which explains most; an operator of its own explains itself. */
  private chosen(matches: readonly Match[]): Match[] {
    const last = ({ y }: Match) => this.surroundings.producers.get(y) as Node;
    const sorted = [...matches].sort(
      (a, b) =>
        strangeness(a) - strangeness(b) ||
        b.nodes.length - a.nodes.length ||
        this.surroundings.place(last(a)) - this.surroundings.place(last(b)),
    );
    const owns = new Map(sorted.filter(({ isOperator }) => isOperator).map((own) => [own.nodes[0], own]));
    const byLast = new Map<Node, Match[]>();
    for (const match of matches) byLast.set(last(match), [...(byLast.get(last(match)) ?? []), match]);
    // what others read of it is a normalization by itself, as the rows of groups are
    const isOpen = (match: Match) =>
      match.nodes.some((node) =>
        byLast.get(node)?.some((inner) => {
          const isWithin = inner.y !== match.y && inner.nodes.every((one) => match.nodes.includes(one));
          return isWithin && !this.isReadOnlyBy(inner.y, match);
        }),
      );
    const taken = new Set<Node>();
    const ends = new Set<Node>();
    const chosen: Match[] = [];
    for (const match of sorted) {
      const isOther = match.nodes.some((node) => {
        const own = owns.get(node);
        return ends.has(node) || (own !== undefined && own !== match && isWrapped(own, match));
      });
      if (isOther || taken.has(last(match)) || isOpen(match)) continue;
      chosen.push(match);
      ends.add(last(match));
      for (const node of match.nodes) taken.add(node);
    }
    return chosen.sort((a, b) => this.surroundings.place(last(a)) - this.surroundings.place(last(b)));
  }

  /** How the squares of a normalization are added up. */
  private statistics(
    x: string,
    nodes: readonly Node[],
    values: ReadonlyMap<string, Expression>,
    algebra: Algebra,
  ): Pick<Match, "cancels" | "statisticsType" | "squared"> {
    const isSquare = ([atom, exponent]: readonly [number, number]): boolean => {
      const found = algebra.atomAt(atom);
      return (
        exponent === 1 &&
        found.kind === "mean" &&
        found.of.powers.length === 1 &&
        String(found.of.powers[0]) === "0,2"
      );
    };
    let cancels = false;
    let measuring: Node | undefined;
    for (const node of nodes) {
      const sum = values.get(node.outputs[0])?.sum;
      if (sum === undefined || OWN.has(node.operator) || !MEASURING.has(node.operator)) continue;
      const products = [...sum.values()];
      const squares = products.filter(({ powers }) => powers.length === 1 && isSquare(powers[0]));
      if (squares.length === 0) continue;
      measuring ??= node;
      if (
        products.length === 1 &&
        nodes.some(
          (one) =>
            (values.get(one.outputs[0])?.sum.size ?? 0) > 1 && this.subtractsSquare(one, values, algebra),
        )
      )
        cancels = true;
    }
    if (measuring === undefined) {
      const own = nodes.find(({ operator }) => OWN.has(operator));
      const inFloat = own !== undefined && /^(Layer|RMS|Group|SimplifiedLayer)Norm/.test(own.operator);
      return {
        cancels: false,
        statisticsType: inFloat ? "float32" : this.surroundings.settled.dtype(own?.inputs[0] ?? x),
      };
    }
    const [measured] = measuring.inputs;
    const isLength = /L2|SumSquare/.test(measuring.operator);
    const squaring = isLength ? undefined : this.surroundings.producers.get(measured);
    const squared = isLength
      ? measured
      : squaring && /^(Pow|Mul|Square)$/.test(squaring.operator)
        ? squaring.inputs[0]
        : undefined;
    return {
      cancels,
      statisticsType: this.surroundings.settled.dtype(measured) ?? this.surroundings.settled.dtype(x),
      squared,
    };
  }

  /** Whether a node takes the square of a mean from a mean of squares. */
  private subtractsSquare(node: Node, values: ReadonlyMap<string, Expression>, algebra: Algebra): boolean {
    if (!["Sub", "Add", "AddV2"].includes(node.operator)) return false;
    return node.inputs.some((input) => {
      const products = [...(values.get(input)?.sum.values() ?? [])];
      return (
        products.length === 1 &&
        products[0].powers.length === 1 &&
        products[0].powers[0][1] === 2 &&
        algebra.atomAt(products[0].powers[0][0]).kind === "mean"
      );
    });
  }

  /** @returns undefined where gamma or beta, which were thought to be constants, cannot be evaluated */
  async found(match: Match): Promise<Found | undefined> {
    const { algebra, recognized, nodes, x, y, isOperator, cancels, statisticsType, squared } = match;
    const { norm, axes, channels, groups, epsilon, epsilonAt, gamma, beta, mean, variance, parameterAxes } =
      recognized;
    const shape = this.surroundings.open(this.surroundings.settled.shape(x) as readonly number[]);
    const parameters: Partial<Record<string, Parameter>> = {};
    const sums = { gamma: numberIn(gamma) === 1 ? NONE : gamma, beta, mean, variance };
    for (const [name, sum] of Object.entries(sums)) {
      if (sum === undefined || sum.size === 0) continue;
      const parameter = await parameterOf(sum, algebra, parameterAxes, this.surroundings);
      if (parameter === undefined) return undefined;
      parameters[name] = parameter;
    }
    return {
      norm: norm as FoundNorm,
      graph: this.surroundings.graph,
      ...{
        x,
        y,
        nodes,
        isOperator,
        shape,
        axes,
        channels,
        groups,
        epsilon,
        epsilonAt,
        cancels,
        statisticsType,
        squared,
      },
      order: match.order.every((axis, i) => axis === i) ? undefined : match.order,
      dtype: this.surroundings.settled.dtype(x),
      ...parameters,
    };
  }
}

/** What a product is divided by that is made of x. */
function divisorsIn(algebra: Algebra, { powers }: Product): Product["powers"] {
  return powers.filter(
    ([atom, exponent]) => exponent < 0 && algebra.isOfX({ factor: 1, powers: [[atom, 1]] }),
  );
}

/** Whether an atom is such as normalizations have: a mean of powers of x, a root, a bound by a number. */
function isStep(algebra: Algebra, number: number): boolean {
  const atom = algebra.atomAt(number);
  switch (atom.kind) {
    case "mean":
      return atom.of.powers.every(
        ([one, exponent]) => exponent > 0 || !algebra.isOfX({ factor: 1, powers: [[one, 1]] }),
      );
    case "call":
      return atom.name === "abs" || atom.of.some((one) => (numberIn(one) ?? 0) !== 0);
    default:
      return true;
  }
}

function isCastNode({ operator }: Node): boolean {
  return operator === "Cast" || operator === "CastLike";
}

/** Of two ways to see one normalization, that of a value and not of its multiple is better, that with its axes in order, that of the last axes. */
function strangeness({ order, recognized: { norm, axes }, algebra, isMultiple }: Match): number {
  const rank = algebra.x.shape.length;
  const isTurned = order.some((axis, i) => axis !== i);
  const isWithin =
    (norm === "layerNorm" || norm === "rmsNorm") && axes.some((axis, i) => axis !== rank - axes.length + i);
  return Number(isMultiple) * 4 + Number(isTurned) * 2 + Number(isWithin);
}

/** The order in which a value has the axes of x; undefined where it has others. */
function orderOf(value: Expression, x: Expression): number[] | undefined {
  if (value.shape.length !== x.shape.length) return undefined;
  const left = new Set(x.shape.keys());
  const order: number[] = [];
  for (const [place, segments] of value.axes.entries()) {
    const fits = (axis: number) =>
      value.shape[place] === x.shape[axis] && String(segments) === String(x.axes[axis]);
    const axis = left.has(place) && fits(place) ? place : [...left].find(fits);
    if (axis === undefined) return undefined;
    left.delete(axis);
    order.push(axis);
  }
  return order;
}

/** Whether an operator of its own is all that a larger find is, but for casts, changes of layout, and a beta that it cannot have. */
function isWrapped(own: Match, whole: Match): boolean {
  const [a, b] = [own.recognized, whole.recognized];
  return (
    a.norm === b.norm &&
    numberIn(b.gamma) === numberIn(a.gamma) &&
    a.gamma.size === b.gamma.size &&
    (a.beta.size === b.beta.size || a.norm === "rmsNorm")
  );
}
