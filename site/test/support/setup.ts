/** Before the suite: the site is built once, as `npm run site:build` does, into a folder that all its files share. */
import { execFileSync } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { TestProject } from "vitest/node";

declare module "vitest" {
  interface ProvidedContext {
    /** The folder of the built site. */
    site: string;
  }
}

const command = fileURLToPath(new URL("../../../scripts/site.mjs", import.meta.url));

export default function setup(project: TestProject): () => Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "evenkeel-site-"));
  // Vitest's own environment would have it built for development
  const env = { ...process.env, NODE_ENV: undefined, VITEST: undefined };
  execFileSync(process.execPath, [command, "--build", "--out", folder], {
    env,
    stdio: ["ignore", "ignore", "inherit"],
  });
  project.provide("site", folder);
  return () => rm(folder, { recursive: true });
}
