/**
 * The folder of a comparison: its plan, each finished trial under the key of its spec, and what is made of them. Nothing
 * that is there already is overwritten but by the comparison that it belongs to.
 */
import { createHash, randomBytes } from "node:crypto";
import { lstatSync, mkdirSync, rmdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { quote } from "@evenkeel/report/format";
import type { Settings } from "../comparison.js";
import type { DatasetOptions } from "../dataset.js";
import { FailureError, reason, UsageError } from "../errors.js";
import type { Trial } from "../results.js";
import type { Store } from "../trials.js";
import { typed } from "./invocation.js";
import { readOwn, writeFile } from "./whole-file.js";

/** All that decides the numbers of a comparison, and how it was asked for. */
export interface Plan {
  /** Version that began it. */
  evenkeel: string;
  /** A name of the lab's own data, or an absolute path. */
  data: string;
  provenance: string;
  options: DatasetOptions;
  /** SHA-256 of what the networks see, in hex. */
  digest: string;
  settings: Settings;
  /** Reproduces it. */
  command: string;
}

const PLAN = "plan.json";
const TRIALS = "trials";
const RESULTS = ["report.html", "comparison.json"];
/** Used where no folder is named; those after it have a number. */
const USUAL = "evenkeel-report";
/** Bytes, far above what any plan or trial has. */
const MOST_BYTES = 2 ** 28;

/** Where results go, before anything of them is there. */
export interface Place {
  path: string;
  /** What was made for it, outermost first. */
  made: string[];
}

/**
 * A folder that can be written, and holds no comparison yet: `out`, or the next free one of the usual name.
 * @throws UsageError where `out` holds one, FailureError where it cannot be written
 */
export function preparePlace(out: string | undefined): Place {
  const path = out ?? freeFolder();
  if (path.trim() === "") throw new UsageError('--out: expected the name of a folder, got ""');
  checkFree(path);
  const made: string[] = [];
  try {
    makeFolder(path, made);
    tryFolder(path);
  } catch (error) {
    leavePlace({ path, made });
    throw notWritten(path, error);
  }
  return { path, made };
}

/** Writes the plan into it. Of two comparisons that prepared one place, the second is refused. */
export function claimPlace(place: Place, plan: Plan): void {
  const trials = join(place.path, TRIALS);
  try {
    mkdirSync(trials);
  } catch (error) {
    checkFree(place.path);
    throw notWritten(place.path, error);
  }
  place.made.push(trials);
  try {
    writeFile(join(place.path, PLAN), `${JSON.stringify(sealed(plan), null, 1)}\n`);
  } catch (error) {
    throw notWritten(place.path, error);
  }
}

/** Leaves nothing of a comparison that has no trial: neither its plan nor the folders made for it. */
export function leavePlace({ path, made }: Place): void {
  try {
    for (const folder of made.toReversed()) {
      rmdirSync(folder);
      if (folder === join(path, TRIALS)) rmSync(join(path, PLAN), { force: true });
    }
  } catch {
    // something is in it
  }
}

/**
 * The plan of the comparison in a folder, whose trials can be gone on with.
 * @throws UsageError where there is none, or it is not as it was written
 */
export function readPlan(folder: string): Plan {
  const path = join(folder, PLAN);
  const text = readOwn(path, MOST_BYTES);
  const shown = quote(folder, 200);
  if (text === undefined) {
    throw new UsageError(
      `--resume: there is no comparison in ${shown}, expected its ${PLAN}; name the folder that a comparison wrote to`,
    );
  }
  const plan = unsealed<Plan>(text);
  if (plan === undefined) {
    throw new UsageError(
      `--resume: ${PLAN} in ${shown} is damaged, or was changed by hand; begin the comparison anew, with its options and another --out`,
    );
  }
  for (const name of [...RESULTS, TRIALS]) {
    const about = lstatSync(join(folder, name), { throwIfNoEntry: false });
    if (about === undefined || (name === TRIALS ? about.isDirectory() : !about.isDirectory())) continue;
    throw new UsageError(
      `--resume: ${quote(join(folder, name), 200)} is no ${name === TRIALS ? "folder" : "file"}, and one of this name is to be written; move it away`,
    );
  }
  try {
    makeFolder(join(folder, TRIALS), []);
    tryFolder(folder);
  } catch (error) {
    throw notWritten(folder, error);
  }
  return plan;
}

/** Trials in a folder, and how long the comparison has taken in all its runs. */
export interface FolderStore extends Store {
  seconds(): number;
}

interface Kept {
  key: string;
  /** That the comparison had taken until then. */
  seconds: number;
  trial: Trial;
}

/** A trial that is damaged counts as none. `put` throws FailureError where it cannot be written. */
export function openStore(folder: string): FolderStore {
  const began = performance.now();
  let before = 0;
  const fileOf = (key: string) => join(folder, TRIALS, `${key}.json`);
  const seconds = () => before + (performance.now() - began) / 1000;
  return {
    seconds,
    async get(key) {
      const text = readOwn(fileOf(key), MOST_BYTES);
      const kept = text === undefined ? undefined : unsealed<Kept>(text);
      if (kept?.key !== key) return undefined;
      before = Math.max(before, kept.seconds);
      return kept.trial;
    },
    async put(key, trial) {
      try {
        writeFile(fileOf(key), `${JSON.stringify(sealed<Kept>({ key, seconds: seconds(), trial }))}\n`);
      } catch (error) {
        throw new FailureError(
          `cannot write a finished trial into ${quote(folder, 200)} (${reason(error)}); free space or allow it, then go on with --resume`,
        );
      }
    },
  };
}

/** Writes what is made of the trials, and returns the paths. */
export function writeResults(
  folder: string,
  results: { report: string; json: string },
): { report: string; json: string } {
  const [report, json] = RESULTS.map((name) => join(folder, name));
  try {
    writeFile(report, results.report);
    writeFile(json, results.json);
  } catch (error) {
    throw new FailureError(
      `cannot write the results into ${quote(folder, 200)} (${reason(error)}); the trials are kept: free space or allow it, then go on with --resume`,
    );
  }
  return { report, json };
}

/** What of a comparison is in a folder already; links count, wherever they lead. */
const inTheWay = (folder: string): string | undefined =>
  [PLAN, TRIALS, ...RESULTS].find(
    (name) => lstatSync(join(folder, name), { throwIfNoEntry: false }) !== undefined,
  );

function checkFree(folder: string): void {
  let found: string | undefined;
  try {
    found = inTheWay(folder);
  } catch (error) {
    throw notWritten(folder, error);
  }
  if (found === undefined) return;
  const resume = found === PLAN ? `, or go on with what is there by --resume ${typed(folder)}` : "";
  throw new UsageError(
    `--out: the folder ${quote(folder, 200)} holds another comparison (its ${found}), which is not overwritten; name another folder${resume}`,
  );
}

function freeFolder(): string {
  for (let number = 1; ; number++) {
    const name = number === 1 ? USUAL : `${USUAL}-${number}`;
    const about = lstatSync(name, { throwIfNoEntry: false });
    if (about === undefined || (about.isDirectory() && inTheWay(name) === undefined)) return name;
  }
}

/** Makes a folder and those above it, one by one: by itself Node tries for minutes where a system makes none. */
function makeFolder(path: string, made: string[]): void {
  const missing: string[] = [];
  for (let at = resolve(path); statSync(at, { throwIfNoEntry: false }) === undefined; at = dirname(at)) {
    missing.push(at);
  }
  for (const folder of missing.toReversed()) {
    mkdirSync(folder);
    made.push(folder);
  }
}

/** A full disk, or no permission, is known before anything is trained. */
function tryFolder(path: string): void {
  const attempt = join(path, `.evenkeel.${randomBytes(9).toString("base64url")}.part`);
  try {
    writeFileSync(attempt, "x".repeat(4096), { flag: "wx", mode: 0o600 });
  } finally {
    rmSync(attempt, { force: true });
  }
}

const notWritten = (folder: string, error: unknown) =>
  error instanceof UsageError
    ? error
    : new FailureError(
        `--out: cannot write into the folder ${quote(folder, 200)} (${reason(error)}); name another one, or give this one write permission`,
      );

/** Text that tells whether it is what was written. */
interface Sealed<T> {
  sha256: string;
  content: T;
}

const hashOf = (content: unknown) => createHash("sha256").update(JSON.stringify(content)).digest("hex");
const sealed = <T>(content: T): Sealed<T> => ({ sha256: hashOf(content), content });

/** What was sealed; undefined where the text is anything else. */
function unsealed<T>(text: string): T | undefined {
  try {
    const { sha256, content }: Sealed<T> = JSON.parse(text);
    return sha256 === hashOf(content) ? content : undefined;
  } catch {
    return undefined;
  }
}
