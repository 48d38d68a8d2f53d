/**
 * What data-parallel training costs: bytes that each replica gives in a step (statistics and gradients apart), the time of an exchange
 * between threads and over a Redis on this machine, and steps a second of a small ResNet with one thread and with several, turn by turn.
 *
 *     node bench/replicas.mjs [--threads 2,4,8] [--redis redis://127.0.0.1:6379]
 */
import { createRequire } from "node:module";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { setWasmPaths } from "@tensorflow/tfjs-backend-wasm";
import * as tf from "@tensorflow/tfjs-core";
import * as tfl from "@tensorflow/tfjs-layers";
import { exchangeIn, redisExchange, shardOf, sharedMemory } from "evenkeel/replicas";
import { install, layers, replicaOf } from "evenkeel/tfjs";

const BATCH = 32;
const TURNS = 5;
const STEPS = 4;

/** ResNet-20 has three blocks a stage, ResNet-8 one (He et al. 2016, arXiv 1512.03385). @param {number} blocks */
function resNet(blocks) {
  /** @param {tfl.SymbolicTensor} x @param {number} filters @param {number} strides @param {number} kernelSize */
  const convolved = (x, filters, strides, kernelSize = 3) => {
    const options = { filters, kernelSize, strides, padding: /** @type {"same"} */ ("same"), useBias: false };
    const y = tfl.layers.conv2d(options).apply(x);
    return /** @type {tfl.SymbolicTensor} */ (layers.batchNormalization().apply(/** @type {any} */ (y)));
  };
  /** @param {tfl.SymbolicTensor} x */
  const rectified = (x) => /** @type {tfl.SymbolicTensor} */ (tfl.layers.reLU().apply(x));
  const inputs = tfl.input({ shape: [32, 32, 3] });
  let x = rectified(convolved(inputs, 16, 1));
  for (const [stage, filters] of [16, 32, 64].entries()) {
    for (let block = 0; block < blocks; block++) {
      const strides = stage > 0 && block === 0 ? 2 : 1;
      const y = convolved(rectified(convolved(x, filters, strides)), filters, 1);
      const shortcut = strides === 2 ? convolved(x, filters, 2, 1) : x;
      x = rectified(/** @type {tfl.SymbolicTensor} */ (tfl.layers.add().apply([y, shortcut])));
    }
  }
  const pooled = tfl.layers.globalAveragePooling2d({ dataFormat: "channelsLast" }).apply(x);
  const outputs = tfl.layers.dense({ units: 10, activation: "softmax" }).apply(pooled);
  const model = tfl.model({ inputs, outputs: /** @type {tfl.SymbolicTensor} */ (outputs) });
  model.compile({ optimizer: tf.train.momentum(0.1, 0.9), loss: "categoricalCrossentropy" });
  return model;
}

async function start() {
  const wasm = createRequire(import.meta.url).resolve("@tensorflow/tfjs-backend-wasm/package.json");
  setWasmPaths(`${dirname(wasm)}/wasm-out/`);
  await tf.setBackend("wasm");
  await install();
}

/** @param {number} examples */
const batchOf = (examples) => [
  tf.randomNormal([examples, 32, 32, 3], 0, 1, "float32", 1),
  tf.oneHot(tf.zeros([examples], "int32"), 10),
];

/** @param {number[]} values */
const median = (values) => values.sort((a, b) => a - b)[values.length >> 1];

/** Sends every message that a worker gives, and waits for its next. @param {Worker} worker @param {object} message */
const asked = (worker, message) =>
  new Promise((resolve) => {
    worker.once("message", resolve);
    worker.postMessage(message);
  });

if (!isMainThread) {
  const { memory, rank, plain } = workerData;
  const { replicas } = memory;
  const exchange = exchangeIn(memory, rank, { timeout: 600_000 });
  await start();
  const model = resNet(1);
  const replica = plain ? undefined : replicaOf(model, { exchange, rank, replicas, compareEvery: 0 });
  const [from, to] = shardOf(BATCH, rank, replicas);
  const [x, y] = batchOf(to - from);
  parentPort?.on("message", async ({ exchanges, values, steps }) => {
    const began = performance.now();
    for (let i = 0; i < exchanges; i++) exchange(new Float64Array(values));
    for (let i = 0; i < steps; i++)
      await (replica ?? { trainStep: model.trainOnBatch.bind(model) }).trainStep(x, y);
    parentPort?.postMessage(performance.now() - began);
  });
} else {
  const { values: options } = parseArgs({
    options: { threads: { type: "string", default: "2" }, redis: { type: "string" } },
  });
  const counts = options.threads.split(",").map(Number);
  await start();
  for (const blocks of [1, 3]) {
    const model = resNet(blocks);
    const parameters = model.trainableWeights.reduce(
      (sum, { shape }) => sum + tf.util.sizeFromShape(/** @type {number[]} */ (shape)),
      0,
    );
    /** @type {number[]} */
    const given = [];
    const exchange = (/** @type {Float64Array} */ values) => {
      given.push(values.byteLength);
      return [values];
    };
    const replica = replicaOf(model, { exchange, rank: 0, replicas: 1, compareEvery: 0 });
    const [x, y] = batchOf(2);
    await replica.trainStep(x, y);
    given.length = 0;
    await replica.trainStep(x, y);
    const gradients = Math.max(...given);
    const others = given.reduce((sum, bytes) => sum + bytes, 0) - gradients;
    console.log(
      `ResNet-${6 * blocks + 2}: ${parameters} parameters, ${replica.merged.length} batch norms; ${given.length} exchanges a step, ` +
        `${others} bytes of statistics, ${gradients} of gradients`,
    );
  }
  /** @param {number} replicas @param {boolean} plain */
  const threads = (replicas, plain = false) => {
    const memory = sharedMemory({ replicas });
    const file = fileURLToPath(import.meta.url);
    return Array.from(
      { length: replicas },
      (_, rank) => new Worker(file, { workerData: { memory, rank, plain } }),
    );
  };
  /** @type {Record<string, Worker[]>} */
  const arms = {
    "one thread, the model's own steps": threads(1, true),
    "one thread, as the only replica": threads(1),
    ...Object.fromEntries(counts.map((count) => [`${count} threads`, threads(count)])),
  };
  const several = arms[`${counts[0]} threads`];
  /** @param {Worker[]} workers @param {object} message */
  const took = async (workers, message) =>
    Math.max(.../** @type {number[]} */ (await Promise.all(workers.map((worker) => asked(worker, message)))));
  for (const workers of Object.values(arms)) await took(workers, { exchanges: 0, steps: 1 });
  for (const values of [48, 384, 32_768]) {
    const times = [];
    for (let turn = 0; turn < TURNS; turn++)
      times.push(await took(several, { exchanges: 200, values, steps: 0 }));
    console.log(
      `${counts[0]} threads, ${values} values: ${((median(times) / 200) * 1000).toFixed(0)} µs an exchange (median of ${TURNS})`,
    );
  }
  const times = Object.keys(arms).map(() => /** @type {number[]} */ ([]));
  for (let turn = 0; turn < TURNS; turn++) {
    for (const [i, workers] of Object.values(arms).entries())
      times[i].push(await took(workers, { exchanges: 0, steps: STEPS }));
  }
  for (const [i, [name, workers]] of Object.entries(arms).entries()) {
    const perSecond = (/** @type {number} */ ms) => ((STEPS * 1000) / ms).toFixed(2);
    console.log(
      `ResNet-8, batch ${BATCH}, ${name}: ${perSecond(median(times[i]))} steps a second (median of ${TURNS} turns), ` +
        `${perSecond(Math.min(...times[i]))} at best`,
    );
    for (const worker of workers) await worker.terminate();
  }
  const url = options.redis;
  if (url) {
    const { Redis } = await import("ioredis");
    const clients = [0, 1].map(() => new Redis(url));
    const run = `bench ${Date.now()}`;
    const both = clients.map((client, rank) =>
      redisExchange((name, ...args) => client.callBuffer(name, .../** @type {Buffer[]} */ (args)), {
        run,
        rank,
        replicas: 2,
      }),
    );
    for (const values of [48, 384, 32_768]) {
      const times = [];
      for (let turn = 0; turn < TURNS; turn++) {
        const began = performance.now();
        for (let i = 0; i < 50; i++)
          await Promise.all(both.map((exchange) => exchange(new Float64Array(values))));
        times.push(performance.now() - began);
      }
      console.log(
        `Redis on this machine, ${values} values: ${((median(times) / 50) * 1000).toFixed(0)} µs an exchange (median of ${TURNS})`,
      );
    }
    for (const client of clients) client.disconnect();
  }
  process.exit();
}
