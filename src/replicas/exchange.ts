/**
 * What replicas tell each other: each gives a list of numbers, and each gets those of all, in the order of ranks. A transport is one
 * function; batch statistics, gradients and averages of models are made of it.
 */
import { type AsyncReduce, type MomentsList, mergeLists, type Reduce } from "../moments.js";
import { described } from "../shape.js";

/** Makes one list of several of equal length: their sum, or moments merged. */
export type Merge = (lists: readonly Float64Array[]) => Float64Array;

/**
 * Gives this replica's values, waits, and gets those of every replica in the order of ranks: the same in all of them, bit by bit. All
 * call it equally often, with as many values; relays with as many as their machines have replicas for.
 *
 * `merge`, where it is given, is what the caller will do with the answer: a transport with several replicas on one machine may do it to
 * theirs first, and answer with one list for each machine.
 */
export interface Exchange {
  (values: Float64Array, merge?: Merge): Float64Array[];
  /** Tells the others that this replica ends, and why: they throw, and wait for it no longer. */
  fail?(reason: string): void;
}

/** The same where an answer takes time: over a network. */
export interface AsyncExchange {
  (values: Float64Array, merge?: Merge): Promise<Float64Array[]>;
  fail?(reason: string): void | Promise<void>;
}

/** Options of `reduceOver`: both or none. */
export interface ReduceOverOptions {
  /** Ranks that share their statistics, as lists: every rank in one of them. Default: all ranks together. */
  groups?: readonly (readonly number[])[];
  /** This replica's rank; needed with `groups`. */
  rank?: number;
}

/**
 * A `Reduce` that merges the moments of all replicas, or of each group of them on its own (as PyTorch's `process_group`), in the order
 * of their ranks: those who share statistics get the same bits.
 * @throws TypeError for what is no function, RangeError for groups that do not hold every rank once; when called, for an answer that is
 * not one list of as many numbers for each replica
 */
export function reduceOver(exchange: Exchange, options?: ReduceOverOptions): Reduce;
export function reduceOver(exchange: AsyncExchange, options?: ReduceOverOptions): AsyncReduce;
export function reduceOver(
  exchange: Exchange | AsyncExchange,
  { groups, rank }: ReduceOverOptions = {},
): AsyncReduce {
  checkExchange("reduceOver", exchange);
  const group = groups === undefined ? undefined : groupOf(groups, rank);
  const replicas = groups?.flat().length;
  return (moments) => {
    const values = packed(moments);
    const merged = (lists: unknown) => {
      checkLists("reduceOver", lists, values.length, replicas);
      return unpacked(mergedMoments(group === undefined ? lists : group.map((one) => lists[one])));
    };
    // a group's own lists are needed one by one
    const answer = group === undefined ? exchange(values, mergedMoments) : exchange(values);
    return answer instanceof Promise ? answer.then(merged) : merged(answer);
  };
}

/** The group that this rank is in, its ranks in rising order. */
function groupOf(groups: readonly (readonly number[])[], rank: number | undefined): readonly number[] {
  const all = groups.flat().sort((a, b) => a - b);
  if (all.length === 0 || all.some((one, i) => one !== i)) {
    const got = groups.map((group) => `[${group.join(", ")}]`).join(", ");
    throw new RangeError(`reduceOver: groups must hold every rank from 0 once, got [${got}]`);
  }
  const own = groups.find((group) => group.includes(rank as number));
  if (own === undefined) {
    throw new RangeError(
      `reduceOver: rank must be one of the groups' (0 to ${all.length - 1}), got ${described(rank)}`,
    );
  }
  return [...own].sort((a, b) => a - b);
}

/** Element-wise sums in float64, in the order of the lists. */
export function summed(lists: readonly Float64Array[]): Float64Array {
  const [first, ...others] = lists;
  const sum = first.slice();
  for (const values of others) for (let i = 0; i < sum.length; i++) sum[i] += values[i];
  return sum;
}

/** All counts, all means, all m2. */
function packed({ count, mean, m2 }: MomentsList): Float64Array {
  const values = new Float64Array(3 * count.length);
  values.set(count);
  values.set(mean, count.length);
  values.set(m2, 2 * count.length);
  return values;
}

function unpacked(values: Float64Array): MomentsList {
  const each = values.length / 3;
  const part = (i: number) => values.subarray(i * each, (i + 1) * each);
  return { count: part(0), mean: part(1), m2: part(2) };
}

const mergedMoments: Merge = (lists) => packed(mergeLists(lists.map(unpacked)));

/** @throws TypeError for what is no function */
export function checkExchange(caller: string, exchange: unknown): void {
  if (typeof exchange === "function") return;
  throw new TypeError(
    `${caller}: exchange must be a function of this replica's values that gives those of all, got ${described(exchange)}; ` +
      "exchangeIn(memory, rank) makes one",
  );
}

/**
 * Checks an exchange's answer, which may be anybody's.
 * @param replicas how many lists there must be; undefined where some may have been merged on the way
 */
export function checkLists(
  caller: string,
  lists: unknown,
  length: number,
  replicas?: number,
): asserts lists is Float64Array[] {
  if (lists instanceof Promise) {
    lists.catch(() => {});
    throw new TypeError(
      `${caller}: expected an exchange that answers at once, got a promise; a thread waits by exchangeIn(memory, rank), and relay() serves it ` +
        "over what takes time",
    );
  }
  if (!Array.isArray(lists) || lists.length === 0) {
    throw new TypeError(
      `${caller}: an exchange must give a list of every replica's values, got ${described(lists)}`,
    );
  }
  if (replicas !== undefined && lists.length !== replicas) {
    throw new RangeError(
      `${caller}: the exchange must give the values of ${replicas} replicas, got ${lists.length} lists`,
    );
  }
  for (const [rank, values] of lists.entries()) {
    if (!(values instanceof Float64Array)) {
      throw new TypeError(
        `${caller}: an exchange must give a Float64Array of each replica, got ${described(values)} of replica ${rank}`,
      );
    }
    if (values.length !== length) {
      throw new RangeError(
        `${caller}: this replica gave ${length} values, replica ${rank} ${values.length}; all must run the same steps on the same model`,
      );
    }
  }
}

/** @throws TypeError or RangeError for what is not a rank of so many */
export function checkRank(caller: string, rank: unknown, replicas: number): asserts rank is number {
  if (typeof rank === "number" && Number.isInteger(rank) && rank >= 0 && rank < replicas) return;
  const message = `${caller}: rank must be an integer from 0 to ${replicas - 1}, got ${described(rank)}`;
  throw typeof rank === "number" ? new RangeError(message) : new TypeError(message);
}

/** @throws TypeError or RangeError for what is not a number of replicas */
export function checkReplicas(caller: string, replicas: unknown): asserts replicas is number {
  if (typeof replicas === "number" && Number.isInteger(replicas) && replicas >= 1) return;
  const message = `${caller}: replicas must be a positive integer, got ${described(replicas)}`;
  throw typeof replicas === "number" ? new RangeError(message) : new TypeError(message);
}

/** @throws TypeError or RangeError for what is not a time in ms */
export function checkTimeout(caller: string, timeout: unknown): asserts timeout is number {
  if (typeof timeout === "number" && timeout > 0) return;
  const message = `${caller}: timeout must be a positive number of ms, got ${described(timeout)}`;
  throw typeof timeout === "number" ? new RangeError(message) : new TypeError(message);
}

/** How long an exchange waits for the others, ms: longer than a step, and than threads take to start. */
export const USUAL_TIMEOUT = 60_000;
