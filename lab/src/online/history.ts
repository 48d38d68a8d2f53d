/** What a stream has been, in as many points however long it is: neighbours are merged, as moments are. */
import type { MomentsList } from "evenkeel";
import type { OnlineSettings } from "./settings.js";

/** A shift of one column's moments that chance does not explain. */
export interface Drift {
  /** Number of the column, and its name. */
  column: number;
  name: string;
  /** What has shifted: the level, the spread about it, or the share of values that are missing. */
  of: "mean" | "spread" | "missing";
  /** Number of the record, from 0, after which it was found. */
  found: number;
  /** Number of the record from which on values are others, about. */
  since: number;
  /** Of the values before and from `since`: their number, mean and standard deviation (NaN without any), and the share that is missing. */
  before: Stretch;
  after: Stretch;
  /** The chance of as large a difference where nothing shifts, in one comparison; of very many, as `DriftSettings.chance` bounds them. */
  chance: number;
}

/** Moments of a column over a stretch of records. */
export interface Stretch {
  count: number;
  mean: number;
  deviation: number;
  missing: number;
}

/** How far the watch over a column has come. */
export interface Watched {
  /** There is a reference, with which what comes is compared; before that a drift is not seen. */
  ready: boolean;
  /** Records of a block: as many as it takes for neighbours to tell little of each other. */
  block: number;
}

/** Something that the stream went on after. */
export interface Note {
  /** Number of the record. */
  record: number;
  /** `infinite`: a value of no finite square, taken as missing. `diverged`: a network that was started anew. */
  kind: "infinite" | "diverged";
  /** Of a value, its column; of a network, `network` or `plain`. */
  name: string;
}

/** Errors of one who predicts: of the network, of the one without normalization, and of those who only guess. */
export interface Errors {
  /** `network`, `plain` (without normalization), `mean` or `majority`, `last`. */
  of: Contender;
  /** Predictions that could be judged, or what is left of their number after fading. */
  count: number;
  /** Of numbers, in units of the target: mean absolute error, and root of the mean squared error. NaN of none, and of classes. */
  mae: number;
  rmse: number;
  /** Of classes: the share that is wrong. NaN of none, and of numbers. */
  wrong: number;
}

export type Contender = "network" | "plain" | "mean" | "majority" | "last";

/** Records `from` up to `to` (exclusive). */
export interface HistoryPoint {
  from: number;
  to: number;
  /** Moments of each column that is drawn, float64 [columns]. */
  moments: MomentsList;
  /** Of those records alone, nothing faded; empty where nothing is learned. */
  errors: Errors[];
}

/** What the page of a stream is made of. */
export interface History {
  settings: OnlineSettings;
  records: number;
  /** In order, without gaps; the last one may be shorter. */
  points: HistoryPoint[];
  /** Columns whose moments are in the points: all of them, or the first ones. */
  drawn: number;
  /** The latest ones, at most 1,000. */
  drifts: Drift[];
  /** Of all, those left out of `drifts` too. */
  driftCount: number;
  /** Of each column; empty where drift is not watched. */
  watched: Watched[];
  /** The first of each kind and name. */
  notes: Note[];
  /** Values taken as missing for they have no finite square. */
  infinite: number;
  /** Faded, and over all records. */
  errors: Errors[];
  overall: Errors[];
}
