/** 3×3 convolutions, all of one width, pooled by 2 half-way up and over all positions at the end. */
import type { Model } from "./model.js";

export const cnn = {
  name: "cnn",
  title: "convolutional network",
  unit: "channels",
  usual: { depth: 16, width: 16, epochs: 8, learningRate: 0.05 },
  places: ["features", "positions", "weight"],
  refusal(inputShape, depth) {
    const [height, width] = inputShape;
    if (inputShape.length !== 3) {
      return {
        problem: `needs images, and this data has ${inputShape[0]} separate features`,
        remedy: "name the size of the images with --image HEIGHTxWIDTH",
      };
    }
    if (depth > 1 && Math.min(height, width) < 4) {
      return { problem: `needs images of at least 4x4 pixels, got ${height}x${width}` };
    }
    return undefined;
  },
  start: () => [],
  kernel: (keras, width, args) => keras.conv2d({ filters: width, kernelSize: 3, padding: "same", ...args }),
  after: (keras, block, depth) =>
    block === (depth >> 1) - 1 ? [keras.averagePooling2d({ poolSize: 2 })] : [],
  end: (keras) => [keras.globalAveragePooling2d({})],
} as const satisfies Model;
