/**
 * Before the suite: the project that all its files share, a folder outside the repository with the packed tarball and every
 * tool that uses it installed, and apps/, which the tools are asked to build or to run.
 */
import { chmodSync, cpSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { TestProject } from "vitest/node";
import { install, manifest, pack } from "../support/packed.js";
import { runtimes } from "./project.js";

const here = fileURLToPath(new URL(".", import.meta.url));

/** What the adapters are for, in the versions of the repository. */
const frameworks = [
  ...Object.keys(manifest.peerDependencies),
  "@tensorflow/tfjs-backend-cpu",
  "@tensorflow/tfjs-backend-wasm",
];

export default function setup(project: TestProject): () => Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "evenkeel-consumers-"));
  const tools = JSON.parse(readFileSync(join(here, "tools.json"), "utf8"));
  for (const name of frameworks) tools[name] = manifest.devDependencies[name];
  writeFileSync(
    join(folder, "package.json"),
    JSON.stringify({ private: true, type: "module", dependencies: tools }),
  );
  const tarball = pack(folder);
  // as peers, tools name ranges of one another that their latest versions have left
  install(folder, tarball, "--legacy-peer-deps");
  for (const binary of Object.values(runtimes)) chmodSync(join(folder, binary), 0o755);
  cpSync(join(here, "apps"), folder, { recursive: true });
  project.provide("consumers", { folder, tarball });
  // not synchronously: it takes seconds, in which Vitest would wait for its workers in vain
  return () => rm(folder, { recursive: true });
}
