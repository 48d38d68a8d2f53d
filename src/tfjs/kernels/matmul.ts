/** Matrix products. The shipped kernels are plain loops for transposed inputs and for several matrices. */
import * as tf from "@tensorflow/tfjs-core";
import { call, described, dispose, type Host, type Inputs, type Shipped } from "./host.js";
import { addressOf, outputOn } from "./wasm-backend.js";

/** a [..., m, k] · b [..., k, n] = [..., m, n], each stored transposed where the attributes say so; float32 or int32. */
export function batchMatMul(
  host: Host,
  { a, b }: Inputs,
  attributes: tf.BatchMatMulAttrs,
  shipped: Shipped,
): tf.TensorInfo {
  if (host.isThreaded && isPlain(a, b, attributes)) return shipped();
  return product(host, tf.BatchMatMul, a, b, attributes);
}

/** The same with a bias and an activation. A single float32 product without transposes is left to the shipped kernel. */
export function fusedMatMul(
  host: Host,
  inputs: Inputs,
  attributes: tf._FusedMatMulAttrs & FusedAttributes,
  shipped: Shipped,
): tf.TensorInfo {
  const { a, b, bias } = inputs;
  if (isPlain(a, b, attributes) && (bias?.shape.length ?? 1) === 1) return shipped();
  return finish(host, product(host, tf._FusedMatMul, a, b, attributes), inputs, attributes);
}

/** A single float32 product without transposes, at which the shipped kernels (XNNPACK) are fast. */
function isPlain(
  a: tf.TensorInfo,
  b: tf.TensorInfo,
  { transposeA, transposeB }: tf.BatchMatMulAttrs,
): boolean {
  const batch = tf.util.sizeFromShape([...a.shape.slice(0, -2), ...b.shape.slice(0, -2)]);
  const isEmpty = a.shape.includes(0) || b.shape.includes(0);
  return batch === 1 && !isEmpty && !transposeA && !transposeB && a.dtype === "float32";
}

function product(
  host: Host,
  name: string,
  a: tf.TensorInfo,
  b: tf.TensorInfo,
  { transposeA, transposeB }: tf.BatchMatMulAttrs,
): tf.TensorInfo {
  const { dtype } = a;
  if ((dtype !== "float32" && dtype !== "int32") || b.dtype !== dtype) {
    throw new TypeError(
      `${name}: inputs must both be float32 or both int32, got ${described([a, b])}; convert them with tf.cast(x, "float32")`,
    );
  }
  const [rowsA, columnsA] = a.shape.slice(-2);
  const [rowsB, columnsB] = b.shape.slice(-2);
  const [m, k] = transposeA ? [columnsA, rowsA] : [rowsA, columnsA];
  const [n, innerB] = transposeB ? [rowsB, columnsB] : [columnsB, rowsB];
  if (a.shape.length < 2 || b.shape.length < 2 || k !== innerB) {
    throw new RangeError(
      "matMul: a must be [..., m, k] and b [..., k, n], after their transposes, got " +
        `a [${a.shape}], transposeA ${transposeA}, and b [${b.shape}], transposeB ${transposeB}`,
    );
  }
  const batchShapeA = a.shape.slice(0, -2);
  const batchShapeB = b.shape.slice(0, -2);
  const batchShape = tf.broadcast_util.assertAndGetBroadcastShape(batchShapeA, batchShapeB);
  const batch = tf.util.sizeFromShape(batchShape);
  const { backend, exports } = host;
  const y = outputOn(backend, [...batchShape, m, n], dtype);
  if (batch * m * n === 0) return y;

  const scratch = dtype === "float32" ? [host.scratch.atLeast(exports.matMulScratchBytes())] : [];
  const multiply = dtype === "float32" ? exports.matMul : exports.matMulIntegers;
  const [atA, atB, atY] = [a, b, y].map((tensor) => addressOf(backend, tensor));
  const indexA = broadcastIndices(batchShapeA, batchShape);
  const indexB = broadcastIndices(batchShapeB, batchShape);
  // evenly spaced matrices in a, b and y go in one call
  for (let first = 0, end: number; first < batch; first = end) {
    end = first + 1;
    const stepA = end < batch ? indexA[end] - indexA[first] : 0;
    const stepB = end < batch ? indexB[end] - indexB[first] : 0;
    const isEven = (at: number) =>
      indexA[at] - indexA[at - 1] === stepA && indexB[at] - indexB[at - 1] === stepB;
    while (end < batch && isEven(end)) end++;
    // one b for consecutive a: a single product with more rows
    const joined = stepA === 1 && stepB === 0 && !transposeA;
    multiply(
      ...[atA + indexA[first] * m * k * 4, atB + indexB[first] * k * n * 4, atY + first * m * n * 4],
      ...scratch,
      ...(joined ? [1, 0, 0, m * (end - first)] : [end - first, stepA * m * k, stepB * k * n, m]),
      ...[n, k, Number(transposeA), Number(transposeB)],
    );
  }
  return y;
}

/** For each element of shape `to`, row-major, the index of the element of shape `from` that is broadcast to it. */
function broadcastIndices(from: readonly number[], to: readonly number[]): number[] {
  let indices = [0];
  for (let axis = 0; axis < to.length; axis++) {
    const size = from[axis - to.length + from.length] ?? 1;
    indices = indices.flatMap((index) =>
      Array.from({ length: to[axis] }, (_, i) => index * size + (size === 1 ? 0 : i)),
    );
  }
  return indices;
}

interface FusedAttributes {
  readonly activation?: string;
  readonly leakyreluAlpha?: number;
}

const activations: Record<string, string> = {
  relu: tf.Relu,
  relu6: tf.Relu6,
  elu: tf.Elu,
  sigmoid: tf.Sigmoid,
  prelu: tf.Prelu,
  leakyrelu: tf.LeakyRelu,
};

/** activation(y + bias); y is consumed. */
function finish(
  host: Host,
  y: tf.TensorInfo,
  { bias, preluActivationWeights: alpha }: Inputs,
  { activation = "linear", leakyreluAlpha }: FusedAttributes,
): tf.TensorInfo {
  if (activation !== "linear" && !Object.hasOwn(activations, activation)) {
    dispose(host, y);
    throw new RangeError(
      `${tf._FusedMatMul}: activation must be linear, ${Object.keys(activations).join(", ")}, got ${activation}`,
    );
  }
  let result = y;
  const apply = (kernelName: string, inputs: Inputs, attrs?: tf.NamedAttrMap) => {
    const next = call(host, kernelName, inputs, attrs);
    dispose(host, result);
    result = next;
  };
  if (bias) apply(tf.Add, { a: result, b: bias });
  if (activation === "prelu") apply(tf.Prelu, { x: result, alpha });
  else if (activation === "leakyrelu") apply(tf.LeakyRelu, { x: result }, { alpha: leakyreluAlpha ?? 0 });
  else if (activation !== "linear") apply(activations[activation], { x: result });
  return result;
}
