/** Networks of what users have: padding and order make no difference, they learn, and load as they were saved. */
import * as tf from "@tensorflow/tfjs-core";
import { type LayersModel, loadLayersModel } from "@tensorflow/tfjs-layers";
import { beforeAll, describe, expect, test } from "vitest";
import type { Form } from "../../src/data/form.js";
import { toInteractions } from "../../src/datasets/interactions.js";
import { autoencoder } from "../../src/models/autoencoder.js";
import { BagOfItems } from "../../src/models/layers/bag-of-items.js";
import type { Model } from "../../src/models/model.js";
import { buildNetwork } from "../../src/models/network.js";
import { acceptingModels, normsFor, usualModel } from "../../src/models/registry.js";
import { twoTowers } from "../../src/models/two-towers.js";
import { startTensorFlow } from "../../src/node/tensorflow.js";
import type { NormName } from "../../src/norms.js";
import { recommendation } from "../../src/tasks/recommendation.js";
import { runTrial } from "../../src/trial.js";
import { rows, scattered, tableOf } from "../support/tables.js";

beforeAll(startTensorFlow);

const [ITEMS, WIDTH] = [9, 8];
const formOf = (most: number): Form => ({
  input: { kind: "items", shape: [most], vocabulary: ITEMS },
  outputs: [ITEMS],
});
const built = (model: Model, norm: NormName, most: number) =>
  buildNetwork(model, { depth: 2, width: WIDTH, activation: "relu" }, norm, formOf(most), 1).model;
const outputs = (model: LayersModel, x: number[][]) =>
  tf.tidy(() => [...(model.apply(tf.tensor2d(x), { training: false }) as tf.Tensor).dataSync()]);
const recommenders: [string, Model][] = [
  ["autoencoder", autoencoder],
  ["two towers", twoTowers],
];

test("they alone take items, the autoencoder where nobody says", () => {
  expect(acceptingModels(formOf(3))).toEqual([autoencoder.name, twoTowers.name]);
  expect(usualModel(formOf(3))).toBe(autoencoder.name);
  expect(autoencoder.refusal({ input: { kind: "features", shape: [3] }, outputs: [1] })).toEqual({
    problem: "needs users with their items, and this data has 3 separate features",
  });
});

describe.each(recommenders)("%s", (_, model) => {
  test.each(normsFor(model))("with %s: neither padding nor the order of items make a difference", (norm) => {
    const given = outputs(built(model, norm, 3), [
      [1, 4, 2],
      [7, 3, 0],
    ]);
    const other = outputs(built(model, norm, 6), [
      [2, 1, 4, 0, 0, 0],
      [3, 7, 0, 0, 0, 0],
    ]);
    expect(given.every(Number.isFinite)).toBe(true);
    expect(given.slice(0, ITEMS)).not.toEqual(given.slice(ITEMS));
    for (const [i, value] of other.entries()) expect(value).toBeCloseTo(given[i], 4);
  });

  test("a user with no items gets numbers too", () => {
    expect(outputs(built(model, "layer", 3), [[0, 0, 0]]).every(Number.isFinite)).toBe(true);
  });

  test("saved and loaded, it gives the same", async () => {
    const network = built(model, "batch", 4);
    let saved: tf.io.ModelArtifacts | undefined;
    await network.save(
      tf.io.withSaveHandler(async (artifacts) => {
        saved = artifacts;
        return { modelArtifactsInfo: { dateSaved: new Date(0), modelTopologyType: "JSON" } };
      }),
    );
    const loaded = await loadLayersModel(tf.io.fromMemory(saved as tf.io.ModelArtifacts));
    const x = [[5, 2, 8, 0]];
    expect(outputs(loaded, x)).toEqual(outputs(network, x));
  });

  test("it learns what popularity does not know", async () => {
    // two kinds of users, and each of six items of its own kind out of ten
    const pairs = rows(120, (user) =>
      rows(10, (i) => i)
        .sort((a, b) => scattered(user * 10 + a) - scattered(user * 10 + b))
        .slice(0, 6)
        .map((item) => ({ user, item: item + 10 * (user % 2) })),
    ).flat();
    const table = tableOf({ user: pairs.map(({ user }) => user), item: pairs.map(({ item }) => item) });
    const data = toInteractions(table, {}, "made up");
    const spec = {
      ...{ norm: "layer", seed: 1, data, digest: "0" },
      model: { kind: model.name, depth: 1, width: 16, activation: "relu" as const },
      training: {
        ...{ epochs: 8, batchSize: 8, warmUp: 0 },
        ...{ learningRates: [0.02], optimizer: "adam" as const },
      },
    };
    const { epochs, scores, guess, guesses, outcome } = await runTrial(spec, model, () => {});
    expect(outcome).toBe("finished");
    expect(Number(epochs.at(-1)?.trainLoss)).toBeLessThan(0.9 * Number(epochs[0].trainLoss));
    const [{ name }] = recommendation.metrics.slice(2);
    expect(Number(scores.heldOut[name])).toBeGreaterThan(Number(guess[name]) + 0.2);
    expect(guesses.map((each) => each.name)).toEqual(["popularity"]);
  });
});

describe("a bag of items", () => {
  const bag = (args: object, x: number[][], training = false) =>
    tf.tidy(() => {
      const given = new BagOfItems({ items: 4, scale: "unit", ...args }).apply(tf.tensor2d(x), { training });
      return (given as tf.Tensor2D).arraySync();
    });

  test("is of length 1, or adds up to 1", () => {
    const half = Math.fround(Math.SQRT1_2);
    expect(
      bag({}, [
        [2, 4, 0],
        [1, 0, 0],
        [0, 0, 0],
      ]),
    ).toEqual([
      [0, half, 0, half],
      [1, 0, 0, 0],
      [0, 0, 0, 0],
    ]);
    expect(bag({ scale: "mean" }, [[2, 4, 0]])).toEqual([[0, 0.5, 0, 0.5]]);
  });

  test("loses items in training alone, others at each call, the same for the same seed", () => {
    const x = rows(200, () => [1, 2, 3, 4]);
    const layer = () => new BagOfItems({ items: 4, scale: "mean", rate: 0.25, seed: 3 });
    const call = (of: BagOfItems, training: boolean) =>
      tf.tidy(() => [...(of.apply(tf.tensor2d(x), { training }) as tf.Tensor).dataSync()]);
    const [one, other] = [layer(), layer()];
    const [first, second] = [call(one, true), call(one, true)];
    expect(new Set(first)).toEqual(new Set([0, Math.fround(0.25 / 0.75)]));
    const dropped = first.filter((value) => value === 0).length / first.length;
    expect(dropped).toBeGreaterThan(0.2);
    expect(dropped).toBeLessThan(0.3);
    expect(second).not.toEqual(first);
    expect([call(other, true), call(other, true)]).toEqual([first, second]);
    expect(new Set(call(one, false))).toEqual(new Set([0.25]));
  });
});
