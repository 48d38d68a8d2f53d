/** One call that puts everything in place. */
import * as tf from "@tensorflow/tfjs-core";
import { layers as builtIn } from "@tensorflow/tfjs-layers";
import { normalizationModule } from "../kernels/wasm/wasm.js";
import { batchNorm } from "../norms/batch.js";
import { layerNorm } from "../norms/layer.js";
import {
  type AffineState,
  apply,
  applyBatch,
  BatchNormalization,
  type BatchState,
  GroupNormalization,
  InstanceNormalization,
  LayerNormalization,
  RMSNormalization,
} from "./layers.js";
import { fusedKernels, useFused } from "./operation.js";
import { compileTraining, registerTrainingKernels } from "./training.js";

export interface Installed {
  /** The backend that TensorFlow.js has set. */
  backend: string;
  /** Whether the operation runs fused kernels there; else it is composed from tf operations, with the same results. */
  fused: boolean;
  /** Training kernels that the wasm backend lacked, or had slower. */
  trainingKernels: string[];
}

/**
 * Puts the fused kernels and the training kernels on TensorFlow.js's wasm backend, makes the built-in
 * `layerNormalization` and `batchNormalization` of existing and of loaded models use the fused operation, and lets
 * saved models with group, RMS or instance normalization load (TensorFlow Addons' names included).
 *
 * Call it once, after `tf.setBackend`. More than once is the same as once.
 */
export async function install(): Promise<Installed> {
  await tf.ready();
  useFused(await normalizationModule());
  const trainingKernels = registerTrainingKernels(await compileTraining());
  useInBuiltInLayers();
  registerLayers();
  const backend = tf.getBackend();
  return { backend, fused: fusedKernels(tf.backend()) !== null, trainingKernels };
}

interface BuiltInState {
  readonly axis: number | number[];
  readonly epsilon: number;
}

/** Their state has the names of ours, so what they do when called can be ours too. */
function useInBuiltInLayers(): void {
  const layer = prototypeOf(builtIn.layerNormalization({}));
  layer.call = function (this: AffineState & BuiltInState, inputs) {
    return apply(this, layerNorm({ axis: this.axis, epsilon: this.epsilon }), inputs);
  };
  const batch = prototypeOf(builtIn.batchNormalization({}));
  batch.call = function (this: BatchState & BuiltInState, inputs, { training = false }) {
    return applyBatch(
      this,
      batchNorm({ axis: this.axis as number, epsilon: this.epsilon }),
      inputs,
      training,
    );
  };
}

interface Callable {
  call(this: unknown, inputs: tf.Tensor | tf.Tensor[], options: { training?: boolean }): tf.Tensor;
}

function prototypeOf(layer: object): Callable {
  return Object.getPrototypeOf(layer);
}

/** By Keras's names, under which models are saved, and by those of TensorFlow Addons. */
function registerLayers(): void {
  for (const layer of [
    LayerNormalization,
    RMSNormalization,
    GroupNormalization,
    InstanceNormalization,
    BatchNormalization,
  ]) {
    tf.serialization.registerClass(layer);
  }
  const { classNameMap } = tf.serialization.SerializationMap.getMap();
  for (const layer of [GroupNormalization, InstanceNormalization]) {
    classNameMap[`Addons>${layer.className}`] = classNameMap[layer.className];
  }
}
