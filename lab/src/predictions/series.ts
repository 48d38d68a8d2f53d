/** Forecasts: a row for each step after the last of a table, with when it is and the values of all series. */
import { count as counted } from "@evenkeel/report/format";
import { quoted } from "../data/names.js";
import { seriesOf, timesOf } from "../data/series.js";
import type { Known, Value } from "../data/table.js";
import { checkColumns } from "../datasets/reading.js";
import type { SeriesReading } from "../datasets/series.js";
import { UsageError } from "../errors.js";
import { type Predict, unread } from "./prediction.js";

export const predictSeries: Predict = async ({ reading, inputs, form }, run, given, { read = {} }) => {
  const { layout, mean, deviation, window, horizon } = reading as SeriesReading;
  const { time, series: by, names, grid } = layout;
  const used = [time, by, ...layout.values].filter((name) => name !== undefined);
  const known = new Map(layout.values.map((name): [string, Known] => [name, { kind: "number" }]));
  const table = await given.table({ ...read, known });
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
  let outputs = new Float32Array();
  run(x, 1, (forecast) => {
    outputs = forecast.slice();
  });
  const forecast = (step: number, at: number): Value => {
    const standard = inputs.factor[at] > 0 ? outputs[step * width + at] / inputs.factor[at] : 0;
    const value = (standard + inputs.mean[at]) * deviation[at] + mean[at];
    return Number.isFinite(value) && !Number.isNaN(x[at]) ? value : null;
  };
  const later =
    times && grid.unit !== "rows" ? timesOf(grid, times[0], steps + horizon).subarray(steps) : undefined;
  const when = (step: number): Value => {
    if (later === undefined) return step + 1;
    const isNumber = grid.unit === "number" || grid.unit === "seconds";
    return isNumber ? later[step] : new Date(later[step]).toISOString();
  };
  const absent = names.filter((_, at) => Number.isNaN(x[at]));
  return {
    about: `the next ${counted(horizon, "step")} of ${counted(width, "series", "series")}`,
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
};
