/**
 * What a worker has fetched from the depot: files by digest, in a folder that nobody else writes. Each is compared with its digest
 * where it is read, and goes a month after the last use.
 */
import { randomBytes } from "node:crypto";
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
} from "node:fs";
import { open } from "node:fs/promises";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { quote } from "@evenkeel/report/format";
import { digestOf, type TrialData } from "../../datasets/dataset.js";
import { unpack } from "../../datasets/packed.js";
import { FailureError } from "../../errors.js";
import { digestOfModule } from "../module-files.js";
import { systemReason, writeFile } from "../whole-file.js";
import type { Depot } from "./depot.js";
import { unpackedModule, unpackModule } from "./modules.js";

/** This machine cannot keep what it fetches; another one may. */
export class CacheError extends FailureError {}

export interface Cache {
  /**
   * The path of packed data.
   * @throws FailureError where neither the cache nor the depot has them; CacheError where the folder cannot be used; what the
   * depot throws
   */
  dataFile(digest: string): Promise<string>;
  /** The path of a module; throws as `dataFile`. */
  moduleFile(digest: string): Promise<string>;
}

/** ms after the last use. */
const KEPT = 30 * 24 * 3600 * 1000;
/** ms after which what is not whole was left by somebody who is gone. */
const PARTIAL = 24 * 3600 * 1000;
/** Whatever is written here. */
const OWN = /^\.?[0-9a-f]{64}(?:\.[\w-]{12}(\.part))?$/;
/** Bytes that are read at a time. */
const PIECE = 2 ** 26;

/**
 * @param folder by default one of this user's among temporary files; made where it is not there
 * @throws FailureError for a folder that others may write, or that cannot be used
 */
export function openCache(folder: string | undefined, depot: Depot): Cache {
  const own = ownFolder(folder);
  const [data, modules] = ["data", "modules"].map((name) => {
    const place = join(own, name);
    inFolder(own, () => mkdirSync(place, { recursive: true, mode: 0o700 }));
    removeOld(place);
    return place;
  });
  async function fetched(what: string, digest: string): Promise<Uint8Array> {
    const bytes = await depot.get(digest);
    if (bytes !== undefined) return bytes;
    throw new FailureError(
      `the ${what} of this trial (${digest.slice(0, 12)}…) is not there any more, or is damaged; run the command that put the trial on the queue again, which puts it there anew`,
    );
  }

  const dataFile = sharing(async (digest) => {
    const file = join(data, digest);
    if (inFolder(own, () => statSync(file, { throwIfNoEntry: false })) === undefined) {
      const bytes = await fetched("data", digest);
      if ((await digestIn(bytes)) !== digest) throw unlike("data", digest);
      inFolder(own, () => writeFile(file, bytes));
      removeOld(data);
    }
    touch(file);
    return file;
  });

  const moduleFile = sharing(async (digest) => {
    const place = join(modules, digest);
    if (moduleIn(place, digest) === undefined) {
      const bytes = await fetched("module", digest);
      inFolder(own, () => placeModule(bytes, digest, place));
      removeOld(modules);
    }
    touch(place);
    return moduleIn(place, digest) as string;
  });

  return { dataFile, moduleFile };
}

/**
 * The data of this digest, from their file; what is something else is removed, so that it is fetched again.
 * @throws FailureError for something else, and what the system says
 */
export async function readData(path: string, digest: string): Promise<TrialData> {
  const bytes = await bytesIn(path);
  if ((await digestIn(bytes)) === digest) return unpack(bytes);
  rmSync(path, { force: true });
  throw new FailureError(
    `the data in the cache are damaged (${digest.slice(0, 12)}…); they are fetched again with the next trial that needs them`,
  );
}

async function bytesIn(path: string): Promise<Uint8Array> {
  const file = await open(path);
  try {
    const bytes = new Uint8Array((await file.stat()).size);
    // Node reads at most 2 GiB at once
    for (let at = 0; at < bytes.length; ) {
      const { bytesRead } = await file.read(bytes, at, Math.min(PIECE, bytes.length - at), at);
      if (bytesRead === 0) break;
      at += bytesRead;
    }
    return bytes;
  } finally {
    await file.close();
  }
}

/** Of packed data; undefined where they are none. */
async function digestIn(bytes: Uint8Array): Promise<string | undefined> {
  let data: TrialData;
  try {
    data = unpack(bytes);
  } catch {
    return undefined;
  }
  return digestOf(data);
}

/** The module of this digest, where it is unpacked there and is what it was. */
function moduleIn(place: string, digest: string): string | undefined {
  try {
    const path = unpackedModule(place);
    return path !== undefined && digestOfModule(path) === digest ? path : undefined;
  } catch {
    return undefined;
  }
}

/** Unpacks it beside, and renames the whole. */
function placeModule(bytes: Uint8Array, digest: string, place: string): void {
  const partial = `${place}.${randomBytes(9).toString("base64url")}.part`;
  try {
    mkdirSync(partial, { mode: 0o700 });
    unpackModule(bytes, partial);
    if (moduleIn(partial, digest) === undefined) throw unlike("module", digest);
    // another worker may have been quicker; what is damaged makes way
    if (moduleIn(place, digest) === undefined) {
      rmSync(place, { recursive: true, force: true });
      renameSync(partial, place);
    }
  } catch (error) {
    if (moduleIn(place, digest) === undefined) throw error;
  } finally {
    rmSync(partial, { recursive: true, force: true });
  }
}

const unlike = (what: string, digest: string) =>
  new FailureError(
    `the ${what} of this trial is not what its digest says (${digest.slice(0, 12)}…): something else was put in its place; begin the comparison anew, with another queue or folder`,
  );

/** Several that ask for the same at once wait for one answer. */
function sharing(find: (digest: string) => Promise<string>): (digest: string) => Promise<string> {
  const running = new Map<string, Promise<string>>();
  return async (digest) => {
    // it becomes the name of a file
    if (!/^[0-9a-f]{64}$/.test(digest)) {
      throw new FailureError(`expected a digest of 64 hexadecimal digits, got ${quote(String(digest), 100)}`);
    }
    let answer = running.get(digest);
    if (answer === undefined) {
      answer = find(digest).finally(() => running.delete(digest));
      running.set(digest, answer);
    }
    return answer;
  };
}

function touch(path: string): void {
  const now = new Date();
  try {
    utimesSync(path, now, now);
  } catch {
    // it goes earlier, and is fetched again
  }
}

function ownFolder(named: string | undefined): string {
  const user = process.getuid?.() ?? userInfo().username;
  const path = named ?? join(tmpdir(), `evenkeel-${user}`);
  return inFolder(path, () => {
    mkdirSync(path, { recursive: true, mode: 0o700 });
    // among temporary files a link may be anybody's
    const folder = named === undefined ? path : realpathSync(path);
    const { uid, mode } = lstatSync(folder);
    const isOurs = process.getuid === undefined || uid === user;
    if (lstatSync(folder).isDirectory() && isOurs) {
      if (named === undefined) chmodSync(folder, 0o700);
      else if (process.getuid !== undefined && (mode & 0o022) !== 0) throw refusal(path);
      return folder;
    }
    throw refusal(path);
  });
}

const refusal = (path: string) =>
  new FailureError(
    `the cache ${quote(path, 200)} is no folder that you alone may write, and modules in it are run; name one by --cache, or take it from others by chmod go-w`,
  );

/** @throws CacheError for what the system says */
function inFolder<T>(folder: string, run: () => T): T {
  try {
    return run();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).syscall === undefined) throw error;
    throw new CacheError(
      `cannot use the cache ${quote(folder, 200)} (${systemReason(error)}); free space or allow it, or name another folder by --cache`,
    );
  }
}

function removeOld(place: string): void {
  const now = Date.now();
  for (const name of readdirSync(place)) {
    const own = OWN.exec(name);
    if (own === null) continue;
    try {
      const path = join(place, name);
      const age = now - lstatSync(path).mtimeMs;
      if (age > (own[1] === undefined ? KEPT : PARTIAL)) rmSync(path, { recursive: true, force: true });
    } catch {
      // another worker was quicker, or it stays
    }
  }
}
