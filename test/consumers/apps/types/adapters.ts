import type { numpy as np } from "@jax-js/jax";
import type * as tf from "@tensorflow/tfjs-core";
import { layerNorm, rmsNorm } from "evenkeel";
import { apply, init } from "evenkeel/jax";
import { install, layers, normalize } from "evenkeel/tfjs";

export async function adapters(tensor: tf.Tensor, array: np.Array): Promise<boolean> {
  const y: tf.Tensor = normalize(layerNorm(), tensor).y;
  layers.groupNormalization({ groups: 4 }).apply(tensor);
  // @ts-expect-error groups are a number
  layers.groupNormalization({ groups: "4" });
  const norm = rmsNorm();
  const z: np.Array = apply(norm, array, init(norm, [2, 4])).y;
  const { fused } = await install();
  return fused && y.rank === z.ndim;
}
