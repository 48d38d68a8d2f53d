/** Bytes that come in pieces of any size, cut into the records that they hold: at the ends of lines, but for those within quotes. */
import { crc32 } from "node:zlib";

/** Bytes of the longest record; what is longer is dropped, so that a source without an end of line fills no memory. */
export const LONGEST = 2 ** 20;
const LF = 10;
const CR = 13;
const QUOTE = 34;

/** How far into its source a reader is. */
export interface BytePosition {
  bytes: number;
  /** Ends of lines in them. */
  lines: number;
  /** CRC-32 of these bytes, by which a source that begins otherwise is known. */
  crc: number;
  /** They end within a line, whose rest is no record. */
  open: boolean;
}

/** Whole records, one after the other. The bytes are the cutter's own, until it is fed again. */
export interface Block {
  bytes: Buffer;
  /** Where each record ends in `bytes`, with the end of its line; blank lines before it are part of it. */
  ends: number[];
  /** The line on which each begins, from 1. */
  lines: number[];
}

/** Where a byte of CSV is: a quote opens one only at the beginning of a field. */
type Within = "start" | "plain" | "quoted" | "quote";

export class Cutter {
  /** Of CSV: what separates fields, an ASCII code. */
  delimiter: number | undefined;
  #buffer = Buffer.allocUnsafe(2 ** 17);
  /** What is there and not taken yet, and how far its first record was looked at. */
  #start = 0;
  #end = 0;
  #at = 0;
  #within: Within = "start";
  #hasEnded = false;
  readonly #position: BytePosition;

  /** @param tell of what is dropped, with its line */
  constructor(
    from: BytePosition | undefined,
    private readonly tell: (line: number, problem: string) => void,
  ) {
    this.#position = { bytes: 0, lines: 0, crc: 0, open: false, ...from };
  }

  get position(): BytePosition {
    return { ...this.#position };
  }

  feed(chunk: Buffer): void {
    const kept = this.#end - this.#start;
    if (this.#end + chunk.length > this.#buffer.length) {
      const needed = kept + chunk.length;
      const target = 2 * needed > this.#buffer.length ? Buffer.allocUnsafe(2 * needed) : this.#buffer;
      this.#buffer.copy(target, 0, this.#start, this.#end);
      this.#buffer = target;
      this.#at = Math.max(0, this.#at - this.#start);
      this.#start = 0;
      this.#end = kept;
    }
    chunk.copy(this.#buffer, this.#end);
    this.#end += chunk.length;
  }

  /** Nothing follows: what is left is the last record. */
  end(): void {
    this.#hasEnded = true;
  }

  /** The first line that is not blank, which is not taken by this; undefined until it is whole. */
  firstLine(): Buffer | undefined {
    do {
      if (!this.#atRecord()) return undefined;
      const end = this.#lineEnd(this.#start);
      const isWhole = end > 0 || this.#hasEnded;
      const length = (end > 0 ? end : this.#end) - this.#start;
      if (isWhole && length <= LONGEST) return this.#buffer.subarray(this.#start, this.#start + length);
    } while (this.#dropTooLong(this.#end));
    return undefined;
  }

  /** At least one record and at most so many; undefined until one is whole. */
  take(most: number): Block | undefined {
    for (;;) {
      if (!this.#atRecord()) return undefined;
      const from = this.#start;
      const ends: number[] = [];
      const lines: number[] = [];
      let line = this.#position.lines + 1;
      let taken = from;
      let takenLine = line;
      let end = -1;
      while (ends.length < most) {
        let begins = taken;
        for (let next = this.#blankEnd(begins); next > 0; next = this.#blankEnd(begins)) {
          begins = next;
          line++;
        }
        const found = this.#recordEnd(begins);
        end = found.end;
        if (end - begins > LONGEST) this.#at = begins;
        if (end < 0 || end - begins > LONGEST) break;
        ends.push(end - from);
        lines.push(line);
        line += found.lines;
        taken = end;
        takenLine = line;
      }
      if (ends.length > 0) {
        const bytes = this.#buffer.subarray(from, taken);
        this.#consume(taken, takenLine - this.#position.lines - 1);
        return { bytes, ends, lines };
      }
      if (!this.#dropTooLong(end)) return undefined;
    }
  }

  /** Passes over blank lines, and over the rest of a line that is no record. Whether anything follows. */
  #atRecord(): boolean {
    while (this.#position.open) {
      const end = this.#lineEnd(this.#start);
      this.#consume(end > 0 ? end : this.#end, end > 0 ? 1 : 0);
      if (end < 0) return false;
      this.#position.open = false;
    }
    for (let next = this.#blankEnd(this.#start); next > 0; next = this.#blankEnd(this.#start)) {
      this.#consume(next, 1);
    }
    return this.#start < this.#end;
  }

  /** Behind the end of the line; −1 where there is none yet. */
  #lineEnd(from: number): number {
    const found = this.#buffer.subarray(from, this.#end).indexOf(LF);
    return found < 0 ? -1 : from + found + 1;
  }

  /** Behind a blank line at `from`; −1 where there is none. */
  #blankEnd(from: number): number {
    const at = from < this.#end && this.#buffer[from] === CR ? from + 1 : from;
    return at < this.#end && this.#buffer[at] === LF ? at + 1 : -1;
  }

  /** Behind the record at `from`, and how many lines end in it; −1 where it is not whole. */
  #recordEnd(from: number): { end: number; lines: number } {
    const { delimiter } = this;
    if (delimiter === undefined) {
      const end = this.#lineEnd(Math.max(from, this.#at));
      this.#at = this.#end;
      if (end > 0) {
        this.#at = end;
        return { end, lines: 1 };
      }
      return { end: this.#hasEnded && this.#end > from ? this.#end : -1, lines: 0 };
    }
    const buffer = this.#buffer;
    const end = this.#end;
    const isNew = this.#at <= from;
    let at = isNew ? from : this.#at;
    let within: Within = isNew ? "start" : this.#within;
    for (; at < end; at++) {
      const code = buffer[at];
      if (within === "quoted") {
        if (code === QUOTE) within = "quote";
      } else if (code === LF) {
        this.#at = at + 1;
        return { end: at + 1, lines: this.#linesIn(from, at + 1) };
      } else if (code === delimiter) within = "start";
      else if (code === QUOTE && within !== "plain") within = "quoted";
      else within = "plain";
    }
    this.#at = at;
    this.#within = within;
    const isLast = this.#hasEnded && within !== "quoted" && end > from;
    return { end: isLast ? end : -1, lines: isLast ? this.#linesIn(from, end) : 0 };
  }

  #linesIn(from: number, to: number): number {
    let lines = 0;
    for (let at = this.#buffer.indexOf(LF, from); at >= 0 && at < to; at = this.#buffer.indexOf(LF, at + 1))
      lines++;
    return lines;
  }

  /** Drops the first line of a record that is too long, or whose quote nothing closes; `end` is where it ends, −1 where that is not known. */
  #dropTooLong(end: number): boolean {
    const length = (end < 0 ? this.#end : end) - this.#start;
    const isOpen = end < 0 && this.#hasEnded && length > 0;
    if (length <= LONGEST && !isOpen) return false;
    const isQuoted = this.#within === "quoted" && this.#lineEnd(this.#start) > 0;
    this.tell(
      this.#position.lines + 1,
      isOpen || isQuoted ? "a quote is not closed" : `more than ${LONGEST.toLocaleString("en-US")} bytes`,
    );
    this.#at = this.#start;
    this.#position.open = true;
    return true;
  }

  /** Up to `end`. */
  #consume(end: number, lines: number): void {
    const position = this.#position;
    position.crc = crc32(this.#buffer.subarray(this.#start, end), position.crc);
    position.bytes += end - this.#start;
    position.lines += lines;
    // the source has ended, and its last line has not
    if (end > this.#start && this.#hasEnded && end === this.#end && this.#buffer[end - 1] !== LF)
      position.open = true;
    this.#start = end;
    if (this.#at < end) this.#at = end;
  }
}
