/** Compiles embedded kernels, as fast as this engine runs them. */
import { unfused } from "./unfused.js";

export interface CompileOptions {
  /** Whether to import shared memory. Default false. */
  shared?: boolean;
  /** Whether to use relaxed SIMD (fused multiply-add); default: where the engine supports it. */
  relaxed?: boolean;
}

/**
 * A module of one function, f32x4.relaxed_madd(a, b, c); in base64, as all bytes here: pages may be read in
 * any charset.
 */
const RELAXED_MADD = "AGFzbQEAAAABCAFgA3t7ewF7AwIBAAoNAQsAIAAgASAC/YUCCw==";

/** Whether this engine has relaxed SIMD, as Node 22 and Chrome 114 do. */
export const hasRelaxedSimd = globalThis.WebAssembly?.validate(bytesOf(RELAXED_MADD)) ?? false;

/** A module of one function that gives a vector, by i8x16.splat and i8x16.popcnt. */
const SIMD = "AGFzbQEAAAABBQFgAAF7AwIBAAoKAQgAQQD9D/1iCw==";

/**
 * `packed`: the binary, as scripts/build.mjs compresses it, base64 of raw deflate. Throws where this host cannot compile it, with the
 * cause and the remedy.
 */
export async function compile(
  packed: string,
  { shared = false, relaxed = hasRelaxedSimd }: CompileOptions = {},
): Promise<WebAssembly.Module> {
  if (!globalThis.WebAssembly) {
    throw new Error(
      "evenkeel: WebAssembly is not available here (node --jitless and browsers' lockdown modes disable it); enable it, or use " +
        'open({ backend: "reference" })',
    );
  }
  if (!WebAssembly.validate(bytesOf(SIMD))) {
    throw new Error(
      "evenkeel: this engine does not run WebAssembly with SIMD; use Node 20, Chrome 103, Firefox 113, Safari 16.4 or newer, " +
        'or open({ backend: "reference" })',
    );
  }
  const binary = await inflate(bytesOf(packed));
  const build = relaxed ? binary : unfused(binary);
  if (shared) importSharedMemory(build);
  try {
    return await WebAssembly.compile(build);
  } catch (error) {
    throw new Error(
      `evenkeel: this host does not allow WebAssembly to be compiled (${error instanceof Error ? error.message : error}); in a page's ` +
        "Content-Security-Policy, add 'wasm-unsafe-eval' to script-src; where modules are compiled ahead of time, as in Cloudflare " +
        'Workers, pass open({ module }) what `import module from "evenkeel/kernels.wasm"` gives',
    );
  }
}

/** Uses Node's own zlib where there is one: the first use of streams costs Node 25 ms. */
async function inflate(packed: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  const zlib = globalThis.process?.getBuiltinModule?.("node:zlib");
  if (zlib) return zlib.inflateRawSync(packed);
  try {
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  } catch (error) {
    throw new Error(
      `evenkeel: this host cannot inflate the kernels with DecompressionStream("deflate-raw") (${error}); use Chrome 103, Firefox 113, ` +
        "Safari 16.4 or newer, or compile evenkeel/kernels.wasm and pass open({ module })",
    );
  }
}

function bytesOf(base64: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}

/** The import's name, "memory", its kind, and limits with a maximum. */
const IMPORTED_MEMORY = [...bytesOf("Bm1lbW9yeQIB")];
/** Limits with a maximum of a shared memory (threads proposal). */
const SHARED_LIMITS = 3;

/** The kernels are the same on shared memory; only the import differs. */
function importSharedMemory(build: Uint8Array): void {
  const at = build.findIndex((_, start) =>
    IMPORTED_MEMORY.every((byte, offset) => build[start + offset] === byte),
  );
  build[at + IMPORTED_MEMORY.length - 1] = SHARED_LIMITS;
}
