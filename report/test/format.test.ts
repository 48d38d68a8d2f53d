/** Numbers and lines as people read them. */
import { expect, test } from "vitest";
import { formatApart, formatNumber, wrap } from "../src/format.js";

test.each([
  [0.012345, "0.0123"],
  [4.5, "4.50"],
  [1234.5, "1,230"],
  [0.00001234, "1.23×10⁻⁵"],
  [-0.25, "−0.250"],
  [0, "0"],
  [null, "–"],
])("formatNumber(%s) is %s", (value, expected) => {
  expect(formatNumber(value)).toBe(expected);
});

test("breaks a label before its second word, never before its first", () => {
  expect(wrap("switchable", 9)).toBe("switchable");
  expect(wrap("the last 20 % of it", 11)).toBe("the last\n20 % of it");
  expect(wrap("batch renorm", 9)).toBe("batch\nrenorm");
});

test("lines after the first start with the indent, which counts", () => {
  expect(wrap("one two three four", 9, "  ")).toBe("one two\n  three\n  four");
});

test.each([
  [
    [1, 2],
    ["1.00", "2.00"],
  ],
  [
    [10_000, 10_010],
    ["10,000", "10,010"],
  ],
  [
    [1000.001, 1000.002],
    ["1,000.001", "1,000.002"],
  ],
  [
    [0.12341, 0.12342],
    ["0.12341", "0.12342"],
  ],
  [
    [-1234567, -1234999],
    ["−1.2346×10⁶", "−1.2350×10⁶"],
  ],
  [
    [5e9, 5.0000001e9],
    ["5.0000000×10⁹", "5.0000001×10⁹"],
  ],
  [
    [2e-5, 2.0001e-5],
    ["2.0000×10⁻⁵", "2.0001×10⁻⁵"],
  ],
  [
    [7, 7],
    ["7.00", "7.00"],
  ],
  [
    [Number.NaN, 0],
    ["–", "0"],
  ],
  [
    [1, 1 + 1e-15],
    ["1.00000000000", "1.00000000000"],
  ],
])("%j beside each other", (values, texts) => {
  expect(formatApart(values)).toEqual(texts);
});
