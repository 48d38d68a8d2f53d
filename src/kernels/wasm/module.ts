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

/** A module of one function, f32x4.relaxed_madd(a, b, c). */
const RELAXED_MADD =
  "\0asm\x01\0\0\0\x01\x08\x01\x60\x03\x7b\x7b\x7b\x01\x7b\x03\x02\x01\0\x0a\x0d\x01\x0b\0\x20\0\x20\x01\x20\x02\xfd\x85\x02\x0b";

/** Whether this engine has relaxed SIMD, as Node 22 and Chrome 114 do. */
export const hasRelaxedSimd = globalThis.WebAssembly?.validate(bytesOf(RELAXED_MADD)) ?? false;

/** Throws where the engine has no SIMD, or no shared memory where that is asked for. */
export async function compile(
  binaries: Binaries,
  { shared = false, relaxed = hasRelaxedSimd }: CompileOptions = {},
): Promise<WebAssembly.Module> {
  try {
    const build = (await unpack(binaries))[relaxed ? 1 : 0];
    if (shared) importSharedMemory(build);
    return await WebAssembly.compile(build);
  } catch {
    throw new Error(
      "evenkeel: this engine does not run WebAssembly with SIMD; use Node 20, Chrome 103, Firefox 113, Safari 16.4 or newer, " +
        'or open({ backend: "reference" })',
    );
  }
}

async function unpack({ lengths, turnBytes, deflated }: Binaries): Promise<Uint8Array<ArrayBuffer>[]> {
  const bytes = await inflate(bytesOf(atob(deflated)));
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
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** One byte per character. */
function bytesOf(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

/** The name "memory", the kind of import that a memory is, and limits with a maximum. */
const IMPORTED_MEMORY = [...new TextEncoder().encode("\x06memory"), 2, 1];
/** Limits with a maximum of a memory that is shared (threads proposal). */
const SHARED_LIMITS = 3;

/** The kernels are the same on a shared memory; only the import says so. */
function importSharedMemory(build: Uint8Array): void {
  const at = build.findIndex((_, start) =>
    IMPORTED_MEMORY.every((byte, offset) => build[start + offset] === byte),
  );
  build[at + IMPORTED_MEMORY.length - 1] = SHARED_LIMITS;
}
