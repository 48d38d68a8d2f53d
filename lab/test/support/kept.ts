/** Networks that were trained a little, and kept. */
import type { Dataset, DatasetOptions } from "../../src/datasets/dataset.js";
import { type ModelName, usualModel } from "../../src/models/registry.js";
import { loadDataset } from "../../src/node/datasets.js";
import { modelFor } from "../../src/node/own-model.js";
import { saveNetworks } from "../../src/node/save.js";
import type { Trial } from "../../src/results.js";
import { runTrial } from "../../src/trial.js";
import { rows } from "./tables.js";

async function trained(data: Dataset, norm: string, kind: ModelName): Promise<Trial> {
  const model = { kind, depth: 1, width: 4, activation: "relu" } as const;
  const training = { epochs: 1, batchSize: 16, learningRates: [0.01], optimizer: "adam", warmUp: 0 } as const;
  const spec = { norm, seed: 1, model, training: { ...training, learningRates: [0.01] }, data, digest: "d" };
  return runTrial({ ...spec, keep: true }, await modelFor(model), () => {});
}

/** A folder of networks that learnt from a file, one of each normalization. */
export async function kept(
  folder: string,
  file: string,
  options: DatasetOptions,
  norms = ["layer"],
  kind?: ModelName,
): Promise<{ data: Dataset; trials: Trial[] }> {
  const data = await loadDataset(file, options);
  const trials: Trial[] = [];
  for (const norm of norms) trials.push(await trained(data, norm, kind ?? usualModel(data.form)));
  saveNetworks(folder, trials, data, "d");
  return { data, trials };
}

/** Of columns by their names. */
export const csvOf = (columns: Record<string, unknown[]>): string =>
  [
    Object.keys(columns),
    ...rows(Object.values(columns)[0].length, (i) => Object.values(columns).map((each) => each[i])),
  ]
    .map((row) => row.join(","))
    .join("\n");
