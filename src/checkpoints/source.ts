/**
 * Where bytes come from: memory, a Blob, a file in Node, a server that answers ranges. Readers see named ranges of bytes, and nothing of
 * files or URLs.
 */
import { described } from "../shape.js";
import { CheckpointError } from "./errors.js";

/** Bytes that are read in pieces, from `start` up to `end`. A `Blob` and a hyparquet `AsyncBuffer` are such sources too. */
export interface Source {
  readonly byteLength: number;
  slice(start: number, end: number): Promise<ArrayBuffer> | ArrayBuffer;
}

/** What `open` takes as one file: bytes, a Blob or File, a path or file: URL (in Node), or a source. */
export type FileSource = ArrayBuffer | ArrayBufferView | Blob | string | URL | Source;

/**
 * Several files of a folder. Of Files, which come in any order, the one is opened that such a folder is opened by, or the first where
 * no name tells; of a Map the first.
 */
export type FileSet = readonly File[] | FileList | ReadonlyMap<string, FileSource>;

/** Bytes in a row, of a file or of what a file holds compressed. */
export interface Bytes {
  /** The file's name, as the user knows it; of an archive's entry followed by "/" and the entry's name. */
  readonly file: string;
  readonly byteLength: number;
  /** Where they begin in that file; undefined where they lie there compressed. */
  readonly offset?: number;
  /**
   * A copy of the bytes from `start` (default 0) up to `end` (default: all).
   * @throws CheckpointError where they are fewer
   */
  read(start?: number, end?: number): Promise<Uint8Array>;
  /** A part of them. Its ends are checked when it is read. */
  part(start: number, end: number): Bytes;
}

/** The file that was opened, and those that lie beside it. */
export interface Files {
  /** As the user knows it. */
  readonly name: string;
  readonly bytes: Bytes;
  /** Names of the files in the opened one's folder, itself among them. */
  list(): Promise<readonly string[]>;
  /**
   * A file by its path from the opened one's folder; undefined where there is none.
   * @throws CheckpointError for a path that leaves the folder: names come from files
   */
  beside(path: string): Promise<Bytes | undefined>;
}

/** Small reads are served from blocks of this many bytes, the last few of which are kept. */
const BLOCK = 2 ** 14;
const KEPT_BLOCKS = 8;

/** The bytes of a source, under the name of its file. */
export function bytesOf(file: string, source: Source): Bytes {
  const size = source.byteLength;
  const blocks = new Map<number, Promise<Uint8Array>>();
  const fetched = async (start: number, end: number): Promise<Uint8Array> => {
    const bytes = new Uint8Array(await source.slice(start, end));
    if (bytes.length === end - start) return bytes;
    throw new CheckpointError(file, "source", `expected ${end - start} bytes, got ${bytes.length}`, {
      offset: start,
      remedy: "slice(start, end) must give the bytes of that range",
    });
  };
  const block = (index: number): Promise<Uint8Array> => {
    const known = blocks.get(index);
    blocks.delete(index);
    const found = known ?? fetched(index * BLOCK, Math.min(size, (index + 1) * BLOCK));
    blocks.set(index, found);
    found.catch(() => blocks.delete(index));
    for (const oldest of blocks.keys()) {
      if (blocks.size <= KEPT_BLOCKS) break;
      blocks.delete(oldest);
    }
    return found;
  };
  const readAt = async (start: number, end: number): Promise<Uint8Array> => {
    if (end - start >= BLOCK) return fetched(start, end);
    const bytes = new Uint8Array(end - start);
    for (let at = start; at < end; ) {
      const index = Math.floor(at / BLOCK);
      const from = at - index * BLOCK;
      const some = (await block(index)).subarray(from, from + end - at);
      bytes.set(some, at - start);
      at += some.length;
    }
    return bytes;
  };
  return ranged(file, readAt, 0, 0, size);
}

/** Bytes in memory: those of a file, or what was decompressed of one (`offset` undefined). */
export function bytesInMemory(file: string, bytes: Uint8Array, offset?: number): Bytes {
  return ranged(file, async (start, end) => bytes.slice(start, end), offset, 0, bytes.length);
}

/**
 * @param origin where in the file what `readAt` counts from lies
 * @param low the beginning, and `high` the end, of what this is a part of
 */
function ranged(
  file: string,
  readAt: (start: number, end: number) => Promise<Uint8Array>,
  origin: number | undefined,
  from: number,
  to: number,
  low = from,
  high = to,
): Bytes {
  return {
    file,
    byteLength: to - from,
    offset: origin === undefined ? undefined : origin + from,
    async read(start = 0, end = to - from) {
      const whole = Number.isSafeInteger(from + start) && Number.isSafeInteger(from + end);
      if (whole && start >= 0 && start <= end && from + end <= to && from >= low && to <= high) {
        return readAt(from + start, from + end);
      }
      const there = Math.max(0, Math.min(to, high) - Math.max(from, low) - start);
      throw new CheckpointError(file, "bytes", `expected ${end - start} bytes, there are ${there}`, {
        offset: origin === undefined ? undefined : origin + from + start,
      });
    },
    part: (start, end) =>
      ranged(file, readAt, origin, from + start, from + end, Math.max(low, from), Math.min(high, to)),
  };
}

/**
 * What `open` was given, as files. A File's `webkitRelativePath` counts as its name.
 * @throws TypeError for what is no source; CheckpointError where there is no such file
 */
export async function filesOf(source: FileSource | FileSet, name?: string): Promise<Files> {
  if (source instanceof Map) return filesInSet([...source], name);
  if (Array.isArray(source) || (typeof FileList !== "undefined" && source instanceof FileList)) {
    const named = Array.from(source, (file) => [nameOf(file), file] as const);
    const paths = named.map(([path]) => path);
    const opened = name ?? entryAmong(paths);
    const folder = paths[0]?.split("/", 1)[0];
    if (opened === undefined && paths.length > 0 && paths.every((path) => path.startsWith(`${folder}/`)))
      throw noEntry(`${folder}`);
    return filesInSet(named, opened);
  }
  if (typeof source === "string" || source instanceof URL) return filesOnDisk(source, name);
  const known = name ?? nameOf(source);
  return filesInSet([[known, source as FileSource]], known);
}

function nameOf(source: unknown): string {
  const { webkitRelativePath, name } = Object(source) as { webkitRelativePath?: unknown; name?: unknown };
  if (typeof webkitRelativePath === "string" && webkitRelativePath !== "") return webkitRelativePath;
  return typeof name === "string" && name !== "" ? name : "file";
}

/** One of `open`'s kinds of sources as bytes in ranges, under the name of its file. */
function sourceOf(file: string, source: unknown): Source {
  if (source instanceof ArrayBuffer) return source;
  if (ArrayBuffer.isView(source)) {
    const { buffer, byteOffset, byteLength } = source;
    return {
      byteLength,
      slice: (start, end) =>
        new Uint8Array(buffer, byteOffset + start, Math.min(end, byteLength) - start).slice().buffer,
    };
  }
  if (typeof Blob !== "undefined" && source instanceof Blob) {
    const refused = (start: number) => (error: unknown) => {
      throw error instanceof DOMException ? unreadable(file, error, start) : error;
    };
    return {
      byteLength: source.size,
      slice: (start, end) => source.slice(start, end).arrayBuffer().catch(refused(start)),
    };
  }
  const { byteLength, slice } = Object(source) as Partial<Source>;
  if (Number.isSafeInteger(byteLength) && (byteLength as number) >= 0 && typeof slice === "function") {
    return source as Source;
  }
  throw new TypeError(
    "open: source must be bytes (an ArrayBuffer or a typed array), a Blob or File, a path (in Node), a list of Files, or an object " +
      `with byteLength and slice(start, end), got ${described(source)}`,
  );
}

function filesInSet(named: readonly (readonly [string, FileSource])[], opened = named[0]?.[0]): Files {
  const all = new Map(named);
  if (opened === undefined || !all.has(opened)) {
    throw new TypeError(
      `open: expected at least one file, and the one to open among them, got ${[...all.keys()].join(", ") || "none"}`,
    );
  }
  const folder = opened.slice(0, opened.lastIndexOf("/") + 1);
  return {
    name: opened,
    bytes: bytesOf(opened, sourceOf(opened, all.get(opened))),
    async list() {
      return [...all.keys()]
        .filter((one) => one.startsWith(folder) && !one.slice(folder.length).includes("/"))
        .map((one) => one.slice(folder.length));
    },
    async beside(path) {
      const found = all.get(folder + insideFolder(opened, path));
      return found === undefined ? undefined : bytesOf(path, sourceOf(path, found));
    },
  };
}

/** @throws CheckpointError for a path that is absolute or leaves the folder */
function insideFolder(file: string, path: string): string {
  const parts = path.split("/").filter((part) => part !== ".");
  const leaves =
    path.startsWith("/") || /[\\\0]|^[A-Za-z]:/.test(path) || parts.includes("..") || parts.includes("");
  if (!leaves) return parts.join("/");
  throw new CheckpointError(
    file,
    "source",
    `expected the name of a file in the same folder, got ${described(path)}`,
    { remedy: "files are read from the opened one's folder only: move them there, and name them so" },
  );
}

/** Node's modules, without an import that a bundler for browsers would follow. */
function node(): {
  fs: typeof import("node:fs/promises");
  path: typeof import("node:path");
  url: typeof import("node:url");
} {
  const built = (globalThis as { process?: { getBuiltinModule?: (name: string) => unknown } }).process;
  if (typeof built?.getBuiltinModule !== "function") {
    throw new TypeError(
      "open: a path can be opened in Node only (20.16 or later); elsewhere give the bytes, a File, or an object with byteLength and " +
        "slice(start, end)",
    );
  }
  const get = built.getBuiltinModule;
  return { fs: get("node:fs/promises"), path: get("node:path"), url: get("node:url") } as ReturnType<
    typeof node
  >;
}

async function filesOnDisk(given: string | URL, name?: string): Promise<Files> {
  if (/^(?!file:)[a-z][a-z0-9+.-]+:\/\//i.test(String(given))) {
    throw new TypeError(
      `open: ${described(String(given))} is not fetched: give what was fetched, or an object with byteLength and slice(start, end) ` +
        "that asks for ranges of it",
    );
  }
  const { fs, path, url } = node();
  const where = given instanceof URL || given.startsWith("file:") ? url.fileURLToPath(given) : given;
  const opened = await entryOf(where);
  const folder = path.dirname(opened);
  const onDisk = async (file: string, shown: string): Promise<Bytes> => {
    const { size } = await fs.stat(file);
    return bytesOf(shown, {
      byteLength: size,
      slice: (start, end) => readFrom(fs, file, shown, start, end),
    });
  };
  return {
    name: name ?? opened,
    bytes: await onDisk(opened, name ?? opened),
    list: async () => (await fs.readdir(folder)).sort(),
    async beside(relative) {
      const inside = insideFolder(opened, relative);
      const file = path.join(folder, inside);
      // links are followed wherever they lead: the cache of Hugging Face is made of them
      const found = await fs.stat(file).catch(() => undefined);
      return found?.isFile() ? onDisk(file, relative) : undefined;
    },
  };
}

/** As many bytes as Node reads at once are fewer than 2³¹. */
const MOST_AT_ONCE = 2 ** 30;

/** The file is opened for each read, so that nothing stays open. */
async function readFrom(
  fs: ReturnType<typeof node>["fs"],
  file: string,
  shown: string,
  start: number,
  end: number,
): Promise<ArrayBuffer> {
  const bytes = new Uint8Array(end - start);
  let at = 0;
  try {
    const handle = await fs.open(file);
    try {
      while (at < bytes.length) {
        const length = Math.min(MOST_AT_ONCE, bytes.length - at);
        const { bytesRead } = await handle.read(bytes, at, length, start + at);
        if (bytesRead === 0) break;
        at += bytesRead;
      }
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw unreadable(shown, error, start + at);
  }
  if (at === bytes.length) return bytes.buffer;
  throw new CheckpointError(shown, "source", `expected ${bytes.length} bytes, the file has become shorter`, {
    offset: start,
    remedy: "leave it as it was until all is read",
  });
}

/** What the file system refuses, or the browser, and what helps. */
function unreadable(shown: string, error: unknown, offset?: number): CheckpointError {
  const { code, name, message } = error as NodeJS.ErrnoException;
  const missing = code === "ENOENT" || code === "ENOTDIR" || name === "NotFoundError";
  const [problem, remedy] =
    missing && offset === undefined
      ? ["there is no such file", "check the path"]
      : missing
        ? [`it cannot be read any more (${message})`, "leave it where it was until all is read"]
        : [`it cannot be read (${message})`, "allow it, or use a copy"];
  return new CheckpointError(shown, "source", problem, { offset, remedy });
}

/** What a folder of a framework is opened by, the first that is there. */
const ENTRIES = [
  /^saved_model\.pb$/,
  /^model\.json$/,
  /^model\.safetensors\.index\.json$/,
  /^model\.safetensors$/,
  /\.safetensors\.index\.json$/,
  /\.safetensors$/,
  /\.bin\.index\.json$/,
  /^(pytorch|diffusion_pytorch)_model\.bin$/,
  /\.index$/,
  /\.onnx$/,
  /\.(keras|h5|hdf5|params|pt|pth|npz)$/,
];
/** Last of all, since it often has settings only. */
const ANY_JSON = /\.json$/;

/** Of files in a folder and those within it, the higher first. */
function entryAmong(paths: readonly string[]): string | undefined {
  const depthOf = (path: string) => path.split("/").length;
  const byDepth = [...paths].sort((a, b) => depthOf(a) - depthOf(b));
  const depths = [...new Set(byDepth.map(depthOf))];
  for (const entries of [ENTRIES, [ANY_JSON]]) {
    for (const depth of depths) {
      const here = byDepth.filter((path) => depthOf(path) === depth);
      for (const entry of entries) {
        const found = here.find((path) => entry.test(path.slice(path.lastIndexOf("/") + 1)));
        if (found !== undefined) return found;
      }
    }
  }
  return undefined;
}

/** Where no file of a folder is one that it is opened by. */
const noEntry = (folder: string): CheckpointError =>
  new CheckpointError(folder, "source", "expected a file, got a folder without a model's entry", {
    remedy: "name a file in it",
  });

/** The file that a path names: itself, or what its folder is opened by. */
async function entryOf(where: string): Promise<string> {
  const { fs, path } = node();
  const refuse = (error: unknown) => {
    throw unreadable(where, error);
  };
  const stat = await fs.stat(where).catch(refuse);
  if (stat.isFile()) return where;
  if (!stat.isDirectory()) {
    throw new CheckpointError(where, "source", "expected a file or a folder, got a pipe or a device", {
      remedy: "write what it gives to a file, and open that",
    });
  }
  const found = entryAmong((await fs.readdir(where).catch(refuse)).sort());
  if (found !== undefined) return path.join(where, found);
  throw noEntry(where);
}
