/** `evenkeel recipes` and `evenkeel recipe`: from a question to a comparison to its answer. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { quote, typed, wrap } from "@evenkeel/report/format";
import { closest } from "fastest-levenshtein";
import { UsageError } from "../errors.js";
import { type Answer, answersOf } from "../recipes/answer.js";
import { argumentsOf } from "../recipes/command.js";
import { groups, type Recipe } from "../recipes/recipe.js";
import { recipes } from "../recipes/registry.js";
import type { Comparison } from "../results.js";
import { colorsOf } from "./colors.js";
import { compare, type Running } from "./compare.js";
import { entryText } from "./entry.js";
import { command } from "./invocation.js";
import { columnsOf } from "./streams.js";

export interface RecipeOptions extends Pick<Running, "threads" | "queue" | "json"> {
  /** By default a folder that is called as the recipe. */
  out?: string;
}

/** Every recipe with its question, in lines of at most `width` characters. */
export function listRecipes(width: number): string {
  const column = Math.max(...recipes.map(({ name }) => name.length)) + 4;
  const parts = groups.map((group) => {
    const lines = recipes
      .filter((recipe) => recipe.group === group)
      .map(({ name, question }) => entryText(name, question, column, width));
    return [group, ...lines].join("\n");
  });
  const use = wrap(
    "evenkeel recipe NAME runs one, in minutes, and answers its question with a report.",
    width,
  );
  return `${[...parts, use].join("\n\n")}\n`;
}

/** The recipe of a name. Throws UsageError for one that is not known. */
export function recipeNamed(name: string): Recipe {
  const found = recipes.find((recipe) => recipe.name === name.toLowerCase());
  if (found) return found;
  const near = closest(
    name.slice(0, 60),
    recipes.map((recipe) => recipe.name),
  );
  throw new UsageError(
    `recipe: ${quote(name)} is not known; did you mean "${near}"? (evenkeel recipes lists all)`,
  );
}

/** Runs the comparison of a recipe, or what is left of it, tells its answer, and returns the exit code. */
export async function runRecipe(name: string, { out, threads, queue, json }: RecipeOptions): Promise<number> {
  const recipe = recipeNamed(name);
  const { data, reading, choices } = recipe;
  const folder = out ?? `evenkeel-${recipe.name}`;
  process.stderr.write(`${introduction(recipe, columnsOf(process.stderr))}\n\n`);
  const again = command("recipe", [recipe.name, ...(out === undefined ? [] : ["--out", out])]);
  const code = await compare({
    ...{ data, reading, choices, threads, queue, json, again, out: folder },
    typed: [],
    command: command("recipe", [recipe.name]),
  });
  if (code !== 0) return code;
  const comparison: Comparison = JSON.parse(readFileSync(join(folder, "comparison.json"), "utf8"));
  const stream = json ? process.stderr : process.stdout;
  stream.write(`\n${answerText(recipe, answersOf(recipe, comparison), columnsOf(stream))}\n`);
  return code;
}

/** What is asked, what the literature says, and the command that does the same. */
export function introduction(recipe: Recipe, width: number): string {
  const { name, question, literature } = recipe;
  const same = argumentsOf(recipe);
  return [
    `${colorsOf(process.stderr).bold("evenkeel recipe")}  ${name}`,
    ...[
      question,
      claimedBy(literature),
      ...(same ? [`The same by options: ${["evenkeel", "compare", ...same].map(typed).join(" ")}`] : []),
    ].map((line) => wrap(line, width, "  ")),
  ].join("\n");
}

/** The question, what is claimed, and for each claim whether it held. */
export function answerText(
  { question, literature }: Recipe,
  answers: readonly Answer[],
  width: number,
): string {
  const { bold, green, yellow } = colorsOf(process.stdout);
  const verdicts = { yes: green("Held"), no: yellow("Did not hold"), unclear: "Not shown" };
  return [
    bold(wrap(question, width)),
    wrap(claimedBy(literature), width),
    ...answers.map(
      ({ claim, held, sentence }) =>
        `${verdicts[held]}: ${wrap(`${claim}.`, width - 14, "  ")}\n  ${wrap(sentence, width - 2, "  ")}`,
    ),
  ].join("\n");
}

const claimedBy = ({ says, source }: Recipe["literature"]): string => `Claimed: ${says} (${source})`;
