/**
 * What the doctor says of a network's file: the shape of `evenkeel doctor --json`, from which the summary in the terminal and the page are
 * made. Plain JSON throughout; of numbers, NaN and the infinities are the strings "NaN", "Infinity" and "-Infinity", as in an inspection.
 */
import { capitalize, count, formatNumber, listed } from "@evenkeel/report/format";
import { isNumber } from "@evenkeel/report/statistics";
import { type JsonNumber, kindName, whichOf } from "../inspection.js";

/** What a norm sees in a run: of all samples that are not made to be hard. */
export interface Measured {
  /** Ends of its input. */
  min: number | null;
  max: number | null;
  /** Of the groups that it normalizes: the largest mean in magnitude, and the least, middle and largest standard deviation. */
  mean: number | null;
  leastSpread: number | null;
  spread: number | null;
  mostSpread: number | null;
  /** The largest number of the type that squares are summed in, by the largest that is met there: below 1 it overflows. */
  headroom: number | null;
  /** Values that are not finite. */
  notFinite: number;
}

/** A normalization of the network, in the order of the file. */
export interface ExaminedNorm {
  /** Its name in the library's catalog. */
  norm: string;
  /** Where it is: what the names of its nodes have in common. */
  name: string;
  /** The graph that it is in; "" is the model's own. */
  graph: string;
  x: string;
  y: string;
  /** Lengths of x; null where the file leaves one open. */
  shape: (number | null)[];
  dtype: string | null;
  axes: number[];
  /** Length of the axis of channels, of those that have one; null where it is left open too. */
  channels: number | null;
  groups: number | null;
  epsilon: number;
  /** Whether it is one operator; else it is written out. */
  isOperator: boolean;
  nodes: number;
  /** Whether its variance is E[x²] − E[x]². */
  cancels: boolean;
  statisticsType: string | null;
  measured: Measured | null;
}

/** Something that is wrong, or worth a look, and where. */
export interface ExaminedIll {
  kind: string;
  severity: "wrong numbers" | "slow" | "odd";
  /** Whether numbers are wrong, or may well be; else it only costs time or is worth a look. */
  sick: boolean;
  /** Numbers of the norms that have it, counted from 1. */
  norms: number[];
  /** Of each of them, with its numbers. */
  texts: string[];
  /** Whether what was mended has it no more; null where nothing was. */
  mended: boolean | null;
}

/** A change that was made, or is not. */
export interface ExaminedMend {
  title: string;
  graph: string;
  /** Nodes that it stands for. */
  replaces: number;
  state: "mended" | "taken back";
  /** Why it was taken back. */
  why?: string;
  /** What it does worse than before on inputs that are harder than the network's. */
  caution?: string;
  /** How far its outputs are from float64, relative to the largest: before and after; null where that cannot be computed. */
  before: JsonNumber | null;
  after: JsonNumber | null;
  /** The same where every value is rounded to its type, as on a machine that computes in float16. */
  narrowly: { before: JsonNumber; after: JsonNumber } | null;
}

/** Outputs before and after, on one sample. */
export interface ExaminedSample {
  /** given, ordinary, far, huge, narrow or zeros. */
  kind: string;
  text: string;
  outputs: {
    name: string;
    dtype: string;
    largest: number;
    /** Relative to `largest`. */
    difference: JsonNumber;
    tolerance: number;
    /** Values that were not finite and are now. */
    mended: number;
  }[];
}

export interface ExaminedCheck {
  /** How it was checked: the whole network, or each kind of mend as a network of its own. */
  by: "whole" | "parts";
  /** Why by parts. */
  why?: string;
  samples: ExaminedSample[];
  /** Parts that were run. */
  parts?: number;
  /** ms of the quickest of so many runs, of both in turns; and whether runs tell one from the other. */
  speed: { before: number; after: number; runs: number; verdict: "slower" | "faster" | "same" } | null;
}

/** An operator set that the file imports. */
export interface Opset {
  domain: string;
  version: number;
}

export interface Examination {
  /** Version of Evenkeel. */
  evenkeel: string;
  file: string;
  format: "onnx" | "tensorflowjs";
  /** What wrote it. */
  producer: string | null;
  byteLength: number;
  /** Nodes, of all graphs. */
  nodes: number;
  opsets: Opset[];
  norms: ExaminedNorm[];
  /** Written-out activations: how many of each. */
  activations: { [name: string]: number };
  ills: ExaminedIll[];
  /** What was left as it is and why, and what could be done: a sentence each. */
  hints: string[];
  /** What ran it; null where nothing did. */
  runtime: { name: string; version: string } | null;
  machine: { processor: string; cores: number; runtime: string } | null;
  /** What it was run on. */
  inputs: { name: string; dtype: string; shape: number[] }[];
  /** Why it was not run. */
  notRun: string | null;
  mends: ExaminedMend[];
  check: ExaminedCheck | null;
  /** What was written. */
  written: { name: string; byteLength: number }[];
  seconds: number;
}

/** A number as JSON has it. */
export const jsonNumber = (value: number): JsonNumber =>
  Number.isFinite(value) ? value : (String(value) as JsonNumber);

// ---- in words ----

/** "ONNX, opset 13 and com.microsoft 1". */
export function formatText({ format, opsets }: Examination): string {
  if (format === "tensorflowjs") return "TensorFlow.js graph model";
  const named = opsets.map(({ domain, version }) =>
    domain === "" ? `opset ${version}` : `${domain} ${version}`,
  );
  return ["ONNX", ...(named.length > 0 ? [listed(named)] : [])].join(", ");
}

/** Norms that are alike, with their numbers from 1. */
export interface Family {
  text: string;
  members: number[];
}

/** "layer normalization over 384, written out (9 nodes each)", each with its members. */
export function familiesOf({ norms }: Examination): Family[] {
  const found = new Map<string, number[]>();
  for (const [at, norm] of norms.entries()) {
    const text = familyText(norm);
    found.set(text, [...(found.get(text) ?? []), at + 1]);
  }
  return [...found.values()].map((members) => ({
    text: familyText(norms[members[0] - 1], members.length > 1 ? " each" : ""),
    members,
  }));
}

function familyText(norm: ExaminedNorm, each = ""): string {
  const { isOperator, nodes, statisticsType, dtype, cancels } = norm;
  const how = isOperator ? "one operator" : `written out (${count(nodes, "node")}${each})`;
  const type = dtype === null || dtype === "float32" ? "" : ` of ${dtype}`;
  const sums =
    statisticsType === null || statisticsType === dtype || dtype === null
      ? ""
      : `, statistics in ${statisticsType}`;
  return `${kindName(norm.norm)}${overText(norm)}${type}, ${how}${sums}${cancels ? ", variance as E[x²] − E[x]²" : ""}`;
}

/** " over 384": the lengths that it reduces, its groups or its channels, as far as they are known. */
export function overText({ norm, shape, axes, channels, groups }: ExaminedNorm): string {
  if (norm === "batchNorm") return channels === null ? "" : ` of ${count(channels, "channel")}`;
  if (groups !== null) return ` of ${count(groups, "group")}`;
  const lengths = axes.map((axis) => shape[axis] ?? null);
  return lengths.length === 0 || lengths.includes(null) ? "" : ` over ${lengths.join(" × ")}`;
}

/** "24 normalizations, 3 ill": what was found. */
function foundText({ norms, ills, format }: Examination): string {
  if (norms.length === 0)
    return format === "onnx" ? "No normalization found" : "No normalization found in the graph";
  const sick = new Set(ills.filter((ill) => ill.sick).flatMap((ill) => ill.norms));
  const remarked = new Set(ills.flatMap((ill) => ill.norms));
  const all = count(norms.length, "normalization");
  if (sick.size > 0) {
    const [one, many] = remainsIll({ ills }) ? ["is", "are"] : ["was", "were"];
    if (norms.length === 1) return `The only normalization ${one} ill`;
    return sick.size === norms.length
      ? `All ${all} ${many} ill`
      : `${sick.size.toLocaleString("en-US")} of ${all} ${sick.size === 1 ? one : many} ill`;
  }
  if (remarked.size > 0) return `${all}, none ill; ${remarked.size.toLocaleString("en-US")} worth a look`;
  return `${all}, ${norms.length === 1 ? "and it is well" : "all well"}`;
}

/** How many mends hold, and what came of the check. */
function mendedText(examination: Examination): string[] {
  const { mends, check } = examination;
  if (mends.length === 0) return [];
  const done = mends.filter(({ state }) => state === "mended").length;
  const back = mends.length - done;
  return [
    done === 0 ? "nothing mended" : `${done.toLocaleString("en-US")} mended`,
    ...(back > 0 ? [`${back.toLocaleString("en-US")} taken back`] : []),
    ...(check === null && done > 0 ? ["unchecked"] : []),
    ...(check !== null && done > 0
      ? [...outputsText(check, movedText(examination)), ...speedText(check)]
      : []),
  ];
}

/** What is true of outputs that moved by more than their tolerance: else a mend would have been taken back. */
export function movedText({ mends }: Pick<Examination, "mends">): string {
  const kept = mends.filter(
    ({ state, before, after }) => state === "mended" && before !== null && after !== null,
  );
  const farthest = (side: "before" | "after") => Math.max(...kept.map((mend) => Number(mend[side])));
  return farthest("after") < farthest("before") / 2 ? "nearer to float64" : "no farther from float64";
}

/** "outputs within 2.3×10⁻⁷": of all samples that stay within their tolerance; and of how many values are finite now. */
function outputsText({ samples, by }: ExaminedCheck, moved: string): string[] {
  const outputs = samples.flatMap((sample) => sample.outputs);
  const within = outputs.filter(({ difference, tolerance }) => Number(difference) <= tolerance);
  const most = Math.max(0, ...within.map(({ difference }) => Number(difference)));
  const mended = outputs.reduce((sum, output) => sum + output.mended, 0);
  const of = by === "parts" ? "parts" : "outputs";
  return [
    ...(within.length === outputs.length && outputs.length > 0
      ? [most === 0 ? `${of} the same` : `${of} within ${formatNumber(most)}`]
      : []),
    ...(within.length < outputs.length ? [`${of} ${moved}`] : []),
    ...(mended > 0 ? [`${mended.toLocaleString("en-US")} values finite that were not`] : []),
  ];
}

/** "1.43 times as fast". */
export const ratioText = (ratio: number): string => `${ratio.toPrecision(3)} times as fast`;

/** The ratio, where runs tell one from the other. */
export const verdictText = ({ before, after, verdict }: NonNullable<ExaminedCheck["speed"]>): string =>
  verdict === "same" ? "as fast as it was" : ratioText(before / after);

const speedText = ({ speed }: ExaminedCheck): string[] => (speed === null ? [] : [verdictText(speed)]);

/** What was found, how many are ill, what was mended, and what came of it, on a line. */
export const headline = (examination: Examination): string =>
  [foundText(examination), ...mendedText(examination)].join("; ");

/** Ills, the worst first. */
export const bySeverity = ({ ills }: Examination): ExaminedIll[] =>
  ills.toSorted((a, b) => Number(b.sick) - Number(a.sick) || b.norms.length - a.norms.length);

/** What it is and who has it: "it is written out in 9 nodes, and opset 17 has LayerNormalization", "all 24". */
export function illText({ norms, texts }: ExaminedIll, all: number): { text: string; who: string } {
  const [text = ""] = texts;
  if (all === 1) return { text, who: "" };
  if (new Set(texts).size === 1) return { text, who: whichOf(norms, all) };
  return { text, who: `number ${norms[0]}, likewise ${whichOf(norms.slice(1), all)}` };
}

/** Whether something is ill that no mend took away. */
export const remainsIll = ({ ills }: Pick<Examination, "ills">): boolean =>
  ills.some(({ sick, mended }) => sick && mended !== true);

/** Mends that say the same, together: `count` of them, the worst of their distances from float64. */
export function mendsBy(
  { mends }: Examination,
  state: ExaminedMend["state"],
): (ExaminedMend & { count: number })[] {
  const found = new Map<string, ExaminedMend & { count: number }>();
  for (const mend of mends.filter((each) => each.state === state)) {
    const key = `${mend.title} ${mend.why} ${mend.caution}`;
    const before = found.get(key);
    found.set(key, {
      ...mend,
      count: 1 + (before?.count ?? 0),
      before: worse(before?.before, mend.before),
      after: worse(before?.after, mend.after),
      narrowly:
        mend.narrowly === null
          ? (before?.narrowly ?? null)
          : {
              before: worse(before?.narrowly?.before, mend.narrowly.before) ?? 0,
              after: worse(before?.narrowly?.after, mend.narrowly.after) ?? 0,
            },
    });
  }
  return [...found.values()];
}

const worse = (a: JsonNumber | null | undefined, b: JsonNumber | null): JsonNumber | null =>
  a === null || a === undefined ? b : b === null ? a : jsonNumber(Math.max(Number(a), Number(b)));

/** A distance from float64: Infinity is of what overflowed. */
export const distanceText = (distance: JsonNumber | null): string =>
  distance === null ? "–" : isNumber(Number(distance)) ? formatNumber(Number(distance)) : "not finite";

/** "from float64 1.2×10⁻³ before, 3×10⁻⁴ after", and in the file's types throughout; "" where that is not known. */
export const nearnessText = ({
  before,
  after,
  narrowly,
}: Pick<ExaminedMend, "before" | "after" | "narrowly">): string => {
  const told = (from: JsonNumber, to: JsonNumber) =>
    `${distanceText(from)} before, ${distanceText(to)} after`;
  if (before === null || after === null) return "";
  const inTypes = narrowly && `; in 16 bits throughout ${told(narrowly.before, narrowly.after)}`;
  return `from float64 ${told(before, after)}${inTypes ?? ""}`;
};

/** How what was said of a network came to be: "onnxruntime-node 1.30.0, input_ids [2, 16]". */
export function runText({ runtime, inputs, notRun }: Examination): string {
  if (notRun !== null) return `Not run: ${notRun}`;
  if (runtime === null) return "";
  const named = inputs.map(({ name, shape }) => `${name} [${shape.join(", ")}]`);
  return `Run in ${runtime.name} ${runtime.version}, with its own optimizations, on ${listed(named)}`;
}

/** "Ordinary inputs", as the head of a row. */
export const sampleName = ({ text }: Pick<ExaminedSample, "text">): string => capitalize(text);
