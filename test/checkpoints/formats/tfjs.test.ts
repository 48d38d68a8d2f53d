import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import "@tensorflow/tfjs-backend-cpu";
import * as tf from "@tensorflow/tfjs-core";
import { describe, expect, it } from "vitest";
import type { Checkpoint, Module } from "../../../src/checkpoints/checkpoint.js";
import { tfjs } from "../../../src/checkpoints/formats/tfjs.js";
import { normalizationsOf } from "../../../src/checkpoints/index.js";
import { open } from "../../../src/checkpoints/open.js";
import { numbersOf } from "../../../src/checkpoints/tensors.js";
import { layersModelFrom } from "../../../src/tfjs/models/layers-model-from.js";
import { fuzz } from "../support/fuzz.js";
import { itWithModel, modelFile } from "../support/shared-models.js";

const folder = fileURLToPath(new URL("../../fixtures/checkpoints/tensorflowjs", import.meta.url));
const bytesOf = (name: string) => new Uint8Array(readFileSync(join(folder, name)));
const network = JSON.parse(readFileSync(join(folder, "network.json"), "utf8"));
const weights: [string, { shape: number[]; values: number[] }][] = Object.entries(network.weights);

/** A model.json and files beside it. */
const opened = (json: unknown, files: Record<string, Uint8Array> = {}) =>
  open(new Map(Object.entries({ "model.json": new TextEncoder().encode(JSON.stringify(json)), ...files })));

const manifest = (...listed: unknown[]) => ({ weightsManifest: [{ paths: ["a.bin"], weights: listed }] });

async function expectWeights({ tensors }: Checkpoint): Promise<void> {
  expect([...tensors.keys()].sort()).toEqual(weights.map(([name]) => name).sort());
  for (const [name, { shape, values }] of weights) {
    expect(tensors.get(name)?.shape).toEqual(shape);
    expect(await tensors.get(name)?.read(), name).toEqual(Float32Array.from(values));
  }
}

/** Modules as name, type and the names of their tensors. */
const outline = (modules: readonly Module[]) =>
  modules.map(({ name, type, tensors }) => [name, type, Object.keys(tensors).join()]);

describe("a layers-model", () => {
  it("in shards, across which a tensor lies, with its optimizer apart", async () => {
    const checkpoint = await open(join(folder, "layers"));
    expect(checkpoint).toMatchObject({
      format: "TensorFlow.js layers-model",
      framework: "tensorflowjs",
      version: "4.22.0",
      metadata: { format: "layers-model", generatedBy: "TensorFlow.js tfjs-layers v4.22.0" },
      byteLength: bytesOf("layers/model.json").length + 1540,
    });
    await expectWeights(checkpoint);
    const { others } = checkpoint;
    expect([...others.keys()].slice(0, 3)).toEqual(["iter", "conv/kernel/momentum", "norm/gamma/momentum"]);
    expect(await others.get("iter")?.read()).toEqual(Int32Array.of(10));
    expect([...others.values()].filter(({ at }) => at.offset === undefined).length).toBe(1);
    expect(others.get("head/bias/momentum")?.at).toEqual({
      file: "group1-shard2of2.bin",
      offset: 528,
      byteLength: 12,
    });
    for (const tensor of others.values()) expect((await numbersOf(tensor)).every(Number.isFinite)).toBe(true);
  });

  it("as the browser downloads it, in two files", async () => {
    const files = ["model.json", "model.weights.bin"].map(
      (name) => new File([bytesOf(`download/${name}`)], name),
    );
    await expectWeights(await open(files));
  });

  it("has a module for each leaf layer in its order, with its configuration and its weights", async () => {
    const { modules, architecture } = await open(join(folder, "layers"));
    expect(outline(modules)).toEqual([
      ["conv", "Conv2D", "kernel"],
      ["norm", "BatchNormalization", "gamma,beta,moving_mean,moving_variance"],
      ["relu", "Activation", ""],
      ["rows", "TimeDistributed", "kernel,bias"],
      ["pool", "GlobalAveragePooling2D", ""],
      ["inner/hidden", "Dense", "kernel,bias"],
      ["inner/inner_norm", "BatchNormalization", "gamma,beta,moving_mean,moving_variance"],
      ["layer_norm", "LayerNormalization", "gamma,beta"],
      ["head", "Dense", "kernel,bias"],
    ]);
    for (const { name, type, options } of network.normalizations) {
      const module = modules.find((one) => one.name === name);
      expect(module?.type).toBe(type);
      expect(module?.config).toMatchObject(options);
    }
    expect(architecture?.topology).toMatchObject({ class_name: "Sequential", config: { name: "network" } });
    expect(architecture?.version).toBeUndefined();
  });

  it("tfjs#755: weights that a second loading in Keras numbered anew are their layers'", async () => {
    const json = JSON.parse(readFileSync(join(folder, "layers/model.json"), "utf8"));
    for (const { weights: listed } of json.weightsManifest) {
      for (const weight of listed) weight.name = weight.name.replace(/^((?:inner_)?norm|head)\//, "$1_2/");
    }
    const shards = Object.fromEntries(
      json.weightsManifest.flatMap(({ paths }: { paths: string[] }) =>
        paths.map((path) => [path, bytesOf(`layers/${path}`)]),
      ),
    );
    const [renumbered, original] = await Promise.all([opened(json, shards), open(join(folder, "layers"))]);
    expect(outline(renumbered.modules)).toEqual(outline(original.modules));
    const model = await layersModelFrom(renumbered);
    const { shape, values } = network.input;
    const y = model.predict(tf.tensor(values, shape)) as tf.Tensor;
    const largest = Math.max(...network.output.values.map(Math.abs));
    for (const [i, value] of y.dataSync().entries()) {
      expect(Math.abs(value - network.output.values[i])).toBeLessThan(1e-5 * largest);
    }
  });

  it("gives its normalizations", async () => {
    const found = await normalizationsOf(await open(join(folder, "download")));
    expect(found.map(({ name, kind, options }) => [name, kind, options.epsilon])).toEqual([
      ["norm", "batchNorm", 1e-3],
      ["inner/inner_norm", "batchNorm", 1e-5],
      ["layer_norm", "layerNorm", 1e-4],
    ]);
  });

  it("as Keras's converter writes it: model_config, names of models and cells around weights, Keras's version", async () => {
    const layer = (class_name: string, name: string) => ({ class_name, config: { name } });
    const inner = {
      class_name: "Functional",
      name: "inner",
      config: { name: "inner", layers: [layer("Dense", "d")] },
    };
    const model_config = {
      class_name: "Functional",
      config: { name: "m", layers: [layer("LSTM", "lstm"), inner, layer("BatchNormalization", "d/norm")] },
    };
    const names = [
      "lstm/lstm_cell/kernel",
      "inner/d/kernel",
      "d/bias",
      "d/norm/gamma",
      "norm/0",
      "m/d/extra",
    ];
    const listed = names.map((name) => ({ name, shape: [1], dtype: "float32" }));
    const { modules, architecture, metadata } = await opened(
      {
        generatedBy: "keras v2.15.0",
        convertedBy: "TensorFlow.js Converter v4.22.0",
        modelTopology: { keras_version: "2.15.0", backend: "tensorflow", model_config },
        ...manifest(...listed),
      },
      { "a.bin": new Uint8Array(4 * names.length) },
    );
    expect(outline(modules)).toEqual([
      ["lstm", "LSTM", "lstm_cell/kernel"],
      ["inner/d", "Dense", "kernel,bias,extra"],
      ["d/norm", "BatchNormalization", "gamma"],
    ]);
    expect(architecture).toEqual({ topology: model_config, version: "2.15.0" });
    expect(metadata).toEqual({
      generatedBy: "keras v2.15.0",
      convertedBy: "TensorFlow.js Converter v4.22.0",
    });
  });

  it("without weights: a topology alone", async () => {
    const json = JSON.parse(readFileSync(join(folder, "layers/model.json"), "utf8"));
    const { tensors, modules } = await opened({ modelTopology: json.modelTopology });
    expect(tensors.size).toBe(0);
    expect(modules.length).toBe(9);
  });

  it("without a topology: weights alone", async () => {
    const json = JSON.parse(readFileSync(join(folder, "download/model.json"), "utf8"));
    const checkpoint = await opened(
      { weightsManifest: json.weightsManifest },
      { "model.weights.bin": bytesOf("download/model.weights.bin") },
    );
    expect(checkpoint).toMatchObject({ format: "TensorFlow.js weights", modules: [] });
    await expectWeights(checkpoint);
  });

  it("without both is none", async () => {
    await expect(opened({ format: "layers-model" })).rejects.toThrow(
      'model.json (TensorFlow.js): expected "modelTopology" or "weightsManifest"; the file seems damaged: fetch or write it again',
    );
  });

  it("a manifest alone, as before 1.0 and in face-api.js", async () => {
    const json = JSON.parse(readFileSync(join(folder, "download/model.json"), "utf8"));
    const checkpoint = await opened(json.weightsManifest, {
      "model.weights.bin": bytesOf("download/model.weights.bin"),
    });
    expect(checkpoint).toMatchObject({ format: "TensorFlow.js weights", modules: [] });
    await expectWeights(checkpoint);
  });
});

describe("quantized weights", () => {
  it.each(["uint8", "uint16", "float16"])("%s: exactly what TensorFlow.js makes of them", async (dtype) => {
    const { tensors } = await open(join(folder, dtype));
    const json = JSON.parse(readFileSync(join(folder, dtype, "model.json"), "utf8"));
    const data = bytesOf(`${dtype}/group1-shard1of1.bin`);
    const decoded = tf.io.decodeWeights(data.slice().buffer, json.weightsManifest[0].weights);
    expect(tensors.size).toBe(weights.length);
    for (const [name, { values }] of weights) {
      const tensor = tensors.get(name);
      expect(tensor).toMatchObject({ dtype: "float32", quantized: dtype });
      const read = (await tensor?.read()) as Float32Array;
      expect(read, name).toEqual(decoded[name].dataSync());
      const span = Math.max(...values) - Math.min(...values);
      const step =
        {
          uint8: span / 255,
          uint16: span / 65535,
          float16: 2 ** -24 + Math.max(...values.map(Math.abs)) / 2048,
        }[dtype] ?? 0;
      for (const [i, value] of values.entries())
        expect(Math.abs(read[i] - value)).toBeLessThanOrEqual(step * 1.01);
    }
  });

  it("int32, rounded", async () => {
    const quantization = { dtype: "uint8", scale: 0.7, min: -3.1 };
    const spec = {
      name: "a",
      shape: [4],
      dtype: "int32" as const,
      quantization: { ...quantization, dtype: "uint8" as const },
    };
    const bytes = Uint8Array.of(0, 1, 3, 255);
    const { tensors } = await opened(manifest(spec), { "a.bin": bytes });
    expect(await tensors.get("a")?.read()).toEqual(tf.io.decodeWeights(bytes.buffer, [spec]).a.dataSync());
  });

  it.each([
    [{ dtype: "uint4", scale: 1, min: 0 }, "float32"],
    [{ dtype: "uint8", scale: 1 }, "float32"],
    [{ dtype: "float16" }, "int32"],
  ])("refuses %j of %s", async (quantization, dtype) => {
    await expect(opened(manifest({ name: "a", shape: [1], dtype, quantization }))).rejects.toThrow(
      `weight "a": expected ${dtype} quantized to float16, or with scale and min to uint8 or uint16, got {"dtype":"`,
    );
  });
});

it.each([
  ["layers", 1e-6],
  ["download", 1e-6],
  ["uint16", 1e-4],
  ["float16", 1e-3],
  ["uint8", 1e-2],
])("%s: the network, built from it, gives what it gave", async (name, tolerance) => {
  const model = await layersModelFrom(await open(join(folder, name)));
  const { input, output } = network;
  const y = (model.predict(tf.tensor(input.values, input.shape)) as tf.Tensor).dataSync();
  const largest = Math.max(...output.values.map(Math.abs));
  for (const [i, value] of y.entries())
    expect(Math.abs(value - output.values[i]) / largest).toBeLessThan(tolerance);
});

describe("a graph-model", () => {
  it("has weights by node, and its batch normalizations with their attributes", async () => {
    const checkpoint = await open(join(folder, "graph"));
    expect(checkpoint).toMatchObject({
      format: "TensorFlow.js graph-model",
      framework: "tensorflowjs",
      metadata: {
        format: "graph-model",
        generatedBy: "2.15.1",
        convertedBy: "TensorFlow.js Converter v4.22.0",
      },
    });
    expect(checkpoint.architecture).toBeUndefined();
    expect(checkpoint.modules.length).toBe(1);
    const [{ name, type, config, tensors }] = checkpoint.modules;
    expect([name, type]).toEqual(["network/norm", "FusedBatchNormV3"]);
    expect(config).toEqual({
      epsilon: Math.fround(0.001),
      exponential_avg_factor: 1,
      is_training: false,
      data_format: "NHWC",
    });
    const own = { scale: "gamma", offset: "beta", mean: "moving_mean", variance: "moving_variance" };
    expect(Object.keys(tensors)).toEqual(Object.keys(own));
    for (const [role, weight] of Object.entries(own)) {
      expect(await tensors[role].read()).toEqual(Float32Array.from(network.weights[`norm/${weight}`].values));
    }
    expect(await checkpoint.tensors.get("axes")?.read()).toEqual(Int32Array.of(1, 2));
  });

  it("has those of its functions; identities that go round are not followed for ever", async () => {
    const identity = (name: string, input: string) => ({ name, op: "Identity", input: [input] });
    const norm = { name: "n", op: "FusedBatchNorm", input: ["x", "a", "b", "a:0", "^c"] };
    const { modules } = await opened({
      modelTopology: {
        node: [norm, identity("a", "b"), identity("b", "a"), null, 3],
        library: { function: [{ nodeDef: [{ ...norm, name: "branch/n" }] }, 3, {}] },
      },
    });
    const found = { type: "FusedBatchNorm", config: {}, tensors: {} };
    expect(modules).toEqual([
      { ...found, name: "n" },
      { ...found, name: "branch" },
    ]);
  });
});

describe("types", () => {
  it("bool, complex64, uint8, and texts, which are listed and refused", async () => {
    const texts = Uint8Array.of(1, 0, 0, 0, 65, 2, 0, 0, 0, 66, 67);
    const bytes = Uint8Array.from([1, 0, ...new Uint8Array(Float32Array.of(1, -2).buffer), ...texts, 7]);
    const { tensors } = await opened(
      manifest(
        { name: "flags", shape: [2], dtype: "bool" },
        { name: "complex", shape: [1], dtype: "complex64" },
        { name: "texts", shape: [2], dtype: "string" },
        { name: "after", shape: [1], dtype: "uint8" },
      ),
      { "a.bin": bytes },
    );
    expect(await tensors.get("flags")?.read()).toEqual(Uint8Array.of(1, 0));
    expect(await tensors.get("complex")?.read()).toEqual(Float32Array.of(1, -2));
    expect(await tensors.get("after")?.read()).toEqual(Uint8Array.of(7));
    expect(tensors.get("texts")).toMatchObject({ dtype: "string", at: { byteLength: texts.length } });
    await expect(tensors.get("texts")?.read()).rejects.toThrow(
      'tensor "texts": values of type string are not read',
    );
  });

  it("takes __proto__ for a name, of weights and of layers", async () => {
    const layers = [{ class_name: "Dense", config: { name: "__proto__" } }];
    const { tensors, modules } = await opened(
      {
        modelTopology: { class_name: "Sequential", config: { layers } },
        ...manifest({ name: "__proto__/__proto__", shape: [1], dtype: "float32" }),
      },
      { "a.bin": new Uint8Array(Float32Array.of(3).buffer) },
    );
    expect(await tensors.get("__proto__/__proto__")?.read()).toEqual(Float32Array.of(3));
    expect(Object.entries(modules[0].tensors).map(([name]) => name)).toEqual(["__proto__"]);
  });
});

describe("damaged files", () => {
  const weight = { name: "w", shape: [2], dtype: "float32" };

  it("a file of weights that is not there is an error when a weight in it is asked for", async () => {
    const json = {
      weightsManifest: [{ paths: ["a.bin", "b.bin"], weights: [weight, { ...weight, name: "v" }] }],
    };
    const { tensors } = await opened(json, { "a.bin": new Uint8Array(12) });
    expect(await tensors.get("w")?.read()).toEqual(new Float32Array(2));
    await expect(tensors.get("v")?.read()).rejects.toThrow(
      'model.json (TensorFlow.js): weight "v": expected the file "b.bin" beside it, there is none; ' +
        "fetch it into the same folder, or give it in the list of files",
    );
  });

  it("fewer bytes than the weights need", async () => {
    await expect(opened(manifest(weight), { "a.bin": new Uint8Array(7) })).rejects.toThrow(
      'a.bin (TensorFlow.js at byte 0): tensor "w": expected 8 bytes for [2] of float32, there are 7; ' +
        "the file seems damaged: fetch or write it again",
    );
  });

  it.each(["https://example.com/a.bin", "../a.bin", "/etc/passwd", "a/../../b", "C:\\a.bin", ""])(
    "a path that leaves the folder: %s",
    async (path) => {
      await expect(opened({ weightsManifest: [{ paths: [path], weights: [] }] })).rejects.toThrow(
        `expected the name of a file in the same folder, got ${JSON.stringify(path)}`,
      );
    },
  );

  it.each([
    [{ weightsManifest: {} }, 'expected "weightsManifest" that is a list of groups'],
    [
      { weightsManifest: [{ paths: [1], weights: [] }] },
      "expected paths and weights in each group of the weights manifest",
    ],
    [{ weightsManifest: [null] }, "expected paths and weights in each group"],
    [manifest({}), "expected a name of each weight"],
    [manifest({ ...weight, shape: [-1] }), 'weight "w": expected a shape of non-negative lengths, got [-1]'],
    [
      manifest({ ...weight, shape: new Array(40).fill(2 ** 40) }),
      'tensor "w": expected at most 32 non-negative lengths',
    ],
    [manifest({ ...weight, dtype: "float8" }), 'weight "w": expected a dtype such as float32, got "float8"'],
    [
      manifest({ ...weight, dtype: "constructor" }),
      'weight "w": expected a dtype such as float32, got "constructor"',
    ],
    [
      manifest({ ...weight, shape: [] }, { ...weight, shape: [] }),
      'expected each weight once, got "w" twice',
    ],
    [
      { weightsManifest: [{ paths: ["a.bin", "././a.bin"], weights: [] }] },
      "expected each file of a group of weights once",
    ],
    [{ modelTopology: 3 }, 'expected "modelTopology" that is an object of JSON'],
  ])("%j", async (json, problem) => {
    await expect(opened(json, { "a.bin": new Uint8Array(8) })).rejects.toThrow(problem);
  });
});

describe("files from the wild", () => {
  itWithModel("tfjs/nsfwjs_mobilenet_v2/model.json")(
    "nsfwjs: 52 batch normalizations, all quantized",
    async () => {
      const checkpoint = await open(modelFile("tfjs/nsfwjs_mobilenet_v2"));
      expect(checkpoint.tensors.size).toBe(266);
      expect(checkpoint.architecture?.version).toBe("2.2.4");
      const norms = checkpoint.modules.filter(({ type }) => type === "BatchNormalization");
      expect(norms.length).toBe(52);
      for (const { name, config, tensors } of norms) {
        expect(config, name).toMatchObject({ epsilon: 1e-3, momentum: 0.999 });
        expect(Object.keys(tensors), name).toEqual(["gamma", "beta", "moving_mean", "moving_variance"]);
      }
      const own = checkpoint.modules.flatMap(({ tensors }) => Object.values(tensors));
      expect(new Set(own).size).toBe(266);
      for (const tensor of checkpoint.tensors.values()) {
        expect(tensor.quantized).toBe("uint8");
        expect((await numbersOf(tensor)).every(Number.isFinite)).toBe(true);
      }
    },
  );

  itWithModel("tfjs/upscaler_default/model.json")("upscaler", async () => {
    const { tensors, modules, metadata } = await open(modelFile("tfjs/upscaler_default/model.json"));
    expect(tensors.size).toBe(24);
    expect(modules.flatMap((module) => Object.values(module.tensors)).length).toBe(24);
    expect(metadata.convertedBy).toBe("TensorFlow.js Converter v1.2.6");
    for (const tensor of tensors.values())
      expect((await numbersOf(tensor)).every(Number.isFinite)).toBe(true);
  });
});

const fixture = (of: string, ...names: string[]) =>
  Object.fromEntries(["model.json", ...names].map((name) => [name, bytesOf(`${of}/${name}`)]));
fuzz(
  "TensorFlow.js",
  [
    fixture("layers", "group1-shard1of2.bin", "group1-shard2of2.bin"),
    fixture("uint8", "group1-shard1of1.bin"),
    fixture("float16", "group1-shard1of1.bin"),
    fixture("graph", "group1-shard1of1.bin"),
  ],
  tfjs.read,
);
