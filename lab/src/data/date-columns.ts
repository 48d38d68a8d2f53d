/** Columns of dates and of times: the values of their cells, and what was decided to read them. */
import {
  columnOrder,
  compactDateOf,
  type DateOrder,
  minutesOf,
  momentOf,
  type OrderHints,
  pivotOf,
} from "./dates.js";
import { MOST_SHARE, type Survey, tellMissing, textOf } from "./survey.js";
import type { Value } from "./table.js";
import { EXAMPLES, keptAsText, ofCells, suchAs, type Told } from "./told.js";

/** Dates in digits alone, where most cells are one and the name says that they are dates. */
export function compactDates(survey: Survey, told: Told): Value[] | undefined {
  const { name } = survey;
  if (!/date|datum|day|time|month|period|(?:^|_)(?:dt|ts)(?:$|_)/i.test(name)) return undefined;
  // six digits may be a time of day, or a number like any other
  const least = /date|month|period/i.test(name) ? 6 : 8;
  const dateIn = (text: string) => (text.length < least ? undefined : compactDateOf(whole(text)));
  if (survey.values === 0 || !survey.likely((text) => dateIn(text) !== undefined)) return undefined;
  const read = new Reading(survey, dateIn);
  if (read.others > (1 - MOST_SHARE) * survey.values) return undefined;
  told.add("read as dates in digits", name, {
    examples: survey.distinct.keys(),
    why: suchAs,
    option: (columns) => `--numeric ${columns}`,
  });
  read.tell("date", told);
  return read.values;
}

/** As pandas writes whole numbers beside missing ones: 20240131.0 */
const whole = (text: string): string => (text.endsWith(".0") ? text.slice(0, -2) : text);

/** The values of a column, null where it has none or where `read` gives none for its text. */
class Reading {
  readonly values: Value[];
  /** The first text that has a value. */
  example = "";
  /** Cells without one that are not missing, and some of them. */
  others = 0;
  private readonly otherTexts = new Set<string>();

  constructor(
    private readonly survey: Survey,
    read: (text: string) => number | undefined,
  ) {
    this.values = survey.cells.map((cell): Value => {
      const text = textOf(cell);
      if (survey.missing(text)) return null;
      const value = read(text);
      if (value === undefined) {
        this.others++;
        if (this.otherTexts.size < EXAMPLES) this.otherTexts.add(text);
        return null;
      }
      if (this.example === "") this.example = text;
      return value;
    });
  }

  /** Tells of what is missing, `others` being what its texts are not. */
  tell(others: string, told: Told): void {
    if (this.others > 0) {
      told.add(`read with what is no ${others} as missing`, this.survey.name, {
        examples: this.otherTexts,
        count: this.others,
        why: ofCells,
        option: keptAsText,
      });
    }
    tellMissing(this.survey, told);
  }
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
  const { name } = survey;
  const evidence = survey.order;
  const { order, or } = columnOrder(evidence, hints, declared);
  const pivot = pivotOf(evidence, order);
  const read = new Reading(survey, (text) => {
    const parts = survey.date(text);
    return parts && momentOf(parts, order, pivot);
  });
  told.add(evidence.count > 0 ? `read as dates of ${ORDERS[order]}` : "read as dates", name, {
    examples: [or === undefined ? read.example : evidence.text],
    why: or === undefined ? suchAs : (examples) => `${examples} could be another order`,
    option: or === undefined ? keptAsText : () => `--dates ${or}`,
  });
  read.tell("date", told);
  return read.values;
}

/** Times of day and spans of time, in minutes; undefined where there are none. */
export function asMinutes(survey: Survey, told: Told): Value[] | undefined {
  if (survey.values === 0 || !survey.likely((text) => minutesOf(text) !== undefined)) return undefined;
  const read = new Reading(survey, minutesOf);
  if (read.others > (1 - MOST_SHARE) * survey.values) return undefined;
  told.add("read as hours and minutes, in minutes", survey.name, {
    examples: survey.distinct.keys(),
    why: suchAs,
    option: keptAsText,
  });
  read.tell("time", told);
  return read.values;
}
