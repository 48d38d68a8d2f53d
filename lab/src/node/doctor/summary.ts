/** What `evenkeel doctor` shows in the terminal. */
import { thinned } from "@evenkeel/report/axes";
import { capitalize, count, formatNumber } from "@evenkeel/report/format";
import { isNumber } from "@evenkeel/report/statistics";
import {
  bySeverity,
  distanceText,
  type Examination,
  familiesOf,
  formatText,
  headline,
  illText,
  type Measured,
  mendsBy,
  movedText,
  nearnessText,
  remainsIll,
  runText,
  sampleName,
  verdictText,
} from "../../doctor/examination.js";
import { size } from "../../inspection.js";
import type { colorsOf } from "../colors.js";
import { BLOCKS, folded, plain, short, shortened, toldApart, widthOf } from "../columns.js";

type Colors = ReturnType<typeof colorsOf>;

const TITLE = "evenkeel doctor";
/** Norms by depth that are shown one by one; more are drawn as a line each. */
const MOST_ROWS = 12;
/** Bars of such a line. */
const MOST_BARS = 48;
/** Kinds of mends that are listed. */
const MOST_LISTED = 12;
const LEAST_NAME = 12;

/** The summary in lines of at most `width` columns. */
export function doctorText(examination: Examination, width: number, colors: Colors): string {
  const parts = [
    headText(examination, width, colors),
    familiesText(examination, width),
    illsText(examination, width, colors),
    examination.hints.map((hint) => folded(`→ ${hint}`, width, "  ")).join("\n"),
    depthText(examination, width, colors),
    mendsText(examination, width, colors),
    checkText(examination, width, colors),
    writtenText(examination, width),
    endText(examination, width, colors),
  ];
  return `${parts.filter((part) => part !== "").join("\n\n")}\n`;
}

function headText(examination: Examination, width: number, colors: Colors): string {
  const { file, byteLength, nodes, producer } = examination;
  const format = formatText(examination) + (producer === null ? "" : ` (${producer})`);
  return [
    `${colors.bold(TITLE)}  ${shortened(plain(file), width - TITLE.length - 2)}`,
    folded(format, width, "  "),
    `${size(byteLength)}  ·  ${count(nodes, "node")}`,
    ...(runText(examination) === "" ? [] : [folded(runText(examination), width, "  ")]),
  ].join("\n");
}

/** "  24 × layer normalization over 384, ...", counts one below the other. */
function familiesText(examination: Examination, width: number): string {
  const { activations } = examination;
  const rows = [
    ...familiesOf(examination).map(({ text, members }): [number, string] => [members.length, text]),
    ...Object.entries(activations).map(([name, number]): [number, string] => [
      number,
      `${name}, written out`,
    ]),
  ];
  const digits = Math.max(0, ...rows.map(([number]) => number.toLocaleString("en-US").length));
  return rows
    .map(([number, text]) => {
      const head = `${number.toLocaleString("en-US").padStart(digits)} × `;
      return head + folded(text, width - head.length).replaceAll("\n", `\n${" ".repeat(head.length)}`);
    })
    .join("\n");
}

function illsText(examination: Examination, width: number, colors: Colors): string {
  const all = examination.norms.length;
  return bySeverity(examination)
    .map((ill) => {
      const { sick, mended } = ill;
      const { text, who } = illText(ill, all);
      const mark = mended === true ? "✓ mended:" : sick ? "✗" : "!";
      const lines = folded(`${mark} ${text}${who === "" ? "" : ` · ${who}`}`, width, "  ");
      if (mended === true) return lines.replace(mark, colors.green);
      return sick ? colors.red(lines) : colors.yellow(lines);
    })
    .join("\n");
}

// ---- by depth ----

interface Column {
  head: string;
  of(measured: Measured): number | null;
}

const COLUMNS: readonly Column[] = [
  { head: "largest", of: ({ min, max }) => (min === null || max === null ? null : Math.max(-min, max)) },
  { head: "largest mean", of: ({ mean }) => mean },
  { head: "least spread", of: ({ leastSpread }) => leastSpread },
  { head: "largest spread", of: ({ mostSpread }) => mostSpread },
  { head: "headroom", of: ({ headroom }) => headroom },
];

/** What each norm meets: a row of numbers each, or a line each over the depth where there are many. */
function depthText({ norms }: Examination, width: number, colors: Colors): string {
  const measured = norms.flatMap(({ name, measured }, at) =>
    measured === null ? [] : [{ index: at + 1, name: plain(name), measured }],
  );
  if (measured.length === 0) return "";
  const columns = COLUMNS.filter(({ of }) => measured.some((each) => of(each.measured) !== null));
  const title = colors.bold("What they meet, by depth");
  if (measured.length > MOST_ROWS) {
    const most = Math.max(...columns.map(({ head }) => head.length));
    return [title, ...columns.map((column) => overDepth(column, measured, most, width, colors))].join("\n");
  }
  const cells = columns.map(({ head, of }) => {
    const texts = measured.map((each) => numberText(of(each.measured)));
    const wide = Math.max(head.length, ...texts.map((text) => text.length));
    return [head, ...texts].map((text) => text.padStart(wide));
  });
  const digits = String(norms.length).length;
  const taken = cells.reduce((sum, [head]) => sum + head.length + 2, digits + 1);
  const names = measured.map(({ name }) => name);
  const nameWidth = Math.min(Math.max(...names.map(widthOf)), Math.max(LEAST_NAME, width - taken));
  const shown = toldApart(names, nameWidth);
  // where there is no room for all, the last ones are on the page
  const fitting = cells.filter(
    (_, at) =>
      digits + 1 + nameWidth + cells.slice(0, at + 1).reduce((sum, [head]) => sum + head.length + 2, 0) <=
      width,
  );
  const rows = measured.map(({ index }, row) =>
    [
      colors.dim(String(index).padStart(digits)),
      ` ${shown[row]}${" ".repeat(nameWidth - widthOf(shown[row]))}`,
      ...fitting.map((column) => `  ${column[row + 1]}`),
    ].join(""),
  );
  const head = `${" ".repeat(digits + 1 + nameWidth)}${fitting.map((column) => `  ${column[0]}`).join("")}`;
  return [title, colors.dim(head), ...rows].join("\n");
}

const numberText = (value: number | null): string => (value === null ? "–" : short(value));

/** "headroom  0.8 ▁▂▃▅▇ 1e4": on a log scale, from the first norm to the last. */
function overDepth(
  { head, of }: Column,
  measured: { measured: Measured }[],
  most: number,
  width: number,
  colors: Colors,
): string {
  const values = measured.map((each) => of(each.measured));
  const positive = values.filter((value): value is number => isNumber(value) && value > 0);
  const ends = [Math.min(...positive), Math.max(...positive)];
  const start = `  ${head.padEnd(most)}  `;
  if (positive.length === 0) return `${start}${numberText(values.find(isNumber) ?? null)}`;
  const [low, high] = ends.map((end) => short(end));
  if (low === high) return `${start}${low} in all`;
  const room = Math.max(8, width - start.length - low.length - high.length - 2);
  const bars = thinned(values, Math.min(MOST_BARS, room)).map((value) => {
    if (value === null || !(value > 0)) return BLOCKS[0];
    const share = Math.log(value / ends[0]) / Math.log(ends[1] / ends[0]);
    return BLOCKS[1 + Math.round(7 * share)];
  });
  return `${start}${low} ${colors.cyan(bars.join(""))} ${high}`;
}

// ---- mends ----

function mendsText(examination: Examination, width: number, colors: Colors): string {
  const sections = (["mended", "taken back"] as const).flatMap((state) => {
    const mends = mendsBy(examination, state);
    if (mends.length === 0) return [];
    const lines = mends.slice(0, MOST_LISTED).map((mend) => {
      const near = nearnessText(mend);
      const what = [
        mend.title,
        ...(mend.why === undefined ? [] : [mend.why]),
        ...(near === "" ? [] : [near]),
        ...(mend.caution === undefined ? [] : [mend.caution]),
      ];
      return `  ${folded(`${mend.count.toLocaleString("en-US")} × ${what.join("; ")}`, width - 2, "    ").replaceAll("\n", "\n  ")}`;
    });
    const more = mends.length - lines.length;
    const rest = more > 0 ? [`  and ${count(more, "other kind")}: --html or --json has all`] : [];
    return [[colors.bold(capitalize(state)), ...lines, ...rest].join("\n")];
  });
  return sections.join("\n\n");
}

function checkText({ check, mends }: Examination, width: number, colors: Colors): string {
  if (check === null || !mends.some(({ state }) => state === "mended")) return "";
  const { samples, by, why, speed, parts = 0 } = check;
  const moved = movedText({ mends });
  const wide = Math.max(...samples.map(({ text }) => widthOf(text)));
  const rows = samples.map((sample) => {
    const [worst] = sample.outputs.toSorted(
      (a, b) => Number(b.difference) - b.tolerance - (Number(a.difference) - a.tolerance),
    );
    const mended = sample.outputs.reduce((sum, output) => sum + output.mended, 0);
    const within = sample.outputs.every(({ difference, tolerance }) => Number(difference) <= tolerance);
    const said = [
      worst === undefined
        ? "no outputs"
        : `${distanceText(worst.difference)} of at most ${formatNumber(worst.tolerance)}`,
      ...(within ? [] : [moved]),
      ...(mended > 0 ? [`${count(mended, "value")} finite that ${mended === 1 ? "was" : "were"} not`] : []),
    ].join("; ");
    const head = `  ${within ? colors.green("✓") : colors.yellow("!")} ${sampleName(sample).padEnd(wide)}  `;
    const margin = wide + 6;
    return head + folded(said, width - margin).replaceAll("\n", `\n${" ".repeat(margin)}`);
  });
  const title = by === "whole" ? "Outputs moved by" : `Outputs of ${count(parts, "part")} moved by`;
  const timed =
    speed === null
      ? []
      : [
          folded(
            `${formatNumber(speed.before)} ms before, ${formatNumber(speed.after)} ms after: ${verdictText(speed)} (the quickest of ${count(speed.runs, "run")}, in turns)`,
            width,
            "  ",
          ),
        ];
  return [
    colors.bold(title),
    ...(why === undefined ? [] : [folded(`Checked by parts: ${why}`, width, "  ")]),
    ...rows,
    ...timed,
  ].join("\n");
}

function writtenText({ written }: Examination, width: number): string {
  return written
    .map(({ name, byteLength }) => `Written  ${shortened(plain(name), width - 24)}  ${size(byteLength)}`)
    .join("\n");
}

function endText(examination: Examination, width: number, colors: Colors): string {
  const text = folded(headline(examination), width);
  if (remainsIll(examination)) return colors.bold(colors.red(text));
  return colors.bold(text);
}
