/** ONNX Runtime for the doctor, in a worker that the page starts, watches and ends. */
import {
  type ModelFile,
  piecesOf,
  type Runtime,
  RuntimeError,
  type Session,
} from "@evenkeel/lab/doctor/runtime";
import { received, sent } from "@evenkeel/lab/doctor/travelling";
import { type Remote, transfer, wrap } from "comlink";
import type { Runner, WholeFile } from "./runner.ts";

/** Who starts the worker of the runtime, and ends it: a worker within a worker may never come up in Firefox. */
export interface Host {
  /** Another one, where there was one: a port to it. */
  begin(): MessagePort | Promise<MessagePort>;
  /** Resolves with what is known of it once it breaks. */
  broken(): Promise<string>;
  end(): void;
}

/** s for one thing that is asked. */
const PATIENCE = 300;
/** Of a message of the runtime's. */
const MOST_TEXT = 300;
const NAME = "onnxruntime-web";

/**
 * The runtime, loaded.
 * @param patience s that one thing may take
 * @throws Error where it cannot be loaded
 */
export async function openRuntime(host: Host, patience = PATIENCE): Promise<Runtime> {
  let running = await started(host, patience);
  const current = async (): Promise<Running> => {
    if (running.ended !== undefined) running = await started(host, patience);
    return running;
  };
  const { version } = running;
  return {
    name: NAME,
    version,
    async open(files) {
      const own = await current();
      const whole = await wholeFiles(files);
      const buffers = whole.map(({ bytes }) => bytes.buffer);
      const { session, inputs, outputs } = await own.ask((runner) => runner.open(transfer(whole, buffers)));
      return {
        inputs,
        outputs,
        async run(feeds, names = outputs.map(({ name }) => name)) {
          return received(await own.ask((runner) => runner.run(session, sent(feeds), [...names])));
        },
        time: (feeds, turns) => own.ask((runner) => runner.time(session, sent(feeds), turns)),
        async close() {
          if (own.ended === undefined) await own.ask((runner) => runner.close(session));
        },
      } satisfies Session;
    },
    close: async () => host.end(),
  };
}

/** A worker that runs networks, as long as it lives. */
interface Running {
  readonly version: string;
  /** Why it was ended. */
  readonly ended?: RuntimeError;
  /** @throws RuntimeError */
  ask<T>(what: (runner: Remote<Runner>) => Promise<T>): Promise<T>;
}

async function started(host: Host, patience: number): Promise<Running> {
  const runner = wrap<Runner>(await host.begin());
  let ended: RuntimeError | undefined;
  const stop = (why: RuntimeError): RuntimeError => {
    if (ended === undefined) host.end();
    ended ??= why;
    return ended;
  };
  const broken = host.broken().then((message): never => {
    throw stop(new RuntimeError("died", `its worker ended (${message})`));
  });
  broken.catch(() => {});
  const within = async <T>(asked: Promise<T>): Promise<T> => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(
        () => reject(stop(new RuntimeError("hung", `it gave no answer within ${patience} s`))),
        1000 * patience,
      );
    });
    return Promise.race([asked, late, broken]).finally(() => clearTimeout(timer));
  };
  const version = await within(runner.begin());
  return {
    version,
    get ended() {
      return ended;
    },
    async ask(what) {
      if (ended !== undefined) throw ended;
      return within(
        what(runner).catch((error: unknown): never => {
          const why = whyOf(error);
          throw why.how === "refused" ? why : stop(why);
        }),
      );
    },
  };
}

/** What a call that failed says of the runtime: after running out of memory, or breaking, it is of no more use. */
export function whyOf(error: unknown): RuntimeError {
  const { message } = Object(error) as Partial<Error>;
  const text = shown(`${message ?? error}`);
  if (
    /bad_alloc|out of memory|memory allocation|allocation (failed|size)|failed to allocate|cannot enlarge|offset is out of bounds/i.test(
      text,
    )
  )
    return new RuntimeError("memory", "it needs more memory than there is");
  if (/abort|unreachable|memory access|out of bounds|table index|null function|call stack/i.test(text))
    return new RuntimeError("died", `it broke (${text})`);
  return new RuntimeError("refused", text);
}

/** The runtime's messages, on one line and without where in its sources they come from. */
function shown(message: string): string {
  const text = message
    .replace(/\s+/g, " ")
    .replace(/^(Error: )?(failed to call OrtRun\(\)\.|Can't create a session\.) ?/, "")
    .replace(/^ERROR_CODE: \d+, ERROR_MESSAGE: /, "")
    .replace(/(?:\/[\w.+-]+)+\/([\w.+-]+\.(?:cc|h)):\d+ /g, "")
    .trim();
  return text.length > MOST_TEXT ? `${text.slice(0, MOST_TEXT - 1)}…` : text;
}

/** @throws RuntimeError where they are larger than what a page may have */
async function wholeFiles(files: readonly ModelFile[]): Promise<WholeFile[]> {
  try {
    const whole: WholeFile[] = [];
    for (const file of files) {
      const bytes = new Uint8Array(file.byteLength);
      let at = 0;
      for await (const piece of piecesOf(file)) {
        bytes.set(piece, at);
        at += piece.length;
      }
      whole.push({ name: file.name, bytes });
    }
    return whole;
  } catch (error) {
    if (error instanceof RangeError) throw whyOf(new Error("memory allocation"));
    throw error;
  }
}
