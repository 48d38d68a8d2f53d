/**
 * Text with delimiters, split into records and fields: RFC 4180, and what is written besides it (other quotes, escapes
 * with a backslash, any line end, runs of blanks between fields, quotes in the middle of a field, comments).
 *
 * Not by csv-parse, which has no runs of blanks, takes ten times as long, and needs all of the text in memory where a
 * sample of its rows is wanted. Every character is looked at a bounded number of times.
 */

export interface Dialect {
  /** One or more characters; " " is any number of spaces and tabs. */
  delimiter: string;
  /** What may enclose a field, or "" where nothing does. */
  quote: '"' | "'" | "";
  /** Whether a backslash takes its meaning from a quote, a delimiter or a line end; a doubled quote always is a quote. */
  backslash: boolean;
  /** What starts a line that is no record, or "". */
  comment: string;
}

/** Characters of the longest record: many times what a row of 100,000 numbers has. */
const LONGEST = 2 ** 27;

const TAB = 9;
const LF = 10;
const CR = 13;
const SPACE = 32;
const BACKSLASH = 92;
const EQUALS = 61;

/** What a field is: as it stands, in quotes, or with something in it that is escaped. */
const PLAIN = 0;
const QUOTED = 1;
const ESCAPED = 2;

/** Where text cannot be split; the position is `Records.row` and `Records.line`. */
export class RecordError extends Error {
  /** `quote`: one opens that is not closed, or is closed in the wrong place; `fields`: more than allowed; `long`: a record is. */
  constructor(readonly kind: "quote" | "fields" | "long") {
    super(kind);
  }
}

/** Splits text that comes in pieces. `visit` is called for each record, whose fields it reads from here; false ends it. */
export class Records {
  /** The line that the record starts at, from 1. */
  line = 1;
  /** Fields of the record. */
  count = 0;
  /** Quotes inside quoted fields so far that are neither doubled nor escaped. */
  strays = 0;
  /** Lines left out so far: comments, and those that are drawn between rows. */
  comments = 0;

  readonly #visit: (records: Records) => boolean | undefined;
  readonly #mostFields: number;
  readonly #delimiter: string;
  readonly #first: number;
  readonly #runs: boolean;
  readonly #quote: number;
  readonly #backslash: boolean;
  readonly #comment: number;
  readonly #escapes: RegExp;
  readonly #pair: string;

  #text = "";
  #waiting: string[] = [];
  #waitingLength = 0;
  #stopped = false;
  /** Characters that were split into records. */
  #done = 0;
  /** Line breaks in the record, beyond the one that ends it. */
  #breaks = 0;
  readonly #starts: number[] = [];
  readonly #ends: number[] = [];
  readonly #forms: number[] = [];

  constructor(dialect: Dialect, mostFields: number, visit: (records: Records) => boolean | undefined) {
    this.#visit = visit;
    this.#mostFields = mostFields;
    this.#runs = dialect.delimiter === " ";
    this.#delimiter = dialect.delimiter;
    this.#first = dialect.delimiter.charCodeAt(0);
    this.#quote = dialect.quote === "" ? -1 : dialect.quote.charCodeAt(0);
    this.#backslash = dialect.backslash;
    this.#comment = dialect.comment === "" ? -1 : dialect.comment.charCodeAt(0);
    this.#pair = dialect.quote + dialect.quote;
    const special = dialect.delimiter[0].replace(/[\\\]^-]/g, "\\$&");
    this.#escapes = new RegExp(
      `\\\\([\\\\"'\\n\\r${special}])${dialect.quote === "" ? "" : `|(${dialect.quote}){2}`}`,
      "g",
    );
  }

  /** Whether `visit` has ended it. */
  get stopped(): boolean {
    return this.#stopped;
  }

  /** Characters of what was split so far, without a record that is not yet complete. */
  get done(): number {
    return this.#done;
  }

  /** Takes the next piece of the text, `last` where none follows. Throws RecordError. */
  push(piece: string, last = false): void {
    this.#waiting.push(piece);
    this.#waitingLength += piece.length;
    // a record that goes on is split anew only when there is as much again of it: all in all that is linear
    if (this.#stopped || (!last && this.#waitingLength < this.#text.length)) return;
    this.#text += this.#waiting.join("");
    this.#waiting = [];
    this.#waitingLength = 0;
    let at = 0;
    while (!this.#stopped) {
      const next = this.#record(at, last);
      if (next < 0) break;
      at = next;
    }
    this.#done += at;
    this.#text = this.#text.slice(at);
    if (this.#text.length > LONGEST) throw new RecordError("long");
  }

  /** Field `index` of the record, without quotes and escapes, and without the blanks around it. */
  cell(index: number): string {
    const cell = this.#unescaped(index);
    // how a spreadsheet is told to take a number for text: ="0012"
    return cell.charCodeAt(0) === EQUALS && /^="[^"]*"$/.test(cell) ? cell.slice(2, -1) : cell;
  }

  #unescaped(index: number): string {
    const cell = this.#text.slice(this.#starts[index], this.#ends[index]);
    if (this.#forms[index] !== ESCAPED) return cell;
    return this.#backslash
      ? cell.replace(this.#escapes, (_, escaped, quote) => escaped ?? quote)
      : cell.replaceAll(this.#pair, this.#pair[0]);
  }

  /** Characters of a field, before escapes are resolved. */
  length(index: number): number {
    return this.#ends[index] - this.#starts[index];
  }

  /** Whether a field is quoted, or has escapes: it is one, whatever it holds. */
  isMarked(index: number): boolean {
    return this.#forms[index] !== PLAIN;
  }

  /** Finds the fields of the record at `at`, and hands it over; gives the position behind it, or −1 where the text ends before it does. */
  #record(at: number, last: boolean): number {
    const text = this.#text;
    const end = text.length;
    if (at >= end) return -1;
    if (text.charCodeAt(at) === this.#comment) return this.#commentLine(at, last);
    let i = at;
    this.count = 0;
    this.#breaks = 0;
    for (;;) {
      while (i < end && this.#isBlank(text.charCodeAt(i))) i++;
      let start = i;
      let stop: number;
      let form = PLAIN;
      if (i < end && text.charCodeAt(i) === this.#quote) {
        i = this.#closing(i, last);
        if (i < 0) return -1;
        form = this.#form;
        start++;
        stop = i;
        i++;
        while (i < end && this.#isBlank(text.charCodeAt(i))) i++;
      } else {
        for (; i < end; i++) {
          const code = text.charCodeAt(i);
          if (
            code === LF ||
            code === CR ||
            (code === this.#first && this.#separates(i)) ||
            (this.#runs && code === TAB)
          )
            break;
          if (code === BACKSLASH && this.#backslash && i + 1 < end) {
            form = ESCAPED;
            i++;
          }
        }
        stop = i;
        while (stop > start && isSpace(text.charCodeAt(stop - 1))) stop--;
      }
      if (i >= end && !last) return -1;
      if (this.count === this.#mostFields) throw new RecordError("fields");
      this.#starts[this.count] = start;
      this.#ends[this.count] = stop;
      this.#forms[this.count] = form;
      this.count++;
      // runs of blanks end a field once, and none is between the last one and the end of the line
      if (this.#runs) while (i < end && isSpace(text.charCodeAt(i))) i++;
      if (i >= end) {
        if (!last) return -1;
        break;
      }
      const code = text.charCodeAt(i);
      if (code === CR && i + 1 === end && !last) return -1;
      if (code === LF || code === CR) {
        i += code === CR && text.charCodeAt(i + 1) === LF ? 2 : 1;
        this.#breaks++;
        break;
      }
      if (!this.#runs) i += this.#delimiter.length;
    }
    this.#hand();
    this.line += this.#breaks;
    return i;
  }

  /** A line without any value is blank, however many delimiters it has; one that is drawn is for people. */
  #hand(): void {
    let index = 0;
    while (index < this.count && this.#ends[index] === this.#starts[index]) index++;
    if (index === this.count) return;
    if (this.#isRule(index)) this.comments++;
    else if (this.#visit(this) === false) this.#stopped = true;
  }

  /** Whether the line is drawn between rows, as in a table for people: `---+---`. */
  #isRule(from: number): boolean {
    for (let index = from; index < this.count; index++) {
      const start = this.#starts[index];
      const length = this.length(index);
      if (length === 0) continue;
      // two of its characters say no of nearly all fields
      if (
        length < 2 ||
        !isStroke(this.#text.charCodeAt(start + 1)) ||
        !isStroke(this.#text.charCodeAt(start))
      )
        return false;
      if (!/^[-=+:]+$/.test(this.cell(index))) return false;
    }
    return true;
  }

  #commentLine(at: number, last: boolean): number {
    const text = this.#text;
    let i = at;
    while (i < text.length && text.charCodeAt(i) !== LF && text.charCodeAt(i) !== CR) i++;
    if (!last && i + 1 >= text.length) return -1;
    i += text.charCodeAt(i) === CR && text.charCodeAt(i + 1) === LF ? 2 : 1;
    this.comments++;
    this.line++;
    return Math.min(i, text.length);
  }

  #form = PLAIN;

  /** The quote that closes the one at `open`: that which a delimiter or the end of a line follows. −1 where the text ends before. */
  #closing(open: number, last: boolean): number {
    const text = this.#text;
    const end = text.length;
    let form = QUOTED;
    let stray = false;
    let breaks = 0;
    for (let i = open + 1; i < end; i++) {
      const code = text.charCodeAt(i);
      if (code === BACKSLASH && this.#backslash) {
        form = ESCAPED;
        i++;
      } else if (code === this.#quote) {
        if (i + 1 >= end && !last) return -1;
        if (text.charCodeAt(i + 1) === this.#quote) {
          form = ESCAPED;
          i++;
          continue;
        }
        let next = i + 1;
        while (next < end && this.#isBlank(text.charCodeAt(next))) next++;
        if (next >= end && !last) return -1;
        const follows = next < end ? text.charCodeAt(next) : LF;
        const closes = this.#runs ? next > i + 1 : follows === this.#first && this.#separates(next);
        if (closes || follows === LF || follows === CR) {
          this.#breaks += breaks;
          this.#form = form;
          return i;
        }
        stray = true;
        this.strays++;
        if (breaks > 0) throw new RecordError("quote");
      } else if (code === LF || code === CR) {
        if (code === LF || text.charCodeAt(i + 1) !== LF) breaks++;
        // a quote that did not close the field, and a field that goes on in the next line: one of the two is a mistake
        if (stray) throw new RecordError("quote");
      }
    }
    if (last) throw new RecordError("quote");
    return -1;
  }

  /** Whether the delimiter, whose first character is at `at`, is there. */
  #separates(at: number): boolean {
    return this.#delimiter.length === 1 || this.#text.startsWith(this.#delimiter, at);
  }

  #isBlank(code: number): boolean {
    return (code === SPACE || code === TAB) && (this.#runs || code !== this.#first);
  }
}

const isSpace = (code: number): boolean => code === SPACE || code === TAB;
const isStroke = (code: number): boolean => code === 45 || code === 61 || code === 43 || code === 58;
