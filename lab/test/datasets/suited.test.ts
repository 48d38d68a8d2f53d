/** Options beside data that they are not for. */
import { expect, test } from "vitest";
import type { DatasetOptions } from "../../src/datasets/dataset.js";
import { datasetOf } from "../../src/datasets/registry.js";
import { checkSuited } from "../../src/datasets/suited.js";
import { rows, tableOf } from "../support/tables.js";

test.each<[DatasetOptions, Parameters<typeof checkSuited>[1], string]>([
  [
    { target: "total" },
    "interactions",
    "--target: has no place in recommendation; leave it out, or use --task classification or regression or forecasting",
  ],
  [
    { group: "user" },
    "interactions",
    "--group: has no place in recommendation; leave it out, or use --task classification or regression",
  ],
  [
    { split: "time" },
    "interactions",
    "--split: has no place in recommendation; leave it out, or use --task classification or regression or forecasting",
  ],
  [
    { horizon: 3, task: "regression" },
    "target",
    "--horizon: has no place in regression; leave it out, or use --task forecasting",
  ],
  [
    { rating: "stars" },
    "series",
    "--rating: has no place in forecasting; leave it out, or use --task recommendation",
  ],
])("%j beside %s", (options, from, message) => {
  expect(() => checkSuited(options, from)).toThrow(message);
});

test("those that are for the data, and those that name nothing, are taken", () => {
  checkSuited(
    { user: "u", item: "i", rating: "r", time: "t", ignore: ["a"], keep: [], limit: 9 },
    "interactions",
  );
  checkSuited({ target: "y", group: "g", split: "time", time: "t", keep: ["a"], levels: 3 }, "target");
});

test("a table with users is no series", () => {
  const table = tableOf({ user: rows(9, (i) => i), item: rows(9, (i) => i) });
  expect(() => datasetOf(table, { user: "user", levels: 3 }, "made up")).toThrow(
    "--levels: has no place in recommendation",
  );
});
