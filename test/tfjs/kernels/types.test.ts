/** Types that shipped kernels misread, against the cpu backend. */
import * as tf from "@tensorflow/tfjs-core";
import { expect, it } from "vitest";
import { expectAsOnCpu, onWasm } from "./wasm-and-cpu.js";

onWasm();

it("casts to bool what is not 0, and back to 0 and 1", () => {
  const floats = tf.tensor1d([0, 0.5, -0.5, 1, -1, 256, 1e-30, Number.NaN]);
  const integers = tf.tensor1d([0, 1, -1, 256, 255, -256], "int32");
  for (const x of [floats, integers]) {
    const y = tf.cast(x, "bool");
    expect(y.dtype).toBe("bool");
    expect(Array.from(y.dataSync(), Number)).toEqual(
      Array.from(x.dataSync(), (value) => Number(value !== 0)),
    );
    expect(Array.from(tf.cast(y, "float32").dataSync())).toEqual(Array.from(y.dataSync(), Number));
  }
});

it.each([0, 1, 2, -1])("reverses bool along axis %i", (axis) => {
  const mask = tf.cast(tf.tensor([1, 0, 0, 1, 1, 1, 0, 1, 0, 0, 0, 1], [2, 3, 2], "int32"), "bool");
  expectAsOnCpu([mask], 0, (x) => tf.reverse(x, axis));
});

it("clips int32", () => {
  const x = tf.tensor1d([-7, -2, 0, 3, 2_000_000_001, 9], "int32");
  expect(Array.from(tf.clipByValue(x, -2, 4).dataSync())).toEqual([-2, -2, 0, 3, 4, 4]);
  expect(tf.clipByValue(x, -2.5, 4.5).dtype).toBe("int32");
  expect(Array.from(tf.clipByValue(x, -2.5, 4.5).dataSync())).toEqual([-2, -2, 0, 3, 4, 4]);
});

it.each(["float32", "int32", "bool"] as const)("one-hot as %s", (dtype) => {
  for (const [on, off] of dtype === "float32"
    ? [
        [1, 0],
        [0.9, 0.1],
        [-2, 3],
      ]
    : [[1, 0]]) {
    expectAsOnCpu([tf.tensor2d([3, 1, 0, 7], [2, 2], "int32")], 0, (x) => tf.oneHot(x, 4, on, off, dtype));
  }
});
