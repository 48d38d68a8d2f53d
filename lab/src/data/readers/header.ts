/**
 * What the first records of a text show of its table: how wide it is, what stands above it, which record names the
 * columns, and what stands between the names and the values.
 */
import { dateOf, minutesOf } from "../dates.js";
import { missingNotations } from "../missing.js";
import { numeralOf } from "../numbers.js";

/** Records that may stand above the names, and between them and the values; those that tell names by what is below. */
const LONGEST_PREAMBLE = 30;
const MOST_UNDER = 3;
const MOST_UNDER_NAMES = 50;

export const isMissing = missingNotations();

/** What a field is, in any notation; undefined for text. */
function kindOf(cell: string): "number" | "date" | undefined {
  if (!/\d/.test(cell)) return undefined;
  const numeral = numeralOf(cell);
  if (numeral?.unit === "") return "number";
  // "24h" may well be a name
  const isDate = dateOf(cell) !== undefined || (numeral === undefined && minutesOf(cell) !== undefined);
  return isDate ? "date" : undefined;
}

export const isValue = (cell: string): boolean => kindOf(cell) !== undefined;

/** The form that records have in common. */
export interface Shape {
  width: number;
  /** Records before the table. */
  skipped: number;
  /** Share of the records from there on that have this width. */
  consistent: number;
  rowNames: boolean;
}

/** Fields of a record up to the last one that is not empty. */
const filled = (record: readonly string[]): number => {
  let last = record.length;
  while (last > 0 && record[last - 1] === "") last--;
  return last;
};

/** The width of most records, and where the first one of it is. */
export function shapeOf(records: readonly string[][]): Shape {
  if (records.length === 0) return { width: 0, skipped: 0, consistent: 0, rowNames: false };
  const lengths = records.map((record) => record.length);
  // of two that are as frequent, the one that comes later: the first lines may be titles
  const times = new Map<number, number>();
  let width = lengths[0];
  for (const length of lengths) {
    times.set(length, (times.get(length) ?? 0) + 1);
    if ((times.get(length) ?? 0) >= (times.get(width) ?? 0)) width = length;
  }
  // where some rows leave out fields at the end, the longest ones tell, if the first is among them
  const longest = lengths.reduce((a, b) => Math.max(a, b));
  if (longest > width && lengths[0] === longest && lengths.indexOf(longest, 1) > 0) width = longest;
  let skipped = lengths.findIndex(
    (length, index) =>
      length === width ||
      filled(records[index]) === width ||
      (length === width - 1 && isNames(records.slice(index, index + MOST_UNDER_NAMES), width)),
  );
  // a header with more names than any row has fields is not to be taken for a title
  if (skipped === 1 && lengths[0] > width && filled(records[0]) === width) skipped = 0;
  if (skipped < 0) skipped = 0;
  // titles that a spreadsheet filled up with delimiters
  while (skipped < records.length - 2) {
    if (!isTitle(records[skipped], records.slice(skipped + 1, skipped + 20))) break;
    skipped++;
  }
  if (isCount(records[skipped], records.slice(skipped + 1), width)) skipped++;
  skipped += preambleOf(records.slice(skipped), width);
  const table = records.slice(skipped);
  const emptyLast = table.slice(1).every((record) => record.length < width || record[width - 1] === "");
  const rowNames = table[0].length === width - 1 && table.length > 1 && !emptyLast;
  let fitting = 0;
  for (const [index, record] of table.entries()) {
    const isShortHeader = index === 0 && record.length === width - 1;
    if (record.length === width || filled(record) === width || isShortHeader) fitting++;
  }
  return { width, skipped, consistent: fitting / table.length, rowNames };
}

/** Whether a record may name the columns of the one below it, which has one field more for the name of the row and is no header itself. */
function isNames([record, below, ...rows]: readonly (readonly string[])[], width: number): boolean {
  if (below?.length !== width || width < 2 || !isText(record)) return false;
  return !(isText(below) && rows.some((row) => row.some(isValue)));
}

/** Whether all fields are texts. */
const isText = (record: readonly string[]): boolean =>
  record.every((cell) => !isMissing(cell) && !isValue(cell));

/**
 * Records above the names of a table of values, where they have as many fields as it: what an instrument writes of
 * itself, names of several columns in one, or notes such as "Created,2024-01-31" that a spreadsheet filled up.
 */
export function preambleOf(table: readonly (readonly string[])[], width: number): number {
  for (let at = 1; at < Math.min(LONGEST_PREAMBLE, table.length - 2); at++) {
    if (table[at].length !== width || !isText(table[at])) continue;
    const rows = table.slice(at + 1, at + 1 + MOST_UNDER_NAMES);
    const isValued = (_: string, column: number) => usualKind(valuesIn(rows, column)) !== undefined;
    const isOver = at === 1 && table[0].filter((cell) => cell === "").length > 1;
    const areNotes = table.slice(0, at).every((record) => filled(record) < Math.min(3, width));
    if ((isOver || areNotes) && table[at].some(isValued)) return at;
    if (table.slice(1, at).some((record) => record.some(isValue)) && table[at].every(isValued)) return at;
  }
  return 0;
}

/** How many records between the names and the values are text where the values are: units, or what the names mean. */
export function textsUnder(below: readonly (readonly string[])[], width: number): number {
  let under = 0;
  while (under < Math.min(MOST_UNDER, below.length - 2)) {
    const record = below[under];
    const rows = below.slice(under + 1, under + 1 + MOST_UNDER_NAMES);
    const filled = record.flatMap((cell, column) => (isMissing(cell) ? [] : { cell, column }));
    const over = filled.filter(({ column }) => usualKind(valuesIn(rows, column)) !== undefined);
    const isUnder =
      record.length === width &&
      over.length > 0 &&
      over.length >= Math.min(2, filled.length) &&
      // a bound such as <0.1 is a value
      over.every(({ cell }) => !isValue(cell) && !/^[<>≤≥~]/.test(cell)) &&
      filled.every(({ cell, column }) => rows.every((row) => row[column] !== cell));
    if (!isUnder) break;
    under++;
  }
  return under;
}

const valuesIn = (rows: readonly (readonly string[])[], column: number): string[] =>
  rows.map((row) => row[column] ?? "").filter((cell) => !isMissing(cell));

/** What most of the cells are; undefined for text. */
function usualKind(cells: readonly string[]): ReturnType<typeof kindOf> {
  const kinds = cells.map(kindOf);
  return (["number", "date"] as const).find(
    (kind) => kinds.filter((one) => one === kind).length > cells.length / 2,
  );
}

/** Text in the first field alone, above rows that have others. */
function isTitle(record: readonly string[], below: readonly (readonly string[])[]): boolean {
  return (
    filled(record) === 1 &&
    record.length > 1 &&
    !isValue(record[0]) &&
    below.some((row) => row.slice(1).some((cell) => cell !== ""))
  );
}

/** As scikit-learn has it in the place of a header: rows, features, and the names of the classes that the last column counts. */
function isCount(
  [rows, features, ...classes]: readonly string[],
  below: readonly string[][],
  width: number,
): boolean {
  return (
    below.length > 0 &&
    /^\d+$/.test(rows) &&
    features === String(width - 1) &&
    classes.length > 1 &&
    !classes.some((name) => isValue(name)) &&
    below.every(
      (row) =>
        row.length !== width || (/^\d+$/.test(row[width - 1]) && Number(row[width - 1]) < classes.length),
    )
  );
}

/**
 * Whether `first` names the columns of the rows `below`: its words stand over values, and do not come again; numbers
 * over numbers speak against it, but where they count (years, 0 1 2 3).
 */
export function namesColumns(
  first: readonly string[],
  below: readonly (readonly string[])[],
): { isHeader: boolean; sure: boolean } {
  const rows = below.filter(
    (row) => row.length >= first.length && row.some((cell, column) => cell !== first[column]),
  );
  // nothing below, or the same row again and again
  if (rows.length === 0) return { isHeader: !first.some(isValue), sure: true };
  let names = 0;
  let values = 0;
  for (const [column, cell] of first.entries()) {
    const cells = valuesIn(rows, column);
    if (cells.length === 0) continue;
    const usual = usualKind(cells);
    const kind = kindOf(cell);
    if (isMissing(cell)) {
      // an index without a name is empty; anything else is a value that is not there
      if (cell !== "") values += 0.5;
    } else if (isYear(cell) && cells.filter(isYear).length < cells.length / 2) {
      // the name of a column in a table of years
    } else if (kind !== undefined && kind === usual) {
      values++;
    } else if (usual !== undefined) {
      names++;
    } else if (cells.includes(cell)) {
      values++;
    } else if (new Set(cells).size <= cells.length / 2) {
      // few levels, each several times, and this is none of them
      names += 0.5;
    }
  }
  if (values === 0) return { isHeader: true, sure: names > 0 };
  const steps = stepsOf(first);
  if (steps >= Math.max(3, values) && stepsOf(rows[0]) === 0) {
    // few numbers rise evenly by chance
    const isLikely = steps > 4 || names > 0 || first[0] === "" || (steps > 3 && first[0] === "0");
    if (isLikely) return { isHeader: true, sure: false };
  }
  return { isHeader: names > values, sure: names === 0 || names > values };
}

const isYear = (cell: string): boolean => /^(?:1[89]|20)\d\d$/.test(cell);

/** How many numbers of a row rise by equal steps, as those that name columns do: years, wavelengths, 0 1 2 3; 0 if they do not. */
function stepsOf(row: readonly string[]): number {
  const numbers = row.filter((cell) => /^\d{1,9}(?:\.\d{1,9})?$/.test(cell)).map(Number);
  const step = (numbers[numbers.length - 1] - numbers[0]) / (numbers.length - 1);
  const even = numbers.every((number, index) => Math.abs(number - numbers[0] - index * step) <= step / 20);
  return step > 0 && even ? numbers.length : 0;
}
