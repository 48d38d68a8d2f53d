// @ts-check
/** A contestant as the runner sees it: a process that answers requests (serve.mjs), and may be missing, or die. */
import { spawn, spawnSync } from "node:child_process";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { contestants } from "./cases.mjs";

/** ms after which a silent contestant is ended; the next case finds a new one. */
const PATIENCE = 30_000;
/** Times that it may die before it is given up. */
const LIVES = 3;

/** A Python that has PyTorch. */
function python() {
  for (const command of ["python3", "/usr/bin/python3"]) {
    if (spawnSync(command, ["-c", "import torch"], { stdio: "ignore" }).status === 0) return command;
  }
}

/** One contestant, in a process of its own. */
export class Player {
  /** @type {string | undefined} Library and version, as it says itself. */
  about;
  /** @type {string | undefined} Why it takes no part in anything. */
  missing;
  /** @type {Record<string, { size: number, ms: number, name: string }>} By norm and pass: the largest case so far. */
  known = {};
  /** @type {import("node:child_process").ChildProcess | undefined} */
  child;
  /** @type {AsyncIterator<string> | undefined} */
  lines;
  stderr = "";
  deaths = 0;

  /** @param {string} id */
  constructor(id) {
    this.id = id;
    this.entry = contestants[id];
  }

  /** Starts its process, where it has none; leaves why in `missing` where that cannot be. */
  async start() {
    if (this.deaths === LIVES) this.missing ??= `its process ended ${LIVES} times`;
    if (this.child || this.missing) return;
    const { script, argument, threads } = this.entry;
    const file = fileURLToPath(new URL(script, import.meta.url));
    const inPython = script.endsWith(".py");
    const command = inPython ? python() : process.execPath;
    if (!command) {
      this.missing = "no Python here has PyTorch (Debian: apt-get install python3-torch libopenblas0)";
      return;
    }
    const count = String(threads);
    const child = spawn(command, [...(inPython ? ["-B"] : []), file, argument ?? count], {
      env: { ...process.env, ...WARM_MALLOC, OMP_NUM_THREADS: count, OPENBLAS_NUM_THREADS: count },
      stdio: ["pipe", "pipe", "pipe"],
    });
    this.child = child;
    this.stderr = "";
    child.on("error", ({ message }) => {
      this.stderr += message;
    });
    child.on("exit", () => {
      if (this.child !== child) return;
      this.child = undefined;
      this.deaths++;
    });
    // what is written to a process that has just died is lost; the answer says so
    child.stdin.on("error", () => {});
    child.stderr.on("data", (text) => {
      this.stderr = (this.stderr + text).slice(-2000);
    });
    this.lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const { about, missing, failed } = await this.answer();
    this.about = about ?? this.about;
    this.missing = missing ?? failed;
    if (this.missing) this.stop();
  }

  /** @param {object} request @returns {Promise<any>} { failed } where the contestant throws, dies or falls silent */
  ask(request) {
    this.child?.stdin?.write(`${JSON.stringify(request)}\n`);
    return this.answer();
  }

  /** The next line that is an answer. @returns {Promise<any>} */
  async answer() {
    const over = new AbortController();
    const silence = sleep(PATIENCE, null, { signal: over.signal }).catch(() => null);
    const line = await Promise.race([this.lines?.next(), silence]);
    over.abort();
    if (line === null) {
      this.stop();
      return { failed: `no answer within ${PATIENCE / 1000} s` };
    }
    if (line === undefined || line.done) {
      const said = this.stderr.split("\n").findLast((text) => /error|cannot/i.test(text));
      return { failed: said?.trim() || "its process ended" };
    }
    const message = parsed(line.value);
    if (!message) return this.answer();
    return message.error ? { failed: message.error } : message;
  }

  stop() {
    const { child } = this;
    this.child = undefined;
    child?.kill("SIGKILL");
  }
}

/** A line's object; nothing where it is no answer, but something that a library printed. @param {string} line */
function parsed(line) {
  try {
    return line.startsWith("{") && JSON.parse(line);
  } catch {}
}

/**
 * glibc gives large blocks back to the system and takes fresh pages at every call, each of which is cleared first. This
 * keeps them, so that the results of native libraries lie in warm memory as those in a WebAssembly heap do.
 */
const WARM_MALLOC = {
  MALLOC_MMAP_THRESHOLD_: "4294967296",
  MALLOC_TRIM_THRESHOLD_: "8589934592",
  MALLOC_TOP_PAD_: "268435456",
};
