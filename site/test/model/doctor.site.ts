/** Your model, in its graph: what the doctor finds, mends in the page and gives back. */
import { execFile } from "node:child_process";
import { mkdtempSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { doctored } from "@evenkeel/lab/doctor/doctor";
import { bytesOfParts, openModel } from "evenkeel/onnx";
import type { ElementHandle } from "puppeteer-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { exportsOf } from "../../../test/support/onnx-exports.js";
import { newConstant, onnxBytes } from "../../../test/support/onnx-models.js";
import type { Server } from "../../build/server.ts";
import { axe, type Name, openPage, type Page, type Scheme, served } from "../support/browser.ts";
import { saved } from "../support/saved.ts";

const run = promisify(execFile);
const cli = fileURLToPath(new URL("../../../lab/dist/cli.js", import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), "evenkeel-doctor-"));
afterAll(() => rm(scratch, { recursive: true }));

let site: Server;
let models: Map<string, Uint8Array>;
beforeAll(async () => {
  site = await served();
  const packed = [...(await exportsOf("pytorch-layer")), ...(await exportsOf("pytorch-blocks"))];
  models = new Map(packed.map(({ name, model }) => [name, model]));
});

/** A network that takes 64 values, which it does not declare: of fewer ONNX Runtime complains. */
const sixtyFour = onnxBytes({
  opset: 17,
  nodes: [
    ["Pad", "x pads", "padded", { mode: "reflect" }],
    ["LayerNormalization", "padded gamma", "y"],
  ],
  constants: [newConstant("pads", [0, 63, 0, 0], [4], "int64"), newConstant("gamma", Array(127).fill(2))],
  inputs: [["x", ["batch", "sequence"]]],
  outputs: [["y", ["batch", 127]]],
});

/** Chooses a model of the packs, and looks at its graph. */
async function choose(page: Page, name: string, bytes = models.get(name)): Promise<void> {
  const path = join(scratch, `${name}.onnx`);
  writeFileSync(path, bytes as Uint8Array);
  const input = await page.$("input[type=file]:not([webkitdirectory])");
  await (input as ElementHandle<HTMLInputElement>).uploadFile(path);
}

async function chooseGraph(page: Page, name: string): Promise<void> {
  await choose(page, name);
  await (await page.waitForSelector("::-p-text(In its graph: )"))?.click();
  await page.waitForSelector(".mend ul");
}

const textOf = (page: Page, selector: string): Promise<string> =>
  page.$eval(selector, (each) => each.textContent ?? "");

/** Until it has answered, and shown all of it. */
const settled = (page: Page) =>
  page.waitForFunction(
    () => document.querySelector(".mend .note + .buttons") && document.querySelector("#check"),
  );

/** The mended file, as the lab makes it of the same model without a page. */
async function expectedOf(name: string, mended: string, opset?: number): Promise<Buffer> {
  const model = await openModel(models.get(name) as Uint8Array, { name: `${name}.onnx` });
  const { files } = await doctored(model, {
    evenkeel: "",
    runtime: "none here",
    beside: [],
    mend: { name: mended, opset, unchecked: true },
  });
  const parts: Uint8Array[] = [];
  for await (const part of bytesOfParts(files?.[0].parts ?? [])) parts.push(part);
  return Buffer.concat(parts);
}

interface Case {
  browser: Name;
  scheme: Scheme;
  model: string;
  /** What is said before it is mended. */
  view: RegExp;
  findings: RegExp;
  mend: RegExp;
  /** The version of ONNX's operators that it is raised to. */
  opset?: number;
}

const cases: Case[] = [
  {
    browser: "chromium",
    scheme: "dark",
    model: "layer-script13",
    view: /In its graph: 1 written out$/,
    findings: /opset 13 has no operator/,
    mend: /^LayerNormalization \(opset 17\) in place of 9 nodes/,
    opset: 17,
  },
  {
    browser: "firefox",
    scheme: "light",
    model: "post-norm-squares-script13-half",
    view: /In its graph: 2 written out, 2 ill$/,
    findings: /^Ill: /,
    mend: /^2 × statistics in float32/,
  },
];

it.each(cases)("finds, mends, checks and gives back $model in $browser, $scheme", async (each) => {
  const { browser, scheme, model, opset } = each;
  const page = await openPage(browser, `${site.url}model/`, { width: 390, scheme });
  site.requests.splice(0);
  const isLoaded = () => site.requests.some((path) => path.includes("ort-wasm"));
  await chooseGraph(page, model);
  expect(await textOf(page, ".views")).toMatch(each.view);
  expect(await textOf(page, ".findings")).toMatch(each.findings);
  expect(await textOf(page, ".mend li")).toMatch(each.mend);
  expect(isLoaded()).toBe(false);
  await page.click("::-p-text(Mend and check)");
  await settled(page);
  expect(isLoaded()).toBe(true);
  expect(await textOf(page, "#check")).toMatch(/onnxruntime-web 1\.[\s\S]*A mean of 10⁴/);
  expect(await textOf(page, "h1")).toMatch(/ mended; outputs (the same|within)/);
  const findings = await page.$$eval(".findings li", (all) => all.map((each) => each.textContent));
  expect(findings.filter((text) => text?.startsWith("Ill: "))).toEqual([]);

  const name = `${model}.mended.onnx`;
  const { bytes, ...file } = await saved(page, `Save ${name}`);
  expect(file.name).toBe(name);
  expect(bytes.equals(await expectedOf(model, name, opset))).toBe(true);
  const numbers = JSON.parse((await saved(page, "Save the numbers")).bytes.toString());
  expect(numbers).toMatchObject({
    runtime: { name: "onnxruntime-web" },
    mends: [{ state: "mended" }, ...numbers.mends.slice(1)],
    written: [{ name, byteLength: bytes.length }],
  });
  expect(await textOf(page, ".further pre")).toBe(
    `evenkeel doctor ${model}.onnx --fix ${name}${opset === undefined ? "" : ` --opset ${opset}`}`,
  );

  await page.$$eval("details", (all) => {
    for (const each of all) each.open = true;
  });
  expect(await axe(page)).toEqual([]);
  expect(await page.$$("h1")).toHaveLength(1);
  for (const width of [320, 390, 780, 1280]) {
    await page.setViewport({ width, height: 800 });
    const over = await page.evaluate(
      () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
    );
    expect(over, `at ${width}`).toBe(0);
  }
});

describe("in Chromium", () => {
  it("says what is wrong with a file as the command does", async () => {
    const page = await openPage("chromium", `${site.url}model/`);
    const whole = models.get("layer-script13") as Uint8Array;
    await choose(page, "cut", whole.subarray(0, whole.length - 100));
    await page.waitForSelector(".problem");
    const { stderr } = await run(process.execPath, [cli, "doctor", "cut.onnx"], { cwd: scratch }).catch(
      (error) => error,
    );
    expect(stderr.replace(/\s+/g, " ").trim()).toBe(`error: ${await textOf(page, ".problem")}`);
  });

  it("stops, by keyboard too, and begins anew", async () => {
    const page = await openPage("chromium", `${site.url}model/#sample=onnx&view=graph`);
    const workers = (name: string) => page.workers().filter((worker) => worker.url().includes(name)).length;
    await page.waitForSelector(".mend ul");
    const status = () => textOf(page, ".mend [role=status]");
    await page.focus(".mend .strong");
    await page.keyboard.press("Enter");
    await page.waitForSelector("::-p-text(Stop)");
    await expect.poll(() => workers("runner")).toBe(1);
    await page.keyboard.press("Enter");
    await page.waitForFunction(() => !document.querySelector(".mend fieldset:disabled"));
    expect(await status()).toMatch(/^Before and after are run/);
    await expect.poll(() => workers("runner")).toBe(0);
    await page.click("::-p-text(Mend and check)");
    await settled(page);
    expect(await page.$$(".mend .problem")).toEqual([]);
    expect(await textOf(page, "h1")).toMatch(/ mended; outputs/);
    // all of it ends with the next file, which is refused until the lengths are right: nothing of that is in the console
    await choose(page, "sixty-four", sixtyFour);
    await page.waitForFunction(() => document.title.startsWith("sixty-four"));
    expect(await page.$$("#check")).toEqual([]);
    await page.waitForSelector(".mend fieldset:enabled");
    await page.click("::-p-text(Mend and check)");
    await page.waitForFunction(() =>
      document.querySelector("h1 + .deck")?.textContent?.includes("x [1, 64]"),
    );
    await expect.poll(() => workers("runner")).toBe(0);
  });
});
