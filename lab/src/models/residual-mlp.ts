/** Residual blocks of dense layers; whatever the inputs are, each example is one row of features. */
import { sizeOf } from "../data/form.js";
import { type Model, refusesAllBut, type Tensor } from "./model.js";
import { residualArrangements, residualBlocks } from "./residual.js";

export const residualMlp = {
  name: "residual-mlp",
  title: "residual multilayer perceptron",
  unit: "units",
  usualFor: [],
  usual: { depth: 10, width: 64, epochs: 15, optimizer: "sgd", learningRate: { sgd: 0.05, adam: 0.002 } },
  usualOn: { series: { depth: 1, width: 128, epochs: 10, optimizer: "adam" } },
  places: ["features", "weight", "forecast"],
  arrangements: residualArrangements,
  refusal: refusesAllBut("features", "image", "series"),
  build(builder, inputs) {
    const { keras, form, width, embedded, kernel } = builder;
    const flat = form.input.shape.length > 1 ? (keras.flatten().apply(inputs) as Tensor) : embedded(inputs);
    const x = residualBlocks(builder, flat, (args) => keras.dense({ units: width, ...args }));
    return kernel(x, (args) => keras.dense({ units: sizeOf(form.outputs), ...args }));
  },
} as const satisfies Model;
