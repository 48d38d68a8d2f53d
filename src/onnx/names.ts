/** Names for what is put into a model, and for files beside it. */
import type { Graph, Mend } from "../checkpoints/graphs/graph.js";

/** Gives names that no value and no node of a model has, and none that its mends put in. */
export class Names {
  private readonly taken = new Set<string>();

  constructor(graphs: readonly Graph[], mends: readonly Mend[] = []) {
    const take = ({
      name,
      inputs,
      outputs,
    }: {
      name: string;
      inputs: readonly string[];
      outputs: readonly string[];
    }) => {
      for (const one of [name, ...inputs, ...outputs]) this.taken.add(one);
    };
    for (const { constants, values, inputs, outputs, nodes } of graphs) {
      for (const name of [...constants.keys(), ...values.keys()]) this.taken.add(name);
      for (const { name } of [...inputs, ...outputs]) this.taken.add(name);
      for (const node of nodes) take(node);
    }
    for (const { nodes, constants } of mends) {
      for (const { name } of constants) this.taken.add(name);
      for (const node of nodes) take(node);
    }
  }

  /** The name, with a number where it is taken. */
  fresh(wanted: string): string {
    let name = wanted;
    for (let i = 2; this.taken.has(name); i++) name = `${wanted}_${i}`;
    this.taken.add(name);
    return name;
  }
}

/** The first of these names that no file has which a model reads: whatever folder it says, and in whichever case. */
export function unusedFile(read: Iterable<string>, nameOf: (count: number) => string): string {
  const plain = (path: string) => path.replace(/^.*[/\\]/s, "").toLowerCase();
  const taken = new Set(Array.from(read, plain));
  for (let count = 0; ; count++) {
    const name = nameOf(count);
    if (!taken.has(plain(name))) return name;
  }
}
