/** A trial in this thread of Node's, alone in it. */
import { withSeededRandom } from "../data/random.js";
import type { Trial } from "../results.js";
import { type Progress, runTrial, type TrialSpec } from "../trial.js";
import { modelFor } from "./own-model.js";
import { startTensorFlow } from "./tensorflow.js";

/** ms between two reports of progress. */
const REPORT_MS = 200;

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
  let told = 0;
  return withSeededRandom(spec.seed, () =>
    runTrial(spec, model, (progress) => {
      const now = performance.now();
      if (now - told < REPORT_MS) return;
      told = now;
      tell(progress);
      // lets messages through
      return new Promise((resolve) => setImmediate(resolve));
    }),
  );
}
