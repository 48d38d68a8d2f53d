/** A column that is predicted from others: a row for each of a table, with its number and what the task tells of it. */
import { count as counted, quote } from "@evenkeel/report/format";
import type { Value } from "../data/table.js";
import { applyReading, readOptionsOf, strangersIn, type TableReading } from "../datasets/reading.js";
import { tasks } from "../tasks/registry.js";
import { type Predict, unread } from "./prediction.js";

const MS_PER_DAY = 86_400_000;

export const predictTarget: Predict = async (kept, run, given, { read = {} }) => {
  const task = tasks[kept.task];
  const reading = kept.reading as TableReading;
  if (task.from !== "target") throw new RangeError(`predictTarget: ${kept.task} predicts no column`);
  const table = await given.table(readOptionsOf(reading, read));
  const x = applyReading(reading, table);
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
  const rows: Value[][] = [];
  run(x, table.rowCount, (outputs, row) => rows.push([table.rowNumber(row), ...of(outputs)]));
  const empty = rows.filter(([, answer]) => answer === null).length;
  return {
    about: `${quote(column)} for ${counted(table.rowCount, "row")}`,
    columns: ["row", ...columns],
    rows,
    decisions: table.decisions,
    notes: [
      ...(table.columns.some(({ name }) => name === column)
        ? [`${quote(column)} is in the file too: it is predicted, and not read`]
        : []),
      ...strangersIn(reading, table),
      ...unread(table, [column, ...reading.columns.map((each) => each.column)]),
      ...(empty > 0
        ? [
            `${counted(empty, "row")} without a prediction: the numbers are too far from those of the training`,
          ]
        : []),
    ],
  };
};
