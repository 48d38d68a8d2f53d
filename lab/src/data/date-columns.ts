/** Columns of dates and of times: the values of their cells, and what was decided to read them. */
import { count as counted } from "@evenkeel/report/format";
import { columnOrder, compactDateOf, type DateOrder, minutesOf, momentOf, type OrderHints } from "./dates.js";
import { MOST_SHARE, type Survey, tellMissing, textOf } from "./survey.js";
import type { Value } from "./table.js";
import { EXAMPLES, keptAsText, ofCells, suchAs, type Told } from "./told.js";

/** Dates in digits alone, where every cell is one and the name says that they are dates. */
export function compactDates(survey: Survey, told: Told): Value[] | undefined {
  const { name, whole, values, shortest, longest } = survey;
  if (values === 0) return undefined;
  if (!/date|datum|day|time|month|period|(?:^|_)(?:dt|ts)(?:$|_)/i.test(name)) return undefined;
  if (whole > 0 && (shortest !== longest || (longest !== 8 && longest !== 6))) return undefined;
  if (longest === 6 && !/date|month|period/i.test(name)) return undefined;
  if (!survey.likely((text) => compactDateOf(text) !== undefined)) return undefined;
  const moments: Value[] = [];
  for (const cell of survey.cells) {
    const text = textOf(cell);
    const moment = survey.missing(text) ? null : compactDateOf(text);
    if (moment === undefined) return undefined;
    moments.push(moment);
  }
  told.add("read as dates in digits", name, {
    examples: survey.distinct.keys(),
    why: suchAs,
    option: (columns) => `--numeric ${columns}`,
  });
  tellMissing(survey, told);
  return moments;
}

const ORDERS: Record<DateOrder, string> = {
  dmy: "day, month and year",
  mdy: "month, day and year",
  ymd: "year, month and day",
};

export function asDates(
  survey: Survey,
  hints: OrderHints,
  declared: DateOrder | undefined,
  told: Told,
): Value[] {
  const { name, missing } = survey;
  const evidence = survey.order;
  const { order, or } = columnOrder(evidence, hints, declared);
  let example = "";
  const invalid: string[] = [];
  let invalidCount = 0;
  const values = survey.cells.map((cell): Value => {
    const text = textOf(cell);
    if (missing(text)) return null;
    const parts = survey.date(text);
    const moment = parts && momentOf(parts, order);
    if (moment !== undefined) {
      if (example === "") example = text;
      return moment;
    }
    invalidCount++;
    if (invalid.length < EXAMPLES && !invalid.includes(text)) invalid.push(text);
    return null;
  });
  told.add(evidence.count > 0 ? `read as dates of ${ORDERS[order]}` : "read as dates", name, {
    examples: [or === undefined ? example : evidence.text],
    why: or === undefined ? suchAs : (examples) => `${examples} could be another order`,
    option: or === undefined ? keptAsText : () => `--dates ${or}`,
  });
  if (invalidCount > 0) {
    told.add("read with what is no date as missing", name, {
      examples: invalid,
      count: invalidCount,
      why: ofCells,
      option: keptAsText,
    });
  }
  tellMissing(survey, told);
  return values;
}

/** Times of day and spans of time, in minutes; undefined where there are none. */
export function asMinutes(survey: Survey, told: Told): Value[] | undefined {
  if (survey.values === 0 || !survey.likely((text) => minutesOf(text) !== undefined)) return undefined;
  let times = 0;
  let others = 0;
  const values = survey.cells.map((cell): Value => {
    const text = textOf(cell);
    if (survey.missing(text)) return null;
    const minutes = minutesOf(text);
    if (minutes === undefined) others++;
    else times++;
    return minutes ?? null;
  });
  if (times < MOST_SHARE * (times + others)) return undefined;
  told.add("read as hours and minutes, in minutes", survey.name, {
    examples: survey.distinct.keys(),
    count: others,
    why: (examples, count) =>
      `such as ${examples}${count > 0 ? `; ${counted(count, "other cell is", "other cells are")} missing` : ""}`,
    option: keptAsText,
  });
  tellMissing(survey, told);
  return values;
}
