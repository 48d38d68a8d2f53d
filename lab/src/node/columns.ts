/** Texts of files, names and small numbers, in the columns of a terminal. */
import { wrap } from "@evenkeel/report/format";

/** Bars of a picture in a line, from none to the highest. */
export const BLOCKS = " ▁▂▃▄▅▆▇█";

/** Two digits in at most six characters, or more of both. */
export function short(value: number, digits = 2): string {
  const rounded = Number(value.toPrecision(digits));
  const plainly = rounded === 0 || (Math.abs(rounded) >= 0.01 && Math.abs(rounded) < 10_000);
  const text = plainly ? String(rounded) : value.toExponential(digits - 2).replace("e+", "e");
  return text.replaceAll("-", "−");
}

/** Names come from files: what would steer the terminal, or turn the writing round, is shown as a mark. */
export function plain(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, "�");
}

/** A text from a file in lines of at most `width` columns; words that are longer lose their middle. */
export function folded(text: string, width: number, indent = ""): string {
  const words = plain(text).split(" ");
  return wrap(words.map((word) => shortened(word, width - indent.length)).join(" "), width, indent);
}

/** Those that a terminal shows two columns wide: East Asian scripts and emoji. */
const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]/u;

/** Columns of a text in a terminal. */
export function widthOf(text: string): number {
  let columns = 0;
  for (const character of text) columns += WIDE.test(character) ? 2 : /\p{M}/u.test(character) ? 0 : 1;
  return columns;
}

/** Names in at most `width` columns. Where two would look the same, all lose the parts that they have in common at their ends. */
export function toldApart(names: readonly string[], width: number): string[] {
  const [first] = names;
  const least = Math.min(...names.map(({ length }) => length));
  const same = (at: (name: string, i: number) => string) => {
    let length = 0;
    while (length < least && names.every((name) => at(name, length) === at(first, length))) length++;
    return length;
  };
  let all = names.map((name) => shortened(name, width));
  for (const [before, after] of [
    [/[^/.]*$/, /[/.]|$/],
    [/[^/._]*$/, /[/._]|$/],
  ]) {
    if (new Set(all).size === new Set(names).size) break;
    const start = first
      .slice(
        0,
        same((name, i) => name[i]),
      )
      .search(before);
    const common = Math.min(
      least - start,
      same((name, i) => name[name.length - 1 - i]),
    );
    const end = common - first.slice(first.length - common).search(after);
    all = names.map((name) => {
      const own = name.slice(start, name.length - end);
      return shortened(`${start > 0 ? "…" : ""}${own}${end > 0 ? "…" : ""}`, width);
    });
  }
  return all;
}

/** At most `width` columns: what is too long loses its middle, since both ends of a path say most. */
export function shortened(text: string, width: number): string {
  if (widthOf(text) <= width) return text;
  const characters = [...text];
  let [head, tail] = ["", ""];
  let room = Math.max(0, width - 1);
  for (let [from, to] = [0, characters.length - 1]; from <= to; ) {
    const atEnd = widthOf(tail) <= widthOf(head);
    const next = atEnd ? characters[to--] : characters[from++];
    room -= widthOf(next);
    if (room < 0) break;
    if (atEnd) tail = next + tail;
    else head += next;
  }
  return `${head}…${tail}`;
}
