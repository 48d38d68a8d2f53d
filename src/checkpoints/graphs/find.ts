/**
 * Normalizations and activations in a graph, whichever way they are written. From each value that something is measured of, the graph is
 * followed forward as polynomials in that value (algebra.ts); where one of them is what a normalization of the catalog is (recognize.ts),
 * that normalization is found. Nothing is told by a name, and what is only similar is not equal.
 *
 * Lengths that the file leaves open are stand-ins: found is what is found with two different ones.
 */
import { sameShape } from "../../shape.js";
import { Algebra, Cut, type Expression, isSameSum, numberIn, type Sum, Unknown } from "./algebra.js";
import { evaluated } from "./evaluate.js";
import type { Found, FoundActivation, FoundNorm, Parameter } from "./found.js";
import type { Graph, Node } from "./graph.js";
import { meaningOf } from "./meaning.js";
import { isReal } from "./operators.js";
import { type Recognized, recognize } from "./recognize.js";
import { type Settled, settle } from "./shapes.js";

/** What is found in one graph; graphs within its nodes are graphs of their own. */
export async function find(graph: Graph): Promise<{ norms: Found[]; activations: FoundActivation[] }> {
  const [one, other] = [new Search(graph, await settle(graph, 0)), new Search(graph, await settle(graph, 1))];
  const again = new Map(other.norms().map((match) => [match.y, match]));
  const norms: Found[] = [];
  for (const match of one.norms()) {
    const same = again.get(match.y);
    if (same !== undefined && isSameMatch(match, same)) norms.push(await one.found(match));
  }
  const activations = one.activations().filter(({ y }) => other.activations().some((same) => same.y === y));
  return { norms, activations };
}

/** A normalization as it was recognized, and where. */
interface Match {
  readonly x: string;
  readonly y: string;
  readonly nodes: readonly Node[];
  readonly recognized: Recognized;
  readonly algebra: Algebra;
  readonly isOperator: boolean;
  readonly cancels: boolean;
  readonly statisticsType?: string;
  readonly squared?: string;
}

function isSameMatch(a: Match, b: Match): boolean {
  const plain = ({ x, nodes, recognized, isOperator }: Match) => {
    const { norm, axes, channels, groups, epsilon, parameterAxes } = recognized;
    return JSON.stringify([
      x,
      nodes.length,
      isOperator,
      norm,
      axes,
      channels,
      groups,
      epsilon,
      parameterAxes,
    ]);
  };
  return plain(a) === plain(b);
}

/** Operators that measure. What they measure of may be x, or made of it by a few of `LEADING`. */
const MEASURING = new Set(
  (
    "ReduceMean ReduceSum ReduceSumSquare ReduceL2 GlobalAveragePool LayerNormalization RMSNormalization GroupNormalization " +
    "InstanceNormalization BatchNormalization LpNormalization MeanVarianceNormalization SimplifiedLayerNormalization GroupNorm " +
    "Mean Sum FusedBatchNorm FusedBatchNormV2 FusedBatchNormV3"
  ).split(" "),
);

/** Operators that are a normalization by themselves. */
const OWN: ReadonlySet<string> = new Set(
  (
    "LayerNormalization RMSNormalization GroupNormalization InstanceNormalization BatchNormalization LpNormalization " +
    "MeanVarianceNormalization SimplifiedLayerNormalization SkipLayerNormalization SkipSimplifiedLayerNormalization GroupNorm " +
    "FusedBatchNorm FusedBatchNormV2 FusedBatchNormV3"
  ).split(" "),
);
const OF_INSTANCES = "InstanceNormalization";
/** Their gamma and beta are often ones and zeros, and the real ones follow. */
const WITH_PLACEHOLDERS =
  /^(InstanceNormalization|BatchNormalization|FusedBatchNorm(V[23])?|GroupNorm(alization)?)$/;
/** Operators that only hand on what they get, perhaps in another type. */
const PASSING = new Set(["Cast", "CastLike", "Identity", "Dropout", "StopGradient"]);
/** Operators between x and what is measured. */
const LEADING = new Set([
  ...PASSING,
  ..."Reshape Transpose Squeeze Unsqueeze ExpandDims Flatten Pow Square Mul Abs SquaredDifference Sub".split(
    " ",
  ),
]);
const MOST_LEADING = 6;
/** What is followed from one x. */
const MOST_NODES = 160;
const MOST_DEPTH = 40;
const MOST_CUTS = 6;

class Search {
  private readonly readers = new Map<string, Node[]>();
  private readonly producers = new Map<string, Node>();
  private readonly places = new Map<Node, number>();
  private readonly leaving: ReadonlySet<string>;

  constructor(
    private readonly graph: Graph,
    private readonly settled: Settled,
  ) {
    for (const [place, node] of graph.nodes.entries()) {
      this.places.set(node, place);
      for (const output of node.outputs) this.producers.set(output, node);
      for (const input of new Set(node.inputs)) {
        const known = this.readers.get(input);
        if (known) known.push(node);
        else this.readers.set(input, [node]);
      }
    }
    this.leaving = new Set([
      ...graph.outputs.map(({ name }) => name),
      ...graph.nodes.flatMap(({ attributes }) =>
        [...attributes.values()].flatMap(({ graphs }) => graphs.flatMap(readFromAround)),
      ),
    ]);
  }

  private place(node: Node): number {
    return this.places.get(node) as number;
  }

  norms(): Match[] {
    const starts = new Set<string>();
    for (const node of this.graph.nodes) {
      if (!MEASURING.has(node.operator)) continue;
      for (const start of this.before(node.inputs[0])) starts.add(start);
    }
    return this.chosen([...starts].flatMap((x) => this.from(x)));
  }

  /** A value, and those that it may be made of without being measured. */
  private before(value: string): string[] {
    const found = [value];
    for (let i = 0; i < MOST_LEADING; i++) {
      const producer = this.producers.get(found[i]);
      if (producer === undefined || !LEADING.has(producer.operator)) break;
      found.push(producer.inputs[0]);
    }
    return found;
  }

  /** All that one value becomes, in polynomials of it. */
  private from(x: string): Match[] {
    return this.followed(x, (algebra, values) => this.matches(x, algebra, values)) ?? [];
  }

  /** @returns undefined where x is nothing that can be followed */
  private followed<R>(
    x: string,
    use: (algebra: Algebra, values: ReadonlyMap<string, Expression>) => R,
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
        return use(algebra, this.values(x, algebra));
      } catch (error) {
        if (!(error instanceof Cut)) throw error;
        layout = cutAt(layout, error);
      }
    }
    return undefined;
  }

  private values(x: string, algebra: Algebra): Map<string, Expression> {
    const values = new Map([[x, algebra.x]]);
    const depths = new Map([[x, 0]]);
    const waiting = new Set(this.readers.get(x) ?? []);
    for (let count = 0; waiting.size > 0 && count < MOST_NODES; count++) {
      const node = [...waiting].reduce((a, b) => (this.place(a) < this.place(b) ? a : b));
      waiting.delete(node);
      const depth = 1 + Math.max(...node.inputs.map((input) => depths.get(input) ?? 0));
      if (depth > MOST_DEPTH) continue;
      const results = this.meaning(node, algebra, values) ?? [];
      for (const [i, output] of node.outputs.entries()) {
        if (output === "" || results[i] === undefined) continue;
        values.set(output, results[i]);
        depths.set(output, depth);
        for (const reader of this.readers.get(output) ?? []) waiting.add(reader);
      }
    }
    return values;
  }

  private meaning(
    node: Node,
    algebra: Algebra,
    values: ReadonlyMap<string, Expression>,
  ): readonly Expression[] | undefined {
    try {
      return meaningOf<Expression>({
        ops: algebra,
        node,
        inputs: node.inputs.map((input, i) => values.get(input) ?? this.asGiven(input, node, i, algebra)),
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
  private asGiven(name: string, node: Node, input: number, algebra: Algebra): Expression | undefined {
    if (name === "") return undefined;
    const shape = this.settled.shape(name);
    if (shape === undefined) return undefined;
    const data = this.settled.known(name)?.data;
    if (data !== undefined && data.length > 0) {
      const isPlaceholder = input > 0 && WITH_PLACEHOLDERS.test(node.operator) && [0, 1].includes(data[0]);
      if (data.length === 1 || (isPlaceholder && data.every((value) => value === data[0]))) {
        return Number.isFinite(data[0]) ? algebra.constant([data[0]], shape) : undefined;
      }
    }
    return algebra.given(name, shape);
  }

  /** Those of the values that are a normalization of x, the longest of each chain. */
  private matches(x: string, algebra: Algebra, values: ReadonlyMap<string, Expression>): Match[] {
    const ofWeight = this.settled.constant(x) !== undefined;
    const found: Match[] = [];
    for (const [y, value] of values) {
      if (y === x || !sameShape(value.shape, algebra.x.shape)) continue;
      if (String(value.axes.map(String)) !== String(algebra.x.axes.map(String))) continue;
      const nodes = this.between(x, y, values);
      const byInstance = nodes.some(({ operator }) => operator === OF_INSTANCES);
      const recognized = this.recognizing(algebra, value, { ofWeight, byInstance });
      if (
        recognized === undefined ||
        !this.isConstant(recognized.gamma, algebra) ||
        !this.isConstant(recognized.beta, algebra)
      )
        continue;
      found.push({
        ...{ x, y, nodes, recognized, algebra },
        isOperator: nodes.length === 1 && OWN.has(nodes[0].operator),
        ...this.statistics(x, nodes, values, algebra),
      });
    }
    return this.ends(found);
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
      matches.every(
        (other) =>
          !inner(other, match) ||
          (!this.leaving.has(other.y) &&
            (this.readers.get(other.y) ?? []).every((reader) => match.nodes.includes(reader))),
      );
    const whole = matches.filter(isWhole);
    return whole.filter((match) => !whole.some((other) => inner(match, other)));
  }

  /** Of what was found from several values, that which explains most; an operator of its own explains itself. */
  private chosen(matches: readonly Match[]): Match[] {
    const sorted = [...matches].sort((a, b) => b.nodes.length - a.nodes.length);
    const owns = sorted.filter(({ isOperator }) => isOperator);
    const taken = new Set<Node>();
    const chosen: Match[] = [];
    for (const match of sorted) {
      const last = this.producers.get(match.y) as Node;
      if (taken.has(last)) continue;
      const own = owns.find(({ nodes: [node] }) => match.nodes.includes(node));
      if (own !== undefined && own !== match && saysAsMuch(own, match)) continue;
      chosen.push(match);
      for (const node of match.nodes) taken.add(node);
    }
    return chosen.sort(
      (a, b) => this.place(this.producers.get(a.y) as Node) - this.place(this.producers.get(b.y) as Node),
    );
  }

  /** Whether a sum is of constants alone, which can be evaluated. */
  private isConstant(sum: Sum, algebra: Algebra): boolean {
    return [...sum.values()].every(({ powers }) =>
      powers.every(([number]) => {
        const atom = algebra.atomAt(number);
        return atom.kind === "given" && this.constants.has(atom.name);
      }),
    );
  }

  /** Values that are the same in every run. */
  private readonly constants = {
    known: new Map<string, boolean>(),
    has: (name: string): boolean => {
      const known = this.constants.known.get(name);
      if (known !== undefined) return known;
      // of a value that is asked for while it is looked up, which no graph should have
      this.constants.known.set(name, false);
      const node = this.producers.get(name);
      const has =
        this.settled.constant(name) !== undefined ||
        (node !== undefined &&
          node.inputs.length > 0 &&
          [...node.attributes.values()].every(({ graphs }) => graphs.length === 0) &&
          !/^Random|Multinomial|Bernoulli/.test(node.operator) &&
          node.inputs.every((input) => input === "" || this.constants.has(input)));
      this.constants.known.set(name, has);
      return has;
    },
  };

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

  async found(match: Match): Promise<Found> {
    const { algebra, recognized, nodes, x, y, isOperator, cancels, statisticsType, squared } = match;
    const { norm, axes, channels, groups, epsilon, gamma, beta, parameterAxes } = recognized;
    const shape = (this.settled.shape(x) as readonly number[]).map((length) =>
      this.settled.isOpen(length) ? Number.NaN : length,
    );
    const parameter = (sum: Sum) => this.parameter(sum, algebra, parameterAxes);
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
        cancels,
        statisticsType,
        squared,
      },
      dtype: this.settled.dtype(x),
      gamma: numberIn(gamma) === 1 ? undefined : await parameter(gamma),
      beta: beta.size === 0 ? undefined : await parameter(beta),
    };
  }

  /** The values of a sum of constants, at each place of these axes of x. */
  private async parameter(sum: Sum, algebra: Algebra, axes: readonly number[]): Promise<Parameter> {
    const segments = axes.flatMap((axis) => algebra.x.axes[axis]);
    const shape = axes.map((axis) => algebra.x.shape[axis]);
    const lengths = segments.map((segment) => algebra.lengthOf(segment));
    const size = lengths.reduce((a, b) => a * b, 1);
    const values = new Float64Array(size);
    const names = new Set<string>();
    for (const { factor, powers } of sum.values()) {
      const term = new Float64Array(size).fill(factor);
      for (const [number, exponent] of powers) {
        const atom = algebra.atomAt(number);
        if (atom.kind !== "given") throw new Error(`find: expected constants, got ${atom.kind}`);
        names.add(atom.name);
        const constant = (await evaluated(this.graph, [atom.name])).get(atom.name);
        if (constant === undefined) throw new Error(`find: expected that ${atom.name} can be evaluated`);
        const strides = stridesOf(atom.axes.flat(), segments, lengths, (one) => algebra.lengthOf(one));
        for (let i = 0; i < size; i++) term[i] *= constant.data[placeOf(i, lengths, strides)] ** exponent;
      }
      for (let i = 0; i < size; i++) values[i] += term[i];
    }
    const [only] = sum.values();
    const isItself =
      sum.size === 1 &&
      only.factor === 1 &&
      only.powers.length === 1 &&
      only.powers[0][1] === 1 &&
      names.size === 1;
    const [name] = names;
    const stored = isItself ? this.settled.constant(name) : undefined;
    const isWhole = stored !== undefined && stored.shape.reduce((a, b) => a * b, 1) === size;
    return { name: isWhole ? name : undefined, shape, values };
  }

  activations(): FoundActivation[] {
    const found = new Map<string, FoundActivation>();
    for (const node of this.graph.nodes) {
      if (!["Sigmoid", "Erf", "Tanh"].includes(node.operator)) continue;
      for (const x of this.inner(node)) {
        const nodes = this.followed(x, (algebra, values) => this.activation(x, algebra, values));
        for (const one of nodes ?? []) if (!found.has(one.y)) found.set(one.y, one);
      }
    }
    return [...found.values()];
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
    const half = algebra.mul(of, 0.5);
    const gelu = (inner: Expression) => algebra.mul(half, algebra.add(inner, 1)).sum;
    const cubed = algebra.add(of, algebra.mul(algebra.pow(of, 3), 0.044715));
    const kinds = {
      silu: algebra.mul(of, algebra.sigmoid(of)).sum,
      gelu: gelu(algebra.erf(algebra.mul(of, Math.SQRT1_2))),
      geluTanh: gelu(algebra.tanh(algebra.mul(cubed, Math.sqrt(2 / Math.PI)))),
    } as const;
    return [...values].flatMap(([y, value]) => {
      const kind = Object.entries(kinds).find(([, sum]) => isSameSum(sum, value.sum))?.[0];
      const nodes = kind === undefined ? [] : this.between(x, y, values);
      if (kind === undefined || PASSING.has(nodes.at(-1)?.operator ?? "")) return [];
      return [{ activation: kind as keyof typeof kinds, graph: this.graph, x, y, nodes }];
    });
  }
}

/** Whether an operator of its own is all that a larger find is, but for casts and changes of layout. */
function saysAsMuch(own: Match, whole: Match): boolean {
  const [a, b] = [own.recognized, whole.recognized];
  return (
    a.norm === b.norm &&
    numberIn(b.gamma) === numberIn(a.gamma) &&
    a.gamma.size === b.gamma.size &&
    a.beta.size === b.beta.size
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

/** Names that a graph within a node reads of the graphs around it. */
function readFromAround({ nodes, outputs, constants, inputs }: Graph): string[] {
  const own = new Set([
    ...constants.keys(),
    ...inputs.map(({ name }) => name),
    ...nodes.flatMap((node) => node.outputs),
  ]);
  const read = [
    ...nodes.flatMap((node) => [
      ...node.inputs,
      ...[...node.attributes.values()].flatMap(({ graphs }) => graphs.flatMap(readFromAround)),
    ]),
    ...outputs.map(({ name }) => name),
  ];
  return read.filter((name) => name !== "" && !own.has(name));
}
