/**
 * How backends have passes written. Who makes passes hands it over with them: a page without formulas, such as one with layer
 * normalization alone, carries none of it.
 */
import { encode } from "./wasm/pass.js";

/** By the names of the backends that do not run a pass as it is. */
export const encoders = { wasm: encode };
export type Encoders = typeof encoders;
