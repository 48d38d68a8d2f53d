/** What may be typed after each option, and what is made of it. */
import { quote } from "@evenkeel/report/format";
import { type Command, InvalidArgumentError, Option } from "commander";
import type { Choices } from "../comparison.js";
import type { DateOrder } from "../data/dates.js";
import { type Limits, usualLimits } from "../data/table.js";
import type { DatasetOptions } from "../datasets/dataset.js";
import { reason, UsageError } from "../errors.js";
import { type SweepSetting, sweepSettings } from "../settings.js";
import { primaryMetricNames, taskNames } from "../tasks/registry.js";
import type { QueueOptions } from "./compare.js";
import { usualCells } from "./memory.js";
import type { OnStop } from "./queue/sweep.js";

const refuse = (expected: string): never => {
  throw new InvalidArgumentError(`Expected ${expected}.`);
};

/** Also as errors and help write it: 1,000,000. */
export const integer = (least: number, most: number) => (text: string) => {
  const digits = /^\d{1,3}(,\d{3})+$/.test(text) ? text.replaceAll(",", "") : text;
  const value = Number(digits);
  if (/^\d+(e\d+)?$/i.test(digits) && value >= least && value <= most) return value;
  return refuse(`an integer from ${least} to ${most.toLocaleString("en-US")}`);
};

export const positiveNumber = (text: string) => {
  const value = Number(text);
  if (text.trim() !== "" && Number.isFinite(value) && value > 0) return value;
  return refuse("a number above 0, such as 0.01");
};

export const anyNumber = (text: string) => {
  const value = Number(text);
  return text.trim() !== "" && Number.isFinite(value) ? value : refuse("a number, such as 10000");
};

export const metricValue = (text: string) => {
  const value = Number(text);
  return value > 0 && Number.isFinite(value) ? value : refuse("a number above 0, such as 0.9 for 90 %");
};

/** Parts between commas or blanks. */
const apart = (text: string) => text.trim().split(/\s*,\s*|\s+/);

export const list = (text: string, before: string[] = []) => {
  const names = apart(text);
  return names.every((name) => name !== "") ? [...before, ...names] : refuse("names separated by commas");
};

/** `a, b or c`. */
export const either = (names: readonly string[]) =>
  names.length < 2 ? names.join() : `${names.slice(0, -1).join(", ")} or ${names.at(-1)}`;

/** As typed by whoever has no superscript, or begins with a capital. */
const plainly = (text: string) => text.normalize("NFKC").toLowerCase().replaceAll("_", "-");

const oneOf =
  <T extends string>(names: readonly T[]) =>
  (text: string): T =>
    names.find((name) => plainly(name) === plainly(text)) ?? refuse(either(names));

/** `choices` shows them in the help, and would take them as they are spelled only. */
export const choice = (flags: string, description: string, names: readonly string[]) =>
  new Option(flags, description).choices(names).argParser(oneOf(names));

/** Each once, in ascending order. */
const ascending = (values: readonly number[]) => [...new Set(values)].sort((a, b) => a - b);

export const rates = (text: string) => {
  const values = apart(text).map(Number);
  if (values.every((value) => value > 0 && Number.isFinite(value))) return ascending(values);
  return refuse("learning rates separated by commas, such as 0.001,0.01,0.1 (--no-tune tries none)");
};

/** Every use of the option adds to it. */
export const repeated = (text: string, before: string[] = []) => [...before, text];
/** An empty mark stands for nothing at all, which is missing anyway. */
export const repeatedList = (text: string, before: string[] = []) => [
  ...before,
  ...text.split(",").map((mark) => mark.trim()),
];

export const size = (text: string): [number, number] => {
  const found = /^(\d+)x(\d+)$/i.exec(text);
  return found ? [Number(found[1]), Number(found[2])] : refuse("HEIGHTxWIDTH, such as 8x8");
};

const UNITS = { "": 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30, t: 2 ** 40 };

export const bytes = (text: string) => {
  const [, digits, unit] = /^(\d+(?:\.\d+)?)\s?(?:([kmgt])i?)?b?$/i.exec(text) ?? [];
  const value = Math.round(Number(digits) * UNITS[(unit ?? "").toLowerCase() as keyof typeof UNITS]);
  return value > 0 && Number.isSafeInteger(value) ? value : refuse("a number of bytes, such as 4GB");
};

const DELIMITERS: Readonly<Record<string, string>> = {
  tab: "\t",
  "\\t": "\t",
  space: " ",
  comma: ",",
  semicolon: ";",
  pipe: "|",
};

export const delimiter = (text: string) => {
  const found = DELIMITERS[text.toLowerCase()] ?? text;
  return [...found].length === 1 && found !== '"' && !/[\r\n]/.test(found)
    ? found
    : refuse("one character, or comma, semicolon, pipe, tab or space (for any number of blanks)");
};

export const decimal = (text: string) => (text === "." || text === "," ? text : refuse('"." or ","'));

export const yesOrNo = (text: string) =>
  /^(yes|true)$/i.test(text) ? true : /^(no|false)$/i.test(text) ? false : refuse("yes or no");

export const encoding = (text: string) => {
  // latin-1 is known as latin1 only, utf_16 as utf-16
  for (const label of [text, text.replaceAll("_", "-"), text.replaceAll(/[-_\s]/g, "")]) {
    try {
      return new TextDecoder(label).encoding;
    } catch {}
  }
  return refuse("a name such as utf-8, utf-16le, windows-1252 or shift_jis");
};

/** The words of `--sweep`, which are read together. */
export const words = (text: string, before: string[] = []) => [...before, text];

export const share = (text: string) => {
  const value = Number(text);
  return text.trim() !== "" && value >= 0 && value < 1
    ? value
    : refuse("a share from 0 to below 1, such as 0.1");
};

export const factor = (text: string) => {
  const value = Number(text);
  return value > 0 && value <= 1 ? value : refuse("a factor above 0 and at most 1, such as 0.999");
};

export const report = (text: string) => (/\.html?$/i.test(text) ? text : refuse("a name that ends in .html"));

/** Records, or seconds with their unit. */
export const saveEvery = (text: string): { records: number } | { seconds: number } => {
  const [, number = "", seconds] = /^(\d[\d,]*(?:\.\d+)?)\s*(s|sec|seconds)?$/i.exec(text.trim()) ?? [];
  const value = Number(number.replaceAll(",", ""));
  const isGood = value > 0 && value <= 1e9 && (seconds !== undefined || Number.isInteger(value));
  if (!isGood) return refuse("a number of records, or of seconds such as 10s");
  return seconds === undefined ? { records: value } : { seconds: value };
};

/** Percents, or any three numbers in these proportions. */
export const shares = (text: string): [number, number, number] => {
  const values = text
    .trim()
    .split(/\s*[,/:]\s*|\s+/)
    .map(Number);
  const sum = values.reduce((all, value) => all + value, 0);
  const isGood = values.length === 3 && values.every((value) => value > 0) && Number.isFinite(sum);
  return isGood
    ? (values.map((value) => value / sum) as [number, number, number])
    : refuse("three numbers above 0 for training, validation and held-out part, such as 60,20,20");
};

const SWEPT: Readonly<Record<SweepSetting, (text: string) => number>> = {
  "learning-rate": positiveNumber,
  "batch-size": integer(1, 1_000_000),
  depth: integer(1, 200),
  "warm-up": share,
};

/** A setting and its values: `depth 1,2`, `depth=1,2`, `depth 1 2`. */
export function sweepOf(words: readonly string[]): Choices["sweep"] {
  const typed = words.join(" ");
  const [, name = "", values = ""] = /^([^\s=:]*)[\s=:]*(.*)$/s.exec(typed) ?? [];
  const refuseSweep = (problem: string) => {
    throw new UsageError(
      `--sweep: expected ${either(sweepSettings)} and values separated by commas, such as --sweep learning-rate 0.001,0.01,0.1; got ${problem}`,
    );
  };
  const named = plainly(name).replace(/^lr$/, "learning-rate");
  const swept = sweepSettings.find((each) => each === named);
  if (swept === undefined) return refuseSweep(quote(typed));
  if (
    words.length > 1 &&
    words.slice(1).some((word) => sweepSettings.includes(plainly(word.split(/[=:]/)[0]) as SweepSetting))
  ) {
    return refuseSweep(`several settings, ${quote(typed)}: sweep one at a time`);
  }
  let parsed: number[];
  try {
    parsed = values === "" ? [] : ascending(apart(values).map(SWEPT[swept]));
  } catch (error) {
    return refuseSweep(`${quote(typed)}: ${reason(error)}`);
  }
  if (parsed.length < 2) return refuseSweep(`fewer than two values, ${quote(typed)}`);
  return { setting: swept, values: parsed };
}

export const page = (text: string) => {
  if (/\.html?$/i.test(text)) return text;
  throw new InvalidArgumentError("Expected a name that ends in .html; FILE comes before --html.");
};

export const checkpoint = (text: string) => {
  if (!/^(?!file:)[a-z][a-z0-9+.-]+:\/\//i.test(text)) return text;
  throw new InvalidArgumentError("Expected a file or a folder; download it first.");
};

/** What `withData` and `withFormat` make of what was typed. */
export interface ReadingOptions extends Omit<DatasetOptions, "limits" | "shares"> {
  parts?: DatasetOptions["shares"];
  maxBytes?: number;
  maxCells?: number;
}

/** The options by which examples are made of a file. */
export const withData = (command: Command): Command =>
  command
    .option(
      "--target <column>",
      "what to predict (default: target, label or outcome, or else the last column)",
    )
    .addOption(choice("--task <task>", "what is asked of the data, if it is not clear", taskNames))
    .addOption(
      new Option(
        "--metric <metric>",
        `judge by ${either(primaryMetricNames)} (default: what suits the target)`,
      ).argParser(oneOf(primaryMetricNames)),
    )
    .option("--ignore <columns>", "leave columns out: a,b or as often as needed", repeated)
    .option("--keep <columns>", "keep columns that would be left out: constants, identifiers", repeated)
    .option("--categorical <columns>", "columns whose values are names of categories", repeated)
    .option("--numeric <columns>", "columns whose values are numbers", repeated)
    .option(
      "--levels <count>",
      'most categories of a text column; the rarer ones become "other"',
      integer(1, 10_000),
    )
    .option("--image <HxW>", "the inputs are the pixels of images, row by row", size)
    .option(
      "--limit <rows>",
      "use at most this many rows, drawn at random; of a series or a text the first ones",
      integer(2, 1e9),
    )
    .addOption(choice("--split <how>", "hold out random rows, or the latest ones", ["random", "time"]))
    .option("--time <column>", "when each row was measured, for --split time")
    .option("--parts <shares>", "of training, validation and held-out part (default: 64,16,20)", shares)
    .option("--group <column>", "rows of one group (a patient, a user) are held out together")
    .option("--text <column>", "the input is the text in this column, word by word")
    .optionsGroup("Forecasts, texts and recommendations:")
    .option("--horizon <steps>", "steps to forecast (default: by the season)", integer(1, 100_000))
    .option(
      "--window <steps>",
      "steps that a forecast is made from; characters of a text that a network sees at once",
      integer(1, 100_000),
    )
    .option("--season <steps>", "steps of a season (default: by the dates, 24 of hours)", integer(1, 100_000))
    .option("--series <column>", "which of several series a row is of")
    .option("--user <column>", "who has an item; without it each row is a basket")
    .option("--item <column>", "what a user has")
    .option("--rating <column>", "how much a user likes it: what is below the median is left out");

/** What `withQueue` makes of what was typed. */
export interface QueueChoices {
  queue?: string | true;
  share?: string;
  onStop?: OnStop;
  cancel?: boolean;
}

const onStops: readonly OnStop[] = ["leave", "cancel"];

/** The options by which trials go to other machines. */
export const withQueue = (command: Command): Command =>
  command
    .optionsGroup("More than one machine:")
    .option(
      "--queue [url]",
      "put trials on a queue, for evenkeel worker anywhere: redis://host, postgres://host/database (default: EVENKEEL_QUEUE)",
    )
    .option("--share <folder>", "that all machines see: data go through it instead of the queue")
    .addOption(
      choice("--on-stop <what>", "what Ctrl-C does to trials on the queue (default: leave)", onStops),
    );

/** Throws UsageError for what means nothing without a queue. */
export function queueOf({ queue, share, onStop, cancel = false }: QueueChoices): QueueOptions | undefined {
  const url = queue === true ? process.env.EVENKEEL_QUEUE : queue;
  if (url !== undefined) return { url, share, onStop: onStop ?? "leave", cancel };
  if (queue === true) {
    throw new UsageError("--queue: expected a URL such as redis://host, or one in EVENKEEL_QUEUE, got none");
  }
  const alone = share !== undefined ? "--share" : onStop !== undefined ? "--on-stop" : cancel && "--cancel";
  if (!alone) return undefined;
  throw new UsageError(
    `${alone}: is about trials on a queue; name it by --queue redis://host, or leave ${alone} out`,
  );
}

/** The options by which a file is read. */
export const withFormat = (command: Command): Command =>
  command
    .optionsGroup("How the file is to be read, if it is read wrongly:")
    .option("--header <yes|no>", "whether the first row has the names of the columns", yesOrNo)
    .option("--delimiter <character>", "between the fields of a row; tab, or space for any blanks", delimiter)
    .option("--decimal <mark>", 'of numbers: "." or ","', decimal)
    .option("--missing <marks>", "what stands for a missing value, such as ?,N/A", repeatedList)
    .addOption(
      choice("--dates <order>", "of day, month and year in dates such as 03/04/2024", [
        "dmy",
        "mdy",
        "ymd",
      ] satisfies DateOrder[]),
    )
    .option("--encoding <name>", "of the text, such as windows-1252", encoding)
    .option("--member <name>", "the file in an archive, or the sheet of a workbook")
    .option(
      "--max-bytes <size>",
      `most that is read and unpacked (default: ${usualLimits.bytes / 2 ** 30}GB)`,
      bytes,
    )
    .option(
      "--max-cells <count>",
      `most rows × columns (default, for this memory: ${usualCells.toLocaleString("en-US")})`,
      integer(1, Number.MAX_SAFE_INTEGER),
    );

/** What changes no number of a file. */
export const limitsOf = ({
  maxBytes,
  maxCells,
}: Pick<ReadingOptions, "maxBytes" | "maxCells">): Partial<Limits> => ({
  ...(maxBytes !== undefined && { bytes: maxBytes }),
  ...(maxCells !== undefined && { cells: maxCells }),
});

/** How a dataset is asked for, of what was typed. */
export function readingOf({ parts, maxBytes, maxCells, ...reading }: ReadingOptions): DatasetOptions {
  const limits = limitsOf({ maxBytes, maxCells });
  return {
    ...reading,
    ...(parts && { shares: parts }),
    ...(Object.keys(limits).length > 0 && { limits }),
  };
}
