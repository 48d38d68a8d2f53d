/** What `evenkeel inspect` shows in the terminal. */
import { count, wrap } from "@evenkeel/report/format";
import { isNumber } from "@evenkeel/report/statistics";
import {
  arrayName,
  BINS,
  conversionsOf,
  conversionsTitle,
  type Distribution,
  describedAs,
  formatText,
  type InspectedNormalization,
  type Inspection,
  leadingArrays,
  size,
  totalsText,
  verdict,
  whichOf,
} from "../inspection.js";
import { colorsOf } from "./colors.js";

type Colors = ReturnType<typeof colorsOf>;

const BLOCKS = " ▁▂▃▄▅▆▇█";
/** Characters of a histogram: both divide the number of its pieces. */
const BARS = BINS / 3;
const WIDE_BARS = BINS / 2;
const LEAST_NAME = 10;
/** Characters of a list of numbers; longer ones become how many they are. */
const MOST_WHICH = 24;

/** The summary in lines of at most `width` columns. */
export function inspectionText(inspection: Inspection, width: number): string {
  const colors = colorsOf(process.stdout);
  const { normalizations } = inspection;
  const parts =
    normalizations.length === 0
      ? [largestText(inspection, width)]
      : [
          ...familiesOf(inspection).map((family) => familyText(family, width, colors)),
          conversionsText(inspection, width),
        ];
  return `${[headText(inspection, width, colors), ...parts, endText(inspection, width, colors)].filter((part) => part !== "").join("\n\n")}\n`;
}

function headText(inspection: Inspection, width: number, colors: Colors): string {
  const { file, byteLength, tensors, others } = inspection;
  const lines = [
    `${formatText(inspection)}  ·  ${size(byteLength)}`,
    `${count(tensors.tensors, "tensor")}  ·  ${totalsText(tensors, "parameter")}`,
    ...(others.tensors > 0
      ? [
          `beside the model (optimizer, averages, counters): ${count(others.tensors, "tensor")} of ${totalsText(others, "value")}`,
        ]
      : []),
  ];
  const title = "evenkeel inspect  ";
  return [
    `${colors.bold("evenkeel inspect")}  ${shortened(plain(file), width - title.length)}`,
    ...lines.map((line) => folded(line, width, "  ")),
  ].join("\n");
}

/** Normalizations of one kind and with the same settings, in the file's order; `index` is counted from 1. */
interface Family {
  title: string;
  members: { index: number; normalization: InspectedNormalization }[];
  /** Columns of digits that any index needs. */
  digits: number;
}

function familiesOf({ normalizations }: Inspection): Family[] {
  const families = new Map<string, Family>();
  for (const [at, normalization] of normalizations.entries()) {
    const title = describedAs(normalization);
    const arrays = leadingArrays(normalization).map(([key]) => key);
    const key = `${title} ${arrays}`;
    const family = families.get(key) ?? { title, members: [], digits: String(normalizations.length).length };
    family.members.push({ index: at + 1, normalization });
    families.set(key, family);
  }
  return [...families.values()];
}

/** A heading, a line for each member, and what was found of it beneath. */
function familyText({ title, members, digits }: Family, width: number, colors: Colors): string {
  const names = members.map(({ normalization }) => plain(normalization.name));
  const channels = members.map(({ normalization }) => normalization.channels?.toLocaleString("en-US") ?? "");
  const channelsHead = channels.some((text) => text !== "") ? "channels" : "";
  const longest = Math.max(...names.map(widthOf));
  const margin = digits + 3;
  const channelsWidth = Math.max(channelsHead.length, ...channels.map((text) => text.length));
  const { columns, bars, room } = fitting(
    [0, 1].map((which) => columnOf(members.map(({ normalization }) => leadingArrays(normalization)[which]))),
    width - margin - channelsWidth - 1,
    longest,
  );
  const nameWidth = Math.min(longest, room);
  const shown = toldApart(names, nameWidth);
  const head = [
    " ".repeat(margin + nameWidth),
    channelsHead.padStart(channelsWidth + 1),
    ...columns.map((column) => `  ${column.head.padEnd(widthAt(column, bars))}`),
  ].join("");
  const rows = members.map(({ index, normalization }, row) => {
    const name = shown[row];
    const line = [
      `${colors.dim(String(index).padStart(digits))} ${markOf(normalization, colors)} `,
      name + " ".repeat(nameWidth - widthOf(name)),
      channels[row].padStart(channelsWidth + 1),
      ...columns.map((column) => `  ${picture(column, row, bars, colors)}`),
    ].join("");
    const notes = normalization.findings.map(({ text, sick }) => {
      const indent = " ".repeat(margin + 2);
      const lines = indent + folded(text, width - indent.length).replaceAll("\n", `\n${indent}`);
      return sick ? colors.red(lines) : colors.yellow(lines);
    });
    return [line.trimEnd(), ...notes].join("\n");
  });
  const heads = head.trim() === "" ? [] : [colors.dim(head.trimEnd())];
  return [colors.bold(folded(title, width, "  ")), ...heads, ...rows].join("\n");
}

function markOf({ findings, sick }: InspectedNormalization, colors: Colors): string {
  if (sick) return colors.red("✗");
  return findings.length > 0 ? colors.yellow("!") : colors.green("✓");
}

// ---- pictures ----

/** Pictures of one array of all members: its name, and each one's two ends with the room that the widest need. */
interface Column {
  head: string;
  cells: { distribution?: Distribution; low: string; high: string }[];
  left: number;
  right: number;
}

function columnOf(arrays: ([string, Distribution] | undefined)[]): Column | undefined {
  const name = arrays.find((array) => array !== undefined)?.[0];
  if (name === undefined) return undefined;
  const log = arrays.some((array) => array?.[1].histogram?.scale === "log");
  const cells = arrays.map((array) => ({ distribution: array?.[1], ...endsOf(array?.[1]) }));
  return {
    head: `${arrayName(name).replace(/^running (?=variance)/, "")}${log ? " (log)" : ""}`,
    cells,
    left: Math.max(0, ...cells.map(({ low }) => low.length)),
    right: Math.max(0, ...cells.map(({ high }) => high.length)),
  };
}

/** The lowest and the highest value, with as many digits as tell them apart. A log scale has those above 0 between them. */
function endsOf(distribution: Distribution | undefined): { low: string; high: string } {
  const { min, max, histogram } = distribution ?? {};
  if (!histogram || !isNumber(min) || !isNumber(max)) return { low: "", high: "" };
  if (min === max) return { low: short(min), high: "" };
  const digits = [2, 3, 4].find((count) => short(min, count) !== short(max, count));
  return { low: short(min, digits), high: short(max, digits) };
}

const widthAt = ({ head, left, right }: Column, bars: number): number =>
  Math.max(head.length, left + bars + right + 2);

/** Wide pictures where the names fit beside them; else narrow ones, and without the second where not even that leaves names room. */
function fitting(
  all: (Column | undefined)[],
  width: number,
  longest: number,
): { columns: Column[]; bars: number; room: number } {
  const columns = all.filter((column) => column !== undefined);
  const room = (shown: Column[], bars: number) =>
    width - shown.reduce((sum, column) => sum + 2 + widthAt(column, bars), 0);
  if (room(columns, WIDE_BARS) >= longest)
    return { columns, bars: WIDE_BARS, room: room(columns, WIDE_BARS) };
  const shown = room(columns, BARS) < Math.min(longest, LEAST_NAME) ? columns.slice(0, 1) : columns;
  return { columns: shown, bars: BARS, room: Math.max(1, room(shown, BARS)) };
}

/** "0.41 ▁▃▇▅▁ 2.7": between the ends of the range how many values lie where. As wide as the others of its column. */
function picture(column: Column, row: number, bars: number, colors: Colors): string {
  const { left, right, cells } = column;
  const { distribution, low, high } = cells[row];
  const whole = widthAt(column, bars);
  if (!distribution?.histogram) {
    const text =
      distribution === undefined ? "–" : distribution.notFinite > 0 ? "not finite" : "none above 0";
    return shortened(text, whole).padEnd(whole);
  }
  const { counts } = distribution.histogram;
  const start = `${low.padStart(left)} `;
  const rest = whole - start.length;
  if (high === "") return start + colors.dim((distribution.count > 1 ? "in all" : "").padEnd(rest));
  const heights = Array.from({ length: bars }, (_, bar) => {
    const each = counts.length / bars;
    return counts.slice(bar * each, (bar + 1) * each).reduce((sum, count) => sum + count, 0);
  });
  const most = Math.max(...heights);
  const blocks = heights
    .map((height) => BLOCKS[height === 0 ? 0 : Math.max(1, Math.round((8 * height) / most))])
    .join("");
  return `${start}${colors.cyan(blocks)} ${high.padEnd(right)}`.concat(" ".repeat(rest - bars - 1 - right));
}

/** Two digits in at most six characters, or more of both. */
function short(value: number, digits = 2): string {
  const rounded = Number(value.toPrecision(digits));
  const plainly = rounded === 0 || (Math.abs(rounded) >= 0.01 && Math.abs(rounded) < 10_000);
  const text = plainly ? String(rounded) : value.toExponential(digits - 2).replace("e+", "e");
  return text.replaceAll("-", "−");
}

function conversionsText(inspection: Inspection, width: number): string {
  const all = inspection.normalizations.length;
  const lines = conversionsOf(inspection).map(({ text, members }) => {
    const lines = folded(text, width - 2, "  ").split("\n");
    if (all > 1) {
      const which = whichOf(members, all);
      const who = `  ·  ${which.length <= MOST_WHICH ? which : `${members.length} of ${all}`}`;
      // never a line that ends in the dot
      if (widthOf(`${lines.at(-1)}${who}`) <= width - 2) lines.push(lines.pop() + who);
      else lines.push(`  ${who.trimStart()}`);
    }
    return lines.map((line) => `  ${line}`).join("\n");
  });
  return lines.length === 0 ? "" : [conversionsTitle(inspection), ...lines].join("\n");
}

function largestText({ largest, tensors }: Inspection, width: number): string {
  if (largest.length === 0) return "";
  const shapes = largest.map(({ shape }) => `[${shape.join(", ")}]`);
  const shapeWidth = Math.max(...shapes.map((text) => text.length));
  const typeWidth = Math.max(...largest.map(({ dtype }) => widthOf(plain(dtype))));
  const names = largest.map(({ name }) => plain(name));
  const nameWidth = Math.max(
    LEAST_NAME,
    Math.min(Math.max(...names.map(widthOf)), width - shapeWidth - typeWidth - 6),
  );
  const shown = toldApart(names, nameWidth);
  const rows = largest.map(({ dtype }, row) => {
    const name = shown[row];
    return shortened(
      `  ${name}${" ".repeat(nameWidth - widthOf(name))}  ${shapes[row].padEnd(shapeWidth)}  ${plain(dtype)}`,
      width,
    );
  });
  const head = tensors.tensors > largest.length ? `Its ${largest.length} largest tensors` : "Its tensors";
  return [head, ...rows].join("\n");
}

function endText(inspection: Inspection, width: number, colors: Colors): string {
  const text = folded(verdict(inspection), width);
  if (inspection.normalizations.some(({ sick }) => sick)) return colors.bold(colors.red(text));
  return colors.bold(text);
}

// ---- widths ----

/** Names come from files: what would steer the terminal, or turn the writing round, is shown as a mark. */
function plain(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, "�");
}

/** A text from a file in lines of at most `width` columns; words that are longer lose their middle. */
function folded(text: string, width: number, indent = ""): string {
  const words = plain(text).split(" ");
  return wrap(words.map((word) => shortened(word, width - indent.length)).join(" "), width, indent);
}

/** Those that a terminal shows two columns wide: East Asian scripts and emoji. */
const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]/u;

/** Columns of a text in a terminal. */
function widthOf(text: string): number {
  let columns = 0;
  for (const character of text) columns += WIDE.test(character) ? 2 : /\p{M}/u.test(character) ? 0 : 1;
  return columns;
}

/** Names in at most `width` columns. Where two would look the same, all lose the parts that they have in common at their ends. */
function toldApart(names: readonly string[], width: number): string[] {
  const [first] = names;
  const least = Math.min(...names.map(({ length }) => length));
  const same = (at: (name: string, i: number) => string) => {
    let length = 0;
    while (length < least && names.every((name) => at(name, length) === at(first, length))) length++;
    return length;
  };
  let all = names.map((name) => shortened(name, width));
  for (const [before, after] of [
    [/[^/.]*$/, /[/.]|$/],
    [/[^/._]*$/, /[/._]|$/],
  ]) {
    if (new Set(all).size === new Set(names).size) break;
    const start = first
      .slice(
        0,
        same((name, i) => name[i]),
      )
      .search(before);
    const common = Math.min(
      least - start,
      same((name, i) => name[name.length - 1 - i]),
    );
    const end = common - first.slice(first.length - common).search(after);
    all = names.map((name) => {
      const own = name.slice(start, name.length - end);
      return shortened(`${start > 0 ? "…" : ""}${own}${end > 0 ? "…" : ""}`, width);
    });
  }
  return all;
}

/** At most `width` columns: what is too long loses its middle, since both ends of a path say most. */
function shortened(text: string, width: number): string {
  if (widthOf(text) <= width) return text;
  const characters = [...text];
  let [head, tail] = ["", ""];
  let room = Math.max(0, width - 1);
  for (let [from, to] = [0, characters.length - 1]; from <= to; ) {
    const atEnd = widthOf(tail) <= widthOf(head);
    const next = atEnd ? characters[to--] : characters[from++];
    room -= widthOf(next);
    if (room < 0) break;
    if (atEnd) tail = next + tail;
    else head += next;
  }
  return `${head}…${tail}`;
}
