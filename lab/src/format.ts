/** Names and numbers for people, in the terminal and in the report alike. */
import type { Comparison } from "./results.js";

const SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹";

export function tenToThe(exponent: number): string {
  const digits = [...String(Math.abs(exponent))].map((digit) => SUPERSCRIPTS[Number(digit)]).join("");
  return `10${exponent < 0 ? "⁻" : ""}${digits}`;
}

/** Three significant digits: `0.0123`, `4.50`, `1,230`, `1.23×10⁻⁷`; an en dash for no number. */
export function formatNumber(value: number | null): string {
  if (value === null || !Number.isFinite(value)) return "–";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size < 1e-3 || size >= 1e6) {
    const [mantissa, exponent] = value.toExponential(2).split("e");
    return `${minus(mantissa ?? "")}×${tenToThe(Number(exponent))}`;
  }
  const rounded = Number(value.toPrecision(3));
  return minus(Math.abs(rounded) >= 100 ? rounded.toLocaleString("en-US") : value.toPrecision(3));
}

/** The comparison's metric: accuracy as a percentage, R² to three decimals (far below zero, to three digits). */
export function formatMetric(metric: Comparison["metric"], value: number | null): string {
  if (value === null || !Number.isFinite(value)) return "–";
  if (metric === "accuracy") return `${value === 1 ? "100" : (100 * value).toFixed(1)}\u00a0%`;
  return value > -10 ? minus(value.toFixed(3)) : formatNumber(value);
}

/** Typographic minus sign; keeps "−0.00" from appearing. */
export function minus(text: string): string {
  return /[1-9]/.test(text) ? text.replace("-", "−") : text.replace("-", "");
}

export function duration(seconds: number): string {
  const whole = Math.round(seconds);
  if (whole < 60) return `${seconds < 10 ? seconds.toFixed(1) : whole} s`;
  const minutes = Math.floor(whole / 60);
  return minutes < 60
    ? `${minutes} min ${whole % 60} s`
    : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

export const count = (n: number, one: string, many = `${one}s`): string =>
  `${n.toLocaleString("en-US")} ${n === 1 ? one : many}`;

/** The target as the user gave it, without padding: "90 %", "0.8". */
export const formatTarget = ({ metric, targetMetric }: Comparison): string =>
  targetMetric === null
    ? "target"
    : metric === "accuracy"
      ? `${Number((100 * targetMetric).toPrecision(6))}\u00a0%`
      : String(targetMetric);

export const formatEpochs = (epochs: number | null): string =>
  epochs === null ? "–" : Number.isInteger(epochs) ? String(epochs) : epochs.toFixed(1);

/** In lines of at most so many characters, broken between words. */
export function wrap(text: string, width: number): string {
  const lines = [""];
  for (const word of text.split(" ")) {
    const line = lines[lines.length - 1];
    if (line !== "" && line.length + word.length + 1 > width) lines.push(word);
    else lines[lines.length - 1] = line === "" ? word : `${line} ${word}`;
  }
  return lines.join("\n");
}
