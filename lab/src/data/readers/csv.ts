/** Text with delimiters between its fields (`.csv`, `.tsv`, `.txt`, `.data`, …), of the layout that its first lines show. */
import { count, quote } from "@evenkeel/report/format";
import { FailureError, UsageError } from "../../errors.js";
import { type Decision, type RawColumn, type RawTable, type ReadOptions, usualLimits } from "../table.js";
import { type Dialect, RecordError, Records } from "./delimited.js";
import { type Layout, layoutOf, tooWide } from "./dialect.js";
import { Reservoir } from "./sample.js";
import { startOf, type Text } from "./source.js";

/** Characters by which the layout is known, and lines that make them enough: more characters where there are fewer. */
const STARTS = [
  { most: 2 ** 18, lines: 20 },
  { most: 2 ** 22, lines: 3 },
  { most: 2 ** 26, lines: 0 },
];
/** Rows at the end that are too short and no rows of the table, but totals, sources, or cut. */
const MOST_CLOSING = 10;
/** Different cells of a column that are remembered, and rows from which on they are: of few, copies cost nothing. */
const MOST_KNOWN = 1000;
const MANY_ROWS = 1000;
/** Lines that are shown of those that are left out. */
const MOST_SHOWN = 3;

const NAMES: Record<string, string> = { ",": "comma", "\t": "tab", ";": "semicolon", "|": "bar" };
const BETWEEN: Record<string, string> = {
  ",": "commas",
  "\t": "tabs",
  ";": "semicolons",
  "|": "bars",
  " ": "blanks",
};

/**
 * The table in a text; `file` is its name in messages, `usual` the delimiter that its ending speaks of. Rows that end too
 * early are filled up, those at the very end left out. Throws UsageError for a text that is empty or exceeds a limit,
 * FailureError for rows that are too long and for quotes that are not closed.
 */
export async function readCsv(
  text: Text,
  file: string,
  options: ReadOptions,
  usual?: string,
): Promise<RawTable> {
  let start = "";
  let whole = false;
  for (const { most, lines } of STARTS) {
    start = (await startOf(text, most)).slice(0, most);
    whole = start.length < most;
    if (whole || start.split(/[\n\r]+/, lines).length === lines) break;
  }
  if (!/\S/.test(start)) throw new UsageError(`${file}: the file is empty; expected a table of data`);
  const { columns: mostColumns, cells: mostCells } = { ...usualLimits, ...options.limits };
  const layout = layoutOf(start, whole, options, mostColumns, file, usual);
  if (layout.hasWrappedLines) {
    const raw = await readCsv(unwrapped(text), file, options, usual);
    raw.decisions.unshift({ columns: [], what: "read without the quotes around whole lines" });
    return raw;
  }
  const read = async (how: Layout): Promise<RawTable> => {
    const rows = new Rows(file, how, mostColumns, mostCells, options.sample);
    for await (const piece of text.pieces()) rows.push(piece);
    rows.push("", true);
    return rows.table(options, usual);
  };
  try {
    return await read(layout);
  } catch (error) {
    if (!(error instanceof FailureError) || layout.dialect.quote === "'") throw error;
    // quotes that enclose nothing, or those that do, may come later than the lines that the layout was taken from
    const quoting = layout.dialect.quote !== "";
    try {
      return await read({ ...layout, dialect: { ...layout.dialect, quote: quoting ? "" : '"' } });
    } catch (other) {
      throw quoting ? error : other;
    }
  }
}

/** A text without the quotes around each of its lines. */
const unwrapped = ({ pieces, decisions }: Text): Text => ({
  decisions,
  async *pieces() {
    let lines: string[] = [];
    // no text has this delimiter: a line is one field
    const dialect: Dialect = { delimiter: "\0", quote: '"', backslash: false, comment: "" };
    const records = new Records(dialect, 1, (record) => {
      lines.push(record.cell(0), "\n");
      return true;
    });
    const split = function* (piece: string, last: boolean) {
      records.push(piece, last);
      yield lines.join("");
      lines = [];
    };
    for await (const piece of pieces()) yield* split(piece, false);
    yield* split("", true);
  },
});

type Row = (string | null)[];

/** The rows of a text, as they come; a sample of them where one is asked for. */
class Rows {
  readonly #file: string;
  readonly #layout: Layout;
  readonly #mostColumns: number;
  readonly #mostCells: number;
  readonly #records: Records;
  readonly #reservoir: Reservoir | undefined;
  /** Characters before the text that are passed over. */
  #prefix: number;
  /** Records so far, with titles and header. */
  #seen = 0;
  #rowCount = 0;
  #names: string[] | undefined;
  /** Columns up to the last one that has a name, where any has. */
  #named: number;
  /** [width][rows]: all rows; or, with a sample, the rows drawn and their numbers. */
  readonly #columns: Cells[];
  readonly #drawn: { row: Row; number: number }[] = [];
  /** Short rows that none of full length has followed yet. */
  #pending: { row: Row; line: number }[] = [];
  #short = 0;
  #firstShort = 0;
  #headers = 0;
  #remarks = 0;

  constructor(
    file: string,
    layout: Layout,
    mostColumns: number,
    mostCells: number,
    sample: number | undefined,
  ) {
    this.#file = file;
    this.#layout = layout;
    this.#mostColumns = mostColumns;
    this.#mostCells = mostCells;
    this.#reservoir = sample === undefined ? undefined : new Reservoir(sample);
    this.#columns = Array.from({ length: layout.width }, () => new Cells());
    this.#prefix = layout.prefix;
    this.#names = layout.namesInRecord ? undefined : layout.names;
    this.#named = layout.width;
    this.#records = new Records(layout.dialect, mostColumns, (record) => this.#record(record));
  }

  /** Takes the next piece of the text, `last` where none follows. */
  push(piece: string, last = false): void {
    const text = piece.slice(this.#prefix);
    this.#prefix = Math.max(0, this.#prefix - piece.length);
    try {
      this.#records.push(text, last);
    } catch (error) {
      if (!(error instanceof RecordError)) throw error;
      throw this.#failure(error.kind);
    }
  }

  #record(record: Records): undefined {
    const { width, skipped, namesInRecord, rowNames } = this.#layout;
    this.#seen++;
    if (this.#seen <= skipped) return;
    if (this.#seen === skipped + 1 && namesInRecord) {
      const names = Array.from({ length: Math.min(record.count, width) }, (_, index) => record.cell(index));
      this.#names = rowNames ? ["", ...names] : names;
      if (names.length === width) this.#named = names.findLastIndex((name) => name !== "") + 1;
      return;
    }
    if (namesInRecord && this.#seen <= skipped + 1 + this.#layout.under.length) return;
    if (this.#isHeader(record)) {
      this.#headers++;
      return;
    }
    if (record.count !== width) {
      if (isRemark(record)) {
        this.#remarks++;
        return;
      }
      if (record.count < this.#named) {
        this.#pending.push({ row: this.#rowOf(record), line: record.line });
        if (this.#pending.length > MOST_CLOSING) this.#fill();
        return;
      }
      this.#fill();
      for (let index = width; index < record.count; index++) {
        if (record.length(index) > 0) throw this.#ragged(record.line, record.count);
      }
    }
    this.#fill();
    if (this.#reservoir?.draws(this.#rowCount) === false) this.#rowCount++;
    else this.#add(this.#rowOf(record));
  }

  #rowOf(record: Records): Row {
    const { width } = this.#layout;
    const row: Row = new Array(width);
    for (let index = 0; index < width; index++) row[index] = index < record.count ? record.cell(index) : null;
    return row;
  }

  #add(row: Row): void {
    const number = ++this.#rowCount;
    if (this.#reservoir === undefined) {
      for (let index = 0; index < row.length; index++) this.#columns[index].push(row[index]);
    } else if (this.#reservoir.draws(number - 1)) {
      this.#drawn[this.#reservoir.place(number - 1)] = { row: row.map(apart), number };
    }
    const kept = this.#reservoir === undefined ? number : this.#drawn.length;
    if (kept * row.length > this.#mostCells) {
      throw new UsageError(
        `${this.#file}: expected at most ${this.#mostCells.toLocaleString("en-US")} cells, got more (row ${number} of ${count(row.length, "column")}); read a sample of the rows with --limit, or allow more with --max-cells`,
      );
    }
  }

  /** Fills up the short rows that others have followed. */
  #fill(): void {
    if (this.#pending.length === 0) return;
    for (const { row, line } of this.#pending) {
      // where blanks separate fields, an empty one cannot be seen, whichever it is
      if (this.#layout.dialect.delimiter === " ") throw this.#ragged(line, row.indexOf(null));
      this.#add(row);
      this.#short++;
      if (this.#short === 1) this.#firstShort = this.#rowCount;
    }
    this.#pending = [];
  }

  /** Whether a row is the header once more, as where files were joined. */
  #isHeader(record: Records): boolean {
    const names = this.#names;
    if (names === undefined || this.#layout.rowNames || record.length(0) !== names[0].length) return false;
    for (let index = 0; index < names.length; index++) {
      if (index >= record.count || record.cell(index) !== names[index]) return false;
    }
    return true;
  }

  #ragged(line: number, got: number): FailureError {
    const { dialect, width, namesInRecord } = this.#layout;
    const remedy =
      dialect.delimiter === " "
        ? "write NA for a value that is missing, or quote a field that holds a blank"
        : `add or remove fields, or quote a field that holds a ${NAMES[dialect.delimiter] ?? quote(dialect.delimiter)}`;
    return new FailureError(
      `${this.#place(line)}: expected ${count(width, "field")} as in ${namesInRecord ? "the header" : "the other rows"}, got ${got}; ${remedy}`,
    );
  }

  /** The row that is next, which is at a line of the text that was split. */
  #place(line: number): string {
    return `${this.#file}: row ${this.#rowCount + 1} (line ${line + (this.#layout.prefix > 0 ? 1 : 0)})`;
  }

  #failure(kind: RecordError["kind"]): Error {
    this.#fill();
    const { namesInRecord, skipped } = this.#layout;
    const { line } = this.#records;
    const inHeader = this.#seen <= skipped && namesInRecord;
    const place = inHeader ? `${this.#file}: the header` : this.#place(line);
    if (kind === "fields") {
      return inHeader ? tooWide(this.#file, this.#mostColumns) : this.#ragged(line, this.#mostColumns + 1);
    }
    return new FailureError(
      kind === "long"
        ? `${place}: expected a row of some length, got one of more than 100 million characters; check that its quotes are closed and that the file is text`
        : `${place}: a quote opens or closes in the wrong place; close it, quote the whole field, or double a quote inside a quoted field`,
    );
  }

  /** All that was read. */
  table(options: ReadOptions, usual: string | undefined): RawTable {
    const { width, namesInRecord } = this.#layout;
    const leftOut = this.#short === 0 && this.#rowCount > 0 ? this.#pending.splice(0) : [];
    if (this.#pending.length > 0 && this.#rowCount === 0) {
      const [{ row, line }] = this.#pending;
      throw this.#ragged(line, row.indexOf(null));
    }
    this.#fill();
    const decisions = this.#decisions(options, usual, leftOut);
    let cells = this.#columns.map(({ values }) => values);
    let rowNumbers: Int32Array | undefined;
    if (this.#reservoir !== undefined) {
      this.#drawn.sort((a, b) => a.number - b.number);
      cells = cells.map((_, index) => this.#drawn.map(({ row }) => row[index]));
      if (this.#drawn.length < this.#rowCount) {
        rowNumbers = Int32Array.from(this.#drawn, ({ number }) => number);
      }
    }
    const names = this.#names ?? [];
    const columns: RawColumn[] = [];
    let empty = 0;
    for (let index = 0; index < width; index++) {
      const name = names[index] ?? "";
      // a delimiter at the end of each line makes one more column, of nothing
      const hasNone =
        name === "" && (this.#names !== undefined || index === width - 1) && cells[index].length > 0;
      if (hasNone && cells[index].every((cell) => cell === "" || cell === null)) empty++;
      else columns.push({ name, cells: cells[index] });
    }
    if (empty > 0) {
      decisions.push({
        columns: [],
        what: `read without ${count(empty, "column")} that ${empty === 1 ? "has" : "have"} neither a name nor a value`,
      });
    }
    if (namesInRecord && this.#layout.rowNames) {
      decisions.push({
        columns: [],
        what: "read with its first column as names of the rows",
        why: "the header has one name fewer than the rows have fields",
      });
    }
    const semicolons = this.#layout.dialect.delimiter === ";";
    return { columns, rowCount: this.#rowCount, ...(rowNumbers && { rowNumbers }), semicolons, decisions };
  }

  #decisions(options: ReadOptions, usual: string | undefined, leftOut: readonly unknown[]): Decision[] {
    const { dialect, skipped, skippedText, under, names, namesInRecord, sure, width } = this.#layout;
    const decisions: Decision[] = [];
    const tell = (what: string, why?: string, option?: string) =>
      decisions.push({ columns: [], what, ...(why && { why }), ...(option && { option }) });
    const { delimiter } = dialect;
    if (options.delimiter === undefined && delimiter !== (usual ?? delimiter) && width > 1) {
      const other = usual === "\t" ? "tab" : `"${usual}"`;
      tell(
        `read with ${BETWEEN[delimiter] ?? quote(delimiter)} between its fields`,
        undefined,
        this.#layout.isUsualPossible ? `--delimiter ${other}` : undefined,
      );
    }
    if (dialect.quote === "'") tell("read with ' as the quote around fields");
    if (dialect.quote === "") tell('read with " as a character like any other', "not all of them are closed");
    if (dialect.backslash) tell("read with a backslash before a character that is meant as it is");
    const some = (lines: readonly string[]) =>
      lines
        .slice(0, MOST_SHOWN)
        .map((line) => quote(line))
        .join(", ");
    if (skipped > 0) {
      tell(`read without its ${skipped === 1 ? "first line" : `first ${skipped} lines`}`, some(skippedText));
    }
    if (under.length > 0) {
      const rows = under.length === 1 ? "row" : `${under.length} rows`;
      tell(`read without the ${rows} of text between its header and its values`, some(under));
    }
    const comments = this.#records.comments + this.#remarks;
    if (comments > 0) tell(`read without ${count(comments, "line")} of comments and rules`);
    if (options.header === undefined) {
      if (names !== undefined && !namesInRecord) {
        tell("read with the names in the line above the table", undefined, "--header no");
      } else if (names === undefined) {
        tell("read without a header", "its first row is like those below it", "--header yes");
      } else if (!sure) {
        tell("read with its first row as the names of the columns", undefined, "--header no");
      }
    }
    if (this.#headers > 0)
      tell(
        `read without ${count(this.#headers, "row")} that repeat${this.#headers === 1 ? "s" : ""} the header`,
      );
    if (this.#short > 0) {
      tell(
        `read with nothing for what ${count(this.#short, "row")} ${this.#short === 1 ? "lacks" : "lack"} at the end`,
        `row ${this.#firstShort} has fewer than ${width} fields`,
      );
    }
    if (leftOut.length > 0) {
      const rows = leftOut.length === 1 ? "last row" : `last ${leftOut.length} rows`;
      tell(`read without its ${rows}`, `fewer than ${width} fields`);
    }
    return decisions;
  }
}

/** The cells of a column; equal ones share their memory where a column repeats itself. */
class Cells {
  readonly values: Row = [];
  #known: Map<string, string> | undefined = new Map();
  #unknown = 0;

  push(cell: string | null): void {
    const known = this.values.length < MANY_ROWS ? undefined : this.#known;
    this.values.push(cell === null || known === undefined ? cell : this.#shared(cell, known));
  }

  #shared(cell: string, known: Map<string, string>): string {
    const same = known.get(cell);
    if (same !== undefined) return same;
    if (known.size < MOST_KNOWN) known.set(cell, cell);
    else if (++this.#unknown > MOST_KNOWN && 2 * this.#unknown > this.values.length) this.#known = undefined;
    return cell;
  }
}

/** A string of its own memory: a part of a longer one keeps all of that alive in V8. */
const apart = (cell: string | null): string | null => (cell === null ? null : ` ${cell}`.slice(1));

/** A comment between rows. */
const isRemark = (record: Records): boolean => !record.isMarked(0) && record.cell(0).startsWith("#");
