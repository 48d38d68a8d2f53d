/** In a browser: without a framework, fused on TensorFlow.js's wasm backend, composed on webgl and webgpu. */
import { readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import { availableParallelism } from "node:os";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Browser, Page } from "playwright-core";
import { rolldown } from "rolldown";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { batchNorm, groupNorm, instanceNorm, layerNorm, open, rmsNorm } from "../src/index.js";
import { sizeOf } from "../src/shape.js";
import type { Answer, page as inPage, Task } from "./support/browser-page.js";
import { launch } from "./support/chromium.js";
import { expectClose, normal } from "./support/numerics.js";

let browser: Browser;
let server: Server;
let page: Page;
const messages: string[] = [];

beforeAll(async () => {
  const bundle = await rolldown({
    input: fileURLToPath(new URL("support/browser-page.ts", import.meta.url)),
    platform: "browser",
    logLevel: "silent",
  });
  const { output } = await bundle.generate({
    format: "esm",
    entryFileNames: "page.js",
    chunkFileNames: "[name].js",
  });
  const scripts = new Map(
    output.map((file) => [`/${file.fileName}`, file.type === "chunk" ? file.code : ""]),
  );
  const wasm = join(
    dirname(createRequire(import.meta.url).resolve("@tensorflow/tfjs-backend-wasm/package.json")),
    "wasm-out",
  );
  server = createServer(({ url = "/" }, response) => {
    // with these two, a page has shared memory, and TensorFlow.js takes its threaded build; its workers need the second
    if (url !== "/") response.setHeader("cross-origin-resource-policy", "same-origin");
    if (url === "/isolated") response.setHeader("cross-origin-opener-policy", "same-origin");
    if (url !== "/") response.setHeader("cross-origin-embedder-policy", "require-corp");
    const script = scripts.get(url);
    if (script !== undefined) response.setHeader("content-type", "text/javascript").end(script);
    else if (url.startsWith("/wasm/"))
      response.setHeader("content-type", "application/wasm").end(readFileSync(join(wasm, basename(url))));
    else
      response
        .setHeader("content-type", "text/html")
        .end('<!doctype html><script type="module" src="/page.js"></script>');
  });
  await new Promise<void>((ready) => server.listen(0, "127.0.0.1", ready));
  browser = await launch(
    "--enable-unsafe-swiftshader",
    "--enable-unsafe-webgpu",
    "--use-webgpu-adapter=swiftshader",
  );
  page = await pageAt("/");
});
/** A page of the server, once its script has run. */
async function pageAt(path: string): Promise<Page> {
  const opened = await browser.newPage();
  opened.on("pageerror", (error) => messages.push(error.message));
  await opened.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`);
  await opened.waitForFunction(() => "page" in globalThis);
  return opened;
}

afterAll(async () => {
  await browser?.close();
  server?.close();
  expect(messages).toEqual([]);
});

type InPage = typeof globalThis & { page: typeof inPage };

const norms = { layerNorm, rmsNorm, batchNorm, groupNorm: () => groupNorm({ groups: 2 }), instanceNorm };
const shape = [2, 3, 5, 6];
const tasks = (Object.keys(norms) as (keyof typeof norms)[]).map((norm, i): Task => {
  const values = (length: number, seed: number, mean = 0) => Array.from(normal(length, 10 * i + seed, mean));
  return { norm, shape, x: values(180, 1, 1), dy: values(180, 2), gamma: values(6, 3), beta: values(6, 4) };
});

async function expected({ norm, shape, x, dy, gamma, beta }: Task): Promise<Answer> {
  const ek = await open({ backend: "reference" });
  const wide = (values: number[]) => Float64Array.from(values);
  const { y, saved } = ek.forward(
    norms[norm](),
    { shape, data: wide(x) },
    { gamma: wide(gamma), beta: wide(beta) },
  );
  const { dx, dGamma, dBeta } = ek.backward(saved, { shape, data: wide(dy) });
  const list = (array?: { data: ArrayLike<number> }) => Array.from(array?.data ?? []);
  return { y: list(y), dx: list(dx), dGamma: list(dGamma), dBeta: list(dBeta) };
}

it("runs without a framework", async () => {
  const { backend, y } = await page.evaluate(() => (globalThis as InPage).page.normalizeAlone());
  expect(backend).toBe("wasm");
  expectClose("y", Float64Array.from(y), [-1, 1], () => 1e-4);
});

async function check(where: Page, backend: string, fused: boolean, list = tasks): Promise<void> {
  const run = await where.evaluate(([name, given]) => (globalThis as InPage).page.normalizeOn(name, given), [
    backend,
    list,
  ] as const);
  expect(run.fused).toBe(fused);
  for (const [i, task] of list.entries()) {
    const wanted = await expected(task);
    for (const name of ["y", "dx", "dGamma", "dBeta"] as const) {
      const values = Float64Array.from(run.answers[i][name]);
      expect(values.length).toBe(name === "y" || name === "dx" ? sizeOf(task.shape) : task.gamma.length);
      expectClose(
        `${task.norm} ${name}`,
        values,
        wanted[name],
        (at) => 1e-4 * (1 + Math.abs(wanted[name][at])),
      );
    }
  }
}

describe.each([
  { backend: "wasm", fused: true },
  { backend: "webgl", fused: false },
  { backend: "webgpu", fused: false },
])("TensorFlow.js on $backend", ({ backend, fused }) => {
  it("gives what the float64 reference gives, and its gradients", async () => {
    await check(page, backend, fused);
  });

  it("moves the statistics of batch normalization, but not by a batch that is not finite", async () => {
    const mean = (values: number[][]) =>
      page.evaluate(([name, list]) => (globalThis as InPage).page.movingMean(name, list), [
        backend,
        values,
      ] as const);
    expect(
      await mean([
        [1, 10],
        [3, 30],
      ]),
    ).toEqual([1, 10]);
    expect(
      await mean([
        [1, Number.POSITIVE_INFINITY],
        [3, 30],
      ]),
    ).toEqual([0, 0]);
  });
});

it("stands on the shared memory of TensorFlow.js's threaded build too", async () => {
  const isolated = await pageAt("/isolated");
  expect(await isolated.evaluate(() => crossOriginIsolated)).toBe(true);
  await check(isolated, "wasm", true);
  // large enough to be shared among workers
  const values = (length: number, seed: number) => Array.from(normal(length, seed));
  const parameters = { gamma: values(300, 3), beta: values(300, 4) };
  const large: Task = {
    norm: "layerNorm",
    shape: [300, 300],
    x: values(90_000, 1),
    dy: values(90_000, 2),
    ...parameters,
  };
  await check(isolated, "wasm", true, [large, large]);
});

it("shares large arrays among workers in an isolated page, and gives the same as without them", async () => {
  const run = (where: Page, threads?: number) =>
    where.evaluate(([count, times]) => (globalThis as InPage).page.normalizeShared(count, times), [
      threads,
      30,
    ] as const);
  const isolated = await pageAt("/isolated");
  const alone = await run(isolated, 1);
  expect(isolated.workers().length).toBe(0);
  const shared = await run(isolated, 3);
  expect(isolated.workers().length).toBe(2);
  expect(shared).toEqual({ threads: 3, sums: alone.sums });
  expect((await run(isolated)).threads).toBe(Math.min(8, availableParallelism()));
  expect(await run(page)).toEqual(alone);
});
