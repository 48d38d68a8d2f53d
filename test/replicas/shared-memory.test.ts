/** Replicas in worker threads: what they tell each other arrives whole, and one that fails holds up nobody. */
import { expect, it } from "vitest";
import {
  type AsyncExchange,
  exchangeIn,
  failReplica,
  relay,
  type SharedMemory,
  sharedMemory,
} from "../../src/replicas/index.js";
import { inThreads, thread } from "./support/threads.js";

it.each([1, 2, 4])(
  "%d replicas get all values in the order of ranks, in every one of many turns",
  async (replicas) => {
    // 3 values to a room: messages of 0 to 10 values take 1 to 4 pieces
    const memory = sharedMemory({ replicas, bytes: 24 });
    const ended = await inThreads(memory, ({ exchange, rank }) => {
      const seen: number[][][] = [];
      for (let turn = 0; turn < 200; turn++) {
        const lists = exchange(
          Float64Array.from({ length: turn % 11 }, (_, i) => 1000 * turn + 10 * i + rank),
        );
        seen.push(lists.map((list) => [...list]));
      }
      return seen;
    });
    const expected = Array.from({ length: 200 }, (_, turn) =>
      Array.from({ length: replicas }, (_, rank) =>
        Array.from({ length: turn % 11 }, (_, i) => 1000 * turn + 10 * i + rank),
      ),
    );
    expect(ended).toEqual(Array.from({ length: replicas }, () => ({ result: expected })));
  },
);

it("keeps every bit: −0, denormals, infinities and NaN", async () => {
  const given = [-0, 5e-324, Number.POSITIVE_INFINITY, Number.NaN, 1 + Number.EPSILON];
  const [{ result }] = (await inThreads(
    sharedMemory({ replicas: 2, bytes: 16 }),
    ({ exchange, given }) => exchange(Float64Array.from(given)).map((list) => [...list]),
    { given },
  )) as { result: number[][] }[];
  expect(result).toEqual([given, given]);
});

it("a replica that fails is named by all others, which do not wait", async () => {
  const ended = await inThreads(sharedMemory({ replicas: 3 }), ({ exchange, rank }) => {
    exchange(Float64Array.of(rank));
    if (rank === 1) {
      exchange.fail("no such file");
      return "gone";
    }
    exchange(Float64Array.of(rank));
    return "went on";
  });
  const message = "exchangeIn: replica 1 failed: no such file";
  expect(ended).toEqual([{ message }, { result: "gone" }, { message }]);
});

it("a thread that dies is named by who started it, or by the clock", async () => {
  const dies = ({ rank, exchange }: { rank: number; exchange: (values: Float64Array) => Float64Array[] }) => {
    exchange(Float64Array.of(rank));
    if (rank === 1) process.exit();
    return exchange(Float64Array.of(rank)).length;
  };
  const told = sharedMemory({ replicas: 2 });
  const threads = [0, 1].map((rank) => thread(told, rank, dies));
  threads[1].worker.on("exit", () => failReplica(told, 1, "its thread has ended"));
  expect(await threads[0].ended).toEqual({
    message: "exchangeIn: replica 1 failed: its thread has ended",
  });
  const silent = sharedMemory({ replicas: 3 });
  const late = await inThreads(silent, dies, { timeout: 300 });
  const message = "exchangeIn: replica 1 has not come within 300 ms";
  expect(late).toEqual([{ message }, { message: "ended" }, { message }]);
});

it("names every replica that is missing", async () => {
  const memory = sharedMemory({ replicas: 3 });
  const alone = thread(memory, 2, ({ exchange }) => exchange(new Float64Array(1)).length, { timeout: 50 });
  expect(await alone.ended).toEqual({
    message: "exchangeIn: replica 0 has not come within 50 ms, nor has replica 1",
  });
});

it("messages of unequal lengths are an error that names both, in all", async () => {
  const ended = await inThreads(sharedMemory({ replicas: 3, bytes: 16 }), ({ exchange, rank }) =>
    exchange(new Float64Array(rank === 1 ? 7 : 4)),
  );
  const message =
    "exchangeIn: replica 1 gave 7 values where replica 0 gave 4; all must run the same steps on the same model";
  expect(ended).toEqual([{ message }, { message }, { message }]);
});

it("after a failure it throws the same, whatever is asked", () => {
  const memory = sharedMemory({ replicas: 1 });
  const exchange = exchangeIn(memory, 0);
  expect(exchange(Float64Array.of(1, 2))).toEqual([Float64Array.of(1, 2)]);
  exchange.fail("first");
  failReplica(memory, 0, "second");
  expect(() => exchange(Float64Array.of(1))).toThrow(new Error("exchangeIn: replica 0 failed: first"));
});

/** Two machines in this process: a transport between two relays. */
function between(): AsyncExchange[] & { sent: number[] } {
  let waiting: { values: Float64Array; resolve(lists: Float64Array[]): void }[] = [];
  const sent: number[] = [];
  const exchanges = [0, 1].map(
    (rank): AsyncExchange =>
      (values) => {
        sent.push(values.length);
        return new Promise((resolve) => {
          waiting[rank] = { values, resolve };
          if (waiting.filter(Boolean).length < 2) return;
          const both = waiting;
          waiting = [];
          for (const one of both) one.resolve(both.map((each) => each.values));
        });
      },
  );
  return Object.assign(exchanges, { sent });
}

it("threads of two machines exchange through their relays, merged on the way or one by one", async () => {
  const machines = [0, 1].map(() => sharedMemory({ replicas: 2, bytes: 16, relay: true }));
  const transports = between();
  const end = new AbortController();
  const relays = machines.map((memory, i) => relay(memory, transports[i], { signal: end.signal }));
  const ended = await Promise.all(
    machines.map((memory, machine) =>
      inThreads(
        memory,
        ({ exchange, rank, given }) => {
          const own = Float64Array.from({ length: 5 }, (_, i) => 100 * i + 10 * given + rank);
          const each = exchange(own);
          const merged = exchange(own, ([first, ...more]) =>
            first.map((value, i) => value + more.reduce((sum, one) => sum + one[i], 0)),
          );
          const empty = exchange(new Float64Array(0));
          return {
            each: each.map((one) => [...one]),
            merged: merged.map((one) => [...one]),
            empty: empty.length,
          };
        },
        { given: machine },
      ),
    ),
  );
  end.abort();
  await Promise.all(relays);
  const all = [0, 1, 10, 11].map((which) => Array.from({ length: 5 }, (_, i) => 100 * i + which));
  const sums = [1, 21].map((which) => Array.from({ length: 5 }, (_, i) => 200 * i + which));
  const result = { each: all, merged: sums, empty: 4 };
  expect(ended.flat()).toEqual([{ result }, { result }, { result }, { result }]);
  // one message a machine, of all its replicas' values or of one list, after how many there are
  expect(transports.sent).toEqual([12, 12, 7, 7, 2, 2]);
});

it("machines may have unequal numbers of replicas, and one of other values is told", async () => {
  const serve = (replicas: number[], transports: AsyncExchange[]) => {
    const end = new AbortController();
    const memories = replicas.map((each) => sharedMemory({ replicas: each, bytes: 16, relay: true }));
    const relays = memories.map((memory, i) =>
      relay(memory, transports[i], { signal: end.signal }).catch(({ message }) => message),
    );
    return { memories, relays, end };
  };
  const { memories, relays, end } = serve([1, 3], between());
  const ended = await Promise.all(
    memories.map((memory, machine) =>
      inThreads(
        memory,
        ({ exchange, rank, given }) => {
          const all = exchange(Float64Array.of(10 * given, rank));
          const merged = exchange(Float64Array.of(1), ([first, ...more]) =>
            first.map((value, i) => value + more.reduce((sum, one) => sum + one[i], 0)),
          );
          return [...all, ...merged].map((one) => [...one]);
        },
        { given: machine },
      ),
    ),
  );
  end.abort();
  expect(await Promise.all(relays)).toEqual([undefined, undefined]);
  const result = [[0, 0], [10, 0], [10, 1], [10, 2], [1], [3]];
  expect(ended.flat()).toEqual([{ result }, { result }, { result }, { result }]);

  const other = serve([2, 1], between());
  // as many in all: two of two, and one of four
  const differing = await Promise.all(
    other.memories.map((memory, machine) =>
      inThreads(memory, ({ exchange, given }) => exchange(new Float64Array(given)).length, {
        given: 2 * (machine + 1),
      }),
    ),
  );
  const message = (own: number, theirs: number) => ({
    message: `exchangeIn: replica 0 gave ${own} values where another machine's gave ${theirs}; all must run the same steps on the same model`,
  });
  expect(differing).toEqual([[message(2, 4), message(2, 4)], [message(4, 2)]]);
  expect(await Promise.all(other.relays)).toEqual(
    [message(2, 4), message(4, 2)].map((one) => one.message.replace("exchangeIn", "relay")),
  );
});

it("a transport that never answers holds up no relay that is ended or whose replica fails", async () => {
  for (const fails of [true, false]) {
    const memory = sharedMemory({ replicas: 1, relay: true });
    const end = new AbortController();
    let asked = () => {};
    const isAsked = new Promise<void>((resolve) => {
      asked = resolve;
    });
    const told: string[] = [];
    const never = Object.assign(
      () => {
        asked();
        return new Promise<Float64Array[]>(() => {});
      },
      {
        fail(reason: string) {
          told.push(reason);
          throw new Error("nor can it tell");
        },
      },
    );
    const served = relay(memory, never, { signal: end.signal }).catch(({ message }) => message);
    const replica = thread(memory, 0, ({ exchange }) => exchange(new Float64Array(1)).length);
    await isAsked;
    if (fails) failReplica(memory, 0, "out of memory");
    else end.abort();
    const message = "relay: replica 0 failed: out of memory";
    expect(await served).toBe(fails ? message : undefined);
    expect(told).toEqual(fails ? [message] : []);
    await replica.worker.terminate();
  }
});

it.each([
  ["nothing", undefined],
  ["a list without how many there are", [new Float64Array(2)].map((one) => one.fill(3))],
  ["no list", []],
])("a transport that answers %s is told", async (_, answer) => {
  const memory = sharedMemory({ replicas: 1, relay: true });
  const served = relay(memory, async () => answer as never).catch(({ message }) => message);
  const [ended] = await inThreads(memory, ({ exchange }) => exchange(Float64Array.of(7)).length);
  const reason = /relay: the exchange must give what every machine gave it, as it is, got /;
  expect(ended).toEqual({ message: expect.stringMatching(reason) });
  expect(await served).toMatch(reason);
});

it("replicas that fail at once are all told the first one's reason", async () => {
  for (let turn = 0; turn < 5; turn++) {
    const ended = await inThreads(sharedMemory({ replicas: 4 }), ({ exchange, rank }) =>
      exchange(new Float64Array(rank === 2 ? 1 : 2)),
    );
    const message =
      "exchangeIn: replica 2 gave 1 values where replica 0 gave 2; all must run the same steps on the same model";
    expect(ended).toEqual([0, 1, 2, 3].map(() => ({ message })));
  }
});

it("a transport that fails, and a replica that does, end both sides of a relay", async () => {
  const failing = sharedMemory({ replicas: 2, relay: true });
  const served = relay(failing, async () => {
    throw new Error("no route to host");
  });
  const ask = ({ exchange }: { exchange: (values: Float64Array) => Float64Array[] }) =>
    exchange(new Float64Array(2)).length;
  const [ended] = await Promise.all([
    inThreads(failing, ask),
    expect(served).rejects.toThrow("no route to host"),
  ]);
  const message = "exchangeIn: the relay failed: no route to host";
  expect(ended).toEqual([{ message }, { message }]);

  const broken = sharedMemory({ replicas: 2, relay: true });
  const told: string[] = [];
  const transport = Object.assign(async (values: Float64Array) => [values], {
    fail: (reason: string) => void told.push(reason),
  });
  const other = relay(broken, transport);
  failReplica(broken, 1, "out of memory");
  await expect(other).rejects.toThrow("relay: replica 1 failed: out of memory");
  expect(told).toEqual(["relay: replica 1 failed: out of memory"]);
});

it.each([
  ["sharedMemory: replicas must be a positive integer, got 0", () => sharedMemory({ replicas: 0 })],
  ["sharedMemory: replicas must be a positive integer, got 1.5", () => sharedMemory({ replicas: 1.5 })],
  [
    "sharedMemory: bytes must be an integer of at least 8, got 4",
    () => sharedMemory({ replicas: 2, bytes: 4 }),
  ],
  [
    'sharedMemory: no option is called "size"; there are replicas, bytes, relay',
    () => sharedMemory({ replicas: 2, size: 4 } as never),
  ],
  [
    "exchangeIn: rank must be an integer from 0 to 1, got 2",
    () => exchangeIn(sharedMemory({ replicas: 2 }), 2),
  ],
  [
    "exchangeIn: timeout must be a positive number of ms, got 0",
    () => exchangeIn(sharedMemory({ replicas: 2 }), 0, { timeout: 0 }),
  ],
  [
    "exchangeIn: memory must be what sharedMemory({ replicas }) gives, or was posted of it, got an object",
    () => exchangeIn({ ...sharedMemory({ replicas: 2 }), replicas: 3 } as SharedMemory, 0),
  ],
  [
    "exchangeIn: this memory has rank 0 already; give each thread a rank of its own, and each run a memory of its own",
    () => {
      const memory = sharedMemory({ replicas: 2 });
      exchangeIn(memory, 0);
      exchangeIn(memory, 0);
    },
  ],
  [
    "exchangeIn: values must be a Float64Array, got [1, 2]",
    () => exchangeIn(sharedMemory({ replicas: 1 }), 0)([1, 2] as never),
  ],
])("%s", (message, run) => {
  expect(run).toThrow(message);
});

it("a relay needs a memory that was made for one", async () => {
  await expect(relay(sharedMemory({ replicas: 1 }), async (values) => [values])).rejects.toThrow(
    "relay: memory must be made by sharedMemory({ relay: true })",
  );
});
