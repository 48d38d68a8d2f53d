/** What is shown while a stream runs, on standard error: a line that lives in a terminal, and plain lines now and then anywhere else. */
import { count, formatApart, formatNumber, quote, wrap } from "@evenkeel/report/format";
import { createLogUpdate } from "log-update";
import type { Drift, Errors, Note } from "../../online/history.js";
import { colorsOf } from "../colors.js";
import { fitted } from "../progress.js";
import { columnsOf, printableLines } from "../streams.js";

/** ms between two drawings, and two plain lines. */
const REDRAW = 250;
const PLAIN = 10_000;
/** Of a plain line. */
const PLAIN_WIDTH = 100;

/** How far a stream is. */
export interface Course {
  records: number;
  errors: readonly Errors[];
  lastDrift: Drift | undefined;
}

export interface StreamDisplay {
  /** A line that stays, of any length, without what a terminal obeys; a part of it marked where that is shown. */
  say(line: string, marked?: { text: string; style: "bold" | "underline" }): void;
  close(): void;
}

/** In percent, or in units of the target. */
export function errorText({ mae, wrong }: Errors): string {
  return Number.isNaN(wrong) ? formatNumber(mae) : `${(100 * wrong).toFixed(1)} %`;
}

/** The error now, with and without normalization. */
function errorPieces(errors: readonly Errors[]): [name: string, text: string][] {
  const of = (who: Errors["of"]) => errors.find((each) => each.of === who && each.count > 0);
  const network = of("network");
  if (network === undefined) return [];
  const plain = of("plain");
  const word = Number.isNaN(network.wrong) ? "error" : "wrong";
  return [
    [word, errorText(network)],
    ...(plain === undefined ? [] : ([["without", errorText(plain)]] as [string, string][])),
  ];
}

export const driftLine = (
  { name, of, since, found, before, after }: Drift,
  time: string | undefined,
): string => {
  const values = {
    mean: formatApart([before.mean, after.mean]),
    spread: formatApart([before.deviation, after.deviation]),
    missing: [before.missing, after.missing].map((share) => `${(100 * share).toFixed(1)} %`),
  };
  const [from, to] = values[of];
  const what = of === "missing" ? "share that is missing" : of === "spread" ? "standard deviation" : "mean";
  return `drift  ${quote(name)}: ${what} ${from} → ${to} since about record ${(since + 1).toLocaleString("en-US")}, found at ${(found + 1).toLocaleString("en-US")}${time ? ` (${quote(time, 40).slice(1, -1)})` : ""}`;
};

export const noteLine = ({ record, kind, name }: Note): string =>
  kind === "infinite"
    ? `record ${(record + 1).toLocaleString("en-US")}: ${quote(name)} has no finite square, taken as missing`
    : `record ${(record + 1).toLocaleString("en-US")}: the network${name === "plain" ? " without normalization" : ""} diverged, and was started anew`;

/**
 * @param course asked whenever something is shown
 * @param isShared whether the output goes to the same terminal, where a line that lives would be torn
 */
export function openStreamDisplay(course: () => Course, isShared: boolean): StreamDisplay {
  const { stderr } = process;
  const isLive = stderr.isTTY === true && !isShared;
  const colors = colorsOf(stderr);
  const update = isLive ? createLogUpdate(stderr) : undefined;
  // a line as wide as the terminal makes some of them go on to the next
  const width = () => (isLive ? Math.max(20, (stderr.columns || 80) - 1) : PLAIN_WIDTH);
  let shown = { records: course().records, at: performance.now() };
  let rate = 0;
  let isClosed = false;

  const line = (): string => {
    const { records, errors, lastDrift } = course();
    const now = performance.now();
    if (now - shown.at >= 2 * REDRAW || rate === 0) {
      rate = ((records - shown.records) / Math.max(1, now - shown.at)) * 1000;
      if (now - shown.at >= 2 * REDRAW) shown = { records, at: now };
    }
    const perSecond = rate < 10 ? rate.toFixed(1) : Math.round(rate).toLocaleString("en-US");
    return fitted(
      [
        { text: count(records, "record"), rank: 6 },
        { text: `${perSecond}/s`, rank: 3 },
        ...errorPieces(errors).map(([name, text], index) => ({
          text: `${name} ${text}`,
          rank: 5 - index,
          ...(index === 0 && { style: colors.bold }),
        })),
        {
          text:
            lastDrift === undefined
              ? ""
              : `last drift ${quote(lastDrift.name, 20)} at ${(lastDrift.found + 1).toLocaleString("en-US")}`,
          short: lastDrift === undefined ? "" : `drift at ${(lastDrift.found + 1).toLocaleString("en-US")}`,
          rank: 2,
          style: colors.yellow,
        },
      ],
      width(),
    );
  };
  const draw = () => update?.(line());
  let told = course().records;
  const timer = setInterval(
    () => {
      if (isLive) draw();
      else if (course().records > told) {
        told = course().records;
        stderr.write(`${line()}\n`);
      }
    },
    isLive ? REDRAW : PLAIN,
  );
  timer.unref();
  return {
    say(text, marked) {
      update?.clear();
      const lines = printableLines(wrap(text, columnsOf(stderr), "  "));
      const style = marked === undefined ? undefined : colors[marked.style];
      stderr.write(`${style === undefined ? lines : lines.replace(marked?.text ?? "", style)}\n`);
      if (!isClosed) draw();
    },
    close() {
      if (isClosed) return;
      isClosed = true;
      clearInterval(timer);
      update?.clear();
      update?.done();
    },
  };
}
