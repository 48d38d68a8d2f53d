/** `evenkeel inspect` as its user meets it. */
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
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { open, writeSafetensors } from "evenkeel/checkpoints";
import { parseHTML } from "linkedom";
import { afterAll, expect, test } from "vitest";
import { itWithModel, modelFile } from "../../../test/checkpoints/support/shared-models.js";
import { headline, type Inspection, inspect } from "../../src/inspection.js";
import { inspectionText } from "../../src/node/inspection-summary.js";
import { version } from "../../src/node/version.js";
import { evenkeel } from "../support/evenkeel.js";

const workplace = mkdtempSync(join(tmpdir(), "evenkeel-inspect-"));
afterAll(() => rmSync(workplace, { recursive: true, force: true }));
const run = (...line: string[]) => evenkeel(workplace, "inspect", ...line);
const at = (name: string) => join(workplace, name);

const network = (gamma: number[]) =>
  writeSafetensors(
    [
      ["conv.weight", { shape: [4, 1, 2, 2], data: new Float32Array(16).fill(0.5) }],
      ["bn.weight", { shape: [4], data: gamma }],
      ["bn.bias", { shape: [4], data: [0, 1, 2, 3] }],
      ["bn.running_mean", { shape: [4], data: [1, 2, 3, 4] }],
      ["bn.running_var", { shape: [4], data: [1, 10, 100, 1000] }],
    ],
    { format: "pt" },
  );
writeFileSync(at("well.safetensors"), network([0.5, 1, 1, 2]));
writeFileSync(at("sick.safetensors"), network([0.5, Number.NaN, Number.POSITIVE_INFINITY, 2]));
writeFileSync(at("damaged.safetensors"), network([1, 2, 3, 4]).subarray(0, -8));
mkdirSync(at("folder"));

test("the summary, and no file", async () => {
  const { code, stdout, stderr } = await run("well.safetensors");
  expect([code, stderr]).toEqual([0, ""]);
  const found = await inspect(await open(at("well.safetensors"), { name: "well.safetensors" }), version);
  expect(stdout).toBe(inspectionText(found, 80));
  expect(stdout).toMatch(/\n1 ✓ bn +4 {2}0\.5 .* 2 +1 .* 1000\n/);
  expect(readdirSync(workplace).filter((name) => name.endsWith(".html"))).toEqual([]);
});

test("--json prints every number, what is not finite by its name", async () => {
  const { code, stdout, stderr } = await run("sick.safetensors", "--json");
  expect([code, stderr]).toEqual([0, ""]);
  const found: Inspection = JSON.parse(stdout);
  expect(found).toMatchObject({
    evenkeel: version,
    file: "sick.safetensors",
    framework: "pytorch",
    tensors: { tensors: 5, values: 32, types: { float32: 32 } },
  });
  const [{ name, kind, weights, statistics, sick, findings }] = found.normalizations;
  expect([name, kind, sick]).toEqual(["bn", "batchNorm", true]);
  expect(weights.gamma.values).toEqual([0.5, "NaN", "Infinity", 2]);
  expect(weights.beta.values).toEqual([0, 1, 2, 3]);
  expect(statistics.runningVariance.values).toEqual([1, 10, 100, 1000]);
  expect(findings).toEqual([expect.objectContaining({ kind: "nonfinite", sick: true, count: 2, of: 4 })]);
});

test("--html writes one page, by its usual name or by another", async () => {
  const usual = await run("sick.safetensors", "--html");
  expect([usual.code, usual.stderr]).toEqual([0, "Page  inspection.html\n"]);
  expect(usual.stdout).toContain("sick");
  const { document } = parseHTML(readFileSync(at("inspection.html"), "utf8"));
  const found = await inspect(await open(at("sick.safetensors")), version);
  expect(document.querySelector("h1")?.textContent).toBe(headline(found));
  const other = await run("well.safetensors", "--html", "folder/page.htm", "--json");
  expect([other.code, other.stderr]).toEqual([0, "Page  folder/page.htm\n"]);
  expect(JSON.parse(other.stdout).normalizations).toHaveLength(1);
  expect(readdirSync(at("folder"))).toEqual(["page.htm"]);
});

test("--strict fails where something is sick", async () => {
  const codes = await Promise.all([
    run("well.safetensors", "--strict"),
    run("sick.safetensors"),
    run("sick.safetensors", "--strict"),
    run("sick.safetensors", "--strict", "--json"),
  ]);
  expect(codes.map(({ code }) => code)).toEqual([0, 0, 1, 1]);
  expect(codes[2].stdout).toContain("The only normalization is sick");
});

const REFUSED: [string, number, string[], RegExp][] = [
  ["no file", 1, ["nothing.pt"], /^error: nothing\.pt \(source\): there is no such file; check the path\n$/],
  [
    "a damaged file",
    1,
    ["damaged.safetensors"],
    /^error: damaged\.safetensors \(safetensors at byte \d+\): tensor "bn\.running_var":\nexpected 16 bytes, there are 8;/,
  ],
  [
    "an address",
    2,
    ["https://example.com/model.pt"],
    /^error: command-argument value 'https:\/\/example\.com\/model\.pt' is invalid for argument 'file'\. Expected a file or a folder; download it first\.\n/,
  ],
  ["no argument", 2, [], /^error: missing required argument 'file'\n/],
  [
    "a file that --html takes",
    2,
    ["--html", "well.safetensors"],
    /'well\.safetensors' is invalid\. Expected a name that ends in \.html; FILE comes before --html\.\n/,
  ],
  [
    "another format of the page",
    2,
    ["well.safetensors", "--html=page.pdf"],
    /Expected a name that ends in \.html/,
  ],
];

test.each(REFUSED)("refuses %s", async (_, exit, line, message) => {
  const { code, stdout, stderr } = await run(...line);
  expect([code, stdout]).toEqual([exit, ""]);
  expect(stderr).toMatch(message);
  expect(stderr).not.toMatch(/^ +at /m);
});

test("a page that cannot be written is told after the summary, and nothing is left", async () => {
  const { code, stdout, stderr } = await run("well.safetensors", "--html", "absent/page.html");
  expect(code).toBe(1);
  expect(stdout).toContain("1 normalization, and it is well");
  expect(stderr).toMatch(
    /^error: --html: cannot write "absent\/page\.html" \(ENOENT.*\); free space, allow it/,
  );
  expect(existsSync(at("absent"))).toBe(false);
});

itWithModel("keras3/arnav-best_model.keras")("the screen in docs/lab.md is real", async () => {
  const { stdout } = await evenkeel(modelFile("keras3"), "inspect", "arnav-best_model.keras");
  const docs = readFileSync(fileURLToPath(new URL("../../../docs/lab.md", import.meta.url)), "utf8");
  expect(docs).toContain(
    `\n\`\`\`\n$ node lab/dist/cli.js inspect arnav-best_model.keras\n${stdout}\`\`\`\n`,
  );
});
