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
  /** How the file ends, where that was asked for. */
  end: string;
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

/** Characters that are kept of a text, at least. */
export interface TextSizes {
  /** From its start; the rest is not read, unless its end is asked for. */
  most?: number;
  end?: number;
}

const WANTED = {
  text: "plain text, also packed (.gz, .zip)",
  remedy: "save it as a .txt file, or say how it is written with --encoding (utf-8, for example)",
};

/**
 * The start of the text in a source, or a little more, and its end. Throws as `unpack` and `textOf`, and UsageError for
 * a text without a letter, a digit or another sign.
 */
export async function readText(
  source: Source,
  options: ReadOptions,
  { most = Infinity, end: last = 0 }: TextSizes = {},
): Promise<PlainText> {
  const unpacked = await unpack(source, options);
  const name = baseName(unpacked.name);
  const { pieces, decisions } = await textOf(unpacked, options, WANTED);
  // a character has two code units at most, and ends of lines two characters
  const unitsOf = (characters: number) => Math.min(4 * characters, MOST);
  const read: string[] = [];
  let length = 0;
  let end = "";
  let more = false;
  for await (const piece of pieces()) {
    more = length >= unitsOf(most);
    if (more && last === 0) break;
    if (!more) read.push(piece);
    length += piece.length;
    if (last > 0) end = (end + piece).slice(-unitsOf(last));
  }
  const plain = (text: string) => text.replace(/\r\n?/g, "\n").normalize("NFC");
  const text = plain(read.join(""));
  if (!/\S/.test(text)) throw new UsageError(`${name}: the file is empty; expected a text`);
  return { name, text, more, end: last > 0 ? Array.from(plain(end)).slice(-last).join("") : "", decisions };
}

/** Whether a file with the name of a text holds prose, rather than the rows of a table. */
export async function holdsProse(source: Source, options: ReadOptions): Promise<boolean> {
  if (!/(^[^.]+|\.(txt|text|md|rst|tex|log|html?))(\.(gz|zip))?$/i.test(baseName(source.name))) return false;
  try {
    const { text } = await readText(source, options, { most: START / 4 });
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
