/**
 * Arrays that are large enough to be shared among threads: right against float64, the same to the last bit on any number of
 * threads, and threads that come, sleep, stall, fail, die and go without holding anything up.
 */
import { execFile } from "node:child_process";
import { availableParallelism } from "node:os";
import { fileURLToPath, pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { Worker } from "node:worker_threads";
import asc from "assemblyscript/asc";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import {
  batchNorm,
  type FusedNorm,
  groupNorm,
  instanceNorm,
  layerNorm,
  open,
  rmsNorm,
} from "../../../src/index.js";
import type { Backward, Forward } from "../../../src/kernels/contract.js";
import { OwnHeap, sharedMemory } from "../../../src/kernels/wasm/heap.js";
import { Pool, pool } from "../../../src/kernels/wasm/pool.js";
import { allWays, type Thread, type Way } from "../../../src/kernels/wasm/start-thread.js";
import {
  AWAITED,
  DONE,
  finish,
  type Parts,
  READ,
  sleepUntil,
  TICKET,
  take,
  WORDS,
} from "../../../src/kernels/wasm/tickets.js";
import { normalizationModule, WasmKernels } from "../../../src/kernels/wasm/wasm.js";
import { fillMask } from "../../../src/mask.js";
import { largest, normal, random } from "../../support/numerics.js";

const run = promisify(execFile);
const root = fileURLToPath(new URL("../../..", import.meta.url));
const dist = (file: string) => pathToFileURL(`${root}dist/${file}`).href;

const one = await open({ backend: "wasm", threads: 1 });
const three = await open({ backend: "wasm", threads: 3 });
const truth = await open({ backend: "reference" });

/** The account that a pool keeps of what sharing costs. */
interface Account {
  account(loss: number): void;
  alone: number;
}
const accountOf = (pool: Pool) => pool as unknown as Account;

/** All calls are shared, however busy this machine is. */
const shareAlways = (pool: Pool) => vi.spyOn(accountOf(pool), "account").mockImplementation(() => {});
shareAlways(pool);
beforeAll(() => threadsOf(three, 3));
afterAll(() => three.close());

const sleep = (ms: number) => new Promise((wake) => setTimeout(wake, ms));

/** Waits until so many threads run. */
async function threadsOf(ek: typeof one, threads: number): Promise<void> {
  for (let i = 0; i < 1000 && ek.threads !== threads; i++) {
    ek.forward(layerNorm(), { shape: [301, 300], data: new Float32Array(301 * 300) });
    await sleep(10);
  }
  expect(ek.threads).toBe(threads);
}

interface Case {
  norm: FusedNorm;
  shape: number[];
  /** Of gamma and beta. */
  parameters: number;
  /** Statistics come with the call. */
  given?: number;
  residual?: boolean;
  /** The shape of a mask, and how many of each 10 of its values are 0: all those at the end, or at random. */
  mask?: { shape: number[]; padded?: number; random?: number };
}

/** Each kind of view, cut by blocks, by rows of blocks, and within one segment. */
const cases: Case[] = [
  { norm: layerNorm(), shape: [301, 300], parameters: 300 },
  { norm: layerNorm(), shape: [301, 300], parameters: 300, residual: true },
  { norm: layerNorm(), shape: [301, 300], parameters: 0 },
  { norm: layerNorm(), shape: [2003, 61], parameters: 61 },
  { norm: layerNorm(), shape: [2003, 61], parameters: 61, residual: true },
  { norm: layerNorm(), shape: [3, 50_003], parameters: 50_003 },
  { norm: layerNorm(), shape: [1, 200_001], parameters: 200_001 },
  { norm: layerNorm(), shape: [1, 200_001], parameters: 0, residual: true },
  { norm: layerNorm({ axis: [1, 2] }), shape: [2, 300, 301], parameters: 300 * 301 },
  { norm: layerNorm({ axis: 1 }), shape: [40, 33, 70], parameters: 33 },
  { norm: rmsNorm(), shape: [301, 300], parameters: 300 },
  { norm: rmsNorm(), shape: [301, 300], parameters: 300, residual: true },
  { norm: rmsNorm(), shape: [2003, 61], parameters: 61 },
  { norm: batchNorm(), shape: [40, 31, 30, 7], parameters: 7 },
  { norm: batchNorm(), shape: [40, 31, 30, 7], parameters: 7, residual: true },
  { norm: batchNorm(), shape: [40, 31, 30, 7], parameters: 7, given: 7 },
  { norm: batchNorm(), shape: [40, 31, 30, 7], parameters: 7, given: 7, residual: true },
  { norm: batchNorm(), shape: [300, 401], parameters: 401 },
  { norm: batchNorm({ axis: 1 }), shape: [16, 7, 30, 31], parameters: 7 },
  { norm: batchNorm({ axis: 1 }), shape: [16, 7, 30, 31], parameters: 7, given: 7 },
  { norm: batchNorm({ axis: 1 }), shape: [2, 5, 150, 151], parameters: 5 },
  { norm: batchNorm({ axis: 1 }), shape: [1, 3, 200, 201], parameters: 3 },
  { norm: batchNorm({ axis: 1 }), shape: [300, 61, 7], parameters: 61 },
  { norm: groupNorm({ groups: 2, axis: 1 }), shape: [4, 8, 50, 51], parameters: 8 },
  { norm: groupNorm({ groups: 2 }), shape: [2, 60, 61, 12], parameters: 12 },
  { norm: groupNorm({ groups: 1 }), shape: [1, 200, 201, 3], parameters: 3 },
  { norm: instanceNorm({ axis: 1 }), shape: [2, 3, 150, 151], parameters: 3 },
  { norm: instanceNorm(), shape: [2, 150, 151, 3], parameters: 3 },
];

/** The same with a mask: of whole rows, of positions in them, of channels; all of it, none, one of them. */
const masked: Case[] = [
  { norm: layerNorm(), shape: [7, 43, 300], parameters: 300, mask: { shape: [7, 43], padded: 3 } },
  {
    norm: layerNorm(),
    shape: [7, 43, 300],
    parameters: 300,
    residual: true,
    mask: { shape: [7, 43], random: 3 },
  },
  { norm: layerNorm(), shape: [2003, 61], parameters: 61, mask: { shape: [2003, 61], random: 3 } },
  {
    norm: layerNorm(),
    shape: [3, 50_003],
    parameters: 50_003,
    residual: true,
    mask: { shape: [3, 50_003], padded: 6 },
  },
  { norm: rmsNorm(), shape: [301, 300], parameters: 300, mask: { shape: [301], random: 9 } },
  { norm: rmsNorm(), shape: [301, 300], parameters: 0, mask: { shape: [301, 1], padded: 10 } },
  { norm: batchNorm(), shape: [40, 31, 30, 7], parameters: 7, mask: { shape: [40, 31, 30], random: 3 } },
  {
    norm: batchNorm(),
    shape: [40, 31, 30, 7],
    parameters: 7,
    residual: true,
    mask: { shape: [40, 31], padded: 4 },
  },
  {
    norm: batchNorm(),
    shape: [40, 31, 30, 7],
    parameters: 7,
    given: 7,
    mask: { shape: [40, 31, 30], padded: 3 },
  },
  { norm: batchNorm(), shape: [300, 401], parameters: 401, mask: { shape: [300, 401], random: 3 } },
  {
    norm: batchNorm(),
    shape: [300, 401],
    parameters: 401,
    residual: true,
    mask: { shape: [1, 401], padded: 3 },
  },
  { norm: batchNorm(), shape: [300, 401], parameters: 401, mask: { shape: [300], padded: 10 } },
  {
    norm: batchNorm({ axis: 1 }),
    shape: [16, 7, 30, 31],
    parameters: 7,
    mask: { shape: [16, 1, 30, 31], padded: 3 },
  },
  {
    norm: batchNorm({ axis: 1 }),
    shape: [16, 7, 30, 31],
    parameters: 7,
    residual: true,
    mask: { shape: [16, 1, 30], random: 3 },
  },
  {
    norm: batchNorm({ axis: 1 }),
    shape: [1, 3, 200, 201],
    parameters: 3,
    given: 3,
    mask: { shape: [1, 1, 200, 201], random: 3 },
  },
  {
    norm: batchNorm({ axis: 1 }),
    shape: [300, 61, 7],
    parameters: 61,
    mask: { shape: [300, 61], random: 3 },
  },
  {
    norm: groupNorm({ groups: 2, axis: 1 }),
    shape: [4, 8, 50, 51],
    parameters: 8,
    mask: { shape: [4, 1, 50, 51], padded: 3 },
  },
  {
    norm: groupNorm({ groups: 2 }),
    shape: [2, 60, 61, 12],
    parameters: 12,
    residual: true,
    mask: { shape: [2, 60, 61], padded: 3 },
  },
  {
    norm: groupNorm({ groups: 2 }),
    shape: [2, 60, 61, 12],
    parameters: 12,
    mask: { shape: [2, 60, 61, 12], random: 3 },
  },
  {
    norm: instanceNorm({ axis: 1 }),
    shape: [2, 3, 150, 151],
    parameters: 3,
    mask: { shape: [2, 1, 150, 151], random: 3 },
  },
  {
    norm: instanceNorm(),
    shape: [2, 150, 151, 3],
    parameters: 3,
    mask: { shape: [2, 150, 151], padded: 10 },
  },
];

const nameOf = ({ norm, shape, parameters, given, residual, mask }: Case) => {
  const by = mask && (mask.padded ? `padded by ${mask.padded}` : `random ${mask.random}`);
  const start = mask ? `mask ${mask.shape.join("×")} ${by}: ` : "";
  return `${start}${norm.name} ${shape.join("×")}, ${parameters} parameters${given ? ", given" : ""}${residual ? ", residual" : ""}`;
};

/** Ones and zeros of a mask. */
function maskOf({ shape, padded = 0, random: tenths = 0 }: NonNullable<Case["mask"]>) {
  const size = shape.reduce((product, length) => product * length, 1);
  const next = random(size);
  const last = shape[shape.length - 1];
  const data = Float32Array.from({ length: size }, (_, i) => {
    const isKept = padded === 10 ? i === size >> 1 : (i % last) * 10 < (10 - padded) * last;
    return isKept && next() * 10 >= tenths ? 1 : 0;
  });
  return { shape, data };
}

/** What x is drawn from; far from 0 and beyond the squares of float32, kernels take other loops. */
const sources = [
  { mean: 0.3, spread: 1 },
  { mean: 1e5, spread: 1 },
  { mean: 0, spread: 1e25 },
];

/** Everything that a forward and a backward call give. */
function results(
  ek: typeof one,
  { norm, shape, parameters, given, residual, mask }: Case,
  source = sources[0],
) {
  const size = shape.reduce((product, length) => product * length, 1);
  const values = (length: number, seed: number, mean: number, spread = 1) => {
    const data = normal(length, seed, mean, spread);
    return ek === truth ? Float64Array.from(data) : data;
  };
  const options = {
    ...(parameters > 0 && { gamma: values(parameters, 3, 1), beta: values(parameters, 4, 0) }),
    ...(given && {
      mean: values(given, 5, 0),
      variance: values(given, 6, 0).map((value) => 0.5 + value ** 2),
    }),
    // in steps of 1/64, which x + residual holds at 10⁵ too
    ...(residual && { residual: { shape, data: values(size, 7, 0).map((v) => Math.round(v * 64) / 64) } }),
  };
  const x = values(size, 1, source.mean, source.spread);
  const upstream = values(size, 2, 0);
  if (mask) {
    const ones = maskOf(mask);
    // what does not count may be anything
    const whole = { shape, data: new Float32Array(size) };
    fillMask(ones, whole);
    for (let i = 0; i < size; i++) {
      if (whole.data[i] !== 0) continue;
      upstream[i] = Number.NaN;
      // a sum with a residual is given as it is
      if (!residual) x[i] = Number.NaN;
    }
    Object.assign(options, { mask: ones });
  }
  const forward = ek.forward(norm, { shape, data: x }, options);
  const dy = { shape, data: upstream };
  const backward = residual
    ? ek.backward(forward.saved, dy, { shape, data: values(size, 8, 0) })
    : ek.backward(forward.saved, dy);
  const { y, mean, variance, sum } = forward;
  const named = { y, mean, variance, sum, ...backward };
  return new Map(Object.entries(named).flatMap(([name, array]) => (array ? [[name, array.data]] : [])));
}

describe.each([...cases, ...masked].map((each) => ({ each, name: nameOf(each) })))("$name", ({ each }) => {
  // one source for each mask in turn
  it.each(each.mask ? [sources[masked.indexOf(each) % sources.length]] : sources)(
    "is right, and the same to the last bit on any number of threads: $mean ± $spread",
    (source) => {
      const alone = results(one, each, source);
      for (const [name, expected] of results(truth, each, source)) {
        const actual = alone.get(name) as Float32Array;
        const allowed = 2e-5 * Math.max(1, largest(expected));
        let worst = 0;
        for (let i = 0; i < expected.length; i++) {
          // a variance may be beyond float32, where it is Infinity
          if (actual[i] !== Math.fround(expected[i]))
            worst = Math.max(worst, Math.abs(actual[i] - expected[i]));
        }
        expect(worst, name).toBeLessThan(allowed);
      }
      for (let round = 0; round < 3; round++) {
        for (const [name, values] of results(three, each, source)) {
          const bits = (array: ArrayLike<number>) => Buffer.from(Float32Array.from(array).buffer);
          expect(bits(values).equals(bits(alone.get(name) as Float32Array)), name).toBe(true);
        }
      }
    },
  );
});

/** Parts in whatever order, each on an instance of its own, and twice: as where a thread was lost and its part is run again. */
class Scattered {
  private readonly memory = sharedMemory() as WebAssembly.Memory;
  readonly heap = new OwnHeap(this.memory);
  readonly kernels: WasmKernels;
  private readonly others: (Parts & { between(): void; run(): void; parts(): number; hasSecond(): number })[];
  calls = 0;

  constructor(module: WebAssembly.Module) {
    this.kernels = new WasmKernels(module, this.heap);
    this.others = [1, 2].map(
      () =>
        new WebAssembly.Instance(module, { env: { memory: this.memory } })
          .exports as unknown as Scattered["others"][0],
    );
    const inner = this.kernels as unknown as { exports: object; call: number };
    const exports = inner.exports as Scattered["others"][0];
    inner.exports = { ...exports, run: () => this.run(exports, inner.call) };
  }

  private run(exports: Scattered["others"][0], call: number): void {
    if (exports.parts() > 1) this.calls++;
    const stage = (which: "first" | "second") => {
      for (const times of [2, 3]) {
        for (let part = exports.parts() - 1; part >= 0; part--) {
          const other = this.others[(part * times) % 2];
          other.begin(call);
          other[which](part);
        }
      }
    };
    stage("first");
    exports.between();
    if (exports.hasSecond()) stage("second");
  }
}

it("gives the same bits where parts run in any order, on any thread, and twice", async () => {
  const module = await normalizationModule({ shared: true });
  const scattered = new Scattered(module);
  const { Evenkeel } = await import("../../../src/native/evenkeel.js");
  const ek = new Evenkeel(scattered.kernels);
  for (const each of [...cases, ...masked]) {
    const alone = results(one, each);
    for (const [name, values] of results(ek, each)) {
      const bits = (array: ArrayLike<number>) => Buffer.from(Float32Array.from(array).buffer);
      expect(bits(values).equals(bits(alone.get(name) as Float32Array)), `${nameOf(each)} ${name}`).toBe(
        true,
      );
    }
  }
  // all but calls of one part
  expect(scattered.calls).toBeGreaterThan(cases.length + masked.length);
});

/** Where a test tells its helper threads what to do in a part, and learns what they did. */
const ARRIVED = 0;
const GATE = 1;
const TRAP = 2;

/** Kernels for helpers: a part arrives, waits at the gate, and fails where that is asked for. */
const gatedModule = () => {
  compiled ??= compileGated();
  return compiled;
};
let compiled: Promise<WebAssembly.Module> | undefined;

async function compileGated(): Promise<WebAssembly.Module> {
  const code = `
    export function begin(call: usize): f64 { return 0; }
    export function first(part: i32): void {
      atomic.add<i32>(0, 1);
      while (atomic.load<i32>(4) == 0) {}
      if (atomic.load<i32>(8) != 0) unreachable();
    }
    export function second(part: i32): void { first(part); }`;
  let binary: Uint8Array<ArrayBuffer> = new Uint8Array();
  const flags = ["--runtime=stub", "--importMemory", "--sharedMemory", "--enable=threads", "--use=abort="];
  const { error } = await asc.main(
    ["gated.ts", "--outFile=gated.wasm", "--initialMemory=1", "--maximumMemory=1", ...flags],
    {
      readFile: (name: string) => (name === "gated.ts" ? code : null),
      writeFile: (_, contents) => {
        binary = contents as Uint8Array<ArrayBuffer>;
      },
      listFiles: () => [],
    },
  );
  if (error) throw error;
  return WebAssembly.compile(binary);
}

/** A pool of its own with one helper that runs, at gated kernels. */
async function gated(ways = allWays) {
  const threads: Thread[] = [];
  const noted: Way[] = ways.map((way) => async (onEnd) => {
    const thread = await way(onEnd);
    threads.push(thread);
    return thread;
  });
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
  const words = new Int32Array(memory.buffer);
  const pool = new Pool(noted);
  const sharing = shareAlways(pool);
  const id = pool.join(words, await gatedModule(), memory, 2);
  const runs = async () => {
    for (let i = 0; i < 1000 && pool.threads(id) === 1; i++) await sleep(10);
    expect(pool.threads(id)).toBe(2);
  };
  await runs();
  /** A stage of 8 parts; gives those that the caller ran. The caller's part begins when the helper has one. */
  const share = (then: () => void) => {
    const own: number[] = [];
    words[ARRIVED] = 0;
    const first = (part: number) => {
      while (own.length === 0 && Atomics.load(words, ARRIVED) === 0) {}
      own.push(part);
      then();
    };
    pool.share(id, { begin: () => 0, first, second: first }, 0, 0, 8);
    return own;
  };
  return { pool, id, words, threads, runs, share, sharing, end: () => pool.leave(id) };
}

/** Keeps this thread waiting. */
function hold(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

it("shares a call: a helper that is held up keeps the others from nothing", async () => {
  const { words, share, end } = await gated();
  let taken = 0;
  // the helper's part ends when all others are done
  const own = share(() => {
    taken++;
    if (taken === 7) Atomics.store(words, GATE, 1);
  });
  expect(new Set(own).size).toBe(7);
  expect(own.length).toBe(7);
  end();
});

it("sleeps where a helper's part takes long, and is woken when it is done", async () => {
  const { words, share, end } = await gated();
  const waits = vi.spyOn(Atomics, "wait");
  const timer = `
    const { workerData: words, parentPort } = require("node:worker_threads");
    parentPort.on("message", () => {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
      Atomics.store(words, ${GATE}, 1);
    });`;
  const opener = new Worker(timer, { eval: true, workerData: words });
  try {
    const woken = () => waits.mock.results.some(({ value }) => value === "ok");
    // unless the part ends just before the caller falls asleep
    for (let round = 0; round < 20 && !woken(); round++) {
      words[GATE] = 0;
      let taken = 0;
      const own = share(() => {
        taken++;
        if (taken === 7) opener.postMessage("");
      });
      expect(own.length).toBe(7);
    }
    expect(woken()).toBe(true);
  } finally {
    waits.mockRestore();
    await opener.terminate();
    end();
  }
});

it("runs alone for some time of calls where sharing cost time, and shares again after that", async () => {
  const { pool, id, words, share, sharing, end } = await gated();
  sharing.mockRestore();
  // a core that another program takes: all other parts are done long before the helper's
  let taken = 0;
  share(() => {
    taken++;
    if (taken < 7) return;
    hold(20);
    Atomics.store(words, GATE, 1);
  });
  const parts = () => {
    let own = 0;
    const first = () => {
      own++;
      hold(1);
    };
    pool.share(id, { begin: () => 0, first, second: first }, 0, 0, 8);
    return own;
  };
  // time between calls is none of it
  await sleep(250);
  expect(parts()).toBe(8);
  let shared = false;
  for (let i = 0; i < 1000 && !shared; i++) shared = parts() < 8;
  expect(shared).toBe(true);
  end();
});

it("runs alone for longer each time that sharing cost time, until it has gained", () => {
  const account = accountOf(new Pool([]));
  const aloneFor = (loss: number) => {
    account.account(loss);
    return Math.round(account.alone);
  };
  expect(aloneFor(0.5)).toBe(0);
  expect(aloneFor(2.5)).toBe(20);
  expect([1, 1, 1, 1].map(aloneFor)).toEqual([20, 40, 80, 80]);
  account.account(-0.5);
  account.account(-0.5);
  expect(aloneFor(3)).toBe(20);
  // what was gained may be lost again, and a thread that died says nothing of the cores
  account.alone = 0;
  account.account(-50);
  expect([5, 5].map(aloneFor)).toEqual([0, 0]);
  account.account(-50);
  expect(aloneFor(2000)).toBe(900);
});

it("runs a part itself that a helper failed in, and the helper goes on", async () => {
  const { words, share, end, pool, id } = await gated();
  words[GATE] = 1;
  words[TRAP] = 1;
  for (let round = 0; round < 3; round++) expect(share(() => {}).sort()).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  words[TRAP] = 0;
  expect(share(() => {}).length).toBeLessThan(8);
  expect(pool.threads(id)).toBe(2);
  end();
});

it("runs a part itself that a helper died in, and starts another", async () => {
  const { words, share, end, pool, id, threads, runs } = await gated();
  const own = share(() => threads[0].terminate());
  expect(own.sort()).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  expect(pool.threads(id)).toBe(1);
  expect(pool.helps(id)).toBe(false);
  await runs();
  words[GATE] = 1;
  expect(share(() => {}).length).toBeLessThan(8);
  expect(threads.length).toBe(2);
  end();
});

it("a helper that dies between calls is known to be gone, and the next call starts another", async () => {
  const { end, pool, id, threads, runs, share, words } = await gated();
  await threads[0].terminate();
  for (let i = 0; i < 1000 && pool.threads(id) > 1; i++) await sleep(10);
  expect(pool.threads(id)).toBe(1);
  expect(threads.length).toBe(1);
  expect(pool.helps(id)).toBe(false);
  await runs();
  expect(threads.length).toBe(2);
  words[GATE] = 1;
  expect(share(() => {}).length).toBeLessThan(8);
  end();
});

it("mail that comes during a stage is read after it, and no part runs twice", async () => {
  const { pool, words, share, end } = await gated();
  const module = await gatedModule();
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
  let other = 0;
  // the helper is in a part when the mail comes
  const own = share(() => {
    other ||= pool.join(memory, module, memory, 2);
    Atomics.store(words, GATE, 1);
  });
  expect(new Set(own).size).toBe(own.length);
  expect(own.length + words[ARRIVED]).toBe(8);
  for (let i = 0; i < 1000 && pool.threads(other) === 1; i++) await sleep(10);
  expect(pool.threads(other)).toBe(2);
  pool.leave(other);
  end();
});

/**
 * A pool whose one helper takes a part with the caller's first one, and does what this code says with it: `done()` marks it
 * in the control words, and wakes nobody.
 */
async function faked(code: string) {
  let control: Int32Array = new Int32Array();
  const way: Way = () => ({
    postMessage: (mail) => {
      control = mail.control;
      Atomics.store(control, READ + mail.helper, mail.mail);
    },
    terminate: () => {},
  });
  const pool = new Pool([way]);
  shareAlways(pool);
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
  const id = pool.join(pool, await gatedModule(), memory, 2);
  expect(pool.threads(id)).toBe(2);
  const helper = `
    const { workerData: { control, part } } = require("node:worker_threads");
    const pause = (ms) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
    const awaited = () => Atomics.load(control, ${AWAITED});
    const notify = () => Atomics.notify(control, ${DONE});
    const done = () => Atomics.or(control, ${DONE}, 1 << part);
    ${code}`;
  /** A stage of 8 parts; gives those that the caller ran. */
  return async () => {
    const own: number[] = [];
    let worker: Worker | undefined;
    const first = (part: number) => {
      own.push(part);
      if (!code || worker) return;
      const ticket = Atomics.load(control, TICKET);
      expect(take(control, ticket)).toBe(true);
      worker = new Worker(helper, { eval: true, workerData: { control, part: ticket & 15 } });
    };
    pool.share(id, { begin: () => 0, first, second: first }, 0, 0, 8);
    const marked = Atomics.load(control, DONE);
    await worker?.terminate();
    pool.leave(id);
    expect(marked).toBe(255);
    expect(Atomics.load(control, AWAITED)).toBe(0);
    return own;
  };
}

it("waits for no helper that was told of a stage and took no part", async () => {
  const share = await faked("");
  const waits = vi.spyOn(Atomics, "wait");
  expect(await share()).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  expect(waits).not.toHaveBeenCalled();
  waits.mockRestore();
});

it.each([
  { what: "it is slow", code: "pause(30); done(); if (awaited()) notify();" },
  { what: "it wakes nobody", code: "while (!awaited()) {} done();" },
  {
    what: "the caller is woken too early",
    code: "for (let i = 0; i < 5; i++) { while (!awaited()) {} notify(); pause(1); } done(); notify();",
  },
  { what: "it is done before the caller waits", code: "done();" },
])("waits for a helper's part, and runs the others: $what", async ({ code }) => {
  expect(await (await faked(code))()).toEqual([0, 2, 3, 4, 5, 6, 7]);
});

it("waits awake where the calling thread may not sleep, as in a page", async () => {
  const share = await faked("pause(30); done();");
  const waits = vi.spyOn(Atomics, "wait").mockImplementation(() => {
    throw new TypeError("Atomics.wait cannot be called in this context");
  });
  expect(await share()).toEqual([0, 2, 3, 4, 5, 6, 7]);
  // to know that it may not
  expect(waits).toHaveBeenCalledTimes(1);
  waits.mockRestore();
});

it("does not fall asleep for parts that are done, and only the last one wakes", () => {
  const control = new Int32Array(new SharedArrayBuffer(WORDS * 4));
  const waits = vi.spyOn(Atomics, "wait");
  const wakes = vi.spyOn(Atomics, "notify");
  finish(control, 0);
  sleepUntil(control, 0b1, 1000);
  expect(waits).not.toHaveBeenCalled();
  // as a caller that sleeps for the parts 1 and 2
  control[AWAITED] = 0b110;
  finish(control, 1);
  expect(wakes).not.toHaveBeenCalled();
  finish(control, 2);
  expect(wakes).toHaveBeenCalledExactlyOnceWith(control, DONE);
  expect(control[DONE]).toBe(0b111);
  waits.mockRestore();
  wakes.mockRestore();
});

it("a failure of the caller's part is thrown when no helper writes any more, and the next call is shared", async () => {
  const { words, share, end } = await gated();
  let thrown = false;
  expect(() =>
    share(() => {
      if (thrown) return;
      thrown = true;
      Atomics.store(words, GATE, 1);
      throw new RangeError("the caller's");
    }),
  ).toThrow(new RangeError("the caller's"));
  expect(share(() => {}).length).toBeLessThan(8);
  end();
});

it("a kernel that traps raises on every number of threads alike, and the next call is right", async () => {
  await threadsOf(three, 3);
  const beyond = 2 ** 32 - 4096;
  for (const ek of [one, three]) {
    const { kernels } = ek as unknown as { kernels: WasmKernels };
    const view = { k1: 300, r1: 1, k2: 1, r2: 300 };
    const statistics = [0, 1].map(() => kernels.allocate(300));
    const call = { x: beyond, mean: statistics[0], variance: statistics[1], given: false, epsilon: 1e-5 };
    const views = { statistics: view, parameters: { k1: 1, r1: 300, k2: 300, r2: 1 } };
    const forward = { ...call, ...views, y: kernels.allocate(90_000) } satisfies Forward<number>;
    const backward = { ...forward, dy: beyond, dx: forward.y } satisfies Backward<number>;
    for (let round = 0; round < 3; round++) {
      const before = results(ek, cases[0]);
      expect(() => kernels.forward(forward)).toThrow(WebAssembly.RuntimeError);
      expect(() => kernels.backward(backward)).toThrow(WebAssembly.RuntimeError);
      expect(results(ek, cases[0])).toEqual(before);
    }
  }
  expect(three.threads).toBe(3);
});

it("takes the next way where a helper cannot be started, and goes on alone where there is none", async () => {
  const refused: Way = () => {
    throw new Error("denied");
  };
  const rejected: Way = async () => {
    throw new Error("denied");
  };
  const silent: Way = (onEnd) => {
    setTimeout(onEnd, 1);
    return { postMessage: () => {}, terminate: () => {} };
  };
  const { end, threads } = await gated([refused, silent, rejected, allWays[0]]);
  expect(threads.length).toBe(2);
  end();
  const alone = new Pool([refused, silent, rejected]);
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
  const id = alone.join({}, await gatedModule(), memory, 3);
  await sleep(50);
  expect(alone.threads(id)).toBe(1);
  expect(alone.helps(id)).toBe(false);
});

it("finds its threads again after they went to sleep", async () => {
  const before = results(three, cases[0]);
  await sleep(50);
  expect(results(three, cases[0])).toEqual(before);
  expect(three.threads).toBe(3);
});

/** What a program prints in a process of its own; `count()` is how many threads it started. */
async function printed(program: string): Promise<string> {
  const code = `
    import { layerNorm, open } from ${JSON.stringify(dist("index.js"))};
    const sleep = (ms) => new Promise((wake) => setTimeout(wake, ms));
    // threads that were started, and those that are alive
    let workers = 0, alive = 0;
    process.on("worker", (worker) => (workers++, alive++, worker.on("exit", () => alive--)));
    const count = () => new Promise((told) => setImmediate(() => told(workers)));
    const until = async (holds) => { for (let i = 0; i < 1000 && !holds(); i++) await sleep(10); };
    const small = { shape: [10, 300], data: new Float32Array(3000).fill(1) };
    const large = { shape: [1000, 300], data: new Float32Array(300000).fill(1) };
    ${program}`;
  const { stdout } = await run(process.execPath, ["--expose-gc", "--input-type=module", "-e", code], {
    timeout: 40_000,
  });
  return stdout;
}

it("starts threads with the first large array, says how many run, and ends them when it is closed", async () => {
  const program = `
    const ek = await open({ threads: 3 });
    ek.forward(layerNorm(), small);
    const before = [await count(), ek.threads];
    ek.forward(layerNorm(), large);
    ek.forward(layerNorm(), large);
    const started = await count();
    await until(() => ek.threads === 3);
    const during = [await count(), ek.threads];
    ek.close();
    ek.forward(layerNorm(), large);
    await until(() => alive === 0);
    console.log(...before, started, ...during, await count(), ek.threads, alive);`;
  expect(await printed(program)).toBe("0 1 2 2 3 2 1 0\n");
});

it("says 1, and does alone what workers would have done, where none can be made", async () => {
  const program = `
    const ek = await open({ threads: 2 });
    process.getBuiltinModule("node:worker_threads").Worker = class { constructor() { throw new Error("denied"); } };
    const first = ek.forward(layerNorm(), large).y.data[0];
    await sleep(100);
    console.log(first, ek.forward(layerNorm(), large).y.data[0], ek.threads);
    ek.close();`;
  expect(await printed(program)).toBe("0 0 1\n");
});

it("instances share their threads, each as many as it may have", async () => {
  const program = `
    const some = [];
    for (let i = 0; i < 40; i++) {
      const ek = await open({ threads: i % 2 ? 2 : 3 });
      ek.forward(layerNorm(), large);
      some.push(ek);
    }
    await until(() => some.every((ek, i) => ek.threads === (i % 2 ? 2 : 3)));
    const right = some.every((ek) => ek.forward(layerNorm(), large).y.data.every((value) => value === 0));
    console.log(await count(), some[38].threads, some[39].threads, right);
    for (const ek of some.slice(1)) ek.close();
    await sleep(50);
    console.log(some[0].threads, some[1].threads, alive);
    some[0].close();
    await until(() => alive === 0);
    console.log(alive);`;
  expect(await printed(program)).toBe("2 3 2 true\n3 1 2\n0\n");
});

it("an instance that is dropped, with its arrays, is closed when it is collected", async () => {
  const program = `
    const use = async () => {
      for (let i = 0; i < 10; i++) {
        const ek = await open({ threads: 2 });
        const x = ek.array([1000, 300], large.data);
        ek.forward(layerNorm(), x);
        if (i === 0) await until(() => ek.threads === 2);
      }
    };
    await use();
    const before = alive;
    await until(() => (gc(), alive === 0));
    console.log(before, alive);`;
  expect(await printed(program)).toBe("1 0\n");
});

it("ends by using, where the engine has that", async () => {
  const ek = await open({ threads: 2 });
  await threadsOf(ek, 2);
  const array = ek.array([2]);
  if (!Symbol.dispose) return;
  array[Symbol.dispose]();
  expect(array.disposed).toBe(true);
  ek[Symbol.dispose]();
  expect(ek.threads).toBe(1);
});

it.each([
  { what: "awake", wait: 0 },
  { what: "asleep", wait: 100 },
])("threads that are $what do not keep the process alive", async ({ wait }) => {
  const program = `
    const ek = await open({ threads: 2 });
    for (let i = 0; i < 20; i++) ek.forward(layerNorm(), large);
    await new Promise((done) => setTimeout(done, ${wait}));
    console.log(await count());`;
  expect(await printed(program)).toBe("1\n");
});

it("takes one thread per core, 8 at most, unless told otherwise", async () => {
  const here = await open();
  await threadsOf(here, Math.min(8, availableParallelism()));
  here.close();
  expect((await open({ threads: 1 })).threads).toBe(1);
  expect(truth.threads).toBe(1);
});

it("starts no more threads than have something to do", async () => {
  const program = `
    const ek = await open({ threads: 1e9 });
    ek.forward(layerNorm(), large);
    console.log(await count());
    ek.close();`;
  expect(await printed(program)).toBe("13\n");
});

it("says what is wrong with a number of threads", async () => {
  for (const threads of [0, -1, 1.5, Number.NaN, "2" as unknown as number]) {
    await expect(open({ threads })).rejects.toThrow(
      new RangeError(`open: threads must be an integer of at least 1, got ${threads}`),
    );
  }
});

it("in a page that is not isolated: one thread, or an error that says what is missing", async () => {
  vi.stubGlobal("crossOriginIsolated", false);
  try {
    expect((await open()).threads).toBe(1);
    await expect(open({ threads: 2 })).rejects.toThrow(
      new Error(
        "open: threads: 2 needs shared memory, which is not available here; in a page, serve it with the headers " +
          "Cross-Origin-Opener-Policy: same-origin and Cross-Origin-Embedder-Policy: require-corp, or leave threads out",
      ),
    );
  } finally {
    vi.unstubAllGlobals();
  }
});
