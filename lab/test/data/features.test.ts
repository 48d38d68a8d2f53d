import { expect, test } from "vitest";
import { inputsOf } from "../../src/data/encoders.js";
import { type FeatureOptions, featuresOf, inputFormOf } from "../../src/data/features.js";
import type { Value } from "../../src/data/table.js";
import { errorOf } from "../support/files.js";
import { rows, scattered, tableOf } from "../support/tables.js";

type Columns = Record<string, readonly (Value | Date)[]>;

function made(columns: Columns, options: FeatureOptions = {}) {
  const table = tableOf(columns);
  return featuresOf(
    table.columns,
    table,
    rows(table.rowCount, (row) => row),
    options,
  );
}
const inputs = (columns: Columns, options?: FeatureOptions) =>
  made(columns, options).features.map(({ column, how }) => `${column}: ${how}`);
const decisions = (columns: Columns, options?: FeatureOptions) => made(columns, options).decisions;

const N = 40;
const size = rows(N, (i) => scattered(i));

test("numbers stay numbers, integers of few values too; texts become levels", () => {
  const columns = { size, stars: rows(N, (i) => i % 3), city: rows(N, (i) => ["Oslo", "Rome"][i % 2]) };
  expect(inputs(columns)).toEqual(["size: a number", "stars: a number", "city: 2 levels"]);
  expect(decisions(columns)).toEqual([]);
});

test("what says nothing is left out, columns of one fate in one decision, and kept where the user says so", () => {
  const columns = {
    PassengerId: rows(N, (i) => i + 1),
    size,
    one: rows(N, () => "x"),
    same: rows(N, () => 3),
    none: rows(N, () => null),
    hash: rows(N, (i) => (i * 2654435761).toString(16)),
    review: rows(N, (i) => `I have seen better ones, number ${i}`),
  };
  expect(inputs(columns)).toEqual(["size: a number"]);
  expect(decisions(columns)).toEqual([
    { columns: ["PassengerId"], what: "left out", why: "a count of the rows", option: "--keep PassengerId" },
    { columns: ["one", "same"], what: "left out", why: "one value only", option: "--keep one,same" },
    { columns: ["none"], what: "left out", why: "no value in any row", option: "--keep none" },
    { columns: ["hash"], what: "left out", why: "a value of its own in most rows", option: "--keep hash" },
    { columns: ["review"], what: "left out", why: "free text", option: "--text review" },
  ]);
  const keep = ["PassengerId", "same,one"];
  expect(inputs(columns, { keep })).toEqual([
    "PassengerId: a number",
    "size: a number",
    "one: 1 level",
    "same: a number",
  ]);
});

test.each<[string, (row: number) => Value]>([
  ["row", (i) => i],
  ["no", (i) => i + 7],
  ["any", (i) => i],
  ["Unnamed: 0", (i) => 3 * i],
  ["column 1", (i) => 3 * i],
  ["X", (i) => 3 * i],
  ["row names", (i) => 3 * i],
  ["customerID", (i) => (i * 17) % N],
  ["user_id", (i) => ((i % 38) * 17) % N],
  ["patient", (i) => (i * 17) % N],
  ["passengerid", (i) => (i * 17) % N],
  ["Sample Number", (i) => (i * 17) % N],
  ["id", (i) => 9007199254740992 + 2 * Math.floor(i / 3)],
  ["ticket", (i) => `T${i % 33}`],
])("an identifier: %s", (name, value) => {
  expect(inputs({ [name]: rows(N, value), size })).toEqual(["size: a number"]);
});

test.each<[string, (row: number) => Value]>([
  ["t", (i) => i],
  ["year", (i) => 1980 + i],
  ["time step", (i) => i],
  ["population", (i) => 1000 + ((i * 17) % N)],
  ["column 2", (i) => (i * 17) % N],
  ["id", (i) => i / 2],
  ["number of visitors", (i) => (i * 17) % N],
  ["price index", (i) => (i * 17) % N],
  ["family size", (i) => i % 7],
  ["sales per customer", (i) => i % 7],
  ["acid", (i) => i % 7],
])("no identifier: %s", (name, value) => {
  expect(inputs({ [name]: rows(N, value), size })[0]).toBe(`${name}: a number`);
});

test("few rows are counted by chance, but not in a column that is called so", () => {
  expect(inputs({ dose: rows(10, (i) => i + 1), size: size.slice(0, 10) })).toHaveLength(2);
  expect(inputs({ id: rows(10, (i) => i + 1), size: size.slice(0, 10) })).toHaveLength(1);
});

test("a counter is used where there is no other input", () => {
  const columns = { x: rows(N, (i) => i), none: rows(N, () => null) };
  expect(inputs(columns)).toEqual(["x: a number"]);
  expect(decisions(columns)[0]).toEqual({
    columns: ["x"],
    what: "used as a number",
    why: "it counts the rows, and there is no other input",
  });
});

test("numbers that name things in several rows are levels, unless the user says that they are numbers", () => {
  const columns = { store_id: rows(N, (i) => i % 4), size };
  expect(made(columns).features[0].names).toEqual(["store_id=0", "store_id=1", "store_id=2", "store_id=3"]);
  expect(decisions(columns)).toEqual([
    {
      columns: ["store_id"],
      what: "taken as levels",
      why: "numbers that name something have no size",
      option: "--numeric store_id",
    },
  ]);
  expect(inputs(columns, { numeric: ["store_id"] })[0]).toBe("store_id: a number");
});

test("more levels than --levels are merged, and told", () => {
  const columns = { a: rows(60, (i) => `a${i % 30}`), b: rows(60, (i) => `b${i % 25}`) };
  expect(inputs(columns, { levels: 20 })).toEqual(["a: 20 levels and other", "b: 20 levels and other"]);
  expect(decisions(columns, { levels: 20 })).toEqual([
    {
      columns: ["a", "b"],
      what: 'the most frequent values (at most 20) kept, all others are "other"',
      why: "25 to 30 different ones",
      option: "--levels N",
    },
  ]);
  expect(inputs(columns, { levels: 25 })).toEqual(["a: 25 levels and other", "b: 25 levels"]);
});

test("without --levels, columns of more than 20 levels that come again are embedded, and told", () => {
  const columns = {
    size: rows(60, scattered),
    a: rows(60, (i) => `a${i % 30}`),
    store_id: rows(60, (i) => (i < 30 ? i % 25 : (i % 30) % 25)),
    b: rows(60, (i) => (i < 54 ? `b${i % 22}` : null)),
    few: rows(60, (i) => (i < 40 ? `f${i % 10}` : `g${i}`)),
  };
  expect(inputs(columns)).toEqual([
    "size: a number",
    "a: 30 categories, embedded",
    "store_id: 25 categories, embedded",
    "b: 22 categories, embedded, and whether it is missing",
    "few: 10 levels and other",
  ]);
  const { features, decisions: told } = made(columns);
  expect(inputFormOf(features, {})).toEqual({
    kind: "features",
    shape: [16],
    categories: [
      { at: 1, levels: 31 },
      { at: 2, levels: 26 },
      { at: 3, levels: 23 },
    ],
  });
  expect(told).toContainEqual({
    columns: ["a", "store_id", "b"],
    what: "values embedded: a vector is learnt for each that is in several rows",
    why: "22 to 30 different ones",
    option: "--levels N",
  });
});

const review = rows(N, (i) => `I have seen better ones, number ${i}`);
const title = rows(N, (i) => `Not so very good at ${i} all`);

test("free text is read as a text where nothing else says anything, the longest one; else where --text names it", () => {
  const columns = {
    id: rows(N, (i) => i + 1),
    title,
    review,
    gap: rows(N, (i) => (i % 4 ? null : title[i])),
  };
  const { features, decisions: told } = made(columns);
  expect(features.map(({ column }) => column)).toEqual(["review"]);
  expect(inputFormOf(features, {})).toEqual({ kind: "tokens", shape: [7], vocabulary: 7 });
  expect(told).toEqual([
    {
      columns: ["review"],
      what: "read as texts, the first 7 words of each; 6 words known, those of several rows, held-out ones too: no target is seen",
      why: "free text, and no other input says more",
    },
    { columns: ["id"], what: "left out", why: '"review" is the only input' },
    { columns: ["title"], what: "left out", why: '"review" is the only input', option: "--text title" },
    { columns: ["gap"], what: "left out", why: '"review" is the only input', option: "--text gap" },
  ]);
  expect(inputs({ size, review })).toEqual(["size: a number"]);
  expect(decisions({ size, review }, { text: "review" })).toEqual([
    {
      columns: ["review"],
      what: "read as texts, the first 7 words of each; 6 words known, those of several rows, held-out ones too: no target is seen",
      why: "it is named by --text",
    },
    { columns: ["size"], what: "left out", why: '"review" is the only input' },
  ]);
});

test("missing numbers and dates are told and marked, missing texts are a level, and one value or none is one input", () => {
  const columns = {
    age: rows(N, (i) => (i % 5 === 0 ? null : scattered(i))),
    weight: rows(N, (i) => (i === 0 ? null : scattered(i))),
    seen: rows(N, (i) => (i % 3 ? null : new Date(Date.UTC(1980 + i, 0)))),
    city: rows(N, (i) => ["Oslo", "Rome", null][i % 3]),
    bought: rows(N, (i) => (i % 3 ? null : "t")),
    flag: rows(N, (i) => (i % 2 ? null : 1)),
    left: rows(N, (i) => (i % 2 ? null : new Date("2024-01-01"))),
  };
  expect(inputs(columns)).toEqual([
    "age: a number, and whether it is missing",
    "weight: a number",
    "seen: a date: year, and whether it is missing",
    "city: 2 levels and missing",
    "bought: whether there is a value",
    "flag: whether there is a value",
    "left: whether there is a value",
  ]);
  expect(decisions(columns)).toEqual([
    {
      columns: ["age"],
      what: "missing numbers replaced by the mean of the training part, and marked by an input of their own",
      option: "--ignore age",
    },
    {
      columns: ["weight"],
      what: "missing numbers replaced by the mean of the training part",
      option: "--ignore weight",
    },
    {
      columns: ["seen"],
      what: "taken apart: year",
      why: "it holds dates",
      option: "--categorical seen",
    },
    { columns: ["seen"], what: "missing dates marked by an input of their own", option: "--ignore seen" },
  ]);
  const [age] = made(columns).features;
  expect(age).toMatchObject({ names: ["age", "age (missing)"], scaled: [true, false] });
  const x = inputsOf(age.encoders, tableOf(columns), [0, 1]);
  expect([...x].map((value) => (Number.isNaN(value) ? null : Math.sign(value)))).toEqual([null, 1, -1, 0]);
});

test("of an identifier that many rows lack, whether there is one", () => {
  const columns = { size, cabin: rows(N, (i) => (i % 4 ? null : `C${i}`)) };
  expect(inputs(columns)).toEqual(["size: a number", "cabin: whether there is a value"]);
  expect(decisions(columns)).toEqual([
    {
      columns: ["cabin"],
      what: "used for whether there is a value only",
      why: "a value of its own in most rows",
      option: "--keep cabin",
    },
  ]);
});

test("dates are taken apart, and told by their parts", () => {
  const when = rows(N, (i) => new Date(Date.UTC(2024, 0, 1 + i)));
  const columns = {
    when,
    sold: rows(N, (i) => new Date(Date.UTC(2024, 0, 1 + ((7 * i) % 60)))),
    year: rows(N, (i) => new Date(Date.UTC(1980 + i, 0))),
  };
  expect(inputs(columns)).toEqual([
    "when: a date: month, weekday, elapsed",
    "sold: a date: month, weekday, elapsed",
    "year: a date: year",
  ]);
  expect(decisions(columns)).toEqual([
    {
      columns: ["when", "sold"],
      what: "taken apart: month, weekday and elapsed",
      why: "it holds dates",
      option: "--categorical when,sold",
    },
    { columns: ["year"], what: "taken apart: year", why: "it holds dates", option: "--categorical year" },
  ]);
});

test("equal columns are told", () => {
  const b = rows(N, (i) => -scattered(i));
  expect(decisions({ a: size, b, c: [...size], d: [...b] })).toEqual([
    { columns: ["c", "d"], what: "the same as another column", why: '"a" and "b"', option: "--ignore c,d" },
  ]);
});

test("rows that are not used say nothing", () => {
  const table = tableOf({ a: [1, 1, 1, 2], b: [1, 2, 3, 4] });
  const { features } = featuresOf(table.columns, table, [0, 1, 2], {});
  expect(features.map(({ column }) => column)).toEqual(["b"]);
});

test.each<[string, Columns, FeatureOptions, string]>([
  [
    "nothing that says something",
    { a: rows(N, () => 1), "b no": rows(N, (i) => `b${i}`), "user id": rows(N, (i) => (i * 17) % N) },
    {},
    'expected at least one input that says something, got "a" (one value only), "b no" (a value of its own in most rows), "user id" (a value of its own in most rows); read one as a text with --text "b no", or check --target and --ignore',
  ],
  [
    "texts that are all different",
    { name: rows(N, (i) => `n${i}`) },
    {},
    'expected at least one input that says something, got "name" (a value of its own in most rows); read one as a text with --text name, or check --target and --ignore',
  ],
  [
    "texts without words in common",
    { review: rows(N, (i) => `${i}a ${i}b ${i}c ${i}d ${i}e`) },
    {},
    'column "review": expected texts with words in common, got none that is in 2 rows; name another column with --text, or leave this one out with --ignore review',
  ],
  [
    "a text of numbers",
    { size },
    { text: "size" },
    '--text: expected a column of texts, got numbers in "size"; name another column',
  ],
  [
    "a text without a value",
    { size, note: size.map(() => null) },
    { text: "note" },
    '--text: expected a column of texts, got no value in "note"; name another column',
  ],
  [
    "a text that is an image",
    { size },
    { text: "size", image: [1, 1] },
    "--image and --text make different inputs; leave one of them out",
  ],
  ["no levels", { size }, { levels: 0 }, "--levels: expected an integer of at least 1, got 0"],
  [
    "a column that is not there",
    { size },
    { keep: ["sise"] },
    '--keep: there is no column "sise"; did you mean "size"? The columns are "size"',
  ],
  [
    "an image of another size",
    { size },
    { image: [2, 2] },
    "--image 2x2: expected 4 columns of pixels, got 1 input column; correct the size, or leave columns out with --ignore",
  ],
  [
    "an image with text",
    { size, city: rows(N, () => "Oslo") },
    { image: [1, 2] },
    '--image: expected pixels in every input column, got text in "city"; leave it out with --ignore city',
  ],
  [
    "an image without a side",
    { size },
    { image: [0, 2] },
    "--image: expected a height and a width of at least 1 pixel each, got 0x2",
  ],
  [
    "a negative pixel",
    { p: rows(N, (i) => 36 - i) },
    { image: [1, 1] },
    'row 38, column "p": expected a pixel of 0 or more, got -1; correct the value, or leave out --image',
  ],
  [
    "a black image",
    { p: rows(N, () => 0) },
    { image: [1, 1] },
    "--image: expected pixels that vary, got 0 in every row; check --ignore",
  ],
])("%s", async (_, columns, options, message) => {
  expect(await errorOf(() => made(columns, options))).toBe(`UsageError: ${message}`);
});
