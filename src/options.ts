/** Checks options by name: a misspelled one, or one by another framework's name, is an error. */
import { described } from "./shape.js";

/**
 * Throws where `options` has an unknown name.
 *
 *     checkOptions("layerNorm", { eps: 1e-5 }, ["axis", "epsilon"], { eps: "epsilon" });
 *     // TypeError: layerNorm: no option is called "eps"; it is called epsilon here
 *
 * @param caller the function that takes the options, by its public name
 * @param options own properties only; one whose value is undefined counts too
 * @param known every name that the function takes
 * @param translations other frameworks' names, each with the name (or names) here
 * @throws TypeError for an unknown name, with the nearest known one, or options that are not an object
 */
export function checkOptions(
  caller: string,
  options: object,
  known: readonly string[],
  translations: Readonly<Record<string, string>> = {},
): void {
  if (typeof options !== "object" || options === null || Array.isArray(options)) {
    const got = Array.isArray(options) ? "an array" : String(options);
    throw new TypeError(`${caller}: options must be an object, got ${got}`);
  }
  for (const name of Object.keys(options)) {
    if (known.includes(name)) continue;
    throw new TypeError(`${caller}: no option is called "${name}"; ${remedy(name, known, translations)}`);
  }
}

function remedy(
  name: string,
  known: readonly string[],
  translations: Readonly<Record<string, string>>,
): string {
  if (Object.hasOwn(translations, name)) return `it is called ${translations[name]} here`;
  if (known.length === 0) return "there are none";
  const near = nearest(name, known);
  return near === undefined
    ? `there are ${known.join(", ")}`
    : `did you mean "${near}"? There are ${known.join(", ")}`;
}

/** The known name at the smallest edit distance; undefined where none is within two fifths of the longer name. */
export function nearest(name: string, known: readonly string[]): string | undefined {
  let best: string | undefined;
  let fewest = Number.POSITIVE_INFINITY;
  for (const other of known) {
    const longer = Math.max(name.length, other.length);
    // lengths that differ by more need more insertions than that
    if (Math.abs(name.length - other.length) > 0.4 * longer) continue;
    const errors = distance(name.toLowerCase(), other.toLowerCase());
    if (errors <= 0.4 * longer && errors < fewest) {
      best = other;
      fewest = errors;
    }
  }
  return best;
}

/**
 * Fewest insertions, deletions, substitutions and swaps of neighbors that turn a into b (Damerau 1964,
 * Levenshtein 1966).
 */
function distance(a: string, b: string): number {
  const rows = [Array.from({ length: b.length + 1 }, (_, j) => j)];
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = rows[i - 1][j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1);
      row[j] = Math.min(rows[i - 1][j] + 1, row[j - 1] + 1, substitution);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        row[j] = Math.min(row[j], rows[i - 2][j - 2] + 1);
      }
    }
    rows.push(row);
  }
  return rows[a.length][b.length];
}

/** Every option of a function with its default; undefined where it depends on others, or is required. */
export type Defaults<O> = { readonly [K in keyof Required<O>]: O[K] };

/** Options with their defaults filled in; `Open` names those that have none. */
export type Settled<O, Open extends keyof O = never> = Required<Omit<O, Open>> & Pick<O, Open>;

/**
 * Fills in options that are absent or undefined from the defaults, after checking names and types: a number,
 * boolean or string must remain one. Values, and `axis` (which may be a list or null), are checked by the
 * function that uses them.
 * @throws TypeError for an option that is unknown, null, or not of the type of its default
 */
export function settle<S extends object>(
  caller: string,
  options: Partial<S>,
  defaults: Defaults<S>,
  translations?: Readonly<Record<string, string>>,
): S {
  checkOptions(caller, options, Object.keys(defaults), translations);
  const settled: Record<string, unknown> = { ...defaults };
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined) continue;
    const expected = typeof settled[name];
    const given = Array.isArray(value) ? "list" : typeof value;
    // what has no default is a number, or a list of some; a name to choose from may have a number beside it
    const fits =
      given === expected ||
      (given === "number" && (expected === "string" || expected === "undefined")) ||
      (given === "list" && expected === "undefined");
    if (name !== "axis" && (value === null || !fits)) {
      const type = expected === "undefined" ? "number" : expected;
      throw new TypeError(
        `${caller}: ${name} must be a ${type}, got ${described(value)}; leave it out for its default`,
      );
    }
    settled[name] = value;
  }
  return settled as S;
}

const warned = new Set<string>();

/** Warns the user, once per message. */
export function warnOnce(message: string): void {
  if (warned.has(message)) return;
  warned.add(message);
  console.warn(message);
}

/** Options by their name elsewhere: what to write here instead. */
export const optionNames: Readonly<Record<string, string>> = {
  eps: '"epsilon"',
  variance_epsilon: '"epsilon"',
  layer_norm_eps: '"epsilon"',
  rms_norm_eps: '"epsilon"',
  norm_eps: '"epsilon"',
  num_groups: '"groups"',
  numGroups: '"groups"',
  affine: '"scale" and "center" (gamma and beta)',
  elementwise_affine: '"scale" and "center" (gamma and beta)',
  elementwiseAffine: '"scale" and "center" (gamma and beta)',
  use_scale: '"scale"',
  useScale: '"scale"',
  use_bias: '"center"',
  weight: '"scale" (gamma)',
  bias: '"center" (beta)',
  track_running_stats: '"trackRunningStatistics"',
  trackRunningStats: '"trackRunningStatistics"',
  normalized_shape: '"axis", which names the axes instead of their lengths,',
  normalizedShape: '"axis", which names the axes instead of their lengths,',
  dim: '"axis"',
  axes: '"axis"',
  reduction_axes: '"axis"',
  decay: '"momentum" (the weight of the old value)',
  n_power_iterations: '"iterations"',
  power_iterations: '"iterations"',
  powerIterations: '"iterations"',
  virtual_batch_size: '"batchSize"',
  virtualBatchSize: '"batchSize"',
};

/** Parameters and statistics of a call, likewise. */
export const parameterNames: Readonly<Record<string, string>> = {
  weight: '"gamma"',
  scale: '"gamma"',
  bias: '"beta"',
  offset: '"beta"',
  running_mean: '"mean"',
  runningMean: '"mean"',
  moving_mean: '"mean"',
  running_var: '"variance"',
  runningVariance: '"variance"',
  moving_variance: '"variance"',
  var: '"variance"',
};
