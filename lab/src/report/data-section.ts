/** What was read, and what was decided about it: the inputs of the network, the parts, the classes, and what guessing scores. */
import { capitalize, count } from "@evenkeel/report/format";
import { escapeHtml, folded, plainTable, unbrokenWords } from "@evenkeel/report/page";
import { exampleName, givenText, type InputKind } from "../data/form.js";
import type { Comparison } from "../results.js";
import { predictsOf, tasks } from "../tasks/registry.js";
import { clipped, unbroken } from "./series.js";

/** Letters of a name, and of a sentence with names in it. */
const NAME = 40;
const SENTENCE = 400;
/** Items that are shown at once, and those that are folded away; the rest is in comparison.json. */
const SHOWN = 12;
const FOLDED = 200;
/** Names of inputs and classes that are listed. */
const MOST_NAMES = 8;

const shown = (text: string, most: number): string => unbroken(clipped(text, most));

/** Names in a sentence, the first few of them. */
function some(
  names: readonly string[],
  most: number,
  write = (name: string, _index: number): string => shown(name, NAME),
): string {
  const first = names.slice(0, most).map(write);
  return names.length > most
    ? `${first.join(", ")} and ${(names.length - most).toLocaleString("en-US")} more`
    : first.join(", ");
}

/** What may make the numbers too good, or worse than need be; empty where nothing is known to. */
export function warningsBox({ warnings }: Comparison["data"]): string {
  if (warnings.length === 0) return "";
  const items = warnings.slice(0, SHOWN).map((text) => `<li>${shown(text, SENTENCE)}</li>`);
  const rest = warnings.length - SHOWN;
  if (rest > 0) items.push(`<li>and ${rest.toLocaleString("en-US")} more, in comparison.json</li>`);
  return `<aside class="warnings" aria-label="Warnings"><p>Reasons to doubt these numbers:</p><ul>${items.join("")}</ul></aside>`;
}

export function dataSection(comparison: Comparison): string {
  return `<section id="data"><h2>The data</h2>${aboutData(comparison.data, guesses(comparison))}</section>`;
}

/** The facts, what was decided, and what became of each column. @param guessing what it scores, where that is known */
export function aboutData(data: Comparison["data"], guessing?: string): string {
  const { parts } = data;
  const number = (n: number) => n.toLocaleString("en-US");
  const example = exampleName(data.form);
  const inputs = data.inputs.reduce((sum, { names }) => sum + names.length, 0);
  const from = givenText(data.form) ?? `${count(inputs, "input")} of ${count(data.inputs.length, "column")}`;
  const rows: [string, string][] = [
    ["Data", `${shown(data.name, 120)}`],
    ["Provenance", shown(data.provenance, SENTENCE)],
    [
      "Question",
      `${capitalize(data.task.replaceAll("-", " "))}: ${predictsOf(data.task, `“${shown(data.target, NAME)}”`, data.classes, data.targetShape)} from ${from}`,
    ],
    amountOf(data),
    [
      "Parts",
      `Each seed ${shown(data.drawn, SENTENCE)}: ${count(parts.train, example)} to train on, ${number(parts.validation)} to validate, ${number(parts.heldOut)} held out. ${MEASURED.includes(data.form.input.kind) ? "Means and deviations are those of the training part alone; the" : "The"} held-out part chooses nothing.`,
    ],
    ...(guessing === undefined ? [] : [["Guessing", guessing] satisfies [string, string]]),
    ...(data.classes.length > 0 ? [["Classes", classesOf(data)] satisfies [string, string]] : []),
  ];
  const list = rows.map(([term, value]) => `<div><dt>${term}</dt><dd>${value}</dd></div>`).join("\n");
  return `<dl>${list}</dl>
${decisions(data.decisions)}
${inputsTable(data.inputs)}`;
}

/** What is standardized. */
const MEASURED: readonly InputKind[] = ["features", "image", "series"];

/** How much there is: of a table rows, which may not be what an example is. */
function amountOf({ form, fileRows, examples }: Comparison["data"]): [string, string] {
  const name = exampleName(form);
  const number = (n: number) => n.toLocaleString("en-US");
  if (name === "example") {
    const used = fileRows === examples ? ", all used" : ` in the file, ${number(examples)} used`;
    return ["Rows", number(fileRows) + used];
  }
  const from = fileRows === examples ? "" : `, from ${count(fileRows, "row")} in the file`;
  return [`${capitalize(name)}s`, `${number(examples)}${from}`];
}

/** What each way of guessing scores, in the metrics that it is the guess of. */
function guesses({ data, guess, guesses: named }: Comparison): string {
  const ways = new Map<string, string[]>();
  for (const { name: way, scores } of named) {
    for (const { name, format } of tasks[data.task].metrics) {
      const value = scores[name] ?? null;
      if (value !== null) ways.set(way, [...(ways.get(way) ?? []), `${escapeHtml(name)} ${format(value)}`]);
    }
  }
  if (ways.size > 0) return textOf(ways);
  for (const { name, format, guessed } of tasks[data.task].metrics) {
    const value = guess[name] ?? null;
    if (value === null) continue;
    ways.set(guessed, [...(ways.get(guessed) ?? []), `${escapeHtml(name)} ${format(value)}`]);
  }
  return textOf(ways);
}

const textOf = (ways: ReadonlyMap<string, readonly string[]>): string =>
  capitalize([...ways].map(([way, scores]) => `${way}: ${scores.join(", ")}`).join("; "));

/** The classes with their examples. */
function classesOf({ classes, classCounts }: Comparison["data"]): string {
  const number = (index: number) => (classCounts[index] ?? 0).toLocaleString("en-US");
  const named = (most: number) =>
    some(classes, most, (name, index) => `${shown(name, NAME)}\u00a0<small>(${number(index)})</small>`);
  return classes.length <= SHOWN
    ? named(SHOWN)
    : folded(`${count(classes.length, "class", "classes")}: ${named(MOST_NAMES)}`, `<p>${named(FOLDED)}</p>`);
}

function decisions(all: Comparison["data"]["decisions"]): string {
  if (all.length === 0) return "";
  const items = all.slice(0, FOLDED).map(({ columns, what, why, option }) => {
    const who = columns.length > 0 ? `<b>${some(columns, MOST_NAMES)}</b>: ` : "";
    const reason = why === undefined ? "" : ` <span class="why">(${shown(why, 160)})</span>`;
    const otherwise =
      option === undefined
        ? ""
        : ` <small>otherwise: <code>${unbrokenWords(clipped(option, 120))}</code></small>`;
    return `<li>${who}${shown(what, SENTENCE)}${reason}${otherwise}</li>`;
  });
  return `<h3>What was decided</h3>${listOf(items, all.length, "decision")}`;
}

function listOf(items: string[], all: number, what: string): string {
  const list = (some: string[]) => `<ul class="decisions">${some.join("")}</ul>`;
  const rest = items.slice(SHOWN);
  const more =
    all > items.length
      ? `<p class="note">All ${all.toLocaleString("en-US")} are in comparison.json.</p>`
      : "";
  return (
    list(items.slice(0, SHOWN)) +
    (rest.length > 0 ? folded(`${count(all - SHOWN, `more ${what}`)}`, list(rest) + more) : "")
  );
}

function inputsTable(inputs: Comparison["data"]["inputs"]): string {
  const table = (caption: string, some: Comparison["data"]["inputs"]) =>
    plainTable(
      caption,
      ["column", "read as", "inputs"],
      some.map(({ column, how, names }) => [
        shown(column, NAME),
        shown(how, 80),
        names.length === 1 && names[0] === column
          ? "1"
          : `${names.length.toLocaleString("en-US")}: ${namesOf(names)}`,
      ]),
    );
  if (inputs.length === 0) return "";
  const rest = inputs.slice(SHOWN, SHOWN + FOLDED);
  const more =
    inputs.length > SHOWN + FOLDED
      ? `<p class="note">All ${inputs.length.toLocaleString("en-US")} are in comparison.json.</p>`
      : "";
  return `<h3>What the network sees</h3>${table("What becomes of each column", inputs.slice(0, SHOWN))}${
    rest.length > 0
      ? folded(count(inputs.length - SHOWN, "more column"), table("What becomes of the others", rest) + more)
      : ""
  }`;
}

const namesOf = (names: readonly string[]): string => {
  const first = names.slice(0, MOST_NAMES).map((name) => shown(name, NAME));
  return names.length > MOST_NAMES ? `${first.join(", ")}, …` : first.join(", ");
};
