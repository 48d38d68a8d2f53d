/**
 * LZ4 frames, as Arrow compresses its buffers: https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md. Blocks may
 * refer to those before them, which decoders of single blocks cannot follow, and lz4js runs on beyond its input.
 */

const MAGIC = 0x184d2204;

/** The `length` bytes of a frame; throws Error where it holds fewer, more, or something else. */
export function lz4(frame: Uint8Array, length: number): Uint8Array {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  if (view.getUint32(0, true) !== MAGIC) throw broken();
  const flags = view.getUint8(4);
  if (flags >> 6 !== 1) throw broken();
  // after the sizes come the content's size, a dictionary's number and a checksum
  let at = 6 + (flags & 8 ? 8 : 0) + (flags & 1 ? 4 : 0) + 1;
  const output = new Uint8Array(length);
  let done = 0;
  for (;;) {
    const size = view.getUint32(at, true);
    at += 4;
    if (size === 0) break;
    const end = at + (size & 0x7fffffff);
    if (end > frame.length) throw broken();
    const bytes = frame.subarray(at, end);
    if (size >>> 31) {
      if (done + bytes.length > length) throw broken();
      output.set(bytes, done);
      done += bytes.length;
    } else done = block(bytes, output, done);
    at = end + (flags & 16 ? 4 : 0);
  }
  if (done !== length) throw broken();
  return output;
}

/** Writes a block to `output` from `done` on, and gives where it ends. */
function block(bytes: Uint8Array, output: Uint8Array, start: number): number {
  let done = start;
  let at = 0;
  const lengthOf = (first: number) => {
    let length = first;
    if (first === 15) {
      let byte: number;
      do {
        if (at >= bytes.length) throw broken();
        byte = bytes[at++];
        length += byte;
      } while (byte === 255);
    }
    return length;
  };
  while (at < bytes.length) {
    const token = bytes[at++];
    const literals = lengthOf(token >> 4);
    if (at + literals > bytes.length || done + literals > output.length) throw broken();
    output.set(bytes.subarray(at, at + literals), done);
    at += literals;
    done += literals;
    if (at === bytes.length) return done;
    if (at + 2 > bytes.length) throw broken();
    const offset = bytes[at] | (bytes[at + 1] << 8);
    at += 2;
    const length = lengthOf(token & 15) + 4;
    if (offset === 0 || offset > done || done + length > output.length) throw broken();
    // a match may overlap what it makes
    for (const end = done + length; done < end; done++) output[done] = output[done - offset];
  }
  return done;
}

const broken = () => new Error("its LZ4 data are damaged");
