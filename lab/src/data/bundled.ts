/** Data by name (those that come with the lab, and Fashion-MNIST) or by the path of a file. */
import { existsSync } from "node:fs";
import { basename, extname } from "node:path";
import { fileURLToPath } from "node:url";
import { closest } from "fastest-levenshtein";
import { UsageError } from "../errors.js";
import { makeTable, type Table } from "./column.js";
import { parseCsv } from "./csv.js";
import { type Dataset, type DatasetOptions, toDataset } from "./dataset.js";
import { loadFashionMnist } from "./fashion-mnist.js";
import { readText } from "./file.js";
import { readTable } from "./table.js";

/** A dataset that needs no file of the user's. */
export interface BundledName {
  name: string;
  /** One line: what it is, and its size. */
  description: string;
  provenance: string;
  licence: string;
}

export const bundledNames: readonly BundledName[] = [
  {
    name: "breast-cancer",
    description: "cell nuclei in images of breast masses: 569 rows, 30 measurements, 2 classes",
    provenance:
      "Wisconsin Diagnostic Breast Cancer, Wolberg, Street & Mangasarian 1995, UCI Machine Learning Repository; the file of scikit-learn 1.2.1",
    licence: "BSD-3-Clause (scikit-learn)",
  },
  {
    name: "digits",
    description: "handwritten digits: 1,797 images of 8×8 pixels, 10 classes",
    provenance:
      "Optical Recognition of Handwritten Digits, Alpaydin & Kaynak 1998, UCI Machine Learning Repository; the file of scikit-learn 1.2.1",
    licence: "BSD-3-Clause (scikit-learn)",
  },
  {
    name: "credit-g",
    description: "German credit: 1,000 rows, 7 numeric and 13 text columns, good or bad",
    provenance:
      "Statlog German Credit Data, Hofmann 1994, UCI Machine Learning Repository; the file of Weka's examples",
    licence: "none stated in the file",
  },
  {
    name: "shuttle",
    description: "space shuttle sensors: 58,000 rows, 9 raw numeric columns, 7 classes, one of them 78.6 %",
    provenance: "Statlog Shuttle, UCI Machine Learning Repository; from the R package mlbench",
    licence: "none stated in the file",
  },
  {
    name: "fashion-mnist",
    description: "articles of clothing: 70,000 images of 28×28 pixels, 10 classes (installed apart)",
    provenance: "Fashion-MNIST, Xiao, Rasul & Vollgraf 2017, Zalando; Debian's package dataset-fashion-mnist",
    licence: "MIT",
  },
];

/**
 * The dataset of a bundled name, or of the file at a path; options that are left out take what suits a bundled one.
 * Throws UsageError for a name that is neither, and as `readTable` and `toDataset`.
 */
export async function loadDataset(source: string, options: DatasetOptions): Promise<Dataset> {
  const bundled = bundledNames.find(({ name }) => name === source);
  if (bundled) return loadBundled(bundled, options);
  if (!existsSync(source) && basename(source) === source && extname(source) === "") {
    const names = bundledNames.map(({ name }) => name);
    throw new UsageError(
      `--data: there is neither a dataset nor a file "${source}"; did you mean "${closest(source, names)}"? The datasets are ${names.join(", ")}`,
    );
  }
  return toDataset(await readTable(source), options, source);
}

async function loadBundled({ name, provenance }: BundledName, options: DatasetOptions): Promise<Dataset> {
  switch (name) {
    case "breast-cancer":
      return toDataset(await breastCancer(), options, provenance);
    case "digits":
      return toDataset(await digits(), { ...options, image: options.image ?? [8, 8] }, provenance);
    case "fashion-mnist":
      return loadFashionMnist(options, provenance);
    default:
      // Their target is the last column, as `toDataset` takes it.
      return toDataset(
        await readTable(dataFile(name === "credit-g" ? "credit-g.arff" : "shuttle.csv.gz")),
        options,
        provenance,
      );
  }
}

/** A file of lab/data, which is two folders up from src/data and from dist/data alike. */
function dataFile(file: string): string {
  return fileURLToPath(new URL(`../../data/${file}`, import.meta.url));
}

/** The file's first line is scikit-learn's own (rows, columns, classes), in the place of a header. */
async function breastCancer(): Promise<Table> {
  const measures = [
    "radius",
    "texture",
    "perimeter",
    "area",
    "smoothness",
    "compactness",
    "concavity",
    "concave points",
    "symmetry",
    "fractal dimension",
  ];
  const names = ["mean", "error", "worst"].flatMap((statistic) =>
    measures.map((measure) => (statistic === "error" ? `${measure} error` : `${statistic} ${measure}`)),
  );
  const text = await readText(dataFile("breast-cancer.csv"));
  const table = withHeader([...names, "diagnosis"], text.slice(text.indexOf("\n") + 1), "breast-cancer.csv");
  const diagnosis = table.columns[names.length];
  diagnosis.kind = "text";
  diagnosis.values = diagnosis.values.map((value) => (value === 0 ? "malignant" : "benign"));
  return table;
}

async function digits(): Promise<Table> {
  const pixels = Array.from({ length: 64 }, (_, index) => `pixel_${Math.floor(index / 8)}_${index % 8}`);
  const file = "digits.csv";
  return withHeader([...pixels, "digit"], await readText(dataFile("digits-8x8.csv.gz")), file);
}

function withHeader(names: string[], rows: string, file: string): Table {
  return makeTable(file, parseCsv(`${names.join(",")}\n${rows}`, file, ","));
}
