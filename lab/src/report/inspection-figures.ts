/** The figures of an inspection: a weight or statistic by depth, and the small histograms of the table. */
import { type Axis, beyondNote, magnitudeAxis, signedAxis, wholeTicks } from "@evenkeel/report/axes";
import { draw, type Figure, LINE_HEIGHT, LINE_WIDTH } from "@evenkeel/report/draw";
import { formatNumber } from "@evenkeel/report/format";
import { escapeHtml, tableTwin } from "@evenkeel/report/page";
import { isNumber } from "@evenkeel/report/statistics";
import * as Plot from "@observablehq/plot";
import { arrayName, type Distribution, type Inspection } from "../inspection.js";
import { kebab } from "../norms.js";
import { colourOf, type Looks } from "./series.js";

/** What one normalization has of what is drawn. */
export interface Bar {
  index: number;
  name: string;
  kind: string;
  sick: boolean;
  min: number;
  p5: number;
  median: number;
  p95: number;
  max: number;
}

/** What is drawn by depth: the weights, and the running statistics, that any of the normalizations has. */
export function arraysIn({ normalizations }: Inspection): string[] {
  const names = normalizations.flatMap(({ weights, statistics }) => [
    ...Object.keys(weights),
    ...["runningMean", "runningVariance"].filter((name) => Object.hasOwn(statistics, name)),
  ]);
  return [...new Set(["gamma", "beta", "runningMean", "runningVariance", ...names])].filter((name) =>
    names.includes(name),
  );
}

/** Whether its values are magnitudes. */
const isSpread = (array: string): boolean => /variance/i.test(array);

/** For each normalization the range of the array's values, the middle nine tenths and the median, by depth. */
export function depthFigure(
  inspection: Inspection,
  array: string,
  looks: Looks,
  document: Document,
): Figure & { scale: Axis["type"] } {
  const { normalizations } = inspection;
  const bars = normalizations.flatMap(({ name, kind, sick, weights, statistics }, at): Bar[] => {
    const { min, p5, median, p95, max } = { ...weights, ...statistics }[array] ?? {};
    if (!isNumber(min) || !isNumber(p5) || !isNumber(median) || !isNumber(p95) || !isNumber(max)) return [];
    return [{ index: at + 1, name, kind: kebab(kind), sick, min, p5, median, p95, max }];
  });
  return barsFigure(
    { name: arrayName(array), bars, total: normalizations.length, isMagnitude: isSpread(array) },
    looks,
    document,
  );
}

/** Ranges by depth: the thin bar from end to end, the wide one of the middle nine tenths, and the medians joined. */
export function barsFigure(
  {
    name,
    bars,
    total,
    isMagnitude,
    marked,
    columns = QUANTILES,
  }: {
    /** In words, such as "gamma". */
    name: string;
    bars: Bar[];
    /** Normalizations in all, those without a bar too. */
    total: number;
    isMagnitude: boolean;
    /** A value at which a line is drawn. */
    marked?: number;
    /** Of the table. */
    columns?: Columns;
  },
  looks: Looks,
  document: Document,
): Figure & { scale: Axis["type"] } {
  const values = bars.flatMap(({ min, p5, median, p95, max }) => [min, p5, median, p95, max]);
  const shown = marked === undefined ? values : [...values, marked];
  const y = isMagnitude ? magnitudeAxis(shown, true) : signedAxis(shown);
  const margin = { top: 12, right: 12, bottom: 34, left: 46 };
  const spacing = (LINE_WIDTH - margin.left - margin.right) / total;
  const kinds = [...new Set(bars.map(({ kind }) => kind))];
  const marks = kinds.flatMap((kind) =>
    marksOf(
      bars.filter((bar) => bar.kind === kind),
      { stroke: colourOf(kind), className: `s-${kind}` },
      looks.get(kind)?.dash,
      spacing,
      y,
    ),
  );
  const [first, last] = [bars[0], bars.at(-1)];
  const svg = draw(
    {
      width: LINE_WIDTH,
      height: LINE_HEIGHT,
      margin,
      x: { domain: [0.5, total + 0.5] },
      y: {
        type: y.type,
        domain: y.domain,
        constant: y.constant,
        clamp: true,
        range: [LINE_HEIGHT - margin.bottom, margin.top],
      },
      ariaLabel: `The ${name} by depth. ${
        first && last
          ? `Median ${formatNumber(first.median)} in the first normalization that has it, ${formatNumber(last.median)} in the last.`
          : "Nothing to draw."
      }`,
      marks: [
        Plot.gridY(y.ticks, { stroke: "var(--grid)", strokeOpacity: 1 }),
        Plot.ruleY([y.domain[0]], { stroke: "var(--axis)" }),
        Plot.axisY(y.ticks, { text: y.format, tickSize: 0, tickPadding: 8, label: null }),
        Plot.axisX({
          ticks: wholeTicks(1, total, 5),
          tickFormat: "d",
          tickSize: 4,
          label: "normalization",
          labelAnchor: "center",
          labelArrow: "none",
        }),
        ...(marked === undefined
          ? []
          : [Plot.ruleY([marked], { stroke: "var(--bad)", strokeDasharray: "4,3" })]),
        ...marks,
      ],
    },
    document,
  );
  return {
    svg,
    scale: y.type,
    notes: [...(bars.length === 0 ? ["No value is finite."] : []), ...beyondNote(y, values)],
    twin: bars.length === 0 ? "" : twinOf(name, bars, columns),
  };
}

/** The figure's numbers as a table. */
const twinOf = (name: string, bars: Bar[], { caption, heads, of }: Columns): string =>
  tableTwin(
    `The ${name} by depth${caption}`,
    ["Normalization", ...heads],
    bars.map((bar) => [`${bar.index} ${escapeHtml(bar.name)}`, ...of(bar).map(formatNumber)]),
  );

/** Columns of such a table. */
export interface Columns {
  /** Goes on after "by depth". */
  caption: string;
  heads: readonly string[];
  of(bar: Bar): number[];
}

const QUANTILES: Columns = {
  caption: ": the lowest value, the middle nine tenths with their median, and the highest",
  heads: ["Lowest", "5 %", "Median", "95 %", "Highest"],
  of: ({ min, p5, median, p95, max }) => [min, p5, median, p95, max],
};

/** Bars that touch where there are many, and stand apart where there are few. */
function marksOf(
  bars: Bar[],
  look: { stroke: string; className: string },
  dash: string | undefined,
  spacing: number,
  y: Axis,
): Plot.Markish[] {
  const within = (value: number) => Math.min(y.domain[1], Math.max(y.domain[0], value));
  const inside = bars.map((bar) => ({
    ...bar,
    min: within(bar.min),
    p5: within(bar.p5),
    median: within(bar.median),
    p95: within(bar.p95),
    max: within(bar.max),
  }));
  const width = Math.min(10, 0.7 * spacing);
  const common = { ...look, x: "index" };
  return [
    Plot.ruleX(inside, {
      ...common,
      y1: "min",
      y2: "max",
      strokeWidth: Math.min(1, width),
      strokeOpacity: 0.55,
    }),
    Plot.ruleX(inside, { ...common, y1: "p5", y2: "p95", strokeWidth: width, strokeOpacity: 0.4 }),
    Plot.lineY(inside, { ...common, y: "median", strokeWidth: 1.25, strokeDasharray: dash }),
    Plot.dot(inside, {
      ...common,
      y: "median",
      fill: look.stroke,
      stroke: "none",
      r: Math.min(3, Math.max(1, width / 2)),
    }),
    Plot.dot(
      inside.filter(({ sick }) => sick),
      { ...common, y: "median", symbol: "times", stroke: "var(--bad)", strokeWidth: 2.25, r: 4.5 },
    ),
  ];
}

const WIDTH = 148;
const HEIGHT = 30;

/** A histogram without axes, for a cell of a table. */
export function smallHistogram(array: string, distribution: Distribution, kind: string): string {
  const { histogram, median } = distribution;
  if (histogram === null) return "";
  const { counts, low, high, scale } = histogram;
  const most = Math.max(...counts);
  const step = WIDTH / counts.length;
  const path = counts
    .map((count, bin) => {
      if (count === 0) return "";
      const height = Math.max(1, Math.round(((HEIGHT - 2) * count) / most));
      return `M${bin * step},${HEIGHT - 1}v${-height}h${step - 0.75}v${height}z`;
    })
    .join("");
  const label = `Histogram of the ${arrayName(array)}${scale === "log" ? ", on a log scale" : ""}, from ${formatNumber(low)} to ${formatNumber(high)}, median ${formatNumber(median)}.`;
  // of one value only the axis has anything to say
  const drawn = low === high ? "" : `<path d="${path}" fill="${colourOf(kebab(kind))}"/>`;
  return `<svg class="small" role="img" aria-label="${label}" width="${WIDTH}" height="${HEIGHT}" viewBox="0 0 ${WIDTH} ${HEIGHT}">${drawn}<path d="M0,${HEIGHT - 0.5}h${WIDTH}" stroke="var(--axis)"/></svg>`;
}
