/**
 * Snappy's raw blocks, as tables of LevelDB hold them: https://github.com/google/snappy/blob/main/format_description.txt. Its framed
 * streams are not read.
 */

/** What a byte can become at the most: three bytes copy 64. */
const MOST_TIMES = 22;

/**
 * The bytes that were compressed.
 * @param fail makes the error, of a byte in `compressed`
 */
export function unsnappy(compressed: Uint8Array, fail: (problem: string, at: number) => Error): Uint8Array {
  let at = 0;
  const next = (count: number): number => {
    if (at + count > compressed.length) throw fail(`expected ${count} more bytes of a Snappy block`, at);
    let value = 0;
    for (let i = 0; i < count; i++) value += compressed[at++] * 2 ** (8 * i);
    return value;
  };
  let size = 0;
  for (let scale = 1; ; scale *= 128) {
    const byte = next(1);
    size += (byte & 0x7f) * scale;
    if (byte < 0x80) break;
    if (scale >= 2 ** 28) throw fail("expected the length of a Snappy block in at most 5 bytes", at);
  }
  if (size > MOST_TIMES * compressed.length) {
    throw fail(`${compressed.length} compressed bytes cannot hold the ${size} that are declared`, 0);
  }
  const result = new Uint8Array(size);
  let to = 0;
  while (at < compressed.length) {
    const start = at;
    const tag = next(1);
    const kind = tag & 3;
    const code = tag >> 2;
    if (kind === 0) {
      // lengths from 61 on stand in the one to four bytes that follow
      const length = 1 + (code < 60 ? code : next(code - 59));
      if (length > compressed.length - at || length > size - to) {
        throw fail(`expected a literal of ${length} bytes within the Snappy block`, start);
      }
      result.set(compressed.subarray(at, at + length), to);
      at += length;
      to += length;
      continue;
    }
    const length = kind === 1 ? 4 + (code & 7) : 1 + code;
    const distance = kind === 1 ? (code >> 3) * 256 + next(1) : next(kind === 2 ? 2 : 4);
    if (distance === 0 || distance > to || length > size - to) {
      throw fail(
        `expected a copy of ${length} bytes from ${distance} before, within ${to} of ${size}`,
        start,
      );
    }
    // byte by byte: where the distance is shorter than the length, what was just copied repeats
    for (let i = 0; i < length; i++, to++) result[to] = result[to - distance];
  }
  if (to < size) throw fail(`expected ${size} bytes of a Snappy block, got ${to}`, at);
  return result;
}
