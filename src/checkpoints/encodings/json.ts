/** JSON in files: an object, as UTF-8. Names such as `__proto__` stay names: read them by `Object.entries` and `Object.hasOwn`. */
import { CheckpointError } from "../errors.js";
import type { Bytes } from "../source.js";

export type JSONObject = Readonly<Record<string, unknown>>;

export function isObject(value: unknown): value is JSONObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * An object of JSON.
 * @param what it is, for errors: "a header"
 * @param most bytes that it may have
 * @param list what a list in its place is a member of, where there may be one
 * @throws CheckpointError for what is none, and for two values under one name where `unique` is set
 */
export async function jsonIn(
  format: string,
  bytes: Bytes,
  what: string,
  { most, unique = false, list }: { most: number; unique?: boolean; list?: string },
): Promise<JSONObject> {
  const fail = (problem: string, remedy?: string) =>
    new CheckpointError(bytes.file, format, problem, { offset: bytes.offset, remedy });
  if (bytes.byteLength > most) {
    throw fail(
      `expected ${what} of at most ${most} bytes, got ${bytes.byteLength}`,
      "split the file where it was written",
    );
  }
  let text: string;
  let value: unknown;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(await bytes.read());
    value = parsed(text);
  } catch (error) {
    if (error instanceof CheckpointError) throw error;
    throw fail(`expected ${what} in JSON, got something else (${(error as Error).message})`);
  }
  if (list !== undefined && Array.isArray(value)) return { [list]: value };
  if (!isObject(value)) throw fail(`expected ${what} that is an object of JSON`);
  if (unique && namesIn(text) !== namesOf(value)) throw fail(`expected ${what} with each name once`);
  return value;
}

/** Texts, also one without its end, and the numbers of Python that JSON does not have. */
const PYTHON = /"(?:[^"\\]|\\[\s\S])*"?|\bInfinity\b|\bNaN\b/g;
/** Characters of a text in which these are looked for. */
const MOST_PYTHON = 2 ** 21;

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const numbers: Record<string, string> = { Infinity: "1e999", NaN: "null" };
    const written = text.length > MOST_PYTHON ? text : text.replace(PYTHON, (word) => numbers[word] ?? word);
    if (written === text) throw error;
    return JSON.parse(written);
  }
}

const [QUOTE, BACKSLASH, COLON] = [0x22, 0x5c, 0x3a];

/** How many names of members a text of JSON has: its colons outside of strings. */
function namesIn(text: string): number {
  let names = 0;
  let quoted = false;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) quoted = !quoted;
    else if (quoted && code === BACKSLASH) at++;
    else if (!quoted && code === COLON) names++;
  }
  return names;
}

/** How many members a value of JSON has, those of its members too. */
function namesOf(root: unknown): number {
  let names = 0;
  const open = [root];
  while (open.length > 0) {
    const value = open.pop();
    if (typeof value !== "object" || value === null) continue;
    const members = Object.values(value);
    if (!Array.isArray(value)) names += members.length;
    for (const member of members) open.push(member);
  }
  return names;
}
