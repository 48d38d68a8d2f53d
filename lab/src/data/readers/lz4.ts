/**
 * LZ4 as Arrow has it, in frames (https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md), and as Parquet has it.
 * Blocks of a frame may refer to those before them, which decoders of single blocks cannot follow, and lz4js runs on
 * beyond its input.
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

/**
 * The `length` bytes of a page of Parquet: the blocks of Hadoop, each with its sizes before it, or one block alone, as
 * pandas and the first versions of Arrow write them under the same name. Throws Error as `lz4`.
 */
export function lz4Page(bytes: Uint8Array, length: number): Uint8Array {
  const output = new Uint8Array(length);
  let done = 0;
  for (const one of hadoopBlocks(bytes, length) ?? [bytes]) done = block(one, output, done);
  if (done !== length) throw broken();
  return output;
}

/** The blocks whose sizes make up all of `bytes`, and `length` once they are unpacked; undefined where there are none. */
function hadoopBlocks(bytes: Uint8Array, length: number): Uint8Array[] | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const blocks: Uint8Array[] = [];
  let unpacked = 0;
  for (let at = 0; at < bytes.length; ) {
    if (at + 8 > bytes.length) return undefined;
    unpacked += view.getUint32(at);
    const end = at + 8 + view.getUint32(at + 4);
    if (end > bytes.length) return undefined;
    blocks.push(bytes.subarray(at + 8, end));
    at = end;
  }
  return unpacked === length ? blocks : undefined;
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
