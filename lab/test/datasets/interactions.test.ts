/** From who has what to examples: who is left, what is hidden, and how users are divided. */
import { describe, expect, test } from "vitest";
import { splitOf } from "../../src/data/split.js";
import type { Table, Value } from "../../src/data/table.js";
import type { DatasetOptions } from "../../src/datasets/dataset.js";
import { type InteractionsReading, toInteractions, usersIn } from "../../src/datasets/interactions.js";
import { columnOf, rows, scattered, tableOf } from "../support/tables.js";

/** Rows of users and items, at the time that they come. */
function pairsTable(pairs: readonly (readonly [Value, Value])[], withTime = true): Table {
  return tableOf({
    user: pairs.map(([user]) => user),
    item: pairs.map(([, item]) => item),
    ...(withTime && { timestamp: pairs.map((_, row) => row) }),
  });
}
/** Users with so many of the items a, b, …, each beginning elsewhere among the ten. */
const having = (sizes: readonly number[]) =>
  sizes.flatMap((size, user) => rows(size, (i) => [`u${user}`, `i${(user + i) % 10}`] as const));
const dataset = (table: Table, options: DatasetOptions = {}) => toInteractions(table, options, "made up");
const told = (table: Table, options: DatasetOptions = {}) =>
  dataset(table, options).decisions.map(({ what, why }) => (why ? `${what} (${why})` : what));
const namesOf = (numbers: Float32Array, { items }: InteractionsReading) =>
  [...numbers].filter((item) => item > 0).map((item) => items[item - 1]);

/** Of each user, by names: what the network sees, and what is hidden. */
function examplesOf(table: Table, options: DatasetOptions = {}) {
  const { x, y, count, form, targetShape, reading } = dataset(table, options);
  const [most, hidden] = [form.input.shape[0], targetShape[0]];
  const known = reading as InteractionsReading;
  return rows(count, (user) => ({
    seen: namesOf(x.slice(user * most, (user + 1) * most), known),
    hidden: namesOf(y.slice(user * hidden, (user + 1) * hidden), known),
  }));
}

describe("what is hidden", () => {
  test("is the latest fifth where there is a time, and one item at least", () => {
    const [first, second] = examplesOf(pairsTable(having([5, 10, 7, 7, 7, 7, 7, 7, 7, 7])));
    expect(first).toEqual({ seen: ["i0", "i1", "i2", "i3"], hidden: ["i4"] });
    expect(second).toEqual({
      seen: ["i1", "i2", "i3", "i4", "i5", "i6", "i7", "i8"],
      hidden: ["i9", "i0"],
    });
  });

  test("is drawn at random without a time, the same every time, elsewhere for other users", () => {
    const table = pairsTable(having(rows(20, () => 10)), false);
    const examples = examplesOf(table);
    expect(examples).toEqual(examplesOf(table));
    for (const { seen, hidden } of examples) {
      expect([seen.length, hidden.length]).toEqual([8, 2]);
      expect(new Set([...seen, ...hidden]).size).toBe(10);
    }
    expect(new Set(examples.map(({ hidden }) => hidden.join())).size).toBeGreaterThan(10);
    expect(told(table)).toEqual([
      "read as users and the items that they have",
      "a fifth of the items of each user are hidden, for the network to find: drawn at random, the same for each seed",
    ]);
  });
});

test("x and y are numbers of items from 1, and 0 where there are no more; an output for each item", () => {
  const data = dataset(pairsTable(having([5, ...rows(9, () => 10)])));
  expect(data.form).toEqual({ input: { kind: "items", shape: [8], vocabulary: 10 }, outputs: [10] });
  expect(data.targetShape).toEqual([2]);
  expect([...data.x.slice(0, 8)]).toEqual([1, 2, 3, 4, 0, 0, 0, 0]);
  expect([...data.y.slice(0, 2)]).toEqual([5, 0]);
  expect(data.scaled).toEqual(new Uint8Array(8));
  expect([data.count, data.task, data.metric, data.target]).toEqual([
    10,
    "recommendation",
    "recall@20",
    "item",
  ]);
});

test("each seed draws parts of the users, so that those that are held out were never seen", () => {
  const { parts, count, drawn } = dataset(pairsTable(having(rows(50, () => 8))), { shares: [0.5, 0.2, 0.3] });
  const { train, validation, heldOut } = splitOf(parts, count, 1);
  expect([train.length, validation.length, heldOut.length]).toEqual([25, 10, 15]);
  expect(new Set([...train, ...validation, ...heldOut]).size).toBe(50);
  expect(drawn).toBe("draws its own parts of the users at random");
});

describe("who is left", () => {
  test("users with five items, of items that five users have, whoever goes first", () => {
    // u9 has four; without it i8 has four users, and without that u8 has four items
    const pairs = [
      ...rows(8, (user) => rows(7, (i) => [`u${user}`, `i${i}`] as const)).flat(),
      ...rows(3, (user) => [`u${user}`, "i8"] as const),
      ...rows(3, (i) => [`u9`, `i${i}`] as const),
      ["u9", "i8"] as const,
      ...rows(4, (i) => [`u8`, `i${i}`] as const),
      ["u8", "i8"] as const,
    ];
    const table = pairsTable(pairs);
    expect(dataset(table).count).toBe(8);
    expect((dataset(table).reading as InteractionsReading).items).toEqual(rows(7, (i) => `i${i}`));
    expect(told(table)).toContain(
      "2 users and 1 item left out (each user needs 5 items, and each item 5 users)",
    );
  });

  test("too few are an error that says what is needed", () => {
    expect(() => dataset(pairsTable(having([5, 5, 5, 4, 4])))).toThrow(
      "expected at least 3 users, one for each part, with at least 5 items that at least 5 users have, got 0 of 5; bring more of what they have",
    );
  });

  test("at most the limit of users, drawn at random, the same every time", () => {
    const table = pairsTable(having(rows(40, () => 8)));
    const { count } = dataset(table, { limit: 12 });
    expect(count).toBe(12);
    expect(examplesOf(table, { limit: 12 })).toEqual(examplesOf(table, { limit: 12 }));
    expect(() => dataset(table, { limit: 2 })).toThrow(
      "--limit: expected an integer number of rows, at least 3, got 2",
    );
  });

  test("of very many items of a user the latest are used, and that is said", () => {
    const table = pairsTable(rows(5, (user) => rows(260, (i) => [user, `i${i}`] as const)).flat());
    expect(told(table)).toContain("of 5 users with more than 250 items, 250 are used: the latest ones");
    const [{ seen, hidden }] = examplesOf(table);
    expect([seen.length, hidden.length]).toEqual([200, 50]);
    expect([seen[0], hidden.at(-1)]).toEqual(["i10", "i259"]);
  });

  test("of very many items those that most users have are kept", () => {
    const often = rows(6, (user) => rows(6, (i) => [user, `often${i}`] as const)).flat();
    const table = pairsTable([...rows(10_050, (i) => [0, `rare${i}`] as const), ...often]);
    expect(told(table)[2]).toBe(
      "only the 10,000 items that most users have are kept, of 10,056 (a network has an output for each)",
    );
    expect((dataset(table).reading as InteractionsReading).items).toEqual(rows(6, (i) => `often${i}`));
  });

  test("more than memory has room for is refused", () => {
    expect(() => dataset(pairsTable(having(rows(50, () => 8))), { limits: { cells: 100 } })).toThrow(
      "expected at most 100 values (users × items), got 50 × 8; use fewer users with --limit",
    );
  });
});

describe("baskets", () => {
  const table: Table = {
    ...tableOf({ a: rows(40, () => 0) }),
    columns: [
      ...rows(12, (item) =>
        columnOf(
          `item ${item}`,
          rows(40, (row) => (scattered(row * 12 + item) < 0.6 ? "t" : null)),
        ),
      ),
      // which too few have
      columnOf(
        "saffron",
        rows(40, (row) => (row < 4 ? "t" : null)),
      ),
    ],
  };

  test("are users, and each column an item", () => {
    const data = dataset(table);
    expect([data.count, data.target, data.inputs.length]).toEqual([40, "items", 12]);
    expect(data.inputs[3]).toEqual({ column: "item 3", how: "an item", names: ["item 3"] });
    for (const [row, { seen, hidden }] of examplesOf(table).entries()) {
      const columns = table.columns.slice(0, 12);
      const has = columns.filter(({ values }) => values[row] === "t").map(({ name }) => name);
      expect([...seen, ...hidden].sort()).toEqual(has.sort());
    }
  });

  test("of other data are read with the items that a network knows, none of them hidden", () => {
    const reading = JSON.parse(JSON.stringify(dataset(table).reading)) as InteractionsReading;
    const { users, x } = usersIn(table, { ...reading, items: ["item 3", "item 1"], most: 2 });
    expect(users.slice(0, 2)).toEqual(["1", "2"]);
    for (let row = 0; row < 40; row++) {
      const has = (column: number) => table.columns[column].values[row] === "t";
      const known = [...(has(1) ? [2] : []), ...(has(3) ? [1] : [])];
      expect([...x.slice(2 * row, 2 * row + 2)].filter((item) => item > 0)).toEqual(known);
    }
  });
});
