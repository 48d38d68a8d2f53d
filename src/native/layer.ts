/**
 * Layers with weights, without a framework: `forward`, `backward`, `train()`/`eval()`, state dict in and out. One class serves every
 * normalization; those with a name of their own (named-layers.ts) only make it.
 */
import type { MappedNormalization } from "../checkpoints/normalizations/normalization.js";
import { initialize, type Normalization, type Weight } from "../formula/normalization.js";
import { checkNormalization, weightsFor } from "../formula/run.js";
import { batchCountOf, checkFramework, type NamedFramework, theirs } from "../frameworks/names.js";
import type { Mask } from "../mask.js";
import { checkReduce, type Reduce } from "../moments.js";
import { checkOptions } from "../options.js";
import { checkLengths, described, isNumbers, sameShape, sizeOf } from "../shape.js";
import { type Applied, apply, checkBackend, type Gradients, isOver } from "./apply.js";
import { BackendArray, disposable, type PlainArray } from "./array.js";
import type { Evenkeel } from "./evenkeel.js";

/** float32 copies of a layer's weights, by name: gamma, beta, runningMean, runningVariance, ... */
export type StateDict = Record<string, Float32Array>;

/** How a state dict calls the weights. */
export interface StateDictOptions {
  /** The framework whose names are used, such as `pytorch` (weight, bias, running_mean, running_var). Default: our own. */
  names?: NamedFramework;
}

/** A normalization of a checkpoint, as far as a layer needs it. */
type Mapped = Pick<MappedNormalization, "kind" | "weights" | "statistics">;

/** What a layer gives for x and a residual. Both are the caller's; `backward` needs the sum, and refers to it. */
export interface AddedAndNormalized<T extends PlainArray> {
  /** The normalized sum. */
  readonly y: T;
  /** x + residual: what the residual path goes on with. */
  readonly sum: T;
}

/** So many calls await `backward` in any case; more of them only within the values below. */
const LEAST_PENDING = 4;
/** Of x, in all calls that await `backward` (256 MiB of float32); a call counts as `CALL_VALUES` at least. */
const MOST_PENDING_VALUES = 2 ** 26;
const CALL_VALUES = 1024;

/**
 * A normalization with its weights, for inputs of these shapes. What an input must have in common with its shape here are the lengths
 * along the normalization's axes (features, channels) and those that weights depend on; batch, positions and, where the axes allow it,
 * the number of axes may differ from call to call.
 *
 * **Several calls before `backward`**, such as the two inputs of a siamese network: each `backward` takes back one `forward`, the last
 * one first, and `gradients` are the sum over all of them. The first `forward` after a `backward` begins anew: calls that were not
 * taken back are dropped, and the next `backward` overwrites `gradients`. In evaluation a layer holds on to its last call alone; in
 * training to the last 4, and more while they hold at most 2²⁶ values of x, so that neither loop runs out of memory.
 */
export class Layer {
  /** By name: those that are trained, and state such as running statistics. They live in the backend, to be read and written. */
  readonly weights: Readonly<Record<string, BackendArray>>;
  declare [Symbol.dispose]: () => void;
  /** By the names of the trained weights: the sum over the calls of `backward` since the last `forward`. */
  gradients: Readonly<Record<string, Float32Array>> = {};
  /** Of the inputs beside x, such as a condition, in the last `backward`; undefined for those that no gradient reaches. */
  inputGradients: readonly (Float32Array | undefined)[] = [];
  protected training = true;
  private frozen = false;
  private readonly specified: Readonly<Record<string, Weight>>;
  /** Lengths along the normalization's axes. */
  private readonly featureShape?: readonly number[];
  /** Shapes of the last inputs that fit: a network asks for the same over and over. */
  private fitting: readonly (readonly number[])[] = [];
  /** Calls that `backward` has not taken back, in their order. */
  private pending: { readonly call: Applied<PlainArray>; readonly values: number }[] = [];
  /** Merges moments with those of other places, in training. */
  private reduce?: Reduce;
  /** Whether `backward` was called since the last `forward`. */
  private goingBack = false;

  /**
   * @param ek the backend that the weights live in, until `dispose`
   * @param shapes of x, and of further inputs where the normalization takes them
   * @throws TypeError for what is not a backend, a normalization or a shape; RangeError for a shape that the normalization does not
   * take, and for more values than the backend holds, before anything is allocated
   */
  constructor(
    protected readonly ek: Evenkeel,
    readonly norm: Normalization,
    ...shapes: readonly (readonly number[])[]
  ) {
    checkBackend("Layer", ek);
    checkNormalization(norm, "Layer");
    if (shapes.length === 0) {
      throw new TypeError(
        "Layer: shape must be that of x, a list of lengths such as [2, 3], got none; further inputs follow",
      );
    }
    for (const [i, shape] of shapes.entries()) checkLengths("Layer", i === 0 ? "shape" : `shape ${i}`, shape);
    this.specified = weightsFor(
      norm,
      shapes.map((shape) => ({ shape })),
      {},
    );
    this.featureShape = norm.featureShape?.(...shapes);
    const weights: Record<string, BackendArray> = {};
    try {
      for (const [name, weight] of Object.entries(this.specified)) {
        weights[name] = ek.array(weight.shape);
        initialize(weight, weights[name].data);
      }
    } catch (error) {
      for (const array of Object.values(weights)) array.dispose();
      throw error;
    }
    this.weights = weights;
  }

  /** float32 [parameters]; undefined where the layer has none. */
  get gamma(): BackendArray | undefined {
    return this.weights.gamma;
  }

  /** float32 [parameters]; undefined where the layer has none. */
  get beta(): BackendArray | undefined {
    return this.weights.beta;
  }

  /** `gradients.gamma`; undefined before the first `backward`, and without a gamma. */
  get dGamma(): Float32Array | undefined {
    return this.gradients.gamma;
  }

  /** `gradients.beta`; undefined before the first `backward`, and without a beta. */
  get dBeta(): Float32Array | undefined {
    return this.gradients.beta;
  }

  /** From here on statistics are measured, and running ones updated; a layer starts so. */
  train(): this {
    this.training = true;
    return this;
  }

  /** From here on running statistics are used, where the normalization has them. */
  eval(): this {
    this.training = false;
    return this;
  }

  /**
   * Freezes state (running statistics): it is used as in evaluation and not updated, through `train()` too, until `unfreeze()`.
   * Weights that are trained still get gradients.
   */
  freeze(): this {
    this.frozen = true;
    return this;
  }

  /** Ends `freeze()`. */
  unfreeze(): this {
    this.frozen = false;
    return this;
  }

  /**
   * From here on, a layer that measures the batch merges what it measures in training with that of other places, in both passes:
   * its running statistics, y and dx are those of the whole batch, and `gradients` are of what lies here. `undefined` ends it.
   * @param reduce answers at once; every place calls it in the same order
   */
  synchronize(reduce: Reduce | undefined): this {
    checkReduce(`${this.norm.name}: synchronize`, reduce);
    this.reduce = reduce;
    return this;
  }

  /**
   * Resets running state: exponential averages go back to 0 and 1. Of an epoch's statistics or a cumulative average the counts go to
   * 0, and the last statistics serve evaluation until the next training batch replaces them.
   */
  resetState(): void {
    const reset = Object.entries(this.specified).filter(
      ([, { trained, outlastsReset }]) => !trained && !outlastsReset,
    );
    // all are asked for before one is written: a disposed one throws
    const targets = reset.map(([name, weight]) => [weight, this.weights[name].data] as const);
    for (const [weight, target] of targets) initialize(weight, target);
  }

  /**
   * y, of x's shape, where x lives. `backward` refers to x, which is not copied: leave it as it is until then.
   * @throws TypeError or RangeError for an x that this layer was not made for
   */
  forward<T extends PlainArray>(x: T, residual?: undefined, mask?: Mask): T;
  /** x + residual and its y, in one pass: `{ y, sum } = norm.forward(branch, stream)` in a transformer's block. */
  forward<T extends PlainArray>(x: T, residual: PlainArray, mask?: Mask): AddedAndNormalized<T>;
  forward<T extends PlainArray>(x: T, residual?: PlainArray, mask?: Mask): T | AddedAndNormalized<T> {
    const { y, sum } = this.call([x], { residual, mask });
    return sum ? { y, sum } : y;
  }

  /**
   * The same for a normalization of more inputs, such as x and a condition, or of more outputs (`more`). The result's own `backward`
   * takes back this very call, in whatever order; it adds to `gradients` as the layer's does, and what it returns is the caller's.
   */
  call<T extends PlainArray>(
    inputs: readonly [T, ...PlainArray[]],
    options: { residual?: PlainArray; mask?: Mask } = {},
  ): Applied<T> {
    const { norm } = this;
    if (!Array.isArray(inputs)) {
      throw new TypeError(`${norm.name}: call expected a list of inputs, [x], got ${described(inputs)}`);
    }
    checkOptions(`${norm.name}: call`, options, ["residual", "mask"]);
    this.checkInputs(inputs);
    if (this.goingBack || !this.training) this.release();
    this.goingBack = false;
    const { residual, mask } = options;
    const training = this.training && !this.frozen;
    const applied = apply(this.ek, norm, inputs, this.weights, {
      training,
      mask,
      residual,
      // in evaluation places need not run together
      reduce: training ? this.reduce : undefined,
      warn(message) {
        throw new RangeError(message);
      },
    });
    try {
      this.checkState(applied.state);
    } catch (error) {
      applied.release();
      for (const array of [applied.y, applied.sum, ...applied.more]) disposeOf(array);
      throw error;
    }
    this.write(applied.state);
    const call: Applied<T> = {
      ...applied,
      backward: (dy, more) => {
        try {
          const gradients = applied.backward(dy, more);
          this.accumulate(gradients);
          return gradients;
        } finally {
          // one that failed on its way back cannot be repeated: the calls before it must not wait behind it
          if (isOver(applied)) this.settle(call);
        }
      },
      release: () => {
        applied.release();
        this.settle(call);
      },
    };
    this.pending.push({
      call: call as Applied<PlainArray>,
      values: Math.max(CALL_VALUES, sizeOf(inputs[0].shape)),
    });
    this.dropOldest();
    return call;
  }

  /**
   * dx for the last `forward` that was not taken back yet; it is the residual's gradient too. The weights' gradients are in
   * `gradients`.
   * @param dy of the shape of y
   * @param dSum of the shape of x: the gradient that comes back along the residual path; it is added to dx
   * @throws Error where no call awaits `backward`, or an array that the call refers to was disposed, which drops the call; TypeError or
   * RangeError where a shape does not fit, which does not
   */
  backward<T extends PlainArray>(dy: T, dSum?: PlainArray): T {
    const last = this.pending.at(-1);
    if (!last) {
      throw new Error(
        `${this.norm.name}: backward needs a forward call before it: each takes back one, the last first, and a forward ` +
          "after a backward drops the others",
      );
    }
    const { dx, inputs, weights } = last.call.backward(dy, { dSum });
    for (const array of [...inputs.slice(1), ...Object.values(weights)]) disposeOf(array);
    return dx as T;
  }

  /**
   * Copies of the weights, by our names or a framework's: `layer.stateDict({ names: "pytorch" })`. Weights that the framework does not
   * have are named in its spelling. PyTorch's `num_batches_tracked` is there where the layer counts batches (a cumulative average).
   * @throws RangeError for a framework whose names are not known
   */
  stateDict(options: StateDictOptions = {}): StateDict {
    const caller = `${this.norm.name}: stateDict`;
    return Object.fromEntries(
      [...this.named(caller, options)].map(([name, { own, batchCount }]) => {
        const { data } = this.weights[own];
        return [name, Float32Array.from(batchCount ? data.subarray(0, 1) : data)];
      }),
    );
  }

  /**
   * Takes the weights from a state dict, by our names or a framework's: typed arrays, or lists of numbers as they come from JSON; or from a
   * normalization of a checkpoint (`normalizationsOf` of evenkeel/checkpoints).
   * `num_batches_tracked` of PyTorch may be a single number; a layer that counts no batches ignores it.
   * @throws TypeError for values that are not numbers, RangeError where a name is missing or unknown, a length differs, a value is not
   * finite in float32, a variance is negative, or the checkpoint's normalization is of another kind; then nothing is changed
   */
  loadStateDict(
    given: Readonly<Record<string, ArrayLike<number> | number>> | Mapped,
    options: StateDictOptions = {},
  ): void {
    const caller = `${this.norm.name}: loadStateDict`;
    if (typeof given !== "object" || given === null || Array.isArray(given)) {
      throw new TypeError(
        `${caller} expected what stateDict() gives, arrays by name, got ${described(given)}`,
      );
    }
    const state = isMapped(given) ? this.stateOf(given, caller, options) : given;
    const named = this.named(caller, options);
    const batchCount = options.names && batchCountOf(options.names);
    const others = Object.keys(state).filter((name) => !named.has(name));
    const unknown = others.filter((name) => batchCount === undefined || lastPart(name) !== batchCount);
    const missing = [...named.keys()].filter((name) => !Object.hasOwn(state, name));
    if (unknown.length > 0 || missing.length > 0) {
      throw new RangeError(
        `${caller} expected ${[...named.keys()].join(", ") || "no entries"}; ` +
          `missing: ${missing.join(", ") || "none"}; unknown: ${unknown.join(", ") || "none"}`,
      );
    }
    const countOf = (name: string) => {
      const value: unknown = state[name];
      return checkValues(caller, name, typeof value === "number" ? [value] : value, 1, 0)[0];
    };
    for (const name of others) countOf(name);
    const loaded: Record<string, Float64Array> = {};
    for (const [name, { own, batchCount }] of named) {
      const { size } = this.weights[own];
      const least = NEVER_NEGATIVE.test(own) ? 0 : undefined;
      const most = MAY_BE_INFINITE.test(own) ? Number.POSITIVE_INFINITY : undefined;
      loaded[own] = batchCount
        ? new Float64Array(size).fill(countOf(name))
        : checkValues(caller, name, state[name], size, least, most);
    }
    this.writeAll(loaded);
  }

  /** By our names. State that the file does not have, such as statistics that were not tracked, stays as it is. */
  private stateOf({ kind, weights, statistics }: Mapped, caller: string, { names }: StateDictOptions) {
    if (kind !== this.norm.name) {
      throw new RangeError(
        `${caller} expected a ${this.norm.name}, got a ${kind}; make the layer of catalog.${kind}`,
      );
    }
    if (names !== undefined) {
      throw new TypeError(
        `${caller}: names must be left out for a checkpoint's normalization, whose names are ours`,
      );
    }
    const state = Object.entries(this.specified).filter(([, { trained }]) => !trained);
    const own = Object.fromEntries(state.map(([name]) => [name, this.weights[name].data]));
    return { ...own, ...weights, ...statistics };
  }

  /** Releases the layer's arrays; it cannot be used afterwards. Also by `using layer = …`. */
  dispose(): void {
    this.release();
    for (const array of Object.values(this.weights)) array.dispose();
  }

  /** Weights by the names of a framework; the one that counts batches, for every channel here, is a single number there. */
  private named(
    caller: string,
    options: StateDictOptions,
  ): Map<string, { own: string; batchCount: boolean }> {
    checkOptions(caller, options, ["names"]);
    const { names } = options;
    if (names !== undefined) checkFramework(caller, names);
    const all = new Map<string, { own: string; batchCount: boolean }>();
    for (const own of Object.keys(this.weights)) {
      const weight = lastPart(own);
      const part = own.slice(0, -weight.length);
      const count = names && weight === "runningCount" ? batchCountOf(names) : undefined;
      const name = count ?? (names ? theirs(names, weight, this.norm.name) : weight);
      all.set(part + name, { own, batchCount: count !== undefined });
    }
    return all;
  }

  /** @throws RangeError where inputs do not fit what the layer was made for */
  private checkInputs(inputs: readonly PlainArray[]): void {
    const { norm, specified, featureShape, fitting } = this;
    const asBefore = (input: PlainArray, i: number) => sameShape(fitting[i], input?.shape ?? []);
    if (inputs.length === fitting.length && inputs.every(asBefore)) return;
    const needed = weightsFor(norm, inputs, {});
    const shapes = inputs.map(({ shape }) => shape);
    const made: [readonly number[], readonly number[] | undefined][] = Object.entries(specified).map(
      ([name, { shape }]) => [shape, needed[name]?.shape],
    );
    if (featureShape) made.push([featureShape, norm.featureShape?.(...shapes)]);
    for (const [shape, got] of made) {
      if (got && sameShape(got, shape)) continue;
      throw new RangeError(
        `${norm.name}: this layer was made for [${shape.join(", ")}], got x of shape [${shapes[0].join(", ")}], ` +
          `which has [${got?.join(", ")}] there`,
      );
    }
    this.fitting = shapes.map((shape) => [...shape]);
  }

  /** @throws RangeError where a value is not finite */
  private checkState(state: Readonly<Record<string, PlainArray>>): void {
    for (const [name, { data }] of Object.entries(state)) {
      const bad = data.findIndex((value) => !Number.isFinite(value));
      if (bad < 0) continue;
      throw new RangeError(
        `${this.norm.name}: x has a value that is not finite, or too large to square, in channel ${bad} (of ${name}); the layer's ` +
          "state was left as it was; look for a learning rate that is too high or a bad example in this batch",
      );
    }
  }

  private write(state: Readonly<Record<string, PlainArray>>): void {
    this.writeAll(Object.fromEntries(Object.entries(state).map(([name, { data }]) => [name, data])));
  }

  /** @throws Error where one of these weights was disposed; then none is written */
  private writeAll(values: Readonly<Record<string, ArrayLike<number>>>): void {
    const targets = Object.keys(values).map((name) => [name, this.weights[name].data] as const);
    for (const [name, target] of targets) target.set(values[name]);
  }

  /** Adds the gradients of a call to those since the last `forward`. */
  private accumulate({ inputs, weights, state }: Gradients<PlainArray>): void {
    // state does not follow a gradient that is not finite
    if (Object.values(state).every(({ data }) => data.every(Number.isFinite))) this.write(state);
    const before = this.goingBack ? this.gradients : {};
    this.goingBack = true;
    this.inputGradients = inputs.slice(1).map((gradient) => gradient && Float32Array.from(gradient.data));
    this.gradients = Object.fromEntries(
      Object.entries(weights).map(([name, { data }]) => {
        const sum = Float32Array.from(data);
        const earlier = before[name];
        if (earlier) for (let i = 0; i < sum.length; i++) sum[i] += earlier[i];
        return [name, sum];
      }),
    );
  }

  /** A call that no longer awaits `backward`. */
  private settle(call: unknown): void {
    this.pending = this.pending.filter((one) => one.call !== call);
  }

  private dropOldest(): void {
    let values = 0;
    for (const one of this.pending) values += one.values;
    while (this.pending.length > LEAST_PENDING && values > MOST_PENDING_VALUES) {
      values -= this.pending[0].values;
      this.pending[0].call.release();
    }
  }

  /** Drops all calls that await `backward`. */
  private release(): void {
    for (const { call } of [...this.pending]) call.release();
  }
}

disposable(Layer, "dispose");

/** A weight's name without those of the parts of a block before it, which are joined by slashes. */
function lastPart(name: string): string {
  return name.slice(name.lastIndexOf("/") + 1);
}

/** Entries of a state dict are numbers. */
function isMapped(given: object): given is Mapped {
  return "kind" in given && typeof given.kind === "string" && "weights" in given && "statistics" in given;
}

/** State of these names cannot be below 0. */
const NEVER_NEGATIVE = /(variance|deviation|count|batches|batchSize)$/i;
/** Limits of batch renormalization. */
const MAY_BE_INFINITE = /(rMax|dMax)$/;

/** The largest of float32. */
const LARGEST = (2 - 2 ** -23) * 2 ** 127;

/** Values of an entry of a state dict, as many as expected, each from `least` to `most`; by default finite in float32. */
function checkValues(
  caller: string,
  name: string,
  values: unknown,
  size: number,
  least = -LARGEST,
  most = LARGEST,
): Float64Array {
  if (!isNumbers(values)) {
    throw new TypeError(
      `${caller} expected ${size} values for ${name}, in a list or a typed array, got ${described(values)}; ` +
        "in JSON, write Array.from(values)",
    );
  }
  if (values.length !== size) {
    throw new RangeError(`${caller} expected ${size} values for ${name}, got ${values.length}`);
  }
  // by index, each read once: an iterator of the list's own, or a getter, could give others than those that were checked
  const checked = new Float64Array(size);
  for (let i = 0; i < size; i++) {
    const value = values[i];
    if (typeof value !== "number") {
      throw new TypeError(
        `${caller} expected numbers for ${name}, got ${described(value)} at index ${i}` +
          (Array.isArray(value) ? "; flatten nested lists with values.flat(Infinity)" : ""),
      );
    }
    const rounded = Math.fround(value);
    if (rounded >= least && rounded <= most) {
      checked[i] = value;
      continue;
    }
    const expected = least === 0 ? "finite values of at least 0" : "finite float32 values";
    throw new RangeError(`${caller} expected ${expected} for ${name}, got ${value} at index ${i}`);
  }
  return checked;
}

function disposeOf(array: PlainArray | undefined): void {
  if (array instanceof BackendArray) array.dispose();
}
