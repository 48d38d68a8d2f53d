/** Plain text: a book, a log, messages; packed or not, in any encoding. */
import { UsageError } from "../../errors.js";
import type { Decision, ReadOptions } from "../table.js";
import { baseName, type Source, textOf } from "./source.js";
import { unpack } from "./unpack.js";

/** What a file says. */
export interface PlainText {
  /** The name of the file, without folders and what packed it. */
  name: string;
  /** Lines end with \n, and letters with accents are one character each (NFC). */
  text: string;
  /** Whether the file goes on. */
  more: boolean;
  decisions: Decision[];
}

/** Lines by which prose is told from a table, and of these those with as many fields as the others. */
const LINES = 50;
const ALIKE = 0.9;
const START = 20_000;
const DELIMITERS = ["\t", ";", "|", ","];
/** The largest share of digits, and the least words of a line. */
const MOST_DIGITS = 0.15;
const FEWEST_WORDS = 4;

/** Code units of a text at most: as strings of all engines can hold. */
const MOST = 2 ** 28;

/**
 * The first `most` characters of the text in a source, or a little more; no more of it is kept. Throws as `unpack` and `textOf`, and UsageError for
 * a text without a letter, a digit or another sign.
 */
export async function readText(source: Source, options: ReadOptions, most = Infinity): Promise<PlainText> {
  const unpacked = await unpack(source, options);
  const name = baseName(unpacked.name);
  const { pieces, decisions } = await textOf(unpacked, options);
  // a character has two code units at most, and ends of lines two characters
  const enough = Math.min(4 * most, MOST);
  const read: string[] = [];
  let length = 0;
  let more = false;
  for await (const piece of pieces()) {
    if (length >= enough) {
      more = true;
      break;
    }
    read.push(piece);
    length += piece.length;
  }
  const text = read.join("").replace(/\r\n?/g, "\n").normalize("NFC");
  if (!/\S/.test(text)) throw new UsageError(`${name}: the file is empty; expected a text`);
  return { name, text, more, decisions };
}

/** Whether a file with the name of a text holds prose, rather than the rows of a table. */
export async function holdsProse(source: Source, options: ReadOptions): Promise<boolean> {
  if (!/\.(txt|text|md)(\.(gz|zip))?$/i.test(source.name)) return false;
  try {
    const { text } = await readText(source, options, START / 4);
    return isProse(text.slice(0, START));
  } catch (error) {
    // whoever reads it as a table says what is wrong
    if (error instanceof UsageError) return false;
    throw error;
  }
}

function isProse(text: string): boolean {
  const lines = text
    .split("\n")
    .filter((line) => /\S/.test(line))
    .slice(0, LINES);
  const isTable = DELIMITERS.some((delimiter) => {
    const counts = lines.map((line) => line.split(delimiter).length - 1);
    const usual = [...counts].sort((a, b) => a - b)[counts.length >> 1];
    return usual > 0 && counts.filter((fields) => fields === usual).length >= ALIKE * counts.length;
  });
  const words = lines.reduce((sum, line) => sum + (line.match(/\p{L}{2,}/gu)?.length ?? 0), 0);
  const digits = text.match(/\p{N}/gu)?.length ?? 0;
  return !isTable && digits <= MOST_DIGITS * text.length && words >= FEWEST_WORDS * lines.length;
}
