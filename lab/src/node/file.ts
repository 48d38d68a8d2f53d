/** Files on disk, compressed or not, as sources of tables. */
import { readFile } from "node:fs/promises";
import { promisify } from "node:util";
import { gunzip } from "node:zlib";
import type { Table } from "../data/column.js";
import { readerOf } from "../data/readers/registry.js";
import type { Source } from "../data/readers/source.js";
import { FailureError, reason, UsageError } from "../errors.js";

const unzip = promisify(gunzip);

function errorCode(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}

/** Reads the table in the file at `path`; throws as `readerOf`, its reader and `readBytes`. */
export async function readTable(path: string): Promise<Table> {
  const read = readerOf(path);
  return read(await openFile(path));
}

/** The file at `path`, decompressed where its name ends in `.gz`; throws as `readBytes`. */
export async function openFile(path: string): Promise<Source> {
  const bytes = await readBytes(path);
  return {
    name: path,
    byteLength: bytes.byteLength,
    slice: async (start, end) => new Uint8Array(bytes.subarray(start, end)).buffer,
  };
}

/**
 * The bytes of a file, decompressed where its name ends in `.gz`. Throws UsageError for one that does not exist, is a
 * folder or is empty, FailureError for one that cannot be read.
 */
export async function readBytes(path: string): Promise<Uint8Array> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path);
  } catch (error) {
    switch (errorCode(error)) {
      case "ENOENT":
      case "ENOTDIR":
        throw new UsageError(`${path}: there is no such file; check the path`);
      case "EISDIR":
        throw new UsageError(`${path}: expected a file, got a folder; name a file in it`);
      case "EACCES":
      case "EPERM":
        throw new FailureError(`${path}: no permission to read it; allow it (chmod +r), or use a copy`);
      default:
        throw new FailureError(`${path}: could not be read: ${reason(error)}`);
    }
  }
  if (/\.gz$/i.test(path) && bytes.length > 0) {
    try {
      bytes = await unzip(bytes);
    } catch (error) {
      if (errorCode(error) === "Z_BUF_ERROR") {
        throw new FailureError(
          `${path}: the compressed data ends too early, the file is truncated; fetch or write it again`,
        );
      }
      throw new FailureError(
        `${path}: expected gzip-compressed data, got something else (${reason(error)}); fetch it again, or remove .gz from its name`,
      );
    }
  }
  if (bytes.length === 0) throw new UsageError(`${path}: the file is empty; expected a table of data`);
  return bytes;
}
