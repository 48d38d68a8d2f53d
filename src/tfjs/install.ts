/** One call that puts everything in place. */
import * as tf from "@tensorflow/tfjs-core";
import { normalizationModule } from "../kernels/wasm/wasm.js";
import { fusedKernels, useFused } from "./kernels/fused.js";
import { compileTraining, registerTrainingKernels } from "./kernels/training.js";
import { isThreaded, type WasmBackend } from "./kernels/wasm-backend.js";
import { useInBuiltInLayers } from "./layers/built-in.js";
import { layerClasses } from "./layers/catalog.js";
import { registerAs, registered, registerRegularizers } from "./layers/keras-objects.js";
import { ResidualBlock } from "./layers/residual.js";
import { Reversible } from "./layers/reversible.js";
import { readKerasWeights } from "./layers/saved-weights.js";
import { SpectralNormalization, wrapperClasses } from "./layers/weight-wrappers.js";
import type { Layer } from "./types.js";

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
 * models load that Keras saved with its other normalizations, or TensorFlow Addons with theirs. A model gives the same numbers as
 * before, but for faults of TensorFlow.js itself.
 *
 * Call it once, after `tf.setBackend`. More than once is the same as once.
 */
export async function install(): Promise<Installed> {
  await tf.ready();
  useInBuiltInLayers();
  registerClasses();
  readKerasWeights();
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

/** By the names under which models are saved, ours and Keras's. */
function registerClasses(): void {
  for (const cls of [...layerClasses, ...wrapperClasses, Reversible, ResidualBlock]) {
    tf.serialization.registerClass(cls as tf.serialization.SerializableConstructor<Layer>);
  }
  // Keras up to 2.12 writes the package of a class with its name
  for (const name of ADDONS) {
    const known = registered(name);
    if (known) registerAs(`Addons>${name}`, ...known);
  }
  registerAs("Addons>SpectralNormalization", SpectralNormalization, (cls, config) =>
    SpectralNormalization.fromConfig(cls, { ...config, inPlace: true }),
  );
  // over the replicas of one batch, of which there is one here
  const batch = registered("BatchNormalization");
  if (batch) registerAs("SyncBatchNormalization", ...batch);
  registerRegularizers();
}

/** Classes of TensorFlow Addons whose configs ours read. */
const ADDONS = [
  "GroupNormalization",
  "InstanceNormalization",
  "FilterResponseNormalization",
  "PoincareNormalize",
  "TLU",
  "WeightNormalization",
];
