/** Values that appear where the pointer is, without a script: the style sheet shows what belongs to the strip below it. */
import { thinned } from "@evenkeel/report/axes";
import { escapeHtml } from "@evenkeel/report/page";
import { type NormName, slugOf } from "../norms.js";

/** A line of text; of a normalization's, it has its colour and goes with its switch. */
export interface TipLine {
  text: string;
  norm?: NormName;
}

interface Box {
  x: number;
  y: number;
  width: number;
  height: number;
}

const LINE = 14;
const LETTER_WIDTH = 6.2;
const PADDING = 6;

/** The strip that the pointer meets, and what it then shows: as many lines as the frame holds, on its emptier side. */
function tip(strip: Box, frame: Box, lines: readonly TipLine[]): string {
  const room = Math.max(2, Math.floor((frame.height - 2 * PADDING) / LINE));
  const shown =
    lines.length <= room
      ? lines
      : [...lines.slice(0, room - 1), { text: `and ${lines.length - room + 1} more in the table` }];
  const longest = Math.max(...shown.map(({ text }) => text.length));
  const width = Math.ceil(longest * LETTER_WIDTH + 2 * PADDING);
  const height = shown.length * LINE + 2 * PADDING - 2;
  const middle = strip.x + strip.width / 2;
  const beside = middle < frame.x + frame.width / 2 ? middle + 8 : middle - 8 - width;
  // one that is wider than the frame begins left of it
  const x = Math.round(Math.max(2, Math.min(frame.x + frame.width - width, Math.max(frame.x, beside))));
  const y = Math.round(Math.max(frame.y, Math.min(frame.y + frame.height - height, strip.y)));
  const said = shown.map(
    ({ text, norm }, i) =>
      `<tspan x="${x + PADDING}" dy="${i === 0 ? 0 : LINE}"${norm === undefined ? "" : ` class="s-${slugOf(norm)}"`}>${escapeHtml(text)}</tspan>`,
  );
  return `<g class="tip"><rect ${at(strip)}/><g><rect ${at({ x, y, width, height })}/><text x="${x + PADDING}" y="${y + LINE + 1}">${said.join("")}</text></g></g>`;
}

const at = ({ x, y, width, height }: Box): string =>
  `x="${round(x)}" y="${round(y)}" width="${round(width)}" height="${round(height)}"`;

const round = (value: number): number => Number(value.toFixed(1));

/** Most strips of one figure: more could not be told apart by a pointer. */
const MOST_STRIPS = 40;

/**
 * An SVG with a tip for each of these positions (pixels, along x or y), within `frame`: the strip of each reaches
 * half-way to its neighbours.
 */
export function withTips(
  svg: string,
  frame: Box,
  direction: "x" | "y",
  positions: readonly { pixel: number; lines: readonly TipLine[] }[],
): string {
  const used = thinned(
    positions.toSorted((a, b) => a.pixel - b.pixel),
    MOST_STRIPS,
  );
  const [start, size] = direction === "x" ? [frame.x, frame.width] : [frame.y, frame.height];
  const tips = used.map(({ pixel, lines }, i) => {
    const before = used[i - 1];
    const after = used[i + 1];
    const from = before ? (before.pixel + pixel) / 2 : start;
    const to = after ? (after.pixel + pixel) / 2 : start + size;
    const strip =
      direction === "x"
        ? { ...frame, x: from, width: Math.max(0, to - from) }
        : { ...frame, y: from, height: Math.max(0, to - from) };
    return tip(strip, frame, lines);
  });
  return svg.replace(/<\/svg>\s*$/, `<g class="tips" text-anchor="start">${tips.join("")}</g></svg>`);
}
