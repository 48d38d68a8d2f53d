/** What a comparison makes of its trials, by numbers worked out by hand; and the table, for whatever they are. */
import { describe, expect, test } from "vitest";
// as built, because the worker beside it is started as it stands
import { runTrials } from "../dist/comparison.js";
import { baselineOf, summarize, targetOf, withTarget } from "../src/comparison.js";
import { fits, groupsOf } from "../src/norms.js";
import type { Comparison, NormName, Spread, Summary, Trial } from "../src/results.js";
import { usualBatchSize } from "../src/settings.js";
import { summaryTable, summaryText } from "../src/summary.js";
import type { TrialData, TrialSpec } from "../src/trial.js";
import { syntheticComparison } from "./synthetic-comparison.js";

/** A trial with these metrics, epoch by epoch. */
function trial(norm: NormName, metrics: (number | null)[], more: Partial<Trial> = {}): Trial {
  return {
    norm,
    seed: 1,
    outcome: "finished",
    parameters: 10,
    epochs: metrics.map((metric, i) => ({ epoch: i + 1, trainLoss: 1, heldOutLoss: 1, metric })),
    probes: [],
    stepMs: 1,
    epochsToTarget: null,
    ...more,
  };
}

/** Looks into a network of which only the gradients matter. */
const probesOf = (...gradientNorms: (number | null)[][]) =>
  gradientNorms.map((gradientNorm, step) => ({
    step,
    gradientNorm,
    activationMean: [],
    activationSpread: [],
  }));

const nothing: Spread = { median: null, min: null, max: null };

describe("runTrials", () => {
  const examples = { x: Float32Array.from([0, 1, 2, 3]), y: Float32Array.from([0, 1, 0, 1]), count: 4 };
  const spec = (norm: NormName, seed: number, units = 2): TrialSpec => ({
    norm,
    seed,
    model: { kind: "mlp", depth: 1, width: units, activation: "relu" },
    training: { epochs: 2, batchSize: 2, learningRate: 0.1, optimizer: "sgd" },
    data: {
      task: "classification",
      inputShape: [1],
      classes: ["a", "b"],
      train: examples,
      heldOut: examples,
    },
  });
  const watcher = { started() {}, progress() {}, finished() {} };

  test("gives the trials in the order asked for", async () => {
    const specs = [spec("rms", 2), spec("none", 1), spec("rms", 1)];
    const { trials, failure } = await runTrials(specs, 2, watcher, new AbortController().signal);
    expect(failure).toBeUndefined();
    expect(trials.map(({ norm, seed, epochs }) => [norm, seed, epochs.length])).toEqual([
      ["rms", 2, 2],
      ["none", 1, 2],
      ["rms", 1, 2],
    ]);
  });

  test("a gradient that vanishes is measured where its square is too small for float32", async () => {
    const deep = spec("none", 1);
    deep.model = { kind: "mlp", depth: 40, width: 2, activation: "sigmoid" };
    const { trials } = await runTrials([deep], 1, watcher, new AbortController().signal);
    const norms = trials[0]?.probes[0]?.gradientNorm ?? [];
    expect(norms).toHaveLength(41);
    expect(norms[0]).toBeGreaterThan(0);
    expect(norms[0]).toBeLessThan(1e-23);
  });

  test("a network that its very last update ruins has diverged, and has no metric", async () => {
    const ruined = spec("none", 1);
    ruined.model.activation = "elu";
    ruined.training = { epochs: 1, batchSize: 4, learningRate: 1e30, optimizer: "sgd" };
    const { trials } = await runTrials([ruined], 1, watcher, new AbortController().signal);
    expect(trials).toMatchObject([{ outcome: "diverged", epochs: [{ heldOutLoss: null, metric: null }] }]);
    expect(trials[0]?.epochs[0]?.trainLoss).toBeGreaterThan(0);
  });

  test("where one fails it says which and why, keeps what had finished, and starts no other", async () => {
    const started: NormName[] = [];
    const { trials, failure } = await runTrials(
      [spec("none", 1), spec("batch", 3, -1), spec("layer", 1)],
      1,
      { ...watcher, started: ({ norm }) => started.push(norm) },
      new AbortController().signal,
    );
    expect(trials.map(({ norm }) => norm)).toEqual(["none"]);
    expect(started).toEqual(["none", "batch"]);
    expect(failure?.exitCode).toBe(1);
    expect(failure?.message).toMatch(
      /^the trial of batch with seed 3 failed: .*-1.*\nWhere the network is too large for the memory, use a smaller --width, --depth or --batch-size, or fewer --threads$/,
    );
  });

  test("where one fails, those that run beside it are ended, and the reason is its own", async () => {
    const endless = spec("none", 1);
    endless.training.epochs = 1_000_000;
    const { trials, failure } = await runTrials(
      [endless, spec("rms", 2, -1)],
      2,
      watcher,
      new AbortController().signal,
    );
    expect(trials).toEqual([]);
    expect(failure?.message).toMatch(/^the trial of rms with seed 2 failed: /);
  });
});

describe("targetOf", () => {
  test("nine tenths of the way from guessing to the best of any epoch, not of the last", () => {
    const trials = [trial("none", [0.2, 0.5, 0.3]), trial("layer", [0.4, 0.7, 0.6])];
    expect(targetOf(trials, 0.2, 0.25)).toBeCloseTo(0.65, 12);
  });

  test("epochs without a metric count for nothing", () => {
    expect(targetOf([trial("none", [null, 1, null]), trial("layer", [null])], 0.5, 0.6)).toBeCloseTo(
      0.95,
      12,
    );
  });

  test("none where no epoch was above guessing, and then nothing reaches it", () => {
    const trials = [trial("none", [0.3, 0.54]), trial("layer", [null])];
    expect(targetOf(trials, 0.5, 0.55)).toBe(null);
    expect(withTarget(trials, null).map(({ epochsToTarget }) => epochsToTarget)).toEqual([null, null]);
    expect(targetOf([trial("none", [-3, -0.1])], 0, 0.01)).toBe(null);
  });

  test("more epochs than a function can have arguments", () => {
    const long = trial("none", new Array<number>(200_000).fill(0.6));
    expect(targetOf([long], 0.5, 0.55)).toBeCloseTo(0.59, 12);
  });
});

test("withTarget: the first epoch that reaches it, whatever comes later; nothing else changes", () => {
  const trials = [
    trial("none", [0.1, 0.8, 0.5, 0.9]),
    trial("layer", [null, null, 0.81]),
    trial("rms", [0.79, 0.7999]),
    trial("batch", []),
  ];
  const before = structuredClone(trials);
  const after = withTarget(trials, 0.8);
  expect(after.map(({ epochsToTarget }) => epochsToTarget)).toEqual([2, 3, null, null]);
  expect(after.map((each) => ({ ...each, epochsToTarget: null }))).toEqual(before);
  expect(trials).toEqual(before);
});

test("summarize: a row for each normalization in the order named, by hand", () => {
  const trials = [
    trial("layer", [0.5, 0.9], {
      stepMs: 4,
      epochsToTarget: 2,
      // 1/4, 1 and 4/1: in the middle, even
      probes: probesOf([1, 7, 4], [3, 7, 3], [4, 7, 1]),
    }),
    trial("layer", [0.9, 0.7], { stepMs: 1, epochsToTarget: 1, probes: probesOf([2, 1], [8, 1]) }),
    trial("layer", [0.6, 0.6], { stepMs: 2, probes: probesOf([0.5, 5]) }),
    trial("layer", [0.8, 0.1], { stepMs: 3, epochsToTarget: 4, probes: probesOf([3, 1]) }),
    trial("none", [0.4, 0.8], {
      outcome: "diverged",
      stepMs: 9,
      // not a number, a last layer without any gradient, and one that is left: 2/8
      probes: probesOf([null, 1], [1, null], [1, 0], [2, 8]),
    }),
    trial("none", [0.3], { stepMs: 5 }),
  ];
  const [none, layer, batch] = summarize(["none", "layer", "batch"], trials);
  expect(none).toEqual({
    norm: "none",
    trials: 2,
    diverged: 1,
    // the diverged one has none
    metric: { median: 0.3, min: 0.3, max: 0.3 },
    epochsToTarget: { ...nothing, reached: 0 },
    stepMs: { median: 7, min: 5, max: 9 },
    gradientRatio: { median: 0.25, min: 0.25, max: 0.25 },
  });
  expect(layer).toMatchObject({
    norm: "layer",
    trials: 4,
    diverged: 0,
    epochsToTarget: { median: 2, min: 1, max: 4, reached: 3 },
    stepMs: { median: 2.5, min: 1, max: 4 },
  });
  // the last epochs are 0.9, 0.7, 0.6, 0.1
  expect(layer?.metric.median).toBeCloseTo(0.65, 12);
  expect([layer?.metric.min, layer?.metric.max]).toEqual([0.1, 0.9]);
  // 1, (2 + 8)/2 = 5, 0.1, 3
  expect(layer?.gradientRatio.median).toBeCloseTo(2, 12);
  expect(layer?.gradientRatio.min).toBeCloseTo(0.1, 12);
  expect(layer?.gradientRatio.max).toBeCloseTo(5, 12);
  expect(batch).toEqual({
    norm: "batch",
    trials: 0,
    diverged: 0,
    metric: nothing,
    epochsToTarget: { ...nothing, reached: 0 },
    stepMs: nothing,
    gradientRatio: nothing,
  });
});

test("summarize: one probe without a gradient in the first layer does not decide for the others", () => {
  const probes = probesOf([0, 1], [1, 2], [3, 4]);
  const [{ gradientRatio }] = summarize(["none"], [trial("none", [], { probes })]) as [Summary];
  expect(gradientRatio.median).toBe(0.5);
});

test("the usual batch size leaves no batch of one", () => {
  expect([1438, 33, 65, 20, 2, 97].map((examples) => usualBatchSize(examples))).toEqual([
    32, 33, 33, 20, 2, 33,
  ]);
  for (let examples = 2; examples < 3000; examples++) {
    expect(examples % usualBatchSize(examples), String(examples)).not.toBe(1);
  }
});

describe("baselineOf", () => {
  const data = (
    task: TrialData["task"],
    classes: string[],
    train: number[],
    heldOut: number[],
  ): TrialData => ({
    task,
    classes,
    inputShape: [1],
    train: { x: new Float32Array(train.length), y: Float32Array.from(train), count: train.length },
    heldOut: { x: new Float32Array(heldOut.length), y: Float32Array.from(heldOut), count: heldOut.length },
  });

  test("the share of the most frequent class of the held-out examples", () => {
    expect(baselineOf(data("classification", ["a", "b", "c"], [0, 0, 0, 0, 0], [0, 2, 2, 1, 2, 2]))).toBe(
      4 / 6,
    );
  });

  test("0 for regression", () => {
    expect(baselineOf(data("regression", [], [1, 2], [3, 3, 4]))).toBe(0);
  });
});

test("groupsOf: at most eight, of four channels or more; one where the width allows no others", () => {
  const widths = [1, 2, 4, 7, 8, 12, 16, 20, 22, 24, 32, 64, 67, 100, 4096];
  expect(widths.map((width) => [width, groupsOf(width)])).toEqual([
    [1, 1],
    [2, 1],
    [4, 1],
    [7, 1],
    [8, 2],
    [12, 3],
    [16, 4],
    [20, 5],
    [22, 2],
    [24, 6],
    [32, 8],
    [64, 8],
    [67, 1],
    [100, 5],
    [4096, 8],
  ]);
});

test("fits: instance normalization needs positions, all others fit both networks", () => {
  const norms: NormName[] = ["none", "layer", "rms", "batch", "group", "instance"];
  expect(norms.filter((norm) => fits(norm, "mlp"))).toEqual(["none", "layer", "rms", "batch", "group"]);
  expect(norms.filter((norm) => fits(norm, "cnn"))).toEqual(norms);
});

describe("the table", () => {
  const spread = (median: number, min: number, max: number): Spread => ({ median, min, max });

  /** Every cell as wide as it comes. */
  const awkward = (
    metric: Comparison["metric"],
    values: Spread,
    more: Partial<Comparison> = {},
  ): Comparison => {
    const comparison = syntheticComparison({ metric });
    return {
      ...comparison,
      summaries: comparison.summaries.map((summary) => ({
        ...summary,
        trials: 1000,
        diverged: 999,
        metric: values,
        epochsToTarget: { ...spread(10_000.5, 1, 100_000), reached: 999 },
        stepMs: spread(123_456, 1, 1e6),
        gradientRatio: spread(1.23e-12, 1e-45, 1e12),
      })),
      ...more,
    };
  };

  const CASES: Record<string, Comparison> = {
    "as usual": syntheticComparison(),
    "100 %": awkward("accuracy", spread(1, 1, 1)),
    "a wide range of accuracy": awkward("accuracy", spread(0.999, 0.101, 1)),
    "R² far below 0": awkward("R²", spread(-1.23e12, -4.56e34, -1.23e10)),
    "R² near 0": awkward("R²", spread(-0.123, -9.999, 0.999)),
    "a target of many digits": awkward("R²", spread(0.5, 0.1, 0.9), { targetMetric: 0.123456789012345 }),
    "all diverged": syntheticComparison({ diverging: { none: 1, layer: 2, rms: 1 }, seeds: [1, 2, 3] }),
    stopped: syntheticComparison({ unfinished: ["group", "instance"] }),
    "a long name": syntheticComparison({
      metric: "R²",
      dataName: "a-rather-long-name-of-a-file-of-data",
    }),
  };

  test.each(Object.keys(CASES))("fits 80 columns: %s", (name) => {
    const lines = summaryText(CASES[name] as Comparison).split("\n");
    expect(lines.filter((line) => line.length > 80)).toEqual([]);
  });

  test("a row holds the numbers of its normalization", () => {
    const comparison = syntheticComparison({ norms: ["none", "rms"] });
    const rows: Summary[] = [
      {
        norm: "none",
        trials: 3,
        diverged: 1,
        metric: spread(0.1, 0.05, 0.2),
        epochsToTarget: { ...nothing, reached: 0 },
        stepMs: spread(1.5, 1, 2),
        gradientRatio: spread(1e-12, 1e-13, 1e-11),
      },
      {
        norm: "rms",
        trials: 3,
        diverged: 0,
        metric: spread(1, 1, 1),
        epochsToTarget: { ...spread(2.5, 2, 3), reached: 2 },
        stepMs: spread(20, 10, 30),
        gradientRatio: nothing,
      },
    ];
    const cells = summaryTable({ ...comparison, summaries: rows, targetMetric: 0.95 })
      .split("\n")
      .filter((line) => line.startsWith("│"))
      .map((line) =>
        line
          .split("│")
          .slice(1, -1)
          .map((cell) => cell.trim().replaceAll("\u00a0", " ")),
      );
    expect(cells).toEqual([
      ["", "accuracy", "epochs to", "ms per", "gradient"],
      ["", "", "95 %", "step", "first ÷ last"],
      ["none", "10.0 % (5.0–20.0 %)", "never", "1.50", "1.00×10⁻¹²"],
      ["", "1 of 3 diverged", "", "", ""],
      ["RMS", "100 %", "2.5 (2 of 3)", "20.0", "–"],
    ]);
  });

  test("what is too wide for its column goes on a second line", () => {
    const [row] = awkward("R²", spread(-1.23e12, -4.56e34, -1.23e10)).summaries as [Summary];
    const table = summaryTable({ ...syntheticComparison({ metric: "R²" }), summaries: [row] });
    expect(table.split("\n").slice(4, -1)).toEqual([
      "│ none │           −1.23×10¹² │       10000.5 │ 123,000 │   1.23×10⁻¹² │",
      "│      │       (−4.56×10³⁴ to │ (999 of 1000) │         │              │",
      "│      │          −1.23×10¹⁰) │               │         │              │",
      "│      │ 999 of 1000 diverged │               │         │              │",
    ]);
  });

  test("a normalization of which no trial finished is named all the same", () => {
    const table = summaryTable(syntheticComparison({ norms: ["none", "layer"], unfinished: ["layer"] }));
    expect(table).toMatch(/│ layer +│ no trial finished +│\n/);
  });
});
