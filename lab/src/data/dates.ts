/** Dates and times as people write them, in UTC. No text longer than a date can be is looked at. */
import { latinDigits } from "./numbers.js";

/** The order of the parts of a date in digits. */
export type DateOrder = "dmy" | "mdy" | "ymd";

/** What was read of a cell: a moment, but for the order of three numbers where that is open. */
export interface DateParts {
  /** [first, second, third], where any order is possible; third is a year where it has four digits. */
  open?: readonly [number, number, number];
  /** Whether the third number of `open` has four digits. */
  year?: boolean;
  /** [year, month, day] where these are known, but not the century. */
  short?: readonly [number, number, number];
  /** Days since 1970 where all is known. */
  day: number;
  /** Of the time of day, less the offset of its zone. */
  ms: number;
}

const SHORTEST = 5;
const LONGEST = 64;
const DAY = 86_400_000;
/** Years of what may be another number than a date. */
const EARLIEST = 1800;
const LATEST = 2100;
/** Languages whose names of months and weekdays are known; where two differ, the first. */
const LANGUAGES = "en de fr es it pt nl sv da nb fi pl cs hu ro tr ru uk".split(" ");
/** Hours that abbreviated zones are ahead of UTC: those of RFC 822, and others that mean one zone only. */
const ZONES: Record<string, number> = {
  ...{ est: -5, edt: -4, cst: -6, cdt: -5, mst: -7, mdt: -6, pst: -8, pdt: -7 },
  ...{ wet: 0, west: 1, cet: 1, cest: 2, eet: 2, eest: 3, msk: 3, jst: 9, kst: 9, aest: 10, aedt: 11 },
};

/** Names and abbreviations in lower case, without a dot: which month (1 to 12), or weekday, each is. */
function namesOf(part: "month" | "weekday", count: number): ReadonlyMap<string, number> {
  const names = new Map<string, number>();
  for (const language of LANGUAGES) {
    for (const length of ["long", "short"] as const) {
      const alone = new Intl.DateTimeFormat(language, { [part]: length, timeZone: "UTC" });
      // beside a day, some languages decline the month
      const beside = new Intl.DateTimeFormat(language, { [part]: length, day: "numeric", timeZone: "UTC" });
      for (let index = 0; index < count; index++) {
        // the first of January 2024 was a Monday
        const date = part === "month" ? Date.UTC(2024, index, 1) : Date.UTC(2024, 0, index + 1);
        for (const { type, value } of [...alone.formatToParts(date), ...beside.formatToParts(date)]) {
          const name = value.toLowerCase().replace(/\.$/, "");
          if (type === part && !names.has(name)) names.set(name, index + 1);
        }
      }
    }
  }
  return names;
}

// made when the first name is met, which most files never do
let months: ReadonlyMap<string, number> | undefined;
let weekdays: ReadonlyMap<string, number> | undefined;

/** 1 to 12, 0 for what is no month. */
function monthOf(name: string): number {
  months ??= new Map([...namesOf("month", 12), ["sept", 9]]);
  return months.get(name.toLowerCase()) ?? 0;
}

function isWeekday(name: string): boolean {
  weekdays ??= namesOf("weekday", 7);
  return weekdays.has(name.toLowerCase());
}

const NAMED_ZONE = `(Z|UTC|GMT|${Object.keys(ZONES).join("|")})`;
const ZONE = String.raw`(?:\s*(?:${NAMED_ZONE}(?![a-z]))?\s*([+\-\u2212]\d{1,2}(?::?\d{2})?)?(?:\s*[([][\w/ +:-]*[)\]])?)`;
const CLOCK = String.raw`(\d{1,2})[:.h](\d{1,2})(?:[:.](\d{1,2})(?:[.,](\d{1,9}))?)?(?:\s*([ap])\.?m\.?|\s*Uhr)?`;
const TIME = `(?:(?:\\s*T|,?\\s+|:|_)${CLOCK}${ZONE})?$`;
const NAME = String.raw`(\p{L}{3,12})\.?`;
const NTH = "(?:st|nd|rd|th|er)?";
const BETWEEN = "(?:[-/ .,']|of |de )*";

const DIGITS_FIRST = {
  yearFirst: new RegExp(String.raw`^(\d{4})([-/.])(\d{1,2})\2(\d{1,2})${TIME}`, "i"),
  yearLast: new RegExp(String.raw`^(\d{1,2})([-/.])(\d{1,2})\2(\d{4}|\d{2})${TIME}`, "i"),
  dayName: new RegExp(String.raw`^(\d{1,2})${NTH}${BETWEEN}${NAME}${BETWEEN}(\d{4}|\d{2})${TIME}`, "iu"),
  yearName: new RegExp(String.raw`^(\d{4})[-/ ]?${NAME}[-/ ]?(\d{1,2})${TIME}`, "iu"),
  yearMonth: /^(\d{4})[-/](\d{1,2})$/,
  monthYear: /^(\d{1,2})[-/](\d{4})$/,
  yearMonthName: new RegExp(String.raw`^(\d{4})[-/ ]?${NAME}$`, "iu"),
  yearQuarter: /^(\d{4})[-/ ]?Q([1-4])$/i,
  quarterFirst: /^([1-4])Q(\d{4}|\d{2})$/i,
  yearM: /^(\d{4})[-/ ]?M(\d{1,2})$/i,
  week: /^(\d{4})-?W(\d{2})(?:-?([1-7]))?$/i,
  basic: /^(\d{4})(\d{2})(\d{2})T(\d{2})(\d{2})(?:(\d{2})(?:\.(\d{1,9}))?)?(Z)?$/,
};
const NAME_FIRST = {
  nameDay: new RegExp(String.raw`^${NAME}[ -]*(\d{1,2})${NTH}[,\s-]\s*(\d{4})${TIME}`, "iu"),
  // date(1) and C's ctime put the year at the end
  ctime: new RegExp(
    String.raw`^${NAME}\s+(\d{1,2})\s+${CLOCK}\s+(?:${NAMED_ZONE}\s+)?(?:([+-]\d{2}:?\d{2})\s+)?(\d{4})$`,
    "iu",
  ),
  nameYear: new RegExp(String.raw`^${NAME}[-/ ,]*(\d{4})$`, "iu"),
  nameShortYear: new RegExp(String.raw`^${NAME}[-'’](\d{2})$`, "iu"),
  quarterYear: /^Q([1-4])[-/ ]?(\d{4})$/i,
};

/** The date in `text`, trimmed; undefined where it holds none, or one that the calendar has not. */
export function dateOf(text: string): DateParts | undefined {
  if (text.length < SHORTEST - 1 || text.length > LONGEST) return undefined;
  const plain = isAscii(text) ? text : plainDigits(text);
  const first = plain.charCodeAt(0);
  if (first < 48 || first > 57) return /^\p{L}.*\d/su.test(plain) ? nameFirst(plain) : undefined;
  // "31. 12. 2020" and "2020. 12. 31."
  return digitsFirst(plain.includes(". ") ? plain.replace(/\. (?=\d)/g, ".").replace(/\.$/, "") : plain);
}

const isAscii = (text: string): boolean => !/[^\x20-\x7e]/.test(text);

/** With the digits of ASCII, and without the words for year, month and day of East Asia. */
const plainDigits = (text: string): string =>
  latinDigits(text)
    .replace(/(\d)[年月년월]\s*(?=\d)/g, "$1-")
    .replace(/(\d)[日일月월]/, "$1");

function digitsFirst(text: string): DateParts | undefined {
  const { yearFirst, yearLast, dayName, yearName } = DIGITS_FIRST;
  let found = yearFirst.exec(text);
  if (found) return at(Number(found[1]), Number(found[3]), Number(found[4]), found, 5);
  found = yearLast.exec(text);
  if (found) {
    const ms = msOf(found, 5);
    if (ms === undefined) return undefined;
    const open = [Number(found[1]), Number(found[3]), Number(found[4])] as const;
    return { open, year: found[4].length === 4, day: 0, ms };
  }
  const letter = /\p{L}/u.test(text);
  if (letter) {
    found = dayName.exec(text);
    if (found) return ofYear(found[3], monthOf(found[2]), Number(found[1]), found, 4);
    found = yearName.exec(text);
    if (found) return at(Number(found[1]), monthOf(found[2]), Number(found[3]), found, 4);
    found = DIGITS_FIRST.yearMonthName.exec(text);
    if (found) return at(Number(found[1]), monthOf(found[2]), 1);
    found = DIGITS_FIRST.yearQuarter.exec(text);
    if (found) return at(Number(found[1]), 3 * Number(found[2]) - 2, 1);
    found = DIGITS_FIRST.quarterFirst.exec(text);
    if (found) return ofYear(found[2], 3 * Number(found[1]) - 2, 1);
    found = DIGITS_FIRST.yearM.exec(text);
    if (found) return ofMonth(Number(found[1]), Number(found[2]));
    found = DIGITS_FIRST.week.exec(text);
    if (found) return ofWeek(Number(found[1]), Number(found[2]), Number(found[3] ?? 1));
    found = DIGITS_FIRST.basic.exec(text);
    if (!found) return undefined;
    const clock = `${found[4]}:${found[5]}${found[6] === undefined ? "" : `:${found[6]}`}`;
    return dateOf(
      `${found[1]}-${found[2]}-${found[3]}T${clock}${found[7] === undefined ? "" : `.${found[7]}`}`,
    );
  }
  found = DIGITS_FIRST.yearMonth.exec(text);
  if (found) return ofMonth(Number(found[1]), Number(found[2]));
  found = DIGITS_FIRST.monthYear.exec(text);
  return found ? ofMonth(Number(found[2]), Number(found[1])) : undefined;
}

/** A month that some language has for a weekday too is a month where that makes a date: "Mar 5, 2024". */
function nameFirst(text: string): DateParts | undefined {
  return monthFirst(text) ?? afterWeekday(text);
}

function afterWeekday(given: string): DateParts | undefined {
  const text = given.replace(/^(\p{L}+)\.?,?\s+/u, (all, word) => (isWeekday(word) ? "" : all));
  if (text === given) return undefined;
  return text.length >= SHORTEST && /^\d/.test(text) ? digitsFirst(text) : monthFirst(text);
}

function monthFirst(text: string): DateParts | undefined {
  const { nameDay, ctime, nameYear, nameShortYear, quarterYear } = NAME_FIRST;
  let found = nameDay.exec(text);
  if (found) return at(Number(found[3]), monthOf(found[1]), Number(found[2]), found, 4);
  found = ctime.exec(text);
  if (found) return at(Number(found[10]), monthOf(found[1]), Number(found[2]), found, 3);
  found = nameYear.exec(text);
  if (found) return at(Number(found[2]), monthOf(found[1]), 1);
  found = nameShortYear.exec(text);
  if (found) return ofYear(found[2], monthOf(found[1]), 1);
  found = quarterYear.exec(text);
  return found ? at(Number(found[2]), 3 * Number(found[1]) - 2, 1) : undefined;
}

/** With a year of two or four digits. */
function ofYear(
  digits: string,
  month: number,
  day: number,
  found?: RegExpExecArray,
  clock = 0,
): DateParts | undefined {
  const year = Number(digits);
  if (digits.length > 2) return at(year, month, day, found, clock);
  const parts = at(2000 + year, month, day, found, clock);
  return parts && { ...parts, short: [year, month, day] };
}

function at(
  year: number,
  month: number,
  day: number,
  found?: RegExpExecArray,
  clock = 0,
): DateParts | undefined {
  const days = daysOf(year, month, day);
  const ms = found === undefined ? 0 : msOf(found, clock);
  return days === undefined || ms === undefined ? undefined : { day: days, ms };
}

/** A month in digits; of no century that numbers such as 1001-12 may be of. */
const ofMonth = (year: number, month: number): DateParts | undefined =>
  year < EARLIEST || year > LATEST ? undefined : at(year, month, 1);

/** Days since 1970; undefined for a date that the calendar has not. */
function daysOf(year: number, month: number, day: number): number | undefined {
  if (month < 1 || month > 12 || day < 1 || day > 31) return undefined;
  // 400 years on, when the calendar is the same: Date.UTC takes the years below 100 for those of 1900
  const later = Date.UTC(year + 400, month - 1, day);
  if (day > 28 && new Date(later).getUTCDate() !== day) return undefined;
  return later / DAY - 146_097;
}

/** Of the groups of `CLOCK` and `ZONE` from the one of the hour on: 0 without a time; undefined for one that no clock shows. */
function msOf(found: RegExpExecArray, hourAt: number): number | undefined {
  if (found[hourAt] === undefined) return 0;
  let hour = Number(found[hourAt]);
  const minute = Number(found[hourAt + 1]);
  const second = Number(found[hourAt + 2] ?? 0);
  const half = found[hourAt + 4]?.toLowerCase();
  if (half !== undefined) {
    if (hour < 1 || hour > 12) return undefined;
    hour = (hour % 12) + (half === "p" ? 12 : 0);
  }
  // 24:00 is the end of the day, and 60 a leap second
  if (hour > 24 || minute > 59 || second > 60 || (hour === 24 && minute + second > 0)) return undefined;
  const fraction = Number(`0.${found[hourAt + 3] ?? 0}`);
  const offset = /^([+\-\u2212])(\d{1,2}):?(\d{2})?$/.exec(found[hourAt + 6] ?? "");
  const minutes = offset
    ? (Number(offset[2]) * 60 + Number(offset[3] ?? 0)) * (offset[1] === "+" ? 1 : -1)
    : 60 * (ZONES[found[hourAt + 5]?.toLowerCase() ?? ""] ?? 0);
  return ((hour * 60 + minute - minutes) * 60 + second) * 1000 + Math.floor(fraction * 1000);
}

function ofWeek(year: number, week: number, weekday: number): DateParts | undefined {
  if (week < 1 || week > 53) return undefined;
  const fourth = daysOf(year, 1, 4) as number;
  // 1970-01-01 was a Thursday; the fourth of January is in the first week
  const monday = fourth - ((((fourth + 3) % 7) + 7) % 7);
  return { day: monday + 7 * (week - 1) + weekday - 1, ms: 0 };
}

/**
 * Milliseconds since 1970, the open parts being in `order` and years of two digits from `pivot` on of the 20th century,
 * those below of the 21st; undefined where they cannot be. The usual pivot is that of POSIX, near enough.
 */
export function momentOf(parts: DateParts, order: DateOrder, pivot = 70): number | undefined {
  const { open, short, ms } = parts;
  if (open === undefined && short === undefined) return parts.day * DAY + ms;
  if (order === "ymd" && parts.year) return undefined;
  const [year, month, day] = short ?? inOrder(open as NonNullable<typeof open>, order);
  const days = daysOf(parts.year ? year : year + (year < pivot ? 2000 : 1900), month, day);
  return days === undefined ? undefined : days * DAY + ms;
}

/** [year, month, day] */
function inOrder(
  [first, second, third]: readonly [number, number, number],
  order: DateOrder,
): readonly [number, number, number] {
  if (order === "ymd") return [first, second, third];
  return order === "dmy" ? [third, second, first] : [third, first, second];
}

/** What the dates of one column say of the order of their parts. */
export class OrderEvidence {
  /** How many can be read in each order. */
  readonly fits: Record<DateOrder, number> = { dmy: 0, mdy: 0, ymd: 0 };
  /** How many are open, how many of these are dotted, how many have 1 as their first, and as their second part. */
  count = 0;
  dotted = 0;
  readonly ones: [number, number] = [0, 0];
  /** The different first, and third parts, and the years of two digits where the order is known. */
  readonly firsts = new Set<number>();
  readonly thirds = new Set<number>();
  readonly shorts = new Set<number>();
  /** The first open one. */
  text = "";

  add(parts: DateParts, text: string): void {
    if (parts.short) this.shorts.add(parts.short[0]);
    if (parts.open === undefined) return;
    if (this.count === 0) this.text = text;
    this.count++;
    if (/^\D*\d+\./.test(text)) this.dotted++;
    for (const order of ORDERS) if (momentOf(parts, order) !== undefined) this.fits[order]++;
    const [first, second, third] = parts.open;
    if (first === 1) this.ones[0]++;
    if (second === 1) this.ones[1]++;
    this.firsts.add(first);
    this.thirds.add(third);
  }

  /** The orders that fit best. */
  get orders(): DateOrder[] {
    const most = Math.max(...Object.values(this.fits));
    return ORDERS.filter((order) => this.fits[order] === most);
  }
}

const ORDERS: readonly DateOrder[] = ["dmy", "mdy", "ymd"];
/** Years that the last date of a file is hardly after, or before. */
const LAST_YEARS = { most: 2049, least: 1990 };

/** The pivot (see `momentOf`) by which a column's dates lie closest together, and end in our time. */
export function pivotOf({ firsts, thirds, shorts }: OrderEvidence, order: DateOrder): number | undefined {
  const open = order === "ymd" ? firsts : thirds;
  const years = [...shorts, ...[...open].filter((year) => year < 100)].sort((a, b) => a - b);
  let best: { pivot: number; cost: number } | undefined;
  for (const pivot of [...years, 100]) {
    const full = years.map((year) => year + (year < pivot ? 2000 : 1900));
    const last = Math.max(...full);
    const cost = last - Math.min(...full) + Math.max(0, LAST_YEARS.least - last);
    if (last <= LAST_YEARS.most && (best === undefined || cost < best.cost)) best = { pivot, cost };
  }
  return best?.pivot;
}

/** What the rest of a file says of the order of its dates: other dates of a sure order, and its decimals. */
export interface OrderHints {
  order?: DateOrder;
  decimalComma: boolean;
}

/**
 * The order of a column's dates: what alone fits best; else `declared`, or what its file hints at; else the
 * usual one for how they look. `or` is an order that is as possible.
 */
export function columnOrder(
  column: OrderEvidence,
  hints: OrderHints,
  declared: DateOrder | undefined,
): { order: DateOrder; or?: DateOrder } {
  // of random days, no more than 12 in 30 can be read in the wrong order
  if (declared !== undefined && 2 * column.fits[declared] > column.count) return { order: declared };
  const { orders, dotted, count, ones } = column;
  if (orders.length === 1 || count === 0) return { order: orders[0] };
  if (hints.order !== undefined && orders.includes(hints.order)) return { order: hints.order };
  if (orders.includes("dmy") && 2 * dotted > count) return { order: "dmy" };
  const all = orders.includes("mdy") && orders.includes("dmy");
  const [first, second] = ones;
  let order: DateOrder;
  // years come again more often than days do, but for the first of each month
  if (!all) {
    const { firsts, thirds } = column;
    order = firsts.size < thirds.size || (thirds.size === 1 && thirds.has(1)) ? "ymd" : orders[0];
  }
  // the first of each month: a part that is 1 throughout is the day
  else if (count > 1 && first !== second && Math.max(first, second) === count) {
    order = first > second ? "dmy" : "mdy";
  } else order = hints.decimalComma ? "dmy" : "mdy";
  return { order, or: orders.find((another) => another !== order) };
}

const CLOCK_ALONE = new RegExp(`^${CLOCK}$`, "i");
const HOUR_ALONE = /^\d{1,2}(?=\s*[ap]\.?m\.?$)/i;
const DOTTED = /^\d{1,2}\.\d{2}\.\d{2}$/;
const WORDED =
  /^P?T?(?=\d)(?:(\d{1,5})\s*d(?:ays?)?,?\s*T?)?(?:(\d{1,5})\s*h(?:(?:ou)?rs?)?,?\s*)?(?:(\d{1,5})\s*m(?:ins?|inutes?)?,?\s*)?(?:(\d{1,5}(?:\.\d{1,9})?)\s*s(?:ecs?|econds?)?)?$/i;
/** As of laps: minutes, seconds and their fraction. */
const LAP = /^(-?)(\d{1,4}):([0-5]\d\.\d{1,9})$/;
const SPAN = /^(-?)(?:(\d{1,6}) days?,? )?(\d{1,4}):(\d{2})(?::(\d{2})(?:\.(\d{1,9}))?)?$/i;

/** Minutes of a time of day or a span: "12:30", "1:30 pm", "2 days 03:04:05", "2h 30m", "PT45M"; undefined for what is neither. */
export function minutesOf(text: string): number | undefined {
  if (text.length < 2 || text.length > LONGEST) return undefined;
  const worded = WORDED.exec(text);
  if (worded) {
    const [days, hours, minutes, seconds] = worded.slice(1).map((part) => Number(part ?? 0));
    return 1440 * days + 60 * hours + minutes + seconds / 60;
  }
  const clock = CLOCK_ALONE.exec(text.replace(HOUR_ALONE, "$&:00"));
  if (clock?.[5] !== undefined) {
    const ms = msOf(clock, 1);
    return ms === undefined ? undefined : ms / 60_000;
  }
  const lap = LAP.exec(text);
  if (lap) return (Number(lap[2]) + Number(lap[3]) / 60) * (lap[1] === "-" ? -1 : 1);
  const span = SPAN.exec(DOTTED.test(text) ? text.replaceAll(".", ":") : text);
  if (span === null || Number(span[4]) > 59 || Number(span[5] ?? 0) > 59) return undefined;
  const seconds = Number(span[5] ?? 0) + Number(`0.${span[6] ?? 0}`);
  const minutes = Number(span[2] ?? 0) * 1440 + Number(span[3]) * 60 + Number(span[4]) + seconds / 60;
  return span[1] === "-" ? -minutes : minutes;
}

/** Lengths of dates in digits alone: of a month, a day, a minute and a second. */
const COMPACT = [6, 8, 12, 14];

/** The date in eight digits, the month in six, or the minute or second in twelve or fourteen; undefined for what is none of this and the last two centuries. */
export function compactDateOf(text: string): number | undefined {
  const found = /^(\d{4})(\d{2})(\d{2})?(?:(\d{2})(\d{2})(\d{2})?)?$/.exec(text);
  if (found === null || !COMPACT.includes(text.length)) return undefined;
  const year = Number(found[1]);
  if (year < EARLIEST || year > LATEST) return undefined;
  const days = daysOf(year, Number(found[2]), Number(found[3] ?? 1));
  const ms = msOf(found, 4);
  return days === undefined || ms === undefined ? undefined : days * DAY + ms;
}
