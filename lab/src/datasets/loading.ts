/** From a source of bytes to a dataset, whatever is in it: a table, or prose. */
import { printable } from "@evenkeel/report/format";
import type { Bundled } from "../data/bundled.js";
import { readTable } from "../data/readers/registry.js";
import type { Source } from "../data/readers/source.js";
import { holdsProse, readText } from "../data/readers/text.js";
import type { Table } from "../data/table.js";
import { taskFrom, tasks } from "../tasks/registry.js";
import type { Dataset, DatasetOptions } from "./dataset.js";
import { datasetOf, fromOf } from "./registry.js";
import { checkSuited } from "./suited.js";
import { charactersOf, toText } from "./text.js";

/** Rows that are read at least where a few are to be drawn: rare classes are to be among them, and rows without a target left out. */
const LEAST_READ = 5_000;

/**
 * The dataset in a file of somebody's. With a `limit`, no more is kept of it than twice as many rows (5,000 at least), where a
 * column is predicted. `seen` is given the table, if it is one, before a dataset is made of it. Throws as `readTable` and
 * `datasetOf`.
 */
export async function datasetIn(
  file: Source,
  options: DatasetOptions,
  seen?: (table: Table) => void,
): Promise<Dataset> {
  const { limit, task, target } = options;
  const provenance = printable(file.name);
  const isText =
    task === undefined
      ? target === undefined && (await holdsProse(file, options))
      : tasks[task].from === "text";
  if (isText) return textIn(file, options, provenance);
  const sample = limit === undefined ? undefined : Math.max(2 * limit, LEAST_READ);
  let table = await readTable(file, { ...options, sample });
  // rows that belong together are not drawn one by one
  if (table.rowCount < table.fileRows && fromOf(table, options) !== "target") {
    table = await readTable(file, options);
  }
  seen?.(table);
  return datasetOf(table, options, provenance);
}

/** The dataset of data that come with the lab, in their file; options that are left out take what suits them. */
export async function bundledDataset(
  own: Bundled,
  file: Source,
  options: DatasetOptions,
  seen?: (table: Table) => void,
): Promise<Dataset> {
  const { task = own.from && taskFrom(own.from), image = own.image } = options;
  const chosen = { ...options, task, image };
  const table = await own.read?.(file, options);
  if (table) seen?.(table);
  const data = table ? datasetOf(table, chosen, own.provenance) : await textIn(file, chosen, own.provenance);
  return { ...data, name: own.name };
}

async function textIn(file: Source, options: DatasetOptions, provenance: string): Promise<Dataset> {
  checkSuited(options, "text");
  return toText(await readText(file, options, { most: charactersOf(options) }), options, provenance);
}
