/** FusedBatchNorm by the normalization kernels, against the cpu backend. */
import * as tf from "@tensorflow/tfjs-core";
import { describe, expect, it } from "vitest";
import { expectAsOnCpu, expectClose, expectGradientAsOnCpu, onWasm, random, run } from "./wasm-and-cpu.js";

onWasm();

describe.each([[[4, 5]], [[2, 3, 5]], [[2, 3, 4, 5]], [[2, 3, 4, 1]], [[1, 7, 7, 33]], [[0, 3, 3, 4]]])(
  "x %j",
  (shape) => {
    const channels = shape[shape.length - 1];

    it.each([
      [true, true],
      [true, false],
      [false, true],
      [false, false],
    ])("offset %s, scale %s", (offset, scale) => {
      const inputs = [
        random(...shape),
        random(channels),
        tf.abs(random(channels)),
        random(channels),
        random(channels),
      ];
      expectAsOnCpu(inputs, 3, (x, mean, variance, beta, gamma) =>
        tf.batchNorm(
          x as tf.Tensor4D,
          mean as tf.Tensor1D,
          variance as tf.Tensor1D,
          (offset ? beta : undefined) as tf.Tensor1D,
          (scale ? gamma : undefined) as tf.Tensor1D,
          0.01,
        ),
      );
    });
  },
);

it("with statistics for each element, or for the last two axes", () => {
  for (const length of [
    [2, 3, 4, 5],
    [4, 5],
  ]) {
    const inputs = [
      random(2, 3, 4, 5),
      random(...length),
      tf.abs(random(...length)),
      random(...length),
      random(...length),
    ];
    expectAsOnCpu(inputs, 3, (x, mean, variance, offset, scale) =>
      run("FusedBatchNorm", { x, mean, variance, offset, scale }, { varianceEpsilon: 0.01 }),
    );
  }
});

it("has the gradients that it had", () => {
  const inputs = [random(2, 3, 4, 5), random(5), tf.abs(random(5)), random(5), random(5)];
  for (const index of [0, 1, 2, 3, 4]) {
    expectGradientAsOnCpu(inputs, index, 60, (x, mean, variance, offset, scale) =>
      tf.batchNorm(
        x as tf.Tensor4D,
        mean as tf.Tensor1D,
        variance as tf.Tensor1D,
        offset as tf.Tensor1D,
        scale as tf.Tensor1D,
      ),
    );
  }
});

it("a graph saved in training mode, whose statistics are empty, is normalized by those of x", () => {
  const [x, offset, scale] = [random(2, 3, 4, 5), random(5), random(5)];
  const empty = tf.tensor1d([]);
  const y = tf.batchNorm(x as tf.Tensor4D, empty, empty, offset as tf.Tensor1D, scale as tf.Tensor1D, 0.01);
  const { mean, variance } = tf.moments(x, [0, 1, 2]);
  const expected = tf.add(tf.mul(tf.div(tf.sub(x, mean), tf.sqrt(tf.add(variance, 0.01))), scale), offset);
  expectClose(y.dataSync() as Float32Array, expected.dataSync(), 24);
});

it("leaves no tensors, and integers to the shipped kernel", () => {
  const inputs = [random(2, 5), random(5), tf.ones([5])];
  const before = [tf.memory().numTensors, tf.engine().backend.numDataIds()];
  const empty = tf.tensor1d([]);
  tf.batchNorm2d(inputs[0] as tf.Tensor2D, empty, empty).dispose();
  empty.dispose();
  expect([tf.memory().numTensors, tf.engine().backend.numDataIds()]).toEqual(before);
});
