/** What the site has of docs: a page for each normalization and each guide, the list of them, and the index that finds them. */
import { readdirSync } from "node:fs";
import { posix } from "node:path";
import { escapeHtml } from "@evenkeel/report/page";
import { type About, catalog } from "evenkeel";
import { saidBy } from "./axes.ts";
import { familiesOf } from "./families.ts";
import { type Article, articleOf, pathOfDoc, readDoc } from "./markdown.ts";
import { calledElsewhere, type Elsewhere, indexOf, initialsOf, namesElsewhere } from "./search.ts";

export interface Page {
  title: string;
  description: string;
  /** What is in its `<main>`. */
  html: string;
}

export interface Docs {
  /** By folder: "norms/layerNorm/". */
  pages: Map<string, Page>;
  /** Files that pages show, by path in the site; on the disk. */
  images: Map<string, string>;
  /** Part of norms/index.html. */
  list: string;
  /** JSON, of `SEARCH`. */
  index: string;
}

const NORMS = "docs/norms/README.md";

const norms: readonly About[] = Object.values(catalog).map(({ about }) => about);
const docOf = ({ name }: About): string => `docs/norms/${name}.md`;
const guides = (): string[] =>
  readdirSync(pathOfDoc("docs"))
    .filter((name) => name.endsWith(".md"))
    .map((name) => `docs/${name}`);

/** Folders of the site, by the Markdown that they are made of. */
function folders(): Map<string, string> {
  return new Map([
    [NORMS, "norms/"],
    ...norms.map((about): [string, string] => [docOf(about), `norms/${about.name}/`]),
    ...guides().map((path): [string, string] => [path, `docs/${posix.basename(path, ".md")}/`]),
  ]);
}

/** @throws SyntaxError where a formula of docs/norms is none */
export function docs(): Docs {
  const byDoc = folders();
  const pages: Docs["pages"] = new Map();
  const images: Docs["images"] = new Map();
  const articles = new Map<string, Article>();
  for (const [path, folder] of byDoc) {
    if (path === NORMS) continue;
    const article = articleOf(readDoc(path), {
      path,
      linkTo: (other) => {
        const target = byDoc.get(other);
        return target === undefined ? undefined : `${posix.relative(folder, target)}/index.html`;
      },
    });
    articles.set(path, article);
    for (const { from, to } of article.images) images.set(folder + to, pathOfDoc(from));
  }
  const elsewhere = namesElsewhere(readDoc(NORMS));
  for (const [i, about] of norms.entries()) {
    const article = articles.get(docOf(about)) as Article;
    pages.set(
      `norms/${about.name}/`,
      normPage(about, article, elsewhere.get(about.name) ?? [], norms[i - 1], norms[i + 1]),
    );
  }
  for (const path of guides()) {
    const { title, lead, html } = articles.get(path) as Article;
    const description = lead.length > 200 ? `${lead.slice(0, lead.lastIndexOf(" ", 197))} …` : lead;
    pages.set(byDoc.get(path) as string, {
      title,
      description,
      html: `${crumbs}<h1>${escapeHtml(title)}</h1>\n${html}`,
    });
  }
  const index = indexOf(
    norms.map((about) => ({
      ...about,
      initials: initialsOf(about.title),
      names: (elsewhere.get(about.name) ?? []).map(calledElsewhere),
      text: (articles.get(docOf(about)) as Article).text,
    })),
  );
  return { pages, images, list: listOf(articles), index };
}

const crumbs = `<nav class="crumbs" aria-label="Breadcrumb"><a href="../../norms/index.html">How it works</a></nav>\n`;

function normPage(
  about: About,
  article: Article,
  elsewhere: Elsewhere[],
  before?: About,
  after?: About,
): Page {
  const { name, title, summary } = about;
  const editor = `<div id="editor" data-norm="${name}"></div>
<noscript><p class="note">The numbers that one can change here need JavaScript; all else does without.</p></noscript>
`;
  const [above, ...below] = article.html.split(/(?=<h2 id="when-to-use-it">)/);
  const html = `${crumbs}<h1>${escapeHtml(title)}</h1>
${above}${editor}${below.join("")}${namesOf(elsewhere)}<nav class="beside-pages" aria-label="Other normalizations">${link(before, "prev")}${link(after, "next")}</nav>`;
  return { title, description: `${title}: ${summary}.`, html };
}

const link = (about: About | undefined, rel: "prev" | "next"): string =>
  about === undefined
    ? ""
    : `<a rel="${rel}" href="../${about.name}/index.html"><small>${rel === "prev" ? "Previous" : "Next"}</small>${escapeHtml(about.title)}</a>`;

/** A table of what a normalization is called in frameworks; with nothing where none has it. */
function namesOf(elsewhere: Elsewhere[]): string {
  if (elsewhere.length === 0) return "";
  const rows = elsewhere.map(
    ({ framework, name, how }) =>
      `<tr><td>${escapeHtml(framework.split(",")[0])}</td><td><code>${escapeHtml(name)}</code></td><td>${escapeHtml(how).replace(/`([^`]*)`/g, "<code>$1</code>")}</td></tr>`,
  );
  return `<h2 id="elsewhere">Names elsewhere</h2>
<div class="scroll" role="region" tabindex="0" aria-label="Names elsewhere, table"><table class="plain"><thead><tr><th scope="col">From</th><th scope="col">Name</th><th scope="col">Here</th></tr></thead><tbody>${rows.join("")}</tbody></table></div>
`;
}

function listOf(articles: ReadonlyMap<string, Article>): string {
  const reachOf = (name: string): string => saidBy(readDoc(`docs/norms/axes/${name}.svg`));
  const item = (href: string, title: string, text: string) =>
    `<li><a href="${href}">${escapeHtml(title)}</a> <span>${escapeHtml(text)}</span></li>`;
  const families = familiesOf(norms, reachOf).map(
    ({
      title,
      says,
      norms: own,
    }) => `<section aria-labelledby="${idOf(title)}"><h2 id="${idOf(title)}">${title}</h2>
<p>${says}</p>
<ul class="list">${own.map((about) => item(`./${about.name}/index.html`, about.title, about.summary)).join("\n")}</ul></section>`,
  );
  const guide = (path: string) => {
    const { title, lead } = articles.get(path) as Article;
    const [sentence] = lead.split(/(?<=[.:]) (?=\p{Lu})/u);
    return item(`../docs/${posix.basename(path, ".md")}/index.html`, title, sentence);
  };
  return `${families.join("\n")}
<section aria-labelledby="guides"><h2 id="guides">The guides</h2>
<ul class="list">${guides().map(guide).join("\n")}</ul></section>`;
}

const idOf = (title: string): string => title.toLowerCase().replace(/\W+/g, "-");
