import { expect, test } from "vitest";
import { argument, columnsNamed, nameColumns, quoted } from "../../src/data/names.js";
import { UsageError } from "../../src/errors.js";

const named = (entries: string[], names: string[]) => [...columnsNamed(entries, names, "--ignore")];
const errorOf = (entries: string[], names: string[]): string => {
  try {
    named(entries, names);
  } catch (error) {
    expect(error).toBeInstanceOf(UsageError);
    return (error as Error).message;
  }
  return "no error";
};

test("an option names columns by several occurrences, and by lists", () => {
  const names = ["a", "b", "c", "Weight, kg", "city, state", "y"];
  expect(named(["a", "b"], names)).toEqual(["a", "b"]);
  expect(named(["b, a,"], names)).toEqual(["b", "a"]);
  expect(named(["city, state"], names)).toEqual(["city, state"]);
  expect(named(["a,city, state,weight, kg,b"], names)).toEqual(["a", "city, state", "Weight, kg", "b"]);
  expect(named(['"city, state",a'], names)).toEqual(["city, state", "a"]);
  expect(named(['"a"', "a"], names)).toEqual(["a"]);
  expect(named([], names)).toEqual([]);
});

test("the longest name is meant where the rest can still be read", () => {
  expect(named(["a, b"], ["a", "b", "a, b"])).toEqual(["a, b"]);
  expect(named(["a, b, c"], ["a", "a, b", "b, c"])).toEqual(["a", "b, c"]);
});

test("upper and lower case differ only where two columns do", () => {
  expect(named(["PRICE"], ["Price", "y"])).toEqual(["Price"]);
  expect(named(["a"], ["a", "A"])).toEqual(["a"]);
  expect(errorOf(["aB"], ["ab", "AB"])).toMatch(/^--ignore: there is no column "aB"; did you mean "ab"\?/);
});

test("quotes, tabs and control characters of a name are no hindrance", () => {
  expect(named(['say "hi"'], ['say "hi"'])).toEqual(['say "hi"']);
  expect(named(['"say ""hi"""'], ['say "hi"'])).toEqual(['say "hi"']);
  const { names } = nameColumns(["a\nb", "\u001b[31mRED", "y"]);
  expect(named(["a\nb", "\u001b[31mRED"], names)).toEqual(["a b", "\ufffd[31mRED"]);
});

test("a nested column is named by what it was, or by one of its parts", () => {
  const names = ["place.lat", "place.lon", "place", "size.m", "sizes", "y"];
  expect(named(["size"], names)).toEqual(["size.m"]);
  expect(named(["place"], names)).toEqual(["place"]);
  expect(named(["place.lat, size"], names)).toEqual(["place.lat", "size.m"]);
});

test("a column without a name is named by its place, or by nothing", () => {
  const { names } = nameColumns(["", "a", ""]);
  expect(names).toEqual(["column 1", "a", "column 3"]);
  expect(named(["column 3"], names)).toEqual(["column 3"]);
  expect(named([""], names)).toEqual(["column 1", "column 3"]);
  expect(named(['"",a'], names)).toEqual(["column 1", "column 3", "a"]);
});

test("an unknown name is told with the nearest one", () => {
  expect(errorOf(["pirce"], ["price", "size"])).toBe(
    '--ignore: there is no column "pirce"; did you mean "price"? The columns are "price", "size"',
  );
  expect(errorOf(["a,zzzzzzzz"], ["a", "b"])).toBe(
    '--ignore: there is no column "zzzzzzzz"; the columns are "a", "b"',
  );
  expect(errorOf([""], ["a", "b"])).toBe(
    '--ignore: every column has a name in the file; expected one of "a", "b"',
  );
  const many = Array.from({ length: 1200 }, (_, index) => `x${index}`);
  expect(errorOf(["q".repeat(1e5)], many).length).toBeLessThan(500);
});

test("a long list of many columns is read at once", () => {
  const many = Array.from({ length: 20_000 }, (_, index) => `x${index}`);
  const start = performance.now();
  expect(named([many.join(",")], many)).toHaveLength(20_000);
  expect(performance.now() - start).toBeLessThan(500);
});

test("names are made distinct, whole and printable, and each change is told", () => {
  const { names, decisions } = nameColumns(["a", "a", "a (2)", "", " b ", "\u202ec", "a", "column 4"]);
  expect(names).toEqual(["a", "a (3)", "a (2)", "column 4 (2)", "b", "\ufffdc", "a (4)", "column 4"]);
  expect(decisions).toEqual([
    { columns: ["column 4 (2)"], what: "named by its place", why: "the file gives it no name" },
    { columns: ["a (3)", "a (4)"], what: "renamed", why: "columns before them have the same name" },
    { columns: ["\ufffdc"], what: "named without the control characters of the file" },
  ]);
  expect(nameColumns(["a", "A", "<b>"])).toEqual({ names: ["a", "A", "<b>"], decisions: [] });
  // as whoever reads it tells
  expect(nameColumns(["", ""])).toEqual({ names: ["column 1", "column 2"], decisions: [] });
  expect(nameColumns(["x".repeat(1e6)]).names[0]).toHaveLength(200);
});

test("names in messages are bounded, and safe to paste into a shell", () => {
  expect(quoted(Array.from({ length: 1022 }, (_, index) => `x${index}`))).toMatch(/"x19" and 1,002 more$/);
  expect(argument("a.b-c")).toBe("a.b-c");
  expect(argument("city, state")).toBe('"city, state"');
  expect(argument("$(id) it's")).toBe("'$(id) it'\\''s'");
});
