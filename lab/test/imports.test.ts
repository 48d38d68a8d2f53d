/**
 * The house of the lab: which floor a file is on, and that imports run down only, in no circle; that everything above
 * Node's part runs without Node; and that the name of a model or a task is written in its own file alone.
 */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { modelNames } from "../src/models/registry.js";
import { taskNames, tasks } from "../src/tasks/registry.js";

/** From the ground up; a file may import from its own floor and from those below. */
const FLOORS: readonly (readonly string[])[] = [
  ["report/format", "report/statistics", "report/style"],
  ["report/axes", "report/draw"],
  ["report/page"],
  ["lab/errors"],
  ["lab/data/"],
  ["lab/settings", "lab/norms", "lab/claims"],
  ["lab/tasks/"],
  ["lab/models/"],
  ["lab/datasets/"],
  ["lab/results", "lab/inspection", "lab/optimizers", "lab/gradients"],
  ["lab/fitting", "lab/diagnosis", "lab/predictions/", "lab/doctor/"],
  ["lab/examples"],
  ["lab/evaluation"],
  ["lab/trial", "lab/ailments", "lab/online/"],
  ["lab/trials", "lab/comparison", "lab/findings"],
  ["lab/report/"],
  ["lab/recipes/"],
  // what needs Node: everything below is the core, which a page runs too
  ["report/server-document", "lab/node/"],
  ["lab/cli"],
];
const CORE = FLOORS.length - 2;

/** All that the core imports besides itself; each of them runs in a browser. */
const BROWSER_PACKAGES = [
  "@observablehq/plot",
  "@tensorflow/tfjs-core",
  "@tensorflow/tfjs-layers",
  "evenkeel",
  "evenkeel/checkpoints",
  "evenkeel/onnx",
  "evenkeel/tfjs",
  "fastest-levenshtein",
  "fflate",
  "hyparquet",
  "hyparquet-compressors",
  "luxon",
  "pure-rand/distribution/uniformFloat64",
  "pure-rand/distribution/uniformInt",
  "pure-rand/generator/xoroshiro128plus",
  "read-excel-file/universal",
];
const NODE_GLOBALS = /\b(process|Buffer|setImmediate|require|__dirname|__filename|global)\b(?!["'`:])/;

/** Text by name: `lab/tasks/registry`. */
type Sources = ReadonlyMap<string, string>;

const root = fileURLToPath(new URL("../..", import.meta.url));
const sources: Sources = new Map(
  ["report", "lab"].flatMap((workspace) =>
    readdirSync(join(root, workspace, "src"), { recursive: true, encoding: "utf8" })
      .filter((file) => file.endsWith(".ts"))
      .map((file): [string, string] => [
        `${workspace}/${file.replaceAll("\\", "/").slice(0, -3)}`,
        readFileSync(join(root, workspace, "src", file), "utf8"),
      ]),
  ),
);

const withoutComments = (text: string) =>
  text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/(^|\s)\/\/.*$/gm, "");

/** What a file imports, for its types too: names of files, and of packages. */
function importsOf(name: string, text: string): string[] {
  const found = withoutComments(text).matchAll(
    /(?:^|[;\s])(?:import|export)\b[^"'`;]*?\bfrom\s*["']([^"']+)["']|\bimport\s*\(?\s*["']([^"']+)["']/g,
  );
  return [...found].map(([, from, bare]) => {
    const specifier = from ?? bare;
    if (specifier.startsWith("@evenkeel/report/")) return specifier.slice("@evenkeel/".length);
    return specifier.startsWith(".") ? join(dirname(name), specifier.replace(/\.js$/, "")) : specifier;
  });
}

const floorOf = (name: string) =>
  FLOORS.findIndex((floor) => floor.some((one) => (one.endsWith("/") ? name.startsWith(one) : name === one)));

/** What is wrong with a house, a line each. */
function problemsOf(house: Sources): string[] {
  const problems: string[] = [];
  for (const [name, text] of house) {
    const floor = floorOf(name);
    if (floor < 0) problems.push(`${name} is on no floor`);
    for (const target of importsOf(name, text)) {
      if (house.has(target)) {
        if (floorOf(target) > floor) problems.push(`${name} imports ${target}, which is above it`);
      } else if (floor < CORE && !BROWSER_PACKAGES.includes(target)) {
        problems.push(`${name} imports ${target}, which is not for a browser`);
      }
    }
    const [global] = (floor < CORE && NODE_GLOBALS.exec(withoutComments(text))) || [];
    if (global) problems.push(`${name} uses ${global}, which a browser does not have`);
  }
  return [...problems, ...circlesOf(house)];
}

function circlesOf(house: Sources): string[] {
  const circles: string[] = [];
  const done = new Set<string>();
  const visit = (name: string, path: string[]) => {
    if (path.includes(name)) {
      circles.push(`a circle: ${[...path.slice(path.indexOf(name)), name].join(" → ")}`);
      return;
    }
    if (done.has(name)) return;
    done.add(name);
    for (const target of importsOf(name, house.get(name) ?? "")) {
      if (house.has(target)) visit(target, [...path, name]);
    }
  };
  for (const name of house.keys()) visit(name, []);
  return circles;
}

/** Words of which a name is but one use: scales and activations are linear too. */
const WORDS = ["linear"];

/** Names of models, tasks and metrics, each with the files that may write it. */
const NAMES = [
  ...modelNames.map((name) => ({ name, homes: [`lab/models/${name}`] })),
  ...taskNames.flatMap((name) => [
    { name, homes: [`lab/tasks/${name}`] },
    ...tasks[name].metrics.map((metric) => ({
      name: metric.name,
      homes: taskNames.flatMap((task) =>
        tasks[task].metrics.some((other) => other.name === metric.name) ? `lab/tasks/${task}` : [],
      ),
    })),
  ]),
].filter(({ name }) => !WORDS.includes(name));

/** Where such a name is written in a text that the program uses. */
function spelledIn(house: Sources): string[] {
  return [...house].flatMap(([name, text]) => {
    const literals = withoutComments(text)
      .replace(/^\s*(?:import|export)\b[^"'`;]*\bfrom\s*["'][^"']+["'];?/gm, "")
      .match(/"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\.)*`/g);
    return NAMES.filter(
      ({ name: word, homes }) =>
        !homes.includes(name) &&
        literals?.some((literal) =>
          new RegExp(`(?<![-\\p{L}\\d])${word}(?![-\\p{L}\\d])`, "u").test(
            literal.replace(/\$\{[^{}]*\}/g, " "),
          ),
        ),
    ).map(({ name: word }) => `${name} spells ${word}`);
  });
}

test("imports run down, in no circle, and the core needs no Node", () => {
  expect(sources.size).toBeGreaterThan(40);
  expect(problemsOf(sources)).toEqual([]);
});

test("every floor has a file", () => {
  const used = new Set([...sources.keys()].map(floorOf));
  expect([...FLOORS.keys()].filter((floor) => !used.has(floor))).toEqual([]);
});

test("names of models, tasks and metrics are written in their own files alone", () => {
  expect(spelledIn(sources)).toEqual([]);
});

/** The house with one more line in one of its files. */
const withLine = (name: string, line: string): Sources =>
  new Map([...sources, [name, `${sources.get(name) ?? ""}\n${line}\n`]]);

test.each([
  [
    "lab/data/split",
    'import { readFileSync } from "node:fs";',
    "imports node:fs, which is not for a browser",
  ],
  ["lab/trials", 'import Tinypool from "tinypool";', "imports tinypool, which is not for a browser"],
  ["report/draw", 'import { parseHTML } from "linkedom";', "imports linkedom, which is not for a browser"],
  [
    "lab/report/html",
    'const pc = await import("picocolors");',
    "imports picocolors, which is not for a browser",
  ],
  ["lab/findings", 'import "log-update";', "imports log-update, which is not for a browser"],
  [
    "lab/trial",
    "await new Promise((go) => setImmediate(go));",
    "uses setImmediate, which a browser does not have",
  ],
  ["lab/norms", "const { argv } = process;", "uses process, which a browser does not have"],
  [
    "lab/tasks/task",
    'import type { Model } from "../models/model.js";',
    "imports lab/models/model, which is above it",
  ],
  [
    "lab/datasets/tabular",
    'export { openFile } from "../node/file.js";',
    "imports lab/node/file, which is above it",
  ],
  [
    "lab/results",
    'import { serverDocument } from "@evenkeel/report/server-document";',
    "imports report/server-document, which is above it",
  ],
  ["lab/stray", "export const x = 1;", "is on no floor"],
])("%s may not say %s", (name, line, problem) => {
  expect(problemsOf(withLine(name, line))).toContain(`${name} ${problem}`);
});

test("a circle on one floor is found", () => {
  const [problem] = problemsOf(withLine("lab/data/table", 'import "./columns.js";'));
  expect(problem).toMatch(/^a circle: .*lab.data.columns → .*lab.data.table/);
});

test.each([
  ["lab/node/compare", 'const kind = images ? "cnn" : "mlp";', ["cnn", "mlp"]],
  ["lab/findings", "const text = `an R² of 0.5`;", ["R²"]],
  ["lab/trial", 'if (task === "regression") return;', ["regression"]],
])("%s may not spell a name: %s", (name, line, words) => {
  expect(spelledIn(withLine(name, line)).sort()).toEqual(
    words.map((word) => `${name} spells ${word}`).sort(),
  );
});
