/** How the index of the normalizations is made and asked: the same when the site is built and in the page. */
import type MiniSearch from "minisearch";
import type { Options } from "minisearch";

export interface Found {
  /** In the catalog, which is the folder of its page. */
  name: string;
  title: string;
  summary: string;
  /** What it is called elsewhere: "nn.GroupNorm (PyTorch)". */
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

const words = (text: string): string[] => text.split(SEPARATOR).filter((word) => word !== "");
/** Those of a name: GroupNorm has two. */
const partsOf = (text: string): string[] => words(text.replace(/(?<=[\p{Ll}\d])(?=\p{Lu})/gu, " "));

export const SEARCH: Options<Indexed> = {
  idField: "name",
  fields: ["title", "name", "initials", "names", "summary", "text"],
  storeFields: ["name", "title", "summary", "names"],
  tokenize: (text, field) => {
    if (field === "name") return partsOf(text);
    return field === "names" ? [...new Set([...words(text), ...partsOf(text)])] : words(text);
  },
  processTerm: plain,
  searchOptions: {
    tokenize: words,
    combineWith: "AND",
    prefix: true,
    fuzzy: (term) => (term.length > 3 ? 0.25 : false),
    weights: { prefix: 0.7, fuzzy: 0.3 },
    boost: { title: 5, name: 5, initials: 8, names: 2, summary: 3, text: 0.5 },
  },
};

/** How much more a normalization counts whose name is all of what one asked for. */
const NAMED = 8;

export interface Result extends Found {
  /** Names elsewhere that were asked for. */
  matched: string[];
}

/** Best first. A longer name, of which the query is a part, comes after the shorter: an LSTM with layer normalization after the latter. */
export function find(index: MiniSearch<Indexed>, query: string): Result[] {
  const found = index.search(query).map((result) => {
    const { name, title, summary, names } = result as unknown as Found;
    const parts = partsOf(name).map(plain);
    const asked = parts.filter((part) => result.match[part]?.includes("name")).length / parts.length;
    const matched = names.filter((each) => result.queryTerms.every((term) => plain(each).includes(term)));
    return {
      score: result.score * (1 + NAMED * asked ** 2),
      result: { name, title, summary, names, matched },
    };
  });
  return found.sort((a, b) => b.score - a.score).map(({ result }) => result);
}
