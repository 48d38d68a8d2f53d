import { expect, test } from "vitest";
import { Collected } from "../../../src/data/readers/stored.js";

test("a decision about several columns is told once, of each column once", () => {
  const table = new Collected();
  table.leftOut("a", "maps");
  table.leftOut("b", "lists");
  table.leftOut("c", "maps");
  table.leftOut("a", "maps");
  expect(table.decisions).toEqual([
    { columns: ["a", "c"], what: "left out", why: "maps" },
    { columns: ["b"], what: "left out", why: "lists" },
  ]);
});

// it took half a minute where each name was looked for among all others
test("100,000 columns that are left out", () => {
  const table = new Collected();
  for (let i = 0; i < 100_000; i++) table.leftOut(`column ${i}`, "maps");
  expect(table.decisions[0].columns.length).toBe(100_000);
}, 2000);
