/** Runs a normalization in any host: supplies the mask and residual handling that its formula leaves out, and checks its weights. */
import { checkMaskShape } from "../mask.js";
import {
  checkHasShape,
  checkLengths,
  described,
  fitsShape,
  MOST_VALUES,
  sameShape,
  sizeOf,
} from "../shape.js";
import type { ApplyOptions, ApplyResult, Normalization, Weight } from "./normalization.js";
import type { Ops } from "./ops.js";
import { broadcastMask } from "./terms.js";

/**
 * Runs the formula and supplies what it does not handle: a residual is added to x first; masked values of x, which may be NaN, are
 * set to 0, and so are those of y and the gradient. Statistics are for the formula to mask.
 * @throws RangeError for a residual of another shape than x, or a mask that does not broadcast to it
 */
export function run<T>(
  ops: Ops<T>,
  normalization: Normalization,
  inputs: readonly T[],
  weights: Readonly<Record<string, T>>,
  options: ApplyOptions<T>,
): ApplyResult<T> {
  const { handles = {}, name } = normalization;
  const { mask, residual, merge } = options;
  const [first, ...others] = inputs;
  const shape = ops.shape(first);
  const merges = merge !== undefined && handles.merge === true;
  if (sizeOf(shape) === 0) {
    const isElsewhere = merges && shape[0] === 0 && sizeOf(shape.slice(1)) > 0;
    if (isElsewhere) return runOnNone(ops, normalization, inputs, weights, options);
    return runOnEmpty(ops, normalization, inputs, options);
  }
  if (residual !== undefined && !sameShape(ops.shape(residual), shape)) {
    throw new RangeError(
      `${name}: residual must have the shape of x, [${shape.join(", ")}], got [${ops.shape(residual).join(", ")}]`,
    );
  }
  if (mask !== undefined) {
    const masked = handles.mask === "last" ? inputs[inputs.length - 1] : first;
    checkMaskShape(name, ops.shape(masked), ops.shape(mask));
  }
  if (merge !== undefined && handles.merge === false && options.training) {
    throw new Error(
      `${name}: its statistics follow the examples of one place in their order, and cannot be merged with those of others; ` +
        "call it without reduce, or use batchNorm",
    );
  }
  const sum = residual === undefined || handles.residual ? undefined : ops.add(first, residual);
  let x = sum ?? first;
  const fullMask = mask === undefined || handles.mask ? undefined : broadcastMask(ops, mask, shape);
  if (fullMask !== undefined) x = ops.where(fullMask, x, 0);
  const result = normalization.apply(ops, [x, ...others], weights, {
    ...options,
    residual: sum === undefined ? residual : undefined,
    merge: merges ? merge : undefined,
  });
  return {
    ...result,
    ...(fullMask !== undefined && { y: ops.where(fullMask, result.y, 0) }),
    ...(sum !== undefined && { sum }),
  };
}

/**
 * A batch of which nothing lies here, and something in other places, which wait for what is merged: one example that does not count
 * stands for it, in both passes.
 */
function runOnNone<T>(
  ops: Ops<T>,
  normalization: Normalization,
  inputs: readonly T[],
  weights: Readonly<Record<string, T>>,
  { residual, ...options }: ApplyOptions<T>,
): ApplyResult<T> {
  const one = inputs.map((input) => {
    const shape = [1, ...ops.shape(input).slice(1)];
    return ops.concat([input, ops.constant(new Float32Array(sizeOf(shape)), shape)], 0);
  });
  const mask = ops.constant([0], [1]);
  const { y, more = [], state } = run(ops, normalization, one, weights, { ...options, mask });
  const shapes = inputs.map((input) => ops.shape(input));
  const expected = normalization.outputs?.(...shapes) ?? shapes;
  // what is of examples is of none
  const here = [y, ...more].map((output, i) =>
    sizeOf(expected[i]) > 0 ? output : ops.slice(output, 0, 0, 0),
  );
  return {
    y: here[0],
    ...(more.length > 0 && { more: here.slice(1) }),
    ...(state && { state }),
    ...(residual !== undefined && { sum: ops.reshape(residual, shapes[0]) }),
  };
}

/** An empty batch, such as that of a detector without detections, gives an empty y and no state. */
function runOnEmpty<T>(
  ops: Ops<T>,
  normalization: Normalization,
  inputs: readonly T[],
  { training, residual, warn }: ApplyOptions<T>,
): ApplyResult<T> {
  const { name } = normalization;
  const [x] = inputs;
  const shapes = inputs.map((input) => ops.shape(input));
  const [shape] = shapes;
  const outputs = normalization.outputs?.(...shapes) ?? [shape];
  if (outputs.some((output) => sizeOf(output) > 0)) {
    throw new RangeError(
      `${name}: x is empty (shape [${shape.join(", ")}]), and there is nothing to measure; skip empty batches`,
    );
  }
  if (training && Object.values(normalization.weights(...shapes)).some(({ trained }) => !trained)) {
    warn?.(
      `${name}: a training batch is empty (shape [${shape.join(", ")}]), and the running statistics were left as they were; ` +
        "skip empty batches in training",
    );
  }
  const [y, ...more] = outputs.map((output) => ops.reshape(x, output));
  return {
    y,
    ...(more.length > 0 && { more }),
    ...(residual !== undefined && { sum: ops.reshape(residual, shape) }),
  };
}

/**
 * The weights that a call needs: what every host checks before it allocates anything. Inputs, outputs and all weights together must
 * be within what an array can hold.
 * @param given shapes of the weights that came with the call, by name
 * @throws TypeError for what is not a normalization, or an input without a shape; RangeError for a weight that it does not have, or
 * of another shape, and for sizes that no backend holds
 */
export function weightsFor(
  normalization: Normalization,
  inputs: readonly { readonly shape: readonly number[] }[],
  given: Readonly<Record<string, readonly number[]>>,
): Record<string, Weight> {
  checkNormalization(normalization);
  const { name } = normalization;
  if (inputs.length === 0) {
    throw new TypeError(`${name}: expected at least one input, x, got none`);
  }
  for (const [i, input] of inputs.entries()) {
    const called = i === 0 ? "x" : `input ${i}`;
    checkHasShape(name, called, input?.shape);
    checkLengths(name, called, input.shape);
  }
  const shapes = inputs.map(({ shape }) => shape);
  const weights = normalization.weights(...shapes);
  let values = 0;
  for (const [weight, { shape }] of Object.entries(weights)) {
    checkLengths(name, weight, shape);
    values += sizeOf(shape);
  }
  if (values > MOST_VALUES) {
    throw new RangeError(
      `${name}: its weights hold ${values} values in all, more than the ${MOST_VALUES} (4 GiB of float32) of a backend; choose smaller sizes`,
    );
  }
  for (const output of normalization.outputs?.(...shapes) ?? []) checkLengths(name, "what it gives", output);
  const unknown = Object.keys(given).filter((weight) => !Object.hasOwn(weights, weight));
  if (unknown.length > 0) {
    throw new RangeError(
      `${name}: no weights are called ${unknown.join(", ")}; there are ${Object.keys(weights).join(", ") || "none"}`,
    );
  }
  for (const [weight, got] of Object.entries(given)) {
    const { shape } = weights[weight];
    if (fitsShape(got, shape)) continue;
    throw new RangeError(`${name}: ${weight} must have shape [${shape.join(", ")}], got [${got.join(", ")}]`);
  }
  return weights;
}

/**
 * @param caller the function that took it, as its users call it
 * @param argument which of its arguments it is
 * @throws TypeError for what is not a normalization, such as a factory that was not called.
 */
export function checkNormalization(
  normalization: Normalization,
  caller = "apply",
  argument = "norm",
): asserts normalization is Normalization {
  const { weights, apply } = (normalization ?? {}) as Partial<Normalization>;
  if (typeof weights === "function" && typeof apply === "function") return;
  const remedy = typeof normalization === "function" ? "; call the function that makes it" : "";
  throw new TypeError(
    `${caller}: ${argument} must be a normalization, such as layerNorm(), got ${described(normalization)}${remedy}`,
  );
}
