/** The list of the recipes, and what is told of one, at 80 columns. */
import { expect, test } from "vitest";
import { answerText, introduction, listRecipes, recipeNamed } from "../../src/node/recipes.js";
import { recipes } from "../../src/recipes/registry.js";

test("every recipe once, in its group, no line wider than asked", () => {
  for (const width of [60, 80]) {
    const lines = listRecipes(width).split("\n");
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(width);
    for (const { name } of recipes)
      expect(lines.filter((line) => line.startsWith(`  ${name} `))).toHaveLength(1);
  }
  expect(listRecipes(80)).toMatch(
    /^Industries\n {2}healthcare {11}Does layer normalization diagnose breast masses better,\n {23}from measurements/,
  );
});

test("a recipe by its name; the nearest to a wrong one is told", () => {
  expect(recipeNamed("Healthcare").name).toBe("healthcare");
  expect(() => recipeNamed("warmup")).toThrow(
    /^recipe: "warmup" is not known; did you mean "warm-up"\? \(evenkeel recipes lists all\)$/,
  );
  expect(() => recipeNamed("x".repeat(1e6))).toThrow(/^recipe: "x{59}…" is not known/);
});

test("a question, who claims what, and the same by options, where there are", () => {
  const text = introduction(recipeNamed("small-batches"), 80);
  expect(Math.max(...text.split("\n").map((line) => line.length))).toBeLessThanOrEqual(80);
  expect(text.replaceAll(/\s+/g, " ")).toMatch(
    /^.*small-batches At two images to a batch, .*\? Claimed: on ImageNet .* \(Wu & He 2018, arXiv 1803\.08494\) The same by options: evenkeel compare --data digits --model /,
  );
  expect(introduction(recipeNamed("forecast-outliers"), 80)).not.toContain("by options");
});

test("an answer to each claim", () => {
  const text = answerText(
    recipeNamed("small-batches"),
    [
      { claim: "better with a than with b, in c", held: "yes", sentence: "C: 2 with a, 1 with b." },
      { claim: "better with d than with e, in f", held: "no", sentence: "F: 1 with d, 2 with e." },
      { claim: "as good as published", held: "unclear", sentence: "Some." },
    ],
    80,
  );
  expect(text.split("\n").slice(-6)).toEqual([
    "Held: better with a than with b, in c.",
    "  C: 2 with a, 1 with b.",
    "Did not hold: better with d than with e, in f.",
    "  F: 1 with d, 2 with e.",
    "Not shown: as good as published.",
    "  Some.",
  ]);
});
