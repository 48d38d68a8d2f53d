import { describe, expect, it } from "vitest";
import { sizeOf } from "../src/shape.js";
import { keptSize, reducedSize, statisticIndex, type View, viewOf } from "../src/view.js";
import { random } from "./support/numerics.js";

const view = (k1: number, r1: number, k2: number, r2: number): View => ({ k1, r1, k2, r2 });

describe("viewOf", () => {
  // the design's table, with B=2, S=3·4, C=10, G=5, C/G=2
  it.each([
    ["rows × features", [6, 7], [0], view(6, 1, 1, 7)],
    ["features of rows", [6, 7], [1], view(1, 6, 7, 1)],
    ["batch, channels last", [2, 3, 4, 10], [3], view(1, 24, 10, 1)],
    ["batch, channels first", [2, 10, 3, 4], [1], view(1, 2, 10, 12)],
    ["instance, channels first", [2, 10, 3, 4], [0, 1], view(20, 1, 1, 12)],
    ["instance, channels last", [2, 3, 4, 10], [0, 3], view(2, 12, 10, 1)],
    ["group, channels first", [2, 5, 2, 3, 4], [0, 1], view(10, 1, 1, 24)],
    ["group, channels last", [2, 3, 4, 5, 2], [0, 3], view(2, 12, 5, 2)],
    ["all kept", [2, 3], [0, 1], view(1, 1, 6, 1)],
    ["all reduced", [2, 3], [], view(1, 1, 1, 6)],
    ["axes of length 1 count for nothing", [1, 2, 1, 3, 1], [0, 1, 2, 4], view(2, 1, 1, 3)],
    ["a scalar", [], [], view(1, 1, 1, 1)],
  ])("%s", (_, shape, kept, expected) => {
    expect(viewOf(shape, kept)).toEqual(expected);
  });

  it("is undefined where the axes alternate more often", () => {
    expect(viewOf([2, 3, 4, 5], [1, 3])).toEqual(undefined);
    expect(viewOf([2, 3, 4, 5, 6], [0, 2, 4])).toEqual(undefined);
  });

  it("gives each element the statistic of its kept position, for any shape and axes", () => {
    const next = random(7);
    for (let round = 0; round < 200; round++) {
      const shape = Array.from({ length: 1 + Math.floor(next() * 4) }, () => 1 + Math.floor(next() * 4));
      const kept = [...shape.keys()].filter(() => next() < 0.5);
      const found = viewOf(shape, kept);
      if (!found) continue;
      expect(keptSize(found) * reducedSize(found)).toBe(sizeOf(shape));
      for (let index = 0; index < sizeOf(shape); index++) {
        let statistic = 0;
        for (const axis of kept) {
          const stride = sizeOf(shape.slice(axis + 1));
          statistic = statistic * shape[axis] + (Math.floor(index / stride) % shape[axis]);
        }
        expect(statisticIndex(found, index), `shape ${shape} kept ${kept} element ${index}`).toBe(statistic);
      }
    }
  });
});
