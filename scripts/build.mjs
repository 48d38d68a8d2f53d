/**
 * Builds the package and the lab: AssemblyScript to WASM, plain and with relaxed SIMD, compressed into a generated
 * TypeScript module and as files for hosts that compile ahead; what a helper thread runs, as one string; then TypeScript
 * to dist/. What is newer than its sources stays.
 */
import { spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));

/** Each pair of binaries: its AssemblyScript entry, the module that carries it, and the files, if any. */
const binaries = [
  {
    entry: "assembly/normalization.ts",
    module: "src/kernels/wasm/binary.ts",
    files: ["dist/kernels.wasm", "dist/kernels-relaxed.wasm"],
  },
  { entry: "assembly/training.ts", module: "src/tfjs/kernels/training-binary.ts", files: [] },
];

/** The source of a helper thread, and the module that carries it. */
const thread = { entry: "src/kernels/wasm/thread.ts", module: "src/kernels/wasm/thread-source.ts" };

const generated = (/** @type {string} */ from) =>
  `// Generated from ${from} by scripts/build.mjs; not committed.\n`;

export async function build() {
  const own = fileURLToPath(import.meta.url);
  const assembly = readdirSync(`${root}assembly`).map((name) => `${root}assembly/${name}`);
  const words = ["call-words", "pass-words"].map((name) => `${root}src/kernels/wasm/${name}.ts`);
  const sources = [...assembly, ...words, own];
  for (const { entry, module, files } of binaries) {
    if (isNewer([module, ...files], sources)) continue;
    const plain = compile(entry);
    const relaxed = compile(entry, "--enable=relaxed-simd");
    const carried = `export const binaries = ${JSON.stringify(await pack(plain, relaxed), null, 2)};\n`;
    writeFileSync(`${root}${module}`, generated(entry) + carried);
    mkdirSync(`${root}dist`, { recursive: true });
    files.forEach((file, i) => {
      writeFileSync(`${root}${file}`, [plain, relaxed][i]);
      writeFileSync(
        `${root}${file}.d.ts`,
        "declare const module: WebAssembly.Module;\nexport default module;\n",
      );
    });
  }
  if (!isNewer([thread.module], [`${root}${thread.entry}`, `${root}src/kernels/wasm/tickets.ts`, own])) {
    const source = `export const source = ${JSON.stringify(await bundle(thread.entry))};\n`;
    writeFileSync(`${root}${thread.module}`, generated(thread.entry) + source);
  }
  run([`${root}node_modules/typescript/bin/tsc`, "-b", root]);
  removeStale();
}

/** Where sources are, and what is made of them. */
const outputs = { src: "dist", "report/src": "report/dist", "lab/src": "lab/dist" };

/** Removes what was once made of sources that are gone: compilers leave it, and npm would publish it. */
function removeStale() {
  const files = binaries.flatMap(({ files }) => files.flatMap((file) => [file, `${file}.d.ts`]));
  for (const [sources, folder] of Object.entries(outputs)) {
    for (const name of /** @type {string[]} */ (readdirSync(`${root}${folder}`, { recursive: true }))) {
      const output = `${root}${folder}/${name}`;
      const source = `${root}${sources}/${name.replace(/(\.d\.ts|\.js)$/, ".ts")}`;
      const expected = existsSync(source) || files.includes(`${folder}/${name}`) || name === ".tsbuildinfo";
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

/** Both binaries are longer than the window of deflate, and much alike: it gets them in turns. */
const TURN_BYTES = 16384;

/**
 * What src/kernels/wasm/module.ts unpacks. Zopfli's deflate is a twentieth smaller than zlib's.
 * @param {Buffer} plain @param {Buffer} relaxed
 */
async function pack(plain, relaxed) {
  const { deflateAsync } = (await import("@gfx/zopfli")).default;
  const turns = [];
  for (let at = 0; at < Math.max(plain.length, relaxed.length); at += TURN_BYTES) {
    turns.push(plain.subarray(at, at + TURN_BYTES), relaxed.subarray(at, at + TURN_BYTES));
  }
  return {
    lengths: [plain.length, relaxed.length],
    turnBytes: TURN_BYTES,
    deflated: Buffer.from(await deflateAsync(Buffer.concat(turns), { numiterations: 15 })).toString("base64"),
  };
}

/**
 * No runtime and no data segment, so that the module can use a memory that another program owns.
 * @param {string} entry @param {...string} more
 */
function compile(entry, ...more) {
  const folder = mkdtempSync(join(tmpdir(), "evenkeel-"));
  try {
    const flags = ["-O3", "--runtime=stub", "--enable=simd", "--importMemory", "--maximumMemory=65536"];
    const outFile = join(folder, "out.wasm");
    run([
      `${root}node_modules/assemblyscript/bin/asc.js`,
      `${root}${entry}`,
      `--outFile=${outFile}`,
      ...flags,
      ...more,
      "--use=abort=",
    ]);
    return readFileSync(outFile);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) await build();
