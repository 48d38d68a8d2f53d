/**
 * A folder of trained networks, one of each normalization: model.json and weights.bin as TensorFlow.js has them, and
 * evenkeel.json with all that goes before and after. Nothing that is there already is overwritten.
 */
import { createHash } from "node:crypto";
import { lstatSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { listed, quote } from "@evenkeel/report/format";
import type * as tf from "@tensorflow/tfjs-core";
import type { Dataset } from "../datasets/dataset.js";
import { FailureError, UsageError } from "../errors.js";
import { bestOnValidation, KEPT_FORMAT, type Kept, keptOf } from "../predictions/prediction.js";
import type { SavedNetwork, Trial } from "../results.js";
import { metricNamed } from "../tasks/registry.js";
import { writeModel } from "./model-file.js";
import { makeFolder, sealed, tryFolder, unsealed } from "./store.js";
import { version } from "./version.js";
import { readOwn, removePartial, systemReason, writeWhole } from "./whole-file.js";

const KEPT = "evenkeel.json";
const MODEL = ["model.json", "weights.bin"] as const;
const OWN = /^(?:evenkeel\.json|model\.json|weights\.bin)$/;
/** Bytes, far above what any reading has. */
const MOST_BYTES = 2 ** 28;
/** Folders that are looked into. */
const MOST_FOLDERS = 1000;

/** As it is written. */
interface Written {
  kept: Kept;
  /** SHA-256 of the files of the network, in hex, by their names. */
  files: Record<string, string>;
}

/** A network that was kept. */
export interface KeptNetwork {
  folder: string;
  kept: Kept;
}

/**
 * Whether networks can be kept in a folder; makes nothing.
 * @throws UsageError where it holds anything, FailureError where it cannot be written
 */
export function checkSave(folder: string): void {
  if (folder.trim() === "") throw new UsageError('--save: expected the name of a folder, got ""');
  const shown = quote(folder, 200);
  try {
    const about = lstatSync(folder, { throwIfNoEntry: false });
    if (about !== undefined && !about.isDirectory()) {
      throw new UsageError(`--save: ${shown} is there and no folder; name another one`);
    }
    const [found] = about === undefined ? [] : readdirSync(folder);
    if (found !== undefined) {
      throw new UsageError(
        `--save: the folder ${shown} is not empty (it holds ${quote(found)}), and nothing in it is overwritten; name another folder`,
      );
    }
    let there = resolve(folder);
    while (lstatSync(there, { throwIfNoEntry: false }) === undefined) there = dirname(there);
    tryFolder(there);
  } catch (error) {
    throw notKept(folder, error);
  }
}

const notKept = (folder: string, error: unknown) =>
  error instanceof UsageError || error instanceof FailureError
    ? error
    : new FailureError(
        `--save: cannot write into the folder ${quote(folder, 200)} (${systemReason(error)}); name another one, or free space or allow it`,
      );

/**
 * Keeps the best network of each normalization, by the metric on its validation part, and returns them in the order of
 * the trials. Of those that all diverged none is kept.
 * @throws UsageError where something else is in the way, FailureError where they cannot be written
 */
export function saveNetworks(
  folder: string,
  trials: readonly Trial[],
  data: Dataset,
  digest: string,
): KeptNetwork[] {
  const metric = metricNamed(data.task, data.metric);
  const norms = [...new Set(trials.map(({ norm }) => norm))];
  return norms.flatMap((norm) => {
    const able = trials.flatMap(({ network, ...trial }) =>
      network === undefined || trial.outcome === "diverged" || trial.norm !== norm
        ? []
        : { ...trial, network },
    );
    const best = bestOnValidation(able, metric, ({ scores }) => scores);
    if (best === undefined) return [];
    const kept = keptOf(best, best.network, data, { digest, version });
    return saveNetwork(join(folder, norm), best.network, kept);
  });
}

function saveNetwork(
  folder: string,
  { topology, weightSpecs, weights }: SavedNetwork,
  kept: Kept,
): KeptNetwork {
  try {
    makeFolder(folder, []);
    checkOwn(folder, kept);
    removePartial(folder, OWN);
    rmSync(join(folder, KEPT), { force: true });
  } catch (error) {
    throw notKept(folder, error);
  }
  const artifacts = {
    modelTopology: topology,
    weightSpecs: weightSpecs as tf.io.WeightsManifestEntry[],
    weightData: new Uint8Array(Buffer.from(weights, "base64")).buffer,
  };
  writeModel(folder, artifacts, "--save");
  const files = Object.fromEntries(MODEL.map((name) => [name, hashOf(join(folder, name))]));
  writeWhole(join(folder, KEPT), `${JSON.stringify(sealed<Written>({ kept, files }))}\n`, "--save");
  return { folder, kept };
}

/** Throws UsageError where a folder holds anything but what was begun to be kept of the same. */
function checkOwn(folder: string, kept: Kept): void {
  const refuse = (found: string) => {
    throw new UsageError(
      `--save: the folder ${quote(folder, 200)} is not empty (it holds ${quote(found)}), and nothing in it is overwritten; move it away`,
    );
  };
  for (const name of readdirSync(folder)) if (!OWN.test(name) && !name.endsWith(".part")) refuse(name);
  const there = read(join(folder, KEPT));
  if (there !== undefined && there?.kept.data.digest !== kept.data.digest) refuse(KEPT);
}

/** What was written; null where it is anything else, undefined where there is none. */
function read(path: string): Written | null | undefined {
  const text = readOwn(path, MOST_BYTES);
  if (text === undefined) return undefined;
  const written = unsealed<Written>(text);
  return written?.kept === undefined ? null : written;
}

const hashOf = (path: string): string => createHash("sha256").update(readFileSync(path)).digest("hex");

/**
 * The networks in a folder that `--save` named, or the one in a folder of these; without their weights.
 * @throws UsageError where there is none, FailureError for one that is not as it was written
 */
export function networksIn(folder: string): KeptNetwork[] {
  const shown = quote(folder, 200);
  let folders: string[];
  try {
    const within = readdirSync(folder, { withFileTypes: true }).slice(0, MOST_FOLDERS);
    const inner = within.filter((each) => each.isDirectory()).map(({ name }) => join(folder, name));
    folders = [folder, ...inner.sort()];
  } catch (error) {
    throw new UsageError(
      `predict: cannot read the folder ${shown} (${systemReason(error)}); name one that evenkeel compare --save wrote`,
    );
  }
  const found = folders.flatMap((each): KeptNetwork[] => {
    let written: Written | null | undefined;
    try {
      written = read(join(each, KEPT));
    } catch (error) {
      throw new FailureError(
        `predict: cannot read ${quote(join(each, KEPT), 200)} (${systemReason(error)}); allow it, or use a copy`,
      );
    }
    if (written === undefined) return [];
    if (written === null) {
      throw new FailureError(
        `predict: ${KEPT} in ${quote(each, 200)} is not as it was written; copy the folder again, or train anew with evenkeel compare --save`,
      );
    }
    return [{ folder: each, kept: written.kept }];
  });
  if (found.length > 0) return found;
  throw new UsageError(
    `predict: there is no network in ${shown}, expected ${KEPT} there or in its folders; name a folder that evenkeel compare --save wrote`,
  );
}

/** @throws FailureError where the files of a network are not those that were written, or of another form */
export function checkFiles({ folder, kept }: KeptNetwork): void {
  const shown = quote(folder, 200);
  if (kept.format !== KEPT_FORMAT) {
    throw new FailureError(
      `predict: the network in ${shown} was kept by Evenkeel ${quote(kept.evenkeel, 40)} in another form than that of ${version}; use that version, or train anew`,
    );
  }
  const files = read(join(folder, KEPT))?.files ?? {};
  const damaged = MODEL.filter((name) => {
    try {
      return hashOf(join(folder, name)) !== files[name];
    } catch {
      return true;
    }
  });
  if (damaged.length === 0) return;
  throw new FailureError(
    `predict: ${listed(damaged)} in ${shown} ${damaged.length > 1 ? "are" : "is"} not as written, or missing; copy the folder again, or train anew with evenkeel compare --save`,
  );
}
