/** Cumulative sums and products along an axis that counts from the end. */
import * as tf from "@tensorflow/tfjs-core";
import { expect, it } from "vitest";
import { onWasm, random } from "./wasm-and-cpu.js";

onWasm();

it.each([-1, -2, -3])("axis %i", (axis) => {
  const x = random(2, 3, 4);
  for (const exclusive of [false, true]) {
    for (const reverse of [false, true]) {
      for (const op of [tf.cumsum, tf.cumprod]) {
        const values = (axis: number) => op(x, axis, exclusive, reverse).dataSync();
        expect(values(axis)).toEqual(values(axis + 3));
      }
    }
  }
});
