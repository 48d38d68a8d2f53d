/**
 * Debian's Chromium and Firefox, and the built site that they open. Whatever a page complains of fails the test that opened it:
 *
 *     const site = await served();
 *     it.each(browsers)("says what it is in %s", async (browser) => {
 *       const page = await openPage(browser, site.url, { width: 390, scheme: "dark" });
 *       expect(await page.$eval("h1", (h1) => h1.textContent)).toBe("…");
 *       expect(await axe(page)).toEqual([]);
 *     });
 */
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import type { AxeResults, RunOptions } from "axe-core";
import puppeteer, { type Browser, type BrowserContext, type Page } from "puppeteer-core";
import { afterAll, afterEach, expect, inject } from "vitest";
import { type Server, type ServerOptions, serve } from "../../build/server.ts";

export type { Page };

export type Name = "chromium" | "firefox";
export type Scheme = "light" | "dark";

export const browsers: Name[] = ["chromium", "firefox"];
export const schemes: Scheme[] = ["light", "dark"];

const PATHS = { chromium: "/usr/bin/chromium", firefox: "/usr/bin/firefox-esr" };
const quiet = ["quic", "background-networking", "component-update", "sync"].map(
  (what) => `--disable-${what}`,
);

/** The server by a name that browsers do not take for this machine. */
const INSECURE = "--host-resolver-rules=MAP insecure.test localhost";

export interface PageOptions {
  /** Of the view, in CSS pixels: 1280 by default. */
  width?: number;
  /** 800 by default. */
  height?: number;
  scheme?: Scheme;
  reducedMotion?: boolean;
  /** Complaints that the test expects. */
  allow?: RegExp[];
  /** A page of the same visitor, who has what that one stored. */
  after?: Page;
  /** Runs in the page before its own scripts. */
  before?: () => void;
  /** Lets the site keep itself for use without a network, on which each page would spend half a second. */
  offline?: boolean;
}

const launched = new Map<string, Promise<Browser>>();
const contexts: BrowserContext[] = [];
const servers: Server[] = [];
const complaints: string[] = [];
const allowed: RegExp[] = [];

/** The built site, on a server of its own until the file's tests have run. @param options with `folder`, another one */
export async function served({
  folder,
  ...options
}: ServerOptions & { folder?: string } = {}): Promise<Server> {
  const server = await serve(folder ?? inject("site"), options);
  servers.push(server);
  return server;
}

/** What a browser is launched with: Firefox has no other way to be told what its user prefers. */
function launch(name: Name, scheme: Scheme, reducedMotion: boolean): Promise<Browser> {
  const executablePath = PATHS[name];
  if (!existsSync(executablePath)) {
    throw new Error(
      `the site's tests need ${executablePath}; install it: apt-get install ${name === "firefox" ? "firefox-esr" : name}`,
    );
  }
  if (name === "chromium") {
    return puppeteer.launch({ executablePath, args: ["--no-sandbox", "--no-first-run", ...quiet, INSECURE] });
  }
  return puppeteer.launch({
    browser: "firefox",
    executablePath,
    extraPrefsFirefox: {
      "layout.css.prefers-color-scheme.content-override": scheme === "dark" ? 0 : 1,
      "ui.prefersReducedMotion": Number(reducedMotion),
    },
  });
}

/** The file's browser, which is launched when it is first needed. */
export function browserOf(
  name: Name,
  { scheme = "light", reducedMotion = false }: PageOptions = {},
): Promise<Browser> {
  // Chromium is told by each page
  const key = name === "chromium" ? name : `${name} ${scheme} ${reducedMotion}`;
  const browser = launched.get(key) ?? launch(name, scheme, reducedMotion);
  launched.set(key, browser);
  return browser;
}

/**
 * A page of a new visitor, who has nothing stored, once it has loaded; it is closed after the test. Console messages, errors that nobody
 * caught, requests to other hosts and what the policy refused fail the test.
 */
export async function openPage(name: Name, url: string, options: PageOptions = {}): Promise<Page> {
  const {
    width = 1280,
    height = 800,
    scheme = "light",
    reducedMotion = false,
    allow = [],
    after,
    before,
    offline = false,
  } = options;
  const context = after?.browserContext() ?? (await (await browserOf(name, options)).createBrowserContext());
  if (!after) contexts.push(context);
  const page = await context.newPage();
  await page.setViewport({ width, height });
  if (name === "chromium") {
    await page.emulateMediaFeatures([
      { name: "prefers-color-scheme", value: scheme },
      { name: "prefers-reduced-motion", value: reducedMotion ? "reduce" : "no-preference" },
    ]);
  }
  if (before) await page.evaluateOnNewDocument(before);
  if (!offline) {
    await page.evaluateOnNewDocument(() =>
      Object.defineProperty(navigator, "connection", { value: { saveData: true } }),
    );
  }
  allowed.push(...allow);
  const complain = (text: string) => complaints.push(`${new URL(page.url()).pathname}: ${text}`);
  const { host } = new URL(url);
  page.on("console", (message) =>
    complain(`${message.type()}: ${message.text()} (${message.location()?.url ?? ""})`),
  );
  page.on("pageerror", (error) =>
    complain(`error: ${error instanceof Error ? (error.stack ?? error.message) : error}`),
  );
  page.on("request", (request) => {
    const target = new URL(request.url());
    if (/^(https?|wss?):$/.test(target.protocol) && target.host !== host)
      complain(`asked another host: ${target}`);
  });
  await page.goto(url, { waitUntil: "load" });
  return page;
}

/** What axe-core finds, as a line for each element; nothing where all is well. */
export async function axe(page: Page, options: RunOptions = {}): Promise<string[]> {
  // evaluated, not added as a script: the policy would refuse it
  if (!(await page.evaluate(() => "axe" in globalThis))) await page.evaluate(AXE);
  const { violations } = (await page.evaluate(
    (given) => (globalThis as unknown as { axe: typeof import("axe-core") }).axe.run(document, given),
    { resultTypes: ["violations"], preload: false, ...options } as RunOptions,
  )) as AxeResults;
  return violations.flatMap(({ id, help, nodes }) =>
    nodes.map(({ target, failureSummary }) => `${id}: ${help} at ${target.join(" ")}\n${failureSummary}`),
  );
}

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** What pages have complained of so far, for a test that expects it. */
export function complained(): string[] {
  for (const server of servers) complaints.push(...server.violations.splice(0));
  return complaints.splice(0);
}

afterEach(async () => {
  await Promise.all(contexts.splice(0).map((context) => context.close()));
  const expected = allowed.splice(0);
  const unexpected = complained().filter((text) => !expected.some((pattern) => pattern.test(text)));
  expect(unexpected, "complaints of pages").toEqual([]);
});

afterAll(async () => {
  for (const browser of launched.values()) await (await browser).close();
  await Promise.all(servers.map((server) => server.close()));
});
