/**
 * The normalizations by the names of the command line, from the library's catalog: `layerNorm` is layer, `batchRenorm`
 * is batch-renorm, and `none` is a network without any. Light: no TensorFlow.js is loaded.
 */
import { type About, catalog, type Factory, legalGroups } from "evenkeel";
import { distance } from "fastest-levenshtein";

/** A normalization as the command line names it: `layer`, `batch-renorm`, ..., or `none`. */
export type NormName = string;

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

/** What the library says about it; undefined for `none`, and for a name that this version does not have. */
export const aboutOf = (norm: NormName): About | undefined => factories.get(norm)?.about;

/** Those of weights for which TensorFlow.js has no wrapper of layers. */
const UNWRAPPED: readonly NormName[] = ["bounded"];

/** Whether a network can be built with it. */
export const hasLayer = (norm: NormName): boolean => !UNWRAPPED.includes(norm);

/** The name of a normalization's layer or wrapper: `layerNorm` is layerNormalization. */
export const layerOf = (name: string): string => name.replace(/norm$/i, (end) => `${end}alization`);

/** Short, as the figures label it: "batch renorm". */
export const labelOf = (norm: NormName): string => (norm === "rms" ? "RMS" : norm.replaceAll("-", " "));

/** As in a sentence: "batch renormalization", "RMS normalization", "no normalization". */
export function nameOf(norm: NormName): string {
  if (norm === "none") return "no normalization";
  const title = aboutOf(norm)?.title ?? `${labelOf(norm)} normalization`;
  return title.replace(/^[A-Z][a-z]*(?= |$)/, (word) => word.toLowerCase());
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
    },
  };
}

/** The names that a wrong one may stand for, nearest first; the only one where it is that, spelled otherwise. */
export function near(name: string, names: readonly NormName[]): NormName[] {
  const plain = kebab(name.replace(/(Norm|Normalization|[-_ ]norm(alization)?)$/, "")).replaceAll("_", "-");
  if (names.includes(plain)) return [plain];
  const ranked = names
    .map((known) => ({ known, far: Math.min(distance(plain, known), known.includes(plain) ? 2 : Infinity) }))
    .sort((a, b) => a.far - b.far);
  const close = ranked.filter(({ far, known }) => far <= Math.max(2, known.length / 3));
  return (close.length > 0 ? close : ranked).slice(0, 3).map(({ known }) => known);
}
