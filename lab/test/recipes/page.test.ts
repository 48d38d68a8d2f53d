/** The page of what recipes found, and that the one in docs has all of them. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { serverDocument } from "@evenkeel/report/server-document";
import { expect, test } from "vitest";
import { recipesPage } from "../../src/recipes/page.js";
import type { Recipe } from "../../src/recipes/recipe.js";
import { recipes } from "../../src/recipes/registry.js";
import { syntheticComparison } from "../support/synthetic-comparison.js";

const recipe = (name: string, more: Partial<Recipe>): Recipe => ({
  name,
  group: "Vision",
  question: "Is it?",
  literature: { says: "it is, by 5", source: "Somebody 2020" },
  claims: [{ better: { norm: "layer" }, than: { norm: "none" }, by: "metric" }],
  data: "digits",
  reading: {},
  choices: { seeds: 3 },
  ...more,
});
const plain = syntheticComparison({ norms: ["none", "layer", "batch"] });
const { page, figures } = recipesPage(
  [
    { recipe: recipe("second", { group: "Mechanisms" }), comparison: plain },
    { recipe: recipe("first", {}), comparison: plain },
    ...(["epochs", "seconds", "gradient"] as const).map((by) => ({
      recipe: recipe(by, { claims: [{ better: { norm: "layer" }, than: { norm: "none" }, by }] }),
      comparison: plain,
    })),
    {
      recipe: recipe("swept", {}),
      comparison: syntheticComparison({ norms: ["none", "layer"], sweep: ["batch-size", [2, 25]] }),
    },
  ],
  serverDocument,
);

test("the claims are on top, and each recipe stands in its group", () => {
  expect(page).toContain(
    "| [first](#first) | better with layer normalization than without normalization, in accuracy | held |",
  );
  const heads = page.split("\n").filter((line) => line.startsWith("#"));
  expect(heads).toEqual([
    "# Claims about normalization, measured",
    "## Vision",
    ...["first", "epochs", "seconds", "gradient", "swept"].map((name) => `### ${name}`),
    "## Mechanisms",
    "### second",
  ]);
});

test("a recipe has its question, claim, answer, figure with its table, machine, seconds and command", () => {
  const section = page.slice(page.indexOf("### first"), page.indexOf("### epochs"));
  for (const part of [
    "**Is it?**",
    "Claimed: it is, by 5 (Somebody 2020).",
    "- **Held**: better with layer normalization than without normalization, in accuracy.\n  Accuracy: ",
    '<img src="recipes/first.svg" width="480" alt="Difference in accuracy from networks without normalization. ',
    "<sub>Difference in accuracy from networks without normalization.",
    "<details><summary>As a table</summary>",
    "Example 3000, 2 cores, Node 22.11.0",
    "```sh\nevenkeel recipe first\nevenkeel compare --data digits --seeds 3\n```",
  ]) {
    expect(section).toContain(part);
  }
  expect(section).toMatch(/\d (s|min \d+ s)\.\n/);
});

test("a figure is of what is claimed, and needs no style sheet", () => {
  const label = (name: string) => /aria-label="([^"]*?)\./.exec(figures.get(name) ?? "")?.[1];
  expect(label("first")).toBe("Difference in accuracy from networks without normalization");
  expect(label("epochs")).toBe("Held-out accuracy by epoch");
  expect(label("seconds")).toBe("Held-out accuracy by time");
  expect(label("gradient")).toBe("Gradient norm by layer, first probe");
  expect(label("swept")).toBe("Held-out accuracy by batch size");
  for (const svg of figures.values()) {
    expect(svg).toMatch(/^<svg[^>]* xmlns="http:\/\/www\.w3\.org\/2000\/svg"[^>]*><rect width="100%"/);
    expect(svg).not.toMatch(/var\(--|class="tip/);
    expect(svg).toContain("Arial, 'Liberation Sans', sans-serif");
    // the colour of layer normalization, of the light scheme
    expect(svg).toContain("#2366ed");
    const [, attributes = ""] = /^<svg([^>]*)>/.exec(svg) ?? [];
    const names = [...attributes.matchAll(/\s([\w:-]+)=/g)].map(([, attribute]) => attribute);
    expect(new Set(names).size).toBe(names.length);
  }
});

const docs = fileURLToPath(new URL("../../../docs", import.meta.url));

test("docs/recipes.md has every recipe with its figure, and no other (npm run docs:recipes -- FOLDER)", () => {
  const text = readFileSync(`${docs}/recipes.md`, "utf8");
  const names = recipes.map(({ name }) => name);
  expect([...text.matchAll(/^### (.*)$/gm)].map(([, name]) => name)).toEqual(names);
  for (const name of names) {
    expect(text).toContain(`<img src="recipes/${name}.svg"`);
    expect(existsSync(`${docs}/recipes/${name}.svg`)).toBe(true);
  }
  for (const { name, question, literature } of recipes) {
    const section = text.slice(text.indexOf(`### ${name}\n`));
    expect(section).toContain(`**${question}**\n\nClaimed: ${literature.says} (${literature.source}).`);
  }
  expect(readdirSync(`${docs}/recipes`).sort()).toEqual(names.map((name) => `${name}.svg`).sort());
});
