/** Windows of a text, parts that follow each other, rare characters, and what is too short. */
import { expect, test } from "vitest";
import { splitOf } from "../../src/data/split.js";
import type { DatasetOptions } from "../../src/datasets/dataset.js";
import { charactersOf, numbersOf, type TextReading, toText } from "../../src/datasets/text.js";
import { UsageError } from "../../src/errors.js";
import { loadDataset } from "../../src/node/datasets.js";
import { errorOf, write } from "../support/files.js";

const made = (text: string, options: DatasetOptions = {}, more = false) =>
  toText({ name: "test.txt", text, end: text, more, decisions: [] }, options, "made up");
const PROSE = "the quick brown fox jumps over the lazy dog. ";

test("characters by how often they come, in windows that follow each other, each with the next ones as its target", () => {
  const data = made("abab".repeat(30), { window: 8 });
  expect(data).toMatchObject({
    name: "test.txt",
    metric: "bits per character",
    target: "the next character",
    inputs: [{ column: "text", how: "2 different characters", names: ["text"] }],
    form: { input: { kind: "tokens", shape: [8], vocabulary: 3 }, outputs: [8, 4] },
    count: 14,
    targetShape: [8],
    windows: { ahead: 1 },
    drawn:
      "has the same parts: the last 20 % of the text are held out, and the 16 % before them are for validation",
    decisions: [],
    reading: { from: "text", characters: ["a", "b"], window: 8 },
  });
  expect([...data.x.slice(0, 4)]).toEqual([2, 3, 2, 3]);
  expect([...(data.windows?.starts ?? [])].slice(0, 3)).toEqual([0, 8, 16]);
  // the last target ends within the text
  expect((data.windows?.starts.at(-1) ?? 0) + 1 + 8).toBeLessThanOrEqual(120);
});

test("parts follow each other, every seed alike, and none reaches into the next", () => {
  const data = made(PROSE.repeat(100), { window: 16, shares: [0.5, 0.25, 0.25] });
  const { train, validation, heldOut } = splitOf(data.parts, data.count, 1);
  const starts = data.windows?.starts ?? new Int32Array();
  const [first, last] = [Math.min, Math.max].map(
    (of) => (part: Int32Array) => of(...part.map((row) => starts[row])),
  );
  expect(last(train) + 1 + 16).toBeLessThanOrEqual(first(validation) + 1);
  expect(last(validation) + 1 + 16).toBeLessThanOrEqual(first(heldOut) + 1);
  expect(train.length / data.count).toBeCloseTo(0.5, 1);
  expect([...splitOf(data.parts, data.count, 2).heldOut]).toEqual([...heldOut]);
});

test("characters that come once are one, and so are those beyond the most frequent", () => {
  const data = made(`${PROSE.repeat(40)}\u{1f600}é`, { window: 16 });
  const { characters } = data.reading as TextReading;
  expect(characters).not.toContain("é");
  expect([...data.x.slice(-2)]).toEqual([1, 1]);
  expect(data.decisions).toEqual([
    { columns: [], what: '2 rare characters count as one: "é", "\u{1f600}"', why: "2 of 1,802 characters" },
  ]);
  const many = Array.from({ length: 700 }, (_, i) => String.fromCodePoint(0x4e00 + (i % 350))).join("");
  expect(made(many, { window: 16 }).form.input.vocabulary).toBe(301);
  expect([...numbersOf(["e", "é"], characters)]).toEqual([characters.indexOf("e") + 2, 1]);
});

test("a limit is of the first characters; without one the first 300,000 are used", () => {
  const limited = made(PROSE.repeat(100), { window: 16, limit: 900 });
  expect([limited.x.length, limited.count, limited.decisions]).toEqual([900, 56, []]);
  const long = made(PROSE.repeat(7000), {});
  expect(long.x.length).toBe(300_000);
  expect(long.decisions).toEqual([
    {
      columns: [],
      what: "the first 300,000 characters are used",
      why: "of 315,000",
      option: "--limit CHARACTERS",
    },
    {
      columns: [],
      what: "read in windows of 64 characters, which a network sees at once",
      option: "--window CHARACTERS",
    },
  ]);
  expect([charactersOf({}), charactersOf({ limit: 5 })]).toEqual([300_000, 5]);
  expect(() => charactersOf({ limit: 20_000_001 })).toThrow(
    new UsageError(
      "--limit: expected at most 20,000,000 characters of a text, got 20,000,001; use a lower one",
    ),
  );
});

test("a text that is too short for its windows; what is told to do works", async () => {
  expect(await errorOf(() => made(PROSE.repeat(3), {}))).toBe(
    "UsageError: --window: expected windows of which each part of the text has one, got 64 characters of 135; use --window 10 or less, or bring a text of 801 characters or more",
  );
  expect(made(PROSE.repeat(3), { window: 10 }).count).toBe(13);
  expect(made("x".repeat(801), {}).count).toBe(12);
  expect(await errorOf(() => made(PROSE.repeat(40), { limit: 50 }))).toBe(
    "UsageError: --window: expected windows of which each part of the text has one, got 64 characters of 50; use --window 3 or less, or raise --limit to 801 or more",
  );
  expect(await errorOf(() => made("ab", {}))).toBe(
    "UsageError: --window: expected windows of which each part of the text has one, got 64 characters of 2; bring a text of 801 characters or more",
  );
});

test("a file of prose is a text, a table is not, whatever its name", async () => {
  const prose = await loadDataset(write("prose.txt", PROSE.repeat(40)), {});
  expect([prose.task, prose.name]).toEqual(["language-model", "prose.txt"]);
  const table = await loadDataset(
    write("table.txt", `a\tb\n${Array.from({ length: 40 }, (_, i) => `${i % 7}\t${i % 2}`).join("\n")}\n`),
    {},
  );
  expect(table.task).toBe("classification");
  const told = await loadDataset(write("table.csv", `a,b\n${"1,2\n3,4\n".repeat(120)}`), {
    task: "language-model",
  });
  expect(told.reading).toMatchObject({ from: "text" });
});

test("Moby-Dick, and labelled sentences", async () => {
  const novel = await loadDataset("moby-dick", { limit: 20_000 });
  expect(novel).toMatchObject({ name: "moby-dick", task: "language-model", count: 312 });
  const { characters } = novel.reading as TextReading;
  expect(Array.from(novel.x.slice(0, 8), (id) => characters[id - 2]).join("")).toBe("CHAPTER ");
  const sentences = await loadDataset("sentiment-yelp", {});
  expect(sentences).toMatchObject({
    name: "sentiment-yelp",
    task: "classification",
    count: 1000,
    form: { input: { kind: "tokens" }, outputs: [2] },
    classes: ["0", "1"],
  });
});
