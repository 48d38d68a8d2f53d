/** HDF5: every structure, layout, index, filter and type that h5py writes, each dataset bit for bit as the library reads it. */
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import type { Checkpoint } from "../../../src/checkpoints/checkpoint.js";
import { type Hdf5Object, isHdf5, openHdf5 } from "../../../src/checkpoints/encodings/hdf5/file.js";
import { zipEntries } from "../../../src/checkpoints/encodings/zip.js";
import { kerasHdf5 } from "../../../src/checkpoints/formats/keras-hdf5.js";
import { bytesInMemory, bytesOf, type Files } from "../../../src/checkpoints/source.js";
import type { Tensor } from "../../../src/checkpoints/tensors.js";
import { filesIn, fuzz } from "../support/fuzz.js";
import { openedByLibrary, valuesByLibrary } from "../support/h5wasm.js";
import { itWithModel, modelFile } from "../support/shared-models.js";

const folder = fileURLToPath(new URL("../../fixtures/checkpoints/", import.meta.url));
const fixture = (name: string) => new Uint8Array(readFileSync(`${folder}${name}`));
const opened = (bytes: Uint8Array, name = "a.h5") => openHdf5("HDF5", bytesInMemory(name, bytes, 0));

const at = (root: Hdf5Object, path: string): Hdf5Object =>
  path.split("/").reduce((found, name) => found.members.get(name) as Hdf5Object, root);

const valuesAt = async (root: Hdf5Object, path: string) =>
  Array.from((await at(root, path).dataset?.tensor(path).read()) ?? [], Number);

/** Datasets by path, each once. */
function datasetsOf(root: Hdf5Object): Map<string, Tensor> {
  const found = new Map<string, Tensor>();
  const seen = new Set<Hdf5Object>();
  const walk = (object: Hdf5Object, path: string) => {
    if (seen.has(object)) return;
    seen.add(object);
    if (object.dataset) found.set(path, object.dataset.tensor(path));
    for (const [name, member] of object.members) walk(member, path === "" ? name : `${path}/${name}`);
  };
  walk(root, "");
  return found;
}

/** Compares all datasets that both read; says how many. */
async function compared(bytes: Uint8Array): Promise<number> {
  const [root, file] = [await opened(bytes), await openedByLibrary(bytes)];
  let count = 0;
  for (const [path, tensor] of datasetsOf(root)) {
    if (path.startsWith("other types/") || path === "chunks/scaleoffset") continue;
    const expected = valuesByLibrary(file, path);
    if (expected === undefined) continue;
    expect(Array.from(await tensor.read(), Number), path).toEqual(expected);
    count++;
  }
  file.close();
  return count;
}

describe.each(["old", "v110", "latest"])("a file of libver %s", (version) => {
  const bytes = fixture(`hdf5/${version}.h5`);

  it("has the datasets that the library reads", async () => {
    expect(await compared(bytes)).toBe(version === "old" ? 67 : 69);
  });

  it("has half precision, and LZF, which the library lacks here", async () => {
    const root = await opened(bytes);
    const half = await valuesAt(root, "types/f2");
    // the same seed; half has 11 bits
    const single = await valuesAt(root, "chunks/plain");
    expect(half.every((value) => Math.abs(value) < 200 && value !== 0)).toBe(true);
    expect(await valuesAt(root, "chunks/lzf")).toEqual(single);
    expect(await valuesAt(root, "chunks/runs")).toEqual(
      Array.from({ length: 540 }, (_, i) => Math.floor(i / 60)),
    );
    expect(Math.max(...(await valuesAt(root, "types/big-f2")).map(Math.abs))).toBeGreaterThan(1);
  });

  it("gives one tensor by every filter and index", async () => {
    const root = await opened(bytes);
    const plain = await valuesAt(root, "chunks/plain");
    for (const name of at(root, "chunks").members.keys()) {
      if (/^(runs|holes|implicit|scaleoffset|pages|endless-pages)$/.test(name)) continue;
      expect(await valuesAt(root, `chunks/${name}`), name).toEqual(plain);
    }
  });

  it("has its fill value where nothing was written", async () => {
    const root = await opened(bytes);
    const holes = await valuesAt(root, "chunks/holes");
    expect(holes.filter((value) => value === 7.5).length).toBe(79);
    expect(await valuesAt(root, "shapes/never")).toEqual([3, 3, 3, 3]);
    expect(await valuesAt(root, "shapes/null")).toEqual([]);
    expect(at(root, "shapes/scalar").dataset?.shape).toEqual([]);
  });

  it("has attributes of each kind", async () => {
    const root = await opened(bytes);
    expect(Object.fromEntries([...root.attributes].filter(([name]) => name !== "long"))).toEqual({
      text: "text ü",
      bytes: "bytes",
      texts: ["a", "", "ccc"],
      fixed: ["x", "yy"],
      integer: -5n,
      big: [1, 2],
      float: 1.5,
      matrix: [0, 1, 2, 3, 4, 5],
      bool: true,
      empty: [],
      none: [],
      // listed; no number of ours
      complex: undefined,
    });
    if (version !== "old") expect(root.attributes.get("long")).toBe("long ".repeat(1200));
  });

  it("has its groups, not what soft and external links name, nor a group within itself", async () => {
    const root = await opened(bytes);
    const names = [...at(root, "groups").members.keys()];
    expect(names).toEqual([
      "hard",
      ...Array.from({ length: 20 }, (_, i) => `many ${String(i).padStart(2, "0")}`),
    ]);
    expect(at(root, "groups/hard")).toBe(at(root, "types/f4"));
    expect(at(root, "tracked").members.size).toBe(12);
  });

  it("refuses what it does not read by its name, when it is read", async () => {
    const root = await opened(bytes);
    const refusals = await Promise.all(
      ["other types/text", "other types/compound", "other types/enum", "chunks/scaleoffset"].map((path) =>
        at(root, path)
          .dataset?.tensor(path)
          .read()
          .catch((error: Error) => error.message.replace(/ at byte \d+/, "")),
      ),
    );
    const remedy = "convert it to float32, float16 or bfloat16 where it was written";
    expect(refusals).toEqual([
      `a.h5 (HDF5): tensor "other types/text": values of type string are not read; ${remedy}`,
      `a.h5 (HDF5): tensor "other types/compound": values of type compound are not read; ${remedy}`,
      `a.h5 (HDF5): tensor "other types/enum": values of type enum are not read; ${remedy}`,
      'a.h5 (HDF5): tensor "chunks/scaleoffset": filter scaleoffset is not read; write it with gzip or without compression',
    ]);
  });
});

it.each([
  ["small-old", 13],
  ["small-v110", 13],
  ["small-latest", 13],
  ["pages", 2],
])("%s.h5, for fuzzing, is as the library reads it", async (name, count) => {
  expect(await compared(fixture(`hdf5/${name}.h5`))).toBe(count);
});

describe("files of Keras", () => {
  it.each(
    ["keras2", "keras3"].flatMap((framework) =>
      readdirSync(`${folder}${framework}`)
        .filter((name) => name.endsWith(".h5"))
        .map((name) => `${framework}/${name}`),
    ),
  )("%s is as the library reads it", async (name) => {
    expect(await compared(fixture(name))).toBeGreaterThanOrEqual(name.endsWith("branching.h5") ? 0 : 18);
  });

  for (const [name, count] of [
    ["keras-h5/fer-emotion_model.hdf5", 185],
    ["keras-h5/dl4j-batch_to_conv2d_theano_1.h5", 8],
    ["keras-h5/dl4j-batch_to_conv2d_tensorflow_2.h5", 8],
  ] as const) {
    itWithModel(name)(`${name} is as the library reads it`, async () => {
      expect(await compared(new Uint8Array(readFileSync(modelFile(name))))).toBe(count);
    });
  }

  for (const [name, count] of [
    ["keras3/arnav-best_model.keras", 56],
    ["keras3/keras-pre_pr22362_nested_container.keras", 5],
  ] as const) {
    itWithModel(name)(`${name} is as the library reads it`, async () => {
      const archive = bytesInMemory(name, new Uint8Array(readFileSync(modelFile(name))));
      const weights = (await zipEntries("zip", archive)).get("model.weights.h5");
      expect(await compared(await (weights as typeof archive).read())).toBe(count);
    });
  }
});

describe("ranges", () => {
  it("structure is read without values, and a tensor alone", async () => {
    const values = new Float32Array(4e6).fill(1);
    const bytes = await fileWith(values);
    let read = 0;
    const root = await openHdf5(
      "HDF5",
      bytesOf("large.h5", {
        byteLength: bytes.length,
        slice(start, end) {
          read += end - start;
          return bytes.slice(start, end).buffer as ArrayBuffer;
        },
      }),
    );
    expect(read).toBeLessThan(100_000);
    expect(await valuesAt(root, "small")).toEqual([1, 2, 3]);
    expect(read).toBeLessThan(200_000);
    expect(bytes.length).toBeGreaterThan(16_000_000);
  });
});

/** A large dataset and a small one, by the library. */
async function fileWith(values: Float32Array): Promise<Uint8Array> {
  const h5wasm = await import("h5wasm/node");
  const { FS } = await h5wasm.ready;
  const file = new h5wasm.File("/made.h5", "w");
  file.create_dataset({ name: "large", data: values });
  file.create_dataset({ name: "small", data: new Float32Array([1, 2, 3]) });
  file.close();
  return FS.readFile("/made.h5");
}

describe("damage", () => {
  const bytes = fixture("hdf5/old.h5");
  const message = (changed: Uint8Array) =>
    opened(changed).then(
      () => "opened",
      (error: Error) => error.message,
    );
  const remedy = "the file seems damaged: fetch or write it again";

  it("is told with its place", async () => {
    expect(await message(bytes.slice(0, 1200))).toBe(
      `a.h5 (HDF5 at byte 1824): expected 1040 bytes, the file ends before; ${remedy}`,
    );
    expect(await message(new Uint8Array(4096))).toBe(
      `a.h5 (HDF5): expected the signature of HDF5 at byte 0, 512, 1024, ...; ${remedy}`,
    );
    const newer = bytes.slice();
    newer[1024 + 8] = 9;
    expect(await message(newer)).toBe(
      "a.h5 (HDF5 at byte 1033): expected a superblock of version 0 to 3, got 9; write it with h5py's default libver",
    );
  });

  it("is told where two structures share bytes", async () => {
    // the root's B-tree has one child for its symbols: twice
    const tree = new TextDecoder("latin1").decode(bytes).indexOf("TREE");
    const view = new DataView(bytes.slice().buffer);
    view.setUint16(tree + 6, 2, true);
    view.setBigUint64(tree + 24 + 24, view.getBigUint64(tree + 24 + 8, true), true);
    expect(await message(new Uint8Array(view.buffer))).toMatch(
      /^a\.h5 \(HDF5 at byte \d+\): expected bytes that nothing else is made of; /,
    );
  });

  it("is told where a header shares a message of its own", async () => {
    const word = (value: number) => [value, 0, 0, 0, 0, 0, 0, 0];
    const superblock = [
      ...bytes.subarray(1024, 1032),
      2,
      8,
      8,
      0,
      ...word(0),
      ...word(0),
      ...word(0),
      ...word(64),
    ];
    const header = [79, 72, 68, 82, 2, 0, 14, 3, 10, 0, 2, 2, 2, ...word(64)];
    const file = new Uint8Array(128);
    file.set(superblock);
    file.set(header, 64);
    expect(await message(file)).toBe(
      `a.h5 (HDF5 at byte 64): expected bytes that nothing else is made of; ${remedy}`,
    );
  });

  it("of a chunk is told by its checksum", async () => {
    const changed = bytes.slice();
    const root = await opened(bytes);
    const values = new Float32Array(await valuesAt(root, "chunks/fletcher32"));
    // the first row of the first chunk; plain and single values are changed with it
    const first = new Uint8Array(values.buffer, 0, 12);
    for (let i = 0; i + first.length <= bytes.length; i++) {
      if (first.every((byte, j) => bytes[i + j] === byte)) changed[i] ^= 1;
    }
    const damaged = await opened(changed);
    const paths = [...datasetsOf(damaged).keys()].filter((path) => path.startsWith("chunks/"));
    const errors = await Promise.all(
      paths.map((path) => valuesAt(damaged, path).catch((error: Error) => error.message)),
    );
    const told = errors.filter((error) => typeof error === "string" && error.includes("checksum"));
    // that of chunks/lzf is of what is compressed
    expect(told).toEqual([
      expect.stringMatching(/^a\.h5 \(HDF5 at byte \d+\): a chunk's checksum \(Fletcher-32\) differs; /),
    ]);
  });

  it("is no HDF5 without its signature", () => {
    expect(isHdf5(bytes.subarray(0, 4096))).toBe(true);
    expect(isHdf5(new Uint8Array(8))).toBe(false);
  });
});

/** As a checkpoint, so that every dataset is read. */
const read = (files: Files): Promise<Checkpoint> => kerasHdf5.read(files);

describe("hostile files", () => {
  fuzz(
    "HDF5",
    ["small-old", "small-v110", "small-latest", "pages"].map((name) => ({
      "a.h5": fixture(`hdf5/${name}.h5`),
    })),
    read,
  );

  it("the fixtures are read as checkpoints", async () => {
    const checkpoint = await read(filesIn({ "a.h5": fixture("hdf5/latest.h5") }));
    expect(checkpoint.format).toBe("HDF5");
    expect(checkpoint.framework).toBeUndefined();
    expect(checkpoint.tensors.size).toBeGreaterThan(60);
  });
});
