/** What a record of a stream is: which of its fields are inputs, which is the target, and the numbers in them. */
import { count, quote } from "@evenkeel/report/format";
import { missingNotations } from "../../data/missing.js";
import { argument, columnsNamed, nameColumns, quoted } from "../../data/names.js";
import { UsageError } from "../../errors.js";

/** What the command line says of the fields. */
export interface Asked {
  columns?: string[];
  ignore?: string[];
  learn?: string;
  classes?: string[];
  time?: string;
}

/** As the first record decided it. */
export interface Layout {
  /** Objects by name, or lists by place. */
  format: "ndjson" | "csv" | "entries";
  /** Of CSV, one character. */
  delimiter: string;
  /** Of CSV: the fields of a record, in order. */
  names: string[];
  /** Of CSV: the line that names them. */
  header: string | null;
  /** Names of the inputs. */
  inputs: string[];
}

/** A record as it is read: an object, or a list of texts. */
export type Fields = Readonly<Record<string | number, unknown>>;

/** What a field holds; nothing where it is not there, whatever all objects have under that name. */
function fieldOf(fields: Fields, key: string | number): unknown {
  const value = fields[key];
  const isPlain = typeof value !== "object" && typeof value !== "function";
  return isPlain || Object.hasOwn(fields, key) ? value : undefined;
}

/** Records in the order of the source. */
export interface Batch {
  records: number;
  /** float64 [records, inputs]; NaN is missing. */
  rows: Float64Array;
  /** float64 [records], NaN where not known, of classes their indexes; empty where nothing is learned. */
  targets: Float64Array;
  /** As the records have them; empty where there is no column of time. */
  times: string[];
  /** What each is known by where it comes from; empty where they have no ids. */
  ids: string[];
}

export const noRecords = (): Batch => ({
  records: 0,
  rows: new Float64Array(0),
  targets: new Float64Array(0),
  times: [],
  ids: [],
});

/** What is passed over, by kind. */
export type TroubleKind = "record" | "number" | "class" | "field";
export type Troubles = Record<TroubleKind, number>;

/** Of each kind, how many are told one by one. */
const MOST_TOLD = 5;
const MOST_COLUMNS = 10_000;

/** Counts what is no record or no number, and tells of the first ones. */
export class TroubleCounter {
  readonly counts: Troubles;
  readonly #told: Troubles = { record: 0, number: 0, class: 0, field: 0 };

  constructor(
    before: Troubles | undefined,
    private readonly say: (line: string) => void,
  ) {
    this.counts = { record: 0, number: 0, class: 0, field: 0, ...before };
  }

  add(kind: TroubleKind, text: () => string): void {
    this.counts[kind]++;
    const told = ++this.#told[kind];
    if (told <= MOST_TOLD) this.say(text());
    if (told === MOST_TOLD) this.say("more of this kind are counted, and told at the end");
  }

  /** For the end; empty where there was none. */
  summary(): string[] {
    const { record, number, class: classes } = this.counts;
    return [
      ...(record > 0
        ? [`${count(record, "line")} that ${record === 1 ? "was no record" : "were no records"}`]
        : []),
      ...(number > 0
        ? [`${count(number, "value")} that ${number === 1 ? "was no number" : "were no numbers"}`]
        : []),
      ...(classes > 0 ? [`${count(classes, "target")} of no known class`] : []),
    ];
  }
}

const isMissing = missingNotations();

/** NaN where there is none; undefined for what is neither a number nor missing. */
export function numberIn(value: unknown): number | undefined {
  if (typeof value === "number") return value;
  if (typeof value === "string") {
    if (value === "") return Number.NaN;
    const number = Number(value);
    if (number !== 0 && !Number.isNaN(number)) return number;
    const text = value.trim();
    if (number === 0 && text !== "") return number;
    return isMissing(text) ? Number.NaN : infinityIn(text);
  }
  if (typeof value === "boolean") return Number(value);
  return value === null || value === undefined ? Number.NaN : undefined;
}

function infinityIn(text: string): number | undefined {
  const [, sign] = /^([+-]?)inf(?:inity)?$/i.exec(text) ?? [];
  return sign === undefined ? undefined : sign === "-" ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
}

/** Text of a field; empty where it has none. */
const textIn = (value: unknown): string =>
  typeof value === "string"
    ? value.trim()
    : typeof value === "number" || typeof value === "boolean"
      ? String(value)
      : "";

/** Whether all fields are numbers, or missing: a line of names is none. */
export const isRow = (fields: readonly string[]): boolean =>
  fields.every((field) => numberIn(field) !== undefined) &&
  fields.some((field) => !Number.isNaN(numberIn(field)));

/** Names of the fields of CSV: those of its header, of --columns, or by their places. */
export function namesOf(header: readonly string[] | null, fields: readonly string[], asked: Asked): string[] {
  if (header !== null) return nameColumns(header).names;
  const { columns } = asked;
  if (columns === undefined) return nameColumns(fields.map(() => "")).names;
  if (columns.length !== fields.length) {
    throw new UsageError(
      `--columns: expected the names of all ${count(fields.length, "field")} of a line, for no line names them, got ${columns.length}; --ignore leaves some out, and --header yes takes the first line for their names`,
    );
  }
  return columns;
}

/**
 * Which fields are inputs: those that are named, or else all that are numbers or missing in the first record.
 * @returns what was decided, and lines that tell it
 * @throws UsageError where a column that is asked for cannot be there
 */
export function inputsOf(
  format: Layout["format"],
  names: readonly string[],
  first: Fields,
  asked: Asked,
  named: boolean,
): { inputs: string[]; lines: string[] } {
  const lines: string[] = [];
  // a field of CSV is in every record; one of an object may come later
  const find = (wanted: readonly string[], option: string): string[] => {
    if (format === "csv") return [...columnsNamed(wanted, names, option)];
    const later = wanted.filter((name) => !names.includes(name));
    if (later.length > 0)
      lines.push(`${quoted(later)} (${option}): not in the first record; looked for in later ones`);
    return [...new Set(wanted)];
  };
  const { learn, time } = asked;
  const ignored = new Set([
    ...find(learn === undefined ? [] : [learn], "--learn"),
    ...find(time === undefined ? [] : [time], "--time"),
    ...find(asked.ignore ?? [], "--ignore"),
  ]);
  const chosen =
    asked.columns !== undefined && (format !== "csv" || named) ? find(asked.columns, "--columns") : names;
  const isChosen = chosen !== names;
  const inputs: string[] = [];
  const texts: string[] = [];
  const places = new Map(names.map((name, place) => [name, place]));
  for (const name of chosen) {
    if (ignored.has(name)) continue;
    const value = fieldOf(first, format === "csv" ? (places.get(name) ?? name) : name);
    if (isChosen || numberIn(value) !== undefined) inputs.push(name);
    else texts.push(name);
  }
  if (texts.length > 0) {
    lines.push(
      `${quoted(texts)}: left out (no ${texts.length === 1 ? "number" : "numbers"} in the first record); --columns names the inputs`,
    );
  }
  if (inputs.length === 0) {
    throw new UsageError(
      `stream: expected at least one column of numbers, got ${names.length === 0 ? "a record without fields" : quoted(names)}; name them with --columns ${names.length > 0 ? argument(names[0]) : "a,b"}`,
    );
  }
  if (inputs.length > MOST_COLUMNS) {
    throw new UsageError(
      `stream: expected at most ${count(MOST_COLUMNS, "column")}, got ${inputs.length.toLocaleString("en-US")}; name those that matter with --columns`,
    );
  }
  return { inputs, lines };
}

/** Makes batches of records, all of one layout. */
export class Rows {
  readonly #keys: (string | number)[];
  readonly #known: Set<unknown>;
  readonly #target: string | number | undefined;
  readonly #time: string | number | undefined;
  readonly #classes: Map<string, number> | undefined;
  #rows = new Float64Array(0);
  #targets: number[] = [];
  #times: string[] = [];
  #ids: string[] = [];
  #records = 0;

  constructor(
    readonly layout: Layout,
    asked: Asked,
    private readonly troubles: TroubleCounter,
  ) {
    const { format, names, inputs } = layout;
    const places = new Map(format === "csv" ? names.map((name, place) => [name, place]) : []);
    const keyOf = (name: string) => places.get(name) ?? name;
    const ofCsv = (name: string | undefined, option: string) =>
      name === undefined ? undefined : format === "csv" ? [...columnsNamed([name], names, option)][0] : name;
    const learn = ofCsv(asked.learn, "--learn");
    const time = ofCsv(asked.time, "--time");
    this.#keys = inputs.map(keyOf);
    this.#target = learn === undefined ? undefined : keyOf(learn);
    this.#time = time === undefined ? undefined : keyOf(time);
    this.#classes = asked.classes && new Map(asked.classes.map((name, index) => [name, index]));
    this.#known = new Set([...names, ...this.#keys, this.#target, this.#time, ...(asked.ignore ?? [])]);
  }

  /** @param where it is, for what is told of it */
  add(fields: Fields, where: () => string, id?: string): void {
    const keys = this.#keys;
    const width = keys.length;
    const start = this.#records * width;
    if (start + width > this.#rows.length) {
      const larger = new Float64Array(Math.max(2 * this.#rows.length, 64 * width));
      larger.set(this.#rows);
      this.#rows = larger;
    }
    const rows = this.#rows;
    for (let j = 0; j < width; j++) {
      rows[start + j] = this.#number(fieldOf(fields, keys[j]), j, where);
    }
    if (this.#target !== undefined) this.#targets.push(this.#targetIn(fieldOf(fields, this.#target), where));
    if (this.#time !== undefined) this.#times.push(textIn(fieldOf(fields, this.#time)));
    if (id !== undefined) this.#ids.push(id);
    if (this.layout.format !== "csv") this.#lookForNew(fields, where);
    this.#records++;
  }

  /** All that were added since it was last called. */
  take(): Batch {
    const batch: Batch = {
      records: this.#records,
      rows: this.#rows.slice(0, this.#records * this.#keys.length),
      targets: Float64Array.from(this.#targets),
      times: this.#times,
      ids: this.#ids,
    };
    this.#records = 0;
    this.#targets = [];
    this.#times = [];
    this.#ids = [];
    return batch;
  }

  #number(value: unknown, column: number, where: () => string): number {
    const number = numberIn(value);
    if (number !== undefined) return number;
    this.#tellNumber(value, this.layout.inputs[column], where);
    return Number.NaN;
  }

  #tellNumber(value: unknown, name: string, where: () => string): void {
    this.troubles.add(
      "number",
      () => `${where()}: ${quote(name)} is no number, taken as missing: ${shown(value)}`,
    );
  }

  #targetIn(value: unknown, where: () => string): number {
    const name = String(
      this.layout.format === "csv" ? this.layout.names[this.#target as number] : this.#target,
    );
    if (this.#classes === undefined) {
      const number = numberIn(value);
      if (number === undefined) this.#tellNumber(value, name, where);
      return number === undefined || !Number.isFinite(number) ? Number.NaN : number;
    }
    const text = textIn(value);
    const index = this.#classes.get(text);
    if (index !== undefined) return index;
    if (!isMissing(text)) {
      this.troubles.add(
        "class",
        () => `${where()}: ${quote(name)} is none of --classes, not learned: ${shown(value)}`,
      );
    }
    return Number.NaN;
  }

  /** Fields that the first record did not have. */
  #lookForNew(fields: Fields, where: () => string): void {
    for (const name in fields) {
      if (this.#known.has(name)) continue;
      if (this.#known.size > 2 * MOST_COLUMNS) return;
      this.#known.add(name);
      this.troubles.add("field", () => `${where()}: ${quote(name)} is new, and left out`);
    }
  }
}

const shown = (value: unknown): string => {
  if (typeof value === "string") return quote(value, 40);
  return value !== null && typeof value === "object"
    ? Array.isArray(value)
      ? "a list"
      : "an object"
    : String(value);
};
