/**
 * Replicas in threads of one process, which exchange through shared memory and wait for each other asleep; and the relay through which
 * threads that wait reach other machines.
 *
 *     const memory = sharedMemory({ replicas: 2 });                   // in the main thread: post it to both workers
 *     const exchange = exchangeIn(memory, rank);                      // in each worker
 *
 * Over machines, each has a memory with `relay: true`, and its main thread serves it: `relay(memory, redisExchange(…))`.
 */
import { checkOptions } from "../options.js";
import { described } from "../shape.js";
import {
  type AsyncExchange,
  checkExchange,
  checkRank,
  checkReplicas,
  checkTimeout,
  type Exchange,
  type Merge,
  USUAL_TIMEOUT,
} from "./exchange.js";
import { Events, Failed, Gather, type GatherSize, type Waiting } from "./gather.js";

/** Shared memory of replicas: a plain object, to be posted to their threads. */
export interface SharedMemory {
  readonly replicas: number;
  /** Bytes of each replica's room. */
  readonly bytes: number;
  /** Whether a relay answers for other machines. */
  readonly relay: boolean;
  readonly buffer: SharedArrayBuffer;
}

/** Options of `sharedMemory`. */
export interface SharedMemoryOptions {
  /** How many replicas there are on this memory. */
  replicas: number;
  /** Bytes of each replica's room, of which there are two: longer messages go in pieces. Default 1 MiB. */
  bytes?: number;
  /** Whether `relay` will serve it, for replicas of other machines. Default false. */
  relay?: boolean;
}

/**
 * Memory through which the replicas of one process exchange. In a page it takes cross-origin isolation.
 * @throws TypeError or RangeError for options out of range; Error where the host has no shared memory
 */
export function sharedMemory(options: SharedMemoryOptions): SharedMemory {
  checkOptions("sharedMemory", options, ["replicas", "bytes", "relay"]);
  const { replicas, bytes = 2 ** 20, relay = false } = options;
  checkReplicas("sharedMemory", replicas);
  if (!Number.isInteger(bytes) || bytes < 8) {
    throw new RangeError(`sharedMemory: bytes must be an integer of at least 8, got ${described(bytes)}`);
  }
  if (typeof relay !== "boolean") {
    throw new TypeError(`sharedMemory: relay must be true or false, got ${described(relay)}`);
  }
  if (typeof SharedArrayBuffer === "undefined") {
    throw new Error(
      "sharedMemory: this page has no shared memory; serve it with Cross-Origin-Opener-Policy: same-origin and " +
        "Cross-Origin-Embedder-Policy: require-corp",
    );
  }
  const { end } = layoutOf({ replicas, bytes, relay });
  return { replicas, bytes, relay, buffer: new SharedArrayBuffer(end) };
}

/** Where things are: words that all watch, who has joined, the rooms of the replicas, and those of the relay and rank 0. */
function layoutOf({ replicas, bytes, relay }: Omit<SharedMemory, "buffer">) {
  const room = Math.floor(bytes / 8);
  const local: GatherSize = { participants: replicas, speakers: replicas, room };
  // the relay first, then the replicas: it and rank 0 speak, all listen
  const outer: GatherSize = { participants: replicas + 1, speakers: 2, room };
  const joined = Events.bytes;
  const localAt = joined + 8 * Math.ceil((replicas + 1) / 2);
  const outerAt = localAt + Gather.bytes(local);
  const end = outerAt + (relay ? Gather.bytes(outer) : 0);
  return { local, outer, joined, localAt, outerAt, end };
}

const RELAY = 0;
const nothing = new Float64Array(0);
const none = () => false;
const everybody = () => true;

/**
 * The exchange of one replica, for its own thread, which sleeps while it waits: in pages that is a worker.
 * @param options `timeout`: how long it waits for the others, ms; default 60 000, and twice that for the relay
 * @returns an exchange that throws, naming the replica, where one has failed, has not come in time, or gave more or fewer values. From
 * then on it throws in all of them.
 * @throws TypeError for what is no such memory, RangeError for a rank that it does not have; Error for one that is taken
 */
export function exchangeIn(
  memory: SharedMemory,
  rank: number,
  options: { timeout?: number } = {},
): Exchange & { fail(reason: string): void } {
  checkMemory("exchangeIn", memory);
  checkRank("exchangeIn", rank, memory.replicas);
  checkOptions("exchangeIn", options, ["timeout"]);
  const { timeout = USUAL_TIMEOUT } = options;
  checkTimeout("exchangeIn", timeout);
  const { local, outer, localAt, outerAt } = layoutOf(memory);
  join("exchangeIn", memory, rank, `rank ${rank}`);
  const { buffer } = memory;
  const events = new Events(buffer);
  const here = new Gather(events, buffer, localAt, rank, local);
  const beyond = memory.relay ? new Gather(events, buffer, outerAt, rank + 1, outer) : undefined;

  /** `ranks`: of the gather's participants; the relay's is the number of replicas. */
  const run = <T>(steps: Generator<Waiting, T>, ms: number, ranks: (participant: number) => number): T => {
    try {
      for (;;) {
        const { value, done } = steps.next();
        if (done) return value;
        const left = value.since + ms - performance.now();
        if (left > 0) events.wait(value.event, left);
        else {
          const [first, ...more] = value.missing.map(ranks);
          const others =
            more.length > 0 ? `, nor has ${more.map((one) => nameOf(memory, one)).join(", ")}` : "";
          events.fail(first, `has not come within ${ms} ms${others}`);
        }
      }
    } catch (error) {
      throw error instanceof Failed ? failureOf("exchangeIn", memory, events) : error;
    }
  };

  const exchange = (values: Float64Array, merge?: Merge): Float64Array[] => {
    if (!(values instanceof Float64Array)) {
      throw new TypeError(`exchangeIn: values must be a Float64Array, got ${described(values)}`);
    }
    const lists = run(here.round(values, everybody), timeout, (one) => one);
    const other = lists.findIndex(({ length }) => length !== lists[0].length);
    if (other !== -1) {
      events.fail(
        other,
        `gave ${lists[other].length} values where replica 0 gave ${lists[0].length}; all must run the same steps on the same model`,
      );
      throw failureOf("exchangeIn", memory, events);
    }
    if (beyond === undefined) return lists;
    const message = rank !== 0 ? nothing : joinedOf(merge === undefined ? lists : [merge(lists)]);
    const ranks = (one: number) => (one === RELAY ? memory.replicas : one - 1);
    run(beyond.round(message, none), 2 * timeout, ranks);
    const [answer] = run(
      beyond.round(nothing, (speaker) => speaker === RELAY),
      2 * timeout,
      ranks,
    );
    const all = separated(answer);
    const foreign = all.findIndex(({ length }) => length !== values.length);
    if (foreign === -1) return all;
    // every replica here finds the same
    events.fail(
      0,
      `gave ${values.length} values where another machine's gave ${all[foreign].length}; all must run the same steps on the same model`,
    );
    throw failureOf("exchangeIn", memory, events);
  };
  return Object.assign(exchange, { fail: (reason: string) => failReplica(memory, rank, reason) });
}

/**
 * Tells all replicas on this memory that one of them has ended, so that they throw instead of waiting for it. For whoever starts the
 * threads: `worker.on("error", ({ message }) => failReplica(memory, rank, message))`.
 * @throws TypeError for what is no such memory, RangeError for a rank that it does not have
 */
export function failReplica(memory: SharedMemory, rank: number, reason: string): void {
  checkMemory("failReplica", memory);
  checkRank("failReplica", rank, memory.replicas);
  new Events(memory.buffer).fail(rank, `failed: ${reason}`);
}

/**
 * Serves replicas that wait in threads from this thread's event loop: each of their exchanges becomes one message of this machine over
 * `exchange`, in which they have merged what can be merged. Where a transport or a replica fails, everybody is told, here and on the
 * other machines.
 * @param memory made with `relay: true`
 * @param options `signal`: ends it
 * @returns when it was ended
 * @throws TypeError for what is no such memory or exchange, RangeError for a memory without a relay; Error where it has one already, or
 * what the transport throws, or which replica failed
 */
export async function relay(
  memory: SharedMemory,
  exchange: AsyncExchange,
  options: { signal?: AbortSignal } = {},
): Promise<void> {
  checkMemory("relay", memory);
  checkExchange("relay", exchange);
  checkOptions("relay", options, ["signal"]);
  if (!memory.relay) throw new RangeError("relay: memory must be made by sharedMemory({ relay: true })");
  const { signal } = options;
  const { outer, outerAt } = layoutOf(memory);
  join("relay", memory, memory.replicas, "a relay");
  const events = new Events(memory.buffer);
  const gather = new Gather(events, memory.buffer, outerAt, RELAY, outer);
  const wake = () => events.signal();
  signal?.addEventListener("abort", wake);
  /** Undefined where it was ended. */
  const run = async (steps: Generator<Waiting, Float64Array[]>) => {
    for (;;) {
      const { value, done } = steps.next();
      if (done) return value;
      if (signal?.aborted) return undefined;
      await events.change(value.event, SLICE_MS);
    }
  };
  /** A transport may take its time, or never answer: who is served here may have failed or ended meanwhile. */
  const whileServed = async (answer: Promise<Float64Array[]>) => {
    let isOver = false;
    const served = async () => {
      while (!isOver && !signal?.aborted) {
        const event = events.count;
        if (events.hasFailed) throw new Failed();
        await events.change(event, SLICE_MS);
      }
    };
    const ended = served();
    try {
      return await Promise.race([answer, ended]);
    } finally {
      isOver = true;
      // whichever comes second has nobody to hear of it
      for (const one of [answer, ended]) one.catch(() => {});
    }
  };
  try {
    for (;;) {
      const given = await run(gather.round(nothing, (speaker) => speaker !== RELAY));
      if (given === undefined) return;
      const answer: unknown = await whileServed(exchange(given[1]));
      if (signal?.aborted) return;
      checkMessages(answer);
      if ((await run(gather.round(concatenated(answer), none))) === undefined) return;
    }
  } catch (error) {
    if (error instanceof Failed) {
      const failure = failureOf("relay", memory, events);
      // a transport that cannot tell it has failed too, but later
      await (async () => exchange.fail?.(failure.message))().catch(() => {});
      throw failure;
    }
    events.fail(memory.replicas, `failed: ${(error as Error).message}`);
    throw error;
  } finally {
    signal?.removeEventListener("abort", wake);
  }
}

/** A wait of a host's event loop; another one follows. */
const SLICE_MS = 1000;

/** What leaves a machine: how many lists, of how many values, and these. Machines may have other numbers of replicas. */
function joinedOf(lists: readonly Float64Array[]): Float64Array {
  return concatenated([Float64Array.of(lists.length, lists[0].length), ...lists]);
}

/** The lists of several such messages. */
function separated(messages: Float64Array): Float64Array[] {
  const lists: Float64Array[] = [];
  for (let at = 0; at < messages.length; ) {
    const [count, length] = messages.subarray(at, at + HEADER);
    at += HEADER;
    for (let i = 0; i < count; i++, at += length) lists.push(messages.slice(at, at + length));
  }
  return lists;
}

const HEADER = 2;

/** A transport's answer may be anybody's. */
function checkMessages(messages: unknown): asserts messages is Float64Array[] {
  const isMessage = (one: unknown) => one instanceof Float64Array && one.length === HEADER + one[0] * one[1];
  if (Array.isArray(messages) && messages.length > 0 && messages.every(isMessage)) return;
  const bad = Array.isArray(messages) ? messages.find((one) => !isMessage(one)) : undefined;
  throw new TypeError(
    `relay: the exchange must give what every machine gave it, as it is, got ${described(messages)}${bad === undefined ? "" : ` with ${described(bad)}`}`,
  );
}

function concatenated(lists: readonly Float64Array[]): Float64Array {
  const all = new Float64Array(lists.reduce((length, list) => length + list.length, 0));
  let at = 0;
  for (const list of lists) {
    all.set(list, at);
    at += list.length;
  }
  return all;
}

function nameOf({ replicas }: SharedMemory, rank: number): string {
  return rank === replicas ? "the relay" : `replica ${rank}`;
}

function failureOf(caller: string, memory: SharedMemory, events: Events): Error {
  const { participant, reason } = events.failure;
  return new Error(`${caller}: ${nameOf(memory, participant)} ${reason}`);
}

/** @throws Error where another thread has this part */
function join(caller: string, memory: SharedMemory, at: number, name: string): void {
  const joined = new Int32Array(memory.buffer, layoutOf(memory).joined, memory.replicas + 1);
  if (Atomics.compareExchange(joined, at, 0, 1) === 0) return;
  throw new Error(
    `${caller}: this memory has ${name} already; give each thread a rank of its own, and each run a memory of its own`,
  );
}

function checkMemory(caller: string, memory: unknown): asserts memory is SharedMemory {
  const { replicas, bytes, relay, buffer } = (memory ?? {}) as Partial<SharedMemory>;
  const is =
    Number.isInteger(replicas) &&
    Number.isInteger(bytes) &&
    typeof SharedArrayBuffer !== "undefined" &&
    buffer instanceof SharedArrayBuffer &&
    layoutOf({ replicas, bytes, relay } as SharedMemory).end === buffer.byteLength;
  if (is) return;
  throw new TypeError(
    `${caller}: memory must be what sharedMemory({ replicas }) gives, or was posted of it, got ${described(memory)}`,
  );
}
