/**
 * A small pre-norm transformer encoder from plain tf operations, to time a training step and to see whether it learns.
 * peers/jax-transformer.mjs and peers/pytorch_transformer.py are the same model in their libraries.
 */

/** @typedef {typeof import("@tensorflow/tfjs-core")} TF */
/** @typedef {import("@tensorflow/tfjs-core").Tensor} Tensor */

/** The model that is timed; [batch, time, width] is the shape of the case. */
export const BLOCKS = 2;
export const HEADS = 4;

/**
 * Blocks of attention and a two-layer perceptron, each after a normalization and with a residual connection.
 * @param {TF} tf
 * @param {{ blocks: number, width: number, heads: number, normalization: () => (x: Tensor) => Tensor,
 *   kernel?: (inputs: number, outputs: number) => Tensor }} options
 *   `normalization` makes a normalization of the last axis; `kernel` the initial kernel of a dense layer, by default
 *   random. Kernels are made in the order of queries, keys, values, out, up and down, block by block
 * @returns {(x: Tensor) => Tensor} from [batch, time, width] to the same
 */
export function makeTransformer(tf, { blocks, width, heads, normalization, kernel: first }) {
  let seed = 1;
  first ??= (inputs, outputs) =>
    tf.randomNormal([inputs, outputs], 0, 1 / Math.sqrt(inputs), "float32", seed++);
  /** @param {number} inputs @param {number} outputs */
  const dense = (inputs, outputs) => {
    const kernel = tf.variable(first(inputs, outputs));
    const bias = tf.variable(tf.zeros([outputs]));
    /** @param {Tensor} x [rows, inputs] */
    return (x) => tf.add(tf.matMul(/** @type {any} */ (x), kernel), bias);
  };
  const layers = Array.from({ length: blocks }, () => ({
    before: normalization(),
    between: normalization(),
    queries: dense(width, width),
    keys: dense(width, width),
    values: dense(width, width),
    out: dense(width, width),
    up: dense(width, 4 * width),
    down: dense(4 * width, width),
  }));
  return (x) => {
    const [batch, time] = x.shape;
    const depth = width / heads;
    /** @param {Tensor} rows [batch·time, width] to [batch, heads, time, depth] */
    const split = (rows) => tf.transpose(tf.reshape(rows, [batch, time, heads, depth]), [0, 2, 1, 3]);
    let rows = tf.reshape(x, [batch * time, width]);
    for (const { before, between, queries, keys, values, out, up, down } of layers) {
      const input = before(rows);
      const scores = tf.matMul(split(queries(input)), split(keys(input)), false, true);
      const attention = tf.softmax(tf.mul(scores, 1 / Math.sqrt(depth)));
      const mixed = tf.transpose(tf.matMul(attention, split(values(input))), [0, 2, 1, 3]);
      rows = tf.add(rows, out(tf.reshape(mixed, [batch * time, width])));
      rows = tf.add(rows, down(tf.relu(up(between(rows)))));
    }
    return tf.reshape(rows, [batch, time, width]);
  };
}
