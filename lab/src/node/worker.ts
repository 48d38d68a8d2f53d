/** The thread that trials run in: sets up TensorFlow.js once, then trains what it is given. */
import { createRequire } from "node:module";
import { dirname } from "node:path";
import type { MessagePort } from "node:worker_threads";
import { setWasmPaths } from "@tensorflow/tfjs-backend-wasm";
import * as tf from "@tensorflow/tfjs-core";
import { install } from "evenkeel/tfjs";
import { modelOf } from "../models/registry.js";
import type { Trial } from "../results.js";
import { runTrial, type TrialSpec } from "../trial.js";

const wasmPackage = createRequire(import.meta.url).resolve("@tensorflow/tfjs-backend-wasm/package.json");
setWasmPaths(`${dirname(wasmPackage)}/wasm-out/`);
await tf.setBackend("wasm");
await install();

/** Progress goes out through `port`. */
export default function run({ spec, port }: { spec: TrialSpec; port: MessagePort }): Promise<Trial> {
  return runTrial(spec, modelOf(spec.model), (progress) => {
    port.postMessage(progress);
    // lets messages through
    return new Promise((resolve) => setImmediate(resolve));
  });
}
