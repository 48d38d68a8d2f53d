/**
 * Generates what the documentation says about every normalization of the catalog: a picture of its axes, the table of
 * conventions in its page, and docs/norms/README.md. With --check it writes nothing, and fails if a file is out of date.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { catalog, open } from "../dist/index.js";
import { axesOf, axesSvg } from "./docs/axes.mjs";
import { withConventions } from "./docs/conventions.mjs";
import { runsOn } from "./docs/hosts.mjs";
import { overview, readGoldens } from "./docs/overview.mjs";
import { sampleOf } from "./docs/sample.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const AXES = "docs/norms/axes";

/** Path and text of every generated file; pages that nobody has written yet are left out. */
export async function generated() {
  const ek = await open({ backend: "reference" });
  /** @type {Map<string, string>} */
  const files = new Map();
  const norms = [];
  for (const factory of Object.values(catalog)) {
    const { about } = factory;
    const sample = sampleOf(ek, factory);
    files.set(`${AXES}/${about.name}.svg`, axesSvg({ ...about, ...sample }, axesOf(ek, about.takes, sample)));
    norms.push({ about, runs: await runsOn(ek, sample) });
    const page = `docs/norms/${about.name}.md`;
    if (existsSync(root + page))
      files.set(page, withConventions(readFileSync(root + page, "utf8"), about.name));
  }
  files.set("docs/norms/README.md", overview(norms, readGoldens(`${root}test/fixtures/goldens`)));
  return { files, norms };
}

/** Pictures of what is no longer in the catalog. @param {ReadonlyMap<string, string>} files */
function leftOver(files) {
  const folder = root + AXES;
  const found = existsSync(folder) ? readdirSync(folder).map((name) => `${AXES}/${name}`) : [];
  return found.filter((path) => !files.has(path));
}

/** Paths whose files are not what would be generated. @param {ReadonlyMap<string, string>} files */
export function outOfDate(files) {
  const differs = (/** @type {[string, string]} */ [path, text]) =>
    !existsSync(root + path) || readFileSync(root + path, "utf8") !== text;
  return [...[...files].filter(differs).map(([path]) => path), ...leftOver(files)];
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { files, norms } = await generated();
  for (const { about, runs } of norms) {
    for (const [host, reason] of Object.entries(runs)) {
      if (reason !== undefined) console.error(`${about.name} does not run in ${host}: ${reason}`);
    }
  }
  const old = outOfDate(files);
  if (process.argv.includes("--check")) {
    if (old.length > 0) {
      console.error(`out of date: ${old.join(", ")}; run npm run docs`);
      process.exitCode = 1;
    }
  } else {
    for (const path of leftOver(files)) rmSync(root + path);
    for (const path of old) {
      const text = files.get(path);
      if (text === undefined) continue;
      mkdirSync(dirname(root + path), { recursive: true });
      writeFileSync(root + path, text);
      console.log(path);
    }
    // the tables of files that are read come from the list of their tests
    const vitest = [
      `${root}node_modules/vitest/vitest.mjs`,
      "run",
      "--project",
      "fast",
      "test/docs/checkpoints.test.ts",
    ];
    const env = { ...process.env, EVENKEEL_WRITE: "1" };
    process.exitCode = spawnSync(process.execPath, vitest, { cwd: root, env, stdio: "inherit" }).status ?? 1;
  }
}
