/** Runtimes without pages: modules are imported and required, results are right, and threads share a large array. */
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { binary, expectKernels, run, runtimes } from "./project.js";

const nodes = ["Node 20", "Node 22", "Node 24"] as const;
const flags: Partial<Record<keyof typeof runtimes, string[]>> = { Deno: ["run", "--allow-all", "--no-lock"] };

describe.each(Object.keys(runtimes) as (keyof typeof runtimes)[])("%s", (runtime) => {
  it("imports it, and runs it on two threads", async () => {
    const printed = await run("page", binary(runtime), ...(flags[runtime] ?? []), "run.js");
    expectKernels(JSON.parse(printed), 2);
  });
});

describe.each(nodes)("%s", (node) => {
  it("imports both adapters", async () => {
    expect(await run("node", binary(node), "adapters.js")).toBe("tfjs -1.000 1.000\njax -1.000 1.000\n");
  });

  it("requires it and its adapter", async () => {
    expect(await run("commonjs", binary(node), "require.js")).toBe("wasm -1.000 1.000\ntfjs -1.000 1.000\n");
  });
});

it("Bun bundles it for itself, threads included", async () => {
  const bundle = join("..", "out", "bun-run");
  await run("page", binary("Bun"), "build", "run.js", "--target", "bun", "--outdir", bundle);
  expectKernels(JSON.parse(await run("page", binary("Bun"), join(bundle, "run.js"))), 2);
});
