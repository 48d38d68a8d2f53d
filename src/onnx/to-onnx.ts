/**
 * Normalizations as ONNX models: by ONNX's operator where it has one that means the same, else by their formula, in operators that any
 * runtime has. Where lengths are left open, the formula is run at several, and what is written is what holds for all.
 */

import { bytesField, integerField, message, textField } from "../checkpoints/encodings/protobuf.js";
import type { NewConstant, NewNode } from "../checkpoints/graphs/graph.js";
import { initialValues, type Normalization } from "../formula/normalization.js";
import { checkNormalization, run, weightsFor } from "../formula/run.js";
import { catalog } from "../norms/catalog.js";
import { checkOptions } from "../options.js";
import { checkLengths, checkNumbers, described, isNumbers, sameShape, sizeOf } from "../shape.js";
import { elementType, nodeMessage, opsetMessage, tensorMessage, valueMessage } from "./messages.js";
import { OnnxOps, type Value } from "./onnx-ops.js";

/** A length of an input: a number; or a text, the name of one that is left open. undefined and −1 are open without a name. */
export type OpenLength = number | string | undefined;

/** A weight: its values, row-major, with or without their shape. */
export type OnnxWeight =
  | ArrayLike<number>
  | { readonly shape: readonly number[]; readonly data: ArrayLike<number> };

/** Options of `toOnnx`. */
export interface ToOnnxOptions {
  /** Version of ONNX's operators, 17 (default) to 23; RMSNormalization is one from 23 on. */
  opset?: number;
  /** Type of inputs and outputs. Statistics, and all else within, are float32. Default float32. */
  type?: "float32" | "float16";
  /**
   * `operator` (default): by ONNX's operator where there is one, as fast as the runtime has it, and as exact: runtimes may cancel where
   * a mean is far above the spread. `formula`: always by the library's own formula, which holds for any values of float32.
   */
  written?: "operator" | "formula";
  /**
   * Whether group normalization is GroupNormalization from opset 21 on. Default false: it is InstanceNormalization, since the other is
   * defined by E[x²] − E[x]², which cancels (in onnxruntime 1.30 by 2e-4 in groups of two values; NaN at a mean of 10⁴ deviations).
   */
  groupNormalization?: boolean;
}

/** The version of ONNX's files for each version of its operators, from 17 on. */
const IR_VERSIONS = [8, 8, 9, 9, 10, 10, 11];
const [FIRST, LAST] = [17, 17 + IR_VERSIONS.length - 1];

/** Inputs beside x, and outputs beside y, as their pages call them. */
const INPUTS: Readonly<Record<string, readonly string[]>> = {
  adaptiveInstanceNorm: ["style"],
  adaptiveLayerNorm: ["condition"],
  conditionalBatchNorm: ["condition"],
  featureWiseLinearModulation: ["condition"],
  spatiallyAdaptiveNorm: ["gamma", "beta"],
  gatedRMSNorm: ["z"],
  normalizedAttention: ["context"],
  weightDemodulation: ["style"],
  reversibleInstanceDenorm: ["mean", "std"],
  layerNormLSTMCell: ["h", "c"],
  layerNormGRUCell: ["h"],
  layerNormRNNCell: ["h"],
};
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

/**
 * A normalization with its weights as an ONNX model, in evaluation: what is stored, such as running statistics, is constants.
 *
 * Inputs are `x` and those that the norm takes beside it, by the names of its page (`condition`, `style`, `z`, `gamma` and `beta`,
 * `context`, `h` and `c`), outputs `y` and further ones likewise (`mean` and `std`, `median`, `gate`, `factor`, `logDeterminant`,
 * `nextC`), all of one type.
 * @param shape lengths of x; or a list of shapes, x first. Lengths that are open must be of one name where the norm needs them equal
 * @param weights by name: values, or `{ shape, data }`; those left out are as they are initialized
 * @returns the file's bytes
 * @throws TypeError for what is not a normalization, a shape or a weight, or an unknown option; RangeError for a shape or weight that
 * does not fit, for an opset out of range, and for an open length that the formula needs
 *
 *     const bytes = toOnnx(layerNorm(), ["batch", 768], { gamma, beta });
 *     const session = await InferenceSession.create(bytes);
 */
export function toOnnx(
  norm: Normalization,
  shape: readonly OpenLength[] | readonly (readonly OpenLength[])[],
  weights: Readonly<Record<string, OnnxWeight | undefined>> = {},
  options: ToOnnxOptions = {},
): Uint8Array {
  checkNormalization(norm, "toOnnx");
  const settled = settle(options);
  const inputs = inputsOf(norm, shape);
  const given = givenWeights(weights);
  const runs = runsOf(norm, inputs, given, settled);
  return new ModelWriter(norm, inputs, runs, settled).bytes();
}

type Settled = Required<ToOnnxOptions>;

function settle(options: ToOnnxOptions): Settled {
  checkOptions("toOnnx", options, ["opset", "type", "written", "groupNormalization"]);
  const { opset = FIRST, type = "float32", written = "operator", groupNormalization = false } = options;
  if (typeof opset !== "number") {
    throw new TypeError(`toOnnx: opset must be a number, got ${described(opset)}; leave it out for ${FIRST}`);
  }
  if (!Number.isInteger(opset) || opset < FIRST || opset > LAST) {
    throw new RangeError(
      `toOnnx: opset must be an integer from ${FIRST} to ${LAST}, got ${opset}; runtimes read older ones than their own`,
    );
  }
  if (type !== "float32" && type !== "float16") {
    throw new RangeError(`toOnnx: type must be "float32" or "float16", got ${described(type)}`);
  }
  if (written !== "operator" && written !== "formula") {
    throw new RangeError(`toOnnx: written must be "operator" or "formula", got ${described(written)}`);
  }
  if (typeof groupNormalization !== "boolean") {
    throw new TypeError(
      `toOnnx: groupNormalization must be true or false, got ${described(groupNormalization)}; leave it out for false`,
    );
  }
  return { opset, type, written, groupNormalization };
}

interface Input {
  readonly name: string;
  /** A text: the name of an open length. */
  readonly shape: readonly (number | string)[];
}

/** @throws TypeError for what is no shape, RangeError for lengths that are none */
function inputsOf(
  { name: norm }: Normalization,
  shape: readonly OpenLength[] | readonly (readonly OpenLength[])[],
): Input[] {
  if (!Array.isArray(shape)) {
    throw new TypeError(
      `toOnnx: shape must be a list of lengths such as ["batch", 768], or a list of such lists, got ${described(shape)}`,
    );
  }
  const shapes = (Array.isArray(shape[0]) ? shape : [shape]) as readonly (readonly OpenLength[])[];
  return shapes.map((lengths, i) => {
    const name = i === 0 ? "x" : (INPUTS[norm]?.[i - 1] ?? `input${i}`);
    if (!Array.isArray(lengths)) {
      throw new TypeError(
        `toOnnx: shape must be a list of lengths for each input, got ${described(lengths)} for ${name}`,
      );
    }
    const open = Array.from(lengths, (length, axis) => {
      if (length !== undefined && length !== -1 && length !== "") return length;
      return axis === 0 ? "batch" : `${name}_${axis}`;
    });
    checkLengths(
      "toOnnx",
      i === 0 ? "shape" : `shape of ${name}`,
      open.map((length) => (typeof length === "string" ? 1 : length)),
    );
    if (open.includes(0)) {
      throw new RangeError(
        `toOnnx: shape must have lengths of at least 1, got [${open.join(", ")}] for ${name}; an empty array has nothing to normalize`,
      );
    }
    return { name, shape: open as (number | string)[] };
  });
}

type Given = Readonly<
  Record<string, { readonly shape?: readonly number[]; readonly data: ArrayLike<number> }>
>;

/** @throws TypeError for what are no values */
function givenWeights(weights: Readonly<Record<string, OnnxWeight | undefined>>): Given {
  if (typeof weights !== "object" || weights === null || isNumbers(weights)) {
    throw new TypeError(
      `toOnnx: weights must be an object, arrays by name, got ${described(weights)}; leave it out for initial values`,
    );
  }
  const entries = Object.entries(weights).flatMap(([name, weight]) => {
    if (weight === undefined) return [];
    const isShaped = typeof weight === "object" && weight !== null && !isNumbers(weight) && "data" in weight;
    const { shape, data } = isShaped ? weight : { shape: undefined, data: weight };
    checkNumbers("toOnnx", `weights.${name}`, data);
    if (shape !== undefined) checkLengths("toOnnx", `the shape of weights.${name}`, shape);
    if (shape !== undefined && sizeOf(shape) !== data.length) {
      throw new RangeError(
        `toOnnx: weights.${name} of shape [${shape.join(", ")}] must have ${sizeOf(shape)} values, got ${data.length}`,
      );
    }
    return [[name, { shape, data }] as const];
  });
  return Object.fromEntries(entries);
}

/** What stands for open lengths, by name. */
type Lengths = ReadonlyMap<string, number>;

/** What the formula did at one choice of the open lengths. */
interface Run {
  /** Of the open lengths, by name. */
  readonly lengths: Lengths;
  /** In an order in which each comes after what it is made of. */
  readonly values: readonly Value[];
  readonly outputs: readonly Value[];
}

/** Runs the formula at lengths that stand for the open ones, and once more for each with another one in its place. */
function runsOf(
  norm: Normalization,
  inputs: readonly Input[],
  given: Given,
  settled: Settled,
): [Run, ...Run[]] {
  const lengths = inputs.flatMap(({ shape }) => shape);
  const names = [...new Set(lengths.filter((length) => typeof length === "string"))];
  const fixed = lengths.filter((length) => typeof length === "number");
  // primes that no other length has a part in; far enough apart for what takes more steps in longer arrays
  const primes = primesBesides(fixed, 2 * names.length);
  const first = new Map(names.map((name, i) => [name, primes[i]]));
  const others = names.map((name, i) => new Map([...first, [name, primes[names.length + i]]]));
  const arraysAt = (ops: OnnxOps, open: Lengths) =>
    inputs.map(({ name, shape }) =>
      ops.input(
        name,
        shape.map((length) => (typeof length === "string" ? (open.get(length) as number) : length)),
      ),
    );
  const ops = new OnnxOps(settled);
  const shapes = Object.entries(given).map(([name, { shape, data }]) => [name, shape ?? [data.length]]);
  const all = [first, ...others];
  const specified = all.map((open) => standing(open, () => weightsFor(norm, arraysAt(ops, open), {})));
  for (const [i, weights] of specified.entries()) {
    const isSame = Object.entries(weights).every(([name, { shape }]) =>
      sameShape(shape, specified[0][name].shape),
    );
    if (!isSame) throw needed(norm, inputs, names[i - 1]);
  }
  const checked = weightsFor(norm, arraysAt(ops, first), Object.fromEntries(shapes));
  const bytes = Object.values(checked).reduce((sum, { shape }) => sum + 4 * sizeOf(shape), 0);
  if (bytes > MOST_BYTES) {
    throw new RangeError(
      `toOnnx: weights must take less than 2 GiB, the most that an ONNX file holds, got ${bytes} bytes of float32 for ${norm.name}`,
    );
  }
  const weights = Object.entries(checked).map(([name, weight]) => {
    const values = given[name]?.data ?? initialValues(weight);
    return [name, ops.constant(values, weight.shape, name)];
  });
  const runAt = (open: Lengths): Run =>
    standing(open, () => {
      const arrays = arraysAt(ops, open);
      const result = run(ops, norm, arrays, Object.fromEntries(weights), { training: false });
      const outputs = [result.y, ...(result.more ?? [])];
      return { lengths: open, values: inOrder(outputs), outputs };
    });
  return [runAt(first), ...others.map(runAt)];
}

/** Of a message of protocol buffers, less what is around the weights. */
const MOST_BYTES = 2 ** 31 - 2 ** 24;

/** What is done at lengths that stand for open ones; its errors say so. */
function standing<R>(open: Lengths, action: () => R): R {
  try {
    return action();
  } catch (error) {
    if (open.size === 0 || !(error instanceof RangeError)) throw error;
    const stand = [...open].map(([name, length]) => `${length} for "${name}"`).join(", ");
    throw new RangeError(
      `${error.message} (toOnnx: open lengths are stood for, by ${stand}; those that must be equal must have one name)`,
    );
  }
}

/** The error of an open length that cannot be. */
function needed(norm: Normalization, inputs: readonly Input[], name: string): RangeError {
  const { name: input, shape } = inputs.find((one) => one.shape.includes(name)) as Input;
  return new RangeError(
    `toOnnx: axis ${shape.indexOf(name)} of ${input} must have a number for its length, on which weights or the formula of ` +
      `${norm.name} depend, got "${name}", which is open; make a model for each length`,
  );
}

/** So many primes from 7 on that divide none of these lengths, the second half of them at least four times as large as the first. */
function primesBesides(lengths: readonly number[], count: number): number[] {
  const primes: number[] = [];
  for (let next = 7; primes.length < count; next += 2) {
    if (primes.length * 2 === count) next = Math.max(next, 4 * primes[primes.length - 1] + 1);
    let factor = 3;
    while (next % factor !== 0) factor += 2;
    if (factor === next && lengths.every((length) => length % next !== 0)) primes.push(next);
  }
  return primes;
}

/** What must be there before a value. */
const partsOf = ({ of, body }: Value) => (body ? [...of, ...body.inputs, ...body.outputs] : of);

/** These values and those that they are made of, each after its own. */
function inOrder(outputs: readonly Value[]): Value[] {
  const done = new Set<Value>();
  const open = [...outputs].reverse();
  while (open.length > 0) {
    const value = open[open.length - 1];
    const missing = partsOf(value).filter((one) => !done.has(one));
    if (missing.length > 0 && !done.has(value)) open.push(...missing.reverse());
    else done.add(open.pop() as Value);
  }
  return [...done];
}

/** A node, of a loop with its body. */
interface Written extends NewNode {
  readonly body?: {
    readonly nodes: readonly Written[];
    readonly inputs: readonly string[];
    readonly outputs: readonly string[];
  };
}

/** A number as the product of a factor and open lengths, by their names. */
interface Product {
  readonly factor: number;
  readonly of: readonly string[];
}

/** What was done, written as nodes. */
class ModelWriter {
  private readonly nodes: Written[] = [];
  /** By what they are, their type and shape. */
  private readonly initializers = new Map<string, NewConstant[]>();
  private readonly taken = new Map<string, number>();
  /** Names of what is written, by what it is: nothing is written twice. */
  private readonly written = new Map<string, string>();
  /** Names of the first run's values. */
  private readonly names = new Map<Value, string>();
  /** Nodes of a Scan's body, by what it reads; and those that a name is known in alone. */
  private readonly bodies: ReadonlyMap<Value, Written[]>;
  private readonly within = new Map<string, Written[]>();
  private readonly first: Run;
  private readonly others: readonly Run[];
  /** Of the first run's values, which those of the other runs share. */
  private readonly places: ReadonlyMap<Value, number>;

  constructor(
    private readonly norm: Normalization,
    private readonly inputs: readonly Input[],
    [first, ...others]: readonly [Run, ...Run[]],
    private readonly options: Settled,
  ) {
    this.first = first;
    this.others = others;
    this.places = placesOf(first);
    this.bodies = new Map(
      first.values.flatMap(({ body }) => {
        const nodes: Written[] = [];
        return body?.inputs.map((input) => [input, nodes] as const) ?? [];
      }),
    );
  }

  /** ModelProto. */
  bytes(): Uint8Array {
    const { norm, inputs, first } = this;
    const { opset, type } = this.options;
    const outputNames = first.outputs.map((_, i) =>
      i === 0 ? "y" : (OUTPUTS[norm.name]?.[i - 1] ?? `output${i}`),
    );
    for (const name of [...inputs.map(({ name }) => name), ...outputNames]) this.taken.set(name, 1);
    this.compare();
    for (const value of first.values) this.names.set(value, this.write(value));
    const outputs = first.outputs.map((value, i) => {
      const from = this.names.get(value) as string;
      const of = [from];
      const cast = { to: { integer: elementType(type) } };
      this.nodes.push(
        type === "float32"
          ? nodeOf("Identity", of, outputNames[i])
          : nodeOf("Cast", of, outputNames[i], cast),
      );
      const shape = this.products(value, (one) => one.shape).map(({ factor, of: open }) =>
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
      integerField(1, IR_VERSIONS[opset - FIRST]),
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

  /** @throws RangeError where the formula does something else for another length */
  private compare(): void {
    const { values } = this.first;
    for (const other of this.others) {
      const theirs = placesOf(other);
      const isSame =
        values.length === other.values.length &&
        values.every((value, i) => {
          const its = other.values[i];
          return (
            value.operator === its.operator &&
            JSON.stringify(value.attributes) === JSON.stringify(its.attributes) &&
            value.numbers.length === its.numbers.length &&
            value.shape.length === its.shape.length &&
            isSameList(
              partsOf(value).map((one) => this.places.get(one) as number),
              partsOf(its).map((one) => theirs.get(one) as number),
            ) &&
            isSameList(value.values, its.values)
          );
        });
      if (!isSame) throw this.needed(other);
    }
  }

  /** An error of the length that differs in this run. */
  private needed(run: Run): RangeError {
    const { norm, inputs } = this;
    return needed(norm, inputs, this.differing(run)[0]);
  }

  /** The length that differs in this run, and what it is in the first. */
  private differing(run: Run): readonly [string, number] {
    const { lengths } = this.first;
    return [...lengths].find(([name, length]) => run.lengths.get(name) !== length) as [string, number];
  }

  /** Numbers of a value as products of open lengths. @throws RangeError for one that is none */
  private products(value: Value, of: (value: Value) => readonly number[]): Product[] {
    const place = this.places.get(value) as number;
    const theirs = this.others.map((run) => of(run.values[place]));
    return of(value).map((number, i) => {
      let factor = number;
      const open: string[] = [];
      for (const [j, run] of this.others.entries()) {
        const other = theirs[j][i];
        if (Object.is(number, other)) continue;
        const [name, length] = this.differing(run);
        if (other / (run.lengths.get(name) as number) !== number / length) throw this.needed(run);
        factor /= length;
        open.push(name);
      }
      return { factor, of: open };
    });
  }

  /** Writes what a value is made by; its name. */
  private write(value: Value): string {
    const { operator, of, attributes } = value;
    if (operator === "input") return this.read(value);
    if (operator === "output") return `${this.names.get(of[0])}_${attributes.index}`;
    if (value.body) return this.writeLoop(value, value.body);
    if (operator === "constant") return this.writeConstant(value);
    const inputs = of.map((one) => this.names.get(one) as string);
    const numbers = () => this.products(value, (one) => one.numbers);
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
    const lengths = this.products(value, ({ shape }) => shape);
    const [open] = lengths.flatMap(({ of }) => of);
    if (values) {
      if (open !== undefined) throw needed(this.norm, this.inputs, open);
      return this.initializer(name ?? "values", { shape: value.shape, dtype: "float32", values });
    }
    const [number] = this.products(value, ({ numbers }) => numbers);
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
    const before = this.products(from, ({ shape }) => shape);
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
    const { name: input, shape } = this.inputs.find((one) => one.shape.includes(name)) as Input;
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
    const name = this.written.get(key) ?? write();
    this.written.set(key, name);
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

const placesOf = ({ values }: Run) => new Map(values.map((value, i) => [value, i]));

function nodeOf(
  operator: string,
  inputs: readonly string[],
  output: string,
  attributes: NewNode["attributes"] = {},
): NewNode {
  return { name: output, operator, domain: "", inputs, outputs: [output], attributes };
}

function isSameList(a?: ArrayLike<number>, b?: ArrayLike<number>): boolean {
  if (a === undefined || b === undefined) return a === b;
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (!Object.is(a[i], b[i])) return false;
  return true;
}
