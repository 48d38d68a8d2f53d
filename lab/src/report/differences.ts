/** What normalizations differ in from the baseline: each with its interval, beside the line of no difference. */
import { linearAxis } from "@evenkeel/report/axes";
import { draw, type Figure, LINE_WIDTH } from "@evenkeel/report/draw";
import { tableTwin } from "@evenkeel/report/page";
import { isNumber } from "@evenkeel/report/statistics";
import * as Plot from "@observablehq/plot";
import type { Difference } from "../claims.js";
import { differenceText, underAll } from "../findings.js";
import { labelOf, slugOf } from "../norms.js";
import { colourOf, labelWidth, shortLabel } from "./series.js";
import { withTips } from "./tips.js";

const ROW_HEIGHT = 24;

/** Intervals, one to a row. `better` says which side of zero is the better one. */
export function differenceFigure(
  {
    title,
    of,
    differences,
    better,
    format,
  }: {
    title: string;
    /** What differs, where the numbers have no unit of their own. */
    of: string;
    differences: readonly Difference[];
    better: "right" | "left";
    format: (value: number) => string;
  },
  document: Document,
): Figure {
  const rows = differences.map((difference, row) => {
    const { mean, interval } = differenceText(difference, format);
    return { ...difference, row, meanText: mean, interval };
  });
  const found = rows.filter((each) => isNumber(each.mean));
  const ends = found.flatMap(({ low, mean, high }) => [low, mean, high]).filter(isNumber);
  const axis = linearAxis(Math.min(0, ...ends), Math.max(0, ...ends));
  // the ends of an interval, and the line of no difference, stay off the frame
  const room = 0.03 * (axis.domain[1] - axis.domain[0]);
  const domain: [number, number] = [axis.domain[0] - room, axis.domain[1] + room];
  const left = Math.max(52, 14 + labelWidth(rows.map(({ norm }) => norm)));
  const margin = { top: 26, right: 14, bottom: 40, left };
  const height = margin.top + margin.bottom + ROW_HEIGHT * Math.max(1, rows.length);
  const unit = /[\s\u00a0](.*)$/.exec(format(axis.domain[1]))?.[1] ?? of;
  // a tick without its unit, and without zeros that say nothing
  const bare = (value: number) =>
    value === 0
      ? "0"
      : format(value)
          .replace(/[\s\u00a0].*$/, "")
          .replace(/\.0+$|(\.\d*[1-9])0+$/, "$1");
  const marks: Plot.Markish[] = [
    Plot.gridX(axis.ticks, { stroke: "var(--grid)", strokeOpacity: 1 }),
    Plot.ruleX([0], { stroke: "var(--ink)", strokeWidth: 1.25 }),
    Plot.axisX(axis.ticks, {
      text: bare,
      tickSize: 4,
      label: `difference in ${unit}`,
      labelAnchor: "center",
      labelArrow: "none",
    }),
    ...[
      { side: 1, text: `${better === "right" ? "better" : "worse"} →`, textAnchor: "start" as const },
      { side: -1, text: `← ${better === "right" ? "worse" : "better"}`, textAnchor: "end" as const },
    ]
      // where there is room for it
      .filter(({ side }) => (side > 0 ? domain[1] : -domain[0]) > 0.28 * (domain[1] - domain[0]))
      .map(({ side, text, textAnchor }) =>
        Plot.text([0], {
          x: () => 0,
          frameAnchor: "top",
          dy: -12,
          dx: 6 * side,
          text: () => text,
          textAnchor,
          fill: "var(--muted)",
        }),
      ),
  ];
  for (const each of rows) {
    const { norm, row, low, high, mean, clear } = each;
    const own = { className: `s-${slugOf(norm)}`, y: "row" };
    const colour = colourOf(norm);
    marks.push(
      Plot.text([each], {
        ...own,
        frameAnchor: "left",
        text: () => shortLabel(norm),
        textAnchor: "end",
        dx: -8,
        fill: colour,
        fontWeight: 600,
      }),
    );
    if (isNumber(low) && isNumber(high)) {
      marks.push(
        Plot.ruleY([each], { ...own, x1: "low", x2: "high", stroke: colour, strokeWidth: clear ? 3 : 1.75 }),
        Plot.tickX(
          [low, high].map((x) => ({ x, row })),
          {
            ...own,
            x: "x",
            stroke: colour,
            strokeWidth: 1.5,
            insetTop: 7,
            insetBottom: 7,
          },
        ),
      );
    }
    if (isNumber(mean)) {
      marks.push(
        Plot.dot([each], {
          ...own,
          x: "mean",
          r: 4.5,
          stroke: colour,
          strokeWidth: 2,
          fill: clear ? colour : "var(--page)",
        }),
      );
    }
  }
  const said = found.map(
    ({ norm, meanText, interval, clear }) =>
      `${labelOf(norm)} ${meanText}${interval === "" ? "" : ` (${interval})`}${clear ? ", clear" : ""}`,
  );
  const svg = draw(
    {
      width: LINE_WIDTH,
      height,
      margin,
      x: { domain },
      y: { type: "band", domain: rows.map(({ row }) => row), axis: null },
      ariaLabel: `${title}. ${said.length === 0 ? "Nothing to draw." : `${said.join("; ")}.`}`,
      marks,
    },
    document,
  );
  const frame = {
    x: margin.left,
    y: margin.top,
    width: LINE_WIDTH - margin.left - margin.right,
    height: height - margin.top - margin.bottom,
  };
  const none = rows.filter(({ mean }) => mean === null).map(({ norm }) => norm);
  return {
    svg: withTips(
      svg,
      frame,
      "y",
      rows.map(({ norm, row, meanText, interval }) => ({
        pixel: margin.top + (row + 0.5) * ROW_HEIGHT,
        lines: [`${shortLabel(norm)} ${meanText}`, interval]
          .filter((text) => text !== "")
          .map((text) => ({ text, norm })),
      })),
    ),
    notes: [
      ...(none.length > 0 ? [`Not drawn, for want of a pair of values: networks ${underAll(none)}.`] : []),
      ...(found.some(({ low }) => low === null)
        ? ["Without an interval, for want of seeds: a dot alone."]
        : []),
    ],
    twin: tableTwin(
      `${title}: mean over the pairs of seeds, and the simultaneous interval`,
      ["normalization", "difference", "interval", "pairs", "told apart"],
      rows.map(({ norm, meanText, interval, pairs, clear }) => [
        labelOf(norm),
        meanText,
        interval === "" ? "–" : interval,
        String(pairs),
        clear ? "yes" : "no",
      ]),
    ),
  };
}
