/** The house: which modules stand on which. Read from the sources' imports. */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import * as evenkeel from "../src/index.js";
import { catalog } from "../src/norms/catalog.js";

const root = fileURLToPath(new URL("../src", import.meta.url));

/** Bottom up: a file may import its own module and those before it. */
const modules = [
  "shape",
  "view",
  "moments",
  "options",
  "mask",
  "kernels",
  "formula",
  "program",
  "norms",
  "blocks",
  "frameworks",
  "checkpoints",
  "onnx",
  "replicas",
  "native",
  "jax",
  "tfjs",
  "standardizer",
  "index",
];

/** Where the mathematics of one norm contains another. */
const normsInNorms = [
  "attention → layer",
  "attention → rms",
  "attention → unit",
  "evo → group",
  "group-statistics → group",
  "iter → group",
  "layer-norm-gru → layer",
  "layer-norm-lstm → layer",
  "layer-norm-rnn → layer",
];

const files = readdirSync(root, { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".ts") && !file.endsWith("binary.ts"))
  .map((file) => join(root, file));

/** Each file's imports of other files of ours, as paths without their ending. */
const imports = new Map(
  files.map((file) => [
    nameOf(file),
    [...readFileSync(file, "utf8").matchAll(/^(?:import|export) (?:[^;"]* from )?"(\.[^"]+)\.js"/gm)].map(
      ([, specifier]) => nameOf(join(dirname(file), specifier)),
    ),
  ]),
);

function nameOf(file: string): string {
  return relative(root, file).replace(/\.ts$/, "");
}

function moduleOf(file: string): number {
  return modules.indexOf(file.split("/")[0]);
}

it("every file belongs to a module, and its imports are found", () => {
  expect([...imports.keys()].filter((file) => moduleOf(file) < 0)).toEqual([]);
  expect([...imports.values()].flat().length).toBeGreaterThan(imports.size);
});

it("no import runs up", () => {
  const up = [...imports].flatMap(([file, found]) =>
    found.filter((other) => moduleOf(other) > moduleOf(file)).map((other) => `${file} → ${other}`),
  );
  expect(up).toEqual([]);
});

it("no import runs in a circle", () => {
  const done = new Set<string>();
  const visit = (file: string, path: readonly string[]): string[] => {
    if (path.includes(file)) return [[...path.slice(path.indexOf(file)), file].join(" → ")];
    if (done.has(file)) return [];
    const circles = (imports.get(file) ?? []).flatMap((other) => visit(other, [...path, file]));
    done.add(file);
    return circles;
  };
  expect([...imports.keys()].flatMap((file) => visit(file, []))).toEqual([]);
});

it("norms import one another only where the mathematics does", () => {
  const found = [...imports]
    .filter(([file]) => file.startsWith("norms/") && file !== "norms/catalog")
    .flatMap(([file, others]) =>
      others
        .filter((other) => other.startsWith("norms/"))
        .map((other) => `${file.slice(6)} → ${other.slice(6)}`),
    );
  expect(found.sort()).toEqual(normsInNorms);
});

it("every normalization of the catalog is public", () => {
  expect(
    Object.entries(catalog).filter(([name, factory]) => (evenkeel as object)[name as never] !== factory),
  ).toEqual([]);
});

it("a host imports no other, and what is no host imports no framework", () => {
  const packages = files.flatMap((file) =>
    [...readFileSync(file, "utf8").matchAll(/^(?:import|export) [^;"]* from "(@?[a-z][^"]*)"/gm)].map(
      ([, name]) => [nameOf(file).split("/")[0], name] as const,
    ),
  );
  const allowed: Record<string, RegExp> = {
    jax: /^@jax-js\/jax$/,
    tfjs: /^@tensorflow\/tfjs-(core|layers)$/,
  };
  expect(packages.filter(([module, name]) => !allowed[module]?.test(name))).toEqual([]);
  const hosts = ["native", "jax", "tfjs"];
  const across = [...imports].flatMap(([file, found]) =>
    found
      .filter((other) => other.split("/")[0] !== file.split("/")[0])
      .filter((other) => hosts.includes(file.split("/")[0]) && hosts.includes(other.split("/")[0]))
      .map((other) => `${file} → ${other}`),
  );
  expect(across).toEqual([]);
});
