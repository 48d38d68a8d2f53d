/** `evenkeel compare` as its user meets it: a process with arguments, two streams, an exit code and a folder. */
import { spawn } from "node:child_process";
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
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import type { Range } from "@evenkeel/report/statistics";
import { parseHTML } from "linkedom";
import { afterAll, expect, test } from "vitest";
import { headline } from "../../src/findings.js";
import type { Comparison } from "../../src/results.js";

const cli = fileURLToPath(new URL("../../dist/cli.js", import.meta.url));
const workplace = mkdtempSync(join(tmpdir(), "evenkeel-compare-"));
afterAll(() => rmSync(workplace, { recursive: true, force: true }));

interface Outcome {
  /** Null where a signal ended the process. */
  code: number | null;
  stdout: string;
  stderr: string;
}

/** As in a CI, which some libraries take for a terminal with colours. */
const start = (line: string) =>
  spawn(process.execPath, [cli, "compare", ...line.split(" ")], {
    cwd: workplace,
    env: { ...process.env, CI: "true" },
  });

/** Runs `evenkeel compare` in the workplace; sends Ctrl-C once, as soon as standard error holds `interruptAt`. */
function compare(line: string, interruptAt?: RegExp): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = start(line);
    let stdout = "";
    let stderr = "";
    let sent = false;
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr += text;
      if (sent || !interruptAt?.test(stderr)) return;
      sent = true;
      child.kill("SIGINT");
    });
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, stdout, stderr }));
  });
}

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
/** Each trial takes longer than any test waits. */
const ENDLESS = "--data breast-cancer --depth 2 --width 8 --epochs 100000 --threads 1";

/** Without what differs from run to run: when, where and how fast. */
function numbersOf(json: string): unknown {
  const { date, command, machine, wallSeconds, summaries, trials, ...rest }: Comparison = JSON.parse(json);
  return {
    ...rest,
    summaries: summaries.map(({ stepMs, ...summary }) => summary),
    trials: trials.map(({ stepMs, ...trial }) => trial),
  };
}

test("six normalizations of a cnn: two files that agree with --json, and no others", async () => {
  const options = "--limit 120 --model cnn --depth 2 --width 4 --epochs 2 --seeds 2 --json --out six";
  const { code, stdout } = await compare(options);
  expect(code).toBe(0);
  expect(filesOf("six")).toEqual(["comparison.json", "report.html"]);
  expect(read("six/comparison.json")).toBe(stdout);
  const comparison: Comparison = JSON.parse(stdout);
  expect(comparison).toMatchObject({
    command: `npm start -- ${options}`,
    data: { name: "digits", trainCount: 96, heldOutCount: 24, inputShape: [8, 8, 1] },
    metric: "accuracy",
    model: { kind: "cnn", depth: 2, width: 4, activation: "relu" },
    training: { epochs: 2, batchSize: 32, learningRate: 0.05, optimizer: "sgd", seeds: [1, 2] },
    interrupted: false,
  });
  const norms = ["none", "layer", "rms", "batch", "group", "instance"];
  expect(comparison.summaries.map(({ norm, trials }) => [norm, trials])).toEqual(
    norms.map((norm) => [norm, 2]),
  );
  expect(comparison.trials.map(({ norm, seed }) => [norm, seed])).toEqual(
    [1, 2].flatMap((seed) => norms.map((norm) => [norm, seed])),
  );
  for (const { epochs, probes, parameters, norm, stepMs } of comparison.trials) {
    expect(epochs.map(({ epoch }) => epoch)).toEqual([1, 2]);
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
  expect(document.querySelector("h1")?.textContent).toContain(headline(comparison));
});

test("without --json a table on standard output; progress, in plain lines, on standard error", async () => {
  const { code, stdout, stderr } = await compare(
    `${SMALL} --norms none,layer --seeds 1 --threads 1 --out plain`,
  );
  expect(code).toBe(0);
  const { summaries }: Comparison = JSON.parse(read("plain/comparison.json"));
  const shown = summaries.map(({ metric }) => `${(100 * (metric.median ?? 0)).toFixed(1)}\u00a0%`);
  expect(stdout).toMatch(new RegExp(`│ none +│ +${shown[0]} │`));
  expect(stdout).toMatch(new RegExp(`│ layer +│ +${shown[1]} │`));
  expect(Math.max(...stdout.split("\n").map((line) => line.length))).toBeLessThanOrEqual(80);
  expect(stdout + stderr).not.toContain("\u001b");
  const lines = stderr.split("\n").filter((line) => !line.includes(" left"));
  expect(lines.slice(0, 5)).toEqual([
    "evenkeel compare  breast-cancer: 455 examples to train on, 114 held out",
    "mlp of 2 layers of 8  ·  none, layer  ·  1 seed",
    'predicts "diagnosis" (2 classes) from 30 inputs: mean radius, mean texture, mean perimeter, mean area, ...',
    "2 trials, 1 at a time",
    "",
  ]);
  expect(lines[5]).toMatch(
    new RegExp(`^none     seed 1  accuracy ${shown[0]}  loss 0\\.\\d+  .* s  \\(1 of 2\\)$`),
  );
  expect(lines[6]).toMatch(
    new RegExp(`^layer    seed 1  accuracy ${shown[1]}  loss 0\\.\\d+  .* s  \\(2 of 2\\)$`),
  );
  expect(lines.slice(7)).toEqual(["Report  plain/report.html", "Numbers plain/comparison.json", ""]);
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
    `${COMMON} --depth 1 --width 4 --epochs 1 --norms none --seeds 11 --threads 11 --out threads`,
  );
  expect(code).toBe(0);
  const lines = stderr.split("\n").filter((line) => !line.includes(" left"));
  expect(lines[3]).toBe("11 trials, 11 at a time");
  expect(
    lines.slice(5, 16).every((line) => /^none {5}seed \d+ {2}accuracy .*\(\d+ of 11\)$/.test(line)),
  ).toBe(true);
  expect(lines.slice(16)).toEqual(["Report  threads/report.html", "Numbers threads/comparison.json", ""]);
});

test("Ctrl-C keeps the trials that have finished, and says that it was stopped", async () => {
  const options =
    "--data breast-cancer --depth 2 --width 8 --epochs 20 --norms none,layer --seeds 50 --threads 1";
  const { code, stdout, stderr } = await compare(`${options} --out stopped`, /\(1 of 100\)/);
  expect(code).toBe(130);
  expect(filesOf("stopped")).toEqual(["comparison.json", "report.html"]);
  const comparison: Comparison = JSON.parse(read("stopped/comparison.json"));
  const finished = comparison.trials.length;
  expect(comparison.interrupted).toBe(true);
  // the signal may come after another trial or two
  expect(finished).toBeGreaterThanOrEqual(1);
  expect(finished).toBeLessThan(100);
  expect(comparison.trials[0]).toMatchObject({ norm: "none", seed: 1, outcome: "finished" });
  expect(comparison.trials[0]?.epochs).toHaveLength(20);
  expect(stdout).toMatch(/│ none +│ +\d+\.\d/);
  expect(stderr).toContain(`Stopped: ${finished} of 100 trials had finished; their results were written.\n`);
  expect(parseHTML(read("stopped/report.html")).document.body.textContent).toMatch(/stopped/i);
});

test("Ctrl-C before any trial has finished writes nothing", async () => {
  const { code, stdout, stderr } = await compare(`${ENDLESS} --out nothing`, /15 trials, 1 at a time/);
  expect(code).toBe(130);
  expect(stdout).toBe("");
  expect(stderr).toContain("\nStopped before any trial had finished; nothing was written.\n");
  expect(filesOf("nothing")).toEqual([]);
});

const HINT = "(--help lists the options)\n";

test.concurrent.each<[line: string, code: number, stderr: string]>([
  [
    "--norms none,lyer",
    2,
    'error: --norms: "lyer" is not known; did you mean layer? (evenkeel norms lists\nall)\n',
  ],
  [
    "--norms none,batchrenorm",
    2,
    'error: --norms: "batchrenorm" is not known; did you mean batch-renorm? (evenkeel\nnorms lists all)\n',
  ],
  [
    "--norms adaptive-layer",
    2,
    "error: --norms: adaptive layer normalization has no place in the networks of\ncompare (evenkeel norms lists all)\n",
  ],
  [
    "--model mlp --norms layer,instance",
    2,
    "error: --norms: instance normalization needs positions to normalize over, and\n--model mlp has none; leave it out, or use --model cnn (evenkeel norms lists\nwhat fits)\n",
  ],
  [
    `${COMMON} --norms instance`,
    2,
    "error: --norms: instance normalization needs positions to normalize over, and\n--model mlp has none; leave it out, or use --model cnn (evenkeel norms lists\nwhat fits)\n",
  ],
  [
    "--norms none,,layer",
    2,
    `error: option '--norms <names>' argument 'none,,layer' is invalid. Expected names separated by commas.\n${HINT}`,
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
    `error: option '--learning-rate <rate>' argument '-1' is invalid. Expected a number above 0.\n${HINT}`,
  ],
  [
    "--reach 90",
    2,
    `error: option '--reach <metric>' argument '90' is invalid. Expected a number above 0 and at most 1, such as 0.9 for 90 %.\n${HINT}`,
  ],
  [
    "--image 8by8",
    2,
    `error: option '--image <HxW>' argument '8by8' is invalid. Expected HEIGHTxWIDTH, such as 8x8.\n${HINT}`,
  ],
  [
    "--model rnn",
    2,
    `error: option '--model <kind>' argument 'rnn' is invalid. Allowed choices are mlp, cnn.\n${HINT}`,
  ],
  ["digits", 2, `error: too many arguments for 'compare'. Expected 0 arguments but got 1.\n${HINT}`],
  ["--data nowhere.csv", 2, "error: nowhere.csv: there is no such file; check the path\n"],
  [
    "--data digts",
    2,
    'error: --data: there is neither a dataset nor a file "digts"; did you mean "digits"? The datasets are breast-cancer, digits, credit-g, shuttle, fashion-mnist\n',
  ],
  [
    `${COMMON} --target labl`,
    2,
    'error: --target: there is no column "labl"; did you mean "label"? The columns are "age", "height", "label"\n',
  ],
  [
    "--data word.csv",
    2,
    'error: row 17, column "age": expected a number, got "forty"; correct the value, or name the column with --categorical age\n',
  ],
  [
    "--data constant.csv",
    2,
    'error: target "label": expected at least two different values to learn from, got only "yes" in 100 rows; choose another column with --target\n',
  ],
  [
    "--data truncated.csv.gz",
    1,
    "error: truncated.csv.gz: the compressed data ends too early, the file is truncated; fetch or write it again\n",
  ],
  [
    `${COMMON} --model cnn`,
    2,
    "error: --model cnn: needs images, and this data has 2 separate features; use --model mlp, or name the size of the images with --image HEIGHTxWIDTH\n",
  ],
  [
    `${COMMON} --model cnn --image 1x2`,
    2,
    "error: --model cnn: needs images of at least 4x4 pixels, got 1x2; use --model mlp\n",
  ],
  [`${COMMON} --batch-size 81`, 2, "error: --batch-size: must be at most the 80 training examples, got 81\n"],
  [
    `${COMMON} --batch-size 79`,
    2,
    "error: --batch-size: 79 leaves a last batch of a single one of the 80 training examples, which has no variance for batch normalization; use 80\n",
  ],
  [
    // 49 examples leave one over for 3 and for 4 as well
    `${COMMON} --limit 61 --batch-size 2`,
    2,
    "error: --batch-size: 2 leaves a last batch of a single one of the 49 training examples, which has no variance for batch normalization; use 5\n",
  ],
  [
    `${COMMON} --out a-file`,
    1,
    "error: --out: cannot write into the folder \"a-file\" (EEXIST: file already exists, mkdir 'a-file'); name another one, or give this one write permission\n",
  ],
  [
    `${COMMON} --out a-file/below`,
    1,
    "error: --out: cannot write into the folder \"a-file/below\" (ENOTDIR: not a directory, mkdir 'a-file/below'); name another one, or give this one write permission\n",
  ],
])("refused: %s", async (line, code, stderr) => {
  expect(await compare(line)).toEqual({ code, stdout: "", stderr });
  // the default folder is not made for what is refused
  expect(existsSync(join(workplace, "evenkeel-report"))).toBe(false);
  expect(read("a-file")).toBe("mine");
});

test("what is refused leaves an earlier report as it is", async () => {
  mkdirSync(join(workplace, "earlier"));
  write("earlier/report.html", "an earlier report");
  write("earlier/comparison.json", "{}");
  const { code } = await compare(`${COMMON} --batch-size 79 --out earlier`);
  expect(code).toBe(2);
  const stopped = await compare(`${ENDLESS} --out earlier`, /trials, /);
  expect(stopped.code).toBe(130);
  expect(filesOf("earlier")).toEqual(["comparison.json", "report.html"]);
  expect(read("earlier/report.html")).toBe("an earlier report");
  expect(read("earlier/comparison.json")).toBe("{}");
});

test("where the files cannot be written after all, the numbers are still shown and nothing is left half-written", async () => {
  mkdirSync(join(workplace, "taken/report.html"), { recursive: true });
  write("taken/comparison.json", "{}");
  const { code, stdout, stderr } = await compare(`${SMALL} --norms none --seeds 1 --json --out taken`);
  expect(code).toBe(1);
  expect(JSON.parse(stdout)).toMatchObject({ interrupted: false, summaries: [{ norm: "none", trials: 1 }] });
  expect(stderr).toMatch(
    /error: --out: cannot write the results into "taken" \(.*\); free space or name another folder\n$/,
  );
  expect(filesOf("taken")).toEqual(["comparison.json", "report.html"]);
  expect(read("taken/comparison.json")).toBe("{}");
});

test("a reader that has seen enough is no failure", async () => {
  const outcome = await new Promise<Outcome>((resolve, reject) => {
    const line = `${SMALL} --norms none --seeds 1 --json --out unread`;
    const child = start(line);
    let stderr = "";
    child.stdout.destroy();
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr += text;
    });
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, stdout: "", stderr }));
  });
  expect(outcome.code).toBe(0);
  expect(outcome.stderr).toContain("Numbers unread/comparison.json\n");
  expect(filesOf("unread")).toEqual(["comparison.json", "report.html"]);
});

test("regression: R² in the table, the report and the numbers", async () => {
  const { code, stdout } = await compare(
    "--data plane.csv --depth 2 --width 16 --epochs 20 --learning-rate 0.01 --optimizer adam --seeds 1 --norms none,layer --out plane",
  );
  expect(code).toBe(0);
  const comparison: Comparison = JSON.parse(read("plane/comparison.json"));
  expect(comparison).toMatchObject({ metric: "R²", data: { task: "regression", target: "y", baseline: 0 } });
  const r2 = comparison.summaries[0]?.metric.median ?? 0;
  // y is linear in a and b, so a network that learns explains nearly all of it
  expect(r2).toBeGreaterThan(0.9);
  expect(r2).toBeLessThanOrEqual(1);
  expect(stdout).toMatch(new RegExp(`│ none +│ +${r2.toFixed(3)} │`));
  expect(stdout).toMatch(/│ +│ +R² │/);
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
  expect(stdout).toMatch(/│ none +│ +– │ +– │.*\n│ +│ 2 of 2 diverged │/);
  expect(read("diverged/report.html")).toMatch(/diverge/);
});
