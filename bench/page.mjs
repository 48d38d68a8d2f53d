/** The page: one HTML file that holds everything it needs, in the style that the lab's report has. */
import { count, duration, formatNumber } from "@evenkeel/report/format";
import { escapeHtml, figure, wholePage } from "@evenkeel/report/page";
import { evaluate, timesFaster } from "./bars.mjs";
import { hasReference, isPeer } from "./cases.mjs";
import { amounts, key, lengths, logDomain, ratios } from "./plots.mjs";
import {
  absencesOf,
  groupsOf,
  isFormula,
  isTimed,
  machineText,
  normText,
  ratioText,
  reasonText,
  shapeText,
  timeText,
  titleOf,
  valueText,
} from "./report.mjs";
import { geometricMean } from "./statistics.mjs";

/**
 * @typedef {import("./report.mjs").Results} Results
 * @typedef {import("./report.mjs").ResultRow} ResultRow
 * @typedef {import("./report.mjs").ResultTime} ResultTime
 * @typedef {import("./plots.mjs").Dot} Dot
 * @typedef {import("./plots.mjs").Series} Series
 */

const OWN_STYLE = `
:root{--ours:#2366ed;--two:#024f10;--other:#8a6d1a;--floor:#6b7078}
@media screen and (prefers-color-scheme:dark){:root{--ours:#99b1fb;--two:#5cc4a5;--other:#faac53;--floor:#a2a8af}}
.keys{display:flex;flex-wrap:wrap;gap:4px 18px;margin:0 0 14px;font-size:.875rem;color:var(--muted)}
.key{display:inline-flex;align-items:center;gap:7px}
.key.line svg{width:18px}
h3{font-size:1rem;margin:1.6rem 0 .5rem}
.pair{margin-bottom:8px}
.bars td,.bars th{padding-top:.4rem;padding-bottom:.4rem}
.number{text-align:right;white-space:nowrap}
thead th.number{text-align:right}
.yes{color:var(--two);font-weight:700}.no{color:var(--bad);font-weight:700}
#numbers .note{margin-bottom:.8rem}
details{border-top:1px solid var(--grid)}details:last-of-type{border-bottom:1px solid var(--grid)}
summary{padding:.6rem 0;cursor:pointer;font-weight:600}
summary small{font-weight:400;margin-left:.4rem}
.wide{overflow-x:auto;margin:0 0 1rem}
.wide table{font-size:.875rem}.wide thead th{white-space:normal;min-width:6.2em}.wide small{white-space:nowrap}
.why{color:var(--muted)}
@media screen and (max-width:760px){.bars tbody tr{grid-template-columns:repeat(3,minmax(0,1fr))}.bars tbody th{grid-column:1/-1;white-space:normal;font-size:.9375rem}
.number{text-align:left}.wide tbody th{grid-column:1/-1}
.bars tbody tr{gap:2px 10px;padding:.6rem 0}
.bars .at{grid-column:1/-1;font-size:.8125rem;color:var(--muted)}.bars .at::before{display:inline;font-size:inherit;content:"furthest at "}.bars .at:empty{display:none}}
`;

const [ROWS, IMAGES] = [
  ["layer", "rms"],
  ["batch", "batch-eval", "group", "instance"],
];

/** The whole page. @param {Results} results */
export function renderPage(results) {
  const title = headline(results);
  const { contestants, date, seconds, evenkeel } = results;
  const versions = Object.values(contestants).flatMap(({ about }) => (about ? [about] : []));
  const deck = `Geometric means over the shapes below. Evenkeel ${evenkeel}; ${machineText(results)}; ${date.slice(0, 16).replace("T", " ")} UTC, ${duration(seconds)}.`;
  const body = `<div class="page">
<header>
<p class="eyebrow">Evenkeel · benchmark</p>
<h1>${escapeHtml(title)}</h1>
<p class="deck">${escapeHtml(deck)}</p>
</header>
<main>
${barSection(results)}
${pytorchSection(results)}
${memorySection(results)}
${formulaSection(results)}
${peerSection(results)}
${absenceSection(results)}
${tableSection(results)}
${methodSection(results, [...new Set(versions)])}
</main>
<footer>Every number is in results.json, beside this file.</footer>
</div>`;
  return wholePage(title, OWN_STYLE, body);
}

/** The result of the run in one sentence. @param {Results} results */
function headline({ cases }) {
  const mean = (/** @type {string} */ pass, /** @type {string} */ theirs) => {
    const ratios = cases
      .filter(({ norm, residual, pass: own }) => norm === "layer" && !residual && own === pass)
      .flatMap((row) => timesFaster(row, "evenkeel-1", theirs) ?? []);
    return ratios.length > 0 ? ratioText(geometricMean(ratios)) : null;
  };
  const [forward, backward] = [mean("forward", "pytorch-1"), mean("backward", "pytorch-1")];
  if (forward === null) return "How fast Evenkeel is";
  const both = backward === null ? "" : `, its gradient at ${backward}`;
  return `Layer normalization runs at ${forward} the speed of PyTorch on one thread${both}`;
}

// ---- bars ----

/** @param {Results} results */
function barSection(results) {
  const outcomes = evaluate(results).filter(({ reached }) => reached !== null);
  if (outcomes.length === 0) return "";
  const rows = outcomes.map(
    ({ title, bar, reached, at, of, value, worst }) =>
      `<tr role="row"><th role="rowheader" scope="row">${escapeHtml(title)}</th>${[
        td("target", escapeHtml(bar), "number"),
        td("furthest", valueText(bar, value), `number ${reached ? "yes" : "no"}`),
        td("reached by", of > 1 ? `${at} of ${of}` : reached ? "yes" : "no", "number"),
        td("furthest at", escapeHtml(worst ?? ""), "at"),
      ].join("")}</tr>`,
  );
  return `<section id="bars"><h2>Targets</h2>
<table role="table" class="bars">${thead(["", "Target", "Furthest from it", "Reached by", "Furthest at"], [1, 2, 3])}<tbody role="rowgroup">${rows.join("\n")}</tbody></table>
<p class="note">Ratios of medians: times faster, or times the time of what is named. Targets for the copy loop count arrays larger than the second-level cache (${results.machine.cacheBytes / 2 ** 20} MiB).</p></section>`;
}

/** @param {string[]} names @param {number[]} numbers columns of numbers */
const thead = (names, numbers) =>
  `<thead role="rowgroup"><tr role="row">${names
    .map(
      (name, i) =>
        `<th role="columnheader" scope="col"${numbers.includes(i) ? ' class="number"' : ""}>${escapeHtml(name)}</th>`,
    )
    .join("")}</tr></thead>`;

/** @param {string} head @param {string} html @param {string} [className] */
const td = (head, html, className) =>
  `<td role="cell" data-head="${escapeHtml(head)}"${className ? ` class="${className}"` : ""}>${html}</td>`;

// ---- figures ----

/** @type {Series} */
const ONE = { label: "one thread", colour: "ours" };
/** @type {Series} */
const TWO = { label: "two threads, against two", colour: "two", hollow: true };

/** @param {Series[]} series @param {string} [line] what a dotted line is */
const keys = (series, line) =>
  `<p class="keys">${series.map(key).join("")}${
    line
      ? `<span class="key line"><svg width="18" height="14" viewBox="0 0 18 14" aria-hidden="true"><path d="M9 0V14" stroke="var(--muted)" stroke-width="1.5" stroke-dasharray="1.5 4"/></svg>${line}</span>`
      : ""
  }</p>`;

/**
 * The ratio of theirs to ours, over the middle of our turns.
 * @param {ResultRow} row @param {string} ours @param {string} theirs @param {Series} series @returns {Dot[]}
 */
function fasterDot(row, ours, theirs, series) {
  const [our, their] = [row.results[ours], row.results[theirs]];
  if (!isTimed(our) || !isTimed(their)) return [];
  const [low, median, high] = [our.p80, our.median, our.p20].map((ms) => their.median / ms);
  return [{ at: shapeText(row), series, low, median, high }];
}

/** Panels that share an axis. @param {ResultRow[][]} groups @param {(row: ResultRow) => Dot[]} dotsOf @param {(row: ResultRow) => number | undefined} barOf */
function ratioPanels(groups, dotsOf, barOf) {
  const drawn = groups
    .map((rows) => ({ rows, dots: rows.flatMap(dotsOf) }))
    .filter(({ dots }) => dots.length > 0);
  const bars = drawn.flatMap(({ rows }) => barOf(rows[0]) ?? []);
  const domain = logDomain(
    drawn.flatMap(({ dots }) => dots),
    [1, ...bars],
  );
  return drawn
    .map(({ rows, dots }) => {
      const labels = [...new Set(rows.map(shapeText))];
      const title = titleOf(rows[0]);
      return figure(
        title,
        "",
        ratios({ title, labels, dots, domain, left: leftOf(labels), bar: barOf(rows[0]) }),
      );
    })
    .join("");
}

/** Room for labels. @param {string[]} labels */
const leftOf = (labels) => 14 + 6.6 * Math.max(...labels.map((label) => label.length));

/** @param {Results} results @param {string[]} norms */
const panelsOf = ({ cases }, norms) =>
  groupsOf(
    cases.filter(
      ({ norm, pass, masked, storage }) =>
        norms.includes(norm) && (pass === "forward" || pass === "backward") && !masked && !storage,
    ),
  );

/** @param {Results} results */
function pytorchSection(results) {
  const dotsOf = (/** @type {ResultRow} */ row) => [
    ...fasterDot(row, "evenkeel-1", "pytorch-1", ONE),
    ...fasterDot(row, "evenkeel-2", "pytorch-2", TWO),
  ];
  const onRows = ratioPanels(panelsOf(results, ROWS), dotsOf, ({ norm, pass }) =>
    norm === "rms" ? 1.7 : pass === "forward" ? 1.1 : 1,
  );
  const onImages = ratioPanels(panelsOf(results, IMAGES), dotsOf, () => 1.1);
  if (onRows + onImages === "") return "";
  return `<section id="pytorch"><h2>Speed-up over PyTorch</h2>
<div class="how"><p>Right of the line, Evenkeel is faster. A dot is the ratio of medians; the line through it spans the 20th to the 80th percentile of Evenkeel’s turns. Shapes are rows × features, or those of images in memory order, channels first or last.</p></div>
${keys([ONE, TWO], "the target, one thread")}
${onRows && `<h3>Rows</h3><div class="pair">${onRows}</div>`}
${onImages && `<h3>Images</h3><div class="pair">${onImages}</div>`}</section>`;
}

/** @type {Record<string, Series>} */
const NORM_SERIES = {
  LayerNorm: { label: "LayerNorm", colour: "layer" },
  RMSNorm: { label: "RMSNorm", colour: "rms" },
  "LayerNorm + residual": { label: "LayerNorm + residual", colour: "layer", hollow: true },
  "RMSNorm + residual": { label: "RMSNorm + residual", colour: "rms", hollow: true },
  BatchNorm: { label: "BatchNorm", colour: "batch" },
  "BatchNorm in evaluation": { label: "BatchNorm in evaluation", colour: "batch", hollow: true },
  GroupNorm: { label: "GroupNorm", colour: "group" },
  InstanceNorm: { label: "InstanceNorm", colour: "instance" },
};

/** @param {Results} results */
function memorySection(results) {
  const parts = [ROWS, IMAGES].map((norms) => {
    const rows = panelsOf(results, norms).flat();
    const panels = /** @type {const} */ (["forward", "backward"]).map((pass) => {
      const here = rows.filter((row) => row.pass === pass);
      const dots = here.flatMap((row) => copyDot(row));
      return { pass, labels: [...new Set(here.map(shapeText))], dots };
    });
    const domain = logDomain(
      panels.flatMap(({ dots }) => dots),
      [1, COPY_BARS.backward],
    );
    const figures = panels
      .filter(({ dots }) => dots.length > 0)
      .map(({ pass, labels, dots }) => {
        const title = `Time of the copy loop, ${pass}`;
        const bar = COPY_BARS[pass];
        return figure(title, "", ratios({ title, labels, dots, domain, left: leftOf(labels), bar }));
      });
    const used = [...new Set(panels.flatMap(({ dots }) => dots.map(({ series }) => series)))];
    return figures.length > 0
      ? `${keys(used, "the target, beyond the second-level cache")}<div class="pair">${figures.join("")}</div>`
      : "";
  });
  const speeds = throughput(results);
  if (parts.join("") + speeds === "") return "";
  return `<section id="memory"><h2>How close to memory bandwidth</h2>
<div class="how"><p>Run time of a pass on one thread relative to a plain loop of vector loads and stores in WebAssembly, over as many arrays as the pass reads and writes; 1 is the limit of the engine for arrays that come from memory. Arrays within a cache are copied faster than anything can be computed, so small shapes are far to the right.</p></div>
${parts.join("")}${speeds}</section>`;
}

/** The targets of bars.mjs for arrays beyond the second-level cache. */
const COPY_BARS = { forward: 1.2, backward: 1.3 };

/** @param {ResultRow} row @returns {Dot[]} */
const copyDot = (row) =>
  slowerDot(row, "evenkeel-1", "wasm-copy", shapeText(row), NORM_SERIES[normText(row)]);

/**
 * The ratio of ours to theirs, over the middle of our turns.
 * @param {ResultRow} row @param {string} ours @param {string} theirs @param {string} at @param {Series} series @returns {Dot[]}
 */
function slowerDot(row, ours, theirs, at, series) {
  const [our, their] = [row.results[ours], row.results[theirs]];
  if (!isTimed(our) || !isTimed(their)) return [];
  const [low, median, high] = [our.p20, our.median, our.p80].map((ms) => ms / their.median);
  return [{ at, series, low, median, high }];
}

/** Every normalization by `apply`. @param {Results} results */
function formulaSection({ cases }) {
  const rows = cases.filter(isFormula);
  const [NATIVE, IN_TF] = [
    { label: "without a framework", colour: "ours" },
    { label: "in TensorFlow.js, against layer normalization there", colour: "two", hollow: true },
  ];
  const panels = [...new Set(rows.map(shapeText))].map((shape) => {
    const here = rows.filter((row) => shapeText(row) === shape);
    const dots = here.flatMap((row) => [
      ...slowerDot(row, "evenkeel-1", "evenkeel-plain-1", row.norm, NATIVE),
      ...slowerDot(row, "tfjs-evenkeel", "tfjs-plain", row.norm, IN_TF),
    ]);
    return { title: `Forward + backward, ${shape}`, labels: here.map(({ norm }) => norm), dots };
  });
  const drawn = panels.filter(({ dots }) => dots.length > 0);
  if (drawn.length === 0) return "";
  const domain = logDomain(
    drawn.flatMap(({ dots }) => dots),
    [1, 3],
  );
  const figures = drawn.map(({ title, labels, dots }) =>
    figure(title, "", ratios({ title, labels, dots, domain, left: leftOf(labels), bar: 3 })),
  );
  return `<section id="formulas"><h2>Every normalization, as a multiple of layer normalization</h2>
<div class="how"><p>Run time of a formula’s forward and backward pass by apply on one thread, relative to that of layer normalization, which took its turns beside it.</p></div>
${keys([NATIVE, IN_TF], "the target without a framework")}<div class="pair">${figures.join("")}</div></section>`;
}

/** GB/s of LayerNorm. @param {Results} results */
function throughput({ cases }) {
  /** @type {[string, Series][]} */
  const shown = [
    ["memcpy", { label: "memcpy", colour: "floor" }],
    ["wasm-copy", { label: "WASM copy loop", colour: "floor", hollow: true }],
    ["pytorch-1", { label: "PyTorch, one thread", colour: "other" }],
    ["evenkeel-1", { label: "Evenkeel, one thread", colour: "ours" }],
    ["evenkeel-2", { label: "Evenkeel, two threads", colour: "two", hollow: true }],
  ];
  const panels = groupsOf(
    cases.filter(({ norm, residual, pass }) => norm === "layer" && !residual && pass !== "both"),
  ).map((rows) => ({
    title: titleOf(rows[0]),
    labels: rows.map(shapeText),
    dots: rows.flatMap((row) =>
      shown.flatMap(([id, series]) => {
        const result = row.results[id];
        if (!isTimed(result)) return [];
        const [low, median, high] = [result.p80, result.median, result.p20].map((ms) => row.bytes / ms / 1e6);
        return [{ at: shapeText(row), series, low, median, high }];
      }),
    ),
  }));
  const values = panels.flatMap(({ dots }) => dots.map(({ high }) => high));
  if (values.length === 0) return "";
  const most = Math.max(...values) * 1.04;
  const figures = panels.map(({ title, labels, dots }) =>
    figure(title, "GB/s", amounts({ title: `${title}, GB/s`, labels, dots, left: leftOf(labels), most })),
  );
  return `<h3>Throughput: bytes that must move per second</h3>${keys(shown.map(([, series]) => series))}<div class="pair">${figures.join("")}</div>`;
}

/** @param {Results} results */
function peerSection({ cases, contestants }) {
  const peers = Object.keys(contestants).filter(isPeer);
  const SHAPES = { label: "one shape each", colour: "ours" };
  const panels = groupsOf(cases.filter(({ norm, residual }) => norm === "layer" && !residual)).map(
    (rows) => ({
      rows,
      dots: rows.flatMap((row) =>
        peers.flatMap((id) =>
          fasterDot(row, "evenkeel-1", id, SHAPES).map((dot) => ({ ...dot, at: contestants[id].label })),
        ),
      ),
    }),
  );
  const drawn = panels.filter(({ dots }) => dots.length > 0);
  const domain = logDomain(
    drawn.flatMap(({ dots }) => dots),
    [1],
  );
  const figures = drawn.map(({ rows, dots }) => {
    const title = titleOf(rows[0]);
    const labels = peers
      .map((id) => contestants[id].label)
      .filter((label) => dots.some(({ at }) => at === label));
    return figure(title, "", ratios({ title, labels, dots, domain, left: leftOf(labels) }));
  });
  const steps = cases.filter((row) => !hasReference(row)).map((row) => networkFigure(row, contestants));
  if (figures.length + steps.length === 0) return "";
  return `<section id="peers"><h2>Speed-up over JavaScript libraries</h2>
<div class="how"><p>Evenkeel without a framework, on one thread, against each library; one dot per shape, on a log scale. TensorFlow.js appears as shipped (its layer, and the formula composed from its operations) and with Evenkeel installed.</p></div>
${figures.length > 0 ? keys([SHAPES]) : ""}<div class="pair">${figures.join("")}${steps.join("")}</div></section>`;
}

/** @param {ResultRow} row @param {Results["contestants"]} contestants */
function networkFigure(row, contestants) {
  const bars = Object.entries(row.results).flatMap(([id, result]) =>
    isTimed(result)
      ? [
          {
            label: contestants[id].label,
            value: result.median,
            text: timeText(result.median),
            colour: id === "tfjs-evenkeel" || id === "tfjs-folded" ? "ours" : "axis",
          },
        ]
      : [],
  );
  if (bars.length === 0) return "";
  const title = row.norm === "model" ? "A model’s prediction" : "A transformer’s training step";
  bars.sort((a, b) => a.value - b.value);
  return figure(
    title,
    row.shape.join("×"),
    lengths({ title, bars, left: leftOf(bars.map(({ label }) => label)) }),
  );
}

// ---- numbers ----

/** @param {Results} results */
function absenceSection(results) {
  const lines = absencesOf(results);
  if (lines.length === 0) return "";
  return `<section id="absent"><h2>What was not timed</h2><ul class="findings">${lines.map((line) => `<li>${escapeHtml(line)}</li>`).join("")}</ul></section>`;
}

/** @param {Results} results */
function tableSection({ cases, contestants }) {
  const parts = groupsOf(cases).map((rows) => {
    const ids = Object.keys(contestants).filter((id) => rows.some(({ results }) => results[id]));
    const names = ids.map((id) => contestants[id].label);
    const body = rows.map(
      (row) =>
        `<tr role="row"><th role="rowheader" scope="row">${escapeHtml(shapeText(row))}</th>${ids
          .map((id, i) => td(names[i], cell(row.results[id], row.bytes), "number"))
          .join("")}</tr>`,
    );
    return `<details><summary>${escapeHtml(titleOf(rows[0]))} <small>${count(rows.length, "shape")}, ${count(ids.length, "contestant")}</small></summary>
<div class="wide"><table role="table">${thead(
      ["", ...names],
      [...names.keys()].map((i) => i + 1),
    )}<tbody role="rowgroup">${body.join("\n")}</tbody></table></div></details>`;
  });
  return `<section id="numbers"><h2>All the numbers</h2><p class="note">Median time of one call; below it, the 20th and 80th percentiles, and the throughput at the median.</p>${parts.join("\n")}</section>`;
}

/** @param {ResultRow["results"][string] | undefined} result @param {number} bytes */
function cell(result, bytes) {
  if (result === undefined) return "–";
  if (!isTimed(result))
    return `<span class="why" title="${escapeHtml(reasonText(result))}">${Object.keys(result)[0].replace("notOffered", "not offered")}</span>`;
  const speed = bytes > 0 ? `<small>${formatNumber(bytes / result.median / 1e6)} GB/s</small>` : "";
  return `<span class="value">${timeText(result.median)}</span><small>${rangeText(result)}</small>${speed}`;
}

/** "8.56 – 9.13 µs". @param {ResultTime} result */
function rangeText({ p20, p80 }) {
  const [low, high] = [timeText(p20), timeText(p80)];
  const [number, unit] = low.split(" ");
  return high.endsWith(` ${unit}`) ? `${number} – ${high}` : `${low} – ${high}`;
}

/** @param {Results} results @param {string[]} versions */
function methodSection({ contestants, command, cases }, versions) {
  const worst = Object.keys(contestants).map((id) => {
    const errors = cases.flatMap(({ results, norm }) => {
      const result = results[id];
      return isTimed(result) && hasReference({ norm }) ? [result.error] : [];
    });
    return { id, error: errors.length > 0 ? Math.max(...errors) : null };
  });
  const who = worst.map(({ id, error }) => {
    const { label, how, about, missing } = contestants[id];
    const state = missing ? "missing" : (about ?? "did not take part");
    const off =
      error === null || id === "memcpy" || id === "wasm-copy"
        ? ""
        : `; largest error against float64 ${formatNumber(error)}`;
    return `<div><dt>${escapeHtml(label)}</dt><dd>${escapeHtml(`${how} (${state}${off})`)}</dd></div>`;
  });
  return `<section id="method"><h2>How it was measured</h2>
<div class="how wide"><p>Each contestant has its own process. For each case all get the same seeded inputs; each runs every pass once, and its results are compared with plain loops in float64 (those of apply on a part of the batch). A contestant whose results are wrong is named above and not timed.</p>
<p>Then they take turns in random order, at least two milliseconds each, so that whatever else the machine does affects all of them. After a turn on two threads there is a pause until its threads have stopped spinning. Slow contestants get fewer turns.</p>
<p>Inputs rotate through 64 MiB (at most 1,024 arrays), so that no call finds its input in a cache. Every call allocates its results and releases them; the allocators of native libraries are set to reuse what was released, so that results are in warm memory for all.</p>
<p>The bytes that must move count each array once: forward x, y, parameters and statistics; backward dy, x, dx, parameters, their gradients and statistics; a residual adds two arrays forward and one backward. memcpy copies x, the copy loop as many arrays as the pass reads and writes; their times are scaled to those bytes.</p></div>
<dl>${who.join("\n")}</dl>
<p class="note">${escapeHtml(versions.join(" · "))}</p>
<p>To reproduce it:</p><pre><code>${escapeHtml(command)}</code></pre></section>`;
}
