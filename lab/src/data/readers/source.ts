/** Where the bytes of a table come from: a file on disk, one that was dropped on a page, an answer of a server. */
import { FailureError, UsageError } from "../../errors.js";

/** Bytes that can be read in pieces, from `start` up to `end`. */
export interface Source {
  /** As the user knows it; its ending says the format. */
  name: string;
  byteLength: number;
  slice(start: number, end: number): Promise<ArrayBuffer>;
}

/** Characters of the longest string of V8; other engines allow more. */
const MOST_TEXT = 2 ** 29 - 24;

/** The name without its folders. */
export const baseName = (name: string): string => name.replace(/^.*[/\\]/, "");

export async function bytesOf(source: Source): Promise<Uint8Array> {
  return new Uint8Array(await source.slice(0, source.byteLength));
}

/** The UTF-8 text of a source, without its byte order mark. Throws UsageError where it is empty, FailureError for any other text. */
export async function textOf(source: Source): Promise<string> {
  const { name, byteLength } = source;
  if (byteLength > MOST_TEXT) {
    throw new FailureError(
      `${name}: expected at most ${Math.floor(MOST_TEXT / 1e6)} MB of text, got ${Math.ceil(byteLength / 1e6)} MB; split it, or convert it to .parquet`,
    );
  }
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(await bytesOf(source));
  } catch {
    throw new FailureError(
      `${name}: expected UTF-8 text, got other bytes; save it as UTF-8 (iconv -f latin1 -t utf-8, for example)`,
    );
  }
  if (!/\S/.test(text)) throw new UsageError(`${name}: the file is empty; expected a table of data`);
  return text;
}
