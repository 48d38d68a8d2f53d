/**
 * From the cells of a file as they were written to numbers, dates and text: the one place that decides what a column is.
 *
 * How numbers and dates are written is decided with the evidence of the whole file, since one column alone often has
 * none: "1.415" is 1415 in a file of decimal commas. Whatever could be read in another way is told as a decision.
 */
import { count as counted, listed, printable, quote } from "@evenkeel/report/format";
import { UsageError } from "../errors.js";
import {
  columnOrder,
  compactDateOf,
  type DateOrder,
  dateOf,
  minutesOf,
  momentOf,
  OrderEvidence,
} from "./dates.js";
import { isLevel, type Missing, missingNotations } from "./missing.js";
import { argument, columnsNamed, nameColumns } from "./names.js";
import {
  columnDecimal,
  type Decimal,
  Evidence,
  fileDecimal,
  hasThousands,
  type Mark,
  type Numeral,
  numberOf,
  numeralOf,
} from "./numbers.js";
import type { Column, Decision, RawColumn, RawTable, ReadOptions, Table, Value } from "./table.js";

/** The share of its values that make a column one of numbers, or of dates; the others are then missing. */
const MOST_SHARE = 0.75;
/** With no more different values than these, of which texts are so large a share, texts are levels as the numbers are. */
const MOST_LEVELS = 20;
const LEVEL_SHARE = 0.05;
/** Where half of the values are numbers, so few different texts among many numbers are notes, not names. */
const HALF = 0.5;
const FEW_TEXTS = 5;
/** Values that are tried before all are, to see whether there are dates at all. */
const TRIED = 200;
const DISTINCT_KEPT = 1000;
const EXAMPLES = 3;
const SHOWN = 40;

/**
 * The table of what a reader gave. Columns that the format declares keep their kind; the text of others is understood.
 * `file` is its name in messages. Throws UsageError for a file without columns or rows, an option that names no column,
 * and a column that is to be numbers and is not.
 */
export function understand(raw: RawTable, file: string, options: ReadOptions): Table {
  const cellCount = raw.columns[0]?.cells.length ?? 0;
  if (cellCount === 0) {
    throw new UsageError(
      `${file}: expected at least one row of data, got ${raw.columns.length === 0 ? "none" : "only the names of the columns"}; check that the file was written to its end`,
    );
  }
  const { names, decisions } = nameColumns(raw.columns.map(({ name }) => name));
  const categorical = columnsNamed(options.categorical ?? [], names, "--categorical");
  const numeric = columnsNamed(options.numeric ?? [], names, "--numeric");
  const both = names.find((name) => categorical.has(name) && numeric.has(name));
  if (both !== undefined) {
    throw new UsageError(
      `column ${quote(both)} is named by --categorical and by --numeric; remove it from one of them`,
    );
  }
  const missing = missingNotations(options.missing);
  const rowNumber = (row: number): number => raw.rowNumbers?.[row] ?? row + 1;
  const told = new Told();

  const surveys = raw.columns.map((column, index) => {
    const forced = categorical.has(names[index]) ? "text" : numeric.has(names[index]) ? "number" : undefined;
    return new Survey(column, names[index], forced, missing);
  });
  const understood = surveys.filter((survey) => survey.kind === undefined);
  const numbers = understood.filter((survey) => survey.mostlyNumbers || survey.forced === "number");
  const decimal = options.decimal ?? fileDecimal(numbers.map(({ evidence }) => evidence));
  const dates = understood.filter((survey) => !numbers.includes(survey) && survey.mostlyDates());
  const columns = surveys.map((survey, index): Column => {
    const { name } = survey;
    const { levels } = raw.columns[index];
    if (survey.kind === undefined && survey.forced !== "text") {
      const compact = survey.forced === undefined ? compactDates(survey, told) : undefined;
      if (compact) return { name, kind: "date", values: compact };
      if (numbers.includes(survey) && (survey.forced === "number" || !staysText(survey, told))) {
        return {
          name,
          kind: "number",
          values: asNumbers(survey, decimal, options, told, (row) => `${file}: row ${rowNumber(row)}`),
        };
      }
      if (dates.includes(survey)) {
        return { name, kind: "date", values: asDates(survey, dates, decimal === ",", options.dates, told) };
      }
      const minutes = asMinutes(survey, told);
      if (minutes) return { name, kind: "number", values: minutes };
      if (survey.units.size > 1 && !survey.factors && survey.mixedUnits >= HALF * survey.values) {
        told.add("read as text", name, {
          examples: survey.distinct.keys(),
          why: (examples) => `numbers of different units: ${examples}`,
        });
      } else if (survey.dates >= HALF * survey.values && survey.values > 0) {
        told.add("read as text", name, {
          examples: [...survey.distinct.keys()].filter((text) => survey.date(text) === undefined),
          count: survey.values - survey.dates,
          why: (examples, count) =>
            `${counted(count, "value is no date", "values are no dates")}: ${examples}`,
        });
      } else if (survey.numerals >= HALF * survey.values && !numbers.includes(survey)) {
        told.add("read as text", name, {
          examples: survey.otherTexts(),
          count: survey.texts,
          why: (examples, count) =>
            `${counted(count, "value is no number", "values are no numbers")}: ${examples}`,
        });
      }
    }
    if (survey.kind === "number" || survey.kind === "date") {
      return { name, kind: survey.kind, values: finite(survey, told) };
    }
    return {
      name,
      kind: "text",
      values: asText(survey, told),
      ...(levels && { levels: levels.map(printable) }),
    };
  });
  return {
    name: printable(file.replace(/(\.[a-z0-9]+)?(\.(gz|zip|zst|bz2|xz))?$/i, "")) || printable(file),
    columns,
    rowCount: cellCount,
    fileRows: Math.max(raw.rowCount, cellCount),
    rowNumber,
    decisions: [...raw.decisions, ...decisions, ...told.decisions],
  };
}

/** What a column's cells are, before it is decided what the column is. */
class Survey {
  readonly name: string;
  readonly cells: readonly Value[];
  /** What the format declares, what an option does, and what the column is if that is known by the one or the other. */
  readonly declared: RawColumn["type"];
  readonly kind: RawColumn["type"];
  readonly forced: "text" | "number" | undefined;
  readonly missing: Missing;
  readonly evidence = new Evidence();
  /** Cells of one number, of another text, of a list of numbers, and those that are not missing at all. */
  numerals = 0;
  texts = 0;
  lists = 0;
  /** Notations of missing values, units and marks: how many cells have each. */
  readonly notations = new Map<string, number>();
  readonly units = new Map<string, number>();
  readonly marks = new Map<Mark, string>();
  /** Whole numbers: how many begin with 0, how many are too large for a double; the lengths of all. */
  whole = 0;
  zeros = 0;
  large = 0;
  shortest = Number.POSITIVE_INFINITY;
  longest = 0;
  /** Different values and how many cells have each, complete where there are fewer than are kept. */
  readonly distinct = new Map<string, number>();
  /** Set where a comma or a unit is no part of a number here. */
  private commasAreLists = false;
  unit: string | undefined;
  factors = false;
  /** Cells of numbers with a unit, where there are several. */
  mixedUnits = 0;

  constructor(column: RawColumn, name: string, forced: "text" | "number" | undefined, missing: Missing) {
    this.name = name;
    this.cells = column.cells;
    this.declared = column.type;
    this.forced = forced;
    this.kind = forced === undefined || forced === column.type ? column.type : undefined;
    this.missing = missing;
    if (this.kind !== undefined || forced === "text") return;
    for (const cell of this.cells) this.add(cell);
    this.decideUnit();
    this.commasAreLists = this.lists > 0 && this.evidence.proofs[","] > 0;
    if (this.commasAreLists) {
      this.numerals -= this.evidence.proofs[","];
      this.texts += this.evidence.proofs[","];
    }
  }

  private add(cell: Value): void {
    if (cell === null) return;
    if (typeof cell === "number") {
      if (Number.isNaN(cell) || this.missing.numbers.has(cell)) return;
      this.numerals++;
      this.see(String(cell));
      return;
    }
    const text = cell.trim();
    if (this.missing(text)) {
      if (text !== "") this.notations.set(text, (this.notations.get(text) ?? 0) + 1);
      return;
    }
    this.see(text);
    const numeral = numeralOf(text);
    if (numeral === undefined) {
      this.texts++;
      if (text.length <= SHOWN && /^\d+(?:[,;] ?\d+)+$/.test(text)) this.lists++;
      return;
    }
    this.numerals++;
    this.evidence.add(numeral, text);
    for (const mark of numeral.marks) if (!this.marks.has(mark)) this.marks.set(mark, text);
    if (numeral.unit !== "") this.units.set(numeral.unit, (this.units.get(numeral.unit) ?? 0) + 1);
    if (isWhole(numeral)) {
      this.whole++;
      const { length } = numeral.body;
      if (length > 1 && numeral.body.startsWith("0")) this.zeros++;
      if (length > 15 && !Number.isSafeInteger(Number(numeral.body))) this.large++;
      this.shortest = Math.min(this.shortest, length);
      this.longest = Math.max(this.longest, length);
    }
  }

  private see(text: string): void {
    if (this.distinct.size === DISTINCT_KEPT) return;
    const seen = this.distinct.get(text);
    this.distinct.set(text, (seen ?? 0) + 1);
  }

  /** One unit is nothing but a name for the numbers; several are numbers only where they are factors of one another. */
  private decideUnit(): void {
    if (this.units.size === 0) return;
    const withUnit = [...this.units.values()].reduce((sum, count) => sum + count, 0);
    if (this.units.size === 1 && withUnit >= MOST_SHARE * this.numerals) [this.unit] = this.units.keys();
    else if ([...this.units.keys()].every((unit) => FACTORS.has(unit))) this.factors = true;
    else {
      this.mixedUnits = withUnit;
      this.numerals -= withUnit;
      this.texts += withUnit;
    }
  }

  /** The number of a cell's text in this column; undefined where it is none. */
  numeral(text: string): Numeral | undefined {
    const numeral = numeralOf(text);
    if (numeral === undefined) return undefined;
    if (numeral.unit !== "" && numeral.unit !== this.unit && !this.factors) return undefined;
    return this.commasAreLists && numeral.decimal === "," ? undefined : numeral;
  }

  get values(): number {
    return this.numerals + this.texts;
  }

  /** Numbers are most of the values, or the others are a few texts that come again among many numbers. */
  get mostlyNumbers(): boolean {
    if (this.numerals >= MOST_SHARE * this.values) return true;
    if (this.numerals < HALF * this.values) return false;
    const texts = this.otherTexts().length;
    return texts <= FEW_TEXTS && this.distinct.size - texts > MOST_LEVELS;
  }

  /** The different texts that are no numbers. */
  otherTexts(): string[] {
    return [...this.distinct.keys()].filter((text) => this.numeral(text) === undefined);
  }

  private readonly moments = new Map<string, ReturnType<typeof dateOf>>();

  date(text: string): ReturnType<typeof dateOf> {
    if (this.moments.has(text)) return this.moments.get(text);
    const date = dateOf(text);
    this.moments.set(text, date);
    return date;
  }

  readonly order = new OrderEvidence();
  /** Cells of dates, once they were looked for. */
  dates = 0;

  /** Whether so many of the cells are dates; the evidence of their order is then complete. */
  mostlyDates(): boolean {
    if (this.values === 0 || !this.likely((text) => dateOf(text) !== undefined)) return false;
    for (const text of this.present()) {
      const date = this.date(text);
      if (date === undefined) continue;
      this.dates++;
      this.order.add(date, text);
    }
    return this.dates >= MOST_SHARE * this.values;
  }

  /** Whether `test` holds for most of some of the values. */
  likely(test: (text: string) => boolean): boolean {
    const tried = [...this.distinct.keys()].slice(0, TRIED);
    return 2 * tried.filter(test).length > tried.length;
  }

  /** The texts that are not missing, of a column of any kind. */
  *present(): Generator<string> {
    for (const cell of this.cells) {
      const text = typeof cell === "string" ? cell.trim() : cell === null ? "" : String(cell);
      if (!this.missing(text)) yield text;
    }
  }
}

const FACTORS: ReadonlyMap<string, number> = new Map([
  ["k", 1e3],
  ["K", 1e3],
  ["M", 1e6],
  ["B", 1e9],
  ["bn", 1e9],
  ["G", 1e9],
  ["T", 1e12],
]);

const isWhole = ({ body, decimal, unclear, exponent, groups, marks }: Numeral): boolean =>
  decimal === undefined &&
  unclear === undefined &&
  exponent === "" &&
  groups === "" &&
  marks.length === 0 &&
  body !== "Infinity";

/** Whether the numbers of a column are names or levels, which say less as numbers. */
function staysText(survey: Survey, told: Told): boolean {
  const { name, texts, values, distinct, whole, zeros, large, shortest, longest } = survey;
  const numeric = (columns: string) => `--numeric ${columns}`;
  if (texts > 0 && distinct.size <= MOST_LEVELS && texts >= LEVEL_SHARE * values) {
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

/** Finite numbers of a column in which the format has numbers. */
function finite(survey: Survey, told: Told): Value[] {
  const { name, missing } = survey;
  return survey.cells.map((cell) => {
    if (cell === null || Number.isNaN(cell)) return null;
    const value = typeof cell === "number" ? cell : Number(cell);
    if (missing.numbers.has(value)) return null;
    if (Number.isFinite(value)) return value;
    told.add(NOT_FINITE, name, { examples: [String(cell)], count: 1, why: ofCells });
    return null;
  });
}

const NOT_FINITE = "read with infinite values as missing";
const ofCells = (examples: string, count: number) => `${examples}, in ${counted(count, "cell")}`;
const keptAsText = (columns: string) => `--categorical ${columns}`;

const MARKS: Record<Mark, [what: string, why: (examples: string) => string]> = {
  currency: ["read as numbers without the currency", (examples) => `such as ${examples}`],
  percent: ["read as the numbers before %", (examples) => `such as ${examples}`],
  footnote: ["read as numbers without footnotes", (examples) => `such as ${examples}`],
  parentheses: ["read with parentheses as a minus sign", (examples) => `such as ${examples}`],
  plus: ["read as the numbers before +", (examples) => `such as ${examples}`],
  hexadecimal: ["read as hexadecimal numbers", (examples) => `such as ${examples}`],
};

const GROUPS: Record<string, string> = { "'": "apostrophes", "’": "apostrophes", _: "underscores" };

function asNumbers(
  survey: Survey,
  fileNotation: Decimal | undefined,
  options: ReadOptions,
  told: Told,
  place: (row: number) => string,
): Value[] {
  const { name, evidence, missing } = survey;
  const { decimal, sure } = columnDecimal(evidence, fileNotation, options.decimal);
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
      const text = cell.trim();
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
      why: () => `${shown(unclearText)} could be ${other} too`,
      option: otherwise,
    });
  }
  const proof = evidence.proofTexts[decimal];
  if (proof !== "" && decimal !== (options.decimal ?? ".")) {
    told.add(`read with a decimal ${decimal === "." ? "point" : "comma"}`, name, {
      why: () => `such as ${shown(proof)}`,
    });
  }
  if (foreign !== "") {
    told.add("read with decimal points and commas alike", name, { why: () => `such as ${shown(foreign)}` });
  }
  if (neutral !== "") {
    const separator = /['’_]/.exec(neutral)?.[0] ?? " ";
    told.add(`read with thousands separated by ${GROUPS[separator] ?? "blanks"}`, name, {
      why: () => `such as ${shown(neutral)}`,
      option: keptAsText,
    });
  }
  if (survey.zeros > 0) {
    const zeros = [...survey.distinct.keys()].filter((text) => /^0\d/.test(text));
    told.add("read as numbers without leading zeros", name, {
      examples: zeros,
      why: (examples) => `such as ${examples}`,
      option: keptAsText,
    });
  }
  for (const [mark, text] of survey.marks) {
    const [what, why] = MARKS[mark];
    told.add(what, name, { examples: [text], why, option: keptAsText });
  }
  if (survey.unit !== undefined) {
    told.add(`read as numbers of ${quote(survey.unit, SHOWN)}`, name, { option: keptAsText });
  }
  if (survey.factors) {
    told.add(`read with ${listed([...survey.units.keys()])} as powers of a thousand`, name, {
      option: keptAsText,
    });
  }
  if (otherCount > 0) {
    told.add("read as numbers, with other text as missing", name, {
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

const SENTINELS = [-9, -99, -999, -9999, -99999, 99, 999, 9999, 99999, 999999];

/** A value that stands for a missing one, as it lies far from all others and comes again and again. */
function tellSentinel(name: string, values: readonly Value[], told: Told): void {
  for (const sentinel of SENTINELS) {
    let times = 0;
    let least = Number.POSITIVE_INFINITY;
    let most = Number.NEGATIVE_INFINITY;
    for (const value of values) {
      if (value === sentinel) times++;
      else if (typeof value === "number") {
        least = Math.min(least, value);
        most = Math.max(most, value);
      }
    }
    if (times < Math.max(2, 0.005 * values.length) || least >= most) continue;
    const gap = sentinel < 0 ? least - sentinel : sentinel - most;
    if (gap > 2 * (most - least) && (sentinel > 0 || least >= 0 || gap > 5 * (most - least))) {
      told.add(`read with ${sentinel} as a number`, name, {
        count: times,
        why: (_, count) =>
          `in ${counted(count, "cell")}, far from all others: it may stand for a missing value`,
        option: () => `--missing ${sentinel < 0 ? `"${sentinel}"` : sentinel}`,
      });
      return;
    }
  }
}

/** Dates in digits alone, where every cell is one and the name says that they are dates. */
function compactDates(survey: Survey, told: Told): Value[] | undefined {
  const { name, whole, values, shortest, longest } = survey;
  if (values === 0) return undefined;
  if (!/date|datum|day|time|month|period|(?:^|_)(?:dt|ts)(?:$|_)/i.test(name)) return undefined;
  if (whole > 0 && (shortest !== longest || (longest !== 8 && longest !== 6))) return undefined;
  if (longest === 6 && !/date|month|period/i.test(name)) return undefined;
  if (!survey.likely((text) => compactDateOf(text) !== undefined)) return undefined;
  const moments: Value[] = [];
  for (const cell of survey.cells) {
    const text = cell === null ? "" : String(cell).trim();
    const moment = survey.missing(text) ? null : compactDateOf(text);
    if (moment === undefined) return undefined;
    moments.push(moment);
  }
  told.add("read as dates in digits", name, {
    examples: survey.distinct.keys(),
    why: (examples) => `such as ${examples}`,
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

function asDates(
  survey: Survey,
  dates: readonly Survey[],
  decimalComma: boolean,
  declared: DateOrder | undefined,
  told: Told,
): Value[] {
  const { name, missing } = survey;
  const evidence = survey.order;
  const others = dates.filter((other) => other !== survey).map(({ order }) => order);
  const { order, or } = columnOrder(evidence, others, declared, decimalComma);
  let example = "";
  const invalid: string[] = [];
  let invalidCount = 0;
  const values = survey.cells.map((cell): Value => {
    const text = cell === null ? "" : String(cell).trim();
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
    why: (examples) => (or === undefined ? `such as ${examples}` : `${examples} could be another order`),
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
function asMinutes(survey: Survey, told: Told): Value[] | undefined {
  if (survey.values === 0 || !survey.likely((text) => minutesOf(text) !== undefined)) return undefined;
  let times = 0;
  let others = 0;
  const values = survey.cells.map((cell): Value => {
    const text = cell === null ? "" : String(cell).trim();
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

/** Cells as text that can be shown; notations of a missing value are levels where they are like the others. */
function asText(survey: Survey, told: Told): Value[] {
  const { name, cells, missing, kind, declared } = survey;
  const counts = new Map<string, number>();
  const cleaned = new Map<string, string>();
  const texts = cells.map((cell): string => {
    if (cell === null) return "";
    if (typeof cell === "number") {
      if (Number.isNaN(cell)) return "";
      return declared === "date" ? new Date(cell).toISOString() : String(cell);
    }
    const known = cleaned.get(cell);
    if (known !== undefined) return known;
    const text = printable(cell.trim());
    if (cleaned.size < DISTINCT_KEPT) cleaned.set(cell, text);
    return text;
  });
  const notations = new Map<string, number>();
  for (const text of texts) {
    if (text === "") continue;
    const where = missing(text) ? notations : counts;
    const seen = where.get(text);
    if (seen !== undefined) where.set(text, seen + 1);
    else if (where === notations || counts.size < DISTINCT_KEPT) where.set(text, 1);
  }
  survey.notations.clear();
  const levels = new Set<string>();
  for (const [notation, times] of notations) {
    // a format that declares its text has its own way to say that a value is missing
    const own = !missing.declared && (kind === "text" || isLevel(notation, times, counts, cells.length));
    if (own) levels.add(notation);
    else survey.notations.set(notation, times);
    if (own && kind !== "text") {
      told.add(`read with ${quote(notation, SHOWN)} as a value of its own`, name, {
        count: times,
        why: (_, count) => `in ${counted(count, "cell")}`,
        option: () => `--missing ${argument(notation)}`,
      });
    }
  }
  tellMissing(survey, told);
  return texts.map((text) => (text === "" || (missing(text) && !levels.has(text)) ? null : text));
}

function tellMissing({ name, notations, missing }: Survey, told: Told): void {
  if (missing.declared) return;
  for (const [notation, times] of notations) {
    told.add("read with missing values", name, {
      examples: [notation],
      count: times,
      why: ofCells,
      option: () => '--missing ""',
    });
  }
}

const shown = (text: string): string => quote(text, SHOWN);

interface About {
  /** Cells to show, and how many are meant. */
  examples?: Iterable<string>;
  count?: number;
  why?: (examples: string, count: number) => string;
  /** `columns`: as one types them after an option. */
  option?: (columns: string) => string | undefined;
}

interface Telling {
  what: string;
  columns: Set<string>;
  examples: Set<string>;
  count: number;
  about: About;
}

/** Decisions by what was done: one for all columns that it was done to. */
class Told {
  private readonly all = new Map<string, Telling>();

  add(what: string, column: string, about: About): void {
    // what can be decided otherwise in another way is told by itself
    const key = JSON.stringify([what, about.option?.("NAME")]);
    let entry = this.all.get(key);
    if (entry === undefined) {
      entry = { what, columns: new Set(), examples: new Set(), count: 0, about };
      this.all.set(key, entry);
    }
    entry.columns.add(column);
    entry.count += about.count ?? 0;
    for (const example of about.examples ?? []) {
      if (entry.examples.size >= EXAMPLES) break;
      entry.examples.add(example);
    }
  }

  get decisions(): Decision[] {
    return [...this.all.values()].map(({ what, columns, examples, count, about }) => {
      const why = about.why?.(listed([...examples].map(shown)), count);
      const typed = columns.size <= EXAMPLES ? [...columns].map(argument).join(",") : "NAME";
      const option = about.option?.(typed);
      return {
        columns: [...columns],
        what,
        ...(why !== undefined && { why }),
        ...(option !== undefined && { option }),
      };
    });
  }
}
