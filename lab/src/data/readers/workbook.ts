/** Excel workbooks (.xlsx): the first sheet with data, or the one that `--member` names; of formulas their values. */
import { quote } from "@evenkeel/report/format";
import { closest } from "fastest-levenshtein";
import { zipSync } from "fflate";
import readWorkbookFile from "read-excel-file/universal";
import { FailureError, UsageError } from "../../errors.js";
import { type Decision, type Limits, type RawTable, type ReadOptions, usualLimits } from "../table.js";
import { tableOfColumns } from "./records.js";
import { drawn } from "./sample.js";
import { checkSize } from "./size.js";
import { baseName, type Source } from "./source.js";
import { DAY, whyOf } from "./stored.js";
import { contentOf, membersOf } from "./zip.js";

/** A sheet's text must fit into a string. */
const MOST_BYTES = 2 ** 29;
const MOST_ROWS = 2 ** 20;
const MOST_COLUMNS = 2 ** 14;
/** What has a time and no date is of this day. */
const NO_DAY = Date.UTC(1899, 11, 30);

/** What a formula gives where it has no value. */
const ERROR = /^#(N\/A|DIV\/0!|VALUE!|REF!|NAME\?|NUM!|NULL!|SPILL!|CALC!|FIELD!|GETTING_DATA)$/;

type Cell = string | number | boolean | Date | null;
interface Sheet {
  name: string;
  rows: Cell[][];
}

/**
 * The columns of a workbook's sheet; `file` is its name in messages. The first row names them unless it has numbers
 * alone; a title above the table, empty rows and empty columns are left out. Throws UsageError above a limit and where
 * there is no data, FailureError for what is no whole workbook.
 */
export async function readWorkbook(source: Source, file: string, options: ReadOptions): Promise<RawTable> {
  const limits = { ...usualLimits, ...options.limits };
  const sheets = await sheetsOf(source, file, limits);
  const { sheet, decisions } = chosen(sheets, file, options.member);
  const columns = [...(sheet.rows[0]?.keys() ?? [])].filter((column) =>
    sheet.rows.some((row) => row[column] !== null),
  );
  const filled = sheet.rows
    .map((row) => columns.map((column) => row[column] ?? null))
    .filter((row) => row.some((cell) => cell !== null));
  const title = filled.findIndex((row) => row.filter((cell) => cell !== null).length > 1);
  if (title > 0 && columns.length > 1) {
    decisions.push({
      columns: [],
      what: title === 1 ? "the first row left out" : `the first ${title} rows left out`,
      why: "they have one cell, and are no part of the table",
    });
    filled.splice(0, title);
  }
  const [first] = filled;
  const named = options.header ?? !first.every((cell) => typeof cell === "number");
  const rows = named ? filled.slice(1) : filled;
  const rowCount = rows.length;
  checkSize(file, rowCount, Math.min(rowCount, options.sample ?? rowCount), columns.length, limits);
  const kept = drawn(rowCount, options.sample);
  const table = tableOfColumns(
    columns.map((_, column) => {
      const values = (kept ? Array.from(kept, (row) => rows[row]) : rows).map((row) => cellOf(row[column]));
      return { name: named ? nameOf(first[column]) : "", values: timesOf(values) };
    }),
    kept?.length ?? rowCount,
    file,
    limits,
  );
  return {
    ...table,
    rowCount,
    ...(kept && { rowNumbers: kept.map((row) => row + 1) }),
    decisions: [...decisions, ...table.decisions],
  };
}

function cellOf(cell: Cell): Cell {
  // days are fractions: what is a millisecond short of a second was rounded down
  if (cell instanceof Date) return (cell.getTime() + 1) % 1000 === 0 ? new Date(cell.getTime() + 1) : cell;
  return typeof cell === "string" && ERROR.test(cell) ? null : cell;
}

function nameOf(cell: Cell): string {
  return cell === null ? "" : cell instanceof Date ? cell.toISOString().slice(0, 10) : String(cell);
}

/** Times of a day in seconds, where a column has no dates. */
function timesOf(values: Cell[]): Cell[] {
  const isTime = (cell: Cell) =>
    cell instanceof Date && cell.getTime() >= NO_DAY && cell.getTime() < NO_DAY + DAY;
  const times = values.some(isTime) && values.every((cell) => cell === null || isTime(cell));
  return times
    ? values.map((cell) => (cell instanceof Date ? (cell.getTime() - NO_DAY) / 1000 : cell))
    : values;
}

/** The sheet to read, and what was decided about it. */
function chosen(
  sheets: readonly Sheet[],
  file: string,
  wanted?: string,
): { sheet: Sheet; decisions: Decision[] } {
  const names = sheets.map(({ name }) => name);
  const listOf = (some: readonly string[]) =>
    some
      .slice(0, 10)
      .map((name) => quote(name))
      .join(", ") + (some.length > 10 ? ` and ${some.length - 10} more` : "");
  const hasData = ({ rows }: Sheet) => rows.some((row) => row.some((cell) => cell !== null));
  // of an archive it was the workbook that was named
  const named = sheets.find(({ name }) => name === wanted);
  if (wanted !== undefined && named === undefined && !/\.xlsx$/i.test(wanted)) {
    throw new UsageError(
      `--member: ${file} has no sheet ${quote(wanted)}; did you mean ${quote(closest(wanted, names))}? It has ${listOf(names)}`,
    );
  }
  const withData = sheets.filter(hasData);
  const sheet = named ?? withData[0];
  if (sheet === undefined || !hasData(sheet)) {
    throw new UsageError(
      `${file}: the ${named ? `sheet ${quote(named.name)}` : "workbook"} is empty; expected a table of data`,
    );
  }
  const others = withData.filter((other) => other !== sheet);
  if (named !== undefined || others.length === 0) return { sheet, decisions: [] };
  return {
    sheet,
    decisions: [
      {
        columns: [],
        what: `the sheet ${quote(sheet.name)} read`,
        why: `the first with data; there ${others.length === 1 ? "is" : "are"} ${listOf(others.map(({ name }) => name))} too`,
        option: "--member NAME",
      },
    ],
  };
}

async function sheetsOf(source: Source, file: string, limits: Limits): Promise<Sheet[]> {
  try {
    const archive = await unpacked(source, file, limits);
    const sheets = await readWorkbookFile(archive);
    return sheets
      .filter(({ data }) => Array.isArray(data)) // a sheet that is a chart has none
      .map(({ sheet, data }) => ({ name: sheet, rows: data as unknown as Cell[][] }));
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
async function unpacked(source: Source, file: string, limits: Limits): Promise<ArrayBuffer> {
  let left = Math.min(limits.bytes, MOST_BYTES);
  const entries: Record<string, Uint8Array> = {};
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
    checkPlaces(bytes, `${file}, ${quote(baseName(member.name))}`, limits);
    entries[member.name] = bytes;
  }
  return zipSync(entries, { level: 0 }).buffer as ArrayBuffer;
}

/**
 * Throws where cells are so far apart that the empty ones between them would fill the memory. All that looks like a
 * place counts, in whatever tag: the library takes any letter for a column, and any number for a row.
 */
function checkPlaces(bytes: Uint8Array, file: string, { cells }: Limits): void {
  const text = new TextDecoder().decode(bytes);
  // whatever its name is: another member says which are sheets
  if (!text.includes("sheetData")) return;
  let rows = 0;
  let columns = 0;
  for (const tag of tagsOf(text)) {
    // with or without the prefix of a namespace, which is no place where it is declared
    for (const [, place] of tag.matchAll(/(?<![\w.-]|xmlns:)r\s*=\s*["']([^"'<]{0,12})/g)) {
      const [, letters, digits] = /^([A-Z]{0,3})(\d{1,7})$/.exec(place) ?? [];
      let column = 0;
      for (const letter of letters ?? "") column = 26 * column + letter.charCodeAt(0) - 64;
      rows = Math.max(rows, Number(digits ?? Number.POSITIVE_INFINITY));
      columns = Math.max(columns, column);
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
