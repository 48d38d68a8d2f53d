/** A checkpoint that is read in a worker of its own, which ends with it. */
import { proxy, wrap } from "comlink";
import { endOf } from "../ui/worker.ts";
import type { Named } from "./beside.ts";
import type { Inspected, Inspector } from "./inspector.ts";

/** Another one, under a name that tells what it is for. */
export const readerFor = (name: "inspector" | "examiner"): Worker =>
  new Worker(new URL("./inspector.ts", import.meta.url), { type: "module", name });

export interface Reading {
  /** Rejects with what the command line would say; never settles once it was stopped. */
  inspected: Promise<Inspected>;
  stop(): void;
}

/** @param name the path of the file to open; undefined for the one that its folder is opened by */
export function read(files: Named, name: string | undefined, onStage: (stage: string) => void): Reading {
  const worker = readerFor("inspector");
  const stop = () => worker.terminate();
  const { broken } = endOf(worker);
  const shown = name ?? (files.length === 1 ? files[0][0] : "the files");
  const inspected = Promise.race([wrap<Inspector>(worker).inspect(files, name, proxy(onStage)), broken])
    .catch((error: unknown) => {
      throw new Error(problemOf(error, shown));
    })
    .finally(stop);
  return { inspected, stop };
}

/** What went wrong: the library's own words for a file that cannot be read, or what the browser says. */
export function problemOf(error: unknown, file: string): string {
  const { name, message } = Object(error) as Partial<Error>;
  if (name === "CheckpointError") return `${message}`;
  const cause = `${message ?? error}`;
  return /memory|allocation|array length|string length/i.test(cause)
    ? `${file}: it needs more memory than the browser gives a page (${cause}); inspect it on the command line`
    : `${file}: ${cause}`;
}

/** The path of a file from the folder that was dropped or chosen; its name where it was dropped alone. */
export const pathOf = ({ webkitRelativePath, name }: File): string => webkitRelativePath || name;

/** Files by their paths, in their order, each once: the order in which a folder's come is anyone's. */
export const named = (files: readonly File[]): Named =>
  [...new Map(files.map((file) => [pathOf(file), file]))].sort(([a], [b]) => (a < b ? -1 : 1));

/** The last part of a path. */
export const baseOf = (path: string): string => path.slice(path.lastIndexOf("/") + 1);
