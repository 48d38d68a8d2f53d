/** Where the values of a graph come from, and who reads them: through the graphs in each other. */
import type { Constant, Graph, Node } from "./graph.js";

const givers = new WeakMap<Graph, ReadonlyMap<string, Node>>();

/** The node that gives each value of a graph. */
export function giversOf(graph: Graph): ReadonlyMap<string, Node> {
  let all = givers.get(graph);
  if (all === undefined) {
    all = new Map(
      graph.nodes.flatMap((node) =>
        node.outputs.flatMap((output) => (output === "" ? [] : [[output, node] as const])),
      ),
    );
    givers.set(graph, all);
  }
  return all;
}

/** The constant or the node that gives a value, and the graph that it is in: this one, or one around it. Undefined of what comes from without. */
export function sourceOf(
  graph: Graph,
  name: string,
): { readonly source: Constant | Node; readonly graph: Graph } | undefined {
  for (let at: Graph | undefined = graph; at !== undefined; at = at.around) {
    const source = at.constants.get(name) ?? giversOf(at).get(name);
    if (source) return { source, graph: at };
    if (at.inputs.some((input) => input.name === name)) return undefined;
  }
  return undefined;
}

/** The constant that a graph knows by a name. */
export function constantOf(graph: Graph, name: string): Constant | undefined {
  const source = sourceOf(graph, name)?.source;
  return source && !("operator" in source) ? source : undefined;
}

/** What graphs in a node read of those around them. */
export function readWithin({ attributes }: Pick<Node, "attributes">): string[] {
  return [...attributes.values()].flatMap(({ graphs }) => graphs.flatMap(readFromAround));
}

function readFromAround({ nodes, outputs, constants, inputs }: Graph): string[] {
  const own = new Set([
    "",
    ...constants.keys(),
    ...inputs.map(({ name }) => name),
    ...nodes.flatMap((node) => node.outputs),
  ]);
  const read = nodes.flatMap((node) => [...node.inputs, ...readWithin(node)]);
  return [...read, ...outputs.map(({ name }) => name)].filter((name) => !own.has(name));
}
