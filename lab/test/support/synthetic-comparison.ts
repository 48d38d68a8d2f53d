/**
 * A comparison made up from formulas, for the tests of what is said and shown of one: deterministic, of plausible shape.
 * Without normalization the gradient vanishes and the network stays at guessing; each normalization learns at its own
 * pace. `recipes` are the kinds of comparison there are.
 */
import { rangeOf } from "@evenkeel/report/statistics";
import type { Difference } from "../../src/claims.js";
import { type NormName, normNames } from "../../src/norms.js";
import type { Comparison, Epoch, Probe, Scores, Summary, Sweep, Trial } from "../../src/results.js";
import type { SweepSetting } from "../../src/settings.js";
import { type TaskName, taskNames, tasks } from "../../src/tasks/registry.js";

/** What to make up; all of it has a default. */
export interface Recipe {
  norms?: NormName[];
  baseline?: NormName;
  seeds?: number[];
  epochs?: number;
  depth?: number;
  metric?: Comparison["metric"];
  /** How many classes a classification has. */
  classes?: number;
  /** Several are tried by each trial; a single one is used. */
  learningRates?: number[];
  /** What is swept, and the values. */
  sweep?: [setting: SweepSetting, values: number[]] | null;
  /** Normalizations whose trials diverge, and the epoch at which they do (1: no finite value at all). */
  diverging?: Partial<Record<NormName, number>>;
  /** Normalizations of which no trial finished, as when the user stops the comparison. */
  unfinished?: NormName[];
  dataName?: string;
  /** Columns of the table, each with a decision or a warning where there are to be any. */
  columns?: string[];
  decisions?: Comparison["data"]["decisions"];
  warnings?: string[];
}

/** How each normalization behaves: pace of learning, final metric, gradient lost per layer, drift of the deviation per layer. */
const CHARACTER: Record<
  NormName,
  { pace: number; final: number; loss: number; drift: number; cost: number }
> = {
  none: { pace: 0, final: 0.1, loss: 0.55, drift: 0.62, cost: 4.1 },
  layer: { pace: 0.35, final: 0.948, loss: 0.97, drift: 1, cost: 5.2 },
  rms: { pace: 0.3, final: 0.941, loss: 0.96, drift: 1.01, cost: 4.9 },
  batch: { pace: 0.55, final: 0.964, loss: 1.03, drift: 0.99, cost: 5.8 },
  group: { pace: 0.28, final: 0.936, loss: 0.95, drift: 1, cost: 5.5 },
  instance: { pace: 0.12, final: 0.87, loss: 0.88, drift: 0.96, cost: 5.6 },
};

const COLUMNS = ["size", "colour", "opened"];
const EXAMPLES = 1797;
const PARTS = { train: 1150, validation: 287, heldOut: 360 };
const STEPS_PER_EPOCH = 23;
/** What 1 of a standardized target amounts to. */
const SCALE = 12;

/** A number from 0 to 1 that depends on its arguments alone. */
function noise(...parts: number[]): number {
  const mixed = parts.reduce(
    (state, part, i) => Math.sin(state * 12.9898 + part * (78.233 + i)) * 43758.5453,
    0.5,
  );
  return mixed - Math.floor(mixed);
}

const NAMES: NormName[] = Object.keys(CHARACTER);

/** One that is not among them learns at a pace between theirs. */
const characterOf = (norm: NormName, id: number) =>
  CHARACTER[norm] ?? {
    pace: 0.15 + 0.02 * (id % 17),
    final: 0.9 + 0.004 * (id % 17),
    loss: 0.9 + 0.01 * (id % 17),
    drift: 1,
    cost: 5 + 0.1 * (id % 7),
  };

const taskOf = (metric: string): TaskName => {
  const task = taskNames.find((name) => tasks[name].metrics.some((each) => each.name === metric));
  if (!task) throw new RangeError(`syntheticComparison: no task has the metric "${metric}"`);
  return task;
};

const isOfNumbers = (name: TaskName): boolean => {
  const task = tasks[name];
  return task.from === "target" && task.standardized;
};

/** Held-out targets: classes of equal sizes, or a standardized number. */
const targets = (task: TaskName, classes: number): Float32Array =>
  Float32Array.from({ length: PARTS.heldOut }, (_, i) =>
    isOfNumbers(task) ? Math.sqrt(12) * ((i + 0.5) / PARTS.heldOut - 0.5) : i % classes,
  );

/** All metrics of the task for a skill from 0 (guessing) to 1. */
function scoresAt(skill: number | null, task: TaskName, guess: Scores): Scores {
  return Object.fromEntries(
    tasks[task].metrics.map(({ name, higherIsBetter }) => {
      const least = guess[name] ?? 0;
      if (skill === null) return [name, null];
      return [name, higherIsBetter ? least + (1 - least) * skill : least * (1 - 0.9 * skill)];
    }),
  );
}

/** Held-out examples of equal classes, of which a share is taken for the classes next to their own. */
function confusionOf(classes: number, right: number): number[][] {
  const each = Math.max(1, Math.round(PARTS.heldOut / classes));
  return Array.from({ length: classes }, (_, own) => {
    const row = new Array<number>(classes).fill(0);
    const wrong = Math.round(each * (1 - right) * (0.4 + 1.2 * noise(own, 3)));
    for (let i = 0; i < Math.min(each, wrong); i++) row[(own + 1 + ((i * i) % 3)) % classes]++;
    row[own] += each - Math.min(each, wrong);
    return row;
  });
}

/** How far a learning rate is from the one that suits a normalization, from 1 (it) to 0. */
const suits = (learningRate: number, id: number): number =>
  Math.exp(-((Math.log10(learningRate / 0.05) - 0.35 * (id % 3) + 0.3) ** 2) / 1.5);

/** `pace` is a factor of the normalization's own, and `key` makes trials of a sweep differ. */
function makeTrial(norm: NormName, seed: number, recipe: Required<Recipe>, factor = 1, key = 0): Trial {
  const id = NAMES.includes(norm) ? NAMES.indexOf(norm) : recipe.norms.indexOf(norm) + NAMES.length;
  const { pace, final, loss, drift, cost } = characterOf(norm, id);
  const task = taskOf(recipe.metric);
  const y = targets(task, recipe.classes);
  const scoresOf = (which: "guess" | "guessing"): Scores =>
    Object.fromEntries(
      tasks[task].metrics.map((metric) => [
        metric.name,
        (metric[which] ?? metric.guess)?.(y, recipe.classes, SCALE) ?? null,
      ]),
    );
  const guess = scoresOf("guess");
  const end = recipe.diverging[norm];
  const finished = end === undefined ? recipe.epochs : Math.min(recipe.epochs, end - 1);
  const luck = noise(id, seed, key) - 0.5;
  const stepMs = cost * (1 + 0.1 * luck);
  const least = guess[recipe.metric] ?? 0;
  const skills: number[] = [];
  const epochs = Array.from({ length: finished }, (_, i): Epoch => {
    const progress = 1 - Math.exp(-pace * factor * (1 + 0.3 * luck) * (i + 1));
    const wobble = 0.012 * (noise(id, seed, i) - 0.5);
    const accuracy = Math.min(1, 0.1 + (final + 0.02 * luck - 0.1) * progress + wobble);
    const trainLoss = Math.LN10 * Math.exp(-4.6 * progress) * (1 + 4 * wobble);
    const skill = (accuracy - 0.1) / 0.9;
    skills.push(skill);
    return {
      epoch: i + 1,
      trainLoss,
      heldOutLoss: trainLoss * 1.2 + 0.05,
      metric: least + (1 - least) * skill,
      seconds: ((i + 1) * STEPS_PER_EPOCH * stepMs) / 1000,
    };
  });
  const probes = Array.from({ length: finished + 1 }, (_, i): Probe => {
    const progress = i / Math.max(1, recipe.epochs);
    const layers = Array.from({ length: recipe.depth }, (_, layer) => layer);
    const jitter = (layer: number, kind: number): number => 0.8 + 0.4 * noise(id, seed, i, layer, kind);
    return {
      step: i * STEPS_PER_EPOCH,
      gradientNorm: layers.map(
        (layer) => (0.9 - 0.6 * progress) * loss ** (recipe.depth - 1 - layer) * jitter(layer, 1),
      ),
      activationMean: layers.map((layer) => 0.4 * drift ** layer * (jitter(layer, 2) - 0.4)),
      activationSpread: layers.map((layer) => 0.8 * drift ** layer * jitter(layer, 3) * (1 + 0.5 * progress)),
    };
  });
  const last = end === undefined ? (skills.at(-1) ?? null) : null;
  const more = (by: number) => (last === null ? null : Math.min(1, last + by));
  const tried = recipe.learningRates.map((learningRate) => {
    const suited = suits(learningRate, id) * (1 + 0.1 * luck);
    const skill = Math.max(-0.05, 0.8 * Math.min(1, 4 * pace) * suited);
    const lost = learningRate >= 0.3 && norm === "none";
    return {
      learningRate,
      metric: lost ? null : least + (1 - least) * skill,
      loss: lost ? null : 2.3 * (1 - skill),
    };
  });
  const best = tried.reduce((a, b) => ((b.loss ?? Infinity) < (a.loss ?? Infinity) ? b : a));
  return {
    norm,
    seed,
    outcome: end === undefined ? "finished" : "diverged",
    parameters: 84_000 + id * 1280,
    learningRate: best.learningRate,
    tried: tried.length > 1 ? tried : [],
    epochs,
    probes,
    scores: {
      train: scoresAt(more(0.03), task, guess),
      validation: scoresAt(more(0.004), task, guess),
      heldOut: scoresAt(last, task, guess),
    },
    guess,
    guesses: [],
    guessing: scoresOf("guessing"),
    confusion:
      isOfNumbers(task) || last === null || recipe.classes > 20 ? null : confusionOf(recipe.classes, last),
    stepMs,
    epochsToTarget: epochs.find(({ metric }) => metric !== null && metric >= 0.9)?.epoch ?? null,
  };
}

function ratio({ probes }: Trial): number | null {
  const logs = probes.map(({ gradientNorm }) =>
    Math.log((gradientNorm[0] ?? 0) / (gradientNorm.at(-1) ?? 1)),
  );
  return logs.length === 0 ? null : Math.exp(logs.reduce((sum, log) => sum + log, 0) / logs.length);
}

function summarize(norm: NormName, trials: Trial[], { metric }: Required<Recipe>): Summary {
  const finished = trials.filter(({ outcome }) => outcome === "finished");
  const toTarget = trials.map(({ epochsToTarget }) => epochsToTarget);
  const names = tasks[taskOf(metric)].metrics.map(({ name }) => name);
  return {
    norm,
    trials: trials.length,
    diverged: trials.length - finished.length,
    parameters: trials[0]?.parameters ?? null,
    learningRate: rangeOf(trials.map(({ learningRate }) => learningRate)),
    metric: rangeOf(finished.map(({ scores }) => scores.heldOut[metric])),
    trainMetric: rangeOf(finished.map(({ scores }) => scores.train[metric])),
    scores: Object.fromEntries(
      names.map((name) => [name, rangeOf(finished.map(({ scores }) => scores.heldOut[name])).median]),
    ),
    epochsToTarget: { ...rangeOf(toTarget), reached: toTarget.filter((epoch) => epoch !== null).length },
    stepMs: rangeOf(trials.map(({ stepMs }) => stepMs)),
    gradientRatio: rangeOf(trials.map(ratio)),
  };
}

/** Paired by seed, with an interval that is wide enough for looks: none of fewer than three pairs. */
function differencesOf(
  trials: Trial[],
  norms: NormName[],
  baseline: NormName,
  value: (trial: Trial) => number | null | undefined,
): Difference[] {
  const bySeed = (norm: NormName) =>
    new Map(trials.filter((trial) => trial.norm === norm).map((trial) => [trial.seed, value(trial) ?? null]));
  const base = bySeed(baseline);
  return norms
    .filter((norm) => norm !== baseline)
    .map((norm) => {
      const pairs = [...bySeed(norm)].flatMap(([seed, of]) => {
        const other = base.get(seed) ?? null;
        return of === null || other === null ? [] : [of - other];
      });
      if (pairs.length === 0) return { norm, pairs: 0, mean: null, low: null, high: null, clear: false };
      const mean = pairs.reduce((sum, each) => sum + each, 0) / pairs.length;
      if (pairs.length < 3) return { norm, pairs: pairs.length, mean, low: null, high: null, clear: false };
      const deviation = Math.sqrt(
        pairs.reduce((sum, each) => sum + (each - mean) ** 2, 0) / (pairs.length - 1),
      );
      const half = (4 * deviation) / Math.sqrt(pairs.length);
      return {
        norm,
        pairs: pairs.length,
        mean,
        low: mean - half,
        high: mean + half,
        clear: Math.abs(mean) > half,
      };
    });
}

function sweepOf(recipe: Required<Recipe>): Sweep | null {
  if (recipe.sweep === null) return null;
  const [setting, values] = recipe.sweep;
  const logs = values.map(Math.log);
  const middle = (Math.min(...logs) + Math.max(...logs)) / 2;
  const reach = Math.max(0.1, Math.max(...logs) - middle);
  return {
    setting,
    points: values.map((value, at) => ({
      value,
      trials: recipe.norms.flatMap((norm, which) => {
        // each has another best value, and the first diverges at the largest
        const off = (Math.log(value) - middle) / reach - 0.25 * ((which % 3) - 1);
        const lost = which % 4 === 0 && at === values.length - 1;
        const own = lost ? { ...recipe, diverging: { [norm]: 2 } } : recipe;
        const rate = setting === "learning-rate" ? { learningRates: [value] } : {};
        return recipe.seeds.map((seed) =>
          makeTrial(norm, seed, { ...own, ...rate }, Math.exp(-2.5 * off * off), at + 1),
        );
      }),
    })),
  };
}

/** Makes up a comparison; the same recipe gives the same one. */
export function syntheticComparison(recipe: Recipe = {}): Comparison {
  const norms = recipe.norms ?? NAMES;
  const full: Required<Recipe> = {
    norms,
    baseline: norms.includes("none") ? "none" : (norms[0] ?? "none"),
    seeds: [1, 2, 3],
    epochs: 20,
    depth: 20,
    metric: "accuracy",
    classes: 10,
    learningRates: [0.05],
    sweep: null,
    diverging: {},
    unfinished: [],
    dataName: "digits",
    columns: COLUMNS,
    decisions: [],
    warnings: [],
    ...recipe,
  };
  const trials = norms
    .filter((norm) => !full.unfinished.includes(norm))
    .flatMap((norm) => full.seeds.map((seed) => makeTrial(norm, seed, full)));
  const task = taskOf(full.metric);
  const { metrics } = tasks[task];
  const standardized = isOfNumbers(task);
  const y = targets(task, full.classes);
  return {
    format: 2,
    evenkeel: "0.1.0",
    date: "2026-03-14T09:26:53.000Z",
    command: `evenkeel compare --data ${full.dataName} --norms ${norms.join(",")} --seeds ${full.seeds.length}`,
    machine: { processor: "Example 3000", cores: 2, runtime: "Node 22.11.0", backend: "wasm (SIMD)" },
    data: {
      name: full.dataName,
      provenance: "UCI Optical Recognition of Handwritten Digits, test part (CC BY 4.0), 8 × 8 grey levels",
      digest: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
      task,
      target: "digit",
      inputs: full.columns.map((column, i) =>
        i % 3 === 0
          ? { column, how: "a number", names: [column] }
          : i % 3 === 1
            ? {
                column,
                how: "3 levels and other",
                names: ["red", "green", "blue", "other"].map((level) => `${column}=${level}`),
              }
            : {
                column,
                how: "a date: year, month, weekday",
                names: ["year", "month", "weekday"].map((part) => `${column} (${part})`),
              },
      ),
      form: { input: { kind: "features", shape: [64] }, outputs: [2] },
      targetShape: [],
      season: null,
      classes: standardized ? [] : Array.from({ length: full.classes }, (_, i) => String(i)),
      classCounts: standardized
        ? []
        : Array.from({ length: full.classes }, (_, i) => Math.floor((EXAMPLES + i) / full.classes)),
      fileRows: EXAMPLES + 3,
      examples: EXAMPLES,
      parts: PARTS,
      drawn: "draws its own parts at random, each class in proportion",
      decisions: full.decisions,
      warnings: full.warnings,
    },
    metric: full.metric,
    guess: Object.fromEntries(
      metrics.map((metric) => [metric.name, metric.guess?.(y, full.classes, SCALE) ?? null]),
    ),
    guesses: [],
    targetMetric: 0.9,
    model: { kind: "mlp", depth: full.depth, width: 64, activation: "relu" },
    training: {
      epochs: full.epochs,
      batchSize: 64,
      learningRates: full.learningRates,
      optimizer: "sgd",
      warmUp: 0,
      seeds: full.seeds,
    },
    baseline: full.baseline,
    differences:
      norms.length < 2
        ? { metric: [], epochsToTarget: [] }
        : {
            metric: differencesOf(trials, norms, full.baseline, (trial) => trial.scores.heldOut[full.metric]),
            epochsToTarget: differencesOf(trials, norms, full.baseline, (trial) => trial.epochsToTarget),
          },
    interrupted: full.unfinished.length > 0,
    wallSeconds: 78.4,
    summaries: norms.map((norm) =>
      summarize(
        norm,
        trials.filter((trial) => trial.norm === norm),
        full,
      ),
    ),
    trials,
    sweep: sweepOf(full),
  };
}

const DECISIONS: Comparison["data"]["decisions"] = [
  { columns: [], what: "read with a decimal comma", why: "1.415 beside 926", option: "--decimal ." },
  {
    columns: ["id", "row"],
    what: "left out",
    why: "identifiers: as many values as rows",
    option: "--keep id",
  },
  { columns: ["opened"], what: "read as dates", option: "--categorical opened" },
  { columns: ["constant"], what: "left out", why: "one value only", option: "--keep constant" },
];

/** Names as bad files have them: markup, escapes of a terminal, characters that turn or hide what follows. */
export const HOSTILE = [
  `"><script>alert('x')</script><img src=x onerror=alert(1)>&amp;`,
  "\u001b]52;c;ZXZpbA==\u0007\u202egnp.exe\u200b",
  `${"long".repeat(400)}`,
];

/** The kinds of comparison there are, by name. */
export const recipes: Record<string, Recipe> = {
  usual: {},
  tuned: { learningRates: [0.01, 0.03, 0.1, 0.3], seeds: [1, 2, 3, 4, 5] },
  "swept over the learning rate": { sweep: ["learning-rate", [0.001, 0.01, 0.1, 1]] },
  "swept over the batch size": { sweep: ["batch-size", [4, 16, 64]], norms: ["none", "layer", "batch"] },
  "swept over the depth": { sweep: ["depth", [2, 4, 6, 8]], norms: ["none", "batch"] },
  "against layer normalization": { baseline: "layer", seeds: [1, 2, 3, 4, 5] },
  regression: { metric: "R²" },
  "one trial": { norms: ["layer"], seeds: [7] },
  "one seed": { seeds: [1] },
  "all diverged": { diverging: Object.fromEntries(NAMES.map((norm) => [norm, 1])) },
  "one diverged half-way": { diverging: { none: 8 } },
  "every norm": { norms: [...normNames], learningRates: [0.01, 0.1] },
  "decisions and warnings": {
    decisions: DECISIONS,
    warnings: [
      "37 rows of the held-out part also stand, with the same inputs, among those trained on: see --group.",
      "The input “opened” alone predicts the target almost perfectly (accuracy 99.1 %): does it say what is to be predicted?",
    ],
  },
  "hostile names": {
    dataName: HOSTILE.join(" "),
    columns: HOSTILE,
    decisions: HOSTILE.map((name) => ({
      columns: [name],
      what: "left out",
      why: name,
      option: `--keep ${name}`,
    })),
    warnings: HOSTILE,
  },
  "1,000 classes, 500 columns": {
    classes: 1000,
    norms: ["none", "batch"],
    seeds: [1],
    columns: Array.from({ length: 500 }, (_, i) => `column ${i + 1}`),
  },
};

/** All values of the trials as JSON may hold them where nothing was finite. */
export function withoutNumbers(comparison: Comparison): Comparison {
  const nothing = { median: null, min: null, max: null };
  const empty = (scores: Scores): Scores =>
    Object.fromEntries(Object.keys(scores).map((name) => [name, null]));
  const none = (difference: Difference): Difference => ({
    ...difference,
    pairs: 0,
    mean: null,
    low: null,
    high: null,
    clear: false,
  });
  const { differences, summaries, trials } = comparison;
  return {
    ...comparison,
    differences: {
      metric: differences.metric.map(none),
      epochsToTarget: differences.epochsToTarget.map(none),
    },
    summaries: summaries.map((summary) => ({
      ...summary,
      metric: nothing,
      trainMetric: nothing,
      scores: empty(summary.scores),
      epochsToTarget: { ...nothing, reached: 0 },
      gradientRatio: nothing,
    })),
    trials: trials.map((trial) => ({
      ...trial,
      tried: trial.tried.map(({ learningRate }) => ({ learningRate, metric: null, loss: null })),
      epochsToTarget: null,
      confusion: null,
      scores: {
        train: empty(trial.scores.train),
        validation: empty(trial.scores.validation),
        heldOut: empty(trial.scores.heldOut),
      },
      epochs: trial.epochs.map(({ epoch, seconds }) => ({
        epoch,
        trainLoss: null,
        heldOutLoss: null,
        metric: null,
        seconds,
      })),
      probes: trial.probes.map(({ step, gradientNorm }) => {
        const nulls = gradientNorm.map(() => null);
        return { step, gradientNorm: nulls, activationMean: nulls, activationSpread: nulls };
      }),
    })),
  };
}
