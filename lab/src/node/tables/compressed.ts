/** Compressed files that end too early: DuckDB takes the rows that are there, and says nothing. */
import { createReadStream } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { pipeline } from "node:stream/promises";
import { createGunzip } from "node:zlib";
import { quote } from "@evenkeel/report/format";
import { reason, UsageError } from "../../errors.js";
import { Stopped } from "./engine.js";

/**
 * Reads compressed files to their end: gzip with its checksum, Zstandard by the sizes of its blocks.
 * @throws UsageError for a file that is cut or damaged, Stopped
 */
export async function checkCompressed(files: readonly string[], signal: AbortSignal): Promise<void> {
  for (const file of files) {
    try {
      if (/\.gz$/i.test(file)) await pipeline(createReadStream(file), createGunzip(), drain, { signal });
      else if (/\.zst$/i.test(file)) await walkFrames(file);
    } catch (error) {
      if (signal.aborted) throw new Stopped();
      throw new UsageError(
        `standardize: ${quote(file, 200)} is cut short or damaged (${reason(error)}); fetch or write it anew`,
      );
    }
  }
}

async function drain(chunks: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of chunks);
}

const FRAME = 0xfd2fb528;
/** Its last four bits are free. */
const SKIPPABLE = 0x184d2a50;
const REPEATED = 1;

/** Zstandard, RFC 8878: frames of blocks that say how long they are. */
async function walkFrames(path: string): Promise<void> {
  const file = await open(path);
  try {
    const { size } = await file.stat();
    let at = 0;
    while (at < size) at = await frameEnd(file, at);
    if (at > size) throw new Error("unexpected end of file");
  } finally {
    await file.close();
  }
}

async function frameEnd(file: FileHandle, start: number): Promise<number> {
  const number = async (at: number, length: number): Promise<number> => {
    const { bytesRead, buffer } = await file.read(Buffer.alloc(length), 0, length, at);
    if (bytesRead < length) throw new Error("unexpected end of file");
    return buffer.readUIntLE(0, length);
  };
  const magic = await number(start, 4);
  if (magic >>> 4 === SKIPPABLE >>> 4) return start + 8 + (await number(start + 4, 4));
  if (magic !== FRAME) throw new Error("not a Zstandard frame");
  const about = await number(start + 4, 1);
  const single = (about >> 5) & 1;
  const sizeBytes = [single, 2, 4, 8][about >> 6];
  const dictionaryBytes = [0, 1, 2, 4][about & 3];
  let at = start + 5 + (1 - single) + dictionaryBytes + sizeBytes;
  for (let last = false; !last; ) {
    const block = await number(at, 3);
    last = (block & 1) === 1;
    at += 3 + (((block >> 1) & 3) === REPEATED ? 1 : block >>> 3);
  }
  const checksumBytes = ((about >> 2) & 1) * 4;
  return at + checksumBytes;
}
