/**
 * What is claimed of trials that differ by chance alone, and of trials that differ by one standard deviation.
 *
 * The draws are the same in every run. They are few, so that a rate of truly 5 % is seen as up to 9 %; with thousands of
 * draws none of these was above 6 %, and most were below 5 %.
 */
import { uniformFloat64 } from "pure-rand/distribution/uniformFloat64";
import { xoroshiro128plus } from "pure-rand/generator/xoroshiro128plus";
import { describe, expect, test } from "vitest";
import { differencesOf } from "../src/claims.js";
import { comparisonOf } from "../src/comparison.js";
import type { Dataset } from "../src/datasets/dataset.js";
import { clearlyBetter, clearlyWorse, findings, headline } from "../src/findings.js";
import { summaryTable } from "../src/node/summary.js";
import type { Comparison, Trial } from "../src/results.js";
import type { TaskName } from "../src/tasks/registry.js";

const NORMS = ["none", "layer", "rms", "batch", "group"];
/**
 * Of trials of one seed that differ in their normalization: the seed draws the parts and the weights of all of them.
 * Ten seeds of none, layer, RMS, batch and group (4 layers of 16 units) had 0.8 on average for the R² of 1,500 hours of
 * traffic and air (pairs: 0.7 to 0.9), 0.5 for the accuracy on breast-cancer (0 to 0.9), and 0.4 for that on 846
 * silhouettes of vehicles (−0.5 to 0.9). A difference of one deviation is thus often found by more seeds only: at 0.9
 * in 90 % of draws by five; at 0.8 in 60 % by five and 97 % by ten; at 0.5 in 24 %, 61 % and 95 % by five, ten and twenty,
 * and one of two deviations in 81 % by five.
 */
const CORRELATION = 0.9;
/** 30 are held out. */
const EXAMPLES = 150;

interface Chance {
  uniform(): number;
  normal(): number;
}

function chanceOf(seed: number): Chance {
  const random = xoroshiro128plus(seed);
  const uniform = () => uniformFloat64(random);
  const normal = () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
  return { uniform, normal };
}

/** How often something is so in that many draws, each with chance of its own. */
function rateOf(draws: number, holds: (chance: Chance) => boolean): number {
  const chances = Array.from({ length: draws }, (_, draw) => chanceOf(draw + 1));
  return chances.filter(holds).length / draws;
}

// ---- whole comparisons ----

const METRICS: [task: TaskName, metric: string, classes: string[], guess: number][] = [
  ["classification", "accuracy", ["no", "yes"], 0.5],
  ["regression", "R²", [], 0],
];

/** A trial whose metric rises to `metric`, sooner or later. */
function trialOf(
  metric: string,
  guess: number,
  value: number,
  pace: number,
  outcome: Trial["outcome"],
): Trial {
  const scores = { [metric]: outcome === "finished" ? value : null };
  return {
    norm: "none",
    seed: 1,
    outcome,
    parameters: 100,
    learningRate: 0.05,
    tried: [],
    epochs: Array.from({ length: 12 }, (_, i) => ({
      epoch: i + 1,
      trainLoss: 1,
      heldOutLoss: 1,
      metric: guess + (value - guess) * (1 - Math.exp(-pace * (i + 1))),
      seconds: i,
    })),
    probes: [1, 2, 3].map((step) => ({
      step,
      gradientNorm: [pace, 1],
      activationMean: [0, 0],
      activationSpread: [1, 1],
    })),
    scores: { train: scores, validation: scores, heldOut: scores },
    guess: { [metric]: guess },
    guesses: [],
    guessing: { [metric]: guess + 0.05 },
    confusion: null,
    stepMs: pace,
    epochsToTarget: null,
  };
}

/** The comparison of these trials: of the first seed one for each normalization, and so on. */
function comparisonFrom(
  [task, metric, classes]: (typeof METRICS)[number],
  trials: readonly Trial[],
): Comparison {
  const seeds = Array.from({ length: trials.length / NORMS.length }, (_, i) => i + 1);
  const data: Dataset = {
    name: "made up",
    provenance: "here",
    task,
    metric,
    target: "label",
    inputs: [{ column: "a", how: "a number", names: ["a"] }],
    form: { input: { kind: "features", shape: [1] }, outputs: [2] },
    classes,
    count: EXAMPLES,
    x: new Float32Array(EXAMPLES),
    scaled: Uint8Array.of(1),
    y: new Float32Array(EXAMPLES),
    targetShape: [],
    yScale: 1,
    parts: { strata: new Int32Array(EXAMPLES) },
    drawn: "draws its own parts",
    fileRows: EXAMPLES,
    decisions: [],
    warnings: [],
    reading: {},
  };
  return comparisonOf(
    {
      model: { kind: "mlp", depth: 4, width: 8, activation: "relu" },
      training: { epochs: 12, batchSize: 16, learningRates: [0.02, 0.05, 0.1], optimizer: "sgd", warmUp: 0 },
      save: false,
      norms: NORMS,
      seeds,
      baseline: "none",
      sweep: null,
      reach: null,
    },
    data,
    "",
    trials.map((trial, i) => ({
      ...trial,
      norm: NORMS[i % NORMS.length] as string,
      seed: 1 + Math.floor(i / NORMS.length),
    })),
    {
      evenkeel: "",
      date: "",
      command: "",
      machine: { processor: "", cores: 1, runtime: "", backend: "" },
      wallSeconds: 1,
    },
  );
}

/** Whether anything at all is claimed. Whatever else is said must be no comparison. */
function claims(comparison: Comparison, table: readonly string[]): boolean {
  const { differences } = comparison;
  const text = [headline(comparison), ...findings(comparison), ...table].join("\n");
  expect(text).not.toMatch(/best|worst|fastest|slowest|steadi|evenness|most even|highest|lowest/);
  const clear = [...differences.metric, ...differences.epochsToTarget].some((each) => each.clear);
  const marked = (["metric", "epochsToTarget"] as const).some(
    (measure) => clearlyBetter(comparison, measure).size + clearlyWorse(comparison, measure).size > 0,
  );
  const said =
    /clearly|▲|▼|reaches/.test(text) ||
    !/^(No difference in \S+ that these seeds can show|One seed cannot tell a difference from chance): /.test(
      text,
    );
  expect(said).toBe(clear);
  expect(marked).toBe(clear);
  return clear;
}

describe("identical trials, dealt at random into five pretended normalizations", () => {
  const DRAWS = 120;

  /** 80 trials of one network and its normalization; a tenth diverged. */
  const pool = ([, metric, classes, guess]: (typeof METRICS)[number]): Trial[] => {
    const { normal, uniform } = chanceOf(20);
    return Array.from({ length: 80 }, () => {
      const value = 0.9 + 0.04 * normal();
      const right = Math.min(1, classes.length > 0 ? Math.round(30 * value) / 30 : value);
      const pace = Math.exp(0.3 * normal() - 1);
      return trialOf(metric, guess, right, pace, uniform() < 0.1 ? "diverged" : "finished");
    });
  };

  const cases = METRICS.flatMap((kind) => [1, 3, 5].map((seeds) => ({ metric: kind[1], seeds, kind })));
  test.each(cases)("$metric, seeds: $seeds: a claim in one of twenty draws at most", ({ seeds, kind }) => {
    const trials = pool(kind);
    const rate = rateOf(seeds === 1 ? 30 : DRAWS, ({ uniform }) => {
      const deck = trials.map((trial) => ({ trial, at: uniform() })).sort((a, b) => a.at - b.at);
      const dealt = deck.slice(0, NORMS.length * seeds).map(({ trial }) => trial);
      const comparison = comparisonFrom(kind, dealt);
      // the table takes longer than all the rest
      return claims(comparison, uniform() < 0.1 ? [summaryTable(comparison, 200)] : []);
    });
    expect(rate).toBeLessThanOrEqual(seeds === 1 ? 0 : 0.05);
  });
});

describe("a difference of one standard deviation over seeds", () => {
  /*
   * The deviation is mostly the seeds' own, which pairing takes out. Without pairs nobody can find it with five seeds:
   * with the spread known, the largest of four ratios stays below 2.44 in 95 % of cases, a difference of one deviation
   * has the ratio sqrt(5 / 2) = 1.58 on average, and is found in 20 % of draws (in 35 % if it were the only one).
   */
  test.each(METRICS.map((kind) => ({ metric: kind[1], kind })))(
    "$metric: is found in four of five draws at least, with five seeds",
    ({ kind }) => {
      const [, metric, , guess] = kind;
      const rate = rateOf(150, ({ normal }) => {
        const trials = Array.from({ length: 5 }, () => {
          const ofSeed = Math.sqrt(CORRELATION) * normal();
          return NORMS.map((norm) => {
            const own = ofSeed + Math.sqrt(1 - CORRELATION) * normal();
            const value = 0.7 + 0.05 * (own + (norm === "batch" ? 1 : 0));
            return trialOf(metric, guess, value, Math.exp(0.3 * normal() - 1), "finished");
          });
        });
        const comparison = comparisonFrom(kind, trials.flat());
        return / with [^;]*batch normalization[^;]* it (reaches|ends clearly higher) /.test(
          headline(comparison),
        );
      });
      expect(rate).toBeGreaterThanOrEqual(0.8);
    },
  );
});

describe("no difference, whatever the values are like: any claim in at most 5 % of draws", () => {
  const like: Record<string, (chance: Chance) => number | null> = {
    "normal values": ({ normal }) => normal(),
    "skewed values": ({ uniform }) => -Math.log(1 - uniform()),
    "heavy tails": ({ normal }) => normal() / Math.hypot(normal(), normal(), normal()),
    "an eighth of them lost": ({ normal, uniform }) => (uniform() < 0.125 ? null : normal()),
    "a seed in seven that fails": ({ uniform, normal }) =>
      uniform() < 1 / 7 ? 0.1 : 0.97 + 0.001 * normal(),
    "accuracies of 30 examples": ({ uniform }) => rightOf(30, 0.95, uniform),
    "accuracies near 1": ({ uniform }) => rightOf(200, 0.995, uniform),
  };
  const rightOf = (examples: number, share: number, uniform: () => number) =>
    Array.from({ length: examples }, uniform).filter((each) => each < share).length / examples;
  /** How far each normalization's values spread, by its place. */
  const spreads: Record<string, (place: number) => number> = {
    "one spreads ten times as far": (place) => (place === 3 ? 10 : 1),
    "the baseline spreads three times as far": (place) => (place === 0 ? 3 : 1),
    "one is steady": (place) => (place === 3 ? 0.05 : 1),
    "all spread differently": (place) => 1.8 ** place,
  };
  const rate = (
    seeds: number,
    norms: number,
    resolution: number,
    value: (chance: Chance, place: number) => number | null,
  ) =>
    rateOf(60, (chance) => {
      const values = new Map(
        Array.from({ length: norms }, (_, place) => [
          String(place),
          Array.from({ length: seeds }, () => value(chance, place)),
        ]),
      );
      return differencesOf({ values, resolution }, "0", 0.05).some(({ clear }) => clear);
    });

  const all: number[] = [];
  const mean = (rates: readonly number[]) => rates.reduce((sum, each) => sum + each, 0) / rates.length;

  test.each(Object.entries(like))("%s", (name, draw) => {
    const resolution = name.includes("30") ? 1 / 30 : name.includes("near 1") ? 1 / 200 : 0;
    for (const seeds of [3, 5]) all.push(rate(seeds, 5, resolution, draw));
    expect(mean(all.slice(-2))).toBeLessThanOrEqual(0.08);
  });

  test.each(Object.entries(spreads))("%s", (_, spread) => {
    for (const seeds of [3, 5]) all.push(rate(seeds, 5, 0, ({ normal }, place) => spread(place) * normal()));
    expect(mean(all.slice(-2))).toBeLessThanOrEqual(0.08);
  });

  test.each([
    [2, 5],
    [12, 5],
    [38, 3],
  ])("%i normalizations, %i seeds", (norms, seeds) => {
    all.push(rate(seeds, norms, 0, ({ normal }) => normal()));
    expect(all.at(-1)).toBeLessThanOrEqual(0.08);
  });

  test("all of these together", () => {
    expect(all).toHaveLength(25);
    expect(mean(all)).toBeLessThanOrEqual(0.05);
  });
});
