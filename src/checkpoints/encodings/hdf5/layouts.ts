/**
 * Where the values of an HDF5 dataset lie (specification, IV.A.2.i, versions 1 to 5): in its header, in a row, or in chunks that an index
 * lists. Virtual storage and unknown layouts are told by name, to be refused when values are read.
 */
import { sizeOf } from "../../../shape.js";
import type { Fields } from "./fields.js";

export type Layout =
  | { readonly kind: "compact"; readonly bytes: Uint8Array; readonly address: number }
  | { readonly kind: "contiguous"; readonly address?: number; readonly byteLength?: number }
  | ChunkedLayout
  | { readonly kind: "refused"; readonly what: string };

export interface ChunkedLayout {
  readonly kind: "chunked";
  readonly chunk: readonly number[];
  /** Of the index, or of the chunk or chunks themselves; undefined where none was written. */
  readonly address?: number;
  readonly index: ChunkIndex;
}

type ListingIndex = "B-tree 1" | "implicit" | "fixed array" | "extensible array" | "B-tree 2";

type ChunkIndex =
  | { readonly kind: ListingIndex }
  | { readonly kind: "single chunk"; readonly stored?: number; readonly mask: number };

export function layoutOf(fields: Fields, rank: number): Layout {
  const version = fields.uint8();
  if (version < 1 || version > 5) return { kind: "refused", what: `a layout of version ${version}` };
  const axes = version <= 2 ? fields.uint8() : 0;
  const kind = fields.uint8();
  if (version <= 2) {
    fields.skip(5);
    const address = kind === 0 ? undefined : fields.addressOrNone();
    const lengths = Array.from({ length: axes }, () => fields.uint32());
    if (kind === 0) return compact(fields, fields.uint32());
    if (kind === 1) return { kind: "contiguous", address };
    return chunked(fields, lengths.slice(0, rank), rank, address, { kind: "B-tree 1" });
  }
  if (kind === 0) return compact(fields, fields.uint16());
  if (kind === 1) return { kind: "contiguous", address: fields.addressOrNone(), byteLength: fields.length() };
  if (kind !== 2) return { kind: "refused", what: kind === 3 ? "virtual storage" : `layout ${kind}` };
  // the last axis of a chunk is an element's bytes
  if (version === 3) {
    const dimensions = fields.uint8();
    const address = fields.addressOrNone();
    const lengths = Array.from({ length: dimensions }, () => fields.uint32());
    return chunked(fields, lengths.slice(0, -1), rank, address, { kind: "B-tree 1" });
  }
  const flags = fields.uint8();
  const dimensions = fields.uint8();
  const width = fields.uint8();
  if (width < 1 || width > 8) throw fields.fail(`expected lengths of 1 to 8 bytes, got ${width}`);
  const chunk = Array.from({ length: dimensions }, () => fields.uint(width)).slice(0, -1);
  const type = fields.uint8();
  if (type === 1) {
    const filtered = (flags & 2) !== 0;
    const stored = filtered ? fields.length() : undefined;
    const mask = filtered ? fields.uint32() : 0;
    return chunked(fields, chunk, rank, fields.addressOrNone(), { kind: "single chunk", stored, mask });
  }
  const index = INDEXES.get(type);
  if (index === undefined) return { kind: "refused", what: `an index of chunks of type ${type}` };
  const address = fields.skip(index.parameters).addressOrNone();
  return chunked(fields, chunk, rank, address, { kind: index.kind });
}

/** By type; of each, bytes of parameters that its own header repeats. */
const INDEXES = new Map<number, { kind: ListingIndex; parameters: number }>([
  [2, { kind: "implicit", parameters: 0 }],
  [3, { kind: "fixed array", parameters: 1 }],
  [4, { kind: "extensible array", parameters: 5 }],
  [5, { kind: "B-tree 2", parameters: 6 }],
]);

function compact(fields: Fields, length: number): Layout {
  return { kind: "compact", address: fields.address + fields.at, bytes: fields.take(length) };
}

function chunked(
  fields: Fields,
  chunk: readonly number[],
  rank: number,
  address: number | undefined,
  index: ChunkIndex,
): Layout {
  if (chunk.length !== rank || chunk.some((length) => length < 1) || !Number.isSafeInteger(sizeOf(chunk))) {
    throw fields.fail(`expected a chunk of ${rank} axes, got [${chunk.join(", ")}]`);
  }
  return { kind: "chunked", chunk, address, index };
}
