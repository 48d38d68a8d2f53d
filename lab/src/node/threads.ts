/** Trials on threads of this machine. */
import { setMaxListeners } from "node:events";
import { MessageChannel } from "node:worker_threads";
import Tinypool from "tinypool";
import { apart, type TrialArrays, type TrialData, together } from "../datasets/dataset.js";
import type { Progress } from "../trial.js";
import type { Executor } from "../trials.js";

/** An executor with this many threads, each of which loads TensorFlow.js once, with the first trial. */
export function openThreads(size: number): Executor {
  let pool: Tinypool | undefined;
  const open = () =>
    new Tinypool({
      filename: new URL("./trial-thread.js", import.meta.url).href,
      minThreads: size,
      maxThreads: size,
      isolateWorkers: false,
    });
  return {
    size,
    async run(spec, watcher, signal) {
      // every running trial listens, and Node takes more than ten listeners for a leak
      setMaxListeners(size, signal);
      const { port1, port2 } = new MessageChannel();
      port1.on("message", (progress: Progress) => watcher.progress(progress));
      try {
        pool ??= open();
        watcher.started();
        return await pool.run({ spec, port: port2 }, { transferList: [port2], signal });
      } finally {
        port1.close();
      }
    },
    async close() {
      await pool?.destroy();
    },
  };
}

/** What a trial needs, in memory that threads share, so that no trial has a copy; what is there already stays. */
export function shared(data: TrialData): TrialData {
  const { facts, arrays } = apart(data);
  const moved = Object.entries(arrays).map(([name, values]) => [name, share(values)]);
  return together(facts, Object.fromEntries(moved) as TrialArrays);
}

function share<T extends Float32Array | Float64Array | Int32Array | Uint8Array>(values: T): T {
  if (values.buffer instanceof SharedArrayBuffer) return values;
  const bytes = new Uint8Array(new SharedArrayBuffer(values.byteLength));
  bytes.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  return new (values.constructor as new (buffer: SharedArrayBuffer) => T)(bytes.buffer);
}
