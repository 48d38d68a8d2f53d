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
import { Redis } from "ioredis";
import pg from "pg";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { openBroker, packedTrial } from "../../../src/node/queue/broker.js";
import type { Trial } from "../../../src/results.js";
import { evenkeel, type Started, start } from "../../support/evenkeel.js";
import { startProxy } from "../../support/proxy.js";
import { type Server, startPostgres, startRedis } from "../../support/servers.js";

const workplace = mkdtempSync(join(tmpdir(), "evenkeel-faults-"));
afterAll(() => rmSync(workplace, { recursive: true, force: true }));
const pathOf = (...names: string[]) => join(workplace, ...names);

const KIND = "compare --data digits --limit 150 --model cnn --depth 2 --width 4 --epochs 2 --no-tune";
const [SIXTY, FEW] = [
  { name: "sixty", trials: 60, choice: "--norms none,layer,rms,batch,group,instance --seeds 10" },
  // for faults that do not need many
  { name: "few", trials: 18, choice: "--norms none,layer,batch --seeds 6" },
];
type Sweep = typeof FEW;
const lineOf = ({ choice }: Sweep): string[] => `${KIND} ${choice}`.split(" ");
/** s; a trial takes a fraction of one. */
const LEASE = 3;

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
/** `compare`, by a queue. */
const command = (sweep: Sweep, out: string, url: string, ...more: string[]): Running =>
  begin(`compare ${out}`, ...lineOf(sweep), "--queue", url, "--out", out, ...more);

const resume = (out: string, url: string, ...more: string[]): Running =>
  begin(`resumed ${out}`, "compare", "--resume", out, "--queue", url, ...more);

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

const numberOf = (count: number, { trials }: Sweep) => new RegExp(`\\(${count} of ${trials}\\)`);

const keptIn = (out: string) => readdirSync(pathOf(out, "trials")).sort();

/** All numbers of a comparison but when, where and how fast. */
function numbersOf(out: string): unknown {
  const timed = ["date", "command", "machine", "wallSeconds", "stepMs", "seconds"];
  return JSON.parse(readFileSync(pathOf(out, "comparison.json"), "utf8"), (name, value) =>
    timed.includes(name) ? undefined : value,
  );
}

function checkWhole(out: string, than: string): void {
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
  for (const sweep of [SIXTY, FEW]) {
    expect((await evenkeel(workplace, ...lineOf(sweep), "--out", sweep.name)).code).toBe(0);
    expect(keptIn(sweep.name)).toHaveLength(sweep.trials);
  }
});

interface Service {
  name: "redis" | "postgres";
  open(): Promise<Server>;
  /** An empty queue of its own. */
  place(server: Server): Promise<string>;
  /** Removes what trials need beside their specs. */
  forgetData(url: string): Promise<void>;
}

const redis: Service = {
  name: "redis",
  open: () => startRedis({ appendOnly: true }),
  async place({ url }) {
    const place = `${url}/${places++ % 16}`;
    const client = new Redis(place);
    await client.flushdb();
    client.disconnect();
    return place;
  },
  async forgetData(url) {
    const client = new Redis(url);
    const keys = await client.keys("evenkeel:depot:*");
    expect(keys.length).toBeGreaterThan(0);
    await client.del(keys);
    client.disconnect();
  },
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
  async forgetData(url) {
    const client = new pg.Client(url);
    await client.connect();
    const { rowCount } = await client.query("DELETE FROM evenkeel.depot");
    expect(rowCount).toBeGreaterThan(0);
    await client.end();
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
    const commander = command(SIXTY, out("whole"), url);
    await commander.said(/No worker is at the queue; run on this or any machine:/);
    const workers = [worker(url)];
    await commander.said(numberOf(5, SIXTY));
    workers.push(worker(url), worker(url));
    expect((await commander.ended).code).toBe(0);
    checkWhole(out("whole"), SIXTY.name);
    const started = startedBy(workers);
    expect(new Set(started).size).toBe(SIXTY.trials);
    expect(started).toHaveLength(SIXTY.trials);
    const counts = await Promise.all(workers.map(stopped));
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(SIXTY.trials);
    expect(Math.min(...counts)).toBeGreaterThan(0);
  });

  test("kill -9 of a worker amid a trial", async () => {
    const workers = crew(url);
    const commander = command(SIXTY, out("worker"), url);
    await commander.said(numberOf(8, SIXTY));
    const held = await hang(workers[0]);
    const orphans = childrenOf(workers[0]);
    expect(orphans.length).toBeGreaterThan(0);
    workers[0].child.kill("SIGKILL");
    expect((await commander.ended).code).toBe(0);
    expect(commander.log()).toContain(
      `${held}: its worker gave no sign of life any more; it goes to another\n`,
    );
    expect(finishedBy(workers.slice(1))).toContain(held);
    checkWhole(out("worker"), SIXTY.name);
    expect(orphans.filter(isThere)).toEqual([]);
  });

  test("kill -9 of the service amid the sweep, and a restart", async () => {
    const workers = crew(url);
    const commander = command(SIXTY, out("service"), url);
    await commander.said(numberOf(10, SIXTY));
    await server.kill();
    await wait(1500);
    await server.restart();
    expect((await commander.ended).code).toBe(0);
    checkWhole(out("service"), SIXTY.name);
    for (const { log } of [commander, ...workers]) {
      expect(log()).toMatch(/ does not answer \(.+\); trying again until it does\n/);
      expect(log()).toMatch(/ answers again, after \d+ s\n/);
      expect(log()).not.toMatch(/^\s+at /m);
    }
    for (const each of workers) await stopped(each);
  });

  test("kill -9 of the commander: its workers go on, and --resume takes what they have done", async () => {
    const workers = crew(url);
    const first = command(FEW, out("commander"), url);
    await first.said(numberOf(4, FEW));
    first.child.kill("SIGKILL");
    await first.ended;
    await expect.poll(() => finishedBy(workers).length, { timeout: 60_000 }).toBe(FEW.trials);
    const resumed = resume(out("commander"), url);
    expect((await resumed.ended).code).toBe(0);
    checkWhole(out("commander"), FEW.name);
    const started = startedBy(workers);
    expect([started.length, new Set(started).size]).toEqual([FEW.trials, FEW.trials]);
  });

  test("a worker that hangs past its lease, and comes back: its late result counts for nothing", async () => {
    const workers = crew(url);
    const commander = command(FEW, out("hangs"), url);
    await commander.said(numberOf(4, FEW));
    const held = await hang(workers[0]);
    await commander.said(new RegExp(`${held}: its worker gave no sign of life any more`));
    await expect.poll(() => finishedBy(workers.slice(1)), { timeout: 30_000 }).toContain(held);
    workers[0].child.kill("SIGCONT");
    await workers[0].said(/its lease ran out|not in the active state|Missing lock|could not renew/);
    expect((await commander.ended).code).toBe(0);
    checkWhole(out("hangs"), FEW.name);
    await stopped(workers[0]);
  });

  test("a network that is cut for a worker and for the commander, silently", async () => {
    const [near, far] = [await startProxy(url), await startProxy(url)];
    const workers = [worker(far.through(url)), worker(url)];
    const commander = command(FEW, out("cut"), near.through(url));
    await commander.said(numberOf(4, FEW));
    near.drop();
    far.drop();
    await wait(3000);
    near.pass();
    far.pass();
    expect((await commander.ended).code).toBe(0);
    checkWhole(out("cut"), FEW.name);
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
    const first = command(FEW, out("left"), url, "--on-stop", "leave");
    await first.said(numberOf(4, FEW));
    first.child.kill("SIGINT");
    const { code, stderr } = await first.ended;
    expect(code).toBe(130);
    expect(stderr).toContain("The others stay on the queue, for its workers. To have their results: ");
    await expect.poll(() => finishedBy(workers).length, { timeout: 60_000 }).toBe(FEW.trials);
    for (const each of workers) await stopped(each);
    const resumed = resume(out("left"), url);
    expect((await resumed.ended).code).toBe(0);
    checkWhole(out("left"), FEW.name);
    expect(new Set(startedBy(workers)).size).toBe(startedBy(workers).length);
  });

  test("Ctrl-C that cancels the sweep: nothing is left on the queue, and workers are idle within seconds", async () => {
    const workers = crew(url);
    const first = command(FEW, out("cancelled"), url, "--on-stop", "cancel");
    await first.said(numberOf(4, FEW));
    first.child.kill("SIGINT");
    expect((await first.ended).code).toBe(130);
    const broker = await openBroker(url, { log() {} });
    const left = async () => {
      const { waiting, active, delayed, prioritized } = await broker.queue().getJobCounts();
      return waiting + active + delayed + prioritized;
    };
    await expect.poll(left, { timeout: 15_000 }).toBe(0);
    await broker.close();
    expect(startedBy(workers).length).toBeLessThan(FEW.trials);
    const resumed = resume(out("cancelled"), url);
    expect((await resumed.ended).code).toBe(0);
    checkWhole(out("cancelled"), FEW.name);
  });

  test("--resume --cancel takes off the queue what was left there", async () => {
    const first = command(FEW, out("taken-off"), url, "--on-stop", "leave");
    const broker = await openBroker(url, { log() {} });
    const queue = broker.queue();
    const waiting = async () => (await queue.getJobCounts()).waiting;
    await expect.poll(waiting, { timeout: 30_000 }).toBe(FEW.trials);
    first.child.kill("SIGINT");
    expect((await first.ended).code).toBe(130);
    expect(await waiting()).toBe(FEW.trials);
    const taken = resume(out("taken-off"), url, "--cancel");
    const { code, stderr } = await taken.ended;
    expect(code).toBe(0);
    expect(stderr).toContain("Cancelled before any trial had finished. Go on: ");
    expect(await waiting()).toBe(0);
    await broker.close();
  });

  test("two commanders that ask for the same: each trial runs once", async () => {
    const workers = crew(url);
    const both = [command(FEW, out("one"), url), command(FEW, out("other"), url)];
    for (const each of both) expect((await each.ended).code).toBe(0);
    checkWhole(out("one"), FEW.name);
    checkWhole(out("other"), FEW.name);
    const started = startedBy(workers);
    expect([started.length, new Set(started).size]).toEqual([FEW.trials, FEW.trials]);
  });

  test.each(["killed", "cut"] as const)(
    "Ctrl-C while the service is %s ends all, and the folder can be gone on with",
    async (how) => {
      const network = await startProxy(url);
      const through = network.through(url);
      const [left, cancelled] = [out(`left-${how}`), out(`cancelled-${how}`)];
      const crew = [worker(through)];
      const commanders = [
        command(FEW, left, through, "--on-stop", "leave"),
        command(FEW, cancelled, through, "--on-stop", "cancel"),
      ];
      for (const each of commanders) await each.said(numberOf(2, FEW));
      if (how === "killed") await server.kill();
      else network.drop();
      const all = [...commanders, ...crew];
      for (const each of all) await each.said(/ does not answer \(.+\); trying again until it does\n/);
      for (const { child } of all) child.kill("SIGINT");
      for (const { ended } of all) expect((await ended).code).toBe(130);
      for (const { log } of commanders) {
        expect(log()).toMatch(/^Stopped: \d+ of 18 trials had finished; their results were written\.$/m);
        expect(log()).toContain(through);
      }
      expect(commanders[1].log()).toMatch(/ may be on the queue still, which does not answer/);
      for (const one of [left, cancelled]) expect(keptIn(one).length).toBeGreaterThan(1);
      if (how === "killed") await server.restart();
      worker(url);
      for (const one of [left, cancelled]) {
        expect((await resume(one, url).ended).code).toBe(0);
        checkWhole(one, FEW.name);
      }
    },
  );

  test("a machine that cannot begin trials gives them back and ends; another does them all", async () => {
    const broken = worker(url);
    await broken.said(/ takes trials from /);
    const data = pathOf(broken.name, "data");
    rmSync(data, { recursive: true });
    writeFileSync(data, "");
    const commander = command(FEW, out("unable"), url);
    expect((await broken.ended).code).toBe(1);
    expect(matches(broken.log(), /(cannot use the cache)/g)).toHaveLength(3);
    expect(broken.log()).toContain("the last 3 trials could not begin here: this worker ends");
    const able = worker(url);
    expect((await commander.ended).code).toBe(0);
    checkWhole(out("unable"), FEW.name);
    expect(finishedBy([able])).toHaveLength(FEW.trials);
  });

  test("data that the service has lost amid the sweep are put there again", async () => {
    const first = worker(url);
    const commander = command(FEW, out("data"), url);
    await commander.said(numberOf(4, FEW));
    await stopped(first);
    await service.forgetData(url);
    // it has them in no cache
    const next = worker(url);
    expect((await commander.ended).code).toBe(0);
    checkWhole(out("data"), FEW.name);
    expect(commander.log()).toMatch(
      / is not there any more, or is damaged; .+; it is put on the queue again\n/,
    );
    expect(finishedBy([next]).length).toBeGreaterThan(0);
  });

  test("results that are damaged on the queue are asked for anew", async () => {
    const broker = await openBroker(url, { log() {} });
    const damaged = ["", "no base64", "e30=", packedTrial("of another", {} as Trial)];
    const liar = broker.worker(async () => damaged.pop() ?? "", { name: "liar", concurrency: 1 });
    const commander = command(FEW, out("damaged"), url);
    await expect.poll(() => damaged.length, { timeout: 30_000, interval: 20 }).toBe(0);
    await liar.close();
    await broker.close();
    worker(url);
    expect((await commander.ended).code).toBe(0);
    checkWhole(out("damaged"), FEW.name);
    const told = matches(commander.log(), /^(.+): its result is damaged; it is put on the queue again$/gm);
    expect(told.length).toBeGreaterThanOrEqual(4);
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
    const one = worker(url, { patience: 3 });
    const { code, stderr } = await commander.ended;
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /error: the trial of none with seed 1 failed: gave no sign of life for 3 s, and was ended/,
    );
    expect(matches(one.log(), /(none seed 1) ended: gave no sign of life for 3 s/g)).toHaveLength(3);
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
  const first = command(SIXTY, "postgres", url);
  await first.said(numberOf(5, SIXTY));
  const held = await hang(workers[0]);
  workers[0].child.kill("SIGKILL");
  await first.said(new RegExp(`${held}: its worker gave no sign of life any more`));
  await server.kill();
  await wait(1000);
  await server.restart();
  for (const each of [first, ...workers.slice(1)]) await each.said(/ answers again, after \d+ s\n/);
  first.child.kill("SIGKILL");
  await first.ended;
  const resumed = resume("postgres", url);
  expect((await resumed.ended).code).toBe(0);
  checkWhole("postgres", SIXTY.name);
});
