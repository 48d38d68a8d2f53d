/** Axes of figures: round domains, few ticks, and a scale that suits the values. */
import { minus, tenToThe } from "./format.js";
import { quantile } from "./statistics.js";

function formatTick(value: number): string {
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 0.001 && size < 10_000) return minus(String(Number(value.toPrecision(6))));
  const exponent = Math.floor(Math.log10(size) + 1e-9);
  const mantissa = Math.round(size / 10 ** exponent);
  return `${value < 0 ? "−" : ""}${mantissa === 1 ? "" : `${mantissa}×`}${tenToThe(exponent)}`;
}

/** How values are laid out along one direction of a figure. */
export interface Axis {
  type: "linear" | "log" | "symlog";
  domain: [number, number];
  ticks: number[];
  format: (value: number) => string;
  /** Where symlog turns from linear to logarithmic. */
  constant: number;
}

/** What a figure must say of the values that lie beyond its axis, where there are any: a sentence. */
export function beyondNote({ domain: [low, high] }: Axis, values: readonly number[]): string[] {
  const beyond = values.filter(
    (value) => value < low - 1e-3 * Math.abs(low) || value > high + 1e-3 * Math.abs(high),
  );
  if (beyond.length === 0) return [];
  return [`Values beyond the axis${beyond.includes(0) ? ", zero among them," : ""} are drawn at its edge.`];
}

/** The round step (1, 2 or 5 times a power of ten) that cuts a span into about `count` pieces. */
function roundStep(span: number, count: number): number {
  const raw = span / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  const digit = [1, 2, 5, 10].find((candidate) => candidate * power >= raw * (1 - 1e-9)) ?? 10;
  return digit * power;
}

/** The multiples of `step` from `low` to `high`, without rounding noise. */
export const multiples = (step: number, low: number, high: number): number[] => {
  const first = Math.ceil(low / step - 1e-9);
  const count = Math.floor(high / step + 1e-9) - first + 1;
  return Array.from({ length: count }, (_, i) => Number(((first + i) * step).toPrecision(12)));
};

/** Ticks at integers; the lower end gets one too where the next leaves it room. */
export function wholeTicks(low: number, high: number, count: number): number[] {
  if (high <= low) return [low];
  const step = Math.max(1, Math.round(roundStep(high - low, count)));
  const ticks = multiples(step, low, high);
  return (ticks[0] ?? high) - low >= 0.6 * step ? [low, ...ticks] : ticks;
}

/** A linear axis whose ends are round where that leaves little empty. */
export function linearAxis(low: number, high: number): Axis {
  const step = roundStep(high > low ? high - low : Math.abs(high) || 1, 5);
  // an end slightly beyond a tick stays where it is: another whole step would be mostly empty
  const [below, above] = [Math.floor(low / step + 1e-9) * step, Math.ceil(high / step - 1e-9) * step];
  const domain: [number, number] = [
    low - below > 0.75 * step ? low : below,
    above - high > 0.75 * step ? high : above,
  ];
  if (domain[0] === domain[1]) domain[1] += step;
  const ticks = multiples(step, ...domain);
  return { type: "linear", domain, ticks, format: tickFormat(ticks), constant: 1 };
}

/** Letters that a label has room for. */
const LONGEST_TICK = 9;

/** As short as it goes, but with all digits where two ticks would read the same. */
function tickFormat(ticks: readonly number[]): Axis["format"] {
  const whole = (value: number) => minus(value.toLocaleString("en-US", { maximumSignificantDigits: 12 }));
  const isClear = new Set(ticks.map(formatTick)).size === ticks.length;
  return isClear || ticks.some((tick) => whole(tick).length > LONGEST_TICK) ? formatTick : whole;
}

/** The value rounded down to one digit. */
function roundBelow(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value) + 1e-9);
  return power * Math.floor(value / power + 1e-9);
}

/** The value rounded up to one digit. */
function roundAbove(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value) + 1e-9);
  return power * Math.ceil(value / power - 1e-9);
}

/** Powers of ten within a domain of exponents, thinned to at most `most`. */
function decades(low: number, high: number, most: number): number[] {
  const every = Math.max(1, Math.ceil((Math.floor(high) - Math.ceil(low) + 1) / most));
  return multiples(every, low, high).map((exponent) => Number(`1e${exponent}`));
}

function logAxis(positive: number[]): Axis {
  const sorted = positive.toSorted((a, b) => a - b);
  const max = quantile(sorted, 1);
  const min = quantile(sorted, 0);
  // one exploding trial must not flatten all others against the floor, nor one underflow against the ceiling
  const top = Math.min(max, quantile(sorted, 0.9) * 1e4);
  const bottom = Math.max(min, top * 1e-16);
  let low = roundBelow(bottom);
  let high = roundAbove(top);
  if (high / low < 10) {
    const middle = Math.sqrt(low * high);
    low = roundBelow(middle / Math.sqrt(10));
    high = roundAbove(middle * Math.sqrt(10));
  }
  const [from, to] = [Math.log10(low), Math.log10(high)];
  const fewDecades = to - from < 2.5;
  const ticks = fewDecades
    ? [1, 2, 5].flatMap((digit) => decades(from - 1, to, 99).map((power) => digit * power))
    : decades(from, to, 6);
  return {
    type: "log",
    domain: [low, high],
    ticks: ticks.filter((tick) => tick >= low * 0.999 && tick <= high * 1.001).sort((a, b) => a - b),
    format: fewDecades ? formatTick : (value) => tenToThe(Math.round(Math.log10(value))),
    constant: 1,
  };
}

/** For signed values whose magnitudes span decades: linear around zero, logarithmic beyond. */
function symlogAxis(values: number[]): Axis {
  const sizes = values.map(Math.abs).sort((a, b) => a - b);
  const largest = quantile(sizes, 1);
  const exponent = Math.floor(Math.log10(quantile(sizes, 0.5) || largest));
  const powers = decades(exponent, Math.log10(largest), 3);
  const low = Math.min(0, ...values);
  const high = Math.max(0, ...values);
  const place = (value: number) => Math.log1p(Math.abs(value) / 10 ** exponent);
  // a label has no room nearer to that of 0
  const nearest = 0.07 * (place(low) + place(high));
  const ticks = [...powers.map((power) => -power), 0, ...powers].filter(
    (tick) => tick >= low && tick <= high && (tick === 0 || place(tick) > nearest),
  );
  const domain: [number, number] = [low * 1.2, high * 1.2];
  return { type: "symlog", domain, ticks, format: formatTick, constant: 10 ** exponent };
}

/** Logarithmic where the positive values span more than a decade (or `always`); otherwise linear from zero. */
export function magnitudeAxis(values: number[], always = false): Axis {
  const positive = values.filter((value) => value > 0);
  if (positive.length === 0) return linearAxis(0, 1);
  const spans = Math.max(...positive) > 10 * Math.min(...positive);
  return spans || always ? logAxis(positive) : linearAxis(0, Math.max(...positive));
}

/** Linear from zero, or symlog where the largest magnitude dwarfs the typical one. */
export function signedAxis(values: number[]): Axis {
  if (values.length === 0) return linearAxis(-1, 1);
  const sizes = values.map(Math.abs).sort((a, b) => a - b);
  const typical = quantile(sizes, 0.5);
  if (typical > 0 && quantile(sizes, 1) > 100 * typical) return symlogAxis(values);
  return linearAxis(Math.min(0, ...values), Math.max(0, ...values));
}

/** How settings are laid out that were chosen, not measured: each has its tick, and they are logarithmic where they span more than four to one. */
export function chosenAxis(values: number[]): Axis {
  const ticks = [...new Set(values)].sort((a, b) => a - b);
  const [low, high] = [ticks[0] ?? 0, ticks.at(-1) ?? 1];
  const log = low > 0 && high > 4 * low;
  const [from, to] = log ? [Math.log(low), Math.log(high)] : [low, high];
  // a margin, so that what stands at an end is whole
  const margin = to > from ? 0.06 * (to - from) : log ? 1 : Math.abs(low) / 2 || 1;
  const domain: [number, number] = log
    ? [Math.exp(from - margin), Math.exp(to + margin)]
    : [from - margin, to + margin];
  return { type: log ? "log" : "linear", domain, ticks, format: formatTick, constant: 1 };
}

/** Linear over exactly these values: time, or counted steps, of which an axis shows no empty part. */
export function tightAxis(low: number, high: number): Axis {
  const { ticks, ...axis } = linearAxis(low, high);
  const domain: [number, number] = high > low ? [low, high] : [low - 0.5, low + 0.5];
  return { ...axis, domain, ticks: ticks.filter((tick) => tick >= domain[0] && tick <= domain[1]) };
}

/** At most `most` of the values, evenly spaced, the first and the last included. */
export function thinned<T>(values: readonly T[], most: number): T[] {
  if (values.length <= most) return [...values];
  const stride = (values.length - 1) / (most - 1);
  return Array.from({ length: most }, (_, i) => values[Math.round(i * stride)] as T);
}
