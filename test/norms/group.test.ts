/** Numbers of groups: every divisor, the nearest one, and channels that no array has. */
import { describe, expect, it } from "vitest";
import { groupNorm, groupStatistics, legalGroups, nearestGroups } from "../../src/index.js";

describe("legalGroups", () => {
  it("is every divisor, in rising order", () => {
    for (let channels = 1; channels <= 300; channels++) {
      const all = Array.from({ length: channels }, (_, i) => i + 1).filter(
        (groups) => channels % groups === 0,
      );
      expect(legalGroups(channels)).toEqual(all);
      for (const wanted of [1, 7, 32, 1000]) {
        const distances = all.map((groups) => Math.abs(groups - wanted));
        const nearest = all.filter((_, i) => distances[i] === Math.min(...distances));
        expect(nearestGroups(channels, wanted)).toBe(nearest.at(-1));
      }
    }
  });

  it("of very many channels", () => {
    expect(legalGroups(1_000_000_007)).toEqual([1, 1_000_000_007]);
    expect(legalGroups(2 ** 30)).toEqual(Array.from({ length: 31 }, (_, i) => 2 ** i));
    expect(nearestGroups(735_134_400, 32)).toBe(32);
  });

  it.each([
    0,
    -4,
    2.5,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    2 ** 30 + 1,
    1e308,
    "12",
    null,
    undefined,
    [12],
  ])("refuses %s", (channels) => {
    const bounds = "must be an integer from 1 to 1073741824, got";
    for (const [run, message] of [
      [() => legalGroups(channels as number), `legalGroups: channels ${bounds} ${channels}`],
      [() => nearestGroups(channels as number, 2), `nearestGroups: channels ${bounds} ${channels}`],
      [() => nearestGroups(2, channels as number), `nearestGroups: wanted ${bounds} ${channels}`],
    ] as const) {
      expect(run).toThrow(new RangeError(message));
    }
  });
});

describe("an error names the nearest groups alone", () => {
  it.each([
    [1_000_000_007, 32, "1, 1000000007"],
    [735_134_400, 29, "25, 26, 27, 28, 30, 32"],
    [12, 5, "1, 2, 3, 4, 6, 12"],
    [64, 63, "2, 4, 8, 16, 32, 64"],
  ])("%d channels in %d groups", (channels, groups, suggested) => {
    expect(() => groupNorm({ groups }).plan([1, channels])).toThrow(
      new RangeError(
        `groupNorm: groups must divide the ${channels} channels of axis -1, got ${groups}; ${suggested} would`,
      ),
    );
    expect(() => groupStatistics({ groups }).weights([1, channels])).toThrow(`${suggested} would`);
  });
});
