/** `Ops` (src/formula/ops.ts) in TensorFlow.js: the elementary operations and the fused normalization. */
import type * as tf from "@tensorflow/tfjs-core";
import type { Ops } from "../formula/ops.js";
import { elementary } from "./elementary.js";
import { normalize } from "./kernels/normalize.js";

export const tfOps: Ops<tf.Tensor> = { ...elementary, normalize };
