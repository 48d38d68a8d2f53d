/** The same SQL in PostgreSQL, which this suite starts. */
import pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startPostgres } from "../../lab/test/support/servers.js";
import type { ColumnMoments } from "../../src/standardizer/restore.js";
import { Standardizer } from "../../src/standardizer/standardizer.js";
import { expectAlike, hardTable, numbersOf } from "./hard-table.js";

describe("in PostgreSQL", () => {
  const { names, rows, groups } = hardTable();
  let client: pg.Client;
  const quoted = (name: string) => pg.escapeIdentifier(name);
  const moments = async (sql: string) =>
    (await client.query(sql)).rows as (ColumnMoments & { group: string | null })[];

  beforeAll(async () => {
    const { url } = await startPostgres();
    client = new pg.Client({ connectionString: url });
    await client.connect();
    const columns = names.map((name) => `${quoted(name)} double precision`);
    await client.query(`CREATE TABLE data (id integer, "gr""oup" text, ${columns.join(", ")})`);
    for (let at = 0; at < rows.length; at += 1000) {
      const part = rows.slice(at, at + 1000);
      const values = names.map((_, j) => part.map((row) => row[j]));
      await client.query(
        `INSERT INTO data SELECT * FROM unnest($1::integer[], $2::text[], ${names.map((_, j) => `$${j + 3}::float8[]`).join(", ")})`,
        [part.map((_, i) => at + i), groups.slice(at, at + 1000), ...values],
      );
    }
  });
  afterAll(() => client?.end());

  it.each(["on", "off"])("moments are those of the rows: standard_conforming_strings %s", async (setting) => {
    await client.query(`SET standard_conforming_strings = ${setting}; SET escape_string_warning = off`);
    const found = await moments(Standardizer.sql("postgres", { columns: names }).moments);
    await client.query("RESET standard_conforming_strings");
    expect(found.map(({ name }) => name)).toEqual(names);
    expectAlike(Standardizer.fromMoments(found), rows);
  });

  it("moments by group are those of the group's rows, NULL among them", async () => {
    const found = await moments(Standardizer.sql("postgres", { columns: names, by: 'gr"oup' }).moments);
    expect(found.length).toBe(4 * names.length);
    for (const group of new Set(groups)) {
      const standardizer = Standardizer.fromMoments(found.filter((row) => row.group === group));
      expectAlike(
        standardizer,
        rows.filter((_, row) => groups[row] === group),
      );
    }
  });

  it("the transformation is ours, to the bit", async () => {
    const standardizer = new Standardizer({ columns: names }).fit(numbersOf(rows));
    const { transform } = standardizer.sql("postgres", { table: ["public", "data"], keep: ["id"] });
    const { rows: found, fields } = await client.query({
      text: `SELECT * FROM (${transform}) AS y ORDER BY id`,
      rowMode: "array",
    });
    expect(fields.map(({ name }) => name)).toEqual(["id", ...names]);
    const y = found.map((row: Row) => row.slice(1).map((value) => value ?? Number.NaN));
    expect(y).toEqual(standardizer.transform(numbersOf(rows)));
  });

  it("every type of number is read as a double; infinite ones are told", async () => {
    const types = ["smallint", "integer", "bigint", "numeric(9, 2)", "real", "double precision"];
    await client.query(
      `CREATE TABLE types AS SELECT ${types.map((type) => `CAST(i % 2 AS ${type}) AS ${quoted(type)}`).join(", ")}, ` +
        "CAST(CASE i WHEN 0 THEN 'Infinity' WHEN 1 THEN 'NaN' ELSE '1' END AS numeric) AS far FROM generate_series(0, 99) AS r(i)",
    );
    const found = await moments(
      Standardizer.sql("postgres", { table: "types", columns: [...types, "far"] }).moments,
    );
    const made = Standardizer.fromMoments(found.slice(0, -1));
    expect([...made.mean]).toEqual(types.map(() => 0.5));
    expect([...made.variance]).toEqual(types.map(() => 0.25));
    expect(() => Standardizer.fromMoments(found)).toThrow('got 1 that are infinite in column "far"');
    expect(found.at(-1)).toEqual({ name: "far", count: "98", mean: 1, m2: 0, missing: "1", infinite: "1" });
  });

  it("an empty table has no values", async () => {
    const found = await moments(
      Standardizer.sql("postgres", { table: { sql: "(SELECT 1 AS a WHERE false)" }, columns: ["a"] }).moments,
    );
    expect(found).toEqual([{ name: "a", count: "0", mean: null, m2: null, missing: "0", infinite: "0" }]);
  });
});

type Row = (number | null)[];
