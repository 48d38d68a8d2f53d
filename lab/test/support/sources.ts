/** Sources of tables in memory, and of the fixtures. */
import { readFileSync } from "node:fs";
import { expect } from "vitest";
import type { Source } from "../../src/data/readers/source.js";
import type { RawTable } from "../../src/data/table.js";
import { FailureError, UsageError } from "../../src/errors.js";

export const bytesOf = (name: string): Uint8Array<ArrayBuffer> =>
  new Uint8Array(readFileSync(new URL(`../fixtures/${name}`, import.meta.url)));

/** `read` counts the bytes that are asked for. */
export function sourceOf(name: string, content: string | Uint8Array): Source & { read: number } {
  // a copy, since a Buffer is a part of a larger one
  const bytes = typeof content === "string" ? new TextEncoder().encode(content) : new Uint8Array(content);
  return {
    name,
    byteLength: bytes.length,
    read: 0,
    async slice(start, end) {
      const part = bytes.slice(start, end);
      this.read += part.length;
      return part.buffer as ArrayBuffer;
    },
  };
}

/** A table's cells by the names of its columns, with their types and levels where they have any. */
export const cellsOf = ({ columns }: RawTable): Record<string, unknown[]> =>
  Object.fromEntries(
    columns.map(({ name, type, levels, cells }) => [
      name,
      [...(type ? [`(${type})`] : []), ...(levels ? [levels] : []), ...cells],
    ]),
  );

/** Fails where `read` neither reads what is cut at each byte nor refuses it with an error for its user. */
export async function expectCuts(
  bytes: Uint8Array,
  read: (bytes: Uint8Array) => Promise<RawTable>,
): Promise<number[]> {
  const whole: number[] = [];
  for (let length = 0; length < bytes.length; length++) {
    try {
      await read(bytes.subarray(0, length));
      whole.push(length);
    } catch (error) {
      expect(error instanceof UsageError || error instanceof FailureError, `cut at ${length}: ${error}`).toBe(
        true,
      );
    }
  }
  return whole;
}
