/**
 * Texts as the numbers of their words. Which words are known is found in all rows that are used, held-out ones too: no
 * target is seen, and what a word means is learnt from the training part alone.
 */

import { UsageError } from "../errors.js";
import { UNKNOWN_TOKEN } from "./form.js";
import { argument } from "./names.js";
import type { Column } from "./table.js";

/** Words that are known: the most frequent of those in at least two rows. One of a single row says nothing of others. */
const MOST_WORDS = 10_000;
const FEWEST_ROWS = 2;
/** The share of the texts that are read to their end, as far as they have no more than so many words. */
const WHOLE_SHARE = 0.98;
const MOST_LENGTH = 128;

/** Letters and digits, with an apostrophe between them; a pictograph by itself, for it is said with it. */
const WORD = /[\p{L}\p{M}\p{N}]+(?:'[\p{L}\p{M}]+)*|\p{Extended_Pictographic}/gu;
/** Scripts that put no blanks between words. */
const UNSPACED =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]/u;

let segmenter: Intl.Segmenter | undefined;

/** The words of a text, in lower case. Where a script has no blanks, those of the engine's dictionary. */
export function* wordsOf(text: string): Generator<string> {
  const plain = text.normalize("NFKC").toLowerCase().replaceAll("’", "'");
  for (const [word] of plain.matchAll(WORD)) {
    if (!UNSPACED.test(word)) yield word;
    else {
      segmenter ??= new Intl.Segmenter("und", { granularity: "word" });
      for (const { segment } of segmenter.segment(word)) yield segment;
    }
  }
}

/** At most `length` numbers, one for each of a text's first words; a text without words is one that is unknown, so that there is something to read. */
export function tokensOf(
  text: string | null,
  numbers: ReadonlyMap<string, number>,
  length: number,
): number[] {
  const tokens: number[] = [];
  for (const word of wordsOf(text ?? "")) {
    if (tokens.length === length) return tokens;
    tokens.push(numbers.get(word) ?? UNKNOWN_TOKEN);
  }
  return tokens.length > 0 ? tokens : [UNKNOWN_TOKEN];
}

export interface Vocabulary {
  /** The most frequent first. */
  words: string[];
  /** Words that are read of a text. */
  length: number;
  /** Texts that have more. */
  cut: number;
}

/** The vocabulary of a column of texts. Throws UsageError where no word is in two rows. */
export function vocabularyOf({ name, values }: Column, rows: readonly number[]): Vocabulary {
  const rowsOf = new Map<string, number>();
  const lengths = new Int32Array(rows.length);
  for (const [at, row] of rows.entries()) {
    const seen = new Set<string>();
    for (const word of wordsOf((values[row] as string | null) ?? "")) {
      lengths[at]++;
      seen.add(word);
    }
    for (const word of seen) rowsOf.set(word, (rowsOf.get(word) ?? 0) + 1);
  }
  const words = [...rowsOf]
    .filter(([, count]) => count >= FEWEST_ROWS)
    .sort(([a, count], [b, other]) => other - count || (a < b ? -1 : 1))
    .slice(0, MOST_WORDS)
    .map(([word]) => word);
  if (words.length === 0) {
    throw new UsageError(
      `column "${name}": expected texts with words in common, got none that is in ${FEWEST_ROWS} rows; name another column with --text, or leave this one out with --ignore ${argument(name)}`,
    );
  }
  const sorted = Int32Array.from(lengths).sort();
  const usual = sorted[Math.ceil(WHOLE_SHARE * sorted.length) - 1];
  const length = Math.max(1, Math.min(MOST_LENGTH, usual));
  return { words, length, cut: sorted.filter((each) => each > length).length };
}
