import { expect, test } from "vitest";
import { isLevel, missingNotations } from "../../src/data/missing.js";

test("the usual notations of a missing value", () => {
  const missing = missingNotations();
  for (const text of [
    ..."NA na N/A n/a n.a. #N/A NaN nan NAN null NULL None none nil <NA> ? - -- . #DIV/0! #REF! (null)".split(
      " ",
    ),
    "",
    "\\N",
    "#WERT!",
    "#¡REF!",
    "*",
    ":",
    "missing",
    "Unknown",
    "Not available",
  ]) {
    expect(missing(text), text).toBe(true);
  }
  for (const text of ["0", "no", "Nana", "x", "+", "-1", "#1", "north", "?".repeat(1e6)])
    expect(missing(text), text).toBe(false);
});

test("declared notations stand instead of the usual ones", () => {
  const missing = missingNotations(["-999", " x "]);
  expect(["", "x", "-999", "NA", "?"].map(missing)).toEqual([true, true, true, false, false]);
  expect(missing.declared).toBe(true);
  expect([...missing.numbers]).toEqual([-999]);
  expect([...missingNotations([""]).numbers]).toEqual([]);
});

test.each<[string, number, Record<string, number>, boolean]>([
  ["NA", 27, { EU: 33 }, true],
  // a code like the others, however rare
  ["NA", 1, { EU: 50, AS: 49 }, true],
  ["NA", 2, { yes: 50, no: 48 }, false],
  // R's missing values
  ["NA", 30, { yes: 40, no: 30 }, false],
  ["None", 20, { mild: 50, severe: 30 }, true],
  ["None", 4, { mild: 50, severe: 46 }, false],
  // far rarer than what is rarest
  ["none", 6, { a: 54, b: 40 }, false],
  ["-", 50, { "+": 50 }, true],
  // the result of a test, however rare
  ["-", 3, { "+": 97 }, true],
  ["-", 3, { "+": 90, "++": 7 }, true],
  ["-", 3, { "+": 90, high: 7 }, false],
  ["unknown", 10, { a: 80, b: 10 }, true],
  // never a value
  ["?", 50, { a: 50 }, false],
  ["#N/A", 50, { a: 50 }, false],
  ["NA", 10, {}, false],
  // among codes
  ["NA", 30, { "02139": 40, "10001": 30 }, false],
])("%j in %d of 100 cells beside %j is a level: %s", (notation, count, levels, level) => {
  expect(isLevel(notation, count, new Map(Object.entries(levels)), 100)).toBe(level);
});

test("among names and sentences no notation is a level", () => {
  const names = new Map(Array.from({ length: 60 }, (_, index) => [`name ${index}`, 1]));
  expect(isLevel("unknown", 40, names, 100)).toBe(false);
});
