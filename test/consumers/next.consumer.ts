/** Next's production build (Turbopack): it ends, and what it built runs in the server and in the browser. */
import { afterAll, beforeAll, it } from "vitest";
import { chromium, reportOf } from "./browsers.js";
import { expectKernels, server, tool } from "./project.js";

const NEXT = "next/dist/bin/next";
let site: Awaited<ReturnType<typeof server>>;
beforeAll(async () => {
  await tool("next", NEXT, "build");
  site = await server("next", NEXT, "start", "--hostname", "127.0.0.1", "--port", "0");
}, 300_000);
afterAll(() => site?.close());

it("the server runs two threads", async () => {
  const answer = await fetch(`${site.url}/api`);
  expectKernels(await answer.json(), 2);
});

it("an isolated page runs two threads", async () => {
  const browser = await chromium();
  try {
    expectKernels(await reportOf(browser.open, site.url, { threads: 2 }), 2);
  } finally {
    await browser.close();
  }
});
