/** What a network reads step by step, and what it says of it. */
import type { Form } from "../data/form.js";
import { isCausal, sizeOf } from "../data/form.js";
import type { Builder, Tensor } from "./model.js";

/** Steps of a series that are read one by one; of a longer one several at a time (patches: Nie et al. 2023, arXiv 2211.14730). */
const MOST_STEPS = 64;

/** Standard deviation of a token's vector before training. */
const DEVIATION = 0.25;

/** Inputs as steps of one width, [batch, steps, width]: a learned vector for each token, or a linear map of the steps of each patch. */
export function stepsOf({ keras, initializers, form, width, kernel, seed }: Builder, inputs: Tensor): Tensor {
  const { vocabulary = 0 } = form.input;
  if (form.input.kind === "tokens") {
    const embedding = keras.embedding({
      inputDim: vocabulary + 1,
      outputDim: width,
      maskZero: true,
      embeddingsInitializer: initializers.randomNormal({ mean: 0, stddev: DEVIATION, seed: seed() }),
      name: "tokens",
    });
    return embedding.apply(inputs) as Tensor;
  }
  const size = Math.ceil(form.input.shape[0] / MOST_STEPS);
  return kernel(inputs, (args) =>
    keras.conv1d({ filters: width, kernelSize: size, strides: size, padding: "same", ...args }),
  );
}

/** The outputs, from one vector for each example, or from one for each token where the next is told for each. */
export const outputsOf = ({ keras, form, kernel }: Builder, x: Tensor): Tensor =>
  kernel(x, (args) => keras.dense({ units: unitsOf(form), ...args }));

const unitsOf = (form: Form): number => (isCausal(form) ? form.outputs[1] : sizeOf(form.outputs));
