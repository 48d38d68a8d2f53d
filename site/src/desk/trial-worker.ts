/** A worker in which trials run, one at a time, by a port of whoever conducts them. */

import { withSeededRandom } from "@evenkeel/lab/data/random";
import type { TrialData } from "@evenkeel/lab/datasets/dataset";
import { modelOf } from "@evenkeel/lab/models/registry";
// with operations as methods of tensors, which orthogonal initial values need
import { env, getBackend, setBackend } from "@evenkeel/lab/models/tensorflow";
import type { Trial } from "@evenkeel/lab/results";
import { type Progress, runTrial, type SoFar, type TravellingSpec } from "@evenkeel/lab/trial";
import { setWasmPaths } from "@tensorflow/tfjs-backend-wasm";
import plainBinary from "@tensorflow/tfjs-backend-wasm/wasm-out/tfjs-backend-wasm.wasm?url";
import simdBinary from "@tensorflow/tfjs-backend-wasm/wasm-out/tfjs-backend-wasm-simd.wasm?url";
import { expose } from "comlink";
import { install } from "evenkeel/tfjs";
import type { Backend } from "./protocol.ts";

/** Tells how far a trial has come, and gives the ms that it may go on before it tells again; 0 for one step. */
export type Tell = (progress: Progress, soFar: SoFar) => number | Promise<number>;

let started: Promise<void> | undefined;

/** Sets TensorFlow.js up once. */
function start(backend: Backend): Promise<void> {
  started ??= (async () => {
    if (backend === "wasm") {
      // networks run side by side, each on one thread: the threaded build would start workers from blob: URLs, and hangs where it
      // was minified (tfjs#4253)
      env().set("WASM_HAS_MULTITHREAD_SUPPORT", false);
      setWasmPaths({
        "tfjs-backend-wasm.wasm": new URL(plainBinary, import.meta.url).href,
        "tfjs-backend-wasm-simd.wasm": new URL(simdBinary, import.meta.url).href,
        // is to be named, and never loaded
        "tfjs-backend-wasm-threaded-simd.wasm": new URL(simdBinary, import.meta.url).href,
      });
    } else if (backend === "webgl") await import("@tensorflow/tfjs-backend-webgl");
    // browsers that have it may find no device
    else if (await navigator.gpu?.requestAdapter()) await import("@tensorflow/tfjs-backend-webgpu");
    if (!(await setBackend(backend).catch(() => false)) || getBackend() !== backend) {
      throw new Error(`${backend} does not run in this browser; choose another backend`);
    }
    // so that a trial gives the same numbers as on the command line
    await install({ relaxed: false });
  })();
  return started;
}

let held: { digest: string; data: TrialData } | undefined;
const worker = {
  start,
  hold(digest: string, data: TrialData): void {
    held = { digest, data };
  },
  holds: (digest: string): boolean => held?.digest === digest,
  async run(spec: TravellingSpec, tell: Tell): Promise<Trial> {
    if (held?.digest !== spec.digest) throw new Error(`run: expected the data ${spec.digest}, got others`);
    const { data } = held;
    let until = 0;
    return withSeededRandom(spec.seed, () =>
      runTrial({ ...spec, data }, modelOf(spec.model), (progress, soFar) =>
        performance.now() < until
          ? undefined
          : Promise.resolve(tell(progress, soFar)).then((turn) => {
              until = performance.now() + turn;
            }),
      ),
    );
  },
};

export type TrialWorker = typeof worker;
// its page says by what it is spoken to
addEventListener("message", ({ data }: MessageEvent<MessagePort>) => expose(worker, data), { once: true });
