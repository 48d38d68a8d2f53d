/** ONNX Runtime for the doctor: in a process of its own, which is watched. */
import { type ChildProcess, fork } from "node:child_process";
import { linkSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { mkdir, open } from "node:fs/promises";
import { tmpdir, totalmem } from "node:os";
import { dirname, join, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { type ModelFile, piecesOf, type Runtime, RuntimeError, type Session } from "../../doctor/runtime.js";
import { received, sent, type Travelling } from "../../doctor/travelling.js";
import { FailureError } from "../../errors.js";
import { systemReason } from "../whole-file.js";
import type { Answer, Request } from "./runtime-process.js";

const SOURCE = fileURLToPath(new URL("./runtime-process.js", import.meta.url));
const PACKAGE = "onnxruntime-node";
/** s for one thing that is asked; the largest networks take minutes to read. */
const PATIENCE = 600;
/** ms between two looks at the process's memory. */
const LOOK = 200;
/** Of the machine's memory that the process may have. */
const MOST_MEMORY = 0.8;
/** Of a message of the runtime's. */
const MOST_TEXT = 300;

/** What a process is limited to; tests limit it more. */
export interface Limits {
  /** s for one thing that is asked. */
  patience?: number;
  /** Bytes that the process may hold (on Linux). */
  memory?: number;
}

interface Waiting {
  resolve(answer: Answer): void;
  reject(error: Error): void;
}

/** The installed runtime; undefined where there is none. */
export async function openOnnxRuntime({
  patience = PATIENCE,
  memory = MOST_MEMORY * totalmem(),
}: Limits = {}): Promise<Runtime | undefined> {
  let running: Process | undefined;
  let closed = false;
  let sessions = 0;
  const folders = new Set<string>();
  const current = async (): Promise<Process> => {
    if (closed) throw new RuntimeError("died", "it was closed");
    if (running === undefined || running.ended) {
      running = new Process(patience, memory);
      version = ((await running.ask({ do: "begin", from: process.cwd() })) as { version: string }).version;
    }
    return running;
  };
  let version = "";
  const remove = (folder: string) => {
    rmSync(folder, { recursive: true, force: true });
    folders.delete(folder);
  };
  const close = async () => {
    closed = true;
    await running?.end();
    for (const folder of folders) rmSync(folder, { recursive: true, force: true });
    process.off("exit", removeAll);
  };
  const removeAll = () => {
    running?.kill();
    for (const folder of folders) rmSync(folder, { recursive: true, force: true });
  };
  try {
    await current();
  } catch (error) {
    await running?.end();
    if (error instanceof RuntimeError && error.how === "refused") return undefined;
    throw error;
  }
  // a second signal ends this process wherever it is
  process.on("exit", removeAll);
  return {
    name: PACKAGE,
    version,
    async open(files) {
      const folder = mkdtempSync(join(tmpdir(), "evenkeel-doctor-"));
      folders.add(folder);
      try {
        for (const file of files) await put(folder, file);
        const child = await current();
        const session = sessions++;
        const path = join(folder, files[0].name);
        const ports = (await child.ask({ do: "open", session, path })) as Pick<Session, "inputs" | "outputs">;
        return {
          ...ports,
          async run(feeds, outputs = ports.outputs.map(({ name }) => name)) {
            const request = { do: "run" as const, session, feeds: sent(feeds), outputs: [...outputs] };
            return received(((await child.ask(request)) as { tensors: Record<string, Travelling> }).tensors);
          },
          async time(feeds, turns) {
            const request = { do: "time" as const, session, feeds: sent(feeds), turns };
            return ((await child.ask(request)) as { ms: number[] }).ms;
          },
          async close() {
            if (!child.ended) await child.ask({ do: "close", session });
            remove(folder);
          },
        };
      } catch (error) {
        remove(folder);
        throw error;
      }
    },
    close,
  };
}

/** Puts a file into the folder of a network: as another name of what is there already, where the system can. */
async function put(folder: string, file: ModelFile): Promise<void> {
  const { name, path } = file;
  const target = resolve(folder, name);
  if (!target.startsWith(folder + sep))
    throw new RuntimeError("refused", `the file ${name} leaves its folder`);
  await mkdir(dirname(target), { recursive: true });
  if (path !== undefined) {
    try {
      linkSync(path, target);
      return;
    } catch {
      // on another disk, or where links are not allowed: a copy
    }
  }
  try {
    const copy = await open(target, "wx", 0o600);
    try {
      for await (const bytes of piecesOf(file)) await copy.writeFile(bytes);
    } finally {
      await copy.close();
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).syscall === undefined) throw error;
    throw new FailureError(
      `doctor: cannot write the network to run it into ${folder} (${systemReason(error)}); free space, or set TMPDIR to another folder`,
    );
  }
}

/** A process that runs networks, as long as it lives. */
class Process {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, Waiting>();
  readonly #exit: Promise<void>;
  #asked = 0;
  #why: RuntimeError | undefined;
  ended = false;

  constructor(
    readonly patience: number,
    readonly memory: number,
  ) {
    this.#child = fork(SOURCE, {
      serialization: "advanced",
      stdio: ["ignore", "ignore", "ignore", "ipc"],
      execArgv: [],
    });
    const watch = setInterval(() => {
      if (this.#resident() > this.memory)
        this.#stop(new RuntimeError("memory", "it needs more memory than there is"));
    }, LOOK);
    watch.unref();
    this.#child.on("message", ({ id, answer }: { id: number; answer: Answer }) => {
      const waiting = this.#waiting.get(id);
      this.#waiting.delete(id);
      if ("refused" in answer) waiting?.reject(new RuntimeError("refused", shown(answer.refused)));
      else waiting?.resolve(answer);
    });
    this.#exit = new Promise((resolve) => {
      const gone = (why: RuntimeError) => {
        clearInterval(watch);
        this.ended = true;
        for (const { reject } of this.#waiting.values()) reject(this.#why ?? why);
        this.#waiting.clear();
        resolve();
      };
      this.#child.on("error", (error) =>
        gone(new RuntimeError("died", `its process failed (${error.message})`)),
      );
      this.#child.on("exit", (code, signal) => gone(endOf(code, signal)));
    });
  }

  async ask(request: Request): Promise<Answer> {
    if (this.ended) throw this.#why ?? new RuntimeError("died", "its process has ended");
    const id = this.#asked++;
    let late: NodeJS.Timeout | undefined;
    try {
      return await new Promise<Answer>((resolve, reject) => {
        this.#waiting.set(id, { resolve, reject });
        late = setTimeout(
          () => this.#stop(new RuntimeError("hung", `it gave no answer within ${this.patience} s`)),
          1000 * this.patience,
        );
        this.#child.send({ id, request }, (error) => {
          if (error) reject(new RuntimeError("died", `its process failed (${error.message})`));
        });
      });
    } finally {
      clearTimeout(late);
    }
  }

  kill(): void {
    this.#child.kill("SIGKILL");
  }

  async end(): Promise<void> {
    this.kill();
    await this.#exit;
  }

  #stop(why: RuntimeError): void {
    this.#why ??= why;
    this.kill();
  }

  /** Bytes that the process holds; 0 where that cannot be known. */
  #resident(): number {
    try {
      return 4096 * Number(readFileSync(`/proc/${this.#child.pid}/statm`, "latin1").split(" ")[1]);
    } catch {
      return 0;
    }
  }
}

function endOf(code: number | null, signal: NodeJS.Signals | null): RuntimeError {
  if (signal === "SIGKILL") {
    return new RuntimeError("memory", "its process was ended by the system, as where memory runs out");
  }
  return new RuntimeError("died", `its process ended with ${signal ?? `code ${code}`}`);
}

/** The runtime's messages, on one line and without where in its sources they come from. */
function shown(message: string): string {
  const text = message
    .replace(/\s+/g, " ")
    .replace(/^Error: /, "")
    .replace(/^Load model from .{0,200}? failed: ?/, "")
    .replace(/(?:\/[\w.+-]+)+\/([\w.+-]+\.(?:cc|h)):\d+ /g, "")
    .trim();
  return text.length > MOST_TEXT ? `${text.slice(0, MOST_TEXT - 1)}…` : text;
}
