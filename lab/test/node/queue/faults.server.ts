/**
 * Sweeps whose workers, commander, service or network fail on the way: every trial's result is there once, the numbers are those
 * of threads without a queue, and a log names the fault. On Redis, and what is special to it on PostgreSQL;
 * EVENKEEL_LONG=1 meets every fault on both.
 */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import pg from "pg";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { openBroker } from "../../../src/node/queue/broker.js";
import { evenkeel, type Started, start } from "../../support/evenkeel.js";
import { startProxy } from "../../support/proxy.js";
import { type Server, startPostgres, startRedis } from "../../support/servers.js";

const workplace = mkdtempSync(join(tmpdir(), "evenkeel-faults-"));
afterAll(() => rmSync(workplace, { recursive: true, force: true }));
const pathOf = (...names: string[]) => join(workplace, ...names);

const TRIALS = 60;
const SWEEP = `compare --data digits --limit 150 --model cnn --depth 2 --width 4 --epochs 2 --no-tune
  --norms none,layer,rms,batch,group,instance --seeds 10`.split(/\s+/);
/** s; a trial takes a fraction of one. */
const LEASE = 4;

interface Running extends Started {
  name: string;
  /** What it wrote to standard error so far. */
  log(): string;
}

/** Of the test that runs. */
let processes: Running[] = [];

function begin(name: string, ...line: string[]): Running {
  const started = start(workplace, ...line);
  let text = "";
  started.child.stderr.on("data", (more: string) => {
    text += more;
  });
  const running = { ...started, name, log: () => text };
  processes.push(running);
  return running;
}

beforeEach(({ onTestFailed }) => {
  const here: Running[] = [];
  processes = here;
  onTestFailed(() => {
    for (const { name, log } of here) console.error(`--- ${name}\n${log()}`);
  });
});

afterEach(async () => {
  for (const { child } of processes) {
    child.kill("SIGCONT");
    child.kill("SIGKILL");
  }
  await Promise.all(processes.map(({ ended }) => ended));
});

let places = 0;
const command = (out: string, url: string, ...more: string[]): Running =>
  begin(`compare ${out}`, ...SWEEP, "--queue", url, "--out", out, ...more);

/** @param patience s; a process begins slowly where cores are few */
function worker(url: string, { share, patience = 60 }: { share?: string; patience?: number } = {}): Running {
  const name = `worker-${places}-${processes.length}`;
  const options = Object.entries({ threads: 1, lease: LEASE, patience, cache: pathOf(name), share });
  const given = options.flatMap(([option, value]) =>
    value === undefined ? [] : [`--${option}`, `${value}`],
  );
  return begin(name, "worker", "--queue", url, ...given);
}

const crew = (url: string): Running[] => [worker(url), worker(url), worker(url)];

const numberOf = (count: number, all = TRIALS) => new RegExp(`\\(${count} of ${all}\\)`);

const keptIn = (out: string) => readdirSync(pathOf(out, "trials")).sort();

/** All numbers of a comparison but when, where and how fast. */
function numbersOf(out: string): unknown {
  const timed = ["date", "command", "machine", "wallSeconds", "stepMs", "seconds"];
  return JSON.parse(readFileSync(pathOf(out, "comparison.json"), "utf8"), (name, value) =>
    timed.includes(name) ? undefined : value,
  );
}

function checkWhole(out: string, than = "alone"): void {
  expect(keptIn(out)).toEqual(keptIn(than));
  expect(numbersOf(out)).toEqual(numbersOf(than));
}

const matches = (text: string, pattern: RegExp): string[] =>
  Array.from(text.matchAll(pattern), ([, found]) => found);

/** The trials that these workers began, in order. */
const startedBy = (workers: Running[]): string[] =>
  workers.flatMap(({ log }) => matches(log(), /^\S+ (.+ seed \d+) started$/gm)).sort();

const finishedBy = (workers: Running[]): string[] =>
  workers.flatMap(({ log }) => matches(log(), /^\S+ (.+ seed \d+) [✓✗] /gm)).sort();

/** The trial that a worker has right now. */
function heldBy({ log }: Running): string | undefined {
  const [last] = matches(log(), /^\S+ (.+ seed \d+) (?:started|[✓✗] .*|ended: .*)$/gm).slice(-1);
  return log().trimEnd().endsWith(" started") ? last : undefined;
}

/** Stops a worker in the midst of a trial, which it returns: what holds it up says nothing, as a machine that hangs. */
async function hang(worker: Running): Promise<string> {
  while (true) {
    while (heldBy(worker) === undefined) await wait(5);
    worker.child.kill("SIGSTOP");
    // what it wrote before
    await wait(100);
    const held = heldBy(worker);
    if (held !== undefined) return held;
    worker.child.kill("SIGCONT");
  }
}

const childrenOf = ({ child }: Running): number[] =>
  readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, "utf8")
    .split(" ")
    .filter(Boolean)
    .map(Number);

const isThere = (pid: number): boolean => existsSync(`/proc/${pid}`);

/** Ends a worker as its user does. */
async function stopped(worker: Running): Promise<number> {
  worker.child.kill("SIGINT");
  const { code, stderr } = await worker.ended;
  expect(code).toBe(130);
  return Number(/stopped after (\d+) trials?\n$/.exec(stderr)?.[1]);
}

beforeAll(async () => {
  expect((await evenkeel(workplace, ...SWEEP, "--out", "alone")).code).toBe(0);
  expect(keptIn("alone")).toHaveLength(TRIALS);
});

interface Service {
  name: "redis" | "postgres";
  open(): Promise<Server>;
  /** An empty queue of its own. */
  place(server: Server): Promise<string>;
}

const redis: Service = {
  name: "redis",
  open: () => startRedis({ appendOnly: true }),
  place: async ({ url }) => `${url}/${places++ % 16}`,
};

const postgres: Service = {
  name: "postgres",
  open: () => startPostgres(),
  async place({ url }) {
    const name = `place${places++}`;
    const client = new pg.Client(url);
    await client.connect();
    await client.query(`CREATE DATABASE ${name}`);
    await client.end();
    return url.replace(/postgres$/, name);
  },
};

describe.each(process.env.EVENKEEL_LONG === "1" ? [redis, postgres] : [redis])("$name", (service) => {
  let server: Server;
  let url: string;
  beforeAll(async () => {
    server = await service.open();
  });
  beforeEach(async () => {
    url = await service.place(server);
  });
  const out = (name: string) => `${service.name}-${name}`;

  test("no fault: who has no worker is told how to start one; those that come late share the rest", async () => {
    const commander = command(out("whole"), url);
    await commander.said(/No worker is at the queue; run on this or any machine:/);
    const workers = [worker(url)];
    await commander.said(numberOf(5));
    workers.push(worker(url), worker(url));
    expect((await commander.ended).code).toBe(0);
    checkWhole(out("whole"));
    const started = startedBy(workers);
    expect(new Set(started).size).toBe(TRIALS);
    expect(started).toHaveLength(TRIALS);
    const counts = await Promise.all(workers.map(stopped));
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(TRIALS);
    expect(Math.min(...counts)).toBeGreaterThan(0);
  });

  test("kill -9 of a worker amid a trial", async () => {
    const workers = crew(url);
    const commander = command(out("worker"), url);
    await commander.said(numberOf(8));
    const held = await hang(workers[0]);
    const orphans = childrenOf(workers[0]);
    expect(orphans.length).toBeGreaterThan(0);
    workers[0].child.kill("SIGKILL");
    expect((await commander.ended).code).toBe(0);
    expect(commander.log()).toContain(
      `${held}: its worker gave no sign of life any more; it goes to another\n`,
    );
    expect(finishedBy(workers.slice(1))).toContain(held);
    checkWhole(out("worker"));
    expect(orphans.filter(isThere)).toEqual([]);
  });

  test("kill -9 of the service amid the sweep, and a restart", async () => {
    const workers = crew(url);
    const commander = command(out("service"), url);
    await commander.said(numberOf(10));
    await server.kill();
    await wait(1500);
    await server.restart();
    expect((await commander.ended).code).toBe(0);
    checkWhole(out("service"));
    for (const { log } of [commander, ...workers]) {
      expect(log()).toMatch(/ does not answer \(.+\); trying again until it does\n/);
      expect(log()).toMatch(/ answers again, after \d+ s\n/);
      expect(log()).not.toMatch(/^\s+at /m);
    }
    for (const each of workers) await stopped(each);
  });

  test("kill -9 of the commander: its workers go on, and --resume takes what they have done", async () => {
    const workers = crew(url);
    const first = command(out("commander"), url);
    await first.said(numberOf(10));
    first.child.kill("SIGKILL");
    await first.ended;
    await expect.poll(() => finishedBy(workers).length, { timeout: 60_000 }).toBe(TRIALS);
    const resumed = begin("resumed", "compare", "--resume", out("commander"), "--queue", url);
    expect((await resumed.ended).code).toBe(0);
    checkWhole(out("commander"));
    const started = startedBy(workers);
    expect([started.length, new Set(started).size]).toEqual([TRIALS, TRIALS]);
  });

  test("a worker that hangs past its lease, and comes back: its late result counts for nothing", async () => {
    const workers = crew(url);
    const commander = command(out("hangs"), url);
    await commander.said(numberOf(5));
    const held = await hang(workers[0]);
    await commander.said(new RegExp(`${held}: its worker gave no sign of life any more`));
    await expect.poll(() => finishedBy(workers.slice(1)), { timeout: 30_000 }).toContain(held);
    workers[0].child.kill("SIGCONT");
    await workers[0].said(/its lease ran out|not in the active state|Missing lock|could not renew/);
    expect((await commander.ended).code).toBe(0);
    checkWhole(out("hangs"));
    await stopped(workers[0]);
  });

  test("a network that is cut for a worker and for the commander, silently", async () => {
    const [near, far] = [await startProxy(url), await startProxy(url)];
    const workers = [worker(far.through(url)), worker(url)];
    const commander = command(out("cut"), near.through(url));
    await commander.said(numberOf(8));
    near.drop();
    far.drop();
    await wait(3000);
    near.pass();
    far.pass();
    expect((await commander.ended).code).toBe(0);
    checkWhole(out("cut"));
    expect(commander.log()).toMatch(/ does not answer \(.+\); trying again until it does\n/);
    await workers[0].said(/ does not answer \(.+\); trying again until it does\n/);
    await workers[0].said(/ answers again, after \d+ s\n/);
    // it is of use again
    await stopped(workers[1]);
    const next = begin(
      "next",
      ..."compare --data breast-cancer --depth 1 --width 4 --epochs 1 --norms none --seeds 2 --no-tune --out".split(
        " ",
      ),
      out("next"),
      "--queue",
      url,
    );
    expect((await next.ended).code).toBe(0);
    expect(keptIn(out("next"))).toHaveLength(2);
  });

  test("Ctrl-C that leaves the sweep: workers finish it, and --resume has the results", async () => {
    const workers = crew(url);
    const first = command(out("left"), url, "--on-stop", "leave");
    await first.said(numberOf(10));
    first.child.kill("SIGINT");
    const { code, stderr } = await first.ended;
    expect(code).toBe(130);
    expect(stderr).toContain("The others go on at their workers. To have their results: ");
    await expect.poll(() => finishedBy(workers).length, { timeout: 60_000 }).toBe(TRIALS);
    for (const each of workers) await stopped(each);
    const resumed = begin("resumed", "compare", "--resume", out("left"), "--queue", url);
    expect((await resumed.ended).code).toBe(0);
    checkWhole(out("left"));
    expect(new Set(startedBy(workers)).size).toBe(startedBy(workers).length);
  });

  test("Ctrl-C that cancels the sweep: nothing is left on the queue, and workers are idle within seconds", async () => {
    const workers = crew(url);
    const first = command(out("cancelled"), url, "--on-stop", "cancel");
    await first.said(numberOf(10));
    first.child.kill("SIGINT");
    expect((await first.ended).code).toBe(130);
    const broker = await openBroker(url, { log() {} });
    const left = async () => {
      const { waiting, active, delayed, prioritized } = await broker.queue().getJobCounts();
      return waiting + active + delayed + prioritized;
    };
    await expect.poll(left, { timeout: 15_000 }).toBe(0);
    await broker.close();
    expect(startedBy(workers).length).toBeLessThan(TRIALS);
    const resumed = begin("resumed", "compare", "--resume", out("cancelled"), "--queue", url);
    expect((await resumed.ended).code).toBe(0);
    checkWhole(out("cancelled"));
  });

  test("two commanders that ask for the same: each trial runs once", async () => {
    const workers = crew(url);
    const both = [command(out("one"), url), command(out("other"), url)];
    for (const each of both) expect((await each.ended).code).toBe(0);
    checkWhole(out("one"));
    checkWhole(out("other"));
    const started = startedBy(workers);
    expect([started.length, new Set(started).size]).toEqual([TRIALS, TRIALS]);
  });

  const OWN = "--data digits --limit 100 --epochs 1 --no-tune".split(" ");
  const network = (first: string) => `import { units } from "./lib/size.mjs";
${first}
export default ({ norm, inputShape, outputs, tf }) => tf.sequential({ layers: [
  tf.layers.flatten({ inputShape }), tf.layers.dense({ units }), norm(), tf.layers.dense({ units: outputs, activation: "softmax" })] });
`;
  function writeModule(first: string): string {
    const folder = pathOf(`module-${places}`);
    mkdirSync(join(folder, "lib"), { recursive: true });
    writeFileSync(join(folder, "lib", "size.mjs"), "export const units = 6;\n");
    writeFileSync(join(folder, "own.mjs"), network(first));
    return join(folder, "own.mjs");
  }

  test("a network of the user's own goes to workers in other folders; data go through a shared one", async () => {
    const module = writeModule("console.error(import.meta.url);");
    const options = [...OWN, "--norms", "none,layer", "--seeds", "2"];
    const [here, share] = [out("own-alone"), pathOf(`${service.name}-share`)];
    expect((await evenkeel(workplace, "compare", module, ...options, "--out", here)).code).toBe(0);
    const workers = [worker(url, { share }), worker(url, { share })];
    const queued = ["--queue", url, "--share", share, "--out", out("own")];
    const commander = begin("compare", "compare", module, ...options, ...queued);
    expect((await commander.ended).code).toBe(0);
    checkWhole(out("own"), here);
    expect(readdirSync(share).length).toBeGreaterThan(0);
    const ran = workers.filter((each) => startedBy([each]).length > 0);
    for (const { name, log } of ran) {
      expect(log()).toContain(`file://${pathOf(name)}`);
      expect(log()).not.toContain(module);
    }
  });

  test("a network that fails there, whatever it says, fails by name at once", async () => {
    const flag = pathOf(`${service.name}-flag-fails`);
    const module = writeModule(`import { existsSync } from "node:fs";
if (existsSync(${JSON.stringify(flag)})) throw new Error("the socket closed: connection timed out");`);
    const options = [...OWN, "--norms", "none", "--seeds", "1", "--queue", url];
    const commander = begin("compare", "compare", module, ...options, "--out", out("own-fails"));
    await commander.said(/1 trial, on /);
    writeFileSync(flag, "");
    const one = worker(url);
    const { code, stderr } = await commander.ended;
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /error: the trial of none with seed 1 failed: .*the socket closed: connection timed out/,
    );
    expect(startedBy([one])).toHaveLength(1);
  });

  test("a network that never returns: ended after --patience, and failed by name after its attempts", async () => {
    const flag = pathOf(`${service.name}-flag-hangs`);
    const module = writeModule(`import { existsSync } from "node:fs";
while (existsSync(${JSON.stringify(flag)}));`);
    const options = [...OWN, "--norms", "none", "--seeds", "1", "--queue", url];
    const commander = begin("compare", "compare", module, ...options, "--out", out("own-hangs"));
    // the commander has tried it, and it was well
    await commander.said(/1 trial, on /);
    writeFileSync(flag, "");
    const one = worker(url, { patience: 5 });
    const { code, stderr } = await commander.ended;
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /error: the trial of none with seed 1 failed: gave no sign of life for 5 s, and was ended/,
    );
    expect(matches(one.log(), /(none seed 1) ended: gave no sign of life for 5 s/g)).toHaveLength(3);
    rmSync(flag);
    const again = begin("again", "compare", module, ...options, "--out", out("own-well"));
    expect((await again.ended).code).toBe(0);
    expect(await stopped(one)).toBe(1);
  });
});

test("PostgreSQL: kill -9 of a worker, of the server and of the commander in one sweep", async () => {
  const server = await startPostgres();
  const { url } = server;
  const workers = crew(url);
  const first = command("postgres", url);
  await first.said(numberOf(5));
  const held = await hang(workers[0]);
  workers[0].child.kill("SIGKILL");
  await first.said(new RegExp(`${held}: its worker gave no sign of life any more`));
  await server.kill();
  await wait(1000);
  await server.restart();
  for (const each of [first, ...workers.slice(1)]) await each.said(/ answers again, after \d+ s\n/);
  first.child.kill("SIGKILL");
  await first.ended;
  const resumed = begin("resumed", "compare", "--resume", "postgres", "--queue", url);
  expect((await resumed.ended).code).toBe(0);
  checkWhole("postgres");
});
