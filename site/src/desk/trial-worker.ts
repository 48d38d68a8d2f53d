/** A worker in which trials run, one at a time. */

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

export type Tell = (progress: Progress, soFar: SoFar) => void;

/** ms between two reports of progress. */
const REPORT_MS = 120;

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
    else await import("@tensorflow/tfjs-backend-webgpu");
    if (!(await setBackend(backend).catch(() => false)) || getBackend() !== backend) {
      throw new Error(`${backend} does not run in this browser; choose another backend`);
    }
    // so that a trial gives the same numbers as on the command line
    await install({ relaxed: false });
  })();
  return started;
}

let held: { digest: string; data: TrialData } | undefined;
let paused = false;
let wake: (() => void) | undefined;

/** Lets messages through: those that pause, for one. */
const turn = (): Promise<void> =>
  new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(null);
  });

const worker = {
  start,
  hold(digest: string, data: TrialData): void {
    held = { digest, data };
  },
  holds: (digest: string): boolean => held?.digest === digest,
  async run(spec: TravellingSpec, tell: Tell): Promise<Trial> {
    if (held?.digest !== spec.digest) throw new Error(`run: expected the data ${spec.digest}, got others`);
    const { data } = held;
    let told = 0;
    return withSeededRandom(spec.seed, () =>
      runTrial({ ...spec, data }, modelOf(spec.model), (progress, soFar) => {
        const now = performance.now();
        if (!paused && now - told < REPORT_MS) return;
        told = now;
        tell(progress, soFar);
        return turn().then(() => (paused ? new Promise((resolve) => (wake = resolve)) : undefined));
      }),
    );
  },
  pause(): void {
    paused = true;
  },
  /** One step of a trial that waits. */
  step(): void {
    wake?.();
  },
  go(): void {
    paused = false;
    wake?.();
  },
};

export type TrialWorker = typeof worker;
expose(worker);
