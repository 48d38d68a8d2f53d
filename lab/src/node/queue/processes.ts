/** Trials in processes of their own. */
import type { Trial } from "../../results.js";
import type { TravellingSpec } from "../../trial.js";
import type { TrialWatcher } from "../../trials.js";
import type { Cache } from "./cache.js";

/** The process of a trial is gone, or was ended: the trial is worth another attempt. */
export class ChildLost extends Error {}

export interface Processes {
  run(spec: TravellingSpec, watcher: TrialWatcher, signal: AbortSignal): Promise<Trial>;
  close(): Promise<void>;
}
export function openProcesses(
  _size: number,
  _options: { cache: Cache; patience: number; log(line: string): void },
): Processes {
  throw new Error("not here yet");
}
