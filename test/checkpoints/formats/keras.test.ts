/**
 * Files of Keras 2.15, 2.13 and 3.12 (test/fixtures/checkpoints/keras2 and keras3, made there), and those of others: every variable bit for
 * bit, and every layer under its name with its variables in its order.
 */
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import type { Checkpoint } from "../../../src/checkpoints/checkpoint.js";
import { openHdf5 } from "../../../src/checkpoints/encodings/hdf5/file.js";
import { writeZip, zipEntries } from "../../../src/checkpoints/encodings/zip.js";
import { kerasHdf5 } from "../../../src/checkpoints/formats/keras-hdf5.js";
import { kerasZip } from "../../../src/checkpoints/formats/keras-zip.js";
import { open } from "../../../src/checkpoints/open.js";
import { bytesInMemory } from "../../../src/checkpoints/source.js";
import type { Tensor } from "../../../src/checkpoints/tensors.js";
import { type Fixture, fuzz } from "../support/fuzz.js";
import { itWithModel, modelFile } from "../support/shared-models.js";

const folder = fileURLToPath(new URL("../../fixtures/checkpoints/", import.meta.url));
const path = (name: string): string => `${folder}${name}`;
const bytes = (name: string) => new Uint8Array(readFileSync(path(name)));

interface Expected {
  framework: string;
  version: string;
  files: Record<string, string>;
  weights: Record<string, { shape: number[]; values: number[] }>;
  layers: { name: string; type: string; weights: string[] }[];
}

const networks = ["keras2", "keras3"].flatMap((framework) =>
  readdirSync(path(framework))
    .filter((name) => name.endsWith(".json"))
    .map((name): [string, Expected] => [
      `${framework}/${name.slice(0, -5)}`,
      JSON.parse(readFileSync(path(`${framework}/${name}`), "utf8")),
    ]),
);

/** Numbers as the fixtures have them. */
const valuesOf = async (tensor: Tensor) => ({
  shape: [...tensor.shape],
  values: Array.from<number | bigint, number>(await tensor.read(), Number),
});

const rounded = ({ shape, values }: { shape: number[]; values: number[] }) => ({
  shape,
  values: values.map((value) => (Number.isInteger(value) ? value : Math.fround(value))),
});

const moduleOf = ({ modules }: Checkpoint, name: string) => {
  const found = modules.find((module) => module.name === name);
  if (found === undefined) throw new Error(`no module ${name}: ${modules.map((one) => one.name).join(", ")}`);
  return found;
};

/** Names of a layer's tensors, with their file's. */
const namesOf = (checkpoint: Checkpoint, name: string) =>
  Object.fromEntries(
    Object.entries(moduleOf(checkpoint, name).tensors).map(([key, { name }]) => [key, name]),
  );

describe.each(networks)("%s", (network, expected) => {
  it.each(Object.entries(expected.files))("%s", async (ending, file) => {
    const checkpoint = await open(path(`${network.split("/")[0]}/${file}`));
    const isWhole = ending.endsWith("keras") || ending === "h5";
    const isTree = !ending.includes("legacy");
    expect(checkpoint.format).toBe(ending.endsWith("keras") ? "Keras (.keras)" : "Keras (HDF5)");
    // .weights.h5 of Keras 2 does not say whose it is
    expect(checkpoint.framework).toBe(
      isWhole || !isTree || expected.framework === "keras3" ? expected.framework : undefined,
    );
    if (isWhole) {
      expect(checkpoint.version).toBe(ending.startsWith("2.13") ? "2.13.1" : expected.version);
      expect(checkpoint.architecture?.version).toBe(checkpoint.version);
      expect(checkpoint.architecture?.topology).toMatchObject({ class_name: expect.any(String) });
      // inputs of inner models are named by a counter, and operations among the layers (of a mask) are none
      const listed = (layers: readonly { name: string; type: string }[]) =>
        layers
          .filter(({ type }) => type !== "InputLayer" && type !== "NotEqual")
          .map(({ name, type }) => `${name}: ${type.replace(/^Addons>/, "")}`);
      expect(listed(checkpoint.modules)).toEqual(listed(expected.layers));
      for (const { name, type, weights } of expected.layers) {
        if (type === "InputLayer") continue;
        const tensors = Object.values(moduleOf(checkpoint, name).tensors);
        const found = await Promise.all(tensors.map(valuesOf));
        expect(found, name).toEqual(weights.map((weight) => rounded(expected.weights[weight])));
      }
    } else {
      const found = await Promise.all([...checkpoint.tensors.values()].map(valuesOf));
      for (const values of Object.values(expected.weights)) expect(found).toContainEqual(rounded(values));
      expect(checkpoint.architecture).toBeUndefined();
    }
  });
});

describe.each(["images", "branching", "sequences"])("Keras 1: %s", (network) => {
  it("has every tensor, by its layer", async () => {
    const { version, weights }: Expected = JSON.parse(readFileSync(path(`keras1/${network}.json`), "utf8"));
    const { modules, ...checkpoint } = await open(path(`keras1/${network}.h5`));
    expect(checkpoint).toMatchObject({ version, framework: "keras2", metadata: { backend: "theano" } });
    const found = modules.flatMap(({ tensors }) => Object.values(tensors));
    expect(found).toHaveLength(Object.keys(weights).length);
    for (const tensor of found) {
      const name = tensor.name.split("/").pop() as string;
      expect(await valuesOf(tensor), name).toEqual(rounded(weights[name]));
    }
  });
});

it("Keras 1's weights alone have batch normalizations by their names", async () => {
  const checkpoint = await open(path("keras1/weights.h5"));
  expect(checkpoint).toMatchObject({ framework: "keras2", version: undefined });
  const { type, tensors } = moduleOf(checkpoint, "bn");
  expect(type).toBe("BatchNormalization");
  expect(await Promise.all(Object.values(tensors).map(valuesOf))).toEqual(
    [0, 1, 2, 3].map((i) => ({ shape: [2], values: [i, i + 1] })),
  );
});

it("Keras 1 names a Sequential in a Sequential, and what is in a wrapper, by their groups", async () => {
  const images = await open(path("keras1/images.h5"));
  expect(Object.keys(namesOf(images, "block/inner_bn"))).toEqual([
    "gamma",
    "beta",
    "running_mean",
    "running_std",
  ]);
  const sequences = await open(path("keras1/sequences.h5"));
  expect(Object.keys(namesOf(sequences, "both"))).toEqual(
    ["forward", "backward"].flatMap((one) => ["W", "U", "b"].map((name) => `${one}_layer/${name}`)),
  );
  expect(Object.keys(namesOf(sequences, "steps"))).toEqual(["W", "b"]);
});

describe("names", () => {
  it("of a nested model's layers are paths, and their variables' are local", async () => {
    const checkpoint = await open(path("keras3/nested.h5"));
    expect(namesOf(checkpoint, "inner/innermost/norm")).toEqual({
      gamma: "model_weights/inner/innermost/norm/gamma",
      beta: "model_weights/inner/innermost/norm/beta",
      moving_mean: "model_weights/inner/innermost/norm/moving_mean",
      moving_variance: "model_weights/inner/innermost/norm/moving_variance",
    });
  });

  it("of a layer that a file numbers are numbers, but for normalizations", async () => {
    const checkpoint = await open(path("keras3/nested.keras"));
    expect(namesOf(checkpoint, "inner/inner_conv")).toEqual({
      0: "layers/functional/layers/conv2d/vars/0",
      1: "layers/functional/layers/conv2d/vars/1",
    });
    expect(Object.keys(namesOf(checkpoint, "inner/inner_norm"))).toEqual([
      "gamma",
      "beta",
      "moving_mean",
      "moving_variance",
    ]);
  });

  it.each([
    ["adapted", ["mean", "variance", "count"]],
    ["batch_no_scale", ["beta", "moving_mean", "moving_variance"]],
    ["batch_no_center", ["gamma", "moving_mean", "moving_variance"]],
    ["layer_no_center", ["gamma"]],
    ["instance", ["beta"]],
    ["unit", []],
    ["rms", ["scale"]],
    ["rms_scaling", ["gamma"]],
    ["spectral_dense", ["layer/kernel", "layer/bias", "vector_u"]],
  ])("of %s follow its configuration", async (name, names) => {
    const checkpoint = await open(path("keras3/normalizations.keras"));
    expect(Object.keys(moduleOf(checkpoint, name).tensors)).toEqual(names);
  });

  it.each([
    ["addons_instance", "Addons>InstanceNormalization", ["gamma", "beta"]],
    ["addons_group", "Addons>GroupNormalization", ["gamma", "beta"]],
    ["addons_response", "Addons>FilterResponseNormalization", ["gamma", "beta"]],
    ["addons_weight", "Addons>WeightNormalization", ["g", "kernel", "layer/bias", "initialized"]],
    ["addons_spectral", "Addons>SpectralNormalization", ["layer/kernel", "layer/bias", "sn_u"]],
    ["sync", "SyncBatchNormalization", ["gamma", "beta", "moving_mean", "moving_variance"]],
  ])("and types of %s of TensorFlow Addons", async (name, type, names) => {
    for (const ending of ["keras", "h5"]) {
      const module = moduleOf(await open(path(`keras2/normalizations.${ending}`)), name);
      expect(module.type).toBe(type);
      if (ending === "keras") expect(Object.keys(module.tensors)).toEqual(names);
    }
  });

  it("of a kernel that a wrapper lists once more is no weight", async () => {
    for (const name of ["keras2/normalizations.keras", "keras3/normalizations.keras"]) {
      const { tensors, others, modules } = await open(path(name));
      const copies = modules.filter(({ type }) => type.endsWith("SpectralNormalization")).length;
      expect([...others.keys()].filter((key) => key.includes("spectral_normalization"))).toHaveLength(copies);
      expect(tensors.size).toBe(modules.flatMap((module) => Object.keys(module.tensors)).length);
    }
  });

  it("of wrappers' parts lead to them", async () => {
    const saved = await open(path("keras2/recurrent.keras"));
    expect(Object.keys(moduleOf(saved, "both_ways").tensors)).toEqual([
      ...[0, 1, 2].map((i) => `forward_layer/cell/${i}`),
      ...[0, 1, 2].map((i) => `backward_layer/cell/${i}`),
    ]);
    // cells in the order of the configuration, not of the alphabet
    expect(Object.keys(moduleOf(saved, "stacked").tensors)).toEqual([
      ...[0, 1, 2].map((i) => `cell/cells/lstm_cell/${i}`),
      ...[0, 1, 2].map((i) => `cell/cells/gru_cell/${i}`),
    ]);
    const named = await open(path("keras2/recurrent.h5"));
    expect(Object.keys(moduleOf(named, "both_ways").tensors).slice(0, 3)).toEqual([
      "forward_lstm/lstm_cell/kernel",
      "forward_lstm/lstm_cell/recurrent_kernel",
      "forward_lstm/lstm_cell/bias",
    ]);
  });

  it("give the classes of normalizations in a file without a configuration", async () => {
    const { modules } = await open(path("keras3/normalizations.weights.h5"));
    const found = modules.find(({ name }) => name === "layers/batch_normalization");
    expect(found).toMatchObject({ type: "BatchNormalization", config: { name: "batch" } });
    expect(Object.keys(found?.tensors ?? {})).toEqual(["gamma", "beta", "moving_mean", "moving_variance"]);
    // one variable less: gamma or beta, which nothing tells
    expect(
      Object.keys(modules.find(({ name }) => name === "layers/batch_normalization_1")?.tensors ?? {}),
    ).toEqual(["0", "1", "2"]);
  });
});

describe("what goes wrong elsewhere", () => {
  it("keras#6607 #10777: a frozen layer reorders the weights of a nested model", async () => {
    const root = await openHdf5("HDF5", bytesInMemory("nested.h5", bytes("keras2/nested.h5")));
    const group = root.members.get("model_weights")?.members.get("inner");
    const listed = group?.attributes.get("weight_names") as string[];
    // what Keras wrote: the trainable ones first
    expect(listed.map((name) => name.replace(/:0$/, ""))).toEqual([
      ...[
        "inner_norm/gamma",
        "inner_norm/beta",
        "conv/kernel",
        "conv/bias",
        "inner_last/kernel",
        "inner_last/bias",
      ],
      ...["inner_conv/kernel", "inner_conv/bias", "inner_norm/moving_mean", "inner_norm/moving_variance"],
      ...["norm/gamma", "norm/beta", "norm/moving_mean", "norm/moving_variance"],
    ]);
    const checkpoint = await open(path("keras2/nested.h5"));
    expect(Object.keys(moduleOf(checkpoint, "inner/innermost/norm").tensors)).toEqual([
      "gamma",
      "beta",
      "moving_mean",
      "moving_variance",
    ]);
    expect(Object.keys(moduleOf(checkpoint, "inner/inner_conv").tensors)).toEqual(["kernel", "bias"]);
  });

  it("keras#10784: each batch normalization of nested models has its own statistics", async () => {
    for (const ending of ["keras", "h5"]) {
      const checkpoint = await open(path(`keras2/nested.${ending}`));
      const norms = checkpoint.modules.filter(({ type }) => type === "BatchNormalization");
      expect(norms.map(({ name }) => name)).toEqual(["first", "inner/inner_norm", "inner/innermost/norm"]);
      expect(new Set(norms.map(({ tensors }) => tensors.moving_mean.name)).size).toBe(3);
    }
  });

  it('tf-keras#664: "received 0 variables", as 2.13 counts each layer with weights twice', async () => {
    const checkpoint = await open(path("keras2/nested-2.13.keras"));
    expect(namesOf(checkpoint, "inner/inner_last")[0]).toBe(
      "_layer_checkpoint_dependencies/functional/_layer_checkpoint_dependencies/conv2d_2/vars/0",
    );
  });

  it("variables and layers of one class come by number, the tenth after the ninth", async () => {
    const checkpoint = await open(path("keras3/convolutions.keras"));
    expect(namesOf(checkpoint, "chain_9")[0]).toBe("layers/dense_9/vars/0");
    expect(namesOf(checkpoint, "chain_10")[0]).toBe("layers/dense_10/vars/0");
    const sequential = await open(path("keras3/sequential.keras"));
    const numbers = [...sequential.others.keys()].map((name) => Number(name.split("/").pop()));
    expect(numbers).toEqual(numbers.map((_, i) => i));
  });

  it("what belongs to the optimizer is no weight", async () => {
    for (const name of ["keras3/sequential.keras", "keras2/sequential.keras", "keras2/sequential.h5"]) {
      const { tensors, others } = await open(path(name));
      expect([...tensors.keys()].filter((key) => /optimizer|metrics|adam/i.test(key))).toEqual([]);
      expect(others.size).toBeGreaterThan(20);
    }
  });

  it("layer_names are absent, and cut into several attributes", async () => {
    const attributesOf = async (name: string) => {
      const root = await openHdf5("HDF5", bytesInMemory(name, bytes(name)));
      return [...(root.members.get("model_weights")?.attributes.keys() ?? [])].sort();
    };
    expect(await attributesOf("keras2/branching.h5")).toEqual(["backend", "keras_version"]);
    expect(await attributesOf("keras3/branching.h5")).toEqual(
      ["backend", "keras_version"].concat([0, 1].map((i) => `layer_names${i}`)).sort(),
    );
    for (const name of ["keras2/branching.h5", "keras3/branching.h5"]) {
      expect(Object.keys(moduleOf(await open(path(name)), "norm").tensors)).toEqual([
        "gamma",
        "beta",
        "moving_mean",
        "moving_variance",
      ]);
    }
  });

  it("a .keras file is HDF5 in truth, and an HDF5 file has no ending", async () => {
    const named = await open(bytes("keras2/nested.h5"), { name: "model.keras" });
    expect([named.format, named.file]).toEqual(["Keras (HDF5)", "model.keras"]);
    expect((await open(bytes("keras3/nested.keras"), { name: "download" })).format).toBe("Keras (.keras)");
  });
});

describe("metadata", () => {
  it("has backend, date and training", async () => {
    const saved = await open(path("keras3/sequential.keras"));
    expect(saved.metadata).toEqual({
      date: expect.stringMatching(/^\d{4}-\d\d-\d\d@\d\d:\d\d:\d\d$/),
      training: expect.objectContaining({ loss: "mse" }),
    });
    expect(saved.architecture?.topology).not.toHaveProperty("compile_config");
    const { metadata } = await open(path("keras2/sequential.h5"));
    expect(metadata).toEqual({ backend: "tensorflow", training: expect.objectContaining({ loss: "mse" }) });
  });

  it("may have NaN and Infinity, as Python writes them", async () => {
    const config = '{"class_name":"Thing","config":{"name":"NaN \\" Infinity","a":NaN,"b":-Infinity}}';
    const weights = await (await zipEntries("zip", bytesInMemory("a", bytes("keras3/nested.keras"))))
      .get("model.weights.h5")
      ?.read();
    const { architecture } = await open(archive({ "config.json": config }, weights));
    expect(architecture?.topology.config).toEqual({
      name: 'NaN " Infinity',
      a: null,
      b: Number.NEGATIVE_INFINITY,
    });
  });
});

/** An archive as Keras writes it. */
function archive(texts: Record<string, string>, weights?: Uint8Array): Uint8Array {
  const encoded = Object.entries(texts).map(
    ([name, text]) => [name, new TextEncoder().encode(text)] as const,
  );
  return writeZip(weights === undefined ? encoded : [...encoded, ["model.weights.h5", weights]]);
}

describe("an archive", () => {
  const entries = async () => zipEntries("zip", bytesInMemory("a", bytes("keras3/branching.keras")));

  it("may be stored, as Keras writes it, or deflated", async () => {
    const parts = await Promise.all(
      [...(await entries())].map(async ([name, part]) => [name, await part.read()] as const),
    );
    const kernelOf = async (archive: Uint8Array) =>
      Object.values(moduleOf(await open(archive), "shared").tensors)[0].read();
    expect(await kernelOf(writeZip(parts))).toEqual(await kernelOf(bytes("keras3/branching.keras")));
  });

  it("without its parts is refused", async () => {
    const message = (source: Uint8Array) =>
      open(source, { name: "a.keras" }).then(
        () => "opened",
        (error: Error) => error.message,
      );
    expect(await message(archive({ "config.json": "{}" }))).toBe(
      "a.keras (Keras (.keras)): expected model.weights.h5 in the archive, it has config.json; save the model with Keras 2.13 or later",
    );
    expect(await message(archive({ "metadata.json": "{}" }))).toBe(
      "a.keras (Keras (.keras)): expected config.json in the archive, it has metadata.json; the file seems damaged: fetch or write it again",
    );
    expect(await message(archive({ "config.json": "{", "metadata.json": "{}" }))).toMatch(
      /^a\.keras \(Keras \(\.keras\)\): expected config\.json as JSON \(.*\); the file seems damaged/,
    );
    expect(await message(archive({ "config.json": "[]" }))).toBe(
      "a.keras (Keras (.keras)): expected config.json as a JSON object, got []; the file seems damaged: fetch or write it again",
    );
  });

  it("of models within models without end is refused", async () => {
    let config = '{"class_name":"Dense","config":{}}';
    for (let depth = 0; depth < 40; depth++)
      config = `{"class_name":"Sequential","config":{"layers":[${config}]}}`;
    const weights = await (await entries()).get("model.weights.h5")?.read();
    await expect(open(archive({ "config.json": config }, weights))).rejects.toThrow(
      "expected at most 32 models in one another",
    );
  });
});

describe("files from elsewhere", () => {
  const finite = async (checkpoint: Checkpoint) => {
    for (const tensor of [...checkpoint.tensors.values(), ...checkpoint.others.values()]) {
      expect(Array.from(await tensor.read(), Number).every(Number.isFinite), tensor.name).toBe(true);
    }
  };

  const fer = "keras-h5/fer-emotion_model.hdf5";
  itWithModel(fer)("fer, Keras 2.0.5: layers numbered once more in the names of their weights", async () => {
    const checkpoint = await open(modelFile(fer));
    expect(checkpoint).toMatchObject({
      framework: "keras2",
      version: "2.0.5",
      metadata: { backend: "tensorflow" },
    });
    expect([checkpoint.tensors.size, checkpoint.others.size]).toEqual([80, 105]);
    const norms = checkpoint.modules.filter(({ type }) => type === "BatchNormalization");
    expect(norms).toHaveLength(14);
    for (const { tensors, config } of norms) {
      expect(Object.keys(tensors)).toEqual(["gamma", "beta", "moving_mean", "moving_variance"]);
      expect(config).toMatchObject({ axis: -1, momentum: 0.99, epsilon: 0.001 });
    }
    expect(namesOf(checkpoint, "batch_normalization_1").gamma).toBe(
      "model_weights/batch_normalization_1/batch_normalization_1_1/gamma:0",
    );
    await finite(checkpoint);
  });

  for (const [name, version, names] of [
    ["keras-h5/dl4j-batch_to_conv2d_theano_1.h5", "1.2.2", ["gamma", "beta", "running_mean", "running_std"]],
    [
      "keras-h5/dl4j-batch_to_conv2d_tensorflow_2.h5",
      "2.1.3",
      ["gamma", "beta", "moving_mean", "moving_variance"],
    ],
  ] as const) {
    itWithModel(name)(`keras#2772: ${name} has ${names[3]} for the variance`, async () => {
      const checkpoint = await open(modelFile(name));
      expect([checkpoint.framework, checkpoint.version]).toEqual(["keras2", version]);
      const norm = checkpoint.modules.find(({ type }) => type === "BatchNormalization");
      expect(Object.keys(norm?.tensors ?? {})).toEqual(names);
      expect(Object.keys(checkpoint.modules[0].tensors)).toEqual(
        version === "1.2.2" ? ["W", "b"] : ["kernel", "bias"],
      );
      await finite(checkpoint);
    });
  }

  const arnav = "keras3/arnav-best_model.keras";
  itWithModel(arnav)("Keras 3.5 before objects were named", async () => {
    const checkpoint = await open(modelFile(arnav));
    expect(checkpoint).toMatchObject({ framework: "keras3", version: "3.5.0" });
    const norms = checkpoint.modules.filter(({ type }) => type === "BatchNormalization");
    expect(norms.map(({ name, tensors }) => [name, tensors.moving_variance.shape])).toEqual([
      ["batch_normalization", [32]],
      ["batch_normalization_1", [64]],
      ["batch_normalization_2", [128]],
    ]);
    expect([...checkpoint.others.keys()].every((name) => name.startsWith("optimizer/"))).toBe(true);
    await finite(checkpoint);
  });

  const container = "keras3/keras-pre_pr22362_nested_container.keras";
  itWithModel(container)("a class of its own, whose layers only their variables tell", async () => {
    const checkpoint = await open(modelFile(container));
    expect(checkpoint.architecture?.topology).toMatchObject({ class_name: "NestedDenseModel" });
    expect(checkpoint.modules.map(({ name, type, tensors }) => [name, type, Object.keys(tensors)])).toEqual([
      ["layers/dense", "dense", ["0"]],
      ["layers/dense_1", "dense", ["0"]],
      ["layers/dense_2", "dense", ["0"]],
      ["layers/dense_3", "dense", ["0", "1"]],
    ]);
    await finite(checkpoint);
  });
});

describe("hostile files", () => {
  const fixture = (name: string): Fixture => ({ [name]: bytes(name) });
  fuzz(
    "Keras (HDF5)",
    ["keras2/nested.h5", "keras3/branching.h5", "keras3/nested.weights.h5"].map(fixture),
    kerasHdf5.read,
  );
  fuzz(
    "Keras (.keras)",
    ["keras2/sequential.keras", "keras3/recurrent.keras", "keras2/nested-2.13.keras"].map(fixture),
    kerasZip.read,
  );
});
