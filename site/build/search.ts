/** The index of the normalizations' pages, made when the site is built, and loaded when someone searches. */
import MiniSearch from "minisearch";
import { type Indexed, SEARCH } from "../src/norms/search.ts";

/** What frameworks call the normalizations, by ours: docs/norms/README.md says what covers what. */
export interface Elsewhere {
  framework: string;
  name: string;
  /** Markdown. */
  how: string;
}

/** @param overview Markdown of docs/norms/README.md */
export function namesElsewhere(overview: string): Map<string, Elsewhere[]> {
  const found = new Map<string, Elsewhere[]>();
  let framework = "";
  for (const line of overview.split("\n")) {
    framework = /^### (.*)/.exec(line)?.[1] ?? framework;
    const [, name, covered, how] = /^\| `([^`]+)` \| (.*?) \| (.*) \|$/.exec(line) ?? [];
    if (name === undefined || framework === "") continue;
    for (const [, ours] of covered.matchAll(/\]\((\w+)\.md\)/g))
      found.set(ours, [...(found.get(ours) ?? []), { framework, name, how }]);
  }
  return found;
}

/** Of two words or more: what abbreviations are made of. */
export function initialsOf(title: string): string {
  const words = title.split(/[\s-]+/);
  return words.length > 1 ? words.map((word) => word[0].toUpperCase()).join("") : "";
}

/** @returns JSON of the index */
export function indexOf(documents: readonly Indexed[]): string {
  const index = new MiniSearch(SEARCH);
  index.addAll(documents);
  return JSON.stringify(index);
}
