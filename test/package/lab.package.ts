/** The lab as a stranger gets it: its tarball, installed in an empty folder, on a file of one's own. */
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { packLab } from "../../scripts/pack-lab.mjs";
import { install, manifest } from "../support/packed.js";

const folder = mkdtempSync(join(tmpdir(), "evenkeel-stranger-"));
afterAll(() => rmSync(folder, { recursive: true }));

beforeAll(() => {
  const rows = Array.from({ length: 120 }, (_, i) => {
    const rooms = 1 + (i % 7);
    return `${rooms},${["north", "south"][i % 2]},2024-0${1 + (i % 9)}-1${i % 10},"${100 + rooms * 25 + (i % 11)},000"`;
  });
  writeFileSync(join(folder, "mine.csv"), `rooms,side,sold,price\n${rows.join("\n")}\n`);
  // npm would install into whatever project is above
  writeFileSync(join(folder, "package.json"), "{}");
  install(folder, packLab(folder));
}, 300_000);

const npx = (...line: string[]) =>
  spawnSync("npx", ["--no", "--", "@evenkeel/lab", ...line], { cwd: folder, encoding: "utf8" });

it("installs without a second copy of TensorFlow.js, and with nothing of the repository", () => {
  const inside = join(folder, "node_modules/@evenkeel/lab");
  const bundled = readdirSync(join(inside, "node_modules")).filter((name) => name !== ".bin");
  expect(bundled.sort()).toEqual(["@evenkeel", "evenkeel"]);
  expect(readFileSync(join(inside, "package.json"), "utf8")).not.toContain("file:");
});

it("npx @evenkeel/lab compares on a file, and leaves a report", () => {
  const { status, stderr } = npx(
    ..."compare --data mine.csv --target price --norms none,layer --seeds 2 --depth 2 --width 8 --epochs 2".split(
      " ",
    ),
  );
  expect(stderr).toContain('predicts "price" (a number)');
  expect(status).toBe(0);
  expect(existsSync(join(folder, "evenkeel-report/report.html"))).toBe(true);
  const { data, trials } = JSON.parse(readFileSync(join(folder, "evenkeel-report/comparison.json"), "utf8"));
  expect([data.examples, trials.length]).toEqual([120, 4]);
}, 120_000);

it("its bundled data and its version are there", () => {
  expect(npx("--version").stdout.trim()).toBe(manifest.version);
  const { status } = npx(
    ..."compare --data breast-cancer --limit 60 --norms none --seeds 1 --depth 1 --width 4 --epochs 1 --no-tune --out out".split(
      " ",
    ),
  );
  expect(status).toBe(0);
}, 120_000);

it("is found by the library's own command", () => {
  const library = join(folder, "node_modules/@evenkeel/lab/node_modules/evenkeel/bin/evenkeel.js");
  const text = execFileSync(process.execPath, [library, "norms"], { cwd: folder, encoding: "utf8" });
  expect(text).toContain("layer");
});
