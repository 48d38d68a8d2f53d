/**
 * Normalizations and activations in a graph, whichever way they are written. From each value that something is measured of, the graph is
 * followed forward as polynomials in that value (algebra.ts); where one of them is what a normalization of the catalog is (recognize.ts),
 * that normalization is found. Nothing is told by a name, and what is only similar is not equal.
 *
 * Lengths that the file leaves open are stand-ins: found is what is found with two different ones.
 */

import type { Values64 } from "../../formula/eager.js";
import { MOST_VALUES, sizeOf } from "../../shape.js";
import { CheckpointError } from "../errors.js";
import {
  Algebra,
  Cut,
  type Expression,
  isSameSum,
  near,
  numberIn,
  type Product,
  type Sum,
  sumOf,
  Unknown,
} from "./algebra.js";
import { evaluated } from "./evaluate.js";
import type { Found, FoundActivation, FoundNorm, Parameter } from "./found.js";
import type { Graph, Node } from "./graph.js";
import { meaningOf } from "./meaning.js";
import { isReal } from "./operators.js";
import { inFloat, type Recognized, recognize } from "./recognize.js";
import { type Settled, settle } from "./shapes.js";
import { readWithin } from "./values.js";

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
    if (OWN.has(node.operator) && isWhole && !explained.has(node)) norms.push(await one.own(node));
  }
  const activations = one.activations();
  const same = new Set(other.activations(activations.map(({ x }) => x)).map(({ y }) => y));
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

/** How far a value is followed: by so many nodes, one after the other, and what of it is. */
interface Following {
  readonly depth: number;
  mayBe(algebra: Algebra, value: Expression, node: Node, values: ReadonlyMap<string, Expression>): boolean;
}

const NONE: Sum = new Map();

/** Whether a sum is a number, or a value of the graph as it stands. */
function isPlain(sum: Sum, algebra: Algebra): boolean {
  const [product, more] = sum.values();
  if (numberIn(sum) !== undefined) return true;
  const [power, another] = product.powers;
  return (
    more === undefined &&
    another === undefined &&
    near(product.factor, 1) &&
    power[1] === 1 &&
    algebra.atomAt(power[0]).kind === "given"
  );
}

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

/** Operators that measure. What they measure of may be x, or made of it by a few of `LEADING`. */
const MEASURING = new Set(
  (
    "ReduceMean ReduceSum ReduceSumSquare ReduceL2 GlobalAveragePool LayerNormalization RMSNormalization GroupNormalization " +
    "InstanceNormalization BatchNormalization LpNormalization MeanVarianceNormalization SimplifiedLayerNormalization GroupNorm " +
    "Mean Sum FusedBatchNorm FusedBatchNormV2 FusedBatchNormV3"
  ).split(" "),
);

/** Operators that are a normalization by themselves, and which of their inputs are what. */
const OWN: ReadonlyMap<string, { norm: FoundNorm; inputs: readonly string[]; epsilon: number }> = new Map(
  (
    [
      ["LayerNormalization", "layerNorm", "x gamma beta", 1e-5],
      ["RMSNormalization", "rmsNorm", "x gamma", 1e-5],
      ["SimplifiedLayerNormalization", "rmsNorm", "x gamma", 1e-5],
      ["SkipLayerNormalization", "layerNorm", "x skip gamma beta", 1e-12],
      ["SkipSimplifiedLayerNormalization", "rmsNorm", "x skip gamma", 1e-12],
      ["GroupNormalization", "groupNorm", "x gamma beta", 1e-5],
      ["GroupNorm", "groupNorm", "x gamma beta", 1e-5],
      ["InstanceNormalization", "instanceNorm", "x gamma beta", 1e-5],
      ["MeanVarianceNormalization", "instanceNorm", "x", 1e-9],
      ["LpNormalization", "unitNorm", "x", 0],
      ["BatchNormalization", "batchNorm", "x gamma beta mean variance", 1e-5],
      ["FusedBatchNorm", "batchNorm", "x gamma beta mean variance", 1e-4],
      ["FusedBatchNormV2", "batchNorm", "x gamma beta mean variance", 1e-4],
      ["FusedBatchNormV3", "batchNorm", "x gamma beta mean variance", 1e-4],
    ] as const
  ).map(([operator, norm, inputs, epsilon]) => [operator, { norm, inputs: inputs.split(" "), epsilon }]),
);
const OF_INSTANCES = "InstanceNormalization";
/** Their gamma and beta are often ones and zeros, and the real ones follow. */
const WITH_PLACEHOLDERS =
  /^(InstanceNormalization|BatchNormalization|FusedBatchNorm(V[23])?|GroupNorm(alization)?)$/;
/** Operators whose operands are numbers where all of their values are equal. */
const NUMBERS = /^(Real)?Div(NoNan)?$|^Where$|^Select|^Max|^Min|^Clip$/;
/** Operators that only hand on what they get, perhaps in another type. */
const PASSING = new Set(["Cast", "CastLike", "Identity", "Dropout", "StopGradient"]);
/** Operators that move values. */
const LAYOUT = new Set(
  "Reshape Transpose Squeeze Unsqueeze ExpandDims Flatten Identity Dropout StopGradient".split(" "),
);
/** Operators between x and what is measured. */
const LEADING = new Set([
  ...PASSING,
  ..."Reshape Transpose Squeeze Unsqueeze ExpandDims Flatten Pow Square Mul Abs SquaredDifference Sub".split(
    " ",
  ),
]);
const MOST_LEADING = 6;
const ROOTS = new Set("Sqrt Rsqrt Pow".split(" "));
const RANDOM = /Random|Multinomial|Bernoulli/;
/** What is followed from one x. */
const MOST_NODES = 400;
const MOST_DEPTH = 40;
/** What is followed from all of them, for each node of a graph: values that nodes read, and nodes. */
const MOST_OFTEN = 30;
/** Activations are a few nodes. */
const MOST_OF_ACTIVATION = 12;
const MOST_CUTS = 6;

class Search {
  private readonly readers = new Map<string, Node[]>();
  private readonly producers = new Map<string, Node>();
  private readonly places = new Map<Node, number>();
  private readonly leaving: ReadonlySet<string>;
  /** What nodes compute of constants alone. */
  private readonly fixed = new Set<string>();
  /** Those of them that roots are in. */
  private readonly roots = new Set<string>();
  /** Nodes, and values that they read, that may be followed yet. */
  private left: number;

  constructor(
    private readonly graph: Graph,
    private readonly settled: Settled,
  ) {
    this.left = MOST_OFTEN * graph.nodes.length + 10 * MOST_NODES;
    for (const [place, node] of graph.nodes.entries()) {
      this.places.set(node, place);
      for (const output of node.outputs) this.producers.set(output, node);
      for (const input of new Set(node.inputs)) {
        const known = this.readers.get(input);
        if (known) known.push(node);
        else this.readers.set(input, [node]);
      }
      const isFixed =
        node.inputs.some((input) => input !== "") &&
        node.inputs.every((input) => input === "" || this.isFixed(input)) &&
        !RANDOM.test(node.operator) &&
        [...node.attributes.values()].every(({ graphs }) => graphs.length === 0);
      if (!isFixed) continue;
      const isRoot = ROOTS.has(node.operator) || node.inputs.some((input) => this.roots.has(input));
      for (const output of node.outputs) {
        this.fixed.add(output);
        if (isRoot) this.roots.add(output);
      }
    }
    this.leaving = new Set([...graph.outputs.map(({ name }) => name), ...graph.nodes.flatMap(readWithin)]);
  }

  /** Whether a value is the same in every run. */
  private isFixed(name: string): boolean {
    if (this.fixed.has(name) || this.settled.constant(name) !== undefined) return true;
    // what is computed of shapes, of lengths that are said
    const data = this.settled.known(name)?.data;
    return data?.every((value) => !this.settled.isOpen(value)) ?? false;
  }

  private place(node: Node): number {
    return this.places.get(node) as number;
  }

  /** @param starts values that may be normalized; absent: all that something is measured of */
  norms(starts: Iterable<string> = this.starts()): Match[] {
    return this.chosen([...new Set(starts)].flatMap((x) => this.from(x)));
  }

  private starts(): Set<string> {
    const starts = new Set<string>();
    for (const node of this.graph.nodes) {
      if (!MEASURING.has(node.operator)) continue;
      for (const start of this.before(node.inputs[0])) if (this.isDivisible(start)) starts.add(start);
    }
    // roots of constants: of weights that are normalized, and of stored statistics
    for (const { operator, inputs } of this.graph.nodes) {
      const isFixed = inputs.every((input) => this.isFixed(input));
      const isDivided = /^(Real)?Div$/.test(operator) && isFixed;
      const isByRoot = !isFixed && inputs.some((input) => this.roots.has(input));
      const from = isDivided
        ? inputs[0]
        : isByRoot
          ? inputs.find((input) => !this.isFixed(input))
          : undefined;
      if (from !== undefined) for (const start of this.before(from)) starts.add(start);
    }
    return starts;
  }

  /** Whether anything but a mean is taken of a value: squares are not what is normalized. */
  private isDivisible(value: string): boolean {
    const readers = this.readers.get(value) ?? [];
    return readers.some(({ operator }) => !MEASURING.has(operator) || OWN.has(operator));
  }

  /** A value, and those that it may be made of without being measured. */
  private before(value: string): string[] {
    const found = [value];
    let isCast = false;
    for (let i = 0; i < MOST_LEADING; i++) {
      const producer = this.producers.get(found[i]);
      if (producer === undefined || !LEADING.has(producer.operator)) break;
      // the cast before that is of what comes before
      if (isCast && isCastNode(producer)) break;
      isCast ||= isCastNode(producer);
      const isOne = (input: string) => this.settled.uniform(input) !== undefined;
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
    return this.followed(x, use, { depth: MOST_DEPTH, mayBe }) ?? [];
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
    if (first.length === 0) return this.isConstant(sumOf(others), algebra);
    const changing = [...sum.values()].flatMap(({ powers }) =>
      powers.filter(([number]) => {
        const atom = algebra.atomAt(number);
        return atom.kind === "given" && !this.isFixed(atom.name);
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

  /** @returns undefined where x is nothing that can be followed */
  private followed<R>(
    x: string,
    use: (algebra: Algebra, values: ReadonlyMap<string, Expression>) => R,
    how: Following,
  ): R | undefined {
    const shape = this.settled.shape(x);
    const dtype = this.settled.dtype(x);
    if (
      shape === undefined ||
      shape.length === 0 ||
      shape.includes(0) ||
      (dtype !== undefined && !isReal(dtype))
    )
      return undefined;
    let layout: readonly (readonly number[])[] = shape.map((length) => [length]);
    for (let cuts = 0; cuts <= MOST_CUTS; cuts++) {
      try {
        const algebra = new Algebra(layout);
        return use(algebra, this.values(x, algebra, how));
      } catch (error) {
        if (!(error instanceof Cut)) throw error;
        layout = cutAt(layout, error);
      }
    }
    return undefined;
  }

  private values(x: string, algebra: Algebra, { depth: most, mayBe }: Following): Map<string, Expression> {
    const values = new Map([[x, algebra.x]]);
    const depths = new Map([[x, 0]]);
    const ofWeight = this.settled.constant(x) !== undefined;
    // what is made of x, and is followed no further
    const lost = new Set<string>();
    const waiting = new Set(this.readers.get(x) ?? []);
    for (let count = 0; waiting.size > 0 && count < MOST_NODES && this.left > 0; count++) {
      const node = [...waiting].reduce((a, b) => (this.place(a) < this.place(b) ? a : b));
      waiting.delete(node);
      this.left -= 1 + node.inputs.length;
      const depth = 1 + Math.max(...node.inputs.map((input) => depths.get(input) ?? 0));
      if (!ofWeight) for (const input of node.inputs) this.unfold(input, x, algebra, values);
      const isFollowed = depth <= most && !node.inputs.some((input) => lost.has(input));
      const results = (isFollowed && this.meaning(node, x, algebra, values)) || [];
      for (const [i, output] of node.outputs.entries()) {
        if (output === "") continue;
        if (results[i] === undefined || !mayBe(algebra, results[i], node, values)) {
          // shapes of x are known, and ones like x
          const isKnown = this.settled.uniform(output) !== undefined;
          if (!isKnown && isReal(this.settled.dtype(output) ?? "float32")) lost.add(output);
          continue;
        }
        values.set(output, results[i]);
        depths.set(output, depth);
        for (const reader of this.readers.get(output) ?? []) waiting.add(reader);
      }
    }
    return values;
  }

  /** What a root of constants is of, as a stored variance. */
  private unfold(
    name: string,
    x: string,
    algebra: Algebra,
    values: Map<string, Expression>,
    most = MOST_LEADING,
  ): void {
    const node = this.producers.get(name);
    const isOpen = most < MOST_LEADING ? this.fixed.has(name) : this.roots.has(name);
    if (node === undefined || !isOpen || most === 0 || values.has(name)) return;
    for (const input of node.inputs) this.unfold(input, x, algebra, values, most - 1);
    const [result] = this.meaning(node, x, algebra, values) ?? [];
    if (result !== undefined) values.set(name, result);
  }

  private meaning(
    node: Node,
    x: string,
    algebra: Algebra,
    values: ReadonlyMap<string, Expression>,
  ): readonly Expression[] | undefined {
    try {
      return meaningOf<Expression>({
        ops: algebra,
        node,
        inputs: node.inputs.map((input, i) => values.get(input) ?? this.asGiven(input, node, i, algebra, x)),
        known: (input) => {
          const known = this.settled.known(node.inputs[input]);
          return known && [...known.data];
        },
        dtype: (input) => this.settled.dtype(node.inputs[input]),
        expand: (x, shape) => algebra.expand(x, shape),
      });
    } catch (error) {
      if (error instanceof Unknown) return undefined;
      throw error;
    }
  }

  /** A value that is not followed, as it comes: a number, or one for each of its places. */
  private asGiven(
    name: string,
    node: Node,
    input: number,
    algebra: Algebra,
    x: string,
  ): Expression | undefined {
    const shape = name === "" ? undefined : this.settled.shape(name);
    if (shape === undefined) return undefined;
    const value = this.settled.uniform(name) ?? onlyOf(this.settled.known(name)?.data);
    // gamma and beta that are stored are not taken for numbers, even where all of theirs are 1 and 0
    const isStored = this.settled.constant(name) !== undefined;
    const isNumber = sizeOf(shape) === 1 || !isStored || NUMBERS.test(node.operator);
    const isPlaceholder = input > 0 && WITH_PLACEHOLDERS.test(node.operator) && (value === 0 || value === 1);
    // what a weight is divided by may be computed of it
    const isOwn = this.fixed.has(name) && this.settled.constant(x) !== undefined;
    if (value !== undefined && !isOwn && (isNumber || isPlaceholder)) {
      return Number.isFinite(value) ? algebra.constant([value], shape) : undefined;
    }
    return algebra.given(name, shape);
  }

  /** Those of the values that are a normalization of x, the longest of each chain. */
  private matches(x: string, algebra: Algebra, values: ReadonlyMap<string, Expression>): Match[] {
    const ofWeight = this.settled.constant(x) !== undefined;
    const found: Match[] = [];
    for (const [y, value] of values) {
      const order = y === x ? undefined : orderOf(value, algebra.x);
      if (order === undefined) continue;
      const nodes = this.between(x, y, values);
      const byInstance = nodes.some(({ operator }) => operator === OF_INSTANCES);
      const back = order.map((_, axis) => order.indexOf(axis));
      const recognized =
        this.recognizing(algebra, algebra.transpose(value, back), { ofWeight, byInstance }) ??
        (ofWeight ? this.spectral(x, value, algebra) : undefined);
      if (recognized === undefined || (recognized.norm === "rmsNorm" && this.isDifference(x))) continue;
      const { gamma, beta, mean = NONE, variance = NONE } = recognized;
      const isFixed = [gamma, beta, mean, variance].every((sum) => this.isConstant(sum, algebra));
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
    const node = this.producers.get(y);
    return (
      node !== undefined && isCastNode(node) && this.settled.dtype(node.inputs[0]) === this.settled.dtype(x)
    );
  }

  /** Whether all that these nodes do with x is to multiply it by a number. */
  private isMultiplied(x: string, nodes: readonly Node[]): boolean {
    return nodes.every(({ operator, inputs, outputs }) => {
      const isNumber = (input: string) => input !== x && this.settled.uniform(input) !== undefined;
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
      if (seen.has(next) || !this.isFixed(next)) continue;
      seen.add(next);
      const node = this.producers.get(next);
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
      const node = this.producers.get(name);
      if (node === undefined) return false;
      const [first = "", second = ""] = node.inputs;
      if (node.operator === "Sub") {
        const [whole, part] = [name, second].map((one) => this.settled.shape(one));
        const isShared = whole !== undefined && part !== undefined && sizeOf(part) < sizeOf(whole);
        return isShared && !this.isFixed(second);
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

  /** The nodes that y is computed by from x, in the graph's order. */
  private between(x: string, y: string, values: ReadonlyMap<string, Expression>): Node[] {
    const found = new Set<Node>();
    const open = [y];
    for (let name = open.pop(); name !== undefined; name = open.pop()) {
      const node = this.producers.get(name);
      if (name === x || node === undefined || !values.has(name) || found.has(node)) continue;
      found.add(node);
      open.push(...node.inputs);
    }
    return [...found].sort((a, b) => this.place(a) - this.place(b));
  }

  /** A normalization goes on to its gamma and beta where nothing else reads what lies before them. */
  private ends(matches: readonly Match[]): Match[] {
    const inner = (a: Match, b: Match) => a !== b && b.nodes.includes(this.producers.get(a.y) as Node);
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
    const readers = this.readers.get(value) ?? [];
    const isWithin = (reader: Node): boolean =>
      // lengths say nothing of values
      reader.operator === "Shape" ||
      (match.nodes.includes(reader) &&
        (!PASSING.has(reader.operator) ||
          reader.outputs.every((one) => one === match.y || this.isReadOnlyBy(one, match))));
    return !this.leaving.has(value) && readers.every(isWithin);
  }

  /** Whether one find is another whose outcome is moved. */
  private isOnlyMoved(other: Match, match: Match): boolean {
    return match.nodes.every((node) => other.nodes.includes(node) || LAYOUT.has(node.operator));
  }

  /** Of what was found from several values, that which explains most; an operator of its own explains itself. */
  private chosen(matches: readonly Match[]): Match[] {
    const last = ({ y }: Match) => this.producers.get(y) as Node;
    const sorted = [...matches].sort(
      (a, b) =>
        strangeness(a) - strangeness(b) ||
        b.nodes.length - a.nodes.length ||
        this.place(last(a)) - this.place(last(b)),
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
    return chosen.sort((a, b) => this.place(last(a)) - this.place(last(b)));
  }

  /** Whether a sum is of constants alone, which can be evaluated. */
  private isConstant(sum: Sum, algebra: Algebra): boolean {
    return [...sum.values()].every(({ powers }) =>
      powers.every(([number]) => {
        const atom = algebra.atomAt(number);
        return atom.kind === "root"
          ? this.isConstant(atom.of, algebra)
          : atom.kind === "given" && this.isFixed(atom.name);
      }),
    );
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
        statisticsType: inFloat ? "float32" : this.settled.dtype(own?.inputs[0] ?? x),
      };
    }
    const [measured] = measuring.inputs;
    const isLength = /L2|SumSquare/.test(measuring.operator);
    const squaring = isLength ? undefined : this.producers.get(measured);
    const squared = isLength
      ? measured
      : squaring && /^(Pow|Mul|Square)$/.test(squaring.operator)
        ? squaring.inputs[0]
        : undefined;
    return { cancels, statisticsType: this.settled.dtype(measured) ?? this.settled.dtype(x), squared };
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
    const shape = this.open(this.settled.shape(x) as readonly number[]);
    const parameters: Partial<Record<string, Parameter>> = {};
    const sums = { gamma: numberIn(gamma) === 1 ? NONE : gamma, beta, mean, variance };
    for (const [name, sum] of Object.entries(sums)) {
      if (sum === undefined || sum.size === 0) continue;
      const parameter = await this.parameter(sum, algebra, parameterAxes);
      if (parameter === undefined) return undefined;
      parameters[name] = parameter;
    }
    return {
      norm: norm as FoundNorm,
      graph: this.graph,
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
      dtype: this.settled.dtype(x),
      ...parameters,
    };
  }

  /** An operator whose input is not known well enough to be followed, or which has statistics given. */
  async own(node: Node): Promise<Found> {
    const { norm, inputs, epsilon } = OWN.get(node.operator) as NonNullable<ReturnType<typeof OWN.get>>;
    const [x, y] = [node.inputs[0], node.outputs[0]];
    const lengths = this.settled.shape(x);
    const rank = lengths?.length ?? 0;
    const number = (name: string, absent: number) => {
      const value = node.attributes.get(name)?.value;
      return typeof value === "number" ? value : absent;
    };
    const isPerChannel = norm === "batchNorm" || norm === "instanceNorm" || norm === "groupNorm";
    const format = node.attributes.get("data_format")?.value;
    const isLast =
      format === undefined ? this.graph.dialect === "tensorflow" : !String(format).startsWith("NC");
    const channels = isPerChannel ? (isLast ? rank - 1 : 1) : undefined;
    const all = Array.from({ length: rank }, (_, axis) => axis);
    const from = number("axis", -1);
    const kept = norm === "batchNorm" ? [channels] : norm === "instanceNorm" ? [0, channels] : [0];
    const axes =
      norm === "unitNorm" || !isPerChannel
        ? all.slice(from).slice(0, norm === "unitNorm" ? 1 : rank)
        : all.filter((axis) => !kept.includes(axis));
    const parameters: Partial<Record<string, Parameter>> = {};
    for (const [i, called] of inputs.entries()) {
      const constant = this.settled.constant(node.inputs[i] ?? "");
      if (i === 0 || called === "skip" || constant === undefined) continue;
      const values = Float64Array.from((await constant.read()) as ArrayLike<number>);
      const follows = isPerChannel && channels !== undefined ? [channels] : axes;
      parameters[called] = { name: constant.name, axes: follows, shape: constant.shape, values };
    }
    return {
      ...{ norm, graph: this.graph, x, y, nodes: [node], isOperator: true, axes, channels, cancels: false },
      ...parameters,
      shape: this.open(lengths ?? []),
      dtype: this.settled.dtype(x),
      groups: norm === "groupNorm" ? number("num_groups", number("groups", 1)) : undefined,
      epsilon: inFloat(number("epsilon", epsilon)),
      epsilonAt: "inside",
      statisticsType: isPerChannel && norm !== "groupNorm" ? this.settled.dtype(x) : "float32",
    };
  }

  /** Lengths, NaN where they are open. */
  private open(shape: readonly number[]): number[] {
    return shape.map((length) => (this.settled.isOpen(length) ? Number.NaN : length));
  }

  /** The values of a sum of constants, at each place of these axes of x. */
  private async parameter(
    sum: Sum,
    algebra: Algebra,
    axes: readonly number[],
  ): Promise<Parameter | undefined> {
    const number = numberIn(sum);
    if (number !== undefined) return { axes: [], shape: [], values: Float64Array.of(number) };
    const [first] = sum.values();
    const atom = first?.powers.length > 0 ? algebra.atomAt(first.powers[0][0]) : undefined;
    if (atom?.kind === "given" && !this.isConstant(sum, algebra)) {
      const along = algebra.support(sum);
      const varying = [...algebra.x.shape.keys()].filter((axis) =>
        algebra.x.axes[axis].some((one) => along.has(one)),
      );
      return {
        name: atom.name,
        axes: varying,
        shape: this.open(varying.map((axis) => algebra.x.shape[axis])),
      };
    }
    const segments = axes.flatMap((axis) => algebra.x.axes[axis]);
    const shape = axes.map((axis) => algebra.x.shape[axis]);
    const lengths = segments.map((segment) => algebra.lengthOf(segment));
    const size = lengths.reduce((a, b) => a * b, 1);
    // of a length that is open there is no constant
    if (shape.some((length) => this.settled.isOpen(length)) || size > MOST_VALUES) return undefined;
    const isItself = isPlain(sum, algebra) && atom?.kind === "given";
    const stored = isItself ? this.settled.constant(atom.name) : undefined;
    const values = await this.valuesOf(sum, algebra, segments, lengths);
    // values in another file, which may be missing
    if (values === undefined) return isItself ? { name: stored?.name, axes, shape } : undefined;
    const isWhole = stored !== undefined && sizeOf(stored.shape) === size;
    return { name: isWhole ? stored.name : undefined, axes, shape, values };
  }

  /** A sum of constants at each place of these segments. */
  private async valuesOf(
    sum: Sum,
    algebra: Algebra,
    segments: readonly number[],
    lengths: readonly number[],
  ): Promise<Float64Array | undefined> {
    const size = sizeOf(lengths);
    const values = new Float64Array(size);
    for (const { factor, powers } of sum.values()) {
      const term = new Float64Array(size).fill(factor);
      for (const [number, exponent] of powers) {
        const atom = algebra.atomAt(number);
        if (atom.kind === "root") {
          const squares = await this.valuesOf(atom.of, algebra, segments, lengths);
          if (squares === undefined) return undefined;
          for (let i = 0; i < size; i++) term[i] *= Math.sqrt(squares[i]) ** exponent;
          continue;
        }
        if (atom.kind !== "given") return undefined;
        const constant = this.settled.known(atom.name) ?? (await this.evaluated(atom.name));
        if (constant === undefined) return undefined;
        const strides = stridesOf(atom.axes.flat(), segments, lengths, (one) => algebra.lengthOf(one));
        for (let i = 0; i < size; i++) term[i] *= constant.data[placeOf(i, lengths, strides)] ** exponent;
      }
      for (let i = 0; i < size; i++) values[i] += term[i];
    }
    return values;
  }

  /** A constant's values, or what is computed of constants; undefined where the file does not have them all. */
  private async evaluated(name: string): Promise<Values64 | undefined> {
    try {
      return (await evaluated(this.graph, [name])).get(name);
    } catch (error) {
      if (error instanceof CheckpointError) return undefined;
      throw error;
    }
  }

  /** @param starts values that may be activated; absent: all that a function is made of */
  activations(starts: Iterable<string> = this.arguments()): FoundActivation[] {
    const found = new Map<string, FoundActivation>();
    for (const x of new Set(starts)) {
      const use = (algebra: Algebra, values: ReadonlyMap<string, Expression>) =>
        this.activation(x, algebra, values);
      const all = this.followed(x, use, { depth: MOST_OF_ACTIVATION, mayBe: () => true });
      for (const one of all ?? []) if (!found.has(one.y)) found.set(one.y, one);
    }
    return [...found.values()];
  }

  private arguments(): string[] {
    const functions = this.graph.nodes.filter(({ operator }) => /^(Sigmoid|Erf|Tanh)$/.test(operator));
    return functions.flatMap((node) => this.inner(node));
  }

  /** Values that a function's argument is made of, the nearest first. */
  private inner(node: Node): string[] {
    const found: string[] = [];
    let next = [node.inputs[0]];
    for (let i = 0; i < MOST_LEADING && next.length > 0; i++) {
      found.push(...next);
      next = next.flatMap((name) => {
        const producer = this.producers.get(name);
        const isArithmetic =
          producer !== undefined &&
          /^(Mul|Div|RealDiv|Add|AddV2|Pow|Square|Cast|Identity)$/.test(producer.operator);
        return isArithmetic ? producer.inputs.filter((input) => this.settled.known(input) === undefined) : [];
      });
    }
    return [...new Set(found)];
  }

  private activation(
    x: string,
    algebra: Algebra,
    values: ReadonlyMap<string, Expression>,
  ): FoundActivation[] {
    const { x: of } = algebra;
    const kinds: [FoundActivation["activation"], Sum][] = [
      ["silu", algebra.mul(of, algebra.sigmoid(of)).sum],
    ];
    const gelu = (inner: Expression) => algebra.mul(algebra.mul(of, 0.5), algebra.add(inner, 1)).sum;
    // constants are as the network's type holds them
    for (const held of [(value: number) => value, toHalf]) {
      const cubed = algebra.add(of, algebra.mul(algebra.pow(of, 3), held(0.044715)));
      kinds.push(["geluTanh", gelu(algebra.tanh(algebra.mul(cubed, held(Math.sqrt(2 / Math.PI)))))]);
      for (const scale of [held(Math.SQRT1_2), 1 / held(Math.SQRT2)]) {
        kinds.push(["gelu", gelu(algebra.erf(algebra.mul(of, scale)))]);
      }
    }
    return [...values].flatMap(([y, value]) => {
      const [kind] = kinds.find(([, sum]) => isSameSum(sum, value.sum)) ?? [];
      const nodes = kind === undefined ? [] : this.between(x, y, values);
      const last = nodes.at(-1)?.operator ?? "";
      if (kind === undefined || PASSING.has(last) || LAYOUT.has(last)) return [];
      return [{ activation: kind, graph: this.graph, x, y, nodes }];
    });
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

/** The number that all of them are, if they are one. */
function onlyOf(values: Float64Array | undefined): number | undefined {
  return values?.length && values.every((value) => value === values[0]) ? values[0] : undefined;
}

/** Rounded to 11 significant bits, as float16 holds numbers near 1. */
function toHalf(value: number): number {
  const unit = 2 ** (Math.floor(Math.log2(Math.abs(value))) - 10);
  return Math.round(value / unit) * unit;
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

/** A layout with one of its segments cut. */
function cutAt(layout: readonly (readonly number[])[], { segment, lengths }: Cut): number[][] {
  let number = 0;
  return layout.map((axis) =>
    axis.flatMap((length) => (length === 1 ? [] : number++ === segment ? lengths : [length])),
  );
}

/** Distances in a constant whose axes follow these segments, for each segment of x's; 0 where it does not follow one. */
function stridesOf(
  own: readonly number[],
  segments: readonly number[],
  lengths: readonly number[],
  lengthOf: (segment: number) => number,
): number[] {
  return segments.map((segment, i) => {
    const at = own.indexOf(segment);
    return at < 0 || lengths[i] === 1 ? 0 : own.slice(at + 1).reduce((size, one) => size * lengthOf(one), 1);
  });
}

function placeOf(index: number, lengths: readonly number[], strides: readonly number[]): number {
  let rest = index;
  let place = 0;
  for (let i = lengths.length - 1; i >= 0; i--) {
    place += (rest % lengths[i]) * strides[i];
    rest = Math.floor(rest / lengths[i]);
  }
  return place;
}
