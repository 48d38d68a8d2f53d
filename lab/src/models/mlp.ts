/** Dense layers, all of one width; whatever the inputs are, each example is one row of features. */
import type { Model } from "./model.js";

export const mlp = {
  name: "mlp",
  title: "multilayer perceptron",
  unit: "units",
  usual: { depth: 20, width: 64, epochs: 15, learningRate: 0.05 },
  places: ["features", "weight"],
  refusal: () => undefined,
  start: (keras, inputShape) => (inputShape.length > 1 ? [keras.flatten()] : []),
  kernel: (keras, width, args) => keras.dense({ units: width, ...args }),
  after: () => [],
  end: () => [],
} as const satisfies Model;
