/**
 * Which examples are for training, for choosing (validation) and held out: 64, 16 and 20 % where the user does not say.
 * Each seed draws its own, the same in every call, run and machine; where the data say which are held out, or time does,
 * all seeds have the same.
 */
import { quote } from "@evenkeel/report/format";
import { uniformInt } from "pure-rand/distribution/uniformInt";
import { UsageError } from "../errors.js";
import { generatorOf } from "./random.js";

/** How the examples of a dataset are divided; plain data, so that whoever trains can draw the parts of a seed. */
export interface Parts {
  /** [examples]: the class of each, by which random parts are stratified; all 0 where there are none. */
  strata: Int32Array;
  /** [examples]: numbers of groups; those of one group stay together. */
  groups?: Int32Array;
  /** [examples]: when each was, in any unit: the latest are held out, those before them validate, for every seed alike. */
  time?: Float64Array;
  /** Examples that the data themselves hold out. */
  heldOut?: Int32Array;
  /**
   * Units of time from an example's own to the end of its target: in no part are those whose targets reach into the next
   * one. The shares are then of the whole time.
   */
  span?: number;
  /** Of training, validation and held-out part. */
  shares?: readonly [train: number, validation: number, heldOut: number];
}

/** The examples of one seed: rows of the dataset, in a random but fixed order. */
export interface Split {
  train: Int32Array;
  validation: Int32Array;
  heldOut: Int32Array;
}

/** Training, validation, held out: each needs an example, and of each class one where it can be had. */
export const PARTS = 3;
/** Of training, validation and held-out part, where the user does not say. */
export const usualShares = [0.64, 0.16, 0.2] as const;
const SEED = 20;

/** The parts of a seed. There must be examples for each part: three, or three groups. */
export function splitOf(parts: Parts, count: number, seed: number): Split {
  const order = shuffledRows(count, seed);
  const { train, validation, heldOut } = parts.time
    ? byTime(parts.time, order, parts)
    : parts.groups
      ? byGroup(parts.groups, order, parts)
      : atRandom(parts, order);
  return {
    train: Int32Array.from(train),
    validation: Int32Array.from(validation),
    heldOut: Int32Array.from(heldOut),
  };
}

/** How the text of parts begins that are the same for all seeds, and how it ends where the held-out part is. */
export const SAME_PARTS = "has the same parts";
const OWN_HELD_OUT = "; the held-out part is the data's own";

/** Whether all seeds are judged on the same examples, by how the parts are drawn. */
export const sameHeldOut = (drawn: string): boolean =>
  drawn.startsWith(SAME_PARTS) || drawn.endsWith(OWN_HELD_OUT);

/** How the parts are drawn, as it follows "Each seed "; `group` and `time` are the names of columns. */
export function drawnText(
  parts: Parts,
  { group = "", time = "" }: { group?: string; time?: string } = {},
): string {
  if (parts.time) {
    return `${SAME_PARTS}: the latest ${percent((parts.shares ?? usualShares)[2])} by ${quote(time)} are held out, and what was just before is for validation`;
  }
  const stratified = parts.strata.some((stratum) => stratum > 0) ? ", stratified by class" : "";
  if (parts.groups) {
    return `draws its own parts at random${stratified}, all rows of one ${quote(group)} in one part`;
  }
  return parts.heldOut
    ? `draws its own validation part at random${stratified}${OWN_HELD_OUT}`
    : `draws its own parts at random${stratified}`;
}

/** "16 %" */
export const percent = (share: number): string => `${Number((100 * share).toPrecision(3))} %`;

/** Throws UsageError for a limit that leaves a class without a row for each part. */
export function checkLimit(limit: number, classes: number): void {
  const least = PARTS * Math.max(1, classes);
  if (Number.isInteger(limit) && limit >= least) return;
  throw new UsageError(
    `--limit: expected an integer number of rows, at least ${least}${classes > 1 ? ` (${PARTS} of each of the ${classes} classes)` : ""}, got ${limit}`,
  );
}

/** The numbers 0 to count − 1 in a random order, the same for the same seed. */
export function shuffledRows(count: number, seed = SEED): number[] {
  const rows = Array.from({ length: count }, (_, index) => index);
  const random = generatorOf(seed);
  for (let last = count - 1; last > 0; last--) {
    const other = uniformInt(random, 0, last);
    [rows[last], rows[other]] = [rows[other], rows[last]];
  }
  return rows;
}

/**
 * Divides `rows`, in their order, into `count` taken ones and the rest: each class (`classOf[row]`, 0 to classes − 1)
 * gives its share of the count, rounded, and at least `least`, or all that it has. The count must be large enough for that.
 */
export function drawRows(
  rows: readonly number[],
  classOf: ArrayLike<number>,
  classes: number,
  count: number,
  least: number,
): { taken: number[]; rest: number[] } {
  const sizes = new Array<number>(classes).fill(0);
  for (const row of rows) sizes[classOf[row]]++;
  const quota = apportion(sizes, count, least);
  const taken: number[] = [];
  const rest: number[] = [];
  for (const row of rows) {
    if (quota[classOf[row]]-- > 0) taken.push(row);
    else rest.push(row);
  }
  return { taken, rest };
}

/** `count` divided in proportion to `sizes`: shares rounded down first, the remainder to those furthest below their due. */
function apportion(sizes: readonly number[], count: number, least: number): number[] {
  const total = sizes.reduce((sum, size) => sum + size, 0);
  const due = sizes.map((size) => (count * size) / total);
  const floor = sizes.map((size) => Math.min(size, least));
  const shares = due.map((share, index) => Math.max(floor[index], Math.floor(share)));
  const lacking = (index: number) => due[index] - shares[index];
  const classes = sizes.map((_, index) => index);
  let left = count - shares.reduce((sum, share) => sum + share, 0);
  for (; left > 0; left--) {
    const open = classes.filter((index) => shares[index] < sizes[index]);
    shares[open.reduce((best, index) => (lacking(index) > lacking(best) ? index : best))]++;
  }
  for (; left < 0; left++) {
    const open = classes.filter((index) => shares[index] > floor[index]);
    shares[open.reduce((best, index) => (lacking(index) < lacking(best) ? index : best))]--;
  }
  return shares;
}

interface Divided {
  train: readonly number[];
  validation: readonly number[];
  heldOut: readonly number[];
}

function atRandom({ strata, heldOut, shares = usualShares }: Parts, order: readonly number[]): Divided {
  const classes = strata.reduce((most, stratum) => Math.max(most, stratum + 1), 1);
  const draw = (rows: readonly number[], share: number) => {
    const here = new Set(rows.map((row) => strata[row])).size;
    return drawRows(rows, strata, classes, Math.max(here, Math.round(share * rows.length)), 1);
  };
  const given = heldOut && new Set(heldOut);
  const held = given
    ? { taken: order.filter((row) => given.has(row)), rest: order.filter((row) => !given.has(row)) }
    : draw(order, shares[2]);
  const validation = draw(held.rest, shares[1] / (shares[0] + shares[1]));
  return { train: validation.rest, validation: validation.taken, heldOut: held.taken };
}

/** Rows of one time are in one part where there are times enough for all. */
function byTime(
  time: Float64Array,
  order: readonly number[],
  { span, shares = usualShares }: Parts,
): Divided {
  if (span !== undefined) return bySpans(time, order, span, shares);
  const rows = [...order].sort((a, b) => time[a] - time[b] || a - b);
  const changes = (at: number) => time[rows[at - 1]] < time[rows[at]];
  /** The change next to `at` in (from, to), an earlier one first. */
  const border = (at: number, from: number, to: number) => {
    for (let distance = 0; distance < rows.length; distance++) {
      for (const near of [at - distance, at + distance]) {
        if (near > from && near < to && changes(near)) return near;
      }
    }
    return Math.min(Math.max(at, from + 1), to - 1);
  };
  const held = border(Math.round((1 - shares[2]) * rows.length), 1, rows.length);
  const validation = border(Math.round((shares[0] / (shares[0] + shares[1])) * held), 0, held);
  const train = new Set(rows.slice(0, validation));
  return {
    train: order.filter((row) => train.has(row)),
    validation: rows.slice(validation, held),
    heldOut: rows.slice(held),
  };
}

/** Each part has the examples whose targets lie in it. */
function bySpans(
  time: Float64Array,
  order: readonly number[],
  span: number,
  shares: readonly [number, number, number],
): Divided {
  const end = order.reduce((latest, row) => Math.max(latest, time[row] + span), 0);
  const borders = [shares[0], shares[0] + shares[1]].map((share) => Math.round(share * end));
  const within = (from: number, to: number) =>
    order.filter((row) => time[row] >= from && time[row] + span <= to);
  const inOrder = (rows: number[]) => rows.sort((a, b) => time[a] - time[b] || a - b);
  return {
    train: within(0, borders[0]),
    validation: inOrder(within(borders[0], borders[1])),
    heldOut: inOrder(within(borders[1], end)),
  };
}

/**
 * Whole groups, the largest first, each to the part where it brings the classes nearest to their shares of 64, 16 and
 * 20 %; groups of one size come in the random order.
 */
function byGroup(
  groups: Int32Array,
  order: readonly number[],
  { strata, shares = usualShares }: Parts,
): Divided {
  const members = new Map<number, number[]>();
  const totals = new Map<number, number>();
  for (const row of order) {
    const group = members.get(groups[row]);
    if (group) group.push(row);
    else members.set(groups[row], [row]);
    totals.set(strata[row], (totals.get(strata[row]) ?? 0) + 1);
  }
  const parts = shares.map((share) => ({
    share,
    have: new Map<number, number>(),
    groups: [] as number[][],
  }));
  for (const rows of [...members.values()].sort((a, b) => b.length - a.length)) {
    const sizes = new Map<number, number>();
    for (const row of rows) sizes.set(strata[row], (sizes.get(strata[row]) ?? 0) + 1);
    // how much the squared distances from the shares grow
    const growth = ({ share, have }: (typeof parts)[number]) => {
      let sum = 0;
      for (const [stratum, size] of sizes) {
        const total = totals.get(stratum) ?? 1;
        const off = (have.get(stratum) ?? 0) / total - share;
        sum += (off + size / total) ** 2 - off ** 2;
      }
      return sum;
    };
    const grown = parts.map(growth);
    const part = parts[grown.indexOf(Math.min(...grown))];
    part.groups.push(rows);
    for (const [stratum, size] of sizes) part.have.set(stratum, (part.have.get(stratum) ?? 0) + size);
  }
  for (const part of parts) {
    if (part.groups.length > 0) continue;
    // the smallest group of the part with the most
    const from = parts.reduce((most, other) => (other.groups.length > most.groups.length ? other : most));
    part.groups.push(from.groups.pop() as number[]);
  }
  const partOf = parts.map(({ groups: own }) => new Set(own.flat()));
  const [train, validation, heldOut] = partOf.map((rows) => order.filter((row) => rows.has(row)));
  return { train, validation, heldOut };
}
