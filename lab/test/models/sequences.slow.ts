/** Networks that read tokens and series: what padding is makes no difference, and no token sees what comes after it. */
import * as tf from "@tensorflow/tfjs-core";
import { type LayersModel, loadLayersModel } from "@tensorflow/tfjs-layers";
import { beforeAll, describe, expect, test } from "vitest";
import type { Form } from "../../src/data/form.js";
import { buildNetwork } from "../../src/models/network.js";
import { fits, type ModelName, misfitOf, modelNames, models, normsFor } from "../../src/models/registry.js";
import { startTensorFlow } from "../../src/node/tensorflow.js";
import { aboutOf, type NormName, placedOf } from "../../src/norms.js";

beforeAll(startTensorFlow);

const LENGTH = 5;
const WIDTH = 8;
const classes: Form = { input: { kind: "tokens", shape: [LENGTH], vocabulary: 6 }, outputs: [3] };
const next: Form = { ...classes, outputs: [LENGTH, 7] };
const series: Form = { input: { kind: "series", shape: [LENGTH, 2] }, outputs: [3, 2] };

const readers = modelNames.filter((name) => models[name].refusal(classes, 1) === undefined);
const built = (name: ModelName, norm: NormName, form: Form) =>
  buildNetwork(models[name], { depth: 2, width: WIDTH, activation: "relu" }, norm, form, 3);
const outputs = (model: LayersModel, x: number[][] | number[][][], training = false) =>
  tf.tidy(() => [...(model.apply(tf.tensor(x), { training }) as tf.Tensor).dataSync()]);
/** Those between the layers or instead of them: what is around a network is for series. */
const normsOfTokens = (name: ModelName) =>
  normsFor(models[name]).filter((norm) => placedOf(norm)?.around === undefined);
const cases = readers.flatMap((name) =>
  normsOfTokens(name).map((norm): [ModelName, NormName] => [name, norm]),
);

test("three models read tokens, in all of their arrangements", () => {
  expect(readers).toEqual(["transformer", "lstm", "gru"]);
  expect(normsOfTokens("transformer")).toEqual(
    expect.arrayContaining([
      "none",
      "layer",
      "post-layer",
      "sandwich-layer",
      "reordered-layer",
      "qk-layer",
      "batch",
      "instance",
    ]),
  );
  expect(normsOfTokens("lstm")).toEqual(expect.arrayContaining(["layer-norm-lstm", "recurrent-batch"]));
  expect(normsOfTokens("gru")).toEqual(expect.arrayContaining(["layer-norm-gru"]));
});

const sentences = [
  [1, 2, 3, 4, 5],
  [6, 5, 0, 0, 0],
  [2, 2, 4, 0, 0],
  [3, 1, 6, 2, 0],
];

describe("padding makes no difference, in training and after it", () => {
  test.each(cases)("%s with %s", (name, norm) => {
    const given = [0.1, -40].map((padding) => {
      const { model } = built(name, norm, classes);
      const embedding = model.getLayer("tokens");
      tf.tidy(() => {
        const [table] = embedding.getWeights();
        embedding.setWeights([tf.concat([tf.fill([1, WIDTH], padding), tf.slice(table, [1, 0])])]);
      });
      const all = [...outputs(model, sentences, true), ...outputs(model, sentences)];
      model.dispose();
      return all;
    });
    expect(given[0].every(Number.isFinite)).toBe(true);
    expect(new Set(given[0]).size).toBeGreaterThan(4);
    for (const [i, value] of given[0].entries()) expect(given[1][i]).toBeCloseTo(value, 4);
  });
});

describe("no token sees what comes after it", () => {
  test.each(cases.filter(([name, norm]) => fits(norm, models[name], next)))("%s with %s", (name, norm) => {
    const { model } = built(name, norm, next);
    // running statistics that are not those before training
    outputs(model, sentences, true);
    const [one, other] = [1, 6].map((last) => outputs(model, [[3, 1, 4, last, last]]));
    model.dispose();
    const seen = 3 * 7;
    for (let i = 0; i < seen; i++) expect(other[i]).toBeCloseTo(one[i], 5);
    expect(other.slice(seen)).not.toEqual(one.slice(seen));
  });

  test("so what normalizes over positions or by batches of evaluation has no place there, nor what takes one example after the other", () => {
    for (const [name, norm] of cases) {
      const isOut = aboutOf(norm)?.takes === "positions" || ["online", "batch-layer"].includes(norm);
      expect([name, norm, fits(norm, models[name], next)]).toEqual([name, norm, !isOut]);
      expect(misfitOf(norm, classes)).toBe(undefined);
    }
    expect([
      misfitOf("instance", next),
      misfitOf("batch-layer", next),
      misfitOf("post-online", next),
      misfitOf("layer+reversible-instance", next),
    ]).toEqual([
      "normalizes over positions, and would tell each token what comes after it",
      "may be evaluated by the statistics of a batch, which would tell each token what comes after it",
      "takes one example of a batch after the other, and here each token is one",
      "needs series to normalize over, and this data has none",
    ]);
  });
});

test("small batches are of examples, however many tokens they have", () => {
  const { model } = built("transformer", "ghost-batch", next);
  const many = Array.from({ length: 31 }, (_, row) => sentences[row % 4]);
  expect(outputs(model, many, true).every(Number.isFinite)).toBe(true);
  model.dispose();
});

describe("saved and loaded", () => {
  test.each<[ModelName, NormName, Form]>([
    ["transformer", "qk-rms", classes],
    ["transformer", "sandwich-batch", next],
    ["lstm", "layer", next],
    ["lstm", "layer-norm-lstm", classes],
    ["gru", "layer", classes],
  ])("%s with %s predicts the same", async (name, norm, form) => {
    const { model } = built(name, norm, form);
    const before = outputs(model, sentences);
    let saved: tf.io.ModelArtifacts = {};
    await model.save(
      tf.io.withSaveHandler(async (artifacts) => {
        saved = artifacts;
        return { modelArtifactsInfo: { dateSaved: new Date(), modelTopologyType: "JSON" } };
      }),
    );
    // as a file has it
    saved.modelTopology = JSON.parse(JSON.stringify(saved.modelTopology));
    const loaded = await loadLayersModel(tf.io.fromMemory(saved));
    expect(outputs(loaded, sentences)).toEqual(before);
    model.dispose();
    loaded.dispose();
  });
});

describe("learns", () => {
  /** The loss before and after some steps, of telling apart sentences by whether they have a 6. */
  function learnt(name: ModelName, norm: NormName): [number, number] {
    const { model } = built(name, norm, { ...classes, outputs: [2] });
    const x = Array.from({ length: 24 }, (_, row) =>
      Array.from({ length: LENGTH }, (_, at) =>
        at > 2 + (row % 3) ? 0 : row % 2 === 0 && at === row % 3 ? 6 : 1 + ((row * 7 + at * 3) % 5),
      ),
    );
    const optimizer: tf.Optimizer = tf.train.adam(0.02);
    const losses = Array.from({ length: 25 }, () =>
      tf.tidy(() => {
        const labels = tf.oneHot(
          tf.tensor1d(
            x.map((_, row) => row % 2),
            "int32",
          ),
          2,
        );
        const { value, grads } = tf.variableGrads(() =>
          tf.losses.softmaxCrossEntropy(labels, model.apply(tf.tensor(x), { training: true }) as tf.Tensor),
        );
        optimizer.applyGradients(grads);
        return value.dataSync()[0];
      }),
    );
    model.dispose();
    return [losses[0], losses[24]];
  }

  test.each<[ModelName, NormName]>([
    ["transformer", "layer"],
    ["transformer", "post-layer"],
    ["transformer", "qk-layer"],
    ["lstm", "layer-norm-lstm"],
    ["gru", "layer"],
  ])("%s with %s", (name, norm) => {
    const [before, after] = learnt(name, norm);
    expect(after).toBeLessThan(0.5 * before);
  });
});

test.each(readers)("%s forecasts series, and long ones by patches", (name) => {
  const { model } = built(name, "layer", series);
  const x = Array.from({ length: LENGTH }, (_, step) => [step, -step]);
  expect(model.outputs[0].shape).toEqual([null, 3, 2]);
  expect(new Set(outputs(model, [x])).size).toBe(6);
  model.dispose();
  const long = built(name, "layer", { ...series, input: { kind: "series", shape: [200, 2] } }).model;
  const steps = Array.from({ length: 200 }, (_, step) => [Math.sin(step), 1]);
  const before = outputs(long, [steps]);
  // no step is left out
  for (const step of [0, 99, 199]) {
    expect(outputs(long, [steps.with(step, [9, 9])])).not.toEqual(before);
  }
  long.dispose();
});

test("another normalization has the same initial weights, and another seed others", () => {
  const kernels = (norm: NormName, seed = 3) => {
    const { model, kernels: names } = buildNetwork(
      models.transformer,
      { depth: 1, width: WIDTH, activation: "relu" },
      norm,
      classes,
      seed,
    );
    const values = model.trainableWeights
      .filter(({ name }) => names.includes(name) || /query_kernel|tokens|table/.test(name))
      .map((weight) => [...weight.read().dataSync()]);
    model.dispose();
    return values;
  };
  const plain = kernels("none");
  expect(plain.length).toBeGreaterThan(4);
  for (const norm of ["layer", "post-layer", "qk-rms", "sandwich-batch"])
    expect(kernels(norm)).toEqual(plain);
  for (const [i, kernel] of kernels("none", 4).entries()) expect(kernel).not.toEqual(plain[i]);
});
