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
  /** Also learns the same without normalization, for the report; of a network without, there is one. */
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

/** The network without any normalization. */
export const PLAIN: NormName = "none";

/** Whether a second network is learned, without the normalization of the first. */
export const isCompared = ({ learn, compared, norm }: OnlineSettings): boolean =>
  learn !== undefined && compared && norm !== PLAIN;

const least = (n: number) => (value: number) => Number.isSafeInteger(value) && value >= n;
const upTo1 = (value: number) => value > 0 && value <= 1;

/** What each number may be. */
const NUMBERS: readonly [
  name: string,
  of: (settings: OnlineSettings) => number,
  fits: (value: number) => boolean,
  expected: string,
][] = [
  ["forgetting", ({ forgetting }) => forgetting, upTo1, "above 0 and at most 1"],
  ["depth", ({ depth }) => depth, least(1), "a whole number of at least 1"],
  ["width", ({ width }) => width, least(1), "a whole number of at least 1"],
  ["learningRate", ({ learningRate }) => learningRate, (rate) => rate > 0 && rate < Infinity, "above 0"],
  ["batchSize", ({ batchSize }) => batchSize, least(1), "a whole number of at least 1"],
  ["seed", ({ seed }) => seed, least(0), "a whole number of at least 0"],
  ["fading", ({ fading }) => fading, upTo1, "above 0 and at most 1"],
  [
    "drift.chance",
    ({ drift }) => drift.chance,
    (chance) => chance >= 0 && chance < 1,
    "at least 0 and below 1",
  ],
  ["drift.block", ({ drift }) => drift.block, least(16), "a whole number of at least 16"],
];

/** @throws RangeError for what is out of range, by its name */
export function checkSettings(settings: OnlineSettings): void {
  const { columns, learn } = settings;
  if (columns.length === 0) throw new RangeError("openOnline: columns must name at least 1 input, got none");
  if (learn?.kind === "classes" && (learn.classes?.length ?? 0) < 2) {
    throw new RangeError(
      `openOnline: learn.classes must be at least 2 names, got ${learn.classes?.length ?? "none"}`,
    );
  }
  for (const [name, of, fits, expected] of NUMBERS) {
    const value = of(settings);
    if (!fits(value)) throw new RangeError(`openOnline: ${name} must be ${expected}, got ${value}`);
  }
}
