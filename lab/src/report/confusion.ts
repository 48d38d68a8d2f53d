/** What networks took the examples of each class for: a matrix for each normalization, which is a table too. */
import { escapeHtml } from "@evenkeel/report/page";
import { labelOf, type NormName } from "../norms.js";
import { type Comparison, normsOf, trialsOf } from "../results.js";
import { clipped, type Looks, swatch } from "./series.js";

/** Letters of a class's name. */
const NAME = 12;

/** The sum over the trials; undefined where no trial has one. */
function matrixOf(comparison: Comparison, norm: NormName): number[][] | undefined {
  const matrices = trialsOf(comparison, norm).flatMap(({ confusion }) => (confusion ? [confusion] : []));
  return matrices[0]?.map((row, is) =>
    row.map((_, answer) => matrices.reduce((sum, matrix) => sum + (matrix[is]?.[answer] ?? 0), 0)),
  );
}

const sumOf = (row: readonly number[]): number => row.reduce((sum, each) => sum + each, 0);

/** One panel per normalization that has a matrix; HTML. */
export function confusionPanels(comparison: Comparison, looks: Looks): { norm: NormName; html: string }[] {
  return normsOf(comparison).flatMap((norm) => {
    const matrix = matrixOf(comparison, norm);
    if (!matrix) return [];
    const names = matrix.map((_, i) => comparison.data.classes[i] ?? String(i));
    const caption = `${labelOf(norm)}: held-out examples by class (rows) and answer (columns)`;
    return [
      {
        norm,
        html: `<figure class="panel p-${norm}"><figcaption>${swatch(norm, looks)}<b>${labelOf(norm)}</b></figcaption>${matrixTable(matrix, names, caption)}</figure>`,
      },
    ];
  });
}

/** The colour of a cell grows with its share of the row. */
function matrixTable(matrix: number[][], names: string[], caption: string): string {
  const head = names.map((name) => `<th scope="col"><span>${escapeHtml(clipped(name, NAME))}</span></th>`);
  const rows = matrix.map((row, is) => {
    const all = sumOf(row);
    const cells = row.map((count, answer) => {
      if (count === 0) return "<td></td>";
      // by the root: a few mistakes among many examples are seen too
      const share = Math.round(100 * Math.sqrt(count / all));
      return `<td${is === answer ? ' class="right"' : ""} style="--s:${share}">${count.toLocaleString("en-US")}</td>`;
    });
    return `<tr><th scope="row">${escapeHtml(clipped(names[is] ?? "", NAME))}</th>${cells.join("")}<td class="sum">${all.toLocaleString("en-US")}</td></tr>`;
  });
  return `<div class="scroll" role="region" tabindex="0" aria-label="${escapeHtml(caption)}"><table class="plain confusion"><caption class="unseen">${escapeHtml(caption)}</caption><thead><tr><td></td>${head.join("")}<th scope="col" class="sum"><span>all</span></th></tr></thead><tbody>${rows.join("\n")}</tbody></table></div>`;
}
