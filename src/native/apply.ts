/** Any normalization without a framework: its formula on the tape, with gradients of inputs and weights. */
import { type ApplyResult, initialValues, type Normalization } from "../formula/normalization.js";
import { run, weightsFor } from "../formula/run.js";
import { countsOf, type Mask } from "../mask.js";
import { checkOptions } from "../options.js";
import { checkHasShape, sameShape, sizeOf } from "../shape.js";
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
  /** Gradients of inputs and weights, from that of y (and of the sum, or of x by another way, and of `more`). Once. */
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
  options: ApplyOptions = {},
): Applied<T> {
  checkOptions("apply", options, ["training", "mask", "residual", "warn"]);
  const { training = true, mask, residual, warn } = options;
  const arrays = (Array.isArray(inputs) ? inputs : [inputs]) as readonly PlainArray[];
  const [x] = arrays;
  const given = Object.entries(weights).filter(([, values]) => values !== undefined);
  const shapes = given.map(([name, values]) => [name, shapeOf(normalization?.name, name, values)]);
  const specified = weightsFor(normalization, arrays, Object.fromEntries(shapes));
  const { name: called } = normalization;
  for (const [i, array] of arrays.entries()) checkArray(ek, called, i === 0 ? "x" : `input ${i}`, array);
  const tape = new Tape(ek);
  const leaves = arrays.map((array) => tape.input(array));
  const held: Record<string, Node> = {};
  for (const [name, weight] of Object.entries(specified)) {
    const { shape, trained } = weight;
    const values = weights[name];
    const array = values === undefined ? { shape, data: initialValues(weight) } : shaped(values, shape);
    checkArray(ek, called, name, array);
    held[name] = trained ? tape.input(array) : tape.fixed(array);
  }
  const moved: Record<string, PlainArray> = {};
  /** A result where x lives. */
  const living = (array: PlainArray): PlainArray =>
    x instanceof BackendArray && !(array instanceof BackendArray) ? ek.array(array.shape, array.data) : array;
  const formula = () => {
    if (residual) checkArray(ek, called, "residual", residual);
    return run(tape, normalization, leaves, held, {
      training,
      mask: mask && tape.fixed({ shape: mask.shape, data: countsOf(called, mask) }),
      residual: residual && tape.input(residual),
      warn,
      moveState(state) {
        for (const [name, { array }] of Object.entries(state)) moved[name] = array;
      },
    });
  };
  let result: ApplyResult<Node>;
  try {
    result = formula();
  } catch (error) {
    tape.release();
    throw error;
  }
  const y = living(result.y.array) as T;
  const sum = result.sum && (living(result.sum.array) as T);
  const more = (result.more ?? []).map(({ array }) => living(array));
  const out = [y, sum, ...more];
  let ended = false;
  return {
    y,
    sum,
    more,
    state: Object.fromEntries(Object.entries(result.state ?? {}).map(([name, { array }]) => [name, array])),
    backward(dy, { dSum, dMore = [] } = {}) {
      if (ended) {
        throw new Error(
          `${called}: backward was called already, or after release; call apply again for another one`,
        );
      }
      const handed: [string, Node, PlainArray | undefined][] = [
        ["dy", result.y, dy],
        // without a residual the sum is x itself
        ["dSum", result.sum ?? leaves[0], dSum],
        ...(result.more ?? []).map((node, i): [string, Node, PlainArray | undefined] => [
          `dMore[${i}]`,
          node,
          dMore[i],
        ]),
      ];
      for (const [name, { array }, gradient] of handed) {
        if (gradient === undefined && name !== "dy") continue;
        checkHasShape(called, name, gradient?.shape);
        checkArray(ek, called, name, gradient as PlainArray);
        if (sameShape((gradient as PlainArray).shape, array.shape)) continue;
        throw new RangeError(
          `${called}: ${name} must have shape [${array.shape.join(", ")}], got [${gradient?.shape.join(", ")}]`,
        );
      }
      ended = true;
      tape.backward(handed.map(([, node, gradient]) => [node, gradient]));
      const gradientOf = ({ gradient, array }: Node) =>
        living(gradient ?? { shape: array.shape, data: new Float32Array(sizeOf(array.shape)) });
      const dx = gradientOf(leaves[0]) as T;
      const gradients = {
        dx,
        inputs: [dx, ...leaves.slice(1).map(({ gradient }) => gradient && living(gradient))],
        weights: Object.fromEntries(
          Object.entries(held)
            .filter(([name]) => specified[name].trained)
            .map(([name, node]) => [name, gradientOf(node)]),
        ),
        state: moved,
      };
      tape.release(...out, ...gradients.inputs, ...Object.values(gradients.weights));
      return gradients;
    },
    release() {
      ended = true;
      tape.release(...out);
    },
  };
}

/** The shape of values, which may be flat. */
function shapeOf(norm: string, name: string, values: Input): readonly number[] {
  if (ArrayBuffer.isView(values)) return [values.length];
  if (Array.isArray(values?.shape)) return values.shape;
  throw new TypeError(
    `${norm}: ${name} must be a Float32Array, an array of the backend or { shape, data }, got ${JSON.stringify(values)}`,
  );
}

/** Values of this shape, where they came with one that fits it. */
function shaped(values: Input, shape: readonly number[]): PlainArray {
  if (ArrayBuffer.isView(values)) return { shape, data: values };
  if (sameShape(values.shape, shape)) return values;
  // a copy of what lives in the backend, whose memory may move
  return { shape, data: values instanceof BackendArray ? values.data.slice() : values.data };
}

/** @throws TypeError for an array of another backend, RangeError where values are not as many as the shape says. */
function checkArray(ek: Evenkeel, norm: string, name: string, array: PlainArray): void {
  const { shape } = array;
  if (array instanceof BackendArray) {
    array.check(`${norm}: ${name}`);
    if (ek.owns(array)) return;
    throw new TypeError(
      `${norm}: ${name} lives in another backend; make it with this one's array(), or pass a copy of its data`,
    );
  }
  if (array.data?.length === sizeOf(shape)) return;
  throw new RangeError(
    `${norm}: ${name} of shape [${shape.join(", ")}] must have ${sizeOf(shape)} values, got ${array.data?.length ?? "no data"}`,
  );
}
