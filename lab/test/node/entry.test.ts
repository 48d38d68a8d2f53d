/** Lists of names with what each means, in wide and in narrow terminals. */
import { expect, test } from "vitest";
import { entryText } from "../../src/node/entry.js";
import { listText } from "../../src/node/norm-list.js";
import { listRecipes } from "../../src/node/recipes.js";

test("a text stands beside its name, and below it where there is little room", () => {
  const text = "standardizes each example over its features";
  expect(entryText("layer", text, 12, 48).split("\n")).toEqual([
    "  layer     standardizes each example over its",
    "            features",
  ]);
  expect(entryText("layer", text, 12, 40).split("\n")).toEqual([
    "  layer",
    "    standardizes each example over its",
    "    features",
  ]);
});

test.each([40, 80])("normalizations and recipes fit %d columns", (width) => {
  for (const line of `${listText(width)}\n${listRecipes(width)}`.split("\n")) {
    expect(line.length, line).toBeLessThanOrEqual(width);
  }
});
