/** How long a comparison will take, and lines for terminals of any width. */
import { afterEach, expect, test, vi } from "vitest";
import type { Settings } from "../../src/comparison.js";
import { Course, fitted, openDisplay } from "../../src/node/progress.js";
import { tasks } from "../../src/tasks/registry.js";
import type { TrialSpec } from "../../src/trial.js";

afterEach(() => vi.useRealTimers());

const spec = (depth: number, batchSize = 32, learningRates = [0.1]) =>
  ({
    model: { depth },
    training: { epochs: 1, batchSize, learningRates },
  }) as TrialSpec;
const progress = (done: number) => ({ done, epoch: 1, loss: 1, metric: null });

test("the time left counts what trials cost: layers, steps, and learning rates to try", () => {
  vi.useFakeTimers({ toFake: ["performance"] });
  // one layer and the last one; the same with twice as many steps; three rates; five layers
  const specs = [spec(1), spec(1, 16), spec(1, 32, [1, 2, 3]), spec(5)];
  const course = new Course(specs, 1);
  expect(course.left()).toBe("");
  course.start(specs[0]);
  vi.advanceTimersByTime(5900);
  expect(course.finish(specs[0])).toBeCloseTo(5.9, 9);
  // 5.9 s, and twice, three times and three times that
  expect(course.left()).toBe("about 48 s left");
  course.start(specs[1]);
  vi.advanceTimersByTime(3000);
  course.progress(specs[1], progress(0.25));
  expect([course.leftOf(specs[1]), course.left()]).toEqual(["9 s left", "about 45 s left"]);
});

test("the time left counts from the first trial on: one on a queue may wait for a worker", () => {
  vi.useFakeTimers({ toFake: ["performance"] });
  const specs = [spec(1), spec(1)];
  const course = new Course(specs, 1);
  vi.advanceTimersByTime(60_000);
  course.start(specs[0]);
  vi.advanceTimersByTime(4000);
  course.finish(specs[0]);
  expect(course.left()).toBe("about 4 s left");
});

test("a note shows nothing that a terminal obeys: it may say what a network of somebody else's failed with", () => {
  const written: string[] = [];
  const write = vi
    .spyOn(process.stderr, "write")
    .mockImplementation((text) => written.push(String(text)) > 0);
  try {
    const [metric] = tasks.classification.metrics;
    openDisplay(metric, { sweep: null } as Settings, [], 1).note("it failed: \x1b[2J\x07");
  } finally {
    write.mockRestore();
  }
  expect(written).toEqual(["it failed: \ufffd[2J\ufffd\n"]);
});

test("trials of an earlier run count as finished, and took no time", () => {
  vi.useFakeTimers({ toFake: ["performance"] });
  const specs = [spec(1), spec(1), spec(1), spec(1)];
  const course = new Course(specs, 1);
  course.found(specs[0]);
  course.found(specs[1]);
  expect([course.finished, course.left()]).toEqual([2, ""]);
  course.start(specs[2]);
  vi.advanceTimersByTime(10_000);
  course.finish(specs[2]);
  expect([course.finished, course.left()]).toEqual([3, "about 10 s left"]);
});

test("a line has the pieces that there is room for: short ones first, the least important gone", () => {
  const pieces = [
    { text: "layer    seed 1", rank: 6 },
    { text: "████", rank: 3 },
    { text: "accuracy 97.4 %", short: "97.4 %", rank: 4 },
    { text: "loss 0.1", rank: 1 },
    { text: "", rank: 9 },
    { text: "3 s left", rank: 2, style: (text: string) => `<${text}>` },
  ];
  expect(fitted(pieces, 80)).toBe("layer    seed 1  ████  accuracy 97.4 %  loss 0.1  <3 s left>");
  expect(fitted(pieces, 57)).toBe("layer    seed 1  ████  97.4 %  loss 0.1  <3 s left>");
  expect(fitted(pieces, 40)).toBe("layer    seed 1  ████  97.4 %  <3 s left>");
  expect(fitted(pieces, 30)).toBe("layer    seed 1  ████  97.4 %");
  expect(fitted(pieces, 25)).toBe("layer    seed 1  97.4 %");
  expect(fitted(pieces, 10)).toBe("layer    …");
});
