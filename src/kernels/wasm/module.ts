/** Compiles the embedded binaries: the fastest build that this engine runs. */

/** Two builds of the same kernels, compressed together by scripts/build.mjs. */
export interface Binaries {
  /** Bytes of the plain build (SIMD), and of the one with relaxed SIMD (fused multiply-add). */
  readonly lengths: readonly number[];
  /** The builds are interleaved in chunks of this many bytes. */
  readonly turnBytes: number;
  /** Base64 of raw deflate. */
  readonly deflated: string;
}

export interface CompileOptions {
  /** Whether to import shared memory. Default false. */
  shared?: boolean;
  /** Whether to use the build with relaxed SIMD; default: where the engine supports it. */
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

/** Throws where this host cannot compile it, with the cause and the remedy. */
export async function compile(
  binaries: Binaries,
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
  const build = (await unpack(binaries))[relaxed ? 1 : 0];
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

async function unpack({ lengths, turnBytes, deflated }: Binaries): Promise<Uint8Array<ArrayBuffer>[]> {
  const bytes = await inflate(bytesOf(deflated));
  const builds = lengths.map((length) => new Uint8Array(length));
  let from = 0;
  for (let to = 0; to < Math.max(...lengths); to += turnBytes) {
    for (const build of builds) {
      const room = build.subarray(to, to + turnBytes);
      room.set(bytes.subarray(from, from + room.length));
      from += room.length;
    }
  }
  return builds;
}

/** Uses Node's own zlib where there is one: the first use of streams costs Node 25 ms. */
async function inflate(packed: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
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
