/** `Ops` (src/formula/ops.ts) in TensorFlow.js: the elementary operations and the fused normalization. */
import type * as tf from "@tensorflow/tfjs-core";
import { composedNormalize } from "../formula/composed.js";
import type { Ops } from "../formula/ops.js";
import { elementary } from "./elementary.js";
import { normalize } from "./kernels/normalize.js";

export const tfOps: Ops<tf.Tensor> = {
  ...elementary,
  normalize: (norm, x, { standardize, ...operands } = {}) =>
    standardize === undefined || operands.variance !== undefined
      ? normalize(norm, x, operands)
      : composedNormalize(elementary, norm, x, { ...operands, standardize }),
};
