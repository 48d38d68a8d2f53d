/** Which learning rates the trials of each normalization chose. */
import { draw, type Figure, LINE_WIDTH } from "@evenkeel/report/draw";
import { tableTwin } from "@evenkeel/report/page";
import * as Plot from "@observablehq/plot";
import { labelOf, slugOf } from "../norms.js";
import { type Comparison, normsOf, trialsOf } from "../results.js";
import { formatRate } from "./numbers.js";
import { colourOf, LETTER_WIDTH, labelWidth, shortLabel } from "./series.js";

const ROW_HEIGHT = 26;

/** A disc for each rate that was chosen, as large as its share of the normalization's trials, with their number. */
export function chosenRates(comparison: Comparison, document: Document): Figure {
  const rates = comparison.training.learningRates.toSorted((a, b) => a - b);
  const norms = normsOf(comparison);
  const rows = norms.map((norm) => {
    const trials = trialsOf(comparison, norm);
    return {
      norm,
      trials,
      chosen: rates.map((rate) => trials.filter((each) => each.learningRate === rate).length),
    };
  });
  const discs = rows.flatMap(({ norm, chosen, trials }, row) =>
    chosen.flatMap((count, at) =>
      count === 0 ? [] : [{ norm, row, rate: at, count, r: 10.5 * Math.sqrt(count / trials.length) }],
    ),
  );
  const margin = { top: 12, right: 14, bottom: 34, left: Math.max(52, 14 + labelWidth(norms)) };
  const all = rates.map((_, at) => at);
  const room = (LINE_WIDTH - margin.left - margin.right) / Math.max(1, rates.length);
  const every = Math.ceil(
    (LETTER_WIDTH * Math.max(0, ...rates.map((rate) => formatRate(rate).length + 1))) / room,
  );
  const svg = draw(
    {
      width: LINE_WIDTH,
      height: margin.top + margin.bottom + ROW_HEIGHT * Math.max(1, rows.length),
      margin,
      x: { type: "point", domain: all, padding: 0.5 },
      y: { type: "point", domain: rows.map((_, row) => row), padding: 0.5, axis: null },
      ariaLabel: `Learning rates that the trials chose. ${rows
        .filter(({ trials }) => trials.length > 0)
        .map(
          ({ norm, chosen }) =>
            `${labelOf(norm)}: ${chosen.flatMap((count, at) => (count === 0 ? [] : `${formatRate(rates[at] ?? null)} by ${count}`)).join(", ")}`,
        )
        .join("; ")}.`,
      marks: [
        Plot.ruleX(all, { stroke: "var(--grid)", strokeOpacity: 1 }),
        Plot.axisX(
          all.filter((at) => at % every === 0),
          {
            text: (at: number) => formatRate(rates[at] ?? null),
            tickSize: 4,
            label: "learning rate",
            labelAnchor: "center",
            labelArrow: "none",
          },
        ),
        ...rows.map(({ norm }, row) =>
          Plot.text([row], {
            className: `s-${slugOf(norm)}`,
            y: (at: number) => at,
            frameAnchor: "left",
            text: () => shortLabel(norm),
            textAnchor: "end",
            dx: -8,
            fill: colourOf(norm),
            fontWeight: 600,
          }),
        ),
        ...discs.flatMap((disc) => {
          const at = { className: `s-${slugOf(disc.norm)}`, x: "rate", y: "row" };
          const colour = colourOf(disc.norm);
          return [
            Plot.dot([disc], { ...at, r: disc.r, fill: colour, fillOpacity: 0.25, stroke: colour }),
            Plot.text([disc], { ...at, text: () => String(disc.count), fill: "var(--ink)" }),
          ];
        }),
      ],
    },
    document,
  );
  return {
    svg,
    notes: [],
    twin: tableTwin(
      "Trials that chose each learning rate",
      ["normalization", ...rates.map(formatRate)],
      rows.map(({ norm, chosen }) => [labelOf(norm), ...chosen.map(String)]),
    ),
  };
}
