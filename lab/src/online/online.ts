/** A stream, record by record: standardized, watched, predicted, and only then learned from. */
import { DriftWatch } from "./drift.js";
import type { Drift, Errors, History, Note, Stretch, Watched } from "./history.js";
import { checkNorm } from "./learner.js";
import { type Layout, type Lists, packed, partOf, unpacked, within } from "./lists.js";
import { MovingMoments } from "./moving-moments.js";
import { contendersOf, Prediction } from "./prediction.js";
import { checkSettings, isCompared, type OnlineSettings } from "./settings.js";
import { ThinnedHistory } from "./thinned-history.js";

/** What came of the records of one push. */
export interface Pushed {
  /** Number of the first of them, from 0. */
  first: number;
  /**
   * Each by the moments of the records before it, float64 [records, columns]; NaN is missing. The first value of a column is 0, and while
   * all values have been equal one is centred, not scaled, as a Standardizer has it.
   */
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
  /** Of each column, whether a drift would be seen; empty where none is watched. */
  readonly watched: Watched[];
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
 * @throws RangeError for settings out of range, for a normalization that predicts a record by those beside it, and for what was saved
 * with other settings
 */
export function openOnline(settings: OnlineSettings, saved?: SavedOnline): Online {
  checkSettings(settings);
  if (settings.learn) checkNorm(settings, settings.learn);
  return new Stream(settings, saved && opened(settings, saved));
}

/** A value of at least this size has no square that float64 could sum: it is taken as missing, and told. */
const LARGEST = 1e140;
/** Drifts that are kept for the report. */
const MOST_DRIFTS = 1000;

/** What is saved beside the lists. */
interface SavedJson {
  type: "Online";
  version: 1;
  settings: OnlineSettings;
  records: number;
  drifts: Drift[];
  driftCount: number;
  notes: Note[];
  infinite: number;
  layout: Layout;
}

class Stream implements Online {
  records: number;
  private readonly found: Drift[];
  private driftCount: number;
  private readonly notes: Note[];
  private infinite: number;
  private readonly moving: MovingMoments;
  /** One for each column; none where drift is not watched. */
  private readonly watches: DriftWatch[];
  private readonly past: ThinnedHistory;
  private readonly prediction?: Prediction;

  constructor(
    readonly settings: OnlineSettings,
    saved?: { json: SavedJson; lists: Lists },
  ) {
    const { columns, forgetting, learn, drift } = settings;
    const { json, lists } = saved ?? {};
    this.records = json?.records ?? 0;
    this.found = json?.drifts ?? [];
    this.driftCount = json?.driftCount ?? 0;
    this.notes = json?.notes ?? [];
    this.infinite = json?.infinite ?? 0;
    this.moving = new MovingMoments(columns.length, forgetting, lists && partOf("moving", lists));
    const each = drift.chance / columns.length;
    this.watches =
      drift.chance === 0
        ? []
        : columns.map(
            (name, j) => new DriftWatch(j, name, each, drift.block, lists && partOf(`drift ${j}`, lists)),
          );
    const contenders = learn ? contendersOf(settings, learn) : [];
    const kind = learn?.kind ?? "number";
    this.past = new ThinnedHistory(columns.length, contenders, kind, lists && partOf("past", lists));
    this.prediction = learn && new Prediction(settings, learn, lists && partOf("prediction", lists));
  }

  get drifts(): number {
    return this.driftCount;
  }

  get watched(): Watched[] {
    return this.watches.map(({ watched }) => watched);
  }

  get errors(): Errors[] {
    return this.prediction?.errors ?? [];
  }

  push(rows: Float64Array, targets?: Float64Array): Pushed {
    const { settings, prediction } = this;
    const columns = settings.columns.length;
    const count = rows.length / columns;
    this.check(rows, count, targets);
    const first = this.records;
    const pushed: Pushed = {
      first,
      standardized: new Float64Array(rows.length),
      predictions: new Float64Array(prediction ? count : 0),
      chances: new Float64Array(count * (settings.learn?.classes?.length ?? 0)),
      plain: new Float64Array(isCompared(settings) ? count : 0),
      drifts: [],
      notes: [],
    };
    for (let from = 0; from < count; ) {
      const to = Math.min(count, from + (prediction?.room ?? count));
      this.take(rows, targets, from, to, pushed);
      from = to;
    }
    return pushed;
  }

  /** @throws before anything has changed */
  private check(rows: Float64Array, count: number, targets: Float64Array | undefined): void {
    const { columns, learn } = this.settings;
    if (!Number.isInteger(count)) {
      throw new RangeError(
        `Online.push: expected rows of ${columns.length} values, got ${rows.length} values in all`,
      );
    }
    if (targets === undefined) return;
    if (targets.length !== count) {
      throw new RangeError(`Online.push: expected ${count} targets, one for each row, got ${targets.length}`);
    }
    const classes = learn?.classes?.length ?? 0;
    if (classes === 0) return;
    for (const target of targets) {
      if (Number.isNaN(target) || (Number.isInteger(target) && target >= 0 && target < classes)) continue;
      throw new RangeError(
        `Online.push: expected targets from 0 to ${classes - 1}, indexes of classes, or NaN, got ${target}`,
      );
    }
  }

  /** Records of one block, from one of a push up to another. */
  private take(
    rows: Float64Array,
    targets: Float64Array | undefined,
    from: number,
    to: number,
    pushed: Pushed,
  ): void {
    const { prediction, past, settings } = this;
    const columns = settings.columns.length;
    const values = rows.slice(from * columns, to * columns);
    const came = targets?.slice(from, to) ?? new Float64Array(to - from).fill(Number.NaN);
    const standardized = pushed.standardized.subarray(from * columns, to * columns);
    for (let i = 0; i < came.length; i++) this.standardize(values, i, standardized, pushed);
    if (prediction && settings.learn) {
      for (let i = 0; i < came.length; i++) {
        came[i] = this.usable(came[i], this.records + i, settings.learn.column, pushed);
      }
    }
    const judged = new Map<number, [predictions: readonly number[], target: number]>();
    const predicted = prediction?.push(standardized, came, (record, predictions, target) =>
      judged.set(record, [predictions, target]),
    );
    for (let i = 0; i < came.length; i++) {
      past.add(values, i * columns);
      past.judge(...(judged.get(i) ?? [[], Number.NaN]));
      past.close();
    }
    this.records += came.length;
    if (predicted === undefined) return;
    const [network, plain] = predicted.networks;
    pushed.predictions.set(network, from);
    if (plain) pushed.plain.set(plain, from);
    pushed.chances.set(predicted.chances, from * (settings.learn?.classes?.length ?? 0));
    for (const which of predicted.diverged) {
      this.note(
        { record: this.records - 1, kind: "diverged", name: which === 0 ? "network" : "plain" },
        pushed,
      );
    }
  }

  /** Row i of these, by the moments of the records before it; what has no square becomes NaN in `values` too. */
  private standardize(values: Float64Array, i: number, standardized: Float64Array, pushed: Pushed): void {
    const { moving, watches, settings } = this;
    const columns = settings.columns.length;
    const record = this.records + i;
    for (let j = 0, at = i * columns; j < columns; j++, at++) {
      const value = this.usable(values[at], record, settings.columns[j], pushed);
      values[at] = value;
      standardized[at] = moving.standardized(j, value);
      moving.add(j, value);
      const drift = watches[j]?.add(value, record);
      if (drift) this.drifted(drift, pushed);
    }
  }

  private usable(value: number, record: number, name: string, pushed: Pushed): number {
    if (Number.isNaN(value) || Math.abs(value) < LARGEST) return value;
    this.infinite++;
    this.note({ record, kind: "infinite", name }, pushed);
    return Number.NaN;
  }

  private note(note: Note, pushed: Pushed): void {
    if (this.notes.some(({ kind, name }) => kind === note.kind && name === note.name)) return;
    this.notes.push(note);
    pushed.notes.push(note);
  }

  private drifted(drift: Drift, pushed: Pushed): void {
    this.driftCount++;
    this.found.push(drift);
    if (this.found.length > MOST_DRIFTS) this.found.shift();
    pushed.drifts.push(drift);
  }

  history(): History {
    const { settings, records, found, driftCount, notes, infinite, past, prediction } = this;
    return {
      settings,
      records,
      points: past.history(),
      drawn: past.drawn,
      drifts: [...found],
      driftCount,
      watched: this.watched,
      notes: [...notes],
      infinite,
      errors: prediction?.errors ?? [],
      overall: prediction?.overall ?? [],
    };
  }

  save(): SavedOnline {
    const { settings, records, found, driftCount, notes, infinite } = this;
    const lists: Lists = {
      ...within("moving", this.moving.lists),
      ...Object.assign({}, ...this.watches.map((watch, j) => within(`drift ${j}`, watch.lists))),
      ...within("past", this.past.lists),
      ...(this.prediction && within("prediction", this.prediction.lists)),
    };
    const { layout, bytes } = packed(lists);
    const json: SavedJson = {
      type: "Online",
      version: 1,
      settings,
      records,
      drifts: found,
      driftCount,
      notes,
      infinite,
      layout,
    };
    // of its own, and without NaN, which JSON does not have
    return { json: JSON.parse(JSON.stringify(json)), weights: bytes };
  }

  dispose(): void {
    this.prediction?.dispose();
  }
}

/** What was saved, checked. */
function opened(settings: OnlineSettings, { json, weights }: SavedOnline): { json: SavedJson; lists: Lists } {
  const { type, version, settings: before, layout, drifts, ...rest } = json as SavedJson;
  if (type !== "Online" || version !== 1) {
    throw new RangeError(
      `openOnline: saved.json must be of type "Online" and version 1, as save() gives, got ${JSON.stringify({ type, version })}`,
    );
  }
  const names = Object.keys({ ...before, ...settings }) as (keyof OnlineSettings)[];
  const other = names.find((name) => JSON.stringify(before[name]) !== JSON.stringify(settings[name]));
  if (other !== undefined) {
    throw new RangeError(
      `openOnline: saved with ${other} ${JSON.stringify(before[other])}, got ${JSON.stringify(settings[other])}; what goes on needs the same settings`,
    );
  }
  const whole = (stretch: Stretch): Stretch => ({
    ...stretch,
    mean: stretch.mean ?? Number.NaN,
    deviation: stretch.deviation ?? Number.NaN,
  });
  return {
    json: {
      ...{ type, version, settings, layout, ...rest },
      drifts: drifts.map((drift) => ({ ...drift, before: whole(drift.before), after: whole(drift.after) })),
      notes: [...rest.notes],
    },
    lists: unpacked(layout, weights),
  };
}
