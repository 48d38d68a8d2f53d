/** A trial in this thread of Node's, alone in it. */
import type { Trial } from "../results.js";
import { type Progress, runTrial, type TrialSpec } from "../trial.js";
import { modelFor } from "./own-model.js";
import { withSeededRandom } from "./random.js";
import { startTensorFlow } from "./tensorflow.js";

/** @param alive called where something that may take long is done, and `tell` now and then while the network trains */
export async function runHere(
  spec: TrialSpec,
  tell: (progress: Progress) => void,
  alive?: () => void,
): Promise<Trial> {
  await startTensorFlow();
  alive?.();
  const model = await modelFor(spec.model);
  alive?.();
  return withSeededRandom(spec.seed, () =>
    runTrial(spec, model, (progress) => {
      tell(progress);
      // lets messages through
      return new Promise((resolve) => setImmediate(resolve));
    }),
  );
}
