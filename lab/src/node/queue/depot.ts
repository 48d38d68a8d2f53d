/**
 * Where data and modules lie until the last worker has them: in a folder that every machine sees, or in the service that has
 * the queue. Each is known by a digest of what it says; it is stored in compressed chunks, and is there once its manifest
 * is, which is written last. Chunks are named by the hash of the bytes, so that two who put the same do no harm.
 */
import { createHash } from "node:crypto";
import { mkdirSync } from "node:fs";
import { readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { promisify } from "node:util";
import { deflateRaw, inflateRaw } from "node:zlib";
import { quote } from "@evenkeel/report/format";
import type { Redis } from "ioredis";
import type { Pool } from "pg";
import { FailureError, reason } from "../../errors.js";
import { systemReason, writeFile } from "../whole-file.js";

export interface Depot {
  /** Whether all of it is there. */
  has(digest: string): Promise<boolean>;
  /** Resolves when it is there for everybody. */
  put(digest: string, bytes: Uint8Array): Promise<void>;
  /** Undefined where it is not there, or is damaged: then it is not there any more. */
  get(digest: string): Promise<Uint8Array<ArrayBuffer> | undefined>;
  /** Ends what waits for a service that is away; what the depot was given stays open. */
  close(): Promise<void>;
}

/** Small values by keys: what differs from depot to depot. */
interface Shelf {
  /** Most bytes of a value before it is compressed: with what compression may add, 1 MiB or less. */
  chunk: number;
  /** Whether all of these are there; they were used now. */
  use(keys: readonly string[]): Promise<boolean>;
  read(key: string): Promise<Uint8Array | undefined>;
  write(key: string, value: Uint8Array): Promise<void>;
  remove(key: string): Promise<void>;
  /** Of what nobody has used for long. */
  clear?(): Promise<void>;
  close?(): void;
}

interface Manifest {
  /** SHA-256 of the bytes, in hex. */
  hash: string;
  bytes: number;
}

/** Chunk of a service: over 1 Mbit/s it takes a second, so that a service is not taken for one that is away. */
const SMALL = 2 ** 17;
/** Chunk of a folder, where each costs a file. */
const LARGE = 2 ** 20 - 2 ** 10;
/** Chunks on their way at a time. */
const AT_ONCE = 4;
/** Bytes that fit into one array of Node's. */
const MOST = 2 ** 33;
/** s after the last use. */
const KEPT = 7 * 24 * 3600;

const deflate = promisify(deflateRaw);
const inflate = promisify(inflateRaw);

const hashOf = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

/** Names of the chunks. */
const namesOf = ({ hash, bytes }: Manifest, chunk: number): string[] =>
  Array.from({ length: Math.ceil(bytes / chunk) }, (_, i) => `${hash}.${i}`);

function depotOn(shelf: Shelf): Depot {
  const { chunk } = shelf;
  async function manifestOf(digest: string): Promise<Manifest | undefined> {
    const text = await shelf.read(digest);
    if (text === undefined) return undefined;
    try {
      const { hash, bytes } = JSON.parse(Buffer.from(text).toString("utf8")) as Manifest;
      const isWhole = /^[0-9a-f]{64}$/.test(hash) && Number.isInteger(bytes) && bytes >= 0 && bytes <= MOST;
      return isWhole ? { hash, bytes } : undefined;
    } catch {
      return undefined;
    }
  }
  return {
    async has(digest) {
      const manifest = await manifestOf(digest);
      return manifest !== undefined && shelf.use([digest, ...namesOf(manifest, chunk)]);
    },
    async put(digest, bytes) {
      await shelf.clear?.();
      const manifest = { hash: hashOf(bytes), bytes: bytes.length };
      await forEach(namesOf(manifest, chunk), async (name, i) => {
        await shelf.write(name, await deflate(bytes.subarray(i * chunk, (i + 1) * chunk), { level: 1 }));
      });
      await shelf.write(digest, Buffer.from(JSON.stringify(manifest)));
    },
    async get(digest) {
      const manifest = await manifestOf(digest);
      if (manifest === undefined) return undefined;
      const names = namesOf(manifest, chunk);
      if (!(await shelf.use([digest, ...names]))) return undefined;
      const whole = new Uint8Array(manifest.bytes);
      await forEach(names, async (name, i) => {
        const value = await shelf.read(name);
        const room = whole.subarray(i * chunk, (i + 1) * chunk);
        // one that is damaged may be of any size
        const bytes = value && (await inflate(value, { maxOutputLength: chunk }).catch(() => undefined));
        if (bytes?.length === room.length) room.set(bytes);
      });
      if (hashOf(whole) === manifest.hash) return whole;
      // whoever puts it again looks whether it is there
      await shelf.remove(digest);
      return undefined;
    },
    async close() {
      shelf.close?.();
    },
  };
}

/** A few at a time. */
async function forEach(
  names: readonly string[],
  run: (name: string, i: number) => Promise<void>,
): Promise<void> {
  const rest = names.entries();
  const next = async () => {
    for (const [i, name] of rest) await run(name, i);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, next));
}

/** In a folder that every machine sees; nothing is removed from there. @throws FailureError where it cannot be used */
export function folderDepot(folder: string): Depot {
  const tried = async <T>(what: string, run: () => T | Promise<T>): Promise<T> => {
    try {
      return await run();
    } catch (error) {
      throw new FailureError(
        `cannot ${what} the folder ${quote(folder, 200)} (${systemReason(error)}); free space or allow it, or name another one that every machine sees`,
      );
    }
  };
  const absent = (error: unknown) => {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    return undefined;
  };
  const pathOf = (key: string) => join(folder, key);
  return depotOn({
    chunk: LARGE,
    use: (keys) =>
      tried("read", async () => {
        for (const key of keys) if (!(await stat(pathOf(key)).catch(absent))) return false;
        return true;
      }),
    read: (key) => tried("read", () => readFile(pathOf(key)).catch(absent)),
    write: (key, value) =>
      tried("write into", () => {
        mkdirSync(folder, { recursive: true });
        writeFile(pathOf(key), value);
      }),
    remove: (key) => tried("write into", () => rm(pathOf(key), { force: true })),
  });
}

/** In Redis, for a week after its last use; keys begin with `prefix`. */
export function redisDepot(client: Redis, prefix: string): Depot {
  const keyOf = (name: string) => `${prefix}:depot:${name}`;
  return depotOn({
    chunk: SMALL,
    async use(keys) {
      const pipeline = client.pipeline();
      for (const key of keys) pipeline.expire(keyOf(key), KEPT);
      const answers = (await pipeline.exec()) ?? [];
      const [error] = answers.flatMap(([problem]) => problem ?? []);
      if (error) throw error;
      return answers.every(([, isThere]) => isThere === 1);
    },
    read: async (key) => (await client.getBuffer(keyOf(key))) ?? undefined,
    async write(key, value) {
      try {
        await client.set(keyOf(key), Buffer.from(value), "EX", KEPT);
      } catch (error) {
        if (!reason(error).startsWith("OOM")) throw error;
        throw new FailureError(
          `Redis has no room for the data (${reason(error)}); raise its maxmemory, or let the data go through a folder that every machine sees, by --share`,
        );
      }
    },
    async remove(key) {
      await client.del(keyOf(key));
    },
  });
}

/** Codes and messages of a service that is away, starts or ends: it is waited for, as ioredis does. */
const AWAY =
  /^(?:ECONN|EPIPE|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|ENOTFOUND|EAI_AGAIN|57P0|08)|Connection terminated|timeout/;
/** Codes of what is there already. */
const DUPLICATE = ["23505", "42P06", "42P07", "42710"];
/** ms between two attempts. */
const AGAIN = 500;

/** In a table of PostgreSQL, which it makes, for a week after its last use. */
export function postgresDepot(pool: Pool, schema: string): Depot {
  const named = `"${schema.replaceAll('"', '""')}"`;
  const table = `${named}.depot`;
  const closing = new AbortController();
  async function ask<Row>(text: string, values?: unknown[]): Promise<Row[]> {
    for (;;) {
      try {
        return (await pool.query(text, values)).rows;
      } catch (error) {
        const { code = "", message } = error as Error & { code?: string };
        if (closing.signal.aborted || !(AWAY.test(code) || AWAY.test(message))) throw error;
        await wait(AGAIN, undefined, { signal: closing.signal });
      }
    }
  }
  let made: Promise<void> | undefined;
  /** Makes the table. What is there needs no right to make it. */
  async function make(): Promise<void> {
    const [{ exists }] = await ask<{ exists: boolean }>("SELECT to_regclass($1) IS NOT NULL AS exists", [
      table,
    ]);
    if (exists) return;
    try {
      // in one transaction, since it is one query
      await ask(`CREATE SCHEMA IF NOT EXISTS ${named};
        CREATE TABLE IF NOT EXISTS ${table} (name text PRIMARY KEY, content bytea NOT NULL, used timestamptz NOT NULL)`);
    } catch (error) {
      if (!DUPLICATE.includes((error as { code?: string }).code ?? "")) throw error;
      // somebody else makes it at this moment, which "if not exists" does not see
      await make();
    }
  }
  async function query<Row>(text: string, values?: unknown[]): Promise<Row[]> {
    made ??= make();
    try {
      await made;
    } catch (error) {
      made = undefined;
      throw error;
    }
    return ask<Row>(text, values);
  }
  return depotOn({
    chunk: SMALL,
    async use(keys) {
      // once an hour will do, and those that somebody else is at are left to him
      const [{ there }] = await query<{ there: number }>(
        `WITH old AS (SELECT name FROM ${table} WHERE name = ANY($1) AND used < now() - interval '1 hour' FOR UPDATE SKIP LOCKED),
           touched AS (UPDATE ${table} SET used = now() WHERE name IN (SELECT name FROM old))
         SELECT count(*)::int AS there FROM ${table} WHERE name = ANY($1)`,
        [keys],
      );
      return there === keys.length;
    },
    async read(key) {
      const [row] = await query<{ content: Buffer }>(`SELECT content FROM ${table} WHERE name = $1`, [key]);
      return row?.content;
    },
    async write(key, value) {
      await query(
        `INSERT INTO ${table} VALUES ($1, $2, now())
         ON CONFLICT (name) DO UPDATE SET content = excluded.content, used = now()`,
        [key, Buffer.from(value)],
      );
    },
    async remove(key) {
      await query(`DELETE FROM ${table} WHERE name = $1`, [key]);
    },
    async clear() {
      await query(`DELETE FROM ${table} WHERE used < now() - make_interval(secs => $1)`, [KEPT]);
    },
    close: () => closing.abort(),
  });
}
