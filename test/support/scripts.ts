/** Runs examples in Markdown that are files of their own, since they start themselves anew in threads or on several machines. */
import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { examplesOf, root } from "./examples.js";

/** The block whose first line is a comment that begins with this file's name. */
export function scriptOf(page: string, name: string): string {
  const code = examplesOf(readFileSync(root + page, "utf8"), "js").find((one) =>
    one.startsWith(`// ${name}`),
  );
  if (code === undefined) throw new Error(`${page} has no example that begins with // ${name}`);
  return code;
}

/** What it writes to standard output, run in the repository from a folder where its imports are found. */
export async function runScript(
  code: string,
  args: readonly string[] = [],
  env: Readonly<Record<string, string>> = {},
): Promise<string> {
  mkdirSync(`${root}dist`, { recursive: true });
  const folder = mkdtempSync(`${root}dist/.script-`);
  try {
    const file = join(folder, "script.mjs");
    writeFileSync(file, code);
    const options = { cwd: root, env: { ...process.env, ...env } };
    return (await promisify(execFile)(process.execPath, [file, ...args], options)).stdout;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
