/** What the tasks measure, by numbers worked out by hand. */
import { describe, expect, test } from "vitest";
import { taskNames, tasks } from "../../src/tasks/registry.js";

test("every task is listed by its own name", () => {
  for (const name of taskNames) expect(tasks[name].name).toBe(name);
});

describe("accuracy", () => {
  const { metric } = tasks.classification;

  test("the share of the examples whose class has the largest output, the first of equals", () => {
    const outputs = Float32Array.of(1, 2, 0, 3, 3, 1, -2, -3, -1, Number.NaN, 1, 2);
    const held = { outputs, loss: 1 };
    expect(metric.of({ ...held, y: Float32Array.of(1, 0, 2, 0) })).toBe(1);
    expect(metric.of({ ...held, y: Float32Array.of(0, 1, 2, 2) })).toBe(0.25);
  });

  test("guessing scores the share of the most frequent class", () => {
    expect(metric.baseline(Float32Array.of(0, 2, 2, 1, 2, 2), ["a", "b", "c"])).toBe(4 / 6);
  });

  test("guessing may look better by two standard errors, which more examples make smaller", () => {
    expect(metric.guessing(0.5, 100)).toBeCloseTo(0.6, 12);
    expect(metric.guessing(0.5, 10_000)).toBeCloseTo(0.51, 12);
    expect(metric.grain(0.5, 50)).toBeCloseTo(0.2, 12);
  });

  test.each([
    [0.5, "50.0 %", "50 %"],
    [1, "100 %", "100 %"],
    [0.96125, "96.1 %", "96.125 %"],
  ])("%s is %s, and as a target %s", (value, formatted, target) => {
    const shown = [metric.format(value), metric.formatTarget(value)];
    expect(shown.map((text) => text.replaceAll("\u00a0", " "))).toEqual([formatted, target]);
    expect(metric.format(null)).toBe("–");
  });
});

describe("R²", () => {
  const { metric } = tasks.regression;

  test("1 minus the mean squared error over the variance", () => {
    const y = Float32Array.of(1, 2, 3, 4);
    expect(metric.of({ outputs: new Float32Array(4), y, loss: 0.25 })).toBe(0.8);
    expect([metric.baseline(y, []), metric.of({ outputs: y, y, loss: 1.25 })]).toEqual([0, 0]);
  });

  test.each([
    [0.5, "0.500", "an R² of 0.500"],
    [-0.0001, "0.000", "an R² of 0.000"],
    [-12.345, "−12.3", "an R² of −12.3"],
  ])("%s is %s, in a sentence %s", (value, formatted, phrase) => {
    expect([metric.format(value), metric.phrase(value), metric.brief(value)]).toEqual([
      formatted,
      phrase,
      `R² ${formatted}`,
    ]);
  });
});
