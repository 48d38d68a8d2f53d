/** What recipes found, as a page of Markdown, and a figure of each that stands alone. */

import type { Figure } from "@evenkeel/report/draw";
import { capitalize, count, duration } from "@evenkeel/report/format";
import { escapeHtml } from "@evenkeel/report/page";
import { STYLE } from "@evenkeel/report/style";
import { under } from "../findings.js";
import { differenceFigure } from "../report/differences.js";
import { depthProfile, learningCurves, sweepFigures } from "../report/figures.js";
import { looksOf, looksStyle } from "../report/series.js";
import { type Comparison, metricOf, normsOf } from "../results.js";
import { type Answer, answersOf, type Held } from "./answer.js";
import { argumentsOf } from "./command.js";
import { groups, type Recipe } from "./recipe.js";

/** A recipe with what came of it. */
export interface Result {
  recipe: Recipe;
  comparison: Comparison;
}

const VERDICTS: Record<Held, string> = { yes: "held", no: "did not hold", unclear: "not shown" };
/** Width of a figure on the page, in px. */
const WIDTH = 480;

/** The page, and the figures beside it by the names of their recipes; drawn in `document`. */
export function recipesPage(
  results: readonly Result[],
  document: Document,
): { page: string; figures: ReadonlyMap<string, string> } {
  const found = results.map((result) => {
    const figure = figureOf(result, document);
    return {
      ...result,
      answers: answersOf(result.recipe, result.comparison),
      twin: figure.twin ?? "",
      notes: figure.notes,
      svg: standalone(figure.svg, result.comparison),
    };
  });
  const sections = groups.flatMap((group) => {
    const own = found.filter(({ recipe }) => recipe.group === group);
    return own.length === 0 ? [] : [`## ${group}`, ...own.map(sectionOf)];
  });
  return {
    page: `${[INTRODUCTION, overview(found), ...sections].join("\n\n")}\n`,
    figures: new Map(found.map(({ recipe, svg }) => [recipe.name, svg])),
  };
}

const INTRODUCTION = `# Claims about normalization, measured

<!-- made by npm run docs:recipes -->

Each recipe is a question that the literature has an answer to, asked of real data that come with the lab: \`evenkeel recipes\` lists
them, \`evenkeel recipe NAME\` runs one in minutes. What follows are such runs. These networks and data are small: a claim that was
made of larger ones may hold there and not here, or the other way round.
Figures after “Claimed” are those of the papers named; they were not measured here, and most were not looked up again.

A claim **held** where one normalization is clearly better than the other, and **did not hold** where it is clearly worse: the interval of
the difference, over pairs of trials of one seed each, leaves out zero. All intervals of a recipe's report are right at once in 95 of 100
comparisons. What is **not shown** may be so or not: these trials cannot tell.`;

interface Found extends Result {
  answers: Answer[];
  svg: string;
  twin: string;
  notes: string[];
}

function overview(found: readonly Found[]): string {
  const rows = found.flatMap(({ recipe, answers }) =>
    answers.map(
      ({ claim, held }) => `| [${recipe.name}](#${recipe.name}) | ${cell(claim)} | ${VERDICTS[held]} |`,
    ),
  );
  return ["| recipe | claim | answer |", "| --- | --- | --- |", ...rows].join("\n");
}

const cell = (text: string): string => text.replaceAll("|", "\\|");

function sectionOf({ recipe, comparison, answers, svg, twin, notes }: Found): string {
  const { name, question, literature } = recipe;
  const { data, machine, training, wallSeconds, summaries } = comparison;
  const same = argumentsOf(recipe);
  const made = [
    `${capitalize(data.name)}, ${data.provenance}: ${count(data.parts.train, "example")} to train on, ${data.parts.heldOut.toLocaleString("en-US")} held out`,
    `${count(summaries.length, "network")} from ${count(training.seeds.length, "seed")} each`,
    `${machine.processor}, ${count(machine.cores, "core")}, ${machine.runtime}`,
    duration(wallSeconds),
  ];
  const label = /aria-label="([^"]*)"/.exec(svg)?.[1] ?? name;
  return [
    `### ${name}`,
    `**${question}**`,
    `Claimed: ${literature.says} (${literature.source}).`,
    answers
      .map(({ claim, held, sentence }) => `- **${capitalize(VERDICTS[held])}**: ${claim}.\n  ${sentence}`)
      .join("\n"),
    `<img src="recipes/${name}.svg" width="${WIDTH}" alt="${label}">`,
    `<sub>${[`${label.split(". ")[0]}.`, ...notes.map(escapeHtml)].join(" ")}</sub>`,
    ...(twin === "" ? [] : [twin.replaceAll(/\n\s*\n/g, "\n")]),
    `${made.join(" · ")}.`,
    `\`\`\`sh\nevenkeel recipe ${name}${same === undefined ? "" : `\nevenkeel compare ${same.map(quoted).join(" ")}`}\n\`\`\``,
  ].join("\n\n");
}

const quoted = (argument: string): string => (/^[\w.,:=/-]+$/.test(argument) ? argument : `'${argument}'`);

// ---- figures ----

/** Of what the first claim is about. */
function figureOf({ recipe, comparison }: Result, document: Document): Figure {
  const [{ by }] = recipe.claims;
  if (comparison.sweep !== null) {
    const { metric, gradientRatio } = sweepFigures(comparison, comparison.sweep, document);
    return (by === "gradient" && gradientRatio) || metric;
  }
  if (by === "gradient" || by === "largest") return depthProfile(comparison, "gradientNorm", document).first;
  if (by === "metric") {
    const { name: of, formatDifference: format, higherIsBetter } = metricOf(comparison);
    return differenceFigure(
      {
        ...{ of, format, differences: comparison.differences.metric },
        title: `Difference in ${of} from networks ${under(comparison.baseline)}`,
        better: higherIsBetter ? "right" : "left",
      },
      document,
    );
  }
  const { metric, byTime } = learningCurves(comparison, document);
  return by === "seconds" ? byTime : metric;
}

/** As the report has them: others may be wider than what the labels have room for. */
const FONTS = "'Segoe UI', Roboto, 'Helvetica Neue', Arial, 'Liberation Sans', sans-serif";
/** Corners of the paper, in px. */
const ROUND = 6;

/** An SVG of the report as a file of its own: on light paper, whatever it is shown on, and without what a pointer would show. */
function standalone(svg: string, comparison: Comparison): string {
  const variables = new Map<string, string>();
  for (const [, name, value] of `${STYLE}${looksStyle(looksOf(normsOf(comparison)))}`.matchAll(
    /--([\w-]+):([^;}]+)/g,
  )) {
    // the first are those of the light scheme
    if (!variables.has(name)) variables.set(name, value);
  }
  const resolved = (text: string): string =>
    text.replaceAll(/var\(--([\w-]+)\)/g, (_, name) => resolved(variables.get(name) ?? "currentColor"));
  const plain = resolved(svg.replace(/<g class="tips"[\s\S]*<\/g>(?=<\/svg>\s*$)/, ""));
  const paper = `<rect width="100%" height="100%" rx="${ROUND}" fill="${resolved("var(--page)")}"/>`;
  return `${plain.replace(/^<svg([^>]*)>/, (_, attributes: string) => {
    const namespace = /\sxmlns=/.test(attributes) ? "" : ' xmlns="http://www.w3.org/2000/svg"';
    return `<svg${namespace}${attributes.replace(/ font-family="[^"]*"/, ` font-family="${FONTS}"`)} color="${resolved("var(--ink)")}">${paper}`;
  })}\n`;
}
