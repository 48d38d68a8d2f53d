/** The published package as a stranger gets it: packed, installed alone, imported, weighed. */
import { execFileSync, spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { coreBytes } from "../../scripts/size.mjs";
import { install, manifest, pack, root } from "../support/packed.js";

const folder = mkdtempSync(join(tmpdir(), "evenkeel-package-"));
const installed = join(folder, "node_modules", "evenkeel");
const run = (command: string, ...args: string[]) =>
  execFileSync(command, args, { cwd: folder, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });

/** What a rename leaves in a folder that was built before it. */
const stale = ["gone.js", "gone.d.ts", "gone/gone.js"].map((file) => join(root, "dist", file));

beforeAll(() => {
  mkdirSync(join(root, "dist/gone"), { recursive: true });
  for (const file of stale) writeFileSync(file, "");
  execFileSync(process.execPath, [join(root, "scripts/build.mjs")]);
  writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
  install(folder, pack(folder));
});
afterAll(() => {
  for (const file of stale) rmSync(file, { force: true });
  rmSync(folder, { recursive: true });
});

const IMPORTS = /^(?:import|export) (?:[^;"]* from )?"([^"]+)";$/gm;

/** Files that a module imports, itself included, and the packages that they name. */
function reach(entry: string, files = new Set<string>(), packages = new Set<string>()) {
  if (files.has(entry)) return { files, packages };
  files.add(entry);
  for (const [, specifier] of readFileSync(entry, "utf8").matchAll(IMPORTS)) {
    if (specifier.startsWith(".")) reach(join(dirname(entry), specifier), files, packages);
    else packages.add(specifier);
  }
  return { files, packages };
}

it("has no runtime dependency, and frameworks as optional peers only", () => {
  expect(manifest.dependencies).toBeUndefined();
  const peers = Object.keys(manifest.peerDependencies);
  expect(peers).toEqual(["@jax-js/jax", "@tensorflow/tfjs-core", "@tensorflow/tfjs-layers"]);
  for (const peer of peers) expect(manifest.peerDependenciesMeta[peer].optional).toBe(true);
  expect(readdirSync(join(folder, "node_modules")).filter((name) => !name.startsWith("."))).toEqual([
    "evenkeel",
  ]);
});

it("exports exactly these paths, and each one is there with its types", () => {
  expect(Object.keys(manifest.exports)).toEqual([
    ".",
    "./tfjs",
    "./jax",
    "./checkpoints",
    "./onnx",
    "./replicas",
    "./kernels.wasm",
    "./kernels-relaxed.wasm",
    "./package.json",
  ]);
  for (const files of Object.values<string | Record<string, string>>(manifest.exports)) {
    for (const file of Object.values(typeof files === "string" ? [files] : files))
      expect(existsSync(join(installed, file)), file).toBe(true);
  }
  const allowed =
    /^(bin\/evenkeel\.js|dist\/.*\.(js|wasm|d\.ts)|docs\/.*\.(md|svg|png)|package\.json|(lab\/data\/)?README\.md|LICENSE|(CHANGELOG|CONTRIBUTING)\.md)$/;
  const packed = readdirSync(installed, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(installed, join(entry.parentPath, entry.name)));
  expect(packed.filter((file) => !allowed.test(file))).toEqual([]);
  const sourceOf = (file: string) => file.replace(/^dist/, "src").replace(/\.(js|d\.ts)$/, ".ts");
  const compiled = packed.filter((file) => /^dist\/[^.]+\.(js|d\.ts)$/.test(file));
  expect(compiled.filter((file) => !existsSync(join(root, sourceOf(file))))).toEqual([]);
});

it("links of the README and the guides lead to files that are packed", () => {
  const pages = readdirSync(installed, { recursive: true, encoding: "utf8" }).filter((file) =>
    /^(README|docs\/.*)\.md$/.test(file),
  );
  expect(pages.length).toBeGreaterThan(40);
  const lost = pages.flatMap((page) => {
    const links = readFileSync(join(installed, page), "utf8").matchAll(/\]\((?!https?:|#)([^)#\s]+)/g);
    return [...links]
      .map(([, link]) => join(dirname(page), link))
      .filter((file) => !existsSync(join(installed, file)))
      .map((file) => `${page} → ${file}`);
  });
  expect(lost).toEqual([]);
});

it("tools that read no exports find the main entry, and TypeScript's node10 the others", () => {
  const { exports, main, types, typesVersions } = manifest;
  expect({ types, default: main }).toEqual(exports["."]);
  const others = Object.entries<{ types?: string }>(exports)
    .filter(([path, { types }]) => path !== "." && types)
    .map(([path, { types }]) => [path.slice("./".length), [types]]);
  expect(typesVersions).toEqual({ "*": Object.fromEntries(others) });
});

it("the core imports no adapter and no package", () => {
  const entry = join(installed, "dist/index.js");
  const { files, packages } = reach(entry);
  expect([...packages]).toEqual([]);
  const names = [...files].map((file) => relative(join(installed, "dist"), file));
  expect(names.filter((name) => /^(tfjs|jax)\//.test(name))).toEqual([]);
});

it("a page with it weighs under 43 KB, minified and gzipped; formulas add 14 KB, and each of them 4 KB at most", async () => {
  const entry = join(installed, "dist/index.js");
  const core = await coreBytes(entry);
  expect(core).toBeLessThan(43_000);
  const names = ["open", "layerNorm", "apply"];
  const applying = await coreBytes(entry, names);
  expect(applying - core).toBeLessThan(14_200);
  for (const norm of ["dynamicTanh", "localResponseNorm", "iterNorm", "normalizedAttention"]) {
    expect((await coreBytes(entry, [...names, norm])) - applying, norm).toBeLessThan(4000);
  }
});

it("each adapter imports its framework alone", () => {
  const packagesOf = (adapter: string) =>
    [...reach(join(installed, `dist/${adapter}/index.js`)).packages].sort();
  expect(packagesOf("tfjs")).toEqual(["@tensorflow/tfjs-core", "@tensorflow/tfjs-layers"]);
  expect(packagesOf("jax")).toEqual(["@jax-js/jax"]);
  expect(packagesOf("checkpoints")).toEqual([]);
  expect(packagesOf("onnx")).toEqual([]);
  expect(packagesOf("replicas")).toEqual([]);
});

it("runs where only Node is, without TensorFlow.js", () => {
  writeFileSync(
    join(folder, "use.js"),
    `import { layerNorm, open } from "evenkeel";
     const ek = await open();
     const { y } = ek.forward(layerNorm(), { shape: [1, 2], data: Float32Array.of(1, 3) });
     console.log(ek.backend, Array.from(y.data, (v) => v.toFixed(3)).join(" "));`,
  );
  expect(run(process.execPath, "use.js").trim()).toBe("wasm -1.000 1.000");
});

it("npx evenkeel says where the command line is", () => {
  const { status, stderr } = spawnSync("npx", ["--no", "evenkeel", "inspect", "model.pt"], {
    cwd: folder,
    encoding: "utf8",
  });
  expect(stderr).toContain("Run it with\n\n  npx @evenkeel/lab inspect model.pt\n");
  expect(status).toBe(1);
});

it("its kernels are files too, for hosts that compile ahead", () => {
  writeFileSync(
    join(folder, "module.js"),
    `import { readFileSync } from "node:fs";
     import { fileURLToPath } from "node:url";
     import { layerNorm, open } from "evenkeel";
     for (const name of ["kernels", "kernels-relaxed"]) {
       const module = readFileSync(fileURLToPath(import.meta.resolve(\`evenkeel/\${name}.wasm\`)));
       if (!WebAssembly.validate(module)) continue;
       const ek = await open({ module: new WebAssembly.Module(module) });
       console.log(ek.forward(layerNorm(), { shape: [1, 2], data: Float32Array.of(1, 3) }).y.data[0].toFixed(3));
     }`,
  );
  expect(run(process.execPath, "module.js").trim()).toMatch(/^-1\.000(\n-1\.000)?$/);
});
