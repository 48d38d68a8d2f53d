/** Notations of a value that is not there. */

/** What nobody means as a value, in lower case. */
const NEVER_A_VALUE = new Set([
  "",
  ..."n/a n.a. n.a #n/a #na #nv #n/d <na> nan -nan 1.#qnan -1.#ind 1.#ind null (null) <null> nat \\n undefined".split(
    " ",
  ),
  ..."? ?? ???".split(" "),
]);
/** What a spreadsheet shows where it has no result, in any language: "#DIV/0!", "#NAME?", "#WERT!", "#¡REF!". */
const SHEET_ERROR = /^#\S+[!?]$/;

/** What is missing among numbers and dates, but may be one of the values where these are words. */
const PERHAPS_A_VALUE = new Set([
  ..."na none nil - -- --- – — . .. ... … * ** *** : unknown missing n/d n.d. k.a.".split(" "),
  "k. a.",
  "not available",
  "not applicable",
  "no data",
]);

/** Longest notation: what is longer need not be looked up. */
const LONGEST = 16;
/** The share of the rows that a level has at least, to be one where its text may also say that the value is missing. */
const LEAST_SHARE = 0.05;
/** Signs, by which the result of a test is told. */
const SIGNS = /^[+\-\u2212\u2013±/]+$/;
/** Texts of more different values are names or sentences, among which a frequent "none" is none of them. */
const MOST_LEVELS = 50;

/** Whether a text says that there is no value. */
export interface Missing {
  /** `text` is trimmed. */
  (text: string): boolean;
  /** Whether the notations are those that the user named, which mean what he says wherever they stand. */
  declared: boolean;
  /** The numbers among the declared ones. */
  numbers: ReadonlySet<number>;
}

const isDigit = (code: number): boolean => code >= 48 && code <= 57;

/** The usual notations, or those of `declared` instead; nothing at all is always one. */
export function missingNotations(declared?: readonly string[]): Missing {
  if (declared === undefined) {
    const usual = (text: string): boolean => {
      // none ends in a digit, as most cells of numbers and dates do
      if (text.length > LONGEST || isDigit(text.charCodeAt(text.length - 1))) return false;
      const lower = text.toLowerCase();
      return NEVER_A_VALUE.has(lower) || PERHAPS_A_VALUE.has(lower) || SHEET_ERROR.test(text);
    };
    return Object.assign(usual, { declared: false, numbers: new Set<number>() });
  }
  const texts = new Set(["", ...declared.map((text) => text.trim())]);
  const numbers = [...texts].filter((text) => text !== "").map(Number);
  return Object.assign((text: string) => texts.has(text), {
    declared: true,
    numbers: new Set(numbers.filter((number) => !Number.isNaN(number))),
  });
}

/**
 * Whether `notation`, which `count` of `rows` cells have, is a level of a text column whose other cells are `levels` with
 * their counts: it is frequent as they are, or written like them ("NA" beside "EU" and "AS").
 */
export function isLevel(
  notation: string,
  count: number,
  levels: ReadonlyMap<string, number>,
  rows: number,
): boolean {
  if (!PERHAPS_A_VALUE.has(notation.toLowerCase())) return false;
  if (levels.size === 0 || levels.size > MOST_LEVELS) return false;
  // among codes as among numbers
  if ([...levels.keys()].every((level) => /^\d+$/.test(level))) return false;
  // "-" beside "+" and "++"
  if ([notation, ...levels.keys()].every((level) => SIGNS.test(level))) return true;
  const alike = [...levels.keys()].filter((level) => shapeOf(level) === shapeOf(notation)).length;
  if (/^[A-Z]+$/.test(notation) && alike === levels.size) return true;
  // R's for any value that is not there, however many there are
  if (/^na$/i.test(notation)) return false;
  const rarest = Math.min(...levels.values());
  return count >= LEAST_SHARE * rows && 2 * count >= rarest;
}

const shapeOf = (text: string): string =>
  text
    .slice(0, LONGEST)
    .replace(/\p{Lu}/gu, "A")
    .replace(/\p{Ll}/gu, "a")
    .replace(/\d/g, "0");
