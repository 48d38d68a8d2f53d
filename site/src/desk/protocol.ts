/** What a page and its desk say to each other; all of it can be cloned. */
import type { Choices } from "@evenkeel/lab/comparison";
import type { DatasetOptions } from "@evenkeel/lab/datasets/dataset";
import type { Usual } from "@evenkeel/lab/models/model";
import type { Answer } from "@evenkeel/lab/recipes/answer";
import type { OptimizerName } from "@evenkeel/lab/settings";
import type { TaskName } from "@evenkeel/lab/tasks/registry";
import type { Figure } from "@evenkeel/report/draw";

/** Of data that come with the lab, by their name; or a file of the visitor's. */
export type DataSource = { name: string } | { file: File };

export interface LoadRequest {
  source: DataSource;
  reading: DatasetOptions;
}

/** Rows × columns of a file that a page keeps, if its visitor says nothing: a tab has less memory than a terminal. */
export const MOST_CELLS = 2e7;

/** Options of reading that a visitor may set, by their names in the lab. */
export const readingOptions = [
  ...["target", "task", "metric", "ignore", "keep", "categorical", "numeric", "levels", "image", "text"],
  ...["limit", "split", "time", "shares", "group"],
  ...["horizon", "window", "season", "series", "user", "item", "rating"],
  ...["header", "delimiter", "decimal", "missing", "dates", "encoding", "member", "limits"],
] as ReadingOption[];

export type ReadingOption = Exclude<keyof DatasetOptions, "known" | "sample" | "disturb" | "offset">;

/** Data as they were read, and what can be done with them. */
export interface Loaded {
  name: string;
  provenance: string;
  task: TaskName;
  metric: string;
  target: string;
  examples: number;
  /** "image", "window", ... */
  example: string;
  classes: number;
  parts: { train: number; validation: number; heldOut: number };
  /** "draws its own parts at random, …", as it follows "Each seed ". */
  drawn: string;
  /** HTML of the report: facts, what was decided, what became of each column; what may make the numbers too good. */
  about: string;
  doubts: string;
  /** All columns of a table, as the file has them; empty for a text. */
  columns: string[];
  /** What is compared where the visitor does not say. */
  model: string;
  /** Networks that these data can be learnt by. */
  models: ModelChoice[];
}

export interface ModelChoice {
  name: string;
  title: string;
  unit: string;
  usual: Usual;
  /** The usual learning rate of each optimizer. */
  rates: Record<OptimizerName, number>;
  /** Normalizations that fit, by their names; what is compared by default. */
  norms: string[];
  usualNorms: string[];
}

export const backends = ["wasm", "webgl", "webgpu"] as const;
export type Backend = (typeof backends)[number];

export interface CompareRequest {
  choices: Choices;
  backend: Backend;
  /** Of what was loaded and `choices`: the command that does the same in a terminal. */
  command: string;
  /** A recipe whose question the comparison answers. */
  recipe?: string;
  /** Run all of it, whatever has run before. */
  anew?: boolean;
}

/** One trial on its way. */
export interface TrialView {
  norm: string;
  label: string;
  seed: number;
  state: "waiting" | "running" | "finished" | "diverged";
  /** From 0 to 1. */
  done: number;
  epoch: number;
  /** The metric on the held-out part after the last epoch, as the report writes it. */
  metric: string;
  /** Where it trains at, or tries, one. */
  learningRate: number | null;
}

/** A figure with what its reader needs beside it; all HTML but the id. */
export interface FigureView {
  id: "metric" | "loss" | "gradient" | "activation";
  title: string;
  qualifier: string;
  figure: Figure;
}

/** How far a comparison has come, as its page shows it. */
export interface View {
  state: "running" | "finished" | "stopped";
  /** From 0 to 1, of all trials. */
  done: number;
  /** null before it can be told. */
  secondsLeft: number | null;
  trials: TrialView[];
  /** CSS of the normalizations' colours, for the tables and figures. */
  style: string;
  /** HTML of the report's table of results, filled as far as trials have come. */
  table: string;
  figures: FigureView[];
  /** What came out, at the end: sentences. */
  headline?: string;
  findings?: string[];
  /** Of a recipe: whether each claim held. */
  answers?: Answer[];
}

/** The whole report as one HTML file, and its numbers as comparison.json has them. */
export interface Report {
  html: string;
  json: string;
}

/** What the page does for its desk: a worker within a worker may never come up in Firefox. */
export interface Places {
  /**
   * A worker for trials, and the port by which it is spoken to.
   * @param broke called where it cannot be loaded, or breaks
   */
  open(broke: (message: string) => void): { id: number; port: MessagePort };
  end(id: number): void;
}

/** The desk: a worker that reads data, conducts trials in other workers, and draws. One comparison at a time. */
export interface Desk {
  /** Where its trials will run; before anything else. */
  serve(places: Places): void;
  /**
   * `seen` is called with the columns of a table, also where nothing can be learnt from it.
   * @throws the message of the command line, where data cannot be read or learnt from
   */
  load(request: LoadRequest, seen: (columns: string[]) => void): Promise<Loaded>;
  /**
   * Compares what was loaded last; ends the comparison before it. `show` is called a few times a second, and at the end.
   * @throws the message of the command line
   */
  compare(request: CompareRequest, show: (view: View) => void): Promise<void>;
  /** Ends what runs; its workers are gone afterwards. */
  stop(): Promise<void>;
  /** Trials wait after the step that they take, until `go`, or for one step by `step`. */
  pause(): void;
  step(): void;
  go(): void;
  report(): Report;
}
