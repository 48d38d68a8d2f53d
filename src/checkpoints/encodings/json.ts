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
    value = parseJSON(text);
  } catch (error) {
    if (error instanceof CheckpointError) throw error;
    throw fail(`expected ${what} in JSON, got something else (${(error as Error).message})`);
  }
  if (list !== undefined && Array.isArray(value)) return { [list]: value };
  if (!isObject(value)) throw fail(`expected ${what} that is an object of JSON`);
  if (unique && namesIn(text) !== namesOf(value)) throw fail(`expected ${what} with each name once`);
  return value;
}

/** JSON, also as Python writes it: NaN and Infinity may stand in it, which become null and 1e999. @throws SyntaxError for what is none */
export function parseJSON(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return JSON.parse(withoutPythonNumbers(text));
  }
}

function withoutPythonNumbers(text: string): string {
  const parts: string[] = [];
  let from = 0;
  let inText = false;
  for (let at = 0; at < text.length; at++) {
    if (text[at] === "\\") at++;
    else if (text[at] === '"') inText = !inText;
    else if (!inText && (text.startsWith("NaN", at) || text.startsWith("Infinity", at))) {
      parts.push(text.slice(from, at), text[at] === "N" ? "null" : "1e999");
      from = at + (text[at] === "N" ? 3 : 8);
      at = from - 1;
    }
  }
  return parts.join("") + text.slice(from);
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
