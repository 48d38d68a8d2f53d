/**
 * TensorFlow.js on its wasm backend; the argument: "layer" as shipped, "composed", "evenkeel", the layer after install(), or "folded", a
 * model whose statistics are folded away too.
 */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { setWasmPaths } from "@tensorflow/tfjs-backend-wasm";
import * as tf from "@tensorflow/tfjs-core";
import * as tfl from "@tensorflow/tfjs-layers";
import { catalog } from "evenkeel";
import * as ours from "evenkeel/tfjs";
import { formulas } from "../cases.mjs";
import { formulaOf, gradientName, weightsIn } from "../inputs.mjs";
import { NotOffered, rotation, serve } from "../serve.mjs";
import { BLOCKS, HEADS, makeTransformer } from "../transformer.mjs";
import { kernelsFrom } from "./kernels.mjs";

/** @typedef {import("../serve.mjs").Task} Task @typedef {import("../serve.mjs").Arrays} Arrays */

const how = process.argv[2];
const wasmPackage = createRequire(import.meta.url).resolve("@tensorflow/tfjs-backend-wasm/package.json");
setWasmPaths(`${dirname(wasmPackage)}/wasm-out/`);
await tf.setBackend("wasm");
if (how === "evenkeel" || how === "folded") await ours.install();

/**
 * y of x, and the variables that it depends on.
 * @param {number} epsilon @param {number} features @param {Float32Array} [gamma] @param {Float32Array} [beta]
 */
function makeNorm(epsilon, features, gamma, beta) {
  if (how === "composed") {
    const [scale, offset] = [tf.variable(tf.tensor1d(gamma ?? [])), tf.variable(tf.tensor1d(beta ?? []))];
    const apply = (/** @type {tf.Tensor} */ x) => {
      const { mean, variance } = tf.moments(x, -1, true);
      return tf.add(tf.mul(tf.mul(tf.sub(x, mean), tf.rsqrt(tf.add(variance, epsilon))), scale), offset);
    };
    return { apply, variables: [scale, offset] };
  }
  const layer = tfl.layers.layerNormalization({ epsilon });
  layer.build([null, features]);
  if (gamma && beta) layer.setWeights([tf.tensor1d(gamma), tf.tensor1d(beta)]);
  const variables = layer.trainableWeights.map((weight) => /** @type {tf.Variable} */ (weight.read()));
  return { apply: (/** @type {tf.Tensor} */ x) => /** @type {tf.Tensor} */ (layer.apply(x)), variables };
}

await serve({
  about: `TensorFlow.js ${tf.version_core}, ${tf.getBackend()} backend`,
  prepare(task, inputs, copies) {
    if (task.norm === "transformer") return trainTransformer(task, inputs);
    if (task.norm === "model") return predict(task, inputs);
    if (task.passes.includes("evaluate")) return throughLayer(task, inputs, copies);
    if (formulas[task.norm]) return formula(task, inputs, copies);
    if (task.norm !== "layer") throw new NotOffered(`${task.norm} is not among TensorFlow.js's layers`);
    const { shape, epsilon, passes } = task;
    const many = (/** @type {Float32Array} */ values) =>
      Array.from({ length: copies }, () => tf.tensor(values.slice(), shape));
    const [x, dy] = [many(inputs.x), passes.includes("both") ? many(inputs.dy) : []];
    const { apply, variables } = makeNorm(epsilon, shape[1], inputs.gamma, inputs.beta);
    /** @type {Record<string, (i: number) => tf.Tensor[]>} */
    const calls = {
      forward: (i) => [apply(x[i])],
      both: (i) => {
        const { value, grads } = tf.valueAndGrads((input) => apply(input))([x[i], ...variables], dy[i]);
        return [value, ...grads];
      },
    };
    const next = rotation(copies);
    const call = (/** @type {string} */ pass) =>
      tf.tidy(() => {
        calls[pass](next());
      });
    const results = (/** @type {string} */ pass) => {
      const [y, dx, dGamma, dBeta] = tf
        .tidy(() => calls[pass](0))
        .map((tensor) => /** @type {Float32Array} */ (tensor.dataSync().slice()));
      return { y, dx, dGamma, dBeta };
    };
    return {
      passes: { forward: () => call("forward"), both: () => call("both") },
      results: { forward: () => results("forward"), both: () => results("both") },
      close: () => {
        tf.dispose([x, dy]);
        tf.disposeVariables();
      },
    };
  },
});

/** A formula of the catalog as a function of x and its weights. @param {Task} task @param {Arrays} inputs @param {number} copies */
function formula(task, inputs, copies) {
  const { shape } = task;
  const norm = formulaOf(task);
  const many = (/** @type {Float32Array} */ values) =>
    Array.from({ length: copies }, () => tf.tensor(values.slice(), shape));
  const [x, dy] = [many(inputs.x), many(inputs.dy)];
  const given = weightsIn(inputs);
  const names = Object.keys(given);
  const specified = norm.weights(shape);
  const variables = names.map((name) =>
    tf.variable(tf.tensor(given[name].slice(), [...specified[name].shape])),
  );
  const bothOf = (/** @type {number} */ i) => {
    const { value, grads } = tf.valueAndGrads((input, ...weights) => {
      const named = Object.fromEntries(names.map((name, at) => [name, weights[at]]));
      return ours.apply(norm, input, named, { moveState() {} }).y;
    })([x[i], ...variables], dy[i]);
    return { y: value, dx: grads[0], gradients: grads.slice(1) };
  };
  const next = rotation(copies);
  return {
    passes: { both: () => void tf.tidy(() => void bothOf(next())) },
    results: {
      both() {
        const { y, dx, gradients } = bothOf(0);
        const named = Object.fromEntries(names.map((name, at) => [gradientName(name), gradients[at]]));
        return taken({ y, dx, ...named });
      },
    },
    close() {
      tf.dispose([x, dy]);
      tf.disposeVariables();
    },
  };
}

/** A layer in evaluation: of evenkeel/tfjs or, as shipped, batch normalization. @param {Task} task @param {Arrays} inputs @param {number} copies */
function throughLayer(task, inputs, copies) {
  const { norm, shape, epsilon } = task;
  const given = weightsIn(inputs);
  const layer = how === "layer" ? tfl.layers.batchNormalization({ epsilon }) : layerOf(norm);
  layer.build([null, ...shape.slice(1)]);
  const values =
    how === "layer"
      ? Object.values(given)
      : layer.getWeights().map((was, i) => Object.values(given)[i] ?? was);
  layer.setWeights(values.map((each) => (each instanceof tf.Tensor ? each : tf.tensor1d(each))));
  const x = Array.from({ length: copies }, () => tf.tensor(inputs.x.slice(), shape));
  const call = (/** @type {number} */ i) => /** @type {tf.Tensor} */ (layer.apply(x[i], { training: false }));
  const next = rotation(copies);
  return {
    passes: { evaluate: () => void tf.tidy(() => void call(next())) },
    results: { evaluate: () => taken({ y: call(0) }) },
    close() {
      tf.dispose(x);
      layer.dispose();
    },
  };
}

/** The layer of a formula, with the epsilon of its factory. @param {string} norm */
function layerOf(norm) {
  const { of, options } = formulas[norm];
  const name = of.replace(/Norm$/, "Normalization");
  const make = /** @type {Record<string, (options: object) => tfl.layers.Layer>} */ (
    /** @type {unknown} */ (ours.layers)
  )[name];
  const { epsilon } = /** @type {{ epsilon?: number }} */ (catalog[of].defaults);
  return make({ ...options, ...(epsilon !== undefined && { epsilon }) });
}

/** A layers model's answer to one input. @param {Task} task @param {Arrays} inputs */
async function predict({ shape, model: folder = "" }, { x }) {
  const manifest = JSON.parse(readFileSync(join(folder, "model.json"), "utf8"));
  const loaded = await tfl.loadLayersModel({
    load: async () => ({
      modelTopology: manifest.modelTopology,
      weightSpecs: manifest.weightsManifest.flatMap((/** @type {any} */ group) => group.weights),
      weightData: joined(
        manifest.weightsManifest.flatMap((/** @type {any} */ group) => group.paths),
        folder,
      ),
    }),
  });
  const model = how === "folded" ? ours.foldStatistics(loaded).model : loaded;
  const input = tf.tensor(x, shape);
  const answer = () =>
    tf.tidy(() => /** @type {Float32Array} */ (/** @type {tf.Tensor} */ (model.predict(input)).dataSync()));
  return {
    passes: { predict: answer },
    results: { predict: () => ({ y: answer() }) },
    close() {
      input.dispose();
      loaded.dispose();
    },
  };
}

/** @param {string[]} files @param {string} folder */
function joined(files, folder) {
  return new Uint8Array(Buffer.concat(files.map((file) => readFileSync(join(folder, file))))).buffer;
}

/** The values of tensors, which are disposed. @param {Record<string, tf.Tensor>} tensors */
function taken(tensors) {
  const values = Object.fromEntries(
    Object.entries(tensors).map(([name, tensor]) => [
      name,
      /** @type {Float32Array} */ (tensor.dataSync().slice()),
    ]),
  );
  tf.dispose(tensors);
  return values;
}

/** @param {Task} task @param {Arrays} inputs */
function trainTransformer({ shape, epsilon }, inputs) {
  const width = shape[2];
  const kernel = kernelsFrom(inputs.kernels);
  const apply = makeTransformer(tf, {
    blocks: BLOCKS,
    width,
    heads: HEADS,
    normalization: () => makeNorm(epsilon, width).apply,
    kernel: (rows, columns) => tf.tensor2d(kernel(rows, columns), [rows, columns]),
  });
  const [x, target] = [tf.tensor(inputs.x, shape), tf.tensor(inputs.target, shape)];
  const optimizer = tf.train.adam(0.001, 0.9, 0.999, 1e-7);
  const step = () =>
    tf.tidy(() => {
      const cost = () => /** @type {tf.Scalar} */ (tf.losses.meanSquaredError(target, apply(x)));
      return /** @type {tf.Scalar} */ (optimizer.minimize(cost, true)).dataSync()[0];
    });
  return {
    passes: { step },
    results: { step: () => ({ losses: Float32Array.of(step(), step(), step()) }) },
    close: () => {
      tf.dispose([x, target]);
      tf.disposeVariables();
    },
  };
}
