/** Einstein summation against the cpu backend; its gradient, which TensorFlow.js lacks, against finite differences. */
import * as tf from "@tensorflow/tfjs-core";
import { describe, expect, it } from "vitest";
import { expectAsOnCpu, expectClose, onWasm, random } from "./wasm-and-cpu.js";

onWasm();

const equations: [string, ...number[][]][] = [
  ["ij->ji", [2, 3]],
  ["ij->", [2, 3]],
  ["ij->j", [2, 3]],
  ["abcd->dbca", [2, 3, 4, 5]],
  ["abcd->ca", [2, 3, 4, 5]],
  ["i,i->", [5], [5]],
  ["i,j->ij", [2], [3]],
  ["i,j->ji", [2], [3]],
  ["ij,ij->ij", [2, 3], [2, 3]],
  ["ij,ij->", [2, 3], [2, 3]],
  ["ij,jk->ik", [2, 3], [3, 4]],
  ["ij, jk -> ki", [2, 3], [3, 4]],
  ["ij,kj->ik", [2, 3], [4, 3]],
  ["ji,jk->ik", [3, 2], [3, 4]],
  ["bij,bjk->bik", [2, 3, 4], [2, 4, 5]],
  ["bij,jk->bik", [2, 3, 4], [4, 5]],
  ["bhqd,bhkd->bhqk", [2, 3, 4, 5], [2, 3, 6, 5]],
  ["bqhd,bkhd->bhqk", [2, 4, 3, 5], [2, 6, 3, 5]],
  ["bhqk,bkhd->bqhd", [2, 3, 4, 6], [2, 6, 3, 5]],
  // axes that one operand has alone, and that are summed over
  ["ijl,jk->ik", [2, 3, 4], [3, 5]],
  // MAXIM's: products along one of the axes of an image
  ["bhwc,hk->bkwc", [2, 3, 4, 5], [3, 6]],
  ["bijc,jk->bikc", [1, 2, 3, 4], [3, 3]],
  [",ij->ji", [], [2, 3]],
  ["ij,jk->ik", [0, 3], [3, 4]],
  ["ij,jk->ik", [2, 0], [0, 4]],
];

describe.each(equations)("%s", (equation, ...shapes) => {
  const summed = (...tensors: tf.Tensor[]) => tf.einsum(equation, ...tensors);

  it(`of ${JSON.stringify(shapes)}`, () => {
    expectAsOnCpu(
      shapes.map((shape) => random(...shape)),
      24,
      summed,
    );
  });

  it("its gradients", () => {
    const inputs = shapes.map((shape) => random(...shape));
    const dy = random(...summed(...inputs).shape);
    const loss = (...tensors: tf.Tensor[]) => tf.sum(tf.mul(summed(...tensors), dy));
    const gradients = tf.grads(loss)(inputs);
    gradients.forEach((gradient, i) => {
      expect(gradient.shape).toEqual(inputs[i].shape);
      const values = inputs[i].dataSync();
      // linear in each input, so that a step of 1 is exact
      const expected = Array.from(values, (_, at) => {
        const direction = tf.tensor(
          Float32Array.from(values, (_, j) => Number(j === at)),
          inputs[i].shape,
        );
        return loss(...inputs.map((input, j) => (j === i ? direction : input))).dataSync()[0];
      });
      expectClose(gradient.dataSync() as Float32Array, expected, 60);
    });
  });
});

it("leaves a tensor as it is, as one of its own", () => {
  const x = random(2, 3);
  const y = tf.einsum("ij->ij", x);
  const values = x.dataSync();
  x.dispose();
  expect(y.dataSync()).toEqual(values);
});

it("sums each operand over what it has alone, which the cpu backend cannot", () => {
  const [a, b] = [random(2, 3), random(4, 5)];
  const y = tf.einsum("ij,kl->il", a, b).dataSync();
  const expected = tf.outerProduct(tf.sum(a, 1) as tf.Tensor1D, tf.sum(b, 0) as tf.Tensor1D).dataSync();
  expectClose(y as Float32Array, expected, 12);
});

it("of int32", () => {
  const integers = (...shape: number[]) => tf.cast(tf.mul(random(...shape), 100), "int32");
  expectAsOnCpu([integers(2, 3, 4), integers(2, 5, 4)], 1, (a, b) => tf.einsum("bij,bkj->bik", a, b));
});

it("says which sizes do not fit", () => {
  expect(() => tf.einsum("ij,jk->ik", tf.ones([2, 3]), tf.ones([4, 5]))).toThrow(
    "Expected dimension 3 at axis 0 of input shaped [4,5], but got dimension 4",
  );
});

it("says that the output must name each axis once", () => {
  expect(() => tf.einsum("ij->ii", tf.ones([3, 3]))).toThrow(
    new RangeError(
      'einsum: the output must name each axis once, got "ij->ii"; take a diagonal with tf.gatherND',
    ),
  );
});
