/**
 * A worker thread that trains: one replica of several, or one model on the whole of every batch. It reports its weights after each step,
 * in the order of the model's.
 */
import { createRequire } from "node:module";
import { dirname } from "node:path";
import { parentPort, workerData } from "node:worker_threads";
import { setWasmPaths } from "@tensorflow/tfjs-backend-wasm";
import * as tf from "@tensorflow/tfjs-core";
import * as tfl from "@tensorflow/tfjs-layers";
import "@tensorflow/tfjs-backend-cpu";
import { exchangeIn } from "evenkeel/replicas";
import { install, replicaOf } from "evenkeel/tfjs";
import { dataOf, modelOf } from "./models.mjs";

const {
  memory,
  rank,
  backend,
  kind,
  norm,
  sizes,
  steps,
  rate,
  optimizer = "sgd",
  tamper,
  fit,
  local = rank,
  ...options
} = workerData;

const wasm = createRequire(import.meta.url).resolve("@tensorflow/tfjs-backend-wasm/package.json");
setWasmPaths(`${dirname(wasm)}/wasm-out/`);
await tf.setBackend(backend);
await install();

/** @param {tfl.LayersModel} model */
const weightsOf = (model) => model.weights.map((weight) => Array.from(weight.read().dataSync()));

try {
  // replicas begin with weights of their own, and take those of rank 0
  const model = modelOf(kind, norm, memory && rank > 0 ? 100 + rank : 1);
  const chosen = optimizer === "momentum" ? tf.train.momentum(rate, 0.9) : tf.train[optimizer](rate);
  model.compile({ optimizer: chosen, loss: "categoricalCrossentropy", metrics: ["accuracy"] });
  const replica = memory && replicaOf(model, { ...options, exchange: exchangeIn(memory, local), rank });
  const total = sizes.reduce((/** @type {number} */ a, /** @type {number} */ b) => a + b);
  const from = sizes.slice(0, rank).reduce((/** @type {number} */ a, /** @type {number} */ b) => a + b, 0);
  const weights = [];
  const results = [];
  if (fit) {
    const [x, y] = dataOf(kind, total, 0);
    const { history } = await replica.fit(x, y, fit);
    results.push(...history.loss.map((/** @type {number} */ loss) => [loss]));
    weights.push(weightsOf(model));
  }
  let tensors = 0;
  for (let step = 0; step < steps; step++) {
    const [x, y] = dataOf(kind, total, step);
    if (replica) {
      const part = [x, y].map((one) => tf.slice(one, from, sizes[rank]));
      results.push(Object.values(await replica.trainStep(part[0], part[1])));
      tf.dispose(part);
    } else results.push(await model.trainOnBatch(x, y));
    tf.dispose([x, y]);
    if (step === 1) tensors = tf.memory().numTensors;
    if (step === tamper && rank === 1) {
      const [kernel] = model.trainableWeights.slice(-1);
      kernel.write(tf.add(kernel.read(), 1e-7));
    }
    weights.push(weightsOf(model));
    parentPort?.postMessage({ step });
  }
  const left = tf.memory().numTensors - tensors;
  const names = model.weights.map(({ originalName }) => originalName.split("/").pop());
  parentPort?.postMessage({ weights, results, names, left, merged: replica?.merged });
} catch (error) {
  parentPort?.postMessage({ message: /** @type {Error} */ (error).message });
}
