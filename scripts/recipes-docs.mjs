/**
 * Runs the recipes of the lab, one after the other, and writes docs/recipes.md with a figure of each:
 *
 *     npm run docs:recipes -- FOLDER [NAME ...]
 *
 * Results stay in FOLDER, one folder for each recipe. What has finished there is not run again, and an interrupted run is
 * gone on with; those of a recipe that has changed are refused. With names, only these are run; the page is of all that have finished.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { serverDocument } from "@evenkeel/report/server-document";
import { runRecipe } from "../lab/dist/node/recipes.js";
import { recipesPage } from "../lab/dist/recipes/page.js";
import { recipes } from "../lab/dist/recipes/registry.js";

const docs = fileURLToPath(new URL("../docs", import.meta.url));
const FIGURES = join(docs, "recipes");

const [folder, ...names] = process.argv.slice(2);
const unknown = names.find((name) => !recipes.some((recipe) => recipe.name === name));
if (folder === undefined || unknown !== undefined) {
  console.error(
    unknown === undefined
      ? "docs:recipes: expected the folder of the results, got nothing; npm run docs:recipes -- FOLDER"
      : `docs:recipes: expected names of recipes, got "${unknown}"; they are ${recipes.map(({ name }) => name).join(", ")}`,
  );
  process.exit(2);
}

/** The comparison of a recipe, where it has finished. @param {string} name */
function comparisonOf(name) {
  const path = join(folder, name, "comparison.json");
  if (!existsSync(path)) return undefined;
  const comparison = JSON.parse(readFileSync(path, "utf8"));
  return comparison.interrupted ? undefined : comparison;
}

for (const { name } of recipes) {
  if (names.length > 0 && !names.includes(name)) continue;
  const code = await runRecipe(name, {
    out: join(folder, name),
    threads: availableParallelism(),
    json: false,
  });
  if (code !== 0) process.exit(code);
}

const results = recipes.flatMap((recipe) => {
  const comparison = comparisonOf(recipe.name);
  return comparison === undefined ? [] : [{ recipe, comparison }];
});
const { page, figures } = recipesPage(results, serverDocument);
mkdirSync(FIGURES, { recursive: true });
for (const file of readdirSync(FIGURES)) rmSync(join(FIGURES, file));
for (const [name, svg] of figures) writeFileSync(join(FIGURES, `${name}.svg`), svg);
writeFileSync(join(docs, "recipes.md"), page);
const missing = recipes.map(({ name }) => name).filter((name) => !figures.has(name));
console.error(
  `docs/recipes.md: ${results.length} recipes${missing.length > 0 ? `, without ${missing.join(", ")}, which have not run` : ""}`,
);
