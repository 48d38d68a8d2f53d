/**
 * One TensorFlow.js operation with one gradient for every normalization.
 *
 * On the wasm backend it runs the kernels on TensorFlow.js's own memory, without a copy (after `install`). On every
 * other backend it is composed from tf operations, with the same results: a view is a reshape to [k1, r1, k2, r2]
 * whose axes 1 and 3 are reduced.
 */
import * as tf from "@tensorflow/tfjs-core";
import { threadsHere } from "../kernels/wasm/pool.js";
import { WasmKernels } from "../kernels/wasm/wasm.js";
import { maskViewOf, type Norm, type Plan, statisticsGiven, wholeView } from "../norms/norm.js";
import { fitsShape, sameShape, sizeOf, type View } from "../view.js";
import { addressOf, heapOf, isThreaded, outputOn, type WasmBackend } from "./kernels/wasm-backend.js";

const NORMALIZE = "EvenkeelNormalize";
const NORMALIZE_GRADIENT = "EvenkeelNormalizeGradient";

export interface NormalizeParameters {
  /** float32 [parameters]; absent: 1. */
  gamma?: tf.Tensor;
  /** float32 [parameters]; absent: 0. */
  beta?: tf.Tensor;
  /** Statistics to use instead of those of x, as constants: mean [statistics] (not for RMS), variance [statistics]. */
  mean?: tf.Tensor;
  variance?: tf.Tensor;
  /**
   * Of any type, 0 where x does not count, as a constant: [batch, length] for x [batch, length, features]. Its axes are those of x,
   * with length 1 where it does not tell them apart, or left out at the end. Padding enters no statistic and no gradient, whatever
   * it holds, and y is 0 there.
   */
  mask?: tf.Tensor;
  /** Shape of x; added to x before anything else, in the same pass over memory. */
  residual?: tf.Tensor;
}

export interface Normalized {
  /** float32, shape of x. Differentiable with respect to x, the residual, gamma and beta. */
  y: tf.Tensor;
  /** x + residual, of which y and the statistics are; differentiable too. Absent without a residual. */
  sum?: tf.Tensor;
  /** float32 [statistics], constants to the gradient; absent where given, mean also for RMS. */
  mean?: tf.Tensor;
  variance?: tf.Tensor;
}

/**
 * Normalizes a tensor of any rank.
 * @throws RangeError where the shape of x, the residual, gamma, beta, a given statistic or the mask does not fit the norm.
 */
export function normalize(norm: Norm, x: tf.Tensor, parameters: NormalizeParameters = {}): Normalized {
  const plan = norm.plan(x.shape);
  const given = statisticsGiven(norm, parameters.mean, parameters.variance);
  const { mask, residual } = parameters;
  if (residual && !sameShape(residual.shape, x.shape)) {
    throw new RangeError(
      `${norm.name}: residual must have the shape of x, [${x.shape.join(", ")}], got [${residual.shape.join(", ")}]`,
    );
  }
  const masks = mask && maskViewOf(norm.name, plan, mask.shape);
  registerFor(tf.getBackend());
  const attributes: Attributes = {
    statistics: plan.statistics,
    parameters: plan.parameters,
    statisticsShape: plan.statisticsShape,
    parameterShape: plan.parameterShape,
    epsilon: norm.epsilon,
    centered: norm.centered,
    scale: parameters.gamma !== undefined,
    offset: parameters.beta !== undefined,
    given,
    added: residual !== undefined,
    masked: mask !== undefined,
    masks: masks ?? wholeView(sizeOf(plan.shape)),
  };
  return tf.tidy(() => {
    const others = (["gamma", "beta", "mean", "variance"] as const).map((name) => {
      const shape = name === "gamma" || name === "beta" ? plan.parameterShape : plan.statisticsShape;
      return parameters[name] && fitted(norm, name, parameters[name], shape);
    });
    const input = moved(floats(x), plan.order);
    const counts = mask && constantMask(mask, masks ? undefined : plan);
    const added = residual && moved(floats(residual), plan.order);
    const inputs = [input, added, ...others, counts].filter((tensor) => tensor !== undefined);
    const outputs = run(NORMALIZE, inputs, attributes);
    const back = plan.order?.map((_, axis, order) => order.indexOf(axis));
    const y = moved(outputs[0], back);
    const sum = residual && { sum: moved(outputs[outputs.length - 1], back) };
    if (given) return { y, ...sum };
    const [, first, second] = outputs;
    return norm.centered ? { y, ...sum, mean: first, variance: second } : { y, ...sum, variance: first };
  });
}

function moved(x: tf.Tensor, order: Plan["order"]): tf.Tensor {
  return order ? tf.transpose(x, [...order]) : x;
}

/**
 * The mask as float32 of 0 and 1, without a way back for gradients; for all of x, as the plan orders its axes, where that is given.
 * (Comparisons, which masks are made of, know no gradient.)
 */
function constantMask(mask: tf.Tensor, plan?: Plan): tf.Tensor {
  const made = () => {
    const counts = tf.cast(tf.notEqual(mask, tf.zerosLike(mask)), "float32");
    if (!plan) return counts;
    const ones = new Array<number>(plan.shape.length - mask.rank).fill(1);
    const whole = tf.broadcastTo(tf.reshape(counts, [...mask.shape, ...ones]), [...plan.shape]);
    return moved(whole, plan.order);
  };
  return constant(made);
}

/** What is computed without a way back for gradients: an operation of no inputs has none. */
export function constant(value: () => tf.Tensor): tf.Tensor {
  return tf.customGrad(() => ({ value: value(), gradFunc: () => [] }))();
}

/** As float32; what is float32 already is left alone, since a cast would copy it. */
function floats(tensor: tf.Tensor): tf.Tensor {
  return tensor.dtype === "float32" ? tensor : tf.cast(tensor, "float32");
}

/** A parameter or statistic as float32 of the plan's shape, so that its gradient goes back in its own. */
function fitted(norm: Norm, name: string, tensor: tf.Tensor, shape: readonly number[]): tf.Tensor {
  if (!fitsShape(tensor.shape, shape)) {
    throw new RangeError(
      `${norm.name}: ${name} must have shape [${shape.join(", ")}], got [${tensor.shape.join(", ")}]`,
    );
  }
  const same = tensor.shape.join() === shape.join();
  return floats(same ? tensor : tf.reshape(tensor, [...shape]));
}

/** What both kernels are told. `added`, `scale`, `offset`, `given` and `masked` say which of the optional inputs are there. */
interface Attributes {
  readonly statistics: View;
  readonly parameters: View;
  readonly statisticsShape: readonly number[];
  readonly parameterShape: readonly number[];
  readonly epsilon: number;
  readonly centered: boolean;
  readonly added: boolean;
  readonly scale: boolean;
  readonly offset: boolean;
  readonly given: boolean;
  readonly masked: boolean;
  /** Kept: one value of the mask per kept position. */
  readonly masks: View;
}

/** Inputs go as a list: TensorFlow.js cannot save a named one that is absent. */
function run(kernel: string, inputs: tf.Tensor[], attributes: Attributes): tf.Tensor[] {
  const map = inputs as unknown as tf.NamedTensorMap;
  return tf.engine().runKernel(kernel, map, attributes as unknown as tf.NamedAttrMap) as tf.Tensor[];
}

/** The list's optional members by name: x, then residual, gamma, beta, mean, variance and mask where they are. */
function named<T>(list: readonly T[], { added, scale, offset, centered, given, masked }: Attributes) {
  const rest = [...list];
  const take = (present: boolean) => (present ? rest.shift() : undefined);
  return {
    x: rest.shift() as T,
    residual: take(added),
    gamma: take(scale),
    beta: take(offset),
    mean: take(centered && given),
    variance: take(given),
    mask: take(masked),
    /** What follows the inputs: saved outputs. */
    rest,
  };
}

tf.registerGradient({
  kernelName: NORMALIZE,
  saveAllInputs: true,
  // mean and variance, which the forward pass measured, and the sum; y is not needed
  outputsToSave: [false, true, true, true],
  gradFunc(dy, saved, attrs) {
    const attributes = attrs as unknown as Attributes;
    const {
      x,
      residual,
      gamma,
      mean: givenMean,
      variance: givenVariance,
      mask,
      rest,
    } = named(saved, attributes);
    const { given, centered, scale, offset } = attributes;
    const upstream = Array.isArray(dy) ? dy : [dy];
    const dSum = residual && upstream[upstream.length - 1];
    const mean = given ? givenMean : centered ? rest.shift() : undefined;
    const variance = (given ? givenVariance : rest.shift()) as tf.Tensor;
    const normalized = residual ? rest[0] : x;
    const gradients = gradientsOf(
      upstream[0],
      { dSum, x: normalized, gamma, mean, variance, mask },
      attributes,
    );
    const constants = [givenMean, givenVariance, mask].filter((tensor) => tensor !== undefined);
    const [dx, ...parameters] = gradients;
    const all = [
      () => dx,
      // of its own, since TensorFlow.js disposes of each when it adds another to it
      ...(residual ? [() => tf.clone(dx)] : []),
      ...parameters.slice(0, Number(scale) + Number(offset)).map((gradient) => () => gradient),
      ...constants.map((constant) => () => tf.zerosLike(constant)),
    ];
    return Object.fromEntries(all.entries());
  },
});

interface GradientInputs {
  dSum?: tf.Tensor;
  /** What was normalized: x, or the sum. */
  x: tf.Tensor;
  gamma?: tf.Tensor;
  mean?: tf.Tensor;
  variance: tf.Tensor;
  mask?: tf.Tensor;
}

/** dx, then dGamma and dBeta where there are such inputs. */
function gradientsOf(dy: tf.Tensor, inputs: GradientInputs, attributes: Attributes): tf.Tensor[] {
  // The gradient of the gradient: composed operations have one, a kernel has not. What was measured from x must
  // then be measured again, to be part of what is differentiated.
  if (tf.engine().state.gradientDepth > 0) {
    const measured = attributes.given ? inputs : { ...inputs, ...measure(inputs.x, inputs.mask, attributes) };
    return composedGradient(dy, measured, attributes);
  }
  const { dSum, x, gamma, mean, variance, mask } = inputs;
  const list = [dy, dSum, x, gamma, mean, variance, mask].filter((tensor) => tensor !== undefined);
  return run(NORMALIZE_GRADIENT, list, attributes);
}

// --- composed from tf operations ---

const REDUCED = [1, 3];

function seen(x: tf.Tensor, { k1, r1, k2, r2 }: View): tf.Tensor4D {
  return tf.reshape(x, [k1, r1, k2, r2]);
}

/** One value per kept position, ready to be broadcast over the view. */
function spread(values: tf.Tensor, { k1, k2 }: View): tf.Tensor4D {
  return tf.reshape(values, [k1, 1, k2, 1]);
}

/** The mask for each element of x, which a view sees as it sees x; bool. */
function wholeMask(mask: tf.Tensor, { masks }: Attributes): tf.Tensor {
  const { k1, r1, k2, r2 } = masks;
  return tf.cast(tf.broadcastTo(spread(mask, masks), [k1, r1, k2, r2]), "bool");
}

/** 0 wherever the mask is, also in place of NaN and, on the way back, of what NaN would make of 0. */
function kept<T extends tf.Tensor>(values: T, counts: tf.Tensor | undefined): T {
  return counts ? tf.where(tf.reshape(counts, values.shape), values, tf.zerosLike(values)) : values;
}

/** The mean of values that are 0 where the mask is, over those that count; 0 where there are none. */
function meanOf(values: tf.Tensor4D, counts: tf.Tensor | undefined): tf.Tensor4D {
  if (!counts) return tf.mean(values, REDUCED, true);
  const number = tf.sum(tf.cast(tf.reshape(counts, values.shape), "float32"), REDUCED, true);
  return tf.div(tf.sum(values, REDUCED, true), tf.maximum(number, 1));
}

function measure(x: tf.Tensor, mask: tf.Tensor | undefined, attributes: Attributes) {
  const { statistics, statisticsShape, centered } = attributes;
  const counts = mask && wholeMask(mask, attributes);
  const values = kept(seen(x, statistics), counts);
  const mean = centered ? meanOf(values, counts) : undefined;
  const variance = meanOf(tf.square(mean ? kept(tf.sub(values, mean), counts) : values), counts);
  const shape = [...statisticsShape];
  return { mean: mean && tf.reshape(mean, shape), variance: tf.reshape(variance, shape) };
}

function standardized(
  x: tf.Tensor,
  mean: tf.Tensor | undefined,
  variance: tf.Tensor,
  counts: tf.Tensor | undefined,
  { statistics, epsilon }: Attributes,
) {
  const rstd = tf.rsqrt(tf.add(spread(variance, statistics), epsilon));
  const values = kept(seen(x, statistics), counts);
  const xHat: tf.Tensor4D = tf.mul(mean ? tf.sub(values, spread(mean, statistics)) : values, rstd);
  return { xHat: kept(xHat, counts), rstd };
}

function composed(inputs: tf.Tensor[], attributes: Attributes): tf.Tensor[] {
  const { residual, gamma, beta, mean, variance, mask, ...others } = named(inputs, attributes);
  const { given, parameters } = attributes;
  const sum = residual && tf.add(others.x, residual);
  const x = sum ?? others.x;
  const counts = mask && wholeMask(mask, attributes);
  const source = given ? { mean, variance: variance as tf.Tensor } : measure(x, mask, attributes);
  const { xHat } = standardized(x, source.mean, source.variance, counts, attributes);
  let y = seen(xHat, parameters) as tf.Tensor;
  if (gamma) y = tf.mul(y, spread(gamma, parameters));
  if (beta) y = tf.add(y, spread(beta, parameters));
  const measured = given ? [] : [source.mean, source.variance];
  return [tf.reshape(kept(y, counts), x.shape), ...measured, sum].filter((tensor) => tensor !== undefined);
}

function composedGradient(dy: tf.Tensor, inputs: GradientInputs, attributes: Attributes): tf.Tensor[] {
  const { dSum, x, gamma, mean, variance, mask } = inputs;
  const { statistics, parameters, parameterShape, centered, scale, offset, given } = attributes;
  const counts = mask && wholeMask(mask, attributes);
  const { xHat, rstd } = standardized(x, mean, variance, counts, attributes);
  const upstream = kept(seen(dy, parameters), counts);
  const g = seen(gamma ? tf.mul(upstream, spread(gamma, parameters)) : upstream, statistics);
  let inner = g as tf.Tensor;
  if (!given) {
    if (centered) inner = tf.sub(inner, meanOf(g, counts));
    inner = tf.sub(inner, tf.mul(xHat, meanOf(tf.mul(g, xHat), counts)));
  }
  const dx: tf.Tensor = tf.reshape(kept(tf.mul(rstd, inner), counts), x.shape);
  const gradients = [dSum ? tf.add(dx, dSum) : dx];
  const shape = [...parameterShape];
  if (scale) gradients.push(tf.reshape(tf.sum(tf.mul(upstream, seen(xHat, parameters)), REDUCED), shape));
  if (offset) gradients.push(tf.reshape(tf.sum(upstream, REDUCED), shape));
  return gradients;
}

// --- fused, on the wasm backend's memory ---

/** The kernels, compiled for a memory of one kind. */
let normalization: { module: WebAssembly.Module; shared: boolean } | undefined;
const kernelsOf = new WeakMap<object, WasmKernels | null>();

/** Lets the operation use the fused kernels; called by `install`. */
export function useFused(module: WebAssembly.Module, shared: boolean): void {
  normalization = { module, shared };
}

/** The fused kernels on this backend's memory, or null where it has none that they can stand on. */
export function fusedKernels(backend: object): WasmKernels | null {
  if (!normalization) return null;
  let kernels = kernelsOf.get(backend);
  if (kernels === undefined) {
    const { module, shared } = normalization;
    const heap = isThreaded(backend as WasmBackend) === shared ? heapOf(backend as WasmBackend) : undefined;
    kernels = heap ? new WasmKernels(module, heap, shared ? threadsHere() : 1) : null;
    kernelsOf.set(backend, kernels);
  }
  return kernels;
}

function fused(
  kernels: WasmKernels,
  backend: WasmBackend,
  inputs: tf.TensorInfo[],
  attributes: Attributes,
): tf.TensorInfo[] {
  const { statistics, parameters, statisticsShape, epsilon, centered, given, masks } = attributes;
  const tensors = named(inputs, attributes);
  const y = outputOn(backend, tensors.x.shape);
  const sum = tensors.residual && outputOn(backend, tensors.x.shape);
  const room = () => outputOn(backend, statisticsShape);
  const mean = given ? tensors.mean : centered ? room() : undefined;
  const variance = given ? (tensors.variance as tf.TensorInfo) : room();
  const address = (tensor?: tf.TensorInfo) => tensor && addressOf(backend, tensor);
  kernels.forward({
    x: addressOf(backend, tensors.x),
    residual: address(tensors.residual),
    sum: address(sum),
    y: addressOf(backend, y),
    mean: address(mean),
    variance: addressOf(backend, variance),
    given,
    epsilon,
    statistics,
    parameters,
    gamma: address(tensors.gamma),
    beta: address(tensors.beta),
    mask: address(tensors.mask),
    masks,
  });
  const measured = given ? [] : [mean, variance];
  return [y, ...measured, sum].filter((tensor) => tensor !== undefined);
}

function fusedGradient(
  kernels: WasmKernels,
  backend: WasmBackend,
  list: tf.TensorInfo[],
  attributes: Attributes,
): tf.TensorInfo[] {
  const { statistics, parameters, parameterShape, epsilon, given, scale, offset, masks } = attributes;
  const { dy, dSum, x, gamma, mean, variance, mask } = gradientInputs(list, attributes);
  const dx = outputOn(backend, x.shape);
  const dGamma = scale ? outputOn(backend, parameterShape) : undefined;
  const dBeta = offset ? outputOn(backend, parameterShape) : undefined;
  const address = (tensor?: tf.TensorInfo) => tensor && addressOf(backend, tensor);
  kernels.backward({
    dy: addressOf(backend, dy),
    dSum: address(dSum),
    x: addressOf(backend, x),
    mean: address(mean),
    variance: addressOf(backend, variance),
    given,
    epsilon,
    statistics,
    parameters,
    gamma: address(gamma),
    dx: addressOf(backend, dx),
    dGamma: address(dGamma),
    dBeta: address(dBeta),
    mask: address(mask),
    masks,
  });
  return [dx, dGamma, dBeta].filter((tensor) => tensor !== undefined);
}

function gradientInputs<T>(list: readonly T[], { added, scale, centered, masked }: Attributes) {
  const rest = [...list];
  const take = (present: boolean) => (present ? rest.shift() : undefined);
  return {
    dy: rest.shift() as T,
    dSum: take(added),
    x: rest.shift() as T,
    gamma: take(scale),
    mean: take(centered),
    variance: rest.shift() as T,
    mask: take(masked),
  };
}

/** Both kernels for a backend, once. A backend that has no fused ones composes them. */
function registerFor(backendName: string): void {
  if (tf.getKernel(NORMALIZE, backendName)) return;
  // the engine hands a kernel the tensors themselves
  const listed = (inputs: tf.NamedTensorInfoMap) => Object.values(inputs) as tf.Tensor[];
  const kernel = (
    kernelName: string,
    onMemory: typeof fused,
    fromOperations: (list: tf.Tensor[], attributes: Attributes) => tf.Tensor[],
  ) =>
    tf.registerKernel({
      kernelName,
      backendName,
      kernelFunc({ inputs, attrs, backend }) {
        const attributes = attrs as unknown as Attributes;
        const kernels = fusedKernels(backend as object);
        if (kernels) return onMemory(kernels, backend as WasmBackend, listed(inputs), attributes);
        return tf.tidy(() => fromOperations(listed(inputs), attributes));
      },
    });
  kernel(NORMALIZE, fused, composed);
  kernel(NORMALIZE_GRADIENT, fusedGradient, (list, attributes) => {
    const { dy, ...inputs } = gradientInputs(list, attributes);
    return composedGradient(dy, inputs, attributes);
  });
}
