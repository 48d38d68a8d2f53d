/** A page that holds everything it needs, in light and dark. */
import type { Figure } from "./draw.js";
import { STYLE } from "./style.js";

const ENTITIES: Record<string, string> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

export const escapeHtml = (text: string): string =>
  text.replace(/[&<>"']/g, (character) => ENTITIES[character] ?? "");

/** A command as HTML whose lines break between words, not within the name of an option. */
export const unbrokenWords = (command: string): string =>
  command
    .split(/(\s+)/)
    .map((word, i) => (i % 2 === 0 ? `<span>${escapeHtml(word)}</span>` : word))
    .join("");

/**
 * One HTML document that works from disk: no script, and a content security policy that forbids every request.
 * `title` is text, `ownStyle` CSS that follows the common style sheet, and `body` HTML.
 */
export function wholePage(title: string, ownStyle: string, body: string): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${escapeHtml(title)}</title>
<style>${STYLE}${ownStyle}</style>
</head>
<body>
${body}
</body>
</html>
`;
}

/** A figure with its caption above, its notes and its table below; all of them HTML. */
export function figure(title: string, qualifier: string, { svg, notes, twin = "" }: Figure): string {
  const small = notes.length > 0 ? `<p class="note">${notes.join(" ")}</p>` : "";
  return `<figure><figcaption><b>${title}</b>${qualifier === "" ? "" : ` <span>${qualifier}</span>`}</figcaption>${svg}${small}${twin}</figure>`;
}

/** What is folded away until it is asked for; all HTML. */
export const folded = (summary: string, body: string): string =>
  `<details><summary>${summary}</summary>${body}</details>`;

/** A table of numbers that stays one where there is little room, and scrolls by itself; all HTML but the caption. The first cell of a row is its head. */
export function plainTable(
  caption: string,
  heads: readonly string[],
  rows: readonly (readonly string[])[],
): string {
  const head = heads.map((cell) => `<th scope="col">${cell}</th>`).join("");
  const body = rows.map(
    ([first = "", ...rest]) =>
      `<tr><th scope="row">${first}</th>${rest.map((cell) => `<td>${cell}</td>`).join("")}</tr>`,
  );
  return `<div class="scroll" role="region" tabindex="0" aria-label="${escapeHtml(caption)}"><table class="plain"><caption>${escapeHtml(caption)}</caption><thead><tr>${head}</tr></thead><tbody>${body.join("\n")}</tbody></table></div>`;
}

/** The table that says what a figure shows, for who cannot see it or wants the numbers. */
export const tableTwin = (
  caption: string,
  heads: readonly string[],
  rows: readonly (readonly string[])[],
): string => folded("As a table", plainTable(caption, heads, rows));
