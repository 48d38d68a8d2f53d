/** The doctor in a worker: a network's graph is read, and mended where that is asked. */
import { type Care, doctored } from "@evenkeel/lab/doctor/doctor";
import { type Examination, headline } from "@evenkeel/lab/doctor/examination";
import { RuntimeError } from "@evenkeel/lab/doctor/runtime";
import { examinationParts, renderExamination } from "@evenkeel/lab/report/doctor";
import { serverDocument } from "@evenkeel/report/server-document";
import { canRaise, type FoundInModel, find, type Model, mendsOf, openModel } from "evenkeel/onnx";
import { version } from "evenkeel/package.json";
import { besideOf, blobOf, type Named } from "./beside.ts";
import { type Host, openRuntime } from "./runtime.ts";

/** How a network is mended. */
export interface Mending {
  /** Version of ONNX's operators that it is raised to; undefined for its own. */
  opset?: number;
  /** Whether ONNX Runtime's own operators may be used. */
  forRuntime: boolean;
}

/** What the doctor says, as the page shows it. */
export interface Examined {
  headline: string;
  title: string;
  /** CSS, and HTML in which every text is escaped: what was found, and what belongs to it. */
  style: string;
  head: string;
  body: string;
  /** What `evenkeel doctor --html` writes, and what `--json` prints. */
  page: Blob;
  json: Blob;
}

/** A network's graph, read. */
export interface Graph extends Examined {
  /** The path of the file. */
  file: string;
  norms: number;
  /** Of them, those that are not one operator. */
  writtenOut: number;
  sick: number;
  /** Of ONNX, whose files can be mended: the version of its operators, and those that it can be raised to. */
  opset?: number;
  opsets: number[];
  /** How it is mended best: by its own operators, or by the first ones that bring something. */
  usual: Mending;
  /** Files that its tensors lie in and that did not come with it. */
  missing: string[];
}

/** Mends of one kind. */
export interface Mendable {
  title: string;
  count: number;
}

export interface Mended extends Examined {
  /** The mended network, its own file first; none where nothing was mended. */
  files: { name: string; contents: Blob }[];
  /** Files that it goes on reading, as they are. */
  beside: string[];
}

/** Versions that bring a normalization. */
const OPSETS = [17, 21, 23];
const NOT_RUN = {
  onnx: "it is run when it is mended",
  tensorflowjs: "a graph model of TensorFlow.js is only read",
};

let held: { model: Model; found: FoundInModel; files: Named } | undefined;

function examined(examination: Examination): Examined {
  const { title, style, body } = examinationParts(examination, serverDocument);
  const end = body.indexOf("<main>");
  return {
    headline: headline(examination),
    title,
    style,
    head: body.slice(0, end),
    // the page that shows it has a main part
    body: body.slice(end).replace(/<(\/?)main>/g, "<$1div>"),
    page: new Blob([renderExamination(examination, serverDocument)], { type: "text/html" }),
    json: new Blob([`${JSON.stringify(examination, null, 1)}\n`], { type: "application/json" }),
  };
}

/** @throws CheckpointError in the words of the command line */
async function open(named: Named, name: string): Promise<Graph> {
  const model = await openModel(
    new Map([...named].sort(([a], [b]) => Number(b === name) - Number(a === name))),
  );
  const { beside, missing } = besideOf(model, named);
  held = { model, found: await find(model), files: named };
  const { examination } = await doctored(model, {
    evenkeel: version,
    runtime: NOT_RUN[model.format],
    beside,
  });
  const { norms, ills } = examination;
  const opset = model.format === "onnx" ? (model.opsets.get("") ?? 1) : undefined;
  const opsets = opset === undefined ? [] : OPSETS.filter((to) => to > opset && canRaise(model, to).possible);
  return {
    ...examined(examination),
    file: model.file,
    norms: norms.length,
    writtenOut: norms.filter(({ isOperator }) => !isOperator).length,
    sick: new Set(ills.filter(({ sick }) => sick).flatMap((ill) => ill.norms)).size,
    ...(opset !== undefined && { opset }),
    opsets,
    usual: await usualFor(opset === undefined ? [] : [undefined, ...opsets]),
    missing,
  };
}

/** By the first version that mends something. */
async function usualFor(opsets: readonly (number | undefined)[]): Promise<Mending> {
  for (const opset of opsets) {
    const mending = { ...(opset !== undefined && { opset }), forRuntime: false };
    if ((await mendable(mending)).length > 0) return mending;
  }
  return { forRuntime: false };
}

function holding(): NonNullable<typeof held> {
  if (held === undefined) throw new Error("no network was opened");
  return held;
}

const optionsOf = ({ opset, forRuntime }: Mending) => ({
  ...(opset !== undefined && { opset }),
  ...(forRuntime && { target: "onnxruntime" as const }),
});

/** What can be mended so, before any check. */
async function mendable(mending: Mending): Promise<Mendable[]> {
  const { model, found } = holding();
  const counts = new Map<string, number>();
  for (const { title } of await mendsOf(model, found, optionsOf(mending)))
    counts.set(title, 1 + (counts.get(title) ?? 0));
  return [...counts].map(([title, count]) => ({ title, count }));
}

/** Mends what can be mended, and checks it in ONNX Runtime. @param name of the mended file */
async function mend(
  name: string,
  mending: Mending,
  host: Host,
  onStage: (stage: string) => void,
): Promise<Mended> {
  const { model, files } = holding();
  const { beside } = besideOf(model, files);
  onStage("loading ONNX Runtime");
  const runtime = await openRuntime(host);
  try {
    const care: Care = {
      evenkeel: version,
      runtime,
      beside,
      mend: { ...optionsOf(mending), name, unchecked: false },
      progress: onStage,
    };
    const { examination, files: written = [] } = await doctored(model, care);
    const contents: Mended["files"] = [];
    for (const file of written)
      contents.push({ name: file.name, contents: await blobOf(file, model, files) });
    examination.written = written.map(({ name, byteLength }) => ({ name, byteLength }));
    return {
      ...examined(examination),
      files: contents,
      beside: written.length > 0 ? beside.map((file) => file.name) : [],
    };
  } catch (error) {
    if (!(error instanceof RuntimeError)) throw error;
    throw new Error(`ONNX Runtime could not run it: ${error.message}`);
  } finally {
    await runtime.close();
  }
}

/** What the worker offers of a network's graph. */
export const examiner = { open, mendable, mend };
