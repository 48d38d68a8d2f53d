/** How the index of the normalizations is made and asked: the same when the site is built and in the page. */
import type { Options } from "minisearch";

export interface Found {
  /** In the catalog, which is the folder of its page. */
  name: string;
  title: string;
  summary: string;
  /** What it is called elsewhere: "PyTorch nn.GroupNorm". */
  names: string[];
}

export interface Indexed extends Found {
  /** Of the words of its title, as papers have it: "FRN". */
  initials: string;
  text: string;
}

/** Without accents and raised digits: "R²-IN" is found as "r2". */
const plain = (term: string): string => term.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();

const SEPARATOR = /[\n\r\p{Z}\p{P}\p{S}]+/u;

/** Words; a name of several, such as GroupNorm, is also each of them. */
const words = (text: string): string[] =>
  text
    .split(SEPARATOR)
    .flatMap((word) => {
      const parts = word.split(/(?<=[\p{Ll}\d])(?=\p{Lu})/u);
      return parts.length > 1 ? [word, ...parts] : [word];
    })
    .filter((word) => word !== "");

export const SEARCH: Options<Indexed> = {
  idField: "name",
  fields: ["title", "name", "initials", "names", "summary", "text"],
  storeFields: ["name", "title", "summary", "names"],
  extractField: (document, field) => {
    const value = document[field as keyof Indexed];
    return Array.isArray(value) ? value.join(" ") : value;
  },
  tokenize: words,
  processTerm: plain,
  searchOptions: {
    tokenize: (query) => query.split(SEPARATOR).filter((word) => word !== ""),
    combineWith: "AND",
    prefix: (term) => term.length > 1,
    fuzzy: (term) => (term.length > 4 ? 0.2 : false),
    boost: { title: 5, name: 5, initials: 8, names: 4, summary: 3 },
  },
};
