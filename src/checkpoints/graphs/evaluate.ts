/** Values of a graph that depend on constants alone, and on what is given, in float64. */
import type { Values64 } from "../../formula/eager.js";
import { narrow } from "../../kernels/host-loops.js";
import { sizeOf } from "../../shape.js";
import { computed } from "./exact.js";
import { type Constant, callKey, type Graph, type Node } from "./graph.js";
import { bound, float64Of, sketchOf } from "./known.js";
import { unknown, unlessUnknown } from "./operators.js";
import { type Settled, settle } from "./shapes.js";
import { typesOf } from "./types.js";
import { sourceOf } from "./values.js";

export interface EvaluateOptions {
  /** Values that are there already, such as the input of a normalization as it was measured. */
  readonly given?: ReadonlyMap<string, Values64>;
  /** Elements that are held at once, at most. Default 2²⁶, of 8 bytes each. */
  readonly most?: number;
  /**
   * Rounds what each node gives to its type, as a machine does that computes in that type: what overflows there is infinite. Default false:
   * nothing is rounded.
   */
  readonly rounded?: boolean;
}

/** Of the types that values are rounded to. */
const ROUNDINGS: Readonly<Record<string, (value: number) => number>> = { ...narrow, float32: Math.fround };

/** Functions within functions. */
const MOST_DEEP = 16;

/**
 * These values, in float64 throughout: casts among reals do not round, so that it is what the graph would give, were it exact. What
 * depends on inputs that are not given, on operators that are not understood, or on more than `most` elements is missing.
 */
export async function evaluated(
  graph: Graph,
  names: readonly string[],
  { given = new Map(), most = 2 ** 26, rounded = false }: EvaluateOptions = {},
): Promise<Map<string, Values64>> {
  const types = rounded ? await settle(graph, 0) : undefined;
  const values = await new Evaluation(graph, given, { most, left: most }, 0, types).run(names);
  return new Map(
    names.flatMap((name) => [values.get(name)].flatMap((one) => (one ? [[name, one] as const] : []))),
  );
}

/** Elements that may be held yet. */
interface Room {
  readonly most: number;
  left: number;
}

/** Nodes and constants that a value is made of, in order. */
interface Plan {
  readonly steps: readonly (Node | Constant)[];
  /** How often each value is read. */
  readonly reads: Map<string, number>;
}

class Evaluation {
  private readonly values = new Map<string, Values64>();
  private readonly dtypes = new Map<string, string | undefined>();

  constructor(
    private readonly graph: Graph,
    private readonly given: ReadonlyMap<string, Values64>,
    private readonly room: Room,
    private readonly deep: number,
    /** Where values are rounded to their types. */
    private readonly types?: Settled,
  ) {}

  async run(names: readonly string[]): Promise<ReadonlyMap<string, Values64>> {
    for (const [name, value] of this.given) {
      this.values.set(name, value);
      if (this.types) this.dtypes.set(name, this.types.dtype(name));
    }
    const { steps, reads } = this.plan(names);
    for (const name of names) reads.set(name, Number.POSITIVE_INFINITY);
    for (const step of steps) {
      if (!("operator" in step)) {
        await this.constant(step);
        continue;
      }
      await this.node(step);
      for (const name of step.inputs) {
        const left = (reads.get(name) ?? 0) - 1;
        reads.set(name, left);
        if (left === 0 && !this.given.has(name)) this.release(name);
      }
    }
    return this.values;
  }

  private plan(names: readonly string[]): Plan {
    const steps: (Node | Constant)[] = [];
    const reads = new Map<string, number>();
    const seen = new Set<string | Node>(this.given.keys());
    // a node stands below what it reads, and is taken when that is done
    const stack: (string | Node)[] = names.toReversed();
    while (stack.length > 0) {
      const top = stack.pop() as string | Node;
      if (typeof top !== "string") {
        steps.push(top);
        continue;
      }
      if (top === "" || seen.has(top)) continue;
      seen.add(top);
      const source = sourceOf(this.graph, top)?.source;
      if (source === undefined || seen.has(source as Node)) continue;
      if (!("operator" in source)) {
        steps.push(source);
        continue;
      }
      seen.add(source);
      stack.push(source, ...source.inputs);
      for (const input of source.inputs) reads.set(input, (reads.get(input) ?? 0) + 1);
    }
    return { steps, reads };
  }

  private hold(name: string, value: Values64, dtype: string | undefined): void {
    const round = this.types && ROUNDINGS[dtype ?? ""];
    this.values.set(name, round ? { shape: value.shape, data: value.data.map(round) } : value);
    this.dtypes.set(name, dtype);
    this.room.left -= value.data.length;
  }

  private release(name: string): void {
    this.room.left += this.values.get(name)?.data.length ?? 0;
    this.values.delete(name);
  }

  private async constant(constant: Constant): Promise<void> {
    const { name, shape, dtype } = constant;
    if (sizeOf(shape) > this.room.left) return;
    const data = await float64Of(constant);
    if (data) this.hold(name, { shape, data }, dtype);
  }

  private async node(node: Node): Promise<void> {
    const inputs = node.inputs.map((name) => this.values.get(name));
    const dtype = (input: number) => this.dtypes.get(node.inputs[input] ?? "");
    const called = this.graph.functions.get(callKey(node));
    if (called) {
      if (this.deep >= MOST_DEEP) return;
      const nodes = called.graph.nodes.map((one) => bound(one, node, called.defaults));
      const given = new Map(
        called.inputs.flatMap((name, i) => [inputs[i]].flatMap((one) => (one ? [[name, one] as const] : []))),
      );
      const body = new Evaluation({ ...called.graph, nodes }, given, this.room, this.deep + 1, this.types);
      const results = await body.run(called.outputs);
      node.outputs.forEach((name, i) => {
        const value = results.get(called.outputs[i]);
        if (value) this.hold(name, value, body.dtypes.get(called.outputs[i]));
      });
      return;
    }
    const settings = new Map<string, Float64Array | undefined>();
    for (const [name, { constant }] of node.attributes) {
      if (constant && sizeOf(constant.shape) <= this.room.left) settings.set(name, await float64Of(constant));
    }
    const setting = (name: string) => settings.get(name);
    const entries = inputs.map((sketch, input) => ({ sketch, dtype: dtype(input) }));
    const shapes = sketchOf(node, entries, setting, unknown);
    if (shapes === undefined) return;
    const size = shapes.reduce((total, { shape }) => total + sizeOf(shape), 0);
    if (!(size <= this.room.left)) return;
    const results = unlessUnknown(() => computed(node, inputs, { dtype, setting }));
    const types = typesOf(node, dtype);
    results?.forEach((value, i) => {
      const name = node.outputs[i] ?? "";
      if (name !== "") this.hold(name, value, types[i]);
    });
  }
}
