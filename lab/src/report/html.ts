/**
 * The report of a comparison: one HTML file that holds everything it needs. There is no script: the switches that show
 * and hide a normalization are checkboxes that the style sheet reads.
 */
import { capitalize, count, duration, formatNumber, listed } from "@evenkeel/report/format";
import { escapeHtml, figure, wholePage } from "@evenkeel/report/page";
import type { Range } from "@evenkeel/report/statistics";
import { bestOf, type Column, findings, headline } from "../findings.js";
import { models } from "../models/registry.js";
import { labelOf, type NormName, nameOf } from "../norms.js";
import { type Comparison, formatEpochs, formatTarget, metricOf } from "../results.js";
import { depthProfile, learningCurves, type Profile } from "./figures.js";
import { gradientMaps } from "./gradient-maps.js";
import { type Looks, looksOf, looksStyle, swatch, switches } from "./series.js";

function table(comparison: Comparison, looks: Looks): string {
  const { summaries } = comparison;
  const { title: name, format } = metricOf(comparison);
  const goal = formatTarget(comparison);
  const columns: {
    key: Column;
    head: string;
    /** The head where the table is shown as cards, on a phone. */
    short: string;
    unit: string;
    tag: string;
    format: (value: number | null) => string;
  }[] = [
    {
      key: "metric",
      head: `${name}, held out`,
      short: name,
      unit: "after the last epoch",
      tag: "best",
      format,
    },
    {
      key: "epochsToTarget",
      head: `Epochs to ${goal}`,
      short: `Epochs to ${goal}`,
      unit: "where reached",
      tag: "best",
      format: formatEpochs,
    },
    {
      key: "stepMs",
      head: "Time per step",
      short: "Time per step",
      unit: "forward, backward, update",
      tag: "fastest",
      format: formatNumber,
    },
    {
      key: "gradientRatio",
      head: "Gradient, first ÷ last layer",
      short: "Gradient ratio",
      unit: "1 = even",
      tag: "most even",
      format: formatNumber,
    },
  ];
  if (comparison.targetMetric === null) columns.splice(1, 1);
  const best = new Map(columns.map(({ key }) => [key, bestOf(summaries, key)]));
  const choice = summaries.filter(({ trials }) => trials > 0).length > 1;

  const rows = summaries.map((summary) => {
    const cells = columns.map(({ key, short, tag, format }) => {
      const marked = choice && best.get(key)?.includes(summary);
      const value = format(summary[key].median);
      const shown = key === "stepMs" && value !== "–" ? `${value} ms` : value;
      const notes = [
        rangeText(summary[key], format),
        key === "epochsToTarget" && summary.trials > 0 && summary.epochsToTarget.reached < summary.trials
          ? `in ${summary.epochsToTarget.reached} of ${count(summary.trials, "trial")}`
          : "",
      ].filter((note) => note !== "");
      return `<td role="cell" data-column="${key}" data-head="${escapeHtml(short)}"${marked ? ' class="best"' : ""}><span class="value">${shown}</span>${
        marked ? ` <em>${tag}</em>` : ""
      }${notes.length > 0 ? `<small>${notes.join("; ")}</small>` : ""}</td>`;
    });
    const diverged =
      summary.trials === 0
        ? '<span class="value">–</span><small>no trial finished</small>'
        : `<span class="value">${summary.diverged} of ${summary.trials}</span>`;
    return `<tr role="row" data-norm="${summary.norm}"><th role="rowheader" scope="row">${swatch(summary.norm, looks)}${labelOf(summary.norm)}</th>${cells.join("")}<td role="cell" data-column="diverged" data-head="Diverged"${summary.diverged > 0 ? ' class="bad"' : ""}>${diverged}</td></tr>`;
  });
  const heads = columns.map(
    ({ head, unit }) => `<th role="columnheader" scope="col">${escapeHtml(head)}<small>${unit}</small></th>`,
  );
  return `<table role="table"><caption>Median over the seeds, with the range from the lowest to the highest below it.</caption>
<thead role="rowgroup"><tr role="row"><th role="columnheader" scope="col">Normalization</th>${heads.join("")}<th role="columnheader" scope="col">Diverged<small>trials</small></th></tr></thead>
<tbody role="rowgroup">${rows.join("\n")}</tbody></table>`;
}

/** "95.1 – 97.0 %", or nothing where the ends read the same. */
function rangeText({ min, max }: Range, format: (value: number | null) => string): string {
  const [low, high] = [format(min), format(max)];
  return low === high ? "" : `${low.replace("\u00a0%", "")} – ${high}`;
}

function section(id: string, title: string, how: string[], figures: string): string {
  return `<section id="${id}"><h2>${title}</h2><div class="beside"><div class="how">${how
    .map((paragraph) => `<p>${paragraph}</p>`)
    .join("")}</div><div class="pair">${figures}</div></div></section>`;
}

function learningSection(comparison: Comparison, document: Document): string {
  const { loss, metric } = learningCurves(comparison, document);
  const { title, explanation } = metricOf(comparison);
  return section(
    "learning",
    "Learning",
    [
      "A line is the median over the seeds; the band around it reaches from the lowest seed to the highest. Where two bands overlap, the seeds alone may explain the difference.",
      "A network that learns shows a falling loss. Where the line stays flat, the steps change nothing that matters; the gradients below may show why.",
      explanation(comparison.data.heldOutCount),
    ],
    figure("Training loss", loss.log ? "log scale" : "", loss) +
      figure(
        `${title} on held-out data`,
        comparison.targetMetric === null ? "" : `dotted line: target ${formatTarget(comparison)}`,
        metric,
      ),
  );
}

function gradientSection(comparison: Comparison, looks: Looks, document: Document): string {
  const { panels, legend, width, notes } = gradientMaps(comparison, document);
  const maps = panels.map(
    ({ norm, svg, notes: own }) =>
      `<figure class="panel p-${norm}"><figcaption>${swatch(norm, looks)}<b>${labelOf(norm)}</b></figcaption>${svg}${own.map((note) => `<p class="note">${note}</p>`).join("")}</figure>`,
  );
  const profile = depthProfile(comparison, "gradientNorm", document);
  return `<section id="gradients"><h2>How the gradient travels</h2>
<div class="how wide"><p>The gradient enters at the last layer, on top, and travels down to the first. Each cell is the norm of the loss gradient for one layer’s weights at one step (median over the seeds). All panels share one colour scale.</p>
<p><b>Vanishing</b> looks like a panel that darkens toward the bottom: the loss hardly reaches the layers near the input. <b>Exploding</b> is the reverse, brighter toward the bottom. A panel of one even tone passes the gradient on unchanged.</p></div>
<div class="scale"><span>Gradient norm</span>${legend}<span class="absent"><svg width="18" height="14" aria-hidden="true"><rect width="18" height="14" fill="url(#missing)" stroke="var(--axis)"/></svg> no finite value</span></div>
<p class="axes">Across: optimizer step. Up: layer, 1 next to the input; the top row is the output layer.${notes.map((note) => ` ${note}`).join("")}</p>
<div class="panels" style="--panel:${width}px">${maps.join("")}</div>
<div class="beside"><div class="how"><p>The same norms as lines, at the two ends of training. The axis runs the way the gradient travels, from the last layer to the first: a level line is an even gradient, one that falls to the right is vanishing, one that rises is exploding. A straight slope on this log scale means that every layer scales it by the same factor.</p></div>
<div class="pair">${profileFigures("Gradient norm", profile)}</div></div></section>`;
}

function profileFigures(title: string, { first, last, firstStep, scale }: Profile): string {
  const kind = scale === "linear" ? "" : scale === "log" ? ", log scale" : ", log scale about zero";
  const start =
    firstStep === 0
      ? "before training"
      : firstStep === null
        ? "first probe"
        : `at step ${firstStep.toLocaleString("en-US")}`;
  return figure(title, `${start}${kind}`, first) + figure(title, `last probe${kind}`, last);
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

/** A command whose lines break between words, not within the name of an option. */
const words = (command: string): string =>
  command
    .split(/(\s+)/)
    .map((word, i) => (i % 2 === 0 ? `<span>${escapeHtml(word)}</span>` : word))
    .join("");

function settings(comparison: Comparison): string {
  const { model, training, data, machine } = comparison;
  const { title, unit } = models[model.kind];
  const classes = data.classes.length > 0 ? ` (${count(data.classes.length, "class", "classes")})` : "";
  const date = new Date(comparison.date);
  const when = Number.isNaN(date.getTime())
    ? comparison.date
    : `${date.toISOString().slice(0, 16).replace("T", " ")} UTC, ${duration(comparison.wallSeconds)} in all`;
  const rows: [string, string][] = [
    [
      "Network",
      `${capitalize(title)}, ${count(model.depth, "layer")}, ${model.width.toLocaleString("en-US")} ${unit} wide, ${model.activation}`,
    ],
    [
      "Training",
      `${count(training.epochs, "epoch")}, batches of ${training.batchSize.toLocaleString("en-US")}, ${training.optimizer}, learning rate ${training.learningRate}`,
    ],
    [training.seeds.length === 1 ? "Seed" : "Seeds", training.seeds.join(", ")],
    [
      "Data",
      `${data.name}: ${data.task} of “${data.target}”${classes}, inputs of ${data.inputShape.join(" × ")}`,
    ],
    [
      "Examples",
      `${data.trainCount.toLocaleString("en-US")} for training, ${data.heldOutCount.toLocaleString("en-US")} held out`,
    ],
    ["Provenance", data.provenance],
    ...data.notes.map((note): [string, string] => ["Left out", note.replace(/^left out /, "")]),
    [
      "Machine",
      `${machine.processor}, ${count(machine.cores, "core")}; Node ${machine.node}; ${machine.backend}`,
    ],
    ["Made", `${when}, with Evenkeel ${comparison.evenkeel}`],
  ];
  const list = rows
    .map(([term, value]) => `<div><dt>${term}</dt><dd>${escapeHtml(value)}</dd></div>`)
    .join("\n");
  return `<section id="settings"><h2>How it was made</h2><dl>${list}</dl>
<p>The same seeds give the same numbers, except for times. To reproduce it:</p><pre><code>${words(comparison.command)}</code></pre></section>`;
}

// ---- the page ----

function stopped({ interrupted, trials, summaries, training }: Comparison): string {
  if (!interrupted) return "";
  const planned = summaries.length * training.seeds.length;
  return `<p class="stopped">Stopped before the end: ${trials.length} of ${count(planned, "trial")} had finished, and only these are shown.</p>`;
}

/** "no, layer and RMS normalization"; full names where some do not end that way. */
function trainedWith(norms: NormName[]): string {
  const names = norms.map(nameOf);
  const end = " normalization";
  if (!names.every((name) => name.endsWith(end))) return listed(names);
  return listed(names.map((name) => name.slice(0, -end.length))) + end;
}

/** The whole report as one self-contained HTML document; its figures are drawn in `document`. */
export function renderReport(comparison: Comparison, document: Document): string {
  const title = headline(comparison);
  const norms = comparison.summaries.map(({ norm }) => norm);
  const looks = looksOf(norms);
  const found = findings(comparison).map((line) => `<li>${escapeHtml(line)}</li>`);
  const { data, training } = comparison;
  const deck = `The same network trained with ${trainedWith(norms)}: ${count(training.seeds.length, "seed")} each, on ${count(data.trainCount, "example")} of ${data.name}, evaluated on ${data.heldOutCount.toLocaleString("en-US")} others.`;
  const body = `<svg class="defs" aria-hidden="true"><defs><pattern id="missing" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect width="6" height="6" fill="var(--tint)"/><rect width="1.2" height="6" fill="var(--axis)"/></pattern></defs></svg>
<div class="page">
<header>
<p class="eyebrow">Evenkeel · comparison of normalizations</p>
<h1>${escapeHtml(title)}</h1>
<p class="deck">${escapeHtml(deck)}</p>
${stopped(comparison)}
${found.length > 0 ? `<ul class="findings">${found.join("")}</ul>` : ""}
</header>
<main>
<section id="numbers"><h2>The numbers</h2>${table(comparison, looks)}
<p class="note">Time per step is the wall time of one optimizer step on this machine; trials that ran side by side share its cores. The gradient ratio is the first layer’s gradient norm over the last layer’s, the median over each trial’s probes; 1 is even.</p></section>
<div class="figures">
${switches(norms, looks)}
${learningSection(comparison, document)}
${gradientSection(comparison, looks, document)}
${activationSection(comparison, document)}
</div>
${settings(comparison)}
</main>
<footer>Every number is in comparison.json, beside this file.</footer>
</div>`;
  return wholePage(title, looksStyle(looks), body);
}
