/**
 * Two towers: the mean of the vectors of a user's items through dense layers, the vector of each item through others, and
 * how near the two come (Covington et al. 2016, doi 10.1145/2959100.2959190; Yi et al. 2019, doi
 * 10.1145/3298689.3346996).
 */
import { type Model, refusesAllBut, type Tensor } from "./model.js";

/** Share of a user's items that is dropped in training: the items to be found are among them. */
const DROPPED = 0.5;
/** By which cosines are divided: the smaller, the further apart the scores can be. */
const TEMPERATURE = 0.1;

export const twoTowers = {
  name: "two-towers",
  title: "two-tower network",
  unit: "units",
  usualFor: [],
  usual: { depth: 2, width: 128, epochs: 12, optimizer: "adam", learningRate: { sgd: 0.5, adam: 0.003 } },
  places: ["features", "weight"],
  refusal: refusesAllBut("items"),
  build({ keras, form, depth, width, own, seed, normalized, kernel, activate, block }, inputs) {
    const [items] = form.outputs;
    const bag = own("BagOfItems", { items, scale: "mean", rate: DROPPED, seed: seed(), name: "bag" });
    const vectors = own("ItemVectors", { width, seed: seed(), name: "vectors" });
    const [user, item] = vectors.apply(bag.apply(inputs)) as Tensor[];
    const tower = (from: Tensor): Tensor => {
      let x = from;
      for (let layer = 0; layer < depth; layer++) {
        x = block(activate(normalized(x, (args) => keras.dense({ units: width, ...args }))));
      }
      return kernel(x, (args) => keras.dense({ units: width, ...args }));
    };
    const scores = own("CosineScores", { items, temperature: TEMPERATURE, name: "scores" });
    return scores.apply([tower(user), tower(item)]) as Tensor;
  },
} as const satisfies Model;
