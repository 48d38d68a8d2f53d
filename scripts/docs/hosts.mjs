/**
 * Where a normalization runs: every host runs it on a small array, and y is compared with the float64 reference.
 *
 * @typedef {import("./sample.mjs").Sample} Sample
 * @typedef {import("../../dist/tfjs/index.js").NormalizationLayer} NormalizationLayer
 * @typedef {import("../../dist/index.js").Evenkeel} Evenkeel
 * @typedef {{ data: ArrayLike<number>, norm?: Sample["norm"], weights?: Sample["weights"] }} Given y; and with what, where
 *   the host did not take what the sample has
 */
import { defaultDevice, numpy as np, init as startJax } from "@jax-js/jax";
import "@tensorflow/tfjs-backend-cpu";
import * as tf from "@tensorflow/tfjs-core";
import * as tfl from "@tensorflow/tfjs-layers";
import { apply, open } from "../../dist/index.js";
import * as jax from "../../dist/jax/index.js";
import { layers, apply as tfApply } from "../../dist/tfjs/index.js";

/** Of float32 against float64, relative to the largest value. */
const TOLERANCE = 1e-4;

const wasm = await open({ backend: "wasm", threads: 1 });
await tf.setBackend("cpu");
await startJax("wasm");
defaultDevice("wasm");

/** As TensorFlow.js calls the layer of a normalization. @param {string} name */
const layerOf = (name) => name.replace(/norm$/i, (end) => `${end}alization`);

/** @type {Record<string, ((args: import("../../dist/tfjs/index.js").WeightArgs) => NormalizationLayer) | undefined>} */
const makers = layers;

/** As a layer, or where there is none, as a function. @param {Sample} sample @returns {Given} */
function onTensorFlow({ norm, inputs, options, weights }) {
  const tensors = inputs.map(({ shape, data }) => tf.tensor(Float32Array.from(data), [...shape]));
  const make = makers[layerOf(norm.name)];
  if (!make) {
    const specified = norm.weights(...inputs.map(({ shape }) => shape));
    const held = Object.entries(weights).map(([name, data]) => [
      name,
      tf.tensor(Float32Array.from(data), [...specified[name].shape]),
    ]);
    return { data: tfApply(norm, tensors, Object.fromEntries(held)).y.dataSync() };
  }
  const layer = make(options);
  const start = inputs.map(({ shape }) => tfl.input({ shape: shape.slice(1) }));
  layer.apply(start.length === 1 ? start[0] : start);
  // a layer starts with weights of its own, and Keras's defaults
  const own = Object.entries(layer.variables).flatMap(([name, variable]) =>
    variable ? [[name, Float64Array.from(variable.read().dataSync())]] : [],
  );
  const [y] = [layer.call(tensors, { training: true })].flat();
  return { data: y.dataSync(), norm: layer.normalization, weights: Object.fromEntries(own) };
}

/** @type {Record<string, (ek: Evenkeel, sample: Sample) => Given | Promise<Given>>} The hosts, by the heading of their column. */
export const hosts = {
  Float64: (ek, { norm, inputs, weights }) => apply(ek, norm, inputs, weights).y,
  WebAssembly: (_, { norm, inputs, weights }) => apply(wasm, norm, inputs, weights).y,
  "TensorFlow.js": (_, sample) => {
    tf.engine().startScope();
    try {
      return onTensorFlow(sample);
    } finally {
      tf.engine().endScope();
    }
  },
  "jax-js": async (_, { norm, inputs, weights }) => {
    const array = (/** @type {Float64Array} */ data, /** @type {readonly number[]} */ shape) =>
      np.array(Float32Array.from(data)).reshape([...shape]);
    const specified = norm.weights(...inputs.map(({ shape }) => shape));
    const held = Object.entries(weights).map(([name, data]) => [name, array(data, specified[name].shape)]);
    const { y } = jax.apply(
      norm,
      inputs.map(({ data, shape }) => array(data, shape)),
      Object.fromEntries(held),
    );
    return { data: await y.data() };
  },
};

/** For each host: undefined where it gives the right y, or why not. @param {Evenkeel} ek @param {Sample} sample */
export async function runsOn(ek, sample) {
  /** @type {Record<string, string | undefined>} */
  const results = {};
  for (const [host, run] of Object.entries(hosts)) {
    try {
      const given = await run(ek, sample);
      const { data, norm, weights } = { ...sample, ...given };
      const expected = Float64Array.from(apply(ek, norm, sample.inputs, weights).y.data);
      const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 1);
      const far = expected.findIndex((value, i) => !(Math.abs(value - data[i]) <= TOLERANCE * largest));
      results[host] = far === -1 ? undefined : `y[${far}] is ${data[far]}, not ${expected[far]}`;
    } catch (error) {
      results[host] = error instanceof Error ? error.message : String(error);
    }
  }
  return results;
}
