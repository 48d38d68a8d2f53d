/**
 * What a network that was kept says of other data: these are read as those of its training, and its outputs told in the
 * units of what it predicts.
 */

import { count as counted } from "@evenkeel/report/format";
import * as tf from "@tensorflow/tfjs-core";
import type { LayersModel } from "@tensorflow/tfjs-layers";
import { type Form, sizeOf } from "./data/form.js";
import { quoted } from "./data/names.js";
import { readTable } from "./data/readers/registry.js";
import type { Source } from "./data/readers/source.js";
import { seriesOf, timesOf } from "./data/series.js";
import { standardized } from "./data/standardize.js";
import type { Decision, Known, ReadOptions, Table, Value } from "./data/table.js";
import type { Dataset } from "./datasets/dataset.js";
import { type InteractionsReading, usersIn } from "./datasets/interactions.js";
import { applyReading, checkColumns, readOptionsOf, type TableReading } from "./datasets/reading.js";
import type { SeriesReading } from "./datasets/series.js";
import { UsageError } from "./errors.js";
// their classes are known to whoever loads a network
import "./models/layers/each-step.js";
import "./models/layers/embedded-categories.js";
import "./models/layers/registry.js";
import type { NormName } from "./norms.js";
import type { SavedNetwork, Scores, Trial } from "./results.js";
import { type TaskName, tasks } from "./tasks/registry.js";
import { isBetter, type Metric, type Task } from "./tasks/task.js";

/** Of what is kept beside a network: raised where that changes. */
export const KEPT_FORMAT = 1;

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
  /** What is predicted. */
  predicts: string;
  form: Form;
  targetShape: number[];
  classes: string[];
  season: number | null;
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
  const { name, provenance, task, metric, form, targetShape, classes, season = null, reading } = data;
  return {
    ...{ format: KEPT_FORMAT, evenkeel: version, norm, seed },
    data: { name, provenance, digest },
    ...{ task, metric, predicts: data.target, form, targetShape, classes, season, reading, inputs, target },
    scores: { validation, heldOut },
  };
}

export interface PredictionOptions {
  /** How the file is to be read, where that differs from the training's. */
  read?: ReadOptions;
  /** Items that are recommended to each user. */
  top?: number;
}

/** Predictions as a table, and what there is to say about them, a sentence each. */
export interface Predictions {
  columns: string[];
  rows: Value[][];
  decisions: Decision[];
  notes: string[];
}

/** The outputs [examples · size of one] for x [examples · size of one], which is not yet standardized. */
export type Run = (x: Float32Array, examples: number) => Float32Array;

/** What is told of the data in a source. Throws UsageError for data that are not such as those of the training. */
type Predict = (kept: Kept, run: Run, source: Source, options: PredictionOptions) => Promise<Predictions>;

/** By what a task predicts. */
const predicting: Partial<Record<Task["from"], Predict>> = {
  target: predictTarget,
  series: predictSeries,
  interactions: predictItems,
};

/** What a network says of the data in a source. Throws UsageError for data that are not such as those of its training. */
export function predict(
  model: LayersModel,
  kept: Kept,
  source: Source,
  options: PredictionOptions = {},
): Promise<Predictions> {
  const of = predicting[tasks[kept.task].from];
  if (of === undefined) throw new RangeError(`predict: ${kept.task} cannot be predicted`);
  return of(kept, (x, examples) => outputsOf(model, kept, x, examples), source, options);
}

/** Inputs and outputs that are held in a batch at a time, and examples. */
const BATCH = { values: 2e6, examples: 1024 };

function outputsOf(
  model: LayersModel,
  { form, inputs }: Kept,
  x: Float32Array,
  examples: number,
): Float32Array {
  const [size, width] = [form.input.shape, form.outputs].map(sizeOf);
  const all = new Float32Array(examples * width);
  const batch = Math.max(1, Math.min(BATCH.examples, Math.floor(BATCH.values / (size + width))));
  for (let at = 0; at < examples; at += batch) {
    const some = Math.min(batch, examples - at);
    tf.tidy(() => {
      const values = standardized(x, at * size, some * size, inputs);
      const outputs = model.apply(tf.tensor(values, [some, ...form.input.shape]), { training: false });
      all.set((outputs as tf.Tensor).dataSync(), at * width);
    });
  }
  return all;
}

const MS_PER_DAY = 86_400_000;

/** A row for each of the table: its number, and what the task tells of it. */
async function predictTarget(
  kept: Kept,
  run: Run,
  source: Source,
  { read = {} }: PredictionOptions,
): Promise<Predictions> {
  const task = tasks[kept.task];
  const reading = kept.reading as TableReading;
  if (task.from !== "target") throw new RangeError(`predictTarget: ${kept.task} predicts no column`);
  const table = await readTable(source, readOptionsOf(reading, read));
  const x = applyReading(reading, table);
  const outputs = run(x, table.rowCount);
  const { column, kind, center } = reading.target;
  const { mean, factor, scale } = kept.target;
  const { columns, of } = task.answers({
    column,
    classes: kept.classes,
    inUnits(output) {
      const value = center + scale * (output + mean * factor);
      const ms = Math.round(value * MS_PER_DAY);
      if (kind !== "date") return Number.isFinite(value) ? value : null;
      return Number.isNaN(new Date(ms).getTime()) ? null : new Date(ms).toISOString();
    },
  });
  const width = sizeOf(kept.form.outputs);
  const rows = Array.from({ length: table.rowCount }, (_, row): Value[] => [
    table.rowNumber(row),
    ...of(outputs.subarray(row * width, (row + 1) * width)),
  ]);
  const empty = rows.filter(([, answer]) => answer === null).length;
  return {
    columns: ["row", ...columns],
    rows,
    decisions: table.decisions,
    notes: [
      ...unread(table, [column, ...reading.columns.map((each) => each.column)]),
      ...(empty > 0
        ? [
            `${counted(empty, "row")} without a prediction: the numbers are too far from those of the training`,
          ]
        : []),
    ],
  };
}

/** What is said of the other columns. */
function unread({ columns }: Table, used: readonly (string | undefined)[]): string[] {
  const others = columns.flatMap(({ name }) => (used.includes(name) ? [] : name));
  if (others.length === 0) return [];
  return [
    `${counted(others.length, "column")} not read, which the network did not learn from: ${quoted(others)}`,
  ];
}

/** A row for each step after the last of the table: when it is, and the values of all series. */
async function predictSeries(
  { reading, inputs, form }: Kept,
  run: Run,
  source: Source,
  { read = {} }: PredictionOptions,
): Promise<Predictions> {
  const { layout, mean, deviation, window, horizon } = reading as SeriesReading;
  const { time, series: by, names, grid } = layout;
  const used = [time, by, ...layout.values].filter((name) => name !== undefined);
  const known = new Map(layout.values.map((name): [string, Known] => [name, { kind: "number" }]));
  const table = await readTable(source, { ...read, known });
  checkColumns(table, used);
  const { series, decisions } = seriesOf(table, layout);
  const { steps, values, times } = series;
  if (steps < window) {
    throw new UsageError(
      `${table.name}: expected at least ${counted(window, "step")}, which a forecast is made from, got ${steps}; bring more rows`,
    );
  }
  const width = names.length;
  const first = (steps - window) * width;
  const x = Float32Array.from({ length: window * width }, (_, i) => {
    const at = i % width;
    return (values[first + i] - mean[at]) / deviation[at];
  });
  const outputs = run(x, 1);
  const forecast = (step: number, at: number): Value => {
    const standard = inputs.factor[at] > 0 ? outputs[step * width + at] / inputs.factor[at] : 0;
    const value = (standard + inputs.mean[at]) * deviation[at] + mean[at];
    return Number.isFinite(value) && !Number.isNaN(x[at]) ? value : null;
  };
  const later =
    times && grid.unit !== "rows" ? timesOf(grid, times[0], steps + horizon).subarray(steps) : undefined;
  const when = (step: number): Value => {
    if (later === undefined) return step + 1;
    return grid.unit === "number" ? later[step] : new Date(later[step]).toISOString();
  };
  const absent = names.filter((_, at) => Number.isNaN(x[at]));
  return {
    columns: [(later && time) ?? "step", ...names],
    rows: Array.from({ length: form.outputs[0] }, (_, step): Value[] => [
      when(step),
      ...names.map((_, at) => forecast(step, at)),
    ]),
    decisions: [...table.decisions, ...decisions],
    notes: [
      ...unread(table, used),
      ...(absent.length > 0 ? [`no forecast of what has no value in the file: ${quoted(absent)}`] : []),
    ],
  };
}

/** Items that are recommended, where the user does not say how many. */
const USUAL_TOP = 10;

/** Rows for each user of the table: the items that it may want, the likeliest first, none that it has. */
async function predictItems(
  kept: Kept,
  run: Run,
  source: Source,
  { read = {}, top = USUAL_TOP }: PredictionOptions,
): Promise<Predictions> {
  const reading = kept.reading as InteractionsReading;
  const { layout, items } = reading;
  const isRows = layout.kind === "rows";
  const used = isRows ? [layout.user, layout.item, layout.rating?.column, layout.time] : layout.items;
  const table = await readTable(source, read);
  checkColumns(
    table,
    used.filter((name) => name !== undefined),
  );
  const { users, owned, x } = usersIn(table, reading);
  const outputs = run(x, users.length);
  const rows = users.flatMap((user, row): Value[][] => {
    const scores = outputs.subarray(row * items.length, (row + 1) * items.length);
    const has = new Set(owned[row]);
    const open = items.flatMap((_, item) => (has.has(item) ? [] : item));
    return open
      .sort((a, b) => scores[b] - scores[a])
      .slice(0, top)
      .map((item, place) => [user, place + 1, items[item]]);
  });
  const strangers = owned.filter(({ length }) => length === 0).length;
  return {
    columns: [isRows ? layout.user : "row", "place", isRows ? layout.item : "item"],
    rows,
    decisions: table.decisions,
    notes: [
      ...unread(table, used),
      ...(strangers > 0
        ? [
            `${counted(strangers, "user")} without an item that the network knows: what it says of them is the same`,
          ]
        : []),
    ],
  };
}

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
