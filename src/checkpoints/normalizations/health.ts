/** Whether a trained normalization is well: what its values say of the network, and of how it was trained or saved. */
import { type MappedNormalization, numeral } from "./normalization.js";

/** One observation. */
export interface Finding {
  readonly kind:
    | "nonfinite"
    | "negative-variance"
    | "never-updated"
    | "variance-enormous"
    | "variance-near-zero"
    | "dead-channels"
    | "epsilon-matters"
    | "half-overflow"
    | "never-trained";
  /** Whether the network is likely wrong because of it; others are worth knowing. */
  readonly sick: boolean;
  /** A line without a dot at its end. */
  readonly text: string;
  /** Channels, or values, of which it is true. */
  readonly count: number;
  /** Of so many. */
  readonly of: number;
}

/** What `healthOf` says: most serious kinds first, and whether one of them is sick. */
export interface Health {
  readonly findings: readonly Finding[];
  readonly sick: boolean;
}

/** A gamma below this part of its layer's median magnitude passes nothing on. */
const DEAD = 1e-3;
/** A variance below this part of epsilon is that of a constant input. */
const CONSTANT = 1e-3;
const ENORMOUS = 1e10;
/** The largest of float16; a value above its root overflows when squared. */
const MOST_HALF = 65504;
/** Inputs beyond so many standard deviations are rare enough to leave out. */
const DEVIATIONS = 4;

/** What is to be said of a normalization's weights and statistics. */
export function healthOf({ kind, options, weights, statistics, tensors }: MappedNormalization): Health {
  const findings: Finding[] = [];
  const add = (kind: Finding["kind"], sick: boolean, count: number, of: number, text: string) => {
    if (count > 0) findings.push({ kind, sick, text, count, of });
  };
  for (const [name, values] of Object.entries({ ...weights, ...statistics })) {
    const count = countOf(values, (value) => !Number.isFinite(value));
    add(
      "nonfinite",
      true,
      count,
      values.length,
      `${spelled(name)} not finite in ${share(count, values.length)}`,
    );
  }
  const { runningMean: mean, runningVariance: variance } = statistics;
  const epsilon = typeof options.epsilon === "number" ? options.epsilon : 1e-5;
  if (mean !== undefined && variance !== undefined) {
    const channels = variance.length;
    const negative = countOf(variance, (value) => value < 0);
    add(
      "negative-variance",
      true,
      negative,
      channels,
      `running variance below 0 in ${share(negative, channels)}`,
    );
    const initial =
      channels > 0 && mean.every((value) => value === 0) && variance.every((value) => value === 1);
    if (initial) {
      add(
        "never-updated",
        true,
        channels,
        channels,
        "running statistics never updated: every mean is 0, every variance 1",
      );
    } else {
      const enormous = countOf(variance, (value) => value > ENORMOUS && Number.isFinite(value));
      add(
        "variance-enormous",
        true,
        enormous,
        channels,
        `running variance above 10¹⁰ in ${share(enormous, channels)}: inputs grow out of bounds`,
      );
      const quantized = tensors.runningVariance?.quantized;
      const constant = countOf(variance, (value) => value >= 0 && value < CONSTANT * epsilon);
      add(
        "variance-near-zero",
        constant === channels,
        constant,
        channels,
        `running variance near 0 in ${share(constant, channels)}: ${quantized === undefined ? "" : `lost in ${quantized}, or `}the input is constant there`,
      );
      const below = countOf(variance, (value) => value >= CONSTANT * epsilon && value < epsilon);
      add(
        "epsilon-matters",
        false,
        below,
        channels,
        `epsilon ${numeral(epsilon)} is more than the running variance in ${share(below, channels)}: it must be the same wherever this runs`,
      );
    }
  }
  const { gamma, beta } = weights;
  if (gamma !== undefined) {
    // of global response normalization the input is added, as if gamma were 1 more
    const stored = typeof options.offset === "number" ? options.offset : 0;
    const offset = kind === "globalResponseNorm" ? 1 : stored;
    const sizes = Array.from(gamma, (value) => Math.abs(value + offset));
    const middle = medianOf(sizes.filter(Number.isFinite));
    const dead = sizes.filter((size) => size <= DEAD * middle || size === 0).length;
    add(
      "dead-channels",
      dead === gamma.length,
      dead,
      gamma.length,
      `gamma near 0 in ${share(dead, gamma.length)}: dead channels`,
    );
    const initial =
      gamma.every((value) => value + offset === 1) &&
      (beta === undefined || beta.every((value) => value === 0));
    const named =
      beta === undefined
        ? "gamma never trained: every one is 1"
        : "gamma and beta never trained: every one is 1, or 0";
    add("never-trained", false, initial ? gamma.length : 0, gamma.length, named);
  }
  for (const [name, tensor] of Object.entries(tensors)) {
    const values = weights[name] ?? statistics[name];
    if (tensor.dtype !== "float16" || values === undefined) continue;
    const reach =
      name === "runningMean" && variance !== undefined
        ? Array.from(values, (value, i) => Math.abs(value) + DEVIATIONS * Math.sqrt(Math.max(0, variance[i])))
        : Array.from(values, Math.abs);
    const count = reach.filter((value) => value * value > MOST_HALF).length;
    const what = name === "runningMean" ? "inputs" : spelled(name);
    add(
      "half-overflow",
      false,
      count,
      values.length,
      `squares of ${what} overflow float16 (65504) in ${share(count, values.length)}: sum them in float32`,
    );
  }
  return { findings, sick: findings.some(({ sick }) => sick) };
}

function countOf(values: ArrayLike<number>, is: (value: number) => boolean): number {
  let count = 0;
  for (let i = 0; i < values.length; i++) if (is(values[i])) count++;
  return count;
}

function medianOf(values: number[]): number {
  values.sort((a, b) => a - b);
  return values.length === 0 ? 0 : values[values.length >> 1];
}

/** "3 of 64", "all 64". */
function share(count: number, of: number): string {
  return count === of ? `all ${of}` : `${count} of ${of}`;
}

/** `runningVariance` in words. */
const spelled = (name: string) => name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
