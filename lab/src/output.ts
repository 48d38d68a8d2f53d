/** The folder that a comparison leaves: report.html and comparison.json, each whole or not there. */
import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { reason } from "./data/file.js";
import { FailureError } from "./errors.js";
import { renderReport } from "./report/html.js";
import type { Comparison } from "./results.js";

/** Makes the folder and tries it, so that a folder that cannot be written is known before anything is trained. */
export async function prepareFolder(folder: string): Promise<void> {
  const trial = join(folder, `.evenkeel-${process.pid}`);
  try {
    await mkdir(folder, { recursive: true });
    await writeFile(trial, "");
    await rm(trial);
  } catch (error) {
    throw new FailureError(
      `--out: cannot write into the folder "${folder}" (${reason(error)}); name another one, or give this one write permission`,
    );
  }
}

/** Writes both files beside their places first and then moves them there. Returns their paths. */
export async function writeComparison(
  folder: string,
  comparison: Comparison,
): Promise<{ report: string; json: string }> {
  const files = { report: join(folder, "report.html"), json: join(folder, "comparison.json") };
  const contents = { report: renderReport(comparison), json: `${JSON.stringify(comparison, null, 1)}\n` };
  try {
    for (const name of ["report", "json"] as const) {
      const partial = `${files[name]}.${process.pid}.part`;
      await writeFile(partial, contents[name]);
      await rename(partial, files[name]);
    }
  } catch (error) {
    throw new FailureError(
      `--out: cannot write the results into "${folder}" (${reason(error)}); free space or name another folder`,
    );
  }
  return files;
}
