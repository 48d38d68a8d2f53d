/**
 * A comparison from what its user chose to what its trials amount to: every setting with its value, the trials that
 * follow from them, and the numbers of the report. Node's command and a page take the same way.
 */
import { listed, quote } from "@evenkeel/report/format";
import { rangeOf } from "@evenkeel/report/statistics";
import { type Difference, differencesOf, type Measured } from "./claims.js";
import type { Form } from "./data/form.js";
import { splitOf } from "./data/split.js";
import type { Dataset, TrialData } from "./datasets/dataset.js";
import { UsageError } from "./errors.js";
import type { Model, ModelSettings } from "./models/model.js";
import {
  acceptingModels,
  fits,
  type ModelName,
  misfitOf,
  modelNames,
  modelOf,
  models,
  modelsFor,
  normsFor,
  usualLearningRate,
  usualModel,
  usualNormsOf,
  usualOf,
} from "./models/registry.js";
import { aboutOf, isOfBatch, type NormName, nameOf, namesIn, near, normNames, placedOf } from "./norms.js";
import {
  type Comparison,
  FORMAT,
  type Guess,
  type Probe,
  type Scores,
  type Summary,
  type Trial,
} from "./results.js";
import {
  type Activation,
  learningRatesAround,
  type OptimizerName,
  type SweepSetting,
  usualBatchSize,
} from "./settings.js";
import { metricNamed, tasks } from "./tasks/registry.js";
import { bestOf, isBetter, isReached, type Metric } from "./tasks/task.js";
import type { SoFar, TrainingSettings, TrialSpec } from "./trial.js";

/** What is compared, as far as its user says; the rest is what is usual for the data and the model. */
export interface Choices {
  model?: ModelName;
  /** The user's own network instead. */
  own?: { model: Model; module: NonNullable<ModelSettings["module"]>; depth: number };
  depth?: number;
  width?: number;
  activation?: Activation;
  /** `all` stands for all that fit the model. */
  norms?: string[];
  baseline?: string;
  /** How many. */
  seeds: number;
  epochs?: number;
  batchSize?: number;
  optimizer?: OptimizerName;
  learningRate?: number;
  /** Share of the steps over which the learning rate rises. */
  warmUp?: number;
  /** Whether the trained networks are part of the results. */
  save?: boolean;
  /** The learning rates to try; true for those around the usual one, or `learningRate`; by default as `learningRate` is not given. */
  tune?: boolean | number[];
  sweep?: { setting: SweepSetting; values: number[] };
  /** The value of the metric that counts as reached. */
  reach?: number;
}

/** Every setting of a comparison with its value. Plain JSON. */
export interface Settings {
  model: ModelSettings;
  training: TrainingSettings;
  save: boolean;
  norms: NormName[];
  seeds: number[];
  baseline: NormName;
  /** Values in ascending order. */
  sweep: { setting: SweepSetting; values: number[] } | null;
  reach: number | null;
}

/** Throws UsageError for settings that do not fit each other or the data. */
export function settingsOf(choices: Choices, data: Dataset): Settings {
  const { own } = choices;
  const model = own?.model ?? modelNamed(choices.model ?? usualModel(data.form));
  const norms = normsOf(choices.norms, model, data.form);
  const usual = usualOf(model, data.form);
  const {
    depth = own?.depth ?? usual.depth,
    width = usual.width,
    activation = "relu",
    epochs = usual.epochs,
  } = choices;
  const { optimizer = usual.optimizer, warmUp = 0, save = false, sweep = null, reach = null } = choices;
  const seeds = Array.from({ length: choices.seeds }, (_, i) => i + 1);
  const examples = smallestTraining(data, seeds);
  const batchSize = choices.batchSize ?? usualBatchSize(examples);
  const learningRates = ratesOf(choices, usualLearningRate(usual, optimizer));
  const swept = (setting: SweepSetting) => (sweep?.setting === setting ? sweep.values : []);
  for (const each of new Set([depth, ...swept("depth")])) checkDepth(model, each, data.form);
  checkBatchSize(batchSize, examples, "--batch-size");
  for (const each of swept("batch-size")) checkBatchSize(each, examples, "--sweep batch-size");
  if (save && data.offset !== undefined) {
    throw new UsageError(
      "--save: a network of inputs with an --offset cannot be used; leave one of them out",
    );
  }
  const metric = metricNamed(data.task, data.metric);
  if (reach !== null && metric.higherIsBetter && reach > 1) {
    throw new UsageError(
      `--reach: expected at most 1, the best ${metric.name} there is, got ${reach}; 90 % is 0.9`,
    );
  }
  return {
    model: { kind: model.name, depth, width, activation, ...(own && { module: own.module }) },
    training: { epochs, batchSize, learningRates, optimizer, warmUp },
    save,
    norms,
    seeds,
    baseline: baselineOf(choices.baseline, norms),
    sweep,
    reach,
  };
}

/** The normalizations of these names, `all` being all of them; only those that fit the model, where it is known. */
export function normsOf(names: readonly string[], model: Model | undefined): NormName[];
export function normsOf(names: readonly string[] | undefined, model: Model, form: Form): NormName[];
export function normsOf(names: readonly string[] | undefined, model?: Model, form?: Form): NormName[] {
  if (names === undefined) return model === undefined ? [] : usualNormsOf(model, form);
  const trained = normNames.filter((norm) => modelsFor(norm).length > 0);
  const chosen = [...new Set(names)].filter((name) => name !== "all");
  for (const name of chosen) {
    const placed = placedOf(name);
    if (placed !== undefined && modelsFor(name).length > 0) continue;
    const lost = placed && namesIn(placed).find((part) => !trained.includes(part));
    const problem =
      placed === undefined
        ? `${quote(name)} is not known; did you mean ${near(name, trained).join(", or ")}?`
        : lost
          ? `${nameOf(lost)} has no place in the networks of compare`
          : `there is no network in which all of ${nameOf(name)} has a place; name them one by one`;
    throw new UsageError(`--norms: ${problem} (evenkeel norms lists all)`);
  }
  if (model === undefined) return chosen;
  if (names.includes("all")) return normsFor(model, form);
  const unfit = chosen.find((norm) => !fits(norm, model, form));
  if (unfit !== undefined) throw new UsageError(`--norms: ${whyUnfit(unfit, model, form)}`);
  return chosen;
}

/** Why it does not fit a model, or the data, and what to do. */
function whyUnfit(norm: NormName, model: Model, form: Form | undefined): string {
  const tried = model.unfit?.(norm);
  if (tried !== undefined) return `${tried}; leave ${norm} out`;
  const misfit = form && misfitOf(norm, form);
  if (misfit !== undefined) return `${nameOf(norm)} ${misfit}; leave it out`;
  const needs = needsOf(norm, model);
  if (model.unfit !== undefined)
    return `${needs}, and the network ${model.name} is not made of any; leave it out`;
  const accepting = form === undefined ? modelNames : acceptingModels(form);
  const others = modelsFor(norm).filter((name) => accepting.includes(name));
  const remedy = others.length > 0 ? `leave it out, or use --model ${others.join(" or ")}` : "leave it out";
  return `${needs}, and --model ${model.name} has none; ${remedy} (evenkeel norms lists what fits)`;
}

/** What a normalization is to stand at, which a model has none of: "instance normalization needs positions to normalize over". */
function needsOf(norm: NormName, model: Model): string {
  const placed = placedOf(norm);
  if (placed?.arrangement) {
    const which = model.arrangements === undefined ? "with a residual" : "that can be arranged so";
    return `${nameOf(norm)} needs blocks ${which}`;
  }
  if (placed?.sequence) return `${nameOf(norm)} needs the layer that it stands for`;
  // of joined ones, that which has no place
  const lacking = placed && namesIn(placed).find((part) => !fits(part, model));
  const takes = lacking === placed?.around ? "series" : aboutOf(lacking ?? norm)?.takes;
  return `${nameOf(lacking ?? norm)} needs ${takes} to normalize over`;
}

/** Of a name that someone may have typed. */
function modelNamed(name: ModelName): Model {
  if (modelNames.includes(name)) return models[name];
  throw new UsageError(`--model: ${quote(name)} is not known; there are ${modelNames.join(", ")}`);
}

/** A network without any normalization, where it is among them. */
function baselineOf(name: string | undefined, norms: readonly NormName[]): NormName {
  if (name === undefined) return norms.find((norm) => aboutOf(norm) === undefined) ?? norms[0];
  if (norms.includes(name)) return name;
  const remedy = normNames.includes(name)
    ? `add it to --norms ${[...norms, name].join()}`
    : `did you mean ${near(name, norms)[0]}?`;
  throw new UsageError(
    `--baseline: expected one of the normalizations that are compared (${norms.join(", ")}), got ${quote(name)}; ${remedy}`,
  );
}

function ratesOf({ learningRate, tune }: Choices, usual: number): number[] {
  if (!Array.isArray(tune)) {
    const rate = learningRate ?? usual;
    return (tune ?? learningRate === undefined) ? learningRatesAround(rate) : [rate];
  }
  if (learningRate !== undefined) {
    throw new UsageError(
      "--tune: takes the learning rates to try, so that --learning-rate has no place beside it; leave one of them out",
    );
  }
  return tune;
}

function checkDepth(model: Model, depth: number, form: Form): void {
  const refusal = model.refusal(form, depth);
  if (!refusal) return;
  const others = acceptingModels(form, depth).join(" or ");
  const remedies = [others && `use --model ${others}`, refusal.remedy].filter(Boolean).join(", or ");
  throw new UsageError(`--model ${model.name}: ${refusal.problem}; ${remedies}`);
}

/** What is possible, and yet says little: a sentence each. */
function warningsOf({ model, norms, training, sweep }: Settings): string[] {
  const sizes = [training.batchSize, ...(sweep?.setting === "batch-size" ? sweep.values : [])];
  const ofBatches = norms.filter((norm) => isOfBatch(norm));
  const hasPositions = model.module !== undefined || modelOf(model).places.includes("positions");
  if (!sizes.includes(1) || ofBatches.length === 0 || hasPositions) return [];
  return [
    `with --batch-size 1, ${listed(ofBatches.map(nameOf))} ${ofBatches.length > 1 ? "give" : "gives"} the same whatever comes in: one value has no variance; use 2 or more`,
  ];
}

/** Examples of the smallest training part: groups make those of seeds differ. */
function smallestTraining({ parts, count }: TrialData, seeds: readonly number[]): number {
  const drawn = parts.groups ? seeds : seeds.slice(0, 1);
  return Math.min(...drawn.map((seed) => splitOf(parts, count, seed).train.length));
}

function checkBatchSize(batchSize: number, examples: number, option: string): void {
  if (batchSize <= examples) return;
  throw new UsageError(
    `${option}: must be at most the ${examples} training examples, got ${batchSize}; use ${examples} or less`,
  );
}

/**
 * The trials, seed by seed, so that a comparison that is stopped has some of every normalization; then those of the
 * sweep. Where a value of the sweep is the comparison's own, two are the same.
 */
export function specsOf(settings: Settings, data: TrialData, digest: string): TrialSpec[] {
  const { model, training, save, norms, seeds, sweep } = settings;
  const at = (value?: number) => ({
    model: sweep?.setting === "depth" && value !== undefined ? { ...model, depth: value } : model,
    training:
      value === undefined || sweep === null
        ? training
        : {
            ...training,
            ...(sweep.setting === "learning-rate" && { learningRates: [value] }),
            ...(sweep.setting === "batch-size" && { batchSize: value }),
            ...(sweep.setting === "warm-up" && { warmUp: value }),
          },
  });
  const ofSeed = (seed: number, value?: number) => {
    const chosen = at(value);
    const keep = save && JSON.stringify(chosen) === JSON.stringify(at());
    return norms.map((norm): TrialSpec => ({ norm, seed, ...chosen, ...(keep && { keep }), data, digest }));
  };
  return [
    ...seeds.flatMap((seed) => ofSeed(seed)),
    ...seeds.flatMap((seed) => (sweep?.values ?? []).flatMap((value) => ofSeed(seed, value))),
  ];
}

/** A trial that still runs as it would be with what was measured so far: its metric is that of its last epoch. */
export function trialSoFar({ norm, seed, data }: TrialSpec, soFar: SoFar): Trial {
  const last = soFar.epochs.at(-1)?.metric ?? null;
  return {
    norm,
    seed,
    outcome: "finished",
    parameters: 0,
    tried: [],
    ...soFar,
    scores: { train: {}, validation: {}, heldOut: { [data.metric]: last } },
    confusion: null,
    stepMs: 0,
    epochsToTarget: null,
  };
}

/** When, where and by what a comparison was made. */
export type Made = Pick<Comparison, "evenkeel" | "date" | "command" | "machine" | "wallSeconds">;

/** What a comparison says of its data: their parts are those of the first seed. */
export function dataOf(data: Dataset, digest: string): Comparison["data"] {
  const { train, validation, heldOut } = splitOf(data.parts, data.count, 1);
  return {
    name: data.name,
    provenance: data.provenance,
    digest,
    task: data.task,
    target: data.target,
    inputs: data.inputs,
    form: data.form,
    targetShape: data.targetShape,
    season: data.season ?? null,
    classes: data.classes,
    classCounts: countsOf(data),
    fileRows: data.fileRows,
    examples: data.count,
    parts: { train: train.length, validation: validation.length, heldOut: heldOut.length },
    drawn: data.drawn,
    decisions: data.decisions,
    warnings: data.warnings,
  };
}

/** The comparison of the trials of `specsOf`, in its order; undefined are those that did not finish. */
export function comparisonOf(
  settings: Settings,
  data: Dataset,
  digest: string,
  trials: readonly (Trial | undefined)[],
  made: Made,
): Comparison {
  const { model, training, norms, seeds, baseline, sweep } = settings;
  const own = trials.slice(0, norms.length * seeds.length);
  const base = own.flatMap((trial) => trial ?? []);
  const about = dataOf(data, digest);
  const metric = metricNamed(data.task, data.metric);
  const names = tasks[data.task].metrics.map(({ name }) => name);
  const guess = meanOf(
    base.map((trial) => trial.guess),
    names,
  );
  const least = guess[metric.name] ?? 0;
  const guesses = (base[0]?.guesses ?? []).map(({ name }, way): Guess => {
    const all = base.flatMap(({ guesses }): Scores[] => (guesses[way] ? [guesses[way].scores] : []));
    return { name, scores: meanOf(all, names) };
  });
  const guessing = meanOf(
    base.map((trial) => trial.guessing),
    [metric.name],
  );
  const found = targetOf(base, metric, least, guessing[metric.name] ?? least);
  const targetMetric = settings.reach ?? (found === null ? null : rounded(found, least));
  const measured = withTarget(base, metric, targetMetric);
  const points = (sweep?.values ?? []).map((value, point) => {
    const swept = seeds.flatMap((_, seed) => {
      const from = own.length + (seed * (sweep?.values.length ?? 0) + point) * norms.length;
      return trials.slice(from, from + norms.length);
    });
    return {
      value,
      trials: withTarget(
        swept.flatMap((trial) => trial ?? []),
        metric,
        targetMetric,
      ),
    };
  });
  return {
    format: FORMAT,
    ...made,
    data: { ...about, warnings: [...about.warnings, ...warningsOf(settings)] },
    metric: metric.name,
    guess,
    guesses,
    targetMetric,
    model,
    training: { ...training, seeds },
    baseline,
    differences: differencesIn(settings, measured, targetMetric, metric, about.parts.heldOut),
    interrupted: trials.includes(undefined),
    summaries: summarize(norms, measured, metric.name),
    trials: measured,
    sweep: sweep && { setting: sweep.setting, points },
  };
}

/** Examples of each class. */
function countsOf({ classes, parts }: Dataset): number[] {
  const counts = classes.map(() => 0);
  if (counts.length > 0) for (const stratum of parts.strata) counts[stratum]++;
  return counts;
}

/** The share of comparisons in which some interval of a measure may miss: one in twenty in all, most of it for what is asked first. */
const ERRORS = { metric: 0.04, epochsToTarget: 0.01 };

function differencesIn(
  { norms, seeds, baseline, training }: Settings,
  trials: readonly Trial[],
  targetMetric: number | null,
  metric: Metric,
  heldOutCount: number,
): Comparison["differences"] {
  if (norms.length < 2) return { metric: [], epochsToTarget: [] };
  const valuesOf = (value: (trial: Trial) => number | null): Measured =>
    new Map(
      norms.map((norm) => [
        norm,
        seeds.map((seed) => {
          const trial = trials.find((each) => each.norm === norm && each.seed === seed);
          return trial === undefined ? null : value(trial);
        }),
      ]),
    );
  // one that does not reach the target would need one epoch more at least: no difference is made larger by it
  const late = targetMetric === null ? null : training.epochs + 1;
  return {
    metric: differencesOf(
      {
        values: valuesOf(({ scores }) => scores.heldOut[metric.name] ?? null),
        resolution: metric.resolution(heldOutCount),
      },
      baseline,
      ERRORS.metric,
    ).map((each) => within(each, metric.span)),
    epochsToTarget: differencesOf(
      { values: valuesOf(({ epochsToTarget }) => epochsToTarget ?? late), resolution: 1 },
      baseline,
      ERRORS.epochsToTarget,
    ),
  };
}

/** An interval without what no two values can differ by. */
const within = (difference: Difference, span: number): Difference => ({
  ...difference,
  low: difference.low === null ? null : Math.max(-span, difference.low),
  high: difference.high === null ? null : Math.min(span, difference.high),
});

/**
 * The default target: nine tenths of the way from guessing to the best median of a normalization's trials after any
 * epoch; null where none was beyond `level`, up to which a metric is guessing.
 */
export function targetOf(
  trials: readonly Trial[],
  metric: Metric,
  guess: number,
  level: number,
): number | null {
  let best = guess;
  for (const norm of new Set(trials.map((trial) => trial.norm))) {
    const own = trials.filter((trial) => trial.norm === norm).map(({ epochs }) => epochs);
    const longest = Math.max(...own.map(({ length }) => length));
    for (let epoch = 0; epoch < longest; epoch++) {
      best = bestOf(metric, [best, rangeOf(own.map((epochs) => epochs[epoch]?.metric)).median ?? guess]);
    }
  }
  return isBetter(metric, best, level) ? guess + 0.9 * (best - guess) : null;
}

/** A target with three decimals, or as many as tell it from guessing. */
function rounded(target: number, guess: number): number {
  const decimals = Math.max(3, 1 - Math.floor(Math.log10(Math.abs(target - guess))));
  return Number(target.toFixed(Math.min(100, decimals)));
}

/** The trials, each with the first epoch at which it reached the target, and without its network, which is kept elsewhere. */
export function withTarget(trials: readonly Trial[], metric: Metric, target: number | null): Trial[] {
  return trials.map(({ network: _, ...trial }) => {
    const reached = trial.epochs.find(
      ({ metric: value }) => value !== null && target !== null && isReached(metric, value, target),
    );
    return { ...trial, epochsToTarget: reached?.epoch ?? null };
  });
}

/** One row per normalization, in the order given. The metrics of a diverged trial do not count: it has none. */
export function summarize(norms: readonly NormName[], trials: readonly Trial[], metric: string): Summary[] {
  return norms.map((norm) => {
    const own = trials.filter((trial) => trial.norm === norm);
    const finished = own.filter(({ outcome }) => outcome === "finished");
    const reached = own.flatMap(({ epochsToTarget }) => epochsToTarget ?? []);
    const heldOut = finished.map(({ scores }) => scores.heldOut);
    const names = new Set(own.flatMap(({ scores }) => Object.keys(scores.heldOut)));
    return {
      norm,
      trials: own.length,
      diverged: own.length - finished.length,
      parameters: own[0]?.parameters ?? null,
      learningRate: rangeOf(own.map(({ learningRate }) => learningRate)),
      metric: rangeOf(heldOut.map((scores) => scores[metric])),
      trainMetric: rangeOf(finished.map(({ scores }) => scores.train[metric])),
      scores: Object.fromEntries(
        [...names].map((name) => [name, rangeOf(heldOut.map((scores) => scores[name])).median]),
      ),
      epochsToTarget: { ...rangeOf(reached), reached: reached.length },
      stepMs: rangeOf(own.map(({ stepMs }) => stepMs)),
      gradientRatio: rangeOf(own.map(({ probes }) => gradientRatio(probes))),
    };
  });
}

/** Median over the probes of the first layer's gradient norm divided by the last one's. */
function gradientRatio(probes: readonly Probe[]): number | null {
  const ratios = probes.map(({ gradientNorm }) => {
    const [first, last] = [gradientNorm[0], gradientNorm.at(-1)];
    return typeof first === "number" && typeof last === "number" && last > 0 ? first / last : null;
  });
  return rangeOf(ratios).median;
}

/** Of each name the mean of the values that are numbers; null without any. */
function meanOf(all: readonly Scores[], names: readonly string[]): Scores {
  return Object.fromEntries(
    names.map((name) => {
      const values = all.flatMap((scores) => scores[name] ?? []);
      const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
      return [name, values.length === 0 ? null : mean];
    }),
  );
}
