/** A module of the user's own, and those that it imports by relative paths. */
import { createHash } from "node:crypto";
import { readFileSync, realpathSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

export interface ModuleFiles {
  /** Where the module itself is; it may be a link. */
  entry: string;
  /** By their real paths, in the order that they are found. */
  files: ReadonlyMap<string, Uint8Array>;
  /** Paths that are imported and lead to another, which is that of a file. */
  links: ReadonlyMap<string, string>;
}

const RELATIVE = /(?:\bfrom|\bimport|\bimport\s*\(|\brequire\s*\()\s*["'](\.{1,2}\/[^"'\n]+)["']/g;

/** What `require` adds to a path that names no file. */
const ENDINGS = ["", ".js", ".json", ".cjs", "/index.js"];

/** What is not there is left out. @throws what the system says of a file that cannot be read */
export function filesOfModule(whole: string): ModuleFiles {
  const files = new Map<string, Uint8Array>();
  const links = new Map<string, string>();
  const isFile = (path: string) => statSync(path, { throwIfNoEntry: false })?.isFile();
  const add = (named: string) => {
    const found = ENDINGS.map((ending) => named + ending).find(isFile);
    if (found === undefined) return;
    // Node resolves imports from where a file really is
    const path = realpathSync(found);
    if (path !== found) links.set(found, path);
    if (files.has(path)) return;
    const bytes = readFileSync(path);
    files.set(path, bytes);
    for (const [, specifier] of bytes.toString("utf8").matchAll(RELATIVE)) {
      add(fileURLToPath(new URL(specifier, pathToFileURL(path))));
    }
  };
  const folder = dirname(whole);
  const isThere = statSync(folder, { throwIfNoEntry: false }) !== undefined;
  const entry = join(isThere ? realpathSync(folder) : folder, basename(whole));
  add(entry);
  return { entry, files, links };
}

/** SHA-256, in hex, of a module and of the modules that it imports by relative paths. */
export const digestOfModule = (whole: string): string => digestOfFiles(filesOfModule(whole).files);

/** The same, of files in their order. */
export function digestOfFiles(files: ModuleFiles["files"]): string {
  const hash = createHash("sha256");
  for (const bytes of files.values()) {
    const text = Buffer.from(bytes).toString("utf8");
    hash.update(`${text.length}\n`).update(text);
  }
  return hash.digest("hex");
}
