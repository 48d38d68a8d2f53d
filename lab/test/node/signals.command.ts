/** Nothing is lost: however a comparison is ended, `--resume` gives the numbers of one that was not. */
import { spawn } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Comparison } from "../../src/results.js";
import { cli, evenkeel, type Outcome, start } from "../support/evenkeel.js";

const workplace = mkdtempSync(join(tmpdir(), "evenkeel-signals-"));
afterAll(() => rmSync(workplace, { recursive: true, force: true }));

const OPTIONS = "compare --data breast-cancer --depth 2 --width 8 --epochs 3 --norms none,layer --seeds 4";
const TRIALS = 8;
const options = (out: string, more = "") =>
  [...OPTIONS.split(" "), ...more.split(" "), "--out", out].filter(Boolean);
const pathOf = (...names: string[]) => join(workplace, ...names);
const read = (...names: string[]) => readFileSync(pathOf(...names), "utf8");
const keptIn = (out: string) =>
  existsSync(pathOf(out, "trials"))
    ? readdirSync(pathOf(out, "trials")).filter((name) => name.endsWith(".json"))
    : [];

/** All numbers of a comparison but when, where and how fast. */
function numbersOf(out: string): unknown {
  const timed = ["date", "command", "machine", "wallSeconds", "stepMs", "seconds"];
  return JSON.parse(read(out, "comparison.json"), (name, value) =>
    timed.includes(name) ? undefined : value,
  );
}

/** The trials that are kept are whole, and nothing stands under the names of results that is not. */
function checkWhole(out: string): number {
  const kept = keptIn(out);
  for (const name of kept) expect(JSON.parse(read(out, "trials", name)).content.key).toBe(name.slice(0, -5));
  if (existsSync(pathOf(out, "comparison.json"))) JSON.parse(read(out, "comparison.json"));
  if (existsSync(pathOf(out, "report.html"))) expect(read(out, "report.html")).toMatch(/<\/html>\s*$/);
  return kept.length;
}

beforeAll(async () => {
  const { code } = await evenkeel(workplace, ...options("whole"));
  expect(code).toBe(0);
});

test.each([
  ["SIGKILL", 5, null],
  ["SIGINT", 1, 130],
  ["SIGTERM", 3, 143],
  ["SIGHUP", 2, 129],
] as const)(
  "%s after trial %d: what had finished is kept, and the rest runs with --resume",
  async (signal, after, expected) => {
    const out = signal;
    const { child, said, ended } = start(workplace, ...options(out));
    await said(new RegExp(`\\(${after} of ${TRIALS}\\)`));
    child.kill(signal);
    const { code, stderr, stdout } = await ended;
    const kept = checkWhole(out);
    expect(kept).toBeGreaterThanOrEqual(after);
    // the signal may come after all of them
    if (kept < TRIALS) {
      expect(code).toBe(expected);
      if (expected !== null) {
        const { interrupted, trials }: Comparison = JSON.parse(read(out, "comparison.json"));
        expect([interrupted, trials.length]).toEqual([true, kept]);
        expect(stderr).toContain(
          `Stopped: ${kept} of ${TRIALS} trials had finished; their results were written.\n`,
        );
        expect(stderr).toContain(`compare --resume ${pathOf(out)}\n`);
        expect(stdout).not.toBe("");
      }
    }
    const before = keptIn(out).map((name) => statSync(pathOf(out, "trials", name)).ino);
    const resumed = await evenkeel(tmpdir(), "compare", "--resume", pathOf(out));
    expect(resumed.code).toBe(0);
    const left = kept < TRIALS ? `${kept} finished already` : "all finished already";
    expect(resumed.stderr.replaceAll(/\s+/g, " ")).toContain(`${TRIALS} trials, ${left}`);
    expect(keptIn(out)).toHaveLength(TRIALS);
    expect(keptIn(out).map((name) => statSync(pathOf(out, "trials", name)).ino)).toEqual(
      expect.arrayContaining(before),
    );
    expect(numbersOf(out)).toEqual(numbersOf("whole"));
  },
);

test.each([20, 150])("a second Ctrl-C %d ms after the first loses nothing", async (ms) => {
  const out = `twice-${ms}`;
  const { child, said, ended } = start(workplace, ...options(out));
  await said(/\(2 of 8\)/);
  child.kill("SIGINT");
  await wait(ms);
  child.kill("SIGINT");
  const began = performance.now();
  const { code } = await ended;
  expect(performance.now() - began).toBeLessThan(5000);
  expect(code === null ? 128 + constants.signals.SIGINT : code).toBe(130);
  expect(checkWhole(out)).toBeGreaterThanOrEqual(2);
  expect((await evenkeel(workplace, "compare", "--resume", out)).code).toBe(0);
  expect(numbersOf(out)).toEqual(numbersOf("whole"));
});

test("killed at any moment, again and again, it ends with the same numbers", async () => {
  const out = "again";
  let random = 7;
  const { child, said, ended } = start(workplace, ...options(out));
  await said(/trials, /);
  child.kill("SIGKILL");
  await ended;
  for (let kill = 0; kill < 3; kill++) {
    const { child, said, ended } = start(workplace, "compare", "--resume", out);
    await said(/trials/);
    random = (random * 16807) % 2147483647;
    await wait(random % 2500);
    child.kill("SIGKILL");
    await ended;
    checkWhole(out);
  }
  expect((await evenkeel(workplace, "compare", "--resume", out, "--threads", "1")).code).toBe(0);
  expect(numbersOf(out)).toEqual(numbersOf("whole"));
});

test("stopped before any trial has finished, nothing is left", async () => {
  const { child, said, ended } = start(
    workplace,
    ...options("nothing").map((word) => (word === "3" ? "100000" : word)),
  );
  await said(/trials, /);
  child.kill("SIGTERM");
  const { code, stdout, stderr } = await ended;
  expect({ code, stdout }).toEqual({ code: 143, stdout: "" });
  expect(stderr).toContain("\nStopped before any trial had finished; nothing was written.\n");
  expect(existsSync(pathOf("nothing"))).toBe(false);
});

test.each(["SIGINT", "SIGTERM", "SIGHUP", "SIGKILL"] as const)(
  "%s while the data are read leaves nothing",
  async (signal) => {
    const home = mkdtempSync(pathOf("reading-"));
    const row = `${Array.from({ length: 40 }, (_, i) => i * 1.25).join()}\n`;
    writeFileSync(join(home, "large.csv"), row.repeat(60_000));
    const { child, ended } = start(
      home,
      "compare",
      "--data",
      "large.csv",
      "--norms",
      "none",
      "--header",
      "no",
    );
    await wait(1500);
    child.kill(signal);
    expect((await ended).stdout).toBe("");
    expect(readdirSync(home)).toEqual(["large.csv"]);
  },
);

test("a trial whose file is damaged is run again; a finished comparison only writes its results anew", async () => {
  cpSync(pathOf("whole"), pathOf("damaged"), { recursive: true });
  const [first, second, third] = keptIn("damaged").map((name) => pathOf("damaged", "trials", name));
  writeFileSync(first, readFileSync(first).subarray(0, 1000));
  writeFileSync(second, readFileSync(second, "utf8").replace(/"metric":0\.\d/, '"metric":0.1'));
  rmSync(third);
  rmSync(pathOf("damaged", "report.html"));
  const { code, stderr } = await evenkeel(workplace, "compare", "--resume", "damaged");
  expect(code).toBe(0);
  expect(stderr).toContain("8 trials, 5 finished already, 2 at a time\n");
  expect(numbersOf("damaged")).toEqual(numbersOf("whole"));
  const again = await evenkeel(workplace, "compare", "--resume", "damaged", "--json");
  expect(again.code).toBe(0);
  expect(again.stderr).toContain("8 trials, all finished already\n");
  expect(again.stdout).toBe(read("damaged", "comparison.json"));
  expect(numbersOf("damaged")).toEqual(numbersOf("whole"));
});

test("where the results cannot be written, they are shown, the exit code is 1, and --resume writes them", async () => {
  const limited = await new Promise<Outcome>((resolve) => {
    // KiB of a file: a trial has room, all of them together have not
    const shell = spawn(
      "bash",
      ["-c", `ulimit -f 16; exec "$0" "$@"`, process.execPath, cli, ...options("full")],
      {
        cwd: workplace,
      },
    );
    const outcome = { code: null, stdout: "", stderr: "" } as Outcome;
    shell.stdout.on("data", (text) => {
      outcome.stdout += text;
    });
    shell.stderr.on("data", (text) => {
      outcome.stderr += text;
    });
    shell.on("close", (code) => resolve({ ...outcome, code }));
  });
  expect(limited.code).toBe(1);
  expect(limited.stdout).toMatch(/^none +\d/m);
  expect(limited.stderr).toMatch(
    /\nerror: cannot write the results into "full" \(EFBIG: [^,]*\); the trials that are there are kept: free space or allow it, then go on with --resume full\n$/,
  );
  expect(readdirSync(pathOf("full")).sort()).toEqual(["plan.json", "trials"]);
  expect((await evenkeel(workplace, "compare", "--resume", "full")).code).toBe(0);
  expect(numbersOf("full")).toEqual(numbersOf("whole"));
});
