/**
 * The available backends, and how one is chosen.
 *
 * A new backend is a folder beside wasm/ that implements contract.ts, a line in the table below, and its
 * options in `OpenOptions`; a line in test/support/backends.ts runs the suites on it.
 */
import { checkOptions, warnOnce } from "../options.js";
import type { Kernels } from "./contract.js";
import { openWasm, type WasmOptions } from "./wasm/open.js";

/** `wasm`: WebAssembly with SIMD, in float32. `reference`: plain loops in float64, some 100 times slower. */
export type BackendName = "wasm" | "reference";

/** Options of `open`. */
export interface OpenOptions extends WasmOptions {
  /**
   * `auto` (default) uses the fastest backend that runs here and has the given options. Where a faster one
   * does not run, it warns once, and `ek.fallback` holds the cause. A name uses that backend or throws.
   */
  backend?: BackendName | "auto";
}

interface Backend {
  /** Names of the options that it has. */
  readonly options: readonly string[];
  /** Throws with the cause and the remedy where it does not run here. */
  open(options: OpenOptions): Kernels<unknown> | Promise<Kernels<unknown>>;
}

/** Fastest first. */
const backends: Readonly<Record<BackendName, Backend>> = {
  wasm: { options: ["threads", "module", "relaxed"], open: openWasm },
  // loaded only on request, or where nothing else runs
  reference: { options: [], open: async () => (await import("./reference/reference.js")).reference },
};

/**
 * Opens the backend that the options select. `fallback` is why `auto` did not use a faster one.
 * @throws TypeError for an option that is unknown or of the wrong type; RangeError for a value out of range,
 * or an option that the backend does not have; Error where the backend does not run here
 */
export async function openBackend(
  options: OpenOptions,
): Promise<{ kernels: Kernels<unknown>; fallback?: string }> {
  const names = Object.keys(backends) as BackendName[];
  const own = names.flatMap((name) => backends[name].options);
  checkOptions("open", options, ["backend", ...own]);
  const { backend = "auto" } = options;
  if (!["auto", ...names].includes(backend)) {
    const all = ["auto", ...names].map((name) => `"${name}"`);
    throw new RangeError(
      `open: backend must be ${all.slice(0, -1).join(", ")} or ${all.at(-1)}, got ${JSON.stringify(backend)}`,
    );
  }
  const given = own.filter((option) => options[option as keyof OpenOptions] !== undefined);
  const has = (name: BackendName) => given.every((option) => backends[name].options.includes(option));
  if (backend !== "auto") {
    if (has(backend)) return { kernels: await backends[backend].open(options) };
    throw new RangeError(`open: backend "${backend}" has no ${given.join(" or ")}; leave it out`);
  }
  const causes: string[] = [];
  const able = names.filter(has);
  for (const name of able) {
    try {
      const kernels = await backends[name].open(options);
      const fallback = causes.join("; ") || undefined;
      if (fallback)
        warnOnce(`${fallback}\nevenkeel: open() uses the ${name} backend, which is some 100 times slower`);
      return { kernels, fallback };
    } catch (error) {
      if (name === able.at(-1)) throw error;
      causes.push(error instanceof Error ? error.message : String(error));
    }
  }
  throw new RangeError(`open: no backend has ${given.join(" and ")}`);
}
