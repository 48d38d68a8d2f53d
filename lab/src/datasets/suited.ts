/** Options that say how one kind of data is read: beside another they would do nothing, and seem to do something. */
import { listed } from "@evenkeel/report/format";
import { UsageError } from "../errors.js";
import { taskNames, tasks } from "../tasks/registry.js";
import type { Task } from "../tasks/task.js";
import type { DatasetOptions } from "./dataset.js";

/** What they are for, where that is not everything. */
const FOR: { [Option in keyof DatasetOptions]?: readonly Task["from"][] } = {
  target: ["target", "series"],
  text: ["target"],
  levels: ["target"],
  keep: ["target", "series"],
  group: ["target"],
  offset: ["target"],
  split: ["target", "series"],
  time: ["target", "series", "interactions"],
  horizon: ["series"],
  window: ["series", "text"],
  season: ["series"],
  series: ["series"],
  user: ["interactions"],
  item: ["interactions"],
  rating: ["interactions"],
};

/** Whether an option has a place where it is learnt from such data. */
export const suits = (option: keyof DatasetOptions, from: Task["from"]): boolean =>
  FOR[option]?.includes(from) ?? true;

/** Throws UsageError for an option that is for other data than what is learnt from. */
export function checkSuited(options: DatasetOptions, from: Task["from"]): void {
  for (const [option, kinds] of Object.entries(FOR)) {
    const value = options[option as keyof DatasetOptions];
    const isGiven = Array.isArray(value) ? value.length > 0 : value !== undefined;
    if (!isGiven || suits(option as keyof DatasetOptions, from)) continue;
    const namesOf = (fits: (task: Task) => boolean) => taskNames.filter((name) => fits(tasks[name]));
    const own = options.task ?? listed(namesOf((task) => task.from === from));
    const others = namesOf((task) => kinds.includes(task.from));
    throw new UsageError(
      `--${option}: has no place in ${own}; leave it out, or use --task ${others.join(" or ")}`,
    );
  }
}
