/** Any normalization without a framework: its formula as a program, with gradients of inputs and weights. */
import { initialize, type Normalization } from "../formula/normalization.js";
import { checkNormalization, weightsFor } from "../formula/run.js";
import type { StorageType } from "../kernels/contract.js";
import { type Mask, maskValues } from "../mask.js";
import { type AsyncReduce, atOnce, checkReduce, type Reduce } from "../moments.js";
import { checkOptions } from "../options.js";
import {
  type BackwardProgram,
  execute,
  type ForwardProgram,
  mapped,
  programOf,
  type Slot,
} from "../program/program.js";
import { checkHasShape, checkLengths, described, isNumbers, sameShape, sizeOf } from "../shape.js";
import { BackendArray, checkData, type PlainArray, type Store } from "./array.js";
import type { Evenkeel, Input } from "./evenkeel.js";

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
  /**
   * Merges the moments of a batch that lies in several places, and answers at once: for normalizations that measure the batch, in the
   * forward pass and in the backward pass. Others ignore it. Default: the batch is all here.
   */
  reduce?: Reduce;
}

/** How `applyOver` runs a normalization. */
export interface ApplyOverOptions extends Omit<ApplyOptions, "reduce"> {
  /** As in `ApplyOptions`; the answer may take time. */
  reduce: AsyncReduce;
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

/** What `applyOver` gives: as `apply`, but the backward pass waits for the other places too. */
export interface AppliedOver<T extends PlainArray> extends Omit<Applied<T>, "backward"> {
  /** As that of `Applied`. */
  backward(...gradients: Parameters<Applied<T>["backward"]>): Promise<Gradients<T>>;
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
  // nothing waits, since its reduction answers at once
  return applying<T>("apply", ek, normalization, inputs, weights, options, atOnce) as Applied<T>;
}

/**
 * The same for a batch that lies in several places, whose moments take time to be merged:
 *
 *     const { y, backward } = await applyOver(ek, batchNorm(), x, weights, { reduce });
 *     const { dx } = await backward(dy);
 *
 * y, dx and new state are those of the whole batch, as far as it lies here; gradients of weights are of what lies here, for whoever
 * adds them up. All places call the same normalizations in the same order, each with a batch of any size; arrays that a call brings
 * must be left as they are until it ends.
 * @throws as `apply`; what `reduce` throws
 */
export async function applyOver<T extends PlainArray>(
  ek: Evenkeel,
  normalization: Normalization,
  inputs: T | readonly [T, ...PlainArray[]],
  weights: Readonly<Record<string, Input>>,
  options: ApplyOverOptions,
): Promise<AppliedOver<T>> {
  const call = await applying<T>(
    "applyOver",
    ek,
    normalization,
    inputs,
    weights,
    options,
    (reduce) => reduce,
  );
  return { ...call, backward: async (...gradients) => call.backward(...gradients) };
}

/** A call whose passes may wait. */
interface Calling<T extends PlainArray> extends Omit<Applied<T>, "backward"> {
  backward(...gradients: Parameters<Applied<T>["backward"]>): Gradients<T> | Promise<Gradients<T>>;
}

/** What follows a run: at once, or when it has waited. `failed` is called where either throws. */
function following<R>(run: () => Promise<void> | void, next: () => R, failed: () => void): R | Promise<R> {
  const fail = (error: unknown): never => {
    failed();
    throw error;
  };
  try {
    const waiting = run();
    return waiting === undefined ? next() : waiting.then(next).catch(fail);
  } catch (error) {
    return fail(error);
  }
}

function applying<T extends PlainArray>(
  caller: string,
  ek: Evenkeel,
  normalization: Normalization,
  inputs: T | readonly [T, ...PlainArray[]],
  weights: Readonly<Record<string, Input>>,
  options: ApplyOptions | ApplyOverOptions,
  answering: (reduce: AsyncReduce) => AsyncReduce,
): Calling<T> | Promise<Calling<T>> {
  checkBackend(caller, ek);
  checkNormalization(normalization);
  checkOptions(caller, options, ["training", "mask", "residual", "warn", "reduce"]);
  const { training = true, mask, residual, warn } = options;
  if (typeof training !== "boolean") {
    throw new TypeError(`${caller}: training must be true or false, got ${described(training)}`);
  }
  if (warn !== undefined && typeof warn !== "function") {
    throw new TypeError(`${caller}: warn must be a function, got ${described(warn)}`);
  }
  checkReduce(caller, options.reduce);
  const reduce = options.reduce && answering(options.reduce);
  if (typeof weights !== "object" || weights === null) {
    throw new TypeError(`${caller}: weights must be an object, arrays by name, got ${described(weights)}`);
  }
  const { name: called } = normalization;
  const arrays = (Array.isArray(inputs) ? inputs : [inputs]) as readonly PlainArray[];
  const [x] = arrays;
  const given = Object.entries(weights).filter(([, values]) => values !== undefined);
  const shapes = given.map(([name, values]) => [name, shapeOf(called, name, values)]);
  const specified = weightsFor(normalization, arrays, Object.fromEntries(shapes));
  for (const [i, array] of arrays.entries()) checkArray(ek, called, nameOf(i), array);
  if (residual !== undefined) checkArray(ek, called, "residual", residual);
  for (const [name, { shape }] of Object.entries(specified)) {
    const values = Object.hasOwn(weights, name) ? weights[name] : undefined;
    if (values !== undefined) checkArray(ek, called, name, shaped(values, shape));
  }
  const masked = normalization.handles?.mask === "last" ? arrays[arrays.length - 1] : x;
  const counts = mask === undefined ? undefined : maskValues(called, mask, masked.shape);
  const program = programOf(normalization, {
    inputs: arrays.map(({ shape }) => shape),
    mask: mask?.shape,
    residual: residual?.shape,
    training,
    differentiable: true,
    movesState: true,
    merges: reduce !== undefined,
  });
  for (const message of program.warnings) warn?.(message);
  const plain = !(x instanceof BackendArray);
  const call = new ProgramArrays(ek.store, called, plain);
  const begin = () => {
    for (const [i, array] of arrays.entries()) call.bring(program.inputs[i], nameOf(i), array);
    for (const [name, weight] of Object.entries(specified)) {
      const values = Object.hasOwn(weights, name) ? weights[name] : undefined;
      if (values === undefined) {
        const data = new (ek.precision === "float64" ? Float64Array : Float32Array)(sizeOf(weight.shape));
        initialize(weight, data);
        call.bring(program.weights[name], name, { shape: weight.shape, data });
      } else call.bring(program.weights[name], name, shaped(values, weight.shape));
    }
    if (residual) call.bring(program.residual, "residual", residual);
    if (mask && counts) call.bring(program.mask, "mask", { shape: mask.shape, data: counts });
    const results = [program.y, program.sum, ...program.more, ...Object.values(program.state)];
    return call.run(program, [...results, ...program.saved], reduce);
  };
  const end = (): Calling<T> => {
    const y = call.give(program.y, program.inputs[0]) as T;
    const sum = program.sum && (call.give(program.sum, program.inputs[0]) as T);
    const more = program.more.map((slot) => call.give(slot));
    const state = mapped(program.state, (slot) => call.values(slot));
    call.lend(program.y, program.sum, ...program.more);
    if (plain) call.park(program.saved);
    const applied: Calling<T> = {
      y,
      sum,
      more,
      state,
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
        const back = program.backward({
          sum: dSum !== undefined,
          more: program.more.map((_, i) => dMore[i] !== undefined),
        });
        const handed: [string, Slot | undefined, PlainArray | undefined][] = [
          ["dy", back.dy, dy],
          ["dSum", back.dSum, dSum],
          ...back.dMore.map((slot, i): [string, Slot | undefined, PlainArray | undefined] => [
            `dMore[${i}]`,
            slot,
            dMore[i],
          ]),
        ];
        for (const [name, slot, gradient] of handed) {
          if (slot === undefined) continue;
          checkArray(ek, called, name, gradient as PlainArray);
          if (sameShape((gradient as PlainArray).shape, slot.shape)) continue;
          throw new RangeError(
            `${called}: ${name} must have shape [${slot.shape.join(", ")}], got [${gradient?.shape.join(", ")}]`,
          );
        }
        over.add(applied);
        const byWeight = Object.values(back.weights);
        const begin = () => {
          for (const [name, slot, gradient] of handed) {
            if (slot && gradient) call.bring(slot, name, gradient);
          }
          return call.run(back, [...back.inputs, ...byWeight, ...Object.values(back.state)], reduce);
        };
        const end = () => {
          const zeros = ({ shape }: Slot): PlainArray => ({ shape, data: new Float32Array(sizeOf(shape)) });
          const gradientOf = (slot: Slot | undefined, of: Slot) =>
            slot
              ? call.give(slot, of)
              : plain
                ? zeros(of)
                : ek.array(of.shape, zeros(of).data, { type: call.typeOf(of) });
          const dx = gradientOf(back.inputs[0], program.inputs[0]) as T;
          const gradients = {
            dx,
            inputs: [
              dx,
              ...back.inputs.slice(1).map((slot, i) => slot && call.give(slot, program.inputs[i + 1])),
            ],
            weights: mapped(back.weights, (slot, name) => gradientOf(slot, program.weights[name])),
            state: mapped(back.state, (slot) => call.values(slot)),
          };
          call.lend(...back.inputs, ...byWeight);
          call.release();
          return gradients;
        };
        return following(begin, end, () => call.release());
      },
      release() {
        // a backward pass, which may be waiting, releases by itself
        if (isOver(applied)) return;
        over.add(applied);
        call.release();
      },
    };
    return applied;
  };
  return following(begin, end, () => call.release());
}

/** The arrays of a call: what it brings, which is copied where it is plain, and what programs make of it. */
class ProgramArrays {
  /** Handles, by buffer. */
  private readonly handles: unknown[] = [];
  /** Arrays of ours by buffer, which are released in the end. */
  private readonly own = new Map<number, BackendArray>();
  /** Types of what was not float32, and results of these that are not lent yet, by buffer. */
  private readonly types = new Map<Slot, StorageType>();
  private readonly narrow = new Map<number, BackendArray>();
  /** What was copied, to be brought again. */
  private readonly parked = new Map<Slot, { name: string; array: PlainArray }>();
  /** Arrays of others, which must still be there when they are read. */
  private readonly brought = new Map<number, { name: string; array: BackendArray }>();

  constructor(
    private readonly store: Store,
    private readonly norm: string,
    private readonly plain: boolean,
  ) {}

  bring(slot: Slot | undefined, name: string, array: PlainArray): void {
    if (slot === undefined) return;
    if (array instanceof BackendArray && array.type === "float32") {
      this.handles[slot.buffer] = array.handle;
      this.brought.set(slot.buffer, { name, array });
      return;
    }
    if (array instanceof BackendArray) this.types.set(slot, array.type);
    this.copy(slot, array);
    this.parked.set(slot, { name, array });
  }

  /** Programs compute in float32. */
  private copy(slot: Slot, array: PlainArray): void {
    const room = this.room(slot);
    if (array instanceof BackendArray) {
      this.store.kernels.cast(array.handle, array.type, room.handle, "float32", array.size);
    } else room.data.set(array.data);
  }

  /** Leaves the backend until the next run, with what was brought and what was saved. */
  park(saved: readonly Slot[]): void {
    for (const slot of saved) this.parked.set(slot, { name: "what was saved", array: this.values(slot) });
    this.releaseOwn();
  }

  /** An array that is written before a program runs. */
  room({ buffer, shape }: Slot): BackendArray {
    const array = this.store.make(shape);
    this.own.set(buffer, array);
    this.handles[buffer] = array.handle;
    return array;
  }

  run(
    program: ForwardProgram | BackwardProgram,
    lasting: readonly (Slot | undefined)[],
    reduce: AsyncReduce | undefined,
  ): Promise<void> | void {
    this.checkBrought(program);
    for (const [slot, { name, array }] of this.parked) {
      if (this.own.has(slot.buffer)) continue;
      if (array instanceof BackendArray) array.check(`${this.norm}: ${name}`);
      this.copy(slot, array);
    }
    const shapes = new Map(lasting.flatMap((slot) => (slot ? [[slot.buffer, slot.shape]] : [])));
    const make = (buffer: number) => {
      const shape = shapes.get(buffer);
      return shape && this.room({ buffer, shape }).handle;
    };
    // while it waits the caller has its turn
    const merging = reduce && { reduce, resumed: () => this.checkBrought(program) };
    return execute(this.store.kernels, program, this.handles, make, merging);
  }

  private checkBrought({ instructions }: ForwardProgram | BackwardProgram): void {
    for (const { reads } of instructions) {
      for (const buffer of reads) {
        const { array, name } = this.brought.get(buffer) ?? {};
        if (array?.disposed) array.check(`${this.norm}: ${name}`);
      }
    }
  }

  /** A result where x lives, of the type that was brought to `like`, whose shape it has; of another shape it is float32. */
  give({ buffer, shape }: Slot, like?: Slot): PlainArray {
    const array = this.own.get(buffer) as BackendArray;
    const type = like && sameShape(shape, like.shape) ? this.types.get(like) : undefined;
    if (type) {
      const narrow = this.store.cast(array, type);
      this.narrow.set(buffer, narrow);
      return narrow;
    }
    return this.plain ? { shape, data: array.data.slice() } : array;
  }

  /** Of what was brought. */
  typeOf(slot: Slot): StorageType {
    return this.types.get(slot) ?? "float32";
  }

  /** A copy of a result. */
  values({ buffer, shape }: Slot): PlainArray {
    return { shape, data: (this.own.get(buffer) as BackendArray).data.slice() };
  }

  /** These are the caller's now, unless they were copied. */
  lend(...slots: readonly (Slot | undefined)[]): void {
    if (this.plain) return;
    for (const slot of slots) {
      if (slot === undefined || this.narrow.delete(slot.buffer)) continue;
      const array = this.own.get(slot.buffer) as BackendArray;
      this.own.delete(slot.buffer);
      this.brought.set(slot.buffer, { name: "the sum", array });
    }
  }

  release(): void {
    this.releaseOwn();
    this.parked.clear();
    this.brought.clear();
  }

  private releaseOwn(): void {
    for (const array of [...this.own.values(), ...this.narrow.values()]) array.dispose();
    this.own.clear();
    this.narrow.clear();
  }
}

const nameOf = (input: number) => (input === 0 ? "x" : `input ${input}`);

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
  // an array of the backend is its values alone, whatever shape they are seen in
  return values instanceof BackendArray || sameShape(values.shape, shape)
    ? values
    : { shape, data: values.data };
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
