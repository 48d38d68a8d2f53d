/**
 * The documentation holds: every normalization has its page, examples run, are well typed and print what they say, links lead
 * somewhere, and what is generated is what the code gives today.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { catalog } from "../../src/norms/catalog.js";
import { examplesOf, printedAsPromised, root, runExample } from "../support/examples.js";

const markdownIn = (folder: string): string[] =>
  existsSync(root + folder)
    ? readdirSync(root + folder)
        .filter((name) => name.endsWith(".md"))
        .map((name) => `${folder}/${name}`)
    : [];
const pages = [...markdownIn("docs"), ...markdownIn("docs/norms")];
const read = (path: string): string => readFileSync(root + path, "utf8");

const SECTIONS = ["Formula", "When to use it", "When not", "Conventions", "Example"];

describe.each(Object.values(catalog).map(({ about }) => about))("$name", ({ name, title }) => {
  const path = `docs/norms/${name}.md`;

  it("has a page of the usual sections", () => {
    expect(existsSync(root + path), `${path} is there`).toBe(true);
    const page = read(path);
    expect(page.split("\n")[0]).toBe(`# ${title}`);
    const sections = [...page.matchAll(/^## (.*)$/gm)].map(([, section]) => section);
    expect(sections.filter((section) => SECTIONS.includes(section))).toEqual(SECTIONS);
    expect(page).toContain(`![Axes of ${title}](axes/${name}.svg)`);
    expect(page.split("<!-- generated:conventions -->\n")).toHaveLength(2);
    expect(page.split("<!-- /generated -->")).toHaveLength(2);
    expect(page.length - page.replace(/^```text$/gm, "").length, "a formula").toBeGreaterThan(0);
    expect(examplesOf(page.slice(page.indexOf("## Example")), "ts").length).toBeGreaterThan(0);
  });
});

const examples = pages.flatMap((path) =>
  examplesOf(read(path), "ts").map((code, i) => ({ path, code, name: `${path}, example ${i + 1}` })),
);

describe("examples", () => {
  it.concurrent.each(examples)("$name prints what it says", async ({ path, code }) => {
    const { promised, printed } = printedAsPromised(code, await runExample(code));
    expect(printed).toEqual(promised);
    if (path.startsWith("docs/norms/"))
      expect(promised.length, "something printed is checked").toBeGreaterThan(0);
  });

  const folder = `${root}dist/.examples`;
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it("are well typed", () => {
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true });
    examples.forEach(({ code, name }, i) => {
      writeFileSync(`${folder}/${i}.ts`, `// ${name}\n${code}\nexport {};\n`);
    });
    const compilerOptions = {
      noEmit: true,
      composite: false,
      noUnusedLocals: false,
      noUnusedParameters: false,
    };
    const config = { extends: "../../tsconfig.base.json", compilerOptions, include: ["*.ts"] };
    writeFileSync(`${folder}/tsconfig.json`, JSON.stringify(config));
    const tsc = `${root}node_modules/typescript/bin/tsc`;
    const { stdout } = spawnSync(process.execPath, [tsc, "-p", folder], { cwd: folder, encoding: "utf8" });
    const named = stdout.replace(
      /^(\d+)\.ts\((\d+)/gm,
      (_, i, line) => `${examples[i].name}, line ${line - 1} (`,
    );
    expect(named).toBe("");
  });
});

/** As GitHub makes an anchor of a heading. */
const anchorOf = (heading: string): string =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, "")
    .trim()
    .replace(/\s/g, "-");

it.each(["README.md", "lab/data/README.md", ...pages])("%s: links lead somewhere", (path) => {
  const text = read(path).replace(/^```.*?^```$/gms, "");
  const links = [...text.matchAll(/\]\(([^)\s]+)\)/g)].map(([, link]) => link);
  const broken = links.filter((link) => {
    if (/^https?:/.test(link)) return false;
    const [file, anchor] = link.split("#");
    const target = file === "" ? path : relative(root, join(root, dirname(path), file));
    if (!existsSync(root + target)) return true;
    if (anchor === undefined || !target.endsWith(".md")) return false;
    const headings = [...read(target).matchAll(/^#+ (.*)$/gm)].map(([, heading]) => anchorOf(heading));
    return !headings.includes(anchor);
  });
  expect(broken).toEqual([]);
});

describe("the pictures show what one would draw", () => {
  /** Cells in the colour of what an element comes from, without those of the legend. */
  const marked = (name: string): number => {
    const svg = read(`docs/norms/axes/${name}.svg`);
    return [...svg.matchAll(/<rect [^>]*width="22"[^>]*fill="#4285f4"/g)].length;
  };

  // an array [3, 4, 6] of 3 examples, 4 positions and 6 channels; the element itself has another colour
  it.each([
    ["layerNorm", 6 - 1],
    ["rmsNorm", 6 - 1],
    ["batchNorm", 3 * 4 - 1],
    ["groupNorm", 4 * 3 - 1],
    ["instanceNorm", 4 - 1],
    ["dynamicTanh", 0],
  ])("%s: %i others", (name, others) => expect(marked(name)).toBe(others));

  it.each(Object.values(catalog).map(({ about }) => about))(
    "$name has a title and a description",
    (about) => {
      const svg = read(`docs/norms/axes/${about.name}.svg`);
      expect(svg).toContain(`<title id="title">Axes of ${about.title}</title>`);
      expect(svg).toMatch(/<desc id="about">One element of y.+\.<\/desc>/);
      expect(svg).not.toMatch(/NaN|undefined/);
    },
  );
});

describe("what frameworks offer", () => {
  const folder = "test/fixtures/goldens";
  const mapping: Record<string, Record<string, unknown>> = JSON.parse(read(`${folder}/mapping.json`));
  const files = readdirSync(root + folder).filter(
    (name) => name.endsWith(".json") && name !== "mapping.json",
  );

  it("is listed for each framework that is mapped, and the other way round", () => {
    expect(Object.keys(mapping).sort()).toEqual(files.map((name) => name.replace(/\.json$/, "")).sort());
  });

  it.each(files)("%s: each name is mapped, and no other", (file) => {
    const { offered } = JSON.parse(read(`${folder}/${file}`)) as { offered: string[] };
    expect(Object.keys(mapping[file.replace(/\.json$/, "")]).sort()).toEqual([...offered].sort());
  });
});
