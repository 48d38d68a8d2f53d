/** A graph's nodes and values as the finder looks at them: who reads and who gives a value, and what is the same in every run. */
import type { Algebra, Expression, Sum } from "./algebra.js";
import type { Graph, Node } from "./graph.js";
import type { Settled } from "./shapes.js";
import { readWithin } from "./values.js";

/** Operators that only hand on what they get, perhaps in another type. */
export const PASSING = new Set(["Cast", "CastLike", "Identity", "Dropout", "StopGradient"]);
/** Operators that move values. */
export const LAYOUT = new Set(
  "Reshape Transpose Squeeze Unsqueeze ExpandDims Flatten Identity Dropout StopGradient".split(" "),
);
const ROOTS = new Set("Sqrt Rsqrt Pow".split(" "));
const RANDOM = /Random|Multinomial|Bernoulli/;

export class Surroundings {
  readonly readers = new Map<string, Node[]>();
  readonly producers = new Map<string, Node>();
  private readonly places = new Map<Node, number>();
  /** Values that are read from without: outputs, and what graphs within nodes read. */
  readonly leaving: ReadonlySet<string>;
  /** What nodes compute of constants alone. */
  readonly fixed = new Set<string>();
  /** Those of them that roots are in. */
  readonly roots = new Set<string>();
  constructor(
    readonly graph: Graph,
    readonly settled: Settled,
  ) {
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
  isFixed(name: string): boolean {
    if (this.fixed.has(name) || this.settled.constant(name) !== undefined) return true;
    // what is computed of shapes, of lengths that are said
    const data = this.settled.known(name)?.data;
    return data?.every((value) => !this.settled.isOpen(value)) ?? false;
  }

  place(node: Node): number {
    return this.places.get(node) as number;
  }

  /** Whether a sum is of constants alone, which can be evaluated. */
  isConstant(sum: Sum, algebra: Algebra): boolean {
    return [...sum.values()].every(({ powers }) =>
      powers.every(([number]) => {
        const atom = algebra.atomAt(number);
        return atom.kind === "root"
          ? this.isConstant(atom.of, algebra)
          : atom.kind === "given" && this.isFixed(atom.name);
      }),
    );
  }

  /** The nodes that y is computed by from x, in the graph's order. */
  between(x: string, y: string, values: ReadonlyMap<string, Expression>): Node[] {
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

  /** Lengths, NaN where they are open. */
  open(shape: readonly number[]): number[] {
    return shape.map((length) => (this.settled.isOpen(length) ? Number.NaN : length));
  }
}
