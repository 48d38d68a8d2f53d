/**
 * Comma- and tab-separated text (RFC 4180), and what spreadsheets write with semicolons or bars instead: a header row
 * with the names of the columns, fields quoted with `"` where they need it; blanks around a field and blank lines are
 * ignored.
 */
import { CsvError, parse } from "csv-parse/browser/esm/sync";
import { FailureError, UsageError } from "../../errors.js";
import { type Column, inferColumn, numberOrText } from "../column.js";

/**
 * The columns of `text`, whose fields `usual` separates unless the header shows otherwise; `file` is its name in
 * messages. Throws FailureError for rows of unequal length and open quotes, UsageError for a missing header.
 */
export function parseCsv(text: string, file: string, usual: "," | "\t"): Column[] {
  const delimiter = delimiterOf(text, usual);
  const [header, ...rows] = records(text, file, delimiter);
  if (header === undefined) return [];
  if (header.every((name) => typeof numberOrText(name) === "number")) {
    throw new UsageError(
      `${file}: expected a header row with the names of the columns, got numbers (${header.slice(0, 3).join(", ")}${header.length > 3 ? ", …" : ""}); add a first line that names them`,
    );
  }
  return header.map((name, column) =>
    inferColumn(
      name,
      // with semicolons between fields, spreadsheets write a decimal comma
      rows.map((row) =>
        delimiter === ";" ? row[column].replace(/^([+-]?\d+),(\d+)$/, "$1.$2") : row[column],
      ),
    ),
  );
}

const NAMES: Record<string, string> = { ",": "comma", "\t": "tab", ";": "semicolon", "|": "bar" };

/** What separates the names in the header: the usual delimiter, or else the one it has most of. */
function delimiterOf(text: string, usual: string): string {
  const header = text.slice(0, text.search(/\r?\n|$/)).replace(/"[^"]*"/g, "");
  if (header.includes(usual)) return usual;
  const count = (one: string) => header.split(one).length;
  return Object.keys(NAMES).reduce((best, one) => (count(one) > count(best) ? one : best), usual);
}

function records(text: string, file: string, delimiter: string): string[][] {
  try {
    // no limit to a record: the default of 128,000 characters is less than the row of a wide table
    return parse(text, { delimiter, trim: true, skip_empty_lines: true, max_record_size: 0 });
  } catch (error) {
    if (!(error instanceof CsvError)) throw error;
    if (error.code === "CSV_RECORD_INCONSISTENT_FIELDS_LENGTH") {
      const [, expected, got] = /expect (\d+), got (\d+)/.exec(error.message) ?? [];
      // the parser counts the header as a record but not the one at fault, which gives the number of the data row
      throw new FailureError(
        `${file}: row ${error.records} (line ${error.lines}): expected ${expected} fields as in the header, got ${got}; add or remove fields, or quote a field that holds a ${NAMES[delimiter]}`,
      );
    }
    // an open quote swallows the lines below it, so the row is named, not the line where the parser gave up
    throw new FailureError(
      `${file}: ${error.records === 0 ? "the header" : `row ${error.records}`}: a quote opens or closes in the wrong place; close it, quote the whole field, or double a quote inside a quoted field`,
    );
  }
}
