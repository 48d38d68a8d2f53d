/** From the embedded binaries to a compiled module: the fastest one that this engine runs. */

/** Two builds of the same kernels, compressed together by scripts/build.mjs. */
export interface Binaries {
  /** Bytes of the plain build (SIMD), and of the one with relaxed SIMD (fused multiply-add). */
  readonly lengths: readonly number[];
  /** They take turns of so many bytes. */
  readonly turnBytes: number;
  /** Base64 of raw deflate. */
  readonly deflated: string;
}

export interface CompileOptions {
  /** For a memory that threads share. */
  shared?: boolean;
  /** The build with relaxed SIMD; default: where the engine has it. */
  relaxed?: boolean;
}

/** A module of one function, f32x4.relaxed_madd(a, b, c); in base64, as all bytes here: pages may be read in any charset. */
const RELAXED_MADD = "AGFzbQEAAAABCAFgA3t7ewF7AwIBAAoNAQsAIAAgASAC/YUCCw==";

/** Whether this engine has relaxed SIMD, as Node 22 and Chrome 114 do. */
export const hasRelaxedSimd = globalThis.WebAssembly?.validate(bytesOf(RELAXED_MADD)) ?? false;

/** A module of one function that gives a vector, by i8x16.splat and i8x16.popcnt. */
const SIMD = "AGFzbQEAAAABBQFgAAF7AwIBAAoKAQgAQQD9D/1iCw==";

/** Throws where this host does not compile it: the cause, and what helps. */
export async function compile(
  binaries: Binaries,
  { shared = false, relaxed = hasRelaxedSimd }: CompileOptions = {},
): Promise<WebAssembly.Module> {
  if (!globalThis.WebAssembly) {
    throw new Error(
      "evenkeel: there is no WebAssembly here (node --jitless and browsers' lockdown modes take it away); allow it, or take " +
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
      `evenkeel: this host does not let WebAssembly be compiled (${error instanceof Error ? error.message : error}); in a page's ` +
        "Content-Security-Policy, add 'wasm-unsafe-eval' to script-src; where modules are compiled ahead, as in Cloudflare " +
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

/** With Node's own zlib where there is one: the first use of streams costs Node 25 ms. */
async function inflate(packed: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
  const zlib = globalThis.process?.getBuiltinModule?.("node:zlib");
  if (zlib) return zlib.inflateRawSync(packed);
  try {
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  } catch (error) {
    throw new Error(
      `evenkeel: this host does not inflate the kernels by DecompressionStream("deflate-raw") (${error}); use Chrome 103, Firefox 113, ` +
        "Safari 16.4 or newer, or compile evenkeel/kernels.wasm and pass open({ module })",
    );
  }
}

function bytesOf(base64: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}

/** The name "memory", the kind of import that a memory is, and limits with a maximum. */
const IMPORTED_MEMORY = [...bytesOf("Bm1lbW9yeQIB")];
/** Limits with a maximum of a memory that is shared (threads proposal). */
const SHARED_LIMITS = 3;

/** The kernels are the same on a shared memory; only the import says so. */
function importSharedMemory(build: Uint8Array): void {
  const at = build.findIndex((_, start) =>
    IMPORTED_MEMORY.every((byte, offset) => build[start + offset] === byte),
  );
  build[at + IMPORTED_MEMORY.length - 1] = SHARED_LIMITS;
}
