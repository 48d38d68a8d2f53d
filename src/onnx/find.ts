/** What is found in a model: in its own graph, in those of its branches and loops, and in its functions. */
import { find as findIn } from "../checkpoints/graphs/find.js";
import type { Found, FoundActivation } from "../checkpoints/graphs/found.js";
import type { Model } from "./model.js";

/** What is found in a model, in all of its graphs. */
export interface FoundInModel {
  readonly norms: readonly Found[];
  readonly activations: readonly FoundActivation[];
}

/**
 * Finds a model's normalizations and activations, whichever way they are written: by what they compute, not by names.
 * @throws CheckpointError where a constant that matters cannot be read
 */
export async function find({ graphs }: Pick<Model, "graphs">): Promise<FoundInModel> {
  const norms: Found[] = [];
  const activations: FoundActivation[] = [];
  for (const graph of graphs) {
    const found = await findIn(graph);
    norms.push(...found.norms);
    activations.push(...found.activations);
  }
  return { norms, activations };
}
