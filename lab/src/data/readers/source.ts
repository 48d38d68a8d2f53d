/** Where the bytes of a table come from (a file on disk, one that was dropped on a page, an answer of a server), and their text. */
import { count, quote } from "@evenkeel/report/format";
import { FailureError, UsageError } from "../../errors.js";
import type { Decision, ReadOptions } from "../table.js";
import { legacyEncoding } from "./legacy.js";

/** Bytes that can be read in pieces, from `start` up to `end`. */
export interface Source {
  /** As the user knows it. */
  name: string;
  byteLength: number;
  slice(start: number, end: number): Promise<ArrayBuffer>;
}

/** The text of a source, in pieces as often as it is asked for, so that no more of it need be in memory. */
export interface Text {
  pieces(): AsyncIterable<string>;
  /** How it was read, where that is not UTF-8. */
  decisions: Decision[];
}

/** Characters of the longest string of V8; other engines allow more. */
const MOST_TEXT = 2 ** 29 - 24;
/** Bytes that are decoded at a time. */
const PIECE = 2 ** 20;
/** Bytes by which binary data and UTF-16 are known. */
const HEAD = 2 ** 16;

/** Tabs, ends of lines and pages, escapes, the end of a file of DOS, and what separates the fields of some databases. */
const TEXT_CONTROLS = [0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x1b, 0x1a, 0x01, 0x1f];

/** The name without its folders. */
export const baseName = (name: string): string => name.replace(/^.*[/\\]/, "");

export async function bytesOf(source: Source): Promise<Uint8Array> {
  return new Uint8Array(await source.slice(0, source.byteLength));
}

/** The first bytes of a source, `most` at most. */
export async function headOf(source: Source, most = HEAD): Promise<Uint8Array> {
  return new Uint8Array(await source.slice(0, Math.min(most, source.byteLength)));
}

const TABLE = {
  text: "text (CSV, JSON, ARFF), Parquet, Arrow or a workbook (.xlsx)",
  remedy: "export it as .csv or .parquet",
};

/**
 * The text of a source, without its byte order mark: as `options.encoding` says, else by its mark, as UTF-16 where
 * every other byte is 0, as UTF-8, or else as `legacyEncoding` has it. Throws UsageError for an unknown encoding and for bytes that
 * are no text.
 */
export async function textOf(
  source: Source,
  { encoding }: Pick<ReadOptions, "encoding"> = {},
  wanted = TABLE,
): Promise<Text> {
  const file = baseName(source.name);
  const head = await headOf(source);
  if (isUtf32(head)) {
    throw new UsageError(
      `${file}: expected text in UTF-8, UTF-16 or an older encoding, got UTF-32; save it as UTF-8`,
    );
  }
  const marked = markOf(head);
  if (encoding !== undefined) {
    const { encoding: named } = decoderOf(encoding);
    // "utf-16" names one order of bytes, where people mean either
    const chosen = marked !== undefined && named.startsWith("utf-16") ? marked : named;
    return { pieces: () => decoded(source, chosen), decisions: [] };
  }
  const wide = marked ?? utf16Of(head);
  if (wide !== undefined) {
    const decisions = marked ? [] : [told(wide.toUpperCase(), "every other byte is 0")];
    return { pieces: () => decoded(source, wide), decisions };
  }
  if (!isText(head)) {
    throw new UsageError(
      `${file}: expected ${wanted.text}, got binary data of another format; ${wanted.remedy}`,
    );
  }
  const { sequences, faults } = await utf8Of(source);
  // a few broken characters in what is UTF-8 otherwise are no reason to misread all others
  if (faults === 0 || sequences > 20 * faults) {
    const decisions = faults === 0 ? [] : [told("UTF-8", `but for ${count(faults, "broken character")}`)];
    return { pieces: () => decoded(source, "utf-8"), decisions };
  }
  const legacy = legacyEncoding(await headOf(source, PIECE));
  return { pieces: () => decoded(source, legacy), decisions: [told(LEGACY[legacy], "it is not UTF-8")] };
}

const LEGACY: Record<ReturnType<typeof legacyEncoding>, string> = {
  "windows-1252": "Windows-1252",
  "windows-1251": "Windows-1251",
  shift_jis: "Shift_JIS",
  "euc-kr": "EUC-KR",
  gb18030: "GB18030",
};

const told = (encoding: string, why: string): Decision => ({
  columns: [],
  what: `read as ${encoding} text`,
  why,
  option: "--encoding NAME",
});

/** All of a text as one string. Throws UsageError where there is none, FailureError where it is too long for one. */
export async function wholeOf(text: Text, file: string): Promise<string> {
  const pieces: string[] = [];
  let length = 0;
  for await (const piece of text.pieces()) {
    length += piece.length;
    if (length > MOST_TEXT) {
      throw new FailureError(
        `${file}: expected at most ${Math.floor(MOST_TEXT / 1e6)} million characters in this format, got more; convert it to .csv or .parquet, or split it`,
      );
    }
    pieces.push(piece);
  }
  const whole = pieces.join("");
  if (!/\S/.test(whole)) throw new UsageError(`${file}: the file is empty; expected a table of data`);
  return whole;
}

/** The first characters of a text: `most`, or a little more, or all that there are. */
export async function startOf(text: Text, most: number): Promise<string> {
  let start = "";
  for await (const piece of text.pieces()) {
    start += piece;
    if (start.length >= most) break;
  }
  return start;
}

function decoderOf(label: string): TextDecoder {
  try {
    return new TextDecoder(label);
  } catch {
    throw new UsageError(
      `--encoding: expected the name of an encoding (utf-8, windows-1252, utf-16le, iso-8859-2, shift_jis, gb18030, …), got ${quote(label)}`,
    );
  }
}

async function* decoded(source: Source, encoding: string): AsyncGenerator<string> {
  const decoder = decoderOf(encoding);
  for (let start = 0; start < source.byteLength; start += PIECE) {
    const end = Math.min(start + PIECE, source.byteLength);
    const text = decoder.decode(await source.slice(start, end), { stream: end < source.byteLength });
    // the decoder takes one mark away, some programs write two
    const unmarked = start === 0 ? text.replace(/^\ufeff+/, "") : text;
    yield encoding === "windows-1252" ? withWindowsSigns(unmarked) : unmarked;
  }
}

// what Windows-1252 has from 0x80 to 0x9f; some versions of Node decode it as Latin-1, which has none of them
const WINDOWS_SIGNS = "€\x81‚ƒ„…†‡ˆ‰Š‹Œ\x8dŽ\x8f\x90‘’“”•–—˜™š›œ\x9džŸ";

function withWindowsSigns(text: string): string {
  return text.replace(/[\x80-\x9f]/g, (sign) => WINDOWS_SIGNS[sign.charCodeAt(0) - 0x80]);
}

function markOf(head: Uint8Array): string | undefined {
  if (head[0] === 0xff && head[1] === 0xfe) return "utf-16le";
  if (head[0] === 0xfe && head[1] === 0xff) return "utf-16be";
  return undefined;
}

/** By its mark, which begins with that of UTF-16, and by a second character that has the zeros of one too. */
function isUtf32(head: Uint8Array): boolean {
  const zeros = (...at: number[]) => at.every((index) => head[index] === 0);
  return (
    (markOf(head) === "utf-16le" && zeros(2, 3, 7)) ||
    (zeros(0, 1, 4) && head[2] === 0xfe && head[3] === 0xff)
  );
}

/** UTF-16 without a mark: the signs of a table (digits, commas, line ends) have a byte that is 0, all on one side. */
function utf16Of(head: Uint8Array): string | undefined {
  const zeros = [0, 0];
  for (const [index, byte] of head.entries()) if (byte === 0) zeros[index % 2]++;
  const [even, odd] = zeros;
  // a few zeros are no encoding
  if (Math.max(even, odd) < Math.max(head.length / 20, Math.min(3, head.length / 4))) return undefined;
  if (odd > 20 * even) return "utf-16le";
  return even > 20 * odd ? "utf-16be" : undefined;
}

/** Whether bytes may be text: UTF-16, or next to none of them is a control character that text has not. */
export function isText(head: Uint8Array): boolean {
  if (markOf(head) !== undefined || utf16Of(head) !== undefined) return true;
  const controls = head.filter((byte) => byte < 0x20 && !TEXT_CONTROLS.includes(byte)).length;
  return controls <= 2 + head.length / 200;
}

/** Characters of several bytes, and bytes that are none; a character that the end of the file cuts is neither. */
async function utf8Of(source: Source): Promise<{ sequences: number; faults: number }> {
  let sequences = 0;
  let faults = 0;
  let open = 0;
  for (let start = 0; start < source.byteLength; start += PIECE) {
    const bytes = new Uint8Array(await source.slice(start, Math.min(start + PIECE, source.byteLength)));
    for (let i = 0; i < bytes.length; i++) {
      const byte = bytes[i];
      if (byte < 0x80 && open === 0) continue;
      if (open > 0) {
        if ((byte & 0xc0) === 0x80) {
          open--;
          if (open === 0) sequences++;
          continue;
        }
        faults++;
        open = 0;
      }
      if (byte >= 0xc2 && byte <= 0xdf) open = 1;
      else if ((byte & 0xf0) === 0xe0) open = 2;
      else if (byte >= 0xf0 && byte <= 0xf4) open = 3;
      else if (byte >= 0x80) faults++;
    }
  }
  return { sequences, faults };
}
