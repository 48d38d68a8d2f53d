/** `evenkeel inspect`: what a file of a network holds, on the terminal, as JSON and as a page. */
import { serverDocument } from "@evenkeel/report/server-document";
import { open } from "evenkeel/checkpoints";
import { inspect as inspection } from "../inspection.js";
import { renderInspection } from "../report/inspection.js";
import { colorsOf } from "./colors.js";
import { inspectionText } from "./inspection-summary.js";
import { version } from "./version.js";
import { writeWhole } from "./whole-file.js";

/** The options of the command line, already checked. */
export interface InspectOptions {
  json: boolean;
  /** Where the page goes; true for its usual name. */
  html?: string | true;
  strict: boolean;
}

const PAGE = "inspection.html";
/** Columns of the terminal that are used, of however many. */
const WIDTH = 80;

/** Inspects the file and returns the exit code: 1 where `strict` is set and a normalization is sick. */
export async function inspect(file: string, { json, html, strict }: InspectOptions): Promise<number> {
  const found = await inspection(await open(file), version);
  const page = html === true ? PAGE : html;
  try {
    if (page !== undefined) await writeWhole(page, renderInspection(found, serverDocument), "--html");
  } finally {
    // shown even if the page could not be written
    process.stdout.write(json ? `${JSON.stringify(found, null, 1)}\n` : inspectionText(found, columns()));
  }
  if (page !== undefined) process.stderr.write(`Page  ${colorsOf(process.stderr).underline(page)}\n`);
  return strict && found.normalizations.some(({ sick }) => sick) ? 1 : 0;
}

const columns = (): number => Math.min(WIDTH, process.stdout.columns || WIDTH);
