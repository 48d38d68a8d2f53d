/** What a comparison makes of its choices and its trials, by numbers worked out by hand. */
import type { Range } from "@evenkeel/report/statistics";
import { describe, expect, test } from "vitest";
import {
  type Choices,
  comparisonOf,
  normsOf,
  type Settings,
  settingsOf,
  specsOf,
  summarize,
  targetOf,
  withTarget,
} from "../src/comparison.js";
import { splitOf } from "../src/data/split.js";
import type { Dataset } from "../src/datasets/dataset.js";
import { UsageError } from "../src/errors.js";
import { models } from "../src/models/registry.js";
import type { NormName } from "../src/norms.js";
import type { Probe, Summary, Trial } from "../src/results.js";
import { metricNamed } from "../src/tasks/registry.js";
import { keyOf } from "../src/trials.js";

const METRIC = "accuracy";
const accuracy = metricNamed("classification", METRIC);

/** A trial with these metrics, epoch by epoch; the last one is its score on every part. */
function trial(norm: NormName, metrics: (number | null)[], more: Partial<Trial> = {}): Trial {
  const scores = { [METRIC]: metrics.at(-1) ?? null };
  return {
    norm,
    seed: 1,
    outcome: "finished",
    parameters: 10,
    learningRate: 0.02,
    tried: [],
    epochs: metrics.map((metric, i) => ({ epoch: i + 1, trainLoss: 1, heldOutLoss: 1, metric, seconds: i })),
    probes: [],
    scores: { train: scores, validation: scores, heldOut: scores },
    guess: { [METRIC]: 0.5 },
    guesses: [],
    guessing: { [METRIC]: 0.55 },
    confusion: null,
    stepMs: 1,
    epochsToTarget: null,
    ...more,
  };
}

/** Looks into a network of which only the gradients matter. */
const probesOf = (...gradientNorms: (number | null)[][]): Probe[] =>
  gradientNorms.map((gradientNorm, step) => ({
    step,
    gradientNorm,
    activationMean: [],
    activationSpread: [],
  }));

const nothing: Range = { median: null, min: null, max: null };
const at = (value: number): Range => ({ median: value, min: value, max: value });

/** Examples of two classes with two inputs; or as `more` has it. */
function dataset(count: number, more: Partial<Dataset> = {}): Dataset {
  return {
    name: "made up",
    provenance: "here",
    task: "classification",
    metric: METRIC,
    target: "label",
    inputs: [{ column: "a", how: "numbers", names: ["a", "b"] }],
    form: { input: { kind: "features", shape: [2] }, outputs: [2] },
    classes: ["no", "yes"],
    count,
    x: new Float32Array(2 * count),
    scaled: Uint8Array.of(1, 1),
    y: Float32Array.from({ length: count }, (_, i) => i % 2),
    targetShape: [],
    yScale: 1,
    parts: { strata: Int32Array.from({ length: count }, (_, i) => i % 2) },
    drawn: "draws its own parts",
    fileRows: count,
    decisions: [],
    warnings: [],
    reading: {},
    ...more,
  };
}

describe("settingsOf", () => {
  const of = (choices: Partial<Choices>, data = dataset(100)) => settingsOf({ seeds: 3, ...choices }, data);

  test("whatever is left out takes what is usual", () => {
    expect(of({})).toEqual({
      model: { kind: "mlp", depth: 20, width: 64, activation: "relu" },
      training: {
        epochs: 15,
        batchSize: 32,
        learningRates: [0.017, 0.05, 0.15],
        optimizer: "sgd",
        warmUp: 0,
      },
      save: false,
      norms: ["none", "layer", "rms", "batch", "group"],
      seeds: [1, 2, 3],
      baseline: "none",
      sweep: null,
      reach: null,
    });
    expect(
      of({}, dataset(100, { form: { input: { kind: "image" as const, shape: [8, 8, 1] }, outputs: [2] } }))
        .model.kind,
    ).toBe("cnn");
  });

  test.each(["nope", "__proto__", "constructor"])(
    "a model %s, as an address may have it, is told",
    (model) => {
      expect(() => of({ model: model as Choices["model"] })).toThrow(
        new UsageError(`--model: "${model}" is not known; there are ${Object.keys(models).join(", ")}`),
      );
    },
  );

  test("learning rates: around the usual one, a single one that is named, around it, a grid, or the usual one alone", () => {
    const rates = (choices: Partial<Choices>) => of(choices).training.learningRates;
    expect(rates({ optimizer: "adam", warmUp: 0 })).toEqual([0.00067, 0.002, 0.006]);
    expect(rates({ learningRate: 0.3 })).toEqual([0.3]);
    expect(rates({ learningRate: 0.3, tune: true })).toEqual([0.1, 0.3, 0.9]);
    expect(rates({ tune: [0.001, 0.1] })).toEqual([0.001, 0.1]);
    expect(rates({ tune: false })).toEqual([0.05]);
    expect(rates({ tune: false, learningRate: 0.3 })).toEqual([0.3]);
    expect(() => rates({ tune: [0.1, 0.2], learningRate: 0.3 })).toThrow(
      "--tune: takes the learning rates to try, so that --learning-rate has no place beside it; leave one of them out",
    );
  });

  test("the baseline: no normalization, or else the first; or the one that is named", () => {
    expect(of({ norms: ["layer", "none"] }).baseline).toBe("none");
    expect(of({ norms: ["layer", "batch"] }).baseline).toBe("layer");
    expect(of({ norms: ["layer", "batch"], baseline: "batch" }).baseline).toBe("batch");
    expect(() => of({ norms: ["layer", "batch"], baseline: "rms" })).toThrow(
      '--baseline: expected one of the normalizations that are compared (layer, batch), got "rms"; add it to --norms',
    );
  });

  test.each<[Partial<Choices>, string]>([
    [{ norms: ["bacth"] }, '--norms: "bacth" is not known; did you mean batch? (evenkeel norms lists all)'],
    [
      { norms: ["instance"] },
      "--norms: instance normalization needs positions to normalize over, and --model mlp has none; leave it out (evenkeel norms lists what fits)",
    ],
    [
      { model: "cnn" },
      "--model cnn: needs images, and this data has 2 separate features; use --model mlp or residual-mlp, or name the size of the images with --image HEIGHTxWIDTH",
    ],
    [{ batchSize: 65 }, "--batch-size: must be at most the 64 training examples, got 65; use 64 or less"],
    [
      { sweep: { setting: "batch-size", values: [8, 65] } },
      "--sweep batch-size: must be at most the 64 training examples, got 65; use 64 or less",
    ],
  ])("refused: %j", (choices, message) => {
    expect(() => of(choices)).toThrow(message);
  });

  test("a swept depth is checked as one that is chosen", () => {
    const images = dataset(100, {
      form: { input: { kind: "image" as const, shape: [2, 2, 1] }, outputs: [2] },
    });
    expect(of({ model: "cnn", depth: 1 }, images).model.depth).toBe(1);
    expect(() => of({ model: "cnn", depth: 1, sweep: { setting: "depth", values: [1, 4] } }, images)).toThrow(
      "--model cnn: needs images of at least 4x4 pixels, got 2x2; use --model mlp",
    );
  });

  test("a batch size suits the training parts of all seeds, whose sizes groups make differ", () => {
    const rows = Array.from({ length: 300 }, (_, i) => i);
    const parts = {
      strata: Int32Array.from(rows, (i) => Math.floor(i / 37) % 2),
      groups: Int32Array.from(rows, (i) => Math.floor(i / 10)),
    };
    const data = dataset(300, { parts });
    const seeds = Array.from({ length: 40 }, (_, i) => i + 1);
    const sizes = seeds.map((seed) => splitOf(parts, 300, seed).train.length);
    expect([...new Set(sizes)].sort()).toEqual([190, 200]);
    expect(() => of({ seeds: 40, batchSize: 199 }, data)).toThrow(
      "--batch-size: must be at most the 190 training examples, got 199; use 190 or less",
    );
    expect(of({ seeds: 40 }, data).training.batchSize).toBe(32);
  });

  test("why a normalization does not fit the network, the data, or a network of one's own", () => {
    const refused = (choices: Partial<Choices>, message: string) =>
      expect(() => of(choices)).toThrow(new UsageError(`--norms: ${message}`));
    refused(
      { model: "mlp", norms: ["reversible-instance"] },
      "reversible instance normalization needs series to normalize over, and this data has none; leave it out",
    );
    refused(
      { model: "mlp", norms: ["post-layer"] },
      "post-layer normalization needs blocks with a residual, and --model mlp has none; leave it out, or use --model residual-mlp (evenkeel norms lists what fits)",
    );
    refused(
      { model: "residual-mlp", norms: ["sandwich-layer"] },
      "sandwich-layer normalization needs blocks that can be arranged so, and --model residual-mlp has none; leave it out (evenkeel norms lists what fits)",
    );
    expect(() => normsOf(["layer+reversible-instance"], models.linear)).toThrow(
      "--norms: layer normalization needs features to normalize over, and --model linear has none; leave it out, or use --model ",
    );
    const own = {
      model: {
        ...models.mlp,
        name: "mine",
        unfit: (norm: NormName) => (norm === "group" ? "mine.ts:3: no" : undefined),
      },
      module: { path: "mine.ts", digest: "0" },
      depth: 2,
    };
    refused({ own, norms: ["group"] }, "mine.ts:3: no; leave group out");
    refused(
      { own, norms: ["instance"] },
      "instance normalization needs positions to normalize over, and the network mine is not made of any; leave it out",
    );
    expect(of({ own }).norms).not.toContain("group");
    expect(of({ norms: ["all"] }).norms).not.toContain("reversible-instance");
  });
});

describe("specsOf", () => {
  const settings = (sweep: Settings["sweep"]): Settings => ({
    model: { kind: "mlp", depth: 2, width: 8, activation: "relu" },
    training: { epochs: 3, batchSize: 16, learningRates: [0.01, 0.1], optimizer: "sgd", warmUp: 0 },
    save: false,
    norms: ["none", "layer"],
    seeds: [1, 2],
    baseline: "none",
    sweep,
    reach: null,
  });
  const data = dataset(100);

  test("seed by seed, so that one that is stopped has trials of every normalization; then the sweep, in the same way", () => {
    const specs = specsOf(settings({ setting: "depth", values: [1, 4] }), data, "d");
    expect(specs.map(({ norm, seed, model }) => `${norm} ${seed} ${model.depth}`)).toEqual([
      "none 1 2",
      "layer 1 2",
      "none 2 2",
      "layer 2 2",
      "none 1 1",
      "layer 1 1",
      "none 1 4",
      "layer 1 4",
      "none 2 1",
      "layer 2 1",
      "none 2 4",
      "layer 2 4",
    ]);
  });

  test("a swept learning rate is the only one; batch sizes and depths are each with those of the comparison", () => {
    const rates = specsOf(settings({ setting: "learning-rate", values: [0.5, 1] }), data, "d").slice(4, 8);
    expect(rates.map(({ training }) => training.learningRates)).toEqual([[0.5], [0.5], [1], [1]]);
    const sizes = specsOf(settings({ setting: "batch-size", values: [4, 64] }), data, "d").slice(4, 8);
    expect(sizes.map(({ training }) => [training.batchSize, training.learningRates])).toEqual(
      [4, 4, 64, 64].map((size) => [size, [0.01, 0.1]]),
    );
  });

  test.each([false, true])(
    "a value that is the comparison's own gives trials of the same keys, which are run once; kept: %s",
    async (save) => {
      const specs = specsOf({ ...settings({ setting: "batch-size", values: [16, 64] }), save }, data, "d");
      expect(specs.filter(({ keep }) => keep)).toHaveLength(save ? 8 : 0);
      const keys = await Promise.all(specs.map(keyOf));
      expect(new Set(keys).size).toBe(8);
      expect(keys.slice(4, 6)).toEqual(keys.slice(0, 2));
    },
  );
});

describe("comparisonOf", () => {
  const made = {
    evenkeel: "0.1.0",
    date: "2026-01-01T00:00:00.000Z",
    command: "evenkeel compare",
    machine: { processor: "x", cores: 1, runtime: "Node 20", backend: "wasm" },
    wallSeconds: 1,
  };
  const settings: Settings = {
    model: { kind: "mlp", depth: 2, width: 8, activation: "relu" },
    training: { epochs: 2, batchSize: 16, learningRates: [0.02], optimizer: "sgd", warmUp: 0 },
    save: false,
    norms: ["none", "layer"],
    seeds: [1, 2, 3],
    baseline: "none",
    sweep: { setting: "depth", values: [1, 4] },
    reach: null,
  };
  const data = dataset(100);
  const specs = specsOf(settings, data, "d");
  /** Layer is better by 0.1, and by a little more each seed; deeper ones are worse. */
  const trials = specs.map(({ norm, seed, model }) => {
    const last = 0.7 + (norm === "layer" ? 0.1 + seed / 1000 : 0) - model.depth / 100;
    return trial(norm, [0.5, last], { seed, parameters: model.depth });
  });

  test("batches of one example are warned of, where they leave a normalization nothing", () => {
    const warned = (more: Partial<Settings>) =>
      comparisonOf({ ...settings, ...more }, data, "d", [], made).data.warnings;
    const one = { ...settings.training, batchSize: 1 };
    expect(warned({ training: one, norms: ["none", "layer", "batch-layer"] })).toEqual([]);
    expect(warned({ training: one, norms: ["none", "batch"] })).toEqual([
      "with --batch-size 1, batch normalization gives the same whatever comes in: one value has no variance; use 2 or more",
    ]);
    expect(
      warned({ norms: ["batch", "batch-renorm"], sweep: { setting: "batch-size", values: [1, 8] } }),
    ).toEqual([
      "with --batch-size 1, batch normalization and batch renormalization give the same whatever comes in: one value has no variance; use 2 or more",
    ]);
    expect(warned({ norms: ["batch"] })).toEqual([]);
    // an image has positions
    const cnn = { ...settings.model, kind: "cnn" };
    expect(warned({ training: one, norms: ["batch"], model: cnn })).toEqual([]);
  });

  test("target, differences and sweep of whole trials", () => {
    const comparison = comparisonOf(settings, data, "d", trials, made);
    expect(comparison).toMatchObject({
      ...made,
      format: 4,
      data: {
        digest: "d",
        classCounts: [50, 50],
        examples: 100,
        parts: { train: 64, validation: 16, heldOut: 20 },
      },
      metric: METRIC,
      guess: { [METRIC]: 0.5, AUC: null },
      training: { ...settings.training, seeds: [1, 2, 3] },
      baseline: "none",
      interrupted: false,
    });
    // 0.5 + 0.9 · (0.782 − 0.5)
    expect(comparison.targetMetric).toBe(0.754);
    expect(comparison.trials.map(({ epochsToTarget }) => epochsToTarget)).toEqual([
      null,
      2,
      null,
      2,
      null,
      2,
    ]);
    const [difference, ...others] = comparison.differences.metric;
    expect(difference).toMatchObject({ norm: "layer", pairs: 3, clear: true });
    expect(difference.mean).toBeCloseTo(0.102, 12);
    expect(others).toEqual([]);
    // the baseline never reaches it: as if it had in the epoch after the last one
    const [sooner] = comparison.differences.epochsToTarget;
    expect(sooner).toMatchObject({ norm: "layer", pairs: 3, mean: 2 - (settings.training.epochs + 1) });
    expect(comparison.sweep?.setting).toBe("depth");
    expect(
      comparison.sweep?.points.map(({ value, trials: swept }) => [
        value,
        swept.map(
          ({ norm, seed, parameters, epochsToTarget }) => `${norm} ${seed} ${parameters} ${epochsToTarget}`,
        ),
      ]),
    ).toEqual([
      [1, [1, 2, 3].flatMap((seed) => [`none ${seed} 1 null`, `layer ${seed} 1 2`])],
      [4, [1, 2, 3].flatMap((seed) => [`none ${seed} 4 null`, `layer ${seed} 4 2`])],
    ]);
  });

  test("a target has the digits that tell it from guessing", () => {
    const forecasts = trials.map((each) => ({
      ...each,
      guess: { MSE: 0.0008 },
      guessing: { MSE: 0.0008 },
      epochs: each.epochs.map((epoch) => ({ ...epoch, metric: 0.0002 })),
    }));
    const series = dataset(100, { task: "forecasting", metric: "MSE", classes: [] });
    expect(comparisonOf(settings, series, "d", forecasts, made).targetMetric).toBe(0.00026);
  });

  test("trials that did not finish are no trials; a target that is given counts", () => {
    const some = trials.map((each, i) => (i === 0 || (i > 2 && i < 8) ? undefined : each));
    const comparison = comparisonOf({ ...settings, reach: 0.6 }, data, "d", some, made);
    expect(comparison.interrupted).toBe(true);
    expect(comparison.targetMetric).toBe(0.6);
    expect(comparison.trials.map(({ norm, seed }) => `${norm} ${seed}`)).toEqual(["layer 1", "none 2"]);
    expect(comparison.differences.metric).toMatchObject([
      { norm: "layer", pairs: 0, mean: null, clear: false },
    ]);
    expect(comparison.sweep?.points.map(({ trials: swept }) => swept.length)).toEqual([4, 6]);
    expect(comparison.summaries.map(({ trials: count }) => count)).toEqual([1, 1]);
  });

  test("of one normalization there are no differences; of no trial there is nothing, and no error", () => {
    const one = { ...settings, norms: ["layer"], baseline: "layer", sweep: null };
    const own = trials.filter(({ norm }) => norm === "layer").slice(0, 3);
    expect(comparisonOf(one, data, "d", own, made).differences).toEqual({ metric: [], epochsToTarget: [] });
    const none = comparisonOf(settings, data, "d", new Array(specs.length).fill(undefined), made);
    expect(none).toMatchObject({
      targetMetric: null,
      trials: [],
      interrupted: true,
      guess: { [METRIC]: null },
    });
  });
});

describe("targetOf", () => {
  test("nine tenths of the way from guessing to the best of any epoch, not of the last", () => {
    const trials = [trial("none", [0.2, 0.5, 0.3]), trial("layer", [0.4, 0.7, 0.6])];
    expect(targetOf(trials, accuracy, 0.2, 0.25)).toBeCloseTo(0.65, 12);
  });

  test("by the median of a normalization: one lucky seed makes it no harder", () => {
    const trials = [0.6, 0.7, 0.99].map((metric) => trial("layer", [0.5, metric]));
    expect(targetOf([...trials, trial("none", [0.65])], accuracy, 0.5, 0.55)).toBeCloseTo(0.68, 12);
  });

  test("epochs without a metric count for nothing", () => {
    expect(
      targetOf([trial("none", [null, 1, null]), trial("layer", [null])], accuracy, 0.5, 0.6),
    ).toBeCloseTo(0.95, 12);
  });

  test("none where no epoch was above guessing, and then nothing reaches it", () => {
    const trials = [trial("none", [0.3, 0.54]), trial("layer", [null])];
    expect(targetOf(trials, accuracy, 0.5, 0.55)).toBe(null);
    expect(withTarget(trials, accuracy, null).map(({ epochsToTarget }) => epochsToTarget)).toEqual([
      null,
      null,
    ]);
    expect(targetOf([trial("none", [-3, -0.1])], accuracy, 0, 0.01)).toBe(null);
  });

  test("more epochs than a function can have arguments", () => {
    const long = trial("none", new Array<number>(200_000).fill(0.6));
    expect(targetOf([long], accuracy, 0.5, 0.55)).toBeCloseTo(0.59, 12);
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
  const after = withTarget(trials, accuracy, 0.8);
  expect(after.map(({ epochsToTarget }) => epochsToTarget)).toEqual([2, 3, null, null]);
  expect(after.map((each) => ({ ...each, epochsToTarget: null }))).toEqual(before);
  expect(trials).toEqual(before);
});

test("summarize: a row for each normalization in the order named, by hand", () => {
  const scores = (train: number, heldOut: number, auc: number) => ({
    train: { [METRIC]: train, AUC: auc },
    validation: {},
    heldOut: { [METRIC]: heldOut, AUC: auc },
  });
  const trials = [
    trial("layer", [0.5, 0.9], {
      stepMs: 4,
      epochsToTarget: 2,
      learningRate: 0.1,
      scores: scores(1, 0.9, 0.3),
      // 1/4, 1 and 4/1: in the middle, even
      probes: probesOf([1, 7, 4], [3, 7, 3], [4, 7, 1]),
    }),
    trial("layer", [0.9, 0.7], {
      stepMs: 1,
      epochsToTarget: 1,
      scores: scores(0.9, 0.7, 0.2),
      probes: probesOf([2, 1], [8, 1]),
    }),
    trial("layer", [0.6, 0.6], { stepMs: 2, scores: scores(0.8, 0.6, 0.4), probes: probesOf([0.5, 5]) }),
    trial("layer", [0.8, 0.1], {
      stepMs: 3,
      epochsToTarget: 4,
      scores: scores(0.8, 0.1, 0.1),
      probes: probesOf([3, 1]),
    }),
    trial("none", [0.4, 0.8], {
      outcome: "diverged",
      stepMs: 9,
      // not a number, a last layer without any gradient, and one that is left: 2/8
      probes: probesOf([null, 1], [1, null], [1, 0], [2, 8]),
    }),
    trial("none", [0.3], { stepMs: 5 }),
  ];
  const [none, layer, batch] = summarize(["none", "layer", "batch"], trials, METRIC);
  expect(none).toEqual({
    norm: "none",
    trials: 2,
    diverged: 1,
    parameters: 10,
    learningRate: at(0.02),
    // the diverged one has none
    metric: at(0.3),
    trainMetric: at(0.3),
    scores: { [METRIC]: 0.3 },
    epochsToTarget: { ...nothing, reached: 0 },
    stepMs: { median: 7, min: 5, max: 9 },
    gradientRatio: at(0.25),
  });
  expect(layer).toMatchObject({
    norm: "layer",
    trials: 4,
    diverged: 0,
    learningRate: { median: 0.02, min: 0.02, max: 0.1 },
    trainMetric: { min: 0.8, max: 1 },
    epochsToTarget: { median: 2, min: 1, max: 4, reached: 3 },
    stepMs: { median: 2.5, min: 1, max: 4 },
  });
  // the last epochs are 0.9, 0.7, 0.6, 0.1
  expect(layer?.metric.median).toBeCloseTo(0.65, 12);
  expect([layer?.metric.min, layer?.metric.max]).toEqual([0.1, 0.9]);
  expect(layer?.trainMetric.median).toBeCloseTo(0.85, 12);
  expect(layer?.scores[METRIC]).toBeCloseTo(0.65, 12);
  expect(layer?.scores.AUC).toBeCloseTo(0.25, 12);
  // 1, (2 + 8)/2 = 5, 0.1, 3
  expect(layer?.gradientRatio.median).toBeCloseTo(2, 12);
  expect(layer?.gradientRatio.min).toBeCloseTo(0.1, 12);
  expect(layer?.gradientRatio.max).toBeCloseTo(5, 12);
  expect(batch).toEqual({
    norm: "batch",
    trials: 0,
    diverged: 0,
    parameters: null,
    learningRate: nothing,
    metric: nothing,
    trainMetric: nothing,
    scores: {},
    epochsToTarget: { ...nothing, reached: 0 },
    stepMs: nothing,
    gradientRatio: nothing,
  });
});

test("summarize: one probe without a gradient in the first layer does not decide for the others", () => {
  const probes = probesOf([0, 1], [1, 2], [3, 4]);
  const [{ gradientRatio }] = summarize(["none"], [trial("none", [], { probes })], METRIC) as [Summary];
  expect(gradientRatio.median).toBe(0.5);
});
