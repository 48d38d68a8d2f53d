/** The thread that trials run in: sets up TensorFlow.js once, then trains what it is given. */
import type { MessagePort } from "node:worker_threads";
import type { Trial } from "../results.js";
import type { TrialSpec } from "../trial.js";
import { startTensorFlow } from "./tensorflow.js";
import { runHere } from "./trial-here.js";

await startTensorFlow();

/** Progress goes out through `port`. */
export default ({ spec, port }: { spec: TrialSpec; port: MessagePort }): Promise<Trial> =>
  runHere(spec, (progress) => port.postMessage(progress));
