/** What a network that was kept says of other data, and what has to be kept for it. */
import { count as counted } from "@evenkeel/report/format";
import type { Form } from "../data/form.js";
import { quoted } from "../data/names.js";
import type { PlainText, TextSizes } from "../data/readers/text.js";
import type { Decision, ReadOptions, Table, Value } from "../data/table.js";
import type { Dataset } from "../datasets/dataset.js";
import type { NormName } from "../norms.js";
import type { SavedNetwork, Scores, Trial } from "../results.js";
import type { TaskName } from "../tasks/registry.js";
import { isBetter, type Metric } from "../tasks/task.js";

/** Of what is kept beside a network: raised where that changes. */
export const KEPT_FORMAT = 2;

/** All that a network needs besides its weights: plain JSON. */
export interface Kept extends Pick<SavedNetwork, "inputs" | "target"> {
  format: number;
  /** Version that trained it. */
  evenkeel: string;
  norm: NormName;
  seed: number;
  /** What it learnt from, and SHA-256 of that, in hex. */
  data: { name: string; provenance: string; digest: string };
  task: TaskName;
  metric: string;
  form: Form;
  classes: string[];
  reading: object;
  scores: { validation: Scores; heldOut: Scores };
}

/** What is to be kept of a trial beside its network. */
export function keptOf(
  { norm, seed, scores: { validation, heldOut } }: Trial,
  { inputs, target }: SavedNetwork,
  data: Dataset,
  { digest, version }: { digest: string; version: string },
): Kept {
  const { name, provenance, task, metric, form, classes, reading } = data;
  return {
    ...{ format: KEPT_FORMAT, evenkeel: version, norm, seed },
    data: { name, provenance, digest },
    ...{ task, metric, form, classes, reading, inputs, target },
    scores: { validation, heldOut },
  };
}

export interface PredictionOptions {
  /** How the file is to be read, where that differs from the training's. */
  read?: ReadOptions;
  /** Items that are recommended to each user. */
  top?: number;
  /** Characters that a text goes on for. */
  characters?: number;
}

/** Predictions as a table, and what there is to say about them, a sentence each. */
export interface Predictions {
  /** What was predicted for what: `"price" for 12 rows`. */
  about: string;
  columns: string[];
  rows: Value[][];
  decisions: Decision[];
  notes: string[];
}

/**
 * Calls `each` with the outputs of every example in their order, [...form.outputs], which are gone when it returns; x
 * [examples · size of one] is not yet standardized.
 */
export type Run = (
  x: Float32Array,
  examples: number,
  each: (outputs: Float32Array, example: number) => void,
) => void;

/** The data that predictions are for, to be read in a certain way; throws as the readers of tables and texts do. */
export interface Given {
  table(options: ReadOptions): Promise<Table>;
  text(options: ReadOptions, sizes: TextSizes): Promise<PlainText>;
}

/** What is told of data. Throws UsageError for data that are not such as those of the training. */
export type Predict = (
  kept: Kept,
  run: Run,
  given: Given,
  options: PredictionOptions,
) => Promise<Predictions>;

/** Of several the one that is best on its validation part by a metric; the first of equals. */
export function bestOnValidation<T>(
  all: readonly T[],
  metric: Metric,
  scoresOf: (one: T) => Pick<Trial["scores"], "validation">,
): T | undefined {
  const score = (one: T) => scoresOf(one).validation[metric.name] ?? null;
  let best: T | undefined;
  for (const one of all) {
    const [value, than] = [score(one), best === undefined ? null : score(best)];
    if (best === undefined || (value !== null && (than === null || isBetter(metric, value, than))))
      best = one;
  }
  return best;
}

/** What is said of the other columns. */
export function unread({ columns }: Table, used: readonly (string | undefined)[]): string[] {
  const others = columns.flatMap(({ name }) => (used.includes(name) ? [] : name));
  if (others.length === 0) return [];
  return [
    `${counted(others.length, "column")} not read, which the network did not learn from: ${quoted(others)}`,
  ];
}
