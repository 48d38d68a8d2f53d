/** What is shown while trials run: live in a terminal, plain lines anywhere else. Writes to standard error. */
import { duration, formatNumber, printable, wrap } from "@evenkeel/report/format";
import { createLogUpdate } from "log-update";
import type { Settings } from "../comparison.js";
import { labelOf } from "../norms.js";
import type { Trial } from "../results.js";
import { trialEpochs } from "../settings.js";
import type { Metric } from "../tasks/task.js";
import type { Progress, TrialSpec } from "../trial.js";
import type { Watcher } from "../trials.js";
import { colorsOf } from "./colors.js";
import { plain } from "./output.js";

export interface Display extends Watcher {
  /** A line of its own: what went wrong and is being mended. */
  note(line: string): void;
  /** Clears what is live; nothing is shown from then on. */
  close(): void;
}

/** ms between two drawings, so that the time left counts down between reports. */
const REDRAW_MS = 250;
/** Cells of a bar, and the fewest that say something. */
const BAR = 16;
const LEAST_BAR = 4;
/** That a trial takes before lines tell how far it is. */
const LEAST_SECONDS = 2;
/** Of a line where there is no terminal. */
const PLAIN_WIDTH = 100;

/** A piece of a line: the first of a line stays, of the others those of the lowest rank go where there is no room. */
interface Piece {
  text: string;
  /** Where there is little room. */
  short?: string;
  rank: number;
  style?: (text: string) => string;
}

/** As many of the pieces as there is room for, two blanks between them. */
export function fitted(pieces: readonly Piece[], width: number): string {
  let left = pieces.filter(({ text }) => text !== "");
  const tooLong = () => left.reduce((sum, { text }) => sum + text.length + 2, -2) > width;
  if (tooLong()) left = left.map(({ short, ...piece }) => ({ ...piece, text: short ?? piece.text }));
  while (left.length > 1 && tooLong()) {
    const last = left.slice(1).reduce((least, piece) => (piece.rank < least.rank ? piece : least));
    left.splice(left.indexOf(last), 1);
  }
  const [first, ...others] = left;
  return [{ ...first, text: shortened(first.text, width) }, ...others]
    .map(({ text, style }) => style?.(text) ?? text)
    .join("  ");
}

const shortened = (text: string, width: number): string =>
  text.length <= width ? text : `${text.slice(0, Math.max(0, width - 1))}…`;

/** An estimate: in whole seconds, above a minute as `duration` has it. */
function timeLeft(seconds: number): string {
  return `${seconds < 59 ? `${Math.ceil(seconds)} s` : duration(seconds)} left`;
}

/** How long a trial takes beside others: steps, times layers. */
function costOf({ model, training: { epochs, batchSize, learningRates } }: TrialSpec): number {
  const passes = epochs + (learningRates.length - 1) * Math.min(epochs, trialEpochs(epochs));
  return (passes * (model.depth + 1)) / batchSize;
}

/** Which trials there are, how far each is, and how long all will take. */
export class Course {
  /** When the first trial did: it may wait for a worker. */
  #began: number | undefined;
  readonly #cost: number;
  readonly running = new Map<TrialSpec, { progress?: Progress; began: number }>();
  /** Those of an earlier run too, which took no time in this one. */
  finished = 0;
  #costDone = 0;
  #costFound = 0;

  constructor(
    readonly specs: readonly TrialSpec[],
    readonly threads: number,
  ) {
    this.#cost = specs.reduce((sum, spec) => sum + costOf(spec), 0);
  }

  start(spec: TrialSpec): void {
    const began = performance.now();
    this.#began ??= began;
    this.running.set(spec, { began });
  }

  progress(spec: TrialSpec, progress: Progress): void {
    const trial = this.running.get(spec);
    if (trial) trial.progress = progress;
  }

  found(spec: TrialSpec): void {
    this.finished++;
    this.#costFound += costOf(spec);
  }

  /** Returns the seconds that it took. */
  finish(spec: TrialSpec): number {
    const seconds = this.secondsOf(spec);
    this.running.delete(spec);
    this.finished++;
    this.#costDone += costOf(spec);
    return seconds;
  }

  secondsOf = (spec: TrialSpec): number =>
    (performance.now() - (this.running.get(spec)?.began ?? performance.now())) / 1000;

  /** Of one trial; undefined before it has shown how fast it is. */
  leftOf(spec: TrialSpec): string {
    const done = this.running.get(spec)?.progress?.done ?? 0;
    return done > 0.02 ? timeLeft((this.secondsOf(spec) / done) * (1 - done)) : "";
  }

  left(): string {
    let done = this.#costDone;
    let trials = this.finished;
    for (const [spec, { progress }] of this.running) {
      done += costOf(spec) * (progress?.done ?? 0);
      trials += progress?.done ?? 0;
    }
    if (this.finished === this.specs.length) return "";
    // the first trial says little about the others
    if (done === 0 || (this.#costDone === 0 && trials < 0.2 * this.threads)) return "";
    const elapsed = (performance.now() - (this.#began ?? performance.now())) / 1000;
    return `about ${timeLeft((elapsed / done) * (this.#cost - this.#costFound - done))}`;
  }
}

/** "layer  seed 1", and the value of a trial of the sweep; for a line of a width. */
type NameOf = (spec: TrialSpec, width: number) => Piece[];

function namer(settings: Settings, specs: readonly TrialSpec[]): NameOf {
  const { sweep, model, training } = settings;
  const longest = Math.max(8, ...specs.map(({ norm }) => labelOf(norm).length));
  const pointOf = (spec: TrialSpec): string => {
    if (sweep === null || (spec.model === model && spec.training === training)) return "";
    const { batchSize, learningRates } = spec.training;
    const values = {
      "learning-rate": `rate ${plain(learningRates[0])}`,
      "batch-size": `batch ${batchSize}`,
      depth: `depth ${spec.model.depth}`,
      "warm-up": `warm-up ${plain(spec.training.warmUp)}`,
    };
    return values[sweep.setting];
  };
  return (spec, width) => {
    const most = Math.min(longest, Math.max(9, Math.floor(width / 4)));
    const label = shortened(labelOf(spec.norm), most).padEnd(most);
    return [
      { text: `${label} seed ${spec.seed}`, rank: 6 },
      { text: pointOf(spec), rank: 5 },
    ];
  };
}

const scoreOf = (metric: Metric, value: number | null): Piece => ({
  text: value === null ? "" : `${metric.name} ${metric.format(value)}`,
  short: value === null ? "" : metric.format(value),
  rank: 4,
});

/** `seconds`: undefined for a trial that had run before it was asked for. */
function outcomeOf(
  metric: Metric,
  trial: Trial,
  seconds: number | undefined,
  { training }: TrialSpec,
): Piece[] {
  const several = training.learningRates.length > 1;
  const rate = { text: several ? `rate ${plain(trial.learningRate)}` : "", rank: 2 };
  const took = { text: seconds === undefined ? "was there" : duration(seconds), rank: 3 };
  if (trial.outcome === "diverged") {
    return [{ text: `diverged in epoch ${trial.epochs.length}`, rank: 4 }, rate, took];
  }
  const { trainLoss = null } = trial.epochs.at(-1) ?? {};
  return [
    scoreOf(metric, trial.scores.heldOut[metric.name] ?? null),
    { text: `loss ${formatNumber(trainLoss)}`, rank: 1 },
    rate,
    took,
  ];
}

/** A display of these trials (each once), `threads` at a time; `stopping` says what Ctrl-C does. */
export function openDisplay(
  metric: Metric,
  settings: Settings,
  specs: readonly TrialSpec[],
  threads: number,
  stopping = "Ctrl-C stops and reports what is finished",
): Display {
  const course = new Course(specs, threads);
  const nameOf = namer(settings, specs);
  return process.stderr.isTTY
    ? liveDisplay(metric, course, nameOf, stopping)
    : plainDisplay(metric, course, nameOf);
}

function plainDisplay(metric: Metric, course: Course, nameOf: NameOf): Display {
  const quarters = new Map<TrialSpec, number>();
  const line = (pieces: Piece[]) => process.stderr.write(`${fitted(pieces, PLAIN_WIDTH)}\n`);
  const finished = (spec: TrialSpec, trial: Trial, seconds?: number) => {
    const pieces = outcomeOf(metric, trial, seconds, spec);
    line([
      ...nameOf(spec, PLAIN_WIDTH),
      ...pieces,
      { text: `(${course.finished} of ${course.specs.length})`, rank: 5 },
    ]);
  };
  let begun = false;
  return {
    begun() {
      begun = true;
    },
    note: (text) => void process.stderr.write(`${printable(text)}\n`),
    started: (spec) => course.start(spec),
    found(spec, trial) {
      course.found(spec);
      if (begun) finished(spec, trial);
    },
    progress(spec, progress) {
      course.progress(spec, progress);
      const quarter = Math.floor(progress.done * 4);
      if (quarter <= (quarters.get(spec) ?? 0) || quarter > 3) return;
      // one that ends soon is told of then
      if (course.secondsOf(spec) < LEAST_SECONDS) return;
      quarters.set(spec, quarter);
      line([
        ...nameOf(spec, PLAIN_WIDTH),
        { text: `epoch ${progress.epoch}/${spec.training.epochs}`, rank: 3 },
        { text: `loss ${formatNumber(progress.loss)}`, rank: 1 },
        scoreOf(metric, progress.metric),
        { text: course.leftOf(spec), rank: 2 },
      ]);
    },
    finished: (spec, trial) => finished(spec, trial, course.finish(spec)),
    close() {},
  };
}

function liveDisplay(metric: Metric, course: Course, nameOf: NameOf, stopping: string): Display {
  const update = createLogUpdate(process.stderr);
  const colors = colorsOf(process.stderr);
  const total = course.specs.length;
  let height = 1;
  let closed = false;
  // a line as wide as the terminal makes some of them go on to the next
  const width = () => Math.max(20, (process.stderr.columns || 80) - 1);
  const barOf = (done: number) => {
    const cells = Math.min(BAR, Math.max(LEAST_BAR, width() - 56));
    return "█".repeat(Math.round(done * cells)).padEnd(cells, "░");
  };
  const lineOf = (spec: TrialSpec): string => {
    const [name, point] = nameOf(spec, width());
    const progress = course.running.get(spec)?.progress;
    return fitted(
      [
        { ...name, text: `  ${name.text}` },
        point,
        { text: barOf(progress?.done ?? 0), rank: 3, style: colors.cyan },
        ...(progress
          ? [
              { text: `loss ${formatNumber(progress.loss)}`, rank: 1 },
              {
                ...scoreOf(metric, progress.metric),
                text: progress.metric === null ? "" : metric.brief(progress.metric),
              },
              { text: course.leftOf(spec), rank: 2, style: colors.dim },
            ]
          : [{ text: "starting", rank: 2 }]),
      ],
      width(),
    );
  };
  const draw = () => {
    if (closed) return;
    const most = Math.max(1, (process.stderr.rows || 24) - 5);
    const lines = [...course.running.keys()].slice(0, most).map(lineOf);
    // never fewer lines than before; log-update loses what is above where the number grows
    if (lines.length > height) update.clear();
    height = Math.min(most, Math.max(height, lines.length));
    while (lines.length < height) lines.push("");
    const summary = fitted(
      [
        { text: `  ${course.finished} of ${total} trials`, rank: 3 },
        { text: course.left(), rank: 2 },
        { text: stopping, rank: 1 },
      ],
      width(),
    );
    update(["", ...lines, "", colors.dim(summary)].join("\n"));
  };
  let timer: NodeJS.Timeout | undefined;
  const finished = (spec: TrialSpec, trial: Trial, seconds?: number) => {
    const pieces = outcomeOf(metric, trial, seconds, spec);
    const mark = trial.outcome === "diverged" ? colors.red("✗") : colors.green("✓");
    update.clear();
    const line = fitted([...nameOf(spec, width()), ...pieces], width() - 2);
    process.stderr.write(`${mark} ${line}\n`);
    draw();
  };
  return {
    begun() {
      timer = setInterval(draw, REDRAW_MS);
      draw();
    },
    note(text) {
      update.clear();
      process.stderr.write(`${colors.yellow("!")} ${wrap(printable(text), width() - 2, "  ")}\n`);
      if (timer) draw();
    },
    started(spec) {
      course.start(spec);
      draw();
    },
    found(spec, trial) {
      course.found(spec);
      if (timer) finished(spec, trial);
    },
    progress: (spec, progress) => course.progress(spec, progress),
    finished: (spec, trial) => finished(spec, trial, course.finish(spec)),
    close() {
      if (closed) return;
      closed = true;
      clearInterval(timer);
      update.clear();
      update.done();
    },
  };
}
