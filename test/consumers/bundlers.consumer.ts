/** What bundlers make of a page: it runs in Chromium as it is served, with threads where it is isolated, and under policies. */
import { cpSync, existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { chromium, ISOLATED, policy, reportOf, serve } from "./browsers.js";
import { binary, expectKernels, folder, run, server, tool } from "./project.js";

let browser: Awaited<ReturnType<typeof chromium>>;
beforeAll(async () => {
  browser = await chromium();
});
afterAll(() => browser.close());

/** Each builds apps/page into a folder. Those that know workers carry the file of ours along, for pages under a policy. */
const bundlers: { name: string; build(out: string): Promise<string>; startsFile: boolean }[] = [
  {
    name: "Vite 8",
    build: (out) => tool("page", "vite/bin/vite.js", "build", "--outDir", out, "--emptyOutDir"),
    startsFile: true,
  },
  {
    name: "webpack 5",
    build: (out) =>
      tool(
        "page",
        "webpack/bin/webpack.js",
        ...["--mode", "production", "--entry", "./page.js", "-o", out, "--output-filename", "page.js"],
      ),
    startsFile: true,
  },
  {
    name: "Parcel 2",
    build: (out) =>
      tool(
        "page",
        "parcel/lib/bin.js",
        "build",
        "index.html",
        "--dist-dir",
        out,
        "--no-cache",
        "--no-source-maps",
      ),
    startsFile: true,
  },
  {
    name: "esbuild",
    build: (out) =>
      tool("page", "esbuild/bin/esbuild", "page.js", "--bundle", "--format=esm", `--outdir=${out}`),
    startsFile: false,
  },
  {
    name: "Rollup 4",
    build: (out) => tool("page", "rollup/dist/bin/rollup", "page.js", "-p", "node-resolve", "-d", out),
    startsFile: false,
  },
  {
    name: "Bun",
    build: (out) => run("page", binary("Bun"), "build", "page.js", "--outdir", out),
    startsFile: false,
  },
];

describe.each(bundlers)("$name", ({ name, build, startsFile }) => {
  let out: string;
  beforeAll(async () => {
    out = join(folder(), "out", name.replaceAll(" ", "-"));
    mkdirSync(out, { recursive: true });
    await build(out);
    const page = join(out, "index.html");
    if (!existsSync(page)) cpSync(join(folder(), "page/index.html"), page);
  });

  /** Served with these headers. */
  async function report(headers: Record<string, string>, options?: { threads: number; calls?: number }) {
    const { url, close } = await serve(out, headers);
    try {
      return await reportOf(browser.open, url, options);
    } finally {
      close();
    }
  }

  it("plain: one thread", async () => expectKernels(await report({}), 1));

  it("isolated: two threads", async () => expectKernels(await report(ISOLATED, { threads: 2 }), 2));

  it("isolated, under a policy that allows WebAssembly and workers from files", async () => {
    const page = { ...ISOLATED, ...policy(out, "'wasm-unsafe-eval'") };
    if (startsFile) expectKernels(await report(page, { threads: 2 }), 2);
    else expectKernels(await report(page, { threads: 2, calls: 100 }), 1);
  });

  it("under a policy without WebAssembly: the reference, which says why", async () => {
    const { backend, error, warnings } = await report(policy(out));
    expect(backend).toBe("reference");
    expect(error).toBeLessThan(1e-6);
    expect(warnings).toHaveLength(1);
    expect(warnings?.[0]).toContain(
      "in a page's Content-Security-Policy, add 'wasm-unsafe-eval' to script-src",
    );
  });
});

it.each(["vite", "vite-7"])("%s serves it in development, two threads included", async (vite) => {
  const { url, close } = await server("page", `${vite}/bin/vite.js`, "--port", "0");
  try {
    expectKernels(await reportOf(browser.open, url, { threads: 2 }), 2);
  } finally {
    await close();
  }
});
