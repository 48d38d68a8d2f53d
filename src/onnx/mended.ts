/** Which nodes and constants a model has after its mends: what is put in, and what nothing reads any more. */
import type { Graph, Mend, NewConstant, NewNode, Node } from "../checkpoints/graphs/graph.js";

/** A graph after mends. */
export interface MendedGraph {
  readonly removed: ReadonlySet<Node>;
  /** Nodes that are put in, by the node that they come after. */
  readonly added: ReadonlyMap<Node, readonly NewNode[]>;
  readonly constants: readonly NewConstant[];
  /** Names of constants without a node that nothing reads any more. */
  readonly dropped: ReadonlySet<string>;
  /** Names of values that are no more. */
  readonly gone: ReadonlySet<string>;
  /** Values of nodes that stay which now come of others: those keep them under a name that nothing reads. */
  readonly regiven: ReadonlySet<string>;
}

/** A value, by where it comes from. */
interface Value {
  readonly name: string;
  readonly graph: Graph;
  /** Inputs of nodes, and outputs of graphs. */
  readers: number;
  step?: Step;
}

/** A node that is there, with what it reads; of graphs in it, their nodes are steps too. */
interface Step {
  readonly node: Node;
  readonly graph: Graph;
  readonly reads: Value[];
  readonly gives: Value[];
  removed: boolean;
}

/**
 * Applies mends. Nodes that are replaced go unless something reads an output of theirs that no new node gives; so does what they alone
 * read. What nothing read before stays.
 *
 * @param graphs all of a model, those around others before them
 * @param kept values that stay, by graph
 * @param alsoRead values that a node reads besides its inputs
 * @throws RangeError for mends that do not fit the model, or each other
 */
export function mended(
  caller: string,
  graphs: readonly Graph[],
  mends: readonly Mend[],
  kept: ReadonlyMap<Graph, readonly string[]>,
  alsoRead: (node: Node) => readonly string[] = () => [],
): ReadonlyMap<Graph, MendedGraph> {
  const byGraph = new Map<Graph, Mend[]>(graphs.map((graph) => [graph, []]));
  for (const mend of mends) {
    const own = byGraph.get(mend.graph);
    if (own === undefined) throw unfit(caller, mend, "its graph is none of the model's");
    own.push(mend);
  }
  const values = new Map<Graph, Map<string, Value>>();
  const steps = new Map<Node, Step>();
  const put = (graph: Graph, name: string, step?: Step): Value => {
    const own = values.get(graph) as Map<string, Value>;
    const value = own.get(name) ?? { name, graph, readers: 0 };
    if (step) value.step = step;
    own.set(name, value);
    return value;
  };
  const resolved = (graph: Graph | undefined, name: string): Value | undefined => {
    for (let around = graph; around && name !== ""; around = around.around) {
      const value = values.get(around)?.get(name);
      if (value) return value;
    }
    return undefined;
  };
  const changed = new Map<Graph, ReturnType<typeof changesOf>>();
  for (const graph of graphs) {
    values.set(graph, new Map());
    for (const { name } of graph.inputs) put(graph, name);
    for (const name of graph.constants.keys()) put(graph, name);
    const changes = changesOf(caller, graph, byGraph.get(graph) ?? []);
    changed.set(graph, changes);
    for (const node of graph.nodes) {
      const step: Step = { node, graph, reads: [], gives: [], removed: false };
      steps.set(node, step);
      for (const output of node.outputs) {
        const mend = changes.given.get(output);
        if (output === "") continue;
        if (mend === undefined) step.gives.push(put(graph, output, step));
        else if (!changes.replaced.has(node)) throw unfit(caller, mend, `another node gives "${output}"`);
      }
    }
    for (const [name, mend] of changes.given) {
      if (resolved(graph, name)) throw unfit(caller, mend, `there is a value "${name}" already`);
      put(graph, name);
    }
  }
  const outputs = new Map<Graph, Value[]>();
  for (const graph of graphs) {
    const readBy = (names: readonly string[]): Value[] =>
      names.flatMap((name) => {
        const value = resolved(graph, name);
        if (value) value.readers++;
        return value ? [value] : [];
      });
    for (const node of graph.nodes) {
      (steps.get(node) as Step).reads.push(...readBy(node.inputs), ...readBy(alsoRead(node)));
    }
    for (const mend of byGraph.get(graph) ?? []) {
      for (const node of mend.nodes) {
        const unknown = node.inputs.find((name) => name !== "" && resolved(graph, name) === undefined);
        if (unknown !== undefined) throw unfit(caller, mend, `there is no value "${unknown}"`);
        readBy(node.inputs);
      }
    }
    outputs.set(graph, readBy(graph.outputs.map(({ name }) => name)));
    readBy(kept.get(graph) ?? []);
  }

  const dropped = new Map<Graph, Set<string>>(graphs.map((graph) => [graph, new Set()]));
  const waiting: Step[] = [...changed.values()].flatMap(({ replaced }) =>
    Array.from(replaced, (node) => steps.get(node) as Step),
  );
  const release = (value: Value): void => {
    value.readers--;
    if (value.readers > 0) return;
    if (value.step) waiting.push(value.step);
    else if (value.graph.constants.has(value.name)) dropped.get(value.graph)?.add(value.name);
  };
  /** A node goes, and what is in it. */
  const remove = (first: Step): void => {
    const all = [first];
    for (let step = all.pop(); step; step = all.pop()) {
      if (step.removed) continue;
      step.removed = true;
      for (const value of step.reads) release(value);
      for (const { graphs } of step.node.attributes.values()) {
        for (const inner of graphs) {
          for (const node of inner.nodes) all.push(steps.get(node) as Step);
          for (const value of outputs.get(inner) ?? []) release(value);
        }
      }
    }
  };
  for (let step = waiting.pop(); step; step = waiting.pop()) {
    if (!step.removed && step.gives.every(({ readers }) => readers === 0)) remove(step);
  }

  const result = new Map<Graph, MendedGraph>();
  for (const [graph, { added, given }] of changed) {
    const removed = new Set(graph.nodes.filter((node) => steps.get(node)?.removed));
    const constants = (byGraph.get(graph) ?? []).flatMap((mend) => mend.constants);
    const gone = new Set(dropped.get(graph));
    for (const node of removed) for (const output of node.outputs) if (!given.has(output)) gone.add(output);
    const regiven = new Set(
      graph.nodes
        .filter((node) => !removed.has(node))
        .flatMap((node) => node.outputs.filter((one) => given.has(one))),
    );
    result.set(graph, { removed, added, constants, dropped: dropped.get(graph) ?? new Set(), gone, regiven });
  }
  return result;
}

function unfit(caller: string, { title }: Mend, problem: string): RangeError {
  return new RangeError(`${caller}: "${title}" does not fit the model: ${problem}`);
}

/** What the mends of a graph take out and put in. */
function changesOf(caller: string, graph: Graph, mends: readonly Mend[]) {
  const own = new Set(mends.length > 0 ? graph.nodes : []);
  const replaced = new Map<Node, Mend>();
  const added = new Map<Node, readonly NewNode[]>();
  const given = new Map<string, Mend>();
  for (const mend of mends) {
    for (const node of mend.replaces) {
      if (!own.has(node)) throw unfit(caller, mend, `it replaces "${node.name}", which is not in its graph`);
      const other = replaced.get(node);
      if (other && other !== mend)
        throw unfit(caller, mend, `"${other.title}" replaces the node "${node.name || node.outputs[0]}" too`);
      replaced.set(node, mend);
    }
    if (!own.has(mend.at)) throw unfit(caller, mend, "it stands at a node that is not in its graph");
    added.set(mend.at, [...(added.get(mend.at) ?? []), ...mend.nodes]);
    const names = [
      ...mend.constants.map(({ name }) => name),
      ...mend.nodes.flatMap(({ outputs }) => outputs),
    ];
    for (const name of names) {
      if (name === "") continue;
      if (given.has(name)) throw unfit(caller, mend, `"${name}" is given twice`);
      given.set(name, mend);
    }
  }
  return { replaced: new Set(replaced.keys()), added, given };
}
