/**
 * Formulas at open lengths: run at numbers that stand for them, and once more for each with another number in its place. What is the same
 * in all runs, or a product with such a length, holds for any.
 */
import { initialValues, type Normalization } from "../formula/normalization.js";
import { run, weightsFor } from "../formula/run.js";
import { sameShape, sizeOf } from "../shape.js";
import { OnnxOps, type Value, type Writing } from "./onnx-ops.js";

/** An input of a model. */
export interface Input {
  readonly name: string;
  /** A text: the name of an open length. */
  readonly shape: readonly (number | string)[];
}

/** Weights by name. */
export type Given = Readonly<
  Record<string, { readonly shape?: readonly number[]; readonly data: ArrayLike<number> }>
>;

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

/** A number as the product of a factor and open lengths, by their names. */
export interface Product {
  readonly factor: number;
  readonly of: readonly string[];
}

/** What a formula did, at all lengths. The values are those of the first run. */
export class Runs {
  readonly values: readonly Value[];
  readonly outputs: readonly Value[];
  private readonly lengths: Lengths;
  private readonly others: readonly Run[];
  /** Of values, which those of the other runs share. */
  private readonly places: ReadonlyMap<Value, number>;

  /**
   * @throws RangeError for weights that do not fit, or are too large; for an open length that they or the formula depend on; what the
   * formula throws
   */
  constructor(
    readonly norm: Normalization,
    readonly inputs: readonly Input[],
    given: Given,
    writing: Writing,
  ) {
    const [first, ...others] = this.run(given, writing);
    ({ values: this.values, outputs: this.outputs, lengths: this.lengths } = first);
    this.others = others;
    this.places = placesOf(first);
    this.compare();
  }

  /** The error of an open length that cannot be. */
  needed(name: string): RangeError {
    const { name: input, shape } = this.inputs.find((one) => one.shape.includes(name)) as Input;
    return new RangeError(
      `toOnnx: axis ${shape.indexOf(name)} of ${input} must have a number for its length, on which weights or the formula of ` +
        `${this.norm.name} depend, got "${name}", which is open; make a model for each length`,
    );
  }

  /** @throws RangeError where the formula does something else for another length */
  private compare(): void {
    const { values } = this;
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
      if (!isSame) throw this.needed(this.differing(other)[0]);
    }
  }

  /** The length that differs in this run, and what it is in the first. */
  private differing(run: Run): readonly [string, number] {
    const { lengths } = this;
    return [...lengths].find(([name, length]) => run.lengths.get(name) !== length) as [string, number];
  }

  /** Numbers of a value as products of open lengths. @throws RangeError for one that is none */
  products(value: Value, of: (value: Value) => readonly number[]): Product[] {
    const place = this.places.get(value) as number;
    const theirs = this.others.map((run) => of(run.values[place]));
    return of(value).map((number, i) => {
      let factor = number;
      const open: string[] = [];
      for (const [j, run] of this.others.entries()) {
        const other = theirs[j][i];
        if (Object.is(number, other)) continue;
        const [name, length] = this.differing(run);
        if (other / (run.lengths.get(name) as number) !== number / length) throw this.needed(name);
        factor /= length;
        open.push(name);
      }
      return { factor, of: open };
    });
  }

  /** Runs the formula, at what stands for the open lengths, and once more for each. */
  private run(given: Given, writing: Writing): [Run, ...Run[]] {
    const { norm, inputs } = this;
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
    const ops = new OnnxOps(writing);
    const shapes = Object.entries(given).map(([name, { shape, data }]) => [name, shape ?? [data.length]]);
    const all = [first, ...others];
    const specified = all.map((open) => standing(open, () => weightsFor(norm, arraysAt(ops, open), {})));
    for (const [i, weights] of specified.entries()) {
      const isSame = Object.entries(weights).every(
        ([name, { shape }]) => name in specified[0] && sameShape(shape, specified[0][name].shape),
      );
      if (!isSame) throw this.needed(names[i - 1]);
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

const placesOf = ({ values }: Pick<Run, "values">) => new Map(values.map((value, i) => [value, i]));

/** The same numbers in the same order; absent lists are alike. */
export function isSameList(a?: ArrayLike<number>, b?: ArrayLike<number>): boolean {
  if (a === undefined || b === undefined) return a === b;
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (!Object.is(a[i], b[i])) return false;
  return true;
}
