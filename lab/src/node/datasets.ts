/** Data by name (those that come with the lab, and Fashion-MNIST) or by the path of a file. */
import { existsSync } from "node:fs";
import { basename, extname } from "node:path";
import { fileURLToPath } from "node:url";
import { quote } from "@evenkeel/report/format";
import { closest } from "fastest-levenshtein";
import { bundled, type Described } from "../data/bundled.js";
import { readTable } from "../data/readers/registry.js";
import type { Source } from "../data/readers/source.js";
import { readText } from "../data/readers/text.js";
import type { Dataset, DatasetOptions } from "../datasets/dataset.js";
import { bundledDataset, datasetIn } from "../datasets/loading.js";
import { UsageError } from "../errors.js";
import type { Given } from "../predictions/prediction.js";
import { fashionMnist, loadFashionMnist } from "./fashion-mnist.js";
import { openFile } from "./file.js";

/** Everything that has a name. */
export const describedData: readonly Described[] = [...bundled, fashionMnist];

/**
 * The dataset of a name, or of the file at a path; options that are left out take what suits a bundled one. Throws
 * UsageError for a name that is neither, and as `openFile` and `datasetIn`.
 */
export async function loadDataset(source: string, options: DatasetOptions): Promise<Dataset> {
  if (source === fashionMnist.name) return loadFashionMnist(options, fashionMnist.provenance);
  const own = bundled.find(({ name }) => name === source);
  if (own) return opened(dataFile(own.file), options, (file) => bundledDataset(own, file, options));
  if (!existsSync(source) && basename(source) === source && extname(source) === "") {
    const names = describedData.map(({ name }) => name);
    throw new UsageError(
      `--data: there is neither a dataset nor a file ${quote(source)}; did you mean "${closest(source, names)}"? The datasets are ${names.join(", ")}`,
    );
  }
  return opened(source, options, (file) => datasetIn(file, options));
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
