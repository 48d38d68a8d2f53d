/** TensorFlow.js on its wasm backend; the argument: "layer" as shipped, "composed", or "evenkeel", the layer after install(). */
import { createRequire } from "node:module";
import { dirname } from "node:path";
import { setWasmPaths } from "@tensorflow/tfjs-backend-wasm";
import * as tf from "@tensorflow/tfjs-core";
import * as tfl from "@tensorflow/tfjs-layers";
import { install } from "evenkeel/tfjs";
import { NotOffered, rotation, serve } from "../serve.mjs";
import { BLOCKS, HEADS, makeTransformer } from "../transformer.mjs";
import { kernelsFrom } from "./kernels.mjs";

const how = process.argv[2];
const wasmPackage = createRequire(import.meta.url).resolve("@tensorflow/tfjs-backend-wasm/package.json");
setWasmPaths(`${dirname(wasmPackage)}/wasm-out/`);
await tf.setBackend("wasm");
if (how === "evenkeel") await install();

/**
 * y of x, and the variables that it depends on.
 * @param {number} epsilon @param {number} features @param {Float32Array} [gamma] @param {Float32Array} [beta]
 */
function makeNorm(epsilon, features, gamma, beta) {
  if (how === "composed") {
    const [scale, offset] = [tf.variable(tf.tensor1d(gamma ?? [])), tf.variable(tf.tensor1d(beta ?? []))];
    const apply = (/** @type {tf.Tensor} */ x) => {
      const { mean, variance } = tf.moments(x, -1, true);
      return tf.add(tf.mul(tf.mul(tf.sub(x, mean), tf.rsqrt(tf.add(variance, epsilon))), scale), offset);
    };
    return { apply, variables: [scale, offset] };
  }
  const layer = tfl.layers.layerNormalization({ epsilon });
  layer.build([null, features]);
  if (gamma && beta) layer.setWeights([tf.tensor1d(gamma), tf.tensor1d(beta)]);
  const variables = layer.trainableWeights.map((weight) => /** @type {tf.Variable} */ (weight.read()));
  return { apply: (/** @type {tf.Tensor} */ x) => /** @type {tf.Tensor} */ (layer.apply(x)), variables };
}

await serve({
  about: `TensorFlow.js ${tf.version_core}, ${tf.getBackend()} backend`,
  prepare(task, inputs, copies) {
    if (task.norm === "transformer") return trainTransformer(task, inputs);
    if (task.norm !== "layer") throw new NotOffered(`${task.norm} is not among TensorFlow.js's layers`);
    const { shape, epsilon, passes } = task;
    const many = (/** @type {Float32Array} */ values) =>
      Array.from({ length: copies }, () => tf.tensor(values.slice(), shape));
    const [x, dy] = [many(inputs.x), passes.includes("both") ? many(inputs.dy) : []];
    const { apply, variables } = makeNorm(epsilon, shape[1], inputs.gamma, inputs.beta);
    /** @type {Record<string, (i: number) => tf.Tensor[]>} */
    const calls = {
      forward: (i) => [apply(x[i])],
      both: (i) => {
        const { value, grads } = tf.valueAndGrads((input) => apply(input))([x[i], ...variables], dy[i]);
        return [value, ...grads];
      },
    };
    const next = rotation(copies);
    const call = (/** @type {string} */ pass) =>
      tf.tidy(() => {
        calls[pass](next());
      });
    const results = (/** @type {string} */ pass) => {
      const [y, dx, dGamma, dBeta] = tf
        .tidy(() => calls[pass](0))
        .map((tensor) => /** @type {Float32Array} */ (tensor.dataSync().slice()));
      return { y, dx, dGamma, dBeta };
    };
    return {
      passes: { forward: () => call("forward"), both: () => call("both") },
      results: { forward: () => results("forward"), both: () => results("both") },
      close: () => {
        tf.dispose([x, dy]);
        tf.disposeVariables();
      },
    };
  },
});

/** @param {import("../serve.mjs").Task} task @param {import("../serve.mjs").Arrays} inputs */
function trainTransformer({ shape, epsilon }, inputs) {
  const width = shape[2];
  const kernel = kernelsFrom(inputs.kernels);
  const apply = makeTransformer(tf, {
    blocks: BLOCKS,
    width,
    heads: HEADS,
    normalization: () => makeNorm(epsilon, width).apply,
    kernel: (rows, columns) => tf.tensor2d(kernel(rows, columns), [rows, columns]),
  });
  const [x, target] = [tf.tensor(inputs.x, shape), tf.tensor(inputs.target, shape)];
  const optimizer = tf.train.adam(0.001, 0.9, 0.999, 1e-7);
  const step = () =>
    tf.tidy(() => {
      const cost = () => /** @type {tf.Scalar} */ (tf.losses.meanSquaredError(target, apply(x)));
      return /** @type {tf.Scalar} */ (optimizer.minimize(cost, true)).dataSync()[0];
    });
  return {
    passes: { step },
    results: { step: () => ({ losses: Float32Array.of(step(), step(), step()) }) },
    close: () => {
      tf.dispose([x, target]);
      tf.disposeVariables();
    },
  };
}
