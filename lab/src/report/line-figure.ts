/** Lines with their range over the seeds: one for each normalization, labelled at its end. */
import { type Axis, beyondNote, thinned, wholeTicks } from "@evenkeel/report/axes";
import { draw, type Figure, LINE_HEIGHT, LINE_WIDTH } from "@evenkeel/report/draw";
import { capitalize, formatNumber, minus } from "@evenkeel/report/format";
import { tableTwin } from "@evenkeel/report/page";
import { type Range, rangeOf } from "@evenkeel/report/statistics";
import * as Plot from "@observablehq/plot";
import { underAll } from "../findings.js";
import { labelOf, type NormName, slugOf } from "../norms.js";
import { colourOf, LETTER_WIDTH, labelWidth, looksOf, shortLabel } from "./series.js";
import { withTips } from "./tips.js";

/** Height of a label in px. */
const LABEL_GAP = 13.5;
/** Bands of more lines than this hide each other; the lines of the seeds stay. */
const MOST_BANDS = 12;
/** Points of a thin line; rows of a figure's table. */
const MOST_SEED_POINTS = 60;
const MOST_ROWS = 25;

const DASHES = { broad: "none", dashed: "6 3", dotted: "1.5 4" };

/** NaN where no seed gave a number: the line has a gap there. */
export interface Point {
  x: number;
  low: number;
  median: number;
  high: number;
}

export interface Series {
  norm: NormName;
  points: Point[];
  /** A line for each seed, where there are several. */
  seeds: { x: number; y: number }[][];
  /** Where trials of this normalization diverged. */
  ends: { x: number; y: number }[];
}

/** A value to mark across the figure, and the sentence that says what it is. */
export interface Reference {
  y: number;
  line: "dashed" | "dotted";
  note: string;
}

/** A line that no network has drawn; its look is told in a note. */
export interface OtherLine {
  name: string;
  line: "broad" | "dashed" | "dotted";
  points: { x: number; y: number }[];
}

export interface LineFigure {
  title: string;
  series: Series[];
  x: Axis;
  xLabel: string;
  /** The horizontal axis runs from its upper end to its lower one. */
  reverse?: boolean;
  /** There are only these values of x: each gets a dot. */
  dots?: boolean;
  /** Where the series have no x in common: their values at such, for the pointer and the table. */
  sampled?: Series[];
  y: Axis;
  format?: (value: number | null) => string;
  references?: Reference[];
  /** Places along x that a line marks from bottom to top, and the sentence that says what they are. */
  marks?: { x: readonly number[]; note: string };
  /** Broad ones first: they stand before the normalizations in the table. */
  others?: OtherLine[];
}

export const pointAt = (x: number, { median, min, max }: Range): Point => ({
  x,
  low: min ?? Number.NaN,
  median: median ?? Number.NaN,
  high: max ?? Number.NaN,
});

/** Median and range of the values that several seeds gave at one x. */
export const pointsOf = (rows: { x: number; values: (number | null | undefined)[] }[]): Point[] =>
  rows.map(({ x, values }) => pointAt(x, rangeOf(values)));

/** Counted steps, layers or epochs: ticks at integers. */
export const countAxis = (low: number, high: number): Axis => ({
  type: "linear",
  domain: high > low ? [low, high] : [low - 0.5, low + 0.5],
  ticks: wholeTicks(low, high, 5),
  format: (value) => minus(value.toLocaleString("en-US")),
  constant: 1,
});

const drawable = (points: Point[]): Point[] => points.filter(({ median }) => Number.isFinite(median));

/** Points with a gap on both sides, which a line would not show. */
const isolated = (points: Point[]): Point[] =>
  points.filter(
    ({ median }, i) =>
      Number.isFinite(median) &&
      !Number.isFinite(points[i - 1]?.median) &&
      !Number.isFinite(points[i + 1]?.median),
  );

export const valuesOf = (series: Pick<Series, "points">[]): number[] =>
  series.flatMap(({ points }) => drawable(points).flatMap(({ low, median, high }) => [low, median, high]));

/**
 * Moves labels apart along one line, as little as the gap between them requires: those in each other's way become a
 * block about their middle (isotonic regression by pooling adjacent violators). Returns them in the order given.
 */
function spreadLabels(wanted: number[], gap: number, low: number, high: number): number[] {
  const order = wanted.map((position, i) => ({ position, i })).sort((a, b) => a.position - b.position);
  const blocks: { mean: number; members: number[] }[] = [];
  for (const [rank, { position, i }] of order.entries()) {
    let block = { mean: position - rank * gap, members: [i] };
    for (let before = blocks.at(-1); before && before.mean > block.mean; before = blocks.at(-1)) {
      const size = before.members.length + block.members.length;
      const sum = before.mean * before.members.length + block.mean * block.members.length;
      block = { mean: sum / size, members: [...before.members, ...block.members] };
      blocks.pop();
    }
    blocks.push(block);
  }
  const highest = high - (wanted.length - 1) * gap;
  const placed = [...wanted];
  let rank = 0;
  for (const { mean, members } of blocks) {
    for (const i of members) placed[i] = Math.max(low, Math.min(highest, mean)) + rank++ * gap;
  }
  return placed;
}

/** "0.95 (0.93 – 0.96)". */
function spread({ low, median, high }: Point, format: (value: number | null) => string): string {
  const [from, middle, to] = [format(low), format(median), format(high)];
  return from === to ? middle : `${middle} (${withoutUnit(from, to)} – ${to})`;
}

/** The first of two numbers, without the unit where the second has the same. */
export function withoutUnit(first: string, second: string): string {
  const unit = /[\s\u00a0].*$/.exec(second)?.[0];
  return unit !== undefined && first.endsWith(unit) ? first.slice(0, -unit.length) : first;
}

export function lineFigure(
  {
    title,
    series,
    x,
    xLabel,
    reverse = false,
    dots = false,
    sampled = series,
    y,
    format = formatNumber,
    references = [],
    marks: marked = { x: [], note: "" },
    others = [],
  }: LineFigure,
  document: Document,
): Figure {
  const norms = series.map(({ norm }) => norm);
  const looks = looksOf(norms);
  const margin = { top: 12, right: Math.max(66, 18 + labelWidth(norms)), bottom: 34, left: 46 };
  const within = (value: number): number => Math.min(y.domain[1], Math.max(y.domain[0], value));
  const drawn = series.flatMap(({ norm, points, seeds, ends }) => {
    const inside = points.map((point) => ({
      x: point.x,
      low: within(point.low),
      median: within(point.median),
      high: within(point.high),
    }));
    const last = drawable(inside).at(reverse ? 0 : -1);
    if (!last && ends.length === 0) return [];
    return [
      {
        norm,
        points: inside,
        last,
        seeds: seeds.map((line) =>
          thinned(line, MOST_SEED_POINTS).map((at) => ({ x: at.x, y: within(at.y) })),
        ),
        ends: ends.map((end) => ({ x: end.x, y: within(end.y) })),
      },
    ];
  });
  const labelled = drawn.filter(({ last }) => last !== undefined);
  const height = Math.max(
    LINE_HEIGHT,
    Math.ceil(margin.top + margin.bottom + 4 + LABEL_GAP * (labelled.length - 1)),
  );
  const frame = {
    x: margin.left,
    y: margin.top,
    width: LINE_WIDTH - margin.left - margin.right,
    height: height - margin.top - margin.bottom,
  };
  const xScale: Plot.ScaleOptions = {
    type: x.type,
    domain: reverse ? x.domain.toReversed() : x.domain,
    range: [frame.x, frame.x + frame.width],
  };
  const yScale: Plot.ScaleOptions = {
    type: y.type,
    domain: y.domain,
    range: [frame.y + frame.height, frame.y],
    constant: y.constant,
    clamp: true,
  };
  const across = Plot.scale({ x: xScale });
  const up = Plot.scale({ y: yScale });
  const end = reverse ? x.domain[0] : x.domain[1];
  const labelX = across.invert?.(frame.x + frame.width + 11) ?? end;
  const labelPixels = spreadLabels(
    labelled.map(({ last }) => up.apply(last?.median)),
    LABEL_GAP,
    frame.y,
    frame.y + frame.height - 4,
  );
  const grid = { stroke: "var(--grid)", strokeOpacity: 1 };
  const marks: Plot.Markish[] = [
    Plot.gridY(y.ticks, grid),
    Plot.ruleY([y.domain[0]], { stroke: "var(--axis)" }),
    // `text`, not `tickFormat`: on a log axis Plot drops the labels of most ticks that are not powers of ten
    Plot.axisY(y.ticks, { text: y.format, tickSize: 0, tickPadding: 8, label: null }),
    Plot.axisX(roomFor(x, frame.width), {
      text: x.format,
      tickSize: 4,
      label: xLabel,
      labelAnchor: "center",
      labelArrow: "none",
    }),
  ];
  for (const { line, points } of others) {
    marks.push(
      Plot.lineY(
        points.map((point) => ({ x: point.x, y: within(point.y) })),
        {
          x: "x",
          y: "y",
          stroke: "var(--muted)",
          strokeOpacity: line === "broad" ? 0.45 : 1,
          strokeWidth: line === "broad" ? 4 : 1.25,
          strokeDasharray: DASHES[line],
        },
      ),
    );
  }
  for (const reference of references) {
    if (reference.y < y.domain[0] || reference.y > y.domain[1]) continue;
    marks.push(
      Plot.ruleY([reference.y], {
        stroke: "var(--muted)",
        strokeWidth: reference.line === "dotted" ? 1.5 : 1.25,
        strokeDasharray: DASHES[reference.line],
      }),
    );
  }
  marks.push(Plot.ruleX(marked.x, { stroke: "var(--ink)", strokeOpacity: 0.55 }));
  const ranges = labelled.length <= MOST_BANDS ? labelled : [];
  for (const { norm, points } of ranges) {
    marks.push(
      Plot.areaY(points, {
        className: `s-${slugOf(norm)}`,
        x: "x",
        y1: "low",
        y2: "high",
        fill: colourOf(norm),
        fillOpacity: 0.12,
      }),
    );
  }
  for (const { norm, seeds } of drawn) {
    if (seeds.length < 2) continue;
    const flat = seeds.flatMap((line, seed) => line.map((at) => ({ ...at, seed })));
    marks.push(
      Plot.line(flat, {
        className: `s-${slugOf(norm)} seed`,
        x: "x",
        y: "y",
        z: "seed",
        stroke: colourOf(norm),
        strokeWidth: 0.75,
        strokeOpacity: 0.45,
      }),
    );
  }
  const ended = drawn.filter(({ ends }) => ends.length > 0).map(({ norm }) => norm);
  for (const { norm, points, last, ends } of drawn) {
    const colour = colourOf(norm);
    const className = `s-${slugOf(norm)}`;
    if (last) {
      const labelPixel = labelPixels[labelled.findIndex((each) => each.norm === norm)] ?? 0;
      const anchor = { x: labelX, y: up.invert?.(labelPixel) ?? last.median };
      marks.push(
        Plot.lineY(points, {
          className,
          x: "x",
          y: "median",
          stroke: colour,
          strokeWidth: 2,
          strokeDasharray: looks.get(norm)?.dash,
        }),
        Plot.line([{ x: last.x, y: last.median }, anchor], {
          className,
          x: "x",
          y: "y",
          stroke: colour,
          strokeOpacity: labelled.length > MOST_BANDS ? 0.2 : 0.45,
          strokeWidth: 1,
          // where the series ends early, the line to its label must not look like its continuation
          strokeDasharray: Math.abs(across.apply(last.x) - across.apply(end)) < 24 ? "none" : "1 5",
        }),
        Plot.text([anchor], {
          className,
          x: "x",
          y: "y",
          text: [shortLabel(norm)],
          textAnchor: "start",
          dx: 3,
          fill: colour,
          fontWeight: 600,
        }),
      );
    }
    const alone = dots ? drawable(points) : isolated(points);
    if (alone.length > 0) {
      marks.push(
        Plot.ruleX(alone, {
          className,
          x: "x",
          y1: "low",
          y2: "high",
          stroke: colour,
          strokeWidth: dots ? 1 : 2,
          strokeOpacity: dots ? 0.6 : 1,
        }),
        Plot.dot(alone, { className, x: "x", y: "median", fill: colour, r: points.length === 1 ? 3.5 : 2.5 }),
      );
    }
    if (ends.length > 0) {
      marks.push(
        Plot.dot(ends, {
          className,
          x: "x",
          y: "y",
          // side by side, where several normalizations end at one x
          dx: dots ? ((ended.indexOf(norm) + 0.5) / ended.length - 0.5) * Math.min(48, 9 * ended.length) : 0,
          // above the axis, on which these stand
          dy: dots ? -7 : 0,
          symbol: "times",
          stroke: colour,
          strokeWidth: 2,
          r: 4.5,
        }),
      );
    }
  }
  const summary = labelled
    .map(({ norm, last }) => `${labelOf(norm)} ${format(last?.median ?? null)}`)
    .join(", ");
  const ariaLabel = `${title}. ${summary === "" ? "Nothing to draw." : `Median at the right end: ${summary}.`}`;
  const svg = draw({ width: LINE_WIDTH, height, margin, x: xScale, y: yScale, ariaLabel, marks }, document);

  const missing = series.filter(({ points }) => drawable(points).length === 0).map(({ norm }) => norm);
  const table = tableOf(sampled, others, reverse);
  const names = others.map(({ name }) => name);
  const broad = others.filter(({ line }) => line === "broad").length;
  const said = (values: (number | undefined)[]) => values.map((value) => format(value ?? null));
  return {
    svg: withTips(
      svg,
      frame,
      "x",
      table.map(({ x: value, points, values }) => ({
        pixel: across.apply(value),
        lines: [
          { text: `${xLabel.replace(/ \(.*/, "")} ${x.format(value)}` },
          ...others.flatMap(({ name }, i) =>
            values[i] === undefined ? [] : { text: `${name} ${format(values[i])}` },
          ),
          ...drawable(points.flatMap((point) => point ?? []))
            .toSorted((a, b) => b.median - a.median)
            .map((point) => {
              const norm = norms[points.indexOf(point)] ?? "";
              return { text: `${shortLabel(norm)} ${spread(point, format)}`, norm };
            }),
        ],
      })),
    ),
    notes: [
      ...others.map(({ name, line }) => `${capitalize(line)}: ${name}.`),
      ...references.flatMap(({ y: at, note }) => (at < y.domain[0] || at > y.domain[1] ? [] : [note])),
      ...(marked.x.length > 0 ? [marked.note] : []),
      ...(missing.length > 0
        ? [`Not drawn, for want of a finite value: networks ${underAll(missing)}.`]
        : []),
      ...beyondNote(y, valuesOf(series)),
      ...(drawn.some(({ ends }) => ends.length > 0) ? [`× marks ${endings(dots)}.`] : []),
    ],
    twin: tableTwin(
      `${title}: median over the seeds${series.some(({ seeds }) => seeds.length > 1) ? " (lowest – highest)" : ""}`,
      [xLabel, ...names.slice(0, broad), ...norms.map(labelOf), ...names.slice(broad)],
      thinned(table, MOST_ROWS).map(({ x: value, points, values }) => [
        x.format(value),
        ...said(values.slice(0, broad)),
        ...points.map((point, i) => {
          const cell = point && Number.isFinite(point.median) ? spread(point, format) : "–";
          const diverged = dots && series[i]?.ends.some((end) => end.x === value);
          return diverged ? `${cell} ×` : cell;
        }),
        ...said(values.slice(broad)),
      ]),
    ),
  };
}

const endings = (dots: boolean): string =>
  dots ? "trials that diverged" : "the last finite value of a trial that diverged";

/** Ticks whose labels do not touch. */
function roomFor({ ticks, format, type, domain }: Axis, width: number): number[] {
  const { apply } = Plot.scale({ x: { type, domain, range: [0, width] } });
  const kept: number[] = [];
  let taken = Number.NEGATIVE_INFINITY;
  for (const tick of ticks) {
    const half = (LETTER_WIDTH * format(tick).length) / 2;
    if (apply(tick) - half < taken + 4) continue;
    kept.push(tick);
    taken = apply(tick) + half;
  }
  return kept;
}

interface Row {
  x: number;
  points: (Point | undefined)[];
  values: (number | undefined)[];
}

/** The points of each series, and the values of the other lines, at every x that any of them has. */
function tableOf(series: Series[], others: OtherLine[], reverse: boolean): Row[] {
  const byX = series.map(({ points }) => new Map(points.map((point) => [point.x, point])));
  const valuesByX = others.map(({ points }) => new Map(points.map(({ x, y }) => [x, y])));
  const all = [...byX, ...valuesByX].flatMap((map) => [...map.keys()]);
  const distinct = [...new Set(all)].sort((a, b) => a - b);
  return (reverse ? distinct.toReversed() : distinct).map((x) => ({
    x,
    points: byX.map((points) => points.get(x)),
    values: valuesByX.map((values) => values.get(x)),
  }));
}
