/** Folders of comparisons: what is kept, what is refused, and what is never overwritten or followed. */
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { checkPlace, claimPlace, leavePlace, openStore, type Plan, readPlan } from "../../src/node/store.js";
import { writeFile } from "../../src/node/whole-file.js";
import { syntheticComparison } from "../support/synthetic-comparison.js";

const home = process.cwd();
const folder = mkdtempSync(join(tmpdir(), "evenkeel-store-"));
beforeAll(() => process.chdir(folder));
afterAll(() => {
  process.chdir(home);
  rmSync(folder, { recursive: true });
});

const plan: Plan = {
  evenkeel: "0.1.0",
  data: "digits",
  provenance: "digits",
  options: { limit: 100 },
  digest: "d",
  settings: {
    model: { kind: "mlp", depth: 1, width: 2, activation: "relu" },
    training: { epochs: 1, batchSize: 2, learningRates: [0.1], optimizer: "sgd", warmUp: 0 },
    save: false,
    norms: ["none"],
    seeds: [1],
    baseline: "none",
    sweep: null,
    reach: null,
  },
  command: "evenkeel compare",
};
const [trial] = syntheticComparison().trials;
const key = "ab".repeat(32);

/** A folder with a plan. */
function begun(name: string): string {
  return claimPlace(name, plan).path;
}

function messageOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    if (error instanceof Error) return `${error.constructor.name}: ${error.message}`;
  }
  return "none";
}

describe("places", () => {
  test("checked, nothing is there; claimed, the folders above are made, and nothing of them stays once left", () => {
    checkPlace("above/below/here");
    expect(existsSync("above")).toBe(false);
    const place = claimPlace("above/below/here", plan);
    expect(readdirSync("above/below/here").sort()).toEqual(["plan.json", "trials"]);
    leavePlace(place);
    expect(existsSync("above")).toBe(false);
  });

  test("a folder with files of somebody else is used, and left as it was", () => {
    mkdirSync("used");
    writeFileSync("used/mine.txt", "mine");
    checkPlace("used");
    const place = claimPlace("used", plan);
    expect(readdirSync("used").sort()).toEqual(["mine.txt", "plan.json", "trials"]);
    leavePlace(place);
    expect(readdirSync("used")).toEqual(["mine.txt"]);
  });

  test("what has a trial is not left", async () => {
    const place = claimPlace("kept", plan);
    await openStore("kept").put(key, trial);
    leavePlace(place);
    expect(readdirSync("kept").sort()).toEqual(["plan.json", "trials"]);
  });

  test("without a name the usual one, or the next that is free: no file, no link, no comparison is in it", () => {
    checkPlace(undefined);
    expect(claimPlace(undefined, plan).path).toBe("evenkeel-report");
    writeFileSync("evenkeel-report-2", "a file");
    symlinkSync("nowhere", "evenkeel-report-3");
    mkdirSync("evenkeel-report-4/report.html", { recursive: true });
    mkdirSync("evenkeel-report-5");
    expect(claimPlace(undefined, plan).path).toBe("evenkeel-report-5");
    expect(claimPlace(undefined, plan).path).toBe("evenkeel-report-6");
  });

  test("a comparison is not overwritten: whatever is there of one is named", () => {
    begun("taken");
    expect(messageOf(() => checkPlace("taken"))).toBe(
      'UsageError: --out: the folder "taken" holds another comparison (its plan.json), which is not overwritten; name another folder, or go on with what is there by --resume taken',
    );
    mkdirSync("old/report.html", { recursive: true });
    expect(messageOf(() => checkPlace("old"))).toBe(
      'UsageError: --out: the folder "old" holds another comparison (its report.html), which is not overwritten; name another folder',
    );
    mkdirSync("linked");
    symlinkSync("nowhere", "linked/comparison.json");
    expect(messageOf(() => checkPlace("linked"))).toMatch(/holds another comparison \(its comparison.json\)/);
  });

  test("of two that begin in one folder, the second is refused, and leaves the first as it is", () => {
    claimPlace("both", plan);
    expect(messageOf(() => claimPlace("both", { ...plan, digest: "other" }))).toMatch(
      /^UsageError: --out: the folder "both" holds another comparison/,
    );
    expect(readPlan("both").digest).toBe("d");
  });

  test.each([
    ["", 'UsageError: --out: expected the name of a folder, got ""'],
    [
      "a-file",
      'FailureError: --out: cannot write into the folder "a-file" (ENOTDIR: not a directory); name another one, or free space or allow it',
    ],
    ["a-file/below", /^FailureError: --out: cannot write into the folder "a-file\/below" \(ENOTDIR: /],
    ["dangling", /^FailureError: --out: cannot write into the folder "dangling" \(ENOENT: /],
    [
      "/proc/evenkeel/below",
      /^FailureError: --out: cannot write into the folder "\/proc\/evenkeel\/below" \((?:ENOENT|EACCES): /,
    ],
    ["x".repeat(300), /^FailureError: --out: cannot write into the folder "x{199}…" \(ENAMETOOLONG: /],
  ])("refused at once: %s", (name, message) => {
    writeFileSync("a-file", "mine");
    if (lstatSync("dangling", { throwIfNoEntry: false }) === undefined)
      symlinkSync("nowhere/there", "dangling");
    const began = performance.now();
    expect(messageOf(() => checkPlace(name))).toMatch(message);
    expect(performance.now() - began).toBeLessThan(1000);
    expect(readFileSync("a-file", "utf8")).toBe("mine");
  });
});

describe("plans", () => {
  test("as they were written", () => {
    expect(readPlan(begun("planned"))).toEqual(plan);
  });

  test("the folder that was meant is named", () => {
    mkdirSync("shelf");
    writeFileSync("shelf/file", "");
    begun("shelf/first");
    begun("shelf/second");
    const told = (near: string) => (name: string) =>
      expect(messageOf(() => readPlan(name))).toBe(
        `UsageError: --resume: there is no comparison in "${name}", expected its plan.json; did you mean ${near}?`,
      );
    ["shelf", "shelf/frist", "shelf/file"].forEach(told('"shelf/first" or "shelf/second"'));
    ["shelf/first/plan.json", "shelf/first/trials"].forEach(told('"shelf/first"'));
  });

  test("none, a changed one, one that is a link: refused", () => {
    expect(messageOf(() => readPlan("no/where"))).toBe(
      'UsageError: --resume: there is no comparison in "no/where", expected its plan.json; name the folder that a comparison wrote to',
    );
    const text = readFileSync(join(begun("changed"), "plan.json"), "utf8");
    for (const wrong of [text.replace('"epochs": 1', '"epochs": 2'), text.slice(0, 100), "null", "[]", ""]) {
      writeFileSync("changed/plan.json", wrong);
      expect(messageOf(() => readPlan("changed"))).toBe(
        'UsageError: --resume: plan.json in "changed" is not as a comparison wrote it; begin the comparison anew, with its options and another --out',
      );
    }
    writeFileSync("elsewhere.json", text);
    rmSync("changed/plan.json");
    symlinkSync("../elsewhere.json", "changed/plan.json");
    expect(messageOf(() => readPlan("changed"))).toMatch(/^UsageError: --resume: there is no comparison in/);
  });

  test.skipIf(process.getuid?.() !== 0)("a folder that may not be read, or not be written", () => {
    chmodSync(folder, 0o755);
    begun("private");
    process.seteuid?.(65534);
    try {
      expect(messageOf(() => readPlan("private"))).toBe(
        'FailureError: --resume: cannot write into the folder "private" (EACCES: permission denied); free space or allow it, or go on with a copy of the folder',
      );
      process.seteuid?.(0);
      chmodSync("private", 0);
      process.seteuid?.(65534);
      expect(messageOf(() => readPlan("private"))).toBe(
        'FailureError: --resume: cannot read "private/plan.json" (EACCES: permission denied); allow it, or go on with a copy of the folder',
      );
    } finally {
      process.seteuid?.(0);
    }
  });

  test("what is in the way of the results is found before anything runs", () => {
    mkdirSync(join(begun("blocked"), "report.html"));
    expect(messageOf(() => readPlan("blocked"))).toBe(
      'UsageError: --resume: "blocked/report.html" is no file, and one of this name is to be written; move it away',
    );
    rmSync("blocked", { recursive: true });
    rmSync(join(begun("blocked"), "trials"), { recursive: true });
    symlinkSync("..", "blocked/trials");
    expect(messageOf(() => readPlan("blocked"))).toMatch(
      /"blocked\/trials" is no folder, and one of this name/,
    );
    rmSync("blocked/trials");
    expect(readPlan("blocked")).toEqual(plan);
  });
});

describe("trials", () => {
  test("come back as they were put, and as another run finds them; the time of both runs adds up", async () => {
    const path = begun("stored");
    const first = openStore(path);
    expect(await first.get(key)).toBeUndefined();
    await first.put(key, trial);
    expect(await first.get(key)).toEqual(trial);
    const text = readFileSync(join(path, "trials", `${key}.json`), "utf8");
    const second = openStore(path);
    expect(await second.get(key)).toEqual(trial);
    expect(second.seconds()).toBeGreaterThanOrEqual(JSON.parse(text).content.seconds);
    expect(readdirSync(join(path, "trials"))).toEqual([`${key}.json`]);
  });

  test("damaged, renamed, or not a file: counts as none, and is written over", async () => {
    const store = openStore(begun("hurt"));
    await store.put(key, trial);
    const path = join("hurt", "trials", `${key}.json`);
    const whole = readFileSync(path, "utf8");
    for (const wrong of ["", "{", "null", whole.slice(0, -40), whole.replace('"seed":1', '"seed":2')]) {
      writeFileSync(path, wrong);
      expect(await store.get(key)).toBeUndefined();
    }
    writeFileSync(path, whole);
    const other = "cd".repeat(32);
    writeFileSync(join("hurt", "trials", `${other}.json`), whole);
    expect(await store.get(other)).toBeUndefined();
    rmSync(path);
    symlinkSync(`${other}.json`, path);
    expect(await store.get(key)).toBeUndefined();
    await store.put(key, trial);
    expect(lstatSync(path).isFile()).toBe(true);
    expect(await store.get(key)).toEqual(trial);
  });

  test("one that cannot be written is told", async () => {
    const store = openStore(begun("gone"));
    rmSync("gone/trials", { recursive: true });
    await expect(store.put(key, trial)).rejects.toThrow(
      /^cannot write a finished trial into "gone" \(ENOENT: .*\); the trials that are there are kept: free space or allow it, then go on with --resume gone$/,
    );
  });
});

test("results take the place of earlier ones, links among them, whose targets stay", () => {
  const path = begun("results");
  writeFileSync("mine.html", "mine");
  symlinkSync("../mine.html", "results/report.html");
  expect(openStore(path).write({ report: "<html>", json: "{}" })).toEqual({
    report: "results/report.html",
    json: "results/comparison.json",
  });
  expect(lstatSync("results/report.html").isFile()).toBe(true);
  expect(readFileSync("results/report.html", "utf8")).toBe("<html>");
  expect(readFileSync("mine.html", "utf8")).toBe("mine");
  expect(readdirSync("results").sort()).toEqual(["comparison.json", "plan.json", "report.html", "trials"]);
});

test("what a run that was killed left of a file goes with the next one; what is younger, or not ours, stays", () => {
  const path = begun("killed");
  const left = [".plan.json.AbCd_-123456.part", `trials/.${key}.json.AbCd_-123456.part`];
  const others = [".mine.txt.AbCd_-123456.part", ".plan.json.part", "plan.json.AbCd_-123456.part"];
  const old = new Date(performance.timeOrigin - 1000);
  for (const name of [...left, ...others]) {
    writeFileSync(join(path, name), "");
    utimesSync(join(path, name), old, old);
  }
  const store = openStore(path);
  const young = ".report.html.AbCd_-123456.part";
  writeFileSync(join(path, young), "");
  store.write({ report: "", json: "" });
  expect(
    readdirSync(path)
      .filter((name) => name.endsWith(".part"))
      .sort(),
  ).toEqual([...others, young].sort());
  expect(readdirSync(join(path, "trials"))).toEqual([]);
});

test("a file is whole, as readable as others, and its temporary name is gone where it fails", () => {
  mkdirSync("files/folder", { recursive: true });
  writeFileSync("files/usual", "");
  writeFile("files/new", new Uint8Array([1, 2, 3]));
  expect([...readFileSync("files/new")]).toEqual([1, 2, 3]);
  expect(statSync("files/new").mode).toBe(statSync("files/usual").mode);
  expect(messageOf(() => writeFile("files/folder", "x"))).toMatch(/EISDIR/);
  expect(readdirSync("files").sort()).toEqual(["folder", "new", "usual"]);
});
