/** What the page of the visitor's own data compares: its controls, as an address and as the lab has it. */
import type { Choices } from "@evenkeel/lab/comparison";
import type { DatasetOptions } from "@evenkeel/lab/datasets/dataset";
import { argumentsOf } from "@evenkeel/lab/recipes/command";
import { sweepSettings } from "@evenkeel/lab/settings";
import type { TaskName } from "@evenkeel/lab/tasks/registry";
import { typed } from "@evenkeel/report/format";
import type { Loaded, ModelChoice, ReadingOption } from "../desk/protocol.ts";
import { choicesOf, count, type Training, trainingFields, wholeNumber } from "../live/training.ts";
import { type Field, type Fields, number, oneOf, text } from "../ui/address.ts";

/** Of `evenkeel compare`. */
export const USUAL_SEEDS = 3;

/** How data are read; "", undefined and no columns stand for what is found by itself. Values are as they are typed after options. */
export interface ReadingState {
  target: string;
  task: TaskName | "";
  metric: string;
  ignore: readonly string[];
  keep: readonly string[];
  categorical: readonly string[];
  numeric: readonly string[];
  levels: number | undefined;
  image: string;
  text: string;
  limit: number | undefined;
  split: "" | "random" | "time";
  time: string;
  parts: string;
  group: string;
  horizon: number | undefined;
  window: number | undefined;
  season: number | undefined;
  series: string;
  user: string;
  item: string;
  rating: string;
  header: "" | "yes" | "no";
  delimiter: (typeof delimiters)[number];
  decimal: "" | "." | ",";
  missing: string;
  dates: "" | "dmy" | "mdy" | "ymd";
  encoding: string;
  member: string;
  maxCells: number | undefined;
  maxBytes: number | undefined;
}

export interface State extends ReadingState, Training {
  /** A name of the lab's data, or else the file that is compared, which an address cannot hold. */
  data: string;
  file: string;
  /** In bytes. */
  size: number | undefined;
  baseline: string;
  sweep: "" | NonNullable<Choices["sweep"]>["setting"];
  values: string;
}

export const delimiters = ["", "comma", "semicolon", "tab", "pipe", "space", ":"] as const;
const CHARACTERS: Readonly<Record<string, string>> = {
  comma: ",",
  semicolon: ";",
  tab: "\t",
  pipe: "|",
  space: " ",
};

/** Names of columns, which may hold anything. */
const columns: Field<readonly string[]> = {
  usual: [],
  write: (names) => names.map(encodeURIComponent).join(","),
  read(written) {
    try {
      return written
        .split(",")
        .filter((name) => name !== "")
        .map(decodeURIComponent);
    } catch {
      return undefined;
    }
  },
};

const tasks = ["classification", "regression", "forecasting", "language-model", "recommendation"] as const;

export const readingFields: Fields<ReadingState> = {
  target: text(),
  task: oneOf<TaskName | "">(["", ...tasks], ""),
  metric: text(),
  ignore: columns,
  keep: columns,
  categorical: columns,
  numeric: columns,
  levels: count(10_000),
  image: text(),
  text: text(),
  limit: number<number | undefined>(undefined, (value) => wholeNumber(1e9)(value) && value >= 2),
  split: oneOf(["", "random", "time"], ""),
  time: text(),
  parts: text(),
  group: text(),
  horizon: count(100_000),
  window: count(100_000),
  season: count(100_000),
  series: text(),
  user: text(),
  item: text(),
  rating: text(),
  header: oneOf(["", "yes", "no"], ""),
  delimiter: oneOf(delimiters, ""),
  decimal: oneOf(["", ".", ","], ""),
  missing: text(),
  dates: oneOf(["", "dmy", "mdy", "ymd"], ""),
  encoding: text(),
  member: text(),
  maxCells: count(Number.MAX_SAFE_INTEGER),
  maxBytes: count(Number.MAX_SAFE_INTEGER),
};

export const fields: Fields<State> = {
  data: text(),
  file: text(),
  size: number<number | undefined>(undefined, (value) => Number.isInteger(value) && value >= 0),
  ...readingFields,
  ...trainingFields([], USUAL_SEEDS),
  baseline: text(),
  sweep: oneOf(["", ...sweepSettings], ""),
  values: text(),
};

export const usualState = Object.fromEntries(
  Object.entries(fields).map(([name, { usual }]) => [name, usual]),
) as unknown as State;

/** HEIGHTxWIDTH. */
export function imageOf(typed: string): [height: number, width: number] | undefined {
  const [, height, width] = /^(\d+)\s*[x×]\s*(\d+)$/i.exec(typed) ?? [];
  return height === undefined ? undefined : [Number(height), Number(width)];
}

/** Three numbers above 0, in any proportion. */
export function partsOf(typed: string): DatasetOptions["shares"] {
  const values = typed.split(/\s*[,/:]\s*|\s+/).map(Number);
  const sum = values.reduce((all, value) => all + value, 0);
  return values.length === 3 && values.every((value) => value > 0) && Number.isFinite(sum)
    ? (values.map((value) => value / sum) as [number, number, number])
    : undefined;
}

/** Marks between commas; "" in quotes is none at all. */
export const marksOf = (typed: string): string[] | undefined =>
  typed === "" ? undefined : typed.split(",").map((mark) => mark.trim().replace(/^(["'])(.*)\1$/, "$2"));

/** At least two, in ascending order. */
export function valuesOf(typed: string): number[] | undefined {
  const values = typed.split(/[\s,]+/).flatMap((part) => (part === "" ? [] : Number(part)));
  const distinct = [...new Set(values)].sort((a, b) => a - b);
  return distinct.length > 1 && distinct.every((value) => Number.isFinite(value) && value >= 0)
    ? distinct
    : undefined;
}

/** Option of the lab that a control sets. */
const OPTIONS: { readonly [Name in keyof ReadingState]?: ReadingOption } = {
  parts: "shares",
  maxCells: "limits",
  maxBytes: "limits",
};
export const optionOf = (name: keyof ReadingState): ReadingOption => OPTIONS[name] ?? (name as ReadingOption);

/** How the lab is to read. */
export function readingOf(state: ReadingState): DatasetOptions {
  const { image, parts, header, delimiter, missing, maxBytes, maxCells } = state;
  const limits = {
    ...(maxBytes !== undefined && { bytes: maxBytes }),
    ...(maxCells !== undefined && { cells: maxCells }),
  };
  const read = {
    image: imageOf(image),
    shares: partsOf(parts),
    header: header === "" ? undefined : header === "yes",
    delimiter: delimiter === "" ? undefined : (CHARACTERS[delimiter] ?? delimiter),
    missing: marksOf(missing),
    limits: Object.keys(limits).length > 0 ? limits : undefined,
  };
  const options = Object.keys(readingFields).map((name) => {
    const option = optionOf(name as keyof ReadingState);
    const value = Object.hasOwn(read, option)
      ? read[option as keyof typeof read]
      : state[name as keyof ReadingState];
    return [option, value] as const;
  });
  const given = options.filter(
    ([, value]) =>
      value !== undefined &&
      value !== "" &&
      !(Array.isArray(value) && (value as readonly unknown[]).length === 0),
  );
  return Object.fromEntries(given) as DatasetOptions;
}

export function comparedOf(state: State): Choices {
  const { baseline, sweep } = state;
  const values = valuesOf(state.values);
  return {
    ...choicesOf(state),
    ...(baseline !== "" && { baseline }),
    ...(sweep !== "" && values && { sweep: { setting: sweep, values } }),
  };
}

/** A file as one would type it in its folder: beginning with ./ where it would be taken for something else. */
export const pathOf = (file: string): string => (/^-|^[^.]*$/.test(file) ? `./${file}` : file);

/** What does the same in a terminal. */
export function commandOf(state: State): string {
  const { data, file } = state;
  const args = argumentsOf({
    data: data === "" ? pathOf(file) : data,
    reading: readingOf(state),
    choices: comparedOf(state),
  });
  return ["evenkeel", "compare", ...(args ?? [])].map(typed).join(" ");
}

/** What has a place in a task; the rest is as usual. */
export function suited(
  state: State,
  { metrics, suits }: { metrics: readonly string[]; suits: readonly ReadingOption[] },
): State {
  const kept = Object.keys(readingFields).map((name) => {
    const has = suits.includes(optionOf(name as keyof ReadingState));
    return [name, (has ? state : usualState)[name as keyof State]];
  });
  const own = { ...state, ...Object.fromEntries(kept) } as State;
  return metrics.includes(own.metric) ? own : { ...own, metric: "" };
}

/** What fits data that were read: another network or normalization than there is, is the usual one. */
export function fitted(state: State, { model, models }: Pick<Loaded, "model" | "models">): State {
  const isThere = state.model === "" || models.some(({ name }) => name === state.model);
  const own = isThere ? state : { ...state, model: "", depth: undefined, width: undefined };
  const chosen = models.find(({ name }) => name === (own.model || model)) as ModelChoice;
  const fits = (norm: string) => chosen.norms.includes(norm);
  const norms = own.norms.every(fits) ? own.norms : own.norms.filter(fits);
  const compared = norms.length > 0 ? norms : chosen.usualNorms;
  return { ...own, norms, baseline: compared.includes(own.baseline) ? own.baseline : "" };
}
