// @ts-check
/**
 * `npm run bench`: TensorFlow.js's wasm backend with Evenkeel, beside the same as shipped and beside a plain copy of the
 * same bytes. One run; contestants take turns, each validated against float64 before it is timed.
 */
import { once } from "node:events";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { Worker } from "node:worker_threads";
import Table from "cli-table3";

/** Rows × features. */
const shapes = [
  [32, 768],
  [512, 768],
  [4096, 1024],
];
/** Milliseconds that a turn of a fast task takes at least, so that the clock's grain does not show. */
const TURN_MS = 2;

/** @param {string} name @param {boolean} evenkeel */
async function contestant(name, evenkeel) {
  const worker = new Worker(new URL("./contestant.mjs", import.meta.url), {
    workerData: { name, evenkeel, shapes },
  });
  // rejects where the worker fails
  const message = async () => (await once(worker, "message"))[0];
  await message();
  return {
    name,
    /** @param {string} task @param {number} times @returns {Promise<{ ms: number, result: unknown }>} */
    run(task, times) {
      const answer = message();
      worker.postMessage({ task, times });
      return answer;
    },
    stop: () => worker.terminate(),
  };
}

/** @param {number[]} values @param {number} share */
const quantile = (values, share) =>
  [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(share * values.length))];

process.stderr.write("validating ...\n");
const [ours, shipped] = [await contestant("evenkeel", true), await contestant("as shipped", false)];

/**
 * Turns of each pair, one after the other; medians in milliseconds.
 * @param {[{ name: string, run: typeof ours.run }, string][]} pairs @param {number} turns
 */
async function interleave(pairs, turns) {
  const times = [];
  for (const [one, task] of pairs) {
    await one.run(task, 1);
    const { ms } = await one.run(task, 1);
    times.push(Math.max(1, Math.ceil(TURN_MS / ms)));
  }
  /** @type {number[][]} */
  const measured = pairs.map(() => []);
  for (let turn = 0; turn < turns; turn++) {
    for (const [i, [one, task]] of pairs.entries()) measured[i].push((await one.run(task, times[i])).ms);
  }
  return measured.map((ms) => ({
    median: quantile(ms, 0.5),
    p20: quantile(ms, 0.2),
    p80: quantile(ms, 0.8),
  }));
}

const results = [];
for (const [rows, features] of shapes) {
  const shape = `${rows}x${features}`;
  process.stderr.write(`timing layer normalization ${shape} ...\n`);
  const copies = { forward: 1, both: 2.5 };
  // as shipped, the backward pass of the largest shape takes half a minute
  for (const pass of /** @type {const} */ (rows > 1000 ? ["forward"] : ["forward", "both"])) {
    const [mine, theirs, copy] = await interleave(
      [
        [ours, `${shape} ${pass}`],
        [shipped, `${shape} ${pass}`],
        [ours, `${shape} copy`],
      ],
      rows > 1000 ? 11 : 31,
    );
    // forward reads x and writes y, a copy of x; the backward pass reads x and dy and writes dx, half a copy more
    const memcpy = copy.median * copies[pass];
    const bytes = rows * features * 8 * copies[pass];
    results.push({
      name: `LayerNorm ${pass === "both" ? "forward + backward" : pass}`,
      shape: [rows, features],
      evenkeel: mine,
      shipped: theirs,
      memcpy,
      gigabytesPerSecond: bytes / mine.median / 1e6,
    });
  }
}
process.stderr.write("timing a transformer training step ...\n");
const losses = [await ours.run("transformer step", 1), await shipped.run("transformer step", 1)].map(
  ({ result }) => Number(result),
);
if (Math.abs(losses[0] - losses[1]) > 1e-3 * losses[1])
  throw new Error(`transformer: losses ${losses} differ: not timed`);
const [mine, theirs] = await interleave(
  [
    [ours, "transformer step"],
    [shipped, "transformer step"],
  ],
  9,
);
results.push({ name: "transformer training step", shape: [16, 64, 128], evenkeel: mine, shipped: theirs });
await Promise.all([ours.stop(), shipped.stop()]);

const ms = (/** @type {number} */ value) =>
  value < 1 ? value.toFixed(3) : value < 10 ? value.toFixed(2) : value.toFixed(1);
const table = new Table({
  head: ["", "shape", "evenkeel\nms", "as shipped\nms", "times\nfaster", "times\nmemcpy", "GB/s"],
  colAligns: ["left", "left", "right", "right", "right", "right", "right"],
  style: { head: [], border: [], compact: true },
});
for (const { name, shape, evenkeel, shipped: other, memcpy, gigabytesPerSecond } of results) {
  table.push([
    name.replace("LayerNorm forward + backward", "LayerNorm both"),
    shape.join("×"),
    ms(evenkeel.median),
    ms(other.median),
    (other.median / evenkeel.median).toFixed(1),
    memcpy ? (evenkeel.median / memcpy).toFixed(2) : "",
    gigabytesPerSecond ? gigabytesPerSecond.toFixed(1) : "",
  ]);
}
const machine = { processor: cpus()[0]?.model.trim(), cores: cpus().length, node: process.versions.node };
process.stdout.write(
  `${table}\nTensorFlow.js 4.22.0, wasm backend, one thread; ${machine.processor}, Node ${machine.node}; medians of one interleaved run\n`,
);
const folder = new URL("./results/", import.meta.url);
mkdirSync(folder, { recursive: true });
writeFileSync(
  new URL("tfjs.json", folder),
  `${JSON.stringify({ date: new Date().toISOString(), machine, results }, null, 1)}\n`,
);

// the README quotes the last run
const readme = new URL("../README.md", import.meta.url);
const rows = results.map(({ name, shape, evenkeel, shipped: other, memcpy }) => {
  const ratio = memcpy ? `${(evenkeel.median / memcpy).toFixed(1)}×` : "–";
  return `| ${name} | ${shape.join("×")} | ${ms(evenkeel.median)} | ${ms(other.median)} | ${(other.median / evenkeel.median).toFixed(0)}× | ${ratio} |`;
});
const section = `<!-- bench -->
On the wasm backend, one thread (${machine.processor}, Node ${machine.node}; medians of one interleaved run of \`npm run bench\`, normalizations validated
against float64 first, the training step against the shipped one's loss; "memcpy" is a plain copy of the same bytes):

| | shape | Evenkeel, ms | TensorFlow.js 4.22 as shipped, ms | faster | time of memcpy |
|---|---|--:|--:|--:|--:|
${rows.join("\n")}
<!-- /bench -->`;
writeFileSync(readme, readFileSync(readme, "utf8").replace(/<!-- bench -->.*<!-- \/bench -->/s, section));
