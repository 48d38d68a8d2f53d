/**
 * Networks on disk: written in the format of TensorFlow.js (a folder with model.json and weights.bin, as
 * `tf.loadLayersModel` reads it anywhere), and read from that or from what else holds the layers of a network (.keras, .h5).
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { quote } from "@evenkeel/report/format";
import * as tf from "@tensorflow/tfjs-core";
import { type LayersModel, loadLayersModel } from "@tensorflow/tfjs-layers";
import { type Checkpoint, CheckpointError, open } from "evenkeel/checkpoints";
import { layersModelFrom } from "evenkeel/tfjs";
import { FailureError, UsageError } from "../errors.js";
// so that networks of the lab are known
import "../models/layers/registry.js";
import { startTensorFlow } from "./tensorflow.js";
import { systemReason, writeWhole } from "./whole-file.js";

const TOPOLOGY = "model.json";
const WEIGHTS = "weights.bin";
/** Bytes of weights that are held in memory at a time. */
const MOST_BYTES = 2e9;

/** What `model.save(tf.io.withSaveHandler(...))` hands over, which may have come from another thread. */
export type Artifacts = Pick<tf.io.ModelArtifacts, "modelTopology" | "weightSpecs" | "weightData">;

/**
 * Writes a network into a folder, which is made where it is not there; what the folder held of another is replaced. As
 * long as it is not whole, there is no model.json.
 * @param what the part of the command that named the folder, for errors: "--save"
 * @throws FailureError where it cannot be written
 */
export function writeModel(folder: string, artifacts: Artifacts, what: string): void {
  const { modelTopology, weightSpecs = [], weightData = new ArrayBuffer(0) } = artifacts;
  const description = {
    format: "layers-model",
    generatedBy: `TensorFlow.js tfjs-layers v${tf.version_core}`,
    convertedBy: null,
    modelTopology,
    weightsManifest: [{ paths: [WEIGHTS], weights: weightSpecs }],
  };
  try {
    mkdirSync(folder, { recursive: true });
    rmSync(join(folder, TOPOLOGY), { force: true });
  } catch (error) {
    throw new FailureError(
      `${what}: cannot write in the folder ${quote(folder, 200)} (${systemReason(error)}); allow it, or name another folder`,
    );
  }
  writeWhole(join(folder, WEIGHTS), new Uint8Array(tf.io.CompositeArrayBuffer.join(weightData)), what);
  writeWhole(join(folder, TOPOLOGY), `${JSON.stringify(description)}\n`, what);
}

/** The network in a folder that `writeModel` wrote; nothing of it has to be translated. Sets up TensorFlow.js. */
export async function readWritten(folder: string): Promise<LayersModel> {
  const { modelTopology, weightsManifest } = JSON.parse(readFileSync(join(folder, TOPOLOGY), "utf8"));
  const weightSpecs = weightsManifest[0].weights;
  const weightData = new Uint8Array(readFileSync(join(folder, WEIGHTS))).buffer;
  await startTensorFlow();
  return loadLayersModel(tf.io.fromMemory({ modelTopology, weightSpecs, weightData }));
}

/**
 * The network of a file or folder, with its weights, not compiled; sets up TensorFlow.js.
 * @throws UsageError for a file that holds no network's layers, CheckpointError for one that cannot be read, and where a
 * class of its layers is not known
 */
export async function readModel(path: string): Promise<LayersModel> {
  const checkpoint = await opened(path);
  checkLayers(path, checkpoint);
  const bytes = [...checkpoint.tensors.values()].reduce(
    (sum, { shape }) => sum + 4 * shape.reduce((size, length) => size * length, 1),
    0,
  );
  if (bytes > MOST_BYTES) {
    throw new UsageError(
      `${quote(path, 200)}: expected at most ${MOST_BYTES / 1e9} GB of weights, got ${(bytes / 1e9).toFixed(1)} GB; take a smaller network`,
    );
  }
  await startTensorFlow();
  try {
    return await layersModelFrom(checkpoint);
  } catch (error) {
    // what is told by names alone, TensorFlow.js tells by their order
    if (!(error instanceof CheckpointError) || checkpoint.framework !== "tensorflowjs") throw error;
    return asWritten(checkpoint).catch(() => {
      throw error;
    });
  }
}

/** The network of a file of TensorFlow.js as that reads it. */
async function asWritten({ architecture, tensors }: Checkpoint): Promise<LayersModel> {
  const weightSpecs: tf.io.WeightsManifestEntry[] = [];
  const values: ArrayBuffer[] = [];
  for (const [name, { shape, dtype, read }] of tensors) {
    const isInteger = /int|bool/.test(dtype);
    const numbers = Array.from((await read()) as ArrayLike<number>);
    weightSpecs.push({ name, shape: [...shape], dtype: isInteger ? "int32" : "float32" });
    values.push((isInteger ? Int32Array : Float32Array).from(numbers).buffer);
  }
  const weightData = tf.io.CompositeArrayBuffer.join(values);
  const modelTopology = architecture?.topology as object;
  return loadLayersModel(tf.io.fromMemory({ modelTopology, weightSpecs, weightData }));
}

const EXPECTED =
  "expected a network's layers and their weights, as TensorFlow.js saves them (model.save), or a .keras or .h5 file of Keras";

/** A file of another kind is none that could be converted. */
async function opened(path: string): Promise<Checkpoint> {
  try {
    return await open(path);
  } catch (error) {
    const [first, ...others] = networksIn(path);
    if (first !== undefined) {
      throw new UsageError(
        `${quote(path, 200)}: expected one network, got a folder of ${others.length + 1}; name one of them, such as ${quote(first, 200)}`,
      );
    }
    if (!(error instanceof CheckpointError) || error.format !== "unknown") throw error;
    throw new UsageError(
      `${quote(path, 200)}: ${EXPECTED}; got another file: name the model.json or its folder`,
    );
  }
}

/** The folders of networks in a folder that --save wrote. */
const networksIn = (path: string): string[] =>
  statSync(path, { throwIfNoEntry: false })?.isDirectory()
    ? readdirSync(path)
        .sort()
        .map((name) => join(path, name))
        .filter((folder) => existsSync(join(folder, TOPOLOGY)))
    : [];

/** A file of weights alone, or of a graph of operations, has no layers. */
function checkLayers(path: string, { architecture, format }: Checkpoint): void {
  if (architecture !== undefined) return;
  throw new UsageError(
    `${quote(path, 200)}: ${EXPECTED}; got ${format}, which has no layers; save the whole model in one of these`,
  );
}
