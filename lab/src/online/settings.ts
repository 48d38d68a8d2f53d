/** What is done with a stream: how it is standardized, what is learned of it, and what counts as drift. */
import type { NormName } from "../norms.js";
import type { OptimizerName } from "../settings.js";

/** What is predicted of each record, and learned where it is known. */
export interface Learned {
  /** Its name; no input of the network. */
  column: string;
  kind: "number" | "classes";
  /** Of `classes`, at least two: targets and predictions are indexes of these. */
  classes?: string[];
}

/** What counts as drift: a shift of moments that chance does not explain. */
export interface DriftSettings {
  /** The most false alarms to expect in a million records of all columns together, above 0 and below 1; 0 watches for none. */
  chance: number;
  /**
   * Records of a block, the unit that is compared: at least 16. Where the stream has a season, a multiple of its length. Blocks
   * double by themselves, column by column, until neighbours tell little of each other.
   */
  block: number;
}

/** All that decides what comes of a stream: plain JSON. */
export interface OnlineSettings {
  /** Names of the numeric inputs, in order. */
  columns: string[];
  /** Absent: standardize and watch only. */
  learn?: Learned;
  /** λ of the standardizer, above 0 and at most 1: each record multiplies all older weights by it; 1 forgets nothing. */
  forgetting: number;
  /** Of the network: a normalization of features or of weights that predicts each record by itself, or `none`. */
  norm: NormName;
  depth: number;
  width: number;
  optimizer: OptimizerName;
  learningRate: number;
  /** Records of one step: the network learns after each so many, and predicts all of them with the weights from before. */
  batchSize: number;
  /** Of the initial weights. */
  seed: number;
  /** Also learns the same without normalization, for the report. */
  compared: boolean;
  /** What an older error counts for beside the next, above 0 and at most 1: 0.999 tells of about the last thousand records. */
  fading: number;
  drift: DriftSettings;
}

/** What is usual where the user does not say. */
export const usualOnline = {
  forgetting: 1,
  norm: "layer",
  depth: 4,
  width: 32,
  optimizer: "adam",
  learningRate: 0.002,
  batchSize: 32,
  seed: 1,
  compared: false,
  fading: 0.999,
  drift: { chance: 0.01, block: 64 },
} as const satisfies Omit<OnlineSettings, "columns" | "learn">;
