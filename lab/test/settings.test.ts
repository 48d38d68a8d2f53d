import { expect, test } from "vitest";
import { usualBatchSize } from "../src/settings.js";

test("the usual batch size leaves no batch of one", () => {
  expect([1438, 33, 65, 20, 2, 97].map((examples) => usualBatchSize(examples))).toEqual([
    32, 33, 33, 20, 2, 33,
  ]);
  for (let examples = 2; examples < 3000; examples++) {
    expect(examples % usualBatchSize(examples), String(examples)).not.toBe(1);
  }
});
