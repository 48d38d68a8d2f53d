/**
 * The normalizations by the names of the command line, from the library's catalog: `layerNorm` is layer, `batchRenorm`
 * is batch-renorm, and `none` is a network without any. A prefix says where they stand in a block with a residual
 * (`post-layer`), and a plus joins one between the layers with one around all of them (`layer+reversible-instance`).
 * Light: no TensorFlow.js is loaded.
 */
import { listed } from "@evenkeel/report/format";
import { type About, catalog, type Factory, legalGroups } from "evenkeel";
import { distance } from "fastest-levenshtein";

/** A normalization as the command line names it: `layer`, `batch-renorm`, `post-layer`, `layer+reversible-instance`, ..., or `none`. */
export type NormName = string;

/**
 * Where normalizations stand in a block with a residual: before each of its parts (pre), after each sum (post), before and
 * after each part (sandwich), on what each part gives (reordered), or before each part and on the queries and keys of the attention (qk).
 */
export const arrangements = ["pre", "post", "sandwich", "reordered", "qk"] as const;
export type Arrangement = (typeof arrangements)[number];

/** The options of any normalization. */
type Options = Record<string, unknown>;

/** `batchRenorm` becomes batch-renorm; a final Norm is dropped. */
export const kebab = (name: string): NormName =>
  name
    .replace(/(?<=.)Norm$/, "")
    .replace(/(?<=[a-z0-9])[A-Z]/g, (letter) => `-${letter}`)
    .toLowerCase();

const factories = new Map<NormName, Factory<Options>>(
  Object.values(catalog).map((factory) => [kebab(factory.about.name), factory as Factory<Options>]),
);

/** All of them, `none` first. */
export const normNames: readonly NormName[] = ["none", ...factories.keys()];

/** What is compared by default: a report with a curve for every one would show nothing. */
export const usualNorms: readonly NormName[] = ["none", "layer", "rms", "batch", "group", "instance"];

/** What the library says about it; undefined for `none`, for several, and for a name that this version does not have. */
export const aboutOf = (norm: NormName): About | undefined => factories.get(norm)?.about;

/** What stands where in a network; names of the catalog. */
export interface Placed {
  /** Between the layers, or around the weights of each; undefined for none. */
  inner?: NormName;
  /** Where the inner one stands, where that is said. */
  arrangement?: Arrangement;
  /** Instead of a layer of sequences. */
  sequence?: NormName;
  /** Around the whole network. */
  around?: NormName;
}

/** Of a name; undefined where it is none that can be built. */
export function placedOf(norm: NormName): Placed | undefined {
  const placed: Placed = {};
  for (const part of norm.split("+")) {
    const arrangement = factories.has(part)
      ? undefined
      : arrangements.find((each) => part.startsWith(`${each}-`));
    const name = arrangement === undefined ? part : part.slice(arrangement.length + 1);
    if (name === "none" && norm === name) return placed;
    const takes = factories.get(name)?.about.takes;
    if (takes === undefined) return undefined;
    const role = takes === "forecast" ? "around" : takes === "sequence" ? "sequence" : "inner";
    if (placed[role] !== undefined || (arrangement !== undefined && role !== "inner")) return undefined;
    placed[role] = name;
    if (arrangement !== undefined) placed.arrangement = arrangement;
  }
  return placed;
}

/** The names of the catalog in it. */
export const namesIn = ({ inner, sequence, around }: Placed): NormName[] =>
  [inner, sequence, around].filter((name) => name !== undefined);

/** For an id or a class of a page. */
export const slugOf = (norm: NormName): string => norm.replaceAll("+", "--");

/** Normalizations of each channel by the statistics of the mini-batch. */
const OF_BATCH: readonly NormName[] = ["batch", "ghost-batch", "batch-renorm", "mean-only-batch", "iter"];

/** It comes with a choice of the statistics of evaluation, made on validation: running ones, or those of a batch (arXiv 2209.08898). */
const CHOOSING: NormName = "batch-layer";
export const choosesStatistics = (norm: NormName): boolean => placedOf(norm)?.inner === CHOOSING;

/** Whether a mini-batch of one value for each channel leaves it nothing to normalize. */
export const isOfBatch = (norm: NormName): boolean => OF_BATCH.includes(placedOf(norm)?.inner ?? norm);

/** Those of weights for which TensorFlow.js has no wrapper of layers. */
const UNWRAPPED: readonly NormName[] = ["bounded", "weight-demodulation"];

/** Whether a network can be built with it. */
export const hasLayer = (norm: NormName): boolean => !UNWRAPPED.includes(norm);

/** The name of a normalization's layer or wrapper: `layerNorm` is layerNormalization. */
export const layerOf = (name: string): string => name.replace(/norm$/i, (end) => `${end}alization`);

/** Short, as the figures label it: "batch renorm". */
export const labelOf = (norm: NormName): string =>
  norm
    .split("+")
    .map((part) => {
      const arrangement = arrangements.find((each) => !factories.has(part) && part.startsWith(`${each}-`));
      if (arrangement !== undefined)
        return `${nameOfArrangement(arrangement)}-${labelOf(part.slice(arrangement.length + 1))}`;
      return KNOWN_AS[part] ?? part.replaceAll("-", " ");
    })
    .join(" + ");

/** As everybody calls them. */
const KNOWN_AS: Readonly<Record<NormName, string>> = {
  rms: "RMS",
  "gated-rms": "gated RMS",
  "see-d": "SeeDNorm",
  "evo-norm-b0": "EvoNorm-B0",
  "evo-norm-s0": "EvoNorm-S0",
  "reversible-instance": "RevIN",
  "robust-reversible-instance": "R²-IN",
  "layer-norm-lstm": "layer-norm LSTM",
  "layer-norm-gru": "layer-norm GRU",
  "layer-norm-rnn": "layer-norm RNN",
};

const nameOfArrangement = (arrangement: Arrangement): string => (arrangement === "qk" ? "QK" : arrangement);

/** As in a sentence: "batch renormalization", "RMS normalization", "no normalization". */
export function nameOf(norm: NormName): string {
  if (norm === "none") return "no normalization";
  const around = placedOf(norm)?.around;
  if (around !== undefined && around !== norm) {
    const parts = norm.split("+").filter((part) => part !== around);
    return `${listed(parts.map(nameOf))} within ${nameOf(around)}`;
  }
  if (norm.includes("+")) return listed(norm.split("+").map(nameOf));
  const title = aboutOf(norm)?.title ?? `${labelOf(norm)} normalization`;
  return title.replace(/(?<!\S)[A-Z][a-z]*(?=[ -]|$)/g, (word) => word.toLowerCase());
}

/** One epsilon for all normalizations that have one inside the root, so that nothing but their kind differs. */
const EPSILON = 1e-5;
/** Share of the running statistics that survives a step. */
const MOMENTUM = 0.9;
/** Fewest channels of a group; with fewer its statistics are noisy. */
const LEAST_GROUP = 4;

/** Up to eight groups of at least four channels. */
export function groupsOf(width: number): number {
  const legal = legalGroups(width).filter((groups) => groups <= 8 && width / groups >= LEAST_GROUP);
  return legal.at(-1) ?? 1;
}

/** A normalization's name in the catalog, and its options in a network whose blocks have this width. */
export function optionsOf(norm: NormName, width: number): { name: string; options: Options } | undefined {
  const factory = factories.get(norm);
  if (!factory) return undefined;
  const shape = [2, 4, 4, width];
  const groups = "groups" in factory.defaults ? { groups: groupsOf(width) } : {};
  const made = factory(groups);
  return {
    name: factory.about.name,
    options: {
      ...groups,
      ...("epsilon" in made && { epsilon: EPSILON }),
      ...("momentum" in factory.defaults && "runningMean" in made.weights(shape) && { momentum: MOMENTUM }),
      // without another normalization after it, its outputs grow with the inputs of each unit
      ...(norm === "weight-standardization" && { scaled: true }),
      // one wrapper has both of those that are reversible
      ...(norm === "robust-reversible-instance" && { robust: true }),
    },
  };
}

/** The names that a wrong one may stand for, nearest first; the only one where it is that, spelled otherwise. Of joined ones the first that is wrong is mended. */
export function near(name: string, names: readonly NormName[]): NormName[] {
  const parts = name.split("+");
  const wrong = parts.findIndex((part) => placedOf(part) === undefined);
  if (parts.length > 1 && wrong >= 0) {
    return near(parts[wrong], names).map((other) => parts.with(wrong, other).join("+"));
  }
  const plain = kebab(name.replace(/(Norm|Normalization|[-_ ]norm(alization)?)$/, "")).replaceAll("_", "-");
  if (names.includes(plain)) return [plain];
  const ranked = names
    .map((known) => ({ known, far: Math.min(distance(plain, known), known.includes(plain) ? 2 : Infinity) }))
    .sort((a, b) => a.far - b.far);
  // two letters of three are another word
  const most = (known: NormName) => (known.length < 5 ? 1 : Math.max(2, known.length / 3));
  const close = ranked.filter(({ far, known }) => far <= most(known));
  return (close.length > 0 ? close : ranked).slice(0, 3).map(({ known }) => known);
}
