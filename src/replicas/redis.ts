/**
 * Replicas on several machines, which exchange through Redis (5 or later), by whichever client there is.
 *
 * Each step of a run has a stream, where each replica writes its values once and reads everybody's, waiting in Redis itself. A write that
 * a client repeats after it reconnects changes nothing: the first of a rank is read, and they are equal; so who waits long writes again what
 * a Redis without a file has lost. Whoever has read all values of
 * a step knows that all have read those of the step before, which is then removed; what a run leaves behind expires.
 */
import { checkOptions } from "../options.js";
import { described } from "../shape.js";
import { type AsyncExchange, checkRank, checkReplicas, checkTimeout, USUAL_TIMEOUT } from "./exchange.js";

/**
 * Sends one command to Redis and gives its reply, with bytes as they are:
 * `(...args) => redis.callBuffer(...args)` of ioredis, or of node-redis
 * `(...args) => client.sendCommand(args, { typeMapping: { [RESP_TYPES.BLOB_STRING]: Buffer } })`. The connection is the exchange's own, which
 * waits in it. In Node the bytes that it is given are Buffers: in TypeScript `(name, ...args) => redis.callBuffer(name, ...(args as Buffer[]))`.
 */
export type RedisCommand = (name: string, ...args: (string | Uint8Array)[]) => Promise<unknown>;

/** Options of `redisExchange`. */
export interface RedisOptions {
  /** The run's name, the same in all of its replicas, and no other run's. */
  run: string;
  /** This replica's rank, or this machine's where a relay serves several. */
  rank: number;
  /** How many there are. */
  replicas: number;
  /** How long it waits for the others, or for Redis, ms. Default 60 000. */
  timeout?: number;
}

/**
 * An exchange over Redis. It throws where a replica has failed or has not come in time (which is named), where Redis does not answer, and
 * where the run's name or the rank was used before; then it is at its end. `fail` tells the others.
 * @throws TypeError or RangeError for options out of range
 */
export function redisExchange(command: RedisCommand, options: RedisOptions): AsyncExchange {
  if (typeof command !== "function") {
    throw new TypeError(
      `redisExchange: command must be a function that sends a command, got ${described(command)}; ` +
        "of ioredis it is (...args) => redis.callBuffer(...args)",
    );
  }
  checkOptions("redisExchange", options, ["run", "rank", "replicas", "timeout"]);
  const { run, rank, replicas, timeout = USUAL_TIMEOUT } = options;
  if (typeof run !== "string" || run === "") {
    throw new TypeError(`redisExchange: run must be the run's name, got ${described(run)}`);
  }
  checkReplicas("redisExchange", replicas);
  checkRank("redisExchange", rank, replicas);
  checkTimeout("redisExchange", timeout);

  // in braces, so that a cluster has them in one place
  const keyOf = (step: number | string) => `evenkeel:{${run}}:${step}`;
  const expiry = String(Math.ceil(2 * timeout) + 60_000);
  /** Whose entries these are, whatever the connection did meanwhile. */
  const name = `${Date.now().toString(36)}-${Math.random().toString(36).slice(2)}`;
  let step = 0;
  /** What this replica wrote last: in this step and, which others may be waiting for still, in the one before. */
  let written: { readonly at: number; readonly values: Float64Array; id: string }[] = [];
  let busy = false;
  let ended: unknown;

  /** Sends a command until Redis has answered it: what a lost connection has left open is sent again, which changes nothing. */
  const send = async (until: number, ...args: Parameters<RedisCommand>): Promise<unknown> => {
    let lost = "";
    for (;;) {
      try {
        return await sent(until, lost, ...args);
      } catch (error) {
        if (!isOfConnection(error) || performance.now() + PAUSE_MS > until) throw error;
        lost = `: ${(error as Error).message}`;
        await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
      }
    }
  };

  const sent = async (until: number, lost: string, ...args: Parameters<RedisCommand>): Promise<unknown> => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<never>((_, reject) => {
      const tell = () =>
        reject(new Error(`redisExchange: Redis has not answered ${args[0]} within ${timeout} ms${lost}`));
      timer = setTimeout(tell, until + GRACE_MS - performance.now());
    });
    const reply = command(...args);
    try {
      return await Promise.race([reply, late]);
    } catch (error) {
      // whichever came second has nobody to hear of it
      reply.catch(() => {});
      throw error;
    } finally {
      clearTimeout(timer);
    }
  };

  /** Takes the rank, once a run. */
  const enter = async (until: number) => {
    const key = keyOf(`rank:${rank}`);
    await send(until, "SET", key, name, "NX", "PX", String(A_DAY_MS));
    const owner = textOf(await send(until, "GET", key));
    if (owner === name) return;
    throw new Error(
      `redisExchange: run "${run}" has had a replica of rank ${rank} already; give each replica a rank of its own, and each run a name of its own`,
    );
  };

  /** @returns the entry's id */
  const write = async (until: number, at: number, values: Float64Array): Promise<string> => {
    // one after the other in the connection: nobody waits between
    const [id] = await Promise.all([
      send(until, "XADD", keyOf(at), "*", String(rank), bytesOf(values)),
      send(until, "PEXPIRE", keyOf(at), expiry),
    ]);
    return textOf(id);
  };

  /** Writes again what a Redis has lost that was started anew. */
  const restore = async (until: number) => {
    for (const one of written) {
      const found = await send(until, "XRANGE", keyOf(one.at), one.id, one.id);
      if ((found as unknown[]).length === 0) one.id = await write(until, one.at, one.values);
    }
  };

  const told = async (values: Float64Array): Promise<Float64Array[]> => {
    const until = performance.now() + timeout;
    if (step === 0) await enter(until);
    const key = keyOf(step);
    written.push({ at: step, values, id: await write(until, step, values) });
    const lists = new Map<number, Float64Array>();
    let last = "0";
    while (lists.size < replicas) {
      const left = Math.ceil(until - performance.now());
      if (left <= 0) {
        const missing = Array.from({ length: replicas }, (_, one) => one).filter((one) => !lists.has(one));
        throw new Error(
          `redisExchange: replica ${missing.join(", ")} of run "${run}" has not come within ${timeout} ms, at exchange ${step}`,
        );
      }
      const block = String(Math.min(left, LOOK_MS));
      const entries = entriesOf(await send(until, "XREAD", "BLOCK", block, "STREAMS", key, last));
      if (entries.length === 0) await restore(until);
      for (const { id, field, value } of entries) {
        last = id;
        if (field === FAILED) {
          const [, whose, reason] = /^(\d+) (.*)$/s.exec(new TextDecoder().decode(value)) ?? [];
          throw new Error(`redisExchange: replica ${whose} of run "${run}" failed: ${reason}`);
        }
        const from = Number(field);
        if (!lists.has(from)) lists.set(from, valuesOf(value));
      }
    }
    const inOrder = Array.from({ length: replicas }, (_, one) => lists.get(one) as Float64Array);
    if (rank === 0 && step > 0) command("UNLINK", keyOf(step - 1)).catch(() => {});
    written = written.slice(-1).map((one) => ({ ...one, values: inOrder[rank].slice() }));
    step++;
    return inOrder;
  };

  const exchange = async (values: Float64Array): Promise<Float64Array[]> => {
    if (!(values instanceof Float64Array)) {
      throw new TypeError(`redisExchange: values must be a Float64Array, got ${described(values)}`);
    }
    if (ended !== undefined) throw ended;
    if (busy) throw new Error("redisExchange: an exchange is under way; await it before the next one");
    busy = true;
    try {
      return await told(values);
    } catch (error) {
      ended = error;
      throw error;
    } finally {
      busy = false;
    }
  };

  const fail = async (reason: string): Promise<void> => {
    ended ??= new Error(`redisExchange: this replica failed: ${reason}`);
    const until = performance.now() + timeout;
    // the others wait at this exchange or, where its values are there, at the next
    await Promise.all(
      [keyOf(step), keyOf(step + 1)].flatMap((key) => [
        send(until, "XADD", key, "*", FAILED, `${rank} ${reason}`),
        send(until, "PEXPIRE", key, expiry),
      ]),
    );
  };
  return Object.assign(exchange, { fail });
}

/** The field of an entry that says who failed, and why. */
const FAILED = "failed";
/** Redis itself keeps to the time, and then it is known who is missing. */
const GRACE_MS = 500;
const A_DAY_MS = 86_400_000;
/** Between two looks whether Redis still has what was written. */
const LOOK_MS = 1000;
/** Before a command is sent again. */
const PAUSE_MS = 50;

/**
 * Whether a client has lost Redis (node-redis tells so of every command that was under way; ioredis sends them again by itself), or Redis
 * has just begun. Not what Redis replies, which begins with a code (ERR, NOAUTH, OOM), nor a client that was ended.
 */
function isOfConnection(error: unknown): boolean {
  const { message = "" } = (error ?? {}) as { message?: string };
  if (message.startsWith("redisExchange: ") || /^(The client|Connection) is closed/.test(message))
    return false;
  return /^(LOADING|TRYAGAIN) /.test(message) || !/^[A-Z]{2,} /.test(message);
}

function bytesOf({ buffer, byteOffset, byteLength }: Float64Array): Uint8Array {
  const { Buffer } = globalThis as { Buffer?: typeof import("node:buffer").Buffer };
  // clients for Node write those as they are, and make text of other arrays
  return Buffer
    ? Buffer.from(buffer as ArrayBuffer, byteOffset, byteLength)
    : new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength);
}

function valuesOf(bytes: Uint8Array): Float64Array {
  // a copy: bytes may lie anywhere in a client's buffer
  return new Float64Array(new Uint8Array(bytes).buffer);
}

function textOf(reply: unknown): string {
  return reply instanceof Uint8Array ? new TextDecoder().decode(reply) : String(reply);
}

/** What XREAD of one stream gives: in RESP 2 [[key, entries]], in RESP 3 a map, which clients write as [key, entries] too; or null. */
function entriesOf(reply: unknown): { id: string; field: string; value: Uint8Array }[] {
  if (reply === null || reply === undefined) return [];
  const [first, second] = Array.isArray(reply)
    ? reply
    : reply instanceof Map
      ? [...reply]
      : Object.entries(reply as object);
  const entries = (Array.isArray(first) ? first[1] : second) as [unknown, unknown[]][];
  return entries.map(([id, [field, value]]) => {
    if (!(value instanceof Uint8Array)) {
      throw new TypeError(
        `redisExchange: command must give bytes as they are, got ${described(value)}; of ioredis it is callBuffer, ` +
          "of node-redis sendCommand with a typeMapping to Buffer",
      );
    }
    return { id: textOf(id), field: textOf(field), value };
  });
}
