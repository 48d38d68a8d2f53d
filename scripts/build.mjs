/**
 * Builds the package and the lab: AssemblyScript to WASM, plain and with relaxed SIMD, compressed into a generated
 * TypeScript module, then TypeScript to dist/. A module newer than its sources is left as it is.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { deflateRawSync } from "node:zlib";

const root = fileURLToPath(new URL("..", import.meta.url));

/** Each binary: its AssemblyScript entry, and the module that carries it. */
const binaries = [
  { entry: "assembly/normalization.ts", module: "src/kernels/wasm/binary.ts" },
  { entry: "assembly/training.ts", module: "src/tfjs/kernels/training-binary.ts" },
];

export function build() {
  const sources = readdirSync(`${root}assembly`).map((name) => `${root}assembly/${name}`);
  const newest = Math.max(
    ...[...sources, fileURLToPath(import.meta.url)].map((path) => statSync(path).mtimeMs),
  );
  for (const { entry, module } of binaries) {
    const target = `${root}${module}`;
    if (existsSync(target) && statSync(target).mtimeMs > newest) continue;
    const binaries = pack(compile(entry), compile(entry, "--enable=relaxed-simd"));
    writeFileSync(
      target,
      `// Generated from ${entry} by scripts/build.mjs; not committed.\n` +
        `export const binaries = ${JSON.stringify(binaries, null, 2)};\n`,
    );
  }
  run([`${root}node_modules/typescript/bin/tsc`, "-b", root]);
}

/** Runs a compiler, which prints its own errors. @param {string[]} command */
function run(command) {
  const { status } = spawnSync(process.execPath, command, { stdio: "inherit" });
  if (status !== 0) process.exit(status ?? 1);
}

/** Both binaries are longer than the window of deflate, and much alike: it gets them in turns. */
const TURN_BYTES = 12288;

/** What src/kernels/wasm/module.ts unpacks. @param {Buffer} plain @param {Buffer} relaxed */
function pack(plain, relaxed) {
  const turns = [];
  for (let at = 0; at < Math.max(plain.length, relaxed.length); at += TURN_BYTES) {
    turns.push(plain.subarray(at, at + TURN_BYTES), relaxed.subarray(at, at + TURN_BYTES));
  }
  return {
    lengths: [plain.length, relaxed.length],
    turnBytes: TURN_BYTES,
    deflated: deflateRawSync(Buffer.concat(turns), { level: 9 }).toString("base64"),
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

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) build();
