/** Streams of Redis: a source that a group of consumers shares, and an output into which nothing is written twice. */
import { setTimeout as wait } from "node:timers/promises";
import { printable, quote } from "@evenkeel/report/format";
import { Redis } from "ioredis";
import { FailureError, reason, UsageError } from "../../errors.js";
import { shownUrl } from "../queue/url.js";
import { entriesOf, type Predicted } from "./predicted.js";
import {
  type Asked,
  type Batch,
  type Fields,
  inputsOf,
  type Layout,
  noRecords,
  Rows,
  type TroubleCounter,
} from "./records.js";
import type { Sink } from "./sinks.js";
import { QUIET, type RedisPosition, type Source } from "./sources.js";

/** Where Redis listens if the URL does not say. */
const PORT = 6379;
/** ms in which a server that is there answers: a connection that is cut says nothing. */
const ANSWERS = 5000;
/** ms between two attempts to reach it again. */
const RETRY = 250;
/** ms that a read waits for new entries. */
const BLOCKS = QUIET;
/** ms between two looks for entries that a consumer has left behind, and two signs of life of our own. */
const LOOKS = 15_000;
/** Entries that are read, claimed or written at once. */
const MOST = 1000;
/** Batches that are remembered as taken, should Redis give them once more. */
const REMEMBERED = 1000;
/** Seconds for which an output remembers how far a stream was written to it. */
const KEPT = 90 * 24 * 3600;

/** A stream of a server, by its URL. */
export interface StreamUrl {
  url: URL;
  db: number;
  key: string;
  /** Entries that are kept, about; undefined for all. */
  most: number | undefined;
}

export const isRedis = (text: string): boolean => /^(?:redis|rediss|valkey|valkeys):\/\//i.test(text);

/** @throws UsageError for what names no stream */
export function streamUrl(text: string, option: string): StreamUrl {
  const refuse = (): never => {
    throw new UsageError(
      `${option}: expected the URL of a stream such as redis://host:6379/0/stream, got ${quote(shownUrl(text), 200)}`,
    );
  };
  let url: URL;
  let key: string;
  const [, db = "", rest = ""] = /^[^/]*\/\/[^/?]*(?:\/(\d{1,4})(?=\/))?\/([^?#]+)/.exec(text) ?? [];
  try {
    url = new URL(text);
    key = decodeURIComponent(rest);
    for (const part of [url.username, url.password]) decodeURIComponent(part);
  } catch {
    return refuse();
  }
  if (key === "" || url.hostname === "") return refuse();
  const most = url.searchParams.get("maxlen");
  if (most !== null && !/^[1-9]\d{0,14}$/.test(most)) return refuse();
  return { url, db: Number(db), key, most: most === null ? undefined : Number(most) };
}

/** As state and screen have it: without a password. */
export const shownStream = ({ url, db, key }: StreamUrl): string => {
  const bare = new URL(url);
  bare.username = "";
  bare.password = "";
  // by whichever of its spellings, it is the same stream
  if (bare.port === String(PORT)) bare.port = "";
  return printable(`${bare.protocol}//${bare.host}/${db}/${key}`);
};

/** A connection that is made again for as long as it is wanted. */
export class Connection {
  readonly #redis: Redis;
  /** Commands whose answer was lost, so far. */
  losses = 0;
  #lostAt: number | undefined;

  constructor(
    private readonly at: StreamUrl,
    private readonly signal: AbortSignal,
    private readonly say: (line: string) => void,
  ) {
    const { protocol, hostname, port, username, password } = at.url;
    this.#redis = new Redis({
      host: hostname.replace(/^\[(.*)\]$/, "$1"),
      port: port === "" ? PORT : Number(port),
      db: at.db,
      ...(username !== "" && { username: decodeURIComponent(username) }),
      ...(password !== "" && { password: decodeURIComponent(password) }),
      ...(/^(?:rediss|valkeys):$/.test(protocol) && { tls: {} }),
      connectTimeout: ANSWERS,
      keepAlive: ANSWERS,
      retryStrategy: (times) => Math.min(50 * times, 2000),
      // an answer that is lost is known here, so that what it gave is asked for once more, in its order
      autoResendUnfulfilledCommands: false,
      enableOfflineQueue: false,
      maxRetriesPerRequest: null,
    });
    // told by `ask`, which tries again
    this.#redis.on("error", (error: Error) => {
      this.#last = error;
    });
  }

  #last: Error | undefined;

  /**
   * The answer to a command, which may be given twice: where the connection breaks, it is asked again until it is answered.
   * @param patience ms until an attempt counts as lost
   * @throws FailureError for what Redis refuses, and where the first attempts reach no server; AbortError once the signal has aborted
   */
  async ask<T>(command: (redis: Redis) => Promise<T>, patience = ANSWERS): Promise<T> {
    const began = performance.now();
    for (;;) {
      this.signal.throwIfAborted();
      try {
        const answer = await this.#within(command, patience);
        if (this.#lostAt !== undefined) {
          this.say(
            `${shownStream(this.at)} answers again, after ${Math.round((performance.now() - this.#lostAt) / 1000)} s`,
          );
          this.#lostAt = undefined;
        }
        this.#isKnown = true;
        return answer;
      } catch (error) {
        this.signal.throwIfAborted();
        if (isRefusal(error))
          throw new Refusal(
            `${shownStream(this.at)}: ${printable(reason(error)).slice(0, 200)}`,
            reason(error),
          );
        if (
          /^(?:WRONGPASS|NOAUTH|NOPERM|ERR invalid password|ERR Client sent AUTH)/.test(
            this.#last?.message ?? "",
          )
        ) {
          throw new FailureError(
            `${shownStream(this.at)}: ${printable(this.#last?.message ?? "").slice(0, 200)}`,
          );
        }
        this.losses++;
        const why = described(this.#redis.status === "ready" ? error : (this.#last ?? error));
        if (!this.#isKnown && performance.now() - began > ANSWERS) {
          throw new FailureError(
            `${shownStream(this.at)} does not answer (${why}); start it, or name the one that runs`,
          );
        }
        if (this.#isKnown && this.#lostAt === undefined) {
          this.#lostAt = performance.now();
          this.say(`${shownStream(this.at)} does not answer (${why}); trying again until it does`);
        }
        await wait(RETRY, undefined, { signal: this.signal });
      }
    }
  }

  /** Whether it has ever answered. */
  #isKnown = false;

  async #within<T>(command: (redis: Redis) => Promise<T>, patience: number): Promise<T> {
    const over = new AbortController();
    const either = AbortSignal.any([over.signal, this.signal]);
    const late = wait(patience, undefined, { signal: either }).then(() => {
      // half-open: nothing comes of this connection any more
      this.#redis.disconnect(true);
      throw new Error(`no answer in ${patience / 1000} s`);
    });
    late.catch(() => {});
    let lost = () => {};
    const broken = new Promise<never>((_, reject) => {
      lost = () => reject(new Error("the connection was closed"));
      this.#redis.once("close", lost);
    });
    broken.catch(() => {});
    const answer = command(this.#redis);
    answer.catch(() => {});
    try {
      return await Promise.race([answer, late, broken]);
    } finally {
      over.abort();
      this.#redis.off("close", lost);
    }
  }

  close(): void {
    this.#redis.disconnect();
  }
}

/** What a server refuses. */
class Refusal extends FailureError {
  constructor(
    text: string,
    private readonly said: string,
  ) {
    super(text);
  }

  is(code: string): boolean {
    return this.said.startsWith(code);
  }
}

const refuses = (error: unknown, code: string): boolean => error instanceof Refusal && error.is(code);

/** What the server says of a command, rather than of itself or the way to it. */
const isRefusal = (error: unknown): boolean =>
  error instanceof Error &&
  error.name === "ReplyError" &&
  !/^(?:LOADING|BUSY|READONLY|TRYAGAIN|CLUSTERDOWN|MASTERDOWN|NOREPLICAS)\b/.test(error.message);

const described = (error: unknown): string => {
  const { message, code, errors } = error as Error & { code?: string; errors?: Error[] };
  return printable(message || code || (errors?.[0] && described(errors[0])) || reason(error)).slice(0, 200);
};

type Entry = [id: string, fields: string[] | null];

/** Whether an id is at or before another. */
export function isUpTo(id: string, other: string): boolean {
  const [a, b] = [id, other].map((each) => each.split("-"));
  return a[0] === b[0] ? BigInt(a[1]) <= BigInt(b[1]) : BigInt(a[0]) <= BigInt(b[0]);
}

/** When reading is to stop, and when nothing more is to be waited for. */
export interface Ends {
  stop: AbortSignal;
  giveUp: AbortSignal;
}

/** Who reads, and when they stop. */
export interface Group {
  group: string;
  consumer: string;
  stopAtEnd: boolean;
  /** ms after which an entry that another consumer has taken and not settled is taken over. */
  claimAfter: number;
}

/**
 * Entries in the order of the stream, those first that this consumer has taken before and not settled, and those last that another
 * one has left behind: between them everything is settled, so that each is taken again in the same order after an end at any moment.
 */
export function redisSource(
  at: StreamUrl,
  { group, consumer, stopAtEnd, claimAfter }: Group,
  asked: Asked,
  troubles: TroubleCounter,
  say: (line: string) => void,
  { stop: signal, giveUp }: Ends,
  before?: { position: RedisPosition; layout: Layout | null },
): Source {
  const { key } = at;
  const reading = new Connection(at, signal, say);
  const settling = new Connection(at, giveUp, () => {});
  let layout = before?.layout ?? undefined;
  let rows = layout && new Rows(layout, asked, troubles);
  const taken: [string, string][] = [...(before?.position.taken ?? [])];
  /** Taken in this run, and not settled. */
  const open = new Set<string>();
  let isGroupThere = false;
  /** Where to go on among those that this consumer has taken and not settled; undefined once there are none. */
  let pendingAfter: string | undefined = "0";
  let losses = 0;
  let lookedAt = Number.NEGATIVE_INFINITY;
  let signedAt = performance.now();
  let isClaiming = false;

  const makeGroup = async () => {
    try {
      await reading.ask((redis) => redis.xgroup("CREATE", key, group, "0", "MKSTREAM"));
    } catch (error) {
      if (!refuses(error, "BUSYGROUP")) throw error;
    }
    isGroupThere = true;
  };

  /** What is asked of the group; undefined where it is gone, with a server's data or a stream that was deleted. */
  const ofGroup = async <T>(answer: Promise<T>): Promise<T | undefined> => {
    try {
      return await answer;
    } catch (error) {
      // a read that waited when the stream was deleted, or the server became another's replica: the next answer tells which
      if (refuses(error, "UNBLOCKED")) return undefined;
      if (!refuses(error, "NOGROUP")) throw error;
      say(`the group ${quote(group)} is gone from ${shownStream(at)}; it is made anew`);
      isGroupThere = false;
      return undefined;
    }
  };

  const read = async (most: number, id: string): Promise<Entry[]> => {
    if (!isGroupThere) await makeGroup();
    const isNew = id === ">";
    const answer = (await ofGroup(
      reading.ask(
        (redis) =>
          isNew && !stopAtEnd
            ? redis.xreadgroup("GROUP", group, consumer, "COUNT", most, "BLOCK", BLOCKS, "STREAMS", key, id)
            : redis.xreadgroup("GROUP", group, consumer, "COUNT", most, "STREAMS", key, id),
        BLOCKS + ANSWERS,
      ),
    )) as [string, Entry[]][] | null | undefined;
    return answer?.[0]?.[1] ?? [];
  };

  /** Of those that another consumer has taken and not settled in time, the first ones. */
  const claim = async (most: number): Promise<Entry[]> => {
    const answer = (await ofGroup(
      reading.ask((redis) => redis.xautoclaim(key, group, consumer, claimAfter, "0", "COUNT", most)),
    )) as [string, (Entry | null)[]] | undefined;
    const found = (answer?.[1] ?? []).filter(
      (entry): entry is Entry => entry !== null && !open.has(entry[0]),
    );
    if (found.length > 0)
      say(`${found.length.toLocaleString("en-US")} entries that another consumer left behind are taken over`);
    return found;
  };

  /** What is taken and not settled yet is not left behind. */
  const sign = async () => {
    signedAt = performance.now();
    const ids = [...open];
    for (let from = 0; from < ids.length; from += MOST) {
      const some = ids.slice(from, from + MOST);
      await settling.ask((redis) => redis.xclaim(key, group, consumer, 0, ...some, "JUSTID")).catch(() => {});
    }
  };

  /** Most come after all that were taken. */
  let top = taken.reduce((most, [, last]) => (isUpTo(last, most) ? most : last), "0-0");
  const isKnown = (id: string) =>
    isUpTo(id, top) && taken.some(([first, last]) => isUpTo(first, id) && isUpTo(id, last));

  /** The next entries that were not taken before; undefined at the end. */
  const next = async (most: number): Promise<{ entries: Entry[]; isRun: boolean } | undefined> => {
    for (;;) {
      signal.throwIfAborted();
      if (performance.now() - signedAt > LOOKS) await sign();
      if (reading.losses > losses) {
        // what the lost answers gave is among those that are not settled
        losses = reading.losses;
        pendingAfter = "0";
      }
      if (pendingAfter !== undefined) {
        const entries = await read(most, pendingAfter);
        if (reading.losses > losses) continue;
        pendingAfter = entries.at(-1)?.[0];
        const fresh = await unknown(entries);
        if (fresh.length > 0) return { entries: fresh, isRun: false };
        if (entries.length > 0) continue;
      }
      const now = performance.now();
      if (isGroupThere && (isClaiming || now - lookedAt > Math.min(LOOKS, claimAfter))) {
        if (open.size > 0) {
          // settled first
          isClaiming = true;
          return { entries: [], isRun: false };
        }
        const entries = await claim(most);
        isClaiming = entries.length > 0;
        if (!isClaiming) lookedAt = now;
        const fresh = await unknown(entries);
        if (fresh.length > 0) return { entries: fresh, isRun: false };
        if (isClaiming) continue;
      }
      const entries = await read(most, ">");
      // answers that were lost gave what lies before these
      if (reading.losses > losses) continue;
      if (entries.length > 0) {
        const fresh = await unknown(entries);
        if (fresh.length > 0) return { entries: fresh, isRun: fresh.length === entries.length };
      } else if (stopAtEnd && isGroupThere) return undefined;
      else return { entries: [], isRun: false };
    }
  };

  /** Without those that were taken before: they are settled where that was lost. */
  const unknown = async (entries: readonly Entry[]): Promise<Entry[]> => {
    const fresh = entries.filter(([id]) => !open.has(id));
    const again = fresh.filter(([id, fields]) => isKnown(id) || fields === null).map(([id]) => id);
    for (const [id, fields] of fresh) {
      if (fields === null && !isKnown(id))
        troubles.add("record", () => `entry ${id} was taken from the stream before it was read`);
    }
    if (again.length > 0) {
      await reading.ask((redis) => redis.xack(key, group, ...again));
      return fresh.filter(([id]) => !again.includes(id));
    }
    return fresh;
  };

  const add = ([id, list]: Entry) => {
    const where = () => `entry ${id}`;
    const fields = fieldsOf(list as string[]);
    if (typeof fields === "string") {
      troubles.add("record", () => `${where()} is no record: ${fields}`);
      return;
    }
    if (rows === undefined) {
      const names = Object.keys(fields);
      const { inputs, lines } = inputsOf("entries", names, fields, asked, false);
      for (const told of lines) say(told);
      layout = { format: "entries", delimiter: "", names, header: null, inputs };
      rows = new Rows(layout, asked, troubles);
    }
    rows.add(fields, where, id);
  };

  return {
    name: shownStream(at),
    get layout() {
      return layout;
    },
    async next(most): Promise<Batch | undefined> {
      const found = await next(Math.min(most, MOST));
      if (found === undefined) return undefined;
      const { entries, isRun } = found;
      for (const entry of entries) add(entry);
      if (isRun && entries.length > 0) taken.push([entries[0][0], entries[entries.length - 1][0]]);
      else for (const [id] of entries) taken.push([id, id]);
      taken.splice(0, taken.length - REMEMBERED);
      for (const [id] of entries) {
        open.add(id);
        if (!isUpTo(id, top)) top = id;
      }
      return rows?.take() ?? noRecords();
    },
    get urgent() {
      return isClaiming || open.size >= 10 * MOST;
    },
    position: () => ({ taken: [...taken] }) satisfies RedisPosition,
    async settled() {
      const ids = [...open];
      for (let from = 0; from < ids.length; from += MOST) {
        const some = ids.slice(from, from + MOST);
        await settling.ask((redis) => redis.xack(key, group, ...some));
        for (const id of some) open.delete(id);
      }
    },
    async close() {
      reading.close();
      settling.close();
    },
  };
}

/** An object of the fields of an entry: one of JSON, or each a value. What is wrong with them, otherwise. */
export function fieldsOf(list: readonly string[]): Fields | string {
  if (list.length === 2 && /^\s*[[{]/.test(list[1])) {
    try {
      const value: unknown = JSON.parse(list[1]);
      return Array.isArray(value) ? `${quote(list[1], 40)} is no object` : (value as Fields);
    } catch (error) {
      return `${quote(list[1], 40)} is no JSON (${quote(reason(error), 80).slice(1, -1)})`;
    }
  }
  const fields: Record<string, unknown> = Object.create(null);
  for (let at = 0; at < list.length; at += 2) fields[list[at]] = list[at + 1];
  return fields;
}

/**
 * What of these entries is not written yet is appended, and how far the stream has been written is remembered with it, at once: a
 * repetition writes nothing. Ids are Redis's own, for several writers may share a stream.
 */
const APPEND = `
local written = tonumber(redis.call('GET', KEYS[2]) or '0')
local last = written
local at = 3
while at <= #ARGV do
  local record, fields = tonumber(ARGV[at]), tonumber(ARGV[at + 1])
  if record > written then
    if ARGV[2] == '' then redis.call('XADD', KEYS[1], '*', unpack(ARGV, at + 2, at + 1 + fields))
    else redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[2], '*', unpack(ARGV, at + 2, at + 1 + fields)) end
    last = record
  end
  at = at + 2 + fields
end
redis.call('SET', KEYS[2], string.format('%.0f', last), 'EX', ARGV[1])
return written`;

/** Most values of one call of the script, and of one entry: what Lua takes apart at once is bounded. */
const MOST_VALUES = 4000;

/** @param run what the stream is known by, through all of its restarts */
export function redisSink(
  at: StreamUrl,
  run: string,
  say: (line: string) => void,
  signal: AbortSignal,
): Sink {
  const connection = new Connection(at, signal, say);
  // of one slot of a cluster
  const marker = `evenkeel:{${at.key}}:${run}`;
  let written = 0;
  const append = async (first: number, values: string[]) => {
    const before = Number(
      await connection.ask((redis) =>
        redis.eval(APPEND, 2, at.key, marker, String(KEPT), String(at.most ?? ""), ...values),
      ),
    );
    if (before < Math.min(written, first - 1)) {
      say(
        `${shownStream(at)} has lost what was written after record ${before}; appendfsync always keeps it from that`,
      );
    }
  };
  return {
    name: shownStream(at),
    async write(predicted: Predicted) {
      let values: string[] = [];
      let first = 0;
      let record = predicted.first;
      for (const entry of entriesOf(predicted)) {
        if (entry.length > MOST_VALUES) {
          throw new UsageError(
            `--out: expected at most ${MOST_VALUES / 2} columns for a stream of Redis, got ${entry.length / 2}; write to a file`,
          );
        }
        if (values.length > 0 && values.length + entry.length > MOST_VALUES) {
          await append(first, values);
          written = record - 1;
          values = [];
        }
        if (values.length === 0) first = record;
        values.push(String(record), String(entry.length), ...entry);
        record++;
      }
      if (values.length > 0) await append(first, values);
      written = record - 1;
    },
    async sync() {
      return null;
    },
    async close() {
      connection.close();
    },
  };
}
