/** Replicas over a real Redis: processes that train as one, and every way in which one of them, or Redis, can be gone. */
import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { Redis } from "ioredis";
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import { type Server, startRedis } from "../../lab/test/support/servers.js";
import { type RedisCommand, redisExchange } from "../../src/replicas/index.js";

let server: Server;
const clients: Redis[] = [];
const processes: ChildProcess[] = [];

beforeAll(async () => {
  server = await startRedis();
});
afterEach(() => {
  for (const client of clients.splice(0)) client.disconnect();
});
afterAll(() => {
  for (const one of processes) one.kill("SIGKILL");
});

function connect(url = server.url, protocol: 2 | 3 = 3): { redis: Redis; command: RedisCommand } {
  const redis = new Redis(url, { protocol, maxRetriesPerRequest: null, retryStrategy: () => 20 });
  redis.on("error", () => {});
  clients.push(redis);
  return { redis, command: (name, ...args) => redis.callBuffer(name, ...(args as Buffer[])) };
}

let runs = 0;
const newRun = () => `run ${runs++}`;
const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

it("all get the same bits in the order of ranks, whoever comes first and whatever is written twice", async () => {
  const run = newRun();
  const { redis } = connect();
  const replicas = 3;
  const given = (step: number, rank: number) =>
    Float64Array.from({ length: step % 4 }, (_, i) =>
      i === 2 ? -0 : Math.PI * (100 * step + 10 * i + rank),
    );
  const seen = await Promise.all(
    Array.from({ length: replicas }, async (_, rank) => {
      const { command } = connect(server.url, rank === 2 ? 2 : 3);
      // as a client does that reconnects before it has the reply
      const twice: RedisCommand = async (...args) => {
        if (args[0] === "XADD") await command(...args);
        return command(...args);
      };
      const exchange = redisExchange(rank === 1 ? twice : command, { run, rank, replicas });
      const lists: Float64Array[][] = [];
      for (let step = 0; step < 20; step++) {
        await wait(((step * 7 + rank * 5) % 3) * 4);
        lists.push(await exchange(given(step, rank)));
      }
      return lists;
    }),
  );
  const expected = Array.from({ length: 20 }, (_, step) =>
    Array.from({ length: replicas }, (_, rank) => given(step, rank)),
  );
  expect(seen).toEqual([expected, expected, expected]);
  // steps that everybody has read are gone, and what is left expires
  const keys = await redis.keys(`evenkeel:{${run}}:*`);
  expect(keys.filter((key) => !key.includes("rank")).length).toBeLessThanOrEqual(2);
  for (const key of keys) expect(await redis.pttl(key), key).toBeGreaterThan(0);
});

it("goes on where connections are lost meanwhile", async () => {
  const run = newRun();
  const { redis: admin } = connect();
  const sums = await Promise.all(
    [0, 1].map(async (rank) => {
      const exchange = redisExchange(connect().command, { run, rank, replicas: 2 });
      let sum = 0;
      for (let step = 0; step < 30; step++) {
        const answer = exchange(Float64Array.of(step + rank));
        // every connection but the one that asks, whatever it is doing
        if (step % 10 === 5 * rank) await admin.call("CLIENT", "KILL", "TYPE", "normal");
        sum += (await answer).reduce((total, [value]) => total + value, 0);
      }
      return sum;
    }),
  );
  expect(sums).toEqual([900, 900]);
});

it("sends again what a client gives up where a connection is lost, as node-redis does", async () => {
  const run = newRun();
  const { redis: admin } = connect();
  const sums = await Promise.all(
    [0, 1].map(async (rank) => {
      // rejects what was under way, and is connected again soon
      const redis = new Redis(server.url, { autoResendUnfulfilledCommands: false, maxRetriesPerRequest: 0 });
      redis.on("error", () => {});
      clients.push(redis);
      let lost = 0;
      const command: RedisCommand = (name, ...args) =>
        redis.callBuffer(name, ...(args as Buffer[])).catch((error) => {
          lost++;
          throw error;
        });
      const exchange = redisExchange(command, { run, rank, replicas: 2 });
      let sum = 0;
      for (let step = 0; step < 30; step++) {
        const answer = exchange(Float64Array.of(step + rank));
        if (step % 10 === 5 * rank) {
          await wait(5);
          await admin.call("CLIENT", "KILL", "TYPE", "normal");
        }
        sum += (await answer).reduce((total, [value]) => total + value, 0);
      }
      return { sum, lost };
    }),
  );
  expect(sums.map(({ sum }) => sum)).toEqual([900, 900]);
  expect(sums[0].lost + sums[1].lost).toBeGreaterThan(0);
});

it("goes on where Redis ends and begins anew, without what it had", async () => {
  const first = await startRedis();
  const run = newRun();
  let late = () => {};
  const isKilled = new Promise<void>((resolve) => {
    late = resolve;
  });
  const steps = 6;
  const train = async (rank: number) => {
    const { command } = connect(first.url);
    const exchange = redisExchange(command, { run, rank, replicas: 3, timeout: 30_000 });
    let sum = 0;
    for (let step = 0; step < steps; step++) {
      // the others have written theirs, and wait
      if (step === 3 && rank === 1) await isKilled;
      sum += (await exchange(Float64Array.of(100 * step + rank))).reduce((all, [value]) => all + value, 0);
    }
    return sum;
  };
  const sums = Promise.all([0, 1, 2].map(train));
  await wait(500);
  await first.kill();
  await first.restart();
  late();
  expect(await sums).toEqual([0, 1, 2].map(() => 300 * 15 + 3 * steps));
  await first.stop();
});

it("what Redis itself refuses is told, and not sent again", async () => {
  const { redis, command } = connect();
  const run = newRun();
  await redis.set(`evenkeel:{${run}}:0`, "no stream");
  const sent: string[] = [];
  const heard: RedisCommand = (name, ...args) => {
    sent.push(name);
    return command(name, ...args);
  };
  await expect(redisExchange(heard, { run, rank: 0, replicas: 2 })(Float64Array.of(1))).rejects.toThrow(
    /^WRONGTYPE /,
  );
  expect(sent).toEqual(["SET", "GET", "XADD", "PEXPIRE"]);
});

it("a replica that is missing is named, within the timeout", async () => {
  const run = newRun();
  const [first, third] = [0, 2].map((rank) =>
    redisExchange(connect().command, { run, rank, replicas: 3, timeout: 400 }),
  );
  const both = await Promise.allSettled([first(Float64Array.of(1)), third(Float64Array.of(1))]);
  const reason = new Error(
    `redisExchange: replica 1 of run "${run}" has not come within 400 ms, at exchange 0`,
  );
  expect(both).toEqual([
    { status: "rejected", reason },
    { status: "rejected", reason },
  ]);
  // it is at its end
  await expect(first(Float64Array.of(1))).rejects.toThrow(reason);
});

it("a replica that fails tells the others, before its values and after them", async () => {
  for (const before of [true, false]) {
    const run = newRun();
    const [first, second] = [0, 1].map((rank) =>
      redisExchange(connect().command, { run, rank, replicas: 2, timeout: 20_000 }),
    );
    await Promise.all([first(Float64Array.of(1)), second(Float64Array.of(2))]);
    const waiting = before
      ? first(Float64Array.of(3))
      : Promise.all([first(Float64Array.of(3)), second(Float64Array.of(4))]).then(() =>
          first(Float64Array.of(5)),
        );
    const heard = expect(waiting).rejects.toThrow(
      `redisExchange: replica 1 of run "${run}" failed: disk full: 0 bytes`,
    );
    await wait(50);
    await second.fail?.("disk full: 0 bytes");
    await heard;
    await expect(second(Float64Array.of(1))).rejects.toThrow("redisExchange: this replica failed: disk full");
  }
});

it("values may be of unequal lengths, as those of machines with other numbers of replicas", async () => {
  const run = newRun();
  const lists = [1, 2].map((rank) => Float64Array.from({ length: 3 * rank }, (_, i) => i));
  const both = await Promise.all(
    lists.map((values, rank) => redisExchange(connect().command, { run, rank, replicas: 2 })(values)),
  );
  expect(both).toEqual([lists, lists]);
});

it("a run's name, and a rank, are used once", async () => {
  const run = newRun();
  const one = () => redisExchange(connect().command, { run, rank: 0, replicas: 1 });
  await one()(Float64Array.of(1));
  await expect(one()(Float64Array.of(1))).rejects.toThrow(
    `redisExchange: run "${run}" has had a replica of rank 0 already; give each replica a rank of its own, and each run a name of its own`,
  );
});

it("one exchange at a time, of bytes as they are", async () => {
  const { redis, command } = connect();
  const exchange = redisExchange(command, { run: newRun(), rank: 0, replicas: 1 });
  const first = exchange(Float64Array.of(1));
  await expect(exchange(Float64Array.of(1))).rejects.toThrow(
    "redisExchange: an exchange is under way; await it before the next one",
  );
  expect(await first).toEqual([Float64Array.of(1)]);
  const texts: RedisCommand = (name, ...args) => redis.call(name, ...(args as Buffer[]));
  await expect(
    redisExchange(texts, { run: newRun(), rank: 0, replicas: 1 })(Float64Array.of(1)),
  ).rejects.toThrow(
    /^redisExchange: command must give bytes as they are, got ".*"; of ioredis it is callBuffer, of node-redis sendCommand with a typeMapping to Buffer$/s,
  );
});

it("a Redis that is gone is named, within the timeout", async () => {
  const gone = await startRedis();
  const { command } = connect(gone.url);
  const exchange = redisExchange(command, { run: newRun(), rank: 0, replicas: 2, timeout: 1000 });
  const answer = exchange(Float64Array.of(1));
  const heard = expect(answer).rejects.toThrow(
    /^redisExchange: Redis has not answered XREAD within 1000 ms$/,
  );
  await wait(300);
  await gone.kill();
  await heard;
});

interface Machine {
  child: ChildProcess;
  /** After its first step. */
  begun: Promise<void>;
  ended: Promise<{ ended: { weights?: number[][][]; message?: string }[]; relayed?: string } | undefined>;
}

function machine(settings: object): Machine {
  const script = fileURLToPath(new URL("support/machine.mjs", import.meta.url));
  const child = spawn(process.execPath, [script, JSON.stringify(settings)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  processes.push(child);
  let text = "";
  let begin = () => {};
  const begun = new Promise<void>((resolve) => {
    begin = resolve;
  });
  child.stdout?.on("data", (more) => {
    text += more;
    if (text.includes("step\n")) begin();
  });
  const ended = new Promise<Awaited<Machine["ended"]>>((resolve) => {
    child.on("exit", () => {
      begin();
      const [line] = text.split("\n").filter((one) => one.startsWith("{"));
      resolve(line === undefined ? undefined : JSON.parse(line));
    });
  });
  return { child, begun, ended };
}

const training = { kind: "mlp", norm: "batch", backend: "wasm", rate: 0.05 };

it.each([
  [2, 2],
  [1, 3],
])("two processes of %d and %d threads train as one model with the whole batch", async (...threads) => {
  const settings = { ...training, sizes: [3, 5, 2, 4], steps: 5, compareEvery: 2 };
  const run = newRun();
  const machines = [0, 1].map((one) =>
    machine({ ...settings, url: server.url, run, machine: one, threads, timeout: 30_000 }),
  );
  const all = (await Promise.all(machines.map(({ ended }) => ended))).flatMap((one) => one?.ended ?? []);
  expect(all.map(({ message }) => message)).toEqual([undefined, undefined, undefined, undefined]);
  for (const { weights } of all.slice(1)) expect(weights).toEqual(all[0].weights);
  const whole = await new Promise<number[][][]>((resolve, reject) => {
    const workerData = { ...settings, rank: 0 };
    const worker = new Worker(new URL("support/replica.mjs", import.meta.url), { workerData });
    worker.on("error", reject);
    worker.on("message", (message) => {
      if ("step" in message) return;
      resolve(message.weights);
      worker.terminate();
    });
  });
  const [ours, theirs] = [all[0].weights?.[4] as number[][], whole[4]];
  for (const [i, values] of theirs.entries()) {
    const largest = Math.max(...values.map(Math.abs), 0.01);
    for (const [j, value] of values.entries())
      expect(Math.abs(ours[i][j] - value) / largest, `weight ${i}`).toBeLessThan(1e-5);
  }
});

it("a replica that fails in one process is named in all threads of both, at once", async () => {
  // the third replica has no part of the batch
  const settings = { ...training, sizes: [3, 5, 0, 4], steps: 5 };
  const run = newRun();
  const machines = [0, 1].map((one) =>
    machine({ ...settings, url: server.url, run, machine: one, threads: [2, 2], timeout: 250_000 }),
  );
  const all = (await Promise.all(machines.map(({ ended }) => ended))).flatMap((one) => one?.ended ?? []);
  expect(all).toHaveLength(4);
  const own = "trainStep: each replica needs at least one example of every batch, got none";
  expect(all[2].message).toBe(own);
  expect(all[3].message).toBe(`exchangeIn: replica 0 failed: ${own}`);
  for (const { message } of all.slice(0, 2)) {
    expect(message).toBe(
      `exchangeIn: the relay failed: redisExchange: replica 1 of run "${run}" failed: relay: replica 0 failed: ${own}`,
    );
  }
});

it("one process is killed: the other ends with an error that names it, within its timeout", async () => {
  const settings = { ...training, sizes: [3, 5, 2, 4], steps: 100_000 };
  const run = newRun();
  const [first, second] = [0, 1].map((one) =>
    machine({ ...settings, url: server.url, run, machine: one, threads: [2, 2], timeout: 1500 }),
  );
  await Promise.all([first.begun, second.begun]);
  await wait(200);
  second.child.kill("SIGKILL");
  const killed = performance.now();
  const result = await first.ended;
  const took = performance.now() - killed;
  const reason = new RegExp(
    `redisExchange: replica 1 of run "${run}" has not come within 1500 ms, at exchange \\d+$`,
  );
  expect(result?.relayed).toMatch(reason);
  for (const { message } of result?.ended ?? [{ message: "" }]) {
    expect(message).toMatch(/^exchangeIn: the relay failed: /);
    expect(message).toMatch(reason);
  }
  // and what the process itself takes to end
  expect(took).toBeLessThan(1500 + 5000);
});
