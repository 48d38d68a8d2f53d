/** A page runs the lab's core: from a file to a report, with the numbers that threads of Node give. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { serverDocument } from "@evenkeel/report/server-document";
import { parseHTML } from "linkedom";
import type { Browser } from "playwright-core";
import { rolldown } from "rolldown";
import { afterAll, beforeAll, expect, test } from "vitest";
import { launch } from "../../test/support/chromium.js";
import { renderReport } from "../src/report/html.js";
import type { Comparison } from "../src/results.js";
import type { page as inPage } from "./support/page.js";

const pathOf = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** Two interleaved rings, which no straight line separates. */
const FILE = {
  name: "rings.csv",
  text: `x,y,ring\n${Array.from({ length: 200 }, (_, i) => {
    const radius = i % 2 ? 1 : 2;
    return `${radius * Math.cos(i)},${radius * Math.sin(i)},${i % 2 ? "inner" : "outer"}`;
  }).join("\n")}\n`,
};
const CHOICES = {
  norms: ["none", "batch", "layer"],
  seeds: 1,
  depth: 3,
  width: 8,
  epochs: 4,
  batchSize: 20,
  tune: [0.02, 0.1],
  optimizer: "sgd" as const,
  sweep: { setting: "depth" as const, values: [1, 3] },
};

let browser: Browser;
let server: Server;
let folder: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "evenkeel-page-"));
  const bundle = await rolldown({
    input: pathOf("support/page.ts"),
    platform: "browser",
    logLevel: "silent",
  });
  const [{ code }] = (await bundle.generate({ format: "esm" })).output;
  await bundle.close();
  const resolve = createRequire(import.meta.url).resolve;
  const wasm = join(dirname(resolve("@tensorflow/tfjs-backend-wasm/package.json")), "wasm-out");
  server = createServer(({ url = "/" }, response) => {
    if (url === "/page.js") response.setHeader("content-type", "text/javascript").end(code);
    else if (url.startsWith("/wasm/"))
      response.setHeader("content-type", "application/wasm").end(readFileSync(join(wasm, basename(url))));
    else if (url === "/")
      response
        .setHeader("content-type", "text/html")
        .end('<!doctype html><link rel="icon" href="data:,"><script type="module" src="/page.js"></script>');
    else response.writeHead(404).end();
  });
  await new Promise<void>((ready) => server.listen(0, "127.0.0.1", ready));
  browser = await launch();
});

afterAll(async () => {
  await browser?.close();
  server?.close();
  if (folder) rmSync(folder, { recursive: true });
});

test("the core reads, trains and reports in a page, as the command line does", async () => {
  const page = await browser.newPage();
  const complaints: string[] = [];
  page.on("pageerror", (error) => complaints.push(error.message));
  await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
  await page.waitForFunction(() => "page" in globalThis);
  const { comparison, report, started, again } = await page.evaluate(
    ([file, choices]) => (globalThis as unknown as { page: typeof inPage }).page.compare(file, choices),
    [FILE, CHOICES] as const satisfies Parameters<typeof inPage.compare>,
  );
  expect(complaints).toEqual([]);
  const { norms, sweep, tune, ...others } = CHOICES;
  // the sweep has the comparison's own depth, whose trials are not run again, and another one
  expect(started).toEqual([...norms, ...norms]);
  expect(again).toBe(0);

  // the same comparison by the command line
  writeFileSync(join(folder, FILE.name), FILE.text);
  const { seeds, depth, width, epochs, batchSize, optimizer } = others;
  const options = `--data ${FILE.name} --norms ${norms} --seeds ${seeds} --depth ${depth} --width ${width} --epochs ${epochs} --batch-size ${batchSize} --tune ${tune} --sweep ${sweep.setting} ${sweep.values} --optimizer ${optimizer} --json`;
  const json = execFileSync(process.execPath, [pathOf("../dist/cli.js"), "compare", ...options.split(" ")], {
    cwd: folder,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  });
  const own: Comparison = JSON.parse(json);
  const { data, model, training, baseline, sweep: swept } = own;
  expect(comparison).toMatchObject({ data, model, training, baseline });
  expect(comparison.sweep?.points.map(({ value, trials }) => [value, trials.length])).toEqual(
    swept?.points.map(({ value, trials }) => [value, trials.length]),
  );
  for (const [i, trial] of comparison.trials.entries()) {
    expect(trial.norm).toBe(own.trials[i].norm);
    for (const [at, { trainLoss }] of trial.epochs.entries()) {
      // engines may differ in the last bits of a sum
      expect(trainLoss).toBeCloseTo(Number(own.trials[i].epochs[at].trainLoss), 3);
    }
  }

  // a figure says the same in whichever document it is drawn
  const seen = (html: string) => {
    const { document } = parseHTML(html);
    return [...document.querySelectorAll("svg[role=img]")].map((figure) => [
      figure.getAttribute("aria-label"),
      figure.querySelectorAll("*").length,
    ]);
  };
  expect(seen(report)).toEqual(seen(renderReport(comparison, serverDocument)));
  expect(seen(report).length).toBeGreaterThan(8);
});
