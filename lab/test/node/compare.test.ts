/** What `evenkeel compare` refuses before anything is trained; what it trains is in compare.command.ts. */
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { type CompareOptions, compare, resume } from "../../src/node/compare.js";
import { claimPlace } from "../../src/node/store.js";

const folder = mkdtempSync(join(tmpdir(), "evenkeel-refused-"));
afterAll(() => rmSync(folder, { recursive: true }));
const file = join(folder, "mine.csv");
writeFileSync(
  file,
  `a,y\n${Array.from({ length: 60 }, (_, i) => `${i * i},${i % 2 ? "yes" : "no"}\n`).join("")}`,
);

const options = (more: Partial<CompareOptions>): CompareOptions => ({
  data: file,
  reading: {},
  choices: { seeds: 1 },
  threads: 1,
  json: false,
  out: join(folder, "out"),
  typed: [],
  ...more,
});

test.each<[string, Partial<CompareOptions>, RegExp]>([
  [
    "normalizations, before the data are read",
    { data: "nowhere", choices: { seeds: 1, norms: ["lyer"] } },
    /^--norms: "lyer" is not known/,
  ],
  [
    "a folder, before the data are read",
    { data: "nowhere", out: join(file, "below") },
    /^--out: cannot write into the folder/,
  ],
  [
    "data that are not there",
    { data: join(folder, "nowhere.csv") },
    /nowhere\.csv: there is no such file; check the path$/,
  ],
  ["columns", { reading: { target: "z" } }, /^--target: there is no column "z"/],
  [
    "settings",
    { choices: { seeds: 1, batchSize: 50 } },
    /^--batch-size: must be at most the \d+ training examples, got 50/,
  ],
])("%s are refused, and no folder is left", async (_, more, message) => {
  await expect(compare(options(more))).rejects.toThrow(message);
  expect(readdirSync(folder)).toEqual(["mine.csv"]);
});

test("a comparison of another version is not gone on with", async () => {
  const path = join(folder, "older");
  claimPlace(path, {
    evenkeel: "0.0.1",
    data: file,
    provenance: file,
    options: {},
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
    command: "npx @evenkeel/lab compare --data mine.csv",
  });
  await expect(resume(path, { threads: 1, json: false })).rejects.toThrow(
    /was begun by Evenkeel 0\.0\.1, and this is \d+\.\d+\.\d+, whose numbers may differ; go on with that version, or begin anew: npx @evenkeel\/lab compare --data mine\.csv$/,
  );
  expect(existsSync(join(path, "report.html"))).toBe(false);
});
