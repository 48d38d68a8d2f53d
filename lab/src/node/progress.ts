/** What is shown while trials run: live in a terminal, plain lines anywhere else. Writes to standard error. */
import { duration, formatNumber } from "@evenkeel/report/format";
import { createLogUpdate } from "log-update";
import { labelOf } from "../norms.js";
import type { Trial } from "../results.js";
import type { Metric } from "../tasks/task.js";
import type { Progress, TrialSpec } from "../trial.js";
import type { Watcher } from "../trials.js";
import { colorsOf } from "./colors.js";

export interface Display extends Watcher {
  /** Clears what is live. */
  close(): void;
}

/** ms between two drawings, so that the time left counts down between reports. */
const REDRAW_MS = 250;
const BAR = 16;

interface Running {
  spec: TrialSpec;
  progress?: Progress;
  began: number;
}

/** A display for these trials, on `threads` threads. */
export function openDisplay(metric: Metric, specs: readonly TrialSpec[], threads: number): Display {
  const width = Math.max(8, ...specs.map(({ norm }) => labelOf(norm).length));
  const nameOf = ({ norm, seed }: TrialSpec) => `${labelOf(norm).padEnd(width)} seed ${seed}`;
  return process.stderr.isTTY
    ? liveDisplay(metric, specs.length, threads, nameOf)
    : plainDisplay(metric, specs.length, nameOf);
}

type NameOf = (spec: TrialSpec) => string;

/** An estimate: in whole seconds, above a minute as `duration` has it. */
function timeLeft(seconds: number): string {
  return `${seconds < 59 ? `${Math.ceil(seconds)} s` : duration(seconds)} left`;
}

function outcomeOf(metric: Metric, trial: Trial, seconds: number): string {
  const last = trial.epochs.at(-1);
  const result =
    trial.outcome === "diverged"
      ? `diverged in epoch ${trial.epochs.length}`
      : `${metric.name} ${metric.format(last?.metric ?? null)}  loss ${formatNumber(last?.trainLoss ?? null)}`;
  return `${result}  ${duration(seconds)}`;
}

function plainDisplay(metric: Metric, total: number, nameOf: NameOf): Display {
  const quarters = new Map<TrialSpec, number>();
  const began = new Map<TrialSpec, number>();
  let finished = 0;
  const line = (text: string) => process.stderr.write(`${text}\n`);
  return {
    started(spec) {
      began.set(spec, performance.now());
    },
    progress(spec, { done, epoch, loss, metric: value }) {
      const quarter = Math.floor(done * 4);
      if (quarter <= (quarters.get(spec) ?? 0) || quarter > 3) return;
      quarters.set(spec, quarter);
      const elapsed = (performance.now() - (began.get(spec) ?? 0)) / 1000;
      const left = (elapsed / done) * (1 - done);
      line(
        `${nameOf(spec)}  epoch ${epoch}/${spec.training.epochs}  loss ${formatNumber(loss)}  ` +
          `${metric.name} ${metric.format(value)}  ${timeLeft(left)}`,
      );
    },
    finished(spec, trial) {
      finished++;
      const seconds = (performance.now() - (began.get(spec) ?? 0)) / 1000;
      line(`${nameOf(spec)}  ${outcomeOf(metric, trial, seconds)}  (${finished} of ${total})`);
    },
    close() {},
  };
}

function liveDisplay(metric: Metric, total: number, threads: number, nameOf: NameOf): Display {
  const update = createLogUpdate(process.stderr);
  const colors = colorsOf(process.stderr);
  const running = new Map<TrialSpec, Running>();
  const start = performance.now();
  let finished = 0;
  const draw = () => {
    const now = performance.now();
    const trials = [...running.values()];
    const lines = trials.map(({ spec, progress, began }) => {
      const done = progress?.done ?? 0;
      const filled = Math.round(done * BAR);
      const bar = colors.cyan("█".repeat(filled)) + colors.dim("░".repeat(BAR - filled));
      const name = nameOf(spec);
      if (!progress) return `  ${name}  ${bar}  starting`;
      const left = ((now - began) / 1000 / done) * (1 - done);
      const facts = `loss ${formatNumber(progress.loss)}  ${metric.brief(progress.metric)}`;
      return `  ${name}  ${bar}  ${facts}  ${colors.dim(timeLeft(left))}`;
    });
    // always as many lines: log-update loses what is above when the number grows
    while (lines.length < threads) lines.push("");
    const done = finished + trials.reduce((sum, { progress }) => sum + (progress?.done ?? 0), 0);
    const elapsed = (now - start) / 1000;
    // the first trial says little about the others
    const left = done > 0.2 * threads ? `about ${timeLeft((elapsed / done) * (total - done))}` : "";
    const summary = [`${finished} of ${total} trials`, left, "Ctrl-C stops, with what is finished"];
    update(
      ["", ...lines, "", `  ${colors.dim(summary.filter((part) => part !== "").join("  ·  "))}`].join("\n"),
    );
  };
  const timer = setInterval(draw, REDRAW_MS);
  return {
    started(spec) {
      running.set(spec, { spec, began: performance.now() });
      draw();
    },
    progress(spec, progress) {
      const trial = running.get(spec);
      if (trial) trial.progress = progress;
    },
    finished(spec, trial) {
      const seconds = (performance.now() - (running.get(spec)?.began ?? 0)) / 1000;
      running.delete(spec);
      finished++;
      const mark = trial.outcome === "diverged" ? colors.red("✗") : colors.green("✓");
      update.clear();
      process.stderr.write(`${mark} ${nameOf(spec)}  ${outcomeOf(metric, trial, seconds)}\n`);
      draw();
    },
    close() {
      clearInterval(timer);
      update.clear();
    },
  };
}
