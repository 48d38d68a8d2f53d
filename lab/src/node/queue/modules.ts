/**
 * The module of a user's own network, on its way to other machines: what it imports by relative paths comes along, each file where
 * it was as seen from the others, and the kind of module that its package.json makes of it. Packages do not: they are those
 * that are installed with the lab.
 */
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, parse, relative, sep } from "node:path";
import { quote } from "@evenkeel/report/format";
import { FailureError, reason } from "../../errors.js";
import { digestOfFiles, filesOfModule } from "../module-files.js";

const FORMAT = 1;
/** Bytes of a module and what it imports. */
const MOST = 2 ** 24;
/** In the folder of an unpacked module: its files, and the name of the module among them. */
const FILES = "files";
const ENTRY = "entry.json";

/** Names are paths below one folder, with slashes. */
interface Packed {
  format: number;
  entry: string;
  /** Contents in base64. */
  files: Record<string, string>;
  /** Names that lead to files. */
  links: Record<string, string>;
}

/**
 * @param digest as `digestOfModule` found it, where it must still be what it was
 * @throws FailureError where it is not, is too large, or has names that not every system takes
 */
export function packModule(path: string, digest?: string): Uint8Array {
  const { entry, files, links } = filesOfModule(path);
  if (files.size === 0 || (digest !== undefined && digestOfFiles(files) !== digest)) {
    throw new FailureError(
      `${quote(path, 200)} has changed since the comparison was begun, or is not there any more; bring back what it was, or begin anew`,
    );
  }
  const bytes = [...files.values()].reduce((sum, { length }) => sum + length, 0);
  if (bytes > MOST) {
    const [largest] = [...files].sort(([, a], [, b]) => b.length - a.length)[0];
    throw new FailureError(
      `${quote(path, 200)}: it and what it imports have ${bytes} bytes, and at most ${MOST} travel to other machines; let the module import less (most is in ${quote(largest, 200)}), or install what is large as a package with every worker`,
    );
  }
  const contents = new Map<string, Uint8Array>(files);
  for (const file of files.keys()) {
    const about = join(dirname(file), "package.json");
    if (!contents.has(about))
      contents.set(about, Buffer.from(JSON.stringify({ type: typeOf(dirname(file)) })));
  }
  const root = commonFolder([entry, ...contents.keys(), ...links.keys()]);
  const nameOf = (whole: string) => {
    const name = relative(root, whole).split(sep).join("/");
    if (isInside(name)) return name;
    throw new FailureError(
      `${quote(whole, 200)} cannot travel to other machines, where such a name may mean another file; give it one without \\ and :, on the same drive as ${quote(path, 200)}`,
    );
  };
  const packed: Packed = {
    format: FORMAT,
    entry: nameOf(entry),
    files: Object.fromEntries(
      [...contents].map(([file, content]) => [nameOf(file), Buffer.from(content).toString("base64")]),
    ),
    links: Object.fromEntries([...links].map(([from, to]) => [nameOf(from), nameOf(to)])),
  };
  return Buffer.from(JSON.stringify(packed));
}

/** What the nearest package.json says that modules are, as Node looks for it. */
function typeOf(folder: string): string | undefined {
  for (let at = folder; ; at = dirname(at)) {
    try {
      const { type } = JSON.parse(readFileSync(join(at, "package.json"), "utf8"));
      return type === "module" || type === "commonjs" ? type : undefined;
    } catch {
      // none here, or none that can be read
    }
    if (dirname(at) === at) return undefined;
  }
}

function commonFolder(paths: readonly string[]): string {
  let folder = dirname(paths[0]);
  const isIn = (path: string) => path.startsWith(folder.endsWith(sep) ? folder : folder + sep);
  while (!paths.every(isIn) && folder !== parse(folder).root) folder = dirname(folder);
  return folder;
}

/**
 * Writes the module into a folder that has none yet, and nothing outside of it. Returns the path of the module.
 * @throws Error for bytes that `packModule` did not write, and what the system says
 */
export function unpackModule(bytes: Uint8Array, folder: string): string {
  const { entry, files, links } = packedOf(bytes);
  const path = (name: string) => join(folder, FILES, ...name.split("/"));
  // fails where it is there, so that no link of anybody's is followed
  mkdirSync(join(folder, FILES));
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(path(name)), { recursive: true });
    writeFileSync(path(name), Buffer.from(content, "base64"), { flag: "wx" });
  }
  for (const [name, target] of Object.entries(links)) {
    mkdirSync(dirname(path(name)), { recursive: true });
    symlinkSync(relative(dirname(path(name)), path(target)), path(name));
  }
  const packages = packagesOfLab();
  // those that `require` looks for there; imports have their own way
  if (packages) symlinkSync(packages, join(folder, "node_modules"), "junction");
  writeFileSync(join(folder, ENTRY), JSON.stringify(entry), { flag: "wx" });
  return path(entry);
}

/** The module that was unpacked there; undefined where none was. */
export function unpackedModule(folder: string): string | undefined {
  try {
    const entry = JSON.parse(readFileSync(join(folder, ENTRY), "utf8"));
    return isInside(entry) ? join(folder, FILES, ...entry.split("/")) : undefined;
  } catch {
    return undefined;
  }
}

function packagesOfLab(): string | undefined {
  const name = "@tensorflow/tfjs-core";
  const places = createRequire(import.meta.url).resolve.paths(name) ?? [];
  return places.find((place) => existsSync(join(place, name)));
}

function packedOf(bytes: Uint8Array): Packed {
  let packed: Partial<Packed> | null;
  try {
    packed = JSON.parse(Buffer.from(bytes).toString("utf8"));
  } catch (error) {
    throw malformed(`it is no JSON: ${reason(error)}`);
  }
  const { format, entry, files, links } = packed ?? {};
  if (format !== FORMAT) {
    throw malformed(
      `expected format ${FORMAT}, got ${JSON.stringify(format)}; run the same version of Evenkeel everywhere`,
    );
  }
  if (!isRecord(files) || !isRecord(links)) throw malformed("expected files and links");
  for (const name of [entry, ...Object.keys(files), ...Object.keys(links)]) {
    if (!isInside(name))
      throw malformed(`expected the name of a file in its folder, got ${quote(String(name), 200)}`);
  }
  const isThere = (name: string) => Object.hasOwn(files, name);
  for (const target of Object.values(links)) {
    if (!isThere(target)) throw malformed(`a link leads to ${quote(target, 200)}, which is not there`);
  }
  if (!isThere(entry as string) && !Object.hasOwn(links, entry as string)) {
    throw malformed(`the module ${quote(entry as string, 200)} is not there`);
  }
  return { format, entry: entry as string, files, links };
}

const isRecord = (value: unknown): value is Record<string, string> =>
  typeof value === "object" &&
  value !== null &&
  Object.values(value).every((each) => typeof each === "string");

/** Whether a name leads nowhere out of its folder, on any system. */
const isInside = (name: unknown): name is string =>
  typeof name === "string" &&
  !/[\\:\0]/.test(name) &&
  name.split("/").every((part) => part !== "" && part !== "." && part !== "..");

const malformed = (problem: string): Error => new Error(`unpackModule: this is no packed module: ${problem}`);
