/** Being stopped: by Ctrl-C, by whoever ends processes, by a terminal that closes. */
import { constants } from "node:os";
import { setTimeout as wait } from "node:timers/promises";
import { endWithTerminal, hungUp } from "./streams.js";

export interface Stop {
  /** Aborts with the first signal. */
  signal: AbortSignal;
  /** Of a process that this signal ended; undefined as long as there was none. */
  exitCode(): number | undefined;
  /** Once stopped, a further signal ends the process wherever it is. To be called before anything that takes long. */
  letGo(): Promise<void>;
}

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
/** ms within which two signals are one: npm hands on to its script the Ctrl-C that the terminal has sent to both. */
const TOGETHER = 100;

const codeOf = (signal: NodeJS.Signals) => 128 + constants.signals[signal];

/** Listens from now on: the first signal stops, a later one exits at once. */
export function stopOnSignals(): Stop {
  const stop = new AbortController();
  let first: { code: number; at: number } | undefined;
  const listen = (signal: NodeJS.Signals) => {
    if (signal === "SIGHUP") hungUp();
    const now = performance.now();
    if (first === undefined) {
      first = { code: codeOf(signal), at: now };
      stop.abort();
    } else if (now - first.at > TOGETHER) {
      endWithTerminal();
      process.exit(codeOf(signal));
    }
  };
  for (const signal of SIGNALS) process.on(signal, listen);
  return {
    signal: stop.signal,
    exitCode: () => first?.code,
    async letGo() {
      if (first === undefined) return;
      await wait(Math.max(0, first.at + TOGETHER - performance.now()));
      for (const signal of SIGNALS) process.off(signal, listen);
    },
  };
}
