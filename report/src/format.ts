/** Numbers and words for people, in the terminal and on a page alike. */

const SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹";

/** `10⁻⁷`. */
export function tenToThe(exponent: number): string {
  const digits = [...String(Math.abs(exponent))].map((digit) => SUPERSCRIPTS[Number(digit)]).join("");
  return `10${exponent < 0 ? "⁻" : ""}${digits}`;
}

/** Three significant digits: `0.0123`, `4.50`, `1,230`, `1.23×10⁻⁷`; an en dash for null, NaN and infinities. */
export function formatNumber(value: number | null): string {
  return withDigits(value, 3);
}

/** Numbers that are compared: with as many digits as tell them apart. */
export function formatApart(values: readonly number[]): string[] {
  const different = new Set(values).size;
  for (let digits = 3; ; digits++) {
    const texts = values.map((value) => withDigits(value, digits));
    if (digits === 12 || new Set(texts).size === different) return texts;
  }
}

function withDigits(value: number | null, digits: number): string {
  if (value === null || !Number.isFinite(value)) return "–";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size < 1e-3 || size >= 10 ** Math.max(6, digits)) {
    const [mantissa, exponent] = value.toExponential(digits - 1).split("e");
    return `${minus(mantissa ?? "")}×${tenToThe(Number(exponent))}`;
  }
  const text = value.toPrecision(digits);
  const rounded = Number(text);
  const maximumFractionDigits = digits - 3;
  return minus(Math.abs(rounded) >= 100 ? rounded.toLocaleString("en-US", { maximumFractionDigits }) : text);
}

/** A typographic minus sign, and none before a zero: "−0.00" never appears. */
export function minus(text: string): string {
  return /[1-9]/.test(text) ? text.replace("-", "−") : text.replace("-", "");
}

/** A formatted number with its sign: `+1.2`, `−1.2`, `0.0`. */
export const signed = (text: string): string => (/^[^-−]*[1-9]/.test(text) ? `+${text}` : minus(text));

/** `8.3 s`, `42 s`, `3 min 20 s`, `1 h 5 min`. */
export function duration(seconds: number): string {
  const rounded = Math.round(seconds);
  if (rounded < 60) return `${seconds < 10 ? seconds.toFixed(1) : rounded} s`;
  const minutes = Math.floor(rounded / 60);
  return minutes < 60
    ? `${minutes} min ${rounded % 60} s`
    : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** `1 trial`, `1,200 trials`. */
export const count = (n: number, one: string, many = `${one}s`): string =>
  `${n.toLocaleString("en-US")} ${n === 1 ? one : many}`;

export const capitalize = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

/** `a, b and c`. */
export const listed = (words: readonly string[]): string =>
  words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`;

/** Breaks a text between words, and not before a %, into lines of at most `width` characters; lines after the first start with `indent`. */
export function wrap(text: string, width: number, indent = ""): string {
  const lines = [""];
  for (const word of text.split(/ (?!%)/)) {
    const line = lines[lines.length - 1];
    if (line !== "" && line.length + word.length + 1 > width) lines.push(`${indent}${word}`);
    else lines[lines.length - 1] = line === "" ? word : `${line} ${word}`;
  }
  return lines.join("\n");
}

// what a terminal obeys, and what turns the direction of a line or cannot be seen
const UNPRINTABLE = /[\p{Cc}\p{Cs}\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/gu;

/** A text of somebody else's as it may be shown: control and bidirectional characters become `�`. */
export const printable = (text: string): string => text.replace(UNPRINTABLE, "\ufffd");

/** A text of somebody else's in double quotes for a message: printable, on one line, at most `most` characters of it. */
export function quote(text: string, most = 60): string {
  const shown = printable(text.slice(0, most + 1).replace(/[\t\n\r]+/g, " "));
  return `"${shown.length > most ? `${shown.slice(0, most - 1)}…` : shown}"`;
}

/** An argument as one would type it in a shell, without what a terminal obeys. */
export function typed(argument: string): string {
  if (/^[\w./,:=@%+-]+$/.test(argument)) return argument;
  if (printable(argument) === argument) return `'${argument.replaceAll("'", "'\\''")}'`;
  const escaped = [...argument].map((character) =>
    printable(character) === character
      ? character.replace(/[\\']/, "\\$&")
      : `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
  return `$'${escaped.join("")}'`;
}
