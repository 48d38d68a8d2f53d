/** Trials on threads of this machine. */
import { setMaxListeners } from "node:events";
import { MessageChannel } from "node:worker_threads";
import Tinypool from "tinypool";
import type { Progress, TrialData } from "../trial.js";
import type { Executor } from "../trials.js";

/** An executor with this many threads, each of which loads TensorFlow.js once. */
export function openThreads(size: number): Executor {
  const pool = new Tinypool({
    filename: new URL("./worker.js", import.meta.url).href,
    minThreads: size,
    maxThreads: size,
    isolateWorkers: false,
  });
  return {
    size,
    async run(spec, report, signal) {
      // every running trial listens, and Node takes more than ten listeners for a leak
      setMaxListeners(size, signal);
      const { port1, port2 } = new MessageChannel();
      port1.on("message", (progress: Progress) => report(progress));
      try {
        return await pool.run({ spec, port: port2 }, { transferList: [port2], signal });
      } finally {
        port1.close();
      }
    },
    close: () => pool.destroy(),
  };
}

/** The same data in memory that threads share, so that no trial has a copy. */
export function shared(data: TrialData): TrialData {
  const share = (values: Float32Array) => {
    const copy = new Float32Array(new SharedArrayBuffer(values.byteLength));
    copy.set(values);
    return copy;
  };
  const { task, inputShape, classes, train, heldOut } = data;
  return {
    task,
    inputShape,
    classes,
    train: { x: share(train.x), y: share(train.y), count: train.count },
    heldOut: { x: share(heldOut.x), y: share(heldOut.y), count: heldOut.count },
  };
}
