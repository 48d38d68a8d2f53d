/**
 * The folder of a comparison: its plan, each finished trial under the key of its spec, and what is made of them. Nothing
 * that is there already is overwritten but by the comparison that it belongs to.
 */
import { createHash, randomBytes } from "node:crypto";
import {
  closeSync,
  existsSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  rmdirSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { dirname, join, resolve } from "node:path";
import { quote, typed } from "@evenkeel/report/format";
import type { Settings } from "../comparison.js";
import type { DatasetOptions } from "../datasets/dataset.js";
import { FailureError, UsageError } from "../errors.js";
import type { Trial } from "../results.js";
import type { Store } from "../trials.js";
import { readOwn, removePartial, systemReason, writeFile } from "./whole-file.js";

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
  /** Where the best network of each normalization is kept: an absolute path. */
  save?: string;
  /** Reproduces it. */
  command: string;
}

const PLAN = "plan.json";
const TRIALS = "trials";
const RESULTS = ["report.html", "comparison.json"];
/** Any file that is written here. */
const OWN = new RegExp(`^(?:${[PLAN, ...RESULTS].join("|")}|[0-9a-f]{64}\\.json)$`);
/** Used where no folder is named; those after it have a number. */
const USUAL = "evenkeel-report";
/** Folders that are looked at for the one that was meant, and named. */
const MOST_LOOKED_AT = 1000;
const MOST_NAMED = 3;
/** Bytes, far above what any plan or trial has. */
const MOST_BYTES = 2 ** 28;

/** The folder of a comparison that has begun. */
export interface Place {
  path: string;
  /** What was made for it, outermost first. */
  made: string[];
}

/**
 * Where a comparison can go: `out`, or the next free folder of the usual name. Makes nothing, so that nothing is left of
 * a comparison that ends while its data are read.
 * @throws UsageError where `out` holds one, FailureError where it cannot be written
 */
export function checkPlace(out: string | undefined): void {
  const path = out ?? freeFolder();
  if (path.trim() === "") throw new UsageError('--out: expected the name of a folder, got ""');
  checkFree(path);
  try {
    let there = resolve(path);
    while (lstatSync(there, { throwIfNoEntry: false }) === undefined) there = dirname(there);
    tryFolder(there);
  } catch (error) {
    throw notWritten(path, error);
  }
}

/** Whether a comparison has begun in a folder. */
export const holdsPlan = (folder: string): boolean => existsSync(join(folder, PLAN));

/** Makes the folder, and writes the plan into it. Of two comparisons that begin in one folder, the second is refused; without a name it takes the next. */
export function claimPlace(out: string | undefined, plan: Plan): Place {
  const place: Place = { path: out ?? freeFolder(), made: [] };
  const trials = join(place.path, TRIALS);
  try {
    makeFolder(place.path, place.made);
    mkdirSync(trials);
    place.made.push(trials);
    writeFile(join(place.path, PLAN), `${JSON.stringify(sealed(plan), null, 1)}\n`);
    return place;
  } catch (error) {
    leavePlace(place);
    if (out === undefined && isThere(error)) return claimPlace(out, plan);
    checkFree(place.path);
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
  const text = read(path);
  const shown = quote(folder, 200);
  if (text === undefined) {
    const near = comparisonsNear(folder).map((each) => quote(each, 200));
    throw new UsageError(
      `--resume: there is no comparison in ${shown}, expected its ${PLAN}; ${near.length > 0 ? `did you mean ${near.join(" or ")}?` : "name the folder that a comparison wrote to"}`,
    );
  }
  const plan = unsealed<Plan>(text);
  if (plan === undefined) {
    throw new UsageError(
      `--resume: ${PLAN} in ${shown} is not as a comparison wrote it; begin the comparison anew, with its options and another --out`,
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
    throw new FailureError(
      `--resume: cannot write into the folder ${shown} (${systemReason(error)}); free space or allow it, or go on with a copy of the folder`,
    );
  }
  return plan;
}

/** Of a plan or trial; undefined where there is none. */
function read(path: string): string | undefined {
  try {
    return readOwn(path, MOST_BYTES);
  } catch (error) {
    throw new FailureError(
      `--resume: cannot read ${quote(path, 300)} (${systemReason(error)}); allow it, or go on with a copy of the folder`,
    );
  }
}

/** Trials in a folder, what is made of them, and how long the comparison has taken in all its runs. */
export interface FolderStore extends Store {
  seconds(): number;
  /** Writes the results, and returns their paths. @throws FailureError where they cannot be written */
  write(results: { report: string; json: string }): { report: string; json: string };
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
  const trials = join(folder, TRIALS);
  let before = 0;
  const fileOf = (key: string) => join(trials, `${key}.json`);
  const seconds = () => before + (performance.now() - began) / 1000;
  const write = (path: string, content: string, what: string) => {
    try {
      writeFile(path, content);
    } catch (error) {
      throw new FailureError(
        `cannot write ${what} into ${quote(folder, 200)} (${systemReason(error)}); the trials that are there are kept: free space or allow it, then go on with --resume ${typed(folder)}`,
      );
    }
  };
  return {
    seconds,
    async get(key) {
      const text = read(fileOf(key));
      const kept = text === undefined ? undefined : unsealed<Kept>(text);
      if (kept?.key !== key) return undefined;
      before = Math.max(before, kept.seconds);
      return kept.trial;
    },
    async put(key, trial) {
      const kept = sealed<Kept>({ key, seconds: seconds(), trial });
      write(fileOf(key), `${JSON.stringify(kept)}\n`, "a finished trial");
    },
    write(results) {
      const [report, json] = RESULTS.map((name) => join(folder, name));
      write(report, results.report, "the results");
      write(json, results.json, "the results");
      for (const each of [folder, trials]) removePartial(each, OWN);
      return { report, json };
    },
  };
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

/** Folders with a comparison: the one above that was named, or else those in it, or beside it. */
function comparisonsNear(folder: string): string[] {
  const within = (parent: string): string[] => {
    try {
      return readdirSync(parent).map((name) => join(parent, name));
    } catch {
      return [];
    }
  };
  const above = dirname(folder);
  for (const near of [[above], within(folder), within(above)]) {
    const found = near.slice(0, MOST_LOOKED_AT).filter((each) => existsSync(join(each, PLAN)));
    if (found.length > 0) return found.slice(0, MOST_NAMED);
  }
  return [];
}

const isThere = (error: unknown) => error instanceof Error && "code" in error && error.code === "EEXIST";

/** Makes a folder and those above it, one by one: by itself Node tries for minutes where a system makes none. */
export function makeFolder(path: string, made: string[]): void {
  const missing: string[] = [];
  for (let at = resolve(path); statSync(at, { throwIfNoEntry: false }) === undefined; at = dirname(at)) {
    missing.push(at);
  }
  for (const folder of missing.toReversed()) {
    try {
      mkdirSync(folder);
      made.push(folder);
    } catch (error) {
      // another comparison was quicker
      if (!isThere(error) || !statSync(folder, { throwIfNoEntry: false })?.isDirectory()) throw error;
    }
  }
}

/** A full disk, or no permission, is known before anything is trained. The attempt has no name already while it is written. */
export function tryFolder(path: string): void {
  const attempt = join(path, `.evenkeel.${randomBytes(9).toString("base64url")}.part`);
  const file = openSync(attempt, "wx", 0o600);
  try {
    rmSync(attempt);
    writeSync(file, "x".repeat(4096));
  } finally {
    closeSync(file);
  }
}

const notWritten = (folder: string, error: unknown) =>
  error instanceof UsageError
    ? error
    : new FailureError(
        `--out: cannot write into the folder ${quote(folder, 200)} (${systemReason(error)}); name another one, or free space or allow it`,
      );

/** Text that tells whether it is what was written. */
interface Sealed<T> {
  sha256: string;
  content: T;
}

const hashOf = (content: unknown) => createHash("sha256").update(JSON.stringify(content)).digest("hex");
export const sealed = <T>(content: T): Sealed<T> => ({ sha256: hashOf(content), content });

/** What was sealed; undefined where the text is anything else. */
export function unsealed<T>(text: string): T | undefined {
  try {
    const { sha256, content }: Sealed<T> = JSON.parse(text);
    return sha256 === hashOf(content) ? content : undefined;
  } catch {
    return undefined;
  }
}
