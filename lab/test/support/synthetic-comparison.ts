/**
 * A comparison made up from formulas, for the tests of the report: deterministic, of plausible shape. Without
 * normalization the gradient vanishes and the network stays at guessing; each normalization learns at its own pace.
 */
import type { Range } from "@evenkeel/report/statistics";
import type { NormName } from "../../src/norms.js";
import type { Comparison, Epoch, Probe, Summary, Trial } from "../../src/results.js";

/** What to make up; all of it has a default. */
export interface Recipe {
  norms?: NormName[];
  seeds?: number[];
  epochs?: number;
  depth?: number;
  metric?: Comparison["metric"];
  /** Normalizations whose trials diverge, and the epoch at which they do (1: no finite value at all). */
  diverging?: Partial<Record<NormName, number>>;
  /** Normalizations of which no trial finished, as when the user stops the comparison. */
  unfinished?: NormName[];
  dataName?: string;
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
    pace: 0.15 + 0.02 * id,
    final: 0.9 + 0.004 * id,
    loss: 0.9 + 0.01 * id,
    drift: 1,
    cost: 5,
  };

function makeTrial(norm: NormName, seed: number, recipe: Required<Recipe>): Trial {
  const id = NAMES.includes(norm) ? NAMES.indexOf(norm) : recipe.norms.indexOf(norm) + NAMES.length;
  const { pace, final, loss, drift, cost } = characterOf(norm, id);
  const end = recipe.diverging[norm];
  const finished = end === undefined ? recipe.epochs : Math.min(recipe.epochs, end - 1);
  const luck = noise(id, seed) - 0.5;
  const epochs = Array.from({ length: finished }, (_, i): Epoch => {
    const progress = 1 - Math.exp(-pace * (1 + 0.3 * luck) * (i + 1));
    const wobble = 0.012 * (noise(id, seed, i) - 0.5);
    const accuracy = Math.min(1, 0.1 + (final + 0.02 * luck - 0.1) * progress + wobble);
    const trainLoss = Math.LN10 * Math.exp(-4.6 * progress) * (1 + 4 * wobble);
    const metric = recipe.metric === "accuracy" ? accuracy : (accuracy - 0.1) / 0.9;
    return { epoch: i + 1, trainLoss, heldOutLoss: trainLoss * 1.2 + 0.05, metric };
  });
  const probes = Array.from({ length: finished + 1 }, (_, i): Probe => {
    const progress = i / Math.max(1, recipe.epochs);
    const layers = Array.from({ length: recipe.depth }, (_, layer) => layer);
    const jitter = (layer: number, kind: number): number => 0.8 + 0.4 * noise(id, seed, i, layer, kind);
    return {
      step: i * 23,
      gradientNorm: layers.map(
        (layer) => (0.9 - 0.6 * progress) * loss ** (recipe.depth - 1 - layer) * jitter(layer, 1),
      ),
      activationMean: layers.map((layer) => 0.4 * drift ** layer * (jitter(layer, 2) - 0.4)),
      activationSpread: layers.map((layer) => 0.8 * drift ** layer * jitter(layer, 3) * (1 + 0.5 * progress)),
    };
  });
  const reached = epochs.find(({ metric }) => metric !== null && metric >= 0.9);
  return {
    norm,
    seed,
    outcome: end === undefined ? "finished" : "diverged",
    parameters: 84_000 + id * 1280,
    epochs,
    probes,
    stepMs: cost * (1 + 0.1 * luck),
    epochsToTarget: reached?.epoch ?? null,
  };
}

function range(values: (number | null | undefined)[]): Range {
  const sorted = values.filter((value) => typeof value === "number").sort((a, b) => a - b);
  const [low, high] = [sorted[(sorted.length - 1) >> 1], sorted[sorted.length >> 1]];
  const median = low === undefined || high === undefined ? null : (low + high) / 2;
  return { median, min: sorted[0] ?? null, max: sorted.at(-1) ?? null };
}

function ratio({ probes }: Trial): number | null {
  const logs = probes.map(({ gradientNorm }) =>
    Math.log((gradientNorm[0] ?? 0) / (gradientNorm.at(-1) ?? 1)),
  );
  return logs.length === 0 ? null : Math.exp(logs.reduce((sum, log) => sum + log, 0) / logs.length);
}

function summarize(norm: NormName, trials: Trial[]): Summary {
  const finished = trials.filter(({ outcome }) => outcome === "finished");
  const toTarget = trials.map(({ epochsToTarget }) => epochsToTarget);
  return {
    norm,
    trials: trials.length,
    diverged: trials.length - finished.length,
    metric: range(finished.map(({ epochs }) => epochs.at(-1)?.metric)),
    epochsToTarget: { ...range(toTarget), reached: toTarget.filter((epoch) => epoch !== null).length },
    stepMs: range(trials.map(({ stepMs }) => stepMs)),
    gradientRatio: range(trials.map(ratio)),
  };
}

/** Makes up a comparison; the same recipe gives the same one. */
export function syntheticComparison(recipe: Recipe = {}): Comparison {
  const full: Required<Recipe> = {
    norms: NAMES,
    seeds: [1, 2, 3],
    epochs: 20,
    depth: 20,
    metric: "accuracy",
    diverging: {},
    unfinished: [],
    dataName: "digits",
    ...recipe,
  };
  const trials = full.norms
    .filter((norm) => !full.unfinished.includes(norm))
    .flatMap((norm) => full.seeds.map((seed) => makeTrial(norm, seed, full)));
  const regression = full.metric === "R²";
  return {
    evenkeel: "0.1.0",
    date: "2026-03-14T09:26:53.000Z",
    command: `evenkeel compare --data ${full.dataName} --norms ${full.norms.join(",")} --seeds ${full.seeds.length}`,
    machine: { processor: "Example 3000", cores: 2, node: "22.11.0", backend: "wasm (SIMD)" },
    data: {
      name: full.dataName,
      provenance: "UCI Optical Recognition of Handwritten Digits, test part (CC BY 4.0), 8 × 8 grey levels",
      task: regression ? "regression" : "classification",
      target: "digit",
      inputShape: [64],
      classes: regression ? [] : Array.from({ length: 10 }, (_, i) => String(i)),
      trainCount: 1437,
      heldOutCount: 360,
      baseline: regression ? 0 : 0.1,
      notes: [],
    },
    metric: full.metric,
    targetMetric: 0.9,
    model: { kind: "mlp", depth: full.depth, width: 64, activation: "relu" },
    training: { epochs: full.epochs, batchSize: 64, learningRate: 0.05, optimizer: "SGD", seeds: full.seeds },
    interrupted: full.unfinished.length > 0,
    wallSeconds: 78.4,
    summaries: full.norms.map((norm) =>
      summarize(
        norm,
        trials.filter((trial) => trial.norm === norm),
      ),
    ),
    trials,
  };
}

/** All values of the trials as JSON may hold them where nothing was finite. */
export function withoutNumbers(comparison: Comparison): Comparison {
  const nothing = { median: null, min: null, max: null };
  return {
    ...comparison,
    summaries: comparison.summaries.map((summary) => ({
      ...summary,
      metric: nothing,
      epochsToTarget: { ...nothing, reached: 0 },
      gradientRatio: nothing,
    })),
    trials: comparison.trials.map((trial) => ({
      ...trial,
      epochsToTarget: null,
      epochs: trial.epochs.map(({ epoch }) => ({ epoch, trainLoss: null, heldOutLoss: null, metric: null })),
      probes: trial.probes.map(({ step, gradientNorm }) => {
        const nulls = gradientNorm.map(() => null);
        return { step, gradientNorm: nulls, activationMean: nulls, activationSpread: nulls };
      }),
    })),
  };
}
