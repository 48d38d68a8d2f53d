/** Hashes by which models in several places are compared. */

/** 32 bits of the bits of values (FNV-1a, by words), or of a text. Every NaN is one: its bits are the engine's choice. */
export function hashOf(values: Float32Array | Int32Array | Uint8Array | string): number {
  if (typeof values === "string") {
    return hashOf(Int32Array.from({ length: values.length }, (_, i) => values.charCodeAt(i)));
  }
  const words =
    values instanceof Float32Array
      ? new Uint32Array(values.buffer, values.byteOffset, values.length)
      : values;
  let hash = 0x811c9dc5;
  for (let i = 0; i < words.length; i++) {
    hash = Math.imul(hash ^ (Number.isNaN(values[i]) ? QUIET_NAN : words[i]), 0x01000193);
    // a word's high bits reach the low ones
    hash ^= hash >>> 15;
  }
  return hash >>> 0;
}

const QUIET_NAN = 0x7fc00000;
