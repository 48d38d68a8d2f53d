/** What leaves the numbers of a comparison to chance: few held-out rows, classes of several spellings, classes that no network saw, rows that outweigh all others. */
import { count, quote } from "@evenkeel/report/format";
import { quoted } from "./names.js";
import type { Split } from "./split.js";

/** Of fewer held-out rows, each is more than 5 % of the accuracy. */
const FEWEST_HELD_OUT = 20;
/** The share of the rows, and of the variance of a target, from which on few rows decide. */
const FEW = 0.01;
const MOST_OF_VARIANCE = 0.5;

/** One sentence each, with its remedy; y [examples] are class indices where there are classes. */
export function doubtsOf(
  target: string,
  classes: readonly string[],
  y: Float32Array,
  split: Split,
): string[] {
  const ofTask =
    classes.length > 0 ? [...alike(classes), ...unseen(classes, y, split)] : outweighed(target, y);
  return [...fewHeldOut(split), ...ofTask];
}

function fewHeldOut({ heldOut: { length } }: Split): string[] {
  if (length >= FEWEST_HELD_OUT) return [];
  return [
    `${count(length, "row")} ${length === 1 ? "is" : "are"} held out, so few that networks can hardly be told apart by them; bring more rows`,
  ];
}

/** Classes that are one to a reader: "Yes" and "yes", "low" and "low." */
function alike(classes: readonly string[]): string[] {
  const spellings = new Map<string, string[]>();
  for (const name of classes) {
    const key = name.toLowerCase().replace(/\.$/, "");
    const same = spellings.get(key);
    if (same) same.push(name);
    else spellings.set(key, [name]);
  }
  const found = [...spellings.values()].filter((names) => names.length > 1).flat();
  if (found.length === 0) return [];
  return [
    `classes ${quoted(found)} are told apart by how they are spelled; where they mean the same, write them alike in the file`,
  ];
}

/** Classes of the held-out part that the training part does not have, where groups or time decide on them. */
function unseen(classes: readonly string[], y: Float32Array, { train, heldOut }: Split): string[] {
  const seen = new Set(Array.from(train, (row) => y[row]));
  const missing = classes.filter((_, label) => !seen.has(label) && heldOut.some((row) => y[row] === label));
  if (missing.length === 0) return [];
  const few = missing.length === 1;
  return [
    `${few ? "class" : "classes"} ${quoted(missing)} ${few ? "is" : "are"} held out and not in the training part, so that no network can learn ${few ? "it" : "them"}; divide the rows in another way, or leave ${few ? "its" : "their"} rows out of the file`,
  ];
}

/** y is centred, so that its squares are what each row adds to the variance. */
function outweighed(target: string, y: Float32Array): string[] {
  const few = Math.floor(FEW * y.length);
  if (few === 0) return [];
  const squares = Float64Array.from(y, (value) => value ** 2).sort();
  const sum = (from: number) => squares.subarray(from).reduce((total, square) => total + square, 0);
  const share = sum(squares.length - few) / sum(0);
  if (!(share > MOST_OF_VARIANCE)) return [];
  return [
    `${count(few, "row")} of ${y.length.toLocaleString("en-US")} ${few === 1 ? "makes" : "make"} ${(100 * share).toFixed(0)} % of the variance of ${quote(target)}, so that the result hangs on few of the held-out ones; where they are right, predict its logarithm or its rank, as a column of its own in the file`,
  ];
}
