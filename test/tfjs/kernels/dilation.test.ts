/** Grey-scale dilation and its gradients against the cpu backend. */
import * as tf from "@tensorflow/tfjs-core";
import { describe, expect, it } from "vitest";
import { expectAsOnCpu, expectGradientAsOnCpu, onWasm, random, run } from "./wasm-and-cpu.js";

onWasm();

type Pair = [number, number];
const cases: [Pair, Pair, Pair][] = [
  [
    [1, 1],
    [1, 1],
    [1, 1],
  ],
  [
    [2, 3],
    [1, 1],
    [1, 1],
  ],
  [
    [3, 2],
    [2, 1],
    [1, 1],
  ],
  [
    [2, 2],
    [3, 3],
    [1, 1],
  ],
  [
    [2, 2],
    [1, 1],
    [2, 3],
  ],
];

describe.each(cases)("filter %s, strides %s, dilations %s", (size, strides, dilations) => {
  it.each(["valid", "same"] as const)("y, dx and dFilter, %s", (pad) => {
    const dilate = (x: tf.Tensor, filter: tf.Tensor) =>
      tf.dilation2d(x as tf.Tensor4D, filter as tf.Tensor3D, strides, pad, dilations);
    for (const channels of [1, 3, 6]) {
      const x = random(2, 7, 6, channels);
      const filter = random(...size, channels);
      for (const inputs of [
        [x, filter],
        // maxima below 0, and several of a size
        [tf.neg(tf.abs(x)), tf.neg(tf.abs(filter))],
        [tf.round(x), tf.round(filter)],
      ]) {
        expectAsOnCpu(
          inputs.map((input) => tf.clone(input)),
          2,
          dilate,
        );
        for (const index of [0, 1]) expectGradientAsOnCpu(inputs, index, 84, dilate);
      }
    }
  });
});

it("says which shape dy must have", () => {
  const inputs = { x: tf.ones([1, 4, 4, 2]), filter: tf.ones([2, 2, 2]), dy: tf.ones([1, 4, 4, 2]) };
  const attributes = { strides: 1, pad: "valid", dilations: 1 };
  expect(() => run("Dilation2DBackpropInput", inputs, attributes)).toThrow(
    new RangeError("Dilation2DBackpropInput: dy must have the output's shape [1,3,3,2], got [1,4,4,2]"),
  );
});
