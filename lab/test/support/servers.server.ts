/** The servers and the network that the other tests break. */
import { existsSync } from "node:fs";
import { connect } from "node:net";
import { setTimeout as wait } from "node:timers/promises";
import { Redis } from "ioredis";
import pg from "pg";
import { expect, test } from "vitest";
import { startProxy } from "./proxy.js";
import { startPostgres, startRedis } from "./servers.js";

test("Redis with its append-only file outlives a kill; stopped, its folder is gone", async () => {
  const server = await startRedis({ appendOnly: true });
  const redis = new Redis(server.url);
  redis.on("error", () => {});
  await redis.set("a", "1");
  await wait(1200);
  await server.kill();
  await server.restart();
  expect(await redis.get("a")).toBe("1");
  redis.disconnect();
  await server.stop();
  expect(existsSync(server.folder)).toBe(false);
  const again = new Redis(server.url, { lazyConnect: true, retryStrategy: () => null });
  again.on("error", () => {});
  await expect(again.connect()).rejects.toThrow();
});

test("PostgreSQL outlives a kill with whoever was connected", async () => {
  const server = await startPostgres();
  const asked = async (sql: string) => {
    const client = new pg.Client(server.url);
    await client.connect();
    try {
      return (await client.query(sql)).rows;
    } finally {
      await client.end();
    }
  };
  await asked("CREATE TABLE t AS SELECT 7 AS a");
  const idle = new pg.Client(server.url);
  idle.on("error", () => {});
  await idle.connect();
  await server.kill();
  await server.restart();
  expect(await asked("SELECT a FROM t")).toEqual([{ a: 7 }]);
  await server.stop();
  expect(existsSync(server.folder)).toBe(false);
});

test("a network: passes, holds and delivers, drops for ever, resets", async () => {
  const server = await startRedis();
  const proxy = await startProxy(server.url);
  expect(proxy.through("redis://a:b@127.0.0.1:1/2?x=y")).toBe(`redis://a:b@127.0.0.1:${proxy.port}/2?x=y`);
  const open = async () => {
    const socket = connect(proxy.port, "127.0.0.1");
    const seen = { text: "", ended: false };
    socket.on("data", (bytes) => {
      seen.text += bytes;
    });
    socket.on("error", () => {});
    socket.on("close", () => {
      seen.ended = true;
    });
    await new Promise((resolve) => socket.once("connect", resolve));
    return { socket, seen };
  };
  const one = await open();
  one.socket.write("PING\r\n");
  await expect.poll(() => one.seen.text).toBe("+PONG\r\n");
  proxy.hold();
  one.socket.write("PING\r\n");
  await wait(200);
  expect(one.seen.text).toBe("+PONG\r\n");
  proxy.pass();
  await expect.poll(() => one.seen.text).toBe("+PONG\r\n+PONG\r\n");
  proxy.drop();
  const two = await open();
  for (const { socket } of [one, two]) socket.write("PING\r\n");
  await wait(200);
  proxy.pass();
  for (const { socket } of [one, two]) socket.write("PING\r\n");
  const three = await open();
  three.socket.write("PING\r\n");
  await expect.poll(() => three.seen.text).toBe("+PONG\r\n");
  expect([one.seen, two.seen]).toEqual([
    { text: "+PONG\r\n+PONG\r\n", ended: false },
    { text: "", ended: false },
  ]);
  proxy.reset();
  await expect.poll(() => [one, two, three].map(({ seen }) => seen.ended)).toEqual([true, true, true]);
  expect(proxy.connections).toBe(3);
});
