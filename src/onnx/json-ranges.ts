/** Where the parts of a JSON text stand, so that some can be exchanged and all others stay as they are written. */

/** A value in a text, from its first character up to the one after its last. */
export interface JSONRange {
  readonly start: number;
  readonly end: number;
}

const CLOSING: Readonly<Record<string, string>> = { "{": "}", "[": "]" };
const SPACE = /[ \t\n\r]*/y;
/** What is no bracket and no text: numbers and words. */
const PLAIN = /[^ \t\n\r,\]}]*/y;

/** @param text valid JSON, which may have Python's NaN and Infinity in it */
function skipped(pattern: RegExp, text: string, at: number): number {
  pattern.lastIndex = at;
  pattern.test(text);
  return pattern.lastIndex;
}

function endOfText(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at++) {
    if (text[at] === "\\") at++;
    else if (text[at] === '"') return at + 1;
  }
  return text.length;
}

function endOfValue(text: string, start: number): number {
  if (text[start] === '"') return endOfText(text, start);
  if (!(text[start] in CLOSING)) return skipped(PLAIN, text, start);
  let depth = 0;
  for (let at = start; at < text.length; at++) {
    const character = text[at];
    if (character === '"') at = endOfText(text, at) - 1;
    else if (character in CLOSING) depth++;
    else if (character === "}" || character === "]") {
      depth--;
      if (depth === 0) return at + 1;
    }
  }
  return text.length;
}

/** The members of an object or a list that begins at a character: by name, or in order; of two of one name the last. */
export function membersAt(text: string, start: number): Map<string, JSONRange> {
  const members = new Map<string, JSONRange>();
  const closing = CLOSING[text[start]];
  let at = skipped(SPACE, text, start + 1);
  while (closing !== undefined && at < text.length && text[at] !== closing) {
    let name = String(members.size);
    if (closing === "}") {
      const end = endOfText(text, at);
      name = JSON.parse(text.slice(at, end));
      at = skipped(SPACE, text, skipped(SPACE, text, end) + 1);
    }
    const end = endOfValue(text, at);
    members.set(name, { start: at, end });
    at = skipped(SPACE, text, end);
    if (text[at] === ",") at = skipped(SPACE, text, at + 1);
  }
  return members;
}

/** The value at the end of a path of names, from the text's own; undefined where there is none. */
export function rangeAt(text: string, path: readonly string[]): JSONRange | undefined {
  let start = skipped(SPACE, text, text.startsWith("\ufeff") ? 1 : 0);
  let found: JSONRange | undefined = { start, end: text.length };
  for (const name of path) {
    found = membersAt(text, start).get(name);
    if (found === undefined) return undefined;
    start = found.start;
  }
  return found;
}

/**
 * A list with members taken out, and others put in after them; as it is where nothing changes.
 * @param added as JSON, by the member that they come after: −1 before the first, Infinity after the last
 */
export function listed(
  text: string,
  range: JSONRange,
  removed: ReadonlySet<number>,
  added: ReadonlyMap<number, readonly string[]>,
): string {
  const members = [...membersAt(text, range.start).values()];
  const pieces: string[] = [...(added.get(-1) ?? [])];
  for (const [i, { start, end }] of members.entries()) {
    if (!removed.has(i)) pieces.push(text.slice(start, end));
    pieces.push(...(added.get(i) ?? []));
  }
  pieces.push(...(added.get(Number.POSITIVE_INFINITY) ?? []));
  // between the members stands what stood between the first two
  const between = members.length > 1 ? text.slice(members[0].end, members[1].start) : ", ";
  const before = members.length > 0 ? text.slice(range.start, members[0].start) : "[";
  const after = members.length > 0 ? text.slice(members[members.length - 1].end, range.end) : "]";
  return before + pieces.join(between) + after;
}
