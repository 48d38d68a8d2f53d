/** Dense layers, all of one width; whatever the inputs are, each example is one row of features. */
import { sizeOf } from "../data/form.js";
import { type Model, refusesAllBut } from "./model.js";

export const mlp = {
  name: "mlp",
  title: "multilayer perceptron",
  unit: "units",
  usualFor: ["features"],
  usual: { depth: 20, width: 64, epochs: 15, optimizer: "sgd", learningRate: { sgd: 0.05, adam: 0.002 } },
  usualOn: { series: { depth: 2, width: 128, epochs: 10, optimizer: "adam" } },
  places: ["features", "weight", "forecast"],
  refusal: refusesAllBut("features", "image", "series"),
  build({ keras, form, depth, width, embedded, normalized, kernel, activate, block }, inputs) {
    let x = form.input.shape.length > 1 ? (keras.flatten().apply(inputs) as typeof inputs) : embedded(inputs);
    for (let layer = 0; layer < depth; layer++) {
      x = block(activate(normalized(x, (args) => keras.dense({ units: width, ...args }))));
    }
    return kernel(x, (args) => keras.dense({ units: sizeOf(form.outputs), ...args }));
  },
} as const satisfies Model;
