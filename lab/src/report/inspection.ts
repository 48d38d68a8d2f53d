/** The page of an inspection: one HTML file that holds everything it needs, without a script, as the report of a comparison is. */
import { capitalize, formatNumber } from "@evenkeel/report/format";
import { escapeHtml, figure, wholePage } from "@evenkeel/report/page";
import {
  arrayName,
  conversionsOf,
  conversionsTitle,
  type Distribution,
  describedAs,
  type Found,
  formatText,
  foundIn,
  frameworkText,
  headline,
  type InspectedNormalization,
  type Inspection,
  kindName,
  leadingArrays,
  ranges,
  settingsText,
  size,
  totalsText,
  whichOf,
} from "../inspection.js";
import { kebab } from "../norms.js";
import { arraysIn, depthFigure, smallHistogram } from "./inspection-figures.js";
import { type Looks, looksOf, looksStyle, swatch, switches } from "./series.js";

/** Normalizations that get histograms: more would make the page heavy. The sick ones come first. */
const MOST_PICTURED = 60;
/** Findings of one sort that are told one by one. */
const MOST_TOLD = 3;

const STYLE = `
.switches+.beside{margin-top:18px}
.small{display:block;max-width:100%;overflow:visible}
#all td small{overflow-wrap:anywhere}
#all td .ends{display:flex;flex-wrap:wrap;justify-content:space-between;gap:0 8px;width:148px;max-width:100%;white-space:nowrap;font-variant-numeric:tabular-nums}
#all tbody th{white-space:normal;overflow-wrap:anywhere}
#all td .value{overflow-wrap:anywhere}
@media (min-width:1040px){#all tbody th{min-width:15.5em}}
#all table{margin-top:1rem}
#all tbody th small{margin-right:.6em;font-weight:400;font-variant-numeric:tabular-nums}
#all .well .value{color:var(--muted)}
#all tbody tr{break-inside:avoid}
.findings b{overflow-wrap:anywhere}
.whole{white-space:nowrap}
@media screen and (max-width:760px){
#all tbody tr{grid-template-columns:repeat(2,minmax(0,1fr));gap:10px 16px}
#all tbody th,#all td[data-column=kind]{grid-column:1/-1}
#all td:is([data-column=channels],[data-column=health]){order:1}
#all td .name{display:none}
#largest tbody tr{grid-template-columns:repeat(2,minmax(0,1fr))}
#largest tbody th{grid-column:1/-1;overflow-wrap:anywhere}
}
`;

/** What the page is made of, for one that has a style sheet and a head already: `title` is text, `style` CSS that follows the common style sheet, `body` HTML. */
export interface InspectionParts {
  title: string;
  style: string;
  body: string;
}

/** The whole page; its figures are drawn in `document`. */
export function renderInspection(inspection: Inspection, document: Document): string {
  const { title, style, body } = inspectionParts(inspection, document);
  return wholePage(title, style, `<div class="page">\n${body}\n</div>`);
}

/** Its parts; its figures are drawn in `document`. */
export function inspectionParts(inspection: Inspection, document: Document): InspectionParts {
  const { normalizations, file, byteLength, tensors } = inspection;
  const title =
    normalizations.length === 0 ? `${shortName(file)} holds no normalization` : headline(inspection);
  const kinds = [...new Set(normalizations.map(({ kind }) => kebab(kind)))];
  const looks = looksOf(kinds);
  const found = findingItems(foundIn(inspection));
  const deck = `${shortName(file)}: ${size(byteLength)}, ${formatText(inspection)}, with ${totalsText(tensors, "parameter")} in ${tensors.tensors.toLocaleString("en-US")} tensors.`;
  const body = `<header>
<p class="eyebrow">Evenkeel · inspection of a checkpoint</p>
<h1>${escapeHtml(title)}</h1>
<p class="deck">${escapeHtml(deck)}</p>
${found.length > 0 ? `<ul class="findings">${found.join("")}</ul>` : ""}
</header>
<main>
${normalizations.length > 1 ? depthSection(inspection, kinds, looks, document) : ""}
${normalizations.length > 0 ? table(inspection, kinds, looks) : largestTable(inspection)}
${conversions(inspection)}
${facts(inspection)}
</main>
<footer>Every number: evenkeel inspect ${escapeHtml(shortName(file))} --json</footer>`;
  return { title, style: looksStyle(looks) + STYLE, body };
}

/** A file's name; with its folder's where every file of its sort has that name. */
function shortName(path: string): string {
  const parts = path.split(/[/\\]/).filter((part) => part !== "");
  return parts.slice(/^(saved_|pytorch_)?model\.\w+$/.test(parts.at(-1) ?? "") ? -2 : -1).join("/");
}

/** Escaped HTML whose numbers with exponents stay on one line. */
const unbroken = (html: string): string =>
  html.replace(/\S+/g, (word) =>
    word.replace(/^.+e-\d+/, (number) => `<span class="whole">${number}</span>`),
  );

/** A name as HTML, which may break after its marks before it breaks anywhere. */
const breakable = (name: string): string => escapeHtml(name).replace(/[_./](?=\w)/g, "$&<wbr>");

// ---- findings ----

/** An item for each finding; of many of one sort the first few, and who else. */
function findingItems(found: Found[]): string[] {
  const sorts = new Map<string, Found[]>();
  for (const each of found) {
    const sort = `${each.finding.kind} ${each.finding.sick}`;
    sorts.set(sort, [...(sorts.get(sort) ?? []), each]);
  }
  return [...sorts.values()].flatMap((sort) => {
    const told = sort.length <= MOST_TOLD ? sort : sort.slice(0, MOST_TOLD - 1);
    const rest = sort.slice(told.length);
    const items = told.map(
      ({ name, index, finding }) =>
        `<li><b>${breakable(name)}</b> (number ${index}): ${escapeHtml(finding.text)}.</li>`,
    );
    if (rest.length === 0) return items;
    const numbers = ranges(rest.map(({ index }) => index).sort((a, b) => a - b));
    return [...items, `<li>Likewise in ${rest.length} others: numbers ${numbers}.</li>`];
  });
}

// ---- by depth ----

function depthSection(inspection: Inspection, kinds: string[], looks: Looks, document: Document): string {
  const arrays = arraysIn(inspection);
  const how = [
    "From the first normalization to the last, in the order of the network’s layers where the file lists them. A wide bar holds the middle nine tenths of a normalization’s values, the thin one reaches from the lowest to the highest; the dot is the median, and the line joins the medians.",
    ...(arrays.includes("gamma")
      ? [
          "A gamma near 0 shuts its channel off; gammas that shrink or grow with the depth scale the signal on its way.",
        ]
      : []),
    ...(arrays.includes("runningVariance")
      ? [
          "The running variance is what inference divides by. Near 0 it means that a channel was constant in training, so that any other value is enormously amplified; a mean of 0 and a variance of 1 mean that no training step has set them.",
        ]
      : []),
    ...(inspection.normalizations.some(({ sick }) => sick) ? ["× marks those that are sick."] : []),
  ];
  const figures = arrays.map((array) => {
    const drawn = depthFigure(inspection, array, looks, document);
    const scale = { linear: "", log: "log scale", symlog: "log scale about zero" }[drawn.scale];
    return figure(capitalize(arrayName(array)), scale, drawn);
  });
  if (figures.length === 0) return "";
  return `<section id="depth" class="figures"><h2>By depth</h2>${kinds.length > 1 ? switches(kinds, looks) : ""}
<div class="beside"><div class="how">${how.map((text) => `<p>${text}</p>`).join("")}</div><div class="pair">${figures.join("")}</div></div></section>`;
}

// ---- each ----

function table(inspection: Inspection, kinds: string[], looks: Looks): string {
  const { normalizations } = inspection;
  const all = normalizations.length;
  const order = [...normalizations.keys()].sort(
    (a, b) => Number(normalizations[b].sick) - Number(normalizations[a].sick) || a - b,
  );
  const pictured = new Set(order.slice(0, MOST_PICTURED));
  const alike = new Set(normalizations.map(describedAs)).size === 1;
  const arrays = normalizations.map(leadingArrays);
  const pictures = [0, 1].flatMap((which) => {
    const names = [...new Set(arrays.flatMap((pair) => pair[which]?.[0] ?? []))].map(arrayName);
    return names.length === 0
      ? []
      : [
          {
            which,
            head: capitalize(names.length > 2 ? `${names[0]} or others` : names.join(" or ")),
            named: names.length > 1,
          },
        ];
  });
  const rows = normalizations.map((normalization, at) => {
    const { name, kind, type, channels } = normalization;
    const mark = kinds.length > 1 ? swatch(kebab(kind), looks) : "";
    return [
      `<tr role="row"><th role="rowheader" scope="row"><small>${at + 1}</small>${breakable(name)}</th>`,
      alike
        ? ""
        : `<td role="cell" data-column="kind" data-head="Kind">${mark}<span class="value">${escapeHtml(type ?? capitalize(kindName(kind)))}</span><small>${unbroken(escapeHtml([...(type === null ? [] : [kindName(kind)]), settingsText(normalization)].filter((part) => part !== "").join(": ")))}</small></td>`,
      `<td role="cell" data-column="channels" data-head="Channels"><span class="value">${channels?.toLocaleString("en-US") ?? "–"}</span></td>`,
      ...pictures.map(({ which, named }) => arrayCell(arrays[at][which], kind, pictured.has(at), named)),
      `${healthCell(normalization)}</tr>`,
    ].join("");
  });
  const caption = [
    "Below each histogram: the lowest value, the median and the highest.",
    ...(all > MOST_PICTURED
      ? [
          `Histograms of ${MOST_PICTURED} of the ${all.toLocaleString("en-US")}, the sick ones and the first others.`,
        ]
      : []),
  ].join(" ");
  const columns = [
    "Normalization",
    ...(alike ? [] : ["Kind"]),
    "Channels",
    ...pictures.map(({ head }) => head),
    "Health",
  ];
  const common = alike ? `<p class="deck">${unbroken(escapeHtml(describedAs(normalizations[0])))}.</p>` : "";
  return `<section id="all"><h2>${all === 1 ? "The normalization" : "Each of them"}</h2>${common}<table role="table"><caption>${caption}</caption>
<thead role="rowgroup"><tr role="row">${columns.map((head) => `<th role="columnheader" scope="col">${escapeHtml(head)}</th>`).join("")}</tr></thead>
<tbody role="rowgroup">${rows.join("\n")}</tbody></table></section>`;
}

function arrayCell(
  array: [string, Distribution] | undefined,
  kind: string,
  pictured: boolean,
  named: boolean,
): string {
  if (array === undefined) return '<td role="cell"></td>';
  const [name, distribution] = array;
  const { count, min, median, max, notFinite } = distribution;
  const range =
    min === null
      ? "no finite value"
      : min === max
        ? `${count > 1 ? "all " : ""}${formatNumber(min)}`
        : `<span>${formatNumber(min)}</span><span>${formatNumber(median)}</span><span>${formatNumber(max)}</span>`;
  const notes = [
    `<small class="ends">${range}</small>`,
    ...(named ? [`<small class="name">${escapeHtml(arrayName(name))}</small>`] : []),
    ...(notFinite > 0 && min !== null
      ? [`<small>${notFinite.toLocaleString("en-US")} not finite</small>`]
      : []),
  ];
  return `<td role="cell" data-column="${escapeHtml(name)}" data-head="${escapeHtml(capitalize(arrayName(name)))}">${pictured ? smallHistogram(name, distribution, kind) : ""}${notes.join("")}</td>`;
}

function healthCell({ sick, findings }: InspectedNormalization): string {
  const [state, word] = sick
    ? ["bad", "sick"]
    : findings.length > 0
      ? ["look", "worth a look"]
      : ["well", "well"];
  const notes = findings.map(({ text }) => `<small>${escapeHtml(text)}</small>`).join("");
  return `<td role="cell" data-column="health" data-head="Health" class="${state}"><span class="value">${word}</span>${notes}</td>`;
}

function largestTable({ largest, tensors }: Inspection): string {
  if (largest.length === 0) return "";
  const rows = largest.map(
    ({ name, shape, dtype }) =>
      `<tr role="row"><th role="rowheader" scope="row">${breakable(name)}</th><td role="cell" data-head="Shape"><span class="value">${shape.length === 0 ? "one value" : shape.join(" × ")}</span></td><td role="cell" data-head="Type"><span class="value">${escapeHtml(dtype)}</span></td></tr>`,
  );
  const title = tensors.tensors > largest.length ? `Its ${largest.length} largest tensors` : "Its tensors";
  return `<section id="largest"><h2>${title}</h2><table role="table">
<thead role="rowgroup"><tr role="row"><th role="columnheader" scope="col">Tensor</th><th role="columnheader" scope="col">Shape</th><th role="columnheader" scope="col">Type</th></tr></thead>
<tbody role="rowgroup">${rows.join("\n")}</tbody></table></section>`;
}

// ---- how it was read, and the file ----

function conversions(inspection: Inspection): string {
  const all = inspection.normalizations.length;
  const items = conversionsOf(inspection).map(({ text, members }) => {
    return `<li>${escapeHtml(capitalize(text))}${all > 1 ? ` <small>${whichOf(members, all)}</small>` : ""}</li>`;
  });
  if (items.length === 0) return "";
  return `<section id="conversions"><h2>${conversionsTitle(inspection)}</h2><p class="deck">What was translated into Evenkeel’s words, was assumed because the file does not say it, or cannot be known.</p><ul class="findings">${items.join("")}</ul></section>`;
}

function facts(inspection: Inspection): string {
  const { evenkeel, file, format, byteLength, tensors, others } = inspection;
  const rows: [string, string | undefined][] = [
    ["File", file],
    ["Format", format],
    ["Written by", frameworkText(inspection)],
    ["Size", size(byteLength)],
    ["Tensors", tensors.tensors.toLocaleString("en-US")],
    ["Parameters", totalsText(tensors, "value")],
    [
      "Beside it",
      others.tensors > 0
        ? `optimizer, averages and counters: ${others.tensors.toLocaleString("en-US")} tensors of ${totalsText(others, "value")}`
        : undefined,
    ],
    ["Made", `with Evenkeel ${evenkeel}`],
  ];
  const list = rows
    .filter(([, value]) => value !== undefined)
    .map(([term, value = ""]) => `<div><dt>${term}</dt><dd>${escapeHtml(value)}</dd></div>`)
    .join("\n");
  return `<section id="file"><h2>The file</h2><dl>${list}</dl></section>`;
}
