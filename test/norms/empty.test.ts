/** Empty batches, such as a detector's without detections: an empty result in every host, and nothing is learned from them. */
import { defaultDevice, numpy as np, init as startJax } from "@jax-js/jax";
import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import { apply, BatchNorm, batchNorm, groupStatistics, LayerNorm, layerNorm, open } from "../../src/index.js";
import * as jax from "../../src/jax/index.js";
import { sizeOf } from "../../src/shape.js";
import { apply as applyTf, normalize } from "../../src/tfjs/index.js";
import { install } from "../../src/tfjs/install.js";
import { backends, use } from "../support/tfjs-backends.js";
import { rows } from "./rows/index.js";

const truth = await open({ backend: "reference" });
const wasm = await open({ backend: "wasm", threads: 1 });

/** Every row but those of weights, which have no batch, and statistics of a whole batch; a batch of nothing. */
const named = rows
  .filter(({ norm }) => !/^(weight|spectral|bounded|statistics of batch)/.test(norm.name))
  .map(({ norm, shapes, name }) => ({
    norm,
    name: `${norm.name}${name ? ` ${name}` : ""}`,
    shapes: shapes.map(([batch, ...rest]) => (batch === shapes[0][0] ? [0, ...rest] : [batch, ...rest])),
  }));

const expectedShape = ({ norm, shapes }: (typeof named)[number]) => norm.outputs?.(...shapes)[0] ?? shapes[0];

describe.each(named)("$name", (row) => {
  const { norm, shapes } = row;
  const inputs = shapes.map((shape) => ({ shape, data: new Float32Array(sizeOf(shape)) }));
  const [first, ...others] = inputs;

  it.each([truth, wasm])("without a framework, on $backend", (ek) => {
    for (const training of [true, false]) {
      const { y, backward } = apply(ek, norm, [first, ...others], {}, { training });
      expect(y.shape).toEqual(expectedShape(row));
      expect(y.data.length).toBe(0);
      const { dx, weights, state } = backward(y);
      expect(dx.shape).toEqual(first.shape);
      expect(state).toEqual({});
      for (const { data } of Object.values(weights)) expect(data.every((value) => value === 0)).toBe(true);
    }
  });

  describe.each(backends)("in TensorFlow.js on %s", (backend) => {
    beforeAll(() => use(backend));
    it("is empty, and so is its gradient", () => {
      tf.tidy(() => {
        const tensors = shapes.map((shape) => tf.zeros(shape));
        const { y } = applyTf(norm, tensors, {}, { training: false });
        expect(y.shape).toEqual(expectedShape(row));
        const [dx] = tf.grads((...given: tf.Tensor[]) => applyTf(norm, [given[0], ...tensors.slice(1)]).y)(
          tensors.slice(0, 1),
          tf.zerosLike(y),
        );
        expect(dx.shape).toEqual(shapes[0]);
      });
    });
  });
});

describe.each(backends)("the operation in TensorFlow.js on %s", (backend) => {
  beforeAll(async () => {
    await use(backend);
    await install();
  });
  it("is empty, with gradients of 0", () => {
    tf.tidy(() => {
      const x = tf.zeros([0, 3]);
      expect(normalize(layerNorm(), x).y.shape).toEqual([0, 3]);
      const [dx, dGamma] = tf.grads(
        (x: tf.Tensor, gamma: tf.Tensor) => normalize(layerNorm(), x, { gamma }).y,
      )([x, tf.ones([3])]);
      expect(dx.shape).toEqual([0, 3]);
      expect([...dGamma.dataSync()]).toEqual([0, 0, 0]);
    });
  });
});

it.each([truth, wasm])("the operation on $backend", (ek) => {
  const x = ek.array([0, 3], []);
  const { y, saved } = ek.forward(layerNorm(), x, { gamma: Float32Array.of(1, 2, 3), residual: x });
  const { dx, dGamma } = ek.backward(saved, y);
  expect([y.shape, dx.shape]).toEqual([
    [0, 3],
    [0, 3],
  ]);
  expect([...(dGamma?.data ?? [])]).toEqual([0, 0, 0]);
});

it("in jax-js", async () => {
  await startJax("cpu");
  defaultDevice("cpu");
  const { y } = jax.apply(layerNorm(), np.zeros([0, 3]));
  expect(y.shape).toEqual([0, 3]);
});

it("training on nothing says so: running statistics stay", () => {
  const layer = new BatchNorm(truth, 3);
  const before = layer.stateDict();
  const x = { shape: [0, 3], data: new Float32Array(0) };
  expect(() => layer.forward(x)).toThrow(
    new RangeError(
      "batchNorm: a training batch is empty (shape [0, 3]), and the running statistics were left as they were; " +
        "skip empty batches in training",
    ),
  );
  expect(layer.stateDict()).toEqual(before);
  expect(layer.eval().forward(x).shape).toEqual([0, 3]);
  expect(new LayerNorm(truth, 3).forward(x).shape).toEqual([0, 3]);
});

it("what measures something of nothing says so", () => {
  const x = { shape: [2, 3, 0], data: new Float32Array(0) };
  expect(() => apply(truth, groupStatistics({ groups: 3, axis: 1 }), x)).toThrow(
    new RangeError(
      "groupStatistics: x is empty (shape [2, 3, 0]), and there is nothing to measure; skip empty batches",
    ),
  );
  expect(() => apply(truth, batchNorm(), { shape: [], data: new Float32Array(1) })).toThrow(
    "batchNorm: x must have at least 2 axes (batch and channels), got shape []",
  );
});
