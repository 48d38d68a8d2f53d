/** `evenkeel predict`: what a network that was kept says of a file. */
import { lstatSync, realpathSync } from "node:fs";
import { printable, quote, wrap } from "@evenkeel/report/format";
import type { LayersModel } from "@tensorflow/tfjs-layers";
import { quoted } from "../data/names.js";
import type { ReadOptions, Value } from "../data/table.js";
import { UsageError } from "../errors.js";
import { bestOnValidation, type PredictionOptions, type Predictions } from "../predictions/prediction.js";
import { predict as predictFrom } from "../predictions/registry.js";
import { metricNamed } from "../tasks/registry.js";
import { colorsOf } from "./colors.js";
import { givenData } from "./datasets.js";
import { usualCells } from "./memory.js";
import { readWritten } from "./model-file.js";
import { decisionText } from "./output.js";
import { withLayersOf } from "./own-layers.js";
import { checkFiles, type KeptNetwork, networksIn } from "./save.js";
import { columnsOf } from "./streams.js";
import { writeWhole } from "./whole-file.js";

export interface PredictOptions extends Omit<PredictionOptions, "read"> {
  /** Which of several networks; by default the best on its validation part. */
  norm?: string;
  /** A module that registers classes of the user's own layers. */
  layers?: string;
  /** A file instead of standard output. */
  out?: string;
  /** JSON instead of CSV. */
  json: boolean;
  /** How the file is to be read, where that differs from the training's. */
  read?: ReadOptions;
}

/** Decisions that are told. */
const MOST_LINES = 20;

/**
 * Writes the predictions for data (a name, or the path of a file), and returns the exit code.
 * @throws UsageError and FailureError as `networksIn`, `checkFiles` and what reads and predicts the data do
 */
export async function predict(folder: string, data: string, options: PredictOptions): Promise<number> {
  const { norm, out, json, layers, read = {}, ...asked } = options;
  const networks = networksIn(folder);
  const network = chosen(networks, norm, folder);
  checkOut(out, data, network.folder);
  checkFiles(network);
  const { kept } = network;
  const model = await modelIn(network, layers);
  const limits = { cells: usualCells, ...read.limits };
  const predictions = await predictFrom(model, kept, givenData(data), {
    ...asked,
    read: { ...read, limits },
  });
  tell(network, networks, predictions);
  const text = json ? `${JSON.stringify(jsonOf(predictions), null, 1)}\n` : csvOf(predictions);
  if (out === undefined) process.stdout.write(text);
  else writeWhole(out, text, "--out");
  return 0;
}

/** A network of the user's own may have layers of the user's own. */
const modelIn = ({ folder }: KeptNetwork, layers: string | undefined): Promise<LayersModel> =>
  withLayersOf(
    layers,
    () => readWritten(folder),
    (message) => {
      // as TensorFlow.js has it
      const [, unknown] = /Unknown layer: (\S+?)\./.exec(message) ?? [];
      return unknown && `predict: the network in ${quote(folder, 200)}: its class ${unknown} is not known`;
    },
  );

function chosen(networks: readonly KeptNetwork[], norm: string | undefined, folder: string): KeptNetwork {
  const [{ kept }] = networks;
  const found =
    norm === undefined
      ? bestOnValidation(networks, metricNamed(kept.task, kept.metric), ({ kept: { scores } }) => scores)
      : networks.find((network) => network.kept.norm === norm);
  if (found !== undefined) return found;
  const names = networks.map((network) => network.kept.norm);
  throw new UsageError(
    `--norm: expected ${names.length > 1 ? "one of " : ""}${quoted(names)}, of which there are networks in ${quote(folder, 200)}, got ${quote(norm ?? "")}`,
  );
}

/** Nothing that is read is written, nor what is no file. */
function checkOut(out: string | undefined, file: string, folder: string): void {
  if (out === undefined) return;
  if (out.trim() === "") throw new UsageError('--out: expected the name of a file, got ""');
  if (lstatSync(out, { throwIfNoEntry: false })?.isDirectory()) {
    throw new UsageError(`--out: ${quote(out, 200)} is a folder; name a file`);
  }
  const read = [file, ...["evenkeel.json", "model.json", "weights.bin"].map((name) => `${folder}/${name}`)];
  if (read.some((path) => real(path) === real(out) && real(out) !== undefined)) {
    throw new UsageError(`--out: ${quote(out, 200)} is read from; name another file`);
  }
}

function real(path: string): string | undefined {
  try {
    return realpathSync(path);
  } catch {
    return undefined;
  }
}

function tell(
  { kept }: KeptNetwork,
  networks: readonly KeptNetwork[],
  { about, decisions, notes }: Predictions,
) {
  const width = columnsOf(process.stderr);
  const colors = colorsOf(process.stderr);
  const metric = metricNamed(kept.task, kept.metric);
  const title = "evenkeel predict";
  const score = metric.format(kept.scores.heldOut[kept.metric] ?? null).trim();
  const others = networks
    .filter(({ kept: { norm } }) => norm !== kept.norm)
    .map(({ kept: { norm } }) => norm);
  const lines = [
    `${title}  ${about}`,
    `network: ${kept.norm}, ${metric.name} ${score} on its held-out part${others.length > 0 ? `; --norm has others: ${others.join(", ")}` : ""}`,
    // what decides otherwise decided it in training
    ...decisions.slice(0, MOST_LINES).map(({ option: _, ...decision }) => `- ${decisionText(decision)}`),
    ...(decisions.length > MOST_LINES ? [`- and ${decisions.length - MOST_LINES} more decisions`] : []),
    ...notes.map((note) => `! ${note}`),
  ];
  const text = lines.map((line) => wrap(printable(line), width, "  ")).join("\n");
  process.stderr.write(`${text.replace(title, colors.bold)}\n`);
}

/** Digits that a float32 has, and one more. */
const DIGITS = 9;

const jsonOf = ({ columns, rows }: Predictions) =>
  rows.map((row) => Object.fromEntries(columns.map((name, at) => [name, shortened(row[at])])));

const shortened = (value: Value): Value =>
  typeof value === "number" ? Number(value.toPrecision(DIGITS)) : value;

/** As RFC 4180 has it, but with line feeds alone. */
const csvOf = ({ columns, rows }: Predictions): string =>
  [columns, ...rows]
    .map((row) => row.map((value) => field(shortened(value))).join(","))
    .map((line) => `${line}\n`)
    .join("");

function field(value: Value): string {
  const text = value === null ? "" : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
