/** What the networks make of one held-out example of series, beside what came and the naive forecasts. */
import { tightAxis } from "@evenkeel/report/axes";
import type { Figure } from "@evenkeel/report/draw";
import { isNumber } from "@evenkeel/report/statistics";
import { type Comparison, normsOf, type Sample, trialsOf } from "../results.js";
import { countAxis, lineFigure, type OtherLine, pointsOf, valuesOf } from "./line-figure.js";
import { clipped } from "./series.js";

/** Letters of a series' name. */
const LONGEST_NAME = 40;

/** A figure for each series that trials have a sample of, with its name. */
export function forecastFigures(
  comparison: Comparison,
  document: Document,
): { name: string; figure: Figure }[] {
  const first = comparison.trials.find(({ sample }) => sample);
  return (first?.sample?.series ?? []).map((shown, index) => {
    const { at, before, truth } = shown;
    const name = clipped(comparison.data.inputs[at]?.column ?? "", LONGEST_NAME);
    const series = normsOf(comparison).map((norm) => {
      const forecasts = trialsOf(comparison, norm).flatMap(({ sample }) => sample?.series[index] ?? []);
      const values = (step: number) => forecasts.map(({ forecast }) => forecast[step]);
      return {
        norm,
        points: pointsOf(truth.map((_, step) => ({ x: step + 1, values: values(step) }))),
        seeds: [],
        ends: [],
      };
    });
    const others = otherLines(
      shown,
      (first?.guesses ?? []).map((guess) => guess.name),
    );
    const all = [...valuesOf(series), ...others.flatMap(({ points }) => points.map(({ y }) => y))];
    const figure = lineFigure(
      {
        title: `Forecasts of ${name}`,
        series,
        x: countAxis(1 - before.length, truth.length),
        xLabel: "step",
        y: tightAxis(Math.min(...all), Math.max(...all)),
        others,
      },
      document,
    );
    return { name, figure };
  });
}

const LINES = ["dashed", "dotted"] as const;

/** What came, and as many guesses as there are ways to draw them. */
function otherLines({ before, truth, guesses }: Sample["series"][number], names: string[]): OtherLine[] {
  return [
    {
      name: "what came",
      line: "broad",
      points: [...before, ...truth].map((y, step) => ({ x: step + 1 - before.length, y })),
    },
    ...LINES.flatMap((line, i): OtherLine[] =>
      guesses[i] === undefined || names[i] === undefined
        ? []
        : [
            {
              name: names[i],
              line,
              points: guesses[i].flatMap((y, step) => (isNumber(y) ? { x: step + 1, y } : [])),
            },
          ],
    ),
  ];
}
