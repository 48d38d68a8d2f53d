/** Files that are whole or absent, whenever the process ends: written under a temporary name, then renamed. */
import { randomBytes } from "node:crypto";
import {
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  fsyncSync,
  lstatSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { quote } from "@evenkeel/report/format";
import { FailureError, reason } from "../errors.js";

/**
 * Writes a file so that it cannot be lost any more once this returns, in the place of what had its name. All at once,
 * so that no signal comes between. The temporary name cannot be known before, and is never one that is there: in a
 * folder that others write too, no link of theirs is followed.
 * @throws what the system says
 */
export function writeFile(path: string, content: string | Uint8Array): void {
  const partial = partialOf(path);
  const file = openSync(partial, "wx", 0o600);
  try {
    try {
      writeAll(file, typeof content === "string" ? Buffer.from(content) : content);
      settle(file);
    } finally {
      closeSync(file);
    }
    renameSync(partial, path);
  } catch (error) {
    rmSync(partial, { force: true });
    throw error;
  }
  syncFolder(dirname(path));
}

const partialOf = (path: string): string =>
  join(dirname(path), `.${basename(path)}.${randomBytes(9).toString("base64url")}.part`);

function writeAll(file: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at);
}

function settle(file: number): void {
  // as any other file of the user's
  fchmodSync(file, 0o666 & ~process.umask());
  fsyncSync(file);
}

/** Files that are written and have not got their names yet. */
export interface Pending {
  /** Gives them their names, one after the other in their order, in the place of what had these. */
  name(): void;
  /** Removes those that have none. */
  discard(): void;
}

/**
 * Writes files too large for one piece, each as its pieces come. Until all are whole none has its name.
 * @throws what the system says, what a piece fails with, and the reason of `signal`; nothing is left then
 */
export async function writeFiles(
  files: readonly { path: string; parts: AsyncIterable<Uint8Array> }[],
  signal?: AbortSignal,
): Promise<Pending> {
  const partials: { partial: string; path: string }[] = [];
  const discard = () => {
    for (const { partial } of partials) rmSync(partial, { force: true });
  };
  try {
    for (const { path, parts } of files) {
      const partial = partialOf(path);
      const file = openSync(partial, "wx", 0o600);
      partials.push({ partial, path });
      try {
        for await (const bytes of parts) {
          signal?.throwIfAborted();
          writeAll(file, bytes);
        }
        settle(file);
      } finally {
        closeSync(file);
      }
    }
  } catch (error) {
    discard();
    throw error;
  }
  return {
    name() {
      try {
        for (const { partial, path } of partials) renameSync(partial, path);
      } finally {
        discard();
      }
      for (const { path } of partials) syncFolder(dirname(path));
    },
    discard,
  };
}

const PARTIAL = /^\.(.+)\.[\w-]{12}\.part$/;

/** Removes what is left of files of these names from before this process: whoever wrote them was killed. */
export function removePartial(folder: string, names: RegExp): void {
  for (const name of readdirSync(folder)) {
    const whole = PARTIAL.exec(name)?.[1];
    if (whole === undefined || !names.test(whole)) continue;
    const about = lstatSync(join(folder, name), { throwIfNoEntry: false });
    if (about?.isFile() && about.mtimeMs < performance.timeOrigin)
      rmSync(join(folder, name), { force: true });
  }
}

/** The name itself is to last too; where a system has no such thing, it lasts anyway. */
function syncFolder(folder: string): void {
  try {
    const file = openSync(folder, "r");
    try {
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
  } catch {}
}

/** What the system says, without the path, which may be of any length and name. */
export function systemReason(error: unknown): string {
  const { syscall } = error as NodeJS.ErrnoException;
  return syscall === undefined ? reason(error) : reason(error).split(`, ${syscall}`)[0];
}

/** As `writeFile`. @throws FailureError, in which `what` names the file's part in the command, where it cannot be written */
export function writeWhole(path: string, content: string | Uint8Array, what: string): void {
  try {
    writeFile(path, content);
  } catch (error) {
    throw new FailureError(
      `${what}: cannot write ${quote(path, 200)} (${systemReason(error)}); free space, allow it, or name another file`,
    );
  }
}

/**
 * The text of a file of ours; undefined where it is not there, or is a link, a device or larger than `most` bytes.
 * @throws what the system says where it may not be read
 */
export function readOwn(path: string, most: number): string | undefined {
  let file: number;
  try {
    const { O_RDONLY, O_NOFOLLOW = 0, O_NONBLOCK = 0 } = constants;
    file = openSync(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  } catch (error) {
    if (["EACCES", "EPERM"].includes((error as NodeJS.ErrnoException).code ?? "")) throw error;
    return undefined;
  }
  try {
    const about = fstatSync(file);
    return about.isFile() && about.size <= most ? readFileSync(file, "utf8") : undefined;
  } finally {
    closeSync(file);
  }
}
