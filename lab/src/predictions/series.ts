/** Forecasts: a row for each step after the last of a table, with when it is and the values of all series. */
import { count as counted } from "@evenkeel/report/format";
import { quoted } from "../data/names.js";
import { latestOf, timesOf } from "../data/series.js";
import type { Value } from "../data/table.js";
import { checkRead, readOptionsOf } from "../datasets/reading.js";
import type { SeriesReading } from "../datasets/series.js";
import { UsageError } from "../errors.js";
import { type Predict, unread } from "./prediction.js";

/** In milliseconds. */
const DAY = 86_400_000;

/** Deviations from the mean of the training, from which on a value is told. */
const FAR = 20;

export const predictSeries: Predict = async ({ reading, inputs, form }, run, given, { read = {} }) => {
  const { layout, file, mean, deviation, window, horizon } = reading as SeriesReading;
  const { time, names, grid } = layout;
  const table = await given.table(readOptionsOf(file, read));
  checkRead(file, table);
  const { series, decisions, strangers } = latestOf(table, layout, window);
  const { steps, values, filled, times } = series;
  const width = names.length;
  const first = (steps - window) * width;
  const x = Float32Array.from({ length: window * width }, (_, i) => {
    const at = i % width;
    return (values[first + i] - mean[at]) / deviation[at];
  });
  const isFar = new Uint8Array(width);
  for (const [i, value] of x.entries()) if (Math.abs(value) > FAR) isFar[i % width] = 1;
  // what was filled in for the most part says nothing of what comes
  const missing = new Uint32Array(width);
  for (const [i, one] of filled.subarray(first).entries()) missing[i % width] += one;
  const isAbsent = (at: number) => missing[at] > window / 2;
  const absent = names.filter((_, at) => isAbsent(at));
  if (absent.length === width) {
    throw new UsageError(
      `${table.name}: expected numbers at most of the last ${counted(window, "step")}, which a forecast is made from, got too few in ${quoted(absent)}; bring them, or leave out the last rows`,
    );
  }
  let outputs = new Float32Array();
  run(x, 1, (forecast) => {
    outputs = forecast.slice();
  });
  const forecast = (step: number, at: number): Value => {
    const standard = inputs.factor[at] > 0 ? outputs[step * width + at] / inputs.factor[at] : 0;
    const value = (standard + inputs.mean[at]) * deviation[at] + mean[at];
    return Number.isFinite(value) && !isAbsent(at) ? value : null;
  };
  const later =
    times && grid.unit !== "rows" ? timesOf(grid, times[0], steps + horizon).subarray(steps) : undefined;
  const isNumber = file.columns.some(({ column, kind }) => column === time && kind === "number");
  const areDays = later?.every((time) => time % DAY === 0) ?? false;
  const when = (step: number): Value => {
    if (later === undefined) return step + 1;
    if (isNumber) return later[step];
    const date = new Date(later[step]).toISOString();
    return areDays ? date.slice(0, 10) : date;
  };
  const far = names.filter((_, at) => isFar[at] === 1);
  return {
    about: `the next ${counted(horizon, "step")} of ${counted(width, "series", "series")}`,
    columns: [(later && time) ?? "step", ...names],
    rows: Array.from({ length: form.outputs[0] }, (_, step): Value[] => [
      when(step),
      ...names.map((_, at) => forecast(step, at)),
    ]),
    decisions: [...table.decisions, ...decisions],
    notes: [
      ...unread(
        table,
        file.columns.map(({ column }) => column),
      ),
      ...(strangers.length > 0
        ? [
            `${counted(strangers.length, "series", "series")} not read, which the network did not learn from: ${quoted(strangers)}`,
          ]
        : []),
      ...(absent.length > 0
        ? [
            `no forecast of what has no value at most of the last ${counted(window, "step")}: ${quoted(absent)}`,
          ]
        : []),
      ...(far.length > 0
        ? [
            `values are far from those of the training, as if they were written or measured otherwise: ${quoted(far)}`,
          ]
        : []),
    ],
  };
};
