/** The pages as HTML: what all of them have, and those that are made of docs and the page that they share. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { version } from "@evenkeel/lab/node/version";
import { escapeHtml } from "@evenkeel/report/page";
import { STYLE } from "@evenkeel/report/style";
import type { Plugin } from "vite";
import { type Docs, docs, type Page } from "./docs.ts";

/** What is made here and imported by pages. */
const MADE: Record<string, (made: () => Docs) => string> = {
  // the style sheet of the reports, which the pages share with them
  "virtual:report.css": () => STYLE,
  "virtual:search": (made) => `export default ${JSON.stringify(made().index)};`,
};

/** Parts of the site, each a folder. */
const PARTS = [
  { path: "", title: "See it work", has: /^$/ },
  { path: "data/", title: "Your data", has: /^data\// },
  { path: "model/", title: "Your model", has: /^model\// },
  { path: "norms/", title: "How it works", has: /^(norms|docs)\// },
] as const;

/** Pages that those made of docs are filled into, by the folder that these are in: at the same depth, so that what they load is found. */
const FORMS: Record<string, string> = { "norms/": "norms/norm/index.html", "docs/": "docs/page/index.html" };
const formOf = (folder: string): string => FORMS[`${folder.split("/")[0]}/`];

const pathOf = (form: string): string => fileURLToPath(new URL(`../${form}`, import.meta.url));

/** What every head begins with; an address from the site's root is made relative. */
const HEAD = `<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="/src/ui/icon.svg" type="image/svg+xml">`;

/** @param path of the page, from the site's root: "norms/layerNorm/" */
function header(path: string): string {
  const up = "../".repeat(path.split("/").length - 1) || "./";
  const links = PARTS.map((part) => {
    const current = part.has.test(path) ? ` aria-current="${part.path === path ? "page" : "true"}"` : "";
    return `<a href="${up}${part.path}index.html"${current}>${part.title}</a>`;
  });
  return `<a class="skip" href="#main">Skip to the content</a>
<header class="site"><div class="wide"><a class="name" href="${up}index.html">Evenkeel</a><nav aria-label="Site">${links.join("")}</nav></div></header>`;
}

const FOOTER = `<footer class="site"><div class="wide"><p>Evenkeel ${version}: every normalization of deep learning, for TypeScript. Nothing that you drop here leaves this page.</p></div></footer>`;

const filled = (form: string, { title, description, html }: Page): string =>
  form
    .replace(
      /<title>.*?<\/title>/s,
      () =>
        `<title>${escapeHtml(title)} · Evenkeel</title>\n    <meta name="description" content="${escapeHtml(description)}" />`,
    )
    .replace(/(<main\b[^>]*>).*?(?=<\/main>)/s, (_, main) => `${main}\n${html}\n`);

export function pages(): Plugin {
  let kept: Docs | undefined;
  const made = (): Docs => (kept ??= docs());
  return {
    name: "pages",
    config: () => ({
      build: { rolldownOptions: { input: { norm: pathOf(FORMS["norms/"]), docs: pathOf(FORMS["docs/"]) } } },
    }),
    resolveId: (id) => (id in MADE ? `\0${id}` : undefined),
    load: (id) => MADE[id.slice(1)]?.(made),
    transformIndexHtml: {
      order: "pre",
      handler: (html, { path }) =>
        html
          .replace("<head>", `<head>\n${HEAD}`)
          .replace("<body>", () => `<body>\n${header(path.replace(/^\//, "").replace(/index\.html$/, ""))}`)
          .replace("<!-- list -->", () => made().list)
          .replace("</body>", () => `${FOOTER}\n</body>`),
    },
    generateBundle: {
      order: "post",
      handler(_, bundle) {
        for (const form of Object.values(FORMS)) {
          const asset = bundle[form];
          if (asset?.type !== "asset")
            throw new Error(
              `pages: expected ${form} among what was built, got ${Object.keys(bundle).join(", ")}`,
            );
          const html = String(asset.source);
          delete bundle[form];
          for (const [folder, page] of made().pages) {
            if (formOf(folder) === form)
              this.emitFile({ type: "asset", fileName: `${folder}index.html`, source: filled(html, page) });
          }
        }
        for (const [fileName, path] of made().images)
          this.emitFile({ type: "asset", fileName, source: readFileSync(path) });
      },
    },
    configureServer({ middlewares, transformIndexHtml }) {
      middlewares.use((request, response, next) => {
        const path = (request.url ?? "").replace(/[?#].*/, "").slice(1);
        const folder = path.replace(/index\.html$/, "");
        const page = made().pages.get(folder);
        const image = made().images.get(path);
        if (image) response.setHeader("content-type", "image/svg+xml").end(readFileSync(image));
        else if (page) {
          const html = filled(readFileSync(pathOf(formOf(folder)), "utf8"), page);
          transformIndexHtml(`/${formOf(folder)}`, html).then(
            (text) => response.setHeader("content-type", "text/html").end(text),
            next,
          );
        } else next();
      });
    },
  };
}
