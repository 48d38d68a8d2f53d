/** A contestant as the runner sees it: a process that answers requests (serve.mjs), and may be missing, or die. */
import { spawn, spawnSync } from "node:child_process";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { contestants } from "./cases.mjs";

/**
 * @typedef {Omit<import("./serve.mjs").Answer, "error"> & { failed?: string }} Heard
 *   `failed` where the contestant threw, died or fell silent
 */

/** ms after which a silent contestant is killed; the next case starts a new one. torch.compile has its share of them. */
const PATIENCE = 120_000;
/** Times that it may die before the run gives it up. */
const LIVES = 3;

/** The first Python of these that has PyTorch. @param {string[]} [commands] */
export function pythonOf(commands = ["python3", "/usr/bin/python3"]) {
  return commands.find(
    (command) => spawnSync(command, ["-c", "import torch"], { stdio: "ignore" }).status === 0,
  );
}

/** One contestant, in a process of its own. */
export class Player {
  /** @type {string | undefined} Library and version, as it reports them. */
  about;
  /** @type {string | undefined} Why it cannot take part. */
  missing;
  /** @type {Record<string, { size: number, ms: number, name: string }>} By norm and pass: the largest case so far. */
  known = {};
  /** @type {import("node:child_process").ChildProcess | undefined} */
  child;
  /** @type {AsyncIterator<string> | undefined} */
  lines;
  stderr = "";
  deaths = 0;

  /** @param {string} id @param {string} [python] the one that has PyTorch; default: the system's */
  constructor(id, python) {
    this.id = id;
    this.python = python;
    this.entry = contestants[id];
  }

  /** Starts its process, unless it runs; sets `missing` to the reason where it cannot. */
  async start() {
    if (this.deaths === LIVES) this.missing ??= `its process ended ${LIVES} times`;
    if (this.child || this.missing) return;
    const { script, argument, threads } = this.entry;
    const file = fileURLToPath(new URL(script, import.meta.url));
    const inPython = script.endsWith(".py");
    const command = inPython ? (this.python ?? pythonOf()) : process.execPath;
    if (!command) {
      this.missing =
        "no Python here has PyTorch (pip install torch in a virtual environment, and --python PATH)";
      return;
    }
    const count = String(threads);
    const child = spawn(
      command,
      [...(inPython ? ["-B"] : []), file, ...(argument ? [argument] : []), count],
      {
        env: {
          ...process.env,
          ...WARM_MALLOC,
          OMP_NUM_THREADS: count,
          OPENBLAS_NUM_THREADS: count,
          // what torch.compile made is kept for the next run; its code depends on the number of threads
          TORCHINDUCTOR_CACHE_DIR: join(tmpdir(), `evenkeel-bench-torch-${count}`),
          TORCHINDUCTOR_COMPILE_THREADS: "1",
        },
        stdio: ["pipe", "pipe", "pipe"],
      },
    );
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
    // what is written to a process that has just died is lost; `answer` notices
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

  /** @param {import("./serve.mjs").Request} request */
  ask(request) {
    this.child?.stdin?.write(`${JSON.stringify(request)}\n`);
    return this.answer();
  }

  /**
   * ms of one call, the mean over `times` calls after `warm` untimed ones.
   * @param {string} pass @param {number} warm @param {number} times @returns {Promise<{ ms: number } | { failed: string }>}
   */
  async turn(pass, warm, times) {
    const { ms, failed = "gave no time" } = await this.ask({ do: "turn", pass, warm, times });
    return ms === undefined ? { failed } : { ms };
  }

  /** The next line that is an answer. @returns {Promise<Heard>} */
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

/**
 * The answer on a line; undefined where a library printed it.
 * @param {string} line @returns {import("./serve.mjs").Answer | undefined}
 */
function parsed(line) {
  try {
    return line.startsWith("{") ? JSON.parse(line) : undefined;
  } catch {
    return undefined;
  }
}

/**
 * glibc returns large blocks to the system and gets fresh pages at every call, each of which is zeroed first. These
 * settings make it reuse them, so that the results of native libraries are in warm memory, as in a WebAssembly heap.
 */
const WARM_MALLOC = {
  MALLOC_MMAP_THRESHOLD_: "4294967296",
  MALLOC_TRIM_THRESHOLD_: "8589934592",
  MALLOC_TOP_PAD_: "268435456",
};
