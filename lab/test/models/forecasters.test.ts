/** Networks of series: one dense layer over time that all series share, and normalizations around and between layers. */
import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, test } from "vitest";
import type { Form } from "../../src/data/form.js";
import { linear } from "../../src/models/linear.js";
import { mlp } from "../../src/models/mlp.js";
import type { Model } from "../../src/models/model.js";
import { buildNetwork, type Network } from "../../src/models/network.js";
import { startTensorFlow } from "../../src/node/tensorflow.js";
import { rows, scattered } from "../support/tables.js";

beforeAll(startTensorFlow);

const [steps, channels, horizon] = [12, 2, 3];
const form: Form = { input: { kind: "series", shape: [steps, channels] }, outputs: [horizon, channels] };
const build = (model: Model, norm: string) =>
  buildNetwork(model, { depth: 1, width: 8, activation: "relu" }, norm, form, 1);

/** Of one example, [horizon][channels]. */
function forecastOf({ model }: Network, x: number[]): number[] {
  return tf.tidy(() =>
    Array.from(
      (model.apply(tf.tensor(x, [1, steps, channels]), { training: false }) as tf.Tensor).dataSync(),
    ),
  );
}
const x = rows(steps * channels, (i) => scattered(i));

test("each step of a linear forecast is the same weighted sum of the steps of each series", () => {
  const network = build(linear, "none");
  const [kernel, bias] = network.model.getWeights();
  expect(kernel.shape).toEqual([steps, horizon]);
  const weights = kernel.arraySync() as number[][];
  const expected = rows(horizon * channels, (i) => {
    const [ahead, channel] = [Math.floor(i / channels), i % channels];
    return rows(steps, (step) => weights[step][ahead] * x[step * channels + channel]).reduce((a, b) => a + b);
  });
  expect([...bias.dataSync()]).toEqual([0, 0, 0]);
  const given = forecastOf(network, x);
  for (const [i, value] of given.entries()) expect(value).toBeCloseTo(expected[i], 5);
  expect(network.kernels).toHaveLength(1);
});

describe.each<[string, Model]>([
  ["linear", linear],
  ["mlp", mlp],
])("%s", (_, model) => {
  const moved = (of: number[]) => of.map((value, i) => (i % channels === 0 ? 5 * value + 100 : value - 3));

  test.each(["reversible-instance", "robust-reversible-instance"])(
    "with %s around it, a level and a scale of a series go through to its forecast",
    (norm) => {
      const network = build(model, norm);
      const expected = moved(forecastOf(network, x));
      for (const [i, value] of forecastOf(network, moved(x)).entries())
        expect(value).toBeCloseTo(expected[i], 3);
      // which they do not without it
      const plain = build(model, "none");
      expect(Math.abs(forecastOf(plain, moved(x))[0] - moved(forecastOf(plain, x))[0])).toBeGreaterThan(1);
    },
  );

  test("the robust one is another: a wild value moves a forecast otherwise", () => {
    const wild = x.with(4, 1000);
    const moves = (norm: string) => {
      const network = build(model, norm);
      return Math.abs(forecastOf(network, wild)[0] - forecastOf(network, x)[0]);
    };
    const [robust, plain] = [moves("robust-reversible-instance"), moves("reversible-instance")];
    expect(robust).not.toBeCloseTo(plain, 3);
  });
});

test("an mlp takes a normalization between its layers, and another around them", () => {
  const names = (norm: string) => build(mlp, norm).model.layers.map((layer) => layer.getClassName());
  expect(names("layer")).toContain("LayerNormalization");
  const { model } = build(mlp, "layer+reversible-instance");
  expect(model.layers.map((layer) => layer.getClassName())).toEqual(["InputLayer", "Reversible"]);
  expect(model.trainableWeights.map(({ shape }) => shape)).toContainEqual([channels]);
  expect(model.outputs[0].shape).toEqual([null, horizon, channels]);
});

test("a linear forecaster is one layer, and of series", () => {
  expect(linear.refusal(form, 1)).toBeUndefined();
  expect(linear.refusal(form, 2)).toEqual({
    problem: "is a single layer, got a depth of 2",
    remedy: "leave out --depth",
  });
  expect(linear.refusal({ input: { kind: "features", shape: [4] }, outputs: [1] }, 1)).toEqual({
    problem: "needs series, and this data has 4 separate features",
  });
});
