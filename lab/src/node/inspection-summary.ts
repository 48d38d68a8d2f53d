/** What `evenkeel inspect` shows in the terminal. */
import { count } from "@evenkeel/report/format";
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
import { BLOCKS, folded, plain, short, shortened, toldApart, widthOf } from "./columns.js";

type Colors = ReturnType<typeof colorsOf>;

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
