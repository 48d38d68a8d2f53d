/** Where a stream is: its position, what has been made of it so far, and where its output ends, in one file that is whole or absent. */
import { lstatSync, statSync } from "node:fs";
import { basename, dirname } from "node:path";
import { quote } from "@evenkeel/report/format";
import { FailureError, UsageError } from "../../errors.js";
import type { SavedOnline } from "../../online/online.js";
import { sealed, unsealed } from "../store.js";
import { version } from "../version.js";
import { readOwn, removePartial, systemReason, writeWhole } from "../whole-file.js";
import type { Layout, Troubles } from "./records.js";
import type { SinkPosition } from "./sinks.js";
import type { SourcePosition } from "./sources.js";

/** Far above what any state has, in bytes. */
const MOST_BYTES = 2 ** 30;

/** What the command line said that decides a number, or where it comes from or goes: by option. */
export type StateSettings = Record<string, string | number | boolean | null>;

export interface State {
  /** What the stream is known by, where it was written to before. */
  run: string;
  /** Undefined before the first record. */
  went?: {
    layout: Layout;
    position: SourcePosition;
    output: SinkPosition | null;
    troubles: Troubles;
    online: SavedOnline;
    seconds: number;
  };
}

interface Kept extends Omit<State, "went"> {
  evenkeel: string;
  settings: StateSettings;
  went?: Omit<NonNullable<State["went"]>, "online"> & { online: object; weights: string };
}

/**
 * The state in a file; undefined where there is none.
 * @throws UsageError for what is no state, or one of other settings
 */
export function readState(path: string, settings: StateSettings): State | undefined {
  if (path.trim() === "") throw new UsageError('--state: expected the name of a file, got ""');
  const shown = quote(path, 200);
  if (lstatSync(path, { throwIfNoEntry: false }) === undefined) return undefined;
  let text: string | undefined;
  try {
    text = readOwn(path, MOST_BYTES);
  } catch (error) {
    throw new FailureError(
      `--state: cannot read ${shown} (${systemReason(error)}); allow it, or name another file`,
    );
  }
  const kept = text === undefined ? undefined : unsealed<Kept>(text);
  if (kept?.settings === undefined) {
    throw new UsageError(
      `--state: ${shown} is not as a stream wrote it; name another file, or move it away to begin anew`,
    );
  }
  if (kept.evenkeel !== version) {
    throw new UsageError(
      `--state: ${shown} is of Evenkeel ${quote(String(kept.evenkeel))}, and this is ${version}, whose numbers may be others; go on with that one, or begin anew with another file`,
    );
  }
  for (const name of new Set([...Object.keys(kept.settings), ...Object.keys(settings)])) {
    const [before, now] = [kept.settings[name] ?? null, settings[name] ?? null];
    if (before === now) continue;
    const told = (value: typeof now) => (value === null ? "nothing" : quote(String(value), 100));
    throw new UsageError(
      `--state: the stream of ${shown} has ${told(before)} as --${name}, got ${told(now)}; take the options that it began with, or begin anew with another file`,
    );
  }
  const { run, went } = kept;
  if (went === undefined) return { run };
  const { online, weights, ...others } = went;
  return {
    run,
    went: { ...others, online: { json: online, weights: new Uint8Array(Buffer.from(weights, "base64")) } },
  };
}

/** Writes states into one file. @throws FailureError where it cannot be written, or another stream has written it since */
export function stateWriter(path: string, settings: StateSettings): (state: State) => void {
  let mine: string | undefined;
  let isFirst = true;
  // a number of a file that is gone is given to another one soon
  const writtenLast = () => {
    const about = statSync(path, { throwIfNoEntry: false, bigint: true });
    return about && `${about.ino} ${about.mtimeNs}`;
  };
  return ({ run, went }) => {
    const there = writtenLast();
    if (mine !== undefined && there !== undefined && there !== mine) {
      throw new FailureError(
        `--state: another stream has written ${quote(path, 200)} since this one did; let each have a file of its own`,
      );
    }
    const kept: Kept = {
      evenkeel: version,
      run,
      settings,
      ...(went && {
        went: {
          ...went,
          online: went.online.json,
          weights: Buffer.from(went.online.weights).toString("base64"),
        },
      }),
    };
    writeWhole(path, `${JSON.stringify(sealed(kept))}\n`, "--state");
    // what runs before this one left of theirs when they were killed
    if (isFirst) removePartial(dirname(path), new RegExp(`^${basename(path).replaceAll(/\W/g, "\\$&")}$`));
    isFirst = false;
    mine = writtenLast();
  };
}
