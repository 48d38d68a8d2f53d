import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import type { Architecture, Checkpoint, Module } from "../../../src/checkpoints/checkpoint.js";
import { savedModel } from "../../../src/checkpoints/formats/saved-model.js";
import { open } from "../../../src/checkpoints/open.js";
import { numbersOf } from "../../../src/checkpoints/tensors.js";
import { type Fixture, filesIn, fuzz } from "../support/fuzz.js";
import { field, message } from "../support/protobuf.js";
import { itWithModel, modelFile } from "../support/shared-models.js";

const folder = fileURLToPath(new URL("../../fixtures/checkpoints/tensorflow/", import.meta.url));
const network = (name: string) => JSON.parse(readFileSync(`${folder}${name}.json`, "utf8"));
const files = (name: string, ...more: string[]): Fixture =>
  Object.fromEntries(
    ["saved_model.pb", "variables/variables.index", "variables/variables.data-00000-of-00001", ...more].map(
      (file) => [file, new Uint8Array(readFileSync(`${folder}${name}/${file}`))],
    ),
  );

const moduleOf = (checkpoint: Checkpoint, name: string): Module => {
  const found = checkpoint.modules.find((one) => one.name === name);
  if (found === undefined) throw new Error(`no module ${name}`);
  return found;
};

/** A module's tensors, each equal to what the .json has under the layer's name. */
async function expectTensors(
  checkpoint: Checkpoint,
  name: string,
  locals: Record<string, string>,
  weights: Record<string, { values: number[] }>,
) {
  const { tensors } = moduleOf(checkpoint, name);
  expect(Object.keys(tensors), name).toEqual(Object.keys(locals));
  for (const [local, tensor] of Object.entries(tensors)) {
    const { values } = weights[`${name}/${locals[local]}`];
    expect(await tensor.read(), `${name}/${local}`).toEqual(Float32Array.from(values));
  }
}

const same = (...names: string[]) => Object.fromEntries(names.map((name) => [name, name]));
const FUSED = { scale: "gamma", offset: "beta", mean: "moving_mean", variance: "moving_variance" };

describe("a SavedModel of Keras 2", () => {
  const { weights, normalizations, version } = network("keras2");

  it("has a module for each layer, named by the models that hold it, with its options and variables", async () => {
    const checkpoint = await open(`${folder}keras2/saved_model`);
    expect(checkpoint).toMatchObject({
      format: "TensorFlow SavedModel",
      framework: "keras2",
      version,
      metadata: { tags: ["serve"] },
    });
    const all = files("keras2/saved_model", "keras_metadata.pb");
    expect(checkpoint.byteLength).toBe(Object.values(all).reduce((sum, { length }) => sum + length, 0));
    expect(checkpoint.modules.map(({ name, type }) => `${name} ${type}`)).toEqual([
      "image InputLayer",
      "conv Conv2D",
      "bn BatchNormalization",
      "inner Sequential",
      "inner/inner_conv Conv2D",
      "inner/inner_bn BatchNormalization",
      "ln LayerNormalization",
      "gn GroupNormalization",
      "pool GlobalAveragePooling2D",
      "dense Dense",
    ]);
    for (const { name, type, options } of normalizations) {
      expect(moduleOf(checkpoint, name)).toMatchObject({ type, config: options });
    }
    expect(moduleOf(checkpoint, "bn").config.build_input_shape).toEqual([null, 5, 5, 4]);
    await expectTensors(checkpoint, "conv", same("kernel", "bias"), weights);
    await expectTensors(checkpoint, "bn", same("gamma", "beta", "moving_mean", "moving_variance"), weights);
    await expectTensors(checkpoint, "inner/inner_conv", same("kernel", "bias"), weights);
    await expectTensors(
      checkpoint,
      "inner/inner_bn",
      same("beta", "moving_mean", "moving_variance"),
      weights,
    );
    await expectTensors(checkpoint, "ln", same("gamma", "beta"), weights);
    await expectTensors(checkpoint, "gn", same("gamma", "beta"), weights);
    await expectTensors(checkpoint, "dense", same("kernel", "bias"), weights);
  });

  it("has its architecture, with lists where Keras marks tuples", async () => {
    const { architecture } = await open(`${folder}keras2/saved_model/saved_model.pb`);
    expect(architecture).toMatchObject({ version: "2.15.0", topology: { class_name: "Functional" } });
    const { layers } = (architecture as Architecture).topology.config as {
      layers: { class_name: string; config: object }[];
    };
    expect(layers.map(({ class_name }) => class_name).slice(0, 3)).toEqual([
      "InputLayer",
      "Conv2D",
      "BatchNormalization",
    ]);
    expect(layers[1].config).toMatchObject({ kernel_size: [2, 2] });
  });

  it("has the weights of the model apart from metrics and the optimizer's", async () => {
    const { tensors, others } = await open(`${folder}keras2/saved_model`);
    expect(tensors.size).toBe(17);
    expect(new Set([...tensors.values()].map(({ name }) => name))).toContain("inner_bn/moving_mean");
    expect([...others.keys()]).toContain("keras_api/metrics/0/total");
    expect([...others.values()].map(({ name }) => name)).toContain("Adam/v/bn/beta");
  });

  it("has its batch norms without Keras's description too, each once, those of layer norms left out", async () => {
    const { "keras_metadata.pb": _, ...bare } = files("keras2/saved_model", "keras_metadata.pb");
    const checkpoint = await savedModel.read(filesIn(bare));
    expect(checkpoint.modules.map(({ name, type }) => `${name} ${type}`)).toEqual([
      "bn FusedBatchNormV3",
      "inner_bn FusedBatchNormV3",
    ]);
    const [{ config, tensors }] = checkpoint.modules;
    expect(config).toMatchObject({ epsilon: Math.fround(0.001), is_training: false });
    expect(await tensors.variance.read()).toEqual(Float32Array.from(weights["bn/moving_variance"].values));
    expect(checkpoint.architecture).toBeUndefined();
  });
});

describe("a SavedModel that Keras 3 exported", () => {
  const { weights, version } = network("keras3");

  it("has batch norms as they are written out in its function; copies of variables apart", async () => {
    const checkpoint = await open(`${folder}keras3`);
    expect(checkpoint).toMatchObject({ framework: "keras3", version });
    expect(checkpoint.modules.map(({ name, type, config }) => ({ name, type, config }))).toEqual([
      { name: "bn", type: "tf.nn.batch_normalization", config: { variance_epsilon: Math.fround(0.001) } },
      {
        name: "inner/inner_bn",
        type: "tf.nn.batch_normalization",
        config: { variance_epsilon: Math.fround(0.02) },
      },
    ]);
    await expectTensors(checkpoint, "bn", FUSED, weights);
    const { scale: _, ...withoutScale } = FUSED;
    await expectTensors(checkpoint, "inner/inner_bn", withoutScale, weights);
    expect([...checkpoint.tensors.values()].map(({ name }) => name).sort()).toEqual(
      Object.keys(weights).sort(),
    );
    expect(checkpoint.tensors.get("variables/2")?.name).toBe("bn/gamma");
    for (const { name, read } of checkpoint.tensors.values()) {
      expect(await read()).toEqual(Float32Array.from(weights[name].values));
    }
    expect([...checkpoint.others.keys()].filter((key) => key.startsWith("_all_variables/"))).toHaveLength(17);
  });
});

describe("a SavedModel of a tf.Module", () => {
  const { weights, normalizations } = network("plain");

  it("has the norms of its graph by the objects that hold their variables", async () => {
    const checkpoint = await open(`${folder}plain`);
    expect(checkpoint.framework).toBe("keras2");
    expect(checkpoint.modules).toHaveLength(2);
    for (const { name, type, options } of normalizations) {
      const { config, type: own } = moduleOf(checkpoint, name);
      expect(own).toBe(type);
      for (const [option, value] of Object.entries(options)) {
        expect(config[option]).toBe(Math.fround(value as number));
      }
      await expectTensors(checkpoint, name, FUSED, weights);
    }
    // gamma is the name of two
    expect(checkpoint.tensors.get("first/gamma")?.name).toBe("first/gamma");
  });

  it("has tensors of every type, strings refused by name", async () => {
    const { tensors } = await open(`${folder}plain`);
    const values = async (name: string) => {
      const tensor = tensors.get(name);
      return tensor && [...(await numbersOf(tensor))];
    };
    expect(await tensors.get("steps")?.read()).toEqual(BigInt64Array.of(12345678901n));
    expect(await values("half")).toEqual(weights.half.values.map(Math.fround));
    expect(await values("brain")).toEqual(weights.brain.values.map(Math.fround));
    expect(await values("flags")).toEqual([1, 0]);
    expect(await values("waves")).toEqual([1, 2, -0, -3]);
    await expect(tensors.get("words")?.read()).rejects.toThrow("values of type string are not read");
  });
});

describe("a SavedModel of TensorFlow 1", () => {
  it("has variables by name, a partitioned one in whole, and its batch norm", async () => {
    const { weights } = network("graph");
    const checkpoint = await open(`${folder}graph/saved_model`);
    expect(checkpoint).toMatchObject({ framework: "keras2", metadata: { signatures: ["serving_default"] } });
    expect(checkpoint.tensors.get("net/dense/kernel")?.shape).toEqual([144, 1]);
    expect(checkpoint.modules.map(({ name, type }) => `${name} ${type}`)).toEqual([
      "net/bn FusedBatchNormV3",
    ]);
    await expectTensors(checkpoint, "net/bn", FUSED, weights);
  });
});

describe("what begins alike", () => {
  it("is not claimed: ONNX, or a graph that is cut off", async () => {
    const none = filesIn({ x: new Uint8Array(1000) });
    const onnx = message(field(1, 8), field(2, "pytorch"), field(7, new Uint8Array(9)));
    const old = message(field(1, 1), field(2, "pytorch"));
    const whole = message(field(1, 1), field(2, message(field(1, "x"))));
    expect(await savedModel.matches(onnx, none)).toBe(false);
    expect(await savedModel.matches(old, none)).toBe(false);
    expect(await savedModel.matches(whole, none)).toBe(true);
    expect(await savedModel.matches(whole, filesIn({ x: whole.slice(0, 5) }))).toBe(false);
  });
});

describe("damage", () => {
  it("names the variables that are missing", async () => {
    const { "saved_model.pb": program } = files("plain");
    await expect(open(program, { name: "saved_model.pb" })).rejects.toThrow(
      "saved_model.pb (TensorFlow SavedModel): expected its variables in variables/variables.index beside it, there is no such file; open the model's folder, or give all of its files",
    );
  });

  it("passes over what Keras says where it is no JSON", async () => {
    const damaged = message(
      field(1, message(field(2, 2), field(4, "_tf_keras_layer"), field(5, "{"))),
      field(1, message(field(2, 3), field(4, "_tf_keras_layer"), field(5, "[".repeat(100_000)))),
      field(1, message(field(2, 99999), field(4, "_tf_keras_layer"), field(5, '{"class_name":"Dense"}'))),
      field(
        1,
        message(
          field(2, 4),
          field(4, "_tf_keras_layer"),
          field(
            5,
            '{"class_name":"LayerNormalization","name":"__proto__","config":{"__proto__":{"axis":1}}}',
          ),
        ),
      ),
    );
    const checkpoint = await savedModel.read(
      filesIn({ ...files("keras2/saved_model"), "keras_metadata.pb": damaged }),
    );
    expect(checkpoint.modules.map(({ name, type }) => `${name} ${type}`)).toEqual([
      "__proto__ LayerNormalization",
    ]);
    expect(({} as { axis?: number }).axis).toBeUndefined();
  });

  const small = files("small", "keras_metadata.pb");
  it("of a small one: its layers are read", async () => {
    const { modules } = await savedModel.read(filesIn(small));
    expect(modules.map(({ name, tensors }) => `${name}: ${Object.keys(tensors)}`)).toEqual([
      "inner: ",
      "inner/dense: kernel,bias",
      "inner/norm: gamma,beta,moving_mean,moving_variance",
      "last: kernel,bias",
    ]);
  });
  fuzz("TensorFlow SavedModel", [files("plain"), files("graph/saved_model"), small], savedModel.read);
});

describe("files of others", () => {
  const basicPitch = "tf/basic_pitch_savedmodel/saved_model.pb";

  itWithModel(basicPitch)(
    "basic_pitch: three batch norms by Keras's description in the objects",
    async () => {
      const checkpoint = await open(modelFile(basicPitch));
      expect(checkpoint).toMatchObject({
        framework: "keras2",
        version: "2.4.1",
        architecture: { version: "2.4.0" },
      });
      const found = checkpoint.modules.filter(({ type }) => type === "BatchNormalization");
      expect(found.map(({ name, tensors }) => [name, tensors.gamma.shape])).toEqual([
        ["batch_normalization", [1]],
        ["batch_normalization_2", [8]],
        ["batch_normalization_3", [32]],
      ]);
      expect(found[0].config).toMatchObject({ axis: [3], epsilon: 0.001, momentum: 0.99 });
      for (const { tensors } of found) {
        for (const tensor of Object.values(tensors)) {
          expect((await numbersOf(tensor)).every(Number.isFinite)).toBe(true);
        }
      }
    },
  );

  itWithModel(basicPitch)("basic_pitch: the same three of 33 operations in its functions", async () => {
    const checkpoint = await open(modelFile(basicPitch));
    const program = readFileSync(modelFile(basicPitch));
    // without Keras's description: its marker made another
    const bytes = new Uint8Array(program);
    const marker = new TextEncoder().encode("_tf_keras_");
    for (let at = program.indexOf("_tf_keras_"); at >= 0; at = program.indexOf("_tf_keras_", at + 1)) {
      bytes.set(
        marker.map((byte, i) => (i === 0 ? 0x2d : byte)),
        at,
      );
    }
    const variables = ["index", "data-00000-of-00001"].map((end) => {
      const name = `variables/variables.${end}`;
      return [name, readFileSync(modelFile(`tf/basic_pitch_savedmodel/${name}`))] as const;
    });
    const bare = await open(new Map<string, Uint8Array>([["saved_model.pb", bytes], ...variables]));
    expect(bare.modules.map(({ name, type }) => `${name} ${type}`)).toEqual([
      "batch_normalization FusedBatchNormV3",
      "batch_normalization_2 FusedBatchNormV3",
      "batch_normalization_3 FusedBatchNormV3",
    ]);
    for (const [i, name] of [
      "batch_normalization",
      "batch_normalization_2",
      "batch_normalization_3",
    ].entries()) {
      const layer = moduleOf(checkpoint, name).tensors;
      const { scale, offset, mean, variance } = bare.modules[i].tensors;
      expect(await variance.read()).toEqual(await layer.moving_variance.read());
      expect([scale, offset, mean].map((tensor) => tensor.name)).toEqual(
        [layer.gamma, layer.beta, layer.moving_mean].map((tensor) => tensor.name),
      );
    }
  });

  const halfPlusTwo = "tf/serving_half_plus_two_tf2/saved_model.pb";

  itWithModel(halfPlusTwo)("half_plus_two: no layers, three numbers", async () => {
    const checkpoint = await open(modelFile(halfPlusTwo));
    expect(checkpoint).toMatchObject({ version: "2.14.0", modules: [] });
    expect(checkpoint.framework).toBeUndefined();
    expect([...checkpoint.tensors.keys()]).toEqual(["a", "b", "c"]);
    expect(await checkpoint.tensors.get("a")?.read()).toEqual(Float32Array.of(0.5));
  });
});
