/** What a class of layers is: a normalization, and what Keras has its own way about it. */
import type { About, Normalization } from "../../formula/normalization.js";
import type { Config } from "../types.js";

export interface LayerSpec {
  /** Under which it is saved. */
  readonly className: string;
  readonly about: Pick<About, "name" | "takes">;
  /** Every option of the layer that goes into its normalization, in Keras's names. */
  readonly options: readonly string[];
  /** Defaults of options, which are saved. */
  readonly defaults: Config;
  /** Identifiers of initializers, by Keras's names of weights, that a saved layer always mentions. */
  readonly initializers: Readonly<Record<string, string>>;
  /** Whether the layer follows a mask unless it is told otherwise. */
  readonly useMask: boolean;
  /** The axes of its weights, where `axis` names others. */
  axisOf?(options: Config): number | readonly number[];
  /** The normalization that these options, each of them known, mean. */
  make(options: Config): Normalization;
}
