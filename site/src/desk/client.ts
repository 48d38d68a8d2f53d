/** A desk for a page, and its end. */
import { proxy, type Remote, wrap } from "comlink";
import type { CompareRequest, Desk, Loaded, LoadRequest, View } from "./protocol.ts";

export interface OpenDesk {
  load(request: LoadRequest, seen: (columns: string[]) => void): Promise<Loaded>;
  compare(request: CompareRequest, show: (view: View) => void): Promise<void>;
  stop(): Promise<void>;
  pause(): Promise<void>;
  step(): Promise<void>;
  go(): Promise<void>;
  report(): Promise<{ html: string; json: string }>;
  /** Ends the worker, and with it those that it has opened. */
  close(): void;
}

/** Opens a worker; what fails in it beyond its calls rejects them all. */
export function openDesk(): OpenDesk {
  const worker = new Worker(new URL("./desk.ts", import.meta.url), { type: "module" });
  const remote: Remote<Desk> = wrap<Desk>(worker);
  const broken = new Promise<never>((_, reject) => {
    worker.onerror = (event) => {
      event.preventDefault();
      reject(new Error(event.message || "the worker could not be loaded; reload the page"));
    };
  });
  broken.catch(() => {});
  const or = <T>(answer: Promise<T>): Promise<T> => Promise.race([answer, broken]);
  return {
    load: (request, seen) => or(remote.load(request, proxy(seen))),
    compare: (request, show) => or(remote.compare(request, proxy(show))),
    stop: () => or(remote.stop()),
    pause: () => or(remote.pause()),
    step: () => or(remote.step()),
    go: () => or(remote.go()),
    report: () => or(remote.report()),
    close: () => worker.terminate(),
  };
}
