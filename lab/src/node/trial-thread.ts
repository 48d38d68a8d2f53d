/** The thread that trials run in: sets up TensorFlow.js once, then trains what it is given. */
import type { MessagePort } from "node:worker_threads";
import type { Trial } from "../results.js";
import { runTrial, type TrialSpec } from "../trial.js";
import { modelFor } from "./own-model.js";
import { withSeededRandom } from "./random.js";
import { startTensorFlow } from "./tensorflow.js";

await startTensorFlow();

/** Progress goes out through `port`. */
export default async function run({ spec, port }: { spec: TrialSpec; port: MessagePort }): Promise<Trial> {
  const model = await modelFor(spec.model);
  return withSeededRandom(spec.seed, () =>
    runTrial(spec, model, (progress) => {
      port.postMessage(progress);
      // lets messages through
      return new Promise((resolve) => setImmediate(resolve));
    }),
  );
}
