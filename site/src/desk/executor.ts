/** Trials in workers of the page's. */

import type { TrialData } from "@evenkeel/lab/datasets/dataset";
import { shared } from "@evenkeel/lab/datasets/shared";
import { FailureError, reason } from "@evenkeel/lab/errors";
import type { SoFar, TrialSpec } from "@evenkeel/lab/trial";
import type { Executor } from "@evenkeel/lab/trials";
import { proxy, type Remote, wrap } from "comlink";
import { type End, openEnd } from "../ui/worker.ts";
import type { Backend, Places } from "./protocol.ts";
import type { Tell, TrialWorker } from "./trial-worker.ts";
import type { Turns } from "./turns.ts";

interface Place extends End {
  id: number;
  remote: Remote<TrialWorker>;
}

/**
 * An executor with at most this many workers, each of which loads TensorFlow.js once, with its first trial.
 * @param watch called with what was measured of a trial that runs
 */
export function openWorkers(
  size: number,
  backend: Backend,
  turns: Turns,
  places: Remote<Places>,
  watch: (spec: TrialSpec, soFar: SoFar) => void,
): Executor {
  const idle: Place[] = [];
  const all = new Set<Place>();
  let closed = false;

  async function open(): Promise<Place> {
    const own = openEnd();
    const { id, port } = await places.open(proxy((message) => own.giveUp(new FailureError(message))));
    const place: Place = { id, remote: wrap<TrialWorker>(port), ...own };
    all.add(place);
    if (closed) end(place);
    return place;
  }

  function end(place: Place): void {
    if (!all.delete(place)) return;
    places.end(place.id);
    place.giveUp(new FailureError("the worker was ended"));
  }

  async function runIn({ remote }: Place, { data, ...spec }: TrialSpec, tell: Tell) {
    await remote.start(backend).catch((error) => {
      throw new FailureError(reason(error));
    });
    if (!(await remote.holds(spec.digest))) await remote.hold(spec.digest, data);
    return remote.run(spec, tell);
  }

  return {
    size,
    async run(spec, watcher, signal) {
      signal.throwIfAborted();
      const place = idle.pop() ?? (await open());
      let hasTurn = false;
      const give = () => {
        if (hasTurn) turns.give();
        hasTurn = false;
      };
      const take = async (): Promise<number> => {
        give();
        const ms = await turns.take();
        // what was ended meanwhile takes none
        if (all.has(place)) hasTurn = true;
        else turns.give();
        return ms;
      };
      const tell: Tell = (progress, soFar) => {
        watcher.progress(progress);
        watch(spec, soFar);
        return take();
      };
      try {
        await Promise.race([take(), place.broken]);
        watcher.started();
        const result = await Promise.race([runIn(place, spec, proxy(tell)), place.broken]);
        idle.push(place);
        return result;
      } catch (error) {
        end(place);
        throw error;
      } finally {
        give();
      }
    },
    async close() {
      closed = true;
      for (const place of all) end(place);
      idle.length = 0;
    },
  };
}

/** Data in memory that workers share, in an isolated page; elsewhere each has a copy. */
export const sharedHere = (data: TrialData): TrialData => (crossOriginIsolated ? shared(data) : data);
