/** Residual blocks of 3×3 convolutions, all of one width, pooled by 2 half-way up and over all positions at the end. */
import { refusesImage } from "./cnn.js";
import type { Model, Tensor } from "./model.js";
import { residualArrangements, residualBlocks } from "./residual.js";

export const residualCnn = {
  name: "residual-cnn",
  title: "residual convolutional network",
  unit: "channels",
  usualFor: [],
  usual: { depth: 8, width: 16, epochs: 8, optimizer: "sgd", learningRate: { sgd: 0.05, adam: 0.002 } },
  places: ["features", "positions", "weight"],
  arrangements: residualArrangements,
  refusal: refusesImage,
  build(builder, inputs) {
    const { keras, form, depth, width, kernel } = builder;
    const x = residualBlocks(
      builder,
      inputs,
      (args) => keras.conv2d({ filters: width, kernelSize: 3, padding: "same", ...args }),
      (y, index) =>
        index === (depth >> 1) - 1 ? (keras.averagePooling2d({ poolSize: 2 }).apply(y) as Tensor) : y,
    );
    const pooled = keras.globalAveragePooling2d({}).apply(x) as Tensor;
    return kernel(pooled, (args) => keras.dense({ units: form.outputs[0], ...args }));
  },
} as const satisfies Model;
