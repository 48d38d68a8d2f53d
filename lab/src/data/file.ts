/** Reading a whole file, compressed or not, with a clear word about what stood in the way. */
import { constants } from "node:buffer";
import { readFile } from "node:fs/promises";
import { promisify } from "node:util";
import { gunzip } from "node:zlib";
import { FailureError, UsageError } from "../errors.js";

const unzip = promisify(gunzip);

function errorCode(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}

/** What an error says of itself. */
export function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/**
 * The bytes of a file, decompressed where its name ends in `.gz`. Throws UsageError for what is not there,
 * is a folder or is empty, FailureError for what cannot be read.
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
        `${path}: expected gzip-compressed data, got something else (${reason(error)}); fetch it again, or take the .gz off its name`,
      );
    }
  }
  if (bytes.length === 0) throw new UsageError(`${path}: the file is empty; expected a table of data`);
  return bytes;
}

/** The UTF-8 text of a file, without its byte order mark; throws as `readBytes`, and FailureError for any other text. */
export async function readText(path: string): Promise<string> {
  const bytes = await readBytes(path);
  if (bytes.length > constants.MAX_STRING_LENGTH) {
    throw new FailureError(
      `${path}: expected at most ${Math.floor(constants.MAX_STRING_LENGTH / 1e6)} MB of text, got ${Math.ceil(bytes.length / 1e6)} MB; split it, or convert it to .parquet`,
    );
  }
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new FailureError(
      `${path}: expected UTF-8 text, got other bytes; save it as UTF-8 (iconv -f latin1 -t utf-8, for example)`,
    );
  }
  if (!/\S/.test(text)) throw new UsageError(`${path}: the file is empty; expected a table of data`);
  return text;
}
