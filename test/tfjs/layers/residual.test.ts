/** Residual blocks of TensorFlow.js layers, against the same thing composed. */
import * as tf from "@tensorflow/tfjs-core";
import * as tfl from "@tensorflow/tfjs-layers";
import { beforeAll, describe, expect, it } from "vitest";
import { deepNorm } from "../../../src/index.js";
import {
  freezeStatistics,
  install,
  layers,
  type ResidualArgs,
  recalibrate,
  residual,
  statisticsGap,
} from "../../../src/tfjs/index.js";
import { expectClose, normal } from "../../support/numerics.js";
import { artifacts } from "../../support/tfjs-artifacts.js";
import { backends, use } from "../../support/tfjs-backends.js";

const x = () => tf.tensor(normal(24, 1, 0.5), [4, 6]);
const values = (tensor: unknown) => (tensor as tf.Tensor).dataSync() as Float32Array;

describe.each(backends)("%s", (backend) => {
  beforeAll(async () => {
    await use(backend);
    await install();
  });

  /** What each placement does, by plain operations on the inner layers' own outputs. */
  const composed = {
    pre: (input: tf.Tensor, inner: tfl.layers.Layer, norm: tfl.layers.Layer) =>
      tf.add(input, inner.apply(norm.apply(input) as tf.Tensor) as tf.Tensor),
    post: (input: tf.Tensor, inner: tfl.layers.Layer, norm: tfl.layers.Layer) =>
      norm.apply(tf.add(input, inner.apply(input) as tf.Tensor)),
    sandwich: (input: tf.Tensor, inner: tfl.layers.Layer, norm: tfl.layers.Layer, after: tfl.layers.Layer) =>
      tf.add(input, after.apply(inner.apply(norm.apply(input) as tf.Tensor) as tf.Tensor) as tf.Tensor),
    reordered: (input: tf.Tensor, inner: tfl.layers.Layer, norm: tfl.layers.Layer) =>
      tf.add(input, norm.apply(inner.apply(input) as tf.Tensor) as tf.Tensor),
  };

  it.each(["pre", "post", "sandwich", "reordered"] as const)("%s", async (placement) => {
    const kernelInitializer = (seed: number) => tfl.initializers.glorotNormal({ seed });
    const inner = tfl.layers.dense({ units: 6, activation: "tanh", kernelInitializer: kernelInitializer(1) });
    const normalization = layers.rmsNormalization();
    const after = placement === "sandwich" ? layers.layerNormalization() : undefined;
    const args: ResidualArgs = { placement, normalization, after, inputShape: [6], name: "block" };
    const model = tfl.sequential({
      layers: [
        residual(inner, args),
        tfl.layers.dense({ units: 1, kernelInitializer: kernelInitializer(2), name: "last" }),
      ],
    });
    const input = x();
    const block = model.getLayer("block");
    const wanted = composed[placement](input, inner, normalization, after as tfl.layers.Layer);
    expectClose("y", values(block.apply(input)), values(wanted), () => 1e-6);
    // kernel and bias, a gamma, and gamma and beta
    expect(block.trainableWeights.length).toBe(placement === "sandwich" ? 5 : 3);

    model.compile({ optimizer: tf.train.sgd(0.01), loss: "meanSquaredError" });
    const target = tf.tensor(normal(4, 2), [4, 1]);
    const losses: number[] = [];
    let tensors = 0;
    for (let step = 0; step < 4; step++) {
      losses.push((await model.trainOnBatch(input, target)) as number);
      if (step === 0) tensors = tf.memory().numTensors;
    }
    expect(tf.memory().numTensors).toBe(tensors);
    expect(losses[3]).toBeLessThan(losses[0]);

    const loaded = await tfl.loadLayersModel(tf.io.fromMemory(await artifacts(model)));
    expect(loaded.getLayer("block").getConfig()).toEqual(block.getConfig());
    expect([...values(loaded.predict(input))]).toEqual([...values(model.predict(input))]);
  });

  it("drops of the branch in training, and nothing else", () => {
    const inner = tfl.layers.dense({
      units: 6,
      useBias: true,
      kernelInitializer: "zeros",
      biasInitializer: "ones",
    });
    const block = residual(inner, { dropout: 0.5 });
    const input = tf.zeros([50, 6]);
    expect(new Set(values(block.apply(input)))).toEqual(new Set([1]));
    expect(new Set(values(block.apply(input, { training: true })))).toEqual(new Set([0, 2]));
  });

  it("is frozen, constrained and measured as any layer", async () => {
    const norm = () =>
      layers.layerNormalization({ gammaConstraint: tfl.constraints.maxNorm({ maxValue: 0.1, axis: 0 }) });
    for (const placement of ["pre", "post"] as const) {
      const still = residual(tfl.layers.dense({ units: 6 }), { placement, trainable: false });
      still.build([null, 6]);
      expect(still.trainableWeights).toEqual([]);
      const block = residual(tfl.layers.dense({ units: 6 }), { placement, normalization: norm() });
      block.apply(x());
      block.apply(x());
      const gamma = values(block.weights.find(({ name }) => name.includes("gamma"))?.read());
      expect(Math.hypot(...gamma)).toBeLessThan(0.1001);

      const batch = layers.batchNormalization({ momentum: 0 });
      const model = tfl.sequential({
        layers: [
          residual(tfl.layers.dense({ units: 6 }), { placement, normalization: batch, inputShape: [6] }),
        ],
      });
      const input = x();
      model.getLayer(undefined as never, 0).apply(input, { training: true });
      const trained = values(batch.variables.runningMean.read()).slice();
      await recalibrate(model, [input]);
      expectClose("mean", values(batch.variables.runningMean.read()), trained, () => 1e-5);
      expect(statisticsGap(model, input)[0].mean.max).toBeLessThan(1e-4);
      expect(freezeStatistics(model)).toEqual([batch.name]);
    }
  });

  it("goes around a model", () => {
    const inner = tfl.sequential({ layers: [tfl.layers.dense({ units: 6, inputShape: [6] })] });
    const model = tfl.sequential({ layers: [residual(inner, { inputShape: [6] })] });
    expect((model.predict(x()) as tf.Tensor).shape).toEqual([4, 6]);
  });

  it("running statistics inside move in training, and stay where frozen", () => {
    for (const placement of ["pre", "post"] as const) {
      const normalization = layers.batchNormalization({ momentum: 0.5 });
      const block = residual(tfl.layers.dense({ units: 6 }), { placement, normalization });
      const input = x();
      block.apply(input, { training: true });
      const moved = values(normalization.variables.runningMean.read()).slice();
      expect(moved.some((value) => value !== 0)).toBe(true);
      normalization.frozen = true;
      block.apply(input, { training: true });
      expect([...values(normalization.variables.runningMean.read())]).toEqual([...moved]);
    }
  });
});

it("DeepNorm's factor multiplies x, and is saved", async () => {
  await use("cpu");
  const { encoder } = deepNorm({ encoder: 8 });
  const inner = tfl.layers.dense({ units: 6 });
  const normalization = layers.layerNormalization();
  const block = residual(inner, { placement: "post", alpha: encoder?.alpha, normalization });
  const input = x();
  block.apply(input); // builds the inner layers
  const wanted = tf.add(tf.mul(input, 2), inner.apply(input) as tf.Tensor);
  expectClose("y", values(block.apply(input)), values(normalization.apply(wanted)), () => 1e-6);
  expect(block.getConfig().alpha).toBe(2);
});

describe("errors", () => {
  const dense = () => tfl.layers.dense({ units: 6 });
  it.each<[string, () => unknown, Error]>([
    [
      "a placement that there is not",
      () => residual(dense(), { placement: "behind" as "pre" }),
      new RangeError('residual: placement must be "pre", "post", "sandwich" or "reordered", got "behind"'),
    ],
    [
      "a factor where nothing has one",
      () => residual(dense(), { alpha: 2 }),
      new RangeError(
        'residual: alpha must be left out with placement "pre", got 2; it is DeepNorm\'s factor, for "post"',
      ),
    ],
    [
      "a factor of 0",
      () => residual(dense(), { placement: "post", alpha: 0 }),
      new RangeError("residual: alpha must be a finite number above 0, got 0"),
    ],
    [
      "more dropped than there is",
      () => residual(dense(), { dropout: 1 }),
      new RangeError("residual: dropout must be a number from 0 up to 1, got 1"),
    ],
    [
      "a second normalization outside a sandwich",
      () => residual(dense(), { after: layers.layerNormalization() }),
      new TypeError(
        'residual: after is the normalization that follows the layer in a sandwich, got placement "pre"',
      ),
    ],
    [
      "a normalization of another kind",
      () => residual(dense(), { normalization: "rms" as unknown as ResidualArgs["normalization"] }),
      new TypeError(
        "residual: normalization must be a layer of evenkeel/tfjs, such as layers.rmsNormalization(), got string",
      ),
    ],
    [
      "a layer of another width",
      () => residual(tfl.layers.dense({ units: 5, name: "narrow" })).build([null, 6]),
      new RangeError(
        'residual: narrow must keep the shape of its input, [null, 6], got [null, 5]; use as many units or filters as there are features, and padding "same"',
      ),
    ],
  ])("%s", (_, run, error) => expect(run).toThrow(error));
});
