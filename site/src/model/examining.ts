/** A network's graph that is read and mended in a worker of its own, and run in another one. */
import { proxy, transfer, wrap } from "comlink";
import { type End, endOf } from "../ui/worker.ts";
import type { Named } from "./beside.ts";
import type { Graph, Mendable, Mended, Mending } from "./examiner.ts";
import type { Inspector } from "./inspector.ts";
import { baseOf, problemOf, readerFor } from "./reading.ts";
import type { Host } from "./runtime.ts";

export interface Examining {
  /** All reject with what the command line would say, and never settle once it was stopped. */
  graph: Promise<Graph>;
  mendable(mending: Mending): Promise<Mendable[]>;
  /** Undefined where that was stopped. */
  mend(mending: Mending, onStage: (stage: string) => void): Promise<Mended | undefined>;
  /** Its graph is read anew, to be mended another time. */
  stopMending(): void;
  stop(): void;
}

/** @param file the path of the network's own */
export function examine(files: Named, file: string): Examining {
  const runtime = hosted();
  const begin = () => {
    const worker = readerFor("examiner");
    const { broken } = endOf(worker);
    const examiner = wrap<Inspector>(worker);
    const graph = examiner.open(files, file);
    const told = <T>(ask: () => Promise<T>): Promise<T> =>
      Promise.race([graph.then(ask), broken]).catch((error: unknown) => {
        throw new Error(problemOf(error, baseOf(file)));
      });
    return { worker, examiner, told, graph: told(() => graph) };
  };
  let current = begin();
  let stopped: () => void = () => {};
  const stop = () => {
    current.worker.terminate();
    runtime.end();
  };
  return {
    graph: current.graph,
    mendable(mending) {
      const { examiner, told } = current;
      return told(() => examiner.mendable(mending));
    },
    mend(mending, onStage) {
      const { examiner, told } = current;
      const asked = told(() => examiner.mend(mendedName(file), mending, proxy(runtime), proxy(onStage)));
      const never = new Promise<undefined>((resolve) => {
        stopped = () => resolve(undefined);
      });
      return Promise.race([asked, never]);
    },
    stopMending() {
      stop();
      current = begin();
      stopped();
    },
    stop,
  };
}

/** The worker of ONNX Runtime, as it is started and ended for another worker. */
function hosted(): Host {
  let worker: Worker | undefined;
  let end: End | undefined;
  const stop = () => worker?.terminate();
  return {
    begin() {
      stop();
      worker = new Worker(new URL("./runner.ts", import.meta.url), { type: "module" });
      end = endOf(worker);
      const { port1, port2 } = new MessageChannel();
      worker.postMessage(port1, [port1]);
      return transfer(port2, [port2]);
    },
    broken: async () => end?.broken.catch((error: Error) => error.message) ?? "",
    end: stop,
  };
}

/** What the mended file is called: "model.mended.onnx". */
export const mendedName = (file: string): string => `${baseOf(file).replace(/\.onnx$/i, "")}.mended.onnx`;

/** The command that does the same. @param typed how a shell takes a name */
export const commandOf = (
  file: string,
  { opset, forRuntime }: Mending,
  typed: (name: string) => string,
): string =>
  [
    `evenkeel doctor ${typed(file)}`,
    ...(/\.onnx$/i.test(file) ? [`--fix ${typed(mendedName(file))}`] : []),
    ...(forRuntime ? ["--for onnxruntime"] : []),
    ...(opset === undefined ? [] : [`--opset ${opset}`]),
  ].join(" ");
