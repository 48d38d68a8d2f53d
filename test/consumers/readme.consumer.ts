/** The README's examples as they are pasted, where only what the README says is installed. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, inject, it } from "vitest";
import { examplesOf } from "../support/examples.js";
import { install, root } from "../support/packed.js";
import { binary } from "./project.js";

const [first] = examplesOf(readFileSync(join(root, "README.md"), "utf8"), "js");
const empty = mkdtempSync(join(tmpdir(), "evenkeel-readme-"));
afterAll(() => rmSync(empty, { recursive: true }));

it.each(["Node 20", "Node 22", "Node 24"] as const)("the first one, in an empty folder: %s", (node) => {
  execFileSync("npm", ["init", "-y"], { cwd: empty, stdio: "ignore" });
  install(empty, inject("consumers").tarball);
  writeFileSync(join(empty, "first.mjs"), first);
  const printed = execFileSync(binary(node), ["first.mjs"], { cwd: empty, encoding: "utf8" });
  expect(printed).toMatch(/-1\.34.*-0\.44.*0\.44.*1\.34.*\n\[ 1, 4 \]\n$/s);
});
