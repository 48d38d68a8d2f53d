/** Recurrent layers one upon the other, a normalization after each, or layers that normalize at every step themselves. */
import { isCausal } from "../data/form.js";
import {
  type Builder,
  type KernelArgs,
  type Layer,
  type Model,
  refusesAllBut,
  type Tensor,
} from "./model.js";
import { outputsOf, stepsOf } from "./steps.js";

/** What a layer is made with; its gates are as in the papers, and as in the layers that normalize them: TensorFlow.js's own default is a piecewise linear one. */
export interface RecurrentArgs extends KernelArgs {
  units: number;
  returnSequences: boolean;
  recurrentInitializer: KernelArgs["kernelInitializer"];
  recurrentActivation: "sigmoid";
}

/** What all models of recurrent layers have in common. */
export const recurrent = {
  unit: "units",
  usual: { depth: 1, width: 64, epochs: 8, optimizer: "adam", learningRate: { sgd: 0.1, adam: 0.002 } },
  places: ["features", "forecast"],
  refusal: refusesAllBut("tokens", "series"),
} as const satisfies Partial<Model>;

/** From the inputs to the outputs: those of every step where each token tells the next, or else of the last step that is not padding. */
export function recurrentLayers(
  builder: Builder,
  inputs: Tensor,
  make: (args: RecurrentArgs) => Layer,
): Tensor {
  const { form, depth, width: units, sequence, initializers, evenkeel, kernel, norm, block, seed } = builder;
  let x = stepsOf(builder, inputs);
  for (let index = 0; index < depth; index++) {
    const returnSequences = isCausal(form) || index < depth - 1;
    const recurrentInitializer = initializers.glorotUniform({ seed: seed() });
    x = kernel(x, (args) =>
      sequence === undefined
        ? make({ units, returnSequences, recurrentInitializer, recurrentActivation: "sigmoid", ...args })
        : evenkeel(sequence, { units, returnSequences, seed: seed(), name: args.name }),
    );
    x = block(norm(x));
  }
  return outputsOf(builder, x);
}
