/** The packs of test/fixtures/onnx-exports: models that real exporters made, and what is known of each (its README.md). */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { zipEntries } from "../../src/checkpoints/encodings/zip.js";
import { bytesInMemory } from "../../src/checkpoints/source.js";
import { fromHalf } from "../../src/checkpoints/tensors.js";

/** A normalization that a finder has to report, or (of `maybe`) may: there `kind` alone, and what it names, count. */
export interface ExpectedNorm {
  kind:
    | "layer"
    | "rms"
    | "group"
    | "instance"
    | "batch"
    | "l2"
    | "weight"
    | "spectral"
    | "weightStandardization"
    | "localResponse";
  /** Of its input, from 0; null for groups, for spectral (the whole matrix), and where the exporter's transposes leave them open. */
  axes: number[] | null;
  groups?: number;
  /** The network's: a float16 file has it rounded, or raised to 1e-7. */
  epsilon: number | null;
  /** Where epsilon stands: under the root (default), added to it, or as its least value. */
  epsilonAt?: "outside" | "bound";
  centred: boolean;
  /** Gamma or beta that is not the identity: stored ones and zeros are false. */
  hasGamma: boolean;
  hasBeta: boolean;
  /** "composed": instance normalization of a reshape. */
  form: "operator" | "composed" | "written out";
  /** What squares are summed in; of batch normalization, what means and variances are stored in. */
  statisticsType: "float16" | "float32" | "float64";
  /** Null where none is computed in the open: operators, and what is not centred. */
  variance: "centred" | "E[x²]−E[x]²" | null;
  /** What is normalized is a sum of two computed values. */
  residual?: boolean;
  /** Scale and shift are computed of another input. */
  modulated?: boolean;
  /** Batch normalization by the batch's own statistics. */
  training?: boolean;
}

/** A tensor of float32 or float64 (`data`: those), float16 (`data`: widened; `bits`: as stored) or integers. */
export interface Values {
  name: string;
  dtype: "float32" | "float64" | "float16" | "int64" | "int32";
  shape: number[];
  data: Float32Array | Float64Array | BigInt64Array | Int32Array;
  bits?: Uint16Array;
}

export interface ModelEntry {
  /** Unique within the pack: case, exporter, opset, type. */
  name: string;
  /** The model within the pack. A graph model of TensorFlow.js is `file` with the weights in `weights`. */
  file: string;
  weights?: string;
  /** The same network, from several exporters. */
  case: string;
  exporter: string;
  /** Of the domain ""; null for a graph model of TensorFlow.js. */
  opset: number | null;
  /** "mixed" where values of both types are in the file. */
  dtype: "float32" | "float16" | "mixed";
  /** The batch's length is left open. */
  dynamic?: boolean;
  /** Absent: its runtime gives the outputs. Keras 2's fused layer norm (FusedBatchNormV3 that is training) is NaN in TensorFlow.js. */
  runs?: false;
  norms: ExpectedNorm[];
  /** Finds that are right in value, though not asked for. */
  maybe: (Partial<ExpectedNorm> & Pick<ExpectedNorm, "kind">)[];
  /** Those that are written out. */
  activations: ("silu" | "gelu-erf" | "gelu-tanh")[];
}

export interface Exported {
  pack: string;
  name: string;
  entry: ModelEntry;
  model: Uint8Array;
  /** The bytes of a graph model's weights. */
  weights?: Uint8Array;
  inputs: Values[];
  /** The framework's, in the model's types. */
  outputs: Values[];
  /** The framework's in float64, as float32; where it runs so. */
  exact?: Values[];
}

interface Stored {
  name: string;
  dtype: Values["dtype"];
  shape: number[];
  offset: number;
}

const folder = fileURLToPath(new URL("../fixtures/onnx-exports", import.meta.url));

/** The packs' names: "pytorch-layer", "tf2onnx" … */
export const packs: readonly string[] = readdirSync(folder)
  .filter((file) => file.endsWith(".zip"))
  .map((file) => file.slice(0, -4))
  .sort();

/** The models of a pack, in the order of its manifest. */
export async function exportsOf(pack: string): Promise<Exported[]> {
  const file = `${pack}.zip`;
  const archive = await zipEntries(
    "ZIP",
    bytesInMemory(file, new Uint8Array(readFileSync(join(folder, file)))),
  );
  const read = async (name: string) => {
    const entry = archive.get(name);
    if (!entry) throw new Error(`${file} has no ${name}`);
    return entry.read();
  };
  const manifest = JSON.parse(new TextDecoder().decode(await read("manifest.json")));
  const { buffer } = await read("data.bin");
  const files = await read("files.bin");
  const fileOf = (name: string) => {
    const [offset, length] = manifest.files[name];
    return files.slice(offset, offset + length);
  };
  const tensors = (stored: Stored[]) => stored.map((tensor) => valuesOf(buffer as ArrayBuffer, tensor));
  return manifest.models.map(
    ({ inputs, outputs, exact, ...entry }: ModelEntry & Record<string, Stored[]>): Exported => ({
      pack,
      name: entry.name,
      entry,
      model: fileOf(entry.file),
      weights: entry.weights === undefined ? undefined : fileOf(entry.weights),
      inputs: tensors(inputs),
      outputs: tensors(outputs),
      exact: exact && tensors(exact),
    }),
  );
}

function valuesOf(buffer: ArrayBuffer, { name, dtype, shape, offset }: Stored): Values {
  const count = shape.reduce((a, b) => a * b, 1);
  switch (dtype) {
    case "float16": {
      const bits = new Uint16Array(buffer, offset, count);
      return { name, dtype, shape, data: fromHalf(bits), bits };
    }
    case "float32":
      return { name, dtype, shape, data: new Float32Array(buffer, offset, count) };
    case "float64":
      return { name, dtype, shape, data: new Float64Array(buffer, offset, count) };
    case "int64":
      return { name, dtype, shape, data: new BigInt64Array(buffer, offset, count) };
    case "int32":
      return { name, dtype, shape, data: new Int32Array(buffer, offset, count) };
  }
}
