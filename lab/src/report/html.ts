/**
 * The report of a comparison: one HTML file that holds everything it needs. There is no script: the switches that show
 * and hide a normalization are checkboxes that the style sheet reads.
 */
import type { Axis } from "@evenkeel/report/axes";
import { capitalize, count, duration, listed } from "@evenkeel/report/format";
import { escapeHtml, figure, folded, unbrokenWords, wholePage } from "@evenkeel/report/page";
import { isNumber } from "@evenkeel/report/statistics";
import { exampleName } from "../data/form.js";
import { sameHeldOut } from "../data/split.js";
import { findings, formatEpochDifference, headline } from "../findings.js";
import { modelOf } from "../models/registry.js";
import { labelOf, type NormName, nameOf, slugOf } from "../norms.js";
import { type Comparison, formatTarget, metricOf, normsOf } from "../results.js";
import { settingName, trialEpochs } from "../settings.js";
import { confusionMatrices } from "./confusion.js";
import { dataSection, warningsBox } from "./data-section.js";
import { differenceFigure } from "./differences.js";
import { depthProfile, learningCurves, type Profile, sweepFigures, triedRates } from "./figures.js";
import { forecastFigures } from "./forecasts.js";
import { gradientMaps } from "./gradient-maps.js";
import { detailsTable, formatRate, missedNote, resultsTable } from "./numbers.js";
import { clipped, type Looks, looksOf, looksStyle, swatch, switches, unbroken } from "./series.js";
import { chosenRates } from "./tuning.js";

function section(id: string, title: string, how: string[], figures: string): string {
  return `<section id="${id}"><h2>${title}</h2><div class="beside"><div class="how">${how
    .map((paragraph) => `<p>${paragraph}</p>`)
    .join("")}</div><div class="pair">${figures}</div></div></section>`;
}

function differencesSection(comparison: Comparison, document: Document): string {
  const { baseline, differences, training } = comparison;
  const { title, higherIsBetter, formatDifference } = metricOf(comparison);
  const than = baseline === "none" ? "no normalization" : nameOf(baseline);
  const goal = formatTarget(comparison);
  const drawn = [
    {
      caption: title,
      qualifier: `held out, against ${than}`,
      title: `Difference in ${comparison.metric} from ${than}`,
      of: comparison.metric,
      differences: differences.metric,
      better: higherIsBetter ? ("right" as const) : ("left" as const),
      format: formatDifference,
      notes: [],
    },
    {
      caption: `Epochs to ${goal}`,
      qualifier: `against ${than}`,
      title: `Difference in epochs to ${goal} from ${than}`,
      of: "epochs",
      differences: differences.epochsToTarget,
      better: "left" as const,
      format: formatEpochDifference,
      notes: missedNote(comparison),
    },
  ].filter((each) => each.differences.some(({ mean }) => isNumber(mean)));
  if (drawn.length === 0) return "";
  const several = drawn.some((each) => each.differences.some(({ low }) => isNumber(low)));
  const figures = drawn.map(({ caption, qualifier, notes, ...each }) => {
    const made = differenceFigure(each, document);
    return figure(caption, qualifier, { ...made, notes: [...made.notes, ...notes] });
  });
  return section(
    "differences",
    "What these seeds can tell apart",
    [
      `A dot is the mean difference from ${than}, paired by seed: both networks of a pair start from one seed, and learn and are judged on the same ${exampleName(comparison.data.form)}s.${several ? ` The bar is its interval over ${count(training.seeds.length, "seed")}.` : ""}`,
      several
        ? "A bar that crosses the line shows no difference that these seeds can tell from chance; its dot is hollow. The bars are as wide as it takes for all of them to be right at once in 95 of 100 comparisons. More seeds make them narrower."
        : "So few seeds have no interval: any of these differences may be chance. Three seeds are the fewest that have one, and five show much more.",
      ...(sameHeldOut(comparison.data.drawn)
        ? [
            `All seeds are judged on the same ${exampleName(comparison.data.form)}s: on others, differences may be others, which no ${several ? "bar" : "dot"} here tells.`,
          ]
        : []),
    ],
    figures.join(""),
  );
}

function learningSection(comparison: Comparison, document: Document): string {
  const { trainLoss, heldOutLoss, log, metric, byTime } = learningCurves(comparison, document);
  const { title, explanation } = metricOf(comparison);
  const { learningRates, seeds, warmUp } = comparison.training;
  const several = seeds.length > 1;
  const tried = learningRates.length > 1 ? ", and without that of the learning rates given up" : "";
  return section(
    "learning",
    "Learning",
    [
      several
        ? "A line is the median over the seeds; the thin lines are the seeds themselves, and the band reaches from the lowest to the highest."
        : "One line for each network; another seed would draw another.",
      `A network that learns shows a falling loss. Where the line stays flat, the steps change nothing that matters; the gradients below may show why. A held-out loss that rises while the training loss falls means that the network learns its examples by heart${exampleName(comparison.data.form) === "window" ? ", or that what comes later is different" : ""}. The training loss is the mean of an epoch’s batches, the held-out loss is measured after it.`,
      `Learning rates ${warmUp > 0 ? `rise over the first ${formatRate(100 * warmUp)} % of the steps, then fall` : "fall"} evenly to zero over the training, so that lines settle toward their end.`,
      explanation(comparison.data.parts.heldOut),
      `Time is that of the training steps on this machine, without evaluation${tried}. Trials that ran side by side share its cores.${several ? " Seeds are at an epoch at different times, so there is no band." : ""}`,
    ],
    figure("Training loss", log ? "log scale" : "", trainLoss) +
      figure("Held-out loss", `same scale${log ? ", log" : ""}`, heldOutLoss) +
      figure(title, "held out, by epoch", metric) +
      figure(title, "held out, by time", byTime),
  );
}

function forecastSection(comparison: Comparison, document: Document): string {
  const figures = forecastFigures(comparison, document);
  if (figures.length === 0) return "";
  const several = comparison.training.seeds.length > 1;
  return section(
    "forecasts",
    "One forecast",
    [
      `The window in the middle of the held-out part, chosen by its place alone. The networks see what comes before step 1${several ? "; a line is the median over the seeds, and its band reaches from the lowest to the highest" : ""}.`,
      "One window shows what forecasts look like, not which are better: that is what the metrics over all of them are for. Values are standardized by the training part.",
    ],
    figures
      .map(({ name, figure: drawn }) => figure(escapeHtml(name), "held out, standardized", drawn))
      .join(""),
  );
}

function ratesSection(comparison: Comparison, document: Document): string {
  const { training, trials } = comparison;
  if (training.learningRates.length < 2 || !trials.some(({ tried }) => tried.length > 0)) return "";
  const epochs = trialEpochs(training.epochs);
  const first = epochs === 1 ? "epoch" : count(epochs, "epoch");
  const { figure: tried, scale } = triedRates(comparison, document);
  return section(
    "rates",
    "Learning rates",
    [
      `Each trial tried ${listed(training.learningRates.map(formatRate))} for the first ${first}, and went on with the one of the lowest loss on its validation part. The held-out part had no say.`,
      "Normalizations that suit different learning rates are thus compared each at its own. Where the best one is the lowest or the highest tried, a wider grid may change the result.",
    ],
    figure("Loss", `on validation, after the first ${first}${SCALES[scale]}`, tried) +
      figure("Chosen", "number of trials", chosenRates(comparison, document)),
  );
}

function sweepSection(comparison: Comparison, document: Document): string {
  const { sweep, training } = comparison;
  if (sweep === null || sweep.points.length === 0) return "";
  const name = settingName(sweep.setting);
  const { metric, epochsToTarget, gradientRatio } = sweepFigures(comparison, sweep, document);
  const each =
    training.learningRates.length < 2
      ? ""
      : sweep.setting === "learning-rate"
        ? " Trials here train at the one that is given, and choose none."
        : " Each trial chooses its learning rate anew.";
  return section(
    "sweep",
    `Over the ${name}`,
    [
      `The whole comparison at ${count(sweep.points.length, "value")} of the ${name}, all else being equal.${each} A level line is of a normalization that does not care; one that is good in a narrow range needs the right ${name}.`,
      "What looks better here was not tested: these are medians over the seeds with their ranges, without intervals.",
    ],
    figure(metricOf(comparison).title, `held out, by ${name}`, metric) +
      (epochsToTarget ? figure(`Epochs to ${formatTarget(comparison)}`, `by ${name}`, epochsToTarget) : "") +
      (gradientRatio ? figure("Gradient ratio", "first layer over last, log scale", gradientRatio) : ""),
  );
}

function confusionSection(comparison: Comparison, looks: Looks): string {
  const { data, training, trials } = comparison;
  const matrices = confusionMatrices(comparison, looks);
  // of trials that diverged there is none either
  const missing = trials.some(({ outcome }) => outcome === "finished") && data.classes.length > 0;
  if (matrices === "" && !missing) return "";
  const how =
    matrices === ""
      ? `There are too many classes (${data.classes.length.toLocaleString("en-US")}) to show which is taken for which.`
      : `Held-out examples${training.seeds.length > 1 ? " of all seeds together" : ""}: a row is the class that they have, a column the one that the network gave. The colour of a cell grows with its share of the row; what lies off the diagonal is wrong.`;
  return `<section id="confusion"><h2>What is taken for what</h2>
<div class="how wide"><p>${how}</p></div>
${matrices}</section>`;
}

function gradientSection(comparison: Comparison, looks: Looks, document: Document): string {
  const { panels, legend, width, notes } = gradientMaps(comparison, document);
  const maps = panels.map(
    ({ norm, svg, notes: own }) =>
      `<figure class="panel p-${slugOf(norm)}"><figcaption>${swatch(norm, looks)}<b>${labelOf(norm)}</b></figcaption>${svg}${own.map((note) => `<p class="note">${note}</p>`).join("")}</figure>`,
  );
  const twins = panels.map(({ norm, twin }) => `<div class="p-${slugOf(norm)}">${twin}</div>`).join("");
  const profile = depthProfile(comparison, "gradientNorm", document);
  return `<section id="gradients"><h2>How the gradient travels</h2>
<div class="how wide"><p>The gradient enters at the last layer, on top, and travels down to the first. Each cell is the norm of the loss gradient for one layer’s weights at one step (median over the seeds). All panels share one colour scale.</p>
<p><b>Vanishing</b> looks like a panel that darkens toward the bottom: the loss hardly reaches the layers near the input. <b>Exploding</b> is the reverse, brighter toward the bottom. A panel of one even tone passes the gradient on unchanged.</p></div>
<div class="scale"><span>Gradient norm</span>${legend}<span class="absent"><svg width="18" height="14" aria-hidden="true"><rect width="18" height="14" fill="url(#missing)" stroke="var(--axis)"/></svg> no finite value</span></div>
<p class="axes">Across: optimizer step. Up: layer, 1 next to the input; the top row is the output layer.${notes.map((note) => ` ${note}`).join("")}</p>
<div class="panels" style="--panel:${width}px">${maps.join("")}</div>
${folded("As tables", twins)}
<div class="beside"><div class="how"><p>The same norms as lines, at the two ends of training. The axis runs the way the gradient travels, from the last layer to the first: a level line is an even gradient, one that falls to the right is vanishing, one that rises is exploding. A straight slope on this log scale means that every layer scales it by the same factor.</p></div>
<div class="pair">${profileFigures("Gradient norm", profile)}</div></div></section>`;
}

const SCALES: Record<Axis["type"], string> = {
  linear: "",
  log: ", log scale",
  symlog: ", log scale about zero",
};

function profileFigures(title: string, { first, last, firstStep, scale }: Profile): string {
  const start =
    firstStep === 0
      ? "before training"
      : firstStep === null
        ? "first probe"
        : `at step ${firstStep.toLocaleString("en-US")}`;
  return figure(title, `${start}${SCALES[scale]}`, first) + figure(title, `last probe${SCALES[scale]}`, last);
}

function activationSection(comparison: Comparison, document: Document): string {
  return section(
    "activations",
    "What the layers pass on",
    [
      "Mean and standard deviation of each block’s output, over the batch and its features. In each pair of figures, the first is the start, the second the last probe of each trial.",
      "A standard deviation that shrinks layer by layer means that inputs become hard to tell apart on their way up; one that grows can end in a loss that is not finite. A level line preserves the magnitude of the signal from layer to layer.",
      "A mean that is large compared with the standard deviation means that a layer mostly passes on a constant.",
    ],
    profileFigures("Standard deviation", depthProfile(comparison, "activationSpread", document)) +
      profileFigures("Mean", depthProfile(comparison, "activationMean", document)),
  );
}

// ---- settings ----

/** "Multilayer perceptron, 20 layers and the output layer, 64 units wide, relu" */
function networkOf({ kind, depth, width, activation, module }: Comparison["model"]): string {
  if (module !== undefined)
    return `${kind}, the user’s own, with ${count(depth, "place")} for a normalization`;
  const { title, unit } = modelOf({ kind });
  if (width === 1) return capitalize(title);
  return `${capitalize(title)}, ${count(depth, "layer")} and the output layer, ${width.toLocaleString("en-US")} ${unit} wide, ${activation}`;
}

function settings(comparison: Comparison): string {
  const { model, training, data, machine, sweep } = comparison;
  const date = new Date(comparison.date);
  const when = Number.isNaN(date.getTime())
    ? comparison.date
    : `${date.toISOString().slice(0, 16).replace("T", " ")} UTC, ${duration(comparison.wallSeconds)} in all`;
  const rates = training.learningRates.map(formatRate);
  const rows: [string, string][] = [
    [
      "Network",
      `${networkOf(model)}; inputs of ${data.form.input.shape.join(" × ")}, outputs of ${data.form.outputs.join(" × ")}`,
    ],
    [
      "Training",
      `${count(training.epochs, "epoch")}, batches of ${training.batchSize.toLocaleString("en-US")}, ${training.optimizer}, learning rate ${
        rates.length > 1 ? `chosen by each trial on validation from ${listed(rates)}` : rates.join("")
      }, ${training.warmUp > 0 ? `rising over the first ${formatRate(100 * training.warmUp)} % of the steps, then ` : ""}falling evenly to zero`,
    ],
    [training.seeds.length === 1 ? "Seed" : "Seeds", training.seeds.join(", ")],
    ...(sweep === null
      ? []
      : [
          [
            "Sweep",
            `${settingName(sweep.setting)}: ${sweep.points.map(({ value }) => formatRate(value)).join(", ")}`,
          ] satisfies [string, string],
        ]),
    [
      "Machine",
      `${machine.processor}, ${count(machine.cores, "core")}; ${machine.runtime}; ${machine.backend}`,
    ],
    ["Made", `${when}, with Evenkeel ${comparison.evenkeel}`],
    ["Digest", `${data.digest} (SHA-256 of what the networks saw)`],
  ];
  const list = rows
    .map(([term, value]) => `<div><dt>${term}</dt><dd>${escapeHtml(clipped(value, 400))}</dd></div>`)
    .join("\n");
  return `<section id="settings"><h2>How it was made</h2><dl>${list}</dl>
<p>The same seeds give the same numbers, except for times. To reproduce it:</p><pre><code>${unbrokenWords(clipped(comparison.command, 4000))}</code></pre></section>`;
}

// ---- the page ----

function stopped({ interrupted, trials, summaries, training, sweep }: Comparison): string {
  if (!interrupted) return "";
  const planned = summaries.length * training.seeds.length;
  const points = sweep?.points ?? [];
  const swept = points.reduce((sum, point) => sum + point.trials.length, 0);
  const ofSweep =
    points.length > 0
      ? `, and of the sweep ${swept.toLocaleString("en-US")} of ${(planned * points.length).toLocaleString("en-US")}`
      : "";
  return `<p class="stopped">Stopped before the end: ${trials.length} of ${count(planned, "trial")} had finished${ofSweep}. Only these are shown.</p>`;
}

/** Normalizations that a sentence names; more of them are counted. */
const MOST_NAMED = 8;

/** "no, layer and RMS normalization"; full names where some do not end that way. */
function trainedWith(norms: NormName[]): string {
  if (norms.length > MOST_NAMED) return count(norms.length, "normalization");
  const names = norms.map(nameOf);
  const end = " normalization";
  if (!names.every((name) => name.indexOf(end) === name.length - end.length)) return listed(names);
  return listed(names.map((name) => name.slice(0, -end.length))) + end;
}

/**
 * The whole report as one self-contained HTML document; its figures are drawn in `document`. `numbers` says where
 * comparison.json is, of which it speaks.
 */
export function renderReport(
  comparison: Comparison,
  document: Document,
  numbers = "beside this file",
): string {
  const { data, training } = comparison;
  const name = clipped(data.name, 60);
  const title = clipped(headline({ ...comparison, data: { ...data, name } }), 400);
  const norms = normsOf(comparison);
  const looks = looksOf(norms);
  const found = findings(comparison).map((line) => `<li>${unbroken(clipped(line, 600))}</li>`);
  const number = (n: number) => n.toLocaleString("en-US");
  const deck = `The same network trained with ${trainedWith(norms)}: ${count(training.seeds.length, "seed")} each, on ${count(data.parts.train, exampleName(data.form))} of ${name}, evaluated on ${number(data.parts.heldOut)} others.`;
  const body = `<svg class="defs" aria-hidden="true"><defs><pattern id="missing" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect width="6" height="6" fill="var(--tint)"/><rect width="1.2" height="6" fill="var(--axis)"/></pattern></defs></svg>
<div class="page">
<header>
<p class="eyebrow">Evenkeel · comparison of normalizations</p>
<h1>${unbroken(title)}</h1>
<p class="deck">${escapeHtml(deck)}</p>
${stopped(comparison)}
${warningsBox(data)}
${found.length > 0 ? `<ul class="findings">${found.join("")}</ul>` : ""}
</header>
<main>
<section id="numbers"><h2>The numbers</h2>${resultsTable(comparison, looks)}</section>
<div class="figures">
${switches(norms, looks)}
${differencesSection(comparison, document)}
${learningSection(comparison, document)}
${forecastSection(comparison, document)}
${ratesSection(comparison, document)}
${sweepSection(comparison, document)}
${gradientSection(comparison, looks, document)}
${activationSection(comparison, document)}
${confusionSection(comparison, looks)}
</div>
<section id="details"><h2>All metrics, and what it took</h2>${detailsTable(comparison, looks)}</section>
${dataSection(comparison)}
${settings(comparison)}
</main>
<footer>Every number is in comparison.json, ${numbers}.</footer>
</div>`;
  return wholePage(title, looksStyle(looks), body);
}
