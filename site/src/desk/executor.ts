/** Trials in workers of the page's. */

import type { TrialData } from "@evenkeel/lab/datasets/dataset";
import { shared } from "@evenkeel/lab/datasets/shared";
import type { SoFar, TrialSpec } from "@evenkeel/lab/trial";
import type { Executor } from "@evenkeel/lab/trials";
import { proxy, type Remote, wrap } from "comlink";
import type { Backend } from "./protocol.ts";
import type { TrialWorker } from "./trial-worker.ts";

interface Place {
  worker: Worker;
  remote: Remote<TrialWorker>;
  /** Rejects where the worker breaks or is ended: what it has not answered by then, it never will. */
  broken: Promise<never>;
  giveUp(error: Error): void;
}

export interface Workers extends Executor {
  pause(): void;
  step(): void;
  go(): void;
}

/**
 * An executor with at most this many workers, each of which loads TensorFlow.js once, with its first trial.
 * @param watch called with what was measured of a trial that runs
 */
export function openWorkers(
  size: number,
  backend: Backend,
  watch: (spec: TrialSpec, soFar: SoFar) => void,
): Workers {
  const idle: Place[] = [];
  const all = new Set<Place>();
  let paused = false;

  function open(): Place {
    const worker = new Worker(new URL("./trial-worker.ts", import.meta.url), { type: "module" });
    const remote = wrap<TrialWorker>(worker);
    let giveUp: Place["giveUp"] = () => {};
    const broken = new Promise<never>((_, reject) => {
      giveUp = reject;
    });
    broken.catch(() => {});
    worker.onerror = (event) => {
      event.preventDefault();
      giveUp(new Error(event.message || "a worker could not be loaded; reload the page"));
    };
    const place: Place = { worker, remote, broken, giveUp };
    all.add(place);
    if (paused) remote.pause();
    return place;
  }

  function end(place: Place): void {
    if (!all.delete(place)) return;
    place.worker.terminate();
    place.giveUp(new Error("the worker was ended"));
  }

  async function runIn(
    { remote }: Place,
    { data, ...spec }: TrialSpec,
    tell: Parameters<TrialWorker["run"]>[1],
  ) {
    await remote.start(backend);
    if (!(await remote.holds(spec.digest))) await remote.hold(spec.digest, data);
    return remote.run(spec, tell);
  }

  return {
    size,
    async run(spec, watcher, signal) {
      signal.throwIfAborted();
      const place = idle.pop() ?? open();
      watcher.started();
      const tell = proxy((...[progress, soFar]: Parameters<Parameters<TrialWorker["run"]>[1]>) => {
        watcher.progress(progress);
        watch(spec, soFar);
      });
      try {
        const result = await Promise.race([runIn(place, spec, tell), place.broken]);
        idle.push(place);
        return result;
      } catch (error) {
        end(place);
        throw error;
      }
    },
    async close() {
      for (const place of all) end(place);
      idle.length = 0;
    },
    pause() {
      paused = true;
      for (const { remote } of all) remote.pause();
    },
    step() {
      for (const { remote } of all) remote.step();
    },
    go() {
      paused = false;
      for (const { remote } of all) remote.go();
    },
  };
}

/** Data in memory that workers share, in an isolated page; elsewhere each has a copy. */
export const sharedHere = (data: TrialData): TrialData => (crossOriginIsolated ? shared(data) : data);
