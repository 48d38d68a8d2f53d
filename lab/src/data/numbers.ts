/**
 * Numbers as people write them: "1,234.5", "1.234,5", "$ 5", "(12)", "3 %", "12 kg", "0x1f". Nothing here looks at a
 * text longer than a number can be, and no expression goes back over what it has read.
 */

export type Decimal = "." | ",";

/** What was read of a cell: the number but for the meaning of its points and commas. */
export interface Numeral {
  negative: boolean;
  /** Digits, points and commas, or "Infinity", or "0x…". */
  body: string;
  /** "e-02", or empty. */
  exponent: string;
  /** The decimal separator where the body proves it: "0,5", "1,234.5", "1.234.567". */
  decimal?: Decimal;
  /** The only separator of a body that may be a decimal or one of thousands: "1.415", "50,000". */
  unclear?: Decimal;
  /** What separates its thousands, where it is neither a point nor a comma. */
  groups: string;
  /** Around it: a currency, "%", footnotes; what can be left away. */
  marks: readonly Mark[];
  /** Its code, as far as it is known by one ("USD" for "$"); empty where there is none. */
  currency: string;
  /** What follows it: "kg". */
  unit: string;
}

export type Mark = "currency" | "percent" | "footnote" | "parentheses" | "plus" | "ordinal" | "hexadecimal";

const LONGEST = 400;
const LONGEST_UNIT = 16;
const LONGEST_INFINITE = 9;
/** Sizes that are kept to compare. */
const MOST_SIZES = 1000;

const SIGN = /[+\-\u2212\u2010-\u2013\ufe63\uff0d\uff0b]/;
const CURRENCY =
  /(?:(?:US|CA|AU|NZ|HK|NT|MX|[ARCS])?\$|\p{Sc}|(?:USD|EUR|GBP|JPY|CNY|RMB|CHF|CAD|AUD|NZD|SEK|NOK|DKK|PLN|CZK|HUF|RUB|INR|BRL|MXN|ZAR|TRY|KRW|SGD|HKD|THB|IDR|ILS|AED|Rs|Fr|kr|zł|Kč|Ft|руб)(?!\p{L})\.?)/u;
const HEAD = new RegExp(`(${SIGN.source})?\\s*(${CURRENCY.source})?\\s*(${SIGN.source})?\\s*`, "uy");
const BODY = /\d+(?:[.,'’´`ʼ \u00a0\u2007\u2009\u202f_]\d+)*[.]?|[.,]\d+/y;
// Fortran's D has a sign, or it is a unit
const EXPONENT = /(?:[eE]|\s?[x×·*]\s?10\^|[dD](?=[+-]))([+\-\u2212]?\d+)(?!\d)/y;
const TAIL_CURRENCY = new RegExp(`^${CURRENCY.source}$`, "u");
/** Signs of currencies that have a code too. */
const CODES: Record<string, string> = {
  $: "USD",
  US$: "USD",
  "€": "EUR",
  "£": "GBP",
  "¥": "JPY",
  "￥": "JPY",
  RMB: "CNY",
  "₹": "INR",
  Rs: "INR",
  R$: "BRL",
  "₽": "RUB",
  руб: "RUB",
  zł: "PLN",
  Kč: "CZK",
  Ft: "HUF",
};
// letters and signs of units, or one of the few that hold a digit
const UNIT = /^(?:["'′″]|\/?[\p{L}°\p{Sc}µ][^\d]*|(?:[^\d]*[/ ])?(?:[a-z]?m|ft|in|s)[23])$/u;
const ORDINAL = /^(?:st|nd|rd|th)$/i;
const INFINITE = /^([+\-\u2212]?)(?:inf|infinity|∞|1\.#inf)$/i;
const HEXADECIMAL = /^([+-]?)(0x[0-9a-f]{1,12})$/i;
const NO_MARKS: readonly Mark[] = [];

/** The number in `text`, trimmed; undefined where it holds none, or more than one. */
export function numeralOf(text: string): Numeral | undefined {
  if (text.length === 0 || text.length > LONGEST) return undefined;
  const found = plain(text);
  if (found !== undefined) return found;
  const latin = latinDigits(text);
  return infinite(latin) ?? (/\d/.test(latin) ? marked(latin) : undefined);
}

function infinite(text: string): Numeral | undefined {
  const found = text.length > LONGEST_INFINITE ? null : INFINITE.exec(text);
  if (found === null) return undefined;
  const numeral = numeralOfBody("Infinity");
  numeral.negative = found[1] !== "" && found[1] !== "+";
  return numeral;
}

// digits of other scripts, and the signs that go with them: full-width forms and Arabic
const OTHER_DIGITS = /[^\P{Nd}0-9]|[\uff05\uff0b-\uff0f]/u;

/** `text` with the digits 0 to 9 in the place of those of other scripts. */
export function latinDigits(text: string): string {
  if (!/[^\0-\x7f]/.test(text) || !OTHER_DIGITS.test(text)) return text;
  return text
    .replace(/[\uff05\uff0b-\uff0f]/g, (one) => String.fromCharCode(one.charCodeAt(0) - 0xfee0))
    .replace(/[^\P{Nd}0-9]/gu, (one) => {
      // the ten of a script stand one after the other
      const code = one.codePointAt(0) ?? 0;
      let value = 0;
      while (value < 9 && /\p{Nd}/u.test(String.fromCodePoint(code - value - 1))) value++;
      return String(value);
    })
    .replaceAll("\u066b", ".")
    .replaceAll("\u066c", "'")
    .replaceAll("\u066a", "%");
}

/** What most cells are: a sign, digits and at most one point or comma. */
function plain(text: string): Numeral | undefined {
  const first = text.charCodeAt(0);
  const start = first === 45 || first === 43 ? 1 : 0;
  let separator = -1;
  for (let at = start; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if ((code === 46 || code === 44) && separator < 0) separator = at - start;
    else if (code < 48 || code > 57) return undefined;
  }
  const body = start === 1 ? text.slice(1) : text;
  if (body.length === (separator < 0 ? 0 : 1)) return undefined;
  const numeral = numeralOfBody(body);
  numeral.negative = first === 45;
  if (separator >= 0) {
    const mark = body[separator] as Decimal;
    if (mayGroup(body, separator)) numeral.unclear = mark;
    else if (mark === "." || separator < body.length - 1) numeral.decimal = mark;
    else return undefined;
  }
  return numeral;
}

/** A numeral of nothing but digits. */
const numeralOfBody = (body: string): Numeral => ({
  negative: false,
  body,
  exponent: "",
  decimal: undefined,
  unclear: undefined,
  groups: "",
  marks: NO_MARKS,
  currency: "",
  unit: "",
});

/** Whether the only separator of `body`, at `at`, may be one of thousands, as `isGrouped` has it for several. */
const mayGroup = (body: string, at: number): boolean =>
  at >= 1 && at <= 3 && body.length - at === 4 && body.charCodeAt(0) !== 48;

function marked(text: string): Numeral | undefined {
  const hexadecimal = text.includes("x") || text.includes("X") ? HEXADECIMAL.exec(text) : null;
  if (hexadecimal) {
    return {
      ...numeralOfBody(hexadecimal[2]),
      negative: hexadecimal[1] === "-",
      marks: ["hexadecimal"],
    };
  }

  const marks: Mark[] = [];
  let rest = text;
  const noted = withoutNotes(rest);
  if (noted !== rest) marks.push("footnote");
  rest = noted;
  const parenthesized = rest.endsWith(")") ? /^(\p{Sc}?)\s*\((.*)\)$/su.exec(rest) : null;
  if (parenthesized) {
    marks.push("parentheses");
    rest = parenthesized[1] + parenthesized[2].trim();
  }
  HEAD.lastIndex = 0;
  const head = HEAD.exec(rest);
  if (head === null || (head[1] !== undefined && head[3] !== undefined)) return undefined;
  let currency = head[2] ?? "";
  BODY.lastIndex = head[0].length;
  const body = BODY.exec(rest)?.[0];
  if (body === undefined) return undefined;
  let at = head[0].length + body.length;
  EXPONENT.lastIndex = at;
  const exponent = EXPONENT.exec(rest);
  if (exponent) at += exponent[0].length;
  let tail = rest.slice(at).trim();
  let sign = head[1] ?? head[3];
  // a price without cents: "5.-", "5,--"
  if (/^[.,]?[-\u2013\u2014]{1,2}$/.test(tail) && (tail.length > 1 || body.endsWith("."))) tail = "";
  else if (sign === undefined && /^[-\u2212]$/.test(tail)) {
    sign = "-";
    tail = "";
  }
  if (tail === "%" || tail === "‰" || tail === "percent") {
    marks.push("percent");
    tail = "";
  } else if (tail === "+" || tail === "+%") {
    marks.push("plus");
    tail = "";
  } else if (TAIL_CURRENCY.test(tail)) {
    currency ||= tail;
    tail = "";
  }
  if (currency !== "") marks.push("currency");
  if (ORDINAL.test(tail)) {
    marks.push("ordinal");
    tail = "";
  }
  // "2. Married" is one of a list
  if (tail !== "" && (body.endsWith(".") || tail.length > LONGEST_UNIT || !UNIT.test(tail))) return undefined;
  const numeral = separated(body, exponent !== null);
  if (numeral === undefined) return undefined;
  numeral.negative = parenthesized !== null || (sign !== undefined && sign !== "+" && sign !== "\uff0b");
  if (exponent) numeral.exponent = `e${exponent[1].replace("\u2212", "-")}`;
  numeral.marks = marks;
  if (currency !== "") numeral.currency = codeOf(currency);
  numeral.unit = tail;
  return numeral;
}

function codeOf(currency: string): string {
  const sign = currency.endsWith(".") ? currency.slice(0, -1) : currency;
  return CODES[sign] ?? sign;
}

/** Without "[98]", "[note 1]", "*" and "†" at the end. */
function withoutNotes(text: string): string {
  let end = text.length;
  for (;;) {
    while (end > 0 && "*†‡§ ".includes(text[end - 1])) end--;
    if (text[end - 1] !== "]") return text.slice(0, end);
    const open = text.lastIndexOf("[", end - 1);
    if (open <= 0) return text.slice(0, end);
    end = open;
  }
}

/** The numeral of `body` by what its separators say; undefined where they separate no number. */
function separated(body: string, exponent: boolean): Numeral | undefined {
  let at = -1;
  let separators = 0;
  for (let index = 0; index < body.length; index++) {
    const code = body.charCodeAt(index);
    if (code >= 48 && code <= 57) continue;
    if (code !== 44 && code !== 46) return grouped(body, body[index]);
    at = index;
    separators++;
  }
  const numeral = numeralOfBody(body);
  if (separators === 0) return numeral;
  const last = body[at] as Decimal;
  const other: Decimal = last === "." ? "," : ".";
  if (separators === 1) {
    if (!exponent && mayGroup(body, at)) numeral.unclear = last;
    else numeral.decimal = last;
  } else if (body.includes(other)) {
    if (body.indexOf(last) < at || !isGrouped(body.slice(0, at), other)) return undefined;
    numeral.decimal = last;
  } else {
    if (exponent || !isGrouped(body, last)) return undefined;
    numeral.decimal = other;
  }
  return numeral;
}

/** The numeral of a body whose thousands `neutral` separates, which is neither a point nor a comma. */
function grouped(body: string, neutral: string): Numeral | undefined {
  const end = body.search(/[.,]/);
  const whole = end < 0 ? body : body.slice(0, end);
  const fraction = end < 0 ? "" : body.slice(end);
  const parts = whole.split(neutral);
  // 1_000_000 of a programmer; others group by three, and none has two kinds of groups
  const regular =
    neutral === "_" || parts.every((part, index) => (index === 0 ? part.length <= 3 : part.length === 3));
  if (
    !regular ||
    parts.length < 2 ||
    parts.some((part) => !/^\d+$/.test(part)) ||
    fraction.slice(1).search(/\D/) >= 0
  ) {
    return undefined;
  }
  const numeral = numeralOfBody(parts.join("") + fraction);
  numeral.groups = neutral;
  if (fraction !== "") numeral.decimal = fraction[0] as Decimal;
  return numeral;
}

/** Whether `separator` may separate thousands: "1.415", "1,234,567", India's "12,34,567"; not "0.095", "1234.567". */
function isGrouped(digits: string, separator: Decimal): boolean {
  const parts = digits.split(separator);
  const first = parts[0];
  const last = parts[parts.length - 1];
  if (parts.length < 2 || last.length !== 3 || first.length === 0 || first.length > 3) return false;
  if (first.startsWith("0")) return false;
  const size = parts[1].length;
  return (
    (size === 3 || (size === 2 && separator === "," && first.length <= 2)) &&
    parts.every(
      (part, index) =>
        /^\d+$/.test(part) && (index === 0 || index === parts.length - 1 || part.length === size),
    )
  );
}

/** The number that `numeral` is, where `decimal` separates the decimals of those that do not prove another. */
export function numberOf(numeral: Numeral, decimal: Decimal): number {
  const own = numeral.decimal ?? decimal;
  let { body } = numeral;
  if (numeral.decimal !== undefined || numeral.unclear !== undefined) {
    if (own === ",") body = (body.includes(".") ? body.replaceAll(".", "") : body).replace(",", ".");
    else if (body.includes(",")) body = body.replaceAll(",", "");
  }
  const size = Number(body + numeral.exponent);
  return numeral.negative && size !== 0 ? -size : size;
}

/** Whether the separator of an unclear numeral is one of thousands when `decimal` is the decimal one. */
export const hasThousands = (numeral: Numeral, decimal: Decimal): boolean =>
  numeral.unclear !== undefined
    ? numeral.unclear !== decimal
    : numeral.body.includes(numeral.decimal === "." ? "," : ".") && numeral.decimal !== undefined;

/** The numerals of one column, as far as they say something of its notation. */
export class Evidence {
  /** How many prove a decimal point, and a decimal comma; how many hold one of them that may be either; the first that has what it proves. */
  readonly proofs = { ".": 0, ",": 0 };
  readonly unclear = { ".": 0, ",": 0 };
  readonly proofTexts = { ".": "", ",": "" };
  /** The first unclear one, and the first whole number without a separator. */
  unclearText = "";
  wholeText = "";
  largestWhole = 0;
  /** Sizes: of the first unclear ones if theirs are decimals, and of the first whole ones. */
  readonly unclearSizes: number[] = [];
  readonly wholeSizes: number[] = [];

  add(numeral: Numeral, text: string): void {
    if (numeral.decimal !== undefined) {
      this.proofs[numeral.decimal]++;
      // "1.234.567" proves a decimal comma and has none
      if (this.proofTexts[numeral.decimal] === "" && numeral.body.includes(numeral.decimal)) {
        this.proofTexts[numeral.decimal] = text;
      }
    } else if (numeral.unclear !== undefined) {
      if (this.unclearSizes.length === 0) this.unclearText = text;
      this.unclear[numeral.unclear]++;
      if (this.unclearSizes.length < MOST_SIZES) {
        this.unclearSizes.push(Math.abs(numberOf(numeral, numeral.unclear)));
      }
    } else if (numeral.groups === "" && numeral.exponent === "") {
      const size = Math.abs(numberOf(numeral, "."));
      if (this.wholeSizes.length === 0) this.wholeText = text;
      if (this.wholeSizes.length < MOST_SIZES) this.wholeSizes.push(size);
      this.largestWhole = Math.max(this.largestWhole, size);
    }
  }

  /** What most of its proofs say. */
  get decimal(): Decimal | undefined {
    const { ".": points, ",": commas } = this.proofs;
    return points === commas ? undefined : points > commas ? "." : ",";
  }
}

/** What the columns of a file prove together, a vote each; undefined where they prove nothing. */
export function fileDecimal(columns: readonly Evidence[]): Decimal | undefined {
  const points = columns.filter(({ decimal }) => decimal === ".").length;
  const commas = columns.filter(({ decimal }) => decimal === ",").length;
  return points + commas === 0 ? undefined : commas > points ? "," : ".";
}

/**
 * The decimal separator of a column: its own where its numbers prove one, else that of its file; `sure` is whether no
 * other reading is likely. A file of no proof is read as the column looks: "1.415" beside "926" has thousands, for with
 * decimals the one would be a thousandth of what the other is. `semicolons`: see `RawTable`.
 */
export function columnDecimal(
  column: Evidence,
  file: Decimal | undefined,
  declared: Decimal | undefined,
  semicolons = false,
): { decimal: Decimal; sure: boolean } {
  const { decimal, unclear, wholeSizes, unclearSizes, largestWhole } = column;
  if (decimal !== undefined) return { decimal, sure: true };
  if (declared !== undefined || unclearSizes.length === 0) {
    return { decimal: declared ?? file ?? ".", sure: true };
  }
  const separator: Decimal = unclear["."] >= unclear[","] ? "." : ",";
  const other: Decimal = separator === "." ? "," : ".";
  if (file === other) return { decimal: other, sure: true };
  // with thousands, whole numbers without a separator are all below them
  const below = wholeSizes.length > 0 && largestWhole < 1000;
  if (file === separator) {
    const apart = below && median(wholeSizes) > 10 * median(unclearSizes);
    return { decimal: apart ? other : separator, sure: !below };
  }
  // where nothing is proven: a comma separates thousands, but beside semicolons, and a point decimals unless it looks otherwise
  const thousands = below || (separator === "," && !semicolons);
  return { decimal: thousands ? other : separator, sure: false };
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}
