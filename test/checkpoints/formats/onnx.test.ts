import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import type { Checkpoint } from "../../../src/checkpoints/checkpoint.js";
import { onnx } from "../../../src/checkpoints/formats/onnx.js";
import { open } from "../../../src/checkpoints/open.js";
import { bytesOf } from "../../../src/checkpoints/source.js";
import { numbersOf } from "../../../src/checkpoints/tensors.js";
import { type Fixture, filesIn, fuzz } from "../support/fuzz.js";
import { itWithModel, modelFile } from "../support/shared-models.js";

const folder = fileURLToPath(new URL("../../fixtures/checkpoints/onnx/", import.meta.url));
const contents = (name: string) => new Uint8Array(readFileSync(folder + name));
const network = (name: string) => JSON.parse(readFileSync(`${folder}${name}.json`, "utf8"));
const opened = (name: string) => open(folder + name);
const given = (fixture: Fixture) => onnx.read(filesIn(fixture));

/** Names of a module's tensors by the operator's names. */
const namesOf = (tensors: Checkpoint["modules"][number]["tensors"]) =>
  Object.fromEntries(Object.entries(tensors).map(([key, { name }]) => [key, name]));

const module = (checkpoint: Checkpoint, name: string) => {
  const found = checkpoint.modules.find((one) => one.name === name);
  if (found === undefined) throw new Error(`no module ${name}`);
  return { ...found, tensors: namesOf(found.tensors) };
};

const cases = readdirSync(folder)
  .filter((name) => name.endsWith(".json"))
  .map((name) => network(name.slice(0, -5)))
  .flatMap((one) => Object.entries<string>(one.files).map(([format, file]) => ({ ...one, format, file })));

describe("every export", () => {
  it.each(cases)("$file: its weights are those of the framework", async ({ file, weights }) => {
    const checkpoint = await opened(file);
    expect(checkpoint).toMatchObject({ format: "ONNX", framework: "onnx" });
    const opset = (checkpoint.metadata.opset_import as Record<string, number>)["ai.onnx"];
    for (const [name, { shape, values }] of Object.entries<{ shape: number[]; values: number[] }>(weights)) {
      const tensor = checkpoint.tensors.get(name);
      // without the operator an exporter folds them into constants with names of its own
      if (/^group0/.test(name) && opset < 21) continue;
      expect(tensor?.shape, name).toEqual(shape);
      const read = await tensor?.read();
      expect(Array.from(read as ArrayLike<number | bigint>, (value) => Math.fround(Number(value)))).toEqual(
        values.map(Math.fround),
      );
    }
  });
});

describe("PyTorch", () => {
  const batch = {
    scale: "batch0.weight",
    B: "batch0.bias",
    input_mean: "batch0.running_mean",
    input_var: "batch0.running_var",
  };

  it("TorchScript, opset 13: what has no operator there is recognized", async () => {
    const checkpoint = await opened("torchscript-13.onnx");
    expect(checkpoint.metadata).toEqual({
      ir_version: 7,
      producer_name: "pytorch",
      producer_version: "2.8.0",
      model_version: 0,
      opset_import: { "ai.onnx": 13 },
      metadata_props: {},
    });
    expect(checkpoint.modules.map(({ type }) => type)).toEqual([
      "Conv",
      "BatchNormalization",
      "GroupNormalization",
      "Conv",
      "InstanceNormalization",
      "LayerNormalization",
      "RMSNormalization",
      "Gemm",
    ]);
    expect(module(checkpoint, "/group0/InstanceNormalization")).toEqual({
      name: "/group0/InstanceNormalization",
      type: "GroupNormalization",
      config: { num_groups: 2, epsilon: Math.fround(1e-4) },
      tensors: { scale: "onnx::Mul_74", bias: "onnx::Add_75" },
      opset: 21,
    });
    expect(module(checkpoint, "/layer0/Sqrt")).toEqual({
      name: "/layer0/Sqrt",
      type: "LayerNormalization",
      config: { axis: -1, epsilon: Math.fround(2e-5) },
      tensors: { Scale: "layer0.weight", B: "layer0.bias" },
      opset: 17,
    });
    expect(module(checkpoint, "/Sqrt")).toEqual({
      name: "/Sqrt",
      type: "RMSNormalization",
      config: { axis: -1, epsilon: Math.fround(1e-6) },
      tensors: { scale: "rms0.weight" },
      opset: 23,
    });
    expect(module(checkpoint, "/batch0/BatchNormalization")).toEqual({
      name: "/batch0/BatchNormalization",
      type: "BatchNormalization",
      // as float32 has them
      config: { epsilon: Math.fround(1e-3), momentum: Math.fround(0.7) },
      tensors: batch,
      opset: 13,
    });
    expect(module(checkpoint, "/dense0/Gemm")).toMatchObject({
      config: { alpha: 1, beta: 1, transB: 1 },
      tensors: { B: "dense0.weight", C: "dense0.bias" },
    });
  });

  it("TorchScript, opset 17: layer normalization is an operator", async () => {
    expect(module(await opened("torchscript-17.onnx"), "/layer0/LayerNormalization")).toMatchObject({
      config: { axis: -1, epsilon: Math.fround(2e-5) },
      tensors: { Scale: "layer0.weight", B: "layer0.bias" },
      opset: 17,
    });
  });

  it("every export has the same normalizations, whether as operators or written out", async () => {
    const { files, weights } = network("torch");
    for (const file of Object.values<string>(files)) {
      const { modules } = await opened(file);
      const norms = modules.filter(({ type }) => type.includes("Norm"));
      expect(norms.map(({ type }) => type)).toEqual([
        "BatchNormalization",
        "GroupNormalization",
        "InstanceNormalization",
        "LayerNormalization",
        "RMSNormalization",
      ]);
      expect(norms.map(({ config }) => config.epsilon)).toEqual(
        [1e-3, 1e-4, 1e-5, 2e-5, 1e-6].map(Math.fround),
      );
      const names = ["batch0", "group0", "instance0", "layer0", "rms0"];
      for (const [i, { tensors }] of norms.entries()) {
        const gamma = await numbersOf(tensors.scale ?? tensors.Scale);
        expect(gamma, file).toEqual(Float32Array.from(weights[`${names[i]}.weight`].values));
      }
    }
  });

  it("dynamo, opset 23: group normalization is an operator, per channel", async () => {
    const checkpoint = await opened("dynamo-23.onnx");
    expect(module(checkpoint, "node__native_batch_norm_legit_no_training__0").tensors).toEqual(batch);
    const group = checkpoint.modules.find(({ type }) => type === "GroupNormalization");
    expect(group).toMatchObject({ config: { num_groups: 2, epsilon: Math.fround(1e-4) }, opset: 23 });
    expect(group?.tensors.scale).toMatchObject({ name: "group0.weight", shape: [4] });
  });
});

it("tf2onnx: names of TensorFlow's graph; layer normalization is recognized in a batch normalization", async () => {
  const checkpoint = await opened("keras.onnx");
  expect(checkpoint.metadata).toMatchObject({ producer_name: "tf2onnx", opset_import: { "ai.onnx": 17 } });
  expect(module(checkpoint, "sequential/batch0/FusedBatchNormV3")).toMatchObject({
    type: "BatchNormalization",
    config: { epsilon: Math.fround(2e-3) },
    tensors: { scale: "sequential/batch0/ReadVariableOp:0", B: "sequential/batch0/ReadVariableOp_1:0" },
  });
  expect(module(checkpoint, "sequential/layer0/FusedBatchNormV3")).toMatchObject({
    type: "LayerNormalization",
    config: { axis: -1, epsilon: Math.fround(1e-3) },
    tensors: { Scale: "sequential/layer0/mul/ReadVariableOp:0", B: "sequential/layer0/add/ReadVariableOp:0" },
    opset: 17,
  });
});

describe("operators", () => {
  it("group normalization: per group in opset 18, per channel in 21", async () => {
    for (const [opset, length] of [
      [18, 2],
      [21, 4],
    ]) {
      const [group] = (await opened(`group-${opset}.onnx`)).modules;
      expect(group).toMatchObject({ name: "group", type: "GroupNormalization", opset });
      expect(group.config).toEqual({ num_groups: 2, epsilon: Math.fround(1e-3) });
      expect([group.tensors.scale.shape, group.tensors.bias.shape]).toEqual([[length], [length]]);
    }
  });

  it("batch normalization of opset 7: what the file leaves out is not made up", async () => {
    const { modules } = await opened("batch-7.onnx");
    expect(modules.map(({ config, opset }) => [config, opset])).toEqual([
      [{}, 7],
      [{ epsilon: Math.fround(1e-2), momentum: 0.5 }, 7],
    ]);
    const tensors = { scale: "scale", B: "bias", input_mean: "mean", input_var: "variance" };
    for (const one of modules) expect(namesOf(one.tensors)).toEqual(tensors);
  });

  it("each kind of normalization, in the graph's order; one without a name is called by its output", async () => {
    const { modules } = await opened("norms-23.onnx");
    expect(modules.map(({ name, type, tensors }) => [name, type, Object.keys(tensors)])).toEqual([
      ["batch", "BatchNormalization", ["scale", "B", "input_mean", "input_var"]],
      ["instance", "InstanceNormalization", ["scale", "B"]],
      ["layer", "LayerNormalization", ["Scale", "B"]],
      ["rms", "RMSNormalization", ["scale"]],
      ["lrn", "LRN", []],
      ["lp", "LpNormalization", []],
      ["y", "MeanVarianceNormalization", []],
    ]);
    expect(modules.at(-1)?.config).toEqual({ axes: [0, 2, 3] });
    expect(modules[0].config).toEqual({ epsilon: Math.fround(1e-2), training_mode: 0 });
  });

  it("operators of another domain have it in their type, and its version", async () => {
    const { modules } = await opened("microsoft.onnx");
    expect(modules.map(({ type, opset, tensors }) => [type, opset, namesOf(tensors)])).toEqual([
      ["com.microsoft.SkipLayerNormalization", 1, { gamma: "gamma", beta: "beta", bias: "bias" }],
      ["com.microsoft.SkipSimplifiedLayerNormalization", 1, { gamma: "gamma" }],
      ["SimplifiedLayerNormalization", 17, { scale: "gamma" }],
    ]);
  });
});

describe("graphs in graphs", () => {
  it("both branches of an If, whose weights have the same names", async () => {
    const checkpoint = await opened("nested.onnx");
    expect(module(checkpoint, "h0/then_branch/norm")).toMatchObject({
      config: { epsilon: Math.fround(1e-3) },
      tensors: { scale: "h0/then_branch/scale", B: "h0/then_branch/bias" },
      opset: 18,
    });
    expect(module(checkpoint, "h0/else_branch/norm").config).toEqual({ epsilon: Math.fround(1e-2) });
    expect([...checkpoint.tensors].every(([name, tensor]) => tensor.name === name)).toBe(true);
  });

  it("a function, at each call: its arguments, its constants, its attributes and its operator set", async () => {
    const checkpoint = await opened("nested.onnx");
    expect(module(checkpoint, "h1/norm")).toMatchObject({
      type: "LayerNormalization",
      config: { epsilon: 0.5 },
      tensors: { Scale: "layer_scale", B: "h1/own" },
      opset: 17,
    });
    expect(module(checkpoint, "y/norm").config).toEqual({ epsilon: 0.25 });
  });

  it("functions that call themselves, and each other without end, are refused", async () => {
    const call = (name: string) => message(1, [text(2, "y"), text(4, name), text(7, "d")]);
    const calling = (name: string, ...called: string[]) =>
      message(25, [
        text(1, name),
        text(10, "d"),
        ...called.map((one, i) => message(7, [text(2, `o${i}`), text(4, one), text(7, "d")])),
      ]);
    const model = (...functions: number[][]) =>
      Uint8Array.from([8, 8, ...message(7, [call("f0")]), ...functions.flat()]);
    await expect(given({ "a.onnx": model(calling("f0", "f0")) })).rejects.toThrow(
      "a.onnx (ONNX): expected at most 32 calls of functions in each other; the file seems damaged: fetch or write it again",
    );
    const doubling = Array.from({ length: 30 }, (_, i) => calling(`f${i}`, `f${i + 1}`, `f${i + 1}`));
    const start = performance.now();
    await expect(given({ "a.onnx": model(...doubling) })).rejects.toThrow(
      "expected functions that do not call each other without end",
    );
    expect(performance.now() - start).toBeLessThan(2000);
  });

  it("graphs nested without end are refused", async () => {
    let graph: number[] = [];
    for (let depth = 0; depth < 40; depth++) {
      graph = message(1, [text(2, "y"), text(4, "If"), message(5, [text(1, "body"), message(6, [graph])])]);
    }
    await expect(given({ "a.onnx": Uint8Array.from([8, 8, ...message(7, [graph])]) })).rejects.toThrow(
      "expected at most 32 graphs in each other",
    );
  });
});

describe("tensors", () => {
  const six = [0, 1, 2, 3, 4, 100];

  it.each([
    ["FLOAT", "float32"],
    ["UINT8", "uint8"],
    ["INT8", "int8"],
    ["UINT16", "uint16"],
    ["INT16", "int16"],
    ["INT32", "int32"],
    ["INT64", "int64"],
    ["BOOL", "bool"],
    ["FLOAT16", "float16"],
    ["DOUBLE", "float64"],
    ["UINT32", "uint32"],
    ["UINT64", "uint64"],
    ["BFLOAT16", "bfloat16"],
  ])("%s, typed and raw", async (name, dtype) => {
    const { tensors } = await opened("types.onnx");
    const [typed, raw] = [tensors.get(name), tensors.get(`${name} raw`)];
    expect([typed?.dtype, raw?.dtype, typed?.shape, typed?.strides]).toEqual([dtype, dtype, [2, 3], [3, 1]]);
    const values = (await typed?.read()) as ArrayLike<number | bigint>;
    expect(Array.from(values, Number)).toEqual(dtype === "bool" ? [0, 1, 1, 1, 1, 1] : six);
    expect(await raw?.read()).toEqual(values);
  });

  it("the ends of their ranges, complex numbers, scalars, empty ones, any name", async () => {
    const { tensors } = await opened("types.onnx");
    const read = (name: string) => tensors.get(name)?.read();
    expect(await read("INT64 large")).toEqual(BigInt64Array.of(-(2n ** 63n), 2n ** 62n + 1n));
    expect(await read("UINT64 large")).toEqual(BigUint64Array.of(2n ** 64n - 1n));
    expect(await read("INT8 negative")).toEqual(Int8Array.of(-128, -1));
    expect(await read("COMPLEX64")).toEqual(Float32Array.of(1, 2, 3, -4));
    expect(await read("COMPLEX128")).toEqual(Float64Array.of(1, 2));
    expect([tensors.get("scalar")?.shape, await read("scalar")]).toEqual([[], Float32Array.of(2.5)]);
    expect([tensors.get("empty")?.shape, await read("empty")]).toEqual([[0, 3], new Float32Array()]);
    expect(await read("__proto__")).toEqual(Float32Array.of(1));
  });

  it("what is not read is listed, and refused by its name", async () => {
    const { tensors } = await opened("types.onnx");
    const types = ["FLOAT8E4M3FN", "FLOAT8E5M2 raw", "INT4", "UINT4", "STRING", "sparse"].map((name) => [
      name,
      tensors.get(name)?.dtype,
    ]);
    expect(Object.fromEntries(types)).toEqual({
      FLOAT8E4M3FN: "float8_e4m3fn",
      "FLOAT8E5M2 raw": "float8_e5m2",
      INT4: "int4",
      UINT4: "uint4",
      STRING: "string",
      sparse: "sparse float32",
    });
    await expect(tensors.get("INT4")?.read()).rejects.toThrow(
      'types.onnx (ONNX at byte 1084): tensor "INT4": values of type int4 are not read; ' +
        "convert it to float32, float16 or bfloat16 where it was written",
    );
    await expect(tensors.get("segment")?.read()).rejects.toThrow(
      'tensor "segment" is stored in segments; write each tensor in one piece',
    );
  });

  it("constants as nodes, and weights behind Identity and Cast", async () => {
    const checkpoint = await opened("constants.onnx");
    const { tensors, metadata } = checkpoint;
    expect([...tensors].map(([name, { dtype, shape }]) => [name, dtype, shape])).toEqual([
      ["tensor", "float32", [4]],
      ["float", "float32", []],
      ["floats", "float32", [2]],
      ["int", "int64", []],
      ["ints", "int64", [2]],
      ["sparse", "sparse float32", [2, 3]],
    ]);
    expect(await tensors.get("float")?.read()).toEqual(Float32Array.of(0.25));
    expect(await tensors.get("floats")?.read()).toEqual(Float32Array.of(1, 0.5));
    expect(await tensors.get("int")?.read()).toEqual(BigInt64Array.of(-3n));
    expect(await tensors.get("ints")?.read()).toEqual(BigInt64Array.of(2n ** 40n, -1n));
    expect(module(checkpoint, "norm").tensors).toEqual({ scale: "tensor", B: "tensor" });
    expect(metadata.metadata_props).toEqual(JSON.parse('{ "author": "nobody", "__proto__": "a name" }'));
  });
});

describe("files beside the model", () => {
  it("hold the values, and count as its bytes", async () => {
    const { tensors, byteLength } = await opened("external.onnx");
    expect(byteLength).toBe(contents("external.onnx").length + contents("external.data").length);
    expect(tensors.get("W")?.at).toMatchObject({ file: "external.data", byteLength: 32 });
  });

  it("that are missing are named when a tensor is read", async () => {
    const { tensors, modules } = await given({ "external.onnx": contents("external.onnx") });
    expect([tensors.size, modules.length]).toEqual([6, 2]);
    await expect(tensors.get("W")?.read()).rejects.toThrow(
      'tensor "W" has its values in "external.data", which is not beside the model; put it there, or open both files as a list',
    );
  });

  it("are not looked for outside its folder", async () => {
    const bytes = contents("external.onnx");
    const model = new TextDecoder("latin1").decode(bytes).replaceAll("external.data", "../../../a.da");
    const escaping = Uint8Array.from(model, (character) => character.charCodeAt(0));
    await expect(open(new Map([["external.onnx", escaping]]))).rejects.toThrow(
      'expected the name of a file in the same folder, got "../../../a.da"',
    );
  });

  it("that end too early are refused", async () => {
    const files = { "external.onnx": contents("external.onnx"), "external.data": new Uint8Array(8) };
    await expect(given(files)).rejects.toThrow(
      /expected \d+ bytes from byte \d+ of "external.data", which has 8/,
    );
  });
});

describe("what is ONNX", () => {
  it("every fixture, and no SavedModel, frozen graph or text", async () => {
    const matches = (...bytes: number[]) =>
      onnx.matches(Uint8Array.from(bytes), filesIn({ a: new Uint8Array() }));
    for (const name of readdirSync(folder).filter((one) => one.endsWith(".onnx"))) {
      expect(matches(...contents(name).subarray(0, 4096)), name).toBe(true);
    }
    // schema version 1 and a long MetaGraphDef; a NodeDef
    expect(matches(8, 1, 0x12, 0xff, 0xff, 3, 10, 2)).toBe(false);
    expect(matches(10, 4, 10, 2, 65, 65)).toBe(false);
    expect(matches(...new TextEncoder().encode('{"model": 1}'))).toBe(false);
    // a version of the format and no more
    expect(matches(8, 8)).toBe(false);
  });

  it("a model without a graph is refused", async () => {
    await expect(given({ "a.onnx": Uint8Array.from([8, 8, ...message(8, [[16, 17]])]) })).rejects.toThrow(
      "a.onnx (ONNX): expected a model with a graph (field 7), there is none; the file seems damaged: fetch or write it again",
    );
  });

  it("a large model is not read in whole", async () => {
    const size = 2 ** 28;
    const dims = [8, ...varint(size / 4), 16, 1, ...text(8, "w")];
    const tensor = [...dims, 0x4a, ...varint(size)];
    const graph = [0x2a, ...varint(tensor.length + size), ...tensor];
    const model = [8, 8, 0x3a, ...varint(graph.length + size), ...graph];
    let read = 0;
    const source = {
      byteLength: model.length + size,
      slice(start: number, end: number) {
        read += end - start;
        const bytes = new Uint8Array(end - start);
        bytes.set(model.slice(start, end).slice(0, bytes.length));
        return bytes.buffer;
      },
    };
    const files = { ...filesIn({ a: new Uint8Array() }), bytes: bytesOf("a.onnx", source) };
    expect((await onnx.read(files)).tensors.get("w")).toMatchObject({ shape: [size / 4], dtype: "float32" });
    expect(read).toBeLessThan(2 ** 20);
  });
});

describe("the wild", () => {
  itWithModel("onnx/basic_pitch-nmp.onnx")(
    "basic_pitch: normalizations are folded into convolutions",
    async () => {
      const checkpoint = await open(modelFile("onnx/basic_pitch-nmp.onnx"));
      expect(checkpoint.metadata).toMatchObject({ ir_version: 8, producer_name: "tf2onnx" });
      expect(checkpoint.metadata.opset_import).toMatchObject({ "ai.onnx": 15 });
      expect(checkpoint.modules.filter(({ type }) => type.includes("Norm"))).toEqual([]);
      expect([...checkpoint.tensors.keys()].some((name) => /batch_normalization/.test(name))).toBe(true);
      for (const tensor of checkpoint.tensors.values()) {
        if (tensor.dtype === "float32") expect((await numbersOf(tensor)).every(Number.isFinite)).toBe(true);
      }
    },
  );

  itWithModel("onnx/silero_vad_half.onnx")("silero_vad_half: weights of six convolutions", async () => {
    const checkpoint = await open(modelFile("onnx/silero_vad_half.onnx"));
    expect(checkpoint.modules.map(({ type }) => type)).toEqual(new Array(6).fill("Conv"));
    expect(checkpoint.tensors.get("stft.forward_basis_buffer")?.shape).toEqual([258, 1, 256]);
    for (const tensor of checkpoint.tensors.values()) {
      if (/^float/.test(tensor.dtype)) expect((await numbersOf(tensor)).every(Number.isFinite)).toBe(true);
    }
  });
});

fuzz(
  "ONNX",
  readdirSync(folder)
    .filter((name) => name.endsWith(".onnx"))
    .map((name) =>
      name === "external.onnx"
        ? { [name]: contents(name), "external.data": contents("external.data") }
        : { [name]: contents(name) },
    ),
  onnx.read,
  // what is written out is searched for
  0.5,
);

function varint(value: number): number[] {
  return value < 128 ? [value] : [(value % 128) + 128, ...varint(Math.floor(value / 128))];
}

/** A message in a field. */
function message(field: number, parts: readonly (readonly number[])[]): number[] {
  const bytes = parts.flat();
  return [...varint(field * 8 + 2), ...varint(bytes.length), ...bytes];
}

function text(field: number, value: string): number[] {
  return message(field, [[...new TextEncoder().encode(value)]]);
}
