/** Trials in processes of their own, so that one that is busy, hangs or runs out of memory ends alone. */
import { type ChildProcess, fork } from "node:child_process";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { printable } from "@evenkeel/report/format";
import { FailureError, reason, UsageError } from "../../errors.js";
import type { Trial } from "../../results.js";
import type { Progress, TravellingSpec } from "../../trial.js";
import type { TrialWatcher } from "../../trials.js";
import { type Cache, CacheError } from "./cache.js";

/** What a process is given: the module of the spec and the data are files here. */
export interface ToChild {
  spec: TravellingSpec;
  file: string;
}

/** What it tells: that it lives, how far it is, and how the trial ended. */
export type ToParent =
  | { alive: true }
  | { progress: Progress }
  | { trial: Trial }
  | { failure: string; kind: "usage" | "failure" | "error" }
  // its data cannot be read
  | { lost: string };

/** A trial ended with its process, or for what is not there now: another attempt may succeed. */
export class ChildLost extends Error {}

export interface Processes {
  /**
   * @throws ChildLost where the process was lost, gave no sign of life or has no data; the reason of `signal`, which ends the
   * process at once; otherwise what the trial failed with
   */
  run(spec: TravellingSpec, watcher: TrialWatcher, signal: AbortSignal): Promise<Trial>;
  /** Ends whatever still runs; resolves when no process is left. */
  close(): Promise<void>;
}

interface Child {
  process: ChildProcess;
  /** The last lines that it wrote to standard error. */
  said: string[];
}

const SOURCE = fileURLToPath(new URL("./trial-process.js", import.meta.url));
/** Lines of standard error in a message, and characters of a line. */
const LINES = 3;
const SHOWN = 300;
/** ms between two looks for signs of life. */
const LOOK = 250;
/** ms in which what a process that is gone wrote last arrives. */
const LAST_WORDS = 500;
/** Frames of Node's own, which say nothing, and rulers. */
const NOISE = /^\s*(?:\d+: 0x|-----|<---|\[\d+:0x|$)/;

/** What stands around an error without naming it. */
const AFTERWORD = /^\s+at |^\s*\^+\s*$|^Node\.js v/;

const failures = { usage: UsageError, failure: FailureError, error: Error };

/**
 * @param size trials at a time
 * @param patience s without a sign of life, after which a trial is ended
 * @param log told of each process that is lost, and of what trials print, a line each
 */
export function openProcesses(
  size: number,
  { cache, patience, log }: { cache: Cache; patience: number; log(line: string): void },
): Processes {
  const children = new Set<Child>();
  const idle: Child[] = [];
  const waiting: (() => void)[] = [];
  let free = size;
  const closing = new AbortController();

  function start(): Child {
    // a program of another kind (--eval) or a debugger's port is not for two
    const options = process.execArgv.filter((option) => option.startsWith("--max-"));
    const child: Child = {
      process: fork(SOURCE, {
        serialization: "advanced",
        stdio: ["ignore", "pipe", "pipe", "ipc"],
        execArgv: options,
      }),
      said: [],
    };
    const { stdout, stderr, pid } = child.process;
    const hear = (line: string) => log(`process ${pid}: ${printed(line)}`);
    if (stdout) forEachLine(stdout, hear);
    if (stderr) {
      forEachLine(stderr, (line) => {
        if (!AFTERWORD.test(line)) child.said = [...child.said, printed(line)].slice(-LINES);
        hear(line);
      });
    }
    children.add(child);
    // of one that cannot be started, or told anything: whoever waits for it hears of it too
    child.process.on("error", () => {
      if (pid === undefined) children.delete(child);
      child.process.kill("SIGKILL");
    });
    child.process.on("exit", (code, signal) => {
      children.delete(child);
      // whatever a trial has started itself may keep them open for ever
      const closing = setTimeout(() => [stdout, stderr].map((stream) => stream?.destroy()), LAST_WORDS);
      child.process.on("close", () => clearTimeout(closing));
      const at = idle.indexOf(child);
      if (at < 0) return;
      idle.splice(at, 1);
      log(`process ${pid}, which had nothing to do, ${endOf(code, signal)}; another takes its place`);
    });
    return child;
  }

  async function slot(signal: AbortSignal): Promise<void> {
    if (free > 0) {
      free--;
      return;
    }
    await new Promise<void>((resolve, reject) => {
      const go = () => {
        signal.removeEventListener("abort", give);
        resolve();
      };
      const give = () => {
        waiting.splice(waiting.indexOf(go), 1);
        reject(signal.reason);
      };
      waiting.push(go);
      signal.addEventListener("abort", give, { once: true });
    });
  }

  const release = () => {
    const go = waiting.shift();
    if (go) go();
    else free++;
  };

  /** The spec with its module here, and the file of its data. */
  async function fetched(spec: TravellingSpec): Promise<ToChild> {
    const { module } = spec.model;
    try {
      const file = await cache.dataFile(spec.digest);
      if (module === undefined) return { spec, file };
      const path = await cache.moduleFile(module.digest);
      return { spec: { ...spec, model: { ...spec.model, module: { ...module, path } } }, file };
    } catch (error) {
      throw new ChildLost(reason(error), { cause: error });
    }
  }

  return {
    async run(spec, watcher, given) {
      const signal = AbortSignal.any([given, closing.signal]);
      signal.throwIfAborted();
      await slot(signal);
      let child: Child | undefined;
      try {
        const job = await unlessAborted(fetched(spec), signal);
        child = idle.pop() ?? start();
        watcher.started();
        const trial = await train(child, job, patience, watcher, signal);
        idle.push(child);
        release();
        return trial;
      } catch (error) {
        // whatever it failed with, its memory may not be what it was
        if (child) end(child).then(release);
        else release();
        throw error;
      }
    },
    async close() {
      closing.abort(new Error("the processes of trials were closed"));
      idle.length = 0;
      await Promise.all([...children].map(end));
    },
  };
}

/** One trial in a process that has none. */
function train(
  child: Child,
  job: ToChild,
  patience: number,
  watcher: TrialWatcher,
  signal: AbortSignal,
): Promise<Trial> {
  const { process } = child;
  return new Promise((resolve, reject) => {
    let alive = performance.now();
    let looked = alive;
    const settle = (action: () => void) => {
      clearInterval(looking);
      process.off("message", hear).off("exit", exited).off("error", failed);
      signal.removeEventListener("abort", abort);
      action();
    };
    const lost = (why: string, cause?: Error) => settle(() => reject(new ChildLost(why, { cause })));
    const looking = setInterval(() => {
      const now = performance.now();
      // this process was held up itself, and has not heard yet what was told meanwhile
      if (now - looked > 4 * LOOK) alive = now;
      looked = now;
      if (now - alive > patience * 1000) lost(`gave no sign of life for ${patience} s, and was ended`);
    }, LOOK);
    const hear = (message: ToParent) => {
      alive = performance.now();
      if ("progress" in message) watcher.progress(message.progress);
      else if ("trial" in message) settle(() => resolve(message.trial));
      else if ("lost" in message) lost(message.lost, new CacheError(message.lost));
      else if ("failure" in message) settle(() => reject(new failures[message.kind](message.failure)));
    };
    const exited = async (code: number | null, by: NodeJS.Signals | null) => {
      clearInterval(looking);
      await told(process, "close");
      const last = child.said.length > 0 ? `: ${child.said.join("; ")}` : "";
      lost(`its process ${endOf(code, by)}${last}`);
    };
    const failed = (error: Error) => lost(`its process cannot be used: ${reason(error)}`);
    const abort = () => settle(() => reject(signal.reason));
    process.on("message", hear).on("exit", exited).on("error", failed);
    signal.addEventListener("abort", abort, { once: true });
    // the one that is gone is heard of by its exit
    process.send?.(job, () => {});
  });
}

const endOf = (code: number | null, signal: NodeJS.Signals | null): string => {
  if (signal === null) return `ended with exit code ${code}`;
  return `was ended by ${signal}${signal === "SIGKILL" ? ", by somebody or for want of memory" : ""}`;
};

/** Resolves when it is gone. */
async function end({ process }: Child): Promise<void> {
  const isGone = process.pid === undefined || process.exitCode !== null || process.signalCode !== null;
  const gone = isGone ? undefined : told(process, "exit");
  process.kill("SIGKILL");
  await gone;
}

/** Unlike `once`, whatever errors come before. */
const told = (process: ChildProcess, event: "exit" | "close") =>
  new Promise<void>((resolve) => process.once(event, () => resolve()));

/** What comes first. */
async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  let abort = () => {};
  const aborted = new Promise<never>((_, reject) => {
    abort = () => reject(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

const printed = (line: string) => printable(line.trim()).slice(0, SHOWN);

/** Of those that say something. */
function forEachLine(stream: Readable, tell: (line: string) => void): void {
  let rest = "";
  const each = (line: string) => {
    if (!NOISE.test(line)) tell(line);
  };
  stream.setEncoding("utf8").on("data", (text: string) => {
    const lines = (rest + text).split("\n");
    rest = (lines.pop() as string).slice(0, 4 * SHOWN);
    lines.forEach(each);
  });
  stream.on("end", () => each(rest));
}
