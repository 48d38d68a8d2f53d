/** What is told of a comparison before its trials run: what is compared on what, and what was decided about the data. */
import { count, printable, quote, wrap } from "@evenkeel/report/format";
import type { Settings } from "../comparison.js";
import { exampleName, givenText, sizeOf } from "../data/form.js";
import type { Decision } from "../data/table.js";
import type { Comparison } from "../results.js";
import { predictsOf } from "../tasks/registry.js";
import { colorsOf } from "./colors.js";
import { columnsOf } from "./streams.js";

/** Names, decisions and warnings that are listed; the report has all. */
const MOST_NAMES = 6;
const MOST_LINES = 20;
/** Characters of an option that decides otherwise: a longer one would be no help. */
const MOST_OPTION = 60;
/** Of a warning, and of what was decided. */
const MOST_TEXT = 200;

/** A comparison as JSON, in the file and on standard output alike. */
export const comparisonText = (comparison: Comparison): string => `${JSON.stringify(comparison, null, 1)}\n`;

/** A setting as one would type it. */
export const plain = (value: number): string => String(Number(value.toPrecision(3)));

/** Trials in all, those of them that an earlier run has finished, and how many run at a time here, or the queue on which they are. */
export interface Amount {
  trials: number;
  found: number;
  threads?: number;
  queue?: string;
}

/** The data as a comparison has them. */
type Data = Comparison["data"];

/** Lines for the terminal, none wider than it. */
export function announcement(settings: Settings, metric: string, data: Data, amount: Amount): string {
  const colors = colorsOf(process.stderr);
  const width = columnsOf(process.stderr);
  const { model, training, norms, seeds, baseline, sweep } = settings;
  const { train, validation, heldOut } = data.parts;
  const { learningRates } = training;
  const rates = learningRates.map(plain).join(", ");
  const title = "evenkeel compare";
  const lines = [
    `${title}  ${cut(data.name, MOST_OPTION)}: ${count(data.examples, exampleName(data.form))}${data.fileRows > data.examples ? ` of ${count(data.fileRows, "row")}` : ""}`,
    `predicts ${described(data)}`,
    `each seed ${data.drawn}: ${train.toLocaleString("en-US")} to train on, ${validation.toLocaleString("en-US")} for validation, ${heldOut.toLocaleString("en-US")} held out`,
    `${sizeText(model)} · ${norms.join(", ")}${norms.length > 1 ? ` · baseline: ${baseline}` : ""} · ${count(seeds.length, "seed")}`,
    `${training.optimizer}, ${count(training.epochs, "epoch")}, ${learningRates.length > 1 ? `learning rate: the best of ${rates} on validation` : `learning rate ${rates}`} · judged by ${metric}`,
    ...(sweep ? [`sweeps ${sweep.setting} over ${sweep.values.map(plain).join(", ")}`] : []),
    amountText(amount),
    ...some(
      data.decisions.map((decision) => `- ${decisionText(decision)}`),
      "decisions",
    ),
    ...some(
      data.warnings.map((warning) => `! ${cut(warning, MOST_TEXT)}`),
      "warnings",
    ),
  ];
  return lines
    .map((line) => wrap(printable(line), width, "  "))
    .map((line) => (line.startsWith("!") ? colors.yellow(line) : line.replace(title, colors.bold)))
    .join("\n");
}

/** "mlp of 20 layers of 64". */
function sizeText({ kind, depth, width, module }: Settings["model"]): string {
  if (module !== undefined) return `${kind}, with ${count(depth, "place")} for a normalization`;
  return width === 1 ? kind : `${kind} of ${count(depth, "layer")} of ${width}`;
}

function amountText({ trials, found, threads = 1, queue }: Amount): string {
  const all = count(trials, "trial");
  if (found === trials) return `${all}, all finished already`;
  const left = trials - found;
  const here = left > 1 ? `, ${Math.min(threads, left)} at a time` : "";
  const atATime = queue === undefined ? here : `, on ${queue}`;
  return found > 0 ? `${all}, ${found.toLocaleString("en-US")} finished already${atATime}` : all + atATime;
}

/** What is predicted from what, so that a wrong target or an id among the inputs is noticed before the training. */
function described({ task, target, classes, inputs, form, targetShape }: Data): string {
  const size = sizeOf(form.input.shape);
  const columns = inputs.map(({ column }) => column);
  const from =
    givenText(form) ??
    (columns.length === size
      ? `${count(size, "input")}: ${names(columns)}`
      : `${count(size, "input")} of ${count(columns.length, "column")}: ${names(columns)}`);
  return `${predictsOf(task, quote(target), classes, targetShape)} from ${from}`;
}

const cut = (text: string, most: number) => quote(text, most).slice(1, -1);

/** `"a", "b" and 3 more: left out (one value only); --keep a`. */
export function decisionText({ columns, what, why, option }: Decision): string {
  return [
    columns.length > 0 ? `${names(columns)}: ` : "",
    cut(what, MOST_TEXT),
    why === undefined ? "" : ` (${cut(why, MOST_TEXT)})`,
    option === undefined || option.length > MOST_OPTION ? "" : `; ${option}`,
  ].join("");
}

function names(columns: readonly string[]): string {
  const shown = columns.slice(0, MOST_NAMES).map((name) => quote(name, 40));
  const more = columns.length - shown.length;
  return shown.join(", ") + (more > 0 ? ` and ${more.toLocaleString("en-US")} more` : "");
}

const some = (lines: string[], what: string): string[] =>
  lines.length <= MOST_LINES
    ? lines
    : [
        ...lines.slice(0, MOST_LINES),
        `${count(lines.length - MOST_LINES, `more of the ${what}`, `more of the ${what}`)}: see the report`,
      ];
