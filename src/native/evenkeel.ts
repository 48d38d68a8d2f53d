/**
 * Normalizations without a framework: one operation, forward and backward, on any backend.
 *
 *     const ek = await open();
 *     const { y, saved } = ek.forward(layerNorm(), x, { gamma, beta });
 *     const { dx, dGamma, dBeta } = ek.backward(saved, dy);
 */
import { checkEpsilon, statisticsGiven } from "../formula/checks.js";
import { type FusedNorm, identityView, maskViewOf, type Plan } from "../formula/plan.js";
import { type OpenOptions, openBackend } from "../kernels/backends.js";
import type { Kernels, StorageType, Values } from "../kernels/contract.js";
import { narrow } from "../kernels/host-loops.js";
import { fillMask, type Mask, maskValues } from "../mask.js";
import { checkOptions, parameterNames } from "../options.js";
import { checkHasShape, checkLengths, described, fitsShape, isNumbers, sameShape, sizeOf } from "../shape.js";
import type { View } from "../view.js";
import { BackendArray, checkData, disposable, type PlainArray, Store } from "./array.js";

/**
 * Opens a backend with a memory of its own: the fastest one that runs here, unless `options` ask for another.
 *
 *     const ek = await open();
 *
 * @throws TypeError or RangeError where an option is unknown or impossible, Error where a backend that was asked for does
 * not run here; the message says what helps.
 */
export async function open(options: OpenOptions = {}): Promise<Evenkeel> {
  const { kernels, fallback } = await openBackend(options);
  return new Evenkeel(kernels, fallback);
}

/** Where a function takes values: an array of the backend, or a plain one that is copied. */
export type Input = PlainArray | Values;

/** How an array is made. */
export interface ArrayOptions {
  /**
   * How values are stored. float16 and bfloat16 take half the memory, and half the time where memory is what limits; arithmetic and
   * statistics are float32 all the same. float16 has 11 significant bits, up to 65504 (beyond, values become infinite), bfloat16 8, over
   * the range of float32. Default float32.
   */
  type?: StorageType;
}

/** gamma, beta, and statistics that are given. */
export interface Parameters {
  /** [parameters]; absent: 1. */
  gamma?: Input;
  /** [parameters]; absent: 0. */
  beta?: Input;
  /** Statistics to use instead of those of x: mean [statistics] (not for RMS) and biased variance [statistics]. */
  mean?: Input;
  variance?: Input;
}

/** What a forward call takes beside x. */
export interface ForwardOptions extends Parameters {
  /** Shape of x; added to x before anything else, in the same pass over memory. */
  residual?: PlainArray;
  /**
   * Which positions count, [batch, length] for x [batch, length, features]: padding enters no statistic and no gradient, whatever
   * it holds, and y is 0 there. See `maskOfLengths`.
   */
  mask?: Mask;
}

/**
 * What `backward` needs of a forward call. It refers to x (to the sum, where there was a residual), gamma, the mask and
 * the statistics: keep them until then.
 */
export interface Saved<T extends PlainArray> extends Parameters {
  readonly norm: FusedNorm;
  readonly plan: Plan;
  /** What was normalized: x, or the sum. */
  readonly x: T;
  readonly variance: Input;
  /** The statistics were given, and are constants. */
  readonly given: boolean;
  readonly mask?: Mask;
}

/** What `forward` gives; arrays live where x lives. */
export interface ForwardResult<T extends PlainArray> {
  /** Shape of x. */
  readonly y: T;
  /** x + residual, of which y and the statistics are; absent without a residual. */
  readonly sum?: T;
  /** [statistics]; absent where given, and for RMS. */
  readonly mean?: T;
  /** [statistics], biased; for RMS the mean square. Absent where given. */
  readonly variance?: T;
  readonly saved: Saved<T>;
}

/** What `backward` gives: gradients, which live where x lives. */
export interface BackwardResult<T extends PlainArray> {
  /** Shape of x. Where there was a residual, this is its gradient too. */
  readonly dx: T;
  /** [parameters]; present where the forward call had a gamma. */
  readonly dGamma?: T;
  /** [parameters]; present where the forward call had a beta. */
  readonly dBeta?: T;
}

const FORWARD_OPTIONS = ["gamma", "beta", "mean", "variance", "residual", "mask"];

/** A backend, the arrays that live in it, and the operation. Made by `open`. */
export class Evenkeel {
  readonly backend: string;
  /** Of results: float32, or float64 on the reference. */
  readonly precision: "float32" | "float64";
  /** Where its arrays are made; for programs, which run on its kernels. */
  readonly store: Store;
  declare [Symbol.dispose]: () => void;

  constructor(
    private readonly kernels: Kernels<unknown>,
    /** Why the automatic choice did not take the fastest backend, and what helps; absent where it did. */
    readonly fallback?: string,
  ) {
    this.backend = kernels.name;
    this.precision = kernels.precision;
    this.store = new Store(kernels);
  }

  /** Arrays that live in the backend and were not disposed: how many, and their values. */
  memory(): { arrays: number; elements: number } {
    const { arrays, elements } = this.store;
    return { arrays, elements };
  }

  /** Whether an array lives in this backend. */
  owns(array: BackendArray): boolean {
    return array instanceof BackendArray && array.kernels === this.kernels;
  }

  /**
   * Threads that share large arrays now, the calling one included: 1 until the first large array (96 KiB) has started the others
   * and they run, which no call waits for; fewer than were asked for where the host starts no workers.
   */
  get threads(): number {
    return this.kernels.threads;
  }

  /**
   * Ends what runs beside the caller: later calls run on the calling thread alone, and arrays stay. A process ends without it, and
   * an instance that is dropped is closed when it is collected as garbage. Also by `using ek = await open()`.
   */
  close(): void {
    this.kernels.close();
  }

  /**
   * An array in the backend, with these values (copied), or with unset ones. Dispose it after its last use.
   *
   *     const x = ek.array([512, 768], values, { type: "bfloat16" });
   *
   * @throws TypeError where shape is no list or values are no numbers; RangeError where lengths are no sizes, the number of
   * values is not that of the shape, the type is none, or there is no room for them.
   */
  array(shape: readonly number[], values?: ArrayLike<number>, options: ArrayOptions = {}): BackendArray {
    checkLengths("array", "shape", shape);
    checkOptions("array", options, ["type"], { dtype: "type" });
    const { type = "float32" } = options;
    checkType("array", type);
    if (values !== undefined) checkValues(values, shape);
    if (type === "float32" || values === undefined) {
      const array = this.store.make(shape, type);
      if (values) array.data.set(values);
      return array;
    }
    const wide = this.store.make(shape);
    try {
      // rounded once: to float32 first, a tie might be gone
      wide.data.set(values instanceof Float32Array ? values : Array.from(values, narrow[type]));
      return this.store.cast(wide, type);
    } finally {
      wide.dispose();
    }
  }

  /**
   * A copy of another type, in the backend: rounded to the nearest, ties to even; from 65520 on infinite in float16. Dispose it after
   * its last use.
   * @throws TypeError for what is not an array, RangeError for a type that is none, Error for an array that was disposed
   */
  cast(array: PlainArray, type: StorageType): BackendArray {
    checkType("cast", type);
    checkHasShape("cast", "array", array?.shape);
    const call = new Call(this.store, "cast", array);
    try {
      return this.store.cast(call.anyInput("array", array, array.shape), type);
    } finally {
      call.end();
    }
  }

  /**
   * Normalizes x, or x + residual. Results live where x lives: in the backend, without a copy, or in plain arrays. y and the sum have
   * the type of x, which a residual must have too; statistics are float32.
   * @throws RangeError where a shape or a length does not fit, TypeError where statistics are given in part, or an array has another
   * type.
   */
  forward<T extends PlainArray>(norm: FusedNorm, x: T, options: ForwardOptions = {}): ForwardResult<T> {
    if (typeof norm?.plan !== "function") {
      throw new TypeError(
        "forward: norm must be the operation alone, such as layerNorm(); call the function that makes it, and apply other normalizations by apply()",
      );
    }
    checkHasShape(norm.name, "x", x?.shape);
    checkOptions("forward", options, FORWARD_OPTIONS, parameterNames);
    const plan = norm.plan(x.shape);
    // of an empty array it may be divided by 0 values
    if (sizeOf(plan.shape) > 0) checkEpsilon(norm.name, norm.epsilon);
    const { gamma, beta, residual, mask } = options;
    const given = statisticsGiven(norm, options.mean, options.variance);
    const call = new Call(this.store, norm.name, x);
    try {
      // "here" is in the backend, with axes in the plan's order
      const xHere = call.ordered("x", x, plan);
      const { type } = xHere;
      const residualHere = residual === undefined ? undefined : call.ordered("residual", residual, plan);
      if (residualHere) checkSameType(norm.name, "residual", residualHere.type, type);
      const sumHere = residualHere && call.result(plan.shape, type);
      const yHere = call.result(plan.shape, type);
      const meanHere = norm.centered ? call.statistic("mean", options.mean, plan) : undefined;
      const varianceHere = call.statistic("variance", options.variance, plan);
      this.kernels.forward({
        type,
        x: xHere.handle,
        residual: residualHere?.handle,
        sum: sumHere?.handle,
        y: yHere.handle,
        mean: meanHere?.handle,
        variance: varianceHere.handle,
        given,
        epsilon: norm.epsilon,
        statistics: plan.statistics,
        parameters: plan.parameters,
        gamma: call.input("gamma", gamma, plan.parameterShape)?.handle,
        beta: call.input("beta", beta, plan.parameterShape)?.handle,
        ...call.masked(mask, plan),
      });
      const yBack = call.restored(yHere, plan);
      const sumBack = sumHere && call.restored(sumHere, plan);
      // nothing is given out before the last array is made: where there is no room for one, all are released
      const y = call.give<T>(yBack);
      const sum = sumBack && call.give<T>(sumBack);
      const mean = given || !meanHere ? undefined : call.give<T>(meanHere);
      const variance = given ? undefined : call.give<T>(varianceHere);
      const saved = {
        norm,
        plan,
        x: sum ?? x,
        gamma,
        beta,
        mean: mean ?? options.mean,
        variance: variance ?? (options.variance as Input),
        given,
        mask,
      };
      return { y, sum, mean, variance, saved };
    } finally {
      call.end();
    }
  }

  /**
   * Gradients of a forward call, from the gradient of its y.
   *
   * What was normalized (the sum, or x where there was no residual) often goes a second way too, past the norm: in a
   * transformer along the residual path. The gradient that comes back from there is `dSum`, of the shape of x; it is
   * added to dx in the same pass over memory.
   * @throws TypeError for what `forward` did not give as `saved`, or is not an array; RangeError where dy or dSum has not the shape of
   * x.
   */
  backward<T extends PlainArray>(saved: Saved<T>, dy: T, dSum?: PlainArray): BackwardResult<T> {
    checkSaved(saved);
    const { norm, plan, x, given } = saved;
    const call = new Call(this.store, norm.name, x);
    try {
      const ordered = [
        call.ordered("x", x, plan),
        call.ordered("dy", dy, plan),
        ...(dSum === undefined ? [] : [call.ordered("dSum", dSum, plan)]),
      ];
      const type = commonType(norm.name, ordered);
      const [xHere, dyHere, dSumHere] = ordered.map((array) => call.as(array, type));
      const dxHere = call.result(plan.shape, type);
      const dGamma = saved.gamma && call.result(plan.parameterShape);
      const dBeta = saved.beta && call.result(plan.parameterShape);
      this.kernels.backward({
        type,
        dy: dyHere.handle,
        dSum: (dSumHere as BackendArray | undefined)?.handle,
        x: xHere.handle,
        mean: call.input("mean", saved.mean, plan.statisticsShape)?.handle,
        variance: call.statistic("variance", saved.variance, plan).handle,
        given,
        epsilon: norm.epsilon,
        statistics: plan.statistics,
        parameters: plan.parameters,
        gamma: call.input("gamma", saved.gamma, plan.parameterShape)?.handle,
        dx: dxHere.handle,
        dGamma: dGamma?.handle,
        dBeta: dBeta?.handle,
        ...call.masked(saved.mask, plan),
      });
      const dx = call.give<T>(call.as(call.restored(dxHere, plan), ordered[0].type));
      return { dx, dGamma: dGamma && call.give<T>(dGamma), dBeta: dBeta && call.give<T>(dBeta) };
    } finally {
      call.end();
    }
  }
}

disposable(Evenkeel, "close");

/** @throws TypeError for what is not the `saved` of a forward call, such as its whole result */
function checkSaved(saved: unknown): void {
  const { norm, plan, x } = (saved ?? {}) as Partial<Saved<PlainArray>>;
  if (typeof norm?.plan === "function" && Array.isArray(plan?.shape) && Array.isArray(x?.shape)) return;
  const whole = typeof saved === "object" && saved !== null && "saved" in saved;
  throw new TypeError(
    "backward: saved must be what forward gives by that name, got " +
      (whole ? "its whole result; pass result.saved" : described(saved)),
  );
}

const types: readonly StorageType[] = ["float32", "float16", "bfloat16"];

/** @throws RangeError for a type that there is not */
function checkType(caller: string, type: unknown): void {
  if (types.includes(type as StorageType)) return;
  const got = typeof type === "string" ? `"${type}"` : described(type);
  throw new RangeError(`${caller}: type must be "float32", "float16" or "bfloat16", got ${got}`);
}

/** @throws TypeError where an array is not of the type of x */
function checkSameType(norm: string, name: string, got: StorageType, expected: StorageType): void {
  if (got === expected) return;
  throw new TypeError(
    `${norm}: ${name} must be ${expected}, as x is, got ${got}; cast it by ek.cast(${name}, "${expected}")`,
  );
}

/**
 * The type that a backward call computes in: that of x, dy and dSum, or float32 where one of them is.
 * @throws TypeError where float16 meets bfloat16, neither of which holds the other
 */
function commonType(norm: string, [x, dy, dSum]: readonly BackendArray[]): StorageType {
  for (const [name, array] of Object.entries({ dy, dSum })) {
    if (!array || array.type === x.type || array.type === "float32" || x.type === "float32") continue;
    checkSameType(norm, name, array.type, x.type);
  }
  if (dSum && dSum.type !== dy.type && dSum.type !== "float32" && dy.type !== "float32") {
    throw new TypeError(
      `${norm}: dSum must be ${dy.type}, as dy is, got ${dSum.type}; cast it by ek.cast(dSum, "${dy.type}")`,
    );
  }
  return x.type === dy.type && (dSum?.type ?? x.type) === x.type ? x.type : "float32";
}

function checkValues(values: ArrayLike<number>, shape: readonly number[]): void {
  const length = values?.length;
  if (length !== sizeOf(shape)) {
    throw new RangeError(
      `array: shape [${shape.join(", ")}] holds ${sizeOf(shape)} values, got ${length ?? values}`,
    );
  }
  // of a typed array, all are what the first one is
  for (let i = 0; i < (ArrayBuffer.isView(values) ? Math.min(1, length) : length); i++) {
    if (typeof values[i] === "number") continue;
    throw new TypeError(`array: values must be numbers, got ${typeof values[i]} at index ${i}`);
  }
}

/** The arrays of one call: copies of plain inputs, and results that go the way that x came. */
class Call {
  /** What is released when the call ends. */
  private readonly temporaries: BackendArray[] = [];
  private readonly plain: boolean;

  constructor(
    private readonly store: Store,
    private readonly norm: string,
    x: PlainArray,
  ) {
    this.plain = !(x instanceof BackendArray);
  }

  /** An input of float32 in the backend; a plain one is copied there until the call ends. */
  input<I extends Input | Mask | undefined>(
    name: string,
    values: I,
    shape: readonly number[],
  ): I extends undefined ? undefined : BackendArray;
  input(name: string, values: Input | Mask | undefined, shape: readonly number[]): BackendArray | undefined {
    if (values === undefined) return undefined;
    const array = this.anyInput(name, values, shape);
    if (array.type === "float32") return array;
    throw new TypeError(
      `${this.norm}: ${name} must be float32, whatever x is, got ${array.type}; cast it by ek.cast(${name}, "float32")`,
    );
  }

  /** The same of any type. */
  anyInput(name: string, values: Input | Mask, shape: readonly number[]): BackendArray {
    // an array that was made here has been checked
    if (values instanceof BackendArray && sameShape(values.shape, shape)) return this.own(name, values);
    const flat = ArrayBuffer.isView(values) && isNumbers(values);
    const given = flat ? [values.length] : values?.shape;
    if (!Array.isArray(given)) {
      throw new TypeError(
        `${this.norm}: ${name} must be a Float32Array, an array of the backend or { shape, data }, got ${described(values)}`,
      );
    }
    checkLengths(this.norm, name, given);
    if (!fitsShape(given, shape)) {
      const got = flat ? `${values.length} values` : `[${given.join(", ")}]`;
      throw new RangeError(`${this.norm}: ${name} must have shape [${shape.join(", ")}], got ${got}`);
    }
    if (values instanceof BackendArray) return this.own(name, values);
    const data = flat ? values : values.data;
    checkData(this.norm, name, given, data);
    const copy = this.result(shape);
    copy.data.set(data as ArrayLike<number>);
    return copy;
  }

  /** An array of this backend that is still there. */
  private own(name: string, array: BackendArray): BackendArray {
    if (array.disposed) array.check(`${this.norm}: ${name}`);
    if (array.kernels === this.store.kernels) return array;
    throw new TypeError(
      `${this.norm}: ${name} lives in another backend; make it with this one's array(), or pass a copy of its data`,
    );
  }

  /** The mask of a call, in the backend, and its view; nothing where there is none. */
  masked(mask: Mask | undefined, plan: Plan): { mask?: unknown; masks?: View } {
    if (mask === undefined) return {};
    const inBackend = mask instanceof BackendArray;
    const data = inBackend ? undefined : maskValues(this.norm, mask, plan.shape);
    const masks = maskViewOf(this.norm, plan, mask.shape);
    const values = this.input("mask", data ? { shape: mask.shape, data } : mask, mask.shape);
    if (masks) return { mask: values.handle, masks };
    const whole = this.result(plan.shape);
    fillMask(values, whole);
    return { mask: this.ordered("mask", whole, plan).handle, masks: identityView(whole.size) };
  }

  /** An array of x's shape, with its axes in the plan's order. */
  ordered(name: string, array: PlainArray, plan: Plan): BackendArray {
    checkHasShape(this.norm, name, array?.shape);
    if (!sameShape(array.shape, plan.shape)) {
      checkLengths(this.norm, name, array.shape);
      const expected = `[${plan.shape.join(", ")}]`;
      throw new RangeError(
        `${this.norm}: ${name} must have the shape of x, ${expected}, got [${array.shape.join(", ")}]`,
      );
    }
    const input = this.anyInput(name, array, plan.shape);
    if (!plan.order) return input;
    const moved = this.result(plan.shape, input.type);
    this.store.kernels.transpose(input.handle, moved.handle, plan.shape, plan.order, input.type);
    return moved;
  }

  /** A result with its axes back where x has them. */
  restored(moved: BackendArray, plan: Plan): BackendArray {
    const { order, shape } = plan;
    if (!order) return moved;
    const array = this.result(shape, moved.type);
    const back = order.map((_, axis) => order.indexOf(axis));
    this.store.kernels.transpose(
      moved.handle,
      array.handle,
      order.map((axis) => shape[axis]),
      back,
      moved.type,
    );
    return array;
  }

  /** Given statistics, or room for measured ones. */
  statistic(name: string, given: Input | undefined, plan: Plan): BackendArray {
    return given === undefined
      ? this.result(plan.statisticsShape)
      : this.input(name, given, plan.statisticsShape);
  }

  /** A result, as the caller gets it. */
  give<T extends PlainArray>(array: BackendArray): T {
    if (this.plain) return { data: array.data.slice(), shape: array.shape } as PlainArray as T;
    const { temporaries } = this;
    const last = temporaries.pop() as BackendArray;
    if (last !== array) temporaries[temporaries.indexOf(array)] = last;
    return array as PlainArray as T;
  }

  end(): void {
    for (const array of this.temporaries) array.dispose();
  }

  /** An array that is released when the call ends, unless it is given out. */
  result(shape: readonly number[], type?: StorageType): BackendArray {
    const array = this.store.makeOf(shape, type);
    this.temporaries.push(array);
    return array;
  }

  /** The array, or a copy of this type that is released when the call ends. */
  as(array: BackendArray, type: StorageType): BackendArray {
    if (array.type === type) return array;
    const copy = this.store.cast(array, type);
    this.temporaries.push(copy);
    return copy;
  }
}
