/** Any normalization without a framework: its formula on the tape, with gradients of inputs and weights. */
import type { Mask } from "../mask.js";
import { type Normalization, run } from "../norms/normalization.js";
import { sameShape, sizeOf } from "../view.js";
import { BackendArray, type PlainArray } from "./array.js";
import type { Evenkeel, Input } from "./evenkeel.js";
import { type Node, Tape } from "./tape.js";

export interface ApplyOptions {
  /** Whether statistics are measured, by what measures them in training alone. Default true. */
  training?: boolean;
  /** Which positions count; as in `forward`. */
  mask?: Mask;
  /** Shape of x; added to x before anything else. */
  residual?: PlainArray;
  /** Hears of what is no error, such as a batch of one value per channel. Default: nobody. */
  warn?(message: string): void;
}

/** What a normalization gives. Results live where the first input lives. */
export interface Applied<T extends PlainArray> {
  /** The normalized array. */
  readonly y: T;
  /** x + residual; absent without a residual. */
  readonly sum?: T;
  /** What it gives beside y. */
  readonly more: readonly PlainArray[];
  /** What replaces the weights that are not trained, by name. */
  readonly state: Readonly<Record<string, PlainArray>>;
  /** Gradients of inputs and weights, from that of y (and of the sum, and of `more`). */
  backward(dy: T, more?: { dSum?: PlainArray; dMore?: readonly (PlainArray | undefined)[] }): Gradients<T>;
  /** Releases what is kept for `backward`, where results live in the backend; y, sum, and gradients are the caller's. */
  release(): void;
}

export interface Gradients<T extends PlainArray> {
  /** Of x, of the residual too. */
  readonly dx: T;
  /** Of all inputs, x first; undefined where none came back. */
  readonly inputs: readonly (PlainArray | undefined)[];
  /** By the names of the trained weights; 0 where none came back. */
  readonly weights: Readonly<Record<string, PlainArray>>;
  /** What replaces weights that are not trained and move in the backward pass, by name. */
  readonly state: Readonly<Record<string, PlainArray>>;
}

/**
 * Applies a normalization to x, or to x and a condition. Weights that are left out have their initial values.
 * @throws RangeError where a shape does not fit, or a weight is not one of the normalization's
 */
export function apply<T extends PlainArray>(
  ek: Evenkeel,
  normalization: Normalization,
  inputs: T | readonly [T, ...PlainArray[]],
  weights: Readonly<Record<string, Input>> = {},
  { training = true, mask, residual, warn }: ApplyOptions = {},
): Applied<T> {
  if (typeof normalization?.apply !== "function") {
    throw new TypeError(
      "apply: expected a normalization, such as layerNorm(); call the function that makes it",
    );
  }
  const arrays: readonly PlainArray[] = Array.isArray(inputs) ? inputs : [inputs as T];
  const [x] = arrays;
  const specified = normalization.weights(...arrays.map(({ shape }) => shape));
  const unknown = Object.keys(weights).filter((name) => !(name in specified));
  if (unknown.length > 0) {
    throw new RangeError(
      `${normalization.name}: no weights are called ${unknown.join(", ")}; there are ${Object.keys(specified).join(", ") || "none"}`,
    );
  }
  const tape = new Tape(ek);
  const leaves = arrays.map((array) => tape.input(array));
  const held: Record<string, Node> = {};
  for (const [name, { shape, initial, trained }] of Object.entries(specified)) {
    const array = weights[name] === undefined ? filled(shape, initial) : shaped(weights[name], shape);
    if (sizeOf(array.shape) !== sizeOf(shape)) {
      throw new RangeError(
        `${normalization.name}: ${name} must have shape [${shape.join(", ")}], got [${array.shape.join(", ")}]`,
      );
    }
    held[name] = trained ? tape.input(array) : tape.fixed(array);
  }
  const added = residual && tape.input(residual);
  const later: Record<string, PlainArray> = {};
  const given = run(tape, normalization, leaves, held, {
    training,
    mask: mask && tape.fixed(mask as PlainArray),
    residual: added,
    warn,
    keepLater(state) {
      for (const [name, { array }] of Object.entries(state)) later[name] = array;
    },
  });
  /** A result where x lives. */
  const living = (array: PlainArray): PlainArray =>
    x instanceof BackendArray && !(array instanceof BackendArray) ? ek.array(array.shape, array.data) : array;
  const y = living(given.y.array) as T;
  const sum = given.sum && (living(given.sum.array) as T);
  const more = (given.more ?? []).map(({ array }) => array);
  const out = [y, sum, ...more];
  return {
    y,
    sum,
    more,
    state: Object.fromEntries(Object.entries(given.state ?? {}).map(([name, { array }]) => [name, array])),
    backward(dy, { dSum, dMore = [] } = {}) {
      const others = (given.more ?? []).map((node, i) => [node, dMore[i]] as const);
      tape.backward([[given.y, dy], ...(given.sum ? [[given.sum, dSum] as const] : []), ...others]);
      const gradientOf = ({ gradient, array }: Node) =>
        living(gradient ?? { shape: array.shape, data: new Float32Array(sizeOf(array.shape)) });
      const dx = gradientOf(leaves[0]) as T;
      const result = {
        dx,
        inputs: [dx, ...leaves.slice(1).map(({ gradient }) => gradient && living(gradient))],
        weights: Object.fromEntries(
          Object.entries(held)
            .filter(([name]) => specified[name].trained)
            .map(([name, node]) => [name, gradientOf(node)]),
        ),
        state: later,
      };
      tape.release(...out, ...result.inputs, ...Object.values(result.weights));
      return result;
    },
    release: () => tape.release(...out),
  };
}

function filled(shape: readonly number[], value: number | ArrayLike<number>): PlainArray {
  const data = new Float64Array(sizeOf(shape));
  if (typeof value === "number") data.fill(value);
  else data.set(value);
  return { shape, data };
}

/** Values of this shape, where they came without one. */
function shaped(values: Input, shape: readonly number[]): PlainArray {
  const array = ArrayBuffer.isView(values) ? { shape: [values.length], data: values } : values;
  if (sameShape(array.shape, shape) || sizeOf(array.shape) !== sizeOf(shape)) return array;
  return { shape, data: array.data };
}
