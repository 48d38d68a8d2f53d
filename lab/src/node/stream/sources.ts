/** Where records come from. */
import { createReadStream, statSync } from "node:fs";
import type { Readable } from "node:stream";
import { setTimeout as wait } from "node:timers/promises";
import { crc32 } from "node:zlib";
import { quote } from "@evenkeel/report/format";
import { FailureError, UsageError } from "../../errors.js";
import { systemReason } from "../whole-file.js";
import type { BytePosition } from "./cutter.js";
import { type Reading, RecordReader } from "./reader.js";
import { type Batch, type Layout, noRecords, type TroubleCounter } from "./records.js";

export interface Source {
  /** As it is told. */
  readonly name: string;
  /** Undefined before the first record. */
  readonly layout: Layout | undefined;
  /** At most so many records, none where there were none for a while; undefined at the end. Rejects with AbortError once it is to stop. */
  next(most: number): Promise<Batch | undefined>;
  /** Whether what was taken is to be saved now. */
  readonly urgent: boolean;
  /** Where it goes on after all that was taken: JSON. */
  position(): SourcePosition;
  /** What was taken is saved, and need not be given again. */
  settled(): Promise<void>;
  close(): Promise<void>;
}

/** How far into a stream of Redis a consumer is. */
export interface RedisPosition {
  /** First and last id of the batches that were taken last: what comes again from within them is known. */
  taken: [first: string, last: string][];
}

export type SourcePosition = BytePosition | RedisPosition;

/** Bytes of a file that are read at once. */
const CHUNK = 2 ** 18;
/** ms after which a source says that there is nothing yet, so that what was taken can be saved. */
export const QUIET = 1000;

/** Standard input for "-", or a file. @throws UsageError for what is no file */
export function openBytes(from: string): Readable {
  if (from === "-") {
    if (process.stdin.isTTY) {
      process.stderr.write("reads records from this terminal, one a line; Ctrl-D ends them\n");
    }
    return process.stdin;
  }
  const about = statSync(from, { throwIfNoEntry: false });
  if (about === undefined || about.isDirectory()) {
    throw new UsageError(
      `--from: ${quote(from, 200)} is ${about === undefined ? "not there" : "a folder"}; expected a file, - for standard input, or redis://host/0/stream`,
    );
  }
  return createReadStream(from, { highWaterMark: CHUNK });
}

/**
 * Records of bytes. Where it goes on, what was taken before is passed over, if it is the same.
 * @param goesOn whether the source goes on by itself where it was
 */
export function byteSource(
  from: string,
  asked: Reading,
  troubles: TroubleCounter,
  say: (line: string) => void,
  signal: AbortSignal,
  before: { position: BytePosition; layout: Layout | null } | undefined,
  goesOn: boolean,
): Source {
  const input = openBytes(from);
  const stop = () => input.destroy();
  signal.addEventListener("abort", stop, { once: true });
  const reader = new RecordReader(asked, troubles, say, before, goesOn);
  const name = from === "-" ? "standard input" : from;
  let passed = goesOn ? undefined : before?.position;
  const chunks = input[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  let hasEnded = false;
  let pending: Promise<IteratorResult<Buffer>> | undefined;
  const more = async (): Promise<Buffer | undefined> => {
    pending ??= chunks.next();
    try {
      const { done, value } = await pending;
      signal.throwIfAborted();
      return done ? undefined : value;
    } catch (error) {
      signal.throwIfAborted();
      throw new FailureError(`--from: cannot read ${quote(name, 200)} (${systemReason(error)})`);
    } finally {
      pending = undefined;
    }
  };
  /** Whether a piece comes in time. */
  const comes = async (): Promise<boolean> => {
    pending ??= chunks.next();
    const over = new AbortController();
    const late = wait(QUIET, false, { signal: over.signal }).catch(() => false);
    const there = pending.then(
      () => true,
      () => true,
    );
    const isThere = await Promise.race([there, late]);
    over.abort();
    return isThere;
  };
  /** What follows those bytes; they are read, to see that they are the same. */
  const passOver = async ({ bytes, crc }: BytePosition): Promise<Buffer | undefined> => {
    let seen = 0;
    let sum = 0;
    while (seen < bytes) {
      const chunk = await more();
      if (chunk === undefined) break;
      const part = chunk.subarray(0, bytes - seen);
      sum = crc32(part, sum);
      seen += part.length;
      if (seen === bytes && sum === crc) return chunk.subarray(part.length);
    }
    if (seen === bytes && sum === crc) return undefined;
    throw new FailureError(
      `--state: ${name} does not begin with the ${bytes.toLocaleString("en-US")} bytes that were read of it before${seen < bytes ? `, it has ${seen.toLocaleString("en-US")}` : ""}; give it again from its beginning, or take --goes-on where it goes on by itself`,
    );
  };
  return {
    name,
    get layout() {
      return reader.layout;
    },
    async next(most) {
      for (;;) {
        signal.throwIfAborted();
        if (passed !== undefined) {
          const rest = await passOver(passed);
          passed = undefined;
          if (rest !== undefined && rest.length > 0) reader.feed(rest);
        }
        const batch = reader.take(most);
        if (batch !== undefined) return batch;
        if (hasEnded) return undefined;
        if (!(await comes())) return noRecords();
        const chunk = await more();
        if (chunk !== undefined) reader.feed(chunk);
        else {
          hasEnded = true;
          reader.end();
        }
      }
    },
    urgent: false,
    position: () => reader.position,
    async settled() {},
    async close() {
      signal.removeEventListener("abort", stop);
      input.destroy();
    },
  };
}
