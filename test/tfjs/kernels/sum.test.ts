/** Sums over axes against the cpu backend. */
import * as tf from "@tensorflow/tfjs-core";
import { describe, expect, it } from "vitest";
import { expectAsOnCpu, onWasm, random } from "./wasm-and-cpu.js";

onWasm();

describe("Sum", () => {
  it.each<[number[], number | number[] | undefined]>([
    [[], undefined],
    [[7], 0],
    [[1000], undefined],
    [[300, 1], 0],
    [[1, 9], 0],
    [[130, 5], 0],
    [[1027, 64], 0],
    [[259, 33], 0],
    [[259, 33], 1],
    [
      [259, 33],
      [0, 1],
    ],
    [[5, 131, 7], 1],
    [
      [5, 131, 7],
      [0, 2],
    ],
    [[5, 131, 7], -1],
    [
      [4, 9, 20, 3],
      [1, 2],
    ],
    [
      [4, 9, 20, 3],
      [0, 2],
    ],
    // axes that alternate too often for a view
    [
      [3, 4, 5, 6, 7],
      [1, 3],
    ],
    [
      [3, 4, 5, 6, 7],
      [0, 2, 4],
    ],
  ])("of %j over axis %j", (shape, axis) => {
    for (const keepDims of [false, true]) {
      expectAsOnCpu(
        [random(...shape)],
        shape.reduce((a, b) => a * b, 1),
        (x) => tf.sum(x, axis, keepDims),
      );
    }
  });

  it("of a million values far from 0 keeps float32's accuracy", () => {
    const x = tf.fill([1_000_000], 1000.1);
    const exact = 1e6 * Math.fround(1000.1);
    expect(tf.sum(x).dataSync()[0] / exact).toBeCloseTo(1, 6);
    expect(tf.sum(tf.reshape(x, [10_000, 100]), 0).dataSync()[99] / (exact / 100)).toBeCloseTo(1, 6);
  });

  it("leaves other types to what was shipped, and gives 0 where there is nothing to sum", () => {
    const integers = tf.sum(tf.tensor2d([1, 2, 3, 4], [2, 2], "int32"), 0);
    expect(integers.dtype).toBe("int32");
    expect(Array.from(integers.dataSync())).toEqual([4, 6]);
    expect(Array.from(tf.sum(tf.tensor2d([1, 0, 1, 1], [2, 2], "bool"), 0).dataSync())).toEqual([2, 1]);
    expect(Array.from(tf.sum(tf.zeros([0, 3]), 0).dataSync())).toEqual([0, 0, 0]);
  });
});

it("of nothing is 0, in every type", () => {
  for (let i = 0; i < 3; i++) {
    for (const dtype of ["float32", "int32", "bool"] as const) {
      expect([...tf.sum(tf.zeros([2, 0], dtype), 1).dataSync()]).toEqual([0, 0]);
      expect([...tf.sum(tf.zeros([0], dtype)).dataSync()]).toEqual([0]);
    }
  }
});
