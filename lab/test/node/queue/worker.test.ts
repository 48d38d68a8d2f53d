/** The log of a worker, as a terminal shows it. */
import pico from "picocolors";
import { expect, test } from "vitest";
import { logLine } from "../../../src/node/queue/worker.js";

const at = new Date(2026, 10, 26, 17, 5, 9);
const coloured = pico.createColors(true);
const plain = pico.createColors(false);

test("the mark of a trial that has ended is coloured, and nothing else of the line obeyed", () => {
  expect(logLine(at, "layer seed 1 ✓ 0.6 s", coloured)).toBe(
    "\x1b[2m17:05:09\x1b[22m layer seed 1 \x1b[32m✓\x1b[39m 0.6 s",
  );
  expect(logLine(at, "layer seed 1 ✗ 0.6 s", coloured)).toContain(" \x1b[31m✗\x1b[39m ");
  expect(logLine(at, "none seed 1 ended: \x1b[31mred\x07", coloured)).toBe(
    "\x1b[2m17:05:09\x1b[22m none seed 1 ended: \ufffd[31mred\ufffd",
  );
  expect(logLine(at, "layer seed 1 ✓ 0.6 s", plain)).toBe("17:05:09 layer seed 1 ✓ 0.6 s");
});
