/** Any normalization without a framework: its formula on the tape, with gradients of inputs and weights. */
import { type ApplyResult, initialize, type Normalization } from "../formula/normalization.js";
import { checkNormalization, run, weightsFor } from "../formula/run.js";
import { type Mask, maskValues } from "../mask.js";
import { checkOptions } from "../options.js";
import { checkHasShape, checkLengths, described, isNumbers, sameShape, sizeOf } from "../shape.js";
import { BackendArray, checkData, type PlainArray } from "./array.js";
import type { Evenkeel, Input } from "./evenkeel.js";
import { type Node, Tape } from "./tape.js";

/** How `apply` runs a normalization, besides its inputs and weights. */
export interface ApplyOptions {
  /** Whether normalizations that evaluate with stored statistics measure those of x instead. Default true. */
  training?: boolean;
  /** Which positions count; as in `forward`. */
  mask?: Mask;
  /** Shape of x; added to x before anything else. */
  residual?: PlainArray;
  /** Called with what is not an error but worth knowing, such as a batch of one value per channel. Default: nothing is called. */
  warn?(message: string): void;
}

/** What a normalization gives. Results live where the first input lives: in the backend, or in plain arrays. */
export interface Applied<T extends PlainArray> {
  /** The normalized array; the shape of x unless the norm's page says otherwise. */
  readonly y: T;
  /** x + residual; absent without a residual. */
  readonly sum?: T;
  /** Results beside y, where the normalization has them: a gate, or mean and standard deviation. */
  readonly more: readonly PlainArray[];
  /** New values of the weights that are not trained, by name. */
  readonly state: Readonly<Record<string, PlainArray>>;
  /**
   * Gradients of inputs and weights, from that of y (and of the sum, or of x along another path, and of `more`). It may be called
   * once.
   * @throws TypeError or RangeError where a gradient does not have the shape of its result; it may then be called again. Error where
   * an array that it refers to was disposed; it may not be called again then
   */
  backward(dy: T, more?: { dSum?: PlainArray; dMore?: readonly (PlainArray | undefined)[] }): Gradients<T>;
  /** Releases what `backward` would need, where results live in the backend; y, sum and gradients are the caller's. */
  release(): void;
}

/** Gradients of a call. */
export interface Gradients<T extends PlainArray> {
  /** Of x, and of the residual too. */
  readonly dx: T;
  /** Of all inputs, x first; undefined for those that no gradient reaches. */
  readonly inputs: readonly (PlainArray | undefined)[];
  /** By the names of the trained weights; zeros for those that no gradient reaches. */
  readonly weights: Readonly<Record<string, PlainArray>>;
  /** New values of the weights that are not trained and change in the backward pass, by name. */
  readonly state: Readonly<Record<string, PlainArray>>;
}

/**
 * Applies a normalization to x, or to x and a condition. Weights that are left out have their initial values.
 * @param weights by name: Float32Arrays, arrays of the backend, or `{ shape, data }`
 * @throws TypeError for what is not a backend, a normalization or an array; RangeError where a shape does not fit, a weight is not one
 * of the normalization's, or sizes are beyond what a backend holds
 */
export function apply<T extends PlainArray>(
  ek: Evenkeel,
  normalization: Normalization,
  inputs: T | readonly [T, ...PlainArray[]],
  weights: Readonly<Record<string, Input>> = {},
  options: ApplyOptions = {},
): Applied<T> {
  checkBackend("apply", ek);
  checkNormalization(normalization);
  checkOptions("apply", options, ["training", "mask", "residual", "warn"]);
  const { training = true, mask, residual, warn } = options;
  if (typeof training !== "boolean") {
    throw new TypeError(`apply: training must be true or false, got ${described(training)}`);
  }
  if (warn !== undefined && typeof warn !== "function") {
    throw new TypeError(`apply: warn must be a function, got ${described(warn)}`);
  }
  if (typeof weights !== "object" || weights === null) {
    throw new TypeError(`apply: weights must be an object, arrays by name, got ${described(weights)}`);
  }
  const { name: called } = normalization;
  const arrays = (Array.isArray(inputs) ? inputs : [inputs]) as readonly PlainArray[];
  const [x] = arrays;
  const given = Object.entries(weights).filter(([, values]) => values !== undefined);
  const shapes = given.map(([name, values]) => [name, shapeOf(called, name, values)]);
  const specified = weightsFor(normalization, arrays, Object.fromEntries(shapes));
  for (const [i, array] of arrays.entries()) checkArray(ek, called, i === 0 ? "x" : `input ${i}`, array);
  if (residual !== undefined) checkArray(ek, called, "residual", residual);
  const masked = normalization.handles?.mask === "last" ? arrays[arrays.length - 1] : x;
  const counts = mask === undefined ? undefined : maskValues(called, mask, masked.shape);
  const tape = new Tape(ek);
  const leaves = arrays.map((array) => tape.input(array));
  const weightNodes: Record<string, Node> = {};
  for (const [name, weight] of Object.entries(specified)) {
    const { shape, trained } = weight;
    const values = Object.hasOwn(weights, name) ? weights[name] : undefined;
    let array: PlainArray;
    if (values === undefined) {
      const data = new (ek.precision === "float64" ? Float64Array : Float32Array)(sizeOf(shape));
      initialize(weight, data);
      array = { shape, data };
    } else {
      array = shaped(values, shape);
      checkArray(ek, called, name, array);
    }
    weightNodes[name] = trained ? tape.input(array) : tape.fixed(array);
  }
  const backwardState: Record<string, PlainArray> = {};
  /** A result where x lives. */
  const living = (array: PlainArray): PlainArray =>
    x instanceof BackendArray && !(array instanceof BackendArray) ? ek.array(array.shape, array.data) : array;
  const formula = () =>
    run(tape, normalization, leaves, weightNodes, {
      training,
      mask: mask && counts && tape.fixed({ shape: mask.shape, data: counts }),
      residual: residual && tape.input(residual),
      warn,
      moveState(state) {
        for (const [name, { array }] of Object.entries(state)) backwardState[name] = array;
      },
    });
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
  const applied: Applied<T> = {
    y,
    sum,
    more,
    state: Object.fromEntries(Object.entries(result.state ?? {}).map(([name, { array }]) => [name, array])),
    backward(dy, gradientsBeside = {}) {
      checkOptions(`${called}: backward`, gradientsBeside, ["dSum", "dMore"]);
      const { dSum, dMore = [] } = gradientsBeside;
      if (!Array.isArray(dMore)) {
        throw new TypeError(
          `${called}: dMore must be a list of gradients, one for each of \`more\`, got ${described(dMore)}`,
        );
      }
      if (isOver(applied)) {
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
        checkArray(ek, called, name, gradient as PlainArray);
        if (sameShape((gradient as PlainArray).shape, array.shape)) continue;
        throw new RangeError(
          `${called}: ${name} must have shape [${array.shape.join(", ")}], got [${gradient?.shape.join(", ")}]`,
        );
      }
      over.add(applied);
      try {
        tape.backward(handed.map(([, node, gradient]) => [node, gradient]));
      } catch (error) {
        // gradients are there in part, so that a second attempt would add to them
        tape.release(...out);
        throw error;
      }
      const gradientOf = ({ gradient, array }: Node) =>
        living(gradient ?? { shape: array.shape, data: new Float32Array(sizeOf(array.shape)) });
      const dx = gradientOf(leaves[0]) as T;
      const gradients = {
        dx,
        inputs: [dx, ...leaves.slice(1).map(({ gradient }) => gradient && living(gradient))],
        weights: Object.fromEntries(
          Object.entries(weightNodes)
            .filter(([name]) => specified[name].trained)
            .map(([name, node]) => [name, gradientOf(node)]),
        ),
        state: backwardState,
      };
      tape.release(...out, ...gradients.inputs, ...Object.values(gradients.weights));
      return gradients;
    },
    release() {
      over.add(applied);
      tape.release(...out);
    },
  };
  return applied;
}

const over = new WeakSet<object>();

/** Whether what `apply` gave has no `backward` left: it was called, whether or not it succeeded, or the result was released. */
export function isOver(applied: object): boolean {
  return over.has(applied);
}

/** @throws TypeError for what is not a backend, such as the promise of one. */
export function checkBackend(caller: string, ek: unknown): asserts ek is Evenkeel {
  const { array, forward } = (ek ?? {}) as Partial<Evenkeel>;
  if (typeof array === "function" && typeof forward === "function") return;
  throw new TypeError(`${caller}: ek must be a backend, which await open() gives, got ${described(ek)}`);
}

/** The shape of values, which may be flat. */
function shapeOf(norm: string, name: string, values: Input): readonly number[] {
  if (isNumbers(values) && !Array.isArray(values)) return [values.length];
  const { shape } = (values ?? {}) as Partial<PlainArray>;
  if (Array.isArray(shape)) {
    checkLengths(norm, name, shape);
    return shape;
  }
  throw new TypeError(
    `${norm}: ${name} must be a Float32Array, an array of the backend or { shape, data }, got ${described(values)}`,
  );
}

/** The values in this shape, which theirs fits. */
function shaped(values: Input, shape: readonly number[]): PlainArray {
  if (ArrayBuffer.isView(values)) return { shape, data: values };
  if (sameShape(values.shape, shape)) return values;
  // copied from the backend, whose memory may move
  return { shape, data: values instanceof BackendArray ? values.data.slice() : values.data };
}

/**
 * @throws TypeError for what is not an array, or one of another backend; RangeError where values are not as many as the shape says;
 * Error for one that was disposed
 */
function checkArray(ek: Evenkeel, norm: string, name: string, array: PlainArray): void {
  checkHasShape(norm, name, array?.shape);
  const { shape } = array;
  if (array instanceof BackendArray) {
    array.check(`${norm}: ${name}`);
    if (ek.owns(array)) return;
    throw new TypeError(
      `${norm}: ${name} lives in another backend; make it with this one's array(), or pass a copy of its data`,
    );
  }
  checkLengths(norm, name, shape);
  checkData(norm, name, shape, array.data);
}
