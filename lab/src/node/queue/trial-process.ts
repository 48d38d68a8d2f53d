/** The process that trials run in, one after the other; it ends with the process that started it, however that ends. */
import { Worker } from "node:worker_threads";
import type { TrialData } from "../../datasets/dataset.js";
import { FailureError, reason, UsageError } from "../../errors.js";
import { runHere } from "../trial-here.js";
import { readData } from "./cache.js";
import type { ToChild, ToParent } from "./processes.js";

/** Datasets in memory at a time. */
const MOST = 2;

/** By digest, the one that was used last at the end. */
const datasets = new Map<string, TrialData>();

async function dataOf(digest: string, file: string): Promise<TrialData> {
  const data = datasets.get(digest) ?? (await readData(file, digest));
  datasets.delete(digest);
  datasets.set(digest, data);
  if (datasets.size > MOST) {
    const [oldest] = datasets.keys();
    datasets.delete(oldest);
  }
  return data;
}

const send = process.send?.bind(process);
// what a module sends is nothing that the parent knows
process.send = undefined;
const tell = (message: ToParent) => send?.(message);

async function run({ spec, file }: ToChild): Promise<ToParent> {
  let data: TrialData;
  try {
    data = await dataOf(spec.digest, file);
  } catch (error) {
    return { lost: reason(error) };
  }
  tell({ alive: true });
  try {
    const trial = await runHere(
      { ...spec, data },
      (progress) => tell({ progress }),
      () => tell({ alive: true }),
    );
    return { trial };
  } catch (error) {
    const kind = error instanceof UsageError ? "usage" : error instanceof FailureError ? "failure" : "error";
    return { failure: reason(error), kind };
  }
}

// one that is busy hears nothing of the end of its parent; a thread of its own does
new Worker(
  `const { workerData: parent } = require("node:worker_threads");
   setInterval(() => {
     try {
       // where a system keeps the id of a parent that is gone, this throws
       process.kill(parent, 0);
       if (process.ppid === parent) return;
     } catch ({ code }) {
       if (code !== "ESRCH") return;
     }
     process.kill(process.pid, "SIGKILL");
   }, 1000);`,
  { eval: true, workerData: process.ppid },
).unref();
process.on("disconnect", () => process.kill(process.pid, "SIGKILL"));
// a terminal sends its Ctrl-C to all: the parent says what ends
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => {});
process.on("message", async (job: ToChild) => tell(await run(job)));
