/** Which part of a batch is a replica's. */
import { described } from "../shape.js";
import { checkRank, checkReplicas } from "./exchange.js";

/**
 * The part of a batch that a replica takes: from the first index to before the second. Parts are in the order of ranks, and differ by one
 * example at most.
 * @throws TypeError or RangeError for a rank that is not one of so many, RangeError for a number of examples that is none
 */
export function shardOf(examples: number, rank: number, replicas: number): [from: number, to: number] {
  checkReplicas("shardOf", replicas);
  checkRank("shardOf", rank, replicas);
  if (!Number.isInteger(examples) || examples < 0) {
    throw new RangeError(`shardOf: examples must be an integer of at least 0, got ${described(examples)}`);
  }
  const more = examples % replicas;
  const least = (examples - more) / replicas;
  const from = rank * least + Math.min(rank, more);
  return [from, from + least + (rank < more ? 1 : 0)];
}
