/** The worker that ONNX Runtime runs networks in: files that somebody sent may hang it or end it, and nothing else with it. */
import type { Port } from "@evenkeel/lab/doctor/runtime";
import type { Travelling } from "@evenkeel/lab/doctor/travelling";
import { expose, transfer } from "comlink";
import binary from "onnxruntime-web/ort-wasm-simd-threaded.wasm?url";
import { env, InferenceSession, Tensor } from "onnxruntime-web/wasm";

/** A file of a network, as it lies beside the network's own. */
export interface WholeFile {
  name: string;
  bytes: Uint8Array<ArrayBuffer>;
}

/** What it refuses it says by an error: the console is for nobody. */
const QUIET = { logSeverityLevel: 4 } as const;

const sessions: (InferenceSession | undefined)[] = [];

function opened(session: number): InferenceSession {
  const found = sessions[session];
  if (found === undefined) throw new Error("the network was closed");
  return found;
}

/** Loads it. @returns its version @throws Error where it does not come */
async function begin(): Promise<string> {
  const response = await fetch(new URL(binary, import.meta.url)).catch(() => undefined);
  if (!response?.ok) throw new Error("ONNX Runtime cannot be loaded; try again where there is a network");
  // a thread is a worker within a worker, which may never come up, and needs isolation
  Object.assign(env.wasm, { wasmBinary: await response.arrayBuffer(), numThreads: 1, proxy: false });
  env.logLevel = "fatal";
  return env.versions.web ?? env.versions.common;
}

const portsOf = (metadata: InferenceSession["inputMetadata"]): Port[] =>
  metadata.map((each) =>
    each.isTensor
      ? { name: each.name, dtype: each.type, shape: [...each.shape] }
      : { name: each.name, dtype: "sequence", shape: [] },
  );

/** @param files the network's own first */
async function open([own, ...beside]: WholeFile[]) {
  const session = await InferenceSession.create(own.bytes, {
    executionProviders: ["wasm"],
    externalData: beside.map(({ name, bytes }) => ({ path: name, data: bytes })),
    ...QUIET,
  });
  return {
    session: sessions.push(session) - 1,
    inputs: portsOf(session.inputMetadata),
    outputs: portsOf(session.outputMetadata),
  };
}

function fed(feeds: Record<string, Travelling>): Record<string, Tensor> {
  // its overloads cannot be chosen by a type that is known at run time alone
  const Made = Tensor as new (type: string, values: unknown, shape: readonly number[]) => Tensor;
  return Object.fromEntries(
    Object.entries(feeds).map(([name, { dtype, shape, values }]) => [name, new Made(dtype, values, shape)]),
  );
}

async function run(
  session: number,
  feeds: Record<string, Travelling>,
  outputs: string[],
): Promise<Record<string, Travelling>> {
  const tensors = await opened(session).run(fed(feeds), outputs, QUIET);
  const found = Object.entries(tensors).flatMap(([name, { type, dims, data }]): [string, Travelling][] =>
    // texts are compared by nobody
    type === "string" || !ArrayBuffer.isView(data)
      ? []
      : [[name, { dtype: type, shape: dims, values: data as Travelling["values"] }]],
  );
  const buffers = new Set(found.map(([, { values }]) => values.buffer as ArrayBuffer));
  return transfer(Object.fromEntries(found), [...buffers]);
}

/** Ticks of the clock that are timed at least: browsers make it coarse, Firefox 1 ms. */
const TICKS = 50;

/** ms of so many runs; where the clock is coarser than a run, the mean of as many as it can tell. */
async function time(session: number, feeds: Record<string, Travelling>, turns: number): Promise<number[]> {
  const [own, given] = [opened(session), fed(feeds)];
  const least = TICKS * tick();
  const times: number[] = [];
  for (let done = 0; done < turns; ) {
    const [from, began] = [done, performance.now()];
    let took: number;
    do {
      await own.run(given, QUIET);
      took = performance.now() - began;
      done++;
    } while (took < least && done < turns);
    // what is left at the end is too short to tell
    if (took >= least || times.length === 0) times.push(...Array(done - from).fill(took / (done - from)));
  }
  return times;
}

let known: number | undefined;

/** ms between two readings of the clock that differ. */
function tick(): number {
  if (known === undefined) {
    const next = () => {
      const now = performance.now();
      let then = now;
      while (then === now) then = performance.now();
      return then;
    };
    known = next();
    known = next() - known;
  }
  return known;
}

async function close(session: number): Promise<void> {
  await sessions[session]?.release();
  sessions[session] = undefined;
}

const runner = { begin, open, run, time, close };
export type Runner = typeof runner;

// its own port is the page's, which ends it; whoever asks has another
addEventListener("message", ({ data }) => data instanceof MessagePort && expose(runner, data), {
  once: true,
});
