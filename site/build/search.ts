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

/** As a result of a search shows it: "nn.GroupNorm (PyTorch)"; libraries' names say whose they are. */
export function calledElsewhere({ framework, name }: Elsewhere): string {
  const paper = name.replace(/^paper: /, "");
  if (paper !== name) return `${paper} (paper)`;
  return /^(Libraries|Models)/.test(framework) ? name : `${name} (${framework})`;
}

/** Of two words or more: what abbreviations are made of. Words that are abbreviations stay. */
export function initialsOf(title: string): string {
  const words = title.split(/[\s-]+/);
  const initials = words.map((word) => (/^[A-Z]+$/.test(word) ? word : word[0].toUpperCase()));
  return words.length > 1 ? initials.join("") : "";
}

/** @returns JSON of the index */
export function indexOf(documents: readonly Indexed[]): string {
  const index = new MiniSearch(SEARCH);
  index.addAll(documents);
  return JSON.stringify(index);
}
