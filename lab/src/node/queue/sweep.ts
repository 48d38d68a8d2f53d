/**
 * The commander's side of a sweep: an executor that puts trials on the queue and takes their results from there. The queue is asked
 * now and then besides what it tells: what was told while a connection was cut is lost.
 */
import { setMaxListeners } from "node:events";
import { setTimeout as wait } from "node:timers/promises";
import { count } from "@evenkeel/report/format";
import type { Job } from "bullmq";
import { pack } from "../../datasets/packed.js";
import { reason } from "../../errors.js";
import { labelOf } from "../../norms.js";
import type { Trial } from "../../results.js";
import type { Progress, TrialSpec } from "../../trial.js";
import { type Executor, keyOf, type TrialWatcher } from "../../trials.js";
import { command } from "../invocation.js";
import {
  inTime,
  isOfConnection,
  openBroker,
  type TrialJob,
  type TrialQueue,
  unpackedTrial,
} from "./broker.js";
import { packModule } from "./modules.js";

/** What becomes of a sweep whose commander is stopped. */
export type OnStop = "leave" | "cancel";

export interface Sweep extends Executor {
  /** The queue's URL without a password. */
  readonly shown: string;
  /** Takes these trials off the queue, and ends those that run. */
  cancel(keys: readonly string[]): Promise<void>;
}

/** s for which results wait for their commander. */
const KEPT = 7 * 24 * 3600;
/** Attempts of a trial whose process was lost. */
const ATTEMPTS = 3;
/** ms between two questions for what was not told. */
const POLL = 3000;
/** ms for which the queue may take to give up what is cancelled. */
const PATIENCE = 5000;
/** ms after which what was refused is asked again. */
const AGAIN = 500;
/** What a trial that was cancelled failed with. */
export const CANCELLED = "cancelled";
/** Before what a trial itself failed with, which may say anything: without it, BullMQ says why a result did not get to the queue. */
export const OF_TRIAL = "trial: ";
/** What a trial failed with begins so, whose data or module its worker did not find. */
export const LACKING = "lacking: ";

interface Pending {
  spec: TrialSpec;
  watcher: TrialWatcher;
  resolve(trial: Trial): void;
  reject(error: unknown): void;
  /** It is being asked for, or put on the queue. */
  busy: boolean;
  /** Told that it runs. */
  started: boolean;
  /** Times that its worker did not find what it needs. */
  lacked: number;
}

/**
 * @param log told of each fault, a line each
 * @throws UsageError for what is no such URL, FailureError where nothing answers
 */
export async function openSweep(
  url: string,
  { share, onStop, log }: { share?: string; onStop: OnStop; log(line: string): void },
): Promise<Sweep> {
  const broker = await openBroker(url, { share, log });
  const queue = broker.queue();
  const events = broker.events();
  const pending = new Map<string, Pending>();
  const sent = new Map<string, Promise<void>>();
  /** Of what is put on the queue, in the order of the comparison. */
  let last: Promise<void> = Promise.resolve();
  let closed: Promise<void> | undefined;
  let isOver = false;

  /** What asks the queue, again where it was away meanwhile: PostgreSQL refuses what Redis has wait. */
  const untilAnswered = async <T>(ask: () => Promise<T>): Promise<T> => {
    for (;;) {
      try {
        return await ask();
      } catch (error) {
        if (isOver || !(error instanceof Error && isOfConnection(error))) throw error;
        await wait(AGAIN);
      }
    }
  };

  const nameOf = ({ norm, seed }: TrialSpec) => `${labelOf(norm)} seed ${seed}`;

  /** What a trial needs beside its spec is put into the depot, once. */
  const send = (digest: string, bytes: () => Uint8Array): Promise<void> => {
    const sending =
      sent.get(digest) ??
      (async () => {
        if (!(await broker.depot.has(digest))) await broker.depot.put(digest, bytes());
      })();
    sent.set(digest, sending);
    sending.catch(() => sent.delete(digest));
    return sending;
  };

  /** What a trial needs and the depot has not. */
  const missing = async ({ digest, model: { module } }: TrialSpec): Promise<string[]> => {
    const needed = [digest, ...(module ? [module.digest] : [])];
    const there = await Promise.all(needed.map((each) => broker.depot.has(each)));
    return needed.filter((_, i) => !there[i]);
  };

  const put = async (key: string, { spec }: Pending): Promise<void> => {
    const { data, ...travelling } = spec;
    const { module } = spec.model;
    await send(spec.digest, () => pack(data));
    if (module) await send(module.digest, () => packModule(module.path, module.digest));
    await queue.add(
      "trial",
      { spec: travelling },
      {
        jobId: key,
        attempts: ATTEMPTS,
        backoff: 1000,
        removeOnComplete: { age: KEPT },
        removeOnFail: { age: KEPT },
      },
    );
  };

  /** Takes what the queue has of a trial: its result, its failure, or that it is not there. */
  const settle = async (key: string): Promise<void> => {
    const one = pending.get(key);
    if (one === undefined || one.busy) return;
    one.busy = true;
    try {
      const state = await queue.getJobState(key);
      if (state === "completed" || state === "failed") {
        const job = await queue.getJob(key);
        if (job === undefined || !pending.has(key)) return;
        if (state === "completed") await finish(key, one, job);
        else await fail(key, one, job);
      } else if (state === "unknown") {
        log(`${nameOf(one.spec)}: the queue has lost it; it is put there again`);
        await put(key, one);
      }
    } catch (error) {
      // asked again with the next poll; that it does not answer is told once for all
      if (!(error instanceof Error && isOfConnection(error))) log(`${nameOf(one.spec)}: ${reason(error)}`);
    } finally {
      one.busy = false;
    }
  };

  const start = (one: Pending) => {
    one.started = true;
    one.watcher.started();
  };

  const finish = async (key: string, one: Pending, job: Job<TrialJob, string>) => {
    const trial = unpackedTrial(key, job.returnvalue);
    if (trial === undefined) {
      await again(key, one, job, "its result is damaged");
      return;
    }
    pending.delete(key);
    one.resolve(trial);
  };

  /** Puts it on the queue anew. */
  const again = async (key: string, one: Pending, job: Job<TrialJob, string>, why: string) => {
    log(`${nameOf(one.spec)}: ${why}; it is put on the queue again`);
    await job.remove();
    await put(key, one);
  };

  const fail = async (key: string, one: Pending, job: Job<TrialJob, string>) => {
    const { failedReason = "no reason was given" } = job;
    const isOfTrial = failedReason.startsWith(OF_TRIAL);
    if (failedReason.startsWith(LACKING)) {
      const why = failedReason.slice(LACKING.length);
      // put there anew, once for all trials; a worker that looks elsewhere does not find it there either
      for (const digest of await missing(one.spec)) sent.delete(digest);
      if (++one.lacked <= ATTEMPTS) return again(key, one, job, why);
      pending.delete(key);
      one.reject(new Error(`${why}; where compare has a --share, each worker needs it too`));
      return;
    }
    // by another commander of the same trial; or its result did not get to the queue
    if (failedReason === CANCELLED || (!isOfTrial && isOfConnection({ message: failedReason }))) {
      return again(key, one, job, failedReason);
    }
    pending.delete(key);
    one.reject(
      new Error(
        failedReason.startsWith("job stalled")
          ? "each worker that ran it gave no sign of life any more: it may need more memory than they have"
          : failedReason.slice(isOfTrial ? OF_TRIAL.length : 0),
      ),
    );
  };

  events.on("active", ({ jobId }) => {
    const one = pending.get(jobId);
    if (one) start(one);
  });
  events.on("progress", ({ jobId, data }) => {
    const one = pending.get(jobId);
    if (one === undefined) return;
    // of one that ran before anybody listened
    if (!one.started) start(one);
    one.watcher.progress(data as Progress);
  });
  events.on("completed", ({ jobId }) => void settle(jobId));
  events.on("failed", ({ jobId }) => void settle(jobId));
  events.on("stalled", ({ jobId }) => {
    const one = pending.get(jobId);
    if (one) log(`${nameOf(one.spec)}: its worker gave no sign of life any more; it goes to another`);
  });
  await events.waitUntilReady();

  /** Whether it was told that nobody is there. */
  let alone = false;
  const lookForWorkers = async () => {
    const workers = await queue.getWorkersCount().catch(() => undefined);
    // hosted services may not say
    if (workers === undefined || pending.size === 0 || closed) return;
    if (workers > 0) alone = false;
    else if (!alone) {
      alone = true;
      log(
        `No worker is at the queue; run on this or any machine: ${command("worker", ["--queue", broker.shown])}`,
      );
    }
  };

  const timer = setInterval(() => {
    for (const key of pending.keys()) void settle(key);
    void lookForWorkers();
  }, POLL);

  const cancel = async (keys: readonly string[]): Promise<void> => {
    await Promise.all(keys.map((key) => untilAnswered(() => cancelled(queue, key))));
  };

  return {
    shown: broker.shown,
    size: Number.POSITIVE_INFINITY,
    async run(spec, watcher, signal) {
      // every trial that waits listens
      setMaxListeners(0, signal);
      const key = await keyOf(spec);
      return new Promise<Trial>((resolve, reject) => {
        const one: Pending = { spec, watcher, resolve, reject, busy: true, started: false, lacked: 0 };
        pending.set(key, one);
        signal.addEventListener(
          "abort",
          () => {
            if (onStop === "leave") pending.delete(key);
            reject(signal.reason);
          },
          { once: true },
        );
        last = last
          .then(() => untilAnswered(() => begin(key, one)))
          .catch((error) => {
            pending.delete(key);
            reject(error);
          });
      });
    },
    cancel,
    close() {
      closed ??= (async () => {
        clearInterval(timer);
        const left = [...pending];
        pending.clear();
        for (const [, { reject }] of left) reject(new Error("the sweep was closed"));
        if (!(await inTime(cancel(left.map(([key]) => key)), PATIENCE))) {
          log(
            `${count(left.length, "trial")} may be on the queue still, which does not answer; --cancel takes them off later`,
          );
        }
        isOver = true;
        await broker.close();
      })();
      return closed;
    },
  };

  /** Puts it on the queue, where it may be already: run by an earlier commander, or asked for by another one. */
  async function begin(key: string, one: Pending): Promise<void> {
    // stopped meanwhile
    if (!pending.has(key)) return;
    const job = await queue.getJob(key);
    // what failed before is tried again
    if (job && (await job.isFailed())) await job.remove();
    await put(key, one);
    one.busy = false;
    if (job) await settle(key);
  }
}

/** Off the queue; one that runs is ended by its worker, which looks now and then. */
async function cancelled(queue: TrialQueue, key: string): Promise<void> {
  const job = await queue.getJob(key);
  if (job === undefined || (await job.isCompleted())) return;
  try {
    await job.remove();
  } catch {
    // locked by its worker
    await job.updateData({ ...job.data, cancelled: true });
  }
}
