/**
 * Builds the package and the lab: AssemblyScript to WASM, compressed into a generated TypeScript module; what a helper
 * thread runs, as one string; TypeScript to dist/; then the kernels as files for hosts that compile ahead, with relaxed
 * SIMD and without. What is newer than its sources stays.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { inflateRawSync } from "node:zlib";

const root = fileURLToPath(new URL("..", import.meta.url));

/** Each binary: its AssemblyScript entry, and the module that carries it. */
const binaries = [
  { entry: "assembly/normalization.ts", module: "src/kernels/wasm/binary.ts" },
  { entry: "assembly/training.ts", module: "src/tfjs/kernels/training-binary.ts" },
];

/** The first of them as files: without relaxed SIMD, and with it. */
const files = ["dist/kernels.wasm", "dist/kernels-relaxed.wasm"];

/** The source of a helper thread, and the module that carries it. */
const thread = { entry: "src/kernels/wasm/thread.ts", module: "src/kernels/wasm/thread-source.ts" };

const generated = (/** @type {string} */ from) =>
  `// Generated from ${from} by scripts/build.mjs; not committed.\n`;

export async function build() {
  const own = fileURLToPath(import.meta.url);
  const assembly = readdirSync(`${root}assembly`).map((name) => `${root}assembly/${name}`);
  const words = ["call-words", "pass-words"].map((name) => `${root}src/kernels/wasm/${name}.ts`);
  const sources = [...assembly, ...words, own];
  for (const { entry, module } of binaries) {
    if (isNewer([module], sources)) continue;
    const carried = `export const binary = ${JSON.stringify(await pack(compile(entry)))};\n`;
    writeFileSync(`${root}${module}`, generated(entry) + carried);
  }
  if (!isNewer([thread.module], [`${root}${thread.entry}`, `${root}src/kernels/wasm/tickets.ts`, own])) {
    const source = `export const source = ${JSON.stringify(await bundle(thread.entry))};\n`;
    writeFileSync(`${root}${thread.module}`, generated(thread.entry) + source);
  }
  run([`${root}node_modules/typescript/bin/tsc`, "-b", root]);
  const { binary } = await import(`${root}dist/kernels/wasm/binary.js`);
  const { unfused } = await import(`${root}dist/kernels/wasm/unfused.js`);
  const relaxed = inflateRawSync(Buffer.from(binary, "base64"));
  for (const [i, build] of [unfused(relaxed), relaxed].entries()) {
    writeFileSync(`${root}${files[i]}`, build);
    writeFileSync(
      `${root}${files[i]}.d.ts`,
      "declare const module: WebAssembly.Module;\nexport default module;\n",
    );
  }
  removeStale();
}

/** Where sources are, and what is made of them. */
const outputs = { src: "dist", "report/src": "report/dist", "lab/src": "lab/dist" };

/** Removes what was once made of sources that are gone: compilers leave it, and npm would publish it. */
function removeStale() {
  const kernels = files.flatMap((file) => [file, `${file}.d.ts`]);
  for (const [sources, folder] of Object.entries(outputs)) {
    for (const name of /** @type {string[]} */ (readdirSync(`${root}${folder}`, { recursive: true }))) {
      const output = `${root}${folder}/${name}`;
      const source = `${root}${sources}/${name.replace(/(\.d\.ts|\.js)$/, ".ts")}`;
      const expected = existsSync(source) || kernels.includes(`${folder}/${name}`) || name === ".tsbuildinfo";
      if (!expected && statSync(output).isFile()) rmSync(output);
    }
  }
}

/** @param {string[]} targets @param {string[]} sources */
function isNewer(targets, sources) {
  const newest = Math.max(...sources.map((path) => statSync(path).mtimeMs));
  return targets.every((path) => existsSync(`${root}${path}`) && statSync(`${root}${path}`).mtimeMs > newest);
}

/** A module and what it imports as one classic script, minified. @param {string} entry */
async function bundle(entry) {
  const { rolldown } = await import("rolldown");
  const script = await rolldown({ input: `${root}${entry}`, platform: "browser", logLevel: "silent" });
  const { output } = await script.generate({ format: "iife", minify: true });
  await script.close();
  return output[0].code.trim();
}

/** Runs a compiler, which prints its own errors. @param {string[]} command */
function run(command) {
  const { status } = spawnSync(process.execPath, command, { stdio: "inherit" });
  if (status !== 0) process.exit(status ?? 1);
}

/** What src/kernels/wasm/module.ts unpacks. Zopfli's deflate is a twentieth smaller than zlib's. @param {Buffer} binary */
async function pack(binary) {
  const { deflateAsync } = (await import("@gfx/zopfli")).default;
  return Buffer.from(await deflateAsync(binary, { numiterations: 15 })).toString("base64");
}

/** f32x4.relaxed_madd. */
const FUSED = Buffer.from([0xfd, 0x85, 0x02]);

/**
 * No runtime and no data segment, so that the module can use a memory that another program owns. Inlined is what says so in the
 * source; what -O3 inlines beyond it (s: does not) makes the kernels a twentieth larger, and next to none faster.
 * @param {string} entry
 */
function compile(entry) {
  const folder = mkdtempSync(join(tmpdir(), "evenkeel-"));
  try {
    const [binary, text] = ["out.wasm", "out.wat"].map((name) => join(folder, name));
    const features = ["--enable=simd", "--enable=relaxed-simd"];
    const memory = ["--importMemory", "--maximumMemory=65536"];
    run([
      `${root}node_modules/assemblyscript/bin/asc.js`,
      `${root}${entry}`,
      ...[`--outFile=${binary}`, `--textFile=${text}`, "-O3s", "--runtime=stub", "--use=abort="],
      ...features,
      ...memory,
    ]);
    const bytes = readFileSync(binary);
    const fused = readFileSync(text, "utf8").split("f32x4.relaxed_madd").length - 1;
    if (occurrences(bytes, FUSED) !== fused) {
      throw new Error(
        `${entry}: the bytes of f32x4.relaxed_madd are something else too, which src/kernels/wasm/unfused.ts relies on`,
      );
    }
    return bytes;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** @param {Buffer} bytes @param {Buffer} pattern */
function occurrences(bytes, pattern) {
  let count = 0;
  for (let at = bytes.indexOf(pattern); at >= 0; at = bytes.indexOf(pattern, at + 1)) count++;
  return count;
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) await build();
