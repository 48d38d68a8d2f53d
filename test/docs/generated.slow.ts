/** What scripts/docs.mjs makes of the catalog is what docs/ has: each normalization runs in every host for it. */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";

const root = fileURLToPath(new URL("../..", import.meta.url));

it("what is generated is up to date", () => {
  const { status, stderr } = spawnSync(process.execPath, ["scripts/docs.mjs", "--check"], {
    cwd: root,
    encoding: "utf8",
  });
  expect(stderr.split("\n").filter((line) => line.startsWith("out of date"))).toEqual([]);
  expect(status, stderr).toBe(0);
});
