/** Whether each recipe asks what can be asked of its data and network, and what all of them are about. */
import { describe, expect, test } from "vitest";
import { normsOf } from "../../src/comparison.js";
import { bundled } from "../../src/data/bundled.js";
import { models } from "../../src/models/registry.js";
import { argumentsOf } from "../../src/recipes/command.js";
import { type Arm, groups, type Recipe } from "../../src/recipes/recipe.js";
import { recipes } from "../../src/recipes/registry.js";
import { tasks } from "../../src/tasks/registry.js";

test("the industries and uses, language, vision, recurrent networks, transformers and mechanisms have recipes", () => {
  const names = (group: Recipe["group"]) =>
    recipes.filter((recipe) => recipe.group === group).map(({ name }) => name);
  expect(names("Industries")).toEqual(["healthcare", "finance", "retail", "aerospace", "automotive"]);
  expect(names("Uses")).toEqual(
    expect.arrayContaining(["training-time", "forecasts", "recommendations", "error-rates", "real-time"]),
  );
  for (const group of groups) expect(names(group)).not.toEqual([]);
  expect(new Set(recipes.map(({ name }) => name)).size).toBe(recipes.length);
  // in the order in which they are listed
  const order = recipes.map(({ group }) => groups.indexOf(group));
  expect(order).toEqual(order.toSorted((a, b) => a - b));
});

describe.each(recipes.map((recipe) => [recipe.name, recipe] as const))("%s", (name, recipe) => {
  const { question, literature, claims, data, reading, choices } = recipe;

  test("is told in sentences, with a number and a source", () => {
    expect(name).toMatch(/^[a-z0-9]+(-[a-z0-9]+)*$/);
    expect(question).toMatch(/^[A-Z].*[?]$/);
    expect(literature.says).toMatch(/^[^.].*\d.*[^.]$/);
    expect(literature.source).toMatch(/\d{4}/);
  });

  test("claims what its trials can show", () => {
    const arms = claims.flatMap((claim): Arm[] =>
      claim.by === "published" ? [claim.of] : [claim.better, claim.than],
    );
    const model = choices.model === undefined ? undefined : models[choices.model];
    expect(normsOf(choices.norms ?? [], model)).toEqual(choices.norms);
    for (const { norm, at } of arms) {
      expect(choices.norms).toContain(norm);
      if (at !== undefined) expect(choices.sweep?.values).toContain(at);
    }
    if (choices.baseline !== undefined) expect(choices.norms).toContain(choices.baseline);
    // fewer have no interval
    expect(choices.seeds).toBeGreaterThanOrEqual(3);
  });

  test("takes data that come with the lab, and a metric of its task", () => {
    expect(bundled.map((each) => each.name)).toContain(data);
    const { task, metric, shares } = reading;
    if (metric !== undefined) {
      expect(task && tasks[task].metrics.filter(({ primary }) => primary).map((each) => each.name)).toContain(
        metric,
      );
    }
    if (shares !== undefined) expect(shares.reduce((sum, share) => sum + share, 0)).toBeCloseTo(1, 12);
  });
});

test("settings as they are typed", () => {
  const recipe = (more: Partial<Recipe>): Recipe => ({ ...(recipes[0] as Recipe), data: "digits", ...more });
  expect(
    argumentsOf(
      recipe({
        reading: { image: [8, 8], shares: [0.6, 0.2, 0.2], split: "time", target: undefined },
        choices: {
          norms: ["none", "layer+reversible-instance"],
          seeds: 3,
          batchSize: 2,
          tune: false,
          warmUp: 0.1,
          sweep: { setting: "batch-size", values: [1, 25] },
        },
      }),
    )?.join(" "),
  ).toBe(
    "--data digits --image 8x8 --parts 60,20,20 --split time --norms none,layer+reversible-instance --seeds 3 --batch-size 2 --no-tune --warm-up 0.1 --sweep batch-size 1,25",
  );
  expect(argumentsOf(recipe({ reading: {}, choices: { seeds: 2, tune: [0.1, 0.2] } }))?.join(" ")).toBe(
    "--data digits --seeds 2 --tune 0.1,0.2",
  );
  expect(argumentsOf(recipe({ reading: {}, choices: { seeds: 2, tune: true } }))?.at(-1)).toBe("--tune");
  // no option changes data
  expect(argumentsOf(recipe({ reading: { disturb: { shift: { from: 0.5, by: 1 } } } }))).toBeUndefined();
});
