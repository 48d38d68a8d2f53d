/**
 * Mult-DAE (Liang et al. 2018, arXiv 1802.05814): the items that a user was seen to have, of which some are dropped in
 * training, to scores of all items through dense layers.
 */
import { type Model, refusesAllBut } from "./model.js";

/** Share of the items that is dropped in training, as in the paper. */
const DROPPED = 0.5;

export const autoencoder = {
  name: "autoencoder",
  title: "denoising autoencoder",
  unit: "units",
  usualFor: ["items"],
  usual: { depth: 1, width: 200, epochs: 16, optimizer: "adam", learningRate: { sgd: 3, adam: 0.002 } },
  places: ["features", "weight"],
  refusal: refusesAllBut("items"),
  build({ keras, form, depth, width, own, seed, normalized, kernel, activate, block }, inputs) {
    const [items] = form.outputs;
    const bag = own("BagOfItems", { items, scale: "unit", rate: DROPPED, seed: seed(), name: "bag" });
    let x = bag.apply(inputs) as typeof inputs;
    for (let layer = 0; layer < depth; layer++) {
      x = block(activate(normalized(x, (args) => keras.dense({ units: width, ...args }))));
    }
    return kernel(x, (args) => keras.dense({ units: items, ...args }));
  },
} as const satisfies Model;
