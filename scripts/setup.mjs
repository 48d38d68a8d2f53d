/**
 * Makes a fresh clone ready: installs the locked packages when they are missing or older than the lock file
 * (no install script runs, see .npmrc), then builds what is out of date.
 */
import { execFileSync } from "node:child_process";
import { existsSync, statSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build } from "./build.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const installed = `${root}node_modules/.package-lock.json`;

if (!existsSync(installed) || statSync(installed).mtimeMs < statSync(`${root}package-lock.json`).mtimeMs) {
  console.error("evenkeel: installing packages (npm ci, no install scripts) ...");
  execFileSync("npm", ["ci", "--ignore-scripts"], {
    cwd: root,
    stdio: ["ignore", "ignore", "inherit"],
    shell: process.platform === "win32",
  });
}
await build();
