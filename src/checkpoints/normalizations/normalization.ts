/** A normalization as a file has it, in Evenkeel's own words. */
import type { Framework } from "../../frameworks/conventions.js";
import type { Catalog } from "../../norms/catalog.js";
import type { Tensor } from "../tensors.js";

/** A normalization of a network, as `catalog[kind](options)` with these weights and statistics. */
export interface MappedNormalization {
  /** Where it stands in the network, as the file says, without wrappers' prefixes (`module.`, `_orig_mod.`). */
  readonly name: string;
  /** Its name in the catalog: `catalog[kind](options)` is the normalization. */
  readonly kind: keyof Catalog;
  /** Options of the catalog's factory: all that the file says, or its framework's defaults. */
  readonly options: Readonly<Record<string, unknown>>;
  /** What is learned, by our names (gamma, beta, g, v): as it takes part in the formula, after all conversions. */
  readonly weights: Readonly<Record<string, Float32Array | Float64Array>>;
  /** Running statistics and other state, by our names (runningMean, runningVariance, u). */
  readonly statistics: Readonly<Record<string, Float32Array | Float64Array>>;
  readonly framework?: Framework;
  /** Of the framework, where the file has it. */
  readonly version?: string;
  /** What the framework calls it: BatchNorm2d, BatchNormalization; undefined where only names of tensors tell what it is. */
  readonly type?: string;
  /** What was translated, assumed, or cannot be known, a line each. */
  readonly conversions: readonly string[];
  /** The tensors that it was read from, by our names. */
  readonly tensors: Readonly<Record<string, Tensor>>;
}

/** A number in a line: 1e-5, 0.001, 0.9. */
export function numeral(value: number): string {
  return value !== 0 && Math.abs(value) < 1e-3 ? value.toExponential() : String(value);
}
