/** `evenkeel compare` as its user meets it: a process with arguments, two streams, an exit code and a folder. */
import { execFileSync, spawn } from "node:child_process";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import type { Range } from "@evenkeel/report/statistics";
import { parseHTML } from "linkedom";
import { afterAll, expect, test } from "vitest";
import { headline } from "../../src/findings.js";
import type { Comparison } from "../../src/results.js";
import { cli, evenkeel, type Outcome, start } from "../support/evenkeel.js";

const workplace = mkdtempSync(join(tmpdir(), "evenkeel-compare-"));
afterAll(() => rmSync(workplace, { recursive: true, force: true }));

/** Runs `evenkeel compare` in the workplace. */
const compare = (line: string): Promise<Outcome> =>
  evenkeel(workplace, "compare", ...line.split(" ").filter((word) => word !== ""));

const filesOf = (folder: string): string[] => readdirSync(join(workplace, folder)).sort();
const read = (path: string): string => readFileSync(join(workplace, path), "utf8");
const write = (name: string, content: string | Uint8Array): void =>
  writeFileSync(join(workplace, name), content);
const rows = (count: number, row: (i: number) => string): string =>
  Array.from({ length: count }, (_, i) => `${row(i)}\n`).join("");

write(
  "people.csv",
  `age,height,label\n${rows(100, (i) => `${20 + (i % 50)},${150 + (i % 40)},${i % 3 ? "yes" : "no"}`)}`,
);
write("word.csv", `age,label\n${rows(100, (i) => `${i === 16 ? "forty" : i},${i % 2 ? "yes" : "no"}`)}`);
write("constant.csv", `age,label\n${rows(100, (i) => `${i},yes`)}`);
write("truncated.csv.gz", gzipSync(read("people.csv")).subarray(0, 60));
write("plane.csv", `a,b,y\n${rows(200, (i) => `${i % 17},${i % 23},${2.5 * (i % 17) - (i % 23) + 0.1}`)}`);
write("a-file", "mine");

const COMMON = "--data people.csv";
const SMALL = "--data breast-cancer --depth 2 --width 8 --epochs 2";
/** Without what differs from run to run: when, where and how fast. */
const numbersOf = (json: string): unknown =>
  JSON.parse(json, (name, value) =>
    ["date", "command", "machine", "wallSeconds", "stepMs", "seconds"].includes(name) ? undefined : value,
  );

const FILES = ["comparison.json", "plan.json", "report.html", "trials"];

test("six normalizations of a cnn, learning rates tried: files that agree with --json", async () => {
  const options = "--limit 120 --model cnn --depth 2 --width 4 --epochs 2 --seeds 2";
  const { code, stdout } = await compare(`${options} --json --out six`);
  expect(code).toBe(0);
  expect(filesOf("six")).toEqual(FILES);
  expect(filesOf("six/trials")).toHaveLength(12);
  expect(read("six/comparison.json")).toBe(stdout);
  const comparison: Comparison = JSON.parse(stdout);
  const rates = [0.017, 0.05, 0.15];
  expect(comparison).toMatchObject({
    format: 4,
    command: `node ${cli} compare ${options}`,
    data: {
      name: "digits",
      form: { input: { shape: [8, 8, 1] } },
      examples: 120,
      fileRows: 1797,
      parts: { train: 77, validation: 19, heldOut: 24 },
    },
    metric: "accuracy",
    model: { kind: "cnn", depth: 2, width: 4, activation: "relu" },
    training: { epochs: 2, batchSize: 32, learningRates: rates, optimizer: "sgd", seeds: [1, 2] },
    baseline: "none",
    interrupted: false,
    sweep: null,
  });
  const norms = ["none", "layer", "rms", "batch", "group", "instance"];
  expect(comparison.summaries.map(({ norm, trials }) => [norm, trials])).toEqual(
    norms.map((norm) => [norm, 2]),
  );
  expect(comparison.differences.metric.map(({ norm }) => norm)).toEqual(norms.slice(1));
  expect(comparison.trials.map(({ norm, seed }) => [norm, seed])).toEqual(
    [1, 2].flatMap((seed) => norms.map((norm) => [norm, seed])),
  );
  for (const { epochs, probes, parameters, norm, stepMs, tried, learningRate } of comparison.trials) {
    expect(epochs.map(({ epoch }) => epoch)).toEqual([1, 2]);
    expect(tried.map((each) => each.learningRate)).toEqual(rates);
    expect(rates).toContain(learningRate);
    // six steps in all, each of them probed
    expect(probes.map(({ step }) => step)).toEqual([0, 1, 2, 3, 4, 5]);
    expect(stepMs).toBeGreaterThan(0);
    for (const probe of probes) {
      expect(probe.gradientNorm.every((value) => value !== null && value > 0)).toBe(true);
      expect(
        [probe.gradientNorm, probe.activationMean, probe.activationSpread].map(({ length }) => length),
      ).toEqual([3, 2, 2]);
    }
    // 3·3·1·4 + 4, 3·3·4·4 + 4, 4·10 + 10; a gamma and beta of 4 for each block, of which RMS has no beta
    expect(parameters).toBe(238 + (norm === "none" ? 0 : norm === "rms" ? 8 : 16));
  }
  const { document } = parseHTML(read("six/report.html"));
  const words = (text = "") => text.replaceAll(/\s+/g, " ");
  expect(words(document.querySelector("h1")?.textContent)).toContain(words(headline(comparison)));
});

test("without --json a table on standard output; what is compared, and progress, in plain lines on standard error", async () => {
  const { code, stdout, stderr } = await compare(
    `${SMALL} --norms none,layer --seeds 1 --threads 1 --no-tune --out plain`,
  );
  expect(code).toBe(0);
  const { summaries }: Comparison = JSON.parse(read("plain/comparison.json"));
  const shown = summaries.map(({ metric }) => `${(100 * (metric.median ?? 0)).toFixed(1)}\u00a0%`);
  expect(stdout).toMatch(new RegExp(`^none +${shown[0]} `, "m"));
  expect(stdout).toMatch(new RegExp(`^layer +${shown[1]} `, "m"));
  expect(Math.max(...(stdout + stderr).split("\n").map((line) => line.length))).toBeLessThanOrEqual(100);
  expect(stdout + stderr).not.toContain("\u001b");
  const lines = stderr.split("\n").filter((line) => !line.includes(" left"));
  expect(lines.slice(0, 10)).toEqual([
    "evenkeel compare  breast-cancer: 569 examples",
    'predicts "diagnosis" (2 classes) from 30 inputs: "mean radius", "mean texture",',
    '  "mean perimeter", "mean area", "mean smoothness", "mean compactness" and 24',
    "  more",
    "each seed draws its own parts at random, stratified by class: 364 to train on,",
    "  91 for validation, 114 held out",
    "mlp of 2 layers of 8 · none, layer · baseline: none · 1 seed",
    "sgd, 2 epochs, learning rate 0.05 · judged by accuracy",
    "2 trials, 1 at a time",
    "",
  ]);
  expect(lines[10]).toMatch(
    new RegExp(`^none {5}seed 1 {2}accuracy ${shown[0]} {2}loss 0\\.\\d+ {2}.* s {2}\\(1 of 2\\)$`),
  );
  expect(lines[11]).toMatch(
    new RegExp(`^layer {4}seed 1 {2}accuracy ${shown[1]} {2}loss 0\\.\\d+ {2}.* s {2}\\(2 of 2\\)$`),
  );
  expect(lines.slice(12)).toEqual(["Report  plain/report.html", "Numbers plain/comparison.json", ""]);
});

test("the same seed gives the same numbers, however many threads share the trials", async () => {
  const [one, again, two] = await Promise.all([
    compare(`${SMALL} --seeds 2 --json --out one --threads 1`),
    compare(`${SMALL} --seeds 2 --json --out again --threads 1`),
    compare(`${SMALL} --seeds 2 --json --out two --threads 2`),
  ]);
  expect(numbersOf(again.stdout)).toEqual(numbersOf(one.stdout));
  expect(numbersOf(two.stdout)).toEqual(numbersOf(one.stdout));
  const { trials }: Comparison = JSON.parse(one.stdout);
  expect(trials).toHaveLength(10);
  // and another seed other ones
  const last = trials.map(({ epochs }) => epochs[1]?.trainLoss);
  expect(new Set(last).size).toBe(10);
});

test("more threads than cores, and than Node expects listeners", async () => {
  const { code, stderr } = await compare(
    `${COMMON} --depth 1 --width 4 --epochs 1 --norms none --seeds 11 --threads 11 --no-tune --out threads`,
  );
  expect(code).toBe(0);
  expect(stderr).toContain("\n11 trials, 11 at a time\n");
  expect(stderr.match(/^none {5}seed \d+ .*\(\d+ of 11\)$/gm)).toHaveLength(11);
  expect(stderr).not.toContain("Warning");
});

test("a sweep: every value with every normalization and seed, the comparison's own not run again", async () => {
  const { code, stderr } = await compare(
    `${SMALL} --norms none,layer --seeds 2 --batch-size 64 --sweep batch-size 16,64 --baseline layer --out swept`,
  );
  expect(code).toBe(0);
  expect(stderr).toContain("\nsweeps batch-size over 16, 64\n8 trials, ");
  const { sweep, trials, baseline, differences }: Comparison = JSON.parse(read("swept/comparison.json"));
  expect([baseline, differences.metric.map(({ norm }) => norm)]).toEqual(["layer", ["none"]]);
  expect(trials).toHaveLength(4);
  expect(sweep?.setting).toBe("batch-size");
  const [small, own] = sweep?.points ?? [];
  expect([small?.value, own?.value]).toEqual([16, 64]);
  expect(own?.trials).toEqual(trials);
  // twice as many steps at least
  expect(small?.trials.map(({ norm, seed }) => `${norm} ${seed}`)).toEqual([
    "none 1",
    "layer 1",
    "none 2",
    "layer 2",
  ]);
  expect(small?.trials[0]?.probes.length).toBeGreaterThan(own?.trials[0]?.probes.length ?? 0);
  expect(filesOf("swept/trials")).toHaveLength(8);
});

test.each([
  ["batch-size 16 8", "batch-size", [8, 16]],
  ["Batch_Size=8,16", "batch-size", [8, 16]],
  ["lr=1e-3, 0.01", "learning-rate", [0.001, 0.01]],
])("--sweep %s", async (words, setting, values) => {
  const { code, stdout } = await compare(
    `${COMMON} --depth 1 --width 2 --epochs 1 --norms none --seeds 1 --json --out ${words.replaceAll(/\W/g, "")} --sweep ${words}`,
  );
  expect(code).toBe(0);
  const { sweep, command }: Comparison = JSON.parse(stdout);
  expect([sweep?.setting, sweep?.points.map(({ value }) => value)]).toEqual([setting, values]);
  expect(command.endsWith(`--sweep ${words}`)).toBe(true);
});

test("a grid of learning rates: each trial goes on with the best on its validation part", async () => {
  const { code, stdout } = await compare(
    `${SMALL} --norms none,batch --seeds 2 --tune 0.1,0.0001 --json --out tuned`,
  );
  expect(code).toBe(0);
  const { trials, training, summaries }: Comparison = JSON.parse(stdout);
  expect(training.learningRates).toEqual([0.0001, 0.1]);
  for (const { tried, learningRate } of trials) {
    expect(tried.map((each) => each.learningRate)).toEqual([0.0001, 0.1]);
    const [low, high] = tried.map(({ loss }) => Number(loss));
    expect(learningRate).toBe(high < low ? 0.1 : 0.0001);
  }
  expect(summaries.map(({ learningRate }) => learningRate.median)).toEqual([0.1, 0.1]);
});

test("a second run leaves the first as it is: the next free folder is taken, or the one that is named refused", async () => {
  const home = mkdtempSync(join(workplace, "home-"));
  const run = (more = "") =>
    evenkeel(
      home,
      ..."compare --data breast-cancer --depth 1 --width 4 --epochs 1 --norms none --seeds 1 --no-tune".split(
        " ",
      ),
      ...more.split(" ").filter(Boolean),
    );
  expect((await run()).stderr).toContain("Report  evenkeel-report/report.html\n");
  const first = readFileSync(join(home, "evenkeel-report/comparison.json"), "utf8");
  expect((await run()).stderr).toContain("Report  evenkeel-report-2/report.html\n");
  expect(await run("--out evenkeel-report")).toEqual({
    code: 2,
    stdout: "",
    stderr:
      'error: --out: the folder "evenkeel-report" holds another comparison (its plan.json), which is not overwritten; name another folder, or go on with what is there by --resume evenkeel-report\n',
  });
  expect(readFileSync(join(home, "evenkeel-report/comparison.json"), "utf8")).toBe(first);
  // what is refused for its options makes no folder
  expect((await run("--batch-size 1000")).code).toBe(2);
  expect(readdirSync(home).sort()).toEqual(["evenkeel-report", "evenkeel-report-2"]);
});

test("a file of a relative path is made again, and gone on with, from any folder; without --out, --json and --threads", async () => {
  const options = "--target label --ignore height --depth 1 --width 4 --epochs 1 --norms none --seeds 1";
  const { code } = await compare(`--data ./people.csv ${options} --json --threads 1 --out=relative`);
  expect(code).toBe(0);
  const { command, data }: Comparison = JSON.parse(read("relative/comparison.json"));
  expect(command).toBe(`node ${cli} compare --data ${join(workplace, "people.csv")} ${options}`);
  expect(data).toMatchObject({ provenance: "./people.csv", inputs: [{ column: "age" }] });
  const elsewhere = mkdtempSync(join(workplace, "elsewhere-"));
  execFileSync("sh", ["-c", command], { cwd: elsewhere, stdio: "ignore" });
  expect(numbersOf(readFileSync(join(elsewhere, "evenkeel-report/comparison.json"), "utf8"))).toEqual({
    ...(numbersOf(read("relative/comparison.json")) as object),
    data: { ...data, provenance: join(workplace, "people.csv") },
  });
  rmSync(join(workplace, "relative/report.html"));
  const again = await evenkeel(elsewhere, "compare", "--resume", join(workplace, "relative"));
  expect(again.code).toBe(0);
  const resumed: Comparison = JSON.parse(read("relative/comparison.json"));
  expect([resumed.data.provenance, resumed.command]).toEqual(["./people.csv", command]);
  expect(existsSync(join(workplace, "relative/report.html"))).toBe(true);
});

test("--resume: nothing beside it but what is the machine's, the data unchanged, of this version", async () => {
  const options = "--depth 1 --width 4 --epochs 1 --norms none --seeds 1 --no-tune";
  write("changing.csv", read("people.csv"));
  expect((await compare(`--data changing.csv ${options} --out first`)).code).toBe(0);
  const refused = async (line: string) => {
    const { code, stdout, stderr } = await compare(line);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    return stderr;
  };
  expect(await refused("--resume first --epochs 3")).toBe(
    "error: --resume: every option but --threads, --json, --max-bytes, --max-cells, --queue, --share, --on-stop and --cancel is that of the comparison in its folder, got --epochs beside it; leave it out, or begin anew without --resume\n",
  );
  expect(await refused("--resume nowhere")).toMatch(/^error: --resume: there is no comparison in "nowhere"/);
  const few = await refused("--resume first --max-cells 10");
  expect(few).toMatch(/changing\.csv: expected at most 10 cells/);
  write("changing.csv", read("people.csv").replace("20,150", "21,150"));
  const anew = `node ${cli} compare --data ${join(workplace, "changing.csv")} ${options}`;
  expect(await refused("--resume first --threads 1")).toBe(
    `error: --resume: "${join(workplace, "changing.csv")}" has changed since the comparison in "first" was begun; bring back what it was, or begin anew: ${anew}\n`,
  );
  rmSync(join(workplace, "changing.csv"));
  expect(await refused("--resume first")).toBe(
    `error: --resume: "${join(workplace, "changing.csv")}", the data of the comparison in "first", is not there any more; bring it back, or begin anew: ${anew}\n`,
  );
});

test("links in the folder are never followed, and nothing of ours that is in the way is written over", async () => {
  mkdirSync(join(workplace, "shared"));
  write("precious", "mine");
  symlinkSync("../precious", join(workplace, "shared/report.html"));
  const options = `${COMMON} --depth 1 --width 4 --epochs 1 --norms none --seeds 1 --no-tune`;
  const { code, stderr } = await compare(`${options} --out shared`);
  expect([code, stderr]).toEqual([
    2,
    'error: --out: the folder "shared" holds another comparison (its report.html), which is not overwritten; name another folder\n',
  ]);
  expect(read("precious")).toBe("mine");
  expect(filesOf("shared")).toEqual(["report.html"]);
  expect((await compare(`${options} --out linked`)).code).toBe(0);
  rmSync(join(workplace, "linked/comparison.json"));
  symlinkSync("../precious", join(workplace, "linked/comparison.json"));
  expect((await compare("--resume linked")).code).toBe(0);
  expect(lstatSync(join(workplace, "linked/comparison.json")).isFile()).toBe(true);
  expect(read("precious")).toBe("mine");
  mkdirSync(join(workplace, "folder"));
  rmSync(join(workplace, "linked/report.html"));
  mkdirSync(join(workplace, "linked/report.html"));
  expect((await compare("--resume linked")).stderr).toBe(
    'error: --resume: "linked/report.html" is no file, and one of this name is to be written; move it away\n',
  );
});

const HINT = "(--help lists the options)\n";

test.concurrent.each<[line: string, code: number, stderr: string]>([
  [
    "--norms none,lyer",
    2,
    'error: --norms: "lyer" is not known; did you mean layer? (evenkeel norms lists all)\n',
  ],
  [
    "--norms none,batchrenorm",
    2,
    'error: --norms: "batchrenorm" is not known; did you mean batch-renorm? (evenkeel norms lists all)\n',
  ],
  [
    "--norms adaptive-layer",
    2,
    "error: --norms: adaptive layer normalization has no place in the networks of compare (evenkeel norms lists all)\n",
  ],
  [
    "--model mlp --norms layer,instance",
    2,
    "error: --norms: instance normalization needs positions to normalize over, and --model mlp has none; leave it out, or use --model cnn or residual-cnn or transformer (evenkeel norms lists what fits)\n",
  ],
  [
    `${COMMON} --norms instance`,
    2,
    "error: --norms: instance normalization needs positions to normalize over, and --model mlp has none; leave it out (evenkeel norms lists what fits)\n",
  ],
  [
    "--norms none,,layer",
    2,
    `error: option '--norms <names>' argument 'none,,layer' is invalid. Expected names separated by commas.\n${HINT}`,
  ],
  [
    `${COMMON} --norms layer,batch --baseline btch`,
    2,
    'error: --baseline: expected one of the normalizations that are compared (layer, batch), got "btch"; did you mean batch?\n',
  ],
  [
    `${COMMON} --norms layer,batch --baseline none`,
    2,
    'error: --baseline: expected one of the normalizations that are compared (layer, batch), got "none"; add it to --norms layer,batch,none\n',
  ],
  ["--epoch 3", 2, `error: unknown option '--epoch'\n(Did you mean --epochs?)\n${HINT}`],
  [
    "--epochs ten",
    2,
    `error: option '--epochs <count>' argument 'ten' is invalid. Expected an integer from 1 to 100,000.\n${HINT}`,
  ],
  [
    "--seeds 0",
    2,
    `error: option '--seeds <count>' argument '0' is invalid. Expected an integer from 1 to 1,000.\n${HINT}`,
  ],
  [
    "--learning-rate -1",
    2,
    `error: option '--lr, --learning-rate <rate>' argument '-1' is invalid. Expected a number above 0, such as 0.01.\n${HINT}`,
  ],
  [
    `${COMMON} --reach 90`,
    2,
    "error: --reach: expected at most 1, the best accuracy there is, got 90; 90 % is 0.9\n",
  ],
  [
    "--image 8by8",
    2,
    `error: option '--image <HxW>' argument '8by8' is invalid. Expected HEIGHTxWIDTH, such as 8x8.\n${HINT}`,
  ],
  [
    "--model rnn",
    2,
    `error: option '--model <kind>' argument 'rnn' is invalid. Expected mlp, residual-mlp, cnn, residual-cnn, linear, transformer, lstm, gru, autoencoder or two-towers.\n${HINT}`,
  ],
  ["people.csv", 2, 'error: compare: "people.csv" belongs to no option; did you mean --data people.csv?\n'],
  [
    "--norms none layer",
    2,
    'error: compare: "layer" belongs to no option; several values of one option are separated by commas alone, such as --norms none,layer\n',
  ],
  [
    "--data digits --seeds 2 --data shuttle",
    2,
    'error: --data: expected once, got --data "digits" and --data "shuttle"; leave one of them out\n',
  ],
  [
    "--threads 9999",
    2,
    `error: option '--threads <count>' argument '9999' is invalid. Expected an integer from 1 to ${Math.max(16, 4 * availableParallelism())}.\n${HINT}`,
  ],
  ["--tune --no-tune", 2, "error: --tune: expected once, got --tune and --no-tune; leave one of them out\n"],
  [
    `${COMMON} --metric r2`,
    2,
    'error: --metric: expected one of "accuracy", "balanced accuracy", "AUC" for classification, got "R²"\n',
  ],
  ["--data nowhere.csv", 2, "error: nowhere.csv: there is no such file; check the path\n"],
  [
    "--data digts",
    2,
    'error: --data: there is neither a dataset nor a file "digts"; did you mean "digits"? The datasets are breast-cancer, digits, credit-g, shuttle, vehicle, nox-motorway, supermarket, etth1, electricity, co2, sentiment-imdb, sentiment-amazon, sentiment-yelp, moby-dick, fashion-mnist\n',
  ],
  [
    `${COMMON} --target labl`,
    2,
    'error: --target: there is no column "labl"; did you mean "label"? The columns are "age", "height", "label"\n',
  ],
  [
    "--data truncated.csv.gz",
    1,
    "error: truncated.csv.gz: the compressed data ends too early, the file is truncated; fetch or write it again\n",
  ],
  [
    "--sweep width 8,16",
    2,
    'error: --sweep: expected learning-rate, batch-size, depth or warm-up and values separated by commas, such as --sweep learning-rate 0.001,0.01,0.1; got "width 8,16"\n',
  ],
  [
    "--sweep depth=2,2.5",
    2,
    'error: --sweep: expected learning-rate, batch-size, depth or warm-up and values separated by commas, such as --sweep learning-rate 0.001,0.01,0.1; got "depth=2,2.5": Expected an integer from 1 to 200.\n',
  ],
  [
    "--sweep depth 2,2",
    2,
    'error: --sweep: expected learning-rate, batch-size, depth or warm-up and values separated by commas, such as --sweep learning-rate 0.001,0.01,0.1; got fewer than two values, "depth 2,2"\n',
  ],
  [
    "--tune fast",
    2,
    `error: option '--tune [rates]' argument 'fast' is invalid. Expected learning rates separated by commas, such as 0.001,0.01,0.1 (--no-tune tries none).\n${HINT}`,
  ],
  [
    "--delimiter ab",
    2,
    `error: option '--delimiter <character>' argument 'ab' is invalid. Expected one character, or comma, semicolon, pipe, tab or space (for any number of blanks).\n${HINT}`,
  ],
  [
    "--header maybe",
    2,
    `error: option '--header <yes|no>' argument 'maybe' is invalid. Expected yes or no.\n${HINT}`,
  ],
  [
    "--encoding utf-7",
    2,
    `error: option '--encoding <name>' argument 'utf-7' is invalid. Expected a name such as utf-8, utf-16le, windows-1252 or shift_jis.\n${HINT}`,
  ],
  [
    "--max-bytes lots",
    2,
    `error: option '--max-bytes <size>' argument 'lots' is invalid. Expected a number of bytes, such as 4GB.\n${HINT}`,
  ],
  [
    `${COMMON} --batch-size 65`,
    2,
    "error: --batch-size: must be at most the 64 training examples, got 65; use 64 or less\n",
  ],
  [
    `${COMMON} --sweep depth 1,2 --sweep batch-size 8,16`,
    2,
    'error: --sweep: expected learning-rate, batch-size, depth or warm-up and values separated by commas, such as --sweep learning-rate 0.001,0.01,0.1; got several settings, "depth 1,2 batch-size 8,16": sweep one at a time\n',
  ],
  [
    `${COMMON} --out a-file`,
    1,
    'error: --out: cannot write into the folder "a-file" (ENOTDIR: not a directory); name another one, or free space or allow it\n',
  ],
  [
    `${COMMON} --out /proc/evenkeel`,
    1,
    'error: --out: cannot write into the folder "/proc/evenkeel" (ENOENT: no such file or directory); name another one, or free space or allow it\n',
  ],
  [
    `--epochs ${"x".repeat(5000)}`,
    2,
    `error: option '--epochs <count>' argument '${"x".repeat(199)}… is invalid. Expected an integer from 1 to 100,000.\n${HINT}`,
  ],
  [
    "--epochs \u001b]52;c;ZXZpbA==\u0007\u202e",
    2,
    `error: option '--epochs <count>' argument '\ufffd]52;c;ZXZpbA==\ufffd\ufffd' is invalid. Expected an integer from 1 to 100,000.\n${HINT}`,
  ],
])("refused: %s", async (line, code, stderr) => {
  expect(await compare(line)).toEqual({ code, stdout: "", stderr });
  expect(read("a-file")).toBe("mine");
});

test("the default folder is not made for what is refused", () => {
  expect(readdirSync(workplace).filter((name) => name.startsWith("evenkeel-report"))).toEqual([]);
});

test.each([80, 40])("help at %d columns", async (columns) => {
  const line = [cli, "compare", "--help"];
  const shown = execFileSync(
    "script",
    ["-qec", `stty cols ${columns}; node ${line.join(" ")}`, "/dev/null"],
    {
      encoding: "utf8",
    },
  );
  const options = shown.slice(0, shown.indexOf("How the file")).split("\r\n");
  expect(Math.max(...options.map((each) => each.length))).toBeLessThanOrEqual(columns);
});

test("every option is told by --help, none of its lines wider than 80 columns", async () => {
  const { code, stdout } = await compare("--help");
  expect(code).toBe(0);
  expect(Math.max(...stdout.split("\n").map((line) => line.length))).toBeLessThanOrEqual(80);
  for (const group of ["Data:", "Network:", "Comparison:", "Training:", "Results:", "Examples:"]) {
    expect(stdout).toContain(`\n${group}\n`);
  }
});

test.each([
  ["standard output", "1"],
  ["both", "1 2"],
])("a reader of %s that has seen enough is no failure", async (_, closed) => {
  const out = `unread-${closed.length}`;
  const { child, ended } = start(
    workplace,
    ..."compare --data breast-cancer --depth 2 --width 8 --epochs 2 --norms none --seeds 2 --json --out".split(
      " ",
    ),
    out,
  );
  child.stdout.destroy();
  if (closed.includes("2")) child.stderr.once("data", () => child.stderr.destroy());
  const { code, stderr } = await ended;
  expect(code).toBe(0);
  if (!closed.includes("2")) expect(stderr).toContain(`Numbers ${out}/comparison.json\n`);
  expect(filesOf(out)).toEqual(FILES);
  expect(JSON.parse(read(`${out}/comparison.json`)).trials).toHaveLength(2);
});

test("2>&1 | head -1: the results are written all the same", async () => {
  const line = `${SMALL} --norms none --seeds 2 --out headed`;
  const shown = await new Promise<string>((resolve, reject) => {
    const shell = spawn(
      "sh",
      ["-c", `"$0" "$@" 2>&1 | head -1`, process.execPath, cli, "compare", ...line.split(" ")],
      {
        cwd: workplace,
      },
    );
    let text = "";
    shell.stdout.on("data", (some) => {
      text += some;
    });
    shell.on("error", reject);
    shell.on("close", () => resolve(text));
  });
  expect(shown).toBe("evenkeel compare  breast-cancer: 569 examples\n");
  expect(filesOf("headed")).toEqual(FILES);
});

test("a device that is full: the exit code says that the output is not whole, the files are", async () => {
  const line = `${SMALL} --norms none --seeds 1 --json --out device`;
  const code = await new Promise((resolve) =>
    spawn(
      "sh",
      ["-c", `"$0" "$@" >/dev/full 2>/dev/null`, process.execPath, cli, "compare", ...line.split(" ")],
      {
        cwd: workplace,
      },
    ).on("close", resolve),
  );
  expect(code).toBe(1);
  expect(filesOf("device")).toEqual(FILES);
});

test("regression: R² in the table, the report and the numbers", async () => {
  const { code, stdout } = await compare(
    "--data plane.csv --depth 2 --width 16 --epochs 20 --learning-rate 0.01 --optimizer adam --seeds 1 --norms none,layer --out plane",
  );
  expect(code).toBe(0);
  const comparison: Comparison = JSON.parse(read("plane/comparison.json"));
  expect(comparison).toMatchObject({ metric: "R²", data: { task: "regression", target: "y" } });
  const r2 = comparison.summaries[0]?.metric.median ?? 0;
  // y is linear in a and b, so a network that learns explains nearly all of it
  expect(r2).toBeGreaterThan(0.9);
  expect(r2).toBeLessThanOrEqual(1);
  expect(stdout).toMatch(new RegExp(`^none +${r2.toFixed(3)} `, "m"));
  expect(stdout).toMatch(/^ +R² /m);
  expect(read("plane/report.html")).toContain(r2.toFixed(3));
});

test("trials that diverge end in a table and a report that say so", async () => {
  const { code, stdout, stderr } = await compare(
    "--data breast-cancer --depth 4 --width 16 --epochs 3 --learning-rate 1000000000000 --seeds 2 --norms none,layer --out diverged",
  );
  expect(code).toBe(0);
  const { trials, summaries }: Comparison = JSON.parse(read("diverged/comparison.json"));
  const nothing: Range = { median: null, min: null, max: null };
  expect(summaries[0]).toMatchObject({
    norm: "none",
    trials: 2,
    diverged: 2,
    metric: nothing,
    epochsToTarget: { ...nothing, reached: 0 },
  });
  for (const { outcome, epochs } of trials.filter(({ norm }) => norm === "none")) {
    expect(outcome).toBe("diverged");
    expect(epochs.at(-1)).toMatchObject({ trainLoss: null, heldOutLoss: null, metric: null });
  }
  expect(stderr).toMatch(/^none {5}seed 2 {2}diverged in epoch 1 {2}/m);
  expect(stdout).toMatch(/^none +– .*\n.*2 of 2 diverged/m);
  expect(read("diverged/report.html")).toMatch(/diverge/);
});
