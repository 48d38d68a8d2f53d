import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { mkdtemp, open as openFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import type { Checkpoint } from "../../../src/checkpoints/checkpoint.js";
import {
  safetensors,
  safetensorsIndex,
  writeSafetensors,
} from "../../../src/checkpoints/formats/safetensors.js";
import { open } from "../../../src/checkpoints/open.js";
import { numbersOf, type Tensor } from "../../../src/checkpoints/tensors.js";
import type { WrittenTensor } from "../../../src/checkpoints/written.js";
import { filesIn, fuzz } from "../support/fuzz.js";
import { itWithModel, modelFile } from "../support/shared-models.js";

const folder = fileURLToPath(new URL("../../fixtures/checkpoints/safetensors", import.meta.url));
const bytesOf = (name: string) => new Uint8Array(readFileSync(join(folder, name)));
const jsonOf = (name: string) => JSON.parse(readFileSync(join(folder, name), "utf8"));
const network = jsonOf("network.json");

/** A file of this header, and so many bytes after it. */
function made(header: unknown, bytes = 0): Uint8Array {
  const text = new TextEncoder().encode(typeof header === "string" ? header : JSON.stringify(header));
  const file = new Uint8Array(8 + text.length + bytes);
  new DataView(file.buffer).setBigUint64(0, BigInt(text.length), true);
  file.set(text, 8);
  return file;
}

const f32 = (begin: number, end: number, shape = [(end - begin) / 4]) => ({
  dtype: "F32",
  shape,
  data_offsets: [begin, end],
});

async function messageOf(bytes: Uint8Array): Promise<string> {
  const error = await open(bytes, { name: "x.safetensors" }).then(
    () => undefined,
    (thrown: Error) => thrown,
  );
  expect(error?.name).toBe("CheckpointError");
  return error?.message ?? "";
}

const tensorOf = (checkpoint: Checkpoint, name: string) => checkpoint.tensors.get(name) as Tensor;

async function expectWeights(checkpoint: Checkpoint): Promise<void> {
  expect([...checkpoint.tensors.keys()].sort()).toEqual(Object.keys(network.weights).sort());
  for (const [name, { shape, values }] of Object.entries<{ shape: number[]; values: number[] }>(
    network.weights,
  )) {
    const tensor = tensorOf(checkpoint, name);
    expect(tensor.shape).toEqual(shape);
    expect(Array.from(await numbersOf(tensor)), name).toEqual(
      tensor.dtype === "int64" ? values : Array.from(Float32Array.from(values)),
    );
  }
}

describe("files of safetensors", () => {
  it("gives PyTorch's weights bit for bit", async () => {
    const checkpoint = await open(join(folder, "network.safetensors"));
    expect(checkpoint).toMatchObject({
      format: "safetensors",
      framework: "pytorch",
      byteLength: bytesOf("network.safetensors").length,
      modules: [],
    });
    await expectWeights(checkpoint);
  });

  it("keeps the name that tied weights were dropped under as metadata: one name is stored (transformers#38870)", async () => {
    const { metadata, tensors } = await open(join(folder, "network.safetensors"));
    expect(metadata).toEqual({ format: "pt", note: "naïve", "outer.weight": "inner.weight" });
    expect(tensors.has("outer.weight")).toBe(false);
  });

  it("reads shards by their index, and config.json beside it", async () => {
    const checkpoint = await open(join(folder, "sharded"));
    expect(checkpoint.format).toBe("safetensors (sharded)");
    expect(checkpoint.framework).toBe("pytorch");
    expect(checkpoint.metadata).toEqual({
      format: "pt",
      total_size: 548,
      config: { model_type: "tiny", rms_norm_eps: 1e-6 },
    });
    await expectWeights(checkpoint);
    expect(new Set([...checkpoint.tensors.values()].map(({ at }) => at.file)).size).toBe(2);
  });

  it("reads config.json beside a single file too", async () => {
    const { metadata } = await open(join(folder, "sharded/model-00001-of-00002.safetensors"));
    expect(metadata.config).toEqual({ model_type: "tiny", rms_norm_eps: 1e-6 });
  });

  it("reads every type, and refuses float8 by name", async () => {
    const checkpoint = await open(bytesOf("types.safetensors"));
    for (const { name, dtype, shape, values } of jsonOf("types.json")) {
      const tensor = tensorOf(checkpoint, name);
      expect(tensor, name).toMatchObject({ name, dtype, shape });
      if (dtype.startsWith("float8")) {
        await expect(tensor.read()).rejects.toThrow(
          `file (safetensors at byte ${tensor.at.offset}): tensor "${name}": values of type ${dtype} are not read; ` +
            "convert it to float32, float16 or bfloat16 where it was written",
        );
        continue;
      }
      const read = Array.from((await tensor.read()) as ArrayLike<number | bigint>, (value) =>
        dtype === "bool" ? (value ? "True" : "False") : value,
      );
      const numbers = (values as string[]).map((value) => {
        if (dtype.endsWith("int64")) return BigInt(value);
        return dtype === "bool" ? value : Number(value.replace("inf", "Infinity"));
      });
      expect(read, name).toEqual(numbers);
    }
  });

  it("takes __proto__ and constructor for names", async () => {
    const { tensors } = await open(bytesOf("types.safetensors"));
    expect(await tensors.get("__proto__")?.read()).toEqual(Float32Array.of(1, 2));
    expect(await tensors.get("constructor")?.read()).toEqual(Float32Array.of(3));
    const { metadata } = await open(made('{"__metadata__":{"__proto__":"x"}}'));
    expect(Object.getPrototypeOf(metadata)).toBe(Object.prototype);
    expect(Object.keys(metadata)).toEqual(["__proto__"]);
  });

  it.each([
    [{ format: "flax" }, "kernel", "flax"],
    [{ format: "tf" }, "gamma:0", "keras2"],
    [{ format: "mlx" }, "norm.weight", undefined],
    [undefined, "norm.running_mean", "pytorch"],
    [undefined, "layer/gamma", undefined],
  ])("of metadata %j and the name %s, the framework is %s", async (metadata, name, framework) => {
    const file = made({ ...(metadata && { __metadata__: metadata }), [name]: f32(0, 4) }, 4);
    expect((await open(file)).framework).toBe(framework);
  });
});

describe("lazily", () => {
  it("opens 2 GB and gives one tensor having read less than 1 MB", async () => {
    const temporary = await mkdtemp(join(tmpdir(), "evenkeel-"));
    try {
      const path = join(temporary, "large.safetensors");
      const end = 2 ** 31;
      const header = made({ large: f32(0, end), small: f32(end, end + 8) });
      const file = await openFile(path, "w+");
      await file.write(header, 0, header.length, 0);
      await file.write(Float32Array.of(1.5, -2), 0, 8, header.length + end);
      const size = (await file.stat()).size;
      expect(size).toBeGreaterThan(2 ** 31);
      let read = 0;
      const checkpoint = await open({
        byteLength: size,
        async slice(from, to) {
          read += to - from;
          const bytes = new Uint8Array(to - from);
          await file.read(bytes, 0, bytes.length, from);
          return bytes.buffer;
        },
      });
      expect(await tensorOf(checkpoint, "small").read()).toEqual(Float32Array.of(1.5, -2));
      expect(read).toBeLessThan(2 ** 20);
      await file.close();
      expect(await tensorOf(await open(path), "small").read()).toEqual(Float32Array.of(1.5, -2));
    } finally {
      await rm(temporary, { recursive: true });
    }
  });
});

describe("damaged files", () => {
  const start = (header: unknown) => made(header).length;

  it("header longer than the file", async () => {
    const file = made({ a: f32(0, 4) }, 4).slice(0, 40);
    expect(await messageOf(file)).toBe(
      "x.safetensors (safetensors at byte 8): expected a header of 54 bytes, the file ends after 32; " +
        "the file seems damaged: fetch or write it again",
    );
  });

  it("header over 100 MB", async () => {
    const length = 100_000_008;
    const source = {
      byteLength: length + 8,
      slice(from: number, to: number) {
        const bytes = new Uint8Array(to - from);
        if (from === 0) {
          new DataView(bytes.buffer).setBigUint64(0, BigInt(length), true);
          bytes[8] = 0x7b;
        }
        return bytes.buffer;
      },
    };
    await expect(open(source, { name: "x" })).rejects.toThrow(
      "x (safetensors at byte 8): expected a header of at most 100000000 bytes, got 100000008; split the file where it was written",
    );
  });

  it("file shorter than its header's length", async () => {
    await expect(safetensors.read(filesIn({ x: new Uint8Array(3) }))).rejects.toThrow(
      "x (safetensors at byte 0): expected 8 bytes of a header's length, the file ends after 3",
    );
  });

  it("header that is no JSON, or no object", async () => {
    expect(await messageOf(made("{'a': 1}"))).toContain("expected a header in JSON, got something else");
    await expect(safetensors.read(filesIn({ x: made("[]") }))).rejects.toThrow("a header that is an object");
  });

  it.each([
    [
      '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
    ],
    ['{"a":{"dtype":"F16","dtype":"F32","shape":[1],"data_offsets":[0,4]}}'],
    ['{"__metadata__":{"k:\\"":"v","k:\\"":"w"}}'],
  ])("a name twice: %s", async (header) => {
    expect(await messageOf(made(header, 4))).toContain("expected a header with each name once");
  });

  it("offsets that overlap", async () => {
    const header = { a: f32(0, 8), b: f32(4, 12) };
    expect(await messageOf(made(header, 12))).toContain(
      `at byte ${start(header) + 4}): tensor "b" overlaps the one before it: expected to begin at 8, got 4`,
    );
  });

  it("holes between tensors, before the first and after the last", async () => {
    const header = { a: f32(0, 4), b: f32(8, 12) };
    expect(await messageOf(made(header, 12))).toContain(
      'tensor "b" leaves a gap after the one before it: expected to begin at 4, got 8',
    );
    expect(await messageOf(made({ a: f32(4, 8) }, 8))).toContain("expected to begin at 0, got 4");
    expect(await messageOf(made({ a: f32(0, 4) }, 7))).toContain(
      "expected the file to end after its last tensor, 3 bytes follow",
    );
  });

  it("offsets out of range", async () => {
    expect(await messageOf(made({ a: f32(0, 8) }, 4))).toContain('tensor "a": expected 8 bytes, there are 4');
  });

  it.each([
    [{ dtype: "F32", shape: [3], data_offsets: [0, 8] }, "expected 12 bytes for [3] of float32, there are 8"],
    [
      { dtype: "F32", shape: [1], data_offsets: [0, 8] },
      "expected 4 bytes for [1] of float32, data_offsets give 8",
    ],
    [
      { dtype: "F8_E5M2", shape: [3], data_offsets: [0, 8] },
      "expected 3 bytes for [3] of float8_e5m2, data_offsets give 8",
    ],
    [
      { dtype: "F4", shape: [4], data_offsets: [0, 8] },
      "expected 2 bytes for [4] of float4_e2m1fn, data_offsets give 8",
    ],
    [
      { dtype: "F32", shape: [2 ** 53, 2 ** 53], data_offsets: [0, 8] },
      "expected at most 32 non-negative lengths",
    ],
    [
      { dtype: "F32", shape: [-2], data_offsets: [0, 8] },
      "expected at most 32 non-negative lengths, got [-2]",
    ],
    [{ dtype: "float32", shape: [2], data_offsets: [0, 8] }, 'expected a dtype such as F32, got "float32"'],
    [
      { dtype: "F32", shape: [2], data_offsets: [8, 0] },
      "expected dtype, shape and data_offsets [begin, end], got",
    ],
    [{ dtype: "F32", shape: [2], data_offsets: [-8, 0] }, "expected dtype, shape and data_offsets"],
    [{ dtype: "F32", shape: [2], data_offsets: ["0", 8] }, "expected dtype, shape and data_offsets"],
    [{ dtype: "F32", shape: 2, data_offsets: [0, 8] }, "expected dtype, shape and data_offsets"],
    [null, "expected dtype, shape and data_offsets [begin, end], got null"],
  ])("%j", async (entry, problem) => {
    expect(await messageOf(made({ a: entry }, 8))).toContain(`tensor "a": ${problem}`);
  });

  it("metadata that is not texts", async () => {
    expect(await messageOf(made({ __metadata__: { a: 1 } }))).toContain(
      'expected texts by name in "__metadata__"',
    );
  });

  it("a type of tomorrow is listed, and keeps no other from loading", async () => {
    const header = { a: { dtype: "F3_NEW", shape: [9], data_offsets: [0, 4] }, b: f32(4, 8) };
    const { tensors } = await open(made(header, 8));
    expect(await tensors.get("b")?.read()).toEqual(Float32Array.of(0));
    await expect(tensors.get("a")?.read()).rejects.toThrow("values of type F3_NEW are not read");
  });
});

describe("a damaged index", () => {
  const index = (weight_map: unknown) =>
    new TextEncoder().encode(JSON.stringify({ metadata: { total_size: 4 }, weight_map }));
  const opened = (weight_map: unknown, shards: Record<string, Uint8Array> = {}) =>
    open(new Map(Object.entries({ "m.safetensors.index.json": index(weight_map), ...shards })));

  it("a missing shard is named, and which tensors lie in it", async () => {
    const missing = Object.fromEntries(["a", "b", "c", "d", "e"].map((name) => [name, "2.safetensors"]));
    await expect(opened(missing)).rejects.toThrow(
      'm.safetensors.index.json (safetensors (sharded)): expected the file "2.safetensors" beside it, in which "a", "b", "c" and ' +
        "2 more tensors lie; there is none; fetch it into the same folder, or give it in the list of files",
    );
  });

  it("a shard without the tensor", async () => {
    await expect(
      opened({ a: "1.safetensors" }, { "1.safetensors": made({ b: f32(0, 4) }, 4) }),
    ).rejects.toThrow('expected the tensor "a" in "1.safetensors", which does not have it');
  });

  it("a path that leaves the folder", async () => {
    await expect(opened({ a: "../1.safetensors" })).rejects.toThrow(
      "expected the name of a file in the same folder",
    );
  });

  it("no map, or none of names", async () => {
    await expect(opened(undefined)).rejects.toThrow('expected "weight_map", from names of tensors to files');
    await expect(opened({ a: 1 })).rejects.toThrow('tensor "a": expected the name of its file, got 1');
  });
});

describe("writeSafetensors", () => {
  const arrays: [string, WrittenTensor][] = [
    ["bytes", { shape: [3], data: Uint8Array.of(1, 2, 255) }],
    ["bool", { shape: [2], dtype: "bool", data: Uint8Array.of(0, 1) }],
    ["list", { shape: [2, 2], data: [0.5, -1, 2, 3] }],
    ["doubles", { shape: [1], data: Float64Array.of(Math.PI) }],
    [
      "half",
      { shape: [8], dtype: "float16", data: [1 / 3, -0, 65519, 65520, 2 ** -25, 2 ** -24 * 1.5, NaN, 2049] },
    ],
    ["brain", { shape: [4], dtype: "bfloat16", data: Float32Array.of(1 / 3, -0, 257, NaN) }],
    ["long", { shape: [2], data: BigInt64Array.of(-1n, 2n ** 62n) }],
    ["complex", { shape: [1], dtype: "complex64", data: Float32Array.of(1, 2) }],
    ["__proto__", { shape: [], data: Int32Array.of(-7) }],
    ["empty", { shape: [0, 3], data: new Float32Array() }],
  ];
  const expected: Record<string, unknown> = {
    half: Float32Array.of(0.333251953125, -0, 65504, Infinity, 0, 2 ** -23, NaN, 2048),
    brain: Float32Array.of(0.333984375, -0, 256, NaN),
    list: Float32Array.of(0.5, -1, 2, 3),
  };

  it("writes what it reads, aligned, with its metadata", async () => {
    const file = writeSafetensors(arrays, { format: "pt", π: "3" });
    const { metadata, tensors } = await open(file);
    expect(metadata).toEqual({ format: "pt", π: "3" });
    expect(tensors.size).toBe(arrays.length);
    for (const [name, { shape, data }] of arrays) {
      const tensor = tensors.get(name) as Tensor;
      expect(tensor.shape).toEqual(shape);
      expect(await tensor.read(), name).toEqual(Object.hasOwn(expected, name) ? expected[name] : data);
      const { offset = 0, byteLength } = tensor.at;
      const size = tensor.shape.reduce((product, length) => product * length, 1);
      if (size > 0) expect(offset % (byteLength / size), name).toBe(0);
    }
    expect([...tensors.keys()][0]).toBe("doubles");
    expect((tensors.get("doubles")?.at.offset ?? 1) % 8).toBe(0);
  });

  // a Python with the library in it; skipped where none is named
  const python = process.env.EVENKEEL_PYTHON ?? "";
  it.skipIf(python === "")("is read by the official library", async () => {
    const temporary = await mkdtemp(join(tmpdir(), "evenkeel-"));
    try {
      const path = join(temporary, "written.safetensors");
      const file = await openFile(path, "w");
      await file.write(writeSafetensors(arrays, { format: "pt" }));
      await file.close();
      const script =
        "import sys, json; from safetensors.torch import load_file; t = load_file(sys.argv[1]); " +
        "print(json.dumps({n: [str(v.dtype), list(v.shape), str(v.flatten().tolist())] for n, v in t.items()}))";
      const seen = JSON.parse(execFileSync(python, ["-c", script, path], { encoding: "utf8" }));
      expect(seen.half).toEqual([
        "torch.float16",
        [8],
        "[0.333251953125, -0.0, 65504.0, inf, 0.0, 1.1920928955078125e-07, nan, 2048.0]",
      ]);
      expect(seen.brain).toEqual(["torch.bfloat16", [4], "[0.333984375, -0.0, 256.0, nan]"]);
      expect(seen.complex).toEqual(["torch.complex64", [1], "[(1+2j)]"]);
      expect(seen.bool).toEqual(["torch.bool", [2], "[False, True]"]);
      expect(seen.long).toEqual(["torch.int64", [2], `[-1, ${2n ** 62n}]`]);
      expect(Object.getOwnPropertyDescriptor(seen, "__proto__")?.value).toEqual(["torch.int32", [], "[-7]"]);
      expect(Object.keys(seen).length).toBe(arrays.length);
    } finally {
      await rm(temporary, { recursive: true });
    }
  });

  const one: WrittenTensor = { shape: [1], data: [1] };
  it.each<[string, () => unknown, typeof TypeError | typeof RangeError, string]>([
    [
      "reserved name",
      () => writeSafetensors([["__metadata__", one]]),
      RangeError,
      'writeSafetensors: a tensor cannot be called "__metadata__"',
    ],
    [
      "name twice",
      () =>
        writeSafetensors([
          ["a", one],
          ["a", one],
        ]),
      RangeError,
      'writeSafetensors: two tensors are called "a"',
    ],
    [
      "too few values",
      () => writeSafetensors([["a", { shape: [2, 3], data: [1] }]]),
      RangeError,
      'writeSafetensors: the data of tensor "a" must have 6 values for [2, 3], got 1',
    ],
    [
      "another type's array",
      () => writeSafetensors([["a", { shape: [1], dtype: "int32", data: Float32Array.of(1) }]]),
      TypeError,
      'writeSafetensors: the data of tensor "a" must be of Int32Array for int32, got a Float32Array',
    ],
    [
      "unknown type",
      () => writeSafetensors([["a", { shape: [1], dtype: "float8" as "float16", data: [1] }]]),
      RangeError,
      'writeSafetensors: the dtype of tensor "a" must be one of float64, float32,',
    ],
    [
      "no data",
      () => writeSafetensors([["a", { shape: [1] } as unknown as WrittenTensor]]),
      TypeError,
      'writeSafetensors: the data of tensor "a" must be a typed array or a list, got undefined',
    ],
    [
      "complex128",
      () => writeSafetensors([["a", { shape: [1], dtype: "complex128", data: [1, 2] }]]),
      RangeError,
      'writeSafetensors: tensor "a": safetensors has no complex128; write complex64',
    ],
    [
      "no list",
      () => writeSafetensors({ a: one } as never),
      TypeError,
      "writeSafetensors: tensors must be a Map, or pairs of a name and a tensor, got an object",
    ],
    [
      "metadata of numbers",
      () => writeSafetensors([], { a: 1 } as never),
      TypeError,
      'writeSafetensors: metadata must be texts by name, got 1 for "a"',
    ],
  ])("refuses a %s", (_, call, type, message) => {
    expect(call).toThrow(type);
    expect(call).toThrow(message);
  });
});

describe("files from the wild", () => {
  itWithModel("safetensors/burn-mnist.safetensors")("burn-mnist", async () => {
    const checkpoint = await open(modelFile("safetensors/burn-mnist.safetensors"));
    expect(checkpoint.framework).toBe("pytorch");
    const names = [...checkpoint.tensors.keys()];
    expect(names.filter((name) => name.endsWith("num_batches_tracked")).length).toBe(2);
    for (const tensor of checkpoint.tensors.values()) {
      expect((await numbersOf(tensor)).every(Number.isFinite), tensor.name).toBe(true);
    }
  });

  itWithModel("safetensors/burn-multi_layer.safetensors")("burn-multi_layer", async () => {
    const { tensors } = await open(modelFile("safetensors/burn-multi_layer.safetensors"));
    expect([...tensors.keys()].filter((name) => name.endsWith("running_var")).length).toBe(1);
    for (const tensor of tensors.values())
      expect((await numbersOf(tensor)).every(Number.isFinite)).toBe(true);
  });
});

const shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
fuzz(
  "safetensors",
  [
    { "network.safetensors": bytesOf("network.safetensors") },
    { "types.safetensors": bytesOf("types.safetensors") },
  ],
  safetensors.read,
);
fuzz(
  "safetensors (sharded)",
  [
    Object.fromEntries(
      ["model.safetensors.index.json", "config.json", ...shards].map((name) => [
        name,
        bytesOf(`sharded/${name}`),
      ]),
    ),
  ],
  safetensorsIndex.read,
);
