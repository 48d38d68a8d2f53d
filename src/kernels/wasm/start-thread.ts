/** Starts workers that run thread.ts, in whichever way a host allows. */
import { source } from "./thread-source.js";
import type { Mail } from "./tickets.js";

export interface Thread {
  postMessage(mail: Mail): void;
  terminate(): unknown;
}

/** Throws, rejects or calls `onEnd` where there is no worker to be had this way; calls `onEnd` when one ends, too. */
export type Way = (onEnd: () => void) => Thread | Promise<Thread>;

/** In Node, Deno and Bun, none of which such a worker keeps alive. */
function inNode(onEnd: () => void): Thread {
  const { Worker } = globalThis.process.getBuiltinModule("node:worker_threads");
  const worker = new Worker(source, { eval: true, execArgv: [] });
  worker.on("error", onEnd);
  worker.on("exit", onEnd);
  worker.unref();
  return worker;
}

/** In pages: bundlers carry the source along without knowing, and no file has to be served. */
function fromSource(onEnd: () => void): Thread {
  const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
  return watched(new Worker(url), onEnd);
}

/** Where a Content-Security-Policy allows no workers but from files: a bundler has to have made one of thread.ts. */
async function fromFile(onEnd: () => void): Promise<Thread> {
  // a file of its own, since what names its own address cannot be transformed to CommonJS (Jest)
  const { workerFromFile } = await import("./thread-file.js");
  return watched(workerFromFile(), onEnd);
}

function watched(worker: Worker, onEnd: () => void): Worker {
  worker.addEventListener("error", (event) => {
    event.preventDefault();
    onEnd();
  });
  return worker;
}

/** The first one that works is taken. */
export const allWays: readonly Way[] = [inNode, fromSource, fromFile];
