/** How normalizations are told apart in the figures. */
import { expect, test } from "vitest";
import { normNames, usualNorms } from "../../src/norms.js";
import { clipped, looksOf, shortLabel } from "../../src/report/series.js";

test("however many are compared, no two look alike, and the usual six look as ever", () => {
  const many = [...normNames, ...Array.from({ length: 40 }, (_, i) => `other-${i}`)];
  for (const norms of [many, [...many].reverse(), many.slice(7, 15), [...usualNorms]]) {
    const looks = looksOf(norms);
    expect(new Set([...looks.values()].map(({ hue, dash }) => `${hue} ${dash}`)).size).toBe(norms.length);
    for (const norm of usualNorms)
      if (looks.has(norm)) expect(looks.get(norm)).toEqual(looksOf([norm]).get(norm));
  }
  const eight = looksOf(["none", ...normNames.filter((norm) => !usualNorms.includes(norm)).slice(0, 7)]);
  expect(new Set([...eight.values()].map(({ hue }) => hue)).size).toBe(8);
});

test("a label is cut where it would take the room of the lines", () => {
  expect(["rms", "batch-renorm", "feature-wise-linear-modulation"].map(shortLabel)).toEqual([
    "RMS",
    "batch renorm",
    "feature wise l…",
  ]);
});

test("somebody else's text is printable, on one line, and cut by characters", () => {
  expect(clipped("a\u001b[31m\u202eb", 60)).toBe("a\ufffd[31m\ufffdb");
  expect(clipped("one\n two\tthree", 60)).toBe("one two three");
  expect(clipped("😀😀😀😀", 3)).toBe("😀😀…");
});
