/** The norm of the gradient by layer and step: one map for each normalization, on one colour scale. */
import { multiples, thinned, wholeTicks } from "@evenkeel/report/axes";
import { draw, type Figure, LINE_WIDTH } from "@evenkeel/report/draw";
import { formatNumber, tenToThe } from "@evenkeel/report/format";
import { plainTable } from "@evenkeel/report/page";
import { quantile, rangeOf } from "@evenkeel/report/statistics";
import * as Plot from "@observablehq/plot";
import { labelOf, type NormName } from "../norms.js";
import { type Comparison, normsOf, trialsOf } from "../results.js";

/** A figure of one normalization, and its table. */
export interface Panel extends Figure {
  norm: NormName;
}

/** Of all maps together: more cells would make the page heavy, and their values more so. */
const MOST_CELLS = 9000;
const MOST_COLUMNS = 48;
const MOST_TABLE_COLUMNS = 8;
const MOST_DECADES = 14;

interface Cell {
  step: number;
  x1: number;
  x2: number;
  layer: number;
  exponent: number;
}

/**
 * The domain of log10 that the colours cover: everything, where that is at most `MOST_DECADES` (and at least one), so
 * that no slope is hidden; else that much about the median, so that one exploding network leaves the others theirs.
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

/** Width of one panel: alone it may be wide, few share a row, and six fit in one (two on a phone). */
function panelWidth(count: number): number {
  if (count === 1) return LINE_WIDTH;
  return count <= 3 ? 264 : 172;
}

/** One panel per normalization, all on one colour scale, and the legend of that scale. */
export function gradientMaps(
  comparison: Comparison,
  document: Document,
): {
  panels: Panel[];
  legend: string;
  width: number;
  notes: string[];
} {
  const norms = normsOf(comparison);
  const allSteps = [...new Set(comparison.trials.flatMap(({ probes }) => probes.map(({ step }) => step)))];
  const depth = Math.max(
    1,
    ...comparison.trials.flatMap(({ probes }) => probes.map(({ gradientNorm }) => gradientNorm.length)),
  );
  const columns = Math.floor(MOST_CELLS / (depth * Math.max(1, norms.length)));
  const steps = thinned(
    allSteps.sort((a, b) => a - b),
    Math.max(8, Math.min(MOST_COLUMNS, columns)),
  );
  // the column of each probe reaches half-way to its neighbours
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
        const { median } = rangeOf(atStep.map((probes) => probes.get(step)?.gradientNorm[layer]));
        if (median === null) return null;
        return {
          step,
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
    const worst = rangeOf(cells.map(({ exponent }) => 10 ** exponent));
    const range =
      worst.min === null
        ? "no probe has a number"
        : `from ${formatNumber(worst.min)} to ${formatNumber(worst.max)}`;
    const svg = draw(
      {
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
            // neither infinite nor missing: a gradient of zero takes the low end
            fill: ({ exponent }: Cell) => Number(Math.max(domain[0], exponent).toFixed(2)),
            shapeRendering: "crispEdges",
            title: ({ step, layer, exponent }: Cell) =>
              `step ${step}, layer ${layer}: ${formatNumber(10 ** exponent)}`,
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
      },
      document,
    );
    const shown = thinned(steps, MOST_TABLE_COLUMNS);
    const values = new Map(cells.map(({ step, layer, exponent }) => [`${step} ${layer}`, 10 ** exponent]));
    return {
      norm,
      svg,
      notes: cells.length === 0 ? ["No probe has a number."] : [],
      twin: plainTable(
        `${labelOf(norm)}: gradient norm by layer (rows) and step (columns)`,
        ["layer", ...shown.map((step) => step.toLocaleString("en-US"))],
        Array.from({ length: depth }, (_, i) => depth - i).map((layer) => [
          String(layer),
          ...shown.map((step) => formatNumber(values.get(`${step} ${layer}`) ?? null)),
        ]),
      ),
    };
  });

  const beyond = exponents.some((exponent) => exponent < domain[0] - 0.1 || exponent > domain[1] + 0.1);
  return {
    panels,
    legend: colourLegend(domain, color, document),
    width,
    notes: beyond
      ? ["Values beyond the colour scale, zero among them, take the colour of its nearer end."]
      : [],
  };
}

function colourLegend(domain: [number, number], color: Plot.ScaleOptions, document: Document): string {
  const [low, high] = domain;
  const count = 72;
  const steps = Array.from({ length: count }, (_, i) => ({
    from: low + ((high - low) * i) / count,
    to: low + ((high - low) * (i + 1)) / count,
  }));
  return draw(
    {
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
    },
    document,
  );
}
