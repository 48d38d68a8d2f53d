/** Numbers and lines as people read them. */
import { expect, test } from "vitest";
import { formatNumber, wrap } from "../src/format.js";

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
