/** Replicas in the workers of a page, with a relay in its own thread. */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import type { Browser, Page } from "playwright-core";
import { rolldown } from "rolldown";
import { afterAll, beforeAll, expect, it } from "vitest";
import { launch } from "../support/chromium.js";
import type { page as inPage } from "./support/page.js";

let browser: Browser;
let server: Server;

beforeAll(async () => {
  const bundle = await rolldown({
    input: fileURLToPath(new URL("support/page.ts", import.meta.url)),
    platform: "browser",
    logLevel: "silent",
  });
  const { output } = await bundle.generate({ format: "esm", entryFileNames: "page.js" });
  server = createServer(({ url = "/" }, response) => {
    if (url !== "/plain") {
      response.setHeader("cross-origin-opener-policy", "same-origin");
      response.setHeader("cross-origin-embedder-policy", "require-corp");
    }
    const isScript = url === "/page.js";
    response.setHeader("content-type", isScript ? "text/javascript" : "text/html");
    response.end(isScript ? output[0].code : '<!doctype html><script type="module" src="/page.js"></script>');
  });
  await new Promise<void>((ready) => server.listen(0, "127.0.0.1", ready));
  browser = await launch();
});
afterAll(async () => {
  await browser?.close();
  server?.close();
});

type InPage = typeof globalThis & { page: typeof inPage };

async function pageAt(path: string): Promise<Page> {
  const opened = await browser.newPage();
  await opened.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`);
  await opened.waitForFunction(() => "page" in globalThis);
  return opened;
}

it("workers exchange, alone and through the page's relay", async () => {
  const page = await pageAt("/");
  const { alone, relayed } = await page.evaluate(() => (globalThis as InPage).page.exchanged());
  const own = [0, 1].map((rank) => [49, rank, -0]);
  expect(alone).toEqual([{ lists: own }, { lists: own }]);
  const theirs = [0, 1].map((rank) => [149, 100 + rank, 100]);
  expect(relayed).toEqual([{ lists: [...own, ...theirs] }, { lists: [...own, ...theirs] }]);
});

it("the page's own thread, and a page without shared memory, are told what to do", async () => {
  const isolated = await pageAt("/");
  expect(await isolated.evaluate(() => (globalThis as InPage).page.waited())).toBe(
    "exchangeIn: this thread may not wait, as a page's main thread may not; exchange in a worker",
  );
  const plain = await pageAt("/plain");
  expect(await plain.evaluate(() => (globalThis as InPage).page.waited())).toBe(
    "sharedMemory: this page has no shared memory; serve it with Cross-Origin-Opener-Policy: same-origin and " +
      "Cross-Origin-Embedder-Policy: require-corp",
  );
});
