/** The package as it is published: packed by npm, and installed from the tarball. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("../..", import.meta.url));
export const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));

/** Packs the repository into a folder; gives the tarball's path. */
export function pack(folder: string): string {
  const output = execFileSync("npm", ["pack", "--json", "--pack-destination", folder], {
    cwd: root,
    encoding: "utf8",
  });
  return join(folder, JSON.parse(output)[0].filename);
}

/** Installs what a project's package.json names, and a tarball with it. */
export function install(folder: string, tarball: string, ...flags: string[]): void {
  // no lock: a folder of one run; no scripts: what they fetch is not there
  const quiet = ["--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
  execFileSync("npm", ["install", ...quiet, ...flags, tarball], {
    cwd: folder,
    stdio: ["ignore", "ignore", "inherit"],
  });
}
