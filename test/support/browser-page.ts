/** What runs inside the browser for tfjs.browser.ts: bundled, and called as `page`. */
import { setWasmPaths } from "@tensorflow/tfjs-backend-wasm";
import * as tf from "@tensorflow/tfjs-core";
import { batchNorm, groupNorm, instanceNorm, layerNorm, open, rmsNorm } from "evenkeel";
import { install, layers, normalize } from "evenkeel/tfjs";
import "@tensorflow/tfjs-backend-webgl";
import "@tensorflow/tfjs-backend-webgpu";

setWasmPaths("/wasm/");

export const norms = {
  layerNorm,
  rmsNorm,
  batchNorm,
  groupNorm: () => groupNorm({ groups: 2 }),
  instanceNorm,
};

export interface Task {
  norm: keyof typeof norms;
  shape: number[];
  x: number[];
  dy: number[];
  gamma: number[];
  beta: number[];
}

export interface Answer {
  y: number[];
  dx: number[];
  dGamma: number[];
  dBeta: number[];
}

/** On a backend of TensorFlow.js: whether it was fused, and each task's results. */
async function normalizeOn(backend: string, tasks: Task[]): Promise<{ fused: boolean; answers: Answer[] }> {
  if (!(await tf.setBackend(backend))) throw new Error(`TensorFlow.js did not start its ${backend} backend`);
  const { fused } = await install();
  const answers: Answer[] = [];
  const list = async (tensor: tf.Tensor) => Array.from(await tensor.data());
  for (const { norm, shape, x, dy, gamma, beta } of tasks) {
    const inputs = [tf.tensor(x, shape), tf.tensor1d(gamma), tf.tensor1d(beta)];
    const apply = (input: tf.Tensor, g: tf.Tensor, b: tf.Tensor) =>
      normalize(norms[norm](), input, { gamma: g, beta: b }).y;
    const [dx, dGamma, dBeta] = tf.grads(apply)(inputs, tf.tensor(dy, shape));
    const [input, g, b] = inputs;
    answers.push({
      y: await list(apply(input, g, b)),
      dx: await list(dx),
      dGamma: await list(dGamma),
      dBeta: await list(dBeta),
    });
  }
  return { fused, answers };
}

/** A layer's moving mean after one training batch of this backend. */
async function movingMean(backend: string, values: number[][]): Promise<number[]> {
  await tf.setBackend(backend);
  const layer = layers.batchNormalization({ momentum: 0.5 });
  layer.build([null, values[0].length]);
  layer.call(tf.tensor2d(values), { training: true });
  return Array.from(await layer.getWeights()[2].data());
}

/** Without a framework. */
async function normalizeAlone(): Promise<{ backend: string; y: number[] }> {
  const ek = await open();
  const { y } = ek.forward(layerNorm(), { shape: [1, 2], data: Float32Array.of(1, 3) });
  return { backend: ek.backend, y: Array.from(y.data) };
}

/** Sums over y of a large array, normalized repeatedly on this many threads, or the default number. */
async function normalizeShared(
  threads: number | undefined,
  times: number,
): Promise<{ threads: number; sums: number[] }> {
  const ek = await open(threads === undefined ? {} : { threads });
  const data = Float32Array.from({ length: 300_000 }, (_, i) => Math.sin(i * i));
  const sums: number[] = [];
  for (let i = 0; i < times || (threads !== undefined && ek.threads < threads && i < 1000); i++) {
    // a worker starts only when the page yields
    await new Promise((next) => setTimeout(next));
    const { y } = ek.forward(layerNorm(), { shape: [1000, 300], data });
    if (i < times) sums.push(y.data.reduce((sum, value, at) => sum + value * (at % 7), 0));
  }
  return { threads: ek.threads, sums };
}

export const page = { normalizeOn, movingMean, normalizeAlone, normalizeShared };
Object.assign(globalThis, { page });
