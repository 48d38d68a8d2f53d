/**
 * Layers with weights, without a framework: `forward`, `backward`, `train()`/`eval()`, state dict in and out. One class
 * serves every normalization; those that have a name of their own know how to be made.
 *
 * A state dict holds float32 copies by our own names: gamma, beta, runningMean, runningVariance, ...
 */
import { initialValues, type Normalization, type Weight } from "../formula/normalization.js";
import { checkNormalization } from "../formula/run.js";
import type { Mask } from "../mask.js";
import { sameShape } from "../shape.js";
import { type Applied, apply } from "./apply.js";
import { BackendArray, type PlainArray } from "./array.js";
import type { Evenkeel } from "./evenkeel.js";

export type StateDict = Record<string, Float32Array>;

/** What a layer gives for x and a residual. Both are the caller's; the sum is kept (not copied) for `backward`. */
export interface AddedAndNormalized<T extends PlainArray> {
  /** The normalized sum. */
  readonly y: T;
  /** x + residual: what the residual path goes on with. */
  readonly sum: T;
}

/** A normalization with its weights: any of them, made for inputs of these shapes (the batch axis may have any length). */
export class Layer {
  /** By name: what is trained, and state. */
  readonly weights: Readonly<Record<string, BackendArray>>;
  /** Of the last `backward`, by the names of the trained weights. */
  gradients: Readonly<Record<string, Float32Array>> = {};
  /** Of the last `backward`: of the inputs behind x, such as a condition; undefined where none came back. */
  inputGradients: readonly (Float32Array | undefined)[] = [];
  protected training = true;
  private frozen = false;
  private applied?: Applied<PlainArray>;
  private readonly specified: Readonly<Record<string, Weight>>;

  constructor(
    protected readonly ek: Evenkeel,
    readonly norm: Normalization,
    ...shapes: readonly (readonly number[])[]
  ) {
    checkNormalization(norm);
    this.specified = norm.weights(...shapes);
    this.weights = Object.fromEntries(
      Object.entries(this.specified).map(([name, weight]) => [
        name,
        ek.array(weight.shape, initialValues(weight)),
      ]),
    );
  }

  /** float32 [parameters]; undefined where the layer has none. */
  get gamma(): BackendArray | undefined {
    return this.weights.gamma;
  }

  get beta(): BackendArray | undefined {
    return this.weights.beta;
  }

  get dGamma(): Float32Array | undefined {
    return this.gradients.gamma;
  }

  get dBeta(): Float32Array | undefined {
    return this.gradients.beta;
  }

  train(): this {
    this.training = true;
    return this;
  }

  eval(): this {
    this.training = false;
    return this;
  }

  /**
   * Holds what is kept between calls: the layer goes on as in evaluation, through `train()` too, until `unfreeze()`. What is
   * trained still is.
   */
  freeze(): this {
    this.frozen = true;
    return this;
  }

  unfreeze(): this {
    this.frozen = false;
    return this;
  }

  /**
   * Starts what is kept between calls anew: an epoch's statistics, or a cumulative average. There the counts go to 0 and the last
   * statistics stay for evaluation, until the next training batch takes their place; exponential ones start again at 0 and 1.
   */
  resetState(): void {
    for (const [name, weight] of Object.entries(this.specified)) {
      if (!weight.trained && !weight.outlastsReset) this.weights[name].data.set(initialValues(weight));
    }
  }

  /** y, of x's shape, where x lives. Inputs are kept (not copied) for `backward`. */
  forward<T extends PlainArray>(x: T, residual?: undefined, mask?: Mask): T;
  /** x + residual and its y, in one pass: `{ y, sum } = norm.forward(branch, stream)` in a transformer's block. */
  forward<T extends PlainArray>(x: T, residual: PlainArray, mask?: Mask): AddedAndNormalized<T>;
  forward<T extends PlainArray>(x: T, residual?: PlainArray, mask?: Mask): T | AddedAndNormalized<T> {
    const { y, sum } = this.call([x], { residual, mask });
    return sum ? { y, sum } : y;
  }

  /** The same for a normalization of more inputs, such as x and a condition, or of more outputs (`more`). */
  call<T extends PlainArray>(
    inputs: readonly [T, ...PlainArray[]],
    { residual, mask }: { residual?: PlainArray; mask?: Mask } = {},
  ): Applied<T> {
    this.forget();
    const { norm } = this;
    const asked = norm.weights(...inputs.map(({ shape }) => shape));
    for (const [name, { shape }] of Object.entries(this.specified)) {
      if (sameShape(asked[name]?.shape ?? [], shape)) continue;
      throw new RangeError(
        `${norm.name}: this layer was made for [${shape.join(", ")}], got x of shape [${inputs[0].shape.join(", ")}], ` +
          `which has [${asked[name]?.shape.join(", ")}] there`,
      );
    }
    const applied = apply(this.ek, norm, inputs, this.weights, {
      training: this.training && !this.frozen,
      mask,
      residual,
      warn(message) {
        throw new RangeError(message);
      },
    });
    try {
      this.keep(applied.state);
    } catch (error) {
      applied.release();
      for (const array of [applied.y, applied.sum, ...applied.more]) {
        if (array instanceof BackendArray) array.dispose();
      }
      throw error;
    }
    this.applied = applied as Applied<PlainArray>;
    return applied;
  }

  /**
   * dx for the last `forward`, which is the residual's gradient too; those of the weights are left in `gradients`. `dSum`,
   * of the shape of x, is the gradient that comes back along the residual path; it is added to dx.
   */
  backward<T extends PlainArray>(dy: T, dSum?: PlainArray): T {
    if (!this.applied) throw new Error(`${this.norm.name}: backward needs a forward call before it`);
    const { dx, inputs, weights, state } = this.applied.backward(dy, { dSum });
    this.applied = undefined;
    // a gradient that is not finite moves nothing
    if (Object.values(state).every(({ data }) => data.every(Number.isFinite))) this.write(state);
    this.inputGradients = inputs.slice(1).map((gradient) => gradient && taken(gradient));
    this.gradients = Object.fromEntries(
      Object.entries(weights).map(([name, gradient]) => [name, taken(gradient)]),
    );
    return dx as T;
  }

  /** Copies of the weights. */
  stateDict(): StateDict {
    return Object.fromEntries(
      Object.entries(this.weights).map(([name, { data }]) => [name, Float32Array.from(data)]),
    );
  }

  /** @throws RangeError where a name is missing or unknown, or a length differs; then nothing is changed. */
  loadStateDict(state: StateDict): void {
    if (typeof state !== "object" || state === null) {
      throw new TypeError(
        `${this.norm.name}: loadStateDict expected what stateDict() gives, arrays by name, got ${state}`,
      );
    }
    const own = this.weights;
    const unknown = Object.keys(state).filter((name) => !(name in own));
    const missing = Object.keys(own).filter((name) => !(name in state));
    if (unknown.length > 0 || missing.length > 0) {
      throw new RangeError(
        `${this.norm.name}: loadStateDict expected ${Object.keys(own).join(", ") || "no entries"}; ` +
          `missing: ${missing.join(", ") || "none"}; unknown: ${unknown.join(", ") || "none"}`,
      );
    }
    for (const [name, { size }] of Object.entries(own)) {
      const given = state[name]?.length;
      if (given !== size) {
        throw new RangeError(
          `${this.norm.name}: loadStateDict expected ${size} values for ${name}, got ${given ?? "no list"}` +
            (given === undefined ? "; in JSON, write Array.from(values)" : ""),
        );
      }
      if (!Array.prototype.every.call(state[name], (value) => typeof value === "number")) {
        throw new TypeError(`${this.norm.name}: loadStateDict expected numbers for ${name}`);
      }
    }
    for (const [name, { data }] of Object.entries(own)) data.set(state[name]);
  }

  /** Releases the layer's arrays. */
  dispose(): void {
    this.forget();
    for (const array of Object.values(this.weights)) array.dispose();
  }

  /** All of it, or, where a value is not finite, nothing. */
  private keep(state: Readonly<Record<string, PlainArray>>): void {
    for (const [name, { data }] of Object.entries(state)) {
      const bad = data.findIndex((value) => !Number.isFinite(value));
      if (bad < 0) continue;
      throw new RangeError(
        `${this.norm.name}: x has a value that is not finite, or too large to square, in channel ${bad} (of ${name}); what the layer ` +
          "keeps was left as it was; look for a learning rate that is too high or a bad example in this batch",
      );
    }
    this.write(state);
  }

  private write(state: Readonly<Record<string, PlainArray>>): void {
    for (const [name, { data }] of Object.entries(state)) this.weights[name].data.set(data);
  }

  private forget(): void {
    this.applied?.release();
    this.applied = undefined;
  }
}

/** A gradient as plain values; an array of the backend is released. */
function taken(array: PlainArray): Float32Array {
  const values = Float32Array.from(array.data);
  if (array instanceof BackendArray) array.dispose();
  return values;
}
