/** What a network is run on: what somebody gives, or inputs that are made to the shapes that it declares, hard ones among them. */
import { capitalize, listed, quote } from "@evenkeel/report/format";
import type { Tensor, Values } from "evenkeel/checkpoints";
import type { Graph } from "evenkeel/onnx";
import { uniformFloat64 } from "pure-rand/distribution/uniformFloat64";
import { generatorOf } from "../data/random.js";
import { UsageError } from "../errors.js";
import type { Port, TensorData, Tensors } from "./runtime.js";

/** Inputs of one run. */
export interface Sample {
  readonly kind: SampleKind;
  /** What they are, in a few words. */
  readonly text: string;
  readonly feeds: Tensors;
}

/** `given`, `ordinary`, and what float inputs are made of to be hard. */
export type SampleKind = "given" | "ordinary" | "far" | "huge" | "narrow" | "zeros";

/** What each kind is called. */
export const sampleTexts: Readonly<Record<SampleKind, string>> = {
  given: "the given inputs",
  ordinary: "ordinary inputs",
  far: "a mean of 10⁴",
  huge: "one huge value",
  narrow: "a tiny spread",
  zeros: "zeros",
};

const HARD: readonly SampleKind[] = ["far", "huge", "narrow", "zeros"];
const FLOATS: Readonly<Record<string, number>> = {
  float64: 2 ** -52,
  float32: 2 ** -23,
  float16: 2 ** -10,
  bfloat16: 2 ** -7,
};

/** Relative distance of neighbouring numbers of a type; 0 of one that is not of floats. */
export const stepOf = (dtype: string): number => (Object.hasOwn(FLOATS, dtype) ? FLOATS[dtype] : 0);

/** Values of an input: more is beyond what is made, since all samples are in memory at once. */
const MOST_VALUES = 2 ** 24;
const MEAN = 1e4;
const HUGE = 1e4;
const NARROW = 1e-5;

/** A length for each that is open, by the name under which `openLengths` has it. */
export type Lengths = ReadonlyMap<string, number>;

type Role = "batch" | "sequence" | "image" | "past" | "channels";

/** Lengths by what they are of. The first that a network runs with are taken. */
const TRIED: readonly Readonly<Record<Role, number>>[] = [
  { batch: 2, sequence: 16, image: 64, past: 4, channels: 3 },
  { batch: 1, sequence: 16, image: 64, past: 4, channels: 3 },
  { batch: 1, sequence: 16, image: 224, past: 0, channels: 3 },
  { batch: 1, sequence: 32, image: 32, past: 4, channels: 1 },
  { batch: 1, sequence: 1, image: 256, past: 4, channels: 3 },
  { batch: 1, sequence: 64, image: 128, past: 0, channels: 3 },
  { batch: 1, sequence: 128, image: 28, past: 0, channels: 1 },
  { batch: 1, sequence: 512, image: 299, past: 0, channels: 3 },
  { batch: 1, sequence: 1024, image: 512, past: 0, channels: 3 },
  { batch: 1, sequence: 16_000, image: 640, past: 0, channels: 4 },
];

/** What names of lengths say. */
const NAMED: readonly [RegExp, Role][] = [
  [/past|cache/i, "past"],
  [/batch|^n$|^b$|^bs$/i, "batch"],
  [/seq|len|time|step|token|frame|sample/i, "sequence"],
  [/height|width|^h$|^w$|row|col|size|pixel/i, "image"],
  [/channel|^c$/i, "channels"],
];

/** What a length is called among those that are open; one without a name by its place. */
const lengthKey = (port: Port, axis: number): string =>
  typeof port.shape[axis] === "string" && port.shape[axis] !== ""
    ? port.shape[axis]
    : `${port.name}[${axis}]`;

/** A sum of names, such as "past_sequence_length + 1", is not open by itself. */
const termsOf = (name: string): string[] => name.split("+").map((term) => term.trim());

function roleOf(port: Port, axis: number): Role {
  const name = String(port.shape[axis]);
  const named = NAMED.find(([pattern]) => pattern.test(name));
  if (named) return named[1];
  if (axis === 0) return "batch";
  const rank = port.shape.length;
  if (rank !== 4) return "sequence";
  // the axis of channels is the shortest where it is said, and the first after the batch where not
  const isLast = typeof port.shape[3] === "number" && port.shape[3] <= 4;
  if (isLast || typeof port.shape[1] === "number") return "image";
  return axis === 1 ? "channels" : "image";
}

/** Lengths to try, one set after the other; one set without any where no length is open. */
export function lengthsTried(ports: readonly Port[]): Lengths[] {
  const roles = new Map<string, Role>();
  for (const port of ports) {
    for (const [axis, length] of port.shape.entries()) {
      if (typeof length === "number") continue;
      for (const term of termsOf(lengthKey(port, axis))) {
        if (!/^\d+$/.test(term) && !roles.has(term)) roles.set(term, roleOf(port, axis));
      }
    }
  }
  const tried = TRIED.map((of) => new Map([...roles].map(([name, role]) => [name, of[role]])));
  const seen = new Set<string>();
  return tried.filter((lengths) => {
    const key = JSON.stringify([...lengths.values()]);
    return !seen.has(key) && seen.add(key);
  });
}

/** The shape of an input with these lengths. */
export function shapeWith(port: Port, lengths: Lengths): number[] {
  return port.shape.map((length, axis) =>
    typeof length === "number"
      ? length
      : termsOf(lengthKey(port, axis)).reduce(
          (sum, term) => sum + (/^\d+$/.test(term) ? Number(term) : (lengths.get(term) ?? 1)),
          0,
        ),
  );
}

/** Why no inputs can be made for a network; undefined where they can. */
export function notMade(ports: readonly Port[]): string | undefined {
  const other = ports.find(({ dtype }) => !isMade(dtype));
  return other && `its input ${quote(other.name)} is of ${other.dtype}, of which none is made`;
}

/** The array of each type that inputs are made of; float16 as float32, bool as uint8. */
const arrays = {
  float64: Float64Array,
  float32: Float32Array,
  float16: Float32Array,
  int64: BigInt64Array,
  uint64: BigUint64Array,
  int32: Int32Array,
  uint32: Uint32Array,
  int16: Int16Array,
  uint16: Uint16Array,
  int8: Int8Array,
  uint8: Uint8Array,
  bool: Uint8Array,
} as const;

const isMade = (dtype: string): dtype is keyof typeof arrays => Object.hasOwn(arrays, dtype);

/** Numbers in the array of a type. */
function arrayOf(dtype: keyof typeof arrays, numbers: ArrayLike<number | bigint>): Values {
  const Made = arrays[dtype];
  if (numbers instanceof Made) return numbers;
  if (Made === BigInt64Array || Made === BigUint64Array) return Made.from(Array.from(numbers, BigInt));
  return (Made as Float64ArrayConstructor).from(Array.from(numbers, Number));
}

interface Draw {
  kind: SampleKind;
  dtype: string;
  /** From 0 to below 1. */
  uniform(): number;
  /** Integers are from 0 to below this. */
  below: number;
}

function drawn(size: number, { kind, dtype, uniform, below }: Draw): Float64Array {
  const values = new Float64Array(size);
  const step = stepOf(dtype);
  if (step === 0) return dtype === "bool" ? values : values.map(() => Math.floor(uniform() * below));
  if (kind === "zeros") return values;
  // so that neighbouring values differ in this type
  const spread = kind === "far" ? Math.max(1, 16 * step * MEAN) : kind === "narrow" ? NARROW : 1;
  const mean = kind === "far" ? MEAN : 0;
  for (let i = 0; i < size; i++) {
    values[i] = mean + spread * Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
  }
  if (kind === "huge" && size > 0) values[Math.floor(uniform() * size)] = HUGE;
  return values;
}

/** Operators that only change how integers lie, or their type. */
const PASSING = new Set([
  "Cast",
  "Identity",
  "Reshape",
  "Unsqueeze",
  "Squeeze",
  "Flatten",
  "Transpose",
  "Slice",
]);

/** For inputs that are indices of a table, such as words of a vocabulary, how many rows it has; of several tables the least. */
export function indicesBelow({ nodes, inputs, constants, values }: Graph): Map<string, number> {
  const source = new Map(inputs.map(({ name }) => [name, name]));
  const below = new Map<string, number>();
  for (const { operator, inputs: read, outputs, attributes } of nodes) {
    const of = source.get(read[0] ?? "");
    if (of !== undefined && PASSING.has(operator)) source.set(outputs[0], of);
    if (operator !== "Gather" && operator !== "GatherV2") continue;
    const input = source.get(read[1]);
    const axis = Number(attributes.get("axis")?.value ?? 0);
    const length = (constants.get(read[0])?.shape ?? values.get(read[0])?.shape)?.at(axis);
    if (input === undefined || typeof length !== "number" || length < 1) continue;
    below.set(input, Math.min(length, below.get(input) ?? length));
  }
  return below;
}

/** Integers of an input of which nothing is known; one alone is mostly a count. */
function usualBelow({ dtype, shape }: Port): number {
  if (dtype === "uint8" && shape.length >= 3) return 2 ** 8;
  return 2;
}

/**
 * Inputs for each kind: the hard ones only where there are floats that can be hard.
 * @param below for inputs of indices how many there are, by the input's name
 * @throws RangeError where an input would be too large
 */
export function madeSamples(
  ports: readonly Port[],
  lengths: Lengths,
  { below = new Map(), seed = 1 }: { below?: ReadonlyMap<string, number>; seed?: number } = {},
): Sample[] {
  const isMask = ({ name }: Port) => /mask/i.test(name);
  const canBeHard = ports.some((port) => stepOf(port.dtype) > 0 && !isMask(port));
  return (["ordinary", ...(canBeHard ? HARD : [])] as SampleKind[]).map((kind, number) => {
    const generator = generatorOf(1000 * seed + number);
    const feeds = ports.map((port): [string, TensorData] => {
      const shape = shapeWith(port, lengths);
      const size = shape.reduce((product, length) => product * length, 1);
      if (size > MOST_VALUES) {
        throw new RangeError(
          `its input ${quote(port.name)} of [${shape.join(", ")}] is too large to be made`,
        );
      }
      // a count of 0 or a temperature of noise says nothing
      const isOne = size === 1 && shape.length < 2 && port.dtype !== "bool";
      const numbers =
        isOne || isMask(port)
          ? new Float64Array(size).fill(1)
          : drawn(size, {
              kind,
              dtype: port.dtype,
              uniform: () => uniformFloat64(generator),
              below: below.get(port.name) ?? usualBelow(port),
            });
      if (!isMade(port.dtype)) throw new TypeError(`madeSamples: ${notMade(ports)}`);
      return [port.name, { dtype: port.dtype, shape, values: arrayOf(port.dtype, numbers) }];
    });
    return { kind, text: sampleTexts[kind], feeds: Object.fromEntries(feeds) };
  });
}

/** Arrays that a message names. */
const MOST_NAMED = 8;

/** Types that may be given for another without a loss that matters. */
const INSTEAD: Readonly<Record<string, readonly string[]>> = {
  float16: ["float32", "float64"],
  float32: ["float64", "float16"],
  int64: ["int32", "int16", "uint8", "bool"],
  int32: ["int64"],
  bool: ["uint8", "int64", "int32"],
};

/**
 * The inputs that somebody gives, as the network takes them; what else is given, such as its outputs, is left out.
 * @throws UsageError for one that is missing, and for another type or shape
 */
export async function givenFeeds(
  ports: readonly Port[],
  given: ReadonlyMap<string, Tensor>,
): Promise<Tensors> {
  const names = listed(ports.map(({ name }) => quote(name)));
  const lengths = new Map<string, number>();
  const feeds: [string, TensorData][] = [];
  for (const port of ports) {
    const tensor = given.get(port.name);
    if (tensor === undefined) {
      throw new UsageError(
        `--inputs: expected an array for each of the network's inputs (${names}), got ${listed([...given.keys()].slice(0, MOST_NAMED).map((name) => quote(name)))}; add ${quote(port.name)}`,
      );
    }
    const { dtype, shape } = tensor;
    const fits =
      shape.length === port.shape.length &&
      port.shape.every((length, axis) => {
        if (typeof length === "number") return length === shape[axis];
        const known = length === "" ? shape[axis] : (lengths.get(length) ?? shape[axis]);
        lengths.set(length, known);
        return known === shape[axis];
      });
    if (!fits) {
      throw new UsageError(
        `--inputs: expected ${quote(port.name)} of [${port.shape.map((length) => (length === "" ? "?" : length)).join(", ")}], got [${shape.join(", ")}]; bring it in that shape`,
      );
    }
    if (dtype !== port.dtype && !INSTEAD[port.dtype]?.includes(dtype)) {
      throw new UsageError(
        `--inputs: expected ${quote(port.name)} of ${port.dtype}, got ${dtype}; convert it with NumPy's astype`,
      );
    }
    feeds.push([port.name, { dtype: port.dtype, shape, values: await valuesFor(port, tensor) }]);
  }
  return Object.fromEntries(feeds);
}

async function valuesFor({ dtype }: Port, tensor: Tensor): Promise<Values> {
  const values = await tensor.read();
  if (!isMade(dtype)) return values;
  return arrayOf(
    dtype,
    dtype === "bool"
      ? Array.from(values as ArrayLike<number | bigint>, (value) => Number(Number(value) !== 0))
      : values,
  );
}

/** "batch 2, sequence 16": the lengths that were chosen. */
export const lengthsText = (lengths: Lengths): string =>
  capitalize(listed([...lengths].map(([name, length]) => `${name} ${length}`)));
