/** How the values of a graph are connected: who gives them, and who reads them. */
import type { Constant, Graph, Node } from "../checkpoints/graphs/graph.js";
import { constantOf, giversOf, readWithin } from "../checkpoints/graphs/values.js";

const wirings = new WeakMap<Graph, Wiring>();

export class Wiring {
  private readonly consumers = new Map<string, Set<Node>>();
  private readonly positions = new Map<Node, number>();
  private readonly outputs: ReadonlySet<string>;

  private constructor(readonly graph: Graph) {
    this.outputs = new Set(graph.outputs.map(({ name }) => name));
    for (const [position, node] of graph.nodes.entries()) {
      this.positions.set(node, position);
      for (const name of [...node.inputs, ...readWithin(node)]) {
        if (name === "") continue;
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
    return giversOf(this.graph).get(name);
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
    return constantOf(this.graph, name);
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
