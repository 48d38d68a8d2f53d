/** The pages as HTML: what all of them have, and one for each normalization, made of docs/norms and the page that they share. */
import { STYLE } from "@evenkeel/report/style";
import type { Plugin } from "vite";

/** The style sheet of the reports, which the pages share with them. */
const REPORT_STYLE = "virtual:report.css";

/** Parts of the site, each a folder. */
const PARTS = [
  { path: "", title: "See it work" },
  { path: "data/", title: "Your data" },
  { path: "model/", title: "Your model" },
  { path: "norms/", title: "How it works" },
] as const;

/** @param path of the page, from the site's root: "norms/layerNorm/" */
function header(path: string): string {
  const up = "../".repeat(path.split("/").length - 1) || "./";
  const own = PARTS.findLast((part) => path.startsWith(part.path));
  const links = PARTS.map((part) => {
    const current = part !== own ? "" : ` aria-current="${part.path === path ? "page" : "true"}"`;
    return `<a href="${up}${part.path}index.html"${current}>${part.title}</a>`;
  });
  return `<a class="skip" href="#main">Skip to the content</a>
<header class="site"><div class="wide"><a class="name" href="${up}index.html">Evenkeel</a><nav aria-label="Site">${links.join("")}</nav></div></header>`;
}

const FOOTER = `<footer class="site"><div class="wide"><p>Evenkeel ${"%VERSION%"}: every normalization of deep learning, for TypeScript. Nothing that you drop here leaves this page.</p></div></footer>`;

export const pages = (): Plugin => ({
  name: "pages",
  resolveId: (id) => (id === REPORT_STYLE ? `\0${REPORT_STYLE}` : undefined),
  load: (id) => (id === `\0${REPORT_STYLE}` ? STYLE : undefined),
  transformIndexHtml: {
    order: "pre",
    handler: (html, { path }) =>
      html
        .replace("<body>", `<body>\n${header(path.replace(/^\//, "").replace(/index\.html$/, ""))}`)
        .replace("</body>", `${FOOTER}\n</body>`),
  },
});
