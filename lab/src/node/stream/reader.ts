/** Records of bytes: NDJSON or CSV, told by the first line. */
import { quote } from "@evenkeel/report/format";
import { parse } from "csv-parse/sync";
import { quoted } from "../../data/names.js";
import { reason, UsageError } from "../../errors.js";
import { type Block, type BytePosition, Cutter } from "./cutter.js";
import {
  type Asked,
  type Batch,
  type Fields,
  inputsOf,
  isRow,
  type Layout,
  namesOf,
  numberIn,
  Rows,
  type TroubleCounter,
} from "./records.js";

/** How lines are to be read where they do not tell it. */
export interface Reading extends Asked {
  header?: boolean;
  delimiter?: string;
}

const DELIMITERS = [",", ";", "\t", "|"];
const BOM = "\ufeff";

export class RecordReader {
  readonly #cutter: Cutter;
  #layout: Layout | undefined;
  #rows: Rows | undefined;
  /** What is at the beginning, before there is a record. */
  #begun: Omit<Layout, "inputs"> | undefined;
  /**
   * @param before where it goes on
   * @param goesOn whether the source goes on there, rather than being given again from its beginning
   */
  constructor(
    private readonly asked: Reading,
    private readonly troubles: TroubleCounter,
    private readonly say: (line: string) => void,
    before?: { position: BytePosition; layout: Layout | null },
    goesOn = false,
  ) {
    this.#cutter = new Cutter(
      goesOn && before ? { ...before.position, open: false } : before?.position,
      (line, problem) => this.#noRecord(`line ${line}`, problem),
    );
    this.#layout = before?.layout ?? undefined;
    if (this.#layout !== undefined) {
      this.#rows = new Rows(this.#layout, asked, troubles);
      this.#begin(this.#layout);
    }
  }

  get position(): BytePosition {
    return this.#cutter.position;
  }

  /** Undefined before the first record. */
  get layout(): Layout | undefined {
    return this.#layout;
  }

  feed(chunk: Buffer): void {
    this.#cutter.feed(chunk);
  }

  end(): void {
    this.#cutter.end();
  }

  /**
   * At most so many records, of those that are whole; undefined where there are none.
   * @throws UsageError where the first record cannot be that of such a stream
   */
  take(most: number): Batch | undefined {
    for (;;) {
      if (this.#begun === undefined && !this.#tell()) return undefined;
      const block = this.#cutter.take(this.#layout === undefined ? 1 : most);
      if (block === undefined) return undefined;
      for (const [fields, line] of this.#recordsIn(block)) this.#add(fields, line);
      const batch = this.#rows?.take();
      if (batch !== undefined && batch.records > 0) return batch;
    }
  }

  /** The form of the records, by the first line; false where it is not there yet. */
  #tell(): boolean {
    const line = this.#cutter.firstLine();
    if (line === undefined) return false;
    checkText(line);
    const text = withoutBom(line.toString("utf8")).trim();
    if (text.startsWith("{")) {
      this.#begin({ format: "ndjson", delimiter: "", names: [], header: null });
      return true;
    }
    if (text === "[" || /^\[\s*[[{]/.test(text)) {
      throw new UsageError(
        "stream: expected a record on each line, got a list in JSON; write an object a line, as jq -c '.[]' does",
      );
    }
    this.#begin({
      format: "csv",
      delimiter: this.asked.delimiter ?? delimiterOf(text),
      names: [],
      header: null,
    });
    return true;
  }

  #begin(begun: Omit<Layout, "inputs">): void {
    this.#begun = begun;
    this.#cutter.delimiter = begun.format === "csv" ? begun.delimiter.charCodeAt(0) : undefined;
  }

  *#recordsIn(block: Block): Generator<[fields: Fields, line: number]> {
    const { bytes, ends, lines } = block;
    if (this.#begun?.format === "csv") {
      yield* this.#csv(block);
      return;
    }
    for (const [index, end] of ends.entries()) {
      const text = bytes.toString("utf8", ends[index - 1] ?? 0, end);
      let value: unknown;
      try {
        value = JSON.parse(withoutBom(text));
      } catch (error) {
        this.#noRecord(
          `line ${lines[index]}`,
          `${quote(text.trim(), 40)} is no JSON (${quote(reason(error), 80).slice(1, -1)})`,
        );
        continue;
      }
      if (typeof value === "object" && value !== null && !Array.isArray(value))
        yield [value as Fields, lines[index]];
      else this.#noRecord(`line ${lines[index]}`, `${quote(text.trim(), 40)} is no object`);
    }
  }

  *#csv({ bytes, ends, lines }: Block): Generator<[fields: Fields, line: number]> {
    const all = this.#fieldsOf(bytes);
    for (const [index, end] of ends.entries()) {
      let fields = all?.length === ends.length ? all[index] : undefined;
      if (fields === undefined) {
        // something in the block is no record: one by one
        const alone = this.#fieldsOf(bytes.subarray(ends[index - 1] ?? 0, end));
        if (alone?.length !== 1) {
          this.#noRecord(`line ${lines[index]}`, "quotes are not where a field begins or ends");
          continue;
        }
        [fields] = alone;
      }
      if (this.#isNames(fields)) continue;
      const { names } = this.#begun as Layout;
      if (names.length > 0 && fields.length !== names.length) {
        this.#noRecord(`line ${lines[index]}`, `expected ${names.length} fields, got ${fields.length}`);
        continue;
      }
      yield [fields as unknown as Fields, lines[index]];
    }
  }

  /** Undefined where quotes stand where they may not. */
  #fieldsOf(bytes: Buffer): string[][] | undefined {
    try {
      return parse(bytes, {
        delimiter: this.#begun?.delimiter,
        record_delimiter: ["\r\n", "\n"],
        relax_column_count: true,
        skip_empty_lines: true,
        bom: true,
      }) as string[][];
    } catch {
      return undefined;
    }
  }

  /** Whether these fields name the columns, as the first ones may, and later ones that are the same where files follow each other. */
  #isNames(fields: readonly string[]): boolean {
    const begun = this.#begun as Layout;
    if (begun.names.length > 0) {
      // without a look at most records as a whole
      return (
        begun.header?.startsWith(`[${JSON.stringify(fields[0])}`) === true &&
        begun.header === JSON.stringify(fields) &&
        !isRow(fields)
      );
    }
    const isHeader = this.asked.header ?? !isRow(fields);
    begun.names = namesOf(isHeader ? fields : null, fields, this.asked);
    begun.header = isHeader ? JSON.stringify(fields) : null;
    const numbers = fields.filter((field) => Number.isFinite(numberIn(field)));
    if (isHeader && this.asked.header === undefined && numbers.length > 0) {
      this.say(
        `the first line is taken for names, though there ${numbers.length === 1 ? "is a number" : "are numbers"} in it (${quoted(numbers)}); --header no where it is a record`,
      );
    }
    return isHeader;
  }

  #add(fields: Fields, line: number): void {
    if (this.#rows === undefined) {
      const begun = this.#begun as Layout;
      if (begun.format === "ndjson") begun.names = Object.keys(fields);
      const { inputs, lines } = inputsOf(
        begun.format,
        begun.names,
        fields,
        this.asked,
        begun.header !== null,
      );
      for (const told of lines) this.say(told);
      this.#layout = { ...begun, inputs };
      this.#rows = new Rows(this.#layout, this.asked, this.troubles);
    }
    this.#rows.add(fields, () => `line ${line}`);
  }

  #noRecord(where: string, problem: string): void {
    this.troubles.add("record", () => `${where} is no record: ${problem}`);
  }
}

const withoutBom = (text: string): string => (text.startsWith(BOM) ? text.slice(1) : text);

/** Throws UsageError for what is no text in UTF-8. */
function checkText(line: Buffer): void {
  const known: [name: string, magic: number[], remedy: string][] = [
    ["UTF-16", [0xff, 0xfe], "iconv -f utf-16 -t utf-8"],
    ["UTF-16", [0xfe, 0xff], "iconv -f utf-16 -t utf-8"],
    ["gzip", [0x1f, 0x8b], "gzip -dc"],
    ["Zstandard", [0x28, 0xb5, 0x2f, 0xfd], "zstd -dc"],
    ["Parquet", [0x50, 0x41, 0x52, 0x31], "evenkeel standardize, which reads it"],
  ];
  for (const [name, magic, remedy] of known) {
    if (magic.every((byte, at) => line[at] === byte)) {
      throw new UsageError(`stream: expected lines of text in UTF-8, got ${name}; use ${remedy}`);
    }
  }
  if (line.includes(0))
    throw new UsageError("stream: expected lines of text in UTF-8, got bytes of something else");
}

/** What separates most fields of a line, outside quotes. */
function delimiterOf(line: string): string {
  const bare = line.replaceAll(/"[^"]*"/g, "");
  const counts = DELIMITERS.map((each) => bare.split(each).length - 1);
  return DELIMITERS[counts.indexOf(Math.max(...counts))];
}
