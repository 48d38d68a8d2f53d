import { expect, test } from "vitest";
import { inferColumn, makeTable, type Table, type Value } from "../src/data/column.js";
import { type DatasetOptions, type Split, toDataset } from "../src/dataset.js";
import { errorOf } from "./support/files.js";

function table(columns: Record<string, Value[]>): Table {
  return makeTable(
    "test.csv",
    Object.entries(columns).map(([name, values]) => inferColumn(name, values)),
  );
}

/** `count` values of `value`, which gets the row's index. */
function rows<T>(count: number, value: (index: number) => T): T[] {
  return Array.from({ length: count }, (_, index) => value(index));
}

function countOf(split: Split, value: number): number {
  return split.y.filter((y) => y === value).length;
}

/** Column `feature` of x. */
function inputs(split: Split, feature: number): number[] {
  const width = split.x.length / split.count;
  return rows(split.count, (row) => split.x[row * width + feature]);
}

test("classification: stratified, standardized by the training rows, the same on every call", () => {
  const data = table({
    a: rows(100, (i) => 1e6 + i * i),
    b: rows(100, (i) => (i % 7 === 0 ? null : i / 3)),
    label: rows(100, (i) => (i < 70 ? "yes" : "no")),
  });
  const dataset = toDataset(data, {}, "made up");
  expect(dataset).toMatchObject({
    name: "test",
    provenance: "made up",
    task: "classification",
    target: "label",
    features: ["a", "b"],
    inputShape: [2],
    classes: ["no", "yes"],
    notes: [],
  });
  expect([dataset.train.count, dataset.heldOut.count]).toEqual([80, 20]);
  expect([countOf(dataset.train, 1), countOf(dataset.heldOut, 1)]).toEqual([56, 14]);
  for (const feature of [0, 1]) {
    const values = inputs(dataset.train, feature);
    const mean = values.reduce((a, b) => a + b) / 80;
    expect(mean).toBeCloseTo(0, 6);
    // what was missing became the mean, 0, and adds no variance
    const there = feature === 0 ? values : values.filter((value) => value !== 0);
    expect(there.reduce((a, b) => a + b * b, 0) / there.length).toBeCloseTo(1, 5);
  }
  expect(toDataset(data, {}, "made up")).toEqual(dataset);
  // Shuffled: the rows are not in the table's order.
  expect(inputs(dataset.train, 0)).not.toEqual([...inputs(dataset.train, 0)].sort((a, b) => a - b));
});

test("held-out rows are standardized by the training rows' mean and standard deviation, never by their own", () => {
  const x = rows(50, (i) => (i * 37) % 50);
  const data = table({ constant: rows(50, () => 1), x, label: rows(50, (i) => i % 2) });
  const dataset = toDataset(data, { target: "label" }, "");
  // x holds 0 to 49 once each, so that one line through both splits makes equal steps.
  const seen = [...inputs(dataset.train, 0), ...inputs(dataset.heldOut, 0)].sort((a, b) => a - b);
  const steps = seen.slice(1).map((value, index) => value - seen[index]);
  for (const step of steps) expect(step).toBeCloseTo(steps[0], 5);
});

test("regression: the target standardized by the training rows, rows without one left out", () => {
  const data = table({
    x: rows(53, (i) => i),
    y: rows(53, (i) => (i >= 50 ? null : 0.5 * i)),
  });
  const dataset = toDataset(data, {}, "");
  expect(dataset).toMatchObject({ task: "regression", target: "y", classes: [] });
  expect(dataset.notes).toEqual(['left out 3 rows without a value of the target "y"']);
  expect([dataset.train.count, dataset.heldOut.count]).toEqual([40, 10]);
  expect(dataset.train.y.reduce((a, b) => a + b) / 40).toBeCloseTo(0, 6);
  expect(dataset.train.y.reduce((a, b) => a + b * b, 0) / 40).toBeCloseTo(1, 5);
});

test("the task follows from the target, or from --task and --categorical", () => {
  const data = table({
    x: rows(60, (i) => i),
    few: rows(60, (i) => [10, 9, 100][i % 3]),
    many: rows(60, (i) => i % 30),
    halves: rows(60, (i) => (i % 2) / 2),
    flag: rows(60, (i) => String(i % 2 === 0)),
  });
  const task = (options: DatasetOptions) => {
    const { task, classes } = toDataset(data, options, "");
    return [task, classes.length];
  };
  expect(toDataset(data, { target: "few" }, "").classes).toEqual(["9", "10", "100"]);
  expect(task({})).toEqual(["classification", 2]);
  expect(task({ target: "many" })).toEqual(["regression", 0]);
  expect(task({ target: "many", categorical: ["many"] })).toEqual(["classification", 30]);
  expect(task({ target: "many", task: "classification" })).toEqual(["classification", 30]);
  expect(task({ target: "halves" })).toEqual(["regression", 0]);
  expect(task({ target: "few", task: "regression" })).toEqual(["regression", 0]);
  expect(toDataset(data, { ignore: ["flag"] }, "").target).toBe("halves");
});

test("text is one-hot by the training rows' levels, a gap being a level of its own; what is constant goes", () => {
  const data = table({
    city: rows(40, (i) => ["Oslo", "Bergen", null][i % 3]),
    code: rows(40, (i) => [2, 10][i % 2]),
    same: rows(40, () => 3),
    gone: rows(40, () => null),
    word: rows(40, () => "w"),
    label: rows(40, (i) => i % 2),
  });
  const dataset = toDataset(data, { categorical: ["code"] }, "");
  expect(dataset.features).toEqual(["city=Bergen", "city=Oslo", "city=(missing)", "code=2", "code=10"]);
  expect(dataset.notes).toEqual([
    'left out 3 columns with one value only in the training rows: "same", "gone", "word"',
  ]);
  for (const split of [dataset.train, dataset.heldOut]) {
    for (let row = 0; row < split.count; row++) {
      const x = split.x.subarray(row * 5, row * 5 + 5);
      expect(x[0] + x[1] + x[2]).toBe(1);
      // label = i mod 2 goes with code = 2 or 10.
      expect([x[3], x[4]]).toEqual(split.y[row] === 0 ? [1, 0] : [0, 1]);
    }
  }
});

test("a level that only held-out rows have is no input, and they have none of the others", () => {
  const data = table({
    x: rows(40, (i) => i),
    letter: rows(40, (i) => ["a", "b"][i % 2]),
    label: rows(40, (i) => i % 2),
  });
  const before = toDataset(data, {}, "");
  // Which row was held out first: x is the row's index, and keeps its order when standardized.
  const order = [...inputs(before.train, 0), ...inputs(before.heldOut, 0)].sort((a, b) => a - b);
  data.columns[1].values[order.indexOf(before.heldOut.x[0])] = "rare";
  const after = toDataset(data, {}, "");
  expect(after.features).toEqual(["x", "letter=a", "letter=b"]);
  expect([...after.heldOut.x.subarray(1, 3)]).toEqual([0, 0]);
});

test("limit keeps the classes' proportions, and at least two rows of each", () => {
  const data = table({
    x: rows(1000, (i) => i),
    label: rows(1000, (i) => (i < 3 ? "rare" : i < 300 ? "some" : "most")),
  });
  const { train, heldOut, classes } = toDataset(data, { limit: 100 }, "");
  expect(classes).toEqual(["most", "rare", "some"]);
  expect([train.count, heldOut.count]).toEqual([80, 20]);
  const used = classes.map((_, label) => countOf(train, label) + countOf(heldOut, label));
  expect(used).toEqual([69, 2, 29]);
  for (const label of [0, 1, 2]) expect(countOf(heldOut, label)).toBeGreaterThan(0);
  expect(toDataset(data, { limit: 5000 }, "").train.count).toBe(800);
});

test("every class has rows in both splits, however small", () => {
  for (const size of [2, 3, 4, 5]) {
    const data = table({ x: rows(3 * size, (i) => i), label: rows(3 * size, (i) => i % 3) });
    const { train, heldOut } = toDataset(data, {}, "");
    expect(train.count + heldOut.count).toBe(3 * size);
    for (const label of [0, 1, 2]) {
      expect(countOf(train, label)).toBeGreaterThan(0);
      expect(countOf(heldOut, label)).toBeGreaterThan(0);
    }
  }
});

test("an image: pixels divided by the training rows' largest, nothing dropped or standardized", () => {
  const data = table({
    p0: rows(20, () => 0),
    p1: rows(20, (i) => i % 5),
    p2: rows(20, () => 8),
    p3: rows(20, (i) => (i === 7 ? null : 4)),
    label: rows(20, (i) => i % 2),
  });
  const dataset = toDataset(data, { image: [2, 2] }, "");
  expect(dataset.inputShape).toEqual([2, 2, 1]);
  expect(dataset.features).toEqual(["p0", "p1", "p2", "p3"]);
  for (const split of [dataset.train, dataset.heldOut]) {
    expect(inputs(split, 0).every((pixel) => pixel === 0)).toBe(true);
    expect(inputs(split, 1).every((pixel) => [0, 0.125, 0.25, 0.375, 0.5].includes(pixel))).toBe(true);
    expect(inputs(split, 2).every((pixel) => pixel === 1)).toBe(true);
    expect(inputs(split, 3).every((pixel) => pixel === 0.5)).toBe(true);
  }
});

const PLAIN = {
  age: rows(20, (i) => i + 20),
  city: rows(20, (i) => ["Oslo", "Bergen"][i % 2]),
  label: rows(20, (i) => i % 2),
};

/** The column of `values` with `value` in row `row`, counted from 1. */
function withValue(values: Value[], row: number, value: Value): Value[] {
  return values.with(row - 1, value);
}

test.each<[string, Record<string, Value[]>, DatasetOptions, string]>([
  [
    "text among numbers",
    { ...PLAIN, age: withValue(PLAIN.age, 17, "abc") },
    {},
    'row 17, column "age": expected a number, got "abc"; correct the value, or name the column with --categorical age',
  ],
  [
    "text among numbers, in a column whose name needs quotes",
    { "the age": withValue(PLAIN.age, 2, "?"), label: PLAIN.label },
    {},
    'row 2, column "the age": expected a number, got "?"; correct the value, or name the column with --categorical "the age"',
  ],
  [
    "text in a numeric target",
    { age: PLAIN.age, score: rows(20, (i) => (i === 4 ? "high" : i / 3)) },
    {},
    'row 5, column "score": expected a number, got "high"; correct the value, or name the column with --categorical score',
  ],
  [
    "an infinity",
    { ...PLAIN, age: withValue(PLAIN.age, 3, "-inf") },
    {},
    'row 3, column "age": expected a finite number, at most 3.4e38 in size, got "-inf"; correct the value, or leave it empty where it is missing',
  ],
  [
    "a number beyond a double",
    { ...PLAIN, age: withValue(PLAIN.age, 3, "1e999") },
    {},
    'row 3, column "age": expected a finite number, at most 3.4e38 in size, got "1e999"; correct the value, or leave it empty where it is missing',
  ],
  [
    "a number beyond float32",
    { ...PLAIN, age: withValue(PLAIN.age, 3, 1e39) },
    {},
    'row 3, column "age": expected a finite number, at most 3.4e38 in size, got "1e+39"; correct the value, or leave it empty where it is missing',
  ],
  [
    "a target that is not there",
    PLAIN,
    { target: "lable" },
    '--target: there is no column "lable"; did you mean "label"? The columns are "age", "city", "label"',
  ],
  [
    "an ignored column that is not there",
    PLAIN,
    { ignore: ["cty"] },
    '--ignore: there is no column "cty"; did you mean "city"? The columns are "age", "city", "label"',
  ],
  [
    "a categorical column that is not there",
    Object.fromEntries(rows(25, (i) => [`c${i}`, [1, 2, 3]])),
    { categorical: ["c99"] },
    `--categorical: there is no column "c99"; did you mean "c9"? The columns are ${rows(20, (i) => `"c${i}"`).join(", ")} and 5 more`,
  ],
  [
    "a target that is ignored",
    PLAIN,
    { target: "city", ignore: ["city"] },
    'column "city" is both the target and ignored; remove it from --target or --ignore',
  ],
  [
    "one column only",
    PLAIN,
    { ignore: ["age", "label"] },
    'expected a target and at least one feature, got the one column "city" of 3; check --ignore, or bring a table of more columns',
  ],
  [
    "nothing left",
    PLAIN,
    { ignore: ["age", "city", "label"] },
    "expected a target and at least one feature, got no column of 3; check --ignore, or bring a table of more columns",
  ],
  [
    "a constant target",
    { age: PLAIN.age, label: rows(20, () => "a") },
    {},
    'target "label": expected at least two different values to learn from, got only "a" in 20 rows; choose another column with --target',
  ],
  [
    "a target that is never there",
    { age: PLAIN.age, label: rows(20, () => null) },
    {},
    'target "label": expected at least two different values to learn from, got none; choose another column with --target',
  ],
  [
    "a target constant in the training rows",
    { age: [1, 2], y: [0.5, 1.5] },
    {},
    'target "y": expected at least two different values to learn from, got only 1.5 in 1 training row; choose another column with --target',
  ],
  [
    "a class of one row",
    { age: PLAIN.age, label: rows(20, (i) => (i === 5 ? "c" : ["a", "b"][i % 2])) },
    {},
    'target "label": expected at least 2 rows of each class, one to train on and one to hold out, got 1 of class "c"; remove that row, or choose another --target',
  ],
  [
    "a class of one row, of numbers",
    { age: PLAIN.age, label: rows(20, (i) => (i === 5 ? 2 : i % 2)) },
    {},
    'target "label": expected at least 2 rows of each class, one to train on and one to hold out, got 1 of class "2"; remove that row, or choose another --target or --task',
  ],
  [
    "regression of text",
    PLAIN,
    { target: "city", task: "regression" },
    'target "city": regression needs numbers, and this column holds text ("Oslo", for example); leave out --task regression, or choose another --target',
  ],
  [
    "regression of categories",
    PLAIN,
    { task: "regression", categorical: ["label"] },
    'target "label": regression needs numbers, and this column holds categories (--categorical); leave out --task regression, or choose another --target',
  ],
  [
    "more texts than one-hot takes",
    { name: rows(202, (i) => `n${i % 101}`), label: rows(202, (i) => i % 2) },
    {},
    'column "name": expected at most 100 different texts for one-hot inputs, got 101; leave it out with --ignore name',
  ],
  [
    "constant features only",
    { age: rows(20, () => 0.1), label: PLAIN.label },
    {},
    'expected at least one feature that varies, got constant columns only ("age"); check --target and --ignore',
  ],
  [
    "a limit below two rows of each class",
    PLAIN,
    { limit: 3 },
    "--limit: expected an integer number of rows, at least 4 (2 of each of the 2 classes), got 3",
  ],
  [
    "a limit that is not an integer",
    { age: PLAIN.age, y: rows(20, (i) => i / 3) },
    { limit: 2.5 },
    "--limit: expected an integer number of rows, at least 2, got 2.5",
  ],
  [
    "an image of another size",
    PLAIN,
    { image: [2, 2], ignore: ["city"] },
    "--image 2x2: expected 4 columns of pixels, got 1 feature columns; correct the size, or leave columns out with --ignore",
  ],
  [
    "an image with text",
    PLAIN,
    { image: [1, 2] },
    '--image: expected pixels in every feature column, got text or categories in "city"; leave it out with --ignore city',
  ],
  [
    "an image without a side",
    PLAIN,
    { image: [0, 2], ignore: ["city"] },
    "--image: expected a height and a width of at least 1 pixel each, got 0x2",
  ],
  [
    "a negative pixel",
    { p: withValue(PLAIN.age, 4, -3), label: PLAIN.label },
    { image: [1, 1] },
    'row 4, column "p": expected a pixel of 0 or more, got -3; correct the value, or leave out --image',
  ],
  [
    "a black image",
    { p: rows(20, () => 0), label: PLAIN.label },
    { image: [1, 1] },
    "--image: expected pixels that vary, got 0 in every training row; check --ignore",
  ],
])("%s", async (_, columns, options, message) => {
  expect(await errorOf(() => toDataset(table(columns), options, ""))).toBe(`UsageError: ${message}`);
});

test("a held-out value that standardizing would overflow is named, not passed on as infinity", async () => {
  const values = rows(20, (i) => i * 1e-30);
  const results = await Promise.all(
    values.map((_, index) =>
      errorOf(() => toDataset(table({ x: values.with(index, 3e38), label: PLAIN.label }), {}, "")),
    ),
  );
  const named = results.filter((message) => message !== "none");
  // In the 4 rows that are held out; in a training row the value widens the deviation instead.
  expect(named).toHaveLength(4);
  expect(named[0]).toMatch(
    /^UsageError: row \d+, column "x": 3e\+38 is too far from the training rows' values to be standardized; correct the value, or leave it empty where it is missing$/,
  );
});
