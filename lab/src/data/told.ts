/** Decisions as they are made column by column, told once for all columns that share them. */
import { count as counted, listed, quote } from "@evenkeel/report/format";
import { argument } from "./names.js";
import type { Decision } from "./table.js";

/** Most cells that are shown of a decision, and most columns that its option names. */
export const EXAMPLES = 3;
/** Characters of a cell that are shown. */
export const SHOWN = 40;

export const shown = (text: string): string => quote(text, SHOWN);

/** Reasons and options that many decisions have. */
export const ofCells = (examples: string, count: number) => `${examples}, in ${counted(count, "cell")}`;
export const suchAs = (examples: string) => `such as ${examples}`;
export const keptAsText = (columns: string) => `--categorical ${columns}`;

export interface About {
  /** Cells to show, and how many are meant. */
  examples?: Iterable<string>;
  count?: number;
  /** Why, where the cells need not be seen for it; columns of another reason are told by themselves. */
  reason?: string;
  why?: (examples: string, count: number) => string;
  /** `columns`: as one types them after an option. */
  option?: (columns: string) => string | undefined;
}

interface Telling {
  what: string;
  columns: Set<string>;
  examples: Set<string>;
  count: number;
  about: About;
}

/** Decisions by what was done: one for all columns that it was done to. */
export class Told {
  private readonly all = new Map<string, Telling>();

  add(what: string, column: string, about: About): void {
    // what can be decided otherwise in another way is told by itself
    const key = JSON.stringify([what, about.reason, about.option?.("NAME")]);
    let entry = this.all.get(key);
    if (entry === undefined) {
      entry = { what, columns: new Set(), examples: new Set(), count: 0, about };
      this.all.set(key, entry);
    }
    entry.columns.add(column);
    entry.count += about.count ?? 0;
    for (const example of about.examples ?? []) {
      if (entry.examples.size >= EXAMPLES) break;
      entry.examples.add(example);
    }
  }

  get decisions(): Decision[] {
    return [...this.all.values()].map(({ what, columns, examples, count, about }) => {
      // of a long column, only the first different cells are kept as examples
      const why =
        about.examples && examples.size === 0
          ? undefined
          : (about.reason ?? about.why?.(listed([...examples].map(shown)), count));
      const typed = columns.size <= EXAMPLES ? [...columns].map(argument).join(",") : "NAME";
      const option = about.option?.(typed);
      return {
        columns: [...columns],
        what,
        ...(why !== undefined && { why }),
        ...(option !== undefined && { option }),
      };
    });
  }
}
