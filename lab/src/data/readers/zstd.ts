/** Zstandard frames of a known length. */
import { decompressZstd } from "hyparquet-compressors";

const MAGIC = 0xfd2fb528;

/**
 * The `length` bytes of a frame. Throws Error for anything else; the length is compared with the frame's own before
 * memory is taken for it, where the frame has one.
 */
export function zstd(frame: Uint8Array, length: number): Uint8Array {
  if (length === 0) return new Uint8Array(0);
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  if (view.getUint32(0, true) !== MAGIC) throw broken();
  const flags = view.getUint8(4);
  const single = (flags >> 5) & 1;
  const at = 6 - single + [0, 1, 2, 4][flags & 3];
  const size = sizeAt(view, at, flags >> 6, single === 1);
  if (size !== undefined && size !== length) throw broken();
  const bytes = decompressZstd(frame, new Uint8Array(length));
  if (bytes.length !== length) throw broken();
  return bytes;
}

/** The length that a frame declares, if it does. */
function sizeAt(view: DataView, at: number, kind: number, single: boolean): number | undefined {
  if (kind === 0) return single ? view.getUint8(at) : undefined;
  if (kind === 1) return 256 + view.getUint16(at, true);
  return kind === 2 ? view.getUint32(at, true) : Number(view.getBigUint64(at, true));
}

const broken = () => new Error("its Zstandard data are damaged");
