/**
 * What the first view says of the library and the lab (names of normalizations, networks, data, recipes), computed when the site is
 * built, so that it loads neither.
 */

import type { Choices } from "@evenkeel/lab/comparison";
import { bundled } from "@evenkeel/lab/data/bundled";
import type { DatasetOptions } from "@evenkeel/lab/datasets/dataset";
import { suits } from "@evenkeel/lab/datasets/suited";
import { models } from "@evenkeel/lab/models/registry";
import { version } from "@evenkeel/lab/node/version";
import { labelOf, normNames } from "@evenkeel/lab/norms";
import { recipes } from "@evenkeel/lab/recipes/registry";
import { type TaskName, taskNames, tasks } from "@evenkeel/lab/tasks/registry";
import type { Plugin } from "vite";
import { type ReadingOption, readingOptions } from "../src/desk/protocol.ts";

const NAME = "virtual:facts";

export interface Facts {
  version: string;
  /** `none` first, then the catalog in its order. */
  norms: { name: string; label: string }[];
  models: { name: string; title: string }[];
  data: { name: string; description: string }[];
  tasks: {
    name: TaskName;
    /** Whether it is learnt from a text, not a table. */
    ofText: boolean;
    /** Those that networks may be compared by. */
    metrics: string[];
    /** Options of reading that have a place in it. */
    suits: ReadingOption[];
  }[];
  recipes: {
    name: string;
    group: string;
    question: string;
    claimed: string;
    /** What is asked of the lab. */
    data: string;
    reading: DatasetOptions;
    choices: Choices;
  }[];
}

function found(): Facts {
  return {
    version,
    norms: normNames.map((name) => ({ name, label: labelOf(name) })),
    models: Object.values(models).map(({ name, title }) => ({ name, title })),
    data: bundled.map(({ name, description }) => ({ name, description })),
    tasks: taskNames.map((name) => {
      const { from, metrics } = tasks[name];
      return {
        name,
        ofText: from === "text",
        metrics: metrics.flatMap(({ name, primary }) => (primary ? name : [])),
        suits: readingOptions.filter((option) => suits(option, from)),
      };
    }),
    recipes: recipes.map((recipe) => ({
      name: recipe.name,
      group: recipe.group,
      question: recipe.question,
      claimed: `${recipe.literature.says} (${recipe.literature.source})`,
      data: recipe.data,
      reading: recipe.reading,
      choices: recipe.choices,
    })),
  };
}

export const facts = (): Plugin => ({
  name: "facts",
  resolveId: (id) => (id === NAME ? `\0${NAME}` : undefined),
  load: (id) => (id === `\0${NAME}` ? `export default ${JSON.stringify(found())};` : undefined),
});
