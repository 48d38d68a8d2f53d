/** Depots in Redis and PostgreSQL: as in a folder, and gone a week after the last use. */
import { Redis } from "ioredis";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { postgresDepot, redisDepot } from "../../../src/node/queue/depot.js";
import { type Server, startPostgres, startRedis } from "../../support/servers.js";
import { describeDepot, noise } from "./depots.js";

const digest = "ab".repeat(32);
/** Bytes. */
const CHUNK = 2 ** 17;
const WEEK = 7 * 24 * 3600;
let places = 0;

describe("in Redis", () => {
  let server: Server;
  let client: Redis;
  beforeAll(async () => {
    server = await startRedis();
    client = new Redis(server.url, { maxRetriesPerRequest: null });
    client.on("error", () => {});
  });
  afterAll(async () => {
    client.disconnect();
    await server.stop();
  });

  describeDepot("a prefix", CHUNK, async () => {
    const prefix = `place ${places++}`;
    const keys = () => client.keys(`${prefix}:*`);
    return {
      open: () => redisDepot(client, prefix),
      chunks: async () => (await keys()).filter((key) => key.includes(".")).sort(),
      manifest: async () => (await keys()).find((key) => !key.includes(".")) as string,
      async set(key, content) {
        if (content) await client.set(key, Buffer.from(content), "EX", WEEK);
        else await client.del(key);
      },
      sizeOf: (key) => client.strlen(key),
    };
  });

  test("goes a week after the last use, all of it", async () => {
    const depot = redisDepot(client, "week");
    await depot.put(digest, noise(3 * CHUNK));
    const keys = await client.keys("week:*");
    expect(keys).toHaveLength(4);
    const age = () => Promise.all(keys.map((key) => client.expire(key, 60)));
    const left = () => Promise.all(keys.map((key) => client.ttl(key)));
    for (const use of [
      () => depot.has(digest),
      () => depot.get(digest),
      () => depot.put(digest, noise(3 * CHUNK)),
    ]) {
      await age();
      await use();
      for (const seconds of await left()) expect(seconds).toBeGreaterThan(WEEK - 60);
    }
    for (const key of keys) await client.pexpire(key, 1);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(await depot.has(digest)).toBe(false);
    expect(await depot.get(digest)).toBeUndefined();
  });

  test("waits for a Redis that is away, and says what Redis says where it is full", async () => {
    const depot = redisDepot(client, "away");
    const bytes = noise(3 * 2 ** 20);
    await server.kill();
    const putting = depot.put(digest, bytes);
    await server.restart();
    await putting;
    expect(Buffer.compare((await depot.get(digest)) as Uint8Array, bytes)).toBe(0);
    await client.config("SET", "maxmemory", "1mb");
    await expect(depot.put("cd".repeat(32), bytes)).rejects.toThrow(
      /^Redis has no room for the data \(OOM .*'maxmemory'\.\); raise its maxmemory, or let the data go through a folder that every machine sees, by --share$/,
    );
    await client.config("SET", "maxmemory", "0");
    expect(await depot.has("cd".repeat(32))).toBe(false);
  });
});

describe("in PostgreSQL", () => {
  let server: Server;
  let pool: pg.Pool;
  beforeAll(async () => {
    server = await startPostgres();
    pool = new pg.Pool({ connectionString: server.url, max: 4 });
    pool.on("error", () => {});
  });
  afterAll(async () => {
    await pool.end();
    await server.stop();
  });

  describeDepot("a schema", CHUNK, async () => {
    const schema = `Place "${places++}"`;
    const table = `"Place ""${places - 1}""".depot`;
    const names = async () =>
      (await pool.query(`SELECT name FROM ${table} ORDER BY name`)).rows.map(({ name }) => name);
    return {
      open: () => postgresDepot(pool, schema),
      chunks: async () => (await names()).filter((name) => name.includes(".")),
      manifest: async () => (await names()).find((name) => !name.includes(".")),
      async set(name, content) {
        if (content)
          await pool.query(`UPDATE ${table} SET content = $2 WHERE name = $1`, [name, Buffer.from(content)]);
        else await pool.query(`DELETE FROM ${table} WHERE name = $1`, [name]);
      },
      async sizeOf(name) {
        const { rows } = await pool.query(`SELECT length(content) AS size FROM ${table} WHERE name = $1`, [
          name,
        ]);
        return rows[0].size;
      },
    };
  });

  test("several that begin at once make one table", async () => {
    const depots = Array.from({ length: 8 }, () => new pg.Pool({ connectionString: server.url, max: 2 }));
    const bytes = noise(2 ** 18);
    await Promise.all(depots.map((own) => postgresDepot(own, "several").put(digest, bytes)));
    expect((await pool.query("SELECT count(*)::int AS rows FROM several.depot")).rows).toEqual([{ rows: 3 }]);
    await Promise.all(depots.map((own) => own.end()));
  });

  test("works where somebody else has made the table, without the right to make one", async () => {
    await postgresDepot(pool, "theirs").put(digest, noise(100));
    await pool.query(`CREATE ROLE guest LOGIN;
      GRANT USAGE ON SCHEMA theirs TO guest;
      GRANT SELECT, INSERT, UPDATE, DELETE ON theirs.depot TO guest`);
    const guest = new pg.Pool({ connectionString: server.url.replace("evenkeel@", "guest@") });
    const depot = postgresDepot(guest, "theirs");
    expect(await depot.get(digest)).toEqual(noise(100));
    await depot.put("cd".repeat(32), noise(9));
    expect(await postgresDepot(pool, "theirs").get("cd".repeat(32))).toEqual(noise(9));
    await expect(postgresDepot(guest, "elsewhere").has(digest)).rejects.toThrow(/permission denied/);
    await guest.end();
  });

  test("goes a week after the last use, when something else is put", async () => {
    const depot = postgresDepot(pool, "week");
    const other = "cd".repeat(32);
    await depot.put(digest, noise(2 ** 18));
    const age = (days: number) =>
      pool.query(`UPDATE week.depot SET used = now() - make_interval(days => ${days})`);
    for (const use of [() => depot.has(digest), () => depot.get(digest)]) {
      await age(6);
      await use();
      const { rows } = await pool.query(
        "SELECT max(now() - used) < interval '1 hour' AS recent FROM week.depot",
      );
      expect(rows).toEqual([{ recent: true }]);
    }
    await age(6);
    await depot.put(other, noise(3));
    expect(await depot.has(digest)).toBe(true);
    await age(8);
    await depot.put(other, noise(3));
    expect(await depot.has(digest)).toBe(false);
    expect((await pool.query("SELECT count(*)::int AS rows FROM week.depot")).rows).toEqual([{ rows: 2 }]);
  });

  test("several who use the same at once do not stand in each other's way", async () => {
    const depot = postgresDepot(pool, "many");
    await depot.put(digest, noise(5 * 2 ** 20));
    for (let round = 0; round < 10; round++) {
      await pool.query("UPDATE many.depot SET used = now() - interval '2 days'");
      expect(await Promise.all(Array.from({ length: 20 }, () => depot.has(digest)))).not.toContain(false);
    }
  });

  test("waits for a PostgreSQL that is away, until it is closed", async () => {
    const depot = postgresDepot(pool, "away");
    const bytes = noise(3 * 2 ** 20);
    await depot.has(digest);
    await server.kill();
    const putting = depot.put(digest, bytes);
    await server.restart();
    await putting;
    expect(Buffer.compare((await depot.get(digest)) as Uint8Array, bytes)).toBe(0);
    await server.kill();
    const [first, second] = [depot.has(digest), depot.get(digest)];
    setTimeout(() => depot.close(), 700);
    await expect(first).rejects.toThrow();
    await expect(second).rejects.toThrow();
    await server.restart();
  });
});
