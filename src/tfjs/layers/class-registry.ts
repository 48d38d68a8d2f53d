/** Registers all classes under the names in saved models, ours and Keras's. */
import * as tf from "@tensorflow/tfjs-core";
import type { Layer } from "../types.js";
import { layerClasses } from "./catalog.js";
import { kerasAttentionClasses } from "./keras-attention.js";
import { registerAs, registered, registerRegularizers } from "./keras-objects.js";
import { kerasOnlyClasses } from "./keras-only.js";
import { ResidualBlock } from "./residual.js";
import { Reversible } from "./reversible.js";
import { SpectralNormalization, wrapperClasses } from "./weight-wrappers.js";

/** May be called again: a class of yours under one of these names then gives way. */
export function registerClasses(): void {
  const classes = [
    ...layerClasses,
    ...wrapperClasses,
    Reversible,
    ResidualBlock,
    ...kerasOnlyClasses,
    ...kerasAttentionClasses,
  ];
  for (const cls of classes) {
    tf.serialization.registerClass(cls as tf.serialization.SerializableConstructor<Layer>);
  }
  // Keras up to 2.12 prefixes the name of a class with its package
  for (const name of ADDONS) {
    const known = registered(name);
    if (known) registerAs(`Addons>${name}`, ...known);
  }
  registerAs("Addons>SpectralNormalization", SpectralNormalization, (cls, config) =>
    SpectralNormalization.fromConfig(cls, { ...config, inPlace: true }),
  );
  // synchronizes replicas, of which there is one here
  const batch = registered("BatchNormalization");
  if (batch) registerAs("SyncBatchNormalization", ...batch);
  registerRegularizers();
}

/** Classes of TensorFlow Addons whose configs ours can read. */
const ADDONS = [
  "GroupNormalization",
  "InstanceNormalization",
  "FilterResponseNormalization",
  "PoincareNormalize",
  "TLU",
  "WeightNormalization",
];
