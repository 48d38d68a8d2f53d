/** The arguments that settings amount to, as the command line's own parser takes them. */
import { Command } from "commander";
import { expect, it } from "vitest";
import type { DatasetOptions } from "../../src/datasets/dataset.js";
import { type ReadingOptions, readingOf, withData, withFormat } from "../../src/node/options.js";
import { argumentsOf } from "../../src/recipes/command.js";

/** Every option of `withData` and `withFormat`. */
const readings: DatasetOptions[] = [
  {
    target: "the target",
    task: "classification",
    metric: "balanced accuracy",
    ignore: ["a", "city, state", "-c", '"quoted"'],
    keep: ["id"],
    categorical: ["zip", "a,b"],
    numeric: ["n"],
    levels: 4,
    image: [8, 6],
    limit: 100,
    split: "time",
    time: "when",
    shares: [0.7, 0.1, 0.2],
    group: "patient",
    text: "review",
  },
  { horizon: 24, window: 96, season: 12, series: "place" },
  { user: "who", item: "what", rating: "how much" },
  { header: true, delimiter: "\t", decimal: ",", missing: ["?", "N/A"], dates: "mdy" },
  { header: false, delimiter: " ", missing: [""], encoding: "windows-1252", member: "Sheet 2" },
  { delimiter: ";", decimal: ".", limits: { bytes: 2 ** 31, cells: 1e9 } },
];

it.each(readings)("%j is read again from its arguments", (reading) => {
  const args = argumentsOf({ data: "a file.csv", reading, choices: { seeds: 3 } }) as string[];
  const command = withFormat(
    withData(new Command().option("--data <file>").option("--seeds <count>")),
  ).exitOverride();
  command.parse(args, { from: "user" });
  const { data, seeds, ...parsed } = command.opts<ReadingOptions & { data: string; seeds: string }>();
  expect({ data, seeds }).toEqual({ data: "a file.csv", seeds: "3" });
  const { shares, ...others } = readingOf(parsed);
  const { shares: expected, ...rest } = reading;
  expect(others).toEqual(rest);
  expect((shares ?? []).map((share) => share.toFixed(12))).toEqual(
    (expected ?? []).map((share) => share.toFixed(12)),
  );
});
