import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Bytes, bytesInMemory, bytesOf, filesOf, type Source } from "../../src/checkpoints/source.js";

const all = Uint8Array.from({ length: 100_000 }, (_, i) => (i * 7 + (i >> 8)) & 0xff);

/** A source that notes what is asked of it. */
function counting(bytes: Uint8Array = all): Source & { asked: [number, number][] } {
  const asked: [number, number][] = [];
  return {
    asked,
    byteLength: bytes.length,
    async slice(start, end) {
      asked.push([start, end]);
      return bytes.slice(start, end).buffer as ArrayBuffer;
    },
  };
}

describe.each<[string, (bytes: Uint8Array) => Bytes]>([
  ["of a source", (bytes) => bytesOf("f", counting(bytes))],
  ["in memory", (bytes) => bytesInMemory("f", bytes, 0)],
])("bytes %s", (_, made) => {
  it("gives any range", async () => {
    const bytes = made(all);
    for (const [start, end] of [
      [0, 1],
      [0, 100_000],
      [16_383, 16_385],
      [16_384, 32_768],
      [10, 40_000],
      [99_999, 100_000],
      [5, 5],
      [100_000, 100_000],
    ]) {
      expect(await bytes.read(start, end)).toEqual(all.slice(start, end));
    }
    expect(await bytes.read()).toEqual(all);
    expect(await bytes.read(99_000)).toEqual(all.slice(99_000));
  });

  it("gives a copy", async () => {
    const bytes = made(all.slice());
    (await bytes.read(0, 10)).fill(0);
    expect(await bytes.read(0, 10)).toEqual(all.slice(0, 10));
  });

  it("gives parts of parts, and says where they lie", async () => {
    const part = made(all).part(100, 200).part(10, 20);
    expect(part).toMatchObject({ file: "f", byteLength: 10, offset: 110 });
    expect(await part.read()).toEqual(all.slice(110, 120));
    expect(await part.read(8)).toEqual(all.slice(118, 120));
  });

  it.each<[string, (bytes: Bytes) => Promise<Uint8Array>, string]>([
    [
      "beyond the end",
      (bytes) => bytes.read(99_999, 100_001),
      "at byte 99999): expected 2 bytes, there are 1",
    ],
    ["before the beginning", (bytes) => bytes.read(-1, 1), "at byte -1): expected 2 bytes"],
    ["backwards", (bytes) => bytes.read(2, 1), "at byte 2): expected -1 bytes"],
    ["at no number", (bytes) => bytes.read(Number.NaN, 1), "expected NaN bytes"],
    [
      "beyond a part's end",
      (bytes) => bytes.part(10, 20).read(0, 11),
      "at byte 10): expected 11 bytes, there are 10",
    ],
    [
      "of a part that leaves its own",
      (bytes) => bytes.part(10, 20).part(5, 15).read(),
      "at byte 15): expected 10 bytes, there are 5",
    ],
    [
      "of a part that begins before its own",
      (bytes) => bytes.part(10, 20).part(-5, 5).read(),
      "at byte 5): expected 10 bytes",
    ],
    [
      "of a part of that",
      (bytes) => bytes.part(10, 20).part(5, 15).part(6, 8).read(),
      "at byte 21): expected 2 bytes, there are 0",
    ],
    [
      "of a part turned round",
      (bytes) => bytes.part(20, 10).read(),
      "at byte 20): expected -10 bytes, there are 0",
    ],
    ["of a part beyond the file", (bytes) => bytes.part(2 ** 40, 2 ** 41).read(), "there are 0"],
  ])("refuses what lies %s", async (_, read, problem) => {
    await expect(read(made(all))).rejects.toThrow(problem);
    await expect(read(made(all))).rejects.toThrow(
      /^f \(bytes at byte .*; the file seems damaged: fetch or write it again$/,
    );
  });
});

describe("a source", () => {
  it("is asked for blocks once, of which the last eight are kept", async () => {
    const source = counting();
    const bytes = bytesOf("f", source);
    for (let at = 0; at < 16_000; at += 100) await bytes.read(at, at + 100);
    expect(source.asked).toEqual([[0, 16_384]]);
    await Promise.all([bytes.read(20_000, 20_010), bytes.read(20_010, 20_020)]);
    expect(source.asked.length).toBe(2);
    await bytes.read(98_304, 100_000);
    expect(source.asked[2]).toEqual([98_304, 100_000]);
  });

  it("is asked for long ranges as they are, which are not kept", async () => {
    const source = counting();
    const bytes = bytesOf("f", source);
    await bytes.read(5, 50_000);
    await bytes.read(5, 50_000);
    expect(source.asked).toEqual([
      [5, 50_000],
      [5, 50_000],
    ]);
  });

  it("is asked for whole bytes: sums of what a file declares need not be", async () => {
    await expect(bytesOf("f", counting()).part(0.5, 8).read(0, 4)).rejects.toThrow(
      "f (bytes at byte 0.5): expected 4 bytes",
    );
  });

  it("that fails is asked again", async () => {
    let fails = true;
    const source: Source = {
      byteLength: 4,
      async slice() {
        if (fails) throw new Error("no network");
        return new ArrayBuffer(4);
      },
    };
    const bytes = bytesOf("f", source);
    await expect(bytes.read()).rejects.toThrow("no network");
    fails = false;
    expect(await bytes.read()).toEqual(new Uint8Array(4));
  });

  it("that gives fewer bytes is an error, and so is one that ignores the range", async () => {
    await expect(bytesOf("f", { byteLength: 9, slice: () => new ArrayBuffer(3) }).read()).rejects.toThrow(
      "f (source at byte 0): expected 9 bytes, got 3; slice(start, end) must give the bytes of that range",
    );
    await expect(bytesOf("f", { byteLength: 9, slice: () => new ArrayBuffer(10) }).read()).rejects.toThrow(
      "expected 9 bytes, got 10",
    );
  });
});

/** A File as a page has it of a chosen folder; its path is what it holds. */
function fileAt(path: string): File {
  const file = new File([path], path.slice(path.lastIndexOf("/") + 1));
  return Object.defineProperty(file, "webkitRelativePath", { value: path.includes("/") ? path : "" });
}

describe("filesOf", () => {
  const [bytes] = [Uint8Array.of(1, 2, 3, 4)];

  it.each<[string, unknown]>([
    ["an ArrayBuffer", bytes.slice().buffer],
    ["a typed array", bytes],
    ["a typed array within a larger buffer", Uint8Array.of(9, 1, 2, 3, 4, 9).subarray(1, 5)],
    ["a DataView", new DataView(bytes.slice().buffer)],
    ["a Buffer", Buffer.from([1, 2, 3, 4])],
    ["shared memory", new Uint8Array(new SharedArrayBuffer(4)).fill(0).map((_, i) => i + 1)],
    ["a Blob", new Blob([bytes])],
    ["a source", { byteLength: 4, slice: (start: number, end: number) => bytes.slice(start, end).buffer }],
  ])("takes %s", async (_, source) => {
    const files = await filesOf(source as Uint8Array);
    expect(files.name).toBe("file");
    expect(await files.bytes.read()).toEqual(bytes);
    expect(await files.bytes.read(1, 3)).toEqual(Uint8Array.of(2, 3));
    expect(await files.list()).toEqual(["file"]);
    expect(await files.beside("other")).toBeUndefined();
  });

  it.each<[unknown, string]>([
    [undefined, "undefined"],
    [null, "null"],
    [42, "42"],
    [{}, "an object"],
    [{ byteLength: Number.NaN, slice: () => new ArrayBuffer() }, "an object"],
    [{ byteLength: -1, slice: () => new ArrayBuffer() }, "an object"],
    [{ byteLength: 4 }, "an object"],
    [() => {}, "the function "],
  ])("refuses %s", async (source, got) => {
    await expect(filesOf(source as Uint8Array)).rejects.toThrow(
      new TypeError(
        "open: source must be bytes (an ArrayBuffer or a typed array), a Blob or File, a path (in Node), a list of Files, or an object " +
          `with byteLength and slice(start, end), got ${got}`,
      ),
    );
  });

  it("takes a set of files, and one of them by its name", async () => {
    const set = [new File([bytes], "a.bin"), new File([bytes.slice(1)], "b.bin")];
    const files = await filesOf(set);
    expect([files.name, await files.list()]).toEqual(["a.bin", ["a.bin", "b.bin"]]);
    expect(await (await files.beside("b.bin"))?.read()).toEqual(bytes.slice(1));
    expect((await filesOf(set, "b.bin")).name).toBe("b.bin");
    await expect(filesOf(set, "c.bin")).rejects.toThrow(
      new TypeError("open: expected at least one file, and the one to open among them, got a.bin, b.bin"),
    );
    await expect(filesOf([])).rejects.toThrow("among them, got none");
  });

  it.each<[string, string[], string]>([
    ["weights before their topology", ["group1-shard1of1.bin", "model.json"], "model.json"],
    ["a symbol and parameters", ["net-symbol.json", "net-0008.params"], "net-0008.params"],
    ["a checkpoint of TensorFlow", ["checkpoint", "net.data-00000-of-00001", "net.index"], "net.index"],
    [
      "a SavedModel",
      ["m/variables/variables.index", "m/assets/a.json", "m/saved_model.pb"],
      "m/saved_model.pb",
    ],
    ["what lies higher", ["m/run-1/model.safetensors", "m/model.onnx", "m/onnx/model.json"], "m/model.onnx"],
    ["weights before settings", ["m/config.json", "m/deep/model.safetensors"], "m/deep/model.safetensors"],
    ["settings alone", ["m/readme.md", "m/deep/b.json", "m/a.json"], "m/a.json"],
    ["the first of equals", ["b.pt", "a.pt"], "b.pt"],
    ["the first, where no name tells", ["b", "a"], "b"],
    ["the first, though some lie in a folder", ["m/b", "a"], "m/b"],
  ])("opens of Files %s", async (_, paths, opened) => {
    const { name, bytes: read } = await filesOf(paths.map(fileAt));
    expect(name).toBe(opened);
    expect(await read.read()).toEqual(new TextEncoder().encode(opened));
    expect((await filesOf(paths.map(fileAt), paths[0])).name).toBe(paths[0]);
  });

  it.each([
    ["NotFoundError", "it cannot be read any more (Gone.); leave it where it was until all is read"],
    ["NotReadableError", "it cannot be read (Gone.); allow it, or use a copy"],
  ])("says what became of a File that the browser does not read: %s", async (name, problem) => {
    class Gone extends File {
      override slice(): Blob {
        const part = new Blob();
        part.arrayBuffer = () => Promise.reject(new DOMException("Gone.", name));
        return part;
      }
    }
    const { bytes: read } = await filesOf(new Gone([bytes], "model.pt"));
    await expect(read.read(1, 3)).rejects.toThrow(`model.pt (source at byte 0): ${problem}`);
  });

  it("refuses Files of a folder in which none is what a model is opened by", async () => {
    await expect(filesOf(["m/a.txt", "m/deep/b.bin"].map(fileAt))).rejects.toThrow(
      "m (source): expected a file, got a folder without a model's entry; name a file in it",
    );
    // as a Map, the first is what is asked for
    expect((await filesOf(new Map([["m/a.txt", bytes]]))).name).toBe("m/a.txt");
  });

  it("finds files in the opened one's folder only, and says which lie there", async () => {
    const files = await filesOf(
      new Map([
        ["m/model.json", bytes],
        ["m/a.bin", bytes],
        ["m/deep/b.bin", bytes],
        ["c.bin", bytes],
      ]),
    );
    expect(await files.list()).toEqual(["model.json", "a.bin"]);
    expect(await files.beside("a.bin")).toBeDefined();
    expect(await files.beside("./a.bin")).toBeDefined();
    expect(await files.beside("deep/b.bin")).toBeDefined();
    expect(await files.beside("c.bin")).toBeUndefined();
    for (const path of [
      "../c.bin",
      "deep/../../c.bin",
      "/c.bin",
      "",
      "a//b",
      "..",
      "C:\\x",
      "..\\c.bin",
      "a\0",
    ]) {
      await expect(files.beside(path)).rejects.toThrow(
        `m/model.json (source): expected the name of a file in the same folder, got ${JSON.stringify(path)}; ` +
          "files are read from the opened one's folder only: move them there, and name them so",
      );
    }
  });
});

describe("files on disk", () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "evenkeel-"));
    await mkdir(join(folder, "model"));
    await writeFile(join(folder, "model", "a.bin"), all);
    await writeFile(join(folder, "model", "model.json"), "{}");
    await writeFile(join(folder, "outside.bin"), all);
    await symlink(join(folder, "outside.bin"), join(folder, "model", "linked.bin"));
    await mkdir(join(folder, "model", "none"));
  });
  afterAll(() => rm(folder, { recursive: true }));

  it("opens a path and a file: URL", async () => {
    const path = join(folder, "model", "a.bin");
    for (const given of [path, pathToFileURL(path), String(pathToFileURL(path))]) {
      const files = await filesOf(given);
      expect(files.name).toBe(path);
      expect(await files.bytes.read(50_000, 90_000)).toEqual(all.slice(50_000, 90_000));
      expect(await files.list()).toEqual(["a.bin", "linked.bin", "model.json", "none"]);
    }
    expect((await filesOf(path, "called")).bytes.file).toBe("called");
  });

  it("opens a folder by what a model is opened by", async () => {
    expect((await filesOf(join(folder, "model"))).name).toBe(join(folder, "model", "model.json"));
    await expect(filesOf(join(folder, "model", "none"))).rejects.toThrow(
      "none (source): expected a file, got a folder without a model's entry; name a file in it",
    );
  });

  it("opens a folder by its weights before any JSON", async () => {
    const weights = join(folder, "weights");
    await mkdir(weights);
    for (const name of ["config.json", "tf_model.h5"]) await writeFile(join(weights, name), all);
    expect((await filesOf(weights)).name).toBe(join(weights, "tf_model.h5"));
  });

  it("reads what lies beside, links too, and nothing outside", async () => {
    const files = await filesOf(join(folder, "model"));
    expect(await (await files.beside("a.bin"))?.read(0, 9)).toEqual(all.slice(0, 9));
    expect(await (await files.beside("linked.bin"))?.read()).toEqual(all);
    expect(await files.beside("none")).toBeUndefined();
    expect(await files.beside("absent.bin")).toBeUndefined();
    await expect(files.beside("../outside.bin")).rejects.toThrow(
      "expected the name of a file in the same folder",
    );
  });

  it("says that there is no such file, and that one has gone", async () => {
    await expect(filesOf(join(folder, "absent"))).rejects.toThrow(
      "absent (source): there is no such file; check the path",
    );
    const path = join(folder, "gone.bin");
    await writeFile(path, all);
    const { bytes } = await filesOf(path, "gone.bin");
    await rm(path);
    await expect(bytes.read(0, 4)).rejects.toThrow(
      /^gone.bin \(source at byte 0\): it cannot be read any more \(ENOENT/,
    );
  });

  it("says that a file has become shorter", async () => {
    const path = join(folder, "shorter.bin");
    await writeFile(path, all);
    const { bytes } = await filesOf(path, "shorter.bin");
    await writeFile(path, all.subarray(0, 10));
    await expect(bytes.read(0, 50_000)).rejects.toThrow(
      "shorter.bin (source at byte 0): expected 50000 bytes, the file has become shorter; leave it as it was until all is read",
    );
  });

  it("says what the file system refuses, and what is no file", async () => {
    await expect(filesOf("a".repeat(300))).rejects.toThrow(
      /^a+ \(source\): it cannot be read \(ENAMETOOLONG: .*\); allow it, or use a copy$/,
    );
    await expect(filesOf("/dev/null")).rejects.toThrow(
      "/dev/null (source): expected a file or a folder, got a pipe or a device; write what it gives to a file, and open that",
    );
  });

  it("does not fetch URLs", async () => {
    for (const url of ["https://example.com/a.safetensors", new URL("https://example.com/a.safetensors")]) {
      await expect(filesOf(url)).rejects.toThrow(
        new TypeError(
          'open: "https://example.com/a.safetensors" is not fetched: give what was fetched, or an object with byteLength and ' +
            "slice(start, end) that asks for ranges of it",
        ),
      );
    }
  });
});
