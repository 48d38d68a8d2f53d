// @ts-check
/**
 * A worker with a TensorFlow.js of its own: as shipped, or with Evenkeel installed. It makes inputs from a seed, checks
 * its results against float64, and then runs one round of a task whenever it is asked, and says how long that took.
 */
import { createRequire } from "node:module";
import { dirname } from "node:path";
import { parentPort, workerData } from "node:worker_threads";
import { setWasmPaths } from "@tensorflow/tfjs-backend-wasm";
import * as tf from "@tensorflow/tfjs-core";
import * as tfl from "@tensorflow/tfjs-layers";
import { layerNorm, open } from "evenkeel";
import { install } from "evenkeel/tfjs";
import { makeTransformer } from "./transformer.mjs";

const wasmPackage = createRequire(import.meta.url).resolve("@tensorflow/tfjs-backend-wasm/package.json");
setWasmPaths(`${dirname(wasmPackage)}/wasm-out/`);
await tf.setBackend("wasm");
if (workerData.evenkeel) await install();

/** Enough inputs that one round finds none of the last one's in a cache. */
const BYTES_IN_ROTATION = 64 << 20;

/** @param {number} length @param {number} seed */
function seeded(length, seed) {
  let state = seed >>> 0;
  return Float32Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2147483648 - 1;
  });
}

/** @param {number} rows @param {number} features */
async function layerNormTasks(rows, features) {
  const shape = /** @type {[number, number]} */ ([rows, features]);
  const count = Math.max(2, Math.ceil(BYTES_IN_ROTATION / (rows * features * 4)));
  const inputs = Array.from({ length: count }, (_, i) => tf.tensor2d(seeded(rows * features, i), shape));
  const upstream = tf.tensor2d(seeded(rows * features, 1000), shape);
  const layer = tfl.layers.layerNormalization({ epsilon: 1e-5 });
  layer.build(shape);
  const [gamma, beta] = [seeded(features, 2000), seeded(features, 2001)];
  layer.setWeights([tf.tensor1d(gamma), tf.tensor1d(beta)]);
  const apply = (/** @type {tf.Tensor} */ x) => /** @type {tf.Tensor} */ (layer.apply(x));
  let turn = 0;
  const next = () => inputs[turn++ % count];
  const forward = () => tf.tidy(() => void apply(next()));
  const variables = layer.trainableWeights.map((weight) => /** @type {tf.Variable} */ (weight.read()));
  const both = () =>
    tf.tidy(() => {
      const x = next();
      tf.grads((input) => apply(input))([x, ...variables], upstream);
    });
  // what the backend allocates for an output, filled by the engine's own copy
  const copy = () => {
    const backend = /** @type {any} */ (tf.backend());
    const y = backend.makeOutput(shape, "float32");
    const from = backend.dataIdMap.get(next().dataId).memoryOffset;
    const to = backend.dataIdMap.get(y.dataId).memoryOffset;
    backend.wasm.HEAPU8.copyWithin(to, from, from + rows * features * 4);
    backend.disposeData(y.dataId);
  };

  const reference = await open({ backend: "reference" });
  const x = { shape, data: Float64Array.from(inputs[0].dataSync()) };
  const expected = reference.forward(layerNorm(), x, {
    gamma: Float64Array.from(gamma),
    beta: Float64Array.from(beta),
  });
  const gradient = reference.backward(expected.saved, {
    shape,
    data: Float64Array.from(upstream.dataSync()),
  });
  check("y", apply(inputs[0]), expected.y.data);
  const gradients = tf.grads((input) => apply(input))([inputs[0], ...variables], upstream);
  const wanted = { dx: gradient.dx, dGamma: gradient.dGamma, dBeta: gradient.dBeta };
  for (const [i, [name, array]] of Object.entries(wanted).entries()) {
    // gamma's and beta's are sums over the rows
    check(name, gradients[i], array?.data ?? [], name === "dx" ? 1 : Math.sqrt(rows));
  }
  return { forward, both, copy };
}

/** @param {string} name @param {tf.Tensor} actual @param {ArrayLike<number>} expected @param {number} [scale] of the values */
function check(name, actual, expected, scale = 1) {
  const values = actual.dataSync();
  for (let i = 0; i < expected.length; i++) {
    if (Math.abs(values[i] - expected[i]) <= 1e-4 * (scale + Math.abs(expected[i]))) continue;
    throw new Error(`${workerData.name}: ${name}[${i}] is ${values[i]}, expected ${expected[i]}: not timed`);
  }
}

/** A training step: forward, backward, Adam. */
function transformerTask() {
  const [batch, time, width] = [16, 64, 128];
  const apply = makeTransformer(tf, {
    blocks: 2,
    width,
    heads: 4,
    normalization: () => {
      const layer = tfl.layers.layerNormalization({ epsilon: 1e-5 });
      return (x) => /** @type {tf.Tensor} */ (layer.apply(x));
    },
  });
  const x = tf.tensor3d(seeded(batch * time * width, 7), [batch, time, width]);
  const y = tf.tensor3d(seeded(batch * time * width, 8), [batch, time, width]);
  const optimizer = tf.train.adam(0.001);
  return () =>
    tf.tidy(() => {
      const loss = optimizer.minimize(
        () => /** @type {tf.Scalar} */ (tf.losses.meanSquaredError(y, apply(x))),
        true,
      );
      return /** @type {tf.Scalar} */ (loss).dataSync()[0];
    });
}

/** @type {Record<string, () => unknown>} */
const tasks = {};
for (const [rows, features] of workerData.shapes) {
  const made = await layerNormTasks(rows, features);
  for (const [name, task] of Object.entries(made)) tasks[`${rows}x${features} ${name}`] = task;
}
tasks["transformer step"] = transformerTask();

parentPort?.on("message", (/** @type {{ task: string, times: number }} */ { task, times }) => {
  const began = performance.now();
  let result;
  for (let i = 0; i < times; i++) result = tasks[task]();
  parentPort?.postMessage({ ms: (performance.now() - began) / times, result });
});
parentPort?.postMessage({ ready: true });
