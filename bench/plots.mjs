/** The figures of the page, each an SVG string whose colours are CSS variables. */

import { draw } from "@evenkeel/report/draw";
import { formatNumber } from "@evenkeel/report/format";
import { serverDocument } from "@evenkeel/report/server-document";
import * as Plot from "@observablehq/plot";

/**
 * @typedef {import("@evenkeel/report/draw").Figure} Figure
 * @typedef {{ low: number, median: number, high: number }} Range
 * @typedef {{ label: string, colour: string, hollow?: boolean }} Series `colour` a CSS variable
 * @typedef {{ at: string, series: Series } & Range} Dot `at`: a label of the vertical axis
 */

const WIDTH = 360;
const ROW = 23;
const GRID = { stroke: "var(--grid)", strokeOpacity: 1 };

/** Powers of ten, and where they are few, 2 and 5 between. @param {number} low @param {number} high */
function logTicks(low, high) {
  const decades = Math.log10(high / low);
  const digits =
    decades < 0.7 ? [1, 1.5, 2, 3, 5, 7] : decades < 1.4 ? [1, 2, 5] : decades < 2.2 ? [1, 3] : [1];
  const every = decades > 4 ? 2 : 1;
  const ticks = [];
  for (let exponent = Math.floor(Math.log10(low)); exponent <= Math.log10(high); exponent++) {
    if (exponent % every === 0) ticks.push(...digits.map((digit) => digit * 10 ** exponent));
  }
  return ticks.filter((tick) => tick >= low * 0.999 && tick <= high * 1.001);
}

/** A domain that holds all values, with some room. @param {Dot[]} dots @param {number[]} marks @returns {[number, number]} */
export function logDomain(dots, marks) {
  const values = [...marks, ...dots.flatMap(({ low, high }) => [low, high])];
  return [Math.min(...values) / 1.12, Math.max(...values) * 1.12];
}

/**
 * Ratios on a log axis, one row per label, with a line at 1 and a dotted one at the target.
 * @param {{ title: string, labels: string[], dots: Dot[], domain: [number, number], left: number, bar?: number }} options
 * @returns {Figure}
 */
export function ratios({ title, labels, dots, domain, left, bar }) {
  const ticks = logTicks(...domain);
  return dotFigure({
    title,
    labels,
    dots,
    left,
    x: { type: "log", domain },
    ticks,
    format: (value) => `${value >= 1000 ? value.toLocaleString("en-US") : Number(value.toPrecision(2))}×`,
    rules: [
      Plot.ruleX([1], { stroke: "var(--axis)", strokeWidth: 1.5 }),
      ...(bar
        ? [Plot.ruleX([bar], { stroke: "var(--muted)", strokeWidth: 1.5, strokeDasharray: "1.5 4" })]
        : []),
    ],
  });
}

/**
 * Values on a linear axis from 0.
 * @param {{ title: string, labels: string[], dots: Dot[], left: number, most: number }} options
 * @returns {Figure}
 */
export function amounts({ title, labels, dots, left, most }) {
  const step = [1, 2, 5, 10, 20, 50, 100].find((size) => most / size <= 5.5) ?? 200;
  const ticks = Array.from({ length: Math.floor(most / step) + 1 }, (_, i) => i * step);
  return dotFigure({ title, labels, dots, left, x: { domain: [0, most] }, ticks, format: String, rules: [] });
}

/**
 * @param {{ title: string, labels: string[], dots: Dot[], left: number, x: Plot.ScaleOptions, ticks: number[],
 *   format: (value: number) => string, rules: Plot.Markish[] }} options
 * @returns {Figure}
 */
function dotFigure({ title, labels, dots, left, x, ticks, format, rules }) {
  const summary = labels.map((label) => {
    const here = dots.filter(({ at }) => at === label).map(({ median }) => formatNumber(median));
    return `${label}: ${here.join(", ") || "none"}`;
  });
  const svg = draw(
    {
      width: WIDTH,
      height: labels.length * ROW + 34,
      margin: { top: 4, right: 14, bottom: 30, left },
      x,
      y: /** @type {Plot.ScaleOptions} */ ({ type: "point", domain: labels, padding: 0.5 }),
      ariaLabel: `${title}. ${summary.join("; ")}.`,
      marks: [
        Plot.gridX(ticks, GRID),
        Plot.ruleY(labels, GRID),
        ...rules,
        Plot.axisX(ticks, { text: format, tickSize: 0, tickPadding: 8, label: null }),
        Plot.axisY({ tickSize: 0, tickPadding: 8, label: null }),
        ...dots.flatMap((dot) => {
          const { colour, hollow } = dot.series;
          const stroke = `var(--${colour})`;
          return [
            Plot.link([dot], {
              x1: "low",
              x2: "high",
              y1: "at",
              y2: "at",
              stroke,
              strokeWidth: 2,
              strokeOpacity: 0.5,
            }),
            Plot.dot([dot], {
              x: "median",
              y: "at",
              r: 4.5,
              symbol: hollow ? "diamond" : "circle",
              fill: hollow ? "var(--page)" : stroke,
              stroke,
              strokeWidth: hollow ? 2 : 0,
            }),
          ];
        }),
      ],
    },
    serverDocument,
  );
  return { svg, notes: [] };
}

/**
 * Bars, each with its text at the end.
 * @param {{ title: string, bars: { label: string, value: number, text: string, colour: string }[], left: number }} options
 * @returns {Figure}
 */
export function lengths({ title, bars, left }) {
  const most = Math.max(...bars.map(({ value }) => value));
  const svg = draw(
    {
      width: WIDTH,
      height: bars.length * 30 + 10,
      margin: { top: 4, right: 62, bottom: 6, left },
      x: { domain: [0, most], axis: null },
      y: /** @type {Plot.ScaleOptions} */ ({
        type: "band",
        domain: bars.map(({ label }) => label),
        padding: 0.3,
      }),
      ariaLabel: `${title}. ${bars.map(({ label, text }) => `${label}: ${text}`).join("; ")}.`,
      marks: [
        Plot.axisY({ tickSize: 0, tickPadding: 8, label: null }),
        Plot.barX(bars, { x: "value", y: "label", fill: ({ colour }) => `var(--${colour})`, rx: 2 }),
        Plot.text(bars, {
          x: "value",
          y: "label",
          text: "text",
          textAnchor: "start",
          dx: 6,
          fill: "var(--ink)",
        }),
      ],
    },
    serverDocument,
  );
  return { svg, notes: [] };
}

/** A mark as in the figures, for the legend. @param {Series} series */
export function key({ label, colour, hollow }) {
  const shape = hollow
    ? `<path d="M7 1.5 12.5 7 7 12.5 1.5 7Z" fill="var(--page)" stroke="var(--${colour})" stroke-width="2"/>`
    : `<circle cx="7" cy="7" r="4.5" fill="var(--${colour})"/>`;
  return `<span class="key"><svg width="14" height="14" viewBox="0 0 14 14" aria-hidden="true">${shape}</svg>${label}</span>`;
}
