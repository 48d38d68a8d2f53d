import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { writeZip } from "../../../src/checkpoints/encodings/zip.js";
import { npy, npz, writeNpz } from "../../../src/checkpoints/formats/npz.js";
import { open } from "../../../src/checkpoints/open.js";
import type { Tensor } from "../../../src/checkpoints/tensors.js";
import type { WrittenTensor } from "../../../src/checkpoints/written.js";
import { fuzz } from "../support/fuzz.js";
import { itWithModel, modelFile } from "../support/shared-models.js";

const folder = fileURLToPath(new URL("../../fixtures/checkpoints/npz", import.meta.url));
const bytesOf = (name: string) => new Uint8Array(readFileSync(join(folder, name)));

interface Described {
  name: string;
  dtype: string;
  shape: number[];
  strides: number[];
  values: string[];
}
const arrays: Described[] = JSON.parse(readFileSync(join(folder, "arrays.json"), "utf8"));

/** A file of one array with this header. */
function made(header: string, values: Uint8Array = new Uint8Array(), version = 1): Uint8Array {
  const text = new TextEncoder().encode(header);
  const file = new Uint8Array((version === 1 ? 10 : 12) + text.length + values.length);
  file.set([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, version, 0]);
  const view = new DataView(file.buffer);
  if (version === 1) view.setUint16(8, text.length, true);
  else view.setUint32(8, text.length, true);
  file.set(text, file.length - values.length - text.length);
  file.set(values, file.length - values.length);
  return file;
}

async function expectArray(tensor: Tensor | undefined, { name, dtype, shape, strides, values }: Described) {
  expect(tensor, name).toMatchObject({ dtype, shape });
  // of one length or none, a stride says nothing
  if (!shape.includes(0)) expect(tensor?.strides, name).toEqual(strides);
  const read = Array.from(((await tensor?.read()) ?? []) as ArrayLike<number | bigint>);
  const expected = values.map((value) => {
    if (dtype.endsWith("int64")) return BigInt(value);
    return dtype === "bool" ? Number(value === "True") : Number(value.replace("inf", "Infinity"));
  });
  expect(read, name).toEqual(
    dtype === "float32" || dtype === "complex64"
      ? expected.map((value) => Math.fround(Number(value)))
      : expected,
  );
}

describe("arrays of NumPy", () => {
  it.each(["arrays.npz", "deflated.npz"])(
    "%s: every type, Fortran order as strides, big-endian, scalars, `__proto__`",
    async (file) => {
      const checkpoint = await open(join(folder, file));
      expect(checkpoint).toMatchObject({ format: "npz", metadata: {}, modules: [] });
      expect(checkpoint.framework).toBeUndefined();
      const names = [...checkpoint.tensors.keys()];
      expect(names.filter((name) => name !== "large")).toEqual(arrays.map(({ name }) => name));
      for (const array of arrays) await expectArray(checkpoint.tensors.get(array.name), array);
    },
  );

  it("ZIP64 fields and data descriptors", async () => {
    const { tensors } = await open(join(folder, "zip64.npz"));
    for (const array of arrays.filter(({ name }) => tensors.has(name)))
      await expectArray(tensors.get(array.name), array);
    expect([...tensors.keys()]).toEqual(["float32", "fortran"]);
  });

  it.each([1, 2, 3])("version %i of a single array", async (version) => {
    const { format, tensors } = await open(join(folder, `version-${version}.npy`));
    expect(format).toBe("npy");
    await expectArray(tensors.get(`version-${version}`), arrays[1]);
  });

  it("says where values lie: stored in the archive, and of deflated ones nothing is inflated but headers", async () => {
    const { tensors } = await open(join(folder, "fortran.npy"));
    expect(tensors.get("fortran")?.at).toEqual({
      file: join(folder, "fortran.npy"),
      offset: 128,
      byteLength: 192,
    });
    const bytes = bytesOf("deflated.npz");
    // the end of the last array, before the directory
    bytes.fill(0x55, bytes.length - 4500, bytes.length - 4000);
    const damaged = await open(bytes);
    await expectArray(
      damaged.tensors.get("fortran"),
      arrays.find(({ name }) => name === "fortran") as Described,
    );
    await expect(damaged.tensors.get("large")?.read()).rejects.toThrow(
      'entry "large.npy": expected 24128 bytes when inflated, got 24088',
    );
  });

  it("lists what it does not read, refuses it by its name, and reads what is beside it", async () => {
    const { tensors } = await open(join(folder, "refused.npz"));
    for (const [name, dtype] of Object.entries({
      object: "object (|O)",
      str: "str (<U2)",
      bytes: "bytes (|S2)",
      structure: "structure",
      void: "void (|V2)",
      datetime64: "datetime64 (<M8[D])",
      timedelta64: "timedelta64 (<m8[s])",
      longdouble: "longdouble (<f16)",
      clongdouble: "clongdouble (<c32)",
    })) {
      expect(tensors.get(name)?.dtype).toBe(dtype);
      await expect(tensors.get(name)?.read()).rejects.toThrow(
        `tensor "${name}": values of type ${dtype} are not read`,
      );
    }
    await expectArray(tensors.get("fine"), arrays[1]);
  });

  it("refuses a single array of objects: they are a pickle", async () => {
    await expect(open(bytesOf("object.npy"), { name: "object.npy" })).rejects.toThrow(
      'object.npy (npy at byte 128): tensor "object": values of type object (|O) are not read; ' +
        "convert it to float32, float16 or bfloat16 where it was written",
    );
  });

  it("reads the header of Python 2, with long integers and double quotes", async () => {
    const { tensors } = await open(
      made(`{"descr": u'<f4', 'fortran_order': True, 'shape': (1L, 2L,),}\n`, new Uint8Array(8)),
      { name: "a.npy" },
    );
    expect(tensors.get("a")).toMatchObject({ shape: [1, 2], strides: [1, 1] });
  });
});

describe("damaged files", () => {
  const header = (shape: string, descr = "'<f4'") =>
    `{'descr': ${descr}, 'fortran_order': False, 'shape': ${shape}, }\n`;

  it.each([
    ["cut off", made(header("(2,)")).slice(0, 30), "expected a header of 58 bytes, the array ends after 20"],
    ["of few bytes", made("").slice(0, 9), "expected a header that begins with \\x93NUMPY"],
    ["of version 4", made(header("(2,)"), undefined, 4), "version 4 is not read; save it with NumPy's save"],
    [
      "with fewer values",
      made(header("(2,)"), new Uint8Array(4)),
      "expected 8 bytes for [2] of float32, there are 4",
    ],
    ["with a negative length", made(header("(-2,)")), "expected at most 32 non-negative lengths, got [-2]"],
    [
      "with a length that is a text",
      made(header("('2',)")),
      "expected at most 32 non-negative lengths, got [2]",
    ],
    [
      "without a shape",
      made("{'descr': '<f4', 'fortran_order': False}\n"),
      "expected a header of descr, fortran_order and shape, got {'descr'",
    ],
    [
      "with code",
      made(header("(__import__('os').system('true'),)")),
      "expected a Python literal in its header, got __import__('os').system('true'),)",
    ],
    ["nested without end", made("(".repeat(60000)), "expected a header nested at most 32 deep"],
    ["with an open text", made("{'descr"), "expected a Python literal in its header, got 'descr"],
    ["with a comma for a colon", made("{'descr', 1}"), 'expected ":" after a key in its header'],
    ["with no comma", made("{'descr': 1 2}"), 'expected "," or "}" in its header, got 2'],
    ["closed too early", made("{'descr': )"), "expected a value in its header, got )"],
  ])("a header %s", async (_, bytes, problem) => {
    await expect(open(bytes, { name: "a.npy" })).rejects.toThrow(
      `): ${problem.startsWith("expected 8") || problem.includes("lengths") ? 'tensor "a"' : 'array "a"'}: ${problem}`,
    );
  });

  it("a header of more than 1 MiB", async () => {
    const long = made(" ".repeat(2 ** 20 + 1), undefined, 2);
    await expect(open(long)).rejects.toThrow("expected a header of at most 1048576 bytes, got 1048577");
  });

  it("names of a header that are those of Object.prototype", async () => {
    const bytes = made(
      "{'__proto__': {'descr': '<f4'}, 'fortran_order': False, 'shape': ()}\n",
      new Uint8Array(4),
    );
    await expect(open(bytes)).rejects.toThrow("expected a header of descr, fortran_order and shape");
  });

  it("an archive cut off", async () => {
    await expect(open(bytesOf("arrays.npz").slice(0, 3000), { name: "a.npz" })).rejects.toThrow(
      "a.npz (npz): expected a ZIP directory at its end, there is none; the file is cut off; the file seems damaged: fetch or write it again",
    );
  });
});

describe("writeNpz", () => {
  const given: [string, WrittenTensor][] = [
    ["layers/0/gamma", { shape: [2, 3], data: Float32Array.of(1, 2, 3, 4, 5, 6) }],
    ["γ", { shape: [2], dtype: "float16", data: [1 / 3, -2] }],
    ["scalar", { shape: [], data: Float64Array.of(Math.PI) }],
    ["empty", { shape: [0, 3], data: new Int16Array() }],
    ["flags", { shape: [2], dtype: "bool", data: Uint8Array.of(1, 0) }],
    ["complex", { shape: [1], dtype: "complex128", data: [1, -2] }],
    ["long", { shape: [1], data: BigUint64Array.of(2n ** 64n - 1n) }],
    ["small", { shape: [1], data: Int8Array.of(-1) }],
  ];

  it("writes what it reads", async () => {
    const { tensors } = await open(writeNpz(given));
    for (const [name, { shape, data }] of given) {
      const tensor = tensors.get(name) as Tensor;
      expect(tensor.shape).toEqual(shape);
      const values = await tensor.read();
      expect(Array.from(values as Float32Array), name).toEqual(
        name === "γ" ? [0.333251953125, -2] : Array.from(data as number[]),
      );
    }
  });

  // a Python with the library in it; skipped where none is named
  const python = process.env.EVENKEEL_PYTHON ?? "";
  it.skipIf(python === "")("is read by NumPy", async () => {
    const temporary = await mkdtemp(join(tmpdir(), "evenkeel-"));
    try {
      const path = join(temporary, "written.npz");
      await writeFile(path, writeNpz(given));
      const script =
        "import sys, json, numpy; a = numpy.load(sys.argv[1]); " +
        "print(json.dumps({n: [a[n].dtype.name, list(a[n].shape), str(a[n].flatten().tolist())] for n in a.files}))";
      expect(JSON.parse(execFileSync(python, ["-c", script, path], { encoding: "utf8" }))).toEqual({
        "layers/0/gamma": ["float32", [2, 3], "[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]"],
        γ: ["float16", [2], "[0.333251953125, -2.0]"],
        scalar: ["float64", [], `[${Math.PI}]`],
        empty: ["int16", [0, 3], "[]"],
        flags: ["bool", [2], "[True, False]"],
        complex: ["complex128", [1], "[(1-2j)]"],
        long: ["uint64", [1], "[18446744073709551615]"],
        small: ["int8", [1], "[-1]"],
      });
    } finally {
      await rm(temporary, { recursive: true });
    }
  });

  it("refuses bfloat16, which NumPy lacks", () => {
    expect(() => writeNpz([["a", { shape: [1], dtype: "bfloat16", data: [1] }]])).toThrow(
      new RangeError('writeNpz: tensor "a": NumPy has no bfloat16; leave dtype out, which writes float32'),
    );
  });
});

itWithModel("npz/candle-test.npz")("npz/candle-test.npz, from the wild", async () => {
  const { tensors } = await open(modelFile("npz/candle-test.npz"));
  const values = BigInt64Array.from({ length: 10 }, (_, i) => BigInt(i));
  expect(await tensors.get("x")?.read()).toEqual(values);
  expect(await tensors.get("x_plus_one")?.read()).toEqual(values.map((value) => value + 1n));
});

const fixture = (name: string) => ({ [name]: bytesOf(name) });
const small = {
  "small.npz": writeZip([
    ["a.npy", bytesOf("version-1.npy")],
    ["b.npy", bytesOf("fortran.npy")],
  ]),
};
fuzz(
  "npz",
  [small, fixture("arrays.npz"), fixture("deflated.npz"), fixture("zip64.npz"), fixture("refused.npz")],
  npz.read,
);
fuzz("npy", [fixture("version-1.npy"), fixture("version-3.npy"), fixture("fortran.npy")], npy.read);
