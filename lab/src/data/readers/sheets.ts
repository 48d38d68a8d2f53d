/** The sheets of an Excel workbook (.xlsx): their cells, of formulas the values, and which of them are merged or hidden. */
import { quote } from "@evenkeel/report/format";
import { zipSync } from "fflate";
import readWorkbookFile from "read-excel-file/universal";
import { FailureError, UsageError } from "../../errors.js";
import type { Limits } from "../table.js";
import { baseName, type Source } from "./source.js";
import { whyOf } from "./stored.js";
import { contentOf, membersOf } from "./zip.js";

export type Cell = string | number | boolean | Date | null;

/** Cells that are shown as one, by their rows and columns from 0; the first of them has the value. */
export interface Merged {
  top: number;
  bottom: number;
  left: number;
  right: number;
}

export interface Sheet {
  name: string;
  /** [rows][columns] */
  rows: Cell[][];
  merged: Merged[];
  hidden: boolean;
}

/** A sheet's text must fit into a string. */
const MOST_BYTES = 2 ** 29;
/** The library reads a longer text or tag again and again; of a cell there are at most 32,767 characters. */
const MOST_PIECE = 2 ** 20;
const MOST_ROWS = 2 ** 20;
const MOST_COLUMNS = 2 ** 14;

/** The sheets with cells, in their order. Throws UsageError above a limit, FailureError for what is no whole workbook. */
export async function sheetsOf(source: Source, file: string, limits: Limits): Promise<Sheet[]> {
  try {
    const { archive, members, merged } = await unpacked(source, file, limits);
    const about = sheetsIn(members);
    const sheets = await readWorkbookFile(archive);
    return sheets.flatMap(({ sheet, data }, index): Sheet[] => {
      // a sheet that is a chart has none
      if (!Array.isArray(data)) return [];
      const { member = "", hidden = false } = about[index] ?? {};
      return [{ name: sheet, rows: data as unknown as Cell[][], merged: merged.get(member) ?? [], hidden }];
    });
  } catch (error) {
    if (error instanceof UsageError || error instanceof FailureError) throw error;
    throw new FailureError(
      `${file}: not a complete Excel workbook (${whyOf(error)}); save it again, or as .csv`,
    );
  }
}

/**
 * A workbook's text as an archive without compression: what has been inflated and counted is not inflated again, by
 * what its archive declares.
 */
async function unpacked(
  source: Source,
  file: string,
  limits: Limits,
): Promise<{ archive: ArrayBuffer; members: Record<string, Uint8Array>; merged: Map<string, Merged[]> }> {
  let left = Math.min(limits.bytes, MOST_BYTES);
  const members: Record<string, Uint8Array> = {};
  const merged = new Map<string, Merged[]>();
  for (const member of await membersOf(source, file)) {
    if (!/\.(xml|rels)$/.test(member.name)) continue;
    const { parts, byteLength } = await contentOf(source, `${file}, ${quote(member.name)}`, member, left);
    left -= byteLength;
    const bytes = new Uint8Array(byteLength);
    let at = 0;
    for (const part of parts) {
      bytes.set(part, at);
      at += part.length;
    }
    const text = new TextDecoder().decode(bytes);
    if (longestPiece(text) > MOST_PIECE) throw new Error("a text or tag of a million characters");
    merged.set(member.name, mergedIn(text, `${file}, ${quote(baseName(member.name))}`, limits));
    members[member.name] = text.includes('t="d"') ? new TextEncoder().encode(withZones(text)) : bytes;
  }
  return { archive: zipSync(members, { level: 0 }).buffer as ArrayBuffer, members, merged };
}

/** A sheet's dates in ISO 8601, as a strict workbook has them: of no zone, where the library takes them for local ones. */
const withZones = (text: string): string =>
  text.replace(
    /(\st="d"[^<>]{0,99}>\s{0,9}<v>)(\d{4}-\d\d-\d\d)?T?(\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?)?(?=<)/g,
    (_, start, day = "1899-12-30", time = "00:00") => `${start}${day}T${time}Z`,
  );

/** Characters between two signs that open, or close, a tag. */
function longestPiece(text: string): number {
  let longest = 0;
  for (const sign of "<>") {
    for (let from = 0; from < text.length; ) {
      const found = text.indexOf(sign, from);
      const end = found < 0 ? text.length : found;
      longest = Math.max(longest, end - from);
      from = end + 1;
    }
  }
  return longest;
}

/** In which member each sheet is, in their order, and whether it is shown. */
function sheetsIn(members: Record<string, Uint8Array>): { member: string; hidden: boolean }[] {
  const elements = (member: string, name: string) =>
    [...tagsOf(new TextDecoder().decode(members[member]))].filter((tag) => nameOf(tag) === name);
  const targets = new Map<string, string>();
  for (const tag of elements("xl/_rels/workbook.xml.rels", "Relationship")) {
    const target = attributeOf(tag, "Target") ?? "";
    targets.set(attributeOf(tag, "Id") ?? "", target.startsWith("/") ? target.slice(1) : `xl/${target}`);
  }
  return elements("xl/workbook.xml", "sheet").map((tag) => ({
    member: targets.get(attributeOf(tag, "id") ?? "") ?? "",
    hidden: /hidden/i.test(attributeOf(tag, "state") ?? ""),
  }));
}

/** The name of a tag, without the prefix of a namespace. */
const nameOf = (tag: string): string | undefined => /^<(?:[\w.-]{1,40}:)?([\w.-]{1,40})/.exec(tag)?.[1];

/** The value of an attribute, with or without a prefix. */
const attributeOf = (tag: string, name: string): string | undefined =>
  new RegExp(`[\\s:]${name}\\s{0,9}=\\s{0,9}["']([^"'<]{0,300})`).exec(tag)?.[1];

/**
 * The merged cells of a sheet. Throws where cells are so far apart that the empty ones between them would fill the
 * memory. All that looks like a place counts, in whatever tag: the library takes any letter for a column, and any
 * number for a row.
 */
function mergedIn(text: string, file: string, { cells }: Limits): Merged[] {
  // whatever its name is: another member says which are sheets
  if (!text.includes("sheetData")) return [];
  const areMerged = text.includes("mergeCell");
  const merged: Merged[] = [];
  let rows = 0;
  let columns = 0;
  for (const tag of tagsOf(text)) {
    const range = areMerged && nameOf(tag) === "mergeCell" ? attributeOf(tag, "ref") : undefined;
    const [, left, top, right, bottom] =
      /^([A-Z]{1,3})(\d{1,7}):([A-Z]{1,3})(\d{1,7})$/.exec(range ?? "") ?? [];
    if (left !== undefined) {
      merged.push({
        top: Number(top) - 1,
        bottom: Number(bottom) - 1,
        left: columnOf(left) - 1,
        right: columnOf(right) - 1,
      });
    }
    // with or without the prefix of a namespace, which is no place where it is declared
    for (const [, place] of tag.matchAll(/(?<![\w.-]|xmlns:)r\s*=\s*["']([^"'<]{0,12})/g)) {
      const [, letters, digits] = /^([A-Z]{0,3})(\d{1,7})$/.exec(place) ?? [];
      rows = Math.max(rows, Number(digits ?? Number.POSITIVE_INFINITY));
      columns = Math.max(columns, columnOf(letters ?? ""));
    }
  }
  if (rows > MOST_ROWS || columns > MOST_COLUMNS) {
    throw new FailureError(
      `${file}: expected cells from A1 to XFD1048576, got others; save the workbook again`,
    );
  }
  if (rows * columns > cells) {
    throw new UsageError(
      `${file}: expected at most ${cells.toLocaleString("en-US")} cells, got ${rows.toLocaleString("en-US")} rows of ${columns.toLocaleString("en-US")} columns; remove cells that are far from the table, or save it as .csv`,
    );
  }
  return merged;
}

/** A column's number, from 1; 0 for none. */
function columnOf(letters: string): number {
  let column = 0;
  for (const letter of letters) column = 26 * column + letter.charCodeAt(0) - 64;
  return column;
}

/** The tags of a text of XML, without what is commented out. */
function* tagsOf(text: string): Generator<string> {
  for (let at = text.indexOf("<"); at >= 0; at = text.indexOf("<", at)) {
    const start = at;
    const [, close] = UNPARSED.find(([open]) => text.startsWith(open, start)) ?? [];
    if (close !== undefined) {
      at = text.indexOf(close, at);
      if (at < 0) return;
      continue;
    }
    // a quoted > ends no tag
    while (at < text.length && text[at] !== ">") {
      const end = text[at] === '"' || text[at] === "'" ? text.indexOf(text[at], at + 1) : at;
      at = Math.max(at, end) + 1;
    }
    yield text.slice(start, at);
  }
}

const UNPARSED: readonly [open: string, close: string][] = [
  ["<!--", "-->"],
  ["<![CDATA[", "]]>"],
  ["<?", "?>"],
];
