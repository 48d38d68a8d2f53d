/**
 * What a checkpoint holds, and how well its normalizations are: the shape of `evenkeel inspect --json`, from which the summary in the
 * terminal and the page are made. Plain JSON throughout; of numbers, NaN and the infinities are the strings "NaN", "Infinity" and
 * "-Infinity", which `Number` reads back: they are what an inspection looks for, and null would not tell them apart.
 */
import { capitalize, count, listed } from "@evenkeel/report/format";
import { quantile } from "@evenkeel/report/statistics";
import { catalog } from "evenkeel";
import {
  type Checkpoint,
  type Finding,
  healthOf,
  type MappedNormalization,
  normalizationsOf,
  type Tensor,
} from "evenkeel/checkpoints";
import { kebab, nameOf } from "./norms.js";

export type JsonNumber = number | "NaN" | "Infinity" | "-Infinity";
export type Json = JsonNumber | string | boolean | null | Json[] | { [key: string]: Json };

/** How many values lie in each of equal pieces of a range, or of its logarithm. */
export interface Histogram {
  scale: "linear" | "log";
  /** Of what is counted: all finite values, or all above 0 where `scale` is log. */
  low: number;
  high: number;
  counts: number[];
}

/** The values of a weight or statistic. Quantiles and ends are of the finite ones, null where there are none. */
export interface Distribution {
  count: number;
  notFinite: number;
  min: number | null;
  p5: number | null;
  median: number | null;
  p95: number | null;
  max: number | null;
  /** Null where no value can be counted. */
  histogram: Histogram | null;
  /** All of them, in the file's order; null where they are more than `MOST_VALUES`. */
  values: JsonNumber[] | null;
}

export interface InspectedNormalization {
  name: string;
  /** Its name in the library's catalog: batchNorm, layerNorm, ... */
  kind: string;
  /** What its framework calls it; null where the file does not say. */
  type: string | null;
  /** The library's options. */
  options: { [key: string]: Json };
  /** Length of gamma, or of what stands for it; null where it has neither weights nor running statistics. */
  channels: number | null;
  /** By the library's names: gamma, beta, ... */
  weights: { [name: string]: Distribution };
  /** runningMean, runningVariance, ... */
  statistics: { [name: string]: Distribution };
  conversions: string[];
  findings: Finding[];
  sick: boolean;
}

export interface Totals {
  tensors: number;
  /** Values in all of them; those of tied tensors, which lie at one place, are counted once. */
  values: number;
  /** Values by type, such as float32, most first. */
  types: { [dtype: string]: number };
}

export interface InspectedTensor {
  name: string;
  shape: number[];
  dtype: string;
}

export interface Inspection {
  /** Version of Evenkeel. */
  evenkeel: string;
  file: string;
  format: string;
  framework: string | null;
  /** The framework's version. */
  version: string | null;
  byteLength: number;
  /** The model's. */
  tensors: Totals;
  /** Those of optimizers, moving averages and counters. */
  others: Totals;
  /** At most `MOST_LARGEST`. */
  largest: InspectedTensor[];
  /** In the order of the layers, where the file lists them; else in that of the weights. */
  normalizations: InspectedNormalization[];
}

/** Values of one array that are listed each. */
export const MOST_VALUES = 65_536;
const MOST_LARGEST = 10;
/** Pieces of a histogram. */
export const BINS = 24;

/** Inspects an opened checkpoint. @throws CheckpointError where the file cannot be read further */
export async function inspect(checkpoint: Checkpoint, evenkeel: string): Promise<Inspection> {
  const { file, format, framework, version, byteLength, tensors, others } = checkpoint;
  const normalizations = await normalizationsOf(checkpoint);
  const bySize = [...tensors.values()].toSorted((a, b) => sizeOf(b) - sizeOf(a));
  return {
    evenkeel,
    file,
    format,
    framework: framework ?? null,
    version: version ?? null,
    byteLength,
    tensors: totalsOf(tensors.values()),
    others: totalsOf(others.values()),
    largest: bySize
      .slice(0, MOST_LARGEST)
      .map((tensor) => ({ name: tensor.name, shape: [...tensor.shape], dtype: typeOf(tensor) })),
    normalizations: normalizations.map(inspected),
  };
}

const sizeOf = ({ shape }: Tensor): number => shape.reduce((size, length) => size * length, 1);

/** Its type in memory, and in the file where that is another. */
const typeOf = ({ dtype, quantized }: Tensor): string =>
  quantized === undefined ? dtype : `${dtype} as ${quantized}`;

function totalsOf(tensors: Iterable<Tensor>): Totals {
  const seen = new Set<string>();
  const types = new Map<string, number>();
  let [number, values] = [0, 0];
  for (const tensor of tensors) {
    number++;
    const { at, shape } = tensor;
    const place = `${at.offset} ${shape} ${at.file}`;
    if (at.offset !== undefined && seen.has(place)) continue;
    seen.add(place);
    values += sizeOf(tensor);
    types.set(typeOf(tensor), (types.get(typeOf(tensor)) ?? 0) + sizeOf(tensor));
  }
  return {
    tensors: number,
    values,
    types: Object.fromEntries([...types].sort(([, a], [, b]) => b - a)),
  };
}

function inspected(normalization: MappedNormalization): InspectedNormalization {
  const { name, kind, type, options, weights, statistics, conversions } = normalization;
  const { findings, sick } = healthOf(normalization);
  const named = (arrays: MappedNormalization["weights"]) =>
    Object.fromEntries(
      Object.entries(arrays).map(([key, values]) => [key, distributionOf(values, /variance/i.test(key))]),
    );
  const leading =
    weights.gamma ?? statistics.runningMean ?? weights.beta ?? weights.g ?? Object.values(weights)[0];
  return {
    name,
    kind,
    type: type ?? null,
    options: jsonOf(options) as { [key: string]: Json },
    channels: leading?.length ?? null,
    weights: named(weights),
    statistics: named(statistics),
    conversions: [...conversions],
    findings: [...findings],
    sick,
  };
}

/** Anything as JSON. */
function jsonOf(value: unknown): Json {
  if (typeof value === "number") return jsonNumber(value);
  if (value === null || typeof value === "string" || typeof value === "boolean") return value;
  if (Array.isArray(value) || ArrayBuffer.isView(value)) return Array.from(value as number[], jsonOf);
  if (typeof value !== "object") return String(value);
  const entries = Object.entries(value).filter(([, each]) => each !== undefined);
  return Object.fromEntries(entries.map(([key, each]) => [key, jsonOf(each)]));
}

const jsonNumber = (value: number): JsonNumber =>
  Number.isFinite(value) ? value : (String(value) as "NaN" | "Infinity" | "-Infinity");

function distributionOf(values: Float32Array | Float64Array, log: boolean): Distribution {
  const sorted = values.filter(Number.isFinite).sort();
  const at = (share: number) => (sorted.length === 0 ? null : quantile(sorted, share));
  const shown = values instanceof Float32Array ? shortest : Number;
  return {
    count: values.length,
    notFinite: values.length - sorted.length,
    min: at(0),
    p5: at(0.05),
    median: at(0.5),
    p95: at(0.95),
    max: at(1),
    histogram: histogramOf(log ? sorted.filter((value) => value > 0) : sorted, log ? "log" : "linear"),
    values: values.length > MOST_VALUES ? null : Array.from(values, (value) => jsonNumber(shown(value))),
  };
}

/** The number of fewest digits that gives a float32 back: 0.1, not 0.10000000149. */
function shortest(value: number): number {
  for (const digits of [6, 7, 8]) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === value) return short;
  }
  return Number(value.toPrecision(9));
}

function histogramOf(sorted: Float32Array | Float64Array, scale: Histogram["scale"]): Histogram | null {
  if (sorted.length === 0) return null;
  const [low, high] = [sorted[0], sorted[sorted.length - 1]];
  const place = scale === "log" ? Math.log10 : Number;
  // halves, so that the span of the largest numbers does not overflow
  const span = place(high) / 2 - place(low) / 2;
  const counts = new Array<number>(BINS).fill(0);
  for (const value of sorted) {
    const share = span > 0 ? (place(value) / 2 - place(low) / 2) / span : 0;
    counts[Math.min(BINS - 1, Math.floor(share * BINS))]++;
  }
  return { scale, low, high, counts };
}

// ---- in words ----

/** `batchNorm` is batch normalization. */
export const kindName = (kind: string): string => nameOf(kebab(kind));

/** A setting as one writes it: 1e-5, 0.99. */
function settingText(value: Json): string {
  if (typeof value !== "number" || value === 0)
    return Array.isArray(value) ? `[${value.join(", ")}]` : String(value);
  return Math.abs(value) < 0.01
    ? Number(value.toPrecision(3)).toExponential()
    : String(Number(value.toPrecision(6)));
}

/** Those that are always said, first; the others where they are not the library's defaults. */
const SAID = ["axis", "groups", "epsilon", "momentum"];

/** "axis 1, epsilon 1e-5, keeps 0.9, running variance unbiased": what matters of its options. */
export function settingsText({ kind, options, statistics }: InspectedNormalization): string {
  const defaults: Readonly<Record<string, unknown>> =
    Object.entries(catalog).find(([name]) => name === kind)?.[1].defaults ?? {};
  // where it keeps no statistics, nothing comes of how it would keep them
  const idle = Object.hasOwn(statistics, "runningMean") ? [] : ["momentum", "runningVariance"];
  const said = [...new Set([...SAID, ...Object.keys(options)])].filter(
    (name) =>
      Object.hasOwn(options, name) &&
      !idle.includes(name) &&
      (SAID.includes(name) || options[name] !== defaults[name]),
  );
  return said
    .flatMap((name) => {
      const value = options[name];
      if (name === "momentum") return `keeps ${settingText(value)}`;
      if (name === "trackRunningStatistics" || value === null) return [];
      // a file leads to no other sources
      if (name === "sources") return "statistics of the batch";
      return typeof value === "boolean"
        ? `${value ? "" : "no "}${arrayName(name)}`
        : `${arrayName(name)} ${settingText(value)}`;
    })
    .join(", ");
}

/** "Batch normalization (BatchNorm2d): axis 1, epsilon 1e-5". */
export function describedAs(normalization: InspectedNormalization): string {
  const { kind, type } = normalization;
  const settings = settingsText(normalization);
  return `${capitalize(kindName(kind))}${type === null ? "" : ` (${type})`}${settings === "" ? "" : `: ${settings}`}`;
}

/** The two arrays of a normalization that say most about it: a gain, and the running variance where it has one. */
export function leadingArrays({ weights, statistics }: InspectedNormalization): [string, Distribution][] {
  const all = { ...weights, ...statistics };
  const order = ["gamma", "g", "runningVariance", ...Object.keys(all)];
  return [...new Set(order)]
    .filter((name) => Object.hasOwn(all, name))
    .slice(0, 2)
    .map((name) => [name, all[name]]);
}

/** `runningVariance` is running variance. */
export function arrayName(name: string): string {
  return name.replace(/(?<=.)[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
}

/** Each thing that was translated or assumed once, with the normalizations it is true of. */
export function conversionsOf({ normalizations }: Inspection): { text: string; members: number[] }[] {
  const found = new Map<string, number[]>();
  for (const [index, { conversions }] of normalizations.entries()) {
    for (const text of new Set(conversions)) found.set(text, [...(found.get(text) ?? []), index + 1]);
  }
  return [...found].map(([text, members]) => ({ text, members }));
}

/** Most serious first. */
const SEVERITY: readonly Finding["kind"][] = [
  "nonfinite",
  "negative-variance",
  "half-overflow",
  "dead-channels",
  "variance-near-zero",
  "variance-enormous",
  "epsilon-matters",
  "never-updated",
  "never-trained",
];

/** A finding, and where it was made; `index` is counted from 1. */
export interface Found {
  index: number;
  name: string;
  finding: Finding;
}

/** All findings, those of sick normalizations first, then by how serious they are and how much they concern. */
export function foundIn({ normalizations }: Inspection): Found[] {
  const all = normalizations.flatMap(({ name, findings }, index) =>
    findings.map((finding): Found => ({ index: index + 1, name, finding })),
  );
  const rank = ({ finding: { sick, kind } }: Found) => (sick ? 0 : SEVERITY.length) + SEVERITY.indexOf(kind);
  const share = ({ finding: { count = 0, of = 1 } }: Found) => count / of;
  return all.sort((a, b) => rank(a) - rank(b) || share(b) - share(a) || a.index - b.index);
}

/** "52 normalizations, all well", "3 of 52 normalizations are sick". */
export function verdict({ normalizations }: Inspection): string {
  const all = normalizations.length;
  const sick = normalizations.filter((each) => each.sick).length;
  const remarked = normalizations.filter((each) => !each.sick && each.findings.length > 0).length;
  if (all === 0) return "No normalizations";
  if (all === 1) {
    if (sick > 0) return "The only normalization is sick";
    return `1 normalization, ${remarked > 0 ? "not sick but worth a look" : "and it is well"}`;
  }
  if (sick === all) return `${all === 2 ? "Both" : `All ${all}`} normalizations are sick`;
  if (sick > 0) return `${sick} of ${all} normalizations ${sick === 1 ? "is" : "are"} sick`;
  return `${all} normalizations, ${remarked > 0 ? `none sick; ${remarked} worth a look` : "all well"}`;
}

/** Of which normalizations something is true: "both", "all 24", "numbers 1–3 and 7". */
export function whichOf(members: readonly number[], all: number): string {
  if (members.length === all && all > 1) return all === 2 ? "both" : `all ${all}`;
  return `${members.length > 1 ? "numbers" : "number"} ${ranges(members)}`;
}

/** The heading of what `conversionsOf` gives. */
export const conversionsTitle = ({ normalizations }: Inspection): string =>
  normalizations.length === 1 ? "How it was read" : "How they were read";

/** The verdict, and of sickness the most serious finding. */
export function headline(inspection: Inspection): string {
  const [first] = foundIn(inspection);
  const text = verdict(inspection);
  return first?.finding.sick ? `${text}: ${first.name}, ${first.finding.text}` : text;
}

/** The numbers of normalizations in a list: "1–4, 7 and 9". */
export function ranges(members: readonly number[]): string {
  const runs: [number, number][] = [];
  for (const member of members) {
    const last = runs.at(-1);
    if (last && last[1] === member - 1) last[1] = member;
    else runs.push([member, member]);
  }
  return listed(
    runs.flatMap(([from, to]) =>
      to - from > 1 ? [`${from}–${to}`] : from === to ? [`${from}`] : [`${from}`, `${to}`],
    ),
  );
}

/** `1.51 MB`, in powers of 1000. */
export function size(bytes: number): string {
  if (bytes < 1000) return count(bytes, "byte");
  const [digits, exponent] = bytes.toExponential(2).split("e").map(Number);
  const unit = Math.min(4, Math.floor(exponent / 3));
  return `${(digits * 10 ** (exponent - 3 * unit)).toPrecision(3)} ${["", "kB", "MB", "GB", "TB"][unit]}`;
}

/** Values by type: "1,509,296 parameters (float32)", "... (1,000 float32, 12 int64)". */
export function totalsText({ values, types }: Totals, one: string): string {
  const names = Object.entries(types);
  const by = names.map(([type, n]) => (names.length === 1 ? type : `${n.toLocaleString("en-US")} ${type}`));
  return `${count(values, one)}${by.length > 0 ? ` (${by.join(", ")})` : ""}`;
}

const FRAMEWORKS: Readonly<Record<string, string>> = {
  pytorch: "PyTorch",
  keras2: "Keras 2",
  keras3: "Keras 3",
  tensorflowjs: "TensorFlow.js",
  gluon: "MXNet Gluon",
  mxnet: "MXNet",
  flax: "Flax",
  onnx: "ONNX",
  fastai: "fastai",
};

/** "PyTorch", "Keras 2.15.0"; undefined where the file does not say. */
export function frameworkText({ format, framework, version }: Inspection): string | undefined {
  if (framework === null) return undefined;
  // Keras 2 is a part of TensorFlow there, and its version is TensorFlow's
  const part = framework === "keras2" && format.startsWith("TensorFlow ");
  const name = part ? "TensorFlow" : Object.hasOwn(FRAMEWORKS, framework) ? FRAMEWORKS[framework] : framework;
  return version === null ? name : `${name.replace(/ \d$/, "")} ${version}`;
}

/** Format and framework, each once: "Keras 2.15.0 (HDF5)", "safetensors of PyTorch". */
export function formatText(inspection: Inspection): string {
  const { format } = inspection;
  const written = frameworkText(inspection);
  if (written === undefined) return format;
  const name = written.replace(/ [\d.]\S*$/, "");
  if (written.includes(format)) return written;
  return format.includes(name)
    ? format.replace(name, () => (inspection.version === null ? name : written))
    : `${format} of ${written}`;
}
