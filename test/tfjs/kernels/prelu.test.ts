/** The parametric rectifier against the cpu backend. */
import * as tf from "@tensorflow/tfjs-core";
import { it } from "vitest";
import { expectAsOnCpu, expectGradientAsOnCpu, onWasm, random } from "./wasm-and-cpu.js";

onWasm();

it.each([
  [[3], [3]],
  [[4, 3], [3]],
  [
    [4, 3],
    [1, 3],
  ],
  [
    [4, 3],
    [4, 1],
  ],
  [[4, 3], [1]],
  [[4, 3], []],
  [
    [2, 4, 3],
    [4, 3],
  ],
  [
    [2, 4, 3],
    [4, 1],
  ],
  [
    [2, 3, 3, 5],
    [1, 1, 5],
  ],
  [
    [2, 3, 3, 5],
    [3, 3, 5],
  ],
  [[5], [2, 5]],
  [[0, 3], [3]],
])("x %j, alpha %j", (shape, alphas) => {
  const prelu = (x: tf.Tensor, alpha: tf.Tensor) => tf.prelu(x, alpha);
  const inputs = [random(...shape), random(...alphas)];
  expectAsOnCpu(
    inputs.map((input) => tf.clone(input)),
    1,
    prelu,
  );
  // a gradient by x that was broadcast is not TensorFlow.js's to give
  for (const index of shape.length < alphas.length ? [1] : [0, 1])
    expectGradientAsOnCpu(inputs, index, 18, prelu);
});
