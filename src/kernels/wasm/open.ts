/** Opens the WASM backend on a memory of its own. */
import { OwnHeap, sharedMemory } from "./heap.js";
import { hasRelaxedSimd } from "./module.js";
import { threadsHere } from "./pool.js";
import { EXPORTS, normalizationModule, WasmKernels } from "./wasm.js";

/** Options of the WASM backend. */
export interface WasmOptions {
  /**
   * Most threads that share large arrays, the calling one included; `ek.threads` says how many do. Default:
   * one per core, at most 8; 1 in a page that is not cross-origin isolated, or with `module`. More than 14
   * are of no use.
   */
  threads?: number;
  /**
   * The compiled kernels, for hosts that compile WebAssembly ahead of time only (Cloudflare Workers): what
   * `import module from "evenkeel/kernels.wasm"` gives there, or kernels-relaxed.wasm.
   */
  module?: WebAssembly.Module;
  /**
   * Whether to use fused multiply-add (relaxed SIMD), which is faster. Default: where the engine supports it.
   * `false` gives bit-identical results on every engine.
   */
  relaxed?: boolean;
}

/** @throws where this host does not run it, or not with these options, with the cause and the remedy. */
export async function openWasm({ threads, module, relaxed }: WasmOptions): Promise<WasmKernels> {
  if (threads !== undefined && !(Number.isInteger(threads) && threads >= 1)) {
    throw new RangeError(`open: threads must be an integer of at least 1, got ${threads}`);
  }
  if (relaxed !== undefined && typeof relaxed !== "boolean") {
    throw new TypeError(`open: relaxed must be true or false, got ${relaxed}`);
  }
  if (module !== undefined) return withModule(module, threads, relaxed);
  if (relaxed && !hasRelaxedSimd) {
    throw new RangeError(
      "open: relaxed: true needs relaxed SIMD, as Node 22 and Chrome 114 have it; leave it out to use it where available",
    );
  }
  const most = threads ?? threadsHere();
  const memory = most > 1 ? sharedMemory() : undefined;
  if (memory) {
    return new WasmKernels(await normalizationModule({ shared: true, relaxed }), new OwnHeap(memory), most);
  }
  if (threads !== undefined && threads > 1) {
    throw new Error(
      `open: threads: ${threads} needs shared memory, which is not available here; in a page, serve it with the headers ` +
        "Cross-Origin-Opener-Policy: same-origin and Cross-Origin-Embedder-Policy: require-corp, or leave threads out",
    );
  }
  return new WasmKernels(await normalizationModule({ relaxed }), new OwnHeap());
}

function withModule(module: WebAssembly.Module, threads = 1, relaxed?: boolean): WasmKernels {
  if (threads > 1 || relaxed !== undefined) {
    throw new RangeError(
      "open: with module there is one thread, and the module decides about relaxed; leave threads and relaxed out",
    );
  }
  if (Object.prototype.toString.call(module) !== "[object WebAssembly.Module]") {
    throw new TypeError(
      `open: module must be a WebAssembly.Module, compiled from evenkeel/kernels.wasm, got ${module}`,
    );
  }
  const names = WebAssembly.Module.exports(module).map(({ name }) => name);
  const lacking = EXPORTS.find((name) => !names.includes(name));
  if (lacking) {
    throw new TypeError(
      `open: module must be compiled from evenkeel/kernels.wasm of this version; this one has no ${lacking}`,
    );
  }
  return new WasmKernels(module, new OwnHeap());
}
