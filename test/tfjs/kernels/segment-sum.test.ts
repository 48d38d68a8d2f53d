/** Sums by segment against the cpu backend. */
import * as tf from "@tensorflow/tfjs-core";
import { describe, expect, it } from "vitest";
import { expectAsOnCpu, onWasm, random } from "./wasm-and-cpu.js";

onWasm();

describe("UnsortedSegmentSum", () => {
  const sum = (x: tf.Tensor, ids: tf.Tensor, segments: number) =>
    tf.unsortedSegmentSum(x, ids as tf.Tensor1D, segments);

  it.each([
    [[1], 1],
    [[7], 3],
    [[64, 5], 7],
    [[31, 3, 7], 5],
    [[10, 4], 2],
    [[10, 17], 13],
    [[3, 0], 2],
  ])("sums rows of %j into %i segments, without those whose id is out of range", (shape, segments) => {
    const ids = Array.from({ length: shape[0] }, (_, i) => ((i * 7) % (segments + 4)) - 2);
    expectAsOnCpu([random(...shape), tf.tensor1d(ids, "int32")], shape[0], (x, ids) => sum(x, ids, segments));
  });

  it("gives 0 where there is nothing to sum", () => {
    const y = sum(tf.zeros([0, 3]), tf.zeros([0], "int32"), 2);
    expect(y.shape).toEqual([2, 3]);
    expect(Array.from(y.dataSync())).toEqual([0, 0, 0, 0, 0, 0]);
  });

  it("sums integers as float32, as the cpu backend does", () => {
    const x = tf.tensor2d([1, 2, 3, 4, 5, 6], [3, 2], "int32");
    expectAsOnCpu([x, tf.tensor1d([1, 0, 1], "int32")], 2, (x, ids) => sum(x, ids, 2));
  });

  it("says which ids it takes", () => {
    expect(() => sum(tf.ones([2, 3]), tf.ones([2, 3], "int32"), 4)).toThrow(
      new RangeError(
        "unsortedSegmentSum: segmentIds must be int32 [2], one for each row of x [2,3], got int32 [2,3]; flatten both " +
          "with tf.reshape where ids have several axes",
      ),
    );
  });
});

describe("gradients through tf.grads", () => {
  // dy is random: the sum of y alone would hide errors
  const weighted = (y: tf.Tensor, weights: tf.Tensor) => tf.sum(tf.mul(y, weights));
  const gradient = (
    inputs: tf.Tensor[],
    index: number,
    terms: number,
    f: (...inputs: tf.Tensor[]) => tf.Tensor,
  ) => {
    expectAsOnCpu(
      inputs.map((input) => tf.clone(input)),
      terms,
      (...inputs) => tf.tidy(() => tf.grads(f)(inputs)[index]),
    );
  };

  it.each([0, 1])("gather, axis %i", (axis) => {
    const inputs = [random(6, 4), axis === 0 ? random(5, 4) : random(6, 5)];
    gradient(inputs, 0, 5, (x, weights) =>
      weighted(tf.gather(x, tf.tensor1d([3, 0, 3, 1, 3], "int32"), axis), weights),
    );
    tf.dispose(inputs);
  });
});
