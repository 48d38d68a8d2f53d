/** The registration of the training kernels. */
import * as tf from "@tensorflow/tfjs-core";
import { describe, expect, it } from "vitest";
import { registerTrainingKernels } from "../../../src/tfjs/kernels/training.js";
import { onWasm, trainingKernels, trainingModule } from "./wasm-and-cpu.js";

onWasm();

describe("registerTrainingKernels", () => {
  it("registers once, however often it is called", () => {
    const before = tf.getKernel("BatchMatMul", "wasm").kernelFunc;
    expect(registerTrainingKernels(trainingModule, false)).toEqual(trainingKernels);
    expect(tf.getKernel("BatchMatMul", "wasm").kernelFunc).toBe(before);
  });

  it("leaves a build that it was not installed for to the shipped kernels", () => {
    // the backend, but for its memory
    const real = tf.backend() as tf.KernelBackend & { wasm: object };
    const backend = Object.create(real, { wasm: { value: { ...real.wasm, asm: undefined } } });
    const [x, y] = [
      tf.tensor2d([
        [1, 2],
        [3, 4],
      ]),
      tf.tensor2d([
        [5, 6],
        [7, 8],
      ]),
    ];
    const kernel = (name: string) => tf.getKernel(name, "wasm").kernelFunc;
    expect(() => kernel("UnsortedSegmentSum")({ inputs: { x }, backend, attrs: {} })).toThrow(
      new Error(
        "evenkeel: UnsortedSegmentSum was installed for another build of TensorFlow.js's wasm backend than the one that runs; " +
          'call install() once, after tf.setBackend("wasm")',
      ),
    );
    const attrs = { transposeA: false, transposeB: true };
    const product = kernel("BatchMatMul")({ inputs: { a: x, b: y }, backend, attrs }) as tf.TensorInfo;
    expect(Array.from(real.readSync(product.dataId) as Float32Array)).toEqual([17, 23, 39, 53]);
    real.disposeData(product.dataId);
    tf.dispose([x, y]);
  });
});
