/** The folder that a comparison leaves: report.html and comparison.json, each complete or absent. */
import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { serverDocument } from "@evenkeel/report/server-document";
import { FailureError, reason } from "../errors.js";
import { renderReport } from "../report/html.js";
import type { Comparison } from "../results.js";

/** Creates the folder and tries it, so that a folder that cannot be written is known before anything is trained. */
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

/** A comparison as JSON, in the file and on standard output alike. */
export function comparisonText(comparison: Comparison): string {
  return `${JSON.stringify(comparison, null, 1)}\n`;
}

/** Writes both files under temporary names and then renames them. Returns their paths. */
export async function writeComparison(
  folder: string,
  comparison: Comparison,
): Promise<{ report: string; json: string }> {
  const files = { report: join(folder, "report.html"), json: join(folder, "comparison.json") };
  const contents = { report: renderReport(comparison, serverDocument), json: comparisonText(comparison) };
  const names = ["report", "json"] as const;
  const partial = (name: "report" | "json") => `${files[name]}.${process.pid}.part`;
  try {
    for (const name of names) await writeFile(partial(name), contents[name]);
    for (const name of names) await rename(partial(name), files[name]);
  } catch (error) {
    for (const name of names) await rm(partial(name), { force: true });
    throw new FailureError(
      `--out: cannot write the results into "${folder}" (${reason(error)}); free space or name another folder`,
    );
  }
  return files;
}
