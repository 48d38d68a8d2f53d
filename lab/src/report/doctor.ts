/** The page of `evenkeel doctor`: one HTML file that holds everything it needs, without a script. */
import { capitalize, count, formatNumber } from "@evenkeel/report/format";
import { escapeHtml, figure, wholePage } from "@evenkeel/report/page";
import { isNumber } from "@evenkeel/report/statistics";
import {
  bySeverity,
  distanceText,
  type Examination,
  type ExaminedNorm,
  formatText,
  headline,
  illText,
  type Measured,
  mendsBy,
  movedText,
  overText,
  runText,
  sampleName,
  verdictText,
} from "../doctor/examination.js";
import { kindName, size } from "../inspection.js";
import { kebab } from "../norms.js";
import { type Bar, barsFigure, type Columns } from "./inspection-figures.js";
import { type Looks, looksOf, looksStyle, swatch, switches } from "./series.js";

/** Norms of the table; the JSON has all. */
const MOST_ROWS = 200;

const STYLE = `
.switches+.beside{margin-top:18px}
#all tbody th,#mends tbody th{white-space:normal;overflow-wrap:anywhere}
#all tbody th small{margin-right:.6em;font-weight:400;font-variant-numeric:tabular-nums}
#all td .value,#mends td .value{overflow-wrap:anywhere}
#all td small{overflow-wrap:anywhere}
#all td:not([data-column]) .value{white-space:nowrap}
#check .deck+table{margin-top:1rem}
.look .value{font-weight:600}
@media screen and (max-width:760px){
#all tbody tr{gap:10px 16px}
:is(#mends,#check) tbody tr{grid-template-columns:repeat(2,minmax(0,1fr));gap:10px 16px}
:is(#all,#mends,#check) tbody th,#all td:is([data-column=kind],[data-column=health]),#mends td:last-child{grid-column:1/-1}
}
`;

/** What the page is made of, for one that has a style sheet and a head already: `title` is text, `style` CSS, `body` HTML. */
export interface ExaminationParts {
  title: string;
  style: string;
  body: string;
}

/** The whole page; its figures are drawn in `document`. */
export function renderExamination(examination: Examination, document: Document): string {
  const { title, style, body } = examinationParts(examination, document);
  return wholePage(title, style, `<div class="page">\n${body}\n</div>`);
}

/** Its parts; its figures are drawn in `document`. */
export function examinationParts(examination: Examination, document: Document): ExaminationParts {
  const { file, norms, byteLength, nodes } = examination;
  const kinds = [...new Set(norms.map(({ norm }) => kebab(norm)))];
  const looks = looksOf(kinds);
  const title = headline(examination);
  const name = shortName(file);
  const deck = `${name}: ${size(byteLength)}, ${formatText(examination)}, of ${count(nodes, "node")}. ${runText(examination)}${runText(examination) === "" ? "" : "."}`;
  const body = `<header>
<p class="eyebrow">Evenkeel · the doctor’s findings in a network</p>
<h1>${escapeHtml(title)}</h1>
<p class="deck">${escapeHtml(deck)}</p>
${illItems(examination)}
</header>
<main>
${depthSection(examination, kinds, looks, document)}
${mendsSection(examination)}
${checkSection(examination)}
${normsTable(examination, kinds, looks)}
${facts(examination)}
</main>
<footer>Every number: evenkeel doctor ${escapeHtml(name)} --json</footer>`;
  return { title, style: looksStyle(looks) + STYLE, body };
}

/** A file's name; with its folder's where every file of its sort has that name. */
function shortName(path: string): string {
  const parts = path.split(/[/\\]/).filter((part) => part !== "");
  return parts.slice(/^model\.\w+$/.test(parts.at(-1) ?? "") ? -2 : -1).join("/");
}

const breakable = (name: string): string => escapeHtml(name).replace(/[_./](?=\w)/g, "$&<wbr>");

function illItems(examination: Examination): string {
  const all = examination.norms.length;
  const items = bySeverity(examination).map((ill) => {
    const { sick, mended } = ill;
    const { text, who } = illText(ill, all);
    const state = mended === true ? "<b>Mended:</b> " : sick ? "<b>Ill:</b> " : "";
    return `<li>${state}${escapeHtml(state === "" ? capitalize(text) : text)}${who === "" ? "" : ` <small>${who}</small>`}</li>`;
  });
  items.push(...examination.hints.map((hint) => `<li>${escapeHtml(capitalize(hint))}</li>`));
  return items.length === 0 ? "" : `<ul class="findings">${items.join("")}</ul>`;
}

// ---- by depth ----

interface Drawn {
  name: string;
  isMagnitude: boolean;
  how: string;
  marked?: number;
  columns: Columns;
  /** Least, middle and largest; undefined where it was not measured. */
  of(measured: Measured): readonly (number | null)[];
}

const ENDS: Columns = {
  caption: ": the least, the middle and the largest",
  heads: ["Least", "Middle", "Largest"],
  of: ({ min, median, max }) => [min, median, max],
};

/** Headroom that is far from none: the line at which there is none would leave the figure empty. */
const FAR = 1e6;

const DRAWN: readonly Drawn[] = [
  {
    name: "input",
    isMagnitude: false,
    how: "The range of what each normalization is given, the dot at the mean that is farthest from 0.",
    columns: ENDS,
    of: ({ min, mean, max }) => [min, mean ?? min, max],
  },
  {
    name: "spread",
    isMagnitude: true,
    how: "The standard deviations of what is normalized together, from the least to the largest, the dot in the middle. Near the root of epsilon, epsilon sets the output.",
    columns: ENDS,
    of: ({ leastSpread, spread, mostSpread }) => [leastSpread, spread, mostSpread],
  },
  {
    name: "headroom",
    isMagnitude: true,
    how: "How far the largest number of the type lies above the largest one that is met while squares are summed: below 1, at the dashed line, they overflow.",
    marked: 1,
    columns: { caption: "", heads: ["Headroom"], of: ({ median }) => [median] },
    of: ({ headroom }) => [headroom, headroom, headroom],
  },
];

function depthSection(
  { norms, ills, mends }: Examination,
  kinds: string[],
  looks: Looks,
  document: Document,
): string {
  const sick = new Set(ills.filter((ill) => ill.sick).flatMap((ill) => ill.norms));
  const figures = DRAWN.flatMap(({ name, isMagnitude, how, marked, columns, of }) => {
    const bars = norms.flatMap(({ norm, name, measured }, at): Bar[] => {
      const [low, middle, high] = measured === null ? [] : of(measured);
      if (!isNumber(low) || !isNumber(middle) || !isNumber(high)) return [];
      const common = { index: at + 1, name, kind: kebab(norm), sick: sick.has(at + 1) };
      return [{ ...common, min: low, p5: low, median: middle, p95: high, max: high }];
    });
    if (bars.length === 0) return [];
    const isNear = marked !== undefined && bars.some(({ min }) => min < FAR * marked);
    const drawn = barsFigure(
      { name, bars, total: norms.length, isMagnitude, columns, ...(isNear && { marked }) },
      looks,
      document,
    );
    const scale = { linear: "", log: "log scale", symlog: "log scale about zero" }[drawn.scale];
    return [{ how, html: figure(capitalize(name), scale, drawn) }];
  });
  if (figures.length === 0 || norms.length < 2) return "";
  const texts = [
    "From the first normalization to the last, in the order of the file.",
    ...figures.map(({ how }) => how),
  ];
  if (sick.size > 0) texts.push(`× marks those that ${mends.length > 0 ? "were" : "are"} ill.`);
  return `<section id="depth" class="figures"><h2>What they meet, by depth</h2>${kinds.length > 1 ? switches(kinds, looks) : ""}
<div class="beside"><div class="how">${texts.map((text) => `<p>${text}</p>`).join("")}</div><div class="pair">${figures.map(({ html }) => html).join("")}</div></div></section>`;
}

// ---- tables ----

/** A table that becomes a list of cards where there is little room; all HTML but the heads. */
function cards(caption: string, heads: readonly string[], rows: readonly string[]): string {
  return `<table role="table">${caption === "" ? "" : `<caption>${caption}</caption>`}
<thead role="rowgroup"><tr role="row">${heads.map((head) => `<th role="columnheader" scope="col">${escapeHtml(head)}</th>`).join("")}</tr></thead>
<tbody role="rowgroup">${rows.join("\n")}</tbody></table>`;
}

const rowHead = (html: string): string => `<tr role="row"><th role="rowheader" scope="row">${html}</th>`;

const cell = (head: string, value: string, { note = "", state = "", column = "" } = {}): string =>
  `<td role="cell"${column === "" ? "" : ` data-column="${column}"`} data-head="${escapeHtml(head)}"${state === "" ? "" : ` class="${state}"`}><span class="value">${escapeHtml(value)}</span>${note === "" ? "" : `<small>${escapeHtml(note)}</small>`}</td>`;

function mendsSection(examination: Examination): string {
  const rows = (["mended", "taken back"] as const).flatMap((state) =>
    mendsBy(examination, state).map(({ title, count: number, why, caution, before, after, narrowly }) =>
      [
        rowHead(escapeHtml(capitalize(title))),
        cell("How many", number.toLocaleString("en-US")),
        cell("From float64 before", distanceText(before), {
          note: narrowly ? `in 16 bits ${distanceText(narrowly.before)}` : "",
        }),
        cell("After", distanceText(after), {
          note: narrowly ? `in 16 bits ${distanceText(narrowly.after)}` : "",
        }),
        cell("State", state, { note: why ?? caution ?? "", state: state === "mended" ? "well" : "look" }),
        "</tr>",
      ].join(""),
    ),
  );
  if (rows.length === 0) return "";
  const caption =
    "From float64: the largest distance of its outputs from a run of the same nodes in float64, relative to the largest value; where several are of one kind, the farthest. In 16 bits: where every value is rounded to its type, as a graphics card may do and this runtime does not.";
  return `<section id="mends"><h2>What was mended</h2>${cards(caption, ["Mend", "How many", "From float64 before", "After", "State"], rows)}</section>`;
}

function checkSection({ check, mends, runtime }: Examination): string {
  if (check === null || !mends.some(({ state }) => state === "mended")) return "";
  const { samples, speed, by, parts = 0, why } = check;
  const moved = movedText({ mends });
  const rows = samples.flatMap((sample) =>
    sample.outputs.map(({ name, dtype, difference, tolerance, mended }) => {
      const within = Number(difference) <= tolerance;
      const notes = [
        ...(within ? [] : [`the mended one is ${moved}`]),
        ...(mended > 0 ? [`${count(mended, "value")} finite that ${mended === 1 ? "was" : "were"} not`] : []),
      ];
      return [
        rowHead(escapeHtml(sampleName(sample))),
        cell("Output", name, { note: dtype }),
        cell("Moved by", distanceText(difference), {
          note: notes.join("; "),
          state: within ? "well" : "look",
        }),
        cell("At most", formatNumber(tolerance)),
        "</tr>",
      ].join("");
    }),
  );
  const how =
    by === "whole"
      ? "The network before and after, on the same inputs. An output moves by its largest difference, relative to its largest value."
      : `${count(parts, "part")} of the network, each before and after as a network of its own${why === undefined ? "" : ` (${why})`}.`;
  const timed =
    speed === null || runtime === null
      ? ""
      : `<p class="deck">A run takes ${formatNumber(speed.before)} ms before and ${formatNumber(speed.after)} ms after in ${escapeHtml(`${runtime.name} ${runtime.version}`)}: ${verdictText(speed)}. The quickest of ${count(speed.runs, "run")} each, in turns.</p>`;
  return `<section id="check"><h2>Whether it is as good as it was</h2><p class="deck">${escapeHtml(how)}</p>${timed}${cards("", ["Inputs", "Output", "Moved by", "At most"], rows)}</section>`;
}

function normsTable({ norms, ills }: Examination, kinds: string[], looks: Looks): string {
  if (norms.length === 0) return "";
  const rows = norms.slice(0, MOST_ROWS).map((norm, at) => {
    const own = ills.filter((ill) => ill.norms.includes(at + 1));
    const isIll = own.some(({ sick, mended }) => sick && mended !== true);
    const word = isIll
      ? "ill"
      : own.some(({ mended }) => mended === true)
        ? "mended"
        : own.length > 0
          ? "worth a look"
          : "well";
    const { measured } = norm;
    const mark = kinds.length > 1 ? swatch(kebab(norm.norm), looks) : "";
    return [
      rowHead(`<small>${at + 1}</small>${mark}${breakable(norm.name)}`),
      cell("Kind", capitalize(kindName(norm.norm)), { note: settings(norm), column: "kind" }),
      cell("Largest", measured === null ? "–" : formatNumber(largestOf(measured))),
      cell("Spread", measured === null ? "–" : formatNumber(measured.spread)),
      cell("Headroom", measured === null ? "–" : formatNumber(measured.headroom)),
      cell("Health", word, {
        note: own.map(({ norms, texts }) => texts[norms.indexOf(at + 1)]).join("; "),
        column: "health",
        state: isIll ? "bad" : own.length > 0 ? "look" : "well",
      }),
      "</tr>",
    ].join("");
  });
  const caption =
    norms.length > MOST_ROWS
      ? `The first ${MOST_ROWS} of ${norms.length.toLocaleString("en-US")}; --json has all.`
      : "";
  return `<section id="all"><h2>${norms.length === 1 ? "The normalization" : "Each of them"}</h2>${cards(caption, ["Normalization", "Kind", "Largest", "Spread", "Headroom", "Health"], rows)}</section>`;
}

const largestOf = ({ min, max }: Measured): number | null =>
  min === null || max === null ? null : Math.max(-min, max);

/** "over 384, epsilon 1e-5, written out (9 nodes)". */
function settings(norm: ExaminedNorm): string {
  const { epsilon, isOperator, nodes, dtype, statisticsType, cancels } = norm;
  return [
    overText(norm).trim(),
    `epsilon ${epsilon === 0 ? "0" : Number(epsilon.toPrecision(3)).toExponential()}`,
    isOperator ? "one operator" : `written out (${count(nodes, "node")})`,
    ...(dtype === null ? [] : [dtype]),
    ...(statisticsType === null || statisticsType === dtype ? [] : [`statistics in ${statisticsType}`]),
    ...(cancels ? ["variance as E[x²] − E[x]²"] : []),
  ]
    .filter((part) => part !== "")
    .join(", ");
}

function facts(examination: Examination): string {
  const {
    evenkeel,
    file,
    byteLength,
    nodes,
    producer,
    runtime,
    machine,
    inputs,
    notRun,
    written,
    activations,
  } = examination;
  const rows: [string, string | undefined][] = [
    ["File", file],
    ["Format", formatText(examination)],
    ["Written by", producer ?? undefined],
    ["Size", size(byteLength)],
    ["Nodes", nodes.toLocaleString("en-US")],
    [
      "Activations",
      Object.keys(activations).length === 0
        ? undefined
        : `written out: ${Object.entries(activations)
            .map(([name, number]) => `${number.toLocaleString("en-US")} × ${name}`)
            .join(", ")}`,
    ],
    [
      "Run in",
      runtime === null ? undefined : `${runtime.name} ${runtime.version}, with its own optimizations`,
    ],
    [
      "Run on",
      inputs.length === 0
        ? undefined
        : inputs.map(({ name, dtype, shape }) => `${name} [${shape.join(", ")}] ${dtype}`).join(", "),
    ],
    [
      "On",
      machine === null
        ? undefined
        : `${machine.processor}, ${count(machine.cores, "core")}; ${machine.runtime}`,
    ],
    ["Not run", notRun ?? undefined],
    [
      "Written",
      written.length === 0
        ? undefined
        : written.map(({ name, byteLength }) => `${name} (${size(byteLength)})`).join(", "),
    ],
    ["Made", `with Evenkeel ${evenkeel}`],
  ];
  const list = rows
    .filter(([, value]) => value !== undefined)
    .map(([term, value = ""]) => `<div><dt>${term}</dt><dd>${escapeHtml(value)}</dd></div>`)
    .join("\n");
  return `<section id="file"><h2>The file</h2><dl>${list}</dl></section>`;
}
