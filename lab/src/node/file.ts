/** Files on disk as sources of bytes, read in ranges: never more of one in memory than is asked for. */
import { constants, type Stats } from "node:fs";
import { type FileHandle, open, stat } from "node:fs/promises";
import { printable } from "@evenkeel/report/format";
import { bytesOf, type Source } from "../data/readers/source.js";
import { unpack } from "../data/readers/unpack.js";
import { type ReadOptions, usualLimits } from "../data/table.js";
import { FailureError, reason, UsageError } from "../errors.js";

/** A file that is open until it is closed. */
export interface FileSource extends Source {
  close(): Promise<void>;
}

/** Most bytes of one call: Node reads at most 2 GB at a time. */
const PIECE = 2 ** 30;

/**
 * Opens the file at `path`. Throws UsageError for one that does not exist, is empty, larger than `limits.bytes` or no
 * regular file (none of which is read, and none waited for), FailureError for one that cannot be read; `slice` throws
 * FailureError for one that changes meanwhile.
 */
export async function openFile(
  path: string,
  { limits }: Pick<ReadOptions, "limits"> = {},
): Promise<FileSource> {
  const name = printable(path.length > 300 ? `${path.slice(0, 299)}…` : path);
  const most = limits?.bytes ?? usualLimits.bytes;
  return explained(name, async () => {
    // before it is opened: opening some devices does something
    checkKind(name, await stat(path));
    // what is a pipe by now would keep a plain open waiting for its writer
    const handle = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
    try {
      const before = await handle.stat();
      checkKind(name, before);
      if (before.size > most) {
        throw new UsageError(
          `${name}: expected at most ${megabytes(most)}, got ${megabytes(before.size)}; allow more with --max-bytes ${before.size}`,
        );
      }
      if (before.size === 0) {
        const { bytesRead } = await handle.read(new Uint8Array(1), 0, 1, 0);
        throw new UsageError(
          bytesRead === 0
            ? `${name}: the file is empty; expected a table of data`
            : `${name}: expected a file of known size, got one that its system writes while it is read; copy it (cat ${name} > copy.csv), and read the copy`,
        );
      }
      return {
        name: path,
        byteLength: before.size,
        slice: (start, end) => explained(name, () => readRange(handle, name, before, start, end)),
        close: () => handle.close(),
      };
    } catch (error) {
      await handle.close();
      throw error;
    }
  });
}

/** All bytes of the file at `path`, unpacked where it is packed; throws as `openFile` and `unpack`. */
export async function readBytes(path: string, options: ReadOptions = {}): Promise<Uint8Array> {
  const file = await openFile(path, options);
  try {
    return await bytesOf(await unpack(file, options));
  } finally {
    await file.close();
  }
}

async function readRange(
  handle: FileHandle,
  name: string,
  before: Stats,
  start: number,
  end: number,
): Promise<ArrayBuffer> {
  const from = Math.max(0, Math.min(start, before.size));
  const bytes = new Uint8Array(Math.max(0, Math.min(end, before.size) - from));
  let done = 0;
  while (done < bytes.length) {
    const { bytesRead } = await handle.read(bytes, done, Math.min(PIECE, bytes.length - done), from + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  const after = await handle.stat();
  if (done < bytes.length || after.size !== before.size || after.mtimeMs !== before.mtimeMs) {
    const size = done < bytes.length ? from + done : after.size;
    throw new FailureError(
      `${name}: the file changed while it was read (${before.size} bytes, then ${size}); wait until it is written, or read a copy`,
    );
  }
  return bytes.buffer;
}

function checkKind(name: string, stats: Stats): void {
  if (stats.isFile()) return;
  if (stats.isDirectory()) {
    throw new UsageError(`${name}: expected a file, got a folder; name a file in it`);
  }
  const kind = stats.isFIFO()
    ? "a pipe"
    : stats.isSocket()
      ? "a socket"
      : stats.isCharacterDevice() || stats.isBlockDevice()
        ? "a device"
        : "something else";
  throw new UsageError(
    `${name}: expected a file, got ${kind}; write its data to a file first, and name that`,
  );
}

async function explained<T>(name: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    switch (error instanceof Error && "code" in error ? error.code : undefined) {
      case undefined:
        throw error;
      case "ENOENT":
      case "ENOTDIR":
      case "ENAMETOOLONG":
        throw new UsageError(`${name}: there is no such file; check the path`);
      case "ELOOP":
        throw new UsageError(`${name}: its links lead in a circle; name the file itself`);
      case "EISDIR":
        throw new UsageError(`${name}: expected a file, got a folder; name a file in it`);
      case "EACCES":
      case "EPERM":
        throw new FailureError(`${name}: no permission to read it; allow it (chmod +r), or use a copy`);
      default:
        // Node's words have the path in them, whatever its length
        throw new FailureError(`${name}: could not be read: ${printable(reason(error).slice(0, 200))}`);
    }
  }
}

const megabytes = (bytes: number): string =>
  bytes < 1e6 ? `${bytes} bytes` : `${Math.ceil(bytes / 1e6).toLocaleString("en-US")} MB`;
