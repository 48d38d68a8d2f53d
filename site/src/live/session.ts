/** One comparison after another at a desk: what is loaded, what is seen, and what went wrong. */
import { type ReadonlySignal, signal } from "@preact/signals";
import { type OpenDesk, openDesk } from "../desk/client.ts";
import type { CompareRequest, Loaded, LoadRequest, Report, View } from "../desk/protocol.ts";

export interface Session {
  readonly loaded: ReadonlySignal<Loaded | undefined>;
  /** Of the table that was read last, also where nothing could be learnt from it; empty where it is none. */
  readonly columns: ReadonlySignal<readonly string[]>;
  readonly view: ReadonlySignal<View | undefined>;
  readonly problem: ReadonlySignal<string | undefined>;
  /** Whether trials wait. */
  readonly paused: ReadonlySignal<boolean>;
  /** Whether something is read or trained. */
  readonly busy: ReadonlySignal<boolean>;
  /** Reads data, and compares what `ask` makes of them; ends what ran before. Never rejects. */
  begin(request: LoadRequest, ask: (loaded: Loaded) => CompareRequest): Promise<void>;
  /** Reads data. Never rejects; undefined where they cannot be read, or something else was asked for meanwhile. */
  load(request: LoadRequest): Promise<Loaded | undefined>;
  pause(): void;
  step(): void;
  go(): void;
  stop(): Promise<void>;
  /** Never rejects; undefined where there is none. */
  report(): Promise<Report | undefined>;
  /** Ends all workers, and with them whatever is read or trained. */
  close(): void;
  /** As `close`, and nothing is loaded any more. */
  forget(): void;
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

export function openSession(): Session {
  const loaded = signal<Loaded>();
  const columns = signal<readonly string[]>([]);
  const view = signal<View>();
  const problem = signal<string>();
  const paused = signal(false);
  const busy = signal(false);
  let desk: OpenDesk | undefined;
  /** What the desk holds. */
  let held: string | undefined;
  let reading = false;
  let turn = 0;
  /** The report of what is finished, which may be asked for when its desk is gone. */
  let whole: Report | undefined;
  const files = new WeakMap<File, number>();
  let known = 0;

  const at = (): OpenDesk => {
    if (desk === undefined) {
      const own = openDesk();
      desk = own;
      // the next one may run
      own.broken.catch(() => own === desk && end());
      if (paused.value) own.pause();
    }
    return desk;
  };
  const idOf = (file: File): number => {
    const id = files.get(file) ?? ++known;
    files.set(file, id);
    return id;
  };
  const keyOf = ({ source, reading }: LoadRequest): string =>
    JSON.stringify(["name" in source ? source.name : idOf(source.file), reading]);

  /** Of the desk; what it reads or trains goes with it. */
  function end(): void {
    desk?.close();
    desk = undefined;
    held = undefined;
    reading = false;
  }

  function close(): void {
    turn++;
    busy.value = false;
    end();
  }

  async function loadOnce(request: LoadRequest): Promise<Loaded> {
    const key = keyOf(request);
    if (key === held && loaded.value && !reading) return loaded.value;
    // what is read for nothing would keep the worker from what is wanted
    if (reading) end();
    const own = at();
    held = undefined;
    reading = true;
    try {
      await own.stop();
      const found = await own.load(request, (names) => {
        if (own === desk) columns.value = names;
      });
      if (own === desk) {
        loaded.value = found;
        columns.value = found.columns;
        held = key;
      }
      return found;
    } finally {
      if (own === desk) reading = false;
    }
  }

  /** What is asked for later wins. */
  async function told<T>(action: (isLast: () => boolean) => Promise<T>): Promise<T | undefined> {
    const own = ++turn;
    const isLast = () => own === turn;
    problem.value = undefined;
    busy.value = true;
    whole = undefined;
    try {
      const done = await action(isLast);
      return isLast() ? done : undefined;
    } catch (error) {
      if (isLast()) problem.value = messageOf(error);
      return undefined;
    } finally {
      if (isLast()) busy.value = false;
    }
  }

  return {
    loaded,
    columns,
    view,
    problem,
    paused,
    busy,
    async begin(request, ask) {
      await told(async (isLast) => {
        const data = await loadOnce(request);
        if (!isLast()) return;
        await at().compare(ask(data), (seen) => {
          if (isLast()) view.value = seen;
        });
        const made = await at().report();
        if (isLast()) whole = made;
      });
    },
    load: (request) =>
      told(async () => {
        view.value = undefined;
        return loadOnce(request);
      }),
    forget() {
      close();
      paused.value = false;
      problem.value = undefined;
      loaded.value = undefined;
      columns.value = [];
      view.value = undefined;
      whole = undefined;
    },
    pause() {
      paused.value = true;
      desk?.pause();
    },
    step: () => desk?.step(),
    go() {
      paused.value = false;
      desk?.go();
    },
    async stop() {
      turn++;
      busy.value = false;
      await desk?.stop().catch(() => {});
      if (view.value?.state === "running") view.value = { ...view.value, state: "stopped" };
    },
    async report() {
      try {
        return whole ?? (await at().report());
      } catch (error) {
        problem.value = messageOf(error);
        return undefined;
      }
    },
    close,
  };
}
