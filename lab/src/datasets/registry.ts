/** From a table to a dataset, by what is asked of it. */
import { formatNumber } from "@evenkeel/report/format";
import { disturbed } from "../data/disturbed.js";
import { natureOf } from "../data/nature.js";
import type { Table } from "../data/table.js";
import { UsageError } from "../errors.js";
import { tasks } from "../tasks/registry.js";
import type { Task } from "../tasks/task.js";
import type { Dataset, DatasetOptions } from "./dataset.js";
import { toInteractions } from "./interactions.js";
import { toSeries } from "./series.js";
import { checkSuited } from "./suited.js";
import { toDataset } from "./tabular.js";

/** The dataset in a table for `options.task`, or else for the task that suits it. Throws UsageError as the builders do. */
export function datasetOf(read: Table, options: DatasetOptions, provenance: string): Dataset {
  const { disturb, time, target } = options;
  // what is forecast is disturbed itself
  const but = fromOf(read, options) === "series" ? [time] : [time, target];
  const table = disturb === undefined ? read : disturbed(read, disturb, but);
  const from = fromOf(table, options);
  checkSuited(options, from);
  switch (from) {
    case "series":
      return toSeries(table, options, provenance);
    case "interactions":
      return toInteractions(table, options, provenance);
    case "target":
      return withOffset(toDataset(table, options, provenance), options.offset);
    case "text":
      throw new UsageError(
        `--task ${options.task}: expected a file of plain text, got a table of ${table.columns.length} columns; bring a .txt file, or leave out --task`,
      );
  }
}

/** What the networks see is moved, after it was standardized. */
function withOffset(data: Dataset, offset: number | undefined): Dataset {
  if (offset === undefined || offset === 0) return data;
  if (data.form.input.kind === "tokens") {
    throw new UsageError(
      "--offset: has no place where the input is a text, whose words are no quantities; leave it out",
    );
  }
  const what = `${formatNumber(offset)} is added to every input, after it was standardized`;
  return {
    ...data,
    offset,
    decisions: [...data.decisions, { columns: [], what, why: "as --offset has it" }],
  };
}

/** What is learnt from a table, or from a sample of its rows. */
export const fromOf = (table: Table, options: DatasetOptions): Task["from"] =>
  options.task === undefined ? usualFrom(table, options) : tasks[options.task].from;

/** A table that holds one column of numbers and nothing else but when is a series; options that only one kind of task has say which. */
function usualFrom(table: Table, options: DatasetOptions): Task["from"] {
  if (options.horizon !== undefined || options.series !== undefined || options.season !== undefined)
    return "series";
  if (options.user !== undefined || options.item !== undefined || options.rating !== undefined)
    return "interactions";
  const rows = Array.from({ length: table.rowCount }, (_, row) => row);
  const numbers = table.columns.filter(
    (column) => column.kind === "number" && natureOf(column, table, rows).useless === undefined,
  );
  const others = table.columns.filter(({ kind }) => kind !== "number");
  const isSeries = numbers.length === 1 && others.length <= 1 && others.every(({ kind }) => kind === "date");
  return isSeries ? "series" : "target";
}
