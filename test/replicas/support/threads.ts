/** Runs a function in worker threads, on the built package. */
import { Worker } from "node:worker_threads";
import type * as replicas from "../../../src/replicas/index.js";
import type { Exchange, SharedMemory } from "../../../src/replicas/index.js";

const built = new URL("../../../dist/replicas/index.js", import.meta.url).href;

const source = `
const { parentPort, workerData } = require("node:worker_threads");
(async () => {
  const replicas = await import(workerData.built);
  const { memory, rank, timeout, given, body } = workerData;
  const exchange = memory && replicas.exchangeIn(memory, rank, { timeout });
  const result = await (0, eval)("(" + body + ")")({ exchange, rank, given, replicas });
  parentPort.postMessage({ result });
})().catch(({ message }) => parentPort.postMessage({ message }));
`;

/** What the function has in its thread; it sees nothing of what is around it. */
export interface InThread<G> {
  readonly exchange: Exchange & { fail(reason: string): void };
  readonly rank: number;
  readonly given: G;
  readonly replicas: typeof replicas;
}

/** A thread's result, or its error's message; "ended" where it ended without either. */
export type Ended<T> = { result: T } | { message: string };

export interface Thread<T> {
  readonly worker: Worker;
  readonly ended: Promise<Ended<T>>;
}

export function thread<T, G = undefined>(
  memory: SharedMemory | undefined,
  rank: number,
  body: (here: InThread<G>) => T | Promise<T>,
  { given, timeout = 20_000 }: { given?: G; timeout?: number } = {},
): Thread<T> {
  const worker = new Worker(source, {
    eval: true,
    workerData: { built, memory, rank, timeout, given, body: body.toString() },
  });
  const ended = new Promise<Ended<T>>((resolve) => {
    worker.on("message", resolve);
    worker.on("error", ({ message }) => resolve({ message }));
    worker.on("exit", () => resolve({ message: "ended" }));
  });
  return { worker, ended };
}

/** One thread for each replica of the memory; their results in the order of ranks. */
export async function inThreads<T, G = undefined>(
  memory: SharedMemory,
  body: (here: InThread<G>) => T | Promise<T>,
  options: { given?: G; timeout?: number } = {},
): Promise<Ended<T>[]> {
  const threads = Array.from({ length: memory.replicas }, (_, rank) => thread(memory, rank, body, options));
  const ended = await Promise.all(threads.map((one) => one.ended));
  await Promise.all(threads.map(({ worker }) => worker.terminate()));
  return ended;
}
