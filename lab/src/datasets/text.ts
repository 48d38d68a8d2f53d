/**
 * From a text to what a network trains on: its characters, in windows that follow each other, each with the characters one
 * further as its target. Parts follow each other in the text.
 */

import { count, quote } from "@evenkeel/report/format";
import { FIRST_TOKEN, UNKNOWN_TOKEN } from "../data/form.js";
import type { PlainText } from "../data/readers/text.js";
import { percent, SAME_PARTS, splitOf, usualShares } from "../data/split.js";
import type { Decision } from "../data/table.js";
import { UsageError } from "../errors.js";
import { metricOf, taskFrom } from "../tasks/registry.js";
import type { Dataset, DatasetOptions } from "./dataset.js";

/** How a text is read, for a network that has learnt from another. */
export interface TextReading extends Record<string, unknown> {
  from: "text";
  /** The characters by their numbers, from 2; all others are 1. */
  characters: string[];
  window: number;
}

/** Characters that a network sees at once. */
const USUAL_WINDOW = 64;
/** Characters of a text that are used, unless the user asks for more: an epoch of a small network is then seconds. */
const USUAL_LIMIT = 300_000;
const MOST_READ = 2e7;
/** Different characters that are known: the most frequent, each of them so often. */
const MOST_CHARACTERS = 300;
const LEAST_TIMES = 2;
/** That are named in a decision. */
const MOST_NAMED = 5;

/** Characters that are read of a text, at most. Throws UsageError for more than fit in memory as an array. */
export function charactersOf({ limit = USUAL_LIMIT }: DatasetOptions): number {
  if (limit <= MOST_READ) return limit;
  throw new UsageError(
    `--limit: expected at most ${MOST_READ.toLocaleString("en-US")} characters of a text, got ${limit.toLocaleString("en-US")}; use a lower one`,
  );
}

/**
 * The dataset of a text, with every decision on the way; `limit` is of its first characters. Throws UsageError for options
 * that do not fit, and for a text that is too short.
 */
export function toText(
  { name, text, more, decisions: read }: PlainText,
  options: DatasetOptions,
  provenance: string,
): Dataset {
  const decisions = [...read];
  const all = Array.from(text);
  const most = charactersOf(options);
  const used = all.slice(0, most);
  if (options.limit === undefined && (more || all.length > most)) {
    decisions.push({
      columns: [],
      what: `the first ${count(most, "character")} are used`,
      why: more ? "the text is longer" : `of ${all.length.toLocaleString("en-US")}`,
      option: "--limit CHARACTERS",
    });
  }
  const known = knownOf(used, decisions);
  const window = options.window ?? USUAL_WINDOW;
  const starts = startsOf(used.length, window, options);
  if (options.window === undefined) {
    decisions.push({
      columns: [],
      what: `read in windows of ${count(window, "character")}, which a network sees at once`,
      option: "--window CHARACTERS",
    });
  }
  const vocabulary = known.length + FIRST_TOKEN - 1;
  const task = options.task ?? taskFrom("text");
  const reading: TextReading = { from: "text", characters: known, window };
  return {
    name,
    provenance,
    task,
    metric: metricOf(task, [], options.metric),
    target: "the next character",
    inputs: [{ column: "text", how: `${count(known.length, "different character")}`, names: ["text"] }],
    form: {
      input: { kind: "tokens", shape: [window], vocabulary },
      outputs: [window, vocabulary + 1],
    },
    classes: [],
    count: starts.length,
    x: numbersOf(used, known),
    scaled: Uint8Array.of(0),
    y: new Float32Array(),
    targetShape: [window],
    yScale: 1,
    windows: { starts, ahead: 1 },
    parts: partsOf(starts, window, options),
    drawn: drawnText(options),
    fileRows: starts.length,
    decisions,
    warnings: [],
    reading,
  };
}

/** The numbers of characters, of which some are known; as a network that learnt from a reading with these sees them. */
export function numbersOf(characters: readonly string[], known: readonly string[]): Float32Array {
  const numbers = new Map(known.map((character, index) => [character, index + FIRST_TOKEN]));
  return Float32Array.from(characters, (character) => numbers.get(character) ?? UNKNOWN_TOKEN);
}

/** The characters of a text that are told from others, the most frequent first. Which there are is found in all parts: no target is seen by it. */
function knownOf(characters: readonly string[], decisions: Decision[]): string[] {
  const times = new Map<string, number>();
  for (const character of characters) times.set(character, (times.get(character) ?? 0) + 1);
  const sorted = [...times].sort(([a, one], [b, other]) => other - one || (a < b ? -1 : 1));
  const known = sorted.filter(([, often]) => often >= LEAST_TIMES).slice(0, MOST_CHARACTERS);
  const rare = sorted.slice(known.length);
  if (rare.length > 0) {
    const lost = rare.reduce((sum, [, often]) => sum + often, 0);
    const named = rare.slice(0, MOST_NAMED).map(([character]) => quote(character));
    decisions.push({
      columns: [],
      what: `${count(rare.length, "rare character")} count as one: ${named.join(", ")}${rare.length > MOST_NAMED ? " …" : ""}`,
      why: `${lost.toLocaleString("en-US")} of ${count(characters.length, "character")}`,
    });
  }
  return known.map(([character]) => character);
}

/** Windows that follow each other. Throws UsageError where a part has none. */
function startsOf(length: number, window: number, options: DatasetOptions): Int32Array {
  const starts = Int32Array.from(
    { length: Math.max(0, Math.floor((length - 1) / window)) },
    (_, index) => index * window,
  );
  const parts = starts.length > 0 ? splitOf(partsOf(starts, window, options), starts.length, 0) : undefined;
  if (parts && [parts.train, parts.validation, parts.heldOut].every((part) => part.length > 0)) return starts;
  // a part of two windows has a whole one wherever it begins
  const least = Math.min(...(options.shares ?? usualShares));
  const widest = Math.floor((least * (length - 1)) / 2);
  const enough = Math.ceil((2 * window) / least) + 1;
  const isCut = options.limit !== undefined && options.limit <= length;
  throw new UsageError(
    `--window: expected windows of which each part of the text has one, got ${window} characters of ${length.toLocaleString("en-US")}; ` +
      `${widest >= 1 ? `use --window ${widest} or less, or ` : ""}${isCut ? `raise --limit to ${enough}` : `bring a text of ${enough.toLocaleString("en-US")} characters`} or more`,
  );
}

const partsOf = (starts: Int32Array, window: number, { shares }: DatasetOptions): Dataset["parts"] => ({
  strata: new Int32Array(starts.length),
  // where the target begins
  time: Float64Array.from(starts, (start) => start + 1),
  span: window,
  ...(shares && { shares }),
});

function drawnText({ shares }: DatasetOptions): string {
  const [, validation, heldOut] = (shares ?? usualShares).map(percent);
  return `${SAME_PARTS}: the last ${heldOut} of the text are held out, and the ${validation} before them are for validation`;
}
