/** `evenkeel worker`: runs the trials of a queue on this machine, each in a process of its own. */
import { hostname } from "node:os";
import { count, duration, printable } from "@evenkeel/report/format";
import { type Job, UnrecoverableError, WaitingError } from "bullmq";
import { FailureError, reason } from "../../errors.js";
import { labelOf } from "../../norms.js";
import { colorsOf } from "../colors.js";
import { stopOnSignals } from "../signals.js";
import { inTime, openBroker, packedTrial, type TrialJob } from "./broker.js";
import { CacheError, openCache } from "./cache.js";
import { ChildLost, openProcesses } from "./processes.js";
import { CANCELLED, LACKING, OF_TRIAL } from "./sweep.js";

/** The options of the command line, already checked. */
export interface WorkerOptions {
  /** redis://, rediss:// or postgres://. */
  queue: string;
  /** Trials at a time. */
  threads: number;
  /** The folder that `compare --share` writes data to. */
  share?: string;
  /** Where data and modules are kept between trials. */
  cache?: string;
  /** Seconds after which the trials of a worker that gives no sign of life go to others. */
  lease: number;
  /** Seconds after which a trial that gives no sign of life is ended. */
  patience: number;
}

/** Times that a trial is taken from a worker that gave no sign of life, before it is what ends them. */
const MOST_STALLED = 5;
/** Results that are kept, for where the queue was away when it was to take one: the next attempt gives the same. */
const MOST_KEPT = 100;
/** Trials in a row that a machine cannot begin before its worker ends. */
const MOST_UNABLE = 3;
/** ms in which trials are given back. */
const GOODBYE = 3000;
/** ms between two reports of progress of a trial. */
const REPORT = 1000;
/** ms between two looks whether a trial is still wanted. */
const LOOK = 3000;

/** A line of the log: what others wrote is printable, and the mark of a trial that has ended coloured. */
export function logLine(at: Date, text: string, { dim, green, red }: ReturnType<typeof colorsOf>): string {
  const marked = printable(text).replace(/ ([✓✗]) /, (_, mark) => ` ${(mark === "✓" ? green : red)(mark)} `);
  return `${dim(at.toTimeString().slice(0, 8))} ${marked}`;
}

/** Runs until it is stopped, and returns the exit code. */
export async function work({
  queue: url,
  threads,
  share,
  cache,
  lease,
  patience,
}: WorkerOptions): Promise<number> {
  const stop = stopOnSignals();
  const colors = colorsOf(process.stderr);
  const log = (text: string) => {
    process.stderr.write(`${logLine(new Date(), text, colors)}\n`);
  };
  const broker = await openBroker(url, { share, log, awaited: stop.signal });
  const queue = broker.queue();
  const processes = openProcesses(threads, { cache: openCache(cache, broker.depot), patience, log });
  const name = `${hostname()}:${process.pid}`;
  /** What ends a trial that runs, by its key. */
  const running = new Map<string, AbortController>();
  const kept = new Map<string, string>();
  let done = 0;
  /** Trials in a row that this machine could not begin. */
  let unable = 0;
  const broken = new AbortController();

  const run = async (job: Job<TrialJob, string>, token?: string): Promise<string> => {
    const { spec } = job.data;
    const key = job.id as string;
    const label = `${labelOf(spec.norm)} seed ${spec.seed}`;
    const known = kept.get(key);
    if (known !== undefined) {
      log(`${label} was finished already; its result goes to the queue again`);
      return known;
    }
    const end = new AbortController();
    running.set(key, end);
    const began = performance.now();
    let reported = 0;
    log(`${label} started`);
    const looking = setInterval(async () => {
      const now = await queue.getJob(key).catch(() => job);
      if (now?.data.cancelled) end.abort(CANCELLED);
    }, LOOK);
    try {
      const trial = await processes.run(
        spec,
        {
          started() {},
          progress(progress) {
            const now = performance.now();
            if (now - reported < REPORT) return;
            reported = now;
            // what is not told does no harm
            job.updateProgress(progress).catch(() => {});
          },
        },
        end.signal,
      );
      done++;
      unable = 0;
      log(
        `${label} ${trial.outcome === "diverged" ? "✗" : "✓"} ${duration((performance.now() - began) / 1000)}`,
      );
      const packed = packedTrial(key, trial);
      kept.set(key, packed);
      for (const oldest of kept.keys()) {
        if (kept.size <= MOST_KEPT) break;
        kept.delete(oldest);
      }
      return packed;
    } catch (error) {
      if (stop.signal.aborted) {
        await job.moveToWait(token);
        log(`${label} went back to the queue`);
        throw new WaitingError();
      }
      const why = end.signal.aborted ? String(end.signal.reason) : reason(error);
      log(`${label} ended: ${why}`);
      const isLost = error instanceof ChildLost && !end.signal.aborted;
      // what this machine lacks (room, a right) is no fault of the trial
      if (isLost && error.cause instanceof CacheError) {
        if (++unable === MOST_UNABLE) {
          log(
            `the last ${MOST_UNABLE} trials could not begin here: this worker ends, and leaves them to others`,
          );
          broken.abort();
        }
        await job.moveToWait(token);
        throw new WaitingError();
      }
      if (isLost && error.cause instanceof FailureError) throw new UnrecoverableError(LACKING + why);
      const failure = why === CANCELLED ? why : OF_TRIAL + why;
      if (isLost) throw new ChildLost(failure, { cause: error });
      throw new UnrecoverableError(failure);
    } finally {
      clearInterval(looking);
      running.delete(key);
    }
  };

  const worker = broker.worker(run, {
    name,
    concurrency: threads,
    lockDuration: lease * 1000,
    stalledInterval: (lease * 1000) / 2,
    maxStalledCount: MOST_STALLED,
  });
  worker.on("lockRenewalFailed", (keys) => {
    for (const key of keys)
      running.get(key)?.abort("its lease ran out: it went to another worker, or is wanted no more");
  });
  log(
    `${name} takes trials from ${broker.shown}, ${count(threads, "at a time", "at a time")}; Ctrl-C ends it`,
  );

  await new Promise((resolve) => {
    for (const signal of [stop.signal, broken.signal])
      signal.addEventListener("abort", resolve, { once: true });
  });
  for (const end of running.values()) end.abort("the worker was stopped");
  const isAnswered = await inTime(worker.close(), GOODBYE);
  if (!isAnswered) log(`${broker.shown} does not answer: what ran here begins anew elsewhere`);
  await processes.close();
  await broker.close();
  log(`stopped after ${count(done, "trial")}`);
  await stop.letGo();
  const code = stop.exitCode() ?? 1;
  // BullMQ would try for ever to give back what it could not
  if (!isAnswered) process.exit(code);
  return code;
}
