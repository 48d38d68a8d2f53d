import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as tf from "@tensorflow/tfjs-core";
import * as tfl from "@tensorflow/tfjs-layers";
import { layers as ours } from "evenkeel/tfjs";
import { beforeAll, expect, test } from "vitest";
import { type Artifacts, readModel, writeModel } from "../../src/node/model-file.js";
import { startTensorFlow } from "../../src/node/tensorflow.js";
import { errorOf, pathOf, write } from "../support/files.js";

beforeAll(startTensorFlow);

async function artifactsOf(model: tfl.LayersModel): Promise<Artifacts> {
  let artifacts: Artifacts = {};
  await model.save(
    tf.io.withSaveHandler(async (saved) => {
      artifacts = saved;
      return { modelArtifactsInfo: { dateSaved: new Date(), modelTopologyType: "JSON" } };
    }),
  );
  return artifacts;
}

/** A stack of dense layers with one of ours, after steps that leave nothing as it was made. */
function dense(): tfl.LayersModel {
  const model = tfl.sequential();
  model.add(tfl.layers.dense({ units: 5, inputShape: [3], activation: "relu" }));
  model.add(ours.batchNormalization());
  model.add(tfl.layers.dropout({ rate: 0.5 }));
  model.add(tfl.layers.dense({ units: 2, activation: "softmax" }));
  for (let step = 0; step < 3; step++) model.apply(tf.randomNormal([8, 3]), { training: true });
  return model;
}

function branches(): tfl.LayersModel {
  const image = tfl.input({ shape: [6, 6, 1] });
  const words = tfl.input({ shape: [4], dtype: "int32" });
  const conv = tfl.layers.conv2d({ filters: 3, kernelSize: 3, activation: "relu" });
  const seen = tfl.layers.globalAveragePooling2d({}).apply(conv.apply(image)) as tfl.SymbolicTensor;
  const embedded = tfl.layers.embedding({ inputDim: 9, outputDim: 3, maskZero: true }).apply(words);
  const read = tfl.layers
    .bidirectional({
      layer: tfl.layers.gru({ units: 2 }) as unknown as tfl.RNN,
      mergeMode: "concat",
    })
    .apply(embedded) as tfl.SymbolicTensor;
  const both = tfl.layers.concatenate().apply([seen, read]);
  const outputs = tfl.layers.dense({ units: 1 }).apply(both) as tfl.SymbolicTensor;
  return tfl.model({ inputs: [image, words], outputs });
}

test.each([
  ["sequential", dense, () => [tf.randomNormal([4, 3])]],
  [
    "functional",
    branches,
    () => [
      tf.randomNormal([4, 6, 6, 1]),
      tf.tensor2d([1, 2, 0, 0, 3, 4, 5, 0, 6, 0, 0, 0, 8, 7, 6, 5], [4, 4]),
    ],
  ],
] as const)(
  "a %s network that was written is read the same, here and by TensorFlow.js",
  async (name, make, inputsOf) => {
    const model = make();
    const inputs = inputsOf();
    const expected = (model.predict(inputs as tf.Tensor[]) as tf.Tensor).dataSync();
    const folder = pathOf(`${name}/model`);
    writeModel(folder, await artifactsOf(model), "--save");

    const read = await readModel(folder);
    expect((read.predict(inputs as tf.Tensor[]) as tf.Tensor).dataSync()).toEqual(expected);

    const { modelTopology, weightsManifest, format } = JSON.parse(
      readFileSync(join(folder, "model.json"), "utf8"),
    );
    expect(format).toBe("layers-model");
    const bytes = readFileSync(join(folder, weightsManifest[0].paths[0]));
    const elsewhere = await tfl.loadLayersModel(
      tf.io.fromMemory({
        modelTopology,
        weightSpecs: weightsManifest[0].weights,
        weightData: bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length) as ArrayBuffer,
      }),
    );
    expect((elsewhere.predict(inputs as tf.Tensor[]) as tf.Tensor).dataSync()).toEqual(expected);
  },
);

test("a network whose statistics are of two kinds is read as TensorFlow.js reads it", async () => {
  const model = tfl.sequential();
  model.add(tfl.layers.dense({ units: 4, inputShape: [3] }));
  model.add(ours.batchLayerNormalization());
  model.apply(tf.randomNormal([8, 3]), { training: true });
  const x = tf.randomNormal([5, 3]);
  writeModel(pathOf("two-kinds"), await artifactsOf(model), "--save");
  const read = await readModel(pathOf("two-kinds"));
  expect((read.predict(x) as tf.Tensor).dataSync()).toEqual((model.predict(x) as tf.Tensor).dataSync());
});

test("another network in the folder is replaced", async () => {
  const folder = pathOf("twice");
  writeModel(folder, await artifactsOf(branches()), "--save");
  writeModel(folder, await artifactsOf(dense()), "--save");
  expect((await readModel(folder)).inputs[0].shape).toEqual([null, 3]);
});

test("a network that could not be written whole is not there", async () => {
  const folder = pathOf("full");
  const artifacts = await artifactsOf(dense());
  writeModel(folder, artifacts, "--save");
  const broken = { ...artifacts, modelTopology: { toJSON: () => JSON.parse("{") } };
  expect(() => writeModel(folder, broken, "--save")).toThrow();
  expect(existsSync(join(folder, "model.json"))).toBe(false);
});

test("what cannot be written, or is no network, is told", async () => {
  const file = write("file", "x");
  const artifacts = await artifactsOf(dense());
  expect(await errorOf(() => writeModel(join(file, "model"), artifacts, "--save"))).toBe(
    'FailureError: --save: cannot write in the folder "file/model" (ENOTDIR: not a directory); allow it, or name another folder',
  );
  mkdirSync(pathOf("weights"));
  writeFileSync(
    pathOf("weights/model.json"),
    JSON.stringify({ weightsManifest: [{ paths: ["weights.bin"], weights: [] }] }),
  );
  writeFileSync(pathOf("weights/weights.bin"), "");
  expect(await errorOf(() => readModel(pathOf("weights")))).toBe(
    'UsageError: "weights": expected a network\'s layers and their weights, as TensorFlow.js saves them (model.save), or a .keras or .h5 file of Keras; got TensorFlow.js weights, which has no layers; save the whole model in one of these',
  );
});

test("a file of another kind is told", async () => {
  expect(await errorOf(() => readModel(write("table.csv", "a,b\n1,2\n")))).toBe(
    'UsageError: "table.csv": expected a network\'s layers and their weights, as TensorFlow.js saves them (model.save), or a .keras or .h5 file of Keras; got another file: name the model.json or its folder',
  );
});

test("of a folder of networks, one is to be named", async () => {
  for (const name of ["rms", "layer"])
    writeModel(pathOf(`kept/${name}`), await artifactsOf(dense()), "--save");
  expect(await errorOf(() => readModel(pathOf("kept")))).toMatch(
    /^UsageError: "kept": expected one network, got a folder of 2; name one of them, such as ".*layer"$/,
  );
});

test("a layer whose class is not known is named, with the remedy", async () => {
  class Doubling extends tfl.layers.Layer {
    static className = "Doubling";
  }
  const model = tfl.sequential();
  model.add(tfl.layers.dense({ units: 2, inputShape: [3], name: "first" }));
  model.add(new Doubling({ name: "twice" }));
  const folder = pathOf("custom");
  writeModel(folder, await artifactsOf(model), "--save");
  expect(await errorOf(() => readModel(folder))).toBe(
    'CheckpointError: custom/model.json (TensorFlow.js layers-model): layer "twice": its class Doubling is not known; register it with tf.serialization.registerClass, or build the model yourself and load its weights with loadInto(model, checkpoint)',
  );
});
