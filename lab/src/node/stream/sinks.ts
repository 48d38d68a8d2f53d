/** Where predictions go. */
import { constants, fstatSync, type promises } from "node:fs";
import { open } from "node:fs/promises";
import { quote } from "@evenkeel/report/format";
import { FailureError, UsageError } from "../../errors.js";
import { systemReason } from "../whole-file.js";
import { csvHeader, csvOf, ndjsonOf, type Predicted, type TextFormat } from "./predicted.js";

export interface Sink {
  /** As it is told. */
  readonly name: string;
  /** Resolves when whoever reads has taken it, or what stands between has room for more. @throws ReaderGone, FailureError */
  write(predicted: Predicted): Promise<void>;
  /** Resolves when nothing that was written can be lost by this machine; where it ends, if that can be gone back to. */
  sync(): Promise<SinkPosition | null>;
  close(): Promise<void>;
}

export interface SinkPosition {
  bytes: number;
}

/** Whoever read the output has stopped: no fault. */
export class ReaderGone extends Error {}

const textOf = (format: TextFormat, predicted: Predicted, isFirst: boolean): string =>
  format === "ndjson" ? ndjsonOf(predicted) : (isFirst ? csvHeader(predicted) : "") + csvOf(predicted);

/** Standard output: as fast as it is read. */
export function standardOutput(format: () => TextFormat): Sink {
  let isFirst = true;
  return {
    name: "standard output",
    async write(predicted) {
      const text = textOf(format(), predicted, isFirst);
      isFirst = false;
      await new Promise<void>((resolve, reject) => {
        process.stdout.write(text, (error) => {
          // told by outliveReaders, where it is worth it
          if (error) reject(new ReaderGone());
          else resolve();
        });
      });
    },
    sync: async () => null,
    async close() {},
  };
}

/**
 * A file, written on from where it was at the position; what lies behind it, of records that are to come again, is cut off.
 * @throws UsageError where there is something in it that is not this stream's, FailureError where it cannot be written
 */
export async function openFileSink(
  path: string,
  format: () => TextFormat,
  position: SinkPosition | undefined,
): Promise<Sink> {
  const fail = (error: unknown): never => {
    throw new FailureError(
      `--out: cannot write ${quote(path, 200)} (${systemReason(error)}); free space, allow it, or name another file`,
    );
  };
  let file: promises.FileHandle;
  try {
    const { O_RDWR, O_CREAT } = constants;
    file = await open(path, position === undefined ? O_RDWR | O_CREAT : O_RDWR);
  } catch (error) {
    return fail(error);
  }
  const refuse = async (problem: string): Promise<never> => {
    await file.close();
    throw new UsageError(`--out: ${quote(path, 200)} ${problem}`);
  };
  const about = fstatSync(file.fd);
  const { size } = about;
  if (!about.isFile()) return refuse("is no file; name a file, or leave --out away for standard output");
  if (position === undefined && size > 0) {
    return refuse("is there already, and is not overwritten; name another file, or move it away");
  }
  let end = position?.bytes ?? 0;
  if (size < end) {
    return refuse(
      `has ${size.toLocaleString("en-US")} bytes, fewer than the ${end.toLocaleString("en-US")} that were written; put it back, or begin anew without the state`,
    );
  }
  await file.truncate(end).catch(fail);
  return {
    name: path,
    async write(predicted) {
      const bytes = Buffer.from(textOf(format(), predicted, end === 0));
      for (let at = 0; at < bytes.length; ) {
        const { bytesWritten } = await file.write(bytes, at, bytes.length - at, end).catch(fail);
        at += bytesWritten;
        end += bytesWritten;
      }
    },
    async sync() {
      await file.datasync().catch(fail);
      return { bytes: end };
    },
    close: () => file.close(),
  };
}
