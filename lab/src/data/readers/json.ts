/**
 * JSON in the shapes in which people have tables: a list of objects, an object per line, columns, lists of cells, what
 * pandas writes, the features of GeoJSON, and answers of services that hold one such list.
 */
import { count, listed, quote } from "@evenkeel/report/format";
import { FailureError, UsageError } from "../../errors.js";
import { type Decision, type RawTable, type ReadOptions, usualLimits } from "../table.js";
import { valuesOf } from "./json-text.js";
import { tableOfColumns, tableOfRecords } from "./records.js";
import { drawn } from "./sample.js";

type Dictionary = Record<string, unknown>;

/** What the text holds: rows or columns, by name or by place. */
type Shape = { decisions?: Decision[] } & (
  | { records: Dictionary[]; names?: string[] }
  | { lists: unknown[][]; names?: string[] }
  | { columns: { name: string; values: unknown[] }[] }
);

/** The names of lists of rows, those that are meant most surely first. */
const NAMES_OF_ROWS =
  "data rows records items results values docs hits entries observations instances examples".split(" ");
const NAMES_OF_COLUMNS = "columns header headers fields names feature_names column_names".split(" ");
const MOST_DEPTH = 4;
const MOST_KEYS = 1000;

const EXPECTED =
  'expected rows, [{"a": 1, "b": 2}, …] or such an object on each line, or columns, {"a": [1, …], "b": [2, …]}';

/**
 * The columns of a text of JSON; `file` is its name in messages. Throws FailureError for what is not JSON, UsageError for
 * JSON that is no table or above a limit.
 */
export function parseJson(text: string, file: string, options: ReadOptions = {}): RawTable {
  const values = valuesOf(text, file, { ...usualLimits, ...options.limits });
  const shape =
    values.length === 1 ? shapeOf(values[0], file, options) : shapeOfList(together(values), file, options);
  const table = tableOf(shape, file, options);
  return { ...table, decisions: [...(shape.decisions ?? []), ...table.decisions] };
}

/** Pages of rows, one after the other, are one list of rows. */
function together(values: readonly unknown[]): readonly unknown[] {
  return values.every((value) => Array.isArray(value) && value.every(isObject)) ? values.flat() : values;
}

function tableOf(shape: Shape, file: string, options: ReadOptions): RawTable {
  const { limits } = options;
  const sampled = <Row>(rows: Row[], read: (rows: Row[]) => RawTable): RawTable => {
    const kept = drawn(rows.length, options.sample);
    if (kept === undefined) return read(rows);
    const table = read(Array.from(kept, (row) => rows[row]));
    return { ...table, rowCount: rows.length, rowNumbers: kept.map((row) => row + 1) };
  };
  if ("records" in shape) {
    return sampled(shape.records, (records) => tableOfRecords(records, file, shape.names, limits));
  }
  if ("lists" in shape) {
    const names = shape.names ?? shape.lists[0]?.map(() => "") ?? [];
    return sampled(shape.lists, (lists) =>
      tableOfColumns(
        names.map((name, index) => ({ name, values: lists.map((list) => list[index]) })),
        lists.length,
        file,
        limits,
      ),
    );
  }
  const { columns } = shape;
  const rowCount = columns[0]?.values.length ?? 0;
  const kept = drawn(rowCount, options.sample);
  if (kept === undefined) return tableOfColumns(columns, rowCount, file, limits);
  const drawnOf = columns.map(({ name, values }) => ({
    name,
    values: Array.from(kept, (row) => values[row]),
  }));
  const table = tableOfColumns(drawnOf, kept.length, file, limits);
  return { ...table, rowCount, rowNumbers: kept.map((row) => row + 1) };
}

function shapeOf(value: unknown, file: string, options: ReadOptions, depth = 0): Shape {
  if (Array.isArray(value)) return shapeOfList(value, file, options);
  if (!isObject(value)) throw new UsageError(`${file}: ${EXPECTED}, got ${describe(value)}`);
  return (
    listsIn(value, file, options) ??
    objectInside(value, file, options, depth) ??
    dictionaries(value) ??
    noShape(value, file)
  );
}

const listsIn = (value: Dictionary, file: string, options: ReadOptions): Shape | undefined =>
  features(value) ?? namedLists(value, file) ?? columnsOfLists(value) ?? listInside(value, file, options);

/** A list of objects, or of lists of cells; or of one object, or a few values, in which there is such a list. */
function shapeOfList(rows: readonly unknown[], file: string, options: ReadOptions): Shape {
  const [first, second] = rows;
  if (rows.length === 1 && isObject(first)) {
    const inner = listsIn(first, file, options);
    if (inner !== undefined) return inner;
  }
  // the World Bank's pages
  if (rows.length === 2 && isObject(first) && isRows(second)) return { records: second };
  if (Array.isArray(first)) return withHeader(listsOf(rows, file), options.header);
  const other = rows.findIndex((row) => !isObject(row));
  if (other >= 0) {
    throw new UsageError(
      `${file}: row ${(other + 1).toLocaleString("en-US")}: expected an object, {"a": 1, …}, got ${describe(rows[other])}; save each row as an object`,
    );
  }
  return { records: rows as Dictionary[] };
}

/** Lists of one length. */
function listsOf(rows: readonly unknown[], file: string): unknown[][] {
  const width = (rows[0] as unknown[]).length;
  for (const [index, row] of rows.entries()) {
    if (Array.isArray(row) && row.length === width) continue;
    throw new FailureError(
      `${file}: row ${(index + 1).toLocaleString("en-US")}: expected a list of ${count(width, "value")} as in the first, got ${Array.isArray(row) ? row.length.toLocaleString("en-US") : describe(row)}; give each row a value for each column, null where there is none`,
    );
  }
  return rows as unknown[][];
}

/** Whether the first list names the columns: it does where it is nothing but distinct names. */
function withHeader(lists: unknown[][], asked: boolean | undefined): Shape {
  const [first, ...rows] = lists;
  const names = first.map(textOf);
  const named =
    first.every((cell) => typeof cell === "string" && cell.trim() !== "" && Number.isNaN(Number(cell))) &&
    new Set(first).size === first.length;
  if (asked ?? named) return { lists: rows, names };
  if (asked === false) return { lists };
  const why = "its first list is not one of names alone";
  return { lists, decisions: [{ columns: [], what: "read without a header", why, option: "--header yes" }] };
}

/** GeoJSON: where each feature is, and what is known of it. */
function features(value: Dictionary): Shape | undefined {
  if (value.type !== "FeatureCollection" || !isRows(value.features)) return undefined;
  const records = (value.features as Dictionary[]).map(({ properties, geometry }) => ({
    geometry,
    // the last column is what is predicted by default
    ...(isObject(properties) ? properties : {}),
  }));
  return { records };
}

/** Lists of cells, with the names of the columns beside them, and perhaps columns of their own: `split` of pandas, or scikit-learn's data and target. */
function namedLists(value: Dictionary, file: string): Shape | undefined {
  for (const key of NAMES_OF_ROWS) {
    const rows = own(value, key);
    if (!Array.isArray(rows) || !Array.isArray(rows[0])) continue;
    const naming = NAMES_OF_COLUMNS.find((name) => {
      const names = own(value, name);
      return Array.isArray(names) && names.length === rows[0].length;
    });
    if (naming === undefined) continue;
    const lists = listsOf(rows, file);
    const columns = (value[naming] as unknown[]).map((name, index) => ({
      name: nameOf(name),
      values: lists.map((list) => list[index]),
    }));
    for (const [name, values] of Object.entries(value)) {
      if (name === key || name === naming || !Array.isArray(values) || values.length !== rows.length)
        continue;
      const isCount = name === "index" && values.every((label, row) => label === row);
      if (!isCount) columns.push({ name, values });
    }
    return { columns };
  }
  return undefined;
}

/** `"a"`, `["level", "a"]` or `{"name": "a"}`. */
function nameOf(name: unknown): string {
  if (Array.isArray(name)) return name.map(textOf).join(".");
  return textOf(isObject(name) ? (own(name, "name") ?? own(name, "id")) : name);
}

const textOf = (value: unknown): string =>
  value === undefined || typeof value === "object" ? "" : String(value);

/** `{"a": [1, 2], "b": [3, 4]}`; what else there is, is about the table. */
function columnsOfLists(value: Dictionary): Shape | undefined {
  const lists = Object.entries(value).filter((entry): entry is [string, unknown[]] =>
    Array.isArray(entry[1]),
  );
  const [first] = lists;
  if (first === undefined || lists.some(([, list]) => list.length !== first[1].length || isRows(list)))
    return undefined;
  if (lists.every(([, list]) => list.every(Array.isArray))) return undefined;
  const others = Object.keys(value).filter((key) => !Array.isArray(value[key]));
  if (lists.length < 2 && others.length > 0) return undefined;
  return {
    columns: lists.map(([name, values]) => ({ name, values })),
    decisions:
      others.length === 0
        ? []
        : [
            {
              columns: others.map((key) => quote(key).slice(1, -1)),
              what: "left out",
              why: "not a list as the columns are",
            },
          ],
  };
}

/** A list of rows within an object. */
interface Inside {
  path: string;
  key: string;
  depth: number;
  rows: unknown[];
}

/** The one list of rows in an object, or the one that is meant: the uppermost, or the one with a name for rows. */
function listInside(value: Dictionary, file: string, options: ReadOptions): Shape | undefined {
  const found: Inside[] = [];
  let visited = 0;
  let level: { object: Dictionary; path: string }[] = [{ object: value, path: "" }];
  for (let depth = 0; depth < MOST_DEPTH && level.length > 0; depth++) {
    const next: typeof level = [];
    for (const { object, path } of level) {
      for (const key of Object.keys(object)) {
        if (visited++ > MOST_KEYS) break;
        const inner = object[key];
        const here = path === "" ? key : `${path}.${key}`;
        if (Array.isArray(inner)) {
          if (isRows(inner) || (inner.length > 0 && inner.every(Array.isArray))) {
            found.push({ path: here, key, depth, rows: inner });
          }
        } else if (isObject(inner)) next.push({ object: inner, path: here });
      }
    }
    level = next;
  }
  if (found.length === 0) return undefined;
  const rank = ({ key }: Inside) => NAMES_OF_ROWS.indexOf(key.toLowerCase()) + 1 || NAMES_OF_ROWS.length + 1;
  const uppermost = found.filter(({ depth }) => depth === found[0].depth);
  const best = Math.min(...uppermost.map(rank));
  const [meant, ...rivals] = uppermost.filter((one) => rank(one) === best);
  const asked = found.find(({ path }) => path === options.member);
  if (asked === undefined && rivals.length > 0) {
    // people by their names, each with lists of their own, are rows themselves
    if (found[0].depth > 0) return undefined;
    throw severalLists(
      uppermost.map(({ path }) => path),
      meant.path,
      file,
    );
  }
  const { path, rows } = asked ?? meant;
  const shape = shapeOfList(rows, file, options);
  const others = found.filter((one) => one.path !== path).map((one) => one.path);
  const decision = readFrom(path);
  if (others.length > 0) {
    decision.why = `beside ${listed(others.slice(0, 3).map((other) => quote(other, 40)))}`;
    decision.option = "--member NAME";
  }
  return { ...shape, decisions: [decision, ...(shape.decisions ?? [])] };
}

const readFrom = (path: string): Decision => ({ columns: [], what: `rows read from ${quote(path)}` });

function severalLists(paths: readonly string[], meant: string, file: string): UsageError {
  return new UsageError(
    `${file}: expected one list of rows, got ${listed(paths.slice(0, 5).map((path) => quote(path, 40)))}; choose with --member ${quote(meant, 40)}`,
  );
}

/**
 * The one object in an object that has no lists, such as columns in `{"data": {"a": [1, 2], "b": [3, 4]}}`; or the one
 * that is a table, beside others that are about it.
 */
function objectInside(
  value: Dictionary,
  file: string,
  options: ReadOptions,
  depth: number,
): Shape | undefined {
  if (depth === MOST_DEPTH) return undefined;
  const [inner, ...others] = Object.values(value).filter((one) => typeof one === "object" && one !== null);
  if (isObject(inner) && others.length === 0) return shapeOf(inner, file, options, depth + 1);
  const objects = Object.entries(value).filter((entry): entry is [string, Dictionary] => isObject(entry[1]));
  const tables = objects.filter(
    ([, object]) => columnsOfLists(object) !== undefined || areRecords(object, objects.length),
  );
  // where all are, they may well be rows
  if (tables.length === 0 || tables.length === objects.length) return undefined;
  const asked = tables.find(([name]) => name === options.member);
  const [[name, table], ...rivals] = asked ? [asked] : tables;
  if (rivals.length > 0) {
    throw severalLists(
      tables.map(([other]) => other),
      name,
      file,
    );
  }
  const shape = shapeOf(table, file, options, depth + 1);
  return { ...shape, decisions: [readFrom(name), ...(shape.decisions ?? [])] };
}

/** Whether an object has more than `few` objects in it, and nothing else. */
function areRecords(value: Dictionary, few: number): boolean {
  const objects = Object.values(value);
  return objects.length > few && objects.every(isObject);
}

/** `{"a": {"0": 1, "1": 2}, "b": …}`, columns by their names and rows by their labels, or the other way round. */
function dictionaries(value: Dictionary): Shape | undefined {
  const outer = Object.keys(value);
  const objects = Object.values(value);
  if (outer.length === 0 || !objects.every(isObject)) return undefined;
  const inner = new Set(objects.flatMap((object) => Object.keys(object)));
  const [rowsOutside, rowsInside] = [areNumbers(outer), areNumbers(inner)];
  // where both or neither are numbers, there are more rows than columns
  if (rowsOutside === rowsInside ? outer.length >= inner.size : rowsOutside) {
    if (rowsOutside) return { records: objects };
    return { records: outer.map((label, row) => ({ index: label, ...objects[row] })) };
  }
  const records = new Map<string, Dictionary>();
  for (const label of inner) records.set(label, Object.create(null));
  if (!rowsInside) for (const [label, record] of records) record.index = label;
  for (const name of outer) {
    const column = value[name] as Dictionary;
    for (const label of Object.keys(column)) (records.get(label) as Dictionary)[name] = column[label];
  }
  return { records: [...records.values()], names: rowsInside ? outer : ["index", ...outer] };
}

function areNumbers(labels: Iterable<string>): boolean {
  for (const label of labels) if (!/^\d{1,15}$/.test(label)) return false;
  return true;
}

function noShape(value: Dictionary, file: string): never {
  const lists = Object.entries(value).filter(([, list]) => Array.isArray(list)) as [string, unknown[]][];
  const [first] = lists;
  const other = lists.find(([, list]) => list.length !== first[1].length);
  if (other !== undefined) {
    const [[a, as], [b, bs]] = [first, other];
    throw new FailureError(
      `${file}: expected columns of one length, got ${quote(a)} with ${count(as.length, "value")} and ${quote(b)} with ${bs.length.toLocaleString("en-US")}; give each a value for each row, null where there is none`,
    );
  }
  const keys = Object.keys(value).slice(0, 3);
  throw new UsageError(
    `${file}: ${EXPECTED}, got an object ${keys.length === 0 ? "with nothing in it" : `of ${listed(keys.map((key) => quote(key, 40)))}${Object.keys(value).length > 3 ? " and more" : ""}`}; save the rows as such a list`,
  );
}

const own = (value: Dictionary, key: string): unknown => (Object.hasOwn(value, key) ? value[key] : undefined);

const isRows = (value: unknown): value is Dictionary[] =>
  Array.isArray(value) && value.length > 0 && value.every(isObject);

function isObject(value: unknown): value is Dictionary {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function describe(value: unknown): string {
  if (isObject(value)) return "an object";
  if (Array.isArray(value)) return "a list";
  return typeof value === "string" ? quote(value) : String(value);
}
