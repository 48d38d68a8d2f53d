/** Public names of `evenkeel/replicas`: what replicas of a model exchange, in threads and over machines. */
export {
  type AsyncExchange,
  type Exchange,
  type Merge,
  type ReduceOverOptions,
  reduceOver,
} from "./exchange.js";
export { type RedisCommand, type RedisOptions, redisExchange } from "./redis.js";
export { shardOf } from "./shard.js";
export {
  exchangeIn,
  failReplica,
  relay,
  type SharedMemory,
  type SharedMemoryOptions,
  sharedMemory,
} from "./shared-memory.js";
