/** Trials of several normalizations, several at a time, wherever an executor runs them. */
import { FailureError, reason } from "./errors.js";
import { FORMAT, type Trial } from "./results.js";
import type { Progress, TrialSpec } from "./trial.js";

/** What a trial is known by, in hex: the same for the same numbers, as one version of Evenkeel gives and writes them. */
export async function keyOf({ norm, seed, model, training, keep, digest }: TrialSpec): Promise<string> {
  const { kind, depth, width, activation, module } = model;
  const { epochs, batchSize, learningRates, optimizer, warmUp } = training;
  const identity = [
    FORMAT,
    norm,
    seed,
    kind,
    depth,
    width,
    activation,
    epochs,
    batchSize,
    learningRates,
    optimizer,
    warmUp,
    keep ?? false,
    module?.digest ?? null,
    digest,
  ];
  const bytes = new TextEncoder().encode(JSON.stringify(identity));
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** What happens while a comparison runs. */
export interface Watcher {
  /** The store was asked for all; from now on trials run. */
  begun(): void;
  started(trial: TrialSpec): void;
  progress(trial: TrialSpec, progress: Progress): void;
  finished(trial: TrialSpec, result: Trial): void;
  /** It was there already, in the store or where it ran, and is not run again. */
  found(trial: TrialSpec, result: Trial): void;
}

/** Where finished trials of one version of Evenkeel are kept, each under the key of its spec. */
export interface Store {
  get(key: string): Promise<Trial | undefined>;
  /** Resolves when the trial cannot be lost any more. */
  put(key: string, trial: Trial): Promise<void>;
}

/** What is told of a trial while it is with an executor. */
export interface TrialWatcher {
  /** It runs now; again where it began anew somewhere else. */
  started(): void;
  progress(progress: Progress): void;
}

/** Where trials run. The numbers of a trial do not depend on it. */
export interface Executor {
  /** Trials that it takes at a time; those that are on a queue elsewhere are with it too. */
  size: number;
  /** Rejects where the trial fails, or `signal` aborts first. */
  run(spec: TrialSpec, watcher: TrialWatcher, signal: AbortSignal): Promise<Trial>;
  /** Ends whatever still runs. */
  close(): Promise<void>;
}

/**
 * The trials of these specs in their order, as far as they finished: those that the store has, and the others run and
 * put there one by one. Closes the executor. When `signal` aborts, or a trial fails, those that are running are ended.
 */
export async function runTrials(
  specs: readonly TrialSpec[],
  executor: Executor,
  watcher: Watcher,
  signal: AbortSignal,
  store?: Store,
): Promise<{ trials: (Trial | undefined)[]; failure?: FailureError }> {
  const keys = await Promise.all(specs.map(keyOf));
  const finished = new Map<string, Trial>();
  const queue: { key: string; spec: TrialSpec }[] = [];
  const known = new Set<string>();
  for (const [i, key] of keys.entries()) {
    // two of one key are one trial, asked for twice
    if (known.has(key)) continue;
    known.add(key);
    const stored = await store?.get(key);
    if (stored) {
      finished.set(key, stored);
      watcher.found(specs[i], stored);
    } else queue.push({ key, spec: specs[i] });
  }
  watcher.begun();
  let failure: FailureError | undefined;
  const next = async (): Promise<void> => {
    const one = queue.shift();
    if (!one || signal.aborted) return;
    const { key, spec } = one;
    let ran = false;
    const told: TrialWatcher = {
      started() {
        ran = true;
        watcher.started(spec);
      },
      progress: (progress) => watcher.progress(spec, progress),
    };
    try {
      const result = await executor.run(spec, told, signal);
      await store?.put(key, result);
      finished.set(key, result);
      // what was on a queue may have run before anybody watched
      if (ran) watcher.finished(spec, result);
      else watcher.found(spec, result);
    } catch (error) {
      // the first one: those that end with it fail too
      if (!signal.aborted) failure ??= failureOf(spec, error);
    }
    if (failure) await executor.close();
    else await next();
  };
  await Promise.all(Array.from({ length: Math.min(executor.size, queue.length) }, next));
  await executor.close();
  return { trials: keys.map((key) => finished.get(key)), failure };
}

/** An error from WebAssembly that ran out of memory does not say so. */
function failureOf({ norm, seed }: TrialSpec, error: unknown): FailureError {
  if (error instanceof FailureError) return error;
  return new FailureError(
    `the trial of ${norm} with seed ${seed} failed: ${reason(error)}\n` +
      "If the network is too large for the memory, use a smaller --width, --depth or --batch-size, or fewer --threads",
    { cause: error },
  );
}
