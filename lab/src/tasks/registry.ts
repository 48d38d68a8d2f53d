/** Which tasks there are, in the order in which they are tried on a target. Light: no TensorFlow.js is loaded. */
import { classification } from "./classification.js";
import { regression } from "./regression.js";
import type { Metric, Target, Task } from "./task.js";

const entries = { [classification.name]: classification, [regression.name]: regression };

export type TaskName = keyof typeof entries;
export const tasks: Readonly<Record<TaskName, Task>> = entries;
export const taskNames = Object.keys(tasks) as TaskName[];

/** The first task that suits a target. */
export const usualTask = (target: Target): TaskName =>
  taskNames.find((name) => tasks[name].suits(target)) ?? taskNames[0];

/** Every metric, and the names of those that networks may be compared by. */
const metrics = taskNames.flatMap((task) => tasks[task].metrics);
export const primaryMetricNames = metrics.flatMap(({ name, primary }) => (primary ? name : []));

/** The metric of this name, as comparison.json has it. */
export function metricNamed(name: string): Metric {
  const metric = metrics.find((each) => each.name === name);
  if (!metric) throw new RangeError(`metricNamed: name must be a metric of a task, got "${name}"`);
  return metric;
}

/** What networks are compared by, for a target of such class sizes (none where the task has no classes). */
export const usualMetric = (task: TaskName, sizes: readonly number[]): Metric =>
  tasks[task].metrics.find((metric) => metric.primary && metric.suits(sizes)) ?? tasks[task].metrics[0];
