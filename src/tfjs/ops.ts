/** Formulas (src/norms/ops.ts) in TensorFlow.js: its own operations, with their gradients, and the fused one. */
import * as tf from "@tensorflow/tfjs-core";
import type { Norm } from "../norms/norm.js";
import type { NormalizeOperands, NormalizeResult, Operand, Ops } from "../norms/ops.js";
import { normalize } from "./operation.js";

/** TensorFlow.js has no operation for it: one whose gradient is none. */
const stopped = tf.customGrad((x) => {
  const values = x as tf.Tensor;
  return { value: tf.clone(values), gradFunc: () => tf.zeros(values.shape) };
});

export const tfOps: Ops<tf.Tensor> = {
  shape: (x) => x.shape,
  constant: (values, shape) => tf.tensor(Float32Array.from(values), [...shape], "float32"),
  add: (a, b) => tf.add(tensor(a), tensor(b)),
  sub: (a, b) => tf.sub(tensor(a), tensor(b)),
  mul: (a, b) => tf.mul(tensor(a), tensor(b)),
  div: (a, b) => tf.div(tensor(a), tensor(b)),
  max: (a, b) => tf.maximum(tensor(a), tensor(b)),
  min: (a, b) => tf.minimum(tensor(a), tensor(b)),
  greater: (a, b) => tf.cast(tf.greater(tensor(a), tensor(b)), "float32"),
  where: (condition, a, b) => tf.where(tf.cast(condition, "bool"), tensor(a), tensor(b)),
  abs: (x) => tf.abs(x),
  exp: (x) => tf.exp(x),
  sqrt: (x) => tf.sqrt(x),
  tanh: (x) => tf.tanh(x),
  sigmoid: (x) => tf.sigmoid(x),
  erf: (x) => tf.erf(x),
  pow: (x, exponent) => tf.pow(x, exponent),
  sum: (x, axes) => tf.sum(x, [...axes], true),
  matMul: (a, b) => tf.matMul(a as tf.Tensor2D, b as tf.Tensor2D),
  reshape: (x, shape) => tf.reshape(x, [...shape]),
  transpose: (x, order) => tf.transpose(x, [...order]),
  slice(x, axis, from, to) {
    const begin = x.shape.map((_, one) => (one === axis ? from : 0));
    const size = x.shape.map((length, one) => (one === axis ? to - from : length));
    return tf.slice(x, begin, size);
  },
  concat: (parts, axis) => tf.concat([...parts], axis),
  stop: (x) => stopped(x),
  normalize(norm: Norm, x: tf.Tensor, { residual, ...parameters }: NormalizeOperands<tf.Tensor> = {}) {
    const sum = residual && tf.add(x, residual);
    return { ...normalize(norm, sum ?? x, parameters), sum } satisfies NormalizeResult<tf.Tensor>;
  },
};

function tensor(operand: Operand<tf.Tensor>): tf.Tensor {
  return typeof operand === "number" ? tf.scalar(operand) : operand;
}
