/** In pages: threads where workers may start in some way, and under a Content-Security-Policy what it allows, or the cause. */
import { existsSync, readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import type { Browser } from "playwright-core";
import { rolldown } from "rolldown";
import { afterAll, beforeAll, expect, it } from "vitest";
import { launch } from "../support/chromium.js";

const dist = fileURLToPath(new URL("../../dist", import.meta.url));
const ISOLATED = {
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-embedder-policy": "require-corp",
};

/** What the page does: opens as it is told, and calls until as many threads run as it may have. */
const script = (library: string) => `
  const { layerNorm, open } = ${library};
  const { option, threads } = Object.fromEntries(new URLSearchParams(location.search));
  const warnings = [];
  console.warn = (message) => warnings.push(message);
  const ek = await open(option === "module" ? { module: await moduleOfWorker() } : {});
  const large = { shape: [1000, 300], data: Float32Array.from({ length: 300000 }, (_, i) => i % 7) };
  for (let i = 0; i < 100 && ek.threads < Number(threads); i++) {
    ek.forward(layerNorm(), large);
    await new Promise((wake) => setTimeout(wake, 10));
  }
  const y = ek.forward(layerNorm(), large).y.data[0];
  globalThis.result = { backend: ek.backend, threads: ek.threads, fallback: ek.fallback, warnings, y: y.toFixed(3) };

  // compiled where the page's policy does not reach
  function moduleOfWorker() {
    const worker = new Worker("/compile.js");
    return new Promise((done) => worker.addEventListener("message", ({ data }) => done(data)));
  }`;
const compile = `fetch("/dist/kernels.wasm").then((file) => WebAssembly.compileStreaming(file)).then((module) => postMessage(module));`;

let browser: Browser;
let server: Server;
/** Of the page, and whether the worker's file is there. */
let headers: Record<string, string> = {};
let hasFile = true;
/** The same as a classic script, bundled and minified. */
let classic = "";

beforeAll(async () => {
  browser = await launch();
  const bundle = await rolldown({ input: `${dist}/index.js`, platform: "browser", logLevel: "silent" });
  const { output } = await bundle.generate({
    format: "iife",
    name: "evenkeel",
    minify: true,
    codeSplitting: false,
  });
  classic = `${output[0].code}; (async () => { ${script("evenkeel")} })();`;
  server = createServer(({ url = "/" }, response) => {
    const path = new URL(url, "http://localhost").pathname;
    const text: Record<string, string> = {
      "/page.js": script('await import("/dist/index.js")'),
      "/classic.js": classic,
      "/compile.js": compile,
    };
    response.setHeader("cross-origin-embedder-policy", "require-corp");
    response.setHeader("content-type", path.endsWith(".wasm") ? "application/wasm" : "text/javascript");
    if (path === "/" || path === "/classic") {
      for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
      response
        .setHeader("content-type", "text/html")
        .end(
          `<!doctype html><script ${path === "/" ? 'type="module" src="/page.js"' : 'src="/classic.js"'}></script>`,
        );
    } else if (path in text) response.end(text[path]);
    else if ((path.endsWith("/thread.js") && !hasFile) || !existsSync(dist + path.slice(5)))
      response.writeHead(404).end();
    else response.end(readFileSync(dist + path.slice(5)));
  });
  await new Promise<void>((ready) => server.listen(0, "127.0.0.1", ready));
});
afterAll(async () => {
  await browser?.close();
  server?.close();
});

const UNAVAILABLE = "evenkeel: this host does not allow WebAssembly to be compiled (WebAssembly.compile(): ";

it.each([
  { name: "isolated", headers: ISOLATED, threads: 2 },
  { name: "isolated, without a file for workers", headers: ISOLATED, file: false, threads: 2 },
  {
    name: "isolated, and workers from files alone",
    headers: { ...ISOLATED, "content-security-policy": "script-src 'self' 'wasm-unsafe-eval'" },
    threads: 2,
  },
  {
    name: "isolated, workers from files alone, and no such file",
    headers: { ...ISOLATED, "content-security-policy": "script-src 'self' 'wasm-unsafe-eval'" },
    file: false,
    threads: 1,
  },
  {
    name: "isolated, bundled into a classic script that is read as Latin-1",
    headers: ISOLATED,
    page: "/classic",
    threads: 2,
  },
  { name: "not isolated", headers: {}, threads: 1 },
  {
    name: "no WebAssembly compiled",
    headers: { "content-security-policy": "script-src 'self'" },
    threads: 1,
    backend: "reference",
  },
  {
    name: "no WebAssembly compiled, but in a worker that has its own policy",
    headers: { "content-security-policy": "script-src 'self'" },
    option: "module",
    threads: 1,
  },
])(
  "$name",
  async ({ headers: given, file = true, threads, option = "", page: at = "/", backend = "wasm" }) => {
    headers = given as Record<string, string>;
    hasFile = file;
    const page = await browser.newPage();
    const errors: string[] = [];
    page.on("pageerror", (error) => errors.push(error.message));
    const { port } = server.address() as AddressInfo;
    // a page that may have one asks for two, in vain
    await page.goto(`http://127.0.0.1:${port}${at}?threads=2&option=${option}`);
    await page.waitForFunction(() => "result" in globalThis);
    const result = await page.evaluate(
      () => (globalThis as unknown as { result: Record<string, unknown> }).result,
    );
    expect(errors).toEqual([]);
    expect(result).toMatchObject({ backend, threads, y: "-1.498" });
    expect(page.workers().length - (option ? 1 : 0)).toBe(threads - 1);
    if (backend === "wasm") {
      expect(result.fallback).toBeUndefined();
      expect(result.warnings).toEqual([]);
    } else {
      expect(result.fallback).toContain(UNAVAILABLE);
      expect(result.fallback).toContain("add 'wasm-unsafe-eval' to script-src");
      expect(result.warnings).toHaveLength(1);
    }
    await page.close();
  },
);
