import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { frozenGraph } from "../../../src/checkpoints/formats/frozen-graph.js";
import { open } from "../../../src/checkpoints/open.js";
import { numbersOf } from "../../../src/checkpoints/tensors.js";
import { filesIn, fuzz } from "../support/fuzz.js";
import { double, field, float, message, varint } from "../support/protobuf.js";

const folder = fileURLToPath(new URL("../../fixtures/checkpoints/tensorflow/", import.meta.url));
const network = (name: string) => JSON.parse(readFileSync(`${folder}${name}.json`, "utf8"));
const bytesIn = (name: string) => new Uint8Array(readFileSync(folder + name));
const given = (bytes: Uint8Array) => frozenGraph.read(filesIn({ "graph.pb": bytes }));

const shapeOf = (...shape: number[]) => field(2, message(...shape.map((size) => field(2, field(1, size)))));
const attribute = (name: string, value: Uint8Array) => field(5, message(field(1, name), field(2, value)));
const node = (name: string, op: string, inputs: string[], ...attributes: Uint8Array[]) =>
  field(1, message(field(1, name), field(2, op), ...inputs.map((input) => field(3, input)), ...attributes));
const constant = (name: string, ...proto: Uint8Array[]) =>
  node(name, "Const", [], attribute("value", field(8, message(...proto))));
const raw = (array: ArrayBufferView) => new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

describe("a frozen graph", () => {
  it("of TensorFlow 1 has constants by their variables' names, and a batch norm of two branches once", async () => {
    const { weights } = network("graph");
    const checkpoint = await open(`${folder}graph/frozen.pb`);
    expect(checkpoint).toMatchObject({
      format: "TensorFlow frozen graph",
      framework: "keras2",
      others: new Map(),
    });
    for (const [name, tensor] of checkpoint.tensors) {
      if (weights[name]) expect(await tensor.read(), name).toEqual(Float32Array.from(weights[name].values));
    }
    expect([...checkpoint.tensors.keys()]).toContain("net/dense/kernel/part_2");
    const [{ name, type, config, tensors }, ...more] = checkpoint.modules;
    expect(more).toEqual([]);
    expect([name, type, config]).toEqual([
      "net/bn",
      "FusedBatchNormV3",
      { epsilon: Math.fround(0.005), exponential_avg_factor: 1, is_training: false, data_format: "NHWC" },
    ]);
    expect(Object.entries(tensors).map(([role, tensor]) => [role, tensor.name])).toEqual([
      ["scale", "net/bn/gamma"],
      ["offset", "net/bn/beta"],
      ["mean", "net/bn/moving_mean"],
      ["variance", "net/bn/moving_variance"],
    ]);
  });

  it("of TensorFlow 2 has constants by their place, and its batch norms", async () => {
    const { weights } = network("keras2");
    const { tensors, modules } = await open(`${folder}keras2/frozen.pb`);
    expect(await tensors.get("net/bn/ReadVariableOp/resource")?.read()).toEqual(
      Float32Array.from(weights["bn/gamma"].values),
    );
    expect(modules.map(({ name, type }) => `${name} ${type}`)).toEqual([
      "net/bn FusedBatchNormV3",
      "net/inner/inner_bn FusedBatchNormV3",
    ]);
    const [bn, inner] = modules;
    expect(await bn.tensors.variance.read()).toEqual(Float32Array.from(weights["bn/moving_variance"].values));
    // Keras writes ones where there is no scale
    expect(await inner.tensors.scale.read()).toEqual(Float32Array.of(1, 1, 1, 1));
    expect(inner.config.epsilon).toBe(Math.fround(0.02));
  });

  it("has values in content or in lists, whose last one repeats", async () => {
    const graph = message(
      constant("content", field(1, 1), shapeOf(2), field(4, raw(Float32Array.of(1, 2)))),
      constant("packed", field(1, 1), shapeOf(4), field(5, raw(Float32Array.of(1, 2)))),
      constant("single", field(1, 1), shapeOf(2, 2), float(5, 3)),
      constant("doubles", field(1, 2), shapeOf(2), double(6, 0.1), double(6, 0.2)),
      constant("zeros", field(1, 1), shapeOf(3)),
      constant("scalar", field(1, 3), field(7, -4)),
      constant("bytes", field(1, 6), shapeOf(2), field(7, message(varint(-1), varint(5)))),
      constant("halves", field(1, 19), shapeOf(3), field(13, message(varint(0x3c00), varint(0xc000)))),
      constant("brains", field(1, 14), shapeOf(1), field(13, varint(0x4049))),
      constant("longs", field(1, 9), shapeOf(1), field(10, 2n ** 62n + 1n)),
      constant("flags", field(1, 10), shapeOf(2), field(11, Uint8Array.of(1, 0))),
      constant("unsigned", field(1, 22), shapeOf(1), field(16, 4e9)),
      constant("waves", field(1, 8), shapeOf(2), field(9, raw(Float32Array.of(1, -2)))),
      constant("words", field(1, 7), shapeOf(1), field(8, "gamma")),
      constant("__proto__", field(1, 1), float(5, 9)),
    );
    const { tensors } = await open(graph, { name: "graph.pb" });
    const values: Record<string, unknown> = {};
    for (const [name, tensor] of tensors) {
      if (name !== "words" && name !== "__proto__") values[name] = [...(await numbersOf(tensor))];
    }
    expect(values).toEqual({
      content: [1, 2],
      packed: [1, 2, 2, 2],
      single: [3, 3, 3, 3],
      doubles: [0.1, 0.2],
      zeros: [0, 0, 0],
      scalar: [-4],
      bytes: [-1, 5],
      halves: [1, -2, -2],
      brains: [3.140625],
      longs: [2 ** 62],
      flags: [1, 0],
      unsigned: [4e9],
      waves: [1, -2, 1, -2],
    });
    expect(await tensors.get("longs")?.read()).toEqual(BigInt64Array.of(2n ** 62n + 1n));
    expect(await tensors.get("__proto__")?.read()).toEqual(Float32Array.of(9));
    await expect(tensors.get("words")?.read()).rejects.toThrow(
      /tensor "words": values of type string are not read/,
    );
  });

  it("of TensorFlow.js before 1.0 is refused: its values would all be 0", async () => {
    const emptied = [
      constant("shape", field(1, 3), shapeOf(4), field(4, raw(Int32Array.of(1, 2, 3, 4)))),
      constant("kernel", field(1, 1), shapeOf(3, 3, 64)),
      constant("bias", field(1, 1), shapeOf(64)),
    ];
    await expect(open(message(...emptied), { name: "a.pb" })).rejects.toThrow(
      "a.pb (TensorFlow frozen graph): expected constants with values, they were taken out; open the weights_manifest.json that " +
        "TensorFlow.js wrote beside it",
    );
    const weights = constant("weights", field(1, 1), shapeOf(32), field(4, raw(new Float32Array(32))));
    expect((await open(message(...emptied, weights))).tensors.size).toBe(4);
  });

  it("refuses more values than its shape has, and repeats that the file cannot mean", async () => {
    const more = await given(constant("a", field(1, 1), shapeOf(1), field(5, raw(Float32Array.of(1, 2)))));
    await expect(more.tensors.get("a")?.read()).rejects.toThrow(
      'graph.pb (TensorFlow frozen graph at byte 25): tensor "a": expected at most 1 values, got 2; the file seems damaged: fetch or write it again',
    );
    const large = await given(constant("a", field(1, 1), shapeOf(1e6, 1e6), float(5, 1)));
    await expect(large.tensors.get("a")?.read()).rejects.toThrow(
      /tensor "a": expected values that a file of \d+ bytes can hold, got \[1000000, 1000000\]/,
    );
  });

  it("that goes round is followed no further", async () => {
    const graph = message(
      node("a", "Identity", ["b"]),
      node("b", "Identity", ["a"]),
      node("bn/FusedBatchNorm", "FusedBatchNorm", ["x", "a", "a", "b", "b"]),
    );
    expect((await given(graph)).modules).toEqual([]);
  });

  it("of thousands of layers that share a constant opens at once, each layer its own", async () => {
    const vector = [field(1, 1), shapeOf(1)];
    const layers = Array.from({ length: 3000 }, (_, i) =>
      message(constant(`m${i}`, ...vector), node(`bn${i}`, "FusedBatchNorm", ["x", "k", "k", `m${i}`, "k"])),
    );
    const { modules } = await given(message(constant("k", ...vector), ...layers));
    expect(modules).toHaveLength(3000);
  });

  it("whose function calls itself is followed no further", async () => {
    const names = Array.from({ length: 2000 }, (_, i) => `a${i}`);
    const call = (inputs: string[]) =>
      message(
        field(1, "call"),
        field(2, "PartitionedCall"),
        ...inputs.map((input) => field(3, input)),
        attribute("f", field(10, field(1, "f"))),
      );
    const signature = message(field(1, "f"), ...names.map((name) => field(2, field(1, name))));
    const itself = message(field(1, signature), field(3, call([names[0], ...names.slice(0, -1)])));
    const graph = message(constant("k", field(1, 1)), field(1, call(["k"])), field(2, field(1, itself)));
    expect((await given(graph)).modules).toEqual([]);
  });

  it("is told from other messages", async () => {
    const none = filesIn({ x: new Uint8Array(1) });
    expect(await frozenGraph.matches(node("x", "Placeholder", []), none)).toBe(true);
    expect(await frozenGraph.matches(field(1, message(field(1, "x"), field(2, "not an op"))), none)).toBe(
      false,
    );
    expect(await frozenGraph.matches(message(field(1, 8), field(2, "pytorch")), none)).toBe(false);
    expect(await frozenGraph.matches(new TextEncoder().encode("\n\n\u0012\u0001A"), none)).toBe(false);
  });

  fuzz(
    "TensorFlow frozen graph",
    [{ "a.pb": bytesIn("graph/frozen.pb") }, { "b.pb": bytesIn("keras2/frozen.pb") }],
    frozenGraph.read,
  );
});
