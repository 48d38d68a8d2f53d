/** Runs a normalization on tensors: as a function, and on the variables of a layer, whose state it updates. */
import * as tf from "@tensorflow/tfjs-core";
import type { LayerVariable } from "@tensorflow/tfjs-layers";
import {
  type ApplyResult,
  initialValues,
  type Normalization,
  type Weight,
} from "../../formula/normalization.js";
import { checkNormalization, run, weightsFor } from "../../formula/run.js";
import { checkReduce, type Reduce } from "../../moments.js";
import { checkOptions } from "../../options.js";
import { described } from "../../shape.js";
import { checkTensor } from "../arguments.js";
import { fusedKernels } from "../kernels/fused.js";
import { type CallOptions, runProgram } from "../kernels/program.js";
import { merging } from "../merging.js";
import { tfOps } from "../ops.js";
import type { Tensors } from "../types.js";

/**
 * Any normalization as a function, differentiable with respect to its inputs and weights.
 * @param inputs x, or a list of x and a condition
 * @param weights float32, by our names (gamma, runningMean, ...); default: their initial values
 * @param options `training` (default true), `mask`, `residual`, `moveState`; `reduce`, which merges the moments of a batch that lies in
 * several places, and answers at once: normalizations that measure no batch ignore it
 * @returns y and, where it has state, the new values of the weights that are not trained
 * @throws TypeError where `normalization` is not one, for what is not a tensor, or an unknown option; RangeError for a shape that does
 * not fit, or an unknown weight
 */
export function apply(
  normalization: Normalization,
  inputs: tf.Tensor | readonly tf.Tensor[],
  weights: Readonly<Record<string, tf.Tensor>> = {},
  options: Partial<Omit<CallOptions, "warn" | "merge">> = {},
): ApplyResult<tf.Tensor> {
  checkNormalization(normalization);
  checkOptions("apply", options, ["training", "mask", "residual", "moveState", "reduce"]);
  const { training = true, mask, residual, moveState, reduce } = options;
  checkReduce("apply", reduce);
  if (typeof training !== "boolean") {
    throw new TypeError(
      `apply: training must be true or false, got ${described(training)}; leave it out for true`,
    );
  }
  if (moveState !== undefined && typeof moveState !== "function") {
    throw new TypeError(
      `apply: moveState must be a function, got ${described(moveState)}; leave it out for none`,
    );
  }
  if (
    typeof weights !== "object" ||
    weights === null ||
    Array.isArray(weights) ||
    weights instanceof tf.Tensor
  ) {
    throw new TypeError(
      `apply: weights must be an object, tensors by name, got ${described(weights)}; leave it out for initial values`,
    );
  }
  const { name: called } = normalization;
  const tensors = (Array.isArray(inputs) ? inputs : [inputs]) as readonly tf.Tensor[];
  const given = Object.entries(weights).filter(([, tensor]) => tensor !== undefined);
  for (const [i, tensor] of tensors.entries()) checkTensor(called, i === 0 ? "x" : `input ${i}`, tensor);
  for (const [name, tensor] of given) checkTensor(called, name, tensor);
  if (mask !== undefined) checkTensor(called, "mask", mask);
  if (residual !== undefined) checkTensor(called, "residual", residual);
  weightsFor(normalization, tensors, shapesOf(weights));
  return tf.tidy(() => {
    const call = { training, mask, residual, moveState, reduce, warn };
    const result = applied(normalization, tensors, weights, call);
    // tidy does not dispose of tensors in what it returns, nested ones included
    return result as unknown as tf.TensorContainer;
  }) as unknown as ApplyResult<tf.Tensor>;
}

/** The same of what has been checked, in the caller's scope; shapes are checked where they are new. */
function applied(
  normalization: Normalization,
  tensors: readonly tf.Tensor[],
  weights: Readonly<Record<string, tf.Tensor | undefined>>,
  options: CallOptions,
): ApplyResult<tf.Tensor> {
  const { mask, residual, reduce } = options;
  // a place without examples makes the same calls as the others
  const runs = tensors[0].size > 0 || (reduce !== undefined && normalization.handles?.merge === true);
  const kernels = runs && fusedKernels(tf.backend());
  const check = () => weightsFor(normalization, tensors, shapesOf(weights));
  const specified = () => normalization.weights(...tensors.map(({ shape }) => shape));
  if (kernels) {
    const own = { ...options, mask: mask && floats(mask), residual: residual && floats(residual) };
    return runProgram(
      normalization,
      tensors.map(floats),
      (name) => floats(weights[name] ?? initialValue(specified()[name])),
      own,
      check,
    );
  }
  check();
  const all: Record<string, tf.Tensor> = {};
  for (const [name, weight] of Object.entries(specified())) all[name] = weights[name] ?? initialValue(weight);
  const merge = reduce && merging(reduce);
  const result = run(tfOps, normalization, tensors, all, { ...options, merge });
  const y = tensors[0].size === 0 ? connected(result.y, all) : result.y;
  return { ...result, y };
}

/** As float32; a float32 tensor is returned as is, since a cast would copy it. */
function floats(tensor: tf.Tensor): tf.Tensor {
  return tensor.dtype === "float32" ? tensor : tf.cast(tensor, "float32");
}

/** Shapes of the weights that are there. */
function shapesOf(weights: Readonly<Record<string, tf.Tensor | undefined>>): Record<string, number[]> {
  const given = Object.entries(weights).filter(
    (entry): entry is [string, tf.Tensor] => entry[1] !== undefined,
  );
  return Object.fromEntries(given.map(([name, { shape }]) => [name, shape]));
}

/** Connects an empty y to the weights, whose gradients are then 0. */
function connected(y: tf.Tensor, weights: Readonly<Record<string, tf.Tensor>>): tf.Tensor {
  return Object.values(weights).reduce((sum, weight) => tf.add(sum, tf.sum(tf.mul(weight, 0))), y);
}

interface LayerCall {
  readonly training: boolean;
  readonly mask?: tf.Tensor;
  readonly residual?: tf.Tensor;
  readonly reduce?: Reduce;
}

/** The call of a normalization layer; new state is written to its variables. */
export function applyLayer(
  normalization: Normalization,
  inputs: tf.Tensor[],
  variables: Readonly<Record<string, LayerVariable | null | undefined>>,
  { training, mask, residual, reduce }: LayerCall,
): Tensors {
  return tf.tidy(() => {
    const weights: Record<string, tf.Tensor> = {};
    for (const [name, variable] of Object.entries(variables)) {
      if (!variable) continue;
      const values = variable.read();
      // Keras gives gamma and beta one axis per normalized axis, in the order that `axis` lists them
      const several = (name === "gamma" || name === "beta") && values.rank > 1;
      weights[name] = several ? tf.reshape(values, [-1]) : values;
    }
    const { y, more, state } = applied(normalization, inputs, weights, {
      training,
      mask,
      residual,
      warn,
      // in evaluation places need not run together
      reduce: training ? reduce : undefined,
      moveState: (next) => writeState(next, variables),
    });
    if (state) writeState(state, variables);
    return more ? [y, ...more] : y;
  });
}

/** Sets a variable to its weight's initial values. */
export function initialize(variable: LayerVariable, weight: Weight): void {
  tf.tidy(() => {
    variable.write(initialValue(weight));
  });
}

function initialValue(weight: Weight): tf.Tensor {
  return tf.tensor(Float32Array.from(initialValues(weight)), [...weight.shape]);
}

/** Updates all state, or none where any of it is not finite. */
function writeState(
  state: Readonly<Record<string, tf.Tensor>>,
  variables: Readonly<Record<string, LayerVariable | null | undefined>>,
): void {
  if (inHostMemory()) {
    const finite = Object.values(state).every((tensor) => tensor.dataSync().every(Number.isFinite));
    if (finite) for (const [name, tensor] of Object.entries(state)) variables[name]?.write(tensor);
    return;
  }
  // reading would wait for the device, so the choice is made there
  const finite = tf.isFinite(tf.addN(Object.values(state).map((tensor) => tf.sum(tensor))));
  for (const [name, tensor] of Object.entries(state)) {
    const variable = variables[name];
    if (variable) variable.write(tf.where(finite, tensor, variable.read()));
  }
}

/** Whether the backend's tensors are in host memory, where reading them waits for no device. */
function inHostMemory(): boolean {
  return HOST_BACKENDS.includes(tf.getBackend());
}

const HOST_BACKENDS = ["cpu", "wasm"];

const warned = new Set<string>();

/** Warns once per normalization. */
function warn(message: string): void {
  const [name] = message.split(":");
  if (warned.has(name)) return;
  warned.add(name);
  console.warn(message);
}
