/** Lines with their range over the seeds: one for each normalization, labelled at its end. */
import { type Axis, wholeTicks } from "@evenkeel/report/axes";
import { draw, type Figure, LINE_HEIGHT, LINE_WIDTH } from "@evenkeel/report/draw";
import { formatNumber } from "@evenkeel/report/format";
import { rangeOf } from "@evenkeel/report/statistics";
import * as Plot from "@observablehq/plot";
import { labelOf, type NormName } from "../norms.js";
import { colourOf, looksOf } from "./series.js";

/** Width of a bold letter in px, at most on average. */
const LETTER_WIDTH = 7;

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
  /** Where trials of this normalization diverged. */
  ends: { x: number; y: number }[];
}

export interface LineFigure {
  title: string;
  series: Series[];
  xLabel: string;
  xDomain: [number, number];
  /** The horizontal axis runs from its upper end to its lower one. */
  reverse?: boolean;
  y: Axis;
  /** A value to mark across the figure. */
  target?: number;
}

/** Median and range of the values that several seeds gave at one x. */
export function pointsOf(rows: { x: number; values: (number | null | undefined)[] }[]): Point[] {
  return rows.map(({ x, values }) => {
    const { median, min, max } = rangeOf(values);
    return { x, low: min ?? Number.NaN, median: median ?? Number.NaN, high: max ?? Number.NaN };
  });
}

const drawable = (points: Point[]): Point[] => points.filter(({ median }) => Number.isFinite(median));

/** Points with a gap on both sides, which a line would not show. */
const isolated = (points: Point[]): Point[] =>
  points.filter(
    ({ median }, i) =>
      Number.isFinite(median) &&
      !Number.isFinite(points[i - 1]?.median) &&
      !Number.isFinite(points[i + 1]?.median),
  );

export const valuesOf = (series: Series[]): number[] =>
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

export function lineFigure(
  { title, series, xLabel, xDomain, reverse = false, y, target }: LineFigure,
  document: Document,
): Figure {
  const norms = series.map(({ norm }) => norm);
  const looks = looksOf(norms);
  const longest = Math.max(0, ...norms.map((norm) => labelOf(norm).length));
  const margin = { top: 12, right: Math.max(66, 18 + LETTER_WIDTH * longest), bottom: 34, left: 46 };
  const [x0, x1] = xDomain[0] === xDomain[1] ? [xDomain[0] - 0.5, xDomain[1] + 0.5] : xDomain;
  const [start, end] = reverse ? [x1, x0] : [x0, x1];
  const xPerPixel = (end - start) / (LINE_WIDTH - margin.left - margin.right);
  const yScale: Plot.ScaleOptions = {
    type: y.type,
    domain: y.domain,
    range: [LINE_HEIGHT - margin.bottom, margin.top],
    constant: y.constant,
    clamp: true,
  };
  const { apply, invert } = Plot.scale({ y: yScale });
  const within = (value: number): number => Math.min(y.domain[1], Math.max(y.domain[0], value));
  const drawn = series.flatMap(({ norm, points, ends }) => {
    const inside = points.map(({ x, low, median, high }) => ({
      x,
      low: within(low),
      median: within(median),
      high: within(high),
    }));
    const last = drawable(inside).at(reverse ? 0 : -1);
    return last ? [{ norm, points: inside, last, ends: ends.map(({ x, y }) => ({ x, y: within(y) })) }] : [];
  });
  const labelPixels = spreadLabels(
    drawn.map(({ last }) => apply(last.median)),
    14,
    margin.top,
    LINE_HEIGHT - margin.bottom - 4,
  );
  const grid = { stroke: "var(--grid)", strokeOpacity: 1 };
  const marks: Plot.Markish[] = [
    Plot.gridY(y.ticks, grid),
    Plot.ruleY([y.domain[0]], { stroke: "var(--axis)" }),
    // `text`, not `tickFormat`: on a log axis Plot drops the labels of most ticks that are not powers of ten
    Plot.axisY(y.ticks, { text: y.format, tickSize: 0, tickPadding: 8, label: null }),
    Plot.axisX({
      ticks: wholeTicks(...xDomain, 5),
      tickFormat: (value: number) => value.toLocaleString("en-US"),
      tickSize: 4,
      label: xLabel,
      labelAnchor: "center",
      labelArrow: "none",
    }),
  ];
  if (target !== undefined) {
    marks.push(Plot.ruleY([target], { stroke: "var(--muted)", strokeWidth: 1.5, strokeDasharray: "1.5 4" }));
  }
  for (const { norm, points } of drawn) {
    marks.push(
      Plot.areaY(points, {
        className: `s-${norm}`,
        x: "x",
        y1: "low",
        y2: "high",
        fill: colourOf(norm),
        fillOpacity: 0.14,
      }),
    );
  }
  for (const [i, { norm, points, last, ends }] of drawn.entries()) {
    const colour = colourOf(norm);
    const className = `s-${norm}`;
    const labelPixel = labelPixels[i] ?? 0;
    const anchor = { x: end + 11 * xPerPixel, y: invert?.(labelPixel) ?? last.median };
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
        strokeOpacity: 0.45,
        strokeWidth: 1,
        // where the series ends early, the line to its label must not look like its continuation
        strokeDasharray: last.x === end || x0 !== xDomain[0] ? "none" : "1 5",
      }),
      Plot.text([anchor], {
        className,
        x: "x",
        y: "y",
        text: [labelOf(norm)],
        textAnchor: "start",
        dx: 3,
        fill: colour,
        fontWeight: 600,
      }),
    );
    const alone = isolated(points);
    if (alone.length > 0) {
      marks.push(
        Plot.ruleX(alone, { className, x: "x", y1: "low", y2: "high", stroke: colour, strokeWidth: 2 }),
        Plot.dot(alone, { className, x: "x", y: "median", fill: colour, r: points.length === 1 ? 3.5 : 2.5 }),
      );
    }
    if (ends.length > 0) {
      marks.push(
        Plot.dot(ends, {
          className,
          x: "x",
          y: "y",
          symbol: "times",
          stroke: colour,
          strokeWidth: 2,
          r: 4.5,
        }),
      );
    }
  }
  const summary = drawn.map(({ norm, last }) => `${labelOf(norm)} ${formatNumber(last.median)}`).join(", ");
  const ariaLabel = `${title}. ${summary === "" ? "Nothing to draw." : `Median at the right end: ${summary}.`}`;
  const svg = draw(
    {
      width: LINE_WIDTH,
      height: LINE_HEIGHT,
      margin,
      x: { domain: [start, end] },
      y: yScale,
      ariaLabel,
      marks,
    },
    document,
  );
  const missing = series
    .filter(({ points }) => drawable(points).length === 0)
    .map(({ norm }) => labelOf(norm));
  return {
    svg,
    notes: [
      ...(missing.length > 0 ? [`Not drawn, for want of a finite value: ${missing.join(", ")}.`] : []),
      ...(y.clamped
        ? [`Values beyond the axis${y.type === "log" ? ", zero among them," : ""} are drawn at its edge.`]
        : []),
      ...(drawn.some(({ ends }) => ends.length > 0)
        ? ["× marks the last finite value of a trial that diverged."]
        : []),
    ],
  };
}
