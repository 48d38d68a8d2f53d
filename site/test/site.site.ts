/** What holds for the site as a whole: it is light, keeps to itself, and works wherever it is put, without a network too. */
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, describe, expect, inject, it } from "vitest";
import type { Server, ServerOptions } from "../build/server.ts";
import { axe, browsers, openPage, type Page, schemes, served } from "./support/browser.ts";

const folder = inject("site");
const files = readdirSync(folder, { recursive: true, encoding: "utf8" });
const htmls = files.filter((file) => file.endsWith("index.html"));
const normPages = htmls
  .filter((file) => /^norms\/.+\/index/.test(file))
  .map((file) => file.replace("index.html", ""));

/** One of each kind. */
const pages = ["", "data/", "model/", "norms/", "norms/layerNorm/"];

/** What a first view may be, gzipped. */
const BYTES = 150_000;

const sizeOf = (file: string) => gzipSync(readFileSync(join(folder, file))).length;

it("has a page for each normalization", () => {
  expect(normPages.length).toBeGreaterThan(50);
});

it("leads to what exists, by relative paths", () => {
  const isThere = (url: URL) => files.includes(url.pathname.slice(1).replace(/(^|\/)$/, "$1index.html"));
  const broken = htmls.flatMap((file) =>
    [...readFileSync(join(folder, file), "utf8").matchAll(/\s(?:href|src)="([^"]*)"/g)]
      .map(([, path]) => path)
      .filter((path) => !/^(https:|#|data:)/.test(path))
      .filter((path) => !path.startsWith(".") || !isThere(new URL(path, `https://host/${file}`)))
      .map((path) => `${file}: ${path}`),
  );
  expect(broken).toEqual([]);
});

it("keeps ONNX Runtime only once it was used", () => {
  expect(files.filter((file) => /^assets\/ort-.*\.wasm$/.test(file))).toHaveLength(1);
  expect(readFileSync(join(folder, "offline.js"), "utf8")).not.toMatch(/assets\/ort-/);
});

describe("a first view", () => {
  // what a document loads itself: HTML, scripts, styles, fonts and images; not what its workers are and load
  it.each([...pages, normPages.toSorted((a, b) => sizeOf(`${b}index.html`) - sizeOf(`${a}index.html`))[0]])(
    "of /%s is light",
    async (path) => {
      const site = await served();
      const page = await openPage("chromium", site.url + path);
      await page.waitForNetworkIdle({ idleTime: 300 });
      const workers = page.workers().map((worker) => worker.url());
      const loaded = await page.evaluate(() =>
        performance.getEntriesByType("resource").map(({ name }) => name),
      );
      const own = [...new Set(loaded)]
        .filter((url) => !workers.includes(url))
        .map((url) => url.slice(site.url.length));
      const sizes = [`${path}index.html`, ...own].map((file) => [file, sizeOf(file)] as const);
      const sum = sizes.reduce((total, [, size]) => total + size, 0);
      expect(own.some((file) => file.endsWith(".js"))).toBe(true);
      expect(sum, sizes.map(([file, size]) => `${file} ${size}`).join("\n")).toBeLessThan(BYTES);
    },
  );
});

const places: [string, ServerOptions][] = [
  ["at the root", {}],
  ["isolated, under a path", { base: "/some/path/", isolated: true }],
];

describe.each(browsers)("in %s", (browser) => {
  it.each(places)("every part opens %s", async (_, options) => {
    const site = await served(options);
    for (const path of pages) {
      const page = await openPage(browser, site.url + path);
      expect(await page.$$eval("h1", (found) => found.length)).toBe(1);
      expect(await page.evaluate(() => crossOriginIsolated)).toBe(options.isolated === true);
      const links = await page.$$eval("a", (found) => found.map(({ href }) => href.replace(/[#?].*/, "")));
      const own = links.filter((link) => link.startsWith(new URL("/", site.url).href));
      expect(own.length).toBeGreaterThan(4);
      const inside = own.map((link) => link.slice(site.url.length).replace(/(^|\/)$/, "$1index.html"));
      expect(inside.filter((file) => !files.includes(file))).toEqual([]);
      await page.close();
    }
  });

  it("says where there is no page", async () => {
    const site = await served({ base: "/sub/" });
    for (const scheme of schemes) {
      const page = await openPage(browser, `${site.url}norms/noSuchNorm/`, {
        width: 390,
        scheme,
        allow: [/404/],
      });
      expect(await page.$eval("h1", (h1) => h1.textContent)).toBe("There is no such page");
      expect(await axe(page)).toEqual([]);
      expect(await page.$$eval("a", (links) => links.map(({ href }) => href))).toContain(`${site.url}norms/`);
    }
  });

  // isolated, TensorFlow.js hangs where it is minified (tfjs#4253)
  it("trains to the end where pages are isolated, and without a network after the first load", async () => {
    const site = await served({ base: "/sub/", isolated: true });
    // which trains nothing: all that training needs was fetched to be kept
    const first = await openPage(browser, `${site.url}model/`, { offline: true });
    await kept(first);
    await site.close();
    const page = await openPage(browser, `${site.url}#norms=layer&epochs=1&depth=4`, { after: first });
    expect(await page.evaluate(() => crossOriginIsolated)).toBe(true);
    await finished(page);
    // the first page again would be left while its worker loads, of which Firefox complains
    for (const path of [...pages.slice(1), "data/index.html"]) {
      await page.goto(site.url + path);
      expect(await page.title()).toBe(titleOf(path));
    }
    await page.goto(`${site.url}norms/layerNorm`);
    expect(page.url()).toBe(`${site.url}norms/layerNorm/`);
  });
});

function titleOf(path: string): string | undefined {
  const html = readFileSync(join(folder, path.replace(/(^|\/)$/, "$1index.html")), "utf8");
  return /<title>(.*)<\/title>/.exec(html)?.[1];
}

/** Waits for the end of what the first page trains. */
async function finished(page: Page): Promise<void> {
  await page.waitForFunction(() => document.documentElement.dataset.state === "finished", {
    timeout: 100_000,
  });
}

/** Waits until the site is kept. */
async function kept(page: Page): Promise<void> {
  await page.evaluate(async () => {
    await navigator.serviceWorker.ready;
  });
}

describe("a new version", () => {
  const versions = mkdtempSync(join(tmpdir(), "evenkeel-versions-"));
  afterAll(() => rmSync(versions, { recursive: true }));

  /** The site as it would be after a change of one of its scripts and of a page. */
  function changed(lost: string): string {
    const next = join(versions, "next");
    cpSync(folder, next, { recursive: true });
    rmSync(join(next, lost));
    const edit = (file: string, from: string | RegExp, to: string) =>
      writeFileSync(join(next, file), readFileSync(join(next, file), "utf8").replace(from, to));
    edit("model/index.html", "<title>", "<title>New: ");
    edit("offline.js", /VERSION="\w+"/, 'VERSION="next"');
    edit("offline.js", `"${lost}",`, "");
    return next;
  }

  it("is seen at the next load, and takes nothing from pages that are open", async () => {
    const own = join(versions, "own");
    cpSync(folder, own, { recursive: true });
    const site: Server = await served({ folder: own });
    const old = await openPage("chromium", `${site.url}model/`, { offline: true, allow: [/404/] });
    await kept(old);
    const before = await old.evaluate(() => caches.keys());
    expect(before.length).toBe(1);

    const lost = files.find((file) => /assets\/desk-.*\.js$/.test(file)) as string;
    cpSync(changed(lost), own, { recursive: true });
    rmSync(join(own, lost));
    const next = await openPage("chromium", `${site.url}model/`, { after: old });
    expect(await next.title()).toMatch(/^New: /);
    const waits = await next.evaluate(async () => {
      const registration = await navigator.serviceWorker.ready;
      await registration.update();
      while (registration.installing) await new Promise((resolve) => setTimeout(resolve, 100));
      return registration.waiting !== null;
    });
    expect(waits).toBe(true);
    // of the old version, which the host has no more
    const status = (page: Page) =>
      page.evaluate(
        (url) => fetch(url, { cache: "no-store" }).then((answer) => answer.status),
        site.url + lost,
      );
    expect(await status(old)).toBe(200);

    await next.goto("about:blank");
    // browsers change workers some time after the last page was left: who comes back before that is a page of the old one again
    const isReplaced = async () => {
      await old.goto("about:blank");
      await new Promise((resolve) => setTimeout(resolve, 500));
      await old.goto(`${site.url}model/`);
      return old.evaluate(async () => (await caches.keys()).every((name) => name.endsWith(" next")));
    };
    await expect.poll(isReplaced, { timeout: 90_000, interval: 1000 }).toBe(true);
    expect(await status(old)).toBe(404);
  });
});

it("keeps nothing where data are saved, or where there is no way to", async () => {
  const site = await served();
  await openPage("chromium", `${site.url}model/`);
  const insecure = site.url.replace("localhost", "insecure.test");
  const plain = await openPage("chromium", `${insecure}model/`, { offline: true });
  expect(await plain.evaluate(() => isSecureContext)).toBe(false);
  await new Promise((resolve) => setTimeout(resolve, 4500));
  expect(site.requests).toContain("model/");
  expect(site.requests).not.toContain("offline.js");
});
