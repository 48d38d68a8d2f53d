/** Which tasks there are, in the order in which they are tried on a target. Light: no TensorFlow.js is loaded. */
import { quote } from "@evenkeel/report/format";
import { quoted } from "../data/names.js";
import { UsageError } from "../errors.js";
import { classification } from "./classification.js";
import { forecasting } from "./forecasting.js";
import { languageModel } from "./language-model.js";
import { recommendation } from "./recommendation.js";
import { regression } from "./regression.js";
import type { Metric, Target, TargetTask, Task } from "./task.js";

const entries = {
  [classification.name]: classification,
  [regression.name]: regression,
  [forecasting.name]: forecasting,
  [languageModel.name]: languageModel,
  [recommendation.name]: recommendation,
};

export type TaskName = keyof typeof entries;
export const tasks: Readonly<Record<TaskName, Task>> = entries;
export const taskNames = Object.keys(tasks) as TaskName[];

/** Those that predict a column from the others. */
export const targetTasks = taskNames.flatMap((name): { name: TaskName; task: TargetTask }[] => {
  const task = tasks[name];
  return task.from === "target" ? [{ name, task }] : [];
});

/** The task that is learnt from such data. Throws RangeError where there is none. */
export function taskFrom(from: Task["from"]): TaskName {
  const found = taskNames.find((name) => tasks[name].from === from);
  if (found === undefined) throw new RangeError(`taskFrom: no task is learnt from ${from}`);
  return found;
}

/** The first task that suits a target. */
export const usualTask = (target: Target): TaskName =>
  (targetTasks.find(({ task }) => task.suits(target)) ?? targetTasks[0]).name;

/** What a task predicts: `"digit" (10 classes)`, "the next 96 steps of 7 series". */
export const predictsOf = (
  name: TaskName,
  quotedTarget: string,
  classes: readonly string[],
  targetShape: readonly number[],
): string => {
  const task = tasks[name];
  return task.from === "target" ? `${quotedTarget} (${task.predicts(classes)})` : task.predicts(targetShape);
};

/** The names of the metrics that networks may be compared by, each once. */
export const primaryMetricNames = [
  ...new Set(
    taskNames.flatMap((name) => tasks[name].metrics.flatMap((metric) => (metric.primary ? metric.name : []))),
  ),
];

/** The metric of this name, as comparison.json has it. */
export function metricNamed(task: TaskName, name: string): Metric {
  const metric = tasks[task].metrics.find((each) => each.name === name);
  if (!metric) throw new RangeError(`metricNamed: name must be a metric of ${task}, got "${name}"`);
  return metric;
}

/** What networks are compared by, for a target of such class sizes (none where the task has no classes). */
const usualMetric = (task: TaskName, sizes: readonly number[]): Metric =>
  tasks[task].metrics.find((metric) => metric.primary && metric.suits(sizes)) ?? tasks[task].metrics[0];

/** The name of the metric that is named, or of the usual one for classes of such sizes. Throws UsageError for none that networks can be compared by. */
export function metricOf(task: TaskName, sizes: readonly number[], named: string | undefined): string {
  if (named === undefined) return usualMetric(task, sizes).name;
  const primary = tasks[task].metrics.filter((metric) => metric.primary).map(({ name }) => name);
  const found = primary.find((name) => name.toLowerCase() === named.toLowerCase());
  if (found !== undefined) return found;
  throw new UsageError(
    `--metric: expected ${primary.length > 1 ? "one of " : ""}${quoted(primary)} for ${task}, got ${quote(named)}`,
  );
}
