/** Columns of numbers: the values of their cells, and what was decided to read them. */
import { count as counted, listed, quote } from "@evenkeel/report/format";
import { UsageError } from "../errors.js";
import { argument } from "./names.js";
import { namesThings } from "./nature.js";
import { columnDecimal, type Decimal, hasThousands, type Mark, numberOf } from "./numbers.js";
import { FACTORS, MOST_LEVELS, type Survey, tellMissing, textOf } from "./survey.js";
import type { ReadOptions, Value } from "./table.js";
import { EXAMPLES, keptAsText, ofCells, SHOWN, shown, suchAs, type Told } from "./told.js";

/** The share of the values that texts are at least, to be levels beside numbers. */
const LEVEL_SHARE = 0.05;

/** Whether the numbers of a column are names or levels, which say less as numbers. */
export function staysText(survey: Survey, told: Told): boolean {
  const { name, texts, values, distinct, whole, zeros, large, shortest, longest } = survey;
  const numeric = (columns: string) => `--numeric ${columns}`;
  if (texts > 0 && namesThings(name)) {
    told.add("read as text", name, {
      examples: survey.otherTexts(),
      why: (examples) => `${examples} beside numbers, where things are named`,
    });
    return true;
  }
  const few = distinct.size <= Math.min(MOST_LEVELS, values / 2);
  if (texts > 0 && few && texts >= LEVEL_SHARE * values) {
    const others = survey.otherTexts();
    if (others.some((text) => (distinct.get(text) ?? 0) > 1)) {
      told.add("read as text", name, {
        examples: others,
        why: (examples) => `${examples} beside numbers, as frequent as levels are`,
      });
      return true;
    }
  }
  if (whole < values - texts || whole === 0) return false;
  if (2 * large >= whole) {
    told.add("kept as text", name, {
      examples: distinct.keys(),
      why: (examples) => `whole numbers such as ${examples} would be rounded`,
      option: numeric,
    });
    return true;
  }
  // 01 to 12 are the numbers of months; longer ones are codes
  if (zeros > 0 && longest > 2 && (shortest === longest || 2 * zeros >= whole)) {
    told.add("kept as text", name, {
      examples: [...distinct.keys()].filter((text) => text.startsWith("0")),
      why: (examples) => `codes with leading zeros, such as ${examples}`,
      option: numeric,
    });
    return true;
  }
  return false;
}

/** Finite numbers of a column in which the format has numbers; its cells themselves, where they are nothing else. */
export function finite(survey: Survey, told: Told): readonly Value[] {
  const { name, missing, cells } = survey;
  const isKept = (cell: Value) =>
    cell === null || (Number.isFinite(cell) && !missing.numbers.has(cell as number));
  if (cells.every(isKept)) return cells;
  return cells.map((cell) => {
    if (cell === null || Number.isNaN(cell)) return null;
    const value = typeof cell === "number" ? cell : Number(cell);
    if (missing.numbers.has(value) || (typeof cell === "string" && missing(cell))) return null;
    if (Number.isFinite(value)) return value;
    told.add(Number.isNaN(value) ? OTHER_TEXT : NOT_FINITE, name, {
      examples: [String(cell)],
      count: 1,
      why: ofCells,
    });
    return null;
  });
}

const NOT_FINITE = "read with infinite values as missing";
const OTHER_TEXT = "read as numbers, with other text as missing";

const MARKS: Record<Mark, [what: string, why: (examples: string) => string]> = {
  currency: ["read as numbers without the currency", suchAs],
  percent: ["read as the numbers before %", suchAs],
  footnote: ["read as numbers without footnotes", suchAs],
  parentheses: ["read with parentheses as a minus sign", suchAs],
  plus: ["read as the numbers before +", suchAs],
  ordinal: ["read as numbers without st, nd, rd and th", suchAs],
  hexadecimal: ["read as hexadecimal numbers", suchAs],
};

const GROUPS: Record<string, string> = {
  "'": "apostrophes",
  "’": "apostrophes",
  "´": "apostrophes",
  "`": "apostrophes",
  ʼ: "apostrophes",
  _: "underscores",
};

export function asNumbers(
  survey: Survey,
  file: { decimal: Decimal | undefined; semicolons: boolean },
  options: ReadOptions,
  told: Told,
  place: (row: number) => string,
): Value[] {
  const { name, evidence, missing } = survey;
  const { decimal, sure } = columnDecimal(evidence, file.decimal, options.decimal, file.semicolons);
  let thousands = "";
  let neutral = "";
  let foreign = "";
  const others: string[] = [];
  let otherCount = 0;
  const values = survey.cells.map((cell, row): Value => {
    if (cell === null) return null;
    let value: number;
    if (typeof cell === "number") value = cell;
    else {
      const text = textOf(cell);
      if (missing(text)) return null;
      const numeral = survey.numeral(text);
      if (numeral === undefined) {
        if (survey.forced === "number") {
          throw new UsageError(
            `${place(row)}, column ${quote(name, SHOWN)}: expected a number, got ${quote(text, SHOWN)}; correct the value, name it with --missing, or leave out --numeric ${argument(name)}`,
          );
        }
        otherCount++;
        if (others.length < EXAMPLES && !others.includes(text)) others.push(text);
        return null;
      }
      value = numberOf(numeral, decimal) * (survey.factors ? (FACTORS.get(numeral.unit) ?? 1) : 1);
      if (thousands === "" && hasThousands(numeral, decimal)) thousands = text;
      if (neutral === "") neutral = numeral.groups === "" ? "" : text;
      if (foreign === "" && numeral.decimal !== undefined && numeral.decimal !== decimal) foreign = text;
    }
    if (Number.isNaN(value) || missing.numbers.has(value)) return null;
    if (Number.isFinite(value)) return value;
    told.add(NOT_FINITE, name, { examples: [String(cell).trim()], count: 1, why: ofCells });
    return null;
  });

  const beside = (text: string) =>
    evidence.wholeText === ""
      ? `such as ${shown(text)}`
      : `${shown(text)} beside ${shown(evidence.wholeText)}`;
  const proven = evidence.decimal !== undefined;
  const otherwise = () => (proven ? undefined : `--decimal ${decimal === "." ? "," : "."}`);
  if (thousands !== "") {
    const what = `read with thousands separated by ${decimal === "." ? "commas" : "dots"}`;
    told.add(what, name, { why: () => beside(thousands), option: otherwise });
  } else if (!sure) {
    const { unclearText } = evidence;
    const other = unclearText.replace(decimal, "");
    told.add(`read with a decimal ${decimal === "." ? "point" : "comma"}`, name, {
      why: () => `${shown(unclearText)} could be ${shown(other)} too`,
      option: otherwise,
    });
  }
  const proof = evidence.proofTexts[decimal];
  if (proof !== "" && decimal !== (options.decimal ?? ".")) {
    told.add(`read with a decimal ${decimal === "." ? "point" : "comma"}`, name, {
      why: () => `such as ${shown(proof)}`,
      // against the rest of the file it may be something else, such as a list
      option: (columns) => (file.decimal === decimal ? undefined : keptAsText(columns)),
    });
  }
  if (foreign !== "") {
    told.add("read with decimal points and commas alike", name, { why: () => `such as ${shown(foreign)}` });
  }
  if (neutral !== "") {
    const separator = /['’´`ʼ_]/.exec(neutral)?.[0] ?? " ";
    told.add(`read with thousands separated by ${GROUPS[separator] ?? "blanks"}`, name, {
      why: () => `such as ${shown(neutral)}`,
      option: keptAsText,
    });
  }
  if (survey.zeros > 0) {
    const zeros = [...survey.distinct.keys()].filter((text) => /^0\d/.test(text));
    told.add("read as numbers without leading zeros", name, {
      examples: zeros,
      why: suchAs,
      option: keptAsText,
    });
  }
  for (const [mark, text] of survey.marks) {
    const [what, why] = MARKS[mark];
    told.add(what, name, { examples: [text], why, option: keptAsText });
  }
  if (survey.unit !== undefined) {
    told.add(`read as numbers of ${shown([...survey.units][0])}`, name, { option: keptAsText });
  }
  if (survey.factors) {
    told.add(`read with ${listed([...survey.units])} as powers of a thousand`, name, {
      option: keptAsText,
    });
  }
  if (otherCount > 0) {
    told.add(OTHER_TEXT, name, {
      examples: others,
      count: otherCount,
      why: ofCells,
      option: keptAsText,
    });
  }
  tellMissing(survey, told);
  tellSentinel(name, values, told);
  return values;
}

const SENTINELS = new Set([-9, -99, -999, -9999, -99999, 99, 999, 9999, 99999, 999999]);

/** A value that may stand for a missing one, as it lies far from all others and comes again and again. */
function tellSentinel(name: string, values: readonly Value[], told: Told): void {
  // the two least and the two largest different values, and how often the outer ones come
  let [least, second, leastTimes] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY, 0];
  let [most, secondMost, mostTimes] = [Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY, 0];
  for (const value of values) {
    if (typeof value !== "number") continue;
    if (value === least) leastTimes++;
    else if (value < least) [least, second, leastTimes] = [value, least, 1];
    else if (value < second) second = value;
    if (value === most) mostTimes++;
    else if (value > most) [most, secondMost, mostTimes] = [value, most, 1];
    else if (value > secondMost) secondMost = value;
  }
  const often = (times: number) => times >= Math.max(2, 0.005 * values.length);
  const far = (gap: number, range: number) => range > 0 && gap > 2 * range;
  if (least < 0 && SENTINELS.has(least) && often(leastTimes) && far(second - least, most - second)) {
    tell(least, leastTimes);
  } else if (SENTINELS.has(most) && often(mostTimes) && far(most - secondMost, secondMost - least)) {
    tell(most, mostTimes);
  }

  function tell(sentinel: number, times: number): void {
    told.add(`read with ${sentinel} as a number`, name, {
      count: times,
      why: (_, count) =>
        `in ${counted(count, "cell")}, far from all others: it may stand for a missing value`,
      option: () => `--missing ${sentinel < 0 ? `"${sentinel}"` : sentinel}`,
    });
  }
}
