/** Trials on threads of this machine. */
import { setMaxListeners } from "node:events";
import { MessageChannel } from "node:worker_threads";
import Tinypool from "tinypool";
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
