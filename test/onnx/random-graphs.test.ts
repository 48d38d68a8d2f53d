/**
 * Random networks around normalizations: what is found in them, what they give in onnxruntime before mending and after, and what comes of
 * them when they are damaged.
 *
 * FUZZ=100000 npx vitest run --project fast test/onnx/random-graphs    damages networks so often, and mends a tenth as many
 */
import { expect, it } from "vitest";
import { CheckpointError } from "../../src/checkpoints/errors.js";
import { find } from "../../src/checkpoints/graphs/find.js";
import { mendsOf } from "../../src/onnx/mends.js";
import { openModel } from "../../src/onnx/model.js";
import { written } from "../../src/onnx/write.js";
import { mutated, random } from "../checkpoints/support/fuzz.js";
import { randomGraph } from "../support/random-graphs.js";
import { check, emptyReport, told, WAYS } from "./random-graphs.js";
import { bytesIn } from "./support.js";

const FUZZ = Number(process.env.FUZZ ?? 0);
const GRAPHS = Math.ceil(FUZZ / 10) || 40;
const DAMAGED = FUZZ || 250;
/** The first that is generated. */
const FROM = Number(process.env.SEED ?? 0);
const MOST_MS = 2000;
const MOST_BYTES = 500e6;

it(
  `random networks: ${GRAPHS} of them, found and mended`,
  async () => {
    const report = emptyReport();
    for (let i = 0; i < GRAPHS; i++) await check(FROM + i, [WAYS[i % WAYS.length]], report);
    if (FUZZ > 0) console.log(told(report));
    expect(report.wrong).toEqual([]);
    expect(report.missed).toBeLessThan(0.03 * report.sites);
    expect(report.refused.length).toBeLessThanOrEqual(0.01 * GRAPHS);
    expect(report.compared).toBeGreaterThan(GRAPHS / 4);
  },
  Math.max(60_000, GRAPHS * 1000),
);

it(
  `random networks: ${DAMAGED} damaged files are read, mended and written, or refused`,
  async () => {
    const next = random(16);
    let slowest = [0, ""] as [number, string];
    const before = process.memoryUsage().rss;
    let most = before;
    for (let i = 0; i < DAMAGED; i++) {
      const seed = FROM + Math.floor(next() * 1000);
      const damaged = mutated(randomGraph(seed).bytes, next);
      const start = performance.now();
      await mendedOrRefused(damaged).catch((error) => {
        throw new Error(`mutation ${i}, of seed ${seed}`, { cause: error });
      });
      const took = performance.now() - start;
      if (took > slowest[0]) slowest = [took, `mutation ${i}, of seed ${seed}`];
      most = Math.max(most, process.memoryUsage().rss);
    }
    expect(slowest[0], slowest[1]).toBeLessThan(MOST_MS);
    expect(most - before).toBeLessThan(MOST_BYTES);
  },
  Math.max(60_000, DAMAGED * 100),
);

async function mendedOrRefused(bytes: Uint8Array): Promise<void> {
  try {
    const model = await openModel(bytes);
    const all = [];
    for (const graph of model.graphs) all.push(await find(graph));
    const found = {
      norms: all.flatMap(({ norms }) => norms),
      activations: all.flatMap(({ activations }) => activations),
    };
    for (const way of WAYS) {
      const { files } = await written(model, { mends: await mendsOf(model, found, way) });
      for (const file of files) await bytesIn(file);
    }
  } catch (error) {
    const isRefusal =
      error instanceof CheckpointError ||
      error instanceof RangeError ||
      (error as Error).constructor === TypeError;
    // a fault of the program is a TypeError too, but has nothing to say to its user
    if (
      !isRefusal ||
      /undefined|not a function|not iterable|null|Maximum call stack/.test((error as Error).message)
    )
      throw error;
  }
}
