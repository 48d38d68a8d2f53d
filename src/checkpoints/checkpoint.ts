/** What every reader gives of a file. */
import type { Framework } from "../frameworks/conventions.js";
import type { Files } from "./source.js";
import type { Tensor } from "./tensors.js";

/** A layer, module, operator or node, as far as the file describes it; of those without parameters too. */
export interface Module {
  /** Its path in the network, parts separated by "." in PyTorch and Gluon, by "/" elsewhere. */
  readonly name: string;
  /** Its class or operator as its framework calls it: BatchNorm2d, BatchNormalization, LayerNorm, FusedBatchNormV3. */
  readonly type: string;
  /** Its options, under the framework's names, as they stand in the file; without those that the file leaves out. */
  readonly config: Readonly<Record<string, unknown>>;
  /**
   * Its own tensors, in the order in which its framework lists them, by the framework's names of weights (weight, running_mean; gamma,
   * moving_mean; scale, B). A layer of Keras that the file numbers its variables of has them under "0", "1", ....
   */
  readonly tensors: Readonly<Record<string, Tensor>>;
  /** Of ONNX: the version of the operator set that gives the operator its meaning. */
  readonly opset?: number;
}

/** The layers of a Keras model, from which it can be built again. */
export interface Architecture {
  /** As `to_json` has it: `{ class_name, config }`. */
  readonly topology: Readonly<Record<string, unknown>>;
  /** Of Keras, such as "2.15.0". */
  readonly version?: string;
}

/** An opened file: its tensors, and what it says of the network that they belong to. */
export interface Checkpoint {
  /** "safetensors", "PyTorch (zip)", "Keras (HDF5)", "TensorFlow SavedModel", ... */
  readonly format: string;
  /** Whose conventions its layers follow; undefined where the file does not say, and its names do not either. */
  readonly framework?: Framework;
  /** The framework's version, where the file has it. */
  readonly version?: string;
  /** As the user knows the file. */
  readonly file: string;
  /** Of the opened file and all that belong to it. */
  readonly byteLength: number;
  /** What else the file says of itself. */
  readonly metadata: Readonly<Record<string, unknown>>;
  /** In the file's order. Weights of the model; what belongs to an optimizer is in `others`. */
  readonly tensors: ReadonlyMap<string, Tensor>;
  /** Optimizer slots, moving-average shadows, step counters: by name. */
  readonly others: ReadonlyMap<string, Tensor>;
  /** Empty where the file holds tensors alone. */
  readonly modules: readonly Module[];
  readonly architecture?: Architecture;
}

/** A format: how its files are told, and their reader. */
export interface Format {
  readonly name: string;
  /** @param head the first 4 KiB, or all there is */
  matches(head: Uint8Array, files: Files): boolean | Promise<boolean>;
  read(files: Files): Promise<Checkpoint>;
}
