/** 3×3 convolutions, all of one width, pooled by 2 half-way up and over all positions at the end. */
import { type Model, refusesAllBut, type Tensor } from "./model.js";

const isNoImage = refusesAllBut("image");

/** Why a network of such convolutions cannot take its inputs. */
export const refusesImage: Model["refusal"] = (form, depth) => {
  const other = isNoImage(form);
  if (other) {
    return form.input.kind === "features"
      ? { ...other, remedy: "name the size of the images with --image HEIGHTxWIDTH" }
      : other;
  }
  const [height, width] = form.input.shape;
  if (depth > 1 && Math.min(height, width) < 4) {
    return { problem: `needs images of at least 4x4 pixels, got ${height}x${width}` };
  }
  return undefined;
};

export const cnn = {
  name: "cnn",
  title: "convolutional network",
  unit: "channels",
  usualFor: ["image"],
  usual: { depth: 16, width: 16, epochs: 8, optimizer: "sgd", learningRate: { sgd: 0.05, adam: 0.002 } },
  places: ["features", "positions", "weight"],
  refusal: refusesImage,
  build({ keras, form, depth, width, normalized, kernel, activate, block }, inputs) {
    let x = inputs;
    for (let layer = 0; layer < depth; layer++) {
      const conv = (args: object) =>
        keras.conv2d({ filters: width, kernelSize: 3, padding: "same", ...args });
      x = block(activate(normalized(x, conv)));
      if (layer === (depth >> 1) - 1) x = keras.averagePooling2d({ poolSize: 2 }).apply(x) as Tensor;
    }
    const pooled = keras.globalAveragePooling2d({}).apply(x) as Tensor;
    return kernel(pooled, (args) => keras.dense({ units: form.outputs[0], ...args }));
  },
} as const satisfies Model;
