/** One call that puts everything in place. */
import * as tf from "@tensorflow/tfjs-core";
import { layers as builtIn, type LayerVariable } from "@tensorflow/tfjs-layers";
import { normalizationModule } from "../kernels/wasm/wasm.js";
import { batchNorm } from "../norms/batch.js";
import { layerNorm } from "../norms/layer.js";
import { compileTraining, registerTrainingKernels } from "./kernels/training.js";
import { isThreaded, type WasmBackend } from "./kernels/wasm-backend.js";
import { applyLayer, layerClasses } from "./layers.js";
import { fusedKernels, useFused } from "./operation.js";
import { ResidualBlock } from "./residual.js";
import { Reversible } from "./reversible.js";
import { wrapperClasses } from "./wrappers.js";

export interface Installed {
  /** The backend that TensorFlow.js has set. */
  backend: string;
  /** Whether the operation runs fused kernels there; else it is composed from tf operations, with the same results. */
  fused: boolean;
  /** Training kernels of the wasm backend that it lacked, or had slower; none where they cannot run. */
  trainingKernels: string[];
  /** Why the operation is not fused, where it is not. */
  reason?: string;
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
  useInBuiltInLayers();
  registerLayers();
  const backend = tf.getBackend();
  try {
    const shared = isThreaded(tf.backend() as object as WasmBackend);
    useFused(await normalizationModule({ shared }), shared);
    const trainingKernels = registerTrainingKernels(await compileTraining({ shared }), shared);
    if (fusedKernels(tf.backend())) return { backend, fused: true, trainingKernels };
  } catch (error) {
    // the engine has no SIMD, which the other backends do not need
    return { backend, fused: false, trainingKernels: [], reason: String(error) };
  }
  const reason = `the ${backend} backend has no fused kernels; the wasm backend has`;
  return { backend, fused: false, trainingKernels: [], reason };
}

/** What TensorFlow.js's own layers hold. */
interface BuiltIn {
  readonly axis: number | number[];
  readonly epsilon: number;
  readonly gamma?: LayerVariable | null;
  readonly beta?: LayerVariable | null;
}

interface BuiltInBatch extends BuiltIn {
  readonly momentum: number;
  readonly movingMean: LayerVariable;
  readonly movingVariance: LayerVariable;
}

/** Their state is what ours is, so what they do when called can be ours too: the same results, masks as little heeded. The names keep those of users. */
function useInBuiltInLayers(): void {
  const layer = prototypeOf(builtIn.layerNormalization({ name: "evenkeel_probe" }));
  layer.call = function (this: BuiltIn, inputs) {
    const { axis, epsilon, gamma, beta } = this;
    return applyLayer(layerNorm({ axis, epsilon }), [inputs].flat(), { gamma, beta }, { training: false });
  };
  const batch = prototypeOf(builtIn.batchNormalization({ name: "evenkeel_probe" }));
  batch.call = function (this: BuiltInBatch, inputs, { training = false }) {
    const { axis, epsilon, momentum, gamma, beta, movingMean, movingVariance } = this;
    return applyLayer(
      batchNorm({ axis: [axis].flat()[0], epsilon, momentum, scale: !!gamma, center: !!beta }),
      [inputs].flat(),
      { gamma, beta, runningMean: movingMean, runningVariance: movingVariance },
      { training },
    );
  };
}

interface Callable {
  call(
    this: unknown,
    inputs: tf.Tensor | tf.Tensor[],
    options: { training?: boolean },
  ): tf.Tensor | tf.Tensor[];
}

function prototypeOf(layer: object): Callable {
  return Object.getPrototypeOf(layer);
}

/** By Keras's names, under which models are saved, and by those of TensorFlow Addons. */
function registerLayers(): void {
  for (const layer of layerClasses) tf.serialization.registerClass(layer);
  for (const wrapper of [...wrapperClasses, Reversible, ResidualBlock])
    tf.serialization.registerClass(wrapper);
  const { classNameMap } = tf.serialization.SerializationMap.getMap();
  for (const name of ["GroupNormalization", "InstanceNormalization"]) {
    classNameMap[`Addons>${name}`] = classNameMap[name];
  }
}
