/** Axes: labels that can be told from each other. */
import { expect, test } from "vitest";
import { linearAxis, tightAxis } from "../src/axes.js";

test.each([
  [0, 1, "0"],
  [9970, 10_030, "10,000"],
  [10_001, 10_009, "10,002"],
  [-50_200, -50_100, "−50,180"],
  [0, 40_000, "10⁴"],
  [0.00011, 0.00014, "0.00012"],
])("of %f to %f no two ticks read the same, one is %s", (low, high, one) => {
  for (const { ticks, format } of [linearAxis(low, high), tightAxis(low, high)]) {
    const labels = ticks.map(format);
    expect(new Set(labels).size).toBe(ticks.length);
    expect(labels).toContain(one);
  }
});
