/** Packed files: gzip, and zip archives with a table in them, known by their first bytes and whatever they are named. */
import { quote } from "@evenkeel/report/format";
import { closest } from "fastest-levenshtein";
import { UsageError } from "../../errors.js";
import { type ReadOptions, usualLimits } from "../table.js";
import { baseName, headOf, type Source } from "./source.js";
import { contentOf, gunzipped, type Member, membersOf, type Pieces } from "./zip.js";

/** Packed within packed, as an archive of `.csv.gz` files, and the table at last: more levels than any file of data has. */
const LEVELS = 4;

const GZIP = [0x1f, 0x8b];
const ZIPS = [
  [0x50, 0x4b, 3, 4],
  [0x50, 0x4b, 5, 6],
  [0x50, 0x4b, 7, 8],
];

/** Characters of the names of members in a message. */
const MOST_SHOWN = 300;

/** How the names of tables end; text that may be a table, or about one, counts where there is no other. */
const TABLES = /\.(csv|tsv|tab|data|arff|json|ndjson|jsonl|parquet|pq|arrow|feather|ipc|xlsx)(\.gz)?$/i;
const TEXTS = /\.(txt|dat|asc|test|train)(\.gz)?$/i;

/**
 * What is packed in a source, or the source itself where nothing is; a workbook stays packed. Its name is without
 * `.gz`, or the archive's with the member's after it. Throws UsageError for what is not read, with the remedy, for
 * more than `limits.bytes`, and for an archive of several tables without `member`; FailureError for damaged data.
 */
export async function unpack(source: Source, options: ReadOptions): Promise<Source> {
  const most = options.limits?.bytes ?? usualLimits.bytes;
  let unpacked = source;
  for (let level = 0; level < LEVELS; level++) {
    const file = baseName(unpacked.name);
    const head = await headOf(unpacked, 4);
    let pieces: Pieces;
    let name: string;
    if (startsWith(head, GZIP)) {
      pieces = await gunzipped(unpacked, file, most);
      name = unpacked.name.replace(/\.tgz$/i, ".tar").replace(/\.gz$/i, "");
    } else if (ZIPS.some((start) => startsWith(head, start))) {
      const members = await membersOf(unpacked, file);
      if (isDocument(members, file)) return unpacked;
      const member = chosen(members, file, options.member);
      pieces = await contentOf(unpacked, `${file}, ${quote(member.name)}`, member, most);
      name = `${unpacked.name}/${baseName(member.name)}`;
    } else {
      return unpacked;
    }
    if (pieces.byteLength === 0) {
      throw new UsageError(`${file}: the file is empty; expected a table of data`);
    }
    unpacked = sourceOf(name, pieces);
  }
  throw new UsageError(
    `${baseName(source.name)}: expected a table, got an archive in an archive in an archive; unpack it, and name the table in it`,
  );
}

const startsWith = (head: Uint8Array, start: readonly number[]): boolean =>
  start.every((byte, index) => head[index] === byte);

/** Whether an archive is a workbook; throws UsageError for the documents that are not read. */
function isDocument(members: readonly Member[], file: string): boolean {
  const has = (name: string) => members.some((member) => member.name === name);
  if (has("xl/workbook.xml")) return true;
  const what = has("xl/workbook.bin")
    ? "a binary Excel workbook (.xlsb)"
    : has("mimetype") && has("content.xml")
      ? "an OpenDocument file"
      : has("word/document.xml")
        ? "a Word document"
        : undefined;
  if (what !== undefined) {
    throw new UsageError(`${file}: expected a table, got ${what}; save the table as .xlsx or .csv`);
  }
  return false;
}

/** The member that `--member` names, or else the only one that can be a table. */
function chosen(members: readonly Member[], file: string, wanted: string | undefined): Member {
  const files = members.filter(
    ({ name }) => !/[/\\]$/.test(name) && !/(^|\/)(__MACOSX\/|\.)/.test(name) && name !== "",
  );
  if (files.length === 0) {
    throw new UsageError(`${file}: the archive is empty; expected a table in it`);
  }
  const names = files.map(({ name }) => name);
  if (wanted !== undefined) {
    const named = files.filter(({ name }) => name === wanted);
    const [found, ...others] =
      named.length > 0 ? named : files.filter(({ name }) => baseName(name) === wanted);
    if (found === undefined) {
      throw new UsageError(
        `--member: ${file} has no ${quote(wanted)}; did you mean ${quote(closest(wanted, names))}? It has ${listOf(names)}`,
      );
    }
    if (others.length > 0) {
      throw new UsageError(
        `--member: ${file} has several ${quote(wanted)}; name one with its folder: ${listOf([found, ...others].map(({ name }) => name))}`,
      );
    }
    return found;
  }
  const kinds = [
    files.filter(({ name }) => TABLES.test(name)),
    files.filter(({ name }) => TEXTS.test(name)),
    files,
  ];
  const candidates = kinds.find((kind) => kind.length > 0) ?? files;
  if (candidates.length === 1) return candidates[0];
  throw new UsageError(
    `${file}: expected an archive with one table in it, got ${candidates.length.toLocaleString("en-US")}; choose with --member: ${listOf(candidates.map(({ name }) => name))}`,
  );
}

/** Names in quotes, the first ten of them, or fewer long ones. */
function listOf(names: readonly string[]): string {
  const shown: string[] = [];
  let length = 0;
  for (const name of names.slice(0, 10)) {
    const quoted = quote(name);
    length += quoted.length;
    if (length > MOST_SHOWN) break;
    shown.push(quoted);
  }
  const more = names.length - shown.length;
  return shown.join(", ") + (more > 0 ? ` and ${more.toLocaleString("en-US")} more` : "");
}

/** A source in memory; the pieces become one when all of it is asked for, so that it is not held twice from then on. */
function sourceOf(name: string, pieces: Pieces): Source {
  let { parts } = pieces;
  return {
    name,
    byteLength: pieces.byteLength,
    async slice(start, end) {
      const from = Math.max(0, start);
      const to = Math.max(from, Math.min(end, pieces.byteLength));
      const bytes = new Uint8Array(to - from);
      let at = 0;
      for (const part of parts) {
        if (at >= to) break;
        if (at + part.length > from) {
          bytes.set(part.subarray(Math.max(0, from - at), to - at), Math.max(0, at - from));
        }
        at += part.length;
      }
      if (bytes.length === pieces.byteLength) parts = [bytes];
      return bytes.buffer;
    },
  };
}
