/** What the tasks measure, by numbers worked out by hand. */
import { describe, expect, test } from "vitest";
import {
  metricOf,
  metricNamed as metricOfTask,
  primaryMetricNames,
  targetTasks,
  taskNames,
  tasks,
  usualTask,
} from "../../src/tasks/registry.js";
import type { Metric, Scored, TargetTask } from "../../src/tasks/task.js";

const [classification, regression] = targetTasks.map(({ name }) => name);
const [classes, numbers] = targetTasks.map(({ task }): TargetTask => task);
/** A metric of classes or numbers, which have ways of guessing of their own. */
function metricNamed(name: string): Required<Pick<Metric, "guess" | "guessing">> & Metric {
  const task = classes.metrics.some((metric) => metric.name === name) ? classification : regression;
  return metricOfTask(task, name) as Required<Metric>;
}
const plain = (text: string) => text.replaceAll("\u00a0", " ");

/** Examples of three classes; a row of outputs for each. */
const scored = (y: number[], outputs: number[][], loss = 1): Scored => ({
  outputs: Float32Array.from(outputs.flat()),
  y: Float32Array.from(y),
  count: y.length,
  loss,
  scale: 1,
});

test("every task is listed by its own name, and its metrics by theirs", () => {
  for (const name of taskNames) {
    expect(tasks[name].name).toBe(name);
    for (const metric of tasks[name].metrics) expect(metricOfTask(name, metric.name)).toBe(metric);
  }
  expect(primaryMetricNames.slice(0, 4)).toEqual(["accuracy", "balanced accuracy", "AUC", "R²"]);
  expect(new Set(primaryMetricNames).size).toBe(primaryMetricNames.length);
  expect(() => metricOfTask(regression, "luck")).toThrow(
    'metricNamed: name must be a metric of regression, got "luck"',
  );
});

test("the metric fits the classes: balanced where one has more than twice the examples of another", () => {
  expect(metricOf(classification, [10, 20, 15], undefined)).toBe("accuracy");
  expect(metricOf(classification, [10, 21, 15], undefined)).toBe("balanced accuracy");
  expect(metricOf(regression, [], undefined)).toBe("R²");
});

describe("classes", () => {
  const outputs = [
    [1, 2, 0],
    [3, 3, 1],
    [-2, -3, -1],
    [Number.NaN, 1, 2],
  ];

  test("accuracy: the share whose class has the largest output, the first of equals", () => {
    const { of } = metricNamed("accuracy");
    expect(of(scored([1, 0, 2, 0], outputs))).toBe(1);
    expect(of(scored([0, 1, 2, 2], outputs))).toBe(0.25);
  });

  test("balanced accuracy: the mean over the classes that are there", () => {
    const { of } = metricNamed("balanced accuracy");
    const always = (count: number) => Array.from({ length: count }, () => [1, 0, 0]);
    expect(of(scored([0, 0, 0, 0, 0, 0, 0, 0, 0, 1], always(10)))).toBe(0.5);
    expect(
      of(
        scored(
          [0, 0, 1, 2],
          [
            [1, 0, 0],
            [0, 1, 0],
            [0, 1, 0],
            [1, 0, 0],
          ],
        ),
      ),
    ).toBe(0.5);
  });

  test("AUC: pairs that are ranked right, equals half, averaged over the classes", () => {
    const { of } = metricNamed("AUC");
    const two = (scores: number[], y: number[]) =>
      of(
        scored(
          y,
          scores.map((score) => [0, score]),
        ),
      );
    expect(two([1, 2, 3, 4], [0, 0, 1, 1])).toBe(1);
    expect(two([4, 3, 2, 1], [0, 0, 1, 1])).toBe(0);
    expect(two([1, 3, 2, 4], [0, 0, 1, 1])).toBe(0.75);
    expect(two([1, 1, 1, 1], [0, 1, 0, 1])).toBe(0.5);
    // always the same answer, and yet a perfect ranking
    expect(two([-5, -4, -3, -2], [0, 0, 0, 1])).toBe(1);
    expect(two([1, 2, Number.NaN, 4], [0, 0, 1, 1])).toBeNaN();
    expect(two([1, 2], [1, 1])).toBeNaN();
  });

  test("log loss is the loss", () => {
    expect(metricNamed("log loss").of(scored([0], [[0, 1]], 0.75))).toBe(0.75);
  });

  test.each([
    ["accuracy", 4 / 6],
    ["balanced accuracy", 1 / 3],
    ["AUC", 0.5],
    ["log loss", -(Math.log(1 / 6) * 2 + 4 * Math.log(4 / 6)) / 6],
  ])("guessing scores a %s of %s", (name, value) => {
    expect(metricNamed(name).guess(Float32Array.of(0, 2, 2, 1, 2, 2), 3, 1)).toBeCloseTo(value, 12);
  });

  test("a class without examples is nothing to guess", () => {
    expect(metricNamed("balanced accuracy").guess(Float32Array.of(0, 2, 2), 3, 1)).toBe(0.5);
  });

  test("guessing may look better by two standard errors, which more examples make smaller", () => {
    const guessing = (metric: string, ...sizes: number[]) =>
      metricNamed(metric).guessing(
        Float32Array.from(sizes.flatMap((size, index) => new Array<number>(size).fill(index))),
        sizes.length,
        1,
      );
    expect(guessing("accuracy", 50, 50)).toBeCloseTo(0.6, 12);
    expect(guessing("accuracy", 5000, 5000)).toBeCloseTo(0.51, 12);
    expect(guessing("balanced accuracy", 50, 50)).toBeCloseTo(0.6, 12);
    expect(guessing("AUC", 150, 150)).toBeCloseTo(0.5 + 2 * Math.sqrt(301 / (12 * 150 * 150)), 12);
    // the error of a rare class counts as much as that of a frequent one
    expect(guessing("balanced accuracy", 96, 4)).toBeCloseTo(0.5 + Math.sqrt(0.25 / 96 + 0.25 / 4), 12);
    expect(guessing("AUC", 96, 4)).toBeCloseTo(0.5 + 2 * Math.sqrt(101 / (12 * 96 * 4)), 12);
    expect(metricNamed("accuracy").resolution(50)).toBe(0.02);
  });

  test("confusions: a row for each class, a column for each answer", () => {
    const rows = scored(
      [1, 0, 2, 0],
      [
        [1, 2, 0],
        [0, 3, 1],
        [-2, -3, -1],
        [1, 0, 0],
      ],
    );
    expect(classes.confusionOf?.(rows)).toEqual([
      [1, 1, 0],
      [0, 1, 0],
      [0, 0, 1],
    ]);
  });

  test.each([
    ["accuracy", 0.5, "50.0 %", "50 %", "50.0 %"],
    ["accuracy", 1, "100 %", "100 %", "100 %"],
    ["balanced accuracy", 0.96125, "96.1 %", "96.125 %", "a balanced accuracy of 96.1 %"],
    ["AUC", 0.9, "0.900", "0.9", "an AUC of 0.900"],
  ])("%s: %s is %s, as a target %s, in a sentence %s", (name, value, formatted, target, phrase) => {
    const { format, formatTarget, phrase: phraseOf } = metricNamed(name);
    expect([format(value), formatTarget(value), phraseOf(value)].map(plain)).toEqual([
      formatted,
      target,
      phrase,
    ]);
    expect(format(null)).toBe("–");
  });

  test.each([
    ["accuracy", 0.0123, "+1.2 points"],
    ["accuracy", -0.0123, "−1.2 points"],
    ["accuracy", -0.0001, "0.0 points"],
    ["AUC", 0.02, "+0.020"],
    ["R²", -0.5, "−0.500"],
    ["R²", 0.0001, "0.000"],
    ["RMSE", 1234, "+1,230"],
  ])("a difference of %s of %s is %s", (name, value, text) => {
    expect(metricNamed(name).formatDifference(value)).toBe(text);
  });
});

describe("numbers", () => {
  const y = Float32Array.of(1, 2, 3, 4);
  const held = (outputs: Float32Array, loss: number, scale = 1): Scored => ({
    outputs,
    y,
    count: y.length,
    loss,
    scale,
  });

  test("R² is 1 minus the mean squared error over the variance", () => {
    const { of, guess } = metricNamed("R²");
    expect(of(held(new Float32Array(4), 0.25))).toBe(0.8);
    expect([guess(y, 0, 1), of(held(y, 1.25))]).toEqual([0, 0]);
  });

  test("errors are in the units of the target", () => {
    const outputs = Float32Array.of(1, 2, 3, 8);
    expect(metricNamed("RMSE").of(held(outputs, 4, 10))).toBe(20);
    expect(metricNamed("MAE").of(held(outputs, 4, 10))).toBe(10);
    expect(metricNamed("RMSE").guess(y, 0, 10)).toBeCloseTo(10 * Math.sqrt(1.25), 12);
    expect(metricNamed("MAE").guess(y, 0, 10)).toBe(10);
  });

  test.each([
    [0.5, "0.500", "an R² of 0.500"],
    [-0.0001, "0.000", "an R² of 0.000"],
    [-12.345, "−12.3", "an R² of −12.3"],
  ])("%s is %s, in a sentence %s", (value, formatted, phrase) => {
    const metric = metricNamed("R²");
    expect([metric.format(value), metric.phrase(value), metric.brief(value)]).toEqual([
      formatted,
      phrase,
      `R² ${formatted}`,
    ]);
  });

  test("a target far from 0 keeps its digits", () => {
    const values = [1e12 + 1, 1e12 + 2, 1e12 + 3];
    const column = { name: "y", kind: "number" as const, values };
    const target = { column, rows: [0, 1, 2] };
    const { encode, classesOf } = numbers;
    const { y: encoded, scale } = encode(target, classesOf(target));
    expect(encoded[1]).toBe(0);
    expect((encoded[2] - encoded[0]) * scale).toBeCloseTo(2, 9);
  });
});

test.each([
  ["number", [1, 2, 1, 3], classification],
  ["number", [1, 2.5, 1, 3], regression],
  ["number", [125_000, 99_000, 125_000], regression],
  ["number", Array.from({ length: 40 }, (_, i) => i), regression],
  ["text", ["a", "b", "a", "b"], classification],
] as const)("a column of kind %s with %j asks for %s", (kind, values, task) => {
  const target = { column: { name: "y", kind, values: [...values] }, rows: values.map((_, row) => row) };
  expect(usualTask(target)).toBe(task);
});

test("classes keep the order that their file declares", () => {
  const column = {
    name: "y",
    kind: "text" as const,
    values: ["high", "low", "high"],
    levels: ["low", "mid", "high"],
  };
  expect(classes.classesOf({ column, rows: [0, 1, 2] })).toEqual({
    names: ["low", "high"],
    of: Int32Array.of(1, 0, 1),
  });
});
