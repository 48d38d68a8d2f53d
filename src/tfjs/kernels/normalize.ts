/**
 * One TensorFlow.js operation with one gradient for every normalization.
 *
 * On the wasm backend it runs the kernels on TensorFlow.js's own memory, without a copy (after `install`). On every
 * other backend it is composed of tf operations (src/formula/composed.ts), with the same results.
 */
import * as tf from "@tensorflow/tfjs-core";
import { statisticsGiven } from "../../formula/checks.js";
import { composedBackward, composedForward } from "../../formula/composed.js";
import type { ComposedCall } from "../../formula/ops.js";
import { type FusedNorm, identityView, maskViewOf, type Plan } from "../../formula/plan.js";
import { broadcastMask } from "../../formula/terms.js";
import { checkOptions, parameterNames } from "../../options.js";
import { described, fitsShape, sameShape, sizeOf } from "../../shape.js";
import { checkTensor } from "../arguments.js";
import { constant, elementary, filled, isDifferentiatedAgain } from "../elementary.js";
import type { Attributes } from "./attributes.js";
import { gradientInputs, named } from "./attributes.js";
import { fused, fusedGradient, fusedKernels } from "./fused.js";
import type { WasmBackend } from "./wasm-backend.js";

const NORMALIZE = "EvenkeelNormalize";
const NORMALIZE_GRADIENT = "EvenkeelNormalizeGradient";

/** Optional operands of `normalize`; [parameters] and [statistics] are the shapes that the norm's plan has for x. */
export interface NormalizeParameters {
  /** [parameters], as float32; default 1. */
  gamma?: tf.Tensor;
  /** [parameters], as float32; default 0. */
  beta?: tf.Tensor;
  /** Mean [statistics] to use instead of that of x, a constant. Given with the variance; not for RMS norms. */
  mean?: tf.Tensor;
  /** Variance [statistics], biased, or mean square for RMS norms, to use instead of that of x; a constant. */
  variance?: tf.Tensor;
  /**
   * 0 where x is padding, of any type; a constant. Its axes are those of x, with length 1 where it does not
   * vary along one, or with trailing axes left out: [batch, length] for x [batch, length, features]. Padding
   * contributes to neither statistics nor gradients, even if it holds NaN, and y is 0 there.
   */
  mask?: tf.Tensor;
  /** Shape of x; added to x before normalization, in the same pass over memory. */
  residual?: tf.Tensor;
}

/** Their names. */
export const PARAMETERS = ["gamma", "beta", "mean", "variance", "mask", "residual"] as const;

/** What `normalize` returns. */
export interface Normalized {
  /** float32, shape of x; differentiable with respect to x, the residual, gamma and beta. */
  y: tf.Tensor;
  /** x + residual, which is what was normalized; differentiable. Absent without a residual. */
  sum?: tf.Tensor;
  /** float32 [statistics], constant in the gradient. Absent for RMS norms, and where statistics were given. */
  mean?: tf.Tensor;
  /** float32 [statistics], biased, or the mean square for RMS norms; constant in the gradient. Absent where given. */
  variance?: tf.Tensor;
}

/**
 * Normalizes a tensor of any rank; differentiable, second derivatives included.
 * @param norm a normalization with one mean and variance, such as `layerNorm()` or `groupNorm({ groups: 8 })`
 * @param x of any type, cast to float32
 * @throws TypeError for what is not a norm or a tensor, for an unknown parameter, and where mean and variance
 * are not given together, or a mean to an RMS norm; RangeError
 * where the shape of x, the residual, gamma, beta, a given statistic or the mask does not fit the norm
 */
export function normalize(norm: FusedNorm, x: tf.Tensor, parameters: NormalizeParameters = {}): Normalized {
  if (typeof norm?.plan !== "function") {
    throw new TypeError(
      `normalize: norm must be the operation alone, such as layerNorm(), got ${described(norm)}; call the function that makes it, and apply other normalizations by apply()`,
    );
  }
  checkOptions("normalize", parameters, PARAMETERS, parameterNames);
  checkTensor(norm.name, "x", x);
  for (const name of PARAMETERS) {
    if (parameters[name] !== undefined) checkTensor(norm.name, name, parameters[name]);
  }
  const plan = norm.plan(x.shape);
  const given = statisticsGiven(norm, parameters.mean, parameters.variance);
  const { mask, residual } = parameters;
  if (residual && !sameShape(residual.shape, x.shape)) {
    throw new RangeError(
      `${norm.name}: residual must have the shape of x, [${x.shape.join(", ")}], got [${residual.shape.join(", ")}]`,
    );
  }
  const masks = mask && maskViewOf(norm.name, plan, mask.shape);
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
    masks: masks ?? identityView(sizeOf(plan.shape)),
  };
  return tf.tidy(() => {
    const others = (["gamma", "beta", "mean", "variance"] as const).map((name) => {
      const shape = name === "gamma" || name === "beta" ? plan.parameterShape : plan.statisticsShape;
      return parameters[name] && fitted(norm, name, parameters[name], shape);
    });
    const input = reordered(floats(x), plan.order);
    const counts = mask && constantMask(mask, masks ? undefined : plan);
    const added = residual && reordered(floats(residual), plan.order);
    const inputs = [input, added, ...others, counts].filter((tensor) => tensor !== undefined);
    const outputs = run(NORMALIZE, inputs, attributes);
    const back = plan.order?.map((_, axis, order) => order.indexOf(axis));
    const y = reordered(outputs[0], back);
    const sum = residual && { sum: reordered(outputs[outputs.length - 1], back) };
    if (given) return { y, ...sum };
    const [, first, second] = outputs;
    return norm.centered ? { y, ...sum, mean: first, variance: second } : { y, ...sum, variance: first };
  });
}

function reordered(x: tf.Tensor, order: Plan["order"]): tf.Tensor {
  return order ? tf.transpose(x, [...order]) : x;
}

/**
 * The mask as float32 0 and 1, which no gradient flows through: comparisons, which masks are made with, have
 * none. With a plan, it is broadcast to x, with the plan's order of axes.
 */
function constantMask(mask: tf.Tensor, plan?: Plan): tf.Tensor {
  const made = () => {
    const counts = tf.cast(tf.notEqual(mask, tf.zerosLike(mask)), "float32");
    if (!plan) return counts;
    const ones = new Array<number>(plan.shape.length - mask.rank).fill(1);
    const whole = filled(tf.reshape(counts, [...mask.shape, ...ones]), [...plan.shape]);
    return reordered(whole, plan.order);
  };
  return constant(made);
}

/** As float32; a float32 tensor is returned as is, since a cast would copy it. */
function floats(tensor: tf.Tensor): tf.Tensor {
  return tensor.dtype === "float32" ? tensor : tf.cast(tensor, "float32");
}

/** A parameter or statistic as float32 in the plan's shape; its gradient is reshaped back to its own. */
function fitted(norm: FusedNorm, name: string, tensor: tf.Tensor, shape: readonly number[]): tf.Tensor {
  if (!fitsShape(tensor.shape, shape)) {
    throw new RangeError(
      `${norm.name}: ${name} must have shape [${shape.join(", ")}], got [${tensor.shape.join(", ")}]`,
    );
  }
  const same = tensor.shape.join() === shape.join();
  return floats(same ? tensor : tf.reshape(tensor, [...shape]));
}

/** Inputs are passed as a list: TensorFlow.js cannot save a named one that is absent. */
function run(kernel: string, inputs: tf.Tensor[], attributes: Attributes): tf.Tensor[] {
  // the backend may have been chosen since the forward pass
  registerFor(tf.getBackend());
  const map = inputs as unknown as tf.NamedTensorMap;
  return tf.engine().runKernel(kernel, map, attributes as unknown as tf.NamedAttrMap) as tf.Tensor[];
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
    // a saved output is constant where the gradient is differentiated again
    const sum = residual && (isDifferentiatedAgain() ? tf.add(x, residual) : rest[0]);
    const normalized = sum ?? x;
    const gradients = gradientsOf(
      upstream[0],
      { dSum, x: normalized, gamma, mean, variance, mask },
      attributes,
    );
    const constants = [givenMean, givenVariance, mask].filter((tensor) => tensor !== undefined);
    const [dx, ...parameters] = gradients;
    const all = [
      () => dx,
      // a copy, since TensorFlow.js disposes of gradients when it adds them up
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

/** dx, then dGamma and dBeta where those inputs are present. */
function gradientsOf(dy: tf.Tensor, inputs: GradientInputs, attributes: Attributes): tf.Tensor[] {
  // second derivatives: composed operations have them, a kernel does not
  if (isDifferentiatedAgain()) return composedGradient(dy, inputs, attributes);
  const { dSum, x, gamma, mean, variance, mask } = inputs;
  const list = [dy, dSum, x, gamma, mean, variance, mask].filter((tensor) => tensor !== undefined);
  return run(NORMALIZE_GRADIENT, list, attributes);
}

/** The call as the composed operation takes it. */
function composedCall(
  { x, residual, mask, ...tensors }: Partial<ReturnType<typeof named<tf.Tensor>>> & { x: tf.Tensor },
  attributes: Attributes,
): ComposedCall<tf.Tensor> & { sum?: tf.Tensor } {
  const { statistics, parameters, epsilon, centered, given, masks } = attributes;
  const { k1, r1, k2, r2 } = masks;
  const sum = residual && tf.add(x, residual);
  const counts = mask && broadcastMask(elementary, tf.reshape(mask, [k1, 1, k2, 1]), [k1, r1, k2, r2]);
  return {
    x: sum ?? x,
    sum,
    ...{ statistics, parameters, epsilon, centered, given },
    counts: counts && tf.reshape(counts, x.shape),
    ...{ gamma: tensors.gamma, beta: tensors.beta, mean: tensors.mean, variance: tensors.variance },
  };
}

function composed(inputs: tf.Tensor[], attributes: Attributes): tf.Tensor[] {
  const { given, statisticsShape } = attributes;
  const call = composedCall(named(inputs, attributes), attributes);
  const { y, mean, variance } = composedForward(elementary, call);
  const measured = given ? [] : [mean, variance].map((one) => one && tf.reshape(one, [...statisticsShape]));
  return [y, ...measured, call.sum].filter((tensor) => tensor !== undefined);
}

function composedGradient(dy: tf.Tensor, inputs: GradientInputs, attributes: Attributes): tf.Tensor[] {
  const { dSum, ...tensors } = inputs;
  const { parameterShape, scale, offset } = attributes;
  const { dx, ...gradients } = composedBackward(elementary, dy, composedCall(tensors, attributes));
  const ofParameters = [scale && gradients.dGamma, offset && gradients.dBeta].filter((one) => one !== false);
  return [dSum ? tf.add(dx, dSum) : dx, ...ofParameters.map((one) => tf.reshape(one, [...parameterShape]))];
}

/** Registers both kernels for a backend, once. A backend without fused ones composes them. */
function registerFor(backendName: string): void {
  if (tf.getKernel(NORMALIZE, backendName)) return;
  // the engine passes tensors, not just their infos
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
