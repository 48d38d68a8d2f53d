/** Lists of names with what each means, in terminals of any width. */
import { wrap } from "@evenkeel/report/format";

/** Columns that a text beside names is to have; in fewer it stands below its name. */
const LEAST = 30;
const INDENT = "  ";

/** A name and its text beside it, which begins at `column`; lines of at most `width` characters where its words allow. */
export function entryText(name: string, text: string, column: number, width: number): string {
  const [head, from] =
    width - column < LEAST
      ? [`${INDENT}${name}\n${INDENT}${INDENT}`, 2 * INDENT.length]
      : [`${INDENT}${name}`.padEnd(column), column];
  return head + wrap(text, width - from).replaceAll("\n", `\n${" ".repeat(from)}`);
}
