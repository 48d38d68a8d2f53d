import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import type { Checkpoint } from "../../../src/checkpoints/checkpoint.js";
import { byNumber, type Field, fieldsOf, integerIn } from "../../../src/checkpoints/encodings/protobuf.js";
import { crc32c, tableEntries } from "../../../src/checkpoints/encodings/sstable.js";
import { concatenated } from "../../../src/checkpoints/encodings/zip.js";
import { tensorflowBundle } from "../../../src/checkpoints/formats/tensorflow-bundle.js";
import { open } from "../../../src/checkpoints/open.js";
import { bytesInMemory, type Files } from "../../../src/checkpoints/source.js";
import { numbersOf } from "../../../src/checkpoints/tensors.js";
import { type Fixture, filesIn, fuzz } from "../support/fuzz.js";
import { field, fixed32, message, varint } from "../support/protobuf.js";
import { itWithModel, modelFile } from "../support/shared-models.js";
import { block, masked, table, tableOf } from "../support/sstable.js";

const folder = fileURLToPath(new URL("../../fixtures/checkpoints/tensorflow/", import.meta.url));
const network = (name: string) => JSON.parse(readFileSync(`${folder}${name}.json`, "utf8"));
const bytesIn = (name: string) => new Uint8Array(readFileSync(folder + name));
const fixture = (...names: string[]): Fixture =>
  Object.fromEntries(names.map((name) => [name.slice(name.lastIndexOf("/") + 1), bytesIn(name)]));
const given = (files: Fixture) => tensorflowBundle.read(filesIn(files));

/** float32 values as the .json has them, of what has the shape. */
async function expectValues(
  checkpoint: Checkpoint,
  name: string,
  { shape, values }: { shape: number[]; values: number[] },
) {
  const tensor = checkpoint.tensors.get(name) ?? checkpoint.others.get(name);
  expect(tensor?.shape, name).toEqual(shape);
  const read = tensor && (await tensor.read());
  if (read instanceof BigInt64Array) expect([...read].map(Number), name).toEqual(values);
  else expect(read, name).toEqual(Float32Array.from(values));
}

const weights = fixture("keras2/weights.index", "keras2/weights.data-00000-of-00001");
const named = fixture("graph/net.ckpt-4.index", "graph/net.ckpt-4.data-00000-of-00001");
const two = fixture("shards/two.index", "shards/two.data-00000-of-00002", "shards/two.data-00001-of-00002");

interface Value {
  dtype: number;
  shape: number[];
  /** Little-endian. */
  bytes: Uint8Array;
  each?: number;
}

const shapeOf = (shape: readonly number[]) => message(...shape.map((size) => field(2, field(1, size))));

/** A bundle of one shard as TensorFlow writes it. */
function bundle(values: Record<string, Value>, { bigEndian = false, snappy = false } = {}): Fixture {
  const entries: [Uint8Array, Uint8Array][] = [
    [new Uint8Array(), message(field(1, 1), ...(bigEndian ? [field(2, 1)] : []))],
  ];
  const data: Uint8Array[] = [];
  let offset = 0;
  for (const name of Object.keys(values).sort()) {
    const { dtype, shape, bytes, each = 1 } = values[name];
    const stored = bytes.slice();
    if (bigEndian) {
      for (let at = 0; at < stored.length; at += each) stored.subarray(at, at + each).reverse();
    }
    const entry = message(
      field(1, dtype),
      field(2, shapeOf(shape)),
      field(4, offset),
      field(5, stored.length),
      fixed32(6, masked(crc32c(stored))),
    );
    entries.push([new TextEncoder().encode(name), entry]);
    data.push(stored);
    offset += stored.length;
  }
  return {
    "made.index": table(entries, { snappy }).bytes,
    "made.data-00000-of-00001": concatenated(data),
  };
}

const raw = (array: ArrayBufferView) => new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
const floats = (...values: number[]): Value => ({
  dtype: 1,
  shape: [values.length],
  bytes: raw(Float32Array.from(values)),
  each: 4,
});

describe("checkpoints of objects", () => {
  const { weights: expected, optimizer } = network("keras2");

  it("have variables by the path of their object, in the network's order, each with its own name", async () => {
    const checkpoint = await open(`${folder}keras2/weights.index`);
    expect(checkpoint).toMatchObject({
      format: "TensorFlow checkpoint",
      framework: "keras2",
      metadata: { shards: 1, endianness: "little" },
      modules: [],
    });
    expect(checkpoint.byteLength).toBe(Object.values(weights).reduce((sum, { length }) => sum + length, 0));
    expect([...checkpoint.tensors].map(([path, { name }]) => `${path} ${name}`)).toEqual([
      "layer_with_weights-0/kernel conv/kernel",
      "layer_with_weights-0/bias conv/bias",
      "layer_with_weights-1/gamma bn/gamma",
      "layer_with_weights-1/beta bn/beta",
      "layer_with_weights-1/moving_mean bn/moving_mean",
      "layer_with_weights-1/moving_variance bn/moving_variance",
      "layer_with_weights-2/layer_with_weights-0/kernel inner_conv/kernel",
      "layer_with_weights-2/layer_with_weights-0/bias inner_conv/bias",
      "layer_with_weights-2/layer_with_weights-1/beta inner_bn/beta",
      "layer_with_weights-2/layer_with_weights-1/moving_mean inner_bn/moving_mean",
      "layer_with_weights-2/layer_with_weights-1/moving_variance inner_bn/moving_variance",
      "layer_with_weights-3/gamma ln/gamma",
      "layer_with_weights-3/beta ln/beta",
      "layer_with_weights-4/gamma gn/gamma",
      "layer_with_weights-4/beta gn/beta",
      "layer_with_weights-5/kernel dense/kernel",
      "layer_with_weights-5/bias dense/bias",
    ]);
    for (const [path, { name }] of checkpoint.tensors) {
      const key = name.startsWith("inner_") ? `inner/${name}` : name;
      await expectValues(checkpoint, path, expected[key]);
    }
  });

  it("tell an optimizer's variables and counters apart, which keep the name of what they belong to", async () => {
    const { tensors, others } = await open(`${folder}keras2/training-1.index`);
    expect(tensors.size).toBe(17);
    expect([...tensors.keys()].every((path) => path.startsWith("model/"))).toBe(true);
    const names = [...others].map(([path, { name }]) => `${path} ${name}`);
    expect(names).toContain("optimizer/_variables/5 Adam/m/bn/gamma");
    expect(names).toContain("optimizer/_iterations optimizer/_iterations");
    expect(names).toContain("save_counter save_counter");
    expect(names).toContain("_CHECKPOINTABLE_OBJECT_GRAPH _CHECKPOINTABLE_OBJECT_GRAPH");
    expect(others.size).toBe(26 + 2 + 2);
    const slots = Object.entries(optimizer as Record<string, { shape: number[]; values: number[] }>);
    for (const [name, { values }] of slots) {
      const slot = [...others.values()].find((one) => one.name === name.replace(":0", ""));
      if (slot) expect(await slot.read()).toEqual(Float32Array.from(values));
    }
  });

  it.each(["keras2/training-1.data-00000-of-00001", "keras2/checkpoint"])("open by %s too", async (name) => {
    const checkpoint = await open(folder + name);
    expect([...checkpoint.tensors.keys()]).toEqual([
      ...(await open(`${folder}keras2/training-1.index`)).tensors.keys(),
    ]);
    await expectValues(checkpoint, "model/layer_with_weights-1/gamma", expected["bn/gamma"]);
  });

  it("tell slots of TensorFlow's older optimizers apart", async () => {
    const { tensors, others } = await given(
      bundle({
        "layer-1/gamma/.ATTRIBUTES/VARIABLE_VALUE": floats(1),
        "layer-1/gamma/.OPTIMIZER_SLOT/training/m/.ATTRIBUTES/VARIABLE_VALUE": floats(2),
        "layer-1/.ATTRIBUTES/OBJECT_CONFIG_JSON": { dtype: 7, shape: [], bytes: new Uint8Array(9) },
        "training/iter/.ATTRIBUTES/VARIABLE_VALUE": { dtype: 9, shape: [], bytes: new Uint8Array(8) },
        "training/beta_1/.ATTRIBUTES/VARIABLE_VALUE": floats(0.9),
      }),
    );
    expect([...tensors.keys()]).toEqual(["layer-1/gamma"]);
    expect([...others.keys()].sort()).toEqual([
      "layer-1/.ATTRIBUTES/OBJECT_CONFIG_JSON",
      "layer-1/gamma/.OPTIMIZER_SLOT/training/m",
      "training/beta_1",
      "training/iter",
    ]);
  });

  it("weights that an optimizer of Keras 3 lists are the model's", async () => {
    const { tensors, others } = await given(
      bundle({
        "model/optimizer/_trainable_variables/0/.ATTRIBUTES/VARIABLE_VALUE": floats(1),
        "model/optimizer/_variables/2/.ATTRIBUTES/VARIABLE_VALUE": floats(2),
        "model/optimizer/_iterations/.ATTRIBUTES/VARIABLE_VALUE": {
          dtype: 9,
          shape: [],
          bytes: new Uint8Array(8),
        },
      }),
    );
    expect([...tensors.keys()]).toEqual(["model/optimizer/_trainable_variables/0"]);
    expect([...others.keys()]).toEqual(["model/optimizer/_iterations", "model/optimizer/_variables/2"]);
  });
});

describe("checkpoints by names", () => {
  const { weights: expected } = network("graph");

  it("have variables by name; slots, moving averages and counters apart", async () => {
    const checkpoint = await open(`${folder}graph/net.ckpt-4.index`);
    expect(checkpoint.framework).toBe("keras2");
    expect([...checkpoint.tensors.keys()].sort()).toEqual([
      "net/bn/beta",
      "net/bn/gamma",
      "net/bn/moving_mean",
      "net/bn/moving_variance",
      "net/conv/kernel",
      "net/dense/kernel",
    ]);
    const others = [...checkpoint.others.keys()];
    for (const slot of ["Adam", "Adam_1", "ExponentialMovingAverage"]) {
      expect(others).toContain(`net/bn/gamma/${slot}`);
    }
    expect(others).toContain("beta1_power");
    expect(others).toContain("global_step");
    for (const name of Object.keys(expected).filter((one) => !one.includes("part_"))) {
      await expectValues(checkpoint, name, expected[name]);
    }
  });

  it("open by the file `checkpoint`, and name a missing index", async () => {
    const state = fixture("graph/checkpoint");
    const checkpoint = await given({ ...state, ...named });
    expect(checkpoint.tensors.size).toBe(6);
    await expect(given(state)).rejects.toThrow(
      "checkpoint (TensorFlow checkpoint): expected net.ckpt-4.index, which it names, beside it; open the checkpoint's .index file",
    );
  });

  it("assemble partitioned variables and their slots", async () => {
    const checkpoint = await open(`${folder}graph/net.ckpt-4.index`);
    for (const slot of ["", "/Adam", "/Adam_1", "/ExponentialMovingAverage"]) {
      const tensor =
        checkpoint.tensors.get(`net/dense/kernel${slot}`) ?? checkpoint.others.get(`net/dense/kernel${slot}`);
      expect(tensor?.shape).toEqual([144, 1]);
      const parts = [0, 1, 2].flatMap((part) => expected[`net/dense/kernel/part_${part}${slot}`].values);
      expect(await tensor?.read()).toEqual(Float32Array.from(parts));
    }
  });

  it("assemble slices along several axes, of positions that need more than a byte", async () => {
    const { slices, whole } = sliced();
    const checkpoint = await given(slices);
    const tensor = checkpoint.tensors.get("table");
    expect(tensor?.shape).toEqual([3, 200]);
    expect(await tensor?.read()).toEqual(whole);
  });

  it("give variables of several shards, and name the shard that is missing", async () => {
    const checkpoint = await open(`${folder}shards/two.index`);
    expect(checkpoint.metadata).toEqual({ shards: 2, endianness: "little" });
    const { weights: values } = network("shards");
    for (const name of ["part0", "part1"]) await expectValues(checkpoint, name, values[name]);
    expect(new Set([...checkpoint.tensors.values()].map(({ at }) => at.file)).size).toBe(2);
    const { "two.data-00001-of-00002": _, ...incomplete } = two;
    await expect(given(incomplete)).rejects.toThrow(
      "two.index (TensorFlow checkpoint): expected a file that ends in .data-00001-of-00002 beside it; give the index and all of its shards",
    );
  });
});

/** A variable of 3 x 200 in slices of columns 0 to 99 and 100 to 199, keyed as ordered_code.cc does it. */
function sliced(): { slices: Fixture; whole: Float32Array } {
  const whole = Float32Array.from({ length: 600 }, (_, i) => i);
  const part = (from: number) =>
    raw(Float32Array.from({ length: 300 }, (_, i) => 200 * Math.floor(i / 100) + from + (i % 100)));
  const [left, right] = [part(0), part(100)];
  const extent = (start: number, length: number) =>
    field(1, message(...(start > 0 ? [field(1, start)] : []), field(2, length)));
  const all = field(1, new Uint8Array());
  const entry = (shape: number[], offset: number, bytes: Uint8Array) =>
    message(
      field(1, 1),
      field(2, shapeOf(shape)),
      field(4, offset),
      field(5, bytes.length),
      fixed32(6, masked(crc32c(bytes))),
    );
  // 0, the name, its end, two axes; all of the first (0 and −1); start and length of the second
  const key = (start: number[]) =>
    Uint8Array.from([0, ...new TextEncoder().encode("table"), 0, 1, 1, 2, 0x80, 0x7f, ...start, 0xc0, 100]);
  const full = message(
    field(1, 1),
    field(2, shapeOf([3, 200])),
    field(7, message(all, extent(0, 100))),
    field(7, message(all, extent(100, 100))),
  );
  const { bytes } = table([
    [new Uint8Array(), message(field(1, 1))],
    [key([0x80]), entry([3, 100], 0, left)],
    [key([0xc0, 100]), entry([3, 100], left.length, right)],
    [new TextEncoder().encode("table"), full],
  ]);
  return {
    slices: { "made.index": bytes, "made.data-00000-of-00001": concatenated([left, right]) },
    whole,
  };
}

describe("types", () => {
  const numbers: Record<string, Value & { expected: number[] }> = {
    float32: { ...floats(0.5, -2), expected: [0.5, -2] },
    float64: { dtype: 2, shape: [1], bytes: raw(Float64Array.of(0.1)), each: 8, expected: [0.1] },
    int32: { dtype: 3, shape: [1], bytes: raw(Int32Array.of(-70000)), each: 4, expected: [-70000] },
    uint8: { dtype: 4, shape: [1], bytes: Uint8Array.of(200), expected: [200] },
    int16: { dtype: 5, shape: [1], bytes: raw(Int16Array.of(-300)), each: 2, expected: [-300] },
    int8: { dtype: 6, shape: [1], bytes: raw(Int8Array.of(-3)), expected: [-3] },
    complex64: { dtype: 8, shape: [1], bytes: raw(Float32Array.of(1, -2)), each: 4, expected: [1, -2] },
    int64: { dtype: 9, shape: [1], bytes: raw(BigInt64Array.of(-5n)), each: 8, expected: [-5] },
    bool: { dtype: 10, shape: [2], bytes: Uint8Array.of(1, 0), expected: [1, 0] },
    bfloat16: { dtype: 14, shape: [1], bytes: raw(Uint16Array.of(0xc049)), each: 2, expected: [-3.140625] },
    uint16: { dtype: 17, shape: [1], bytes: raw(Uint16Array.of(65535)), each: 2, expected: [65535] },
    float16: { dtype: 19, shape: [1], bytes: raw(Uint16Array.of(0xc000)), each: 2, expected: [-2] },
    uint32: { dtype: 22, shape: [1], bytes: raw(Uint32Array.of(4e9)), each: 4, expected: [4e9] },
    uint64: { dtype: 23, shape: [1], bytes: raw(BigUint64Array.of(9n)), each: 8, expected: [9] },
  };
  const refused: Record<string, Value> = {
    string: { dtype: 7, shape: [], bytes: new Uint8Array(8) },
    resource: { dtype: 20, shape: [], bytes: new Uint8Array(8) },
    variant: { dtype: 21, shape: [2], bytes: new Uint8Array(8) },
    float8_e4m3fn: { dtype: 25, shape: [8], bytes: new Uint8Array(8) },
    "type 77": { dtype: 77, shape: [8], bytes: new Uint8Array(8) },
  };

  it.each([
    ["little-endian", {}],
    ["big-endian, as the header says", { bigEndian: true }],
    ["with Snappy", { snappy: true }],
  ])("are read, %s", async (_, how) => {
    const { tensors, metadata } = await given(bundle(numbers, how));
    expect(metadata.endianness).toBe("bigEndian" in how ? "big" : "little");
    for (const [name, { expected }] of Object.entries(numbers)) {
      const tensor = tensors.get(name);
      expect(tensor?.dtype).toBe(name);
      expect(tensor && [...(await numbersOf(tensor))], name).toEqual(expected);
    }
  });

  it("that are not read are listed, and refused by name", async () => {
    const { tensors } = await given(bundle({ ...refused, float32: floats(1) }));
    expect([...tensors.keys()].sort()).toEqual([...Object.keys(refused), "float32"].sort());
    for (const name of Object.keys(refused)) {
      await expect(tensors.get(name)?.read()).rejects.toThrow(`values of type ${name} are not read`);
    }
    expect(await tensors.get("float32")?.read()).toEqual(Float32Array.of(1));
  });
});

/** What checksums protect, bare: a block of entries, the graph of objects, the variables. */
async function bare([index, data]: Uint8Array[]): Promise<Fixture> {
  const pairs: [Uint8Array, Uint8Array][] = [];
  let graph = new Uint8Array();
  for (const { key, value } of await tableEntries("test", bytesInMemory("x", index))) {
    if (new TextDecoder().decode(key) !== "_CHECKPOINTABLE_OBJECT_GRAPH") {
      pairs.push([key, await value.read()]);
      continue;
    }
    const fields = byNumber(await fieldsOf("test", value));
    const [offset, size] = [4, 5].map((number) => integerIn(fields.get(number)?.[0] as Field));
    // after its length and a checksum of that
    const at = data.findIndex((byte, i) => i >= offset && byte < 0x80) + 5;
    graph = data.slice(at, offset + size);
  }
  return { entries: block(pairs), graph, data };
}

/** A bundle of these, with checksums that are right. */
async function checked({ beside }: Files): Promise<Files> {
  const [entries, graph, data] = await Promise.all(
    ["entries", "graph", "data"].map(async (part) => (await beside(part))?.read() as Promise<Uint8Array>),
  );
  const length = raw(Uint32Array.of(graph.length));
  const content = concatenated([raw(Uint32Array.of(masked(crc32c(length)))), graph]);
  const stored = concatenated([varint(graph.length), content]);
  const entry = message(
    field(1, 7),
    field(4, data.length),
    field(5, stored.length),
    fixed32(6, masked(crc32c(content, crc32c(length)))),
  );
  const objects = block([[new TextEncoder().encode("_CHECKPOINTABLE_OBJECT_GRAPH"), entry]]);
  return filesIn({
    "made.index": tableOf(graph.length > 0 ? [entries, objects] : [entries]).bytes,
    "made.data-00000-of-00001": concatenated([data, stored]),
  });
}

describe("damage", async () => {
  it("of a variable shows in its checksum, when it is read", async () => {
    const files = bundle({ "bn/gamma": floats(1, 2), "bn/beta": floats(3) });
    files["made.data-00000-of-00001"][5] ^= 1;
    const { tensors } = await given(files);
    await expect(tensors.get("bn/gamma")?.read()).rejects.toThrow(
      'made.index (TensorFlow checkpoint at byte 4): the checksum (CRC-32C) of "bn/gamma" in made.data-00000-of-00001 differs from what is stored; the file seems damaged: fetch or write it again',
    );
    expect(await tensors.get("bn/beta")?.read()).toEqual(Float32Array.of(3));
  });

  it("of the graph of objects too", async () => {
    const name = "weights.data-00000-of-00001";
    const damaged = weights[name].slice();
    damaged[damaged.length - 1] ^= 1;
    await expect(given({ ...weights, [name]: damaged })).rejects.toThrow(
      `the checksum (CRC-32C) of the graph of objects in ${name} differs from what is stored`,
    );
  });

  it("of a shard that is cut off is named", async () => {
    const files = { ...two, "two.data-00001-of-00002": new Uint8Array(10) };
    await expect(given(files)).rejects.toThrow(
      /expected 24 bytes from byte 0 in two.data-00001-of-00002, which has 10; the shards are cut off, or of another checkpoint: fetch all of one$/,
    );
  });

  it("of a table without a header: TensorFlow's V1", async () => {
    const { bytes } = table([[new TextEncoder().encode("x"), new Uint8Array(3)]]);
    await expect(given({ "old.index": bytes })).rejects.toThrow(
      "old.index (TensorFlow checkpoint): expected a bundle's header, the table has none; a checkpoint of TensorFlow before 0.12 (V1) is not read: load it and save it again",
    );
  });

  it("does not reach objects: __proto__ is a variable's name", async () => {
    const { tensors } = await given(
      bundle({ __proto: floats(1), ["__proto__"]: floats(2), constructor: floats(3) }),
    );
    expect([...tensors.keys()].sort()).toEqual(["__proto", "__proto__", "constructor"]);
    expect(await tensors.get("__proto__")?.read()).toEqual(Float32Array.of(2));
  });

  const parts = await Promise.all(
    [weights, named, sliced().slices].map((files) => bare(Object.values(files))),
  );
  it("of parts: they make the bundle again", async () => {
    const again = await Promise.all(
      parts.map(async (one) => tensorflowBundle.read(await checked(filesIn(one)))),
    );
    expect(again.map(({ tensors }) => tensors.size)).toEqual([17, 6, 1]);
  });
  fuzz("TensorFlow checkpoint below its checksums", parts, async (files) =>
    tensorflowBundle.read(await checked(files)),
  );

  fuzz(
    "TensorFlow checkpoint",
    [weights, named, two, bundle({ a: floats(1, 2), "a/b": floats(3) }, { snappy: true }), sliced().slices],
    tensorflowBundle.read,
  );
});

describe("files of others", () => {
  itWithModel("tf/serving_half_plus_two_tf2/variables/variables.index")("a table with Snappy", async () => {
    const { tensors, others } = await open(
      modelFile("tf/serving_half_plus_two_tf2/variables/variables.index"),
    );
    const values = await Promise.all(
      [...tensors].map(async ([name, one]) => [name, [...(await numbersOf(one))]]),
    );
    expect(Object.fromEntries(values)).toEqual({ a: [0.5], b: [2], c: [3] });
    expect([...others.keys()]).toEqual(["_CHECKPOINTABLE_OBJECT_GRAPH"]);
  });

  itWithModel("tf/basic_pitch_savedmodel/variables/variables.index")("slots of Adam", async () => {
    const { tensors, others } = await open(modelFile("tf/basic_pitch_savedmodel/variables/variables.index"));
    expect(tensors.size).toBe(24);
    expect([...others.keys()]).toContain("layer_with_weights-0/gamma/.OPTIMIZER_SLOT/optimizer/m");
    for (const tensor of tensors.values()) {
      expect((await numbersOf(tensor)).every(Number.isFinite), tensor.name).toBe(true);
    }
  });
});
