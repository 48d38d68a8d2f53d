/** Pages of docs as articles of the site: their Markdown as HTML, with formulas set, and links to what the site has. */
import { readFileSync } from "node:fs";
import { posix } from "node:path";
import { fileURLToPath } from "node:url";
import { escapeHtml } from "@evenkeel/report/page";
import MarkdownIt, { type Token } from "markdown-it";
import { axesHtml } from "./axes.ts";
import { formulaHtml } from "./formula.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

export const readDoc = (path: string): string => readFileSync(ROOT + path, "utf8");
export const pathOfDoc = (path: string): string => ROOT + path;

/** As GitHub makes an anchor of a heading, which links within docs count on. */
export const anchorOf = (heading: string): string =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, "")
    .trim()
    .replace(/\s/g, "-");

export interface Article {
  /** The first heading, as text. */
  title: string;
  /** What stands below the title: HTML. */
  html: string;
  /** The first paragraph, as text. */
  lead: string;
  /** All words, without marks. */
  text: string;
  /** Files that it shows, by their path in the repository and in the folder of the page. */
  images: { from: string; to: string }[];
}

export interface Place {
  /** Of the Markdown in the repository: "docs/norms/layerNorm.md". */
  path: string;
  /**
   * The page of another file, from the folder of this one: "../groupNorm/index.html".
   * @returns undefined where the site has none, and the link becomes text
   */
  linkTo(path: string): string | undefined;
}

/** Words of inline tokens, without marks. */
const wordsOf = (token: Token): string =>
  (token.children ?? []).map(({ type, content }) => (type === "softbreak" ? " " : content)).join("");

/**
 * @param source Markdown of a page of docs, one heading of the first level first
 * @throws SyntaxError where a formula is none
 */
export function articleOf(source: string, { path, linkTo }: Place): Article {
  const md = new MarkdownIt({ html: true });
  const images: Article["images"] = [];
  // regions need names of their own
  const named = new Map<string, number>();
  const nameOf = (what: string): string => {
    const count = (named.get(what) ?? 0) + 1;
    named.set(what, count);
    return count === 1 ? what : `${what} ${count}`;
  };
  const here = (href: string) => posix.join(posix.dirname(path), href);
  const imageOf = (src: string): string => {
    const to = posix.basename(src);
    images.push({ from: here(src), to });
    return `./${to}`;
  };

  const tokens = md.parse(source.replace(/<!--.*?-->\n?/gs, ""), {});
  let title = "";
  let lead = "";
  let section = "";
  const words: string[] = [];
  for (const [i, token] of tokens.entries()) {
    const { type, tag } = token;
    if (type === "heading_open") {
      const heading = wordsOf(tokens[i + 1]);
      if (tag === "h1") title = heading;
      else {
        section = heading;
        token.attrSet("id", anchorOf(heading));
      }
    } else if (type === "table_open" || type === "fence" || type === "code_block")
      token.meta = { section: section || title };
    if (type === "fence") words.push(token.content);
    if (type === "html_block") {
      token.content = token.content
        .replace(/<img src="([^":]+)"/g, (_, src) => `<img src="${imageOf(src)}"`)
        .replace(/(role="region"[^>]* aria-label=")([^"]+)/g, (_, before, name) => before + nameOf(name));
    }
    if (type !== "inline") continue;
    words.push(wordsOf(token));
    if (
      lead === "" &&
      tokens[i - 1].type === "paragraph_open" &&
      title !== "" &&
      wordsOf(token).trim() !== ""
    )
      lead = wordsOf(token);
    linked(token, (href) => {
      const [file, anchor] = href.split("#");
      const target = linkTo(here(file));
      return target && (anchor ? `${target}#${anchor}` : target);
    });
  }

  const { rules } = md.renderer;
  rules.table_open = (all, i) =>
    `<div class="scroll" role="region" tabindex="0" aria-label="${nameOf(escapeHtml(`${sectionOf(all[i])}, table`))}"><table class="plain">`;
  rules.table_close = () => "</table></div>\n";
  // a corner is no heading
  rules.th_open = (all, i) => (all[i + 1].content === "" ? "<td>" : `<th scope="col"${styleOf(all[i])}>`);
  rules.th_close = (all, i) => (all[i - 1].content === "" ? "</td>" : "</th>");
  rules.td_open = (all, i) => `<td${styleOf(all[i])}>`;
  const code = (all: Token[], i: number): string => {
    const { info, content } = all[i];
    if (info === "text" && path.startsWith("docs/norms/"))
      return formulaHtml(content, nameOf(sectionOf(all[i])));
    return `<pre role="region" tabindex="0" aria-label="${nameOf(escapeHtml(`${sectionOf(all[i])}, code`))}"><code>${escapeHtml(content.trimEnd())}</code></pre>\n`;
  };
  rules.fence = code;
  rules.code_block = code;
  rules.image = (all, i) => {
    const { content } = all[i];
    const src = String(all[i].attrGet("src"));
    if (here(src).startsWith("docs/norms/axes/"))
      return axesHtml(readDoc(here(src)), nameOf(escapeHtml(content)));
    return `<img src="${escapeHtml(imageOf(src))}" alt="${escapeHtml(content)}">`;
  };
  const body = tokens.slice(tokens.findIndex(({ type }) => type === "heading_close") + 1);
  const html = md.renderer
    .render(body, md.options, {})
    // a figure is a block of its own
    .replace(/<p>(<figure.*?<\/figure>)<\/p>/gs, "$1");
  return { title, html, lead, text: words.join("\n"), images };
}

const sectionOf = ({ meta }: Token): string => String(meta?.section ?? "");
const styleOf = (token: Token): string => {
  const style = token.attrGet("style");
  return style ? ` style="${escapeHtml(String(style))}"` : "";
};

/** Leads links of a paragraph to pages of the site; those to files that it does not have are text. */
function linked(token: Token, linkTo: (href: string) => string | undefined): void {
  const open: boolean[] = [];
  for (const child of token.children ?? []) {
    if (child.type === "link_open") {
      const href = String(child.attrGet("href"));
      const target = /^(https?:|#)/.test(href) ? href : linkTo(href);
      open.push(target !== undefined);
      if (target !== undefined) child.attrSet("href", target);
      else Object.assign(child, { tag: "span", attrs: null });
    } else if (child.type === "link_close" && !open.pop()) child.tag = "span";
  }
}
