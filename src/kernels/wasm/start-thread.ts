/** Starts workers that run thread.ts, in whichever way a host allows. */
import { source } from "./thread-source.js";
import type { Mail } from "./tickets.js";

/** A worker, of Node or of a page. */
export interface Thread {
  postMessage(mail: Mail): void;
  terminate(): unknown;
}

/** Throws, rejects or calls `onEnd` where a worker cannot be started this way; calls `onEnd` when one ends, too. */
export type Way = (onEnd: () => void) => Thread | Promise<Thread>;

/** For Node, Deno and Bun; such a worker does not keep the process alive. */
function inNode(onEnd: () => void): Thread {
  const { Worker } = globalThis.process.getBuiltinModule("node:worker_threads");
  const worker = new Worker(source, { eval: true, execArgv: [] });
  worker.on("error", onEnd);
  worker.on("exit", onEnd);
  worker.unref();
  return worker;
}

/** For pages: the source is a string, so that bundlers need not know and no file has to be served. */
function fromSource(onEnd: () => void): Thread {
  const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
  return watched(new Worker(url), onEnd);
}

/** For a Content-Security-Policy that allows workers from files only: a bundler must have made one of thread.ts. */
async function fromFile(onEnd: () => void): Promise<Thread> {
  // in a file of its own, since code that refers to its own URL cannot be transformed to CommonJS (Jest)
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

/** In order of preference: the first that works is used. */
export const allWays: readonly Way[] = [inNode, fromSource, fromFile];
