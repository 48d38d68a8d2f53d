/** Who has what, in rows of users and items or in baskets. */
import { describe, expect, test } from "vitest";
import { layoutOf, type PairOptions, pairsOf } from "../../src/data/pairs.js";
import type { Decision, Table, Value } from "../../src/data/table.js";
import { columnOf, tableOf } from "../support/tables.js";

/** What each user has, by names. */
function read(table: Table, options: PairOptions = {}): Record<string, string[]> {
  const { users, items, owned } = pairsOf(table, layoutOf(table, options).layout);
  return Object.fromEntries(users.map((user, index) => [user, owned[index].map((item) => items[item])]));
}
const told = (table: Table, options: PairOptions = {}) =>
  layoutOf(table, options).decisions.map(({ columns, what, why, option }: Decision) =>
    [columns.join(" "), what, why, option].filter(Boolean).join(" | "),
  );

const films = {
  userId: [7, 7, 7, 8, 8, null, 8],
  movieId: [1, 2, 1, 3, 2, 2, null],
  rating: [5, 4, 3, 3, 4, 5, 4],
  timestamp: [30, 20, 10, 6, 5, 4, 3],
};

describe("rows of users and items", () => {
  test("are found by their names; ratings from the median on count, in the order of time, each item once", () => {
    const table = tableOf(films);
    expect(read(table)).toEqual({ 7: ["2", "1"], 8: ["2"] });
    expect(told(table)).toEqual([
      "userId movieId | read as users and the items that they have | --user NAME --item NAME",
      "rating | a user has what it rates 4 or more; the other rows are left out | it is the median of the ratings | --ignore rating",
      "timestamp | orders the items of each user | --ignore timestamp",
      "userId movieId rating timestamp | 2 rows without a value left out | it would say who has what",
    ]);
  });

  test("without ratings and time all rows count, as they come", () => {
    expect(read(tableOf(films), { ignore: ["rating,timestamp"] })).toEqual({ 7: ["1", "2"], 8: ["3", "2"] });
  });

  test("what else there is is told, first of all ratings that are no numbers", () => {
    const table = tableOf({ user: [1, 1], item: ["a", "b"], rating: ["good", "bad"], shop: [3, 4] });
    expect(told(table)).toEqual([
      "user item | read as users and the items that they have | --user NAME --item NAME",
      "rating | not read, so that every row counts as had | text, where a rating is a number",
      "shop | left out | neither a rating nor when | --rating NAME --time NAME",
    ]);
  });

  test("dates are named as dates", () => {
    const days = [new Date(0), new Date(86_400_000 * 1.5)];
    expect(read(tableOf({ user: ["a", "a"], item: days }))).toEqual({
      a: ["1970-01-01", "1970-01-02T12:00:00.000Z"],
    });
  });

  test.each<[string, readonly number[], string | undefined]>([
    ["half stars", [0.5, 3, 3.5, 4, 5], "3.5 or more"],
    ["0 for what was not liked", [0, 0, 0, 1], "1 or more"],
    ["one rating only", [1, 1, 1, 1], undefined],
  ])("ratings: %s", (_, rating, expected) => {
    const table = tableOf({
      user: rating.map((_, row) => row),
      item: rating.map(() => "a"),
      rating,
    });
    const line = told(table).find((text) => text.startsWith("rating"));
    expect(line?.includes(expected ?? "-") ?? expected).toBe(expected === undefined ? undefined : true);
  });

  test.each<[string, string[], [string, string, string?, string?]]>([
    ["MovieLens", ["userId", "movieId", "rating", "timestamp"], ["userId", "movieId", "rating", "timestamp"]],
    ["Book-Crossing", ["User-ID", "ISBN", "Book-Rating"], ["User-ID", "ISBN", "Book-Rating"]],
    [
      "Online Retail",
      ["InvoiceNo", "StockCode", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID"],
      ["CustomerID", "StockCode", undefined, "InvoiceDate"],
    ],
    ["Last.fm", ["userID", "artistID", "weight"], ["userID", "artistID"]],
    ["an id before a name", ["user name", "user id", "item category", "product"], ["user id", "product"]],
    [
      "reviews",
      ["asin", "reviewerID", "overall", "unixReviewTime"],
      ["reviewerID", "asin", "overall", "unixReviewTime"],
    ],
  ])("%s is understood", (_, names, [user, item, rating, time]) => {
    const table = tableOf(Object.fromEntries(names.map((name) => [name, [1, 2, 3]])));
    expect(layoutOf(table, {}).layout).toEqual({
      kind: "rows",
      user,
      item,
      ...(rating && { rating: { column: rating, least: 2 } }),
      ...(time && { time }),
    });
  });

  test("other names are given by options", () => {
    const table = tableOf({ who: ["x", "y"], what: ["a", "b"], when: [new Date(5), new Date(6)] });
    expect(layoutOf(table, { user: "who", item: "what" }).layout).toEqual({
      kind: "rows",
      user: "who",
      item: "what",
      time: "when",
    });
  });
});

describe("baskets", () => {
  const marks = (text: string): Value[] => [...text].map((letter) => (letter === "?" ? null : letter));
  const baskets: Table = {
    ...tableOf({ a: [0] }),
    rowCount: 4,
    columns: [
      columnOf("tea", marks("t?t?")),
      columnOf("milk", [1, 0, null, 0]),
      columnOf("eggs", [0, 0, 6, 12]),
      columnOf("bread", ["yes", "no", "No", "YES"]),
      columnOf("salt", marks("????")),
      columnOf("total", ["low", "high", "low", "low"]),
      columnOf("price", [1.5, 0, 0, 0]),
      columnOf("weight", [3, 1, 2, 5]),
      columnOf("shop", ["A", "A", "A", "A"]),
      columnOf("day", [new Date(0), null, null, null]),
    ],
  };

  test("marks, 0 and 1, counts, and yes and no are items; what else there is is left out, and said", () => {
    expect(read(baskets)).toEqual({
      1: ["tea", "milk", "bread"],
      2: [],
      3: ["tea", "eggs"],
      4: ["eggs", "bread"],
    });
    expect(told(baskets)).toEqual([
      "each row is a basket, which stands for a user, and each of 5 columns an item | --user NAME --item NAME",
      "total price weight shop day | left out | not 0 and 1, nor a mark where it is there, nor counts of which half and more are 0",
    ]);
    expect(layoutOf(baskets, {}).layout).toEqual({
      kind: "baskets",
      items: ["tea", "milk", "eggs", "bread", "salt"],
    });
  });

  test("a word beside a mark does not say what is there", () => {
    const { layout } = layoutOf(baskets, {});
    const other = (tea: Value[]) => ({
      ...baskets,
      columns: [columnOf("tea", tea), ...baskets.columns.slice(1)],
    });
    expect(pairsOf(other(["✓", null, "✓", null]), layout).owned.map((own) => own.includes(0))).toEqual([
      true,
      false,
      true,
      false,
    ]);
    expect(() => pairsOf(other(["x", "nein", "x", "nein"]), layout)).toThrow(
      'column "tea": expected 0 and 1, counts, or one mark where the item is there, got "x", "nein"; leave cells empty, or write 0, where it is not',
    );
  });

  test("a table that lacks an item is not read in the same way", () => {
    const { layout } = layoutOf(baskets, {});
    expect(() => pairsOf(tableOf({ tea: [1], milk: [0] }), layout)).toThrow(
      'expected the column "eggs", by which it is read who has what, got "tea", "milk"; name it so',
    );
  });
});

describe("what does not say who has what", () => {
  const pairs = tableOf({ user: [1, 2], thing: [1, 2], liked: ["a", "b"], day: [new Date(0), new Date(1)] });
  test.each<[string, PairOptions, string]>([
    [
      "no layout",
      {},
      'expected who has what: a column of users and one of items, or a row for each basket and at least 5 columns of items (0 and 1, counts, or a mark where it is there), got "user", "thing", "liked", "day"; name the columns of users and items with --user and --item',
    ],
    [
      "users without items",
      { user: "user" },
      '--item: expected a column of items beside "user", and no name says which; name it: the columns are "user", "thing", "liked", "day"',
    ],
    [
      "one column for both",
      { user: "user", item: "user" },
      '--user and --item: expected two columns, got "user" for both; name another one of them',
    ],
    [
      "ratings in text",
      { item: "thing", rating: "liked" },
      '--rating: expected a column of numbers, got text in "liked"; name another one, or leave out --rating',
    ],
    [
      "ratings in dates",
      { item: "thing", rating: "day" },
      '--rating: expected a column of numbers, got dates in "day"; name another one, or leave out --rating',
    ],
    [
      "time in text",
      { item: "thing", time: "liked" },
      '--time: expected a column of dates or numbers, got text in "liked"; name another one, or leave out --time',
    ],
    [
      "time that is the item",
      { item: "thing", time: "thing" },
      '--time: "thing" is the items’ column; name another one',
    ],
    [
      "rating that is the user",
      { item: "thing", rating: "user" },
      '--rating: "user" is the users’ column; name another one',
    ],
    [
      "a column that is ignored",
      { item: "thing", ignore: ["thing"] },
      'column "thing" is named by --item and by --ignore; remove it from one of them',
    ],
    [
      "no such column",
      { user: "usr" },
      '--user: there is no column "usr"; did you mean "user"? The columns are "user", "thing", "liked", "day"',
    ],
  ])("%s", (_, options, message) => {
    expect(() => layoutOf(pairs, options)).toThrow(message);
  });

  test("a rating or a time of baskets", () => {
    const columns = Object.fromEntries([..."abcde"].map((name) => [name, [0, 1]]));
    const table = tableOf({ ...columns, when: [5, 6] });
    expect(() => layoutOf(table, { time: "when" })).toThrow(
      "--time: has no place where each row is a basket; leave it out, or name the columns of users and items with --user and --item",
    );
  });
});
