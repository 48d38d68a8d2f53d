/**
 * HDF5's filters of chunks (specification, IV.A.2.l): deflate, shuffle, fletcher32, and LZF as h5py and PyTables register it. Others are
 * refused by name.
 */
import { inflate, viewOf } from "../zip.js";
import type { Fields } from "./fields.js";

export interface Filter {
  readonly id: number;
  readonly parameters: readonly number[];
}

const DEFLATE = 1;
const SHUFFLE = 2;
const FLETCHER32 = 3;
const LZF = 32000;
/** Those that are known by name only. */
const UNREAD = new Map([
  [4, "szip"],
  [5, "nbit"],
  [6, "scaleoffset"],
  [307, "bzip2"],
  [32001, "blosc"],
  [32004, "lz4"],
  [32008, "bitshuffle"],
  [32013, "zfp"],
  [32015, "zstd"],
  [32026, "blosc2"],
]);

/** In the order in which they were applied. */
export function filtersOf(fields: Fields | undefined): Filter[] {
  if (fields === undefined) return [];
  const version = fields.uint8();
  const count = fields.uint8();
  if (version === 1) fields.skip(6);
  return Array.from({ length: count }, () => {
    const id = fields.uint16();
    const nameLength = version === 1 || id >= 256 ? fields.uint16() : 0;
    const parameters = fields.skip(2).uint16();
    fields.skip(version === 1 ? Math.ceil(nameLength / 8) * 8 : nameLength);
    if (4 * parameters > fields.left) throw fields.fail(`expected ${parameters} parameters of a filter`);
    const values = Array.from({ length: parameters }, () => fields.uint32());
    if (version === 1 && parameters % 2 === 1) fields.skip(4);
    return { id, parameters: values };
  });
}

/** The name of the first filter that is not read. */
export function unreadFilter(filters: readonly Filter[]): string | undefined {
  const unread = filters.find(({ id }) => ![DEFLATE, SHUFFLE, FLETCHER32, LZF].includes(id));
  return unread && (UNREAD.get(unread.id) ?? String(unread.id));
}

type Fail = (problem: string) => Error;

/**
 * A chunk of `size` bytes as it was before its filters.
 * @param mask a bit for each filter that was left out
 * @param width bytes of an element
 */
export async function unfiltered(
  stored: Uint8Array,
  filters: readonly Filter[],
  mask: number,
  width: number,
  size: number,
  fail: Fail,
): Promise<Uint8Array> {
  const applied = filters.filter((_, i) => !(mask & (1 << i)));
  let bytes = stored;
  for (let i = applied.length - 1; i >= 0; i--) {
    const { id, parameters } = applied[i];
    // checksums below lengthen what this filter was given
    const sums = applied.slice(0, i).filter((below) => below.id === FLETCHER32).length;
    const expected = size + 4 * sums;
    if (id === DEFLATE) bytes = await inflate(bytes, expected, fail, "deflate");
    else if (id === LZF) bytes = unpackLzf(bytes, expected, fail);
    else if (id === SHUFFLE) bytes = unshuffled(bytes, parameters[0] || width);
    else bytes = checked(bytes, fail);
  }
  if (bytes.length !== size) throw fail(`expected a chunk of ${size} bytes, got ${bytes.length}`);
  return bytes;
}

/** Bytes of elements that lay plane by plane: all first bytes, all second bytes, .... */
function unshuffled(bytes: Uint8Array, size: number): Uint8Array {
  const count = Math.floor(bytes.length / size);
  if (count === 0) return bytes;
  // bytes that are no whole element stay at the end
  const result = bytes.slice();
  for (let part = 0; part < size; part++) {
    for (let i = 0; i < count; i++) result[i * size + part] = bytes[part * count + i];
  }
  return result;
}

/** Without the Fletcher checksum at its end, which is compared. */
function checked(bytes: Uint8Array, fail: Fail): Uint8Array {
  if (bytes.length < 4) throw fail("expected a checksum at the end of a chunk");
  const data = bytes.subarray(0, -4);
  let [low, high] = [0, 0];
  for (let i = 0; i < data.length; i += 2) {
    low = (low + (data[i] << 8) + (data[i + 1] ?? 0)) % 65535;
    high = (high + low) % 65535;
  }
  const sum = viewOf(bytes).getUint32(bytes.length - 4, true);
  // 65535 and 0 are one in this sum
  if ((sum % 65536) % 65535 !== low || (sum >>> 16) % 65535 !== high)
    throw fail("a chunk's checksum (Fletcher-32) differs");
  return data;
}

/** LZF of Marc Lehmann's LibLZF: runs of literals, and references to what came before. */
function unpackLzf(bytes: Uint8Array, size: number, fail: Fail): Uint8Array {
  const result = new Uint8Array(size);
  let to = 0;
  let at = 0;
  while (at < bytes.length) {
    const control = bytes[at++];
    if (control < 32) {
      const end = at + control + 1;
      if (end > bytes.length || to + control + 1 > size) throw fail("its LZF data is damaged");
      result.set(bytes.subarray(at, end), to);
      to += control + 1;
      at = end;
      continue;
    }
    let length = control >> 5;
    if (length === 7) length += bytes[at++];
    const from = to - ((control & 31) << 8) - bytes[at++] - 1;
    length += 2;
    if (!(from >= 0 && to + length <= size)) throw fail("its LZF data is damaged");
    // one by one: they may overlap
    for (let i = 0; i < length; i++) result[to + i] = result[from + i];
    to += length;
  }
  if (to !== size) throw fail(`expected ${size} bytes of LZF data, got ${to}`);
  return result;
}
