/** The doctor: what a network's file holds of normalizations, what is ill of them, and the file mended as far as the check allows. */
import type { Tensor } from "evenkeel/checkpoints";
import {
  canRaise,
  type Found,
  type FoundInModel,
  find,
  type Ill,
  illsOf,
  type Measure,
  type Mend,
  type Model,
  measure,
  mendsOf,
  openModel,
  raising,
  type WrittenFile,
  written,
} from "evenkeel/onnx";
import { changesOf, type MendChange } from "./changes.js";
import { type Checked, type Compared, checked, inBatches, lengthsIn, type Nearness } from "./check.js";
import { type Difference, toleranceOf } from "./differences.js";
import {
  distanceText,
  type Examination,
  type ExaminedCheck,
  type ExaminedIll,
  type ExaminedMend,
  type ExaminedNorm,
  type ExaminedSample,
  jsonNumber,
  type Measured,
  ratioText,
} from "./examination.js";
import { givenFeeds, indicesBelow, madeSamples, type Sample, sampleTexts } from "./inputs.js";
import { checkedParts } from "./parts.js";
import { type ModelFile, type Runtime, RuntimeError, type Session, type TensorData } from "./runtime.js";
import { samplesFor, whyNot as why } from "./samples.js";

/** What the doctor is given beside the network. */
export interface Care {
  /** Version of Evenkeel. */
  evenkeel: string;
  /** What runs it; or why there is nothing. */
  runtime: Runtime | string;
  /** Files that its tensors lie in: those of `model.external`. */
  beside: readonly ModelFile[];
  /** Inputs of somebody's, by their names. */
  given?: ReadonlyMap<string, Tensor>;
  /** Mend it. */
  mend?: {
    target?: "onnxruntime";
    opset?: number;
    /** Of the mended file. */
    name: string;
    /** Write what could not be run. */
    unchecked: boolean;
  };
  /** That it runs on. */
  machine?: Examination["machine"];
  /** Of float outputs, relative to their largest value. */
  tolerance?: number;
  /** Told of what is done next. */
  progress?(text: string): void;
}

export interface Treatment {
  examination: Examination;
  /** The mended network, its own file first, without those beside it that it goes on reading; undefined where nothing was mended. */
  files?: readonly WrittenFile[];
}

/** A network that runs, and on what. */
interface Course {
  runtime: Runtime;
  samples: readonly Sample[];
}

/** Bytes of a network that is run as a whole; it is in memory several times then. */
const MOST_BYTES = 2 ** 30;
/** Bytes of observed values that are held at a time. */
const MEMORY = 2 ** 26;

/**
 * Examines a network, and mends it where that is asked.
 * @throws UsageError for given inputs that are not the network's; CheckpointError where the file cannot be read further
 */
export async function doctored(model: Model, care: Care): Promise<Treatment> {
  const { progress, runtime } = care;
  const began = performance.now();
  progress?.("looking for normalizations");
  const found = await find(model);
  const course = await courseOf(model, care);
  const measured = typeof course === "string" ? new Map() : await measuredIn(model, found, course, care);
  const ills = await illsOf(model, found, measured);
  const { treated, hints } = await treatedOrHints(model, found, course, care);
  const kept = treated?.kept ?? [];
  const after = kept.length > 0 && treated ? await illsAfter(treated.files, course, care) : undefined;
  const { norms, activations } = found;
  const examination: Examination = {
    evenkeel: care.evenkeel,
    file: model.file,
    format: model.format,
    producer: model.producer === "" ? null : model.producer,
    byteLength: model.byteLength,
    nodes: model.graphs.reduce((sum, { nodes }) => sum + nodes.length, 0),
    opsets: [...model.opsets].map(([domain, version]) => ({ domain, version })),
    norms: norms.map((norm) => examinedNorm(norm, measured.get(norm))),
    activations: Object.fromEntries(
      [...new Set(activations.map(({ activation }) => activation))].map((one) => [
        one,
        activations.filter(({ activation }) => activation === one).length,
      ]),
    ),
    ills: examinedIlls(ills, norms, care.mend && (after ?? ills)),
    hints: [...hints, ...slowerHints(treated, ills, after)],
    runtime: typeof runtime === "string" ? null : { name: runtime.name, version: runtime.version },
    machine: care.machine ?? null,
    inputs:
      typeof course === "string"
        ? []
        : Object.entries(course.samples[0].feeds).map(([name, { dtype, shape }]) => ({
            name,
            dtype,
            shape: [...shape],
          })),
    notRun: typeof course === "string" ? course : null,
    mends: treated?.mends ?? [],
    check: treated?.check ?? null,
    written: [],
    seconds: (performance.now() - began) / 1000,
  };
  return { examination, ...(kept.length > 0 && { files: treated?.files }) };
}

// ---- running it ----

/** The network with mends, or with more outputs, for a runtime. */
export async function filesOf(
  model: Model,
  beside: readonly ModelFile[],
  mends: readonly Mend[] = [],
  observe: readonly string[] = [],
): Promise<ModelFile[]> {
  const { files } = await written(model, { mends: withRaising(model, mends), observe });
  return [...files.map(fileOf), ...beside];
}

/** The mends, and what other nodes need where these raise the model's operators. */
function withRaising(model: Model, mends: readonly Mend[]): readonly Mend[] {
  const to = Math.max(0, ...mends.map(({ opsets }) => opsets[""] ?? 0));
  if (to <= (model.opsets.get("") ?? 0)) return mends;
  const replaced = new Set(mends.flatMap(({ replaces }) => replaces));
  return [...mends, ...raising(model, to, (node) => !replaced.has(node))];
}

/** A written file as a source. */
export function fileOf({ name, byteLength, parts }: WrittenFile): ModelFile {
  const starts: number[] = [];
  let at = 0;
  for (const part of parts) {
    starts.push(at);
    at += part.byteLength;
  }
  return {
    name,
    byteLength,
    async slice(start, end) {
      const bytes = new Uint8Array(end - start);
      // the first part that ends after `start`
      let [low, high] = [0, parts.length - 1];
      while (low < high) {
        const middle = (low + high) >> 1;
        if (starts[middle] + parts[middle].byteLength > start) high = middle;
        else low = middle + 1;
      }
      for (let i = low; i < parts.length && starts[i] < end; i++) {
        const part = parts[i];
        const from = Math.max(0, start - starts[i]);
        const to = Math.min(part.byteLength, end - starts[i]);
        const some = part instanceof Uint8Array ? part.subarray(from, to) : await part.read(from, to);
        bytes.set(some, starts[i] + from - start);
      }
      return bytes.buffer;
    },
  };
}

/** Inputs with which the network runs; or why there are none. */
async function courseOf(model: Model, { runtime, beside, given, progress }: Care): Promise<Course | string> {
  if (typeof runtime === "string") return runtime;
  if (model.byteLength > MOST_BYTES) return "it is larger than 1 GiB";
  progress?.("running it");
  let session: Session;
  try {
    session = await runtime.open(await filesOf(model, beside));
  } catch (error) {
    return why(runtime, error);
  }
  try {
    const ports = session.inputs;
    const below = indicesBelow(model.graph);
    if (given !== undefined) {
      const feeds = await givenFeeds(ports, given);
      await session.run(feeds);
      const shaped = ports.map((port) => ({ ...port, shape: feeds[port.name].shape }));
      const sample: Sample = { kind: "given", text: sampleTexts.given, feeds };
      return { runtime, samples: [sample, ...madeSamples(shaped, new Map(), { below })] };
    }
    const samples = await samplesFor(session, runtime, below);
    return typeof samples === "string" ? `${samples}; give its inputs by --inputs` : { runtime, samples };
  } catch (error) {
    return why(runtime, error);
  } finally {
    await session.close();
  }
}

/** What the norms meet on the first sample: those of the model's own graph, whose inputs can be observed. */
async function measuredIn(
  model: Model,
  { norms }: FoundInModel,
  { runtime, samples: [sample] }: Course,
  { beside, progress }: Pick<Care, "beside" | "progress">,
): Promise<Map<Found, Measure>> {
  const measured = new Map<Found, Measure>();
  const seen = norms.filter(({ graph, x }) => graph === model.graph && !graph.constants.has(x));
  const names = [...new Set(seen.map(({ x }) => x))].filter((name) => !Object.hasOwn(sample.feeds, name));
  progress?.("looking at what its normalizations meet");
  let session: Session | undefined;
  try {
    session = await runtime.open(await filesOf(model, beside, [], names));
    const batches = inBatches(seen, ({ x }) => [x], session, lengthsIn(session, sample), MEMORY);
    for (const batch of batches) {
      const wanted = [...new Set(batch.map(({ x }) => x))].filter((name) => names.includes(name));
      const values = { ...sample.feeds, ...(wanted.length > 0 && (await session.run(sample.feeds, wanted))) };
      for (const norm of batch) {
        const x = values[norm.x];
        // a file may declare another shape than comes of it
        const fits =
          x?.shape.length === norm.shape.length &&
          norm.shape.every((length, axis) => Number.isNaN(length) || length === x.shape[axis]);
        if (fits) measured.set(norm, measure(norm, { shape: x.shape, data: numbersIn(x) }));
      }
    }
  } catch (error) {
    if (!(error instanceof RuntimeError)) throw error;
  } finally {
    await session?.close();
  }
  return measured;
}

// ---- mending it ----

/** The first version of ONNX's operators that has one for it. */
const SINCE: Readonly<Record<string, number>> = { layerNorm: 17, groupNorm: 21, rmsNorm: 23 };

/** The network mended, where that is asked; and what is left as it is, with what could be done. */
async function treatedOrHints(
  model: Model,
  found: FoundInModel,
  course: Course | string,
  care: Care,
): Promise<{ treated?: Treated; hints: string[] }> {
  const { mend } = care;
  if (model.format === "tensorflowjs") {
    const isMendable = found.norms.some(({ isOperator }) => !isOperator);
    return {
      hints: isMendable
        ? ["fuse(model) of evenkeel/tfjs puts one operation in place of each, when it is loaded"]
        : [],
    };
  }
  const hints = raisingHints(model, found, mend?.opset);
  if (mend === undefined) return { hints };
  const treated = await treatedOf(model, found, course, care);
  if (mend.target === undefined || ratioOf(treated) === undefined) return { treated, hints };
  // its own operators are for speed: where they bring none, they stay out
  const plain = await treatedOf(model, found, course, { ...care, mend: { ...mend, target: undefined } });
  const [own = 1, without = 1] = [ratioOf(treated), ratioOf(plain)];
  if (own > without) return { treated, hints };
  const told = `operators of ${mend.target} alone stay out: ${ratioText(own)} with them, ${ratioText(without)} without`;
  return { treated: plain, hints: [...hints, told] };
}

/** How many times as fast; undefined where it was not timed. */
const ratioOf = ({ check }: Treated): number | undefined =>
  check?.speed ? check.speed.before / check.speed.after : undefined;

/** That it is slower, where it was not ill. */
function slowerHints(
  treated: Treated | undefined,
  before: readonly Ill[],
  after: readonly Ill[] = before,
): string[] {
  const ratio = treated && ratioOf(treated);
  const sick = (ills: readonly Ill[]) => ills.filter(({ severity }) => severity === "wrong numbers").length;
  if (ratio === undefined || treated?.check?.speed?.verdict !== "slower" || sick(after) < sick(before))
    return [];
  return [
    `it is slower here than it was (${ratioText(ratio)}), and nothing was ill: for this runtime the file is better left as it is`,
  ];
}

/** Norms that are written out since the model's opset has no operator for them. */
function raisingHints(model: Model, { norms }: FoundInModel, asked = 0): string[] {
  const own = model.opsets.get("") ?? 0;
  const refused = asked > own ? canRaise(model, asked) : undefined;
  if (refused?.possible === false) return [`it stays at opset ${own}: ${refused.why?.[0]}`];
  const version = Math.max(asked, own);
  // group normalization as instance normalization of a reshape is no worse than its operator
  const isWritten = ({ isOperator, nodes }: Found) =>
    !isOperator && nodes.every(({ operator }) => operator !== "InstanceNormalization");
  const written = norms.filter((norm) => isWritten(norm) && (SINCE[norm.norm] ?? 0) > version);
  const [to] = [...new Set(written.map((norm) => SINCE[norm.norm]))].sort((a, b) => a - b);
  if (to === undefined) return [];
  const some = written.filter((norm) => SINCE[norm.norm] === to).length;
  const [are, them] = some === 1 ? ["is", "it"] : ["are", "them"];
  const told = `${some.toLocaleString("en-US")} ${are} written out, since opset ${version} has no operator for ${them}`;
  const { possible, why = [] } = canRaise(model, to);
  return [possible ? `${told}; --fix OUT --opset ${to} puts it in` : `${told}, and ${why[0]}`];
}

interface Treated {
  kept: readonly Mend[];
  mends: ExaminedMend[];
  check: ExaminedCheck | null;
  files: readonly WrittenFile[];
}

async function treatedOf(
  model: Model,
  found: FoundInModel,
  course: Course | string,
  { mend, beside, runtime, tolerance, progress }: Care,
): Promise<Treated> {
  const mends = await mendsOf(model, found, { target: mend?.target, opset: mend?.opset });
  let kept = changesOf(model, mends);
  const back = new Map<MendChange, string>();
  const nearness = new Map<MendChange, Nearness>();
  const take = ({ takenBack, nearness: near }: Pick<Checked<MendChange>, "takenBack" | "nearness">) => {
    for (const { change, why } of takenBack) back.set(change, why);
    kept = kept.filter((change) => !back.has(change));
    for (const [change, each] of near) nearness.set(change, each);
  };
  let check: ExaminedCheck | null = null;
  if (typeof course !== "string" && kept.length > 0) {
    const whole = await checked({
      ...course,
      changes: kept,
      tolerance,
      progress,
      write: (some, observe) =>
        filesOf(
          model,
          beside,
          some.map((change) => change.mend),
          observe,
        ),
    });
    take(whole);
    check = { by: "whole", samples: examinedSamples(whole.compared, tolerance), speed: whole.speed ?? null };
  }
  // where the network takes no floats, what its norms meet cannot be made hard
  const isHard = typeof course !== "string" && course.samples.some(({ kind }) => kind === "far");
  const cautions = new Map<MendChange, string>();
  if (typeof runtime !== "string" && kept.length > 0 && !isHard) {
    progress?.("checking each kind of mend by itself");
    const parts = await checkedParts(model, kept, { runtime, tolerance });
    if (check !== null) {
      for (const [change, { near }] of parts.worse) cautions.set(change, cautionText(near));
    } else {
      for (const [change, { why }] of parts.worse) back.set(change, why);
      const unknown = mend?.unchecked === true ? [] : parts.unknown;
      for (const [change, why] of unknown) back.set(change, `it could not be checked: ${why}`);
      for (const [change, near] of parts.nearness) nearness.set(change, near);
      kept = kept.filter((change) => !back.has(change));
      check = {
        by: "parts",
        ...(typeof course === "string" && { why: course }),
        samples: partSamples(parts.compared, tolerance),
        parts: parts.parts,
        speed: null,
      };
    }
  }
  return {
    kept: kept.map((change) => change.mend),
    mends: mends.map((each) => {
      const [change] = [...kept, ...back.keys()].filter((one) => one.mend === each);
      const mended = examinedMend(each, change && back.get(change), change && nearness.get(change));
      const caution = change && cautions.get(change);
      return { ...mended, ...(caution !== undefined && { caution }) };
    }),
    check,
    files: (
      await written(model, {
        mends: withRaising(
          model,
          kept.map((change) => change.mend),
        ),
        name: mend?.name,
      })
    ).files,
  };
}

const cautionText = (near: Nearness | undefined): string =>
  `on harder inputs than the network's it is farther from float64 than before${near === undefined ? "" : `: ${distanceText(near.after)}, before ${distanceText(near.before)}`}`;

/** What is still ill of the mended network, which is read and run anew. */
async function illsAfter(
  files: readonly WrittenFile[],
  course: Course | string,
  { beside, progress }: Care,
): Promise<readonly Ill[]> {
  progress?.("looking at what is mended");
  const mended = await openModel(new Map([...files.map(fileOf), ...beside].map((file) => [file.name, file])));
  const found = await find(mended);
  const measured =
    typeof course === "string" ? new Map() : await measuredIn(mended, found, course, { beside });
  return illsOf(mended, found, measured);
}

// ---- as JSON ----

function examinedNorm(norm: Found, measured: Measure | undefined): ExaminedNorm {
  const { graph, nodes, shape, groups, dtype, statisticsType } = norm;
  return {
    norm: norm.norm,
    name: commonName(nodes.map(({ name }) => name)) || norm.y,
    graph: graph.path,
    x: norm.x,
    y: norm.y,
    shape: shape.map(lengthAt),
    dtype: dtype ?? null,
    axes: [...norm.axes],
    channels: norm.channels === undefined ? null : lengthAt(shape[norm.channels]),
    groups: groups ?? null,
    epsilon: norm.epsilon,
    isOperator: norm.isOperator,
    nodes: nodes.length,
    cancels: norm.cancels,
    statisticsType: statisticsType ?? null,
    measured: measured === undefined ? null : measuredJson(measured, statisticsType),
  };
}

/** Null where it is left open, or how many there are. */
const lengthAt = (length: number | undefined): number | null =>
  length === undefined || Number.isNaN(length) ? null : length;

/** The parts, between "/" or ".", with which all names begin; of one name all of it. */
export function commonName(names: readonly string[]): string {
  const [first = "", ...others] = names;
  if (others.length === 0) return first;
  let length = 0;
  while (length < first.length && others.every((name) => name[length] === first[length])) length++;
  const common = first.slice(0, length);
  const whole = others.some((name) => name.length === length) || first.length === length;
  return whole ? common : common.slice(0, Math.max(0, common.search(/[/.][^/.]*$/)));
}

function examinedMend({ title, graph, replaces }: Mend, back?: string, near?: Nearness): ExaminedMend {
  return {
    title,
    graph: graph.path,
    replaces: replaces.length,
    state: back === undefined ? "mended" : "taken back",
    ...(back !== undefined && { why: back }),
    before: near === undefined ? null : jsonNumber(near.before),
    after: near === undefined ? null : jsonNumber(near.after),
    narrowly: near?.narrowly
      ? { before: jsonNumber(near.narrowly.before), after: jsonNumber(near.narrowly.after) }
      : null,
  };
}

/** Ills of one kind together, in the order of the norms; `after` are those that the mended network still has. */
function examinedIlls(ills: readonly Ill[], norms: readonly Found[], after?: readonly Ill[]): ExaminedIll[] {
  const left = after && new Set(after.map(({ kind, norm }) => `${kind} ${norm.y}`));
  const found = new Map<string, ExaminedIll>();
  for (const { kind, severity, norm, message } of ills) {
    const mended = left === undefined ? null : !left.has(`${kind} ${norm.y}`);
    const key = `${kind} ${severity} ${mended}`;
    const ill = found.get(key) ?? {
      kind,
      severity,
      sick: severity === "wrong numbers",
      norms: [],
      texts: [],
      mended,
    };
    ill.norms.push(norms.indexOf(norm) + 1);
    ill.texts.push(message);
    found.set(key, ill);
  }
  return [...found.values()];
}

/** The largest numbers of types. */
const MOST: Readonly<Record<string, number>> = {
  float16: 65_504,
  bfloat16: 3.3895e38,
  float32: 3.4028e38,
  float64: Number.MAX_VALUE,
};

function measuredJson(measured: Measure, type = "float32"): Measured {
  const { min, max, mean, leastSpread, spread, mostSpread, largestSum, largestSquare, notFinite } = measured;
  const known = (value: number) => (Number.isFinite(value) ? value : null);
  return {
    min: known(min),
    max: known(max),
    mean: known(mean),
    leastSpread: known(leastSpread),
    spread: known(spread),
    mostSpread: known(mostSpread),
    headroom: known((MOST[type] ?? MOST.float32) / Math.max(largestSum, largestSquare)),
    notFinite,
  };
}

/** A tensor's values as numbers. */
const numbersIn = ({ values }: TensorData): ArrayLike<number> =>
  values instanceof BigInt64Array || values instanceof BigUint64Array
    ? Float64Array.from(Array.from(values, Number))
    : values;

function examinedSamples(compared: readonly Compared[], tolerance: number | undefined): ExaminedSample[] {
  return compared.map(({ sample: { kind, text }, differences }) => ({
    kind,
    text,
    outputs: differences.map((difference) => examinedOutput(difference, tolerance)),
  }));
}

const examinedOutput = (
  { output, dtype, largest, difference, mended }: Difference,
  tolerance: number | undefined,
): ExaminedSample["outputs"][number] => ({
  name: output,
  dtype,
  largest,
  difference: jsonNumber(difference),
  tolerance: toleranceOf(dtype, tolerance),
  mended,
});

/** Of all parts the output that is farthest, for each kind of inputs. */
function partSamples(compared: readonly Compared[], tolerance: number | undefined): ExaminedSample[] {
  const kinds = [...new Set(compared.map(({ sample }) => sample.kind))];
  return kinds.map((kind) => {
    const own = compared.filter(({ sample }) => sample.kind === kind);
    const outputs = own.flatMap(({ differences }) =>
      differences.map((each) => examinedOutput(each, tolerance)),
    );
    const excess = ({ difference, tolerance }: (typeof outputs)[number]) =>
      Number(difference) / Math.max(tolerance, Number.MIN_VALUE);
    return {
      kind,
      text: `mended parts, ${own[0].sample.text}`,
      outputs: outputs.toSorted((a, b) => excess(b) - excess(a)).slice(0, 1),
    };
  });
}
