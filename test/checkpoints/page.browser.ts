/** In a browser: files that a page has, was given, or fetches in ranges. */
import { readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Browser, Page } from "playwright-core";
import { rolldown } from "rolldown";
import { afterAll, beforeAll, expect, it } from "vitest";
import { writeSafetensors } from "../../src/checkpoints/formats/safetensors.js";
import { open } from "../../src/checkpoints/open.js";
import { launch } from "../support/chromium.js";
import type { page as inPage, Seen } from "./support/page.js";

const fixtures = fileURLToPath(new URL("../fixtures/checkpoints", import.meta.url));
const large = writeSafetensors([
  ["large", { shape: [1_000_000], data: new Float32Array(1_000_000) }],
  ["small", { shape: [2], data: Float32Array.of(1.5, -2) }],
]);

let browser: Browser;
let server: Server;
let page: Page;
const messages: string[] = [];

beforeAll(async () => {
  const bundle = await rolldown({
    input: fileURLToPath(new URL("support/page.ts", import.meta.url)),
    platform: "browser",
    logLevel: "silent",
  });
  const { output } = await bundle.generate({ format: "esm" });
  expect(output.length).toBe(1);
  server = createServer(({ url = "/", method, headers: { range } }, response) => {
    if (url === "/page.js") response.setHeader("content-type", "text/javascript").end(output[0].code);
    else if (url === "/large") {
      const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(range ?? "") ?? [];
      const part = from === undefined ? large : large.subarray(Number(from), Number(to) + 1);
      response.writeHead(from === undefined ? 200 : 206, { "content-length": part.length });
      response.end(method === "HEAD" ? undefined : part);
    } else if (url.startsWith("/fixtures/")) response.end(readFileSync(join(fixtures, url.slice(10))));
    else {
      response
        .setHeader("content-type", "text/html")
        .end('<!doctype html><input type="file" multiple><script type="module" src="/page.js"></script>');
    }
  });
  await new Promise<void>((ready) => server.listen(0, "127.0.0.1", ready));
  browser = await launch();
  page = await browser.newPage();
  page.on("pageerror", (error) => messages.push(error.message));
  await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
  await page.waitForFunction(() => "page" in globalThis);
});

afterAll(async () => {
  await browser?.close();
  server?.close();
  expect(messages).toEqual([]);
});

type InPage = typeof globalThis & { page: typeof inPage };

/** What Node sees of the same file. */
async function expectSame(there: Seen, path: string): Promise<void> {
  const { format, tensors, modules } = await open(join(fixtures, path));
  expect(there.format).toBe(format);
  const expected: Seen["tensors"] = [];
  for (const [name, tensor] of tensors) {
    const numbers = Array.from((await tensor.read()) as ArrayLike<number | bigint>, Number);
    expected.push([name, numbers[0], numbers.reduce((sum, value) => sum + value, 0)]);
  }
  expect(there.tensors).toEqual(expected);
  expect(there.modules).toEqual(modules.map(({ name }) => name));
}

it("opens a Blob", async () => {
  const path = "safetensors/network.safetensors";
  const there = await page.evaluate((url) => (globalThis as InPage).page.openBlob(url), `/fixtures/${path}`);
  expect(there.file).toBe("file");
  await expectSame(there, path);
});

it("opens a File, its deflated entries too", async () => {
  for (const [path, name] of [
    ["npz/deflated.npz", "deflated.npz"],
    ["keras3/normalizations.keras", "a.keras"],
    ["pytorch/images.state.pt", "images.pt"],
  ]) {
    const there = await page.evaluate(([url, called]) => (globalThis as InPage).page.openFile(url, called), [
      `/fixtures/${path}`,
      name,
    ] as const);
    expect(there.file).toBe(name);
    await expectSame(there, path);
  }
});

it("opens a set of Files, the first of them", async () => {
  const there = await page.evaluate(
    (names) => (globalThis as InPage).page.openFiles("/fixtures/tensorflowjs/layers", names),
    ["model.json", "group1-shard1of2.bin", "group1-shard2of2.bin"],
  );
  await expectSame(there, "tensorflowjs/layers/model.json");
});

it("opens what a user picked, whatever comes first of it", async () => {
  const names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "config.json"];
  const picked = [...names, "model.safetensors.index.json"].map((name) =>
    join(fixtures, "safetensors/sharded", name),
  );
  await page.setInputFiles("input", picked);
  const there = await page.evaluate(() => (globalThis as InPage).page.openPicked());
  expect(there.file).toBe("model.safetensors.index.json");
  await expectSame(there, "safetensors/sharded/model.safetensors.index.json");
});

it("fetches ranges of a URL, and no more than it needs", async () => {
  const { values, received } = await page.evaluate(() =>
    (globalThis as InPage).page.openRanges("/large", "small"),
  );
  expect(values).toEqual([1.5, -2]);
  expect(received).toBeLessThan(50_000);
  expect(large.length).toBeGreaterThan(4_000_000);
});

it("writes files", async () => {
  const [safetensors, npz] = await page.evaluate(() => (globalThis as InPage).page.written());
  expect(safetensors).toEqual({
    format: "safetensors",
    file: "file",
    tensors: [["a", 1.5, -0.5]],
    modules: [],
  });
  expect(npz).toEqual({ ...safetensors, format: "npz" });
});

it("says what it cannot open", async () => {
  const refused = (url: string | null) =>
    page.evaluate((given) => (globalThis as InPage).page.refused(given), url);
  expect(await refused(null)).toMatch(
    /^CheckpointError: file \(unknown\): expected one of .*, its first bytes are 00 00/,
  );
  expect(await refused("/models/a.pt")).toBe(
    "TypeError: open: a path can be opened in Node only (20.16 or later); elsewhere give the bytes, a File, or an object with " +
      "byteLength and slice(start, end)",
  );
  expect(await refused("https://example.com/a.pt")).toMatch(
    /^TypeError: open: "https:\/\/example.com\/a.pt" is not fetched/,
  );
});
