/** How the values of a graph are connected: who gives them, and who reads them. */
import type { Constant, Graph, Node } from "../checkpoints/graphs/graph.js";

const wirings = new WeakMap<Graph, Wiring>();

export class Wiring {
  private readonly producers = new Map<string, Node>();
  private readonly consumers = new Map<string, Set<Node>>();
  private readonly positions = new Map<Node, number>();
  private readonly outputs: ReadonlySet<string>;
  private readonly inputs: ReadonlySet<string>;

  private constructor(readonly graph: Graph) {
    this.outputs = new Set(graph.outputs.map(({ name }) => name));
    this.inputs = new Set(graph.inputs.map(({ name }) => name));
    for (const [position, node] of graph.nodes.entries()) {
      this.positions.set(node, position);
      for (const output of node.outputs) if (output !== "") this.producers.set(output, node);
      for (const name of namesReadBy(node)) {
        const known = this.consumers.get(name);
        if (known) known.add(node);
        else this.consumers.set(name, new Set([node]));
      }
    }
  }

  static of(graph: Graph): Wiring {
    const known = wirings.get(graph);
    if (known) return known;
    const wiring = new Wiring(graph);
    wirings.set(graph, wiring);
    return wiring;
  }

  producer(name: string): Node | undefined {
    return this.producers.get(name);
  }

  /** Nodes that read a value, themselves or by a graph that is in them. */
  readers(name: string): ReadonlySet<Node> {
    return this.consumers.get(name) ?? new Set();
  }

  isOutput(name: string): boolean {
    return this.outputs.has(name);
  }

  /** A constant that this graph may read: its own, or one of the graphs around it. */
  constant(name: string): Constant | undefined {
    for (let graph: Graph | undefined = this.graph; graph; graph = graph.around) {
      const own = graph.constants.get(name);
      if (own) return own;
      const wiring = Wiring.of(graph);
      if (wiring.producers.has(name) || wiring.inputs.has(name)) return undefined;
    }
    return undefined;
  }

  /** Of these nodes, those that nothing needs once others give `given` and read `reads`. */
  unneeded(
    nodes: readonly Node[],
    { given, reads }: { readonly given: ReadonlySet<string>; readonly reads: readonly string[] },
  ): Node[] {
    const left = new Set(nodes);
    const isNeeded = (output: string): boolean => {
      if (output === "" || given.has(output)) return false;
      const isRead = reads.includes(output) || this.isOutput(output);
      return isRead || [...this.readers(output)].some((reader) => !left.has(reader));
    };
    const ordered = [...left].sort((a, b) => this.positionOf(b) - this.positionOf(a));
    for (const node of ordered) if (node.outputs.some(isNeeded)) left.delete(node);
    return nodes.filter((node) => left.has(node));
  }

  /**
   * Which of these nodes the new ones can stand for: after all that they read, before all that read what they give. Undefined where there
   * is no such place.
   */
  place(replaced: readonly Node[], reads: Iterable<string>, gives: readonly string[]): Node | undefined {
    let first = -1;
    for (const name of reads) {
      const producer = this.producer(name);
      if (producer) first = Math.max(first, this.positionOf(producer));
    }
    let last = Number.POSITIVE_INFINITY;
    for (const name of gives) {
      for (const reader of this.readers(name)) {
        if (!replaced.includes(reader)) last = Math.min(last, this.positionOf(reader));
      }
    }
    return replaced.find((node) => this.positionOf(node) > first && this.positionOf(node) < last);
  }

  private positionOf(node: Node): number {
    return this.positions.get(node) ?? -1;
  }
}

/** Names that a node reads, those of graphs in it too: more, rather than one too few. */
function namesReadBy(node: Node, names = new Set<string>()): Set<string> {
  for (const input of node.inputs) if (input !== "") names.add(input);
  for (const { graphs } of node.attributes.values()) {
    for (const graph of graphs) {
      for (const inner of graph.nodes) namesReadBy(inner, names);
      for (const { name } of graph.outputs) names.add(name);
    }
  }
  return names;
}

/** Gives names that no value and no node of a model has. */
export class Names {
  private readonly taken = new Set<string>();

  constructor(graphs: readonly Graph[]) {
    for (const graph of graphs) {
      for (const name of graph.constants.keys()) this.taken.add(name);
      for (const name of graph.values.keys()) this.taken.add(name);
      for (const { name } of [...graph.inputs, ...graph.outputs]) this.taken.add(name);
      for (const { name, inputs, outputs } of graph.nodes) {
        for (const one of [name, ...inputs, ...outputs]) this.taken.add(one);
      }
    }
  }

  fresh(wanted: string): string {
    let name = wanted;
    for (let i = 2; this.taken.has(name); i++) name = `${wanted}_${i}`;
    this.taken.add(name);
    return name;
  }
}
