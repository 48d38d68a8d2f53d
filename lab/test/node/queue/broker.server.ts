/** Services that are there and cannot be used: commanders and workers say why, once, and end. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "ioredis";
import pg from "pg";
import { afterAll, expect, test } from "vitest";
import { openBroker } from "../../../src/node/queue/broker.js";
import { evenkeel } from "../../support/evenkeel.js";
import { startPostgres, startRedis } from "../../support/servers.js";

const workplace = mkdtempSync(join(tmpdir(), "evenkeel-broker-"));
afterAll(() => rmSync(workplace, { recursive: true, force: true }));

/** As a commander, and as a worker that would wait for a service that is away. */
async function refusals(url: string): Promise<string[]> {
  const log = () => {};
  const attempts = [{ log }, { log, awaited: new AbortController().signal }];
  return Promise.all(attempts.map((each) => openBroker(url, each).then(() => "opened", String)));
}

test("Redis: a password that is wrong or wanting, a database that is not there", async () => {
  const { url } = await startRedis();
  for (const why of await refusals(`${url}/99`)) {
    expect(why).toMatch(/^Error: --queue: redis:\S+\/99 cannot be used \(ERR DB index is out of range\);/);
  }
  const client = new Redis(url);
  await client.config("SET", "requirepass", "secret");
  client.disconnect();
  for (const why of await refusals(url)) expect(why).toMatch(/ cannot be used \(NOAUTH .+\);/);
  for (const why of await refusals(url.replace("//", "//:wrong@"))) {
    expect(why).toMatch(/^Error: --queue: redis:\/\/:\*\*\*@\S+ cannot be used \(WRONGPASS .+\);/);
  }
  const { code, stderr } = await evenkeel(workplace, "worker", "--queue", url, "--cache", "cache");
  expect(code).toBe(1);
  expect(stderr).toMatch(/error: --queue: \S+ cannot be used /);
});

test("PostgreSQL: a user or database that is not there, a user without a right to create", async () => {
  const { url } = await startPostgres();
  const client = new pg.Client(url);
  await client.connect();
  await client.query("CREATE ROLE poor LOGIN");
  await client.end();
  for (const why of await refusals(url.replace("evenkeel@", "poor@"))) {
    expect(why).toMatch(/ cannot be used \(its user has no right to CREATE in this database\);/);
  }
  for (const why of await refusals(url.replace("evenkeel@", "nobody@"))) {
    expect(why).toMatch(/ cannot be used \(role "nobody" does not exist\);/);
  }
  for (const why of await refusals(url.replace(/postgres$/, "nowhere"))) {
    expect(why).toMatch(/ cannot be used \(database "nowhere" does not exist\);/);
  }
});
