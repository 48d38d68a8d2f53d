/** What a diagnosis says: where a network vanishes, explodes or dies, and what a normalization put into it changed. Facts of what was measured. */
import { count, formatNumber, listed, quote } from "@evenkeel/report/format";
import { isNumber } from "@evenkeel/report/statistics";
import { type Course, type LayerState, type Probe, SATURATED_SHARE } from "./diagnosis.js";
import { type NormName, nameOf } from "./norms.js";
import type { OptimizerName } from "./settings.js";

/** From where on something is told. */
const thresholds = {
  /** The largest over the smallest among the layers. */
  gradients: 1000,
  spreads: 100,
  /** Share of a layer's units. */
  dead: 0.2,
  /** A gradient's norm over that of its weights, at most, in all layers. */
  small: 1e-6,
  /** Of the means, in standard deviations, and of the variances; medians of a layer's channels. */
  gap: { mean: 0.5, variance: 2 },
  /** Of the loss before training. */
  fall: 0.01,
} as const;

/** The thresholds, each in a sentence. */
export const thresholdTexts: readonly string[] = [
  `The gradient vanishes or explodes where that of one layer is more than ${thresholds.gradients.toLocaleString("en-US")} times that of another, the spread of activations where it is more than ${thresholds.spreads} times; what an output layer’s activation gives is left out.`,
  `Dead units are told from ${100 * thresholds.dead} % of a layer’s on: those that give 0 for every example measured on, or are saturated for ${100 * SATURATED_SHARE} % of them (tanh beyond ±0.99, sigmoid within 0.01 of 0 or 1).`,
  `A gradient is small where its norm is below ${formatNumber(thresholds.small)} of that of the weights in every layer.`,
  `Running statistics are off where the median channel’s mean differs by more than ${thresholds.gap.mean} standard deviations from the batch’s, or its variance by more than ${thresholds.gap.variance} times.`,
  `The loss did not fall where it fell by less than ${100 * thresholds.fall} %.`,
];

export interface Ailment {
  kind:
    | "not finite"
    | "no gradient"
    | "gradient"
    | "small gradient"
    | "activations"
    | "dead"
    | "statistics"
    | "loss";
  text: string;
  /** Names of layers, the worst first. */
  layers: string[];
  /** Whether a normalization between layers is made for it. */
  mendable: boolean;
  /** What a gradient or activations do from layer to layer. */
  trend?: Trend;
}

/** Of one thing, and of several. */
const TRENDS = { vanishes: "vanish", explodes: "explode" } as const;
type Trend = keyof typeof TRENDS;

/** What was diagnosed, and how; plain JSON. */
export interface Diagnosis {
  evenkeel: string;
  /** As the user named it. */
  model: string;
  /** As the user named them; undefined for random inputs and targets. */
  data?: string;
  /** What the inputs and targets are, one sentence each. */
  about: string[];
  /** Examples measured on. */
  examples: number;
  steps: number;
  batchSize: number;
  optimizer: OptimizerName;
  learningRate: number;
  seed: number;
  /** In a sentence. */
  loss: string;
  ailments: Ailment[];
  /** Normalizations that are made for what was found; none where nothing was, or where no layer has a place for one. */
  proposed: NormName[];
  /** What each normalization that was tried changed, a sentence each. */
  changes: { norm: NormName; texts: string[] }[];
  /** The network as it is, and then with each normalization that was tried. */
  courses: Course[];
  seconds: number;
}

/** Layers that are named in one sentence. */
const MOST_NAMED = 4;

const named = (layers: readonly string[]): string =>
  layers.length <= MOST_NAMED
    ? listed(layers.map((name) => quote(name)))
    : `${layers
        .slice(0, MOST_NAMED - 1)
        .map((name) => quote(name))
        .join(", ")} and ${layers.length - MOST_NAMED + 1} more`;

const percent = (share: number): string => `${Math.round(100 * share)}\u00a0%`;
const times = (factor: number): string => (factor >= 10 ? formatNumber(factor) : factor.toPrecision(2));

const when = (step: number): string => (step === 0 ? "before training" : `after ${count(step, "step")}`);

/** The extremes of a measure by depth. */
interface Extremes {
  low: { index: number; value: number };
  high: { index: number; value: number };
  ratio: number;
}

/** Of the values above 0 and finite; undefined for fewer than two. */
function extremesOf(values: readonly (number | null)[]): Extremes | undefined {
  const all = values.flatMap((value, index) => (isNumber(value) && value > 0 ? { index, value } : []));
  if (all.length < 2) return undefined;
  const sorted = all.toSorted((a, b) => a.value - b.value);
  const [low, high] = [sorted[0], sorted[sorted.length - 1]];
  return { low, high, ratio: high.value / low.value };
}

const gradientsOf = ({ layers }: Probe) => layers.map(({ gradientNorm }) => gradientNorm);

/** What is found in the network as it is; of random targets nothing can be learnt, and nothing is said of it. */
export function ailmentsOf(course: Course, learnable = true): Ailment[] {
  const { probes, layers, losses } = course;
  const found: Ailment[] = [];
  const nameAt = (index: number) => layers[index].name;
  const finite = probes.filter(({ loss }) => loss !== null);
  const first = losses.indexOf(null);
  if (finite.length === 0 || first >= 0) {
    const step = Math.max(0, first);
    const at =
      probes.find(({ loss }) => loss === null)?.layers.findIndex(({ spread }) => spread === null) ?? -1;
    const where = at >= 0 ? `; the first layer whose outputs are not finite is ${quote(nameAt(at))}` : "";
    found.push({
      kind: "not finite",
      text: `The loss is not finite ${when(step)}${where}`,
      layers: at >= 0 ? [nameAt(at)] : [],
      mendable: true,
    });
  }
  if (finite.length === 0) return found;
  found.push(...withoutGradient(course, finite));
  found.push(...byDepth(course, finite, "gradient"), ...byDepth(course, finite, "activations"));
  found.push(...smallGradient(course, finite[0]), ...deadIn(course, finite));
  found.push(...gapsIn(finite[finite.length - 1]), ...(learnable ? lossOf(finite) : []));
  return found;
}

function withoutGradient({ layers }: Course, probes: readonly Probe[]): Ailment[] {
  const noneAt = (probe: Probe) =>
    layers.flatMap(({ name, frozen }, i) => (!frozen && probe.layers[i].gradientNorm === 0 ? name : []));
  const probe = probes.find((one) => noneAt(one).length > 0);
  if (probe === undefined) return [];
  const none = noneAt(probe);
  return [
    {
      kind: "no gradient",
      text: `No gradient reaches ${none.length === layers.length ? "any layer" : named(none)} ${when(probe.step)}: it is exactly 0`,
      layers: none,
      mendable: true,
    },
  ];
}

/** What vanishes or explodes from layer to layer: the gradient on its way to the inputs, activations on theirs to the outputs. */
function byDepth({ layers }: Course, probes: readonly Probe[], what: "gradient" | "activations"): Ailment[] {
  const isAnswer = layers[layers.length - 1].activation !== "linear";
  const spreadsOf = (probe: Probe) =>
    (isAnswer ? probe.layers.slice(0, -1) : probe.layers).map(({ spread }) => spread);
  const of = what === "gradient" ? gradientsOf : spreadsOf;
  const isFound = (extremes: Extremes | undefined): extremes is Extremes =>
    extremes !== undefined && extremes.ratio > thresholds[what === "gradient" ? "gradients" : "spreads"];
  const probe = probes.find((one) => isFound(extremesOf(of(one))));
  const extremes = probe && extremesOf(of(probe));
  if (probe === undefined || !isFound(extremes)) return [];
  const { low, high, ratio } = extremes;
  // the gradient goes from the last layer to the first
  const falls = what === "gradient" ? low.index < high.index : low.index > high.index;
  const trend: Trend = falls ? "vanishes" : "explodes";
  const [from, to] = [low, high].toSorted((one, other) => one.index - other.index);
  const each = ratio ** (1 / Math.abs(low.index - high.index));
  const ends = `${formatNumber(from.value)} at ${quote(layers[from.index].name)}, ${formatNumber(to.value)} at ${quote(layers[to.index].name)}`;
  const direction = what === "gradient" ? "towards the inputs" : "with depth";
  const last = probes[probes.length - 1];
  const later = extremesOf(of(last));
  const then =
    last === probe || later === undefined
      ? ""
      : `; ${when(last.step)} the largest is ${times(later.ratio)} times the smallest`;
  return [
    {
      kind: what,
      text: `${what === "gradient" ? "The gradient" : "The spread of activations"} ${trend} ${direction} ${when(probe.step)}: ${ends} (${falls ? "falls" : "grows"} by ${times(each)} per layer)${then}`,
      layers: [layers[falls ? low.index : high.index].name],
      mendable: true,
      trend,
    },
  ];
}

function smallGradient({ layers }: Course, probe: Probe): Ailment[] {
  const shares = probe.layers.flatMap(({ gradientNorm, weightNorm }, index) =>
    isNumber(gradientNorm) && isNumber(weightNorm) && weightNorm > 0
      ? { share: gradientNorm / weightNorm, index }
      : [],
  );
  const [most] = shares.toSorted((a, b) => b.share - a.share);
  // that it is 0 everywhere is told already
  if (most === undefined || most.share === 0 || most.share >= thresholds.small) return [];
  return [
    {
      kind: "small gradient",
      text: `The gradient is small beside the weights in every layer ${when(probe.step)}: at most ${formatNumber(most.share)} of them, at ${quote(layers[most.index].name)}`,
      layers: [layers[most.index].name],
      mendable: true,
    },
  ];
}

function deadIn({ layers }: Course, probes: readonly Probe[]): Ailment[] {
  // what the last layer gives is the answer
  const deadAt = (probe: Probe) =>
    probe.layers
      .slice(0, -1)
      .flatMap(({ dead }, index) => (isNumber(dead) && dead >= thresholds.dead ? { dead, index } : []));
  const probe = probes.find((one) => deadAt(one).length > 0);
  if (probe === undefined) return [];
  const last = probes[probes.length - 1];
  const worst = deadAt(probe).toSorted((a, b) => b.dead - a.dead);
  const told = worst
    .slice(0, worst.length <= MOST_NAMED ? MOST_NAMED : MOST_NAMED - 1)
    .map(({ dead, index }) => `${percent(dead)} of ${layers[index].units} at ${quote(layers[index].name)}`);
  const rest = worst.length - told.length;
  const later = mostDead(last.layers);
  return [
    {
      kind: "dead",
      text: `Units are dead ${when(probe.step)}: ${listed([...told, ...(rest > 0 ? [`${percent(thresholds.dead)} or more in ${count(rest, "other layer")}`] : [])])}${last === probe ? "" : `; ${when(last.step)} at most ${percent(later)} of a layer’s`}`,
      layers: worst.map(({ index }) => layers[index].name),
      mendable: true,
    },
  ];
}

const mostDead = (layers: readonly LayerState[]): number =>
  Math.max(0, ...layers.slice(0, -1).map(({ dead }) => dead ?? 0));

function gapsIn(probe: Probe): Ailment[] {
  const off = probe.gaps.filter(
    ({ mean, variance }) =>
      (mean.median ?? Number.POSITIVE_INFINITY) > thresholds.gap.mean ||
      (variance.median ?? Number.POSITIVE_INFINITY) > thresholds.gap.variance,
  );
  if (off.length === 0) return [];
  const sizeOf = ({ mean, variance }: Probe["gaps"][number]) =>
    Math.max(
      (mean.median ?? Number.POSITIVE_INFINITY) / thresholds.gap.mean,
      (variance.median ?? Number.POSITIVE_INFINITY) / thresholds.gap.variance,
    );
  const [worst] = off.toSorted((a, b) => sizeOf(b) - sizeOf(a));
  return [
    {
      kind: "statistics",
      text: `Running statistics are not those of the batches ${when(probe.step)} in ${off.length} of ${count(probe.gaps.length, "normalization")}, most at ${quote(worst.layer)}: means by ${formatNumber(worst.mean.median)} standard deviations, variances ${formatNumber(worst.variance.median)} times; the loss is ${formatNumber(probe.loss)} with a batch’s, ${formatNumber(probe.evaluationLoss)} with the running ones`,
      layers: off.map(({ layer }) => layer),
      mendable: false,
    },
  ];
}

function lossOf(probes: readonly Probe[]): Ailment[] {
  const [first, last] = [probes[0], probes[probes.length - 1]];
  if (first === last || !isNumber(first.loss) || !isNumber(last.loss)) return [];
  if (first.loss - last.loss >= thresholds.fall * Math.abs(first.loss)) return [];
  return [
    {
      kind: "loss",
      text: `The loss did not fall: ${formatNumber(first.loss)} before training, ${formatNumber(last.loss)} ${when(last.step)}`,
      layers: [],
      mendable: false,
    },
  ];
}

/** Batches of which the statistics of a batch say enough. */
const LEAST_BATCH = 16;

/** The normalizations that are tried where one is to mend something: at this batch size. */
export const remediesAt = (batchSize: number): NormName[] =>
  batchSize >= LEAST_BATCH ? ["layer", "batch"] : ["layer", "group"];

/** Those for what was found: none where nothing was that they are made for. */
export const proposedFor = (ailments: readonly Ailment[], batchSize: number): NormName[] =>
  ailments.some(({ mendable }) => mendable) ? remediesAt(batchSize) : [];

/** What a normalization changed, measure by measure, with both numbers. */
export function changesOf(before: Course, after: Course): string[] {
  const lines: string[] = [];
  const ratios = [before, after].map(({ probes }) => extremesOf(gradientsOf(probes[0]))?.ratio);
  if (isNumber(ratios[0]) && isNumber(ratios[1])) {
    lines.push(
      `gradient before training: the largest is ${times(ratios[1])} times the smallest (as it is: ${times(ratios[0])} times)`,
    );
  }
  const dead = [before, after].map(({ probes }) => mostDead(probes[0].layers));
  if (dead.some((share) => share > 0)) {
    lines.push(
      `dead units before training: at most ${percent(dead[1])} of a layer’s (as it is: ${percent(dead[0])})`,
    );
  }
  const step = Math.min(before.probes.at(-1)?.step ?? 0, after.probes.at(-1)?.step ?? 0);
  const told = (course: Course) => {
    const { loss } = course.probes.find((probe) => probe.step === step) ?? { loss: null };
    const [start] = course.probes;
    if (loss === null) return "not finite";
    return step === 0 ? formatNumber(loss) : `from ${formatNumber(start.loss)} to ${formatNumber(loss)}`;
  };
  lines.push(
    `loss ${step === 0 ? when(0) : `over ${count(step, "step")}`}: ${told(after)} (as it is: ${told(before)})`,
  );
  return lines;
}

/** One sentence over all. */
export function headline({ ailments, courses }: Diagnosis): string {
  const words: Record<Ailment["kind"], (trend: Trend) => string> = {
    "not finite": () => "its loss is not finite",
    "no gradient": () => "no gradient reaches some layers",
    gradient: (trend) => `its gradient ${trend}`,
    "small gradient": () => "its gradient is small beside its weights",
    activations: (trend) => `its activations ${TRENDS[trend]}`,
    dead: () => "units are dead",
    statistics: () => "its running statistics are not those of the batches",
    loss: () => "its loss did not fall",
  };
  if (ailments.length === 0) return `Nothing was found in ${count(courses[0].layers.length, "layer")}`;
  const text = listed(ailments.map(({ kind, trend = "vanishes" }) => words[kind](trend)));
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}`;
}

/** "with layer normalization", "as it is". */
export const courseName = ({ norm }: Pick<Course, "norm">): string =>
  norm === undefined ? "as it is" : `with ${nameOf(norm)}`;

/** What a comparison of one order of the batches can show. */
export const chanceText =
  "All of them start from the same weights and see the same batches in the same order, once: small differences may be chance.";

/** How it was trained, as one line. */
export const trainingText = ({
  steps,
  batchSize,
  optimizer,
  learningRate,
  loss,
  examples,
}: Diagnosis): string =>
  `measured on ${count(examples, "example")} in batches of ${batchSize}, before training${steps > 0 ? ` and over ${count(steps, "step")} of ${optimizer} at learning rate ${Number(learningRate.toPrecision(3))}` : ""}; loss: ${loss}`;
