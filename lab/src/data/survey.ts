/** What the cells of a column are, one pass over them: the evidence for what the column is. */
import { dateOf, OrderEvidence } from "./dates.js";
import type { Missing } from "./missing.js";
import { Evidence, type Mark, type Numeral, numeralOf } from "./numbers.js";
import type { RawColumn, Value } from "./table.js";
import { ofCells, SHOWN, type Told } from "./told.js";

/** The share of its values that make a column one of numbers, or of dates; the others are then missing. */
export const MOST_SHARE = 0.75;
/** Where half of the values are numbers, so few different texts among many numbers are notes, not names. */
export const HALF = 0.5;
const FEW_TEXTS = 5;
/** With no more different values than these, texts among numbers may be levels as the numbers are. */
export const MOST_LEVELS = 20;
/** Values that are tried before all are, to see whether there are dates at all. */
const TRIED = 200;
/** Different values that are kept. */
export const DISTINCT_KEPT = 1000;

// what comes along with numbers and dates that were copied from a page or a window
const INVISIBLE = /[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/;

/** The text of a cell that may be a number or a date. */
export function textOf(cell: Value): string {
  if (cell === null) return "";
  if (typeof cell === "number") return Number.isNaN(cell) ? "" : String(cell);
  const text = cell.trim();
  return INVISIBLE.test(text) ? text.replace(new RegExp(INVISIBLE, "g"), "").trim() : text;
}

/** What a column's cells are, before it is decided what the column is. */
export class Survey {
  readonly name: string;
  cells: readonly Value[];
  /** As its format declares them. */
  readonly levels: string[] | undefined;
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
  /** Notations of missing values, and how many cells have each. */
  readonly notations = new Map<string, number>();
  /** Units and currencies, some of them where there are many, and how many cells have one; marks, each with its first cell. */
  readonly units = new Set<string>();
  withUnit = 0;
  private readonly currencies = new Set<string>();
  private withCurrency = 0;
  readonly marks = new Map<Mark, string>();
  /** Whole numbers: how many begin with 0, how many are too large for a double; the lengths of all. */
  whole = 0;
  zeros = 0;
  large = 0;
  shortest = Number.POSITIVE_INFINITY;
  longest = 0;
  /** Different values and how many cells have each, complete where there are fewer than are kept. */
  readonly distinct = new Map<string, number>();
  /** Texts that hold no number, some of them where there are many. */
  private readonly words = new Set<string>();
  /** Whether "1,2" is a list here, for others are longer. */
  private commasAreLists = false;
  /** The one unit of all; whether there are several that are factors of one another. */
  unit: string | undefined;
  factors = false;

  constructor(column: RawColumn, name: string, forced: "text" | "number" | undefined, missing: Missing) {
    this.name = name;
    this.cells = column.cells;
    this.levels = column.levels;
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
    const text = textOf(cell);
    if (this.missing(text)) {
      if (text !== "") this.notations.set(text, (this.notations.get(text) ?? 0) + 1);
      return;
    }
    this.see(text);
    const numeral = numeralOf(text);
    if (numeral === undefined) {
      this.texts++;
      if (this.words.size < MOST_LEVELS) this.words.add(text);
      if (text.length <= SHOWN && /^\d+(?:[,;] ?\d+)+$/.test(text)) this.lists++;
      return;
    }
    this.numerals++;
    this.evidence.add(numeral, text);
    for (const mark of numeral.marks) if (!this.marks.has(mark)) this.marks.set(mark, text);
    if (numeral.currency !== "") {
      this.withCurrency++;
      if (this.currencies.size < MOST_LEVELS) this.currencies.add(numeral.currency);
    }
    if (numeral.unit !== "") {
      this.withUnit++;
      if (this.units.size < MOST_LEVELS) this.units.add(numeral.unit);
    }
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
    if (this.severalCurrencies) {
      this.numerals -= this.withCurrency;
      this.texts += this.withCurrency;
      return;
    }
    if (this.units.size === 0) return;
    const names = new Set([...this.units].map(unitOf));
    if (names.size === 1 && this.withUnit >= MOST_SHARE * this.numerals) [this.unit] = names;
    else if ([...this.units].every((unit) => FACTORS.has(unit))) this.factors = true;
    else {
      this.numerals -= this.withUnit;
      this.texts += this.withUnit;
    }
  }

  /** The number of a cell's text in this column; undefined where it is none. */
  numeral(text: string): Numeral | undefined {
    const numeral = numeralOf(text);
    if (numeral === undefined || (this.severalCurrencies && numeral.currency !== "")) return undefined;
    if (numeral.unit !== "" && unitOf(numeral.unit) !== this.unit && !this.factors) return undefined;
    return this.commasAreLists && numeral.decimal === "," ? undefined : numeral;
  }

  private get severalCurrencies(): boolean {
    return this.currencies.size > 1;
  }

  /** Whether most are numbers of units that cannot be compared; what has many different ones is text, such as addresses. */
  get ofSeveralUnits(): boolean {
    if (this.severalCurrencies) return this.withCurrency >= HALF * this.values;
    const several = this.units.size > 1 && this.units.size < MOST_LEVELS && !this.factors;
    return several && this.withUnit >= HALF * this.values;
  }

  /** Lets go of the cells, and of what is known of them. */
  release(): void {
    this.cells = [];
    this.distinct.clear();
    this.moments.clear();
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

  /** The different texts that are no numbers, those that are kept. */
  otherTexts(): string[] {
    const kept = [...this.distinct.keys()].filter((text) => this.numeral(text) === undefined);
    return [...new Set([...kept, ...this.words])];
  }

  private readonly moments = new Map<string, ReturnType<typeof dateOf>>();

  date(text: string): ReturnType<typeof dateOf> {
    if (this.moments.has(text)) return this.moments.get(text);
    const date = dateOf(text);
    if (this.moments.size < DISTINCT_KEPT) this.moments.set(text, date);
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
    // what no order makes a date of, such as 40-47-84, is none
    this.dates -= this.order.count - Math.max(...Object.values(this.order.fits));
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
      const text = textOf(cell);
      if (!this.missing(text)) yield text;
    }
  }
}

/** The name of a unit, of one and of many: "year", "years", "yrs." */
const unitOf = (unit: string): string =>
  unit.length > 2 ? unit.toLowerCase().replace(/\.$/, "").replace(/s$/, "") : unit;

/** Units that are factors of one another. */
export const FACTORS: ReadonlyMap<string, number> = new Map([
  ["k", 1e3],
  ["K", 1e3],
  ["thousand", 1e3],
  ["million", 1e6],
  ["billion", 1e9],
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

/** Tells of the notations of missing values that a column has. */
export function tellMissing({ name, notations, missing }: Survey, told: Told): void {
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
