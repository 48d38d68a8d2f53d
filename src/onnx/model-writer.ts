/** What a formula did (onnx-ops.ts), at all lengths (open-lengths.ts), as the bytes of a model. */
import { bytesField, integerField, message, textField } from "../checkpoints/encodings/protobuf.js";
import type { NewConstant, NewNode } from "../checkpoints/graphs/graph.js";
import { catalog } from "../norms/catalog.js";
import { sizeOf } from "../shape.js";
import {
  elementType,
  irVersionOf,
  nodeMessage,
  opsetMessage,
  tensorMessage,
  valueMessage,
} from "./messages.js";
import type { Value } from "./onnx-ops.js";
import { type Input, isSameList, type Product, type Runs } from "./open-lengths.js";

/** The first version of operators that is written. */
export const FIRST = 17;
/** The last one. */
export const LAST = 23;

/** Outputs beside y, as their pages call them. */
const OUTPUTS: Readonly<Record<string, readonly string[]>> = {
  actNorm: ["logDeterminant"],
  actNormInverse: ["logDeterminant"],
  adaptiveLayerNorm: ["gate"],
  positionNorm: ["mean", "std"],
  reversibleInstanceNorm: ["mean", "std"],
  robustReversibleInstanceNorm: ["median", "std"],
  weightDemodulation: ["factor"],
  layerNormLSTMCell: ["nextC"],
};

/** What is written. */
interface Options {
  readonly opset: number;
  /** Of inputs and outputs. */
  readonly type: "float32" | "float16";
}

/** A node, of a loop with its body. */
interface Written extends NewNode {
  readonly body?: {
    readonly nodes: readonly Written[];
    readonly inputs: readonly string[];
    readonly outputs: readonly string[];
  };
}

/** What was done, written as nodes. */
export class ModelWriter {
  private readonly nodes: Written[] = [];
  /** By what they are, their type and shape. */
  private readonly initializers = new Map<string, NewConstant[]>();
  private readonly taken = new Map<string, number>();
  /** Names of what is written, by what it is: nothing is written twice. */
  private readonly known = new Map<string, string>();
  /** Names of the first run's values. */
  private readonly names = new Map<Value, string>();
  /** Nodes of a Scan's body, by what it reads; and those that a name is known in alone. */
  private readonly bodies: ReadonlyMap<Value, Written[]>;
  private readonly within = new Map<string, Written[]>();

  constructor(
    private readonly runs: Runs,
    private readonly options: Options,
  ) {
    this.bodies = new Map(
      runs.values.flatMap(({ body }) => {
        const nodes: Written[] = [];
        return body?.inputs.map((input) => [input, nodes] as const) ?? [];
      }),
    );
  }

  /** ModelProto. */
  bytes(): Uint8Array {
    const { norm, inputs, values, outputs: results } = this.runs;
    const { opset, type } = this.options;
    const outputNames = results.map((_, i) =>
      i === 0 ? "y" : (OUTPUTS[norm.name]?.[i - 1] ?? `output${i}`),
    );
    for (const name of [...inputs.map(({ name }) => name), ...outputNames]) this.taken.set(name, 1);
    for (const value of values) this.names.set(value, this.write(value));
    const outputs = results.map((value, i) => {
      const from = this.names.get(value) as string;
      const of = [from];
      const cast = { to: { integer: elementType(type) } };
      this.nodes.push(
        type === "float32"
          ? nodeOf("Identity", of, outputNames[i])
          : nodeOf("Cast", of, outputNames[i], cast),
      );
      const shape = this.runs
        .products(value, (one) => one.shape)
        .map(({ factor, of: open }) =>
          open.length === 0 ? factor : factor === 1 && open.length === 1 ? open[0] : "",
        );
      return { name: outputNames[i], dtype: type, shape };
    });
    const about = (Object.hasOwn(catalog, norm.name) ? catalog[norm.name as "layerNorm"] : undefined)?.about;
    const title = about ? `${about.title}. ${about.paper}` : norm.name;
    const renamed = this.renamed();
    const graph = [
      ...this.nodes
        .filter(
          ({ operator, inputs: [from], outputs: [to] }) =>
            operator !== "Identity" || renamed.get(from) !== to,
        )
        .map((node) => bytesField(1, writtenMessage(node, renamed))),
      textField(2, norm.name),
      ...[...this.initializers.values()]
        .flat()
        .map((constant) => bytesField(5, tensorMessage("toOnnx", constant))),
      ...inputs.map(({ name, shape }) => bytesField(11, valueMessage({ name, dtype: type, shape }))),
      ...outputs.map((output) => bytesField(12, valueMessage(output))),
    ];
    return message([
      integerField(1, irVersionOf(opset)),
      textField(2, "evenkeel"),
      textField(6, title),
      bytesField(7, message(graph)),
      bytesField(8, opsetMessage("", opset)),
    ]);
  }

  /** Names of values that are outputs under a name of their own. */
  private renamed(): ReadonlyMap<string, string> {
    const made = new Set(
      this.nodes.flatMap(({ operator, outputs }) => (operator === "Identity" ? [] : outputs)),
    );
    const called = new Map<string, string>();
    for (const {
      operator,
      inputs: [from],
      outputs: [to],
    } of this.nodes) {
      if (operator === "Identity" && made.has(from) && !called.has(from)) called.set(from, to);
    }
    return called;
  }

  /** Writes what a value is made by; its name. */
  private write(value: Value): string {
    const { operator, of, attributes } = value;
    if (operator === "input") return this.read(value);
    if (operator === "output") return `${this.names.get(of[0])}_${attributes.index}`;
    if (value.body) return this.writeLoop(value, value.body);
    if (operator === "constant") return this.writeConstant(value);
    const inputs = of.map((one) => this.names.get(one) as string);
    const numbers = () => this.runs.products(value, (one) => one.numbers);
    if (operator === "Reshape" || operator === "Expand") {
      const [from] = of;
      const lengths = operator === "Reshape" ? this.inferred(from, numbers()) : numbers();
      return this.node(operator, [...inputs, this.lengths(lengths)], {});
    }
    if (operator === "Slice") {
      const [from, to] = numbers();
      const axis = this.integers([attributes.axis as number]);
      return this.node(operator, [...inputs, this.lengths([from]), this.lengths([to]), axis], {});
    }
    if (operator === "TopK") return this.node(operator, [...inputs, this.lengths(numbers())], attributes, 2);
    const { axes, ...others } = attributes;
    const isInput = axes !== undefined && (operator === "ReduceSum" || this.options.opset >= 18);
    if (isInput) return this.node(operator, [...inputs, this.integers(axes as number[])], others);
    return this.node(operator, inputs, attributes);
  }

  /** An input, in float32. */
  private read(value: Value): string {
    const { name = "" } = value;
    const body = this.bodies.get(value);
    if (body) {
      const its = this.fresh(name);
      this.within.set(its, body);
      return its;
    }
    return this.options.type === "float32" ? name : this.node("Cast", [name], { to: "float32" });
  }

  /** A Scan with its body, which may read what is around it; what the names of its outputs begin with. */
  private writeLoop({ of }: Value, { inputs, outputs }: NonNullable<Value["body"]>): string {
    const name = this.fresh("Scan");
    const nodes = this.bodies.get(inputs[0]) as Written[];
    const named = (values: readonly Value[]) => values.map((value) => this.names.get(value) as string);
    // an output has a name of its own
    const given = named([...outputs, outputs[0]]).map((from, i) => {
      nodes.push(nodeOf("Identity", [from], `${name}_next_${i}`));
      return `${name}_next_${i}`;
    });
    const attributes = { num_scan_inputs: { integer: inputs.length - outputs.length } };
    this.nodes.push({
      ...nodeOf("Scan", named(of), name, attributes),
      outputs: given.map((_, i) => `${name}_${i}`),
      body: { nodes, inputs: named(inputs), outputs: given },
    });
    return name;
  }

  private writeConstant(value: Value): string {
    const { name, values } = value;
    const lengths = this.runs.products(value, ({ shape }) => shape);
    const [open] = lengths.flatMap(({ of }) => of);
    if (values) {
      if (open !== undefined) throw this.runs.needed(open);
      return this.initializer(name ?? "values", { shape: value.shape, dtype: "float32", values });
    }
    const [number] = this.runs.products(value, ({ numbers }) => numbers);
    if (number.of.length > 0) {
      const scalar = this.product(number);
      return value.shape.length === 0 ? scalar : this.node("Expand", [scalar, this.lengths(lengths)], {});
    }
    const size = sizeOf(value.shape);
    if (open === undefined && size <= MOST_FILLED) {
      const filled = new Float64Array(size).fill(number.factor);
      return this.initializer(name ?? "number", { shape: value.shape, dtype: "float32", values: filled });
    }
    const scalar = this.product(number);
    return this.node("Expand", [scalar, this.lengths(lengths)], {});
  }

  /** Lengths for a Reshape: one may be left to it, those that stay where they are too. */
  private inferred(from: Value, lengths: readonly Product[]): Product[] {
    const before = this.runs.products(from, ({ shape }) => shape);
    const kept = lengths.map((length, i) =>
      length.of.length > 0 && i < before.length && isSameProduct(length, before[i]) ? KEPT : length,
    );
    const open = kept.filter(({ of }) => of.length > 0);
    return open.length === 1 ? kept.map((length) => (length === open[0] ? REST : length)) : kept;
  }

  /** int64 [lengths]. */
  private lengths(lengths: readonly Product[]): string {
    if (lengths.every(({ of }) => of.length === 0)) return this.integers(lengths.map(({ factor }) => factor));
    const parts = lengths.map((length) =>
      length.of.length === 0 ? this.integers([length.factor]) : this.length(length),
    );
    return parts.length === 1 ? parts[0] : this.node("Concat", parts, { axis: 0 });
  }

  /** int64 [1]. */
  private length({ factor, of }: Product): string {
    const each = of.map((name) => this.open(name));
    if (factor !== 1) each.push(this.integers([factor]));
    return each.reduce((a, b) => this.node("Mul", [a, b], {}));
  }

  /** float32 []. */
  private product({ factor, of }: Product): string {
    const each = of.map((name) =>
      this.node("Squeeze", [this.node("Cast", [this.open(name)], { to: "float32" })], {}),
    );
    if (factor !== 1 || of.length === 0) {
      each.push(this.initializer("number", { shape: [], dtype: "float32", values: [factor] }));
    }
    return each.reduce((a, b) => this.node("Mul", [a, b], {}));
  }

  /** An open length, int64 [1]. */
  private open(name: string): string {
    const { name: input, shape } = this.runs.inputs.find((one) => one.shape.includes(name)) as Input;
    const axis = shape.indexOf(name);
    return this.node("Shape", [input], { start: axis, end: axis + 1 });
  }

  private integers(values: readonly number[]): string {
    return this.initializer("integers", { shape: [values.length], dtype: "int64", values });
  }

  private initializer(what: string, constant: Omit<NewConstant, "name">): string {
    const { shape, dtype, values } = constant;
    const alike = this.initializers.get(`${what} ${dtype} ${shape}`) ?? [];
    this.initializers.set(`${what} ${dtype} ${shape}`, alike);
    const known = alike.find((one) => isSameList(one.values, values));
    if (known) return known.name;
    const named = { ...constant, name: this.fresh(what) };
    alike.push(named);
    return named.name;
  }

  private node(
    operator: string,
    inputs: readonly string[],
    attributes: Value["attributes"],
    outputs = 1,
  ): string {
    return this.once(`${operator} ${inputs.join()} ${JSON.stringify(attributes)}`, () => {
      const name = this.fresh(operator);
      const written = Object.entries(attributes).map(([key, value]) => {
        if (operator === "Cast") return [key, { integer: elementType(value as string) }];
        return [key, typeof value === "number" || Array.isArray(value) ? { integer: value } : value];
      });
      const more = Array.from({ length: outputs - 1 }, () => this.fresh(`${name}_index`));
      const body = inputs.map((input) => this.within.get(input)).find((nodes) => nodes !== undefined);
      if (body) for (const its of [name, ...more]) this.within.set(its, body);
      const node = nodeOf(operator, inputs, name, Object.fromEntries(written));
      (body ?? this.nodes).push({ ...node, outputs: [name, ...more] });
      return name;
    });
  }

  private once(key: string, write: () => string): string {
    const name = this.known.get(key) ?? write();
    this.known.set(key, name);
    return name;
  }

  /** The name, with a number where it is taken. */
  private fresh(name: string): string {
    const before = this.taken.get(name) ?? 0;
    this.taken.set(name, before + 1);
    return before === 0 ? name : this.fresh(`${name}_${before}`);
  }
}

/** Larger constants of one value are written as that and their shape. */
const MOST_FILLED = 2 ** 14;
/** What Reshape takes for a length that stays, and for one that follows from the others. */
const [KEPT, REST]: Product[] = [
  { factor: 0, of: [] },
  { factor: -1, of: [] },
];

/** NodeProto. */
function writtenMessage({ body, ...node }: Written, renamed: ReadonlyMap<string, string>): Uint8Array {
  const named = (names: readonly string[]) => names.map((name) => renamed.get(name) ?? name);
  const plain = nodeMessage({ ...node, inputs: named(node.inputs), outputs: named(node.outputs) });
  if (!body) return plain;
  const infos = (field: number, all: readonly string[]) =>
    all.map((one) => bytesField(field, valueMessage({ name: one, dtype: "float32" })));
  const graph = [
    ...body.nodes.map((one) => bytesField(1, writtenMessage(one, renamed))),
    textField(2, `${node.name}_body`),
    ...infos(11, body.inputs),
    ...infos(12, body.outputs),
  ];
  // AttributeProto of a graph
  const attribute = message([textField(1, "body"), bytesField(6, message(graph)), integerField(20, 5)]);
  return message([plain, bytesField(5, attribute)]);
}

const isSameProduct = (a: Product, b: Product) => a.factor === b.factor && a.of.join() === b.of.join();

function nodeOf(
  operator: string,
  inputs: readonly string[],
  output: string,
  attributes: NewNode["attributes"] = {},
): NewNode {
  return { name: output, operator, domain: "", inputs, outputs: [output], attributes };
}
