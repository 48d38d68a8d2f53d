/** TensorFlow.js's wasm backend with the training kernels, beside its cpu backend. */
import { createRequire } from "node:module";
import { dirname } from "node:path";
import "@tensorflow/tfjs-backend-cpu";
import { setWasmPaths } from "@tensorflow/tfjs-backend-wasm";
import * as tf from "@tensorflow/tfjs-core";
// registers the gradients of tf operations
import "@tensorflow/tfjs-layers";
import { afterAll, beforeAll, beforeEach, expect } from "vitest";
import { normalizationModule } from "../../../src/kernels/wasm/wasm.js";
import { useFused } from "../../../src/tfjs/kernels/fused.js";
import { compileTraining, registerTrainingKernels } from "../../../src/tfjs/kernels/training.js";

/** What is registered; before the backend exists, so that what the shipped kernels set up must not get lost. */
export const trainingModule = await compileTraining();
export const trainingKernels = registerTrainingKernels(trainingModule, false);

/** In every file of tests: the backend, and afterwards none. */
export function onWasm(): void {
  beforeAll(async () => {
    const require = createRequire(import.meta.url);
    setWasmPaths(`${dirname(require.resolve("@tensorflow/tfjs-backend-wasm/package.json"))}/wasm-out/`);
    useFused(await normalizationModule(), false);
    await tf.setBackend("wasm");
  });
  beforeEach(() => tf.setBackend("wasm"));
  afterAll(() => tf.removeBackend("wasm"));
}

/** Standard normal values; the same at every run. */
let seed = 0;
export function random(...shape: number[]): tf.Tensor {
  return tf.randomNormal(shape, 0, 1, "float32", ++seed);
}

/**
 * float32 sums of n products of standard normal values: each rounding is at most 2^-24 of the partial sum, whose size
 * is about √n, and there are n of them, of random sign: about n·2^-24. The factor 4 is for the worst of many elements; a
 * result that is itself unusually large adds two roundings of its size.
 */
export function expectClose(actual: Float32Array, expected: ArrayLike<number>, terms: number): void {
  expect(actual.length).toBe(expected.length);
  const allowed = (i: number) => 4 * (terms + 1) * 2 ** -24 + Math.abs(expected[i]) * 2 ** -23;
  const excess = (i: number) => Math.abs(actual[i] - expected[i]) / allowed(i);
  let worst = 0;
  for (let i = 1; i < actual.length; i++) if (!(excess(i) <= excess(worst))) worst = i;
  if (actual.length === 0 || excess(worst) <= 1) return;
  expect.fail(
    `element ${worst}: ${actual[worst]} against ${expected[worst]}, more than ${allowed(worst)} apart`,
  );
}

/** Runs a function of tensors on both backends and compares shape and values; nothing may be left behind. */
export function expectAsOnCpu(
  inputs: tf.Tensor[],
  terms: number,
  run: (...inputs: tf.Tensor[]) => tf.Tensor,
): void {
  const results = ["cpu", "wasm"].map((name) => {
    tf.setBackend(name);
    const copies = inputs.map((input) => tf.tensor(input.dataSync(), input.shape, input.dtype));
    poison();
    const before = [tf.memory().numTensors, tf.engine().backend.numDataIds()];
    const y = run(...copies);
    const result = { shape: y.shape, dtype: y.dtype, values: y.dataSync() as Float32Array };
    y.dispose();
    expect([tf.memory().numTensors, tf.engine().backend.numDataIds()]).toEqual(before);
    tf.dispose(copies);
    return result;
  });
  const [cpu, wasm] = results;
  expect(wasm.shape).toEqual(cpu.shape);
  expect(wasm.dtype).toBe(cpu.dtype);
  expectClose(wasm.values, cpu.values, terms);
  tf.dispose(inputs);
}

/** Fills freed memory with NaN, so that what a kernel does not write shows. */
export function poison(): void {
  for (const size of [16, 256, 4096, 65536]) tf.dispose([0, 1, 2].map(() => tf.fill([size], Number.NaN)));
}

/** Runs a kernel by its name. */
export function run(name: string, inputs: tf.NamedTensorMap, attributes: object): tf.Tensor {
  return tf.engine().runKernel(name, inputs, attributes as tf.NamedAttrMap) as tf.Tensor;
}

/** The gradient of Σ w·f with respect to one input, where w is random: the sum of y alone would hide errors. */
export function expectGradientAsOnCpu(
  inputs: tf.Tensor[],
  index: number,
  terms: number,
  f: (...inputs: tf.Tensor[]) => tf.Tensor,
): void {
  const y = f(...inputs);
  const weights = random(...y.shape);
  y.dispose();
  expectAsOnCpu([...inputs.map((input) => tf.clone(input)), weights], terms, (...all) =>
    tf.tidy(() =>
      tf.grad((x) =>
        tf.sum(
          tf.mul(f(...all.slice(0, -1).map((input, i) => (i === index ? x : input))), all[all.length - 1]),
        ),
      )(all[index]),
    ),
  );
}
