/** Files in memory, as the readers take them. */
import type { Source } from "../../src/data/readers/source.js";

export function sourceOf(name: string, content: string | Uint8Array): Source {
  const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
  return {
    name,
    byteLength: bytes.length,
    slice: async (start, end) => new Uint8Array(bytes.subarray(start, end)).buffer,
  };
}
