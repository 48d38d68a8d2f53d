/** The process in which ONNX Runtime runs networks: files that somebody sent may end it, or fill the memory. */
import { writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { InferenceSession, Tensor } from "onnxruntime-node";
import type { Port } from "../../doctor/runtime.js";
import type { Travelling } from "../../doctor/travelling.js";

type Library = typeof import("onnxruntime-node");

/** What is asked of the process, each with a number that its answer has too. */
export type Request =
  | { do: "begin"; from: string }
  | { do: "open"; session: number; path: string }
  | { do: "run"; session: number; feeds: Record<string, Travelling>; outputs: string[] }
  | { do: "time"; session: number; feeds: Record<string, Travelling>; turns: number }
  | { do: "close"; session: number };

export type Answer =
  | { version: string }
  | { inputs: Port[]; outputs: Port[] }
  | { tensors: Record<string, Travelling> }
  | { ms: number[] }
  | { done: true }
  | { refused: string };

let library: Library | undefined;
const sessions = new Map<number, InferenceSession>();

/** The runtime that is installed beside the lab, or where the command was called. */
async function begin(from: string): Promise<string> {
  try {
    library = (await import("onnxruntime-node")) as Library;
  } catch {
    const path = createRequire(join(from, "any.js")).resolve("onnxruntime-node");
    const { default: ownModule, ...named } = await import(pathToFileURL(path).href);
    library = (ownModule ?? named) as Library;
  }
  return library.env.versions.node ?? library.env.versions.common;
}

const loaded = (): Library => {
  if (library === undefined) throw new Error("the runtime was not begun");
  return library;
};

const opened = (session: number): InferenceSession => {
  const found = sessions.get(session);
  if (found === undefined) throw new Error("the network was closed");
  return found;
};

function portsOf(metadata: InferenceSession["inputMetadata"]): Port[] {
  return metadata.map((each) =>
    each.isTensor
      ? { name: each.name, dtype: each.type, shape: [...each.shape] }
      : { name: each.name, dtype: "sequence", shape: [] },
  );
}

function fed(feeds: Record<string, Travelling>): Record<string, Tensor> {
  // its overloads cannot be chosen by a type that is known at run time alone
  const Made = loaded().Tensor as new (type: string, values: unknown, shape: readonly number[]) => Tensor;
  return Object.fromEntries(
    Object.entries(feeds).map(([name, { dtype, shape, values }]) => {
      const made = new Made(dtype, values, shape);
      // where the language has a Float16Array, as in Node 24, the tensor holds one, which the library's own binding cannot read
      return [name, dtype === "float16" ? Object.assign(made, { cpuData: values }) : made];
    }),
  );
}

async function answer(request: Request): Promise<Answer> {
  switch (request.do) {
    case "begin":
      return { version: await begin(request.from) };
    case "open": {
      const session = await loaded().InferenceSession.create(request.path, { logSeverityLevel: 4 });
      sessions.set(request.session, session);
      return { inputs: portsOf(session.inputMetadata), outputs: portsOf(session.outputMetadata) };
    }
    case "run": {
      const tensors = await opened(request.session).run(fed(request.feeds), request.outputs);
      return {
        tensors: Object.fromEntries(
          Object.entries(tensors).flatMap(([name, { type, dims, data }]): [string, Travelling][] =>
            // texts are compared by nobody
            type === "string" || !ArrayBuffer.isView(data)
              ? []
              : [[name, { dtype: type, shape: [...dims], values: data as Travelling["values"] }]],
          ),
        ),
      };
    }
    case "time": {
      const session = opened(request.session);
      const feeds = fed(request.feeds);
      const ms: number[] = [];
      for (let turn = 0; turn < request.turns; turn++) {
        const began = performance.now();
        await session.run(feeds);
        ms.push(performance.now() - began);
      }
      return { ms };
    }
    case "close":
      await sessions.get(request.session)?.release();
      sessions.delete(request.session);
      return { done: true };
  }
}

try {
  // where memory runs out, Linux is to end this process and not the one that asks
  writeFileSync("/proc/self/oom_score_adj", "1000");
} catch {}

// one after the other: what is timed runs alone
let last: Promise<unknown> = Promise.resolve();
process.on("message", ({ id, request }: { id: number; request: Request }) => {
  last = last
    .then(() => answer(request))
    .catch((error: unknown): Answer => ({ refused: error instanceof Error ? error.message : String(error) }))
    .then((answered) => process.send?.({ id, answer: answered }));
});
process.on("disconnect", () => process.exit());
