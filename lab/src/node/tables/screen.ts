/** What `evenkeel standardize` shows: a line for each column, and how far a scan is. */
import { count, duration, formatNumber, wrap } from "@evenkeel/report/format";
import { createLogUpdate } from "log-update";
import { quoted } from "../../data/names.js";
import { size } from "../../inspection.js";
import { colorsOf } from "../colors.js";
import { fitted } from "../progress.js";
import { columnsOf } from "../streams.js";
import type { Engine } from "./engine.js";
import type { Saved } from "./saved.js";
import type { Column, Source } from "./source.js";

/** Columns of numbers that are listed; standardizer.json has all. */
const MOST_LINES = 40;
const GAP = "  ";
/** Cells of a name, at least and at most. */
const SHORTEST = 8;
const LONGEST = 40;
/** ms between two drawings. */
const REDRAW_MS = 250;

/** What is known of one column in all groups. */
export interface Line {
  column: Column;
  /** Of the file's values; of CSV and JSON it is "number". */
  type: string;
  notes: readonly string[];
}

/** The table, in lines of at most `width` characters. */
export function tableText(lines: readonly Line[], saved: Saved, width: number): string {
  const colors = colorsOf(process.stdout);
  const cells = lines.slice(0, MOST_LINES).map(({ column, type, notes }, j) => {
    const of = (pick: (each: Saved["standardizers"][number]["standardizer"]) => Float64Array) =>
      saved.standardizers.map(({ standardizer }) => pick(standardizer)[j]);
    const sum = (values: readonly number[]) => values.reduce((all, value) => all + value, 0);
    return {
      name: column.shown,
      type,
      count: weight(sum(of(({ count }) => count))),
      missing: weight(sum(of(({ missing }) => missing))),
      mean: range(of(({ mean }) => mean)),
      deviation: range(of(({ variance }) => variance.map(Math.sqrt))),
      notes: notes.join(", "),
    };
  });
  const heads = {
    name: "column",
    type: "type",
    count: "count",
    missing: "missing",
    mean: "mean",
    deviation: "std. dev.",
    notes: "",
  };
  type Key = keyof typeof heads;
  const widest = (key: Key) => Math.max(cellsOf(heads[key]), ...cells.map((row) => cellsOf(row[key])));
  // what goes first where there is little room
  let keys: Key[] = ["name", "type", "count", "missing", "mean", "deviation"];
  const rest = (of: readonly Key[]) =>
    of.filter((key) => key !== "name").reduce((all, key) => all + GAP.length + widest(key), 0);
  for (const key of ["type", "count", "missing"] as const) {
    if (rest(keys) + Math.min(widest("name"), SHORTEST + 8) > width) keys = keys.filter((one) => one !== key);
  }
  const nameWidth = Math.min(widest("name"), LONGEST, width - rest(keys));
  const notesBeside = rest(keys) + nameWidth + GAP.length + widest("notes") <= width;
  const below = (text: string) => `  ${wrap(text, width - 2, "  ")}`;
  const line = (row: Record<Key, string>) => {
    const [, ...others] = keys;
    const rest = others.map((key) =>
      key === "type" ? padded(row[key], widest(key)) : " ".repeat(widest(key) - cellsOf(row[key])) + row[key],
    );
    const main = [padded(cut(row.name, nameWidth), nameWidth), ...rest].join(GAP);
    if (row.notes === "") return main.trimEnd();
    return notesBeside ? `${main}${GAP}${row.notes}` : `${main}\n${below(row.notes)}`;
  };
  // ranges over groups may be wider than a terminal
  const stacked = nameWidth < Math.min(SHORTEST, widest("name"));
  const paragraph = (row: Record<Key, string>) =>
    [
      colors.bold(cut(row.name, width)),
      ...(["count", "missing", "mean", "deviation"] as const).map((key) =>
        below(`${heads[key]} ${row[key]}`),
      ),
      ...(row.notes === "" ? [] : [below(row.notes)]),
    ].join("\n");
  const more = lines.length - cells.length;
  return [
    ...(stacked ? cells.map(paragraph) : [colors.bold(line(heads)), ...cells.map(line)]),
    ...(more > 0 ? [wrap(`and ${count(more, "more column")}: --json has all`, width)] : []),
  ].join("\n");
}

/** A number of rows, or the sum of weights. */
const weight = (value: number): string =>
  Number.isInteger(value) ? value.toLocaleString("en-US") : formatNumber(value);

/** Of all groups. */
function range(values: readonly number[]): string {
  const finite = values.filter((value) => !Number.isNaN(value)).sort((a, b) => a - b);
  if (finite.length === 0) return "–";
  const [least, most] = [formatNumber(finite[0]), formatNumber(finite.at(-1) ?? 0)];
  return least === most ? least : `${least} … ${most}`;
}

const WIDE =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\p{Emoji_Presentation}\uff01-\uff60]/u;
const NARROW = /^\p{M}/u;
const segments = new Intl.Segmenter("en");

/** Cells of a terminal that a text takes. */
const cellsOf = (text: string): number =>
  [...segments.segment(text)].reduce((sum, { segment }) => sum + cellsIn(segment), 0);
const cellsIn = (segment: string): number => (WIDE.test(segment) ? 2 : NARROW.test(segment[0]) ? 0 : 1);

const padded = (text: string, width: number): string => text + " ".repeat(Math.max(0, width - cellsOf(text)));

function cut(text: string, width: number): string {
  if (cellsOf(text) <= width) return text;
  let left = width - 1;
  let kept = "";
  for (const { segment } of segments.segment(text)) {
    left -= cellsIn(segment);
    if (left < 0) break;
    kept += segment;
  }
  return `${kept}…`;
}

/** What is read, and what was decided about it, for standard error. */
export function headText(source: Source, rows: number | undefined, lines: readonly string[]): string {
  const width = columnsOf(process.stderr);
  const title = "evenkeel standardize";
  const files = `${count(source.files.length, `${source.format} file`)}, ${size(source.bytes)}`;
  const what = rows === undefined ? files : `${count(rows, "row")} in ${files}`;
  return [`${title}${GAP}${what}`, ...lines.map((line) => `- ${line}`)]
    .map((line) => wrap(line, width, "  "))
    .join("\n")
    .replace(title, colorsOf(process.stderr).bold);
}

/** `"city" and "day" left as they are`, by types. */
export function leftText(columns: readonly Column[]): string[] {
  const types = new Map<string, string[]>();
  for (const { shown, type } of columns) types.set(type, [...(types.get(type) ?? []), shown]);
  return [...types].map(
    ([type, names]) =>
      `left as ${names.length === 1 ? "it is" : "they are"} (${cut(type, LONGEST)}): ${quoted(names)}`,
  );
}

export interface Meter {
  /** What is done now. */
  say(what: string): void;
  close(): void;
}

/** One live line in a terminal; nothing anywhere else. */
export function openMeter(engine: Engine): Meter {
  if (!process.stderr.isTTY) return { say() {}, close() {} };
  const update = createLogUpdate(process.stderr);
  let began = performance.now();
  let what = "";
  const draw = () => {
    const done = engine.progress();
    const seconds = (performance.now() - began) / 1000;
    if (what === "" || seconds < REDRAW_MS / 1000) return;
    const known = done > 0 && done < 1;
    const left = known && done > 0.05 && seconds > 1 ? `${duration((seconds / done) * (1 - done))} left` : "";
    const pieces = [
      { text: what, rank: 4 },
      { text: known ? `${Math.floor(done * 100)} %` : "", rank: 3 },
      { text: left, rank: 2 },
      { text: "Ctrl-C stops and leaves nothing", rank: 1 },
    ];
    update(fitted(pieces, Math.max(20, (process.stderr.columns || 80) - 1)));
  };
  const timer = setInterval(draw, REDRAW_MS);
  return {
    say(now) {
      what = now;
      began = performance.now();
    },
    close() {
      clearInterval(timer);
      update.clear();
      update.done();
    },
  };
}
