/** SQL for databases: its text for names that break out of quotes, and its results in DuckDB, in this process. */
import { type DuckDBConnection, DuckDBInstance } from "@duckdb/node-api";
import { beforeAll, describe, expect, it } from "vitest";
import type { ColumnMoments } from "../../src/standardizer/restore.js";
import type { SQLEngine } from "../../src/standardizer/sql.js";
import { Standardizer } from "../../src/standardizer/standardizer.js";
import { expectAlike, hardTable, hostileNames, numbersOf } from "./hard-table.js";

const engines: SQLEngine[] = ["duckdb", "postgres", "bigquery", "spark"];

/** What a standardizer of one column, of this name, writes. */
function written(engine: SQLEngine, name: string) {
  const made = new Standardizer({ columns: [name] }).fit([[1], [2]]).sql(engine);
  const between = (text: string, from: string, to: string) => {
    const start = text.indexOf(from) + from.length;
    return text.slice(start, text.indexOf(to, start));
  };
  const before = {
    duckdb: "(VALUES\n  (0, ",
    postgres: "(VALUES\n  (0, ",
    bigquery: "STRUCT(0 AS `position`, ",
    spark: "STACK(1,\n  0, ",
  };
  const row = between(made.moments, before[engine], "n0");
  return {
    identifier: between(made.transform, "(CAST(", " AS DOUBLE").split(/ AS (?:double|FLOAT64)/)[0],
    text: row.slice(0, engine === "bigquery" ? -" AS `name`, ".length : -", ".length),
  };
}

describe("names", () => {
  it.each<[SQLEngine, string, string, string]>([
    ["duckdb", `a"b'c\`d\\e`, `"a""b'c\`d\\e"`, `'a"b''c\`d\\e'`],
    ["postgres", `a"b'c\`d\\e`, `"a""b'c\`d\\e"`, `E'a"b''c\`d\\\\e'`],
    ["bigquery", `a"b'c\`d\\e`, `\`a"b'c\\\`d\\\\e\``, `'a"b\\'c\`d\\\\e'`],
    ["spark", `a"b'c\`d\\e`, `\`a"b'c\`\`d\\e\``, `'a"b\\'c\`d\\\\e'`],
    ["duckdb", "a\n.b", `"a\n.b"`, `'a\n.b'`],
    ["postgres", "a\n.b", `"a\n.b"`, `'a\n.b'`],
    ["bigquery", "a\r\n.b", "`a\\r\\n.b`", "'a\\r\\n.b'"],
    ["spark", "a\n.b", "`a\n.b`", "'a\\n.b'"],
  ])("%s writes %j", (engine, name, identifier, text) => {
    expect(written(engine, name)).toEqual({ identifier, text });
  });

  it.each<[SQLEngine, string, string]>([
    ["duckdb", "", "an empty one"],
    ["postgres", "a\0b", "one with a character of code 0"],
    ["bigquery", "a\ud800", "half of a surrogate pair"],
    [
      "spark",
      "$" + "{env:HOME}",
      '"$' + '{env:HOME}", in which Spark replaces $' + "{…} before it reads names; rename it in the table",
    ],
  ])("that %s cannot hold are refused: %j", (engine, name, fault) => {
    expect(() => Standardizer.sql(engine, { columns: [name] })).toThrow(
      new RangeError(`Standardizer.sql: expected a name that SQL can hold, got ${fault}`),
    );
  });

  it("of tables are quoted one by one, or text of yours", () => {
    const from = (table?: string | string[] | { sql: string }) =>
      Standardizer.sql("duckdb", { table, columns: ["a"] })
        .moments.split("FROM ")[4]
        .split("AS source_rows")[0];
    expect(from()).toBe('"data" ');
    expect(from("my.table")).toBe('"my.table" ');
    expect(from(["my", 'ta"ble'])).toBe('"my"."ta""ble" ');
    expect(from({ sql: "read_parquet('x.parquet') -- all" })).toMatch(
      /^read_parquet\('x.parquet'\) -- all\n\s*$/,
    );
  });
});

describe("text", () => {
  it("of a transformation holds every digit, and divides no constant", () => {
    const standardizer = new Standardizer({ columns: ["a", "b", "c", "d"] }).fit([
      [0.1, 5, Number.NaN, 1e300],
      [0.2, 5, Number.NaN, 3e300 / 3],
    ]);
    expect(standardizer.sql("postgres", { table: "t", keep: ["id"] }).transform).toBe(
      [
        "SELECT",
        '  "id",',
        '  (CAST("a" AS double precision) - 1.5000000000000002e-1) / 5e-2 AS "a",',
        '  (CAST("b" AS double precision) - 5e0) AS "b",',
        '  CAST(NULL AS double precision) AS "c",',
        '  (CAST("d" AS double precision) - 1e300) AS "d"',
        'FROM "t" AS source_rows',
      ].join("\n"),
    );
    const negative = new Standardizer({ columns: ["a"] }).fit([[-5e-324], [-3]]);
    expect(negative.sql("spark").expressions).toEqual(["(CAST(`a` AS DOUBLE) - (-1.5e0)) / 1.5e0"]);
  });

  it("of moments scans once, but in BigQuery, whose variance may be unstable", () => {
    const scans = (engine: SQLEngine, by?: string) => {
      const { moments } = Standardizer.sql(engine, { columns: ["a"], by });
      return [moments.split("AS source_rows").length - 1, moments.split("LIMIT 1000").length - 1];
    };
    for (const by of [undefined, "g"]) {
      for (const engine of ["duckdb", "postgres", "spark"] as const)
        expect(scans(engine, by)).toEqual([2, 1]);
      expect(scans("bigquery", by)).toEqual([2, 0]);
    }
  });
});

describe("options", () => {
  const fitted = new Standardizer({ columns: ["a", "b"] }).fit([
    [1, 2],
    [3, 5],
  ]);

  it.each<[() => unknown, string]>([
    [
      () => fitted.sql("postgresql" as SQLEngine),
      'RangeError: Standardizer.sql: engine must be "duckdb", "postgres", "bigquery", "spark", got "postgresql"; did you mean "postgres"?',
    ],
    [
      () => fitted.sql("toString" as SQLEngine),
      'RangeError: Standardizer.sql: engine must be "duckdb", "postgres", "bigquery", "spark", got "toString"',
    ],
    [
      () => fitted.sql("duckdb", { columns: ["a"] }),
      "RangeError: Standardizer.sql: expected 2 columns, one a feature, got 1",
    ],
    [
      () => new Standardizer().fit([[1]]).sql("duckdb"),
      "RangeError: Standardizer.sql: columns must name at least 1 column, got none",
    ],
    [
      () => new Standardizer({ columns: ["a"] }).sql("duckdb"),
      "Error: Standardizer.sql: not fitted yet; Standardizer.sql(engine, { table, columns }) gives the moments' query",
    ],
    [
      () => fitted.sql("duckdb", { keep: ["id", "a"] }),
      'RangeError: Standardizer.sql: keep must name other columns than those that are standardized, got "a"',
    ],
    [
      () => fitted.sql("duckdb", { by: "g" } as never),
      "TypeError: Standardizer.sql: a standardizer is of one group; Standardizer.sql(engine, { table, columns, by }) gives the moments of each",
    ],
    [
      () => Standardizer.sql("duckdb", { table: 3 as never, columns: ["a"] }),
      'TypeError: Standardizer.sql: table must be a name, a list of names or { sql: "what stands after FROM" }, got 3',
    ],
    [
      () => Standardizer.sql("duckdb", { table: "t" } as never),
      "TypeError: Standardizer.sql: columns must be a list of names, got undefined",
    ],
  ])("that are wrong are refused: %s", (call, message) => {
    let said = "nothing";
    try {
      call();
    } catch (error) {
      said = String(error);
    }
    expect(said).toBe(message);
  });

  it("name columns as that table does", () => {
    expect(fitted.sql("duckdb", { columns: ["c", "d"] }).expressions[1]).toBe(
      '(CAST("d" AS DOUBLE) - 3.5e0) / 1.5e0',
    );
  });
});

describe("in DuckDB", () => {
  const { names, rows, groups } = hardTable();
  let duckdb: DuckDBConnection;
  const all = async (sql: string) => (await duckdb.runAndReadAll(sql)).getRowObjects();
  const moments = async (sql: string) =>
    (await all(sql)) as unknown as (ColumnMoments & { group: string | null })[];
  const quoted = (name: string) => `"${name.replaceAll('"', '""')}"`;

  beforeAll(async () => {
    duckdb = await (await DuckDBInstance.create(":memory:", { threads: "2" })).connect();
    await duckdb.run(
      `CREATE TABLE data (id INTEGER, "gr""oup" VARCHAR, ${names.map((name) => `${quoted(name)} DOUBLE`).join(", ")})`,
    );
    const appender = await duckdb.createAppender("data");
    for (const [id, row] of rows.entries()) {
      appender.appendInteger(id);
      const group = groups[id];
      group === null ? appender.appendNull() : appender.appendVarchar(group);
      for (const value of row) value === null ? appender.appendNull() : appender.appendDouble(value);
      appender.endRow();
    }
    appender.closeSync();
  });

  it("moments are those of the rows, whatever columns are called", async () => {
    const found = await moments(Standardizer.sql("duckdb", { columns: names }).moments);
    expect(found.map(({ name }) => name)).toEqual(names);
    const standardizer = Standardizer.fromMoments(found);
    expectAlike(standardizer, rows);
    expect(standardizer.columns).toEqual(hostileNames);
  });

  it("moments by group are those of the group's rows, NULL among them", async () => {
    const found = await moments(Standardizer.sql("duckdb", { columns: names, by: 'gr"oup' }).moments);
    expect(found.length).toBe(4 * names.length);
    for (const group of new Set(groups)) {
      const standardizer = Standardizer.fromMoments(found.filter((row) => row.group === group));
      expectAlike(
        standardizer,
        rows.filter((_, row) => groups[row] === group),
      );
    }
    expect(() => Standardizer.fromMoments(found)).toThrow("groups make a standardizer each");
  });

  it("the transformation is ours, to the bit", async () => {
    const standardizer = new Standardizer({ columns: names }).fit(numbersOf(rows));
    const { transform } = standardizer.sql("duckdb", { keep: ["id"] });
    const found = await duckdb.runAndReadAll(`SELECT * FROM (${transform}) ORDER BY id`);
    expect(found.columnNames()).toEqual(["id", ...names]);
    const y = found
      .getRows()
      .map((row) => row.slice(1).map((value) => (value === null ? Number.NaN : value)));
    expect(y).toEqual(standardizer.transform(numbersOf(rows)));
  });

  it("every type of number is read as a double", async () => {
    const types = [
      "TINYINT",
      "USMALLINT",
      "INTEGER",
      "BIGINT",
      "HUGEINT",
      "FLOAT",
      "DECIMAL(9, 2)",
      "BOOLEAN",
    ];
    await duckdb.run(
      `CREATE TABLE types AS SELECT ${types.map((type) => `CAST(i % 2 AS ${type}) AS ${quoted(type)}`).join(", ")}, ` +
        "CAST(i / 10 AS FLOAT) AS narrow FROM range(100) r(i)",
    );
    const found = await moments(
      Standardizer.sql("duckdb", { table: "types", columns: [...types, "narrow"] }).moments,
    );
    const made = Standardizer.fromMoments(found);
    expect([...made.mean].slice(0, -1)).toEqual(types.map(() => 0.5));
    expect([...made.variance].slice(0, -1)).toEqual(types.map(() => 0.25));
    const narrow = Array.from({ length: 100 }, (_, i) => [Math.fround(i / 10)]);
    expectAlike(Standardizer.fromMoments(found.slice(-1)), narrow);
  });

  it("infinite values are told", async () => {
    const table = {
      sql: "(VALUES (1::DOUBLE, 2), ('-inf', 3), ('inf', NULL), ('nan', 5)) AS v(a, b), (SELECT 1) AS one",
    };
    const sql = `(SELECT v.a, v.b FROM ${table.sql})`;
    const found = await moments(Standardizer.sql("duckdb", { table: { sql }, columns: ["a", "b"] }).moments);
    expect(found).toEqual([
      { name: "a", count: 1n, mean: 1, m2: 0, missing: 1n, infinite: 2n },
      { name: "b", count: 3n, mean: 10 / 3, m2: expect.closeTo(14 / 3, 12), missing: 1n, infinite: 0n },
    ]);
    expect(() => Standardizer.fromMoments(found)).toThrow(
      'Standardizer.fromMoments: expected finite values, got 2 that are infinite in column "a"; a missing value is NULL or NaN',
    );
  });

  it("an empty table has no values, and no groups", async () => {
    const table = { sql: "(SELECT 1 AS a, 'x' AS g WHERE false)" };
    const found = await moments(Standardizer.sql("duckdb", { table, columns: ["a"] }).moments);
    expect(found).toEqual([{ name: "a", count: 0n, mean: null, m2: null, missing: 0n, infinite: 0n }]);
    expect([...Standardizer.fromMoments(found).mean]).toEqual([Number.NaN]);
    expect(await moments(Standardizer.sql("duckdb", { table, columns: ["a"], by: "g" }).moments)).toEqual([]);
  });

  it("text is no number", async () => {
    const table = { sql: "(SELECT 'much' AS a)" };
    await expect(all(Standardizer.sql("duckdb", { table, columns: ["a"] }).moments)).rejects.toThrow("much");
  });
});

it("speaks to every engine", () => {
  for (const engine of engines)
    expect(Standardizer.sql(engine, { columns: ["a"] }).moments).toContain("VAR_POP");
});
