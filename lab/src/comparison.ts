/** Trials of several normalizations, spread over the processor's cores, and what they amount to. */
import { setMaxListeners } from "node:events";
import { MessageChannel } from "node:worker_threads";
import Tinypool from "tinypool";
import { reason } from "./data/file.js";
import { FailureError } from "./errors.js";
import { type NormName, type Probe, type Summary, spreadOf, type Trial } from "./results.js";
import type { Progress, TrialData, TrialSpec } from "./trial.js";

/** What happens while a comparison runs. */
export interface Watcher {
  started(trial: TrialSpec): void;
  progress(trial: TrialSpec, progress: Progress): void;
  finished(trial: TrialSpec, result: Trial): void;
}

/**
 * Runs the trials, at most `threads` at a time, in their order, and returns the finished ones. When `signal` aborts,
 * or one fails, those that are running are ended.
 */
export async function runTrials(
  specs: readonly TrialSpec[],
  threads: number,
  watcher: Watcher,
  signal: AbortSignal,
): Promise<{ trials: Trial[]; failure?: FailureError }> {
  const size = Math.min(threads, specs.length);
  const pool = new Tinypool({
    filename: new URL("./worker.js", import.meta.url).href,
    minThreads: size,
    maxThreads: size,
    isolateWorkers: false,
  });
  // every running trial listens, and more than ten would look like a leak to Node
  setMaxListeners(size, signal);
  const results = new Map<TrialSpec, Trial>();
  const queue = [...specs];
  let failure: FailureError | undefined;
  const next = async (): Promise<void> => {
    const spec = queue.shift();
    if (!spec || signal.aborted) return;
    const { port1, port2 } = new MessageChannel();
    port1.on("message", (progress: Progress) => watcher.progress(spec, progress));
    watcher.started(spec);
    try {
      const result: Trial = await pool.run({ spec, port: port2 }, { transferList: [port2], signal });
      results.set(spec, result);
      watcher.finished(spec, result);
    } catch (error) {
      // the first one: those that end with it fail too
      if (!signal.aborted) failure ??= failureOf(spec, error);
    } finally {
      port1.close();
    }
    if (failure) await pool.destroy();
    else await next();
  };
  await Promise.all(Array.from({ length: size }, next));
  await pool.destroy();
  return { trials: specs.flatMap((spec) => results.get(spec) ?? []), failure };
}

/** What comes out of WebAssembly for want of memory does not say so. */
function failureOf({ norm, seed }: TrialSpec, error: unknown): FailureError {
  return new FailureError(
    `the trial of ${norm} with seed ${seed} failed: ${reason(error)}\n` +
      "Where the network is too large for the memory, use a smaller --width, --depth or --batch-size, or fewer --threads",
    { cause: error },
  );
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

/** What guessing gives: the share of the most frequent class among the held-out examples, or an R² of 0. */
export function baselineOf({ task, classes, heldOut }: TrialData): number {
  if (task === "regression") return 0;
  const counts = new Array<number>(classes.length).fill(0);
  for (const y of heldOut.y) counts[y]++;
  return Math.max(...counts) / heldOut.count;
}

/**
 * Nine tenths of the way from guessing to the best metric of any epoch, where no target was named; null where no epoch
 * was above `level`, up to which a metric is guessing.
 */
export function targetOf(trials: readonly Trial[], baseline: number, level: number): number | null {
  let best = baseline;
  for (const { epochs } of trials) {
    for (const { metric } of epochs) best = Math.max(best, metric ?? baseline);
  }
  return best <= level ? null : baseline + 0.9 * (best - baseline);
}

/** The trials with the first epoch at which each reached the target. */
export function withTarget(trials: readonly Trial[], target: number | null): Trial[] {
  return trials.map((trial) => {
    const reached = trial.epochs.find(({ metric }) => metric !== null && target !== null && metric >= target);
    return { ...trial, epochsToTarget: reached?.epoch ?? null };
  });
}

/** One row a normalization, in the order given. The metric of a diverged trial is not counted: it has none. */
export function summarize(norms: readonly NormName[], trials: readonly Trial[]): Summary[] {
  return norms.map((norm) => {
    const own = trials.filter((trial) => trial.norm === norm);
    const finished = own.filter(({ outcome }) => outcome === "finished");
    const reached = own.flatMap(({ epochsToTarget }) => epochsToTarget ?? []);
    return {
      norm,
      trials: own.length,
      diverged: own.length - finished.length,
      metric: spreadOf(finished.map(({ epochs }) => epochs.at(-1)?.metric ?? null)),
      epochsToTarget: { ...spreadOf(reached), reached: reached.length },
      stepMs: spreadOf(own.map(({ stepMs }) => stepMs)),
      gradientRatio: spreadOf(own.map(({ probes }) => gradientRatio(probes))),
    };
  });
}

/** Median over the probes of the first layer's gradient norm over the last one's. */
function gradientRatio(probes: readonly Probe[]): number | null {
  const ratios = probes.map(({ gradientNorm }) => {
    const [first, last] = [gradientNorm[0], gradientNorm.at(-1)];
    return typeof first === "number" && typeof last === "number" && last > 0 ? first / last : null;
  });
  return spreadOf(ratios).median;
}
