/**
 * Normalizations without a framework: one operation, forward and backward, on any backend.
 *
 *     const ek = await open();
 *     const { y, saved } = ek.forward(layerNorm(), x, { gamma, beta });
 *     const { dx, dGamma, dBeta } = ek.backward(saved, dy);
 */
import type { Kernels, Values } from "../kernels/contract.js";
import { reference } from "../kernels/reference/reference.js";
import { OwnHeap } from "../kernels/wasm/heap.js";
import { normalizationModule, WasmKernels } from "../kernels/wasm/wasm.js";
import { fitsShape, type Norm, type Plan, statisticsGiven } from "../norms/norm.js";
import { sizeOf } from "../view.js";
import { BackendArray, type PlainArray } from "./array.js";

export type BackendName = "wasm" | "reference";

export interface OpenOptions {
  /** `auto` (default) takes the fastest one that runs here; a name takes that one or throws. */
  backend?: BackendName | "auto";
}

/** Opens a backend with a memory of its own. */
export async function open({ backend = "auto" }: OpenOptions = {}): Promise<Evenkeel> {
  if (!["auto", "wasm", "reference"].includes(backend)) {
    throw new RangeError(`open: backend must be "auto", "wasm" or "reference", got "${backend}"`);
  }
  if (backend === "reference") return new Evenkeel(reference);
  try {
    return new Evenkeel(new WasmKernels(await normalizationModule(), new OwnHeap()));
  } catch (error) {
    if (backend === "wasm") throw error;
    return new Evenkeel(reference, error instanceof Error ? error.message : String(error));
  }
}

/** Where a function takes values: an array of the backend, or a plain one that is copied. */
export type Input = PlainArray | Values;

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

/** What `backward` needs of a forward call. It refers to x, gamma and the statistics: keep them until then. */
export interface Saved<T extends PlainArray> extends Parameters {
  readonly norm: Norm;
  readonly plan: Plan;
  readonly x: T;
  readonly variance: Input;
  /** The statistics were given, and are constants. */
  readonly given: boolean;
}

export interface ForwardResult<T extends PlainArray> {
  /** Shape of x. */
  readonly y: T;
  /** [statistics]; absent where given, and for RMS. */
  readonly mean?: T;
  /** [statistics], biased; for RMS the mean square. Absent where given. */
  readonly variance?: T;
  readonly saved: Saved<T>;
}

export interface BackwardResult<T extends PlainArray> {
  /** Shape of x. */
  readonly dx: T;
  /** [parameters]; present where the forward call had a gamma. */
  readonly dGamma?: T;
  /** [parameters]; present where the forward call had a beta. */
  readonly dBeta?: T;
}

/** A backend, the arrays that live in it, and the operation. Made by `open`. */
export class Evenkeel {
  readonly backend: string;
  private arrays = 0;
  private elements = 0;

  constructor(
    private readonly kernels: Kernels<unknown>,
    /** Why the automatic choice did not take the fastest backend, where it did not. */
    readonly fallback?: string,
  ) {
    this.backend = kernels.name;
  }

  /** Arrays that live in the backend and were not disposed: how many, and their values. */
  memory(): { arrays: number; elements: number } {
    return { arrays: this.arrays, elements: this.elements };
  }

  /** An array in the backend, with these values (copied), or with unset ones. Dispose it after its last use. */
  array(shape: readonly number[], values?: ArrayLike<number>): BackendArray {
    if (!Array.isArray(shape) || shape.some((length) => !Number.isInteger(length) || length < 0)) {
      throw new RangeError(
        `array: shape must have whole, non-negative lengths, got ${JSON.stringify(shape)}`,
      );
    }
    const size = sizeOf(shape);
    if (values && values.length !== size) {
      throw new RangeError(`array: shape [${shape.join(", ")}] holds ${size} values, got ${values.length}`);
    }
    const handle = this.kernels.allocate(size);
    this.arrays++;
    this.elements += size;
    const array = new BackendArray(this.kernels, handle, [...shape], () => {
      this.arrays--;
      this.elements -= size;
    });
    if (values) array.data.set(values);
    return array;
  }

  /**
   * Normalizes x. Results live where x lives: in the backend, without a copy, or in plain arrays.
   * @throws RangeError where a shape or a length does not fit, TypeError where statistics are given in part.
   */
  forward<T extends PlainArray>(norm: Norm, x: T, parameters: Parameters = {}): ForwardResult<T> {
    if (typeof norm?.plan !== "function") {
      throw new TypeError(
        "forward: norm must be a description, such as layerNorm(); call the function that makes it",
      );
    }
    const plan = norm.plan(x.shape);
    const given = statisticsGiven(norm, parameters.mean, parameters.variance);
    const { gamma, beta } = parameters;
    const call = new Call(this, this.kernels, norm.name, x);
    try {
      const input = call.ordered("x", x, plan);
      const output = call.result(plan.shape);
      const mean = norm.centered ? call.statistic("mean", parameters.mean, plan) : undefined;
      const variance = call.statistic("variance", parameters.variance, plan);
      this.kernels.forward({
        x: input.handle,
        y: output.handle,
        mean: mean?.handle,
        variance: variance.handle,
        given,
        epsilon: norm.epsilon,
        statistics: plan.statistics,
        parameters: plan.parameters,
        gamma: call.input("gamma", gamma, plan.parameterShape)?.handle,
        beta: call.input("beta", beta, plan.parameterShape)?.handle,
      });
      const y = call.give<T>(call.restored(output, plan));
      if (given) {
        const statistics = { mean: parameters.mean, variance: parameters.variance as Input };
        return { y, saved: { norm, plan, x, gamma, beta, ...statistics, given } };
      }
      const measured = { mean: mean && call.give<T>(mean), variance: call.give<T>(variance) };
      return { y, ...measured, saved: { norm, plan, x, gamma, beta, ...measured, given } };
    } finally {
      call.end();
    }
  }

  /**
   * Gradients of a forward call, from the gradient of its y.
   * @throws RangeError where dy has not the shape of x.
   */
  backward<T extends PlainArray>(saved: Saved<T>, dy: T): BackwardResult<T> {
    const { norm, plan, x, given } = saved;
    const call = new Call(this, this.kernels, norm.name, x);
    try {
      const upstream = call.ordered("dy", dy, plan);
      const input = call.ordered("x", x, plan);
      const output = call.result(plan.shape);
      const dGamma = saved.gamma && call.result(plan.parameterShape);
      const dBeta = saved.beta && call.result(plan.parameterShape);
      this.kernels.backward({
        dy: upstream.handle,
        x: input.handle,
        mean: call.input("mean", saved.mean, plan.statisticsShape)?.handle,
        variance: call.statistic("variance", saved.variance, plan).handle,
        given,
        epsilon: norm.epsilon,
        statistics: plan.statistics,
        parameters: plan.parameters,
        gamma: call.input("gamma", saved.gamma, plan.parameterShape)?.handle,
        dx: output.handle,
        dGamma: dGamma?.handle,
        dBeta: dBeta?.handle,
      });
      const dx = call.give<T>(call.restored(output, plan));
      return { dx, dGamma: dGamma && call.give<T>(dGamma), dBeta: dBeta && call.give<T>(dBeta) };
    } finally {
      call.end();
    }
  }
}

/** The arrays of one call: copies of plain inputs, and results that go the way that x came. */
class Call {
  private readonly temporaries = new Set<BackendArray>();
  private readonly plain: boolean;

  constructor(
    private readonly ek: Evenkeel,
    private readonly kernels: Kernels<unknown>,
    private readonly norm: string,
    x: PlainArray,
  ) {
    this.plain = !(x instanceof BackendArray);
  }

  /** An input in the backend; a plain one is copied there until the call ends. */
  input<I extends Input | undefined>(
    name: string,
    values: I,
    shape: readonly number[],
  ): I extends undefined ? undefined : BackendArray;
  input(name: string, values: Input | undefined, shape: readonly number[]): BackendArray | undefined {
    if (values === undefined) return undefined;
    const flat = ArrayBuffer.isView(values);
    const given = flat ? [values.length] : values.shape;
    if (!Array.isArray(given)) {
      throw new TypeError(
        `${this.norm}: ${name} must be a Float32Array, an array of the backend or { shape, data }, got ${JSON.stringify(values)}`,
      );
    }
    if (!fitsShape(given, shape)) {
      const got = flat ? `${values.length} values` : `[${given.join(", ")}]`;
      throw new RangeError(`${this.norm}: ${name} must have shape [${shape.join(", ")}], got ${got}`);
    }
    if (values instanceof BackendArray) {
      values.check(`${this.norm}: ${name}`);
      if (values.kernels === this.kernels) return values;
      throw new TypeError(
        `${this.norm}: ${name} lives in another backend; make it with this one's array(), or pass a copy of its data`,
      );
    }
    const data = flat ? values : values.data;
    if (data.length !== sizeOf(shape)) {
      throw new RangeError(
        `${this.norm}: ${name} of shape [${given.join(", ")}] must have ${sizeOf(shape)} values, got ${data.length}`,
      );
    }
    return this.result(shape, data);
  }

  /** An array of x's shape, with its axes in the plan's order. */
  ordered(name: string, array: PlainArray, plan: Plan): BackendArray {
    if (
      array.shape.length !== plan.shape.length ||
      array.shape.some((length, axis) => length !== plan.shape[axis])
    ) {
      const expected = `[${plan.shape.join(", ")}]`;
      throw new RangeError(
        `${this.norm}: ${name} must have the shape of x, ${expected}, got [${array.shape.join(", ")}]`,
      );
    }
    const input = this.input(name, array, plan.shape);
    if (!plan.order) return input;
    const moved = this.result(plan.shape);
    this.kernels.transpose(input.handle, moved.handle, plan.shape, plan.order);
    return moved;
  }

  /** A result with its axes back where x has them. */
  restored(moved: BackendArray, plan: Plan): BackendArray {
    const { order, shape } = plan;
    if (!order) return moved;
    const array = this.result(shape);
    const back = order.map((_, axis) => order.indexOf(axis));
    this.kernels.transpose(
      moved.handle,
      array.handle,
      order.map((axis) => shape[axis]),
      back,
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
    this.temporaries.delete(array);
    return array as PlainArray as T;
  }

  end(): void {
    for (const array of this.temporaries) array.dispose();
  }

  /** An array that is released when the call ends, unless it is given out. */
  result(shape: readonly number[], values?: ArrayLike<number>): BackendArray {
    const array = this.ek.array(shape, values);
    this.temporaries.add(array);
    return array;
  }
}
