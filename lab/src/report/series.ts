/** How the normalizations of one page are told apart: a colour and a dash pattern each, and switches that hide them. */
import { printable } from "@evenkeel/report/format";
import { escapeHtml } from "@evenkeel/report/page";
import { labelOf, type NormName, slugOf } from "../norms.js";

interface Look {
  /** Number of a colour of the style sheet, `--hue0` and on. */
  hue: number;
  /** As SVG has it; tells lines apart where colour cannot. */
  dash: string;
}

/** The same in every report. */
const USUAL: Record<NormName, Look> = {
  none: { hue: 0, dash: "2 4" },
  layer: { hue: 1, dash: "none" },
  rms: { hue: 2, dash: "7 3" },
  batch: { hue: 3, dash: "16 3" },
  group: { hue: 4, dash: "10 3 2 3" },
  instance: { hue: 5, dash: "4 2.5" },
};

/** For the others: first the colours that no usual one has, then those that are free. Hue 0 is for none. */
const HUES = [6, 7, 1, 3, 5, 2, 4];
const DASHES = ["12 2", "3 2", "8 2 2 2", "20 3", "5 4", "14 3 5 3", "6 2 2 2 2 2"];

export type Looks = ReadonlyMap<NormName, Look>;

/** A different look for each of these, however many: all colours in turn, with other dashes in each round. */
export function looksOf(norms: readonly NormName[]): Looks {
  const looks = new Map<NormName, Look>();
  for (const norm of norms) if (USUAL[norm]) looks.set(norm, USUAL[norm]);
  const taken = [...looks.values()];
  const isTaken = (look: Look) => taken.some(({ hue, dash }) => hue === look.hue && dash === look.dash);
  const free = HUES.filter((hue) => !taken.some((look) => look.hue === hue));
  const order = [...free, ...HUES.filter((hue) => !free.includes(hue))];
  let next = 0;
  for (const norm of norms) {
    if (looks.has(norm)) continue;
    let look: Look;
    do {
      // each round of the colours moves the patterns on by one; after all of them come longer ones
      const round = Math.floor(next / order.length);
      const dash = round < DASHES.length ? DASHES[(next + round) % DASHES.length] : `${4 * round} 3 2 3`;
      look = { hue: order[next % order.length], dash };
      next++;
    } while (isTaken(look));
    looks.set(norm, look);
  }
  return looks;
}

/** The variable that holds a normalization's colour. */
export const colourOf = (norm: NormName): string => `var(--n-${slugOf(norm)})`;

/** Most letters of a label within a figure. */
const MOST_LETTERS = 15;

/** As the figures label it, cut where it would take the room of the lines. */
export function shortLabel(norm: NormName): string {
  const label = labelOf(norm);
  return label.length <= MOST_LETTERS ? label : `${label.slice(0, MOST_LETTERS - 1).trimEnd()}…`;
}

/** Width of a bold letter of a label in px, at most on average. */
export const LETTER_WIDTH = 7;

/** Width of the longest label in px. */
export const labelWidth = (norms: readonly NormName[]): number =>
  LETTER_WIDTH * Math.max(0, ...norms.map((norm) => shortLabel(norm).length));

/** Rules that give the normalizations their colours. */
export function coloursStyle(looks: Looks): string {
  const colours = [...looks].map(([norm, { hue }]) => `--n-${slugOf(norm)}:var(--hue${hue})`);
  const labels = [...looks.keys()].map((norm) => `tspan.s-${slugOf(norm)}{fill:${colourOf(norm)}}`);
  return [`:root{${colours.join(";")}}`, ...labels].join("\n");
}

/** Rules that give their colours, that hide a normalization from the figures while its switch is off, and that fade the others while a switch is pointed at. */
export function looksStyle(looks: Looks): string {
  const rules = [...looks.keys()].map((norm) => {
    const slug = slugOf(norm);
    return `:root:has(#show-${slug}:not(:checked)) :is(.s-${slug},.p-${slug}){display:none}
:root:is(:has(label:hover>#show-${slug}:checked),:has(#show-${slug}:focus-visible:checked)) .figures svg g[class^="s-"]:not(.s-${slug}){opacity:.12}`;
  });
  return [coloursStyle(looks), ...rules].join("\n");
}

/** A text as HTML, in which no % begins a line. */
export const unbroken = (text: string): string => escapeHtml(text).replaceAll(" %", "\u00a0%");

/** Somebody else's text, printable, at most so many characters of it. */
export function clipped(text: string, most: number): string {
  const letters = [...printable(text.slice(0, 4 * most + 4).replace(/\s+/g, " "))];
  return letters.length <= most
    ? letters.join("")
    : `${letters
        .slice(0, most - 1)
        .join("")
        .trimEnd()}…`;
}

/** A piece of the normalization's line. */
export function swatch(norm: NormName, looks: Looks): string {
  return `<svg class="swatch" width="26" height="10" viewBox="0 0 26 10" aria-hidden="true"><line x1="1" x2="25" y1="5" y2="5" stroke="${colourOf(norm)}" stroke-width="3" stroke-dasharray="${looks.get(norm)?.dash}"/></svg>`;
}

/** A checkbox for each; `looksStyle` has the rules that they turn. */
export function switches(norms: NormName[], looks: Looks): string {
  const labels = norms.map(
    (norm) =>
      `<label><input type="checkbox" id="show-${slugOf(norm)}" checked autocomplete="off">${swatch(norm, looks)}${labelOf(norm)}</label>`,
  );
  // resetting a form needs no script
  const all = norms.length > 3 ? '<button type="reset">Show all</button>' : "";
  return `<form class="switches"><fieldset><legend>In the figures</legend>${labels.join("")}${all}</fieldset></form>`;
}
