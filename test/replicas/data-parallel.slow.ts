/** K replicas in threads, each with a part of every batch, train as one model with the whole of it. */
import { Worker } from "node:worker_threads";
import { describe, expect, it } from "vitest";
import { sharedMemory } from "../../src/replicas/index.js";

interface Trained {
  /** [steps][weights][values] */
  weights: number[][][];
  results: number[][];
  names: string[];
  left: number;
  merged?: string[];
  message?: string;
}

interface Run {
  kind: string;
  norm: string;
  sizes: number[];
  steps?: number;
  rate?: number;
  optimizer?: string;
  backend?: string;
  groups?: number[][];
  compareEvery?: number;
  tamper?: number;
  fit?: object;
}

function trained(data: object): Promise<Trained> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL("support/replica.mjs", import.meta.url), { workerData: data });
    worker.on("message", (message: Trained | { step: number }) => {
      if ("step" in message) return;
      resolve(message);
      worker.terminate();
    });
    worker.on("error", reject);
  });
}

async function run({ steps = 6, rate = 0.05, backend = "wasm", ...settings }: Run) {
  const common = { steps, rate, backend, ...settings };
  const replicas = settings.sizes.length;
  const memory = sharedMemory({ replicas });
  const all = await Promise.all(
    settings.sizes.map((_, rank) => trained({ ...common, memory, rank, replicas })),
  );
  return { all, whole: () => trained({ ...common, rank: 0 }) };
}

/**
 * Float32 has 2⁻²⁴ of relative error. What the whole batch sums in one order, replicas sum in parts: each step's gradients differ by some
 * of these, which later steps carry on. Of each weight's largest value (at least 0.01, since biases begin at 0): after the first step, after
 * six, and after 60.
 */
const BOUNDS = { first: 2e-6, last: 3e-6, long: 1e-5 };

const largestOf = (values: readonly number[]) => Math.max(...values.map(Math.abs), 0.01);

function distanceOf(a: readonly number[][], b: readonly number[][]): { most: number; at: number } {
  let most = 0;
  let at = -1;
  for (const [i, values] of a.entries()) {
    const largest = largestOf(b[i]);
    for (const [j, value] of values.entries()) {
      const distance = Math.abs(value - b[i][j]) / largest;
      // NaN too
      if (!(distance <= most)) [most, at] = [distance, i];
    }
  }
  return { most, at };
}

describe.each([
  { kind: "conv", norm: "batch", sizes: [4, 4] },
  { kind: "conv", norm: "batch", sizes: [5, 2, 1] },
  { kind: "conv", norm: "built-in", sizes: [3, 6] },
  { kind: "conv", norm: "renorm", sizes: [5, 3] },
  { kind: "conv", norm: "layer", sizes: [2, 5] },
  { kind: "mlp", norm: "batch", sizes: [7, 5], backend: "cpu" },
  { kind: "mlp", norm: "unbiased", sizes: [4, 3, 9] },
  { kind: "mlp", norm: "epoch", sizes: [6, 10] },
  { kind: "mlp", norm: "renorm", sizes: [8, 3, 4] },
  { kind: "mlp", norm: "mean only", sizes: [4, 5] },
  { kind: "mlp", norm: "iter", sizes: [9, 12] },
  { kind: "conv", norm: "batch layer", sizes: [5, 3] },
  { kind: "conv", norm: "evo", sizes: [5, 3] },
  { kind: "conv", norm: "switchable", sizes: [5, 3] },
  { kind: "conv", norm: "act", sizes: [5, 3] },
  { kind: "sequence", norm: "masked", sizes: [6, 3] },
  { kind: "sequence", norm: "masked", sizes: [2, 3, 7] },
] satisfies Run[])("$kind with $norm over $sizes", (settings) => {
  it("outputs, gradients and running statistics are those of the whole batch", async () => {
    const { all, whole } = await run(settings);
    expect(all.map(({ message }) => message)).toEqual(settings.sizes.map(() => undefined));
    const one = await whole();
    const [first] = all;
    // bit by bit the same in every replica, after every step
    for (const other of all.slice(1)) {
      expect(other.weights).toEqual(first.weights);
      expect(other.results).toEqual(first.results);
    }
    const early = distanceOf(first.weights[0], one.weights[0]);
    expect(early.most, `after the first step, ${one.names[early.at]}`).toBeLessThan(BOUNDS.first);
    const late = distanceOf(first.weights[5], one.weights[5]);
    expect(late.most, `after all, ${one.names[late.at]}`).toBeLessThan(BOUNDS.last);
    // the loss of the whole batch, and its accuracy
    expect(distanceOf(first.results, one.results).most).toBeLessThan(BOUNDS.last);
    // the data do move the weights
    expect(distanceOf(one.weights[0], one.weights[5]).most).toBeGreaterThan(0.01);
    expect(all.map(({ left }) => left)).toEqual(settings.sizes.map(() => 0));
  });
});

it.each([
  { optimizer: "sgd", rate: 0.05, norm: "batch" },
  { optimizer: "momentum", rate: 0.02, norm: "epoch" },
  { optimizer: "adam", rate: 0.01, norm: "batch" },
  { optimizer: "adam", rate: 0.01, norm: "renorm" },
  { optimizer: "rmsprop", rate: 0.005, norm: "layer" },
])(
  "$optimizer with $norm stays by the whole batch in 60 steps, one replica with a single example",
  async (how) => {
    const { all, whole } = await run({ kind: "mlp", sizes: [6, 1, 3], steps: 60, compareEvery: 10, ...how });
    expect(all.map(({ message }) => message)).toEqual([undefined, undefined, undefined]);
    const one = await whole();
    const { most, at } = distanceOf(all[0].weights[59], one.weights[59]);
    expect(most, one.names[at]).toBeLessThan(BOUNDS.long);
    expect(distanceOf(one.weights[0], one.weights[59]).most).toBeGreaterThan(0.1);
  },
);

it("without synchronized statistics it would not be", async () => {
  const { all, whole } = await run({
    kind: "conv",
    norm: "batch",
    sizes: [4, 4],
    groups: [[0], [1]],
  });
  const one = await whole();
  expect(distanceOf(all[0].weights[0], one.weights[0]).most).toBeGreaterThan(100 * BOUNDS.first);
});

it("groups have statistics of their own, and gradients in common", async () => {
  const groups = [[0, 2], [1]];
  const { all } = await run({ kind: "mlp", norm: "batch", sizes: [4, 4, 3], groups, compareEvery: 2 });
  expect(all.map(({ message }) => message)).toEqual([undefined, undefined, undefined]);
  const [first, second, third] = all.map(({ weights }) => weights[5]);
  expect(third).toEqual(first);
  const differing = first.flatMap((values, i) =>
    values.some((value, j) => value !== second[i][j]) ? [all[0].names[i]] : [],
  );
  expect(new Set(differing)).toEqual(new Set(["moving_mean", "moving_variance"]));
});

it("fit shares out every batch, in the same order, the last and shorter one too", async () => {
  // 17 examples in batches of 7: 7, 7 and 3, of which three replicas take one each
  const fit = { epochs: 3, batchSize: 7, seed: 4 };
  const settings = { kind: "mlp", norm: "batch", steps: 0, fit };
  const { all } = await run({ ...settings, sizes: [6, 6, 5] });
  const { all: whole } = await run({ ...settings, sizes: [17] });
  expect(all.map(({ message }) => message)).toEqual([undefined, undefined, undefined]);
  for (const other of all.slice(1)) expect(other.weights).toEqual(all[0].weights);
  expect(distanceOf(all[0].weights[0], whole[0].weights[0]).most).toBeLessThan(BOUNDS.last);
  expect(distanceOf(all[0].results, whole[0].results).most).toBeLessThan(BOUNDS.last);
});

it("dropout draws in each replica by itself, and weights stay the same", async () => {
  const { all } = await run({ kind: "mlp", norm: "dropout", sizes: [4, 4], compareEvery: 1 });
  expect(all.map(({ message }) => message)).toEqual([undefined, undefined]);
  expect(all[0].weights).toEqual(all[1].weights);
});

it("a weight that is changed in one replica is found, and named in all", async () => {
  const { all } = await run({ kind: "mlp", norm: "batch", sizes: [4, 4], tamper: 2, compareEvery: 2 });
  expect(all.map(({ message }) => message)).toEqual(
    [0, 1].map(() =>
      expect.stringMatching(
        /^replicaOf: dense_Dense3\/bias differs between replica 0 and replica 1 after step 4; /,
      ),
    ),
  );
});
