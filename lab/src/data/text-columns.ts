/** Columns of text: cells that can be shown, and which of them say that there is no value. */
import { count as counted } from "@evenkeel/report/format";
import { isLevel } from "./missing.js";
import { argument, onOneLine } from "./names.js";
import { DISTINCT_KEPT, HALF, type Survey, tellMissing } from "./survey.js";
import type { Value } from "./table.js";
import { shown, type Told } from "./told.js";

/**
 * Cells as text that can be shown; notations of a missing value are levels where they are like the others. Gives the
 * cells themselves where nothing of them changes. `known`: values of the column in an earlier file, which decide instead.
 */
export function asText(survey: Survey, told: Told, known?: ReadonlySet<string>): readonly Value[] {
  const { name, cells, missing, kind, declared } = survey;
  const shownAs = remembered(onOneLine);
  const isMissing = remembered(missing);
  const texts = cells.map((cell): string => {
    if (cell === null) return "";
    if (typeof cell === "string") return shownAs(cell);
    if (Number.isNaN(cell)) return "";
    return declared === "date" ? new Date(cell).toISOString() : String(cell);
  });
  const counts = new Map<string, number>();
  const notations = new Map<string, number>();
  // by runs, since most columns of many zeros have little else
  for (let row = 0, times = 1; row < texts.length; row++, times++) {
    const text = texts[row];
    if (text === texts[row + 1]) continue;
    const where = isMissing(text) ? notations : counts;
    const seen = where.get(text);
    if (seen !== undefined) where.set(text, seen + times);
    else if (text !== "" && (where === notations || counts.size < DISTINCT_KEPT)) where.set(text, times);
    times = 0;
  }
  survey.notations.clear();
  const levels = new Set<string>();
  for (const [notation, times] of notations) {
    // a format that declares its text has its own way to say that a value is missing
    const isOwn = () => known?.has(notation) ?? isLevel(notation, times, counts, cells.length);
    const own = !missing.declared && (kind === "text" || isOwn());
    if (own) levels.add(notation);
    else survey.notations.set(notation, times);
    if (own && kind !== "text") {
      told.add(`read with ${shown(notation)} as a value of its own`, name, {
        count: times,
        why: (_, count) => `in ${counted(count, "cell")}`,
        option: () => `--missing ${argument(notation)}`,
      });
    }
  }
  tellMissing(survey, told);
  const values = texts.map((text) => (text === "" || (isMissing(text) && !levels.has(text)) ? null : text));
  return values.every((value, row) => value === cells[row]) ? cells : values;
}

/** `of`, for texts that come again: the last one, and the first of many, are not worked out twice. */
function remembered<T>(of: (text: string) => T): (text: string) => T {
  const known = new Map<string, { result: T }>();
  let last: string | undefined;
  let entry: { result: T };
  return (text) => {
    if (text === last) return entry.result;
    last = text;
    const seen = known.get(text);
    entry = seen ?? { result: of(text) };
    if (seen === undefined && known.size < DISTINCT_KEPT) known.set(text, entry);
    return entry.result;
  };
}

/** Tells why a column of which much is numbers or dates is text all the same. */
export function tellText(survey: Survey, told: Told): void {
  const { name, distinct, dates, numerals, texts, values } = survey;
  if (values === 0) return;
  if (survey.ofSeveralUnits) {
    told.add("read as text", name, {
      examples: distinct.keys(),
      why: (examples) => `numbers of different units: ${examples}`,
    });
  } else if (dates >= HALF * values) {
    told.add("read as text", name, {
      examples: [...distinct.keys()].filter((text) => survey.date(text) === undefined),
      count: values - dates,
      why: (examples, count) => `${counted(count, "value is no date", "values are no dates")}: ${examples}`,
    });
  } else if (numerals >= HALF * values) {
    told.add("read as text", name, {
      examples: survey.otherTexts(),
      count: texts,
      why: (examples, count) =>
        `${counted(count, "value is no number", "values are no numbers")}: ${examples}`,
    });
  }
}
