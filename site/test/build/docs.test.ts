/** The pages that are made of docs: all of the catalog, sound as HTML, with no link or picture that leads nowhere. */
import { existsSync } from "node:fs";
import { posix } from "node:path";
import { catalog } from "evenkeel";
import { describe, expect, it } from "vitest";
import { docs } from "../../build/docs.ts";
import { articleOf } from "../../build/markdown.ts";

const { pages, images, list, index } = docs();
const names = Object.keys(catalog);
const folders = [...pages.keys()];

it("has a page for each normalization, and for each guide", () => {
  expect(folders.filter((folder) => folder.startsWith("norms/"))).toEqual(
    names.map((name) => `norms/${name}/`),
  );
  expect(folders).toEqual(
    expect.arrayContaining(["docs/tensorflow/", "docs/recipes/", "docs/standardizer/"]),
  );
});

describe.each(folders)("%s", (folder) => {
  const page = pages.get(folder);
  const html = page?.html ?? "";

  it("leads somewhere with each link", () => {
    const ids = (text: string) => [...text.matchAll(/ id="([^"]+)"/g)].map(([, id]) => id);
    const broken = [...html.matchAll(/<a [^>]*href="([^"]+)"/g)]
      .map(([, href]) => href)
      .filter((href) => {
        if (/^https?:/.test(href)) return false;
        const [path, anchor] = href.split("#");
        const target = path === "" ? folder : posix.join(folder, path).replace(/index\.html$/, "");
        if (target === "norms/") return false;
        const there = pages.get(target);
        return there === undefined || (anchor !== undefined && !ids(there.html).includes(decodeURI(anchor)));
      });
    expect(broken).toEqual([]);
  });

  it("shows pictures that are there", () => {
    for (const [, src] of html.matchAll(/<img [^>]*src="([^"]+)"/g)) {
      const file = images.get(posix.join(folder, src));
      expect(file, src).toBeDefined();
      expect(existsSync(file as string), src).toBe(true);
    }
  });

  it("has one first heading, headings in order, and no id or region twice", () => {
    const levels = [...html.matchAll(/<h(\d)/g)].map(([, level]) => Number(level));
    expect(levels.filter((level) => level === 1)).toEqual([1]);
    for (const [i, level] of levels.entries())
      expect(level - (levels[i - 1] ?? 0), `heading ${i}`).toBeLessThanOrEqual(1);
    for (const pattern of [/ id="([^"]+)"/g, /role="region"[^>]* aria-label="([^"]+)"/g]) {
      const found = [...html.matchAll(pattern)].map(([, value]) => value);
      expect(new Set(found).size).toBe(found.length);
    }
  });

  it("says what it is", () => {
    expect(page?.title).not.toBe("");
    expect(page?.description.length).toBeGreaterThan(20);
    expect(html).not.toMatch(/>undefined|"undefined|\[object|<!--/);
  });
});

it("sets the formula, shows the axes and has a place for the editor before its uses", () => {
  for (const name of names) {
    const html = pages.get(`norms/${name}/`)?.html ?? "";
    const places = [
      'class="axes-of"',
      'class="formula',
      `<div id="editor" data-norm="${name}"></div>`,
      'id="when-to-use-it"',
    ];
    const found = places.map((place) => html.indexOf(place));
    expect(found, name).toEqual([...found].sort((a, b) => a - b));
    expect(Math.min(...found), name).toBeGreaterThan(0);
  }
});

it("lists each normalization once", () => {
  const listed = [...list.matchAll(/href="\.\/(\w+)\/index\.html"/g)].map(([, name]) => name);
  expect(listed.sort()).toEqual([...names].sort());
});

it("leads from each normalization to the next", () => {
  expect(pages.get("norms/layerNorm/")?.html).toMatch(/<a rel="next" href="\.\.\/rmsNorm\/index\.html">/);
  expect(pages.get("norms/rmsNorm/")?.html).toMatch(/<a rel="prev" href="\.\.\/layerNorm\/index\.html">/);
});

it("is an index for the page's search", () => expect(JSON.parse(index).documentCount).toBe(names.length));

describe("Markdown", () => {
  const article = (source: string) =>
    articleOf(source, {
      path: "docs/a.md",
      linkTo: (path) => (path === "docs/b.md" ? "../b/index.html" : undefined),
    });

  it("leads links to pages of the site, and has text for files that it does not have", () => {
    const { html } = article("# T\n\n[b](b.md#part-two) [c](../c/d.ts) [e](https://e.org) [**f**](#f)\n");
    expect(html).toBe(
      '<p><a href="../b/index.html#part-two">b</a> <span>c</span> <a href="https://e.org">e</a> <a href="#f"><strong>f</strong></a></p>\n',
    );
  });
  it("has anchors as GitHub makes them, and regions with names of their own", () => {
    const { html } = article(
      "# T\n\n## What `it` is, in 2 parts\n\n| a |\n| --- |\n| b |\n\n|  |\n| --: |\n| c |\n",
    );
    expect(html).toContain('<h2 id="what-it-is-in-2-parts">');
    expect(html).toContain('aria-label="What it is, in 2 parts, table">');
    expect(html).toContain('aria-label="What it is, in 2 parts, table 2">');
    expect(html).toMatch(/<thead>\n<tr>\n<td><\/td>/);
  });
  it("takes its title and first paragraph", () => {
    expect(article("<!-- made -->\n\n# Of `x`\n\nOne\ntwo.\n\nThree.\n")).toMatchObject({
      title: "Of x",
      lead: "One two.",
    });
  });
  it("keeps code as it is", () => {
    expect(article("# T\n\n```ts\na < b && c;\n```\n").html).toContain("<code>a &lt; b &amp;&amp; c;</code>");
  });
});
