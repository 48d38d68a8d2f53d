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
  /** What follows it: "kg". */
  unit: string;
}

export type Mark = "currency" | "percent" | "footnote" | "parentheses" | "plus" | "ordinal" | "hexadecimal";

const LONGEST = 400;
const LONGEST_UNIT = 16;
/** Sizes that are kept to compare. */
const MOST_SIZES = 1000;

const SIGN = /[+\-\u2212\u2010-\u2013\ufe63\uff0d\uff0b]/;
const CURRENCY =
  /(?:(?:US|CA|AU|NZ|HK|[ARCS])?\$|\p{Sc}|(?:USD|EUR|GBP|JPY|CNY|RMB|CHF|CAD|AUD|NZD|SEK|NOK|DKK|PLN|CZK|HUF|RUB|INR|BRL|MXN|ZAR|TRY|KRW|SGD|HKD|THB|IDR|ILS|AED|Rs|Fr|kr|zł|Kč|Ft)(?!\p{L})\.?)/u;
const HEAD = new RegExp(`(${SIGN.source})?\\s*(${CURRENCY.source})?\\s*(${SIGN.source})?\\s*`, "uy");
const BODY = /\d+(?:[.,'’´`ʼ \u00a0\u2007\u2009\u202f_]\d+)*[.]?|[.,]\d+/y;
const EXPONENT = /(?:[eE]|\s?[x×·*]\s?10\^)([+\-\u2212]?\d+)(?!\d)/y;
const TAIL_CURRENCY = new RegExp(`^${CURRENCY.source}$`, "u");
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
  const latin = OTHER_DIGITS.test(text) ? latinDigits(text) : text;
  return /[\d∞]|inf/i.test(latin) ? marked(latin) : undefined;
}

// full-width forms with their signs, Arabic and Persian digits with theirs
const OTHER_DIGITS = /[\uff0b-\uff19\uff05\u0660-\u0669\u06f0-\u06f9]/;

const latinDigits = (text: string): string =>
  text
    .replace(/[\uff05\uff0b-\uff19]/g, (one) => String.fromCharCode(one.charCodeAt(0) - 0xfee0))
    .replace(/[\u0660-\u0669\u06f0-\u06f9]/g, (one) => String(one.charCodeAt(0) & 15))
    .replaceAll("\u066b", ".")
    .replaceAll("\u066c", "'")
    .replaceAll("\u066a", "%");

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
  const numeral: Numeral = {
    negative: first === 45,
    body,
    exponent: "",
    decimal: undefined,
    unclear: undefined,
    groups: "",
    marks: NO_MARKS,
    unit: "",
  };
  if (separator >= 0) {
    const mark = body[separator] as Decimal;
    // as `isGrouped` has it, for one separator
    const grouped =
      separator >= 1 && separator <= 3 && body.length - separator === 4 && body.charCodeAt(0) !== 48;
    if (grouped) numeral.unclear = mark;
    else if (mark === "." || separator < body.length - 1) numeral.decimal = mark;
    else return undefined;
  }
  return numeral;
}

function marked(text: string): Numeral | undefined {
  const infinite = /[f∞y]$/i.test(text) ? INFINITE.exec(text) : null;
  if (infinite) return special(infinite[1] !== "" && infinite[1] !== "+", "Infinity", NO_MARKS);
  const hexadecimal = text.includes("x") || text.includes("X") ? HEXADECIMAL.exec(text) : null;
  if (hexadecimal) return special(hexadecimal[1] === "-", hexadecimal[2], ["hexadecimal"]);

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
  if (head[2] !== undefined) marks.push("currency");
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
    marks.push("currency");
    tail = "";
  }
  if (ORDINAL.test(tail)) {
    marks.push("ordinal");
    tail = "";
  }
  if (tail !== "" && (tail.length > LONGEST_UNIT || !UNIT.test(tail))) return undefined;
  const separators = separatorsOf(body, exponent !== null);
  if (separators === undefined) return undefined;
  return {
    negative: parenthesized !== null || (sign !== undefined && sign !== "+" && sign !== "\uff0b"),
    exponent: exponent ? `e${exponent[1].replace("\u2212", "-")}` : "",
    marks,
    unit: tail,
    ...separators,
  };
}

const special = (negative: boolean, body: string, marks: readonly Mark[]): Numeral => ({
  negative,
  body,
  exponent: "",
  groups: "",
  marks,
  unit: "",
});

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

/** What the separators of `body` say; undefined where they separate no number. */
function separatorsOf(
  body: string,
  exponent: boolean,
): Pick<Numeral, "body" | "decimal" | "unclear" | "groups"> | undefined {
  const neutral = /['’´`ʼ \u00a0\u2007\u2009\u202f_]/.exec(body)?.[0] ?? "";
  let digits = body;
  if (neutral !== "") {
    const end = body.search(/[.,]/);
    const whole = end < 0 ? body : body.slice(0, end);
    const fraction = end < 0 ? "" : body.slice(end);
    // 1_000_000 of a programmer; others group by three, and none has two kinds of groups
    const parts = whole.split(neutral);
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
    digits = parts.join("") + fraction;
    return { body: digits, groups: neutral, ...(fraction === "" ? {} : { decimal: fraction[0] as Decimal }) };
  }
  const points = digits.split(".").length - 1;
  const commas = digits.split(",").length - 1;
  if (points === 0 && commas === 0) return { body: digits, groups: "" };
  if (points > 0 && commas > 0) {
    const decimal: Decimal = digits.lastIndexOf(".") > digits.lastIndexOf(",") ? "." : ",";
    const [whole, fraction] = [
      digits.slice(0, digits.lastIndexOf(decimal)),
      digits.slice(digits.lastIndexOf(decimal) + 1),
    ];
    const grouped = isGrouped(whole, decimal === "." ? "," : ".");
    return grouped && /^\d*$/.test(fraction) ? { body: digits, groups: "", decimal } : undefined;
  }
  const separator: Decimal = points > 0 ? "." : ",";
  const other: Decimal = separator === "." ? "," : ".";
  const grouped = !exponent && isGrouped(digits, separator);
  if (points + commas > 1) return grouped ? { body: digits, groups: "", decimal: other } : undefined;
  return grouped
    ? { body: digits, groups: "", unclear: separator }
    : { body: digits, groups: "", decimal: separator };
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
 * decimals the one would be a thousandth of what the other is.
 */
export function columnDecimal(
  column: Evidence,
  file: Decimal | undefined,
  declared: Decimal | undefined,
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
  // where nothing is proven: a comma separates thousands, and a point decimals unless it looks otherwise
  return { decimal: separator === "," || below ? other : separator, sure: false };
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}
