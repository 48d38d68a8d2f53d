/** What is written of each record. */
import type { Drift } from "../../online/history.js";
import type { Pushed } from "../../online/online.js";
import type { Batch } from "./records.js";

/** A batch and what came of it. */
export interface Predicted {
  /** Number of its first record, from 1. */
  first: number;
  batch: Batch;
  pushed: Pushed;
  columns: readonly string[];
  /** Of what is predicted, where it is one of them. */
  classes: readonly string[] | undefined;
}

export type TextFormat = "ndjson" | "csv";

const numberText = (value: number): string => (Number.isFinite(value) ? String(value) : "");
const jsonNumber = (value: number): string => (Number.isFinite(value) ? String(value) : "null");

const jsonDrift = ({ name, of, since, before, after, chance }: Drift): string =>
  JSON.stringify({ column: name, of, since: since + 1, before, after, chance });

/** Of each record, the drifts that were found at it. */
function driftsBy({ pushed }: Predicted): Map<number, Drift[]> {
  const by = new Map<number, Drift[]>();
  for (const drift of pushed.drifts) {
    const at = drift.found - pushed.first;
    by.set(at, [...(by.get(at) ?? []), drift]);
  }
  return by;
}

/** What a number, or the index of a class, is written as. */
function predictionText({ pushed, classes }: Predicted, at: number): string {
  const value = pushed.predictions[at];
  if (classes === undefined || !(value >= 0)) return numberText(value);
  return classes[value];
}

/** Lines of JSON, one for each record. */
export function ndjsonOf(predicted: Predicted): string {
  const { first, batch, pushed, columns, classes } = predicted;
  const { records, times, ids } = batch;
  const { standardized, predictions, chances } = pushed;
  const keys = columns.map((name, index) => `${index > 0 ? "," : ""}${JSON.stringify(name)}:`);
  const chanceKeys = classes?.map((name, index) => `${index > 0 ? "," : ""}${JSON.stringify(name)}:`);
  const drifts = driftsBy(predicted);
  const width = columns.length;
  let text = "";
  for (let i = 0; i < records; i++) {
    text += `{"record":${first + i}`;
    if (ids.length > 0) text += `,"id":${JSON.stringify(ids[i])}`;
    if (times.length > 0) text += `,"time":${JSON.stringify(times[i])}`;
    if (predictions.length > 0) {
      const prediction = predictionText(predicted, i);
      text += `,"prediction":${prediction === "" ? "null" : classes === undefined ? prediction : JSON.stringify(prediction)}`;
      if (chanceKeys !== undefined) {
        text += ',"chances":{';
        for (const [k, key] of chanceKeys.entries())
          text += key + jsonNumber(chances[i * chanceKeys.length + k]);
        text += "}";
      }
    }
    text += ',"standardized":{';
    for (let j = 0, at = i * width; j < width; j++, at++) text += keys[j] + jsonNumber(standardized[at]);
    text += "}";
    const found = drifts.get(i);
    if (found !== undefined) text += `,"drift":[${found.map(jsonDrift).join(",")}]`;
    text += "}\n";
  }
  return text;
}

/** Names of all values of a record where these have no structure: in CSV, and in an entry of Redis. */
function flatNames({ batch, pushed, columns, classes }: Predicted): string[] {
  const before = [
    "record",
    ...(batch.ids.length > 0 ? ["id"] : []),
    ...(batch.times.length > 0 ? ["time"] : []),
    ...(pushed.predictions.length > 0
      ? ["prediction", ...(classes ?? []).map((name) => `prediction=${name}`)]
      : []),
  ];
  const own = new Set([...before, "drift"]);
  const free = new Set(columns.filter((name) => !own.has(name)));
  const named = columns.map((name) => {
    if (!own.has(name)) return name;
    let other = `standardized ${name}`;
    while (free.has(other)) other = `standardized ${other}`;
    return other;
  });
  return [...before, ...named, "drift"];
}

const driftText = ({ name, of }: Drift): string => `${name}: ${of}`;

/** Values of a record before its standardized ones, as `flatNames` has them. */
function leading(predicted: Predicted, i: number): string[] {
  const { first, batch, pushed, classes } = predicted;
  const values = [String(first + i)];
  if (batch.ids.length > 0) values.push(batch.ids[i]);
  if (batch.times.length > 0) values.push(batch.times[i]);
  if (pushed.predictions.length > 0) {
    values.push(predictionText(predicted, i));
    const width = classes?.length ?? 0;
    for (let k = 0; k < width; k++) values.push(numberText(pushed.chances[i * width + k]));
  }
  return values;
}

const field = (text: string): string => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

export const csvHeader = (predicted: Predicted): string => `${flatNames(predicted).map(field).join(",")}\n`;

/** Lines of CSV, one for each record. */
export function csvOf(predicted: Predicted): string {
  const drifts = driftsBy(predicted);
  const { standardized } = predicted.pushed;
  const width = predicted.columns.length;
  let text = "";
  for (let i = 0; i < predicted.batch.records; i++) {
    text += leading(predicted, i).map(field).join(",");
    for (let at = i * width; at < (i + 1) * width; at++) text += `,${numberText(standardized[at])}`;
    text += `,${field(drifts.get(i)?.map(driftText).join("; ") ?? "")}\n`;
  }
  return text;
}

/** Fields and values of an entry for each record; what is missing is left out. */
export function entriesOf(predicted: Predicted): string[][] {
  const names = flatNames(predicted);
  const drifts = driftsBy(predicted);
  const { standardized } = predicted.pushed;
  const width = predicted.columns.length;
  return Array.from({ length: predicted.batch.records }, (_, i) => {
    const numbers = Array.from(standardized.subarray(i * width, (i + 1) * width), numberText);
    const values = [...leading(predicted, i), ...numbers, drifts.get(i)?.map(driftText).join("; ") ?? ""];
    return values.flatMap((value, at) => (value === "" ? [] : [names[at], value]));
  });
}
