/**
 * Hostile files: fixtures with bytes flipped, overwritten, moved, repeated, cut out and cut off. Each must open and give its tensors, or
 * be refused with a CheckpointError; in 2 seconds, and in no more memory than its size allows.
 *
 * FUZZ=100000 npx vitest run --project fast test/checkpoints    mutates each format so often; 2,000 by default
 */
import { expect, it } from "vitest";
import type { Checkpoint } from "../../../src/checkpoints/checkpoint.js";
import { concatenated } from "../../../src/checkpoints/encodings/zip.js";
import { CheckpointError } from "../../../src/checkpoints/errors.js";
import { bytesOf, type Files } from "../../../src/checkpoints/source.js";

/** A file of a fixture, and those beside it. Every one of them is mutated. */
export type Fixture = Readonly<Record<string, Uint8Array>>;

export const MUTATIONS = Number(process.env.FUZZ ?? 2000);
const MOST_MS = 2000;

/** A small generator (mulberry32): the same mutations on every machine. */
export function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** One to four faults; half of them in the first kilobyte, or the last, where formats keep their structure. */
export function mutated(bytes: Uint8Array, next: () => number): Uint8Array {
  let result: Uint8Array = bytes.slice();
  const faults = 1 + Math.floor(next() * 4);
  for (let fault = 0; fault < faults && result.length > 0; fault++) {
    const span = Math.min(result.length, 1024);
    const place = next();
    const at = Math.floor(
      place < 0.35 ? next() * span : place < 0.5 ? result.length - next() * span : next() * result.length,
    );
    const length = Math.min(result.length - at, 1 + Math.floor(next() ** 3 * 64));
    const kind = Math.floor(next() * 8);
    if (kind === 0) result[at] ^= 1 << Math.floor(next() * 8);
    else if (kind === 1) result[at] = Math.floor(next() * 256);
    else if (kind === 2) result.fill(next() < 0.5 ? 0xff : 0, at, at + length);
    else if (kind === 3) result = result.slice(0, at);
    else if (kind === 4)
      result.copyWithin(at, Math.floor(next() * result.length), Math.floor(next() * result.length));
    else if (kind === 5) result = concatenated([result.subarray(0, at), result.subarray(at + length)]);
    else if (kind === 6) result = concatenated([result.subarray(0, at + length), result.subarray(at)]);
    else {
      const huge = [0x7fffffff, 0xffffffff, 0x80000000, 1, 0][Math.floor(next() * 5)];
      if (at + 4 <= result.length) new DataView(result.buffer).setUint32(at, huge, next() < 0.5);
    }
  }
  return result;
}

export function filesIn(fixture: Fixture, name = Object.keys(fixture)[0]): Files {
  const all = new Map(Object.entries(fixture));
  const bytes = (file: string) => {
    const found = all.get(file) as Uint8Array;
    return bytesOf(file, {
      byteLength: found.length,
      slice: (start, end) => found.slice(start, end).buffer as ArrayBuffer,
    });
  };
  return {
    name,
    bytes: bytes(name),
    list: async () => [...all.keys()],
    beside: async (path) => (all.has(path) ? bytes(path) : undefined),
  };
}

/** Opens a file and reads every tensor of it; which ones failed does not matter, how they did does. */
async function readAll(read: (files: Files) => Promise<Checkpoint>, files: Files): Promise<void> {
  const refused = (error: unknown) => {
    if (!(error instanceof CheckpointError)) throw error;
  };
  let checkpoint: Checkpoint;
  try {
    checkpoint = await read(files);
  } catch (error) {
    refused(error);
    return;
  }
  for (const tensor of [...checkpoint.tensors.values(), ...checkpoint.others.values()]) {
    await tensor.read().catch(refused);
  }
}

/**
 * Registers the test: `MUTATIONS` mutations, spread over the fixtures, of any of their files.
 * @param share of the mutations, where a file takes longer than most
 */
export function fuzz(
  format: string,
  fixtures: readonly Fixture[],
  read: (files: Files) => Promise<Checkpoint>,
  share = 1,
): void {
  const mutations = Math.ceil(MUTATIONS * share);
  it(
    `${format}: ${mutations} damaged files open or are refused`,
    async () => {
      const next = random(format.length + 17);
      const prototype = Object.getOwnPropertyNames(Object.prototype).join();
      let slowest = 0;
      for (let i = 0; i < mutations; i++) {
        const fixture = fixtures[i % fixtures.length];
        const names = Object.keys(fixture);
        const name = names[Math.floor(next() * names.length)];
        const damaged = { ...fixture, [name]: mutated(fixture[name], next) };
        const start = performance.now();
        try {
          await readAll(read, filesIn(damaged, names[0]));
        } catch (error) {
          throw new Error(`mutation ${i} of ${name}: expected a CheckpointError`, { cause: error });
        }
        slowest = Math.max(slowest, performance.now() - start);
      }
      expect(slowest).toBeLessThan(MOST_MS);
      expect(Object.getOwnPropertyNames(Object.prototype).join()).toBe(prototype);
    },
    Math.max(60_000, MUTATIONS * 20),
  );
}
