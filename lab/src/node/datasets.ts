/** Data by name (those that come with the lab, and Fashion-MNIST) or by the path of a file. */
import { existsSync } from "node:fs";
import { basename, extname } from "node:path";
import { fileURLToPath } from "node:url";
import { printable, quote } from "@evenkeel/report/format";
import { closest } from "fastest-levenshtein";
import { bundled, type Described } from "../data/bundled.js";
import { readTable } from "../data/readers/registry.js";
import type { Source } from "../data/readers/source.js";
import { holdsProse, readText } from "../data/readers/text.js";
import type { Dataset, DatasetOptions } from "../datasets/dataset.js";
import { datasetOf, fromOf } from "../datasets/registry.js";
import { checkSuited } from "../datasets/suited.js";
import { charactersOf, toText } from "../datasets/text.js";
import { UsageError } from "../errors.js";
import type { Given } from "../predictions/prediction.js";
import { taskFrom, tasks } from "../tasks/registry.js";
import { fashionMnist, loadFashionMnist } from "./fashion-mnist.js";
import { openFile } from "./file.js";

/** Everything that has a name. */
export const describedData: readonly Described[] = [...bundled, fashionMnist];

/** Rows that are read at least where a few are to be drawn: rare classes are to be among them, and rows without a target left out. */
const LEAST_READ = 5_000;

/**
 * The dataset of a name, or of the file at a path; options that are left out take what suits a bundled one. With a
 * `limit`, no more is kept of a file than twice as many rows (5,000 at least), where a column is predicted. Throws
 * UsageError for a name that is neither, and as `openFile`, `readTable` and `datasetOf`.
 */
export async function loadDataset(source: string, options: DatasetOptions): Promise<Dataset> {
  if (source === fashionMnist.name) return loadFashionMnist(options, fashionMnist.provenance);
  const own = bundled.find(({ name }) => name === source);
  if (own) {
    const { task = own.from && taskFrom(own.from), image = own.image } = options;
    const chosen = { ...options, task, image };
    const path = dataFile(own.file);
    const data = own.read
      ? datasetOf(await opened(path, options, own.read), chosen, own.provenance)
      : await textIn(path, chosen, own.provenance);
    return { ...data, name: own.name };
  }
  if (!existsSync(source) && basename(source) === source && extname(source) === "") {
    const names = describedData.map(({ name }) => name);
    throw new UsageError(
      `--data: there is neither a dataset nor a file ${quote(source)}; did you mean "${closest(source, names)}"? The datasets are ${names.join(", ")}`,
    );
  }
  const { limit, task, target } = options;
  const isText =
    task === undefined
      ? target === undefined && (await opened(source, options, (file) => holdsProse(file, options)))
      : tasks[task].from === "text";
  if (isText) return textIn(source, options, printable(source));
  const sample = limit === undefined ? undefined : Math.max(2 * limit, LEAST_READ);
  const read = (sampled?: number) =>
    opened(source, options, (file) => readTable(file, { ...options, sample: sampled }));
  let table = await read(sample);
  // rows that belong together are not drawn one by one
  if (table.rowCount < table.fileRows && fromOf(table, options) !== "target") table = await read();
  return datasetOf(table, options, printable(source));
}

/** The data of a name, or of the file at a path, which are read when it is known how. */
export function givenData(source: string): Given {
  const own = bundled.find(({ name }) => name === source);
  const path = own ? dataFile(own.file) : source;
  const read = own?.read ?? readTable;
  return {
    table: (options) => opened(path, options, (file) => read(file, options)),
    text: (options, sizes) => opened(path, options, (file) => readText(file, options, sizes)),
  };
}

async function textIn(path: string, options: DatasetOptions, provenance: string): Promise<Dataset> {
  checkSuited(options, "text");
  const text = await opened(path, options, (file) =>
    readText(file, options, { most: charactersOf(options) }),
  );
  return toText(text, options, provenance);
}

async function opened<T>(
  path: string,
  options: DatasetOptions,
  read: (file: Source) => Promise<T>,
): Promise<T> {
  const file = await openFile(path, options);
  try {
    return await read(file);
  } finally {
    await file.close();
  }
}

/** A file of lab/data, which is two folders up from src/node and from dist/node alike. */
function dataFile(file: string): string {
  return fileURLToPath(new URL(`../../data/${file}`, import.meta.url));
}
