/** The table in an Excel workbook (.xlsx): in the first sheet with data that is shown and not small beside the others, or in the one that `--member` names. */
import { count, printable, quote } from "@evenkeel/report/format";
import { closest } from "fastest-levenshtein";
import { UsageError } from "../../errors.js";
import { type Decision, type RawTable, type ReadOptions, usualLimits, type Value } from "../table.js";
import { namesColumns, preambleOf, textsUnder } from "./header.js";
import { tableOfColumns } from "./records.js";
import { drawn } from "./sample.js";
import { type Cell, type Merged, type Sheet, sheetsOf } from "./sheets.js";
import { checkSize } from "./size.js";
import type { Source } from "./source.js";
import { Collected, DAY } from "./stored.js";

/** What has a time and no date is of the first day that a workbook can count from, and a duration of one soon after it. */
const NO_DAYS = [Date.UTC(1899, 11, 30), Date.UTC(1904, 0, 1)];
const MOST_DAYS = 60;
/** Rows that may name the columns together. */
const MOST_NAMES = 8;
/** Rows by which it is known whether the first one names the columns. */
const SEEN = 100;

/** The share of the largest sheet's cells below which a sheet is no data, but says something of them. */
const SMALL = 0.1;

/** What a formula gives where it has no value. */
const ERROR = /^#(N\/A|DIV\/0!|VALUE!|REF!|NAME\?|NUM!|NULL!|SPILL!|CALC!|FIELD!|GETTING_DATA)$/;

/**
 * The columns of a workbook's sheet; `file` is its name in messages. A title above the table, a note below it, empty rows
 * and empty columns are left out. Throws UsageError above a limit and where
 * there is no data, FailureError for what is no whole workbook.
 */
export async function readWorkbook(source: Source, file: string, options: ReadOptions): Promise<RawTable> {
  const limits = { ...usualLimits, ...options.limits };
  const { sheet, decisions } = chosen(await sheetsOf(source, file, limits), file, options.member);
  const { columns, rows: all } = filledOf(sheet, decisions);
  const names = namesOf(sheet, all, columns, options.header, decisions);
  const rows = names === undefined ? all : all.slice(names.rows);
  const rowCount = rows.length;
  checkSize(file, rowCount, Math.min(rowCount, options.sample ?? rowCount), columns.length, limits);
  const kept = drawn(rowCount, options.sample);
  const told = new Collected();
  const table = tableOfColumns(
    columns.map((column, index) => {
      const name = names?.names[index] ?? "";
      const cells = (kept ? Array.from(kept, (row) => rows[row]) : rows).map((row) =>
        cellOf(sheet.rows[row][column]),
      );
      const seconds = secondsOf(cells);
      if (seconds !== undefined) {
        const what = seconds.some((one) => Number(one) * 1000 >= DAY)
          ? "read as durations in seconds"
          : "read as seconds since midnight";
        told.tell({ columns: [printable(name)], what });
      }
      return { name, values: seconds ?? cells };
    }),
    kept?.length ?? rowCount,
    file,
    limits,
  );
  return {
    ...table,
    rowCount,
    ...(kept && { rowNumbers: kept.map((row) => row + 1) }),
    decisions: [...decisions, ...told.decisions, ...table.decisions],
  };
}

const isThere = (cell: Cell | undefined): boolean => cell !== null && cell !== undefined;

/** The columns and rows of a sheet that hold the table, by their places; cells below a merged one have its value. */
function filledOf(sheet: Sheet, decisions: Decision[]): { columns: number[]; rows: number[] } {
  fillDown(sheet);
  const columns = [...(sheet.rows[0]?.keys() ?? [])].filter((column) =>
    sheet.rows.some((row) => isThere(row[column])),
  );
  const counts = sheet.rows.map((row) => columns.filter((column) => isThere(row[column])).length);
  const whole = new Set(
    sheet.merged
      .filter(({ left, right }) => left <= columns[0] && right > left && right >= columns[columns.length - 1])
      .map(({ top }) => top),
  );
  let rows = [...sheet.rows.keys()].filter((row) => counts[row] > 0);
  const leaveOut = (where: "first" | "last", many: number, why = ONE_CELL) => {
    if (many === 0) return;
    decisions.push({
      columns: [],
      what: many === 1 ? `the ${where} row left out` : `the ${where} ${many} rows left out`,
      why,
    });
    rows = where === "first" ? rows.slice(many) : rows.slice(0, -many);
  };
  if (columns.length > 1) {
    const titles = Math.max(
      0,
      rows.findIndex((row) => counts[row] > 1),
    );
    const notes = notesOf(sheet, columns, rows.slice(titles));
    leaveOut("first", titles + notes, notes > 0 ? "above the names of the columns" : ONE_CELL);
  }
  const isNote = (row: number) => counts[row] === 1 && typeof sheet.rows[row][columns[0]] === "string";
  if (columns.length > 2) leaveOut("last", rows.length - 1 - rows.findLastIndex((row) => !isNote(row)));
  const isHeading = (row: number) => whole.has(row) && counts[row] === 1;
  const headings = rows.filter(isHeading).length;
  if (headings > 0) {
    decisions.push({
      columns: [],
      what: `${count(headings, "row")} left out`,
      why: "merged over all columns, as headings are",
    });
    rows = rows.filter((row) => !isHeading(row));
  }
  return { columns, rows };
}

const ONE_CELL = "they have one cell, and are no part of the table";

/** How many rows above the names are notes such as "Created | 2024-01-31". Merged cells stand above names of their own. */
function notesOf({ rows, merged }: Sheet, columns: readonly number[], places: readonly number[]): number {
  const texts = places.slice(0, SEEN).map((row) => textsOf(rows[row], columns));
  const notes = preambleOf(texts, columns.length);
  return merged.some(({ top }) => places.slice(0, notes).includes(top)) ? 0 : notes;
}

/** Gives the value of cells that are merged to all rows of them, in their first column. */
function fillDown({ rows, merged }: Sheet): void {
  /** [columns]: the row up to which merged cells, which may overlap in a file that is damaged, are filled. */
  const done = new Map<number, number>();
  for (const { top, bottom, left } of [...merged].sort((a, b) => a.top - b.top)) {
    const value = rows[top]?.[left] ?? null;
    if (value === null) continue;
    for (let row = Math.max(top, done.get(left) ?? 0) + 1; row <= Math.min(bottom, rows.length - 1); row++) {
      rows[row][left] = value;
    }
    done.set(left, Math.max(bottom, done.get(left) ?? 0));
  }
}

/** The names of the columns, and how many rows hold them: several where merged cells stand above the names. */
function namesOf(
  { rows, merged }: Sheet,
  places: readonly number[],
  columns: readonly number[],
  asked: boolean | undefined,
  decisions: Decision[],
): { names: string[]; rows: number } | undefined {
  let height = 1;
  while (
    merged.some(({ top, left, right }) => top === places[height - 1] && right > left) &&
    height < Math.min(MOST_NAMES, places.length - 1) &&
    columns.every((column) => typeof (rows[places[height]][column] ?? "") === "string")
  ) {
    height++;
  }
  const textsIn = (row: number) => textsOf(rows[row], columns);
  const { isHeader, sure } =
    asked === undefined && height === 1
      ? namesColumns(textsIn(places[0]), places.slice(1, SEEN).map(textsIn))
      : { isHeader: asked ?? true, sure: true };
  if (asked === undefined && !isHeader) {
    decisions.push({
      columns: [],
      what: "read without a header",
      why: "its first row is like those below it",
      option: "--header yes",
    });
  } else if (!sure) {
    decisions.push({
      columns: [],
      what: "read with its first row as the names of the columns",
      option: "--header no",
    });
  }
  if (!isHeader) return undefined;
  const header = places.slice(0, height);
  fillAcross(
    rows,
    merged.filter(({ top }) => header.includes(top)),
  );
  const names = columns.map((column) =>
    [...new Set(header.map((row) => nameOf(rows[row][column])).filter((part) => part !== ""))].join(" "),
  );
  // pandas has the names of the index below those of the columns
  const below = height > 1 ? textsIn(places[height]) : [];
  const ofIndex =
    below.some((text) => text !== "") && below.every((text, at) => text === "" || names[at] === "");
  if (ofIndex) return { names: names.map((name, at) => name || below[at]), rows: height + 1 };
  const values = places.slice(height, height + SEEN).map(textsIn);
  const under = textsUnder(values, columns.length);
  if (under > 0) {
    decisions.push({
      columns: [],
      what: `read without the ${under === 1 ? "row" : `${under} rows`} of text between its header and its values`,
      why: values
        .slice(0, under)
        .map((row) => quote(row.filter((text) => text !== "").join(", ")))
        .join(", "),
    });
  }
  return { names, rows: height + under };
}

/** Gives the value of merged cells to all columns of them, in their first row. */
function fillAcross(rows: readonly Cell[][], merged: Merged[]): void {
  const done = new Map<number, number>();
  for (const { top, left, right } of merged.sort((a, b) => a.left - b.left)) {
    const row = rows[top];
    for (let at = Math.max(left, done.get(top) ?? 0) + 1; at <= Math.min(right, row.length - 1); at++) {
      row[at] = row[left];
    }
    done.set(top, Math.max(right, done.get(top) ?? 0));
  }
}

function cellOf(cell: Cell): Cell {
  // days are fractions: what is a millisecond short of a second was rounded down
  if (cell instanceof Date) return (cell.getTime() + 1) % 1000 === 0 ? new Date(cell.getTime() + 1) : cell;
  return typeof cell === "string" && ERROR.test(cell) ? null : cell;
}

const textsOf = (row: readonly Cell[], columns: readonly number[]): string[] =>
  columns.map((column) => nameOf(row[column]));

function nameOf(cell: Cell | undefined): string {
  if (cell === null || cell === undefined) return "";
  return cell instanceof Date ? cell.toISOString().slice(0, 10) : String(cell).trim();
}

/** Times of a day and durations in seconds, where a column has no dates; undefined where it has. */
function secondsOf(cells: Cell[]): Value[] | undefined {
  for (const day of NO_DAYS) {
    const isTime = (cell: Cell) =>
      cell instanceof Date && cell.getTime() >= day && cell.getTime() < day + MOST_DAYS * DAY;
    if (!cells.some(isTime) || !cells.every((cell) => cell === null || isTime(cell))) continue;
    return cells.map((cell) => (cell instanceof Date ? (cell.getTime() - day) / 1000 : null));
  }
  return undefined;
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
  const hasData = ({ rows }: Sheet) => rows.some((row) => row.some(isThere));
  // of an archive it was the workbook that was named
  const named = sheets.find(({ name }) => name === wanted);
  if (wanted !== undefined && named === undefined && !/\.xlsx$/i.test(wanted)) {
    throw new UsageError(
      `--member: ${file} has no sheet ${quote(wanted)}; did you mean ${quote(closest(wanted, names))}? It has ${listOf(names)}`,
    );
  }
  const withData = sheets.filter(hasData);
  const shown = withData.filter(({ hidden }) => !hidden);
  const sheet = named ?? notSmall(shown.length > 0 ? shown : withData);
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
        why: `${withData[0] === sheet ? "the first with data" : whyNotFirst(sheet, shown)}; there ${others.length === 1 ? "is" : "are"} ${listOf(others.map(({ name }) => name))} too`,
        option: "--member NAME",
      },
    ],
  };
}

/** The first sheet that is not small beside another, as notes about the data are. */
function notSmall(sheets: readonly Sheet[]): Sheet | undefined {
  const sizes = sheets.map(({ rows }) => rows.reduce((sum, row) => sum + row.filter(isThere).length, 0));
  const least = SMALL * sizes.reduce((a, b) => Math.max(a, b), 0);
  return sheets.find((_, index) => sizes[index] >= least);
}

const whyNotFirst = (sheet: Sheet, shown: readonly Sheet[]): string =>
  shown[0] === sheet ? "the first with data that is shown" : "the first that is not small beside the others";
