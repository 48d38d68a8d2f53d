/** What a host gives is taken, and what it lacks is said: causes of a fallback, modules that a host compiles, the same bits. */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { fileURLToPath, pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import {
  batchNorm,
  type FusedNorm,
  groupNorm,
  layerNorm,
  type OpenOptions,
  open,
  rmsNorm,
} from "../../src/index.js";
import { hasRelaxedSimd } from "../../src/kernels/wasm/module.js";
import { random } from "../support/numerics.js";

const root = fileURLToPath(new URL("../..", import.meta.url));
const kernels = (build: string) => new WebAssembly.Module(readFileSync(`${root}dist/${build}.wasm`));

/** What a program prints, and what it is warned of, in a process of its own. */
async function printed(program: string, ...flags: string[]): Promise<{ stdout: string; stderr: string }> {
  const code = `
    const load = () => import(${JSON.stringify(pathToFileURL(`${root}dist/index.js`).href)});
    ${program}`;
  return promisify(execFile)(process.execPath, [...flags, "--input-type=module", "-e", code], {
    timeout: 30_000,
  });
}

describe("where the fastest backend does not run, open falls back, warns once, and tells the cause", () => {
  it.each([
    {
      host: "node --jitless",
      flags: ["--jitless", "--no-warnings"],
      program: "",
      cause:
        "evenkeel: WebAssembly is not available here (node --jitless and browsers' lockdown modes disable it); enable it, or use " +
        'open({ backend: "reference" })',
    },
    {
      host: "no SIMD",
      flags: [],
      program: "WebAssembly.validate = () => false;",
      cause:
        "evenkeel: this engine does not run WebAssembly with SIMD; use Node 20, Chrome 103, Firefox 113, Safari 16.4 or newer, " +
        'or open({ backend: "reference" })',
    },
    {
      host: "no inflate",
      flags: [],
      program: "process.getBuiltinModule = undefined; delete globalThis.DecompressionStream;",
      cause:
        'evenkeel: this host cannot inflate the kernels with DecompressionStream("deflate-raw") (ReferenceError: DecompressionStream is not ' +
        "defined); use Chrome 103, Firefox 113, Safari 16.4 or newer, or compile evenkeel/kernels.wasm and pass open({ module })",
    },
    {
      host: "no compilation",
      flags: [],
      program:
        "WebAssembly.compile = async () => { throw new WebAssembly.CompileError('disallowed by embedder'); };",
      cause:
        "evenkeel: this host does not allow WebAssembly to be compiled (disallowed by embedder); in a page's Content-Security-Policy, add " +
        "'wasm-unsafe-eval' to script-src; where modules are compiled ahead of time, as in Cloudflare Workers, pass open({ module }) what " +
        '`import module from "evenkeel/kernels.wasm"` gives',
    },
    {
      host: "no room",
      flags: [],
      program:
        "WebAssembly.Memory = class { constructor() { throw new RangeError('could not allocate memory'); } };",
      cause: "could not allocate memory",
    },
  ])("$host", async ({ flags, program, cause }) => {
    const { stdout, stderr } = await printed(
      `${program}
      const { layerNorm, open } = await load();
      const opened = [await open(), await open(), await open({ backend: "auto" })];
      const { y } = opened[0].forward(layerNorm(), { shape: [1, 2], data: Float64Array.of(1, 3) });
      const refusals = await Promise.all(
        [{ backend: "wasm" }, { threads: 1 }, { relaxed: false }].map((options) => open(options).catch(String)));
      console.log(JSON.stringify({ opened: opened.map((ek) => [ek.backend, ek.fallback, ek.threads]), refusals, y: y.data.length }));`,
      ...flags,
    );
    const { opened, refusals, y } = JSON.parse(stdout);
    for (const each of opened) expect(each).toEqual(["reference", cause, 1]);
    for (const each of refusals) expect(each).toMatch(/^\w*Error: /);
    for (const each of refusals) expect(each.replace(/^\w*Error: /, "")).toBe(cause);
    expect(stderr.trim().replace(/^.*--expose_wasm.*\n/, "")).toBe(
      `${cause}\nevenkeel: open() uses the reference backend, which is some 100 times slower`,
    );
    expect(y).toBe(2);
  });

  it("does neither where nothing is lacking", async () => {
    const program = "const ek = await (await load()).open(); console.log(ek.backend, ek.fallback);";
    expect(await printed(program)).toEqual({ stdout: "wasm undefined\n", stderr: "" });
    expect(await printed(program, "--disallow-code-generation-from-strings")).toEqual({
      stdout: "wasm undefined\n",
      stderr: "",
    });
  });
});

it("threads start where code from strings is disallowed", async () => {
  const { stdout } = await printed(
    `const { layerNorm, open } = await load();
    const ek = await open({ threads: 2 });
    for (let i = 0; i < 500 && ek.threads < 2; i++) {
      ek.forward(layerNorm(), { shape: [1000, 300], data: new Float32Array(300000) });
      await new Promise((wake) => setTimeout(wake, 10));
    }
    console.log(ek.threads);`,
    "--disallow-code-generation-from-strings",
  );
  expect(stdout).toBe("2\n");
});

/** A hash of everything that forward and backward calls of these norms give, on inputs without a function of the engine. */
async function hashOf(options: OpenOptions): Promise<string> {
  const ek = await open(options);
  const hash = createHash("sha256");
  const norms: [FusedNorm, number][] = [
    [layerNorm(), 61],
    [rmsNorm(), 61],
    [batchNorm(), 61],
    [batchNorm({ axis: 1 }), 40],
    [groupNorm({ groups: 4, axis: 1 }), 40],
  ];
  for (const [norm, parameters] of norms) {
    for (const mean of [0, 3, 1000]) {
      const next = random(7);
      const values = (length: number, about: number) =>
        Float32Array.from({ length }, () => about + next() - 0.5);
      const [x, dy] = [mean, 0].map((about) => ({ shape: [33, 40, 61], data: values(33 * 40 * 61, about) }));
      const {
        y,
        mean: m,
        variance,
        saved,
      } = ek.forward(norm, x, {
        gamma: values(parameters, 1),
        beta: values(parameters, 0),
      });
      const { dx, dGamma, dBeta } = ek.backward(saved, dy);
      for (const array of [y, m, variance, dx, dGamma, dBeta])
        if (array) hash.update(array.data as Float32Array);
    }
  }
  return hash.digest("hex").slice(0, 16);
}

it("relaxed: false gives the same bits on every engine", async () => {
  // the same number on Node 20, 22 and 24; it changes where a kernel does
  const bits = "e5f0c2010faafda1";
  expect(await hashOf({ relaxed: false })).toBe(bits);
  expect(await hashOf({ relaxed: false, threads: 2 })).toBe(bits);
  expect(await hashOf({ module: kernels("kernels") })).toBe(bits);
  expect((await hashOf({})) === bits).toBe(!hasRelaxedSimd);
});

it("relaxed: true takes relaxed SIMD, or says that there is none", async () => {
  if (hasRelaxedSimd) {
    expect(await hashOf({ relaxed: true })).toBe(await hashOf({}));
    expect(await hashOf({ relaxed: true })).toBe(await hashOf({ module: kernels("kernels-relaxed") }));
  } else {
    await expect(open({ relaxed: true })).rejects.toThrow(
      new RangeError(
        "open: relaxed: true needs relaxed SIMD, as Node 22 and Chrome 114 have it; leave it out to use it where available",
      ),
    );
  }
});

it("module serves a host that compiles nothing itself", async () => {
  const { stdout, stderr } = await printed(`
    const module = new WebAssembly.Module(process.getBuiltinModule("node:fs").readFileSync(${JSON.stringify(`${root}dist/kernels.wasm`)}));
    WebAssembly.compile = async () => { throw new WebAssembly.CompileError('disallowed by embedder'); };
    const { layerNorm, open } = await load();
    const ek = await open({ module });
    console.log(ek.backend, ek.threads, ...ek.forward(layerNorm(), { shape: [1, 2], data: Float32Array.of(1, 3) }).y.data);`);
  expect({ stdout, stderr }).toEqual({
    stdout: "wasm 1 -0.9999949932098389 0.9999949932098389\n",
    stderr: "",
  });
});

describe("options", () => {
  const empty = new WebAssembly.Module(Uint8Array.from([0, 97, 115, 109, 1, 0, 0, 0]));
  it.each<[string, object, Error]>([
    [
      "misspelled",
      { backned: "wasm" },
      new TypeError(
        'open: no option is called "backned"; did you mean "backend"? There are backend, threads, module, relaxed',
      ),
    ],
    [
      "unknown backend",
      { backend: "cuda" },
      new RangeError('open: backend must be "auto", "wasm" or "reference", got "cuda"'),
    ],
    [
      "null",
      { backend: null },
      new RangeError('open: backend must be "auto", "wasm" or "reference", got null'),
    ],
    [
      "of another backend",
      { backend: "reference", threads: 2, relaxed: false },
      new RangeError('open: backend "reference" has no threads or relaxed; leave it out'),
    ],
    ["not boolean", { relaxed: 1 }, new TypeError("open: relaxed must be true or false, got 1")],
    [
      "together",
      { module: empty, threads: 2 },
      new RangeError(
        "open: with module there is one thread, and the module decides about relaxed; leave threads and relaxed out",
      ),
    ],
    [
      "module of something else",
      { module: empty },
      new TypeError(
        "open: module must be compiled from evenkeel/kernels.wasm of this version; this one has no begin",
      ),
    ],
    [
      "module of training kernels",
      { module: {} },
      new TypeError(
        "open: module must be a WebAssembly.Module, compiled from evenkeel/kernels.wasm, got [object Object]",
      ),
    ],
  ])("%s", async (_, options, error) => {
    await expect(open(options as OpenOptions)).rejects.toThrow(error);
  });

  it("must be an object", async () => {
    await expect(open(null as unknown as OpenOptions)).rejects.toThrow(
      new TypeError("open: options must be an object, got null"),
    );
    await expect(open("wasm" as unknown as OpenOptions)).rejects.toThrow(
      new TypeError("open: options must be an object, got wasm"),
    );
  });
});
