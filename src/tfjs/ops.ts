/** Formulas (src/formula/ops.ts) in TensorFlow.js: its own operations, with their gradients, and the fused one. */
import * as tf from "@tensorflow/tfjs-core";
import type { Operand, Ops } from "../formula/ops.js";
import { narrowed } from "../formula/rounding.js";
import { sameShape } from "../shape.js";
import { constant, normalize } from "./operation.js";

/** A function whose gradient passes as it is. */
function straight(x: tf.Tensor, value: (x: tf.Tensor) => tf.Tensor): tf.Tensor {
  const operation = tf.customGrad((input) => ({
    value: value(input as tf.Tensor),
    gradFunc: (dy: tf.Tensor) => dy,
  }));
  return operation(x);
}

export const tfOps: Ops<tf.Tensor> = {
  shape: (x) => x.shape,
  constant: (values, shape) => tf.tensor(Float32Array.from(values), [...shape], "float32"),
  add: (a, b) => tf.add(tensor(a), tensor(b)),
  sub: (a, b) => tf.sub(tensor(a), tensor(b)),
  mul: (a, b) => tf.mul(tensor(a), tensor(b)),
  div: (a, b) => tf.div(tensor(a), tensor(b)),
  max: (a, b) => tf.maximum(...alike(tensor(a), tensor(b))),
  min: (a, b) => tf.minimum(...alike(tensor(a), tensor(b))),
  greater: (a, b) => constant(() => tf.cast(tf.greater(tensor(a), tensor(b)), "float32")),
  // a cast to bool would cut 0.3 to 0 on some backends
  where: (condition, a, b) =>
    tf.where(
      constant(() => tf.notEqual(condition, tf.zerosLike(condition))),
      tensor(a),
      tensor(b),
    ),
  abs: (x) => tf.abs(x),
  exp: (x) => tf.exp(x),
  sqrt: (x) => tf.sqrt(x),
  tanh: (x) => tf.tanh(x),
  sigmoid: (x) => tf.sigmoid(x),
  erf: (x) => tf.erf(x),
  pow: (x, exponent) => tf.pow(x, exponent),
  rounded: (x, type) => straight(x, (values) => narrowed(tfOps, values, type)),
  sum: (x, axes) => tf.sum(x, [...axes], true),
  largest: (x, axes) => constant(() => tf.max(x, [...axes], true)),
  matMul: (a, b) => tf.matMul(a, b),
  reshape: (x, shape) => tf.reshape(x, [...shape]),
  transpose: (x, order) => tf.transpose(x, [...order]),
  slice(x, axis, from, to) {
    const begin = x.shape.map((_, one) => (one === axis ? from : 0));
    const size = x.shape.map((length, one) => (one === axis ? to - from : length));
    return tf.slice(x, begin, size);
  },
  concat: (parts, axis) => tf.concat([...parts], axis),
  stop: (x) => constant(() => tf.clone(x)),
  intercept(x, saved, through) {
    const intercepted = tf.customGrad((values, save) => {
      (save as tf.GradSaveFunc)([...saved]);
      return {
        value: tf.clone(values as tf.Tensor),
        gradFunc: (gradient, kept) => through(gradient as tf.Tensor, kept as tf.Tensor[]),
      };
    });
    return intercepted(x);
  },
  normalize,
};

/**
 * Two of one shape: TensorFlow.js's gradients of the larger and the smaller one do not sum over what was broadcast. A
 * scalar, which has none, stays.
 */
function alike(a: tf.Tensor, b: tf.Tensor): [tf.Tensor, tf.Tensor] {
  if (a.rank === 0 || b.rank === 0 || sameShape(a.shape, b.shape)) return [a, b];
  const shape = tf.backend_util.assertAndGetBroadcastShape(a.shape, b.shape);
  // added to zeros: the gradient of broadcastTo takes a slice for each repetition
  const whole = (one: tf.Tensor) => (sameShape(one.shape, shape) ? one : tf.add(one, tf.zeros(shape)));
  return [whole(a), whole(b)];
}

function tensor(operand: Operand<tf.Tensor>): tf.Tensor {
  return typeof operand === "number" ? tf.scalar(operand) : operand;
}
