/**
 * From the cells of a file as they were written to numbers, dates and text: the one place that decides what a column is.
 *
 * How numbers and dates are written is decided with the evidence of the whole file, since one column alone often has
 * none: "1.415" is 1415 in a file of decimal commas. Whatever could be read in another way is told as a decision.
 */
import { listed, printable, quote } from "@evenkeel/report/format";
import { UsageError } from "../errors.js";
import { asDates, asMinutes, compactDates } from "./date-columns.js";
import { columnOrder } from "./dates.js";
import { missingNotations } from "./missing.js";
import { columnsNamed, nameColumns, onOneLine } from "./names.js";
import { asNumbers, finite, staysText } from "./number-columns.js";
import { columnDecimal, fileDecimal } from "./numbers.js";
import { Survey } from "./survey.js";
import type { Column, RawTable, ReadOptions, Table } from "./table.js";
import { asText, tellText } from "./text-columns.js";
import { Told } from "./told.js";

/**
 * The table of what a reader gave, which is let go of on the way. Columns that the format declares keep their kind; the text of others is understood.
 * `file` is its name in messages. Throws UsageError for a file without columns or rows, an option that names no column,
 * and a column that is to be numbers and is not.
 */
export function understand(raw: RawTable, file: string, options: ReadOptions): Table {
  const cellCount = raw.columns[0]?.cells.length ?? 0;
  if (raw.columns.length === 0 && raw.rowCount > 0) {
    const kinds = new Set(raw.decisions.flatMap(({ what, why = [] }) => (what === "left out" ? why : [])));
    throw new UsageError(
      `${file}: expected columns of numbers, dates or text, got ${kinds.size > 0 ? `only what no cell can hold (${listed([...kinds])})` : "none"}; write what is in them as columns of their own`,
    );
  }
  if (cellCount === 0) {
    throw new UsageError(
      `${file}: expected at least one row of data, got ${raw.columns.length === 0 ? "none" : "only the names of the columns"}; check that the file was written to its end`,
    );
  }
  const { names, decisions } = nameColumns(raw.columns.map(({ name }) => name));
  const categorical = columnsNamed(options.categorical ?? [], names, "--categorical");
  const numeric = columnsNamed(options.numeric ?? [], names, "--numeric");
  const both = names.find((name) => categorical.has(name) && numeric.has(name));
  if (both !== undefined) {
    throw new UsageError(
      `column ${quote(both)} is named by --categorical and by --numeric; remove it from one of them`,
    );
  }
  const missing = missingNotations(options.missing);
  const rowNumber = (row: number): number => raw.rowNumbers?.[row] ?? row + 1;
  const told = new Told();

  const surveys = raw.columns.map((column, index) => {
    const name = names[index];
    const isText = categorical.has(name) || options.known?.get(name)?.kind === "text";
    const forced = isText ? "text" : numeric.has(name) ? "number" : undefined;
    return new Survey(column, name, forced, missing);
  });
  // each survey lets go of its cells as soon as they are read
  raw.columns = [];
  const open = surveys.filter((survey) => survey.kind === undefined && survey.forced !== "text");
  const numbers = new Set(open.filter((survey) => survey.mostlyNumbers || survey.forced === "number"));
  const dates = new Set(open.filter((survey) => !numbers.has(survey) && survey.mostlyDates()));
  const { semicolons = false } = raw;
  const decimal = options.decimal ?? fileDecimal([...numbers].map(({ evidence }) => evidence));
  const order = [...dates].map(({ order }) => order.orders).find((orders) => orders.length === 1)?.[0];

  const valuesOf = (survey: Survey): Pick<Column, "kind" | "values" | "written"> => {
    const known = options.known?.get(survey.name);
    if (survey.kind === "number" || survey.kind === "date") {
      return { kind: survey.kind, values: finite(survey, told) };
    }
    if (survey.kind === "text" || survey.forced === "text") {
      return { kind: "text", values: asText(survey, told, known?.values) };
    }
    const compact =
      survey.forced === undefined && known?.kind !== "number" ? compactDates(survey, told) : undefined;
    if (compact) return { kind: "date", values: compact };
    const isNumbers = numbers.has(survey) && known?.kind !== "date";
    if (isNumbers && (survey.forced === "number" || known || !staysText(survey, told)))
      return numbersOf(survey);
    if (dates.has(survey) && known?.kind !== "number") return datesOf(survey);
    const minutes = known?.kind === "date" ? undefined : asMinutes(survey, told);
    if (minutes) return { kind: "number", values: minutes };
    if (known) return known.kind === "date" ? datesOf(survey) : numbersOf(survey);
    if (!numbers.has(survey)) tellText(survey, told);
    return { kind: "text", values: asText(survey, told) };
  };
  const numbersOf = (survey: Survey): Pick<Column, "kind" | "values" | "written"> => {
    const declared = options.known?.get(survey.name)?.written?.decimal ?? options.decimal;
    const place = (row: number) => `${file}: row ${rowNumber(row)}`;
    const values = asNumbers(survey, { decimal, semicolons }, { decimal: declared }, told, place);
    const { evidence } = survey;
    const shows = evidence.decimal !== undefined || evidence.unclearSizes.length > 0;
    const own = shows
      ? columnDecimal(evidence, decimal, declared, semicolons).decimal
      : (declared ?? decimal);
    return { kind: "number", values, ...(own !== undefined && { written: { decimal: own } }) };
  };
  const datesOf = (survey: Survey): Pick<Column, "kind" | "values" | "written"> => {
    const declared = options.known?.get(survey.name)?.written?.dates ?? options.dates;
    const hints = { order, decimalComma: decimal === "," };
    const values = asDates(survey, hints, declared, told);
    const written = { dates: columnOrder(survey.order, hints, declared).order };
    return { kind: "date", values, ...(survey.order.count > 0 && { written }) };
  };
  const columns = surveys.map((survey): Column => {
    const { name, levels } = survey;
    const { kind, values, written } = valuesOf(survey);
    survey.release();
    return {
      ...{ name, kind, values },
      ...(written && { written }),
      ...(levels && kind === "text" && { levels: levels.map(onOneLine) }),
    };
  });
  return {
    name: printable(file.replace(/(\.[a-z0-9]+)?(\.(gz|zip|zst|bz2|xz))?$/i, "")) || printable(file),
    columns,
    rowCount: cellCount,
    fileRows: Math.max(raw.rowCount, cellCount),
    rowNumber,
    decisions: [...raw.decisions, ...decisions, ...told.decisions],
  };
}
