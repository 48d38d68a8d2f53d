/** What networks took the examples of each class for: a matrix for each normalization, which is a table too. */
import { escapeHtml } from "@evenkeel/report/page";
import { labelOf, type NormName, slugOf } from "../norms.js";
import { type Comparison, normsOf, trialsOf } from "../results.js";
import { clipped, type Looks, swatch } from "./series.js";

/** Letters of a class's name, of its whole name under the pointer, and of a column's head that stands upright. */
const NAME = 14;
const WHOLE_NAME = 120;
const UPRIGHT = 3;
/** In px. */
const CELL = 25;
const LETTER = 6.5;

/** The sum over the trials; undefined where no trial has one. */
function matrixOf(comparison: Comparison, norm: NormName): number[][] | undefined {
  const matrices = trialsOf(comparison, norm).flatMap(({ confusion }) => (confusion ? [confusion] : []));
  return matrices[0]?.map((row, is) =>
    row.map((_, answer) => matrices.reduce((sum, matrix) => sum + (matrix[is]?.[answer] ?? 0), 0)),
  );
}

const sumOf = (row: readonly number[]): number => row.reduce((sum, each) => sum + each, 0);

/** Cut in the middle: names of classes differ at their ends as often as at their beginnings. */
function shortName(name: string): string {
  const letters = [...clipped(name, WHOLE_NAME)];
  if (letters.length <= NAME) return letters.join("");
  const half = (NAME - 1) / 2;
  return `${letters.slice(0, Math.ceil(half)).join("").trimEnd()}…${letters.slice(-Math.floor(half)).join("").trimStart()}`;
}

/** A figure for each normalization that has a matrix, as HTML; empty where none has. */
export function confusionMatrices(comparison: Comparison, looks: Looks): string {
  const { classes } = comparison.data;
  const longest = Math.max(0, ...classes.map((name) => [...shortName(name)].length));
  // all as wide as the widest needs, so that they stand in columns
  const width = Math.ceil(longest * LETTER + (classes.length + 1) * CELL + 24);
  const figures = normsOf(comparison).flatMap((norm) => {
    const matrix = matrixOf(comparison, norm);
    if (!matrix) return [];
    const caption = `${labelOf(norm)}: held-out examples by class (rows) and answer (columns)`;
    return `<figure class="panel p-${slugOf(norm)}"><figcaption>${swatch(norm, looks)}<b>${labelOf(norm)}</b></figcaption>${matrixTable(matrix, classes, caption)}</figure>`;
  });
  return figures.length === 0
    ? ""
    : `<div class="matrices" style="--matrix:${width}px">${figures.join("")}</div>`;
}

/** The colour of a cell grows with its share of the row. */
function matrixTable(matrix: number[][], classes: readonly string[], caption: string): string {
  const names = matrix.map((_, i) => classes[i] ?? String(i));
  const head = (name: string, scope: "row" | "col"): string => {
    const short = shortName(name);
    const whole = short === name ? "" : ` title="${escapeHtml(clipped(name, WHOLE_NAME))}"`;
    return `<th scope="${scope}"${whole}><span>${escapeHtml(short)}</span></th>`;
  };
  const rows = matrix.map((row, is) => {
    const all = sumOf(row);
    const cells = row.map((count, answer) => {
      if (count === 0) return "<td></td>";
      // by the root: a few mistakes among many examples are seen too
      const share = Math.round(100 * Math.sqrt(count / all));
      return `<td${is === answer ? ' class="right"' : ""} style="--s:${share}">${count.toLocaleString("en-US")}</td>`;
    });
    return `<tr>${head(names[is] ?? "", "row")}${cells.join("")}<td class="sum">${all.toLocaleString("en-US")}</td></tr>`;
  });
  const turned = names.length > 2 && names.some((name) => shortName(name).length > UPRIGHT) ? " turned" : "";
  const heads = names.map((name) => head(name, "col")).join("");
  return `<div class="scroll" role="region" tabindex="0" aria-label="${escapeHtml(caption)}"><table class="plain confusion${turned}"><caption class="unseen">${escapeHtml(caption)}</caption><thead><tr><td></td>${heads}<th scope="col" class="sum"><span>all</span></th></tr></thead><tbody>${rows.join("\n")}</tbody></table></div>`;
}
