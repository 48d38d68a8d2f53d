/** One call sets up everything. */
import * as tf from "@tensorflow/tfjs-core";
import { normalizationModule } from "../kernels/wasm/wasm.js";
import { checkOptions } from "../options.js";
import { described } from "../shape.js";
import { fusedKernels, useFused } from "./kernels/fused.js";
import { compileTraining, registerTrainingKernels } from "./kernels/training.js";
import { isThreaded, type WasmBackend } from "./kernels/wasm-backend.js";
import { useInBuiltInLayers } from "./layers/built-in.js";
import { registerClasses } from "./layers/class-registry.js";
import { joinActivations } from "./layers/following-activation.js";
import { readKerasWeights } from "./layers/saved-weights.js";

/** What `install` set up. */
export interface Installed {
  /** TensorFlow.js's current backend. */
  backend: string;
  /**
   * Whether normalizations run fused kernels there; otherwise they are composed of tf operations, with the
   * same results.
   */
  fused: boolean;
  /**
   * Names of the training kernels registered for the wasm backend, which lacked them or had them wrong or
   * slower; empty where they cannot run.
   */
  trainingKernels: string[];
  /** Why normalizations are not fused; absent where they are. */
  reason?: string;
}

/** Options of `install`. */
export interface InstallOptions {
  /**
   * Whether to use fused multiply-add (relaxed SIMD) where the engine supports it, which is faster, and rounds as the processor does:
   * with `false` every machine gives the same bits. Default true.
   */
  relaxed?: boolean;
}

/**
 * Registers the fused kernels and the training kernels for TensorFlow.js's wasm backend, makes the built-in
 * `layerNormalization` and `batchNormalization` of existing and loaded models run the fused operation, and any
 * normalization of a model run together with the activation layer that follows it, where nothing else reads what
 * is between; and registers the other normalizations of Keras and TensorFlow Addons, so that saved models with
 * them load. A model gives the same numbers as before, except where TensorFlow.js itself is wrong.
 *
 * Call it once, after `tf.setBackend`; further calls have no effect. Where the kernels cannot run it does not
 * throw: `fused` is false, and `reason` says why.
 * @throws TypeError for an unknown option, or one that is no boolean
 */
export async function install(options: InstallOptions = {}): Promise<Installed> {
  checkOptions("install", options, ["relaxed"]);
  const { relaxed = true } = options;
  if (typeof relaxed !== "boolean") {
    throw new TypeError(`install: relaxed must be true or false, got ${described(relaxed)}`);
  }
  await tf.ready();
  useInBuiltInLayers();
  joinActivations();
  registerClasses();
  readKerasWeights();
  const backend = tf.getBackend();
  try {
    const shared = isThreaded(tf.backend() as object as WasmBackend);
    const build = { shared, ...(!relaxed && { relaxed }) };
    useFused(await normalizationModule(build), shared);
    const trainingKernels = registerTrainingKernels(await compileTraining(build), shared);
    if (fusedKernels(tf.backend())) return { backend, fused: true, trainingKernels };
  } catch (error) {
    // this engine has no SIMD, which the other backends do not need
    return { backend, fused: false, trainingKernels: [], reason: String(error) };
  }
  const reason = `the ${backend} backend has no fused kernels; the wasm backend does`;
  return { backend, fused: false, trainingKernels: [], reason };
}
