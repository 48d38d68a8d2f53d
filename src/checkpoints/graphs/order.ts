/** Nodes in an order in which they can be computed. */
import type { Node } from "./graph.js";

/**
 * Each after what it reads, else as they are: those of most files stay. Where they go round, as in TensorFlow's old loops, the circle is
 * cut at the node that comes first.
 * @param alsoRead values that a node reads besides its inputs
 */
export function inOrder<N extends Pick<Node, "inputs" | "outputs">>(
  nodes: readonly N[],
  alsoRead: (node: N) => readonly string[] = () => [],
): N[] {
  const producers = new Map<string, N>();
  for (const node of nodes) for (const output of node.outputs) if (output !== "") producers.set(output, node);
  const ordered = new Set<N>();
  const open = new Set<N>();
  for (const first of nodes) {
    const path: { node: N; reads: readonly string[]; next: number }[] = [];
    const enter = (node: N): void => {
      if (ordered.has(node) || open.has(node)) return;
      open.add(node);
      path.push({ node, reads: [...node.inputs, ...alsoRead(node)], next: 0 });
    };
    enter(first);
    for (let step = path.at(-1); step; step = path.at(-1)) {
      if (step.next < step.reads.length) {
        const producer = producers.get(step.reads[step.next++]);
        if (producer) enter(producer);
        continue;
      }
      ordered.add(step.node);
      open.delete(step.node);
      path.pop();
    }
  }
  return [...ordered];
}
