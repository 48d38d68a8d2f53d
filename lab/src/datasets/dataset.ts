/** What networks train on: arrays of all examples, how examples are cut from them, and how they are divided. Whatever the data are, a trial sees no more. */
import type { Disturbance } from "../data/disturbed.js";
import type { Input } from "../data/features.js";
import type { Form } from "../data/form.js";
import type { Parts } from "../data/split.js";
import type { Decision, ReadOptions } from "../data/table.js";
import type { TaskName } from "../tasks/registry.js";

export type { Input } from "../data/features.js";

/** Examples that overlap: each is so many steps of one long x. */
export interface Windows {
  /** [count]: the step that each begins with. */
  starts: Int32Array;
  /** Steps from its beginning to that of its target, which is cut from x too. */
  ahead: number;
}

export interface Dataset {
  name: string;
  /** Where the data come from. */
  provenance: string;
  task: TaskName;
  /** The name of the metric that networks are compared by. */
  metric: string;
  /** What is predicted: a column, or columns in a list. */
  target: string;
  inputs: Input[];
  form: Form;
  /** Names of the classes in the order of their indices; empty where the task has none. */
  classes: string[];
  /** Examples. */
  count: number;
  /**
   * [count, ...form.input.shape], row-major; of windows [steps, channels]. What is `scaled` is centred and scaled by all
   * rows, so that float32 keeps its digits; NaN where missing.
   */
  x: Float32Array;
  /** [inputs], of windows [channels]: 1 where a trial standardizes the input by its training part (NaN becomes 0, the mean); 0 where it takes it as it is. */
  scaled: Uint8Array;
  /** [count, ...targetShape]; empty for windows. */
  y: Float32Array;
  /** Of one example's target: [] for a class or a number. */
  targetShape: number[];
  /** What 1 of y amounts to, in units of the target; 1 for classes. */
  yScale: number;
  windows?: Windows;
  /** Steps of a season of a series. */
  season?: number;
  /** What is added to every input that is a quantity, after it was standardized. */
  offset?: number;
  parts: Parts;
  /** How a seed draws its parts, as it follows "Each seed ". */
  drawn: string;
  /** Rows of the file. */
  fileRows: number;
  decisions: Decision[];
  /** What may make the numbers too good, or worse than they need be, one sentence each. */
  warnings: string[];
  /** How each input is made, and the target read: plain JSON, so that it is done again to other data. */
  reading: Reading;
}

/** What a saved network needs to read other data as those that it learnt from. */
export type Reading = object;

export interface DatasetOptions extends ReadOptions {
  /** The column to predict; by default the one that is called target, label or outcome, or else the last that can be. */
  target?: string;
  /** Columns to leave out, and to keep although they say nothing (constants, identifiers): see `columnsNamed`. */
  ignore?: string[];
  keep?: string[];
  /** Most levels of a text column that become inputs of their own; the rest are "other". */
  levels?: number;
  /** By default the first task that suits the target. */
  task?: TaskName;
  /** By default the first metric of the task that suits the target. */
  metric?: string;
  /** The features are the pixels of an image, in row-major order. */
  image?: [height: number, width: number];
  /** The column of texts that is the only input. */
  text?: string;
  /** Use at most this many rows in all, in the classes' proportions; of a series or a text its first steps or characters. */
  limit?: number;
  /** Rows with one value of this column are all in one part. */
  group?: string;
  /** `time`: the latest rows by `time`, or else by the one column of dates, are held out. */
  split?: "random" | "time";
  time?: string;
  /** Shares of training, validation and held-out part; they add up to 1. */
  shares?: [train: number, validation: number, heldOut: number];
  /** Steps that a forecast is of, and that it is made from; of a text, characters that a network sees. */
  horizon?: number;
  window?: number;
  /** Steps of a season. */
  season?: number;
  /** The column that says which series a row is of. */
  series?: string;
  /** Columns of users, items and ratings; without them each row is a user and each column an item. */
  user?: string;
  item?: string;
  rating?: string;
  /** What is done to the numbers of a table first. */
  disturb?: Disturbance;
  /** Added to every input that is a quantity, after it was standardized: what networks make of inputs that are not. */
  offset?: number;
}

/** What a trial needs of a dataset; the arrays may be shared with other trials. */
export type TrialData = Pick<
  Dataset,
  | "task"
  | "metric"
  | "form"
  | "classes"
  | "count"
  | "x"
  | "scaled"
  | "y"
  | "targetShape"
  | "yScale"
  | "windows"
  | "season"
  | "offset"
  | "parts"
>;

/** The arrays of what a trial needs, by names of their own. */
export interface TrialArrays extends Pick<TrialData, "x" | "scaled" | "y"> {
  starts?: Int32Array;
  strata: Int32Array;
  groups?: Int32Array;
  time?: Float64Array;
  heldOut?: Int32Array;
}

/** All else of it, which is plain JSON. */
export interface TrialFacts extends Omit<TrialData, "x" | "scaled" | "y" | "windows" | "parts"> {
  ahead?: number;
  span?: number;
  shares?: Parts["shares"];
}

/** What a trial needs, arrays apart from all else; nothing is copied. */
export function apart(data: TrialData): { facts: TrialFacts; arrays: TrialArrays } {
  const { task, metric, form, classes, count, x, scaled, y, targetShape, yScale, windows, season, offset } =
    data;
  const { strata, groups, time, heldOut, span, shares } = data.parts;
  return {
    facts: {
      ...{ task, metric, form, classes, count, targetShape, yScale },
      ...(season !== undefined && { season }),
      ...(offset !== undefined && { offset }),
      ...(windows && { ahead: windows.ahead }),
      ...(span !== undefined && { span }),
      ...(shares && { shares }),
    },
    arrays: {
      ...{ x, scaled, y, strata },
      ...(windows && { starts: windows.starts }),
      ...(groups && { groups }),
      ...(time && { time }),
      ...(heldOut && { heldOut }),
    },
  };
}

/** The same in one piece again. */
export function together(
  { ahead, span, shares, ...facts }: TrialFacts,
  { x, scaled, y, starts, ...parts }: TrialArrays,
): TrialData {
  return {
    ...{ ...facts, x, scaled, y },
    ...(starts && ahead !== undefined && { windows: { starts, ahead } }),
    parts: { ...parts, ...(span !== undefined && { span }), ...(shares && { shares }) },
  };
}

/** Bytes that are hashed at a time. */
const CHUNK = 2 ** 24;

/** SHA-256, in hex, of everything that a trial sees. */
export async function digestOf(data: TrialData): Promise<string> {
  const { facts, arrays } = apart(data);
  const { x, scaled, y, starts, strata, groups, time, heldOut } = arrays;
  const digests: string[] = [];
  for (const array of [x, scaled, y, starts, strata, groups, time, heldOut]) {
    digests.push(array === undefined ? "" : await digestOfBytes(array));
  }
  const {
    task,
    metric,
    form,
    classes,
    count: examples,
    targetShape,
    yScale,
    season,
    offset,
    shares,
    span,
    ahead,
  } = facts;
  const told = JSON.stringify({
    ...{ task, metric, form, classes, examples, targetShape, yScale, season, shares, span, digests, ahead },
    ...(offset !== undefined && { offset }),
  });
  return digestOfBytes(new TextEncoder().encode(told));
}

/** Of the digests of chunks where there are several; a chunk is copied, since shared memory cannot be hashed. */
async function digestOfBytes({ buffer, byteOffset, byteLength }: ArrayBufferView): Promise<string> {
  const chunks: string[] = [];
  for (let at = 0; at === 0 || at < byteLength; at += CHUNK) {
    const bytes = new Uint8Array(buffer, byteOffset + at, Math.min(CHUNK, byteLength - at)).slice();
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
    chunks.push(Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join(""));
  }
  return chunks.length === 1 ? chunks[0] : digestOfBytes(new TextEncoder().encode(chunks.join()));
}
