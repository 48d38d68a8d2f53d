/** Pages that are served, opened in a browser, and report what apps/page/page.js found. */
import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { extname, join } from "node:path";
import { launch } from "../support/chromium.js";
import type { Report } from "./project.js";

/** What makes a page cross-origin isolated, so that threads may share memory. */
export const ISOLATED = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
};

/**
 * A strict policy for a page of this folder: scripts of its own, and these sources. Where a bundler puts a script within
 * the page, as Parcel does to find what is loaded later, its hash is among them.
 */
export function policy(folder: string, ...sources: string[]): Record<string, string> {
  const page = readFileSync(join(folder, "index.html"), "utf8");
  const hashes = [...page.matchAll(/<script[^>]*>([^<]+)<\/script>/g)].map(
    ([, script]) => `'sha256-${createHash("sha256").update(script).digest("base64")}'`,
  );
  return { "Content-Security-Policy": ["script-src 'self'", ...hashes, ...sources].join(" ") };
}

const TYPES: Record<string, string> = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".wasm": "application/wasm",
};

async function listen(listener: RequestListener): Promise<{ server: Server; url: string }> {
  const server = createServer(listener);
  await new Promise<void>((ready) => server.listen(0, "127.0.0.1", ready));
  return { server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

/** With the connections that a browser leaves open. */
function close(server: Server): void {
  server.close();
  server.closeAllConnections();
}

/** Serves the files of a folder. */
export async function serve(folder: string, headers: Record<string, string> = {}) {
  const { server, url } = await listen(({ url }, response) => {
    const { pathname } = new URL(url as string, "http://localhost");
    const file = join(folder, pathname.endsWith("/") ? `${pathname}index.html` : pathname);
    if (!existsSync(file) || !statSync(file).isFile()) {
      response.writeHead(404).end();
      return;
    }
    response.writeHead(200, { ...headers, "Content-Type": TYPES[extname(file)] ?? "text/plain" });
    response.end(readFileSync(file));
  });
  return { url, close: () => close(server) };
}

/** Opens a page, and gives what it reports; it reads the check's options, and where to report, from its address. */
export async function reportOf(
  open: (url: string) => Promise<{ close(): unknown }>,
  page: string,
  options: { threads?: number; calls?: number } = {},
): Promise<Report> {
  let received: (report: Report) => void = () => {};
  const report = new Promise<Report>((resolve) => {
    received = resolve;
  });
  const { server, url } = await listen(async (request, response) => {
    let body = "";
    for await (const chunk of request) body += chunk;
    response.writeHead(200, { "Access-Control-Allow-Origin": "*" }).end();
    if (request.method === "POST") received(JSON.parse(body));
  });
  const asked = new URLSearchParams(Object.entries(options).map(([name, value]) => [name, String(value)]));
  asked.set("report", url);
  const opened = await open(`${page}?${asked}`);
  try {
    return await report;
  } finally {
    await opened.close();
    close(server);
  }
}

/** Chromium, once; each page is a tab. */
export async function chromium() {
  const browser = await launch();
  return {
    async open(url: string) {
      const page = await browser.newPage();
      await page.goto(url);
      return page;
    },
    close: () => browser.close(),
  };
}

const FIREFOX = "/usr/bin/firefox-esr";

/** Debian's Firefox, anew for each page: it takes none from outside without a driver. */
export async function firefox(url: string): Promise<{ close(): void }> {
  if (!existsSync(FIREFOX))
    throw new Error(`this suite needs ${FIREFOX}; install it: apt-get install firefox-esr`);
  const profile = mkdtempSync(join(tmpdir(), "evenkeel-firefox-"));
  const browser: ChildProcess = spawn(FIREFOX, ["--headless", "--no-remote", "--profile", profile, url], {
    stdio: "ignore",
  });
  const gone = new Promise((resolve) => browser.once("exit", resolve));
  return {
    async close() {
      browser.kill();
      await gone;
      rmSync(profile, { recursive: true });
    },
  };
}
