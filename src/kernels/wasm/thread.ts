/** What a worker of the pool runs, in Node and in browsers: it is told where the work lies, and serves from then on. */
import { type Start, serve } from "./pool.js";

const parent = globalThis.process?.getBuiltinModule?.("node:worker_threads").parentPort;
if (parent) parent.once("message", serve);
else addEventListener("message", ({ data }: MessageEvent<Start>) => serve(data), { once: true });
