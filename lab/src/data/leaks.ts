/**
 * What may make the numbers of a comparison too good: rows that are in two parts, an input that gives the target away,
 * rows that belong together, and time. Each a sentence with its remedy; what is usual in good data is not told.
 */
import { count, listed, quote } from "@evenkeel/report/format";
import { argument } from "./names.js";
import { isTimeName, namesThings } from "./nature.js";
import { type Split, shuffledRows } from "./split.js";
import type { Column } from "./table.js";

/** What is looked at; rows are those of the table, examples those of the dataset. */
export interface Suspects {
  /** Columns that became inputs, all others that were not ignored, and the target. */
  inputs: readonly Column[];
  others: readonly Column[];
  target: Column;
  /** [examples]: the row of each, and its class index or its number. */
  rows: readonly number[];
  y: ArrayLike<number>;
  /** Whether y are classes. */
  classes: boolean;
  /** [examples, ...]: what the networks see, and how many of the inputs belong together. */
  x: Float32Array;
  widths: readonly number[];
  /** Of one seed. */
  split: Split;
  /** [examples]: the group of each, where groups decide on the parts. */
  groups?: ArrayLike<number>;
  /** Whether time decides on them, and whether the user says that it does not. */
  byTime: boolean;
  atRandom: boolean;
}

/** Fewer examples are too few to suspect anything. */
const FEWEST = 20;
/** Examples that columns are judged by, fewer where there are many columns. */
const SAMPLE = { least: 500, most: 5000, values: 1e6 };
/** Of the held-out rows: those that may be in the training part by chance. */
const USUAL_DUPLICATES = 0.01;
const FEWEST_DUPLICATES = 3;
/** Values that are hashed to see whether rows are nearly equal: of the last columns where there are many. */
const MOST_HASHED = 1e7;
/** From here on a single column gives the target away. */
const NEARLY_ALL = 0.99;
const NEARLY_ALL_VARIANCE = 0.999;
/** Of what guessing gets wrong, the most that may be left. */
const LEFT = 0.2;
/** Of what guessing gets wrong, what the other rows of a group tell: where they have similar targets, or the same. */
const ALIKE = 0.3;
const SAME = 0.8;
const MOST_NAMED = 3;

export function leaksOf(suspects: Suspects): string[] {
  if (suspects.rows.length < FEWEST) return [];
  const sample = sampleOf(suspects);
  const open = !suspects.groups && !suspects.byTime;
  const time = open && !suspects.atRandom ? timeLeak(suspects) : undefined;
  const groups = open ? groupLeak(suspects) : undefined;
  const { rows } = suspects;
  const values = groups?.column.values;
  const groupOf = values ? (at: number) => values[rows[at]] : (at: number) => suspects.groups?.[at] ?? null;
  return [
    ...duplicates(suspects),
    ...giveaways(suspects, apart(sample, groupOf), [time?.column, groups?.column]),
    ...(groups ? [groups.warning] : []),
    ...(time ? [time.warning] : []),
  ];
}

/** One example of each group, by which an input is judged: its neighbours would be of its own group. */
function apart(sample: readonly number[], groupOf: (at: number) => unknown): number[] {
  const seen = new Set<unknown>();
  return sample.filter((at) => {
    const group = groupOf(at);
    return group === null || (!seen.has(group) && seen.add(group));
  });
}

/** Examples in the order of the table. */
function sampleOf({ rows, inputs }: Suspects): number[] {
  const size = Math.max(SAMPLE.least, Math.min(SAMPLE.most, Math.floor(SAMPLE.values / inputs.length)));
  return shuffledRows(rows.length)
    .slice(0, size)
    .sort((a, b) => a - b);
}

/** Held-out examples that are equal to a training one, unless as many are nearly so: those of few different values are alike without being copies. */
function duplicates(suspects: Suspects): string[] {
  const { rows, x, y, split } = suspects;
  const width = x.length / rows.length;
  const bits = new Int32Array(x.buffer, x.byteOffset, x.length);
  const equal = (a: number, b: number) => {
    if (y[a] !== y[b]) return false;
    for (let i = 0; i < width; i++) if (bits[a * width + i] !== bits[b * width + i]) return false;
    return true;
  };
  const hash = (row: number) => hashOf(bits, row * width, (row + 1) * width);
  const trained = new Map<number, number[]>();
  for (const row of split.train) {
    const key = hash(row);
    const same = trained.get(key);
    if (!same) trained.set(key, [row]);
    else if (!same.some((other) => equal(row, other))) same.push(row);
  }
  const found = split.heldOut.reduce(
    (sum, row) => sum + Number(trained.get(hash(row))?.some((other) => equal(row, other)) ?? false),
    0,
  );
  const share = found / split.heldOut.length;
  if (found < FEWEST_DUPLICATES || share <= USUAL_DUPLICATES) return [];
  if (trained.size < FEWEST || 2 * nearlyEqual(suspects) >= found) return [];
  return [
    `${count(found, "held-out row")} of ${split.heldOut.length.toLocaleString("en-US")} (${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %) ${found === 1 ? "is" : "are"} in the training part too, equal in every input and the target; remove the copies from the file, or keep them together with --group`,
  ];
}

function hashOf(bits: Int32Array, from: number, to: number): number {
  let sum = 0;
  for (let at = from; at < to; at++) {
    sum = Math.imul(sum ^ bits[at], 0x9e3779b1);
    sum ^= sum >>> 15;
  }
  return sum;
}

/** How many held-out examples differ from a training one in a single column, or in the target alone. */
function nearlyEqual({ rows, x, y, widths, split }: Suspects): number {
  const width = x.length / rows.length;
  const bits = new Int32Array(x.buffer, x.byteOffset, x.length);
  const target = new Int32Array(Float64Array.from(y).buffer);
  let first = 0;
  const columns = widths.map((own, index) => {
    const from = first;
    first += own;
    // salted, so that equal values of two columns are not taken for each other
    return (row: number) =>
      Math.imul(hashOf(bits, row * width + from, row * width + from + own) ^ index, 0x85ebca6b);
  });
  columns.push((row) => hashOf(target, 2 * row, 2 * row + 2));
  const whole = Int32Array.from(rows, (_, row) => columns.reduce((sum, of) => (sum + of(row)) | 0, 0));
  const near = new Set<number>();
  for (const of of columns.slice(-Math.ceil(MOST_HASHED / rows.length))) {
    // what all other columns are: the one value of this column with it, or null where there are several
    const others = new Map<number, number | null>();
    for (const row of split.train) {
      const own = of(row);
      const rest = (whole[row] - own) | 0;
      const seen = others.get(rest);
      others.set(rest, seen === undefined || seen === own ? own : null);
    }
    for (const row of split.heldOut) {
      const own = of(row);
      const seen = others.get((whole[row] - own) | 0);
      if (seen !== undefined && seen !== own) near.add(row);
    }
  }
  return near.size;
}

/** How well one column alone predicts the others' target, each example by those next to it: guessing 0, perfect 1. */
interface Power {
  /** Share of right answers, or of the variance. */
  score: number;
  /** The share that guessing gets right; 0 of a variance. */
  guess: number;
}

/**
 * Of the examples of a level, or of a number: by the others of the same, or else, where numbers have an order, by those
 * before and after. Levels without another example are guessed wrong.
 */
function powerOf({ kind, values }: Column, suspects: Suspects, sample: readonly number[]): Power {
  const { rows, classes, y } = suspects;
  const value = (at: number) => values[rows[at]];
  if (kind === "text") {
    const runs = new Map<unknown, number[]>();
    for (const at of sample) {
      const run = runs.get(value(at));
      if (run) run.push(at);
      else runs.set(value(at), [at]);
    }
    return classes ? rightBy([...runs.values()], y) : explainedBy([...runs.values()], y);
  }
  // missing ones have no place among the others
  const number = value as (at: number) => number;
  const present = sample.filter((at) => value(at) !== null).sort((a, b) => number(a) - number(b));
  const runs: number[][] = sample.length > present.length ? [sample.filter((at) => value(at) === null)] : [];
  const first = runs.length;
  for (const at of present) {
    const run = runs.length > first ? runs[runs.length - 1] : undefined;
    if (run && number(run[0]) === number(at)) run.push(at);
    else runs.push([at]);
  }
  return classes
    ? rightBy(runs, y, first)
    : explainedBy(runs, y, (index) => {
        if (index <= first || index >= runs.length - 1) return undefined;
        const [before, here, after] = [runs[index - 1][0], runs[index][0], runs[index + 1][0]].map(number);
        return (here - before) / (after - before);
      });
}

/** From the run `ordered` on, one of a single example asks those beside it. */
function rightBy(
  runs: readonly (readonly number[])[],
  y: ArrayLike<number>,
  ordered = Number.POSITIVE_INFINITY,
): Power {
  let right = 0;
  for (const [index, run] of runs.entries()) {
    const alone = run.length === 1 && index >= ordered;
    const near = alone ? [...(index > ordered ? runs[index - 1] : []), ...(runs[index + 1] ?? [])] : run;
    const sizes = sizesOf(near, y);
    for (const at of run) {
      const others = (sizes.get(y[at]) ?? 0) - (alone ? 0 : 1);
      let most = 0;
      for (const [label, size] of sizes) if (label !== y[at]) most = Math.max(most, size);
      // of two neighbours that differ, either may be right
      if (others > most) right++;
      else if (others === most && others > 0) right += 0.5;
    }
  }
  const all = runs.flat();
  return { score: right / all.length, guess: Math.max(...sizesOf(all, y).values()) / all.length };
}

/** `place`: where between the runs before and after it a run of one example lies, from 0 to 1; nothing where it has only one of them. */
function explainedBy(
  runs: readonly (readonly number[])[],
  y: ArrayLike<number>,
  place?: (index: number) => number | undefined,
): Power {
  const means = runs.map((run) => run.reduce((sum, at) => sum + y[at], 0) / run.length);
  const all = runs.flat();
  const mean = all.reduce((sum, at) => sum + y[at], 0) / all.length;
  let total = 0;
  let left = 0;
  for (const [index, run] of runs.entries()) {
    if (run.length === 1) {
      const share = place?.(index);
      if (place && share === undefined) continue;
      const guess =
        share === undefined ? mean : means[index - 1] + share * (means[index + 1] - means[index - 1]);
      total += (y[run[0]] - mean) ** 2;
      left += (y[run[0]] - guess) ** 2;
      continue;
    }
    for (const at of run) {
      const guess = (means[index] * run.length - y[at]) / (run.length - 1);
      total += (y[at] - mean) ** 2;
      left += (y[at] - guess) ** 2;
    }
  }
  return { score: total > 0 ? 1 - left / total : 0, guess: 0 };
}

function sizesOf(examples: readonly number[], y: ArrayLike<number>): Map<number, number> {
  const sizes = new Map<number, number>();
  for (const at of examples) sizes.set(y[at], (sizes.get(y[at]) ?? 0) + 1);
  return sizes;
}

/** Inputs that predict the target (nearly) perfectly, each alone; a single input is meant to. */
function giveaways(
  suspects: Suspects,
  sample: readonly number[],
  others: readonly (Column | undefined)[],
): string[] {
  const { inputs, target, classes } = suspects;
  if (inputs.length < 2 || sample.length < FEWEST) return [];
  const found = inputs.filter((column) => {
    if (others.includes(column)) return false;
    const { score, guess } = powerOf(column, suspects, sample);
    return score >= (classes ? NEARLY_ALL : NEARLY_ALL_VARIANCE) && 1 - score <= LEFT * (1 - guess);
  });
  if (found.length === 0) return [];
  const names = found.slice(0, MOST_NAMED).map(({ name }) => quote(name));
  const named = listed(
    found.length > MOST_NAMED ? [...names, `${found.length - MOST_NAMED} other columns`] : names,
  );
  const [each, them] = found.length === 1 ? ["alone", "it"] : ["each alone", "them"];
  return [
    `${named} ${each} predict${found.length === 1 ? "s" : ""} ${quote(target.name)} (nearly) perfectly; if ${them === "it" ? "it is" : "they are"} known only with the target, leave ${them} out: ${found
      .slice(0, MOST_NAMED)
      .map(({ name }) => `--ignore ${argument(name)}`)
      .join(" ")}`,
  ];
}

/** A column whose values have several rows each, with similar targets where it is called as what names things, or else with (nearly) one each and rows that stand together. */
function groupLeak(suspects: Suspects): { column: Column; warning: string } | undefined {
  const { inputs, others, rows } = suspects;
  // a sample would tear groups apart
  const all = rows.map((_, at) => at);
  for (const column of [...inputs, ...others]) {
    const { name, values, kind } = column;
    const named = namesThings(name);
    if (kind === "date" || isTimeName(name) || (kind === "number" && !named)) continue;
    const sizes = new Map<unknown, number>();
    let blocks = 0;
    let present = 0;
    let whole = true;
    for (const [at, row] of rows.entries()) {
      const value = values[row];
      if (value === null) continue;
      present++;
      whole &&= typeof value === "string" || Number.isInteger(value);
      sizes.set(value, (sizes.get(value) ?? 0) + 1);
      if (at === 0 || values[rows[at - 1]] !== value) blocks++;
    }
    const distinct = sizes.size;
    if (!whole || distinct < 10 || present < 2 * distinct || present < rows.length / 2) continue;
    if (!named && blocks >= 1.2 * distinct) continue;
    const { score, guess } = powerOf({ ...column, kind: "text" }, suspects, all);
    const alike = (score - guess) / (1 - guess);
    if (!(alike >= (named ? ALIKE : SAME))) continue;
    const targets = alike >= SAME ? "one and the same target" : "similar targets";
    const of = present / distinct;
    return {
      column,
      warning: `${quote(name)} looks like a group: each of its ${distinct.toLocaleString("en-US")} values has several rows (${of < 10 ? Number(of.toFixed(1)) : Math.round(of).toLocaleString("en-US")} on average) with ${targets}; keep them in one part with --group ${argument(name)}`,
    };
  }
  return undefined;
}

/** A column of dates, or a counter in whose order the target changes slowly. */
function timeLeak(suspects: Suspects): { column: Column; warning: string } | undefined {
  const { inputs, others, rows, target } = suspects;
  const date = [...inputs, ...others].find(
    ({ kind, values }) => kind === "date" && new Set(rows.map((row) => values[row])).size >= 10,
  );
  if (date) {
    return {
      column: date,
      warning: `${quote(date.name)} says when, and the parts are drawn at random: where later rows are to be predicted from earlier ones, use --split time${[...inputs, ...others].filter(({ kind }) => kind === "date").length > 1 ? ` --time ${argument(date.name)}` : ""}`,
    };
  }
  const counter = inputs.find((column) => counts(column, rows));
  if (!counter || !lingers(suspects)) return undefined;
  return {
    column: counter,
    warning: `${quote(target.name)} changes slowly along ${quote(counter.name)}, and the parts are drawn at random: a row's neighbours give it away; use --split time --time ${argument(counter.name)}`,
  };
}

/** Whether the numbers of a column ascend from row to row, in even steps or by the name of a time. */
function counts({ kind, values, name }: Column, rows: readonly number[]): boolean {
  if (kind !== "number") return false;
  const step = (values[rows[1]] as number) - (values[rows[0]] as number);
  let even = true;
  for (let at = 1; at < rows.length; at++) {
    const [before, here] = [values[rows[at - 1]], values[rows[at]]];
    if (before === null || here === null || !(before <= here)) return false;
    even &&= Math.abs((here as number) - (before as number) - step) <= 1e-6 * Math.abs(step);
  }
  return step > 0 && even ? true : isTimeName(name);
}

/** Whether the target stays near its value from row to row, and yet comes back: a file sorted by it is no series. */
function lingers({ y, rows, classes }: Suspects): boolean {
  const length = rows.length;
  let mean = 0;
  for (let at = 0; at < length; at++) mean += y[at] / length;
  let [total, together, turns, changes] = [0, 0, 0, 0];
  for (let at = 0; at < length; at++) {
    total += (y[at] - mean) ** 2;
    if (at === 0) continue;
    together += (y[at] - mean) * (y[at - 1] - mean);
    if (y[at] !== y[at - 1]) changes++;
    if (at > 1 && (y[at] - y[at - 1]) * (y[at - 1] - y[at - 2]) < 0) turns++;
  }
  if (!classes) return together > 0.5 * total && turns > 0;
  const sizes = [
    ...sizesOf(
      Array.from({ length }, (_, at) => at),
      y,
    ).values(),
  ];
  const bychance = (length - 1) * (1 - sizes.reduce((sum, size) => sum + (size / length) ** 2, 0));
  return changes < 0.5 * bychance && changes > 2 * sizes.length;
}
