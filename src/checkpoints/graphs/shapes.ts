/**
 * What is known of a graph's values before it runs: shapes, types, and values that are computed of constants and of shapes.
 *
 * Lengths that the file leaves open have stand-ins: large numbers, so that what is computed of them (halves, windows, products) can be
 * told from what is not, and of two kinds, since what holds with both holds for any.
 */
import type { Values64 } from "../../formula/eager.js";
import { sizeOf } from "../../shape.js";
import { computed } from "./exact.js";
import { type Callable, type Constant, callKey, type Graph, type Node, type ValueInfo } from "./graph.js";
import { bound, type Entry, float64Of, sketchOf } from "./known.js";
import { filled, fillOf, MOST_KNOWN, type Sketch } from "./sketches.js";
import { typesOf } from "./types.js";
import { sourceOf } from "./values.js";

/** Which of two stand-ins a length has that the file leaves open. */
export type Stand = 0 | 1;

/** What is known of a graph's values. Names are those that its nodes may read, of graphs around it too. */
export interface Settled {
  shape(name: string): readonly number[] | undefined;
  dtype(name: string): string | undefined;
  /**
   * A value that is known before the network runs, in float64, of at most 4096 elements: constants, and what is computed of them and of
   * shapes. Casts among reals do not round.
   */
  known(name: string): Values64 | undefined;
  /** The one value that all elements are, however many. */
  uniform(name: string): number | undefined;
  /** The constant that a name stands for, through Identity. */
  constant(name: string): Constant | undefined;
  /** Whether a length, or a known value, is a stand-in, or computed of one. */
  isOpen(length: number): boolean;
}

/** Nodes that are looked at, those of functions once for each call. */
const MOST_VISITS = 200_000;
/** What a call of a function counts. */
const CALL = 50;
/** Graphs within graphs, and functions within functions. */
const MOST_DEEP = 24;
/** Elements that are computed in all; beyond, only of values of a few. */
const MOST_WORK = 2 ** 24;
const FEW = 64;
/** One after the other; hostile ones go round. */
const MOST_IDENTITIES = 100;

/** Place by place, and of all places alike where operands are the same everywhere. */
const LOGICAL = /^(Not)?Equal$|^(Greater|Less)(OrEqual|Equal)?$|^(Logical)?(And|Or|Not)$/;

/** Those below 2048, so that one is known to be prime up to 2²². */
const PRIMES: readonly number[] = Array.from({ length: 2046 }, (_, i) => i + 2).filter((n, _, all) =>
  all.every((divisor) => divisor * divisor > n || n % divisor !== 0),
);

/** Values by name; those of graphs around it too. */
class Scope {
  readonly entries = new Map<string, Entry>();

  constructor(
    readonly graph: Graph,
    readonly around?: Scope,
    /** Of names of open lengths: a function's are its own in each call. */
    readonly prefix: string = around?.prefix ?? "",
  ) {}

  get(name: string): Entry | undefined {
    let scope: Scope | undefined = this;
    while (scope !== undefined) {
      const found = scope.entries.get(name);
      if (found !== undefined) return found;
      scope = scope.around;
    }
    return undefined;
  }
}

/** Both stands of a model's graphs. */
interface Both {
  readonly scopes: readonly [ReadonlyMap<Graph, Scope>, ReadonlyMap<Graph, Scope>];
  readonly open: readonly [ReadonlySet<number>, ReadonlySet<number>];
}

const settled = new WeakMap<Graph, Promise<Both>>();

/**
 * What is known of a graph's values, whichever they are; never a guess. Those of a branch or body are known by the graph around it; those
 * of a function by the calls of it, if the graph that calls it was settled before, or is about to be.
 */
export async function settle(graph: Graph, stand: Stand): Promise<Settled> {
  let root = graph;
  for (let deep = 0; root.around !== undefined && deep < MOST_DEEP; deep++) root = root.around;
  let running = settled.get(graph) ?? settled.get(root);
  if (running === undefined) {
    running = settleBoth(root);
    settled.set(root, running);
    // functions are of the lengths that they are called with
    const called = [...root.functions.values()].map((callable) => callable.graph);
    for (const one of called.includes(root) ? [] : called) if (!settled.has(one)) settled.set(one, running);
  }
  if (!(await running).scopes[stand].has(graph) && root === graph) {
    running = settleBoth(graph);
    settled.set(graph, running);
  }
  const { scopes, open } = await running;
  for (const one of scopes[stand].keys()) if (!settled.has(one)) settled.set(one, running);
  const scope = scopes[stand].get(graph);
  return {
    shape: (name) => scope?.get(name)?.sketch?.shape,
    dtype: (name) => scope?.get(name)?.dtype,
    known: (name) => {
      const sketch = scope?.get(name)?.sketch;
      return sketch?.data && { shape: sketch.shape, data: sketch.data };
    },
    uniform: (name) => {
      const sketch = scope?.get(name)?.sketch;
      return sketch && fillOf(sketch);
    },
    constant: (name) => constantBehind(graph, name),
    isOpen: (length) => open[stand].has(length),
  };
}

/** The constant that a name stands for, through Identity and in graphs around. */
function constantBehind(graph: Graph, name: string): Constant | undefined {
  let found = sourceOf(graph, name);
  for (let steps = 0; found !== undefined && steps < MOST_IDENTITIES; steps++) {
    const { source } = found;
    if (!("operator" in source)) return source;
    if (source.operator !== "Identity" || source.domain !== "" || source.inputs.length !== 1)
      return undefined;
    found = sourceOf(found.graph, source.inputs[0]);
  }
  return undefined;
}

async function settleBoth(root: Graph): Promise<Both> {
  const values = await smallConstants(root);
  const runs = [0, 1].map((stand) => {
    const settling = new Settling(values, stand as Stand);
    settling.run(new Scope(root), 0);
    return settling;
  });
  const open = [new Set<number>(), new Set<number>()] as const;
  const compare = (one: ArrayLike<number> | undefined, other: ArrayLike<number> | undefined) => {
    if (one === undefined || other === undefined || one === other || one.length !== other.length) return;
    for (let i = 0; i < one.length; i++) {
      if (Object.is(one[i], other[i])) continue;
      open[0].add(one[i]);
      open[1].add(other[i]);
    }
  };
  for (const [graph, first] of runs[0].scopes) {
    const second = runs[1].scopes.get(graph);
    for (const [name, { sketch }] of first.entries) {
      const other = second?.entries.get(name)?.sketch;
      compare(sketch?.shape, other?.shape);
      compare(sketch?.data, other?.data);
      if (sketch?.fill !== undefined && other?.fill !== undefined) compare([sketch.fill], [other.fill]);
    }
  }
  return { scopes: [runs[0].scopes, runs[1].scopes], open };
}

/** Constants of few elements, in float64, of a graph and of those within it. */
async function smallConstants(root: Graph): Promise<ReadonlyMap<Constant, Float64Array>> {
  const values = new Map<Constant, Float64Array>();
  let left = MOST_WORK;
  for (const graph of graphsOf(root)) {
    const all = [...graph.constants.values()];
    for (const node of graph.nodes)
      for (const { constant } of node.attributes.values()) constant && all.push(constant);
    for (const constant of all) {
      const size = sizeOf(constant.shape);
      if (values.has(constant) || size > MOST_KNOWN || (size > FEW && size > left)) continue;
      left -= size;
      const data = await float64Of(constant);
      if (data) values.set(constant, data);
    }
  }
  return values;
}

/** A graph, those within its nodes, and its functions', each once. */
function graphsOf(root: Graph): ReadonlySet<Graph> {
  const all = new Set<Graph>([root]);
  for (const graph of all) {
    for (const node of graph.nodes) {
      for (const { graphs } of node.attributes.values()) for (const inner of graphs) all.add(inner);
    }
    for (const { graph: body } of graph.functions.values()) all.add(body);
  }
  return all;
}

/** One run over a model, with one kind of stand-in. */
class Settling {
  readonly scopes = new Map<Graph, Scope>();
  private readonly stands = new Map<string, number>();
  private visits = 0;
  private work = 0;
  private prime = 4999;

  constructor(
    private readonly values: ReadonlyMap<Constant, Float64Array>,
    private readonly stand: Stand,
  ) {}

  /** The stand-in of an open length, which are the same for the same key. */
  private open(key: string): number {
    let found = this.stands.get(key);
    if (found === undefined) {
      const pair = [this.nextPrime(), this.nextPrime()];
      found = 64 * pair[this.stand];
      this.stands.set(key, found);
    }
    return found;
  }

  private nextPrime(): number {
    do this.prime += 2;
    while (!isPrime(this.prime));
    return this.prime;
  }

  /** What the file itself says of a value. */
  private stated(info: ValueInfo | undefined, { prefix }: Scope): Entry | undefined {
    if (info === undefined) return undefined;
    const shape = info.shape?.map((length, axis) => {
      if (typeof length === "number") return length;
      return this.open(`${prefix}${length === "" ? `${axis} of ${info.name}` : `named ${length}`}`);
    });
    return { sketch: shape && { shape }, dtype: info.dtype };
  }

  /** All values of a graph, of which the inputs that are known are there already. */
  run(scope: Scope, deep: number): void {
    const { graph } = scope;
    this.scopes.set(graph, scope);
    for (const info of graph.inputs) {
      if (!scope.entries.has(info.name)) scope.entries.set(info.name, this.stated(info, scope) ?? {});
    }
    for (const constant of graph.constants.values()) {
      const { shape, dtype, name } = constant;
      const data = this.values.get(constant);
      scope.entries.set(name, { sketch: data ? { shape, data } : { shape }, dtype });
    }
    const outputs = new Map(graph.outputs.map((info) => [info.name, info]));
    for (const node of graph.nodes) {
      const entries = ++this.visits > MOST_VISITS || deep > MOST_DEEP ? [] : this.node(node, scope, deep);
      node.outputs.forEach((name, i) => {
        // inputs and constants may be nodes too, as TensorFlow has them
        if (name === "" || scope.entries.has(name)) return;
        const known = entries[i];
        const complete = known?.sketch !== undefined && known.dtype !== undefined;
        const said = complete ? undefined : this.stated(graph.values.get(name) ?? outputs.get(name), scope);
        scope.entries.set(name, {
          sketch: known?.sketch ?? said?.sketch,
          dtype: known?.dtype ?? said?.dtype,
        });
      });
    }
  }

  private node(node: Node, scope: Scope, deep: number): readonly Entry[] {
    const inputs = node.inputs.map((name) => (name === "" ? undefined : scope.get(name)));
    const called = scope.graph.functions.get(callKey(node));
    if (called) return this.call(called, node, inputs, deep);
    if (node.opset > 0 && node.domain === "") {
      if (node.operator === "If") return this.branches(node, inputs, scope, deep);
      if (node.operator === "Loop") return this.loop(node, inputs, scope, deep);
      if (node.operator === "Scan") return this.scan(node, inputs, scope, deep);
    }
    const setting = (name: string) => {
      const constant = node.attributes.get(name)?.constant;
      return constant && this.values.get(constant);
    };
    const dtypes = typesOf(node, (input) => inputs[input]?.dtype);
    return this.sketched(node, inputs, setting).map((sketch, i) => ({ sketch, dtype: dtypes[i] }));
  }

  private sketched(
    node: Node,
    inputs: readonly (Entry | undefined)[],
    setting: (name: string) => Float64Array | undefined,
  ): readonly Sketch[] {
    const given = sketchOf(node, inputs, setting, (place) => this.open(`${place} at ${this.visits}`));
    if (given === undefined) return [];
    const fills = inputs.map((entry) => entry?.sketch && fillOf(entry.sketch));
    if (LOGICAL.test(node.operator) && fills.every((fill) => fill !== undefined)) {
      const single = fills.map((fill) => ({ shape: [], data: Float64Array.of(fill as number) }));
      const result = computed(node, single, { dtype: (input) => inputs[input]?.dtype, setting })?.[0];
      if (result?.data) return [filled(given[0].shape, result.data[0])];
    }
    const has = node.inputs.every((name, i) => name === "" || inputs[i]?.sketch?.data !== undefined);
    const most = this.work > MOST_WORK ? FEW : MOST_KNOWN;
    if (!has || node.inputs.length === 0 || given.some(({ shape }) => !(sizeOf(shape) <= most))) return given;
    if (given.every(({ data }) => data !== undefined)) return given;
    this.work += given.reduce((total, { shape }) => total + sizeOf(shape), 0);
    const values = inputs.map((entry) => {
      const sketch = entry?.sketch;
      return sketch?.data && { shape: sketch.shape, data: sketch.data };
    });
    return computed(node, values, { dtype: (input) => inputs[input]?.dtype, setting }) ?? given;
  }

  /** A function's body, once for this call. */
  private call(
    callable: Callable,
    node: Node,
    inputs: readonly (Entry | undefined)[],
    deep: number,
  ): readonly Entry[] {
    this.visits += CALL;
    const nodes = callable.graph.nodes.map((one) => bound(one, node, callable.defaults));
    const scope = new Scope({ ...callable.graph, nodes }, undefined, `call ${this.visits}: `);
    for (const [i, name] of callable.inputs.entries()) scope.entries.set(name, inputs[i] ?? {});
    this.run(scope, deep + 1);
    this.scopes.delete(scope.graph);
    const before = this.scopes.get(callable.graph);
    if (before === undefined) this.scopes.set(callable.graph, scope);
    else agree(before, scope);
    return callable.outputs.map((name) => scope.entries.get(name) ?? {});
  }

  private inner(
    graph: Graph,
    scope: Scope,
    inputs: readonly (Entry | undefined)[],
    deep: number,
  ): readonly Entry[] {
    const inside = new Scope(graph, scope);
    graph.inputs.forEach((info, i) => {
      const said = this.stated(info, inside);
      inside.entries.set(info.name, {
        sketch: inputs[i]?.sketch ?? said?.sketch,
        dtype: inputs[i]?.dtype ?? said?.dtype,
      });
    });
    this.run(inside, deep + 1);
    return graph.outputs.map(({ name }) => inside.get(name) ?? {});
  }

  private branches(
    node: Node,
    inputs: readonly (Entry | undefined)[],
    scope: Scope,
    deep: number,
  ): readonly Entry[] {
    const [yes, no] = ["then_branch", "else_branch"].map((name) => {
      const graph = node.attributes.get(name)?.graphs[0];
      return graph ? this.inner(graph, scope, [], deep) : [];
    });
    const holds = inputs[0]?.sketch && fillOf(inputs[0].sketch);
    if (holds !== undefined) return holds === 0 ? no : yes;
    return node.outputs.map((name, i) => this.either(yes[i], no[i], name));
  }

  /** What holds of both; lengths that differ are open. */
  private either(a: Entry | undefined, b: Entry | undefined, key: string): Entry {
    const [p, q] = [a?.sketch, b?.sketch];
    const dtype = a?.dtype === b?.dtype ? a?.dtype : undefined;
    if (!p || !q || p.shape.length !== q.shape.length) return { dtype };
    const shape = p.shape.map((length, axis) =>
      length === q.shape[axis] ? length : this.open(`${axis} of ${key} at ${this.visits}`),
    );
    return { sketch: { shape }, dtype };
  }

  /** The body once, and once more where it changes shapes that it carries on. */
  private carried(
    graph: Graph,
    scope: Scope,
    before: readonly (Entry | undefined)[],
    inputsOf: (state: readonly (Entry | undefined)[]) => readonly (Entry | undefined)[],
    first: number,
    deep: number,
  ): readonly Entry[] {
    const start = before.map((entry) => entry && shapeOnly(entry));
    const once = this.inner(graph, scope, inputsOf(start), deep);
    const merged = start.map((entry, i) => this.either(entry, once[first + i], `${graph.path} ${i}`));
    const same = merged.every((entry, i) => entry.sketch?.shape.join() === start[i]?.sketch?.shape.join());
    const all = same ? once : this.inner(graph, scope, inputsOf(merged), deep);
    return all.map((entry, i) =>
      i >= first && i < first + merged.length
        ? this.either(merged[i - first], entry, `${graph.path} ${i}`)
        : entry,
    );
  }

  private loop(
    node: Node,
    inputs: readonly (Entry | undefined)[],
    scope: Scope,
    deep: number,
  ): readonly Entry[] {
    const graph = node.attributes.get("body")?.graphs[0];
    if (graph === undefined) return [];
    const state = inputs.slice(2);
    const count = { sketch: { shape: [] }, dtype: "int64" };
    const holds = { sketch: { shape: [] }, dtype: "bool" };
    const all = this.carried(graph, scope, state, (now) => [count, holds, ...now], 1, deep).slice(1);
    return all.map((entry, i) => {
      if (i < state.length || !entry.sketch) return shapeOnly(entry);
      const steps = this.open(`${i}: steps at ${this.visits}`);
      return { sketch: { shape: [steps, ...entry.sketch.shape] }, dtype: entry.dtype };
    });
  }

  private scan(
    node: Node,
    inputs: readonly (Entry | undefined)[],
    scope: Scope,
    deep: number,
  ): readonly Entry[] {
    const graph = node.attributes.get("body")?.graphs[0];
    const scanned = Number(node.attributes.get("num_scan_inputs")?.value);
    const axes = ["scan_input_axes", "scan_output_axes"].flatMap(
      (name) => node.attributes.get(name)?.value ?? [],
    );
    // in opset 8 there is a batch before the steps
    if (graph === undefined || node.opset < 9 || !(scanned >= 1) || axes.some((axis) => axis !== 0))
      return [];
    const state = inputs.slice(0, inputs.length - scanned);
    const rows = inputs.slice(inputs.length - scanned);
    const steps = rows[0]?.sketch?.shape[0] ?? this.open(`steps at ${this.visits}`);
    const each = rows.map((entry) => ({
      sketch: entry?.sketch && { shape: entry.sketch.shape.slice(1) },
      dtype: entry?.dtype,
    }));
    const all = this.carried(graph, scope, state, (now) => [...now, ...each], 0, deep);
    return all.map(({ sketch, dtype }, i) =>
      i < state.length || !sketch
        ? shapeOnly({ sketch, dtype })
        : { sketch: { shape: [steps, ...sketch.shape] }, dtype },
    );
  }
}

function shapeOnly({ sketch, dtype }: Entry): Entry {
  return { sketch: sketch && { shape: sketch.shape }, dtype };
}

/** Leaves what holds in both. */
function agree(scope: Scope, other: Scope): void {
  for (const [name, { sketch, dtype }] of scope.entries) {
    const second = other.entries.get(name);
    const same = sketch?.shape.join() === second?.sketch?.shape.join();
    const kept = same && sketch ? { shape: sketch.shape } : undefined;
    scope.entries.set(name, { sketch: kept, dtype: dtype === second?.dtype ? dtype : undefined });
  }
}

function isPrime(n: number): boolean {
  for (const prime of PRIMES) {
    if (prime * prime > n) return true;
    if (n % prime === 0) return false;
  }
  return true;
}
