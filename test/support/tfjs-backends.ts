/** TensorFlow.js for the tests, with the wasm backend's files found where npm put them. */
import { createRequire } from "node:module";
import { dirname } from "node:path";
import { setWasmPaths } from "@tensorflow/tfjs-backend-wasm";
import * as tf from "@tensorflow/tfjs-core";
import "@tensorflow/tfjs-backend-cpu";

const wasmPackage = createRequire(import.meta.url).resolve("@tensorflow/tfjs-backend-wasm/package.json");
setWasmPaths(`${dirname(wasmPackage)}/wasm-out/`);

export const backends = ["cpu", "wasm"] as const;

export async function use(backend: (typeof backends)[number]): Promise<void> {
  if (!(await tf.setBackend(backend))) throw new Error(`TensorFlow.js did not start its ${backend} backend`);
}

/** Runs a function and fails where it leaves a tensor behind. */
export function leakless<T>(name: string, run: () => T): T {
  const before = tf.memory().numTensors;
  const result = run();
  const left = tf.memory().numTensors - before;
  if (left !== 0) throw new Error(`${name}: ${left} tensors were left behind`);
  return result;
}
