/** The tables that come with the lab, in lab/data. */
import { readTable } from "./readers/registry.js";
import type { Source } from "./readers/source.js";
import type { ReadOptions, Table } from "./table.js";

/** Data that need no file of the user's. */
export interface Described {
  name: string;
  /** One line: what it is, and its size. */
  description: string;
  provenance: string;
  licence: string;
}

export interface Bundled extends Described {
  /** In lab/data. */
  file: string;
  /** The size of the images that its features are the pixels of. */
  image?: [height: number, width: number];
  read(source: Source, options?: ReadOptions): Promise<Table>;
}

export const bundled: readonly Bundled[] = [
  {
    name: "breast-cancer",
    description: "cell nuclei in images of breast masses: 569 rows, 30 measurements, 2 classes",
    provenance:
      "Wisconsin Diagnostic Breast Cancer, Wolberg, Street & Mangasarian 1995, UCI Machine Learning Repository; the file of scikit-learn 1.2.1",
    licence: "BSD-3-Clause (scikit-learn)",
    file: "breast-cancer.csv",
    read: breastCancer,
  },
  {
    name: "digits",
    description: "handwritten digits: 1,797 images of 8×8 pixels, 10 classes",
    provenance:
      "Optical Recognition of Handwritten Digits, Alpaydin & Kaynak 1998, UCI Machine Learning Repository; the file of scikit-learn 1.2.1",
    licence: "BSD-3-Clause (scikit-learn)",
    file: "digits-8x8.csv.gz",
    image: [8, 8],
    read: digits,
  },
  {
    name: "credit-g",
    description: "German credit: 1,000 rows, 7 numeric and 13 text columns, good or bad",
    provenance:
      "Statlog German Credit Data, Hofmann 1994, UCI Machine Learning Repository; the file of Weka's examples",
    licence: "none stated in the file",
    file: "credit-g.arff",
    read: readTable,
  },
  {
    name: "shuttle",
    description: "space shuttle sensors: 58,000 rows, 9 raw numeric columns, 7 classes, one of them 78.6 %",
    provenance: "Statlog Shuttle, UCI Machine Learning Repository; from the R package mlbench",
    licence: "none stated in the file",
    file: "shuttle.csv.gz",
    read: readTable,
  },
];

/** The first line is scikit-learn's own (rows, columns, classes) instead of a header. */
async function breastCancer(source: Source, options: ReadOptions = {}): Promise<Table> {
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
  const table = await withNames([...names, "diagnosis"], source, options);
  const diagnosis = table.columns[names.length];
  diagnosis.kind = "text";
  diagnosis.values = diagnosis.values.map((value) => (value === 0 ? "malignant" : "benign"));
  return table;
}

async function digits(source: Source, options: ReadOptions = {}): Promise<Table> {
  const pixels = Array.from({ length: 64 }, (_, index) => `pixel_${Math.floor(index / 8)}_${index % 8}`);
  const table = await withNames([...pixels, "digit"], source, options);
  const digit = table.columns[pixels.length];
  digit.kind = "text";
  digit.values = digit.values.map(String);
  return table;
}

/** A table without a header; that its columns are named here is nothing to decide. */
async function withNames(names: string[], source: Source, options: ReadOptions): Promise<Table> {
  const table = await readTable(source, { limits: options.limits, sample: options.sample, header: false });
  for (const [index, column] of table.columns.entries()) column.name = names[index];
  return { ...table, decisions: [] };
}
