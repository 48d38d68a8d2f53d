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

/** A figure with its caption above and its notes below; all of them HTML. */
export function figure(title: string, qualifier: string, { svg, notes }: Figure): string {
  const small = notes.length > 0 ? `<p class="note">${notes.join(" ")}</p>` : "";
  return `<figure><figcaption><b>${title}</b>${qualifier === "" ? "" : ` <span>${qualifier}</span>`}</figcaption>${svg}${small}</figure>`;
}
