/**
 * The figures of the report: Observable Plot drawn on the server, each an SVG string.
 *
 * Every figure has a natural width that a phone can show without shrinking its text; the page puts several side
 * by side. Colours are CSS variables (`--n-none`, `--n-layer`, …), so that one drawing serves the light and the dark
 * scheme, and each normalization's marks carry its class (`s-none`, `s-layer`, …), so that the page can hide them.
 */
import * as Plot from "@observablehq/plot";
import { parseHTML } from "linkedom";
import { formatNumber, minus, tenToThe } from "../format.js";
import { labelOf } from "../norms.js";
import { type Comparison, type NormName, type Probe, quantile, spreadOf, type Trial } from "../results.js";
import { colourOf, looksOf } from "./series.js";

/** A drawing, and what its reader must know beside it (one sentence each). */
export interface Figure {
  svg: string;
  notes: string[];
}

/** A figure of one normalization. */
export interface Panel extends Figure {
  norm: NormName;
}

const { document } = parseHTML("<!doctype html><html><body></body></html>");
const FONT_SIZE = 12;
const LINE_WIDTH = 360;
const LINE_HEIGHT = 236;
/** Of a bold letter, at most on average. */
const LETTER_WIDTH = 7;

const isNumber = (value: number | null | undefined): value is number =>
  value !== null && value !== undefined && Number.isFinite(value);

// ---- axes ----

function formatTick(value: number): string {
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 0.001 && size < 10_000) return minus(String(Number(value.toPrecision(6))));
  const exponent = Math.floor(Math.log10(size) + 1e-9);
  const mantissa = Math.round(size / 10 ** exponent);
  return `${value < 0 ? "−" : ""}${mantissa === 1 ? "" : `${mantissa}×`}${tenToThe(exponent)}`;
}

interface Axis {
  type: "linear" | "log" | "symlog";
  domain: [number, number];
  ticks: number[];
  format: (value: number) => string;
  /** Where symlog turns from linear to logarithmic. */
  constant: number;
  /** Some values lie beyond the domain and are drawn at its edge. */
  clamped: boolean;
}

/** The round step (1, 2 or 5 times a power of ten) that cuts a span into about `count` pieces. */
function roundStep(span: number, count: number): number {
  const raw = span / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  const digit = [1, 2, 5, 10].find((candidate) => candidate * power >= raw * (1 - 1e-9)) ?? 10;
  return digit * power;
}

const multiples = (step: number, low: number, high: number): number[] => {
  const first = Math.ceil(low / step - 1e-9);
  const count = Math.floor(high / step + 1e-9) - first + 1;
  return Array.from({ length: count }, (_, i) => Number(((first + i) * step).toPrecision(12)));
};

/** Ticks at whole numbers; the lower end has one too, where the next leaves it room. */
function wholeTicks(low: number, high: number, count: number): number[] {
  if (high <= low) return [low];
  const step = Math.max(1, Math.round(roundStep(high - low, count)));
  const ticks = multiples(step, low, high);
  return (ticks[0] ?? high) - low >= 0.6 * step ? [low, ...ticks] : ticks;
}

function linearAxis(low: number, high: number): Axis {
  const step = roundStep(high > low ? high - low : Math.abs(high) || 1, 5);
  // An end that is a little beyond a tick stays where it is: a whole step more would be mostly empty.
  const [below, above] = [Math.floor(low / step + 1e-9) * step, Math.ceil(high / step - 1e-9) * step];
  const domain: [number, number] = [
    low - below > 0.75 * step ? low : below,
    above - high > 0.75 * step ? high : above,
  ];
  if (domain[0] === domain[1]) domain[1] += step;
  return {
    type: "linear",
    domain,
    ticks: multiples(step, ...domain),
    format: formatTick,
    constant: 1,
    clamped: false,
  };
}

/** The value with one digit, not above it. */
function roundBelow(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value) + 1e-9);
  return power * Math.floor(value / power + 1e-9);
}

/** The value with one digit, not below it. */
function roundAbove(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value) + 1e-9);
  return power * Math.ceil(value / power - 1e-9);
}

/** Powers of ten within a domain of exponents, thinned to at most `most`. */
function decades(low: number, high: number, most: number): number[] {
  const every = Math.max(1, Math.ceil((Math.floor(high) - Math.ceil(low) + 1) / most));
  return multiples(every, low, high).map((exponent) => Number(`1e${exponent}`));
}

function logAxis(positive: number[]): Axis {
  const sorted = positive.toSorted((a, b) => a - b);
  const max = quantile(sorted, 1);
  const min = quantile(sorted, 0);
  // One exploding trial must not press all others flat against the floor, nor one underflow against the ceiling.
  const top = Math.min(max, quantile(sorted, 0.9) * 1e4);
  const bottom = Math.max(min, top * 1e-16);
  let low = roundBelow(bottom);
  let high = roundAbove(top);
  if (high / low < 10) {
    const middle = Math.sqrt(low * high);
    low = roundBelow(middle / Math.sqrt(10));
    high = roundAbove(middle * Math.sqrt(10));
  }
  const [from, to] = [Math.log10(low), Math.log10(high)];
  const fewDecades = to - from < 2.5;
  const ticks = fewDecades
    ? [1, 2, 5].flatMap((digit) => decades(from - 1, to, 99).map((power) => digit * power))
    : decades(from, to, 6);
  return {
    type: "log",
    domain: [low, high],
    ticks: ticks.filter((tick) => tick >= low * 0.999 && tick <= high * 1.001).sort((a, b) => a - b),
    format: fewDecades ? formatTick : (value) => tenToThe(Math.round(Math.log10(value))),
    constant: 1,
    clamped: max > high * 1.001 || min < low * 0.999,
  };
}

/** For signed values whose sizes span decades: linear about zero, logarithmic beyond. */
function symlogAxis(values: number[]): Axis {
  const sizes = values.map(Math.abs).sort((a, b) => a - b);
  const largest = quantile(sizes, 1);
  const exponent = Math.floor(Math.log10(quantile(sizes, 0.5) || largest));
  const powers = decades(exponent, Math.log10(largest), 3);
  const low = Math.min(0, ...values);
  const high = Math.max(0, ...values);
  const ticks = [...powers.map((power) => -power), 0, ...powers].filter(
    (tick) => tick >= low && tick <= high,
  );
  const domain: [number, number] = [low * 1.2, high * 1.2];
  return { type: "symlog", domain, ticks, format: formatTick, constant: 10 ** exponent, clamped: false };
}

/** Logarithmic where all is positive and the sizes span more than a decade (or `always`); else linear from zero. */
function magnitudeAxis(values: number[], always = false): Axis {
  const positive = values.filter((value) => value > 0);
  if (positive.length === 0) return linearAxis(0, 1);
  const spans = Math.max(...positive) > 10 * Math.min(...positive);
  if (!spans && !always) return linearAxis(0, Math.max(...positive));
  const axis = logAxis(positive);
  return positive.length < values.length ? { ...axis, clamped: true } : axis;
}

function signedAxis(values: number[]): Axis {
  if (values.length === 0) return linearAxis(-1, 1);
  const sizes = values.map(Math.abs).sort((a, b) => a - b);
  const typical = quantile(sizes, 0.5);
  if (typical > 0 && quantile(sizes, 1) > 100 * typical) return symlogAxis(values);
  return linearAxis(Math.min(0, ...values), Math.max(0, ...values));
}

function metricAxis(metric: Comparison["metric"], values: number[]): Axis {
  const min = Math.min(1, ...values);
  if (metric === "accuracy") {
    const axis = linearAxis(min >= 0.5 ? Math.min(0.9, Math.floor(min * 10) / 10) : 0, 1);
    return { ...axis, format: (value) => `${Number((100 * value).toPrecision(6))}\u00a0%` };
  }
  return { ...linearAxis(Math.max(-1, Math.min(0, min)), 1), clamped: min < -1 };
}

// ---- lines with their spread ----

/** NaN where no seed gave a number: the line has a gap there. */
interface Point {
  x: number;
  low: number;
  median: number;
  high: number;
}

interface Series {
  norm: NormName;
  points: Point[];
  /** Where trials of this normalization diverged. */
  ends: { x: number; y: number }[];
}

interface LineFigure {
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

/** Joins the values that several seeds gave at one x. */
function pointsOf(rows: { x: number; values: (number | null | undefined)[] }[]): Point[] {
  return rows.map(({ x, values }) => {
    const { median, min, max } = spreadOf(values);
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

const valuesOf = (series: Series[]): number[] =>
  series.flatMap(({ points }) => drawable(points).flatMap(({ low, median, high }) => [low, median, high]));

/**
 * Moves labels apart along one line, as little as the gap between them needs: those in each other's way become a
 * block about their middle (the pool-adjacent-violators form of least squares). Answers in the order given.
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

function lineFigure({ title, series, xLabel, xDomain, reverse = false, y, target }: LineFigure): Figure {
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
    // `text`, not `tickFormat`: on a log axis Plot drops the labels of most ticks that are not powers of ten.
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
        // Where the series ends early, its label must not look like its continuation.
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
  const svg = draw({
    width: LINE_WIDTH,
    height: LINE_HEIGHT,
    margin,
    x: { domain: [start, end] },
    y: yScale,
    ariaLabel: `${title}. ${summary === "" ? "Nothing to draw." : `Median at the right end: ${summary}.`}`,
    marks,
  });
  const missing = series
    .filter(({ points }) => drawable(points).length === 0)
    .map(({ norm }) => labelOf(norm));
  return {
    svg,
    notes: [
      ...(missing.length > 0 ? [`Not drawn, having no finite value: ${missing.join(", ")}.`] : []),
      ...(y.clamped
        ? [`Values beyond the axis${y.type === "log" ? ", zero among them," : ""} are drawn at its edge.`]
        : []),
      ...(drawn.some(({ ends }) => ends.length > 0)
        ? ["× marks the last finite value of a trial that diverged."]
        : []),
    ],
  };
}

export interface Drawing {
  width: number;
  height: number;
  margin: { top: number; right: number; bottom: number; left: number };
  x: Plot.ScaleOptions;
  y: Plot.ScaleOptions;
  color?: Plot.ScaleOptions;
  ariaLabel: string;
  marks: Plot.Markish[];
}

/** An SVG for the server, with short coordinates. */
export function draw({ margin, ...options }: Drawing): string {
  const svg = Plot.plot({
    ...options,
    document,
    marginTop: margin.top,
    marginRight: margin.right,
    marginBottom: margin.bottom,
    marginLeft: margin.left,
    style: { fontSize: `${FONT_SIZE}px` },
  });
  svg.setAttribute("role", "img");
  // Plot writes 16 digits for every coordinate; a hundredth of a pixel is enough.
  return svg.outerHTML.replace(/\d+\.\d{7,}/g, (digits) => String(Number(Number(digits).toFixed(2))));
}

const trialsOf = (comparison: Comparison, norm: NormName): Trial[] =>
  comparison.trials.filter((trial) => trial.norm === norm);

const normsOf = (comparison: Comparison): NormName[] => comparison.summaries.map(({ norm }) => norm);

/** One series per normalization from a value that every epoch has. */
function epochSeries(comparison: Comparison, value: "trainLoss" | "metric"): Series[] {
  return normsOf(comparison).map((norm) => {
    const trials = trialsOf(comparison, norm);
    const epochs = [...new Set(trials.flatMap((trial) => trial.epochs.map(({ epoch }) => epoch)))].sort(
      (a, b) => a - b,
    );
    const ends = trials
      .filter(({ outcome }) => outcome === "diverged")
      .flatMap((trial) => {
        const last = trial.epochs.filter((epoch) => isNumber(epoch[value])).at(-1);
        return last && isNumber(last[value]) ? [{ x: last.epoch, y: last[value] }] : [];
      });
    const points = pointsOf(
      epochs.map((x) => ({
        x,
        values: trials.map((trial) => trial.epochs.find(({ epoch }) => epoch === x)?.[value]),
      })),
    );
    return { norm, points, ends };
  });
}

/** Training loss and the held-out metric by epoch. */
export function learningCurves(comparison: Comparison): { loss: Figure & { log: boolean }; metric: Figure } {
  const xDomain: [number, number] = [1, Math.max(1, comparison.training.epochs)];
  const losses = epochSeries(comparison, "trainLoss");
  const metrics = epochSeries(comparison, "metric");
  const lossAxis = magnitudeAxis(valuesOf(losses));
  const metricAxisOf = metricAxis(comparison.metric, [
    ...valuesOf(metrics),
    ...(comparison.targetMetric === null ? [] : [comparison.targetMetric]),
  ]);
  const common = { xLabel: "epoch", xDomain };
  return {
    loss: {
      ...lineFigure({ ...common, title: "Training loss by epoch", series: losses, y: lossAxis }),
      log: lossAxis.type === "log",
    },
    metric: lineFigure({
      ...common,
      title: `Held-out ${comparison.metric} by epoch`,
      series: metrics,
      y: metricAxisOf,
      target: comparison.targetMetric ?? undefined,
    }),
  };
}

// ---- profiles over the depth ----

type ProbeValue = "gradientNorm" | "activationMean" | "activationSpread";

/** A pair of figures with one vertical axis: at each trial's first probe, and at its last that has numbers. */
export interface Profile {
  first: Figure;
  last: Figure;
  /** The step of the first probe, where all trials agree on it. */
  firstStep: number | null;
  scale: Axis["type"];
}

function depthSeries(
  comparison: Comparison,
  value: ProbeValue,
  choose: (probes: Probe[]) => Probe | undefined,
): Series[] {
  return normsOf(comparison).map((norm) => {
    const chosen = trialsOf(comparison, norm).map(({ probes }) =>
      choose(probes.filter((probe) => probe[value].some(isNumber))),
    );
    const depth = Math.max(0, ...chosen.map((probe) => probe?.[value].length ?? 0));
    const points = pointsOf(
      Array.from({ length: depth }, (_, layer) => ({
        x: layer + 1,
        values: chosen.map((probe) => probe?.[value][layer]),
      })),
    );
    return { norm, points, ends: [] };
  });
}

/** Gradient norm, or mean or spread of the activations, by depth, at the start and at the end of training. */
export function depthProfile(comparison: Comparison, value: ProbeValue): Profile {
  const first = depthSeries(comparison, value, (probes) => probes[0]);
  const last = depthSeries(comparison, value, (probes) => probes.at(-1));
  const values = valuesOf([...first, ...last]);
  const y = value === "activationMean" ? signedAxis(values) : magnitudeAxis(values, value === "gradientNorm");
  const depth = Math.max(1, ...[...first, ...last].flatMap(({ points }) => points.map(({ x }) => x)));
  const steps = new Set(comparison.trials.flatMap(({ probes }) => (probes[0] ? [probes[0].step] : [])));
  const name = {
    gradientNorm: "Gradient norm by layer",
    activationMean: "Mean activation by layer",
    activationSpread: "Spread of the activations by layer",
  }[value];
  const common = {
    xLabel: "layer (1 = next to the input)",
    xDomain: [1, depth] as [number, number],
    // The way the signal travels: gradients from the last layer to the first, activations the other way.
    reverse: value === "gradientNorm",
    y,
  };
  return {
    first: lineFigure({ ...common, title: `${name}, first probe`, series: first }),
    last: lineFigure({ ...common, title: `${name}, last probe`, series: last }),
    firstStep: steps.size === 1 ? ([...steps][0] ?? null) : null,
    scale: y.type,
  };
}

// ---- gradient norm by depth over training ----

const MOST_COLUMNS = 48;
const MOST_DECADES = 14;

interface Cell {
  x1: number;
  x2: number;
  layer: number;
  exponent: number;
}

/** At most `MOST_COLUMNS` of the steps, evenly chosen, the first and the last among them: more would be finer than a pixel. */
function thin(steps: number[]): number[] {
  if (steps.length <= MOST_COLUMNS) return steps;
  const stride = (steps.length - 1) / (MOST_COLUMNS - 1);
  return Array.from({ length: MOST_COLUMNS }, (_, i) => steps[Math.round(i * stride)] ?? 0);
}

/**
 * The domain of log10 that the colours cover: everything, where that is at most `MOST_DECADES` (and at least one),
 * so that no slope is hidden; else that much about the median, so that one that explodes leaves the rest its colours.
 */
function colourDomain(exponents: number[]): [number, number] {
  if (exponents.length === 0) return [-1, 0];
  const sorted = exponents.toSorted((a, b) => a - b);
  const min = Math.floor(10 * quantile(sorted, 0)) / 10;
  const max = Math.ceil(10 * quantile(sorted, 1)) / 10;
  if (max - min <= MOST_DECADES) return [Math.min(min, max - 1), max];
  const high = Math.min(max, Math.max(min, quantile(sorted, 0.5) - MOST_DECADES / 2) + MOST_DECADES);
  return [high - MOST_DECADES, high];
}

/** Width of one panel: alone it has the page, few share it, and six stand in one row (two in a row on a phone). */
function panelWidth(count: number): number {
  if (count === 1) return LINE_WIDTH;
  return count <= 3 ? 264 : 172;
}

/** One panel per normalization, all on one colour scale, and that scale's legend. */
export function gradientMaps(comparison: Comparison): {
  panels: Panel[];
  legend: string;
  width: number;
  notes: string[];
} {
  const norms = normsOf(comparison);
  const allSteps = [...new Set(comparison.trials.flatMap(({ probes }) => probes.map(({ step }) => step)))];
  const steps = thin(allSteps.sort((a, b) => a - b));
  const depth = Math.max(
    1,
    ...comparison.trials.flatMap(({ probes }) => probes.map(({ gradientNorm }) => gradientNorm.length)),
  );
  // Each probe's column reaches half-way to its neighbours.
  const edges = steps.map((step, i) => {
    const before = steps[i - 1] ?? step - ((steps[i + 1] ?? step + 1) - step);
    return (before + step) / 2;
  });
  const lastStep = steps.at(-1) ?? 0;
  edges.push(lastStep + (lastStep - (edges.at(-1) ?? lastStep - 0.5)));

  const maps = norms.map((norm) => {
    const atStep = trialsOf(comparison, norm).map(
      ({ probes }) => new Map(probes.map((probe) => [probe.step, probe])),
    );
    const cells = steps.flatMap((step, column) =>
      Array.from({ length: depth }, (_, layer): Cell | null => {
        const { median } = spreadOf(atStep.map((probes) => probes.get(step)?.gradientNorm[layer]));
        if (median === null) return null;
        return {
          x1: edges[column] ?? step,
          x2: edges[column + 1] ?? step,
          layer: layer + 1,
          exponent: Math.log10(median),
        };
      }).filter((cell) => cell !== null),
    );
    return { norm, cells };
  });
  const exponents = maps.flatMap(({ cells }) => cells.map(({ exponent }) => exponent));
  const domain = colourDomain(exponents.filter(Number.isFinite));
  const color: Plot.ScaleOptions = { type: "linear", scheme: "viridis", domain, clamp: true };
  const width = panelWidth(norms.length);
  const height = width === 172 ? 196 : 236;
  const margin = { top: 8, right: 10, bottom: 36, left: 28 };
  const xDomain: [number, number] = [edges[0] ?? 0, edges.at(-1) ?? 1];

  const panels = maps.map(({ norm, cells }): Panel => {
    const worst = spreadOf(cells.map(({ exponent }) => 10 ** exponent));
    const range =
      worst.min === null
        ? "no probe has a number"
        : `from ${formatNumber(worst.min)} to ${formatNumber(worst.max)}`;
    const svg = draw({
      width,
      height,
      margin,
      x: { domain: xDomain },
      y: { domain: [0.5, depth + 0.5] },
      color,
      ariaLabel: `Gradient norm by step and layer, ${labelOf(norm)}: ${range}.`,
      marks: [
        Plot.frame({ fill: "url(#missing)", stroke: null }),
        Plot.rect(cells, {
          x1: "x1",
          x2: "x2",
          y1: ({ layer }: Cell) => layer - 0.5,
          y2: ({ layer }: Cell) => layer + 0.5,
          // Neither an infinite nor a missing colour: a gradient of zero takes the low end.
          fill: ({ exponent }: Cell) => Number(Math.max(domain[0], exponent).toFixed(2)),
          shapeRendering: "crispEdges",
        }),
        Plot.frame({ stroke: "var(--axis)" }),
        Plot.axisY({
          ticks: wholeTicks(1, depth, 5),
          tickFormat: "d",
          tickSize: 0,
          tickPadding: 6,
          label: null,
        }),
        Plot.axisX({
          ticks: wholeTicks(steps[0] ?? 0, lastStep, width === LINE_WIDTH ? 5 : 3),
          tickFormat: (value: number) => value.toLocaleString("en-US"),
          tickSize: 4,
          label: "step",
          labelAnchor: "center",
          labelArrow: "none",
        }),
      ],
    });
    return { norm, svg, notes: cells.length === 0 ? ["No probe has a number."] : [] };
  });

  const beyond = exponents.some((exponent) => exponent < domain[0] - 0.1 || exponent > domain[1] + 0.1);
  return {
    panels,
    legend: colourLegend(domain, color),
    width,
    notes: beyond
      ? ["Values beyond the colour scale, zero among them, take the colour of its nearer end."]
      : [],
  };
}

function colourLegend(domain: [number, number], color: Plot.ScaleOptions): string {
  const [low, high] = domain;
  const count = 72;
  const steps = Array.from({ length: count }, (_, i) => ({
    from: low + ((high - low) * i) / count,
    to: low + ((high - low) * (i + 1)) / count,
  }));
  return draw({
    width: 300,
    height: 38,
    margin: { top: 4, right: 18, bottom: 22, left: 18 },
    x: { domain },
    y: { domain: [0, 1], axis: null },
    color,
    ariaLabel: `Colour scale of the gradient norm, from ${formatNumber(10 ** low)} (dark) to ${formatNumber(10 ** high)} (bright).`,
    marks: [
      Plot.rect(steps, { x1: "from", x2: "to", y1: 0, y2: 1, fill: "from", shapeRendering: "crispEdges" }),
      Plot.axisX({
        ticks: multiples(Math.max(1, Math.ceil((high - low) / 6)), low, high),
        tickFormat: tenToThe,
        tickSize: 4,
        label: null,
      }),
    ],
  });
}
