/** A stream, record by record: standardized, watched, predicted, and only then learned from. */
import type { Drift, Errors, History, Note } from "./history.js";
import type { OnlineSettings } from "./settings.js";

/** What came of the records of one push. */
export interface Pushed {
  /** Number of the first of them, from 0. */
  first: number;
  /** Each by the moments of the records before it, float64 [records, columns]; NaN is missing. */
  standardized: Float64Array;
  /** float64 [records]: numbers in units of the target, or indexes of classes; empty where nothing is learned. */
  predictions: Float64Array;
  /** Of classes, their chances, float64 [records, classes]; empty otherwise. */
  chances: Float64Array;
  /** Without normalization, as `predictions`; empty where it is not compared. */
  plain: Float64Array;
  /** Found at these records. */
  drifts: Drift[];
  /** The first of each kind and name. */
  notes: Note[];
}

/** All that goes on from here: JSON, and bytes. */
export interface SavedOnline {
  json: object;
  weights: Uint8Array;
}

export interface Online {
  readonly settings: OnlineSettings;
  /** Records so far. */
  readonly records: number;
  /** Drifts so far. */
  readonly drifts: number;
  /** Of predictions so far, faded. */
  readonly errors: Errors[];
  /**
   * Takes records in their order: rows, float64 [records, columns], NaN missing; targets, float64 [records], NaN not known (predicted,
   * not learned), of classes their indexes. Everything of a record is decided before it is learned from, and nothing depends on how
   * records are cut into pushes.
   */
  push(rows: Float64Array, targets?: Float64Array): Pushed;
  /** For the report. */
  history(): History;
  /** The same for the same records, however they were cut; `openOnline` goes on from it as if it had never been saved. */
  save(): SavedOnline;
  /** Frees the networks. */
  dispose(): void;
}

/**
 * A stream from its beginning, or from where it was saved. Where something is learned, TensorFlow.js has been started.
 * @throws RangeError for settings out of range, and for what was saved with other settings
 */
export declare function openOnline(settings: OnlineSettings, saved?: SavedOnline): Online;
