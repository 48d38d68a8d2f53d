/** TensorFlow.js on the wasm backend, with our kernels: what whoever computes in a thread of Node's begins with. */
import { createRequire } from "node:module";
import { dirname } from "node:path";
import { setWasmPaths } from "@tensorflow/tfjs-backend-wasm";
import { install } from "evenkeel/tfjs";
// with operations as methods of tensors, which orthogonal initial values need, those of recurrent layers
import { setBackend } from "../models/tensorflow.js";

let started: Promise<void> | undefined;

/** Sets it up once in this thread. */
export function startTensorFlow(): Promise<void> {
  started ??= (async () => {
    const wasmPackage = createRequire(import.meta.url).resolve("@tensorflow/tfjs-backend-wasm/package.json");
    setWasmPaths(`${dirname(wasmPackage)}/wasm-out/`);
    await setBackend("wasm");
    // so that a trial gives the same numbers on every machine
    await install({ relaxed: false });
  })();
  return started;
}
