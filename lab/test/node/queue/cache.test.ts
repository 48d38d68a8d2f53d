/** What a worker keeps: fetched once, as it was or not at all, and nobody else's. */
import {
  appendFileSync,
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { basename, join, parse } from "node:path";
import { describe, expect, test, vi } from "vitest";
import { digestOf, type TrialData } from "../../../src/datasets/dataset.js";
import { pack } from "../../../src/datasets/packed.js";
import { digestOfModule } from "../../../src/node/module-files.js";
import { openCache, readData } from "../../../src/node/queue/cache.js";
import type { Depot } from "../../../src/node/queue/depot.js";
import { packModule } from "../../../src/node/queue/modules.js";
import { errorOf, pathOf, write } from "../../support/files.js";

const data: TrialData = {
  task: "classification",
  metric: "accuracy",
  form: { input: { kind: "features", shape: [2] }, outputs: [2] },
  classes: ["a", "b"],
  count: 3,
  x: Float32Array.of(1, 2, 3, Number.NaN, 5, 6),
  scaled: Uint8Array.of(1, 0),
  y: Float32Array.of(0, 1, 1),
  targetShape: [],
  yScale: 1,
  parts: { strata: Int32Array.of(0, 1, 1) },
};
const digest = await digestOf(data);
const source = write("net.mjs", 'export { units } from "./width.mjs";');
write("width.mjs", "export const units = 8;");
const ofModule = digestOfModule(source);

/** A depot that counts what is asked for. */
function depotOf(things: Record<string, Uint8Array>) {
  const asked: string[] = [];
  const depot: Depot = {
    has: async (one) => one in things,
    async put() {},
    async get(one) {
      asked.push(one);
      await new Promise((resolve) => setTimeout(resolve, 5));
      return things[one] as Uint8Array<ArrayBuffer>;
    },
    async close() {},
  };
  return { asked, depot };
}
const both = () => depotOf({ [digest]: pack(data), [ofModule]: packModule(source) });

let folders = 0;
const next = () => pathOf(`cache ${folders++}`);

describe.each(["data", "module"] as const)("%s", (what) => {
  const known = what === "data" ? digest : ofModule;
  const fileOf = (cache: ReturnType<typeof openCache>, one = known) =>
    what === "data" ? cache.dataFile(one) : cache.moduleFile(one);
  const check = async (path: string) => {
    if (what === "data") expect(await readData(path, digest)).toEqual(data);
    else expect([digestOfModule(path), basename(path)]).toEqual([ofModule, "net.mjs"]);
  };

  test("is fetched once by several at once, and again by nobody", async () => {
    const { asked, depot } = both();
    const folder = next();
    const cache = openCache(folder, depot);
    const paths = await Promise.all([fileOf(cache), fileOf(cache), fileOf(cache)]);
    expect(new Set(paths).size).toBe(1);
    await check(paths[0]);
    await fileOf(cache);
    expect(await fileOf(openCache(folder, depot))).toBe(paths[0]);
    expect(asked).toEqual([known]);
    // nothing is left beside
    expect(readdirSync(join(folder, what === "data" ? "data" : "modules"))).toEqual([known]);
  });

  test("is fetched by two workers with one folder at once", async () => {
    const { depot } = both();
    const folder = next();
    const paths = await Promise.all([1, 2, 3, 4].map(() => fileOf(openCache(folder, depot))));
    expect(new Set(paths).size).toBe(1);
    await check(paths[0]);
    expect(readdirSync(join(folder, what === "data" ? "data" : "modules"))).toEqual([known]);
  });

  test.each<[string, (path: string) => void]>([
    ["gone", (path) => rmSync(path)],
    ["empty", (path) => writeFileSync(path, "")],
    ["longer", (path) => appendFileSync(path, " ")],
    [
      "changed",
      (path) => {
        const bytes = readFileSync(path);
        bytes[bytes.length - 8] ^= 1;
        writeFileSync(path, bytes);
      },
    ],
  ])("is fetched again where it is %s", async (_, damage) => {
    const { asked, depot } = both();
    const folder = next();
    const path = await fileOf(openCache(folder, depot));
    damage(path);
    if (what === "data" && existsSync(path)) {
      expect(await errorOf(() => readData(path, digest))).toBe(
        `FailureError: the data in the cache are damaged (${digest.slice(0, 12)}…); they are fetched again with the next trial that needs them`,
      );
    }
    await check(await fileOf(openCache(folder, depot)));
    expect(asked).toHaveLength(2);
  });

  test("is fetched again where it went while the worker runs", async () => {
    const { asked, depot } = both();
    const cache = openCache(next(), depot);
    rmSync(await fileOf(cache));
    await check(await fileOf(cache));
    expect(asked).toHaveLength(2);
  });

  test("that the depot has not is named, with a remedy; it may be there later", async () => {
    const things: Record<string, Uint8Array> = {};
    const cache = openCache(next(), depotOf(things).depot);
    expect(await errorOf(() => fileOf(cache))).toBe(
      `FailureError: the ${what} of this trial (${known.slice(0, 12)}…) is not there any more, or is damaged; run the command that put the trial on the queue again, which puts it there anew`,
    );
    things[known] = what === "data" ? pack(data) : packModule(source);
    await check(await fileOf(cache));
  });

  test("that is something else is refused, and not kept", async () => {
    const other = what === "data" ? pack({ ...data, yScale: 2 }) : packModule(write("other.mjs", ""));
    const folder = next();
    expect(await errorOf(() => fileOf(openCache(folder, depotOf({ [known]: other }).depot)))).toMatch(
      `FailureError: the ${what} of this trial is not what its digest says`,
    );
    expect(readdirSync(join(folder, what === "data" ? "data" : "modules"))).toEqual([]);
  });

  test.each(["../../etc/passwd", "", "AB".repeat(32), `${"ab".repeat(32)}\n`, "ab".repeat(31)])(
    "of what is no digest: %j",
    async (one) => {
      const { asked, depot } = both();
      expect(await errorOf(() => fileOf(openCache(next(), depot), one))).toMatch(
        /^FailureError: expected a digest of 64 hexadecimal digits/,
      );
      expect(asked).toEqual([]);
    },
  );

  test("goes a month after its last use, with what is left of others", async () => {
    const { asked, depot } = both();
    const folder = next();
    const place = join(folder, what === "data" ? "data" : "modules");
    await fileOf(openCache(folder, depot));
    const days = (count: number) => new Date(Date.now() - count * 24 * 3600 * 1000);
    const age = (name: string, count: number) => utimesSync(join(place, name), days(count), days(count));
    age(known, 29);
    await fileOf(openCache(folder, depot));
    // used just now
    expect(statSync(join(place, known)).mtimeMs).toBeGreaterThan(days(1).getTime());
    age(known, 31);
    const partial = `${known}.abcdefghijkl.part`;
    mkdirSync(join(place, partial, "files"), { recursive: true });
    writeFileSync(join(place, "of somebody else.txt"), "");
    for (const name of [partial, "of somebody else.txt"]) age(name, 40);
    openCache(folder, depot);
    expect(readdirSync(place)).toEqual(["of somebody else.txt"]);
    const cache = openCache(folder, depot);
    const old = "0".repeat(64);
    mkdirSync(join(place, old));
    age(old, 31);
    // while a worker runs, too
    await fileOf(cache);
    expect(readdirSync(place).sort()).toEqual([known, "of somebody else.txt"].sort());
    expect(asked).toHaveLength(2);
  });
});

describe("the folder", () => {
  const { depot } = both();

  test("is made, for its user alone", () => {
    const folder = join(next(), "a", "b");
    openCache(folder, depot);
    expect(statSync(folder).mode & 0o777).toBe(0o700);
  });

  test("by default is one of this user's among temporary files", () => {
    const temporary = next();
    mkdirSync(temporary);
    vi.stubEnv("TMPDIR", temporary);
    try {
      openCache(undefined, depot);
      const [name] = readdirSync(temporary);
      expect(name).toBe(`evenkeel-${process.getuid?.()}`);
      chmodSync(join(temporary, name), 0o777);
      openCache(undefined, depot);
      expect(statSync(join(temporary, name)).mode & 0o777).toBe(0o700);
      // as somebody else may put it there
      rmSync(join(temporary, name), { recursive: true });
      mkdirSync(join(temporary, "trap"));
      symlinkSync("trap", join(temporary, name));
      expect(() => openCache(undefined, depot)).toThrow("is no folder that you alone may write");
      expect(readdirSync(join(temporary, "trap"))).toEqual([]);
    } finally {
      vi.unstubAllEnvs();
    }
  });

  test("is refused where others may write it", async () => {
    const folder = next();
    mkdirSync(folder);
    chmodSync(folder, 0o777);
    expect(await errorOf(() => openCache(folder, depot))).toBe(
      `FailureError: the cache "${basename(folder)}" is no folder that you alone may write, and modules in it are run; name one by --cache, or take it from others by chmod go-w`,
    );
    expect(existsSync(join(folder, "data"))).toBe(false);
  });

  test("is refused where it is a file, and may be reached by a link where it is named", async () => {
    const file = write("no cache", "");
    expect(await errorOf(() => openCache(file, depot))).toMatch(
      /^CacheError: cannot use the cache "no cache" \(EEXIST: file already exists\); free space/,
    );
    const folder = next();
    mkdirSync(folder, { mode: 0o700 });
    symlinkSync(folder, `${folder} link`);
    await openCache(`${folder} link`, depot).dataFile(digest);
    expect(readdirSync(join(folder, "data"))).toEqual([digest]);
  });

  test("is refused where it is somebody else's", () => {
    let folder = next();
    mkdirSync(folder, { mode: 0o700 });
    // whoever may not give a folder away takes one of the system's
    if (process.getuid?.() === 0) chownSync(folder, 65534, 65534);
    else folder = parse(folder).root;
    expect(() => openCache(folder, depot)).toThrow("is no folder that you alone may write");
  });
});
