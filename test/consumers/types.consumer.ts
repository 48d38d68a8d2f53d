/** TypeScript, from the oldest release that is supported to the latest: declarations check as strictly as it can be asked for. */
import { describe, expect, it } from "vitest";
import { binary, run, tool } from "./project.js";

const STRICT = [
  "--strict",
  "--exactOptionalPropertyTypes",
  "--noUncheckedIndexedAccess",
  ...["--skipLibCheck", "false"],
  ...["--target", "es2022", "--lib", "es2022,dom"],
  // no types but those that are imported
  ...["--typeRoots", "none"],
];
const node = ["--module", "nodenext"];
const bundler = ["--module", "esnext", "--moduleResolution", "bundler"];
const classic = ["--module", "commonjs", "--moduleResolution", "node10"];

/** What a compiler says of a file, its own files of the package included. */
async function said(compiler: string, file: string, ...flags: string[]): Promise<string[]> {
  try {
    await tool("types", `${compiler}/bin/tsc`, "--noEmit", ...STRICT, ...flags, file);
    return [];
  } catch (error) {
    return String(error).match(/^\S+\(\d+,\d+\): error.*$/gm) ?? [String(error)];
  }
}

/** Of errors in the frameworks' own declarations there are some, in every release. */
const ours = (line: string) => !/node_modules\/(?!evenkeel\/)/.test(line);

describe.each(["typescript-5.4", "typescript", "typescript-latest"])("%s", (compiler) => {
  // node10 is gone from the latest
  const resolutions = compiler === "typescript-latest" ? { node, bundler } : { node, bundler, classic };

  it.each(Object.entries(resolutions))("%s", async (_, flags) => {
    expect(await said(compiler, "core.ts", ...flags)).toEqual([]);
    expect((await said(compiler, "adapters.ts", ...flags)).filter(ours)).toEqual([]);
  });
});

it("CommonJS that TypeScript emits runs", async () => {
  await tool("commonjs", "typescript/bin/tsc", ...STRICT, ...classic, "run.ts");
  expect(await run("commonjs", binary("Node 20"), "run.js")).toBe("-1.000 1.000\n");
});
