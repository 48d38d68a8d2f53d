/** Networks of every kind, kept by one process and asked by another. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, test, vi } from "vitest";
import type { DatasetOptions } from "../../src/datasets/dataset.js";
import { fits, modelNames, models } from "../../src/models/registry.js";
import { loadDataset } from "../../src/node/datasets.js";
import { predict } from "../../src/node/predict.js";
import { startTensorFlow } from "../../src/node/tensorflow.js";
import { taskFrom } from "../../src/tasks/registry.js";
import { evenkeel } from "../support/evenkeel.js";
import { csvOf, kept } from "../support/kept.js";
import { rows, scattered } from "../support/tables.js";

const workplace = mkdtempSync(join(tmpdir(), "evenkeel-predict-"));
afterAll(() => rmSync(workplace, { recursive: true, force: true }));
const at = (name: string) => join(workplace, name);

beforeAll(startTensorFlow);
beforeEach(() => {
  vi.spyOn(process.stderr, "write").mockImplementation(() => true);
});

const N = 80;
const WORDS = ["good", "bad", "fine", "poor", "great", "awful", "nice", "dull"];
const sentence = (i: number) => rows(5 + (i % 4), (word) => WORDS[(i * (word + 3) + word) % 8]).join(" ");
const label = rows(N, (i) => ["no", "yes"][i % 2]);
const pixels = Object.fromEntries(rows(64, (p) => [`p${p}`, rows(N, (i) => (p * (1 + (i % 2)) + i) % 17)]));
const owned = rows(N, (user) => [...new Set(rows(9, (i) => Math.floor(scattered(user + 7 * i) ** 2 * 30)))]);
/** One of each kind of input: a file, and how it is read. */
const FILES: Record<string, [content: string, options: DatasetOptions]> = {
  "table.csv": [
    csvOf({
      size: rows(N, (i) => (i % 9 ? (1000 * scattered(i)).toFixed(1) : "")),
      city: rows(N, (i) => `city ${Math.floor(scattered(i, Math.E) * 25)}`),
      label,
    }),
    { target: "label" },
  ],
  "images.csv": [csvOf({ ...pixels, label }), { image: [8, 8], target: "label" }],
  "texts.csv": [csvOf({ text: rows(N, (i) => `${sentence(i)} w${i}`), label }), { target: "label" }],
  "series.csv": [
    csvOf({
      day: rows(200, (i) => new Date(Date.UTC(2024, 0, 1 + i)).toISOString().slice(0, 10)),
      a: rows(200, (i) => (10 * Math.sin(i / 3)).toFixed(3)),
      b: rows(200, (i) => scattered(i).toFixed(3)),
    }),
    { horizon: 4, window: 12, season: 1 },
  ],
  "users.csv": [
    ["user,item", ...owned.flatMap((own, user) => own.map((item) => `u${user},i${item}`))].join("\n"),
    { user: "user", item: "item" },
  ],
  "book.txt": [rows(300, sentence).join(". "), { task: taskFrom("text"), window: 16, limit: 3000 }],
};
for (const [name, [content]] of Object.entries(FILES)) writeFileSync(at(name), content);

/** Each model with the first file that it accepts, and each file with the first model that accepts it. */
const pairs: [model: (typeof modelNames)[number], file: string][] = [];
const accepted: typeof pairs = [];
for (const file of Object.keys(FILES)) {
  const { form } = await loadDataset(at(file), FILES[file][1]);
  for (const model of modelNames) if (!models[model].refusal(form, 1)) accepted.push([model, file]);
}
for (const pair of accepted) {
  if (!pairs.some(([model]) => model === pair[0]) || !pairs.some(([, file]) => file === pair[1]))
    pairs.push(pair);
}

test("there is a file for every model, and a model for every file", () => {
  expect(new Set(pairs.map(([model]) => model))).toEqual(new Set(modelNames));
  expect(new Set(pairs.map(([, file]) => file))).toEqual(new Set(Object.keys(FILES)));
});

test.each(pairs)("%s of %s says the same in another process", async (model, file) => {
  const folder = at(`${model}-${file}`);
  const norm = fits("layer", models[model]) ? "layer" : "none";
  await kept(folder, at(file), FILES[file][1], [norm], model);
  await predict(folder, at(file), { json: true, out: at("here.json") });
  const here = JSON.parse(readFileSync(at("here.json"), "utf8"));
  const { code, stdout, stderr } = await evenkeel(workplace, "predict", folder, file, "--json");
  expect(code, stderr).toBe(0);
  const there = JSON.parse(stdout);
  expect(there).toHaveLength(here.length);
  for (const [index, row] of here.entries()) {
    for (const [name, value] of Object.entries(row)) {
      const other = there[index][name];
      if (typeof value !== "number") expect(other).toBe(value);
      else expect(Math.abs(other - value)).toBeLessThanOrEqual(1e-6 * Math.max(1, Math.abs(value)));
    }
  }
});

test("compare --save keeps a network of each normalization, of which predict takes the better one", async () => {
  const line = [
    "--data",
    "table.csv",
    "--norms",
    "none,layer",
    "--seeds",
    "2",
    "--epochs",
    "1",
    "--depth",
    "1",
  ];
  const made = await evenkeel(workplace, "compare", ...line, "--save", "mine", "--no-tune");
  expect(made.code, made.stderr).toBe(0);
  expect(made.stderr).toContain("Networks mine (evenkeel predict mine FILE)");
  const said = await evenkeel(workplace, "predict", "mine", "table.csv");
  expect(said.code, said.stderr).toBe(0);
  expect(said.stdout.split("\n")).toHaveLength(N + 2);
  expect(said.stdout).toMatch(/^row,label,label=no,label=yes\n1,(?:no|yes),0\.\d+,0\.\d+\n/);
  expect(said.stderr).toMatch(
    /^evenkeel predict {2}"label" for 80 rows\nnetwork: (?:none|layer), accuracy \d+/,
  );
  const again = await evenkeel(workplace, "compare", ...line, "--save", "mine");
  expect(again.code).toBe(2);
  expect(again.stderr).toContain('--save: the folder "mine" is not empty (it holds "layer")');
});
