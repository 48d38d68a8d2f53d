/** What is drawn by Math.random within a trial is of its seed, and nothing else is. */
import { expect, test } from "vitest";
import { withSeededRandom } from "../../src/data/random.js";

test("the same seed draws the same, another another; afterwards chance is back, whatever happens", async () => {
  const { random } = Math;
  const draw = (seed: number) =>
    withSeededRandom(seed, async () => {
      await Promise.resolve();
      return Array.from({ length: 100 }, () => Math.random());
    });
  const [one, again, two] = [await draw(1), await draw(1), await draw(2)];
  expect(again).toEqual(one);
  expect(two).not.toEqual(one);
  // nor do neighbouring seeds begin alike
  expect(Math.abs(two[0] - one[0])).toBeGreaterThan(0.001);
  expect(Math.min(...one)).toBeLessThan(0.1);
  expect(Math.max(...one)).toBeGreaterThan(0.9);
  const failing = withSeededRandom(1, () => Promise.reject(new Error("no luck")));
  await expect(failing).rejects.toThrow("no luck");
  expect(Math.random).toBe(random);
});
