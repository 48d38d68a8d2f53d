/** Opens a file of any format that is read here; the format is told by the bytes. */
import { checkOptions } from "../options.js";
import type { Checkpoint, Format } from "./checkpoint.js";
import { CheckpointError } from "./errors.js";
import { frozenGraph } from "./formats/frozen-graph.js";
import { kerasHdf5 } from "./formats/keras-hdf5.js";
import { kerasZip } from "./formats/keras-zip.js";
import { mxnet } from "./formats/mxnet.js";
import { npy, npz } from "./formats/npz.js";
import { onnx } from "./formats/onnx.js";
import { pytorch, pytorchIndex } from "./formats/pytorch.js";
import { safetensors, safetensorsIndex } from "./formats/safetensors.js";
import { savedModel } from "./formats/saved-model.js";
import { tensorflowBundle } from "./formats/tensorflow-bundle.js";
import { tfjs } from "./formats/tfjs.js";
import { type FileSet, type FileSource, filesOf, type Source } from "./source.js";

/** In this order: those with a magic number first. */
const formats: readonly Format[] = [
  kerasHdf5,
  kerasZip,
  npy,
  npz,
  safetensors,
  safetensorsIndex,
  pytorchIndex,
  tfjs,
  mxnet,
  pytorch,
  tensorflowBundle,
  savedModel,
  frozenGraph,
  onnx,
];

/** Options of `open`. */
export interface OpenOptions {
  /** What messages call the file; of a set of files, the one to open. Default: its own name, or "file". */
  name?: string;
}

const HEAD = 4096;

const UNPACK = "unpack it, and open what is in it";
const CONVERTED = "open the model that it was converted from";
const NO_TENSORS = "there is no network in it to read";

/** A pickle with arrays between its opcodes. */
const JOBLIB = /^\x80.*joblib\.numpy_pickle/s;

/** What is often there instead of a checkpoint: how it begins, what it is, and what helps. */
const mistakes: readonly (readonly [RegExp, string, string])[] = [
  [
    /^version https:\/\/git-lfs/,
    "a pointer of Git LFS to one",
    "run git lfs pull, or download the file itself",
  ],
  [/^\s*<(!doctype|html)/i, "a web page", "download the file itself, not the page that shows it"],
  [
    /^(Entry not found|Repository not found|Invalid username or password|Access to model)/,
    "a server's refusal",
    "check the address and the permission, and download the file itself",
  ],
  [/^GGUF/, "GGUF of llama.cpp", "open the safetensors that it was converted from"],
  [/^.{4}TFL3/s, "TensorFlow Lite", CONVERTED],
  [/^.{4}ET\d\d/s, "a program of ExecuTorch", CONVERTED],
  [/^\s*<\?xml.*<net\b/s, "OpenVINO", CONVERTED],
  [/^7767517\n/, "ncnn", CONVERTED],
  [/^\s*node *\{/, "a graph as text", "write it in binary: tf.io.write_graph(..., as_text=False)"],
  [JOBLIB, "joblib", "load it with joblib, and save its arrays with numpy.savez"],
  [/^x[\x5e\x9c\xda]/, "zlib, as of joblib", "load it with joblib, and save its arrays with numpy.savez"],
  [/^(tree\nversion=v|\{"learner":)/, "a model of decision trees", NO_TENSORS],
  [/^.\x8b[\b]/s, "gzip", UNPACK],
  [/^(BZh\d|\xfd7zXZ|\x28\xb5\x2f\xfd|7z\xbc\xaf|Rar!)/, "a packed file", UNPACK],
  [/^.{257}ustar/s, "a tar archive", UNPACK],
  [/^(\x89PNG|\xff\xd8\xff|GIF8)/, "an image", NO_TENSORS],
  [/^%PDF/, "a PDF", NO_TENSORS],
  [/^(PAR1|ARROW1|SQLite format 3)/, "a table", NO_TENSORS],
  [/^MATLAB 5/, "MATLAB's MAT", "load it with scipy.io.loadmat, and save its arrays with numpy.savez"],
  [/com\.(github\.)?apple\.coreml/i, "Core ML", CONVERTED],
  [/^PK/, "a ZIP archive of something else", UNPACK],
  [
    /^\s*[{[]/,
    "JSON that describes none",
    "open the file of the weights, or the index that lists where they lie",
  ],
];

// a source is a parameter of its own too, so that start and end have types where it is written in the call
/**
 * Opens a checkpoint: its tensors by name, each read when it is asked for, and what the file says of the network.
 *
 * @param source bytes, a `Blob` or `File`, a path (in Node; a folder of a model too), anything with `byteLength` and
 * `slice(start, end)`, or several files of one folder: a Map, the one to open first, or Files in any order
 * @throws CheckpointError for a file that is damaged or of none of the formats; TypeError for what is no source
 */
export function open(source: Source, options?: OpenOptions): Promise<Checkpoint>;
export function open(source: FileSource | FileSet, options?: OpenOptions): Promise<Checkpoint>;
export async function open(source: FileSource | FileSet, options: OpenOptions = {}): Promise<Checkpoint> {
  checkOptions("open", options, ["name"]);
  const files = await filesOf(source, options.name);
  if (files.bytes.byteLength === 0) {
    throw new CheckpointError(files.name, "unknown", "the file is empty", {
      remedy: "fetch or write it again",
    });
  }
  const head = await files.bytes.read(0, Math.min(HEAD, files.bytes.byteLength));
  const beginning = String.fromCharCode(...head);
  if (!JOBLIB.test(beginning)) {
    for (const format of formats) if (await format.matches(head, files)) return format.read(files);
  }
  const mistaken = mistakes.find(([pattern]) => pattern.test(beginning));
  if (mistaken) {
    throw new CheckpointError(files.name, "unknown", `expected a checkpoint, got ${mistaken[1]}`, {
      remedy: mistaken[2],
    });
  }
  throw new CheckpointError(
    files.name,
    "unknown",
    `expected one of ${formats.map(({ name }) => name).join(", ")}, its first bytes are ${hex(head.subarray(0, 8))}`,
    {
      remedy: /-shard\d+of\d+(\.bin)?$/.test(files.name)
        ? "open the model.json beside it, whose weights it holds"
        : "convert it where it was written, to safetensors for example",
    },
  );
}

function hex(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
}
