/** Data by name (those that come with the lab, and Fashion-MNIST) or by the path of a file. */
import { existsSync } from "node:fs";
import { basename, extname } from "node:path";
import { fileURLToPath } from "node:url";
import { closest } from "fastest-levenshtein";
import { bundled, type Described } from "../data/bundled.js";
import { type Dataset, type DatasetOptions, toDataset } from "../dataset.js";
import { UsageError } from "../errors.js";
import { fashionMnist, loadFashionMnist } from "./fashion-mnist.js";
import { openFile, readTable } from "./file.js";

/** Everything that has a name. */
export const describedData: readonly Described[] = [...bundled, fashionMnist];

/**
 * The dataset of a name, or of the file at a path; options that are left out take what suits a bundled one. Throws
 * UsageError for a name that is neither, and as `readTable` and `toDataset`.
 */
export async function loadDataset(source: string, options: DatasetOptions): Promise<Dataset> {
  if (source === fashionMnist.name) return loadFashionMnist(options, fashionMnist.provenance);
  const own = bundled.find(({ name }) => name === source);
  if (own) {
    const table = await own.read(await openFile(dataFile(own.file)));
    return toDataset(table, { ...options, image: options.image ?? own.image }, own.provenance);
  }
  if (!existsSync(source) && basename(source) === source && extname(source) === "") {
    const names = describedData.map(({ name }) => name);
    throw new UsageError(
      `--data: there is neither a dataset nor a file "${source}"; did you mean "${closest(source, names)}"? The datasets are ${names.join(", ")}`,
    );
  }
  return toDataset(await readTable(source), options, source);
}

/** A file of lab/data, which is two folders up from src/node and from dist/node alike. */
function dataFile(file: string): string {
  return fileURLToPath(new URL(`../../data/${file}`, import.meta.url));
}
