/**
 * Every normalization of a checkpoint: drafts by the classes of its modules, else by the names of its tensors; then their values, and what
 * these tell of options.
 */
import type { Framework } from "../../frameworks/conventions.js";
import { catalog } from "../../norms/catalog.js";
import { sizeOf } from "../../shape.js";
import type { Checkpoint, Module } from "../checkpoint.js";
import { isRead, numbersOf, type Tensor } from "../tensors.js";
import { draftsByName, withoutWrappers } from "./by-name.js";
import { BATCH, type Draft, defaultsOf, draftOf, trailing } from "./classes.js";
import { type MappedNormalization, numeral } from "./normalization.js";

/**
 * The normalizations of a file, in its order, in Evenkeel's words: `catalog[kind](options)` with `weights` and `statistics` gives, in evaluation,
 * what the layer gave where it was trained. Reads their weights (of weight and spectral normalization not the weight itself, which `tensors` has).
 * @throws CheckpointError where the file ends before its values do
 */
export async function normalizationsOf(checkpoint: Checkpoint): Promise<MappedNormalization[]> {
  const { modules, framework, version } = checkpoint;
  const drafts: Draft[] = [];
  const claimed = new Set<Tensor>();
  const parents = new Set(modules.map(({ name }) => name.slice(0, Math.max(0, name.lastIndexOf(".")))));
  for (const module of modules) {
    const draft = draftOf(module, framework ?? "keras2");
    if (draft === undefined) continue;
    if (draft !== null && !isContainer(module, parents)) drafts.push(draft);
    for (const tensor of Object.values(module.tensors)) claimed.add(tensor);
  }
  // ONNX's operators are all there are
  if (framework !== "onnx") {
    const others = [...checkpoint.tensors.values()].filter((tensor) => !claimed.has(tensor));
    drafts.push(...draftsByName(others, framework, modules, settingsOf(checkpoint)));
  }
  const placeOf = placesIn(checkpoint);
  const placed = drafts.map((draft) => ({ draft, place: placeOf(draft) }));
  placed.sort((a, b) => a.place - b.place);
  const mapped: MappedNormalization[] = [];
  for (const { draft } of placed) mapped.push(await withValues(draft, version));
  return mapped;
}

/** A block that is called by the normalization in it. */
function isContainer({ name, tensors }: Module, parents: ReadonlySet<string>): boolean {
  return Object.keys(tensors).length === 0 && parents.has(name);
}

/** Where normalizations stand: in the order of the modules, where the file describes them, else of the tensors. */
function placesIn({ modules, tensors }: Checkpoint): (draft: Draft) => number {
  const places = new Map<unknown, number>();
  const owners = modules.length > 0 ? modules : [...tensors.values()];
  for (const [place, owner] of owners.entries()) {
    if ("tensors" in owner) {
      places.set(owner.name, place);
      for (const tensor of Object.values(owner.tensors)) places.set(tensor, place);
    } else places.set(owner, place);
  }
  return ({ name, tensors: own }) => {
    const found = Object.values(own).flatMap((tensor) => places.get(tensor) ?? []);
    return places.get(name) ?? Math.min(owners.length, ...found);
  };
}

/** What stands beside a language model's weights. */
function settingsOf({ metadata }: Checkpoint): Readonly<Record<string, unknown>> {
  const { config } = metadata;
  return typeof config === "object" && config !== null ? (config as Record<string, unknown>) : {};
}

/** Learned; the rest is state. */
const LEARNED = new Set(["gamma", "beta", "g", "tau", "learnedEpsilon"]);
/** Those that a normalization only acts on. */
const ACTED_ON = new Set(["weight", "kernel", "weightNorm.v"]);

async function withValues(draft: Draft, version: string | undefined): Promise<MappedNormalization> {
  const { kind, framework, conversions, tensors } = draft;
  const defaults = catalog[kind].defaults as Readonly<Record<string, unknown>>;
  const options = Object.fromEntries(
    Object.entries(draft.options).filter(
      ([name, value]) => Object.hasOwn(defaults, name) && value !== undefined,
    ),
  );
  const lines = [...conversions];
  const used = { ...tensors };
  settleNumbered(draft, used, lines);
  settleAffine(draft, options, used, lines);
  settleStatistics(draft, options, used, lines);
  settleGroups(draft, options, used, lines);
  settleAxis(draft, options, used, lines);
  const tracks = used.runningMean !== undefined;
  for (const option of ["epsilon", "momentum"]) {
    const counts = option === "epsilon" || (tracks && options.average !== "cumulative");
    if (!counts || !Object.hasOwn(defaults, option) || draft.said.includes(option)) continue;
    lines.push(assumed(draft, option, (options[option] ?? defaults[option]) as number));
  }
  const weights: Record<string, Float32Array | Float64Array> = {};
  const statistics: Record<string, Float32Array | Float64Array> = Object.fromEntries(
    Object.entries(draft.given ?? {}).map(([name, values]) => [name, Float64Array.from(values)]),
  );
  for (const [name, tensor] of Object.entries(used)) {
    if (ACTED_ON.has(name) || ACTED_ON.has(`${kind}.${name}`)) continue;
    // what a class has beside, such as the weights of a wrapped layer
    if (!OURS.has(name)) continue;
    if (!isRead(tensor)) {
      lines.push(`${name} is of type ${tensor.dtype}, whose values are not read`);
      continue;
    }
    const values = await numbersOf(tensor);
    if (name === "runningVariance") sayOfDeviation(tensor, version, lines);
    if (name === "runningCount") statistics[name] = countPerChannel(values, used.runningMean);
    else if (name === "gamma" && draft.options.offset === 1 && !Object.hasOwn(defaults, "offset"))
      weights[name] = values.map((value) => value + 1);
    else if (LEARNED.has(name)) weights[name] = values;
    else statistics[name] = values;
  }
  return {
    name: withoutWrappers(draft.name),
    kind,
    options,
    weights,
    statistics,
    framework,
    version,
    type: draft.type,
    conversions: [...new Set(lines)],
    tensors: used,
  };
}

/** All weights and state that a normalization may have. */
const OURS = new Set([
  ...LEARNED,
  "runningMean",
  "runningVariance",
  "runningDeviation",
  "runningCount",
  "u",
  "v",
]);

function assumed({ kind, framework, title }: Draft, option: string, value: number): string {
  const known = Object.hasOwn(defaultsOf(kind, framework), option);
  const start = `${option} not in the file: ${known ? `${title}'s default` : "the usual"}`;
  const newWeight = option === "momentum" && (framework === "pytorch" || framework === "fastai");
  if (!newWeight) return `${start} ${numeral(value)} assumed`;
  return `${start} ${Number((1 - value).toPrecision(12))} of the new value assumed → keeps ${value} of the old`;
}

/** Keras's files of weights alone number the variables where gamma or beta is missing. The statistics are the last in any case. */
function settleNumbered({ kind }: Draft, tensors: Record<string, Tensor>, lines: string[]): void {
  const numbered = Object.keys(tensors).filter((name) => /^\d$/.test(name));
  if (kind === "batchNorm" && (numbered.length === 2 || numbered.length === 3)) {
    const [mean, variance] = numbered.splice(-2);
    tensors.runningMean = tensors[mean];
    tensors.runningVariance = tensors[variance];
  }
  if (numbered.length === 1)
    lines.push("gamma or beta is in the file, but not which of the two it is: left out");
}

/** Gamma and beta are where the file has them, but for a gamma that its framework takes for 1. */
function settleAffine(
  { kind, framework, said }: Draft,
  options: Record<string, unknown>,
  tensors: Record<string, Tensor>,
  lines: string[],
): void {
  if (kind === "filterResponseNorm") options.thresholded = tensors.tau !== undefined;
  if (!Object.hasOwn(catalog[kind].defaults, "scale")) return;
  if (
    framework === "mxnet" &&
    kind === "batchNorm" &&
    options.scale === false &&
    tensors.gamma !== undefined
  ) {
    const why = said.includes("scale")
      ? "fix_gamma"
      : "fix_gamma not in the file: MXNet's default True assumed";
    lines.push(`gamma stored but fixed: read as 1 (${why})`);
    delete tensors.gamma;
  }
  options.scale = tensors.gamma !== undefined;
  if (Object.hasOwn(catalog[kind].defaults, "center")) options.center = tensors.beta !== undefined;
}

function settleStatistics(
  { kind, framework, given, type }: Draft,
  options: Record<string, unknown>,
  tensors: Record<string, Tensor>,
  lines: string[],
): void {
  const has = (name: string) => tensors[name] !== undefined || given?.[name] !== undefined;
  const tracked = has("runningMean") && has("runningVariance");
  // batch renormalization evaluates by the deviation; without a momentum of their own its limits' statistics are evaluation's
  if (kind === "batchRenorm") {
    delete tensors.runningVariance;
    if (options.renormMomentum === undefined) {
      delete tensors.renormMean;
      delete tensors.renormDeviation;
    }
    return;
  }
  if (kind === "instanceNorm") options.trackRunningStatistics = tracked;
  if (kind === "batchNorm" && !tracked && options.sources === undefined) {
    options.sources = BATCH;
    lines.push("no running statistics in the file: the batch's own in evaluation too");
  }
  if (options.average !== "cumulative") delete tensors.runningCount;
  else if (tracked && tensors.runningCount === undefined) {
    lines.push("num_batches_tracked not in the file: the cumulative average counts from the next batch on");
  }
  if (!tracked) return;
  if (options.runningVariance === "unbiased") {
    lines.push(
      "running variance unbiased, count unknown: kept as it is (convertRunningVariance if the count is known)",
    );
  } else if (framework === "keras2" && type !== "Normalization" && kind === "batchNorm") {
    // Keras 1 took the batch's own; Keras 2 with several backends corrected it, TensorFlow's where a fused kernel did
    if (!RUNNING_STD.test(tensors.runningVariance?.name ?? ""))
      lines.push(
        "running variance unbiased or biased, by Keras 2's version and whether it fused the layer (images): kept as it is",
      );
  }
}

/** Keras's own choose their axes; without their configuration the shape of gamma tells how many there are, and the usual ones are the last. */
function settleAxis(
  { kind, framework, type, said }: Draft,
  options: Record<string, unknown>,
  { gamma, beta, runningMean }: Readonly<Record<string, Tensor>>,
  lines: string[],
): void {
  const shape = (gamma ?? beta ?? runningMean)?.shape;
  if (shape === undefined || said.includes("axis") || type === "Normalization") return;
  if (framework !== "keras2" && framework !== "keras3" && framework !== "tensorflowjs") return;
  const { length } = shape;
  if (length > 1 && (kind === "layerNorm" || kind === "rmsNorm")) {
    options.axis = trailing(length);
    lines.push(`axis not in the file: the last ${length}, as many as gamma has`);
  } else if (Object.hasOwn(options, "axis")) {
    lines.push(`axis not in the file: Keras's default ${options.axis} assumed`);
  }
}

/** Frameworks in which gamma and beta may be per group: as many as there are groups. */
const PER_GROUP: readonly Framework[] = ["gluon", "mxnet", "onnx"];

function settleGroups(
  { kind, framework }: Draft,
  options: Record<string, unknown>,
  { gamma, beta }: Readonly<Record<string, Tensor>>,
  lines: string[],
): void {
  if (kind !== "groupNorm") return;
  if (options.groups === undefined) lines.push("number of groups not in the file: give it, groups: ...");
  const shape = (gamma ?? beta)?.shape;
  if (shape === undefined) return;
  const perGroup = PER_GROUP.includes(framework) && sizeOf(shape) === options.groups;
  if (perGroup) lines.push("gamma and beta per group");
  options.parameters = perGroup ? "group" : "channel";
}

const RUNNING_STD = /running_std(:0)?$/;

/**
 * Keras 1 calls the variance `running_std` (keras#2772). Before 1.0.7, with Theano, it was a deviation; all those files are of weights alone,
 * which do not note a version in later Keras 1 either.
 */
function sayOfDeviation({ name }: Tensor, version: string | undefined, lines: string[]): void {
  if (!RUNNING_STD.test(name)) return;
  lines.push(
    version === undefined
      ? "running_std taken as the variance, which it is from Keras 1.0.7 on: before, with Theano, a deviation, which the file does not tell"
      : `running_std holds the variance in Keras ${version}: taken as that`,
  );
}

/** One number for all channels in the file; per channel here, since a mask may leave channels different counts. */
function countPerChannel(values: ArrayLike<number>, mean: Tensor | undefined): Float32Array {
  return new Float32Array(mean === undefined ? 1 : sizeOf(mean.shape)).fill(values[0] ?? 0);
}
