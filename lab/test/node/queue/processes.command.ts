/** Trials in processes of their own: the same numbers as on threads, and what becomes of those that end otherwise. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { setTimeout as wait } from "node:timers/promises";
import { fileURLToPath, pathToFileURL } from "node:url";
import { afterEach, describe, expect, test } from "vitest";
// as built, because it starts the processes next to it
import { FailureError, UsageError } from "../../../dist/errors.js";
import { digestOfModule } from "../../../dist/node/module-files.js";
import { openCache } from "../../../dist/node/queue/cache.js";
import { folderDepot } from "../../../dist/node/queue/depot.js";
import { packModule } from "../../../dist/node/queue/modules.js";
import { ChildLost, openProcesses, type Processes } from "../../../dist/node/queue/processes.js";
import { openThreads } from "../../../dist/node/threads.js";
import { digestOf, type TrialData } from "../../../src/datasets/dataset.js";
import { pack } from "../../../src/datasets/packed.js";
import type { NormName } from "../../../src/norms.js";
import type { Trial } from "../../../src/results.js";
import type { Progress, TravellingSpec } from "../../../src/trial.js";
import type { TrialWatcher } from "../../../src/trials.js";
import { pathOf, write } from "../../support/files.js";

const count = 60;
const data: TrialData = {
  task: "classification",
  metric: "accuracy",
  form: { input: { kind: "features", shape: [2] }, outputs: [2] },
  classes: ["a", "b"],
  count,
  x: Float32Array.from({ length: 2 * count }, (_, i) => (i % 6 === 5 ? Number.NaN : (i % 4) + 5)),
  scaled: Uint8Array.of(1, 1),
  y: Float32Array.from({ length: count }, (_, i) => i % 2),
  targetShape: [],
  yScale: 1,
  parts: { strata: Int32Array.from({ length: count }, (_, i) => i % 2) },
};
const digest = await digestOf(data);
const depot = folderDepot(pathOf("depot"));
await depot.put(digest, pack(data));

const spec = (norm: NormName, seed: number, epochs = 2): TravellingSpec => ({
  norm,
  seed,
  model: { kind: "mlp", depth: 2, width: 8, activation: "relu" },
  training: { epochs, batchSize: 4, learningRates: [0.1], optimizer: "adam", warmUp: 0 },
  digest,
});
/** One that would train for hours. */
const long = () => spec("layer", 1, 1e6);

let modules = 0;
/** A spec with a network of the user's own, whose module does this first. */
async function own(does: string, norm: NormName = "layer"): Promise<TravellingSpec> {
  const path = write(
    `own-${modules++}.mjs`,
    `${does}\nexport default ({ norm, inputShape, outputs, tf }) => tf.sequential({ layers: [
      tf.layers.dense({ units: 8, inputShape }), norm(), tf.layers.dense({ units: outputs, activation: "softmax" })] });\n`,
  );
  return travelled(path, norm);
}

/** A spec with the network of this module, as it comes from another machine. */
async function travelled(path: string, norm: NormName = "layer"): Promise<TravellingSpec> {
  const module = { path: "/not/on/this/machine.mjs", digest: digestOfModule(path) };
  await depot.put(module.digest, packModule(path, module.digest));
  const plain = spec(norm, 1);
  return { ...plain, model: { ...plain.model, kind: "own", module } };
}

const lines: string[] = [];
const opened: Processes[] = [];
const cacheOf = () => openCache(pathOf("cache"), depot);
function open(size: number, patience = 30): Processes {
  const processes = openProcesses(size, { cache: cacheOf(), patience, log: (line) => lines.push(line) });
  opened.push(processes);
  return processes;
}
afterEach(async () => {
  await Promise.all(opened.splice(0).map((processes) => processes.close()));
  lines.length = 0;
  expect(childrenOf(process.pid)).toEqual([]);
});

const go = new AbortController().signal;
const silent: TrialWatcher = { started() {}, progress() {} };
/** Resolves with the first progress. */
function watching(): { watcher: TrialWatcher; progress: Promise<Progress> } {
  let heard = (_: Progress) => {};
  const progress = new Promise<Progress>((resolve) => {
    heard = resolve;
  });
  return { watcher: { started() {}, progress: heard }, progress };
}

/** Processes of this kind that are alive, as the system lists them; children of `parent` where it is named. */
function childrenOf(parent?: number): number[] {
  return execFileSync("ps", ["-eo", "pid=,ppid=,stat=,args="], { encoding: "utf8" })
    .split("\n")
    .map((line) => /^\s*(\d+)\s+(\d+)\s+(\S+)\s+(.*)$/.exec(line) ?? [])
    .filter(
      ([, , ppid, stat, args]) =>
        args?.includes("trial-process") && !stat.startsWith("Z") && (!parent || Number(ppid) === parent),
    )
    .map(([, pid]) => Number(pid));
}
const isAlive = (pid: number) => childrenOf().includes(pid);

/** Without what differs from run to run. */
const numbersOf = ({ stepMs: _, epochs, ...rest }: Trial) => ({
  ...rest,
  epochs: epochs.map(({ seconds: __, ...epoch }) => epoch),
});

async function failureOf(run: Promise<unknown>): Promise<Error> {
  return run.then(
    () => {
      throw new Error("it did not fail");
    },
    (error) => error,
  );
}

test("the numbers are those of threads, to the last bit, in one process after others too", async () => {
  const specs = [spec("layer", 1), spec("batch", 2), spec("none", 3), spec("batch", 2)];
  const threads = openThreads(1);
  const processes = open(2);
  const expected: Trial[] = [];
  for (const one of specs) expected.push(await threads.run({ ...one, data }, silent, go));
  await threads.close();
  const got = await Promise.all(specs.map((one) => processes.run(one, silent, go)));
  expect(got.map(numbersOf)).toEqual(expected.map(numbersOf));
  expect(childrenOf(process.pid)).toHaveLength(2);
});

test("a network of one's own comes as a module; what it prints is logged", async () => {
  const one = await own('console.log("hello from \\x1b[31mit"); console.error("and this");');
  const trial = await open(1).run(one, silent, go);
  expect(trial.outcome).toBe("finished");
  expect(lines).toHaveLength(2);
  expect(lines.find((line) => /^process \d+: hello from \S*it$/.test(line))).not.toContain("\x1b");
  expect(lines).toContainEqual(expect.stringMatching(/^process \d+: and this$/));
});

test.each([
  [
    "mjs",
    'import * as tf from "@tensorflow/tfjs"; import { install } from "evenkeel/tfjs"; import "luxon"; import "./beside.mjs"; export default',
  ],
  ["cjs", 'const tf = require("@tensorflow/tfjs-layers"); require("./beside.cjs"); module.exports ='],
])("a module that travelled finds what the lab has, and what came with it: %s", async (ending, head) => {
  write(`beside.${ending}`, "");
  const path = write(
    `net.${ending}`,
    `${head} ({ norm, inputShape, outputs }) => tf.sequential({ layers: [
      tf.layers.dense({ units: 8, inputShape }), norm(), tf.layers.dense({ units: outputs, activation: "softmax" })] });`,
  );
  expect((await open(1).run(await travelled(path), silent, go)).outcome).toBe("finished");
});

test("what a module sends, or does with signals and random numbers, is nobody's business", async () => {
  const processes = open(1);
  const plain = await processes.run(await own(""), silent, go);
  const odd = await own(
    'for (const junk of ["x", null, { failure: 1, kind: "x" }, { trial: {} }]) process.send?.(junk); process.on("message", () => {}); Math.random();',
  );
  expect(numbersOf(await processes.run(odd, silent, go))).toEqual(numbersOf(plain));
});

test("a result of any size comes back", async () => {
  const wide = { ...spec("layer", 1, 1), keep: true };
  wide.model = { ...wide.model, width: 1200, depth: 4 };
  wide.training = { ...wide.training, batchSize: 100 };
  const { network } = await open(1).run(wide, silent, go);
  expect(network?.weights.length).toBeGreaterThan(1.5e7);
});

describe("a trial that fails by itself", () => {
  test.each([
    [
      "usage",
      'throw new Error("no such thing");',
      UsageError,
      /own-\d+\.mjs:1: it cannot be imported: no such thing/,
    ],
    ["own", "const x: number = 1;", UsageError, /it cannot be imported: SyntaxError/],
  ])("is no lost process, and says what it is: %s", async (_, does, kind, message) => {
    const processes = open(1);
    const error = await failureOf(processes.run(await own(does), silent, go));
    expect(error).toBeInstanceOf(kind);
    expect(error).not.toBeInstanceOf(ChildLost);
    expect(error.message).toMatch(message);
    expect((await processes.run(spec("layer", 1), silent, go)).outcome).toBe("finished");
  });

  test("for want of learning rates", async () => {
    const one = spec("layer", 1);
    one.training = { ...one.training, learningRates: [] };
    const error = await failureOf(open(1).run(one, silent, go));
    expect([error.constructor, error.message]).toEqual([
      Error,
      "runTrial: learningRates must hold at least one rate, got none",
    ]);
  });
});

describe("a process that is lost", () => {
  test.each([
    ["ends", "process.exit(3);", /^its process ended with exit code 3$/],
    [
      "says why it ends",
      'console.error("a\\nlast\\nwords\\nof mine"); process.exit(4);',
      /^its process ended with exit code 4: last; words; of mine$/,
    ],
    [
      "is killed",
      'process.kill(process.pid, "SIGKILL");',
      /^its process was ended by SIGKILL, by somebody or for want of memory$/,
    ],
    ["crashes", "process.abort();", /^its process was ended by SIGABRT/],
    [
      "throws later",
      'setTimeout(() => { throw new Error("later"); }); await new Promise(() => {});',
      /^its process ended with exit code \d+: .*Error: later$/,
    ],
    ["hangs up", "process.disconnect(); await new Promise(() => {});", /^its process was ended by SIGKILL/],
  ])("is named, and another takes its place: it %s", async (_, does, message) => {
    const processes = open(1);
    const error = await failureOf(processes.run(await own(does), silent, go));
    expect(error).toBeInstanceOf(ChildLost);
    expect(error.message).toMatch(message);
    expect((await processes.run(spec("layer", 1), silent, go)).outcome).toBe("finished");
  });

  test("is named though what it started goes on, and holds its streams", async () => {
    const does = `import { spawn } from "node:child_process";
      const { pid } = spawn(process.execPath, ["-e", "setTimeout(() => {}, 60_000)"], { detached: true, stdio: "inherit" });
      console.error(pid);
      process.exit(3);`;
    const processes = open(1);
    const error = await failureOf(processes.run(await own(does), silent, go));
    const [, pid] = /^its process ended with exit code 3: (\d+)$/.exec(error.message) ?? [];
    expect(pid).toBeDefined();
    process.kill(Number(pid), "SIGKILL");
    expect((await processes.run(spec("layer", 1), silent, go)).outcome).toBe("finished");
  });

  test("is named where it runs out of memory", async () => {
    const options = process.execArgv.length;
    process.execArgv.push("--max-old-space-size=100");
    try {
      const error = await failureOf(
        open(1).run(await own("const all = []; for (;;) all.push(new Array(1e5).fill({}));"), silent, go),
      );
      expect(error).toBeInstanceOf(ChildLost);
      expect(error.message).toMatch(/^its process was ended by SIGABRT: .*heap out of memory$/);
    } finally {
      process.execArgv.length = options;
    }
  });

  test.each([
    ["is busy for ever", "for (;;);"],
    ["waits for ever", "await new Promise(() => setInterval(() => {}, 10));"],
    ["is stopped", 'process.kill(process.pid, "SIGSTOP");'],
  ])("is ended when its patience is over: it %s", async (_, does) => {
    const processes = open(1, 3);
    const one = await own(does);
    const error = await failureOf(processes.run(one, silent, go));
    expect(error).toBeInstanceOf(ChildLost);
    expect(error.message).toBe("gave no sign of life for 3 s, and was ended");
    await wait(500);
    expect(childrenOf(process.pid)).toEqual([]);
    expect((await processes.run(spec("layer", 1), silent, go)).outcome).toBe("finished");
  });

  test("one that trains longer than the patience, but tells of it, goes on", async () => {
    const abort = new AbortController();
    const running = open(1, 2).run(long(), silent, abort.signal);
    setTimeout(() => abort.abort(new Error("enough")), 5000);
    expect((await failureOf(running)).message).toBe("enough");
  });

  test("with nothing to do, it is replaced", async () => {
    const processes = open(1);
    await processes.run(spec("layer", 1), silent, go);
    const [pid] = childrenOf(process.pid);
    process.kill(pid, "SIGKILL");
    while (lines.length === 0) await wait(20);
    expect(lines).toEqual([
      `process ${pid}, which had nothing to do, was ended by SIGKILL, by somebody or for want of memory; another takes its place`,
    ]);
    expect((await processes.run(spec("layer", 1), silent, go)).outcome).toBe("finished");
  });

  test("where its data are damaged, or not there", async () => {
    const file = await cacheOf().dataFile(digest);
    writeFileSync(file, pack({ ...data, yScale: 2 }));
    const processes = open(1);
    const error = await failureOf(processes.run(spec("layer", 1), silent, go));
    expect(error).toBeInstanceOf(ChildLost);
    expect(error.message).toMatch(/^the data in the cache are damaged/);
    // the next attempt
    expect((await processes.run(spec("layer", 1), silent, go)).outcome).toBe("finished");
    const absent = await failureOf(open(1).run({ ...spec("layer", 1), digest: "ab".repeat(32) }, silent, go));
    expect(absent).toBeInstanceOf(ChildLost);
    expect(absent.message).toMatch(/^the data of this trial \(abababababab…\) is not there any more/);
    expect(absent.cause).toBeInstanceOf(FailureError);
  });
});

describe("what is aborted", () => {
  test("ends at once, and its process with it, however busy", async () => {
    const processes = open(2);
    const abort = new AbortController();
    const { watcher, progress } = watching();
    const training = failureOf(processes.run(long(), watcher, abort.signal));
    const busy = failureOf(processes.run(await own("for (;;);"), silent, abort.signal));
    expect(await progress).toMatchObject({ done: expect.any(Number), epoch: expect.any(Number) });
    abort.abort("cancelled");
    expect([await training, await busy]).toEqual(["cancelled", "cancelled"]);
    await wait(500);
    expect(childrenOf(process.pid)).toEqual([]);
  });

  test("before it begins, or while it waits for its turn, takes nobody's place", async () => {
    const processes = open(1);
    const [first, second] = [new AbortController(), new AbortController()];
    const { watcher, progress } = watching();
    const running = failureOf(processes.run(long(), watcher, first.signal));
    let started = false;
    const queued = failureOf(
      processes.run(spec("layer", 1), { started: () => (started = true), progress() {} }, second.signal),
    );
    await progress;
    second.abort("no more");
    expect(await queued).toBe("no more");
    expect(started).toBe(false);
    const next = processes.run(spec("layer", 1), silent, go);
    first.abort("enough");
    expect(await running).toBe("enough");
    expect((await next).outcome).toBe("finished");
    expect(await failureOf(processes.run(spec("layer", 1), silent, second.signal))).toBe("no more");
  });

  test("by closing: what runs and what waits ends, and no process is left", async () => {
    const processes = open(1);
    const { watcher, progress } = watching();
    const all = [long(), long()].map((one) => failureOf(processes.run(one, watcher, go)));
    await progress;
    await processes.close();
    for (const error of await Promise.all(all))
      expect(error.message).toBe("the processes of trials were closed");
    expect(childrenOf(process.pid)).toEqual([]);
    await expect(processes.run(spec("layer", 1), silent, go)).rejects.toThrow("were closed");
  });
});

describe("processes end with the one that started them", () => {
  const at = (file: string) =>
    pathToFileURL(fileURLToPath(new URL(`../../../dist/${file}`, import.meta.url))).href;
  /** A process that runs a trial in a process of its own. */
  async function parentOf(one: TravellingSpec): Promise<{ parent: ChildProcess; child: number }> {
    const program = `
      import { openCache } from ${JSON.stringify(at("node/queue/cache.js"))};
      import { folderDepot } from ${JSON.stringify(at("node/queue/depot.js"))};
      import { openProcesses } from ${JSON.stringify(at("node/queue/processes.js"))};
      const cache = openCache(${JSON.stringify(pathOf("cache"))}, folderDepot(${JSON.stringify(pathOf("depot"))}));
      const processes = openProcesses(1, { cache, patience: 600, log: console.log });
      await processes.run(${JSON.stringify(one)}, { started() {}, progress: () => console.log("it trains") }, new AbortController().signal);`;
    const parent = spawn(process.execPath, [write("parent.mjs", program)], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    await new Promise((resolve) => parent.stdout.once("data", resolve));
    const [child] = childrenOf(parent.pid);
    expect(child).toBeGreaterThan(0);
    return { parent, child };
  }

  test.each([
    ["that trains", async () => long()],
    ["that is busy for ever", () => own('console.log("it hangs"); for (;;);')],
  ])("by SIGKILL: one %s", async (_, make) => {
    const { parent, child } = await parentOf(await make());
    parent.kill("SIGKILL");
    const began = performance.now();
    while (isAlive(child) && performance.now() - began < 20_000) await wait(50);
    expect(isAlive(child)).toBe(false);
  });

  test("and not by the Ctrl-C that a terminal sends to all of them", async () => {
    const { parent, child } = await parentOf(long());
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.kill(child, signal);
    await wait(300);
    expect(isAlive(child)).toBe(true);
    parent.kill("SIGKILL");
    while (isAlive(child)) await wait(50);
  });
});
