import { expect, test } from "vitest";
import { splitOf } from "../src/data/split.js";
import type { Value } from "../src/data/table.js";
import { type Dataset, type DatasetOptions, digestOf } from "../src/datasets/dataset.js";
import { toDataset } from "../src/datasets/tabular.js";
import { errorOf } from "./support/files.js";
import { columnOf, rows, scattered, tableOf } from "./support/tables.js";

type Columns = Record<string, readonly (Value | Date)[]>;

const made = (columns: Columns, options: DatasetOptions = {}) =>
  toDataset(tableOf(columns), options, "made up");
/** Input `index` of all examples. */
const input = ({ x, count }: Dataset, index: number) =>
  rows(count, (row) => x[(row * x.length) / count + index]);
const decided = ({ decisions }: Dataset, what: RegExp) => decisions.filter((one) => what.test(one.what));

const N = 100;
const a = rows(N, (i) => scattered(i));
const label = rows(N, (i) => (i < 70 ? "yes" : "no"));

test("classification: inputs, targets and parts, the same on every call", () => {
  const data = {
    a,
    b: rows(N, (i) => (i % 7 === 0 ? null : scattered(i, Math.PI))),
    city: rows(N, (i) => ["Oslo", "Rome"][i % 2]),
    label,
  };
  const dataset = made(data);
  expect(dataset).toMatchObject({
    name: "test",
    provenance: "made up",
    task: "classification",
    metric: "balanced accuracy",
    target: "label",
    inputs: [
      { column: "a", how: "a number", names: ["a"] },
      { column: "b", how: "a number, and whether it is missing", names: ["b", "b (missing)"] },
      { column: "city", how: "2 levels", names: ["city=Oslo", "city=Rome"] },
    ],
    form: { input: { shape: [5] } },
    classes: ["no", "yes"],
    count: N,
    yScale: 1,
    drawn: "draws its own parts at random, stratified by class",
    fileRows: N,
    warnings: [],
  });
  expect([...dataset.scaled]).toEqual([1, 1, 0, 0, 0]);
  expect([...dataset.y]).toEqual(rows(N, (i) => (i < 70 ? 1 : 0)));
  expect([...dataset.parts.strata]).toEqual([...dataset.y]);
  expect(input(dataset, 0).reduce((sum, value) => sum + value) / N).toBeCloseTo(0, 6);
  expect(input(dataset, 0).reduce((sum, value) => sum + value ** 2, 0) / N).toBeCloseTo(1, 5);
  expect(input(dataset, 1).map(Number.isNaN)).toEqual(rows(N, (i) => i % 7 === 0));
  expect(input(dataset, 4)).toEqual(rows(N, (i) => i % 2));
  expect(made(data)).toEqual(dataset);
});

test("regression: the target centred and scaled, rows without one left out and told", () => {
  const dataset = made({ a, y: rows(N, (i) => (i % 10 === 0 ? null : 1000 + 50 * scattered(i, Math.E))) });
  expect(dataset).toMatchObject({ task: "regression", metric: "R²", classes: [], count: 90, fileRows: N });
  expect(dataset.y.reduce((sum, value) => sum + value) / 90).toBeCloseTo(0, 5);
  expect(dataset.yScale * dataset.y[0]).toBeCloseTo(
    1000 +
      50 * scattered(1, Math.E) -
      rows(N, (i) => i)
        .filter((i) => i % 10)
        .reduce((sum, i) => sum + 1000 + 50 * scattered(i, Math.E), 0) /
        90,
    3,
  );
  expect(dataset.decisions[0]).toEqual({
    columns: ["y"],
    what: "10 rows without a value left out",
    why: "it is the target",
  });
});

test("decisions of the reader come first", () => {
  const table = tableOf({ a, label });
  const read = { columns: [], what: "read with a decimal comma", option: "--decimal ." };
  expect(toDataset({ ...table, decisions: [read] }, {}, "").decisions).toEqual([read]);
});

const date = (i: number) => new Date(Date.UTC(2024, 0, 1 + i));

test.each<[string, Columns, string, string]>([
  ["a date", { when: rows(N, date) }, '"when" is a date', "a"],
  ["an identifier", { id: rows(N, (i) => i) }, '"id" counts the rows', "a"],
  ["hashes", { hash: rows(N, (i) => `h${i}`) }, '"hash" identifies the rows', "a"],
  ["a constant", { one: rows(N, () => 1) }, '"one" has one value only', "a"],
  ["empty", { none: rows(N, () => null) }, '"none" has no value', "a"],
  ["a year", { Year: rows(N, (i) => 2000 + (i % 3)) }, '"Year" says when', "a"],
  ["a name in numbers", { user_id: rows(N, (i) => (i * 7) % 11) }, '"user_id" names something', "a"],
  ["pairs", { sample: rows(N, (i) => `s${i >> 1}`) }, '"sample" has no value in 3 rows', "a"],
  [
    "free text, and a date before it",
    { when: rows(N, date), review: rows(N, (i) => `I have seen better ones, number ${i}`) },
    '"review" is free text and "when" is a date',
    "a",
  ],
])("the last column is %s: the last that can be predicted is", (_, last, why, target) => {
  const dataset = made({ b: rows(N, (i) => scattered(i, Math.E)), a, ...last });
  expect(dataset.target).toBe(target);
  expect(dataset.decisions[0]).toEqual({
    columns: [target],
    what: "predicted",
    why,
    option: "--target NAME",
  });
});

test("a last column of more values than can be told apart is not predicted", () => {
  const many = rows(3003, (i) => scattered(i));
  const { target, decisions } = made({ b: many.toReversed(), many, town: rows(3003, (i) => `t${i % 1001}`) });
  expect(target).toBe("many");
  expect(decisions[0].why).toBe('"town" has 1,001 values');
});

test("what is poor to predict is predicted where there is nothing better, the last one of it", () => {
  const name = rows(N, (i) => `n${i}`);
  const year = rows(N, (i) => 2000 + (i % 3));
  expect(made({ id: rows(N, (i) => i % 7), year, name })).toMatchObject({ target: "year" });
  expect(made({ kept: name, year }, { keep: ["kept"] }).target).toBe("year");
});

test("a column that is called a target is predicted, wherever it stands", () => {
  const { target, decisions } = made({ Label: label, a, b: rows(N, (i) => scattered(i, Math.E)) });
  expect(target).toBe("Label");
  expect(decisions[0]).toEqual({
    columns: ["Label"],
    what: "predicted",
    why: "as its name says",
    option: "--target NAME",
  });
  expect(made({ a, group: rows(N, (i) => i % 3) }).target).toBe("group");
  expect(made({ a, class_id: rows(N, (i) => i % 8) }).target).toBe("class_id");
  // a likely name, where the last column cannot be
  expect(made({ class: label, a, when: rows(N, date) }).target).toBe("class");
  // two of them, or one that cannot be
  expect(made({ label, target: label, a }).target).toBe("a");
  expect(made({ label: rows(N, (i) => `l${i}`), b: a.toReversed(), a }).target).toBe("a");
});

test("another column that may be a target is told", () => {
  expect(made({ Class: label, a, b: a.map((one) => 1 / (1 + one)) }).decisions[0]).toEqual({
    columns: ["b"],
    what: "predicted",
    why: 'it is the last column; "Class" may be meant',
    option: "--target Class",
  });
  expect(made({ Class: label, a, y: label }).decisions).toEqual([]);
});

test("a target that is named holds, whatever it is", () => {
  const id = rows(N, (i) => i);
  expect(made({ id, a, label }, { target: "id" })).toMatchObject({ target: "id", task: "regression" });
  const when = made({ when: rows(N, date), a, label }, { target: "WHEN" });
  expect(when).toMatchObject({ target: "when", task: "regression" });
  // 0 to 99 days
  expect(when.yScale).toBeCloseTo(Math.sqrt((N * N - 1) / 12), 5);
  expect(when.decisions[0]).toEqual({
    columns: ["when"],
    what: "predicted as a number of days",
    why: "it holds dates",
    option: "--categorical when",
  });
});

test("the task follows from the target, or from --task", () => {
  const data = {
    a,
    few: rows(N, (i) => [10, 9, 100][i % 3]),
    many: rows(N, (i) => i % 30),
    half: rows(N, (i) => (i % 2) / 2),
  };
  const task = (options: DatasetOptions) => {
    const { task, classes } = made(data, options);
    return [task, classes];
  };
  expect(task({ target: "few" })).toEqual(["classification", ["9", "10", "100"]]);
  expect(task({ target: "few", task: "regression" })).toEqual(["regression", []]);
  expect(task({ target: "many" })[0]).toBe("regression");
  expect(task({ target: "many", task: "classification" })[1]).toHaveLength(30);
  expect(task({})[0]).toBe("regression");
});

test("integers that would make classes of few rows are a number", () => {
  const { task, decisions } = made({ a: a.slice(0, 15), price: rows(15, (i) => 200 + ((i * 7) % 15)) });
  expect(task).toBe("regression");
  expect(decisions).toEqual([
    {
      columns: ["price"],
      what: "predicted as a number, not as one of 15 classes",
      why: "15 values have fewer than 3 rows, one for each part",
    },
  ]);
});

test("integers whose largest are rare are a number: counts", () => {
  const visits = rows(
    N,
    (i) => [0, 0, 0, 1, 1, 1, 2, 2, 3, 4][i % 10] + (i === 4 ? 6 : 0) + (i === 5 ? 8 : 0),
  );
  const { task, decisions } = made({ a, visits });
  expect(task).toBe("regression");
  expect(decisions).toEqual([
    {
      columns: ["visits"],
      what: "predicted as a number, not as one of 7 classes",
      why: "2 values have fewer than 3 rows, one for each part",
      option: "--task classification",
    },
  ]);
  expect(made({ a, visits }, { task: "classification" }).classes).toEqual(["0", "1", "2", "3", "4"]);
});

test("integers that are taken for classes are told, unless they are two", () => {
  expect(made({ a, stars: rows(N, (i) => 1 + (i % 5)) }).decisions).toEqual([
    {
      columns: ["stars"],
      what: "predicted as one of 5 classes, not as a number",
      why: "5 different integers",
      option: "--task regression",
    },
  ]);
  expect(made({ a, y: rows(N, (i) => i % 2) }).decisions).toEqual([]);
});

test("classes of fewer than three rows are left out and told", () => {
  const dataset = made({ a, label: rows(N, (i) => (i < 2 ? "rare" : i === 2 ? "rarer" : label[i])) });
  expect(dataset).toMatchObject({ count: 97, classes: ["no", "yes"] });
  expect(dataset.decisions).toEqual([
    {
      columns: ["label"],
      what: 'classes "rare" and "rarer" left out, with 3 rows',
      why: "fewer than 3 rows, one for each part",
    },
  ]);
  const counts = made({ a, n: rows(N, (i) => (i < 2 ? 7 : i % 3)) });
  expect(decided(counts, /left out/)).toEqual([
    {
      columns: ["n"],
      what: 'class "7" left out, with 2 rows',
      why: "fewer than 3 rows, one for each part",
      option: "--task regression",
    },
  ]);
});

test("the metric: the usual one, or --metric in any case", () => {
  expect(made({ a, y: rows(N, (i) => i % 2) }).metric).toBe("accuracy");
  expect(made({ a, label }, { metric: "auc" }).metric).toBe("AUC");
});

test("limit keeps the classes' proportions, at least three rows of each, and the order of the rows", () => {
  const many = rows(1000, (i) => scattered(i));
  const kinds = rows(1000, (i) => (i < 3 ? "rare" : i < 300 ? "some" : "most"));
  const dataset = made({ many, kinds }, { limit: 100 });
  expect([dataset.count, dataset.fileRows]).toEqual([100, 1000]);
  expect([0, 1, 2].map((index) => dataset.y.filter((one) => one === index).length)).toEqual([69, 3, 28]);
  expect([...dataset.y]).toEqual(
    [...dataset.y].sort((one, other) => [1, 2, 0].indexOf(one) - [1, 2, 0].indexOf(other)),
  );
  expect(made({ many, kinds }, { limit: 5000 }).count).toBe(1000);
});

test("groups: no input, and whole; rows without one are each alone", () => {
  const patient = rows(N, (i) => (i < 10 ? null : `p${i % 9}`));
  const dataset = made({ patient, a, label }, { group: "patient" });
  expect(dataset.inputs.map(({ column }) => column)).toEqual(["a"]);
  expect(new Set(dataset.parts.groups).size).toBe(19);
  expect(dataset.drawn).toBe(
    'draws its own parts at random, stratified by class, all rows of one "patient" in one part',
  );
  expect(decided(dataset, /not an input/)[0].columns).toEqual(["patient"]);
  const { train, heldOut } = splitOf(dataset.parts, N, 1);
  const groups = new Set([...train].map((row) => dataset.parts.groups?.[row]));
  expect([...heldOut].some((row) => groups.has(dataset.parts.groups?.[row]))).toBe(false);
});

test("time: the one column of dates, or the one that is named; rows without it are left out", () => {
  const when = rows(N, (i) => (i === 4 ? null : date(i)));
  const dataset = made({ when, a, label }, { split: "time" });
  expect(dataset.count).toBe(99);
  expect(decided(dataset, /without a value/)[0]).toMatchObject({ columns: ["when"], why: "it says when" });
  expect([...splitOf(dataset.parts, 99, 1).heldOut].sort((i, j) => i - j)).toEqual(rows(20, (i) => 79 + i));
  expect(dataset.inputs[0].column).toBe("when");
  const step = made({ step: rows(N, (i) => N - i), a, label }, { time: "step" });
  expect([...splitOf(step.parts, N, 1).heldOut].sort((i, j) => i - j)).toEqual(rows(20, (i) => i));
});

test("a class that time keeps from the training part is warned of", () => {
  const when = rows(N, date);
  const late = rows(N, (i) => (i >= 90 ? "new" : i % 2 ? "a" : "b"));
  expect(made({ when, a, late }, { split: "time" }).warnings).toEqual([
    'class "new" is held out and not in the training part, so that no network can learn it; divide the rows in another way, or leave its rows out of the file',
  ]);
});

test("a target of which a few rows make most of the variance is warned of", () => {
  const price = rows(200, (i) => scattered(i) + (i < 2 ? 40 : 0));
  const size = rows(200, (i) => scattered(i, Math.E));
  expect(made({ size, price }).warnings).toEqual([
    '2 rows of 200 make 98 % of the variance of "price", so that the result hangs on few of the held-out ones; where they are right, predict its logarithm or its rank, as a column of its own in the file',
  ]);
  // a skewed one is usual
  expect(made({ size, price: price.map((one, i) => (i < 2 ? 1 : one) ** 4) }).warnings).toEqual([]);
});

test("an image: pixels divided by the largest, nothing left out", () => {
  const dataset = made(
    { p0: rows(N, () => 0), p1: rows(N, (i) => i % 5), p2: rows(N, () => 8), p3: rows(N, () => 4), label },
    { image: [2, 2] },
  );
  expect(dataset.form.input.shape).toEqual([2, 2, 1]);
  expect(dataset.inputs).toEqual([
    { column: "p0 … p3", how: "pixels of 2×2", names: ["p0", "p1", "p2", "p3"] },
  ]);
  expect([...dataset.x.subarray(4, 8)]).toEqual([0, 0.125, 1, 0.5]);
  expect([...dataset.scaled]).toEqual([0, 0, 0, 0]);
});

test("the digest tells of all that a trial sees, and of nothing else", async () => {
  const dataset = made({ a, label });
  const digest = await digestOf(dataset);
  expect(digest).toMatch(/^[0-9a-f]{64}$/);
  expect(
    await digestOf({
      ...dataset,
      x: new Float32Array(new SharedArrayBuffer(4 * N)).map((_, i) => dataset.x[i]),
    }),
  ).toBe(digest);
  expect(await digestOf(made({ a, label: label.map((one) => one.toUpperCase()) }))).not.toBe(digest);
  const changed: Partial<Dataset>[] = [
    { x: dataset.x.with(7, 3) },
    { y: dataset.y.with(7, 0) },
    { scaled: new Uint8Array(1) },
    { metric: "AUC" },
    { form: { ...dataset.form, input: { kind: "features", shape: [1, 1] } } },
    { yScale: 2 },
    { parts: { ...dataset.parts, groups: new Int32Array(N) } },
    { parts: { ...dataset.parts, heldOut: new Int32Array(N) } },
  ];
  const others = await Promise.all(changed.map((change) => digestOf({ ...dataset, ...change })));
  expect(new Set([digest, ...others]).size).toBe(9);
  expect(await digestOf({ ...dataset, name: "other" } as Dataset)).toBe(digest);
});

test("what the reader left out is named where a single column is left", async () => {
  const read = { columns: ["tags"], what: "left out", why: "lists" };
  expect(await errorOf(() => toDataset({ ...tableOf({ label }), decisions: [read] }, {}, ""))).toBe(
    'UsageError: expected a target and at least one input, got the one column "label" of 1 ("tags" was left out); check --ignore, or bring a table of more columns',
  );
});

test("what the reader left out may be ignored too", () => {
  const table = {
    ...tableOf({ a, label }),
    decisions: [{ columns: ["tags"], what: "left out", why: "lists" }],
  };
  expect(toDataset(table, { ignore: ["tags"] }, "")).toEqual(toDataset(table, {}, ""));
});

test("declared levels give the order of the classes", () => {
  const table = tableOf({ a, label });
  table.columns[1] = columnOf("label", label, ["yes", "maybe", "no"]);
  expect(toDataset(table, {}, "").classes).toEqual(["yes", "no"]);
});

const ERRORS: [string, Columns, DatasetOptions, string][] = [
  [
    "a target that is not there",
    { a, label },
    { target: "lable" },
    '--target: there is no column "lable"; did you mean "label"? The columns are "a", "label"',
  ],
  [
    "an ignored column that is not there",
    { a, label },
    { ignore: ["labl"] },
    '--ignore: there is no column "labl"; did you mean "label"? The columns are "a", "label"',
  ],
  [
    "a target that is ignored",
    { a, label },
    { target: "a", ignore: ["a"] },
    'column "a" is both the target and ignored; remove it from --target or --ignore',
  ],
  [
    "two targets",
    { a, b: a, label },
    { target: "a,b" },
    '--target: expected one column, got "a", "b"; name one of them',
  ],
  [
    "a target that groups",
    { a, b: a, label },
    { target: "label", group: "label" },
    'column "label" is both the target and --group; name another one of them',
  ],
  [
    "one column only",
    { a, b: a, label },
    { ignore: ["a", "label"] },
    'expected a target and at least one input, got the one column "b" of 3; check --ignore, or bring a table of more columns',
  ],
  [
    "nothing left",
    { a, label },
    { ignore: ["a", "label"] },
    "expected a target and at least one input, got no column of 2; check --ignore, or bring a table of more columns",
  ],
  [
    "nothing that can be predicted",
    { name: rows(N, (i) => `n${i}`), when: rows(N, date) },
    {},
    'expected a column that can be predicted, got none: "when" is a date and "name" identifies the rows; name one with --target when, or bring a column of classes or numbers',
  ],
  [
    "texts alone",
    { name: rows(N, (i) => `n${i}`), one: rows(N, () => 1) },
    {},
    'expected a column that can be predicted, got none: "one" has one value only and "name" identifies the rows; bring a column of classes or numbers',
  ],
  [
    "a constant target",
    { a, one: rows(N, () => "x") },
    { target: "one" },
    'target "one": expected at least two different values to learn from, got only "x" in 100 rows; choose another column with --target',
  ],
  [
    "a target that is never there",
    { a, none: rows(N, () => null) },
    { target: "none" },
    '--target: "none" has no value in any row; name another column',
  ],
  [
    "free text",
    { a, review: rows(N, (i) => `I have seen better ones, number ${i}`) },
    { target: "review" },
    'target "review": expected at least 2 classes of at least 3 rows, one row for each part, got 0 of 100 classes in 100 rows: it holds free text or names, not classes; bring more rows, or choose another --target',
  ],
  [
    "one class that is not rare",
    { a, label: rows(N, (i) => (i < 2 ? "b" : "a")) },
    {},
    'target "label": expected at least 2 classes of at least 3 rows, one row for each part, got 1 of 2 classes in 100 rows; bring more rows, or choose another --target',
  ],
  [
    "too many classes",
    { a: rows(3003, (i) => scattered(i)), label: rows(3003, (i) => `c${i % 1001}`) },
    { target: "label" },
    'target "label": expected at most 1,000 classes, got 1,001; choose another --target',
  ],
  [
    "two rows",
    { a: [1, 2], y: [0.5, 1.5] },
    {},
    'expected at least 3 rows with a value of the target "y", one for each part, got 2; bring more rows',
  ],
  [
    "a target beyond what can be squared",
    { a, y: rows(N, (i) => (i % 2 ? 1e308 : -1e308) * (1 + a[i] / 4)) },
    {},
    'target "y": its numbers are too large or too close to each other to be learnt from; use other units',
  ],
  [
    "regression of text",
    { a, label },
    { task: "regression" },
    'target "label": regression needs numbers, and this column holds text ("yes", for example); leave out --task, or choose another --target',
  ],
  [
    "a metric of another task",
    { a, label },
    { metric: "R²" },
    '--metric: expected one of "accuracy", "balanced accuracy", "AUC" for classification, got "R²"',
  ],
  [
    "a limit below three rows of each class",
    { a, label },
    { limit: 5 },
    "--limit: expected an integer number of rows, at least 6 (3 of each of the 2 classes), got 5",
  ],
  [
    "too few groups",
    { g: rows(N, (i) => i % 2), a, label },
    { group: "g" },
    "--group g: expected at least 3 groups, one for each part, got 2; choose another column",
  ],
  [
    "groups and time",
    { g: rows(N, (i) => i % 9), when: rows(N, date), a, label },
    { group: "g", split: "time" },
    "--group and --split time divide the rows in different ways; leave one of them out",
  ],
  [
    "no column of dates",
    { a, label },
    { split: "time" },
    "--split time: expected one column of dates, got none; name the one that says when with --time",
  ],
  [
    "two columns of dates",
    { when: rows(N, date), sold: rows(N, date), a, label },
    { split: "time" },
    '--split time: expected one column of dates, got "when", "sold"; name the one that says when with --time',
  ],
  [
    "a time of text",
    { era: rows(N, (i) => `e${i % 4}`), a, label },
    { time: "era" },
    '--time: expected a column of dates or numbers, got text in "era"; name another one',
  ],
  [
    "a time that is never there",
    { when: rows(N, () => null), a, label },
    { time: "when" },
    '--time: "when" has no value in any row with a target; name another column',
  ],
  [
    "a time that is always the same",
    { t: rows(N, () => 5), a, label },
    { time: "t" },
    '--time: "t" is the same in every row; name another column',
  ],
  [
    "a group that is never there",
    { g: rows(N, () => null), a, label },
    { group: "g" },
    '--group: "g" has no value in any row; name another column',
  ],
  [
    "time and --split random",
    { when: rows(N, date), a, label },
    { time: "when", split: "random" },
    "--time says what --split time divides by; leave out one of them",
  ],
  [
    "more values than the limits allow",
    { a, b: rows(N, (i) => `b${i % 9}`), label },
    { limits: { cells: 999 } },
    "expected at most 999 values (rows × inputs), got 100 × 10; use fewer rows with --limit, or fewer inputs with --levels or --ignore",
  ],
];
test.each(ERRORS)("%s", async (_, columns, options, message) => {
  expect(await errorOf(() => made(columns, options))).toBe(`UsageError: ${message}`);
});
