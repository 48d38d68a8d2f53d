/** A mend as it is written: nodes that read one another, with the names, casts and constants that they need. */
import type { Float, Integer, Mend, NewConstant, NewNode, Node } from "../checkpoints/graphs/graph.js";
import { dtypes } from "../checkpoints/tensors.js";
import { encodedTensors } from "../checkpoints/written.js";
import { sizeOf } from "../shape.js";
import { elementType } from "./messages.js";
import type { Names } from "./names.js";
import type { Wiring } from "./wiring.js";

/** What a mend is written for. */
export interface Place {
  readonly wiring: Wiring;
  readonly names: Names;
  /** The version of ONNX's operators that may be used. */
  readonly version: number;
  /** What the model must import for it, where that is more than it does. */
  readonly raised: boolean;
  readonly isForOnnxRuntime: boolean;
  /** Operators of com.microsoft that may be used. */
  readonly microsoft: ReadonlySet<string>;
}

export const MICROSOFT = "com.microsoft";

export type FloatType = "float32" | "float16" | "bfloat16";

export class Draft {
  private nodes: NewNode[] = [];
  private readonly constants: NewConstant[] = [];
  private readonly opsets: Record<string, number> = {};
  private readonly called = new Map<string, string>();

  /** @param base what new names begin with */
  constructor(
    readonly place: Place,
    private readonly base: string,
  ) {
    if (place.raised) this.opsets[""] = place.version;
  }

  /** A node of one output, whose name this gives. An input "" is left out. */
  node(
    operator: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, Integer | Float | string>> = {},
    domain = "",
  ): string {
    const name = this.place.names.fresh(`${this.base}/${operator}`);
    if (domain !== "") this.opsets[domain] = 1;
    this.nodes.push({ name, operator, domain, inputs, outputs: [name], attributes });
    return name;
  }

  /** What the last node gives beside its output, as its output `index`. */
  alsoGives(index: number, name: string): void {
    const node = this.nodes[this.nodes.length - 1];
    const outputs = Array.from({ length: Math.max(index + 1, node.outputs.length) }, (_, i) =>
      i === index ? name : (node.outputs[i] ?? ""),
    );
    this.nodes[this.nodes.length - 1] = { ...node, outputs };
  }

  /** A new constant; its name. */
  constant(what: string, constant: Omit<NewConstant, "name">): string {
    const name = this.place.names.fresh(`${this.base}/${what}`);
    this.constants.push({ ...constant, name });
    return name;
  }

  integers(what: string, values: readonly number[]): string {
    return this.constant(what, { shape: [values.length], dtype: "int64", values });
  }

  filled(what: string, shape: readonly number[], dtype: FloatType, value: number): string {
    return this.constant(what, { shape, dtype, values: new Float64Array(sizeOf(shape)).fill(value) });
  }

  cast(value: string, from: string, to: string): string {
    return from === to ? value : this.node("Cast", [value], { to: { integer: elementType(to) } });
  }

  /** Its axes in another order; of what was just transposed, both in one. */
  transposed(value: string, order: readonly number[]): string {
    const last = this.nodes.at(-1);
    if (last?.operator === "Transpose" && last.outputs[0] === value) {
      const { integer } = last.attributes.perm as { integer: readonly number[] };
      this.nodes.pop();
      return this.transposed(
        last.inputs[0],
        order.map((axis) => integer[axis]),
      );
    }
    return order.every((axis, i) => axis === i)
      ? value
      : this.node("Transpose", [value], { perm: { integer: order } });
  }

  /** The mean over these axes, which remain with length 1. */
  mean(value: string, axes: readonly number[]): string {
    return this.place.version < 18
      ? this.node("ReduceMean", [value], { axes: { integer: axes }, keepdims: { integer: 1 } })
      : this.node("ReduceMean", [value, this.integers("axes", axes)], { keepdims: { integer: 1 } });
  }

  /** Gives a value under the name that others read it by. */
  gives(value: string, name: string): void {
    const isNew =
      this.nodes.some(({ outputs }) => outputs.includes(value)) ||
      // a graph's output is better a node's
      (!this.place.wiring.isOutput(name) && this.constants.some((constant) => constant.name === value));
    if (isNew) this.called.set(value, name);
    else this.called.set(this.node("Identity", [value]), name);
  }

  /**
   * The mend.
   * @param nodes that it stands for, as far as nothing else needs them
   * @returns undefined where there is no place for it
   */
  mend(title: (count: number) => string, nodes: readonly Node[]): Mend | undefined {
    const { wiring } = this.place;
    const renamed = this.nodes.map((node) => ({
      ...node,
      inputs: node.inputs.map((name) => this.called.get(name) ?? name),
      outputs: node.outputs.map((name) => this.called.get(name) ?? name),
    }));
    const constants = this.constants.map((one) => ({ ...one, name: this.called.get(one.name) ?? one.name }));
    const given = new Set([
      ...renamed.flatMap(({ outputs }) => outputs),
      ...constants.map(({ name }) => name),
    ]);
    // the writer leaves out constants that nothing reads
    const computing = nodes.filter(({ operator }) => operator !== "Constant");
    const reads = renamed.flatMap(({ inputs }) => inputs).filter((name) => name !== "" && !given.has(name));
    const replaces = wiring.unneeded(computing, { given, reads });
    const outputs = replaces
      .flatMap((node) => node.outputs)
      .filter(
        (name) =>
          name !== "" &&
          (wiring.isOutput(name) || [...wiring.readers(name)].some((reader) => !replaces.includes(reader))),
      );
    if (outputs.length === 0 || !outputs.every((name) => given.has(name))) return undefined;
    const at = wiring.place(replaces, reads, outputs);
    if (at === undefined) return undefined;
    return {
      title: title(replaces.length),
      graph: wiring.graph,
      replaces,
      nodes: renamed,
      at,
      constants,
      opsets: this.opsets,
      outputs,
    };
  }
}

/** "9 nodes", "1 node". */
export function counted(count: number): string {
  return `${count} ${count === 1 ? "node" : "nodes"}`;
}

/** Whether a type has each of these values. */
export function isExact(values: Float64Array, dtype: FloatType): boolean {
  const [{ bytes }] = encodedTensors("isExact", [["", { shape: [values.length], dtype, data: values }]]);
  const decoded = dtypes[dtype].decode(bytes);
  return values.every((value, i) => Object.is(value, Number(decoded[i])));
}

export function isCast({ operator, domain }: Pick<Node, "operator" | "domain">): boolean {
  return domain === "" && (operator === "Cast" || operator === "CastLike");
}
