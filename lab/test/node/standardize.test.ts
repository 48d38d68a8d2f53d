/** `evenkeel standardize` in this process, on small files: against moments of the same values in JavaScript. */
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { DuckDBInstance } from "@duckdb/node-api";
import { type Moments, Standardizer, type StandardizerJSON } from "evenkeel";
import { afterAll, beforeEach, expect, test, vi } from "vitest";
import { type StandardizeOptions, standardize } from "../../src/node/standardize.js";
import type { GroupedStandardizerJSON } from "../../src/node/tables/saved.js";
import { tableText } from "../../src/node/tables/screen.js";
import { namesOf } from "../../src/node/tables/write.js";

vi.mock("../../src/node/signals.js", () => ({
  stopOnSignals: () => ({
    signal: new AbortController().signal,
    exitCode: () => undefined,
    letGo: async () => {},
  }),
}));

const workplace = mkdtempSync(join(tmpdir(), "evenkeel-standardize-test-"));
afterAll(() => rmSync(workplace, { recursive: true, force: true }));
const at = (name: string) => join(workplace, name);
const connection = await (await DuckDBInstance.create(":memory:", { threads: "2" })).connect();
const sql = async (query: string) => (await connection.runAndReadAll(query)).getRowObjectsJS();
const write = (name: string, query: string, more = "") =>
  sql(`COPY (${query}) TO '${at(name).replaceAll("'", "''")}' (FORMAT parquet${more})`);
const csv = (name: string, text: string | Buffer) => {
  mkdirSync(dirname(at(name)), { recursive: true });
  writeFileSync(at(name), text);
};

let said = { stdout: "", stderr: "" };
beforeEach(() => {
  said = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) {
    vi.spyOn(process[name], "write").mockImplementation((text) => {
      said[name] += String(text);
      return true;
    });
  }
});

let outs = 0;
const freshOut = () => at(`out-${++outs}`);
const run = (files: string | readonly string[], options: StandardizeOptions = {}) =>
  standardize(
    [files].flat().map((name) => (name.includes("://") ? name : at(name))),
    { threads: 2, memory: 2 ** 28, ...options },
  );
/** The standardizer of these files, by `--json`. */
async function measured<T = StandardizerJSON>(
  files: string | readonly string[],
  options: StandardizeOptions = {},
): Promise<T> {
  said = { stdout: "", stderr: "" };
  expect(await run(files, { ...options, json: true })).toBe(0);
  return JSON.parse(said.stdout);
}
const message = (files: string | readonly string[], options: StandardizeOptions = {}) =>
  run(files, options).then(
    () => "nothing was refused",
    (error: Error) => error.message.replaceAll(`${workplace}/`, ""),
  );

const scattered = (i: number, scale = 1) => scale * (((Math.sin(i + 1) * 43758.5453) % 1) + Math.cos(i));
const rows = (n: number, of: (i: number) => number) => Array.from({ length: n }, (_, i) => of(i));
/** Doubles of every bit. */
async function table(name: string, columns: Record<string, readonly (number | null)[]>, more = "") {
  const names = Object.keys(columns);
  const text = columns[names[0]].map((_, i) =>
    JSON.stringify(Object.fromEntries(names.map((of) => [of, shownAs(columns[of][i])]))),
  );
  writeFileSync(at(`${name}.txt`), text.join("\n"));
  const types = names.map((of) => `'${of}': 'DOUBLE'`).join(", ");
  await write(
    name,
    `FROM read_json('${at(name)}.txt', format = 'newline_delimited', columns = {${types}})`,
    more,
  );
}
const shownAs = (value: number | null) =>
  value === null || Number.isFinite(value) ? value : String(value).replace("Infinity", "inf");

/** Sums with what rounding takes from each addition (Neumaier 1974); `momentsOf` itself is within n roundings. */
function sumOf(values: readonly number[]): number {
  let sum = 0;
  let lost = 0;
  for (const value of values) {
    const next = sum + value;
    lost += Math.abs(sum) >= Math.abs(value) ? sum - next + value : value - next + sum;
    sum = next;
  }
  return sum + lost;
}

function exactly(values: readonly number[]): Moments {
  const count = values.length;
  const about = sumOf(values) / count;
  const first = sumOf(values.map((value) => value - about));
  const second = sumOf(values.map((value) => (value - about) ** 2));
  return { count, mean: about + first / count, m2: second - (first * first) / count };
}

function near(found: StandardizerJSON, j: number, { count, mean, m2 }: Moments, tolerance = 2e-15) {
  expect(found.count[j]).toBe(count);
  expect(Math.abs(found.mean[j] - mean)).toBeLessThanOrEqual(
    tolerance * Math.max(Math.abs(mean), Math.sqrt(m2 / count)),
  );
  expect(Math.abs(found.m2[j] - m2)).toBeLessThanOrEqual(10 * tolerance * m2);
}

test("moments of hard columns, to the last digits", async () => {
  const n = 5000;
  const columns = {
    plain: rows(n, (i) => scattered(i)),
    far: rows(n, (i) => 1e9 + Math.round(scattered(i) * 1024) / 1024),
    alternating: rows(n, (i) => scattered(i, i % 2 ? 1e8 : 1)),
    tiny: rows(n, (i) => scattered(i, 1e-150)),
    large: rows(n, (i) => scattered(i, 1e150)),
    // the first rows say nothing of the others
    drifting: rows(n, (i) => (i < 3000 ? 1e6 + scattered(i) : -1e6 + scattered(i))),
    late: rows(n, (i) => (i < 2100 ? 1e7 : Math.round(scattered(i) * 8))),
    constant: rows(n, () => 0.1),
    denormal: rows(n, () => 5e-324),
  };
  await table("hard.parquet", columns, ", ROW_GROUP_SIZE 2048");
  const found = await measured("hard.parquet");
  expect(found.columns).toEqual(Object.keys(columns));
  for (const [j, [name, values]] of Object.entries(columns).entries()) {
    // what is added to all of them costs the reference digits, too
    const shift = name === "far" ? 1e9 : 0;
    const moments = exactly(values.map((value) => value - shift));
    near(found, j, { ...moments, mean: moments.mean + shift });
  }
  expect([found.mean[7], found.m2[7], found.mean[8], found.m2[8]]).toEqual([0.1, 0, 5e-324, 0]);
});

test("rows in order, whose first are far from the mean, are scanned once more", async () => {
  const late = rows(6000, (i) => (i < 2100 ? 1e9 : 2 + scattered(i)));
  const near1 = rows(6000, (i) => 1e9 + (i % 7));
  await table("late.parquet", { late: late.map((value, i) => (i < 2100 ? 1e9 + i / 1e7 : value)), near1 });
  await measured("late.parquet");
  expect(said.stderr).not.toContain("scanned once more");
  // weights take from the first rows what they have
  await table("heavy.parquet", { late, near1, w: rows(6000, (i) => (i < 2100 ? 0 : 1 + (i % 3))) });
  const found = await measured("heavy.parquet", { weights: "w" });
  expect(said.stderr).toContain('scanned once more, since the first rows are far from the mean: "late"');
  const repeated = late.flatMap((value, i) => (i < 2100 ? [] : new Array(1 + (i % 3)).fill(value)));
  near(found, 0, exactly(repeated));
});

test("every type of number without loss; missing values apart; what is none stays", async () => {
  await write(
    "types.parquet",
    `SELECT (i % 100)::TINYINT AS i8, i::SMALLINT AS i16, (i * 1000)::INTEGER AS i32, (9007199254740993 + 2 * i)::BIGINT AS i64,
      (i * 10::HUGEINT ** 30)::HUGEINT AS i128, i::UTINYINT AS u8, i::UBIGINT AS u64, (i / 7)::FLOAT AS f32, (i / 100)::DECIMAL(9, 2) AS d,
      i % 2 = 0 AS flag, DATE '2024-01-01' + i::INTEGER AS day, 'x' || i AS word, [i] AS list,
      CASE WHEN i % 5 = 0 THEN NULL WHEN i % 5 = 1 THEN 'nan'::DOUBLE ELSE i END AS gaps, NULL::INTEGER AS nothing FROM range(200) t(i)`,
  );
  const found = await measured("types.parquet");
  const all = rows(200, (i) => i);
  const expected: Record<string, number[]> = {
    i8: all.map((i) => i % 100),
    i16: all,
    i32: all.map((i) => i * 1000),
    i64: all.map((i) => Number(9007199254740993n + 2n * BigInt(i))),
    i128: all.map((i) => Number(BigInt(i) * 10n ** 30n)),
    u8: all,
    u64: all,
    f32: all.map((i) => Math.fround(i / 7)),
    d: all.map((i) => i / 100),
    gaps: all.filter((i) => i % 5 > 1),
    nothing: [],
  };
  expect(found.columns).toEqual(Object.keys(expected));
  for (const [j, values] of Object.values(expected).entries()) {
    if (values.length > 0) near(found, j, exactly(values));
    expect(found.missing?.[j]).toBe(200 - values.length);
  }
  said = { stdout: "", stderr: "" };
  await run("types.parquet");
  expect(said.stdout).toMatch(/^i64 .* rounded to float64$/m);
  expect(said.stdout).toMatch(/^nothing .* – +– {2}no values$/m);
  expect(said.stderr).toContain('left as it is (BOOLEAN): "flag"');
});

test("booleans are 0 and 1 where they are asked for", async () => {
  await write("flags.parquet", "SELECT i % 4 = 0 AS flag FROM range(8) t(i)");
  const { mean, count } = await measured("flags.parquet", { columns: ["flag"] });
  expect([mean, count]).toEqual([[0.25], [8]]);
});

test("what the library's own query gives, and merged shards", async () => {
  const columns = { a: rows(3000, (i) => scattered(i)), b: rows(3000, (i) => 5 + scattered(i, 3)) };
  await table("shard-1.parquet", { a: columns.a.slice(0, 1000), b: columns.b.slice(0, 1000) });
  await table("shard-2.parquet", { a: columns.a.slice(1000), b: columns.b.slice(1000) });
  const whole = await measured(["shard-1.parquet", "shard-2.parquet"]);
  const { moments } = Standardizer.sql("duckdb", {
    table: { sql: `read_parquet('${at("shard-*.parquet")}')` },
    columns: ["a", "b"],
  });
  const theirs = Standardizer.fromMoments((await sql(moments)) as never).toJSON();
  const shards = new Standardizer({ columns: ["a", "b"] });
  for (const name of ["shard-1.parquet", "shard-2.parquet"]) {
    said = { stdout: "", stderr: "" };
    shards.merge(Standardizer.fromJSON(await measured(name)));
  }
  for (const j of [0, 1]) {
    const { count, mean, m2 } = whole;
    near(theirs, j, { count: count[j], mean: mean[j], m2: m2[j] }, 1e-13);
    near(shards.toJSON(), j, { count: count[j], mean: mean[j], m2: m2[j] });
  }
});

test("weights: as many equal rows; Σ weight² and missing ones by weight", async () => {
  const values = rows(999, (i) => 1000 + scattered(i));
  const weights = rows(999, (i) => i % 4);
  await table("weighted.parquet", { x: values.map((value, i) => (i % 10 === 0 ? null : value)), w: weights });
  const found = await measured("weighted.parquet", { weights: "w" });
  const kept = values.flatMap((value, i) => (i % 10 === 0 ? [] : new Array(weights[i]).fill(value)));
  near(found, 0, exactly(kept));
  const sum = (of: number[]) => of.reduce((all, one) => all + one, 0);
  expect(found.squares).toEqual([sum(weights.map((weight, i) => (i % 10 === 0 ? 0 : weight ** 2)))]);
  expect(found.missing).toEqual([sum(weights.filter((_, i) => i % 10 === 0))]);
  // a light one beside heavy ones
  await table("light.parquet", { x: [1, 2, null], w: [1e20, 1e20, 0.1] });
  expect((await measured("light.parquet", { weights: "w", columns: ["x"] })).missing).toEqual([0.1]);
  await table("bad.parquet", { x: [1, 2, 3], w: [1, -1, null] });
  expect(await message("bad.parquet", { weights: "w" })).toBe(
    '--weights: expected 0 or numbers from 1e-100 to 1e100 in column "w", got 2 rows with another value, or none; give each row a weight, 0 for one that is not to count',
  );
  // whose squares no float64 holds
  await table("heavy.parquet", { x: [1, 2], w: [1, 1e200] });
  expect(await message("heavy.parquet", { weights: "w" })).toMatch(/^--weights: expected 0 or numbers/);
  csv("named.csv", "x,w\n1,one\n2,two\n");
  expect(await message("named.csv", { weights: "w", columns: ["x"] })).toBe(
    '--weights: "named.csv", line 2: expected a number in column "w", got "one"; name a column of numbers',
  );
});

test("tables: every row in its place, to the bit of Standardizer.transform; other columns as they were", async () => {
  await write(
    "big.parquet",
    "SELECT i, i::DOUBLE * 1.1 + 7 AS x, hash(i)::FLOAT / 1e19 AS y, 'row ' || i AS word FROM range(300000) t(i)",
  );
  const out = freshOut();
  expect(await run("big.parquet", { ignore: ["i"], out })).toBe(0);
  const standardizer = Standardizer.fromJSON(
    JSON.parse(readFileSync(join(out, "standardizer.json"), "utf8")),
  );
  const read = `read_parquet('${join(out, "big.parquet")}', file_row_number = true)`;
  const [types] = await sql(
    `SELECT typeof(i) AS i, typeof(x) AS x, typeof(y) AS y, typeof(word) AS w FROM ${read} LIMIT 1`,
  );
  expect(types).toEqual({ i: "BIGINT", x: "DOUBLE", y: "DOUBLE", w: "VARCHAR" });
  expect(
    await sql(`SELECT count(*) AS n FROM ${read} WHERE i <> file_row_number OR word <> 'row ' || i`),
  ).toEqual([{ n: 0n }]);
  const before = await sql(
    `SELECT x, y::DOUBLE AS y FROM '${at("big.parquet")}' WHERE i % 997 = 0 ORDER BY i`,
  );
  const after = await sql(`SELECT x, y FROM ${read} WHERE i % 997 = 0 ORDER BY i`);
  expect(after.map(({ x, y }) => [x, y])).toEqual(
    standardizer.transform(before.map(({ x, y }) => [Number(x), Number(y)])),
  );
  const narrow = freshOut();
  await run("big.parquet", { ignore: ["i"], out: narrow, float32: true });
  const [half] = await sql(
    `SELECT typeof(x) AS x, x::DOUBLE AS value FROM '${join(narrow, "big.parquet")}' WHERE i = 997`,
  );
  expect(half).toEqual({ x: "FLOAT", value: Math.fround(Number(after[1].x)) });
});

test("groups: each by itself, NULL too, in the order of the rows, however far apart", async () => {
  await write(
    "groups.parquet",
    "SELECT i, CASE WHEN g > 0 THEN 'group ' || g END AS g, g * 1e8 + (hash(i) % 1000)::DOUBLE AS x, g * 1.1::DOUBLE AS same, CASE WHEN g <> 2 THEN i END AS gap FROM (SELECT i, (i * 7919 % 5) AS g FROM range(200000) t(i))",
    ", ROW_GROUP_SIZE 10240",
  );
  const out = freshOut();
  expect(await run("groups.parquet", { by: "g", ignore: ["i"], out })).toBe(0);
  const saved: GroupedStandardizerJSON = JSON.parse(readFileSync(join(out, "standardizer.json"), "utf8"));
  // groups of equal values are not
  expect(said.stderr).toContain('since the first rows are far from the mean: "x"\n');
  expect([saved.type, saved.version, saved.by]).toEqual(["GroupedStandardizer", 1, "g"]);
  expect(saved.groups.map(({ value, rows }) => [value, rows])).toEqual(
    ["group 1", "group 2", "group 3", "group 4", null].map((value) => [value, 40000]),
  );
  const read = `read_parquet('${join(out, "groups.parquet")}', file_row_number = true)`;
  expect(await sql(`SELECT count(*) AS n FROM ${read} WHERE i <> file_row_number`)).toEqual([{ n: 0n }]);
  // distances from the group's own level are integers, whose sums are exact
  const sums = await sql(
    `SELECT g, count(*) AS n, sum(d)::HUGEINT AS s, sum(d * d)::HUGEINT AS q FROM (SELECT g, (x % 1e8)::BIGINT AS d FROM '${at("groups.parquet")}') GROUP BY g`,
  );
  const some = await sql(
    `SELECT a.g, a.x AS x, a.gap::DOUBLE AS gap, b.x AS bx, b.same AS same, b.gap AS bgap FROM '${at("groups.parquet")}' AS a JOIN ${read} AS b USING (i) WHERE i % 499 = 0`,
  );
  for (const { value, standardizer } of saved.groups) {
    const [n, s, q] = Object.values(sums.find(({ g }) => g === value) ?? {}).slice(1) as bigint[];
    const level = value === null ? 0 : Number(value.slice(6)) * 1e8;
    const mean = level + Number(s) / Number(n);
    near(standardizer, 0, { count: Number(n), mean, m2: Number(n * q - s * s) / Number(n) });
    const same = (level / 1e8) * 1.1;
    expect([standardizer.mean[1], standardizer.m2[1]]).toEqual([same, 0]);
    const own = some.filter(({ g }) => g === value);
    expect(own.length).toBeGreaterThan(50);
    const number = (gap: unknown) => (gap === null ? Number.NaN : Number(gap));
    expect(own.map((row) => [row.bx, row.same, number(row.bgap)])).toEqual(
      Standardizer.fromJSON(standardizer).transform(own.map(({ x, gap }) => [Number(x), same, number(gap)])),
    );
  }
  // of other rows, by the same numbers
  const again = freshOut();
  await run("groups.parquet", { with: join(out, "standardizer.json"), out: again });
  const other = await sql(
    `SELECT count(*) AS n FROM '${join(again, "groups.parquet")}' AS a JOIN '${join(out, "groups.parquet")}' AS b USING (i) WHERE a.x <> b.x OR a.gap IS DISTINCT FROM b.gap`,
  );
  expect(other).toEqual([{ n: 0n }]);
  await write("new-group.parquet", "SELECT 'group 9' AS g, 1.0 AS x, 1 AS same, 1 AS gap");
  expect(await message("new-group.parquet", { with: join(out, "standardizer.json"), out: freshOut() })).toBe(
    '--with: expected values of "g" that the standardizer has seen, got "group 9"; leave these rows out, or make a standardizer of data that have them',
  );
  await write("many.parquet", "SELECT i AS g, i AS x FROM range(100001) t(i)");
  expect(await message("many.parquet", { by: "g" })).toBe(
    '--by: expected at most 100,000 groups of 1 column, and "g" has more different values; name a column with fewer, or fewer columns with --columns',
  );
});

test("--with: the numbers of the training data, columns by their names", async () => {
  await table("train.parquet", { a: [1, 2, 3, 4], b: [10, 20, 30, 50] });
  const out = freshOut();
  await run("train.parquet", { out });
  const saved = join(out, "standardizer.json");
  await write("test.parquet", "SELECT 5::INTEGER AS B, 'x' AS word, 9.0 AS a");
  const there = freshOut();
  expect(await run("test.parquet", { with: saved, out: there })).toBe(0);
  const [[a, b]] = Standardizer.fromJSON(JSON.parse(readFileSync(saved, "utf8"))).transform([[9, 5]]);
  expect(await sql(`FROM '${join(there, "test.parquet")}'`)).toEqual([{ B: b, word: "x", a }]);
  await table("less.parquet", { a: [1] });
  expect(await message("less.parquet", { with: saved, out: freshOut() })).toBe(
    '--with: the standardizer has "b", and the table has not; its columns are "a"',
  );
  await table("infinite.parquet", { a: [1, Number.POSITIVE_INFINITY], b: [1, 2] });
  const refused = freshOut();
  expect(await message("infinite.parquet", { with: saved, out: refused })).toBe(
    'standardize: expected finite numbers, got an infinite one in column "a" of "infinite.parquet"; make it missing (NULL)',
  );
  expect(existsSync(refused)).toBe(false);
  const one = new Standardizer({ columns: ["a"] }).fit([[1], [3]]).toJSON();
  const two = new Standardizer({ columns: ["a", "A"] }).fit([[1, 2]]).toJSON();
  const grouped = (...groups: unknown[]) => ({ type: "GroupedStandardizer", version: 1, by: "b", groups });
  const group = { value: "10", rows: 2, standardizer: one };
  for (const [json, expected] of [
    [two, /^--with: the standardizer has column "a" twice, in which upper and lower case/],
    [grouped(group, group), /^--with: "twice\.json" has group "10" twice; name a standardizer\.json/],
    [grouped(group, null), /^--with: "twice\.json" has no value in group 1; name a standardizer\.json/],
  ] as const) {
    csv("twice.json", JSON.stringify(json));
    expect(await message("train.parquet", { with: at("twice.json"), out: freshOut() })).toMatch(expected);
  }
  csv("no.json", "[1]");
  expect(await message("train.parquet", { with: at("no.json"), out: freshOut() })).toMatch(
    /^--with: "no\.json" is no standardizer \(.*\); name a standardizer\.json that evenkeel standardize or Standardizer\.toJSON gave$/,
  );
});

test("CSV and JSON: what the first rows look like rounds nothing", async () => {
  const body = "1,2,7,2024-01-01\n".repeat(30_000);
  csv("late.csv", `a,b,id,day\n${body}2.5,3,8.25,unknown\n`);
  csv(
    "late.ndjson",
    `${'{"a":1,"id":7,"day":"2024-01-01"}\n'.repeat(30_000)}{"a":2.5,"id":8.25,"day":"unknown"}\n`,
  );
  for (const name of ["late.csv", "late.ndjson"]) {
    said = { stdout: "", stderr: "" };
    const { mean, count } = await measured(name, { columns: ["a"] });
    expect([count[0], mean[0]]).toEqual([30_001, 1 + 1.5 / 30_001]);
    const out = freshOut();
    await run(name, { columns: ["a"], out });
    expect(
      await sql(`SELECT max(id) AS id, min(day) AS least, max(day) AS most FROM '${out}/*.parquet'`),
    ).toEqual([{ id: 8.25, least: "2024-01-01", most: "unknown" }]);
  }
  csv("text.csv", `a,b\n${"1,2\n".repeat(30_000)}abc,4\n`);
  expect(await message("text.csv")).toBe(
    'standardize: "text.csv", line 30002: expected a number in column "a", got "abc"; --ignore a leaves the column as it is, --missing abc takes this as a missing value',
  );
  const out = freshOut();
  await run("text.csv", { ignore: ["a"], out });
  expect(await sql(`SELECT max(a) AS a FROM '${out}/text.parquet'`)).toEqual([{ a: "abc" }]);
  said = { stdout: "", stderr: "" };
  const { count, missing } = await measured("text.csv", { missing: ["abc"] });
  expect([count, missing]).toEqual([
    [30_000, 30_001],
    [1, 0],
  ]);
});

test("CSV: text that is mostly numbers is told, with what reads it", async () => {
  csv("marks.csv", "a,b\n1,5\nNA,6\n3,7\n");
  await run("marks.csv");
  expect(said.stderr).toContain('"a" is text, since "NA" is no number: --missing NA takes it as missing');
  said = { stdout: "", stderr: "" };
  expect((await measured("marks.csv", { missing: ["NA"] })).count).toEqual([2, 3]);
  csv("mixed.ndjson", '{"a":1}\n{"a":"2"}\n{"a":null}\n');
  expect(await measured("mixed.ndjson", { columns: ["a"] })).toMatchObject({ mean: [1.5], missing: [1] });
});

test("CSV: lines that are passed over are told, and columns without names", async () => {
  csv("title.csv", "Sales of 2024\n\na,b\n1,2\n3,4\n");
  expect((await measured("title.csv")).mean).toEqual([2, 3]);
  expect(said.stderr).toContain('"title.csv": passed over 2 lines');
  csv("ragged.csv", "a,b,c\n1,2,3\n4,5\n6,7,8,9\n");
  await run("ragged.csv");
  expect(said.stderr).toContain('"ragged.csv": passed over 3 lines');
  expect(said.stderr).toContain('no names of columns: they are called "column0" and so on');
});

test("compressed files are read whole, and refused where they are cut or damaged", async () => {
  const good = [[1000], [500.5]];
  const rowsOf = "SELECT i AS a, hash(i) AS b FROM range(1, 1001) AS r(i)";
  for (const [ending, codec] of [
    ["gz", "gzip"],
    ["zst", "zstd"],
  ]) {
    const [name, cut] = ["whole", "cut"].map((of) => `${of}.csv.${ending}`);
    await sql(`COPY (${rowsOf}) TO '${at(name)}' (FORMAT csv, HEADER, COMPRESSION ${codec})`);
    const bytes = readFileSync(at(name));
    const { count, mean } = await measured(name, { columns: ["a"] });
    expect([count, mean]).toEqual(good);
    // one after the other is one, and so is what readers skip
    csv("frames.csv.zst", Buffer.concat([Buffer.from("502a4d1803000000010203", "hex"), bytes]));
    if (ending === "zst")
      expect((await measured("frames.csv.zst", { columns: ["a"] })).count).toEqual([1000]);
    for (const length of [1, 3, 100, bytes.length >> 1]) {
      csv(cut, bytes.subarray(0, bytes.length - length));
      expect(await message(cut, { columns: ["a"] })).toBe(
        `standardize: "${cut}" is cut short or damaged (unexpected end of file); fetch or write it anew`,
      );
    }
  }
  const bytes = readFileSync(at("whole.csv.gz"));
  bytes[bytes.length - 6] ^= 1;
  csv("flipped.csv.gz", bytes);
  expect(await message("flipped.csv.gz")).toMatch(/"flipped\.csv\.gz" is cut short or damaged \(incorrect/);
});

test("a file that changes while it is read is an error", async () => {
  csv("growing.csv", `a\n${"1\n".repeat(200_000)}`);
  const out = freshOut();
  const running = message("growing.csv", { out });
  const append = setInterval(() => appendFileSync(at("growing.csv"), "2\n"));
  expect(await running.finally(() => clearInterval(append))).toBe(
    'standardize: "growing.csv" changed while it was read; wait until it is whole, or use a copy',
  );
  expect(existsSync(out)).toBe(false);
});

test("CSV: groups are those of the text, and keep the type that all of it has", async () => {
  // the name of a column in the query, too
  for (const shop of ["shop", "of_group"]) {
    csv("shops.csv", `${shop},x\n1,2\n1,4\n2,5\n`);
    const out = freshOut();
    await run("shops.csv", { by: shop, out });
    expect(await sql(`FROM '${out}/shops.parquet'`)).toEqual([
      { [shop]: 1n, x: -1 },
      { [shop]: 1n, x: 1 },
      { [shop]: 2n, x: 0 },
    ]);
  }
});

test("CSV with decimal commas is told, and read as it is asked", async () => {
  csv("comma.csv", "a;b\n1,5;2\n;3\n3,5;4\n");
  await run("comma.csv");
  expect(said.stderr).toContain('"a" is text; --decimal , reads numbers such as "1,5"');
  // of which DuckDB makes no number either way
  csv("points.csv", "a;b\n1.234,5;2\n");
  await run("points.csv");
  expect(said.stderr).not.toContain("1.234,5");
  const { mean, count } = await measured("comma.csv", { decimal: "," });
  expect([mean, count]).toEqual([
    [2.5, 3],
    [2, 3],
  ]);
});

test("hostile names of columns and files", async () => {
  const name = 'it\'s "one" [1]*?; DROP TABLE x.csv';
  csv(name, '"a""b\u001b[31m","c\nd",é,"x, y",普通\n1,2,3,4,5\n2,3,4,5,7\n');
  const out = freshOut();
  expect(await run(name, { out })).toBe(0);
  const saved: StandardizerJSON = JSON.parse(readFileSync(join(out, "standardizer.json"), "utf8"));
  expect(saved.columns).toEqual(['a"b\u001b[31m', "c\nd", "é", "x, y", "普通"]);
  expect(saved.mean).toEqual([1.5, 2.5, 3.5, 4.5, 6]);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: that none is shown
  expect(said.stdout + said.stderr).not.toMatch(/\u001b\[31m/);
  expect(existsSync(join(out, name.replace(/csv$/, "parquet")))).toBe(true);
  csv("a[1].csv", "a\n1\n2\n");
  csv("a1.csv", "a\n100\n200\n");
  expect((await measured("a[1].csv")).mean).toEqual([1.5]);
  expect((await measured(name, { columns: ["x, y,é"] })).columns).toEqual(["é", "x, y"]);
  csv("b[1]/x.csv", "a\n1\n2\n");
  csv("b1/x.csv", "a\n100\n200\n");
  expect((await measured("b[1]/*.csv")).mean).toEqual([1.5]);
  csv("accents.csv", "É,é\n1,2\n3,4\n");
  csv("accents2.csv", "é,É\n6,5\n8,7\n");
  expect(await measured(["accents.csv", "accents2.csv"])).toMatchObject({
    columns: ["É", "é"],
    mean: [4, 5],
  });
  await write("zero.parquet", "SELECT i AS a, 'b' || chr(0) || (i % 2) AS b FROM range(4) AS r(i)");
  const groups = await measured<GroupedStandardizerJSON>("zero.parquet", { by: "b", out: freshOut() });
  expect(groups.groups.map(({ value }) => value)).toEqual(["b\u00000", "b\u00001"]);
});

test("several files: the same columns in any order, of the widest type; their folders are kept", async () => {
  for (const year of [2023, 2024]) mkdirSync(at(`hive/year=${year}`), { recursive: true });
  await write("hive/year=2023/d.parquet", "SELECT 1::INTEGER AS a, 2::INTEGER AS b");
  await write("hive/year=2024/d.parquet", "SELECT 2.5::DOUBLE AS b, 4::INTEGER AS a");
  const out = freshOut();
  expect(await run("hive/**/*.parquet", { by: "year", out })).toBe(0);
  const saved: GroupedStandardizerJSON = JSON.parse(readFileSync(join(out, "standardizer.json"), "utf8"));
  expect(saved.groups.map(({ value, standardizer }) => [value, standardizer.mean])).toEqual([
    ["2023", [1, 2]],
    ["2024", [4, 2.5]],
  ]);
  expect(await sql(`SELECT * FROM '${out}/year=2024/d.parquet'`)).toEqual([{ b: 0, a: 0, year: 2024n }]);
  await write("other.parquet", "SELECT 1 AS a, 2 AS c");
  expect(await message(["hive/year=2023/d.parquet", "other.parquet"])).toBe(
    'standardize: expected the same columns in all files, but "other.parquet" lacks "b" and has "c" besides (the first is "hive/year=2023/d.parquet"); make them alike, or standardize them apart',
  );
  await write("words.parquet", "SELECT 'x' AS a, 2 AS b");
  expect(await message(["hive/year=2023/d.parquet", "words.parquet"])).toBe(
    'standardize: column "a" is INTEGER in "hive/year=2023/d.parquet" and VARCHAR in "words.parquet"; make them alike, or standardize the files apart',
  );
});

test.each([
  ["a name twice", "a,A,b\n1,2,3\n", '"A_1": renamed (a column before has the same name'],
  ["names like it", "a,a_1,b\n1,2,3\n", ""],
])("CSV with %s", async (_, text, note) => {
  csv("twice.csv", text);
  await run("twice.csv");
  expect(said.stderr.includes("renamed")).toBe(note !== "");
  expect(said.stderr).toContain(note);
});

csv("empty.csv", "");
csv("head.csv", "a,b\n");
csv("words.csv", "a,b\nx,y\n");
csv("broken.parquet", `PAR1${"x".repeat(100)}PAR1`);
csv("noise", "\0\u0001\u0002");
csv("folder/x.csv", "a\n1\n");
csv("void.csv", "a,b\n,\n,\n");
csv("huge.csv", "a,b\n1e200,1\n-1e200,2\n");
csv("endless.csv", "a,b\n1.5,0\ninf,1\n-inf,2\n");
csv("good.csv", "a,b\n1,2\n3,4\n");
csv("latin.csv", Buffer.from("prix,é\n1,2\n", "latin1"));
csv("wide.csv", Buffer.from("\ufeffa,b\n1,2\n", "utf16le"));
csv("longer.csv", `a,b\n${"1,2\n".repeat(30_000)}1,2,3\n`);
csv("case.json", '[{"a":1},{"A":2}]');
csv("upper.json", '{"A":1}');
csv("lower.json", '{"a":1}');
csv("unnamed.json", '{"":1,"b":2}');
csv("table.arff", "@relation t\n@attribute a {x, y}\n@data\nx\n");
test.each<[files: string | string[], options: StandardizeOptions, message: string | RegExp]>([
  [
    "none.csv",
    {},
    "standardize: there is no file \"none.csv\"; name one, or a pattern such as 'data/*.parquet'",
  ],
  ["none*.csv", {}, 'standardize: no file matches "none*.csv"; * stands for any name, ** for any folders'],
  ["folder", {}, /^standardize: "folder" is a folder; name the files in it by a pattern/],
  ["s3://bucket/x.parquet", {}, /^standardize: expected a file of this machine, got "s3:.*download it first/],
  ["empty.csv", {}, 'standardize: the file "empty.csv" is empty; leave it out'],
  ["head.csv", {}, "standardize: the table has no rows; name files with some"],
  [
    "words.csv",
    {},
    /^standardize: expected a column of numbers, got "a" \(VARCHAR\), "b" \(VARCHAR\); read text as numbers/,
  ],
  [
    "broken.parquet",
    {},
    /^standardize: cannot read "broken\.parquet" as a table: .*; write it anew, or leave it out$/,
  ],
  ["noise", {}, /^standardize: "noise" is no table that is known by its name or content; expected Parquet/],
  [
    ["good.csv", "broken.parquet"],
    {},
    /^standardize: expected files of one format, got CSV \("good\.csv"\) and Parquet/,
  ],
  [
    "void.csv",
    { columns: ["a,b"] },
    'standardize: every value of "a", "b" is missing; name files with values, or other columns',
  ],
  [
    "huge.csv",
    {},
    /^standardize: the sum of squared deviations of column "a" exceeds float64; divide the column/,
  ],
  [
    "endless.csv",
    {},
    'standardize: expected finite numbers, got infinite ones: 2 in "a"; make them missing (NULL), or leave the columns as they are with --ignore a',
  ],
  [
    "good.csv",
    { columns: ["c"] },
    '--columns: there is no column "c"; did you mean "a"? The columns are "a", "b"',
  ],
  [
    "good.csv",
    { columns: ["a"], ignore: ["a"] },
    '--columns: "a" is named by --ignore too; leave it out of one of them',
  ],
  ["good.csv", { weights: "a", by: "a" }, '--weights: "a" is named by --by too; name another column'],
  [
    "latin.csv",
    {},
    'standardize: cannot read "latin.csv" as a table: it is not in UTF-8; write it anew, or leave it out',
  ],
  ["wide.csv", {}, 'standardize: "wide.csv" is in UTF-16; save it as UTF-8'],
  [
    "case.json",
    {},
    'standardize: expected names of columns, different in more than upper and lower case, got "A" and "a" in "case.json"; rename it',
  ],
  [["lower.json", "upper.json"], {}, /^standardize: expected names .* got "a" and "A" in "upper\.json"/],
  ["longer.csv", {}, 'standardize: "longer.csv", line 30002: expected 2 columns, got 3; mend the line'],
  ["unnamed.json", {}, /^standardize: expected names .* got an empty one in "unnamed\.json"; rename it$/],
  ["table.arff", {}, /^standardize: "table\.arff" is no table that is known/],
  ["good.csv", { memory: 1e7 }, /^standardize: the table needs more memory than it was given/],
  ["good.csv", { float32: true }, /^--float32: it is of the tables that --out writes/],
  ["good.csv", { with: at("no.json") }, /^--with: /],
])("%s %j is refused", async (files, options, expected) => {
  const said = await message(files, options);
  if (typeof expected === "string") expect(said).toBe(expected);
  else expect(said).toMatch(expected);
});

test("nothing is overwritten", async () => {
  expect(await message("good.csv", { out: at("good.csv") })).toBe(
    '--out: "good.csv" is there and no folder; name another one',
  );
  const out = freshOut();
  await run("good.csv", { out });
  expect(await message("good.csv", { out })).toBe(
    `--out: the folder "${basename(out)}" is not empty (it holds "good.parquet"), and nothing in it is overwritten; name another folder`,
  );
  await run("good.csv", { moments: at("only.json") });
  expect(JSON.parse(readFileSync(at("only.json"), "utf8")).mean).toEqual([2, 3]);
  expect(await message("good.csv", { moments: at("only.json") })).toBe(
    '--moments: "only.json" is there, and is not overwritten; name another file',
  );
});

test("tables have the names of their files, below the folder that they share", () => {
  expect(namesOf(["/data/a.csv.gz", "/data/b.tsv"])).toEqual(["a.parquet", "b.parquet"]);
  expect(namesOf(["/data/x/a.csv", "/data/y/a.csv"])).toEqual(["x/a.parquet", "y/a.parquet"]);
  expect(namesOf(["/data/a.csv", "/data/a.tsv"])).toEqual(["a.csv.parquet", "a.tsv.parquet"]);
  expect(namesOf(["/d/year=1/a.parquet"])).toEqual(["year=1/a.parquet"]);
  expect(namesOf(["/a", "/b.json"])).toEqual(["a.parquet", "b.parquet"]);
});

test.each([40, 60, 80])("no line of the table is wider than a terminal of %d columns", (width) => {
  const names = [
    "x",
    "a".repeat(300),
    "普通话".repeat(20),
    "e\u0301".repeat(60),
    ...rows(1000, (i) => i).map((i) => `column ${i}`),
  ];
  const lines = names.map((shown) => ({
    column: { name: shown, shown, type: "DOUBLE", inPath: false },
    type: "double",
    notes: shown === "x" ? ["constant in 3 groups", "rounded to float64"] : [],
  }));
  const moments = names.map((name) => ({
    name,
    count: 20_000_000,
    mean: -1.5e-9,
    m2: 3e12,
    missing: 4_000_000,
  }));
  const standardizers = [1, 2].map((scale) => ({
    group: String(scale),
    standardizer: Standardizer.fromMoments(moments.map((one) => ({ ...one, mean: one.mean * scale }))),
  }));
  const text = tableText(lines, { columns: names, standardizers }, width);
  const cells = (line: string) =>
    [...line.normalize("NFC")].reduce((n, c) => n + (/\p{Script=Han}/u.test(c) ? 2 : 1), 0);
  for (const line of text.split("\n")) expect(cells(line), line).toBeLessThanOrEqual(width);
  expect(text).toContain("mean");
  expect(text).toContain("and 964 more columns");
});
