/** What is found in a graph, as an operation on tensors. */
import * as tf from "@tensorflow/tfjs-core";
import { type Activation, activationOf } from "../../blocks.js";
import type { Found, FoundActivation, Parameter } from "../../checkpoints/graphs/found.js";
import type { Normalization } from "../../formula/normalization.js";
import { type FusedNorm, memoizeLast, planOf } from "../../formula/plan.js";
import { batchNorm } from "../../norms/batch.js";
import { type NormalizeParameters, normalize } from "../kernels/normalize.js";
import { apply } from "../layers/apply.js";

/** Of float32 tensors, one tensor, with no other left behind. */
export type Operation = (tensors: readonly tf.Tensor[]) => tf.Tensor;

type ParameterName = "gamma" | "beta" | "mean" | "variance";

/** The parameters of a normalization, in the order that its operation reads them after x. */
export function parametersOf(
  found: Found,
): { readonly name: ParameterName; readonly parameter: Parameter }[] {
  return (["gamma", "beta", "mean", "variance"] as const).flatMap((name) => {
    const parameter = found[name];
    return parameter ? [{ name, parameter }] : [];
  });
}

/** The fused operation on x and its parameters. */
export function normalizing(found: Found): Operation {
  const reads = parametersOf(found);
  const norms = new Map<string, FusedNorm>();
  const normAlong = (axes: readonly number[]) => {
    const key = axes.join();
    const norm = norms.get(key) ?? fusedNormOf(found, axes);
    norms.set(key, norm);
    return norm;
  };
  return ([x, ...tensors]) => {
    if (x.size === 0) return tf.clone(x);
    return tf.tidy(() => {
      const given: Partial<Record<ParameterName, Aligned>> = {};
      for (const [i, { name, parameter }] of reads.entries()) given[name] = aligned(x, tensors[i], parameter);
      const { gamma, beta, mean, variance } = given;
      const along = (gamma ?? beta)?.axes ?? [];
      const fits = (one: Aligned | undefined) => one?.axes?.join() === along.join();
      const scales = fits(gamma);
      const offsets = fits(beta) && (scales || !gamma);
      const parameters: NormalizeParameters = {
        ...(gamma && scales && { gamma: gamma.tensor }),
        ...(beta && offsets && { beta: beta.tensor }),
        ...(mean && variance && { mean: mean.tensor, variance: variance.tensor }),
      };
      let { y } = normalize(normAlong(along), x, parameters);
      // what does not fit is broadcast, as in the graph
      if (gamma && !scales) y = tf.mul(y, gamma.tensor);
      if (beta && !offsets) y = tf.add(y, beta.tensor);
      return y;
    });
  };
}

/** FusedBatchNorm of x, gamma, beta, mean and variance, as TensorFlow.js has it: over the last axis, by statistics that are given. */
export function normalizingBatch(epsilon: number): Operation {
  const norm = batchNorm({ epsilon });
  return ([x, gamma, beta, mean, variance]) => {
    if (x.size === 0) return tf.clone(x);
    return tf.tidy(() => normalize(norm, x, { gamma, beta, mean, variance }).y);
  };
}

/** A parameter with a value for each place along axes of x, in their order; without axes, as it broadcasts to x, or x to it. */
interface Aligned {
  readonly tensor: tf.Tensor;
  readonly axes?: readonly number[];
}

function aligned(x: tf.Tensor, tensor: tf.Tensor, { axes, values }: Parameter): Aligned {
  // computed as the model runs, it may have one value along an axis where several were expected: one style for all images
  const isShort = !values && tensor.rank === x.rank;
  const along = isShort ? axes.filter((axis) => tensor.shape[axis] !== 1) : axes;
  const lengths = along.map((axis) => x.shape[axis]);
  if (tensor.size !== tf.util.sizeFromShape(lengths)) return { tensor };
  const isPlain = tf.util.arraysEqual(tensor.shape, lengths);
  return { tensor: isPlain ? tensor : tf.reshape(tensor, lengths), axes: along };
}

/** The norm with parameters along these axes of x. */
function fusedNormOf({ norm, axes, channels, groups, epsilon }: Found, along: readonly number[]): FusedNorm {
  /** The axes that an axis of x is where channels are cut into groups. */
  const places = (axis: number) => {
    if (groups === undefined || channels === undefined || axis < channels) return [axis];
    return axis > channels ? [axis + 1] : [axis, axis + 1];
  };
  return {
    name: norm,
    epsilon,
    centered: norm !== "rmsNorm",
    plan: memoizeLast((shape) => {
      const isCut = (axis: number) => groups !== undefined && axis === channels;
      const viewed = shape.flatMap((length, axis) =>
        isCut(axis) ? [groups as number, length / (groups as number)] : [length],
      );
      const kept = [...shape.keys()].flatMap((axis) => {
        if (isCut(axis)) return [axis];
        return axes.includes(axis) ? [] : places(axis);
      });
      const parameterShape = along.map((axis) => shape[axis]);
      return { ...planOf(shape, viewed, kept, along.flatMap(places)), parameterShape };
    }),
  };
}

const activations: Record<FoundActivation["activation"], Activation> = {
  silu: activationOf("fuse", "silu"),
  gelu: activationOf("fuse", "gelu"),
  geluTanh(ops, x) {
    const cubed = ops.mul(ops.mul(x, x), x);
    const inner = ops.mul(ops.add(x, ops.mul(cubed, 0.044715)), Math.sqrt(2 / Math.PI));
    return ops.mul(ops.mul(x, 0.5), ops.add(ops.tanh(inner), 1));
  },
};

/** An activation of x, in one pass. */
export function activating({ activation }: FoundActivation): Operation {
  const formula: Normalization = {
    name: activation,
    weights: () => ({}),
    apply: (ops, [x]) => ({ y: activations[activation](ops, x) }),
  };
  return ([x]) => apply(formula, x, {}, { training: false }).y;
}
