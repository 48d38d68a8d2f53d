import { expect, test } from "vitest";
import { stepsOf, usualBatchSize } from "../src/settings.js";

test("the usual batch size is 32, or all that there is", () => {
  expect([1438, 33, 20].map(usualBatchSize)).toEqual([32, 32, 20]);
});

test("no step is left a single example: it joins the batch before it", () => {
  expect([64, 65, 66, 33, 2, 1].map((examples) => stepsOf(examples, 32))).toEqual([2, 2, 3, 1, 1, 1]);
});
