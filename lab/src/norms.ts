/**
 * The normalizations by the names of the command line, as the library's catalog has them: `layerNorm` is layer,
 * `batchRenorm` batch-renorm, and `none` is a network without any. Light: no TensorFlow.js.
 */
import { type About, catalog, type Factory, legalGroups } from "evenkeel";
import { distance } from "fastest-levenshtein";
import { wrap } from "./format.js";
import type { NormName } from "./results.js";
import type { ModelKind } from "./settings.js";

type Takes = About["takes"];

/** All options of any normalization; one that does not know an option leaves it. */
type Options = Record<string, unknown>;

/** `batchRenorm` is batch-renorm, and what ends in Norm goes without it. */
export const kebab = (name: string): NormName =>
  name
    .replace(/(?<=.)Norm$/, "")
    .replace(/(?<=[a-z0-9])[A-Z]/g, (letter) => `-${letter}`)
    .toLowerCase();

const factories = new Map<NormName, Factory<Options>>(
  Object.values(catalog).map((factory) => [kebab(factory.about.name), factory as Factory<Options>]),
);

/** What there is, `none` first. */
export const normNames: readonly NormName[] = ["none", ...factories.keys()];

/** What is compared where nothing is named: a report with a curve for each of them all would show none. */
export const usualNorms: readonly NormName[] = ["none", "layer", "rms", "batch", "group", "instance"];

/** What the library says about it; undefined for `none`, and for one that this version does not have. */
export const aboutOf = (norm: NormName): About | undefined => factories.get(norm)?.about;

/** The kinds of network in which a normalization can stand between two layers, or around each. */
const KINDS: Partial<Record<Takes, readonly ModelKind[]>> = {
  features: ["mlp", "cnn"],
  positions: ["cnn"],
  weight: ["mlp", "cnn"],
};
/** Those of weights that have no wrapper of layers in TensorFlow.js. */
const UNWRAPPED: readonly NormName[] = ["bounded"];

/** Whether a normalization has anything to normalize over in such a model. */
export function fits(norm: NormName, kind: ModelKind): boolean {
  const about = aboutOf(norm);
  if (about === undefined) return true;
  return !UNWRAPPED.includes(norm) && (KINDS[about.takes]?.includes(kind) ?? false);
}

/** Short, as the figures label it: "batch renorm". */
export const labelOf = (norm: NormName): string => (norm === "rms" ? "RMS" : norm.replaceAll("-", " "));

/** As in a sentence: "batch renormalization", "RMS normalization", "no normalization". */
export function nameOf(norm: NormName): string {
  if (norm === "none") return "no normalization";
  const title = aboutOf(norm)?.title ?? `${labelOf(norm)} normalization`;
  return title.replace(/^[A-Z][a-z]*(?= |$)/, (word) => word.toLowerCase());
}

/** The epsilon of all normalizations, where they have one inside the root, so that nothing but their kind differs. */
const EPSILON = 1e-5;
/** Share of the running statistics that a step keeps. */
const MOMENTUM = 0.9;
/** Fewest channels of a group; fewer make its statistics mere noise. */
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
      ...("runningMean" in made.weights(shape) && { momentum: MOMENTUM }),
      // without another normalization behind it, its outputs grow with the inputs of each unit
      ...(norm === "weight-standardization" && { scaled: true }),
    },
  };
}

/** Names that a wrong one may be meant for, the nearest first. */
export function near(name: string, names: readonly NormName[]): NormName[] {
  const plain = kebab(name.replace(/(Norm|Normalization|[-_ ]norm(alization)?)$/, "")).replaceAll("_", "-");
  const ranked = names
    .map((known) => ({ known, far: Math.min(distance(plain, known), known.includes(plain) ? 2 : Infinity) }))
    .sort((a, b) => a.far - b.far);
  const close = ranked.filter(({ far, known }) => far <= Math.max(2, known.length / 3));
  return (close.length > 0 ? close : ranked).slice(0, 3).map(({ known }) => known);
}

const HEADS: readonly (readonly [Takes, string])[] = [
  ["features", "For any array [batch, ..., features]"],
  ["positions", "For images and sequences, with positions"],
  ["condition", "With a second input, the condition"],
  ["weight", "For the weights of a layer"],
  ["sequence", "Layers of sequences"],
  ["forecast", "Around a forecasting model"],
];

/** Every normalization, a line each, by what it takes. */
export function listText(width: number): string {
  const all = [...factories].map(([norm, { about }]) => ({ norm, ...about }));
  const parts = HEADS.flatMap(([takes, head]) => {
    const own = all.filter((each) => each.takes === takes);
    if (own.length === 0) return [];
    const column = Math.max(...own.map(({ norm }) => norm.length)) + 2;
    const kinds = KINDS[takes]?.join(" and ");
    const trains = kinds ? `compare: ${kinds}` : "not in compare";
    const lines = own.map(
      ({ norm, summary }) =>
        `  ${norm.padEnd(column)}${shortened(UNWRAPPED.includes(norm) ? `not in compare: ${summary}` : summary, width - column - 2)}`,
    );
    return [wrap(`${head} (${trains})`, width), ...lines, ""];
  });
  return [
    ...parts,
    wrap(
      `evenkeel compare --norms takes these names with commas between them, none for a network without any, or all; where ` +
        `nothing is named, it compares ${usualNorms.join(", ")}.`,
      width,
    ),
  ].join("\n");
}

/** What fits, to the end of a clause where that is most of it. */
function shortened(text: string, width: number): string {
  if (text.length <= width) return text;
  const ends = [...text.matchAll(/[;:] /g)].map(({ index }) => index).filter((end) => end <= width);
  const clause = text.slice(0, Math.max(0, ...ends));
  if (clause.length >= width / 3) return clause;
  return `${text.slice(0, text.lastIndexOf(" ", width - 1))}…`;
}
