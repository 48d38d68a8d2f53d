/** What is told before the trials run, and lines for terminals of any width. */
import { typed } from "@evenkeel/report/format";
import { afterEach, expect, test, vi } from "vitest";
import type { Settings } from "../../src/comparison.js";
import { compareCommand } from "../../src/node/invocation.js";
import { announcement, decisionText } from "../../src/node/output.js";
import { printableLines } from "../../src/node/streams.js";
import { HOSTILE, recipes, syntheticComparison } from "../support/synthetic-comparison.js";

afterEach(() => vi.restoreAllMocks());

const settings: Settings = {
  model: { kind: "mlp", depth: 20, width: 64, activation: "relu" },
  training: { epochs: 15, batchSize: 32, learningRates: [0.005, 0.02, 0.08], optimizer: "sgd", warmUp: 0 },
  save: false,
  norms: ["none", "layer", "batch"],
  seeds: [1, 2, 3],
  baseline: "none",
  sweep: null,
  reach: null,
};
const { data } = syntheticComparison();

/** As a terminal of so many columns shows it. */
function told(columns: number, ...args: Parameters<typeof announcement>): string[] {
  vi.spyOn(process.stderr, "columns", "get").mockReturnValue(columns);
  return announcement(...args).split("\n");
}

if (!("columns" in process.stderr)) {
  Object.defineProperty(process.stderr, "columns", { configurable: true, get: () => undefined });
}

const amount = { trials: 9, found: 0, threads: 2 };
const decisions = [
  { columns: ["id", "row"], what: "left out", why: "as many values as rows", option: "--keep id" },
  { columns: [], what: "read with a decimal comma", why: "1.415 beside 926", option: "--decimal ." },
];

test("what is compared on what, each decision once, and warnings, at 80 columns", () => {
  const all = { ...data, decisions, warnings: ['"age" alone predicts the target'] };
  expect(told(80, settings, "accuracy", all, amount)).toEqual([
    "evenkeel compare  digits: 1,797 examples of 1,800 rows",
    'predicts "digit" (10 classes) from 64 inputs of 3 columns: "size", "colour",',
    '  "opened"',
    "each seed draws its own parts at random, each class in proportion: 1,150 to",
    "  train on, 287 for validation, 360 held out",
    "mlp of 20 layers of 64 · none, layer, batch · baseline: none · 3 seeds",
    "sgd, 15 epochs, learning rate: the best of 0.005, 0.02, 0.08 on validation ·",
    "  judged by accuracy",
    "9 trials, 2 at a time",
    '- "id", "row": left out (as many values as rows); --keep id',
    "- read with a decimal comma (1.415 beside 926); --decimal .",
    '! "age" alone predicts the target',
  ]);
});

const kinds = Object.values(recipes).map(syntheticComparison);

test.each([40, 80, 200])("no line is wider than %d columns, and none obeys a name", (columns) => {
  for (const { data: own, metric } of kinds) {
    for (const line of told(columns, settings, metric, own, amount)) {
      // one word may be longer than the narrowest terminal
      const longest = Math.max(
        ...line
          .trim()
          .split(" ")
          .map((word) => word.length),
      );
      expect(line.length, line).toBeLessThanOrEqual(Math.max(Math.min(columns, 80), longest + 2));
      expect(line.length).toBeLessThanOrEqual(250);
      expect(printableLines(line)).toBe(line);
    }
  }
});

test("one learning rate, one normalization, images, a sweep, and trials of an earlier run", () => {
  const one: Settings = {
    ...settings,
    norms: ["layer"],
    seeds: [1],
    baseline: "layer",
    training: { ...settings.training, learningRates: [0.05] },
    sweep: { setting: "learning-rate", values: [0.001, 0.1] },
  };
  const images = {
    ...data,
    form: { input: { kind: "image" as const, shape: [8, 8, 1] }, outputs: [2] },
    fileRows: data.examples,
  };
  const lines = told(80, one, "accuracy", images, { trials: 3, found: 1, threads: 4 });
  expect(lines[0]).toBe("evenkeel compare  digits: 1,797 examples");
  expect(lines[1]).toBe('predicts "digit" (10 classes) from images of 8×8');
  expect(lines.slice(4)).toEqual([
    "mlp of 20 layers of 64 · layer · 1 seed",
    "sgd, 15 epochs, learning rate 0.05 · judged by accuracy",
    "sweeps learning-rate over 0.001, 0.1",
    "3 trials, 1 finished already, 2 at a time",
  ]);
  expect(told(80, one, "accuracy", images, { trials: 3, found: 3, threads: 4 }).at(-1)).toBe(
    "3 trials, all finished already",
  );
  expect(told(80, one, "accuracy", images, { trials: 3, found: 2, threads: 4 }).at(-1)).toBe(
    "3 trials, 2 finished already",
  );
});

test("many columns and many decisions: some are shown, and how many more there are", () => {
  const columns = Array.from({ length: 30 }, (_, i) => `c${i}`);
  expect(decisionText({ columns, what: "left out", why: "one value only", option: "--keep c0" })).toBe(
    '"c0", "c1", "c2", "c3", "c4", "c5" and 24 more: left out (one value only); --keep c0',
  );
  const many = { ...data, decisions: columns.map((name) => ({ columns: [name], what: "read as dates" })) };
  const lines = told(80, settings, "accuracy", many, amount);
  expect(lines.filter((line) => line.startsWith("- "))).toHaveLength(20);
  expect(lines.at(-1)).toBe("10 more of the decisions: see the report");
});

test("what was typed is typed again: quoted where a shell would read it otherwise, never obeyed by a terminal", () => {
  expect(["a.csv", "my file.csv", "it's", "$HOME", "", "é", "-x"].map(typed)).toEqual([
    "a.csv",
    "'my file.csv'",
    "'it'\\''s'",
    "'$HOME'",
    "''",
    "'é'",
    "-x",
  ]);
  expect(typed("a\u001b]52;c\u0007\\ it's\u202e\n")).toBe("$'a\\u001b]52;c\\u0007\\\\ it\\'s\\u202e\\u000a'");
  for (const text of HOSTILE) expect(printableLines(typed(text))).toBe(typed(text));
});

test("a command to make it again, from any folder", () => {
  const args = ["--data", "/data/my file.csv", "--seeds", "5"];
  expect(compareCommand(args, {})).toMatch(
    /^node \S+\/cli\.js compare --data '\/data\/my file\.csv' --seeds 5$/,
  );
  const env = { npm_lifecycle_event: "start", npm_package_json: "/clone/package.json" };
  expect(compareCommand(args, env)).toBe("npm --prefix /clone start -- --data '/data/my file.csv' --seeds 5");
  expect(compareCommand([], env)).toBe("npm --prefix /clone start");
});
