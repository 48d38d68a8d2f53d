/**
 * Arrays that are large enough to be shared among threads: right against float64, the same to the last bit on any number of
 * threads, and threads that come, sleep and go without holding anything up. The built package is tested: workers load
 * their own file from it.
 */
import { execFile } from "node:child_process";
import { fileURLToPath, pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { batchNorm, type FusedNorm, groupNorm, instanceNorm, layerNorm, open, rmsNorm } from "evenkeel";
import { afterAll, describe, expect, it, vi } from "vitest";
import { largest, normal } from "../../support/numerics.js";

const run = promisify(execFile);
const root = fileURLToPath(new URL("../../..", import.meta.url));
const dist = (file: string) => pathToFileURL(`${root}dist/${file}`).href;

const one = await open({ backend: "wasm", threads: 1 });
const three = await open({ backend: "wasm", threads: 3 });
const truth = await open({ backend: "reference" });

afterAll(() => three.close());

interface Case {
  norm: FusedNorm;
  shape: number[];
  /** Of gamma and beta. */
  parameters: number;
  /** Statistics come with the call. */
  given?: number;
  residual?: boolean;
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

const nameOf = ({ norm, shape, parameters, given, residual }: Case) =>
  `${norm.name} ${shape.join("×")}, ${parameters} parameters${given ? ", given" : ""}${residual ? ", residual" : ""}`;

/** What x is drawn from; far from 0 and beyond the squares of float32, kernels take other loops. */
const sources = [
  { mean: 0.3, spread: 1 },
  { mean: 1e5, spread: 1 },
  { mean: 0, spread: 1e25 },
];

/** Everything that a forward and a backward call give. */
function results(ek: typeof one, { norm, shape, parameters, given, residual }: Case, source = sources[0]) {
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
  const forward = ek.forward(norm, { shape, data: values(size, 1, source.mean, source.spread) }, options);
  const dy = { shape, data: values(size, 2, 0) };
  const backward = residual
    ? ek.backward(forward.saved, dy, { shape, data: values(size, 8, 0) })
    : ek.backward(forward.saved, dy);
  const { y, mean, variance, sum } = forward;
  const named = { y, mean, variance, sum, ...backward };
  return new Map(Object.entries(named).flatMap(([name, array]) => (array ? [[name, array.data]] : [])));
}

describe.each(cases.map((each) => ({ each, name: nameOf(each) })))("$name", ({ each }) => {
  it.each(sources)(
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

it("shares a call: a thread that is held up keeps the others from nothing", async () => {
  const { Pool, controlWords, CONTROL_BYTES } = (await import(
    dist("kernels/wasm/pool.js")
  )) as typeof import("../../../src/kernels/wasm/pool.js");
  const { normalizationModule } = (await import(
    dist("kernels/wasm/wasm.js")
  )) as typeof import("../../../src/kernels/wasm/wasm.js");
  const module = await normalizationModule({ shared: true });
  const memory = new WebAssembly.Memory({ initial: 64, maximum: 64, shared: true });
  const control = controlWords(memory, 65536);
  const pool = new Pool(module, memory, 65536, 3);
  expect(control.byteLength).toBe(CONTROL_BYTES);
  // the calling thread takes one part, and gives up its time only when all others are done
  const taken: number[] = [];
  const DONE = 32;
  const kernels = {
    begin: () => 0,
    second: () => {},
    first(part: number) {
      taken.push(part);
      const end = Date.now() + 20_000;
      while (Atomics.load(control, DONE) < 7 && Date.now() < end) Atomics.wait(control, 63, 0, 1);
    },
  };
  // a call without elements: whatever thread takes a part of it has nothing to do
  pool.share(kernels, 1024, 0, 8);
  expect(taken.length).toBe(1);
  pool.close();
});

it("finds its threads again after they went to sleep", async () => {
  const before = results(three, cases[0]);
  await new Promise((wake) => setTimeout(wake, 50));
  expect(results(three, cases[0])).toEqual(before);
});

/** What a program prints in a process of its own; `count()` is how many threads it started. */
async function printed(program: string): Promise<string> {
  const code = `
    import { layerNorm, open } from ${JSON.stringify(dist("index.js"))};
    let workers = 0;
    process.on("worker", () => workers++);
    const count = () => new Promise((told) => setImmediate(() => told(workers)));
    const small = { shape: [10, 300], data: new Float32Array(3000).fill(1) };
    const large = { shape: [1000, 300], data: new Float32Array(300000).fill(1) };
    ${program}`;
  const { stdout } = await run(process.execPath, ["--input-type=module", "-e", code], { timeout: 20_000 });
  return stdout;
}

it("starts threads with the first large array, and ends them when it is closed", async () => {
  const program = `
    const ek = await open({ threads: 3 });
    ek.forward(layerNorm(), small);
    const before = await count();
    ek.forward(layerNorm(), large);
    ek.forward(layerNorm(), large);
    const during = await count();
    ek.close();
    ek.forward(layerNorm(), large);
    console.log(before, during, await count(), ek.threads);`;
  expect(await printed(program)).toBe("0 2 2 1\n");
});

it("does alone what a worker that cannot be made would have done", async () => {
  const program = `
    const ek = await open({ threads: 2 });
    process.getBuiltinModule("node:worker_threads").Worker = class { constructor() { throw new Error("denied"); } };
    const first = ek.forward(layerNorm(), large).y.data[0];
    console.log(first, ek.forward(layerNorm(), large).y.data[0]);
    ek.close();`;
  expect(await printed(program)).toBe("0 0\n");
});

it("without WebAssembly the package loads, and takes the reference", async () => {
  const code = `
    delete globalThis.WebAssembly;
    const { layerNorm, open } = await import(${JSON.stringify(dist("index.js"))});
    const ek = await open();
    console.log(ek.backend, ek.forward(layerNorm(), { shape: [1, 2], data: Float64Array.of(1, 3) }).y.data.length);`;
  const { stdout } = await run(process.execPath, ["--input-type=module", "-e", code], { timeout: 20_000 });
  expect(stdout).toBe("reference 2\n");
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
  const { availableParallelism } = await import("node:os");
  expect((await open()).threads).toBe(Math.min(8, availableParallelism()));
  expect((await open({ threads: 1 })).threads).toBe(1);
  expect(truth.threads).toBe(1);
});

it("says what is wrong with a number of threads", async () => {
  for (const threads of [0, -1, 1.5, Number.NaN]) {
    await expect(open({ threads })).rejects.toThrow(
      new RangeError(`open: threads must be a whole number from 1 on, got ${threads}`),
    );
  }
});

it("in a page that is not isolated: one thread, or an error that says what is missing", async () => {
  vi.stubGlobal("crossOriginIsolated", false);
  try {
    expect((await open()).threads).toBe(1);
    await expect(open({ threads: 2 })).rejects.toThrow(
      "open: threads: 2 needs memory that threads share, which is not to be had here; in a page, serve it with the headers " +
        "Cross-Origin-Opener-Policy: same-origin and Cross-Origin-Embedder-Policy: require-corp, or leave threads out",
    );
  } finally {
    vi.unstubAllGlobals();
  }
});
