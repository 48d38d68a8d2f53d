/** What holds for a depot, wherever it keeps things. */
import { createCipheriv, createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import type { Depot } from "../../../src/node/queue/depot.js";

/** A place for depots of its own, and what is in it. */
export interface DepotPlace {
  open(): Depot;
  /** Keys of the chunks, and that of the only manifest. */
  chunks(): Promise<string[]>;
  manifest(): Promise<string>;
  /** Without content it is removed. */
  set(key: string, content?: Uint8Array): Promise<void>;
  sizeOf(key: string): Promise<number>;
}

/** Bytes that look random, and cannot be compressed. */
export function noise(length: number, seed = 1): Uint8Array {
  const stream = createCipheriv("aes-128-ctr", Buffer.alloc(16, seed), Buffer.alloc(16));
  return new Uint8Array(stream.update(Buffer.alloc(length)));
}

const digest = createHash("sha256").update("what it says").digest("hex");

/** @param chunk bytes that it has in one chunk */
export function describeDepot(where: string, chunk: number, place: () => Promise<DepotPlace>): void {
  describe(where, () => {
    test.each([0, 1, chunk, chunk + 1, 3 * chunk + 17])("gives %i bytes back", async (length) => {
      const { open, chunks, sizeOf } = await place();
      const depot = open();
      const bytes = noise(length + 5).subarray(5);
      expect(await depot.has(digest)).toBe(false);
      expect(await depot.get(digest)).toBeUndefined();
      await depot.put(digest, bytes);
      expect(await depot.has(digest)).toBe(true);
      expect(Buffer.compare((await depot.get(digest)) as Uint8Array, bytes)).toBe(0);
      // to another one, too, and as often as it is asked for
      expect(Buffer.compare((await open().get(digest)) as Uint8Array, bytes)).toBe(0);
      const keys = await chunks();
      expect(keys).toHaveLength(Math.ceil(length / chunk));
      for (const key of keys) expect(await sizeOf(key)).toBeLessThan(chunk + 1000);
      expect(await depot.has("0".repeat(64))).toBe(false);
    });

    test("takes less room for what can be compressed", async () => {
      const { open, chunks, sizeOf } = await place();
      await open().put(digest, new Uint8Array(chunk));
      for (const key of await chunks()) expect(await sizeOf(key)).toBeLessThan(chunk / 100);
    });

    test("has nothing before all of it is there, and nothing that is no more", async () => {
      const { open, chunks, manifest, set } = await place();
      const depot = open();
      await depot.put(digest, noise(2 * chunk));
      await set((await chunks())[1]);
      expect(await depot.has(digest)).toBe(false);
      expect(await depot.get(digest)).toBeUndefined();
      await depot.put(digest, noise(2 * chunk));
      expect(await depot.has(digest)).toBe(true);
      await set(await manifest());
      expect(await depot.has(digest)).toBe(false);
      expect(await depot.get(digest)).toBeUndefined();
    });

    test.each<[string, (place: DepotPlace) => Promise<void>]>([
      ["a chunk of something else", async ({ chunks, set }) => set((await chunks())[0], noise(100, 7))],
      ["a chunk that is empty", async ({ chunks, set }) => set((await chunks())[1], new Uint8Array())],
      [
        "a chunk that is too large",
        async ({ chunks, set }) => {
          const { deflateRawSync } = await import("node:zlib");
          await set((await chunks())[0], deflateRawSync(new Uint8Array(2 * chunk)));
        },
      ],
      ["a manifest that is none", async ({ manifest, set }) => set(await manifest(), Buffer.from("{"))],
      ["a manifest of null", async ({ manifest, set }) => set(await manifest(), Buffer.from("null"))],
      [
        "a manifest that lies",
        async ({ manifest, set }) =>
          set(await manifest(), Buffer.from(JSON.stringify({ hash: "ab".repeat(32), bytes: 1e15 }))),
      ],
    ])("counts what is damaged as absent, until it is put again: %s", async (_, damage) => {
      const own = await place();
      const depot = own.open();
      const bytes = noise(2 * chunk);
      await depot.put(digest, bytes);
      await damage(own);
      expect(await depot.get(digest)).toBeUndefined();
      expect(await depot.has(digest)).toBe(false);
      await depot.put(digest, bytes);
      expect(await depot.has(digest)).toBe(true);
      expect(Buffer.compare((await depot.get(digest)) as Uint8Array, bytes)).toBe(0);
    });

    test("two who put at once do no harm, even of other bytes that say the same", async () => {
      const { open } = await place();
      const versions = [noise(2 * chunk, 1), noise(2 * chunk, 1), noise(chunk, 2)];
      const depots = versions.map(open);
      await Promise.all(versions.map((bytes, i) => depots[i].put(digest, bytes)));
      for (const depot of depots) {
        const got = (await depot.get(digest)) as Uint8Array;
        expect(versions.some((bytes) => Buffer.compare(bytes, got) === 0)).toBe(true);
      }
    });
  });
}
