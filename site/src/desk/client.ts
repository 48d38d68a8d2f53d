/** A desk for a page, and its end. */
import { proxy, type Remote, transfer, wrap } from "comlink";
import { endOf } from "../ui/worker.ts";
import type { CompareRequest, Desk, Loaded, LoadRequest, Places, Report, View } from "./protocol.ts";

export interface OpenDesk {
  /** Rejects where the worker cannot run, and with it whatever is asked of it. */
  readonly broken: Promise<never>;
  load(request: LoadRequest, seen: (columns: string[]) => void): Promise<Loaded>;
  compare(request: CompareRequest, show: (view: View) => void): Promise<void>;
  stop(): Promise<void>;
  pause(): void;
  step(): void;
  go(): void;
  report(): Promise<Report>;
  /** Ends it, and the workers of its trials. */
  close(): void;
}

/** Opens a worker. */
export function openDesk(): OpenDesk {
  const worker = new Worker(new URL("./desk.ts", import.meta.url), { type: "module" });
  const remote: Remote<Desk> = wrap<Desk>(worker);
  const { broken, giveUp } = endOf(worker);
  const places = openPlaces();
  remote.serve(proxy(places));
  // data and trials are known by SHA-256, which browsers give to such pages only
  if (!isSecureContext) giveUp(new Error("this page trains on https:// or localhost only; open it there"));
  const or = <T>(answer: Promise<T>): Promise<T> => Promise.race([answer, broken]);
  // of what breaks those hear that wait for something
  const tell = (answer: Promise<void>) => void or(answer).catch(() => {});
  return {
    broken,
    load: (request, seen) => or(remote.load(request, proxy(seen))),
    compare: (request, show) => or(remote.compare(request, proxy(show))),
    stop: () => or(remote.stop()),
    pause: () => tell(remote.pause()),
    step: () => tell(remote.step()),
    go: () => tell(remote.go()),
    report: () => or(remote.report()),
    close() {
      worker.terminate();
      places.close();
    },
  };
}

/** The workers in which trials run. */
export function openPlaces(): Places & { close(): void } {
  const workers = new Map<number, Worker>();
  let last = 0;
  let closed = false;
  return {
    open(broke) {
      // a desk that was ended may have asked before
      if (closed) throw new Error("the workers were ended");
      const worker = new Worker(new URL("./trial-worker.ts", import.meta.url), { type: "module" });
      const { port1, port2 } = new MessageChannel();
      worker.postMessage(port1, [port1]);
      endOf(worker).broken.catch(({ message }: Error) => broke(message));
      const id = ++last;
      workers.set(id, worker);
      return transfer({ id, port: port2 }, [port2]);
    },
    end(id) {
      workers.get(id)?.terminate();
      workers.delete(id);
    },
    close() {
      closed = true;
      for (const worker of workers.values()) worker.terminate();
      workers.clear();
    },
  };
}
