/** One comparison after another at a desk: what is loaded, what is seen, and what went wrong. */
import { type ReadonlySignal, signal } from "@preact/signals";
import { type OpenDesk, openDesk } from "../desk/client.ts";
import type { CompareRequest, Loaded, LoadRequest, View } from "../desk/protocol.ts";

export interface Session {
  readonly loaded: ReadonlySignal<Loaded | undefined>;
  readonly view: ReadonlySignal<View | undefined>;
  readonly problem: ReadonlySignal<string | undefined>;
  /** Whether trials wait. */
  readonly paused: ReadonlySignal<boolean>;
  /** Whether something is read or trained. */
  readonly busy: ReadonlySignal<boolean>;
  /** Reads data, and compares what `ask` makes of them; ends what ran before. Never rejects. */
  begin(request: LoadRequest, ask: (loaded: Loaded) => CompareRequest): Promise<void>;
  /** Reads data. Never rejects; undefined where they cannot be read. */
  load(request: LoadRequest): Promise<Loaded | undefined>;
  pause(): void;
  step(): void;
  go(): void;
  stop(): Promise<void>;
  report(): Promise<{ html: string; json: string }>;
  /** Ends all workers. */
  close(): void;
}

export function openSession(): Session {
  const loaded = signal<Loaded>();
  const view = signal<View>();
  const problem = signal<string>();
  const paused = signal(false);
  const busy = signal(false);
  let desk: OpenDesk | undefined;
  let last: string | undefined;
  let turn = 0;

  const at = (): OpenDesk => {
    desk ??= openDesk();
    return desk;
  };
  const same = ({ source, reading }: LoadRequest): string | undefined =>
    "name" in source ? JSON.stringify([source.name, reading]) : undefined;

  async function loadOnce(request: LoadRequest): Promise<Loaded> {
    const own = same(request);
    if (own !== undefined && own === last && loaded.value) return loaded.value;
    await at().stop();
    loaded.value = await at().load(request);
    last = own;
    return loaded.value;
  }

  /** What is asked for later wins. */
  async function told<T>(action: (isLast: () => boolean) => Promise<T>): Promise<T | undefined> {
    const own = ++turn;
    const isLast = () => own === turn;
    problem.value = undefined;
    busy.value = true;
    try {
      return await action(isLast);
    } catch (error) {
      if (isLast()) problem.value = error instanceof Error ? error.message : String(error);
      return undefined;
    } finally {
      if (isLast()) busy.value = false;
    }
  }

  return {
    loaded,
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
      });
    },
    load: (request) =>
      told(async () => {
        last = undefined;
        view.value = undefined;
        return loadOnce(request);
      }),
    pause() {
      paused.value = true;
      at().pause();
    },
    step: () => void at().step(),
    go() {
      paused.value = false;
      at().go();
    },
    async stop() {
      turn++;
      busy.value = false;
      await at().stop();
      if (view.value?.state === "running") view.value = { ...view.value, state: "stopped" };
    },
    report: () => at().report(),
    close() {
      desk?.close();
      desk = undefined;
      last = undefined;
    },
  };
}
