/** A question about normalizations, the data and settings that it is asked of, and what the literature says to it. */
import type { Choices } from "../comparison.js";
import type { DatasetOptions } from "../datasets/dataset.js";
import type { NormName } from "../norms.js";

/** In the order in which they are listed. */
export const groups = [
  "Industries",
  "Uses",
  "Language",
  "Vision",
  "Recurrent networks",
  "Transformers",
  "Mechanisms",
] as const;
export type Group = (typeof groups)[number];

/** The trials of one normalization; those at one value of what is swept, where that is named. */
export interface Arm {
  norm: NormName;
  at?: number;
}

/**
 * What two arms are compared in: the comparison's own metric, the epochs or the seconds until the target, how far the
 * gradient of the first layer is from that of the last one, or how large that of any layer becomes.
 */
export type MeasureName = "metric" | "epochs" | "seconds" | "gradient" | "largest";

/** One does better than the other. */
export interface Better {
  better: Arm;
  than: Arm;
  by: MeasureName;
}

/** The metric of an arm is as good as a published one, or worse by `within` at most. */
export interface Published {
  by: "published";
  of: Arm;
  value: number;
  within: number;
}

export type Claim = Better | Published;

export interface Recipe {
  /** As the command line has it. */
  name: string;
  group: Group;
  /** A sentence. */
  question: string;
  /** What is claimed, with its number, and by whom: a sentence, and a paper. */
  literature: { says: string; source: string };
  /** The same as statements that these trials can show or not; the first is what the recipe is about. */
  claims: readonly [Claim, ...Claim[]];
  /** What `compare` takes: a name of the lab's data, how they are read, and what is compared. */
  data: string;
  reading: DatasetOptions;
  choices: Choices;
}
