/** Streams of Redis: nothing lost and nothing twice, whoever is killed, and whatever becomes of the connection. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { Redis } from "ioredis";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { evenkeel, type Outcome, start } from "../../support/evenkeel.js";
import { startProxy } from "../../support/proxy.js";
import { type Server, startRedis } from "../../support/servers.js";

const workplace = mkdtempSync(join(tmpdir(), "evenkeel-stream-"));
let server: Server;
let redis: Redis;
let number = 0;
/** Names of the streams of a test, and of its state. */
let names = { from: "", out: "", state: "" };

beforeAll(async () => {
  server = await startRedis({ appendOnly: true });
  redis = new Redis(server.url, { maxRetriesPerRequest: null, retryStrategy: () => 100 });
  redis.on("error", () => {});
});
afterAll(async () => {
  redis.disconnect();
  await server.stop();
  rmSync(workplace, { recursive: true, force: true });
});
beforeEach(() => {
  number++;
  names = { from: `in${number}`, out: `out${number}`, state: `${number}.state` };
});

/** Entries of random numbers, the same each time, `from` up to `to`. */
async function produce(from: number, to: number, key = names.from): Promise<void> {
  let seed = 7 + from;
  const random = () => {
    seed = (seed * 16807) % 2147483647;
    return seed / 2147483647;
  };
  for (let i = from; i < to; ) {
    const pipeline = redis.pipeline();
    for (const last = Math.min(to, i + 500); i < last; i++) {
      const [a, b] = [random(), 5 + random()].map((value) => value.toFixed(4));
      const y = (Number(a) - Number(b) / 2).toFixed(4);
      if (i % 2) pipeline.xadd(key, "*", "n", String(i), "a", a, "b", b, "y", y);
      else
        pipeline.xadd(key, "*", "json", JSON.stringify({ n: i, a: Number(a), b: Number(b), y: Number(y) }));
    }
    await pipeline.exec();
  }
}

const urlOf = (key: string, url = server.url) => `${url}/0/${key}`;
const lineOf = (url?: string) => [
  ...["stream", "--from", urlOf(names.from, url), "--out", urlOf(names.out, url)],
  ...["--state", names.state, "--ignore", "n", "--save-every", "0.2s", "--stop-at-end"],
];

/** What was written: of each entry all but its own id. */
async function written(key = names.out): Promise<Record<string, string>[]> {
  const entries = await redis.xrange(key, "-", "+");
  return entries.map(([, fields]) =>
    Object.fromEntries(
      Array.from({ length: fields.length / 2 }, (_, i) => [fields[2 * i], fields[2 * i + 1]]),
    ),
  );
}

/** What a stream without any fault writes of the same entries. */
async function expected(more: string[] = []): Promise<Record<string, string>[]> {
  const out = `${names.out}-whole`;
  const line = ["stream", "--from", urlOf(names.from), "--out", urlOf(out), "--ignore", "n", "--stop-at-end"];
  const { code, stderr } = await evenkeel(workplace, ...line, "--group", "whole", ...more);
  expect(code, stderr).toBe(0);
  return written(out);
}

const pending = async (group = "evenkeel") => ((await redis.xpending(names.from, group)) as unknown[])[0];

/** Entries that are in the output. */
const length = () => redis.xlen(names.out);

async function until(what: () => Promise<boolean> | boolean): Promise<void> {
  while (!(await what())) await wait(20);
}

test("every entry is answered once, in its order, of both forms", async () => {
  await produce(0, 3000);
  const { code, stderr } = await evenkeel(workplace, ...lineOf());
  expect(code, stderr).toBe(0);
  const found = await written();
  expect(found.map(({ record }) => Number(record))).toEqual(Array.from({ length: 3000 }, (_, i) => i + 1));
  expect(found.map(({ id }) => id)).toEqual((await redis.xrange(names.from, "-", "+")).map(([id]) => id));
  expect(Object.keys(found[100])).toEqual(["record", "id", "a", "b", "y"]);
  expect(await pending()).toBe(0);
  const again = await evenkeel(workplace, ...lineOf());
  expect(again.code, again.stderr).toBe(0);
  expect(await length()).toBe(3000);
});

test.each([
  ["standardizing", 20_000, []],
  ["learning", 4000, ["--learn", "y", "--depth", "1", "--width", "8"]],
])(
  "%s: killed at any moment, again and again, nothing is lost or written twice",
  async (_, records, more) => {
    await produce(0, records);
    const whole = await expected(more);
    let kills = 0;
    for (let code: number | null = null; code === null; ) {
      const before = await length();
      const { child, ended } = start(workplace, ...lineOf(), ...more);
      if (kills < 5) {
        await until(async () => (await length()) > before || child.exitCode !== null);
        await wait(40 * kills);
        child.kill("SIGKILL");
      }
      const outcome = await ended;
      code = outcome.code;
      if (code === null) kills++;
      else expect(code, outcome.stderr).toBe(0);
    }
    expect(kills).toBeGreaterThanOrEqual(1);
    expect(await written()).toEqual(whole);
    expect(await pending()).toBe(0);
  },
);

test("Redis is killed and comes back: the stream says so, and goes on", async () => {
  await produce(0, 3000);
  const line = lineOf().filter((word) => word !== "--stop-at-end");
  const { child, said, ended } = start(workplace, ...line);
  await until(async () => (await length()) >= 3000);
  await server.kill();
  await said(/does\s+not\s+answer[\s\S]*trying\s+again\s+until\s+it\s+does/);
  await server.restart();
  await said(/answers\s+again,\s+after/);
  await produce(3000, 9000);
  await until(async () => (await length()) >= 4000);
  await server.kill();
  await server.restart();
  await until(async () => (await length()) >= 9000);
  child.kill("SIGTERM");
  const { code, stderr } = await ended;
  expect(code, stderr).toBe(143);
  expect(await written()).toEqual(await expected());
  expect(await pending()).toBe(0);
});

test("a connection that is cut without a word is made again", async () => {
  const proxy = await startProxy(server.port);
  try {
    await produce(0, 2000);
    const line = lineOf(proxy.through(server.url)).filter((word) => word !== "--stop-at-end");
    const { child, said, ended } = start(workplace, ...line);
    await until(async () => (await length()) >= 2000);
    proxy.drop();
    await produce(2000, 5000);
    await said(/no\s+answer\s+in\s+\d+\s+s\);\s+trying\s+again/);
    proxy.pass();
    await until(async () => (await length()) >= 5000);
    child.kill("SIGINT");
    const { code, stderr } = await ended;
    expect(code, stderr).toBe(130);
    expect(await written()).toEqual(await expected());
    expect(await pending()).toBe(0);
  } finally {
    await proxy.stop();
  }
});

/** Numbers of the entries that were answered, by their ids. */
async function answered(keys: string[]): Promise<string[]> {
  const all = (await Promise.all(keys.map((key) => written(key)))).flat();
  return all.map(({ id }) => id).sort();
}

test("two consumers share the entries; what one leaves behind the other takes over", async () => {
  const line = (consumer: string): string[] => [
    ...["stream", "--from", urlOf(names.from), "--out", urlOf(names.out), "--state", `${consumer}${number}`],
    ...["--ignore", "n", "--save-every", "0.5s", "--consumer", consumer, "--claim-after", "2"],
  ];
  const a = start(workplace, ...line("a"));
  const b = start(workplace, ...line("b"));
  await Promise.all([a.said(/evenkeel stream/), b.said(/evenkeel stream/)]);
  // the one that is killed has taken entries which it has not settled
  const hung = new Redis(server.url);
  await produce(0, 100);
  await until(async () => (await length()) >= 100);
  await hung.xadd(names.from, "*", "n", "100", "a", "1", "b", "2", "y", "3");
  await hung.xreadgroup("GROUP", "evenkeel", "gone", "COUNT", 10, "STREAMS", names.from, ">");
  hung.disconnect();
  await produce(101, 3000);
  await wait(300);
  a.child.kill("SIGKILL");
  await produce(3000, 5000);
  const ids = (await redis.xrange(names.from, "-", "+")).map(([id]) => id).sort();
  await until(
    async () => (await pending()) === 0 && new Set(await answered([names.out])).size === ids.length,
  );
  expect(b.child.exitCode).toBe(null);
  b.child.kill("SIGTERM");
  const { code, stderr } = await b.ended;
  expect(code, stderr).toBe(143);
  expect(stderr).toMatch(/entr(?:y|ies) that another\s+consumer left behind/);
  // of what the killed one has answered and not settled, the other answers once more
  expect([...new Set(await answered([names.out]))]).toEqual(ids);
});

test("a stream that is deleted while it is read is read from its new beginning", async () => {
  await produce(0, 10);
  const line = lineOf().filter((word) => word !== "--stop-at-end");
  const { child, ended } = start(workplace, ...line, "--claim-after", "1");
  await until(async () => (await length()) === 10);
  await redis.del(names.from);
  await produce(10, 20);
  await until(async () => (await length()) === 20);
  child.kill("SIGINT");
  const { code, stderr } = await ended;
  expect(code, stderr).toBe(130);
  expect(stderr.replaceAll(/\s+/g, " ")).toContain('the group "evenkeel" is gone');
  expect(stderr).not.toContain("does not answer");
});

test("entries that are trimmed before they are answered are told, and hold nothing up", async () => {
  await produce(0, 20);
  await redis.xgroup("CREATE", names.from, "evenkeel", "0");
  await redis.xreadgroup("GROUP", "evenkeel", "me", "STREAMS", names.from, ">");
  await redis.xtrim(names.from, "MAXLEN", "=", 8);
  const { code, stderr } = await evenkeel(workplace, ...lineOf(), "--consumer", "me");
  expect(code, stderr).toBe(0);
  expect(await length()).toBe(8);
  expect(await pending()).toBe(0);
  expect(stderr).toMatch(/! entry \d+-\d+ was taken from the stream before it was read/);
  expect(stderr.replaceAll(/\s+/g, " ")).toContain("! 12 lines that were no records");
});

test("entries that are no records are told, settled and passed over", async () => {
  await redis.xadd(names.from, "*", "a", "1", "b", "2");
  await redis.xadd(names.from, "*", "json", "{oops");
  await redis.xadd(names.from, "*", "json", "[1]");
  await redis.xadd(names.from, "*", "a", "x", "b", "3");
  const line = lineOf().filter((word) => word !== "--ignore" && word !== "n");
  const { code, stderr } = await evenkeel(workplace, ...line);
  expect(code, stderr).toBe(0);
  expect((await written()).map(({ id, ...rest }) => rest)).toEqual([
    { record: "1", a: "0", b: "0" },
    { record: "2", b: "1" },
  ]);
  expect(stderr.replaceAll(/\s+/g, " ")).toContain(
    "! 2 lines that were no records ! 1 value that was no number",
  );
  expect(await pending()).toBe(0);
});

test.each<[string, (line: string[]) => string[], RegExp]>([
  ["what is no stream", (line) => line, /WRONGTYPE/],
  [
    "a server that is not there",
    (line) => line.map((word) => word.replace(/:\d+\/0/, ":1/0")),
    /does not answer \(.*ECONNREFUSED.*\); start it, or name the one/,
  ],
])("%s is told", async (_, change, message) => {
  await redis.set(names.from, "text");
  const outcome: Outcome = await evenkeel(workplace, ...change(lineOf()));
  expect(outcome.code).toBe(1);
  expect(outcome.stderr.replaceAll(/\s+/g, " ")).toMatch(message);
  expect(outcome.stderr).not.toContain("fault of Evenkeel");
});

test("a password is neither shown nor kept", async () => {
  await produce(0, 10);
  await redis.call("ACL", "SETUSER", "someone", "on", ">s3cret", "~*", "+@all");
  const line = lineOf().map((word) => word.replace("redis://", "redis://someone:s3cret@"));
  const { code, stderr } = await evenkeel(workplace, ...line);
  expect(code, stderr).toBe(0);
  expect(stderr).not.toContain("s3cret");
  const wrong = await evenkeel(workplace, ...line.map((word) => word.replace("s3cret", "wr0ng")));
  expect(wrong.code).toBe(1);
  expect(wrong.stderr.replaceAll(/\s+/g, " ")).toMatch(/error: .*WRONGPASS/);
  expect(wrong.stderr).not.toContain("wr0ng");
});
