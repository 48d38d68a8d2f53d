/** Describes a layer class: its normalization, and how Keras's class differs from it. */
import type { About, Normalization } from "../../formula/normalization.js";
import type { Config } from "../types.js";

export interface LayerSpec {
  /** The class name under which it is saved. */
  readonly className: string;
  readonly about: Pick<About, "name" | "takes">;
  /** Every option that the layer passes to its normalization, by Keras's names. */
  readonly options: readonly string[];
  /** Defaults of options; these are saved. */
  readonly defaults: Config;
  /** Default initializers by Keras's names of weights; always present in a saved config. */
  readonly initializers: Readonly<Record<string, string>>;
  /** Default of the layer's `useMask`. */
  readonly useMask: boolean;
  /** The axes of its weights, where they are not those of `axis`. */
  axisOf?(options: Config): number | readonly number[];
  /** Creates the normalization; the options' names were checked. */
  make(options: Config): Normalization;
}
