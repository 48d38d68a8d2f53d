/**
 * ARFF, the format of Weka and OpenML: attributes declared one per line, then rows of values, dense
 * (`5.1, 'a b', ?`) or sparse (`{0 5.1, 1 'a b'}`). npm has no maintained parser for it. Rows are split here and not by
 * the CSV parser, because in one file either quote may enclose a value, with backslash escapes, after the index of a
 * sparse row too, and because `?` is missing but `'?'` is text.
 */
import { FailureError } from "../../errors.js";
import { type Column, isMissing, numberOrText, type Value } from "../column.js";

/** A declared attribute: its levels if it is nominal, else whether it holds numbers or text. */
interface Attribute {
  name: string;
  type: "number" | "text" | Set<string>;
}

const QUOTED = String.raw`'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"`;
const VALUE = `${QUOTED}|(?!['"])[^,]*?`;
const DENSE = new RegExp(String.raw`\s*(${VALUE})\s*(?:,|$)`, "y");
const SPARSE = new RegExp(String.raw`\s*(\d+)\s+(${VALUE})\s*(?:,|$)`, "y");
const ATTRIBUTE = new RegExp(
  String.raw`^@attribute\s+(${QUOTED}|[^\s'"{][^\s{]*)(?:\s+|(?=\{))(?:\{(.*)\}|([a-z]+)[^%]*)\s*(?:%.*)?$`,
  "i",
);

const TYPES = new Map<string, "number" | "text">([
  ["numeric", "number"],
  ["real", "number"],
  ["integer", "number"],
  ["string", "text"],
  ["date", "text"],
]);

/**
 * The columns of an ARFF file's text; `file` is its name in messages. Dates are text. A value left out of a sparse row
 * is 0, or the first level of a nominal attribute, or missing where the attribute is text. Throws FailureError, with
 * the line, for what is not ARFF; text in a numeric attribute stays in the column for its user to name.
 */
export function parseArff(text: string, file: string): Column[] {
  const attributes: Attribute[] = [];
  const columns: Column[] = [];
  let inData = false;
  let row = 0;
  for (const [index, raw] of text.split("\n").entries()) {
    const line = raw.trim();
    if (line === "" || line.startsWith("%")) continue;
    const fail = (message: string): never => {
      const place = inData ? `row ${row + 1} (line ${index + 1})` : `line ${index + 1}`;
      throw new FailureError(`${file}: ${place}: ${message}`);
    };
    if (inData) {
      const values = line.startsWith("{")
        ? sparseRow(line, attributes, fail)
        : denseRow(line, attributes, fail);
      for (const [column, value] of values.entries()) columns[column].values.push(value);
      row++;
    } else if (/^@relation\b/i.test(line)) {
      // the name of the relation is not needed: the file has one
    } else if (/^@attribute\b/i.test(line)) {
      const attribute = readAttribute(line, fail);
      attributes.push(attribute);
      columns.push({
        name: attribute.name,
        kind: attribute.type === "number" ? "number" : "text",
        values: [],
      });
    } else if (/^@data\s*(%.*)?$/i.test(line)) {
      if (attributes.length === 0) fail("@data comes before any @attribute; declare the attributes first");
      inData = true;
    } else {
      fail(`expected @relation, @attribute, @data or a % comment, got ${JSON.stringify(shorten(line))}`);
    }
  }
  if (!inData) {
    throw new FailureError(
      `${file}: expected a line @data and rows below it, got none; the file may be truncated: fetch or write it again`,
    );
  }
  return columns;
}

type Fail = (message: string) => never;

function readAttribute(line: string, fail: Fail): Attribute {
  const [, name, levels, type] = ATTRIBUTE.exec(line) ?? [];
  if (name === undefined) {
    return fail(
      `expected @attribute name numeric, string or {level, …}, got ${JSON.stringify(shorten(line))}`,
    );
  }
  if (levels !== undefined) return { name: unquote(name), type: new Set(split(levels, fail).map(unquote)) };
  const known = TYPES.get(type.toLowerCase());
  if (known === undefined) {
    return fail(
      `attribute "${unquote(name)}": expected the type numeric, real, integer, string, date or {level, …}, got "${type}"`,
    );
  }
  return { name: unquote(name), type: known };
}

function denseRow(line: string, attributes: readonly Attribute[], fail: Fail): Value[] {
  const tokens = split(line, fail);
  if (tokens.length !== attributes.length) {
    return fail(
      `expected ${attributes.length} values, one for each attribute, got ${tokens.length}; add or remove values, or quote a value that holds a comma`,
    );
  }
  return attributes.map((attribute, index) => readValue(tokens[index], attribute, fail));
}

function sparseRow(line: string, attributes: readonly Attribute[], fail: Fail): Value[] {
  if (!line.endsWith("}")) return fail("a sparse row must end in }; close it");
  const inside = line.slice(1, -1).trim();
  const values = attributes.map(({ type }): Value => {
    if (type === "number") return 0;
    return type === "text" ? null : ([...type][0] ?? null);
  });
  let last = -1;
  SPARSE.lastIndex = 0;
  while (SPARSE.lastIndex < inside.length) {
    const [, digits, token] = SPARSE.exec(inside) ?? [];
    const index = Number(digits);
    const attribute = attributes[index];
    if (token === undefined || attribute === undefined || index <= last) {
      return fail(
        `expected pairs "index value" with rising indices from 0 to ${attributes.length - 1}, got ${JSON.stringify(shorten(line))}`,
      );
    }
    values[index] = readValue(token, attribute, fail);
    last = index;
  }
  return values;
}

/** The values between commas, with their quotes. */
function split(line: string, fail: Fail): string[] {
  const tokens: string[] = [];
  DENSE.lastIndex = 0;
  let more = true;
  while (more) {
    const match = DENSE.exec(line);
    if (match === null) {
      return fail(
        `the quotes do not match in ${JSON.stringify(shorten(line))}; close the quote, or write \\' inside one`,
      );
    }
    tokens.push(match[1]);
    more = match[0].endsWith(",");
  }
  return tokens;
}

function readValue(token: string, { name, type }: Attribute, fail: Fail): Value {
  if (token === "?" || token === "") return null;
  const text = unquote(token);
  if (type === "number") return isMissing(text) ? null : numberOrText(text);
  if (type !== "text" && !type.has(text)) {
    return fail(
      `attribute "${name}": expected one of ${shorten([...type].join(", "))}, got "${text}"; correct the value, or declare it`,
    );
  }
  return text;
}

function unquote(token: string): string {
  return /^['"]/.test(token) ? token.slice(1, -1).replace(/\\(.)/g, "$1") : token;
}

function shorten(text: string): string {
  return text.length > 80 ? `${text.slice(0, 79)}…` : text;
}
