/** Networks in files, as graphs: ONNX models, and TensorFlow.js's graph models. */
import { CheckpointError } from "../checkpoints/errors.js";
import { onnx } from "../checkpoints/formats/onnx.js";
import { modelIn, type StoredModel } from "../checkpoints/formats/onnx-graph.js";
import { tfjs } from "../checkpoints/formats/tfjs.js";
import { graphModelIn, type StoredGraphModel } from "../checkpoints/formats/tfjs-graph.js";
import type { Graph } from "../checkpoints/graphs/graph.js";
import { type FileSet, type FileSource, type Files, filesOf } from "../checkpoints/source.js";
import { checkOptions } from "../options.js";

/** A network in a file: what its graphs are, and where its values lie, which are read when they are asked for. */
export interface Model {
  /** As the user knows it. */
  readonly file: string;
  readonly format: "onnx" | "tensorflowjs";
  /** The model's own. */
  readonly graph: Graph;
  /** All: the model's own first, then those in its nodes, then the bodies of functions. */
  readonly graphs: readonly Graph[];
  /** Versions of the operators that the file imports, by domain, "" of ONNX's own; of TensorFlow.js none. */
  readonly opsets: ReadonlyMap<string, number>;
  /** Version of ONNX's file format; 0 of TensorFlow.js. */
  readonly irVersion: number;
  /** Of the file and those that it needs. */
  readonly byteLength: number;
  /** Paths of the files beside it that it needs. */
  readonly external: readonly string[];
  /** What wrote it, with its version; "" where the file does not say. */
  readonly producer: string;
}

/** How `openModel` reads. */
export interface OpenModelOptions {
  /** What messages call the file; of a set of files, the one to open. Default: its own name, or "file". */
  name?: string;
}

/** Models as they were read, for the writer. */
const read = new WeakMap<
  Model,
  { readonly files: Files } & ({ readonly onnx: StoredModel } | { readonly graphModel: StoredGraphModel })
>();

/** What a model was read as. @throws TypeError for what `openModel` did not give */
export function storedModel(caller: string, model: Model): NonNullable<ReturnType<(typeof read)["get"]>> {
  const found = read.get(model);
  if (found) return found;
  throw new TypeError(`${caller}: expected a model that openModel gave, as it gave it`);
}

const HEAD = 4096;

/**
 * Opens a network's file; of its values nothing is read yet.
 *
 * @param source as `open` of evenkeel/checkpoints takes it: bytes, a File, a path in Node, or several files, the model first
 * @throws CheckpointError for a file that is damaged, or no graph; TypeError for what is no source
 */
export async function openModel(
  source: FileSource | FileSet,
  options: OpenModelOptions = {},
): Promise<Model> {
  checkOptions("openModel", options, ["name"]);
  const files = await filesOf(source, options.name);
  const head = await files.bytes.read(0, Math.min(HEAD, files.bytes.byteLength));
  if (await tfjs.matches(head, files)) return graphModel(files);
  // by its name too: a later version of the format may begin with fields that are not known
  if (files.name.endsWith(".onnx") || (await onnx.matches(head, files))) return onnxModel(files);
  throw new CheckpointError(
    files.name,
    "unknown",
    "expected an ONNX model, or a graph model of TensorFlow.js",
    {
      remedy: "export the network to ONNX where it was made",
    },
  );
}

async function onnxModel(files: Files): Promise<Model> {
  const stored = await modelIn(files);
  const { graph, graphs, opsets, irVersion, external, producerName, producerVersion } = stored;
  const beside = [...external.values()].map((bytes) => bytes?.byteLength ?? 0);
  const model: Model = {
    file: files.name,
    format: "onnx",
    graph,
    graphs,
    opsets,
    irVersion,
    byteLength: beside.reduce((sum, length) => sum + length, files.bytes.byteLength),
    external: [...external.keys()],
    producer: `${producerName} ${producerVersion}`.trim(),
  };
  read.set(model, { files, onnx: stored });
  return model;
}

async function graphModel(files: Files): Promise<Model> {
  const stored = await graphModelIn(files);
  const { graph, graphs, byteLength, external, producer } = stored;
  const model: Model = {
    file: files.name,
    format: "tensorflowjs",
    graph,
    graphs,
    opsets: new Map(),
    irVersion: 0,
    byteLength,
    external,
    producer,
  };
  read.set(model, { files, graphModel: stored });
  return model;
}
