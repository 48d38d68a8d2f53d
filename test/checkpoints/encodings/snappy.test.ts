import { compress, uncompress } from "snappyjs";
import { describe, expect, it } from "vitest";
import { unsnappy } from "../../../src/checkpoints/encodings/snappy.js";
import { mutated, random } from "../support/fuzz.js";

const fail = (problem: string, at: number) => new Error(`at ${at}: ${problem}`);

/** Texts that repeat near, far and hardly. */
function samples(): Uint8Array[] {
  const next = random(5);
  const noise = Uint8Array.from({ length: 5000 }, () => Math.floor(next() * 256));
  const words = Uint8Array.from({ length: 50_000 }, (_, i) => 97 + ((i * i) % 17));
  const far = new Uint8Array(70_000);
  far.set(noise);
  far.set(noise, 66_000 - 1000);
  return [new Uint8Array(), Uint8Array.of(7), new Uint8Array(1000), noise, words, far];
}

describe("unsnappy", () => {
  it("gives what snappyjs compressed", () => {
    for (const bytes of samples()) expect(unsnappy(compress(bytes), fail)).toEqual(bytes);
  });

  it("copies with 1, 2 and 4 bytes of distance, and repeats where the distance is shorter than the length", () => {
    const literal = [3 << 2, 1, 2, 3, 4];
    expect([...unsnappy(Uint8Array.of(8, ...literal, 0b000_000_01, 4), fail)]).toEqual([
      1, 2, 3, 4, 1, 2, 3, 4,
    ]);
    expect([...unsnappy(Uint8Array.of(7, ...literal, (2 << 2) | 2, 1, 0), fail)]).toEqual([
      1, 2, 3, 4, 4, 4, 4,
    ]);
    expect([...unsnappy(Uint8Array.of(6, ...literal, (1 << 2) | 3, 2, 0, 0, 0), fail)]).toEqual([
      1, 2, 3, 4, 3, 4,
    ]);
  });

  it("refuses what is damaged", () => {
    const refused = (...bytes: number[]) => {
      try {
        return unsnappy(Uint8Array.from(bytes), fail);
      } catch (error) {
        return (error as Error).message;
      }
    };
    expect(refused()).toBe("at 0: expected 1 more bytes of a Snappy block");
    expect(refused(0xff, 0xff, 0xff, 0xff, 0xff, 1)).toBe(
      "at 5: expected the length of a Snappy block in at most 5 bytes",
    );
    expect(refused(100, 0)).toBe("at 0: 2 compressed bytes cannot hold the 100 that are declared");
    expect(refused(4, 3 << 2, 1)).toBe("at 1: expected a literal of 4 bytes within the Snappy block");
    expect(refused(8, 0, 1, 1, 2)).toBe("at 3: expected a copy of 4 bytes from 2 before, within 1 of 8");
    expect(refused(8, 0, 1, 1, 0)).toBe("at 3: expected a copy of 4 bytes from 0 before, within 1 of 8");
    expect(refused(2, 0, 1)).toBe("at 3: expected 2 bytes of a Snappy block, got 1");
  });

  it("agrees with snappyjs on damaged blocks, or refuses them", () => {
    const next = random(6);
    const whole = compress(samples()[4].subarray(0, 3000));
    for (let i = 0; i < 2000; i++) {
      const damaged = mutated(whole, next);
      let result: Uint8Array | undefined;
      try {
        result = unsnappy(damaged, (problem) => new RangeError(problem));
      } catch (error) {
        expect(error).toBeInstanceOf(RangeError);
      }
      if (result) expect(result).toEqual(uncompress(damaged));
    }
  });
});
