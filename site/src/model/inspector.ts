/** The worker that opens what was dropped: a checkpoint, of which it reads no more than an inspection needs, and the graph in it. */
import { inspect, kindName, verdict } from "@evenkeel/lab/inspection";
import { inspectionParts, renderInspection } from "@evenkeel/lab/report/inspection";
import { serverDocument } from "@evenkeel/report/server-document";
import { expose } from "comlink";
import { catalog } from "evenkeel";
import { open } from "evenkeel/checkpoints";
import { version } from "evenkeel/package.json";
import type { Named } from "./beside.ts";
import { examiner } from "./examiner.ts";

/** A checkpoint as the page shows it. */
export interface Inspected {
  /** The path of the file that was opened. */
  file: string;
  /** "3 normalizations, all well". */
  verdict: string;
  title: string;
  /** CSS, and HTML in which every text is escaped. */
  style: string;
  body: string;
  /** Whether it has a graph, in which the doctor may look for normalizations. */
  hasGraph: boolean;
  /** Names in the library's catalog, and in a sentence. */
  kinds: { name: string; title: string }[];
  /** What `evenkeel inspect --html` writes, and what `--json` prints. */
  page: Blob;
  json: Blob;
}

/** Formats, as an inspection has them. */
const GRAPHS = /^ONNX$| graph-model$/;

/**
 * @param name the path of the one to open, where it is not the one that its folder is opened by
 * @param onStage hears what is done now
 * @throws CheckpointError in the words of the command line
 */
async function inspectFiles(
  named: Named,
  name: string | undefined,
  onStage: (stage: string) => void,
): Promise<Inspected> {
  const files = named.map(([path, file]) =>
    Object.defineProperty(file, "webkitRelativePath", { value: path }),
  );
  const checkpoint = await open(files, { name });
  onStage(`${checkpoint.tensors.size.toLocaleString("en-US")} tensors; reading the normalizations`);
  const found = await inspect(checkpoint, version);
  onStage("drawing");
  const { title, style, body } = inspectionParts(found, serverDocument);
  return {
    file: found.file,
    verdict: verdict(found),
    title,
    style,
    // the page that shows it has a main part
    body: body.replace(/<(\/?)main>/g, "<$1div>"),
    hasGraph: GRAPHS.test(found.format),
    kinds: [...new Set(found.normalizations.map(({ kind }) => kind))]
      .filter((kind) => Object.hasOwn(catalog, kind))
      .map((kind) => ({ name: kind, title: kindName(kind) })),
    page: new Blob([renderInspection(found, serverDocument)], { type: "text/html" }),
    json: new Blob([`${JSON.stringify(found, null, 1)}\n`], { type: "application/json" }),
  };
}

const inspector = { inspect: inspectFiles, ...examiner };
export type Inspector = typeof inspector;

expose(inspector);
