/** Trials of several normalizations, several at a time, wherever an executor runs them. */
import { FailureError, reason } from "./errors.js";
import type { Trial } from "./results.js";
import type { Progress, TrialSpec } from "./trial.js";

/** What happens while a comparison runs. */
export interface Watcher {
  started(trial: TrialSpec): void;
  progress(trial: TrialSpec, progress: Progress): void;
  finished(trial: TrialSpec, result: Trial): void;
}

/** Where finished trials are kept, each under the key of its spec. */
export interface Store {
  get(key: string): Promise<Trial | undefined>;
  /** Resolves when the trial cannot be lost any more. */
  put(key: string, trial: Trial): Promise<void>;
}

/** Where trials run. The numbers of a trial do not depend on it. */
export interface Executor {
  /** Trials that it runs at a time. */
  size: number;
  /** Rejects where the trial fails, or `signal` aborts first. */
  run(spec: TrialSpec, report: (progress: Progress) => void, signal: AbortSignal): Promise<Trial>;
  /** Ends whatever still runs. */
  close(): Promise<void>;
}

/**
 * Runs the trials in their order and returns the finished ones, then closes the executor. When `signal` aborts, or a
 * trial fails, those that are running are ended.
 */
export async function runTrials(
  specs: readonly TrialSpec[],
  executor: Executor,
  watcher: Watcher,
  signal: AbortSignal,
): Promise<{ trials: Trial[]; failure?: FailureError }> {
  const results = new Map<TrialSpec, Trial>();
  const queue = [...specs];
  let failure: FailureError | undefined;
  const next = async (): Promise<void> => {
    const spec = queue.shift();
    if (!spec || signal.aborted) return;
    watcher.started(spec);
    try {
      const result = await executor.run(spec, (progress) => watcher.progress(spec, progress), signal);
      results.set(spec, result);
      watcher.finished(spec, result);
    } catch (error) {
      // the first one: those that end with it fail too
      if (!signal.aborted) failure ??= failureOf(spec, error);
    }
    if (failure) await executor.close();
    else await next();
  };
  await Promise.all(Array.from({ length: executor.size }, next));
  await executor.close();
  return { trials: specs.flatMap((spec) => results.get(spec) ?? []), failure };
}

/** An error from WebAssembly that ran out of memory does not say so. */
function failureOf({ norm, seed }: TrialSpec, error: unknown): FailureError {
  return new FailureError(
    `the trial of ${norm} with seed ${seed} failed: ${reason(error)}\n` +
      "If the network is too large for the memory, use a smaller --width, --depth or --batch-size, or fewer --threads",
    { cause: error },
  );
}
