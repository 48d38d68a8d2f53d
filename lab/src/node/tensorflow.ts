/** TensorFlow.js on the wasm backend, with our kernels: what whoever computes in a thread of Node's begins with. */
import { createRequire } from "node:module";
import { dirname } from "node:path";
import { setWasmPaths } from "@tensorflow/tfjs-backend-wasm";
import * as tf from "@tensorflow/tfjs-core";
import { install } from "evenkeel/tfjs";

let started: Promise<void> | undefined;

/** Sets it up once in this thread. */
export function startTensorFlow(): Promise<void> {
  started ??= (async () => {
    const wasmPackage = createRequire(import.meta.url).resolve("@tensorflow/tfjs-backend-wasm/package.json");
    setWasmPaths(`${dirname(wasmPackage)}/wasm-out/`);
    await tf.setBackend("wasm");
    chainOperations();
    await install();
  })();
  return started;
}

/** Methods of tensors that orthogonal initial values need, those of recurrent layers: @tensorflow/tfjs has them, tfjs-core has not. */
function chainOperations(): void {
  const { flatten, stridedSlice, sign, transpose, reshape } = {
    ...tf,
    flatten: (x: tf.Tensor) => tf.reshape(x, [x.size]),
  };
  for (const [name, operation] of Object.entries({ flatten, stridedSlice, sign, transpose, reshape })) {
    if (name in tf.Tensor.prototype) continue;
    Object.defineProperty(tf.Tensor.prototype, name, {
      value(this: tf.Tensor, ...args: unknown[]) {
        return (operation as (...all: unknown[]) => tf.Tensor)(this, ...args);
      },
      configurable: true,
      writable: true,
    });
  }
}
