/** A module of one's own on its way: with all that it imports, each file where it was, and nothing outside of its folder. */
import { spawnSync } from "node:child_process";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, relative } from "node:path";
import { describe, expect, test } from "vitest";
import { digestOfModule } from "../../../src/node/module-files.js";
import { packModule, unpackedModule, unpackModule } from "../../../src/node/queue/modules.js";
import { errorOf, pathOf } from "../../support/files.js";

let folders = 0;
/** A folder with these files. */
function having(files: Record<string, string | Uint8Array>): string {
  const folder = pathOf(`modules ${folders++}`);
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), content);
  }
  mkdirSync(folder, { recursive: true });
  return folder;
}

/** Packs a module, and unpacks it elsewhere. */
function moved(path: string): { path: string; folder: string } {
  const folder = having({});
  return { path: unpackModule(packModule(path), folder), folder };
}

const filesIn = (folder: string) =>
  readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((name) => !lstatSync(join(folder, name)).isDirectory())
    .sort();

describe("a module", () => {
  const nested = {
    "project/package.json": JSON.stringify({ name: "project", type: "module", private: true }),
    "project/models/net.js": 'import "../shared/width.js";\nexport { deep } from "./deep/deep.js";',
    "project/models/deep/deep.js":
      'import data from "../data.json" with { type: "json" };\nexport const deep = data;',
    "project/models/data.json": '{ "units": 8 }',
    "project/models/unused.js": "export const unused = 1;",
    "project/shared/width.js": 'export * from "./package.js";\nimport "../../above.mjs";',
    "project/shared/package.js": "export const width = 4;",
    "above.mjs": "export const above = 1; // ☀",
  };

  test("goes with what it imports, from above its folder too, and nothing else", () => {
    const source = having(nested);
    const { path, folder } = moved(join(source, "project/models/net.js"));
    expect(digestOfModule(path)).toBe(digestOfModule(join(source, "project/models/net.js")));
    expect(relative(folder, path)).toBe(join("files", "project", "models", "net.js"));
    expect(unpackedModule(folder)).toBe(path);
    expect(filesIn(join(folder, "files"))).toEqual(
      [
        ...Object.keys(nested).filter((name) => !/unused|package\.json/.test(name)),
        // what makes an ES module of a .js
        ...["package.json", ...["models", "models/deep", "shared"].map((at) => `project/${at}/package.json`)],
      ].sort(),
    );
    for (const at of ["models", "models/deep", "shared"]) {
      expect(readFileSync(join(folder, "files/project", at, "package.json"), "utf8")).toBe(
        '{"type":"module"}',
      );
    }
    expect(readFileSync(join(folder, "files/package.json"), "utf8")).toBe("{}");
  });

  test("runs where it was unpacked, as what its package.json says that it is", () => {
    const { path } = moved(
      join(
        having({
          "package.json": '{ "type": "module" }',
          // no import, no export: told from CommonJS by its package.json alone
          "a/kind.js": "globalThis.kindOfTest = typeof require;",
          "a/net.mjs": 'import "./kind.js";\nexport default globalThis.kindOfTest;',
        }),
        "a/net.mjs",
      ),
    );
    const program = `console.log((await import(${JSON.stringify(path)})).default)`;
    const { stdout } = spawnSync(process.execPath, ["--input-type=module", "-e", program], {
      encoding: "utf8",
    });
    expect(stdout).toBe("undefined\n");
  });

  test("keeps a package.json that it imports", () => {
    const own = '{ "type": "commonjs", "units": 3 }';
    const source = having({
      "package.json": own,
      "net.js": 'module.exports = require("./package.json").units;',
    });
    const { path, folder } = moved(join(source, "net.js"));
    expect(readFileSync(join(folder, "files/package.json"), "utf8")).toBe(own);
    expect(digestOfModule(path)).toBe(digestOfModule(join(source, "net.js")));
  });

  test("goes as it is, byte by byte: no UTF-8, a circle, endings that are left out, a name of any kind", () => {
    const source = having({
      "net work ☀.cjs": 'require("./b"); require("./lib"); require("./gone");',
      "b.js": new Uint8Array([...Buffer.from('require("./net work ☀.cjs"); // '), 0xff, 0xfe]),
      "lib/index.js": "exports.x = 1;",
    });
    const { path, folder } = moved(join(source, "net work ☀.cjs"));
    expect(digestOfModule(path)).toBe(digestOfModule(join(source, "net work ☀.cjs")));
    expect(readFileSync(join(folder, "files/b.js"))).toEqual(readFileSync(join(source, "b.js")));
  });

  test("is the same where links lead to it and from it", async () => {
    const source = having({
      "real/net.mjs": 'export { units } from "./width.mjs";',
      "real/width.mjs": "export const units = 8;",
      "other/deep/linked.mjs": 'export * from "../beside.mjs";',
      "other/beside.mjs": "export const beside = 1;",
    });
    symlinkSync("real/net.mjs", join(source, "net.mjs"));
    symlinkSync("other/deep/linked.mjs", join(source, "linked.mjs"));
    writeFileSync(join(source, "both.mjs"), 'export * from "./net.mjs";\nexport * from "./linked.mjs";');
    const { path, folder } = moved(join(source, "both.mjs"));
    expect({ ...(await import(path)) }).toEqual({ units: 8, beside: 1 });
    expect(digestOfModule(path)).toBe(digestOfModule(join(source, "both.mjs")));
    expect(readlinkSync(join(folder, "files/linked.mjs"))).toBe(join("other", "deep", "linked.mjs"));
    const entry = moved(join(source, "net.mjs"));
    expect((await import(entry.path)).units).toBe(8);
  });

  test("finds packages of the lab", () => {
    const { folder } = moved(join(having({ "net.cjs": "" }), "net.cjs"));
    expect(existsSync(join(folder, "node_modules/@tensorflow/tfjs-core/package.json"))).toBe(true);
    expect(realpathSync(join(folder, "node_modules/evenkeel"))).toBe(process.cwd());
  });

  test("gives the same bytes every time", () => {
    const path = join(having({ "net.mjs": 'import "./b.mjs";', "b.mjs": "" }), "net.mjs");
    expect(packModule(path)).toEqual(packModule(path));
  });

  test("is refused where it is too large, or gone", async () => {
    const source = having({
      "net.mjs": 'import "./weights.json";',
      "weights.json": `"${"x".repeat(2 ** 24)}"`,
    });
    const message = await errorOf(() => packModule(join(source, "net.mjs")));
    expect(message).toMatch(
      /^FailureError: "modules \d+\/net\.mjs": it and what it imports have 16777242 bytes, and at most 16777216 travel to other machines; let the module import less \(most is in "modules \d+\/weights\.json"\), or install what is large as a package with every worker$/,
    );
    expect(await errorOf(() => packModule(join(source, "gone.mjs")))).toMatch(
      /^FailureError: "modules \d+\/gone\.mjs" has changed since the comparison was begun, or is not there any more; bring back what it was, or begin anew$/,
    );
  });

  test("is refused where it is not what it was", async () => {
    const source = having({ "net.mjs": 'import "./b.mjs";', "b.mjs": "1" });
    const path = join(source, "net.mjs");
    const digest = digestOfModule(path);
    expect(packModule(path, digest)).toEqual(packModule(path));
    writeFileSync(join(source, "b.mjs"), "2");
    expect(await errorOf(() => packModule(path, digest))).toMatch(
      /has changed since the comparison was begun/,
    );
  });

  test.each(["a:b.mjs", "a\\b.mjs"])(
    "is refused where a name would be another elsewhere: %s",
    async (name) => {
      const source = having({ "net.mjs": `import "./${encodeURIComponent(name)}";`, [name]: "" });
      expect(await errorOf(() => packModule(join(source, "net.mjs")))).toMatch(
        /^FailureError: "modules \d+\/a.{1,4}b\.mjs" cannot travel to other machines, where such a name may mean another file; give it one without \\ and :/,
      );
    },
  );
});

describe("bytes of somebody else's", () => {
  const packed = (change: object = {}) =>
    Buffer.from(JSON.stringify({ format: 1, entry: "a.mjs", files: { "a.mjs": "" }, links: {}, ...change }));
  const out = [
    "../out.mjs",
    "a/../../out.mjs",
    "/out.mjs",
    "a//out.mjs",
    "./a.mjs",
    "..",
    "",
    "a/",
    "..\\out.mjs",
    "C:out.mjs",
    "C:/out.mjs",
    "a\0.mjs",
  ];
  test.each(out)("may not name %j", async (name) => {
    const folder = having({});
    for (const bytes of [
      packed({ files: { "a.mjs": "", [name]: "" } }),
      packed({ links: { [name]: "a.mjs" } }),
      packed({ entry: name, files: { "a.mjs": "", [name]: "" } }),
    ]) {
      expect(await errorOf(() => unpackModule(bytes, folder))).toMatch(
        /^Error: unpackModule: this is no packed module: expected the name of a file in its folder/,
      );
    }
    expect(readdirSync(folder)).toEqual([]);
  });

  test.each<[string, Uint8Array, string]>([
    ["no JSON", Buffer.from("{"), "it is no JSON"],
    ["null", Buffer.from("null"), "expected format 1, got undefined"],
    [
      "another format",
      packed({ format: 2 }),
      "expected format 1, got 2; run the same version of Evenkeel everywhere",
    ],
    ["no files", packed({ files: undefined }), "expected files and links"],
    ["contents that are no text", packed({ files: { "a.mjs": 1 } }), "expected files and links"],
    ["an entry that is not there", packed({ entry: "b.mjs" }), 'the module "b.mjs" is not there'],
    ["an entry that is no name", packed({ entry: 1 }), "expected the name of a file in its folder"],
    [
      "a link out of the folder",
      packed({ links: { b: "../../etc" } }),
      'a link leads to "../../etc", which is not there',
    ],
    [
      "a link to a link",
      packed({ links: { b: "a.mjs", c: "b" } }),
      'a link leads to "b", which is not there',
    ],
  ])("%s", async (_, bytes, message) => {
    const folder = having({});
    expect(await errorOf(() => unpackModule(bytes, folder))).toContain(
      `Error: unpackModule: this is no packed module: ${message}`,
    );
    expect(readdirSync(folder)).toEqual([]);
  });

  test.each([
    ["through a link", { links: { dir: "a.mjs", "dir/b.mjs": "a.mjs" } }],
    ["a file where a folder is", { files: { "a.mjs": "", "b/c.mjs": "", b: "" } }],
    ["a link where a file is", { links: { "a.mjs": "a.mjs" } }],
    ["packages of the lab", { files: { "a.mjs": "", "node_modules/evenkeel/package.json": "" } }],
  ])("do not reach beyond: %s", (_, change) => {
    const folder = having({ "files-beside/a.mjs": "as it was" });
    try {
      unpackModule(packed(change), folder);
    } catch {}
    expect(readFileSync(join(folder, "files-beside/a.mjs"), "utf8")).toBe("as it was");
    expect(readFileSync(join(process.cwd(), "package.json"), "utf8")).toContain('"name": "evenkeel"');
  });

  test("are not written where a module is already, nor through a link that somebody has put there", async () => {
    const folder = having({ "elsewhere/x": "" });
    symlinkSync("elsewhere", join(folder, "files"));
    expect(await errorOf(() => unpackModule(packed(), folder))).toMatch(/EEXIST/);
    expect(readdirSync(join(folder, "elsewhere"))).toEqual(["x"]);
  });
});
